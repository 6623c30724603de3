/* The client API over real TLS on loopback, with a node behind it that the test plays: core's test
 * group is the committed state, and the test decides when and how proposals end. */
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/server.h"
#include "api_client.h"
#include "base/entropy.h"
#include "base/text.h"
#include "pki/pki.h"
#include "scene.h"

#define DEADLINE_MS 10000
#define CALL_MAX 128

enum person { ADMIN, OPERATOR, VIEWER, NODE, STRANGER, PERSON_COUNT };

struct call {
    const struct command *command; /* NULL: a barrier */
    api_proposed_cb proposed;
    api_barrier_cb barrier;
    void *context;
};

struct played {
    uv_loop_t loop;
    uv_timer_t tick; /* so that a turn of the loop never blocks for long */
    struct group group;
    uint32_t place; /* which node of the group the server is */
    struct api_server *server;
    uint16_t port;
    struct call calls[CALL_MAX];
    uint32_t call_count;
    bool hold;            /* proposals and barriers wait */
    enum error_code fate; /* of proposals; ERROR_OK: applied */
    enum error_code barrier_fate;
    bool server_closed;
    uint64_t boottime_ms, wall_ms;
};

static struct played node;
static char directory[64];
static struct tls_identity *identities[PERSON_COUNT];
static struct tls_identity *server_identity;
static uint8_t client_id[16];
static uint64_t sequence;

/* --- the node behind the server --- */

static uint64_t test_boottime(void *context) {
    (void)context;
    return node.boottime_ms;
}

static uint64_t test_wall(void *context) {
    (void)context;
    return node.wall_ms;
}

static const struct clock test_clock = {test_boottime, test_wall, NULL};

static void node_facts(void *context, struct api_facts *ret) {
    (void)context;
    scene_facts(&node.group, node.place, ret);
}

static void node_propose(void *context, const struct command *command, api_proposed_cb callback,
                         void *callback_context) {
    (void)context;
    assert_true(node.call_count < CALL_MAX);
    node.calls[node.call_count++] =
        (struct call){.command = command, .proposed = callback, .context = callback_context};
}

static void node_barrier(void *context, api_barrier_cb callback, void *callback_context) {
    (void)context;
    assert_true(node.call_count < CALL_MAX);
    node.calls[node.call_count++] = (struct call){.barrier = callback, .context = callback_context};
}

static void complete(const struct call *call) {
    if (call->command == NULL) {
        call->barrier(call->context, node.barrier_fate);
        return;
    }
    enum core_error result = CORE_OK;
    if (node.fate == ERROR_OK) {
        struct command *command = malloc(sizeof *command);
        assert_non_null(command);
        *command = *call->command;
        result = group_apply(&node.group, command);
        free(command);
        if (node.server != NULL && !node.server_closed) {
            api_server_on_applied(node.server);
        }
    }
    call->proposed(call->context, node.fate, result, node.group.index);
}

static void complete_all(void) {
    while (node.call_count > 0) {
        struct call call = node.calls[0];
        node.call_count--;
        memmove(node.calls, node.calls + 1, node.call_count * sizeof node.calls[0]);
        complete(&call);
    }
}

static void on_tick(uv_timer_t *timer) {
    (void)timer;
}

static void turn(void) {
    (void)uv_run(&node.loop, UV_RUN_ONCE);
    if (!node.hold) {
        complete_all();
    }
}

