/* The life of a step: intent, attempts, acceptance, closing, outcome; and the end of an execution
 * (DESIGN, "Exactly once"; model/move.pml). */
#include <string.h>

#include "apply.h"
#include "base/text.h"
#include "core/pending.h"

/* The open execution and the step that a command names. */
static enum core_error find_step(const struct apply *a, struct service **ret_service,
                                 struct step **ret_step) {
    const struct command_step *c = &a->command->step;
    if (c->service >= a->state->spec.service_count) {
        return CORE_NO_SERVICE;
    }
    struct service *service = &a->state->services[c->service];
    struct execution *execution = &service->execution;
    if (!execution_is_open(execution) || execution->epoch != c->epoch) {
        return CORE_NOT_OPEN;
    }
    if (c->step >= execution->step_count) {
        return CORE_NO_STEP;
    }
    *ret_service = service;
    *ret_step = &execution->steps[c->step];
    return CORE_OK;
}

/* Without a fence at the target there is nothing that refuses a late request, so a move takes only
 * this service's own, of an earlier epoch: the chain at a target never goes back. An adoption puts
 * a fence where there is none, or in a foreign one's place, but never over a later one of this
 * group: then another incarnation owns the target. */
static enum core_error check_fence(const struct apply *a, const struct service *service,
                                   const struct step *step) {
    struct fence fence;
    if (step->kind == STEP_UNMARK && a->command->step.fence[0] == '\0') {
        return CORE_OK; /* nothing is to be deleted */
    }
    bool ours = fence_parse(a->command->step.fence, a->state->cluster, &fence);
    bool same_service = ours && text_equal(fence.service, service->name);
    if (!same_service && step->kind != STEP_ADOPT) {
        return CORE_NO_FENCE;
    }
    uint64_t incarnation = a->state->incarnation;
    if ((same_service && !fence_is_before(&fence, incarnation, service->execution.epoch)) ||
        (ours && fence.incarnation > incarnation)) {
        return CORE_CHANGED;
    }
    /* An old side is no target, but a person may adopt it. */
    bool old_side = same_service && step->zone == PLACE_OF_SET && step->kind != STEP_ADOPT &&
                    fence_is_of_old_side(&fence, service->forced_epoch);
    return old_side ? CORE_CHANGED : CORE_OK;
}

/* The beginning: what DECIDE rested on must still be fresh, by the same leader's own stopwatch. The
 * leader counts from the last TICK, so that must be DECIDE's. */
static enum core_error check_begin(const struct apply *a, const struct service *service) {
    const struct execution *execution = &service->execution;
    const struct state *state = a->state;
    enum core_error error = check_overrides(state, (uint32_t)(service - state->services),
                                            execution->to, execution->skipped_gates);
    if (error != CORE_OK || !execution->automatic) {
        return error;
    }
    if (state->halted) {
        return CORE_GATE;
    }
    return a->command->term == execution->decide_term &&
                   a->command->step.begin_age_ms <= BEGIN_WITHIN_MS &&
                   state->tick_index == execution->tick_index
               ? CORE_OK
               : CORE_BEGIN_EXPIRED;
}

/* Whether a step may leave WAITING now. */
static enum core_error check_start(const struct apply *a, const struct service *service,
                                   const struct step *step) {
    const struct execution *execution = &service->execution;
    if (execution->phase == EXECUTION_CANCELLING) {
        return CORE_PHASE;
    }
    if (!step_can_start(execution, (uint32_t)(step - execution->steps))) {
        return CORE_NEEDS;
    }
    bool paused = state_override(a->state, OVERRIDE_PAUSE, service->name, NULL) != NULL;
    if (paused && (execution->skipped_gates & GATE_BIT(GATE_PAUSED)) == 0) {
        return CORE_PAUSED;
    }
    return execution->begun_index == 0 ? check_begin(a, service) : CORE_OK;
}

static void begin(struct apply *a, struct service *service) {
    struct execution *execution = &service->execution;
    const struct execution_transition *row = execution_transition_find(execution, ON_BEGIN);
    if (row == NULL) {
        return; /* begun already */
    }
    execution->phase = row->to;
    execution->begun_index = a->index;
    /* From here on only cancel and pause act. */
    memset(&service->suspect, 0, sizeof service->suspect);
}

