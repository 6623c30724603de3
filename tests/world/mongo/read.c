/* find, getMore, count, aggregate (as drivers count with it), listCollections, listDatabases. */
#include <stdio.h>

#include "alloc.h"
#include "base/text.h"
#include "document.h"
#include "private.h"

#define FIRST_BATCH 101
#define MEGABYTE (1024.0 * 1024.0)
#define NAMES_MAX 64

/* --- may it be read here? --- */

static bool read_accepts_secondary(const struct mongo_call *call) {
    bson_t preference;
    bson_iter_t mode;
    if (call->secondary_ok) {
        return true;
    }
    return mongo_document_child(call->command, "$readPreference", &preference) &&
           bson_iter_init_find(&mode, &preference, "mode") && BSON_ITER_HOLDS_UTF8(&mode) &&
           !text_equal(bson_iter_utf8(&mode, NULL), "primary");
}

static bool read_has_concern(const struct mongo_call *call, const char *wanted) {
    bson_t concern;
    bson_iter_t level;
    return mongo_document_child(call->command, "readConcern", &concern) &&
           bson_iter_init_find(&level, &concern, "level") && BSON_ITER_HOLDS_UTF8(&level) &&
           text_equal(bson_iter_utf8(&level, NULL), wanted);
}

static bool read_is_linearizable(const struct mongo_call *call) {
    return read_has_concern(call, "linearizable");
}

/* any_state: what lists metadata is answered in every state. */
static bool read_is_allowed(struct mongo_call *call, bool any_state) {
    const struct mongo_process *process = call->process;
    if (process->standalone || process->writable) {
        return true;
    }
    if (!read_accepts_secondary(call) || process->config == NULL) {
        mongo_call_fail(call, CODE_NOT_PRIMARY_NO_SECONDARY_OK, "not master and slaveOk=false");
        return false;
    }
    if (process->state != STATE_SECONDARY && process->state != STATE_PRIMARY && !any_state) {
        mongo_call_fail(call, CODE_NOT_PRIMARY_OR_SECONDARY,
                        "node is not in primary or recovering state");
        return false;
    }
    return true;
}

/* --- find --- */

struct read_result {
    const struct mongo_entry **entries;
    size_t count, capacity;
};

static void read_search(const struct mongo_oplog *log, const char *namespace, const bson_t *filter,
                        struct read_result *result) {
    size_t position = 0;
    for (;;) {
        const struct mongo_entry *entry = mongo_document_search(log, namespace, filter, &position);
        if (entry == NULL) {
            return;
        }
        if (result->count == result->capacity) {
            result->capacity = result->capacity == 0 ? 16 : 2 * result->capacity;
            result->entries =
                alloc_grown(result->entries, result->capacity, sizeof(const struct mongo_entry *));
        }
        result->entries[result->count++] = entry;
    }
}

/* readConcern majority: as of the last entry that a majority is known to have. The entries stay the
 * process's own. */
static void read_collect(struct mongo_call *call, const char *namespace, const bson_t *filter,
                         struct read_result *result) {
    const struct mongo_process *process = call->process;
    if (!read_has_concern(call, "majority")) {
        read_search(&process->log, namespace, filter, result);
        return;
    }
    struct mongo_oplog committed = {.entries = NULL};
    size_t count = mongo_oplog_position(&process->log, process->committed);
    for (size_t i = 0; i < count; i++) {
        mongo_oplog_append(&committed, mongo_entry_ref(process->log.entries[i]));
    }
    read_search(&committed, namespace, filter, result);
    mongo_oplog_finish(&committed);
}

static bool read_before(const struct mongo_entry *a, const struct mongo_entry *b,
                        const bson_t *sort) {
    bson_iter_t key;
    if (!bson_iter_init(&key, sort)) {
        return false;
    }
    while (bson_iter_next(&key)) {
        bson_iter_t one;
        bson_iter_t two;
        bool has_one = bson_iter_init_find(&one, a->document, bson_iter_key(&key));
        bool has_two = bson_iter_init_find(&two, b->document, bson_iter_key(&key));
        int order =
            has_one && has_two ? mongo_document_compare(&one, &two) : (int)has_one - (int)has_two;
        if (order != 0) {
            return bson_iter_as_int64(&key) < 0 ? order > 0 : order < 0;
        }
    }
    return false;
}

