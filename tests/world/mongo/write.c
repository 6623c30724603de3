/* insert, update, delete, appendOplogNote, and write concerns. */
#include <stdio.h>

#include "base/text.h"
#include "document.h"
#include "private.h"

#define UPSERTED_MAX 16
/* How many entries back a retried write is looked for. */
#define RETRY_WINDOW 4096

/* --- write concerns --- */

struct write_wish {
    int64_t members; /* 0: a majority */
    int64_t timeout_ms;
    bool majority;
};

static struct write_wish write_wish(const struct mongo_call *call) {
    struct write_wish wish = {.members = 1};
    bson_iter_t iter;
    bson_iter_t field;
    if (!mongo_call_find(call, "writeConcern", &iter) || !bson_iter_recurse(&iter, &field)) {
        return wish;
    }
    while (bson_iter_next(&field)) {
        if (text_equal(bson_iter_key(&field), "w")) {
            wish.majority = BSON_ITER_HOLDS_UTF8(&field);
            wish.members = wish.majority ? 0 : bson_iter_as_int64(&field);
        } else if (text_equal(bson_iter_key(&field), "wtimeout")) {
            wish.timeout_ms = bson_iter_as_int64(&field);
        }
    }
    return wish;
}

static void write_append_trouble(const struct mongo_call *call, int code, const char *message,
                                 bson_t *reply) {
    struct write_wish wish = write_wish(call);
    bson_t trouble;
    bson_t info;
    bson_t concern;
    BSON_APPEND_DOCUMENT_BEGIN(reply, "writeConcernError", &trouble);
    BSON_APPEND_INT32(&trouble, "code", code);
    BSON_APPEND_UTF8(&trouble, "codeName", mongo_code_name(call->set->release, code));
    BSON_APPEND_UTF8(&trouble, "errmsg", message);
    if (code == CODE_WRITE_CONCERN_FAILED) {
        BSON_APPEND_DOCUMENT_BEGIN(&trouble, "errInfo", &info);
        BSON_APPEND_BOOL(&info, "wtimeout", true);
        if (call->set->release == MONGO_RELEASE_4_4) {
            BSON_APPEND_DOCUMENT_BEGIN(&info, "writeConcern", &concern);
            if (wish.majority) {
                BSON_APPEND_UTF8(&concern, "w", "majority");
            } else {
                BSON_APPEND_INT32(&concern, "w", (int32_t)wish.members);
            }
            BSON_APPEND_INT32(&concern, "wtimeout", (int32_t)wish.timeout_ms);
            BSON_APPEND_UTF8(&concern, "provenance", "clientSupplied");
            bson_append_document_end(&info, &concern);
        }
        bson_append_document_end(&trouble, &info);
    }
    bson_append_document_end(reply, &trouble);
}

static void write_answer(struct mongo_waiter *waiter, int code, const char *message) {
    bson_t reply = BSON_INITIALIZER;
    bson_concat(&reply, waiter->reply);
    if (code != 0) {
        write_append_trouble(waiter->call, code, message, &reply);
        mongo_call_append_label(waiter->call, code, &reply);
    }
    mongo_call_ok(waiter->call, &reply);
}

static bool write_check(struct mongo_waiter *waiter) {
    struct mongo_process *process = waiter->call->process;
    bool majority = waiter->wanted == 0;
    bool done = majority ? mongo_optime_order(process->committed, waiter->optime) >= 0 &&
                               process->term == waiter->term
                         : mongo_replication_copies(process, waiter->optime) >= waiter->wanted;
    if (process->state != STATE_PRIMARY || process->term != waiter->term) {
        write_answer(waiter, CODE_INTERRUPTED, "operation was interrupted");
        return true;
    }
    if (done) {
        write_answer(waiter, 0, NULL);
        return true;
    }
    if (process->set->now_ms >= waiter->limit_ms) {
        write_answer(waiter, CODE_WRITE_CONCERN_FAILED, "waiting for replication timed out");
        return true;
    }
    return false;
}

