/* Moves with a replica set: their plans, and how they are carried out, cancelled and let go. */
#include <stdio.h>

#include "core/lease.h"

#include "mongo_test.h"
#include "plan_rules.h"

static const char *names_of(const struct plan *plan) {
    static char text[512];
    text[0] = '\0';
    for (uint32_t i = 0; i < plan->count; i++) {
        size_t length = strlen(text);
        (void)snprintf(text + length, sizeof text - length, "%s%s", i == 0 ? "" : " ",
                       plan->steps[i].name);
    }
    return text;
}

static const char *plan_of(struct scene *scene, enum execution_kind kind, uint32_t to) {
    struct plan plan;
    const struct state *s = scene->group->state;
    look(scene);
    if (policy_plan(s, 0, kind, to, 0, &scene->view, &plan) != CORE_OK) {
        return "none";
    }
    assert_true(plan_is_sound(s, 0, kind, to, 0, &scene->view, &plan));
    for (uint32_t i = 0; i < plan.count; i++) {
        struct plan without = plan;
        without.count--;
        memmove(&without.steps[i], &without.steps[i + 1],
                (without.count - i) * sizeof without.steps[0]);
        assert_false(plan_is_sound(s, 0, kind, to, 0, &scene->view, &without));
        struct plan other = plan;
        other.steps[i].needs = 0;
        if (plan.steps[i].needs != 0) {
            assert_false(plan_is_sound(s, 0, kind, to, 0, &scene->view, &other));
        }
        other = plan;
        other.steps[i].zone = ZONE_MAX + 1;
        if (plan.steps[i].zone != NONE_INDEX) {
            assert_false(plan_is_sound(s, 0, kind, to, 0, &scene->view, &other));
        }
    }
    return names_of(&plan);
}

static void test_plans(void **state) {
    struct scene scene = scene_of(state);
    const enum execution_kind failover = EXECUTION_FAILOVER;
    assert_string_equal(plan_of(&scene, failover, WEST), "prefer promote write switch dns");
    assert_string_equal(plan_of(&scene, EXECUTION_ADOPT, EAST), "adopt adopt-set switch");
    assert_string_equal(plan_of(&scene, EXECUTION_RELEASE, EAST), "unmark unmark-set switch");
    assert_string_equal(plan_of(&scene, EXECUTION_REPAIR, EAST), "dns");
    group_service(scene.group)->longest_lease_ms = 1000;
    assert_string_equal(plan_of(&scene, failover, WEST), "lease prefer promote write switch dns");
    group_service(scene.group)->longest_lease_ms = 0;
    gone(&scene, E2, 9000); /* it would hold a reconfiguration up */
    assert_string_equal(plan_of(&scene, failover, WEST), "promote write prefer switch dns");
    gone(&scene, E1, 9000);
    assert_string_equal(plan_of(&scene, failover, WEST), "promote write prefer switch dns");
    elected(&scene, W1);
    assert_string_equal(plan_of(&scene, failover, WEST), "prefer write switch dns");
    struct plan plan;
    assert_int_equal(policy_plan(scene.group->state, 0, failover, WEST, 0, NULL, &plan), CORE_GATE);
    scene.facts = mongo_example();
    lost(&scene);
    assert_string_equal(plan_of(&scene, failover, WEST), "none");
    scene.facts = mongo_example();
    nobody(&scene);
    assert_string_equal(plan_of(&scene, failover, WEST), "none");
}

static void test_a_move_by_hand(void **state) {
    struct scene scene = scene_of(state);
    struct group *group = scene.group;
    look(&scene);
    assert_int_equal(group_move(group, "us-west-2", EXECUTION_SWITCHOVER, 0), CORE_OK);
    assert_int_equal(group_execution(group)->mongo.primary, E1);
    group_carry_out(group);
    assert_int_equal(group_execution(group)->result, RESULT_DONE);
    assert_int_equal(group_service(group)->active, WEST);
}

