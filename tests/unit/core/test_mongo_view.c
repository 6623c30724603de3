/* One view of a replica set from all reports. */
#include "mongo_test.h"

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

int main(void) {
    const struct CMUnitTest tests[] = {
        ADOPTED(test_a_stale_primary), ADOPTED(test_many_views),  ADOPTED(test_overdue),
        ADOPTED(test_configs),         ADOPTED(test_write_rates), ADOPTED(test_rollbacks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
