/* What befalls the members. Each thing lasts until a time, after which it is put right. */
#include <stdlib.h>
#include <string.h>

#include "set_private.h"

#define DEAD_ANSWERS_US (5 * SIM_SECOND)

static uint64_t later_us(struct sim_set *set, uint64_t least_ms, uint64_t most_ms) {
    return set_now_us(set) + chance_between(&set->chance, least_ms, most_ms) * SIM_MS;
}

static struct set_member *any_member(struct sim_set *set) {
    return &set->members[chance_below(&set->chance, set->member_count)];
}

static uint32_t place_of(const struct sim_set *set, const struct set_member *member) {
    return (uint32_t)(member - set->members);
}

static void set_packets(struct sim_set *set, uint32_t from, uint32_t to) {
    uint64_t now_us = set_now_us(set);
    bool off =
        set->members[from].cut_off_until_us > now_us || set->members[to].cut_off_until_us > now_us;
    mongo_set_cut(set->core, from, to,
                  from != to && (off || set->members[from].cut_until_us[to] > now_us));
}

static void set_all_packets(struct sim_set *set) {
    for (uint32_t a = 0; a < set->member_count; a++) {
        for (uint32_t b = 0; b < set->member_count; b++) {
            set_packets(set, a, b);
        }
    }
}

/* --- the end of each --- */

static bool ends(uint64_t *until_us, uint64_t now_us) {
    bool over = *until_us != 0 && *until_us <= now_us;
    *until_us = over ? 0 : *until_us;
    return over;
}

static void mend(struct sim_set *set) {
    uint64_t now_us = set_now_us(set);
    for (uint32_t i = 0; i < set->member_count; i++) {
        struct set_member *member = &set->members[i];
        if (ends(&member->lag_until_us, now_us)) {
            mongo_set_apply_delay(set->core, i, 0);
        }
        if (ends(&member->hung_until_us, now_us)) {
            sim_say(set->sim, member->host, "goes on");
            mongo_set_fate(set->core, i, MONGO_CONTINUE);
        }
        if (ends(&member->killed_until_us, now_us)) {
            sim_say(set->sim, member->host, "is started again");
            member->expected_down = false;
            mongo_set_fate(set->core, i, MONGO_START);
        }
        mongo_set_black_hole(set->core, i, member->cut_off_until_us > now_us);
    }
    set_all_packets(set);
}

static void on_mend(void *context) {
    struct sim_set *set = context;
    set_run(set);
    mend(set);
    set_follow(set);
}

static void mend_at(struct sim_set *set, uint64_t until_us) {
    if (until_us != UINT64_MAX) { /* until somebody lets it in */
        sim_at(set->sim, until_us, on_mend, set);
    }
}

void set_mend(struct sim_set *set) {
    mend(set);
}

static void extend(uint64_t *until_us, uint64_t to_us) {
    *until_us = to_us > *until_us ? to_us : *until_us;
}

/* --- each kind, once; time was let pass before --- */

static void kill_one(struct sim_set *set, struct set_member *member, uint64_t until_us) {
    sim_say(set->sim, member->host, "dies: kill -9");
    member->expected_down = true;
    member->died_us = set_now_us(set);
    member->hung_until_us = 0;
    extend(&member->killed_until_us, until_us);
    mongo_set_fate(set->core, place_of(set, member), MONGO_KILL);
    mend_at(set, member->killed_until_us);
}

void set_kill(struct sim_set *set, uint32_t member, uint64_t until_us) {
    kill_one(set, &set->members[member], until_us);
}

static void hang_one(struct sim_set *set, struct set_member *member, uint64_t until_us) {
    if (member->killed_until_us == 0) {
        sim_say(set->sim, member->host, "is stopped");
        extend(&member->hung_until_us, until_us);
        mongo_set_fate(set->core, place_of(set, member), MONGO_STOP);
        mend_at(set, member->hung_until_us);
    }
}

static void cut_one_off(struct sim_set *set, struct set_member *member, uint64_t until_us) {
    extend(&member->cut_off_until_us, until_us);
    mend(set);
    mend_at(set, member->cut_off_until_us);
}

