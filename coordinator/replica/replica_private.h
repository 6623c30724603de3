/* What the files of this module share: one struct, and who does what with it.
 *
 *   replica.c      making, starting, stopping; the turn of the loop; failing
 *   raft_io.c      libraft's view of disk and network: guards around raft_uv, our own messages
 *   receive.c      messages in: checks
 *   guards.c       what the library must not be given as it comes
 *   heap.c         memory whose lack ends the process
 *   machine.c      libraft's view of the state: apply, snapshot, restore
 *   proposals.c    proposals, barriers: queues, batches, one callback each
 *   transfer.c     leadership handed over
 *   members.c      nodes that join and leave
 *   leadership.c   beginning and end of a term as leader; the hastened election
 *   hello.c        whom we let in, and what it means not to be let in
 *   watch.c        the disk: what libraft doesn't tell
 *   status.c       what others ask
 *
 * Order in one turn of the loop: libraft's work comes from its poll, timer and pool callbacks; our
 * prepare and check handles then run replica_turn, which does what must not be done from inside the
 * library. */
#ifndef REPLICA_REPLICA_PRIVATE_H
#define REPLICA_REPLICA_PRIVATE_H

#include <raft.h>
#include <raft/uv.h>
#include <sys/queue.h>
#include <uv.h>

#include "base/buffer.h"
#include "mark.h"
#include "replica/replica.h"
#include "replica/transport.h"
#include "storage.h"
#include "wire.h"

#define WATCH_INTERVAL_MS 100
#define CONTAINER_OF(pointer, type, member)                                                        \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

/* A proposal, from replica_propose to its callback. */
struct proposal {
    TAILQ_ENTRY(proposal) link;
    struct buffer bytes; /* the encoded command */
    bool internal;       /* NODES, LEADER: before leadership is announced */
    uint64_t term;       /* that is in it */
    uint64_t proposed_ms;
    replica_proposed_cb callback;
    void *context;
    enum error_code code; /* once it is done */
    enum core_error result;
    uint64_t index;
};
TAILQ_HEAD(proposal_list, proposal);

/* Proposals that share an entry. */
struct batch {
    TAILQ_ENTRY(batch) link;
    struct raft_apply request;
    struct replica *replica;
    uint64_t number, term;
    bool applied;
    struct proposal_list proposals;
};
TAILQ_HEAD(batch_list, batch);

/* Readers that share a barrier entry. */
struct reader {
    TAILQ_ENTRY(reader) link;
    replica_barrier_cb callback;
    void *context;
    enum error_code code;
};
TAILQ_HEAD(reader_list, reader);

struct barrier {
    TAILQ_ENTRY(barrier) link;
    struct raft_barrier request;
    struct replica *replica;
    struct reader_list readers;
};
TAILQ_HEAD(barrier_list, barrier);

/* A disk request of the library, while raft_uv has it, or (failed) until we close. */
struct append {
    TAILQ_ENTRY(append) link;
    struct raft_io_append request; /* raft_uv's */
    struct raft_io_append *outer;  /* the library's */
    raft_io_append_cb callback;
    struct replica *replica;
    uint64_t last_index, generation, begun_ms;
    bool withheld, refused, finished;
};
TAILQ_HEAD(append_list, append);

struct snapshot_put {
    struct raft_io_snapshot_put request, *outer;
    raft_io_snapshot_put_cb callback;
    uint64_t index, begun_ms;
    size_t size_bytes;
    bool installs, active, withheld;
};

struct snapshot_get {
    struct raft_io_snapshot_get request, *outer;
    raft_io_snapshot_get_cb callback;
    struct replica *replica;
};

/* A message on its way out; the library's request completes when its last part has. */
struct outgoing {
    TAILQ_ENTRY(outgoing) link;
    struct raft_io_send *request;
    raft_io_send_cb callback;
    struct replica *replica;
    uint32_t parts_left;
    int status;
    uint64_t snapshot_to; /* 0: no snapshot */
};
TAILQ_HEAD(outgoing_list, outgoing);

struct peer {
    struct replica_peer config;
    bool up;
    uint64_t contact_ms;                    /* of a leader's follower: last answer in this term */
    uint64_t complaint_ms, complaint_count; /* rate limit of the log */
    uint64_t snapshot_sent_ms;              /* to it, in this term as leader; 0: none */
    bool snapshot_lost;                     /* it can't have got that one */
    uint8_t storage[STORAGE_UUID_BYTES];    /* as our log has it, committed or not; 0: it hasn't */
};

