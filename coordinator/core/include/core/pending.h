/* What a leader must do now, derived from committed state alone: a new leader finds all outstanding
 * work here, and remembers nothing else. And what a read of a target means for a step. */
#ifndef CORE_PENDING_H
#define CORE_PENDING_H

#include <stdbool.h>
#include <stdint.h>

#include "core/state.h"

enum effect_kind {
    EFFECT_INTEND,  /* read the target, then propose INTENT (settle: CLOSING) */
    EFFECT_SWITCH,  /* propose SWITCH */
    EFFECT_ATTEMPT, /* propose ATTEMPT n+1; when it is applied in this term, send once */
    EFFECT_OUTLAST, /* when no grant can be held any more, propose OUTCOME done (lease) */
    EFFECT_RESOLVE, /* ATTEMPTED, ACCEPTED, CLOSING: read, then do as step_after_read says */
    EFFECT_KIND_COUNT
};

struct effect {
    enum effect_kind kind;
    uint32_t service, step;
    uint64_t epoch;
};

#define EFFECT_MAX (SERVICE_MAX * STEP_MAX)

/* Calls back for each effect, in order of service and step. */
void state_pending(const struct state *state,
                   void (*on_effect)(void *context, const struct effect *), void *context);

enum target_sync { TARGET_PENDING, TARGET_INSYNC, TARGET_NO_SUCH_CHANGE, TARGET_NOT_ASKED };

struct target_reading {
    enum target_sync sync; /* of `change_id`, asked before the records were listed */
    bool fence_present;
    const char *fence;
    bool state_as_before; /* the records are exactly INTENT's `before` */
    bool late;            /* force: it had its time to show; readmit: what stands against it had
                             its time to pass */
    const char *against;  /* readmit: what stands against sending it; NULL: nothing does */
};

enum step_action {
    ACTION_DONE,    /* propose OUTCOME done */
    ACTION_REFUSED, /* propose OUTCOME refused: void(eid) is there for good */
    ACTION_UNKNOWN, /* propose OUTCOME unknown: the fence is gone, or a later incarnation's */
    ACTION_ATTEMPT, /* propose ATTEMPT n+1 */
    ACTION_CLOSE,   /* propose CLOSING */
    ACTION_BURN,    /* send: fence alone, from what was read to void(eid) */
    ACTION_TOUCH,   /* the right fence is there but nothing proves it durable: rewrite it as it is,
                       and ask for that change's INSYNC */
    ACTION_WAIT,    /* accepted, not INSYNC yet: read again */
    STEP_ACTION_COUNT
};

/* What a read means for a step in ATTEMPTED, ACCEPTED or CLOSING (DESIGN, "Exactly once", 3 and 4;
 * model/move.pml, label `read`). why: a sentence for the log. */
enum step_action step_after_read(const struct state *state, uint32_t service, uint32_t step,
                                 const struct target_reading *reading, const char **why);

/* The same for a step that has no fence (step_is_unfenced): `holds` says whether what it wants is
 * there, by a read that began after its INTENT. */
enum step_action step_after_look(const struct state *state, uint32_t service, uint32_t step,
                                 bool holds, const char **why);

/* Whether a fence that was read belongs to a later epoch than the step's eid. For a settled debt
 * that is proof enough; for a step of the open execution it means that another incarnation took
 * over. */
bool step_is_overtaken(const struct state *state, uint32_t service, uint32_t step,
                       const char *fence);

/* Whether a fence that was read (not "") is somebody's, put over whatever stood there: neither what
 * stood there before the step nor its own nor its burnt one; for a debt, none of this service. A
 * burn would prove that nothing lands from then on, and say nothing of the records, which may be
 * the step's; that of a debt might put an old fence behind a newer epoch's, which is below. */
bool step_is_obscured(const struct state *state, uint32_t service, uint32_t step,
                      const char *fence);

/* Whether the step works on the service's replica set. */
bool step_is_of_set(const struct state *state, uint32_t service, uint32_t step);
/* Name of the fence record, zone and role that a step works on; NULL: on none, or not any more. */
const struct spec_zone *step_zone(const struct state *state, uint32_t service, uint32_t step);
/* The eid whose fence the step writes or burns (settle: the old one). */
void step_eid(const struct state *state, uint32_t service, uint32_t step, char eid[EID_SIZE]);

#endif
