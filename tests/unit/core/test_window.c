/* The confirm window: what opens, pauses, ends and restarts it; what ends a move that hasn't begun;
 * and TICKs, which must serve one window without starving another. */
#include "core_test.h"

static const enum opinion_value down_west[REGION_MAX] = {OPINION_UP, OPINION_DOWN};

static bool suspect_until(struct group *group) {
    return group_run(group, WITHOUT_EAST, east_down, 20, 1000, has_suspect);
}

static bool decided_until(struct group *group) {
    return group_run(group, WITHOUT_EAST, east_down, 90, 1000, has_decided);
}

static void test_expired_voter_pauses_and_returns(void **state) {
    struct group *group = *state;
    assert_true(suspect_until(group));
    uint64_t window = group_service(group)->suspect.index;
    group_run(group, 2u, east_down, 10, 1000, NULL); /* n3 is silent: EXPIRE */
    assert_true(group->state->nodes[EU].expired);
    assert_int_equal(group_service(group)->suspect.index, window);
    assert_false(group_run(group, 2u, east_down, 60, 1000, has_decided));
    assert_true(group_run(group, WITHOUT_EAST, east_down, 20, 1000, has_decided));
    assert_int_equal(group_execution(group)->suspect_index, window);
}

static void test_newer_boot_drops_opinions(void **state) {
    struct group *group = *state;
    assert_true(suspect_until(group));
    struct command *command = group_new(COMMAND_OPINION);
    const struct node *node = &group->state->nodes[EU];
    command->opinion = (struct command_opinion){.node_id = node->id,
                                                .boot = node->boot + 1,
                                                .sequence = 1,
                                                .region = WEST,
                                                .value = OPINION_UP,
                                                .spec_index = group->state->spec_index};
    assert_int_equal(group_do(group, command), CORE_OK);
    assert_int_equal(group_service(group)->opinions[EAST][EU].value, OPINION_UNKNOWN);
    assert_true(has_suspect(group));
    assert_int_equal(group->state->nodes[EU].sequence, 1);
    struct command *old = group_new(COMMAND_OPINION);
    old->opinion = (struct command_opinion){.node_id = node->id,
                                            .boot = node->boot - 1,
                                            .sequence = 99999,
                                            .region = EAST,
                                            .value = OPINION_DOWN,
                                            .spec_index = group->state->spec_index};
    assert_int_equal(group_do(group, old), CORE_STALE_REPORT);
}

static void test_expire_is_refused_when_older(void **state) {
    struct group *group = *state;
    const struct node *node = &group->state->nodes[EU];
    struct command *command = group_new(COMMAND_EXPIRE);
    command->expire = (struct command_expire){node->id, node->boot, node->sequence - 1};
    assert_int_equal(group_do(group, command), CORE_STALE_REPORT);
    command = group_new(COMMAND_EXPIRE);
    command->expire = (struct command_expire){node->id, node->boot - 1, node->sequence + 1};
    assert_int_equal(group_do(group, command), CORE_STALE_REPORT);
    command = group_new(COMMAND_EXPIRE);
    command->expire = (struct command_expire){99, node->boot, node->sequence};
    assert_int_equal(group_do(group, command), CORE_NO_NODE);
    command = group_new(COMMAND_EXPIRE);
    command->expire = (struct command_expire){node->id, node->boot, node->sequence};
    assert_int_equal(group_do(group, command), CORE_OK);
    /* An opinion of the very report that fell silent came too late; the next one doesn't. */
    command = group_new(COMMAND_OPINION);
    command->opinion = (struct command_opinion){node->id, node->boot, node->sequence,          0,
                                                WEST,     OPINION_UP, group->state->spec_index};
    assert_int_equal(group_do(group, command), CORE_STALE_REPORT);
    command = group_new(COMMAND_OPINION);
    command->opinion = (struct command_opinion){node->id, node->boot, node->sequence + 1,      0,
                                                WEST,     OPINION_UP, group->state->spec_index};
    assert_int_equal(group_do(group, command), CORE_OK);
    assert_false(node->expired);
}

