/* Faults by swarm: each world has its own mix and rates (Groce et al. 2012, "Swarm Testing"). */
#include <string.h>

#include "replica_private.h"
#include "set.h"
#include "transport.h"
#include "world.h"

static struct sim_node *any_node(struct sim *sim) {
    struct sim_node *node;
    do {
        node = &sim->nodes[chance_below(&sim->chance, sim->node_count)];
    } while (!node->wanted);
    return node;
}

static uint64_t later_us(struct sim *sim, uint64_t least_ms, uint64_t most_ms) {
    return sim->now_us + chance_between(&sim->chance, least_ms, most_ms) * SIM_MS;
}

static void extend(uint64_t *until_us, uint64_t to_us) {
    *until_us = to_us > *until_us ? to_us : *until_us;
}

/* --- each kind, once: true if it has happened, false if there was nothing that it could befall ---
 */

static bool crash(struct sim *sim) {
    struct sim_node *node = any_node(sim);
    bool alive = node->alive;
    node_kill(node, "kill -9");
    return alive;
}

/* Counted where it dies (node.c). */
static bool crash_inside(struct sim *sim) {
    struct sim_node *node = any_node(sim);
    sim->crash_countdown[node->place] = (uint32_t)chance_between(&sim->chance, 1, 150);
    return false;
}

/* One, or all of them, as where they share one storage. */
static bool slow_disk(struct sim *sim) {
    const struct sim_node *node = any_node(sim);
    bool all = chance_below(&sim->chance, 4) == 0;
    uint64_t until_us = later_us(sim, 1000, 20000);
    sim_say(sim, all ? "world" : node->name, "its disk is slow until %.1f s",
            (double)until_us / 1e6);
    for (uint32_t i = 0; i < sim->node_count; i++) {
        if (all || i == node->place) {
            extend(&sim->slow_disk_until_us[i], until_us);
        }
    }
    return true;
}

static bool failing_disk(struct sim *sim) {
    struct sim_node *node = any_node(sim);
    node->disk.fails = node->alive;
    return node->alive;
}

static void on_resume(void *context) {
    struct sim_node *node = context;
    if (node->alive && node->stalled && node->sim->now_us >= node->stalled_until_us) {
        sim_say(node->sim, node->name, "goes on");
        node_stall(node, false);
    }
}

void faults_stop_node(struct sim_node *node, uint64_t until_us) {
    sim_say(node->sim, node->name, "is stopped");
    extend(&node->stalled_until_us, until_us);
    node_stall(node, true);
    sim_at(node->sim, until_us, on_resume, node);
}

static bool stall(struct sim *sim) {
    struct sim_node *node = any_node(sim);
    if (!node->alive || node->stalled) {
        return false;
    }
    faults_stop_node(node, later_us(sim, 200, 30000));
    return true;
}

static void set_cut(struct sim *sim, uint32_t from, uint32_t to, uint64_t until_us) {
    extend(&sim->cut_until_us[from][to], until_us);
    transport_break(&sim->nodes[from], &sim->nodes[to]);
}

static bool cut(struct sim *sim) {
    uint64_t side = chance_between(&sim->chance, 1, (1u << sim->node_count) - 2);
    uint64_t until_us = later_us(sim, 500, 60000);
    sim_say(sim, "network", "is cut: %llx, until %.1f s", (unsigned long long)side,
            (double)until_us / 1e6);
    for (uint32_t a = 0; a < sim->node_count; a++) {
        for (uint32_t b = 0; b < sim->node_count; b++) {
            if ((side >> a & 1) != (side >> b & 1)) {
                set_cut(sim, a, b, until_us);
            }
        }
    }
    return true;
}

static bool cut_one_way(struct sim *sim) {
    uint32_t from = any_node(sim)->place;
    uint32_t to = any_node(sim)->place;
    uint64_t until_us = later_us(sim, 500, 60000);
    if (from == to) {
        return false;
    }
    sim_say(sim, "network", "loses what n%u says to n%u, until %.1f s", from + 1, to + 1,
            (double)until_us / 1e6);
    set_cut(sim, from, to, until_us);
    return true;
}

/* Everybody from everybody, and whole again at once: a new leader, who doesn't know yet how much is
 * committed, meets those that lag. */
static void on_shatter(void *context) {
    struct sim *sim = context;
    uint64_t until_us = later_us(sim, 1500, 4000);
    if (!sim->faults_on) {
        return;
    }
    sim_say(sim, "network", "is cut everywhere until %.1f s", (double)until_us / 1e6);
    sim_count(sim, SIM_CUT);
    for (uint32_t a = 0; a < sim->node_count; a++) {
        for (uint32_t b = 0; b < sim->node_count; b++) {
            if (a != b) {
                set_cut(sim, a, b, until_us);
            }
        }
    }
}

