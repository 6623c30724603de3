/* What history keeps of a move's replica set: how its primary was to be made, and what that might
 * lose, as the decision reckoned it. */
#include "core_test.h"

static struct group *group;
static struct mongo_facts facts;

static void tell(void) {
    group->mongo = &facts;
    group_report(group, EVERYBODY, all_up);
    group->input.now_ms = group->now_ms;
}

static void begin_scene(void **state) {
    group = *state;
    group_add_set(group);
    facts = mongo_example();
    tell();
}

static void lose(uint32_t members) {
    for (uint32_t i = 0; i < facts.member_count; i++) {
        if ((members & BIT(i)) != 0) {
            mongo_lose(&facts, i, 25000);
        }
    }
    tell();
}

static void west_is_behind(uint32_t ms) {
    for (uint32_t i = W1; i <= W2; i++) {
        facts.members[i].optime.wall_ms -= ms;
        facts.members[i].optime.seconds -= ms / 1000;
    }
    tell();
}

static void failover(uint32_t dead) {
    group->dead = dead;
    enum core_error error =
        group_move(group, "us-west-2", EXECUTION_FAILOVER, GATE_BIT(GATE_REPLICATION_LAG));
    group->dead = 0;
    assert_int_equal(error, CORE_OK);
}

static void do_next(void) {
    struct command *command = group_next_step(group, 0);
    assert_non_null(command);
    assert_int_equal(group_do(group, command), CORE_OK);
}

static void do_until(enum step_kind kind, enum step_phase phase) {
    const struct execution *execution = group_execution(group);
    for (;;) {
        for (uint32_t i = 0; i < execution->step_count; i++) {
            if (execution->steps[i].kind == kind && execution->steps[i].phase == phase) {
                return;
            }
        }
        do_next();
    }
}

static void cancel(void) {
    assert_int_equal(group_choice(group, COMMAND_CANCEL, ""), CORE_OK);
}

/* The newest row. */
static void expect_row(enum mongo_case set_case, uint64_t lost_ms, uint64_t lost_writes) {
    const struct state *s = group->state;
    assert_false(execution_is_open(group_execution(group)));
    assert_true(s->move_count > 0);
    const struct move *move = &s->moves[(s->move_count - 1) % MOVE_MAX];
    assert_int_equal(move->set_case, set_case);
    assert_int_equal(move->lost_ms, lost_ms);
    assert_int_equal(move->lost_writes, lost_writes);
}

/* --- whoever is elected has all that a majority acknowledged --- */

static void test_a_handover(void **state) {
    begin_scene(state);
    west_is_behind(4200);
    failover(0);
    group_carry_out(group);
    expect_row(MONGO_CASE_HANDOVER, 0, 0);
}

static void test_an_election(void **state) {
    begin_scene(state);
    west_is_behind(4200);
    lose(BIT(E1) | BIT(E2));
    failover(0);
    group_carry_out(group);
    expect_row(MONGO_CASE_ELECTION, 0, 0);
}

static void test_an_automatic_move(void **state) {
    begin_scene(state);
    assert_int_equal(group_do(group, group_await_decide(group, WITHOUT_EAST, east_down)), CORE_OK);
    group_carry_out(group);
    expect_row(MONGO_CASE_HANDOVER, 0, 0);
}

static void test_the_primary_is_there_already(void **state) {
    begin_scene(state);
    facts.members[E1].writable = false;
    facts.members[E1].state = MONGO_SECONDARY;
    facts.members[W1].writable = true;
    facts.members[W1].state = MONGO_PRIMARY;
    facts.primary = W1;
    tell();
    failover(0);
    group_carry_out(group);
    expect_row(MONGO_CASE_THERE, 0, 0);
}

/* --- forced: what the survivors don't have --- */

static void test_a_forced_move(void **state) {
    begin_scene(state);
    west_is_behind(4200);
    lose(LOST);
    failover(LOST);
    group_carry_out(group);
    assert_int_equal(group_execution(group)->result, RESULT_DONE);
    expect_row(MONGO_CASE_FORCED, 4200, 550); /* at 130.85 a second */
}

static void test_who_has_all_that_is_known(void **state) {
    begin_scene(state);
    lose(LOST);
    failover(LOST);
    group_carry_out(group);
    expect_row(MONGO_CASE_FORCED, 0, 0);
}

static void test_an_unknown_rate(void **state) {
    begin_scene(state);
    facts.write_rate_milli = MONGO_RATE_UNKNOWN;
    west_is_behind(4200);
    lose(LOST);
    failover(LOST);
    group_carry_out(group);
    expect_row(MONGO_CASE_FORCED, 4200, UINT64_MAX);
}

static void test_an_unknown_lag(void **state) {
    begin_scene(state);
    facts.members[W1].optime.seconds = 0;
    facts.members[W2].optime.seconds = 0;
    facts.oplog_window_s = 0;
    lose(LOST);
    failover(LOST);
    group_carry_out(group);
    expect_row(MONGO_CASE_FORCED, UINT64_MAX, UINT64_MAX);
}

/* If it landed, the survivors elect one of them by themselves, and the move that goes on from there
 * finds an election, or the primary. */
