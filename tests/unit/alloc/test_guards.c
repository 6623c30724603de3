/* What a leader says, on its way to the library, when memory runs out in the middle: a message, or
 * what is left of it, is then lost as if the link had lost it. What the library has is whole and in
 * its order, and nothing of what it knows has changed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "failing.h"
#include "made_replica.h"

#define LEADER 12
#define TERM 5
#define LAST 100 /* entry of our log, all of TERM */

static struct replica *replica;
static uint8_t said[4096];
static size_t said_bytes;
static enum peers_message said_type;
static struct raft_configuration members;
static raft_index received; /* the last entry that the library has */
static uint32_t message_count;

/* The library. */
static void receive(struct raft_io *io, struct raft_message *message) {
    (void)io;
    message_count++;
    if (message->type == RAFT_APPEND_ENTRIES) {
        const struct raft_append_entries *args = &message->append_entries;
        assert_int_equal(args->prev_log_index, received);
        assert_int_equal(args->prev_log_term, TERM);
        for (unsigned i = 1; i < args->n_entries; i++) {
            assert_int_not_equal(args->entries[i].type, RAFT_CHANGE);
        }
        received += args->n_entries;
    }
    wire_release(message);
}

static void hear(void) {
    received = LAST;
    message_count = 0;
    made_replica_reset(replica);
    replica_on_message(LEADER, said_type, said, said_bytes, replica);
    assert_false(replica->failed);
}

static bool changes_come_first(void) {
    hear();
    assert_true(received == LAST || received == LAST + 1 || received == LAST + 3 ||
                received == LAST + 4);
    return received == LAST + 4;
}

/* Of two changes the first counts, with its members, or all is as it was. */
static bool first_change_counts(void) {
    struct raft *raft = &replica->raft;
    raft->configuration_uncommitted_index = LAST;
    raft->configuration_committed_index = 1;
    hear();
    bool counts = raft->configuration_committed_index == LAST;
    assert_int_equal(raft->configuration_uncommitted_index, counts ? 0 : LAST);
    assert_int_equal(raft->configuration_committed_index, counts ? LAST : 1);
    assert_int_equal(raft->configuration_committed.n, counts ? members.n : 0);
    assert_int_equal(received, counts ? LAST + 1 : LAST);
    raft_configuration_close(&raft->configuration_committed);
    raft_configuration_init(&raft->configuration_committed);
    raft->configuration_uncommitted_index = 0;
    return counts;
}

/* The one that comes while our own is written, and its newer one. */
static bool snapshot_waits(void) {
    replica->raft.legacy.snapshot_taking = true;
    hear();
    replica_on_message(LEADER, said_type, said, said_bytes, replica);
    assert_int_equal(message_count, 0);
    bool held = replica->has_held;
    replica->raft.legacy.snapshot_taking = false;
    replica_deliver_held(replica);
    assert_int_equal(message_count, held ? 1 : 0);
    assert_false(replica->has_held);
    return held;
}

/* --- what is said --- */

static void say(const struct raft_message *message, enum peers_message type) {
    struct wire_part part = {0};
    said_bytes = 0;
    said_type = type;
    assert_true(wire_encode(message, 0, &part));
    for (uint32_t i = 0; i < part.buffer_count; i++) {
        assert_true(said_bytes + part.buffers[i].len <= sizeof said);
        memcpy(said + said_bytes, part.buffers[i].base, part.buffers[i].len);
        said_bytes += part.buffers[i].len;
    }
    buffer_finish(&part.head);
}

/* Entries behind our last one; those whose bit is set change the members. */
static void say_entries(unsigned count, unsigned changes) {
    static char nothing[8];
    struct raft_entry entries[4];
    struct raft_buffer change;
    struct raft_message message = {.type = RAFT_APPEND_ENTRIES};
    assert_int_equal(raft_configuration_encode(&members, &change), 0);
    for (unsigned i = 0; i < count; i++) {
        bool changed = (changes >> i & 1) != 0;
        entries[i] = (struct raft_entry){.term = TERM,
                                         .type = changed ? RAFT_CHANGE : RAFT_BARRIER,
                                         .buf = {nothing, sizeof nothing}};
        entries[i].buf = changed ? change : entries[i].buf;
    }
    message.append_entries = (struct raft_append_entries){.version = 1,
                                                          .term = TERM,
                                                          .prev_log_index = LAST,
                                                          .prev_log_term = TERM,
                                                          .leader_commit = LAST,
                                                          .entries = entries,
                                                          .n_entries = count};
    say(&message, PEERS_MESSAGE_RAFT);
    raft_free(change.base);
}

static void test_changes_come_first(void **state) {
    (void)state;
    say_entries(4, 1U << 1 | 1U << 3);
    assert_true(check_scenario("changes of the members behind others", changes_come_first) > 5);
}

static void test_first_change_counts(void **state) {
    (void)state;
    say_entries(1, 1);
    assert_true(check_scenario("a second change of the members", first_change_counts) > 5);
}

static void test_snapshot_waits(void **state) {
    struct raft_message message = {.type = RAFT_INSTALL_SNAPSHOT};
    (void)state;
    message.install_snapshot = (struct raft_install_snapshot){.version = 1,
                                                              .term = TERM,
                                                              .last_index = LAST + 5,
                                                              .last_term = TERM,
                                                              .conf_index = 1,
                                                              .conf = members,
                                                              .data = {"snapshot", 8}};
    say(&message, PEERS_MESSAGE_SNAPSHOT);
    assert_true(check_scenario("snapshots while one is written", snapshot_waits) > 5);
}

static int set_up(void **state) {
    static const char *const names[] = {"n1", "n2", "n3"};
    (void)state;
    replica = made_replica_create();
    replica->receive = receive;
    replica->raft.state = RAFT_FOLLOWER;
    replica->raft.current_term = TERM;
    replica->raft.commit_index = LAST;
    replica->raft.trail.offset = LAST;
    replica->raft.trail.snapshot.index = LAST;
    replica->raft.trail.snapshot.term = TERM;
    raft_configuration_init(&members);
    for (uint32_t i = 0; i < ARRAY_LENGTH(names); i++) {
        struct replica_peer *peer = &replica->peers[i].config;
        peer->id = 11 + i;
        (void)TEXT_COPY(peer->name, names[i]);
        assert_int_equal(raft_configuration_add(&members, peer->id, names[i], RAFT_VOTER), 0);
    }
    replica->peer_count = ARRAY_LENGTH(names);
    replica->raft.configuration = members;
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    raft_configuration_close(&members);
    made_replica_destroy(replica);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_changes_come_first),
        cmocka_unit_test(test_first_change_counts),
        cmocka_unit_test(test_snapshot_waits),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
