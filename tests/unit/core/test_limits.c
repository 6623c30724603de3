/* Every named limit, at it and one beyond: a clean refusal, or the oldest makes room. */
#include "core_test.h"

static enum core_error nodes(struct group *group, uint32_t count) {
    struct command *command = group_new(COMMAND_NODES);
    (void)TEXT_COPY(command->nodes.cluster, "prod");
    command->nodes.incarnation = 5;
    command->nodes.nodes_index = group->state->nodes_index;
    command->nodes.count = count;
    for (uint32_t n = 0; n < count && n < NODE_MAX; n++) {
        command->nodes.nodes[n].id = n + 1;
        memcpy(command->nodes.nodes[n].name, (char[]){'n', (char)('1' + n), '\0'}, 3);
        if (n < group->state->node_count) {
            memcpy(command->nodes.nodes[n].region, group->state->nodes[n].region, NAME_SIZE);
            memcpy(command->nodes.nodes[n].storage, group->state->nodes[n].storage, 16);
        }
    }
    return group_do(group, command);
}

static void test_nodes(void **state) {
    struct group *group = *state;
    assert_int_equal(nodes(group, 0), CORE_LIMIT);
    assert_int_equal(nodes(group, NODE_MAX + 1), CORE_LIMIT);
    assert_int_equal(nodes(group, UINT32_MAX), CORE_LIMIT);
    assert_int_equal(nodes(group, NODE_MAX), CORE_OK);
    assert_int_equal(group->state->node_count, NODE_MAX);
    assert_int_equal(group_tick(group), CORE_OK);
}

static enum core_error apply_spec(struct group *group, struct spec *spec) {
    return group_spec(group, spec);
}

static void test_services_and_regions(void **state) {
    struct group *group = *state;
    struct spec *spec = spec_example();
    char name[8] = "svc-00";
    while (spec->service_count < SERVICE_MAX) {
        name[4] = (char)('0' + spec->service_count / 10);
        name[5] = (char)('0' + spec->service_count % 10);
        (void)spec_add_service(spec, name);
    }
    name[0] = 'r';
    while (spec->region_count < REGION_MAX) {
        name[4] = (char)('0' + spec->region_count / 10);
        name[5] = (char)('0' + spec->region_count % 10);
        (void)spec_add_region(spec, name);
    }
    assert_int_equal(apply_spec(group, spec), CORE_OK);
    spec->service_count++;
    assert_int_equal(apply_spec(group, spec), CORE_SPEC);
    spec->service_count = SERVICE_MAX;
    spec->region_count++;
    assert_int_equal(apply_spec(group, spec), CORE_SPEC);
    spec->region_count = REGION_MAX;
    for (uint32_t s = 0; s < SERVICE_MAX / 2; s++) { /* in the other order, all of them */
        struct spec_service *kept = malloc(sizeof *kept);
        assert_non_null(kept);
        *kept = spec->services[s];
        spec->services[s] = spec->services[SERVICE_MAX - 1 - s];
        spec->services[SERVICE_MAX - 1 - s] = *kept;
        free(kept);
    }
    assert_int_equal(apply_spec(group, spec), CORE_OK);
    assert_int_equal(state_find_service(group->state, "nocturnal"), SERVICE_MAX - 1);
    free(spec);
}

static void test_counts_within_a_service(void **state) {
    struct group *group = *state;
    struct spec *spec = spec_example();
    struct spec_service *service = &spec->services[0];
    static const struct {
        size_t count;
        uint32_t limit;
    } rows[] = {
        {offsetof(struct spec_service, check_count), CHECK_MAX},
        {offsetof(struct spec_service, zone_count), ZONE_MAX},
        {offsetof(struct spec_service, record_count), RECORD_MAX},
        {offsetof(struct spec_service, target_count), REGION_MAX},
    };
    for (uint32_t i = 0; i < CHECK_MAX; i++) {
        service->checks[i] = service->checks[0];
        memcpy(service->checks[i].name,
               (char[]){'c', (char)('a' + i / 10), (char)('0' + i % 10), 0}, 4);
    }
    for (uint32_t i = 0; i < RECORD_MAX; i++) {
        service->records[i] = service->records[0];
    }
    for (uint32_t i = 0; i < ZONE_MAX; i++) {
        service->zones[i] = service->zones[0];
        service->zones[i].id[1] = (char)('1' + i);
    }
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        uint32_t *count = (uint32_t *)((char *)service + rows[i].count);
        uint32_t kept = *count;
        *count = rows[i].limit;
        bool targets = i == 3; /* there aren't so many to name */
        assert_int_equal(apply_spec(group, spec), targets ? CORE_SPEC : CORE_OK);
        *count = rows[i].limit + 1;
        assert_int_equal(apply_spec(group, spec), CORE_SPEC);
        *count = UINT32_MAX;
        assert_int_equal(apply_spec(group, spec), CORE_SPEC);
        *count = kept;
    }
    free(spec);
}

