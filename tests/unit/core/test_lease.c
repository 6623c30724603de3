/* Who may hold the lease, and how a move outlasts it. */
#include "core/lease.h"

#include "core_test.h"

#define LENGTH_MS UINT64_C(15000)

static enum core_error set_lease(struct group *group, uint64_t length_ms) {
    struct spec *spec = malloc(sizeof *spec);
    assert_non_null(spec);
    *spec = group->state->spec;
    spec->services[0].policy.lease_ms = length_ms;
    enum core_error error = group_spec(group, spec);
    free(spec);
    return error;
}

static uint32_t holder(const struct group *group) {
    return lease_region(group->state, 0);
}

static void carry_out_one(struct group *group, enum command_kind kind) {
    struct command *command = group_next_step(group, 0);
    assert_non_null(command);
    assert_int_equal(command->kind, kind);
    assert_int_equal(group_do(group, command), CORE_OK);
}

static void test_without_a_lease(void **state) {
    struct group *group = *state;
    assert_int_equal(holder(group), NONE_INDEX);
    assert_false(lease_must_run_out(group->state, 0, WEST));
    assert_int_equal(group_move(group, "us-west-2", EXECUTION_FAILOVER, 0), CORE_OK);
    assert_int_equal(group_execution(group)->steps[0].kind, STEP_SWITCH);
}

static void test_not_before_it_is_adopted(void **state) {
    struct group *group = *state;
    assert_int_equal(set_lease(group, LENGTH_MS), CORE_OK);
    assert_int_equal(holder(group), NONE_INDEX);
    assert_false(lease_must_run_out(group->state, 0, EAST));
    group_adopt_all(group);
    assert_int_equal(holder(group), EAST);
    assert_true(lease_must_run_out(group->state, 0, WEST));
    assert_false(lease_must_run_out(group->state, 0, EAST));
}

/* From DECIDE on the old region gets none; the new one from the switch on. */
static void test_a_move(void **state) {
    struct group *group = *state;
    assert_int_equal(set_lease(group, LENGTH_MS), CORE_OK);
    assert_int_equal(holder(group), EAST);
    assert_int_equal(group_move(group, "us-west-2", EXECUTION_FAILOVER, 0), CORE_OK);
    const struct execution *execution = group_execution(group);
    assert_int_equal(execution->steps[0].kind, STEP_LEASE);
    assert_string_equal(execution->steps[0].name, "lease");
    assert_int_equal(execution->steps[1].kind, STEP_SWITCH);
    assert_int_equal(execution->steps[1].needs, 1);
    assert_int_equal(holder(group), NONE_INDEX);
    assert_int_equal(group_step(group, COMMAND_SWITCH,
                                &(struct command_step){.epoch = execution->epoch, .step = 1}),
                     CORE_NEEDS);
    carry_out_one(group, COMMAND_INTENT);
    assert_int_equal(execution->phase, EXECUTION_RUNNING);
    assert_int_equal(group_step(group, COMMAND_ATTEMPT,
                                &(struct command_step){.epoch = execution->epoch, .attempt = 1}),
                     CORE_PHASE); /* nothing is ever sent */
    assert_int_equal(holder(group), NONE_INDEX);
    carry_out_one(group, COMMAND_OUTCOME);
    assert_int_equal(execution->steps[0].phase, STEP_DONE);
    assert_int_equal(holder(group), NONE_INDEX);
    carry_out_one(group, COMMAND_SWITCH);
    assert_int_equal(holder(group), WEST);
    group_carry_out(group);
    assert_int_equal(execution->result, RESULT_DONE);
    assert_int_equal(holder(group), WEST);
}

static void test_an_intent_with_something_in_it(void **state) {
    struct group *group = *state;
    assert_int_equal(set_lease(group, LENGTH_MS), CORE_OK);
    assert_int_equal(group_move(group, "us-west-2", EXECUTION_FAILOVER, 0), CORE_OK);
    struct command_step fields = {.epoch = group_execution(group)->epoch};
    (void)TEXT_COPY(fields.fence, "prod/nocturnal/5.1/0");
    assert_int_equal(group_step(group, COMMAND_INTENT, &fields), CORE_MALFORMED);
}

static void test_a_cancel_gives_it_back(void **state) {
    struct group *group = *state;
    assert_int_equal(set_lease(group, LENGTH_MS), CORE_OK);
    assert_int_equal(group_move(group, "us-west-2", EXECUTION_FAILOVER, 0), CORE_OK);
    carry_out_one(group, COMMAND_INTENT);
    assert_int_equal(group_choice(group, COMMAND_CANCEL, ""), CORE_OK);
    assert_int_equal(group_execution(group)->result, RESULT_CANCELLED);
    assert_int_equal(holder(group), EAST);
    assert_int_equal(group_service(group)->longest_lease_ms, LENGTH_MS);
}

