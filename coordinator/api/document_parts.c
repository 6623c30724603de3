#include "document_parts.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "document_memory.h"

void document_set(json_t *object, const char *key, json_t *value) {
    (void)json_object_set_new(object, key, value == NULL ? json_null() : value);
}

void document_append(json_t *array, json_t *value) {
    (void)json_array_append_new(array, value == NULL ? json_null() : value);
}

json_t *document_text(const char *text) {
    if (text == NULL || text[0] == '\0') {
        return json_null();
    }
    json_t *string = json_string(text);
    if (string != NULL) {
        return string;
    }
    char plain[1024];
    size_t i = 0;
    for (; text[i] != '\0' && i + 1 < sizeof plain; i++) {
        bool is_ascii = (unsigned char)text[i] < 0x80;
        plain[i] = '?';
        if (is_ascii) {
            plain[i] = text[i];
        }
    }
    plain[i] = '\0';
    return json_string(plain);
}

json_t *document_line(const struct buffer *line) {
    if (line->failed) {
        document_memory_lack();
        return NULL;
    }
    return document_text(line->data);
}

json_t *document_format(const char *format, ...) {
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return document_text(text);
}

json_t *document_number(uint64_t value) {
    return json_integer(value > INT64_MAX ? INT64_MAX : (json_int_t)value);
}

json_t *document_known(uint64_t value) {
    return value == UINT64_MAX ? json_null() : document_number(value);
}

json_t *document_bool(bool value) {
    return json_boolean(value);
}

json_t *document_time(uint64_t wall_ms) {
    char text[CLOCK_TEXT_SIZE];
    return wall_ms == 0 ? json_null() : json_string(clock_format_utc(wall_ms, text));
}

const char *document_region_name(const struct state *state, uint32_t region) {
    return region < state->spec.region_count ? state->spec.regions[region].name : "";
}

json_t *document_region(const struct state *state, uint32_t region) {
    return document_text(document_region_name(state, region));
}

char *document_clock(uint64_t wall_ms, char text[CLOCK_TEXT_SIZE]) {
    char whole[CLOCK_TEXT_SIZE];
    (void)snprintf(text, CLOCK_TEXT_SIZE, "%.8sZ", clock_format_utc(wall_ms, whole) + 11);
    return text;
}

static char *two_units(uint64_t major, const char *major_unit, uint64_t minor,
                       const char *minor_unit, char text[DURATION_TEXT_SIZE]) {
    if (minor == 0) {
        (void)snprintf(text, DURATION_TEXT_SIZE, "%" PRIu64 "%s", major, major_unit);
    } else {
        (void)snprintf(text, DURATION_TEXT_SIZE, "%" PRIu64 "%s%" PRIu64 "%s", major, major_unit,
                       minor, minor_unit);
    }
    return text;
}

char *document_duration(uint64_t ms, char text[DURATION_TEXT_SIZE]) {
    uint64_t seconds = ms / 1000;
    if (ms < 1000) {
        return two_units(ms, ms == 0 ? "s" : "ms", 0, "", text);
    }
    if (ms < 10000) {
        (void)snprintf(text, DURATION_TEXT_SIZE, "%" PRIu64 ".%" PRIu64 "s", seconds,
                       ms % 1000 / 100);
        return text;
    }
    if (seconds < 120) {
        return two_units(seconds, "s", 0, "", text);
    }
    if (seconds < 7200) {
        return two_units(seconds / 60, "m", seconds % 60, "s", text);
    }
    if (seconds < 172800) {
        return two_units(seconds / 3600, "h", seconds % 3600 / 60, "m", text);
    }
    return two_units(seconds / 86400, "d", 0, "", text);
}

const struct policy_input *document_policy(const struct api_facts *facts,
                                           struct policy_input *nothing) {
    if (facts->policy != NULL) {
        return facts->policy;
    }
    memset(nothing, 0, sizeof *nothing);
    nothing->now_ms = facts->now_ms;
    nothing->wall_ms = facts->wall_ms;
    nothing->term = facts->term;
    return nothing;
}

const struct report *document_report(const struct api_facts *facts, uint32_t node) {
    const struct policy_input *policy = facts->policy;
    const struct report *report = NULL;
    bool is_self = text_equal(facts->state->nodes[node].name, facts->node);
    if (policy != NULL && policy->reports[node] != NULL &&
        policy->now_ms - policy->received_ms[node] <= REPORT_EXPIRE_MS) {
        report = policy->reports[node];
    } else if (is_self) {
        report = facts->own_report;
    }
    return report;
}

bool document_node_is_seen(const struct api_facts *facts, uint32_t node) {
    if (text_equal(facts->state->nodes[node].name, facts->node)) {
        return true;
    }
    return facts->policy != NULL ? document_report(facts, node) != NULL : facts->links[node].up;
}

