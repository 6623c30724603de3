#include "mongo_judge.h"

#include <string.h>

#include "base/text.h"

/* From here on the order of configs is (term, version), and one voter changes at a time. */
#define SAFE_RECONFIG_VERSION 404

const char *mongo_case_text(enum mongo_case kind) {
    static const char *const texts[] = {"none",     "there",  "handover",
                                        "election", "forced", "nobody"};
    _Static_assert(sizeof texts / sizeof texts[0] == MONGO_CASE_COUNT, "one text a case");
    return (unsigned)kind < MONGO_CASE_COUNT ? texts[kind] : "?";
}

uint64_t mongo_lag_ms(const struct mongo_optime *head, const struct mongo_optime *optime) {
    if (head->seconds == 0 || optime->seconds == 0) {
        return UINT64_MAX;
    }
    if (mongo_optime_compare(optime, head) >= 0) {
        return 0;
    }
    if (head->wall_ms != 0 && optime->wall_ms != 0) {
        return head->wall_ms > optime->wall_ms ? head->wall_ms - optime->wall_ms : 0;
    }
    uint64_t seconds = head->seconds > optime->seconds ? head->seconds - optime->seconds : 0;
    return (seconds + 1) * 1000;
}

static bool votes_in(enum mongo_state state) {
    switch (state) {
    case MONGO_PRIMARY:
    case MONGO_SECONDARY:
    case MONGO_RECOVERING:
    case MONGO_STARTUP2:
    case MONGO_ROLLBACK:
    case MONGO_ARBITER:
        return true;
    default:
        return false;
    }
}

static bool has_data(const struct mongo_member *member) {
    return member->answers && (member->state == MONGO_PRIMARY || member->state == MONGO_SECONDARY);
}

static bool is_electable(const struct mongo_member *member, uint32_t region) {
    return member->region == region && member->votes && member->priority_milli > 0 &&
           !member->hidden && !member->arbiter && member->delay_s == 0;
}

static bool is_better(const struct mongo_member *a, const struct mongo_member *b) {
    int order = mongo_optime_compare(&a->optime, &b->optime);
    if (order == 0 && a->priority_milli != b->priority_milli) {
        order = a->priority_milli > b->priority_milli ? 1 : -1;
    }
    return order != 0 ? order > 0 : a->id < b->id;
}

/* A person's word that just those are dead that nobody can ask. Only of a set that is told whole:
 * all survivors must be named. */
static bool declaration_holds(const struct spec_mongo *mongo, const struct mongo_view *view) {
    const struct mongo_facts *facts = &view->facts;
    if (view->dead == 0 || mongo->on_majority_lost != MONGO_LOST_ASK ||
        facts->member_total != facts->member_count) {
        return false;
    }
    uint32_t silent = 0;
    for (uint32_t i = 0; i < facts->member_count; i++) {
        silent |= facts->members[i].answers ? 0 : UINT32_C(1) << i;
    }
    return silent == view->dead;
}

static void count_member(const struct mongo_view *view, const struct mongo_member *member,
                         struct mongo_verdict *ret) {
    bool alive = member->answers && votes_in(member->state);
    ret->voters += member->votes;
    ret->data_voters += member->votes && !member->arbiter;
    ret->voters_alive += member->votes && alive;
    ret->data_alive += member->votes && !member->arbiter && has_data(member);
    ret->silent += !member->answers;
    ret->rolling_back += member->answers && member->state == MONGO_ROLLBACK;
    if (member->answers && member->version != 0) {
        bool first = ret->newest == 0;
        ret->oldest = first || member->version < ret->oldest ? member->version : ret->oldest;
        ret->newest = member->version > ret->newest ? member->version : ret->newest;
    }
    if (has_data(member) && member->delay_s == 0) {
        uint64_t lag = mongo_lag_ms(&view->head, &member->optime);
        ret->worst_lag_ms = lag > ret->worst_lag_ms ? lag : ret->worst_lag_ms;
    }
}

