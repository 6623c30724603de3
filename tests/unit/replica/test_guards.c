/* The guards that libraft needs from outside, each seen to work. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "group.h"
#include "replica_private.h"

static const struct group_options small_log = {.count = 3, .snapshot_threshold = 16};

static void cut_off(struct group *group, uint32_t node, bool cut) {
    for (uint32_t i = 0; i < group->options.count; i++) {
        if (i != node) {
            mesh_cut(group->mesh, group->nodes[node].id, group->nodes[i].id, cut);
        }
    }
}

static bool holds_one(struct group *group, void *context) {
    (void)group;
    return ((struct replica *)context)->has_held;
}

/* Without the guard the message goes to the library, and is never held. */
static void test_snapshot_waits_for_our_own(void **state) {
    struct group group;
    (void)state;
    group_init(&group, &small_log);
    group_bootstrap(&group);
    group_start(&group);
    uint32_t late = (group_wait_leader(&group) + 1) % 3;
    struct replica *replica = group.nodes[late].replica;
    group_wait_equal(&group);
    cut_off(&group, late, true);
    group_write(&group, 200, 1);
    /* As the library sets it while it writes one; here the writing has no end. */
    replica->raft.legacy.snapshot_taking = true;
    cut_off(&group, late, false);
    group_wait(&group, holds_one, replica);
    group_run_ms(&group, 100);
    assert_true(replica->has_held);
    assert_int_equal(group.nodes[late].restored_count, 0);
    replica->raft.legacy.snapshot_taking = false;
    group_wait_equal(&group);
    assert_false(replica->has_held);
    assert_int_equal(group.nodes[late].restored_count, 1);
    /* And one that is held when the node stops is freed (the sanitizer watches). */
    cut_off(&group, late, true);
    group_write(&group, 200, 1);
    replica->raft.legacy.snapshot_taking = true;
    cut_off(&group, late, false);
    group_wait(&group, holds_one, replica);
    replica->raft.legacy.snapshot_taking = false;
    group_finish(&group);
}

/* The real thing, by chance: a log of 4 entries between snapshots, and followers that fall behind.
 */
static void test_snapshots_cross(void **state) {
    struct group group;
    const struct group_options tiny_log = {.count = 3, .snapshot_threshold = 4};
    (void)state;
    group_init(&group, &tiny_log);
    group_bootstrap(&group);
    group_start(&group);
    for (uint32_t round = 0; round < 25; round++) {
        uint32_t late = (group_wait_leader(&group) + 1 + round % 2) % 3;
        cut_off(&group, late, true);
        group_write(&group, 12, 1);
        cut_off(&group, late, false);
        group_write(&group, 12, 1);
    }
    group_wait_equal(&group);
    group_finish(&group);
}

/* Gives a follower a message that its leader could have sent it. */
static void give(struct group *group, uint32_t leader, struct replica *follower,
                 const struct raft_message *message) {
    struct wire_part part = {0};
    uint8_t sent[1024];
    size_t sent_bytes = 0;
    assert_true(wire_encode(message, 0, &part));
    for (uint32_t i = 0; i < part.buffer_count; i++) {
        assert_true(sent_bytes + part.buffers[i].len <= sizeof sent);
        memcpy(sent + sent_bytes, part.buffers[i].base, part.buffers[i].len);
        sent_bytes += part.buffers[i].len;
    }
    replica_on_message(group->nodes[leader].id, PEERS_MESSAGE_RAFT, sent, sent_bytes, follower);
    buffer_finish(&part.head);
}

/* A group with so many entries, each of some commands, on all nodes; the leader and a follower. */
static struct replica *open_group(struct group *group, uint32_t entry_count, uint32_t *ret_leader) {
    group_init(group, &small_log);
    group_bootstrap(group);
    group_start(group);
    *ret_leader = group_wait_leader(group);
    for (uint32_t i = 0; i < entry_count; i++) {
        group_write(group, 10, 1);
    }
    group_wait_equal(group);
    return group->nodes[(*ret_leader + 1) % 3].replica;
}

/* As to a follower that the leader sends a snapshot: anchored behind what is committed there, with
 * a higher commit index. Without the guard the process ends here. */
