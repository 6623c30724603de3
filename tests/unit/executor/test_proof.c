/* What became of a request: nothing but reading says it. Lost replies, late requests, changes that
 * are forgotten or foreign, burns, and debts. */
#include "executor_test.h"

static void expect_outcome(struct scene *scene, enum step_phase outcome) {
    assert_int_equal(scene_proposal(scene, COMMAND_OUTCOME)->command.step.outcome, outcome);
    scene_commit(scene, COMMAND_OUTCOME);
    assert_int_equal(scene_step(scene, 0, DNS)->phase, outcome);
}

/* The reply is lost, and a look is due. */
static struct played_request *lose_reply(struct scene *scene, bool landed) {
    struct played_request *sent = bring_to_sent(scene);
    if (landed) {
        assert_true(scene_land(scene, sent));
    }
    scene_reply(scene, sent, DRIVER_REPLY_UNKNOWN, "time-out");
    pass_back_off(scene);
    return scene_read(scene);
}

static void test_lost_reply_touch_accepted_done(void **state) {
    struct scene *scene = *state;
    struct played_request *read = lose_reply(scene, true);
    assert_string_equal(read->change_id, "");
    scene_answer(scene, read);
    /* Nothing proves it durable: the fence is written again as it is, for a change to ask about. */
    struct played_request *touch = scene_send(scene);
    assert_string_equal(touch->fence_before, MOVED_FENCE);
    assert_string_equal(touch->fence_after, MOVED_FENCE);
    assert_false(touch->has_state);
    scene_accept(scene, touch);
    assert_string_equal(scene_proposal(scene, COMMAND_ACCEPTED)->command.step.change_id, "C1");
    scene_commit(scene, COMMAND_ACCEPTED);
    assert_string_equal(executor_trouble(scene->executor, "nocturnal", DNS), "");
    assert_string_equal(scene_read(scene)->change_id, "C1");
    scene_set_sync(scene, DRIVER_SYNC_INSYNC);
    scene_answer(scene, scene_read(scene));
    expect_outcome(scene, STEP_DONE);
    assert_int_equal(group_execution(&scene->group)->result, RESULT_DONE);
}

/* Attempt 2 is refused because attempt 1 arrives late: one effect, and done. */
static void test_a_late_request_lands_instead(void **state) {
    struct scene *scene = *state;
    struct played_request late = *bring_to_sent(scene);
    scene_reply(scene, scene_send(scene), DRIVER_REPLY_UNKNOWN, "time-out");
    pass_back_off(scene);
    scene_answer(scene, scene_read(scene));
    scene_commit(scene, COMMAND_ATTEMPT);
    assert_true(scene_land(scene, &late));
    assert_false(scene_land(scene, scene_send(scene)));
    scene_reply(scene, scene_send(scene), DRIVER_REPLY_REFUSED, "not as expected");
    pass_back_off(scene);
    scene_answer(scene, scene_read(scene));
    scene_accept(scene, scene_send(scene)); /* the touch */
    scene_settle(scene, 10);
    assert_int_equal(scene_step(scene, 0, DNS)->phase, STEP_DONE);
    assert_int_equal(scene_step(scene, 0, DNS)->attempts, 2);
    assert_int_equal(the_target(scene)->landed, 2); /* the one, and the touch */
    assert_false(scene_land(scene, &late));
}

static void test_an_accepted_change_is_forgotten(void **state) {
    struct scene *scene = *state;
    struct played_request *sent = bring_to_sent(scene);
    struct played_target before = *the_target(scene);
    scene_accept(scene, sent);
    scene_commit(scene, COMMAND_ACCEPTED);
    *the_target(scene) = before;
    scene_set_sync(scene, DRIVER_SYNC_NO_SUCH_CHANGE);
    scene_answer(scene, scene_read(scene));
    assert_int_equal(scene_proposal(scene, COMMAND_ATTEMPT)->command.step.attempt, 2);
    scene_settle(scene, 20);
    assert_int_equal(scene_step(scene, 0, DNS)->phase, STEP_DONE);
    assert_string_equal(the_target(scene)->fence, MOVED_FENCE);
}

