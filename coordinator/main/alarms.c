/* What this node pages about by itself, from what it knows without asking anybody; and the process
 * that speaks for one that can't go on. */
#include <errno.h>
#include <inttypes.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"
#include "node.h"

#define CERTIFICATE_DAYS 7
#define LAST_WORD_MS 10000

/* A secret's one line. False: complained. */
static bool read_secret(const struct node_config *config, const struct secret_reference *reference,
                        char *to, size_t to_size) {
    char path[CONFIG_PATH_SIZE + SECRET_NAME_SIZE + 2];
    to[0] = '\0';
    if (reference->kind == SECRET_ENVIRONMENT) {
        const char *value = getenv(reference->name);
        if (value == NULL || !text_copy(to, to_size, value)) {
            LOG_EVENT(SECRET_NOT_READ, LOG_TEXT("name", reference->name),
                      LOG_TEXT("why", value == NULL ? "not in the environment" : "too long"));
        }
        return to[0] != '\0';
    }
    (void)snprintf(path, sizeof path, "%s/%s", config->secrets, reference->name);
    FILE *file = fopen(path, "re");
    bool read = file != NULL && fgets(to, (int)to_size, file) != NULL;
    int reason = errno;
    if (file != NULL) {
        (void)fclose(file);
    }
    to[strcspn(to, "\r\n")] = '\0';
    if (!read || to[0] == '\0') {
        LOG_EVENT(SECRET_NOT_READ, LOG_TEXT("name", path),
                  LOG_TEXT("why", file == NULL ? strerror(reason) : "empty"));
        to[0] = '\0';
    }
    return to[0] != '\0';
}

/* "none", a URL, or a reference. */
static void take(const struct node_config *config, const char *text, char to[PAGER_TEXT_SIZE]) {
    struct secret_reference reference;
    struct error error;
    to[0] = '\0';
    if (text[0] == '\0' || text_equal(text, "none")) {
        return;
    }
    if (secret_reference_parse(text, &reference, &error) == ERROR_OK) {
        (void)read_secret(config, &reference, to, PAGER_TEXT_SIZE);
    } else {
        (void)text_copy(to, PAGER_TEXT_SIZE, text);
    }
}

static void receivers_of(const struct node_config *config, struct pager_receivers *ret) {
    memset(ret, 0, sizeof *ret);
    take(config, config->alarm.pagerduty, ret->pagerduty_key);
    take(config, config->alarm.pagerduty_url, ret->pagerduty_url);
    take(config, config->alarm.url, ret->webhook_url);
    take(config, config->heartbeat.url, ret->heartbeat_url);
    ret->heartbeat_ms = config->heartbeat.every_ms;
}

void node_configure_alarms(struct noctuad *node) {
    struct pager_receivers receivers;
    receivers_of(&node->config, &receivers);
    pager_configure(node->pager, &receivers);
}

static void look(struct noctuad *node) {
    struct api_facts facts;
    char detail[128];
    node_facts(node, &facts);
    uint64_t began_ms = facts.quorum_contact_ms != 0 ? facts.quorum_contact_ms : node->began_ms;
    uint64_t lost_ms = facts.now_ms > began_ms ? facts.now_ms - began_ms : 0;
    char lost[TEXT_DURATION_SIZE];
    (void)text_from_duration_ms(lost_ms / 1000 * 1000, lost);
    (void)snprintf(detail, sizeof detail, "none seen for %s", lost);
    pager_set(node->pager, PAGER_NO_QUORUM, lost_ms >= node->config.alarm.no_quorum_ms, detail);
    pager_set(node->pager, PAGER_DIGESTS_DIFFER, facts.state->halted,
              "noctuactl explain says of what; then noctuactl resume-automation");
    node_look_at_services(node, &facts);
    node_look_at_targets(node, &facts);
    int64_t days = tls_identity_days_left(node->identity, facts.wall_ms);
    (void)snprintf(detail, sizeof detail, "%" PRId64 " days left; renew it, then SIGHUP", days);
    pager_set(node->pager, PAGER_CERTIFICATE, days < CERTIFICATE_DAYS, detail);
    pager_set_well(node->pager, facts.caught_up && facts_age_ms(&facts) < QUORUM_RECENT_MS &&
                                    !facts.state->halted);
}

void node_on_alarm_timer(uv_timer_t *timer) {
    look(timer->data);
}

/* --- the last word --- */

/* This process may hold a disk that hangs, or memory that isn't what it should be, and its links
 * must break now. So another one speaks, and nobody waits for it. */
void node_spawn_last_word(const struct noctuad *node, const char *why) {
    char text[ERROR_MESSAGE_MAX];
    size_t length = strnlen(why, sizeof text - 1);
    memcpy(text, why, length);
    text[length] = '\0';
    if (!config_has_alarm(&node->config)) {
        return;
    }
    char *const arguments[] = {(char *)"noctuad",
                               (char *)"--config",
                               (char *)node->config_path,
                               (char *)"--last-word",
                               text,
                               NULL};
    pid_t pid;
    int code = posix_spawn(&pid, "/proc/self/exe", NULL, NULL, arguments, environ);
    if (code != 0) {
        LOG_EVENT(ALARM_NOT_SENT, LOG_TEXT("alarm", "stopped"), LOG_TEXT("to", "anybody"),
                  LOG_U64("status", 0), LOG_TEXT("why", strerror(code)), LOG_U64("again_ms", 0));
    }
}

struct last_word {
    struct pager *pager;
    const struct clock *clock;
    uint64_t end_ms;
};

static void on_last_look(uv_timer_t *timer) {
    struct last_word *word = timer->data;
    if (pager_is_told(word->pager) || clock_boottime_ms(word->clock) >= word->end_ms) {
        uv_close((uv_handle_t *)timer, NULL);
        pager_close(word->pager, NULL, NULL);
    }
}

int node_say_last_word(const struct node_config *config, const char *why) {
    struct pager_receivers receivers;
    struct error error = {ERROR_OK, ""};
    struct last_word word = {.clock = &clock_system};
    uv_loop_t loop;
    uv_timer_t timer;
    receivers_of(config, &receivers);
    receivers.heartbeat_url[0] = '\0';
    if (uv_loop_init(&loop) != 0) {
        return EXIT_FAILURE;
    }
    if (pager_create(&loop, &clock_system, config->cluster, config->node, &word.pager, &error) !=
        ERROR_OK) {
        LOG_EVENT(NODE_FAILED, LOG_TEXT("code", error_text(error.code)),
                  LOG_TEXT("why", error.message));
        return EXIT_FAILURE;
    }
    pager_configure(word.pager, &receivers);
    /* It is new here: told, as pager_create has it, would mean nobody is. */
    pager_forget(word.pager, PAGER_STOPPED);
    pager_set(word.pager, PAGER_STOPPED, true, why);
    word.end_ms = clock_boottime_ms(word.clock) + LAST_WORD_MS;
    (void)uv_timer_init(&loop, &timer);
    timer.data = &word;
    (void)uv_timer_start(&timer, on_last_look, 0, 100);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&loop);
    return EXIT_SUCCESS;
}
