/* The client API over real TLS on loopback: who may ask, questions, watches, misbehaviour. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/text.h"
#include "played.h"

/* --- who may what --- */

static void test_roles(void **state) {
    (void)state;
    static struct tester viewer;
    static struct tester operator;
    static struct tester admin;
    Noctua__OverrideRequest override;
    Noctua__MoveRequest move;
    Noctua__Request request;
    open_as(&viewer, VIEWER);
    open_as(&operator, OPERATOR);
    open_as(&admin, ADMIN);
    expect(ask_query(&viewer, "status", "", false), 0, "");
    make_override(&request, &override, NOCTUA__OVERRIDE_REQUEST__KIND__VETO, 0);
    uint64_t before = node.group.index;
    expect(ask(&viewer, &request), 9, "ROLE");
    assert_int_equal(node.group.index, before);
    expect(ask(&operator, & request), 0, "");
    assert_string_equal(node.group.state->overrides[0].actor, "oscar");
    assert_string_equal(node.group.state->overrides[0].reason, "bad deploy");
    make_move(&request, &move, "us-east-1", false);
    move.kind = NOCTUA__MOVE_REQUEST__KIND__ADOPT;
    expect(ask(&operator, & request), 9, "ROLE");
    make_override(&request, &override, NOCTUA__OVERRIDE_REQUEST__KIND__VETO, 0);
    override.end = true;
    expect(ask(&admin, &request), 0, "");
    assert_int_equal(node.group.state->override_count, 0);
    tester_close(&viewer);
    tester_close(&operator);
    tester_close(&admin);
    UNTIL(viewer.closed && operator.closed && admin.closed);
}

static void test_certificates(void **state) {
    (void)state;
    static struct tester tester;
    open_as(&tester, NODE);
    expect(ask_query(&tester, "status", "", false), 9, "ROLE");
    leave(&tester);
    open_as(&tester, STRANGER);
    UNTIL(tester.closed); /* never gets as far as asking */
}

/* --- questions --- */

static void test_queries(void **state) {
    (void)state;
    static const char *const whats[] = {"status",  "service", "explain",
                                        "history", "nodes",   "version"};
    static struct tester tester;
    open_as(&tester, VIEWER);
    for (size_t i = 0; i < ARRAY_LENGTH(whats); i++) {
        const Noctua__Reply *reply = ask_query(&tester, whats[i], "nocturnal", false);
        expect(reply, 0, "");
        assert_false(reply->stale);
        assert_string_equal(reply->leader_name, "n2");
        assert_string_equal(reply->message, "");
        json_t *document = document_of(reply);
        assert_true(json_is_object(document));
        json_decref(document);
    }
    expect(ask_query(&tester, "explain", "", false), 0, ""); /* the only one */
    expect(ask_query(&tester, "explain", "other", false), 2, "NO_SERVICE");
    /* Bytes of a client's own don't come back as a message that is no text. */
    const Noctua__Reply *odd = ask_query(&tester, "explain", "o\xd0\xd9ther", false);
    expect(odd, 2, "NO_SERVICE");
    assert_non_null(strstr(odd->message, "'o??ther'"));
    expect(ask_query(&tester, "weather", "", false), 2, "NOT_SUPPORTED");
    Noctua__Request hello = NOCTUA__REQUEST__INIT;
    Noctua__HelloRequest body = NOCTUA__HELLO_REQUEST__INIT;
    hello.version = 1;
    hello.body_case = NOCTUA__REQUEST__BODY_HELLO;
    hello.hello = &body;
    const Noctua__Reply *reply = ask(&tester, &hello);
    expect(reply, 0, "");
    assert_int_equal(reply->index, node.group.index);
    hello.version = 2;
    expect(ask(&tester, &hello), 1, "NOT_SUPPORTED");
    hello.version = 1;
    hello.body_case = NOCTUA__REQUEST__BODY__NOT_SET;
    expect(ask(&tester, &hello), 1, "NOT_SUPPORTED");
    Noctua__SpecGetRequest get = NOCTUA__SPEC_GET_REQUEST__INIT;
    hello.body_case = NOCTUA__REQUEST__BODY_SPEC_GET;
    hello.spec_get = &get;
    reply = ask(&tester, &hello);
    assert_non_null(strstr(reply->document, "version: 1\\n"));
    /* A spec of no bytes at all is refused, and the node lives. */
    Noctua__SpecApplyRequest apply = NOCTUA__SPEC_APPLY_REQUEST__INIT;
    apply.dry_run = true;
    hello.body_case = NOCTUA__REQUEST__BODY_SPEC_APPLY;
    hello.spec_apply = &apply;
    expect(ask(&tester, &hello), 2, "SPEC");
    leave(&tester);
}

