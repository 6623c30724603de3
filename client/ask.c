/* Asking the group: questions, commands, moves with their plan and confirmation, and watching. */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "commands.h"
#include "views.h"

int complain(const struct error *error) {
    (void)fprintf(stderr, "noctuactl: %s\n", error->message);
    switch (error->code) {
    case ERROR_INVALID:
    case ERROR_NOT_FOUND:
    case ERROR_EXISTS:
        return EXIT_USAGE;
    case ERROR_DENIED:
        return EXIT_NOT_AUTHORISED;
    case ERROR_NOT_LEADER:
    case ERROR_UNAVAILABLE:
    case ERROR_TIMEOUT:
    case ERROR_UNKNOWN:
        return EXIT_UNREACHABLE;
    default:
        return EXIT_INTERNAL;
    }
}

struct connection *ask_connect(const struct options *options, int *ret_exit) {
    struct connection *connection = NULL;
    struct error error = {ERROR_OK, ""};
    if (connection_create(options->endpoints, options->tls, options->id, options->timeout_ms,
                          &connection, &error) != ERROR_OK) {
        *ret_exit = complain(&error);
        return NULL;
    }
    return connection;
}

/* Prints a reply's document as asked for; without a view of its own, its sentence. */
static void show(const struct options *options, const Noctua__Reply *reply, view_function view) {
    json_error_t problem;
    json_t *document =
        reply->document[0] == '\0' ? NULL : json_loads(reply->document, JSON_DECODE_ANY, &problem);
    if (document != NULL && options->output == OUTPUT_JSON) {
        render_json(document, stdout);
    } else if (document != NULL && options->output == OUTPUT_YAML) {
        render_yaml(document, stdout);
    } else if (document != NULL && view != NULL) {
        view(document, stdout);
    }
    json_decref(document);
    if (reply->message[0] != '\0') {
        FILE *to = reply->exit_code != 0 || options->output != OUTPUT_TABLE ? stderr : stdout;
        (void)fflush(stdout);
        (void)fprintf(to, "%s%s\n", reply->exit_code != 0 ? "noctuactl: " : "", reply->message);
    }
}

/* What was asked without an answer may have been done: say how to be sure. */
static int complain_of_command(const struct connection *connection, const struct error *error) {
    int status = complain(error);
    if (connection_id(connection)[0] != '\0') {
        (void)fprintf(stderr,
                      "It may have been done. To repeat it so that it is done once, add --id %s\n",
                      connection_id(connection));
    }
    return status;
}

int ask_for(const struct options *options, Noctua__Request *request, bool stale,
            Noctua__Reply **ret_reply) {
    int status = EXIT_INTERNAL;
    struct connection *connection = ask_connect(options, &status);
    struct error error = {ERROR_OK, ""};
    *ret_reply = NULL;
    if (connection == NULL) {
        return status;
    }
    if (connection_call(connection, request, false, stale, ret_reply, &error) != ERROR_OK) {
        status = complain(&error);
    } else {
        status = (int)(*ret_reply)->exit_code;
    }
    connection_destroy(connection);
    return status;
}

int ask_query(const struct options *options, const char *what, const char *service, bool stale,
              view_function view) {
    Noctua__QueryRequest query = NOCTUA__QUERY_REQUEST__INIT;
    Noctua__Request request = NOCTUA__REQUEST__INIT;
    Noctua__Reply *reply = NULL;
    query.what = (char *)what;
    query.service = (char *)(service == NULL ? "" : service);
    query.epoch = options->epoch;
    query.limit = options->limit;
    query.to = (char *)(options->to == NULL ? "" : options->to);
    request.body_case = NOCTUA__REQUEST__BODY_QUERY;
    request.query = &query;
    int status = ask_for(options, &request, stale, &reply);
    if (reply != NULL) {
        show(options, reply, view);
        noctua__reply__free_unpacked(reply, NULL);
    }
    return status;
}

int ask_command(const struct options *options, struct connection *connection,
                Noctua__Request *request, view_function refused, uint64_t *ret_index) {
    Noctua__Reply *reply = NULL;
    struct error error = {ERROR_OK, ""};
    if (connection_call(connection, request, true, false, &reply, &error) != ERROR_OK) {
        return complain_of_command(connection, &error);
    }
    show(options, reply, reply->exit_code == EXIT_REFUSED ? refused : NULL);
    int status = (int)reply->exit_code;
    if (ret_index != NULL) {
        *ret_index = reply->index;
    }
    noctua__reply__free_unpacked(reply, NULL);
    return status;
}

int ask_once(const struct options *options, Noctua__Request *request) {
    int status = EXIT_INTERNAL;
    struct connection *connection = ask_connect(options, &status);
    if (connection != NULL) {
        status = ask_command(options, connection, request, NULL, NULL);
        connection_destroy(connection);
    }
    return status;
}

