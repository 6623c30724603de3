/* Each clause of DECIDE's rule of apply, broken singly: the command that policy proposes is good
 * but for that one thing, and is refused for it. */
#include "core_test.h"

struct good {
    struct group *group;
    struct command *decide;
};

/* A DECIDE that would be accepted. */
static struct good good_decide(struct group *group) {
    return (struct good){group, group_await_decide(group, WITHOUT_EAST, east_down)};
}

static struct command_decide *fields_of(struct good *good) {
    return &good->decide->decide;
}

static enum core_error decide(struct good *good) {
    enum core_error error = group_apply(good->group, good->decide);
    assert_true(error == CORE_OK || group_execution(good->group)->kind == EXECUTION_ADOPT);
    free(good->decide);
    return error;
}

static void test_unbroken_is_accepted(void **state) {
    struct good good = good_decide(*state);
    assert_int_equal(decide(&good), CORE_OK);
    assert_int_equal(group_service(*state)->epoch, 2);
}

enum change {
    ADD,
    SET,
};

/* One field of the command (offset in command_decide), changed. */
#define FIELD(field)                                                                               \
    offsetof(struct command_decide, field), sizeof(((struct command_decide *)0)->field)
/* NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding): columns as one reads them */
static const struct broken {
    const char *what;
    size_t offset, size;
    enum change change;
    uint64_t value;
    enum core_error error;
} broken[] = {
    {"no such service", FIELD(service), SET, 1, CORE_NO_SERVICE},
    {"far service", FIELD(service), SET, UINT32_MAX, CORE_NO_SERVICE},
    {"another window", FIELD(suspect_index), ADD, 1, CORE_NOT_SUSPECTED},
    {"another spec", FIELD(spec_index), ADD, 1, CORE_CHANGED},
    {"an epoch too far", FIELD(epoch), ADD, 1, CORE_CHANGED},
    {"the same epoch again", FIELD(epoch), ADD, (uint64_t)-1, CORE_CHANGED},
    {"from elsewhere", FIELD(from), SET, WEST, CORE_CHANGED},
    {"to the same region", FIELD(to), SET, EAST, CORE_NO_REGION},
    {"to a witness", FIELD(to), SET, EU, CORE_NO_REGION},
    {"to nowhere", FIELD(to), SET, NONE_INDEX, CORE_NO_REGION},
    {"an older tick", FIELD(tick_index), ADD, (uint64_t)-1, CORE_NO_TICK},
    {"too many citations", FIELD(cited_count), SET, NODE_MAX + 1, CORE_LIMIT},
    {"very many citations", FIELD(cited_count), SET, UINT32_MAX, CORE_LIMIT},
    {"no citation", FIELD(cited_count), SET, 0, CORE_VOTES},
    {"one citation", FIELD(cited_count), SET, 1, CORE_VOTES},
    {"no node", FIELD(cited[0].node), SET, 3, CORE_NO_NODE},
    {"far node", FIELD(cited[0].node), SET, UINT32_MAX, CORE_NO_NODE},
    {"one node twice", FIELD(cited[1].node), SET, WEST, CORE_EVIDENCE},
    {"an older boot", FIELD(cited[0].boot), ADD, (uint64_t)-1, CORE_STALE_REPORT},
    {"an uncommitted boot", FIELD(cited[0].boot), ADD, 1, CORE_STALE_REPORT},
    {"older than the last opinion", FIELD(cited[0].sequence), SET, 0, CORE_STALE_REPORT},
    {"doesn't say down", FIELD(cited[0].down), SET, 0, CORE_VOTES},
    {"a probe before SUSPECT", FIELD(cited[0].first_index), SET, 1, CORE_EVIDENCE},
    {"a last probe before the first", FIELD(cited[0].first_index), ADD, 1, CORE_EVIDENCE},
    {"a probe in the future", FIELD(cited[0].last_index), ADD, 1000, CORE_EVIDENCE},
    {"doesn't know of SUSPECT", FIELD(cited[0].knows_suspect), SET, 0, CORE_NOT_CONFIRMED},
    {"not for confirm", FIELD(cited[0].suspect_age_ms), SET, 29999, CORE_NOT_CONFIRMED},
    {"a gate fails", FIELD(gates[GATE_CLOCK].result), SET, GATE_FAIL, CORE_GATE},
    {"a gate was skipped", FIELD(gates[GATE_CLOCK].result), SET, GATE_SKIPPED, CORE_GATE},
    {"no gate's result", FIELD(gates[GATE_CLOCK].result), SET, GATE_RESULT_COUNT, CORE_GATE},
    {"no plan", FIELD(plan.count), SET, 0, CORE_PLAN},
    {"too long a plan", FIELD(plan.count), SET, STEP_MAX + 1, CORE_PLAN},
    {"DNS holds the switch up", FIELD(plan.steps[1].needs), SET, 0, CORE_PLAN},
    {"no such zone", FIELD(plan.steps[1].zone), SET, NONE_INDEX, CORE_PLAN},
    {"no such kind of step", FIELD(plan.steps[1].kind), SET, STEP_KIND_COUNT, CORE_PLAN},
    {"two switches", FIELD(plan.steps[1].kind), SET, STEP_SWITCH, CORE_PLAN},
    {"an adoption inside a move", FIELD(plan.steps[1].kind), SET, STEP_ADOPT, CORE_PLAN},
    {"a debt that isn't", FIELD(plan.steps[0].kind), SET, STEP_SETTLE, CORE_PLAN},
    {"a switch that may fail", FIELD(plan.steps[0].continue_on_failure), SET, 1, CORE_PLAN},
    {"a step needs itself", FIELD(plan.steps[0].needs), SET, 1, CORE_PLAN},
    {"a nameless step", FIELD(plan.steps[0].name[0]), SET, 0, CORE_PLAN},
};

