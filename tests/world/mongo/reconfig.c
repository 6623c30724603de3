/* replSetInitiate and replSetReconfig. */
#include <stdio.h>

#include "alloc.h"
#include "base/text.h"
#include "private.h"

#define INITIATE_MS 20
#define CHECK_MS 2
/* What a connection to nowhere takes. */
#define CONNECT_TIMEOUT_MS 5000
/* One member hangs, with and without force; two do. As recorded. */
#define HUNG_36_MS 31390
#define HUNG_36_FORCED_MS 30050
#define HUNG_36_TWO_MS 71520
#define HUNG_44_MS 30000
/* Until the new configuration counts as committed, when it isn't the old one anew. */
#define HUNG_44_CHANGED_MS 62800
#define HUNG_44_FORCED_MS 31030
#define NO_MAJORITY_44_MS 10000
#define FORCE_LOW 10000
#define FORCE_SPREAD 100000

enum reconfig_stage {
    STAGE_COMMITTED, /* waits until the present configuration is committed (4.4) */
    STAGE_CHECKING,  /* asks every member of the new one */
    STAGE_SPREADING, /* waits until the new one is committed (4.4) */
};

/* --- asking the members --- */

struct reconfig_survey {
    unsigned good_voters, hung, nowhere, initiated;
    unsigned unreachable; /* all that don't answer */
    bool electable;
};

/* The check is a heartbeat to each. Whether it is answered is read off here; how long it takes to
 * know is reconfig_duration_ms(). */
static struct reconfig_survey reconfig_ask(const struct mongo_process *process,
                                           const struct mongo_config *config) {
    struct reconfig_survey survey = {0};
    struct mongo_set *set = process->set;
    for (size_t i = 0; i < config->member_count; i++) {
        const struct mongo_config_member *member = &config->members[i];
        const struct mongo_process *peer = mongo_process_of(set, mongo_host_of(set, member->host));
        bool good = peer == process;
        if (peer != NULL && peer != process) {
            bool cut = process->cut_to[peer->index] || peer->cut_to[process->index];
            bool listens = peer->life == LIFE_UP || peer->life == LIFE_HUNG;
            survey.nowhere += cut || (!listens && peer->black_hole) ? 1 : 0;
            survey.hung += !cut && peer->life == LIFE_HUNG ? 1 : 0;
            survey.initiated += peer->config != NULL ? 1 : 0;
            good = !cut && peer->life == LIFE_UP;
        }
        survey.unreachable += good ? 0 : 1;
        survey.good_voters += good && member->votes == 1 ? 1 : 0;
        survey.electable = survey.electable || (good && member->priority > 0);
    }
    return survey;
}

static bool reconfig_has_quorum(const struct reconfig_survey *survey,
                                const struct mongo_config *config) {
    return survey->electable && survey->good_voters > mongo_config_voters(config) / 2;
}

static uint64_t reconfig_duration_ms(struct mongo_process *process,
                                     const struct mongo_config *config, bool force) {
    struct reconfig_survey survey = reconfig_ask(process, config);
    uint64_t nowhere_ms = (uint64_t)survey.nowhere * CONNECT_TIMEOUT_MS;
    uint64_t hung_ms = 0;
    process->unsettled_until_ms = 0;
    if (process->omit_quorum) {
        return CHECK_MS;
    }
    if (survey.hung > 0 && !mongo_is_44(process)) {
        hung_ms = survey.hung > 1 ? HUNG_36_TWO_MS : force ? HUNG_36_FORCED_MS : HUNG_36_MS;
    } else if (survey.hung > 0) {
        bool same = mongo_config_same_content(process->config, config, process->set->release);
        if (force) {
            hung_ms = same ? 0 : HUNG_44_FORCED_MS;
        } else if (!reconfig_has_quorum(&survey, config)) {
            hung_ms = NO_MAJORITY_44_MS;
        } else {
            hung_ms = HUNG_44_MS;
            process->unsettled_until_ms = same ? 0 : process->set->now_ms + HUNG_44_CHANGED_MS;
        }
    }
    return CHECK_MS + (hung_ms > nowhere_ms ? hung_ms : nowhere_ms);
}