static void test_follower(void **state) {
    (void)state;
    static struct tester tester;
    Noctua__OverrideRequest override;
    Noctua__Request request;
    node.place = 0;
    open_as(&tester, ADMIN);
    const Noctua__Reply *reply = ask_query(&tester, "status", "", false);
    expect(reply, 4, "NOT_LEADER");
    assert_string_equal(reply->leader_name, "n2");
    assert_string_equal(reply->message, "n1 doesn't lead: ask n2");
    reply = ask_query(&tester, "status", "", true);
    expect(reply, 0, "");
    assert_true(reply->stale);
    json_t *document = document_of(reply);
    assert_true(json_is_true(json_object_get(document, "stale")));
    assert_int_equal(json_integer_value(json_object_get(document, "age_ms")), 20);
    json_decref(document);
    make_override(&request, &override, NOCTUA__OVERRIDE_REQUEST__KIND__VETO, 0);
    request.allow_stale = true;
    expect(ask(&tester, &request), 4, "NOT_LEADER");
    assert_int_equal(node.group.state->override_count, 0);
    leave(&tester);
}

/* A leader that can't prove that it still leads answers nothing as current. */
static void test_lost_barrier(void **state) {
    (void)state;
    static struct tester tester;
    node.barrier_fate = ERROR_UNKNOWN;
    open_as(&tester, VIEWER);
    expect(ask_query(&tester, "status", "", false), 4, "NOT_LEADER");
    const Noctua__Reply *reply = ask_query(&tester, "status", "", true);
    expect(reply, 0, "");
    assert_true(reply->stale);
    leave(&tester);
}

/* --- watches --- */

static void make_watch(Noctua__Request *request, Noctua__WatchRequest *watch, uint64_t from_index,
                       uint64_t epoch) {
    noctua__watch_request__init(watch);
    noctua__request__init(request);
    watch->service = (char *)"nocturnal";
    watch->from_index = from_index;
    watch->epoch = epoch;
    fill(request);
    request->body_case = NOCTUA__REQUEST__BODY_WATCH;
    request->watch = watch;
}

/* Words of all events in the replies so far, in order. */
static void kinds_of(const struct tester *tester, char *words, size_t size) {
    words[0] = '\0';
    for (uint32_t i = 0; i < tester->count; i++) {
        json_t *events = document_of(tester->replies[i]);
        for (size_t e = 0; e < json_array_size(events); e++) {
            const char *kind =
                json_string_value(json_object_get(json_array_get(events, e), "kind"));
            (void)snprintf(words + strlen(words), size - strlen(words), "%s ", kind);
        }
        json_decref(events);
    }
}

static void test_watch_a_move(void **state) {
    (void)state;
    static struct tester tester;
    Noctua__WatchRequest watch;
    Noctua__Request request;
    char words[1024];
    open_as(&tester, VIEWER);
    assert_int_equal(group_move(&node.group, "us-west-2", EXECUTION_FAILOVER, 0), CORE_OK);
    make_watch(&request, &watch, node.group.index - 1, 2);
    assert_true(ask(&tester, &request)->more);
    carry_out_the_switch();
    api_server_on_applied(node.server);
    UNTIL(tester.count == 2);
    assert_true(tester.replies[1]->more);
    group_carry_out(&node.group);
    api_server_on_applied(node.server);
    UNTIL(!tester.replies[tester.count - 1]->more);
    kinds_of(&tester, words, sizeof words);
    assert_string_equal(words, "moving switch intent attempt accepted done ended ");
    /* The connection goes on; and one that comes when it is over is told at once. */
    make_watch(&request, &watch, 1, 2);
    assert_false(ask(&tester, &request)->more);
    kinds_of(&tester, words, sizeof words);
    assert_non_null(strstr(words, "moving switch intent attempt accepted done ended "));
    expect(ask_query(&tester, "status", "", false), 0, "");
    leave(&tester);
}

static void test_watch_from_now(void **state) {
    (void)state;
    static struct tester tester;
    Noctua__WatchRequest watch;
    Noctua__Request request;
    char words[64];
    open_as(&tester, VIEWER);
    make_watch(&request, &watch, 0, 0);
    assert_true(ask(&tester, &request)->more);
    assert_string_equal(tester.replies[0]->document, "[]");
    node.boottime_ms += API_WATCH_HEARTBEAT_MS;
    UNTIL(tester.count == 2); /* a sign of life */
    assert_string_equal(tester.replies[1]->document, "[]");
    assert_int_equal(group_override(&node.group, OVERRIDE_VETO, "", 0), CORE_OK);
    api_server_on_applied(node.server);
    UNTIL(tester.count == 3);
    kinds_of(&tester, words, sizeof words);
    assert_string_equal(words, "override ");
    leave(&tester);
}

static void test_watch_too_far_behind(void **state) {
    (void)state;
    static struct tester tester;
    Noctua__WatchRequest watch;
    Noctua__Request request;
    open_as(&tester, VIEWER);
    make_watch(&request, &watch, 0, 0);
    assert_true(ask(&tester, &request)->more);
    for (uint32_t i = 0; i <= EVENT_MAX; i++) { /* a snapshot brings more than is kept */
        assert_int_equal(
            group_opinion(&node.group, 0, EAST, i % 2 == 0 ? OPINION_DOWN : OPINION_UP), CORE_OK);
    }
    api_server_on_applied(node.server);
    UNTIL(tester.count == 2);
    expect(tester.replies[1], 3, "LIMIT");
    assert_false(tester.replies[1]->more);
    leave(&tester);
}

