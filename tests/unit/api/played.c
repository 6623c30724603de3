#include "played.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/entropy.h"
#include "base/text.h"
#include "pki/pki.h"

struct played node;
static char directory[64];
static struct tls_identity *identities[PERSON_COUNT];
static struct tls_identity *server_identity;

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

void turn(void) {
    (void)uv_run(&node.loop, UV_RUN_ONCE);
    if (!node.hold) {
        complete_all();
    }
}

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
    if (pki_issue_user(pki, name, role, NULL, 0, 30, path, NULL, &error) != ERROR_OK) {
        fail_msg("%s", error.message);
    }
}

int make_certificates(void **state) {
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

int remove_certificates(void **state) {
    (void)state;
    for (int i = 0; i < PERSON_COUNT; i++) {
        tls_identity_unref(identities[i]);
    }
    tls_identity_unref(server_identity);
    return nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* --- a server for each test --- */

int set_up(void **state) {
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
    entropy_system.fill(NULL, node.client_id, sizeof node.client_id);
    return 0;
}

static void on_server_closed(void *context) {
    (void)context;
    node.server_closed = true;
}

void close_server(void) {
    api_server_close(node.server, on_server_closed, NULL);
}

int tear_down(void **state) {
    (void)state;
    node.hold = false;
    if (!node.server_closed) {
        close_server();
    }
    UNTIL(node.server_closed);
    uv_close((uv_handle_t *)&node.tick, NULL);
    while (uv_run(&node.loop, UV_RUN_ONCE) != 0) {
    }
    assert_int_equal(uv_loop_close(&node.loop), 0);
    group_close(&node.group);
    return 0;
}

void open_as(struct tester *tester, enum person person) {
    tester_connect(tester, &node.loop, identities[person], node.port);
    UNTIL(tester->ready || tester->closed);
}

void leave(struct tester *tester) {
    tester_close(tester);
    UNTIL(tester->closed);
}

void fill(Noctua__Request *request) {
    request->version = 1;
    request->client_id.data = node.client_id;
    request->client_id.len = sizeof node.client_id;
    request->known_index = node.group.index;
    request->wall_ms = node.wall_ms;
}

const Noctua__Reply *ask(struct tester *tester, const Noctua__Request *request) {
    tester_clear(tester);
    tester_send(tester, request);
    UNTIL(tester->count > 0 || tester->closed);
    assert_false(tester->closed);
    assert_int_equal(tester->replies[0]->sequence, request->sequence);
    return tester->replies[0];
}

const Noctua__Reply *ask_query(struct tester *tester, const char *what, const char *service,
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

void make_override(Noctua__Request *request, Noctua__OverrideRequest *override,
                   Noctua__OverrideRequest__Kind kind, uint64_t for_ms) {
    noctua__override_request__init(override);
    noctua__request__init(request);
    override->kind = kind;
    override->service = (char *)"nocturnal";
    override->for_ms = for_ms;
    override->reason = (char *)"bad deploy";
    fill(request);
    request->sequence = ++node.sequence;
    request->body_case = NOCTUA__REQUEST__BODY_OVERRIDE;
    request->override = override;
}

void make_move(Noctua__Request *request, Noctua__MoveRequest *move, const char *to, bool dry_run) {
    noctua__move_request__init(move);
    noctua__request__init(request);
    move->kind = NOCTUA__MOVE_REQUEST__KIND__SWITCHOVER;
    move->service = (char *)"nocturnal";
    move->to = (char *)to;
    move->reason = (char *)"INC-4711";
    move->dry_run = dry_run;
    fill(request);
    request->sequence = dry_run ? 0 : ++node.sequence;
    request->body_case = NOCTUA__REQUEST__BODY_MOVE;
    request->move = move;
}

json_t *document_of(const Noctua__Reply *reply) {
    json_error_t error;
    json_t *document = json_loads(reply->document, JSON_DECODE_ANY, &error);
    if (document == NULL) {
        fail_msg("no document: %s (%s)", reply->document, reply->message);
    }
    return document;
}

void expect(const Noctua__Reply *reply, uint32_t exit_code, const char *error_code) {
    if (reply->exit_code != exit_code || strcmp(reply->error_code, error_code) != 0) {
        fail_msg("%u %s '%s', not %u %s", reply->exit_code, reply->error_code, reply->message,
                 exit_code, error_code);
    }
}

void carry_out_the_switch(void) {
    struct command_step fields = {.step = 0};
    assert_int_equal(group_step(&node.group, COMMAND_SWITCH, &fields), CORE_OK);
}

const Noctua__Reply *ask_choice(struct tester *tester, Noctua__ChoiceRequest__Kind kind,
                                const char *step) {
    Noctua__ChoiceRequest choice = NOCTUA__CHOICE_REQUEST__INIT;
    Noctua__Request request = NOCTUA__REQUEST__INIT;
    choice.kind = kind;
    choice.service = (char *)"nocturnal";
    choice.step = (char *)step;
    fill(&request);
    request.sequence = ++node.sequence;
    request.body_case = NOCTUA__REQUEST__BODY_CHOICE;
    request.choice = &choice;
    return ask(tester, &request);
}
