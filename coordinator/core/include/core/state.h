/* Committed state: what every node holds alike after the same log. Only state_apply changes it.
 * Times are committed time (TICK) unless the name says wall: those are a proposer's clock, for
 * people, and nothing is decided by them. */
#ifndef CORE_STATE_H
#define CORE_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/execution.h"
#include "core/gate.h"
#include "core/limits.h"
#include "core/spec.h"

/* Feature levels: a command or rule above the committed level is neither proposed nor applied. */
#define FEATURE_LEVEL_FIRST 1
#ifdef NOCTUA_NEXT /* the tests' build that plays the version after this one */
#define FEATURE_LEVEL_NEWEST 2
#else
#define FEATURE_LEVEL_NEWEST 1
#endif

enum opinion_value {
    OPINION_UNKNOWN,
    OPINION_UP,
    OPINION_DEGRADED,
    OPINION_DOWN,
    OPINION_VALUE_COUNT
};

enum role { ROLE_NONE, ROLE_VIEWER, ROLE_OPERATOR, ROLE_ADMIN, ROLE_NODE, ROLE_COUNT };

struct node {
    uint64_t id; /* Raft's; never used again once removed */
    char name[NAME_SIZE];
    char region[NAME_SIZE];  /* "": not known yet (no report so far) */
    uint8_t storage[16];     /* UUID of its data directory; all zero: not known yet */
    uint64_t boot, sequence; /* of its last OPINION or EXPIRE */
    bool expired;
};

/* One node's committed view of one (service, region). */
struct opinion {
    enum opinion_value value;
    uint64_t last_alive_index; /* last entry at which it was up or degraded, or ceased to be */
};

struct suspect {
    bool open;
    uint32_t region;
    uint64_t index; /* of its entry: the window's name */
    uint64_t since_ms, since_wall_ms;
    bool rejected; /* an operator said no to this one */
    bool approved; /* advise: one approval, for this window and target only */
    uint32_t approved_to;
    char approved_by[ACTOR_SIZE];
    uint32_t note;        /* enum suspect_note: what was last recorded about it */
    uint32_t noted_gates; /* bits of the failing gates that the note told */
};

enum suspect_note { NOTE_NONE, NOTE_WOULD_HAVE, NOTE_ASKED, NOTE_BLOCKED, SUSPECT_NOTE_COUNT };

/* A released step: its requests may still land until the fence is burnt. */
struct debt {
    uint64_t epoch;
    uint32_t step;
    char eid[EID_SIZE];
    bool of_set;           /* on the service's replica set, else on: */
    struct spec_zone zone; /* as it was when the step was sent */
};

struct service {
    char name[NAME_SIZE];
    bool adopted;
    bool released;             /* left alone until it is adopted again: nothing acts on it */
    uint32_t active;           /* region; NONE_INDEX before it is adopted */
    uint64_t epoch;            /* of the last accepted move; the floor when it was new: none yet */
    bool half_moved;           /* the last execution ended between two regions */
    bool promoted_away;        /* it may have, or yet get, a primary outside `active`: a promotion
                                  or the config for one was sent, not proved undone, and not
                                  followed by its switch */
    uint64_t longest_lease_ms; /* of the specs since the last move: a grant may still be as long */
    struct opinion opinions[REGION_MAX][NODE_MAX];
    struct suspect suspect;
    struct execution execution; /* the open one, or the last */
    struct debt debts[DEBT_MAX];
    uint32_t debt_count;
    struct left_out left_out[MONGO_MEMBER_MAX]; /* of its replica set, by forced configs; some
                                                   may be back by a person's hand */
    uint32_t left_out_count;
    uint64_t forced_epoch; /* of the last forced config; an older one is the old side's. 0: none */
    uint64_t forced_version;   /* that the last one was asked for with, landed or not: it may have
                                  landed up to MONGO_FORCE_JUMP above. 0: none */
    uint64_t last_move_end_ms; /* 0: never moved; TIME_MAX_MS: since the last TICK */
    uint64_t recent_move_ms[RECENT_MOVE_MAX]; /* ends of automatic moves, ring */
    uint32_t recent_move_next;
    uint64_t unsuspect_ms[RECENT_MOVE_MAX]; /* ends of windows without a move, for flapping */
    uint32_t unsuspect_next;
};

