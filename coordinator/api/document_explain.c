/* `explain`: why a service was, or was not, moved; and what a person can do about it. */
#include <inttypes.h>
#include <string.h>

#include "base/text.h"
#include "document_forced.h"
#include "document_mongo.h"
#include "document_parts.h"

#define EVIDENCE_MAX 16

struct story {
    const struct api_facts *facts;
    uint32_t service;
    const struct move_preview *asked; /* a person's move, or NULL */
    struct move_preview automatic;    /* what policy would do now */
    bool lags;                        /* ... if it were not for the target's lag */
    const struct event *last;         /* the newest one that says how it ended, or NULL */
    bool of_execution;                /* gates and citations are those of the execution */
    const struct move *would_have;    /* the gates are its: nothing came after it; or NULL */
    const struct gate_reading *gates;
    uint32_t failing;
};

/* The newest event that tells how the last suspicion or move of the service ended. */
static const struct event *last_ending(const struct state *state, const char *service) {
    for (uint64_t number = state->event_count; number > 0; number--) {
        const struct event *event = document_find_event(state, number);
        if (event == NULL) {
            return NULL;
        }
        bool ends = event->kind == EVENT_MOVE_ENDED || event->kind == EVENT_LAPSED ||
                    event->kind == EVENT_UNSUSPECT;
        if (ends && text_equal(event->service, service)) {
            return event;
        }
    }
    return NULL;
}

/* What mode observe would have done in the last window, if the service has not moved since. */
static const struct move *last_would_have(const struct state *state, const char *service) {
    for (uint64_t i = 0; i < MOVE_MAX && i < state->move_count; i++) {
        const struct move *move = &state->moves[(state->move_count - 1 - i) % MOVE_MAX];
        if (text_equal(move->service, service)) {
            return move->would_have ? move : NULL;
        }
    }
    return NULL;
}

static uint32_t failing_of(const struct gate_reading gates[GATE_COUNT]) {
    uint32_t failing = 0;
    for (unsigned gate = 0; gate < GATE_COUNT; gate++) {
        failing |= gates[gate].result == GATE_FAIL ? GATE_BIT(gate) : 0;
    }
    return failing;
}

/* Where only its lag holds a target back, that is what a person wants to hear of. */
static void begin_automatic(struct story *story) {
    uint32_t laggard = preview_laggard(story->facts, story->service);
    story->lags = laggard != NONE_INDEX;
    if (story->lags) {
        preview_automatic_to(story->facts, story->service, laggard, &story->automatic);
    } else {
        preview_automatic(story->facts, story->service, &story->automatic);
    }
}

static void begin_story(struct story *story, const struct api_facts *facts, uint32_t service,
                        const struct move_preview *asked) {
    const struct service *s = &facts->state->services[service];
    memset(story, 0, sizeof *story);
    story->facts = facts;
    story->service = service;
    story->asked = asked;
    begin_automatic(story);
    story->last = last_ending(facts->state, s->name);
    bool ended_last = story->last != NULL && story->last->kind != EVENT_UNSUSPECT;
    story->of_execution =
        asked == NULL && (execution_is_open(&s->execution) ||
                          (!s->suspect.open && ended_last && s->execution.phase != EXECUTION_NONE));
    bool idle = asked == NULL && !story->of_execution && !s->suspect.open;
    story->would_have = idle ? last_would_have(facts->state, s->name) : NULL;
    story->gates = asked != NULL               ? asked->gates
                   : story->of_execution       ? s->execution.gates
                   : story->would_have != NULL ? story->would_have->gates
                                               : story->automatic.gates;
    story->failing = failing_of(story->gates);
}

/* "replication_lag fails", "replication_lag and cooldown fail". */
static void failing_words(uint32_t failing, char *words, size_t size) {
    size_t used = 0;
    uint32_t left = (uint32_t)__builtin_popcount(failing);
    const char *verb = left > 1 ? " fail" : " fails";
    words[0] = '\0';
    for (unsigned gate = 0; gate < GATE_COUNT; gate++) {
        if ((failing & GATE_BIT(gate)) == 0) {
            continue;
        }
        left--;
        const char *behind = left > 1 ? ", " : left == 1 ? " and " : verb;
        int added = snprintf(words + used, size - used, "%s%s", gate_word((enum gate)gate), behind);
        used += added > 0 && (size_t)added < size - used ? (size_t)added : 0;
    }
}

static json_t *gates_headline(const struct story *story, const char *word) {
    char words[512];
    uint32_t passing = 0;
    uint32_t total = 0;
    json_decref(document_gates(story->gates, &passing, &total));
    failing_words(story->failing, words, sizeof words);
    return document_format("%s: %s (%" PRIu32 " of %" PRIu32 " gates pass)", word, words, passing,
                           total);
}

