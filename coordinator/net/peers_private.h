/* The inside of peers: peers.c (the set, sending, closing), link.c (one peer: when to dial, up and
 * down), connection.c (one connection: HELLO, heartbeat, messages). */
#ifndef NET_PEERS_PRIVATE_H
#define NET_PEERS_PRIVATE_H

#include "log_limit.h"
#include "net/frame.h"
#include "net/peers.h"
#include "resolver.h"

enum {
    /* Reports behind more output than this wait, so that the newest goes. */
    REPORT_ROOM_BYTES = 256 * 1024,
    PEER_CONNECTIONS_MAX = 128, /* at the peer port, at once */
    /* A link that broke sooner hasn't earned a fresh, short backoff. */
    LINK_PROVEN_MS = 1000
};

struct completion {
    struct completion *next;
    enum error_code code;
    peers_sent_callback sent;
    void *context;
};

struct connection;

enum dial_phase { DIAL_IDLE, DIAL_BACKOFF, DIAL_RESOLVING };

struct link {
    struct peers *peers;
    char id[TLS_NAME_SIZE];
    uint64_t numeric_id;
    char host[PEERS_HOST_SIZE];
    uint16_t port;
    bool dials;
    struct connection *up;
    struct connection *dialing;
    uv_timer_t timer;
    enum dial_phase phase;
    uint64_t backoff_ms;
    bool lookup_running;
    unsigned address_version; /* +1 at each peers_set_address */
    unsigned lookup_version;
    size_t address_count, next_address;
    struct sockaddr_storage addresses[RESOLVER_ADDRESSES_MAX];
    struct peers_link seen; /* what peers_link shows, but what is computed there */
    struct log_limit dial_log, refused_log, refusal_log;
};

struct peers {
    uv_loop_t *loop;
    const struct clock *clock;
    const struct entropy *entropy;
    char id[TLS_NAME_SIZE];
    uint64_t numeric_id;
    char cluster[TLS_NAME_SIZE];
    struct tls_identity *identity;
    uint32_t snapshot_max_bytes;
    struct peers_callbacks callbacks;
    void *context;
    struct tls_listener *listener;
    struct resolver *resolver;
    struct link links[PEERS_MAX];
    size_t link_count;
    struct connection *connections;
    uv_idle_t deferred; /* active while there are completions, and while closing */
    struct completion *first_completion, **completions_end;
    bool started, closing;
    unsigned open_parts; /* listener, resolver, timers of links, connections */
    void (*closed)(void *context);
    void *closed_context;
    struct log_limit rejected_log;
};

/* peers.c */
struct link *peers_find(const struct peers *peers, uint64_t numeric_id);
struct link *peers_find_name(const struct peers *peers, const char *id);
/* Calls `sent` (may be NULL) from the loop. */
void peers_complete_later(struct peers *peers, enum error_code code, peers_sent_callback sent,
                          void *context);
/* Zeroed, of a small size, for what must be answered: its lack ends the process, as in libuv. */
void *peers_allocate(size_t size_bytes);
uint64_t peers_now_ms(const struct peers *peers);

/* link.c */
void link_init(struct link *link, struct peers *peers, const struct peers_peer *peer);
void link_start(struct link *link);
void link_on_up(struct link *link, struct connection *connection);
/* Both: the connection is ending. `refused`: the peer, or we, said no: don't try again soon. */
void link_on_down(struct link *link, const struct error *error);
void link_on_attempt_failed(struct link *link, const struct error *error, bool refused);

/* connection.c */
enum error_code connection_dial(struct link *link, const struct sockaddr *address,
                                struct error *error);
void connection_accept(struct peers *peers, struct tls_stream *stream);
/* Ends it now; the link hears of it before this returns. Again: no effect. */
void connection_end(struct connection *connection, enum error_code code, const char *message);
bool connection_ended(const struct connection *connection);
void connection_send(struct connection *connection, enum peers_message type,
                     const uv_buf_t *buffers, size_t buffer_count, size_t size_bytes,
                     peers_sent_callback sent, void *context);
size_t connection_buffered_bytes(const struct connection *connection);
/* Ends the connections whose other side the identity doesn't believe. */
void connection_verify_all(struct peers *peers, struct tls_identity *identity);
void connection_end_all(struct peers *peers);
const struct peer_hello *connection_hello(const struct connection *connection);
const struct tls_stream *connection_stream(const struct connection *connection);

#endif