static void test_an_accepted_change_that_nobody_knows_is_touched(void **state) {
    struct scene *scene = *state;
    scene_accept(scene, bring_to_sent(scene));
    scene_commit(scene, COMMAND_ACCEPTED);
    scene_set_sync(scene, DRIVER_SYNC_NO_SUCH_CHANGE);
    scene_answer(scene, scene_read(scene));
    scene_accept(scene, scene_send(scene));
    assert_string_equal(scene_proposal(scene, COMMAND_ACCEPTED)->command.step.change_id, "C1");
    scene_settle(scene, 10);
    assert_int_equal(scene_step(scene, 0, DNS)->phase, STEP_DONE);
}

/* ... as far as the burn, which goes from what is there, and touches no record. */
static struct played_request *bring_to_burn(struct scene *scene) {
    struct played_request *read = lose_reply(scene, false);
    scene_set_address(the_target(scene), "192.0.2.77");
    scene_answer(scene, read);
    scene_commit(scene, COMMAND_CLOSING);
    scene_answer(scene, scene_read(scene));
    struct played_request *burn = scene_send(scene);
    assert_string_equal(burn->fence_before, ADOPTED_FENCE);
    assert_string_equal(burn->fence_after, BURNT_FENCE);
    assert_false(burn->has_state);
    return burn;
}

static void test_a_foreign_change_is_closed_burnt_refused(void **state) {
    struct scene *scene = *state;
    struct played_request late = *bring_to_sent(scene);
    scene_reply(scene, scene_send(scene), DRIVER_REPLY_UNKNOWN, "time-out");
    scene_set_address(the_target(scene), "192.0.2.77");
    pass_back_off(scene);
    scene_answer(scene, scene_read(scene));
    assert_non_null(
        strstr(scene_proposal(scene, COMMAND_CLOSING)->command.step.detail, "somebody else"));
    scene_commit(scene, COMMAND_CLOSING);
    scene_answer(scene, scene_read(scene));
    scene_accept(scene, scene_send(scene));
    assert_true(scene_is_quiet(scene)); /* the burn's reply proves nothing yet */
    pass_wait(scene);
    assert_string_equal(scene_read(scene)->change_id, "C0");
    scene_answer(scene, scene_read(scene)); /* PENDING */
    pass_wait(scene);
    scene_set_sync(scene, DRIVER_SYNC_INSYNC);
    scene_answer(scene, scene_read(scene));
    expect_outcome(scene, STEP_REFUSED);
    assert_int_equal(group_execution(&scene->group)->result, RESULT_HALF_MOVED);
    assert_false(scene_land(scene, &late));
    /* Also if somebody undoes the foreign change: the fence has gone on. */
    scene_set_address(the_target(scene), "192.0.2.1");
    assert_false(scene_land(scene, &late));
}

static void test_a_burn_whose_reply_is_lost(void **state) {
    struct scene *scene = *state;
    struct played_request *burn = bring_to_burn(scene);
    assert_true(scene_land(scene, burn));
    scene_reply(scene, burn, DRIVER_REPLY_UNKNOWN, "");
    pass_back_off(scene);
    scene_answer(scene, scene_read(scene));
    struct played_request *touch = scene_send(scene);
    assert_string_equal(touch->fence_before, BURNT_FENCE);
    assert_string_equal(touch->fence_after, BURNT_FENCE);
    scene_accept(scene, touch);
    pass_wait(scene);
    assert_string_equal(scene_read(scene)->change_id, "C1");
    scene_set_sync(scene, DRIVER_SYNC_INSYNC);
    scene_answer(scene, scene_read(scene));
    expect_outcome(scene, STEP_REFUSED);
}

