/* One connection of an http_server (private to the server): bytes in, parsed requests out, one at a
 * time; replies in, bytes out. */
#ifndef WORLD_HTTP_CONNECTION_H
#define WORLD_HTTP_CONNECTION_H

#include <http_parser.h>
#include <uv.h>

#include "base/buffer.h"
#include "http_server.h"
#include "tls_channel.h"

struct http_connection {
    uv_tcp_t tcp;
    uv_timer_t timer; /* idle, or the delay of a reply */
    unsigned open_handles;
    struct http_server *server;
    struct http_connection *previous, *next; /* in the server's list */
    struct tls_channel *tls;                 /* NULL: plain */
    http_parser parser;
    struct buffer input; /* not parsed yet */
    struct http_request request;
    struct buffer url;
    struct buffer header_name, header_value;
    struct buffer body;
    size_t head_bytes;
    int refusal_status; /* a limit was broken while parsing: answer this, then close */
    bool in_request;    /* bytes of a request have been seen */
    bool in_value;      /* the last part of a header that came was of its value */
    bool complete;
    bool dispatching; /* inside the handler: what follows is parsed when it returns */
    bool keep_alive;
    bool closing;
    bool ending;                    /* close when the last write is done */
    bool lingering;                 /* ending, but only when the client or the timer says so */
    struct http_exchange *exchange; /* the one that is being answered, or parked */
    bool parked;
    struct buffer reply; /* waits for its delay */
};

struct http_server {
    struct http_server_options options;
    uv_tcp_t *listener; /* NULL: refusing */
    int holder_socket;  /* bound, never listening: keeps the port ours */
    uint16_t port;
    enum http_server_mode mode;
    struct http_connection *connections;
    size_t connection_count;
    bool destroyed;
};

/* Takes the client that waits at the listener. */
void http_connection_accept(struct http_server *server);
/* reset: with RST rather than FIN. */
void http_connection_close(struct http_connection *connection, bool reset);
/* Writes the reply of the open exchange after its delay (the exchange is freed by the caller). */
void http_connection_reply(struct http_connection *connection, uint64_t delay_ms,
                           const struct buffer *reply);
/* A connection has ended: the server may be gone with it. */
void http_server_forget_connection(struct http_server *server, struct http_connection *connection);
struct http_exchange *http_exchange_create(void);
void http_exchange_destroy(struct http_exchange *exchange);

#endif
