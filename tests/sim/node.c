#include "node.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "parts.h"
#include "replica_private.h"
#include "transport.h"
#include "world.h"

/* Rendering costs a third of the time when it is done as often as noctuad does. */
#define DOCUMENTS_EVERY_MS 20000
#define DRIFT_MAX_PPM 4500 /* two clocks apart by less than the lease's 1 % */

static struct sim_node *current;

struct sim_node *sim_current(void) {
    return current;
}

struct sim *sim_of(const struct sim_node *node) {
    return node->sim;
}

static uint64_t boottime_ms(void *context) {
    struct sim_node *node = context;
    uint64_t now_us = sim_now(node->sim);
    if (now_us != node->boottime_us) {
        double run_ms = (double)now_us / SIM_MS * (1 + node->drift);
        node->boottime_ms = node->boot_offset_ms + (uint64_t)run_ms;
        node->boottime_us = now_us;
    }
    return node->boottime_ms;
}

static uint64_t wall_ms(void *context) {
    struct sim_node *node = context;
    uint64_t now_ms = WORLD_START_WALL_MS + sim_now(node->sim) / SIM_MS;
    uint64_t shown_ms = (uint64_t)((int64_t)now_ms + node->wall_offset_ms);
    node->highest_wall_ms = shown_ms > node->highest_wall_ms ? shown_ms : node->highest_wall_ms;
    return shown_ms;
}

void node_create(struct sim_node *node, struct sim *sim, uint32_t place, const char *name,
                 const char *region) {
    memset(node, 0, sizeof *node);
    node->sim = sim;
    node->place = place;
    node->id = replica_node_id(WORLD_CLUSTER, name);
    (void)TEXT_COPY(node->name, name);
    (void)TEXT_COPY(node->region, region);
    chance_seed(&node->chance, chance_next(sim_chance(sim)));
    chance_entropy(&node->chance, &node->entropy);
    node->clock = (struct clock){boottime_ms, wall_ms, node};
    node->boot_offset_ms = chance_between(sim_chance(sim), 1000, 10000000);
    int64_t ppm = (int64_t)chance_below(sim_chance(sim), 2 * DRIFT_MAX_PPM + 1) - DRIFT_MAX_PPM;
    node->drift = (double)ppm / 1e6;
    node->boottime_us = UINT64_MAX;
    disk_create(&node->disk, node);
}

/* Only what is large: the rest of a dead life is left, as a killed process leaves it. */
static void bury(struct sim_node *node) {
    if (!node->fiber.finished && !node->daemon->stopping && node->daemon->replica != NULL) {
        free(node->daemon->replica->state);
    }
    parts_forget(node);
    transport_forget(node);
    loop_destroy(&node->loop);
    fiber_destroy(&node->fiber);
    node->daemon = NULL;
}

void node_destroy(struct sim_node *node) {
    if (node->alive) {
        node->alive = false;
        bury(node);
    }
    disk_destroy(&node->disk);
}

static void main_function(void *context) {
    struct sim_node *node = context;
    (void)node_run(node->daemon);
}

static void fill_config(const struct sim_node *node, struct node_config *config) {
    memset(config, 0, sizeof *config);
    (void)TEXT_COPY(config->cluster, WORLD_CLUSTER);
    (void)TEXT_COPY(config->node, node->name);
    (void)TEXT_COPY(config->region, node->region);
    (void)TEXT_COPY(config->data, "/sim");
    (void)TEXT_COPY(config->listen.http.host, "127.0.0.1");
    config->raft.heartbeat_ms = 100;
    config->raft.election_ms = 1000;
    config->inspect.every_ms = 15000;
    config->snapshot_threshold = staging_snapshot_threshold(node);
    config->alarm.no_quorum_ms = 60000;
    config->alarm.not_ready_ms = 900000;
    config->alarm.pause_forgotten_ms = 14400000;
    config->alarm.primary_elsewhere_ms = 60000;
    config->peer_count = world_node_count(node->sim);
    for (uint32_t i = 0; i < config->peer_count; i++) {
        (void)TEXT_COPY(config->peers[i].name, world_node(node->sim, i)->name);
        (void)TEXT_COPY(config->peers[i].address.host, "127.0.0.1");
        config->peers[i].address.port = 7600;
    }
    config->self = node->place;
}