static void test_a_burn_that_is_forgotten_is_sent_again(void **state) {
    struct scene *scene = *state;
    struct played_request *burn = bring_to_burn(scene);
    struct played_target before = *the_target(scene);
    scene_accept(scene, burn);
    *the_target(scene) = before;
    scene_set_sync(scene, DRIVER_SYNC_NO_SUCH_CHANGE);
    pass_wait(scene);
    scene_answer(scene, scene_read(scene));
    assert_string_equal(scene_send(scene)->fence_after, BURNT_FENCE);
    scene_settle(scene, 10);
    assert_int_equal(scene_step(scene, 0, DNS)->phase, STEP_REFUSED);
}

/* The attempt wins the race against its burn: done, not refused. */
static void test_the_late_request_beats_the_burn(void **state) {
    struct scene *scene = *state;
    struct played_request late = *bring_to_sent(scene);
    scene_reply(scene, scene_send(scene), DRIVER_REPLY_UNKNOWN, "time-out");
    scene_set_address(the_target(scene), "192.0.2.77");
    pass_back_off(scene);
    scene_answer(scene, scene_read(scene));
    scene_commit(scene, COMMAND_CLOSING);
    scene_answer(scene, scene_read(scene));
    scene_set_address(the_target(scene), "192.0.2.1"); /* the foreign change is undone */
    assert_true(scene_land(scene, &late));
    assert_false(scene_land(scene, scene_send(scene)));
    scene_reply(scene, scene_send(scene), DRIVER_REPLY_REFUSED, "not as expected");
    pass_back_off(scene);
    scene_answer(scene, scene_read(scene));
    assert_string_equal(scene_send(scene)->fence_after, MOVED_FENCE);
    scene_accept(scene, scene_send(scene));
    pass_wait(scene);
    scene_set_sync(scene, DRIVER_SYNC_INSYNC);
    scene_answer(scene, scene_read(scene));
    expect_outcome(scene, STEP_DONE);
}

static void test_the_fence_is_gone(void **state) {
    struct scene *scene = *state;
    struct played_request *read = lose_reply(scene, false);
    the_target(scene)->fence_present = false;
    scene_answer(scene, read);
    expect_outcome(scene, STEP_UNKNOWN);
    assert_int_equal(scene->sends, 1);
    assert_false(scene->group.state->halted);
}

static void test_a_later_incarnations_fence_stops_automation(void **state) {
    struct scene *scene = *state;
    struct played_request *read = lose_reply(scene, false);
    (void)TEXT_COPY(the_target(scene)->fence, "prod/nocturnal/6.1/0");
    scene_answer(scene, read);
    expect_outcome(scene, STEP_UNKNOWN);
    assert_true(scene->group.state->halted);
    assert_string_equal(the_target(scene)->fence, "prod/nocturnal/6.1/0");
}

/* What can't be read says nothing, however clear the error is. */
static void test_a_failing_read_decides_nothing(void **state) {
    struct scene *scene = *state;
    struct played_request *read = lose_reply(scene, true);
    static const enum error_code codes[] = {ERROR_NOT_FOUND, ERROR_CONFLICT, ERROR_DENIED,
                                            ERROR_UNAVAILABLE, ERROR_TIMEOUT};
    for (size_t i = 0; i < ARRAY_LENGTH(codes); i++) {
        scene_fail_read(scene, read, codes[i], "can't read it");
        assert_true(scene_is_quiet(scene));
        assert_int_equal(scene_step(scene, 0, DNS)->phase, STEP_ATTEMPTED);
        pass_back_off(scene);
        read = scene_read(scene);
    }
    scene_settle(scene, 20);
    assert_int_equal(scene_step(scene, 0, DNS)->phase, STEP_DONE);
}