static struct event *step_event(struct apply *a, enum event_kind kind, const struct step *step) {
    struct event *event = event_add_service(a, kind, a->command->step.service);
    memcpy(event->subject, step->name, sizeof event->subject);
    memcpy(event->detail, a->command->step.detail, sizeof event->detail);
    event->value = step->attempts;
    return event;
}

static uint32_t blob_take(struct state *state, const struct blob *from) {
    for (uint32_t i = 0; i < BLOB_MAX; i++) {
        struct blob *blob = &state->blobs[i];
        if (!blob->used) {
            blob->used = true;
            blob->size_bytes = from->size_bytes;
            memcpy(blob->bytes, from->bytes, from->size_bytes);
            return i;
        }
    }
    return NONE_INDEX;
}

static void blob_drop(struct state *state, uint32_t *index) {
    if (*index < BLOB_MAX) {
        struct blob *blob = &state->blobs[*index];
        memset(blob->bytes, 0, blob->size_bytes);
        blob->size_bytes = 0;
        blob->used = false;
    }
    *index = NONE_INDEX;
}

static uint32_t blobs_free(const struct state *state) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < BLOB_MAX; i++) {
        count += !state->blobs[i].used;
    }
    return count;
}

static void left_out_remove(struct service *service, const char *host) {
    for (uint32_t i = 0; i < service->left_out_count; i++) {
        if (text_equal(service->left_out[i].host, host)) {
            service->left_out_count--;
            memmove(&service->left_out[i], &service->left_out[i + 1],
                    (service->left_out_count - i) * sizeof service->left_out[0]);
            memset(&service->left_out[service->left_out_count], 0, sizeof service->left_out[0]);
            return;
        }
    }
}

static bool is_left_out(const struct command_step *c, const char *host) {
    bool found = false;
    for (uint32_t i = 0; i < c->left_out_count; i++) {
        found = found || text_equal(c->left_out[i].host, host);
    }
    return found;
}

/* Just those that were declared dead, each with a document; and room for them. */
static enum core_error check_left_out(const struct service *service, const struct step *step,
                                      const struct command_step *c) {
    if (step->kind != STEP_FORCE) {
        return c->left_out_count == 0 && c->forced_version == 0 ? CORE_OK : CORE_MALFORMED;
    }
    /* Above whatever an earlier one may have become. */
    uint64_t earlier = service->forced_version;
    if (c->forced_version <= (earlier == 0 ? 0 : earlier + MONGO_FORCE_JUMP)) {
        return CORE_MALFORMED;
    }
    const struct mongo_view *view = &service->execution.mongo;
    uint32_t dead = 0;
    for (uint32_t i = 0; i < view->facts.member_count; i++) {
        bool declared = (view->dead >> i & 1) != 0;
        dead += declared;
        if (is_left_out(c, view->facts.members[i].host) != declared) {
            return CORE_MALFORMED;
        }
    }
    for (uint32_t i = 0; i < c->left_out_count; i++) {
        uint32_t size = c->left_out[i].size_bytes;
        if (size == 0 || size > LEFT_OUT_SIZE || c->left_out[i].term != 0 ||
            c->left_out[i].known_term != 0) {
            return CORE_MALFORMED;
        }
    }
    return dead == c->left_out_count ? CORE_OK : CORE_MALFORMED;
}

/* Elections count up from what the survivors know; what they don't know, those that are left out
 * may have used already. The voter that knows least may be the first to be elected. */
static uint64_t first_term_without(const struct mongo_view *view) {
    uint64_t known = UINT64_MAX;
    for (uint32_t i = 0; i < view->facts.member_count; i++) {
        const struct mongo_member *member = &view->facts.members[i];
        bool survives = (view->dead >> i & 1) == 0;
        if (survives && member->votes && member->term < known) {
            known = member->term;
        }
    }
    return known == UINT64_MAX ? 1 : known + 1;
}

static uint64_t newest_known_term(const struct mongo_facts *facts) {
    uint64_t known = facts->primary_term;
    for (uint32_t i = 0; i < facts->member_count; i++) {
        const struct mongo_member *member = &facts->members[i];
        known = member->term > known ? member->term : known;
        known = member->config_term > known ? member->config_term : known;
    }
    return known;
}