static enum mongo_case case_of(const struct mongo_view *view, uint32_t to,
                               const struct mongo_verdict *verdict) {
    if (view->primary != NONE_INDEX && view->facts.members[view->primary].region == to) {
        return MONGO_CASE_THERE;
    }
    if (verdict->member == NONE_INDEX) {
        return MONGO_CASE_NOBODY;
    }
    if (verdict->voters_alive < verdict->need) {
        return MONGO_CASE_FORCED;
    }
    return view->primary != NONE_INDEX ? MONGO_CASE_HANDOVER : MONGO_CASE_ELECTION;
}

/* Counts all but those in `left_out` (bits of places), and finds the one to promote. */
static void count_members(const struct mongo_view *view, uint32_t to, uint32_t left_out,
                          struct mongo_verdict *ret) {
    memset(ret, 0, sizeof *ret);
    ret->member = NONE_INDEX;
    ret->lag_ms = UINT64_MAX;
    ret->age_ms = UINT64_MAX;
    for (uint32_t i = 0; i < view->facts.member_count; i++) {
        const struct mongo_member *member = &view->facts.members[i];
        if ((left_out >> i & 1) != 0) {
            continue;
        }
        count_member(view, member, ret);
        bool electable = is_electable(member, to);
        ret->electable += electable;
        if (electable && has_data(member) &&
            (ret->member == NONE_INDEX || is_better(member, &view->facts.members[ret->member]))) {
            ret->member = i;
        }
    }
    ret->need = ret->voters / 2 + 1;
    ret->data_need = ret->data_voters < ret->need ? ret->data_voters : ret->need;
}

void mongo_judge(const struct spec_mongo *mongo, const struct mongo_view *view, uint32_t to,
                 struct mongo_verdict *ret) {
    memset(ret, 0, sizeof *ret);
    ret->member = NONE_INDEX;
    ret->lag_ms = UINT64_MAX;
    ret->age_ms = UINT64_MAX;
    if (!mongo->used) {
        return;
    }
    count_members(view, to, 0, ret);
    ret->kind = case_of(view, to, ret);
    if (ret->kind == MONGO_CASE_FORCED && declaration_holds(mongo, view)) {
        count_members(view, to, view->dead, ret);
        ret->kind = MONGO_CASE_FORCED; /* of the whole set */
        ret->declared = true;
    }
    ret->leaderless_ms = view->primary != NONE_INDEX ? 0 : view->facts.primary_age_ms;
    if (ret->kind == MONGO_CASE_THERE) {
        ret->member = view->primary;
    }
    if (ret->member != NONE_INDEX) {
        const struct mongo_member *member = &view->facts.members[ret->member];
        uint32_t age = view->head_age_ms;
        age = member->optime_age_ms > age ? member->optime_age_ms : age;
        ret->lag_ms = mongo_lag_ms(&view->head, &member->optime);
        ret->age_ms = age == MONGO_AGE_NEVER ? UINT64_MAX : age;
    }
}

static struct gate_reading at_least(uint64_t value, uint64_t limit) {
    return (struct gate_reading){
        .result = value >= limit ? GATE_PASS : GATE_FAIL, .value = value, .limit = limit};
}

static struct gate_reading at_most(uint64_t value, uint64_t limit) {
    return (struct gate_reading){
        .result = value <= limit ? GATE_PASS : GATE_FAIL, .value = value, .limit = limit};
}

static struct gate_reading read_lag(const struct spec_mongo *mongo,
                                    const struct mongo_verdict *verdict) {
    bool pass = verdict->lag_ms <= mongo->max_lag_ms && verdict->age_ms <= mongo->max_lag_age_ms;
    return (struct gate_reading){.result = pass ? GATE_PASS : GATE_FAIL,
                                 .value = verdict->lag_ms,
                                 .limit = mongo->max_lag_ms,
                                 .age_ms = verdict->age_ms,
                                 .age_limit_ms = mongo->max_lag_age_ms};
}

