#include "driver/mongo.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/text.h"
#include "core/policy.h"
#include "mongo_config.h"
#include "mongo_scan.h"

/* 4.4 answers ok when a majority has the config, a heartbeat (2 s) later or two; before that it
 * asks every member, and one that hangs costs it 32 to 64 s. Asking again would begin that anew. */
#define RECONFIG_TIMEOUT_MS 100000
#define STEP_UP_TIMEOUT_MS 10000
#define WRITE_TIMEOUT_MS 5000
/* As long as a reconfiguration may take that a hung member holds up, and some more. */
#define FREEZE_S 120
/* What a connection of its own may take, in blocking steps of the target's timeout. */
#define CONNECT_STEPS 2

enum op_kind { OP_READ, OP_SEND, OP_LOOK, OP_ACT };

struct op {
    TAILQ_ENTRY(op) link;
    struct mongo_driver *driver;
    enum op_kind kind;
    struct driver_target target;
    struct mongo_scan scan;
    struct mongo_link *sender;
    uv_timer_t timer; /* it begins from the loop */
    union {
        driver_read_cb on_read;
        driver_send_cb on_sent;
        driver_look_cb on_look;
    };
    void *context;
    /* SEND */
    bool expects_fence, writes_fence, has_states;
    char fence_before[DRIVER_FENCE_MAX], fence_after[DRIVER_FENCE_MAX];
    struct driver_blob *before, *after;
    uint64_t deadline_ms;
    uint64_t version; /* sent */
    /* LOOK, ACT */
    enum driver_aim aim;
    char eid[EID_SIZE];
    char host[MONGO_HOST_SIZE]; /* that is asked, in the end */
    /* PROMOTE: whom the set would prefer, and who shall be it */
    char rivals[MONGO_MEMBER_MAX][MONGO_HOST_SIZE], candidate[MONGO_HOST_SIZE];
    uint32_t rival_count, frozen_count;
};

struct mongo_driver {
    struct driver base; /* first */
    struct mongo_driver_options options;
    char cluster[NAME_SIZE];
    char secrets[MONGO_SECRETS_SIZE];
    TAILQ_HEAD(, op) ops;
    uint32_t open_count; /* ops whose timer isn't closed yet */
    bool closing;
    driver_closed_cb on_closed;
    void *closed_context;
};

/* --- the end of an operation --- */

static void finish_if_closed(struct mongo_driver *driver) {
    if (driver->closing && driver->open_count == 0) {
        driver_closed_cb on_closed = driver->on_closed;
        void *context = driver->closed_context;
        free(driver);
        if (on_closed != NULL) {
            on_closed(context);
        }
    }
}

static void on_timer_closed(uv_handle_t *handle) {
    struct op *op = handle->data;
    struct mongo_driver *driver = op->driver;
    free(op->before);
    free(op->after);
    free(op);
    driver->open_count--;
    finish_if_closed(driver);
}

/* Before the answer: whoever gets it may close the driver. */
static void leave(struct op *op) {
    TAILQ_REMOVE(&op->driver->ops, op, link);
    scan_end(&op->scan);
    mongo_link_destroy(op->sender);
    op->sender = NULL;
    uv_close((uv_handle_t *)&op->timer, on_timer_closed);
}

static void answer_sent(struct op *op, enum driver_reply reply, bool retry_later,
                        const char *message) {
    struct driver_sent sent = {.reply = reply, .retry_later = retry_later};
    (void)snprintf(sent.message, sizeof sent.message, "%s", message);
    if (reply == DRIVER_REPLY_ACCEPTED) {
        (void)snprintf(sent.change_id, sizeof sent.change_id, "version %" PRIu64, op->version);
    }
    leave(op);
    op->on_sent(op->context, &sent);
}

static void answer_error(struct op *op, const struct error *error) {
    struct error kept = *error;
    switch (op->kind) {
    case OP_READ:
        leave(op);
        op->on_read(op->context, &kept, NULL);
        break;
    case OP_LOOK:
        leave(op);
        op->on_look(op->context, &kept, NULL);
        break;
    case OP_SEND:
    case OP_ACT:
        answer_sent(op, DRIVER_REPLY_NOT_SENT, false, kept.message);
        break;
    }
}

