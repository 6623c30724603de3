#include "core/policy.h"

#include <string.h>

#include "apply.h"
#include "base/text.h"
#include "plan_rules.h"
#include "policy_private.h"

#define TICK_FRESH_MS 2000 /* before SUSPECT */
#define TICK_IN_EXECUTION_MS 1000
#define TICK_FOR_EXPIRY_MS 10000
#define AGAIN_MS 250

struct round {
    const struct state *state;
    const struct policy_input *input;
    struct policy_output *out;
    bool wants_tick;
};

static struct command *propose(struct round *r, enum command_kind kind) {
    if (r->out->count >= POLICY_COMMAND_MAX) {
        return NULL;
    }
    struct command *command = &r->out->commands[r->out->count++];
    memset(command, 0, sizeof *command);
    command->kind = kind;
    command->term = r->input->term;
    command->wall_ms = r->input->wall_ms;
    return command;
}

static bool report_is_usable(const struct round *r, uint32_t node) {
    const struct report *report = r->input->reports[node];
    return report != NULL && r->input->now_ms - r->input->received_ms[node] <= REPORT_EXPIRE_MS &&
           report->spec_index == r->state->spec_index;
}

/* Regions and storages that nodes have told since NODES. */
static void propose_nodes(struct round *r) {
    static const uint8_t zero[16];
    bool news = false;
    for (uint32_t n = 0; n < r->state->node_count; n++) {
        const struct report *report = r->input->reports[n];
        const struct node *node = &r->state->nodes[n];
        news = news || (report != NULL && node->region[0] == '\0' && report->region[0] != '\0');
    }
    struct command *command = news ? propose(r, COMMAND_NODES) : NULL;
    if (command == NULL) {
        return;
    }
    struct command_nodes *c = &command->nodes;
    memcpy(c->cluster, r->state->cluster, sizeof c->cluster);
    c->incarnation = r->state->incarnation;
    c->nodes_index = r->state->nodes_index;
    c->count = r->state->node_count;
    for (uint32_t n = 0; n < c->count; n++) {
        const struct report *report = r->input->reports[n];
        const struct node *node = &r->state->nodes[n];
        bool fill = report != NULL && node->region[0] == '\0';
        bool fill_storage = report != NULL && memcmp(node->storage, zero, sizeof zero) == 0;
        c->nodes[n].id = node->id;
        memcpy(c->nodes[n].name, node->name, sizeof c->nodes[n].name);
        memcpy(c->nodes[n].region, fill ? report->region : node->region, sizeof c->nodes[n].region);
        memcpy(c->nodes[n].storage, fill_storage ? report->storage : node->storage,
               sizeof c->nodes[n].storage);
    }
}

static void propose_feature(struct round *r) {
    uint32_t level = FEATURE_LEVEL_NEWEST;
    for (uint32_t n = 0; n < r->state->node_count; n++) {
        const struct report *report = r->input->reports[n];
        uint32_t supported = report == NULL ? 0 : report->feature_level;
        level = supported < level ? supported : level;
    }
    if (level > r->state->feature_level) {
        struct command *command = propose(r, COMMAND_FEATURE);
        if (command != NULL) {
            command->feature.level = level;
        }
    }
}

/* Two nodes that applied the same entry and hold different states: corruption, or a bug. */
static void propose_halt(struct round *r) {
    if (r->state->halted) {
        return;
    }
    for (uint32_t i = 0; i < r->state->node_count; i++) {
        for (uint32_t j = 0; j < i; j++) {
            const struct report *a = r->input->reports[i];
            const struct report *b = r->input->reports[j];
            if (a == NULL || b == NULL || a->digest_index == 0 ||
                a->digest_index != b->digest_index ||
                memcmp(a->digest, b->digest, sizeof a->digest) == 0) {
                continue;
            }
            struct command *command = propose(r, COMMAND_HALT);
            if (command != NULL) {
                command->halt.index = a->digest_index;
                command->halt.node_id = a->node_id;
            }
            return;
        }
    }
}

