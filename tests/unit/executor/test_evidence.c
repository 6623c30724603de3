/* What the executor takes for a proof, and how the leader behaves when its word isn't taken: the
 * real executor and leader over a core state, with a target and a log that are played here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "executor/executor.h"
#include "executor/leader.h"
#include "group.h"

#define WAIT_MS 10000
#define PROPOSE_MAX 100 /* nothing here needs as many */

enum reply { REPLY_APPLY, REPLY_REFUSE, REPLY_NOT_LEADER };

struct scene {
    struct driver driver; /* first: the driver's functions are given its address */
    struct group group;
    uv_loop_t loop;
    uv_timer_t answer;
    bool closed;

    /* the one call under way */
    driver_read_cb on_read;
    driver_send_cb on_sent;
    propose_cb on_done;
    void *context;
    char asked[DRIVER_CHANGE_ID_MAX];
    struct command proposed;

    /* the target */
    char fence[DRIVER_FENCE_MAX];
    const char *insync; /* the change that is in sync; all others are pending */

    enum reply reply;
    uint32_t send_count, propose_count;
    char fence_before[DRIVER_FENCE_MAX], fence_after[DRIVER_FENCE_MAX]; /* of the last send */
};

static void answer_proposal(struct scene *scene, propose_cb on_done, void *context) {
    if (scene->reply == REPLY_NOT_LEADER) {
        on_done(context, ERROR_NOT_LEADER, CORE_OK, 0);
        return;
    }
    enum core_error answer = CORE_CHANGED;
    scene->group.index++;
    if (scene->reply == REPLY_APPLY) {
        answer = state_apply(scene->group.state, scene->group.index, &scene->proposed);
    } else {
        scene->group.state->applied_index = scene->group.index;
    }
    on_done(context, ERROR_OK, answer, scene->group.index);
}

static void on_answer(uv_timer_t *timer) {
    struct scene *scene = timer->data;
    driver_read_cb on_read = scene->on_read;
    driver_send_cb on_sent = scene->on_sent;
    propose_cb on_done = scene->on_done;
    scene->on_read = NULL;
    scene->on_sent = NULL;
    scene->on_done = NULL;
    if (on_read != NULL) {
        struct driver_reading reading = {.sync = DRIVER_SYNC_NOT_ASKED, .fence_present = true};
        if (scene->asked[0] != '\0') {
            reading.sync =
                text_equal(scene->asked, scene->insync) ? DRIVER_SYNC_INSYNC : DRIVER_SYNC_PENDING;
        }
        (void)TEXT_COPY(reading.fence, scene->fence);
        on_read(scene->context, NULL, &reading);
    } else if (on_sent != NULL) {
        struct driver_sent sent = {.reply = DRIVER_REPLY_ACCEPTED, .change_id = "C2"};
        (void)TEXT_COPY(scene->fence, scene->fence_after);
        on_sent(scene->context, &sent);
    } else {
        assert_non_null(on_done);
        answer_proposal(scene, on_done, scene->context);
    }
}

static void later(struct scene *scene, void *context) {
    assert_false(uv_is_active((uv_handle_t *)&scene->answer)); /* one call at a time here */
    scene->context = context;
    (void)uv_timer_start(&scene->answer, on_answer, 0, 0);
}

static void play_read(struct driver *driver, const struct driver_target *target,
                      const char *change_id, driver_read_cb on_read, void *context) {
    struct scene *scene = (struct scene *)driver;
    (void)target;
    later(scene, context);
    scene->on_read = on_read;
    (void)TEXT_COPY(scene->asked, change_id);
}

static void play_send(struct driver *driver, const struct driver_target *target,
                      const struct driver_change *change, driver_send_cb on_sent, void *context) {
    struct scene *scene = (struct scene *)driver;
    (void)target;
    later(scene, context);
    scene->on_sent = on_sent;
    scene->send_count++;
    assert_string_equal(change->fence_before, scene->fence);
    (void)TEXT_COPY(scene->fence_before, change->fence_before);
    (void)TEXT_COPY(scene->fence_after, change->fence_after);
}

