/* What the facts about a replica set come to: one view from all reports, the case, the member, and
 * each gate both ways. */
#include <stdio.h>

#include "core_test.h"
#include "mongo_judge.h"
#include "plan_rules.h"

struct scene {
    struct group *group;
    struct mongo_facts facts;
    struct mongo_view view;
    struct mongo_verdict verdict;
};

static struct mongo_member *member(struct scene *scene, uint32_t i) {
    return &scene->facts.members[i];
}

static void gone(struct scene *scene, uint32_t i, uint32_t age_ms) {
    mongo_lose(&scene->facts, i, age_ms);
}

static void elected(struct scene *scene, uint32_t i) {
    struct mongo_member *m = member(scene, i);
    m->state = MONGO_PRIMARY;
    m->writable = true;
    scene->facts.primary = m->id;
    scene->facts.primary_age_ms = 500;
    scene->facts.primary_term = 8;
    for (uint32_t j = 0; j < scene->facts.member_count; j++) {
        scene->facts.members[j].term = scene->facts.members[j].answers ? 8 : 7;
    }
    m->optime.term = 8;
}

/* Every node says the same. */
static void look(struct scene *scene) {
    struct group *group = scene->group;
    group_tell(group, &scene->facts);
    policy_view_set(group->state, &group->input, 0, &scene->view);
    mongo_judge(&group->state->spec.services[0].mongo, &scene->view, WEST, &scene->verdict);
}

static struct scene scene_of(void **state) {
    struct scene scene = {.group = *state, .facts = mongo_example()};
    group_add_set(scene.group);
    return scene;
}

static void test_all_is_well(void **state) {
    struct scene scene = scene_of(state);
    look(&scene);
    assert_int_equal(scene.view.primary, E1);
    assert_int_equal(scene.view.head_age_ms, 500);
    assert_int_equal(scene.verdict.kind, MONGO_CASE_HANDOVER);
    assert_int_equal(scene.verdict.member, W1);
    assert_int_equal(scene.verdict.lag_ms, 0);
    assert_int_equal(scene.verdict.age_ms, 500);
    assert_int_equal(scene.verdict.voters, 5);
    assert_int_equal(scene.verdict.need, 3);
    assert_int_equal(scene.verdict.voters_alive, 5);
    assert_int_equal(scene.verdict.electable, 2);
    assert_int_equal(scene.verdict.leaderless_ms, 0);
}

static void test_cases(void **state) {
    struct scene scene = scene_of(state);
    gone(&scene, E1, 9000);
    gone(&scene, E2, 9000);
    look(&scene);
    assert_int_equal(scene.verdict.kind, MONGO_CASE_ELECTION);
    assert_int_equal(scene.verdict.leaderless_ms, 9000);
    assert_int_equal(scene.verdict.age_ms, 9000);
    elected(&scene, X1);
    look(&scene);
    assert_int_equal(scene.verdict.kind, MONGO_CASE_HANDOVER);
    assert_int_equal(scene.verdict.age_ms, 500);
    scene.facts = mongo_example();
    gone(&scene, E1, 9000);
    elected(&scene, W2);
    look(&scene);
    assert_int_equal(scene.verdict.kind, MONGO_CASE_THERE);
    assert_int_equal(scene.verdict.member, W2);
    scene.facts = mongo_example();
    gone(&scene, E1, 9000);
    gone(&scene, E2, 9000);
    gone(&scene, X1, 9000);
    look(&scene);
    assert_int_equal(scene.verdict.kind, MONGO_CASE_FORCED);
    assert_int_equal(scene.verdict.voters_alive, 2);
    gone(&scene, W1, 9000);
    gone(&scene, W2, 9000);
    look(&scene);
    assert_int_equal(scene.verdict.kind, MONGO_CASE_NOBODY);
    assert_int_equal(scene.verdict.member, NONE_INDEX);
    assert_true(scene.verdict.lag_ms == UINT64_MAX);
}

static void test_the_best_member(void **state) {
    struct scene scene = scene_of(state);
    member(&scene, W1)->optime.count = 4;
    look(&scene);
    assert_int_equal(scene.verdict.member, W2);
    member(&scene, W2)->optime.count = 4;
    member(&scene, W2)->priority_milli = 1001;
    look(&scene);
    assert_int_equal(scene.verdict.member, W2);
    member(&scene, W1)->priority_milli = 1001;
    look(&scene);
    assert_int_equal(scene.verdict.member, W1); /* the lower id */
    /* An older term is behind, whatever its time. */
    member(&scene, W1)->optime = (struct mongo_optime){6, 2000, 1, 2000000};
    look(&scene);
    assert_int_equal(scene.verdict.member, W2);
}

