/* When a request may be sent, and when not; what each kind of reply leads to; how troubles back
 * off.
 */
#include "executor_test.h"

/* The ATTEMPT is applied, and the executor not told yet. */
static struct played_proposal *applied_attempt(struct scene *scene) {
    bring_to_intended(scene);
    struct played_proposal *attempt = scene_proposal(scene, COMMAND_ATTEMPT);
    scene_apply(scene, attempt);
    assert_int_equal(attempt->answer, CORE_OK);
    return attempt;
}

static void tell(struct scene *scene, struct played_proposal *proposal, enum error_code error) {
    scene_tell(scene, proposal, error);
    scene_turn(scene);
}

static void test_sent_once_for_each_attempt(void **state) {
    struct scene *scene = *state;
    tell(scene, applied_attempt(scene), ERROR_OK);
    (void)scene_send(scene);
    for (int i = 0; i < 10; i++) {
        scene_pass_ms(scene, 10000);
        scene_turn(scene);
    }
    assert_int_equal(scene->sends, 1);
    assert_int_equal(scene->request_count, 1);
    assert_int_equal(scene->proposal_count, 0);
}

static void test_at_the_deadline_it_is_sent(void **state) {
    struct scene *scene = *state;
    struct played_proposal *attempt = applied_attempt(scene);
    scene_pass_ms(scene, 5000);
    tell(scene, attempt, ERROR_OK);
    assert_true(scene_send(scene)->deadline_ms == scene->group.now_ms);
}

static void test_after_the_deadline_it_reads_instead(void **state) {
    struct scene *scene = *state;
    struct played_proposal *attempt = applied_attempt(scene);
    scene_pass_ms(scene, 5001);
    tell(scene, attempt, ERROR_OK);
    (void)scene_read(scene);
    assert_int_equal(scene->sends, 0);
    scene_answer(scene, scene_read(scene));
    assert_int_equal(scene_proposal(scene, COMMAND_ATTEMPT)->command.step.attempt, 2);
}

static void test_not_sent_when_leadership_went(void **state) {
    struct scene *scene = *state;
    struct played_proposal *attempt = applied_attempt(scene);
    executor_lead(scene->executor, false, scene->group.term);
    tell(scene, attempt, ERROR_OK);
    scene_pass_ms(scene, 60000);
    scene_turn(scene);
    assert_true(scene_is_quiet(scene));
    assert_int_equal(scene->sends, 0);
    /* Whoever leads next reads first. */
    assert_int_equal(group_leader(&scene->group, 2), CORE_OK);
    executor_lead(scene->executor, true, scene->group.term);
    scene_turn(scene);
    (void)scene_read(scene);
}

static void test_not_sent_for_an_earlier_term(void **state) {
    struct scene *scene = *state;
    struct played_proposal *attempt = applied_attempt(scene);
    executor_lead(scene->executor, false, scene->group.term);
    assert_int_equal(group_leader(&scene->group, 2), CORE_OK);
    executor_lead(scene->executor, true, scene->group.term);
    scene_turn(scene);
    struct played_request *read = scene_read(scene);
    tell(scene, attempt, ERROR_OK);
    assert_int_equal(scene->sends, 0);
    assert_int_equal(scene->request_count, 1);
    scene_answer(scene, read);
    scene_commit(scene, COMMAND_ATTEMPT);
    assert_int_equal(scene->sends, 1);
    assert_true(scene_step(scene, 0, DNS)->attempt_term == scene->group.term);
}

/* An entry of a term that is over is refused by core, also if it was committed. */
static void test_not_sent_when_core_refuses(void **state) {
    struct scene *scene = *state;
    bring_to_intended(scene);
    struct played_proposal *attempt = scene_proposal(scene, COMMAND_ATTEMPT);
    assert_int_equal(group_leader(&scene->group, 2), CORE_OK);
    scene_apply(scene, attempt);
    assert_int_equal(attempt->answer, CORE_STALE_TERM);
    tell(scene, attempt, ERROR_OK);
    pass_back_off(scene);
    assert_int_equal(scene->sends, 0);
    (void)scene_proposal(scene, COMMAND_ATTEMPT); /* core refuses it again */
}

