#include "net/stream.h"

#include <assert.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

#include "stream_private.h"

enum {
    KEEPALIVE_SECONDS = 5,
    RECORD_BYTES = 16 * 1024 /* plain bytes in a TLS record */
};

struct write_request {
    uv_write_t request;
    struct tls_stream *stream;
    tls_stream_write_callback callback;
    void *context;
    char *bytes;
};

static void pump(struct tls_stream *stream);

static void on_handle_closed(uv_handle_t *handle) {
    struct tls_stream *stream = handle->data;
    if (--stream->open_handles > 0) {
        return;
    }
    assert(stream->state == STREAM_CLOSING);
    if (stream->listener != NULL) {
        listener_on_closed(stream);
    } else if (!stream->abandoned) {
        stream->callbacks.on_closed(stream, &stream->error, stream->context);
    }
    SSL_free(stream->ssl);
    buffer_finish(&stream->ends.output);
    buffer_finish(&stream->held);
    tls_identity_unref(stream->identity);
    free(stream);
}

/* The only way to the end. Handles close in this loop iteration, so that the owner hears of a FIN
 * or RST at once. */
void stream_end(struct tls_stream *stream, enum error_code code, const char *message) {
    if (stream->state == STREAM_CLOSING) {
        return;
    }
    if (stream->state != STREAM_LINGERING) {
        error_set(&stream->error, code, "%s", message);
    }
    stream->state = STREAM_CLOSING;
    if (stream->listener != NULL) {
        listener_on_ending(stream);
    }
    uv_close((uv_handle_t *)&stream->tcp, on_handle_closed);
    uv_close((uv_handle_t *)&stream->timer, on_handle_closed);
}

static void on_written(uv_write_t *request, int status) {
    struct write_request *write = (struct write_request *)request;
    struct tls_stream *stream = write->stream;
    if (status != 0 && stream->state != STREAM_CLOSING) {
        stream_end(stream, ERROR_UNAVAILABLE, uv_strerror(status));
    }
    if (write->callback != NULL) {
        enum error_code code = status == 0                      ? ERROR_OK
                               : stream->error.code == ERROR_OK ? ERROR_CANCELLED
                                                                : ERROR_UNAVAILABLE;
        write->callback(code, write->context);
    }
    free(write->bytes);
    free(write);
}

/* What the kernel takes now, which is nearly always all, and spares a request and a turn of the
 * loop. Nothing behind others; an error shows when the rest is queued. */
static size_t send_at_once(struct tls_stream *stream) {
    const struct buffer *output = &stream->ends.output;
    uv_buf_t buffer = uv_buf_init(output->data, (unsigned)output->size_bytes);
    int sent = uv_try_write((uv_stream_t *)&stream->tcp, &buffer, 1);
    return sent > 0 ? (size_t)sent : 0;
}

/* Keeps the memory for the next record, but not that of something large. */
static void output_clear(struct buffer *output) {
    if (output->size_bytes > RECORD_BYTES) {
        free(buffer_take(output));
    }
    output->size_bytes = 0;
}

/* Sends what OpenSSL has left in the output. False: the stream is (now) ending; no callback. */
static bool flush(struct tls_stream *stream, tls_stream_write_callback callback, void *context) {
    if (stream->state == STREAM_CLOSING) {
        return false;
    }
    size_t size_bytes = stream->ends.output.size_bytes;
    if (stream->ends.output.failed) {
        stream_end(stream, ERROR_NO_MEMORY, "no memory for output");
        return false;
    }
    if (size_bytes == 0) {
        assert(callback == NULL);
        return true;
    }
    size_t sent_bytes = callback == NULL ? send_at_once(stream) : 0;
    if (sent_bytes == size_bytes) {
        output_clear(&stream->ends.output);
        return true;
    }
    struct write_request *write = calloc(1, sizeof *write);
    if (write == NULL) {
        stream_end(stream, ERROR_NO_MEMORY, "no memory for output");
        return false;
    }
    write->stream = stream;
    write->callback = callback;
    write->context = context;
    write->bytes = buffer_take(&stream->ends.output);
    uv_buf_t buffer = uv_buf_init(write->bytes + sent_bytes, (unsigned)(size_bytes - sent_bytes));
    int rv = uv_write(&write->request, (uv_stream_t *)&stream->tcp, &buffer, 1, on_written);
    if (rv != 0) {
        free(write->bytes);
        free(write);
        stream_end(stream, ERROR_UNAVAILABLE, uv_strerror(rv));
        return false;
    }
    return true;
}

