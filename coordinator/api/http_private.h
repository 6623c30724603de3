/* What the files of the endpoint thread share. Everything here is used on that thread only, except
 * the two mailboxes, whose hand-over is one atomic exchange. */
#ifndef API_HTTP_PRIVATE_H
#define API_HTTP_PRIVATE_H

#include <stdatomic.h>
#include <uv.h>

#include "api/http_endpoints.h"
#include "http_request.h"
#include "http_routes.h"

#define HTTP_READ_BYTES 16384
#define HTTP_LINGER_MS 2000
#define HTTP_STREAM_PING_MS 15000
#define HTTP_CODE_MAX 12 /* different statuses that are counted apart */
#define HTTP_EVENT_PENDING_MAX 4096

/* A rendered event on its way from the main loop, then kept for new streams. */
struct http_event {
    struct http_event *next;
    uint64_t number;
    size_t size_bytes;
    char text[];
};

enum http_phase {
    HTTP_READING,   /* waits for a request, or is inside one */
    HTTP_WRITING,   /* one answer is under way; nothing more is read */
    HTTP_STREAMING, /* /events */
    HTTP_LINGERING, /* last answer sent: what still comes is thrown away, so that no reset
                       overtakes the answer */
    HTTP_CLOSING
};

struct http_listener {
    struct http_endpoints *endpoints;
    uv_tcp_t tcp;
    bool is_open, is_public;
    bool accept_waits; /* for memory */
    uint16_t port;
    uint32_t connection_count; /* without those that are closing */
};

struct http_connection {
    struct http_connection *previous, *next;
    struct http_listener *listener;
    uv_tcp_t tcp;
    uv_write_t write;
    uv_shutdown_t shutdown;
    enum http_phase phase;
    bool reading, write_under_way, close_after;
    uint64_t since_ms;     /* of the loop: when the phase, or the request, began */
    uint64_t progress_ms;  /* when the peer last took something */
    size_t unsent_bytes;   /* at that time */
    struct buffer input;   /* not parsed yet */
    struct buffer output;  /* under way */
    struct buffer waiting; /* a stream's next bytes; an answer's last part */
    struct view_text *document;
    struct http_request request;
};

struct http_endpoints {
    struct clock clock;
    uint32_t max_connections, idle_ms, header_ms, write_ms;
    uv_loop_t loop;
    uv_thread_t thread;
    uv_async_t wakeup;
    uv_timer_t sweep;
    struct http_listener listeners[2]; /* http, public */

    _Atomic(struct view *) next_view;
    _Atomic(struct http_event *) next_events; /* newest first */
    _Atomic uint32_t pending_events;
    atomic_bool stopping;
    uv_async_t *lease_polled; /* the main loop's; NULL: nobody wants to know */
    _Atomic uint64_t lease_polled_ms[SERVICE_MAX][REGION_MAX];
    uint64_t published_event; /* main loop's: number of the last one given */
    bool published_any;

    struct view *view;
    uint64_t lease_woken_ms[SERVICE_MAX][REGION_MAX];
    struct http_connection *connections;
    uint32_t stream_count;
    struct http_event *events[HTTP_EVENT_KEPT_MAX]; /* ring by number */
    uint64_t last_event;
    uint64_t counts[HTTP_ROUTE_COUNT][HTTP_CODE_MAX];
    uint64_t refused_connections;
    char read_bytes[HTTP_READ_BYTES];
};

/* http_connection.c */
void http_connection_accept(struct http_listener *listener);
void http_connection_close(struct http_connection *connection);
/* Ends what has lasted too long. */
void http_connection_sweep(struct http_connection *connection);
/* More bytes for a stream. */
void http_connection_push(struct http_connection *connection, const char *bytes, size_t size_bytes);

/* http_events.c */
/* Takes what the main loop has left, keeps it, and gives it to the streams. */
void http_events_take(struct http_endpoints *endpoints);
/* Gives a new stream what is kept behind event `last`. */
void http_events_begin(struct http_connection *connection, uint64_t last);
void http_events_finish(struct http_endpoints *endpoints);

/* http_scene.c */
/* The newest published view (NULL: none), as the scene of an answer on this listener. */
struct http_scene http_endpoints_scene(struct http_endpoints *endpoints, bool is_public);
/* The answer; a poll of a lease is noted, for the main loop. */
void http_endpoints_answer(struct http_endpoints *endpoints, const struct http_scene *scene,
                           const struct http_request *request, struct http_answer *ret);

/* http_endpoints.c */
void http_endpoints_count(struct http_endpoints *endpoints, enum http_route route, unsigned status);
/* Appends the thread's own metrics. */
void http_endpoints_render(const struct http_endpoints *endpoints, struct buffer *out);

#endif
