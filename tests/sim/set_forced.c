/* A lost majority, and a forced config: who is left out by it, what is lost with them, and how they
 * come back. All of it is read off the members themselves. */
#include "set_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#define LOST_US (5 * SIM_SECOND)
#define ANSWERS_WITHIN_US (8 * SIM_SECOND)

/* --- who is there --- */

static bool is_there(const struct sim_set *set, uint32_t place) {
    const struct set_member *member = &set->members[place];
    struct mongo_view view;
    set_view_member(set, place, &view);
    return view.up && !view.stopped && member->cut_off_until_us <= set_now_us(set) &&
           !member->cut_away && judge_is_up(set->sim, member->region);
}

bool set_majority_is_lost(const struct sim_set *set) {
    return set->lost_since_us != UINT64_MAX;
}

void set_look_for_majority(struct sim_set *set) {
    uint32_t voters = set_voters(set, set->committed);
    uint32_t count = 0;
    uint32_t there = 0;
    for (uint32_t i = 0; i < set->member_count; i++) {
        bool votes = (voters >> i & 1) != 0;
        count += votes;
        there += votes && is_there(set, i);
    }
    if (there * 2 > count) {
        set->lost_since_us = UINT64_MAX;
        set->loss_counted = false;
        return;
    }
    if (set->lost_since_us == UINT64_MAX) {
        set->lost_since_us = set_now_us(set);
    }
    if (!set->loss_counted && set_now_us(set) - set->lost_since_us >= LOST_US) {
        set->loss_counted = true;
        sim_count(set->sim, SIM_MAJORITY_LOST);
        sim_say(set->sim, "set", "its majority is lost: %u of %u", there, count);
    }
}

bool set_has_voter(const struct sim_set *set, uint32_t region) {
    uint32_t voters = set_voters(set, set->committed);
    for (uint32_t i = 0; i < set->member_count; i++) {
        if ((voters >> i & 1) != 0 && set->members[i].region == region) {
            return true;
        }
    }
    return false;
}

/* --- fences of people --- */

void set_fence(struct sim_set *set, const char *host) {
    uint32_t place = set_place(set, host);
    if (place == SET_NONE || set->members[place].fenced) {
        return;
    }
    struct set_member *member = &set->members[place];
    set_run(set);
    member->fenced = true;
    bool staged = judge_is_staged(set->sim, STAGING_DEAD_ANSWERS);
    if (!staged && (is_there(set, place) || judge_draw(set->sim, 2) == 0)) {
        set_kill(set, place, UINT64_MAX);
    } else {
        member->cut_away = true;
        member->cut_off_until_us = UINT64_MAX;
        set_mend(set);
    }
    sim_say(set->sim, "somebody", "sees to it that %s stays %s", host,
            member->cut_away ? "cut off" : "dead");
    set_follow(set);
}

void set_fence_region(struct sim_set *set, uint32_t region) {
    for (uint32_t i = 0; i < set->member_count; i++) {
        if (set->members[i].region == region) {
            set_fence(set, set->members[i].host);
        }
    }
}

bool set_is_fenced(const struct sim_set *set, const char *host) {
    uint32_t place = set_place(set, host);
    return place != SET_NONE && set->members[place].fenced;
}

uint32_t set_fenced_count(const struct sim_set *set) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < set->member_count; i++) {
        count += set->members[i].fenced;
    }
    return count;
}

/* --- an old side that goes on, out of reach --- */

void set_stage_old_side(struct sim_set *set, uint32_t survives) {
    set_run(set);
    for (uint32_t i = 0; i < set->member_count; i++) {
        struct set_member *member = &set->members[i];
        member->fenced = member->cut_away = member->region != survives;
        for (uint32_t j = 0; j < set->member_count; j++) {
            bool apart = member->cut_away != (set->members[j].region != survives);
            member->cut_until_us[j] = apart ? UINT64_MAX : 0;
        }
    }
    set_mend(set);
    set_follow(set);
}