static void break_field(struct command_decide *decide, const struct broken *b) {
    uint64_t value = 0;
    char *at = (char *)decide + b->offset;
    memcpy(&value, at, b->size); /* little endian, as all that Debian 12 builds for here */
    value = b->change == SET ? b->value : value + b->value;
    memcpy(at, &value, b->size);
}

static void test_each_field_broken(void **state) {
    struct good good = good_decide(*state);
    for (size_t i = 0; i < ARRAY_LENGTH(broken); i++) {
        struct command *command = group_new(COMMAND_DECIDE);
        *command = *good.decide;
        break_field(&command->decide, &broken[i]);
        enum core_error error = group_apply(good.group, command);
        if (error != broken[i].error) {
            fail_msg("%s: %s", broken[i].what, core_error_name(error));
        }
        free(command);
    }
    /* ... and after all of that the unbroken one still passes. */
    assert_int_equal(decide(&good), CORE_OK);
}

static void test_two_steps_of_one_name(void **state) {
    struct good good = good_decide(*state);
    (void)TEXT_COPY(fields_of(&good)->plan.steps[1].name, "switch");
    assert_int_equal(decide(&good), CORE_PLAN);
}

static void test_stale_term(void **state) {
    struct good good = good_decide(*state);
    good.decide->term--;
    good.group->term--; /* group_apply puts the group's term in */
    assert_int_equal(decide(&good), CORE_STALE_TERM);
    good.group->term++;
}

static void test_after_another_leader(void **state) {
    struct good good = good_decide(*state);
    uint64_t tick_index = good.group->state->tick_index;
    assert_int_equal(group_leader(good.group, 3), CORE_OK);
    struct command *command = group_new(COMMAND_DECIDE);
    *command = *good.decide;
    assert_int_equal(group_apply(good.group, command), CORE_NO_TICK);
    free(command);
    assert_int_equal(group_tick(good.group), CORE_OK);
    assert_true(good.group->state->tick_index > tick_index);
    fields_of(&good)->tick_index = good.group->state->tick_index;
    for (uint32_t i = 0; i < fields_of(&good)->cited_count; i++) {
        /* After the TICK but started before LEADER can't be; make the TICK's rule pass alone. */
        fields_of(&good)->cited[i].last_index = good.group->state->leader_index - 1;
    }
    assert_int_equal(decide(&good), CORE_EVIDENCE);
}

static void test_last_probe_before_the_last_tick(void **state) {
    struct good good = good_decide(*state);
    assert_int_equal(group_tick(good.group), CORE_OK);
    fields_of(&good)->tick_index = good.group->state->tick_index;
    assert_int_equal(decide(&good), CORE_EVIDENCE);
}

static void test_report_before_expire(void **state) {
    struct good good = good_decide(*state);
    const struct node *node = &good.group->state->nodes[WEST];
    struct command *command = group_new(COMMAND_EXPIRE);
    command->expire = (struct command_expire){
        .node_id = node->id, .boot = node->boot, .sequence = node->sequence + 100};
    assert_int_equal(group_do(good.group, command), CORE_OK);
    assert_int_equal(decide(&good), CORE_STALE_REPORT);
}

