/* Snapshots: taken, loaded at a start, installed in mid-life and on an empty disk; who is let in
 * and who must stop; and messages that only a broken peer would send. Over the mesh. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "codec/command_codec.h"
#include "entry.h"
#include "group.h"
#include "replica_private.h"

static const struct group_options small_log = {.count = 3, .snapshot_threshold = 32};

static void begin(struct group *group, const struct group_options *options) {
    group_init(group, options);
    group_bootstrap(group);
    group_start(group);
    (void)group_wait_leader(group);
    group_wait_equal(group);
}

static void cut_off(struct group *group, uint32_t node, bool cut) {
    for (uint32_t i = 0; i < group->options.count; i++) {
        if (i != node) {
            mesh_cut(group->mesh, group->nodes[node].id, group->nodes[i].id, cut);
        }
    }
}

static void test_restart_from_snapshot(void **state) {
    struct group group;
    (void)state;
    begin(&group, &small_log);
    group_write(&group, 300, 1);
    group_wait_equal(&group);
    for (uint32_t i = 0; i < 3; i++) {
        group_stop_node(&group, i);
    }
    group_start(&group);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(group.nodes[i].restored_count, 1);
    }
    group_write(&group, 10, 1);
    group_wait_equal(&group);
    assert_int_equal(replica_state(group.nodes[0].replica)->time_ms, 310);
    group_finish(&group);
}

struct history {
    uint64_t index; /* committed before the restart */
    bool lied;
};

/* Looks in every turn of the loop at what each node says of itself. */
static bool all_know_history(struct group *group, void *context) {
    struct history *history = context;
    uint32_t caught_up = 0;
    for (uint32_t i = 0; i < group->options.count; i++) {
        struct replica_status status;
        replica_read_status(group->nodes[i].replica, &status);
        history->lied =
            history->lied || (status.caught_up && status.applied_index < history->index);
        caught_up += status.caught_up;
    }
    return caught_up == group->options.count;
}

/* A new leader doesn't know yet how much was committed before it: after a restart of all, its first
 * messages name what the snapshot holds. Nobody is caught up on that word. */
static void test_caught_up_knows_what_was_committed(void **state) {
    struct group group;
    (void)state;
    begin(&group, &small_log);
    group_write(&group, 50, 1);
    group_wait_equal(&group);
    struct history history = {.index = replica_state(group.nodes[0].replica)->applied_index};
    for (uint32_t i = 0; i < 3; i++) {
        group_stop_node(&group, i);
    }
    group_start(&group);
    group_wait(&group, all_know_history, &history);
    assert_false(history.lied);
    group_finish(&group);
}

/* A follower that missed more than the trailing entries gets a snapshot while it runs. */
static void test_restore_in_mid_life(void **state) {
    struct group group;
    (void)state;
    begin(&group, &small_log);
    for (int round = 1; round <= 3; round++) {
        uint32_t late = (group_wait_leader(&group) + 1) % 3;
        uint64_t restored = group.nodes[late].restored_count;
        cut_off(&group, late, true);
        group_write(&group, 200, 1);
        cut_off(&group, late, false);
        group_wait_equal(&group);
        assert_true(group.nodes[late].restored_count > restored);
        group_write(&group, 20, 4);
        group_wait_equal(&group);
    }
    group_finish(&group);
}

static bool has_failed(struct group *group, void *context) {
    (void)group;
    return ((struct group_node *)context)->failed;
}

/* The group doesn't know the disk of a follower yet (NODES names the first leader's only), so an
 * empty one may take its place. */
static void test_empty_follower_joins(void **state) {
    struct group group;
    struct error error = {0};
    (void)state;
    begin(&group, &small_log);
    uint32_t follower = (group_wait_leader(&group) + 1) % 3;
    group_stop_node(&group, follower);
    group_write(&group, 200, 1);
    uint32_t leader = group_wait_leader(&group);
    group_wipe_node(&group, follower);
    /* The leader still remembers what the old disk acknowledged; another leader doesn't. */
    assert_int_equal(group_start_node(&group, follower, &error), ERROR_OK);
    group_wait(&group, has_failed, &group.nodes[follower]);
    assert_non_null(strstr(group.nodes[follower].failure.message, "had acknowledged"));
    group_stop_node(&group, follower);
    group_stop_node(&group, leader);
    assert_int_equal(group_start_node(&group, leader, &error), ERROR_OK);
    group_write(&group, 100, 1);
    group_wipe_node(&group, follower);
    assert_int_equal(group_start_node(&group, follower, &error), ERROR_OK);
    group_wait_equal(&group);
    assert_int_equal(group.nodes[follower].restored_count, 1);
    assert_false(group.nodes[follower].failed);
    group_finish(&group);
}