bool set_old_side_runs(const struct sim_set *set) {
    bool runs = false;
    for (uint32_t i = 0; i < set->member_count; i++) {
        runs = runs || set->members[i].cut_away;
    }
    return runs && judge_is_staged(set->sim, STAGING_TERM_SHARED);
}

void set_stage_old_side_elects(struct sim_set *set) {
    set_run(set);
    for (uint32_t i = 0; i < set->member_count; i++) {
        struct mongo_view view;
        set_view_member(set, i, &view);
        if (set->members[i].cut_away && !view.writable) {
            set_step_up(set, i);
            break;
        }
    }
    set_follow(set);
}

void set_stage_old_side_ends(struct sim_set *set) {
    set_run(set);
    for (uint32_t i = 0; i < set->member_count; i++) {
        struct set_member *member = &set->members[i];
        memset(member->cut_until_us, 0, sizeof member->cut_until_us);
        if (member->cut_away) {
            member->cut_away = false;
            set_kill(set, i, UINT64_MAX);
        }
    }
    set_mend(set);
    set_follow(set);
}

static void let_one_in(struct sim_set *set, struct set_member *member) {
    sim_say(set->sim, "somebody", "lets %s in again", member->host);
    set_run(set);
    member->fenced = false;
    if (member->cut_away) {
        member->cut_away = false;
        member->cut_off_until_us = 0;
    }
    if (member->killed_until_us == UINT64_MAX) {
        member->killed_until_us = set_now_us(set);
    }
    set_mend(set);
    set_follow(set);
}

/* Who has the newest config of all, if it is one of those. */
static struct set_member *with_newest_config(struct sim_set *set) {
    struct set_member *newest = set->members;
    for (uint32_t i = 1; i < set->member_count; i++) {
        struct set_member *member = &set->members[i];
        newest = member->config_version > newest->config_version ? member : newest;
    }
    return newest->fenced ? newest : NULL;
}

bool set_let_in(struct sim_set *set, bool all) {
    struct set_member *first =
        judge_is_staged(set->sim, STAGING_FORCED_DIES) ? with_newest_config(set) : NULL;
    if (first != NULL) {
        let_one_in(set, first);
        return true;
    }
    uint32_t fenced = set_fenced_count(set);
    bool waits = false; /* two of the old config might make a majority of it */
    for (uint32_t i = 0; i < set->member_count && !all; i++) {
        const struct set_member *member = &set->members[i];
        waits = waits || (!member->fenced && member->unaware);
    }
    for (uint32_t i = 0; i < set->member_count && fenced > 0; i++) {
        struct set_member *member = &set->members[i];
        if (member->fenced && (!waits || member->has_forced)) {
            member->mistaken = member->mistaken || (all && fenced > 1 && member->unaware);
            let_one_in(set, member);
            if (!all) {
                return true;
            }
        }
    }
    return !waits;
}

void set_restart(struct sim_set *set, const char *host) {
    uint32_t place = set_place(set, host);
    if (place != SET_NONE) {
        set_run(set);
        set_kill(set, place, set_now_us(set) + SIM_SECOND);
        set_follow(set);
    }
}

/* Empty, it takes the config that it hears first, also the old one of another that comes back: a
 * majority of it, if those two are one. */
static void wipe(struct sim_set *set, uint32_t place) {
    struct set_member *member = &set->members[place];
    mongo_set_fate(set->core, place, MONGO_WIPE);
    member->has_forced = false;
    member->unaware = set->forced_version > 0;
}

void set_empty(struct sim_set *set, const char *host) {
    uint32_t place = set_place(set, host);
    if (place != SET_NONE) {
        sim_say(set->sim, "somebody", "empties the data directory of %s", host);
        set_run(set);
        set_kill(set, place, set_now_us(set) + SIM_SECOND);
        wipe(set, place);
        set_follow(set);
    }
}

/* --- whoever has rolled back what its majority had ends, and is made anew --- */