/* Small collections: insertion keeps what is equal in order. */
static void read_sort(struct read_result *result, const bson_t *sort) {
    for (size_t i = 1; i < result->count; i++) {
        const struct mongo_entry *entry = result->entries[i];
        size_t at = i;
        while (at > 0 && read_before(entry, result->entries[at - 1], sort)) {
            result->entries[at] = result->entries[at - 1];
            at--;
        }
        result->entries[at] = entry;
    }
}

/* A cursor is the number of documents to skip: nothing is kept between requests, and what was
 * written meanwhile may be seen or not, as with a real one. */
static void read_append_batch(const struct read_result *result, size_t from, size_t count,
                              const char *key, bson_t *cursor) {
    bson_t batch;
    char index[24];
    bson_append_array_begin(cursor, key, -1, &batch);
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(index, sizeof(index), "%zu", i);
        BSON_APPEND_DOCUMENT(&batch, index, result->entries[from + i]->document);
    }
    bson_append_array_end(cursor, &batch);
}

struct read_request {
    char namespace[2 * MONGO_NAME_SIZE];
    bson_t filter, sort;
    bool has_filter, has_sort;
    size_t skip, limit, batch;
};

static void read_answer_find(struct mongo_call *call, const struct read_request *request) {
    static const uint8_t empty[] = {5, 0, 0, 0, 0};
    struct read_result result = {0};
    bson_t reply = BSON_INITIALIZER;
    bson_t none;
    bson_t cursor;
    (void)bson_init_static(&none, empty, sizeof(empty));
    read_collect(call, request->namespace, request->has_filter ? &request->filter : &none, &result);
    if (request->has_sort) {
        read_sort(&result, &request->sort);
    }
    size_t from = request->skip < result.count ? request->skip : result.count;
    size_t count = result.count - from;
    count = request->limit > 0 && request->limit < count ? request->limit : count;
    BSON_APPEND_DOCUMENT_BEGIN(&reply, "cursor", &cursor);
    read_append_batch(&result, from, count, "firstBatch", &cursor);
    BSON_APPEND_INT64(&cursor, "id", 0);
    BSON_APPEND_UTF8(&cursor, "ns", request->namespace);
    bson_append_document_end(&reply, &cursor);
    free(result.entries);
    mongo_call_ok(call, &reply);
}

static bool read_parse(struct mongo_call *call, const char *filter, struct read_request *request) {
    if (!mongo_document_namespace(call, request->namespace, sizeof(request->namespace))) {
        mongo_call_fail(call, CODE_BAD_VALUE, "a collection is missing");
        return false;
    }
    request->has_filter = mongo_document_child(call->command, filter, &request->filter);
    request->has_sort = mongo_document_child(call->command, "sort", &request->sort);
    double skip = mongo_call_number(call, "skip", 0);
    double limit = mongo_call_number(call, "limit", 0);
    request->skip = skip > 0 ? (size_t)skip : 0;
    request->limit = (size_t)(limit < 0 ? -limit : limit);
    return true;
}

static bool read_check_linearizable(struct mongo_waiter *waiter) {
    struct mongo_process *process = waiter->call->process;
    struct read_request request = {0};
    if (process->state != STATE_PRIMARY) {
        mongo_call_fail(waiter->call, CODE_NOT_PRIMARY, "no longer primary");
        return true;
    }
    if (mongo_optime_order(process->committed, waiter->optime) >= 0) {
        if (read_parse(waiter->call, "filter", &request)) {
            read_answer_find(waiter->call, &request);
        }
        return true;
    }
    if (process->set->now_ms >= waiter->limit_ms) {
        mongo_call_fail(waiter->call, CODE_TIME_LIMIT, "operation exceeded time limit");
        return true;
    }
    return false;
}

/* The last entry of a process's oplog is read in any state: database local is each server's own. */
static bool read_is_of_oplog_end(const struct read_request *request) {
    bson_iter_t natural;
    return text_equal(request->namespace, "local.oplog.rs") && request->has_sort &&
           bson_iter_init_find(&natural, &request->sort, "$natural") &&
           bson_iter_as_int64(&natural) < 0;
}