static void isolate(struct sim *sim, const struct sim_node *node) {
    uint64_t until_us = later_us(sim, 1000, 20000);
    sim_say(sim, "network", "cuts %s off until %.1f s", node->name, (double)until_us / 1e6);
    for (uint32_t i = 0; i < sim->node_count; i++) {
        if (i != node->place) {
            set_cut(sim, node->place, i, until_us);
            set_cut(sim, i, node->place, until_us);
        }
    }
}

/* Between two steps of a move there are milliseconds: a fault at a time of its own hardly ever
 * meets them. */
void faults_at_moment(struct sim *sim, uint32_t one_in) {
    const struct sim_node *leader = people_leader(sim);
    if (!sim->faults_on || leader == NULL || chance_below(&sim->chance, one_in) != 0) {
        return;
    }
    if (sim->every_us[SIM_TWO_REGIONS] > 0 && chance_below(&sim->chance, 4) == 0) {
        regions_fall_in_move(sim);
    } else if (sim->every_us[SIM_CRASH_INSIDE] > 0) {
        sim->crash_countdown[leader->place] = (uint32_t)chance_between(&sim->chance, 1, 20);
    } else if (sim->every_us[SIM_CUT] > 0) {
        sim_count(sim, SIM_CUT);
        isolate(sim, leader);
    }
}

/* Somebody lags while the members change, and whoever has changed them dies soon after. */
void faults_at_change(struct sim *sim, const struct sim_node *leader) {
    struct sim_node *node = any_node(sim);
    if (!sim->faults_on || chance_below(&sim->chance, 2) != 0) {
        return;
    }
    if (node != leader && sim->every_us[SIM_CUT] > 0) {
        sim_count(sim, SIM_CUT);
        isolate(sim, node);
        sim_at(sim, sim->cut_until_us[node->place][leader->place] - 500 * SIM_MS, on_shatter, sim);
    } else if (sim->every_us[SIM_CRASH_INSIDE] > 0) {
        sim->crash_countdown[leader->place] = (uint32_t)chance_between(&sim->chance, 20, 600);
    }
}

static bool knows_its_vote(const struct sim_node *node) {
    const struct replica *replica = node_replica(node);
    return replica == NULL || replica_member_of(replica, node->id) == REPLICA_VOTER;
}

/* Whom it gives a vote doesn't hear of it, and it dies soon. */
static void keep_promotion_from_node(struct sim_node *leader) {
    struct sim *sim = leader->sim;
    for (uint32_t i = 0; i < sim->node_count; i++) {
        struct sim_node *node = &sim->nodes[i];
        bool votes = replica_member_of(node_replica(leader), node->id) == REPLICA_VOTER;
        if (votes && !knows_its_vote(node)) {
            sim_count(sim, SIM_CUT);
            isolate(sim, node);
            sim->crash_countdown[leader->place] = (uint32_t)chance_between(&sim->chance, 20, 200);
        }
    }
}

/* All at once: nobody knows then how much is committed. */
static void on_power_cut(void *context) {
    struct sim *sim = context;
    for (uint32_t i = 0; i < sim->node_count && sim->faults_on; i++) {
        if (sim->nodes[i].alive) {
            sim_count(sim, SIM_CRASH);
            node_kill(&sim->nodes[i], "power cut");
        }
    }
}

void faults_at_written_change(struct sim_node *leader) {
    struct sim *sim = leader->sim;
    uint64_t draw = sim->faults_on ? chance_below(&sim->chance, 4) : 3;
    if (draw == 0 && sim->every_us[SIM_CRASH] > 0) {
        sim_at(sim, sim->now_us + chance_below(&sim->chance, 3 * SIM_SECOND), on_power_cut, sim);
    } else if (draw < 3 && sim->every_us[SIM_CUT] > 0) {
        keep_promotion_from_node(leader);
    }
}

