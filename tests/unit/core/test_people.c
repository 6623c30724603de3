/* Roles, owners, deduplication, overrides, approvals: what people may, and that repeating does
 * nothing. */
#include "core_test.h"

static struct command *veto(void) {
    struct command *command = group_new(COMMAND_OVERRIDE);
    command->override.kind = OVERRIDE_VETO;
    (void)TEXT_COPY(command->override.service, "nocturnal");
    return command;
}

static void test_roles(void **state) {
    struct group *group = *state;
    for (unsigned kind = COMMAND_SPEC; kind < COMMAND_KIND_END; kind++) {
        enum role least = command_least_role((enum command_kind)kind);
        assert_true(least == ROLE_OPERATOR || least == ROLE_ADMIN);
        static const enum role no_roles[] = {ROLE_VIEWER, ROLE_NODE};
        for (size_t i = 0; i < ARRAY_LENGTH(no_roles); i++) {
            struct command *command = group_new((enum command_kind)kind);
            command->origin.role = no_roles[i];
            assert_int_equal(group_do(group, command), CORE_ROLE);
        }
        struct command *command = group_new((enum command_kind)kind);
        command->origin.role = ROLE_OPERATOR;
        enum core_error error = group_do(group, command);
        assert_int_equal(error == CORE_ROLE, least == ROLE_ADMIN);
        command = group_new((enum command_kind)kind);
        command->origin.role = ROLE_COUNT;
        assert_int_equal(group_do(group, command), CORE_MALFORMED);
    }
    for (unsigned kind = COMMAND_NODES; kind < COMMAND_SPEC; kind++) {
        assert_false(command_is_by_person((enum command_kind)kind));
        assert_int_equal(command_least_role((enum command_kind)kind), ROLE_NONE);
    }
}

static void test_owners(void **state) {
    struct group *group = *state;
    /* NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding): columns as one reads them */
    static const struct {
        enum role role;
        const char *owner;
        enum core_error error;
    } rows[] = {{ROLE_OPERATOR, "platform", CORE_OK},
                {ROLE_OPERATOR, "", CORE_OK},
                {ROLE_OPERATOR, "others", CORE_OWNER},
                {ROLE_ADMIN, "others", CORE_OK}};
    for (int all = 0; all < 2; all++) {
        for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
            struct command *command = veto();
            command->origin.role = rows[i].role;
            (void)TEXT_COPY(command->origin.owner, rows[i].owner);
            if (all) {
                command->override.service[0] = '\0';
            }
            bool one_owner = rows[i].role == ROLE_OPERATOR && rows[i].owner[0] != '\0';
            enum core_error wanted = all && one_owner ? CORE_OWNER : rows[i].error;
            assert_int_equal(group_do(group, command), wanted);
        }
    }
}

static enum core_error ask(struct group *group, uint8_t client, uint64_t sequence, uint64_t known) {
    struct command *command = veto();
    command->origin.client_id[0] = client;
    command->origin.client_id[1] = 1;
    command->origin.sequence = sequence;
    command->origin.known_index = known;
    command->origin.role = ROLE_ADMIN;
    command->override.until_ms = group->wall_ms + 1000;
    enum core_error error = group_apply(group, command);
    free(command);
    return error;
}

static void test_repeats_do_nothing(void **state) {
    struct group *group = *state;
    uint64_t known = group->index;
    assert_int_equal(ask(group, 1, 0, known), CORE_MALFORMED);
    assert_int_equal(ask(group, 1, 5, group->index + 1), CORE_MALFORMED); /* knows the future */
    assert_int_equal(ask(group, 1, 5, known), CORE_OK);
    assert_int_equal(group->state->override_count, 1);
    assert_int_equal(ask(group, 1, 5, known), CORE_DUPLICATE);
    assert_int_equal(ask(group, 1, 4, known), CORE_SEQUENCE);
    assert_int_equal(group->state->override_count, 1);
    const uint8_t id[16] = {1, 1};
    const struct client *client = state_find_client(group->state, id);
    assert_non_null(client);
    assert_int_equal(client->result, CORE_OK);
    assert_int_equal(client->sequence, 5);
}

