#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "resolver.h"
#include "stream_private.h"

enum { BACKLOG = 128, UNAUTHENTICATED_DEFAULT = 64, CONNECTIONS_DEFAULT = 1024 };

struct tls_listener {
    uv_tcp_t tcp;
    struct tls_identity *identity;
    struct tls_listener_options options;
    uint16_t port;
    struct tls_stream *first, *last; /* streams that have not begun to end, oldest first */
    unsigned connection_count;       /* all in the list */
    unsigned unauthenticated_count;  /* of them, not attached */
    unsigned ending_count;           /* unattached ones whose end was begun */
    bool closing;
    bool handle_closed;
    void (*closed)(void *context);
    void *closed_context;
};

void listener_on_accepted(struct tls_stream *stream) {
    struct tls_listener *listener = stream->listener;
    stream->previous = listener->last;
    stream->next = NULL;
    *(listener->last != NULL ? &listener->last->next : &listener->first) = stream;
    listener->last = stream;
    listener->connection_count++;
    listener->unauthenticated_count++;
}

static void take_out(struct tls_listener *listener, struct tls_stream *stream) {
    *(stream->previous != NULL ? &stream->previous->next : &listener->first) = stream->next;
    *(stream->next != NULL ? &stream->next->previous : &listener->last) = stream->previous;
    stream->previous = stream->next = NULL;
    listener->connection_count--;
}

static void finish_when_empty(struct tls_listener *listener) {
    if (!listener->handle_closed || listener->ending_count > 0) {
        return;
    }
    void (*closed)(void *) = listener->closed;
    void *context = listener->closed_context;
    tls_identity_unref(listener->identity);
    free(listener);
    if (closed != NULL) {
        closed(context);
    }
}

void listener_on_ready(struct tls_stream *stream) {
    struct tls_listener *listener = stream->listener;
    assert(!listener->closing);
    listener->options.on_stream(listener, stream, &stream->check.peer, listener->options.context);
    assert(stream->attached || stream->state == STREAM_CLOSING);
}

void tls_stream_attach(struct tls_stream *stream, const struct tls_stream_callbacks *callbacks,
                       void *context) {
    assert(stream->listener != NULL && stream->state == STREAM_READY && !stream->attached);
    stream->callbacks = *callbacks;
    stream->context = context;
    stream->attached = true;
    stream->listener->unauthenticated_count--;
}

void listener_on_ending(struct tls_stream *stream) {
    struct tls_listener *listener = stream->listener;
    take_out(listener, stream);
    if (stream->attached) {
        stream->listener = NULL; /* on_closed goes to its owner */
        return;
    }
    listener->unauthenticated_count--;
    listener->ending_count++;
}

void listener_on_closed(struct tls_stream *stream) {
    struct tls_listener *listener = stream->listener;
    if (!listener->closing && listener->options.on_rejected != NULL &&
        stream->error.code != ERROR_OK) {
        listener->options.on_rejected(listener, stream->address, &stream->error,
                                      listener->options.context);
    }
    listener->ending_count--;
    finish_when_empty(listener);
}

/* The oldest goes: it had the most time to prove itself, and a flood must not keep out a peer that
 * needs two round trips. */
static void drop_oldest_unauthenticated(struct tls_listener *listener) {
    struct tls_stream *stream = listener->first;
    while (stream != NULL && stream->attached) {
        stream = stream->next;
    }
    assert(stream != NULL);
    stream_end(stream, ERROR_LIMIT, "too many connections that prove nothing");
}

static void on_connection(uv_stream_t *server, int status) {
    struct tls_listener *listener = server->data;
    if (status != 0 || listener->closing) {
        return;
    }
    struct tls_stream *stream =
        stream_accept(server, listener->identity, listener->options.max_buffered_bytes, listener);
    if (stream == NULL || stream->state == STREAM_CLOSING) {
        return;
    }
    if (listener->connection_count > listener->options.max_connections) {
        stream_end(stream, ERROR_LIMIT, "too many connections");
    } else if (listener->unauthenticated_count > listener->options.max_unauthenticated) {
        drop_oldest_unauthenticated(listener);
    }
}

enum error_code tls_listener_create(uv_loop_t *loop, struct tls_identity *identity,
                                    const struct tls_listener_options *options,
                                    struct tls_listener **ret_listener, struct error *error) {
    struct sockaddr_storage address;
    assert(options->on_stream != NULL);
    if (!resolver_parse_numeric(options->host, options->port, &address)) {
        return error_set(error, ERROR_INVALID, "can't listen on '%s': not a numeric address",
                         options->host);
    }
    struct tls_listener *listener = calloc(1, sizeof *listener);
    if (listener == NULL || uv_tcp_init_ex(loop, &listener->tcp, address.ss_family) != 0) {
        free(listener);
        return error_set(error, ERROR_NO_MEMORY, "no memory or file descriptor to listen");
    }
    listener->tcp.data = listener;
    listener->options = *options;
    listener->options.host = NULL; /* the caller's */
    listener->identity = tls_identity_ref(identity);
    if (options->max_unauthenticated == 0) {
        listener->options.max_unauthenticated = UNAUTHENTICATED_DEFAULT;
    }
    if (options->max_connections == 0) {
        listener->options.max_connections = CONNECTIONS_DEFAULT;
    }
    int length = sizeof address;
    int rv = uv_tcp_bind(&listener->tcp, (struct sockaddr *)&address, 0);
    rv = rv != 0 ? rv : uv_listen((uv_stream_t *)&listener->tcp, BACKLOG, on_connection);
    rv = rv != 0 ? rv : uv_tcp_getsockname(&listener->tcp, (struct sockaddr *)&address, &length);
    if (rv != 0) {
        tls_listener_close(listener, NULL, NULL);
        return error_set(error, rv == UV_EADDRINUSE ? ERROR_EXISTS : ERROR_IO,
                         "can't listen on %s port %u: %s", options->host, options->port,
                         uv_strerror(rv));
    }
    /* The port lies at the same place in both families' addresses. */
    listener->port = ntohs(((struct sockaddr_in *)&address)->sin_port);
    *ret_listener = listener;
    return ERROR_OK;
}

uint16_t tls_listener_port(const struct tls_listener *listener) {
    return listener->port;
}

void tls_listener_set_identity(struct tls_listener *listener, struct tls_identity *identity) {
    tls_identity_ref(identity);
    tls_identity_unref(listener->identity);
    listener->identity = identity;
}

static void on_handle_closed(uv_handle_t *handle) {
    struct tls_listener *listener = handle->data;
    listener->handle_closed = true;
    finish_when_empty(listener);
}

void tls_listener_close(struct tls_listener *listener, void (*closed)(void *context),
                        void *context) {
    assert(!listener->closing);
    listener->closing = true;
    listener->closed = closed;
    listener->closed_context = context;
    while (listener->first != NULL) {
        struct tls_stream *stream = listener->first;
        if (stream->attached) {
            take_out(listener, stream);
            stream->listener = NULL;
        } else {
            stream_end(stream, ERROR_OK, "closed");
        }
    }
    uv_close((uv_handle_t *)&listener->tcp, on_handle_closed);
}