/* One way between two, all ways of one, or all. */
static bool slow_link(struct sim *sim) {
    uint32_t from = any_node(sim)->place;
    uint32_t to = any_node(sim)->place;
    uint64_t scope = chance_below(&sim->chance, 3);
    uint64_t until_us = later_us(sim, 1000, 30000);
    if (scope == 0 && from == to) {
        return false;
    }
    sim_say(sim, "network", "%s is slow until %.1f s, from n%u to n%u",
            scope == 0   ? "one way"
            : scope == 1 ? "one node"
                         : "all",
            (double)until_us / 1e6, from + 1, to + 1);
    for (uint32_t a = 0; a < sim->node_count; a++) {
        for (uint32_t b = 0; b < sim->node_count; b++) {
            bool one = a == from && b == to;
            bool of_one = a == from || b == from;
            if (one || (scope == 1 && of_one) || scope == 2) {
                extend(&sim->slow_link_until_us[a][b], until_us);
            }
        }
    }
    return true;
}

static bool break_link(struct sim *sim) {
    struct sim_node *a = any_node(sim);
    struct sim_node *b = any_node(sim);
    bool stands = a != b && transport_is_up(a, b);
    if (a != b) {
        transport_break(a, b);
    }
    return stands;
}

static void jump_clock_of(struct sim_node *node) {
    struct sim *sim = node->sim;
    /* Half of the steps are small: large ones close the gate `clock`. */
    uint64_t most_ms = chance_below(&sim->chance, 2) == 0 ? 4000 : 86400000;
    int64_t by_ms = (int64_t)chance_between(&sim->chance, 200, most_ms);
    node->wall_offset_ms += chance_below(&sim->chance, 2) == 0 ? by_ms : -by_ms;
    sim_say(sim, node->name, "its wall clock is off by %lld ms", (long long)node->wall_offset_ms);
}

static bool jump_clock(struct sim *sim) {
    jump_clock_of(any_node(sim));
    return true;
}

static void on_window_clocks(void *context) {
    struct sim *sim = context;
    for (uint32_t i = 0; i < sim->node_count && sim->faults_on; i++) {
        if (sim->nodes[i].wanted && chance_below(&sim->chance, 2) == 0) {
            sim_count(sim, SIM_CLOCK_JUMP);
            jump_clock_of(&sim->nodes[i]);
        }
    }
}

/* While a window stands, several clocks at once: one alone moves nothing. */
void faults_at_suspicion(struct sim *sim) {
    bool wanted = sim->every_us[SIM_CLOCK_JUMP] > 0 && chance_below(&sim->chance, 3) == 0;
    if (sim->faults_on && wanted) {
        sim_at(sim, sim->now_us + chance_below(&sim->chance, sim->confirm_ms * SIM_MS),
               on_window_clocks, sim);
    }
}

static bool hide_region(struct sim *sim) {
    struct sim_node *node = any_node(sim);
    uint32_t region = (uint32_t)chance_below(&sim->chance, 2);
    uint64_t *until_us = &sim->unseen_until_us[node->place][region];
    extend(until_us, later_us(sim, 5000, 60000));
    sim_say(sim, node->name, "doesn't reach %s until %.1f s", world_regions[region],
            (double)*until_us / 1e6);
    return true;
}

static bool kill_target(struct sim *sim) {
    sim->target_dead_until_us = later_us(sim, 2000, 120000);
    sim_say(sim, "route53", "is dead for a while");
    return true;
}

static bool foreign_change(struct sim *sim) {
    char service[NAME_SIZE];
    uint32_t s = (uint32_t)chance_below(&sim->chance, sim->service_count);
    (void)snprintf(service, sizeof service, "svc%u", s + 1);
    uint32_t zone = (uint32_t)chance_below(&sim->chance, sim->zone_count);
    uint64_t draw = chance_below(&sim->chance, 6);
    if (draw == 0) {
        target_delete_fence(sim->target, zone, service);
    } else if (draw == 1) {
        target_put_fence(sim->target, zone, service);
    } else {
        target_edit_record(sim->target, zone, service, "198.51.100.7");
    }
    return true;
}

static bool stop(struct sim *sim) {
    struct sim_node *node = any_node(sim);
    if (!node->alive || node->stalled) {
        return false;
    }
    sim_say(sim, node->name, "SIGTERM");
    node_stop(node);
    return true;
}

/* Stopped, and started again as the newer version. */
static bool upgrade(struct sim *sim) {
    struct sim_node *node = any_node(sim);
    if (!node->alive || node->stalled || node->feature_level == FEATURE_LEVEL_NEWEST) {
        return false;
    }
    sim_say(sim, node->name, "gets the newer version");
    node->feature_level = FEATURE_LEVEL_NEWEST;
    node_stop(node);
    return true;
}