/* A set that has known too many hosts in its life has no room for the beliefs about a new one. */
static bool reconfig_has_room(struct mongo_set *set, const struct mongo_config *config,
                              struct mongo_problem *problem) {
    for (size_t i = 0; i < config->member_count; i++) {
        if (mongo_host_of(set, config->members[i].host) == MONGO_NONE) {
            (void)mongo_problem_set(problem, CODE_INCOMPATIBLE_CONFIG,
                                    "more than %d hosts were ever named", MONGO_HOSTS_MAX);
            return false;
        }
    }
    return true;
}

/* --- replSetInitiate --- */

static struct mongo_config *initiate_default(const struct mongo_process *process) {
    struct mongo_problem problem;
    bson_t *document =
        BCON_NEW("_id", BCON_UTF8(process->set->name), "version", BCON_INT32(1), "members", "[",
                 "{", "_id", BCON_INT32(0), "host", BCON_UTF8(process->host), "}", "]");
    struct mongo_config *config = mongo_config_parse(document, process->set->release, &problem);
    bson_destroy(document);
    return config;
}

static struct mongo_config *initiate_parse(const struct mongo_call *call,
                                           struct mongo_problem *problem) {
    const struct mongo_process *process = call->process;
    const uint8_t *data = NULL;
    uint32_t size = 0;
    bson_t document;
    bson_iter_t iter;
    if (!mongo_call_find(call, "replSetInitiate", &iter) || !BSON_ITER_HOLDS_DOCUMENT(&iter)) {
        return initiate_default(process);
    }
    bson_iter_document(&iter, &size, &data);
    if (!bson_init_static(&document, data, size) || bson_empty(&document)) {
        return initiate_default(process);
    }
    bson_t full = BSON_INITIALIZER;
    bson_concat(&full, &document);
    if (!bson_has_field(&full, "version")) {
        BSON_APPEND_INT32(&full, "version", 1);
    }
    struct mongo_config *config = mongo_config_parse(&full, call->set->release, problem);
    bson_destroy(&full);
    return config;
}

static int initiate_judge(const struct mongo_process *process, const struct mongo_config *config,
                          struct mongo_problem *problem) {
    int self = mongo_config_find(config, process->host);
    if (!text_equal(config->name, process->set->name)) {
        return mongo_problem_set(problem, CODE_INVALID_CONFIG, "set name does not match: %s",
                                 config->name);
    }
    if (config->version != 1) {
        return mongo_problem_set(problem, CODE_INVALID_CONFIG, "version must be 1");
    }
    if (!mongo_config_check(config, problem) || !reconfig_has_room(process->set, config, problem)) {
        problem->code = CODE_INVALID_CONFIG;
        return problem->code;
    }
    if (self < 0 || config->members[self].priority <= 0) {
        return mongo_problem_set(problem, CODE_INVALID_CONFIG,
                                 "this node is not in the configuration, or not electable");
    }
    struct reconfig_survey survey = reconfig_ask(process, config);
    if (survey.unreachable > 0 || survey.initiated > 0) {
        return mongo_problem_set(problem, CODE_NODE_NOT_FOUND,
                                 "Quorum check failed: not all members could be reached");
    }
    return 0;
}

static void initiate_append_notes(const struct mongo_call *call, bson_t *reply) {
    bson_iter_t iter;
    bson_iter_t child;
    if (mongo_call_find(call, "replSetInitiate", &iter) && bson_iter_recurse(&iter, &child) &&
        !bson_iter_next(&child)) {
        BSON_APPEND_UTF8(reply, "info2",
                         "no configuration specified. "
                         "Using a default configuration for the set");
        BSON_APPEND_UTF8(reply, "me", call->process->host);
    }
}

static bool initiate_check(struct mongo_waiter *waiter) {
    struct mongo_process *process = waiter->call->process;
    bson_t reply = BSON_INITIALIZER;
    char id[25];
    if (process->set->now_ms < waiter->deadline_ms) {
        bson_destroy(&reply);
        return false;
    }
    (void)snprintf(id, sizeof(id), "%08x%016llx", (unsigned)(mongo_wall_ms(process->set) / 1000),
                   (unsigned long long)++process->set->sequence);
    waiter->config->has_set_id = true;
    bson_oid_init_from_string(&waiter->config->set_id, id);
    waiter->config->term = mongo_is_44(process) ? 0 : MONGO_NO_TERM;
    process->configuring = false;
    process->synced = true;
    /* Before there is a term. */
    (void)mongo_replication_write(process, NULL, NULL, false);
    mongo_config_install(process, waiter->config);
    initiate_append_notes(waiter->call, &reply);
    mongo_call_ok(waiter->call, &reply);
    return true;
}

