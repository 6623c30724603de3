/* What the files of the core share. set.h is the boundary: nobody else includes this.
 *
 *   set.c          processes, the order of events
 *   client.c       connections, requests, mishaps
 *   message.c      what processes say to each other, and what becomes of it on the way
 *   heartbeat.c    beliefs, new configurations, the term
 *   election.c     who stands, who votes, catching up, giving way
 *   step_down.c    replSetStepDown, replSetStepUp, replSetFreeze, replSetMaintenance
 *   replication.c  sync sources, applying, the commit point, rollback
 *   reconfig.c     replSetInitiate, replSetReconfig
 *   waiter.c       requests that aren't answered yet
 *   command.c      requests: lookup, errors, what every reply ends with
 *   hello.c, status.c, server_info.c, read.c, write.c    the other commands
 */
#ifndef WORLD_MONGO_PRIVATE_H
#define WORLD_MONGO_PRIVATE_H

#include "config.h"
#include "oplog.h"
#include "set.h"

#define MONGO_HOSTS_MAX 64
#define MONGO_NONE (-1)

enum mongo_state {
    STATE_STARTUP = 0,
    STATE_PRIMARY = 1,
    STATE_SECONDARY = 2,
    STATE_RECOVERING = 3,
    STATE_STARTUP2 = 5,
    STATE_UNKNOWN = 6,
    STATE_ARBITER = 7,
    STATE_DOWN = 8,
    STATE_ROLLBACK = 9,
    STATE_REMOVED = 10,
};

enum mongo_code {
    CODE_BAD_VALUE = 2,
    CODE_UNAUTHORIZED = 13,
    CODE_TYPE_MISMATCH = 14,
    CODE_ALREADY_INITIALIZED = 23,
    CODE_CURSOR_NOT_FOUND = 43,
    CODE_TIME_LIMIT = 50,
    CODE_COMMAND_NOT_FOUND = 59,
    CODE_WRITE_CONCERN_FAILED = 64,
    CODE_NODE_NOT_FOUND = 74,
    CODE_NO_REPLICATION = 76,
    CODE_SHUTDOWN = 91,
    CODE_INVALID_CONFIG = 93,
    CODE_NOT_INITIALIZED = 94,
    CODE_NOT_SECONDARY = 95,
    CODE_UNSATISFIABLE = 100,
    CODE_INCOMPATIBLE_CONFIG = 103,
    CODE_NOT_ELECTABLE = 104,
    CODE_CONFIG_IN_PROGRESS = 109,
    CODE_CONFLICTING_OPERATION = 117,
    CODE_COMMAND_FAILED = 125,
    CODE_STEPPED_DOWN = 189,
    CODE_CONFIG_NOT_COMMITTED = 308,
    CODE_NOT_PRIMARY = 10107,
    CODE_DUPLICATE_KEY = 11000,
    CODE_INTERRUPTED = 11602,
    CODE_NOT_PRIMARY_NO_SECONDARY_OK = 13435,
    CODE_NOT_PRIMARY_OR_SECONDARY = 13436,
};

enum mongo_life {
    LIFE_DOWN,
    LIFE_STARTING,
    LIFE_UP,
    LIFE_HUNG,
};

/* The deadlines of a process; 0: off. */
enum mongo_timer {
    TIMER_STARTED,  /* it listens */
    TIMER_LOADED,   /* its data are there */
    TIMER_ELECTION, /* no primary was heard of for so long */
    TIMER_TAKEOVER, /* a better primary than the present one */
    TIMER_STEP_UP,  /* the end of a single voter's step-down period */
    TIMER_CATCH_UP, /* a new primary needn't wait for the others any longer */
    TIMER_DRAIN,    /* a new primary becomes writable */
    TIMER_APPLY,    /* the first entry that has arrived */
    TIMER_SOURCE,   /* looks for a sync source */
    TIMER_FETCH,    /* the sync source doesn't answer */
    TIMER_NOTE,     /* an idle primary writes a note */
    TIMER_TAILS,    /* a fetch that has waited for news for long is answered without */
    TIMER_ROLLED_BACK,
    TIMER_SYNCED, /* the initial sync is through */
    TIMER_AWAKE,  /* after SIGCONT: the threads come to run */
    TIMER_GONE,   /* a clean shutdown is through */
    TIMER_COUNT,
};