void mongo_write_concern(struct mongo_call *call, bson_t *reply, struct mongo_optime optime) {
    const struct mongo_process *process = call->process;
    struct write_wish wish = write_wish(call);
    unsigned data_members = 0;
    if (process->standalone || (!wish.majority && wish.members <= 1)) {
        mongo_call_ok(call, reply);
        return;
    }
    for (size_t i = 0; i < process->config->member_count; i++) {
        data_members += process->config->members[i].arbiter ? 0 : 1;
    }
    if (!wish.majority && wish.members > data_members) {
        write_append_trouble(call, CODE_UNSATISFIABLE, "Not enough data-bearing nodes", reply);
        mongo_call_ok(call, reply);
        return;
    }
    struct mongo_waiter *waiter = mongo_wait(
        call, write_check,
        wish.timeout_ms > 0 ? call->set->now_ms + (uint64_t)wish.timeout_ms : MONGO_NEVER_MS);
    waiter->reply = bson_copy(reply);
    waiter->optime = optime;
    waiter->term = process->term;
    waiter->wanted = wish.majority ? 0 : wish.members;
    bson_destroy(reply);
}

/* --- may it be written here? --- */

static bool write_is_allowed(struct mongo_call *call) {
    const struct mongo_process *process = call->process;
    if (process->standalone || (process->writable && !process->stepping_down)) {
        return true;
    }
    mongo_call_fail(call, CODE_NOT_PRIMARY, "not master");
    return false;
}

static void write_append_end(const struct mongo_call *call, struct mongo_optime optime,
                             bson_t *reply) {
    const struct mongo_process *process = call->process;
    char id[25];
    bson_oid_t oid;
    if (process->standalone) {
        return;
    }
    mongo_append_optime(reply, "opTime", optime);
    (void)snprintf(id, sizeof(id), "7fffffff%016llx", (unsigned long long)process->term);
    bson_oid_init_from_string(&oid, id);
    BSON_APPEND_OID(reply, "electionId", &oid);
}

/* A primary that was stopped and goes on lies at first: some of what it is sent then is
 * acknowledged and later lost, some is interrupted. */
static bool write_is_interrupted(struct mongo_call *call) {
    struct mongo_process *process = call->process;
    if (mongo_runs(process) || mongo_random(process, 3) != 0) {
        return false;
    }
    if (!mongo_is_44(process)) {
        mongo_call_fail(call, CODE_INTERRUPTED, "operation was interrupted");
        return true;
    }
    bson_t reply = BSON_INITIALIZER;
    bson_t errors;
    bson_t child;
    BSON_APPEND_INT32(&reply, "n", 0);
    BSON_APPEND_ARRAY_BEGIN(&reply, "writeErrors", &errors);
    BSON_APPEND_DOCUMENT_BEGIN(&errors, "0", &child);
    BSON_APPEND_INT32(&child, "index", 0);
    BSON_APPEND_INT32(&child, "code", CODE_STEPPED_DOWN);
    BSON_APPEND_UTF8(&child, "errmsg", "Not primary while writing");
    bson_append_document_end(&errors, &child);
    bson_append_array_end(&reply, &errors);
    write_append_end(call, mongo_oplog_last(&process->log), &reply);
    mongo_call_ok(call, &reply);
    return true;
}

/* --- the statements of a command --- */

struct write_job {
    bson_t errors, upserted;
    struct mongo_call *call;
    uint64_t session; /* of a retryable write; 0: none */
    struct mongo_optime optime;
    unsigned error_count, upserted_count;
    int32_t matched, modified;
    char namespace[2 * MONGO_NAME_SIZE];
};

static void write_add_error(struct write_job *job, unsigned index, int code, const char *message) {
    char key[16];
    bson_t child;
    (void)snprintf(key, sizeof(key), "%u", job->error_count++);
    BSON_APPEND_DOCUMENT_BEGIN(&job->errors, key, &child);
    BSON_APPEND_INT32(&child, "index", (int32_t)index);
    BSON_APPEND_INT32(&child, "code", code);
    BSON_APPEND_UTF8(&child, "errmsg", message);
    bson_append_document_end(&job->errors, &child);
}

static void write_entry(struct write_job *job, const bson_t *document, bool deleted) {
    struct mongo_process *process = job->call->process;
    job->optime = mongo_replication_write(process, job->namespace, document, deleted);
    process->log.entries[process->log.count - 1]->session = job->session;
}

