/* Invariant 15: steps in their order. By the plan as it was when the move was opened, and by what
 * the commands since then have made of its steps. */
#include <string.h>

#include "judge_private.h"

void judge_plan(struct judged_service *kept, const struct execution *execution) {
    for (uint32_t i = 0; i < execution->step_count; i++) {
        kept->needs[i] = execution->steps[i].needs;
        kept->goes_on[i] = execution->steps[i].continue_on_failure;
    }
}

static bool is_begun(const struct step *step) {
    return step->phase != STEP_WAITING && step->phase != STEP_REFUSED &&
           step->phase != STEP_RELEASED;
}

/* What needs it may start: it has worked as far as anybody knows, or nobody minds. */
static bool is_satisfied(const struct judged_service *kept, uint32_t i) {
    switch (kept->phases[i]) {
    case STEP_ACCEPTED:
    case STEP_DONE:
    case STEP_RELEASED:
        return true;
    case STEP_REFUSED:
    case STEP_UNKNOWN:
        return kept->goes_on[i];
    default:
        return false;
    }
}

/* Before this command the step was waiting. */
static void judge_start(struct sim *sim, const struct execution *execution, uint32_t s,
                        uint32_t i) {
    const struct judged_service *kept = &sim->judged->services[s];
    for (uint32_t k = 0; k < execution->step_count; k++) {
        if ((kept->needs[i] >> k & 1) != 0 && !is_satisfied(kept, k)) {
            sim_broken(sim, "steps in their order (15)", "svc%u: %s starts while %s is %s", s + 1,
                       execution->steps[i].name, execution->steps[k].name,
                       step_phase_text(kept->phases[k]));
        }
    }
}

/* Whatever a plan says, a region's last lease runs out before the switch, and the switch comes
 * before the records. */
static void judge_switched(struct sim *sim, const struct execution *execution, uint32_t s) {
    bool outlasted = true;
    bool switched = !execution_kind_moves(execution->kind);
    for (uint32_t i = 0; i < execution->step_count; i++) {
        const struct step *step = &execution->steps[i];
        if (step->kind == STEP_LEASE && step->phase != STEP_DONE) {
            outlasted = step->phase == STEP_RELEASED;
        }
        if (step->kind == STEP_SWITCH && step->phase == STEP_DONE) {
            switched = true;
            if (!outlasted) {
                sim_broken(sim, "steps in their order (15)", "svc%u switched before its lease",
                           s + 1);
            }
        }
        if (step->kind == STEP_DNS && is_begun(step) && !switched) {
            sim_broken(sim, "steps in their order (15)", "svc%u: %s before the switch", s + 1,
                       step->name);
        }
    }
}

void judge_order(struct sim *sim, const struct execution *execution, uint32_t s) {
    const struct judged_service *kept = &sim->judged->services[s];
    for (uint32_t i = 0; i < execution->step_count; i++) {
        if (kept->phases[i] == STEP_WAITING && is_begun(&execution->steps[i])) {
            judge_start(sim, execution, s, i);
        }
    }
    judge_switched(sim, execution, s);
}