static bool is_probed(const struct state *state, uint32_t service, uint32_t region) {
    return spec_may_serve(&state->spec, service, region);
}

/* OPINION whenever it differs from the committed one (not only on a change: one may have been lost
 * with a dead leader, or by an EXPIRE). */
static void propose_opinions_of(struct round *r, uint32_t n) {
    const struct report *report = r->input->reports[n];
    const struct node *node = &r->state->nodes[n];
    bool new_boot = report->boot != node->boot;
    bool proposed = false;
    for (uint32_t s = 0; s < r->state->spec.service_count; s++) {
        for (uint32_t g = 0; g < r->state->spec.region_count; g++) {
            enum opinion_value committed =
                new_boot ? OPINION_UNKNOWN : r->state->services[s].opinions[g][n].value;
            if (!is_probed(r->state, s, g) || report->opinions[s][g].value == committed) {
                continue;
            }
            struct command *command = propose(r, COMMAND_OPINION);
            if (command == NULL) {
                return;
            }
            command->opinion = (struct command_opinion){.node_id = node->id,
                                                        .boot = report->boot,
                                                        .sequence = report->sequence,
                                                        .service = s,
                                                        .region = g,
                                                        .value = report->opinions[s][g].value,
                                                        .spec_index = report->spec_index};
            proposed = true;
        }
    }
    if (!proposed && (new_boot || node->expired) && r->state->spec.service_count > 0) {
        /* Nothing to say, but the old boot's opinions must go, and it is heard again. */
        struct command *command = propose(r, COMMAND_OPINION);
        if (command != NULL) {
            command->opinion = (struct command_opinion){.node_id = node->id,
                                                        .boot = report->boot,
                                                        .sequence = report->sequence,
                                                        .spec_index = report->spec_index};
        }
    }
}

static void propose_opinions(struct round *r) {
    for (uint32_t n = 0; n < r->state->node_count; n++) {
        const struct node *node = &r->state->nodes[n];
        const struct report *report = r->input->reports[n];
        uint64_t heard_ms = report != NULL ? r->input->received_ms[n] : r->input->term_start_ms;
        bool silent = r->input->now_ms - heard_ms > REPORT_EXPIRE_MS;
        bool older =
            report != NULL && (report->boot < node->boot ||
                               (report->boot == node->boot && report->sequence < node->sequence));
        if (silent && !node->expired && (node->boot != 0 || report != NULL)) {
            struct command *command = propose(r, COMMAND_EXPIRE);
            if (command != NULL) {
                bool newer = report != NULL && !older;
                command->expire =
                    (struct command_expire){.node_id = node->id,
                                            .boot = newer ? report->boot : node->boot,
                                            .sequence = newer ? report->sequence : node->sequence};
            }
        } else if (!silent && !older && report_is_usable(r, n) &&
                   !(node->expired && report->boot == node->boot &&
                     report->sequence == node->sequence)) {
            propose_opinions_of(r, n);
        }
    }
}

