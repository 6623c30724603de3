/* replSetGetStatus and replSetGetConfig. */
#include <stdio.h>

#include "private.h"

static const char *status_text(enum mongo_state state) {
    switch (state) {
    case STATE_STARTUP:
        return "STARTUP";
    case STATE_PRIMARY:
        return "PRIMARY";
    case STATE_SECONDARY:
        return "SECONDARY";
    case STATE_RECOVERING:
        return "RECOVERING";
    case STATE_STARTUP2:
        return "STARTUP2";
    case STATE_UNKNOWN:
        return "UNKNOWN";
    case STATE_ARBITER:
        return "ARBITER";
    case STATE_DOWN:
        return "(not reachable/healthy)";
    case STATE_ROLLBACK:
        return "ROLLBACK";
    case STATE_REMOVED:
        return "REMOVED";
    }
    return "UNKNOWN";
}

static void status_append_source(const struct mongo_process *process, int source, bson_t *to) {
    const char *host = source == MONGO_NONE ? "" : process->set->hosts[source];
    int member = source == MONGO_NONE ? -1 : mongo_config_find(process->config, host);
    if (!mongo_is_44(process)) {
        BSON_APPEND_UTF8(to, "syncingTo", host);
    }
    BSON_APPEND_UTF8(to, "syncSourceHost", host);
    BSON_APPEND_INT32(to, "syncSourceId", member < 0 ? -1 : process->config->members[member].id);
}

static void status_append_optimes(const struct mongo_process *process, bson_t *reply) {
    struct mongo_optime last = mongo_oplog_last(&process->log);
    struct mongo_optime committed = process->committed;
    bool walls = mongo_is_44(process);
    bson_t optimes;
    BSON_APPEND_DOCUMENT_BEGIN(reply, "optimes", &optimes);
    mongo_append_optime(&optimes, "lastCommittedOpTime", committed);
    if (walls) {
        mongo_append_date(&optimes, "lastCommittedWallTime", committed.seconds * 1000ULL);
    }
    if (process->snapshot || walls) {
        mongo_append_optime(&optimes, "readConcernMajorityOpTime", committed);
    }
    if (walls) {
        mongo_append_date(&optimes, "readConcernMajorityWallTime", committed.seconds * 1000ULL);
    }
    mongo_append_optime(&optimes, "appliedOpTime", last);
    mongo_append_optime(&optimes, "durableOpTime", last);
    if (walls) {
        mongo_append_date(&optimes, "lastAppliedWallTime", last.seconds * 1000ULL);
        mongo_append_date(&optimes, "lastDurableWallTime", last.seconds * 1000ULL);
    }
    bson_append_document_end(reply, &optimes);
}

static unsigned status_writable_voters(const struct mongo_config *config) {
    unsigned count = 0;
    for (size_t i = 0; i < config->member_count; i++) {
        count += config->members[i].votes == 1 && !config->members[i].arbiter ? 1 : 0;
    }
    return count;
}

/* 4.4 tells how it became primary, or for whom it voted. */
static void status_append_election(const struct mongo_process *process, bson_t *reply) {
    struct mongo_optime last = mongo_oplog_last(&process->log);
    uint64_t wall_ms = process->set->options.wall_ms + process->elected_ms;
    bson_t metrics;
    if (process->state == STATE_PRIMARY) {
        BSON_APPEND_DOCUMENT_BEGIN(reply, "electionCandidateMetrics", &metrics);
        BSON_APPEND_UTF8(&metrics, "lastElectionReason", "electionTimeout");
        mongo_append_date(&metrics, "lastElectionDate", wall_ms);
        BSON_APPEND_INT64(&metrics, "electionTerm", process->elected_term);
        mongo_append_optime(&metrics, "lastCommittedOpTimeAtElection", process->committed);
        mongo_append_optime(&metrics, "lastSeenOpTimeAtElection", last);
        BSON_APPEND_INT32(&metrics, "numVotesNeeded",
                          (int32_t)(mongo_config_voters(process->config) / 2 + 1));
        BSON_APPEND_DOUBLE(&metrics, "priorityAtElection", mongo_self(process)->priority);
        BSON_APPEND_INT64(&metrics, "electionTimeoutMillis", process->config->election_timeout_ms);
        BSON_APPEND_INT64(&metrics, "numCatchUpOps", 0);
        mongo_append_date(&metrics, "newTermStartDate", wall_ms);
        mongo_append_date(&metrics, "wMajorityWriteAvailabilityDate", wall_ms);
        bson_append_document_end(reply, &metrics);
    } else if (process->voted_for != MONGO_NONE && process->voted_for != (int)process->index) {
        int member = mongo_config_find(process->config, process->set->hosts[process->voted_for]);
        BSON_APPEND_DOCUMENT_BEGIN(reply, "electionParticipantMetrics", &metrics);
        BSON_APPEND_BOOL(&metrics, "votedForCandidate", true);
        BSON_APPEND_INT64(&metrics, "electionTerm", process->voted_term);
        mongo_append_date(&metrics, "lastVoteDate", wall_ms);
        BSON_APPEND_INT32(&metrics, "electionCandidateMemberId",
                          member < 0 ? -1 : process->config->members[member].id);
        BSON_APPEND_UTF8(&metrics, "voteReason", "");
        mongo_append_optime(&metrics, "lastAppliedOpTimeAtElection", last);
        mongo_append_optime(&metrics, "maxAppliedOpTimeInSet", last);
        BSON_APPEND_DOUBLE(&metrics, "priorityAtElection", mongo_self(process)->priority);
        mongo_append_date(&metrics, "newTermStartDate", wall_ms);
        mongo_append_date(&metrics, "newTermAppliedDate", wall_ms);
        bson_append_document_end(reply, &metrics);
    }
}

