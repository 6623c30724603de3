/* Disks that fill up, fail in part, or come back without what they had. A node that has lost what
 * it acknowledged must never be one of the group again: it is refused, and people put another in
 * its place. */
#include <string.h>

#include "disk.h"
#include "replica_private.h"
#include "world.h"

#define REFUSED_WITHIN_US (40 * SIM_SECOND) /* of the healing */
#define LOOK_US (5 * SIM_SECOND)

/* Whom the group knows with its disk, so that there is something to lose. */
static struct sim_node *any_known(struct sim *sim, const struct state *state) {
    struct sim_node *node = &sim->nodes[chance_below(&sim->chance, sim->node_count)];
    uint32_t place = state_find_node(state, node->id);
    static const uint8_t zero[STORAGE_UUID_BYTES];
    bool known = place != NONE_INDEX && node->wanted &&
                 memcmp(state->nodes[place].storage, zero, sizeof zero) != 0;
    return known ? node : NULL;
}

bool storage_has_spare(const struct sim *sim) {
    for (uint32_t i = sim->member_count; i < sim->node_count; i++) {
        if (!sim->nodes[i].wanted && !sim->nodes[i].was_member) {
            return true;
        }
    }
    return false;
}

/* Of two voters, none can be lost: the next may not have its vote yet. */
static bool leaves_quorum(struct sim *sim) {
    const struct sim_node *leader = people_leader(sim);
    uint32_t voters = 0;
    for (uint32_t i = 0; i < sim->node_count && leader != NULL; i++) {
        voters += replica_member_of(node_replica(leader), sim->nodes[i].id) == REPLICA_VOTER;
    }
    return voters >= 3;
}

static void on_look(void *context) {
    struct sim_node *node = context;
    struct sim *sim = node->sim;
    if (!node->wanted) {
        return;
    }
    bool late = !sim->faults_on && sim->now_us >= sim->healed_us + REFUSED_WITHIN_US;
    if (late) {
        sim_broken(sim, "lost storage is refused", "%s goes on", node->name);
    }
    sim_at(sim, sim->now_us + LOOK_US, on_look, node);
}

/* One a world, where another can take its place: more is more than a group promises to bear. */
static bool lose(struct sim *sim, bool (*forget)(struct sim_disk *disk), const char *words) {
    const struct state *state = world_newest_state(sim);
    if (state == NULL || sim->has_lost_storage || !storage_has_spare(sim) || !leaves_quorum(sim)) {
        return false;
    }
    struct sim_node *node = any_known(sim, state);
    if (node == NULL) {
        return false;
    }
    node_kill(node, words);
    node->lost_up_to = node->disk.mark;
    if (!forget(&node->disk)) {
        return false;
    }
    sim->has_lost_storage = true;
    node->has_lost_storage = true;
    node->was_member = true; /* the group knows it, though people may not have looked yet */
    sim_at(sim, sim->now_us + LOOK_US, on_look, node);
    return true;
}

bool storage_wipe_one(struct sim *sim) {
    return lose(sim, disk_wipe, "its directory is made anew, empty");
}

bool storage_lose_log(struct sim *sim) {
    return lose(sim, disk_lose_tail, "the end of its log is lost");
}

bool storage_fill_one(struct sim *sim) {
    struct sim_node *node = &sim->nodes[chance_below(&sim->chance, sim->node_count)];
    node->disk.full_until_us = sim->now_us + chance_between(&sim->chance, 2, 30) * SIM_SECOND;
    node->disk.has_segments = chance_below(&sim->chance, 2) == 0;
    sim_say(sim, node->name, "its disk is full until %.1f s%s",
            (double)node->disk.full_until_us / 1e6,
            node->disk.has_segments ? ", but for the log" : "");
    return node->alive;
}

/* What its small files are in, while its log goes on. */
bool storage_fail_files(struct sim *sim) {
    struct sim_node *node = &sim->nodes[chance_below(&sim->chance, sim->node_count)];
    node->disk.files_fail = node->alive;
    return node->alive;
}

void storage_on_end(struct sim_node *node) {
    bool refused = strstr(node->failure, "under a new name") != NULL;
    if (refused && !node->has_lost_storage) {
        sim_broken(node->sim, "refused is who has lost storage", "%s has lost nothing: %s",
                   node->name, node->failure);
    }
    if (refused) {
        sim_say(node->sim, node->name, "is given up: %s", node->failure);
        node->wanted = false;
        sim_count(node->sim, SIM_STORAGE_REFUSED);
    }
}
