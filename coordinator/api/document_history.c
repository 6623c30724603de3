/* `history` and single events. */
#include <inttypes.h>
#include <string.h>

#include "base/text.h"
#include "document_mongo.h"

const struct event *document_find_event(const struct state *state, uint64_t number) {
    bool kept =
        number > 0 && number <= state->event_count && state->event_count - number < EVENT_MAX;
    return kept ? &state->events[(number - 1) % EVENT_MAX] : NULL;
}

static json_t *gates_sentence(const struct event *event) {
    char words[512] = "";
    size_t used = 0;
    for (unsigned gate = 0; gate < GATE_COUNT; gate++) {
        const char *word = gate_word((enum gate)gate);
        if ((event->value & GATE_BIT(gate)) != 0 && used + strlen(word) + 2 < sizeof words) {
            used += (size_t)snprintf(words + used, sizeof words - used, "%s%s",
                                     used == 0 ? "" : ", ", word);
        }
    }
    const char *to = event->to[0] == '\0' ? "nowhere" : event->to;
    return event->kind == EVENT_BLOCKED ? document_format("to %s: %s fails", to, words)
                                        : document_format("to %s", to);
}

static json_t *override_sentence(const struct event *event) {
    const char *what = override_kind_text((enum override_kind)event->value);
    const char *whom = event->service[0] == '\0' ? "all services" : event->service;
    return document_format("%s of %s%s%s%s%s%s%s", what, whom,
                           event->region[0] == '\0' ? "" : " in ", event->region,
                           event->actor[0] == '\0' ? "" : " by ", event->actor,
                           event->detail[0] == '\0' ? "" : ": ", event->detail);
}

static json_t *step_sentence(const struct event *event) {
    const char *detail = event->detail[0] == '\0' ? "" : ": ";
    if (event->kind == EVENT_ATTEMPT || event->value > 1) {
        return document_format("%s attempt %" PRIu64 "%s%s", event->subject, event->value, detail,
                               event->detail);
    }
    return document_format("%s%s%s", event->subject, detail, event->detail);
}

static json_t *by_person(const struct event *event) {
    return document_format("by %s%s%s", event->actor[0] == '\0' ? "nobody" : event->actor,
                           event->detail[0] == '\0' ? "" : ": ", event->detail);
}

static json_t *group_sentence(const struct event *event) {
    switch (event->kind) {
    case EVENT_NODES:
        return document_format("%" PRIu64 " nodes", event->value);
    case EVENT_LEADER:
        return document_format("%s, term %" PRIu64, event->subject, event->value);
    case EVENT_FEATURE:
        return document_format("level %" PRIu64, event->value);
    case EVENT_EXPIRE:
        return document_format("%s fell silent", event->subject);
    case EVENT_HALT:
        return document_format("digests differ at %" PRIu64 ", seen from %s", event->value,
                               event->subject);
    default:
        return by_person(event);
    }
}

static json_t *event_sentence(const struct event *event) {
    switch (event->kind) {
    case EVENT_OPINION:
        return document_format("%s sees %s %s", event->subject, event->region,
                               opinion_text((enum opinion_value)event->value));
    case EVENT_SUSPECT:
        return document_format("%s down, votes %" PRIu64, event->region, event->value);
    case EVENT_UNSUSPECT:
        return document_format("%s: %s", event->region, event->detail);
    case EVENT_WOULD_HAVE:
    case EVENT_ASKED:
    case EVENT_BLOCKED:
        return gates_sentence(event);
    case EVENT_DECIDED:
        return document_format("epoch %" PRIu64 ", %s", event->epoch, event->to);
    case EVENT_LAPSED:
        return document_format("epoch %" PRIu64 ": %s; nothing was sent", event->epoch,
                               event->detail);
    case EVENT_INTENT:
    case EVENT_ATTEMPT:
    case EVENT_ACCEPTED:
    case EVENT_CLOSING:
    case EVENT_STEP_DONE:
    case EVENT_STEP_REFUSED:
    case EVENT_STEP_UNKNOWN:
    case EVENT_DEBT_SETTLED:
        return step_sentence(event);
    case EVENT_STEP_RELEASED:
        return document_format("%s by %s", event->subject, event->actor);
    case EVENT_SWITCHED:
        return document_format("%s -> %s", event->region, event->to);
    case EVENT_MOVE_ENDED:
        return document_format("epoch %" PRIu64 ": %s", event->epoch,
                               execution_result_text((enum execution_result)event->value));
    case EVENT_OVERRIDE:
    case EVENT_OVERRIDE_END:
        return override_sentence(event);
    default:
        return group_sentence(event);
    }
}

