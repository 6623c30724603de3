/* The last of a world, when everything has come to rest: one region falls, alone, and the services
 * that were active there must leave it in time (DESIGN, invariant 22). */
#include "last_failure.h"

#include <stdio.h>
#include <string.h>

#include "api/preview.h"
#include "base/text.h"
#include "parts.h"
#include "set.h"
#include "world.h"

#define NOT_MANAGED GATE_COUNT
#define NOT_READ (GATE_COUNT + 1)
#define MEDDLED_WITH (GATE_COUNT + 2)
#define IN_MAINTENANCE (GATE_COUNT + 3) /* of the region where it is: nobody suspects that */
#define DUE LAST_FAILURE_SKIP_COUNT
#define ROUNDS_MAX 9
#define ROUND_US (10 * SIM_SECOND)
#define LOOK_US (100 * SIM_MS)
#define DOWN_US (3600 * SIM_SECOND)
#define PROBE_TIMEOUT_MS 500 /* people.c */
/* A suspicion, a TICK and a decision are reported within a second and written to slow disks. */
#define DECIDE_SLACK_MS 10000
#define SWITCH_SLACK_MS 10000
#define DEBT_MS 10000 /* a burn, in sync */
/* Time-outs of elections are 10 s, and whoever was promoted has to be so again where the set
 * elects another. */
#define SET_SLACK_MS 60000
#define END_SLACK_MS 120000 /* changes in sync; prefer, with a silent member (docs/mongodb.md) */

/* What the leader makes of its services. */
struct look {
    struct sim_node *leader;
    bool answered;
    uint32_t service_count;
    struct standing {
        uint32_t active;
        uint32_t closed; /* the first gate that is, but for those of the failure itself;
                            or one of the above; DUE: none */
        uint64_t decide_index, longest_lease_ms;
        uint32_t debt_count;
        bool was_blocked; /* by a gate of the replica set, says the window */
        char step[NAME_SIZE], trouble[REASON_SIZE]; /* of the open execution; "": none */
    } services[WORLD_SERVICE_MAX];
};

static struct look looked;

static const char *reason(uint32_t closed) {
    return closed == NOT_MANAGED      ? "not adopted"
           : closed == NOT_READ       ? "its targets aren't read yet"
           : closed == IN_MAINTENANCE ? "in maintenance"
           : closed == MEDDLED_WITH   ? "somebody has changed its targets"
           : closed == DUE            ? "its gates are open"
                                      : gate_word((enum gate)closed);
}

/* What the leader has read of its targets since the faults ended: somebody has changed one, and
 * nobody has put it right, so that a step would be refused. */
static uint32_t read_targets(const struct sim *sim, const struct api_facts *facts, uint32_t s) {
    const struct spec_service *spec = &facts->state->spec.services[s];
    uint64_t healed_ms = (sim->now_us - sim->healed_us) / SIM_MS;
    uint32_t found = DUE;
    uint32_t count = facts->target == NULL ? 0 : spec->zone_count + spec->mongo.used;
    for (uint32_t i = 0; i < count && found != MEDDLED_WITH; i++) {
        struct target_facts target;
        const char *zone = i < spec->zone_count ? spec->zones[i].id : NULL; /* or of the set */
        facts->target(facts->trouble_context, spec->name, zone, &target);
        bool old = target.result == TARGET_NOT_READ || facts->now_ms - target.read_ms > healed_ms;
        found = target.result == TARGET_FOREIGN ? MEDDLED_WITH : old ? NOT_READ : found;
    }
    return found;
}

