/* The links of one node to its peers: one mutual-TLS connection per pair, kept up for ever.
 *
 * The node with the lower numeric id dials; the other accepts. After the TLS handshake both say
 * HELLO, and each may refuse the other: a link is up only when both have accepted. A broken link is
 * dialled again with jittered backoff; names are resolved again each time, off the loop, and the
 * last addresses known are used while the resolver is silent. A new connection of a peer takes the
 * place of its old one.
 *
 * What a peer sends is bounded and checked here as far as frames and HELLO go; payloads of messages
 * are the owner's to check. Everything belongs to the loop's thread; callbacks come on it, and may
 * call any function here. */
#ifndef NET_PEERS_H
#define NET_PEERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/clock.h"
#include "base/entropy.h"
#include "base/error.h"
#include "net/stream.h"
#include "net/tls.h"

struct peers;

enum {
    PEERS_MAX = 8, /* the other nodes of a group of nine */
    PEERS_HOST_SIZE = 256,
    PEERS_VERSION_SIZE = 32,
    PEERS_STORAGE_UUID_BYTES = 16,
    PEERS_REASON_SIZE = 256,
    PEERS_BUFFERED_MAX_BYTES = 16 * 1024 * 1024, /* of a link's output; see peers_send */
    PEERS_BACKOFF_MIN_MS = 100,
    PEERS_BACKOFF_MAX_MS = 2000,
    PEERS_HELLO_DEADLINE_MS = 3000, /* TLS handshake done -> link up */
    PEERS_PING_INTERVAL_MS = 1000,
    PEERS_SILENCE_MAX_MS = 5000, /* not a byte for so long: the link is dead */
    PEERS_RESOLVE_WAIT_MS = 1000 /* then the addresses known from before are tried */
};

/* Who a node says it is, and what it remembers. Own HELLO: filled anew before each handshake. */
struct peer_hello {
    char cluster[TLS_NAME_SIZE];
    char node[TLS_NAME_SIZE];
    uint64_t numeric_id;
    uint64_t incarnation;
    uint8_t storage_uuid[PEERS_STORAGE_UUID_BYTES];
    uint64_t boot;
    uint64_t last_log_index;
    uint32_t feature_level; /* the highest that it supports */
    char version[PEERS_VERSION_SIZE];
};

/* Why a node is not let in. Numbers are part of the wire format.       text */
#define PEERS_REFUSAL_TABLE(X)                                                                     \
    X(NONE, 0, "accepted")                                                                         \
    X(CERTIFICATE, 1, "its certificate is another node's")                                         \
    X(CLUSTER, 2, "it belongs to another cluster")                                                 \
    X(UNKNOWN_NODE, 3, "it is not among the configured peers")                                     \
    X(SELF, 4, "it has the id of this node")                                                       \
    X(INCARNATION, 5, "it belongs to another incarnation of the group")                            \
    X(STORAGE, 6, "its data directory is not the one known under its id")                          \
    X(LOG_BEHIND, 7, "its log is shorter than what it had acknowledged")                           \
    X(VERSION, 8, "its version can't work in this group")                                          \
    X(OTHER, 9, "refused")

enum peers_refusal {
#define X(name, number, text) PEERS_REFUSAL_##name = (number),
    PEERS_REFUSAL_TABLE(X)
#undef X
};

const char *peers_refusal_text(enum peers_refusal refusal);

/* The messages that owners exchange; values are of enum frame_type. Limits: net/frame.h. */
enum peers_message {
    PEERS_MESSAGE_RAFT = 16,
    PEERS_MESSAGE_SNAPSHOT = 17, /* a Raft message with a snapshot: may be longer */
    PEERS_MESSAGE_REPORT = 18,
    PEERS_MESSAGE_NOTE = 19,
    PEERS_MESSAGE_LEASE = 20
};