void policy_cite(const struct state *state, const struct policy_input *input, uint32_t service,
                 struct citations *ret) {
    memset(ret, 0, sizeof *ret);
    const struct service *s = &state->services[service];
    if (!s->suspect.open || input == NULL) {
        return;
    }
    uint32_t region = s->suspect.region;
    uint64_t ages[NODE_MAX] = {0};
    bool down_but_tick[NODE_MAX] = {false};
    for (uint32_t n = 0; n < state->node_count; n++) {
        const struct report *report = input->reports[n];
        const struct node *node = &state->nodes[n];
        if (report == NULL || report->spec_index != state->spec_index ||
            report->boot != node->boot || report->sequence < node->sequence || node->expired) {
            continue;
        }
        const struct report_opinion *opinion = &report->opinions[service][region];
        const struct report_window *window = &report->windows[service];
        struct cited_report *cited = &ret->cited[ret->count++];
        cited->node = n;
        cited->boot = report->boot;
        cited->sequence = report->sequence;
        cited->first_index = opinion->first_index;
        cited->last_index = opinion->last_index;
        cited->knows_suspect = window->suspect_index == s->suspect.index;
        cited->suspect_age_ms = cited->knows_suspect ? window->age_ms : 0;
        ages[n] = cited->suspect_age_ms;
        const struct opinion *committed = &s->opinions[region][n];
        down_but_tick[n] = opinion->value == OPINION_DOWN && committed->value == OPINION_DOWN &&
                           committed->last_alive_index < s->suspect.index &&
                           opinion->first_index >= s->suspect.index &&
                           opinion->last_index >= opinion->first_index &&
                           opinion->last_index >= state->leader_index;
        cited->down = down_but_tick[n] && opinion->last_index >= state->tick_index;
    }
    /* Votes by region, as apply will count them. */
    for (uint32_t n = 0; n < state->node_count; n++) {
        const char *name = state->nodes[n].region;
        if (!votes_is_first_of_region(state, n) || name[0] == '\0' ||
            text_equal(name, region_name(state, region))) {
            continue;
        }
        uint32_t nodes = 0;
        uint32_t down = 0;
        uint32_t but_tick = 0;
        for (uint32_t i = 0; i < state->node_count; i++) {
            bool here = text_equal(state->nodes[i].region, name);
            nodes += here;
            but_tick += here && down_but_tick[i];
        }
        for (uint32_t i = 0; i < ret->count; i++) {
            down += ret->cited[i].down && text_equal(state->nodes[ret->cited[i].node].region, name);
        }
        ret->votes += down * 2 > nodes;
        ret->votes_but_tick += but_tick * 2 > nodes;
    }
    /* Ages sorted down; what a majority has reached. */
    for (uint32_t i = 1; i < state->node_count; i++) {
        uint64_t age = ages[i];
        uint32_t at = i;
        for (; at > 0 && ages[at - 1] < age; at--) {
            ages[at] = ages[at - 1];
        }
        ages[at] = age;
    }
    ret->majority_age_ms = state->node_count == 0 ? 0 : ages[majority(state->node_count) - 1];
}

static bool tick_is_of_term(const struct round *r) {
    return r->state->tick_index > r->state->leader_index;
}

static uint64_t tick_age_ms(const struct round *r) {
    return tick_is_of_term(r) && r->input->tick_proposed_ms != 0
               ? r->input->now_ms - r->input->tick_proposed_ms
               : UINT64_MAX;
}

/* A TICK is the end of what rests on the one before: a move that is decided and not begun couldn't
 * begin any more. So it waits for the beginning, or for the lapse, at most BEGIN_WITHIN_MS. */
static bool tick_must_wait(const struct round *r) {
    for (uint32_t i = 0; i < r->out->count; i++) {
        if (r->out->commands[i].kind == COMMAND_DECIDE) {
            return true;
        }
    }
    for (uint32_t s = 0; s < r->state->spec.service_count; s++) {
        const struct execution *execution = &r->state->services[s].execution;
        if (execution->automatic && execution->phase == EXECUTION_DECIDED) {
            return true;
        }
    }
    return false;
}

static void propose_tick(struct round *r) {
    struct command *command = tick_must_wait(r) ? NULL : propose(r, COMMAND_TICK);
    if (command == NULL) {
        return;
    }
    command->tick.count = r->state->node_count;
    for (uint32_t n = 0; n < r->state->node_count; n++) {
        const struct report *report = r->input->reports[n];
        if (r->state->nodes[n].id == r->input->self_id) {
            command->tick.clock_ms[n] = r->input->wall_ms;
        } else if (report != NULL) {
            command->tick.clock_ms[n] = report->wall_ms;
        }
    }
}

static uint32_t longest_interval_ms(const struct spec_service *spec) {
    uint32_t longest = 0;
    for (uint32_t i = 0; i < spec->check_count; i++) {
        uint32_t interval = spec->checks[i].critical ? spec->checks[i].interval_ms : 0;
        longest = interval > longest ? interval : longest;
    }
    return longest;
}