static void fill_nodes(struct group *group, struct command *command) {
    struct replica_status status;
    memset(command, 0, sizeof *command);
    command->kind = COMMAND_NODES;
    command->nodes.incarnation = replica_state(group->nodes[0].replica)->incarnation;
    command->nodes.nodes_index = replica_state(group->nodes[0].replica)->nodes_index;
    (void)TEXT_COPY(command->nodes.cluster, GROUP_CLUSTER);
    command->nodes.count = 3;
    for (uint32_t i = 0; i < 3; i++) {
        replica_read_status(group->nodes[i].replica, &status);
        command->nodes.nodes[i].id = group->nodes[i].id;
        (void)TEXT_COPY(command->nodes.nodes[i].name, group->nodes[i].name);
        (void)TEXT_COPY(command->nodes.nodes[i].region, group->nodes[i].name);
        memcpy(command->nodes.nodes[i].storage, status.storage, 16);
    }
}

static bool is_answered(struct group *group, void *context) {
    (void)group;
    return ((struct group_outcome *)context)->count > 0;
}

/* A group whose disks are committed facts. */
static uint32_t begin_known(struct group *group) {
    struct command command;
    struct group_outcome outcome = {0};
    begin(group, &small_log);
    uint32_t leader = group_wait_leader(group);
    fill_nodes(group, &command);
    replica_propose(group->nodes[leader].replica, &command, group_on_proposed, &outcome);
    group_wait(group, is_answered, &outcome);
    assert_int_equal(outcome.result, CORE_OK);
    group_wait_equal(group);
    return leader;
}

static void test_wiped_disk_is_refused(void **state) {
    struct group group;
    struct error error = {0};
    (void)state;
    uint32_t wiped = (begin_known(&group) + 1) % 3;
    group_stop_node(&group, wiped);
    group_wipe_node(&group, wiped);
    assert_int_equal(group_start_node(&group, wiped, &error), ERROR_OK);
    group_wait(&group, has_failed, &group.nodes[wiped]);
    assert_int_equal(group.nodes[wiped].failure.code, ERROR_REFUSED);
    assert_non_null(strstr(group.nodes[wiped].failure.message, "under a new name"));
    /* The others go on. */
    group_stop_node(&group, wiped);
    group_write(&group, 10, 1);
    group_finish(&group);
}

/* Whoever has just started doesn't know yet what is committed, and must not be elected by an empty
 * disk: what only that one and a third had acknowledged would be gone. */
static void test_wiped_disk_has_no_vote(void **state) {
    struct group group;
    struct error error = {0};
    (void)state;
    uint32_t wiped = (begin_known(&group) + 1) % 3;
    uint32_t other = (wiped + 1) % 3;
    for (uint32_t i = 0; i < 3; i++) {
        group_stop_node(&group, i);
    }
    group_wipe_node(&group, wiped);
    uint64_t lead_count = group.nodes[other].lead_count;
    assert_int_equal(group_start_node(&group, wiped, &error), ERROR_OK);
    assert_int_equal(group_start_node(&group, other, &error), ERROR_OK);
    group_wait(&group, has_failed, &group.nodes[wiped]);
    assert_non_null(strstr(group.nodes[wiped].failure.message, "under a new name"));
    assert_int_equal(group.nodes[other].lead_count, lead_count);
    assert_false(group.nodes[other].failed);
    group_finish(&group);
}

/* It was let in by those who knew nothing of it yet. */
static void test_wiped_disk_learns_of_itself(void **state) {
    struct group group;
    struct command command;
    struct group_outcome outcome = {0};
    (void)state;
    uint32_t leader = begin_known(&group);
    struct group_node *wiped = &group.nodes[(leader + 1) % 3];
    fill_nodes(&group, &command);
    wiped->replica->storage.meta.uuid[0] ^= 1;
    replica_propose(group.nodes[leader].replica, &command, group_on_proposed, &outcome);
    group_wait(&group, has_failed, wiped);
    assert_int_equal(wiped->failure.code, ERROR_REFUSED);
    assert_non_null(strstr(wiped->failure.message, "under a new name"));
    group_finish(&group);
}

