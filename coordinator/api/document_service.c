/* `service`: what is known of one service, region by region and node by node; and its execution. */
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "document_forced.h"
#include "document_mongo.h"
#include "document_parts.h"

static json_t *opinions_row(const struct api_facts *facts, uint32_t service, uint32_t region) {
    const struct state *state = facts->state;
    json_t *row = json_array();
    for (uint32_t n = 0; n < state->node_count; n++) {
        const struct opinion *opinion = &state->services[service].opinions[region][n];
        bool silent = state->nodes[n].expired || state->nodes[n].boot == 0;
        document_append(row, document_text(silent ? "silent" : opinion_text(opinion->value)));
    }
    return row;
}

/* The check that has failed longest anywhere; null when nobody reports one. */
static json_t *worst_check(const struct api_facts *facts, uint32_t service, uint32_t region) {
    const struct state *state = facts->state;
    const struct report_opinion *worst = NULL;
    for (uint32_t n = 0; n < state->node_count; n++) {
        const struct report *report = document_report(facts, n);
        if (report == NULL || report->spec_index != state->spec_index) {
            continue;
        }
        const struct report_opinion *opinion = &report->opinions[service][region];
        bool fails = opinion->worst_check[0] != '\0' && opinion->failing_ms > 0;
        if (fails && (worst == NULL || opinion->failing_ms > worst->failing_ms)) {
            worst = opinion;
        }
    }
    if (worst == NULL) {
        return json_null();
    }
    json_t *check = json_object();
    document_set(check, "check", document_text(worst->worst_check));
    document_set(check, "code", document_text(worst->worst_code));
    document_set(check, "failing_ms", document_number(worst->failing_ms));
    return check;
}

static json_t *votes_object(const struct votes *votes) {
    json_t *object = json_object();
    document_set(object, "down", document_number(votes->down));
    document_set(object, "up", document_number(votes->up));
    document_set(object, "degraded", document_number(votes->degraded));
    document_set(object, "unknown", document_number(votes->unknown));
    document_set(object, "own", document_text(opinion_text(votes->own)));
    document_set(object, "need", document_number(votes->need));
    document_set(object, "regions", document_number(votes->regions));
    return object;
}

static bool serves(const struct spec_service *spec, uint32_t region) {
    bool found = spec->home == region;
    for (uint32_t i = 0; i < spec->target_count; i++) {
        found = found || spec->targets[i] == region;
    }
    return found;
}

static json_t *region_row(const struct api_facts *facts, uint32_t service, uint32_t region) {
    const struct state *state = facts->state;
    const struct service *s = &state->services[service];
    struct votes votes;
    votes_count(state, service, region, &votes);
    const struct override *maintenance =
        state_override(state, OVERRIDE_MAINTENANCE, s->name, document_region_name(state, region));
    json_t *row = json_object();
    document_set(row, "name", document_region(state, region));
    document_set(row, "active", document_bool(s->adopted && s->active == region));
    document_set(row, "home", document_bool(state->spec.services[service].home == region));
    document_set(row, "maintenance", document_bool(maintenance != NULL));
    document_set(row, "verdict", document_text(opinion_text(votes_verdict(&votes))));
    document_set(row, "votes", votes_object(&votes));
    document_set(row, "opinions", opinions_row(facts, service, region));
    document_set(row, "worst", worst_check(facts, service, region));
    return row;
}

static json_t *regions_of(const struct api_facts *facts, uint32_t service) {
    const struct state *state = facts->state;
    json_t *rows = json_array();
    for (uint32_t r = 0; r < state->spec.region_count; r++) {
        if (serves(&state->spec.services[service], r) || state->services[service].active == r) {
            document_append(rows, region_row(facts, service, r));
        }
    }
    return rows;
}

/* By this node's wall clock; 0: not known, or not by itself. */
static uint64_t moves_at_ms(const struct api_facts *facts, uint32_t service,
                            const struct move_preview *preview) {
    uint64_t in_ms = document_moves_in_ms(facts, service, preview);
    return in_ms == UINT64_MAX ? 0 : facts->wall_ms + in_ms;
}

static const char *note_word(uint32_t note) {
    static const char *const words[] = {"", "would-have", "approval-wanted", "blocked"};
    return note < ARRAY_LENGTH(words) ? words[note] : "";
}

