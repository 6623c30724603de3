#include "config.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "alloc.h"
#include "base/text.h"

#define CODE_INVALID_CONFIG 93
#define CODE_INCOMPATIBLE 103
#define PRIORITY_MAX 1000
#define MEMBER_ID_MAX 255
#define DELAY_MAX_S (3600LL * 24 * 366)
#define PORT_SUFFIX ":27017"

int mongo_problem_set(struct mongo_problem *problem, int code, const char *format, ...) {
    va_list arguments;
    problem->code = code;
    va_start(arguments, format);
    (void)vsnprintf(problem->message, sizeof(problem->message), format, arguments);
    va_end(arguments);
    return code;
}

static bool config_number(const bson_iter_t *iter, double *ret_number) {
    if (BSON_ITER_HOLDS_BOOL(iter)) {
        *ret_number = bson_iter_bool(iter) ? 1 : 0;
        return true;
    }
    if (!BSON_ITER_HOLDS_NUMBER(iter)) {
        return false;
    }
    *ret_number =
        BSON_ITER_HOLDS_DOUBLE(iter) ? bson_iter_double(iter) : (double)bson_iter_as_int64(iter);
    return true;
}

static bool config_bad_field(struct mongo_problem *problem, const bson_iter_t *iter,
                             const char *where) {
    (void)mongo_problem_set(problem, CODE_INVALID_CONFIG,
                            "field %.60s in %s is unknown or of a wrong type", bson_iter_key(iter),
                            where);
    return false;
}

/* --- reading --- */

static bool config_parse_host(bson_iter_t *iter, struct mongo_config_member *member) {
    if (!BSON_ITER_HOLDS_UTF8(iter)) {
        return false;
    }
    const char *text = bson_iter_utf8(iter, NULL);
    const char *suffix = strchr(text, ':') != NULL ? "" : PORT_SUFFIX;
    int length = snprintf(member->host, sizeof(member->host), "%s%s", text, suffix);
    return length > 0 && (size_t)length < sizeof(member->host);
}

static bool config_parse_tags(const bson_iter_t *iter, struct mongo_config_member *member) {
    const uint8_t *data = NULL;
    uint32_t size = 0;
    if (!BSON_ITER_HOLDS_DOCUMENT(iter)) {
        return false;
    }
    bson_iter_document(iter, &size, &data);
    bson_destroy(member->tags);
    member->tags = bson_new_from_data(data, size);
    return member->tags != NULL;
}

static bool config_parse_member_number(const bson_iter_t *iter,
                                       struct mongo_config_member *member) {
    const char *key = bson_iter_key(iter);
    double number = 0;
    if (!config_number(iter, &number)) {
        return false;
    }
    if (text_equal(key, "_id")) {
        member->id = (int32_t)number;
    } else if (text_equal(key, "arbiterOnly")) {
        member->arbiter = number != 0;
    } else if (text_equal(key, "buildIndexes")) {
        member->build_indexes = number != 0;
    } else if (text_equal(key, "hidden")) {
        member->hidden = number != 0;
    } else if (text_equal(key, "priority")) {
        member->priority = number;
    } else if (text_equal(key, "votes")) {
        member->votes = (int32_t)number;
    } else if (text_equal(key, "slaveDelay")) {
        member->delay_seconds = (int64_t)number;
    } else {
        return false;
    }
    return true;
}

static bool config_parse_member(const bson_iter_t *iter, struct mongo_config *config,
                                struct mongo_problem *problem) {
    bson_iter_t field;
    if (config->member_count == MONGO_CONFIG_MEMBERS_MAX || !BSON_ITER_HOLDS_DOCUMENT(iter) ||
        !bson_iter_recurse(iter, &field)) {
        return config_bad_field(problem, iter, "members");
    }
    struct mongo_config_member *member = &config->members[config->member_count++];
    *member = (struct mongo_config_member){
        .id = -1, .build_indexes = true, .priority = NAN, .votes = 1, .tags = bson_new()};
    while (bson_iter_next(&field)) {
        const char *key = bson_iter_key(&field);
        bool good = text_equal(key, "host")   ? config_parse_host(&field, member)
                    : text_equal(key, "tags") ? config_parse_tags(&field, member)
                                              : config_parse_member_number(&field, member);
        if (!good) {
            return config_bad_field(problem, &field, "a member");
        }
    }
    if (isnan(member->priority)) {
        member->priority = member->arbiter ? 0 : 1;
    }
    /* An arbiter's priority of 1 is one that nobody chose. */
    if (member->arbiter && member->priority == 1) {
        member->priority = 0;
    }
    if (member->id < 0 || member->host[0] == '\0') {
        (void)mongo_problem_set(problem, CODE_INVALID_CONFIG, "a member needs _id and host");
        return false;
    }
    return true;
}

