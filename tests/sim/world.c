#include "world.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "parts.h"
#include "replica_private.h"
#include "rerun.h"
#include "set.h"
#include "transport.h"

#define HEALING_US (10 * SIM_SECOND) /* a round of people */
#define HEALING_ROUNDS 33
#define HEALING_ROUNDS_MIN 2
#define LOOK_EVERY_US (500 * SIM_MS)
#define POLL_SALT UINT64_C(0x706f6c6c)
#define PLAN_SALT UINT64_C(0x706c616e)

const char *const world_regions[WORLD_REGION_MAX] = {"us-east-1", "us-west-2", "eu-west-1",
                                                     "ap-south-1", "sa-east-1"};

const struct world_check world_checks[WORLD_CHECK_MAX] = {
    {"api", true}, {"page", false}, {"db", true}};

static const char *const fault_texts[] = {
#define X(name, text) text,
    SIM_FAULT_TABLE(X)
#undef X
};

const char *sim_fault_text(enum sim_fault fault) {
    return fault_texts[fault];
}

bool sim_fault_is_outcome(enum sim_fault fault) {
    static const enum sim_fault outcomes[] = {
        SIM_OWNER_REFUSED, SIM_STORAGE_REFUSED,  SIM_REGION_DEGRADED,   SIM_SET_ELECTED,
        SIM_SET_FORCED,    SIM_SET_FORCED_WRONG, SIM_SET_FORCED_LATE,   SIM_SET_FORCED_UNDONE,
        SIM_WRITE_LOST,    SIM_MEMBER_KEPT,      SIM_MEMBER_READMITTED,
    };
    for (size_t i = 0; i < ARRAY_LENGTH(outcomes); i++) {
        if (outcomes[i] == fault) {
            return true;
        }
    }
    return false;
}

void sim_count(struct sim *sim, enum sim_fault fault) {
    sim->counts[fault]++;
}

uint64_t sim_now(const struct sim *sim) {
    return sim->now_us;
}

struct chance *sim_chance(struct sim *sim) {
    return &sim->chance;
}

static void tell(const struct sim *sim, const char *who, const char *format, va_list arguments) {
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    (void)printf("%10.6f  %-9s ", (double)sim->now_us / 1e6, who);
    (void)vprintf(format, arguments);
    (void)putchar('\n');
}

void sim_say(struct sim *sim, const char *who, const char *format, ...) {
    va_list arguments;
    if (!sim->options.trace) {
        return;
    }
    va_start(arguments, format);
    tell(sim, who, format, arguments);
    va_end(arguments);
}

void sim_broken(struct sim *sim, const char *invariant, const char *format, ...) {
    char again[RERUN_SIZE];
    va_list arguments;
    va_start(arguments, format);
    (void)printf("seed %llu: BROKEN at %.6f s: %s: ", (unsigned long long)sim->options.seed,
                 (double)sim->now_us / 1e6, invariant);
    (void)vprintf(format, arguments);
    va_end(arguments);
    rerun_line(&sim->options, again);
    (void)printf("\n  again: %s (or SHRINK=1)\n", again);
    (void)fflush(stdout);
    exit(1);
}

void sim_at(struct sim *sim, uint64_t time_us, sim_function function, void *context) {
    struct sim_event event = {.time_us = time_us, .function = function, .context = context};
    queue_put(&sim->queue, &event);
}

void sim_at_node(struct sim_node *node, uint64_t time_us, sim_function function, void *context,
                 bool owned) {
    struct sim_event event = {.time_us = time_us,
                              .function = function,
                              .context = context,
                              .node = node,
                              .life = node->life,
                              .owned = owned};
    queue_put(&node->sim->queue, &event);
}

static void run_event(struct sim *sim, const struct sim_event *event) {
    struct sim_node *node = event->node;
    sim->now_us = event->time_us;
    if (node == NULL) {
        event->function(event->context);
        return;
    }
    if (!node->alive || node->life != event->life) {
        if (event->owned) {
            free(event->context);
        }
        return;
    }
    if (event->function != NULL) {
        loop_add_task(&node->loop, event->function, event->context);
    }
    node_run_now(node);
    judge_ran(node);
}

