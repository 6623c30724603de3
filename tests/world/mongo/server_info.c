/* What a server says about itself, and what only tests ask of it. */
#include <stdio.h>

#include "base/text.h"
#include "private.h"

void mongo_command_ping(struct mongo_call *call) {
    bson_t reply = BSON_INITIALIZER;
    mongo_call_ok(call, &reply);
}

void mongo_command_build_info(struct mongo_call *call) {
    bool modern = mongo_is_44(call->process);
    bson_t reply = BSON_INITIALIZER;
    bson_t *head =
        BCON_NEW("version", BCON_UTF8(modern ? "4.4.6" : "3.6.8"), "gitVersion",
                 BCON_UTF8("modelled"), "modules", "[", "]", "allocator", BCON_UTF8("system"),
                 "javascriptEngine", BCON_UTF8("none"), "sysInfo", BCON_UTF8("deprecated"),
                 "versionArray", "[", BCON_INT32(modern ? 4 : 3), BCON_INT32(modern ? 4 : 6),
                 BCON_INT32(modern ? 6 : 8), BCON_INT32(0), "]", "openssl", "{", "running",
                 BCON_UTF8("disabled"), "compiled", BCON_UTF8("disabled"), "}");
    bson_concat(&reply, head);
    bson_destroy(head);
    static const char *const keys[] = {"distmod",  "distarch",  "cc",          "ccflags",  "cxx",
                                       "cxxflags", "linkflags", "target_arch", "target_os"};
    bson_t environment;
    BSON_APPEND_DOCUMENT_BEGIN(&reply, "buildEnvironment", &environment);
    for (size_t i = 0; i < ARRAY_LENGTH(keys); i++) {
        bson_append_utf8(&environment, keys[i], -1, "", 0);
    }
    if (modern) {
        BSON_APPEND_UTF8(&environment, "cppdefines", "");
    }
    bson_append_document_end(&reply, &environment);
    bson_t *tail =
        BCON_NEW("bits", BCON_INT32(64), "debug", BCON_BOOL(false), "maxBsonObjectSize",
                 BCON_INT32(16 * 1024 * 1024), "storageEngines", "[", BCON_UTF8("wiredTiger"), "]");
    bson_concat(&reply, tail);
    bson_destroy(tail);
    mongo_call_ok(call, &reply);
}

/* The few fields that a driver or an operator's script looks at. */
void mongo_command_server_status(struct mongo_call *call) {
    const struct mongo_process *process = call->process;
    uint64_t uptime_ms = call->set->now_ms - process->started_ms;
    bson_t reply = BSON_INITIALIZER;
    bson_t child;
    BSON_APPEND_UTF8(&reply, "host", process->host);
    BSON_APPEND_UTF8(&reply, "version", mongo_is_44(process) ? "4.4.6" : "3.6.8");
    BSON_APPEND_UTF8(&reply, "process", "mongod");
    BSON_APPEND_DOUBLE(&reply, "uptime", (double)uptime_ms / 1000);
    BSON_APPEND_INT64(&reply, "uptimeMillis", (int64_t)uptime_ms);
    mongo_append_date(&reply, "localTime", mongo_wall_ms(call->set));
    if (process->config != NULL && process->self != MONGO_NONE) {
        BSON_APPEND_DOCUMENT_BEGIN(&reply, "repl", &child);
        BSON_APPEND_UTF8(&child, "setName", process->config->name);
        BSON_APPEND_INT32(&child, "setVersion", (int32_t)process->config->version);
        BSON_APPEND_BOOL(&child, "ismaster", process->writable && !process->stepping_down);
        BSON_APPEND_BOOL(&child, "secondary", process->state == STATE_SECONDARY);
        BSON_APPEND_UTF8(&child, "me", process->host);
        BSON_APPEND_INT32(&child, "rbid", process->rollback_id);
        bson_append_document_end(&reply, &child);
    }
    BSON_APPEND_DOCUMENT_BEGIN(&reply, "opcounters", &child);
    BSON_APPEND_INT64(&child, "insert", process->inserts);
    BSON_APPEND_INT64(&child, "update", process->updates);
    BSON_APPEND_INT64(&child, "delete", process->deletes);
    bson_append_document_end(&reply, &child);
    BSON_APPEND_DOCUMENT_BEGIN(&reply, "storageEngine", &child);
    BSON_APPEND_UTF8(&child, "name", "wiredTiger");
    bson_append_document_end(&reply, &child);
    mongo_call_ok(call, &reply);
}

