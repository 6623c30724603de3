/* The replicated log and the state that it makes: libraft (0.22.1 or newer) with our own disk
 * checks, messages and state machine around it. Everything runs on one libuv loop; nothing here is
 * thread-safe.
 *
 * Two counters must not be mixed up. A *log index* is Raft's: it also counts barriers and
 * configurations, and one entry carries a batch of commands. An *index*, in core's sense (`state.
 * applied_index`, event.index, every index in a command), counts commands given to state_apply and
 * is what people see. Both are the same on every node.
 *
 * A replica that can't trust its disk, its log or its place in the group doesn't go on: it falls
 * mute (sends nothing, applies nothing, completes everything) and calls on_failed once, from the
 * loop. The daemon then exits non-zero with that line as its last. */
#ifndef REPLICA_REPLICA_H
#define REPLICA_REPLICA_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/clock.h"
#include "base/entropy.h"
#include "base/error.h"
#include "core/command.h"
#include "core/lease.h"
#include "core/policy.h"
#include "core/state.h"

#define REPLICA_HOST_SIZE 256
#define REPLICA_BATCH_COMMAND_MAX 64            /* commands an entry */
#define REPLICA_BATCH_BYTES_MAX (256 * 1024)    /* of an entry with more than one command */
#define REPLICA_COMMAND_BYTES_MAX (1024 * 1024) /* one encoded command */
#define REPLICA_PENDING_MAX 4096                /* proposals without outcome */
#define REPLICA_SNAPSHOT_BYTES_MAX (60 * 1024 * 1024)
#define REPLICA_HEARTBEAT_MIN_MS 10
#define REPLICA_ELECTION_MAX_MS 60000
#define REPLICA_ELECTION_RATIO_MIN 5    /* election / heartbeat */
#define REPLICA_SNAPSHOT_THRESHOLD 1024 /* default: entries between snapshots */

struct replica;
struct replica_transport; /* replica/transport.h */
struct tls_identity;      /* net/tls.h */

struct replica_peer {
    uint64_t id; /* replica_node_id() */
    char name[NAME_SIZE];
    char host[REPLICA_HOST_SIZE]; /* name or IP literal; resolved again at each connect */
    uint16_t port;
};

/* Raft's id of a node: the first 63 bits of SHA-256 over cluster and name; never 0. */
uint64_t replica_node_id(const char *cluster, const char *name);

struct replica_callbacks {
    void *context;
    /* After each command, in log order, on every node. Not during a restore. `proposed_ms`:
     * CLOCK_BOOTTIME when this process proposed it; 0: another one did, or in an earlier term. */
    void (*on_applied)(void *context, uint64_t index, const struct command *command,
                       enum core_error result, uint64_t proposed_ms);
    /* true: the barrier of the own term and then the own LEADER entry are applied, so that acting
     * is allowed. false: it is over. They alternate, beginning with true. */
    void (*on_leadership)(void *context, bool leads, uint64_t term);
    /* From another node or from this one, while this one leads. Valid during the call. */
    void (*on_report)(void *context, const struct report *report);
    /* The leader's answer to a report that asked for leases. Valid during the call. */
    void (*on_lease)(void *context, const struct lease_answer *answer);
    /* A snapshot replaced the whole state: forget what was derived from the old one. */
    void (*on_restored)(void *context);
    /* Once; see the top. */
    void (*on_failed)(void *context, const struct error *error);
};

struct replica_options {
    uv_loop_t *loop;
    const struct clock *clock;
    const struct entropy *entropy;
    const char *directory, *cluster, *node, *region;
    struct replica_peer peers[NODE_MAX]; /* all nodes, this one included; the same everywhere */
    uint32_t peer_count;
    struct tls_identity *identity; /* the caller's; outlives the replica */
    const char *listen_host;       /* IP literal */
    uint16_t listen_port;
    uint32_t heartbeat_ms, election_ms;
    uint32_t snapshot_threshold; /* log entries; 0: REPLICA_SNAPSHOT_THRESHOLD */
    const char *version;         /* of the software, for the hello */
    uint32_t feature_level;      /* highest that this software supports */
    struct replica_callbacks callbacks;
    struct replica_transport *transport; /* NULL: TLS links (net/peers.h). Else the caller's own,
                                            for tests and simulation */
};

/* Makes the first data directory of a node of a new group: meta, and a log whose first entry is the
 * list of voters. Every node of the new group runs it once, with the same peers. Refuses a
 * directory that isn't empty (ERROR_EXISTS). It makes the directory when it is missing. */
enum error_code replica_bootstrap(const char *directory, const char *cluster, const char *node,
                                  const struct replica_peer *peers, uint32_t peer_count,
                                  struct error *error);

/* Makes an empty data directory of a node that joins a group which already runs and has it in its
 * list of voters, under a name that the group has never seen with another disk. The leader sends it
 * everything. Refuses as replica_bootstrap does. */
enum error_code replica_prepare_join(const char *directory, const char *cluster, const char *node,
                                     struct error *error);

/* Locks and checks the directory, raises the boot counter durably. Nothing runs yet. Copies what it
 * needs of `options` but clock, entropy, identity and transport. */