void world_run_until(struct sim *sim, uint64_t until_us) {
    struct sim_event event;
    while (sim->queue.count > 0 && sim->queue.events[0].time_us <= until_us) {
        (void)queue_take(&sim->queue, &event);
        run_event(sim, &event);
    }
    sim->now_us = until_us;
}

uint32_t world_node_count(const struct sim *sim) {
    return sim->node_count;
}

struct sim_node *world_node(struct sim *sim, uint32_t place) {
    return &sim->nodes[place];
}

struct sim_target *world_target(struct sim *sim) {
    return sim->target;
}

bool world_tells(const struct sim *sim) {
    return sim->options.trace;
}

bool world_has(const struct sim *sim, enum sim_fault fault) {
    return (sim->options.without >> fault & 1) == 0;
}

uint64_t world_disk_us(const struct sim_node *node) {
    struct sim *sim = node->sim;
    bool slow = sim->now_us < sim->slow_disk_until_us[node->place];
    return slow ? chance_between(&sim->chance, 20000, 800000)
                : chance_between(&sim->chance, 150, sim->disk_most_us);
}

bool world_is_slow(const struct sim_node *from, const struct sim_node *to) {
    return from->sim->now_us < from->sim->slow_link_until_us[from->place][to->place];
}

uint64_t world_delay_us(struct sim *sim, const struct sim_node *from, const struct sim_node *to) {
    return world_is_slow(from, to) ? chance_between(&sim->chance, 1000, 900000)
                                   : chance_between(&sim->chance, 500, 3000);
}

bool world_is_cut(const struct sim *sim, const struct sim_node *from, const struct sim_node *to) {
    return sim->now_us < sim->cut_until_us[from->place][to->place] ||
           regions_are_apart(sim, world_region_of(from), world_region_of(to));
}

bool world_loses_message(struct sim *sim, const struct sim_node *from, const struct sim_node *to) {
    return world_is_cut(sim, from, to);
}

bool world_crashes_here(struct sim_node *node) {
    uint32_t *countdown = &node->sim->crash_countdown[node->place];
    return *countdown > 0 && --*countdown == 0;
}

static uint32_t region_place(const char *url) {
    for (uint32_t r = 0; r < WORLD_REGION_MAX; r++) {
        if (strstr(url, world_regions[r]) != NULL) {
            return r;
        }
    }
    return 0;
}

static uint32_t check_place(const char *name) {
    uint32_t place = 0;
    while (!text_equal(world_checks[place].name, name)) {
        place++;
        assert(place < WORLD_CHECK_MAX);
    }
    return place;
}

static void note_bad(struct seen *seen, uint32_t check, uint64_t start_us) {
    uint64_t *failed_us = seen->failed_us[check];
    memmove(failed_us, failed_us + 1, (WORLD_FALL - 1) * sizeof *failed_us);
    failed_us[WORLD_FALL - 1] = start_us;
    if (!world_checks[check].critical) {
        return;
    }
    seen->last_bad_us = start_us > seen->last_bad_us ? start_us : seen->last_bad_us;
    if (failed_us[0] != 0) {
        seen->down_us = failed_us[0] > seen->down_us ? failed_us[0] : seen->down_us;
    }
}

static void note_good(struct seen *seen, uint32_t check) {
    memset(seen->failed_us[check], 0, sizeof seen->failed_us[check]);
}

void world_fed(struct sim_node *node, const struct probe_target *target,
               const struct probe_result *result) {
    struct seen *seen = &node->sim->seen_of_set[node->place][target->region];
    /* By a stopwatch that may run fast: no more than it really took. */
    uint64_t took_us = (result->finish_ms - result->start_ms) * 990;
    switch (probe_result_kind(result->code)) {
    case PROBE_KIND_OK:
        note_good(seen, 0);
        break;
    case PROBE_KIND_FAIL:
        note_bad(seen, 0, node->sim->now_us - took_us);
        break;
    default:
        break;
    }
}

