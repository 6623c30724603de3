/* Commands of people: from a request to a proposal. What can be told without the log is told here;
 * state_apply has the last word on everything. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "server_private.h"

/* Takes a text of the request into a fixed array; false: refused, answered. */
static bool take_text(struct api_request *request, const char *what, const char *text, char *to,
                      size_t to_size) {
    if (!text_is_utf8(text, strlen(text)) || !text_copy(to, to_size, text)) {
        api_request_fail(request, EXIT_CODE_USAGE, "MALFORMED",
                         "%s is longer than %zu bytes, or no UTF-8", what, to_size - 1);
        return false;
    }
    return true;
}

/* A name, or nothing. */
static bool take_name(struct api_request *request, const char *what, const char *text,
                      char to[NAME_SIZE]) {
    if (text[0] != '\0' && !text_is_name(text, NAME_SIZE - 1)) {
        api_request_fail(request, EXIT_CODE_USAGE, "MALFORMED", "'%.64s' is no name of a %s", text,
                         what);
        return false;
    }
    return text_copy(to, NAME_SIZE, text);
}

bool api_request_may_act(struct api_request *request, const struct api_facts *facts,
                         const char *service) {
    const struct api_client *client = request->client;
    const struct state *state = facts->state;
    if (client->role != ROLE_OPERATOR || client->owners[0] == '\0') {
        return true;
    }
    uint32_t place = state_find_service(state, service);
    if (place == NONE_INDEX) {
        api_request_fail(
            request, EXIT_CODE_NOT_AUTHORISED, "OWNER",
            "this concerns every service, and the certificate of %s is for those of %s "
            "only: name one, or ask an admin",
            client->actor, client->owners);
        return false;
    }
    const char *owner = state->spec.services[place].owner;
    if (tls_owners_include(client->owners, owner)) {
        return true;
    }
    api_request_fail(
        request, EXIT_CODE_NOT_AUTHORISED, "OWNER",
        "%s belongs to %s, and the certificate of %s is for the services of %s: ask an "
        "operator of its owner, or an admin",
        service, owner[0] == '\0' ? "nobody" : owner, client->actor, client->owners);
    return false;
}

static bool begin_command(struct api_request *request, enum command_kind kind, const char *reason) {
    const struct api_client *client = request->client;
    struct command *command = calloc(1, sizeof *command);
    request->command = command;
    if (command == NULL) {
        api_request_fail(request, EXIT_CODE_INTERNAL, "LIMIT", "out of memory");
        return false;
    }
    struct command_origin *origin = &command->origin;
    command->kind = kind;
    command->wall_ms = clock_wall_ms(&request->server->clock);
    memcpy(origin->client_id, request->message->client_id.data, sizeof origin->client_id);
    origin->sequence = request->message->sequence;
    origin->known_index = request->message->known_index;
    origin->role = client->role;
    memcpy(origin->actor, client->actor, sizeof origin->actor);
    if (client->role < command_least_role(kind)) {
        api_request_fail(request, EXIT_CODE_NOT_AUTHORISED, "ROLE",
                         "%s needs the role %s; the certificate of %s says %s",
                         command_kind_text(kind), role_text(command_least_role(kind)),
                         client->actor, role_text(client->role));
        return false;
    }
    return take_text(request, "the reason", reason, origin->reason, sizeof origin->reason);
}

static void on_proposed(void *context, enum error_code error, enum core_error result,
                        uint64_t index) {
    struct api_request *request = context;
    if (!api_request_resume(request)) {
        return;
    }
    if (error == ERROR_OK) {
        api_result_answer(request, result, index, false);
    } else if (error == ERROR_NOT_LEADER) {
        api_request_fail_not_leader(request);
    } else if (error == ERROR_UNKNOWN || error == ERROR_CANCELLED) {
        /* The same code as for "not the leader": asking the next one with the same id is right. */
        api_request_fail(request, EXIT_CODE_UNREACHABLE, "NOT_LEADER",
                         "leadership was lost meanwhile, so it may yet be done: ask again with the "
                         "same id, then it is done once");
    } else {
        api_request_fail(request, EXIT_CODE_UNREACHABLE, "BUSY", "not taken: %s. Ask again",
                         error_text(error));
    }
    api_request_end(request);
}