static void test_an_attempt_of_unknown_fate_is_read_for(void **state) {
    struct scene *scene = *state;
    tell(scene, applied_attempt(scene), ERROR_UNKNOWN);
    assert_true(scene_is_quiet(scene));
    pass_back_off(scene);
    (void)scene_read(scene);
    assert_int_equal(scene->sends, 0);
}

static void test_an_attempt_that_was_not_applied_is_proposed_again(void **state) {
    struct scene *scene = *state;
    bring_to_intended(scene);
    tell(scene, scene_proposal(scene, COMMAND_ATTEMPT), ERROR_UNKNOWN);
    pass_back_off(scene);
    assert_int_equal(scene_proposal(scene, COMMAND_ATTEMPT)->command.step.attempt, 1);
    assert_int_equal(scene->sends, 0);
}

/* A person's cancel was committed before a byte left: nothing leaves. */
static void test_not_sent_when_cancelled_meanwhile(void **state) {
    struct scene *scene = *state;
    struct played_proposal *attempt = applied_attempt(scene);
    assert_int_equal(group_choice(&scene->group, COMMAND_CANCEL, ""), CORE_OK);
    tell(scene, attempt, ERROR_OK);
    assert_int_equal(scene->sends, 0);
    scene_answer(scene, scene_read(scene));
    scene_settle(scene, 20);
    assert_int_equal(scene->sends, 1); /* the burn */
    assert_string_equal(the_target(scene)->fence, BURNT_FENCE);
    assert_int_equal(scene_step(scene, 0, DNS)->phase, STEP_REFUSED);
}

static void test_a_cancel_before_the_attempt_ends_it(void **state) {
    struct scene *scene = *state;
    bring_to_intended(scene);
    struct played_proposal *attempt = scene_proposal(scene, COMMAND_ATTEMPT);
    assert_int_equal(group_choice(&scene->group, COMMAND_CANCEL, ""), CORE_OK);
    scene_apply(scene, attempt);
    assert_int_equal(attempt->answer, CORE_NOT_OPEN);
    tell(scene, attempt, ERROR_OK);
    scene_settle(scene, 20);
    assert_int_equal(scene->sends, 0);
    assert_int_equal(group_execution(&scene->group)->phase, EXECUTION_ENDED);
}

static void test_not_sent_when_released_meanwhile(void **state) {
    struct scene *scene = *state;
    struct played_proposal *attempt = applied_attempt(scene);
    assert_int_equal(group_choice(&scene->group, COMMAND_RELEASE, "dns"), CORE_OK);
    tell(scene, attempt, ERROR_OK);
    scene_settle(scene, 20);
    assert_int_equal(scene->sends, 0);
    assert_int_equal(group_service(&scene->group)->debt_count, 1);
}

/* Not a yes: it decides nothing. After the back-off comes a read, whatever the words were. */
static void test_any_other_reply_is_read_for(void **state) {
    static const struct {
        enum driver_reply reply;
        bool landed;
    } rows[] = {
        {DRIVER_REPLY_REFUSED, false},  {DRIVER_REPLY_REFUSED, true},
        {DRIVER_REPLY_UNKNOWN, false},  {DRIVER_REPLY_UNKNOWN, true},
        {DRIVER_REPLY_NOT_SENT, false},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        static struct scene scene;
        scene_open(&scene);
        struct played_request *sent = bring_to_sent(&scene);
        if (rows[i].landed) {
            assert_true(scene_land(&scene, sent));
        }
        scene_reply(&scene, sent, rows[i].reply, "in the target's words");
        assert_true(scene_is_quiet(&scene));
        assert_string_equal(executor_trouble(scene.executor, "nocturnal", DNS),
                            "in the target's words");
        assert_int_equal(scene_step(&scene, 0, DNS)->phase, STEP_ATTEMPTED);
        scene_pass_ms(&scene, 49);
        scene_turn(&scene);
        assert_true(scene_is_quiet(&scene));
        scene_pass_ms(&scene, 51);
        scene_turn(&scene);
        scene_answer(&scene, scene_read(&scene));
        if (rows[i].landed) {
            assert_string_equal(scene_send(&scene)->fence_before, MOVED_FENCE);
        } else {
            assert_int_equal(scene_proposal(&scene, COMMAND_ATTEMPT)->command.step.attempt, 2);
        }
        scene_settle(&scene, 40);
        assert_int_equal(group_execution(&scene.group)->result, RESULT_DONE);
        assert_string_equal(the_target(&scene)->fence, MOVED_FENCE);
        scene_close(&scene);
    }
}