static void on_deadline(uv_timer_t *timer) {
    struct tls_stream *stream = timer->data;
    switch (stream->state) {
    case STREAM_CONNECTING:
        stream_end(stream, ERROR_TIMEOUT, "no connection within 1 s");
        break;
    case STREAM_HANDSHAKE:
        stream_end(stream, ERROR_TIMEOUT, "no TLS handshake within 3 s");
        break;
    case STREAM_LINGERING:
        stream_end(stream, ERROR_OK, ""); /* the error stays what it was */
        break;
    case STREAM_READY:
        pump(stream);
        break;
    case STREAM_CLOSING:
        break;
    }
}

static void on_shutdown(uv_shutdown_t *request, int status) {
    struct tls_stream *stream = request->data;
    if (status != 0) {
        stream_end(stream, ERROR_OK, "");
    }
}

/* Sends what there is and our end, then waits for the other side's: closing with unread input would
 * send a RST, which can overtake our last words. */
static void linger(struct tls_stream *stream, const struct error *error) {
    stream->error = *error;
    bool was_paused = stream->paused;
    stream->paused = false;
    if (!flush(stream, NULL, NULL)) {
        return;
    }
    stream->state = STREAM_LINGERING;
    stream->shutdown.data = stream;
    uv_timer_start(&stream->timer, on_deadline, TLS_STREAM_LINGER_MS, 0);
    int rv = uv_shutdown(&stream->shutdown, (uv_stream_t *)&stream->tcp, on_shutdown);
    if (rv != 0) {
        stream_end(stream, ERROR_OK, "");
    } else if (was_paused) {
        tls_stream_set_reading(stream, true);
    }
}

static void fail_session(struct tls_stream *stream) {
    struct error error = {.code = ERROR_OK};
    tls_session_describe_failure(stream->ssl, &stream->check, &error);
    linger(stream, &error);
}

static void on_handshake_done(struct tls_stream *stream) {
    stream->state = STREAM_READY;
    uv_timer_stop(&stream->timer);
    if (!flush(stream, NULL, NULL)) {
        return;
    }
    if (stream->listener != NULL) {
        listener_on_ready(stream);
    } else {
        stream->callbacks.on_ready(stream, &stream->check.peer, stream->context);
    }
}

/* One call of OpenSSL. False: nothing more to do now. */
static bool pump_once(struct tls_stream *stream) {
    char plain[RECORD_BYTES];
    size_t got = 0;
    ERR_clear_error();
    int rv = stream->state == STREAM_HANDSHAKE
                 ? SSL_do_handshake(stream->ssl)
                 : SSL_read_ex(stream->ssl, plain, sizeof plain, &got);
    if (rv == 1) {
        if (stream->state == STREAM_HANDSHAKE) {
            on_handshake_done(stream);
        } else {
            stream->callbacks.on_data(stream, plain, got, stream->context);
        }
        return true;
    }
    switch (SSL_get_error(stream->ssl, rv)) {
    case SSL_ERROR_WANT_READ:
        break;
    case SSL_ERROR_ZERO_RETURN:
        stream_end(stream, ERROR_UNAVAILABLE, "closed by the other side");
        break;
    default:
        fail_session(stream);
        break;
    }
    return false;
}

