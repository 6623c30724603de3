/* What moves nothing: a release takes the fences out and leaves the service alone, a repair writes
 * the records of the active region again. */
#include "core_test.h"
#include "plan_rules.h"

static enum core_error ask(struct group *group, enum execution_kind kind) {
    return group_move(group, "us-east-1", kind, 0);
}

static const struct step *step_of(const struct group *group, uint32_t i) {
    return &group_execution(group)->steps[i];
}

static void release(struct group *group) {
    assert_int_equal(ask(group, EXECUTION_RELEASE), CORE_OK);
    group_carry_out(group);
    assert_int_equal(group_execution(group)->result, RESULT_DONE);
}

static void test_a_release(void **state) {
    struct group *group = *state;
    assert_int_equal(ask(group, EXECUTION_RELEASE), CORE_OK);
    assert_int_equal(group_execution(group)->step_count, 2);
    assert_int_equal(step_of(group, 0)->kind, STEP_UNMARK);
    assert_int_equal(step_of(group, 1)->kind, STEP_SWITCH);
    assert_int_equal(step_of(group, 1)->needs, 1);
    assert_false(group_service(group)->released); /* not before the fence is gone */
    group_carry_out(group);
    assert_int_equal(group_execution(group)->result, RESULT_DONE);
    assert_true(group_service(group)->released);
    /* Everything keeps serving. */
    assert_true(group_service(group)->adopted);
    assert_int_equal(group_service(group)->active, EAST);
}

static void test_released_is_left_alone(void **state) {
    struct group *group = *state;
    release(group);
    assert_false(group_run(group, WITHOUT_EAST, east_down, 60, 1000, has_suspect));
    struct command *suspect = group_new(COMMAND_SUSPECT);
    assert_int_equal(group_do(group, suspect), CORE_NOT_ADOPTED);
    assert_int_equal(group_move(group, "us-west-2", EXECUTION_FAILOVER, UINT32_MAX),
                     CORE_NOT_ADOPTED);
    assert_int_equal(ask(group, EXECUTION_REPAIR), CORE_NOT_ADOPTED);
    assert_int_equal(ask(group, EXECUTION_RELEASE), CORE_NOT_ADOPTED);
}

static void test_adopted_again(void **state) {
    struct group *group = *state;
    release(group);
    assert_int_equal(group_move(group, "us-west-2", EXECUTION_ADOPT, 0), CORE_OK);
    assert_true(group_service(group)->released); /* not yet */
    group_carry_out(group);
    assert_false(group_service(group)->released);
    assert_int_equal(group_service(group)->active, WEST);
    assert_int_equal(group_service(group)->epoch, 3);
}

/* A suspicion ends when its service is let go of. */
static void test_a_release_under_suspicion(void **state) {
    struct group *group = *state;
    assert_true(group_run(group, WITHOUT_EAST, east_down, 20, 1000, has_suspect));
    assert_int_equal(ask(group, EXECUTION_RELEASE), CORE_OK);
    assert_false(has_suspect(group));
    group_carry_out(group);
    assert_true(group_service(group)->released);
}

/* Only a released service may go from the spec; another of its name begins above its epochs. */
static void test_it_may_leave_the_spec(void **state) {
    struct group *group = *state;
    struct spec *empty = spec_example();
    empty->service_count = 0;
    assert_int_equal(group_spec(group, empty), CORE_SPEC_IN_USE);
    release(group);
    assert_int_equal(group_spec(group, empty), CORE_OK);
    free(empty);
    struct spec *spec = spec_example();
    assert_int_equal(group_spec(group, spec), CORE_OK);
    free(spec);
    assert_false(group_service(group)->adopted || group_service(group)->released);
    assert_int_equal(ask(group, EXECUTION_ADOPT), CORE_OK);
    assert_int_equal(group_execution(group)->epoch, 3);
}

