/* The normal transport: mutual-TLS links (net/peers.h). */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "replica_private.h"

struct links {
    struct replica_transport transport;
    uv_loop_t *loop;
    const struct clock *clock;
    const struct entropy *entropy;
    struct peers *peers; /* NULL: not started */
    char cluster[NAME_SIZE], node[NAME_SIZE], listen_host[REPLICA_HOST_SIZE];
    uint16_t listen_port;
    uint64_t id;
    struct tls_identity *identity;
    struct replica_peer config[NODE_MAX];
    uint32_t peer_count;
    uv_idle_t idle; /* close without start: calls back from the loop */
    void (*closed)(void *context);
    void *closed_context;
};

static struct links *of_transport(struct replica_transport *transport) {
    return CONTAINER_OF(transport, struct links, transport);
}

static enum error_code links_start(struct replica_transport *transport,
                                   const struct peers_callbacks *callbacks, void *context,
                                   struct error *error) {
    struct links *links = of_transport(transport);
    struct peers_peer peers[NODE_MAX];
    for (uint32_t i = 0; i < links->peer_count; i++) {
        peers[i] = (struct peers_peer){
            .id = links->config[i].name,
            .numeric_id = links->config[i].id,
            .host = links->config[i].host,
            .port = links->config[i].port,
        };
    }
    const struct peers_options options = {
        .id = links->node,
        .numeric_id = links->id,
        .cluster = links->cluster,
        .identity = links->identity,
        .listen_host = links->listen_host,
        .listen_port = links->listen_port,
        .peers = peers,
        .peer_count = links->peer_count,
        .callbacks = *callbacks,
        .context = context,
    };
    enum error_code code =
        peers_create(links->loop, links->clock, links->entropy, &options, &links->peers, error);
    if (code == ERROR_OK) {
        peers_start(links->peers);
    }
    return code;
}

static void links_send(struct replica_transport *transport, uint64_t peer, enum peers_message type,
                       const uv_buf_t *buffers, size_t buffer_count, peers_sent_callback sent,
                       void *context) {
    peers_send(of_transport(transport)->peers, peer, type, buffers, buffer_count, sent, context);
}

static bool links_link_is_up(struct replica_transport *transport, uint64_t peer) {
    struct peers_link link;
    const struct links *links = of_transport(transport);
    return links->peers != NULL && peers_link(links->peers, peer, &link) && link.up;
}

static uint64_t links_round_trip_us(struct replica_transport *transport, uint64_t peer) {
    struct peers_link link;
    const struct links *links = of_transport(transport);
    return links->peers != NULL && peers_link(links->peers, peer, &link) ? link.round_trip_us : 0;
}

static void links_set_identity(struct replica_transport *transport, struct tls_identity *identity) {
    struct links *links = of_transport(transport);
    if (links->peers != NULL) {
        peers_set_identity(links->peers, identity);
    }
}

static void on_idle_closed(uv_handle_t *handle) {
    struct links *links = handle->data;
    links->closed(links->closed_context);
}

static void links_close(struct replica_transport *transport, void (*closed)(void *context),
                        void *context) {
    struct links *links = of_transport(transport);
    if (links->peers != NULL) {
        peers_close(links->peers, closed, context);
        links->peers = NULL;
        return;
    }
    links->closed = closed;
    links->closed_context = context;
    (void)uv_idle_init(links->loop, &links->idle);
    links->idle.data = links;
    uv_close((uv_handle_t *)&links->idle, on_idle_closed);
}

enum error_code links_create(const struct replica_options *options, uint64_t id,
                             struct replica_transport **ret_transport, struct error *error) {
    struct links *links = calloc(1, sizeof *links);
    if (links == NULL) {
        return error_set(error, ERROR_NO_MEMORY, "no memory for the links");
    }
    links->transport = (struct replica_transport){
        .start = links_start,
        .send = links_send,
        .link_is_up = links_link_is_up,
        .round_trip_us = links_round_trip_us,
        .set_identity = links_set_identity,
        .close = links_close,
    };
    links->loop = options->loop;
    links->clock = options->clock;
    links->entropy = options->entropy;
    links->id = id;
    links->identity = options->identity;
    links->listen_port = options->listen_port;
    links->peer_count = options->peer_count;
    memcpy(links->config, options->peers, sizeof links->config);
    if (!TEXT_COPY(links->cluster, options->cluster) || !TEXT_COPY(links->node, options->node) ||
        !TEXT_COPY(links->listen_host, options->listen_host)) {
        free(links);
        return error_set(error, ERROR_LIMIT, "a name or the listen address is too long");
    }
    *ret_transport = &links->transport;
    return ERROR_OK;
}

void links_destroy(struct replica_transport *transport) {
    if (transport != NULL) {
        free(of_transport(transport));
    }
}
