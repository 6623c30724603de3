/* From the committed spec to what this node probes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "node.h"

static bool is_probed(const struct spec_service *service, uint32_t region) {
    if (service->home == region) {
        return true;
    }
    for (uint32_t i = 0; i < service->target_count; i++) {
        if (service->targets[i] == region) {
            return true;
        }
    }
    return false;
}

/* Files that a spec names lie in the node's secrets directory unless they are absolute. */
static void secret_path(const struct noctuad *node, const char *name, char *path, size_t size) {
    bool relative = name[0] != '\0' && name[0] != '/';
    int length = relative ? snprintf(path, size, "%s/%s", node->config.secrets, name)
                          : snprintf(path, size, "%s", name);
    if (length < 0 || (size_t)length >= size) {
        /* No such file: the probe says that it can't be done here, which is no vote. */
        (void)snprintf(path, size, "/nonexistent");
    }
}

static void fill_target(const struct noctuad *node, const struct spec_check *check,
                        uint32_t service, uint32_t region, struct probe_target *ret) {
    static const enum probe_type types[] = {PROBE_TYPE_HTTP, PROBE_TYPE_HTTPS, PROBE_TYPE_TCP};
    memset(ret, 0, sizeof *ret);
    ret->service = service;
    ret->region = region;
    ret->type = types[check->type];
    (void)TEXT_COPY(ret->check, check->name);
    (void)TEXT_COPY(ret->url, check->url[region]);
    for (uint32_t i = 0; i < check->expect_count; i++) {
        ret->expect[i].low = check->expect[i].low;
        ret->expect[i].high = check->expect[i].high;
    }
    ret->expect_count = check->expect_count;
    (void)TEXT_COPY(ret->match, check->match);
    ret->timeout_ms = check->timeout_ms;
    ret->interval_ms = check->interval_ms;
    ret->fall = check->fall;
    ret->rise = check->rise;
    ret->critical = check->critical;
    ret->keep_alive = check->keep_alive;
    ret->insecure = check->insecure;
    secret_path(node, check->ca_file, ret->ca_file, sizeof ret->ca_file);
    secret_path(node, check->cert_file, ret->cert_file, sizeof ret->cert_file);
    secret_path(node, check->key_file, ret->key_file, sizeof ret->key_file);
    (void)TEXT_COPY(ret->server_name, check->server_name);
}

/* Fed by the watcher of the replica set. Its URL is there to tell checks apart. */
static void fill_set_target(const struct state *state, uint32_t service, uint32_t region,
                            uint32_t active, struct probe_target *ret) {
    const struct spec_mongo *mongo = &state->spec.services[service].mongo;
    memset(ret, 0, sizeof *ret);
    ret->service = service;
    ret->region = region;
    ret->type = PROBE_TYPE_FED;
    (void)TEXT_COPY(ret->check, MONGO_CHECK_NAME);
    (void)snprintf(ret->url, sizeof ret->url, "%s %s %.300s", state->spec.services[service].name,
                   state->spec.regions[region].name, mongo->uri);
    ret->timeout_ms = mongo->timeout_ms;
    ret->interval_ms = mongo->interval_ms;
    ret->fall = mongo->fall;
    ret->rise = mongo->rise;
    ret->critical = true;
    /* While the primary is handed over, the region that is left has none to show. */
    ret->excused = region == active ? PROBE_OK : PROBE_NO_PRIMARY;
}

/* A check that says nothing about a standby is probed where the service is active only. */
static uint32_t fill_targets(const struct noctuad *node, const struct state *state,
                             struct probe_target *targets) {
    uint32_t count = 0;
    for (uint32_t s = 0; s < state->spec.service_count; s++) {
        const struct spec_service *service = &state->spec.services[s];
        uint32_t active = state->services[s].adopted ? state->services[s].active : service->home;
        for (uint32_t r = 0; r < state->spec.region_count; r++) {
            for (uint32_t c = 0; is_probed(service, r) && c < service->check_count; c++) {
                const struct spec_check *check = &service->checks[c];
                bool skipped = check->standby == STANDBY_SKIP && r != active;
                if (check->url[r][0] == '\0' || skipped) {
                    continue;
                }
                if (targets != NULL) {
                    fill_target(node, check, s, r, &targets[count]);
                }
                count++;
            }
            if (is_probed(service, r) && probe_mongo_has_members(node->sets, s, r)) {
                if (targets != NULL) {
                    fill_set_target(state, s, r, active, &targets[count]);
                }
                count++;
            }
        }
    }
    return count;
}

static bool is_configured(const struct noctuad *node, const struct state *state) {
    if (node->probed_spec_index != state->spec_index) {
        return false;
    }
    for (uint32_t s = 0; s < state->spec.service_count; s++) {
        if (node->probed_active[s] != state->services[s].active) {
            return false;
        }
    }
    return true;
}

void node_configure_probes(struct noctuad *node) {
    if (is_configured(node, replica_state(node->replica))) {
        return;
    }
    node_configure_sets(node); /* first: it knows which regions have members */
    node_configure_checks(node);
}

void node_configure_checks(struct noctuad *node) {
    const struct state *state = replica_state(node->replica);
    uint32_t count = fill_targets(node, state, NULL);
    struct probe_target *targets = calloc(count == 0 ? 1 : count, sizeof *targets);
    struct error error = {ERROR_NO_MEMORY, "out of memory"};
    if (targets != NULL) {
        (void)fill_targets(node, state, targets);
    }
    if (targets == NULL ||
        probe_engine_configure(node->probes, targets, count, &error) != ERROR_OK) {
        /* Nothing is known then: its opinions stay unknown, which moves nothing. */
        if (node->unprobed_spec_index != state->spec_index) {
            LOG_EVENT(PROBES_NOT_CONFIGURED, LOG_TEXT("why", error.message),
                      LOG_U64("spec", state->spec_index));
        }
        node->unprobed_spec_index = state->spec_index;
        node->probed_spec_index = UINT64_MAX;
        free(targets);
        return;
    }
    free(targets);
    node->probed_spec_index = state->spec_index;
    for (uint32_t s = 0; s < SERVICE_MAX; s++) {
        node->probed_active[s] = state->services[s].active;
    }
}