void mongo_read_gates(const struct spec_mongo *mongo, const struct mongo_view *view, uint32_t to,
                      struct gate_reading gates[GATE_COUNT]) {
    static const enum gate own[] = {
        GATE_REPLICATION_LAG, GATE_MONGO_MEMBER,   GATE_MONGO_MAJORITY,
        GATE_MONGO_DATA,      GATE_MONGO_ELECTION, GATE_MONGO_ROLLBACK,
        GATE_MONGO_CONFIG,    GATE_MONGO_OPLOG,    GATE_MONGO_VERSIONS,
    };
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
        gates[own[i]] = (struct gate_reading){.result = GATE_NOT_APPLICABLE};
    }
    if (!mongo->used) {
        return;
    }
    struct mongo_verdict verdict;
    mongo_judge(mongo, view, to, &verdict);
    gates[GATE_REPLICATION_LAG] = read_lag(mongo, &verdict);
    gates[GATE_MONGO_MEMBER] = at_least(verdict.member != NONE_INDEX, 1);
    gates[GATE_MONGO_MAJORITY] = at_least(verdict.voters_alive, verdict.need);
    gates[GATE_MONGO_DATA] = at_least(verdict.data_alive, verdict.data_need);
    gates[GATE_MONGO_ROLLBACK] = at_most(verdict.rolling_back, 0);
    bool two_rules =
        verdict.oldest < SAFE_RECONFIG_VERSION && verdict.newest >= SAFE_RECONFIG_VERSION;
    gates[GATE_MONGO_VERSIONS] =
        at_most(verdict.newest, two_rules ? SAFE_RECONFIG_VERSION - 1 : verdict.newest);
    if (view->facts.oplog_window_s != 0) {
        gates[GATE_MONGO_OPLOG] =
            at_most(verdict.worst_lag_ms, UINT64_C(1000) * view->facts.oplog_window_s);
    }
    if (verdict.voters_alive >= verdict.need) {
        if (!verdict.declared) { /* a forced config takes the place of any */
            gates[GATE_MONGO_CONFIG] = at_least(view->facts.config_committed, 1);
        }
        /* The set is at it by itself; after twice its time-out it needs help. */
        uint64_t bound_ms = 2 * (uint64_t)view->facts.election_timeout_ms;
        gates[GATE_MONGO_ELECTION] = at_least(verdict.leaderless_ms, bound_ms);
        if (view->primary != NONE_INDEX) {
            gates[GATE_MONGO_ELECTION].result = GATE_PASS;
        }
    }
}

static bool was_left_out(const struct service *service, const char *host) {
    for (uint32_t i = 0; i < service->left_out_count; i++) {
        if (text_equal(service->left_out[i].host, host)) {
            return true;
        }
    }
    return false;
}

const char *mongo_readmit_refusal(const struct state *state, uint32_t service,
                                  const struct mongo_view *view) {
    const struct spec_mongo *mongo = &state->spec.services[service].mongo;
    const struct mongo_facts *facts = &view->facts;
    const struct mongo_member *member = NULL;
    struct mongo_verdict verdict;
    for (uint32_t i = 0; i < facts->member_count; i++) {
        if (text_equal(facts->members[i].host, view->readmit)) {
            member = &facts->members[i];
        }
    }
    if (member == NULL && !was_left_out(&state->services[service], view->readmit)) {
        return "it is no member of the set, and none that a forced reconfiguration left out";
    }
    if (member != NULL && !member->kept_out) {
        return "it is in the set with all that its config says";
    }
    mongo_judge(mongo, view, NONE_INDEX, &verdict);
    if (view->primary == NONE_INDEX || verdict.voters_alive < verdict.need) {
        return "the set has no primary, or no majority: nothing can be changed now";
    }
    if (member == NULL) {
        return NULL; /* whether it answers, the driver asks */
    }
    if (!member->answers || member->state != MONGO_SECONDARY) {
        return "it is no secondary yet: it has to catch up, or to be looked at, first";
    }
    bool close = mongo_lag_ms(&view->head, &member->optime) <= mongo->max_lag_ms &&
                 member->optime_age_ms <= mongo->max_lag_age_ms;
    return close ? NULL : "it is behind by more than max_lag: it has to catch up first";
}
