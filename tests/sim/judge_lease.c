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

void judge_lease(struct sim *sim, uint32_t service, uint32_t place, uint32_t region,
                 uint64_t left_ms) {
    uint64_t(*held_until_us)[LEASE_REGIONS] = sim->judged->held_until_us[service];
    held_until_us[place][region] = sim->now_us + left_ms * (1000000 + SLOW_PPM) / 1000;
    for (uint32_t n = 0; n < sim->node_count; n++) {
        if (held_until_us[n][1 - region] > sim->now_us) {
            sim_broken(sim, "one holder of a lease (2)", "svc%u: %s on %s, and %s on %s",
                       service + 1, world_regions[region], sim->nodes[place].name,
                       world_regions[1 - region], sim->nodes[n].name);
        }
    }
}
