#include "mongo/reply.h"

#include <string.h>

#include "base/text.h"
#include "field.h"

#define INDEX_MAX (UINT64_C(1) << 53) /* what a report can carry */

/* replSetGetStatus, myState and members[].state (MongoDB, "Replica Set Member States"). */
static enum mongo_state state_of(const bson_t *document, const char *path) {
    static const enum mongo_state states[] = {MONGO_STARTUP,    MONGO_PRIMARY, MONGO_SECONDARY,
                                              MONGO_RECOVERING, MONGO_UNKNOWN, MONGO_STARTUP2,
                                              MONGO_UNKNOWN,    MONGO_ARBITER, MONGO_DOWN,
                                              MONGO_ROLLBACK,   MONGO_REMOVED};
    uint64_t number;
    return field_number(document, path, ARRAY_LENGTH(states) - 1, &number) ? states[number]
                                                                           : MONGO_UNKNOWN;
}

uint32_t mongo_version_of_wire(uint32_t wire_version) {
    /* MongoDB, "wire version" of each release. */
    static const struct {
        uint32_t wire, version;
    } rows[] = {{6, 306},  {7, 400},  {8, 402},  {9, 404},  {13, 500}, {14, 501}, {15, 502},
                {16, 503}, {17, 600}, {18, 601}, {19, 602}, {20, 603}, {21, 700}, {25, 800}};
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        if (rows[i].wire == wire_version) {
            return rows[i].version;
        }
    }
    return 0;
}

/* Adds those of an array to the `count` that are there; how many there are then. */
static uint32_t read_hosts(const bson_t *reply, const char *path,
                           char hosts[MONGO_SET_MEMBER_MAX][MONGO_HOST_SIZE], uint32_t count) {
    bson_t array;
    bson_iter_t iter;
    if (!field_inner(reply, path, &array) || !bson_iter_init(&iter, &array)) {
        return count;
    }
    while (bson_iter_next(&iter) && count < MONGO_SET_MEMBER_MAX) {
        if (BSON_ITER_HOLDS_UTF8(&iter)) {
            field_copy_text(&iter, hosts[count++], MONGO_HOST_SIZE);
        }
    }
    return count;
}

/* The lower half of electionId is the term (repl/replication_coordinator_impl.cpp). */
static uint64_t term_of_election(const bson_t *reply) {
    bson_iter_t iter;
    uint64_t term = 0;
    if (!bson_iter_init_find(&iter, reply, "electionId") || !BSON_ITER_HOLDS_OID(&iter)) {
        return 0;
    }
    const bson_oid_t *id = bson_iter_oid(&iter);
    for (int i = 4; i < 12; i++) {
        term = term << 8 | id->bytes[i];
    }
    return term <= INDEX_MAX ? term : 0;
}

void mongo_read_hello(const bson_t *reply, struct mongo_hello *ret) {
    uint64_t wire = 0;
    memset(ret, 0, sizeof *ret);
    ret->writable = field_true(reply, "isWritablePrimary") || field_true(reply, "ismaster");
    ret->secondary = field_true(reply, "secondary");
    ret->arbiter = field_true(reply, "arbiterOnly");
    field_text(reply, "setName", ret->set_name, sizeof ret->set_name);
    field_text(reply, "me", ret->me, sizeof ret->me);
    (void)field_number(reply, "maxWireVersion", 10000, &wire);
    ret->wire_version = (uint32_t)wire;
    ret->election_term = term_of_election(reply);
    ret->host_count = read_hosts(reply, "hosts", ret->hosts, 0);
    ret->host_count = read_hosts(reply, "passives", ret->hosts, ret->host_count);
    ret->host_count = read_hosts(reply, "arbiters", ret->hosts, ret->host_count);
}

/* {ts, t} of protocol version 1. A member that is down shows ts 0 and t -1. */
static void read_optime(const bson_t *document, const char *path, struct mongo_optime *ret) {
    bson_t optime;
    bson_iter_t iter;
    memset(ret, 0, sizeof *ret);
    if (!field_inner(document, path, &optime) || !bson_iter_init_find(&iter, &optime, "ts") ||
        !BSON_ITER_HOLDS_TIMESTAMP(&iter)) {
        return;
    }
    struct mongo_optime found = {0};
    bson_iter_timestamp(&iter, &found.seconds, &found.count);
    if (found.seconds != 0 && field_number(&optime, "t", INDEX_MAX, &found.term)) {
        *ret = found;
    }
}