static json_t *suspect_object(const struct api_facts *facts, uint32_t service,
                              const struct move_preview *preview) {
    const struct state *state = facts->state;
    const struct suspect *suspect = &state->services[service].suspect;
    if (!suspect->open) {
        return json_null();
    }
    json_t *object = json_object();
    document_set(object, "region", document_region(state, suspect->region));
    document_set(object, "index", document_number(suspect->index));
    document_set(object, "since_at", document_time(suspect->since_wall_ms));
    document_set(object, "confirming_ms", document_known(document_confirming_ms(facts, service)));
    document_set(object, "confirm_ms",
                 document_number(state->spec.services[service].policy.confirm_ms));
    document_set(object, "moves_to", document_region(state, preview->to));
    document_set(object, "moves_at", document_time(moves_at_ms(facts, service, preview)));
    document_set(object, "note", document_text(note_word(suspect->note)));
    document_set(object, "rejected", document_bool(suspect->rejected));
    document_set(object, "approved_by", document_text(suspect->approved_by));
    return object;
}

static const char *first_failing(uint32_t failing) {
    for (unsigned gate = 0; gate < GATE_COUNT; gate++) {
        if ((failing & GATE_BIT(gate)) != 0) {
            return gate_word((enum gate)gate);
        }
    }
    return NULL;
}

static json_t *window_sentence(const struct api_facts *facts, uint32_t service,
                               const struct move_preview *preview) {
    const struct state *state = facts->state;
    const struct spec_service *spec = &state->spec.services[service];
    uint64_t confirming_ms = document_confirming_ms(facts, service);
    char done[DURATION_TEXT_SIZE];
    char whole[DURATION_TEXT_SIZE];
    char at[CLOCK_TEXT_SIZE];
    (void)document_duration(confirming_ms == UINT64_MAX ? 0 : confirming_ms, done);
    (void)document_duration(spec->policy.confirm_ms, whole);
    const char *known = confirming_ms == UINT64_MAX ? "?" : done;
    uint64_t moves_ms = moves_at_ms(facts, service, preview);
    const char *to = document_region_name(state, preview->to);
    if (moves_ms != 0) {
        return document_format("Confirming %s of %s. Moves to %s at %s unless vetoed.", known,
                               whole, to, document_clock(moves_ms, at));
    }
    if (spec->mode == MODE_OBSERVE) {
        return document_format("Confirming %s of %s. Mode observe: it would only be recorded.",
                               known, whole);
    }
    if (spec->mode == MODE_ADVISE && preview->failing == GATE_BIT(GATE_MODE)) {
        return document_format("Confirmed. Waits for: noctuactl approve %s --to %s", spec->name,
                               to);
    }
    if (preview->to == NONE_INDEX) {
        return document_format("Confirming %s of %s. Stays: no target is fit.", known, whole);
    }
    uint32_t evidence = GATE_BIT(GATE_VERDICT) | GATE_BIT(GATE_CONFIRMED);
    const char *gate = first_failing(preview->failing & ~evidence);
    return document_format("Confirming %s of %s. Would not move: %s fails.", known, whole,
                           gate == NULL ? "a gate" : gate);
}

static json_t *half_moved_sentence(const struct state *state, uint32_t service) {
    const struct service *s = &state->services[service];
    const struct execution *execution = &s->execution;
    bool leased = state->spec.services[service].policy.lease_ms > 0;
    const char *lease = leased && s->promoted_away ? " No region has the lease until then." : "";
    const char *to = document_region_name(state, execution->to);
    if (execution->to == execution->from) { /* a readmission or repair came after that move */
        return document_format("Half-moved by an earlier epoch: put it right with --to %s, or move "
                               "it elsewhere.%s",
                               to, lease);
    }
    return document_format("Half-moved by epoch %" PRIu64 ": continue with --to %s, or reverse "
                           "with --to %s.%s",
                           s->epoch, to, document_region_name(state, execution->from), lease);
}

static json_t *service_sentence(const struct api_facts *facts, uint32_t service,
                                const struct move_preview *preview) {
    const struct state *state = facts->state;
    const struct service *s = &state->services[service];
    const struct execution *execution = &s->execution;
    if (execution_is_open(execution)) {
        return document_format("Moving to %s: epoch %" PRIu64 ", %s. noctuactl watch %s",
                               document_region_name(state, execution->to), execution->epoch,
                               execution_phase_text(execution->phase), s->name);
    }
    if (!s->adopted) {
        return document_format("Not adopted: nothing is known to be active. noctuactl adopt %s",
                               s->name);
    }
    if (s->released) {
        return document_format("Released: nothing acts on it; endpoints go on. Take it out of the "
                               "spec, or: noctuactl adopt %s --to %s",
                               s->name, document_region_name(state, s->active));
    }
    if (s->half_moved) {
        return half_moved_sentence(state, service);
    }
    if (s->suspect.open) {
        return window_sentence(facts, service, preview);
    }
    return json_null();
}