static void test_hello(void **state) {
    struct group group;
    struct peer_hello hello = {0};
    struct error reason = {0};
    (void)state;
    begin(&group, &small_log);
    uint32_t leader = group_wait_leader(&group);
    uint32_t follower = (leader + 1) % 3;
    struct replica *replica = group.nodes[leader].replica;
    replica_fill_hello(&hello, group.nodes[follower].replica);
    (void)TEXT_COPY(hello.node, group.nodes[follower].name);
    hello.numeric_id = group.nodes[follower].id;
    assert_int_equal(hello.incarnation, replica_state(replica)->incarnation);
    assert_int_equal(replica_check_hello(&hello, &reason, replica), PEERS_REFUSAL_NONE);
    struct peer_hello changed = hello;
    changed.last_log_index = 1;
    assert_int_equal(replica_check_hello(&changed, &reason, replica), PEERS_REFUSAL_LOG_BEHIND);
    changed = hello;
    changed.incarnation--;
    assert_int_equal(replica_check_hello(&changed, &reason, replica), PEERS_REFUSAL_INCARNATION);
    changed.incarnation = 0; /* a node that joins */
    assert_int_equal(replica_check_hello(&changed, &reason, replica), PEERS_REFUSAL_NONE);
    changed = hello;
    changed.numeric_id = group.nodes[leader].id;
    changed.storage_uuid[3] ^= 1;
    assert_int_equal(replica_check_hello(&changed, &reason, replica), PEERS_REFUSAL_STORAGE);
    changed = hello;
    changed.feature_level = 0; /* the group is at 1 */
    assert_int_equal(replica_check_hello(&changed, &reason, replica), PEERS_REFUSAL_VERSION);
    assert_non_null(strstr(reason.message, "install a newer one"));
    assert_false(group.nodes[leader].failed);
    /* A higher incarnation: we are the old group. */
    changed = hello;
    changed.incarnation++;
    assert_int_equal(replica_check_hello(&changed, &reason, replica), PEERS_REFUSAL_OTHER);
    group_wait(&group, has_failed, &group.nodes[leader]);
    assert_non_null(strstr(group.nodes[leader].failure.message, "newer incarnation"));
    assert_false(group.nodes[leader].leads); /* told before it failed */
    group_finish(&group);
}

/* A leader that was deposed and doesn't know it remembers acknowledgements that its successor had
 * truncated: nobody's disk has lost anything. Of the present leader the same word is the end. */
static void test_refusal_of_a_deposed_leader(void **state) {
    struct group group;
    (void)state;
    begin(&group, &small_log);
    uint32_t leader = group_wait_leader(&group);
    struct group_node *follower = &group.nodes[(leader + 1) % 3];
    uint64_t deposed = group.nodes[(leader + 2) % 3].id;
    replica_on_refused(deposed, PEERS_REFUSAL_LOG_BEHIND, "shorter", follower->replica);
    group_write(&group, 10, 1);
    group_wait_equal(&group);
    assert_false(follower->failed);
    leader = group_wait_leader(&group);
    replica_on_refused(group.nodes[leader].id, PEERS_REFUSAL_LOG_BEHIND, "shorter",
                       follower->replica);
    group_wait(&group, has_failed, follower);
    group_finish(&group);
}

static bool has_passed(struct group *group, void *context) {
    (void)group;
    return ((struct group_outcome *)context)->count > 0;
}

/* Once failed, a node is mute: its proposals end, and the others elect without it. */
static void test_failed_is_mute(void **state) {
    struct group group;
    struct group_outcome outcome = {0};
    struct command command;
    (void)state;
    begin(&group, &small_log);
    uint32_t leader = group_wait_leader(&group);
    group_write(&group, 10, 1);
    replica_fail(group.nodes[leader].replica, ERROR_IO, "a test's reason");
    group_fill_tick(&group, &command);
    replica_propose(group.nodes[leader].replica, &command, group_on_proposed, &outcome);
    group_wait(&group, has_passed, &outcome);
    assert_int_equal(outcome.code, ERROR_NOT_LEADER);
    group_wait(&group, has_failed, &group.nodes[leader]);
    assert_string_equal(group.nodes[leader].failure.message, "a test's reason");
    uint32_t next = group_wait_leader(&group);
    assert_int_not_equal(next, leader);
    uint64_t applied = group.nodes[leader].applied_count;
    group_write(&group, 10, 1);
    assert_int_equal(group.nodes[leader].applied_count, applied);
    group_stop_node(&group, leader);
    struct error error = {0};
    assert_int_equal(group_start_node(&group, leader, &error), ERROR_OK);
    group_wait_equal(&group);
    group_finish(&group);
}

static void inject(struct group_node *to, uint64_t from, const struct raft_message *message) {
    static struct wire_part part;
    uint8_t bytes[1024];
    size_t at = 0;
    assert_true(wire_encode(message, 0, &part));
    for (uint32_t i = 0; i < part.buffer_count; i++) {
        assert_true(at + part.buffers[i].len <= sizeof bytes);
        memcpy(bytes + at, part.buffers[i].base, part.buffers[i].len);
        at += part.buffers[i].len;
    }
    buffer_finish(&part.head);
    replica_on_message(from, PEERS_MESSAGE_RAFT, bytes, at, to->replica);
}

