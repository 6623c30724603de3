/* Where to: order in the spec, health, headroom, risk groups, maintenance; no target -> stay, and
 * say so. */
#include "core_test.h"

#define SOUTH 3
#define NORTH 4

/* East active; targets in order: west, south, north. */
static void open_targets(struct group *group) {
    struct spec *spec = spec_example();
    assert_int_equal(spec_add_region(spec, "sa-east-1"), SOUTH);
    assert_int_equal(spec_add_region(spec, "eu-north-1"), NORTH);
    group_open_with(group, spec,
                    (const char *const[]){"us-east-1", "us-west-2", "eu-west-1", NULL});
    free(spec);
    group_adopt_all(group);
}

static void set_region(struct group *group, uint32_t region, enum opinion_value value) {
    for (uint32_t n = 0; n < 3; n++) {
        group_service(group)->opinions[region][n].value = value;
    }
}

static uint32_t choose(struct group *group, enum gate why_not[REGION_MAX]) {
    return policy_choose_target(group->state, &group->input, 0, why_not);
}

static void test_order_and_health(void **state) {
    struct group group;
    enum gate why_not[REGION_MAX];
    open_targets(&group);
    assert_int_equal(choose(&group, why_not), WEST);
    set_region(&group, WEST, OPINION_DOWN);
    assert_int_equal(choose(&group, why_not), SOUTH);
    assert_int_equal(why_not[WEST], GATE_TARGET_HEALTHY);
    set_region(&group, SOUTH, OPINION_UNKNOWN);
    assert_int_equal(choose(&group, why_not), NORTH);
    set_region(&group, NORTH, OPINION_DEGRADED);
    assert_int_equal(choose(&group, why_not), NORTH);
    set_region(&group, NORTH, OPINION_DOWN);
    assert_int_equal(choose(&group, why_not), NONE_INDEX);
    assert_int_equal(why_not[NORTH], GATE_TARGET_HEALTHY);
    group_service(&group)->active = WEST;
    assert_int_equal(choose(&group, why_not), EAST); /* home is the first choice again */
    group_close(&group);
    (void)state;
}

static void test_maintenance(void **state) {
    struct group group;
    enum gate why_not[REGION_MAX];
    open_targets(&group);
    assert_int_equal(group_override(&group, OVERRIDE_MAINTENANCE, "us-west-2", 0), CORE_OK);
    assert_int_equal(choose(&group, why_not), SOUTH);
    assert_int_equal(why_not[WEST], GATE_TARGET_MAINTENANCE);
    group_close(&group);
    (void)state;
}

static void test_risk_group_comes_last(void **state) {
    struct group group;
    enum gate why_not[REGION_MAX];
    open_targets(&group);
    struct spec *spec = &group.state->spec;
    (void)TEXT_COPY(spec->regions[EAST].risk_group, "america");
    (void)TEXT_COPY(spec->regions[WEST].risk_group, "america");
    (void)TEXT_COPY(spec->regions[SOUTH].risk_group, "america");
    assert_int_equal(choose(&group, why_not), NORTH);
    set_region(&group, NORTH, OPINION_DOWN);
    assert_int_equal(choose(&group, why_not), WEST); /* better than none; the first of equals */
    group_close(&group);
    (void)state;
}

static void test_headroom(void **state) {
    struct group group;
    enum gate why_not[REGION_MAX];
    open_targets(&group);
    struct state *s = group.state;
    s->spec.regions[WEST].max_active = 1;
    assert_int_equal(choose(&group, why_not), WEST);
    s->spec.service_count = 2;
    s->services[1].adopted = true;
    s->services[1].active = WEST;
    assert_int_equal(choose(&group, why_not), SOUTH);
    assert_int_equal(why_not[WEST], GATE_TARGET_READY);
    s->services[1].active = EAST;
    assert_int_equal(choose(&group, why_not), WEST);
    s->services[1].execution.phase = EXECUTION_RUNNING; /* on its way there */
    s->services[1].execution.to = WEST;
    assert_int_equal(choose(&group, why_not), SOUTH);
    s->spec.regions[WEST].max_active = 2;
    assert_int_equal(choose(&group, why_not), WEST);
    group_close(&group);
    (void)state;
}

static void test_approved_target_comes_first(void **state) {
    struct group group;
    enum gate why_not[REGION_MAX];
    open_targets(&group);
    struct suspect *suspect = &group_service(&group)->suspect;
    suspect->approved = true;
    suspect->approved_to = NORTH;
    assert_int_equal(choose(&group, why_not), NORTH);
    set_region(&group, NORTH, OPINION_DOWN);
    assert_int_equal(choose(&group, why_not), WEST);
    group_close(&group);
    (void)state;
}

static bool was_blocked(const struct group *group) {
    return group_saw(group, EVENT_BLOCKED);
}

static uint64_t blocked_gates(const struct group *group) {
    for (uint64_t i = group->state->event_count; i-- > 0;) {
        if (group->state->events[i].kind == EVENT_BLOCKED) {
            return group->state->events[i].value;
        }
    }
    return 0;
}

static void stays(struct group *group, const enum opinion_value seen[REGION_MAX]) {
    assert_true(group_run(group, WITHOUT_EAST, seen, 90, 1000, was_blocked));
    assert_true((blocked_gates(group) & GATE_BIT(GATE_TARGET_HEALTHY)) != 0);
    group_run(group, WITHOUT_EAST, seen, 60, 1000, NULL);
    assert_int_equal(group_service(group)->epoch, 1);
    assert_int_equal(group_service(group)->active, EAST);
}

static void test_two_regions_dying_together(void **state) {
    stays(*state, both_down);
}

static void test_a_service_down_everywhere(void **state) {
    static const enum opinion_value down[REGION_MAX] = {OPINION_DOWN, OPINION_DOWN, OPINION_UNKNOWN,
                                                        OPINION_DOWN, OPINION_DOWN};
    struct group group;
    open_targets(&group);
    stays(&group, down);
    group_close(&group);
    (void)state;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_and_health),
        cmocka_unit_test(test_maintenance),
        cmocka_unit_test(test_risk_group_comes_last),
        cmocka_unit_test(test_headroom),
        cmocka_unit_test(test_approved_target_comes_first),
        ADOPTED(test_two_regions_dying_together),
        cmocka_unit_test(test_a_service_down_everywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