static void test_an_automatic_move(void **state) {
    struct scene scene = scene_of(state);
    struct group *group = scene.group;
    group->mongo = &scene.facts;
    struct command *decide = group_await_decide(group, WITHOUT_EAST, east_down);
    struct command *laggard = group_new(COMMAND_DECIDE);
    *laggard = *decide;
    for (uint32_t i = W1; i <= W2; i++) {
        laggard->decide.mongo.facts.members[i].optime.wall_ms -= 10001;
        laggard->decide.mongo.facts.members[i].optime.seconds -= 10;
    }
    assert_int_equal(group_do(group, laggard), CORE_GATE);
    assert_int_equal(group_do(group, decide), CORE_OK);
    group_carry_out(group);
    assert_int_equal(group_service(group)->active, WEST);
}

/* A promotion that was sent can't be taken back: cancelled, the service is between two regions. */
static void test_cancel_of_a_promotion(void **state) {
    struct scene scene = scene_of(state);
    struct group *group = scene.group;
    gone(&scene, E1, 25000);
    look(&scene);
    assert_int_equal(group_move(group, "us-west-2", EXECUTION_FAILOVER, 0), CORE_OK);
    const struct step *promote = &group_execution(group)->steps[0];
    assert_int_equal(promote->kind, STEP_PROMOTE);
    for (int i = 0; i < 2; i++) { /* INTENT, ATTEMPT */
        assert_int_equal(group_do(group, group_next_step(group, 0)), CORE_OK);
    }
    const char *why = "";
    assert_int_equal(step_after_look(group->state, 0, 0, false, &why), ACTION_ATTEMPT);
    assert_int_equal(step_after_look(group->state, 0, 0, true, &why), ACTION_DONE);
    assert_int_equal(group_choice(group, COMMAND_CANCEL, ""), CORE_OK);
    assert_int_equal(step_after_look(group->state, 0, 0, true, &why), ACTION_DONE);
    assert_int_equal(step_after_look(group->state, 0, 0, false, &why), ACTION_UNKNOWN);
    struct command_step unknown = {.outcome = STEP_UNKNOWN};
    assert_int_equal(group_step(group, COMMAND_OUTCOME, &unknown), CORE_OK);
    assert_int_equal(group_execution(group)->result, RESULT_HALF_MOVED);
    assert_true(group_service(group)->half_moved);
}

static void let_promotion_be_cancelled(struct scene *scene) {
    struct group *group = scene->group;
    struct command_step unknown = {.outcome = STEP_UNKNOWN};
    gone(scene, E1, 25000);
    look(scene);
    assert_int_equal(group_move(group, "us-west-2", EXECUTION_FAILOVER, 0), CORE_OK);
    assert_int_equal(group_execution(group)->steps[0].kind, STEP_PROMOTE);
    for (int i = 0; i < 2; i++) { /* INTENT, ATTEMPT */
        assert_int_equal(group_do(group, group_next_step(group, 0)), CORE_OK);
    }
    assert_int_equal(group_choice(group, COMMAND_CANCEL, ""), CORE_OK);
    assert_int_equal(group_step(group, COMMAND_OUTCOME, &unknown), CORE_OK);
    assert_false(execution_is_open(group_execution(group)));
}

