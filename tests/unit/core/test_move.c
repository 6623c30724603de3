/* A region dies, the group decides, the plan is carried out; and everything that must hold it back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "group.h"

static bool has_suspect(const struct group *group) {
    return group->state->services[0].suspect.open;
}

static bool has_decided(const struct group *group) {
    return group_execution(group)->automatic && group_execution(group)->phase == EXECUTION_DECIDED;
}

static bool was_blocked(const struct group *group) {
    return group_saw(group, EVENT_BLOCKED);
}

static int setup(void **ret_state) {
    static struct group group;
    group_open_adopted(&group);
    *ret_state = &group;
    return 0;
}

static int teardown(void **state) {
    group_close(*state);
    return 0;
}

static void test_adopted_service_is_active_at_home(void **state) {
    struct group *group = *state;
    assert_int_equal(group_service(group)->active, EAST);
    assert_int_equal(group_service(group)->epoch, 1);
    assert_int_equal(group->state->moves[0].result, RESULT_DONE);
}

static void test_steady_group_writes_nothing(void **state) {
    struct group *group = *state;
    group_run(group, EVERYBODY, all_up, 5, 1000, NULL);
    uint64_t index = group->index;
    group_run(group, EVERYBODY, all_up, 60, 1000, NULL);
    assert_int_equal(group->index, index);
}

static void test_dead_region_is_left_after_confirm(void **state) {
    struct group *group = *state;
    assert_true(group_run(group, WITHOUT_EAST, east_down, 20, 1000, has_suspect));
    uint64_t since = group->now_ms;
    assert_true(group_run(group, WITHOUT_EAST, east_down, 60, 1000, has_decided));
    assert_true(group->now_ms - since >= 30000);
    assert_true(group->now_ms - since <= 34000);
    assert_int_equal(group_service(group)->active, EAST);
    group_carry_out(group);
    assert_int_equal(group_service(group)->active, WEST);
    assert_int_equal(group_execution(group)->result, RESULT_DONE);
    assert_int_equal(group_service(group)->epoch, 2);
    assert_false(group_service(group)->suspect.open);
}

static void test_one_observer_is_not_enough(void **state) {
    struct group *group = *state;
    for (int i = 0; i < 10; i++) {
        group->now_ms += 1000;
        group->wall_ms += 1000;
        group_report(group, 2, east_down);
        group_report(group, 5, all_up);
        while (group_policy(group) > 0) {
        }
    }
    assert_false(has_suspect(group));
}

static void test_silence_is_not_down(void **state) {
    struct group *group = *state;
    static const enum opinion_value silent[REGION_MAX] = {OPINION_UNKNOWN, OPINION_UP};
    group_run(group, WITHOUT_EAST, silent, 60, 1000, NULL);
    assert_false(group_saw(group, EVENT_SUSPECT));
}

static void test_up_vote_ends_the_window(void **state) {
    struct group *group = *state;
    assert_true(group_run(group, WITHOUT_EAST, east_down, 20, 1000, has_suspect));
    assert_int_equal(group_opinion(group, 1, EAST, OPINION_UP), CORE_OK);
    assert_false(has_suspect(group));
    assert_true(group_saw(group, EVENT_UNSUSPECT));
}

static void test_missing_vote_only_pauses(void **state) {
    struct group *group = *state;
    assert_true(group_run(group, WITHOUT_EAST, east_down, 20, 1000, has_suspect));
    assert_int_equal(group_opinion(group, 1, EAST, OPINION_UNKNOWN), CORE_OK);
    assert_true(has_suspect(group));
}

static void test_two_regions_dying_together_stay(void **state) {
    struct group *group = *state;
    assert_true(group_run(group, WITHOUT_EAST, both_down, 90, 1000, was_blocked));
    group_run(group, WITHOUT_EAST, both_down, 60, 1000, NULL);
    assert_int_equal(group_service(group)->epoch, 1);
    assert_int_equal(group_service(group)->active, EAST);
}

static void test_veto_holds_and_its_end_lets_go(void **state) {
    struct group *group = *state;
    assert_int_equal(group_override(group, OVERRIDE_VETO, "", 120000), CORE_OK);
    assert_false(group_run(group, WITHOUT_EAST, east_down, 100, 1000, has_decided));
    assert_true(group_run(group, WITHOUT_EAST, east_down, 60, 1000, has_decided));
}

static void test_veto_between_decide_and_begin_lapses(void **state) {
    struct group *group = *state;
    assert_true(group_run(group, WITHOUT_EAST, east_down, 90, 1000, has_decided));
    assert_int_equal(group_override(group, OVERRIDE_VETO, "", 60000), CORE_OK);
    assert_int_equal(group_execution(group)->result, RESULT_LAPSED);
    struct command_step fields = {.step = 0};
    assert_int_equal(group_step(group, COMMAND_SWITCH, &fields), CORE_NOT_OPEN);
    assert_int_equal(group_service(group)->active, EAST);
}

static void test_new_leader_lapses_what_has_not_begun(void **state) {
    struct group *group = *state;
    assert_true(group_run(group, WITHOUT_EAST, east_down, 90, 1000, has_decided));
    assert_int_equal(group_leader(group, 3), CORE_OK);
    assert_int_equal(group_execution(group)->result, RESULT_LAPSED);
    assert_true(group_run(group, WITHOUT_EAST, east_down, 90, 1000, has_decided));
}

static void test_old_evidence_begins_nothing(void **state) {
    struct group *group = *state;
    assert_true(group_run(group, WITHOUT_EAST, east_down, 90, 1000, has_decided));
    struct command_step fields = {.step = 0, .begin_age_ms = BEGIN_WITHIN_MS + 1};
    assert_int_equal(group_step(group, COMMAND_SWITCH, &fields), CORE_BEGIN_EXPIRED);
    fields.begin_age_ms = BEGIN_WITHIN_MS;
    assert_int_equal(group_step(group, COMMAND_SWITCH, &fields), CORE_OK);
}

static void test_observe_only_notes(void **state) {
    struct group *group = *state;
    struct spec *spec = spec_example();
    spec->services[0].mode = MODE_OBSERVE;
    assert_int_equal(group_spec(group, spec), CORE_OK);
    free(spec);
    group_run(group, WITHOUT_EAST, east_down, 90, 1000, NULL);
    assert_int_equal(group_service(group)->epoch, 1);
    assert_true(group_saw(group, EVENT_WOULD_HAVE));
    const struct move *move = &group->state->moves[group->state->move_count - 1];
    assert_true(move->would_have);
    assert_string_equal(move->plan, "switch dns");
    assert_int_equal(move->gates[GATE_MODE].result, GATE_FAIL);
    assert_int_equal(move->gates[GATE_CONFIRMED].result, GATE_PASS);
    assert_true(move->gates[GATE_CONFIRMED].value >= 30000);
}

static void test_advise_needs_an_approval(void **state) {
    struct group *group = *state;
    struct spec *spec = spec_example();
    spec->services[0].mode = MODE_ADVISE;
    assert_int_equal(group_spec(group, spec), CORE_OK);
    free(spec);
    group_run(group, WITHOUT_EAST, east_down, 90, 1000, NULL);
    assert_true(group_saw(group, EVENT_ASKED));
    assert_false(has_decided(group));
    assert_int_equal(group_choice(group, COMMAND_APPROVE, ""), CORE_OK);
    assert_true(group_run(group, WITHOUT_EAST, east_down, 20, 1000, has_decided));
}

static void test_cooldown_holds_the_next_move(void **state) {
    struct group *group = *state;
    static const enum opinion_value west_down[REGION_MAX] = {OPINION_UP, OPINION_DOWN};
    assert_true(group_run(group, WITHOUT_EAST, east_down, 90, 1000, has_decided));
    group_carry_out(group);
    /* The east is back, the west dies: n1 and n3 see it. */
    assert_false(group_run(group, 5, west_down, 120, 10000, has_decided));
    assert_true(group_run(group, 5, west_down, 400, 2000, has_decided));
    group_carry_out(group);
    assert_int_equal(group_service(group)->active, EAST);
}

