/* Several services at once, and the end while something is under way. */
#include "executor_test.h"

static void open_two(struct scene *scene) {
    struct spec *spec = spec_example();
    (void)spec_add_service(spec, "reports");
    scene_open_with(scene, spec);
    free(spec);
}

static void test_two_services_at_once(void **state) {
    static struct scene scene;
    (void)state;
    open_two(&scene);
    scene_move(&scene, 0);
    scene_move(&scene, 1);
    scene_turn(&scene);
    assert_int_equal(scene.proposal_count, 2);
    assert_int_equal(scene.proposals[0]->command.step.service, 0);
    assert_int_equal(scene.proposals[1]->command.step.service, 1);
    /* The second goes through while the first one's entry is still under way. */
    struct played_proposal *second = scene.proposals[1];
    scene_apply(&scene, second);
    scene_tell(&scene, second, ERROR_OK);
    scene_turn(&scene);
    assert_string_equal(scene_read(&scene)->target->service, "reports");
    scene_answer(&scene, scene_read(&scene));
    assert_int_equal(scene.group.state->services[0].active, EAST);
    assert_int_equal(scene.group.state->services[1].active, WEST);
    scene_settle(&scene, 30);
    for (uint32_t s = 0; s < 2; s++) {
        assert_int_equal(scene.group.state->services[s].execution.result, RESULT_DONE);
    }
    assert_string_equal(scene_target(&scene, "reports", "Z1")->fence, "prod/reports/5.2/1");
    assert_string_equal(scene_target(&scene, "nocturnal", "Z1")->fence, MOVED_FENCE);
    scene_close(&scene);
}

static void test_troubles_are_each_ones_own(void **state) {
    static struct scene scene;
    (void)state;
    open_two(&scene);
    scene_target(&scene, "nocturnal", "Z1")->dead = true;
    scene_move(&scene, 0);
    scene_move(&scene, 1);
    scene_settle(&scene, 30);
    assert_int_equal(scene.group.state->services[1].execution.result, RESULT_DONE);
    assert_int_equal(scene_step(&scene, 0, DNS)->phase, STEP_WAITING);
    assert_string_equal(executor_trouble(scene.executor, "nocturnal", DNS), "nobody answers");
    assert_string_equal(executor_trouble(scene.executor, "reports", DNS), "");
    assert_string_equal(executor_trouble(scene.executor, "nobody", DNS), "");
    scene_close(&scene);
}

/* Every service has every zone, and three of four can't be reached: the others don't wait for
 * them. */
static void test_the_dead_dont_take_the_living_ones_place(void **state) {
    static struct scene scene;
    struct spec *spec = spec_example();
    (void)state;
    struct spec_service *first = &spec->services[0];
    for (uint32_t z = 1; z < ZONE_MAX; z++) {
        (void)snprintf(first->zones[z].id, sizeof first->zones[z].id, "Z%u", z + 1);
        first->records[z] = first->records[0];
        first->records[z].zone = z;
    }
    first->zone_count = ZONE_MAX;
    first->record_count = ZONE_MAX;
    char name[NAME_SIZE];
    for (uint32_t s = 1; s < SERVICE_MAX; s++) {
        (void)snprintf(name, sizeof name, "s%u", s);
        (void)spec_add_service(spec, name);
    }
    for (uint32_t s = 0; s < SERVICE_MAX; s++) {
        for (uint32_t z = 0; z < ZONE_MAX; z++) {
            (void)snprintf(spec->services[s].zones[z].fence_name, DNS_NAME_SIZE,
                           "_noctua-%s-%u.nocturnal.com", spec->services[s].name, z);
        }
    }
    scene_open_with(&scene, spec);
    free(spec);
    const uint32_t living = SERVICE_MAX / 4 * 3; /* the last ones */
    for (uint32_t s = 0; s < SERVICE_MAX; s++) {
        for (uint32_t z = 0; s < living && z < ZONE_MAX; z++) {
            scene.targets[s * ZONE_MAX + z].dead = true;
        }
        scene_move(&scene, s);
    }
    for (uint32_t round = 0; round < 400; round++) {
        scene_settle(&scene, 1);
    }
    for (uint32_t s = 0; s < SERVICE_MAX; s++) {
        const struct execution *execution = &scene.group.state->services[s].execution;
        assert_int_equal(scene.group.state->services[s].active, WEST);
        if (s >= living && execution->result != RESULT_DONE) {
            fail_msg("%s is not through", scene.group.state->services[s].name);
        }
    }
    scene_close(&scene);
}

