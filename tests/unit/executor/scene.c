#include "scene.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "records.h"

static uint64_t boottime_ms(void *context) {
    return ((struct scene *)context)->group.now_ms;
}

static uint64_t wall_ms(void *context) {
    return ((struct scene *)context)->group.wall_ms;
}

/* xorshift64: the same series in every run. */
static void fill(void *context, void *bytes, size_t size_bytes) {
    struct scene *scene = context;
    uint8_t *at = bytes;
    for (size_t i = 0; i < size_bytes; i++) {
        scene->entropy_state ^= scene->entropy_state << 13;
        scene->entropy_state ^= scene->entropy_state >> 7;
        scene->entropy_state ^= scene->entropy_state << 17;
        at[i] = (uint8_t)scene->entropy_state;
    }
}

static uint64_t tick_proposed_ms(void *context) {
    return ((struct scene *)context)->tick_proposed_ms;
}

static uint64_t lease_wait_ms(void *context, uint32_t service) {
    (void)service;
    return ((struct scene *)context)->lease_wait_ms;
}

/* --- the log --- */

static void propose(void *context, const struct command *command, propose_cb on_done,
                    void *done_context) {
    struct scene *scene = context;
    struct played_proposal *proposal = calloc(1, sizeof *proposal);
    assert_non_null(proposal);
    assert_true(scene->proposal_count < SCENE_PROPOSAL_MAX);
    proposal->command = *command;
    proposal->on_done = on_done;
    proposal->context = done_context;
    scene->proposals[scene->proposal_count++] = proposal;
}

static const struct state *state_of(void *context) {
    return ((struct scene *)context)->group.state;
}

struct played_proposal *scene_proposal(struct scene *scene, enum command_kind kind) {
    if (scene->proposal_count == 0) {
        fail_msg("no proposal, wanted %s", command_kind_text(kind));
    }
    struct played_proposal *proposal = scene->proposals[0];
    if (proposal->command.kind != kind) {
        fail_msg("proposed %s, wanted %s", command_kind_text(proposal->command.kind),
                 command_kind_text(kind));
    }
    return proposal;
}

void scene_apply(struct scene *scene, struct played_proposal *proposal) {
    struct group *group = &scene->group;
    assert_false(proposal->applied);
    proposal->applied = true;
    proposal->index = ++group->index;
    proposal->answer = state_apply(group->state, proposal->index, &proposal->command);
    assert_null(state_broken_invariant(group->state));
    for (uint32_t s = 0; s < group->state->spec.service_count; s++) {
        uint64_t suspect_index = group->state->services[s].suspect.index;
        if (group->suspect_seen_index[s] != suspect_index) {
            group->suspect_seen_ms[s] = group->now_ms;
            group->suspect_seen_index[s] = suspect_index;
        }
    }
}

void scene_tell(struct scene *scene, struct played_proposal *proposal, enum error_code error) {
    uint32_t place = 0;
    while (scene->proposals[place] != proposal) {
        place++;
        assert_true(place < scene->proposal_count);
    }
    scene->proposal_count--;
    memmove(&scene->proposals[place], &scene->proposals[place + 1],
            (scene->proposal_count - place) * sizeof scene->proposals[0]);
    proposal->on_done(proposal->context, error, proposal->answer, proposal->index);
    free(proposal);
}

void scene_commit(struct scene *scene, enum command_kind kind) {
    struct played_proposal *proposal = scene_proposal(scene, kind);
    scene_apply(scene, proposal);
    if (proposal->answer != CORE_OK) {
        fail_msg("%s: %s", command_kind_text(kind), core_error_name(proposal->answer));
    }
    scene_tell(scene, proposal, ERROR_OK);
    scene_turn(scene);
}

/* --- the driver --- */

static struct played_request *ask(struct driver *driver, const struct driver_target *target,
                                  void *context) {
    struct scene *scene = (struct scene *)((char *)driver - offsetof(struct scene, driver));
    struct played_request *request = calloc(1, sizeof *request);
    assert_non_null(request);
    assert_true(scene->request_count < SCENE_REQUEST_MAX);
    scene->requests[scene->request_count++] = request;
    request->target = scene_target(scene, target->service, target->zone);
    request->context = context;
    return request;
}

static void driver_reads(struct driver *driver, const struct driver_target *target,
                         const char *change_id, driver_read_cb on_read, void *context) {
    struct scene *scene = (struct scene *)((char *)driver - offsetof(struct scene, driver));
    struct played_request *request = ask(driver, target, context);
    (void)TEXT_COPY(request->change_id, change_id);
    request->on_read = on_read;
    scene->reads++;
}

