/* DECIDE and an operator's MOVE or ADOPT: the only two ways by which an epoch goes up. The leader's
 * judgement is checked here against committed facts; what it says of gates is kept as evidence. */
#include <string.h>

#include "apply.h"
#include "base/text.h"
#include "mongo_judge.h"
#include "plan_rules.h"

void lapse(struct apply *a, uint32_t service, const char *why) {
    struct service *s = &a->state->services[service];
    struct execution *execution = &s->execution;
    const struct execution_transition *row = execution_transition_find(execution, ON_LAPSE);
    if (row == NULL) {
        return;
    }
    execution->phase = row->to;
    execution->result = RESULT_LAPSED;
    execution->end_wall_ms = a->command->wall_ms;
    for (uint32_t i = 0; i < execution->step_count; i++) {
        step_end(a, &execution->steps[i], STEP_REFUSED);
    }
    struct event *event = event_add_service(a, EVENT_LAPSED, service);
    (void)TEXT_COPY(event->to, region_name(a->state, execution->to));
    (void)TEXT_COPY(event->detail, why);
    move_add(a, service);
    if (s->suspect.open) {
        /* One window serves one DECIDE: the next one starts anew. */
        memset(&s->suspect, 0, sizeof s->suspect);
    }
}

enum core_error apply_lapse(struct apply *a) {
    const struct command_step *c = &a->command->step;
    if (c->service >= a->state->spec.service_count) {
        return CORE_NO_SERVICE;
    }
    const struct execution *execution = &a->state->services[c->service].execution;
    if (execution->phase != EXECUTION_DECIDED || execution->epoch != c->epoch ||
        !execution->automatic) {
        return CORE_NOT_OPEN;
    }
    lapse(a, c->service, "not begun in time");
    return CORE_OK;
}

/* A report proves "down" when its node's committed facts are not newer, nothing alive was committed
 * since SUSPECT, and all its probes started after SUSPECT was applied there, the last one after
 * LEADER and the last TICK. */
static enum core_error check_citation(const struct apply *a, const struct cited_report *cited,
                                      const struct suspect *suspect, uint32_t service) {
    const struct state *state = a->state;
    if (cited->node >= state->node_count) {
        return CORE_NO_NODE;
    }
    const struct node *node = &state->nodes[cited->node];
    if (cited->boot != node->boot || cited->sequence < node->sequence || node->expired) {
        return CORE_STALE_REPORT;
    }
    if (!cited->down) {
        return CORE_OK;
    }
    const struct opinion *opinion =
        &state->services[service].opinions[suspect->region][cited->node];
    bool down_since = opinion->value == OPINION_DOWN && opinion->last_alive_index < suspect->index;
    bool fresh = cited->first_index >= suspect->index && cited->last_index >= cited->first_index &&
                 cited->last_index >= state->leader_index &&
                 cited->last_index >= state->tick_index && cited->last_index < a->index;
    return down_since && fresh ? CORE_OK : CORE_EVIDENCE;
}

/* Votes for down, from the cited reports alone. */
static uint32_t cited_votes(const struct state *state, const struct command_decide *c) {
    uint32_t votes = 0;
    for (uint32_t n = 0; n < state->node_count; n++) {
        const char *region = state->nodes[n].region;
        if (!votes_is_first_of_region(state, n) || region[0] == '\0' ||
            text_equal(region, region_name(state, c->from))) {
            continue;
        }
        uint32_t nodes = 0;
        uint32_t down = 0;
        for (uint32_t i = 0; i < state->node_count; i++) {
            nodes += text_equal(state->nodes[i].region, region);
        }
        for (uint32_t i = 0; i < c->cited_count; i++) {
            down += c->cited[i].down && text_equal(state->nodes[c->cited[i].node].region, region);
        }
        votes += down * 2 > nodes;
    }
    return votes;
}