static void test_a_force_of_which_nobody_knows(void **state) {
    begin_scene(state);
    west_is_behind(4200);
    lose(LOST);
    failover(LOST);
    do_until(STEP_FORCE, STEP_ATTEMPTED);
    struct command_step fields = {.step = 0, .outcome = STEP_UNKNOWN};
    assert_int_equal(group_step(group, COMMAND_OUTCOME, &fields), CORE_OK);
    expect_row(MONGO_CASE_FORCED, 4200, 550);
}

static void test_a_force_that_was_not_sent(void **state) {
    begin_scene(state);
    west_is_behind(4200);
    lose(LOST);
    failover(LOST);
    do_until(STEP_FORCE, STEP_INTENDED);
    cancel();
    expect_row(MONGO_CASE_NONE, 0, 0);
}

/* --- what made no primary --- */

static void test_a_promotion_that_was_not_sent(void **state) {
    begin_scene(state);
    lose(BIT(E1) | BIT(E2));
    failover(0);
    cancel();
    expect_row(MONGO_CASE_NONE, 0, 0);
    failover(0);
    do_until(STEP_PROMOTE, STEP_INTENDED);
    cancel();
    expect_row(MONGO_CASE_NONE, 0, 0);
}

/* It may land late. */
static void test_a_promotion_that_was_sent(void **state) {
    begin_scene(state);
    lose(BIT(E1) | BIT(E2));
    failover(0);
    do_until(STEP_PROMOTE, STEP_ATTEMPTED);
    cancel();
    struct command_step fields = {.step = 0, .outcome = STEP_UNKNOWN};
    assert_int_equal(group_step(group, COMMAND_OUTCOME, &fields), CORE_OK);
    expect_row(MONGO_CASE_ELECTION, 0, 0);
}

/* The set was first: a read shows it, and nothing is sent. */
static void test_a_promotion_that_nobody_had_to_send(void **state) {
    begin_scene(state);
    lose(BIT(E1) | BIT(E2));
    failover(0);
    do_until(STEP_PROMOTE, STEP_INTENDED);
    struct command_step fields = {.step = 0, .outcome = STEP_DONE};
    assert_int_equal(group_step(group, COMMAND_OUTCOME, &fields), CORE_OK);
    cancel();
    while (execution_is_open(group_execution(group))) {
        do_next();
    }
    expect_row(MONGO_CASE_ELECTION, 0, 0);
}

static void test_a_move_that_lapsed(void **state) {
    begin_scene(state);
    assert_int_equal(group_do(group, group_await_decide(group, WITHOUT_EAST, east_down)), CORE_OK);
    assert_int_equal(group_override(group, OVERRIDE_VETO, "", 60000), CORE_OK);
    assert_int_equal(group_execution(group)->result, RESULT_LAPSED);
    expect_row(MONGO_CASE_NONE, 0, 0);
}

static void test_what_would_have_moved(void **state) {
    begin_scene(state);
    group->state->spec.services[0].mode = MODE_OBSERVE;
    group_run(group, WITHOUT_EAST, east_down, 90, 1000, NULL);
    assert_true(group_saw(group, EVENT_WOULD_HAVE));
    expect_row(MONGO_CASE_NONE, 0, 0);
}

static void test_what_moves_nothing(void **state) {
    begin_scene(state);
    assert_int_equal(group_move(group, "us-east-1", EXECUTION_REPAIR, 0), CORE_OK);
    group_carry_out(group);
    expect_row(MONGO_CASE_NONE, 0, 0);
    assert_int_equal(group_move(group, "us-east-1", EXECUTION_ADOPT, 0), CORE_OK);
    group_carry_out(group);
    expect_row(MONGO_CASE_NONE, 0, 0);
    facts.members[W1].kept_out = true;
    facts.members[W1].votes = false;
    tell();
    group->readmit = "w1:27017";
    assert_int_equal(group_move(group, "us-east-1", EXECUTION_READMIT, 0), CORE_OK);
    group->readmit = NULL;
    group_carry_out(group);
    expect_row(MONGO_CASE_NONE, 0, 0);
    assert_int_equal(group_move(group, "us-east-1", EXECUTION_RELEASE, 0), CORE_OK);
    group_carry_out(group);
    expect_row(MONGO_CASE_NONE, 0, 0);
}

static void test_a_service_without_a_set(void **state) {
    group = *state;
    failover(0);
    group_carry_out(group);
    expect_row(MONGO_CASE_NONE, 0, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        ADOPTED(test_a_handover),
        ADOPTED(test_an_election),
        ADOPTED(test_an_automatic_move),
        ADOPTED(test_the_primary_is_there_already),
        ADOPTED(test_a_forced_move),
        ADOPTED(test_who_has_all_that_is_known),
        ADOPTED(test_an_unknown_rate),
        ADOPTED(test_an_unknown_lag),
        ADOPTED(test_a_force_of_which_nobody_knows),
        ADOPTED(test_a_force_that_was_not_sent),
        ADOPTED(test_a_promotion_that_was_not_sent),
        ADOPTED(test_a_promotion_that_was_sent),
        ADOPTED(test_a_promotion_that_nobody_had_to_send),
        ADOPTED(test_a_move_that_lapsed),
        ADOPTED(test_what_would_have_moved),
        ADOPTED(test_what_moves_nothing),
        ADOPTED(test_a_service_without_a_set),
    };
    return cmocka_run_group_tests_name("history", tests, NULL, NULL);
}
