#include "core/execution.h"

#include "base/text.h"

static bool nothing_sent(const struct step *step) {
    return step->attempts == 0;
}

static bool is_settle(const struct step *step) {
    return step->kind == STEP_SETTLE;
}

static bool is_no_settle(const struct step *step) {
    return step->kind != STEP_SETTLE;
}

static bool is_no_switch(const struct step *step) {
    return step->kind != STEP_SWITCH;
}

static bool is_effect(const struct step *step) {
    return step_has_states(step->kind) || step_is_of_marks(step->kind) ||
           step_is_unfenced(step->kind);
}

static bool is_unfenced(const struct step *step) {
    return step_is_unfenced(step->kind);
}

static bool is_fenced(const struct step *step) {
    return step_is_fenced(step->kind);
}

static bool is_forced(const struct step *step) {
    return step->kind == STEP_FORCE;
}

static bool is_not_forced(const struct step *step) {
    return step->kind != STEP_FORCE;
}

static bool is_lease(const struct step *step) {
    return step->kind == STEP_LEASE;
}

static bool is_no_lease(const struct step *step) {
    return step->kind != STEP_LEASE;
}

/* There is no fence to delete. */
static bool is_unmarked(const struct step *step) {
    return step->kind == STEP_UNMARK && step->fence_before[0] == '\0' && nothing_sent(step);
}

static bool is_switch(const struct step *step) {
    return step->kind == STEP_SWITCH;
}

/* DESIGN, "Exactly once": a request once sent may land at any later time, so a step that has been
 * attempted leaves only by a proof read at the target, or by an operator's release (a debt). */
const struct step_transition step_transitions[] = {
    {STEP_WAITING, ON_INTENT, STEP_INTENDED, is_effect, "not settle, switch, lease",
     "what it will change is recorded"},
    {STEP_WAITING, ON_INTENT, STEP_INTENDED, is_lease, "lease",
     "the old region gets no grant any more; the last one runs out"},
    {STEP_WAITING, ON_SWITCH, STEP_DONE, is_switch, "switch", "the entry itself is the change"},
    {STEP_WAITING, ON_CLOSING, STEP_CLOSING, is_settle, "settle",
     "an older epoch's fence is burnt"},
    {STEP_WAITING, ON_REFUSED, STEP_REFUSED, NULL, "", "it can't start; nothing was sent"},
    {STEP_WAITING, ON_CANCEL, STEP_REFUSED, NULL, "", "cancelled; nothing was sent"},
    {STEP_WAITING, ON_RELEASE, STEP_RELEASED, is_no_switch, "not switch",
     "let go; nothing was sent"},
    {STEP_INTENDED, ON_ATTEMPT, STEP_ATTEMPTED, is_no_lease, "not lease", "one request is sent"},
    {STEP_INTENDED, ON_DONE, STEP_DONE, is_lease, "lease", "no grant can be held any more"},
    {STEP_INTENDED, ON_DONE, STEP_DONE, is_unmarked, "unmark, no fence",
     "nothing is to be deleted"},
    {STEP_INTENDED, ON_DONE, STEP_DONE, is_unfenced, "promote, write",
     "a read shows that it is so already"},
    {STEP_INTENDED, ON_REFUSED, STEP_REFUSED, nothing_sent, "nothing sent", "it can't be sent"},
    {STEP_INTENDED, ON_CANCEL, STEP_REFUSED, nothing_sent, "nothing sent",
     "cancelled; nothing was sent"},
    {STEP_INTENDED, ON_RELEASE, STEP_RELEASED, nothing_sent, "nothing sent",
     "let go; nothing was sent"},
    {STEP_ATTEMPTED, ON_ATTEMPT, STEP_ATTEMPTED, is_not_forced, "not force",
     "a read shows all as before: one more request"},
    {STEP_ATTEMPTED, ON_ACCEPTED, STEP_ACCEPTED, is_fenced, "not promote, write, force",
     "the target said yes"},
    {STEP_ATTEMPTED, ON_CLOSING, STEP_CLOSING, is_fenced, "not promote, write, force",
     "no further attempt: burn its fence"},
    {STEP_ATTEMPTED, ON_DONE, STEP_DONE, is_unfenced, "promote, write",
     "a read shows that it is so"},
    {STEP_ATTEMPTED, ON_DONE, STEP_DONE, NULL, "", "its fence is there and in sync (unmark: gone)"},
    {STEP_ATTEMPTED, ON_UNKNOWN, STEP_UNKNOWN, is_unfenced, "promote, write",
     "cancelled: a request of it may still land, which does no harm to data"},
    {STEP_ATTEMPTED, ON_UNKNOWN, STEP_UNKNOWN, is_forced, "force",
     "it didn't show in time, or was cancelled: a person must look, it is never sent again"},
    {STEP_ATTEMPTED, ON_UNKNOWN, STEP_UNKNOWN, NULL, "",
     "the fence is gone, or somebody's: a person must look"},
    {STEP_ATTEMPTED, ON_RELEASE, STEP_RELEASED, is_not_forced, "not force",
     "let go by name: a debt"},
    {STEP_ACCEPTED, ON_ACCEPTED, STEP_ACCEPTED, NULL, "", "a newer change proves it"},
    {STEP_ACCEPTED, ON_ATTEMPT, STEP_ATTEMPTED, NULL, "",
     "the target forgot it and all is as before"},
    {STEP_ACCEPTED, ON_CLOSING, STEP_CLOSING, NULL, "", "no further attempt: burn its fence"},
    {STEP_ACCEPTED, ON_DONE, STEP_DONE, NULL, "", "its fence is there and in sync (unmark: gone)"},
    {STEP_ACCEPTED, ON_UNKNOWN, STEP_UNKNOWN, NULL, "",
     "the fence is gone, or somebody's: a person must look"},
    {STEP_ACCEPTED, ON_RELEASE, STEP_RELEASED, NULL, "", "let go by name: a debt"},
    {STEP_CLOSING, ON_DONE, STEP_DONE, is_settle, "settle",
     "no request of the released step can land any more: the debt is paid"},
    {STEP_CLOSING, ON_DONE, STEP_DONE, NULL, "",
     "it had landed: its fence is there and in sync (unmark: gone)"},
    {STEP_CLOSING, ON_REFUSED, STEP_REFUSED, is_no_settle, "not settle",
     "burnt: no request of it can land any more"},
    {STEP_CLOSING, ON_UNKNOWN, STEP_UNKNOWN, NULL, "",
     "the fence is gone, or somebody's: a person must look"},
    {STEP_CLOSING, ON_RELEASE, STEP_RELEASED, NULL, "", "let go by name: a debt"},
};
const uint32_t step_transition_count = ARRAY_LENGTH(step_transitions);