static void test_spec_change_ends_the_window(void **state) {
    struct group *group = *state;
    assert_true(suspect_until(group));
    struct spec *spec = spec_example();
    assert_int_equal(group_spec(group, spec), CORE_OK); /* the same again */
    assert_true(has_suspect(group));
    spec->services[0].policy.cooldown_ms++;
    assert_int_equal(group_spec(group, spec), CORE_OK);
    assert_false(has_suspect(group));
    free(spec);
}

static void test_spec_change_lapses_what_has_not_begun(void **state) {
    struct group *group = *state;
    assert_true(decided_until(group));
    struct spec *spec = spec_example();
    spec->services[0].mode = MODE_OBSERVE;
    assert_int_equal(group_spec(group, spec), CORE_OK);
    assert_int_equal(group_execution(group)->result, RESULT_LAPSED);
    free(spec);
}

static void test_spec_keeps_what_has_begun(void **state) {
    struct group *group = *state;
    assert_int_equal(group_move(group, "us-west-2", EXECUTION_SWITCHOVER, 0), CORE_OK);
    struct spec *spec = spec_example();
    spec->services[0].mode = MODE_OBSERVE;
    assert_int_equal(group_spec(group, spec), CORE_SPEC_IN_USE);
    assert_int_equal(group_do(group, group_next_step(group, 0)), CORE_OK);
    assert_int_equal(group_spec(group, spec), CORE_SPEC_IN_USE);
    group_carry_out(group);
    assert_int_equal(group_spec(group, spec), CORE_OK);
    free(spec);
}

static enum core_error nodes_again(struct group *group, uint32_t count) {
    struct command *command = group_new(COMMAND_NODES);
    memcpy(command->nodes.cluster, group->state->cluster, NAME_SIZE);
    command->nodes.incarnation = group->state->incarnation;
    command->nodes.nodes_index = group->state->nodes_index;
    command->nodes.count = count;
    for (uint32_t n = 0; n < count; n++) {
        const struct node *node = &group->state->nodes[(n + 1) % count];
        command->nodes.nodes[n].id = node->id;
        memcpy(command->nodes.nodes[n].name, node->name, NAME_SIZE);
        memcpy(command->nodes.nodes[n].region, node->region, NAME_SIZE);
        memcpy(command->nodes.nodes[n].storage, node->storage, sizeof node->storage);
    }
    return group_do(group, command);
}

static void test_nodes_change_ends_the_window(void **state) {
    struct group *group = *state;
    assert_true(suspect_until(group));
    assert_int_equal(nodes_again(group, 3), CORE_OK);
    assert_false(has_suspect(group));
    /* Opinions went to the new places: n2 is first now. */
    assert_int_equal(group->state->nodes[0].id, 2);
    assert_int_equal(group_service(group)->opinions[EAST][0].value, OPINION_DOWN);
}

static void test_nodes_change_in_mid_move(void **state) {
    struct group *group = *state;
    assert_true(decided_until(group));
    assert_int_equal(group_do(group, group_next_step(group, 0)), CORE_OK);
    assert_int_equal(nodes_again(group, 3), CORE_OK);
    assert_int_equal(group_execution(group)->phase, EXECUTION_RUNNING);
    group_carry_out(group);
    assert_int_equal(group_execution(group)->result, RESULT_DONE);
}

static void test_nodes_change_before_an_operators_move_begins(void **state) {
    struct group *group = *state;
    assert_int_equal(group_move(group, "us-west-2", EXECUTION_SWITCHOVER, 0), CORE_OK);
    assert_int_equal(nodes_again(group, 3), CORE_OK);
    assert_int_equal(group_execution(group)->phase, EXECUTION_DECIDED);
    group_carry_out(group);
    assert_int_equal(group_execution(group)->result, RESULT_DONE);
}

