/* What people command: spec, veto, pause, maintenance, approve, reject, cancel, release. */
#include <string.h>

#include "apply.h"
#include "base/text.h"
#include "spec_rules.h"

static enum core_error check_kept_service(const struct state *state, uint32_t old,
                                          const struct spec *spec, uint32_t new) {
    const struct service *service = &state->services[old];
    bool unchanged = spec_service_is_unchanged(&state->spec, old, spec, new);
    /* What has begun, or was asked for by a person, keeps its spec to the end. What automation
     * decided and hasn't begun lapses with the window that it rests on. */
    bool lapses = service->execution.phase == EXECUTION_DECIDED && service->execution.automatic;
    if (execution_is_open(&service->execution) && !unchanged && !lapses) {
        return CORE_SPEC_IN_USE;
    }
    if (!service->adopted) {
        return CORE_OK;
    }
    const char *home = region_name(state, state->spec.services[old].home);
    if (!service->released && !text_equal(home, spec->regions[spec->services[new].home].name)) {
        return CORE_SPEC_IN_USE; /* it would say that users are where they are not */
    }
    uint32_t active = spec_find_region(spec, region_name(state, service->active));
    return active != NONE_INDEX && spec_may_serve(spec, new, active) ? CORE_OK : CORE_SPEC_IN_USE;
}

static enum core_error check_spec(const struct apply *a) {
    const struct command_spec *c = &a->command->spec;
    const struct state *state = a->state;
    if (c->spec == NULL || c->text_size > SPEC_TEXT_MAX || (c->text == NULL && c->text_size > 0)) {
        return CORE_MALFORMED;
    }
    if (c->expected_index != state->spec_index) {
        return CORE_CHANGED;
    }
    if (spec_broken_rule(c->spec) != NULL) {
        return CORE_SPEC;
    }
    bool moves_places = false;
    bool open = false;
    for (uint32_t old = 0; old < state->spec.service_count; old++) {
        const struct service *service = &state->services[old];
        uint32_t new = spec_find_service(c->spec, service->name);
        if (new == NONE_INDEX) {
            moves_places = true;
            /* Its fences, and what an open move has sent, would be left without an owner. */
            if (execution_is_open(&service->execution) || service_is_managed(service) ||
                service->debt_count > 0) {
                return CORE_SPEC_IN_USE;
            }
            continue;
        }
        enum core_error error = check_kept_service(state, old, c->spec, new);
        if (error != CORE_OK) {
            return error;
        }
        moves_places = moves_places || new != old;
        open = open || execution_is_open(&service->execution);
    }
    /* Commands on their way name services by place: none may meet another service's steps. */
    return moves_places && open ? CORE_SPEC_IN_USE : CORE_OK;
}

static void keep_revision(struct apply *a) {
    struct state *state = a->state;
    const struct command_spec *c = &a->command->spec;
    struct spec_revision *kept = &state->revisions[state->revision_count % SPEC_REVISION_MAX];
    state->revision_count++;
    kept->index = a->index;
    kept->wall_ms = a->command->wall_ms;
    memcpy(kept->actor, a->command->origin.actor, sizeof kept->actor);
    memcpy(kept->reason, a->command->origin.reason, sizeof kept->reason);
    if (kept->text_size > c->text_size) {
        memset(kept->text + c->text_size, 0, kept->text_size - c->text_size);
    }
    if (c->text_size > 0) {
        memcpy(kept->text, c->text, c->text_size);
    }
    kept->text_size = c->text_size;
}

enum core_error apply_spec(struct apply *a) {
    enum core_error error = check_spec(a);
    if (error != CORE_OK) {
        return error;
    }
    struct state *state = a->state;
    const struct command_spec *c = &a->command->spec;
    for (uint32_t old = 0; old < state->spec.service_count; old++) {
        uint32_t new = spec_find_service(c->spec, state->services[old].name);
        if (new == NONE_INDEX || !spec_service_is_unchanged(&state->spec, old, c->spec, new)) {
            unsuspect(a, old, "the spec changed");
        }
    }
    state_take_spec(state, c->spec);
    for (uint32_t i = 0; i < state->spec.service_count; i++) {
        uint64_t lease_ms = state->spec.services[i].policy.lease_ms;
        struct service *service = &state->services[i];
        if (lease_ms > service->longest_lease_ms) {
            service->longest_lease_ms = lease_ms;
        }
    }
    state->spec_index = a->index;
    keep_revision(a);
    event_add(a, EVENT_SPEC)->value = a->index;
    return CORE_OK;
}

/* An override's service exists and is the actor's; one over all services is an admin's or an
 * operator's of every owner. */
