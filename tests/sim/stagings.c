/* Stagings: what matters about some mistakes is one moment that chance hardly ever meets. In a
 * world with a staging little else happens: those who could go wrong in that moment are brought
 * into it again and again. */
#include <string.h>

#include "set.h"
#include "world.h"

#define LOSS_EVERY_US (60 * SIM_SECOND)
#define SLOW_NODE 2

static const char *const staging_texts[] = {
#define X(name, text) text,
    SIM_STAGING_TABLE(X)
#undef X
};

const char *sim_staging_text(enum sim_staging staging) {
    return staging_texts[staging];
}

bool staging_is_of_set(const struct sim *sim) {
    return sim->options.staging != STAGING_NONE && sim->options.staging != STAGING_SNAPSHOTS;
}

static bool loses_majority(const struct sim *sim) {
    return staging_is_of_set(sim) && sim->options.staging != STAGING_WRITE_INHERITED;
}

/* --- snapshots: what a node's log has and it doesn't know to be committed --- */

/* One node is always behind with its disk, and takes a snapshot whenever it can. All that waits to
 * be written when it dies is there afterwards. */
static void draw_snapshots(struct sim *sim) {
    sim->every_us[SIM_OPERATOR] = 200 * SIM_MS;
    sim->every_us[SIM_NODE_ADDED] = 8 * SIM_SECOND;
    sim->every_us[SIM_NODE_REMOVED] = 12 * SIM_SECOND;
    sim->unwished = ~(UINT32_C(1) << WISH_VETO | UINT32_C(1) << WISH_END);
    sim->options.without |= UINT64_C(1) << SIM_DISK_LOST | UINT64_C(1) << SIM_DISK_TORN;
    sim->member_count = 3;
    sim->node_count = SIM_NODE_MAX;
    sim->disk_most_us = 2500;
    sim->snapshot_threshold = 200;
    sim->slow_disk_until_us[SLOW_NODE] = UINT64_MAX;
}

uint32_t staging_snapshot_threshold(const struct sim_node *node) {
    bool each = node->sim->options.staging == STAGING_SNAPSHOTS && node->place == SLOW_NODE;
    return each ? 1 : node->sim->snapshot_threshold;
}

static void on_death(void *context) {
    struct sim_node *node = context;
    if (node->sim->faults_on && node->alive) {
        sim_count(node->sim, SIM_CRASH);
        node_kill(node, "kill -9");
    }
}

/* Two changes are in its log by then, and how far they are committed only its memory knows. */
void staging_at_change(struct sim_node *node) {
    struct sim *sim = node->sim;
    if (sim->options.staging == STAGING_SNAPSHOTS && node->place == SLOW_NODE) {
        sim_at(sim, sim->now_us + chance_between(&sim->chance, 10, 60) * SIM_MS, on_death, node);
    }
}

void staging_draw(struct sim *sim) {
    if (sim->options.staging == STAGING_NONE) {
        return;
    }
    memset(sim->every_us, 0, sizeof sim->every_us);
    memset(sim->per_million, 0, sizeof sim->per_million);
    sim->falls_often = false;
    sim->unwished = ~(UINT32_C(1) << WISH_FAILOVER | UINT32_C(1) << WISH_SWITCHOVER);
    sim->set_checks_writes = true;
    if (loses_majority(sim)) {
        sim->every_us[SIM_MAJORITY_LOST] = LOSS_EVERY_US;
        sim->unwished = UINT32_MAX;
    } else if (sim->options.staging == STAGING_SNAPSHOTS) {
        draw_snapshots(sim);
    }
}