static bool config_parse_setting(const bson_iter_t *iter, struct mongo_config *config) {
    const char *key = bson_iter_key(iter);
    double number = 0;
    if (text_equal(key, "replicaSetId")) {
        config->has_set_id = BSON_ITER_HOLDS_OID(iter);
        if (config->has_set_id) {
            bson_oid_copy(bson_iter_oid(iter), &config->set_id);
        }
        return config->has_set_id;
    }
    if (text_equal(key, "getLastErrorModes") || text_equal(key, "getLastErrorDefaults")) {
        return BSON_ITER_HOLDS_DOCUMENT(iter);
    }
    if (!config_number(iter, &number)) {
        return false;
    }
    if (text_equal(key, "chainingAllowed")) {
        config->chaining_allowed = number != 0;
    } else if (text_equal(key, "heartbeatIntervalMillis")) {
        config->heartbeat_interval_ms = (int64_t)number;
    } else if (text_equal(key, "heartbeatTimeoutSecs")) {
        config->heartbeat_timeout_s = (int64_t)number;
        return number > 0;
    } else if (text_equal(key, "electionTimeoutMillis")) {
        config->election_timeout_ms = (int64_t)number;
        return number > 0;
    } else if (text_equal(key, "catchUpTimeoutMillis")) {
        config->catch_up_timeout_ms = (int64_t)number;
    } else if (text_equal(key, "catchUpTakeoverDelayMillis")) {
        config->catch_up_takeover_ms = (int64_t)number;
    }
    return true;
}

static bool config_parse_list(const bson_iter_t *iter, struct mongo_config *config,
                              struct mongo_problem *problem) {
    bson_iter_t element;
    bool members = text_equal(bson_iter_key(iter), "members");
    bool right = members ? BSON_ITER_HOLDS_ARRAY(iter) : BSON_ITER_HOLDS_DOCUMENT(iter);
    if (!right || !bson_iter_recurse(iter, &element)) {
        return config_bad_field(problem, iter, "the configuration");
    }
    while (bson_iter_next(&element)) {
        if (members) {
            if (!config_parse_member(&element, config, problem)) {
                return false;
            }
        } else if (!config_parse_setting(&element, config)) {
            return config_bad_field(problem, &element, "settings");
        }
    }
    return true;
}

static bool config_parse_field(bson_iter_t *iter, enum mongo_release release,
                               struct mongo_config *config, struct mongo_problem *problem) {
    const char *key = bson_iter_key(iter);
    double number = 0;
    if (text_equal(key, "members") || text_equal(key, "settings")) {
        return config_parse_list(iter, config, problem);
    }
    if (text_equal(key, "_id")) {
        return (BSON_ITER_HOLDS_UTF8(iter) &&
                TEXT_COPY(config->name, bson_iter_utf8(iter, NULL))) ||
               config_bad_field(problem, iter, "the configuration");
    }
    if (!config_number(iter, &number)) {
        return config_bad_field(problem, iter, "the configuration");
    }
    if (text_equal(key, "version")) {
        config->version = (int64_t)number;
    } else if (text_equal(key, "protocolVersion")) {
        config->protocol_version = (int64_t)number;
    } else if (text_equal(key, "writeConcernMajorityJournalDefault")) {
        config->write_concern_journal = number != 0;
    } else if (text_equal(key, "term") && release == MONGO_RELEASE_4_4) {
        config->term = (int64_t)number;
    } else if (!text_equal(key, "configsvr")) {
        return config_bad_field(problem, iter, "the configuration");
    }
    return true;
}