/* What was said of a member before is forgotten: it is in the config now, or said anew. Older ones
 * make room. */
static void take_left_out(struct service *service, const struct command_step *c) {
    const struct mongo_facts *facts = &service->execution.mongo.facts;
    for (uint32_t i = 0; i < facts->member_count; i++) {
        left_out_remove(service, facts->members[i].host);
    }
    while (service->left_out_count + c->left_out_count > MONGO_MEMBER_MAX) {
        left_out_remove(service, service->left_out[0].host);
    }
    for (uint32_t i = 0; i < c->left_out_count; i++) {
        struct left_out *taken = &service->left_out[service->left_out_count++];
        *taken = c->left_out[i];
        taken->term = first_term_without(&service->execution.mongo);
        taken->known_term = newest_known_term(facts);
    }
}

static enum core_error check_intent(const struct apply *a, const struct service *service,
                                    const struct step *step) {
    const struct command_step *c = &a->command->step;
    if (step_transition_find(step, ON_INTENT) == NULL) {
        return CORE_PHASE;
    }
    if (step->kind == STEP_LEASE || step_is_unfenced(step->kind)) {
        bool bare = c->fence[0] == '\0' && c->before.size_bytes == 0 && c->after.size_bytes == 0;
        return bare ? check_start(a, service, step) : CORE_MALFORMED;
    }
    enum core_error error = check_fence(a, service, step);
    if (error != CORE_OK) {
        return error;
    }
    bool has_state = c->before.size_bytes > 0 && c->after.size_bytes > 0;
    if (c->before.size_bytes > BLOB_SIZE || c->after.size_bytes > BLOB_SIZE ||
        (step_has_states(step->kind) && !has_state)) {
        return CORE_MALFORMED;
    }
    if (step_has_states(step->kind) && blobs_free(a->state) < 2) {
        return CORE_LIMIT;
    }
    error = check_left_out(service, step, c);
    if (error != CORE_OK) {
        return error;
    }
    return check_start(a, service, step);
}

enum core_error apply_intent(struct apply *a) {
    const struct command_step *c = &a->command->step;
    struct service *service;
    struct step *step;
    enum core_error error = find_step(a, &service, &step);
    if (error == CORE_OK) {
        error = check_intent(a, service, step);
    }
    if (error != CORE_OK) {
        return error;
    }
    begin(a, service);
    step->phase = step_transition_find(step, ON_INTENT)->to;
    step->started_wall_ms = a->command->wall_ms;
    memcpy(step->fence_before, c->fence, sizeof step->fence_before);
    if (step_has_states(step->kind)) {
        step->state_before = blob_take(a->state, &c->before);
        step->state_after = blob_take(a->state, &c->after);
    }
    if (step->kind == STEP_FORCE) {
        take_left_out(service, c);
        service->forced_version = c->forced_version;
    }
    memcpy(step->detail, c->detail, sizeof step->detail);
    step_event(a, EVENT_INTENT, step);
    return CORE_OK;
}

enum core_error apply_attempt(struct apply *a) {
    const struct command_step *c = &a->command->step;
    struct service *service;
    struct step *step;
    enum core_error error = find_step(a, &service, &step);
    if (error != CORE_OK) {
        return error;
    }
    const struct step_transition *row = step_transition_find(step, ON_ATTEMPT);
    if (row == NULL || c->attempt != step->attempts + 1 ||
        service->execution.phase == EXECUTION_CANCELLING) {
        return CORE_PHASE;
    }
    step->phase = row->to;
    step->attempts = c->attempt;
    step->attempt_term = a->command->term;
    memset(step->change_id, 0, sizeof step->change_id);
    step_event(a, EVENT_ATTEMPT, step);
    return CORE_OK;
}

enum core_error apply_accepted(struct apply *a) {
    const struct command_step *c = &a->command->step;
    struct service *service;
    struct step *step;
    enum core_error error = find_step(a, &service, &step);
    if (error != CORE_OK) {
        return error;
    }
    const struct step_transition *row = step_transition_find(step, ON_ACCEPTED);
    if (row == NULL || c->attempt != step->attempts || c->change_id[0] == '\0') {
        return CORE_PHASE;
    }
    step->phase = row->to;
    memcpy(step->change_id, c->change_id, sizeof step->change_id);
    memcpy(step->detail, c->detail, sizeof step->detail);
    step_event(a, EVENT_ACCEPTED, step);
    return CORE_OK;
}

