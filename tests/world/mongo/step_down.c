/* Commands that ask a member to give way, to stand, or to stay out. */
#include <string.h>

#include "base/text.h"
#include "private.h"

#define STEP_DOWN_DEFAULT_S 60
#define CATCH_UP_DEFAULT_S 10

/* --- replSetStepDown --- */

/* As the primary knows it: a secondary that has just died still counts. */
static bool step_down_is_safe(const struct mongo_process *process) {
    struct mongo_optime last = mongo_oplog_last(&process->log);
    const struct mongo_config *config = process->config;
    bool electable = false;
    unsigned voters = 0;
    for (size_t i = 0; i < config->member_count; i++) {
        int host = mongo_member_host(process, i);
        bool self = host == (int)process->index;
        bool current = self || (!mongo_heartbeat_is_down(process, host) &&
                                mongo_optime_order(process->progress[host], last) >= 0);
        voters += current && config->members[i].votes == 1 ? 1 : 0;
        electable = electable || (current && !self && config->members[i].priority > 0);
    }
    return electable && voters >= mongo_config_write_majority(config);
}

static int step_down_candidate(const struct mongo_process *process) {
    struct mongo_optime last = mongo_oplog_last(&process->log);
    double best = 0;
    int candidate = MONGO_NONE;
    for (size_t i = 0; i < process->config->member_count; i++) {
        int host = mongo_member_host(process, i);
        const struct mongo_config_member *member = &process->config->members[i];
        if (host != (int)process->index && !mongo_heartbeat_is_down(process, host) &&
            mongo_optime_order(process->progress[host], last) >= 0 && member->priority > best) {
            best = member->priority;
            candidate = host;
        }
    }
    return candidate;
}

/* One candidate is told to stand at once: the first by _id of those with the highest priority. It
 * isn't asked whether it may. */
void mongo_hand_over(struct mongo_process *process) {
    int candidate = step_down_candidate(process);
    if (candidate != MONGO_NONE) {
        mongo_message_send(process->set,
                           mongo_message_create(MESSAGE_HAND_OVER, (int)process->index, candidate),
                           0);
    }
}

static void step_down_now(struct mongo_waiter *waiter) {
    struct mongo_call *call = waiter->call;
    struct mongo_process *process = call->process;
    bson_t reply = BSON_INITIALIZER;
    mongo_connections_doom(process, call->connection);
    /* Before the state changes: it knows the others' progress as a primary. */
    mongo_hand_over(process);
    const struct mongo_connection *own = mongo_connection_find(call->set, call->connection);
    bool doomed = own != NULL && own->doomed;
    mongo_step_down(process, "replSetStepDown");
    struct mongo_connection *connection = mongo_connection_find(call->set, call->connection);
    if (connection != NULL) {
        connection->doomed = doomed;
    }
    process->stepped_down_until_ms = call->received_ms + waiter->period_ms;
    if (process->config->member_count == 1) {
        process->timers[TIMER_STEP_UP] = process->stepped_down_until_ms;
    }
    mongo_call_ok(call, &reply);
}

static bool step_down_check(struct mongo_waiter *waiter) {
    struct mongo_process *process = waiter->call->process;
    uint64_t now_ms = process->set->now_ms;
    if (process->state != STATE_PRIMARY) {
        mongo_call_fail(waiter->call, CODE_STEPPED_DOWN, "stepped down while waiting");
        return true;
    }
    if (waiter->problem != 0) {
        process->stepping_down = false;
        mongo_topology_changed(process);
        mongo_call_fail(waiter->call, waiter->problem, "operation was interrupted");
        return true;
    }
    bool over = now_ms >= waiter->deadline_ms;
    if (step_down_is_safe(process) || (over && waiter->force)) {
        step_down_now(waiter);
        return true;
    }
    if (over || now_ms >= waiter->limit_ms) {
        process->stepping_down = false;
        mongo_topology_changed(process);
        mongo_call_fail(waiter->call, CODE_TIME_LIMIT,
                        "No electable secondaries caught up as of now. Please use the "
                        "replSetStepDown command with the argument {force: true}");
        return true;
    }
    return false;
}

static struct mongo_waiter *step_down_under_way(const struct mongo_process *process) {
    for (struct mongo_waiter *waiter = process->set->waiters; waiter != NULL;
         waiter = waiter->next) {
        if (waiter->check == step_down_check && waiter->call->process == process) {
            return waiter;
        }
    }
    return NULL;
}