static struct set_member *primary_or_any(struct sim_set *set) {
    struct set_member *member = any_member(set);
    for (uint32_t i = 0; i < set->member_count && chance_below(&set->chance, 2) == 0; i++) {
        member = set_is_primary(set, i) ? &set->members[i] : member;
    }
    return member;
}

static void kill_some(struct sim_set *set) {
    kill_one(set, primary_or_any(set), later_us(set, 500, 60000));
}

static void hang_some(struct sim_set *set) {
    hang_one(set, primary_or_any(set), later_us(set, 500, 40000));
}

/* Without a word: as at a power cut, it comes back soon. */
static void restart_some(struct sim_set *set) {
    kill_one(set, any_member(set), later_us(set, 100, 3000));
}

static void lag_some(struct sim_set *set) {
    struct set_member *member = any_member(set);
    uint64_t delay_ms = chance_between(&set->chance, 500, 60000);
    sim_say(set->sim, member->host, "lags by %llu ms", (unsigned long long)delay_ms);
    mongo_set_apply_delay(set->core, place_of(set, member), delay_ms);
    extend(&member->lag_until_us, later_us(set, 2000, 120000));
    mend_at(set, member->lag_until_us);
}

static void isolate(struct sim_set *set, struct set_member *member, uint64_t until_us) {
    sim_say(set->sim, member->host, "is cut off from the others");
    for (uint32_t i = 0; i < set->member_count; i++) {
        extend(&member->cut_until_us[i], until_us);
        extend(&set->members[i].cut_until_us[place_of(set, member)], until_us);
    }
    set_all_packets(set);
    mend_at(set, until_us);
}

static void cut_some(struct sim_set *set) {
    struct set_member *a = any_member(set);
    struct set_member *b = any_member(set);
    uint64_t until_us = later_us(set, 500, 40000);
    if (chance_below(&set->chance, 2) == 0) {
        isolate(set, primary_or_any(set), until_us);
    } else if (a != b) {
        sim_say(set->sim, a->host, "doesn't reach %s", b->host);
        extend(&a->cut_until_us[place_of(set, b)], until_us);
    }
    set_all_packets(set);
    mend_at(set, until_us);
}

static void step_up_some(struct sim_set *set) {
    set->touched_us = set_now_us(set);
    set_step_up(set, place_of(set, any_member(set)));
}

void set_step_up_other(struct sim_set *set) {
    uint32_t found = SET_NONE;
    uint64_t count = 0;
    set_run(set);
    for (uint32_t i = 0; i < set->member_count; i++) {
        struct mongo_view view;
        set_view_member(set, i, &view);
        bool may = view.up && !view.stopped && !view.writable &&
                   set->members[i].cut_off_until_us <= set_now_us(set);
        found = may && judge_draw(set->sim, ++count) == 0 ? i : found;
    }
    if (found != SET_NONE) {
        set->touched_us = set_now_us(set);
        set_step_up(set, found);
    }
    set_follow(set);
}

/* A config that one member has, and perhaps its primary's last word. */
struct moment {
    struct sim_set *set;
    uint32_t member;
};

static void on_rival_dies(void *context) {
    struct moment moment = *(struct moment *)context;
    free(context);
    set_run(moment.set);
    if (moment.set->faults_on) {
        kill_one(moment.set, &moment.set->members[moment.member],
                 later_us(moment.set, 1000, 20000));
    }
    set_follow(moment.set);
}

static void at_moment(struct sim_set *set, uint32_t member, uint64_t after_us,
                      void (*function)(void *context)) {
    struct moment *moment = malloc(sizeof *moment);
    if (moment == NULL) {
        abort();
    }
    *moment = (struct moment){set, member};
    sim_at(set->sim, set_now_us(set) + after_us, function, moment);
}

/* Another asks for the votes of those that haven't got the config yet, which takes a few
 * milliseconds, and hardly lives to lead: what is left of it is a newer term. */
static void on_rival(void *context) {
    struct moment moment = *(struct moment *)context;
    struct sim_set *set = moment.set;
    uint32_t rival = place_of(set, any_member(set));
    free(context);
    if (!set->faults_on || rival == moment.member) {
        return;
    }
    sim_count(set->sim, SIM_SET_STEPPED_UP);
    set_run(set);
    set->touched_us = set_now_us(set);
    set_step_up(set, rival);
    set_follow(set);
    at_moment(set, rival, chance_between(&set->chance, 2, 40) * SIM_MS, on_rival_dies);
}