static void test_switchover_by_an_operator(void **state) {
    struct group *group = *state;
    assert_int_equal(group_move(group, "us-west-2", EXECUTION_SWITCHOVER, 0), CORE_OK);
    assert_int_equal(group_move(group, "us-west-2", EXECUTION_SWITCHOVER, 0), CORE_IN_PROGRESS);
    group_carry_out(group);
    assert_int_equal(group_service(group)->active, WEST);
    assert_int_equal(group_move(group, "us-west-2", EXECUTION_SWITCHOVER, 0), CORE_NO_REGION);
}

static void test_cancel_before_anything_was_sent(void **state) {
    struct group *group = *state;
    assert_int_equal(group_move(group, "us-west-2", EXECUTION_SWITCHOVER, 0), CORE_OK);
    assert_int_equal(group_choice(group, COMMAND_CANCEL, ""), CORE_OK);
    assert_int_equal(group_execution(group)->result, RESULT_CANCELLED);
    assert_int_equal(group_service(group)->active, EAST);
}

static void test_released_step_is_a_debt_that_is_settled_first(void **state) {
    struct group *group = *state;
    assert_int_equal(group_move(group, "us-west-2", EXECUTION_FAILOVER, 0), CORE_OK);
    struct command_step fields = {.step = 0};
    assert_int_equal(group_step(group, COMMAND_SWITCH, &fields), CORE_OK);
    fields.step = 1;
    fields.before = (struct blob){.used = true, .size_bytes = 1};
    fields.after = (struct blob){.used = true, .size_bytes = 1};
    memcpy(fields.fence, "prod/nocturnal/5.1/0", 21);
    assert_int_equal(group_step(group, COMMAND_INTENT, &fields), CORE_OK);
    fields.attempt = 1;
    assert_int_equal(group_step(group, COMMAND_ATTEMPT, &fields), CORE_OK);
    assert_int_equal(group_choice(group, COMMAND_RELEASE, "dns"), CORE_OK);
    assert_int_equal(group_execution(group)->result, RESULT_RELEASED);
    assert_int_equal(group_service(group)->debt_count, 1);
    assert_string_equal(group_service(group)->debts[0].eid, "nocturnal/5.2/1");
    assert_int_equal(group_move(group, "us-east-1", EXECUTION_SWITCHOVER, 0), CORE_OK);
    assert_int_equal(group_execution(group)->steps[0].kind, STEP_SETTLE);
    fields.step = 1;
    assert_int_equal(group_step(group, COMMAND_SWITCH, &fields), CORE_NEEDS);
    group_carry_out(group);
    assert_int_equal(group_service(group)->debt_count, 0);
    assert_int_equal(group_service(group)->active, EAST);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
        T(test_adopted_service_is_active_at_home),
        T(test_steady_group_writes_nothing),
        T(test_dead_region_is_left_after_confirm),
        T(test_one_observer_is_not_enough),
        T(test_silence_is_not_down),
        T(test_up_vote_ends_the_window),
        T(test_missing_vote_only_pauses),
        T(test_two_regions_dying_together_stay),
        T(test_veto_holds_and_its_end_lets_go),
        T(test_veto_between_decide_and_begin_lapses),
        T(test_new_leader_lapses_what_has_not_begun),
        T(test_old_evidence_begins_nothing),
        T(test_observe_only_notes),
        T(test_advise_needs_an_approval),
        T(test_cooldown_holds_the_next_move),
        T(test_switchover_by_an_operator),
        T(test_cancel_before_anything_was_sent),
        T(test_released_step_is_a_debt_that_is_settled_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