static void read_answer_oplog_end(struct mongo_call *call) {
    struct mongo_optime last = mongo_oplog_last(&call->process->log);
    bson_t reply = BSON_INITIALIZER;
    bson_t cursor;
    bson_t batch;
    bson_t entry;
    BSON_APPEND_DOCUMENT_BEGIN(&reply, "cursor", &cursor);
    bson_append_array_begin(&cursor, "firstBatch", -1, &batch);
    if (call->process->log.count > 0) {
        BSON_APPEND_DOCUMENT_BEGIN(&batch, "0", &entry);
        BSON_APPEND_TIMESTAMP(&entry, "ts", last.seconds, last.increment);
        if (last.term >= 0) {
            BSON_APPEND_INT64(&entry, "t", last.term);
        }
        bson_append_document_end(&batch, &entry);
    }
    bson_append_array_end(&cursor, &batch);
    BSON_APPEND_INT64(&cursor, "id", 0);
    BSON_APPEND_UTF8(&cursor, "ns", "local.oplog.rs");
    bson_append_document_end(&reply, &cursor);
    mongo_call_ok(call, &reply);
}

void mongo_command_find(struct mongo_call *call) {
    struct read_request request = {0};
    bool linearizable = read_is_linearizable(call);
    if (mongo_document_child(call->command, "sort", &request.sort) &&
        read_parse(call, "filter", &request) && read_is_of_oplog_end(&request)) {
        read_answer_oplog_end(call);
        return;
    }
    if (linearizable && !call->process->writable) {
        mongo_call_fail(call, CODE_NOT_PRIMARY_NO_SECONDARY_OK, "not master and slaveOk=false");
        return;
    }
    if (!read_is_allowed(call, false)) {
        return;
    }
    if (linearizable) {
        /* A read proves its primary by a write. */
        struct mongo_optime optime = mongo_replication_write(call->process, NULL, NULL, false);
        mongo_wait(call, read_check_linearizable, mongo_call_limit_ms(call))->optime = optime;
        return;
    }
    if (read_parse(call, "filter", &request)) {
        read_answer_find(call, &request);
    }
}

/* Every find is answered whole, so there are no cursors. */
void mongo_command_get_more(struct mongo_call *call) {
    mongo_call_fail(call, CODE_CURSOR_NOT_FOUND, "cursor id not found");
}

/* --- counting --- */

static size_t read_count(struct mongo_call *call, const struct read_request *request) {
    static const uint8_t empty[] = {5, 0, 0, 0, 0};
    struct read_result result = {0};
    bson_t none;
    (void)bson_init_static(&none, empty, sizeof(empty));
    read_collect(call, request->namespace, request->has_filter ? &request->filter : &none, &result);
    free(result.entries);
    return result.count;
}

/* [{$match}, {$group: {_id: 1, n: {$sum: 1}}}] */
static void read_aggregate(struct mongo_call *call, struct read_request *request) {
    bson_t pipeline;
    bson_t stage;
    bson_iter_t element;
    bson_t reply = BSON_INITIALIZER;
    bson_t cursor;
    bson_t batch;
    bson_t child;
    if (mongo_document_child(call->command, "pipeline", &pipeline) &&
        bson_iter_init(&element, &pipeline) && bson_iter_next(&element) &&
        mongo_document_of(&element, &stage)) {
        request->has_filter = mongo_document_child(&stage, "$match", &request->filter);
    }
    size_t count = read_count(call, request);
    BSON_APPEND_DOCUMENT_BEGIN(&reply, "cursor", &cursor);
    BSON_APPEND_ARRAY_BEGIN(&cursor, "firstBatch", &batch);
    if (count > 0) {
        BSON_APPEND_DOCUMENT_BEGIN(&batch, "0", &child);
        BSON_APPEND_INT32(&child, "_id", 1);
        BSON_APPEND_INT32(&child, "n", (int32_t)count);
        bson_append_document_end(&batch, &child);
    }
    bson_append_array_end(&cursor, &batch);
    BSON_APPEND_INT64(&cursor, "id", 0);
    BSON_APPEND_UTF8(&cursor, "ns", request->namespace);
    bson_append_document_end(&reply, &cursor);
    mongo_call_ok(call, &reply);
}

void mongo_command_count(struct mongo_call *call) {
    struct read_request request = {0};
    bson_t reply = BSON_INITIALIZER;
    if (!read_is_allowed(call, false) || !read_parse(call, "query", &request)) {
        bson_destroy(&reply);
        return;
    }
    if (text_equal(call->name, "aggregate")) {
        bson_destroy(&reply);
        read_aggregate(call, &request);
        return;
    }
    BSON_APPEND_INT32(&reply, "n", (int32_t)read_count(call, &request));
    mongo_call_ok(call, &reply);
}

