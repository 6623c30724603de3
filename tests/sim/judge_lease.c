/* Leases, by what those who poll for them were told (DESIGN, "Lease"; invariant 2). */
#include "judge_private.h"

/* A writer whose stopwatch is as slow as is assumed of any; it counts from before it asked. */
#define SLOW_PPM 4500

/* From here on the new region may be granted a lease, so nobody may hold the old one's any more. */
void judge_switch(struct sim *sim, uint32_t service, uint32_t active) {
    const struct state *state = world_newest_state(sim);
    const struct execution *execution = &state->services[service].execution;
    for (uint32_t i = 0; i < execution->step_count; i++) {
        if (execution->steps[i].kind == STEP_LEASE && execution->steps[i].phase != STEP_DONE) {
            return; /* let go by a person */
        }
    }
    for (uint32_t n = 0; n < sim->node_count; n++) {
        for (uint32_t r = 0; r < LEASE_REGIONS; r++) {
            uint64_t until_us = sim->judged->held_until_us[service][n][r];
            if (r != active && until_us > sim->now_us) {
                sim_broken(sim, "one holder of a lease (2)",
                           "svc%u switched %llu ms before the lease of %s has run out on %s",
                           service + 1, (unsigned long long)((until_us - sim->now_us) / 1000),
                           world_regions[r], sim->nodes[n].name);
            }
        }
    }
}

static void judge_beside(struct sim *sim, uint32_t service, uint32_t place, uint32_t region) {
    const struct promotion *promotion = &sim->judged->services[service].promotion;
    uint64_t until_us = sim->judged->held_until_us[service][place][region];
    if (promotion->open && region != promotion->to && until_us > sim->now_us &&
        until_us > promotion->excused_until_us) {
        sim_broken(sim, "no lease beside a promotion (2)",
                   "svc%u: %s on %s for %llu ms; epoch %llu has promoted %s", service + 1,
                   world_regions[region], sim->nodes[place].name,
                   (unsigned long long)((until_us - sim->now_us) / SIM_MS),
                   (unsigned long long)promotion->epoch, world_regions[promotion->to]);
    }
}

static bool has_switched(const struct execution *execution) {
    for (uint32_t i = 0; i < execution->step_count; i++) {
        if (execution->steps[i].kind == STEP_SWITCH && execution->steps[i].phase == STEP_DONE) {
            return true;
        }
    }
    return false;
}

/* Whoever has let the wait for the lease go takes it upon himself, as long as that lasts. */
static bool was_let_go(const struct execution *execution) {
    for (uint32_t i = 0; i < execution->step_count; i++) {
        if (execution->steps[i].kind == STEP_LEASE) {
            return execution->steps[i].phase == STEP_RELEASED;
        }
    }
    return false;
}

static void open_promotion(struct sim *sim, const struct state *state, uint32_t s, uint32_t step) {
    const struct service *service = &state->services[s];
    struct promotion *promotion = &sim->judged->services[s].promotion;
    uint64_t longest_us = service->longest_lease_ms * (1000000 + 2 * SLOW_PPM) / 1000;
    *promotion = (struct promotion){
        .open = true,
        .epoch = service->execution.epoch,
        .step = step,
        .to = service->execution.to,
        .excused_until_us = was_let_go(&service->execution) ? sim->now_us + longest_us : 0,
    };
    for (uint32_t n = 0; n < sim->node_count; n++) {
        for (uint32_t r = 0; r < LEASE_REGIONS; r++) {
            judge_beside(sim, s, n, r);
        }
    }
}

void judge_promotion(struct sim *sim, const struct state *state, uint32_t s) {
    struct promotion *promotion = &sim->judged->services[s].promotion;
    const struct execution *execution = &state->services[s].execution;
    bool undone = promotion->open && execution->epoch == promotion->epoch &&
                  execution->steps[promotion->step].phase == STEP_REFUSED;
    if (has_switched(execution) || undone) {
        promotion->open = false;
        return;
    }
    for (uint32_t i = 0; i < execution->step_count && !promotion->open; i++) {
        const struct step *step = &execution->steps[i];
        bool promotes = step->kind == STEP_PROMOTE || step->kind == STEP_FORCE;
        if (promotes && step->attempts > 0 && step->phase != STEP_REFUSED &&
            execution->to != state->services[s].active) {
            open_promotion(sim, state, s, i);
        }
    }
}

void judge_lease(struct sim *sim, uint32_t service, uint32_t place, uint32_t region,
                 uint64_t left_ms) {
    uint64_t(*held_until_us)[LEASE_REGIONS] = sim->judged->held_until_us[service];
    held_until_us[place][region] = sim->now_us + left_ms * (1000000 + SLOW_PPM) / 1000;
    judge_beside(sim, service, place, region);
    for (uint32_t n = 0; n < sim->node_count; n++) {
        if (held_until_us[n][1 - region] > sim->now_us) {
            sim_broken(sim, "one holder of a lease (2)", "svc%u: %s on %s, and %s on %s",
                       service + 1, world_regions[region], sim->nodes[place].name,
                       world_regions[1 - region], sim->nodes[n].name);
        }
    }
}
