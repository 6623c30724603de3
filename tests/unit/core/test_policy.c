/* What a leader proposes beside moves: NODES, FEATURE, HALT, EXPIRE; a full output; plans; and that
 * each broken invariant is named, and stops automation. */
#include "core_test.h"
#include "plan_rules.h"

static struct command commands[POLICY_COMMAND_MAX];

static const struct command *proposed(struct group *group, enum command_kind kind) {
    struct policy_output output = {.commands = commands};
    group->input.now_ms = group->now_ms;
    group->input.wall_ms = group->wall_ms;
    policy_next(group->state, &group->input, &output);
    for (uint32_t i = 0; i < output.count; i++) {
        if (commands[i].kind == kind) {
            return &commands[i];
        }
    }
    return NULL;
}

static void test_tells_regions(void **state) {
    struct group *group = *state;
    struct node *node = &group->state->nodes[EU];
    memset(node->region, 0, sizeof node->region);
    memset(node->storage, 0, sizeof node->storage);
    group_report(group, EVERYBODY, all_up);
    memset(group->reports[EU]->region, 0, NAME_SIZE);
    assert_null(proposed(group, COMMAND_NODES)); /* it doesn't know either */
    (void)TEXT_COPY(group->reports[EU]->region, "eu-west-1");
    group->reports[EU]->storage[0] = 9;
    assert_non_null(proposed(group, COMMAND_NODES));
    assert_int_equal(group_policy(group), 1);
    assert_string_equal(node->region, "eu-west-1");
    assert_int_equal(node->storage[0], 9);
    assert_null(proposed(group, COMMAND_NODES));
}

static void test_raises_no_unknown_feature(void **state) {
    struct group *group = *state;
    group_report(group, EVERYBODY, all_up);
    group->state->feature_level = 0;
    assert_non_null(proposed(group, COMMAND_FEATURE));
    group->reports[EU]->feature_level = 0;
    assert_null(proposed(group, COMMAND_FEATURE));
    struct command *command = group_new(COMMAND_FEATURE);
    command->feature.level = FEATURE_LEVEL_NEWEST;
    assert_int_equal(group_apply(group, command), CORE_OK);
    assert_int_equal(group_apply(group, command), CORE_NOT_SUPPORTED);
    command->feature.level = FEATURE_LEVEL_NEWEST + 1;
    assert_int_equal(group_apply(group, command), CORE_NOT_SUPPORTED);
    free(command);
}

static void test_different_digests_halt(void **state) {
    struct group *group = *state;
    group_report(group, EVERYBODY, all_up);
    for (int n = 0; n < 3; n++) {
        group->reports[n]->digest_index = n == 0 ? 5 : 7;
        group->reports[n]->digest[0] = n == 0 ? 1 : 2;
    }
    assert_null(proposed(group, COMMAND_HALT)); /* of other entries */
    group->reports[EU]->digest[31] = 1;
    const struct command *halt = proposed(group, COMMAND_HALT);
    assert_non_null(halt);
    assert_int_equal(halt->halt.index, 7);
    (void)group_policy(group);
    assert_true(group->state->halted);
    assert_null(proposed(group, COMMAND_HALT));
    assert_int_equal(group_do(group, group_new(COMMAND_HALT)), CORE_OK); /* again: nothing */
}

static void test_expires_silent_nodes_once(void **state) {
    struct group *group = *state;
    group->now_ms += REPORT_EXPIRE_MS;
    assert_null(proposed(group, COMMAND_EXPIRE));
    group->now_ms += 1;
    assert_non_null(proposed(group, COMMAND_EXPIRE));
    assert_int_equal(group_policy(group), 3);
    assert_null(proposed(group, COMMAND_EXPIRE));
    group_second(group);
    group_report(group, EVERYBODY, all_up);
    assert_non_null(proposed(group, COMMAND_OPINION));
}

