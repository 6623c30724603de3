/* How a replica reaches its peers. Normally the TLS links of net/peers.h (replica/links.c); tests
 * and simulation bring their own, which may delay, drop, cut or reorder between pairs. The words
 * are those of net/peers.h, so that a transport is a thin thing. */
#ifndef REPLICA_TRANSPORT_H
#define REPLICA_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/error.h"
#include "net/peers.h"

struct tls_identity;

struct replica_transport {
    /* Begins to connect and to accept. `callbacks` and `context` stay valid until `close` is
     * through; callbacks come from the loop, never from inside start or send. */
    enum error_code (*start)(struct replica_transport *transport,
                             const struct peers_callbacks *callbacks, void *context,
                             struct error *error);
    /* As peers_send: the buffers may go on return; `sent` comes exactly once, later. */
    void (*send)(struct replica_transport *transport, uint64_t peer, enum peers_message type,
                 const uv_buf_t *buffers, size_t buffer_count, peers_sent_callback sent,
                 void *context);
    bool (*link_is_up)(struct replica_transport *transport, uint64_t peer);
    /* Of a link that is up; 0: not measured. */
    uint64_t (*round_trip_us)(struct replica_transport *transport, uint64_t peer);
    /* May be NULL. */
    void (*set_identity)(struct replica_transport *transport, struct tls_identity *identity);
    /* Also when never started. After `closed`, called from the loop, nothing is called any more and
     * the transport may be freed. All `sent` have come before. Once. */
    void (*close)(struct replica_transport *transport, void (*closed)(void *context),
                  void *context);
};

#endif
