/* /events: server-sent events (HTML Living Standard, "Server-sent events"). The newest ones are
 * kept so that a client that comes back with Last-Event-ID misses none of them. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "api/documents.h"
#include "base/buffer.h"
#include "document_memory.h"
#include "http_private.h"

static struct http_event *render_event(const struct event *event, uint64_t number) {
    char *json = document_render(document_event(event, number), JSON_COMPACT);
    struct buffer text;
    struct http_event *rendered = NULL;
    if (json == NULL) {
        return NULL;
    }
    buffer_init(&text, 0);
    buffer_append_format(&text, "id: %" PRIu64 "\nevent: %s\ndata: %s\n\n", number,
                         event_kind_text(event->kind), json);
    if (!text.failed) {
        rendered = malloc(sizeof *rendered + text.size_bytes);
    }
    if (rendered != NULL) {
        rendered->next = NULL;
        rendered->number = number;
        rendered->size_bytes = text.size_bytes;
        memcpy(rendered->text, text.data, text.size_bytes);
    }
    buffer_finish(&text);
    free(json);
    return rendered;
}

/* The main loop's side: a stack that the endpoint thread takes whole. */
static void push_event(struct http_endpoints *endpoints, struct http_event *event) {
    struct http_event *head = atomic_load_explicit(&endpoints->next_events, memory_order_relaxed);
    do {
        event->next = head;
    } while (!atomic_compare_exchange_weak(&endpoints->next_events, &head, event));
}

void http_endpoints_publish_events(struct http_endpoints *endpoints, const struct state *state) {
    uint64_t newest = state->event_count;
    uint64_t first = endpoints->published_event + 1;
    if (!endpoints->published_any || newest >= first + HTTP_EVENT_KEPT_MAX) {
        first = newest > HTTP_EVENT_KEPT_MAX ? newest - HTTP_EVENT_KEPT_MAX + 1 : 1;
    }
    endpoints->published_any = true;
    endpoints->published_event = newest;
    for (uint64_t number = first; number <= newest; number++) {
        const struct event *event = document_find_event(state, number);
        if (event == NULL || atomic_load(&endpoints->pending_events) >= HTTP_EVENT_PENDING_MAX) {
            continue; /* the thread doesn't keep up; its clients see the gap in the ids */
        }
        struct http_event *rendered = render_event(event, number);
        if (rendered != NULL) {
            atomic_fetch_add(&endpoints->pending_events, 1);
            push_event(endpoints, rendered);
        }
    }
    if (first <= newest) {
        (void)uv_async_send(&endpoints->wakeup);
    }
}

static void keep_event(struct http_endpoints *endpoints, struct http_event *event) {
    struct http_event **slot = &endpoints->events[event->number % HTTP_EVENT_KEPT_MAX];
    free(*slot);
    *slot = event;
    endpoints->last_event = event->number;
    struct http_connection *next = NULL;
    for (struct http_connection *c = endpoints->connections; c != NULL; c = next) {
        next = c->next;
        if (c->phase == HTTP_STREAMING) {
            http_connection_push(c, event->text, event->size_bytes);
        }
    }
}

void http_events_take(struct http_endpoints *endpoints) {
    struct http_event *newest = atomic_exchange(&endpoints->next_events, NULL);
    struct http_event *oldest = NULL;
    uint32_t count = 0;
    while (newest != NULL) {
        struct http_event *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
        count++;
    }
    atomic_fetch_sub(&endpoints->pending_events, count);
    while (oldest != NULL) {
        struct http_event *next = oldest->next;
        keep_event(endpoints, oldest);
        oldest = next;
    }
}

void http_events_begin(struct http_connection *connection, uint64_t last) {
    const struct http_endpoints *endpoints = connection->listener->endpoints;
    uint64_t newest = endpoints->last_event;
    /* Without an id it begins now; with one, behind it. */
    uint64_t first = last == 0 || last > newest ? newest + 1 : last + 1;
    if (newest >= HTTP_EVENT_KEPT_MAX && first <= newest - HTTP_EVENT_KEPT_MAX) {
        first = newest - HTTP_EVENT_KEPT_MAX + 1;
    }
    for (uint64_t number = first; number <= newest; number++) {
        const struct http_event *event = endpoints->events[number % HTTP_EVENT_KEPT_MAX];
        if (event != NULL && event->number == number) {
            http_connection_push(connection, event->text, event->size_bytes);
        }
    }
}

void http_events_finish(struct http_endpoints *endpoints) {
    http_events_take(endpoints);
    for (uint32_t i = 0; i < HTTP_EVENT_KEPT_MAX; i++) {
        free(endpoints->events[i]);
        endpoints->events[i] = NULL;
    }
}