json_t *document_event(const struct event *event, uint64_t number) {
    json_t *row = json_object();
    document_set(row, "number", document_number(number));
    document_set(row, "index", document_number(event->index));
    document_set(row, "at", document_time(event->wall_ms));
    document_set(row, "wall_ms", document_number(event->wall_ms));
    document_set(row, "kind", document_text(event_kind_text(event->kind)));
    document_set(row, "service", document_text(event->service));
    document_set(row, "region", document_text(event->region));
    document_set(row, "to", document_text(event->to));
    document_set(row, "subject", document_text(event->subject));
    document_set(row, "epoch", event->epoch == 0 ? NULL : document_number(event->epoch));
    document_set(row, "value", document_number(event->value));
    document_set(row, "actor", document_text(event->actor));
    document_set(row, "detail", document_text(event->detail));
    document_set(row, "text", event_sentence(event));
    return row;
}

static json_t *move_row(const struct move *move) {
    uint32_t passing = 0;
    uint32_t total = 0;
    json_t *row = json_object();
    const char *kind = move->would_have ? "would-have" : execution_kind_text(move->kind);
    const char *result = move->would_have ? "observe" : execution_result_text(move->result);
    document_set(row, "epoch", move->epoch == 0 ? NULL : document_number(move->epoch));
    document_set(row, "at", document_time(move->wall_ms));
    document_set(row, "service", document_text(move->service));
    document_set(row, "from", document_text(move->from));
    document_set(row, "to", document_text(move->to));
    document_set(row, "kind", document_text(kind));
    document_set(row, "by", document_text(move->actor));
    document_set(row, "took_ms", move->would_have ? NULL : document_number(move->took_ms));
    document_fill_lost(move, row);
    document_set(row, "result", document_text(result));
    document_set(row, "reason", document_text(move->reason));
    document_set(row, "index", document_number(move->index));
    document_set(row, "gates", document_gates(move->gates, &passing, &total));
    document_set(row, "plan", document_text(move->plan));
    return row;
}

static bool service_matches(const struct history_query *query, const char *service) {
    return query->service == NULL || query->service[0] == '\0' ||
           text_equal(query->service, service);
}

/* Newest first. */
static json_t *history_moves(const struct state *state, const struct history_query *query) {
    json_t *rows = json_array();
    uint64_t kept = state->move_count < MOVE_MAX ? state->move_count : MOVE_MAX;
    for (uint64_t i = 0; i < kept; i++) {
        const struct move *move = &state->moves[(state->move_count - 1 - i) % MOVE_MAX];
        bool fits = service_matches(query, move->service) &&
                    (query->epoch == 0 || query->epoch == move->epoch);
        if (fits) {
            document_append(rows, move_row(move));
        }
        if (query->limit != 0 && json_array_size(rows) >= query->limit) {
            break;
        }
    }
    return rows;
}

static bool event_fits(const struct history_query *query, const struct event *event) {
    /* An event that names no service is about all of them. */
    bool service = event->service[0] == '\0' || service_matches(query, event->service);
    bool epoch = query->epoch == 0 || (event->service[0] != '\0' && event->epoch == query->epoch);
    return service && epoch;
}

/* Oldest first: the newest HISTORY_EVENT_MAX of those asked for. */
static json_t *history_events(const struct state *state, const struct history_query *query) {
    uint64_t first = state->event_count + 1;
    uint32_t count = 0;
    while (first > 1 && count < HISTORY_EVENT_MAX) {
        const struct event *event = document_find_event(state, first - 1);
        if (event == NULL) {
            break;
        }
        count += event_fits(query, event);
        first--;
    }
    json_t *rows = json_array();
    for (uint64_t number = first; number <= state->event_count; number++) {
        const struct event *event = document_find_event(state, number);
        if (event != NULL && event_fits(query, event)) {
            document_append(rows, document_event(event, number));
        }
    }
    return rows;
}

json_t *document_history(const struct api_facts *facts, const struct history_query *query) {
    json_t *history = json_object();
    document_set(history, "moves", history_moves(facts->state, query));
    document_set(history, "events",
                 query->with_events ? history_events(facts->state, query) : json_array());
    return history;
}