/* The document with an _id first, as a server stores it. */
static void write_with_id(const struct write_job *job, const bson_t *document, bson_t *to) {
    bson_iter_t iter;
    if (bson_iter_init_find(&iter, document, "_id")) {
        bson_concat(to, document);
        return;
    }
    char id[25];
    bson_oid_t oid;
    (void)snprintf(id, sizeof(id), "%08x%016llx", (unsigned)(mongo_wall_ms(job->call->set) / 1000),
                   (unsigned long long)++job->call->set->sequence);
    bson_oid_init_from_string(&oid, id);
    BSON_APPEND_OID(to, "_id", &oid);
    bson_concat(to, document);
}

static bool write_insert(struct write_job *job, unsigned index, const bson_t *document) {
    bson_t whole = BSON_INITIALIZER;
    bson_iter_t iter;
    write_with_id(job, document, &whole);
    bool fresh =
        bson_iter_init_find(&iter, &whole, "_id") &&
        mongo_oplog_find(&job->call->process->log, job->namespace, bson_iter_value(&iter)) == NULL;
    if (fresh) {
        write_entry(job, &whole, false);
        job->matched++;
    } else {
        write_add_error(job, index, CODE_DUPLICATE_KEY,
                        "E11000 duplicate key error index: _id_ dup key");
    }
    bson_destroy(&whole);
    return fresh;
}

static void write_upsert(struct write_job *job, unsigned index, const bson_t *query,
                         const bson_t *change) {
    bson_t base = BSON_INITIALIZER;
    bson_t changed = BSON_INITIALIZER;
    bson_t whole = BSON_INITIALIZER;
    bson_iter_t iter;
    char key[16];
    bson_t child;
    bson_copy_to_excluding_noinit(query, &base, "$comment", NULL);
    mongo_document_change(&base, change, &changed);
    write_with_id(job, &changed, &whole);
    write_entry(job, &whole, false);
    job->matched++;
    if (job->upserted_count < UPSERTED_MAX && bson_iter_init_find(&iter, &whole, "_id")) {
        (void)snprintf(key, sizeof(key), "%u", job->upserted_count++);
        BSON_APPEND_DOCUMENT_BEGIN(&job->upserted, key, &child);
        BSON_APPEND_INT32(&child, "index", (int32_t)index);
        bson_append_iter(&child, "_id", -1, &iter);
        bson_append_document_end(&job->upserted, &child);
    }
    bson_destroy(&base);
    bson_destroy(&changed);
    bson_destroy(&whole);
}

static bool write_update(struct write_job *job, unsigned index, const bson_t *statement) {
    bson_t query;
    bson_t change;
    if (!mongo_document_child(statement, "q", &query) ||
        !mongo_document_child(statement, "u", &change)) {
        write_add_error(job, index, CODE_BAD_VALUE, "an update has q and u");
        return false;
    }
    struct mongo_process *process = job->call->process;
    bool many = mongo_document_flag(statement, "multi");
    size_t end = process->log.count;
    size_t position = 0;
    unsigned found = 0;
    while (found == 0 || many) {
        const struct mongo_entry *entry =
            mongo_document_search(&process->log, job->namespace, &query, &position);
        if (entry == NULL || position > end) {
            break;
        }
        bson_t changed = BSON_INITIALIZER;
        mongo_document_change(entry->document, &change, &changed);
        found++;
        job->matched++;
        if (!bson_equal(&changed, entry->document)) {
            write_entry(job, &changed, false);
            job->modified++;
        }
        bson_destroy(&changed);
    }
    if (found == 0 && mongo_document_flag(statement, "upsert")) {
        write_upsert(job, index, &query, &change);
    }
    return true;
}

static bool write_delete(struct write_job *job, unsigned index, const bson_t *statement) {
    struct mongo_process *process = job->call->process;
    bson_t query;
    bson_iter_t iter;
    if (!mongo_document_child(statement, "q", &query)) {
        write_add_error(job, index, CODE_BAD_VALUE, "a delete has q");
        return false;
    }
    bool one = bson_iter_init_find(&iter, statement, "limit") && bson_iter_as_int64(&iter) == 1;
    size_t position = 0;
    for (;;) {
        const struct mongo_entry *entry =
            mongo_document_search(&process->log, job->namespace, &query, &position);
        if (entry == NULL) {
            return true;
        }
        bson_t id = BSON_INITIALIZER;
        if (bson_iter_init_find(&iter, entry->document, "_id")) {
            bson_append_iter(&id, "_id", -1, &iter);
            write_entry(job, &id, true);
            job->matched++;
        }
        bson_destroy(&id);
        if (one) {
            return true;
        }
    }
}

