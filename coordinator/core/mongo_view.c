/* What all nodes know of a replica set, put together. */
#include <string.h>

#include "base/text.h"
#include "mongo_judge.h"

uint64_t mongo_fresh_ms(const struct spec_mongo *mongo) {
    return 2 * (uint64_t)mongo->interval_ms + mongo->timeout_ms + REPORT_INTERVAL_MS;
}

static uint32_t older(uint32_t age_ms, uint64_t by_ms) {
    return age_ms == MONGO_AGE_NEVER || by_ms >= MONGO_AGE_NEVER - age_ms
               ? MONGO_AGE_NEVER
               : age_ms + (uint32_t)by_ms;
}

/* The server's own order: by term and version, or by version alone where one of them was forced
 * (no term), or both come from before 4.4. */
static bool config_is_newer(const struct mongo_facts *a, const struct mongo_facts *b) {
    if (a->member_total == 0 || b->member_total == 0) {
        return a->member_total > b->member_total;
    }
    if (a->config_term != 0 && b->config_term != 0 && a->config_term != b->config_term) {
        return a->config_term > b->config_term;
    }
    return a->config_version > b->config_version;
}

/* The facts of one usable report, or NULL; *ret_late_ms: since it came in. */
static const struct mongo_facts *facts_of(const struct state *state,
                                          const struct policy_input *input, uint32_t service,
                                          uint32_t node, uint64_t *ret_late_ms) {
    const struct report *report = input->reports[node];
    if (report == NULL || report->spec_index != state->spec_index ||
        input->now_ms < input->received_ms[node]) {
        return NULL;
    }
    *ret_late_ms = input->now_ms - input->received_ms[node];
    return *ret_late_ms <= REPORT_EXPIRE_MS ? &report->mongo[service] : NULL;
}

static const struct mongo_member *find_member(const struct mongo_facts *facts,
                                              const struct mongo_member *like) {
    for (uint32_t i = 0; i < facts->member_count && i < MONGO_MEMBER_MAX; i++) {
        if (facts->members[i].id == like->id && text_equal(facts->members[i].host, like->host)) {
            return &facts->members[i];
        }
    }
    return NULL;
}

/* Whoever asked it last knows best; where nobody ever did, whoever heard of it last. */
static bool knows_better(const struct mongo_member *a, uint64_t a_late_ms,
                         const struct mongo_member *b) {
    uint32_t age = older(a->age_ms, a_late_ms);
    if (age != b->age_ms) {
        return age < b->age_ms;
    }
    return age == MONGO_AGE_NEVER && older(a->optime_age_ms, a_late_ms) < b->optime_age_ms;
}

/* Of rollbacks whoever saw the last one. */
static void take_rollback(struct mongo_member *to, const struct mongo_member *from,
                          uint64_t late_ms) {
    uint32_t age_ms = older(from->rollback_age_ms, late_ms);
    to->rollback_age_ms = age_ms < to->rollback_age_ms ? age_ms : to->rollback_age_ms;
}

static void take_what_was_found(struct mongo_member *to, const struct mongo_member *from,
                                uint64_t late_ms) {
    struct mongo_member configured = *to;
    *to = *from;
    to->region = configured.region;
    to->priority_milli = configured.priority_milli;
    to->votes = configured.votes;
    to->hidden = configured.hidden;
    to->arbiter = configured.arbiter;
    to->delay_s = configured.delay_s;
    to->kept_out = configured.kept_out;
    to->rollback_age_ms = configured.rollback_age_ms;
    to->age_ms = older(from->age_ms, late_ms);
    to->optime_age_ms = older(from->optime_age_ms, late_ms);
}

/* Whoever saw a primary last; and where that one hasn't counted its writes, whoever has. */
static void take_primary(struct mongo_facts *into, const struct mongo_facts *from,
                         uint64_t late_ms) {
    bool same = from->primary == into->primary && from->primary_term == into->primary_term;
    bool newer = older(from->primary_age_ms, late_ms) < into->primary_age_ms;
    bool counted = from->write_rate_milli != MONGO_RATE_UNKNOWN;
    bool wanted = into->write_rate_milli == MONGO_RATE_UNKNOWN;
    if ((newer && (counted || !same)) || (same && wanted)) {
        into->write_rate_milli = from->write_rate_milli;
    }
    if (newer) {
        into->primary = from->primary;
        into->primary_age_ms = older(from->primary_age_ms, late_ms);
        into->primary_term = from->primary_term;
    }
}

static void merge(struct mongo_facts *into, const struct mongo_facts *from, uint64_t late_ms) {
    for (uint32_t i = 0; i < into->member_count; i++) {
        const struct mongo_member *other = find_member(from, &into->members[i]);
        if (other == NULL) {
            continue;
        }
        take_rollback(&into->members[i], other, late_ms);
        if (knows_better(other, late_ms, &into->members[i])) {
            take_what_was_found(&into->members[i], other, late_ms);
        }
    }
    take_primary(into, from, late_ms);
    if (older(from->write_age_ms, late_ms) < into->write_age_ms) {
        into->write_age_ms = older(from->write_age_ms, late_ms);
        into->write_took_ms = from->write_took_ms;
    }
    bool same_config = from->config_version == into->config_version &&
                       from->config_term == into->config_term && from->member_total != 0;
    into->config_committed = into->config_committed || (same_config && from->config_committed);
    into->oplog_window_s = into->oplog_window_s == 0 ? from->oplog_window_s : into->oplog_window_s;
}

/* A node whose next report is overdue vouches for no member that another has found silent
 * meanwhile: with a region its node dies, too, and what that said last is of better days. */
