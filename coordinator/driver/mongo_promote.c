/* Who is primary, and what a majority holds; promotion, and the write that proves it. */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "mongo_op.h"

#define STEP_UP_TIMEOUT_MS 10000
#define WRITE_TIMEOUT_MS 5000
/* As long as a reconfiguration may take that a hung member holds up, and some more. */
#define FREEZE_S 120

/* What stands in the way of the aim as far as the members' own words tell; true: the writable
 * primary is in the region. */
static bool primary_is_there(const struct mongo_op *op, const struct scan_member **ret_primary,
                             char *words, size_t size) {
    uint32_t region;
    const struct scan_member *primary = scan_primary(&op->scan, &region);
    *ret_primary = primary;
    if (primary == NULL) {
        (void)snprintf(words, size, "no member is a writable primary (%.120s)",
                       op->scan.trouble[0] == '\0' ? "all answer" : op->scan.trouble);
        return false;
    }
    (void)snprintf(words, size, "primary is %.120s%s", primary->host,
                   region == op->target.to ? "" : ", elsewhere");
    return region == op->target.to;
}

static void split_collection(const struct mongo_op *op, char database[DNS_NAME_SIZE],
                             const char **ret_collection) {
    (void)text_copy(database, DNS_NAME_SIZE, op->target.set.write_check);
    char *dot = strchr(database, '.');
    *ret_collection = dot == NULL ? "noctua" : dot + 1;
    if (dot != NULL) {
        *dot = '\0';
    }
}

/* A document of its own for each move: a write of an older one that comes late overwrites nothing.
 */
static void write_id(const struct mongo_op *op, char id[NAME_SIZE + EID_SIZE]) {
    (void)snprintf(id, NAME_SIZE + EID_SIZE, "%s/%s", op->driver->cluster, op->eid);
}

/* {cursor: {firstBatch: [{_id, eid}]}}, by readConcern majority */
static void on_found(void *context, const struct mongo_reply *reply) {
    struct mongo_op *op = context;
    bson_iter_t iter;
    bson_iter_t at;
    if (reply->result == MONGO_RESULT_CANCELLED) {
        return;
    }
    if (reply->result != MONGO_RESULT_OK) {
        struct error error;
        (void)error_set(&error, ERROR_UNAVAILABLE, "%.120s: %.100s", op->host, reply->detail);
        mongo_op_answer_error(op, &error);
        return;
    }
    bool holds = bson_iter_init(&iter, reply->document) &&
                 bson_iter_find_descendant(&iter, "cursor.firstBatch.0.eid", &at) &&
                 BSON_ITER_HOLDS_UTF8(&at) && text_equal(bson_iter_utf8(&at, NULL), op->eid);
    mongo_op_answer_look(op, holds,
                         holds ? "a majority has the write" : "the write isn't there yet");
}

static void find_write(struct mongo_op *op) {
    char database[DNS_NAME_SIZE];
    char id[NAME_SIZE + EID_SIZE];
    const char *collection;
    bson_t inner;
    bson_t question = BSON_INITIALIZER;
    split_collection(op, database, &collection);
    write_id(op, id);
    BSON_APPEND_UTF8(&question, "find", collection);
    BSON_APPEND_DOCUMENT_BEGIN(&question, "filter", &inner);
    BSON_APPEND_UTF8(&inner, "_id", id);
    bson_append_document_end(&question, &inner);
    BSON_APPEND_INT32(&question, "limit", 1);
    BSON_APPEND_BOOL(&question, "singleBatch", true);
    BSON_APPEND_DOCUMENT_BEGIN(&question, "readConcern", &inner);
    BSON_APPEND_UTF8(&inner, "level", "majority");
    bson_append_document_end(&question, &inner);
    BSON_APPEND_INT32(&question, "maxTimeMS", (int32_t)op->scan.target.timeout_ms);
    mongo_link_ask(op->sender, database, &question, MONGO_REPEATABLE, WRITE_TIMEOUT_MS, on_found,
                   op);
    bson_destroy(&question);
}

/* A new primary writes an entry of its own term at once: a majority has it when the commit point
 * is of that term. */
static bool commits_in_its_term(const struct scan_member *primary) {
    const struct mongo_status *status = &primary->answer.status;
    return status->term != 0 && status->committed.term == status->term;
}