struct disk_calls { /* raft_uv's own, behind ours */
    void (*close)(struct raft_io *, raft_io_close_cb);
    int (*load)(struct raft_io *, raft_term *, raft_id *, struct raft_snapshot **, raft_index *,
                struct raft_entry **, size_t *);
    int (*start)(struct raft_io *, unsigned, raft_io_tick_cb, raft_io_recv_cb);
    int (*set_term)(struct raft_io *, raft_term);
    int (*set_vote)(struct raft_io *, raft_id);
    int (*append)(struct raft_io *, struct raft_io_append *, const struct raft_entry[], unsigned,
                  raft_io_append_cb);
    int (*truncate)(struct raft_io *, raft_index);
    int (*snapshot_put)(struct raft_io *, unsigned, struct raft_io_snapshot_put *,
                        const struct raft_snapshot *, raft_io_snapshot_put_cb);
    int (*snapshot_get)(struct raft_io *, struct raft_io_snapshot_get *, raft_io_snapshot_get_cb);
};

enum leadership_phase {
    LEADERSHIP_NONE,
    LEADERSHIP_BARRIER,  /* the barrier of our term is under way */
    LEADERSHIP_PROPOSE,  /* it is applied: NODES and LEADER are to be proposed (again) */
    LEADERSHIP_PROPOSED, /* they are under way */
    LEADERSHIP_APPLIED,  /* LEADER is applied; to be announced */
    LEADERSHIP_ANNOUNCED
};

struct leadership {
    enum leadership_phase phase;
    uint64_t term;
    uint64_t retry_ms; /* PROPOSE: not before */
};

/* LEVEL: the heir has not everything yet. RAFT: the library is at it. */
enum transfer_phase { TRANSFER_NONE, TRANSFER_LEVEL, TRANSFER_RAFT };
enum stop_phase { STOP_NO, STOP_WANTED, STOP_CLOSING };

/* NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding): by subject, and there is only one */
struct replica {
    /* as given */
    uv_loop_t *loop;
    const struct clock *clock;
    const struct entropy *entropy;
    char cluster[NAME_SIZE], node[NAME_SIZE], region[NAME_SIZE];
    char version[PEERS_VERSION_SIZE];
    uint32_t heartbeat_ms, election_ms, snapshot_threshold, feature_level;
    struct replica_callbacks callbacks;
    struct peer peers[NODE_MAX];
    uint32_t peer_count;
    uint64_t id;
    struct replica_transport *transport;
    struct replica_transport *own_transport; /* made here: freed here */

    struct storage storage;
    struct mark mark;
    struct state *state;

    /* libraft */
    struct raft raft;
    struct raft_io io;
    struct raft_fsm fsm;
    struct raft_uv_transport no_transport; /* raft_uv wants one */
    struct disk_calls disk;
    bool io_made, raft_made, started;
    raft_io_tick_cb tick;
    raft_io_recv_cb receive;
    raft_io_close_cb io_closed;

    /* disk requests (raft_io.c, watch.c) */
    struct append_list appends, refused;
    struct snapshot_put put;
    uint64_t next_index;                              /* of the next entry to append */
    uint64_t read_snapshot_index, read_snapshot_term; /* of the one that is being sent; else 0 */
    uint64_t truncations; /* an append that began before one doesn't raise the mark */
    uint64_t pool_empty_since_ms;
    struct wire_part part;       /* scratch */
    struct outgoing_list unsent; /* muted: to be completed in the next turn */
    uint64_t outgoing_count;

    /* the snapshot that must wait (guards.c) */
    bool has_held;
    struct raft_message held;
    uint64_t heard_term, heard_leader, heard_commit, heard_ms; /* of the leader, last */

    /* proposals.c */
    uint64_t proposer, batch_count;
    struct proposal_list queued, done;
    struct batch_list batches; /* entries under way */
    struct reader_list waiting, read;
    struct barrier_list barriers;
    uint32_t pending_count; /* of the callers' proposals */

    /* members.c */
    struct raft_change change;
    bool change_raft, change_done;     /* the library is at one; its end has to be told */
    replica_change_cb change_callback; /* NULL: nobody waits */
    void *change_context;
    enum error_code change_code;
    uint64_t promote_ms, nodes_ms; /* not before */
    bool nodes_proposed;

    /* transfer.c */
    struct raft_transfer transfer;
    uint64_t heir;
    replica_transfer_cb transfer_callback; /* NULL: none under way */
    void *transfer_context;
    enum error_code transfer_code;
    enum transfer_phase transfer_phase;
    uint64_t transfer_end_ms;
    bool transfer_done;
    struct report *own_reports; /* one, or NULL: to be delivered to ourselves */
    bool has_own_report;
    struct report *received_report;

    struct leadership leadership;
    struct raft_barrier own_barrier;
    bool own_barrier_active;
    uint32_t internal_count; /* of our own proposals without outcome */
    bool role_known;
    unsigned short seen_state; /* for the log */
    uint64_t seen_term;

    /* the hastened election (leadership.c) */
    uint64_t lost_leader; /* whose link broke; 0: none */
    uint32_t hasten_count;