static enum core_error check_override_scope(const struct apply *a) {
    const struct command_override *c = &a->command->override;
    const struct command_origin *origin = &a->command->origin;
    if ((unsigned)c->kind >= OVERRIDE_KIND_COUNT || c->until_ms > TIME_MAX_MS) {
        return CORE_MALFORMED;
    }
    bool names_region = c->region[0] != '\0';
    if (names_region != (c->kind == OVERRIDE_MAINTENANCE)) {
        return CORE_MALFORMED;
    }
    bool ends = a->command->kind == COMMAND_OVERRIDE_END;
    if (ends && origin->role == ROLE_ADMIN) {
        return CORE_OK; /* also what the spec doesn't have any more */
    }
    if (names_region && !ends && spec_find_region(&a->state->spec, c->region) == NONE_INDEX) {
        return CORE_NO_REGION;
    }
    if (c->service[0] == '\0') {
        return origin->role == ROLE_ADMIN || origin->owner[0] == '\0' ? CORE_OK : CORE_OWNER;
    }
    uint32_t service;
    return find_owned_service(a, c->service, &service);
}

/* Ties go to the veto: whatever has not begun ends here. */
static void lapse_covered(struct apply *a) {
    const struct command_override *c = &a->command->override;
    struct state *state = a->state;
    for (uint32_t s = 0; s < state->spec.service_count; s++) {
        const struct execution *execution = &state->services[s].execution;
        bool covered = c->service[0] == '\0' || text_equal(c->service, state->services[s].name);
        bool target = c->kind != OVERRIDE_MAINTENANCE ||
                      text_equal(c->region, region_name(state, execution->to)) ||
                      text_equal(c->region, region_name(state, execution->from));
        if (covered && target) {
            lapse(a, s, override_kind_text(c->kind));
        }
        const struct suspect *suspect = &state->services[s].suspect;
        if (covered && c->kind == OVERRIDE_MAINTENANCE && suspect->open &&
            text_equal(c->region, region_name(state, suspect->region))) {
            unsuspect(a, s, "its region is in maintenance");
        }
    }
}

enum core_error apply_override(struct apply *a) {
    const struct command_override *c = &a->command->override;
    struct state *state = a->state;
    enum core_error error = check_override_scope(a);
    if (error != CORE_OK) {
        return error;
    }
    if (c->until_ms != 0 && c->until_ms <= state->time_ms) {
        return CORE_MALFORMED;
    }
#ifdef NOCTUA_NEXT /* a rule of its own level: nodes of both versions must agree until it holds */
    if (state->feature_level >= 2 && strnlen(a->command->origin.reason, REASON_SIZE) < 8) {
        return CORE_MALFORMED;
    }
#endif
    if (state->override_count >= OVERRIDE_MAX) {
        return CORE_LIMIT;
    }
    struct override *held = &state->overrides[state->override_count++];
    memset(held, 0, sizeof *held);
    held->kind = c->kind;
    memcpy(held->service, c->service, sizeof held->service);
    memcpy(held->region, c->region, sizeof held->region);
    held->until_ms = c->until_ms;
    held->index = a->index;
    held->wall_ms = a->command->wall_ms;
    memcpy(held->actor, a->command->origin.actor, sizeof held->actor);
    memcpy(held->reason, a->command->origin.reason, sizeof held->reason);
    struct event *event = event_add(a, EVENT_OVERRIDE);
    event->value = c->kind;
    memcpy(event->service, c->service, sizeof event->service);
    memcpy(event->region, c->region, sizeof event->region);
    lapse_covered(a);
    return CORE_OK;
}

enum core_error apply_override_end(struct apply *a) {
    const struct command_override *c = &a->command->override;
    struct state *state = a->state;
    enum core_error error = check_override_scope(a);
    if (error != CORE_OK) {
        return error;
    }
    uint32_t kept = 0;
    uint32_t count = state->override_count;
    for (uint32_t i = 0; i < count; i++) {
        struct override *held = &state->overrides[i];
        bool same = held->kind == c->kind && text_equal(held->service, c->service) &&
                    text_equal(held->region, c->region);
        if (!same) {
            if (kept != i) {
                state->overrides[kept] = *held;
            }
            kept++;
        }
    }
    if (kept == count) {
        return CORE_NO_OVERRIDE;
    }
    memset(&state->overrides[kept], 0, (count - kept) * sizeof state->overrides[0]);
    state->override_count = kept;
    struct event *event = event_add(a, EVENT_OVERRIDE_END);
    event->value = c->kind;
    memcpy(event->service, c->service, sizeof event->service);
    memcpy(event->region, c->region, sizeof event->region);
    return CORE_OK;
}