enum core_error apply_closing(struct apply *a) {
    const struct command_step *c = &a->command->step;
    struct service *service;
    struct step *step;
    enum core_error error = find_step(a, &service, &step);
    if (error != CORE_OK) {
        return error;
    }
    const struct step_transition *row = step_transition_find(step, ON_CLOSING);
    if (row == NULL) {
        return CORE_PHASE;
    }
    if (step->phase == STEP_WAITING) {
        error = check_start(a, service, step);
        if (error != CORE_OK) {
            return error;
        }
        begin(a, service);
        step->started_wall_ms = a->command->wall_ms;
    }
    step->phase = row->to;
    memcpy(step->detail, c->detail, sizeof step->detail);
    step_event(a, EVENT_CLOSING, step);
    return CORE_OK;
}

static void debt_remove(struct service *service, const char *eid) {
    for (uint32_t i = 0; i < service->debt_count; i++) {
        if (text_equal(service->debts[i].eid, eid)) {
            service->debt_count--;
            memmove(&service->debts[i], &service->debts[i + 1],
                    (service->debt_count - i) * sizeof service->debts[0]);
            memset(&service->debts[service->debt_count], 0, sizeof service->debts[0]);
            return;
        }
    }
}

/* The fence that was read must prove what the outcome says. */
static bool outcome_is_proved(const struct state *state, uint32_t service_index,
                              uint32_t step_index, const struct command_step *c) {
    const struct execution *execution = &state->services[service_index].execution;
    const struct step *step = &execution->steps[step_index];
    bool of_marks = execution_kind_marks(execution->kind);
    char eid[EID_SIZE];
    char fence[FENCE_SIZE];
    char burnt[FENCE_SIZE];
    step_eid(state, service_index, step_index, eid);
    fence_format(fence, state->cluster, eid);
    fence_format_void(burnt, state->cluster, eid);
    bool landed = text_equal(c->fence, fence);
    bool void_there = text_equal(c->fence, burnt);
    bool overtaken = step_is_overtaken(state, service_index, step_index, c->fence);
    bool unsent = step->phase == STEP_WAITING || step->phase == STEP_INTENDED;
    bool gone = c->fence[0] == '\0';
    bool obscured = !gone && step_is_obscured(state, service_index, step_index, c->fence);
    switch (c->outcome) {
    case STEP_DONE:
        if (step->kind == STEP_UNMARK) {
            return gone;
        }
        /* How long a grant may still be held, only its leader's stopwatch knows: core/lease.h. Who
         * is primary, and what a majority holds, only a read shows. */
        return landed || step->kind == STEP_LEASE || step_is_unfenced(step->kind) ||
               (step->kind == STEP_SETTLE &&
                (void_there || overtaken || (of_marks && (gone || obscured))));
    case STEP_REFUSED:
        return void_there || unsent;
    default:
        return gone || overtaken || obscured || step->kind == STEP_FORCE;
    }
}

void step_end(struct apply *a, struct step *step, enum step_phase phase) {
    step->phase = phase;
    step->ended_wall_ms = a->command->wall_ms;
    if (step->started_wall_ms == 0) {
        step->started_wall_ms = step->ended_wall_ms;
    }
    blob_drop(a->state, &step->state_before);
    blob_drop(a->state, &step->state_after);
}

/* One that was in the config when it was readmitted; else it has come in without a vote, and what
 * it had is kept until all nodes know it there. */
static bool has_its_vote(const struct execution *execution) {
    const struct mongo_facts *facts = &execution->mongo.facts;
    for (uint32_t i = 0; i < facts->member_count; i++) {
        if (text_equal(facts->members[i].host, execution->mongo.readmit)) {
            return true;
        }
    }
    return false;
}