static void driver_sends(struct driver *driver, const struct driver_target *target,
                         const struct driver_change *change, driver_send_cb on_sent,
                         void *context) {
    struct scene *scene = (struct scene *)((char *)driver - offsetof(struct scene, driver));
    struct played_request *request = ask(driver, target, context);
    request->is_send = true;
    request->expects_fence = change->fence_before != NULL;
    (void)TEXT_COPY(request->fence_before,
                    change->fence_before == NULL ? "" : change->fence_before);
    request->leaves_fence = change->fence_after != NULL;
    (void)TEXT_COPY(request->fence_after, change->fence_after == NULL ? "" : change->fence_after);
    (void)TEXT_COPY(request->comment, change->comment);
    assert_int_equal(change->state_before == NULL, change->state_after == NULL);
    request->has_state = change->state_before != NULL && change->state_after != NULL;
    if (request->has_state) {
        request->state_before = *change->state_before;
        request->state_after = *change->state_after;
    }
    request->deadline_ms = change->deadline_boottime_ms;
    request->on_sent = on_sent;
    scene->sends++;
}

static void driver_looks(struct driver *driver, const struct driver_target *target,
                         enum driver_aim aim, const char *eid, driver_look_cb on_look,
                         void *context) {
    struct scene *scene = (struct scene *)((char *)driver - offsetof(struct scene, driver));
    (void)aim;
    (void)eid;
    ask(driver, target, context)->on_look = on_look;
    scene->reads++;
}

static void driver_acts(struct driver *driver, const struct driver_target *target,
                        enum driver_aim aim, const char *eid, uint64_t deadline_boottime_ms,
                        driver_send_cb on_sent, void *context) {
    struct scene *scene = (struct scene *)((char *)driver - offsetof(struct scene, driver));
    struct played_request *request = ask(driver, target, context);
    (void)aim;
    request->is_send = true;
    (void)TEXT_COPY(request->comment, eid);
    request->deadline_ms = deadline_boottime_ms;
    request->on_sent = on_sent;
    scene->sends++;
}

static const struct driver_ops played_ops = {
    .read = driver_reads, .send = driver_sends, .look = driver_looks, .act = driver_acts};

static struct played_request *oldest(struct scene *scene, bool is_send) {
    if (scene->request_count == 0) {
        fail_msg("nothing is asked of the driver");
    }
    struct played_request *request = scene->requests[0];
    if (request->is_send != is_send) {
        fail_msg("a %s is asked of the driver", request->is_send ? "send" : "read");
    }
    return request;
}

struct played_request *scene_read(struct scene *scene) {
    return oldest(scene, false);
}

struct played_request *scene_send(struct scene *scene) {
    return oldest(scene, true);
}

static void take_out(struct scene *scene, const struct played_request *request) {
    uint32_t place = 0;
    while (scene->requests[place] != request) {
        place++;
        assert_true(place < scene->request_count);
    }
    scene->request_count--;
    memmove(&scene->requests[place], &scene->requests[place + 1],
            (scene->request_count - place) * sizeof scene->requests[0]);
}

static enum driver_sync sync_of(const struct scene *scene, const char *change_id) {
    uint64_t place;
    if (change_id[0] == '\0') {
        return DRIVER_SYNC_NOT_ASKED;
    }
    bool known = change_id[0] == 'C' && scene->change_count > 0 &&
                 text_to_u64(change_id + 1, 0, scene->change_count - 1, &place);
    return known ? scene->changes[place] : DRIVER_SYNC_NO_SUCH_CHANGE;
}

void scene_answer(struct scene *scene, struct played_request *request) {
    struct driver_reading *reading = calloc(1, sizeof *reading);
    assert_non_null(reading);
    take_out(scene, request);
    reading->sync = sync_of(scene, request->change_id);
    reading->fence_present = request->target->fence_present;
    memcpy(reading->fence, request->target->fence, sizeof reading->fence);
    reading->state = request->target->state;
    request->on_read(request->context, NULL, reading);
    free(reading);
    free(request);
    scene_turn(scene);
}

void scene_show(struct scene *scene, struct played_request *request, bool holds) {
    struct driver_seen seen = {.holds = holds};
    take_out(scene, request);
    request->on_look(request->context, NULL, &seen);
    free(request);
    scene_turn(scene);
}

static void answer_error(const struct played_request *request, const struct error *error) {
    if (request->on_look != NULL) {
        request->on_look(request->context, error, NULL);
    } else {
        request->on_read(request->context, error, NULL);
    }
}

void scene_fail_read(struct scene *scene, struct played_request *request, enum error_code code,
                     const char *words) {
    struct error error;
    (void)error_set(&error, code, "%s", words);
    take_out(scene, request);
    answer_error(request, &error);
    free(request);
    scene_turn(scene);
}