static uint32_t closed_gate(const struct sim *sim, const struct api_facts *facts, uint32_t s) {
    static struct move_preview preview;
    const struct service *service = &facts->state->services[s];
    if (!service_is_managed(service)) {
        return NOT_MANAGED;
    }
    if (state_override(facts->state, OVERRIDE_MAINTENANCE, service->name,
                       world_regions[service->active]) != NULL) {
        return IN_MAINTENANCE;
    }
    uint32_t standby = 1 - service->active; /* the third region is a witness */
    preview_automatic_to(facts, s, standby, &preview);
    for (unsigned gate = 0; gate < GATE_COUNT; gate++) {
        bool by_failure = gate == GATE_VERDICT || gate == GATE_CONFIRMED;
        if (!by_failure && (preview.failing & GATE_BIT(gate)) != 0) {
            return gate;
        }
    }
    return read_targets(sim, facts, s);
}

static bool was_blocked_by_set(const struct suspect *suspect) {
    uint32_t blocked = suspect->note == NOTE_BLOCKED ? suspect->noted_gates : 0;
    bool by_set = false;
    for (unsigned gate = 0; gate < GATE_COUNT; gate++) {
        by_set = by_set || ((blocked & GATE_BIT(gate)) != 0 && gate_is_of_set((enum gate)gate));
    }
    return by_set;
}

/* The first step that isn't at an end, and what its target says. */
static void name_open_step(const struct api_facts *facts, uint32_t s, struct standing *ret) {
    const struct service *service = &facts->state->services[s];
    const struct execution *execution = &service->execution;
    for (uint32_t i = 0; execution_is_open(execution) && i < execution->step_count; i++) {
        if (!step_is_ended(execution->steps[i].phase)) {
            const char *trouble = facts->trouble(facts->trouble_context, service->name, i);
            (void)TEXT_COPY(ret->step, execution->steps[i].name);
            (void)TEXT_COPY(ret->trouble, trouble == NULL ? "" : trouble);
            return;
        }
    }
}

static void on_look(void *context) {
    struct look *look = context;
    struct api_facts facts;
    const struct api_calls *calls = &look->leader->api->calls;
    calls->facts(calls->context, &facts);
    look->service_count = facts.state->spec.service_count;
    for (uint32_t s = 0; s < look->service_count; s++) {
        const struct service *service = &facts.state->services[s];
        look->services[s] = (struct standing){
            .active = service->active,
            .closed = closed_gate(look->leader->sim, &facts, s),
            .decide_index = service->execution.decide_index,
            .longest_lease_ms = service->longest_lease_ms,
            .debt_count = service->debt_count,
            .was_blocked = was_blocked_by_set(&service->suspect),
        };
        name_open_step(&facts, s, &look->services[s]);
    }
    look->answered = facts.leads;
}

static void look_at_services(struct sim *sim) {
    memset(&looked, 0, sizeof looked);
    looked.leader = people_leader(sim);
    if (looked.leader != NULL) {
        sim_at_node(looked.leader, sim->now_us, on_look, &looked, false);
        world_run_until(sim, sim->now_us + LOOK_US);
    }
}

static bool all_are_due(const struct look *look) {
    bool due = look->answered;
    for (uint32_t s = 0; s < look->service_count; s++) {
        due = due && look->services[s].closed == DUE;
    }
    return due;
}

/* People want every service to move by itself, and see to what stands in the way. */
static void prepare(struct sim *sim) {
    sim->usual = MODE_AUTO;
    sim->last_failure.is_near = true;
    look_at_services(sim);
    for (uint32_t round = 0; round < ROUNDS_MAX; round++) {
        for (uint32_t s = 0; s < looked.service_count; s++) {
            if (looked.services[s].closed == MEDDLED_WITH) {
                people_adopt(sim, s);
            }
        }
        people_first_spec(sim);
        world_run_until(sim, sim->now_us + ROUND_US);
        look_at_services(sim);
        if (all_are_due(&looked)) {
            return;
        }
        people_tidy(sim);
    }
    world_run_until(sim, sim->now_us + ROUND_US);
    look_at_services(sim);
}

static void skip(struct sim *sim, uint32_t s, uint32_t closed) {
    sim->last_failure.skipped[closed]++;
    sim_say(sim, "world", "svc%u needn't move: %s", s + 1, reason(closed));
}