static json_t *override_row(const struct override *held) {
    json_t *row = json_object();
    document_set(row, "kind", document_text(override_kind_text(held->kind)));
    document_set(row, "service", document_text(held->service));
    document_set(row, "region", document_text(held->region));
    document_set(row, "until_at", document_time(held->until_ms));
    document_set(row, "since_at", document_time(held->wall_ms));
    document_set(row, "actor", document_text(held->actor));
    document_set(row, "reason", document_text(held->reason));
    document_set(row, "index", document_number(held->index));
    return row;
}

static json_t *overrides_of(const struct state *state, const char *service) {
    json_t *rows = json_array();
    for (uint32_t i = 0; i < state->override_count; i++) {
        const struct override *held = &state->overrides[i];
        bool over = held->until_ms != 0 && state->time_ms >= held->until_ms;
        if (!over && (held->service[0] == '\0' || text_equal(held->service, service))) {
            document_append(rows, override_row(held));
        }
    }
    return rows;
}

static json_t *debts_of(const struct service *service) {
    json_t *rows = json_array();
    for (uint32_t i = 0; i < service->debt_count; i++) {
        json_t *row = json_object();
        document_set(row, "eid", document_text(service->debts[i].eid));
        document_set(row, "epoch", document_number(service->debts[i].epoch));
        document_set(row, "target", document_text(service->debts[i].zone.fence_name));
        document_append(rows, row);
    }
    return rows;
}

static json_t *step_names(const struct execution *execution, uint64_t bits) {
    json_t *names = json_array();
    for (uint32_t i = 0; i < execution->step_count; i++) {
        if ((bits >> i & 1) != 0) {
            document_append(names, document_text(execution->steps[i].name));
        }
    }
    return names;
}

static json_t *took(uint64_t start_ms, uint64_t end_ms) {
    return start_ms == 0 || end_ms < start_ms ? json_null() : document_number(end_ms - start_ms);
}

/* What this leader's executor last met with, while the step is open; "" otherwise. */
static const char *trouble_of(const struct api_facts *facts, uint32_t service, uint32_t i) {
    const struct service *s = &facts->state->services[service];
    if (facts->trouble == NULL || !execution_is_open(&s->execution) ||
        step_is_ended(s->execution.steps[i].phase)) {
        return "";
    }
    return facts->trouble(facts->trouble_context, s->name, i);
}

static json_t *step_row(const struct api_facts *facts, uint32_t service, uint32_t i) {
    const struct state *state = facts->state;
    const struct execution *execution = &state->services[service].execution;
    const struct step *step = &execution->steps[i];
    char eid[EID_SIZE];
    eid_format(eid, state->services[service].name, state->incarnation, execution->epoch, i);
    json_t *row = json_object();
    document_set(row, "index", document_number(i));
    document_set(row, "name", document_text(step->name));
    document_set(row, "kind", document_text(step_kind_text(step->kind)));
    document_set(row, "target",
                 document_step_target(state, service, step->kind, step->zone, step->debt,
                                      &execution->mongo, execution->to));
    document_set(row, "phase", document_text(step_phase_text(step->phase)));
    document_set(row, "attempts", document_number(step->attempts));
    document_set(row, "needs", step_names(execution, step->needs));
    document_set(row, "eid", document_text(eid));
    document_set(row, "change_id", document_text(step->change_id));
    document_set(row, "detail", document_text(step->detail));
    document_set(row, "trouble", document_text(trouble_of(facts, service, i)));
    document_set(row, "started_at", document_time(step->started_wall_ms));
    document_set(row, "ended_at", document_time(step->ended_wall_ms));
    document_set(row, "took_ms", took(step->started_wall_ms, step->ended_wall_ms));
    return row;
}

/* Whom a person said to be dead, so that it went on without them. */
static json_t *declared_dead(const struct mongo_view *view) {
    json_t *hosts = json_array();
    for (uint32_t i = 0; i < view->facts.member_count; i++) {
        if ((view->dead >> i & 1) != 0) {
            document_append(hosts, document_text(view->facts.members[i].host));
        }
    }
    return hosts;
}