/* Decrypts the input that there is. What a pause leaves over is held. */
static void pump(struct tls_stream *stream) {
    if (stream->pumping) {
        return;
    }
    stream->pumping = true;
    struct buffer held = stream->held;
    buffer_init(&stream->held, 0);
    if (held.size_bytes > 0) {
        assert(stream->ends.input_bytes == 0);
        stream->ends.input = (const uint8_t *)held.data;
        stream->ends.input_bytes = held.size_bytes;
    }
    bool more = true;
    while (more && !stream->paused &&
           (stream->state == STREAM_HANDSHAKE || stream->state == STREAM_READY)) {
        more = pump_once(stream);
    }
    if (stream->paused && stream->ends.input_bytes > 0 &&
        !buffer_append(&stream->held, stream->ends.input, stream->ends.input_bytes)) {
        stream_end(stream, ERROR_NO_MEMORY, "no memory for input");
    }
    stream->ends.input = NULL;
    stream->ends.input_bytes = 0;
    buffer_finish(&held);
    stream->pumping = false;
    if (stream->state == STREAM_HANDSHAKE || stream->state == STREAM_READY) {
        (void)flush(stream, NULL, NULL);
    }
}

static void on_allocate(uv_handle_t *handle, size_t suggested_bytes, uv_buf_t *ret_buffer) {
    struct tls_stream *stream = handle->data;
    (void)suggested_bytes;
    *ret_buffer = uv_buf_init(stream->read_buffer, sizeof stream->read_buffer);
}

static void on_read(uv_stream_t *handle, ssize_t size_bytes, const uv_buf_t *buffer) {
    struct tls_stream *stream = handle->data;
    if (size_bytes == UV_EOF) {
        stream_end(stream, ERROR_UNAVAILABLE,
                   stream->state == STREAM_HANDSHAKE
                       ? "closed by the other side during the TLS handshake"
                       : "closed by the other side");
    } else if (size_bytes < 0) {
        stream_end(stream, ERROR_UNAVAILABLE, uv_strerror((int)size_bytes));
    } else if (size_bytes > 0 && stream->state != STREAM_LINGERING) {
        assert(stream->ends.input_bytes == 0 && !stream->paused);
        if (stream->held.size_bytes > 0) {
            /* Just resumed: what is held comes first. */
            if (!buffer_append(&stream->held, buffer->base, (size_t)size_bytes)) {
                stream_end(stream, ERROR_NO_MEMORY, "no memory for input");
                return;
            }
        } else {
            stream->ends.input = (const uint8_t *)buffer->base;
            stream->ends.input_bytes = (size_t)size_bytes;
        }
        pump(stream);
    }
}

static void set_user_timeout(struct tls_stream *stream) {
    int fd;
    unsigned timeout_ms = TLS_STREAM_USER_TIMEOUT_MS;
    if (uv_fileno((uv_handle_t *)&stream->tcp, &fd) == 0) {
        (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof timeout_ms);
    }
    (void)uv_tcp_nodelay(&stream->tcp, 1);
    (void)uv_tcp_keepalive(&stream->tcp, 1, KEEPALIVE_SECONDS);
}

static void format_address(const struct sockaddr *address, char to[TLS_STREAM_ADDRESS_SIZE]) {
    char host[INET6_ADDRSTRLEN] = "?";
    if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;
        (void)uv_ip6_name(in6, host, sizeof host);
        (void)snprintf(to, TLS_STREAM_ADDRESS_SIZE, "[%s]:%u", host, ntohs(in6->sin6_port));
    } else {
        const struct sockaddr_in *in = (const struct sockaddr_in *)address;
        (void)uv_ip4_name(in, host, sizeof host);
        (void)snprintf(to, TLS_STREAM_ADDRESS_SIZE, "%s:%u", host, ntohs(in->sin_port));
    }
}

static void begin_handshake(struct tls_stream *stream) {
    stream->state = STREAM_HANDSHAKE;
    uv_timer_start(&stream->timer, on_deadline, TLS_STREAM_HANDSHAKE_DEADLINE_MS, 0);
    int rv = uv_read_start((uv_stream_t *)&stream->tcp, on_allocate, on_read);
    if (rv != 0) {
        stream_end(stream, ERROR_UNAVAILABLE, uv_strerror(rv));
        return;
    }
    pump(stream);
}

static void on_connected(uv_connect_t *request, int status) {
    struct tls_stream *stream = request->data;
    if (stream->state != STREAM_CONNECTING) {
        return;
    }
    if (status != 0) {
        stream_end(stream, ERROR_UNAVAILABLE, uv_strerror(status));
    } else {
        begin_handshake(stream);
    }
}

