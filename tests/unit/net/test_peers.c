/* Whole nodes: links come up, break, come back; who is refused and what both sides are told. */
#include "kit.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "net/frame.h"

enum { WAIT_MS = 15000 };

static struct kit_node nodes[KIT_NODES_MAX];
static unsigned node_count;

static int close_all(void **state) {
    (void)state;
    kit_close_nodes(nodes, node_count);
    return 0;
}

static void start(unsigned count, const char *const *identities) {
    node_count = count;
    kit_create_nodes(nodes, count, identities);
}

static bool all_up(void *context) {
    (void)context;
    for (unsigned i = 0; i < node_count; i++) {
        for (unsigned j = 0; j < node_count; j++) {
            if (i != j && (nodes[i].peers == NULL || !nodes[i].up[j + 1])) {
                return false;
            }
        }
    }
    return true;
}

static void start_all_up(unsigned count) {
    start(count, NULL);
    kit_start_nodes(nodes, count);
    assert_true(kit_run_until(all_up, NULL, WAIT_MS));
}

struct sent {
    bool done;
    unsigned count;
    enum error_code code;
};

static void on_sent(enum error_code code, void *context) {
    struct sent *sent = context;
    sent->done = true;
    sent->count++;
    sent->code = code;
}

static bool was_sent(void *context) {
    return ((struct sent *)context)->done;
}

static void send_bytes(struct kit_node *node, uint64_t to, enum peers_message type,
                       const void *bytes, size_t size_bytes, struct sent *sent) {
    uv_buf_t buffer = uv_buf_init((char *)bytes, (unsigned)size_bytes);
    *sent = (struct sent){.done = false};
    peers_send(node->peers, to, type, &buffer, 1, on_sent, sent);
    assert_false(sent->done); /* never from inside */
}

static bool got_message(void *context) {
    struct kit_node *node = context;
    return node->messages > 0;
}

static void test_mesh(void **state) {
    struct peers_link link;
    (void)state;
    start_all_up(4);
    for (unsigned i = 0; i < 4; i++) {
        for (unsigned j = 0; j < 4; j++) {
            if (i == j) {
                assert_false(peers_link(nodes[i].peers, i + 1, &link));
                continue;
            }
            struct sent sent;
            nodes[j].messages = 0;
            send_bytes(&nodes[i], j + 1, PEERS_MESSAGE_NOTE, "note", 4, &sent);
            assert_true(kit_run_until(got_message, &nodes[j], WAIT_MS));
            assert_int_equal(nodes[j].message_type, PEERS_MESSAGE_NOTE);
            assert_true(nodes[j].message_sum == kit_sum("note", 4));
            assert_true(kit_run_until(was_sent, &sent, WAIT_MS));
            assert_int_equal(sent.code, ERROR_OK);
            assert_true(peers_link(nodes[i].peers, j + 1, &link));
            assert_true(link.up);
            assert_int_equal(link.dials, i < j);
            assert_int_equal(link.hello.boot, j + 100);
            assert_string_equal(link.hello.version, "0.3.0");
            assert_int_equal(link.connect_count, 1);
            assert_string_equal(link.last_error, "");
            assert_true(link.not_after_ms > 0);
        }
    }
}

static void test_no_link(void **state) {
    struct sent sent;
    struct peers_link link;
    (void)state;
    start(2, NULL);
    send_bytes(&nodes[0], 2, PEERS_MESSAGE_RAFT, "x", 1, &sent);
    assert_true(kit_run_until(was_sent, &sent, WAIT_MS));
    assert_int_equal(sent.code, ERROR_UNAVAILABLE);
    send_bytes(&nodes[0], 77, PEERS_MESSAGE_RAFT, "x", 1, &sent);
    assert_true(kit_run_until(was_sent, &sent, WAIT_MS));
    assert_int_equal(sent.code, ERROR_UNAVAILABLE);
    assert_true(peers_link(nodes[0].peers, 2, &link));
    assert_false(link.up);
    assert_string_not_equal(link.last_error, "");
}

