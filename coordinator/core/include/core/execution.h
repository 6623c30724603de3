/* One move of one service: its plan, and where each step stands. Both state machines are tables
 * (execution.c); docs/ draws them from there. */
#ifndef CORE_EXECUTION_H
#define CORE_EXECUTION_H

#include <stdbool.h>
#include <stdint.h>

#include "core/gate.h"
#include "core/limits.h"
#include "core/mongo.h"

enum execution_kind {
    EXECUTION_FAILOVER,   /* the old region is dead, or taken for dead */
    EXECUTION_SWITCHOVER, /* both are well */
    EXECUTION_ADOPT,      /* puts fences beside what is there; moves nothing */
    EXECUTION_RELEASE,    /* takes the fences out again: the service is left alone */
    EXECUTION_REPAIR,     /* writes the records of the active region again; moves nothing */
    EXECUTION_READMIT,    /* brings a member of the replica set back; moves nothing */
    EXECUTION_KIND_COUNT
};

enum execution_phase {
    EXECUTION_NONE,       /* never had one */
    EXECUTION_DECIDED,    /* accepted; nothing was sent or switched yet */
    EXECUTION_RUNNING,    /* begun */
    EXECUTION_CANCELLING, /* no new step; what was sent is being closed */
    EXECUTION_ENDED,
    EXECUTION_PHASE_COUNT
};

enum execution_result {
    RESULT_NONE,
    RESULT_DONE,
    RESULT_LAPSED,     /* ended before anything was sent */
    RESULT_CANCELLED,  /* by an operator; nothing of it stands */
    RESULT_STOPPED,    /* a step was refused or unknown; the active region didn't change */
    RESULT_HALF_MOVED, /* some of it stands: continue or reverse by another move */
    RESULT_RELEASED,   /* all but released steps are done */
    EXECUTION_RESULT_COUNT
};

enum step_kind {
    STEP_SETTLE,  /* burns the fence of an older epoch's released step */
    STEP_ADOPT,   /* writes this epoch's fence beside the records as they are */
    STEP_SWITCH,  /* the committed change of the active region */
    STEP_DNS,     /* records and fence of one zone */
    STEP_LEASE,   /* waits until no grant of the old region can be held any more; sends nothing */
    STEP_UNMARK,  /* deletes the fence of one zone; its records stay */
    STEP_PREFER,  /* the replica set's config: the target region comes first, with the fence */
    STEP_PROMOTE, /* a member of the target region becomes primary */
    STEP_WRITE,   /* a majority acknowledges a write of that primary's term */
    STEP_FORCE,   /* a config of the survivors alone, forced upon one of them: sent once, ever */
    STEP_READMIT, /* a member that it left out comes back without a vote, or gets its vote back */
    STEP_KIND_COUNT
};

enum step_phase {
    STEP_WAITING,   /* its needs are not met, or its turn hasn't come */
    STEP_INTENDED,  /* INTENT is committed */
    STEP_ATTEMPTED, /* ATTEMPT n is committed: a request may be under way for ever */
    STEP_ACCEPTED,  /* the target said yes; later steps may start */
    STEP_CLOSING,   /* no further attempt; burning */
    STEP_DONE,
    STEP_REFUSED,
    STEP_UNKNOWN,
    STEP_RELEASED,
    STEP_PHASE_COUNT
};

struct step {
    char name[NAME_SIZE];
    enum step_kind kind;
    uint64_t needs; /* bits of earlier steps */
    uint32_t zone;  /* dns, adopt, unmark: place in the service's zones; PLACE_OF_SET: its replica
                       set; others: NONE_INDEX */
    uint32_t debt;  /* settle: place in the service's debts when the plan was made */
    char debt_eid[EID_SIZE]; /* settle */
    bool continue_on_failure;

    enum step_phase phase;
    uint32_t attempts;
    uint64_t attempt_term;              /* of the last ATTEMPT */
    char fence_before[FENCE_SIZE];      /* as read at INTENT; "": there was none (adopt only) */
    uint32_t state_before, state_after; /* blobs; NONE_INDEX: none */
    char change_id[CHANGE_ID_SIZE];     /* of the last ACCEPTED */
    char detail[REASON_SIZE];           /* the target's last words */
    uint64_t started_wall_ms, ended_wall_ms;
};

struct cited_report {
    uint32_t node;
    uint64_t boot, sequence;
    bool down;                        /* cites a down opinion, else only the age */
    uint64_t first_index, last_index; /* applied when the first and last of `fall` probes started */
    bool knows_suspect;
    uint64_t suspect_age_ms; /* its own stopwatch since it applied SUSPECT */
};

struct execution {
    enum execution_phase phase;
    enum execution_kind kind;
    enum execution_result result;
    uint64_t epoch;
    uint32_t from, to; /* regions */
    uint64_t decide_index, decide_term;
    uint64_t suspect_index, tick_index; /* 0: by an operator */
    uint64_t begun_index;               /* 0: not begun */
    uint64_t start_ms, start_wall_ms, end_wall_ms;
    bool automatic;
    bool cancelled; /* an operator's cancel ended or is ending it */
    uint32_t skipped_gates;
    char actor[ACTOR_SIZE]; /* "auto" or a person */
    char reason[REASON_SIZE];
    struct gate_reading gates[GATE_COUNT];
    struct cited_report cited[NODE_MAX];
    uint32_t cited_count;
    struct mongo_view mongo; /* what the choice of the member rests on; of services with a set */
    struct step steps[STEP_MAX];
    uint32_t step_count;
};