enum core_error apply_outcome(struct apply *a) {
    const struct command_step *c = &a->command->step;
    struct service *service;
    struct step *step;
    enum core_error error = find_step(a, &service, &step);
    if (error != CORE_OK) {
        return error;
    }
    enum step_event on = c->outcome == STEP_DONE      ? ON_DONE
                         : c->outcome == STEP_REFUSED ? ON_REFUSED
                                                      : ON_UNKNOWN;
    const struct step_transition *row = step_transition_find(step, on);
    /* Before the beginning a step that can't start would end what nobody has begun: lapse that. */
    if (row == NULL || row->to != c->outcome ||
        (step->phase == STEP_WAITING && service->execution.begun_index == 0 &&
         service->execution.automatic)) {
        return CORE_PHASE;
    }
    if (!outcome_is_proved(a->state, c->service, c->step, c)) {
        return CORE_EVIDENCE;
    }
    if (service->execution.begun_index == 0) {
        begin(a, service);
    }
    step_end(a, step, row->to);
    memcpy(step->detail, c->detail, sizeof step->detail);
    step_event(a,
               c->outcome == STEP_DONE      ? EVENT_STEP_DONE
               : c->outcome == STEP_REFUSED ? EVENT_STEP_REFUSED
                                            : EVENT_STEP_UNKNOWN,
               step);
    if (step->kind == STEP_FORCE && row->to == STEP_DONE) {
        service->forced_epoch = service->execution.epoch;
    }
    if (step->kind == STEP_SETTLE && row->to == STEP_DONE) {
        debt_remove(service, step->debt_eid);
        step_event(a, EVENT_DEBT_SETTLED, step);
    }
    if (step->kind == STEP_READMIT && row->to == STEP_DONE && has_its_vote(&service->execution)) {
        left_out_remove(service, service->execution.mongo.readmit);
    }
    if ((row->to == STEP_UNKNOWN || row->to == STEP_REFUSED) &&
        step_is_overtaken(a->state, c->service, c->step, c->fence)) {
        automation_halt(a); /* DESIGN, "Recovery": a later incarnation's fence stops it for good */
    }
    execution_settle(a, c->service);
    return CORE_OK;
}

enum core_error apply_switch(struct apply *a) {
    const struct command_step *c = &a->command->step;
    struct service *service;
    struct step *step;
    enum core_error error = find_step(a, &service, &step);
    if (error != CORE_OK) {
        return error;
    }
    const struct step_transition *row = step_transition_find(step, ON_SWITCH);
    if (row == NULL) {
        return CORE_PHASE;
    }
    error = check_start(a, service, step);
    if (error != CORE_OK) {
        return error;
    }
    begin(a, service);
    step->started_wall_ms = a->command->wall_ms;
    step_end(a, step, row->to);
    struct event *event = step_event(a, EVENT_SWITCHED, step);
    (void)TEXT_COPY(event->region, region_name(a->state, service->execution.from));
    (void)TEXT_COPY(event->to, region_name(a->state, service->execution.to));
    service->active = service->execution.to;
    service->promoted_away = false;
    service->adopted = true;
    service->released = service->execution.kind == EXECUTION_RELEASE;
    execution_settle(a, c->service);
    return CORE_OK;
}

/* A step whose needs have failed for good will never start. */
static bool can_never_start(const struct execution *execution, uint32_t step) {
    for (uint32_t i = 0; i < step; i++) {
        const struct step *need = &execution->steps[i];
        bool needed = (execution->steps[step].needs >> i & 1) != 0;
        if (needed && step_is_ended(need->phase) && !step_satisfies(need)) {
            return true;
        }
    }
    return false;
}

/* A request to step up, or a forced config, may still be under way; and where the config prefers
 * the target, the set moves its primary there by itself. */
static bool may_promote(const struct step *step) {
    bool promotes =
        step->kind == STEP_PREFER || step->kind == STEP_PROMOTE || step->kind == STEP_FORCE;
    return promotes && step->attempts > 0 && step->phase != STEP_REFUSED;
}

static enum execution_result result_of(const struct execution *execution) {
    uint32_t released = 0;
    uint32_t failed = 0;
    bool stands = false; /* something of the move can be seen by users */
    for (uint32_t i = 0; i < execution->step_count; i++) {
        const struct step *step = &execution->steps[i];
        bool is_done = step->phase == STEP_DONE;
        released += step->phase == STEP_RELEASED;
        /* What a cancel has kept from being tried hasn't failed harmlessly. */
        failed += (step->phase == STEP_REFUSED || step->phase == STEP_UNKNOWN) &&
                  (!step->continue_on_failure || execution->cancelled);
        stands = stands || may_promote(step) ||
                 (is_done && (step->kind == STEP_SWITCH || step_has_states(step->kind)));
    }
    if (failed == 0) {
        return released > 0 ? RESULT_RELEASED : RESULT_DONE;
    }
    if (stands && execution_kind_moves(execution->kind)) {
        return RESULT_HALF_MOVED;
    }
    return execution->cancelled ? RESULT_CANCELLED : RESULT_STOPPED;
}

