#include "driver/pager.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/log.h"
#include "base/text.h"
#include "http_client.h"

#define LOOK_EVERY_MS 500
#define SEND_TIMEOUT_MS 10000
#define CONNECT_TIMEOUT_MS 3000
#define FIRST_DELAY_MS 1000
#define LONGEST_DELAY_MS 60000
#define NAME_TEXT_SIZE 64

enum receiver { PAGERDUTY, WEBHOOK, RECEIVER_COUNT };

static const char *const receiver_words[RECEIVER_COUNT] = {"pagerduty", "webhook"};

static const struct {
    const char *word, *doc;
    bool is_groups;
} alarms[PAGER_ALARM_COUNT] = {
#define X(name, word, group, doc) [PAGER_##name] = {word, doc, group},
    PAGER_ALARMS(X)
#undef X
};

/* One alarm at one receiver. */
struct delivery {
    struct pager *pager;
    enum pager_alarm alarm;
    enum receiver receiver;
    bool told, sending, sent_holds;
    uint64_t next_ms;
    uint32_t delay_ms;
};

struct pager {
    struct http_client *http;
    struct clock clock;
    uv_timer_t timer;
    char cluster[NAME_TEXT_SIZE], node[NAME_TEXT_SIZE];
    struct pager_receivers receivers;
    bool holds[PAGER_ALARM_COUNT];
    char detail[PAGER_ALARM_COUNT][256];
    struct delivery deliveries[PAGER_ALARM_COUNT][RECEIVER_COUNT];
    bool well, beating;
    uint64_t beat_ms; /* next */
    int open_parts;
    void (*on_closed)(void *context);
    void *closed_context;
};

const char *pager_alarm_word(enum pager_alarm alarm) {
    return alarms[alarm].word;
}

const char *pager_alarm_doc(enum pager_alarm alarm) {
    return alarms[alarm].doc;
}

static uint64_t now_of(const struct pager *pager) {
    return clock_boottime_ms(&pager->clock);
}

static const char *address_of(const struct pager *pager, enum receiver receiver) {
    if (receiver == PAGERDUTY) {
        return pager->receivers.pagerduty_key[0] == '\0' ? "" : pager->receivers.pagerduty_url;
    }
    return pager->receivers.webhook_url;
}

static void set(json_t *object, const char *key, const char *value) {
    (void)json_object_set_new(object, key, json_string(value));
}

static json_t *pagerduty_body(const struct pager *pager, const struct delivery *delivery,
                              const char *key, const char *summary) {
    json_t *body = json_object();
    set(body, "routing_key", pager->receivers.pagerduty_key);
    set(body, "event_action", delivery->sent_holds ? "trigger" : "resolve");
    set(body, "dedup_key", key);
    if (delivery->sent_holds) {
        json_t *payload = json_object();
        json_t *details = json_object();
        set(payload, "summary", summary);
        set(payload, "source", pager->node);
        set(payload, "severity", "critical");
        set(payload, "component", "noctua");
        set(payload, "group", pager->cluster);
        set(payload, "class", alarms[delivery->alarm].word);
        set(details, "detail", pager->detail[delivery->alarm]);
        (void)json_object_set_new(payload, "custom_details", details);
        (void)json_object_set_new(body, "payload", payload);
    }
    return body;
}

static json_t *webhook_body(const struct pager *pager, const struct delivery *delivery,
                            const char *key, const char *summary) {
    char at[CLOCK_TEXT_SIZE];
    json_t *body = json_object();
    set(body, "action", delivery->sent_holds ? "trigger" : "resolve");
    set(body, "alarm", alarms[delivery->alarm].word);
    set(body, "key", key);
    set(body, "cluster", pager->cluster);
    set(body, "node", pager->node);
    set(body, "summary", summary);
    set(body, "at", clock_format_utc(clock_wall_ms(&pager->clock), at));
    return body;
}

/* 202 or another 2xx: told. 4xx but 408 and 429: the same again would be refused again, so it
 * counts as told too, loudly. */