static void test_commit_index_stays(void **state) {
    struct group group;
    uint32_t leader;
    (void)state;
    struct replica *follower = open_group(&group, 1, &leader);
    raft_index commit_index = raft_commit_index(&follower->raft);
    assert_true(commit_index > 2);
    struct raft_message message = {.type = RAFT_APPEND_ENTRIES};
    message.append_entries.version = 1;
    message.append_entries.term = raft_current_term(&follower->raft);
    message.append_entries.prev_log_index = 1; /* the first entry, of term 1 in every group */
    message.append_entries.prev_log_term = 1;
    message.append_entries.leader_commit = commit_index + 1;
    give(&group, leader, follower, &message);
    assert_int_equal(raft_commit_index(&follower->raft), commit_index);
    group_write(&group, 10, 1);
    group_wait_equal(&group);
    group_finish(&group);
}

/* A leader that still has the whole log may send it from the beginning to a node whose own log
 * begins later. Without the guard entry 1 goes in behind the last one, or the process ends. */
static void test_entries_before_the_log(void **state) {
    struct group group;
    uint32_t leader;
    (void)state;
    struct replica *follower = open_group(&group, 20, &leader);
    raft_index last_index = raft_last_index(&follower->raft);
    assert_true(follower->raft.trail.offset > 3);
    char bytes[8] = "entries";
    struct raft_entry entries[3];
    memset(entries, 0, sizeof entries);
    for (size_t i = 0; i < 3; i++) {
        entries[i].term = 1;
        entries[i].type = RAFT_COMMAND;
        entries[i].buf = (struct raft_buffer){bytes, sizeof bytes};
    }
    struct raft_message message = {.type = RAFT_APPEND_ENTRIES};
    message.append_entries.version = 1;
    message.append_entries.term = raft_current_term(&follower->raft);
    message.append_entries.entries = entries;
    message.append_entries.n_entries = 3;
    give(&group, leader, follower, &message);
    assert_int_equal(raft_last_index(&follower->raft), last_index);
    group_write(&group, 10, 1);
    group_wait_equal(&group);
    group_finish(&group);
}

/* A log whose first entry is right behind what its leader knows of it, as after a restart that has
 * kept more than was acknowledged. Without the guard it refuses what it has acknowledged, and the
 * leader ends. */
static void test_entries_right_before_the_log(void **state) {
    struct group group;
    uint32_t leader;
    (void)state;
    struct replica *follower = open_group(&group, 20, &leader);
    cut_off(&group, (leader + 1) % 3, true); /* from here on its log is its own */
    const struct raft_trail *trail = &follower->raft.trail;
    raft_index last_index = raft_last_index(&follower->raft);
    assert_true(trail->offset > 3 && trail->offset < trail->snapshot.index);
    char nothing[8] = {0};
    struct raft_entry entries[40];
    uint32_t count = (uint32_t)(last_index - trail->offset) + 1; /* one is new */
    assert_true(count <= 40);
    memset(entries, 0, sizeof entries);
    for (uint32_t i = 0; i < count; i++) {
        entries[i].term = raft_current_term(&follower->raft);
        entries[i].type = RAFT_BARRIER;
        entries[i].buf = (struct raft_buffer){nothing, sizeof nothing};
    }
    struct raft_message message = {.type = RAFT_APPEND_ENTRIES};
    message.append_entries.version = 1;
    message.append_entries.term = raft_current_term(&follower->raft);
    message.append_entries.prev_log_index = trail->offset;
    message.append_entries.prev_log_term = raft_current_term(&follower->raft);
    message.append_entries.leader_commit = raft_commit_index(&follower->raft);
    message.append_entries.entries = entries;
    message.append_entries.n_entries = count;
    give(&group, leader, follower, &message);
    assert_int_equal(raft_last_index(&follower->raft), last_index + 1);
    group_finish(&group);
}

/* A change of the members that comes behind another entry. Without the guard it is noted as that
 * other one, which is never committed as a change. */