/* Turns the loop until the condition holds. */
#define UNTIL(condition)                                                                           \
    do {                                                                                           \
        uint64_t until_ms = uv_hrtime() / 1000000 + DEADLINE_MS;                                   \
        while (!(condition)) {                                                                     \
            if (uv_hrtime() / 1000000 > until_ms) {                                                \
                fail_msg("never: %s", #condition);                                                 \
            }                                                                                      \
            turn();                                                                                \
        }                                                                                          \
    } while (0)

/* --- certificates, once --- */

static void load(enum person person, enum tls_kind kind, const char *name, const char *cluster) {
    char path[128];
    struct error error;
    (void)snprintf(path, sizeof path, "%s/%s", directory, name);
    if (tls_identity_load(path, kind, cluster, &identities[person], &error) != ERROR_OK) {
        fail_msg("%s", error.message);
    }
}

static void issue_user(const struct pki *pki, const char *name, const char *role) {
    char path[128];
    struct error error;
    (void)snprintf(path, sizeof path, "%s/%s", directory, name);
    if (pki_issue_user(pki, name, role, 30, path, NULL, &error) != ERROR_OK) {
        fail_msg("%s", error.message);
    }
}

static int make_certificates(void **state) {
    (void)state;
    struct error error;
    char ca[128];
    char path[128];
    (void)TEXT_COPY(directory, "/tmp/noctua-api-XXXXXX");
    assert_non_null(mkdtemp(directory));
    (void)snprintf(ca, sizeof ca, "%s/ca", directory);
    struct pki pki = {.directory = ca, .cluster = "prod", .clock = &clock_system};
    assert_int_equal(pki_init(&pki, 100, &error), ERROR_OK);
    issue_user(&pki, "alice", "admin");
    issue_user(&pki, "oscar", "operator");
    issue_user(&pki, "vera", "viewer");
    (void)snprintf(path, sizeof path, "%s/n2", directory);
    assert_int_equal(pki_issue_node(&pki, "n2", NULL, 0, 30, path, NULL, &error), ERROR_OK);
    assert_int_equal(tls_identity_load(path, TLS_KIND_NODE, "prod", &server_identity, &error),
                     ERROR_OK);
    load(ADMIN, TLS_KIND_USER, "alice", "prod");
    load(OPERATOR, TLS_KIND_USER, "oscar", "prod");
    load(VIEWER, TLS_KIND_USER, "vera", "prod");
    load(NODE, TLS_KIND_NODE, "n2", "prod");
    /* Another CA that calls itself the same. */
    (void)snprintf(ca, sizeof ca, "%s/ca2", directory);
    assert_int_equal(pki_init(&pki, 100, &error), ERROR_OK);
    issue_user(&pki, "mallory", "admin");
    load(STRANGER, TLS_KIND_USER, "mallory", "prod");
    return 0;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *where) {
    (void)status;
    (void)type;
    (void)where;
    return remove(path);
}

static int remove_certificates(void **state) {
    (void)state;
    for (int i = 0; i < PERSON_COUNT; i++) {
        tls_identity_unref(identities[i]);
    }
    tls_identity_unref(server_identity);
    return nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* --- a server for each test --- */

static int set_up(void **state) {
    (void)state;
    struct error error;
    memset(&node, 0, sizeof node);
    group_open_adopted(&node.group);
    node.place = 1; /* n2 leads */
    node.boottime_ms = node.group.now_ms;
    node.wall_ms = node.group.wall_ms;
    assert_int_equal(uv_loop_init(&node.loop), 0);
    assert_int_equal(uv_timer_init(&node.loop, &node.tick), 0);
    assert_int_equal(uv_timer_start(&node.tick, on_tick, 1, 1), 0);
    struct api_server_options options = {
        .loop = &node.loop,
        .clock = &test_clock,
        .identity = server_identity,
        .cluster = "prod",
        .host = "127.0.0.1",
        .calls = {.facts = node_facts, .propose = node_propose, .barrier = node_barrier}};
    if (api_server_create(&options, &node.server, &error) != ERROR_OK) {
        fail_msg("%s", error.message);
    }
    node.port = api_server_port(node.server);
    entropy_system.fill(NULL, client_id, sizeof client_id);
    sequence = 0;
    return 0;
}

static void on_server_closed(void *context) {
    (void)context;
    node.server_closed = true;
}

static int tear_down(void **state) {
    (void)state;
    node.hold = false;
    if (!node.server_closed) {
        api_server_close(node.server, on_server_closed, NULL);
    }
    UNTIL(node.server_closed);
    uv_close((uv_handle_t *)&node.tick, NULL);
    while (uv_run(&node.loop, UV_RUN_ONCE) != 0) {
    }
    assert_int_equal(uv_loop_close(&node.loop), 0);
    group_close(&node.group);
    return 0;
}

static void open_as(struct tester *tester, enum person person) {
    tester_connect(tester, &node.loop, identities[person], node.port);
    UNTIL(tester->ready || tester->closed);
}

static void fill(Noctua__Request *request) {
    request->version = 1;
    request->client_id.data = client_id;
    request->client_id.len = sizeof client_id;
    request->known_index = node.group.index;
    request->wall_ms = node.wall_ms;
}

/* Sends and waits for the one reply (valid until the next). */
static const Noctua__Reply *ask(struct tester *tester, const Noctua__Request *request) {
    tester_clear(tester);
    tester_send(tester, request);
    UNTIL(tester->count > 0 || tester->closed);
    assert_false(tester->closed);
    assert_int_equal(tester->replies[0]->sequence, request->sequence);
    return tester->replies[0];
}

static const Noctua__Reply *ask_query(struct tester *tester, const char *what, const char *service,
                                      bool allow_stale) {
    Noctua__QueryRequest query = NOCTUA__QUERY_REQUEST__INIT;
    Noctua__Request request = NOCTUA__REQUEST__INIT;
    query.what = (char *)what;
    query.service = (char *)service;
    fill(&request);
    request.allow_stale = allow_stale;
    request.body_case = NOCTUA__REQUEST__BODY_QUERY;
    request.query = &query;
    return ask(tester, &request);
}

static void make_override(Noctua__Request *request, Noctua__OverrideRequest *override,
                          Noctua__OverrideRequest__Kind kind, uint64_t for_ms) {
    noctua__override_request__init(override);
    noctua__request__init(request);
    override->kind = kind;
    override->service = (char *)"nocturnal";
    override->for_ms = for_ms;
    override->reason = (char *)"bad deploy";
    fill(request);
    request->sequence = ++sequence;
    request->body_case = NOCTUA__REQUEST__BODY_OVERRIDE;
    request->override = override;
}

static void make_move(Noctua__Request *request, Noctua__MoveRequest *move, const char *to,
                      bool dry_run) {
    noctua__move_request__init(move);
    noctua__request__init(request);
    move->kind = NOCTUA__MOVE_REQUEST__KIND__SWITCHOVER;
    move->service = (char *)"nocturnal";
    move->to = (char *)to;
    move->reason = (char *)"INC-4711";
    move->dry_run = dry_run;
    fill(request);
    request->sequence = dry_run ? 0 : ++sequence;
    request->body_case = NOCTUA__REQUEST__BODY_MOVE;
    request->move = move;
}

static json_t *document_of(const Noctua__Reply *reply) {
    json_error_t error;
    json_t *document = json_loads(reply->document, JSON_DECODE_ANY, &error);
    if (document == NULL) {
        fail_msg("no document: %s (%s)", reply->document, reply->message);
    }
    return document;
}

static void expect(const Noctua__Reply *reply, uint32_t exit_code, const char *error_code) {
    if (reply->exit_code != exit_code || strcmp(reply->error_code, error_code) != 0) {
        fail_msg("%u %s '%s', not %u %s", reply->exit_code, reply->error_code, reply->message,
                 exit_code, error_code);
    }
}

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
    tester_close(&tester);
    UNTIL(tester.closed);
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
    tester_close(&tester);
    UNTIL(tester.closed);
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
    tester_close(&tester);
    UNTIL(tester.closed);
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
    tester_close(&tester);
    UNTIL(tester.closed);
}

/* --- moves --- */

static void plan_of(const Noctua__Reply *reply, char hash[16]) {
    json_t *document = document_of(reply);
    (void)text_copy(hash, 16, json_string_value(json_object_get(document, "plan")));
    json_decref(document);
}

static void test_move_by_plan(void **state) {
    (void)state;
    static struct tester tester;
    Noctua__MoveRequest move;
    Noctua__Request request;
    char hash[16];
    char again[16];
    open_as(&tester, OPERATOR);
    make_move(&request, &move, "", true);
    const Noctua__Reply *reply = ask(&tester, &request);
    expect(reply, 0, "");
    plan_of(reply, hash);
    assert_int_equal(strlen(hash), 6);
    plan_of(ask(&tester, &request), again);
    assert_string_equal(hash, again);
    uint64_t before = node.group.index;
    make_move(&request, &move, "", false);
    move.plan_hash = (char *)"abcdef";
    reply = ask(&tester, &request);
    expect(reply, 8, "CHANGED");
    plan_of(reply, again);
    assert_string_equal(hash, again);
    assert_int_equal(node.group.index, before);
    move.plan_hash = hash;
    reply = ask(&tester, &request);
    expect(reply, 0, "");
    assert_int_equal(reply->index, before + 1);
    assert_non_null(strstr(reply->message, "epoch 2 to us-west-2 is under way"));
    const struct execution *execution = group_execution(&node.group);
    assert_true(execution_is_open(execution));
    assert_string_equal(execution->actor, "oscar");
    assert_string_equal(execution->reason, "INC-4711");
    assert_int_equal(execution->kind, EXECUTION_SWITCHOVER);
    assert_int_equal(execution->gates[GATE_TARGET_HEALTHY].value, 3);
    tester_close(&tester);
    UNTIL(tester.closed);
}

static void test_move_held_by_a_gate(void **state) {
    (void)state;
    static struct tester tester;
    Noctua__MoveRequest move;
    Noctua__Request request;
    open_as(&tester, ADMIN);
    assert_int_equal(group_override(&node.group, OVERRIDE_VETO, "", 0), CORE_OK);
    uint64_t before = node.group.index;
    make_move(&request, &move, "us-west-2", false);
    const Noctua__Reply *reply = ask(&tester, &request);
    expect(reply, 3, "GATE");
    json_t *document = document_of(reply);
    assert_string_equal(json_string_value(json_object_get(document, "headline")),
                        "REFUSED: vetoed fails (6 of 7 gates pass)");
    json_decref(document);
    char *bad[] = {(char *)"vetod"};
    move.skip = bad;
    move.n_skip = 1;
    expect(ask(&tester, &request), 2, "MALFORMED");
    char *automatic[] = {(char *)"confirmed"};
    move.skip = automatic;
    expect(ask(&tester, &request), 2, "MALFORMED");
    assert_int_equal(node.group.index, before);
    char *skip[] = {(char *)"vetoed"};
    move.skip = skip;
    expect(ask(&tester, &request), 0, "");
    assert_int_equal(group_execution(&node.group)->skipped_gates, GATE_BIT(GATE_VETOED));
    make_move(&request, &move, "us-east-1", true);
    expect(ask(&tester, &request), 2, "NO_REGION"); /* it is there */
    make_move(&request, &move, "mars", true);
    expect(ask(&tester, &request), 2, "NO_REGION");
    tester_close(&tester);
    UNTIL(tester.closed);
}

/* --- once --- */

static void test_repeat_gets_first_answer(void **state) {
    (void)state;
    static struct tester tester;
    Noctua__MoveRequest move;
    Noctua__OverrideRequest override;
    Noctua__Request request;
    open_as(&tester, ADMIN);
    make_move(&request, &move, "us-west-2", false);
    const Noctua__Reply *reply = ask(&tester, &request);
    expect(reply, 0, "");
    uint64_t index = reply->index;
    uint64_t events = node.group.state->event_count;
    for (int i = 0; i < 2; i++) {
        reply = ask(&tester, &request);
        expect(reply, 0, "");
        assert_int_equal(reply->index, index);
        json_t *document = document_of(reply);
        assert_true(json_is_true(json_object_get(document, "repeated")));
        json_decref(document);
        group_carry_out(&node.group); /* also when it has ended */
        events = i == 0 ? node.group.state->event_count : events;
    }
    assert_int_equal(node.group.state->event_count, events);
    /* The dry run that goes before the repeated command shows the same move. */
    move.dry_run = true;
    request.sequence = 0;
    reply = ask(&tester, &request);
    expect(reply, 0, "");
    json_t *document = document_of(reply);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(document, "epoch"), "new")),
                     2);
    json_decref(document);
    /* A refusal is remembered as well; and an older number is too late. */
    make_override(&request, &override, NOCTUA__OVERRIDE_REQUEST__KIND__VETO, 0);
    override.end = true;
    expect(ask(&tester, &request), 3, "NO_OVERRIDE");
    assert_int_equal(group_override(&node.group, OVERRIDE_VETO, "", 0), CORE_OK);
    static const uint8_t groups_own[] = {'0', '1', '2', '3', '4', '5', '6', '7',
                                         '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'};
    memcpy(client_id, groups_own, sizeof client_id); /* it has used higher numbers */
    make_override(&request, &override, NOCTUA__OVERRIDE_REQUEST__KIND__VETO, 0);
    request.sequence = 1;
    expect(ask(&tester, &request), 3, "SEQUENCE");
    tester_close(&tester);
    UNTIL(tester.closed);
}