enum error_code replica_create(const struct replica_options *options, struct replica **ret_replica,
                               struct error *error);

/* Loads log and snapshot (on_restored may be called), listens, and takes part. After a failure
 * call replica_stop. */
enum error_code replica_start(struct replica *replica, struct error *error);

/* Ends everything and frees the replica; `closed` (may be NULL) is called once, from the loop,
 * after every pending callback has had its call. Allowed at any time after replica_create, once. */
void replica_stop(struct replica *replica, void (*closed)(void *context), void *context);

/* Called once per proposal, and never before replica_propose returned:
 * ERROR_OK: applied with `result` at `index`. ERROR_NOT_LEADER, ERROR_LIMIT (too big, or too many
 * pending), ERROR_INVALID (can't be encoded), ERROR_UNAVAILABLE (no room for it now): it was not
 * proposed. ERROR_UNKNOWN: it may yet be applied (leadership lost, stop). */
typedef void (*replica_proposed_cb)(void *context, enum error_code error, enum core_error result,
                                    uint64_t index);

/* All proposals of one loop iteration share one entry. The replica puts the term in; the caller's
 * `command` may go when the call has returned. Allowed from the callbacks. */
void replica_propose(struct replica *replica, const struct command *command,
                     replica_proposed_cb callback, void *context);

/* ERROR_OK: every command committed before the call is applied here, and this node led throughout,
 * so that a read is linearizable. Else ERROR_NOT_LEADER or ERROR_UNKNOWN. Called once, not before
 * replica_barrier returned. */
typedef void (*replica_barrier_cb)(void *context, enum error_code error);
void replica_barrier(struct replica *replica, replica_barrier_cb callback, void *context);

/* Hands leadership to a node (0: any that is close). ERROR_OK when it took over, ERROR_NOT_LEADER,
 * ERROR_NOT_FOUND, ERROR_TIMEOUT. Until then proposals get ERROR_NOT_LEADER. */
typedef void (*replica_transfer_cb)(void *context, enum error_code error);
void replica_transfer(struct replica *replica, uint64_t id, replica_transfer_cb callback,
                      void *context);

/* Changes who belongs to the group, one node at a time; on the leader. An added node gets no vote
 * until it has the whole log: the leader sees to that, whoever leads by then. NODES follows the
 * members. False, and no callback: a change or a transfer is under way. ERROR_OK: committed.
 * ERROR_NOT_LEADER; ERROR_EXISTS, ERROR_NOT_FOUND (add: it isn't among the options' peers);
 * ERROR_UNKNOWN: it may yet be committed. */
typedef void (*replica_change_cb)(void *context, enum error_code error);
bool replica_add(struct replica *replica, uint64_t id, replica_change_cb callback, void *context);
bool replica_remove(struct replica *replica, uint64_t id, replica_change_cb callback,
                    void *context);

/* To the leader as this node knows it (itself included: on_report from the loop, later). Best
 * effort: an unsent older one is replaced. */
void replica_send_report(struct replica *replica, const struct report *report);

/* To the node that asked, another one than this. Best effort. */
void replica_send_lease(struct replica *replica, uint64_t id, const struct lease_answer *answer);

/* Never NULL; changes in place. */
const struct state *replica_state(const struct replica *replica);

/* SHA-256 of the canonical encoding of the state right after command `*ret_index` (0: none yet).
 * Cached until the state changes. */
void replica_digest(struct replica *replica, uint64_t *ret_index, uint8_t digest[32]);

/* A renewed certificate, or a new revocation list: new links take it, links that it no longer
 * believes are closed. */
void replica_set_identity(struct replica *replica, struct tls_identity *identity);

enum replica_role { REPLICA_UNAVAILABLE, REPLICA_FOLLOWER, REPLICA_CANDIDATE, REPLICA_LEADER };

enum replica_member { REPLICA_STRANGER, REPLICA_JOINING, REPLICA_VOTER };

struct replica_peer_status {
    uint64_t id;
    enum replica_member member;
    bool up;                  /* a link that passed its handshake; true for the node itself */
    uint64_t match_log_index; /* while leading; 0: not known */
};

struct replica_status {
    enum replica_role role; /* Raft's; acting needs `leads` */
    bool leads;
    bool caught_up; /* a leader is known, and everything that it told us to be committed is applied
                     */
    uint64_t id, term, leader_id; /* leader_id 0: not known */
    uint64_t boot;
    uint8_t storage[16];
    uint64_t last_log_index, commit_log_index, applied_log_index;
    uint64_t applied_index;     /* core's */
    uint64_t quorum_contact_ms; /* CLOCK_BOOTTIME; leader: when a majority last answered; others:
                                   when the leader was last heard. 0: never since the start */
    uint32_t pending_count;     /* proposals without outcome */
    struct replica_peer_status peers[NODE_MAX]; /* in the order of the options */
    uint32_t peer_count;
};

void replica_read_status(struct replica *replica, struct replica_status *ret_status);

const char *replica_role_text(enum replica_role role);

#endif