static json_t *open_headline(const struct story *story) {
    const struct state *state = story->facts->state;
    const struct execution *execution = &state->services[story->service].execution;
    const char *word = execution->phase == EXECUTION_CANCELLING ? "CANCELLING" : "MOVING";
    for (uint32_t i = 0; i < execution->step_count; i++) {
        const struct step *step = &execution->steps[i];
        if (!step_is_ended(step->phase)) {
            return document_format("%s: epoch %" PRIu64 " to %s, %s is %s", word, execution->epoch,
                                   document_region_name(state, execution->to), step->name,
                                   step_phase_text(step->phase));
        }
    }
    return document_format("%s: epoch %" PRIu64 " to %s", word, execution->epoch,
                           document_region_name(state, execution->to));
}

static const char *ended_word(enum execution_kind kind) {
    switch (kind) {
    case EXECUTION_ADOPT:
        return "ADOPTED";
    case EXECUTION_RELEASE:
        return "RELEASED";
    case EXECUTION_REPAIR:
        return "REPAIRED";
    case EXECUTION_READMIT:
        return "READMITTED";
    default:
        return "MOVED";
    }
}

static json_t *ended_headline(const struct story *story) {
    const struct state *state = story->facts->state;
    const struct execution *execution = &state->services[story->service].execution;
    const char *to = document_region_name(state, execution->to);
    char took[DURATION_TEXT_SIZE];
    uint64_t took_ms = execution->end_wall_ms > execution->start_wall_ms
                           ? execution->end_wall_ms - execution->start_wall_ms
                           : 0;
    (void)document_duration(took_ms, took);
    switch (execution->result) {
    case RESULT_DONE:
    case RESULT_RELEASED:
        return document_format("%s: epoch %" PRIu64 ", %s, %s in %s", ended_word(execution->kind),
                               execution->epoch, to, execution_result_text(execution->result),
                               took);
    case RESULT_HALF_MOVED:
        return document_format("HALF MOVED: epoch %" PRIu64 " to %s ended between two regions",
                               execution->epoch, to);
    case RESULT_LAPSED:
        return document_format("NOT MOVED: epoch %" PRIu64 " lapsed: %s", execution->epoch,
                               story->last->detail);
    default:
        return document_format("NOT MOVED: epoch %" PRIu64 " to %s was %s", execution->epoch, to,
                               execution_result_text(execution->result));
    }
}

static json_t *window_headline(const struct story *story) {
    const struct state *state = story->facts->state;
    const struct spec_service *spec = &state->spec.services[story->service];
    uint32_t evidence = GATE_BIT(GATE_VERDICT) | GATE_BIT(GATE_CONFIRMED);
    if ((story->failing & ~evidence) != 0) {
        return gates_headline(story, "NOT MOVED");
    }
    char done[DURATION_TEXT_SIZE];
    char whole[DURATION_TEXT_SIZE];
    uint64_t confirming_ms = document_confirming_ms(story->facts, story->service);
    (void)document_duration(confirming_ms == UINT64_MAX ? 0 : confirming_ms, done);
    (void)document_duration(spec->policy.confirm_ms, whole);
    return document_format("NOT MOVED YET: confirming %s of %s",
                           confirming_ms == UINT64_MAX ? "?" : done, whole);
}

static json_t *headline(const struct story *story) {
    const struct state *state = story->facts->state;
    const struct service *s = &state->services[story->service];
    if (story->asked != NULL) {
        return story->asked->failing != 0 ? gates_headline(story, "REFUSED")
                                          : document_text("READY: every gate passes");
    }
    if (execution_is_open(&s->execution)) {
        return open_headline(story);
    }
    if (!s->adopted) {
        return document_text("NOT MOVED: the service has not been adopted");
    }
    if (s->released) {
        return document_text("LEFT ALONE: the service was released");
    }
    if (s->suspect.open) {
        return window_headline(story);
    }
    if (story->of_execution) {
        return ended_headline(story);
    }
    if (story->would_have != NULL) {
        char at[CLOCK_TEXT_SIZE];
        (void)clock_format_utc(story->would_have->wall_ms, at);
        return document_format("WOULD HAVE MOVED to %s at %s, in mode auto: %s",
                               story->would_have->to, at, story->would_have->plan);
    }
    if (story->last != NULL) {
        return document_format("NOT MOVED: the suspicion of %s ended: %s", story->last->region,
                               story->last->detail);
    }
    return document_format("NOT MOVED: %s is not suspected",
                           document_region_name(state, s->active));
}

