/* Requests at the client API, when memory runs out in the middle, the whole server behind them: the
 * answer is the right one, or says that there was no memory and that nothing was done; or there is
 * none and the connection ends, as when a link breaks, and the client asks again with its number.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/err.h>

#include "base/text.h"
#include "failing.h"
#include "net/frame.h"
#include "noctua.pb-c.h"
#include "scene.h"
#include "server_private.h"
#include "streams.h"

static const char room[128 * 1024];

static struct group group;
static struct state *before;   /* each request */
static struct command applied; /* a copy: applying completes it */
static struct api_server *server;
static bool server_closed;
static uv_loop_t loop;

static uint8_t said[64 * 1024]; /* the request, as a frame */
static size_t said_bytes;
static Noctua__Reply *right; /* NULL: not known yet */

/* What the server waits for. */
static struct {
    const struct command *command; /* NULL: a barrier */
    api_proposed_cb proposed;
    api_barrier_cb barrier;
    void *context; /* NULL: for nothing */
} call;

/* --- the rest of the node --- */

static uint64_t boottime_ms(void *context) {
    (void)context;
    return group.now_ms;
}

static uint64_t wall_ms(void *context) {
    (void)context;
    return group.wall_ms;
}

static void facts_now(void *context, struct api_facts *ret) {
    (void)context;
    scene_facts(&group, 1, ret); /* n2 leads */
}

static void propose(void *context, const struct command *command, api_proposed_cb callback,
                    void *callback_context) {
    (void)context;
    call.command = command;
    call.proposed = callback;
    call.context = callback_context;
}

static void wait_for_barrier(void *context, api_barrier_cb callback, void *callback_context) {
    (void)context;
    call.command = NULL;
    call.barrier = callback;
    call.context = callback_context;
}

static void complete_all(void) {
    while (call.context != NULL) {
        void *context = call.context;
        call.context = NULL;
        if (call.command == NULL) {
            call.barrier(context, ERROR_OK);
            continue;
        }
        applied = *call.command;
        enum core_error result = group_apply(&group, &applied);
        assert_int_equal(result, CORE_OK);
        api_server_on_applied(server);
        call.proposed(context, ERROR_OK, result, group.index);
    }
}

/* --- one request --- */

static bool is_applied(void) {
    return group.state->applied_index != before->applied_index;
}

/* The right answer is what comes when nothing fails. True: this is it. */
static bool judge(const Noctua__Reply *reply) {
    if (strcmp(reply->error_code, "LIMIT") == 0) {
        assert_non_null(strstr(reply->message, "memory"));
        assert_false(is_applied());
        return false;
    }
    assert_int_equal(reply->exit_code, right->exit_code);
    assert_string_equal(reply->error_code, right->error_code);
    assert_string_equal(reply->message, right->message);
    assert_string_equal(reply->document, right->document);
    return true;
}

static bool on_reply(enum frame_type type, const uint8_t *payload, size_t size_bytes,
                     void *context) {
    int *answer = context;
    Noctua__Reply *reply = noctua__reply__unpack(NULL, size_bytes, payload);
    assert_int_equal(type, FRAME_RESPONSE);
    assert_non_null(reply);
    assert_int_equal(*answer, -1);
    if (right == NULL) {
        right = noctua__reply__unpack(NULL, size_bytes, payload);
        assert_non_null(right);
    }
    *answer = judge(reply);
    noctua__reply__free_unpacked(reply, NULL);
    return true;
}

/* 1: right, 0: a failure, -1: none. */
static int read_answer(const struct buffer *output) {
    struct frame_parser parser;
    struct error error;
    int answer = -1;
    frame_parser_init(&parser, FRAME_SET(FRAME_RESPONSE), 0);
    assert_int_equal(
        frame_parser_feed(&parser, output->data, output->size_bytes, on_reply, &answer, &error),
        ERROR_OK);
    frame_parser_finish(&parser);
    return answer;
}

/* Until then nothing fails. */
static struct tls_stream *open_stream(void) {
    static const struct tls_peer alice = {
        .kind = TLS_KIND_USER, .role = TLS_ROLE_ADMIN, .name = "alice", .cluster = "prod"};
    failing_pause(true);
    if (is_applied()) {
        memcpy(group.state, before, sizeof *group.state);
        group.index = before->applied_index;
    }
    struct tls_stream *stream = streams_create(&alice);
    assert_true(buffer_append(&stream->output, room, sizeof room));
    buffer_clear(&stream->output); /* what is written on it needs no memory */
    return stream;
}

static void accept_stream(struct tls_stream *stream) {
    streams_listener.on_stream(NULL, stream, &stream->peer, streams_listener.context);
    streams_say(stream, said, said_bytes);
    complete_all();
}

/* True: the right answer came. */
static bool end_stream(struct tls_stream *stream) {
    failing_pause(true);
    int answer = read_answer(&stream->output);
    assert_true(answer >= 0 || stream->closing);
    streams_end(stream, true);
    ERR_clear_error(); /* the library keeps what went wrong until somebody asks */
    failing_pause(false);
    assert_int_equal(api_server_request_count(server), 0);
    return answer == 1;
}

static bool request(void) {
    struct tls_stream *stream = open_stream();
    failing_pause(false);
    accept_stream(stream);
    return end_stream(stream);
}

/* A watch that goes on is told of everything. */
static bool news(void) {
    struct tls_stream *stream = open_stream();
    accept_stream(stream);
    buffer_clear(&stream->output);
    memset(&applied, 0, sizeof applied);
    applied.kind = COMMAND_OVERRIDE;
    applied.override.kind = OVERRIDE_VETO;
    assert_int_equal(group_ask(&group, &applied), CORE_OK);
    failing_pause(false);
    api_server_on_applied(server);
    return end_stream(stream);
}