static void hide(struct mongo_member *m) {
    m->hidden = true;
}
static void delay(struct mongo_member *m) {
    m->delay_s = 3600;
}
static void no_priority(struct mongo_member *m) {
    m->priority_milli = 0;
}
static void no_vote(struct mongo_member *m) {
    m->votes = false;
}
static void make_arbiter(struct mongo_member *m) {
    m->arbiter = true;
    m->state = MONGO_ARBITER;
}
static void elsewhere(struct mongo_member *m) {
    m->region = NONE_INDEX;
}
static void recovering(struct mongo_member *m) {
    m->state = MONGO_RECOVERING;
}
static void rolling_back(struct mongo_member *m) {
    m->state = MONGO_ROLLBACK;
}
static void old_answer(struct mongo_member *m) {
    m->age_ms = 6001;
}

static void test_who_is_never_promoted(void **state) {
    static void (*const spoil[])(struct mongo_member *) = {hide,       delay,        no_priority,
                                                           no_vote,    make_arbiter, elsewhere,
                                                           recovering, rolling_back, old_answer};
    for (size_t i = 0; i < ARRAY_LENGTH(spoil); i++) {
        struct scene scene = scene_of(state);
        spoil[i](member(&scene, W1));
        look(&scene);
        assert_int_equal(scene.verdict.member, W2);
        spoil[i](member(&scene, W2));
        look(&scene);
        assert_int_equal(scene.verdict.kind, MONGO_CASE_NOBODY);
    }
}

static void test_lag(void **state) {
    struct scene scene = scene_of(state);
    /* Written a second and a half ago by the primary's clock. */
    for (uint32_t i = W1; i <= W2; i++) {
        member(&scene, i)->optime = (struct mongo_optime){7, 998, 9, 998900};
    }
    look(&scene);
    assert_int_equal(scene.verdict.lag_ms, 1500);
    /* A server that tells whole seconds only: the most that it can be. */
    member(&scene, W1)->optime.wall_ms = 0;
    member(&scene, W2)->answers = false;
    look(&scene);
    assert_int_equal(scene.verdict.lag_ms, 3000);
    member(&scene, W1)->optime = (struct mongo_optime){0, 0, 0, 0};
    look(&scene);
    assert_true(scene.verdict.lag_ms == UINT64_MAX);
    member(&scene, W1)->optime = (struct mongo_optime){8, 1, 1, 0}; /* a newer term: ahead */
    look(&scene);
    assert_int_equal(scene.verdict.lag_ms, 0);
}

static void test_age(void **state) {
    struct scene scene = scene_of(state);
    gone(&scene, E1, 31000);
    look(&scene);
    assert_int_equal(scene.verdict.age_ms, 31000); /* what e1 wrote since, nobody knows */
    scene.facts.primary_age_ms = MONGO_AGE_NEVER;
    look(&scene);
    assert_true(scene.verdict.age_ms == UINT64_MAX);
}

/* A primary that slept through an election says that it is one still. */
static void test_a_stale_primary(void **state) {
    struct scene scene = scene_of(state);
    elected(&scene, X1);
    member(&scene, E1)->term = 7;
    look(&scene);
    assert_int_equal(scene.view.primary, X1);
    member(&scene, X1)->state = MONGO_SECONDARY;
    member(&scene, X1)->writable = false;
    look(&scene);
    assert_int_equal(scene.view.primary, NONE_INDEX);
    /* PRIMARY that isn't writable yet is none either. */
    struct scene other = scene_of(state);
    member(&other, E1)->writable = false;
    look(&other);
    assert_int_equal(other.view.primary, NONE_INDEX);
}