static void answer_look(struct op *op, bool holds, const char *words) {
    struct driver_seen seen = {.holds = holds};
    (void)snprintf(seen.words, sizeof seen.words, "%s", words);
    leave(op);
    op->on_look(op->context, NULL, &seen);
}

/* --- sending --- */

/* What a reply to something that was sent once says. */
static enum driver_reply reply_of(enum mongo_result result) {
    switch (result) {
    case MONGO_RESULT_OK:
        return DRIVER_REPLY_ACCEPTED;
    case MONGO_RESULT_SERVER:
        return DRIVER_REPLY_REFUSED;
    case MONGO_RESULT_TIMEOUT_CONNECT:
    case MONGO_RESULT_REFUSED:
    case MONGO_RESULT_DNS:
    case MONGO_RESULT_TLS:
    case MONGO_RESULT_AUTH:
    case MONGO_RESULT_CREDENTIALS:
    case MONGO_RESULT_BUSY:
        return DRIVER_REPLY_NOT_SENT;
    default:
        return DRIVER_REPLY_UNKNOWN;
    }
}

/* Another reconfiguration is under way, or the last one isn't on a majority yet; a shutdown. */
static bool is_passing(int32_t code) {
    return code == 109 || code == 308 || code == 117 || code == 91 || code == 50;
}

static void on_command_reply(void *context, const struct mongo_reply *reply) {
    struct op *op = context;
    char message[256];
    if (reply->result == MONGO_RESULT_CANCELLED) {
        return;
    }
    (void)snprintf(message, sizeof message, "%.120s: %.100s (%" PRId32 ")", op->host,
                   reply->result == MONGO_RESULT_OK ? "ok" : reply->detail, reply->server_code);
    answer_sent(op, reply_of(reply->result), is_passing(reply->server_code), message);
}

static void on_write_reply(void *context, const struct mongo_reply *reply) {
    struct op *op = context;
    const char *trouble = "";
    if (reply->result == MONGO_RESULT_OK && !mongo_read_write(reply->document, &trouble)) {
        answer_sent(op, DRIVER_REPLY_UNKNOWN, false, trouble); /* ok: 1 alone says nothing */
        return;
    }
    on_command_reply(context, reply);
}

/* A link of its own: an old connection may hold an older request back. */
static bool open_sender(struct op *op, const char *host) {
    struct mongo_target target = op->scan.target;
    (void)TEXT_COPY(target.host, host);
    (void)TEXT_COPY(op->host, host);
    mongo_link_destroy(op->sender);
    op->sender = mongo_link_create(op->driver->options.client, &target);
    return op->sender != NULL;
}

/* No byte may leave after the deadline: connecting has to fit in front of it as well. */
static bool is_too_late(const struct op *op) {
    uint64_t now_ms = clock_boottime_ms(op->driver->options.clock);
    return now_ms + CONNECT_STEPS * (uint64_t)op->scan.target.timeout_ms > op->deadline_ms;
}

static void send_once(struct op *op, const char *database, const bson_t *command,
                      uint32_t timeout_ms, mongo_reply_cb callback) {
    if (is_too_late(op)) {
        answer_sent(op, DRIVER_REPLY_NOT_SENT, false, "too late to send: the look took too long");
        return;
    }
    mongo_link_ask(op->sender, database, command, MONGO_ONCE, timeout_ms, callback, op);
}

/* --- the fence and the config --- */

static enum error_code read_config(const struct op *op, struct driver_reading *ret,
                                   struct error *error) {
    memset(ret, 0, sizeof *ret);
    const bson_t *config = scan_config(&op->scan, error);
    if (config == NULL) {
        return error->code;
    }
    const struct scan_member *primary = scan_primary(&op->scan, &ret->primary_region);
    ret->sync = DRIVER_SYNC_INSYNC; /* read on a majority */
    (void)snprintf(ret->summary, sizeof ret->summary, "%.60s config %" PRIu64 ", primary %.120s",
                   op->scan.set.name, op->scan.set.config.version,
                   primary == NULL ? "none" : primary->host);
    return mongo_config_split(config, ret, error);
}

