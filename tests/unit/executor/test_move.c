/* A whole move, an adoption, and what keeps a step from starting, entry by entry. */
#include "executor_test.h"

static void test_a_move_step_by_step(void **state) {
    struct scene *scene = *state;
    scene_move(scene, 0);
    scene_turn(scene);
    const struct command_step *fields = &scene_proposal(scene, COMMAND_SWITCH)->command.step;
    assert_int_equal(fields->service, 0);
    assert_int_equal(fields->epoch, 2);
    assert_int_equal(fields->step, SWITCH);
    scene_turn(scene); /* under way: not proposed again */
    assert_int_equal(scene->proposal_count, 1);
    assert_int_equal(scene->request_count, 0);
    scene_commit(scene, COMMAND_SWITCH);
    assert_int_equal(group_service(&scene->group)->active, WEST);

    assert_string_equal(scene_read(scene)->change_id, "");
    scene_answer(scene, scene_read(scene));
    fields = &scene_proposal(scene, COMMAND_INTENT)->command.step;
    assert_int_equal(fields->step, DNS);
    assert_string_equal(fields->fence, ADOPTED_FENCE);
    const struct driver_blob *there = &the_target(scene)->state;
    assert_int_equal(fields->before.size_bytes, there->size_bytes);
    assert_memory_equal(fields->before.bytes, there->bytes, there->size_bytes);
    assert_non_null(strstr(fields->detail, "192.0.2.2"));
    assert_int_equal(scene->sends, 0);
    scene_commit(scene, COMMAND_INTENT);

    assert_int_equal(scene_proposal(scene, COMMAND_ATTEMPT)->command.step.attempt, 1);
    assert_int_equal(scene->sends, 0);
    uint64_t proposed_ms = scene->group.now_ms;
    scene_pass_ms(scene, 40);
    scene_commit(scene, COMMAND_ATTEMPT);

    const struct played_request *sent = scene_send(scene);
    assert_true(sent->expects_fence);
    assert_string_equal(sent->fence_before, ADOPTED_FENCE);
    assert_string_equal(sent->fence_after, MOVED_FENCE);
    assert_string_equal(sent->comment, "nocturnal/5.2/1");
    assert_true(sent->deadline_ms == proposed_ms + 5000);
    assert_int_equal(sent->state_before.size_bytes, there->size_bytes);
    assert_memory_equal(sent->state_before.bytes, there->bytes, there->size_bytes);
    scene_accept(scene, scene_send(scene));
    struct played_target west = {0};
    scene_set_address(&west, "192.0.2.2");
    assert_memory_equal(there->bytes, west.state.bytes, west.state.size_bytes);

    fields = &scene_proposal(scene, COMMAND_ACCEPTED)->command.step;
    assert_int_equal(fields->attempt, 1);
    assert_string_equal(fields->change_id, "C0");
    scene_commit(scene, COMMAND_ACCEPTED);
    assert_string_equal(scene_read(scene)->change_id, "C0");
    scene_answer(scene, scene_read(scene)); /* PENDING */
    assert_true(scene_is_quiet(scene));
    scene_pass_ms(scene, 249);
    scene_turn(scene);
    assert_true(scene_is_quiet(scene));
    scene_pass_ms(scene, 1);
    scene_turn(scene);
    scene_set_sync(scene, DRIVER_SYNC_INSYNC);
    scene_answer(scene, scene_read(scene));
    fields = &scene_proposal(scene, COMMAND_OUTCOME)->command.step;
    assert_int_equal(fields->outcome, STEP_DONE);
    assert_string_equal(fields->fence, MOVED_FENCE);
    scene_commit(scene, COMMAND_OUTCOME);
    assert_int_equal(group_execution(&scene->group)->result, RESULT_DONE);
    assert_int_equal(the_target(scene)->landed, 1);
    assert_int_equal(scene->sends, 1);
}

/* Nothing open: no timer runs, the loop ends by itself. */
static void test_without_work_nothing_runs(void **state) {
    struct scene *scene = *state;
    executor_poke(scene->executor);
    assert_int_equal(uv_run(&scene->loop, UV_RUN_DEFAULT), 0);
    assert_true(scene_is_quiet(scene));
    scene_move(scene, 0);
    scene_settle(scene, 40);
    assert_int_equal(group_execution(&scene->group)->result, RESULT_DONE);
    assert_int_equal(uv_run(&scene->loop, UV_RUN_DEFAULT), 0);
    assert_true(scene_is_quiet(scene));
}