static void status_append_elected(bson_t *child, uint32_t seconds) {
    BSON_APPEND_TIMESTAMP(child, "electionTime", seconds, 1);
    mongo_append_date(child, "electionDate", seconds * 1000ULL);
}

static void status_append_self(const struct mongo_process *process, bson_t *child) {
    struct mongo_optime last = mongo_oplog_last(&process->log);
    BSON_APPEND_DOUBLE(child, "health", 1);
    BSON_APPEND_INT32(child, "state", (int32_t)process->state);
    BSON_APPEND_UTF8(child, "stateStr", status_text(process->state));
    BSON_APPEND_INT32(child, "uptime",
                      (int32_t)((process->set->now_ms - process->started_ms) / 1000));
    if (process->state != STATE_ARBITER) {
        mongo_append_optime(child, "optime", last);
        mongo_append_date(child, "optimeDate", last.seconds * 1000ULL);
    }
    status_append_source(process, process->source, child);
    if (process->maintenance > 0) {
        BSON_APPEND_INT32(child, "maintenanceMode", (int32_t)process->maintenance);
    }
    BSON_APPEND_UTF8(child, "infoMessage", "");
    if (process->state == STATE_PRIMARY) {
        status_append_elected(child, process->elected_seconds);
    }
    BSON_APPEND_INT32(child, "configVersion", (int32_t)process->config->version);
    if (mongo_is_44(process)) {
        BSON_APPEND_INT32(child, "configTerm", (int32_t)process->config->term);
    }
    BSON_APPEND_BOOL(child, "self", true);
    BSON_APPEND_UTF8(child, "lastHeartbeatMessage", "");
}

static void status_append_other(const struct mongo_process *process, int host, bool arbiter,
                                bson_t *child) {
    const struct mongo_belief *belief = &process->beliefs[host];
    const struct mongo_set *set = process->set;
    enum mongo_state state = belief->known ? belief->state : STATE_STARTUP;
    struct mongo_optime applied = belief->up ? belief->applied : MONGO_OPTIME_NONE;
    BSON_APPEND_DOUBLE(child, "health", belief->up || !belief->known ? 1 : 0);
    BSON_APPEND_INT32(child, "state", (int32_t)state);
    BSON_APPEND_UTF8(child, "stateStr", status_text(state));
    BSON_APPEND_INT32(child, "uptime",
                      belief->up ? (int32_t)((set->now_ms - belief->up_since_ms) / 1000) : 0);
    if (!arbiter) {
        mongo_append_optime(child, "optime", applied);
        mongo_append_optime(child, "optimeDurable", applied);
        mongo_append_date(child, "optimeDate", applied.seconds * 1000ULL);
        mongo_append_date(child, "optimeDurableDate", applied.seconds * 1000ULL);
    }
    mongo_append_date(child, "lastHeartbeat",
                      belief->known ? set->options.wall_ms + belief->replied_ms : 0);
    mongo_append_date(child, "lastHeartbeatRecv",
                      belief->received_ms > 0 ? set->options.wall_ms + belief->received_ms : 0);
    BSON_APPEND_INT64(child, "pingMs", 0);
    BSON_APPEND_UTF8(child, "lastHeartbeatMessage", belief->trouble);
    status_append_source(process, belief->up ? belief->sync_source : MONGO_NONE, child);
    BSON_APPEND_UTF8(child, "infoMessage", "");
    if (belief->up && belief->state == STATE_PRIMARY) {
        status_append_elected(child, belief->elected_seconds);
    }
    BSON_APPEND_INT32(child, "configVersion", (int32_t)belief->config_version);
    if (mongo_is_44(process)) {
        BSON_APPEND_INT32(child, "configTerm", (int32_t)belief->config_term);
    }
}

