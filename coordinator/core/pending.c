#include "core/pending.h"

#include <string.h>

#include "base/text.h"

static bool new_steps_are_held(const struct state *state, const struct service *service) {
    const struct execution *execution = &service->execution;
    bool paused = state_override(state, OVERRIDE_PAUSE, service->name, NULL) != NULL;
    return execution->phase == EXECUTION_CANCELLING ||
           (paused && (execution->skipped_gates & GATE_BIT(GATE_PAUSED)) == 0);
}

static enum effect_kind effect_of(const struct state *state, const struct service *service,
                                  uint32_t i) {
    const struct step *step = &service->execution.steps[i];
    switch (step->phase) {
    case STEP_WAITING:
        if (new_steps_are_held(state, service) || !step_can_start(&service->execution, i)) {
            return EFFECT_KIND_COUNT;
        }
        return step->kind == STEP_SWITCH ? EFFECT_SWITCH : EFFECT_INTEND;
    case STEP_INTENDED:
        if (step->kind == STEP_LEASE) {
            return EFFECT_OUTLAST;
        }
        return step_is_unfenced(step->kind) ||
                       (step->kind == STEP_UNMARK && step->fence_before[0] == '\0')
                   ? EFFECT_RESOLVE
                   : EFFECT_ATTEMPT;
    case STEP_ATTEMPTED:
    case STEP_ACCEPTED:
    case STEP_CLOSING:
        return EFFECT_RESOLVE;
    default:
        return EFFECT_KIND_COUNT;
    }
}

void state_pending(const struct state *state,
                   void (*on_effect)(void *context, const struct effect *), void *context) {
    for (uint32_t s = 0; s < state->spec.service_count; s++) {
        const struct service *service = &state->services[s];
        if (!execution_is_open(&service->execution)) {
            continue;
        }
        for (uint32_t i = 0; i < service->execution.step_count; i++) {
            struct effect effect = {.kind = effect_of(state, service, i),
                                    .service = s,
                                    .step = i,
                                    .epoch = service->execution.epoch};
            if (effect.kind != EFFECT_KIND_COUNT) {
                on_effect(context, &effect);
            }
        }
    }
}

void step_eid(const struct state *state, uint32_t service, uint32_t step, char eid[EID_SIZE]) {
    const struct service *s = &state->services[service];
    const struct step *at = &s->execution.steps[step];
    if (at->kind == STEP_SETTLE) {
        memcpy(eid, at->debt_eid, EID_SIZE);
    } else {
        eid_format(eid, s->name, state->incarnation, s->execution.epoch, step);
    }
}

/* NULL: settled meanwhile. */
static const struct debt *find_debt(const struct service *service, const char *eid) {
    for (uint32_t i = 0; i < service->debt_count; i++) {
        if (text_equal(service->debts[i].eid, eid)) {
            return &service->debts[i];
        }
    }
    return NULL;
}

const struct spec_zone *step_zone(const struct state *state, uint32_t service, uint32_t step) {
    const struct service *s = &state->services[service];
    const struct step *at = &s->execution.steps[step];
    if (at->kind != STEP_SETTLE) {
        bool of_zone = at->zone < state->spec.services[service].zone_count;
        return of_zone ? &state->spec.services[service].zones[at->zone] : NULL;
    }
    const struct debt *debt = find_debt(s, at->debt_eid);
    return debt != NULL && !debt->of_set ? &debt->zone : NULL;
}

bool step_is_of_set(const struct state *state, uint32_t service, uint32_t step) {
    const struct service *s = &state->services[service];
    const struct step *at = &s->execution.steps[step];
    const struct debt *debt = at->kind == STEP_SETTLE ? find_debt(s, at->debt_eid) : NULL;
    return debt != NULL ? debt->of_set : at->zone == PLACE_OF_SET;
}

/* The wanted fence is there. It must also be durable: a change that the target accepted can still
 * be lost until it is in sync. */
static enum step_action by_sync(enum target_sync sync, enum step_action proved, const char **why) {
    switch (sync) {
    case TARGET_INSYNC:
        *why = "the fence is there, and in sync since before it was read";
        return proved;
    case TARGET_PENDING:
        *why = "the fence is there, not in sync yet";
        return ACTION_WAIT;
    default:
        *why = "the fence is there, but no change is known that proves it durable";
        return ACTION_TOUCH;
    }
}

/* A forced config is sent once: what follows is seeing it, or a person. */
static enum step_action after_force(const struct execution *execution,
                                    const struct target_reading *reading, const char **why) {
    if (execution->phase == EXECUTION_CANCELLING) {
        *why = "cancelled: the forced config was sent, and may still land";
        return ACTION_UNKNOWN;
    }
    *why = "the forced config doesn't show: it may still land, and is never sent again";
    return reading->late ? ACTION_UNKNOWN : ACTION_WAIT;
}

/* A fence that a later epoch wrote: the chain at a target only rises, so nothing of `eid` can match
 * any more (its request names a fence from before it). */
static bool is_overtaken(const struct state *state, const char *fence, const char *eid) {
    struct fence there;
    struct fence own;
    return eid_parse(eid, &own) && fence_parse(fence, state->cluster, &there) &&
           text_equal(there.service, own.service) &&
           fence_is_after(&there, own.incarnation, own.epoch);
}

bool step_is_overtaken(const struct state *state, uint32_t service, uint32_t step,
                       const char *fence) {
    char eid[EID_SIZE];
    step_eid(state, service, step, eid);
    return is_overtaken(state, fence, eid);
}