static bool serves(const struct sim_node *node, uint32_t region) {
    const struct sim *sim = node->sim;
    return sim->now_us >= sim->region_down_until_us[region] &&
           sim->now_us >= sim->unseen_until_us[node->place][region] &&
           !regions_are_apart(sim, world_region_of(node), region);
}

/* How long the answer takes. */
static uint64_t answer_us(struct sim *sim, uint32_t region, uint32_t check, uint64_t timeout_us) {
    bool slow = sim->now_us < sim->region_slow_until_us[region] &&
                (sim->slow_checks[region] >> check & 1) != 0;
    uint64_t least_us = timeout_us * sim->slow_percent[region] / 100;
    return slow ? chance_between(&sim->chance, least_us, least_us + timeout_us / 2)
                : chance_between(&sim->chance, 500, 20000);
}

enum probe_result_code world_probe(struct sim_node *node, const struct probe_target *target,
                                   uint64_t *ret_took_us) {
    struct sim *sim = node->sim;
    uint32_t region = region_place(target->url);
    uint32_t check = check_place(target->check);
    struct seen *seen = &sim->seen[node->place][target->service][region];
    uint64_t timeout_us = target->timeout_ms * SIM_MS;
    if (serves(node, region)) {
        *ret_took_us = answer_us(sim, region, check, timeout_us);
        if (*ret_took_us < timeout_us) {
            note_good(seen, check);
            return PROBE_OK;
        }
        note_bad(seen, check, sim->now_us);
        *ret_took_us = timeout_us;
        return PROBE_TIMEOUT;
    }
    note_bad(seen, check, sim->now_us);
    bool refused = chance_below(&sim->chance, 2) == 0;
    *ret_took_us = refused ? 1000 : timeout_us;
    return refused ? PROBE_REFUSED : PROBE_TIMEOUT;
}

bool world_reaches_control(const struct sim_node *node) {
    const struct sim *sim = node->sim;
    bool apart = sim->now_us < sim->region_cut_until_us[world_region_of(node)];
    for (uint32_t i = 0; i < sim->node_count && !apart; i++) {
        if (i != node->place && sim->nodes[i].wanted && !world_is_cut(sim, node, &sim->nodes[i])) {
            return true;
        }
    }
    return false; /* its region is cut off, or it is from everybody */
}

static void on_restart(void *context) {
    struct sim_node *node = context;
    uint64_t down_until_us = node->sim->nodes_down_until_us[world_region_of(node)];
    if (node->alive || !node->wanted) {
        return;
    }
    if (node->sim->now_us < down_until_us) {
        sim_at(node->sim, down_until_us, on_restart, node);
    } else {
        node_start(node);
    }
}

const struct state *world_newest_state(struct sim *sim) {
    const struct state *newest = NULL;
    for (uint32_t i = 0; i < sim->node_count; i++) {
        const struct state *state = node_state(&sim->nodes[i]);
        if (state != NULL && (newest == NULL || state->applied_index > newest->applied_index)) {
            newest = state;
        }
    }
    return newest;
}

struct sim_node *world_find_node(struct sim *sim, uint64_t id) {
    for (uint32_t i = 0; i < sim->node_count; i++) {
        if (sim->nodes[i].id == id) {
            return &sim->nodes[i];
        }
    }
    return NULL;
}

void world_on_death(struct sim_node *node) {
    struct sim *sim = node->sim;
    sim->crash_countdown[node->place] = 0;
    storage_on_end(node);
    uint64_t most_s = chance_below(&sim->chance, 4) == 0 ? 60 : 5;
    uint64_t after_us = chance_between(&sim->chance, 100 * SIM_MS, most_s * SIM_SECOND);
    sim_at(sim, sim->now_us + after_us, on_restart, node);
}

