/* First inputs of the fuzzing programs for binary formats, made by the encoders themselves:
 * DIRECTORY/<program>/<name>. tests/fuzz/seeds runs it and adds those that are text. */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/text.h"
#include "codec/command_codec.h"
#include "codec/lease_codec.h"
#include "codec/report_codec.h"
#include "codec/state_codec.h"
#include "entry.h"
#include "fill.h"
#include "hello.h"
#include "midlife.h"
#include "net/frame.h"
#include "net/tls.h"
#include "noctua.pb-c.h"
#include "tables.h"
#include "wire.h"

static const char *root;

static void make_directory(const char *path) {
    int rv = mkdir(path, 0755);
    assert(rv == 0 || errno == EEXIST);
    (void)rv;
}

static void write_seed(const char *program, const char *name, unsigned number, const void *bytes,
                       size_t size_bytes) {
    char path[4096];
    int length = snprintf(path, sizeof path, "%s/%s", root, program);
    assert(length > 0 && (size_t)length < sizeof path);
    make_directory(path);
    length = snprintf(path, sizeof path, "%s/%s/seed-%s-%u", root, program, name, number);
    assert(length > 0 && (size_t)length < sizeof path);
    FILE *file = fopen(path, "wb");
    assert(file != NULL);
    size_t written = fwrite(bytes, 1, size_bytes, file);
    assert(written == size_bytes);
    (void)written;
    (void)fclose(file);
}

static void write_buffer(const char *program, const char *name, unsigned number,
                         struct buffer *bytes) {
    assert(!bytes->failed);
    write_seed(program, name, number, bytes->data, bytes->size_bytes);
    buffer_finish(bytes);
}

/* --- commands --- */

static void write_commands(const char *program, const char *name, unsigned number,
                           const struct command *const *commands, uint32_t count) {
    struct buffer bytes;
    struct error error;
    buffer_init(&bytes, 0);
    enum error_code code = codec_encode_batch(commands, count, &bytes, &error);
    assert(code == ERROR_OK);
    (void)code;
    write_buffer(program, name, number, &bytes);
}

static void write_kind(unsigned kind, uint64_t seed) {
    struct command *command = group_new((enum command_kind)kind);
    struct spec *spec = NULL;
    uint64_t number = seed;
    command->term = midlife_group(MIDLIFE_MOVING)->term;
    command->wall_ms = midlife_group(MIDLIFE_MOVING)->wall_ms;
    if (command_is_by_person(command->kind)) {
        fill_struct(&origin_table, &command->origin, 2, &seed);
        command->origin.role = ROLE_ADMIN;
    }
    if (kind == COMMAND_SPEC) {
        spec = calloc(1, sizeof *spec);
        assert(spec != NULL);
        fill_struct(&spec_table, spec, 1, &seed);
        command->spec.spec = spec;
        command->spec.text = "version: 1\n";
        command->spec.text_size = 11;
    } else {
        fill_struct(command_table(kind), &command->nodes, 2, &seed);
    }
    const struct command *commands[] = {command};
    write_commands("command", command_kind_text(command->kind), (unsigned)number, commands, 1);
    write_commands("apply", command_kind_text(command->kind), (unsigned)number, commands, 1);
    free(spec);
    free(command);
}

/* What it has to be told besides what it says: by a person, whose first command it is. */
static void fill_person(struct command *command, const struct group *group) {
    memset(command->origin.client_id, 7, sizeof command->origin.client_id);
    command->term = group->term;
    command->wall_ms = group->wall_ms;
    command->origin.sequence = 1;
    command->origin.known_index = group->index;
    command->origin.role = ROLE_ADMIN;
    (void)TEXT_COPY(command->origin.actor, "alice");
    (void)TEXT_COPY(command->origin.reason, "maintenance of the zone");
}

