/* `status`: one screen that says whether anything is wrong. */
#include <string.h>

#include "base/text.h"
#include "document_mongo.h"
#include "document_parts.h"

static const struct override *find_override(const struct api_facts *facts, enum override_kind kind,
                                            uint32_t service, uint32_t region) {
    const struct state *state = facts->state;
    const char *name = document_region_name(state, region);
    return state_override(state, kind, state->services[service].name,
                          name[0] == '\0' ? NULL : name);
}

static const char *suspect_state(const struct api_facts *facts, uint32_t service) {
    const struct suspect *suspect = &facts->state->services[service].suspect;
    struct votes votes;
    votes_count(facts->state, service, suspect->region, &votes);
    if (suspect->note == NOTE_BLOCKED) {
        return "blocked";
    }
    return votes_verdict(&votes) == OPINION_DOWN ? "confirming" : "suspect";
}

const char *document_service_state(const struct api_facts *facts, uint32_t service) {
    const struct service *s = &facts->state->services[service];
    if (execution_is_open(&s->execution)) {
        return "moving";
    }
    if (!s->adopted) {
        return "not-adopted";
    }
    if (s->released) {
        return "released";
    }
    if (s->half_moved) {
        return "half-moved";
    }
    if (find_override(facts, OVERRIDE_VETO, service, NONE_INDEX) != NULL ||
        (s->suspect.open && s->suspect.rejected)) {
        return "vetoed";
    }
    if (find_override(facts, OVERRIDE_PAUSE, service, NONE_INDEX) != NULL) {
        return "paused";
    }
    if (s->suspect.open) {
        return suspect_state(facts, service);
    }
    return find_override(facts, OVERRIDE_MAINTENANCE, service, s->active) != NULL ? "maintenance"
                                                                                  : "ok";
}

/* The soonest that a dead region is noticed by a critical check. */
static uint64_t detection_ms(const struct spec_service *spec) {
    uint64_t soonest_ms = UINT64_MAX;
    for (uint32_t i = 0; i < spec->check_count; i++) {
        const struct spec_check *check = &spec->checks[i];
        uint64_t ms = (uint64_t)check->fall * check->interval_ms + check->timeout_ms;
        if (check->critical && ms < soonest_ms) {
            soonest_ms = ms;
        }
    }
    if (spec->mongo.used) {
        uint64_t ms = (uint64_t)spec->mongo.fall * spec->mongo.interval_ms + spec->mongo.timeout_ms;
        soonest_ms = ms < soonest_ms ? ms : soonest_ms;
    }
    return soonest_ms == UINT64_MAX ? 0 : soonest_ms;
}

/* Detection, then the window, in which all the probes are made once more; rounded up to 5 s. */
static uint64_t expected_s(const struct spec_service *spec) {
    uint64_t detect_ms = detection_ms(spec);
    uint64_t window_ms = spec->policy.confirm_ms > detect_ms ? spec->policy.confirm_ms : detect_ms;
    return (detect_ms + window_ms + 4999) / 5000 * 5;
}

/* Gates that would hold a move back, if the active region died now. */
static uint32_t standing_gates(const struct api_facts *facts, uint32_t service, uint32_t to) {
    struct policy_input nothing;
    struct gate_reading gates[GATE_COUNT];
    uint32_t failing = policy_read_gates(facts->state, document_policy(facts, &nothing), service,
                                         to, true, 0, NULL, gates);
    uint32_t by_death = GATE_BIT(GATE_VERDICT) | GATE_BIT(GATE_CONFIRMED) | GATE_BIT(GATE_MODE);
    uint32_t unknown = facts->policy == NULL ? GATE_BIT(GATE_CLOCK) : 0;
    return failing & ~(by_death | unknown);
}

/* It may be dying right now: then what the open window comes to. */
static json_t *if_window_ends(const struct api_facts *facts, uint32_t service) {
    struct move_preview preview;
    preview_automatic(facts, service, &preview);
    uint64_t in_ms = document_moves_in_ms(facts, service, &preview);
    return in_ms == UINT64_MAX
               ? NULL
               : document_format("moves in ~%llus", (unsigned long long)(in_ms + 999) / 1000);
}