static void test_change_behind_an_entry(void **state) {
    struct group group;
    uint32_t leader;
    (void)state;
    struct replica *follower = open_group(&group, 1, &leader);
    cut_off(&group, (leader + 1) % 3, true); /* from here on its log is its own */
    raft_index last_index = raft_last_index(&follower->raft);
    struct raft_configuration configuration;
    raft_configuration_init(&configuration);
    static const char *const names[] = {"n1", "n2", "n3"};
    for (uint32_t i = 0; i < 3; i++) {
        int added = raft_configuration_add(&configuration, group.nodes[i].id, names[i], RAFT_VOTER);
        assert_int_equal(added, 0);
    }
    assert_int_equal(raft_configuration_add(&configuration, 77, "n4", RAFT_SPARE), 0);
    struct raft_buffer change;
    assert_int_equal(raft_configuration_encode(&configuration, &change), 0);
    raft_configuration_close(&configuration);
    char nothing[8] = {0};
    struct raft_entry entries[3];
    memset(entries, 0, sizeof entries);
    for (size_t i = 0; i < 3; i++) {
        entries[i].term = raft_current_term(&follower->raft);
        entries[i].type = i == 1 ? RAFT_CHANGE : RAFT_BARRIER;
        entries[i].buf = i == 1 ? change : (struct raft_buffer){nothing, sizeof nothing};
    }
    struct raft_message message = {.type = RAFT_APPEND_ENTRIES};
    message.append_entries.version = 1;
    message.append_entries.term = raft_current_term(&follower->raft);
    message.append_entries.prev_log_index = last_index;
    message.append_entries.prev_log_term = raft_current_term(&follower->raft);
    message.append_entries.leader_commit = raft_commit_index(&follower->raft);
    message.append_entries.entries = entries;
    message.append_entries.n_entries = 3;
    give(&group, leader, follower, &message);
    assert_int_equal(raft_last_index(&follower->raft), last_index + 3);
    assert_int_equal(follower->raft.configuration.n, 4);
    assert_int_equal(follower->raft.configuration_uncommitted_index, last_index + 2);
    /* And when the next one comes, this one counts as committed: its leader knew that. */
    message.append_entries.prev_log_index = last_index + 3;
    message.append_entries.entries = entries + 1;
    message.append_entries.n_entries = 1;
    give(&group, leader, follower, &message);
    assert_int_equal(raft_last_index(&follower->raft), last_index + 4);
    assert_int_equal(follower->raft.configuration_committed_index, last_index + 2);
    assert_int_equal(follower->raft.configuration_committed.n, 4);
    assert_int_equal(follower->raft.configuration_uncommitted_index, last_index + 4);
    raft_free(change.base);
    group_finish(&group);
}

/* Between the application of a change of the members and the step that notes it as committed. */
static void test_no_snapshot_beside_a_change(void **state) {
    struct group group;
    struct raft_buffer *buffers = NULL;
    unsigned count = 0;
    (void)state;
    group_init(&group, &small_log);
    group_bootstrap(&group);
    group_start(&group);
    group_write(&group, 10, 1);
    struct replica *replica = group.nodes[0].replica;
    replica->raft.configuration_uncommitted_index = raft_commit_index(&replica->raft);
    assert_int_equal(replica->fsm.snapshot(&replica->fsm, &buffers, &count), RAFT_BUSY);
    replica->raft.configuration_uncommitted_index = 0;
    /* The first of two changes counts as committed before it is known to be (guards.c). */
    raft_index known_index = replica->raft.configuration_committed_index;
    replica->raft.configuration_committed_index = raft_commit_index(&replica->raft) + 1;
    assert_int_equal(replica->fsm.snapshot(&replica->fsm, &buffers, &count), RAFT_BUSY);
    replica->raft.configuration_committed_index = known_index;
    assert_int_equal(replica->fsm.snapshot(&replica->fsm, &buffers, &count), 0);
    assert_int_equal(count, 1);
    raft_free(buffers[0].base);
    raft_free(buffers);
    group_finish(&group);
}

static int compare_numbers(const void *a, const void *b) {
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return left < right ? -1 : left > right ? 1 : 0;
}

#define SAMPLES 15
#define ROUNDS 6
#define NODES 3

/* The time that four of five lone writes need at most. */
static uint64_t slow_lone_write_us(struct group *group, uint32_t heartbeat_ms) {
    uint64_t samples_us[SAMPLES];
    for (uint32_t i = 0; i < NODES; i++) {
        raft_set_heartbeat_timeout(&group->nodes[i].replica->raft, heartbeat_ms);
    }
    for (uint32_t i = 0; i < SAMPLES; i++) {
        /* Idle for some ticks, and anywhere between two. */
        group_run_ms(group, 210 + i * 7);
        uint64_t begin = uv_hrtime();
        group_write(group, 1, 1);
        samples_us[i] = (uv_hrtime() - begin) / 1000;
    }
    qsort(samples_us, SAMPLES, sizeof samples_us[0], compare_numbers);
    return samples_us[SAMPLES * 4 / 5];
}

/* The guard sets the library's heartbeat to 1 ms; without it a lone write waits for a tick. A busy
 * machine can hide the difference in a round, by writes of its own or by slow ones; a guard that
 * does nothing can't show a factor of four in any. */