static void test_full_output(void **state) {
    struct spec *spec = spec_example();
    char name[8] = "svc-00";
    while (spec->service_count < 40) {
        name[4] = (char)('0' + spec->service_count / 10);
        name[5] = (char)('0' + spec->service_count % 10);
        (void)spec_add_service(spec, name);
    }
    struct group group;
    group_open_with(&group, spec,
                    (const char *const[]){"us-east-1", "us-west-2", "eu-west-1", NULL});
    free(spec);
    group_report(&group, EVERYBODY, all_up);
    assert_null(proposed(&group, COMMAND_TICK));
    assert_int_equal(group_policy(&group), POLICY_COMMAND_MAX);
    group_adopt_all(&group); /* rounds go on until all is said */
    assert_int_equal(group.state->services[39].opinions[WEST][EU].value, OPINION_UP);
    group_close(&group);
    (void)state;
}

static void test_plans(void **state) {
    struct group *group = *state;
    struct plan plan;
    assert_int_equal(policy_plan(group->state, 1, EXECUTION_FAILOVER, WEST, 0, NULL, &plan),
                     CORE_NO_SERVICE);
    assert_int_equal(policy_plan(group->state, 0, EXECUTION_FAILOVER, 3, 0, NULL, &plan),
                     CORE_NO_REGION);
    struct spec_service *spec = &group->state->spec.services[0];
    spec->zones[1] = spec->zones[0];
    spec->zone_count = 2;
    assert_int_equal(policy_plan(group->state, 0, EXECUTION_ADOPT, EAST, 0, NULL, &plan), CORE_OK);
    assert_int_equal(plan.count, 3);
    assert_string_equal(plan.steps[1].name, "adopt-2");
    assert_int_equal(plan.steps[2].needs, 3); /* the switch needs both fences */
    assert_int_equal(policy_plan(group->state, 0, EXECUTION_FAILOVER, WEST, 0, NULL, &plan),
                     CORE_OK);
    assert_string_equal(plan.steps[2].name, "dns-2");
    assert_int_equal(plan.steps[2].needs, 1);
}

/* Each derived plan is sound; one thing changed in it isn't. */
static void test_unsound_plans(void **state) {
    struct group *group = *state;
    struct state *s = group->state;
    struct service *service = group_service(group);
    service->debt_count = 2;
    struct plan plan;
#define SOUND(kind)                                                                                \
    plan_is_sound(s, 0, kind, (kind) == EXECUTION_ADOPT ? EAST : WEST, 0, NULL, &plan)
    assert_int_equal(policy_plan(s, 0, EXECUTION_FAILOVER, WEST, 0, NULL, &plan), CORE_OK);
    assert_true(SOUND(EXECUTION_FAILOVER)); /* settle, settle-2, switch, dns */
    assert_false(SOUND(EXECUTION_ADOPT));
    plan.steps[1].debt = 0;
    assert_false(SOUND(EXECUTION_FAILOVER)); /* one debt twice */
    plan.steps[1].debt = 1;
    plan.steps[2].needs = 1;
    assert_false(SOUND(EXECUTION_FAILOVER)); /* moves before all is settled */
    plan.steps[2].needs = 3;
    plan.steps[3].needs = 3;
    assert_false(SOUND(EXECUTION_FAILOVER)); /* traffic before the switch */
    plan.steps[3].needs = 7;
    assert_true(SOUND(EXECUTION_FAILOVER));
    plan.count = 3;
    assert_false(SOUND(EXECUTION_FAILOVER)); /* a zone is left out */
    assert_int_equal(policy_plan(s, 0, EXECUTION_ADOPT, EAST, 0, NULL, &plan), CORE_OK);
    assert_true(SOUND(EXECUTION_ADOPT)); /* settle, settle-2, adopt, switch */
    plan.steps[3].needs = 3;
    assert_false(SOUND(EXECUTION_ADOPT)); /* a switch without its fence */
    plan.steps[3].needs = 7;
    plan.steps[2].continue_on_failure = true;
    assert_false(SOUND(EXECUTION_ADOPT));
    plan.steps[2].continue_on_failure = false;
    plan.steps[4] = plan.steps[2];
    (void)TEXT_COPY(plan.steps[4].name, "adopt-2");
    plan.count = 5;
    assert_false(SOUND(EXECUTION_ADOPT)); /* a zone twice */
    plan.steps[4].zone = 1;
    assert_false(SOUND(EXECUTION_ADOPT)); /* no such zone */
    service->debt_count = 0;
}

