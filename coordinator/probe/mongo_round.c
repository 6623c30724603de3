/* One round: every member is asked, each on its own; what they said is put together as it comes;
 * and the round ends with the last of them. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "base/text.h"
#include "mongo_private.h"

enum {
    JITTER_DIVISOR = 10,
    CODE_COMMAND_NOT_FOUND = 59,
};

/* --- who is asked --- */

static struct watched_link *find_link(const struct watched_set *set, const char *host) {
    for (struct watched_link *link = set->links; link != NULL; link = link->next) {
        if (strcasecmp(link->host, host) == 0) {
            return link;
        }
    }
    return NULL;
}

static void want(struct watched_set *set, const char *host) {
    struct watched_link *link = find_link(set, host);
    if (link == NULL) {
        link = calloc(1, sizeof *link);
        if (link == NULL) {
            return; /* tried again in the next round */
        }
        link->link = mongo_watch_open(set, host);
        if (link->link == NULL) {
            free(link);
            return;
        }
        link->set = set;
        (void)TEXT_COPY(link->host, host);
        link->next = set->links;
        set->links = link;
    }
    link->is_wanted = true;
}

static bool any_answered(const struct watched_set *set) {
    for (uint32_t i = 0; i < set->state.member_count; i++) {
        if (set->state.members[i].answers) {
            return true;
        }
    }
    return false;
}

static void line_up(struct watched_set *set) {
    for (struct watched_link *link = set->links; link != NULL; link = link->next) {
        link->is_wanted = false;
    }
    for (uint32_t i = 0; i < set->state.member_count; i++) {
        want(set, set->state.members[i].config.host);
    }
    /* Also when every member is silent: the set may have moved to other hosts meanwhile. */
    for (uint32_t i = 0; i < set->seeds.count && !any_answered(set); i++) {
        want(set, set->seeds.hosts[i]);
    }
    struct watched_link **at = &set->links;
    while (*at != NULL) {
        struct watched_link *link = *at;
        if (link->is_wanted) {
            at = &link->next;
            continue;
        }
        *at = link->next;
        mongo_link_destroy(link->link);
        free(link);
    }
}

/* --- the end of a round --- */

static void plan_next(struct watched_set *set, bool at_once) {
    uint64_t interval_ms = set->spec.interval_ms;
    uint64_t jitter_ms = interval_ms / JITTER_DIVISOR;
    uint64_t next_ms =
        set->start_loop_ms +
        entropy_between(set->watch->entropy, interval_ms - jitter_ms, interval_ms + jitter_ms);
    uv_update_time(set->watch->loop);
    uint64_t now_ms = uv_now(set->watch->loop);
    uint64_t wait_ms = next_ms > now_ms && !at_once ? next_ms - now_ms : 1;
    (void)uv_timer_start(&set->timer, mongo_round_on_timer, wait_ms, 0);
}

/* Without a config nothing is known of the set; but why it wasn't read may be our own fault. */
static enum probe_result_code unread_code(const struct watched_set *set) {
    enum probe_result_code code = PROBE_NOT_READ;
    for (const struct watched_link *link = set->links; link != NULL; link = link->next) {
        enum mongo_result result = link->answer.result != MONGO_RESULT_OK
                                       ? link->answer.result
                                       : link->answer.status_result;
        code = result == MONGO_RESULT_AUTH          ? PROBE_AUTH
               : result == MONGO_RESULT_CREDENTIALS ? PROBE_CREDENTIALS
                                                    : code;
    }
    return code;
}

static void tell_results(struct watched_set *set) {
    struct probe_mongo *watch = set->watch;
    struct probe_result result = {.start_index = set->start_index,
                                  .start_ms = set->start_ms,
                                  .finish_ms = mongo_watch_now(set)};
    for (uint32_t r = 0; r < set->state.region_count; r++) {
        if (set->state.is_known && !replica_set_has_members(&set->state, r)) {
            continue;
        }
        result.code = set->state.is_known
                          ? mongo_region_judge(&set->state, r, r == set->active, set->start_ms)
                          : unread_code(set);
        if (watch->options.on_result != NULL) {
            watch->options.on_result(watch->options.context, set->service, r, &result);
        }
    }
}

/* The one that takes writes has changed, or there is none any more. */
static bool note_primary(struct watched_set *set, uint32_t primary) {
    const struct set_member *member = primary == NONE_INDEX ? NULL : &set->state.members[primary];
    const char *host = member == NULL ? "" : member->config.host;
    uint32_t region = member == NULL ? NONE_INDEX : member->region;
    bool changed = !text_equal(set->primary, host) || set->primary_region != region;
    if (!text_equal(set->primary, host)) {
        LOG_EVENT(MONGO_PRIMARY, LOG_TEXT("service", set->service_name), LOG_TEXT("host", host),
                  LOG_TEXT("region", region == NONE_INDEX ? "" : set->state.regions[region]),
                  LOG_U64("term", member == NULL ? 0 : member->term));
    }
    if (primary != NONE_INDEX) {
        replica_set_note_primary(&set->state, primary);
    }
    (void)TEXT_COPY(set->primary, host);
    set->primary_region = region;
    return changed;
}

