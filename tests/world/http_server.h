/* A small HTTP/1.1 server on one libuv loop, bounded against garbage. Each request becomes an
 * exchange, which its handler must complete exactly once: at once or minutes later, also when the
 * client has gone meanwhile. A server can be made to misbehave: refuse, reset or never answer. */
#ifndef WORLD_HTTP_SERVER_H
#define WORLD_HTTP_SERVER_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/clock.h"
#include "base/error.h"
#include "http_message.h"

#define HTTP_BODY_MAX_BYTES (1024 * 1024)
#define HTTP_HEAD_MAX_BYTES (64 * 1024)
/* What a client may send ahead while its last request is being answered. */
#define HTTP_PIPELINE_MAX_BYTES (64 * 1024)
#define HTTP_CONNECTIONS_MAX 512
#define HTTP_IDLE_TIMEOUT_MS (60 * 1000)
#define HTTP_REQUEST_ID_SIZE 37

struct http_server;
struct http_connection;

struct http_exchange {
    struct http_request request;
    char request_id[HTTP_REQUEST_ID_SIZE]; /* sent as x-amzn-RequestId */
    /* The reply is sent so much later. */
    uint64_t reply_delay_ms;
    struct http_connection *connection; /* NULL: the client has gone */
};

typedef void (*http_handler)(void *context, struct http_exchange *exchange);

struct http_server_options {
    uv_loop_t *loop;
    http_handler handler;
    void *context;
    const struct clock *clock; /* for the Date header */
    uint16_t port;             /* 0: any; it stays the same for the server's life */
    SSL_CTX *tls;              /* NULL: plain; borrowed */
};

/* Binds the port on 127.0.0.1 and listens. Errors: IO. */
enum error_code http_server_create(const struct http_server_options *options,
                                   struct http_server **ret_server, struct error *error);
/* Closes everything; the memory goes when the loop has run the close callbacks. Takes NULL. Open
 * exchanges stay valid, their clients have gone. */
void http_server_destroy(struct http_server *server);

uint16_t http_server_port(const struct http_server *server);

enum http_server_mode {
    HTTP_SERVER_SERVE,
    HTTP_SERVER_RESET,  /* accepts, then resets */
    HTTP_SERVER_REFUSE, /* no listener: connecting is refused. The port stays reserved */
};

/* Entering another mode than SERVE resets the connections that are there. Errors: IO (the listener
 * can't be opened again). */
enum error_code http_server_set_mode(struct http_server *server, enum http_server_mode mode,
                                     struct error *error);

/* Completes the exchange with a reply. extra_headers: whole lines with CRLF, or NULL. */
void http_exchange_reply(struct http_exchange *exchange, int status, const char *content_type,
                         const char *extra_headers, const char *body, size_t body_bytes);
/* Completes it without a reply: the connection is closed. */
void http_exchange_drop(struct http_exchange *exchange);
/* Completes it by leaving the client without an answer for as long as it stays. */
void http_exchange_park(struct http_exchange *exchange);

/* Closes the client's connection now; the exchange goes on without one. */
void http_exchange_detach(struct http_exchange *exchange);
/* A second exchange of the same request, without a client. */
struct http_exchange *http_exchange_copy(const struct http_exchange *exchange);

#endif