static void test_revisions(void **state) {
    struct group *group = *state;
    uint64_t indexes[SPEC_REVISION_MAX + 1];
    struct spec *spec = spec_example();
    for (uint32_t i = 0; i <= SPEC_REVISION_MAX; i++) {
        assert_int_equal(group_spec(group, spec), CORE_OK);
        indexes[i] = group->state->spec_index;
    }
    assert_null(state_find_revision(group->state, indexes[0]));
    assert_null(state_find_revision(group->state, indexes[0] + 1000));
    for (uint32_t i = 1; i <= SPEC_REVISION_MAX; i++) {
        const struct spec_revision *kept = state_find_revision(group->state, indexes[i]);
        assert_non_null(kept);
        assert_int_equal(kept->index, indexes[i]);
        assert_string_equal(kept->actor, "alice");
    }
    free(spec);
}

static void test_spec_text(void **state) {
    struct group *group = *state;
    struct spec *spec = spec_example();
    char *text = calloc(1, SPEC_TEXT_MAX + 1);
    assert_non_null(text);
    memset(text, '#', SPEC_TEXT_MAX + 1);
    struct command *command = group_new(COMMAND_SPEC);
    command->spec = (struct command_spec){spec, text, SPEC_TEXT_MAX, group->state->spec_index};
    assert_int_equal(group_ask(group, command), CORE_OK);
    command->spec.expected_index = group->state->spec_index;
    command->spec.text_size++;
    assert_int_equal(group_ask(group, command), CORE_MALFORMED);
    command->spec.text = NULL;
    assert_int_equal(group_ask(group, command), CORE_MALFORMED);
    command->spec.text_size = 0;
    assert_int_equal(group_ask(group, command), CORE_OK);
    for (uint32_t i = 2; i <= SPEC_REVISION_MAX; i++) {
        command->spec.expected_index = group->state->spec_index;
        assert_int_equal(group_ask(group, command), CORE_OK);
    }
    const struct spec_revision *newest = state_find_revision(group->state, 0);
    assert_int_equal(newest->index, group->state->spec_index);
    assert_int_equal(newest->text[0], 0); /* nothing is left of the one whose place it has */
    assert_int_equal(newest->text[SPEC_TEXT_MAX - 1], 0);
    command->spec.spec = NULL;
    assert_int_equal(group_ask(group, command), CORE_MALFORMED);
    free(command);
    free(text);
    free(spec);
}

static void test_overrides(void **state) {
    struct group *group = *state;
    for (uint32_t i = 0; i < OVERRIDE_MAX; i++) {
        assert_int_equal(group_override(group, OVERRIDE_VETO, "", i % 2 == 0 ? 0 : 1000 + i),
                         CORE_OK);
    }
    assert_int_equal(group_override(group, OVERRIDE_VETO, "", 0), CORE_LIMIT);
    group->wall_ms += 2000;
    assert_int_equal(group_tick(group), CORE_OK);
    assert_int_equal(group->state->override_count, OVERRIDE_MAX / 2);
}

static void test_events_and_moves(void **state) {
    struct group *group = *state;
    struct state *s = group->state;
    uint32_t value = OPINION_DOWN;
    while (s->event_count < EVENT_MAX) {
        value = value == OPINION_DOWN ? OPINION_UNKNOWN : OPINION_DOWN;
        assert_int_equal(group_opinion(group, EU, WEST, (enum opinion_value)value), CORE_OK);
    }
    assert_int_equal(s->events[0].kind, EVENT_NODES);
    value = value == OPINION_DOWN ? OPINION_UNKNOWN : OPINION_DOWN;
    assert_int_equal(group_opinion(group, EU, WEST, (enum opinion_value)value), CORE_OK);
    assert_int_equal(s->event_count, EVENT_MAX + 1);
    assert_int_equal(s->events[0].index, group->index); /* the oldest made room */
    for (uint32_t i = 0; s->move_count < MOVE_MAX + 1; i++) {
        const char *to = i % 2 == 0 ? "us-west-2" : "us-east-1";
        assert_int_equal(group_move(group, to, EXECUTION_SWITCHOVER, GATE_BIT(GATE_TARGET_HEALTHY)),
                         CORE_OK);
        group_carry_out(group);
    }
    assert_int_equal(s->moves[0].epoch, MOVE_MAX + 1);
    assert_int_equal(s->moves[1].epoch, 2);
}