static void test_nodes_keep_region_and_storage(void **state) {
    struct group *group = *state;
    struct state *s = group->state;
    (void)TEXT_COPY(s->nodes[1].region, "elsewhere");
    assert_int_equal(nodes_again(group, 3), CORE_OK);
    struct command *command = group_new(COMMAND_NODES);
    memcpy(command->nodes.cluster, s->cluster, NAME_SIZE);
    command->nodes.incarnation = s->incarnation;
    command->nodes.nodes_index = s->nodes_index;
    command->nodes.count = 1;
    command->nodes.nodes[0].id = 1;
    (void)TEXT_COPY(command->nodes.nodes[0].name, "n1");
    struct command *again = group_new(COMMAND_NODES);
    *again = *command;
    assert_int_equal(group_do(group, command), CORE_CHANGED); /* another region: "" */
    (void)TEXT_COPY(again->nodes.nodes[0].region, "us-east-1");
    struct command *old = group_new(COMMAND_NODES);
    *old = *again;
    assert_int_equal(group_do(group, again), CORE_CHANGED); /* another disk */
    memcpy(old->nodes.nodes[0].storage, s->nodes[state_find_node(s, 1)].storage, 16);
    struct command *good = group_new(COMMAND_NODES);
    *good = *old;
    old->nodes.nodes_index--;
    assert_int_equal(group_do(group, old), CORE_CHANGED); /* made from an older NODES */
    assert_int_equal(group_do(group, good), CORE_OK);
}

static void test_maintenance_ends_and_holds_the_window(void **state) {
    struct group *group = *state;
    assert_true(suspect_until(group));
    assert_int_equal(group_override(group, OVERRIDE_MAINTENANCE, "us-east-1", 60000), CORE_OK);
    assert_false(has_suspect(group));
    struct command *command = group_new(COMMAND_SUSPECT);
    assert_int_equal(group_do(group, command), CORE_MAINTENANCE);
    assert_false(group_run(group, WITHOUT_EAST, east_down, 50, 1000, has_suspect));
    assert_true(group_run(group, WITHOUT_EAST, east_down, 40, 1000, has_suspect));
}

static void test_overrides_end_exactly(void **state) {
    struct group *group = *state;
    uint64_t start_ms = group->wall_ms;
    assert_int_equal(group_override(group, OVERRIDE_VETO, "", 60000), CORE_OK);
    group->wall_ms = start_ms + 59999;
    assert_int_equal(group_tick(group), CORE_OK);
    assert_non_null(state_override(group->state, OVERRIDE_VETO, "nocturnal", NULL));
    group->wall_ms = start_ms + 60000;
    assert_int_equal(group_tick(group), CORE_OK);
    assert_null(state_override(group->state, OVERRIDE_VETO, "nocturnal", NULL));
    assert_int_equal(group->state->override_count, 0);
}

static void test_each_override_lapses_what_has_not_begun(void **state) {
    struct group *group = *state;
    static const struct {
        enum override_kind kind;
        const char *region;
    } rows[] = {{OVERRIDE_PAUSE, ""},
                {OVERRIDE_MAINTENANCE, "us-west-2"},
                {OVERRIDE_MAINTENANCE, "us-east-1"},
                {OVERRIDE_VETO, ""}};
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        assert_true(decided_until(group));
        assert_int_equal(group_override(group, rows[i].kind, rows[i].region, 1000), CORE_OK);
        assert_int_equal(group_execution(group)->result, RESULT_LAPSED);
    }
}

static void test_halt_lapses_what_has_not_begun(void **state) {
    struct group *group = *state;
    assert_true(decided_until(group));
    struct command *command = group_new(COMMAND_HALT);
    command->halt.node_id = 3;
    assert_int_equal(group_do(group, command), CORE_OK);
    assert_int_equal(group_execution(group)->result, RESULT_LAPSED);
    assert_false(decided_until(group));
    assert_int_equal(group_do(group, group_new(COMMAND_RESUME_AUTOMATION)), CORE_OK);
    assert_int_equal(group_do(group, group_new(COMMAND_RESUME_AUTOMATION)), CORE_NO_OVERRIDE);
    assert_true(decided_until(group));
}

static void test_alive_vote_lapses_what_has_not_begun(void **state) {
    struct group *group = *state;
    assert_true(decided_until(group));
    assert_int_equal(group_opinion(group, WEST, EAST, OPINION_UP), CORE_OK);
    assert_int_equal(group_execution(group)->result, RESULT_LAPSED);
}