static void end_round(struct watched_set *set) {
    struct probe_mongo *watch = set->watch;
    uint32_t primary = replica_set_primary(&set->state, set->start_ms);
    bool members_changed = set->is_changed;
    bool changed = note_primary(set, primary) || members_changed;
    set->is_open = false;
    plan_next(set, members_changed);
    mongo_canary_look(set, primary);
    mongo_rate_look(set, primary);
    watch->in_callback = true;
    if (changed && watch->options.on_change != NULL) {
        watch->options.on_change(watch->options.context, set->service);
    }
    /* Members that were found in this round have not been asked in it: the next one begins now. */
    if (!members_changed) {
        tell_results(set);
    }
    watch->in_callback = false;
}

static void note_trouble(struct watched_link *link) {
    const struct set_answer *answer = &link->answer;
    const struct set_member *member = replica_set_find(&link->set->state, link->host);
    const char *trouble = member != NULL ? member->trouble
                          : answer->result != MONGO_RESULT_OK
                              ? mongo_result_text(answer->result)
                              : mongo_result_text(answer->status_result);
    if (!text_equal(link->trouble, trouble)) {
        LOG_EVENT(MONGO_MEMBER, LOG_TEXT("service", link->set->service_name),
                  LOG_TEXT("host", link->host), LOG_TEXT("trouble", trouble));
        (void)snprintf(link->trouble, sizeof link->trouble, "%s", trouble);
    }
}

static void finish_part(struct watched_set *set) {
    assert(set->pending_count > 0);
    if (--set->pending_count == 0) {
        end_round(set);
    }
}

/* A member has said all that it says in this round. */
static void finish_member(struct watched_link *link) {
    struct watched_set *set = link->set;
    link->is_pending = false;
    set->is_changed = replica_set_take(&set->state, link->host, &link->answer) || set->is_changed;
    note_trouble(link);
    finish_part(set);
}

/* --- the questions to one member --- */

static uint32_t time_left(const struct watched_set *set) {
    uint64_t spent_ms = mongo_watch_now(set) - set->start_ms;
    return spent_ms < set->spec.timeout_ms ? set->spec.timeout_ms - (uint32_t)spent_ms : 1;
}

static void ask(struct watched_link *link, const char *command, mongo_reply_cb callback) {
    bson_t question = BSON_INITIALIZER;
    BSON_APPEND_INT32(&question, command, 1);
    mongo_link_ask(link->link, "admin", &question, MONGO_REPEATABLE, time_left(link->set), callback,
                   link);
    bson_destroy(&question);
}

static bool is_refusal(enum mongo_result result) {
    return result == MONGO_RESULT_SERVER || result == MONGO_RESULT_AUTH;
}

static void on_oplog(void *context, const struct mongo_reply *reply) {
    struct watched_link *link = context;
    if (reply->result == MONGO_RESULT_CANCELLED) {
        return;
    }
    link->set->state.oplog_start_s =
        reply->document == NULL ? 0 : mongo_read_oplog_start(reply->document);
    finish_member(link);
}

/* {find: "oplog.rs", sort: {$natural: 1}, limit: 1, projection: {ts: 1}}: its first entry. */
static void ask_oplog(struct watched_link *link) {
    bson_t question = BSON_INITIALIZER;
    bson_t inner;
    BSON_APPEND_UTF8(&question, "find", "oplog.rs");
    BSON_APPEND_DOCUMENT_BEGIN(&question, "sort", &inner);
    BSON_APPEND_INT32(&inner, "$natural", 1);
    bson_append_document_end(&question, &inner);
    BSON_APPEND_DOCUMENT_BEGIN(&question, "projection", &inner);
    BSON_APPEND_INT32(&inner, "ts", 1);
    bson_append_document_end(&question, &inner);
    BSON_APPEND_INT32(&question, "limit", 1);
    BSON_APPEND_BOOL(&question, "singleBatch", true);
    link->set->oplog_ms = link->set->start_ms;
    mongo_link_ask(link->link, "local", &question, MONGO_REPEATABLE, time_left(link->set), on_oplog,
                   link);
    bson_destroy(&question);
}

static void after_config(struct watched_link *link) {
    const struct watched_set *set = link->set;
    bool due = set->oplog_ms == 0 || set->start_ms - set->oplog_ms >= PROBE_MONGO_OPLOG_MS;
    if (link->answer.hello.writable && due) {
        ask_oplog(link);
    } else {
        finish_member(link);
    }
}

static void on_config(void *context, const struct mongo_reply *reply) {
    struct watched_link *link = context;
    if (reply->result == MONGO_RESULT_CANCELLED) {
        return;
    }
    if (reply->result == MONGO_RESULT_OK) {
        link->answer.has_config =
            mongo_read_config(reply->document, link->set->spec.region_tag, &link->answer.config);
    } else if (reply->result == MONGO_RESULT_AUTH) {
        link->answer.status_result = MONGO_RESULT_AUTH; /* it may see less than it must */
    }
    after_config(link);
}