static void play_propose(void *context, const struct command *command, propose_cb on_done,
                         void *done_context) {
    struct scene *scene = context;
    later(scene, done_context);
    scene->on_done = on_done;
    scene->proposed = *command;
    scene->propose_count++;
    assert_in_range(scene->propose_count, 1, PROPOSE_MAX);
}

static const struct state *play_state(void *context) {
    return ((struct scene *)context)->group.state;
}

static uint64_t no_tick(void *context) {
    (void)context;
    return 0;
}

static void on_closed(void *context) {
    ((struct scene *)context)->closed = true;
}

static void scene_open(struct scene *scene) {
    static const struct driver_ops ops = {.read = play_read, .send = play_send};
    memset(scene, 0, sizeof *scene);
    scene->driver.ops = &ops;
    scene->insync = "";
    group_open_adopted(&scene->group);
    assert_int_equal(uv_loop_init(&scene->loop), 0);
    (void)uv_timer_init(&scene->loop, &scene->answer);
    scene->answer.data = scene;
}

static void scene_close(struct scene *scene) {
    uv_close((uv_handle_t *)&scene->answer, NULL);
    (void)uv_run(&scene->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&scene->loop), 0);
    group_close(&scene->group);
}

static void run_until(struct scene *scene, bool (*condition)(const struct scene *scene)) {
    uint64_t end_ms = clock_boottime_ms(&clock_system) + WAIT_MS;
    while (!condition(scene)) {
        assert_true(clock_boottime_ms(&clock_system) < end_ms);
        (void)uv_run(&scene->loop, UV_RUN_ONCE);
    }
}

static bool has_closed(const struct scene *scene) {
    return scene->closed;
}

static bool has_ended(const struct scene *scene) {
    return group_execution(&scene->group)->phase == EXECUTION_ENDED;
}

static bool has_proposed_4(const struct scene *scene) {
    return scene->propose_count >= 4;
}

static struct executor *executor_of(struct scene *scene) {
    struct executor_options options = {
        .loop = &scene->loop,
        .clock = &clock_system,
        .entropy = &entropy_system,
        .driver = &scene->driver,
        .proposer = {play_propose, play_state, scene},
        .tick_proposed_ms = no_tick,
        .context = scene,
    };
    struct executor *executor = executor_create(&options);
    assert_non_null(executor);
    return executor;
}

/* A move whose DNS step was accepted as C1 and is being closed; what its target shows is the
 * caller's. */
static void open_closing_step(struct scene *scene, char eid[EID_SIZE]) {
    struct group *group = &scene->group;
    struct command_step fields = {.step = 0};
    assert_int_equal(group_move(group, "us-west-2", EXECUTION_SWITCHOVER, 0), CORE_OK);
    assert_int_equal(group_step(group, COMMAND_SWITCH, &fields), CORE_OK);
    for (int i = 0; i < 3; i++) {
        struct command *command = group_next_step(group, 0); /* INTENT, ATTEMPT, ACCEPTED */
        assert_int_equal(group_do(group, command), CORE_OK);
    }
    fields.step = 1;
    assert_int_equal(group_step(group, COMMAND_CLOSING, &fields), CORE_OK);
    assert_string_equal(group_execution(group)->steps[1].change_id, "C1");
    step_eid(group->state, 0, 1, eid);
}

static void resolve(struct scene *scene) {
    struct executor *executor = executor_of(scene);
    executor_lead(executor, true, scene->group.term);
    run_until(scene, has_ended);
    executor_lead(executor, false, 0);
    executor_close(executor, on_closed, scene);
    run_until(scene, has_closed);
}

/* Another leader burnt the fence, and its change may still be forgotten by the target: that the
 * attempt's change is in sync says nothing about that. So one more change, of our own, must be. */
