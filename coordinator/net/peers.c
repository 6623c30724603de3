#include "net/peers.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "peers_private.h"

void *peers_allocate(size_t size_bytes) {
    void *memory = calloc(1, size_bytes);
    assert(memory != NULL);
    return memory;
}

uint64_t peers_now_ms(const struct peers *peers) {
    return clock_boottime_ms(peers->clock);
}

struct link *peers_find(const struct peers *peers, uint64_t numeric_id) {
    for (size_t i = 0; i < peers->link_count; i++) {
        if (peers->links[i].numeric_id == numeric_id) {
            return (struct link *)&peers->links[i];
        }
    }
    return NULL;
}

struct link *peers_find_name(const struct peers *peers, const char *id) {
    for (size_t i = 0; i < peers->link_count; i++) {
        if (text_equal(peers->links[i].id, id)) {
            return (struct link *)&peers->links[i];
        }
    }
    return NULL;
}

/* --- completions, and the end --- */

static void on_deferred_closed(uv_handle_t *handle) {
    struct peers *peers = handle->data;
    void (*closed)(void *) = peers->closed;
    void *context = peers->closed_context;
    tls_identity_unref(peers->identity);
    free(peers);
    if (closed != NULL) {
        closed(context);
    }
}

static void on_deferred(uv_idle_t *idle) {
    struct peers *peers = idle->data;
    struct completion *list = peers->first_completion;
    peers->first_completion = NULL;
    peers->completions_end = &peers->first_completion;
    while (list != NULL) {
        struct completion *completion = list;
        list = completion->next;
        completion->sent(completion->code, completion->context);
        free(completion);
    }
    if (peers->first_completion != NULL) {
        return;
    }
    if (!peers->closing) {
        uv_idle_stop(idle);
    } else if (peers->open_parts == 0 && !uv_is_closing((uv_handle_t *)idle)) {
        uv_close((uv_handle_t *)idle, on_deferred_closed);
    }
}

void peers_complete_later(struct peers *peers, enum error_code code, peers_sent_callback sent,
                          void *context) {
    if (sent == NULL) {
        return;
    }
    assert(!uv_is_closing((uv_handle_t *)&peers->deferred));
    struct completion *completion = peers_allocate(sizeof *completion);
    *completion = (struct completion){.code = code, .sent = sent, .context = context};
    *peers->completions_end = completion;
    peers->completions_end = &completion->next;
    uv_idle_start(&peers->deferred, on_deferred);
}

static void on_part_closed(void *context) {
    struct peers *peers = context;
    peers->open_parts--;
}

static void on_link_timer_closed(uv_handle_t *handle) {
    struct link *link = handle->data;
    link->peers->open_parts--;
}

void peers_close(struct peers *peers, void (*closed)(void *context), void *context) {
    assert(!peers->closing);
    peers->closing = true;
    peers->closed = closed;
    peers->closed_context = context;
    if (peers->listener != NULL) {
        tls_listener_close(peers->listener, on_part_closed, peers);
    }
    resolver_close(peers->resolver, on_part_closed, peers);
    for (size_t i = 0; i < peers->link_count; i++) {
        uv_close((uv_handle_t *)&peers->links[i].timer, on_link_timer_closed);
    }
    connection_end_all(peers);
    uv_idle_start(&peers->deferred, on_deferred);
}

/* --- the beginning --- */

static enum error_code check_peer(const struct peers_options *options, size_t at,
                                  struct error *error) {
    const struct peers_peer *peer = &options->peers[at];
    char name[TLS_NAME_SIZE];
    if (!TEXT_COPY(name, peer->id) || !text_is_name(name, TLS_NAME_SIZE - 1)) {
        return error_set(error, ERROR_INVALID, "peer %zu has no valid id", at + 1);
    }
    if (strlen(peer->host) == 0 || strlen(peer->host) >= PEERS_HOST_SIZE || peer->port == 0) {
        return error_set(error, ERROR_INVALID, "peer '%s' has no valid host and port", peer->id);
    }
    if (peer->numeric_id == 0 ||
        text_equal(peer->id, options->id) != (peer->numeric_id == options->numeric_id)) {
        return error_set(error, ERROR_INVALID, "peer '%s' has a numeric id that can't be its own",
                         peer->id);
    }
    for (size_t i = 0; i < at; i++) {
        if (text_equal(options->peers[i].id, peer->id) ||
            options->peers[i].numeric_id == peer->numeric_id) {
            return error_set(error, ERROR_INVALID, "peers '%s' and '%s' have the same id",
                             options->peers[i].id, peer->id);
        }
    }
    return ERROR_OK;
}