    /* machine.c */
    bool has_content; /* something was applied to the state, or read into it */
    bool has_digest;
    uint64_t digest_index;
    uint8_t digest[32];
    uint64_t snapshot_retry_index;

    /* failing and stopping */
    bool failed, failure_told;
    struct error failure;
    struct error start_error; /* the reason behind a library code */
    enum stop_phase stop;
    void (*closed)(void *);
    void *closed_context;
    uint32_t handles_open;

    uv_prepare_t prepare;
    uv_check_t check;
    uv_idle_t idle; /* active: don't sleep, a turn is due */
    uv_timer_t watch_timer, hasten_timer;
};

/* replica.c */
extern bool replica_keeps_io_destroy;       /* for measurements: true leaves it on the loop */
void replica_wake(struct replica *replica); /* a turn is due now */
void replica_fail(struct replica *replica, enum error_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
struct peer *replica_find_peer(struct replica *replica, uint64_t id);
static inline bool replica_is_mute(const struct replica *replica) {
    return replica->failed || replica->stop == STOP_CLOSING;
}
/* The library's code and words as ours. */
enum error_code replica_raft_error(struct error *error, int code, const char *words);

/* raft_io.c */
void replica_io_override(struct replica *replica);
void replica_io_complete_unsent(struct replica *replica);
void replica_io_free_refused(struct replica *replica); /* raft_uv is closed */
void replica_no_transport_init(struct raft_uv_transport *transport);

/* receive.c */
void replica_on_message(uint64_t id, enum peers_message type, const uint8_t *payload,
                        size_t size_bytes, void *context);
/* What can't come from a peer that follows the rules, given our own state. NULL: nothing. */
const char *replica_find_impossible(struct replica *replica, const struct raft_message *message,
                                    uint64_t from);

/* guards.c */
/* To the library, as it can take it. Takes over the message's memory. */
void replica_deliver(struct replica *replica, struct raft_message *message);
void replica_deliver_held(struct replica *replica);
void replica_drop_held(struct replica *replica);
void replica_deliver_own_report(struct replica *replica);

/* heap.c */
/* The library doesn't survive its own want of memory (libraft 0.22.1, legacy.c): an entry whose
 * writing it can't begin is freed twice and stays in its list of terms, and messages are left out.
 * So from here on that ends the process, which starts again from its disk. What we allocate for the
 * library, where it may be large, is malloc's: there the lack is an error. */
void replica_heap_set(void);
/* Zeroed, of a small size, for what must be answered: its lack ends the process, as in libuv. */
void *replica_allocate(size_t size_bytes);

/* machine.c */
void replica_machine_init(struct replica *replica);
/* An entry that was loaded: replica_note_storage() of its commands. */
void replica_note_entry(struct replica *replica, const struct raft_buffer *entry);

/* proposals.c */
void replica_propose_internal(struct replica *replica, const struct command *command,
                              replica_proposed_cb callback, void *context);
void replica_flush(struct replica *replica);
void replica_complete(struct replica *replica);
void replica_cancel_queued(struct replica *replica);
void replica_abandon(struct replica *replica); /* failed: answers what is under way */
struct batch *replica_find_batch(struct replica *replica, uint64_t proposer, uint64_t number);

/* members.c */
void replica_keep_members(struct replica *replica);
void replica_complete_change(struct replica *replica);
void replica_abandon_change(struct replica *replica);
enum replica_member replica_member_of(const struct replica *replica, uint64_t id);

/* transfer.c */
void replica_pass_on(struct replica *replica);
void replica_complete_transfer(struct replica *replica);
void replica_abandon_transfer(struct replica *replica);

/* leadership.c */
void replica_observe(struct replica *replica);
void replica_lead(struct replica *replica);
void replica_on_leader_applied(struct replica *replica, const struct command *command,
                               enum core_error result);
void replica_on_link(uint64_t id, bool up, const struct peer_hello *hello, void *context);
void replica_on_hasten(uv_timer_t *timer);
void replica_resend_snapshots(struct replica *replica);

/* hello.c */
/* Whose disk a command of the log names. Noted at the start: long before it is known again what is
 * committed, an empty disk could vote. */
void replica_note_storage(struct replica *replica, const struct command *command);
/* NODES were applied: nobody may have known of our disk when we were let in. */
void replica_check_own_storage(struct replica *replica);
void replica_fill_hello(struct peer_hello *hello, void *context);
enum peers_refusal replica_check_hello(const struct peer_hello *hello, struct error *reason,
                                       void *context);
void replica_on_refused(uint64_t id, enum peers_refusal refusal, const char *reason, void *context);

/* watch.c */
void replica_on_watch(uv_timer_t *timer);

/* links.c */
enum error_code links_create(const struct replica_options *options, uint64_t id,
                             struct replica_transport **ret_transport, struct error *error);
void links_destroy(struct replica_transport *transport);

#endif
