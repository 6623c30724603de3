/* Every gate both ways, as read for an automatic move and for an operator's, and skipped by name.
 */
#include "core_test.h"

static struct gate_reading gates[GATE_COUNT];

static uint32_t read_gates(struct group *group, bool automatic, uint32_t skip) {
    group->input.now_ms = group->now_ms;
    group->input.wall_ms = group->wall_ms;
    return policy_read_gates(group->state, &group->input, 0, WEST, automatic, skip, NULL, gates);
}

static void mode(struct group *group) {
    group->state->spec.services[0].mode = MODE_OBSERVE;
}
static void automation(struct group *group) {
    group->state->halted = true;
}
static void pause_all(struct group *group) {
    (void)group_override(group, OVERRIDE_PAUSE, "", 0);
}
static void veto(struct group *group) {
    (void)group_override(group, OVERRIDE_VETO, "", 0);
}
static void verdict(struct group *group) {
    group->reports[EU]->opinions[0][EAST].value = OPINION_UNKNOWN;
}
static void confirmed(struct group *group) {
    group->reports[EU]->windows[0].age_ms = 29999;
}
static void observers(struct group *group) {
    group_service(group)->opinions[EAST][EU].value = OPINION_UNKNOWN;
}
static void in_progress(struct group *group) {
    group_service(group)->execution.phase = EXECUTION_RUNNING;
}
static void half_moved(struct group *group) {
    group_service(group)->half_moved = true;
}
static void cooldown(struct group *group) {
    uint64_t limit_ms = group->state->spec.services[0].policy.cooldown_ms;
    group_service(group)->last_move_end_ms = group->state->time_ms - limit_ms + 1;
}
static void moved_often(struct group *group) {
    group_service(group)->recent_move_ms[0] = group->state->time_ms;
    group_service(group)->recent_move_ms[1] = group->state->time_ms - 86400000 + 1;
}
static void flapping(struct group *group) {
    for (int i = 0; i < 5; i++) {
        group_service(group)->unsuspect_ms[i] = group->state->time_ms;
    }
}
static void target_healthy(struct group *group) {
    group_service(group)->opinions[WEST][EU].value = OPINION_DOWN;
}
static void target_maintenance(struct group *group) {
    (void)group_override(group, OVERRIDE_MAINTENANCE, "us-west-2", 0);
}
static void target_ready(struct group *group) {
    group->state->spec.services[0].records[0].value[WEST].text[0] = '\0';
}
static void debts(struct group *group) {
    group_service(group)->debt_count = DEBT_MAX;
}
static void clocks(struct group *group) {
    group->reports[EU]->wall_ms += 5001;
    group->input.reports[EAST] = NULL;
}

/* NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding): columns as one reads them */
static const struct row {
    enum gate gate;
    void (*break_it)(struct group *);
    bool operator_too;
} rows[] = {
    {GATE_MODE, mode, false},
    {GATE_AUTOMATION, automation, false},
    {GATE_PAUSED, pause_all, true},
    {GATE_VETOED, veto, true},
    {GATE_VERDICT, verdict, false},
    {GATE_CONFIRMED, confirmed, false},
    {GATE_OBSERVERS, observers, false},
    {GATE_IN_PROGRESS, in_progress, true},
    {GATE_IN_PROGRESS, half_moved, false},
    {GATE_COOLDOWN, cooldown, false},
    {GATE_FLAPPING, moved_often, false},
    {GATE_FLAPPING, flapping, false},
    {GATE_TARGET_HEALTHY, target_healthy, true},
    {GATE_TARGET_MAINTENANCE, target_maintenance, true},
    {GATE_TARGET_READY, target_ready, true},
    {GATE_DEBTS, debts, true},
    {GATE_CLOCK, clocks, false},
};

/* Ready to decide: every gate passes; the example has no replica set (test_mongo_gates.c). */
static void make_ready(struct group *group) {
    group_open_adopted(group);
    free(group_await_decide(group, WITHOUT_EAST, east_down));
    assert_int_equal(read_gates(group, true, 0), 0);
    for (unsigned gate = 0; gate < GATE_COUNT; gate++) {
        assert_int_equal(gates[gate].result,
                         gate_is_of_set((enum gate)gate) ? GATE_NOT_APPLICABLE : GATE_PASS);
    }
}

static void test_each_gate(void **state) {
    bool seen[GATE_COUNT] = {false};
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct group group;
        make_ready(&group);
        rows[i].break_it(&group);
        uint32_t bit = GATE_BIT(rows[i].gate);
        uint32_t failing = read_gates(&group, true, 0);
        if ((failing & bit) == 0) {
            fail_msg("row %zu: %s passes", i, gate_word(rows[i].gate));
        }
        /* Observers that can't vote give no verdict either; all else fails alone. */
        bool alone = rows[i].gate != GATE_OBSERVERS;
        assert_true(!alone || failing == bit);
        assert_int_equal(gates[rows[i].gate].result, GATE_FAIL);
        failing = read_gates(&group, false, 0);
        assert_int_equal(failing, rows[i].operator_too ? bit : 0);
        assert_int_equal(read_gates(&group, false, bit), 0);
        if (rows[i].operator_too) {
            assert_int_equal(gates[rows[i].gate].result, GATE_SKIPPED);
        }
        seen[rows[i].gate] = true;
        group_close(&group);
    }
    for (unsigned gate = 0; gate < GATE_COUNT; gate++) {
        assert_true(seen[gate] || gate_is_of_set((enum gate)gate));
    }
    (void)state;
}