void mongo_op_look(struct mongo_op *op) {
    char words[256];
    const struct scan_member *primary;
    bool there = primary_is_there(op, &primary, words, sizeof words);
    if (!there || op->aim == DRIVER_PROMOTED) {
        mongo_op_answer_look(op, there, words);
        return;
    }
    /* Also beside a write: an earlier primary may have taken that one. */
    bool commits = commits_in_its_term(primary);
    if (!commits || op->target.set.write_check[0] == '\0') {
        mongo_op_answer_look(op, commits,
                             commits ? "a majority follows the new primary"
                                     : "no majority follows the new primary yet");
        return;
    }
    if (!mongo_op_open_sender(op, primary->host)) {
        struct error error;
        (void)error_set(&error, ERROR_NO_MEMORY, "out of memory");
        mongo_op_answer_error(op, &error);
        return;
    }
    find_write(op);
}

static void step_up(struct mongo_op *op) {
    bson_t command = BSON_INITIALIZER;
    BSON_APPEND_INT32(&command, "replSetStepUp", 1);
    mongo_op_send_once(op, "admin", &command, STEP_UP_TIMEOUT_MS, mongo_op_on_command_reply);
    bson_destroy(&command);
}

/* It is no member's fault to be frozen; refused, StepUp tells. */
static void on_unfrozen(void *context, const struct mongo_reply *reply) {
    if (reply->result != MONGO_RESULT_CANCELLED) {
        step_up(context);
    }
}

static void ask_freeze(struct mongo_op *op, const char *host, int32_t seconds,
                       mongo_reply_cb callback) {
    struct error error;
    if (!mongo_op_open_sender(op, host)) {
        (void)error_set(&error, ERROR_NO_MEMORY, "out of memory");
        mongo_op_answer_error(op, &error);
        return;
    }
    bson_t command = BSON_INITIALIZER;
    BSON_APPEND_INT32(&command, "replSetFreeze", seconds);
    mongo_link_ask(op->sender, "admin", &command, MONGO_REPEATABLE, op->scan.target.timeout_ms,
                   callback, op);
    bson_destroy(&command);
}

static void write_once(struct mongo_op *op);
static void freeze_rivals(struct mongo_op *op);

/* One that refuses (a primary does) or is silent takes nothing over for now either. */
static void on_frozen(void *context, const struct mongo_reply *reply) {
    if (reply->result != MONGO_RESULT_CANCELLED) {
        freeze_rivals(context);
    }
}

static void freeze_rivals(struct mongo_op *op) {
    if (op->frozen_count < op->rival_count) {
        ask_freeze(op, op->rivals[op->frozen_count++], FREEZE_S, on_frozen);
    } else if (!op->is_promoted) {
        ask_freeze(op, op->candidate, 0, on_unfrozen);
    } else if (op->target.set.write_check[0] == '\0') {
        mongo_op_answer_sent(op, DRIVER_REPLY_ACCEPTED, false, "the primary writes by itself");
    } else {
        write_once(op);
    }
}

/* Secondaries of a higher priority elsewhere: the set would move its primary there again, some ten
 * seconds later, until `prefer` has changed that. */
static void find_rivals(struct mongo_op *op, const struct mongo_view *view,
                        const struct mongo_member *candidate) {
    for (uint32_t i = 0; i < view->facts.member_count; i++) {
        const struct mongo_member *member = &view->facts.members[i];
        if (member->answers && member->state == MONGO_SECONDARY &&
            member->region != op->target.to && member->priority_milli > candidate->priority_milli) {
            (void)TEXT_COPY(op->rivals[op->rival_count], member->host);
            op->rival_count++;
        }
    }
    (void)TEXT_COPY(op->candidate, candidate->host);
}

static void view_scan(const struct mongo_op *op, struct mongo_view *ret) {
    struct mongo_facts facts;
    uint64_t now_ms = clock_boottime_ms(op->driver->options.clock);
    replica_set_facts(&op->scan.set, now_ms, &facts);
    mongo_view_of(&facts, now_ms - op->scan.start_ms, ret);
}

static void promote(struct mongo_op *op) {
    struct mongo_view view;
    struct mongo_verdict verdict;
    struct error error;
    view_scan(op, &view);
    mongo_judge(&op->target.set, &view, op->target.to, &verdict);
    if (verdict.kind == MONGO_CASE_THERE) {
        mongo_op_answer_sent(op, DRIVER_REPLY_ACCEPTED, false, "it is primary already");
        return;
    }
    if (verdict.kind != MONGO_CASE_HANDOVER && verdict.kind != MONGO_CASE_ELECTION) {
        (void)error_set(&error, ERROR_UNAVAILABLE,
                        verdict.kind == MONGO_CASE_FORCED
                            ? "%u of %u voters answer: without a majority nobody can be elected"
                            : "no member of the region could be promoted (%u of %u voters answer)",
                        verdict.voters_alive, verdict.voters);
        mongo_op_answer_error(op, &error);
        return;
    }
    find_rivals(op, &view, &view.facts.members[verdict.member]);
    freeze_rivals(op);
}