struct ended {
    struct sim_set *set;
    uint32_t place;
};

static void on_wiped(void *context) {
    struct ended ended = *(struct ended *)context;
    struct set_member *member = &ended.set->members[ended.place];
    free(context);
    if (member->killed_until_us == 0) { /* else it comes to the same point again */
        sim_say(ended.set->sim, "somebody", "gives %s an empty disk", member->host);
        set_run(ended.set);
        wipe(ended.set, ended.place);
        mongo_set_fate(ended.set->core, ended.place, MONGO_START);
        member->expected_down = false;
        set_follow(ended.set);
    }
}

bool set_may_abort(struct sim_set *set, uint32_t place) {
    struct set_member *member = &set->members[place];
    struct ended *ended;
    if (!member->was_out) {
        return false;
    }
    ended = malloc(sizeof *ended);
    if (ended == NULL) {
        abort();
    }
    sim_say(set->sim, member->host, "ends: it would have to roll back what its majority had");
    member->expected_down = true;
    *ended = (struct ended){set, place};
    sim_at(set->sim, set_now_us(set) + 3 * SIM_SECOND + judge_draw(set->sim, 10 * SIM_SECOND),
           on_wiped, ended);
    return true;
}

/* --- forced configs --- */

static int64_t version_of(const bson_t *config) {
    bson_iter_t iter;
    return bson_iter_init_find(&iter, config, "version") ? bson_iter_as_int64(&iter) : 0;
}

/* What none of those has that are left: nobody can save it. */
static void count_lost_writes(struct sim_set *set, uint32_t named) {
    uint32_t lost = 0;
    for (uint32_t n = 0; n < set->write_count; n++) {
        struct set_write *write = &set->writes[n];
        char id[24];
        bool held = false;
        (void)snprintf(id, sizeof id, "%u", n);
        for (uint32_t i = 0; i < set->member_count && !held; i++) {
            held = (named >> i & 1) != 0 && mongo_set_holds(set->core, i, "app", "orders", id);
        }
        if (write->acknowledged && !write->lost && !held) {
            write->lost = true;
            lost++;
            sim_count(set->sim, SIM_WRITE_LOST);
        }
    }
    if (lost > 0) {
        sim_say(set->sim, "set", "%u writes that were acknowledged are on no survivor", lost);
    }
}

static const char *host_of(const struct sim_set *set, uint32_t places) {
    uint32_t i = 0;
    while (i + 1 < set->member_count && (places >> i & 1) == 0) {
        i++;
    }
    return set->members[i].host;
}

static void see_forced(struct sim_set *set, uint32_t place, const bson_t *before) {
    const struct set_member *at = &set->members[place];
    uint32_t named = set_named(set, at->config);
    uint32_t out = set_named(set, before) & ~named;
    uint32_t came = named & ~set_named(set, before);
    uint32_t voted = set_voters(set, at->config) & ~set_voters(set, before);
    const char *hosts[SET_MEMBER_MAX];
    char fence[SET_FENCE_SIZE];
    uint32_t count = 0;
    set->forced_count++;
    set->forced_version = at->config_version;
    set->forced_wrong = false;
    set->forced_term = 0;
    for (uint32_t i = 0; i < set->member_count; i++) {
        struct set_member *member = &set->members[i];
        member->has_forced = i == place; /* the others hear of it, if that one lives */
        if ((named >> i & 1) != 0) {
            struct mongo_view view;
            set_view_member(set, i, &view);
            set->forced_term = view.term > set->forced_term ? view.term : set->forced_term;
            continue;
        }
        if ((out >> i & 1) != 0) {
            hosts[count++] = member->host;
            member->mistaken = !member->fenced;
            set->forced_wrong = set->forced_wrong || member->mistaken;
        }
        member->unaware = true;
        member->was_out = true;
    }
    if ((came | voted) != 0) {
        judge_set_broken(set->sim, "a forced config only leaves members out",
                         host_of(set, came | voted));
    }
    set_read_fence(at->config, fence);
    sim_say(set->sim, "set", "%s carries out a forced config, version %lld: %s", at->host,
            (long long)at->config_version, fence);
    sim_count(set->sim, SIM_SET_FORCED);
    if (set->forced_wrong) {
        sim_count(set->sim, SIM_SET_FORCED_WRONG);
    }
    if (judge_set_forced(set->sim, fence, hosts, count)) {
        sim_count(set->sim, SIM_SET_FORCED_LATE);
        set->forced_wrong = true;
    }
    count_lost_writes(set, named);
    /* Terms go on from what the survivors know. */
    set->acked_term = 0;
    set->acked_us = 0;
    set->primary_term = 0;
}