static void test_opinion_after_the_report(void **state) {
    struct good good = good_decide(*state);
    struct command *command = group_new(COMMAND_OPINION);
    const struct cited_report *cited = &fields_of(&good)->cited[0];
    command->opinion = (struct command_opinion){.node_id = good.group->state->nodes[cited->node].id,
                                                .boot = cited->boot,
                                                .sequence = cited->sequence + 1,
                                                .region = EAST,
                                                .value = OPINION_UNKNOWN,
                                                .spec_index = good.group->state->spec_index};
    assert_int_equal(group_do(good.group, command), CORE_OK);
    assert_true(has_suspect(good.group)); /* a missing vote only pauses */
    assert_int_equal(decide(&good), CORE_STALE_REPORT);
}

static void test_no_committed_opinion(void **state) {
    struct good good = good_decide(*state);
    good.group->state->services[0].opinions[EAST][WEST].value = OPINION_UNKNOWN;
    assert_int_equal(decide(&good), CORE_EVIDENCE);
}

static void test_alive_since_suspect(void **state) {
    struct good good = good_decide(*state);
    struct state *s = good.group->state;
    s->services[0].opinions[EAST][WEST].last_alive_index = s->services[0].suspect.index;
    assert_int_equal(decide(&good), CORE_EVIDENCE);
}

static void test_two_regions_decide_nothing(void **state) {
    struct good good = good_decide(*state);
    (void)TEXT_COPY(good.group->state->nodes[EU].region, "us-west-2");
    assert_int_equal(decide(&good), CORE_VOTES);
}

/* A node in each of many regions that nobody knows yet: they ask for more votes, and have none. */
static void test_unknown_regions_ask_for_votes(void **state) {
    struct good good = good_decide(*state);
    struct state *s = good.group->state;
    s->node_count = 5;
    s->nodes[3].id = 4;
    s->nodes[4].id = 5;
    struct votes votes;
    votes_count(s, 0, EAST, &votes);
    assert_int_equal(votes.regions, 5);
    assert_int_equal(votes.need, 3);
    assert_int_equal(decide(&good), CORE_VOTES);
    s->node_count = 3;
}

static enum core_error with_service(struct good *good, void (*change)(struct state *)) {
    change(good->group->state);
    return decide(good);
}

static void halt(struct state *s) {
    s->halted = true;
}
static void half_move(struct state *s) {
    s->services[0].half_moved = true;
}
static void observe(struct state *s) {
    s->spec.services[0].mode = MODE_OBSERVE;
}
static void advise(struct state *s) {
    s->spec.services[0].mode = MODE_ADVISE;
}
static void advise_elsewhere(struct state *s) {
    s->spec.services[0].mode = MODE_ADVISE;
    s->services[0].suspect.approved = true;
    s->services[0].suspect.approved_to = EAST;
}
static void reject(struct state *s) {
    s->services[0].suspect.rejected = true;
}
static void cool(struct state *s) {
    s->services[0].last_move_end_ms = s->time_ms - s->spec.services[0].policy.cooldown_ms + 1;
}
static void move_often(struct state *s) {
    s->services[0].recent_move_ms[0] = s->time_ms - 86400000 + 1;
    s->services[0].recent_move_ms[7] = s->time_ms;
}
static void owe(struct state *s) {
    s->services[0].debt_count = DEBT_MAX;
}
static void target_down(struct state *s) {
    s->services[0].opinions[WEST][EU].value = OPINION_DOWN;
}
static void unadopt(struct state *s) {
    s->services[0].adopted = false;
}

static void test_committed_gates(void **state) {
    static const struct {
        void (*change)(struct state *);
        enum core_error error;
    } rows[] = {
        {halt, CORE_GATE},        {half_move, CORE_GATE},        {observe, CORE_GATE},
        {advise, CORE_GATE},      {advise_elsewhere, CORE_GATE}, {reject, CORE_VETOED},
        {cool, CORE_GATE},        {move_often, CORE_GATE},       {owe, CORE_GATE},
        {target_down, CORE_GATE},
    };
    struct good good = good_decide(*state);
    struct service *kept = malloc(sizeof *kept);
    assert_non_null(kept);
    struct state *s = good.group->state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct good again = {good.group, group_new(COMMAND_DECIDE)};
        *again.decide = *good.decide;
        *kept = s->services[0];
        enum core_error error = with_service(&again, rows[i].change);
        if (error != rows[i].error) {
            fail_msg("row %zu: %s", i, core_error_name(error));
        }
        s->services[0] = *kept;
        s->halted = false;
        s->spec.services[0].mode = MODE_AUTO;
    }
    free(kept);
    assert_int_equal(decide(&good), CORE_OK);
}

static void test_not_adopted(void **state) {
    struct good good = good_decide(*state);
    unadopt(good.group->state);
    good.group->state->services[0].active = NONE_INDEX;
    memset(&good.group->state->services[0].suspect, 0, sizeof(struct suspect));
    assert_int_equal(decide(&good), CORE_NOT_ADOPTED);
}