static json_t *if_active_died(const struct api_facts *facts, uint32_t service, uint32_t to) {
    const struct spec_service *spec = &facts->state->spec.services[service];
    const struct service *s = &facts->state->services[service];
    if (!s->adopted) {
        return document_text("would only watch: not adopted");
    }
    if (s->released) {
        return document_text("nothing: released");
    }
    if (execution_is_open(&s->execution)) {
        return json_null();
    }
    if (spec->mode == MODE_OBSERVE) {
        return document_text("would page only");
    }
    if (to == NONE_INDEX) {
        return document_text("stays: no target is fit");
    }
    json_t *window = s->suspect.open ? if_window_ends(facts, service) : NULL;
    if (window != NULL) {
        return window;
    }
    uint32_t failing = standing_gates(facts, service, to);
    for (unsigned gate = 0; gate < GATE_COUNT; gate++) {
        if ((failing & GATE_BIT(gate)) != 0) {
            return document_format("blocked: %s", gate_word((enum gate)gate));
        }
    }
    return document_format(spec->mode == MODE_AUTO ? "moves in ~%llus"
                                                   : "asks for approval in ~%llus",
                           (unsigned long long)expected_s(spec));
}

static uint32_t choose_target(const struct api_facts *facts, uint32_t service) {
    const struct execution *execution = &facts->state->services[service].execution;
    return execution_is_open(execution) ? execution->to : preview_choose_target(facts, service);
}

static json_t *status_of_service(const struct api_facts *facts, uint32_t service) {
    const struct state *state = facts->state;
    const struct spec_service *spec = &state->spec.services[service];
    const struct service *s = &state->services[service];
    uint32_t to = choose_target(facts, service);
    json_t *row = json_object();
    document_set(row, "name", document_text(spec->name));
    document_set(row, "owner", document_text(spec->owner));
    document_set(row, "active", s->adopted ? document_region(state, s->active) : NULL);
    document_set(row, "epoch", document_number(s->epoch));
    document_set(row, "mode", document_text(mode_text(spec->mode)));
    document_set(row, "state", document_text(document_service_state(facts, service)));
    document_set(row, "target", document_region(state, to));
    document_set(row, "lag_ms", document_known(document_set_lag_ms(facts, service, to)));
    document_set(row, "if_active_died", if_active_died(facts, service, to));
    document_set(row, "suspect_region",
                 s->suspect.open ? document_region(state, s->suspect.region) : NULL);
    document_set(row, "confirming_ms", document_known(document_confirming_ms(facts, service)));
    document_set(row, "confirm_ms", document_number(spec->policy.confirm_ms));
    return row;
}

/* The least over all adopted services: how many node regions can still be lost. */
static json_t *spare_observers(const struct api_facts *facts) {
    const struct state *state = facts->state;
    struct policy_input nothing;
    const struct policy_input *policy = document_policy(facts, &nothing);
    bool any = false;
    int least = 0;
    for (uint32_t i = 0; i < state->spec.service_count; i++) {
        if (service_is_managed(&state->services[i])) {
            int spare = votes_spare_observers(state, policy, i);
            least = any && least < spare ? least : spare;
            any = true;
        }
    }
    return any ? json_integer(least) : json_null();
}

static const char *automation_word(const struct state *state) {
    if (state->halted) {
        return "halted";
    }
    for (uint32_t i = 0; i < state->override_count; i++) {
        const struct override *held = &state->overrides[i];
        bool over = held->until_ms != 0 && state->time_ms >= held->until_ms;
        bool holds = held->kind == OVERRIDE_PAUSE || held->kind == OVERRIDE_VETO;
        if (holds && !over && held->service[0] == '\0') {
            return "off";
        }
    }
    return "on";
}

static json_t *nodes_seen(const struct api_facts *facts) {
    uint32_t seen = 0;
    for (uint32_t i = 0; i < facts->state->node_count; i++) {
        seen += document_node_is_seen(facts, i);
    }
    json_t *nodes = json_object();
    document_set(nodes, "seen", document_number(seen));
    document_set(nodes, "total", document_number(facts->state->node_count));
    return nodes;
}

json_t *document_status(const struct api_facts *facts) {
    const struct state *state = facts->state;
    uint32_t leader = state_find_node(state, facts->leader_id);
    uint64_t age_ms = facts_age_ms(facts);
    json_t *status = json_object();
    document_set(status, "cluster", document_text(state->cluster));
    document_set(status, "leader",
                 leader == NONE_INDEX ? NULL : document_text(state->nodes[leader].name));
    document_set(status, "node", document_text(facts->node));
    document_set(status, "term", document_number(facts->term));
    document_set(status, "applied_index", document_number(state->applied_index));
    document_set(status, "wall_at", document_time(facts->wall_ms));
    document_set(status, "stale", document_bool(!facts->leads));
    document_set(status, "age_ms", document_known(age_ms));
    document_set(status, "nodes", nodes_seen(facts));
    document_set(status, "automation", document_text(automation_word(state)));
    document_set(status, "spare_observers", spare_observers(facts));
    json_t *services = json_array();
    for (uint32_t i = 0; i < state->spec.service_count; i++) {
        document_append(services, status_of_service(facts, i));
    }
    document_set(status, "services", services);
    return status;
}