void set_see_new_config(struct sim_set *set, uint32_t place, const bson_t *before) {
    struct mongo_view view;
    set_view_member(set, place, &view);
    if (version_of(before) > 0 && view.config_forced) {
        see_forced(set, place, before);
    }
}

/* By an election in a term that no survivor had heard of: configs are ordered by their terms first.
 * What was acknowledged since goes with the forced config. */
static void see_undone(struct sim_set *set, const struct set_member *by) {
    sim_say(set->sim, "set", "%s takes the config of an old side, of term %lld", by->host,
            (long long)by->config_term);
    sim_count(set->sim, SIM_SET_FORCED_UNDONE);
    judge_set_undone(set->sim);
    set->forced_wrong = true;
    set->was_undone = true;
    set->forced_version = 0;
    set->acked_term = 0;
    set->acked_us = 0;
    set->primary_term = 0;
    for (uint32_t i = 0; i < set->member_count; i++) {
        struct set_member *member = &set->members[i];
        member->has_forced = false;
        member->unaware = false;
        member->mistaken = false;
        member->was_out = true; /* may have to roll back what a majority had */
    }
    for (uint32_t n = 0; n < set->write_count; n++) {
        set->writes[n].lost = true;
    }
}

void set_see_aware(struct sim_set *set, uint32_t place) {
    struct set_member *member = &set->members[place];
    if (member->config_version >= set->forced_version) {
        member->unaware = false;
        member->mistaken = false;
        member->has_forced = true;
    } else if (set->forced_version > 0 && member->has_forced && member->config_version > 0) {
        if (member->config_term <= set->forced_term) {
            judge_set_broken(set->sim, "a forced config is not undone (13)", member->host);
        }
        see_undone(set, member);
    }
}

static uint32_t bits(uint32_t places) {
    uint32_t count = 0;
    for (; places != 0; places &= places - 1) {
        count++;
    }
    return count;
}

void set_see_voters(struct sim_set *set, const bson_t *before, const bson_t *after) {
    if (before == NULL || set->was_undone) {
        set->was_undone = false;
        return;
    }
    char fence[SET_FENCE_SIZE];
    uint32_t voted = set_voters(set, before);
    uint32_t votes = set_voters(set, after);
    uint32_t named = set_named(set, after);
    uint32_t came = named & ~set_named(set, before);
    if (version_of(after) == set->forced_version) {
        return; /* see_forced: it goes by what its member had, which may not be the committed one */
    }
    set_read_fence(after, fence);
    if ((voted & ~votes) != 0) {
        judge_set_broken(set->sim, "nobody's vote is taken", host_of(set, voted & ~votes));
    }
    if (bits(votes & ~voted) > 1) {
        judge_set_broken(set->sim, "one voter changes at a time", host_of(set, votes & ~voted));
    }
    for (uint32_t i = 0; i < set->member_count; i++) {
        struct set_member *member = &set->members[i];
        if ((came >> i & 1) != 0) {
            if ((votes >> i & 1) != 0) {
                judge_set_broken(set->sim, "kept without a vote", member->host);
            }
            judge_set_kept(set->sim, fence, member->host);
            sim_count(set->sim, SIM_MEMBER_KEPT);
        }
        if ((votes & ~voted & ~came) >> i & 1) {
            judge_set_voter(set->sim, fence, member->host);
            sim_count(set->sim, SIM_MEMBER_READMITTED);
            member->was_out = false;
        }
    }
}

