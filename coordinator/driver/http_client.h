/* HTTP requests on libcurl's multi interface and a libuv loop.
 *
 * Nothing blocks: names are resolved by libcurl's own threads. HTTP/1.1 only, and an `effect` gets
 * a fresh connection that nobody uses afterwards: on a reused one, or over HTTP/2, libcurl sends a
 * request again by itself. No redirects; a proxy only from the environment (HTTPS_PROXY, NO_PROXY).
 * Source: libcurl's CURLMOPT_SOCKETFUNCTION, CURLOPT_PREREQFUNCTION pages. */
#ifndef DRIVER_HTTP_CLIENT_H
#define DRIVER_HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/clock.h"
#include "base/error.h"

#define HTTP_CLIENT_RESPONSE_MAX ((size_t)4 * 1024 * 1024)
#define HTTP_CLIENT_HEADER_MAX 12
#define HTTP_CLIENT_CALL_MAX 256 /* at once */

struct http_request {
    const char *method; /* GET, POST, PUT */
    const char *url;    /* as it goes over the wire */
    const char *body;   /* NULL: none */
    size_t body_size_bytes;
    const char *headers[HTTP_CLIENT_HEADER_MAX]; /* "Name: value"; the first NULL ends the list */
    uint32_t timeout_ms;                         /* the whole, from now */
    uint32_t connect_timeout_ms;                 /* name, TCP, TLS */
    bool effect;
    uint64_t deadline_boottime_ms; /* no byte of the request leaves after it; 0: none */
    bool direct;                   /* never through a proxy (link-local services) */
};

struct http_response {
    /* OK: there is an HTTP reply, of any status. Else UNAVAILABLE (couldn't connect), TIMEOUT,
     * PROTOCOL, LIMIT, CANCELLED ... */
    struct error error;
    bool sent; /* the connection stood and the request began to leave: it may have arrived */
    long status;
    const char *body; /* not NUL-terminated by promise; "" when empty */
    size_t body_size_bytes;
    bool has_date;
    uint64_t date_wall_ms; /* the server's clock, from its Date header */
};

struct http_client;

/* Fires exactly once, never from inside http_client_send; nothing of the response outlives it. */
typedef void (*http_response_cb)(void *context, const struct http_response *response);

/* ca_file: instead of the system's CA certificates; NULL: those. */
enum error_code http_client_create(uv_loop_t *loop, const struct clock *clock, const char *ca_file,
                                   struct http_client **ret_http, struct error *error);

/* Copies what it needs of the request. */
void http_client_send(struct http_client *http, const struct http_request *request,
                      http_response_cb on_response, void *context);

/* For a caller that can't make its request: on_response fires as it would for one, with this error.
 */
void http_client_fail(struct http_client *http, const struct error *error,
                      http_response_cb on_response, void *context);

/* Every call that is still under way ends as CANCELLED, then on_closed fires and `http` is freed.
 * A send after it ends as CANCELLED too, as long as on_closed hasn't fired. */
void http_client_close(struct http_client *http, void (*on_closed)(void *context), void *context);

/* http:// is for loopback only, or with allow_link_local for the addresses of AWS's own local
 * services (169.254.0.0/16, fd00:ec2::/32); https:// for all. The base may have a path, no query.
 * INVALID says what is wrong. */
enum error_code http_check_url(const char *url, bool allow_link_local, struct error *error);

#endif