/* Each node sees its own part; of each member whoever asked it last is believed. */
static void test_many_views(void **state) {
    struct scene scene = scene_of(state);
    struct group *group = scene.group;
    look(&scene);
    struct mongo_facts *east = &group->reports[EAST]->mongo[0];
    struct mongo_facts *eu = &group->reports[EU]->mongo[0];
    east->members[W1].answers = false;
    east->members[W1].state = MONGO_UNKNOWN;
    east->members[W1].age_ms = 400000;
    eu->members[W1].optime.count = 9;
    eu->members[W1].age_ms = 100;
    policy_view_set(group->state, &group->input, 0, &scene.view);
    assert_int_equal(scene.view.facts.members[W1].optime.count, 9);
    assert_int_equal(scene.view.facts.members[W1].age_ms, 100);
    /* An age goes on while a report lies here. */
    group->input.now_ms = group->now_ms + 3000;
    policy_view_set(group->state, &group->input, 0, &scene.view);
    assert_int_equal(scene.view.facts.members[W1].age_ms, 3100);
    assert_true(scene.view.facts.members[W1].answers);
    /* One whose report is too old, or about another spec, says nothing. */
    group->input.received_ms[EU] = group->now_ms - 3000;
    policy_view_set(group->state, &group->input, 0, &scene.view);
    assert_int_equal(scene.view.facts.members[W1].optime.count, 5);
    for (uint32_t n = 0; n < 3; n++) {
        group->reports[n]->spec_index++;
    }
    policy_view_set(group->state, &group->input, 0, &scene.view);
    assert_int_equal(scene.view.facts.member_total, 0);
    mongo_judge(&group->state->spec.services[0].mongo, &scene.view, WEST, &scene.verdict);
    assert_int_equal(scene.verdict.kind, MONGO_CASE_NOBODY);
}

static void test_loss(void **state) {
    struct scene scene = scene_of(state);
    member(&scene, W1)->optime = (struct mongo_optime){7, 906, 1, 906400};
    member(&scene, W1)->optime_age_ms = 700;
    look(&scene);
    struct mongo_loss loss = mongo_loss(&scene.view, W1);
    assert_int_equal(loss.lag_ms, 94000);
    assert_int_equal(loss.age_ms, 700);
    assert_int_equal(loss.writes, 12300); /* 130.85 x 94 = 12299.9 */
    loss = mongo_loss(&scene.view, E1);
    assert_int_equal(loss.lag_ms, 0);
    assert_int_equal(loss.age_ms, 500);
    assert_int_equal(loss.writes, 0);
    /* The primary is gone: its last known place counts, and its rate. */
    gone(&scene, E1, 51000);
    look(&scene);
    loss = mongo_loss(&scene.view, W1);
    assert_int_equal(loss.lag_ms, 94000);
    assert_int_equal(loss.age_ms, 51000);
    assert_int_equal(loss.writes, 12300);
    /* What isn't known. */
    scene.view.head_age_ms = MONGO_AGE_NEVER;
    assert_true(mongo_loss(&scene.view, W1).age_ms == UINT64_MAX);
    scene.view.facts.write_rate_milli = MONGO_RATE_UNKNOWN;
    loss = mongo_loss(&scene.view, W1);
    assert_int_equal(loss.lag_ms, 94000);
    assert_true(loss.writes == UINT64_MAX);
    scene.view.facts.write_rate_milli = 1;
    scene.view.facts.members[W1].optime.seconds = 0;
    loss = mongo_loss(&scene.view, W1);
    assert_true(loss.lag_ms == UINT64_MAX && loss.writes == UINT64_MAX);
    loss = mongo_loss(&scene.view, NONE_INDEX);
    assert_true(loss.lag_ms == UINT64_MAX && loss.age_ms == UINT64_MAX);
    assert_true(loss.writes == UINT64_MAX);
    scene.view.facts.member_count = MONGO_MEMBER_MAX + 1;
    assert_true(mongo_loss(&scene.view, MONGO_MEMBER_MAX).lag_ms == UINT64_MAX);
    /* The most that a rate and a lag can come to. */
    scene.view.facts.write_rate_milli = MONGO_RATE_UNKNOWN - 1;
    scene.view.head = (struct mongo_optime){7, 9000000, 1, UINT64_C(1) << 40};
    scene.view.facts.members[W1].optime =
        (struct mongo_optime){7, 1, 1, (UINT64_C(1) << 40) - UINT32_MAX};
    assert_true(mongo_loss(&scene.view, W1).writes == UINT64_C(18446744060825));
    scene.view.facts.members[W1].optime.wall_ms--;
    assert_true(mongo_loss(&scene.view, W1).writes == UINT64_MAX);
}