/* The stopwatch counts from the last TICK: another one after DECIDE would make old evidence young.
 */
static void test_tick_after_decide_forbids_the_beginning(void **state) {
    struct group *group = *state;
    assert_true(decided_until(group));
    assert_int_equal(group_tick(group), CORE_OK);
    struct command_step fields = {.step = 0, .begin_age_ms = 1};
    assert_int_equal(group_step(group, COMMAND_SWITCH, &fields), CORE_BEGIN_EXPIRED);
}

static void test_policy_lapses_what_nobody_begins(void **state) {
    struct group *group = *state;
    assert_true(decided_until(group));
    uint64_t tick = group->state->tick_index;
    for (int i = 0; i < 20 && has_decided(group); i++) {
        assert_int_equal(group->state->tick_index, tick); /* no TICK meanwhile */
        group_second(group);
        group_report(group, WITHOUT_EAST, east_down);
        (void)group_policy(group);
    }
    assert_int_equal(group_execution(group)->result, RESULT_LAPSED);
}

static void test_next_term_can_not_begin(void **state) {
    struct group *group = *state;
    assert_true(decided_until(group));
    group->state->leader_term++; /* as if its LEADER hadn't lapsed the move */
    group->term++;
    struct command_step fields = {.step = 0, .begin_age_ms = 1};
    assert_int_equal(group_step(group, COMMAND_SWITCH, &fields), CORE_BEGIN_EXPIRED);
}

/* Five regions. A vote that comes after SUSPECT doesn't count as "down ever since"; when the window
 * would rest on it, the window starts anew instead of standing for ever. */
static void test_late_vote_restarts_the_window(void **state) {
    struct spec *spec = spec_example();
    (void)spec_add_region(spec, "ap-south-1");
    (void)spec_add_region(spec, "sa-east-1");
    struct group group;
    group_open_with(&group, spec,
                    (const char *const[]){"us-east-1", "us-west-2", "eu-west-1", "ap-south-1",
                                          "sa-east-1", NULL});
    free(spec);
    group_adopt_all(&group);
    for (uint32_t n = 1; n <= 3; n++) {
        assert_int_equal(group_opinion(&group, n, EAST, OPINION_DOWN), CORE_OK);
    }
    assert_int_equal(group_tick(&group), CORE_OK);
    assert_int_equal(group_do(&group, group_new(COMMAND_SUSPECT)), CORE_OK);
    assert_int_equal(group_opinion(&group, 4, EAST, OPINION_DOWN), CORE_OK); /* late */
    assert_true(has_suspect(&group));
    uint64_t flaps = group_service(&group)->unsuspect_next;
    assert_int_equal(group_opinion(&group, 1, EAST, OPINION_UNKNOWN), CORE_OK);
    assert_false(has_suspect(&group));
    assert_int_equal(group_service(&group)->unsuspect_next, flaps); /* no false alarm */
    assert_int_equal(group_tick(&group), CORE_OK);
    assert_int_equal(group_do(&group, group_new(COMMAND_SUSPECT)), CORE_OK);
    assert_int_equal(group_opinion(&group, 2, EAST, OPINION_UNKNOWN), CORE_OK);
    assert_true(has_suspect(&group)); /* a missing one pauses */
    group_close(&group);
    (void)state;
}

static bool all_moved(const struct group *group) {
    const struct state *s = group->state;
    for (uint32_t i = 0; i < s->spec.service_count; i++) {
        if (s->services[i].active == EAST) {
            return false;
        }
    }
    return true;
}

/* The first service's open execution asks for a TICK each second; the others decide all the same.
 */
