/* Every proposal is answered exactly once, whatever happens meanwhile; and each process knows its
 * own. Over the mesh. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "group.h"

#define COUNT 200

static const struct group_options three_nodes = {.count = 3};

static void begin(struct group *group) {
    group_init(group, &three_nodes);
    group_bootstrap(group);
    group_start(group);
    (void)group_wait_leader(group);
    group_wait_equal(group);
}

static void propose_many(struct group *group, uint32_t node, struct group_outcome *outcomes) {
    for (uint32_t i = 0; i < COUNT; i++) {
        struct command command;
        group_fill_tick(group, &command);
        replica_propose(group->nodes[node].replica, &command, group_on_proposed, &outcomes[i]);
        assert_int_equal(outcomes[i].count, 0); /* never from inside the call */
    }
}

static bool all_answered(struct group *group, void *context) {
    const struct group_outcome *outcomes = context;
    (void)group;
    for (uint32_t i = 0; i < COUNT; i++) {
        if (outcomes[i].count == 0) {
            return false;
        }
    }
    return true;
}

static uint32_t count_code(const struct group_outcome *outcomes, enum error_code code) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < COUNT; i++) {
        assert_int_equal(outcomes[i].count, 1);
        count += outcomes[i].code == code ? 1 : 0;
    }
    return count;
}

static void test_one_turn_shares_entries(void **state) {
    struct group group;
    struct group_outcome outcomes[COUNT] = {0};
    struct replica_status before;
    struct replica_status after;
    (void)state;
    begin(&group);
    uint32_t leader = group_wait_leader(&group);
    replica_read_status(group.nodes[leader].replica, &before);
    propose_many(&group, leader, outcomes);
    group_wait(&group, all_answered, outcomes);
    replica_read_status(group.nodes[leader].replica, &after);
    assert_int_equal(count_code(outcomes, ERROR_OK), COUNT);
    /* 200 commands in batches of 64. */
    assert_int_equal(after.last_log_index - before.last_log_index, 4);
    assert_int_equal(after.applied_index - before.applied_index, COUNT);
    for (uint32_t i = 0; i < COUNT; i++) {
        assert_int_equal(outcomes[i].index, before.applied_index + 1 + i);
        assert_int_equal(outcomes[i].result, CORE_OK);
    }
    group_wait_equal(&group);
    group_finish(&group);
}

static void test_followers_refuse(void **state) {
    struct group group;
    struct group_outcome outcomes[COUNT] = {0};
    (void)state;
    begin(&group);
    propose_many(&group, (group_wait_leader(&group) + 1) % 3, outcomes);
    group_wait(&group, all_answered, outcomes);
    assert_int_equal(count_code(outcomes, ERROR_NOT_LEADER), COUNT);
    group_finish(&group);
}

static void test_what_core_refuses_comes_back(void **state) {
    struct group group;
    struct group_outcome outcomes[COUNT] = {0};
    (void)state;
    begin(&group);
    uint32_t leader = group_wait_leader(&group);
    for (uint32_t i = 0; i < COUNT; i++) {
        struct command command;
        group_fill_tick(&group, &command);
        command.tick.count = 2; /* of three nodes */
        replica_propose(group.nodes[leader].replica, &command, group_on_proposed, &outcomes[i]);
    }
    group_wait(&group, all_answered, outcomes);
    assert_int_equal(count_code(outcomes, ERROR_OK), COUNT);
    assert_int_equal(outcomes[0].result, CORE_CHANGED);
    group_wait_equal(&group);
    group_finish(&group);
}

static void test_invalid_is_not_proposed(void **state) {
    struct group group;
    struct group_outcome outcomes[COUNT] = {0};
    struct command command;
    (void)state;
    begin(&group);
    uint32_t leader = group_wait_leader(&group);
    group_fill_tick(&group, &command);
    command.kind = COMMAND_KIND_END;
    for (uint32_t i = 0; i < COUNT; i++) {
        replica_propose(group.nodes[leader].replica, &command, group_on_proposed, &outcomes[i]);
    }
    group_wait(&group, all_answered, outcomes);
    assert_int_equal(count_code(outcomes, ERROR_INVALID), COUNT);
    group_write(&group, 3, 1);
    group_finish(&group);
}

static bool has_lost(struct group *group, void *context) {
    return !group->nodes[*(uint32_t *)context].leads;
}

/* Cut off, the leader can't commit; when it steps down, nobody knows what became of the proposals:
 * here, nothing, since the others have a new leader. */