static void test_cooldown_ends_exactly(void **state) {
    struct good good = good_decide(*state);
    struct state *s = good.group->state;
    s->services[0].last_move_end_ms = s->time_ms - s->spec.services[0].policy.cooldown_ms;
    assert_int_equal(decide(&good), CORE_OK);
}

static void test_overrides_refuse(void **state) {
    struct good good = good_decide(*state);
    static const struct {
        enum override_kind kind;
        const char *region;
        enum core_error error;
    } rows[] = {{OVERRIDE_VETO, "", CORE_VETOED},
                {OVERRIDE_PAUSE, "", CORE_PAUSED},
                {OVERRIDE_MAINTENANCE, "us-west-2", CORE_MAINTENANCE}};
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        assert_int_equal(group_override(good.group, rows[i].kind, rows[i].region, 60000), CORE_OK);
        struct good again = {good.group, group_new(COMMAND_DECIDE)};
        *again.decide = *good.decide;
        assert_int_equal(decide(&again), rows[i].error);
        struct command *end = group_new(COMMAND_OVERRIDE_END);
        end->override.kind = rows[i].kind;
        (void)TEXT_COPY(end->override.service, "nocturnal");
        (void)TEXT_COPY(end->override.region, rows[i].region);
        assert_int_equal(group_do(good.group, end), CORE_OK);
    }
    assert_int_equal(decide(&good), CORE_OK);
}

static void test_no_room_at_the_target(void **state) {
    struct good good = good_decide(*state);
    struct state *s = good.group->state;
    s->spec.regions[WEST].max_active = 1;
    s->spec.service_count = 2;
    (void)TEXT_COPY(s->spec.services[1].name, "reports");
    (void)TEXT_COPY(s->services[1].name, "reports");
    s->services[1].adopted = true;
    s->services[1].active = WEST;
    struct good again = {good.group, group_new(COMMAND_DECIDE)};
    *again.decide = *good.decide;
    assert_int_equal(decide(&again), CORE_GATE);
    s->services[1].active = EAST;
    assert_int_equal(decide(&good), CORE_OK);
}

static void test_one_window_serves_one_decide(void **state) {
    struct good good = good_decide(*state);
    struct command *again = group_new(COMMAND_DECIDE);
    *again = *good.decide;
    assert_int_equal(decide(&good), CORE_OK);
    assert_int_equal(group_apply(*state, again), CORE_IN_PROGRESS);
    assert_int_equal(group_override(*state, OVERRIDE_VETO, "", 1000), CORE_OK);
    assert_int_equal(group_execution(*state)->result, RESULT_LAPSED);
    again->decide.epoch++;
    assert_int_equal(group_apply(*state, again), CORE_NOT_SUSPECTED);
    free(again);
}

/* It was suspended before the region died, wakes up and reports what its probes had seen then: an
 * index from before SUSPECT. Its vote is missing, so nothing moves. */
static void test_a_stalled_process_old_results(void **state) {
    struct group *group = *state;
    uint64_t old = group->index;
    assert_true(group_run(group, WITHOUT_EAST, east_down, 20, 1000, has_suspect));
    for (int i = 0; i < 100; i++) {
        group_second(group);
        group_report(group, WITHOUT_EAST, east_down);
        group->reports[EU]->opinions[0][EAST].first_index = old;
        group->reports[EU]->opinions[0][EAST].last_index = old;
        for (int again = 0; again < 8 && group_policy(group) > 0; again++) {
        }
        assert_false(has_decided(group));
    }
    assert_true(group_run(group, WITHOUT_EAST, east_down, 20, 1000, has_decided));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        ADOPTED(test_unbroken_is_accepted),
        ADOPTED(test_each_field_broken),
        ADOPTED(test_two_steps_of_one_name),
        ADOPTED(test_stale_term),
        ADOPTED(test_after_another_leader),
        ADOPTED(test_last_probe_before_the_last_tick),
        ADOPTED(test_report_before_expire),
        ADOPTED(test_opinion_after_the_report),
        ADOPTED(test_no_committed_opinion),
        ADOPTED(test_alive_since_suspect),
        ADOPTED(test_two_regions_decide_nothing),
        ADOPTED(test_unknown_regions_ask_for_votes),
        ADOPTED(test_committed_gates),
        ADOPTED(test_not_adopted),
        ADOPTED(test_cooldown_ends_exactly),
        ADOPTED(test_overrides_refuse),
        ADOPTED(test_no_room_at_the_target),
        ADOPTED(test_one_window_serves_one_decide),
        ADOPTED(test_a_stalled_process_old_results),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