const struct execution_transition execution_transitions[] = {
    {EXECUTION_NONE, ON_DECIDE, EXECUTION_DECIDED, "a move is accepted, with a new epoch"},
    {EXECUTION_ENDED, ON_DECIDE, EXECUTION_DECIDED, "a move is accepted, with a new epoch"},
    {EXECUTION_DECIDED, ON_BEGIN, EXECUTION_RUNNING, "the first intent or switch is committed"},
    {EXECUTION_DECIDED, ON_LAPSE, EXECUTION_ENDED,
     "a new leader, a veto, pause, maintenance, the end of the suspicion, or 10 s without a start"},
    {EXECUTION_DECIDED, ON_OPERATOR_CANCEL, EXECUTION_CANCELLING,
     "no step starts; all end here, since nothing was sent"},
    {EXECUTION_RUNNING, ON_OPERATOR_CANCEL, EXECUTION_CANCELLING,
     "no new step; what was sent is closed"},
    {EXECUTION_RUNNING, ON_ALL_ENDED, EXECUTION_ENDED, "every step has ended"},
    {EXECUTION_CANCELLING, ON_ALL_ENDED, EXECUTION_ENDED, "every step has ended"},
};
const uint32_t execution_transition_count = ARRAY_LENGTH(execution_transitions);

const char *step_event_text(enum step_event event) {
    static const char *const words[] = {"INTENT",  "ATTEMPT", "ACCEPTED", "CLOSING", "done",
                                        "refused", "unknown", "RELEASE",  "CANCEL",  "SWITCH"};
    return (unsigned)event < STEP_EVENT_COUNT ? words[event] : "?";
}

const char *execution_event_text(enum execution_event event) {
    static const char *const words[] = {"DECIDE", "begin", "lapse", "CANCEL", "all steps ended"};
    return (unsigned)event < EXECUTION_EVENT_COUNT ? words[event] : "?";
}

const struct step_transition *step_transition_find(const struct step *step, enum step_event event) {
    for (uint32_t i = 0; i < step_transition_count; i++) {
        const struct step_transition *row = &step_transitions[i];
        if (row->from == step->phase && row->on == event &&
            (row->guard == NULL || row->guard(step))) {
            return row;
        }
    }
    return NULL;
}

const struct execution_transition *execution_transition_find(const struct execution *execution,
                                                             enum execution_event event) {
    for (uint32_t i = 0; i < execution_transition_count; i++) {
        const struct execution_transition *row = &execution_transitions[i];
        if (row->from == execution->phase && row->on == event) {
            return row;
        }
    }
    return NULL;
}

bool step_satisfies(const struct step *step) {
    bool failed = step->phase == STEP_REFUSED || step->phase == STEP_UNKNOWN;
    /* Released is an operator's word that the plan may go on without it. */
    return step->phase == STEP_ACCEPTED || step->phase == STEP_DONE ||
           step->phase == STEP_RELEASED || (failed && step->continue_on_failure);
}

bool step_can_start(const struct execution *execution, uint32_t step) {
    for (uint32_t i = 0; i < step; i++) {
        bool needed = (execution->steps[step].needs >> i & 1) != 0;
        if (needed && !step_satisfies(&execution->steps[i])) {
            return false;
        }
    }
    return true;
}