static void test_zone_of_a_step(void **state) {
    struct group *group = *state;
    assert_int_equal(group_move(group, "us-west-2", EXECUTION_FAILOVER, 0), CORE_OK);
    assert_string_equal(step_zone(group->state, 0, 1)->id, "Z1");
    struct service *service = group_service(group);
    struct step *step = &service->execution.steps[1];
    step->kind = STEP_SETTLE;
    (void)TEXT_COPY(step->debt_eid, "nocturnal/5.1/1");
    assert_null(step_zone(group->state, 0, 1));
    service->debt_count = 2;
    (void)TEXT_COPY(service->debts[0].eid, "nocturnal/5.1/0");
    (void)TEXT_COPY(service->debts[1].eid, "nocturnal/5.1/1");
    (void)TEXT_COPY(service->debts[1].zone.id, "ZOLD"); /* as it was then */
    assert_string_equal(step_zone(group->state, 0, 1)->id, "ZOLD");
    assert_int_equal(state_find_node_name(group->state, "n3"), EU);
    assert_int_equal(state_find_node_name(group->state, "n9"), NONE_INDEX);
}

static void high_epoch(struct state *s) {
    s->services[0].execution.epoch = 9;
}
static void other_name(struct state *s) {
    s->services[0].name[0] = 'x';
}
static void nowhere_active(struct state *s) {
    s->services[0].active = NONE_INDEX;
}
static void two_worlds(struct state *s) {
    s->services[0].suspect.open = true;
    s->services[0].suspect.region = WEST;
}
static void deep_in_debt(struct state *s) {
    s->services[0].debt_count = DEBT_MAX + 1;
}
static void old_open(struct state *s) {
    s->services[0].execution.phase = EXECUTION_RUNNING;
    s->services[0].epoch = 9;
}
static void no_steps(struct state *s) {
    s->services[0].execution.phase = EXECUTION_RUNNING;
    s->services[0].execution.step_count = 0;
}
static void early_step(struct state *s) {
    s->services[0].execution.phase = EXECUTION_DECIDED;
    s->services[0].execution.begun_index = 0;
}
static void blind_attempt(struct state *s) {
    s->services[0].execution.phase = EXECUTION_RUNNING;
    s->services[0].execution.steps[0].phase = STEP_WAITING;
}
static void under_a_veto(struct state *s) {
    struct execution *e = &s->services[0].execution;
    e->phase = EXECUTION_DECIDED;
    e->automatic = true;
    for (uint32_t i = 0; i < e->step_count; i++) {
        e->steps[i].phase = STEP_WAITING;
        e->steps[i].attempts = 0;
    }
    s->override_count = 1; /* a veto over all, until taken back */
}

static void test_each_invariant(void **state) {
    static void (*const breaks[])(struct state *) = {
        high_epoch, other_name, nowhere_active, two_worlds,    deep_in_debt,
        old_open,   no_steps,   early_step,     blind_attempt, under_a_veto};
    for (size_t i = 0; i < ARRAY_LENGTH(breaks); i++) {
        struct group group;
        group_open_adopted(&group);
        assert_null(state_broken_invariant(group.state));
        breaks[i](group.state);
        if (state_broken_invariant(group.state) == NULL) {
            fail_msg("invariant %zu isn't seen", i);
        }
        struct command command = {.kind = COMMAND_TICK, .term = group.term};
        command.tick.count = 3;
        assert_int_equal(state_apply(group.state, group.index + 1, &command), CORE_INVARIANT);
        assert_true(group.state->halted);
        group_close(&group);
    }
    (void)state;
}

