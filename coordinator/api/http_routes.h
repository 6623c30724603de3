/* From a request and the current view to an answer. Pure: no socket, no clock. */
#ifndef API_HTTP_ROUTES_H
#define API_HTTP_ROUTES_H

#include <stdbool.h>
#include <stdint.h>

#include "api/view.h"
#include "base/buffer.h"
#include "http_request.h"

/* What is counted and shown as `path` in noctua_http_requests_total. */
enum http_route {
#define HTTP_ROUTE_TABLE(X)                                                                        \
    X(LIVEZ, "livez")                                                                              \
    X(READYZ, "readyz")                                                                            \
    X(LEADER, "leader")                                                                            \
    X(ACTIVE, "active")                                                                            \
    X(PRIMARY, "primary")                                                                          \
    X(LEASE, "lease")                                                                              \
    X(SWITCH, "switch")                                                                            \
    X(STATUS, "status")                                                                            \
    X(METRICS, "metrics")                                                                          \
    X(EVENTS, "events")                                                                            \
    X(OTHER, "other")
#define X(name, text) HTTP_ROUTE_##name,
    HTTP_ROUTE_TABLE(X)
#undef X
        HTTP_ROUTE_COUNT
};

/* What the route depends on beside the request. */
struct http_scene {
    const struct view *view; /* NULL: none published yet */
    bool is_public;          /* asked on the public listener */
    uint64_t now_ms;         /* CLOCK_BOOTTIME */
};

#define HTTP_SMALL_MAX 512

struct http_answer {
    enum http_route route;
    unsigned status;
    const char *content_type;
    char body[HTTP_SMALL_MAX];  /* text of most answers */
    struct view_text *document; /* not NULL: the body instead, held by the view */
    bool allow;                 /* say which methods there are */
    bool stream;                /* /events: goes on after the header */
    uint64_t lease_ask_ms;    /* /lease: it is asked for so often while it is polled; 0: it isn't */
    uint32_t service, region; /* whose, by place in the view */
};

void http_route_request(const struct http_scene *scene, const struct http_request *request,
                        struct http_answer *ret);
/* The answer to a request that was refused while it was parsed, or that came too late or too many.
 */
void http_route_refusal(unsigned status, struct http_answer *ret);

const char *http_route_text(enum http_route route);
const char *http_status_text(unsigned status);

#endif