void mongo_command_step_down(struct mongo_call *call) {
    struct mongo_process *process = call->process;
    bool force = mongo_call_flag(call, "force");
    double period_s = mongo_call_number(call, "replSetStepDown", 0);
    double catch_up_s = mongo_call_number(call, "secondaryCatchUpPeriodSecs", -2);
    if (!mongo_call_is_initiated(call)) {
        return;
    }
    period_s = period_s == 0 ? STEP_DOWN_DEFAULT_S : period_s;
    if (catch_up_s == -2) {
        catch_up_s = force ? 0 : CATCH_UP_DEFAULT_S;
    }
    if (period_s < 0 || catch_up_s < 0 || period_s < catch_up_s) {
        mongo_call_fail(call, CODE_BAD_VALUE,
                        "stepdown period must be longer than "
                        "secondaryCatchUpPeriodSecs");
        return;
    }
    if (process->state != STATE_PRIMARY) {
        mongo_call_fail(call, CODE_NOT_PRIMARY, "not primary so can't step down");
        return;
    }
    struct mongo_waiter *other = step_down_under_way(process);
    if (other != NULL) {
        other->problem = CODE_INTERRUPTED;
        mongo_call_fail(call, CODE_CONFLICTING_OPERATION,
                        "can't step down: another step-down is under way");
        return;
    }
    process->stepping_down = true;
    mongo_topology_changed(process);
    struct mongo_waiter *waiter = mongo_wait(call, step_down_check, mongo_call_limit_ms(call));
    waiter->force = force;
    waiter->period_ms = (uint64_t)(period_s * 1000);
    waiter->deadline_ms = call->set->now_ms + (uint64_t)(catch_up_s * 1000);
}

/* --- replSetStepUp --- */

static bool step_up_check(struct mongo_waiter *waiter) {
    struct mongo_process *process = waiter->call->process;
    bson_t reply = BSON_INITIALIZER;
    if (process->state == STATE_PRIMARY) {
        mongo_call_ok(waiter->call, &reply);
        return true;
    }
    bson_destroy(&reply);
    if (process->election.standing && process->step_up_outcome == OUTCOME_NONE) {
        return false;
    }
    mongo_call_fail(waiter->call, CODE_COMMAND_FAILED, "Election failed.");
    return true;
}

void mongo_command_step_up(struct mongo_call *call) {
    struct mongo_process *process = call->process;
    bson_t reply = BSON_INITIALIZER;
    if (!mongo_call_is_initiated(call)) {
        bson_destroy(&reply);
        return;
    }
    if (process->state == STATE_PRIMARY) {
        mongo_call_ok(call, &reply);
        return;
    }
    bson_destroy(&reply);
    if (mongo_election_obstacle(process) != NULL) {
        mongo_call_fail(call, CODE_COMMAND_FAILED, "Election failed.");
        return;
    }
    process->step_up_outcome = OUTCOME_NONE;
    mongo_election_stand(process, false);
    (void)mongo_wait(call, step_up_check, MONGO_NEVER_MS);
}

/* --- replSetFreeze --- */

void mongo_command_freeze(struct mongo_call *call) {
    struct mongo_process *process = call->process;
    uint64_t now_ms = call->set->now_ms;
    double seconds = mongo_call_number(call, "replSetFreeze", 0);
    bson_t reply = BSON_INITIALIZER;
    if (!mongo_call_is_initiated(call)) {
        bson_destroy(&reply);
        return;
    }
    if (process->state == STATE_PRIMARY) {
        bson_destroy(&reply);
        mongo_call_fail(call, CODE_NOT_SECONDARY,
                        "cannot freeze node when primary or running for election");
        return;
    }
    if (seconds < 0) {
        process->frozen_until_ms = 0; /* a moment that has passed */
        mongo_call_ok(call, &reply);
        return;
    }
    seconds = (double)(uint64_t)seconds;
    if (seconds == 0) {
        BSON_APPEND_UTF8(&reply, "info", "unfreezing");
        process->frozen_until_ms = 0;
        process->stepped_down_until_ms = 0;
        if (process->config->member_count == 1 && process->state == STATE_SECONDARY) {
            process->timers[TIMER_STEP_UP] = now_ms + 1;
        }
    } else {
        if (seconds == 1) {
            BSON_APPEND_UTF8(&reply, "warning", "you really want to freeze for only 1 second?");
        }
        process->frozen_until_ms = now_ms + (uint64_t)(seconds * 1000);
    }
    mongo_call_ok(call, &reply);
}

/* --- replSetMaintenance --- */

void mongo_command_maintenance(struct mongo_call *call) {
    struct mongo_process *process = call->process;
    bool on = mongo_call_flag(call, "replSetMaintenance");
    bson_t reply = BSON_INITIALIZER;
    bool right = on ? process->state == STATE_SECONDARY || process->maintenance > 0
                    : process->maintenance > 0;
    if (!mongo_call_is_initiated(call)) {
        bson_destroy(&reply);
        return;
    }
    if (!right) {
        bson_destroy(&reply);
        mongo_call_fail(call, CODE_NOT_SECONDARY, "the member is not a secondary in maintenance");
        return;
    }
    process->maintenance += on ? 1U : -1U;
    mongo_process_set_state(process, process->maintenance > 0 ? STATE_RECOVERING : STATE_SECONDARY);
    mongo_call_ok(call, &reply);
}

/* --- shutdown --- */

void mongo_command_shutdown(struct mongo_call *call) {
    struct mongo_process *process = call->process;
    bool primary = process->state == STATE_PRIMARY;
    /* 3.6 and 4.4 alike: a primary steps down first, when it can, and is gone about a second later.
     */
    if (primary && process->config != NULL) {
        mongo_hand_over(process);
        mongo_step_down(process, "shutdown");
    }
    process->closing = true;
    process->timers[TIMER_GONE] = process->set->now_ms + (primary ? 1000 : 20);
    mongo_call_free(call);
}
