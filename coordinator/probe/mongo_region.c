/* From what is known of a set to the result of one of its regions. */
#include "mongo_private.h"

static enum probe_result_code code_of(const struct set_member *member) {
    static const enum probe_result_code codes[MONGO_RESULT_COUNT] = {
        [MONGO_RESULT_OK] = PROBE_NO_MEMBER,
        [MONGO_RESULT_SERVER] = PROBE_NO_MEMBER,
        [MONGO_RESULT_TIMEOUT] = PROBE_TIMEOUT,
        [MONGO_RESULT_TIMEOUT_CONNECT] = PROBE_TIMEOUT_CONNECT,
        [MONGO_RESULT_REFUSED] = PROBE_REFUSED,
        [MONGO_RESULT_RESET] = PROBE_RESET,
        [MONGO_RESULT_DNS] = PROBE_DNS,
        [MONGO_RESULT_TLS] = PROBE_TLS,
        [MONGO_RESULT_AUTH] = PROBE_AUTH,
        [MONGO_RESULT_CREDENTIALS] = PROBE_CREDENTIALS,
        [MONGO_RESULT_PROTOCOL] = PROBE_PROTOCOL,
        [MONGO_RESULT_BUSY] = PROBE_INTERNAL,
        [MONGO_RESULT_CANCELLED] = PROBE_INTERNAL,
        [MONGO_RESULT_INTERNAL] = PROBE_INTERNAL,
    };
    return codes[member->result];
}

/* A void reason goes before any other: somebody may be well, and this node can't tell. Else the
 * one that all share. */
static enum probe_result_code merge(enum probe_result_code a, enum probe_result_code b) {
    if (a == PROBE_OK || a == b) {
        return b;
    }
    if (probe_result_kind(a) == PROBE_KIND_VOID) {
        return a;
    }
    return probe_result_kind(b) == PROBE_KIND_VOID ? b : PROBE_NO_MEMBER;
}

static enum probe_result_code judge_members(const struct replica_set *set, uint32_t region,
                                            uint64_t since_ms) {
    enum probe_result_code why = PROBE_OK;
    for (uint32_t i = 0; i < set->member_count; i++) {
        const struct set_member *member = &set->members[i];
        if (member->region != region || !set_member_is_electable(member)) {
            continue;
        }
        bool fresh = set_member_is_fresh(member, since_ms);
        if (fresh && (member->state == MONGO_SECONDARY || member->state == MONGO_PRIMARY)) {
            return PROBE_OK;
        }
        why = merge(why, fresh ? PROBE_NO_MEMBER : code_of(member));
    }
    return why == PROBE_OK ? PROBE_NO_MEMBER : why;
}

static enum probe_result_code judge_primary(const struct replica_set *set, uint64_t since_ms) {
    if (replica_set_primary(set, since_ms) != NONE_INDEX) {
        return PROBE_OK;
    }
    for (uint32_t i = 0; i < set->member_count; i++) {
        const struct set_member *member = &set->members[i];
        if (set_member_is_electable(member) && !set_member_is_fresh(member, since_ms) &&
            probe_result_kind(code_of(member)) == PROBE_KIND_VOID) {
            return code_of(member);
        }
    }
    return PROBE_NO_PRIMARY;
}

enum probe_result_code mongo_region_judge(const struct replica_set *set, uint32_t region,
                                          bool active, uint64_t since_ms) {
    if (!set->is_known) {
        return PROBE_NOT_READ;
    }
    enum probe_result_code code = judge_members(set, region, since_ms);
    return code == PROBE_OK && active ? judge_primary(set, since_ms) : code;
}
