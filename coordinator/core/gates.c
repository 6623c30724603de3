/* Reading the gates, and choosing the target. */
#include <string.h>

#include "apply.h"
#include "base/text.h"
#include "mongo_judge.h"
#include "plan_rules.h"
#include "policy_private.h"

static bool under_maintenance(const struct state *state, uint32_t service, uint32_t region) {
    return state_override(state, OVERRIDE_MAINTENANCE, state->services[service].name,
                          region_name(state, region)) != NULL;
}

static bool target_has_values(const struct state *state, uint32_t service, uint32_t region) {
    const struct spec_service *spec = &state->spec.services[service];
    for (uint32_t i = 0; i < spec->record_count; i++) {
        if (spec->records[i].value[region].text[0] == '\0') {
            return false;
        }
    }
    return true;
}

uint32_t services_at_region(const struct state *state, uint32_t service, uint32_t region) {
    uint32_t count = 0;
    for (uint32_t s = 0; s < state->spec.service_count; s++) {
        const struct service *other = &state->services[s];
        bool moving = execution_is_open(&other->execution) && other->execution.to == region;
        count += s != service && (moving || (other->adopted && other->active == region));
    }
    return count;
}

bool target_has_room(const struct state *state, uint32_t service, uint32_t region) {
    uint32_t room = state->spec.regions[region].max_active;
    return room == 0 || services_at_region(state, service, region) < room;
}

/* The first gate that a region fails as a target; GATE_COUNT: none. */
static enum gate target_fails(const struct state *state, uint32_t service,
                              const struct mongo_view *view, uint32_t region) {
    struct votes votes;
    votes_count(state, service, region, &votes);
    enum opinion_value verdict = votes_verdict(&votes);
    if (verdict != OPINION_UP && verdict != OPINION_DEGRADED) {
        return GATE_TARGET_HEALTHY;
    }
    if (under_maintenance(state, service, region)) {
        return GATE_TARGET_MAINTENANCE;
    }
    if (!target_has_values(state, service, region) || !target_has_room(state, service, region)) {
        return GATE_TARGET_READY;
    }
    struct gate_reading gates[GATE_COUNT];
    mongo_read_gates(&state->spec.services[service].mongo, view, region, gates);
    if (gates[GATE_MONGO_MEMBER].result == GATE_FAIL) {
        return GATE_MONGO_MEMBER;
    }
    return gates[GATE_REPLICATION_LAG].result == GATE_FAIL ? GATE_REPLICATION_LAG : GATE_COUNT;
}

static bool shares_risk(const struct spec *spec, uint32_t a, uint32_t b) {
    return spec->regions[a].risk_group[0] != '\0' &&
           text_equal(spec->regions[a].risk_group, spec->regions[b].risk_group);
}

uint32_t policy_choose_target(const struct state *state, const struct policy_input *input,
                              uint32_t service, enum gate why_not[REGION_MAX]) {
    const struct spec_service *spec = &state->spec.services[service];
    struct mongo_view view;
    policy_view_set(state, input, service, &view);
    uint32_t active = state->services[service].active;
    uint32_t order[REGION_MAX + 2];
    uint32_t count = 0;
    const struct suspect *suspect = &state->services[service].suspect;
    if (suspect->approved && suspect->approved_to < state->spec.region_count) {
        order[count++] = suspect->approved_to; /* a person's choice comes first */
    }
    order[count++] = spec->home;
    for (uint32_t i = 0; i < spec->target_count; i++) {
        order[count++] = spec->targets[i];
    }
    for (uint32_t r = 0; r < REGION_MAX; r++) {
        why_not[r] = GATE_COUNT;
    }
    uint32_t second_choice = NONE_INDEX;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t region = order[i];
        if (region == active) {
            continue;
        }
        why_not[region] = target_fails(state, service, &view, region);
        if (why_not[region] != GATE_COUNT) {
            continue;
        }
        bool risky = active < state->spec.region_count && shares_risk(&state->spec, region, active);
        if (!risky || (suspect->approved && region == suspect->approved_to)) {
            return region;
        }
        if (second_choice == NONE_INDEX) {
            second_choice = region;
        }
    }
    return second_choice;
}