static void check(const char *name, scenario run, Noctua__Request *message, uint64_t at_least) {
    static uint8_t client_id[16] = {1};
    uint8_t payload[sizeof said - FRAME_HEADER_BYTES];
    message->version = 1;
    message->client_id = (ProtobufCBinaryData){sizeof client_id, client_id};
    message->sequence = 1;
    message->known_index = before->applied_index;
    message->wall_ms = group.wall_ms;
    assert_true(noctua__request__get_packed_size(message) <= sizeof payload);
    size_t size_bytes = noctua__request__pack(message, payload);
    frame_encode_header(FRAME_REQUEST, size_bytes, said);
    memcpy(said + FRAME_HEADER_BYTES, payload, size_bytes);
    said_bytes = FRAME_HEADER_BYTES + size_bytes;
    assert_true(check_scenario(name, run) >= at_least);
    noctua__reply__free_unpacked(right, NULL);
    right = NULL;
}

/* --- the requests --- */

static void test_questions(void **state) {
    static const char *const words[] = {"status", "nodes", "version", "ready"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(words); i++) {
        Noctua__QueryRequest query = NOCTUA__QUERY_REQUEST__INIT;
        Noctua__Request message = NOCTUA__REQUEST__INIT;
        query.what = (char *)words[i];
        query.to = (char *)"us-west-2";
        message.body_case = NOCTUA__REQUEST__BODY_QUERY;
        message.query = &query;
        check(words[i], request, &message, 10);
    }
}

static void test_watch(void **state) {
    Noctua__WatchRequest watch = NOCTUA__WATCH_REQUEST__INIT;
    Noctua__Request message = NOCTUA__REQUEST__INIT;
    (void)state;
    watch.from_index = 1;
    message.body_case = NOCTUA__REQUEST__BODY_WATCH;
    message.watch = &watch;
    check("a watch", request, &message, 10);
    watch.from_index = 0;
    check("what a watch sees", news, &message, 10);
}

static void check_move(const char *name, bool dry_run) {
    Noctua__MoveRequest move = NOCTUA__MOVE_REQUEST__INIT;
    Noctua__Request message = NOCTUA__REQUEST__INIT;
    move.kind = NOCTUA__MOVE_REQUEST__KIND__SWITCHOVER;
    move.service = (char *)"nocturnal";
    move.to = (char *)"us-west-2";
    move.reason = (char *)"INC-4711";
    move.dry_run = dry_run;
    message.body_case = NOCTUA__REQUEST__BODY_MOVE;
    message.move = &move;
    check(name, request, &message, 10);
}

static void test_move(void **state) {
    (void)state;
    check_move("a plan", true);
    check_move("a move", false);
}

static void test_override(void **state) {
    Noctua__OverrideRequest override = NOCTUA__OVERRIDE_REQUEST__INIT;
    Noctua__Request message = NOCTUA__REQUEST__INIT;
    (void)state;
    override.kind = NOCTUA__OVERRIDE_REQUEST__KIND__VETO;
    override.service = (char *)"nocturnal";
    override.for_ms = 60000;
    override.reason = (char *)"bad deploy";
    message.body_case = NOCTUA__REQUEST__BODY_OVERRIDE;
    message.override = &override;
    check("a veto", request, &message, 10);
}

static void check_spec(const char *name, bool dry_run) {
    static const char text[] = "version: 1\n"
                               "regions:\n"
                               "  us-east-1: {}\n"
                               "  us-west-2: {}\n"
                               "  eu-west-1: {role: witness}\n"
                               "services:\n"
                               "  nocturnal:\n"
                               "    home: us-east-1\n"
                               "    targets: [us-west-2]\n"
                               "    checks:\n"
                               "      api: {url: \"http://$region.example.com/health\"}\n";
    Noctua__SpecApplyRequest apply = NOCTUA__SPEC_APPLY_REQUEST__INIT;
    Noctua__Request message = NOCTUA__REQUEST__INIT;
    apply.text = (ProtobufCBinaryData){sizeof text - 1, (uint8_t *)text};
    apply.any_index = true;
    apply.dry_run = dry_run;
    message.body_case = NOCTUA__REQUEST__BODY_SPEC_APPLY;
    message.spec_apply = &apply;
    check(name, request, &message, 100);
}

static void test_spec(void **state) {
    (void)state;
    check_spec("a spec checked", true);
    check_spec("a spec applied", false);
}

/* --- the server --- */

static int set_up(void **state) {
    static const struct clock clock = {boottime_ms, wall_ms, NULL};
    struct error error;
    struct api_server_options options = {
        .loop = &loop,
        .clock = &clock,
        .cluster = "prod",
        .host = "127.0.0.1",
        .calls = {.facts = facts_now, .propose = propose, .barrier = wait_for_barrier},
    };
    (void)state;
    group_open_adopted(&group);
    before = malloc(sizeof *before);
    assert_non_null(before);
    memcpy(before, group.state, sizeof *before);
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(api_server_create(&options, &server, &error), ERROR_OK);
    ERR_raise(ERR_LIB_USER, 1); /* makes the place where it keeps that */
    ERR_clear_error();
    return 0;
}

static void on_closed(void *context) {
    (void)context;
    server_closed = true;
}

static int tear_down(void **state) {
    (void)state;
    api_server_close(server, on_closed, NULL);
    while (!server_closed) {
        (void)uv_run(&loop, UV_RUN_ONCE);
    }
    free(before);
    group_close(&group);
    return uv_loop_close(&loop);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_questions), cmocka_unit_test(test_watch), cmocka_unit_test(test_move),
        cmocka_unit_test(test_override),  cmocka_unit_test(test_spec),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