/* What a process believes of another host. */
struct mongo_belief {
    bool known; /* has answered a heartbeat, or failed to */
    bool up;
    bool removed;  /* its own configuration doesn't name it */
    bool answered; /* since this process became primary */
    enum mongo_state state;
    struct mongo_optime applied;
    int64_t config_version, config_term;
    int64_t elected_term;
    uint32_t elected_seconds;
    int sync_source;
    uint64_t replied_ms, received_ms, up_since_ms;
    uint64_t contact_ms; /* any sign of life, for a primary's own right to stay */
    uint64_t due_ms;     /* next heartbeat; 0: none */
    uint64_t timeout_ms; /* of the one that is under way; 0: none is */
    uint64_t heartbeat;  /* its number */
    char trouble[64];
};

struct mongo_election {
    bool standing, dry;
    uint64_t round;
    int64_t term;
    unsigned votes;
    unsigned answers, asked;
    bool skip_dry, takeover;
    bool stepped_up; /* by command: a waiter looks for the result */
};

enum mongo_outcome {
    OUTCOME_NONE,
    OUTCOME_WON,
    OUTCOME_LOST,
};

struct mongo_message;

/* In the order in which it is explained. */
struct mongo_process { // NOLINT(clang-analyzer-optin.performance.Padding)
    struct mongo_set *set;
    size_t index;
    const char *host;

    /* What a kill leaves behind. */
    struct mongo_config *config; /* NULL: not initiated */
    int64_t term;
    int64_t voted_term;
    int voted_for; /* host, in voted_term */
    struct mongo_oplog log;
    int32_t rollback_id;
    bool synced; /* has data of its own */
    bool standalone_next;

    /* What it doesn't. */
    enum mongo_life life;
    uint64_t incarnation;
    bool standalone;
    bool closing; /* a clean shutdown is under way */
    uint64_t started_ms;
    int64_t inserts, updates, deletes; /* that clients asked for */
    uint64_t timers[TIMER_COUNT];
    int self; /* in config; MONGO_NONE: removed */
    enum mongo_state state;
    bool writable;
    bool stepping_down; /* within the catch-up wait of a step-down: takes no writes */
    int primary;        /* host */
    uint64_t frozen_until_ms;
    uint64_t stepped_down_until_ms;
    unsigned maintenance;
    bool snapshot; /* a majority snapshot is there: optimes are shown */
    struct mongo_belief beliefs[MONGO_HOSTS_MAX];
    struct mongo_optime committed;
    struct mongo_entry **arrived; /* not yet applied */
    size_t arrived_count, arrived_capacity;
    struct mongo_optime min_valid; /* readable again at this time */
    size_t rollback_to;
    struct mongo_optime rollback_target;
    int source; /* host */
    uint64_t fetch;
    bool fetching;
    bool initial_sync;
    struct mongo_message *tails[MONGO_PROCESSES_MAX]; /* fetches that wait here for news */
    uint64_t tail_ms[MONGO_PROCESSES_MAX];            /* since when */
    struct mongo_optime progress[MONGO_HOSTS_MAX];
    struct mongo_election election;
    enum mongo_outcome step_up_outcome;
    int64_t elected_term;
    uint32_t elected_seconds;
    uint64_t elected_ms;
    uint64_t written_ms;         /* last entry of its own */
    uint64_t synced_ms;          /* the initial sync ends no sooner */
    uint64_t unsettled_until_ms; /* config doesn't count as committed before */
    uint64_t configured_ms;      /* when config was taken in */
    bool configuring;            /* a reconfig or initiate runs its checks */
    uint64_t topology_counter;
    bson_oid_t process_id;
    bool block_config; /* fail point: takes no configuration in by heartbeat */
    bool omit_quorum;  /* fail point: no quorum check */
    bool fsync_locked;
    uint64_t next_connection_number;

    /* What the world does to it. */
    uint64_t apply_delay_ms;
    uint64_t sync_duration_ms;
    bool black_hole, clients_cut;
    bool cut_to[MONGO_PROCESSES_MAX];
    bool apply_stopped;
    struct {
        bool armed;
        enum mongo_mishap kind;
        char command[32]; /* "": any */
        uint64_t delay_ms;
    } mishap;
    struct mongo_message *held_first, **held_last; /* arrived while it was hung */
};