/* While something is open it looks again by itself, also if nobody pokes it. */
static void test_it_looks_again_by_itself(void **state) {
    struct scene *scene = *state;
    bring_to_sent(scene);
    scene_reply(scene, scene_send(scene), DRIVER_REPLY_UNKNOWN, "");
    assert_true(scene_is_quiet(scene));
    scene_pass_ms(scene, 8000);
    while (scene->request_count == 0) {
        assert_int_not_equal(uv_run(&scene->loop, UV_RUN_ONCE), 0);
    }
    (void)scene_read(scene);
}

static void test_an_adoption(void **state) {
    static struct scene scene;
    (void)state;
    scene_open_bare(&scene);
    assert_int_equal(group_move(&scene.group, "us-east-1", EXECUTION_ADOPT, 0), CORE_OK);
    scene_turn(&scene);
    scene_answer(&scene, scene_read(&scene));
    const struct command_step *fields = &scene_proposal(&scene, COMMAND_INTENT)->command.step;
    assert_string_equal(fields->fence, "");
    assert_int_equal(fields->before.size_bytes, 0);
    scene_commit(&scene, COMMAND_INTENT);
    scene_commit(&scene, COMMAND_ATTEMPT);
    assert_false(scene_send(&scene)->expects_fence);
    assert_false(scene_send(&scene)->has_state);
    assert_string_equal(scene_send(&scene)->fence_after, ADOPTED_FENCE);
    scene_accept(&scene, scene_send(&scene));
    scene_settle(&scene, 20);
    assert_int_equal(group_execution(&scene.group)->result, RESULT_DONE);
    assert_true(group_service(&scene.group)->adopted);
    scene_close(&scene);
}

static void test_an_adoption_must_be_true(void **state) {
    static struct scene scene;
    (void)state;
    scene_open_bare(&scene);
    scene_set_address(&scene.targets[0], "192.0.2.2");
    assert_int_equal(group_move(&scene.group, "us-east-1", EXECUTION_ADOPT, 0), CORE_OK);
    scene_turn(&scene);
    scene_answer(&scene, scene_read(&scene));
    const struct command_step *fields = &scene_proposal(&scene, COMMAND_OUTCOME)->command.step;
    assert_int_equal(fields->outcome, STEP_REFUSED);
    assert_non_null(strstr(fields->detail, "doesn't point to us-east-1"));
    scene_commit(&scene, COMMAND_OUTCOME);
    assert_int_equal(group_execution(&scene.group)->result, RESULT_STOPPED);
    assert_false(group_service(&scene.group)->adopted);
    assert_int_equal(scene.sends, 0);
    scene_close(&scene);
}

static void test_a_release(void **state) {
    struct scene *scene = *state;
    struct driver_blob there = the_target(scene)->state;
    scene_act(scene, EXECUTION_RELEASE);
    scene_turn(scene);
    scene_answer(scene, scene_read(scene));
    const struct command_step *fields = &scene_proposal(scene, COMMAND_INTENT)->command.step;
    assert_string_equal(fields->fence, ADOPTED_FENCE);
    assert_int_equal(fields->before.size_bytes, 0);
    scene_commit(scene, COMMAND_INTENT);
    scene_commit(scene, COMMAND_ATTEMPT);
    assert_true(scene_send(scene)->expects_fence);
    assert_false(scene_send(scene)->leaves_fence || scene_send(scene)->has_state);
    /* The reply is lost: it is asked for, and found gone. */
    assert_true(scene_land(scene, scene_send(scene)));
    scene_reply(scene, scene_send(scene), DRIVER_REPLY_UNKNOWN, "");
    pass_back_off(scene);
    scene_answer(scene, scene_read(scene));
    fields = &scene_proposal(scene, COMMAND_OUTCOME)->command.step;
    assert_int_equal(fields->outcome, STEP_DONE);
    assert_string_equal(fields->fence, "");
    scene_settle(scene, 20);
    assert_int_equal(group_execution(&scene->group)->result, RESULT_DONE);
    assert_true(group_service(&scene->group)->released);
    assert_false(the_target(scene)->fence_present);
    assert_memory_equal(there.bytes, the_target(scene)->state.bytes, there.size_bytes);
    assert_int_equal(scene->sends, 1);
}