static bool has_message_of(void *context) {
    return nodes[1].message_bytes == *(size_t *)context && nodes[1].messages > 0;
}

static void test_big_messages(void **state) {
    struct sent sent;
    size_t size_bytes = FRAME_RAFT_MAX_BYTES;
    uint8_t *bytes = malloc(FRAME_SNAPSHOT_MAX_BYTES + 1);
    (void)state;
    for (size_t i = 0; i <= FRAME_SNAPSHOT_MAX_BYTES; i++) {
        bytes[i] = (uint8_t)(i * 13 + i / 1000);
    }
    start_all_up(2);
    send_bytes(&nodes[0], 2, PEERS_MESSAGE_RAFT, bytes, size_bytes, &sent);
    assert_true(kit_run_until(has_message_of, &size_bytes, WAIT_MS));
    assert_true(nodes[1].message_sum == kit_sum(bytes, size_bytes));
    assert_int_equal(nodes[1].message_type, PEERS_MESSAGE_RAFT);
    assert_true(kit_run_until(was_sent, &sent, WAIT_MS));
    assert_int_equal(sent.code, ERROR_OK);

    size_bytes = FRAME_SNAPSHOT_MAX_BYTES;
    send_bytes(&nodes[0], 2, PEERS_MESSAGE_SNAPSHOT, bytes, size_bytes, &sent);
    assert_true(kit_run_until(has_message_of, &size_bytes, WAIT_MS));
    assert_true(nodes[1].message_sum == kit_sum(bytes, size_bytes));
    assert_int_equal(nodes[1].message_type, PEERS_MESSAGE_SNAPSHOT);

    static const struct {
        enum peers_message type;
        size_t size_bytes;
    } too_long[] = {{PEERS_MESSAGE_RAFT, FRAME_RAFT_MAX_BYTES + 1},
                    {PEERS_MESSAGE_SNAPSHOT, FRAME_SNAPSHOT_MAX_BYTES + 1},
                    {PEERS_MESSAGE_REPORT, FRAME_REPORT_MAX_BYTES + 1},
                    {PEERS_MESSAGE_NOTE, FRAME_CONTROL_MAX_BYTES + 1}};
    for (size_t i = 0; i < ARRAY_LENGTH(too_long); i++) {
        send_bytes(&nodes[0], 2, too_long[i].type, bytes, too_long[i].size_bytes, &sent);
        assert_true(kit_run_until(was_sent, &sent, WAIT_MS));
        assert_int_equal(sent.code, ERROR_LIMIT);
    }
    assert_true(nodes[0].up[2] && nodes[1].up[1]);
    free(bytes);
}

/* Many buffers in one message arrive joined; empty ones are nothing. */
static void test_many_buffers(void **state) {
    enum { COUNT = 3000 };
    uv_buf_t buffers[COUNT];
    uint8_t bytes[COUNT];
    struct sent sent = {.done = false};
    (void)state;
    start_all_up(2);
    size_t used = 0;
    for (size_t i = 0; i < COUNT; i++) {
        bytes[i] = (uint8_t)(i * 3);
        buffers[i] = uv_buf_init((char *)bytes + used, i % 4 == 0 ? 0 : 1);
        used += buffers[i].len;
    }
    peers_send(nodes[0].peers, 2, PEERS_MESSAGE_RAFT, buffers, COUNT, on_sent, &sent);
    assert_true(kit_run_until(has_message_of, &used, WAIT_MS));
    assert_true(nodes[1].message_sum == kit_sum(bytes, used));
    nodes[1].messages = 0;
    peers_send(nodes[0].peers, 2, PEERS_MESSAGE_NOTE, NULL, 0, NULL, NULL);
    used = 0;
    assert_true(kit_run_until(has_message_of, &used, WAIT_MS));
}

/* --- output that waits --- */