static enum core_error check_evidence(const struct apply *a) {
    const struct command_decide *c = &a->command->decide;
    const struct state *state = a->state;
    const struct service *service = &state->services[c->service];
    if (c->cited_count > NODE_MAX) {
        return CORE_LIMIT;
    }
    uint32_t confirmed = 0;
    uint64_t confirm_ms = state->spec.services[c->service].policy.confirm_ms;
    for (uint32_t i = 0; i < c->cited_count; i++) {
        enum core_error error = check_citation(a, &c->cited[i], &service->suspect, c->service);
        if (error != CORE_OK) {
            return error;
        }
        for (uint32_t j = 0; j < i; j++) {
            if (c->cited[j].node == c->cited[i].node) {
                return CORE_EVIDENCE;
            }
        }
        confirmed += c->cited[i].knows_suspect && c->cited[i].suspect_age_ms >= confirm_ms;
    }
    struct votes votes;
    votes_count(state, c->service, c->from, &votes);
    if (votes.regions < 3 || cited_votes(state, c) < votes.need) {
        return CORE_VOTES;
    }
    return confirmed >= majority(state->node_count) ? CORE_OK : CORE_NOT_CONFIRMED;
}

enum core_error check_overrides(const struct state *state, uint32_t service, uint32_t to,
                                uint32_t skip) {
    const char *name = state->services[service].name;
    if ((skip & GATE_BIT(GATE_VETOED)) == 0 &&
        state_override(state, OVERRIDE_VETO, name, NULL) != NULL) {
        return CORE_VETOED;
    }
    if ((skip & GATE_BIT(GATE_PAUSED)) == 0 &&
        state_override(state, OVERRIDE_PAUSE, name, NULL) != NULL) {
        return CORE_PAUSED;
    }
    if ((skip & GATE_BIT(GATE_TARGET_MAINTENANCE)) == 0 &&
        state_override(state, OVERRIDE_MAINTENANCE, name, region_name(state, to)) != NULL) {
        return CORE_MAINTENANCE;
    }
    return CORE_OK;
}

static bool target_is_healthy(const struct state *state, uint32_t service, uint32_t to) {
    struct votes votes;
    votes_count(state, service, to, &votes);
    enum opinion_value verdict = votes_verdict(&votes);
    return verdict == OPINION_UP || verdict == OPINION_DEGRADED;
}

/* By the facts that the command carries: what no move may do, whoever asked for it (invariants 6
 * and 7). */
static bool set_may_move(const struct state *state, uint32_t service, uint32_t to, uint32_t skip,
                         const struct mongo_view *view) {
    struct gate_reading gates[GATE_COUNT];
    mongo_read_gates(&state->spec.services[service].mongo, view, to, gates);
    for (unsigned gate = 0; gate < GATE_COUNT; gate++) {
        bool skipped = (skip & GATE_BIT(gate)) != 0 && gate_is_skippable((enum gate)gate);
        if (gate_is_of_set((enum gate)gate) && gates[gate].result == GATE_FAIL && !skipped) {
            return false;
        }
    }
    return true;
}

static enum core_error check_automatic_gates(const struct apply *a) {
    const struct command_decide *c = &a->command->decide;
    const struct state *state = a->state;
    const struct service *service = &state->services[c->service];
    const struct spec_service *spec = &state->spec.services[c->service];
    const struct suspect *suspect = &service->suspect;
    bool allowed = spec->mode == MODE_AUTO || (spec->mode == MODE_ADVISE && suspect->approved &&
                                               suspect->approved_to == c->to);
    if (!allowed || state->halted || service->half_moved) {
        return CORE_GATE;
    }
    if (suspect->rejected) {
        return CORE_VETOED;
    }
    uint64_t end_ms = service->last_move_end_ms;
    if (end_ms != 0 && state->time_ms < end_ms + spec->policy.cooldown_ms) {
        return CORE_GATE;
    }
    if (service_recent_moves(state, c->service) >= spec->policy.max_moves) {
        return CORE_GATE;
    }
    if (service->debt_count >= DEBT_MAX || !target_is_healthy(state, c->service, c->to) ||
        !target_has_room(state, c->service, c->to)) {
        return CORE_GATE;
    }
    for (unsigned gate = 0; gate < GATE_COUNT; gate++) {
        enum gate_result result = c->gates[gate].result;
        if (result != GATE_PASS && result != GATE_NOT_APPLICABLE) {
            return CORE_GATE;
        }
    }
    if (c->mongo.dead != 0 || c->mongo.readmit[0] != '\0' ||
        !set_may_move(state, c->service, c->to, 0, &c->mongo)) {
        return CORE_GATE;
    }
    return check_overrides(state, c->service, c->to, 0);
}