static void test_lone_write_on_an_idle_group(void **state) {
    struct group group;
    const struct group_options slow_tick = {
        .count = NODES, .heartbeat_ms = 100, .election_ms = 1000};
    bool shown = false;
    (void)state;
    group_init(&group, &slow_tick);
    group_bootstrap(&group);
    group_start(&group);
    (void)group_wait_leader(&group);
    unsigned guarded_ms = group.nodes[0].replica->raft.heartbeat_timeout;
    for (uint32_t round = 0; round < ROUNDS && !shown; round++) {
        uint64_t with_us = slow_lone_write_us(&group, guarded_ms);
        uint64_t without_us = slow_lone_write_us(&group, slow_tick.heartbeat_ms);
        print_message("a lone write: %lu us, without the guard %lu us\n", with_us, without_us);
        shown = with_us * 4 < without_us;
    }
    group_finish(&group);
    assert_true(shown);
}

struct sent_snapshot {
    struct replica *replica;
    struct raft_io_snapshot_get get;
    struct raft_io_send send;
    uint64_t to;
    raft_index index;     /* of the one that was read */
    raft_term term;       /* likewise */
    raft_term heard_term; /* as the follower is told it; 0: not yet */
    raft_index heard_index;
    bool over;
};

static void on_snapshot_sent(struct raft_io_send *request, int status) {
    struct sent_snapshot *sent = request->data;
    (void)status;
    sent->over = true;
}

/* As the library does: it has corrected the index of an older message, and left its term. */
static void on_snapshot_read(struct raft_io_snapshot_get *get, struct raft_snapshot *snapshot,
                             int status) {
    struct sent_snapshot *sent = get->data;
    struct raft_message message = {.type = RAFT_INSTALL_SNAPSHOT, .server_id = sent->to};
    assert_int_equal(status, 0);
    sent->index = snapshot->index;
    sent->term = snapshot->term;
    message.install_snapshot = (struct raft_install_snapshot){
        .term = raft_current_term(&sent->replica->raft),
        .last_index = snapshot->index,
        .last_term = 1,
        .conf_index = snapshot->configuration_index,
        .conf = snapshot->configuration,
        .data = snapshot->bufs[0],
    };
    sent->send.data = sent;
    assert_int_equal(
        sent->replica->io.send(&sent->replica->io, &sent->send, &message, on_snapshot_sent), 0);
    raft_configuration_close(&snapshot->configuration);
    raft_free(snapshot->bufs[0].base);
    raft_free(snapshot->bufs);
    raft_free(snapshot);
}

static bool on_wire(void *context, uint64_t from, uint64_t to, enum peers_message type,
                    const uint8_t *bytes, size_t size_bytes) {
    struct sent_snapshot *sent = context;
    struct raft_message message;
    struct error error;
    (void)from;
    if (type != PEERS_MESSAGE_SNAPSHOT || to != sent->to) {
        return true;
    }
    assert_int_equal(wire_decode(bytes, size_bytes, &message, &error), ERROR_OK);
    sent->heard_index = message.install_snapshot.last_index;
    sent->heard_term = message.install_snapshot.last_term;
    wire_release(&message);
    return false;
}

static bool has_been_heard(struct group *group, void *context) {
    const struct sent_snapshot *sent = context;
    (void)group;
    return sent->heard_term != 0 && sent->over;
}

static bool leads_in_a_later_term(struct group *group, void *context) {
    (void)context;
    for (uint32_t i = 0; i < group->options.count; i++) {
        if (group->nodes[i].leads && group->nodes[i].term > 2) {
            return true;
        }
    }
    return false;
}

/* A snapshot goes with the term of its own last entry, whichever the library thought of. */
static void test_snapshot_goes_with_its_own_term(void **state) {
    struct group group;
    struct sent_snapshot sent = {.over = false};
    (void)state;
    group_init(&group, &small_log);
    group_bootstrap(&group);
    group_start(&group);
    uint32_t first = group_wait_leader(&group);
    group_stop_node(&group, first);
    group_wait(&group, leads_in_a_later_term, NULL);
    group_write(&group, 100, 1);
    uint32_t leader = group_wait_leader(&group);
    sent.replica = group.nodes[leader].replica;
    sent.to = group.nodes[(leader + 1) % 3 == first ? (leader + 2) % 3 : (leader + 1) % 3].id;
    sent.get.data = &sent;
    mesh_set_filter(group.mesh, on_wire, &sent);
    assert_int_equal(sent.replica->io.snapshot_get(&sent.replica->io, &sent.get, on_snapshot_read),
                     0);
    group_wait(&group, has_been_heard, &sent);
    assert_true(sent.term > 1);
    assert_int_equal(sent.heard_index, sent.index);
    assert_int_equal(sent.heard_term, sent.term);
    mesh_set_filter(group.mesh, NULL, NULL);
    group_finish(&group);
}

