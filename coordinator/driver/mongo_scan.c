#include "mongo_scan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"

enum { CODE_COMMAND_NOT_FOUND = 59 };

const struct scan_member *scan_find(const struct mongo_scan *scan, const char *host) {
    for (const struct scan_member *member = scan->members; member != NULL; member = member->next) {
        if (strcasecmp(member->host, host) == 0) {
            return member;
        }
    }
    return NULL;
}

/* --- one member's questions --- */

static void ask_the_others(struct mongo_scan *scan);

static void finish_part(struct mongo_scan *scan) {
    if (--scan->pending == 0) {
        ask_the_others(scan);
    }
}

static void finish_member(struct scan_member *member) {
    struct mongo_scan *scan = member->scan;
    (void)replica_set_take(&scan->set, member->host, &member->answer);
    if (member->answer.result != MONGO_RESULT_OK && scan->trouble[0] == '\0') {
        (void)snprintf(scan->trouble, sizeof scan->trouble, "%.100s: %s", member->host,
                       mongo_result_text(member->answer.result));
    }
    finish_part(scan);
}

static void ask(struct scan_member *member, const char *command, mongo_reply_cb callback) {
    bson_t question = BSON_INITIALIZER;
    BSON_APPEND_INT32(&question, command, 1);
    mongo_link_ask(member->link, "admin", &question, MONGO_REPEATABLE,
                   member->scan->target.timeout_ms, callback, member);
    bson_destroy(&question);
}

static void on_oplog_end(void *context, const struct mongo_reply *reply) {
    struct scan_member *member = context;
    if (reply->result == MONGO_RESULT_CANCELLED) {
        return;
    }
    member->tells_oplog = reply->result == MONGO_RESULT_OK &&
                          mongo_read_oplog_term(reply->document, &member->oplog_term);
    finish_member(member);
}

static void ask_oplog_end(struct scan_member *member) {
    bson_t question = BSON_INITIALIZER;
    bson_t inner;
    BSON_APPEND_UTF8(&question, "find", "oplog.rs");
    BSON_APPEND_DOCUMENT_BEGIN(&question, "sort", &inner);
    BSON_APPEND_INT32(&inner, "$natural", -1);
    bson_append_document_end(&question, &inner);
    BSON_APPEND_DOCUMENT_BEGIN(&question, "projection", &inner);
    BSON_APPEND_INT32(&inner, "ts", 1);
    BSON_APPEND_INT32(&inner, "t", 1);
    bson_append_document_end(&question, &inner);
    BSON_APPEND_INT32(&question, "limit", 1);
    BSON_APPEND_BOOL(&question, "singleBatch", true);
    mongo_link_ask(member->link, "local", &question, MONGO_REPEATABLE,
                   member->scan->target.timeout_ms, on_oplog_end, member);
    bson_destroy(&question);
}

static void on_status(void *context, const struct mongo_reply *reply) {
    struct scan_member *member = context;
    if (reply->result == MONGO_RESULT_CANCELLED) {
        return;
    }
    member->answer.status_result = reply->result;
    member->answer.status_code = reply->server_code;
    if (reply->result == MONGO_RESULT_OK) {
        mongo_read_status(reply->document, &member->answer.status);
    }
    if (strcasecmp(member->host, member->scan->other) == 0) {
        ask_oplog_end(member);
    } else {
        finish_member(member);
    }
}

/* The status comes after the config: its term must not be from before the member had that. */
static void on_config(void *context, const struct mongo_reply *reply) {
    struct scan_member *member = context;
    bson_iter_t iter;
    const uint8_t *bytes = NULL;
    uint32_t size_bytes = 0;
    if (reply->result == MONGO_RESULT_CANCELLED) {
        return;
    }
    if (reply->result == MONGO_RESULT_OK &&
        mongo_read_config(reply->document, member->scan->region_tag, &member->answer.config) &&
        bson_iter_init_find(&iter, reply->document, "config") && BSON_ITER_HOLDS_DOCUMENT(&iter)) {
        bson_iter_document(&iter, &size_bytes, &bytes);
        member->config = bson_new_from_data(bytes, size_bytes);
        member->answer.has_config = member->config != NULL;
    }
    ask(member, "replSetGetStatus", on_status);
}

static void take_hello(struct scan_member *member, const struct mongo_reply *reply) {
    member->answer.result = reply->result;
    if (reply->result != MONGO_RESULT_OK) {
        finish_member(member);
        return;
    }
    mongo_read_hello(reply->document, &member->answer.hello);
    ask(member, "replSetGetConfig", on_config);
}

static void on_legacy_hello(void *context, const struct mongo_reply *reply) {
    if (reply->result != MONGO_RESULT_CANCELLED) {
        take_hello(context, reply);
    }
}

static void on_hello(void *context, const struct mongo_reply *reply) {
    struct scan_member *member = context;
    if (reply->result == MONGO_RESULT_CANCELLED) {
        return;
    }
    if (reply->result == MONGO_RESULT_SERVER && reply->server_code == CODE_COMMAND_NOT_FOUND) {
        ask(member, "isMaster", on_legacy_hello);
        return;
    }
    take_hello(member, reply);
}