/* --- names --- */

struct read_names {
    const char *names[NAMES_MAX];
    size_t count;
};

static void read_add_name(struct read_names *names, const char *name, size_t length) {
    for (size_t i = 0; i < names->count; i++) {
        if (strncmp(names->names[i], name, length) == 0 &&
            (names->names[i][length] == '\0' || names->names[i][length] == '.')) {
            return;
        }
    }
    if (names->count < NAMES_MAX) {
        names->names[names->count++] = name;
    }
}

void mongo_command_list_collections(struct mongo_call *call) {
    static const uint8_t uuid[16] = {0};
    struct read_names names = {.count = 0};
    size_t prefix = strlen(call->database);
    bson_t reply = BSON_INITIALIZER;
    bson_t cursor;
    bson_t batch;
    if (!read_is_allowed(call, true)) {
        bson_destroy(&reply);
        return;
    }
    bool shown = call->process->state != STATE_STARTUP2 && call->process->maintenance == 0;
    for (size_t i = 0; shown && i < call->process->log.count; i++) {
        const char *namespace = call->process->log.entries[i]->namespace;
        if (namespace != NULL && strncmp(namespace, call->database, prefix) == 0 &&
            namespace[prefix] == '.') {
            read_add_name(&names, namespace + prefix + 1, strlen(namespace + prefix + 1));
        }
    }
    BSON_APPEND_DOCUMENT_BEGIN(&reply, "cursor", &cursor);
    BSON_APPEND_INT64(&cursor, "id", 0);
    BSON_APPEND_UTF8(&cursor, "ns", "$cmd.listCollections");
    BSON_APPEND_ARRAY_BEGIN(&cursor, "firstBatch", &batch);
    for (size_t i = 0; i < names.count; i++) {
        char index[24];
        (void)snprintf(index, sizeof(index), "%zu", i);
        bson_t *child = BCON_NEW("name", BCON_UTF8(names.names[i]), "type", BCON_UTF8("collection"),
                                 "options", "{", "}", "info", "{", "readOnly",
                                 BCON_BOOL(call->process->state != STATE_PRIMARY), "uuid",
                                 BCON_BIN(BSON_SUBTYPE_UUID, uuid, sizeof(uuid)), "}", "idIndex",
                                 "{", "v", BCON_INT32(2), "key", "{", "_id", BCON_INT32(1), "}",
                                 "name", BCON_UTF8("_id_"), "ns", BCON_UTF8(names.names[i]), "}");
        BSON_APPEND_DOCUMENT(&batch, index, child);
        bson_destroy(child);
    }
    bson_append_array_end(&cursor, &batch);
    bson_append_document_end(&reply, &cursor);
    mongo_call_ok(call, &reply);
}

void mongo_command_list_databases(struct mongo_call *call) {
    struct read_names names = {.count = 0};
    bson_t reply = BSON_INITIALIZER;
    bson_t databases;
    if (!read_is_allowed(call, true)) {
        bson_destroy(&reply);
        return;
    }
    for (size_t i = 0; i < call->process->log.count; i++) {
        const char *namespace = call->process->log.entries[i]->namespace;
        if (namespace != NULL) {
            read_add_name(&names, namespace, (size_t)(strchr(namespace, '.') - namespace));
        }
    }
    BSON_APPEND_ARRAY_BEGIN(&reply, "databases", &databases);
    for (size_t i = 0; i < names.count; i++) {
        char index[24];
        bson_t child;
        (void)snprintf(index, sizeof(index), "%zu", i);
        BSON_APPEND_DOCUMENT_BEGIN(&databases, index, &child);
        bson_append_utf8(&child, "name", -1, names.names[i],
                         (int)(strchr(names.names[i], '.') - names.names[i]));
        BSON_APPEND_DOUBLE(&child, "sizeOnDisk", MEGABYTE);
        BSON_APPEND_BOOL(&child, "empty", false);
        bson_append_document_end(&databases, &child);
    }
    bson_append_array_end(&reply, &databases);
    BSON_APPEND_DOUBLE(&reply, "totalSize", MEGABYTE * (double)names.count);
    mongo_call_ok(call, &reply);
}