static void on_answer(void *context, const struct http_response *response) {
    struct delivery *delivery = context;
    struct pager *pager = delivery->pager;
    bool good = response->error.code == ERROR_OK && response->status / 100 == 2;
    bool refused = response->error.code == ERROR_OK && response->status / 100 == 4 &&
                   response->status != 408 && response->status != 429;
    delivery->sending = false;
    if (good || refused) {
        delivery->told = delivery->sent_holds;
        delivery->delay_ms = 0;
    } else {
        uint32_t longer_ms = delivery->delay_ms * 2;
        delivery->delay_ms = delivery->delay_ms == 0        ? FIRST_DELAY_MS
                             : longer_ms > LONGEST_DELAY_MS ? LONGEST_DELAY_MS
                                                            : longer_ms;
        delivery->next_ms = now_of(pager) + delivery->delay_ms;
    }
    if (good) {
        LOG_EVENT(ALARM_SENT, LOG_TEXT("alarm", alarms[delivery->alarm].word),
                  LOG_TEXT("action", delivery->sent_holds ? "trigger" : "resolve"),
                  LOG_TEXT("to", receiver_words[delivery->receiver]));
    } else {
        LOG_EVENT(ALARM_NOT_SENT, LOG_TEXT("alarm", alarms[delivery->alarm].word),
                  LOG_TEXT("to", receiver_words[delivery->receiver]),
                  LOG_U64("status", (uint64_t)response->status),
                  LOG_TEXT("why", response->error.code != ERROR_OK ? response->error.message
                                  : refused ? "refused: check the key or the URL"
                                            : "answered with an error"),
                  LOG_U64("again_ms", delivery->delay_ms));
    }
}

static void send_alarm(struct pager *pager, struct delivery *delivery) {
    char key[192];
    char summary[512];
    bool is_groups = alarms[delivery->alarm].is_groups;
    (void)snprintf(key, sizeof key, "%s/%s%s%s", pager->cluster, alarms[delivery->alarm].word,
                   is_groups ? "" : "/", is_groups ? "" : pager->node);
    (void)snprintf(summary, sizeof summary, "%s: %s (%s)%s%s", pager->cluster,
                   alarms[delivery->alarm].doc, pager->node,
                   pager->detail[delivery->alarm][0] == '\0' ? "" : ": ",
                   pager->detail[delivery->alarm]);
    delivery->sent_holds = pager->holds[delivery->alarm];
    json_t *body = delivery->receiver == PAGERDUTY ? pagerduty_body(pager, delivery, key, summary)
                                                   : webhook_body(pager, delivery, key, summary);
    char *text = json_dumps(body, JSON_COMPACT);
    json_decref(body);
    if (text == NULL) {
        return; /* out of memory: at the next look again */
    }
    const struct http_request request = {
        .method = "POST",
        .url = address_of(pager, delivery->receiver),
        .body = text,
        .body_size_bytes = strlen(text),
        .headers = {"Content-Type: application/json"},
        .timeout_ms = SEND_TIMEOUT_MS,
        .connect_timeout_ms = CONNECT_TIMEOUT_MS,
    };
    delivery->sending = true;
    http_client_send(pager->http, &request, on_answer, delivery);
    free(text);
}

static void on_beat(void *context, const struct http_response *response) {
    struct pager *pager = context;
    pager->beating = false;
    if (response->error.code != ERROR_OK || response->status / 100 != 2) {
        LOG_EVENT(HEARTBEAT_NOT_SENT, LOG_U64("status", (uint64_t)response->status),
                  LOG_TEXT("why", response->error.message));
    }
}

static void beat(struct pager *pager) {
    uint64_t now_ms = now_of(pager);
    if (pager->receivers.heartbeat_url[0] == '\0' || !pager->well || pager->beating ||
        now_ms < pager->beat_ms) {
        return;
    }
    const struct http_request request = {
        .method = "GET",
        .url = pager->receivers.heartbeat_url,
        .timeout_ms = SEND_TIMEOUT_MS,
        .connect_timeout_ms = CONNECT_TIMEOUT_MS,
    };
    pager->beating = true;
    pager->beat_ms = now_ms + pager->receivers.heartbeat_ms;
    http_client_send(pager->http, &request, on_beat, pager);
}

static void on_look(uv_timer_t *timer) {
    struct pager *pager = timer->data;
    uint64_t now_ms = now_of(pager);
    for (unsigned a = 0; a < PAGER_ALARM_COUNT; a++) {
        for (unsigned r = 0; r < RECEIVER_COUNT; r++) {
            struct delivery *delivery = &pager->deliveries[a][r];
            bool due = !delivery->sending && delivery->told != pager->holds[a] &&
                       now_ms >= delivery->next_ms;
            if (due && address_of(pager, (enum receiver)r)[0] != '\0') {
                send_alarm(pager, delivery);
            }
        }
    }
    beat(pager);
}