bool step_is_obscured(const struct state *state, uint32_t service, uint32_t step,
                      const char *fence) {
    const struct step *at = &state->services[service].execution.steps[step];
    char eid[EID_SIZE];
    char wanted[FENCE_SIZE];
    char burnt[FENCE_SIZE];
    struct fence there;
    step_eid(state, service, step, eid);
    fence_format(wanted, state->cluster, eid);
    fence_format_void(burnt, state->cluster, eid);
    if (at->kind == STEP_SETTLE) {
        return !fence_parse(fence, state->cluster, &there) ||
               !text_equal(there.service, state->services[service].name);
    }
    bool ours = at->kind != STEP_UNMARK && text_equal(fence, wanted);
    return at->attempts > 0 && !ours && !text_equal(fence, burnt) &&
           !text_equal(fence, at->fence_before);
}

enum step_action step_after_look(const struct state *state, uint32_t service, uint32_t step,
                                 bool holds, const char **why) {
    const struct execution *execution = &state->services[service].execution;
    bool attempted = execution->steps[step].phase == STEP_ATTEMPTED;
    if (holds) {
        *why = "it is so already";
        return ACTION_DONE;
    }
    if (execution->phase == EXECUTION_CANCELLING) {
        *why = "cancelled: a late request of it may still land";
        return attempted ? ACTION_UNKNOWN : ACTION_REFUSED;
    }
    *why = "it isn't so yet";
    return ACTION_ATTEMPT;
}

enum step_action step_after_read(const struct state *state, uint32_t service, uint32_t step,
                                 const struct target_reading *reading, const char **why) {
    const struct execution *execution = &state->services[service].execution;
    const struct step *at = &execution->steps[step];
    char eid[EID_SIZE];
    char wanted[FENCE_SIZE];
    char burnt[FENCE_SIZE];
    step_eid(state, service, step, eid);
    fence_format(wanted, state->cluster, eid);
    fence_format_void(burnt, state->cluster, eid);
    bool closing = at->phase == STEP_CLOSING;
    bool cancelled = execution->phase == EXECUTION_CANCELLING;
    const char *fence = reading->fence_present ? reading->fence : "";
    if (at->kind == STEP_UNMARK && !reading->fence_present) {
        /* Nothing more is claimed, so it needs no proof of being durable. */
        *why = "the fence is gone, as wanted";
        return ACTION_DONE;
    }
    if (at->kind == STEP_UNMARK && at->phase == STEP_INTENDED) {
        *why = "somebody has put a fence there meanwhile";
        return ACTION_REFUSED;
    }
    bool landed = text_equal(fence, wanted) && at->kind != STEP_UNMARK;
    if (at->kind == STEP_FORCE && landed && cancelled && reading->sync != TARGET_INSYNC) {
        *why = "cancelled: the forced config isn't on a majority of the survivors";
        return ACTION_UNKNOWN;
    }
    if (landed) {
        return by_sync(reading->sync, ACTION_DONE, why);
    }
    if (at->kind == STEP_FORCE) {
        return after_force(execution, reading, why);
    }
    bool of_marks = execution_kind_marks(execution->kind);
    bool obscured = reading->fence_present && step_is_obscured(state, service, step, fence);
    if (at->kind == STEP_SETTLE && (!reading->fence_present || obscured) && of_marks) {
        /* Else nothing could ever pay it, and no plan of the service get past it. */
        *why =
            "no fence is there that a late request could match, and what follows is about fences "
            "alone";
        return ACTION_DONE;
    }
    if (!reading->fence_present && (at->fence_before[0] != '\0' || closing || cancelled)) {
        *why = "the fence is gone: nobody can know any more what lands";
        return ACTION_UNKNOWN;
    }
    if (is_overtaken(state, fence, eid)) {
        if (at->kind == STEP_SETTLE) {
            /* A burn here would put an old epoch's fence over a newer one. */
            return by_sync(reading->sync, ACTION_DONE, why);
        }
        *why = "a later incarnation's fence is there: this group doesn't own the target any more";
        return ACTION_UNKNOWN;
    }
    if (obscured) {
        *why = "somebody has put another fence there: nobody can know any more what had landed";
        return ACTION_UNKNOWN;
    }
    /* An adoption changes the fence alone, as unmarking does: the records may be edited beside it.
     */
    bool fence_alone = step_is_of_marks(at->kind);
    bool as_before =
        text_equal(fence, at->fence_before) && (reading->state_as_before || fence_alone);
    if (!closing && !cancelled && at->kind == STEP_READMIT && reading->late &&
        reading->against != NULL) {
        /* Only a person can help, and a failover mustn't wait for him. */
        *why = reading->against;
        return ACTION_CLOSE;
    }
    if (!closing && !cancelled && as_before) {
        *why = "fence and records are as before the attempt";
        return ACTION_ATTEMPT;
    }
    if (!closing) {
        *why = cancelled ? "cancelled: make sure that nothing of it lands"
                         : "somebody else changed it: make sure that nothing of it lands";
        return ACTION_CLOSE;
    }
    if (text_equal(fence, burnt)) {
        return by_sync(reading->sync, at->kind == STEP_SETTLE ? ACTION_DONE : ACTION_REFUSED, why);
    }
    *why = "burn the fence: no older request can match it any more";
    return ACTION_BURN;
}