/* By what the member says of itself, the known config may be another than its own. */
static bool wants_config(const struct watched_link *link) {
    const struct replica_set *state = &link->set->state;
    const struct mongo_status *status = &link->answer.status;
    if (!state->is_known || link->set->start_ms - state->config_ms >= PROBE_MONGO_CONFIG_MS) {
        return true;
    }
    for (uint32_t i = 0; i < status->member_count; i++) {
        const struct mongo_status_member *self = &status->members[i];
        if (self->self) {
            return self->config_version != state->config.version ||
                   self->config_term != state->config.term;
        }
    }
    return true;
}

static void on_status(void *context, const struct mongo_reply *reply) {
    struct watched_link *link = context;
    struct set_answer *answer = &link->answer;
    if (reply->result == MONGO_RESULT_CANCELLED) {
        return;
    }
    answer->status_result = reply->result;
    answer->status_code = reply->server_code;
    if (reply->result == MONGO_RESULT_OK) {
        mongo_read_status(reply->document, &answer->status);
        if (wants_config(link)) {
            ask(link, "replSetGetConfig", on_config);
        } else {
            after_config(link);
        }
        return;
    }
    if (!is_refusal(reply->result)) {
        answer->result = reply->result; /* it hung, or went away, in the middle */
    }
    finish_member(link);
}

static void on_hello(void *context, const struct mongo_reply *reply) {
    struct watched_link *link = context;
    struct set_answer *answer = &link->answer;
    if (reply->result == MONGO_RESULT_CANCELLED) {
        return;
    }
    if (reply->result == MONGO_RESULT_SERVER && reply->server_code == CODE_COMMAND_NOT_FOUND &&
        !link->is_legacy) {
        link->is_legacy = true;
        ask(link, "isMaster", on_hello);
        return;
    }
    answer->result = reply->result;
    if (reply->result != MONGO_RESULT_OK) {
        link->is_legacy = false; /* it may come back as a newer version */
        finish_member(link);
        return;
    }
    mongo_read_hello(reply->document, &answer->hello);
    ask(link, "replSetGetStatus", on_status);
}

/* --- the beginning --- */

static void ask_members(struct watched_set *set) {
    line_up(set);
    for (struct watched_link *link = set->links; link != NULL; link = link->next) {
        memset(&link->answer, 0, sizeof link->answer);
        link->answer.asked_ms = set->start_ms;
        link->is_pending = true;
        set->pending_count++;
    }
    /* An answer may come from inside the question (no memory): count first, then ask; and the round
     * holds one part itself until all are asked. */
    for (struct watched_link *link = set->links; link != NULL; link = link->next) {
        ask(link, link->is_legacy ? "isMaster" : "hello", on_hello);
    }
    finish_part(set);
}

static void on_seeds(void *context, const struct mongo_reply *reply) {
    struct watched_set *set = context;
    if (reply->result == MONGO_RESULT_CANCELLED) {
        return;
    }
    if (reply->result == MONGO_RESULT_OK) {
        mongo_read_seeds(reply->document, &set->seeds);
        (void)TEXT_COPY(set->state.name, set->seeds.set_name);
        (void)TEXT_COPY(set->target.auth_source, set->seeds.auth_source);
    } else {
        LOG_EVENT(MONGO_MEMBER, LOG_TEXT("service", set->service_name), LOG_TEXT("host", ""),
                  LOG_TEXT("trouble", mongo_result_text(reply->result)));
    }
    ask_members(set);
}

void mongo_round_on_timer(uv_timer_t *timer) {
    struct watched_set *set = timer->data;
    struct probe_mongo *watch = set->watch;
    assert(!set->is_open);
    /* Asked before anything leaves: all that the round finds is younger than this index. */
    set->start_index = watch->options.applied_index(watch->options.context);
    set->start_ms = mongo_watch_now(set);
    uv_update_time(watch->loop);
    set->start_loop_ms = uv_now(watch->loop);
    set->is_open = true;
    set->is_changed = false;
    set->pending_count = 1;
    bool stale = !any_answered(set) && set->start_ms - set->seeds_ms >= PROBE_MONGO_CONFIG_MS;
    if (set->seeds.count > 0 && !stale) {
        ask_members(set);
        return;
    }
    set->seeds_ms = set->start_ms;
    if (set->seed_link == NULL) {
        set->seed_link = mongo_watch_open(set, "");
    }
    if (set->seed_link == NULL) {
        ask_members(set);
        return;
    }
    mongo_link_look_up(set->seed_link, set->spec.timeout_ms, on_seeds, set);
}

void mongo_round_close(struct watched_set *set) {
    while (set->links != NULL) {
        struct watched_link *link = set->links;
        set->links = link->next;
        mongo_link_destroy(link->link);
        free(link);
    }
    mongo_link_destroy(set->seed_link);
    set->seed_link = NULL;
    set->is_open = false;
}