/* --- misbehaviour --- */

static void expect_end(const void *bytes, size_t size) {
    static struct tester tester;
    open_as(&tester, ADMIN);
    tester_send_bytes(&tester, bytes, size);
    UNTIL(tester.closed);
}

static void test_garbage(void **state) {
    (void)state;
    uint8_t frame[FRAME_HEADER_BYTES + 64] = {0};
    expect_end("GET / HTTP/1.1\r\n\r\n", 18);
    frame_encode_header(FRAME_REQUEST, 64, frame);
    memset(frame + FRAME_HEADER_BYTES, 0xff, 64);
    expect_end(frame, sizeof frame);
    frame[4] = 0x7f; /* two gigabytes */
    expect_end(frame, sizeof frame);
    frame_encode_header(FRAME_RESPONSE, 0, frame);
    expect_end(frame, FRAME_HEADER_BYTES);
    /* Within the frame's limit, over the request's. */
    size_t size = API_REQUEST_MAX_BYTES + 1;
    uint8_t *large = calloc(1, FRAME_HEADER_BYTES + size);
    assert_non_null(large);
    frame_encode_header(FRAME_REQUEST, size, large);
    expect_end(large, FRAME_HEADER_BYTES + size);
    free(large);
    uint32_t seed = 4711;
    for (int round = 0; round < 50; round++) {
        uint8_t noise[200];
        for (size_t i = 0; i < sizeof noise; i++) {
            seed = seed * 1664525u + 1013904223u;
            noise[i] = (uint8_t)(seed >> 24);
        }
        frame_encode_header(FRAME_REQUEST, sizeof noise - FRAME_HEADER_BYTES, noise);
        static struct tester tester;
        open_as(&tester, ADMIN);
        tester_send_bytes(&tester, noise, sizeof noise);
        UNTIL(tester.closed || tester.count > 0); /* refused in words, or the end */
        tester_close(&tester);
        UNTIL(tester.closed);
    }
}

static void test_one_request_at_a_time(void **state) {
    (void)state;
    static struct tester tester;
    Noctua__OverrideRequest override;
    Noctua__Request request;
    node.hold = true;
    open_as(&tester, ADMIN);
    make_override(&request, &override, NOCTUA__OVERRIDE_REQUEST__KIND__VETO, 0);
    tester_send(&tester, &request);
    UNTIL(node.call_count == 1);
    tester_send(&tester, &request);
    UNTIL(tester.closed);
}

static void test_too_many_connections(void **state) {
    (void)state;
    static struct tester testers[API_CLIENT_MAX + 1];
    for (uint32_t i = 0; i < API_CLIENT_MAX; i++) {
        open_as(&testers[i], VIEWER);
        node.boottime_ms++;
    }
    expect(ask_query(&testers[0], "version", "", false), 0, ""); /* not the idlest any more */
    node.boottime_ms++;
    open_as(&testers[API_CLIENT_MAX], VIEWER);
    expect(ask_query(&testers[API_CLIENT_MAX], "version", "", false), 0, "");
    UNTIL(testers[1].closed);
    assert_false(testers[0].closed);
    node.boottime_ms += API_IDLE_MS; /* and idle ones go by themselves */
    UNTIL(testers[0].closed && testers[API_CLIENT_MAX].closed);
    for (uint32_t i = 0; i <= API_CLIENT_MAX; i++) {
        UNTIL(testers[i].closed);
    }
}

/* Closing waits for what is proposed, whatever becomes of it. */
static void test_close_in_the_middle(void **state) {
    (void)state;
    static struct tester tester;
    static struct tester watcher;
    Noctua__OverrideRequest override;
    Noctua__WatchRequest watch;
    Noctua__Request request;
    open_as(&watcher, ADMIN);
    make_watch(&request, &watch, 0, 0);
    (void)ask(&watcher, &request);
    node.hold = true;
    open_as(&tester, ADMIN);
    make_override(&request, &override, NOCTUA__OVERRIDE_REQUEST__KIND__VETO, 0);
    tester_send(&tester, &request);
    UNTIL(node.call_count == 1);
    close_server();
    UNTIL(tester.closed && watcher.closed);
    for (int i = 0; i < 10; i++) {
        turn();
        assert_false(node.server_closed);
    }
    node.fate = ERROR_UNKNOWN;
    node.hold = false;
    UNTIL(node.server_closed);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    (void)alarm(120);
    const struct CMUnitTest tests[] = {
        CASE(test_roles),
        CASE(test_certificates),
        CASE(test_queries),
        CASE(test_follower),
        CASE(test_lost_barrier),
        CASE(test_watch_a_move),
        CASE(test_watch_from_now),
        CASE(test_watch_too_far_behind),
        CASE(test_garbage),
        CASE(test_one_request_at_a_time),
        CASE(test_too_many_connections),
        CASE(test_close_in_the_middle),
    };
    return cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}