struct peers_callbacks {
    /* Fills incarnation, storage_uuid, boot, last_log_index, feature_level, version; the rest is
     * filled already. */
    void (*fill_hello)(struct peer_hello *hello, void *context);
    /* Does the owner accept that node? PEERS_REFUSAL_NONE, or why not, with a sentence for the
     * people at the other side in reason->message. The names and the certificate have been checked
     * before. NULL: all are accepted. */
    enum peers_refusal (*check_hello)(const struct peer_hello *hello, struct error *reason,
                                      void *context);
    /* A peer refuses us. A node refused for its storage or log must stop. */
    void (*on_refused)(uint64_t peer, enum peers_refusal refusal, const char *reason,
                       void *context);
    /* Up, with what the peer said; or down (hello NULL), at once at FIN or RST. Alternates,
     * beginning with up. */
    void (*on_link)(uint64_t peer, bool up, const struct peer_hello *hello, void *context);
    /* A message, within the limits of its type; the payload is valid during the call only. */
    void (*on_message)(uint64_t peer, enum peers_message type, const uint8_t *payload,
                       size_t size_bytes, void *context);
};

struct peers_peer {
    const char *id;      /* as in its certificate */
    uint64_t numeric_id; /* not 0; the same in the configuration of all nodes */
    const char *host;    /* name, or numeric address */
    uint16_t port;
};

struct peers_options {
    const char *id;
    uint64_t numeric_id;
    const char *cluster;
    struct tls_identity *identity;  /* a reference is taken; must be node `id` of `cluster` */
    const char *listen_host;        /* numeric */
    uint16_t listen_port;           /* 0: the kernel chooses, see peers_port */
    const struct peers_peer *peers; /* without this node, or with it: it is skipped */
    size_t peer_count;
    uint32_t snapshot_max_bytes; /* 0: FRAME_SNAPSHOT_MAX_BYTES, which is also the most */
    struct peers_callbacks callbacks;
    void *context;
};

/* Checks the options and binds the port, but neither accepts nor dials before peers_start. The
 * options are copied; clock and entropy must outlive the peers. After a failure handles may yet
 * close in the loop's next iterations. */
enum error_code peers_create(uv_loop_t *loop, const struct clock *clock,
                             const struct entropy *entropy, const struct peers_options *options,
                             struct peers **ret_peers, struct error *error);
void peers_start(struct peers *peers);
uint16_t peers_port(const struct peers *peers);

/* ERROR_OK: handed to the kernel. ERROR_UNAVAILABLE: no link, or it broke before. ERROR_LIMIT: the
 * link's output is full, or the message is longer than its type allows. ERROR_CANCELLED: peers are
 * closing, or (a report) a newer one took its place. */
typedef void (*peers_sent_callback)(enum error_code code, void *context);

/* Sends the buffers as one message; they may be freed on return. `sent` (may be NULL) is called
 * exactly once, never from inside this call; all have been called before peers_close completes.
 * A full output (PEERS_BUFFERED_MAX_BYTES) drops Raft messages, which Raft sends again; of reports
 * the newest waits for room. Out of memory for the few bytes of a request ends the process. */
void peers_send(struct peers *peers, uint64_t peer, enum peers_message type,
                const uv_buf_t *buffers, size_t buffer_count, peers_sent_callback sent,
                void *context);

struct peers_link {
    bool up;
    bool dials;              /* this node is the one that dials */
    uint64_t changed_ms;     /* boottime of the last change up/down; 0: never */
    uint64_t round_trip_us;  /* of the last PING; 0: not measured */
    size_t buffered_bytes;   /* output that waits */
    uint64_t connect_count;  /* times that it came up */
    int64_t not_after_ms;    /* the peer's certificate, wall clock; 0: never seen */
    struct peer_hello hello; /* of the last time that it was up */
    char address[TLS_STREAM_ADDRESS_SIZE];
    char last_error[ERROR_MESSAGE_MAX]; /* why it is down; "" when up */
};

/* False: no such peer. */
bool peers_link(const struct peers *peers, uint64_t peer, struct peers_link *ret_link);

/* New connections use the new identity. Links whose peer it doesn't believe any more (revoked,
 * other CA) are closed. */
void peers_set_identity(struct peers *peers, struct tls_identity *identity);
/* Where a peer is dialled from now on (at its next connect). */
enum error_code peers_set_address(struct peers *peers, uint64_t peer, const char *host,
                                  uint16_t port, struct error *error);

/* Closes everything; then calls `closed` (may be NULL) and frees the peers. Of the other callbacks
 * only `sent` ones still come. Takes effect at once, but never calls back from inside. Also for
 * peers that were never started. Once. */
void peers_close(struct peers *peers, void (*closed)(void *context), void *context);

#endif
