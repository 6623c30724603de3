#include "document_mongo.h"

#include <string.h>

#include "base/text.h"

void document_view_set(const struct api_facts *facts, uint32_t service, struct mongo_view *ret) {
    struct policy_input own;
    const struct policy_input *input = document_policy(facts, &own);
    uint32_t place = NONE_INDEX;
    for (uint32_t n = 0; n < facts->state->node_count; n++) {
        place = text_equal(facts->state->nodes[n].name, facts->node) ? n : place;
    }
    if (facts->policy == NULL && place != NONE_INDEX && facts->own_report != NULL) {
        own.reports[place] = facts->own_report;
        own.received_ms[place] = facts->now_ms;
    }
    policy_view_set(facts->state, input, service, ret);
}

uint64_t document_set_lag_ms(const struct api_facts *facts, uint32_t service, uint32_t to) {
    const struct spec_mongo *mongo = &facts->state->spec.services[service].mongo;
    struct mongo_view view;
    struct mongo_verdict verdict;
    if (!mongo->used || to == NONE_INDEX) {
        return UINT64_MAX;
    }
    document_view_set(facts, service, &view);
    mongo_judge(mongo, &view, to, &verdict);
    return verdict.lag_ms;
}

bool document_set_depends_on(const struct mongo_facts *facts, uint32_t lost) {
    uint32_t voters = 0;
    uint32_t left = 0;
    for (uint32_t i = 0; i < facts->member_count; i++) {
        voters += facts->members[i].votes;
        left += facts->members[i].votes && facts->members[i].region != lost;
    }
    return voters > 0 && left <= voters / 2;
}

/* Words of mongo/result.h. */
static bool is_login(const char *trouble) {
    return text_equal(trouble, "auth") || text_equal(trouble, "credentials");
}

const char *document_set_login_trouble(const struct api_facts *facts, uint32_t service) {
    for (uint32_t n = 0; n < facts->state->node_count; n++) {
        const struct report *report = document_report(facts, n);
        if (report == NULL || report->spec_index != facts->state->spec_index) {
            continue;
        }
        const struct mongo_facts *set = &report->mongo[service];
        for (uint32_t i = 0; i < set->member_count && i < MONGO_MEMBER_MAX; i++) {
            if (is_login(set->members[i].trouble)) {
                return set->members[i].trouble;
            }
        }
    }
    return "";
}

bool document_is_left_out(const struct mongo_facts *set, const char *host) {
    for (uint32_t i = 0; i < set->member_count; i++) {
        if (text_equal(set->members[i].host, host)) {
            return false;
        }
    }
    return set->member_total > 0;
}

bool document_would_impose(const struct left_out *left_out, const struct mongo_view *view) {
    if (view->primary == NONE_INDEX) {
        return false; /* nor would anything be written */
    }
    const struct mongo_member *primary = &view->facts.members[view->primary];
    return primary->version >= MONGO_TERM_FIRST_VERSION && left_out->known_term > primary->term;
}

/* imposing: only those that would bring their own config back. */
static json_t *left_out_hosts(const struct service *service, const struct mongo_view *view,
                              bool imposing) {
    json_t *hosts = json_array();
    for (uint32_t i = 0; i < service->left_out_count; i++) {
        const struct left_out *left_out = &service->left_out[i];
        if (document_is_left_out(&view->facts, left_out->host) &&
            (!imposing || document_would_impose(left_out, view))) {
            document_append(hosts, document_text(left_out->host));
        }
    }
    return hosts;
}

static uint64_t known_age(uint32_t age_ms) {
    return age_ms == MONGO_AGE_NEVER ? UINT64_MAX : age_ms;
}