static void test_the_fence_was_gone(void **state) {
    struct group *group = *state;
    assert_int_equal(ask(group, EXECUTION_RELEASE), CORE_OK);
    struct command *intent = group_next_step(group, 0);
    intent->step.fence[0] = '\0';
    assert_int_equal(group_do(group, intent), CORE_OK);
    struct command_step done = {.step = 0, .outcome = STEP_DONE};
    (void)TEXT_COPY(done.fence, "prod/nocturnal/5.1/0");
    assert_int_equal(group_step(group, COMMAND_OUTCOME, &done), CORE_EVIDENCE);
    done.fence[0] = '\0';
    assert_int_equal(group_step(group, COMMAND_OUTCOME, &done), CORE_OK);
    assert_int_equal(step_of(group, 0)->attempts, 0);
    group_carry_out(group);
    assert_true(group_service(group)->released);
}

/* Another's fence is not ours to delete. */
static void test_a_foreign_fence_stays(void **state) {
    struct group *group = *state;
    static const char *const fences[] = {"staging/nocturnal/5.1/0", "prod/other/5.1/0", "anything"};
    assert_int_equal(ask(group, EXECUTION_RELEASE), CORE_OK);
    for (size_t i = 0; i < ARRAY_LENGTH(fences); i++) {
        struct command *intent = group_next_step(group, 0);
        (void)TEXT_COPY(intent->step.fence, fences[i]);
        assert_int_equal(group_do(group, intent), CORE_NO_FENCE);
    }
}

static void test_a_cancelled_release_leaves_it_managed(void **state) {
    struct group *group = *state;
    assert_int_equal(ask(group, EXECUTION_RELEASE), CORE_OK);
    assert_int_equal(group_do(group, group_next_step(group, 0)), CORE_OK); /* INTENT */
    assert_int_equal(group_do(group, group_next_step(group, 0)), CORE_OK); /* ATTEMPT */
    assert_int_equal(group_choice(group, COMMAND_CANCEL, ""), CORE_OK);
    struct command_step closing = {.step = 0};
    assert_int_equal(group_step(group, COMMAND_CLOSING, &closing), CORE_OK);
    struct command_step burnt = {.step = 0, .outcome = STEP_REFUSED};
    (void)TEXT_COPY(burnt.fence, "void(prod/nocturnal/5.2/0)");
    assert_int_equal(group_step(group, COMMAND_OUTCOME, &burnt), CORE_OK);
    assert_int_equal(group_execution(group)->result, RESULT_CANCELLED);
    assert_false(group_service(group)->released);
    assert_false(group_service(group)->half_moved);
}

static void test_only_an_admin_releases(void **state) {
    struct group *group = *state;
    struct command *command = group_new(COMMAND_MOVE); /* an operator's */
    (void)TEXT_COPY(command->move.service, "nocturnal");
    (void)TEXT_COPY(command->move.to, "us-east-1");
    command->move.kind = EXECUTION_RELEASE;
    command->move.spec_index = group->state->spec_index;
    command->move.epoch = 2;
    (void)policy_plan(group->state, 0, EXECUTION_RELEASE, EAST, 0, NULL, &command->move.plan);
    assert_int_equal(group_do(group, command), CORE_MALFORMED);
    assert_int_equal(command_least_role(COMMAND_ADOPT), ROLE_ADMIN);
}

static void test_a_repair(void **state) {
    struct group *group = *state;
    uint64_t moved_ms = group_service(group)->last_move_end_ms;
    assert_int_equal(group_move(group, "us-west-2", EXECUTION_REPAIR, 0), CORE_NO_REGION);
    assert_int_equal(ask(group, EXECUTION_REPAIR), CORE_OK);
    assert_int_equal(group_execution(group)->step_count, 1);
    assert_int_equal(step_of(group, 0)->kind, STEP_DNS);
    assert_int_equal(group_execution(group)->from, EAST);
    group_carry_out(group);
    assert_int_equal(group_execution(group)->result, RESULT_DONE);
    assert_int_equal(group_service(group)->active, EAST);
    assert_true(group_service(group)->last_move_end_ms == moved_ms); /* no cooldown */
}

/* It takes its time only: nothing is between two regions afterwards. */
static void test_a_repair_that_fails(void **state) {
    struct group *group = *state;
    assert_int_equal(ask(group, EXECUTION_REPAIR), CORE_OK);
    struct command_step refused = {.step = 0, .outcome = STEP_REFUSED};
    assert_int_equal(group_step(group, COMMAND_OUTCOME, &refused), CORE_OK);
    assert_int_equal(group_execution(group)->result, RESULT_STOPPED);
    assert_false(group_service(group)->half_moved);
}