/* Whoever saw it last; and what a member is like now is another matter. */
static void test_rollbacks(void **state) {
    struct scene scene = scene_of(state);
    struct group *group = scene.group;
    member(&scene, E2)->rollback_age_ms = 60000;
    look(&scene);
    assert_int_equal(scene.view.facts.members[E1].rollback_age_ms, MONGO_AGE_NEVER);
    assert_int_equal(scene.view.facts.members[E2].rollback_age_ms, 60000);
    struct mongo_member *eu = &group->reports[EU]->mongo[0].members[E2];
    eu->rollback_age_ms = 4000;
    eu->age_ms = 90000; /* the others have asked it later */
    eu->answers = false;
    policy_view_set(group->state, &group->input, 0, &scene.view);
    assert_int_equal(scene.view.facts.members[E2].rollback_age_ms, 4000);
    assert_int_equal(scene.view.facts.members[E2].age_ms, 500);
    assert_false(mongo_member_fell_silent_in_rollback(&scene.view.facts.members[E2]));
    group->input.now_ms = group->now_ms + 3000;
    policy_view_set(group->state, &group->input, 0, &scene.view);
    assert_int_equal(scene.view.facts.members[E2].rollback_age_ms, 7000);
    group->input.now_ms = group->now_ms;
    /* This one has asked it last, and wasn't there. */
    eu->rollback_age_ms = MONGO_AGE_NEVER;
    eu->age_ms = 100;
    policy_view_set(group->state, &group->input, 0, &scene.view);
    assert_int_equal(scene.view.facts.members[E2].age_ms, 100);
    assert_int_equal(scene.view.facts.members[E2].rollback_age_ms, 60000);

    static const struct {
        bool answers, silent;
        uint32_t rollback_age_ms, age_ms;
    } rows[] = {{false, true, 500, 500},
                {false, true, 300, 500},
                {false, true, 300, MONGO_AGE_NEVER},
                {false, false, 501, 500}, /* it has answered since */
                {false, false, MONGO_AGE_NEVER, MONGO_AGE_NEVER},
                {true, false, 500, 500}};
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct mongo_member one = {.answers = rows[i].answers,
                                   .age_ms = rows[i].age_ms,
                                   .rollback_age_ms = rows[i].rollback_age_ms};
        assert_int_equal(mongo_member_fell_silent_in_rollback(&one), rows[i].silent);
    }
}

/* Writes are counted of one primary: by whoever saw it last, or, of the same, whoever counted. */
static void test_write_rates(void **state) {
    static const struct {
        uint32_t age_ms, primary, rate, result;
        uint64_t term;
    } rows[] = {
        {400, E1, 7000, 7000, 7},                 /* saw it later */
        {600, E1, 7000, 130850, 7},               /* earlier */
        {400, E1, MONGO_RATE_UNKNOWN, 130850, 7}, /* later, and never counted */
        {400, W1, MONGO_RATE_UNKNOWN, MONGO_RATE_UNKNOWN, 8},
        {400, E1, MONGO_RATE_UNKNOWN, MONGO_RATE_UNKNOWN, 8},
        {400, W1, 9000, 9000, 8},
        {600, W1, 9000, 130850, 6},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct scene scene = scene_of(state);
        look(&scene);
        assert_int_equal(scene.view.facts.write_rate_milli, 130850);
        struct mongo_facts *eu = &scene.group->reports[EU]->mongo[0];
        eu->primary_age_ms = rows[i].age_ms;
        eu->primary = rows[i].primary;
        eu->primary_term = rows[i].term;
        eu->write_rate_milli = rows[i].rate;
        policy_view_set(scene.group->state, &scene.group->input, 0, &scene.view);
        assert_int_equal(scene.view.facts.write_rate_milli, rows[i].result);
        assert_int_equal(scene.view.facts.primary, rows[i].age_ms == 400 ? rows[i].primary : E1);
    }
    struct scene scene = scene_of(state);
    scene.facts.write_rate_milli = MONGO_RATE_UNKNOWN;
    look(&scene);
    assert_int_equal(scene.view.facts.write_rate_milli, MONGO_RATE_UNKNOWN);
    /* One that saw it earlier, or as late, and counted. */
    scene.group->reports[EU]->mongo[0].write_rate_milli = 5000;
    scene.group->reports[EU]->mongo[0].primary_age_ms = 900;
    policy_view_set(scene.group->state, &scene.group->input, 0, &scene.view);
    assert_int_equal(scene.view.facts.write_rate_milli, 5000);
    for (uint32_t n = 0; n < 3; n++) {
        scene.group->reports[n]->mongo[0].member_total = 0; /* nobody knows anything */
    }
    policy_view_set(scene.group->state, &scene.group->input, 0, &scene.view);
    assert_int_equal(scene.view.facts.write_rate_milli, MONGO_RATE_UNKNOWN);
}