struct mongo_connection {
    uint64_t id;
    size_t process;
    int number;      /* connectionId */
    bool only_hello; /* nothing else was ever asked on it: outlives a step-down */
    bool doomed;     /* closed at its next request */
};

enum mongo_message_kind {
    MESSAGE_HEARTBEAT,
    MESSAGE_HEARTBEAT_REPLY,
    MESSAGE_VOTE,
    MESSAGE_VOTE_REPLY,
    MESSAGE_FETCH,
    MESSAGE_FETCH_REPLY,
    MESSAGE_PROGRESS,
    MESSAGE_HAND_OVER,
    MESSAGE_FAILED, /* the network says: nobody is there */
    MESSAGE_REQUEST,
};

struct mongo_message {
    uint64_t at_ms, sequence;
    enum mongo_message_kind kind;
    int from, to;         /* hosts */
    uint64_t incarnation; /* of the one that a reply is for */
    uint64_t number;      /* heartbeat, round or fetch */
    int64_t term;
    int64_t config_version, config_term;
    struct mongo_optime optime; /* applied; asked from */
    struct mongo_optime committed;
    enum mongo_state state;
    enum mongo_message_kind failed;
    bool granted, dry, gone; /* gone: the fetcher's last entry isn't in the source's log */
    bool has_config;
    int primary, sync_source;
    int64_t elected_term;
    uint32_t elected_seconds;
    struct mongo_config *config;
    struct mongo_entry **entries;
    size_t entry_count;
    struct mongo_optime *progress; /* MONGO_HOSTS_MAX */
    struct mongo_call *call;       /* MESSAGE_REQUEST */
    struct mongo_message *next;
};

/* A request that came in, until it is answered. */
struct mongo_call {
    struct mongo_set *set;
    struct mongo_process *process;
    uint64_t incarnation;
    uint64_t connection, request;
    const char *name; /* of the command, in command */
    char *database;
    bson_t *command;
    bool secondary_ok, exhaust, silent, lose_reply;
    uint64_t received_ms;
};

struct mongo_waiter;
/* true: it has answered (or given up) and goes. */
typedef bool (*mongo_waiter_check)(struct mongo_waiter *waiter);

struct mongo_waiter {
    struct mongo_waiter *next;
    struct mongo_call *call;
    mongo_waiter_check check;
    uint64_t deadline_ms; /* when check is wanted at the latest; MONGO_NEVER_MS */
    uint64_t limit_ms;    /* of the request; MONGO_NEVER_MS */
    int stage;
    struct mongo_optime optime;
    int64_t term;
    int64_t wanted; /* members that must have it; 0: a majority */
    uint64_t counter;
    bson_t *reply; /* what there is of it already */
    struct mongo_config *config;
    bool force;
    int problem; /* code found by an earlier stage */
    uint64_t period_ms;
};

struct mongo_set {
    struct mongo_set_options options;
    enum mongo_release release;
    char *name;
    uint64_t now_ms;
    uint64_t sequence;
    struct mongo_process *processes[MONGO_PROCESSES_MAX];
    size_t process_count;
    char *hosts[MONGO_HOSTS_MAX]; /* the processes' first */
    size_t host_count;
    struct mongo_message **messages; /* a heap by (at_ms, sequence) */
    size_t message_count, message_capacity;
    struct mongo_connection *connections;
    size_t connection_count, connection_capacity;
    struct mongo_waiter *waiters;
};

/* --- set.c --- */
uint64_t mongo_random(struct mongo_process *process, uint64_t below);
uint64_t mongo_wall_ms(const struct mongo_set *set);
bool mongo_is_44(const struct mongo_process *process);
bool mongo_runs(const struct mongo_process *process); /* up and not hung */
/* The process of a host, or NULL. */
struct mongo_process *mongo_process_of(struct mongo_set *set, int host);
/* The number of a host, known from now on; MONGO_NONE when there are too many. */
int mongo_host_of(struct mongo_set *set, const char *host);
int mongo_member_host(const struct mongo_process *process, size_t member);
const struct mongo_config_member *mongo_self(const struct mongo_process *process);
void mongo_process_set_state(struct mongo_process *process, enum mongo_state state);
/* Something that hello shows has changed. */
void mongo_topology_changed(struct mongo_process *process);
/* As if it had been killed, by its own fault. */
void mongo_process_abort(struct mongo_process *process);
void mongo_process_end(struct mongo_process *process);

