/* An executor between a real core state and played surroundings: a log that commits when the test
 * says so, a driver whose targets answer when the test says so, and clocks that the test moves.
 * Nothing waits: a turn of the loop is one look of the executor at what is to be done. */
#ifndef TEST_EXECUTOR_SCENE_H
#define TEST_EXECUTOR_SCENE_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "driver/driver.h"
#include "executor/executor.h"
#include "group.h"

#define SCENE_TARGET_MAX (SERVICE_MAX * ZONE_MAX)
#define SCENE_CHANGE_MAX 1024
#define SCENE_REQUEST_MAX 1024
#define SCENE_PROPOSAL_MAX 1024

/* One fence and its records, as they are outside. */
struct played_target {
    char service[NAME_SIZE], zone[CHANGE_ID_SIZE]; /* zone "": the replica set and its config */
    bool fence_present, dead; /* dead: every read fails, by itself, in scene_settle */
    char fence[DRIVER_FENCE_MAX];
    struct driver_blob state;
    uint32_t landed; /* changes that took effect */
};

/* What the executor asked of the driver, until it is answered. */
struct played_request {
    bool is_send; /* or an act */
    struct played_target *target;
    char change_id[DRIVER_CHANGE_ID_MAX]; /* read: whose sync is asked */
    bool expects_fence, leaves_fence, has_state;
    char fence_before[DRIVER_FENCE_MAX], fence_after[DRIVER_FENCE_MAX], comment[257];
    struct driver_blob state_before, state_after;
    uint64_t deadline_ms;
    driver_read_cb on_read;
    driver_look_cb on_look; /* of a look: instead of on_read */
    driver_send_cb on_sent;
    void *context;
};

struct played_proposal {
    struct command command;
    propose_cb on_done;
    void *context;
    bool applied;
    enum core_error answer;
    uint64_t index;
};

struct scene {
    struct group group;
    uv_loop_t loop;
    struct clock clock;     /* shows group.now_ms and group.wall_ms */
    struct entropy entropy; /* a fixed series */
    uint64_t entropy_state;
    struct driver driver; /* of zones and of sets */
    struct proposer proposer;
    struct executor *executor;
    bool closed;
    uint64_t tick_proposed_ms;
    uint64_t lease_wait_ms;

    struct played_target targets[SCENE_TARGET_MAX];
    uint32_t target_count;
    struct played_request *requests[SCENE_REQUEST_MAX];
    uint32_t request_count;
    struct played_proposal *proposals[SCENE_PROPOSAL_MAX];
    uint32_t proposal_count;
    enum driver_sync changes[SCENE_CHANGE_MAX]; /* "C<place>" */
    uint32_t change_count;
    uint32_t reads, sends; /* ever asked for */
};

/* One service, adopted in the east, its zone saying so; the executor leads in the group's term. */
void scene_open(struct scene *scene);
/* The same for another spec; every service is adopted, every zone has its fence and its records. */
void scene_open_with(struct scene *scene, const struct spec *spec);
/* ... and nothing adopted, no fence anywhere. */
void scene_open_bare(struct scene *scene);
/* Answers what is open, closes what isn't closed, frees everything. */
void scene_close(struct scene *scene);

/* Service 0 gets a replica set, fenced when it was adopted, of which the nodes say this from now
 * on.
 */
struct played_target *scene_add_set(struct scene *scene, const struct mongo_facts *facts);

/* Another act of an admin on service 0, where it is active. */
void scene_act(struct scene *scene, enum execution_kind kind);
/* An operator's failover of service `s` to us-west-2 (the core's plan), accepted by core. */
void scene_move(struct scene *scene, uint32_t s);
void scene_pass_ms(struct scene *scene, uint64_t ms);
/* The executor looks once. */
void scene_turn(struct scene *scene);

/* The oldest open proposal; fails the test when there is none, or it is of another kind. */
struct played_proposal *scene_proposal(struct scene *scene, enum command_kind kind);
/* Applies it: the executor doesn't know yet. And tells it. */
void scene_apply(struct scene *scene, struct played_proposal *proposal);
void scene_tell(struct scene *scene, struct played_proposal *proposal, enum error_code error);
/* The proposal of this kind is applied (and must be taken), the executor told, and it looks again.
 */
void scene_commit(struct scene *scene, enum command_kind kind);

/* The oldest open request; fails the test when there is none, or it is the other one. */
struct played_request *scene_read(struct scene *scene);
struct played_request *scene_send(struct scene *scene);
/* It comes back with what is there now. Then the executor looks again. */
void scene_answer(struct scene *scene, struct played_request *request);
/* A look shows whether what it looks for is so. Then the executor looks again. */
void scene_show(struct scene *scene, struct played_request *request, bool holds);
void scene_fail_read(struct scene *scene, struct played_request *request, enum error_code code,
                     const char *words);
/* A change takes effect, if the target is as it expects. Can be done again, and late: give a copy.
 */
bool scene_land(struct scene *scene, const struct played_request *request);
void scene_reply(struct scene *scene, struct played_request *request, enum driver_reply reply,
                 const char *words);
/* Lands, and says so. */
void scene_accept(struct scene *scene, struct played_request *request);
void scene_set_sync(struct scene *scene, enum driver_sync sync); /* of all changes so far */

/* Commits, answers, accepts, lets time pass, until nothing is left to do; everything in sync. */
void scene_settle(struct scene *scene, uint32_t rounds);
bool scene_is_quiet(const struct scene *scene);

/* The records of its zone say another address. */
void scene_set_address(struct played_target *target, const char *address);
const struct step *scene_step(const struct scene *scene, uint32_t s, uint32_t step);
struct played_target *scene_target(struct scene *scene, const char *service, const char *zone);

#endif