static void after_scan_to_read(struct op *op) {
    struct driver_reading reading;
    struct error error;
    if (read_config(op, &reading, &error) != ERROR_OK) {
        answer_error(op, &error);
        return;
    }
    leave(op);
    op->on_read(op->context, NULL, &reading);
}

static bool same_blob(const struct driver_blob *a, const struct driver_blob *b) {
    return a->size_bytes == b->size_bytes && memcmp(a->bytes, b->bytes, a->size_bytes) == 0;
}

/* The target refuses only another version; what it doesn't compare is compared here. */
static bool is_as_expected(const struct op *op, const struct driver_reading *reading) {
    return reading->fence_present == op->expects_fence &&
           text_equal(reading->fence, op->fence_before) &&
           (!op->has_states || same_blob(&reading->state, op->before));
}

static void after_scan_to_send(struct op *op) {
    struct driver_reading reading;
    struct error error;
    uint32_t region;
    bson_t config;
    if (read_config(op, &reading, &error) != ERROR_OK) {
        answer_error(op, &error);
        return;
    }
    const struct scan_member *primary = scan_primary(&op->scan, &region);
    if (primary == NULL) {
        (void)error_set(&error, ERROR_UNAVAILABLE, "the set has no primary to change its config");
        answer_error(op, &error);
        return;
    }
    if (!is_as_expected(op, &reading)) {
        answer_sent(op, DRIVER_REPLY_REFUSED, false,
                    "fence or config are not as they were: nothing was sent");
        return;
    }
    const struct driver_blob *state = op->has_states ? op->after : &reading.state;
    const char *fence = op->writes_fence ? op->fence_after : NULL;
    op->version = mongo_config_next_version(state, fence);
    if (mongo_config_join(state, fence, &config, &error) != ERROR_OK ||
        !open_sender(op, primary->host)) {
        bson_destroy(&config);
        (void)error_set(&error, ERROR_NO_MEMORY, "the config can't be written");
        answer_error(op, &error);
        return;
    }
    bson_t command = BSON_INITIALIZER;
    BSON_APPEND_DOCUMENT(&command, "replSetReconfig", &config);
    send_once(op, "admin", &command, RECONFIG_TIMEOUT_MS, on_command_reply);
    bson_destroy(&command);
    bson_destroy(&config);
}

/* --- promotion and write --- */

/* What stands in the way of the aim as far as the members' own words tell; true: the writable
 * primary is in the region. */
