/* From opinions to a region's vote to a verdict. Ties: half of a region's nodes is not more than
 * half, so it says nothing; half of the regions is no majority. */
#include "core_test.h"

static void set(struct group *group, uint32_t node, enum opinion_value value) {
    group_service(group)->opinions[EAST][node].value = value;
}

static enum opinion_value verdict(struct group *group) {
    struct votes votes;
    votes_count(group->state, 0, EAST, &votes);
    return votes_verdict(&votes);
}

static void open_regions(struct group *group, const char *const *regions) {
    struct spec *spec = spec_example();
    group_open_with(group, spec, regions);
    free(spec);
    group_adopt_all(group);
}

static void test_region_with_two_nodes(void **state) {
    struct group group;
    open_regions(&group,
                 (const char *const[]){"us-east-1", "us-west-2", "us-west-2", "eu-west-1", NULL});
    const struct state *s = group.state;
    static const struct {
        enum opinion_value first, second, vote;
    } rows[] = {
        {OPINION_DOWN, OPINION_DOWN, OPINION_DOWN},
        {OPINION_DOWN, OPINION_UP, OPINION_UNKNOWN},
        {OPINION_DOWN, OPINION_UNKNOWN, OPINION_UNKNOWN},
        {OPINION_DOWN, OPINION_DEGRADED, OPINION_UNKNOWN},
        {OPINION_UP, OPINION_UP, OPINION_UP},
        {OPINION_UP, OPINION_DEGRADED, OPINION_DEGRADED},
        {OPINION_DEGRADED, OPINION_DEGRADED, OPINION_DEGRADED},
        {OPINION_UP, OPINION_UNKNOWN, OPINION_UNKNOWN},
        {OPINION_UNKNOWN, OPINION_UNKNOWN, OPINION_UNKNOWN},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        set(&group, 1, rows[i].first);
        set(&group, 2, rows[i].second);
        assert_int_equal(votes_of_region(s, 0, EAST, "us-west-2"), rows[i].vote);
        set(&group, 2, rows[i].first);
        set(&group, 1, rows[i].second);
        assert_int_equal(votes_of_region(s, 0, EAST, "us-west-2"), rows[i].vote);
    }
    /* One of the two, with the third region, is not enough; both are. */
    set(&group, 3, OPINION_DOWN);
    set(&group, 1, OPINION_DOWN);
    set(&group, 2, OPINION_UNKNOWN);
    assert_int_equal(verdict(&group), OPINION_UNKNOWN);
    set(&group, 2, OPINION_DOWN);
    assert_int_equal(verdict(&group), OPINION_DOWN);
    group_close(&group);
    (void)state;
}

static void test_own_vote_never_counts_for_down(void **state) {
    struct group *group = *state;
    set(group, EAST, OPINION_DOWN);
    set(group, WEST, OPINION_DOWN);
    set(group, EU, OPINION_UNKNOWN);
    assert_int_equal(verdict(group), OPINION_UNKNOWN);
    set(group, EAST, OPINION_UP);
    set(group, EU, OPINION_DOWN);
    assert_int_equal(verdict(group), OPINION_DOWN); /* nor against it */
}

static void test_own_vote_counts_for_alive(void **state) {
    struct group *group = *state;
    set(group, EAST, OPINION_UP);
    set(group, WEST, OPINION_UP);
    set(group, EU, OPINION_UNKNOWN);
    assert_int_equal(verdict(group), OPINION_UP);
    set(group, WEST, OPINION_DEGRADED);
    assert_int_equal(verdict(group), OPINION_DEGRADED);
    set(group, WEST, OPINION_UNKNOWN);
    assert_int_equal(verdict(group), OPINION_UNKNOWN);
}

static void test_four_regions_tie(void **state) {
    struct group group;
    open_regions(&group, (const char *const[]){"us-east-1", "us-west-2", "eu-west-1", "x-1", NULL});
    for (uint32_t n = 1; n < 4; n++) {
        set(&group, n, n < 3 ? OPINION_DOWN : OPINION_UP);
    }
    assert_int_equal(verdict(&group), OPINION_UNKNOWN); /* 2 of 4 are no majority */
    set(&group, 3, OPINION_DOWN);
    assert_int_equal(verdict(&group), OPINION_DOWN);
    group_close(&group);
    (void)state;
}

static void test_two_regions_have_no_verdict(void **state) {
    struct group group;
    open_regions(&group, (const char *const[]){"us-east-1", "us-west-2", "us-west-2", NULL});
    set(&group, 1, OPINION_DOWN);
    set(&group, 2, OPINION_DOWN);
    assert_int_equal(verdict(&group), OPINION_UNKNOWN);
    assert_int_equal(votes_spare_observers(group.state, &group.input, 0), -1);
    group_close(&group);
    (void)state;
}

static void test_spare_observers(void **state) {
    struct group *group = *state;
    set(group, WEST, OPINION_UP);
    set(group, EU, OPINION_UP);
    assert_int_equal(votes_spare_observers(group->state, &group->input, 0), 0);
    set(group, EU, OPINION_UNKNOWN);
    assert_int_equal(votes_spare_observers(group->state, &group->input, 0), -1);
    group_service(group)->adopted = false;
    group_service(group)->active = NONE_INDEX;
    assert_int_equal(votes_spare_observers(group->state, &group->input, 0), -1);
}

/* eu-west-1 only observes: its vote is needed, it is no target and nothing is active there. */
static void test_witness_region(void **state) {
    struct group *group = *state;
    enum gate why_not[REGION_MAX];
    group->state->services[0].opinions[EU][WEST].value = OPINION_UP;
    assert_int_equal(policy_choose_target(group->state, &group->input, 0, why_not), WEST);
    assert_int_equal(why_not[EU], GATE_COUNT);
    assert_int_equal(group_move(group, "eu-west-1", EXECUTION_FAILOVER, UINT32_MAX),
                     CORE_NO_REGION);
    assert_int_equal(group_move(group, "eu-west-1", EXECUTION_ADOPT, UINT32_MAX), CORE_NO_REGION);
    assert_false(group_run(group, 2u, east_down, 60, 1000, has_suspect));
    assert_true(group_run(group, WITHOUT_EAST, east_down, 60, 1000, has_decided));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_region_with_two_nodes),
        ADOPTED(test_own_vote_never_counts_for_down),
        ADOPTED(test_own_vote_counts_for_alive),
        cmocka_unit_test(test_four_regions_tie),
        cmocka_unit_test(test_two_regions_have_no_verdict),
        ADOPTED(test_spare_observers),
        ADOPTED(test_witness_region),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