/* The primary may yet come up in the west: no writer of the east may think that it goes on. */
static void test_no_lease_after_a_promotion_was_sent(void **state) {
    struct scene scene = scene_of(state);
    struct group *group = scene.group;
    group->state->spec.services[0].policy.lease_ms = 15000;
    assert_int_equal(lease_region(group->state, 0), EAST);
    let_promotion_be_cancelled(&scene);
    assert_int_equal(lease_region(group->state, 0), NONE_INDEX);
    assert_int_equal(group_service(group)->active, EAST);
    /* Records can be put right, but not that. */
    assert_int_equal(group_move(group, "us-east-1", EXECUTION_REPAIR, 0), CORE_OK);
    group_carry_out(group);
    assert_int_equal(group_execution(group)->result, RESULT_DONE);
    assert_true(group_service(group)->half_moved);
    assert_int_equal(lease_region(group->state, 0), NONE_INDEX);
    /* Back it goes by a move like any other, at its switch. */
    elected(&scene, W1);
    look(&scene);
    assert_int_equal(group_move(group, "us-east-1", EXECUTION_FAILOVER, 0), CORE_OK);
    assert_int_equal(lease_region(group->state, 0), NONE_INDEX);
    group_carry_out(group);
    assert_int_equal(group_execution(group)->result, RESULT_DONE);
    assert_int_equal(lease_region(group->state, 0), EAST);
    assert_false(group_service(group)->half_moved);
}

static void test_a_lease_after_a_promotion_that_was_undone(void **state) {
    struct scene scene = scene_of(state);
    struct group *group = scene.group;
    group->state->spec.services[0].policy.lease_ms = 15000;
    gone(&scene, E1, 25000);
    look(&scene);
    assert_int_equal(group_move(group, "us-west-2", EXECUTION_FAILOVER, 0), CORE_OK);
    assert_int_equal(group_do(group, group_next_step(group, 0)), CORE_OK); /* INTENT alone */
    assert_int_equal(lease_region(group->state, 0), NONE_INDEX);
    assert_int_equal(group_choice(group, COMMAND_CANCEL, ""), CORE_OK);
    assert_int_equal(group_execution(group)->result, RESULT_CANCELLED);
    assert_int_equal(lease_region(group->state, 0), EAST);
}

/* Sends the config that prefers the west, as far as ATTEMPT, and cancels. */
static struct command_step let_preference_be_cancelled(struct scene *scene) {
    struct group *group = scene->group;
    struct command_step end = {0};
    char eid[EID_SIZE];
    group->state->spec.services[0].policy.lease_ms = 15000;
    look(scene);
    assert_int_equal(group_move(group, "us-west-2", EXECUTION_SWITCHOVER, 0), CORE_OK);
    assert_int_equal(group_execution(group)->steps[0].kind, STEP_PREFER);
    for (int i = 0; i < 2; i++) { /* INTENT, ATTEMPT */
        assert_int_equal(group_do(group, group_next_step(group, 0)), CORE_OK);
    }
    assert_int_equal(group_choice(group, COMMAND_CANCEL, ""), CORE_OK);
    assert_int_equal(lease_region(group->state, 0), NONE_INDEX);
    step_eid(group->state, 0, 0, eid);
    end.outcome = STEP_DONE;
    fence_format(end.fence, group->state->cluster, eid);
    return end;
}

/* With that config the set moves its primary to the west by itself, however the move ended. */
static void test_no_lease_after_a_preference(void **state) {
    struct scene scene = scene_of(state);
    struct group *group = scene.group;
    struct command_step done = let_preference_be_cancelled(&scene);
    assert_int_equal(group_step(group, COMMAND_OUTCOME, &done), CORE_OK);
    assert_int_equal(group_execution(group)->result, RESULT_HALF_MOVED);
    assert_int_equal(lease_region(group->state, 0), NONE_INDEX);
    elected(&scene, W1);
    look(&scene);
    group_second(group);
    assert_int_equal(group_move(group, "us-east-1", EXECUTION_SWITCHOVER, 0), CORE_OK);
    group_carry_out(group);
    assert_int_equal(lease_region(group->state, 0), EAST);
}

static void test_no_lease_after_a_preference_whose_fence_is_gone(void **state) {
    struct scene scene = scene_of(state);
    struct group *group = scene.group;
    (void)let_preference_be_cancelled(&scene);
    struct command_step unknown = {.outcome = STEP_UNKNOWN};
    assert_int_equal(group_step(group, COMMAND_OUTCOME, &unknown), CORE_OK);
    assert_int_equal(group_execution(group)->result, RESULT_HALF_MOVED);
    assert_int_equal(lease_region(group->state, 0), NONE_INDEX);
}

