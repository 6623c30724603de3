/* The gates about a replica set: each both ways, where policy and where apply reads them, and what
 * they make of the choice of a target. */
#include "mongo_test.h"

static void lag(struct scene *scene) {
    for (uint32_t i = W1; i <= W2; i++) {
        member(scene, i)->optime = (struct mongo_optime){7, 990, 9, 990399};
    }
}
static void unknown_lag(struct scene *scene) {
    for (uint32_t i = W1; i <= W2; i++) {
        member(scene, i)->optime.seconds = 0;
    }
}
static void old_evidence(struct scene *scene) {
    gone(scene, E1, 30001);
}
static void arbiters(struct scene *scene) {
    make_arbiter(member(scene, X1));
    make_arbiter(member(scene, W2));
    gone(scene, E1, 25000);
}
static void election(struct scene *scene) {
    gone(scene, E1, 19999);
}
static void rollback(struct scene *scene) {
    member(scene, E2)->state = MONGO_ROLLBACK;
}
static void config(struct scene *scene) {
    scene->facts.config_committed = false;
}
static void oplog(struct scene *scene) {
    scene->facts.oplog_window_s = 60;
    member(scene, E2)->optime = (struct mongo_optime){7, 930, 9, 930000};
}
static void versions(struct scene *scene) {
    member(scene, E2)->version = 402;
}

/* NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding): columns as one reads them */
static const struct row {
    enum gate gate;
    void (*break_it)(struct scene *);
    uint64_t value, limit;
    uint32_t others; /* that fail as well */
} rows[] = {
    {GATE_REPLICATION_LAG, lag, 10001, 10000, 0},
    {GATE_REPLICATION_LAG, unknown_lag, UINT64_MAX, 10000, GATE_BIT(GATE_MONGO_OPLOG)},
    {GATE_REPLICATION_LAG, old_evidence, 0, 10000, 0},
    {GATE_MONGO_MEMBER, nobody, 0, 1, GATE_BIT(GATE_REPLICATION_LAG)},
    {GATE_MONGO_MAJORITY, lost, 2, 3, GATE_BIT(GATE_MONGO_DATA)},
    {GATE_MONGO_DATA, arbiters, 2, 3, 0},
    {GATE_MONGO_ELECTION, election, 19999, 20000, 0},
    {GATE_MONGO_ROLLBACK, rollback, 1, 0, 0},
    {GATE_MONGO_CONFIG, config, 0, 1, 0},
    {GATE_MONGO_OPLOG, oplog, 70400, 60000, 0},
    {GATE_MONGO_VERSIONS, versions, 404, 403, 0},
};

static uint32_t read_gates(struct scene *scene, bool automatic, uint32_t skip,
                           struct gate_reading gates[GATE_COUNT]) {
    struct group *group = scene->group;
    look(scene);
    return policy_read_gates(group->state, &group->input, 0, WEST, automatic, skip, NULL, gates);
}

static void test_each_gate(void **state) {
    struct gate_reading gates[GATE_COUNT];
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct scene scene = scene_of(state);
        uint32_t bit = GATE_BIT(rows[i].gate);
        assert_int_equal(read_gates(&scene, false, 0, gates), 0);
        assert_int_equal(gates[rows[i].gate].result, GATE_PASS);
        rows[i].break_it(&scene);
        uint32_t failing = read_gates(&scene, false, 0, gates);
        if (failing != (bit | rows[i].others)) {
            fail_msg("row %zu, %s: failing %x", i, gate_word(rows[i].gate), failing);
        }
        assert_true(gates[rows[i].gate].value == rows[i].value);
        assert_true(gates[rows[i].gate].limit == rows[i].limit);
        bool skippable = gate_is_skippable(rows[i].gate);
        assert_int_equal(read_gates(&scene, false, failing, gates), skippable ? 0 : bit);
        assert_int_equal(gates[rows[i].gate].result, skippable ? GATE_SKIPPED : GATE_FAIL);
        assert_int_equal(read_gates(&scene, true, 0, gates) & failing, failing);
    }
}

static void test_no_set_no_gates(void **state) {
    struct scene scene = scene_of(state);
    struct gate_reading gates[GATE_COUNT];
    scene.group->state->spec.services[0].mongo.used = false;
    assert_int_equal(read_gates(&scene, false, 0, gates), 0);
    assert_int_equal(gates[GATE_REPLICATION_LAG].result, GATE_NOT_APPLICABLE);
    assert_int_equal(gates[GATE_MONGO_MEMBER].result, GATE_NOT_APPLICABLE);
    assert_int_equal(scene.verdict.kind, MONGO_CASE_NONE);
}

/* What the server doesn't tell holds nothing up. */
static void test_unknown_oplog_and_versions(void **state) {
    struct scene scene = scene_of(state);
    struct gate_reading gates[GATE_COUNT];
    scene.facts.oplog_window_s = 0;
    for (uint32_t i = 0; i < scene.facts.member_count; i++) {
        member(&scene, i)->version = 0;
    }
    assert_int_equal(read_gates(&scene, false, 0, gates), 0);
    assert_int_equal(gates[GATE_MONGO_OPLOG].result, GATE_NOT_APPLICABLE);
    assert_int_equal(gates[GATE_MONGO_VERSIONS].result, GATE_PASS);
}

/* A region without a member that could be promoted is passed over. */
static void test_choice_of_the_target(void **state) {
    struct scene scene = scene_of(state);
    struct group *group = scene.group;
    enum gate why_not[REGION_MAX];
    look(&scene);
    assert_int_equal(policy_choose_target(group->state, &group->input, 0, why_not), WEST);
    lag(&scene);
    look(&scene);
    assert_int_equal(policy_choose_target(group->state, &group->input, 0, why_not), NONE_INDEX);
    assert_int_equal(why_not[WEST], GATE_REPLICATION_LAG);
    nobody(&scene);
    look(&scene);
    assert_int_equal(policy_choose_target(group->state, &group->input, 0, why_not), NONE_INDEX);
    assert_int_equal(why_not[WEST], GATE_MONGO_MEMBER);
}

/* Apply reads the gates itself, from the facts in the command. */
static void test_apply_checks_the_facts(void **state) {
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct scene scene = scene_of(state);
        struct group *group = scene.group;
        rows[i].break_it(&scene);
        look(&scene);
        uint32_t bits = GATE_BIT(rows[i].gate) | rows[i].others;
        assert_int_equal(group_move(group, "us-west-2", EXECUTION_SWITCHOVER, 0), CORE_GATE);
        bool skippable =
            (bits & (GATE_BIT(GATE_MONGO_MAJORITY) | GATE_BIT(GATE_MONGO_MEMBER))) == 0;
        enum core_error error = group_move(group, "us-west-2", EXECUTION_SWITCHOVER, bits);
        assert_int_equal(error, skippable ? CORE_OK : CORE_GATE);
        if (skippable) {
            assert_int_equal(group_choice(group, COMMAND_CANCEL, ""), CORE_OK);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        ADOPTED(test_each_gate),
        ADOPTED(test_no_set_no_gates),
        ADOPTED(test_unknown_oplog_and_versions),
        ADOPTED(test_choice_of_the_target),
        ADOPTED(test_apply_checks_the_facts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