/* Fills in what both kinds of move have in common; the caller has checked everything. */
static struct execution *open_execution(struct apply *a, uint32_t service, uint32_t to,
                                        enum execution_kind kind, const struct plan *plan) {
    struct service *s = &a->state->services[service];
    uint32_t from = s->active;
    if (to == s->active && execution_kind_moves(kind)) {
        /* Continues a half-moved one, which another may have failed to reverse meanwhile. */
        from = s->execution.from != to ? s->execution.from : s->execution.to;
    }
    struct execution *execution = &s->execution;
    memset(execution, 0, sizeof *execution);
    execution->phase = EXECUTION_DECIDED;
    execution->kind = kind;
    execution->epoch = ++s->epoch;
    execution->from = from;
    execution->to = to;
    execution->decide_index = a->index;
    execution->decide_term = a->command->term;
    execution->start_ms = a->state->time_ms;
    execution->start_wall_ms = a->command->wall_ms;
    execution->step_count = plan->count;
    for (uint32_t i = 0; i < plan->count; i++) {
        struct step *step = &execution->steps[i];
        memcpy(step->name, plan->steps[i].name, sizeof step->name);
        step->kind = plan->steps[i].kind;
        step->needs = plan->steps[i].needs;
        step->zone = plan->steps[i].zone;
        step->debt = plan->steps[i].debt;
        step->continue_on_failure = plan->steps[i].continue_on_failure;
        step->state_before = NONE_INDEX;
        step->state_after = NONE_INDEX;
        if (step->kind == STEP_SETTLE) {
            memcpy(step->debt_eid, s->debts[step->debt].eid, sizeof step->debt_eid);
        }
    }
    struct event *event = event_add_service(a, EVENT_DECIDED, service);
    (void)TEXT_COPY(event->region, region_name(a->state, from));
    (void)TEXT_COPY(event->to, region_name(a->state, to));
    event->value = kind;
    return execution;
}

static enum core_error check_decide(const struct apply *a) {
    const struct command_decide *c = &a->command->decide;
    const struct state *state = a->state;
    if (c->service >= state->spec.service_count) {
        return CORE_NO_SERVICE;
    }
    const struct service *service = &state->services[c->service];
    if (!service_is_managed(service)) {
        return CORE_NOT_ADOPTED;
    }
    if (execution_is_open(&service->execution)) {
        return CORE_IN_PROGRESS;
    }
    if (!service->suspect.open || service->suspect.index != c->suspect_index) {
        return CORE_NOT_SUSPECTED;
    }
    if (c->spec_index != state->spec_index || c->epoch != service->epoch + 1 ||
        c->from != service->active) {
        return CORE_CHANGED;
    }
    if (!spec_may_serve(&state->spec, c->service, c->to) || c->to == c->from) {
        return CORE_NO_REGION;
    }
    if (state->tick_index < state->leader_index || c->tick_index != state->tick_index) {
        return CORE_NO_TICK;
    }
    return CORE_OK;
}

enum core_error apply_decide(struct apply *a) {
    const struct command_decide *c = &a->command->decide;
    enum core_error error = check_decide(a);
    if (error == CORE_OK) {
        error = check_evidence(a);
    }
    if (error == CORE_OK) {
        error = check_automatic_gates(a);
    }
    if (error == CORE_OK &&
        !plan_is_sound(a->state, c->service, EXECUTION_FAILOVER, c->to, 0, &c->mongo, &c->plan)) {
        error = CORE_PLAN;
    }
    if (error != CORE_OK) {
        return error;
    }
    struct execution *execution =
        open_execution(a, c->service, c->to, EXECUTION_FAILOVER, &c->plan);
    execution->automatic = true;
    execution->suspect_index = c->suspect_index;
    execution->tick_index = c->tick_index;
    (void)TEXT_COPY(execution->actor, "auto");
    memcpy(execution->gates, c->gates, sizeof execution->gates);
    execution->mongo = c->mongo;
    memcpy(execution->cited, c->cited, c->cited_count * sizeof c->cited[0]);
    execution->cited_count = c->cited_count;
    return CORE_OK;
}

/* The region that a person may name: another one than the active, unless the last move ended
 * between two regions; any for an adoption; the active one for what moves nothing. */
