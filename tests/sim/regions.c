/* Regions: places that fail as one, with the coordinator's nodes in them, or only what serves there
 * does. */
#include "set.h"
#include "transport.h"
#include "world.h"

#define NODE_REGION_COUNT 3 /* those that have nodes: two that serve, and the witness */
#define NOT_CRITICAL 2u     /* a bit a check: world_checks */

static uint64_t later_us(struct sim *sim, uint64_t least_ms, uint64_t most_ms) {
    return sim->now_us + chance_between(&sim->chance, least_ms, most_ms) * SIM_MS;
}

static void extend(uint64_t *until_us, uint64_t to_us) {
    *until_us = to_us > *until_us ? to_us : *until_us;
}

uint32_t world_region_of(const struct sim_node *node) {
    return node->place % NODE_REGION_COUNT;
}

bool regions_are_apart(const struct sim *sim, uint32_t a, uint32_t b) {
    return a != b &&
           (sim->now_us < sim->region_cut_until_us[a] || sim->now_us < sim->region_cut_until_us[b]);
}

/* --- the ways to fall --- */

static const enum sim_fault counters[REGION_FALL_COUNT] = {
    [REGION_SERVICES] = SIM_REGION_DOWN,
    [REGION_KILLED] = SIM_REGION_KILLED,
    [REGION_STALLED] = SIM_REGION_STALLED,
    [REGION_CUT] = SIM_REGION_CUT,
};

static enum region_fall draw_fall(struct sim *sim) {
    enum region_fall how = (enum region_fall)chance_below(&sim->chance, REGION_FALL_COUNT);
    how = sim->falls_often && chance_below(&sim->chance, 4) != 0 ? REGION_SERVICES : how;
    return world_has(sim, counters[how]) ? how : REGION_SERVICES;
}

static void break_links(struct sim *sim, uint32_t region) {
    for (uint32_t a = 0; a < sim->node_count; a++) {
        for (uint32_t b = 0; b < sim->node_count; b++) {
            bool leaves = world_region_of(&sim->nodes[a]) == region &&
                          world_region_of(&sim->nodes[b]) != region;
            if (leaves) {
                transport_break(&sim->nodes[a], &sim->nodes[b]);
            }
        }
    }
}

/* Whether a node fell with it. */
static bool take_nodes(struct sim *sim, uint32_t region, enum region_fall how, uint64_t until_us) {
    bool any = false;
    for (uint32_t i = 0; i < sim->node_count; i++) {
        struct sim_node *node = &sim->nodes[i];
        if (world_region_of(node) != region || !node->alive) {
            continue;
        }
        any = true;
        if (how == REGION_KILLED) {
            node_kill(node, "with its region");
        } else if (how == REGION_STALLED) {
            faults_stop_node(node, until_us);
        }
    }
    return any;
}

void region_falls(struct sim *sim, uint32_t region, enum region_fall how, uint64_t until_us) {
    static const char *const words[] = {"is down", "dies", "is stopped", "is cut off"};
    sim_say(sim, "region", "%s %s until %.1f s", world_regions[region], words[how],
            (double)until_us / 1e6);
    switch (how) {
    case REGION_KILLED:
    case REGION_STALLED:
        extend(&sim->nodes_down_until_us[region], until_us);
        extend(&sim->region_down_until_us[region], until_us);
        break;
    case REGION_CUT:
        extend(&sim->region_cut_until_us[region], until_us);
        break_links(sim, region);
        break;
    default:
        extend(&sim->region_down_until_us[region], until_us);
        break;
    }
    if (how != REGION_SERVICES && take_nodes(sim, region, how, until_us)) {
        sim_count(sim, counters[how]);
    }
    if (sim->set != NULL) {
        set_region_falls(sim->set, region, how, until_us);
    }
}

/* --- each kind of fault, once (faults.c) --- */

static uint32_t active_or_any(struct sim *sim) {
    const struct state *state = world_newest_state(sim);
    uint32_t region = (uint32_t)chance_below(&sim->chance, 2);
    bool adopted = state != NULL && state->services[0].adopted;
    return adopted && chance_below(&sim->chance, 4) != 0 ? state->services[0].active : region;
}

bool regions_kill_one(struct sim *sim) {
    uint32_t region = active_or_any(sim); /* mostly the one that hurts */
    enum region_fall how = draw_fall(sim);
    uint64_t until_us = later_us(sim, 10000, sim->falls_often ? 20000 : 60000);
    if (sim->set != NULL && chance_below(&sim->set_chance, 2) == 0) {
        until_us += chance_below(&sim->set_chance, 60 * SIM_SECOND); /* a set takes its time */
    }
    region_falls(sim, region, how, until_us);
    return true;
}

bool regions_flap_one(struct sim *sim) {
    region_falls(sim, (uint32_t)chance_below(&sim->chance, 2), REGION_SERVICES,
                 later_us(sim, 500, 6000));
    return true;
}

/* At once, or, while a service moves, the region that it moves to. */
bool regions_kill_two(struct sim *sim) {
    const struct state *state = world_newest_state(sim);
    uint32_t region = (uint32_t)chance_below(&sim->chance, NODE_REGION_COUNT);
    uint32_t other = (region + 1) % NODE_REGION_COUNT;
    if (state != NULL && execution_is_open(&state->services[0].execution) &&
        execution_kind_moves(state->services[0].execution.kind)) {
        region = state->services[0].execution.to;
        other = state->services[0].execution.from;
    }
    region_falls(sim, region, draw_fall(sim), later_us(sim, 5000, 60000));
    region_falls(sim, other, draw_fall(sim), later_us(sim, 5000, 60000));
    return true;
}

static void on_two(void *context) {
    struct sim *sim = context;
    if (sim->faults_on) {
        sim_count(sim, SIM_TWO_REGIONS);
        (void)regions_kill_two(sim);
    }
}

void regions_fall_in_move(struct sim *sim) {
    sim_at(sim, sim->now_us + chance_below(&sim->chance, 5 * SIM_SECOND), on_two, sim);
}

/* Some checks, or all, answer near their timeout, beyond it, or both by turns. */
bool regions_slow_one(struct sim *sim) {
    uint32_t region = active_or_any(sim);
    extend(&sim->region_slow_until_us[region], later_us(sim, 10000, 60000));
    uint64_t some = chance_between(&sim->chance, 1, (1u << WORLD_CHECK_MAX) - 1);
    sim->slow_checks[region] = chance_below(&sim->chance, 2) == 0 ? NOT_CRITICAL : (uint32_t)some;
    sim->slow_percent[region] = (uint32_t)chance_between(&sim->chance, 70, 140);
    sim_say(sim, "region", "%s is slow until %.1f s, checks %x, from %u %% of their timeout on",
            world_regions[region], (double)sim->region_slow_until_us[region] / 1e6,
            sim->slow_checks[region], sim->slow_percent[region]);
    return true;
}