/* The same command under way on two connections: done once, both are told the same. */
static void test_twice_at_once(void **state) {
    (void)state;
    static struct tester one;
    static struct tester two;
    Noctua__OverrideRequest override;
    Noctua__Request request;
    open_as(&one, ADMIN);
    open_as(&two, ADMIN);
    make_override(&request, &override, NOCTUA__OVERRIDE_REQUEST__KIND__VETO, 0);
    node.hold = true;
    tester_send(&one, &request);
    tester_send(&two, &request);
    UNTIL(node.call_count == 2);
    node.hold = false;
    UNTIL(one.count == 1 && two.count == 1);
    expect(one.replies[0], 0, "");
    expect(two.replies[0], 0, "");
    assert_int_equal(one.replies[0]->index, two.replies[0]->index);
    assert_int_equal(node.group.state->override_count, 1);
    tester_close(&one);
    tester_close(&two);
    UNTIL(one.closed && two.closed);
}

static void test_unknown_outcome(void **state) {
    (void)state;
    static const struct {
        enum error_code fate;
        const char *error_code;
    } rows[] = {
        {ERROR_NOT_LEADER, "NOT_LEADER"}, {ERROR_UNKNOWN, "NOT_LEADER"}, {ERROR_LIMIT, "BUSY"}};
    static struct tester tester;
    Noctua__OverrideRequest override;
    Noctua__Request request;
    open_as(&tester, ADMIN);
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        node.fate = rows[i].fate;
        make_override(&request, &override, NOCTUA__OVERRIDE_REQUEST__KIND__VETO, 0);
        expect(ask(&tester, &request), 4, rows[i].error_code);
    }
    tester_close(&tester);
    UNTIL(tester.closed);
}

