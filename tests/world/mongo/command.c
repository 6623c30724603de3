/* Requests: which command, who may ask for it where, and what every reply ends with. */
#include <stdarg.h>
#include <stdio.h>

#include "alloc.h"
#include "base/text.h"
#include "private.h"

static const struct command_row {
    const char *name;
    void (*handle)(struct mongo_call *call);
    bool admin; /* in the database "admin" only */
    bool only_44;
} command_table[] = {
    {"hello", mongo_command_hello, false, true},
    {"isMaster", mongo_command_hello, false, false},
    {"ismaster", mongo_command_hello, false, false},
    {"ping", mongo_command_ping, false, false},
    {"buildInfo", mongo_command_build_info, false, false},
    {"buildinfo", mongo_command_build_info, false, false},
    {"serverStatus", mongo_command_server_status, false, false},
    {"getParameter", mongo_command_get_parameter, true, false},
    {"getDefaultRWConcern", mongo_command_default_concern, true, true},
    {"replSetGetStatus", mongo_command_status, true, false},
    {"replSetGetConfig", mongo_command_get_config, true, false},
    {"replSetInitiate", mongo_command_initiate, true, false},
    {"replSetReconfig", mongo_command_reconfig, true, false},
    {"replSetStepDown", mongo_command_step_down, true, false},
    {"replSetStepUp", mongo_command_step_up, true, false},
    {"replSetFreeze", mongo_command_freeze, true, false},
    {"replSetMaintenance", mongo_command_maintenance, true, false},
    {"replSetGetRBID", mongo_command_rollback_id, true, false},
    {"replSetRequestVotes", mongo_command_request_votes, true, false},
    {"shutdown", mongo_command_shutdown, true, false},
    {"configureFailPoint", mongo_command_fail_point, true, false},
    {"fsync", mongo_command_fsync, true, false},
    {"fsyncUnlock", mongo_command_fsync_unlock, true, false},
    {"insert", mongo_command_insert, false, false},
    {"update", mongo_command_update, false, false},
    {"delete", mongo_command_delete, false, false},
    {"appendOplogNote", mongo_command_note, true, false},
    {"find", mongo_command_find, false, false},
    {"count", mongo_command_count, false, false},
    {"aggregate", mongo_command_count, false, false},
    {"getMore", mongo_command_get_more, false, false},
    {"killCursors", mongo_command_ping, false, false},
    {"endSessions", mongo_command_ping, false, false},
    {"listCollections", mongo_command_list_collections, false, false},
    {"listDatabases", mongo_command_list_databases, true, false},
};

static const struct command_code {
    int code;
    const char *name_36;
    const char *name_44;
} command_codes[] = {
    {CODE_BAD_VALUE, "BadValue", "BadValue"},
    {CODE_UNAUTHORIZED, "Unauthorized", "Unauthorized"},
    {CODE_TYPE_MISMATCH, "TypeMismatch", "TypeMismatch"},
    {CODE_ALREADY_INITIALIZED, "AlreadyInitialized", "AlreadyInitialized"},
    {CODE_CURSOR_NOT_FOUND, "CursorNotFound", "CursorNotFound"},
    {CODE_TIME_LIMIT, "ExceededTimeLimit", "MaxTimeMSExpired"},
    {CODE_COMMAND_NOT_FOUND, "CommandNotFound", "CommandNotFound"},
    {CODE_WRITE_CONCERN_FAILED, "WriteConcernFailed", "WriteConcernFailed"},
    {CODE_NODE_NOT_FOUND, "NodeNotFound", "NodeNotFound"},
    {CODE_NO_REPLICATION, "NoReplicationEnabled", "NoReplicationEnabled"},
    {CODE_SHUTDOWN, "ShutdownInProgress", "ShutdownInProgress"},
    {CODE_INVALID_CONFIG, "InvalidReplicaSetConfig", "InvalidReplicaSetConfig"},
    {CODE_NOT_INITIALIZED, "NotYetInitialized", "NotYetInitialized"},
    {CODE_NOT_SECONDARY, "NotSecondary", "NotSecondary"},
    {CODE_UNSATISFIABLE, "CannotSatisfyWriteConcern", "UnsatisfiableWriteConcern"},
    {CODE_INCOMPATIBLE_CONFIG, "NewReplicaSetConfigurationIncompatible",
     "NewReplicaSetConfigurationIncompatible"},
    {CODE_NOT_ELECTABLE, "NodeNotElectable", "NodeNotElectable"},
    {CODE_CONFIG_IN_PROGRESS, "ConfigurationInProgress", "ConfigurationInProgress"},
    {CODE_CONFLICTING_OPERATION, "ConflictingOperationInProgress",
     "ConflictingOperationInProgress"},
    {CODE_COMMAND_FAILED, "CommandFailed", "CommandFailed"},
    {CODE_STEPPED_DOWN, "PrimarySteppedDown", "PrimarySteppedDown"},
    {CODE_CONFIG_NOT_COMMITTED, "CurrentConfigNotCommittedYet", "CurrentConfigNotCommittedYet"},
    {CODE_NOT_PRIMARY, "NotMaster", "NotWritablePrimary"},
    {CODE_DUPLICATE_KEY, "DuplicateKey", "DuplicateKey"},
    {CODE_INTERRUPTED, "InterruptedDueToReplStateChange", "InterruptedDueToReplStateChange"},
    {CODE_NOT_PRIMARY_NO_SECONDARY_OK, "NotMasterNoSlaveOk", "NotPrimaryNoSecondaryOk"},
    {CODE_NOT_PRIMARY_OR_SECONDARY, "NotMasterOrSecondary", "NotPrimaryOrSecondary"},
};