/* --- everybody's --- */

/* True: it is a new one, and asked. */
static bool add_member(struct mongo_scan *scan, const char *host) {
    struct mongo_target target = scan->target;
    if (scan_find(scan, host) != NULL || !TEXT_COPY(target.host, host)) {
        return false;
    }
    struct scan_member *member = calloc(1, sizeof *member);
    if (member == NULL) {
        return false;
    }
    member->link = mongo_link_create(scan->client, &target);
    if (member->link == NULL) {
        free(member);
        return false;
    }
    member->scan = scan;
    (void)TEXT_COPY(member->host, host);
    member->answer.asked_ms = scan->start_ms;
    member->next = scan->members;
    scan->members = member;
    scan->pending++;
    ask(member, "hello", on_hello);
    return true;
}

static void ask_the_others(struct mongo_scan *scan) {
    char hosts[MONGO_SET_MEMBER_MAX][MONGO_HOST_SIZE];
    uint32_t count = scan->set.member_count;
    for (uint32_t i = 0; i < count; i++) {
        memcpy(hosts[i], scan->set.members[i].config.host, sizeof hosts[i]);
    }
    scan->pending = 1;
    bool any = false;
    for (uint32_t i = 0; i < count; i++) {
        any = add_member(scan, hosts[i]) || any;
    }
    if (any) {
        finish_part(scan);
        return;
    }
    /* What was said before the config was known is put into its place now. */
    for (struct scan_member *member = scan->members; member != NULL; member = member->next) {
        (void)replica_set_take(&scan->set, member->host, &member->answer);
    }
    scan->on_done(scan->context);
}

static void on_seeds(void *context, const struct mongo_reply *reply) {
    struct mongo_scan *scan = context;
    struct mongo_seeds seeds;
    if (reply->result == MONGO_RESULT_CANCELLED) {
        return;
    }
    scan->pending = 1;
    if (reply->result == MONGO_RESULT_OK) {
        mongo_read_seeds(reply->document, &seeds);
        (void)TEXT_COPY(scan->set.name, seeds.set_name);
        (void)TEXT_COPY(scan->target.auth_source, seeds.auth_source);
        for (uint32_t i = 0; i < seeds.count; i++) {
            (void)add_member(scan, seeds.hosts[i]);
        }
        if (scan->other[0] != '\0') {
            (void)add_member(scan, scan->other);
        }
    } else {
        (void)snprintf(scan->trouble, sizeof scan->trouble, "the seeds: %s", reply->detail);
    }
    finish_part(scan);
}

void scan_begin(struct mongo_scan *scan, uv_loop_t *loop, const struct clock *clock,
                struct mongo_client *client, const struct driver_target *target,
                const char *secrets, void (*on_done)(void *context), void *context) {
    const char *regions[REGION_MAX];
    for (uint32_t r = 0; r < target->region_count; r++) {
        regions[r] = target->regions[r];
    }
    scan->loop = loop;
    scan->clock = clock;
    scan->client = client;
    scan->on_done = on_done;
    scan->context = context;
    scan->start_ms = clock_boottime_ms(clock);
    (void)TEXT_COPY(scan->target.uri, target->set.uri);
    (void)TEXT_COPY(scan->target.credentials, target->set.credentials);
    (void)TEXT_COPY(scan->target.secrets, secrets);
    scan->target.timeout_ms = target->set.timeout_ms;
    (void)TEXT_COPY(scan->region_tag, target->set.region_tag);
    (void)TEXT_COPY(scan->other, target->change == DRIVER_SET_READMIT ? target->hosts[0] : "");
    replica_set_init(&scan->set, "");
    replica_set_place(&scan->set, regions, target->region_count);
    scan->seeds = mongo_link_create(client, &scan->target);
    if (scan->seeds == NULL) {
        (void)snprintf(scan->trouble, sizeof scan->trouble, "out of memory");
        on_done(context);
        return;
    }
    mongo_link_look_up(scan->seeds, scan->target.timeout_ms, on_seeds, scan);
}

void scan_end(struct mongo_scan *scan) {
    while (scan->members != NULL) {
        struct scan_member *member = scan->members;
        scan->members = member->next;
        mongo_link_destroy(member->link);
        if (member->config != NULL) {
            bson_destroy(member->config);
        }
        free(member);
    }
    mongo_link_destroy(scan->seeds);
    scan->seeds = NULL;
}

/* --- what follows --- */

static bool has_config(const struct scan_member *member, const struct mongo_config *config) {
    return member != NULL && member->config != NULL &&
           member->answer.config.version == config->version &&
           member->answer.config.term == config->term &&
           text_equal(member->answer.config.set_name, config->set_name);
}

/* From 4.4 on a primary takes its config over into its own term, and the higher term wins, whatever
 * the versions are. So a config is safe from being lost only where its term is still the newest: a
 * member that knows of a newer one may have voted for a primary without that config, and got it
 * afterwards. (Schultz et al. 2021, "Design and Analysis of a Logless Dynamic Reconfiguration
 * Protocol": a quorum in the config and in its term.) Without a term versions alone decide. */
