/* Between the world and its replica set, and between the coordinator's words and the set's. */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "judge_private.h"
#include "set.h"

#define SET_SALT                                                                                   \
    UINT64_C(0x6d6f6e676f) /* "mongo": worlds without a set draw what they always did */
#define SET_INTERVAL_MS 2000
#define SET_TIMEOUT_MS 1500

static const enum sim_fault of_members[] = {SIM_MEMBER_KILLED, SIM_MEMBER_HUNG,
                                            SIM_MEMBER_RESTARTED, SIM_MEMBER_LAGS, SIM_MEMBERS_CUT};
static const enum sim_fault of_people[] = {SIM_SET_RECONFIGURED, SIM_SET_STEPPED_UP};
static const enum sim_fault of_questions[] = {SIM_QUESTION_LOST, SIM_QUESTION_LATE,
                                              SIM_QUESTION_TWICE, SIM_ANSWER_LOST};

/* --- what this world is like --- */

static void draw_every(struct sim *sim, struct chance *chance, const enum sim_fault *faults,
                       size_t count, uint64_t most_s) {
    for (size_t i = 0; i < count; i++) {
        uint64_t every_us = chance_between(chance, 5, most_s) * SIM_SECOND;
        sim->every_us[faults[i]] = chance_below(chance, 2) == 0 ? every_us : 0;
    }
}

void set_draw(struct sim *sim) {
    struct chance *chance = &sim->set_chance;
    chance_seed(chance, sim->options.seed ^ SET_SALT);
    sim->has_set = chance_below(chance, 2) == 0 || sim->options.of_set;
    if (!sim->has_set) {
        return;
    }
    uint64_t calm = UINT64_C(1) << chance_below(chance, 4);
    draw_every(sim, chance, of_members, ARRAY_LENGTH(of_members), 60 * calm);
    draw_every(sim, chance, of_people, ARRAY_LENGTH(of_people), 120 * calm);
    for (size_t i = 0; i < ARRAY_LENGTH(of_questions); i++) {
        bool wanted = chance_below(chance, 2) == 0;
        bool of_once =
            of_questions[i] == SIM_QUESTION_LATE || of_questions[i] == SIM_QUESTION_TWICE;
        uint64_t most = of_once ? 700000 : 60000;
        sim->per_million[of_questions[i]] =
            wanted ? (uint32_t)chance_between(chance, most / 30, most) : 0;
    }
    sim->set_checks_writes = chance_below(chance, 2) == 0;
    static const uint64_t lags_ms[] = {1000, 2000, 5000, 30000};
    sim->set_max_lag_ms = lags_ms[chance_below(chance, 4)];
    sim->set_max_lag_age_ms = chance_below(chance, 2) == 0 ? 8000 : 30000;
}

void set_begin(struct sim *sim) {
    if (sim->has_set) {
        struct sim_set_options options = {.regions = world_regions,
                                          .seed = chance_next(&sim->set_chance) ^ sim->options.salt,
                                          .wall_ms = WORLD_START_WALL_MS};
        sim->set = set_create(sim, &options);
    }
}

void set_fill_spec(const struct sim *sim, struct spec_mongo *ret) {
    ret->used = true;
    (void)snprintf(ret->uri, sizeof ret->uri, "mongodb://%s/?replicaSet=%s", set_hosts(sim->set),
                   SET_NAME);
    (void)TEXT_COPY(ret->region_tag, "region");
    (void)TEXT_COPY(ret->write_check, sim->set_checks_writes ? "noctua.canary" : "");
    ret->max_lag_ms = sim->set_max_lag_ms;
    ret->max_lag_age_ms = sim->set_max_lag_age_ms;
    ret->interval_ms = SET_INTERVAL_MS;
    ret->timeout_ms = SET_TIMEOUT_MS;
    ret->fall = WORLD_FALL;
    ret->rise = 2;
    ret->on_majority_lost = MONGO_LOST_ASK;
    ret->on_own_election = sim->options.seed % 2 == 0 ? MONGO_ELECTION_PAGE : MONGO_ELECTION_FOLLOW;
}

/* --- what happens to questions --- */

enum judge_request judge_question_fate(struct sim *sim, struct chance *chance, bool once) {
    static const struct {
        enum sim_fault fault;
        enum judge_request fate;
        bool once_only;
    } fates[] = {
        {SIM_QUESTION_LATE, REQUEST_LATE, true},
        {SIM_QUESTION_TWICE, REQUEST_TWICE, true},
        {SIM_QUESTION_LOST, REQUEST_LOST, false},
        {SIM_ANSWER_LOST, REPLY_LOST, false},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(fates) && sim->faults_on; i++) {
        if ((once || !fates[i].once_only) &&
            chance_hits(chance, sim->per_million[fates[i].fault])) {
            sim_count(sim, fates[i].fault);
            return fates[i].fate;
        }
    }
    return REQUEST_FINE;
}

/* The way to a region's members is as slow as that to its nodes. */
uint64_t judge_question_us(const struct sim_node *node, uint32_t region, struct chance *chance) {
    bool slow = false;
    for (uint32_t i = 0; i < node->sim->node_count; i++) {
        const struct sim_node *other = &node->sim->nodes[i];
        bool there = other != node && text_equal(other->region, world_regions[region]);
        slow = slow || (there && (world_is_slow(node, other) || world_is_slow(other, node)));
    }
    return chance_between(chance, 500, slow ? 900000 : 30000);
}

uint64_t judge_every_us(const struct sim *sim, enum sim_fault fault) {
    return sim->every_us[fault];
}

bool judge_is_staged(const struct sim *sim, enum sim_staging staging) {
    return sim->options.staging == staging;
}

uint32_t judge_place(const struct sim_node *node) {
    return node->place;
}

uint64_t judge_draw(struct sim *sim, uint64_t below) {
    return chance_below(&sim->recovery.chance, below);
}

bool judge_is_up(const struct sim *sim, uint32_t region) {
    return sim->now_us >= sim->region_down_until_us[region] &&
           sim->now_us >= sim->region_cut_until_us[region];
}

bool judge_reaches(struct sim *sim, const struct sim_node *node, uint32_t region) {
    if (text_equal(node->region, world_regions[region])) {
        return judge_is_up(sim, region);
    }
    /* Where it is cut off from all nodes, it is cut off from the members as well. */
    uint32_t others = 0;
    uint32_t cut = 0;
    for (uint32_t i = 0; i < sim->node_count; i++) {
        const struct sim_node *other = &sim->nodes[i];
        if (other != node && text_equal(other->region, world_regions[region])) {
            others++;
            cut += world_is_cut(sim, node, other) || world_is_cut(sim, other, node);
        }
    }
    return judge_is_up(sim, region) && sim->now_us >= sim->unseen_until_us[node->place][region] &&
           (others == 0 || cut < others);
}