static const struct {
    bool (*happen)(struct sim *sim);
    enum sim_fault fault;
} happenings[] = {
    {crash, SIM_CRASH},
    {crash_inside, SIM_CRASH_INSIDE},
    {slow_disk, SIM_DISK_SLOW},
    {failing_disk, SIM_DISK_FAILED},
    {storage_fill_one, SIM_DISK_FULL},
    {storage_fail_files, SIM_FILES_FAIL},
    {storage_wipe_one, SIM_NODE_WIPED},
    {storage_lose_log, SIM_LOG_LOST},
    {stall, SIM_STALL},
    {cut, SIM_CUT},
    {cut_one_way, SIM_CUT_ONE_WAY},
    {slow_link, SIM_LINK_SLOW},
    {break_link, SIM_LINK_BROKEN},
    {jump_clock, SIM_CLOCK_JUMP},
    {regions_kill_one, SIM_REGION_DOWN},
    {regions_kill_two, SIM_TWO_REGIONS},
    {regions_flap_one, SIM_REGION_FLAP},
    {regions_slow_one, SIM_REGION_SLOW},
    {hide_region, SIM_REGION_UNSEEN},
    {kill_target, SIM_TARGET_DEAD},
    {foreign_change, SIM_FOREIGN_CHANGE},
    {people_act, SIM_OPERATOR}, /* people count what was accepted */
    {people_change_spec, SIM_SPEC_CHANGE},
    {stop, SIM_STOP},
    {people_add_node, SIM_NODE_ADDED},
    {people_remove_node, SIM_NODE_REMOVED},
    {upgrade, SIM_UPGRADE},
    {people_transfer, SIM_TRANSFER},
};

static const enum sim_fault of_requests[] = {SIM_REQUEST_LOST,   SIM_REQUEST_LATE,
                                             SIM_REQUEST_TWICE,  SIM_REPLY_LOST,
                                             SIM_TARGET_REFUSES, SIM_TARGET_FORGETS};

static void make_rare(struct sim *sim) {
    for (size_t i = 0; i < sizeof happenings / sizeof happenings[0]; i++) {
        sim->every_us[happenings[i].fault] *= 16;
    }
    memset(sim->per_million, 0, sizeof sim->per_million);
    sim->every_us[SIM_TWO_REGIONS] = 0;
}

/* Moves that follow each other: the active region falls again and again, and little else happens.
 */
static void draw_falling_regions(struct sim *sim) {
    struct chance *chance = &sim->chance;
    make_rare(sim);
    sim->falls_often = true;
    sim->every_us[SIM_REGION_DOWN] = chance_between(chance, 15, 25) * SIM_SECOND;
    sim->interval_ms = 1000;
    sim->confirm_ms = 3000;
    sim->cooldown_ms = chance_between(chance, 0, 5) * 1000;
    sim->max_moves = chance_below(chance, 2) == 0 ? (uint32_t)chance_between(chance, 1, 2) : 16;
}

void faults_draw(struct sim *sim) {
    struct chance *chance = &sim->chance;
    sim->member_count = chance_below(chance, 4) == 0 ? 5 : 3;
    sim->node_count = sim->member_count + (uint32_t)chance_below(chance, 5);
    sim->node_count = sim->node_count > SIM_NODE_MAX ? SIM_NODE_MAX : sim->node_count;
    sim->oldest_level = chance_below(chance, 2) == 0 ? FEATURE_LEVEL_NEWEST : FEATURE_LEVEL_FIRST;
    sim->service_count = chance_below(chance, 3) == 0 ? 2 : 1;
    sim->zone_count = chance_below(chance, 3) == 0 ? 2 : 1;
    static const uint64_t intervals_ms[] = {1000, 1000, 2000, 5000};
    sim->interval_ms = intervals_ms[chance_below(chance, 4)];
    static const uint64_t disks_us[] = {2500, 2500, 2500, 2500, 30000, 30000, 120000, 400000};
    sim->disk_most_us = disks_us[chance_below(chance, 8)];
    sim->usual = chance_below(chance, 6) == 0 ? MODE_ADVISE : MODE_AUTO;
    sim->snapshot_threshold = (uint32_t)chance_between(chance, 8, 200);
    sim->lease_ms = chance_below(chance, 3) == 0 ? 5000 : 0;
    sim->confirm_ms = chance_between(chance, 3, 10) * 1000;
    sim->cooldown_ms = chance_between(chance, 0, 20) * 1000;
    sim->max_moves = chance_below(chance, 3) == 0 ? (uint32_t)chance_between(chance, 1, 2) : 16;
    /* Some worlds are calm, so that moves get far; in others hardly anything works. */
    uint64_t calm = UINT64_C(1) << chance_below(chance, 6);
    for (size_t i = 0; i < sizeof happenings / sizeof happenings[0]; i++) {
        uint64_t every_ms = chance_between(chance, 3000, 40000) * calm;
        bool wanted = chance_below(chance, 2) == 0;
        sim->every_us[happenings[i].fault] = wanted ? every_ms * SIM_MS : 0;
    }
    /* Moves are what the rest is about: in half of the worlds operators do nearly all of them, in
     * the others the coordinator by itself, while hardly anybody is there to stop it. */
    uint64_t absent = chance_below(chance, 2) == 0 ? 10 : 1;
    sim->every_us[SIM_OPERATOR] = chance_between(chance, 1, 10) * absent * SIM_SECOND;
    sim->every_us[SIM_SPEC_CHANGE] *= absent;
    sim->every_us[SIM_REGION_DOWN] = chance_between(chance, 20, 80) * SIM_SECOND;
    sim->check_count = (uint32_t)chance_between(chance, 1, WORLD_CHECK_MAX);
    uint64_t draw = chance_next(chance);
    sim->unwished = (uint32_t)(draw & draw >> 32); /* a quarter of all */
    sim->lateness_ms = chance_below(chance, 2) == 0 ? 20000 : 240000;
    for (size_t i = 0; i < sizeof of_requests / sizeof of_requests[0]; i++) {
        bool wanted = chance_below(chance, 2) == 0;
        sim->per_million[of_requests[i]] =
            wanted ? (uint32_t)chance_between(chance, 20000, 600000) : 0;
    }
    if (sim->options.of_set) {
        make_rare(sim);
    } else if (chance_below(chance, 5) == 0) {
        draw_falling_regions(sim);
    }
}