void mongo_command_initiate(struct mongo_call *call) {
    struct mongo_process *process = call->process;
    struct mongo_problem problem = {0};
    bson_t reply = BSON_INITIALIZER;
    if (process->standalone) {
        bson_destroy(&reply);
        mongo_call_fail(call, CODE_NO_REPLICATION, "server is not running with --replSet");
        return;
    }
    if (process->config != NULL || process->configuring) {
        if (!mongo_is_44(process)) {
            initiate_append_notes(call, &reply);
            BSON_APPEND_UTF8(&reply, "info",
                             "try querying local.system.replset to see current "
                             "configuration");
        }
        mongo_call_fail_with(call, &reply, CODE_ALREADY_INITIALIZED, "already initialized");
        return;
    }
    bson_destroy(&reply);
    struct mongo_config *config = initiate_parse(call, &problem);
    if (config == NULL || initiate_judge(process, config, &problem) != 0) {
        mongo_config_unref(config);
        mongo_call_fail(call, problem.code, "%s", problem.message);
        return;
    }
    process->configuring = true;
    struct mongo_waiter *waiter = mongo_wait(call, initiate_check, MONGO_NEVER_MS);
    waiter->config = config;
    waiter->deadline_ms = call->set->now_ms + INITIATE_MS;
}

/* --- replSetReconfig --- */

static struct mongo_config *reconfig_parse(const struct mongo_call *call,
                                           struct mongo_problem *problem) {
    const struct mongo_process *process = call->process;
    const uint8_t *data = NULL;
    uint32_t size = 0;
    bson_t document;
    bson_iter_t iter;
    if (!mongo_call_find(call, "replSetReconfig", &iter) || !BSON_ITER_HOLDS_DOCUMENT(&iter)) {
        (void)mongo_problem_set(problem, CODE_BAD_VALUE, "no configuration specified");
        return NULL;
    }
    bson_iter_document(&iter, &size, &data);
    if (!bson_init_static(&document, data, size)) {
        (void)mongo_problem_set(problem, CODE_BAD_VALUE, "the configuration is not BSON");
        return NULL;
    }
    struct mongo_config *config = mongo_config_parse(&document, call->set->release, problem);
    if (config != NULL && !text_equal(config->name, process->set->name)) {
        (void)mongo_problem_set(problem, CODE_INVALID_CONFIG,
                                "New and old configurations differ in replica set name");
        mongo_config_unref(config);
        return NULL;
    }
    return config;
}

static int reconfig_judge(struct mongo_process *process, struct mongo_config *config, bool force,
                          struct mongo_problem *problem) {
    const struct mongo_config *before = process->config;
    bool modern = mongo_is_44(process);
    if (force) {
        /* 3.6 counts from what it was asked for, and refuses what isn't greater then. */
        int64_t from =
            modern && before->version > config->version ? before->version : config->version;
        config->version = from + FORCE_LOW + (int64_t)mongo_random(process, FORCE_SPREAD);
        config->forced = true;
    }
    if (!mongo_config_check(config, problem) || !reconfig_has_room(process->set, config, problem) ||
        !mongo_config_check_change(before, config, process->set->release, force, problem)) {
        return problem->code;
    }
    int self = mongo_config_find(config, process->host);
    if (self < 0) {
        return mongo_problem_set(problem, modern ? CODE_NODE_NOT_FOUND : CODE_INCOMPATIBLE_CONFIG,
                                 "No host described in new configuration maps to this node");
    }
    if (!force && config->members[self].priority <= 0) {
        return mongo_problem_set(problem, modern ? CODE_NOT_ELECTABLE : CODE_INCOMPATIBLE_CONFIG,
                                 "This node is not electable under the new configuration");
    }
    config->term = modern && !force ? process->term : MONGO_NO_TERM;
    if (!config->has_set_id && before->has_set_id) {
        config->has_set_id = true;
        bson_oid_copy(&before->set_id, &config->set_id);
    }
    return 0;
}

static bool reconfig_is_primary(const struct mongo_process *process) {
    return process->state == STATE_PRIMARY && (process->writable || !mongo_is_44(process));
}

static bool reconfig_fail(struct mongo_waiter *waiter, int code, const char *message) {
    mongo_call_fail(waiter->call, code, "%s", message);
    return true;
}

