/* The HTTP endpoints that load balancers, health checkers and people poll (DESIGN, "Endpoints"), on
 * a thread and a loop of their own: answered from the last published view, with no disk, no lock
 * and no name lookup, so that a storm of pollers and a stalled disk can't touch each other.
 *
 *   /livez /readyz [?verbose]         200/503
 *   /leader                           200 on the leader, else 503
 *   /services/S/regions/R/active      200 if R serves S by committed state, else 503
 *   /services/S/regions/R/lease       200 {"epoch", "expires_in_ms"} while R holds it, else 503
 *   /services/S/primary               200 with the region, 503 while none takes writes
 *   /switch/S/R                       200, body KEEP-R or EVICT-R; 503 while nothing is known
 *   /status /metrics /events          JSON, Prometheus text, server-sent events
 *
 * GET, HEAD and OPTIONS; never a redirect. Losing quorum changes no answer but /readyz and /lease:
 * the last committed one goes on, its age in Noctua-Age-Ms (absent while there never was a quorum).
 * The `public` listener serves /switch, /lease and /livez only. */
#ifndef API_HTTP_ENDPOINTS_H
#define API_HTTP_ENDPOINTS_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "api/view.h"
#include "base/clock.h"
#include "base/error.h"

#define HTTP_HEADER_MAX_BYTES 8192 /* request line and headers; over it: 431 */
#define HTTP_BODY_MAX_BYTES 1024   /* read and ignored; over it: 413 */
#define HTTP_CONNECTION_MAX 4096   /* highest max_connections */
#define HTTP_CONNECTION_DEFAULT 512
#define HTTP_EVENT_CLIENT_MAX 16 /* streams of /events at once; over it: 503 */
#define HTTP_EVENT_KEPT_MAX 256  /* events that a new stream can be given (Last-Event-ID) */
#define HTTP_OUTPUT_MAX_BYTES (1024 * 1024) /* unread by a client; over it: closed */
#define HTTP_IDLE_MS 30000                  /* between requests */
#define HTTP_HEADER_MS 5000                 /* from a request's first byte to its last */
#define HTTP_WRITE_MS 10000                 /* nothing of an answer taken for so long: closed */
#define HTTP_LIVE_MS 60000                  /* no view published for so long: the main loop hangs */

struct http_endpoints;

struct http_endpoints_options {
    const struct clock *clock;
    const char *http_host;   /* IP literal */
    uint16_t http_port;      /* 0: any free one */
    const char *public_host; /* NULL: no public listener */
    uint16_t public_port;
    uint32_t max_connections; /* a listener; 0: HTTP_CONNECTION_DEFAULT. A full one drops the
                                 connection that has been idle longest, or answers 503 */
    uint32_t idle_ms, header_ms, write_ms; /* 0: as above; tests shorten them */
    uv_async_t *lease_polled; /* sent, from the thread, when a lease is polled that should be asked
                                 for; the caller's, for longer than the endpoints. NULL: none */
};

/* Listens and starts the thread. ERROR_INVALID: an address; ERROR_IO: can't listen; both say where.
 */
enum error_code http_endpoints_create(const struct http_endpoints_options *options,
                                      struct http_endpoints **ret_endpoints, struct error *error);

/* The ports listened on (as chosen, when 0 was asked for); 0: no such listener. */
uint16_t http_endpoints_port(const struct http_endpoints *endpoints);
uint16_t http_endpoints_public_port(const struct http_endpoints *endpoints);

/* Replaces what is answered. Takes the caller's reference over. Never blocks. Call it after each
 * apply, and at least each second while nothing is applied. */
void http_endpoints_publish(struct http_endpoints *endpoints, struct view *view);

/* Gives /events what state->events has gained since the last call (the first call: the newest
 * HTTP_EVENT_KEPT_MAX). Never blocks. */
void http_endpoints_publish_events(struct http_endpoints *endpoints, const struct state *state);

/* CLOCK_BOOTTIME when /lease of a service in a region (places in the view's spec) was last polled;
 * 0: never. From any thread. */
uint64_t http_endpoints_lease_polled_ms(const struct http_endpoints *endpoints, uint32_t service,
                                        uint32_t region);

/* Closes everything, joins the thread, frees. NULL: nothing. */
void http_endpoints_destroy(struct http_endpoints *endpoints);

#endif