/* --- client.c --- */
struct mongo_connection *mongo_connection_find(struct mongo_set *set, uint64_t id);
void mongo_connection_close(struct mongo_set *set, uint64_t id);
/* What 3.6 does when a primary steps down: others than those that only say hello close. */
void mongo_connections_doom(struct mongo_process *process, uint64_t except);
void mongo_connections_close(struct mongo_process *process);

/* --- message.c --- */
struct mongo_message *mongo_message_create(enum mongo_message_kind kind, int from, int to);
void mongo_message_free(struct mongo_message *message);
/* Takes the message. It arrives after delay_ms, unless the way is cut. */
void mongo_message_send(struct mongo_set *set, struct mongo_message *message, uint64_t delay_ms);
void mongo_message_deliver(struct mongo_set *set, struct mongo_message *message);
struct mongo_message *mongo_message_pop(struct mongo_set *set);
void mongo_messages_drop_requests(struct mongo_process *process);
/* What a killed process's peers see at once: what they have asked it fails. */
void mongo_message_connections_reset(struct mongo_process *process);

/* --- heartbeat.c --- */
void mongo_heartbeat_restart(struct mongo_process *process, bool forget_answers);
void mongo_heartbeat_send(struct mongo_process *process, int host);
void mongo_heartbeat_receive(struct mongo_process *process, const struct mongo_message *message);
void mongo_heartbeat_receive_reply(struct mongo_process *process,
                                   const struct mongo_message *message);
void mongo_heartbeat_fail(struct mongo_process *process, int host, const char *why);
bool mongo_heartbeat_is_down(const struct mongo_process *process, int host);
/* The configuration as from now on; takes a reference of its own. */
void mongo_config_install(struct mongo_process *process, struct mongo_config *config);
/* A higher term was heard of. */
void mongo_term_learn(struct mongo_process *process, int64_t term);
/* Whether a majority of voters is known to have the primary's configuration (4.4). */
bool mongo_config_committed(const struct mongo_process *process);

/* --- election.c --- */
void mongo_election_postpone(struct mongo_process *process);
void mongo_election_schedule_takeover(struct mongo_process *process);
void mongo_election_on_timer(struct mongo_process *process, enum mongo_timer timer);
/* Why the process can't stand, or NULL. */
const char *mongo_election_obstacle(struct mongo_process *process);
void mongo_election_stand(struct mongo_process *process, bool skip_dry);
void mongo_election_give_up(struct mongo_process *process);
void mongo_election_receive_vote(struct mongo_process *process,
                                 const struct mongo_message *message);
void mongo_election_receive_answer(struct mongo_process *process,
                                   const struct mongo_message *message);
/* The answer that will never come counts as a no. */
void mongo_election_miss(struct mongo_process *process, uint64_t round);
void mongo_election_catch_up(struct mongo_process *process);
/* With what there is: who is ahead has another history. */
void mongo_election_end_catch_up(struct mongo_process *process);
void mongo_step_down(struct mongo_process *process, const char *why);
/* When a primary must give way since it hears of no majority. */
uint64_t mongo_liveness_deadline_ms(const struct mongo_process *process);

/* --- step_down.c --- */
/* Tells one secondary that is caught up to stand. */
void mongo_hand_over(struct mongo_process *process);

/* --- replication.c --- */
void mongo_replication_start(struct mongo_process *process);
void mongo_replication_stop(struct mongo_process *process);
void mongo_replication_look_for_source(struct mongo_process *process);
/* The same for a new primary: a source that isn't ahead of it is of no use. */
void mongo_replication_look_ahead(struct mongo_process *process);
void mongo_replication_receive_fetch(struct mongo_process *process, struct mongo_message *message);
void mongo_replication_receive_batch(struct mongo_process *process,
                                     const struct mongo_message *message);
void mongo_replication_receive_progress(struct mongo_process *process,
                                        const struct mongo_message *message);
void mongo_replication_fail(struct mongo_process *process, uint64_t fetch);
void mongo_replication_on_timer(struct mongo_process *process, enum mongo_timer timer);
/* Writes an entry on the primary; its time. */
struct mongo_optime mongo_replication_write(struct mongo_process *process, const char *namespace,
                                            const bson_t *document, bool deleted);