void world_on_applied(struct sim_node *node) {
    judge_applied(node);
}

void world_on_published(struct sim_node *node) {
    judge_view(node);
}

/* --- judge.h, but for the judging --- */

enum judge_request judge_request_fate(struct sim *sim, bool effect) {
    static const struct {
        enum sim_fault fault;
        enum judge_request fate;
        bool effects_only;
    } fates[] = {
        {SIM_REQUEST_LATE, REQUEST_LATE, true},       {SIM_REQUEST_TWICE, REQUEST_TWICE, true},
        {SIM_REQUEST_LOST, REQUEST_LOST, false},      {SIM_REPLY_LOST, REPLY_LOST, false},
        {SIM_TARGET_REFUSES, REQUEST_REFUSED, false},
    };
    if (sim->now_us < sim->target_dead_until_us) {
        uint64_t draw = chance_below(&sim->chance, 3);
        bool queued = draw == 2 && effect; /* and carried out later */
        sim->counts[SIM_REQUEST_LATE] += queued;
        return draw == 0 ? REQUEST_NOT_SENT : queued ? REQUEST_LATE : REQUEST_LOST;
    }
    for (size_t i = 0; i < ARRAY_LENGTH(fates) && sim->faults_on; i++) {
        uint32_t rate = sim->per_million[fates[i].fault];
        if ((effect || !fates[i].effects_only) && chance_hits(&sim->chance, rate)) {
            sim_count(sim, fates[i].fault);
            return fates[i].fate;
        }
    }
    return REQUEST_FINE;
}

uint64_t judge_request_us(struct sim *sim) {
    return chance_between(&sim->chance, 5000, 200000);
}

uint64_t judge_lateness_us(struct sim *sim) {
    if (sim->options.staging == STAGING_LATE_RELEASED) {
        return 200 * SIM_SECOND; /* unless it is sent for: set_stage_late_comes() */
    }
    return chance_between(&sim->chance, SIM_SECOND, sim->lateness_ms * SIM_MS);
}

uint64_t judge_forgets_us(struct sim *sim, uint64_t pending_us) {
    if (!sim->faults_on || !chance_hits(&sim->chance, sim->per_million[SIM_TARGET_FORGETS])) {
        return 0;
    }
    sim_count(sim, SIM_TARGET_FORGETS);
    return chance_between(&sim->chance, 1, pending_us);
}

uint64_t judge_life(const struct sim_node *node) {
    return node->alive ? node->life : 0;
}

/* --- the run --- */

static void on_look(void *context) {
    struct sim *sim = context;
    if (sim->set != NULL) {
        set_look(sim->set);
    }
    sim_at(sim, sim->now_us + LOOK_EVERY_US, on_look, sim);
}

void world_first_members(const struct sim *sim, struct raft_configuration *ret) {
    raft_configuration_init(ret);
    for (uint32_t i = 0; i < sim->member_count; i++) {
        (void)raft_configuration_add(ret, sim->nodes[i].id, sim->nodes[i].name, RAFT_VOTER);
    }
}

static void bootstrap(struct sim *sim) {
    struct raft_configuration configuration;
    world_first_members(sim, &configuration);
    for (uint32_t i = 0; i < sim->member_count; i++) {
        disk_bootstrap(&sim->nodes[i].disk, WORLD_CLUSTER, sim->nodes[i].name, sim->nodes[i].id,
                       &configuration);
    }
    raft_configuration_close(&configuration);
}