static void test_a_repair_ends_half_moved(void **state) {
    struct group *group = *state;
    assert_int_equal(group_move(group, "us-west-2", EXECUTION_FAILOVER, 0), CORE_OK);
    assert_int_equal(group_do(group, group_next_step(group, 0)), CORE_OK); /* switch */
    struct command_step refused = {.step = 1, .outcome = STEP_REFUSED};
    assert_int_equal(group_step(group, COMMAND_OUTCOME, &refused), CORE_OK);
    assert_true(group_service(group)->half_moved);
    assert_int_equal(group_move(group, "us-west-2", EXECUTION_REPAIR, 0), CORE_OK);
    group_carry_out(group);
    assert_false(group_service(group)->half_moved);
    assert_int_equal(group_service(group)->active, WEST);
}

static void test_nothing_to_repair(void **state) {
    struct group *group = *state;
    struct plan plan;
    group->state->spec.services[0].zone_count = 0;
    group->state->spec.services[0].record_count = 0;
    assert_int_equal(policy_plan(group->state, 0, EXECUTION_REPAIR, EAST, 0, NULL, &plan),
                     CORE_PLAN);
    assert_int_equal(policy_plan(group->state, 0, EXECUTION_RELEASE, EAST, 0, NULL, &plan),
                     CORE_OK);
    release(group); /* without zones there is nothing to unmark */
    assert_true(group_service(group)->released);
}

/* Debts are settled first: a late request must find nothing to land on. */
static void test_unsound_plans(void **state) {
    struct group *group = *state;
    struct state *s = group->state;
    struct plan plan;
    group_service(group)->debt_count = 1;
    assert_int_equal(policy_plan(s, 0, EXECUTION_RELEASE, EAST, 0, NULL, &plan), CORE_OK);
    assert_true(
        plan_is_sound(s, 0, EXECUTION_RELEASE, EAST, 0, NULL, &plan)); /* settle, unmark, switch */
    assert_int_equal(plan.steps[1].needs, 1);
    assert_false(plan_is_sound(s, 0, EXECUTION_ADOPT, EAST, 0, NULL, &plan));
    plan.steps[2].needs = 1;
    assert_false(plan_is_sound(s, 0, EXECUTION_RELEASE, EAST, 0, NULL, &plan));
    plan.steps[2].needs = 3;
    plan.steps[1].needs = 0;
    assert_false(plan_is_sound(s, 0, EXECUTION_RELEASE, EAST, 0, NULL, &plan));
    assert_int_equal(policy_plan(s, 0, EXECUTION_REPAIR, EAST, 0, NULL, &plan), CORE_OK);
    assert_true(plan_is_sound(s, 0, EXECUTION_REPAIR, EAST, 0, NULL, &plan));
    assert_false(plan_is_sound(s, 0, EXECUTION_FAILOVER, EAST, 0, NULL, &plan));
    assert_int_equal(policy_plan(s, 0, EXECUTION_FAILOVER, WEST, 0, NULL, &plan), CORE_OK);
    assert_false(plan_is_sound(s, 0, EXECUTION_REPAIR, WEST, 0, NULL, &plan));
    group_service(group)->debt_count = 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        ADOPTED(test_a_release),
        ADOPTED(test_released_is_left_alone),
        ADOPTED(test_adopted_again),
        ADOPTED(test_a_release_under_suspicion),
        ADOPTED(test_it_may_leave_the_spec),
        ADOPTED(test_the_fence_was_gone),
        ADOPTED(test_a_foreign_fence_stays),
        ADOPTED(test_a_cancelled_release_leaves_it_managed),
        ADOPTED(test_only_an_admin_releases),
        ADOPTED(test_a_repair),
        ADOPTED(test_a_repair_that_fails),
        ADOPTED(test_a_repair_ends_half_moved),
        ADOPTED(test_nothing_to_repair),
        ADOPTED(test_unsound_plans),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