static void propose(struct api_request *request) {
    const struct api_calls *calls = &request->server->calls;
    request->waiting = true;
    calls->propose(calls->context, request->command, on_proposed, request);
}

/* What a move's words say; the rest is the plan's. */
struct wanted_move {
    uint32_t service, to;
    enum execution_kind kind;
    uint32_t skip;
    struct mongo_view mongo; /* with what is said of its members */
};

static bool take_skips(struct api_request *request, uint32_t *ret_skip) {
    const Noctua__MoveRequest *move = request->message->move;
    *ret_skip = 0;
    for (size_t i = 0; i < move->n_skip; i++) {
        enum gate gate = gate_from_word(move->skip[i]);
        if (gate == GATE_COUNT) {
            api_request_fail(request, EXIT_CODE_USAGE, "MALFORMED",
                             "there is no gate '%.32s': noctuactl explain lists them",
                             move->skip[i]);
            return false;
        }
        if (!gate_is_manual(gate)) {
            api_request_fail(request, EXIT_CODE_USAGE, "MALFORMED",
                             "gate '%s' doesn't hold an operator's move: there is nothing to skip",
                             gate_word(gate));
            return false;
        }
        if (!gate_is_skippable(gate)) {
            api_request_fail(request, EXIT_CODE_USAGE, "MALFORMED",
                             "gate '%s' can't be skipped: %s", gate_word(gate), gate_doc(gate));
            return false;
        }
        *ret_skip |= GATE_BIT(gate);
    }
    return true;
}

static bool take_move(struct api_request *request, const struct api_facts *facts,
                      struct wanted_move *ret) {
    const Noctua__MoveRequest *move = request->message->move;
    if ((unsigned)move->kind >= EXECUTION_KIND_COUNT) {
        api_request_fail(request, EXIT_CODE_USAGE, "NOT_SUPPORTED", "unknown kind of move");
        return false;
    }
    ret->kind = (enum execution_kind)move->kind;
    ret->service = api_request_find_service(request, facts, move->service);
    if (ret->service == NONE_INDEX || !take_skips(request, &ret->skip)) {
        return false;
    }
    const struct spec *spec = &facts->state->spec;
    if (move->to[0] != '\0') {
        ret->to = spec_find_region(spec, move->to);
        if (ret->to == NONE_INDEX) {
            api_request_fail(request, EXIT_CODE_USAGE, "NO_REGION",
                             "the spec has no region '%.64s'", move->to);
        }
        return ret->to != NONE_INDEX;
    }
    uint32_t active = facts->state->services[ret->service].active;
    uint32_t stays = active != NONE_INDEX ? active : spec->services[ret->service].home;
    ret->to = execution_kind_moves(ret->kind) ? preview_choose_target(facts, ret->service) : stays;
    return true;
}

static void refuse_move(struct api_request *request, const struct api_facts *facts,
                        const struct wanted_move *wanted, enum core_error error) {
    const struct state *state = facts->state;
    const struct service *s = &state->services[wanted->service];
    struct answer answer = {.exit_code = outcome_exit_code(error),
                            .error_code = core_error_name(error),
                            .index = state->applied_index};
    if (error == CORE_NO_REGION && wanted->to == NONE_INDEX) {
        answer.exit_code = EXIT_CODE_REFUSED;
        answer.document = document_explain(facts, wanted->service, NULL);
        (void)snprintf(answer.message, sizeof answer.message,
                       "no region is fit to take %s. Name one with --to REGION; --skip GATE names "
                       "a risk",
                       s->name);
    } else if (error == CORE_PLAN && wanted->kind == EXECUTION_REPAIR) {
        answer.exit_code = EXIT_CODE_REFUSED;
        (void)snprintf(answer.message, sizeof answer.message,
                       "%s has no records in its spec: there is nothing to repair", s->name);
    } else if (error == CORE_NO_REGION && s->adopted && wanted->to == s->active) {
        (void)snprintf(answer.message, sizeof answer.message, "%s is active in %s already", s->name,
                       state->spec.regions[s->active].name);
    } else {
        outcome_sentence(error, answer.message, sizeof answer.message);
    }
    api_request_answer(request, &answer);
}