/* Each longer than the one before: `next` and the rest of the move, step by step. */
static void write_steps(struct group *group, const char *name, struct command *next) {
    const struct command *commands[64];
    uint32_t count = 0;
    for (; next != NULL && count < 64; next = group_next_step(group, 0)) {
        next->term = group->term;
        next->wall_ms = group->wall_ms;
        struct command *copy = group_new(next->kind);
        enum core_error error = group_do(group, memcpy(copy, next, sizeof *copy));
        assert(error == CORE_OK);
        (void)error;
        commands[count++] = next;
        write_commands("apply", name, count, commands, count);
    }
    for (uint32_t i = 0; i < count; i++) {
        free((void *)(uintptr_t)commands[i]);
    }
}

/* What people may ask for of a set, each to its end. */
static void write_set_moves(void) {
    static const struct {
        const char *name, *to, *readmit;
        enum execution_kind kind;
        uint32_t dead;
        enum midlife in; /* what the nodes say */
    } rows[] = {
        {"prefer", "us-east-1", NULL, EXECUTION_SWITCHOVER, 0, MIDLIFE_SET},
        {"force", "us-east-1", NULL, EXECUTION_FAILOVER, BIT(W1) | BIT(W2), MIDLIFE_SET_LOST},
        {"vote", "us-west-2", "e2:27017", EXECUTION_READMIT, 0, MIDLIFE_SET},
        {"readmit", "us-west-2", "x1:27017", EXECUTION_READMIT, 0, MIDLIFE_SET},
    };
    for (unsigned i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct group group = *midlife_group(rows[i].in);
        group.state = calloc(1, sizeof *group.state);
        assert(group.state != NULL);
        memcpy(group.state, midlife_group(MIDLIFE_SET)->state, sizeof *group.state);
        group.dead = rows[i].dead;
        group.readmit = rows[i].readmit;
        struct command *move = group_new_move(&group, rows[i].to, rows[i].kind, 0);
        fill_person(move, &group);
        write_steps(&group, rows[i].name, move);
        free(group.state);
    }
}

static void write_people(const struct group *group, unsigned number) {
    const char *service = group->state->services[0].name;
    const enum command_kind choices[] = {COMMAND_APPROVE, COMMAND_REJECT, COMMAND_CANCEL,
                                         COMMAND_RELEASE};
    for (unsigned i = 0; i < 4; i++) {
        struct command *command = group_new(choices[i]);
        const struct command *commands[] = {command};
        fill_person(command, group);
        (void)TEXT_COPY(command->choice.service, service);
        (void)TEXT_COPY(command->choice.step, group_execution(group)->steps[0].name);
        (void)TEXT_COPY(command->choice.to, "us-east-1");
        command->choice.epoch = group->state->services[0].epoch + (i == 0 ? 1 : 0);
        write_commands("apply", "choice", number + i, commands, 1);
        free(command);
    }
    for (unsigned i = 0; i < 3; i++) {
        struct command *command = group_new(COMMAND_OVERRIDE);
        const struct command *commands[] = {command, command};
        fill_person(command, group);
        command->override.kind = (enum override_kind)i;
        (void)TEXT_COPY(command->override.service, service);
        write_commands("apply", "override", number + i, commands, 2);
        free(command);
    }
    struct command *command = group_new(COMMAND_SPEC);
    const struct command *commands[] = {command};
    fill_person(command, group);
    command->spec.spec = &group->state->spec;
    command->spec.text = "version: 1\n";
    command->spec.text_size = 11;
    write_commands("apply", "spec", number, commands, 1);
    write_commands("command", "spec", number, commands, 1);
    free(command);
}

/* --- states, reports, leases --- */

static void write_state(const struct state *state, unsigned number) {
    struct buffer bytes;
    struct error error;
    buffer_init(&bytes, 0);
    enum error_code code = codec_encode_state(state, &bytes, &error);
    assert(code == ERROR_OK);
    (void)code;
    write_buffer("state", "state", number, &bytes);
}

static void write_states(void) {
    struct group group;
    struct state *empty = calloc(1, sizeof *empty);
    assert(empty != NULL);
    state_init(empty);
    write_state(empty, 0);
    free(empty);
    group_open(&group);
    write_state(group.state, 1);
    group_close(&group);
    group_open_adopted(&group);
    write_state(group.state, 2);
    group_close(&group);
    write_state(midlife_group(MIDLIFE_MOVING)->state, 3);
    write_state(midlife_group(MIDLIFE_SET)->state, 4);
}