static enum error_code check_options(const struct peers_options *options, struct error *error) {
    const struct tls_peer *self = tls_identity_self(options->identity);
    assert(options->callbacks.on_message != NULL);
    if (self->kind != TLS_KIND_NODE || !text_equal(self->name, options->id) ||
        !text_equal(self->cluster, options->cluster)) {
        return error_set(error, ERROR_INVALID,
                         "the certificate is of '%s' in cluster '%s', the configuration says '%s' "
                         "in '%s'",
                         self->name, self->cluster, options->id, options->cluster);
    }
    if (options->numeric_id == 0 || options->snapshot_max_bytes > FRAME_SNAPSHOT_MAX_BYTES) {
        return error_set(error, ERROR_INVALID, "numeric id or limit of snapshots out of range");
    }
    if (options->peer_count > PEERS_MAX + 1) {
        return error_set(error, ERROR_LIMIT, "%zu nodes, the limit is %d", options->peer_count,
                         PEERS_MAX + 1);
    }
    for (size_t i = 0; i < options->peer_count; i++) {
        enum error_code code = check_peer(options, i, error);
        if (code != ERROR_OK) {
            return code;
        }
    }
    return ERROR_OK;
}

static void on_stream(struct tls_listener *listener, struct tls_stream *stream,
                      const struct tls_peer *peer, void *context) {
    struct peers *peers = context;
    (void)listener;
    (void)peer;
    if (peers->started) {
        connection_accept(peers, stream);
    } else {
        tls_stream_close(stream);
    }
}

static void on_rejected(struct tls_listener *listener, const char *address,
                        const struct error *error, void *context) {
    struct peers *peers = context;
    uint64_t held_back = 0;
    (void)listener;
    if (log_limit_allows(&peers->rejected_log, peers_now_ms(peers), error->message, &held_back)) {
        LOG_EVENT(PEER_REJECTED, LOG_TEXT("address", address), LOG_TEXT("why", error->message),
                  LOG_U64("held_back", held_back));
    }
}

static enum error_code open_listener(struct peers *peers, const struct peers_options *options,
                                     struct error *error) {
    const struct tls_listener_options listen = {
        .host = options->listen_host,
        .port = options->listen_port,
        .max_connections = PEER_CONNECTIONS_MAX,
        .max_buffered_bytes = PEERS_BUFFERED_MAX_BYTES,
        .on_stream = on_stream,
        .on_rejected = on_rejected,
        .context = peers,
    };
    enum error_code code =
        tls_listener_create(peers->loop, peers->identity, &listen, &peers->listener, error);
    peers->open_parts += code == ERROR_OK;
    return code;
}