static void test_full_output(void **state) {
    enum { SENDS = 64, SEND_BYTES = 1024 * 1024 };
    struct sent sent[SENDS];
    struct sent reports[3];
    unsigned limited = 0;
    unsigned fine = 0;
    size_t report_bytes = 3;
    (void)state;
    start_all_up(2);
    uint8_t *bytes = calloc(1, SEND_BYTES);
    for (unsigned i = 0; i < SENDS; i++) {
        send_bytes(&nodes[0], 2, PEERS_MESSAGE_RAFT, bytes, SEND_BYTES, &sent[i]);
    }
    struct peers_link link;
    assert_true(peers_link(nodes[0].peers, 2, &link));
    assert_true(link.buffered_bytes > PEERS_BUFFERED_MAX_BYTES / 2);
    assert_true(link.buffered_bytes <= PEERS_BUFFERED_MAX_BYTES + SEND_BYTES);
    /* Of three reports behind all this only the newest goes. */
    send_bytes(&nodes[0], 2, PEERS_MESSAGE_REPORT, "1", 1, &reports[0]);
    send_bytes(&nodes[0], 2, PEERS_MESSAGE_REPORT, "22", 2, &reports[1]);
    send_bytes(&nodes[0], 2, PEERS_MESSAGE_REPORT, "333", 3, &reports[2]);
    assert_true(kit_run_until(was_sent, &reports[2], WAIT_MS));
    assert_true(kit_run_until(has_message_of, &report_bytes, WAIT_MS));
    assert_int_equal(nodes[1].message_type, PEERS_MESSAGE_REPORT);
    for (unsigned i = 0; i < SENDS; i++) {
        assert_int_equal(sent[i].count, 1);
        limited += sent[i].code == ERROR_LIMIT;
        fine += sent[i].code == ERROR_OK;
    }
    assert_int_equal(limited + fine, SENDS);
    assert_in_range(fine, 15, 40);
    assert_true(limited > 0);
    assert_int_equal(nodes[1].messages, fine + 1);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(reports[i].count, 1);
        assert_int_equal(reports[i].code, i == 2 ? ERROR_OK : ERROR_CANCELLED);
    }
    free(bytes);
}

static void test_close_with_output(void **state) {
    enum { SENDS = 40, SEND_BYTES = 1024 * 1024 };
    struct sent sent[SENDS + 2];
    (void)state;
    start_all_up(2);
    uint8_t *bytes = calloc(1, SEND_BYTES);
    for (unsigned i = 0; i < SENDS; i++) {
        send_bytes(&nodes[0], 2, PEERS_MESSAGE_RAFT, bytes, SEND_BYTES, &sent[i]);
    }
    send_bytes(&nodes[0], 2, PEERS_MESSAGE_REPORT, "r", 1, &sent[SENDS]);
    struct peers *peers = nodes[0].peers;
    peers_close(peers, NULL, NULL);
    nodes[0].peers = NULL;
    uv_buf_t late = uv_buf_init("x", 1);
    sent[SENDS + 1] = (struct sent){.done = false};
    peers_send(peers, 2, PEERS_MESSAGE_RAFT, &late, 1, on_sent, &sent[SENDS + 1]);
    kit_close_nodes(nodes, 2);
    for (unsigned i = 0; i < SENDS + 2; i++) {
        assert_int_equal(sent[i].count, 1);
        assert_true(sent[i].code == ERROR_OK || sent[i].code == ERROR_LIMIT ||
                    sent[i].code == ERROR_CANCELLED);
    }
    assert_int_equal(sent[SENDS].code, ERROR_CANCELLED);
    assert_int_equal(sent[SENDS + 1].code, ERROR_CANCELLED);
    free(bytes);
}

/* --- down and up --- */

static bool one_is_down(void *context) {
    (void)context;
    return !nodes[0].up[2];
}

static bool two_is_down(void *context) {
    (void)context;
    return !nodes[1].up[1];
}

static void on_closed(void *context) {
    *(bool *)context = true;
}