/* The client goes, or waits too long, while its proposal is under way; the outcome finds nobody. */
static void test_nobody_waits(void **state) {
    (void)state;
    static struct tester tester;
    Noctua__OverrideRequest override;
    Noctua__Request request;
    node.hold = true;
    open_as(&tester, ADMIN);
    make_override(&request, &override, NOCTUA__OVERRIDE_REQUEST__KIND__VETO, 0);
    tester_send(&tester, &request);
    UNTIL(node.call_count == 1);
    node.boottime_ms += API_REQUEST_MS;
    UNTIL(tester.count == 1);
    expect(tester.replies[0], 4, "TIMEOUT");
    tester_clear(&tester);
    make_override(&request, &override, NOCTUA__OVERRIDE_REQUEST__KIND__VETO, 0);
    tester_send(&tester, &request);
    UNTIL(node.call_count == 2);
    tester_close(&tester);
    UNTIL(tester.closed);
    node.hold = false;
    turn();
    assert_int_equal(node.group.state->override_count, 2);
}

/* --- overrides and choices --- */

/* "--for" ends at the latest of three clocks, plus it. */
static void test_end_of_an_override(void **state) {
    (void)state;
    static struct tester tester;
    Noctua__OverrideRequest override;
    Noctua__Request request;
    const struct state *s = node.group.state;
    open_as(&tester, ADMIN);
    make_override(&request, &override, NOCTUA__OVERRIDE_REQUEST__KIND__PAUSE, 60000);
    const Noctua__Reply *reply = ask(&tester, &request);
    expect(reply, 0, "");
    assert_int_equal(s->overrides[0].until_ms, node.group.wall_ms + 60000);
    assert_string_equal(reply->message, "paused until 22:14:23Z by alice. Nothing was sent.");
    make_override(&request, &override, NOCTUA__OVERRIDE_REQUEST__KIND__PAUSE, 60000);
    request.wall_ms = node.group.wall_ms + 5000;
    expect(ask(&tester, &request), 0, "");
    assert_int_equal(s->overrides[1].until_ms, node.group.wall_ms + 65000);
    node.group.wall_ms += 9000;
    assert_int_equal(group_tick(&node.group), CORE_OK);
    node.group.wall_ms -= 9000;
    make_override(&request, &override, NOCTUA__OVERRIDE_REQUEST__KIND__PAUSE, 60000);
    expect(ask(&tester, &request), 0, "");
    assert_int_equal(s->overrides[2].until_ms, node.group.wall_ms + 69000);
    make_override(&request, &override, NOCTUA__OVERRIDE_REQUEST__KIND__PAUSE,
                  API_OVERRIDE_FOR_MAX_MS + 1);
    expect(ask(&tester, &request), 2, "MALFORMED");
    make_override(&request, &override, NOCTUA__OVERRIDE_REQUEST__KIND__PAUSE, 1);
    request.wall_ms = UINT64_MAX;
    expect(ask(&tester, &request), 2, "MALFORMED");
    make_override(&request, &override, NOCTUA__OVERRIDE_REQUEST__KIND__PAUSE, 0);
    override.reason = (char *)"";
    expect(ask(&tester, &request), 2, "MALFORMED");
    override.reason = (char *)"\xff\xfe";
    expect(ask(&tester, &request), 2, "MALFORMED");
    override.reason = (char *)"why";
    override.service = (char *)"Not a name";
    expect(ask(&tester, &request), 2, "MALFORMED");
    request.sequence = 0;
    expect(ask(&tester, &request), 2, "MALFORMED");
    tester_close(&tester);
    UNTIL(tester.closed);
}