/* --- closing --- */

static void on_closed(void *context) {
    ((struct scene *)context)->closed = true;
}

static void run_loop(struct scene *scene) {
    for (int i = 0; i < 5; i++) {
        (void)uv_run(&scene->loop, UV_RUN_NOWAIT);
    }
}

static void start_closing(struct scene *scene) {
    executor_close(scene->executor, on_closed, scene);
    run_loop(scene);
}

static void test_close_when_idle(void **state) {
    struct scene *scene = *state;
    start_closing(scene);
    assert_true(scene->closed);
}

static void test_close_waits_for_a_read(void **state) {
    struct scene *scene = *state;
    begin_move(scene);
    struct played_request *read = scene_read(scene);
    start_closing(scene);
    assert_false(scene->closed);
    executor_poke(scene->executor); /* starts nothing more */
    executor_lead(scene->executor, true, scene->group.term);
    run_loop(scene);
    assert_false(scene->closed);
    struct error error = {ERROR_CANCELLED, "closed"};
    void *context = read->context;
    driver_read_cb on_read = read->on_read;
    scene->request_count = 0;
    free(read);
    on_read(context, &error, NULL);
    run_loop(scene);
    assert_true(scene->closed);
    assert_true(scene_is_quiet(scene));
}

static void test_close_waits_for_a_send(void **state) {
    struct scene *scene = *state;
    struct played_request *sent = bring_to_sent(scene);
    start_closing(scene);
    assert_false(scene->closed);
    struct driver_sent reply = {.reply = DRIVER_REPLY_ACCEPTED, .change_id = "C0"};
    void *context = sent->context;
    driver_send_cb on_sent = sent->on_sent;
    scene->request_count = 0;
    free(sent);
    on_sent(context, &reply);
    run_loop(scene);
    assert_true(scene->closed);
    assert_true(scene_is_quiet(scene)); /* no ACCEPTED any more: the next leader reads */
}

/* An ATTEMPT that is applied after the close began is not sent. */
static void test_close_waits_for_a_proposal_and_sends_nothing(void **state) {
    struct scene *scene = *state;
    bring_to_intended(scene);
    struct played_proposal *attempt = scene_proposal(scene, COMMAND_ATTEMPT);
    start_closing(scene);
    assert_false(scene->closed);
    scene_apply(scene, attempt);
    assert_int_equal(attempt->answer, CORE_OK);
    scene_tell(scene, attempt, ERROR_OK);
    run_loop(scene);
    assert_true(scene->closed);
    assert_int_equal(scene->sends, 0);
}

static void test_without_leadership_nothing_is_done(void **state) {
    struct scene *scene = *state;
    executor_lead(scene->executor, false, scene->group.term);
    scene_move(scene, 0);
    for (int i = 0; i < 5; i++) {
        scene_pass_ms(scene, 1000);
        scene_turn(scene);
    }
    assert_true(scene_is_quiet(scene));
    executor_lead(scene->executor, true, scene->group.term);
    scene_turn(scene);
    (void)scene_proposal(scene, COMMAND_SWITCH);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_services_at_once),
        cmocka_unit_test(test_troubles_are_each_ones_own),
        cmocka_unit_test(test_the_dead_dont_take_the_living_ones_place),
        PLAYED(test_close_when_idle),
        PLAYED(test_close_waits_for_a_read),
        PLAYED(test_close_waits_for_a_send),
        PLAYED(test_close_waits_for_a_proposal_and_sends_nothing),
        PLAYED(test_without_leadership_nothing_is_done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