/* The window ends within a check interval, and only probes after a TICK are missing, if that. */
static bool window_is_ripe(const struct state *state, uint32_t service,
                           const struct citations *citations) {
    const struct spec_service *spec = &state->spec.services[service];
    struct votes votes;
    votes_count(state, service, state->services[service].active, &votes);
    return citations->majority_age_ms + longest_interval_ms(spec) >= spec->policy.confirm_ms &&
           citations->votes_but_tick >= votes.need;
}

/* Something ends by committed time alone: an override, a cooldown, what counts as flapping. */
static bool an_end_is_near(const struct state *state) {
    for (uint32_t i = 0; i < state->override_count; i++) {
        if (state->overrides[i].until_ms != 0) {
            return true;
        }
    }
    for (uint32_t s = 0; s < state->spec.service_count; s++) {
        const struct service *service = &state->services[s];
        const struct spec_policy *policy = &state->spec.services[s].policy;
        bool flapping = service_recent_moves(state, s) >= policy->max_moves ||
                        service_recent_unsuspects(state, s) >= FLAP_MAX;
        bool cooling = service->last_move_end_ms != 0 &&
                       state->time_ms < service->last_move_end_ms + policy->cooldown_ms;
        if (cooling || (service->suspect.open && flapping)) {
            return true;
        }
    }
    return false;
}

/* TICKs that something in committed state waits for. A steady group needs none. While a window is
 * ripe they come only as often as it needs them itself: each one asks for younger probes, and with
 * one a second the second service of a dead region would never be decided on. */
static void want_due_tick(struct round *r) {
    const struct state *state = r->state;
    uint64_t age_ms = tick_age_ms(r);
    bool ripe = false;
    bool execution = false;
    for (uint32_t s = 0; s < state->spec.service_count; s++) {
        if (state->services[s].suspect.open) {
            struct citations citations;
            policy_cite(state, r->input, s, &citations);
            ripe = ripe || window_is_ripe(state, s, &citations);
        }
        execution = execution || execution_is_open(&state->services[s].execution);
    }
    bool due = (execution && age_ms > TICK_IN_EXECUTION_MS) ||
               (age_ms > TICK_FOR_EXPIRY_MS && an_end_is_near(state));
    r->wants_tick = r->wants_tick || (due && (!ripe || age_ms > TICK_IN_WINDOW_MS));
}

static void propose_suspect(struct round *r, uint32_t s) {
    const struct state *state = r->state;
    const struct service *service = &state->services[s];
    if (!service_is_managed(service) || service->suspect.open ||
        execution_is_open(&service->execution) ||
        state_override(state, OVERRIDE_MAINTENANCE, service->name,
                       region_name(state, service->active)) != NULL) {
        return;
    }
    struct votes votes;
    votes_count(state, s, service->active, &votes);
    if (votes_verdict(&votes) != OPINION_DOWN) {
        return;
    }
    if (tick_age_ms(r) > TICK_FRESH_MS) {
        r->wants_tick = true;
        return;
    }
    struct command *command = propose(r, COMMAND_SUSPECT);
    if (command != NULL) {
        command->suspect.service = s;
        command->suspect.region = service->active;
    }
}

static void propose_note(struct round *r, uint32_t s, enum suspect_note note, uint32_t to,
                         uint32_t failing, const struct gate_reading gates[GATE_COUNT]) {
    const struct suspect *suspect = &r->state->services[s].suspect;
    bool told = note == NOTE_BLOCKED ? (failing & ~suspect->noted_gates) == 0
                                     : suspect->note == (uint32_t)note;
    struct command *command = told ? NULL : propose(r, COMMAND_NOTE);
    if (command != NULL) {
        command->note = (struct command_note){.service = s,
                                              .suspect_index = suspect->index,
                                              .note = note,
                                              .to = to,
                                              .failing_gates = failing};
        memcpy(command->note.gates, gates, sizeof command->note.gates);
        policy_view_set(r->state, r->input, s, &command->note.mongo);
    }
}