void mongo_replication_note_progress(struct mongo_process *process, int host,
                                     struct mongo_optime applied);
void mongo_replication_commit(struct mongo_process *process);
void mongo_replication_learn_commit(struct mongo_process *process, struct mongo_optime committed);
void mongo_replication_forget(struct mongo_process *process); /* what has arrived */
void mongo_replication_resume_apply(struct mongo_process *process);
/* Of the data members, those that have the entry, this one included. */
unsigned mongo_replication_copies(const struct mongo_process *process, struct mongo_optime optime);

/* --- waiter.c --- */
/* Takes the call. The check runs at once, and after everything that happens. */
struct mongo_waiter *mongo_wait(struct mongo_call *call, mongo_waiter_check check,
                                uint64_t limit_ms);
void mongo_waiters_settle(struct mongo_set *set);
void mongo_waiters_drop(struct mongo_process *process);
uint64_t mongo_waiters_next_ms(const struct mongo_set *set);

/* --- command.c --- */
void mongo_command_run(struct mongo_call *call);
void mongo_call_free(struct mongo_call *call);
/* Each completes the call and frees it. The reply is destroyed. */
void mongo_call_ok(struct mongo_call *call, bson_t *reply);
void mongo_call_fail(struct mongo_call *call, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* As fail, with what the reply has already. */
void mongo_call_fail_with(struct mongo_call *call, bson_t *reply, int code, const char *message);
void mongo_call_hang_up(struct mongo_call *call);
/* errorLabels, where this release has them for such an error. */
void mongo_call_append_label(const struct mongo_call *call, int code, bson_t *reply);
/* Sends a reply and keeps the call, for exhaust. */
void mongo_call_send(struct mongo_call *call, bson_t *reply, bool more);
const char *mongo_code_name(enum mongo_release release, int code);
bool mongo_call_find(const struct mongo_call *call, const char *key, bson_iter_t *ret_iter);
/* Whether the member is in the set, or the call fails (76, 94). */
bool mongo_call_is_initiated(struct mongo_call *call);
/* maxTimeMS as an instant; MONGO_NEVER_MS without one. */
uint64_t mongo_call_limit_ms(const struct mongo_call *call);
bool mongo_call_flag(const struct mongo_call *call, const char *key);
/* A number of any type; otherwise the default. */
double mongo_call_number(const struct mongo_call *call, const char *key, double otherwise);
void mongo_append_optime(bson_t *to, const char *key, struct mongo_optime optime);
void mongo_append_date(bson_t *to, const char *key, uint64_t wall_ms);

/* --- the commands --- */
void mongo_command_hello(struct mongo_call *call);
void mongo_command_status(struct mongo_call *call);
void mongo_command_get_config(struct mongo_call *call);
void mongo_command_initiate(struct mongo_call *call);
void mongo_command_reconfig(struct mongo_call *call);
void mongo_command_step_down(struct mongo_call *call);
void mongo_command_step_up(struct mongo_call *call);
void mongo_command_freeze(struct mongo_call *call);
void mongo_command_maintenance(struct mongo_call *call);
void mongo_command_shutdown(struct mongo_call *call);
void mongo_command_insert(struct mongo_call *call);
void mongo_command_update(struct mongo_call *call);
void mongo_command_delete(struct mongo_call *call);
void mongo_command_note(struct mongo_call *call);
void mongo_command_find(struct mongo_call *call);
void mongo_command_count(struct mongo_call *call);
void mongo_command_get_more(struct mongo_call *call);
void mongo_command_list_collections(struct mongo_call *call);
void mongo_command_list_databases(struct mongo_call *call);
void mongo_command_build_info(struct mongo_call *call);
void mongo_command_server_status(struct mongo_call *call);
void mongo_command_get_parameter(struct mongo_call *call);
void mongo_command_rollback_id(struct mongo_call *call);
void mongo_command_request_votes(struct mongo_call *call);
void mongo_command_fail_point(struct mongo_call *call);
void mongo_command_fsync(struct mongo_call *call);
void mongo_command_fsync_unlock(struct mongo_call *call);
void mongo_command_default_concern(struct mongo_call *call);
void mongo_command_ping(struct mongo_call *call);
/* Adds writeConcernError or waits for the write concern, then answers. Takes call and reply. */
void mongo_write_concern(struct mongo_call *call, bson_t *reply, struct mongo_optime optime);

#endif