static bool blobs_equal(const struct driver_blob *a, const struct driver_blob *b) {
    return a->size_bytes == b->size_bytes && memcmp(a->bytes, b->bytes, a->size_bytes) == 0;
}

bool scene_land(struct scene *scene, const struct played_request *request) {
    struct played_target *target = request->target;
    assert_true(request->is_send);
    bool as_expected =
        target->fence_present == request->expects_fence &&
        (!target->fence_present || text_equal(target->fence, request->fence_before)) &&
        (!request->has_state || blobs_equal(&target->state, &request->state_before));
    if (!as_expected) {
        return false;
    }
    target->fence_present = request->leaves_fence;
    memcpy(target->fence, request->fence_after, sizeof target->fence);
    if (request->has_state) {
        target->state = request->state_after;
    }
    target->landed++;
    assert_true(scene->change_count < SCENE_CHANGE_MAX);
    scene->changes[scene->change_count++] = DRIVER_SYNC_PENDING;
    return true;
}

void scene_reply(struct scene *scene, struct played_request *request, enum driver_reply reply,
                 const char *words) {
    struct driver_sent sent = {.reply = reply};
    take_out(scene, request);
    (void)TEXT_COPY(sent.message, words);
    if (reply == DRIVER_REPLY_ACCEPTED) {
        assert_true(scene->change_count > 0);
        (void)snprintf(sent.change_id, sizeof sent.change_id, "C%u", scene->change_count - 1);
    }
    request->on_sent(request->context, &sent);
    free(request);
    scene_turn(scene);
}

void scene_accept(struct scene *scene, struct played_request *request) {
    assert_true(scene_land(scene, request));
    scene_reply(scene, request, DRIVER_REPLY_ACCEPTED, "");
}

void scene_set_sync(struct scene *scene, enum driver_sync sync) {
    for (uint32_t i = 0; i < scene->change_count; i++) {
        scene->changes[i] = sync;
    }
}

/* --- time and turns --- */

void scene_pass_ms(struct scene *scene, uint64_t ms) {
    scene->group.now_ms += ms;
    scene->group.wall_ms += ms;
}

void scene_turn(struct scene *scene) {
    if (!scene->closed) {
        executor_poke(scene->executor);
    }
    (void)uv_run(&scene->loop, UV_RUN_NOWAIT);
}

bool scene_is_quiet(const struct scene *scene) {
    return scene->request_count == 0 && scene->proposal_count == 0;
}

static void answer_everything(struct scene *scene) {
    while (scene->proposal_count > 0) {
        struct played_proposal *proposal = scene->proposals[0];
        scene_apply(scene, proposal);
        scene_tell(scene, proposal, ERROR_OK);
    }
    while (scene->request_count > 0) {
        struct played_request *request = scene->requests[0];
        if (request->target->dead && request->is_send) {
            scene_reply(scene, request, DRIVER_REPLY_UNKNOWN, "nobody answers");
        } else if (request->target->dead) {
            scene_fail_read(scene, request, ERROR_TIMEOUT, "nobody answers");
        } else if (request->on_look != NULL) {
            scene_show(scene, request, true);
        } else if (!request->is_send) {
            scene_answer(scene, request);
        } else if (scene_land(scene, request)) {
            scene_reply(scene, request, DRIVER_REPLY_ACCEPTED, "");
        } else {
            scene_reply(scene, request, DRIVER_REPLY_REFUSED, "not as expected");
        }
        scene_set_sync(scene, DRIVER_SYNC_INSYNC);
    }
}

void scene_settle(struct scene *scene, uint32_t rounds) {
    for (uint32_t i = 0; i < rounds; i++) {
        scene_turn(scene);
        answer_everything(scene);
        scene_pass_ms(scene, 250);
    }
}

/* --- opening and closing --- */

struct played_target *scene_target(struct scene *scene, const char *service, const char *zone) {
    for (uint32_t i = 0; i < scene->target_count; i++) {
        if (text_equal(scene->targets[i].service, service) &&
            text_equal(scene->targets[i].zone, zone)) {
            return &scene->targets[i];
        }
    }
    fail_msg("no zone %s of %s", zone, service);
    return NULL;
}

void scene_set_address(struct played_target *target, const char *address) {
    char set[512];
    (void)snprintf(set, sizeof set,
                   SET(NAME_TYPE("nocturnal.com.", "A") "<TTL>60</TTL>" VALUES(VALUE("%s"))),
                   address);
    records_make_state(set, &target->state);
}

static void add_fence(const struct state *state, uint32_t s, uint32_t step,
                      struct played_target *target) {
    char eid[EID_SIZE];
    eid_format(eid, state->services[s].name, state->incarnation, 1, step);
    fence_format(target->fence, state->cluster, eid);
    target->fence_present = true;
}