/* With all handles open; from here on the end is asynchronous. NULL: no memory. */
static struct tls_stream *stream_create(uv_loop_t *loop, unsigned family,
                                        struct tls_identity *identity, bool server,
                                        size_t max_buffered_bytes) {
    struct tls_stream *stream = calloc(1, sizeof *stream);
    if (stream == NULL) {
        return NULL;
    }
    stream->check.cluster = tls_identity_cluster(identity);
    stream->ssl = tls_session_create(identity, server, &stream->check);
    BIO *bio = stream->ssl != NULL ? stream_bio_create(&stream->ends) : NULL;
    if (bio == NULL || uv_tcp_init_ex(loop, &stream->tcp, family) != 0) {
        BIO_free(bio);
        SSL_free(stream->ssl);
        free(stream);
        return NULL;
    }
    SSL_set_bio(stream->ssl, bio, bio); /* takes the BIO */
    int rv = uv_timer_init(loop, &stream->timer);
    assert(rv == 0);
    (void)rv;
    stream->open_handles = 2;
    stream->tcp.data = stream;
    stream->timer.data = stream;
    stream->identity = tls_identity_ref(identity);
    stream->max_buffered_bytes = max_buffered_bytes;
    return stream;
}

enum error_code tls_stream_connect(uv_loop_t *loop, struct tls_identity *identity,
                                   const struct sockaddr *address, size_t max_buffered_bytes,
                                   const struct tls_stream_callbacks *callbacks, void *context,
                                   struct tls_stream **ret_stream, struct error *error) {
    struct tls_stream *stream =
        stream_create(loop, address->sa_family, identity, false, max_buffered_bytes);
    if (stream == NULL) {
        return error_set(error, ERROR_NO_MEMORY, "no memory or file descriptor for a connection");
    }
    stream->callbacks = *callbacks;
    stream->context = context;
    format_address(address, stream->address);
    set_user_timeout(stream);
    stream->connect.data = stream;
    uv_timer_start(&stream->timer, on_deadline, TLS_STREAM_CONNECT_DEADLINE_MS, 0);
    int rv = uv_tcp_connect(&stream->connect, &stream->tcp, address, on_connected);
    if (rv != 0) {
        stream->abandoned = true;
        error_set(error, ERROR_UNAVAILABLE, "can't connect to %s: %s", stream->address,
                  uv_strerror(rv));
        stream_end(stream, ERROR_UNAVAILABLE, uv_strerror(rv));
        return ERROR_UNAVAILABLE;
    }
    *ret_stream = stream;
    return ERROR_OK;
}

struct tls_stream *stream_accept(uv_stream_t *server, struct tls_identity *identity,
                                 size_t max_buffered_bytes, struct tls_listener *listener) {
    struct tls_stream *stream =
        stream_create(server->loop, AF_UNSPEC, identity, true, max_buffered_bytes);
    if (stream == NULL) {
        return NULL;
    }
    struct sockaddr_storage address;
    int length = sizeof address;
    int rv = uv_accept(server, (uv_stream_t *)&stream->tcp);
    if (rv == 0) {
        rv = uv_tcp_getpeername(&stream->tcp, (struct sockaddr *)&address, &length);
    }
    if (rv != 0) {
        stream->abandoned = true;
        stream_end(stream, ERROR_UNAVAILABLE, uv_strerror(rv));
        return NULL;
    }
    format_address((struct sockaddr *)&address, stream->address);
    set_user_timeout(stream);
    stream->listener = listener;
    listener_on_accepted(stream);
    begin_handshake(stream);
    return stream;
}

/* Encrypts; small pieces go into one record, since each costs 22 bytes and a pass of the cipher. */
static bool encrypt(struct tls_stream *stream, const uv_buf_t *buffers, size_t buffer_count,
                    size_t size_bytes) {
    char joined[RECORD_BYTES];
    size_t written;
    ERR_clear_error();
    if (size_bytes <= sizeof joined) {
        size_t used = 0;
        for (size_t i = 0; i < buffer_count; i++) {
            if (buffers[i].len > 0) {
                memcpy(joined + used, buffers[i].base, buffers[i].len);
                used += buffers[i].len;
            }
        }
        return SSL_write_ex(stream->ssl, joined, used, &written) == 1;
    }
    for (size_t i = 0; i < buffer_count; i++) {
        if (buffers[i].len > 0 &&
            SSL_write_ex(stream->ssl, buffers[i].base, buffers[i].len, &written) != 1) {
            return false;
        }
    }
    return true;
}