static void test_services_of_one_region_move_together(void **state) {
    struct spec *spec = spec_example();
    (void)spec_add_service(spec, "reports");
    (void)spec_add_service(spec, "search");
    struct group group;
    group_open_with(&group, spec,
                    (const char *const[]){"us-east-1", "us-west-2", "eu-west-1", NULL});
    free(spec);
    group_adopt_all(&group);
    uint64_t start_ms = group.now_ms;
    for (uint64_t second = 1; second < 60 && !all_moved(&group); second++) {
        group_second(&group);
        /* Probes of n2 and n3 start in turn, every other second. */
        group_report(&group, second % 2 == 0 ? 2u : 4u, east_down);
        for (int again = 0; again < 6 && group_policy(&group) > 0; again++) {
        }
        for (uint32_t s = 0; s < 3; s++) {
            /* Only the switch: DNS stays unfinished, as while it waits to be in sync. */
            struct command *next = group_next_step(&group, s);
            if (next != NULL && next->kind == COMMAND_SWITCH) {
                assert_int_equal(group_do(&group, next), CORE_OK);
            } else {
                free(next);
            }
        }
    }
    assert_true(all_moved(&group));
    assert_true(group.now_ms - start_ms <= 50000);
    group_close(&group);
    (void)state;
}

static void test_room_for_one_takes_one(void **state) {
    struct spec *spec = spec_example();
    spec->regions[WEST].max_active = 1;
    (void)spec_add_service(spec, "reports");
    struct group group;
    group_open_with(&group, spec,
                    (const char *const[]){"us-east-1", "us-west-2", "eu-west-1", NULL});
    free(spec);
    group_adopt_all(&group);
    const struct service *services = group.state->services;
    for (int second = 0; second < 90; second++) {
        group_run(&group, WITHOUT_EAST, east_down, 1, 1000, NULL);
        group_carry_out_service(&group, 0);
        group_carry_out_service(&group, 1);
    }
    assert_int_equal((services[0].active == WEST) + (services[1].active == WEST), 1);
    assert_true(group_saw(&group, EVENT_BLOCKED));
    group_close(&group);
    (void)state;
}

/* Blocked by max_moves alone: committed time must go on, or that would never end. */
static void test_flapping_ends_by_time(void **state) {
    struct group *group = *state;
    struct service *service = group_service(group);
    assert_int_equal(group_tick(group), CORE_OK);
    service->recent_move_ms[0] = group->state->time_ms;
    service->recent_move_ms[1] = group->state->time_ms;
    assert_false(group_run(group, WITHOUT_EAST, east_down, 60, 1000, has_decided));
    group_run(group, WITHOUT_EAST, east_down, 100, 1000000, NULL);
    assert_true(group_run(group, WITHOUT_EAST, east_down, 60, 1000, has_decided));
}

/* No TICK came while an operator's move ran: its end is dated by the next one, not by the last. */
static void test_cooldown_of_a_move_between_ticks(void **state) {
    struct group *group = *state;
    uint64_t day_ms = 86400000;
    group->wall_ms += 10 * day_ms;
    assert_int_equal(group_move(group, "us-west-2", EXECUTION_SWITCHOVER, 0), CORE_OK);
    group_carry_out(group);
    group->wall_ms += 1000;
    assert_int_equal(group_tick(group), CORE_OK);
    assert_int_equal(group_service(group)->last_move_end_ms, group->state->time_ms);
    assert_false(group_run(group, 5u, down_west, 100, 1000, has_decided));
    group_run(group, 5u, down_west, 60, 30000, NULL);
    assert_true(group_run(group, 5u, down_west, 60, 1000, has_decided));
}

static void test_cancelled_before_begin_is_no_move(void **state) {
    struct group *group = *state;
    assert_int_equal(group_move(group, "us-west-2", EXECUTION_SWITCHOVER, 0), CORE_OK);
    assert_int_equal(group_choice(group, COMMAND_CANCEL, ""), CORE_OK);
    assert_int_equal(group_service(group)->last_move_end_ms, 0);
    assert_true(decided_until(group));
}