static void test_approval_opens_mode(void **state) {
    struct group *group = *state;
    assert_true(group_run(group, WITHOUT_EAST, east_down, 20, 1000, has_suspect));
    group->state->spec.services[0].mode = MODE_ADVISE;
    assert_true((read_gates(group, true, 0) & GATE_BIT(GATE_MODE)) != 0);
    group_service(group)->suspect.approved = true;
    group_service(group)->suspect.approved_to = EAST;
    assert_true((read_gates(group, true, 0) & GATE_BIT(GATE_MODE)) != 0);
    group_service(group)->suspect.approved_to = WEST;
    assert_true((read_gates(group, true, 0) & GATE_BIT(GATE_MODE)) == 0);
    group->state->spec.services[0].mode = MODE_OBSERVE;
    assert_true((read_gates(group, true, 0) & GATE_BIT(GATE_MODE)) != 0);
}

static void test_no_target_and_nothing_adopted(void **state) {
    struct group *group = *state;
    uint32_t failing =
        policy_read_gates(group->state, &group->input, 0, NONE_INDEX, true, 0, NULL, gates);
    uint32_t wanted = GATE_BIT(GATE_TARGET_HEALTHY) | GATE_BIT(GATE_VERDICT) |
                      GATE_BIT(GATE_CONFIRMED) | GATE_BIT(GATE_OBSERVERS);
    assert_int_equal(failing & wanted, wanted);
    assert_int_equal(gates[GATE_TARGET_READY].result, GATE_NOT_APPLICABLE);
}

static void test_words(void **state) {
    for (unsigned gate = 0; gate < GATE_COUNT; gate++) {
        const char *word = gate_word((enum gate)gate);
        assert_int_equal(gate_from_word(word), gate);
        assert_true(strlen(gate_doc((enum gate)gate)) > 10);
        assert_true((unsigned)gate_unit((enum gate)gate) <= GATE_UNIT_VOTES);
    }
    assert_int_equal(gate_from_word("none"), GATE_COUNT);
    assert_string_equal(gate_word(GATE_COUNT), "?");
    assert_string_equal(gate_doc(GATE_COUNT), "?");
    assert_false(gate_is_manual(GATE_COUNT));
    assert_string_equal(gate_result_text(GATE_RESULT_COUNT), "?");
#define ALL_WORDS(text, kind, count)                                                               \
    for (unsigned i = 0; i < (count); i++) {                                                       \
        assert_string_not_equal(text((kind)i), "?");                                               \
    }                                                                                              \
    assert_string_equal(text((kind)(count)), "?")
    ALL_WORDS(event_kind_text, enum event_kind, EVENT_KIND_COUNT);
    ALL_WORDS(opinion_text, enum opinion_value, OPINION_VALUE_COUNT);
    ALL_WORDS(role_text, enum role, ROLE_COUNT);
    ALL_WORDS(mode_text, enum service_mode, SERVICE_MODE_COUNT);
    ALL_WORDS(override_kind_text, enum override_kind, OVERRIDE_KIND_COUNT);
    ALL_WORDS(execution_kind_text, enum execution_kind, EXECUTION_KIND_COUNT);
    ALL_WORDS(execution_phase_text, enum execution_phase, EXECUTION_PHASE_COUNT);
    ALL_WORDS(execution_result_text, enum execution_result, EXECUTION_RESULT_COUNT);
    ALL_WORDS(step_kind_text, enum step_kind, STEP_KIND_COUNT);
    ALL_WORDS(step_phase_text, enum step_phase, STEP_PHASE_COUNT);
    ALL_WORDS(step_event_text, enum step_event, STEP_EVENT_COUNT);
    ALL_WORDS(execution_event_text, enum execution_event, EXECUTION_EVENT_COUNT);
    ALL_WORDS(core_error_name, enum core_error, CORE_ERROR_COUNT);
    ALL_WORDS(core_error_text, enum core_error, CORE_ERROR_COUNT);
    for (unsigned kind = COMMAND_NODES; kind < COMMAND_KIND_END; kind++) {
        assert_string_not_equal(command_kind_text((enum command_kind)kind), "?");
    }
    assert_string_equal(command_kind_text((enum command_kind)0), "?");
    (void)state;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_gate),
        ADOPTED(test_approval_opens_mode),
        OPENED(test_no_target_and_nothing_adopted),
        cmocka_unit_test(test_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