/* An operator's word that nobody writes there. */
static void test_a_release(void **state) {
    struct group *group = *state;
    assert_int_equal(set_lease(group, LENGTH_MS), CORE_OK);
    assert_int_equal(group_move(group, "us-west-2", EXECUTION_FAILOVER, 0), CORE_OK);
    carry_out_one(group, COMMAND_INTENT);
    assert_int_equal(group_choice(group, COMMAND_RELEASE, "lease"), CORE_OK);
    assert_int_equal(group_service(group)->debt_count, 0);
    group_carry_out(group);
    assert_int_equal(group_execution(group)->result, RESULT_RELEASED);
    assert_int_equal(holder(group), WEST);
}

/* A shorter lease doesn't shorten the wait until one was outlasted. */
static void test_a_shortened_lease(void **state) {
    struct group *group = *state;
    const struct service *service = group_service(group);
    assert_int_equal(set_lease(group, LENGTH_MS), CORE_OK);
    assert_int_equal(set_lease(group, 1000), CORE_OK);
    assert_int_equal(service->longest_lease_ms, LENGTH_MS);
    assert_int_equal(set_lease(group, 0), CORE_OK);
    assert_int_equal(holder(group), NONE_INDEX);
    assert_int_equal(service->longest_lease_ms, LENGTH_MS);
    assert_true(lease_must_run_out(group->state, 0, WEST));
    assert_int_equal(set_lease(group, 1000), CORE_OK);
    assert_int_equal(group_move(group, "us-west-2", EXECUTION_FAILOVER, 0), CORE_OK);
    group_carry_out(group);
    assert_int_equal(group_execution(group)->result, RESULT_DONE);
    assert_int_equal(service->longest_lease_ms, 1000);
    assert_int_equal(set_lease(group, 2 * LENGTH_MS), CORE_OK);
    assert_int_equal(service->longest_lease_ms, 2 * LENGTH_MS);
    assert_int_equal(set_lease(group, LEASE_MAX_MS + 1), CORE_SPEC);
}

/* An adoption of where it is already takes nothing away, and proves nothing about grants. */
static void test_an_adoption_of_where_it_is(void **state) {
    struct group *group = *state;
    assert_int_equal(set_lease(group, LENGTH_MS), CORE_OK);
    assert_int_equal(set_lease(group, 1000), CORE_OK);
    assert_int_equal(group_move(group, "us-east-1", EXECUTION_ADOPT, 0), CORE_OK);
    assert_int_equal(group_execution(group)->steps[0].kind, STEP_ADOPT);
    assert_int_equal(holder(group), EAST);
    group_carry_out(group);
    assert_int_equal(group_execution(group)->result, RESULT_DONE);
    assert_int_equal(group_service(group)->longest_lease_ms, LENGTH_MS);
    /* Of another region: as a move. */
    assert_int_equal(group_move(group, "us-west-2", EXECUTION_ADOPT, 0), CORE_OK);
    assert_int_equal(group_execution(group)->steps[0].kind, STEP_LEASE);
    assert_int_equal(holder(group), NONE_INDEX);
}

/* The wait begins with the intent: a failover isn't lost because it takes longer than evidence may
 * be old. */
static void test_an_automatic_move_begins_at_once(void **state) {
    struct group *group = *state;
    assert_int_equal(set_lease(group, LENGTH_MS), CORE_OK);
    assert_true(group_run(group, WITHOUT_EAST, east_down, 60, 1000, has_decided));
    assert_int_equal(holder(group), NONE_INDEX);
    carry_out_one(group, COMMAND_INTENT);
    for (unsigned i = 0; i < 30; i++) {
        group_second(group);
        group_report(group, WITHOUT_EAST, east_down);
        (void)group_policy(group);
    }
    assert_int_equal(group_execution(group)->phase, EXECUTION_RUNNING);
    group_carry_out(group);
    assert_int_equal(group_execution(group)->result, RESULT_DONE);
    assert_int_equal(holder(group), WEST);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        ADOPTED(test_without_a_lease),
        OPENED(test_not_before_it_is_adopted),
        ADOPTED(test_a_move),
        ADOPTED(test_an_intent_with_something_in_it),
        ADOPTED(test_a_cancel_gives_it_back),
        ADOPTED(test_a_release),
        ADOPTED(test_a_shortened_lease),
        ADOPTED(test_an_adoption_of_where_it_is),
        ADOPTED(test_an_automatic_move_begins_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