enum error_code pager_create(uv_loop_t *loop, const struct clock *clock, const char *cluster,
                             const char *node, struct pager **ret_pager, struct error *error) {
    struct pager *pager = calloc(1, sizeof *pager);
    if (pager == NULL) {
        return error_set(error, ERROR_NO_MEMORY, "no memory for the pager");
    }
    enum error_code code = http_client_create(loop, clock, NULL, &pager->http, error);
    if (code != ERROR_OK) {
        free(pager);
        return code;
    }
    pager->clock = *clock;
    (void)TEXT_COPY(pager->cluster, cluster);
    (void)TEXT_COPY(pager->node, node);
    for (unsigned a = 0; a < PAGER_ALARM_COUNT; a++) {
        for (unsigned r = 0; r < RECEIVER_COUNT; r++) {
            struct delivery *delivery = &pager->deliveries[a][r];
            delivery->pager = pager;
            delivery->alarm = (enum pager_alarm)a;
            delivery->receiver = (enum receiver)r;
            /* An earlier process of this node may have told that it ended: it has come back. */
            delivery->told = a == PAGER_STOPPED;
        }
    }
    (void)uv_timer_init(loop, &pager->timer);
    pager->timer.data = pager;
    (void)uv_timer_start(&pager->timer, on_look, LOOK_EVERY_MS, LOOK_EVERY_MS);
    *ret_pager = pager;
    return ERROR_OK;
}

void pager_configure(struct pager *pager, const struct pager_receivers *receivers) {
    pager->receivers = *receivers;
}

void pager_set(struct pager *pager, enum pager_alarm alarm, bool holds, const char *detail) {
    if (holds && !pager->holds[alarm]) {
        size_t length = strnlen(detail, sizeof pager->detail[alarm] - 1);
        memcpy(pager->detail[alarm], detail, length);
        pager->detail[alarm][length] = '\0';
        LOG_EVENT(ALARM, LOG_TEXT("alarm", alarms[alarm].word), LOG_TEXT("detail", detail));
    } else if (!holds && pager->holds[alarm]) {
        LOG_EVENT(ALARM_OVER, LOG_TEXT("alarm", alarms[alarm].word));
    }
    pager->holds[alarm] = holds;
}

void pager_forget(struct pager *pager, enum pager_alarm alarm) {
    for (unsigned r = 0; r < RECEIVER_COUNT; r++) {
        pager->deliveries[alarm][r].told = false;
    }
}

void pager_take_over(struct pager *pager, enum pager_alarm alarm) {
    for (unsigned r = 0; r < RECEIVER_COUNT; r++) {
        pager->deliveries[alarm][r].told = !pager->holds[alarm];
    }
}

void pager_hand_over(struct pager *pager, enum pager_alarm alarm) {
    pager->holds[alarm] = false;
    for (unsigned r = 0; r < RECEIVER_COUNT; r++) {
        pager->deliveries[alarm][r].told = false;
    }
}

void pager_set_well(struct pager *pager, bool well) {
    pager->well = well;
}

bool pager_holds(const struct pager *pager, enum pager_alarm alarm) {
    return pager->holds[alarm];
}

bool pager_is_told(const struct pager *pager) {
    for (unsigned a = 0; a < PAGER_ALARM_COUNT; a++) {
        for (unsigned r = 0; r < RECEIVER_COUNT; r++) {
            if (address_of(pager, (enum receiver)r)[0] != '\0' &&
                pager->deliveries[a][r].told != pager->holds[a]) {
                return false;
            }
        }
    }
    return true;
}

static void on_part_closed(struct pager *pager) {
    if (--pager->open_parts > 0) {
        return;
    }
    void (*on_closed)(void *) = pager->on_closed;
    void *context = pager->closed_context;
    free(pager);
    if (on_closed != NULL) {
        on_closed(context);
    }
}

static void on_timer_closed(uv_handle_t *handle) {
    on_part_closed(handle->data);
}

static void on_http_closed(void *context) {
    on_part_closed(context);
}

void pager_close(struct pager *pager, void (*on_closed)(void *context), void *context) {
    assert(pager->open_parts == 0);
    pager->on_closed = on_closed;
    pager->closed_context = context;
    pager->open_parts = 2;
    uv_close((uv_handle_t *)&pager->timer, on_timer_closed);
    http_client_close(pager->http, on_http_closed, pager);
}