/* A gate that wasn't skipped by name holds the move: say which, and what can be done. */
static void refuse_by_gates(struct api_request *request, const struct api_facts *facts,
                            const struct move_preview *preview) {
    struct answer answer = {.exit_code = EXIT_CODE_REFUSED,
                            .error_code = "GATE",
                            .document = document_explain(facts, preview->service, preview),
                            .index = facts->state->applied_index};
    unsigned gate = 0;
    while ((preview->failing & GATE_BIT(gate)) == 0) {
        gate++;
    }
    (void)snprintf(answer.message, sizeof answer.message, "gate %s fails: %s must hold",
                   gate_word((enum gate)gate), gate_doc((enum gate)gate));
    api_request_answer(request, &answer);
}

/* Plan and gates; false: answered. */
static bool preview_or_refuse(struct api_request *request, const struct api_facts *facts) {
    struct wanted_move wanted;
    if (!take_move(request, facts, &wanted) ||
        !api_declared_take(request, facts, wanted.service, wanted.kind, wanted.to, &wanted.mongo)) {
        return false;
    }
    request->preview = calloc(1, sizeof *request->preview);
    if (request->preview == NULL) {
        api_request_fail(request, EXIT_CODE_INTERNAL, "LIMIT", "out of memory");
        return false;
    }
    enum core_error error = preview_move_of_set(facts, wanted.service, wanted.kind, wanted.to,
                                                wanted.skip, &wanted.mongo, request->preview);
    if (error != CORE_OK) {
        refuse_move(request, facts, &wanted, error);
        return false;
    }
    if (request->preview->failing != 0) {
        refuse_by_gates(request, facts, request->preview);
        return false;
    }
    return true;
}

/* The move that this client's remembered command began, if it is still the service's last, and is
 * what is asked for now. */
static bool find_repeated(const struct api_request *request, const struct api_facts *facts,
                          uint32_t *ret_service, uint64_t *ret_index) {
    const Noctua__Request *message = request->message;
    const struct state *state = facts->state;
    const struct client *client = message->client_id.len == sizeof client->id
                                      ? state_find_client(state, message->client_id.data)
                                      : NULL;
    uint32_t service = state_find_service(state, message->move->service);
    if (client == NULL || client->result != CORE_OK || service == NONE_INDEX) {
        return false;
    }
    const struct execution *execution = &state->services[service].execution;
    const char *to = message->move->to;
    bool same = (unsigned)message->move->kind == (unsigned)execution->kind &&
                (to[0] == '\0' || spec_find_region(&state->spec, to) == execution->to);
    if (!same || execution->decide_index != client->index) {
        return false;
    }
    *ret_service = service;
    *ret_index = client->index;
    return true;
}

_Static_assert((int)EXECUTION_FAILOVER == (int)NOCTUA__MOVE_REQUEST__KIND__FAILOVER &&
                   (int)EXECUTION_SWITCHOVER == (int)NOCTUA__MOVE_REQUEST__KIND__SWITCHOVER &&
                   (int)EXECUTION_ADOPT == (int)NOCTUA__MOVE_REQUEST__KIND__ADOPT &&
                   (int)EXECUTION_RELEASE == (int)NOCTUA__MOVE_REQUEST__KIND__RELEASE &&
                   (int)EXECUTION_REPAIR == (int)NOCTUA__MOVE_REQUEST__KIND__REPAIR &&
                   (int)EXECUTION_READMIT == (int)NOCTUA__MOVE_REQUEST__KIND__READMIT,
               "one number for each kind of move");