static bool move_target_is_right(const struct state *state, uint32_t service, uint32_t to,
                                 enum execution_kind kind) {
    const struct service *s = &state->services[service];
    if (!spec_may_serve(&state->spec, service, to)) {
        return false;
    }
    if (!execution_kind_moves(kind)) {
        return kind == EXECUTION_ADOPT || to == s->active;
    }
    return to != s->active || s->half_moved;
}

/* The gates that hold an operator's move too, unless skipped by name (overrides apart). */
static bool operator_gates_pass(const struct state *state, uint32_t service, uint32_t to,
                                uint32_t skip) {
    uint32_t failing = 0;
    if (!target_is_healthy(state, service, to)) {
        failing |= GATE_BIT(GATE_TARGET_HEALTHY);
    }
    if (!target_has_room(state, service, to)) {
        failing |= GATE_BIT(GATE_TARGET_READY);
    }
    if (state->services[service].debt_count >= DEBT_MAX) {
        failing |= GATE_BIT(GATE_DEBTS);
    }
    return (failing & ~skip) == 0;
}

static enum core_error check_move(const struct apply *a, uint32_t service, uint32_t to) {
    const struct command_move *c = &a->command->move;
    const struct state *state = a->state;
    const struct service *s = &state->services[service];
    bool adopt = c->kind == EXECUTION_ADOPT;
    if (execution_kind_marks(c->kind) != (a->command->kind == COMMAND_ADOPT) ||
        (unsigned)c->kind >= EXECUTION_KIND_COUNT) {
        return CORE_MALFORMED;
    }
    if (!adopt && !service_is_managed(s)) {
        return CORE_NOT_ADOPTED;
    }
    if (execution_is_open(&s->execution)) {
        return CORE_IN_PROGRESS;
    }
    if (c->spec_index != state->spec_index || c->epoch != s->epoch + 1) {
        return CORE_CHANGED;
    }
    if (!move_target_is_right(state, service, to, c->kind)) {
        return CORE_NO_REGION;
    }
    /* A person's word about members says what it is for, or nothing. */
    struct mongo_verdict verdict;
    mongo_judge(&state->spec.services[service].mongo, &c->mongo, to, &verdict);
    if ((c->mongo.dead != 0 && !(verdict.declared && execution_kind_moves(c->kind))) ||
        (c->mongo.readmit[0] != '\0') != (c->kind == EXECUTION_READMIT)) {
        return CORE_GATE;
    }
    if (c->kind == EXECUTION_READMIT && mongo_readmit_refusal(state, service, &c->mongo) != NULL) {
        return CORE_GATE;
    }
    if (execution_kind_moves(c->kind) &&
        (!operator_gates_pass(state, service, to, c->skipped_gates) ||
         !set_may_move(state, service, to, c->skipped_gates, &c->mongo))) {
        return CORE_GATE;
    }
    enum core_error error = check_overrides(state, service, to, c->skipped_gates);
    if (error != CORE_OK) {
        return error;
    }
    bool sound = plan_is_sound(state, service, c->kind, to, c->skipped_gates, &c->mongo, &c->plan);
    return sound ? CORE_OK : CORE_PLAN;
}

enum core_error apply_move(struct apply *a) {
    const struct command_move *c = &a->command->move;
    uint32_t service;
    enum core_error error = find_owned_service(a, c->service, &service);
    if (error != CORE_OK) {
        return error;
    }
    uint32_t to = spec_find_region(&a->state->spec, c->to);
    error = check_move(a, service, to);
    if (error != CORE_OK) {
        return error;
    }
    if (a->state->services[service].suspect.open) {
        /* The person's move takes the window's place. */
        memset(&a->state->services[service].suspect, 0, sizeof a->state->services[service].suspect);
    }
    struct execution *execution = open_execution(a, service, to, c->kind, &c->plan);
    execution->skipped_gates = c->skipped_gates;
    memcpy(execution->gates, c->gates, sizeof execution->gates);
    execution->mongo = c->mongo;
    memcpy(execution->actor, a->command->origin.actor, sizeof execution->actor);
    memcpy(execution->reason, a->command->origin.reason, sizeof execution->reason);
    return CORE_OK;
}