struct mongo_config *mongo_config_parse(const bson_t *document, enum mongo_release release,
                                        struct mongo_problem *problem) {
    struct mongo_config *config = alloc_zeroed(1, sizeof(*config));
    bson_iter_t iter;
    config->references = 1;
    config->version = INT64_MIN;
    config->term = MONGO_NO_TERM;
    config->protocol_version = 1;
    config->write_concern_journal = true;
    config->chaining_allowed = true;
    config->heartbeat_interval_ms = 2000;
    config->heartbeat_timeout_s = 10;
    config->election_timeout_ms = 10000;
    config->catch_up_timeout_ms = -1;
    config->catch_up_takeover_ms = 30000;
    problem->code = 0;
    bool good = bson_iter_init(&iter, document);
    while (good && bson_iter_next(&iter)) {
        good = config_parse_field(&iter, release, config, problem);
    }
    if (good && (config->version == INT64_MIN || config->name[0] == '\0')) {
        (void)mongo_problem_set(problem, CODE_INVALID_CONFIG, "_id or version is missing");
        good = false;
    }
    if (!good) {
        mongo_config_unref(config);
        return NULL;
    }
    return config;
}

struct mongo_config *mongo_config_copy(const struct mongo_config *config) {
    struct mongo_config *copy = alloc_zeroed(1, sizeof(*copy));
    *copy = *config;
    copy->references = 1;
    for (size_t i = 0; i < copy->member_count; i++) {
        copy->members[i].tags = bson_copy(config->members[i].tags);
    }
    return copy;
}

struct mongo_config *mongo_config_ref(struct mongo_config *config) {
    config->references++;
    return config;
}

void mongo_config_unref(struct mongo_config *config) {
    if (config == NULL || --config->references > 0) {
        return;
    }
    for (size_t i = 0; i < config->member_count; i++) {
        bson_destroy(config->members[i].tags);
    }
    free(config);
}

/* --- judging --- */

static bool config_check_member(const struct mongo_config_member *member,
                                struct mongo_problem *problem) {
    const char *wrong = NULL;
    if (!(member->priority >= 0 && member->priority <= PRIORITY_MAX)) {
        wrong = "priority must be between 0 and 1000";
    } else if (member->votes != 0 && member->votes != 1) {
        wrong = "votes must be 0 or 1";
    } else if (member->id > MEMBER_ID_MAX) {
        wrong = "_id must be at most 255";
    } else if (member->votes == 0 && member->priority != 0) {
        wrong = "priority must be 0 when non-voting (votes:0)";
    } else if (member->arbiter && member->votes == 0) {
        wrong = "an arbiter votes";
    } else if (member->delay_seconds < 0 || member->delay_seconds > DELAY_MAX_S) {
        wrong = "slaveDelay is out of range";
    } else if (member->delay_seconds > 0 && member->priority != 0) {
        wrong = "slaveDelay requires priority be zero";
    } else if (member->hidden && member->priority != 0) {
        wrong = "priority must be 0 when hidden=true";
    } else if (!member->build_indexes && member->priority != 0) {
        wrong = "priority must be 0 when buildIndexes=false";
    }
    if (wrong != NULL) {
        (void)mongo_problem_set(problem, CODE_INCOMPATIBLE, "%s (member %d)", wrong, member->id);
    }
    return wrong == NULL;
}

static bool config_is_local(const char *host) {
    return text_starts_with(host, "localhost:");
}

static bool config_is_loopback(const char *host) {
    return config_is_local(host) || text_starts_with(host, "127.") || text_starts_with(host, "::1");
}

static bool config_check_pairs(const struct mongo_config *config, struct mongo_problem *problem) {
    size_t loopback = 0;
    for (size_t i = 0; i < config->member_count; i++) {
        loopback += config_is_loopback(config->members[i].host) ? 1 : 0;
        for (size_t j = 0; j < i; j++) {
            if (config->members[i].id == config->members[j].id ||
                text_equal(config->members[i].host, config->members[j].host)) {
                (void)mongo_problem_set(problem, CODE_INCOMPATIBLE,
                                        "members %zu and %zu have the same _id or host", j, i);
                return false;
            }
        }
    }
    if (loopback != 0 && loopback != config->member_count) {
        (void)mongo_problem_set(problem, CODE_INCOMPATIBLE,
                                "either all host names must be localhost, or none");
        return false;
    }
    return true;
}

bool mongo_config_check(const struct mongo_config *config, struct mongo_problem *problem) {
    unsigned electable = 0;
    for (size_t i = 0; i < config->member_count; i++) {
        if (!config_check_member(&config->members[i], problem)) {
            return false;
        }
        electable += config->members[i].priority > 0 ? 1 : 0;
    }
    const char *wrong = NULL;
    if (config->member_count == 0) {
        wrong = "a configuration needs a member";
    } else if (config->version <= 0 || config->version > INT32_MAX) {
        wrong = "version is out of range";
    } else if (mongo_config_voters(config) == 0 || mongo_config_voters(config) > MONGO_VOTERS_MAX) {
        wrong = "at least one and at most 7 members vote";
    } else if (electable == 0) {
        wrong = "no member can be elected";
    } else if (config->heartbeat_interval_ms <= 0) {
        wrong = "heartbeatIntervalMillis must be positive";
    } else if (config->protocol_version < 0 || config->protocol_version > 1) {
        wrong = "protocolVersion is 0 or 1";
    }
    if (wrong != NULL) {
        (void)mongo_problem_set(problem, CODE_INCOMPATIBLE, "%s", wrong);
        return false;
    }
    return config_check_pairs(config, problem);
}