void api_command_preview_move(struct api_request *request, const struct api_facts *facts,
                              bool stale) {
    uint32_t service;
    uint64_t index;
    struct answer answer = {.index = facts->state->applied_index, .stale = stale};
    if (find_repeated(request, facts, &service, &index)) {
        /* The dry run in front of a repeated command: what it did is its plan. */
        answer.document = api_result_moved(facts, service, index, true);
    } else if (preview_or_refuse(request, facts)) {
        answer.document = document_plan(facts, request->preview);
    } else {
        return;
    }
    api_request_answer(request, &answer);
}

static void begin_move(struct api_request *request, const struct api_facts *facts) {
    const Noctua__MoveRequest *move = request->message->move;
    bool of_marks = move->kind == NOCTUA__MOVE_REQUEST__KIND__ADOPT ||
                    move->kind == NOCTUA__MOVE_REQUEST__KIND__RELEASE;
    if (!begin_command(request, of_marks ? COMMAND_ADOPT : COMMAND_MOVE, move->reason) ||
        !preview_or_refuse(request, facts)) {
        return;
    }
    const struct state *state = facts->state;
    const struct move_preview *preview = request->preview;
    if (!api_request_may_act(request, facts, state->services[preview->service].name)) {
        return;
    }
    if (move->plan_hash[0] != '\0' && !text_equal(move->plan_hash, preview->hash)) {
        struct answer answer = {.exit_code = EXIT_CODE_PLAN_CHANGED,
                                .error_code = "CHANGED",
                                .document = document_plan(facts, preview),
                                .index = state->applied_index};
        (void)snprintf(answer.message, sizeof answer.message,
                       "the plan is another one now (%s, not %.16s): look at it, then ask again",
                       preview->hash, move->plan_hash);
        api_request_answer(request, &answer);
        return;
    }
    struct command_move *c = &request->command->move;
    memcpy(c->service, state->services[preview->service].name, sizeof c->service);
    memcpy(c->to, state->spec.regions[preview->to].name, sizeof c->to);
    c->kind = preview->kind;
    c->spec_index = state->spec_index;
    c->epoch = preview->epoch;
    c->skipped_gates = preview->skipped_gates;
    memcpy(c->gates, preview->gates, sizeof c->gates);
    c->mongo = preview->mongo;
    c->plan = preview->plan;
    propose(request);
}

/* "--for 30m" ends at the latest of client's clock, leader's clock and committed time, plus it: it
 * never ends early, whoever's clock is wrong. */
static bool take_end(struct api_request *request, const struct api_facts *facts, uint64_t for_ms,
                     uint64_t *ret_until_ms) {
    uint64_t from_ms =
        facts->state->time_ms > facts->wall_ms ? facts->state->time_ms : facts->wall_ms;
    uint64_t client_ms = request->message->wall_ms;
    from_ms = client_ms > from_ms ? client_ms : from_ms;
    *ret_until_ms = 0;
    if (for_ms == 0) {
        return true;
    }
    if (for_ms > API_OVERRIDE_FOR_MAX_MS || from_ms > TIME_MAX_MS - for_ms) {
        api_request_fail(request, EXIT_CODE_USAGE, "MALFORMED",
                         "--for is 366 days at most; without it, it holds until taken back");
        return false;
    }
    *ret_until_ms = from_ms + for_ms;
    return true;
}

