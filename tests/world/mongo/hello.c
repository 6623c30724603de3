/* hello and isMaster, also those that wait for a change. */
#include <stdio.h>

#include "base/text.h"
#include "private.h"

#define MAX_BSON_BYTES (16 * 1024 * 1024)
#define MAX_MESSAGE_BYTES 48000000
#define MAX_WRITE_BATCH 100000
#define SESSION_MINUTES 30
#define WIRE_VERSION_36 6
#define WIRE_VERSION_44 9

enum hello_list {
    HELLO_HOSTS,
    HELLO_PASSIVES,
    HELLO_ARBITERS,
};

static bool hello_lists(const struct mongo_config_member *member, enum hello_list list) {
    switch (list) {
    case HELLO_HOSTS:
        return !member->hidden && !member->arbiter && member->priority > 0;
    case HELLO_PASSIVES:
        return !member->hidden && !member->arbiter && member->priority <= 0;
    case HELLO_ARBITERS:
        return !member->hidden && member->arbiter;
    }
    return false;
}

static void hello_append_list(const struct mongo_config *config, enum hello_list list,
                              const char *key, bson_t *reply) {
    bson_t array = BSON_INITIALIZER;
    char index[24];
    unsigned count = 0;
    for (size_t i = 0; i < config->member_count; i++) {
        if (hello_lists(&config->members[i], list)) {
            (void)snprintf(index, sizeof(index), "%u", count++);
            BSON_APPEND_UTF8(&array, index, config->members[i].host);
        }
    }
    if (count > 0) {
        bson_append_array(reply, key, -1, &array);
    }
    bson_destroy(&array);
}

static void hello_append_topology(const struct mongo_process *process, bson_t *reply) {
    bson_t version;
    if (mongo_is_44(process)) {
        BSON_APPEND_DOCUMENT_BEGIN(reply, "topologyVersion", &version);
        BSON_APPEND_OID(&version, "processId", &process->process_id);
        BSON_APPEND_INT64(&version, "counter", (int64_t)process->topology_counter);
        bson_append_document_end(reply, &version);
    }
}

static const char *hello_word(const struct mongo_call *call) {
    return text_equal(call->name, "hello") ? "isWritablePrimary" : "ismaster";
}

/* Not initiated, removed, or still starting. */
static void hello_append_outside(const struct mongo_call *call, bson_t *reply) {
    const struct mongo_process *process = call->process;
    bool removed = process->config != NULL && process->timers[TIMER_LOADED] == 0;
    if (removed && !mongo_is_44(process)) {
        hello_append_list(process->config, HELLO_HOSTS, "hosts", reply);
        BSON_APPEND_UTF8(reply, "setName", process->config->name);
    }
    bson_append_bool(reply, hello_word(call), -1, false);
    BSON_APPEND_BOOL(reply, "secondary", false);
    BSON_APPEND_UTF8(reply, "info", "Does not have a valid replica set config");
    BSON_APPEND_BOOL(reply, "isreplicaset", true);
}

static void hello_append_last_write(const struct mongo_process *process, bson_t *reply) {
    struct mongo_optime last = mongo_oplog_last(&process->log);
    bson_t write;
    BSON_APPEND_DOCUMENT_BEGIN(reply, "lastWrite", &write);
    mongo_append_optime(&write, "opTime", last);
    mongo_append_date(&write, "lastWriteDate", last.seconds * 1000ULL);
    if (process->snapshot || mongo_is_44(process)) {
        mongo_append_optime(&write, "majorityOpTime", process->committed);
        mongo_append_date(&write, "majorityWriteDate", process->committed.seconds * 1000ULL);
    }
    bson_append_document_end(reply, &write);
}

static void hello_append_member(const struct mongo_call *call, bson_t *reply) {
    const struct mongo_process *process = call->process;
    const struct mongo_config *config = process->config;
    const struct mongo_config_member *self = mongo_self(process);
    bool writable = process->writable && !process->stepping_down;
    hello_append_list(config, HELLO_HOSTS, "hosts", reply);
    hello_append_list(config, HELLO_PASSIVES, "passives", reply);
    hello_append_list(config, HELLO_ARBITERS, "arbiters", reply);
    BSON_APPEND_UTF8(reply, "setName", config->name);
    BSON_APPEND_INT32(reply, "setVersion", (int32_t)config->version);
    bson_append_bool(reply, hello_word(call), -1, writable);
    BSON_APPEND_BOOL(reply, "secondary",
                     process->state == STATE_SECONDARY ||
                         (process->state == STATE_PRIMARY && !writable));
    if (process->primary != MONGO_NONE) {
        BSON_APPEND_UTF8(reply, "primary", process->set->hosts[process->primary]);
    }
    if (self->arbiter) {
        BSON_APPEND_BOOL(reply, "arbiterOnly", true);
    } else if (self->priority <= 0) {
        BSON_APPEND_BOOL(reply, "passive", true);
    }
    if (self->hidden) {
        BSON_APPEND_BOOL(reply, "hidden", true);
    }
    if (self->delay_seconds > 0) {
        BSON_APPEND_INT32(reply, "slaveDelay", (int32_t)self->delay_seconds);
    }
    if (!bson_empty(self->tags)) {
        BSON_APPEND_DOCUMENT(reply, "tags", self->tags);
    }
    BSON_APPEND_UTF8(reply, "me", self->host);
    if (process->writable) {
        char id[25];
        bson_oid_t oid;
        (void)snprintf(id, sizeof(id), "7fffffff%016llx", (unsigned long long)process->term);
        bson_oid_init_from_string(&oid, id);
        BSON_APPEND_OID(reply, "electionId", &oid);
    }
    hello_append_last_write(process, reply);
}