static void on_config(void *context) {
    struct moment moment = *(struct moment *)context;
    struct sim_set *set = moment.set;
    struct set_member *member = &set->members[moment.member];
    free(context);
    if (!set->faults_on) {
        return;
    }
    set_run(set);
    if (judge_every_us(set->sim, SIM_MEMBER_KILLED) > 0) {
        sim_count(set->sim, SIM_MEMBER_KILLED);
        kill_one(set, member, later_us(set, 1000, 40000));
    } else if (judge_every_us(set->sim, SIM_MEMBERS_CUT) > 0) {
        sim_count(set->sim, SIM_MEMBERS_CUT);
        isolate(set, member, later_us(set, 5000, 40000));
    }
    set_follow(set);
}

void set_at_config(struct sim_set *set, uint32_t member) {
    uint64_t draw = set->faults_on ? chance_below(&set->chance, 3) : 2;
    if (draw == 0 && judge_every_us(set->sim, SIM_SET_STEPPED_UP) > 0) {
        at_moment(set, member, 0, on_rival);
    } else if (draw < 2) {
        at_moment(set, member, chance_below(&set->chance, 5) * SIM_MS, on_config);
    }
}

/* Long enough to be declared dead as well. */
static void on_forced(void *context) {
    struct moment moment = *(struct moment *)context;
    free(context);
    set_run(moment.set);
    if (moment.set->faults_on) {
        sim_count(moment.set->sim, SIM_MEMBER_KILLED);
        kill_one(moment.set, &moment.set->members[moment.member],
                 later_us(moment.set, 20000, 60000));
    }
    set_follow(moment.set);
}

void set_at_forced(struct sim_set *set, uint32_t member) {
    uint32_t left = set_named(set, set->members[member].config);
    if (set->faults_on && judge_is_staged(set->sim, STAGING_FORCED_DIES)) {
        if ((left & (left - 1)) != 0) { /* somebody else is left */
            at_moment(set, member, 0, on_forced);
        }
    } else if (set->faults_on && judge_every_us(set->sim, SIM_MEMBER_KILLED) > 0 &&
               chance_below(&set->chance, 2) == 0) {
        at_moment(set, member, chance_below(&set->chance, 5) * SIM_MS, on_forced);
    }
}

/* --- one that was declared dead answers --- */

static void cut_away(struct sim_set *set, struct set_member *member, bool away) {
    member->cut_away = away;
    member->cut_off_until_us = away ? UINT64_MAX : 0;
    mend(set);
}

static void on_dead_again(void *context) {
    struct moment moment = *(struct moment *)context;
    struct set_member *member = &moment.set->members[moment.member];
    free(context);
    set_run(moment.set);
    if (member->fenced) {
        cut_away(moment.set, member, true);
    }
    set_follow(moment.set);
}

/* It ran all the time, and nobody reached it. */
void set_stage_dead_answers(struct sim_set *set) {
    set_run(set);
    for (uint32_t i = 0; i < set->member_count; i++) {
        struct set_member *member = &set->members[i];
        struct mongo_view view;
        set_view_member(set, i, &view);
        if (member->cut_away && !view.writable) {
            isolate(set, member, set_now_us(set) + DEAD_ANSWERS_US);
            cut_away(set, member, false);
            at_moment(set, i, DEAD_ANSWERS_US, on_dead_again);
            break;
        }
    }
    set_follow(set);
}

/* Another of its region takes over, and the rest doesn't hear of it for a while. */
static void on_write(void *context) {
    struct moment moment = *(struct moment *)context;
    struct sim_set *set = moment.set;
    const struct set_member *member = &set->members[moment.member];
    bool staged = judge_is_staged(set->sim, STAGING_WRITE_INHERITED);
    free(context);
    set_run(set);
    for (uint32_t i = 0; i < set->member_count && set->faults_on; i++) {
        struct set_member *other = &set->members[i];
        if (i != moment.member && other->region == member->region) {
            sim_count(set->sim, SIM_SET_STEPPED_UP);
            set->touched_us = set_now_us(set);
            set_step_up(set, i);
        } else if (other->region != member->region) {
            uint64_t most_ms = staged ? 20000 : 8000; /* longer than anybody waits for an answer */
            mongo_set_apply_delay(set->core, i, staged ? most_ms : 5000);
            extend(&other->lag_until_us, later_us(set, staged ? most_ms : 2000, most_ms));
            mend_at(set, other->lag_until_us);
        }
    }
    set_follow(set);
}