/* A veto, once the move has begun, would be a promise that can't be kept. */
static bool veto_is_too_late(struct api_request *request, const struct api_facts *facts,
                             const struct command_override *c) {
    uint32_t service = state_find_service(facts->state, c->service);
    if (c->kind != OVERRIDE_VETO || service == NONE_INDEX) {
        return false;
    }
    const struct execution *execution = &facts->state->services[service].execution;
    if (!execution_is_open(execution) || execution->begun_index == 0) {
        return false;
    }
    const char *running = "it";
    for (uint32_t i = 0; i < execution->step_count; i++) {
        if (!step_is_ended(execution->steps[i].phase)) {
            running = execution->steps[i].name;
            break;
        }
    }
    char began[CLOCK_TEXT_SIZE];
    (void)clock_format_utc(execution->start_wall_ms, began);
    struct answer answer = {.exit_code = EXIT_CODE_REFUSED,
                            .error_code = "TOO_LATE",
                            .document = document_explain(facts, service, NULL),
                            .index = facts->state->applied_index};
    (void)snprintf(answer.message, sizeof answer.message,
                   "too late: epoch %" PRIu64 " began %.8s; %s running. Try: noctuactl cancel %s",
                   execution->epoch, began + 11, running, c->service);
    api_request_answer(request, &answer);
    return true;
}

static void begin_override(struct api_request *request, const struct api_facts *facts) {
    static const enum override_kind kinds[] = {OVERRIDE_VETO, OVERRIDE_PAUSE, OVERRIDE_MAINTENANCE};
    const Noctua__OverrideRequest *override = request->message->override;
    enum command_kind kind = override->end ? COMMAND_OVERRIDE_END : COMMAND_OVERRIDE;
    if ((unsigned) override->kind >= ARRAY_LENGTH(kinds)) {
        api_request_fail(request, EXIT_CODE_USAGE, "NOT_SUPPORTED", "unknown kind of override");
        return;
    }
    if (!begin_command(request, kind, override->reason)) {
        return;
    }
    struct command_override *c = &request->command->override;
    c->kind = kinds[override->kind];
    if (!take_name(request, "service", override->service, c->service) ||
        !take_name(request, "region", override->region, c->region)) {
        return;
    }
    if (c->service[0] != '\0' &&
        api_request_find_service(request, facts, c->service) == NONE_INDEX) {
        return;
    }
    if (!api_request_may_act(request, facts, c->service)) {
        return;
    }
    if (!override->end && override->reason[0] == '\0') {
        api_request_fail(request, EXIT_CODE_USAGE, "MALFORMED",
                         "a %s needs a reason: it is kept in history", override_kind_text(c->kind));
        return;
    }
    if (!override->end && (!take_end(request, facts, override->for_ms, &c->until_ms) ||
                           veto_is_too_late(request, facts, c))) {
        return;
    }
    propose(request);
}

/* What came of a forced config that was sent can't be told, nor that it won't come any more: the
 * core's answer in the words of what to do. */
static bool releases_a_forced_config(const struct service *s, const struct command_choice *c) {
    for (uint32_t i = 0; i < s->execution.step_count; i++) {
        const struct step *step = &s->execution.steps[i];
        if (text_equal(step->name, c->step)) {
            return step->kind == STEP_FORCE && step->phase == STEP_ATTEMPTED;
        }
    }
    return false;
}

/* What "as it is" stands for, so that the entry says exactly what is meant. */
static bool complete_choice(struct api_request *request, const struct api_facts *facts,
                            uint32_t service, struct command_choice *c) {
    const struct state *state = facts->state;
    const struct service *s = &state->services[service];
    if (c->epoch == 0) {
        bool approves = request->command->kind == COMMAND_APPROVE;
        c->epoch = approves ? s->epoch + 1 : s->execution.epoch;
    }
    if (request->command->kind == COMMAND_RELEASE && releases_a_forced_config(s, c)) {
        api_request_fail(
            request, EXIT_CODE_REFUSED, "FORCED",
            "the forced config may have been sent, and may still land: nothing can go "
            "on as if it hadn't. Within a minute it is seen, or ends as unknown; sooner: "
            "noctuactl cancel %s. noctuactl explain %s then says what to look at",
            s->name, s->name);
        return false;
    }
    if (request->command->kind == COMMAND_APPROVE && c->to[0] == '\0') {
        uint32_t to = preview_choose_target(facts, service);
        if (to == NONE_INDEX) {
            api_request_fail(request, EXIT_CODE_REFUSED, "NO_REGION",
                             "no region is fit to take %s now. Name one with --to REGION", s->name);
            return false;
        }
        memcpy(c->to, state->spec.regions[to].name, sizeof c->to);
    }
    return true;
}