/* A new leader knows nothing but the log: it reads, and comes to the same end. */
static void test_a_new_leader_goes_on(void **state) {
    static const enum command_kind kinds[] = {COMMAND_SWITCH, COMMAND_INTENT, COMMAND_ATTEMPT,
                                              COMMAND_ACCEPTED, COMMAND_OUTCOME};
    (void)state;
    struct played_proposal *unheard = NULL;
    for (size_t last = 0; last < ARRAY_LENGTH(kinds); last++) {
        static struct scene scene;
        scene_open(&scene);
        scene_move(&scene, 0);
        for (size_t i = 0; i <= last; i++) {
            while (scene.proposal_count == 0) {
                scene_turn(&scene);
                if (scene.request_count == 0) {
                    scene_pass_ms(&scene, 250);
                } else if (scene.requests[0]->is_send) {
                    scene_accept(&scene, scene_send(&scene));
                    scene_set_sync(&scene, DRIVER_SYNC_INSYNC);
                } else {
                    scene_answer(&scene, scene_read(&scene));
                }
            }
            /* Applied, but the old leader is gone before it hears of the last one. */
            struct played_proposal *proposal = scene_proposal(&scene, kinds[i]);
            scene_apply(&scene, proposal);
            assert_int_equal(proposal->answer, CORE_OK);
            if (i < last) {
                scene_tell(&scene, proposal, ERROR_OK);
            }
            unheard = proposal;
        }
        assert_int_equal(group_leader(&scene.group, 3), CORE_OK);
        executor_lead(scene.executor, false, scene.group.term - 1);
        executor_lead(scene.executor, true, scene.group.term);
        scene_tell(&scene, unheard, ERROR_UNKNOWN);
        scene_settle(&scene, 40);
        assert_int_equal(group_execution(&scene.group)->result, RESULT_DONE);
        assert_string_equal(the_target(&scene)->fence, MOVED_FENCE);
        scene_close(&scene);
    }
}

/* A burn by the leader before is there, and the attempt's own change is in sync: that proves
 * nothing of the burn. */
static void test_another_leaders_burn_must_be_proved(void **state) {
    struct scene *scene = *state;
    struct played_request *sent = bring_to_sent(scene);
    struct played_target before = *the_target(scene);
    scene_accept(scene, sent);
    scene_commit(scene, COMMAND_ACCEPTED);
    *the_target(scene) = before;
    scene_set_address(the_target(scene), "192.0.2.77");
    scene_set_sync(scene, DRIVER_SYNC_INSYNC);
    scene_answer(scene, scene_read(scene));
    scene_commit(scene, COMMAND_CLOSING);
    scene_answer(scene, scene_read(scene));
    struct played_request *burn = scene_send(scene);
    assert_string_equal(burn->fence_after, BURNT_FENCE);
    assert_true(scene_land(scene, burn));
    assert_int_equal(group_leader(&scene->group, 3), CORE_OK);
    executor_lead(scene->executor, false, scene->group.term - 1);
    executor_lead(scene->executor, true, scene->group.term);
    scene_reply(scene, burn, DRIVER_REPLY_ACCEPTED, "");
    assert_string_equal(scene_read(scene)->change_id, "C0");
    scene_answer(scene, scene_read(scene));
    assert_string_equal(scene_send(scene)->fence_before, BURNT_FENCE); /* touched, not believed */
    assert_string_equal(scene_send(scene)->fence_after, BURNT_FENCE);
    scene_accept(scene, scene_send(scene));
    scene_set_sync(scene, DRIVER_SYNC_INSYNC);
    pass_wait(scene);
    scene_answer(scene, scene_read(scene));
    expect_outcome(scene, STEP_REFUSED);
}

/* --- debts --- */

/* A move back to the east, whose plan settles the debt first. */
static void move_back(struct scene *scene) {
    assert_int_equal(group_move(&scene->group, "us-east-1", EXECUTION_FAILOVER, 0), CORE_OK);
    assert_int_equal(scene_step(scene, 0, 0)->kind, STEP_SETTLE);
    scene_turn(scene);
}

static void bring_to_debt(struct scene *scene) {
    bring_to_sent(scene);
    scene_reply(scene, scene_send(scene), DRIVER_REPLY_UNKNOWN, "time-out");
    assert_int_equal(group_choice(&scene->group, COMMAND_RELEASE, "dns"), CORE_OK);
    assert_int_equal(group_execution(&scene->group)->result, RESULT_RELEASED);
    assert_int_equal(group_service(&scene->group)->debt_count, 1);
    scene_settle(scene, 2);
    assert_true(scene_is_quiet(scene));
}