const char *mongo_code_name(enum mongo_release release, int code) {
    for (size_t i = 0; i < ARRAY_LENGTH(command_codes); i++) {
        if (command_codes[i].code == code) {
            return release == MONGO_RELEASE_4_4 ? command_codes[i].name_44
                                                : command_codes[i].name_36;
        }
    }
    return "UnknownError";
}

/* --- reading a request --- */

bool mongo_call_find(const struct mongo_call *call, const char *key, bson_iter_t *ret_iter) {
    return bson_iter_init_find(ret_iter, call->command, key);
}

bool mongo_call_flag(const struct mongo_call *call, const char *key) {
    bson_iter_t iter;
    return mongo_call_find(call, key, &iter) && bson_iter_as_bool(&iter);
}

double mongo_call_number(const struct mongo_call *call, const char *key, double otherwise) {
    bson_iter_t iter;
    if (!mongo_call_find(call, key, &iter) || !BSON_ITER_HOLDS_NUMBER(&iter)) {
        return otherwise;
    }
    return BSON_ITER_HOLDS_DOUBLE(&iter) ? bson_iter_double(&iter)
                                         : (double)bson_iter_as_int64(&iter);
}

uint64_t mongo_call_limit_ms(const struct mongo_call *call) {
    double limit_ms = mongo_call_number(call, "maxTimeMS", 0);
    return limit_ms > 0 ? call->received_ms + (uint64_t)limit_ms : MONGO_NEVER_MS;
}

bool mongo_call_is_initiated(struct mongo_call *call) {
    if (call->process->standalone) {
        mongo_call_fail(call, CODE_NO_REPLICATION, "not running with --replSet");
        return false;
    }
    if (call->process->config == NULL || call->process->timers[TIMER_LOADED] != 0) {
        mongo_call_fail(call, CODE_NOT_INITIALIZED, "no replset config has been received");
        return false;
    }
    return true;
}

/* --- replying --- */

void mongo_append_optime(bson_t *to, const char *key, struct mongo_optime optime) {
    bson_t child;
    bson_append_document_begin(to, key, -1, &child);
    BSON_APPEND_TIMESTAMP(&child, "ts", optime.seconds, optime.increment);
    BSON_APPEND_INT64(&child, "t", optime.term);
    bson_append_document_end(to, &child);
}

void mongo_append_date(bson_t *to, const char *key, uint64_t wall_ms) {
    bson_append_date_time(to, key, -1, (int64_t)wall_ms);
}

/* The logical time goes with what a member with data says. */
static bool command_gossips(const struct mongo_process *process) {
    if (process->standalone || process->config == NULL || process->log.count == 0 ||
        process->state == STATE_ARBITER || process->state == STATE_STARTUP2) {
        return false;
    }
    return !mongo_is_44(process) || process->self != MONGO_NONE;
}

static void command_append_times(const struct mongo_process *process, bson_t *reply) {
    static const uint8_t hash[20] = {0};
    struct mongo_optime last = mongo_oplog_last(&process->log);
    bson_t cluster;
    bson_t signature;
    if (!command_gossips(process)) {
        return;
    }
    BSON_APPEND_DOCUMENT_BEGIN(reply, "$clusterTime", &cluster);
    BSON_APPEND_TIMESTAMP(&cluster, "clusterTime", last.seconds, last.increment);
    BSON_APPEND_DOCUMENT_BEGIN(&cluster, "signature", &signature);
    BSON_APPEND_BINARY(&signature, "hash", BSON_SUBTYPE_BINARY, hash, sizeof(hash));
    BSON_APPEND_INT64(&signature, "keyId", 0);
    bson_append_document_end(&cluster, &signature);
    bson_append_document_end(reply, &cluster);
    BSON_APPEND_TIMESTAMP(reply, "operationTime", last.seconds, last.increment);
}