static struct gate_reading reading(bool pass, uint64_t value, uint64_t limit) {
    return (struct gate_reading){
        .result = pass ? GATE_PASS : GATE_FAIL, .value = value, .limit = limit};
}

static struct gate_reading read_cooldown(const struct state *state, uint32_t service) {
    uint64_t end_ms = state->services[service].last_move_end_ms;
    uint64_t limit_ms = state->spec.services[service].policy.cooldown_ms;
    if (end_ms == 0) {
        return reading(true, UINT64_MAX, limit_ms);
    }
    uint64_t since_ms = state->time_ms > end_ms ? state->time_ms - end_ms : 0;
    return reading(since_ms >= limit_ms, since_ms, limit_ms);
}

static struct gate_reading read_flapping(const struct state *state, uint32_t service) {
    uint32_t moves = service_recent_moves(state, service);
    uint32_t limit = state->spec.services[service].policy.max_moves;
    uint32_t false_alarms = service_recent_unsuspects(state, service);
    if (moves < limit && false_alarms >= FLAP_MAX) {
        return reading(false, false_alarms, FLAP_MAX);
    }
    return reading(moves < limit, moves, limit);
}

/* How far this leader's wall clock is from what a majority shows. */
static struct gate_reading read_clock(const struct state *state, const struct policy_input *input) {
    uint64_t offsets[NODE_MAX];
    uint32_t count = 0;
    for (uint32_t n = 0; n < state->node_count; n++) {
        uint64_t offset = UINT64_MAX;
        if (state->nodes[n].id == input->self_id) {
            offset = 0;
        } else if (input->reports[n] != NULL && input->now_ms >= input->received_ms[n]) {
            uint64_t now = input->reports[n]->wall_ms + (input->now_ms - input->received_ms[n]);
            offset = now > input->wall_ms ? now - input->wall_ms : input->wall_ms - now;
        }
        uint32_t at = count++;
        for (; at > 0 && offsets[at - 1] > offset; at--) {
            offsets[at] = offsets[at - 1];
        }
        offsets[at] = offset;
    }
    uint64_t spread = count == 0 ? UINT64_MAX : offsets[majority(state->node_count) - 1];
    return reading(spread <= CLOCK_SPREAD_MAX_MS, spread, CLOCK_SPREAD_MAX_MS);
}

static void read_target(const struct state *state, uint32_t service, uint32_t to,
                        struct gate_reading gates[GATE_COUNT]) {
    struct votes votes;
    if (to >= state->spec.region_count) {
        gates[GATE_TARGET_HEALTHY] = reading(false, 0, majority(state->node_count));
        gates[GATE_TARGET_MAINTENANCE].result = GATE_NOT_APPLICABLE;
        gates[GATE_TARGET_READY].result = GATE_NOT_APPLICABLE;
        return;
    }
    votes_count(state, service, to, &votes);
    enum opinion_value verdict = votes_verdict(&votes);
    uint32_t alive =
        votes.up + votes.degraded + (votes.own == OPINION_UP || votes.own == OPINION_DEGRADED);
    gates[GATE_TARGET_HEALTHY] =
        reading(verdict == OPINION_UP || verdict == OPINION_DEGRADED, alive, votes.need);
    gates[GATE_TARGET_MAINTENANCE] = reading(!under_maintenance(state, service, to), 0, 0);
    uint32_t room = state->spec.regions[to].max_active;
    bool ready = target_has_values(state, service, to) && target_has_room(state, service, to);
    gates[GATE_TARGET_READY] =
        reading(ready, services_at_region(state, service, to), room == 0 ? UINT64_MAX : room - 1);
}