static bool reconfig_begin(struct mongo_waiter *waiter) {
    struct mongo_process *process = waiter->call->process;
    struct mongo_problem problem = {0};
    if (process->configuring) {
        return reconfig_fail(waiter, CODE_CONFIG_IN_PROGRESS,
                             "Cannot run replSetReconfig because the node is currently updating "
                             "its configuration");
    }
    waiter->config = reconfig_parse(waiter->call, &problem);
    if (waiter->config == NULL ||
        reconfig_judge(process, waiter->config, waiter->force, &problem) != 0) {
        return reconfig_fail(waiter, problem.code, problem.message);
    }
    process->configuring = true;
    waiter->stage = STAGE_CHECKING;
    waiter->deadline_ms =
        process->set->now_ms + reconfig_duration_ms(process, waiter->config, waiter->force);
    return false;
}

static bool reconfig_install(struct mongo_waiter *waiter) {
    struct mongo_process *process = waiter->call->process;
    bson_t reply = BSON_INITIALIZER;
    struct reconfig_survey survey = reconfig_ask(process, waiter->config);
    process->configuring = false;
    if (!waiter->force) {
        bson_destroy(&reply);
        if (!process->omit_quorum && !reconfig_has_quorum(&survey, waiter->config)) {
            return reconfig_fail(waiter, CODE_NODE_NOT_FOUND,
                                 "Quorum check failed because not enough voting nodes responded");
        }
        if (!reconfig_is_primary(process)) {
            return reconfig_fail(waiter, CODE_NOT_PRIMARY, "no longer primary");
        }
        bson_init(&reply);
    }
    mongo_config_install(process, waiter->config);
    if (mongo_is_44(process) && !waiter->force) {
        bson_destroy(&reply);
        waiter->stage = STAGE_SPREADING;
        waiter->deadline_ms = MONGO_NEVER_MS;
        return false;
    }
    mongo_call_ok(waiter->call, &reply);
    return true;
}

static bool reconfig_check_spreading(struct mongo_waiter *waiter) {
    struct mongo_process *process = waiter->call->process;
    bson_t reply = BSON_INITIALIZER;
    bool superseded = process->config->version != waiter->config->version ||
                      process->config->term != waiter->config->term;
    if (superseded || mongo_config_committed(process)) {
        mongo_call_ok(waiter->call, &reply);
        return true;
    }
    bson_destroy(&reply);
    if (process->state != STATE_PRIMARY) {
        return reconfig_fail(waiter, CODE_STEPPED_DOWN, "stepped down while waiting");
    }
    waiter->deadline_ms = process->unsettled_until_ms > process->set->now_ms
                              ? process->unsettled_until_ms
                              : MONGO_NEVER_MS;
    if (process->set->now_ms >= waiter->limit_ms) {
        return reconfig_fail(waiter, CODE_TIME_LIMIT,
                             "Reconfig finished but failed to propagate to a majority");
    }
    return false;
}

static bool reconfig_check(struct mongo_waiter *waiter) {
    struct mongo_process *process = waiter->call->process;
    uint64_t now_ms = process->set->now_ms;
    switch ((enum reconfig_stage)waiter->stage) {
    case STAGE_COMMITTED:
        if (!waiter->force && !reconfig_is_primary(process)) {
            return reconfig_fail(waiter, CODE_NOT_PRIMARY,
                                 "replSetReconfig should only be run on a writable primary");
        }
        if (!waiter->force && mongo_is_44(process) && process->config->term != MONGO_NO_TERM &&
            !process->configuring &&
            !(mongo_config_committed(process) && process->committed.term == process->term)) {
            waiter->deadline_ms =
                process->unsettled_until_ms > now_ms ? process->unsettled_until_ms : MONGO_NEVER_MS;
            return now_ms >= waiter->limit_ms &&
                   reconfig_fail(waiter, CODE_CONFIG_NOT_COMMITTED,
                                 "Cannot run replSetReconfig because the current config is not "
                                 "committed yet");
        }
        return reconfig_begin(waiter);
    case STAGE_CHECKING:
        return now_ms >= waiter->deadline_ms && reconfig_install(waiter);
    case STAGE_SPREADING:
        return reconfig_check_spreading(waiter);
    }
    return true;
}

void mongo_command_reconfig(struct mongo_call *call) {
    bool force = mongo_call_flag(call, "force");
    if (!mongo_call_is_initiated(call)) {
        return;
    }
    struct mongo_waiter *waiter = mongo_wait(call, reconfig_check, mongo_call_limit_ms(call));
    waiter->force = force;
}
