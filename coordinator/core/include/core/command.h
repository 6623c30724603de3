/* The entries of the log. A command is validated twice: by the decoder (lengths, enums, UTF-8,
 * limits), and by state_apply against committed facts, on every node alike. */
#ifndef CORE_COMMAND_H
#define CORE_COMMAND_H

#include <stdbool.h>
#include <stdint.h>

#include "core/state.h"

enum command_kind {
    COMMAND_NODES = 1,
    COMMAND_LEADER,
    COMMAND_FEATURE,
    COMMAND_OPINION,
    COMMAND_EXPIRE,
    COMMAND_TICK,
    COMMAND_SUSPECT,
    COMMAND_NOTE, /* would-have, approval wanted, blocked: recorded once a window */
    COMMAND_DECIDE,
    COMMAND_LAPSE,
    COMMAND_INTENT,
    COMMAND_ATTEMPT,
    COMMAND_ACCEPTED,
    COMMAND_CLOSING,
    COMMAND_OUTCOME,
    COMMAND_SWITCH,
    COMMAND_HALT,
    /* by people */
    COMMAND_SPEC,
    COMMAND_MOVE,
    COMMAND_OVERRIDE,
    COMMAND_OVERRIDE_END,
    COMMAND_APPROVE,
    COMMAND_REJECT,
    COMMAND_CANCEL,
    COMMAND_RELEASE,
    COMMAND_ADOPT,
    COMMAND_RESUME_AUTOMATION,
    COMMAND_KIND_END
};

struct command_nodes {
    char cluster[NAME_SIZE];
    uint64_t incarnation;
    uint64_t nodes_index; /* of the NODES that it was made from; 0: the first one */
    struct configured_node {
        uint64_t id;
        char name[NAME_SIZE];
        char region[NAME_SIZE]; /* "": not known yet */
        uint8_t storage[16];    /* zero: not known yet */
    } nodes[NODE_MAX];
    uint32_t count;
};

struct command_opinion {
    uint64_t node_id, boot, sequence;
    uint32_t service, region;
    enum opinion_value value;
    uint64_t spec_index; /* the spec whose places these are */
};

struct command_expire {
    uint64_t node_id, boot, sequence;
};

struct command_tick {
    uint64_t clock_ms[NODE_MAX]; /* by place in NODES; 0: not heard lately */
    uint32_t count;
};

struct command_note {
    uint32_t service;
    uint64_t suspect_index;
    enum suspect_note note;
    uint32_t to;            /* region, or NONE_INDEX */
    uint32_t failing_gates; /* bits */
    struct gate_reading gates[GATE_COUNT];
    struct mongo_view mongo; /* all zero without a replica set */
};

/* A plan as proposed: only what says what to do; phases start at WAITING. */
struct plan {
    struct {
        char name[NAME_SIZE];
        enum step_kind kind;
        uint64_t needs;
        uint32_t zone, debt;
        bool continue_on_failure;
    } steps[STEP_MAX];
    uint32_t count;
};

struct command_decide {
    uint32_t service, from, to;
    uint64_t suspect_index, spec_index, epoch, tick_index;
    struct cited_report cited[NODE_MAX];
    uint32_t cited_count;
    struct gate_reading gates[GATE_COUNT];
    struct mongo_view mongo; /* all zero without a replica set */
    struct plan plan;
};

struct command_step { /* INTENT, ATTEMPT, ACCEPTED, CLOSING, OUTCOME, SWITCH, LAPSE */
    uint32_t service;
    uint64_t epoch;
    uint32_t step;
    uint32_t attempt;        /* ATTEMPT, ACCEPTED */
    uint64_t begin_age_ms;   /* INTENT, SWITCH: since DECIDE's TICK, leader's own stopwatch */
    enum step_phase outcome; /* OUTCOME: DONE, REFUSED, UNKNOWN */
    char fence[FENCE_SIZE];  /* INTENT: as read, "" none; OUTCOME: as read, the proof */
    char change_id[CHANGE_ID_SIZE]; /* ACCEPTED */
    char detail[REASON_SIZE];
    struct blob before, after; /* INTENT */
    uint32_t left_out_count;
    struct left_out left_out[MONGO_MEMBER_MAX]; /* INTENT of force */
    uint64_t forced_version; /* likewise: of the config, as it will be asked for */
};

struct command_move {
    char service[NAME_SIZE];
    char to[NAME_SIZE];
    enum execution_kind kind;   /* FAILOVER, SWITCHOVER, REPAIR; of ADOPT: ADOPT, RELEASE */
    uint64_t spec_index, epoch; /* what the plan was made for: a plan made for another is refused */
    uint32_t skipped_gates;
    struct gate_reading gates[GATE_COUNT];
    struct mongo_view mongo; /* all zero without a replica set, and of what moves nothing */
    struct plan plan;
};

struct command_override {
    enum override_kind kind;
    char service[NAME_SIZE]; /* "": all */
    char region[NAME_SIZE];
    uint64_t until_ms; /* 0: until taken back (OVERRIDE_END: unused) */
};

struct command_choice { /* APPROVE, REJECT, CANCEL, RELEASE */
    char service[NAME_SIZE];
    uint64_t epoch;       /* APPROVE: the one it would get; CANCEL, RELEASE: the open one */
    char to[NAME_SIZE];   /* APPROVE */
    char step[NAME_SIZE]; /* RELEASE */
};