/* The window is bounded: what may be as old as a forgotten answer is refused, not executed. */
static void test_forgotten_answers_are_refused(void **state) {
    struct group *group = *state;
    struct service *service = group_service(group);
    uint64_t known = group->index;
    assert_int_equal(ask(group, 0, 1, known), CORE_OK);
    memset(group->state->clients, 0, sizeof group->state->clients);
    assert_int_equal(ask(group, 0, 1, known), CORE_OK); /* CLIENT_MAX slots are free */
    for (uint32_t i = 1; i < CLIENT_MAX; i++) {
        struct command *command = group_new(COMMAND_APPROVE); /* refused, and remembered */
        memcpy(command->origin.client_id, &i, sizeof i);
        command->origin.client_id[2] = 7;
        command->origin.sequence = 1;
        command->origin.role = ROLE_ADMIN;
        (void)TEXT_COPY(command->choice.service, "nocturnal");
        assert_int_equal(group_apply(group, command), CORE_NOT_SUSPECTED);
        free(command);
    }
    assert_int_equal(ask(group, 0, 1, known), CORE_DUPLICATE);
    assert_int_equal(group->state->client_floor, 0);
    assert_int_equal(ask(group, 200, 1, group->index), CORE_OK); /* one more: the oldest goes */
    assert_true(group->state->client_floor > known);
    assert_int_equal(ask(group, 0, 1, known), CORE_TOO_OLD);
    assert_int_equal(ask(group, 0, 2, group->index), CORE_OK);
    assert_int_equal(service->epoch, 1);
}

static void test_overrides_are_taken_back(void **state) {
    struct group *group = *state;
    struct command *end = group_new(COMMAND_OVERRIDE_END);
    end->override.kind = OVERRIDE_VETO;
    (void)TEXT_COPY(end->override.service, "nocturnal");
    struct command *again = group_new(COMMAND_OVERRIDE_END);
    *again = *end;
    assert_int_equal(group_do(group, end), CORE_NO_OVERRIDE);
    assert_int_equal(group_override(group, OVERRIDE_PAUSE, "", 0), CORE_OK);
    assert_int_equal(group_override(group, OVERRIDE_VETO, "", 0), CORE_OK);
    assert_int_equal(group_override(group, OVERRIDE_VETO, "", 1000), CORE_OK);
    assert_int_equal(group_do(group, again), CORE_OK);
    assert_int_equal(group->state->override_count, 1);
    assert_int_equal(group->state->overrides[0].kind, OVERRIDE_PAUSE);
}

static void test_malformed_overrides(void **state) {
    struct group *group = *state;
    assert_int_equal(group_override(group, OVERRIDE_VETO, "us-east-1", 0), CORE_MALFORMED);
    assert_int_equal(group_override(group, OVERRIDE_MAINTENANCE, "", 0), CORE_MALFORMED);
    assert_int_equal(group_override(group, OVERRIDE_MAINTENANCE, "nowhere", 0), CORE_NO_REGION);
    assert_int_equal(group_override(group, OVERRIDE_KIND_COUNT, "", 0), CORE_MALFORMED);
    assert_int_equal(group_tick(group), CORE_OK);
    struct command *command = veto();
    command->override.until_ms = group->state->time_ms; /* over at once */
    assert_int_equal(group_do(group, command), CORE_MALFORMED);
    command = veto();
    command->override.until_ms = TIME_MAX_MS + 1;
    assert_int_equal(group_do(group, command), CORE_MALFORMED);
    command = veto();
    (void)TEXT_COPY(command->override.service, "none");
    assert_int_equal(group_do(group, command), CORE_NO_SERVICE);
    assert_int_equal(group->state->override_count, 0);
}