static void propose_decide(struct round *r, uint32_t s, uint32_t to,
                           const struct citations *citations,
                           const struct gate_reading gates[GATE_COUNT]) {
    const struct service *service = &r->state->services[s];
    struct command *command = propose(r, COMMAND_DECIDE);
    if (command == NULL) {
        return;
    }
    struct command_decide *c = &command->decide;
    c->service = s;
    c->from = service->active;
    c->to = to;
    c->suspect_index = service->suspect.index;
    c->spec_index = r->state->spec_index;
    c->epoch = service->epoch + 1;
    c->tick_index = r->state->tick_index;
    memcpy(c->cited, citations->cited, sizeof c->cited);
    c->cited_count = citations->count;
    memcpy(c->gates, gates, sizeof c->gates);
    policy_view_set(r->state, r->input, s, &c->mongo);
    if (policy_plan(r->state, s, EXECUTION_FAILOVER, to, 0, &c->mongo, &c->plan) != CORE_OK) {
        r->out->count--;
    }
}

/* An open window: one check interval before it can end a TICK, so that the last probes start after
 * it; then DECIDE, or what mode and gates make of it. */
static void propose_in_window(struct round *r, uint32_t s) {
    const struct state *state = r->state;
    const struct spec_service *spec = &state->spec.services[s];
    struct citations citations;
    struct gate_reading gates[GATE_COUNT];
    enum gate why_not[REGION_MAX];
    policy_cite(state, r->input, s, &citations);
    uint32_t to = policy_choose_target(state, r->input, s, why_not);
    uint32_t failing = policy_read_gates(state, r->input, s, to, true, 0, NULL, gates);
    const uint32_t evidence = GATE_BIT(GATE_VERDICT) | GATE_BIT(GATE_CONFIRMED);
    uint32_t others = failing & ~evidence;
    if (!window_is_ripe(state, s, &citations)) {
        return;
    }
    if (tick_age_ms(r) > TICK_IN_WINDOW_MS ||
        state->tick_index < state->services[s].suspect.index) {
        if (others == 0) {
            r->wants_tick = true;
            return;
        }
    }
    bool confirmed = citations.majority_age_ms >= spec->policy.confirm_ms;
    if (failing == 0) {
        propose_decide(r, s, to, &citations, gates);
    } else if (confirmed && others == GATE_BIT(GATE_MODE)) {
        propose_note(r, s, spec->mode == MODE_ADVISE ? NOTE_ASKED : NOTE_WOULD_HAVE, to, others,
                     gates);
    } else if (confirmed && others != 0) {
        propose_note(r, s, NOTE_BLOCKED, to, others, gates);
    }
}

static void propose_lapse(struct round *r, uint32_t s) {
    const struct execution *execution = &r->state->services[s].execution;
    if (execution->phase != EXECUTION_DECIDED || !execution->automatic ||
        tick_age_ms(r) <= BEGIN_WITHIN_MS) {
        return;
    }
    struct command *command = propose(r, COMMAND_LAPSE);
    if (command != NULL) {
        command->step.service = s;
        command->step.epoch = execution->epoch;
    }
}

void policy_next(const struct state *state, const struct policy_input *input,
                 struct policy_output *out) {
    struct round r = {.state = state, .input = input, .out = out};
    out->count = 0;
    out->again_ms = AGAIN_MS;
    propose_nodes(&r);
    if (out->count > 0) {
        return; /* places of nodes may change */
    }
    propose_feature(&r);
    propose_halt(&r);
    propose_opinions(&r);
    if (out->count > 0) {
        return; /* decide on committed facts */
    }
    want_due_tick(&r);
    for (uint32_t s = 0; s < state->spec.service_count; s++) {
        if (state->services[s].execution.phase == EXECUTION_DECIDED) {
            propose_lapse(&r, s);
        } else if (state->services[s].suspect.open) {
            propose_in_window(&r, s);
        } else {
            propose_suspect(&r, s);
        }
    }
    if (r.wants_tick) {
        propose_tick(&r);
    }
}