static void doubt_overdue(const struct state *state, const struct policy_input *input,
                          uint32_t service, struct mongo_facts *facts) {
    for (uint32_t i = 0; i < facts->member_count; i++) {
        uint64_t least_ms[2] = {REPORT_EXPIRE_MS, REPORT_EXPIRE_MS}; /* silent, answers */
        uint64_t late_ms = 0;
        for (uint32_t n = 0; n < state->node_count; n++) {
            const struct mongo_facts *from = facts_of(state, input, service, n, &late_ms);
            const struct mongo_member *found =
                from == NULL ? NULL : find_member(from, &facts->members[i]);
            if (found != NULL && late_ms < least_ms[found->answers]) {
                least_ms[found->answers] = late_ms;
            }
        }
        if (least_ms[true] > least_ms[false] + REPORT_INTERVAL_MS + REPORT_INTERVAL_MS / 2) {
            facts->members[i].answers = false;
        }
    }
}

static bool is_fresh(const struct mongo_member *member, uint64_t fresh_ms) {
    return member->answers && member->age_ms <= fresh_ms;
}

/* A primary that was cut off, or slept, still says so: one of an older term than any other member
 * knows of is none. */
static uint32_t find_primary(const struct mongo_facts *facts) {
    uint32_t primary = NONE_INDEX;
    uint64_t term = 0;
    for (uint32_t i = 0; i < facts->member_count; i++) {
        const struct mongo_member *member = &facts->members[i];
        term = member->answers && member->term > term ? member->term : term;
        if (member->answers && member->writable && member->state == MONGO_PRIMARY &&
            (primary == NONE_INDEX || member->term > facts->members[primary].term)) {
            primary = i;
        }
    }
    return primary != NONE_INDEX && facts->members[primary].term < term ? NONE_INDEX : primary;
}

static void find_head(struct mongo_view *view) {
    const struct mongo_facts *facts = &view->facts;
    view->head_age_ms = MONGO_AGE_NEVER;
    if (view->primary != NONE_INDEX) {
        view->head = facts->members[view->primary].optime;
        view->head_age_ms = facts->members[view->primary].optime_age_ms;
    }
    for (uint32_t i = 0; i < facts->member_count; i++) {
        const struct mongo_optime *optime = &facts->members[i].optime;
        if (view->primary == NONE_INDEX && mongo_optime_compare(optime, &view->head) > 0) {
            view->head = *optime;
            /* What it wrote after it was last asked, nobody knows. */
            view->head_age_ms = facts->primary_age_ms;
        }
    }
    if (view->head.seconds == 0) {
        view->head_age_ms = MONGO_AGE_NEVER;
    }
}

void mongo_view_of(const struct mongo_facts *facts, uint64_t fresh_ms, struct mongo_view *ret) {
    memset(ret, 0, sizeof *ret);
    ret->facts = *facts;
    for (uint32_t i = 0; i < ret->facts.member_count; i++) {
        struct mongo_member *member = &ret->facts.members[i];
        if (!is_fresh(member, fresh_ms)) {
            member->answers = false;
            member->writable = false;
            member->state = MONGO_UNKNOWN;
        }
    }
    ret->primary = find_primary(&ret->facts);
    find_head(ret);
}

void policy_view_set(const struct state *state, const struct policy_input *input, uint32_t service,
                     struct mongo_view *ret) {
    const struct mongo_facts *newest = NULL;
    uint64_t newest_late_ms = 0;
    uint64_t late_ms = 0;
    memset(ret, 0, sizeof *ret);
    if (!state->spec.services[service].mongo.used) {
        return;
    }
    ret->primary = NONE_INDEX;
    ret->head_age_ms = MONGO_AGE_NEVER;
    ret->facts.primary = NONE_INDEX;
    ret->facts.primary_age_ms = MONGO_AGE_NEVER;
    ret->facts.write_age_ms = MONGO_AGE_NEVER;
    ret->facts.write_rate_milli = MONGO_RATE_UNKNOWN;
    for (uint32_t n = 0; n < state->node_count; n++) {
        const struct mongo_facts *facts = facts_of(state, input, service, n, &late_ms);
        if (facts != NULL && facts->member_total > 0 &&
            (newest == NULL || config_is_newer(facts, newest))) {
            newest = facts;
            newest_late_ms = late_ms;
        }
    }
    if (newest == NULL) {
        return;
    }
    ret->facts = *newest;
    struct mongo_facts *facts = &ret->facts;
    facts->member_count =
        facts->member_count < MONGO_MEMBER_MAX ? facts->member_count : MONGO_MEMBER_MAX;
    for (uint32_t i = 0; i < facts->member_count; i++) {
        facts->members[i].age_ms = older(facts->members[i].age_ms, newest_late_ms);
        facts->members[i].optime_age_ms = older(facts->members[i].optime_age_ms, newest_late_ms);
        facts->members[i].rollback_age_ms =
            older(facts->members[i].rollback_age_ms, newest_late_ms);
    }
    facts->primary_age_ms = older(facts->primary_age_ms, newest_late_ms);
    facts->write_age_ms = older(facts->write_age_ms, newest_late_ms);
    for (uint32_t n = 0; n < state->node_count; n++) {
        const struct mongo_facts *other = facts_of(state, input, service, n, &late_ms);
        if (other != NULL && other != newest) {
            merge(facts, other, late_ms);
        }
    }
    doubt_overdue(state, input, service, facts);
    struct mongo_facts together = *facts;
    mongo_view_of(&together, mongo_fresh_ms(&state->spec.services[service].mongo), ret);
}