static void test_debts(void **state) {
    struct group *group = *state;
    struct service *service = group_service(group);
    service->debt_count = DEBT_MAX - 1;
    for (uint32_t i = 0; i < DEBT_MAX; i++) {
        eid_format(service->debts[i].eid, "nocturnal", 4, i + 1, 0);
    }
    /* At the limit with one more, waived by name: the next release has no room. */
    struct command *move = group_new(COMMAND_MOVE);
    (void)TEXT_COPY(move->move.service, "nocturnal");
    (void)TEXT_COPY(move->move.to, "us-west-2");
    move->move.spec_index = group->state->spec_index;
    move->move.epoch = 2;
    assert_int_equal(
        policy_plan(group->state, 0, EXECUTION_FAILOVER, WEST, 0, NULL, &move->move.plan), CORE_OK);
    assert_int_equal(move->move.plan.count, DEBT_MAX - 1 + 2);
    assert_int_equal(group_do(group, move), CORE_OK);
    for (uint32_t i = 0; i < DEBT_MAX - 1; i++) {
        struct command_step fields = {.step = i};
        assert_int_equal(group_step(group, COMMAND_CLOSING, &fields), CORE_OK);
        const char *name = group_execution(group)->steps[i].name;
        char step[NAME_SIZE];
        memcpy(step, name, sizeof step);
        assert_int_equal(group_choice(group, COMMAND_RELEASE, step), CORE_OK); /* stays a debt */
    }
    assert_int_equal(service->debt_count, DEBT_MAX - 1);
    struct command *next = group_next_step(group, 0);
    while (next != NULL && group_execution(group)->steps[DEBT_MAX].attempts == 0) {
        assert_int_equal(group_do(group, next), CORE_OK);
        next = group_next_step(group, 0);
    }
    free(next);
    service->debt_count = DEBT_MAX;
    assert_int_equal(group_choice(group, COMMAND_RELEASE, "dns"), CORE_LIMIT);
    service->debt_count = DEBT_MAX - 1;
    assert_int_equal(group_choice(group, COMMAND_RELEASE, "dns"), CORE_OK);
    assert_int_equal(service->debt_count, DEBT_MAX);
}

static void test_blobs(void **state) {
    struct group *group = *state;
    assert_int_equal(group_move(group, "us-west-2", EXECUTION_FAILOVER, 0), CORE_OK);
    assert_int_equal(group_do(group, group_next_step(group, 0)), CORE_OK);
    for (uint32_t i = 0; i < BLOB_MAX - 1; i++) {
        group->state->blobs[i].used = true;
    }
    assert_int_equal(group_do(group, group_next_step(group, 0)), CORE_LIMIT);
    group->state->blobs[5].used = false;
    struct command *command = group_next_step(group, 0);
    command->step.after.size_bytes = BLOB_SIZE + 1;
    assert_int_equal(group_apply(group, command), CORE_MALFORMED);
    command->step.after.size_bytes = BLOB_SIZE;
    command->step.before.size_bytes = UINT32_MAX;
    assert_int_equal(group_apply(group, command), CORE_MALFORMED);
    command->step.before.size_bytes = 0;
    assert_int_equal(group_apply(group, command), CORE_MALFORMED); /* what would be compared? */
    command->step.before.size_bytes = BLOB_SIZE;
    assert_int_equal(group_do(group, command), CORE_OK);
}

static void test_indexes_rise(void **state) {
    struct group *group = *state;
    struct command *command = group_new(COMMAND_EXPIRE);
    command->term = group->term;
    assert_int_equal(state_apply(group->state, group->index, command), CORE_MALFORMED);
    assert_int_equal(state_apply(group->state, 0, command), CORE_MALFORMED);
    command->kind = COMMAND_KIND_END;
    assert_int_equal(group_apply(group, command), CORE_NOT_SUPPORTED);
    command->kind = (enum command_kind)0;
    assert_int_equal(group_apply(group, command), CORE_NOT_SUPPORTED);
    command->kind = COMMAND_LEADER;
    command->leader.id = 1;
    assert_int_equal(group_apply(group, command), CORE_STALE_TERM); /* the same term again */
    group->term++;
    command->leader.id = 9;
    assert_int_equal(group_apply(group, command), CORE_NO_NODE);
    free(command);
}

static void test_nothing_before_nodes(void **state) {
    struct state *s = calloc(1, sizeof *s);
    assert_non_null(s);
    state_init(s);
    struct command *command = group_new(COMMAND_LEADER);
    command->term = 1;
    assert_int_equal(state_apply(s, 1, command), CORE_NO_GROUP);
    assert_int_equal(s->applied_index, 1);
    free(command);
    free(s);
    (void)state;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        OPENED(test_nodes),
        OPENED(test_services_and_regions),
        OPENED(test_counts_within_a_service),
        OPENED(test_spec_text),
        OPENED(test_revisions),
        ADOPTED(test_overrides),
        ADOPTED(test_events_and_moves),
        ADOPTED(test_debts),
        ADOPTED(test_blobs),
        ADOPTED(test_indexes_rise),
        cmocka_unit_test(test_nothing_before_nodes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