int ask_document(const struct options *options, const char *what, json_t **ret_document) {
    Noctua__QueryRequest query = NOCTUA__QUERY_REQUEST__INIT;
    Noctua__Request request = NOCTUA__REQUEST__INIT;
    Noctua__Reply *reply = NULL;
    *ret_document = NULL;
    query.what = (char *)what;
    request.body_case = NOCTUA__REQUEST__BODY_QUERY;
    request.query = &query;
    int status = ask_for(options, &request, false, &reply);
    if (reply != NULL) {
        json_error_t problem;
        *ret_document = json_loads(reply->document, JSON_DECODE_ANY, &problem);
        if (status != EXIT_DONE) {
            show(options, reply, NULL);
        }
        noctua__reply__free_unpacked(reply, NULL);
    }
    return status;
}

/* --- watching --- */

struct watching {
    const struct options *options;
    uint64_t last_index;
};

static bool on_events(void *context, const Noctua__Reply *reply) {
    struct watching *watching = context;
    json_error_t problem;
    json_t *events = json_loads(reply->document, JSON_DECODE_ANY, &problem);
    for (size_t i = 0; i < json_array_size(events); i++) {
        const json_t *event = json_array_get(events, i);
        if (watching->options->output == OUTPUT_JSON) {
            (void)json_dumpf(event, stdout, JSON_COMPACT);
            (void)fputc('\n', stdout);
        } else {
            view_event(event, stdout);
        }
        if (field_u64(event, "index") > watching->last_index) {
            watching->last_index = field_u64(event, "index");
        }
    }
    (void)fflush(stdout);
    json_decref(events);
    return true;
}

static void resume_events(void *context, Noctua__Request *request) {
    const struct watching *watching = context;
    if (watching->last_index > request->watch->from_index) {
        request->watch->from_index = watching->last_index;
    }
}

static enum error_code watch(const struct options *options, struct connection *connection,
                             const char *service, uint64_t epoch, uint64_t from_index,
                             uint64_t timeout_ms, struct error *error) {
    Noctua__WatchRequest wanted = NOCTUA__WATCH_REQUEST__INIT;
    Noctua__Request request = NOCTUA__REQUEST__INIT;
    struct watching watching = {options, from_index};
    wanted.from_index = from_index;
    wanted.service = (char *)service;
    wanted.epoch = epoch;
    request.body_case = NOCTUA__REQUEST__BODY_WATCH;
    request.watch = &wanted;
    return connection_watch(connection, &request, timeout_ms, on_events, resume_events, &watching,
                            error);
}

int ask_watch(const struct options *options) {
    int status = EXIT_INTERNAL;
    struct connection *connection = ask_connect(options, &status);
    if (connection == NULL) {
        return status;
    }
    struct error error = {ERROR_OK, ""};
    const char *service = options->argument_count > 0 ? options->arguments[0] : "";
    enum error_code code =
        watch(options, connection, service, options->epoch, 0, options->wait_ms, &error);
    status = code == ERROR_OK        ? EXIT_DONE
             : code == ERROR_TIMEOUT ? EXIT_STILL_RUNNING
                                     : complain(&error);
    connection_destroy(connection);
    return status;
}

/* --- moves --- */

static int exit_of_result(const char *result) {
    if (text_equal(result, "done") || text_equal(result, "released")) {
        return EXIT_DONE;
    }
    return text_equal(result, "cancelled") || text_equal(result, "lapsed") ? EXIT_CANCELLED
                                                                           : EXIT_STOPPED;
}

/* How the move of that epoch ended, by history (a later one may be open already). */
static int result_of_epoch(const struct options *options, struct connection *connection,
                           const char *service, uint64_t epoch) {
    Noctua__QueryRequest query = NOCTUA__QUERY_REQUEST__INIT;
    Noctua__Request request = NOCTUA__REQUEST__INIT;
    Noctua__Reply *reply = NULL;
    struct error error = {ERROR_OK, ""};
    query.what = (char *)"history";
    query.service = (char *)service;
    query.epoch = epoch;
    request.body_case = NOCTUA__REQUEST__BODY_QUERY;
    request.query = &query;
    if (connection_call(connection, &request, false, false, &reply, &error) != ERROR_OK) {
        return complain(&error);
    }
    json_error_t problem;
    json_t *document = json_loads(reply->document, JSON_DECODE_ANY, &problem);
    const json_t *moves = json_object_get(document, "moves");
    int status = EXIT_STILL_RUNNING;
    for (size_t i = 0; i < json_array_size(moves); i++) {
        const json_t *move = json_array_get(moves, i);
        if (field_u64(move, "epoch") == epoch) {
            char took[CELL_SIZE];
            const char *result = field_text(move, "result");
            if (options->output == OUTPUT_TABLE) {
                (void)printf("epoch %" PRIu64 " %s in %s\n", epoch, result,
                             cell_duration(json_object_get(move, "took_ms"), took));
            }
            status = exit_of_result(result);
        }
    }
    json_decref(document);
    noctua__reply__free_unpacked(reply, NULL);
    return status;
}