static void write_reports(void) {
    struct report *report = calloc(1, sizeof *report);
    assert(report != NULL);
    for (unsigned i = 0; i < 4; i++) {
        struct buffer bytes;
        struct error error;
        uint64_t seed = 100 + i;
        memset(report, 0, sizeof *report);
        fill_struct(&report_head_table, report, 2, &seed);
        report->service_count = i;
        report->region_count = i;
        for (uint32_t s = 0; s < i; s++) {
            fill_struct(&report_window_table, &report->windows[s], 2, &seed);
            fill_struct(&report_opinion_table, &report->opinions[s][i - 1], 2, &seed);
            fill_struct(&mongo_facts_table, &report->mongo[s], 2, &seed);
        }
        buffer_init(&bytes, 0);
        enum error_code code = codec_encode_report(report, &bytes, &error);
        assert(code == ERROR_OK);
        (void)code;
        write_buffer("report", "report", i, &bytes);
    }
    free(report);
}

/* As the nodes of a group see it; in the second half its replica set as well. */
static void write_policy_reports(void) {
    struct report *report = calloc(1, sizeof *report);
    assert(report != NULL);
    for (unsigned i = 0; i < 32; i++) {
        struct buffer bytes;
        struct error error;
        uint8_t mode = (uint8_t)(i * 16 + i % 3);
        memcpy(report, midlife_group(MIDLIFE_MOVING)->reports[1], sizeof *report);
        report->opinions[0][EAST].value = (enum opinion_value)(i % OPINION_VALUE_COUNT);
        if (i >= 16) {
            mode = (uint8_t)(i << 5 | 8 | 4);
            mode = (uint8_t)(mode + (3 - mode % 3) % 3); /* the report of n1, which is gone */
            report->mongo[0] = mongo_example();
            for (uint32_t m = 0; m < i % 6; m++) {
                mongo_lose(&report->mongo[0], m, 25000);
            }
        }
        buffer_init(&bytes, 0);
        buffer_append(&bytes, &mode, 1);
        enum error_code code = codec_encode_report(report, &bytes, &error);
        assert(code == ERROR_OK);
        (void)code;
        write_buffer("policy", "report", i, &bytes);
    }
    free(report);
}

static void write_leases(void) {
    struct lease_answer *answer = calloc(1, sizeof *answer);
    assert(answer != NULL);
    for (unsigned i = 0; i < 3; i++) {
        struct buffer bytes;
        struct error error;
        uint64_t seed = 200 + i;
        memset(answer, 0, sizeof *answer);
        fill_struct(&lease_answer_table, answer, i, &seed);
        answer->version = LEASE_ANSWER_VERSION;
        buffer_init(&bytes, 0);
        enum error_code code = codec_encode_lease(answer, &bytes, &error);
        assert(code == ERROR_OK);
        (void)code;
        write_buffer("lease", "lease", i, &bytes);
    }
    free(answer);
}

/* --- clients --- */

/* By an admin, to the leader. */
static void write_request(Noctua__Request *request, enum midlife in, const char *name,
                          unsigned number) {
    const struct group *group = midlife_group(in);
    static uint8_t client_id[16] = {1, 2, 3};
    static uint8_t packed[4096];
    request->version = 1;
    request->client_id.data = client_id;
    request->client_id.len = sizeof client_id;
    request->sequence = 1;
    request->known_index = group->index;
    request->wall_ms = group->wall_ms;
    size_t size = noctua__request__get_packed_size(request);
    assert(size < sizeof packed);
    packed[0] = (uint8_t)(TLS_ROLE_ADMIN | (unsigned)in << 4);
    (void)noctua__request__pack(request, packed + 1);
    write_seed("request", name, 20 * (unsigned)in + number, packed, size + 1);
}

