/* What a person is told after their command was applied, now or when they first asked. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "document_parts.h"
#include "server_private.h"

/* The service that a request is about; NONE_INDEX: none or all. */
static uint32_t service_of(const Noctua__Request *message, const struct api_facts *facts) {
    const char *name = "";
    switch (message->body_case) {
    case NOCTUA__REQUEST__BODY_MOVE:
        name = message->move->service;
        break;
    case NOCTUA__REQUEST__BODY_OVERRIDE:
        name = message->override->service;
        break;
    case NOCTUA__REQUEST__BODY_CHOICE:
        name = message->choice->service;
        break;
    default:
        return NONE_INDEX;
    }
    bool only_one = name[0] == '\0' && facts->state->spec.service_count == 1 &&
                    message->body_case != NOCTUA__REQUEST__BODY_OVERRIDE;
    return only_one ? 0 : state_find_service(facts->state, name);
}

/* The plan as it is carried out, in the form of a preview. */
static void plan_of_execution(const struct api_facts *facts, uint32_t service,
                              struct move_preview *ret) {
    const struct execution *execution = &facts->state->services[service].execution;
    memset(ret, 0, sizeof *ret);
    ret->service = service;
    ret->from = execution->from;
    ret->to = execution->to;
    ret->kind = execution->kind;
    ret->epoch = execution->epoch;
    ret->skipped_gates = execution->skipped_gates;
    memcpy(ret->gates, execution->gates, sizeof ret->gates);
    ret->plan.count = execution->step_count;
    for (uint32_t i = 0; i < execution->step_count; i++) {
        memcpy(ret->plan.steps[i].name, execution->steps[i].name, NAME_SIZE);
        ret->plan.steps[i].kind = execution->steps[i].kind;
        ret->plan.steps[i].needs = execution->steps[i].needs;
        ret->plan.steps[i].zone = execution->steps[i].zone;
        ret->plan.steps[i].debt = execution->steps[i].debt;
    }
}

json_t *api_result_moved(const struct api_facts *facts, uint32_t service, uint64_t index,
                         bool repeated) {
    struct move_preview preview;
    plan_of_execution(facts, service, &preview);
    json_t *document = document_plan(facts, &preview);
    document_set(document, "index", document_number(index));
    document_set(document, "repeated", document_bool(repeated));
    document_set(document, "execution", document_execution(facts, service));
    return document;
}

static void say_moved(const struct api_facts *facts, uint32_t service, uint64_t index,
                      bool repeated, struct answer *answer) {
    const struct state *state = facts->state;
    const struct execution *execution = &state->services[service].execution;
    const char *name = state->services[service].name;
    if (execution->decide_index != index) {
        (void)snprintf(answer->message, sizeof answer->message,
                       "it began at entry %" PRIu64 ", and another move came after: noctuactl "
                       "history %s",
                       index, name);
        return;
    }
    answer->document = api_result_moved(facts, service, index, repeated);
    if (execution_is_open(execution)) {
        (void)snprintf(answer->message, sizeof answer->message,
                       "epoch %" PRIu64 " to %s is under way: noctuactl watch %s", execution->epoch,
                       document_region_name(state, execution->to), name);
    } else {
        (void)snprintf(answer->message, sizeof answer->message, "epoch %" PRIu64 " to %s: %s",
                       execution->epoch, document_region_name(state, execution->to),
                       execution_result_text(execution->result));
    }
}

static const struct override *find_override(const struct state *state, uint64_t index) {
    for (uint32_t i = 0; i < state->override_count; i++) {
        if (state->overrides[i].index == index) {
            return &state->overrides[i];
        }
    }
    return NULL;
}

static json_t *override_document(const struct override *held) {
    json_t *document = json_object();
    document_set(document, "kind", document_text(override_kind_text(held->kind)));
    document_set(document, "service", document_text(held->service));
    document_set(document, "region", document_text(held->region));
    document_set(document, "until_at", document_time(held->until_ms));
    document_set(document, "actor", document_text(held->actor));
    document_set(document, "reason", document_text(held->reason));
    document_set(document, "index", document_number(held->index));
    return document;
}

/* "us-east-1 still down (31s)." of a veto in the middle of a suspicion. */
static void say_still_down(const struct api_facts *facts, uint32_t service, char *text,
                           size_t size) {
    const struct state *state = facts->state;
    text[0] = '\0';
    if (service == NONE_INDEX || !state->services[service].suspect.open) {
        return;
    }
    const struct suspect *suspect = &state->services[service].suspect;
    char since[DURATION_TEXT_SIZE];
    uint64_t for_ms =
        facts->wall_ms > suspect->since_wall_ms ? facts->wall_ms - suspect->since_wall_ms : 0;
    (void)snprintf(text, size, " %s still down (%s).", document_region_name(state, suspect->region),
                   document_duration(for_ms, since));
}

static void say_override(const struct api_facts *facts, const Noctua__OverrideRequest *request,
                         uint32_t service, uint64_t index, struct answer *answer) {
    static const char *const words[] = {"vetoed", "paused", "in maintenance"};
    const struct override *held = find_override(facts->state, index);
    if (request->end || held == NULL) {
        (void)snprintf(answer->message, sizeof answer->message, "%s",
                       request->end ? "taken back" : "its time is over already");
        return;
    }
    char until[CLOCK_TEXT_SIZE] = "taken back";
    char still[128];
    bool sent = service != NONE_INDEX &&
                execution_is_open(&facts->state->services[service].execution) &&
                facts->state->services[service].execution.begun_index != 0;
    if (held->until_ms != 0) {
        bool soon = held->until_ms < facts->wall_ms + UINT64_C(86400000);
        (void)(soon ? document_clock(held->until_ms, until)
                    : clock_format_utc(held->until_ms, until));
    }
    say_still_down(facts, service, still, sizeof still);
    answer->document = override_document(held);
    (void)snprintf(answer->message, sizeof answer->message, "%s until %s by %s.%s%s",
                   words[held->kind], until, held->actor,
                   sent ? " The open move starts no further step." : " Nothing was sent.", still);
}

