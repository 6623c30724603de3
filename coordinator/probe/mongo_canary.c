/* The canary: one document a node, replaced by a write that a majority must acknowledge. */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "mongo_private.h"

static void set_trouble(struct watched_set *set, const char *text) {
    (void)snprintf(set->state.write_trouble, sizeof set->state.write_trouble, "%s", text);
}

static void on_written(void *context, const struct mongo_reply *reply) {
    struct watched_set *set = context;
    const char *trouble = mongo_result_text(reply->result);
    set->is_writing = false;
    if (reply->result == MONGO_RESULT_CANCELLED) {
        return;
    }
    bool good = reply->document != NULL && mongo_read_write(reply->document, &trouble);
    set_trouble(set, trouble);
    if (good) {
        set->state.write_ms = set->write_ms;
        set->state.write_took_ms = reply->took_ms;
    }
}

/* {update: C, updates: [{q: {_id: NODE}, u: {$set: {at, count}}, upsert: true}], writeConcern} */
static void fill(const struct watched_set *set, const char *collection, bson_t *command) {
    bson_t updates;
    bson_t update;
    bson_t query;
    bson_t change;
    bson_t fields;
    bson_t concern;
    /* The server gives up first, so that its word comes back rather than our deadline's. */
    int32_t wait_ms = (int32_t)(set->spec.timeout_ms / 4 * 3);
    BSON_APPEND_UTF8(command, "update", collection);
    BSON_APPEND_ARRAY_BEGIN(command, "updates", &updates);
    BSON_APPEND_DOCUMENT_BEGIN(&updates, "0", &update);
    BSON_APPEND_DOCUMENT_BEGIN(&update, "q", &query);
    BSON_APPEND_UTF8(&query, "_id", set->watch->node);
    bson_append_document_end(&update, &query);
    BSON_APPEND_DOCUMENT_BEGIN(&update, "u", &change);
    BSON_APPEND_DOCUMENT_BEGIN(&change, "$set", &fields);
    BSON_APPEND_DATE_TIME(&fields, "at", (int64_t)clock_wall_ms(set->watch->clock));
    BSON_APPEND_INT64(&fields, "count", (int64_t)set->write_count);
    bson_append_document_end(&change, &fields);
    bson_append_document_end(&update, &change);
    BSON_APPEND_BOOL(&update, "upsert", true);
    bson_append_document_end(&updates, &update);
    bson_append_array_end(command, &updates);
    BSON_APPEND_DOCUMENT_BEGIN(command, "writeConcern", &concern);
    BSON_APPEND_UTF8(&concern, "w", "majority");
    BSON_APPEND_INT32(&concern, "wtimeout", wait_ms);
    bson_append_document_end(command, &concern);
}

static bool open_writer(struct watched_set *set, const char *host) {
    if (set->writer != NULL && text_equal(set->writer_host, host)) {
        return true;
    }
    mongo_link_destroy(set->writer);
    set->writer = mongo_watch_open(set, host);
    (void)TEXT_COPY(set->writer_host, host);
    return set->writer != NULL;
}

void mongo_canary_look(struct watched_set *set, uint32_t primary) {
    uint64_t now_ms = mongo_watch_now(set);
    char database[NAME_SIZE + 1];
    const char *dot = strchr(set->spec.write_check, '.');
    if (dot == NULL || set->is_writing || now_ms < set->next_write_ms) {
        return;
    }
    if (primary == NONE_INDEX) {
        set_trouble(set, "no_primary");
        return;
    }
    uint64_t pause_ms = set->watch->leads ? set->spec.interval_ms / 2 : PROBE_MONGO_CANARY_MS;
    set->next_write_ms = now_ms + pause_ms;
    if (!open_writer(set, set->state.members[primary].config.host)) {
        set_trouble(set, mongo_result_text(MONGO_RESULT_INTERNAL));
        return;
    }
    (void)snprintf(database, sizeof database, "%.*s", (int)(dot - set->spec.write_check),
                   set->spec.write_check);
    bson_t command = BSON_INITIALIZER;
    set->write_ms = now_ms;
    set->write_count++;
    fill(set, dot + 1, &command);
    set->is_writing = true;
    mongo_link_ask(set->writer, database, &command, MONGO_REPEATABLE, set->spec.timeout_ms,
                   on_written, set);
    bson_destroy(&command);
}

void mongo_canary_close(struct watched_set *set) {
    mongo_link_destroy(set->writer);
    set->writer = NULL;
}