/* ... and what it is answered, as each command shows it. */
static void write_answers(void) {
    static char document[] =
        "{\"moves\": [{\"epoch\": 2, \"result\": \"done\", \"took_ms\": 5}], "
        "\"epoch\": {\"new\": 2}, \"plan\": \"ab12\", \"text\": \"version: 1\"}";
    static char events[] = "[{\"index\": 1, \"kind\": \"switched\", \"words\": \"moved\"}]";
    static char message[] = "the leader is n2", word[] = "GATE";
    for (unsigned i = 0; i < 96; i++) {
        Noctua__Reply reply = NOCTUA__REPLY__INIT;
        uint8_t packed[1024] = {(uint8_t)(i / 3), (uint8_t)(i % 3)};
        reply.version = 1;
        reply.index = 7;
        reply.document = i / 3 % 8 == 3 || i / 24 == 1 ? events : document;
        reply.message = message;
        reply.exit_code = i % 2 == 0 ? 0 : 3;
        reply.error_code = i % 2 == 0 ? (char *)"" : word;
        size_t size = noctua__reply__get_packed_size(&reply);
        assert(size + 2 < sizeof packed);
        (void)noctua__reply__pack(&reply, packed + 2);
        write_seed("reply", "answer", i, packed, size + 2);
    }
}

static char service_name[] = "nocturnal";
static char region_name[] = "us-east-1";
static char reason_text[] = "bad deploy";

static void write_queries(enum midlife in) {
    static char words[][16] = {"status", "service", "explain", "history",
                               "ready",  "nodes",   "version"};
    Noctua__Request request = NOCTUA__REQUEST__INIT;
    Noctua__HelloRequest hello = NOCTUA__HELLO_REQUEST__INIT;
    Noctua__QueryRequest query = NOCTUA__QUERY_REQUEST__INIT;
    Noctua__SpecGetRequest spec_get = NOCTUA__SPEC_GET_REQUEST__INIT;
    Noctua__WatchRequest watch = NOCTUA__WATCH_REQUEST__INIT;
    request.body_case = NOCTUA__REQUEST__BODY_HELLO;
    request.hello = &hello;
    write_request(&request, in, "hello", 0);
    request.body_case = NOCTUA__REQUEST__BODY_QUERY;
    request.query = &query;
    query.service = service_name;
    for (unsigned i = 0; i < ARRAY_LENGTH(words); i++) {
        query.what = words[i];
        write_request(&request, in, "query", i);
    }
    request.body_case = NOCTUA__REQUEST__BODY_SPEC_GET;
    request.spec_get = &spec_get;
    for (unsigned i = 0; i < 2; i++) {
        spec_get.history = i == 1;
        write_request(&request, in, "spec-get", i);
    }
    request.body_case = NOCTUA__REQUEST__BODY_WATCH;
    request.watch = &watch;
    watch.service = service_name;
    watch.from_index = 1;
    write_request(&request, in, "watch", 0);
}

static void write_acts(enum midlife in) {
    Noctua__Request request = NOCTUA__REQUEST__INIT;
    Noctua__MoveRequest move = NOCTUA__MOVE_REQUEST__INIT;
    Noctua__OverrideRequest override = NOCTUA__OVERRIDE_REQUEST__INIT;
    Noctua__ChoiceRequest choice = NOCTUA__CHOICE_REQUEST__INIT;
    move.service = override.service = choice.service = service_name;
    move.to = override.region = choice.to = region_name;
    move.reason = override.reason = choice.reason = reason_text;
    request.body_case = NOCTUA__REQUEST__BODY_MOVE;
    request.move = &move;
    for (unsigned i = 0; i < 12; i++) {
        static char host[] = "e2:27017", other[] = "us-west-2";
        char *dead[] = {in == MIDLIFE_SET_LOST ? other : region_name, host};
        move.kind = (Noctua__MoveRequest__Kind)(i / 2);
        move.dry_run = i % 2 == 1;
        move.n_dead = i >= 2 ? 0 : in == MIDLIFE_SET_LOST ? 1 : ARRAY_LENGTH(dead);
        move.dead = dead;
        move.member = i < 10 ? (char *)"" : host;
        write_request(&request, in, "move", i);
    }
    request.body_case = NOCTUA__REQUEST__BODY_OVERRIDE;
    request.override = &override;
    for (unsigned i = 0; i < 6; i++) {
        override.kind = (Noctua__OverrideRequest__Kind)(i / 2);
        override.end = i % 2 == 1;
        override.for_ms = 60000;
        write_request(&request, in, "override", i);
    }
    request.body_case = NOCTUA__REQUEST__BODY_CHOICE;
    request.choice = &choice;
    choice.step = midlife_group(in)->state->services[0].execution.steps[0].name;
    for (unsigned i = 0; i < 4; i++) {
        choice.kind = (Noctua__ChoiceRequest__Kind)i;
        write_request(&request, in, "choice", i);
    }
}