static int wait_for_move(const struct options *options, struct connection *connection,
                         const char *service, uint64_t epoch, uint64_t index) {
    struct error error = {ERROR_OK, ""};
    enum error_code code = watch(options, connection, service, epoch, index == 0 ? 0 : index - 1,
                                 options->wait_ms, &error);
    if (code == ERROR_TIMEOUT) {
        (void)fprintf(stderr, "still running; noctuactl status %s shows how far it is\n", service);
        return EXIT_STILL_RUNNING;
    }
    return code == ERROR_OK ? result_of_epoch(options, connection, service, epoch)
                            : complain(&error);
}

static bool confirm(const char *service) {
    char line[NAME_MAX + 2];
    (void)printf("Type '%s' to go: ", service);
    (void)fflush(stdout);
    if (fgets(line, sizeof line, stdin) == NULL) {
        (void)putchar('\n');
        return false;
    }
    line[strcspn(line, "\n")] = '\0';
    return text_equal(line, service);
}

struct shown_plan {
    char hash[16];
    uint64_t epoch;
};

/* The dry run: plan and gates as they are now. Returns an exit code; 0: it could go. */
static int show_plan(const struct options *options, struct connection *connection,
                     Noctua__Request *request, struct shown_plan *ret) {
    Noctua__Reply *reply = NULL;
    struct error error = {ERROR_OK, ""};
    request->move->dry_run = true;
    if (connection_call(connection, request, false, false, &reply, &error) != ERROR_OK) {
        return complain(&error);
    }
    int status = (int)reply->exit_code;
    json_error_t problem;
    json_t *document = json_loads(reply->document, JSON_DECODE_ANY, &problem);
    (void)TEXT_COPY(ret->hash, field_text(document, "plan"));
    ret->epoch = field_u64(json_object_get(document, "epoch"), "new");
    bool quiet = status == 0 && options->yes && options->output != OUTPUT_TABLE;
    if (!quiet) {
        bool explains = json_object_get(document, "headline") != NULL;
        show(options, reply, explains ? view_explain : view_plan);
    }
    json_decref(document);
    noctua__reply__free_unpacked(reply, NULL);
    request->move->dry_run = false;
    return status;
}

static int go(const struct options *options, struct connection *connection,
              Noctua__Request *request, const struct shown_plan *plan) {
    uint64_t index = 0;
    /* The plan that was shown, or the one that was named, and no other. */
    request->move->plan_hash =
        (char *)(options->plan_hash != NULL ? options->plan_hash : plan->hash);
    int status = ask_command(options, connection, request, view_explain, &index);
    if (status != EXIT_DONE || !options->wait) {
        return status;
    }
    return wait_for_move(options, connection, request->move->service, plan->epoch, index);
}

int ask_move(const struct options *options, Noctua__MoveRequest__Kind kind, const char *service) {
    int status = EXIT_INTERNAL;
    struct connection *connection = ask_connect(options, &status);
    if (connection == NULL) {
        return status;
    }
    Noctua__MoveRequest move = NOCTUA__MOVE_REQUEST__INIT;
    Noctua__Request request = NOCTUA__REQUEST__INIT;
    struct shown_plan plan = {"", 0};
    move.kind = kind;
    move.service = (char *)service;
    move.to = (char *)(options->to == NULL ? "" : options->to);
    move.reason = (char *)(options->reason == NULL ? "" : options->reason);
    bool readmits = kind == NOCTUA__MOVE_REQUEST__KIND__READMIT;
    move.member = (char *)(readmits ? options->arguments[1] : "");
    move.n_dead = options->dead_count;
    move.dead = (char **)options->dead;
    move.n_skip = options->skip_count;
    move.skip = (char **)options->skip;
    move.plan_hash = (char *)(options->plan_hash == NULL ? "" : options->plan_hash);
    request.body_case = NOCTUA__REQUEST__BODY_MOVE;
    request.move = &move;
    status = show_plan(options, connection, &request, &plan);
    if (status == EXIT_DONE && !options->dry_run) {
        if (options->yes || confirm(service)) {
            status = go(options, connection, &request, &plan);
        } else {
            (void)fprintf(stderr, "noctuactl: nothing was done\n");
            status = EXIT_CANCELLED;
        }
    }
    connection_destroy(connection);
    return status;
}