/* An answer to a pre-vote, which comes no further than here. */
struct heard_answer {
    uint64_t from;
    bool is_heard;
    struct raft_request_vote_result result;
};

static bool on_answer_wire(void *context, uint64_t from, uint64_t to, enum peers_message type,
                           const uint8_t *bytes, size_t size_bytes) {
    struct heard_answer *heard = context;
    struct raft_message message;
    struct error error;
    (void)to;
    if (type != PEERS_MESSAGE_RAFT || from != heard->from ||
        wire_decode(bytes, size_bytes, &message, &error) != ERROR_OK) {
        return true;
    }
    bool ours = message.type == RAFT_REQUEST_VOTE_RESULT && message.request_vote_result.pre_vote;
    if (ours) {
        heard->is_heard = true;
        heard->result = message.request_vote_result;
    }
    wire_release(&message);
    return !ours;
}

static bool answer_is_heard(struct group *group, void *context) {
    const struct heard_answer *heard = context;
    (void)group;
    return heard->is_heard;
}

static void on_answer_sent(struct raft_io_send *request, int status) {
    bool *over = request->data;
    (void)status;
    *over = true;
}

static bool is_over(struct group *group, void *context) {
    (void)group;
    return *(const bool *)context;
}

static raft_term term_of_answer(struct group *group, struct replica *replica, uint64_t to,
                                raft_term asked_term, bool granted) {
    struct heard_answer heard = {.from = replica->id};
    bool over = false;
    struct raft_io_send request = {.data = &over};
    struct raft_message message = {.type = RAFT_REQUEST_VOTE_RESULT, .server_id = to};
    message.request_vote_result =
        (struct raft_request_vote_result){.version = 2, /* with pre_vote */
                                          .term = asked_term,
                                          .vote_granted = granted,
                                          .pre_vote = true};
    mesh_set_filter(group->mesh, on_answer_wire, &heard);
    assert_int_equal(replica->io.send(&replica->io, &request, &message, on_answer_sent), 0);
    group_wait(group, is_over, &over);
    group_wait(group, answer_is_heard, &heard);
    mesh_set_filter(group->mesh, NULL, NULL);
    return heard.result.term;
}

/* Whoever asks in an older term hears of the newer one. */
static void test_pre_vote_tells_the_term(void **state) {
    struct group group;
    (void)state;
    group_init(&group, &small_log);
    group_bootstrap(&group);
    group_start(&group);
    uint32_t leader = group_wait_leader(&group);
    struct replica *replica = group.nodes[leader].replica;
    uint64_t to = group.nodes[(leader + 1) % 3].id;
    raft_term term = raft_current_term(&replica->raft);
    assert_true(term > 1);
    assert_int_equal(term_of_answer(&group, replica, to, term - 1, false), term);
    assert_int_equal(term_of_answer(&group, replica, to, term + 1, false), term + 1);
    assert_int_equal(term_of_answer(&group, replica, to, term + 1, true), term + 1);
    group_finish(&group);
}

static uint32_t place_of(const struct group *group, uint64_t id) {
    uint32_t place = 0;
    while (group->nodes[place].id != id) {
        place++;
    }
    return place;
}

/* A vote from a node that has no room for the log. */
static bool on_vote_wire(void *context, uint64_t from, uint64_t to, enum peers_message type,
                         const uint8_t *bytes, size_t size_bytes) {
    struct group *group = context;
    struct raft_message message;
    struct error error;
    if (type != PEERS_MESSAGE_RAFT ||
        wire_decode(bytes, size_bytes, &message, &error) != ERROR_OK) {
        return true;
    }
    bool votes = message.type == RAFT_REQUEST_VOTE_RESULT;
    if (votes) {
        message.request_vote_result.capacity = 0;
        give(group, place_of(group, from), group->nodes[place_of(group, to)].replica, &message);
    }
    wire_release(&message);
    return !votes;
}