static void begin_choice(struct api_request *request, const struct api_facts *facts) {
    static const enum command_kind kinds[] = {COMMAND_APPROVE, COMMAND_REJECT, COMMAND_CANCEL,
                                              COMMAND_RELEASE};
    const Noctua__ChoiceRequest *choice = request->message->choice;
    if ((unsigned)choice->kind >= ARRAY_LENGTH(kinds)) {
        api_request_fail(request, EXIT_CODE_USAGE, "NOT_SUPPORTED", "unknown kind of choice");
        return;
    }
    if (!begin_command(request, kinds[choice->kind], choice->reason)) {
        return;
    }
    struct command_choice *c = &request->command->choice;
    if (!take_name(request, "service", choice->service, c->service) ||
        !take_name(request, "region", choice->to, c->to) ||
        !take_name(request, "step", choice->step, c->step)) {
        return;
    }
    uint32_t service = api_request_find_service(request, facts, c->service);
    if (service == NONE_INDEX) {
        return;
    }
    memcpy(c->service, facts->state->services[service].name, sizeof c->service);
    if (!api_request_may_act(request, facts, c->service)) {
        return;
    }
    c->epoch = choice->epoch;
    if (complete_choice(request, facts, service, c)) {
        propose(request);
    }
}

/* A repeated command gets the answer that it got first, before anything else is looked at. */
static bool answer_repeated(struct api_request *request, const struct api_facts *facts) {
    const Noctua__Request *message = request->message;
    const struct client *client = state_find_client(facts->state, message->client_id.data);
    if (client == NULL || client->sequence != message->sequence) {
        return false;
    }
    api_result_answer(request, (enum core_error)client->result, client->index, true);
    return true;
}

void api_command_begin(struct api_request *request) {
    struct api_facts facts;
    const struct api_calls *calls = &request->server->calls;
    calls->facts(calls->context, &facts);
    if (!facts.leads) {
        api_request_fail_not_leader(request);
        return;
    }
    if (answer_repeated(request, &facts)) {
        return;
    }
    switch (request->message->body_case) {
    case NOCTUA__REQUEST__BODY_MOVE:
        begin_move(request, &facts);
        break;
    case NOCTUA__REQUEST__BODY_OVERRIDE:
        begin_override(request, &facts);
        break;
    case NOCTUA__REQUEST__BODY_CHOICE:
        begin_choice(request, &facts);
        break;
    case NOCTUA__REQUEST__BODY_SPEC_APPLY:
        if (begin_command(request, COMMAND_SPEC, request->message->spec_apply->reason) &&
            api_spec_build(request, &facts)) {
            propose(request);
        }
        break;
    case NOCTUA__REQUEST__BODY_RESUME_AUTOMATION:
        if (begin_command(request, COMMAND_RESUME_AUTOMATION,
                          request->message->resume_automation->reason)) {
            propose(request);
        }
        break;
    case NOCTUA__REQUEST__BODY_TRANSFER_LEADER:
        api_transfer_begin(request, &facts);
        break;
    case NOCTUA__REQUEST__BODY_MEMBER:
        api_member_begin(request, &facts);
        break;
    default:
        api_request_fail(request, EXIT_CODE_INTERNAL, "NOT_SUPPORTED", "not a command");
        break;
    }
}