static void test_a_release_without_a_fence(void **state) {
    struct scene *scene = *state;
    the_target(scene)->fence_present = false;
    scene_act(scene, EXECUTION_RELEASE);
    scene_settle(scene, 20);
    assert_int_equal(group_execution(&scene->group)->result, RESULT_DONE);
    assert_true(group_service(&scene->group)->released);
    assert_int_equal(scene->sends, 0);
}

/* Between the intent and the look, somebody has put one there: it isn't ours to delete. */
static void test_a_release_that_finds_a_new_fence(void **state) {
    struct scene *scene = *state;
    the_target(scene)->fence_present = false;
    scene_act(scene, EXECUTION_RELEASE);
    scene_turn(scene);
    scene_answer(scene, scene_read(scene));
    the_target(scene)->fence_present = true;
    (void)TEXT_COPY(the_target(scene)->fence, "somebody's");
    scene_settle(scene, 20);
    assert_int_equal(group_execution(&scene->group)->result, RESULT_STOPPED);
    assert_false(group_service(&scene->group)->released);
    assert_int_equal(scene->sends, 0);
}

static void test_a_repair(void **state) {
    struct scene *scene = *state;
    struct driver_blob right = the_target(scene)->state;
    scene_set_address(the_target(scene), "198.51.100.7"); /* somebody's */
    scene_act(scene, EXECUTION_REPAIR);
    scene_turn(scene);
    scene_answer(scene, scene_read(scene));
    const struct command_step *fields = &scene_proposal(scene, COMMAND_INTENT)->command.step;
    assert_non_null(strstr(fields->detail, "198.51.100.7"));
    scene_settle(scene, 40);
    assert_int_equal(group_execution(&scene->group)->result, RESULT_DONE);
    assert_int_equal(group_service(&scene->group)->active, EAST);
    assert_memory_equal(right.bytes, the_target(scene)->state.bytes, right.size_bytes);
    assert_string_equal(the_target(scene)->fence, "prod/nocturnal/5.2/0");
    assert_int_equal(scene->sends, 1);
}

/* What is found when reading for the intent, and in which words the step is refused. */
static void refused_at_intent(struct scene *scene, const char *words) {
    const struct command_step *fields = &scene_proposal(scene, COMMAND_OUTCOME)->command.step;
    assert_int_equal(fields->outcome, STEP_REFUSED);
    if (strstr(fields->detail, words) == NULL) {
        fail_msg("'%s' doesn't say '%s'", fields->detail, words);
    }
    scene_commit(scene, COMMAND_OUTCOME);
    assert_int_equal(group_execution(&scene->group)->result, RESULT_HALF_MOVED);
    assert_int_equal(scene->sends, 0);
}

static void test_a_move_never_expects_no_fence(void **state) {
    struct scene *scene = *state;
    the_target(scene)->fence_present = false;
    begin_move(scene);
    scene_answer(scene, scene_read(scene));
    refused_at_intent(scene, "run noctuactl adopt nocturnal first");
}

static void test_another_groups_fence(void **state) {
    struct scene *scene = *state;
    (void)TEXT_COPY(the_target(scene)->fence, "staging/nocturnal/5.1/0");
    begin_move(scene);
    scene_answer(scene, scene_read(scene));
    refused_at_intent(scene, "another group's: staging/nocturnal/5.1/0");
}

static void test_a_group_whose_name_begins_alike(void **state) {
    struct scene *scene = *state;
    (void)TEXT_COPY(the_target(scene)->fence, "void(prod2/nocturnal/5.1/0)");
    begin_move(scene);
    scene_answer(scene, scene_read(scene));
    refused_at_intent(scene, "another group's");
}

static void test_a_record_that_is_not_there(void **state) {
    struct scene *scene = *state;
    begin_move(scene);
    scene_fail_read(scene, scene_read(scene), ERROR_NOT_FOUND, "record nocturnal.com A is missing");
    refused_at_intent(scene, "record nocturnal.com A is missing");
}

