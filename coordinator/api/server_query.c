/* Questions: linearizable on the leader (a barrier each), or from this node's own state when the
 * client would rather have an old answer than none. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "api/preview.h"
#include "base/text.h"
#include "server_private.h"

bool api_request_only_asks(const Noctua__Request *message) {
    switch (message->body_case) {
    case NOCTUA__REQUEST__BODY_HELLO:
    case NOCTUA__REQUEST__BODY_QUERY:
    case NOCTUA__REQUEST__BODY_SPEC_GET:
    case NOCTUA__REQUEST__BODY_WATCH:
        return true;
    case NOCTUA__REQUEST__BODY_MOVE:
        return message->move->dry_run;
    case NOCTUA__REQUEST__BODY_SPEC_APPLY:
        return message->spec_apply->dry_run;
    default:
        return false;
    }
}

uint32_t api_request_find_service(struct api_request *request, const struct api_facts *facts,
                                  const char *name) {
    const struct state *state = facts->state;
    uint32_t service = state_find_service(state, name);
    if (service != NONE_INDEX) {
        return service;
    }
    if (name[0] != '\0') {
        api_request_fail(request, outcome_exit_code(CORE_NO_SERVICE), "NO_SERVICE",
                         "there is no service '%.64s'. See noctuactl status", name);
    } else if (state->spec.service_count == 1) {
        return 0;
    } else if (state->spec.service_count == 0) {
        api_request_fail(request, EXIT_CODE_USAGE, "NO_SERVICE",
                         "there is no service yet. First: noctuactl spec apply FILE");
    } else {
        api_request_fail(request, EXIT_CODE_USAGE, "NO_SERVICE",
                         "there are %" PRIu32 " services: name one", state->spec.service_count);
    }
    return NONE_INDEX;
}

static void answer_document(struct api_request *request, const struct api_facts *facts, bool stale,
                            json_t *document) {
    struct answer answer = {
        .document = document, .index = facts->state->applied_index, .stale = stale};
    api_request_answer(request, &answer);
}

static void answer_history(struct api_request *request, const struct api_facts *facts, bool stale) {
    const Noctua__QueryRequest *query = request->message->query;
    if (query->service[0] != '\0' &&
        api_request_find_service(request, facts, query->service) == NONE_INDEX) {
        return;
    }
    struct history_query wanted = {.service = query->service,
                                   .epoch = query->epoch,
                                   .with_events = true,
                                   .limit = query->limit};
    answer_document(request, facts, stale, document_history(facts, &wanted));
}

static void answer_explain(struct api_request *request, const struct api_facts *facts, bool stale) {
    const Noctua__QueryRequest *query = request->message->query;
    uint32_t service = api_request_find_service(request, facts, query->service);
    if (service == NONE_INDEX) {
        return;
    }
    uint64_t kept = facts->state->services[service].execution.epoch;
    if (query->epoch != 0 && query->epoch != kept) {
        api_request_fail(request, EXIT_CODE_USAGE, "NOT_OPEN",
                         "the gates of the last move only are kept (epoch %" PRIu64
                         "). Its events: noctuactl history %s --epoch %" PRIu64,
                         kept, facts->state->services[service].name, query->epoch);
        return;
    }
    answer_document(request, facts, stale, document_explain(facts, service, NULL));
}

static void answer_ready(struct api_request *request, const struct api_facts *facts, bool stale) {
    const Noctua__QueryRequest *query = request->message->query;
    const struct state *state = facts->state;
    uint32_t service = api_request_find_service(request, facts, query->service);
    if (service == NONE_INDEX) {
        return;
    }
    struct move_preview preview;
    bool named = query->to[0] != '\0';
    uint32_t to = named ? spec_find_region(&state->spec, query->to) : NONE_INDEX;
    enum core_error error = named && to == NONE_INDEX
                                ? CORE_NO_REGION
                                : document_ready_move(facts, service, to, &preview);
    if (error != CORE_OK) {
        api_request_fail(request, outcome_exit_code(error), core_error_name(error),
                         "%s is not ready: %s", state->services[service].name,
                         core_error_text(error));
        return;
    }
    bool ready = false;
    struct answer answer = {.document = document_ready(facts, &preview, &ready),
                            .index = state->applied_index,
                            .stale = stale};
    answer.exit_code = ready ? EXIT_CODE_DONE : EXIT_CODE_REFUSED;
    answer.error_code = ready ? "" : "NOT_READY";
    (void)snprintf(answer.message, sizeof answer.message,
                   ready ? "%s could be moved to %s now." : "%s could not be moved to %s now.",
                   state->services[service].name, state->spec.regions[preview.to].name);
    api_request_answer(request, &answer);
}

static void answer_service(struct api_request *request, const struct api_facts *facts, bool stale) {
    uint32_t service = api_request_find_service(request, facts, request->message->query->service);
    if (service != NONE_INDEX) {
        answer_document(request, facts, stale, document_service(facts, service));
    }
}

static void answer_query(struct api_request *request, const struct api_facts *facts, bool stale) {
    static const struct {
        const char *what;
        json_t *(*build)(const struct api_facts *);
    } documents[] = {
        {"status", document_status}, {"nodes", document_nodes}, {"version", document_version}};
    static const struct {
        const char *what;
        void (*answer)(struct api_request *, const struct api_facts *, bool);
    } questions[] = {{"service", answer_service},
                     {"explain", answer_explain},
                     {"history", answer_history},
                     {"ready", answer_ready}};
    const char *what = request->message->query->what;
    for (size_t i = 0; i < ARRAY_LENGTH(documents); i++) {
        if (text_equal(what, documents[i].what)) {
            answer_document(request, facts, stale, documents[i].build(facts));
            return;
        }
    }
    for (size_t i = 0; i < ARRAY_LENGTH(questions); i++) {
        if (text_equal(what, questions[i].what)) {
            questions[i].answer(request, facts, stale);
            return;
        }
    }
    api_request_fail(request, EXIT_CODE_USAGE, "NOT_SUPPORTED",
                     "this node can't answer '%.32s': status, service, explain, history, ready, "
                     "nodes or version",
                     what);
}

static void answer_spec(struct api_request *request, const struct api_facts *facts, bool stale) {
    const Noctua__SpecGetRequest *wanted = request->message->spec_get;
    const struct spec_revision *revision = state_find_revision(facts->state, wanted->index);
    if (wanted->history) {
        answer_document(request, facts, stale, document_revisions(facts));
    } else if (revision == NULL && wanted->index != 0) {
        api_request_fail(request, EXIT_CODE_USAGE, "NO_REVISION",
                         "there is no revision %" PRIu64 " (the last %d are kept). See noctuactl "
                         "spec history",
                         wanted->index, SPEC_REVISION_MAX);
    } else {
        answer_document(request, facts, stale, revision == NULL ? NULL : document_spec(revision));
    }
}

static void answer_now(struct api_request *request, bool stale) {
    struct api_facts facts;
    request->server->calls.facts(request->server->calls.context, &facts);
    switch (request->message->body_case) {
    case NOCTUA__REQUEST__BODY_HELLO:
        answer_document(request, &facts, stale, document_version(&facts));
        break;
    case NOCTUA__REQUEST__BODY_QUERY:
        answer_query(request, &facts, stale);
        break;
    case NOCTUA__REQUEST__BODY_SPEC_GET:
        answer_spec(request, &facts, stale);
        break;
    case NOCTUA__REQUEST__BODY_WATCH:
        api_watch_begin(request, &facts, stale);
        break;
    case NOCTUA__REQUEST__BODY_MOVE:
        api_command_preview_move(request, &facts, stale);
        break;
    default:
        api_command_check_spec(request, &facts, stale);
        break;
    }
}

static void on_barrier(void *context, enum error_code error) {
    struct api_request *request = context;
    if (!api_request_resume(request)) {
        return;
    }
    if (error == ERROR_OK) {
        answer_now(request, false);
    } else if (request->message->allow_stale) {
        answer_now(request, true);
    } else {
        api_request_fail_not_leader(request);
    }
    api_request_end(request);
}

void api_query_begin(struct api_request *request) {
    struct api_facts facts;
    const struct api_calls *calls = &request->server->calls;
    calls->facts(calls->context, &facts);
    if (facts.leads) {
        request->waiting = true;
        calls->barrier(calls->context, on_barrier, request);
    } else if (request->message->allow_stale) {
        answer_now(request, true);
    } else {
        api_request_fail_not_leader(request);
    }
}