bool set_at_write(struct sim_set *set, uint32_t member) {
    bool staged = set->faults_on && judge_is_staged(set->sim, STAGING_WRITE_INHERITED);
    if (staged || (set->faults_on && judge_every_us(set->sim, SIM_SET_STEPPED_UP) > 0 &&
                   chance_below(&set->chance, 2) == 0)) {
        at_moment(set, member, chance_below(&set->chance, 20) * SIM_MS, on_write);
    }
    return staged;
}

static const struct {
    void (*happen)(struct sim_set *set);
    enum sim_fault fault;
} happenings[] = {
    {kill_some, SIM_MEMBER_KILLED},       {hang_some, SIM_MEMBER_HUNG},
    {restart_some, SIM_MEMBER_RESTARTED}, {lag_some, SIM_MEMBER_LAGS},
    {cut_some, SIM_MEMBERS_CUT},          {set_reconfigure, SIM_SET_RECONFIGURED},
    {step_up_some, SIM_SET_STEPPED_UP},
};

#define HAPPENING_COUNT (sizeof happenings / sizeof happenings[0])

struct happening {
    struct sim_set *set;
    size_t row;
};

static struct happening due[HAPPENING_COUNT];

static void on_happening(void *context) {
    const struct happening *happening = context;
    struct sim_set *set = happening->set;
    enum sim_fault fault = happenings[happening->row].fault;
    if (!set->faults_on) {
        return;
    }
    sim_count(set->sim, fault);
    set_run(set);
    happenings[happening->row].happen(set);
    set_follow(set);
    uint64_t every_us = judge_every_us(set->sim, fault);
    sim_at(set->sim, set_now_us(set) + chance_between(&set->chance, every_us / 4, every_us * 7 / 4),
           on_happening, context);
}

void set_faults_begin(struct sim_set *set) {
    set->faults_on = true;
    for (size_t i = 0; i < HAPPENING_COUNT; i++) {
        uint64_t every_us = judge_every_us(set->sim, happenings[i].fault);
        due[i] = (struct happening){set, i};
        if (every_us > 0) {
            sim_at(set->sim, set_now_us(set) + chance_below(&set->chance, every_us), on_happening,
                   &due[i]);
        }
    }
}

void set_region_falls(struct sim_set *set, uint32_t region, enum region_fall fall,
                      uint64_t until_us) {
    uint64_t draw = chance_below(&set->chance, 4);
    bool alone = fall == REGION_SERVICES; /* the coordinator's nodes there don't fall */
    bool dies = fall == REGION_KILLED || (alone && draw == 0);
    bool hangs = fall == REGION_STALLED || (alone && draw == 1);
    set_run(set);
    for (uint32_t i = 0; i < set->member_count; i++) {
        struct set_member *member = &set->members[i];
        if (member->region != region) {
            continue;
        }
        if (dies) {
            kill_one(set, member, until_us);
        } else if (hangs) {
            hang_one(set, member, until_us);
        }
        cut_one_off(set, member, until_us);
    }
    set_follow(set);
}

void set_heal(struct sim_set *set) {
    set_run(set);
    set->faults_on = false;
    for (uint32_t i = 0; i < set->member_count; i++) {
        struct set_member *member = &set->members[i];
        uint64_t *ends_us[] = {&member->killed_until_us, &member->hung_until_us,
                               &member->lag_until_us};
        for (size_t k = 0; k < sizeof ends_us / sizeof ends_us[0]; k++) {
            bool stays = *ends_us[k] == 0 || *ends_us[k] == UINT64_MAX;
            *ends_us[k] = stays ? *ends_us[k] : set_now_us(set);
        }
        member->cut_off_until_us = member->cut_off_until_us == UINT64_MAX ? UINT64_MAX : 0;
        memset(member->cut_until_us, 0, sizeof member->cut_until_us);
    }
    mend(set);
    set_follow(set);
}