/* A retryable write that is here already, from before a failover perhaps. */
static bool write_was_done(struct write_job *job) {
    const struct mongo_oplog *log = &job->call->process->log;
    size_t oldest = log->count > RETRY_WINDOW ? log->count - RETRY_WINDOW : 0;
    for (size_t i = log->count; job->session != 0 && i-- > oldest;) {
        if (log->entries[i]->session == job->session) {
            job->matched++;
            job->optime = log->entries[i]->optime;
        } else if (job->matched > 0) {
            break;
        }
    }
    return job->matched > 0;
}

static uint64_t write_session(const struct mongo_call *call) {
    bson_iter_t session;
    bson_iter_t number;
    if (!mongo_call_find(call, "lsid", &session) || !mongo_call_find(call, "txnNumber", &number)) {
        return 0;
    }
    return mongo_document_hash(&session, (uint64_t)bson_iter_as_int64(&number));
}

static void write_finish(struct write_job *job, const char *counts) {
    struct mongo_call *call = job->call;
    bson_t reply = BSON_INITIALIZER;
    BSON_APPEND_INT32(&reply, "n", job->matched);
    if (text_equal(counts, "update")) {
        BSON_APPEND_INT32(&reply, "nModified", job->modified);
        if (job->upserted_count > 0) {
            BSON_APPEND_ARRAY(&reply, "upserted", &job->upserted);
        }
    }
    if (job->error_count > 0) {
        BSON_APPEND_ARRAY(&reply, "writeErrors", &job->errors);
    }
    write_append_end(call, job->optime, &reply);
    bson_destroy(&job->errors);
    bson_destroy(&job->upserted);
    mongo_write_concern(call, &reply, job->optime);
}

/* Each statement counts in `counter`, done or not, as in a server's opcounters. */
static void write_run(struct mongo_call *call, const char *list, int64_t *counter,
                      bool (*run)(struct write_job *, unsigned, const bson_t *)) {
    struct write_job job = {.call = call};
    bson_iter_t iter;
    bson_iter_t element;
    unsigned index = 0;
    bool ordered = true;
    if (!write_is_allowed(call) || write_is_interrupted(call)) {
        return;
    }
    if (!mongo_document_namespace(call, job.namespace, sizeof(job.namespace)) ||
        !mongo_call_find(call, list, &iter) || !BSON_ITER_HOLDS_ARRAY(&iter)) {
        mongo_call_fail(call, CODE_BAD_VALUE, "a %s needs a collection and %s", call->name, list);
        return;
    }
    if (mongo_call_find(call, "ordered", &element)) {
        ordered = bson_iter_as_bool(&element);
    }
    bson_init(&job.errors);
    bson_init(&job.upserted);
    job.optime = mongo_oplog_last(&call->process->log);
    job.session = write_session(call);
    bool again = write_was_done(&job);
    if (!again && bson_iter_recurse(&iter, &element)) {
        while (bson_iter_next(&element)) {
            bson_t statement;
            if (!mongo_document_of(&element, &statement)) {
                continue;
            }
            ++*counter;
            if (!run(&job, index++, &statement) && ordered) {
                break;
            }
        }
    }
    write_finish(&job, call->name);
}

void mongo_command_insert(struct mongo_call *call) {
    write_run(call, "documents", &call->process->inserts, write_insert);
}

void mongo_command_update(struct mongo_call *call) {
    write_run(call, "updates", &call->process->updates, write_update);
}

void mongo_command_delete(struct mongo_call *call) {
    write_run(call, "deletes", &call->process->deletes, write_delete);
}

void mongo_command_note(struct mongo_call *call) {
    bson_t reply = BSON_INITIALIZER;
    if (!write_is_allowed(call)) {
        bson_destroy(&reply);
        return;
    }
    struct mongo_optime optime = mongo_replication_write(call->process, NULL, NULL, false);
    mongo_write_concern(call, &reply, optime);
}