static void test_down_and_back(void **state) {
    (void)state;
    start_all_up(2);
    for (unsigned round = 0; round < 2; round++) {
        /* Round 0: the acceptor goes; round 1: the dialler. */
        unsigned goes = round == 0 ? 1 : 0;
        bool closed = false;
        uint64_t before = uv_hrtime();
        peers_close(nodes[goes].peers, on_closed, &closed);
        nodes[goes].peers = NULL;
        assert_true(kit_run_until(goes == 1 ? one_is_down : two_is_down, NULL, WAIT_MS));
        /* At once: it starts an election. */
        assert_true((uv_hrtime() - before) / 1000000 < 500);
        while (!closed) {
            uv_run(kit_loop(), UV_RUN_ONCE);
        }
        kit_restart_node(nodes, 2, goes);
        assert_true(kit_run_until(all_up, NULL, WAIT_MS));
        unsigned stays = 1 - goes;
        assert_int_equal(nodes[stays].ups[goes + 1], 2 + (goes == 0));
    }
}

static bool tried_for_long(void *context) {
    struct peers_link link;
    uint64_t *until_ms = context;
    assert_true(peers_link(nodes[0].peers, 2, &link));
    return clock_boottime_ms(&clock_system) >= *until_ms &&
           strstr(link.last_error, "refused") != NULL;
}

/* The peer isn't there: tried again, with growing waits, until it is. */
static void test_late_peer(void **state) {
    (void)state;
    start(2, NULL);
    bool closed = false;
    peers_close(nodes[1].peers, on_closed, &closed);
    nodes[1].peers = NULL;
    peers_start(nodes[0].peers);
    uint64_t until_ms = clock_boottime_ms(&clock_system) + 1500;
    assert_true(kit_run_until(tried_for_long, &until_ms, WAIT_MS));
    kit_restart_node(nodes, 2, 1);
    assert_true(kit_run_until(all_up, NULL, PEERS_BACKOFF_MAX_MS + 2000));
}

static void test_names_are_resolved(void **state) {
    struct error error;
    (void)state;
    start(2, NULL);
    assert_int_equal(peers_set_address(nodes[0].peers, 2, "localhost", nodes[1].port, &error),
                     ERROR_OK);
    kit_start_nodes(nodes, 2);
    assert_true(kit_run_until(all_up, NULL, WAIT_MS));
    assert_int_equal(peers_set_address(nodes[0].peers, 9, "localhost", 1, &error), ERROR_NOT_FOUND);
    assert_int_equal(peers_set_address(nodes[0].peers, 2, "", 1, &error), ERROR_INVALID);
}

static bool name_failed(void *context) {
    struct peers_link link;
    (void)context;
    assert_true(peers_link(nodes[0].peers, 2, &link));
    return strstr(link.last_error, "name no-such-host.invalid") != NULL;
}

static void test_bad_name(void **state) {
    struct error error;
    (void)state;
    start(2, NULL);
    assert_int_equal(
        peers_set_address(nodes[0].peers, 2, "no-such-host.invalid", nodes[1].port, &error),
        ERROR_OK);
    kit_start_nodes(nodes, 2);
    assert_true(kit_run_until(name_failed, NULL, WAIT_MS));
    assert_int_equal(peers_set_address(nodes[0].peers, 2, "127.0.0.1", nodes[1].port, &error),
                     ERROR_OK);
    assert_true(kit_run_until(all_up, NULL, WAIT_MS));
}

/* Closing at any moment of connecting and shaking hands. */
static bool count_down(void *context) {
    return --*(int *)context < 0;
}

static void test_close_while_connecting(void **state) {
    struct error error;
    (void)state;
    for (int turns = 0; turns < 24; turns++) {
        int left = turns;
        start(3, NULL);
        assert_int_equal(peers_set_address(nodes[0].peers, 3, "localhost", nodes[2].port, &error),
                         ERROR_OK);
        kit_start_nodes(nodes, 3);
        assert_true(kit_run_until(count_down, &left, WAIT_MS));
        kit_close_nodes(nodes, 3);
    }
    node_count = 0;
}

