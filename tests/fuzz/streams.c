#include "streams.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct tls_listener_options streams_listener;
struct tls_stream *streams_dialled;

struct tls_stream *streams_create(const struct tls_peer *peer) {
    struct tls_stream *stream = calloc(1, sizeof *stream);
    if (stream != NULL) {
        stream->peer = *peer;
        buffer_init(&stream->output, 0);
    }
    return stream;
}

void streams_say(struct tls_stream *stream, const void *bytes, size_t size_bytes) {
    if (!stream->closing && stream->callbacks != NULL && size_bytes > 0) {
        stream->callbacks->on_data(stream, bytes, size_bytes, stream->context);
    }
}

void streams_end(struct tls_stream *stream, bool sent) {
    struct error error = {.code = sent ? ERROR_OK : ERROR_UNAVAILABLE};
    for (uint32_t i = 0; i < stream->write_count; i++) { /* telling one may write more */
        stream->writes[i].callback(error.code, stream->writes[i].context);
    }
    stream->closing = true;
    if (stream->callbacks != NULL) {
        stream->callbacks->on_closed(stream, &error, stream->context);
    }
    buffer_finish(&stream->output);
    free(stream);
}

/* --- the names of net/stream.h --- */

enum error_code tls_listener_create(uv_loop_t *loop, struct tls_identity *identity,
                                    const struct tls_listener_options *options,
                                    struct tls_listener **ret_listener, struct error *error) {
    static char listener;
    (void)loop;
    (void)identity;
    (void)error;
    streams_listener = *options;
    *ret_listener = (struct tls_listener *)&listener;
    return ERROR_OK;
}

uint16_t tls_listener_port(const struct tls_listener *listener) {
    (void)listener;
    return 1;
}

void tls_listener_set_identity(struct tls_listener *listener, struct tls_identity *identity) {
    (void)listener;
    (void)identity;
}

void tls_listener_close(struct tls_listener *listener, void (*closed)(void *context),
                        void *context) {
    (void)listener;
    closed(context);
}

enum error_code tls_stream_connect(uv_loop_t *loop, struct tls_identity *identity,
                                   const struct sockaddr *address, size_t max_buffered_bytes,
                                   const struct tls_stream_callbacks *callbacks, void *context,
                                   struct tls_stream **ret_stream, struct error *error) {
    static const struct tls_peer nobody;
    (void)loop;
    (void)identity;
    (void)address;
    (void)max_buffered_bytes;
    assert(streams_dialled == NULL);
    streams_dialled = streams_create(&nobody);
    if (streams_dialled == NULL) {
        return error_set(error, ERROR_NO_MEMORY, "no memory for a stream");
    }
    *ret_stream = streams_dialled;
    tls_stream_attach(streams_dialled, callbacks, context);
    return ERROR_OK;
}

void tls_stream_attach(struct tls_stream *stream, const struct tls_stream_callbacks *callbacks,
                       void *context) {
    stream->callbacks = callbacks;
    stream->context = context;
}

enum error_code tls_stream_write(struct tls_stream *stream, const uv_buf_t *buffers,
                                 size_t buffer_count, tls_stream_write_callback callback,
                                 void *context) {
    if (stream->closing || stream->write_count == STREAM_WRITE_MAX) {
        return ERROR_UNAVAILABLE;
    }
    for (size_t i = 0; i < buffer_count; i++) {
        buffer_append(&stream->output, buffers[i].base, buffers[i].len);
    }
    if (stream->output.failed) {
        return ERROR_UNAVAILABLE;
    }
    if (callback != NULL) {
        stream->writes[stream->write_count++] = (struct stream_write){callback, context};
    }
    return ERROR_OK;
}

size_t tls_stream_buffered_bytes(const struct tls_stream *stream) {
    (void)stream;
    return 0;
}

void tls_stream_close(struct tls_stream *stream) {
    stream->closing = true;
}

void tls_stream_finish(struct tls_stream *stream) {
    stream->closing = true;
}

const struct tls_peer *tls_stream_peer(const struct tls_stream *stream) {
    return &stream->peer;
}

const char *tls_stream_address(const struct tls_stream *stream) {
    (void)stream;
    return "192.0.2.1:1";
}

enum error_code tls_stream_verify_again(const struct tls_stream *stream,
                                        struct tls_identity *identity, struct error *error) {
    (void)stream;
    (void)identity;
    (void)error;
    return ERROR_OK;
}

/* --- net/tls.h --- */

struct tls_identity *tls_identity_ref(struct tls_identity *identity) {
    return identity;
}

void tls_identity_unref(struct tls_identity *identity) {
    (void)identity;
}

/* Node n2 of the group `noctua`, whoever asks. */
const struct tls_peer *tls_identity_self(const struct tls_identity *identity) {
    static const struct tls_peer self = {.kind = TLS_KIND_NODE, .cluster = "noctua", .name = "n2"};
    (void)identity;
    return &self;
}
