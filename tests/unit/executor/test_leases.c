/* How long a leader waits for what it, or an earlier one, has granted. */
#include "executor/leases.h"

#include "executor_test.h"

#define LENGTH_MS UINT64_C(10000)
#define OUTLASTING_MS (LENGTH_MS + 101) /* 1 % and the rounding */

static struct leases book;
static struct lease_answer answer;

static void open_with_lease(struct group *group, uint32_t services) {
    struct spec *spec = spec_example();
    for (uint32_t i = 1; i < services; i++) {
        char name[NAME_SIZE];
        (void)snprintf(name, sizeof name, "s%u", i);
        (void)spec_add_service(spec, name);
    }
    for (uint32_t i = 0; i < services; i++) {
        spec->services[i].policy.lease_ms = LENGTH_MS;
    }
    static const char *const regions[] = {"us-east-1", "us-west-2", "eu-west-1", NULL};
    group_open_with(group, spec, regions);
    group_adopt_all(group);
    free(spec);
    leases_lead(&book, true, 1000);
}

static void test_after_an_election_the_longest(void **state) {
    struct group group;
    (void)state;
    open_with_lease(&group, 1);
    assert_int_equal(leases_wait_ms(&book, group.state, 0, 1000), OUTLASTING_MS);
    assert_int_equal(leases_wait_ms(&book, group.state, 0, 1000 + OUTLASTING_MS - 1), 1);
    assert_int_equal(leases_wait_ms(&book, group.state, 0, 1000 + OUTLASTING_MS), 0);
    /* By the spec that was, when it was longer. */
    group.state->services[0].longest_lease_ms = 2 * LENGTH_MS;
    assert_int_equal(leases_wait_ms(&book, group.state, 0, 1000), 2 * LENGTH_MS + 201);
    group_close(&group);
}

static void test_its_own_last_grant(void **state) {
    struct group group;
    (void)state;
    open_with_lease(&group, 1);
    leases_grant(&book, group.state, UINT64_MAX, 50000, &answer);
    assert_int_equal(answer.grant_count, 1);
    assert_string_equal(answer.grants[0].service, "nocturnal");
    assert_string_equal(answer.grants[0].region, "us-east-1");
    assert_int_equal(answer.grants[0].epoch, 1);
    assert_int_equal(answer.grants[0].length_ms, LENGTH_MS);
    assert_int_equal(leases_wait_ms(&book, group.state, 0, 50000), OUTLASTING_MS);
    leases_grant(&book, group.state, UINT64_MAX, 55000, &answer);
    assert_int_equal(leases_wait_ms(&book, group.state, 0, 55000), OUTLASTING_MS);
    /* A shorter one takes nothing back. */
    group.state->spec.services[0].policy.lease_ms = 1000;
    leases_grant(&book, group.state, UINT64_MAX, 56000, &answer);
    assert_int_equal(answer.grants[0].length_ms, 1000);
    assert_int_equal(leases_wait_ms(&book, group.state, 0, 55000), OUTLASTING_MS);
    group_close(&group);
}

static void test_none_while_it_moves(void **state) {
    struct group group;
    (void)state;
    open_with_lease(&group, 2);
    assert_int_equal(group_move(&group, "us-west-2", EXECUTION_FAILOVER, 0), CORE_OK);
    leases_grant(&book, group.state, UINT64_MAX, 50000, &answer);
    assert_int_equal(answer.grant_count, 1);
    assert_string_equal(answer.grants[0].service, "s1");
    assert_int_equal(leases_wait_ms(&book, group.state, 0, 50000), 0);
    group_close(&group);
}

/* What nobody polls isn't granted, and so isn't waited for. */
static void test_only_what_is_asked_for(void **state) {
    struct group group;
    (void)state;
    open_with_lease(&group, 3);
    leases_grant(&book, group.state, 2, 50000, &answer);
    assert_int_equal(answer.grant_count, 1);
    assert_string_equal(answer.grants[0].service, "s1");
    assert_int_equal(leases_wait_ms(&book, group.state, 0, 50000), 0);
    assert_int_equal(leases_wait_ms(&book, group.state, 1, 50000), OUTLASTING_MS);
    group_close(&group);
}

static void test_none_by_who_does_not_lead(void **state) {
    struct group group;
    (void)state;
    open_with_lease(&group, 1);
    leases_lead(&book, false, 0);
    leases_grant(&book, group.state, UINT64_MAX, 50000, &answer);
    assert_int_equal(answer.grant_count, 0);
    assert_true(leases_wait_ms(&book, group.state, 0, 1000000) == UINT64_MAX);
    group_close(&group);
}

static void test_as_many_as_services(void **state) {
    struct group group;
    (void)state;
    open_with_lease(&group, SERVICE_MAX);
    leases_grant(&book, group.state, UINT64_MAX, 50000, &answer);
    assert_int_equal(answer.grant_count, SERVICE_MAX);
    for (uint32_t s = 0; s < SERVICE_MAX; s++) {
        assert_int_equal(leases_wait_ms(&book, group.state, s, 50000), OUTLASTING_MS);
    }
    /* Another service in a place that a forgotten one had. */
    (void)TEXT_COPY(group.state->services[7].name, "other");
    (void)TEXT_COPY(group.state->spec.services[7].name, "other");
    leases_grant(&book, group.state, UINT64_MAX, 60000, &answer);
    assert_int_equal(leases_wait_ms(&book, group.state, 7, 60000), OUTLASTING_MS);
    group_close(&group);
}

/* The step waits by the leader's stopwatch, says so, and is then done without anything sent. */
static void test_the_step(void **state) {
    static struct scene scene;
    struct spec *spec = spec_example();
    (void)state;
    spec->services[0].policy.lease_ms = LENGTH_MS;
    scene_open_with(&scene, spec);
    free(spec);
    uint32_t before = scene.sends;
    scene.lease_wait_ms = 4200;
    scene_move(&scene, 0);
    scene_turn(&scene);
    scene_commit(&scene, COMMAND_INTENT);
    assert_true(scene_is_quiet(&scene));
    assert_string_equal(executor_trouble(scene.executor, "nocturnal", 0),
                        "us-east-1 may hold its lease for another 5s");
    pass_back_off(&scene);
    assert_true(scene_is_quiet(&scene));
    scene.lease_wait_ms = 0;
    pass_back_off(&scene);
    scene_commit(&scene, COMMAND_OUTCOME);
    assert_int_equal(scene_step(&scene, 0, 0)->phase, STEP_DONE);
    assert_int_equal(scene.sends, before);
    scene_settle(&scene, 30);
    assert_int_equal(group_execution(&scene.group)->result, RESULT_DONE);
    scene_close(&scene);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_after_an_election_the_longest),
        cmocka_unit_test(test_its_own_last_grant),
        cmocka_unit_test(test_none_while_it_moves),
        cmocka_unit_test(test_only_what_is_asked_for),
        cmocka_unit_test(test_none_by_who_does_not_lead),
        cmocka_unit_test(test_as_many_as_services),
        cmocka_unit_test(test_the_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