struct played_target *scene_add_set(struct scene *scene, const struct mongo_facts *facts) {
    const struct state *state = scene->group.state;
    struct played_target *target = &scene->targets[scene->target_count++];
    group_add_set(&scene->group);
    group_tell(&scene->group, facts);
    memcpy(target->service, state->services[0].name, sizeof target->service);
    add_fence(state, 0, 0, target);
    return target;
}

/* Its records say that the east serves; its fence that this group adopted it. */
static void add_targets(struct scene *scene, bool adopted) {
    const struct state *state = scene->group.state;
    for (uint32_t s = 0; s < state->spec.service_count; s++) {
        const struct spec_service *spec = &state->spec.services[s];
        for (uint32_t z = 0; z < spec->zone_count; z++) {
            struct played_target *target = &scene->targets[scene->target_count++];
            memcpy(target->service, spec->name, sizeof target->service);
            memcpy(target->zone, spec->zones[z].id, sizeof target->zone);
            scene_set_address(target, "192.0.2.1");
            if (adopted) {
                add_fence(state, s, z, target);
            }
        }
    }
}

static void open_executor(struct scene *scene, bool adopted) {
    add_targets(scene, adopted);
    assert_int_equal(uv_loop_init(&scene->loop), 0);
    scene->clock = (struct clock){boottime_ms, wall_ms, scene};
    scene->entropy = (struct entropy){fill, scene};
    scene->entropy_state = 88172645463325252;
    scene->driver.ops = &played_ops;
    scene->proposer = (struct proposer){propose, state_of, scene};
    scene->executor = executor_create(&(struct executor_options){
        .loop = &scene->loop,
        .clock = &scene->clock,
        .entropy = &scene->entropy,
        .driver = &scene->driver,
        .set_driver = &scene->driver,
        .proposer = scene->proposer,
        .tick_proposed_ms = tick_proposed_ms,
        .lease_wait_ms = lease_wait_ms,
        .context = scene,
    });
    assert_non_null(scene->executor);
    executor_lead(scene->executor, true, scene->group.term);
}

void scene_open(struct scene *scene) {
    memset(scene, 0, sizeof *scene);
    group_open_adopted(&scene->group);
    open_executor(scene, true);
}

void scene_open_with(struct scene *scene, const struct spec *spec) {
    memset(scene, 0, sizeof *scene);
    group_open_with(&scene->group, spec,
                    (const char *const[]){"us-east-1", "us-west-2", "eu-west-1", NULL});
    group_adopt_all(&scene->group);
    open_executor(scene, true);
}

void scene_open_bare(struct scene *scene) {
    memset(scene, 0, sizeof *scene);
    group_open(&scene->group);
    open_executor(scene, false);
}

static void on_closed(void *context) {
    ((struct scene *)context)->closed = true;
}

void scene_close(struct scene *scene) {
    if (scene->executor != NULL && !scene->closed) {
        executor_close(scene->executor, on_closed, scene);
    }
    while (scene->proposal_count > 0) {
        scene_tell(scene, scene->proposals[0], ERROR_NOT_LEADER);
    }
    while (scene->request_count > 0) {
        struct played_request *request = scene->requests[0];
        take_out(scene, request);
        if (request->is_send) {
            struct driver_sent sent = {.reply = DRIVER_REPLY_UNKNOWN};
            request->on_sent(request->context, &sent);
        } else {
            struct error error = {ERROR_CANCELLED, "closed"};
            answer_error(request, &error);
        }
        free(request);
    }
    (void)uv_run(&scene->loop, UV_RUN_DEFAULT);
    assert_true(scene->closed);
    assert_int_equal(uv_loop_close(&scene->loop), 0);
    group_close(&scene->group);
}

void scene_move(struct scene *scene, uint32_t s) {
    struct command *command = group_new(COMMAND_MOVE);
    struct command_move *move = &command->move;
    const struct state *state = scene->group.state;
    memcpy(move->service, state->services[s].name, sizeof move->service);
    (void)TEXT_COPY(move->to, "us-west-2");
    move->kind = EXECUTION_FAILOVER;
    move->spec_index = state->spec_index;
    move->epoch = state->services[s].epoch + 1;
    assert_int_equal(policy_plan(state, s, move->kind, WEST, 0, NULL, &move->plan), CORE_OK);
    assert_int_equal(group_do(&scene->group, command), CORE_OK);
}

void scene_act(struct scene *scene, enum execution_kind kind) {
    const struct state *state = scene->group.state;
    const char *active = state->spec.regions[state->services[0].active].name;
    assert_int_equal(group_move(&scene->group, active, kind, 0), CORE_OK);
}

const struct step *scene_step(const struct scene *scene, uint32_t s, uint32_t step) {
    return &scene->group.state->services[s].execution.steps[step];
}