void mongo_call_free(struct mongo_call *call) {
    if (call != NULL) {
        bson_destroy(call->command);
        free(call->database);
        free(call);
    }
}

void mongo_call_hang_up(struct mongo_call *call) {
    mongo_connection_close(call->set, call->connection);
    mongo_call_free(call);
}

void mongo_call_send(struct mongo_call *call, bson_t *reply, bool more) {
    struct mongo_set *set = call->set;
    command_append_times(call->process, reply);
    if (call->lose_reply) {
        mongo_connection_close(set, call->connection);
    } else if (!call->silent && !call->process->clients_cut &&
               mongo_connection_find(set, call->connection) != NULL) {
        set->options.reply(set->options.context, call->connection, call->request, reply, more);
    }
    bson_destroy(reply);
}

void mongo_call_ok(struct mongo_call *call, bson_t *reply) {
    BSON_APPEND_DOUBLE(reply, "ok", 1);
    mongo_call_send(call, reply, false);
    mongo_call_free(call);
}

static bool command_is_not_primary(int code) {
    return code == CODE_NOT_PRIMARY || code == CODE_NOT_PRIMARY_NO_SECONDARY_OK ||
           code == CODE_NOT_PRIMARY_OR_SECONDARY || code == CODE_INTERRUPTED ||
           code == CODE_STEPPED_DOWN || code == CODE_SHUTDOWN;
}

/* From 4.4 on the server tells a driver what it may send again, and drivers rely on it. */
void mongo_call_append_label(const struct mongo_call *call, int code, bson_t *reply) {
    bson_iter_t iter;
    bson_t labels;
    if (mongo_is_44(call->process) && command_is_not_primary(code) &&
        mongo_call_find(call, "txnNumber", &iter)) {
        BSON_APPEND_ARRAY_BEGIN(reply, "errorLabels", &labels);
        BSON_APPEND_UTF8(&labels, "0", "RetryableWriteError");
        bson_append_array_end(reply, &labels);
    }
}

void mongo_call_fail_with(struct mongo_call *call, bson_t *reply, int code, const char *message) {
    const struct mongo_process *process = call->process;
    bson_t version;
    if (mongo_is_44(process) && command_is_not_primary(code)) {
        BSON_APPEND_DOCUMENT_BEGIN(reply, "topologyVersion", &version);
        BSON_APPEND_OID(&version, "processId", &process->process_id);
        BSON_APPEND_INT64(&version, "counter", (int64_t)process->topology_counter);
        bson_append_document_end(reply, &version);
    }
    if (!mongo_is_44(process) && code == CODE_NOT_INITIALIZED) {
        BSON_APPEND_UTF8(reply, "info", "run rs.initiate(...) if not yet done for the set");
    }
    mongo_call_append_label(call, code, reply);
    BSON_APPEND_DOUBLE(reply, "ok", 0);
    BSON_APPEND_UTF8(reply, "errmsg", message);
    BSON_APPEND_INT32(reply, "code", code);
    BSON_APPEND_UTF8(reply, "codeName", mongo_code_name(call->set->release, code));
    mongo_call_send(call, reply, false);
    mongo_call_free(call);
}

void mongo_call_fail(struct mongo_call *call, int code, const char *format, ...) {
    bson_t reply = BSON_INITIALIZER;
    char message[MONGO_MESSAGE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    mongo_call_fail_with(call, &reply, code, message);
}

/* --- dispatch --- */

static const struct command_row *command_find(const struct mongo_call *call) {
    for (size_t i = 0; i < ARRAY_LENGTH(command_table); i++) {
        if (text_equal(command_table[i].name, call->name) &&
            (!command_table[i].only_44 || call->set->release == MONGO_RELEASE_4_4)) {
            return &command_table[i];
        }
    }
    return NULL;
}

void mongo_command_run(struct mongo_call *call) {
    bson_iter_t iter;
    call->name =
        bson_iter_init(&iter, call->command) && bson_iter_next(&iter) ? bson_iter_key(&iter) : "";
    struct mongo_connection *connection = mongo_connection_find(call->set, call->connection);
    const struct command_row *row = command_find(call);
    if (connection != NULL && (row == NULL || row->handle != mongo_command_hello)) {
        connection->only_hello = false;
    }
    if (row == NULL) {
        mongo_call_fail(call, CODE_COMMAND_NOT_FOUND, "no such command: '%.60s'", call->name);
    } else if (row->admin && !text_equal(call->database, "admin")) {
        mongo_call_fail(call, CODE_UNAUTHORIZED, "%s may only be run against the admin database.",
                        row->name);
    } else if (call->process->closing) {
        mongo_call_fail(call, CODE_SHUTDOWN, "The server is in quiesce mode and will shut down");
    } else {
        row->handle(call);
    }
}