void mongo_command_get_parameter(struct mongo_call *call) {
    bson_t reply = BSON_INITIALIZER;
    bson_t child;
    if (!mongo_call_flag(call, "featureCompatibilityVersion")) {
        bson_destroy(&reply);
        mongo_call_fail(call, CODE_BAD_VALUE, "no option found to get");
        return;
    }
    BSON_APPEND_DOCUMENT_BEGIN(&reply, "featureCompatibilityVersion", &child);
    BSON_APPEND_UTF8(&child, "version", mongo_is_44(call->process) ? "4.4" : "3.6");
    bson_append_document_end(&reply, &child);
    mongo_call_ok(call, &reply);
}

void mongo_command_default_concern(struct mongo_call *call) {
    bson_t reply = BSON_INITIALIZER;
    mongo_append_date(&reply, "localUpdateWallClockTime", mongo_wall_ms(call->set));
    mongo_call_ok(call, &reply);
}

void mongo_command_rollback_id(struct mongo_call *call) {
    bson_t reply = BSON_INITIALIZER;
    BSON_APPEND_INT32(&reply, "rbid", call->process->rollback_id);
    mongo_call_ok(call, &reply);
}

/* As a client asks it, to learn the term: nobody is voted for. */
void mongo_command_request_votes(struct mongo_call *call) {
    bson_t reply = BSON_INITIALIZER;
    if (!mongo_call_is_initiated(call)) {
        bson_destroy(&reply);
        return;
    }
    BSON_APPEND_INT64(&reply, "term", call->process->term);
    BSON_APPEND_BOOL(&reply, "voteGranted", false);
    BSON_APPEND_UTF8(&reply, "reason", "candidate's term is lower than mine");
    mongo_call_ok(call, &reply);
}

void mongo_command_fail_point(struct mongo_call *call) {
    struct mongo_process *process = call->process;
    bson_iter_t iter;
    bson_t reply = BSON_INITIALIZER;
    const char *name =
        mongo_call_find(call, "configureFailPoint", &iter) && BSON_ITER_HOLDS_UTF8(&iter)
            ? bson_iter_utf8(&iter, NULL)
            : "";
    bool on = mongo_call_find(call, "mode", &iter) && BSON_ITER_HOLDS_UTF8(&iter) &&
              text_equal(bson_iter_utf8(&iter, NULL), "alwaysOn");
    if (text_equal(name, "blockHeartbeatReconfigFinish")) {
        process->block_config = on;
    } else if (text_equal(name, "omitConfigQuorumCheck")) {
        process->omit_quorum = on;
    } else if (text_equal(name, "rsSyncApplyStop")) {
        process->apply_stopped = on;
        mongo_replication_resume_apply(process);
    } else {
        bson_destroy(&reply);
        mongo_call_fail(call, CODE_BAD_VALUE, "%.60s is not modelled", name);
        return;
    }
    BSON_APPEND_INT32(&reply, "count", 1);
    mongo_call_ok(call, &reply);
}

/* With lock: nothing is applied and no configuration stored until it is unlocked. */
void mongo_command_fsync(struct mongo_call *call) {
    bson_t reply = BSON_INITIALIZER;
    bool lock = mongo_call_flag(call, "lock");
    if (lock) {
        call->process->fsync_locked = true;
        mongo_replication_resume_apply(call->process);
        BSON_APPEND_UTF8(&reply, "info",
                         "now locked against writes, use db.fsyncUnlock() to unlock");
        BSON_APPEND_INT64(&reply, "lockCount", 1);
        BSON_APPEND_UTF8(&reply, "seeAlso", "http://dochub.mongodb.org/core/fsynccommand");
    } else {
        BSON_APPEND_INT32(&reply, "numFiles", 1);
    }
    mongo_call_ok(call, &reply);
}

void mongo_command_fsync_unlock(struct mongo_call *call) {
    bson_t reply = BSON_INITIALIZER;
    call->process->fsync_locked = false;
    mongo_replication_resume_apply(call->process);
    BSON_APPEND_UTF8(&reply, "info", "fsyncUnlock completed");
    BSON_APPEND_INT64(&reply, "lockCount", 0);
    mongo_call_ok(call, &reply);
}
