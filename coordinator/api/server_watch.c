/* Watches: events of committed state as they are applied, from the ring that state keeps. A watch
 * that falls out of the ring's end is told so and ends; one whose client doesn't read waits. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "document_memory.h"
#include "server_private.h"

#define WATCH_BUFFERED_MAX_BYTES (1024 * 1024) /* unread by the client: hold events back */

static bool event_fits(const struct api_watch *watch, const struct event *event) {
    return watch->service[0] == '\0' || event->service[0] == '\0' ||
           text_equal(watch->service, event->service);
}

/* The move that the watch waits for has ended. */
static bool move_has_ended(const struct api_watch *watch, const struct state *state) {
    uint32_t service = state_find_service(state, watch->service);
    if (watch->epoch == 0 || service == NONE_INDEX) {
        return watch->epoch != 0;
    }
    const struct service *s = &state->services[service];
    return s->epoch > watch->epoch ||
           (s->epoch == watch->epoch && !execution_is_open(&s->execution));
}

/* Takes up to a batch of events that fit; those of others are passed over. */
static json_t *take_events(struct api_watch *watch, const struct state *state) {
    json_t *events = json_array();
    while (watch->next_number <= state->event_count &&
           json_array_size(events) < API_WATCH_BATCH_MAX) {
        const struct event *event = document_find_event(state, watch->next_number);
        if (event != NULL && event_fits(watch, event)) {
            (void)json_array_append_new(events, document_event(event, watch->next_number));
        }
        watch->next_number++;
    }
    return events;
}

static void say(struct api_client *client, const struct api_facts *facts, json_t *events,
                bool more) {
    struct answer answer = {.document = events,
                            .index = facts->state->applied_index,
                            .more = more,
                            .stale = !facts->leads};
    client->watch.open = more;
    client->watch.said_ms = clock_boottime_ms(&client->server->clock);
    api_session_send(client, client->watch.sequence, &answer);
}

static void end_behind(struct api_client *client, const struct api_facts *facts) {
    struct answer answer = {.exit_code = EXIT_CODE_REFUSED,
                            .error_code = "LIMIT",
                            .index = facts->state->applied_index};
    (void)snprintf(answer.message, sizeof answer.message,
                   "%d events are kept, and this watch is further behind: begin it anew",
                   EVENT_MAX);
    client->watch.open = false;
    api_session_send(client, client->watch.sequence, &answer);
}

static void feed(struct api_client *client, const struct api_facts *facts, bool first) {
    struct api_watch *watch = &client->watch;
    const struct state *state = facts->state;
    if (watch->next_number > state->event_count + 1) {
        watch->next_number = state->event_count + 1; /* an older snapshot was restored */
    }
    if (state->event_count >= watch->next_number + EVENT_MAX) {
        end_behind(client, facts);
        return;
    }
    uint64_t now_ms = clock_boottime_ms(&client->server->clock);
    do {
        if (tls_stream_buffered_bytes(client->stream) > WATCH_BUFFERED_MAX_BYTES) {
            return; /* the sweep tries again */
        }
        json_t *events = take_events(watch, state);
        if (document_memory_lacked()) {
            json_decref(events);
            api_client_close(client); /* some are missing: it begins anew from what it has */
            return;
        }
        bool all = watch->next_number > state->event_count;
        bool ended = all && move_has_ended(watch, state);
        bool due = first || ended || json_array_size(events) > 0 ||
                   now_ms - watch->said_ms >= API_WATCH_HEARTBEAT_MS;
        if (due) {
            say(client, facts, events, !ended);
        } else {
            json_decref(events);
        }
        first = false;
    } while (watch->open && !client->closing && watch->next_number <= state->event_count);
}

void api_watch_feed(struct api_client *client, const struct api_facts *facts) {
    feed(client, facts, false);
}

/* The first kept event of an entry behind `index`. */
static uint64_t first_behind(const struct state *state, uint64_t index) {
    uint64_t number = state->event_count + 1;
    while (number > 1) {
        const struct event *event = document_find_event(state, number - 1);
        if (event == NULL || event->index <= index) {
            break;
        }
        number--;
    }
    return number;
}

void api_watch_begin(struct api_request *request, const struct api_facts *facts, bool stale) {
    const Noctua__WatchRequest *wanted = request->message->watch;
    struct api_client *client = request->client;
    struct api_watch *watch = &client->watch;
    (void)stale; /* said in each reply */
    if (wanted->service[0] != '\0' &&
        api_request_find_service(request, facts, wanted->service) == NONE_INDEX) {
        return;
    }
    if (wanted->epoch != 0 && wanted->service[0] == '\0') {
        api_request_fail(request, EXIT_CODE_USAGE, "MALFORMED",
                         "an epoch is of one service: name it");
        return;
    }
    memset(watch, 0, sizeof *watch);
    (void)TEXT_COPY(watch->service, wanted->service);
    watch->epoch = wanted->epoch;
    watch->sequence = request->message->sequence;
    watch->next_number = wanted->from_index == 0 ? facts->state->event_count + 1
                                                 : first_behind(facts->state, wanted->from_index);
    watch->open = true;
    api_request_abandon(request);
    feed(client, facts, true);
}