static void test_approvals_are_of_one_epoch_and_target(void **state) {
    struct group *group = *state;
    assert_int_equal(group_choice(group, COMMAND_APPROVE, ""), CORE_NOT_SUSPECTED);
    assert_int_equal(group_choice(group, COMMAND_REJECT, ""), CORE_NOT_SUSPECTED);
    assert_true(group_run(group, WITHOUT_EAST, east_down, 20, 1000, has_suspect));
    static const struct {
        uint64_t epoch;
        const char *to;
        enum core_error error;
    } rows[] = {{1, "us-west-2", CORE_CHANGED},   {3, "us-west-2", CORE_CHANGED},
                {2, "us-east-1", CORE_NO_REGION}, {2, "eu-west-1", CORE_NO_REGION},
                {2, "nowhere", CORE_NO_REGION},   {2, "us-west-2", CORE_OK}};
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct command *command = group_new(COMMAND_APPROVE);
        (void)TEXT_COPY(command->choice.service, "nocturnal");
        (void)TEXT_COPY(command->choice.to, rows[i].to);
        command->choice.epoch = rows[i].epoch;
        assert_int_equal(group_do(group, command), rows[i].error);
    }
    assert_true(group_service(group)->suspect.approved);
    assert_int_equal(group_choice(group, COMMAND_REJECT, ""), CORE_OK);
    assert_false(group_service(group)->suspect.approved);
    assert_false(group_run(group, WITHOUT_EAST, east_down, 90, 1000, has_decided));
    assert_int_equal(group_choice(group, COMMAND_APPROVE, ""), CORE_OK);
    assert_true(group_run(group, WITHOUT_EAST, east_down, 20, 1000, has_decided));
    assert_int_equal(group_choice(group, COMMAND_REJECT, ""), CORE_OK); /* nothing was sent yet */
    assert_int_equal(group_execution(group)->result, RESULT_LAPSED);
    assert_false(group_service(group)->suspect.approved); /* used up */
}

static void test_cancel_and_release_name_what_is_open(void **state) {
    struct group *group = *state;
    assert_int_equal(group_choice(group, COMMAND_CANCEL, ""), CORE_NOT_OPEN);
    assert_int_equal(group_choice(group, COMMAND_RELEASE, "dns"), CORE_NOT_OPEN);
    assert_int_equal(group_move(group, "us-west-2", EXECUTION_FAILOVER, 0), CORE_OK);
    struct command *command = group_new(COMMAND_CANCEL);
    (void)TEXT_COPY(command->choice.service, "nocturnal");
    command->choice.epoch = 1;
    assert_int_equal(group_do(group, command), CORE_NOT_OPEN);
}

static void test_moves_skip_gates_by_name(void **state) {
    struct group *group = *state;
    static const struct {
        enum override_kind kind;
        const char *region;
        enum gate gate;
        enum core_error error;
    } rows[] = {{OVERRIDE_VETO, "", GATE_VETOED, CORE_VETOED},
                {OVERRIDE_PAUSE, "", GATE_PAUSED, CORE_PAUSED},
                {OVERRIDE_MAINTENANCE, "us-west-2", GATE_TARGET_MAINTENANCE, CORE_MAINTENANCE}};
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        assert_int_equal(group_override(group, rows[i].kind, rows[i].region, 1000), CORE_OK);
        uint32_t bit = GATE_BIT(rows[i].gate);
        assert_int_equal(group_move(group, "us-west-2", EXECUTION_FAILOVER, ~bit), rows[i].error);
        assert_int_equal(group_move(group, "us-west-2", EXECUTION_FAILOVER, bit), CORE_OK);
        struct command_step fields = {.step = 0};
        assert_int_equal(group_step(group, COMMAND_SWITCH, &fields), CORE_OK); /* begins, too */
        group_carry_out(group);
        assert_int_equal(group_execution(group)->result, RESULT_DONE);
        group->wall_ms += 2000;
        assert_int_equal(group_tick(group), CORE_OK);
        assert_int_equal(group_move(group, "us-east-1", EXECUTION_FAILOVER, 0), CORE_OK);
        group_carry_out(group);
    }
    group_service(group)->opinions[WEST][WEST].value = OPINION_DOWN;
    group_service(group)->opinions[WEST][EU].value = OPINION_DOWN;
    assert_int_equal(group_move(group, "us-west-2", EXECUTION_FAILOVER, 0), CORE_GATE);
    assert_int_equal(
        group_move(group, "us-west-2", EXECUTION_FAILOVER, GATE_BIT(GATE_TARGET_HEALTHY)), CORE_OK);
}