/* 0 says "never" where ends of moves are kept. */
static uint64_t time_or_one(const struct state *state) {
    return state->time_ms > 0 ? state->time_ms : 1;
}

static bool lease_was_outlasted(const struct execution *execution) {
    for (uint32_t i = 0; i < execution->step_count; i++) {
        if (execution->steps[i].kind == STEP_LEASE) {
            return step_satisfies(&execution->steps[i]);
        }
    }
    return false;
}

/* Whether the set's primary may be, or come to be, where this execution wanted it. */
static bool promotes_away(const struct service *service) {
    const struct execution *execution = &service->execution;
    bool may = false;
    for (uint32_t i = 0; i < execution->step_count; i++) {
        may = may || may_promote(&execution->steps[i]);
    }
    return may && execution->to != service->active;
}

static void execution_end(struct apply *a, uint32_t service) {
    struct service *s = &a->state->services[service];
    struct execution *execution = &s->execution;
    execution->phase = EXECUTION_ENDED;
    execution->result = result_of(execution);
    execution->end_wall_ms = a->command->wall_ms;
    bool through = execution->result == RESULT_DONE || execution->result == RESULT_RELEASED;
    s->promoted_away = s->promoted_away || promotes_away(s);
    if (s->active == execution->to && lease_was_outlasted(execution)) {
        /* What stands now was granted by this spec. */
        s->longest_lease_ms = a->state->spec.services[service].policy.lease_ms;
    }
    if (execution->kind == EXECUTION_READMIT) {
        /* It says nothing of where the service is. */
    } else if (!execution_kind_moves(execution->kind)) {
        /* Its targets say what it says: nothing is between two regions any more. */
        s->half_moved = s->half_moved && execution->result != RESULT_DONE;
    } else if (execution->begun_index != 0) {
        s->half_moved = execution->result == RESULT_HALF_MOVED || (s->half_moved && !through);
        /* Between two TICKs committed time stands, perhaps since days: the next TICK dates it. */
        bool timed = a->state->tick_index > execution->decide_index || execution->automatic;
        s->last_move_end_ms = timed ? time_or_one(a->state) : MOVE_END_UNTIMED_MS;
        if (execution->automatic) {
            s->recent_move_ms[s->recent_move_next] = time_or_one(a->state);
            s->recent_move_next = (s->recent_move_next + 1) % RECENT_MOVE_MAX;
        }
    }
    s->half_moved = s->half_moved || s->promoted_away; /* no repair of records brings it back */
    struct event *event = event_add_service(a, EVENT_MOVE_ENDED, service);
    (void)TEXT_COPY(event->region, region_name(a->state, execution->from));
    (void)TEXT_COPY(event->to, region_name(a->state, execution->to));
    event->value = execution->result;
    move_add(a, service);
}

void execution_settle(struct apply *a, uint32_t service) {
    struct execution *execution = &a->state->services[service].execution;
    bool cancelling = execution->phase == EXECUTION_CANCELLING;
    bool all_ended = true;
    for (uint32_t i = 0; i < execution->step_count; i++) {
        struct step *step = &execution->steps[i];
        bool never = can_never_start(execution, i);
        const struct step_transition *row =
            cancelling || never ? step_transition_find(step, cancelling ? ON_CANCEL : ON_REFUSED)
                                : NULL;
        bool unsent = step->phase == STEP_WAITING || step->phase == STEP_INTENDED;
        if (row != NULL && unsent) {
            step_end(a, step, row->to);
            (void)TEXT_COPY(step->detail, cancelling ? "cancelled; nothing was sent"
                                                     : "a step that it needs failed");
        }
        all_ended = all_ended && step_is_ended(step->phase);
    }
    if (all_ended && execution_transition_find(execution, ON_ALL_ENDED) != NULL) {
        execution_end(a, service);
    }
}