/* What the library would assert on. */
static void test_impossible_messages_are_dropped(void **state) {
    struct group group;
    struct raft_message message;
    (void)state;
    begin(&group, &small_log);
    uint32_t leader = group_wait_leader(&group);
    struct group_node *node = &group.nodes[leader];
    uint64_t peer = group.nodes[(leader + 1) % 3].id;
    memset(&message, 0, sizeof message);
    message.type = RAFT_APPEND_ENTRIES;
    message.append_entries.term = node->term;
    inject(node, peer, &message);
    memset(&message, 0, sizeof message);
    message.type = RAFT_REQUEST_VOTE_RESULT;
    message.request_vote_result.term = node->term + 5;
    message.request_vote_result.vote_granted = true;
    inject(node, peer, &message);
    memset(&message, 0, sizeof message);
    message.type = RAFT_REQUEST_VOTE;
    message.request_vote.term = node->term + 5;
    message.request_vote.candidate_id = 4711;
    inject(node, peer, &message);
    replica_on_message(peer, PEERS_MESSAGE_RAFT, (const uint8_t *)"rubbish", 7, node->replica);
    replica_on_message(peer, PEERS_MESSAGE_REPORT, (const uint8_t *)"rubbish", 7, node->replica);
    replica_on_message(peer, PEERS_MESSAGE_NOTE, (const uint8_t *)"", 0, node->replica);
    replica_on_message(4711, PEERS_MESSAGE_RAFT, (const uint8_t *)"", 0, node->replica);
    assert_true(node->leads);
    group_write(&group, 10, 1);
    assert_int_equal(group_wait_leader(&group), leader);
    group_finish(&group);
}

/* An entry of a newer version stops the node, with a line that says what to do. */
static void test_newer_entry_stops_the_node(void **state) {
    struct group group;
    static uint8_t entry[32] = {9};
    struct raft_buffer buffer = {entry, sizeof entry};
    void *result = NULL;
    (void)state;
    begin(&group, &small_log);
    struct replica *replica = group.nodes[0].replica;
    assert_int_equal(replica->fsm.apply(&replica->fsm, &buffer, &result), 0);
    group_wait(&group, has_failed, &group.nodes[0]);
    assert_int_equal(group.nodes[0].failure.code, ERROR_UNSUPPORTED);
    assert_non_null(strstr(group.nodes[0].failure.message, "upgrade this node"));
    group_finish(&group);
}

/* Applied here, a higher feature level would only be refused: the state would be another one than
 * everybody's. */
static void test_higher_level_stops_the_node(void **state) {
    struct group group;
    uint8_t entry[256];
    struct error error;
    struct command command = {.kind = COMMAND_FEATURE, .term = 1};
    const struct command *commands[] = {&command};
    struct buffer bytes;
    void *result = NULL;
    (void)state;
    begin(&group, &small_log);
    struct replica *replica = group.nodes[0].replica;
    command.feature.level = FEATURE_LEVEL_NEWEST + 1;
    buffer_init(&bytes, 0);
    assert_int_equal(codec_encode_batch(commands, 1, &bytes, &error), ERROR_OK);
    struct entry_head head = {.count = 1, .proposer = 1, .batch = 1};
    struct entry_writer writer;
    size_t size_bytes = entry_size_bytes(1, bytes.size_bytes);
    assert_true(size_bytes <= sizeof entry);
    entry_write_head(&writer, entry, size_bytes, &head);
    entry_write_command(&writer, bytes.data, bytes.size_bytes);
    buffer_finish(&bytes);
    struct raft_buffer buffer = {entry, size_bytes};
    assert_int_equal(replica->fsm.apply(&replica->fsm, &buffer, &result), 0);
    group_wait(&group, has_failed, &group.nodes[0]);
    assert_int_equal(group.nodes[0].failure.code, ERROR_UNSUPPORTED);
    assert_non_null(strstr(group.nodes[0].failure.message, "feature level 2 is above"));
    group_finish(&group);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_restart_from_snapshot),
        cmocka_unit_test(test_caught_up_knows_what_was_committed),
        cmocka_unit_test(test_restore_in_mid_life),
        cmocka_unit_test(test_empty_follower_joins),
        cmocka_unit_test(test_wiped_disk_is_refused),
        cmocka_unit_test(test_wiped_disk_has_no_vote),
        cmocka_unit_test(test_wiped_disk_learns_of_itself),
        cmocka_unit_test(test_hello),
        cmocka_unit_test(test_refusal_of_a_deposed_leader),
        cmocka_unit_test(test_failed_is_mute),
        cmocka_unit_test(test_impossible_messages_are_dropped),
        cmocka_unit_test(test_newer_entry_stops_the_node),
        cmocka_unit_test(test_higher_level_stops_the_node),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