void node_start(struct sim_node *node) {
    assert(!node->alive);
    node->life++;
    node->alive = true;
    node->stalled = false;
    node->stalled_until_us = 0;
    node->failure[0] = '\0';
    node->daemon = calloc(1, sizeof *node->daemon);
    if (node->daemon == NULL) {
        abort();
    }
    loop_create(&node->loop, node);
    fill_config(node, &node->daemon->config);
    node->daemon->loop = &node->loop.uv;
    node->daemon->clock = &node->clock;
    node->daemon->entropy = &node->entropy;
    node->daemon->documents_every_ms = DOCUMENTS_EVERY_MS;
    node->daemon->feature_level = node->feature_level;
    fiber_create(&node->fiber, main_function, node);
    sim_say(node->sim, node->name, "starts, boot %llu",
            (unsigned long long)node->disk.meta.boot + 1);
    node_run_now(node);
}

/* Outside of the node: what is left of it goes. */
static void after_death(struct sim_node *node) {
    transport_on_death(node);
    disk_settle(&node->disk);
    bury(node);
    world_on_death(node);
}

void node_run_now(struct sim_node *node) {
    assert(current == NULL);
    if (!node->alive || node->stalled) {
        return;
    }
    current = node;
    fiber_enter(&node->fiber);
    current = NULL;
    if (!node->alive || node->fiber.finished) {
        if (node->alive) {
            sim_say(node->sim, node->name, "has ended");
        }
        node->alive = false;
        after_death(node);
    }
}

void node_kill(struct sim_node *node, const char *why) {
    if (!node->alive) {
        return;
    }
    sim_say(node->sim, node->name, "dies: %s", why);
    node->alive = false;
    if (current == node) {
        fiber_leave(&node->fiber); /* never entered again */
        abort();
    }
    after_death(node);
}

static void on_stop(void *context) {
    struct sim_node *node = context;
    node->daemon->terminate.signal_cb(&node->daemon->terminate, 15);
}

void node_stop(struct sim_node *node) {
    if (node->alive && node->daemon->terminate.signal_cb != NULL) {
        sim_at_node(node, sim_now(node->sim), on_stop, node, false);
    }
}

void node_stall(struct sim_node *node, bool stalled) {
    node->stalled = stalled;
    if (!stalled) {
        node_run_now(node);
    }
}

static void wake(struct sim_node *node, uint64_t time_us) {
    if (node->loop.wake_us == 0 || time_us < node->loop.wake_us) {
        node->loop.wake_us = time_us;
        sim_at_node(node, time_us, NULL, NULL, false);
    }
}

void node_wait(struct sim_node *node, uint64_t until_us) {
    assert(current == node);
    uint64_t now_us = sim_now(node->sim);
    if (node->loop.wake_us <= now_us) {
        node->loop.wake_us = 0; /* it was that one, or is in the queue no more */
    }
    if (until_us != 0) {
        wake(node, until_us > now_us ? until_us : now_us);
    }
    fiber_leave(&node->fiber);
}

void sim_crash_point(void) {
    struct sim_node *node = current;
    if (node != NULL && world_crashes_here(node)) {
        sim_count(node->sim, SIM_CRASH_INSIDE);
        node_kill(node, "in the middle of a call");
    }
}

struct replica *node_replica(const struct sim_node *node) {
    bool has = node->alive && !node->daemon->stopping && node->daemon->replica != NULL;
    return has && node->daemon->replica->started ? node->daemon->replica : NULL;
}

const struct state *node_state(const struct sim_node *node) {
    const struct replica *replica = node_replica(node);
    return replica == NULL ? NULL : replica->state;
}