static void read_verdict(const struct state *state, const struct policy_input *input,
                         uint32_t service, struct gate_reading gates[GATE_COUNT]) {
    struct citations citations;
    struct votes votes;
    uint32_t active = state->services[service].active;
    policy_cite(state, input, service, &citations);
    uint64_t confirm_ms = state->spec.services[service].policy.confirm_ms;
    if (active >= state->spec.region_count) {
        gates[GATE_VERDICT] = reading(false, 0, 0);
        gates[GATE_CONFIRMED] = reading(false, 0, confirm_ms);
        gates[GATE_OBSERVERS] = reading(false, 0, 0);
        return;
    }
    votes_count(state, service, active, &votes);
    bool open = state->services[service].suspect.open;
    uint32_t down = open ? citations.votes : votes.down;
    gates[GATE_VERDICT] =
        reading(open && votes.regions >= 3 && down >= votes.need, down, votes.need);
    gates[GATE_CONFIRMED] = reading(open && citations.majority_age_ms >= confirm_ms,
                                    citations.majority_age_ms, confirm_ms);
    uint32_t observers = votes.up + votes.degraded + votes.down;
    gates[GATE_OBSERVERS] = reading(votes.regions >= 3 && observers >= votes.need, observers,
                                    votes.regions >= 3 ? votes.need : 3);
}

uint32_t policy_read_gates(const struct state *state, const struct policy_input *input,
                           uint32_t service, uint32_t to, bool automatic, uint32_t skip,
                           const struct mongo_view *view, struct gate_reading gates[GATE_COUNT]) {
    const struct service *s = &state->services[service];
    const struct spec_service *spec = &state->spec.services[service];
    memset(gates, 0, GATE_COUNT * sizeof gates[0]);
    bool approved = s->suspect.approved && s->suspect.approved_to == to;
    gates[GATE_MODE] = reading(spec->mode == MODE_AUTO || (spec->mode == MODE_ADVISE && approved),
                               spec->mode, MODE_AUTO);
    gates[GATE_AUTOMATION] = reading(!state->halted, state->halted, 0);
    bool paused = state_override(state, OVERRIDE_PAUSE, s->name, NULL) != NULL;
    gates[GATE_PAUSED] = reading(!paused, paused, 0);
    bool vetoed = state_override(state, OVERRIDE_VETO, s->name, NULL) != NULL ||
                  (automatic && s->suspect.rejected);
    gates[GATE_VETOED] = reading(!vetoed, vetoed, 0);
    read_verdict(state, input, service, gates);
    bool open = execution_is_open(&s->execution);
    gates[GATE_IN_PROGRESS] = reading(!open && !(automatic && s->half_moved), open, 0);
    gates[GATE_COOLDOWN] = read_cooldown(state, service);
    gates[GATE_FLAPPING] = read_flapping(state, service);
    read_target(state, service, to, gates);
    struct mongo_view seen;
    if (view == NULL) {
        policy_view_set(state, input, service, &seen);
    }
    mongo_read_gates(&spec->mongo, view == NULL ? &seen : view, to, gates);
    gates[GATE_DEBTS] = reading(s->debt_count < DEBT_MAX, s->debt_count, DEBT_MAX - 1);
    gates[GATE_CLOCK] = read_clock(state, input);
    uint32_t failing = 0;
    for (unsigned gate = 0; gate < GATE_COUNT; gate++) {
        if (!automatic && !gate_is_manual((enum gate)gate)) {
            gates[gate].result = GATE_NOT_APPLICABLE;
        }
        if (gates[gate].result == GATE_FAIL && (skip & GATE_BIT(gate)) != 0 &&
            gate_is_skippable((enum gate)gate)) {
            gates[gate].result = GATE_SKIPPED;
        }
        failing |= gates[gate].result == GATE_FAIL ? GATE_BIT(gate) : 0;
    }
    return failing;
}
