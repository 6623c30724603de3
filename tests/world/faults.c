#include "faults.h"

#include <assert.h>
#include <string.h>

#include "base/text.h"

static const char *const fault_kinds[FAULT_KIND_COUNT] = {
#define X(kind, text) text,
    FAULT_KIND_TABLE(X)
#undef X
};

static const char *const fault_operations[FAULT_OPERATION_COUNT] = {
#define X(operation, text) text,
    FAULT_OPERATION_TABLE(X)
#undef X
};

/* Errors that "code" may name without a "status". */
static const struct {
    const char *code;
    int status;
} fault_codes[] = {
    {"Throttling", 400},         {"PriorRequestNotComplete", 400}, {"AccessDenied", 403},
    {"ServiceUnavailable", 503}, {"InternalFailure", 500},         {"InternalError", 500},
    {"ExpiredToken", 403},       {"NoSuchHostedZone", 404},        {"NoSuchChange", 404},
};

const char *fault_operation_text(enum fault_operation operation) {
    return operation < FAULT_OPERATION_COUNT ? fault_operations[operation] : "any";
}

static enum error_code fault_fail(struct error *error, const char *key, const char *what) {
    return error_set(error, ERROR_INVALID, "'%s' %s", key, what);
}

static bool fault_read_number(const json_t *json, uint64_t high, uint64_t *to) {
    if (!json_is_integer(json) || json_integer_value(json) < 0 ||
        (uint64_t)json_integer_value(json) > high) {
        return false;
    }
    *to = (uint64_t)json_integer_value(json);
    return true;
}

static bool fault_read_word(const json_t *json, const char *const *words, size_t count,
                            unsigned *to) {
    const char *text = json_is_string(json) ? json_string_value(json) : "";
    for (size_t i = 0; i < count; i++) {
        if (text_equal(words[i], text)) {
            *to = (unsigned)i;
            return true;
        }
    }
    return false;
}

/* "status": what becomes of a forgotten change, or the HTTP status of an error. */
static bool fault_read_status(const json_t *json, struct fault *fault) {
    static const char *const words[] = {"pending", "missing"};
    unsigned word = 0;
    uint64_t number = 0;
    if (fault_read_word(json, words, ARRAY_LENGTH(words), &word)) {
        fault->missing = word == 1;
        return true;
    }
    if (!fault_read_number(json, 599, &number) || number < 400) {
        return false;
    }
    fault->status = (int)number;
    return true;
}

static bool fault_read_code(const json_t *json, struct fault *fault) {
    const char *text = json_is_string(json) ? json_string_value(json) : "";
    if (text[0] == '\0' || !TEXT_COPY(fault->code, text)) {
        return false;
    }
    for (size_t i = 0; i < ARRAY_LENGTH(fault_codes) && fault->status == 0; i++) {
        if (text_equal(fault_codes[i].code, text)) {
            fault->status = fault_codes[i].status;
        }
    }
    return true;
}

static bool fault_read_operation(const json_t *json, struct fault *fault) {
    unsigned word = 0;
    if (json_is_string(json) && text_equal(json_string_value(json), "any")) {
        return true;
    }
    if (!fault_read_word(json, fault_operations, FAULT_OPERATION_COUNT, &word)) {
        return false;
    }
    fault->operation = (enum fault_operation)word;
    return true;
}

static bool fault_read_client(const json_t *json, struct fault *fault) {
    static const char *const words[] = {"hang", "close"};
    unsigned word = 0;
    bool read = fault_read_word(json, words, ARRAY_LENGTH(words), &word);
    fault->close_client = word == 1;
    return read;
}

static bool fault_read_text(const json_t *json, char *to, size_t to_size) {
    return json_is_string(json) && text_copy(to, to_size, json_string_value(json));
}

static bool fault_read_bool(const json_t *json, bool *to) {
    *to = json_is_true(json);
    return json_is_boolean(json);
}

/* Returns NULL, or what is wrong with it. */
static const char *fault_read_key(const char *key, const json_t *value, struct fault *fault) {
    if (text_equal(key, "operation")) {
        return fault_read_operation(value, fault)
                   ? NULL
                   : "is not change, list, getchange, zones, sts or any";
    }
    if (text_equal(key, "zone")) {
        return fault_read_text(value, fault->zone_id, sizeof(fault->zone_id)) ? NULL
                                                                              : "is not a zone id";
    }
    if (text_equal(key, "comment")) {
        return fault_read_text(value, fault->comment, sizeof(fault->comment)) ? NULL
                                                                              : "is not a text";
    }
    if (text_equal(key, "skip")) {
        return fault_read_number(value, UINT32_MAX, &fault->skip) ? NULL : "is not a number";
    }
    if (text_equal(key, "count")) {
        return fault_read_number(value, UINT32_MAX, &fault->count)
                   ? NULL
                   : "is not a number (0: unlimited)";
    }
    if (text_equal(key, "ms")) {
        return fault_read_number(value, FAULT_DELAY_MAX_MS, &fault->delay_ms)
                   ? NULL
                   : "is not a number of milliseconds up to a day";
    }
    if (text_equal(key, "release")) {
        return fault_read_bool(value, &fault->until_release) ? NULL : "is not true or false";
    }
    if (text_equal(key, "expire")) {
        return fault_read_bool(value, &fault->expire) ? NULL : "is not true or false";
    }
    if (text_equal(key, "client")) {
        return fault_read_client(value, fault) ? NULL : "is not hang or close";
    }
    if (text_equal(key, "status")) {
        return fault_read_status(value, fault) ? NULL : "is not pending, missing or 400 to 599";
    }
    if (text_equal(key, "code")) {
        return fault_read_code(value, fault) ? NULL : "is not an error code";
    }
    return "is unknown";
}