static void write_other_acts(void) {
    static char text[] = "version: 1\nregions: {us-east-1: {}, us-west-2: {}}\nservices:\n"
                         "  nocturnal:\n    home: us-east-1\n"
                         "    checks: {api: {url: 'http://$region.a.com/'}}\n";
    static char node_name[] = "n3";
    Noctua__Request request = NOCTUA__REQUEST__INIT;
    Noctua__SpecApplyRequest apply = NOCTUA__SPEC_APPLY_REQUEST__INIT;
    Noctua__ResumeAutomationRequest automation = NOCTUA__RESUME_AUTOMATION_REQUEST__INIT;
    Noctua__TransferLeaderRequest transfer = NOCTUA__TRANSFER_LEADER_REQUEST__INIT;
    Noctua__MemberRequest member = NOCTUA__MEMBER_REQUEST__INIT;
    apply.reason = automation.reason = transfer.reason = member.reason = reason_text;
    request.body_case = NOCTUA__REQUEST__BODY_SPEC_APPLY;
    request.spec_apply = &apply;
    apply.text.data = (uint8_t *)text;
    apply.text.len = sizeof text - 1;
    apply.any_index = true;
    for (unsigned i = 0; i < 2; i++) {
        apply.dry_run = i == 1;
        write_request(&request, MIDLIFE_MOVING, "spec-apply", i);
    }
    request.body_case = NOCTUA__REQUEST__BODY_RESUME_AUTOMATION;
    request.resume_automation = &automation;
    write_request(&request, MIDLIFE_MOVING, "automation", 0);
    request.body_case = NOCTUA__REQUEST__BODY_TRANSFER_LEADER;
    request.transfer_leader = &transfer;
    transfer.to = node_name;
    write_request(&request, MIDLIFE_MOVING, "transfer", 0);
    request.body_case = NOCTUA__REQUEST__BODY_MEMBER;
    request.member = &member;
    member.node = node_name;
    for (unsigned i = 0; i < 2; i++) {
        member.kind = (Noctua__MemberRequest__Kind)i;
        write_request(&request, MIDLIFE_MOVING, "member", i);
    }
}

/* --- between nodes --- */

static void write_message(const struct raft_message *message, unsigned number) {
    static struct wire_part part;
    struct buffer bytes;
    bool written = wire_encode(message, 0, &part);
    assert(written);
    (void)written;
    buffer_init(&bytes, 0);
    for (uint32_t i = 0; i < part.buffer_count; i++) {
        buffer_append(&bytes, part.buffers[i].base, part.buffers[i].len);
    }
    write_buffer("raft", "message", number, &bytes);
}