/* `fall` bad probes; again as many, after the suspicion, while `confirm` runs; one more after the
 * last TICK. Each may begin an interval late. */
static uint64_t decide_within_us(const struct sim *sim) {
    uint64_t fall_ms = WORLD_FALL * sim->interval_ms + PROBE_TIMEOUT_MS;
    uint64_t window_ms = sim->confirm_ms > fall_ms ? sim->confirm_ms : fall_ms;
    uint64_t last_ms = sim->interval_ms + PROBE_TIMEOUT_MS;
    return (fall_ms + window_ms + last_ms + DECIDE_SLACK_MS) * SIM_MS;
}

static uint64_t switch_within_us(const struct sim *sim, uint32_t s, const struct standing *before) {
    uint64_t lease_ms = before->longest_lease_ms * 101 / 100;
    uint64_t set_ms = s == 0 && sim->set != NULL ? SET_SLACK_MS : 0;
    uint64_t debts_ms = before->debt_count * (uint64_t)DEBT_MS;
    return (lease_ms + debts_ms + set_ms + SWITCH_SLACK_MS) * SIM_MS;
}

/* What is still awaited of a service. */
struct demand {
    enum { AWAITS_DECISION, AWAITS_SWITCH, AWAITS_END, AWAITS_NOTHING } phase;
    uint64_t since_us, end_us;
};

static bool has_come(const struct demand *demand, const struct service *service,
                     const struct standing *before) {
    switch (demand->phase) {
    case AWAITS_DECISION:
        return service->execution.automatic &&
               service->execution.decide_index > before->decide_index;
    case AWAITS_SWITCH:
        return service->active != before->active;
    case AWAITS_END:
        return !execution_is_open(&service->execution) && service->execution.result == RESULT_DONE;
    case AWAITS_NOTHING:
        break;
    }
    return true;
}

static void await_next(struct sim *sim, struct demand *demand, uint32_t s,
                       const struct standing *before) {
    static const char *const words[] = {"decided on", "switched", "through"};
    sim_say(sim, "world", "svc%u was %s after %.1f s of %.1f s", s + 1, words[demand->phase],
            (double)(sim->now_us - demand->since_us) / 1e6,
            (double)(demand->end_us - demand->since_us) / 1e6);
    demand->phase++;
    demand->since_us = sim->now_us;
    demand->end_us =
        sim->now_us +
        (demand->phase == AWAITS_SWITCH ? switch_within_us(sim, s, before) : END_SLACK_MS * SIM_MS);
}

/* What the failure has made of the replica set may forbid a decision, for a while (a member that
 * syncs from one that has fallen silent lags) or for good; nothing else may. */
static void explain_delay(struct sim *sim, struct demand *demand, uint32_t s) {
    static const char *const words[] = {"wasn't decided on", "wasn't switched", "wasn't through"};
    look_at_services(sim);
    uint32_t closed = looked.answered ? looked.services[s].closed : DUE;
    bool is_blocked = closed < GATE_COUNT && gate_is_of_set((enum gate)closed);
    bool was_blocked = looked.answered && looked.services[s].was_blocked;
    bool awaits_decision = demand->phase == AWAITS_DECISION;
    if (awaits_decision && (is_blocked || was_blocked) &&
        sim->now_us < demand->since_us + SET_SLACK_MS * SIM_MS) {
        demand->end_us = sim->now_us + decide_within_us(sim);
        return;
    }
    if (!awaits_decision || !is_blocked) {
        sim_broken(sim, "a failure is followed by a move (22)", "svc%u %s within %.1f s: %s %s: %s",
                   s + 1, words[demand->phase], (double)(demand->end_us - demand->since_us) / 1e6,
                   looked.answered ? reason(closed) : "nobody leads", looked.services[s].step,
                   looked.services[s].trouble);
    }
    demand->phase = AWAITS_NOTHING;
    sim->last_failure.demanded--;
    skip(sim, s, closed);
}