static void test_leadership_lost(void **state) {
    struct group group;
    struct group_outcome outcomes[COUNT] = {0};
    struct group_outcome late[COUNT] = {0};
    (void)state;
    begin(&group);
    uint32_t old = group_wait_leader(&group);
    group_write(&group, 10, 1);
    group_wait_equal(&group);
    uint64_t before = replica_state(group.nodes[old].replica)->time_ms;
    mesh_cut(group.mesh, group.nodes[old].id, group.nodes[(old + 1) % 3].id, true);
    mesh_cut(group.mesh, group.nodes[old].id, group.nodes[(old + 2) % 3].id, true);
    propose_many(&group, old, outcomes);
    group_wait(&group, has_lost, &old);
    propose_many(&group, old, late);
    group_wait(&group, all_answered, outcomes);
    group_wait(&group, all_answered, late);
    assert_int_equal(count_code(outcomes, ERROR_UNKNOWN), COUNT);
    assert_int_equal(count_code(late, ERROR_NOT_LEADER), COUNT);
    uint32_t next = group_wait_leader(&group);
    assert_int_not_equal(next, old);
    assert_int_equal(group.nodes[old].lost_count, 1);
    /* It comes back, and what it had appended goes: the mark must not hold that against it. */
    mesh_cut(group.mesh, group.nodes[old].id, group.nodes[(old + 1) % 3].id, false);
    mesh_cut(group.mesh, group.nodes[old].id, group.nodes[(old + 2) % 3].id, false);
    group_wait_equal(&group);
    assert_int_equal(replica_state(group.nodes[old].replica)->time_ms, before);
    group_stop_node(&group, old);
    struct error error = {0};
    assert_int_equal(group_start_node(&group, old, &error), ERROR_OK);
    group_write(&group, 10, 1);
    group_wait_equal(&group);
    group_finish(&group);
}

/* The entry is committed by the others although its proposer never heard of it in time. */
static void test_unknown_may_be_applied(void **state) {
    struct group group;
    struct group_outcome outcomes[COUNT] = {0};
    (void)state;
    begin(&group);
    uint32_t old = group_wait_leader(&group);
    propose_many(&group, old, outcomes);
    group_stop_node(&group, old);
    assert_int_equal(count_code(outcomes, ERROR_UNKNOWN) + count_code(outcomes, ERROR_NOT_LEADER) +
                         count_code(outcomes, ERROR_OK),
                     COUNT);
    (void)group_wait_leader(&group);
    struct error error = {0};
    assert_int_equal(group_start_node(&group, old, &error), ERROR_OK);
    group_write(&group, 10, 1);
    group_wait_equal(&group);
    group_finish(&group);
}

/* Stopped with everything under way: proposals, a read, a transfer. */
static void on_read(void *context, enum error_code code) {
    struct group_outcome *outcome = context;
    outcome->count++;
    outcome->code = code;
}

static void test_stop_answers_everything(void **state) {
    (void)state;
    for (uint32_t turns = 0; turns < 6; turns++) {
        struct group group;
        struct group_outcome outcomes[COUNT] = {0};
        struct group_outcome read = {0};
        struct group_outcome moved = {0};
        begin(&group);
        uint32_t leader = group_wait_leader(&group);
        propose_many(&group, leader, outcomes);
        replica_barrier(group.nodes[leader].replica, on_read, &read);
        if (turns % 2 == 0) {
            replica_transfer(group.nodes[leader].replica, 0, on_read, &moved);
        }
        for (uint32_t i = 0; i < turns; i++) {
            uv_run(&group.loop, UV_RUN_NOWAIT);
        }
        group_stop_node(&group, leader);
        assert_int_equal(count_code(outcomes, ERROR_OK) + count_code(outcomes, ERROR_UNKNOWN) +
                             count_code(outcomes, ERROR_NOT_LEADER),
                         COUNT);
        assert_int_equal(read.count, 1);
        assert_int_equal(moved.count, turns % 2 == 0 ? 1 : 0);
        group_finish(&group);
    }
}

static void test_too_many_pending(void **state) {
    struct group group;
    (void)state;
    begin(&group);
    uint32_t leader = group_wait_leader(&group);
    struct group_outcome *outcomes = calloc(REPLICA_PENDING_MAX + 1, sizeof *outcomes);
    for (uint32_t i = 0; i <= REPLICA_PENDING_MAX; i++) {
        struct command command;
        group_fill_tick(&group, &command);
        replica_propose(group.nodes[leader].replica, &command, group_on_proposed, &outcomes[i]);
    }
    for (uint32_t i = 0; i + COUNT <= REPLICA_PENDING_MAX + 1; i += COUNT) {
        group_wait(&group, all_answered, outcomes + i);
    }
    group_wait(&group, all_answered, outcomes + REPLICA_PENDING_MAX + 1 - COUNT);
    assert_int_equal(outcomes[REPLICA_PENDING_MAX - 1].code, ERROR_OK);
    assert_int_equal(outcomes[REPLICA_PENDING_MAX].code, ERROR_LIMIT);
    free(outcomes);
    group_finish(&group);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_turn_shares_entries),
        cmocka_unit_test(test_followers_refuse),
        cmocka_unit_test(test_what_core_refuses_comes_back),
        cmocka_unit_test(test_invalid_is_not_proposed),
        cmocka_unit_test(test_leadership_lost),
        cmocka_unit_test(test_unknown_may_be_applied),
        cmocka_unit_test(test_stop_answers_everything),
        cmocka_unit_test(test_too_many_pending),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
