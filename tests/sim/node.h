/* One simulated node: what survives its death (disk, clock, place) and its present life. */
#ifndef SIM_NODE_H
#define SIM_NODE_H

#include "core/limits.h"
#include "disk.h"
#include "fiber.h"
#include "loop.h"
#include "main/node.h"
#include "sim.h"

struct sim_transport;
struct sim_probes;
struct sim_api;

struct sim_node {
    struct sim *sim;
    uint32_t place;
    uint64_t id; /* replica_node_id() */
    char name[NAME_SIZE], region[NAME_SIZE];
    struct sim_disk disk;
    struct chance chance; /* the node's own entropy */
    struct entropy entropy;
    struct clock clock;
    int64_t wall_offset_ms;
    uint64_t highest_wall_ms; /* that its clock has ever shown */
    uint64_t boot_offset_ms;  /* CLOCK_BOOTTIME when the world began */
    double drift;             /* of CLOCK_BOOTTIME, in parts of 1 */
    bool wanted;              /* it should run: is started again after a death */
    bool has_lost_storage;    /* it is refused from then on, and another takes its place */
    uint64_t lost_up_to;      /* index: it had acknowledged what it has lost up to there */
    bool was_member;          /* the group has known it; once out it never comes back */
    uint32_t feature_level;   /* of the version that it runs, from its next start on */
    /* the time of the world at which its stopwatch was read last, and what it showed */
    uint64_t boottime_us, boottime_ms;

    /* this life */
    bool alive, running, stalled;
    uint64_t stalled_until_us;
    uint64_t life; /* counts up with each start */
    struct fiber fiber;
    struct sim_loop loop;
    struct noctuad *daemon;
    struct sim_transport *transport;
    struct sim_api *api;
    char failure[256]; /* its last word */
};

void node_create(struct sim_node *node, struct sim *sim, uint32_t place, const char *name,
                 const char *region);
void node_destroy(struct sim_node *node);
/* A process begins (outside of any node). */
void node_start(struct sim_node *node);
/* kill -9, from outside or from inside the node's own call: then it doesn't return. */
void node_kill(struct sim_node *node, const char *why);
/* SIGTERM. */
void node_stop(struct sim_node *node);
/* SIGSTOP and SIGCONT. */
void node_stall(struct sim_node *node, bool stalled);
/* Lets it run until it waits. */
void node_run_now(struct sim_node *node);
/* From its loop: nothing to do until that time (0: until something comes). */
void node_wait(struct sim_node *node, uint64_t until_us);
/* NULL: it doesn't run, or begins, or ends. */
struct replica *node_replica(const struct sim_node *node);
const struct state *node_state(const struct sim_node *node); /* NULL: it doesn't run */

#endif