void world_create(struct sim *sim, const struct sim_options *options) {
    memset(sim, 0, sizeof *sim);
    sim->options = *options;
    chance_seed(&sim->chance, options->seed);
    sim->options.of_set |= staging_is_of_set(sim);
    faults_draw(sim);
    set_draw(sim);
    recovery_draw(sim);
    staging_draw(sim);
    if (options->small) {
        sim->member_count = 3;
        sim->node_count = 3;
        sim->service_count = 1;
        sim->zone_count = 1;
    }
    for (int i = 0; i < SIM_FAULT_COUNT; i++) {
        if ((options->without >> i & 1) != 0) {
            sim->every_us[i] = 0;
            sim->per_million[i] = 0;
        }
    }
    if (options->salt != 0) {
        chance_seed(&sim->chance, options->seed ^ (uint64_t)options->salt << 48);
    }
    chance_seed(&sim->poll_chance, options->seed ^ (uint64_t)options->salt << 48 ^ POLL_SALT);
    chance_seed(&sim->plan_chance, options->seed ^ (uint64_t)options->salt << 48 ^ PLAN_SALT);
    sim->judged = judged_create();
    sim->target = target_create(sim);
    set_begin(sim);
    for (uint32_t i = 0; i < sim->node_count; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "n%u", i + 1);
        node_create(&sim->nodes[i], sim, i, name, world_regions[i % 3]);
        sim->nodes[i].wanted = i < sim->member_count;
        sim->nodes[i].feature_level = sim->oldest_level;
    }
    for (uint32_t s = 0; s < sim->service_count; s++) {
        char service[NAME_SIZE];
        (void)snprintf(service, sizeof service, "svc%u", s + 1);
        for (uint32_t z = 0; z < sim->zone_count; z++) {
            target_edit_record(sim->target, z, service, "192.0.2.1");
        }
    }
    bootstrap(sim);
}

static void await_leader(struct sim *sim, uint64_t seconds) {
    uint64_t end_us = sim->now_us + seconds * SIM_SECOND;
    while (people_leader(sim) == NULL) {
        if (sim->now_us >= end_us) {
            sim_broken(sim, "liveness (22)", "no leader within %llu s",
                       (unsigned long long)seconds);
        }
        world_run_until(sim, sim->now_us + 100 * SIM_MS);
    }
}

/* Nothing that was begun while the faults were on has an effect yet to come. */
static bool is_quiet(const struct sim *sim) {
    for (uint32_t i = 0; i < sim->node_count; i++) {
        if (sim->nodes[i].alive && disk_is_stuck(&sim->nodes[i].disk)) {
            return false;
        }
    }
    return target_is_quiet(sim->target) && (sim->set == NULL || set_is_quiet(sim->set));
}

void world_run(struct sim *sim) {
    for (uint32_t i = 0; i < sim->member_count; i++) {
        node_start(&sim->nodes[i]);
    }
    on_look(sim);
    pollers_begin(sim);
    await_leader(sim, 60);
    people_first_spec(sim);
    world_run_until(sim, sim->now_us + 5 * SIM_SECOND);
    people_tidy(sim);
    world_run_until(sim, sim->now_us + 20 * SIM_SECOND);
    faults_begin(sim);
    uint64_t end_us = sim->now_us + sim->options.seconds * SIM_SECOND;
    while (sim->now_us < end_us) {
        uint64_t next_us = sim->now_us + chance_between(&sim->chance, 1, 30) * SIM_SECOND;
        world_run_until(sim, next_us < end_us ? next_us : end_us);
        people_look_after(sim);
    }
    faults_heal(sim);
    world_run_until(sim, sim->now_us + HEALING_US);
    await_leader(sim, 60);
    struct error why;
    uint32_t rounds = 0;
    do {
        people_tidy(sim);
        world_run_until(sim, sim->now_us + HEALING_US);
        rounds++;
    } while (rounds < HEALING_ROUNDS &&
             !(rounds >= HEALING_ROUNDS_MIN && is_quiet(sim) && judge_is_over(sim, &why)));
    judge_end(sim);
    last_failure(sim);
}

void world_destroy(struct sim *sim) {
    for (uint32_t i = 0; i < sim->node_count; i++) {
        node_destroy(&sim->nodes[i]);
    }
    target_destroy(sim->target);
    set_destroy(sim->set);
    judged_destroy(sim->judged);
    queue_finish(&sim->queue);
}