enum error_code peers_create(uv_loop_t *loop, const struct clock *clock,
                             const struct entropy *entropy, const struct peers_options *options,
                             struct peers **ret_peers, struct error *error) {
    enum error_code code = check_options(options, error);
    if (code != ERROR_OK) {
        return code;
    }
    struct peers *peers = calloc(1, sizeof *peers);
    if (peers == NULL) {
        return error_set(error, ERROR_NO_MEMORY, "no memory for the links between nodes");
    }
    code = resolver_create(loop, &peers->resolver, error);
    if (code != ERROR_OK) {
        free(peers);
        return code;
    }
    peers->open_parts++;
    peers->loop = loop;
    peers->clock = clock;
    peers->entropy = entropy;
    TEXT_COPY(peers->id, options->id); /* as in the certificate, so they fit */
    TEXT_COPY(peers->cluster, options->cluster);
    peers->numeric_id = options->numeric_id;
    peers->identity = tls_identity_ref(options->identity);
    peers->snapshot_max_bytes =
        options->snapshot_max_bytes != 0 ? options->snapshot_max_bytes : FRAME_SNAPSHOT_MAX_BYTES;
    peers->callbacks = options->callbacks;
    peers->context = options->context;
    peers->completions_end = &peers->first_completion;
    int rv = uv_idle_init(loop, &peers->deferred);
    assert(rv == 0);
    (void)rv;
    peers->deferred.data = peers;
    for (size_t i = 0; i < options->peer_count; i++) {
        if (!text_equal(options->peers[i].id, options->id)) {
            if (peers->link_count == PEERS_MAX) {
                error_set(error, ERROR_LIMIT, "more than %d peers", PEERS_MAX);
                peers_close(peers, NULL, NULL);
                return ERROR_LIMIT;
            }
            link_init(&peers->links[peers->link_count++], peers, &options->peers[i]);
        }
    }
    code = open_listener(peers, options, error);
    if (code != ERROR_OK) {
        peers_close(peers, NULL, NULL);
        return code;
    }
    *ret_peers = peers;
    return ERROR_OK;
}

void peers_start(struct peers *peers) {
    assert(!peers->started && !peers->closing);
    peers->started = true;
    for (size_t i = 0; i < peers->link_count; i++) {
        link_start(&peers->links[i]);
    }
}

uint16_t peers_port(const struct peers *peers) {
    return tls_listener_port(peers->listener);
}

/* --- use --- */

void peers_send(struct peers *peers, uint64_t peer, enum peers_message type,
                const uv_buf_t *buffers, size_t buffer_count, peers_sent_callback sent,
                void *context) {
    struct link *link = peers_find(peers, peer);
    size_t size_bytes = 0;
    size_t limit_bytes = type == PEERS_MESSAGE_SNAPSHOT ? peers->snapshot_max_bytes
                                                        : frame_max_bytes((enum frame_type)type);
    assert(type >= PEERS_MESSAGE_RAFT && type <= PEERS_MESSAGE_LEASE);
    for (size_t i = 0; i < buffer_count; i++) {
        size_bytes += buffers[i].len;
    }
    if (peers->closing) {
        peers_complete_later(peers, ERROR_CANCELLED, sent, context);
    } else if (size_bytes > limit_bytes) {
        peers_complete_later(peers, ERROR_LIMIT, sent, context);
    } else if (link == NULL || link->up == NULL) {
        peers_complete_later(peers, ERROR_UNAVAILABLE, sent, context);
    } else {
        connection_send(link->up, type, buffers, buffer_count, size_bytes, sent, context);
    }
}

bool peers_link(const struct peers *peers, uint64_t peer, struct peers_link *ret_link) {
    const struct link *link = peers_find(peers, peer);
    if (link == NULL) {
        return false;
    }
    *ret_link = link->seen;
    ret_link->dials = link->dials;
    ret_link->buffered_bytes = link->up != NULL ? connection_buffered_bytes(link->up) : 0;
    return true;
}

void peers_set_identity(struct peers *peers, struct tls_identity *identity) {
    tls_identity_ref(identity);
    tls_identity_unref(peers->identity);
    peers->identity = identity;
    tls_listener_set_identity(peers->listener, identity);
    connection_verify_all(peers, identity);
}

enum error_code peers_set_address(struct peers *peers, uint64_t peer, const char *host,
                                  uint16_t port, struct error *error) {
    struct link *link = peers_find(peers, peer);
    if (link == NULL) {
        return error_set(error, ERROR_NOT_FOUND, "no such peer");
    }
    if (port == 0 || host[0] == '\0' || strlen(host) >= sizeof link->host) {
        return error_set(error, ERROR_INVALID, "peer '%s': no valid host and port", link->id);
    }
    TEXT_COPY(link->host, host);
    link->port = port;
    link->address_version++;
    link->address_count = 0;
    link->next_address = 0;
    return ERROR_OK;
}
