/* Replicas of one group in one process, on one loop, each in a directory of its own; and a way to
 * wait for conditions, never for time. */
#ifndef TESTS_REPLICA_GROUP_H
#define TESTS_REPLICA_GROUP_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "mesh.h"
#include "replica/replica.h"

#define GROUP_CLUSTER "test-group"
#define GROUP_WAIT_MS 20000

struct group;

struct group_node {
    struct group *group;
    char name[NAME_SIZE], directory[256], tls[256];
    uint64_t id;
    uint16_t port;
    struct tls_identity *identity;
    struct replica *replica;        /* NULL: doesn't run */
    struct replica_callbacks extra; /* called besides, where set */
    bool leads, failed, stopping;
    uint64_t term;
    struct error failure;
    uint64_t applied_count, restored_count, report_count, lead_count, lost_count;
    uint64_t last_index; /* of on_applied: rising by one */
    uint64_t own_count;  /* of on_applied: proposed by this process */
};

struct group_options {
    uint32_t count;
    bool tls; /* real links over loopback; else the mesh */
    uint32_t heartbeat_ms, election_ms, snapshot_threshold; /* 0: 50, 500, the default */
};

struct group {
    struct group_options options;
    char directory[128];
    uv_loop_t loop;
    uv_timer_t ticker;
    struct mesh *mesh;
    struct group_node nodes[NODE_MAX];
    uint64_t clock_ms; /* of the TICKs that group_fill_tick makes */
};

void group_init(struct group *group, const struct group_options *options);
/* Stops whatever runs, checks that the loop is empty, removes the directories. */
void group_finish(struct group *group);

void group_bootstrap(struct group *group); /* all nodes */
/* ERROR_OK, or what replica_create or replica_start said; then the node doesn't run. */
enum error_code group_start_node(struct group *group, uint32_t place, struct error *error);
void group_start(struct group *group);                     /* all nodes; asserts that they do */
void group_stop_node(struct group *group, uint32_t place); /* and waits until it is closed */
/* An empty directory for it, as a node that joins. */
void group_wipe_node(struct group *group, uint32_t place);

/* Runs the loop until the condition holds; asserts that it does within GROUP_WAIT_MS. */
void group_wait(struct group *group, bool (*condition)(struct group *group, void *context),
                void *context);
/* Runs the loop for so long. For what must *not* happen. */
void group_run_ms(struct group *group, uint64_t ms);

/* Waits for a leader that has announced itself; its place. */
uint32_t group_wait_leader(struct group *group);
/* Waits until all running nodes have applied as much as the leader, and asserts equal digests. */
void group_wait_equal(struct group *group);

struct group_outcome {
    uint32_t count; /* of callbacks: must become 1 */
    enum error_code code;
    enum core_error result;
    uint64_t index;
};
void group_on_proposed(void *context, enum error_code code, enum core_error result, uint64_t index);
/* A TICK that moves committed time on. */
void group_fill_tick(struct group *group, struct command *command);
/* Proposes so many ticks on the leader, `outstanding` at a time, and waits for them; asserts that
 * all were applied. */
void group_write(struct group *group, uint32_t count, uint32_t outstanding);

#endif