static void carry_out_the_switch(void) {
    struct command_step fields = {.step = 0};
    assert_int_equal(group_step(&node.group, COMMAND_SWITCH, &fields), CORE_OK);
}

static void test_veto_too_late(void **state) {
    (void)state;
    static struct tester tester;
    Noctua__OverrideRequest override;
    Noctua__Request request;
    open_as(&tester, OPERATOR);
    assert_int_equal(group_move(&node.group, "us-west-2", EXECUTION_FAILOVER, 0), CORE_OK);
    carry_out_the_switch();
    make_override(&request, &override, NOCTUA__OVERRIDE_REQUEST__KIND__VETO, 0);
    const Noctua__Reply *reply = ask(&tester, &request);
    expect(reply, 3, "TOO_LATE");
    assert_string_equal(
        reply->message,
        "too late: epoch 2 began 22:13:23; dns running. Try: noctuactl cancel nocturnal");
    assert_int_equal(node.group.state->override_count, 0);
    tester_close(&tester);
    UNTIL(tester.closed);
}

static const Noctua__Reply *ask_choice(struct tester *tester, Noctua__ChoiceRequest__Kind kind,
                                       const char *step) {
    Noctua__ChoiceRequest choice = NOCTUA__CHOICE_REQUEST__INIT;
    Noctua__Request request = NOCTUA__REQUEST__INIT;
    choice.kind = kind;
    choice.service = (char *)"nocturnal";
    choice.step = (char *)step;
    fill(&request);
    request.sequence = ++sequence;
    request.body_case = NOCTUA__REQUEST__BODY_CHOICE;
    request.choice = &choice;
    return ask(tester, &request);
}