static const struct mongo_config_member *config_by_id(const struct mongo_config *config,
                                                      int32_t id) {
    for (size_t i = 0; i < config->member_count; i++) {
        if (config->members[i].id == id) {
            return &config->members[i];
        }
    }
    return NULL;
}

/* Judged by _id only: whose host changes isn't seen. */
static unsigned config_votes_lost(const struct mongo_config *before,
                                  const struct mongo_config *after) {
    unsigned lost = 0;
    for (size_t i = 0; i < before->member_count; i++) {
        const struct mongo_config_member *kept = config_by_id(after, before->members[i].id);
        lost += before->members[i].votes == 1 && (kept == NULL || kept->votes == 0) ? 1 : 0;
    }
    return lost;
}

bool mongo_config_check_change(const struct mongo_config *before, const struct mongo_config *after,
                               enum mongo_release release, bool forced,
                               struct mongo_problem *problem) {
    if ((!forced || release == MONGO_RELEASE_3_6) &&
        mongo_config_compare(MONGO_RELEASE_3_6, 0, after->version, 0, before->version) <= 0) {
        (void)mongo_problem_set(problem, CODE_INCOMPATIBLE,
                                "New and old configurations differ in version: %lld <= %lld",
                                (long long)after->version, (long long)before->version);
        return false;
    }
    if (after->has_set_id && before->has_set_id &&
        !bson_oid_equal(&after->set_id, &before->set_id)) {
        (void)mongo_problem_set(problem, CODE_INCOMPATIBLE, "replicaSetId must not change");
        return false;
    }
    for (size_t i = 0; i < after->member_count; i++) {
        const struct mongo_config_member *is = &after->members[i];
        int old = mongo_config_find(before, is->host);
        if (old >= 0 && before->members[old].id != is->id) {
            (void)mongo_problem_set(problem, CODE_INCOMPATIBLE, "the _id of %s must not change",
                                    is->host);
            return false;
        }
        const struct mongo_config_member *was = config_by_id(before, is->id);
        if (was != NULL && text_equal(was->host, is->host) &&
            (was->arbiter != is->arbiter || was->build_indexes != is->build_indexes)) {
            (void)mongo_problem_set(problem, CODE_INCOMPATIBLE,
                                    "arbiterOnly and buildIndexes of %s must not change", is->host);
            return false;
        }
    }
    if (release == MONGO_RELEASE_4_4 && !forced &&
        config_votes_lost(before, after) +
                /* Votes gained: lost the other way round. */
                config_votes_lost(after, before) > // NOLINT(readability-suspicious-call-argument)
            1) {
        (void)mongo_problem_set(problem, CODE_INCOMPATIBLE,
                                "Non force replica set reconfig can only add or remove at most 1 "
                                "voting member");
        return false;
    }
    return true;
}

int mongo_config_compare(enum mongo_release release, int64_t term_a, int64_t version_a,
                         int64_t term_b, int64_t version_b) {
    if (release == MONGO_RELEASE_4_4 && term_a != MONGO_NO_TERM && term_b != MONGO_NO_TERM &&
        term_a != term_b) {
        return term_a < term_b ? -1 : 1;
    }
    return version_a < version_b ? -1 : version_a > version_b ? 1 : 0;
}

bool mongo_config_same_content(const struct mongo_config *a, const struct mongo_config *b,
                               enum mongo_release release) {
    struct mongo_config *copy = mongo_config_copy(b);
    bson_t one = BSON_INITIALIZER;
    bson_t two = BSON_INITIALIZER;
    copy->version = a->version;
    copy->term = a->term;
    copy->has_set_id = a->has_set_id;
    bson_oid_copy(&a->set_id, &copy->set_id);
    mongo_config_append(a, release, &one);
    mongo_config_append(copy, release, &two);
    bool same = bson_equal(&one, &two);
    bson_destroy(&one);
    bson_destroy(&two);
    mongo_config_unref(copy);
    return same;
}