static void read_status_member(const bson_t *from, uint64_t date_ms,
                               struct mongo_status_member *ret) {
    uint64_t number = 0;
    double health = 0;
    memset(ret, 0, sizeof *ret);
    ret->id = field_number(from, "_id", UINT32_MAX - 1, &number) ? (uint32_t)number : NONE_INDEX;
    field_text(from, "name", ret->host, sizeof ret->host);
    ret->state = state_of(from, "state");
    ret->self = field_true(from, "self");
    ret->healthy = field_real(from, "health", &health) && health > 0;
    read_optime(from, "optime", &ret->optime);
    ret->optime.wall_ms =
        ret->optime.seconds == 0 ? 0 : field_date(from, "lastAppliedWallTime"); /* 5.0 */
    (void)field_number(from, "configVersion", INDEX_MAX, &ret->config_version);
    (void)field_number(from, "configTerm", INDEX_MAX, &ret->config_term);
    field_text(from, "syncSourceHost", ret->sync_source, sizeof ret->sync_source);
    if (ret->sync_source[0] == '\0') {
        field_text(from, "syncingTo", ret->sync_source, sizeof ret->sync_source); /* 3.6 */
    }
    /* The answer to its heartbeat carries the other's optime. */
    uint64_t heard_ms = field_date(from, "lastHeartbeat");
    bool known = heard_ms != 0 && heard_ms <= date_ms && date_ms - heard_ms < MONGO_AGE_NEVER;
    ret->heard_age_ms = ret->self ? 0 : known ? (uint32_t)(date_ms - heard_ms) : MONGO_AGE_NEVER;
}

void mongo_read_status(const bson_t *reply, struct mongo_status *ret) {
    uint64_t number = 0;
    bson_t members;
    bson_iter_t iter;
    memset(ret, 0, sizeof *ret);
    field_text(reply, "set", ret->set_name, sizeof ret->set_name);
    ret->my_state = state_of(reply, "myState");
    (void)field_number(reply, "term", INDEX_MAX, &ret->term);
    read_optime(reply, "optimes.lastCommittedOpTime", &ret->committed);
    read_optime(reply, "optimes.durableOpTime", &ret->durable);
    ret->heartbeat_ms =
        field_number(reply, "heartbeatIntervalMillis", UINT32_MAX, &number) ? (uint32_t)number : 0;
    uint64_t date_ms = field_date(reply, "date");
    if (!field_inner(reply, "members", &members) || !bson_iter_init(&iter, &members)) {
        return;
    }
    while (bson_iter_next(&iter) && ret->member_count < MONGO_SET_MEMBER_MAX) {
        const uint8_t *bytes;
        uint32_t size;
        bson_t member;
        if (!BSON_ITER_HOLDS_DOCUMENT(&iter)) {
            continue;
        }
        bson_iter_document(&iter, &size, &bytes);
        if (bson_init_static(&member, bytes, size)) {
            read_status_member(&member, date_ms, &ret->members[ret->member_count++]);
        }
    }
    for (uint32_t i = 0; i < ret->member_count; i++) {
        struct mongo_status_member *self = &ret->members[i];
        if (self->self && self->optime.seconds != 0 && self->optime.wall_ms == 0) {
            self->optime.wall_ms = field_date(reply, "optimes.lastAppliedWallTime"); /* 4.2 */
        }
    }
}

static bool read_config_member(const bson_t *from, const char *tag,
                               struct mongo_config_member *ret) {
    uint64_t number = 0;
    double priority = 1;
    bson_t tags;
    memset(ret, 0, sizeof *ret);
    field_text(from, "host", ret->host, sizeof ret->host);
    if (!field_number(from, "_id", UINT32_MAX - 1, &number) || ret->host[0] == '\0') {
        return false;
    }
    ret->id = (uint32_t)number;
    (void)field_real(from, "priority", &priority);
    ret->priority_milli = priority <= 0      ? 0
                          : priority >= 1000 ? 1000000
                                             : (uint32_t)(priority * 1000);
    /* 0.0001 is electable, too. */
    ret->priority_milli = priority > 0 && ret->priority_milli == 0 ? 1 : ret->priority_milli;
    number = 1;
    (void)field_number(from, "votes", 1, &number);
    ret->votes = number == 1;
    ret->hidden = field_true(from, "hidden");
    ret->arbiter = field_true(from, "arbiterOnly");
    number = 0;
    if (!field_number(from, "secondaryDelaySecs", UINT32_MAX, &number)) { /* 5.0 */
        (void)field_number(from, "slaveDelay", UINT32_MAX, &number);
    }
    ret->delay_s = (uint32_t)number;
    if (field_inner(from, "tags", &tags)) { /* a tag's name may have dots: no path */
        bson_iter_t iter;
        if (bson_iter_init_find(&iter, &tags, tag) && BSON_ITER_HOLDS_UTF8(&iter)) {
            field_copy_text(&iter, ret->tag, sizeof ret->tag);
        }
        ret->kept_out = bson_iter_init_find(&iter, &tags, MONGO_WAS_TAG);
    }
    return true;
}