/* How long after a failed read the next one comes. */
static uint64_t measured_delay_ms(struct scene *scene) {
    uint64_t ms = 0;
    assert_true(scene_is_quiet(scene));
    while (scene->request_count == 0) {
        scene_pass_ms(scene, 1);
        scene_turn(scene);
        assert_true(++ms <= 8000);
    }
    return ms;
}

static void test_failing_reads_back_off(void **state) {
    struct scene *scene = *state;
    begin_move(scene);
    uint64_t bound_ms = 100;
    uint32_t at_the_bound = 0;
    for (int i = 0; i < 14; i++) {
        scene_fail_read(scene, scene_read(scene), ERROR_UNAVAILABLE, "503");
        uint64_t ms = measured_delay_ms(scene);
        assert_in_range(ms, bound_ms / 2, bound_ms);
        at_the_bound += ms == bound_ms || ms == bound_ms / 2;
        bound_ms = bound_ms * 2 < 8000 ? bound_ms * 2 : 8000;
    }
    assert_true(at_the_bound < 7); /* jitter */
    assert_string_equal(executor_trouble(scene->executor, "nocturnal", DNS), "503");
    assert_string_equal(executor_trouble(scene->executor, "nocturnal", SWITCH), "");
    /* What went well starts it afresh. */
    scene_answer(scene, scene_read(scene));
    scene_commit(scene, COMMAND_INTENT);
    scene_commit(scene, COMMAND_ATTEMPT);
    scene_reply(scene, scene_send(scene), DRIVER_REPLY_UNKNOWN, "");
    assert_in_range(measured_delay_ms(scene), 50, 100);
}

/* A target's words go into the log, which takes only UTF-8, cut or not. */
static void test_a_targets_words_are_made_clean(void **state) {
    struct scene *scene = *state;
    char words[256];
    char filling[246];
    memset(filling, 'x', sizeof filling);
    (void)snprintf(words, sizeof words, "\x1b[2J%.*s\xe2\x82\xac\xe2\x82", (int)sizeof filling,
                   filling);
    bring_to_sent(scene);
    scene_reply(scene, scene_send(scene), DRIVER_REPLY_REFUSED, words);
    const char *trouble = executor_trouble(scene->executor, "nocturnal", DNS);
    assert_int_equal(strlen(trouble), 255);
    assert_true(text_is_utf8(trouble, strlen(trouble)));
    /* Foreign change: the refusal's words end up in the outcome. */
    scene_set_address(the_target(scene), "192.0.2.77");
    scene_settle(scene, 3);
    for (int i = 0; i < 60 && scene_step(scene, 0, DNS)->phase != STEP_REFUSED; i++) {
        scene_settle(scene, 1);
    }
    const struct step *step = scene_step(scene, 0, DNS);
    assert_int_equal(step->phase, STEP_REFUSED);
    assert_true(text_is_utf8(step->detail, strlen(step->detail)));
    assert_true(step->detail[0] != '\0');
}

int main(void) {
    const struct CMUnitTest tests[] = {
        PLAYED(test_sent_once_for_each_attempt),
        PLAYED(test_at_the_deadline_it_is_sent),
        PLAYED(test_after_the_deadline_it_reads_instead),
        PLAYED(test_not_sent_when_leadership_went),
        PLAYED(test_not_sent_for_an_earlier_term),
        PLAYED(test_not_sent_when_core_refuses),
        PLAYED(test_an_attempt_of_unknown_fate_is_read_for),
        PLAYED(test_an_attempt_that_was_not_applied_is_proposed_again),
        PLAYED(test_not_sent_when_cancelled_meanwhile),
        PLAYED(test_a_cancel_before_the_attempt_ends_it),
        PLAYED(test_not_sent_when_released_meanwhile),
        cmocka_unit_test(test_any_other_reply_is_read_for),
        PLAYED(test_failing_reads_back_off),
        PLAYED(test_a_targets_words_are_made_clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
