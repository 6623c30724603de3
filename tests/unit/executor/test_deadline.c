/* Until when a request may leave. In front of what goes to a replica set the driver looks at all
 * its members, and those that hang take their time-outs. That time is the look's own: the log may
 * have taken its five seconds before, and an attempt that may be made only once must not be spent
 * without having been sent. What goes to a zone has no look, and no time for one. */
#include "executor_test.h"

#define LOG_MS UINT64_C(5000)
/* Seeds, members, those that only the config names; two for a connection; one to spare. */
#define LOOK_TIMEOUTS UINT64_C(6)

static struct mongo_facts facts;

static uint32_t place_of(const struct scene *scene, enum step_kind kind) {
    const struct execution *execution = group_execution(&scene->group);
    for (uint32_t i = 0; i < execution->step_count; i++) {
        if (execution->steps[i].kind == kind) {
            return i;
        }
    }
    fail_msg("no step %s", step_kind_text(kind));
    return 0;
}

/* A failover of a service with a replica set (forced, where that is the step), as far as the intent
 * of that step; its target is as the intent says. */
static void open_intended(struct scene *scene, enum step_kind kind, uint32_t timeout_ms) {
    struct group *group = &scene->group;
    scene_open(scene);
    facts = mongo_example();
    if (kind == STEP_FORCE) {
        mongo_lose_majority(&facts);
        group->dead = LOST;
    }
    (void)scene_add_set(scene, &facts);
    group->state->spec.services[0].mongo.timeout_ms = timeout_ms;
    for (uint32_t i = 0; i < scene->target_count; i++) {
        scene->targets[i].state = (struct driver_blob){.size_bytes = 4, .bytes = "east"};
    }
    assert_int_equal(group_move(group, "us-west-2", EXECUTION_FAILOVER, 0), CORE_OK);
    const struct step *step = scene_step(scene, 0, place_of(scene, kind));
    while (step->phase == STEP_WAITING) {
        assert_int_equal(group_do(group, group_next_step(group, 0)), CORE_OK);
    }
    assert_int_equal(step->phase, STEP_INTENDED);
    scene_turn(scene);
    if (step_is_unfenced(kind)) {
        scene_show(scene, scene_read(scene), false);
    }
}

static void expect_deadline(const struct played_request *request, uint64_t deadline_ms) {
    if (request->deadline_ms != deadline_ms) {
        fail_msg("until %llu, not %llu", (unsigned long long)request->deadline_ms,
                 (unsigned long long)deadline_ms);
    }
}

/* The log takes so long for ATTEMPT. The deadline counts from its proposal. */
static void expect_attempt(struct scene *scene, uint64_t log_ms, uint64_t look_ms) {
    struct played_proposal *attempt = scene_proposal(scene, COMMAND_ATTEMPT);
    uint64_t deadline_ms = scene->group.now_ms + LOG_MS + look_ms;
    scene_apply(scene, attempt);
    assert_int_equal(attempt->answer, CORE_OK);
    scene_pass_ms(scene, log_ms);
    scene_tell(scene, attempt, ERROR_OK);
    expect_deadline(scene_send(scene), deadline_ms);
}

static const uint32_t timeouts_ms[] = {1000, 3000};
static const uint64_t logs_ms[] = {0, 1700, LOG_MS};

static void expect_attempts(enum step_kind kind, uint64_t look_timeouts) {
    static struct scene scene;
    for (size_t i = 0; i < ARRAY_LENGTH(timeouts_ms); i++) {
        for (size_t j = 0; j < ARRAY_LENGTH(logs_ms); j++) {
            open_intended(&scene, kind, timeouts_ms[i]);
            expect_attempt(&scene, logs_ms[j], look_timeouts * timeouts_ms[i]);
            scene_close(&scene);
        }
    }
}

static void test_a_forced_config_after_a_look(void **state) {
    (void)state;
    expect_attempts(STEP_FORCE, LOOK_TIMEOUTS);
}

static void test_a_config_after_a_look(void **state) {
    (void)state;
    expect_attempts(STEP_PREFER, LOOK_TIMEOUTS);
}

static void test_a_promotion_and_a_write_after_a_look(void **state) {
    (void)state;
    expect_attempts(STEP_PROMOTE, LOOK_TIMEOUTS);
    expect_attempts(STEP_WRITE, LOOK_TIMEOUTS);
}

/* The service has a set; what goes to its zone has nothing to do with that. */
static void test_records_without_one(void **state) {
    (void)state;
    expect_attempts(STEP_DNS, 0);
}

/* Too late to be sent: of a forced config that was the only attempt, so that it ends here, and
 * nobody waits for what never left. Any other is looked at first. */
static void test_an_attempt_that_took_too_long_to_commit(void **state) {
    static const enum step_kind kinds[] = {STEP_FORCE, STEP_PREFER};
    static struct scene scene;
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(kinds); i++) {
        open_intended(&scene, kinds[i], 1000);
        struct played_proposal *attempt = scene_proposal(&scene, COMMAND_ATTEMPT);
        scene_apply(&scene, attempt);
        scene_pass_ms(&scene, LOG_MS + 1);
        scene_tell(&scene, attempt, ERROR_OK);
        assert_int_equal(scene.sends, 0);
        if (kinds[i] == STEP_FORCE) {
            const struct command *outcome = &scene_proposal(&scene, COMMAND_OUTCOME)->command;
            assert_int_equal(outcome->step.outcome, STEP_UNKNOWN);
            assert_non_null(strstr(outcome->step.detail, "nothing was sent"));
            scene_commit(&scene, COMMAND_OUTCOME);
        } else {
            assert_int_equal(scene.proposal_count, 0);
        }
        scene_close(&scene);
    }
}

/* Cancelled when nobody knows what came of the attempt: what is sent next is a burn. Nothing was
 * proposed for it, so it counts from now. */
static void expect_burn(enum step_kind kind, uint64_t look_timeouts) {
    static struct scene scene;
    for (size_t i = 0; i < ARRAY_LENGTH(timeouts_ms); i++) {
        open_intended(&scene, kind, timeouts_ms[i]);
        scene_commit(&scene, COMMAND_ATTEMPT);
        scene_reply(&scene, scene_send(&scene), DRIVER_REPLY_UNKNOWN, "");
        assert_int_equal(group_choice(&scene.group, COMMAND_CANCEL, ""), CORE_OK);
        pass_back_off(&scene);
        scene_answer(&scene, scene_read(&scene));
        scene_commit(&scene, COMMAND_CLOSING);
        scene_answer(&scene, scene_read(&scene));
        const struct played_request *burn = scene_send(&scene);
        assert_true(text_starts_with(burn->fence_after, "void("));
        expect_deadline(burn, scene.group.now_ms + LOG_MS + look_timeouts * timeouts_ms[i]);
        scene_close(&scene);
    }
}

static void test_burns_alike(void **state) {
    (void)state;
    expect_burn(STEP_PREFER, LOOK_TIMEOUTS);
    expect_burn(STEP_DNS, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_forced_config_after_a_look),
        cmocka_unit_test(test_a_config_after_a_look),
        cmocka_unit_test(test_a_promotion_and_a_write_after_a_look),
        cmocka_unit_test(test_records_without_one),
        cmocka_unit_test(test_burns_alike),
        cmocka_unit_test(test_an_attempt_that_took_too_long_to_commit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
