#include "midlife.h"

#include <assert.h>
#include <stddef.h>

#define TERM_OF_SETS 1000
#define HOUR_MS (UINT64_C(3600) * 1000)

static bool has_moved(const struct group *group) {
    return group_execution(group)->epoch > 1;
}

static void open_moving(struct group *group) {
    group_open_adopted(group);
    bool moved = group_run(group, WITHOUT_EAST, east_down, 200, 1000, has_moved);
    assert(moved);
    (void)moved;
}

static void carry_out_move(struct group *group, enum execution_kind kind) {
    enum core_error error = group_move(group, "us-west-2", kind, 0);
    assert(error == CORE_OK);
    (void)error;
    group_carry_out(group);
    assert(group_execution(group)->result == RESULT_DONE);
}

/* The west leads, in a config that came of the forced one. */
static struct mongo_facts facts_after(uint32_t kept_out) {
    struct mongo_facts facts = mongo_example();
    facts.config_version = 5;
    facts.config_term = 9;
    facts.primary = W1;
    facts.primary_term = 9;
    facts.member_count = facts.member_total = X1; /* without the last one */
    for (uint32_t i = 0; i < facts.member_count; i++) {
        struct mongo_member *member = &facts.members[i];
        member->writable = i == W1;
        member->state = i == W1 ? MONGO_PRIMARY : MONGO_SECONDARY;
        member->term = member->optime.term = member->config_term = 9;
        member->config_version = 5;
        member->sync_source = i == W1 ? NONE_INDEX : W1;
        if ((kept_out & BIT(i)) != 0) {
            member->kept_out = true;
            member->votes = false;
            member->priority_milli = 0;
        }
    }
    return facts;
}

static void open_set(struct group *group, struct mongo_facts *facts, bool lost) {
    group_open_adopted(group);
    group_add_set(group);
    *facts = mongo_example();
    mongo_lose_majority(facts);
    group_tell(group, facts);
    group->dead = LOST;
    carry_out_move(group, EXECUTION_FAILOVER);
    group->dead = 0;
    *facts = facts_after(BIT(E1) | BIT(E2));
    group_tell(group, facts);
    group->readmit = "e1:27017";
    carry_out_move(group, EXECUTION_READMIT);
    group->readmit = NULL;
    *facts = facts_after(BIT(E2));
    mongo_lose(facts, W2, 25000);
    if (lost) {
        mongo_lose(facts, W1, 25000);
    }
    group->now_ms += HOUR_MS; /* no cooldown any more */
    group->wall_ms += HOUR_MS;
    group->term = TERM_OF_SETS - 1;
    enum core_error error = group_leader(group, 2);
    assert(error == CORE_OK);
    (void)error;
    (void)group_run(group, EVERYBODY, all_up, 3, 1000, NULL);
}

struct group *midlife_group(enum midlife which) {
    static struct group groups[MIDLIFE_COUNT];
    static struct mongo_facts facts[MIDLIFE_COUNT];
    struct group *group = &groups[which];
    if (group->state == NULL && which == MIDLIFE_MOVING) {
        open_moving(group);
    } else if (group->state == NULL) {
        open_set(group, &facts[which], which == MIDLIFE_SET_LOST);
    }
    return group;
}