json_t *document_execution(const struct api_facts *facts, uint32_t service) {
    const struct state *state = facts->state;
    const struct execution *execution = &state->services[service].execution;
    if (execution->phase == EXECUTION_NONE) {
        return json_null();
    }
    json_t *object = json_object();
    json_t *steps = json_array();
    for (uint32_t i = 0; i < execution->step_count; i++) {
        document_append(steps, step_row(facts, service, i));
    }
    document_set(object, "epoch", document_number(execution->epoch));
    document_set(object, "kind", document_text(execution_kind_text(execution->kind)));
    document_set(object, "phase", document_text(execution_phase_text(execution->phase)));
    document_set(object, "result", document_text(execution_result_text(execution->result)));
    document_set(object, "open", document_bool(execution_is_open(execution)));
    document_set(object, "from", document_region(state, execution->from));
    document_set(object, "to", document_region(state, execution->to));
    document_set(object, "actor", document_text(execution->actor));
    document_set(object, "reason", document_text(execution->reason));
    document_set(object, "automatic", document_bool(execution->automatic));
    document_set(object, "begun", document_bool(execution->begun_index != 0));
    document_set(object, "decide_index", document_number(execution->decide_index));
    document_set(object, "began_at", document_time(execution->start_wall_ms));
    document_set(object, "ended_at", document_time(execution->end_wall_ms));
    document_set(object, "took_ms", took(execution->start_wall_ms, execution->end_wall_ms));
    document_set(object, "skipped", document_gate_words(execution->skipped_gates));
    document_set(object, "declared_dead", declared_dead(&execution->mongo));
    document_set(object, "steps", steps);
    return object;
}

static json_t *node_names(const struct state *state) {
    json_t *rows = json_array();
    for (uint32_t n = 0; n < state->node_count; n++) {
        json_t *row = json_object();
        document_set(row, "name", document_text(state->nodes[n].name));
        document_set(row, "region", document_text(state->nodes[n].region));
        document_append(rows, row);
    }
    return rows;
}

/* What can't wait until somebody asks why. */
static json_t *choices_of(const struct api_facts *facts, const struct move_preview *preview) {
    const struct service *s = &facts->state->services[preview->service];
    json_t *choices = json_array();
    if (service_is_managed(s) && !execution_is_open(&s->execution) &&
        !document_choose_after_force(facts, preview->service, choices)) {
        (void)document_choose_of_set(facts, preview, true, choices);
    }
    if (json_array_size(choices) > 0) {
        return choices;
    }
    json_decref(choices);
    return json_null();
}

json_t *document_service(const struct api_facts *facts, uint32_t service) {
    const struct state *state = facts->state;
    const struct spec_service *spec = &state->spec.services[service];
    const struct service *s = &state->services[service];
    struct move_preview preview;
    preview_automatic(facts, service, &preview);
    json_t *targets = json_array();
    for (uint32_t i = 0; i < spec->target_count; i++) {
        document_append(targets, document_region(state, spec->targets[i]));
    }
    json_t *object = json_object();
    document_set(object, "name", document_text(spec->name));
    document_set(object, "owner", document_text(spec->owner));
    document_set(object, "active", s->adopted ? document_region(state, s->active) : NULL);
    document_set(object, "epoch", document_number(s->epoch));
    document_set(object, "mode", document_text(mode_text(spec->mode)));
    document_set(object, "home", document_region(state, spec->home));
    document_set(object, "targets", targets);
    document_set(object, "state", document_text(document_service_state(facts, service)));
    document_set(object, "half_moved", document_bool(s->half_moved));
    document_set(object, "stale", document_bool(!facts->leads));
    document_set(object, "age_ms", document_known(facts_age_ms(facts)));
    document_set(object, "nodes", node_names(state));
    document_set(object, "regions", regions_of(facts, service));
    document_set(object, "mongo", document_set_of(facts, service));
    document_set(object, "suspect", suspect_object(facts, service, &preview));
    document_set(object, "execution", document_execution(facts, service));
    document_set(object, "overrides", overrides_of(state, s->name));
    document_set(object, "debts", debts_of(s));
    document_set(object, "choices", choices_of(facts, &preview));
    document_set(object, "sentence", service_sentence(facts, service, &preview));
    return object;
}