static void test_a_burnt_fence_of_ours_is_a_start(void **state) {
    struct scene *scene = *state;
    (void)TEXT_COPY(the_target(scene)->fence, "void(prod/nocturnal/5.1/0)");
    begin_move(scene);
    scene_settle(scene, 20);
    assert_int_equal(group_execution(&scene->group)->result, RESULT_DONE);
    assert_string_equal(the_target(scene)->fence, MOVED_FENCE);
}

/* The intent's age is by our own stopwatch since the TICK; without one it can't be young. */
static void test_the_age_of_the_evidence(void **state) {
    struct scene *scene = *state;
    scene_move(scene, 0);
    scene_turn(scene);
    assert_true(scene_proposal(scene, COMMAND_SWITCH)->command.step.begin_age_ms == TIME_MAX_MS);
    scene_tell(scene, scene->proposals[0], ERROR_UNKNOWN);
    scene->tick_proposed_ms = scene->group.now_ms;
    pass_back_off(scene);
    assert_true(scene_proposal(scene, COMMAND_SWITCH)->command.step.begin_age_ms == 8000);
    scene->tick_proposed_ms = scene->group.now_ms + 1; /* nonsense is not young either */
    scene_tell(scene, scene->proposals[0], ERROR_UNKNOWN);
    scene_pass_ms(scene, 0);
    scene->tick_proposed_ms = scene->group.now_ms + 100000;
    pass_back_off(scene);
    assert_true(scene_proposal(scene, COMMAND_SWITCH)->command.step.begin_age_ms == TIME_MAX_MS);
}

static void test_a_pause_acts_between_steps(void **state) {
    struct scene *scene = *state;
    begin_move(scene);
    struct played_request *read = scene_read(scene);
    assert_int_equal(group_override(&scene->group, OVERRIDE_PAUSE, "", 0), CORE_OK);
    scene_answer(scene, read);
    struct played_proposal *intent = scene_proposal(scene, COMMAND_INTENT);
    scene_apply(scene, intent);
    assert_int_equal(intent->answer, CORE_PAUSED);
    scene_tell(scene, intent, ERROR_OK);
    pass_back_off(scene);
    assert_true(scene_is_quiet(scene));
    assert_non_null(strstr(executor_trouble(scene->executor, "nocturnal", DNS), "pause"));
    struct command *resume = group_new(COMMAND_OVERRIDE_END);
    resume->override.kind = OVERRIDE_PAUSE;
    (void)TEXT_COPY(resume->override.service, "nocturnal");
    assert_int_equal(group_do(&scene->group, resume), CORE_OK);
    scene_settle(scene, 30);
    assert_int_equal(group_execution(&scene->group)->result, RESULT_DONE);
}

static void test_what_was_sent_goes_on_during_a_pause(void **state) {
    struct scene *scene = *state;
    struct played_request *sent = bring_to_sent(scene);
    assert_int_equal(group_override(&scene->group, OVERRIDE_PAUSE, "", 0), CORE_OK);
    scene_accept(scene, sent);
    scene_settle(scene, 20);
    assert_int_equal(group_execution(&scene->group)->result, RESULT_DONE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        PLAYED(test_a_move_step_by_step),
        PLAYED(test_without_work_nothing_runs),
        PLAYED(test_it_looks_again_by_itself),
        cmocka_unit_test(test_an_adoption),
        cmocka_unit_test(test_an_adoption_must_be_true),
        PLAYED(test_a_release),
        PLAYED(test_a_release_without_a_fence),
        PLAYED(test_a_release_that_finds_a_new_fence),
        PLAYED(test_a_repair),
        PLAYED(test_a_move_never_expects_no_fence),
        PLAYED(test_another_groups_fence),
        PLAYED(test_a_group_whose_name_begins_alike),
        PLAYED(test_a_record_that_is_not_there),
        PLAYED(test_a_burnt_fence_of_ours_is_a_start),
        PLAYED(test_the_age_of_the_evidence),
        PLAYED(test_a_pause_acts_between_steps),
        PLAYED(test_what_was_sent_goes_on_during_a_pause),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
