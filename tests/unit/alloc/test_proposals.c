/* A command that is proposed, and messages that are sent, when memory runs out in the middle: each
 * is answered once, and what was refused is in nobody's log. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "failing.h"
#include "made_replica.h"

#define TERM 5
#define COUNT 2

static struct replica *replica;
static struct command command;
static struct answer {
    uint32_t count;
    enum error_code code;
} answers[COUNT];
static uint32_t applied_count;

/* In the place of replica_allocate. */
void *__wrap_replica_allocate(size_t size_bytes);
void *__wrap_replica_allocate(size_t size_bytes) {
    return spared_allocate(size_bytes);
}

/* The library, as the sole voter: an entry is committed and applied at once. */
int __wrap_raft_apply(struct raft *raft, struct raft_apply *request,
                      const struct raft_buffer *buffers, unsigned count, raft_apply_cb callback);
int __wrap_raft_apply(struct raft *raft, struct raft_apply *request,
                      const struct raft_buffer *buffers, unsigned count, raft_apply_cb callback) {
    void *result = NULL;
    assert_int_equal(count, 1);
    assert_int_equal(raft->fsm->apply(raft->fsm, &buffers[0], &result), 0);
    raft_free(buffers[0].base);
    callback(request, 0, result);
    return 0;
}

static void on_proposed(void *context, enum error_code code, enum core_error result,
                        uint64_t index) {
    struct answer *answer = context;
    (void)result;
    (void)index;
    answer->count++;
    answer->code = code;
}

static void on_applied(void *context, uint64_t index, const struct command *applied,
                       enum core_error result, uint64_t proposed_ms) {
    (void)context;
    (void)index;
    (void)result;
    (void)proposed_ms;
    assert_int_equal(applied->kind, command.kind);
    applied_count++;
}

static bool proposals(void) {
    uint32_t done_count = 0;
    made_replica_reset(replica);
    memset(answers, 0, sizeof answers);
    applied_count = 0;
    state_init(replica->state);
    for (uint32_t i = 0; i < COUNT; i++) {
        replica_propose(replica, &command, on_proposed, &answers[i]);
        assert_int_equal(answers[i].count, 0);
    }
    replica_flush(replica);
    replica_complete(replica);
    for (uint32_t i = 0; i < COUNT; i++) {
        assert_int_equal(answers[i].count, 1);
        done_count += answers[i].code == ERROR_OK;
        /* Unknown: committed, but this node can't apply it any more. */
        assert_true(answers[i].code == ERROR_OK || answers[i].code == ERROR_UNAVAILABLE ||
                    (answers[i].code == ERROR_UNKNOWN && replica->failed));
    }
    assert_int_equal(replica->pending_count, 0);
    assert_true(replica->failed ? applied_count >= done_count : applied_count == done_count);
    return done_count == COUNT;
}

/* --- messages --- */

static struct raft_message message;   /* to n2 */
static peers_sent_callback link_sent; /* NULL: the link has nothing */
static void *link_context;
static uint32_t callback_count;

static void transport_send(struct replica_transport *transport, uint64_t peer,
                           enum peers_message type, const uv_buf_t *buffers, size_t buffer_count,
                           peers_sent_callback sent, void *context) {
    (void)transport;
    (void)peer;
    (void)type;
    assert_true(buffer_count > 0 && buffers[0].len > 0);
    link_sent = sent;
    link_context = context;
}

static void on_sent(struct raft_io_send *request, int status) {
    callback_count++;
    *(int *)request->data = status;
}

/* What couldn't be sent is as lost as on a link; the library never hears of it at once. */
static bool messages(void) {
    int status = -1;
    struct raft_io_send request = {.data = &status};
    made_replica_reset(replica);
    callback_count = 0;
    link_sent = NULL;
    assert_int_equal(replica->io.send(&replica->io, &request, &message, on_sent), 0);
    assert_int_equal(callback_count, 0);
    if (link_sent != NULL) {
        link_sent(ERROR_OK, link_context);
    }
    replica_io_complete_unsent(replica);
    assert_int_equal(callback_count, 1);
    assert_int_equal(status == 0, link_sent != NULL);
    assert_int_equal(replica->outgoing_count, 0);
    buffer_finish(&replica->part.head);
    return status == 0;
}

static void test_proposals(void **state) {
    (void)state;
    command.kind = COMMAND_NODES;
    (void)TEXT_COPY(command.nodes.cluster, "prod");
    command.nodes.incarnation = 1;
    command.nodes.count = 1;
    command.nodes.nodes[0].id = 1;
    (void)TEXT_COPY(command.nodes.nodes[0].name, "n1");
    (void)TEXT_COPY(command.nodes.nodes[0].region, "east");
    assert_true(check_scenario("proposals", proposals) > 10);
}

static void test_messages(void **state) {
    static char data[8];
    static struct raft_entry entry = {TERM, RAFT_COMMAND, {data, sizeof data}, NULL};
    (void)state;
    message.type = RAFT_APPEND_ENTRIES;
    message.server_id = 12;
    message.append_entries = (struct raft_append_entries){.version = 1,
                                                          .term = TERM,
                                                          .prev_log_index = 1,
                                                          .prev_log_term = TERM,
                                                          .entries = &entry,
                                                          .n_entries = 1};
    (void)check_scenario("messages", messages);
}

static void test_snapshots(void **state) {
    static char data[8];
    struct raft_install_snapshot *args = &message.install_snapshot;
    (void)state;
    memset(&message, 0, sizeof message);
    message.type = RAFT_INSTALL_SNAPSHOT;
    message.server_id = 12;
    *args = (struct raft_install_snapshot){.version = 1,
                                           .term = TERM,
                                           .last_index = 10,
                                           .last_term = TERM,
                                           .conf_index = 1,
                                           .data = {data, sizeof data}};
    raft_configuration_init(&args->conf);
    assert_int_equal(raft_configuration_add(&args->conf, 12, "n2", RAFT_VOTER), 0);
    assert_true(check_scenario("a snapshot sent", messages) > 1);
    raft_configuration_close(&args->conf);
}

static int set_up(void **state) {
    static struct replica_transport transport = {.send = transport_send};
    (void)state;
    replica = made_replica_create();
    replica->callbacks.on_applied = on_applied;
    replica->transport = &transport;
    replica->raft.fsm = &replica->fsm;
    replica->raft.state = RAFT_LEADER;
    replica->raft.current_term = TERM;
    replica->leadership.phase = LEADERSHIP_ANNOUNCED;
    replica->leadership.term = TERM;
    replica->peer_count = 2;
    replica->peers[0].config.id = 11;
    replica->peers[1].config.id = 12;
    replica_io_override(replica);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    made_replica_destroy(replica);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_proposals),
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_snapshots),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
