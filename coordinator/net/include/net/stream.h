/* One mutual-TLS connection over TCP on a libuv loop, for either side, and a listener that makes
 * such connections with everything unauthenticated bounded. Used by the peer links, the client API
 * and noctuactl. All of it belongs to the loop's thread.
 *
 * The TLS work happens in memory on the loop. TCP_NODELAY, keepalive and TCP_USER_TIMEOUT are set;
 * connecting and the handshake have deadlines.
 *
 * Life of a stream: connect or accept -> on_ready (handshake done, the other side's certificate
 * verified, of our cluster) -> on_data ... -> on_closed, exactly once, after which the stream is
 * freed by itself. on_closed also comes without on_ready, when that failed. */
#ifndef NET_STREAM_H
#define NET_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/error.h"
#include "net/tls.h"

struct tls_stream;

enum {
    TLS_STREAM_CONNECT_DEADLINE_MS = 1000, /* a dropped SYN would be sent again after 1 s anyway */
    TLS_STREAM_HANDSHAKE_DEADLINE_MS = 3000,
    TLS_STREAM_USER_TIMEOUT_MS = 10000, /* sent and not acknowledged for so long: dead */
    TLS_STREAM_LINGER_MS = 1000,        /* tls_stream_finish: flush and the other side's end */
    TLS_STREAM_ADDRESS_SIZE = 64,       /* "192.0.2.1:7600", "[2001:db8::1]:7600" */
};

struct tls_stream_callbacks {
    /* `peer` is valid as long as the stream. */
    void (*on_ready)(struct tls_stream *stream, const struct tls_peer *peer, void *context);
    /* Plain bytes, as they come; valid only during the call. */
    void (*on_data)(struct tls_stream *stream, const void *bytes, size_t size_bytes, void *context);
    /* The end; `error->code` is ERROR_OK when the owner closed it. Every write callback has run. */
    void (*on_closed)(struct tls_stream *stream, const struct error *error, void *context);
};

/* ERROR_OK: handed to the kernel. Else the stream ended before (ERROR_UNAVAILABLE, or
 * ERROR_CANCELLED when the owner closed it). Never called from inside tls_stream_write. */
typedef void (*tls_stream_write_callback)(enum error_code code, void *context);

/* Begins to connect. On failure (no stream, no callback) *ret_stream is untouched; handles may yet
 * close in the loop's next iteration. */
enum error_code tls_stream_connect(uv_loop_t *loop, struct tls_identity *identity,
                                   const struct sockaddr *address, size_t max_buffered_bytes,
                                   const struct tls_stream_callbacks *callbacks, void *context,
                                   struct tls_stream **ret_stream, struct error *error);

/* Encrypts the buffers, in order, and queues them; they may be freed on return. Only after
 * on_ready. ERROR_UNAVAILABLE: closing or not ready. ERROR_LIMIT: the output that waits already,
 * and this, are over max_buffered_bytes (a single larger write is taken while nothing waits). On an
 * error nothing was queued and `callback` (may be NULL) isn't called. */
enum error_code tls_stream_write(struct tls_stream *stream, const uv_buf_t *buffers,
                                 size_t buffer_count, tls_stream_write_callback callback,
                                 void *context);
/* Output that the kernel has not taken yet. */
size_t tls_stream_buffered_bytes(const struct tls_stream *stream);

/* Ends it now; what waits is dropped. No on_ready or on_data any more; on_closed comes later, never
 * from inside this call. May be called in any callback and again, except after on_closed. */
void tls_stream_close(struct tls_stream *stream);
/* Ends it politely: what waits is sent, then the other side's end is awaited, both within
 * TLS_STREAM_LINGER_MS, so that the last words arrive. No on_data any more. */
void tls_stream_finish(struct tls_stream *stream);

/* False: no on_data until true again (the kernel's buffers fill, and the other side waits). While
 * it is false the other side's end isn't noticed either. */
void tls_stream_set_reading(struct tls_stream *stream, bool reading);

/* Who is at the other side; NULL before on_ready. */
const struct tls_peer *tls_stream_peer(const struct tls_stream *stream);
/* Numeric address and port of the other side. */
const char *tls_stream_address(const struct tls_stream *stream);
/* Checks the other side's certificate again, against a renewed identity (new CA or CRL). */
enum error_code tls_stream_verify_again(const struct tls_stream *stream,
                                        struct tls_identity *identity, struct error *error);

struct tls_listener;

struct tls_listener_options {
    const char *host; /* numeric: "0.0.0.0", "::", "127.0.0.1" */
    uint16_t port;    /* 0: the kernel chooses, see tls_listener_port */
    /* Connections at once that haven't proved who they are; the oldest makes room. 0: 64 */
    unsigned max_unauthenticated;
    /* Connections at once in all; more are closed at once. 0: 1024 */
    unsigned max_connections;
    size_t max_buffered_bytes; /* of each stream, see tls_stream_write */
    /* A stream with a verified other side. Must call tls_stream_attach or tls_stream_close. */
    void (*on_stream)(struct tls_listener *listener, struct tls_stream *stream,
                      const struct tls_peer *peer, void *context);
    /* A connection ended before it proved anything. For a log line (limit its rate); may be NULL.
     */
    void (*on_rejected)(struct tls_listener *listener, const char *address,
                        const struct error *error, void *context);
    void *context;
};

/* Binds and listens. Streams made from it outlive it. After a failure handles may yet close in the
 * loop's next iteration. */
enum error_code tls_listener_create(uv_loop_t *loop, struct tls_identity *identity,
                                    const struct tls_listener_options *options,
                                    struct tls_listener **ret_listener, struct error *error);
uint16_t tls_listener_port(const struct tls_listener *listener);
/* New connections use the new identity from now on. Takes a reference. */
void tls_listener_set_identity(struct tls_listener *listener, struct tls_identity *identity);
/* Closes the listener and every stream that is not attached; `closed` (may be NULL) comes when
 * nothing of it is left, then the listener is freed. Attached streams go on. */
void tls_listener_close(struct tls_listener *listener, void (*closed)(void *context),
                        void *context);

/* Takes over a stream in on_stream: its events go to `callbacks` from now on (on_ready isn't
 * called again, and may be NULL). */
void tls_stream_attach(struct tls_stream *stream, const struct tls_stream_callbacks *callbacks,
                       void *context);

#endif