static void test_burn_is_not_proved_by_the_attempt(void **state) {
    struct scene scene;
    char eid[EID_SIZE];
    (void)state;
    scene_open(&scene);
    open_closing_step(&scene, eid);
    fence_format_void(scene.fence, scene.group.state->cluster, eid);
    scene.insync = "C1";
    struct executor *executor = executor_of(&scene);
    executor_lead(executor, true, scene.group.term);
    while (scene.send_count == 0) {
        assert_int_equal(scene.propose_count, 0); /* no outcome before */
        (void)uv_run(&scene.loop, UV_RUN_ONCE);
    }
    assert_string_equal(scene.fence_before, scene.fence_after);
    scene.insync = "C2";
    run_until(&scene, has_ended);
    assert_int_equal(scene.send_count, 1);
    assert_int_equal(group_execution(&scene.group)->steps[1].phase, STEP_REFUSED);
    executor_close(executor, on_closed, &scene);
    run_until(&scene, has_closed);
    scene_close(&scene);
}

/* The attempt landed in front of the burn, and its own change is in sync: that is enough. */
static void test_attempt_proves_itself(void **state) {
    struct scene scene;
    char eid[EID_SIZE];
    (void)state;
    scene_open(&scene);
    open_closing_step(&scene, eid);
    fence_format(scene.fence, scene.group.state->cluster, eid);
    scene.insync = "C1";
    resolve(&scene);
    assert_int_equal(scene.send_count, 0);
    assert_int_equal(group_execution(&scene.group)->steps[1].phase, STEP_DONE);
    scene_close(&scene);
}

/* A later incarnation of the group owns the target: no intent can ever be taken, and this group
 * must not go on deciding. */
static void test_fence_of_a_later_incarnation(void **state) {
    struct scene scene;
    struct command_step fields = {.step = 0};
    (void)state;
    scene_open(&scene);
    assert_int_equal(group_move(&scene.group, "us-west-2", EXECUTION_SWITCHOVER, 0), CORE_OK);
    assert_int_equal(group_step(&scene.group, COMMAND_SWITCH, &fields), CORE_OK);
    (void)TEXT_COPY(scene.fence, "prod/nocturnal/999999.1/0");
    resolve(&scene);
    assert_int_equal(scene.send_count, 0);
    assert_int_equal(scene.propose_count, 1);
    const struct step *step = &group_execution(&scene.group)->steps[1];
    assert_int_equal(step->phase, STEP_REFUSED);
    assert_non_null(strstr(step->detail, "of a later epoch"));
    assert_true(scene.group.state->halted);
    scene_close(&scene);
}

/* The leader would say something; how it is taken is up to the scene. */
static void say_again(struct scene *scene, enum reply reply) {
    static const enum opinion_value down[REGION_MAX] = {OPINION_DOWN, OPINION_UP};
    struct leader_options options = {
        .loop = &scene->loop,
        .clock = &clock_system,
        .proposer = {play_propose, play_state, scene},
        .self_id = scene->group.state->nodes[1].id,
    };
    struct leader *leader = leader_create(&options);
    assert_non_null(leader);
    scene->reply = reply;
    leader_lead(leader, true, scene->group.term);
    group_report(&scene->group, 1, down);
    uint64_t begin_ms = clock_boottime_ms(&clock_system);
    leader_on_report(leader, scene->group.reports[0]);
    while (!has_proposed_4(scene)) {
        leader_poke(leader); /* as each applied entry does */
        (void)uv_run(&scene->loop, UV_RUN_ONCE);
    }
    /* Four times the same, with three pauses between. */
    assert_in_range(clock_boottime_ms(&clock_system) - begin_ms, 600, WAIT_MS);
    leader_close(leader, on_closed, scene);
    run_until(scene, has_closed);
}

static void test_refused_leader_pauses(void **state) {
    struct scene scene;
    (void)state;
    scene_open(&scene);
    say_again(&scene, REPLY_REFUSE);
    scene_close(&scene);
}

static void test_leader_that_is_not_heard_pauses(void **state) {
    struct scene scene;
    (void)state;
    scene_open(&scene);
    say_again(&scene, REPLY_NOT_LEADER);
    scene_close(&scene);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_burn_is_not_proved_by_the_attempt),
        cmocka_unit_test(test_attempt_proves_itself),
        cmocka_unit_test(test_fence_of_a_later_incarnation),
        cmocka_unit_test(test_refused_leader_pauses),
        cmocka_unit_test(test_leader_that_is_not_heard_pauses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