enum override_kind {
    OVERRIDE_VETO,
    OVERRIDE_PAUSE,
    OVERRIDE_MAINTENANCE, /* of a region: never a target, never suspected */
    OVERRIDE_KIND_COUNT
};

struct override {
    enum override_kind kind;
    char service[NAME_SIZE]; /* "": every service */
    char region[NAME_SIZE];  /* maintenance; "": n/a */
    uint64_t until_ms;       /* committed time; 0: until taken back */
    uint64_t index;
    uint64_t wall_ms;
    char actor[ACTOR_SIZE];
    char reason[REASON_SIZE];
};

struct client {
    uint8_t id[16];
    uint64_t sequence; /* of its last command */
    uint32_t result;   /* enum core_error of it */
    uint64_t index;    /* where that was applied; 0: the slot is free */
};

enum event_kind {
#define EVENT_TABLE(X)                                                                             \
    X(NODES, "nodes", "the configured nodes changed")                                              \
    X(LEADER, "leader", "a leader began its term")                                                 \
    X(FEATURE, "feature", "the feature level was raised")                                          \
    X(OPINION, "opinion", "one node's opinion changed")                                            \
    X(EXPIRE, "expire", "a node fell silent: its opinions are unknown")                            \
    X(SUSPECT, "suspect", "the votes for down are enough: the confirm window runs")                \
    X(UNSUSPECT, "unsuspect", "the suspicion ended without a move")                                \
    X(WOULD_HAVE, "would-have", "mode observe: a move would have begun now")                       \
    X(ASKED, "approval-wanted", "mode advise: a person must approve this move")                    \
    X(BLOCKED, "blocked", "confirmed down, but gates forbid the move")                             \
    X(APPROVED, "approved", "a person approved this move")                                         \
    X(REJECTED, "rejected", "a person rejected this move")                                         \
    X(DECIDED, "moving", "a move was accepted; the epoch went up")                                 \
    X(LAPSED, "lapsed", "the move ended before anything was sent")                                 \
    X(INTENT, "intent", "what a step will change was recorded")                                    \
    X(ATTEMPT, "attempt", "a step is sent")                                                        \
    X(ACCEPTED, "accepted", "the target accepted a step")                                          \
    X(CLOSING, "closing", "a step is being made impossible (burn)")                                \
    X(STEP_DONE, "done", "a step was proved done")                                                 \
    X(STEP_REFUSED, "refused", "a step was proved never to happen")                                \
    X(STEP_UNKNOWN, "unknown", "a step's fate can't be known: a person must look")                 \
    X(STEP_RELEASED, "released", "an operator let a step go: a debt")                              \
    X(SWITCHED, "switch", "the active region changed")                                             \
    X(MOVE_ENDED, "ended", "an execution ended")                                                   \
    X(CANCEL, "cancel", "an operator cancelled the move")                                          \
    X(SPEC, "spec", "a spec was applied")                                                          \
    X(OVERRIDE, "override", "an operator's veto, pause or maintenance began")                      \
    X(OVERRIDE_END, "override-end", "a veto, pause or maintenance ended")                          \
    X(HALT, "halt", "automation stopped by itself: replicas differ")                               \
    X(HALT_END, "halt-end", "an operator started automation again")                                \
    X(DEBT_SETTLED, "debt-settled", "a released step was made impossible")
#define X(name, text, doc) EVENT_##name,
    EVENT_TABLE(X)
#undef X
        EVENT_KIND_COUNT
};

struct event {
    uint64_t index; /* of the entry; several events may share one */
    uint64_t time_ms, wall_ms;
    enum event_kind kind;
    char service[NAME_SIZE];
    char region[NAME_SIZE];  /* the region it is about; a move's `from` */
    char to[NAME_SIZE];      /* a move's target */
    char subject[NAME_SIZE]; /* node or step */
    uint64_t epoch;
    uint64_t value; /* by kind: opinion value, votes, attempt number, result, failing gates' bits */
    char actor[ACTOR_SIZE];
    char detail[REASON_SIZE]; /* a person's reason, a target's words */
};