static void on_thawed(void *context, const struct mongo_reply *reply) {
    struct mongo_op *op = context;
    struct error error;
    if (reply->result != MONGO_RESULT_CANCELLED) {
        (void)error_set(&error, ERROR_UNAVAILABLE,
                        "the set has no primary to change its config; %.100s may stand now",
                        op->candidate);
        mongo_op_answer_error(op, &error);
    }
}

void mongo_op_thaw(struct mongo_op *op) {
    struct mongo_view view;
    struct mongo_verdict verdict;
    struct error error;
    view_scan(op, &view);
    mongo_judge(&op->target.set, &view, op->target.to, &verdict);
    if (verdict.kind == MONGO_CASE_ELECTION) {
        (void)TEXT_COPY(op->candidate, view.facts.members[verdict.member].host);
        ask_freeze(op, op->candidate, 0, on_thawed);
        return;
    }
    (void)error_set(&error, ERROR_UNAVAILABLE, "the set has no primary to change its config");
    mongo_op_answer_error(op, &error);
}

static void on_write_reply(void *context, const struct mongo_reply *reply) {
    struct mongo_op *op = context;
    const char *trouble = "";
    if (reply->result == MONGO_RESULT_OK && !mongo_read_write(reply->document, &trouble)) {
        mongo_op_answer_sent(op, DRIVER_REPLY_UNKNOWN, false,
                             trouble); /* ok: 1 alone says nothing */
        return;
    }
    mongo_op_on_command_reply(context, reply);
}

static void write_once(struct mongo_op *op) {
    char database[DNS_NAME_SIZE];
    char id[NAME_SIZE + EID_SIZE];
    const char *collection;
    struct error error;
    bson_t list;
    bson_t update;
    bson_t inner;
    bson_t set;
    if (!mongo_op_open_sender(op, op->candidate)) {
        (void)error_set(&error, ERROR_NO_MEMORY, "out of memory");
        mongo_op_answer_error(op, &error);
        return;
    }
    split_collection(op, database, &collection);
    write_id(op, id);
    bson_t command = BSON_INITIALIZER;
    BSON_APPEND_UTF8(&command, "update", collection);
    BSON_APPEND_ARRAY_BEGIN(&command, "updates", &list);
    BSON_APPEND_DOCUMENT_BEGIN(&list, "0", &update);
    BSON_APPEND_DOCUMENT_BEGIN(&update, "q", &inner);
    BSON_APPEND_UTF8(&inner, "_id", id);
    bson_append_document_end(&update, &inner);
    BSON_APPEND_DOCUMENT_BEGIN(&update, "u", &inner);
    BSON_APPEND_DOCUMENT_BEGIN(&inner, "$set", &set);
    BSON_APPEND_UTF8(&set, "eid", op->eid);
    bson_append_document_end(&inner, &set);
    bson_append_document_end(&update, &inner);
    BSON_APPEND_BOOL(&update, "upsert", true);
    bson_append_document_end(&list, &update);
    bson_append_array_end(&command, &list);
    BSON_APPEND_DOCUMENT_BEGIN(&command, "writeConcern", &inner);
    BSON_APPEND_UTF8(&inner, "w", "majority");
    BSON_APPEND_INT32(&inner, "wtimeout", WRITE_TIMEOUT_MS / 2);
    bson_append_document_end(&command, &inner);
    mongo_op_send_once(op, database, &command, WRITE_TIMEOUT_MS, on_write_reply);
    bson_destroy(&command);
}

/* Also where the set has elected the primary by itself, and nobody else had to: the write may take
 * long, while members hang, and so may `prefer`. */
static void write_through(struct mongo_op *op, const struct scan_member *primary) {
    struct mongo_view view;
    view_scan(op, &view);
    op->is_promoted = true;
    (void)TEXT_COPY(op->candidate, primary->host);
    if (view.primary != NONE_INDEX) {
        find_rivals(op, &view, &view.facts.members[view.primary]);
    }
    freeze_rivals(op);
}

void mongo_op_act(struct mongo_op *op) {
    char words[256];
    const struct scan_member *primary;
    if (op->aim == DRIVER_PROMOTED) {
        promote(op);
        return;
    }
    if (!primary_is_there(op, &primary, words, sizeof words)) {
        promote(op); /* somebody has taken it back in between */
    } else {
        write_through(op, primary);
    }
}
