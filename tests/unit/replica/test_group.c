/* Three replicas over real TLS links: election, writes, failover, restart, reports, transfer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "group.h"

static void test_elects_and_applies_alike(void **state) {
    struct group group;
    const struct group_options options = {.count = 3, .tls = true};
    (void)state;
    group_init(&group, &options);
    group_bootstrap(&group);
    group_start(&group);
    uint32_t leader = group_wait_leader(&group);
    group_write(&group, 500, 32);
    group_wait_equal(&group);
    const struct state *committed = replica_state(group.nodes[leader].replica);
    assert_true(committed->incarnation > 0);
    assert_int_equal(committed->node_count, 3);
    assert_string_equal(committed->cluster, GROUP_CLUSTER);
    assert_int_equal(committed->time_ms, 500);
    assert_int_equal(committed->applied_index, 502); /* NODES, LEADER */
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(group.nodes[i].own_count, i == leader ? 502 : 0);
        assert_int_equal(replica_state(group.nodes[i].replica)->time_ms, 500);
    }
    group_finish(&group);
}

static bool follows(struct group *group, void *context) {
    uint32_t *old = context;
    for (uint32_t i = 0; i < group->options.count; i++) {
        if (i != *old && group->nodes[i].leads) {
            return true;
        }
    }
    return false;
}

static void test_next_leader_and_restart(void **state) {
    struct group group;
    const struct group_options options = {.count = 3, .tls = true};
    struct error error;
    (void)state;
    group_init(&group, &options);
    group_bootstrap(&group);
    group_start(&group);
    for (int round = 0; round < 3; round++) {
        uint32_t old = group_wait_leader(&group);
        group_write(&group, 20, 4);
        group_stop_node(&group, old);
        uint64_t begin_ms = clock_boottime_ms(&clock_system);
        group_wait(&group, follows, &old);
        print_message("next leader after %lu ms\n", clock_boottime_ms(&clock_system) - begin_ms);
        group_write(&group, 20, 4);
        assert_int_equal(group_start_node(&group, old, &error), ERROR_OK);
        group_wait_equal(&group);
    }
    /* All at once, from disk. */
    uint64_t time_ms = group.clock_ms;
    for (uint32_t i = 0; i < 3; i++) {
        group_stop_node(&group, i);
    }
    group_start(&group);
    (void)group_wait_leader(&group);
    group_wait_equal(&group);
    assert_int_equal(replica_state(group.nodes[0].replica)->time_ms, time_ms);
    struct replica_status status;
    replica_read_status(group.nodes[0].replica, &status);
    assert_true(status.boot >= 2);
    group_finish(&group);
}

/* The election timeout is 3 to 6 s here, so that only a hastened election can be quick. */
static void test_broken_link_hastens_the_election(void **state) {
    struct group group;
    const struct group_options options = {
        .count = 3, .tls = true, .heartbeat_ms = 100, .election_ms = 3000};
    (void)state;
    group_init(&group, &options);
    group_bootstrap(&group);
    group_start(&group);
    uint32_t old = group_wait_leader(&group);
    group_write(&group, 10, 1);
    group_wait_equal(&group);
    uint64_t begin_ms = clock_boottime_ms(&clock_system);
    group_stop_node(&group, old);
    group_wait(&group, follows, &old);
    uint64_t took_ms = clock_boottime_ms(&clock_system) - begin_ms;
    print_message("hastened: %lu ms\n", took_ms);
    assert_true(took_ms < 2500);
    group_write(&group, 10, 1);
    group_finish(&group);
}

static bool has_reports(struct group *group, void *context) {
    (void)context;
    for (uint32_t i = 0; i < group->options.count; i++) {
        if (group->nodes[i].leads) {
            return group->nodes[i].report_count >= 3;
        }
    }
    return false;
}