static void status_append_members(const struct mongo_process *process, bson_t *reply) {
    bson_t members;
    BSON_APPEND_ARRAY_BEGIN(reply, "members", &members);
    for (size_t i = 0; i < process->config->member_count; i++) {
        const struct mongo_config_member *member = &process->config->members[i];
        int host = mongo_member_host(process, i);
        char index[24];
        bson_t child;
        (void)snprintf(index, sizeof(index), "%zu", i);
        BSON_APPEND_DOCUMENT_BEGIN(&members, index, &child);
        BSON_APPEND_INT32(&child, "_id", member->id);
        BSON_APPEND_UTF8(&child, "name", member->host);
        if (host == (int)process->index) {
            status_append_self(process, &child);
        } else {
            status_append_other(process, host, member->arbiter, &child);
        }
        bson_append_document_end(&members, &child);
    }
    bson_append_array_end(reply, &members);
}

/* A removed member: an error that on 3.6 tells of itself. */
static void status_fail_removed(struct mongo_call *call) {
    const struct mongo_process *process = call->process;
    struct mongo_optime last = mongo_oplog_last(&process->log);
    bson_t reply = BSON_INITIALIZER;
    if (!mongo_is_44(process)) {
        BSON_APPEND_INT32(&reply, "state", STATE_REMOVED);
        BSON_APPEND_UTF8(&reply, "stateStr", status_text(STATE_REMOVED));
        BSON_APPEND_INT32(&reply, "uptime",
                          (int32_t)((call->set->now_ms - process->started_ms) / 1000));
        mongo_append_optime(&reply, "optime", last);
        mongo_append_date(&reply, "optimeDate", last.seconds * 1000ULL);
        BSON_APPEND_UTF8(&reply, "lastHeartbeatMessage", "");
        status_append_source(process, MONGO_NONE, &reply);
        BSON_APPEND_UTF8(&reply, "infoMessage", "");
    }
    mongo_call_fail_with(call, &reply, CODE_INVALID_CONFIG,
                         "Our replica set config is invalid or we are not a member of it");
}

void mongo_command_status(struct mongo_call *call) {
    const struct mongo_process *process = call->process;
    bson_t reply = BSON_INITIALIZER;
    if (!mongo_call_is_initiated(call)) {
        bson_destroy(&reply);
        return;
    }
    if (process->self == MONGO_NONE) {
        bson_destroy(&reply);
        status_fail_removed(call);
        return;
    }
    const struct mongo_config *config = process->config;
    BSON_APPEND_UTF8(&reply, "set", config->name);
    mongo_append_date(&reply, "date", mongo_wall_ms(call->set));
    BSON_APPEND_INT32(&reply, "myState", (int32_t)process->state);
    BSON_APPEND_INT64(&reply, "term", process->term);
    status_append_source(process, process->source, &reply);
    BSON_APPEND_INT64(&reply, "heartbeatIntervalMillis", config->heartbeat_interval_ms);
    if (mongo_is_44(process)) {
        BSON_APPEND_INT32(&reply, "majorityVoteCount",
                          (int32_t)(mongo_config_voters(config) / 2 + 1));
        BSON_APPEND_INT32(&reply, "writeMajorityCount",
                          (int32_t)mongo_config_write_majority(config));
        BSON_APPEND_INT32(&reply, "votingMembersCount", (int32_t)mongo_config_voters(config));
        BSON_APPEND_INT32(&reply, "writableVotingMembersCount",
                          (int32_t)status_writable_voters(config));
    }
    status_append_optimes(process, &reply);
    if (mongo_is_44(process)) {
        BSON_APPEND_TIMESTAMP(&reply, "lastStableRecoveryTimestamp", process->committed.seconds,
                              process->committed.increment);
        status_append_election(process, &reply);
    }
    status_append_members(process, &reply);
    mongo_call_ok(call, &reply);
}

void mongo_command_get_config(struct mongo_call *call) {
    const struct mongo_process *process = call->process;
    bson_t reply = BSON_INITIALIZER;
    bson_t child;
    bool status = mongo_is_44(process) && mongo_call_flag(call, "commitmentStatus");
    if (!mongo_call_is_initiated(call)) {
        bson_destroy(&reply);
        return;
    }
    if (status && process->state != STATE_PRIMARY) {
        bson_destroy(&reply);
        mongo_call_fail(call, CODE_NOT_PRIMARY, "commitmentStatus is only supported on primary");
        return;
    }
    BSON_APPEND_DOCUMENT_BEGIN(&reply, "config", &child);
    mongo_config_append(process->config, call->set->release, &child);
    bson_append_document_end(&reply, &child);
    if (status) {
        BSON_APPEND_BOOL(&reply, "commitmentStatus", mongo_config_committed(process));
    }
    mongo_call_ok(call, &reply);
}