static void await_moves(struct sim *sim, const struct look *before, uint32_t region) {
    struct demand demands[WORLD_SERVICE_MAX];
    uint32_t left = 0;
    for (uint32_t s = 0; s < before->service_count; s++) {
        const struct standing *standing = &before->services[s];
        bool demanded = standing->closed == DUE && standing->active == region;
        demands[s] = (struct demand){demanded ? AWAITS_DECISION : AWAITS_NOTHING, sim->now_us,
                                     sim->now_us + decide_within_us(sim)};
        sim->last_failure.demanded += demanded;
        left += demanded;
    }
    while (left > 0) {
        world_run_until(sim, sim->now_us + LOOK_US);
        const struct state *state = world_newest_state(sim);
        for (uint32_t s = 0; s < before->service_count && state != NULL; s++) {
            struct demand *demand = &demands[s];
            if (demand->phase == AWAITS_NOTHING) {
                continue;
            }
            if (has_come(demand, &state->services[s], &before->services[s])) {
                await_next(sim, demand, s, &before->services[s]);
            } else if (sim->now_us >= demand->end_us) {
                explain_delay(sim, demand, s);
                state = world_newest_state(sim);
            }
            left -= demand->phase == AWAITS_NOTHING;
        }
    }
}

static void await_return(struct sim *sim, uint32_t region) {
    uint64_t end_us = sim->now_us + END_SLACK_MS * SIM_MS;
    struct error why;
    sim->region_down_until_us[region] = 0;
    if (sim->set != NULL) {
        set_heal(sim->set);
    }
    while (!judge_is_over(sim, &why)) {
        if (sim->now_us >= end_us) {
            sim_broken(sim, "after the last failure", "%s", why.message);
        }
        world_run_until(sim, sim->now_us + SIM_SECOND);
    }
}

/* Whoever was elsewhere stays there, and whoever has moved doesn't go back by himself (10). */
static void judge_places(struct sim *sim, const struct look *before, uint32_t region) {
    const struct state *state = world_newest_state(sim);
    for (uint32_t s = 0; s < before->service_count; s++) {
        uint32_t was = before->services[s].active;
        uint32_t is = state->services[s].active;
        if (is != was && (was != region || is == region)) {
            sim_broken(sim, "no move without a failure (10, 22)", "svc%u left %s", s + 1,
                       world_regions[was]);
        }
    }
}

/* The first of those that would move, by the seed; NONE_INDEX: none would. */
static uint32_t choose(struct sim *sim, const struct look *before) {
    uint32_t chosen = NONE_INDEX;
    for (uint32_t i = 0; i < before->service_count; i++) {
        uint32_t s = (uint32_t)((i + sim->options.seed) % before->service_count);
        if (before->services[s].closed != DUE) {
            skip(sim, s, before->services[s].closed);
        } else if (chosen == NONE_INDEX) {
            chosen = s;
        }
    }
    return chosen;
}

void last_failure(struct sim *sim) {
    prepare(sim);
    struct look before = looked;
    uint32_t chosen = before.answered ? choose(sim, &before) : NONE_INDEX;
    if (chosen == NONE_INDEX) {
        return;
    }
    uint32_t region = before.services[chosen].active;
    region_falls(sim, region, REGION_SERVICES, sim->now_us + DOWN_US);
    await_moves(sim, &before, region);
    await_return(sim, region);
    judge_places(sim, &before, region);
}

void last_failure_print(uint64_t demanded, const uint64_t skipped[LAST_FAILURE_SKIP_COUNT]) {
    (void)printf("%llu moves demanded by a last failure%s", (unsigned long long)demanded,
                 demanded == 0 ? "  NEVER MET" : "");
    for (uint32_t i = 0; i < LAST_FAILURE_SKIP_COUNT; i++) {
        if (skipped[i] > 0) {
            (void)printf("; not due, %s: %llu", reason(i), (unsigned long long)skipped[i]);
        }
    }
    (void)putchar('\n');
}