/* --- sending one --- */

bool set_command_forces(const bson_t *command) {
    bson_iter_t iter;
    return command != NULL && bson_has_field(command, "replSetReconfig") &&
           bson_iter_init_find(&iter, command, "force") && bson_iter_as_bool(&iter);
}

void set_note_asked(struct sim_set *set, const struct sim_node *node, struct asked *asked) {
    struct set_answers *answers = &set->answers[judge_place(node)][asked->member];
    answers->asked_us[answers->count % SET_ANSWERS_KEPT] = set_now_us(set);
    answers->answered[answers->count % SET_ANSWERS_KEPT] = false;
    asked->number = answers->count++;
}

/* In the node: it has heard of it. */
void set_note_heard(struct sim_set *set, const struct asked *asked) {
    struct set_answers *answers = &set->answers[judge_place(asked->node)][asked->member];
    bool in_time = set_now_us(set) - asked->asked_us < SIM_SECOND;
    if (asked->outcome == SET_ANSWERED && in_time &&
        answers->count - asked->number <= SET_ANSWERS_KEPT) {
        answers->answered[asked->number % SET_ANSWERS_KEPT] = true;
    }
}

/* All that this node has asked it of late was answered, and it is still there. */
static bool answers_well(const struct sim_set *set, const struct sim_node *node, uint32_t place) {
    const struct set_answers *answers = &set->answers[judge_place(node)][place];
    for (uint32_t k = 0; k < SET_ANSWERS_KEPT; k++) {
        if (!answers->answered[k] || answers->asked_us[k] + ANSWERS_WITHIN_US < set_now_us(set)) {
            return false;
        }
    }
    return is_there(set, place) && !set->members[place].cut_away &&
           judge_reaches(set->sim, node, set->members[place].region);
}

/* One that was sent before. */
static bool is_forced_under_way(const struct sim_set *set) {
    bool late = false;
    for (const struct asked *asked = set->asked; asked != NULL; asked = asked->next) {
        late = late || (asked->forces && asked->stray && !asked->arrived);
    }
    return late;
}

/* TCP doesn't repeat it, and nothing would refuse it a second time. But it may come at any time,
 * and that is what it must be tried with. */
enum judge_request set_fate_of_forced(struct sim_set *set, enum judge_request fate) {
    bool staged = judge_is_staged(set->sim, STAGING_LATE_RELEASED);
    bool late =
        set->faults_on && (staged ? !is_forced_under_way(set) : judge_draw(set->sim, 4) == 0);
    if (late) {
        sim_count(set->sim, SIM_QUESTION_LATE);
    }
    return late ? REQUEST_LATE : fate == REQUEST_TWICE ? REQUEST_FINE : fate;
}

void set_judge_sending(struct sim_set *set, const struct sim_node *node,
                       const struct set_question *question) {
    bson_iter_t iter;
    const uint8_t *bytes = NULL;
    uint32_t size_bytes = 0;
    bson_t config;
    uint32_t to = set_place(set, question->host);
    if (to == SET_NONE || !bson_iter_init_find(&iter, question->command, "replSetReconfig") ||
        !BSON_ITER_HOLDS_DOCUMENT(&iter)) {
        return;
    }
    bson_iter_document(&iter, &size_bytes, &bytes);
    if (!bson_init_static(&config, bytes, size_bytes)) {
        return;
    }
    uint32_t out = set_named(set, set->members[to].config) & ~set_named(set, &config);
    for (uint32_t i = 0; i < set->member_count; i++) {
        if ((out >> i & 1) != 0 && answers_well(set, node, i)) {
            judge_set_broken(set->sim, "nobody is left out who answers", set->members[i].host);
        }
    }
    sim_say(set->sim, "set", "a config is forced upon %s", question->host);
}