static bool primary_is_there(const struct op *op, const struct scan_member **ret_primary,
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

static void split_collection(const struct op *op, char database[DNS_NAME_SIZE],
                             const char **ret_collection) {
    (void)text_copy(database, DNS_NAME_SIZE, op->target.set.write_check);
    char *dot = strchr(database, '.');
    *ret_collection = dot == NULL ? "noctua" : dot + 1;
    if (dot != NULL) {
        *dot = '\0';
    }
}

static void write_id(const struct op *op, char id[2 * NAME_SIZE]) {
    (void)snprintf(id, 2 * NAME_SIZE, "%s/%s", op->driver->cluster, op->target.service);
}

/* {cursor: {firstBatch: [{_id, eid}]}}, by readConcern majority */
static void on_found(void *context, const struct mongo_reply *reply) {
    struct op *op = context;
    bson_iter_t iter;
    bson_iter_t at;
    if (reply->result == MONGO_RESULT_CANCELLED) {
        return;
    }
    if (reply->result != MONGO_RESULT_OK) {
        struct error error;
        (void)error_set(&error, ERROR_UNAVAILABLE, "%.120s: %.100s", op->host, reply->detail);
        answer_error(op, &error);
        return;
    }
    bool holds = bson_iter_init(&iter, reply->document) &&
                 bson_iter_find_descendant(&iter, "cursor.firstBatch.0.eid", &at) &&
                 BSON_ITER_HOLDS_UTF8(&at) && text_equal(bson_iter_utf8(&at, NULL), op->eid);
    answer_look(op, holds, holds ? "a majority has the write" : "the write isn't there yet");
}

static void find_write(struct op *op) {
    char database[DNS_NAME_SIZE];
    char id[2 * NAME_SIZE];
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
    bson_iter_t iter;
    bson_iter_t at;
    return primary->status != NULL && bson_iter_init(&iter, primary->status) &&
           bson_iter_find_descendant(&iter, "optimes.lastCommittedOpTime.t", &at) &&
           bson_iter_as_int64(&at) > 0 &&
           (uint64_t)bson_iter_as_int64(&at) == primary->answer.status.term;
}

static void after_scan_to_look(struct op *op) {
    char words[256];
    const struct scan_member *primary;
    bool there = primary_is_there(op, &primary, words, sizeof words);
    if (!there || op->aim == DRIVER_PROMOTED) {
        answer_look(op, there, words);
        return;
    }
    if (op->target.set.write_check[0] == '\0') {
        bool commits = commits_in_its_term(primary);
        answer_look(op, commits,
                    commits ? "a majority follows the new primary"
                            : "no majority follows the new primary yet");
        return;
    }
    if (!open_sender(op, primary->host)) {
        struct error error;
        (void)error_set(&error, ERROR_NO_MEMORY, "out of memory");
        answer_error(op, &error);
        return;
    }
    find_write(op);
}

static void step_up(struct op *op) {
    bson_t command = BSON_INITIALIZER;
    BSON_APPEND_INT32(&command, "replSetStepUp", 1);
    send_once(op, "admin", &command, STEP_UP_TIMEOUT_MS, on_command_reply);
    bson_destroy(&command);
}

/* It is no member's fault to be frozen; refused, StepUp tells. */
static void on_unfrozen(void *context, const struct mongo_reply *reply) {
    if (reply->result != MONGO_RESULT_CANCELLED) {
        step_up(context);
    }
}

static void ask_freeze(struct op *op, const char *host, int32_t seconds, mongo_reply_cb callback) {
    struct error error;
    if (!open_sender(op, host)) {
        (void)error_set(&error, ERROR_NO_MEMORY, "out of memory");
        answer_error(op, &error);
        return;
    }
    bson_t command = BSON_INITIALIZER;
    BSON_APPEND_INT32(&command, "replSetFreeze", seconds);
    mongo_link_ask(op->sender, "admin", &command, MONGO_REPEATABLE, op->scan.target.timeout_ms,
                   callback, op);
    bson_destroy(&command);
}

static void freeze_rivals(struct op *op);

/* One that refuses (a primary does) or is silent takes nothing over for now either. */
static void on_frozen(void *context, const struct mongo_reply *reply) {
    if (reply->result != MONGO_RESULT_CANCELLED) {
        freeze_rivals(context);
    }
}

static void freeze_rivals(struct op *op) {
    if (op->frozen_count < op->rival_count) {
        ask_freeze(op, op->rivals[op->frozen_count++], FREEZE_S, on_frozen);
    } else {
        ask_freeze(op, op->candidate, 0, on_unfrozen);
    }
}

/* Secondaries of a higher priority elsewhere: the set would move its primary there again, some ten
 * seconds later, until `prefer` has changed that. */
static void find_rivals(struct op *op, const struct mongo_view *view,
                        const struct mongo_member *candidate) {
    for (uint32_t i = 0; i < view->facts.member_count; i++) {
        const struct mongo_member *member = &view->facts.members[i];
        if (member->answers && member->state == MONGO_SECONDARY &&
            member->region != op->target.to && member->priority_milli > candidate->priority_milli) {
            (void)TEXT_COPY(op->rivals[op->rival_count++], member->host);
        }
    }
    (void)TEXT_COPY(op->candidate, candidate->host);
}

static void promote(struct op *op) {
    struct mongo_facts facts;
    struct mongo_view view;
    struct mongo_verdict verdict;
    struct error error;
    uint64_t now_ms = clock_boottime_ms(op->driver->options.clock);
    replica_set_facts(&op->scan.set, now_ms, &facts);
    mongo_view_of(&facts, now_ms - op->scan.start_ms, &view);
    mongo_judge(&op->target.set, &view, op->target.to, &verdict);
    if (verdict.kind == MONGO_CASE_THERE) {
        answer_sent(op, DRIVER_REPLY_ACCEPTED, false, "it is primary already");
        return;
    }
    if (verdict.kind != MONGO_CASE_HANDOVER && verdict.kind != MONGO_CASE_ELECTION) {
        (void)error_set(&error, ERROR_UNAVAILABLE,
                        verdict.kind == MONGO_CASE_FORCED
                            ? "%u of %u voters answer: without a majority nobody can be elected"
                            : "no member of the region could be promoted (%u of %u voters answer)",
                        verdict.voters_alive, verdict.voters);
        answer_error(op, &error);
        return;
    }
    find_rivals(op, &view, &view.facts.members[verdict.member]);
    freeze_rivals(op);
}

static void write_once(struct op *op, const struct scan_member *primary) {
    char database[DNS_NAME_SIZE];
    char id[2 * NAME_SIZE];
    const char *collection;
    struct error error;
    bson_t list;
    bson_t update;
    bson_t inner;
    bson_t set;
    if (!open_sender(op, primary->host)) {
        (void)error_set(&error, ERROR_NO_MEMORY, "out of memory");
        answer_error(op, &error);
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
    send_once(op, database, &command, WRITE_TIMEOUT_MS, on_write_reply);
    bson_destroy(&command);
}

static void after_scan_to_act(struct op *op) {
    char words[256];
    const struct scan_member *primary;
    if (op->aim == DRIVER_PROMOTED) {
        promote(op);
        return;
    }
    struct error error;
    if (!primary_is_there(op, &primary, words, sizeof words)) {
        (void)error_set(&error, ERROR_UNAVAILABLE, "%s", words);
        answer_error(op, &error);
    } else if (op->target.set.write_check[0] == '\0') {
        answer_sent(op, DRIVER_REPLY_ACCEPTED, false, "the primary writes by itself");
    } else {
        write_once(op, primary);
    }
}

/* --- the beginning of an operation --- */

static void on_scanned(void *context) {
    struct op *op = context;
    switch (op->kind) {
    case OP_READ:
        after_scan_to_read(op);
        break;
    case OP_SEND:
        after_scan_to_send(op);
        break;
    case OP_LOOK:
        after_scan_to_look(op);
        break;
    case OP_ACT:
        after_scan_to_act(op);
        break;
    }
}

static void on_begin(uv_timer_t *timer) {
    struct op *op = timer->data;
    scan_begin(&op->scan, op->driver->options.loop, op->driver->options.clock,
               op->driver->options.client, &op->target, op->driver->secrets, on_scanned, op);
}

/* NULL: no memory, which ends the process's part in the move, not the move: the step is tried
 * again, so a callback must come. That takes an op: it is asserted instead. */
static struct op *begin(struct driver *base, enum op_kind kind, const struct driver_target *target,
                        void *context) {
    struct mongo_driver *driver = (struct mongo_driver *)base;
    assert(!driver->closing);
    struct op *op = calloc(1, sizeof *op);
    if (op == NULL) {
        abort();
    }
    op->driver = driver;
    op->kind = kind;
    op->target = *target;
    op->context = context;
    (void)uv_timer_init(driver->options.loop, &op->timer);
    op->timer.data = op;
    driver->open_count++;
    TAILQ_INSERT_TAIL(&driver->ops, op, link);
    (void)uv_timer_start(&op->timer, on_begin, 0, 0);
    return op;
}

static void read_set(struct driver *base, const struct driver_target *target, const char *change_id,
                     driver_read_cb on_read, void *context) {
    (void)change_id; /* a read on a majority proves itself */
    begin(base, OP_READ, target, context)->on_read = on_read;
}

static struct driver_blob *copy_blob(const struct driver_blob *blob) {
    struct driver_blob *copy = malloc(sizeof *copy);
    if (copy == NULL) {
        abort();
    }
    copy->size_bytes = blob->size_bytes;
    memcpy(copy->bytes, blob->bytes, blob->size_bytes);
    return copy;
}

static void send_change(struct driver *base, const struct driver_target *target,
                        const struct driver_change *change, driver_send_cb on_sent, void *context) {
    struct op *op = begin(base, OP_SEND, target, context);
    op->on_sent = on_sent;
    op->expects_fence = change->fence_before != NULL;
    op->writes_fence = change->fence_after != NULL;
    (void)TEXT_COPY(op->fence_before, change->fence_before != NULL ? change->fence_before : "");
    (void)TEXT_COPY(op->fence_after, change->fence_after != NULL ? change->fence_after : "");
    op->has_states = change->state_before != NULL;
    if (op->has_states) {
        op->before = copy_blob(change->state_before);
        op->after = copy_blob(change->state_after);
    }
    op->deadline_ms = change->deadline_boottime_ms;
}

static void look(struct driver *base, const struct driver_target *target, enum driver_aim aim,
                 const char *eid, driver_look_cb on_look, void *context) {
    struct op *op = begin(base, OP_LOOK, target, context);
    op->on_look = on_look;
    op->aim = aim;
    (void)TEXT_COPY(op->eid, eid);
}

static void act(struct driver *base, const struct driver_target *target, enum driver_aim aim,
                const char *eid, uint64_t deadline_boottime_ms, driver_send_cb on_sent,
                void *context) {
    struct op *op = begin(base, OP_ACT, target, context);
    op->on_sent = on_sent;
    op->aim = aim;
    op->deadline_ms = deadline_boottime_ms;
    (void)TEXT_COPY(op->eid, eid);
}

static void close_driver(struct driver *base, driver_closed_cb on_closed, void *context) {
    struct mongo_driver *driver = (struct mongo_driver *)base;
    const struct error cancelled = {ERROR_CANCELLED, "the driver is closed"};
    driver->on_closed = on_closed;
    driver->closed_context = context;
    driver->open_count++; /* this call's own */
    driver->closing = true;
    while (!TAILQ_EMPTY(&driver->ops)) {
        struct op *op = TAILQ_FIRST(&driver->ops);
        if (op->sender != NULL && (op->kind == OP_SEND || op->kind == OP_ACT)) {
            answer_sent(op, DRIVER_REPLY_UNKNOWN, false, cancelled.message);
        } else {
            answer_error(op, &cancelled);
        }
    }
    driver->open_count--;
    finish_if_closed(driver);
}

enum error_code mongo_driver_create(const struct mongo_driver_options *options,
                                    struct driver **ret_driver, struct error *error) {
    static const struct driver_ops ops = {
        .read = read_set, .send = send_change, .look = look, .act = act, .close = close_driver};
    struct mongo_driver *driver = calloc(1, sizeof *driver);
    if (driver == NULL) {
        return error_set(error, ERROR_NO_MEMORY, "no memory for the driver of replica sets");
    }
    driver->base.ops = &ops;
    driver->options = *options;
    (void)TEXT_COPY(driver->cluster, options->cluster);
    (void)TEXT_COPY(driver->secrets, options->secrets);
    TAILQ_INIT(&driver->ops);
    *ret_driver = &driver->base;
    return ERROR_OK;
}

enum error_code mongo_driver_desired(const struct driver_target *target,
                                     const struct driver_blob *as_read, struct driver_blob *ret,
                                     char *diff, size_t diff_size, struct error *error) {
    return mongo_config_prefer(as_read, target->set.region_tag, target->regions[target->to], ret,
                               diff, diff_size, error);
}