/* A region's node goes with it: what it said last of the members that went as well. */
static void test_overdue(void **state) {
    struct scene scene = scene_of(state);
    struct group *group = scene.group;
    look(&scene);
    for (uint32_t n = WEST; n <= EU; n++) {
        struct mongo_member *primary = &group->reports[n]->mongo[0].members[E1];
        primary->answers = primary->writable = false;
        primary->state = MONGO_UNKNOWN;
        primary->age_ms = 2500;
    }
    group->input.received_ms[EAST] = group->now_ms - 1500;
    policy_view_set(group->state, &group->input, 0, &scene.view);
    assert_true(scene.view.facts.members[E1].answers);
    assert_int_equal(scene.view.primary, E1);
    group->input.received_ms[EAST]--;
    policy_view_set(group->state, &group->input, 0, &scene.view);
    assert_false(scene.view.facts.members[E1].answers);
    assert_int_equal(scene.view.primary, NONE_INDEX);
    mongo_judge(&group->state->spec.services[0].mongo, &scene.view, WEST, &scene.verdict);
    assert_int_equal(scene.verdict.silent, 1);
    /* Members that nobody found silent, and one that another still reaches, answer. */
    assert_true(scene.view.facts.members[E2].answers);
    group->reports[EU]->mongo[0].members[E1].answers = true;
    group->reports[EU]->mongo[0].members[E1].age_ms = 100;
    policy_view_set(group->state, &group->input, 0, &scene.view);
    assert_true(scene.view.facts.members[E1].answers);
}

/* The newest config says who is a member: by term and version; a forced one has no term. */
static void test_configs(void **state) {
    static const struct {
        uint64_t version, term;
        bool is_newer;
    } rows[] = {{3, 7, false}, {4, 7, true},  {2, 8, true},
                {9, 6, false}, {2, 0, false}, {40000, 0, true}};
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct scene scene = scene_of(state);
        look(&scene);
        struct mongo_facts *eu = &scene.group->reports[EU]->mongo[0];
        eu->config_version = rows[i].version;
        eu->config_term = rows[i].term;
        eu->members[W1].priority_milli = 77000;
        policy_view_set(scene.group->state, &scene.group->input, 0, &scene.view);
        assert_int_equal(scene.view.facts.members[W1].priority_milli,
                         rows[i].is_newer ? 77000 : 1000);
    }
}

/* --- gates --- */

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
static void nobody(struct scene *scene) {
    no_priority(member(scene, W1));
    hide(member(scene, W2));
}
static void lost(struct scene *scene) {
    gone(scene, E1, 25000);
    gone(scene, E2, 25000);
    gone(scene, X1, 25000);
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
    rolling_back(member(scene, E2));
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

/* --- plans --- */

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

static void test_texts(void **state) {
    (void)state;
    assert_string_equal(mongo_state_text(MONGO_SECONDARY), "SECONDARY");
    assert_string_equal(mongo_state_text(MONGO_STATE_COUNT), "?");
    assert_string_equal(mongo_case_text(MONGO_CASE_FORCED), "forced");
    assert_string_equal(mongo_case_text(MONGO_CASE_COUNT), "?");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        ADOPTED(test_all_is_well),
        ADOPTED(test_cases),
        ADOPTED(test_the_best_member),
        ADOPTED(test_who_is_never_promoted),
        ADOPTED(test_lag),
        ADOPTED(test_age),
        ADOPTED(test_a_stale_primary),
        ADOPTED(test_many_views),
        ADOPTED(test_overdue),
        ADOPTED(test_configs),
        ADOPTED(test_write_rates),
        ADOPTED(test_rollbacks),
        ADOPTED(test_loss),
        ADOPTED(test_each_gate),
        ADOPTED(test_no_set_no_gates),
        ADOPTED(test_unknown_oplog_and_versions),
        ADOPTED(test_choice_of_the_target),
        ADOPTED(test_plans),
        ADOPTED(test_a_move_by_hand),
        ADOPTED(test_apply_checks_the_facts),
        ADOPTED(test_an_automatic_move),
        ADOPTED(test_cancel_of_a_promotion),
        ADOPTED(test_release),
        cmocka_unit_test(test_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