uint64_t document_confirming_ms(const struct api_facts *facts, uint32_t service) {
    const struct state *state = facts->state;
    if (!state->services[service].suspect.open) {
        return UINT64_MAX;
    }
    if (facts->policy != NULL) {
        struct gate_reading gates[GATE_COUNT];
        (void)policy_read_gates(state, facts->policy, service, NONE_INDEX, true, 0, NULL, gates);
        return gates[GATE_CONFIRMED].value;
    }
    const struct report *own = facts->own_report;
    bool knows = own != NULL &&
                 own->windows[service].suspect_index == state->services[service].suspect.index;
    return knows ? own->windows[service].age_ms : UINT64_MAX;
}

uint64_t document_moves_in_ms(const struct api_facts *facts, uint32_t service,
                              const struct move_preview *preview) {
    uint64_t confirming_ms = document_confirming_ms(facts, service);
    uint64_t confirm_ms = facts->state->spec.services[service].policy.confirm_ms;
    uint32_t evidence = GATE_BIT(GATE_VERDICT) | GATE_BIT(GATE_CONFIRMED);
    uint32_t unknown = facts->policy == NULL ? GATE_BIT(GATE_CLOCK) : 0;
    bool held = (preview->failing & ~(evidence | unknown)) != 0;
    if (confirming_ms == UINT64_MAX || preview->to == NONE_INDEX || held) {
        return UINT64_MAX;
    }
    return confirm_ms > confirming_ms ? confirm_ms - confirming_ms : 0;
}

static void count_text(const char *word, uint64_t count, char text[GATE_TEXT_SIZE]) {
    (void)snprintf(text, GATE_TEXT_SIZE, "%s%s%" PRIu64, word, word[0] == '\0' ? "" : " ", count);
}

static void unit_text(enum gate gate, uint64_t amount, char text[GATE_TEXT_SIZE]) {
    char duration[DURATION_TEXT_SIZE];
    if (amount == UINT64_MAX) {
        (void)text_copy(text, GATE_TEXT_SIZE, gate == GATE_COOLDOWN ? "never moved" : "not known");
    } else if (gate_unit(gate) == GATE_UNIT_MS) {
        (void)text_copy(text, GATE_TEXT_SIZE, document_duration(amount, duration));
    } else {
        count_text("", amount, text);
    }
}

/* "94s (51s old)" */
static void aged_text(enum gate gate, uint64_t amount, uint64_t age_ms, const char *word,
                      char text[GATE_TEXT_SIZE]) {
    char value[GATE_TEXT_SIZE];
    char age[GATE_TEXT_SIZE];
    if (age_ms == UINT64_MAX) {
        unit_text(gate, amount, text);
        return;
    }
    unit_text(gate, amount, value);
    unit_text(gate, age_ms, age);
    (void)snprintf(text, GATE_TEXT_SIZE, "%.*s (%.*s%s)", GATE_TEXT_SIZE / 3, value,
                   GATE_TEXT_SIZE / 3, age, word);
}

void document_gate_value(enum gate gate, const struct gate_reading *reading,
                         char text[GATE_TEXT_SIZE]) {
    bool pass = reading->result == GATE_PASS;
    const char *word = NULL;
    switch (gate) {
    case GATE_MODE:
        word = reading->value == MODE_ADVISE && pass ? "advise, approved"
                                                     : mode_text((enum service_mode)reading->value);
        break;
    case GATE_AUTOMATION:
        word = reading->value == 0 ? "on" : "halted";
        break;
    case GATE_PAUSED:
    case GATE_VETOED:
        word = reading->value == 0 ? "no" : "yes";
        break;
    case GATE_TARGET_MAINTENANCE:
        word = pass ? "no" : "yes";
        break;
    case GATE_IN_PROGRESS:
        word = reading->value != 0 ? "one is open" : pass ? "none" : "half-moved";
        break;
    case GATE_TARGET_READY:
        word = pass ? "ready" : "no room, or no value in the spec";
        break;
    case GATE_VERDICT:
        count_text(pass ? "down, votes" : "votes", reading->value, text);
        return;
    case GATE_TARGET_HEALTHY:
        count_text(pass ? "up, votes" : "votes", reading->value, text);
        return;
    case GATE_REPLICATION_LAG:
        aged_text(gate, reading->value, reading->age_ms, " old", text);
        return;
    case GATE_MONGO_MEMBER:
        word = pass ? "one" : "none";
        break;
    case GATE_MONGO_ELECTION:
        word = reading->value == 0 ? "has a primary" : NULL;
        break;
    case GATE_MONGO_CONFIG:
        word = pass ? "committed" : "not committed";
        break;
    case GATE_MONGO_VERSIONS:
        word = pass ? "of one kind" : "some before 4.4, some not";
        break;
    default:
        break;
    }
    if (word == NULL) {
        unit_text(gate, reading->value, text);
    } else {
        (void)text_copy(text, GATE_TEXT_SIZE, word);
    }
}

