/* What the view of a replica set comes to: the case, the member that would be promoted, how far it
 * is behind, and what would be lost. */
#include "mongo_test.h"

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

static void delay(struct mongo_member *m) {
    m->delay_s = 3600;
}
static void no_vote(struct mongo_member *m) {
    m->votes = false;
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
        ADOPTED(test_loss),
        cmocka_unit_test(test_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