/* --- refusals --- */

static bool one_refused(void *context) {
    (void)context;
    return nodes[0].refusals > 0;
}

static bool two_refused(void *context) {
    (void)context;
    return nodes[1].refusals > 0;
}

static void expect_never_up(void) {
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(nodes[i].ups[1] + nodes[i].ups[2], 0);
    }
}

static void test_acceptor_refuses(void **state) {
    struct peers_link link;
    (void)state;
    start(2, NULL);
    nodes[1].refusal = PEERS_REFUSAL_STORAGE;
    kit_start_nodes(nodes, 2);
    assert_true(kit_run_until(one_refused, NULL, WAIT_MS));
    assert_int_equal(nodes[0].refused, PEERS_REFUSAL_STORAGE);
    assert_string_equal(nodes[0].refused_reason, "'n1' has boot 100");
    expect_never_up();
    assert_true(peers_link(nodes[0].peers, 2, &link));
    assert_string_equal(link.last_error, "it refuses us: 'n1' has boot 100");
    assert_true(peers_link(nodes[1].peers, 1, &link));
    assert_string_equal(link.last_error, "'n1' has boot 100");
    /* Asked again, but not in a hot loop; and let in once it is welcome. */
    uint64_t before = uv_hrtime();
    nodes[1].refusal = PEERS_REFUSAL_NONE;
    assert_true(kit_run_until(all_up, NULL, WAIT_MS));
    assert_true((uv_hrtime() - before) / 1000000 >= PEERS_BACKOFF_MAX_MS / 2 - 100);
    assert_int_equal(nodes[0].refusals, 1);
}

static void test_dialler_refuses(void **state) {
    (void)state;
    start(2, NULL);
    nodes[0].refusal = PEERS_REFUSAL_LOG_BEHIND;
    kit_start_nodes(nodes, 2);
    assert_true(kit_run_until(two_refused, NULL, WAIT_MS));
    assert_int_equal(nodes[1].refused, PEERS_REFUSAL_LOG_BEHIND);
    assert_string_equal(nodes[1].refused_reason, "'n2' has boot 101");
    expect_never_up();
}

static bool failed_with(void *context) {
    struct peers_link link;
    assert_true(peers_link(nodes[0].peers, 2, &link));
    return strstr(link.last_error, context) != NULL;
}

/* Where n2 should be, n3 answers. */
static void test_right_certificate_other_id(void **state) {
    struct error error;
    (void)state;
    start(3, NULL);
    assert_int_equal(peers_set_address(nodes[0].peers, 2, "127.0.0.1", nodes[2].port, &error), 0);
    kit_start_nodes(nodes, 3);
    assert_true(kit_run_until(failed_with, (void *)"certificate of node 'n3', not 'n2'", WAIT_MS));
    assert_int_equal(nodes[0].ups[2], 0);
}

/* n2 runs with a certificate that n1 must not believe, and never comes up. */
static void expect_pair_fails(const char *identity_of_2, const char *words) {
    const char *const identities[] = {NULL, identity_of_2};
    start(2, identities);
    kit_start_nodes(nodes, 2);
    assert_true(kit_run_until(failed_with, (void *)words, WAIT_MS));
    expect_never_up();
}

static void test_foreign_ca(void **state) {
    (void)state;
    expect_pair_fails("foreign", "not signed by our CA");
}

static void test_revoked(void **state) {
    (void)state;
    expect_pair_fails("revoked", "is revoked");
}