static void test_choices(void **state) {
    (void)state;
    static struct tester tester;
    open_as(&tester, ADMIN);
    expect(ask_choice(&tester, NOCTUA__CHOICE_REQUEST__KIND__CANCEL, ""), 3, "NOT_OPEN");
    expect(ask_choice(&tester, NOCTUA__CHOICE_REQUEST__KIND__APPROVE, ""), 3, "NOT_SUSPECTED");
    assert_int_equal(group_move(&node.group, "us-west-2", EXECUTION_FAILOVER, 0), CORE_OK);
    carry_out_the_switch();
    expect(ask_choice(&tester, NOCTUA__CHOICE_REQUEST__KIND__RELEASE, "nope"), 2, "NO_STEP");
    expect(ask_choice(&tester, NOCTUA__CHOICE_REQUEST__KIND__RELEASE, "dns"), 0, "");
    assert_int_equal(group_execution(&node.group)->phase, EXECUTION_ENDED);
    assert_int_equal(group_move(&node.group, "us-east-1", EXECUTION_FAILOVER, 0), CORE_OK);
    const Noctua__Reply *reply = ask_choice(&tester, NOCTUA__CHOICE_REQUEST__KIND__CANCEL, "");
    expect(reply, 0, "");
    assert_string_equal(reply->message, "epoch 3 of nocturnal is cancelled. Nothing was sent.");
    tester_close(&tester);
    UNTIL(tester.closed);
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
    tester_close(&tester);
    UNTIL(tester.closed);
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
    tester_close(&tester);
    UNTIL(tester.closed);
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
    tester_close(&tester);
    UNTIL(tester.closed);
}