bool mongo_read_config(const bson_t *reply, const char *tag, struct mongo_config *ret) {
    uint64_t number = 0;
    bson_t config;
    bson_t members;
    bson_iter_t iter;
    memset(ret, 0, sizeof *ret);
    if (!field_inner(reply, "config", &config) ||
        !field_number(&config, "version", INDEX_MAX, &ret->version) || ret->version == 0 ||
        !field_inner(&config, "members", &members) || !bson_iter_init(&iter, &members)) {
        ret->version = 0;
        return false;
    }
    field_text(&config, "_id", ret->set_name, sizeof ret->set_name);
    (void)field_number(&config, "term", INDEX_MAX, &ret->term); /* -1: forced */
    if (field_number(&config, "settings.electionTimeoutMillis", UINT32_MAX, &number)) {
        ret->election_timeout_ms = (uint32_t)number;
    }
    if (field_number(&config, "settings.heartbeatIntervalMillis", UINT32_MAX, &number)) {
        ret->heartbeat_ms = (uint32_t)number;
    }
    while (bson_iter_next(&iter) && ret->member_count < MONGO_SET_MEMBER_MAX) {
        const uint8_t *bytes;
        uint32_t size;
        bson_t member;
        if (!BSON_ITER_HOLDS_DOCUMENT(&iter)) {
            continue;
        }
        bson_iter_document(&iter, &size, &bytes);
        if (bson_init_static(&member, bytes, size) &&
            read_config_member(&member, tag, &ret->members[ret->member_count])) {
            ret->member_count++;
        }
    }
    if (ret->member_count == 0) {
        memset(ret, 0, sizeof *ret);
        return false;
    }
    return true;
}

static const char *trouble_of_code(uint64_t code, const char *standard) {
    static const uint64_t not_primary[] = {91, 189, 10107, 11600, 11602, 13435, 13436};
    for (size_t i = 0; i < ARRAY_LENGTH(not_primary); i++) {
        if (code == not_primary[i]) {
            return "not_primary";
        }
    }
    return code == 13 ? "auth" : code == 64 || code == 50 ? "wtimeout" : standard;
}

/* A primary that wakes up stale answers ok: 1 with n: 0 and writeErrors: ok alone is nothing. */
bool mongo_read_write(const bson_t *reply, const char **ret_trouble) {
    uint64_t code = 0;
    uint64_t count = 0;
    bson_t inner;
    if (!field_true(reply, "ok")) {
        (void)field_number(reply, "code", UINT32_MAX, &code);
        *ret_trouble = trouble_of_code(code, "write_error");
        return false;
    }
    if (field_inner(reply, "writeErrors", &inner)) {
        (void)field_number(reply, "writeErrors.0.code", UINT32_MAX, &code);
        *ret_trouble = trouble_of_code(code, "write_error");
        return false;
    }
    if (field_inner(reply, "writeConcernError", &inner)) {
        (void)field_number(&inner, "code", UINT32_MAX, &code);
        *ret_trouble = trouble_of_code(code, "write_error");
        return false;
    }
    if (!field_number(reply, "n", UINT32_MAX, &count) || count != 1) {
        *ret_trouble = "write_error";
        return false;
    }
    *ret_trouble = "";
    return true;
}

uint32_t mongo_read_oplog_start(const bson_t *reply) {
    bson_iter_t iter;
    bson_iter_t found;
    uint32_t seconds = 0;
    uint32_t count = 0;
    if (bson_iter_init(&iter, reply) &&
        bson_iter_find_descendant(&iter, "cursor.firstBatch.0.ts", &found) &&
        BSON_ITER_HOLDS_TIMESTAMP(&found)) {
        bson_iter_timestamp(&found, &seconds, &count);
    }
    return seconds;
}

/* What is no term must not pass for "before any election": a member comes back on that word. */
bool mongo_read_oplog_term(const bson_t *reply, uint64_t *ret_term) {
    bson_t batch;
    bson_t entry;
    bson_iter_t iter;
    double term = 0;
    *ret_term = 0;
    if (!field_inner(reply, "cursor.firstBatch", &batch)) {
        return false;
    }
    if (bson_empty(&batch)) {
        return true;
    }
    if (!field_inner(&batch, "0", &entry)) {
        return false;
    }
    return !bson_iter_init_find(&iter, &entry, "t") ||
           field_number(&entry, "t", INDEX_MAX, ret_term) ||
           (field_real(&entry, "t", &term) && term < 0);
}

bool mongo_read_writes(const bson_t *reply, uint64_t *ret_count) {
    uint64_t inserts = 0;
    uint64_t updates = 0;
    uint64_t deletes = 0;
    if (!field_number(reply, "opcounters.insert", INDEX_MAX, &inserts) ||
        !field_number(reply, "opcounters.update", INDEX_MAX, &updates) ||
        !field_number(reply, "opcounters.delete", INDEX_MAX, &deletes)) {
        return false;
    }
    *ret_count = inserts + updates + deletes;
    return true;
}

void mongo_read_seeds(const bson_t *reply, struct mongo_seeds *ret) {
    memset(ret, 0, sizeof *ret);
    field_text(reply, "setName", ret->set_name, sizeof ret->set_name);
    field_text(reply, "authSource", ret->auth_source, sizeof ret->auth_source);
    ret->count = read_hosts(reply, "hosts", ret->hosts, 0);
}