static void choose(json_t *choices, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void choose(json_t *choices, const char *format, ...) {
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    document_append(choices, document_text(text));
}

static void choices_of_open(const struct story *story, json_t *choices) {
    const struct execution *execution = &story->facts->state->services[story->service].execution;
    const char *name = story->facts->state->services[story->service].name;
    choose(choices, "wait: noctuactl watch %s", name);
    for (uint32_t i = 0; i < execution->step_count; i++) {
        const struct step *step = &execution->steps[i];
        bool stuck = step->phase == STEP_ATTEMPTED || step->phase == STEP_ACCEPTED ||
                     step->phase == STEP_CLOSING;
        if (stuck && execution->begun_index != 0) {
            choose(choices,
                   "noctuactl release %s %s --reason \"...\" (its provider is dead: a debt)", name,
                   step->name);
        }
    }
    if (execution->phase != EXECUTION_CANCELLING) {
        choose(choices, "noctuactl cancel %s --reason \"...\"", name);
        choose(choices, "noctuactl pause %s --reason \"...\"", name);
    }
}

/* An operator's move, with every gate skipped that would hold it. */
static void choose_failover(const struct story *story, json_t *choices) {
    const char *name = story->facts->state->services[story->service].name;
    const struct move_preview *move = story->asked != NULL ? story->asked : &story->automatic;
    char skips[512] = "";
    size_t used = 0;
    for (unsigned gate = 0; gate < GATE_COUNT; gate++) {
        bool skip = (move->failing & GATE_BIT(gate)) != 0 && gate_is_manual((enum gate)gate) &&
                    gate_is_skippable((enum gate)gate);
        if (skip && gate == GATE_IN_PROGRESS) {
            return; /* the open one has to end first */
        }
        if (skip && used + 64 < sizeof skips) {
            used += (size_t)snprintf(skips + used, sizeof skips - used, " --skip %s",
                                     gate_word((enum gate)gate));
        }
    }
    const char *to = document_region_name(story->facts->state, move->to);
    choose(choices, "noctuactl failover %s%s%s%s --reason \"...\"", name,
           to[0] == '\0' ? "" : " --to ", to, skips);
}

static json_t *choices_of(const struct story *story) {
    const struct state *state = story->facts->state;
    const struct service *s = &state->services[story->service];
    json_t *choices = json_array();
    if (execution_is_open(&s->execution)) {
        choices_of_open(story, choices);
        return choices;
    }
    if (!service_is_managed(s)) {
        uint32_t active = s->adopted ? s->active : state->spec.services[story->service].home;
        choose(choices, "noctuactl adopt %s --to %s --reason \"...\"", s->name,
               document_region_name(state, active));
        return choices;
    }
    const struct move_preview *move = story->asked != NULL ? story->asked : &story->automatic;
    bool refused = story->asked != NULL && story->asked->failing != 0;
    bool wanted = s->suspect.open || refused;
    if (story->asked == NULL &&
        document_choose_after_force(story->facts, story->service, choices)) {
        return choices;
    }
    if (s->half_moved && story->asked == NULL &&
        !document_choose_of_set(story->facts, move, true, choices)) {
        bool knows = s->execution.to != s->execution.from; /* else something else came after it */
        choose(choices, "%snoctuactl failover %s --to %s --reason \"...\"",
               knows ? "continue: " : "", s->name, document_region_name(state, s->execution.to));
        if (knows) {
            choose(choices, "reverse: noctuactl failover %s --to %s --reason \"...\"", s->name,
                   document_region_name(state, s->execution.from));
        }
    }
    if (s->half_moved && story->asked == NULL) {
        return choices;
    }
    if (s->suspect.open) {
        choose(choices, "wait");
        choose(choices, "noctuactl veto %s --for 30m --reason \"...\"", s->name);
        if (state->spec.services[story->service].mode == MODE_ADVISE &&
            story->automatic.to != NONE_INDEX && !story->lags) {
            choose(choices, "noctuactl approve %s --to %s", s->name,
                   document_region_name(state, story->automatic.to));
            choose(choices, "noctuactl reject %s --reason \"...\"", s->name);
        }
    }
    if (state->halted) {
        choose(choices,
               "noctuactl resume-automation --reason \"...\" (after the differing node was "
               "rebuilt)");
    }
    bool says = (wanted || story->asked == NULL) && execution_kind_moves(move->kind) &&
                document_choose_of_set(story->facts, move, !wanted, choices);
    if (wanted && !says) {
        choose_failover(story, choices);
    }
    return choices;
}

static void cite(json_t *evidence, uint64_t index, uint64_t *last) {
    if (index != 0 && index > *last && json_array_size(evidence) < EVIDENCE_MAX) {
        document_append(evidence, document_number(index));
        *last = index;
    }
}

/* Log indexes that the answer rests on, oldest first. */
static json_t *evidence_of(const struct story *story) {
    const struct state *state = story->facts->state;
    const struct service *s = &state->services[story->service];
    json_t *evidence = json_array();
    uint64_t last = 0;
    if (story->of_execution) {
        const struct execution *execution = &s->execution;
        cite(evidence, execution->suspect_index, &last);
        cite(evidence, execution->tick_index, &last);
        cite(evidence, execution->decide_index, &last);
        cite(evidence, execution->begun_index, &last);
        return evidence;
    }
    const char *region = document_region_name(state, s->active);
    uint64_t from = s->suspect.open ? s->suspect.index : UINT64_MAX;
    uint64_t first = state->event_count > EVENT_MAX ? state->event_count - EVENT_MAX + 1 : 1;
    for (uint64_t number = first; number <= state->event_count; number++) {
        const struct event *event = document_find_event(state, number);
        bool about = event != NULL && text_equal(event->service, s->name);
        bool opinion = about && event->kind == EVENT_OPINION && event->value == OPINION_DOWN &&
                       text_equal(event->region, region) && s->suspect.open;
        bool later = about && event->index >= from && event->kind != EVENT_OPINION;
        if (opinion || later || (event != NULL && event == story->last && !s->suspect.open)) {
            cite(evidence, event->index, &last);
        }
    }
    return evidence;
}

static json_t *cited_of(const struct story *story) {
    const struct state *state = story->facts->state;
    const struct execution *execution = &state->services[story->service].execution;
    json_t *rows = json_array();
    for (uint32_t i = 0; story->of_execution && i < execution->cited_count; i++) {
        const struct cited_report *cited = &execution->cited[i];
        json_t *row = json_object();
        document_set(row, "node",
                     cited->node < state->node_count ? document_text(state->nodes[cited->node].name)
                                                     : NULL);
        document_set(row, "boot", document_number(cited->boot));
        document_set(row, "sequence", document_number(cited->sequence));
        document_set(row, "down", document_bool(cited->down));
        document_set(row, "first_index", document_number(cited->first_index));
        document_set(row, "last_index", document_number(cited->last_index));
        document_set(row, "suspect_age_ms",
                     cited->knows_suspect ? document_number(cited->suspect_age_ms) : NULL);
        document_append(rows, row);
    }
    return rows;
}

static json_t *sent_sentence(const struct story *story) {
    const struct execution *execution = &story->facts->state->services[story->service].execution;
    uint32_t attempts = 0;
    for (uint32_t i = 0; story->of_execution && i < execution->step_count; i++) {
        attempts += execution->steps[i].attempts;
    }
    return attempts == 0 ? document_text("Nothing was sent to any target.")
                         : document_format("%" PRIu32 " request%s sent to targets.", attempts,
                                           attempts == 1 ? " was" : "s were");
}

/* Of a move that can still be thought over: not of one that was, or would have been. */
static json_t *loss_of(const struct story *story) {
    const struct move_preview *move = story->asked != NULL ? story->asked : &story->automatic;
    bool past = story->of_execution || story->would_have != NULL;
    return past ? NULL : document_loss(story->facts, move);
}

json_t *document_explain(const struct api_facts *facts, uint32_t service,
                         const struct move_preview *preview) {
    const struct state *state = facts->state;
    struct story story;
    begin_story(&story, facts, service, preview);
    uint32_t passing = 0;
    uint32_t total = 0;
    uint32_t to = story.of_execution ? state->services[service].execution.to
                  : preview != NULL  ? preview->to
                                     : story.automatic.to;
    json_t *object = json_object();
    document_set(object, "service", document_text(state->services[service].name));
    document_set(object, "state", document_text(document_service_state(facts, service)));
    document_set(object, "headline", headline(&story));
    document_set(object, "to", document_region(state, to));
    document_set(object, "gates", document_gates(story.gates, &passing, &total));
    document_set(object, "passing", document_number(passing));
    document_set(object, "total", document_number(total));
    document_set(object, "failing", document_gate_words(story.failing));
    document_set(object, "loss", loss_of(&story));
    document_set(object, "evidence", evidence_of(&story));
    document_set(object, "cited", cited_of(&story));
    document_set(object, "choices", choices_of(&story));
    document_set(object, "sent", sent_sentence(&story));
    document_set(object, "execution", document_execution(facts, service));
    document_set(object, "plan", preview == NULL ? NULL : document_plan(facts, preview));
    document_set(object, "stale", document_bool(!facts->leads));
    document_set(object, "age_ms", document_known(facts_age_ms(facts)));
    return object;
}
