/* SIGHUP: everything that can be read again is read and checked first, and only taken over as a
 * whole. What needs a restart is named, and waits for one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "node.h"

enum error_code node_load_identity(const struct node_config *config,
                                   struct tls_identity **ret_identity, struct error *error) {
    struct tls_identity *identity = NULL;
    enum error_code code =
        tls_identity_load(config->tls, TLS_KIND_NODE, config->cluster, &identity, error);
    if (code != ERROR_OK) {
        return code;
    }
    if (!text_equal(tls_identity_self(identity)->name, config->node)) {
        (void)error_set(error, ERROR_INVALID, "the certificate in %s is of node %s, not %s",
                        config->tls, tls_identity_self(identity)->name, config->node);
        tls_identity_unref(identity);
        return ERROR_INVALID;
    }
    *ret_identity = identity;
    return ERROR_OK;
}

static bool read_config(const struct noctuad *node, struct node_config *ret, struct error *error) {
    struct spec_findings *findings = calloc(1, sizeof *findings);
    if (findings == NULL) {
        (void)error_set(error, ERROR_NO_MEMORY, "out of memory");
        return false;
    }
    bool good = config_read_file(node->config_path, ret, findings) == ERROR_OK;
    if (!good) {
        const struct finding *first = findings->items;
        for (uint32_t i = 0; i < findings->count && first->severity != FINDING_ERROR; i++) {
            first = &findings->items[i];
        }
        (void)error_set(error, ERROR_INVALID, "%s:%u:%u: %s", findings->file, (unsigned)first->line,
                        (unsigned)first->column, first->message);
    }
    free(findings);
    return good;
}

static void take_over(struct noctuad *node, const struct node_config *next,
                      struct tls_identity *identity) {
    const char *key = "";
    bool whole = config_can_reload(&node->config, next, &key);
    replica_set_identity(node->replica, identity);
    api_server_set_identity(node->server, identity);
    tls_identity_unref(node->identity);
    node->identity = identity;
    node->config.alarm = next->alarm;
    node->config.heartbeat = next->heartbeat;
    node_configure_alarms(node);
    node->config.log = next->log;
    log_configure(next->log.level, next->log.format, node->config.node);
    LOG_EVENT(CONFIG_RELOADED,
              LOG_U64("certificate_days",
                      (uint64_t)tls_identity_days_left(identity, clock_wall_ms(node->clock))),
              LOG_TEXT("needs_a_restart", whole ? "" : key));
}

void node_on_reload_signal(uv_signal_t *signal, int number) {
    struct noctuad *node = signal->data;
    struct node_config *next = calloc(1, sizeof *next);
    struct tls_identity *identity = NULL;
    struct error error = {ERROR_OK, ""};
    (void)number;
    node_tell("RELOADING=1");
    bool good = next != NULL && read_config(node, next, &error);
    /* The certificate directory itself is changed by a restart only. */
    if (good && node_load_identity(&node->config, &identity, &error) == ERROR_OK) {
        take_over(node, next, identity);
    } else {
        LOG_EVENT(CONFIG_NOT_RELOADED, LOG_TEXT("why", error.message));
    }
    free(next);
    node_tell("READY=1");
}