struct happening {
    struct sim *sim;
    size_t row;
};

static struct happening due[sizeof happenings / sizeof happenings[0]];

static void on_happening(void *context) {
    const struct happening *happening = context;
    struct sim *sim = happening->sim;
    enum sim_fault fault = happenings[happening->row].fault;
    if (!sim->faults_on) {
        return;
    }
    if (happenings[happening->row].happen(sim)) {
        sim_count(sim, fault);
    }
    uint64_t every_us = sim->every_us[fault];
    sim_at(sim, sim->now_us + chance_between(&sim->chance, every_us / 4, every_us * 7 / 4),
           on_happening, context);
}

void faults_begin(struct sim *sim) {
    sim->faults_on = true;
    if (sim->set != NULL) {
        set_faults_begin(sim->set);
        recovery_begin(sim);
    }
    for (size_t i = 0; i < sizeof happenings / sizeof happenings[0]; i++) {
        uint64_t every_us = sim->every_us[happenings[i].fault];
        due[i] = (struct happening){sim, i};
        if (every_us > 0) {
            sim_at(sim, sim->now_us + chance_below(&sim->chance, every_us), on_happening, &due[i]);
        }
    }
}

void faults_heal(struct sim *sim) {
    sim_say(sim, "world", "heals");
    sim->faults_on = false;
    sim->healed_us = sim->now_us;
    memset(sim->cut_until_us, 0, sizeof sim->cut_until_us);
    memset(sim->region_down_until_us, 0, sizeof sim->region_down_until_us);
    memset(sim->nodes_down_until_us, 0, sizeof sim->nodes_down_until_us);
    memset(sim->region_cut_until_us, 0, sizeof sim->region_cut_until_us);
    memset(sim->region_slow_until_us, 0, sizeof sim->region_slow_until_us);
    memset(sim->unseen_until_us, 0, sizeof sim->unseen_until_us);
    memset(sim->slow_disk_until_us, 0, sizeof sim->slow_disk_until_us);
    memset(sim->slow_link_until_us, 0, sizeof sim->slow_link_until_us);
    sim->target_dead_until_us = 0;
    if (sim->set != NULL) {
        set_heal(sim->set);
    }
    for (uint32_t i = 0; i < sim->node_count; i++) {
        struct sim_node *node = &sim->nodes[i];
        node->feature_level = FEATURE_LEVEL_NEWEST; /* from its next start on */
        node->wall_offset_ms = 0;
        node->disk.fails = false;
        node->disk.files_fail = false;
        node->disk.full_until_us = 0;
        sim->crash_countdown[i] = 0;
        if (node->alive && node->stalled) {
            node->stalled_until_us = 0;
            node_stall(node, false);
        } else if (!node->alive && node->wanted) {
            node_start(node); /* it might wait for the end of its region's fall */
        }
    }
}