static void test_a_debt_is_burnt_before_the_next_move(void **state) {
    struct scene *scene = *state;
    bring_to_debt(scene);
    move_back(scene);
    scene_answer(scene, scene_read(scene));
    scene_commit(scene, COMMAND_CLOSING);
    scene_answer(scene, scene_read(scene));
    struct played_request *burn = scene_send(scene);
    assert_string_equal(burn->fence_before, ADOPTED_FENCE);
    assert_string_equal(burn->fence_after, BURNT_FENCE);
    assert_int_equal(group_service(&scene->group)->active, WEST); /* not before it is settled */
    scene_accept(scene, burn);
    pass_wait(scene);
    scene_set_sync(scene, DRIVER_SYNC_INSYNC);
    scene_answer(scene, scene_read(scene));
    assert_int_equal(scene_proposal(scene, COMMAND_OUTCOME)->command.step.outcome, STEP_DONE);
    scene_commit(scene, COMMAND_OUTCOME);
    assert_int_equal(group_service(&scene->group)->debt_count, 0);
    scene_settle(scene, 30);
    assert_int_equal(group_execution(&scene->group)->result, RESULT_DONE);
    assert_string_equal(the_target(scene)->fence, "prod/nocturnal/5.3/2");
}

/* The released request arrives after all, before the burn: that settles it as well. */
static void test_a_debt_that_lands_is_settled(void **state) {
    struct scene *scene = *state;
    struct played_request late = *bring_to_sent(scene);
    scene_reply(scene, scene_send(scene), DRIVER_REPLY_UNKNOWN, "time-out");
    assert_int_equal(group_choice(&scene->group, COMMAND_RELEASE, "dns"), CORE_OK);
    move_back(scene);
    scene_answer(scene, scene_read(scene));
    scene_commit(scene, COMMAND_CLOSING);
    assert_true(scene_land(scene, &late));
    scene_settle(scene, 40);
    assert_int_equal(group_service(&scene->group)->debt_count, 0);
    assert_int_equal(group_execution(&scene->group)->result, RESULT_DONE);
    assert_string_equal(the_target(scene)->fence, "prod/nocturnal/5.3/2");
    assert_false(scene_land(scene, &late));
}

static void test_a_debt_waits_for_a_dead_provider(void **state) {
    struct scene *scene = *state;
    bring_to_debt(scene);
    move_back(scene);
    the_target(scene)->dead = true;
    scene_settle(scene, 20);
    assert_int_equal(scene_step(scene, 0, 0)->phase, STEP_WAITING);
    assert_string_equal(executor_trouble(scene->executor, "nocturnal", 0), "nobody answers");
    the_target(scene)->dead = false;
    scene_settle(scene, 80);
    assert_int_equal(group_execution(&scene->group)->result, RESULT_DONE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        PLAYED(test_lost_reply_touch_accepted_done),
        PLAYED(test_a_late_request_lands_instead),
        PLAYED(test_an_accepted_change_is_forgotten),
        PLAYED(test_an_accepted_change_that_nobody_knows_is_touched),
        PLAYED(test_a_foreign_change_is_closed_burnt_refused),
        PLAYED(test_a_burn_whose_reply_is_lost),
        PLAYED(test_a_burn_that_is_forgotten_is_sent_again),
        PLAYED(test_the_late_request_beats_the_burn),
        PLAYED(test_the_fence_is_gone),
        PLAYED(test_a_later_incarnations_fence_stops_automation),
        PLAYED(test_a_failing_read_decides_nothing),
        cmocka_unit_test(test_a_new_leader_goes_on),
        PLAYED(test_another_leaders_burn_must_be_proved),
        PLAYED(test_a_debt_is_burnt_before_the_next_move),
        PLAYED(test_a_debt_that_lands_is_settled),
        PLAYED(test_a_debt_waits_for_a_dead_provider),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