/* The state machines as rows: first match wins. Drawn into docs/ by tests/unit/core/diagrams. */
enum step_event {
    ON_INTENT,
    ON_ATTEMPT,
    ON_ACCEPTED,
    ON_CLOSING,
    ON_DONE,
    ON_REFUSED,
    ON_UNKNOWN,
    ON_RELEASE,
    ON_CANCEL,
    ON_SWITCH,
    STEP_EVENT_COUNT
};

struct step_transition {
    enum step_phase from;
    enum step_event on;
    enum step_phase to;
    bool (*guard)(const struct step *); /* NULL: always */
    const char *guard_text;
    const char *why;
};

enum execution_event {
    ON_DECIDE,
    ON_BEGIN,
    ON_LAPSE,
    ON_OPERATOR_CANCEL,
    ON_ALL_ENDED,
    EXECUTION_EVENT_COUNT
};

struct execution_transition {
    enum execution_phase from;
    enum execution_event on;
    enum execution_phase to;
    const char *why;
};

extern const struct step_transition step_transitions[];
extern const uint32_t step_transition_count;
extern const struct execution_transition execution_transitions[];
extern const uint32_t execution_transition_count;
const char *step_event_text(enum step_event event);
const char *execution_event_text(enum execution_event event);

/* The row for an event in the step's (execution's) phase, or NULL: not allowed. */
const struct step_transition *step_transition_find(const struct step *step, enum step_event event);
const struct execution_transition *execution_transition_find(const struct execution *execution,
                                                             enum execution_event event);

const char *execution_kind_text(enum execution_kind kind);
const char *execution_phase_text(enum execution_phase phase);
const char *execution_result_text(enum execution_result result);
const char *step_kind_text(enum step_kind kind);
const char *step_phase_text(enum step_phase phase);

/* Whether this kind changes the active region. */
static inline bool execution_kind_moves(enum execution_kind kind) {
    return kind == EXECUTION_FAILOVER || kind == EXECUTION_SWITCHOVER;
}

/* Whether it puts fences, or takes them out again, beside targets that stay as they are. */
static inline bool execution_kind_marks(enum execution_kind kind) {
    return kind == EXECUTION_ADOPT || kind == EXECUTION_RELEASE;
}

/* Whether it works on the replica set, without a fence: a request that comes late or twice does no
 * harm there, and none of it can be made impossible. */
static inline bool step_is_unfenced(enum step_kind kind) {
    return kind == STEP_PROMOTE || kind == STEP_WRITE;
}

/* Whether its intent holds what is there and what is wanted. */
static inline bool step_has_states(enum step_kind kind) {
    return kind == STEP_DNS || kind == STEP_PREFER || kind == STEP_FORCE || kind == STEP_READMIT;
}

/* Whether the target refuses what comes late, so that a read decides and a burn ends it. A forced
 * reconfiguration is refused by nothing. */
static inline bool step_is_fenced(enum step_kind kind) {
    return !step_is_unfenced(kind) && kind != STEP_FORCE;
}

/* Whether it changes the fence alone. */
static inline bool step_is_of_marks(enum step_kind kind) {
    return kind == STEP_ADOPT || kind == STEP_UNMARK;
}

static inline bool execution_is_open(const struct execution *execution) {
    return execution->phase != EXECUTION_NONE && execution->phase != EXECUTION_ENDED;
}

static inline bool step_is_ended(enum step_phase phase) {
    return phase >= STEP_DONE;
}

/* Later steps may start: accepted, done, or failed with continue. */
bool step_satisfies(const struct step *step);
/* Every step that `step` needs satisfies. */
bool step_can_start(const struct execution *execution, uint32_t step);

/* "service/incarnation.epoch/index" */
void eid_format(char eid[EID_SIZE], const char *service, uint64_t incarnation, uint64_t epoch,
                uint32_t step);
/* The fence's text for an eid, "group/eid", and for a burnt one, "void(group/eid)". */
void fence_format(char fence[FENCE_SIZE], const char *cluster, const char *eid);
void fence_format_void(char fence[FENCE_SIZE], const char *cluster, const char *eid);

/* What a fence, or an eid, names. */
struct fence {
    bool burnt; /* void(...) */
    char service[NAME_SIZE];
    uint64_t incarnation, epoch;
    uint32_t step;
};

/* False, with *ret untouched, for text that eid_format (fence_format, fence_format_void for this
 * group) can't have written. */
bool eid_parse(const char *eid, struct fence *ret);
bool fence_parse(const char *text, const char *cluster, struct fence *ret);
/* The order of epochs: (incarnation, epoch). */
bool fence_is_before(const struct fence *fence, uint64_t incarnation, uint64_t epoch);
bool fence_is_after(const struct fence *fence, uint64_t incarnation, uint64_t epoch);
/* From before the forced config of that epoch (0: there was none): those that it left out may still
 * be a set of their own. Epochs go on over incarnations, so they alone tell. */
bool fence_is_of_old_side(const struct fence *fence, uint64_t forced_epoch);

#endif