/* libraft refuses its own first entry where a majority has no room, and then ends the process. */
static void test_elected_by_a_full_disk(void **state) {
    struct group group;
    (void)state;
    group_init(&group, &small_log);
    group_bootstrap(&group);
    group_start(&group);
    group_stop_node(&group, group_wait_leader(&group));
    mesh_set_filter(group.mesh, on_vote_wire, &group);
    (void)group_wait_leader(&group);
    mesh_set_filter(group.mesh, NULL, NULL);
    group_write(&group, 5, 1);
    group_finish(&group);
}

/* Of `place`, for whoever has a log of that length; nobody's term or vote is changed by it. */
static bool votes_for(struct group *group, uint32_t place, uint32_t candidate, raft_index last) {
    struct replica *replica = group->nodes[place].replica;
    struct heard_answer heard = {.from = group->nodes[place].id};
    struct raft_message message = {.type = RAFT_REQUEST_VOTE};
    message.request_vote =
        (struct raft_request_vote){.version = 2, /* with pre_vote */
                                   .term = raft_current_term(&replica->raft) + 1,
                                   .candidate_id = group->nodes[candidate].id,
                                   .last_log_index = last,
                                   .last_log_term = raft_current_term(&replica->raft),
                                   .disrupt_leader = true,
                                   .pre_vote = true};
    mesh_set_filter(group->mesh, on_answer_wire, &heard);
    give(group, candidate, replica, &message);
    group_wait(group, answer_is_heard, &heard);
    mesh_set_filter(group->mesh, NULL, NULL);
    return heard.result.vote_granted;
}

/* One that was made a voter, and hasn't heard of it: those who have may need its vote. */
static void test_vote_of_one_that_is_not_told_yet(void **state) {
    struct group group;
    (void)state;
    group_init(&group, &small_log);
    group_bootstrap(&group);
    group_start(&group);
    uint32_t leader = group_wait_leader(&group);
    group_write(&group, 3, 1);
    uint32_t place = (leader + 1) % 3;
    struct raft *raft = &group.nodes[place].replica->raft;
    raft_index last = raft_last_index(raft);
    struct raft_server *own = raft->configuration.servers;
    while (own->id != group.nodes[place].id) {
        own++;
    }
    assert_true(votes_for(&group, place, (leader + 2) % 3, last + 1));
    own->role = RAFT_SPARE;
    assert_true(votes_for(&group, place, (leader + 2) % 3, last + 1));
    assert_false(votes_for(&group, place, (leader + 2) % 3, 1)); /* an older log */
    assert_int_equal(own->role, RAFT_SPARE);
    group_stop_node(&group, leader); /* it hears nothing of that one any more */
    assert_int_equal(group_wait_leader(&group), (leader + 2) % 3);
    group_write(&group, 3, 1);
    own->role = RAFT_VOTER;
    group_finish(&group);
}

/* The library's want of memory is the end of the process: it would go on with an entry freed twice.
 */
static void test_library_has_memory_or_ends(void **state) {
    struct group group;
    int status = 0;
    (void)state;
#ifdef __SANITIZE_ADDRESS__
    skip(); /* that ends the process itself, for the size, and calls it a finding */
#endif
    group_init(&group, &small_log);
    group_bootstrap(&group);
    group_start(&group);
    pid_t child = fork();
    assert_int_not_equal(child, -1);
    if (child == 0) {
        const struct rlimit none = {0, 0};
        (void)setrlimit(RLIMIT_CORE, &none);
        (void)signal(SIGABRT, SIG_DFL);
        _exit(raft_malloc(PTRDIFF_MAX) == NULL ? 1 : 2);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    group_finish(&group);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_snapshot_waits_for_our_own),
        cmocka_unit_test(test_snapshots_cross),
        cmocka_unit_test(test_commit_index_stays),
        cmocka_unit_test(test_entries_before_the_log),
        cmocka_unit_test(test_entries_right_before_the_log),
        cmocka_unit_test(test_change_behind_an_entry),
        cmocka_unit_test(test_no_snapshot_beside_a_change),
        cmocka_unit_test(test_snapshot_goes_with_its_own_term),
        cmocka_unit_test(test_pre_vote_tells_the_term),
        cmocka_unit_test(test_elected_by_a_full_disk),
        cmocka_unit_test(test_vote_of_one_that_is_not_told_yet),
        cmocka_unit_test(test_lone_write_on_an_idle_group),
        cmocka_unit_test(test_library_has_memory_or_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
