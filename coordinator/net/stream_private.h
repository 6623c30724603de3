/* The inside of a stream, shared by stream.c (one connection) and listener.c (many that come in).
 */
#ifndef NET_STREAM_PRIVATE_H
#define NET_STREAM_PRIVATE_H

#include "net/stream.h"
#include "stream_bio.h"
#include "tls_private.h"

enum { STREAM_READ_BYTES = 32 * 1024 };

/*  CONNECTING -> HANDSHAKE -> READY -> LINGERING -> CLOSING; each may fall to CLOSING at once.
 *  A handshake that we refuse goes to LINGERING, so that the other side hears why. */
enum stream_state {
    STREAM_CONNECTING,
    STREAM_HANDSHAKE,
    STREAM_READY,
    STREAM_LINGERING,
    STREAM_CLOSING
};

struct tls_stream {
    enum stream_state state;
    unsigned open_handles;
    uv_tcp_t tcp;
    uv_timer_t timer; /* deadline of the state; when READY: goes on after a pause */
    uv_connect_t connect;
    uv_shutdown_t shutdown;
    struct tls_identity *identity;
    SSL *ssl;
    struct tls_check check;
    struct stream_bio ends;
    struct buffer held; /* input that came before a pause and wasn't decrypted yet */
    bool paused;
    bool pumping;
    bool abandoned; /* never given to the owner: closes without a word */
    size_t max_buffered_bytes;
    struct tls_stream_callbacks callbacks;
    void *context;
    struct error error; /* why it ends */
    struct tls_listener *listener;
    struct tls_stream *previous, *next; /* in the listener's list, oldest first */
    bool attached;
    char address[TLS_STREAM_ADDRESS_SIZE];
    char read_buffer[STREAM_READ_BYTES];
};

/* For the listener: takes the next connection of `server`. NULL: there was none, or no memory. It
 * may be ending already. */
struct tls_stream *stream_accept(uv_stream_t *server, struct tls_identity *identity,
                                 size_t max_buffered_bytes, struct tls_listener *listener);
void stream_end(struct tls_stream *stream, enum error_code code, const char *message);

/* From the stream to its listener (stream->listener is not NULL). */
void listener_on_accepted(struct tls_stream *stream);
void listener_on_ready(struct tls_stream *stream);
void listener_on_ending(struct tls_stream *stream);
void listener_on_closed(struct tls_stream *stream);

#endif