static void say_choice(const struct api_facts *facts, const Noctua__ChoiceRequest *request,
                       uint32_t service, struct answer *answer) {
    const struct state *state = facts->state;
    const struct service *s = &state->services[service];
    const struct execution *execution = &s->execution;
    answer->document = document_service(facts, service);
    switch (request->kind) {
    case NOCTUA__CHOICE_REQUEST__KIND__APPROVE:
        (void)snprintf(answer->message, sizeof answer->message,
                       "approved: %s moves to %s when every other gate passes: noctuactl watch %s",
                       s->name, document_region_name(state, s->suspect.approved_to), s->name);
        break;
    case NOCTUA__CHOICE_REQUEST__KIND__REJECT:
        (void)snprintf(answer->message, sizeof answer->message,
                       "rejected: this suspicion won't move %s. Nothing was sent.", s->name);
        break;
    case NOCTUA__CHOICE_REQUEST__KIND__CANCEL:
        (void)snprintf(answer->message, sizeof answer->message,
                       execution_is_open(execution)
                           ? "cancelling epoch %" PRIu64
                             ": what was sent is being made impossible. noctuactl watch %s"
                           : "epoch %" PRIu64 " of %s is cancelled. Nothing was sent.",
                       execution->epoch, s->name);
        break;
    default:
        (void)snprintf(answer->message, sizeof answer->message,
                       "released: no claim about %.64s is made; the next move of %s settles it "
                       "first (%" PRIu32 " open debts)",
                       request->step, s->name, s->debt_count);
        break;
    }
}

static void say_spec(const struct api_facts *facts, uint64_t index, struct answer *answer) {
    const struct state *state = facts->state;
    json_t *to_adopt = json_array();
    const char *first = NULL;
    for (uint32_t i = 0; i < state->spec.service_count; i++) {
        if (!state->services[i].adopted) {
            first = first == NULL ? state->services[i].name : first;
            document_append(to_adopt, document_text(state->services[i].name));
        }
    }
    answer->document = json_object();
    document_set(answer->document, "index", document_number(index));
    document_set(answer->document, "services", document_number(state->spec.service_count));
    document_set(answer->document, "to_adopt", to_adopt);
    (void)snprintf(answer->message, sizeof answer->message,
                   "spec %" PRIu64 " applied: %" PRIu32 " services.%s%s", index,
                   state->spec.service_count, first == NULL ? "" : " Next: noctuactl adopt ",
                   first == NULL ? "" : first);
}

static void say_done(const struct api_request *request, const struct api_facts *facts,
                     uint64_t index, bool repeated, struct answer *answer) {
    const Noctua__Request *message = request->message;
    uint32_t service = service_of(message, facts);
    switch (message->body_case) {
    case NOCTUA__REQUEST__BODY_MOVE:
        if (service != NONE_INDEX) {
            say_moved(facts, service, index, repeated, answer);
        }
        break;
    case NOCTUA__REQUEST__BODY_OVERRIDE:
        say_override(facts, message->override, service, index, answer);
        break;
    case NOCTUA__REQUEST__BODY_CHOICE:
        if (service != NONE_INDEX) {
            say_choice(facts, message->choice, service, answer);
        }
        break;
    case NOCTUA__REQUEST__BODY_SPEC_APPLY:
        say_spec(facts, index, answer);
        break;
    default:
        (void)TEXT_COPY(answer->message, "automation goes on");
        break;
    }
}

static void say_refused(const struct api_request *request, const struct api_facts *facts,
                        enum core_error result, struct answer *answer) {
    uint32_t service = service_of(request->message, facts);
    answer->exit_code = outcome_exit_code(result);
    answer->error_code = core_error_name(result);
    outcome_sentence(result, answer->message, sizeof answer->message);
    if (answer->exit_code == EXIT_CODE_REFUSED && service != NONE_INDEX) {
        answer->document = document_explain(facts, service, NULL);
    }
}

static const char *kind_word(const Noctua__Request *message) {
    switch (message->body_case) {
    case NOCTUA__REQUEST__BODY_MOVE:
        return "move";
    case NOCTUA__REQUEST__BODY_OVERRIDE:
        return message->override->end ? "override-end" : "override";
    case NOCTUA__REQUEST__BODY_CHOICE:
        return "choice";
    case NOCTUA__REQUEST__BODY_SPEC_APPLY:
        return "spec";
    default:
        return "resume-automation";
    }
}

void api_result_answer(struct api_request *request, enum core_error result, uint64_t index,
                       bool repeated) {
    struct api_facts facts;
    request->server->calls.facts(request->server->calls.context, &facts);
    if (result == CORE_DUPLICATE) {
        /* The same command was under way twice: the first one's answer is this one's. */
        const struct client *client =
            state_find_client(facts.state, request->message->client_id.data);
        repeated = true;
        result = client == NULL ? CORE_TOO_OLD : (enum core_error)client->result;
        index = client == NULL ? index : client->index;
    }
    struct answer answer = {.index = index};
    if (result == CORE_OK) {
        say_done(request, &facts, index, repeated, &answer);
    } else {
        say_refused(request, &facts, result, &answer);
    }
    LOG_EVENT(API_COMMAND, LOG_TEXT("actor", request->client->actor),
              LOG_TEXT("command", kind_word(request->message)),
              LOG_TEXT("result", core_error_name(result)), LOG_U64("index", index),
              LOG_BOOL("repeated", repeated));
    api_request_answer(request, &answer);
}