static void test_own_certificate(void **state) {
    struct peers *peers = NULL;
    struct error error;
    struct peers_options options = {.id = "n1",
                                    .numeric_id = 1,
                                    .cluster = "alpha",
                                    .identity = kit_identity("n2"),
                                    .listen_host = "127.0.0.1"};
    (void)state;
    node_count = 0;
    options.callbacks.on_message =
        (void (*)(uint64_t, enum peers_message, const uint8_t *, size_t, void *))abort;
    assert_int_equal(
        peers_create(kit_loop(), &clock_system, &entropy_system, &options, &peers, &error),
        ERROR_INVALID);
    assert_non_null(strstr(error.message, "certificate is of 'n2'"));
    options.identity = kit_identity("n1");
    options.cluster = "beta";
    assert_int_equal(
        peers_create(kit_loop(), &clock_system, &entropy_system, &options, &peers, &error),
        ERROR_INVALID);
    options.cluster = "alpha";
    options.listen_host = "localhost";
    assert_int_equal(
        peers_create(kit_loop(), &clock_system, &entropy_system, &options, &peers, &error),
        ERROR_INVALID);
    options.listen_host = "192.0.2.1"; /* of nobody: a documentation address */
    assert_int_equal(
        peers_create(kit_loop(), &clock_system, &entropy_system, &options, &peers, &error),
        ERROR_IO);
    options.listen_host = "127.0.0.1";
    const struct peers_peer twice[] = {{"n2", 2, "a", 1}, {"n3", 2, "b", 1}};
    const struct peers_peer own[] = {{"n1", 2, "a", 1}};
    const struct peers_peer no_port[] = {{"n2", 2, "a", 0}};
    const struct peers_peer *const bad[] = {twice, own, no_port};
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
        options.peers = bad[i];
        options.peer_count = i == 0 ? 2 : 1;
        assert_int_equal(
            peers_create(kit_loop(), &clock_system, &entropy_system, &options, &peers, &error),
            ERROR_INVALID);
    }
    assert_null(peers);
    kit_drain();
}

static bool both_down(void *context) {
    (void)context;
    return !nodes[0].up[2] && !nodes[1].up[1];
}

/* A new revocation list ends the link that stands, and keeps it down. */
static void test_revoked_while_up(void **state) {
    const char *const identities[] = {"n1-old", "revoked"};
    (void)state;
    start(2, identities);
    kit_start_nodes(nodes, 2);
    assert_true(kit_run_until(all_up, NULL, WAIT_MS));
    peers_set_identity(nodes[0].peers, kit_identity("n1-old")); /* no news: stays */
    assert_true(all_up(NULL));
    peers_set_identity(nodes[0].peers, kit_identity("n1"));
    assert_false(nodes[0].up[2]);
    assert_true(failed_with((void *)"is revoked"));
    assert_true(kit_run_until(both_down, NULL, WAIT_MS));
    /* The next attempt fails in the handshake. */
    assert_true(
        kit_run_until(failed_with, (void *)"certificate /O=alpha/CN=n2 is revoked", WAIT_MS));
    assert_int_equal(nodes[0].ups[2], 1);
}

static bool has_round_trip(void *context) {
    struct peers_link link;
    (void)context;
    return peers_link(nodes[0].peers, 2, &link) && link.round_trip_us > 0 &&
           peers_link(nodes[1].peers, 1, &link) && link.round_trip_us > 0;
}

static void test_heartbeat(void **state) {
    (void)state;
    start_all_up(2);
    assert_true(kit_run_until(has_round_trip, NULL, WAIT_MS));
    assert_true(all_up(NULL));
}

#define TEST(name) cmocka_unit_test_teardown(name, close_all)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_mesh),
        TEST(test_no_link),
        TEST(test_big_messages),
        TEST(test_many_buffers),
        TEST(test_full_output),
        TEST(test_close_with_output),
        TEST(test_down_and_back),
        TEST(test_late_peer),
        TEST(test_names_are_resolved),
        TEST(test_bad_name),
        TEST(test_close_while_connecting),
        TEST(test_acceptor_refuses),
        TEST(test_dialler_refuses),
        TEST(test_right_certificate_other_id),
        TEST(test_foreign_ca),
        TEST(test_revoked),
        TEST(test_own_certificate),
        TEST(test_revoked_while_up),
        TEST(test_heartbeat),
    };
    return cmocka_run_group_tests(tests, kit_setup, kit_teardown);
}