static json_t *member_row(const struct state *state, const struct mongo_view *view,
                          uint32_t place) {
    const struct mongo_member *member = &view->facts.members[place];
    json_t *row = json_object();
    bool has_data = !member->arbiter;
    document_set(row, "id", member->id == NONE_INDEX ? NULL : document_number(member->id));
    document_set(row, "host", document_text(member->host));
    document_set(row, "region", document_region(state, member->region));
    document_set(row, "state", document_text(mongo_state_text(member->state)));
    document_set(row, "writable", document_bool(place == view->primary));
    document_set(row, "lag_ms",
                 has_data ? document_known(mongo_lag_ms(&view->head, &member->optime)) : NULL);
    document_set(row, "lag_age_ms", document_known(known_age(member->optime_age_ms)));
    document_set(row, "age_ms", document_known(known_age(member->age_ms)));
    document_set(row, "priority", json_real(member->priority_milli / 1000.0));
    document_set(row, "votes", document_bool(member->votes));
    document_set(row, "hidden", document_bool(member->hidden));
    document_set(row, "arbiter", document_bool(member->arbiter));
    document_set(row, "delay_s", document_number(member->delay_s));
    document_set(row, "sync_source",
                 member->sync_source == NONE_INDEX ? NULL : document_number(member->sync_source));
    document_set(row, "version", document_number(member->version));
    document_set(row, "trouble", document_text(member->trouble));
    document_set(row, "kept_out", document_bool(member->kept_out));
    document_set(row, "rollback_age_ms", document_known(known_age(member->rollback_age_ms)));
    document_set(row, "silent_in_rollback",
                 document_bool(mongo_member_fell_silent_in_rollback(member)));
    return row;
}

/* Before any node has read a config: whom they asked, and why it wasn't answered. */
static void take_seeds(const struct api_facts *facts, uint32_t service, struct mongo_view *view) {
    for (uint32_t n = 0; n < facts->state->node_count && view->facts.member_count == 0; n++) {
        const struct report *report = document_report(facts, n);
        if (report != NULL && report->spec_index == facts->state->spec_index &&
            report->mongo[service].member_total == 0) {
            view->facts = report->mongo[service];
        }
    }
}

json_t *document_set_of(const struct api_facts *facts, uint32_t service) {
    const struct state *state = facts->state;
    struct mongo_view view;
    if (!state->spec.services[service].mongo.used) {
        return json_null();
    }
    document_view_set(facts, service, &view);
    if (view.facts.member_total == 0) {
        take_seeds(facts, service, &view);
    }
    json_t *set = json_object();
    json_t *members = json_array();
    bool has_primary = view.primary != NONE_INDEX;
    for (uint32_t i = 0; i < view.facts.member_count && i < MONGO_MEMBER_MAX; i++) {
        document_append(members, member_row(state, &view, i));
    }
    document_set(set, "name", document_text(view.facts.set_name));
    document_set(set, "read", document_bool(view.facts.member_total > 0));
    document_set(set, "primary",
                 has_primary ? document_text(view.facts.members[view.primary].host) : NULL);
    document_set(set, "primary_region",
                 has_primary ? document_region(state, view.facts.members[view.primary].region)
                             : NULL);
    document_set(set, "config_version", document_number(view.facts.config_version));
    document_set(set, "config_term", document_number(view.facts.config_term));
    document_set(set, "config_committed", document_bool(view.facts.config_committed));
    document_set(set, "oplog_window_s", document_number(view.facts.oplog_window_s));
    document_set(set, "write_age_ms", document_known(known_age(view.facts.write_age_ms)));
    document_set(set, "write_took_ms", document_number(view.facts.write_took_ms));
    bool counted = view.facts.write_rate_milli != MONGO_RATE_UNKNOWN && view.facts.member_total > 0;
    document_set(set, "writes_per_s",
                 counted ? json_real(view.facts.write_rate_milli / 1000.0) : NULL);
    document_set(set, "write_trouble", document_text(view.facts.write_trouble));
    struct mongo_verdict verdict;
    mongo_judge(&state->spec.services[service].mongo, &view, NONE_INDEX, &verdict);
    document_set(set, "voters", document_number(verdict.voters));
    document_set(set, "voters_answering", document_number(verdict.voters_alive));
    document_set(set, "majority", document_bool(verdict.voters_alive >= verdict.need));
    document_set(set, "member_total", document_number(view.facts.member_total));
    document_set(set, "members", members);
    document_set(set, "left_out", left_out_hosts(&state->services[service], &view, false));
    document_set(set, "imposing", left_out_hosts(&state->services[service], &view, true));
    return set;
}