static void test_a_lease_after_a_preference_that_was_burnt(void **state) {
    struct scene scene = scene_of(state);
    struct group *group = scene.group;
    struct command_step burnt = let_preference_be_cancelled(&scene);
    char eid[EID_SIZE];
    step_eid(group->state, 0, 0, eid);
    assert_int_equal(group_step(group, COMMAND_CLOSING, &burnt), CORE_OK);
    burnt.outcome = STEP_REFUSED;
    fence_format_void(burnt.fence, group->state->cluster, eid);
    assert_int_equal(group_step(group, COMMAND_OUTCOME, &burnt), CORE_OK);
    assert_int_equal(group_execution(group)->result, RESULT_CANCELLED);
    assert_int_equal(lease_region(group->state, 0), EAST);
}

/* The switch says where it is, whatever became of the rest of the move. */
static void test_a_lease_after_the_switch(void **state) {
    struct scene scene = scene_of(state);
    struct group *group = scene.group;
    group->state->spec.services[0].policy.lease_ms = 15000;
    look(&scene);
    assert_int_equal(group_move(group, "us-west-2", EXECUTION_SWITCHOVER, 0), CORE_OK);
    while (group_service(group)->active == EAST) {
        assert_int_equal(lease_region(group->state, 0), NONE_INDEX);
        assert_int_equal(group_do(group, group_next_step(group, 0)), CORE_OK);
    }
    assert_int_equal(group_choice(group, COMMAND_CANCEL, ""), CORE_OK);
    assert_int_equal(group_execution(group)->result, RESULT_HALF_MOVED);
    assert_int_equal(lease_region(group->state, 0), WEST);
}

/* Let go, a promotion leaves nothing to burn; the config's change does. */
static void test_release(void **state) {
    struct scene scene = scene_of(state);
    struct group *group = scene.group;
    look(&scene);
    assert_int_equal(group_move(group, "us-west-2", EXECUTION_SWITCHOVER, 0), CORE_OK);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(group_do(group, group_next_step(group, 0)), CORE_OK);
    }
    assert_true(step_is_of_set(group->state, 0, 0));
    assert_null(step_zone(group->state, 0, 0));
    assert_int_equal(group_choice(group, COMMAND_RELEASE, "prefer"), CORE_OK);
    assert_int_equal(group_service(group)->debt_count, 1);
    assert_true(group_service(group)->debts[0].of_set);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(group_do(group, group_next_step(group, 0)), CORE_OK);
    }
    assert_int_equal(group_choice(group, COMMAND_RELEASE, "promote"), CORE_OK);
    assert_int_equal(group_service(group)->debt_count, 1);
    group_carry_out(group);
    assert_int_equal(group_execution(group)->result, RESULT_RELEASED);
    group_second(group);
    assert_int_equal(group_move(group, "us-east-1", EXECUTION_SWITCHOVER, 0), CORE_OK);
    assert_int_equal(group_execution(group)->steps[0].kind, STEP_SETTLE);
    assert_true(step_is_of_set(group->state, 0, 0));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        ADOPTED(test_plans),
        ADOPTED(test_a_move_by_hand),
        ADOPTED(test_an_automatic_move),
        ADOPTED(test_cancel_of_a_promotion),
        ADOPTED(test_no_lease_after_a_promotion_was_sent),
        ADOPTED(test_a_lease_after_a_promotion_that_was_undone),
        ADOPTED(test_no_lease_after_a_preference),
        ADOPTED(test_no_lease_after_a_preference_whose_fence_is_gone),
        ADOPTED(test_a_lease_after_a_preference_that_was_burnt),
        ADOPTED(test_a_lease_after_the_switch),
        ADOPTED(test_release),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