void document_gate_limit(enum gate gate, const struct gate_reading *reading,
                         char text[GATE_TEXT_SIZE]) {
    const char *word = NULL;
    switch (gate) {
    case GATE_MODE:
        word = "auto, or approved";
        break;
    case GATE_AUTOMATION:
        word = "on";
        break;
    case GATE_PAUSED:
    case GATE_VETOED:
    case GATE_TARGET_MAINTENANCE:
        word = "no";
        break;
    case GATE_IN_PROGRESS:
        word = "none";
        break;
    case GATE_TARGET_READY:
        word = "ready";
        break;
    case GATE_REPLICATION_LAG:
        aged_text(gate, reading->limit, reading->age_limit_ms, "", text);
        return;
    case GATE_MONGO_MEMBER:
        word = "one";
        break;
    case GATE_MONGO_CONFIG:
        word = "committed";
        break;
    case GATE_MONGO_VERSIONS:
        word = "of one kind";
        break;
    default:
        unit_text(gate, reading->limit, text);
        return;
    }
    (void)text_copy(text, GATE_TEXT_SIZE, word);
}

/* Gates of a replica set that the service doesn't have are no news. */
static bool is_shown(enum gate gate, const struct gate_reading *reading) {
    return reading->result != GATE_NOT_APPLICABLE || !gate_is_of_set(gate) ||
           gate == GATE_REPLICATION_LAG;
}

json_t *document_gates(const struct gate_reading gates[GATE_COUNT], uint32_t *ret_passing,
                       uint32_t *ret_total) {
    json_t *rows = json_array();
    *ret_passing = 0;
    *ret_total = 0;
    for (unsigned i = 0; i < GATE_COUNT; i++) {
        enum gate gate = (enum gate)i;
        char value[GATE_TEXT_SIZE] = "-";
        char limit[GATE_TEXT_SIZE] = "-";
        bool applies = gates[i].result != GATE_NOT_APPLICABLE;
        if (!is_shown(gate, &gates[i])) {
            continue;
        }
        if (applies) {
            document_gate_value(gate, &gates[i], value);
            document_gate_limit(gate, &gates[i], limit);
        }
        *ret_total += applies;
        *ret_passing += gates[i].result == GATE_PASS;
        json_t *row = json_object();
        document_set(row, "gate", document_text(gate_word(gate)));
        document_set(row, "value", document_text(value));
        document_set(row, "limit", document_text(limit));
        document_set(row, "result", document_text(gate_result_text(gates[i].result)));
        document_set(row, "doc", document_text(gate_doc(gate)));
        document_append(rows, row);
    }
    return rows;
}

json_t *document_gate_words(uint32_t bits) {
    json_t *words = json_array();
    for (unsigned gate = 0; gate < GATE_COUNT; gate++) {
        if ((bits & GATE_BIT(gate)) != 0) {
            document_append(words, document_text(gate_word((enum gate)gate)));
        }
    }
    return words;
}

static json_t *set_target(const struct spec_service *spec, enum step_kind kind,
                          const struct mongo_view *view, uint32_t to) {
    struct mongo_verdict verdict;
    mongo_judge(&spec->mongo, view, to, &verdict);
    const char *name = view->facts.set_name[0] != '\0' ? view->facts.set_name : "replica set";
    switch (kind) {
    case STEP_FORCE:
    case STEP_PROMOTE:
        return verdict.member == NONE_INDEX
                   ? document_text(name)
                   : document_format("%s %s", name, view->facts.members[verdict.member].host);
    case STEP_READMIT:
        return document_format("%s %s", name, view->readmit);
    case STEP_PREFER:
        return document_format("%s (reconfig)", name);
    case STEP_WRITE:
        return document_text(spec->mongo.write_check[0] != '\0' ? spec->mongo.write_check : name);
    default:
        return document_format("%s (tags)", name);
    }
}

json_t *document_step_target(const struct state *state, uint32_t service, enum step_kind kind,
                             uint32_t zone, uint32_t debt, const struct mongo_view *view,
                             uint32_t to) {
    const struct spec_service *spec = &state->spec.services[service];
    switch (kind) {
    case STEP_SWITCH:
    case STEP_LEASE:
        return document_text(spec->name);
    case STEP_SETTLE:
        if (debt >= state->services[service].debt_count) {
            return json_null();
        }
        return state->services[service].debts[debt].of_set
                   ? set_target(spec, kind, view, to)
                   : document_text(state->services[service].debts[debt].zone.fence_name);
    case STEP_PREFER:
    case STEP_PROMOTE:
    case STEP_WRITE:
    case STEP_FORCE:
    case STEP_READMIT:
        return set_target(spec, kind, view, to);
    case STEP_ADOPT:
    case STEP_UNMARK:
        if (zone == PLACE_OF_SET) {
            return set_target(spec, kind, view, to);
        }
        return zone < spec->zone_count ? document_text(spec->zones[zone].fence_name) : json_null();
    case STEP_DNS:
    case STEP_KIND_COUNT:
        break;
    }
    const char *first = NULL;
    uint32_t count = 0;
    for (uint32_t i = 0; i < spec->record_count; i++) {
        if (spec->records[i].zone == zone) {
            first = first == NULL ? spec->records[i].name : first;
            count++;
        }
    }
    if (first == NULL) {
        return json_null();
    }
    return count == 1 ? document_text(first)
                      : document_format("%s and %" PRIu32 " more", first, count - 1);
}