int mongo_config_find(const struct mongo_config *config, const char *host) {
    for (size_t i = 0; i < config->member_count; i++) {
        if (text_equal(config->members[i].host, host)) {
            return (int)i;
        }
    }
    return -1;
}

unsigned mongo_config_voters(const struct mongo_config *config) {
    unsigned voters = 0;
    for (size_t i = 0; i < config->member_count; i++) {
        voters += config->members[i].votes == 1 ? 1 : 0;
    }
    return voters;
}

unsigned mongo_config_write_majority(const struct mongo_config *config) {
    unsigned majority = mongo_config_voters(config) / 2 + 1;
    unsigned writable = 0;
    for (size_t i = 0; i < config->member_count; i++) {
        writable += config->members[i].votes == 1 && !config->members[i].arbiter ? 1 : 0;
    }
    return writable < majority ? writable : majority;
}

/* --- writing --- */

static void config_append_members(const struct mongo_config *config, bson_t *to) {
    bson_t members;
    char index[24];
    BSON_APPEND_ARRAY_BEGIN(to, "members", &members);
    for (size_t i = 0; i < config->member_count; i++) {
        const struct mongo_config_member *member = &config->members[i];
        bson_t child;
        (void)snprintf(index, sizeof(index), "%zu", i);
        BSON_APPEND_DOCUMENT_BEGIN(&members, index, &child);
        BSON_APPEND_INT32(&child, "_id", member->id);
        BSON_APPEND_UTF8(&child, "host", member->host);
        BSON_APPEND_BOOL(&child, "arbiterOnly", member->arbiter);
        BSON_APPEND_BOOL(&child, "buildIndexes", member->build_indexes);
        BSON_APPEND_BOOL(&child, "hidden", member->hidden);
        BSON_APPEND_DOUBLE(&child, "priority", member->priority);
        BSON_APPEND_DOCUMENT(&child, "tags", member->tags);
        BSON_APPEND_INT64(&child, "slaveDelay", member->delay_seconds);
        BSON_APPEND_INT32(&child, "votes", member->votes);
        bson_append_document_end(&members, &child);
    }
    bson_append_array_end(to, &members);
}

void mongo_config_append(const struct mongo_config *config, enum mongo_release release,
                         bson_t *to) {
    bson_t settings;
    bson_t child;
    BSON_APPEND_UTF8(to, "_id", config->name);
    BSON_APPEND_INT32(to, "version", (int32_t)config->version);
    if (release == MONGO_RELEASE_4_4 && config->term != MONGO_NO_TERM) {
        BSON_APPEND_INT32(to, "term", (int32_t)config->term);
    }
    BSON_APPEND_INT64(to, "protocolVersion", config->protocol_version);
    if (release == MONGO_RELEASE_4_4) {
        BSON_APPEND_BOOL(to, "writeConcernMajorityJournalDefault", config->write_concern_journal);
    }
    config_append_members(config, to);
    BSON_APPEND_DOCUMENT_BEGIN(to, "settings", &settings);
    BSON_APPEND_BOOL(&settings, "chainingAllowed", config->chaining_allowed);
    BSON_APPEND_INT32(&settings, "heartbeatIntervalMillis", (int32_t)config->heartbeat_interval_ms);
    BSON_APPEND_INT32(&settings, "heartbeatTimeoutSecs", (int32_t)config->heartbeat_timeout_s);
    BSON_APPEND_INT32(&settings, "electionTimeoutMillis", (int32_t)config->election_timeout_ms);
    BSON_APPEND_INT32(&settings, "catchUpTimeoutMillis", (int32_t)config->catch_up_timeout_ms);
    BSON_APPEND_INT32(&settings, "catchUpTakeoverDelayMillis",
                      (int32_t)config->catch_up_takeover_ms);
    BSON_APPEND_DOCUMENT_BEGIN(&settings, "getLastErrorModes", &child);
    bson_append_document_end(&settings, &child);
    BSON_APPEND_DOCUMENT_BEGIN(&settings, "getLastErrorDefaults", &child);
    BSON_APPEND_INT32(&child, "w", 1);
    BSON_APPEND_INT32(&child, "wtimeout", 0);
    bson_append_document_end(&settings, &child);
    if (config->has_set_id) {
        BSON_APPEND_OID(&settings, "replicaSetId", &config->set_id);
    }
    bson_append_document_end(to, &settings);
}