static void test_no_minority_moves_time(void **state) {
    struct group *group = *state;
    uint64_t time_ms = group->state->time_ms;
    struct command *command = group_new(COMMAND_TICK);
    command->tick.count = 3;
    command->tick.clock_ms[0] = TIME_MAX_MS; /* one fast clock */
    command->tick.clock_ms[1] = time_ms + 5;
    command->tick.clock_ms[2] = 0; /* one that isn't heard */
    assert_int_equal(group_do(group, command), CORE_OK);
    assert_int_equal(group->state->time_ms, time_ms + 5);
    command = group_new(COMMAND_TICK);
    command->tick.count = 3;
    command->tick.clock_ms[0] = 1; /* two slow ones */
    command->tick.clock_ms[1] = 1;
    command->tick.clock_ms[2] = TIME_MAX_MS;
    assert_int_equal(group_do(group, command), CORE_OK);
    assert_int_equal(group->state->time_ms, time_ms + 5); /* never back */
    command = group_new(COMMAND_TICK);
    command->tick.count = 2;
    assert_int_equal(group_do(group, command), CORE_CHANGED);
    command = group_new(COMMAND_TICK);
    command->tick.count = 3;
    command->tick.clock_ms[1] = TIME_MAX_MS + 1;
    assert_int_equal(group_do(group, command), CORE_MALFORMED);
}

static void test_note_is_kept_once_a_window(void **state) {
    struct group *group = *state;
    struct spec *spec = spec_example();
    spec->services[0].mode = MODE_OBSERVE;
    assert_int_equal(group_spec(group, spec), CORE_OK);
    free(spec);
    assert_true(suspect_until(group));
    uint64_t moves = group->state->move_count;
    for (int i = 0; i < 3; i++) {
        struct command *command = group_new(COMMAND_NOTE);
        command->note = (struct command_note){.suspect_index = group_service(group)->suspect.index,
                                              .note = NOTE_WOULD_HAVE,
                                              .to = WEST};
        assert_int_equal(group_do(group, command), CORE_OK);
    }
    assert_int_equal(group->state->move_count, moves + 1);
}

/* Places are of a spec: a report that was made under the last one may mean another service. */
static void test_opinion_of_another_spec_is_refused(void **state) {
    struct group *group = *state;
    struct command *command = calloc(1, sizeof *command);
    const struct node *node = &group->state->nodes[EU];
    assert_non_null(command);
    command->kind = COMMAND_OPINION;
    command->opinion = (struct command_opinion){.node_id = node->id,
                                                .boot = node->boot,
                                                .sequence = node->sequence + 1,
                                                .region = EAST,
                                                .value = OPINION_DOWN,
                                                .spec_index = group->state->spec_index - 1};
    assert_int_equal(group_apply(group, command), CORE_CHANGED);
    assert_int_equal(group_service(group)->opinions[EAST][EU].value, OPINION_UP);
    free(command);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        ADOPTED(test_expired_voter_pauses_and_returns),
        ADOPTED(test_opinion_of_another_spec_is_refused),
        ADOPTED(test_newer_boot_drops_opinions),
        ADOPTED(test_expire_is_refused_when_older),
        ADOPTED(test_spec_change_ends_the_window),
        ADOPTED(test_spec_change_lapses_what_has_not_begun),
        ADOPTED(test_spec_keeps_what_has_begun),
        ADOPTED(test_nodes_change_ends_the_window),
        ADOPTED(test_nodes_change_in_mid_move),
        ADOPTED(test_nodes_change_before_an_operators_move_begins),
        ADOPTED(test_nodes_keep_region_and_storage),
        ADOPTED(test_maintenance_ends_and_holds_the_window),
        ADOPTED(test_overrides_end_exactly),
        ADOPTED(test_each_override_lapses_what_has_not_begun),
        ADOPTED(test_halt_lapses_what_has_not_begun),
        ADOPTED(test_alive_vote_lapses_what_has_not_begun),
        ADOPTED(test_tick_after_decide_forbids_the_beginning),
        ADOPTED(test_policy_lapses_what_nobody_begins),
        ADOPTED(test_next_term_can_not_begin),
        cmocka_unit_test(test_late_vote_restarts_the_window),
        cmocka_unit_test(test_services_of_one_region_move_together),
        cmocka_unit_test(test_room_for_one_takes_one),
        ADOPTED(test_flapping_ends_by_time),
        ADOPTED(test_cooldown_of_a_move_between_ticks),
        ADOPTED(test_cancelled_before_begin_is_no_move),
        ADOPTED(test_no_minority_moves_time),
        ADOPTED(test_note_is_kept_once_a_window),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
