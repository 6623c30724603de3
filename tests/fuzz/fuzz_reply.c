/* What a node answers noctuactl: any reply that decodes is shown somehow, as a table, JSON or YAML,
 * by each command that reads one. The first two bytes say which command, and how it shows things.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "commands.h"
#include "fuzz.h"
#include "views.h"

#define WATCHED 3 /* replies to a watch, each the same */

/* --- in place of connection.c: every question has this answer --- */

static const uint8_t *answer;
static size_t answer_bytes;
static bool goes_back; /* a watch that is taken up again, to what was shown */
static struct connection { bool open; } only_connection;

enum error_code connection_create(const char *endpoints, const char *tls, const char *id,
                                  uint64_t timeout_ms, struct connection **ret_connection,
                                  struct error *error) {
    (void)endpoints, (void)tls, (void)id, (void)timeout_ms, (void)error;
    assert(!only_connection.open);
    only_connection.open = true;
    *ret_connection = &only_connection;
    return ERROR_OK;
}

void connection_destroy(struct connection *connection) {
    assert(connection->open);
    connection->open = false;
}

static Noctua__Reply *unpack(void) {
    return noctua__reply__unpack(NULL, answer_bytes, answer);
}

enum error_code connection_call(struct connection *connection, Noctua__Request *request,
                                bool command, bool allow_stale, Noctua__Reply **ret_reply,
                                struct error *error) {
    (void)command, (void)allow_stale, (void)error;
    assert(connection->open && request->body_case != NOCTUA__REQUEST__BODY__NOT_SET);
    *ret_reply = unpack();
    return ERROR_OK;
}

enum error_code connection_watch(struct connection *connection, Noctua__Request *request,
                                 uint64_t timeout_ms,
                                 bool (*on_reply)(void *context, const Noctua__Reply *reply),
                                 void (*resume)(void *context, Noctua__Request *request),
                                 void *context, struct error *error) {
    (void)timeout_ms, (void)error;
    assert(connection->open);
    for (unsigned i = 0; i < WATCHED; i++) {
        uint64_t before = request->watch->from_index;
        Noctua__Reply *reply = unpack();
        (void)on_reply(context, reply);
        noctua__reply__free_unpacked(reply, NULL);
        resume(context, request);
        goes_back = goes_back || request->watch->from_index < before;
    }
    return ERROR_OK;
}

const char *connection_id(const struct connection *connection) {
    (void)connection;
    return "1-00";
}

/* --- commands --- */

static int run_query(const struct options *options, uint8_t which) {
    static const view_function views[] = {
        view_status, view_service, view_explain, view_plan,      view_history, view_history_of_move,
        view_nodes,  view_version, view_ready,   view_revisions, NULL,
    };
    return ask_query(options, "status", "nocturnal", true, views[which % ARRAY_LENGTH(views)]);
}

static int run_command(const struct options *options) {
    Noctua__ResumeAutomationRequest wanted = NOCTUA__RESUME_AUTOMATION_REQUEST__INIT;
    Noctua__Request request = NOCTUA__REQUEST__INIT;
    request.body_case = NOCTUA__REQUEST__BODY_RESUME_AUTOMATION;
    request.resume_automation = &wanted;
    return ask_once(options, &request);
}

static int run_document(const struct options *options) {
    json_t *document = NULL;
    int status = ask_document(options, "nodes", &document);
    json_decref(document);
    return status;
}

static int run(const struct options *options, uint8_t which) {
    switch (which % 8) {
    case 0:
        return run_command(options);
    case 1:
        return run_document(options);
    case 2:
        return ask_move(options, NOCTUA__MOVE_REQUEST__KIND__FAILOVER, "nocturnal");
    case 3:
        return ask_watch(options);
    case 4:
        return run_spec_get(options);
    case 5:
        return run_spec_history(options);
    default:
        return run_query(options, which / 8);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static FILE *nowhere;
    uint8_t which = fuzz_take(&data, &size);
    uint8_t how = fuzz_take(&data, &size);
    struct options options = {.output = (enum output)(how % 3), .yes = true, .wait = true};
    answer = data;
    answer_bytes = size;
    Noctua__Reply *reply = unpack();
    if (reply == NULL) {
        return 0;
    }
    if (nowhere == NULL) {
        nowhere = fopen("/dev/null", "w");
        assert(nowhere != NULL);
    }
    goes_back = false;
    FILE *out = stdout;
    FILE *complaints = stderr;
    stdout = stderr = nowhere;
    int status = run(&options, which);
    stdout = out;
    stderr = complaints;
    /* Whoever asks by a script goes by the exit status: no refusal passes for success. */
    assert(status != EXIT_DONE || reply->exit_code == EXIT_DONE || which % 8 == 3);
    assert(!goes_back && !only_connection.open);
    noctua__reply__free_unpacked(reply, NULL);
    return 0;
}