/* One row of `history`, with what it rested on and what it did, or would have done. */
struct move {
    uint64_t index, wall_ms, took_ms;
    char service[NAME_SIZE];
    char from[NAME_SIZE], to[NAME_SIZE];
    uint64_t epoch; /* 0: nothing moved (would-have) */
    /* What a majority of its replica set had acknowledged that might be gone, as the decision
     * reckoned it. UINT64_MAX: unknown. */
    uint64_t lost_ms, lost_writes;
    enum mongo_case set_case; /* what the promotion came to; NONE: nothing was promoted */
    enum execution_kind kind;
    enum execution_result result;
    bool would_have;
    char actor[ACTOR_SIZE]; /* "auto" or a person */
    char reason[REASON_SIZE];
    struct gate_reading gates[GATE_COUNT];
    char plan[REASON_SIZE]; /* names of its steps, in order; cut to its size */
};

/* A spec as it was applied. */
struct spec_revision {
    uint64_t index; /* of its entry */
    uint64_t wall_ms;
    char actor[ACTOR_SIZE];
    char reason[REASON_SIZE];
    uint32_t text_size;
    char text[SPEC_TEXT_MAX]; /* as the operator wrote it */
};

struct blob {
    bool used;
    uint32_t size_bytes;
    uint8_t bytes[BLOB_SIZE];
};

struct state {
    char cluster[NAME_SIZE];
    uint64_t incarnation; /* 0 before the first NODES */
    uint32_t feature_level;
    uint64_t applied_index; /* last entry given to state_apply */

    uint64_t leader_term, leader_id, leader_index; /* of the last LEADER */
    uint64_t tick_index, time_ms;                  /* of the last TICK */

    struct node nodes[NODE_MAX];
    uint32_t node_count;
    uint64_t nodes_index;

    struct spec spec;
    uint64_t spec_index; /* the entry that brought it: its revision; 0: none */
    uint64_t revision_count;
    struct spec_revision revisions[SPEC_REVISION_MAX]; /* ring; the newest is the spec's */

    struct service services[SERVICE_MAX]; /* same places as spec.services */
    uint64_t epoch_floor; /* the highest epoch of a service that is gone: a new one begins above */

    struct override overrides[OVERRIDE_MAX];
    uint32_t override_count;
    bool halted;

    struct client clients[CLIENT_MAX];
    uint64_t client_floor; /* commands that know nothing later than this entry are too old */

    struct event events[EVENT_MAX]; /* ring */
    uint64_t event_count;           /* ever; the newest is at (event_count - 1) % EVENT_MAX */
    struct move moves[MOVE_MAX];    /* ring */
    uint64_t move_count;

    struct blob blobs[BLOB_MAX];
};

/* Whether Noctua may act on a service. */
static inline bool service_is_managed(const struct service *service) {
    return service->adopted && !service->released;
}

const char *event_kind_text(enum event_kind kind);
const char *opinion_text(enum opinion_value value);
const char *role_text(enum role role);
const char *mode_text(enum service_mode mode);
const char *override_kind_text(enum override_kind kind);

/* Empty state: all zero. `state` is large (tens of MiB of address space, mostly never touched):
 * allocate it zeroed. */
void state_init(struct state *state);

uint32_t state_find_node(const struct state *state, uint64_t id);
uint32_t state_find_node_name(const struct state *state, const char *name);
uint32_t state_find_service(const struct state *state, const char *name);

/* The kept revision of that index (0: the spec's own), or NULL. */
const struct spec_revision *state_find_revision(const struct state *state, uint64_t index);

/* The override of this kind that covers a service (NULL: any service-wide one) and region (NULL:
 * n/a) now, or NULL. Ends are compared with committed time: none ends early. */
const struct override *state_override(const struct state *state, enum override_kind kind,
                                      const char *service, const char *region);

/* The invariants of DESIGN that one node's state can show. NULL, or the broken one in words. */
const char *state_broken_invariant(const struct state *state);

#endif