enum error_code fault_parse(const json_t *json, struct fault *ret_fault, struct error *error) {
    struct fault fault = {.operation = FAULT_OPERATION_ANY, .count = 1};
    unsigned kind = 0;
    const char *key = NULL;
    json_t *value = NULL;
    if (!json_is_object(json)) {
        return error_set(error, ERROR_INVALID, "a fault is a JSON object");
    }
    if (!fault_read_word(json_object_get(json, "kind"), fault_kinds, FAULT_KIND_COUNT, &kind)) {
        return fault_fail(error, "kind",
                          "is not drop_reply, delay, duplicate, forget, error, hang, slow or dead");
    }
    fault.kind = (enum fault_kind)kind;
    json_object_foreach((json_t *)json, key, value) {
        const char *wrong = text_equal(key, "kind") ? NULL : fault_read_key(key, value, &fault);
        if (wrong != NULL) {
            return fault_fail(error, key, wrong);
        }
    }
    if (fault.kind == FAULT_ERROR && fault.status == 0) {
        return error_set(error, ERROR_INVALID,
                         "an error needs a 'status' (or a well-known 'code')");
    }
    if (fault.kind == FAULT_SLOW && fault.delay_ms == 0) {
        return error_set(error, ERROR_INVALID, "slow needs 'ms'");
    }
    if (fault.kind == FAULT_FORGET && fault.operation == FAULT_OPERATION_ANY) {
        fault.operation = FAULT_OPERATION_CHANGE;
    }
    /* Without a time, what holds waits for its release. */
    if (json_object_get(json, "ms") == NULL) {
        fault.until_release = true;
    }
    *ret_fault = fault;
    return ERROR_OK;
}

json_t *fault_dump(const struct fault *fault) {
    json_t *json = json_pack(
        "{s:i,s:s,s:s,s:s,s:s,s:I,s:I,s:I,s:b,s:I,s:I,s:i,s:I}", "id", (int)fault->id, "kind",
        fault_kinds[fault->kind], "operation", fault_operation_text(fault->operation), "zone",
        fault->zone_id, "comment", fault->comment, "skip", (json_int_t)fault->skip, "count",
        (json_int_t)fault->count, "ms", (json_int_t)fault->delay_ms, "release",
        (int)fault->until_release, "matched", (json_int_t)fault->matched, "fired",
        (json_int_t)fault->fired, "status", fault->status, "held", (json_int_t)fault->held);
    assert(json != NULL);
    return json;
}

static bool fault_is_spent(const struct fault *fault) {
    return fault->kind != FAULT_DEAD && fault->count != FAULT_COUNT_UNLIMITED &&
           fault->fired >= fault->count;
}

/* A long test arms many: the oldest spent one makes room. */
static void faults_make_room(struct fault_table *table) {
    for (size_t i = 0; i < table->count && table->count == FAULTS_MAX; i++) {
        if (fault_is_spent(&table->faults[i]) && table->faults[i].held == 0) {
            faults_remove(table, table->faults[i].id);
        }
    }
}

enum error_code faults_arm(struct fault_table *table, const struct fault *fault,
                           struct fault **ret_fault, struct error *error) {
    faults_make_room(table);
    if (table->count == FAULTS_MAX) {
        return error_set(error, ERROR_LIMIT, "more than %d faults: delete some", FAULTS_MAX);
    }
    struct fault *armed = &table->faults[table->count++];
    *armed = *fault;
    armed->id = ++table->last_id;
    *ret_fault = armed;
    return ERROR_OK;
}

struct fault *faults_find(struct fault_table *table, unsigned id) {
    for (size_t i = 0; i < table->count; i++) {
        if (table->faults[i].id == id) {
            return &table->faults[i];
        }
    }
    return NULL;
}

void faults_remove(struct fault_table *table, unsigned id) {
    struct fault *fault = faults_find(table, id);
    if (fault != NULL) {
        size_t at = (size_t)(fault - table->faults);
        table->count--;
        memmove(fault, fault + 1, (table->count - at) * sizeof(*fault));
    }
}

static bool fault_matches(const struct fault *fault, const struct fault_subject *subject) {
    return (fault->operation == FAULT_OPERATION_ANY || fault->operation == subject->operation) &&
           (fault->zone_id[0] == '\0' || text_equal(fault->zone_id, subject->zone_id)) &&
           strstr(subject->comment, fault->comment) != NULL;
}

struct fault *faults_take(struct fault_table *table, const struct fault_subject *subject,
                          bool slow) {
    for (size_t i = 0; i < table->count; i++) {
        struct fault *fault = &table->faults[i];
        if (fault->kind == FAULT_DEAD || (fault->kind == FAULT_SLOW) != slow ||
            !fault_matches(fault, subject) || fault_is_spent(fault)) {
            continue;
        }
        if (fault->matched++ < fault->skip) {
            continue;
        }
        fault->fired++;
        return fault;
    }
    return NULL;
}

bool faults_any_dead(const struct fault_table *table) {
    for (size_t i = 0; i < table->count; i++) {
        if (table->faults[i].kind == FAULT_DEAD) {
            return true;
        }
    }
    return false;
}