struct command_spec {
    const struct spec *spec; /* owned by the command; freed with it (codec) */
    const char *text;
    uint32_t text_size;
    uint64_t expected_index; /* revision it replaces; refused when another came between */
};

/* Who asked, of commands by people. */
struct command_origin {
    uint8_t client_id[16];
    uint64_t sequence;    /* > 0, rising */
    uint64_t known_index; /* an entry the client knew when it first sent this */
    char actor[ACTOR_SIZE];
    enum role role;
    char owner[NAME_SIZE]; /* operators: only services of this owner; "": all */
    char reason[REASON_SIZE];
};

struct command {
    enum command_kind kind;
    uint64_t term;    /* of its proposer; apply refuses one that isn't the last LEADER's */
    uint64_t wall_ms; /* proposer's clock: shown, never decided by */
    struct command_origin origin; /* by people; all zero otherwise */
    union {
        struct command_nodes nodes;
        struct {
            uint64_t id;
        } leader;
        struct {
            uint32_t level;
        } feature;
        struct command_opinion opinion;
        struct command_expire expire;
        struct command_tick tick;
        struct {
            uint32_t service, region;
        } suspect;
        struct command_note note;
        struct command_decide decide;
        struct command_step step;
        struct {
            uint64_t index; /* where the digests differ */
            uint64_t node_id;
        } halt;
        struct command_spec spec;
        struct command_move move;
        struct command_override override;
        struct command_choice choice;
    };
};

/* What state_apply says. Codes are stable (log, API). */
#define CORE_ERROR_TABLE(X)                                                                        \
    X(OK, "ok")                                                                                    \
    X(DUPLICATE, "applied before: this is the answer it got then")                                 \
    X(STALE_TERM, "from a leader whose term is over")                                              \
    X(TOO_OLD, "older than the deduplication window: ask for the state first")                     \
    X(SEQUENCE, "a later command of this client was applied already")                              \
    X(NOT_SUPPORTED, "above the committed feature level")                                          \
    X(NO_GROUP, "the group has no nodes yet")                                                      \
    X(NO_NODE, "no such node")                                                                     \
    X(NO_SERVICE, "no such service")                                                               \
    X(NO_REGION, "no such region for this service")                                                \
    X(NO_STEP, "no such step")                                                                     \
    X(NO_OVERRIDE, "nothing of that kind is in force")                                             \
    X(LIMIT, "over a limit of the state")                                                          \
    X(ROLE, "the role doesn't allow it")                                                           \
    X(OWNER, "the service belongs to another owner")                                               \
    X(STALE_REPORT, "the report is older than what is committed")                                  \
    X(CHANGED, "made for another spec, epoch or window")                                           \
    X(NOT_ADOPTED, "the service has not been adopted, or was released")                            \
    X(NOT_SUSPECTED, "no such window is open")                                                     \
    X(VOTES, "the votes for down are not enough")                                                  \
    X(EVIDENCE, "a cited report doesn't prove it")                                                 \
    X(NOT_CONFIRMED, "the window has not run its time on a majority")                              \
    X(NO_TICK, "no TICK of this term")                                                             \
    X(GATE, "a gate fails")                                                                        \
    X(VETOED, "a veto holds")                                                                      \
    X(PAUSED, "a pause holds")                                                                     \
    X(MAINTENANCE, "maintenance holds")                                                            \
    X(IN_PROGRESS, "an execution is open")                                                         \
    X(NOT_OPEN, "no such execution is open")                                                       \
    X(TOO_LATE, "the move has begun")                                                              \
    X(BEGIN_EXPIRED, "the evidence is too old to begin on")                                        \
    X(PHASE, "not in this phase of the step")                                                      \
    X(NEEDS, "steps that it needs are not through")                                                \
    X(PLAN, "the plan is malformed")                                                               \
    X(NO_FENCE, "a move never expects that there is no fence")                                     \
    X(SPEC, "the spec breaks a rule")                                                              \
    X(SPEC_IN_USE, "an open execution or a live service forbids this change")                      \
    X(MALFORMED, "a field is out of range")                                                        \
    X(INVARIANT, "it would break an invariant")

enum core_error {
#define X(name, text) CORE_##name,
    CORE_ERROR_TABLE(X)
#undef X
        CORE_ERROR_COUNT
};

const char *core_error_name(enum core_error error); /* "STALE_TERM" */
const char *core_error_text(enum core_error error);
const char *command_kind_text(enum command_kind kind); /* "opinion" */
/* Whether a person is behind it: origin is filled, role and duplicates are checked. */
bool command_is_by_person(enum command_kind kind);
enum role command_least_role(enum command_kind kind);

/* Applies the entry at `index` (rising). Refused: nothing changes but applied_index and, for
 * people's commands, the remembered answer. Pure: same state and command, same result, everywhere.
 * Events go to state->events; the caller finds the new ones by event_count before and after. */
enum core_error state_apply(struct state *state, uint64_t index, const struct command *command);

/* The answer that a client's last command got, for one that came back as CORE_DUPLICATE. NULL: not
 * remembered. */
const struct client *state_find_client(const struct state *state, const uint8_t id[16]);

#endif