static bool is_of_its_term(const struct scan_member *member) {
    const struct set_answer *answer = &member->answer;
    bool told = answer->status_result == MONGO_RESULT_OK && answer->status.term != 0;
    return answer->config.term == 0 || (told && answer->status.term <= answer->config.term);
}

struct holders {
    uint32_t have, safe; /* voters; of these, those to whom its term is the newest */
};

/* Voters of the newest config that have just this one. Before 4.4 two of one version can stand side
 * by side: a primary may have taken one that was lost everywhere else. */
static struct holders count_voters(const struct mongo_scan *scan, const bson_t *config) {
    const struct mongo_config *newest = &scan->set.config;
    struct holders holders = {0};
    for (uint32_t i = 0; i < newest->member_count; i++) {
        const struct scan_member *member = scan_find(scan, newest->members[i].host);
        if (newest->members[i].votes && has_config(member, newest) &&
            bson_equal(member->config, config)) {
            holders.have++;
            holders.safe += is_of_its_term(member);
        }
    }
    return holders;
}

/* The one that most of its voters have; NULL: no member tells any. */
static const bson_t *find_config(const struct mongo_scan *scan, struct holders *ret_most,
                                 uint32_t *ret_voters, struct error *error) {
    const struct mongo_config *newest = &scan->set.config;
    const bson_t *found = NULL;
    *ret_voters = 0;
    *ret_most = (struct holders){0};
    if (!scan->set.is_known) {
        (void)error_set(error, ERROR_UNAVAILABLE, "no member tells the set's config (%s)",
                        scan->trouble[0] == '\0' ? "not of this set" : scan->trouble);
        return NULL;
    }
    for (uint32_t i = 0; i < newest->member_count; i++) {
        const struct scan_member *member = scan_find(scan, newest->members[i].host);
        struct holders same = {0};
        if (has_config(member, newest)) {
            same = count_voters(scan, member->config);
        }
        *ret_voters += newest->members[i].votes;
        found = same.have > ret_most->have ? member->config : found;
        *ret_most = same.have > ret_most->have ? same : *ret_most;
    }
    if (found == NULL) {
        (void)error_set(error, ERROR_UNAVAILABLE, "no voter tells config %llu (%.100s)",
                        (unsigned long long)newest->version, scan->trouble);
    }
    return found;
}

const bson_t *scan_config(const struct mongo_scan *scan, struct error *error) {
    const struct mongo_config *newest = &scan->set.config;
    struct holders most;
    uint32_t voters;
    const bson_t *found = find_config(scan, &most, &voters, error);
    if (found != NULL && most.have <= voters / 2) {
        (void)error_set(error, ERROR_UNAVAILABLE,
                        "config %llu was read from %u of %u voters: a majority is needed (%.100s)",
                        (unsigned long long)newest->version, most.have, voters,
                        scan->trouble[0] == '\0' ? "not all have it yet" : scan->trouble);
        return NULL;
    }
    if (found != NULL && most.safe <= voters / 2) {
        (void)error_set(error, ERROR_UNAVAILABLE,
                        "config %llu of term %llu can still be lost: members know of a newer term, "
                        "whose primary hasn't taken it over",
                        (unsigned long long)newest->version, (unsigned long long)newest->term);
        return NULL;
    }
    return found;
}

const bson_t *scan_newest_config(const struct mongo_scan *scan, bool *ret_committed,
                                 struct error *error) {
    struct holders most;
    uint32_t voters;
    const bson_t *found = find_config(scan, &most, &voters, error);
    *ret_committed = found != NULL && most.safe > voters / 2;
    return found;
}

bool scan_commits_hold(const struct mongo_scan *scan, const struct scan_member *primary) {
    const struct mongo_config *newest = &scan->set.config;
    const struct mongo_optime *committed = &primary->answer.status.committed;
    uint32_t voters = 0;
    uint32_t with_data = 0;
    uint32_t have = 0;
    for (uint32_t i = 0; i < newest->member_count; i++) {
        const struct scan_member *member = scan_find(scan, newest->members[i].host);
        bool has_data = newest->members[i].votes && !newest->members[i].arbiter;
        voters += newest->members[i].votes;
        with_data += has_data;
        have += has_data && member != NULL && member->answer.status_result == MONGO_RESULT_OK &&
                mongo_optime_compare(&member->answer.status.durable, committed) >= 0;
    }
    uint32_t need = voters / 2 + 1;
    return committed->seconds != 0 && have >= (need < with_data ? need : with_data);
}

const struct scan_member *scan_primary(const struct mongo_scan *scan, uint32_t *ret_region) {
    uint32_t primary = replica_set_primary(&scan->set, scan->start_ms);
    *ret_region = primary == NONE_INDEX ? NONE_INDEX : scan->set.members[primary].region;
    return primary == NONE_INDEX ? NULL : scan_find(scan, scan->set.members[primary].config.host);
}