enum error_code tls_stream_write(struct tls_stream *stream, const uv_buf_t *buffers,
                                 size_t buffer_count, tls_stream_write_callback callback,
                                 void *context) {
    size_t size_bytes = 0;
    for (size_t i = 0; i < buffer_count; i++) {
        size_bytes += buffers[i].len;
    }
    assert(size_bytes > 0 && size_bytes <= INT32_MAX);
    if (stream->state != STREAM_READY) {
        return ERROR_UNAVAILABLE;
    }
    size_t waiting_bytes = tls_stream_buffered_bytes(stream);
    if (waiting_bytes > 0 && waiting_bytes + size_bytes > stream->max_buffered_bytes) {
        return ERROR_LIMIT;
    }
    if (!encrypt(stream, buffers, buffer_count, size_bytes)) {
        stream_end(stream, ERROR_INTERNAL, "TLS can't encrypt");
        ERR_clear_error();
        return ERROR_UNAVAILABLE;
    }
    return flush(stream, callback, context) ? ERROR_OK : ERROR_UNAVAILABLE;
}

size_t tls_stream_buffered_bytes(const struct tls_stream *stream) {
    return uv_stream_get_write_queue_size((const uv_stream_t *)&stream->tcp);
}

void tls_stream_close(struct tls_stream *stream) {
    if (stream->state == STREAM_READY && tls_stream_buffered_bytes(stream) == 0) {
        /* A courtesy that doesn't wait: the other side sees an end, not a broken connection. */
        (void)SSL_shutdown(stream->ssl);
        ERR_clear_error();
        uv_buf_t rest =
            uv_buf_init(stream->ends.output.data, (unsigned)stream->ends.output.size_bytes);
        if (rest.len > 0) {
            (void)uv_try_write((uv_stream_t *)&stream->tcp, &rest, 1);
        }
    }
    if (stream->state == STREAM_LINGERING) {
        stream->error = (struct error){.code = ERROR_OK};
    }
    stream_end(stream, ERROR_OK, "closed");
}

void tls_stream_finish(struct tls_stream *stream) {
    if (stream->state != STREAM_READY) {
        if (stream->state != STREAM_LINGERING) {
            tls_stream_close(stream);
        }
        return;
    }
    (void)SSL_shutdown(stream->ssl);
    ERR_clear_error();
    linger(stream, &(struct error){.code = ERROR_OK});
}

void tls_stream_set_reading(struct tls_stream *stream, bool reading) {
    if (stream->state == STREAM_LINGERING && reading) {
        (void)uv_read_start((uv_stream_t *)&stream->tcp, on_allocate, on_read);
    }
    if (stream->state != STREAM_READY || stream->paused == !reading) {
        return;
    }
    stream->paused = !reading;
    if (!reading) {
        uv_timer_stop(&stream->timer);
        (void)uv_read_stop((uv_stream_t *)&stream->tcp);
        return;
    }
    int rv = uv_read_start((uv_stream_t *)&stream->tcp, on_allocate, on_read);
    if (rv != 0) {
        stream_end(stream, ERROR_UNAVAILABLE, uv_strerror(rv));
    } else {
        uv_timer_start(&stream->timer, on_deadline, 0, 0); /* what is held comes from the loop */
    }
}

const struct tls_peer *tls_stream_peer(const struct tls_stream *stream) {
    return SSL_is_init_finished(stream->ssl) ? &stream->check.peer : NULL;
}

const char *tls_stream_address(const struct tls_stream *stream) {
    return stream->address;
}

enum error_code tls_stream_verify_again(const struct tls_stream *stream,
                                        struct tls_identity *identity, struct error *error) {
    X509 *certificate = SSL_get0_peer_certificate(stream->ssl);
    if (certificate == NULL) {
        return error_set(error, ERROR_DENIED, "no certificate yet");
    }
    return tls_identity_verify(identity, certificate, error);
}