static void hello_append_all(const struct mongo_call *call, bson_t *reply) {
    const struct mongo_process *process = call->process;
    const struct mongo_connection *connection = mongo_connection_find(call->set, call->connection);
    if (process->standalone) {
        bson_append_bool(reply, hello_word(call), -1, true);
    }
    hello_append_topology(process, reply);
    bool member = process->config != NULL && process->self != MONGO_NONE &&
                  process->timers[TIMER_LOADED] == 0;
    if (!process->standalone && member) {
        hello_append_member(call, reply);
    } else if (!process->standalone) {
        hello_append_outside(call, reply);
    }
    BSON_APPEND_INT32(reply, "maxBsonObjectSize", MAX_BSON_BYTES);
    BSON_APPEND_INT32(reply, "maxMessageSizeBytes", MAX_MESSAGE_BYTES);
    BSON_APPEND_INT32(reply, "maxWriteBatchSize", MAX_WRITE_BATCH);
    mongo_append_date(reply, "localTime", mongo_wall_ms(call->set));
    bool data = process->standalone ||
                (process->config != NULL && process->log.count > 0 &&
                 process->state != STATE_STARTUP2 && process->state != STATE_ARBITER);
    if (mongo_is_44(process) || data) {
        BSON_APPEND_INT32(reply, "logicalSessionTimeoutMinutes", SESSION_MINUTES);
    }
    if (mongo_is_44(process)) {
        BSON_APPEND_INT32(reply, "connectionId", connection == NULL ? 0 : connection->number);
    }
    BSON_APPEND_INT32(reply, "minWireVersion", 0);
    BSON_APPEND_INT32(reply, "maxWireVersion",
                      mongo_is_44(process) ? WIRE_VERSION_44 : WIRE_VERSION_36);
    BSON_APPEND_BOOL(reply, "readOnly", false);
}

/* --- waiting for a change --- */

static void hello_send(struct mongo_waiter *waiter, bool more) {
    bson_t reply = BSON_INITIALIZER;
    hello_append_all(waiter->call, &reply);
    waiter->counter = waiter->call->process->topology_counter;
    if (more) {
        BSON_APPEND_DOUBLE(&reply, "ok", 1);
        mongo_call_send(waiter->call, &reply, true);
    } else {
        mongo_call_ok(waiter->call, &reply);
    }
}

static bool hello_check(struct mongo_waiter *waiter) {
    const struct mongo_process *process = waiter->call->process;
    if (waiter->call->exhaust &&
        mongo_connection_find(waiter->call->set, waiter->call->connection) == NULL) {
        mongo_call_free(waiter->call);
        return true;
    }
    bool changed = waiter->counter != process->topology_counter;
    if (!changed && process->set->now_ms < waiter->deadline_ms) {
        return false;
    }
    if (!waiter->call->exhaust) {
        hello_send(waiter, false);
        return true;
    }
    hello_send(waiter, true);
    waiter->deadline_ms = process->set->now_ms + waiter->period_ms;
    return false;
}

static bool hello_knows_present(const struct mongo_call *call, const bson_iter_t *version) {
    bson_iter_t iter;
    bson_iter_t child;
    int64_t counter = -1;
    bool same = false;
    iter = *version;
    if (!bson_iter_recurse(&iter, &child)) {
        return false;
    }
    while (bson_iter_next(&child)) {
        if (text_equal(bson_iter_key(&child), "counter")) {
            counter = bson_iter_as_int64(&child);
        } else if (BSON_ITER_HOLDS_OID(&child)) {
            same = bson_oid_equal(bson_iter_oid(&child), &call->process->process_id);
        }
    }
    return same && counter == (int64_t)call->process->topology_counter;
}

void mongo_command_hello(struct mongo_call *call) {
    bson_iter_t version;
    bson_t reply = BSON_INITIALIZER;
    double await_ms = mongo_call_number(call, "maxAwaitTimeMS", -1);
    bool awaits = mongo_is_44(call->process) && await_ms >= 0 &&
                  mongo_call_find(call, "topologyVersion", &version);
    if (!awaits) {
        hello_append_all(call, &reply);
        mongo_call_ok(call, &reply);
        return;
    }
    bson_destroy(&reply);
    bool present = hello_knows_present(call, &version);
    struct mongo_waiter *waiter = mongo_wait(call, hello_check, MONGO_NEVER_MS);
    waiter->counter = present ? call->process->topology_counter : UINT64_MAX;
    waiter->period_ms = (uint64_t)await_ms > 0 ? (uint64_t)await_ms : 1;
    waiter->deadline_ms = call->set->now_ms + waiter->period_ms;
}
