/* HTTP requests to AWS, signed or plain, on libcurl's multi interface and a libuv loop.
 *
 * Nothing blocks: names are resolved by libcurl's own threads. HTTP/1.1 only, and an `effect` gets
 * a fresh connection that nobody uses afterwards: on a reused one, or over HTTP/2, libcurl sends a
 * request again by itself. No redirects; a proxy only from the environment (HTTPS_PROXY, NO_PROXY).
 * Source: libcurl's CURLOPT_AWS_SIGV4, CURLMOPT_SOCKETFUNCTION, CURLOPT_PREREQFUNCTION pages. */
#ifndef DRIVER_AWS_HTTP_H
#define DRIVER_AWS_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/clock.h"
#include "base/error.h"

#define AWS_HTTP_RESPONSE_MAX ((size_t)4 * 1024 * 1024)
#define AWS_HTTP_HEADER_MAX 8
#define AWS_HTTP_CALL_MAX 256 /* at once */
#define AWS_ACCESS_KEY_SIZE 129
#define AWS_SECRET_SIZE 257
#define AWS_TOKEN_SIZE 8193

/* Secret: zeroed with explicit_bzero before its memory is given back; never logged. */
struct aws_keys {
    char access_key_id[AWS_ACCESS_KEY_SIZE];
    char secret_access_key[AWS_SECRET_SIZE];
    char session_token[AWS_TOKEN_SIZE]; /* "": long-lived keys */
};

struct aws_http_request {
    const char *method; /* GET, POST, PUT */
    const char *url;    /* as it goes over the wire; the query sorted and strictly encoded */
    const char *body;   /* NULL: none */
    size_t body_size_bytes;
    const char *headers[AWS_HTTP_HEADER_MAX]; /* "Name: value"; the first NULL ends the list */
    const struct aws_keys *keys;              /* NULL: not signed */
    const char *sign_service, *sign_region;   /* with keys */
    uint32_t timeout_ms;                      /* the whole, from now */
    uint32_t connect_timeout_ms;              /* name, TCP, TLS */
    bool effect;
    uint64_t deadline_boottime_ms; /* no byte of the request leaves after it; 0: none */
    bool direct;                   /* never through a proxy (link-local services) */
};

struct aws_http_response {
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

struct aws_http;

/* Fires exactly once, never from inside aws_http_send; nothing of the response outlives it. */
typedef void (*aws_http_cb)(void *context, const struct aws_http_response *response);

/* CA certificates: the system's, or AWS_CA_BUNDLE. */
enum error_code aws_http_create(uv_loop_t *loop, const struct clock *clock,
                                struct aws_http **ret_http, struct error *error);

/* Copies what it needs of the request. */
void aws_http_send(struct aws_http *http, const struct aws_http_request *request,
                   aws_http_cb on_response, void *context);

/* Every call that is still under way ends as CANCELLED, then on_closed fires and `http` is freed.
 * A send after it ends as CANCELLED too, as long as on_closed hasn't fired. */
void aws_http_close(struct aws_http *http, void (*on_closed)(void *context), void *context);

/* http:// is for loopback only, or with allow_link_local for the addresses of AWS's own local
 * services (169.254.0.0/16, fd00:ec2::/32); https:// for all. The base may have a path, no query.
 * INVALID says what is wrong. */
enum error_code aws_http_check_url(const char *url, bool allow_link_local, struct error *error);

#endif