static void write_messages(void) {
    static uint8_t data[64];
    struct raft_entry entries[2] = {{4, RAFT_COMMAND, {data, 16}, NULL},
                                    {5, RAFT_BARRIER, {data + 16, 8}, NULL}};
    struct raft_message message = {.type = RAFT_REQUEST_VOTE};
    message.request_vote = (struct raft_request_vote){
        .version = 2, .term = 5, .candidate_id = 7, .last_log_index = 9, .last_log_term = 4};
    write_message(&message, 0);
    message.type = RAFT_REQUEST_VOTE_RESULT;
    message.request_vote_result =
        (struct raft_request_vote_result){.version = 2, .term = 5, .vote_granted = true};
    write_message(&message, 1);
    message.type = RAFT_APPEND_ENTRIES;
    message.append_entries = (struct raft_append_entries){.version = 1,
                                                          .term = 5,
                                                          .prev_log_index = 3,
                                                          .prev_log_term = 4,
                                                          .leader_commit = 3,
                                                          .entries = entries,
                                                          .n_entries = 2};
    write_message(&message, 2);
    message.type = RAFT_APPEND_ENTRIES_RESULT;
    message.append_entries_result =
        (struct raft_append_entries_result){.version = 1, .term = 5, .last_log_index = 8};
    write_message(&message, 3);
    message.type = RAFT_TIMEOUT_NOW;
    message.timeout_now = (struct raft_timeout_now){1, 5, 9, 4};
    write_message(&message, 4);
    message.type = RAFT_INSTALL_SNAPSHOT;
    struct raft_install_snapshot *snapshot = &message.install_snapshot;
    memset(snapshot, 0, sizeof *snapshot);
    snapshot->version = 1;
    snapshot->term = 9;
    snapshot->last_index = 12;
    snapshot->last_term = 8;
    snapshot->conf_index = 1;
    raft_configuration_init(&snapshot->conf);
    int rv = raft_configuration_add(&snapshot->conf, 11, "n1", RAFT_VOTER);
    assert(rv == 0);
    rv = raft_configuration_add(&snapshot->conf, 12, "n2", RAFT_STANDBY);
    assert(rv == 0);
    (void)rv;
    snapshot->data = (struct raft_buffer){data, 16};
    write_message(&message, 5);
    struct raft_buffer encoded;
    rv = raft_configuration_encode(&snapshot->conf, &encoded);
    assert(rv == 0);
    entries[0] = (struct raft_entry){4, RAFT_CHANGE, encoded, NULL};
    message.type = RAFT_APPEND_ENTRIES;
    raft_configuration_close(&snapshot->conf);
    message.append_entries = (struct raft_append_entries){.version = 1,
                                                          .term = 5,
                                                          .prev_log_index = 3,
                                                          .prev_log_term = 4,
                                                          .leader_commit = 3,
                                                          .entries = entries,
                                                          .n_entries = 2};
    write_message(&message, 6);
    raft_free(encoded.base);
}

static void write_entries(void) {
    for (uint32_t count = 0; count < 3; count++) {
        uint8_t bytes[128];
        struct entry_writer writer;
        struct entry_head head = {count, 77, 5};
        size_t size = entry_size_bytes(count, (size_t)count * 5);
        assert(size <= sizeof bytes);
        entry_write_head(&writer, bytes, size, &head);
        for (uint32_t i = 0; i < count; i++) {
            entry_write_command(&writer, "hello", 5);
        }
        write_seed("entry", "entry", count, bytes, size);
    }
}

static void write_hellos(void) {
    struct buffer bytes;
    struct peer_hello hello = {.cluster = "noctua",
                               .node = "n1",
                               .numeric_id = 11,
                               .incarnation = 1,
                               .boot = 3,
                               .last_log_index = 99,
                               .feature_level = 1,
                               .version = "0.3.0"};
    struct refusal refusal = {PEERS_REFUSAL_CLUSTER, "another cluster"};
    buffer_init(&bytes, 0);
    buffer_append(&bytes, "\0", 1);
    hello_encode(&hello, &bytes);
    write_buffer("hello", "hello", 0, &bytes);
    buffer_init(&bytes, 0);
    buffer_append(&bytes, "\1", 1);
    refusal_encode(&refusal, &bytes);
    write_buffer("hello", "refusal", 0, &bytes);
}

static void append_bytes(struct buffer *bytes, enum frame_type type, const struct buffer *payload) {
    uint8_t header[FRAME_HEADER_BYTES];
    frame_encode_header(type, payload->size_bytes, header);
    buffer_append(bytes, header, sizeof header);
    buffer_append(bytes, payload->data, payload->size_bytes);
}