static void test_pause_holds_between_steps(void **state) {
    struct group *group = *state;
    assert_int_equal(group_move(group, "us-west-2", EXECUTION_FAILOVER, 0), CORE_OK);
    assert_int_equal(group_do(group, group_next_step(group, 0)), CORE_OK);
    struct command *intent = group_next_step(group, 0);
    struct command *again = group_new(COMMAND_INTENT);
    *again = *intent;
    assert_int_equal(group_override(group, OVERRIDE_VETO, "", 1000), CORE_OK); /* too late */
    assert_int_equal(group_override(group, OVERRIDE_PAUSE, "", 1000), CORE_OK);
    assert_int_equal(group_execution(group)->phase, EXECUTION_RUNNING);
    assert_int_equal(group_do(group, intent), CORE_PAUSED);
    assert_null(group_next_step(group, 0));
    group->wall_ms += 1000;
    assert_int_equal(group_tick(group), CORE_OK);
    assert_int_equal(group_do(group, again), CORE_OK);
}

static void test_operator_moves_are_made_for_what_is(void **state) {
    struct group *group = *state;
    struct command *command = group_new(COMMAND_MOVE);
    (void)TEXT_COPY(command->move.service, "nocturnal");
    (void)TEXT_COPY(command->move.to, "us-west-2");
    command->move.kind = EXECUTION_ADOPT; /* that is another command */
    assert_int_equal(group_ask(group, command), CORE_MALFORMED);
    command->move.kind = EXECUTION_KIND_COUNT;
    assert_int_equal(group_ask(group, command), CORE_MALFORMED);
    command->move.kind = EXECUTION_FAILOVER;
    command->move.epoch = 2;
    assert_int_equal(group_ask(group, command), CORE_CHANGED);
    command->move.spec_index = group->state->spec_index;
    command->move.epoch = 3;
    assert_int_equal(group_ask(group, command), CORE_CHANGED);
    command->move.epoch = 2;
    assert_int_equal(group_ask(group, command), CORE_PLAN);
    (void)TEXT_COPY(command->move.service, "none");
    assert_int_equal(group_ask(group, command), CORE_NO_SERVICE);
    free(command);
    group_service(group)->debt_count = DEBT_MAX;
    assert_int_equal(group_move(group, "us-west-2", EXECUTION_FAILOVER, 0), CORE_GATE);
}

static void test_room_holds_people_too(void **state) {
    struct group *group = *state;
    struct state *s = group->state;
    s->spec.regions[WEST].max_active = 1;
    s->spec.service_count = 2;
    (void)TEXT_COPY(s->spec.services[1].name, "reports");
    (void)TEXT_COPY(s->services[1].name, "reports");
    s->services[1].adopted = true;
    s->services[1].active = WEST;
    assert_int_equal(group_move(group, "us-west-2", EXECUTION_FAILOVER, 0), CORE_GATE);
    assert_int_equal(
        group_move(group, "us-west-2", EXECUTION_FAILOVER, GATE_BIT(GATE_TARGET_READY)), CORE_OK);
}

static void test_not_adopted_does_not_move(void **state) {
    struct group *group = *state;
    assert_int_equal(group_move(group, "us-west-2", EXECUTION_FAILOVER, UINT32_MAX),
                     CORE_NOT_ADOPTED);
    assert_int_equal(group_do(group, group_new(COMMAND_SUSPECT)), CORE_NOT_ADOPTED);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        ADOPTED(test_roles),
        ADOPTED(test_owners),
        ADOPTED(test_repeats_do_nothing),
        ADOPTED(test_forgotten_answers_are_refused),
        ADOPTED(test_overrides_are_taken_back),
        ADOPTED(test_malformed_overrides),
        ADOPTED(test_approvals_are_of_one_epoch_and_target),
        ADOPTED(test_cancel_and_release_name_what_is_open),
        ADOPTED(test_moves_skip_gates_by_name),
        ADOPTED(test_pause_holds_between_steps),
        ADOPTED(test_operator_moves_are_made_for_what_is),
        ADOPTED(test_room_holds_people_too),
        OPENED(test_not_adopted_does_not_move),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