enum core_error apply_approve(struct apply *a) {
    const struct command_choice *c = &a->command->choice;
    struct state *state = a->state;
    uint32_t service;
    enum core_error error = find_owned_service(a, c->service, &service);
    if (error != CORE_OK) {
        return error;
    }
    struct service *s = &state->services[service];
    if (!s->suspect.open || execution_is_open(&s->execution)) {
        return CORE_NOT_SUSPECTED;
    }
    uint32_t to = spec_find_region(&state->spec, c->to);
    if (c->epoch != s->epoch + 1) {
        return CORE_CHANGED;
    }
    if (!spec_may_serve(&state->spec, service, to) || to == s->active) {
        return CORE_NO_REGION;
    }
    s->suspect.approved = true;
    s->suspect.rejected = false;
    s->suspect.approved_to = to;
    memcpy(s->suspect.approved_by, a->command->origin.actor, sizeof s->suspect.approved_by);
    struct event *event = event_add_service(a, EVENT_APPROVED, service);
    memcpy(event->to, c->to, sizeof event->to);
    return CORE_OK;
}

enum core_error apply_reject(struct apply *a) {
    uint32_t service;
    enum core_error error = find_owned_service(a, a->command->choice.service, &service);
    if (error != CORE_OK) {
        return error;
    }
    struct service *s = &a->state->services[service];
    if (!s->suspect.open) {
        return CORE_NOT_SUSPECTED;
    }
    uint64_t index = s->suspect.index;
    lapse(a, service, "rejected");
    if (s->suspect.index == index) {
        s->suspect.rejected = true;
        s->suspect.approved = false;
    }
    event_add_service(a, EVENT_REJECTED, service);
    return CORE_OK;
}

/* The open execution that a person names by service and epoch (0: whichever is open). */
static enum core_error find_open(const struct apply *a, uint32_t *ret_service) {
    const struct command_choice *c = &a->command->choice;
    enum core_error error = find_owned_service(a, c->service, ret_service);
    if (error != CORE_OK) {
        return error;
    }
    const struct execution *execution = &a->state->services[*ret_service].execution;
    bool named = c->epoch == 0 || c->epoch == execution->epoch;
    return execution_is_open(execution) && named ? CORE_OK : CORE_NOT_OPEN;
}

enum core_error apply_cancel(struct apply *a) {
    uint32_t service;
    enum core_error error = find_open(a, &service);
    if (error != CORE_OK) {
        return error;
    }
    struct execution *execution = &a->state->services[service].execution;
    const struct execution_transition *row =
        execution_transition_find(execution, ON_OPERATOR_CANCEL);
    if (row == NULL) {
        return CORE_PHASE;
    }
    event_add_service(a, EVENT_CANCEL, service);
    execution->cancelled = true;
    execution->phase = row->to;
    memset(&a->state->services[service].suspect, 0, sizeof a->state->services[service].suspect);
    /* Without an attempt every step ends here, and with them the execution. */
    execution_settle(a, service);
    return CORE_OK;
}

static enum core_error add_debt(struct apply *a, uint32_t service, uint32_t step_index) {
    struct service *s = &a->state->services[service];
    struct step *step = &s->execution.steps[step_index];
    if (s->debt_count >= DEBT_MAX) {
        return CORE_LIMIT;
    }
    struct debt *debt = &s->debts[s->debt_count++];
    memset(debt, 0, sizeof *debt);
    debt->epoch = s->execution.epoch;
    debt->step = step_index;
    eid_format(debt->eid, s->name, a->state->incarnation, s->execution.epoch, step_index);
    debt->of_set = step->zone == PLACE_OF_SET;
    if (!debt->of_set) {
        debt->zone = a->state->spec.services[service].zones[step->zone];
    }
    return CORE_OK;
}

enum core_error apply_release(struct apply *a) {
    const struct command_choice *c = &a->command->choice;
    uint32_t service;
    enum core_error error = find_open(a, &service);
    if (error != CORE_OK) {
        return error;
    }
    struct execution *execution = &a->state->services[service].execution;
    uint32_t i = 0;
    while (i < execution->step_count && !text_equal(execution->steps[i].name, c->step)) {
        i++;
    }
    if (i == execution->step_count) {
        return CORE_NO_STEP;
    }
    struct step *step = &execution->steps[i];
    const struct step_transition *row = step_transition_find(step, ON_RELEASE);
    if (row == NULL || execution->begun_index == 0) {
        return CORE_PHASE;
    }
    if (step->kind != STEP_SETTLE && step_is_fenced(step->kind) && step->attempts > 0) {
        error = add_debt(a, service, i);
        if (error != CORE_OK) {
            return error;
        }
    }
    step_end(a, step, row->to);
    struct event *event = event_add_service(a, EVENT_STEP_RELEASED, service);
    memcpy(event->subject, step->name, sizeof event->subject);
    execution_settle(a, service);
    return CORE_OK;
}

enum core_error apply_resume_automation(struct apply *a) {
    if (!a->state->halted) {
        return CORE_NO_OVERRIDE;
    }
    a->state->halted = false;
    event_add(a, EVENT_HALT_END);
    return CORE_OK;
}