static void append_frame(struct buffer *bytes, enum frame_type type, const char *payload) {
    struct buffer text;
    buffer_init(&text, 0);
    buffer_append_text(&text, payload);
    append_bytes(bytes, type, &text);
    buffer_finish(&text);
}

static void append_messages(struct buffer *bytes) {
    append_frame(bytes, FRAME_PING, "12345678");
    append_frame(bytes, FRAME_PONG, "12345678");
    append_frame(bytes, FRAME_RAFT, "raft");
    append_frame(bytes, FRAME_REPORT, "report");
    append_frame(bytes, FRAME_NOTE, "");
}

/* n1, which dials n2; n3, which is dialled; each of them refuses. */
static void write_links(void) {
    for (unsigned i = 0; i < 4; i++) {
        struct peer_hello hello = {.cluster = "noctua", .numeric_id = 1, .version = "0.3.0"};
        struct refusal refusal = {PEERS_REFUSAL_CLUSTER, "another cluster"};
        struct buffer bytes, payload;
        uint8_t mode = (uint8_t)(i % 2);
        hello.numeric_id = i % 2 == 0 ? 1 : 3;
        (void)TEXT_COPY(hello.node, i % 2 == 0 ? "n1" : "n3");
        buffer_init(&bytes, 0);
        buffer_init(&payload, 0);
        buffer_append(&bytes, &mode, 1);
        hello_encode(&hello, &payload);
        append_bytes(&bytes, i % 2 == 0 ? FRAME_HELLO : FRAME_HELLO_OK, &payload);
        buffer_clear(&payload);
        refusal_encode(&refusal, &payload);
        if (i >= 2) {
            append_bytes(&bytes, FRAME_REFUSED, &payload);
        } else if (i == 0) {
            append_frame(&bytes, FRAME_READY, "");
        }
        append_messages(&bytes);
        buffer_finish(&payload);
        write_buffer("link", "link", i, &bytes);
    }
}

static void write_frames(void) {
    struct buffer bytes;
    buffer_init(&bytes, 0);
    buffer_append(&bytes, "\5", 1);
    append_frame(&bytes, FRAME_HELLO, "hello");
    append_frame(&bytes, FRAME_READY, "");
    append_frame(&bytes, FRAME_PING, "12345678");
    append_frame(&bytes, FRAME_RAFT, "raft");
    append_frame(&bytes, FRAME_SNAPSHOT, "snapshot");
    append_frame(&bytes, FRAME_REPORT, "report");
    append_frame(&bytes, FRAME_NOTE, "note");
    append_frame(&bytes, FRAME_LEASE, "lease");
    write_buffer("frame", "peer", 0, &bytes);
    buffer_init(&bytes, 0);
    buffer_append(&bytes, "\6", 1);
    append_frame(&bytes, FRAME_REQUEST, "request");
    append_frame(&bytes, FRAME_RESPONSE, "");
    write_buffer("frame", "api", 0, &bytes);
}

int main(int argc, char **argv) {
    if (argc != 2) {
        (void)fprintf(stderr, "usage: fuzz-seeds DIRECTORY\n");
        return 2;
    }
    root = argv[1];
    make_directory(root);
    for (unsigned kind = 1; kind < COMMAND_KIND_END; kind++) {
        write_kind(kind, 1);
        write_kind(kind, 2);
    }
    write_people(midlife_group(MIDLIFE_MOVING), 0);
    write_people(midlife_group(MIDLIFE_SET), 10);
    write_set_moves();
    write_states();
    for (unsigned in = 0; in < MIDLIFE_COUNT; in++) {
        write_queries((enum midlife)in);
        write_acts((enum midlife)in);
    }
    write_other_acts();
    write_answers();
    write_steps(midlife_group(MIDLIFE_MOVING), "steps",
                group_next_step(midlife_group(MIDLIFE_MOVING), 0));
    write_reports();
    write_policy_reports();
    write_leases();
    write_messages();
    write_entries();
    write_hellos();
    write_frames();
    write_links();
    return 0;
}