static void break_cluster(struct command_nodes *c) {
    (void)TEXT_COPY(c->cluster, "staging");
}
static void no_cluster(struct command_nodes *c) {
    c->cluster[0] = '\0';
}
static void break_incarnation(struct command_nodes *c) {
    c->incarnation++;
}
static void no_incarnation(struct command_nodes *c) {
    c->incarnation = 0;
}
static void no_id(struct command_nodes *c) {
    c->nodes[2].id = 0;
}
static void no_name(struct command_nodes *c) {
    c->nodes[2].name[0] = '\0';
}
static void twin_id(struct command_nodes *c) {
    c->nodes[2].id = 1;
}
static void twin_name(struct command_nodes *c) {
    (void)TEXT_COPY(c->nodes[2].name, "n1");
}

static void test_malformed_nodes(void **state) {
    struct group *group = *state;
    static const struct {
        void (*change)(struct command_nodes *);
        enum core_error error;
    } rows[] = {{break_cluster, CORE_CHANGED},     {no_cluster, CORE_MALFORMED},
                {break_incarnation, CORE_CHANGED}, {no_incarnation, CORE_MALFORMED},
                {no_id, CORE_MALFORMED},           {no_name, CORE_MALFORMED},
                {twin_id, CORE_MALFORMED},         {twin_name, CORE_MALFORMED}};
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct command *command = group_new(COMMAND_NODES);
        memcpy(command->nodes.cluster, group->state->cluster, NAME_SIZE);
        command->nodes.incarnation = group->state->incarnation;
        command->nodes.nodes_index = group->state->nodes_index;
        command->nodes.count = 3;
        for (uint32_t n = 0; n < 3; n++) {
            const struct node *node = &group->state->nodes[n];
            command->nodes.nodes[n].id = node->id;
            memcpy(command->nodes.nodes[n].name, node->name, NAME_SIZE);
            memcpy(command->nodes.nodes[n].region, node->region, NAME_SIZE);
            memcpy(command->nodes.nodes[n].storage, node->storage, sizeof node->storage);
        }
        rows[i].change(&command->nodes);
        enum core_error error = group_do(group, command);
        if (error != rows[i].error) {
            fail_msg("row %zu: %s", i, core_error_name(error));
        }
    }
}

/* Also of the services that the one before had and this one hasn't. */
static void test_a_report_is_copied_whole(void **state) {
    static struct report to;
    static struct report from;
    (void)state;
    to.service_count = 3;
    memset(to.opinions, 0x11, 3 * sizeof to.opinions[0]);
    memset(to.windows, 0x11, 3 * sizeof to.windows[0]);
    memset(to.mongo, 0x11, 3 * sizeof to.mongo[0]);
    from.node_id = 7;
    from.service_count = 1;
    memset(from.opinions, 0x22, sizeof from.opinions[0]);
    memset(from.windows, 0x22, sizeof from.windows[0]);
    memset(from.mongo, 0x22, sizeof from.mongo[0]);
    report_copy(&to, &from);
    assert_memory_equal(&to, &from, sizeof to);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_report_is_copied_whole),
        ADOPTED(test_tells_regions),
        ADOPTED(test_raises_no_unknown_feature),
        ADOPTED(test_different_digests_halt),
        ADOPTED(test_expires_silent_nodes_once),
        cmocka_unit_test(test_full_output),
        OPENED(test_plans),
        ADOPTED(test_unsound_plans),
        ADOPTED(test_zone_of_a_step),
        cmocka_unit_test(test_each_invariant),
        ADOPTED(test_malformed_nodes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