static void on_report(void *context, const struct report *report) {
    uint32_t *seen = context;
    for (uint32_t i = 0; i < 3; i++) {
        char name[] = {'n', (char)('1' + i), '\0'};
        if (report->node_id == replica_node_id(GROUP_CLUSTER, name)) {
            *seen |= 1u << i;
        }
    }
    assert_int_equal(report->sequence, 7);
}

static void test_reports_reach_the_leader(void **state) {
    struct group group;
    const struct group_options options = {.count = 3, .tls = true};
    uint32_t seen = 0;
    (void)state;
    group_init(&group, &options);
    group_bootstrap(&group);
    group_start(&group);
    uint32_t leader = group_wait_leader(&group);
    group.nodes[leader].extra.on_report = on_report;
    group.nodes[leader].extra.context = &seen;
    group_write(&group, 5, 1);
    group_wait_equal(&group);
    struct report *report = calloc(1, sizeof *report);
    for (uint32_t i = 0; i < 3; i++) {
        report->node_id = group.nodes[i].id;
        report->boot = 1;
        report->sequence = 7;
        (void)TEXT_COPY(report->region, group.nodes[i].name);
        (void)TEXT_COPY(report->version, "test");
        replica_send_report(group.nodes[i].replica, report);
    }
    free(report);
    group_wait(&group, has_reports, NULL);
    assert_int_equal(seen, 7);
    group_finish(&group);
}

static void on_transferred(void *context, enum error_code code) {
    struct group_outcome *outcome = context;
    outcome->count++;
    outcome->code = code;
}

static bool is_done(struct group *group, void *context) {
    (void)group;
    return ((struct group_outcome *)context)->count > 0;
}

static void test_transfer_and_barrier(void **state) {
    struct group group;
    const struct group_options options = {.count = 3, .tls = true};
    (void)state;
    group_init(&group, &options);
    group_bootstrap(&group);
    group_start(&group);
    uint32_t leader = group_wait_leader(&group);
    group_write(&group, 10, 2);
    struct group_outcome read = {0};
    struct group_outcome elsewhere = {0};
    struct group_outcome moved = {0};
    uint32_t target = (leader + 1) % 3;
    replica_barrier(group.nodes[leader].replica, on_transferred, &read);
    replica_barrier(group.nodes[target].replica, on_transferred, &elsewhere);
    assert_int_equal(read.count, 0);
    group_wait(&group, is_done, &read);
    group_wait(&group, is_done, &elsewhere);
    assert_int_equal(read.code, ERROR_OK);
    assert_int_equal(elsewhere.code, ERROR_NOT_LEADER);
    group_wait_equal(&group);
    replica_transfer(group.nodes[leader].replica, group.nodes[target].id, on_transferred, &moved);
    group_wait(&group, is_done, &moved);
    assert_int_equal(moved.code, ERROR_OK);
    group_wait(&group, follows, &leader);
    assert_int_equal(group_wait_leader(&group), target);
    group_write(&group, 10, 2);
    group_wait_equal(&group);
    group_finish(&group);
}

/* A start that fails half-way leaves nothing behind. */
static void test_port_is_taken(void **state) {
    struct group group;
    const struct group_options options = {.count = 3, .tls = true};
    struct error error = {0};
    (void)state;
    group_init(&group, &options);
    group_bootstrap(&group);
    uint16_t port = group.nodes[0].port;
    assert_int_equal(group_start_node(&group, 1, &error), ERROR_OK);
    group.nodes[0].port = group.nodes[1].port;
    assert_int_not_equal(group_start_node(&group, 0, &error), ERROR_OK);
    print_message("%s\n", error.message);
    group.nodes[0].port = port;
    assert_int_equal(group_start_node(&group, 0, &error), ERROR_OK);
    group_write(&group, 10, 1);
    group_finish(&group);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_elects_and_applies_alike),
        cmocka_unit_test(test_next_leader_and_restart),
        cmocka_unit_test(test_broken_link_hastens_the_election),
        cmocka_unit_test(test_reports_reach_the_leader),
        cmocka_unit_test(test_transfer_and_barrier),
        cmocka_unit_test(test_port_is_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