/* --- specs --- */

static const char good_spec[] = "version: 1\n"
                                "regions:\n"
                                "  us-east-1: {}\n"
                                "  us-west-2: {}\n"
                                "  eu-west-1: {role: witness}\n"
                                "services:\n"
                                "  nocturnal:\n"
                                "    mode: auto\n"
                                "    home: us-east-1\n"
                                "    checks:\n"
                                "      api: {url: 'http://$region.example.com/health'}\n"
                                "  reports:\n"
                                "    home: us-west-2\n"
                                "    checks:\n"
                                "      api: {url: 'http://r.$region.example.com/health'}\n";

static const Noctua__Reply *ask_spec(struct tester *tester, const char *text, bool dry_run,
                                     uint64_t expected_index) {
    Noctua__SpecApplyRequest apply = NOCTUA__SPEC_APPLY_REQUEST__INIT;
    Noctua__Request request = NOCTUA__REQUEST__INIT;
    apply.text.data = (uint8_t *)text;
    apply.text.len = strlen(text);
    apply.file_name = (char *)"s.yaml";
    apply.dry_run = dry_run;
    apply.expected_index = expected_index;
    apply.any_index = expected_index == 0;
    fill(&request);
    request.sequence = ++sequence;
    request.body_case = NOCTUA__REQUEST__BODY_SPEC_APPLY;
    request.spec_apply = &apply;
    return ask(tester, &request);
}

static void test_spec(void **state) {
    (void)state;
    static struct tester tester;
    open_as(&tester, ADMIN);
    uint64_t revision = node.group.state->spec_index;
    const Noctua__Reply *reply = ask_spec(&tester, "version: 1\nregins: {}\n", false, 0);
    expect(reply, 2, "SPEC");
    json_t *document = document_of(reply);
    assert_true(json_array_size(json_object_get(document, "findings")) > 0);
    assert_string_equal(json_string_value(json_object_get(document, "file")), "s.yaml");
    json_decref(document);
    reply = ask_spec(&tester, good_spec, true, 0);
    expect(reply, 0, "");
    document = document_of(reply);
    json_t *services = json_object_get(document, "services");
    assert_string_equal(json_string_value(json_array_get(json_object_get(services, "added"), 0)),
                        "reports");
    json_decref(document);
    assert_int_equal(node.group.state->spec_index, revision);
    expect(ask_spec(&tester, good_spec, false, revision + 1), 8, "CHANGED");
    reply = ask_spec(&tester, good_spec, false, revision);
    expect(reply, 0, "");
    assert_non_null(strstr(reply->message, "2 services. Next: noctuactl adopt reports"));
    assert_int_equal(node.group.state->spec_index, reply->index);
    assert_memory_equal(node.group.state->spec_text, good_spec, sizeof good_spec - 1);
    tester_close(&tester);
    UNTIL(tester.closed);
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
    api_server_close(node.server, on_server_closed, NULL);
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
        CASE(test_move_by_plan),
        CASE(test_move_held_by_a_gate),
        CASE(test_repeat_gets_first_answer),
        CASE(test_twice_at_once),
        CASE(test_unknown_outcome),
        CASE(test_nobody_waits),
        CASE(test_end_of_an_override),
        CASE(test_veto_too_late),
        CASE(test_choices),
        CASE(test_watch_a_move),
        CASE(test_watch_from_now),
        CASE(test_watch_too_far_behind),
        CASE(test_spec),
        CASE(test_garbage),
        CASE(test_one_request_at_a_time),
        CASE(test_too_many_connections),
        CASE(test_close_in_the_middle),
    };
    return cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}
