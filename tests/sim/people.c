/* Operators: at random, through the API's own calls on the node that leads (api/server.h). */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/preview.h"
#include "base/text.h"
#include "parts.h"
#include "set.h"
#include "world.h"

#define EAST 0
#define WEST 1

struct act {
    struct sim *sim;
    struct sim_node *node;
    enum people_wish wish;
    uint32_t service;
    bool tidies;
};

struct sim_node *people_leader(struct sim *sim) {
    for (uint32_t i = 0; i < sim->node_count; i++) {
        struct sim_node *node = &sim->nodes[i];
        struct replica_status status;
        struct replica *replica = node_replica(node);
        if (replica != NULL && !node->stalled && node->api != NULL) {
            replica_read_status(replica, &status);
            if (status.leads) {
                return node;
            }
        }
    }
    return NULL;
}

static void fill_checks(const struct sim *sim, struct spec_service *service) {
    for (uint32_t c = 0; c < sim->check_count; c++) {
        struct spec_check *check = &service->checks[c];
        (void)TEXT_COPY(check->name, world_checks[c].name);
        for (uint32_t r = 0; r < 2; r++) {
            (void)snprintf(check->url[r], sizeof check->url[r], "http://%s/%s", world_regions[r],
                           world_checks[c].name);
        }
        check->expect[0] = (struct status_range){200, 399};
        check->expect_count = 1;
        check->interval_ms = sim->interval_ms;
        check->timeout_ms = 500;
        check->fall = WORLD_FALL;
        check->rise = 2;
        check->critical = world_checks[c].critical;
    }
    service->check_count = sim->check_count;
}

static struct spec *make_spec(struct sim *sim) {
    struct spec *spec = calloc(1, sizeof *spec);
    if (spec == NULL) {
        abort();
    }
    for (uint32_t r = 0; r < 3; r++) {
        (void)snprintf(spec->regions[r].name, NAME_SIZE, "%s", world_regions[r]);
        spec->regions[r].role = r == 2 ? REGION_WITNESS : REGION_SERVE;
    }
    spec->region_count = 3;
    spec->service_count = sim->service_count;
    for (uint32_t s = 0; s < spec->service_count; s++) {
        struct spec_service *service = &spec->services[s];
        (void)snprintf(service->name, sizeof service->name, "svc%u", s + 1);
        (void)TEXT_COPY(service->owner, WORLD_OWNER);
        service->mode = sim->usual;
        service->home = EAST;
        service->targets[0] = WEST;
        service->target_count = 1;
        fill_checks(sim, service);
        service->zone_count = sim->zone_count;
        service->record_count = sim->zone_count;
        for (uint32_t z = 0; z < sim->zone_count; z++) {
            struct spec_zone *zone = &service->zones[z];
            struct spec_record *record = &service->records[z];
            (void)snprintf(zone->id, sizeof zone->id, "Z%u", z + 1);
            (void)snprintf(zone->fence_name, sizeof zone->fence_name, "_noctua-svc%u.%s", s + 1,
                           target_domains[z]);
            record->zone = z;
            (void)snprintf(record->name, sizeof record->name, "svc%u.%s", s + 1, target_domains[z]);
            (void)TEXT_COPY(record->type, "A");
            record->kind = RECORD_VALUES;
            (void)TEXT_COPY(record->value[EAST].text, "192.0.2.1");
            (void)TEXT_COPY(record->value[WEST].text, "192.0.2.2");
        }
        if (s == 0 && sim->set != NULL) {
            set_fill_spec(sim, &service->mongo);
        }
        service->policy = (struct spec_policy){.confirm_ms = sim->confirm_ms,
                                               .cooldown_ms = sim->cooldown_ms,
                                               .max_moves = sim->max_moves,
                                               .max_moves_window_ms = 3600000,
                                               .lease_ms = sim->lease_ms};
    }
    return spec;
}

static struct command *new_command(enum command_kind kind) {
    struct command *command = calloc(1, sizeof *command);
    if (command == NULL) {
        abort();
    }
    command->kind = kind;
    return command;
}

/* Somebody's own plan: one zone after the other, or one that may fail. */
static void change_plan(struct sim *sim, struct plan *plan) {
    uint64_t dns = 0;
    for (uint32_t i = 0; i < plan->count; i++) {
        if (plan->steps[i].kind == STEP_DNS) {
            plan->steps[i].needs |= chance_below(&sim->plan_chance, 2) == 0 ? dns : 0;
            plan->steps[i].continue_on_failure = chance_below(&sim->plan_chance, 2) == 0;
            dns |= UINT64_C(1) << i;
        }
    }
}

static void move(const struct act *act, const struct api_facts *facts, enum execution_kind kind) {
    const struct state *state = facts->state;
    const struct service *service = &state->services[act->service];
    bool moves = execution_kind_moves(kind);
    uint32_t active = service->adopted ? service->active : EAST;
    uint32_t to = moves ? 1 - active : active;
    struct move_preview preview;
    if (kind == EXECUTION_ADOPT) { /* as the record says */
        char address[64];
        target_address(act->sim->target, 0, service->name, address);
        to = text_equal(address, "192.0.2.2") ? WEST : EAST;
    }
    if (moves && service->half_moved && chance_below(&act->sim->chance, 2) == 0) {
        const struct sim_set *set = act->service == 0 ? act->sim->set : NULL;
        bool is_left_out = set != NULL && !set_has_voter(set, active); /* by a forced config */
        to = is_left_out ? to : active;
    }
    uint32_t skip = 0;
    for (unsigned gate = 0; gate < GATE_COUNT; gate++) {
        bool skips = gate_is_manual((enum gate)gate) && chance_below(&act->sim->chance, 3) != 0;
        skip |= skips ? GATE_BIT(gate) : 0;
    }
    if (preview_move(facts, act->service, kind, to, skip, &preview) != CORE_OK) {
        return;
    }
    bool of_marks = kind == EXECUTION_ADOPT || kind == EXECUTION_RELEASE;
    struct command *command = new_command(of_marks ? COMMAND_ADOPT : COMMAND_MOVE);
    struct command_move *c = &command->move;
    memcpy(c->service, service->name, sizeof c->service);
    memcpy(c->to, state->spec.regions[to].name, sizeof c->to);
    c->kind = kind;
    c->spec_index = state->spec_index;
    c->epoch = preview.epoch;
    c->skipped_gates = preview.skipped_gates;
    memcpy(c->gates, preview.gates, sizeof c->gates);
    c->plan = preview.plan;
    change_plan(act->sim, &c->plan);
    c->mongo = preview.mongo;
    people_ask(act->node, act->wish, act->tidies, command, NULL);
}

static void override(const struct act *act, const struct api_facts *facts, enum override_kind kind,
                     bool end) {
    struct command *command = new_command(end ? COMMAND_OVERRIDE_END : COMMAND_OVERRIDE);
    struct command_override *c = &command->override;
    c->kind = kind;
    memcpy(c->service, facts->state->services[act->service].name, sizeof c->service);
    if (kind == OVERRIDE_MAINTENANCE) {
        memcpy(c->region, facts->state->spec.regions[WEST].name, sizeof c->region);
    }
    if (!end) {
        uint64_t from_ms =
            facts->state->time_ms > facts->wall_ms ? facts->state->time_ms : facts->wall_ms;
        uint64_t most_ms = chance_below(&act->sim->chance, 4) == 0 ? 120000 : 20000;
        c->until_ms = from_ms + chance_between(&act->sim->chance, 1000, most_ms);
    }
    people_ask(act->node, act->wish, act->tidies, command, NULL);
}

static void choose(const struct act *act, const struct api_facts *facts, enum command_kind kind) {
    const struct service *service = &facts->state->services[act->service];
    struct command *command = new_command(kind);
    struct command_choice *c = &command->choice;
    memcpy(c->service, service->name, sizeof c->service);
    c->epoch = kind == COMMAND_APPROVE ? service->epoch + 1 : service->execution.epoch;
    if (kind == COMMAND_APPROVE) {
        bool of_the_last = service->epoch > 0 && chance_below(&act->sim->chance, 3) == 0;
        c->epoch -= of_the_last; /* that's what stood on the page */
        memcpy(c->to, facts->state->spec.regions[1 - (service->adopted ? service->active : 0)].name,
               sizeof c->to);
    }
    for (uint32_t i = 0; kind == COMMAND_RELEASE && i < service->execution.step_count; i++) {
        const struct step *step = &service->execution.steps[i];
        if (!step_is_ended(step->phase) && step->attempts > 0) {
            memcpy(c->step, step->name, sizeof c->step);
        }
    }
    people_ask(act->node, act->wish, act->tidies, command, NULL);
}

static void apply_spec(const struct act *act, const struct api_facts *facts) {
    struct sim *sim = act->sim;
    struct spec *spec = make_spec(sim);
    bool is_first = facts->state->spec_index == 0;
    for (uint32_t s = 0; act->tidies && !is_first && s < spec->service_count; s++) {
        spec->services[s].policy.max_moves = 16;
    }
    if (!is_first && !act->tidies) {
        struct spec_service *service = &spec->services[act->service];
        service->mode = chance_below(&sim->chance, 3) == 0
                            ? (enum service_mode)chance_below(&sim->chance, SERVICE_MODE_COUNT)
                            : sim->usual;
        service->policy.cooldown_ms = chance_below(&sim->chance, 30) * 1000;
        uint64_t most = chance_below(&sim->chance, 2) == 0 ? 2 : 16;
        service->policy.max_moves = (uint32_t)chance_between(&sim->chance, 1, most);
        service->policy.max_moves_window_ms = chance_between(&sim->chance, 20, 3600) * 1000;
        if (sim->lease_ms > 0) {
            service->policy.lease_ms = chance_between(&sim->chance, 2, 8) * 1000;
        }
    }
    struct command *command = new_command(COMMAND_SPEC);
    command->spec.spec = spec;
    command->spec.text = "version: 1\n";
    command->spec.text_size = 11;
    command->spec.expected_index = facts->state->spec_index;
    people_ask(act->node, act->wish, act->tidies, command, spec);
}

struct reading {
    struct sim *sim;
    struct sim_node *node;
    uint64_t answered_index;
};

static void on_read(void *context, enum error_code error) {
    struct reading *reading = context;
    const struct state *state = node_state(reading->node);
    if (error == ERROR_OK && state != NULL) {
        judge_read(reading->sim, reading->answered_index, state->applied_index);
        reading->sim->wishes[WISH_READ].accepted++;
    }
    free(reading);
}

/* As a query of the API does it. */
static void read_state(const struct act *act) {
    struct api_calls *calls = &act->node->api->calls;
    struct reading *reading = malloc(sizeof *reading);
    if (reading == NULL) {
        abort();
    }
    *reading = (struct reading){act->sim, act->node, judge_answered_index(act->sim)};
    act->sim->wishes[WISH_READ].asked++;
    calls->barrier(calls->context, on_read, reading);
}

static void wish(const struct act *act, const struct api_facts *facts) {
    switch (act->wish) {
    case WISH_ADOPT:
        move(act, facts, EXECUTION_ADOPT);
        break;
    case WISH_FAILOVER:
        move(act, facts, EXECUTION_FAILOVER);
        break;
    case WISH_SWITCHOVER:
        move(act, facts, EXECUTION_SWITCHOVER);
        break;
    case WISH_REPAIR:
        move(act, facts, EXECUTION_REPAIR);
        break;
    case WISH_RELEASE:
        move(act, facts, EXECUTION_RELEASE);
        break;
    case WISH_VETO:
        override(act, facts, OVERRIDE_VETO, false);
        break;
    case WISH_PAUSE:
        override(act, facts, OVERRIDE_PAUSE, false);
        break;
    case WISH_MAINTENANCE:
        override(act, facts, OVERRIDE_MAINTENANCE, false);
        break;
    case WISH_END:
        override(act, facts,
                 (enum override_kind)chance_below(&act->sim->chance, OVERRIDE_KIND_COUNT), true);
        break;
    case WISH_CANCEL:
        choose(act, facts, COMMAND_CANCEL);
        break;
    case WISH_RELEASE_STEP:
        choose(act, facts, COMMAND_RELEASE);
        break;
    case WISH_APPROVE:
        choose(act, facts, COMMAND_APPROVE);
        break;
    case WISH_REJECT:
        choose(act, facts, COMMAND_REJECT);
        break;
    case WISH_SPEC:
        apply_spec(act, facts);
        break;
    case WISH_READ:
        read_state(act);
        break;
    case WISH_OF_SET:
    case WISH_COUNT:
        break;
    }
}

/* In the node that led when it was asked. */
static void on_act(void *context) {
    struct act *act = context;
    struct api_facts facts;
    struct api_calls *calls = &act->node->api->calls;
    calls->facts(calls->context, &facts);
    if (facts.leads && (act->wish == WISH_SPEC || act->service < facts.state->spec.service_count)) {
        wish(act, &facts);
    }
    free(act);
}

static void act_at(struct sim_node *node, enum people_wish wish, uint32_t service, bool tidies) {
    struct act *act = malloc(sizeof *act);
    if (act == NULL) {
        abort();
    }
    *act = (struct act){node->sim, node, wish, service, tidies};
    sim_at_node(node, node->sim->now_us, on_act, act, true);
}

static void act_as(struct sim *sim, enum people_wish wish, uint32_t service, bool tidies) {
    struct sim_node *leader = people_leader(sim);
    if (leader != NULL) {
        act_at(leader, wish, service, tidies);
    }
}

void people_cancel(struct sim *sim) {
    act_as(sim, WISH_CANCEL, 0, false);
}

void people_release_step(struct sim *sim) {
    act_as(sim, WISH_RELEASE_STEP, 0, false);
}

/* Of each that thinks that it leads. */
static void read_everywhere(struct sim *sim) {
    for (uint32_t i = 0; i < sim->node_count; i++) {
        struct sim_node *node = &sim->nodes[i];
        struct replica_status status;
        struct replica *replica = node_replica(node);
        if (replica != NULL && node->api != NULL) {
            replica_read_status(replica, &status);
            if (status.leads) {
                act_at(node, WISH_READ, 0, false);
            }
        }
    }
}

static bool is_wished(const struct sim *sim, enum people_wish wish) {
    return (sim->unwished >> wish & 1) == 0;
}

static const struct state *leader_state(struct sim *sim) {
    const struct sim_node *leader = people_leader(sim);
    return leader == NULL ? NULL : node_state(leader);
}

/* What somebody who looks at the service is likely to do. */
static enum people_wish likely_wish(struct sim *sim, const struct service *service) {
    static const enum people_wish in_a_move[] = {WISH_CANCEL, WISH_RELEASE_STEP, WISH_RELEASE_STEP,
                                                 WISH_PAUSE, WISH_END};
    static const enum people_wish at_rest[] = {WISH_FAILOVER, WISH_SWITCHOVER};
    if (execution_is_open(&service->execution)) {
        return in_a_move[chance_below(&sim->chance, ARRAY_LENGTH(in_a_move))];
    }
    return service->adopted && !service->released
               ? at_rest[chance_below(&sim->chance, ARRAY_LENGTH(at_rest))]
               : WISH_ADOPT;
}

bool people_act(struct sim *sim) {
    /* A release of the whole service is rare: it ends everything that is of interest. */
    static const enum people_wish wishes[] = {
        WISH_ADOPT,       WISH_ADOPT,      WISH_ADOPT,        WISH_FAILOVER,     WISH_FAILOVER,
        WISH_FAILOVER,    WISH_SWITCHOVER, WISH_SWITCHOVER,   WISH_SWITCHOVER,   WISH_VETO,
        WISH_PAUSE,       WISH_END,        WISH_END,          WISH_CANCEL,       WISH_CANCEL,
        WISH_MAINTENANCE, WISH_APPROVE,    WISH_RELEASE_STEP, WISH_RELEASE_STEP, WISH_REPAIR,
        WISH_REJECT,      WISH_RELEASE,
    };
    const struct state *state = leader_state(sim);
    uint32_t service = (uint32_t)chance_below(&sim->chance, sim->service_count);
    enum people_wish wish = wishes[chance_below(&sim->chance, ARRAY_LENGTH(wishes))];
    if (state != NULL && service < state->spec.service_count &&
        chance_below(&sim->chance, 2) == 0) {
        wish = likely_wish(sim, &state->services[service]);
    }
    if (is_wished(sim, wish)) {
        act_as(sim, wish, service, false);
    }
    read_everywhere(sim);
    return false;
}

struct news {
    struct sim *sim;
    enum people_wish wish;
    uint32_t service;
};

static void on_news(void *context) {
    struct news news = *(struct news *)context;
    free(context);
    if (is_wished(news.sim, news.wish)) {
        act_as(news.sim, news.wish, news.service, false);
    }
}

static void act_later(struct sim *sim, enum people_wish wish, uint32_t service,
                      uint64_t within_us) {
    struct news *news = malloc(sizeof *news);
    if (news == NULL) {
        abort();
    }
    *news = (struct news){sim, wish, service};
    sim_at(sim, sim->now_us + chance_below(&sim->chance, within_us), on_news, news);
}

void people_hear_of(struct sim *sim, uint32_t service) {
    static const enum people_wish wishes[] = {WISH_VETO,        WISH_VETO,   WISH_PAUSE,
                                              WISH_MAINTENANCE, WISH_REJECT, WISH_APPROVE};
    uint64_t within_us = (sim->confirm_ms + 3 * sim->interval_ms + 2000) * SIM_MS;
    bool asked = sim->usual == MODE_ADVISE;
    enum people_wish wish = wishes[chance_below(&sim->chance, ARRAY_LENGTH(wishes))];
    if (sim->faults_on && (asked || chance_below(&sim->chance, 4) == 0)) {
        act_later(sim, asked ? WISH_APPROVE : wish, service, within_us);
    }
}

/* In the call that applies the decision: what is asked for comes into the log behind it, and before
 * anything of the move. */
static void act_at_once(struct sim_node *node, enum people_wish wish, uint32_t service) {
    struct act *act = malloc(sizeof *act);
    if (act == NULL) {
        abort();
    }
    *act = (struct act){node->sim, node, wish, service, false};
    on_act(act);
}

void people_hear_of_decision(struct sim *sim, uint32_t service) {
    static const enum people_wish wishes[] = {WISH_VETO, WISH_VETO, WISH_PAUSE, WISH_CANCEL};
    if (!sim->faults_on || chance_below(&sim->chance, 3) != 0) {
        return;
    }
    enum people_wish wish = wishes[chance_below(&sim->chance, ARRAY_LENGTH(wishes))];
    struct sim_node *leader = people_leader(sim);
    if (chance_below(&sim->chance, 2) == 0 || leader != sim_current()) {
        act_later(sim, wish, service, 20 * SIM_MS);
    } else if (is_wished(sim, wish)) {
        act_at_once(leader, wish, service);
    }
}

void people_follow_up(struct sim *sim, const char *service_name) {
    static const enum people_wish wishes[] = {WISH_FAILOVER, WISH_SWITCHOVER, WISH_ADOPT};
    uint32_t service = (uint32_t)(service_name[3] - '1'); /* svc1, svc2 */
    for (int i = 0; i < 3; i++) {
        act_later(sim, wishes[chance_below(&sim->chance, ARRAY_LENGTH(wishes))], service,
                  10 * SIM_SECOND);
    }
}

void people_first_spec(struct sim *sim) {
    act_as(sim, WISH_SPEC, 0, true);
}

bool people_change_spec(struct sim *sim) {
    act_as(sim, WISH_SPEC, (uint32_t)chance_below(&sim->chance, sim->service_count), false);
    return false;
}

/* Its plan went on without it. */
static bool has_failed_step(const struct execution *execution) {
    for (uint32_t i = 0; i < execution->step_count; i++) {
        enum step_phase phase = execution->steps[i].phase;
        if (phase == STEP_REFUSED || phase == STEP_UNKNOWN) {
            return true;
        }
    }
    return false;
}

static bool wants_adoption(const struct service *service) {
    const struct execution *execution = &service->execution;
    bool stopped = execution->phase == EXECUTION_ENDED &&
                   (execution->result == RESULT_STOPPED || execution->result == RESULT_HALF_MOVED ||
                    (execution->result == RESULT_DONE && has_failed_step(execution)));
    return !execution_is_open(execution) &&
           (!service->adopted || service->released || service->half_moved || stopped);
}

/* Whether its records are as they were left before it, and its own result says nothing of them. A
 * move that switched, or sent a record, isn't excused by having been cancelled. */
static bool hides_what_was_left(const struct sim *sim, uint32_t s, const struct service *service) {
    const struct execution *execution = &service->execution;
    if (execution->kind == EXECUTION_READMIT) {
        return true;
    }
    for (uint32_t i = 0; i < execution->step_count; i++) {
        const struct step *step = &execution->steps[i];
        bool switched = step->kind == STEP_SWITCH && step->phase == STEP_DONE;
        if (switched || (step->kind == STEP_DNS && step->attempts > 0)) {
            return false;
        }
    }
    return judge_left_open(sim, s) &&
           (execution->result == RESULT_CANCELLED || execution->result == RESULT_LAPSED);
}

static void put_right(struct sim *sim, uint32_t s, const struct service *service, uint32_t zone) {
    char address[64];
    target_address(sim->target, zone, service->name, address);
    const char *wanted = service->active == WEST ? "192.0.2.2" : "192.0.2.1";
    bool ours = text_equal(address, "192.0.2.1") || text_equal(address, "192.0.2.2");
    /* What has stopped or was released before a readmission, or before a move that was cancelled at
     * once, is as it was left, and status shows the latter: TARGET_FOREIGN tells them. */
    bool left = hides_what_was_left(sim, s, service) && service->adopted && !service->half_moved &&
                !sim->faults_on && !text_equal(address, wanted);
    /* Somebody's. An adoption that is under way has looked at it already. Put right by hand, seldom
     * before Noctua has found it itself */
    if ((!ours || left) && !execution_is_open(&service->execution) &&
        (!sim->faults_on || chance_below(&sim->chance, 8) == 0)) {
        target_edit_record(sim->target, zone, service->name, wanted);
    }
}

/* An adoption takes what is there for true: records and replica set have to agree. False: they
 * can't, since a forced config has left that region out. */
static bool lead_where_the_record_says(struct sim *sim, uint32_t service) {
    char address[64];
    target_address(sim->target, 0, service == 0 ? "svc1" : "svc2", address);
    uint32_t region = text_equal(address, "192.0.2.2") ? WEST : EAST;
    if (service != 0 || sim->set == NULL || set_primary_region(sim->set) == region) {
        return true;
    }
    set_lead_to(sim->set, region);
    return set_has_voter(sim->set, region);
}

/* In the healing they make the zones say the same. */
static void make_records_agree(struct sim *sim, uint32_t service) {
    const char *name = service == 0 ? "svc1" : "svc2";
    char first[64];
    char other[64];
    target_address(sim->target, 0, name, first);
    for (uint32_t z = 1; z < sim->zone_count && !sim->faults_on; z++) {
        target_address(sim->target, z, name, other);
        if (!text_equal(first, other)) {
            target_edit_record(sim->target, z, name, first);
        }
    }
}

/* Whoever has let go of `prefer`, or has taken it back by hand in the middle of the move, must see
 * to it that the set doesn't go back by itself: nothing of the move does. Likewise where it was
 * refused, as on a set without a fence: the move shows the step and why, and goes on. */
static bool is_without_preference(struct sim *sim, const struct execution *execution) {
    if (execution_is_open(execution) && execution_kind_moves(execution->kind) &&
        set_touched_us(sim->set) >= judge_opened_us(sim, 0)) {
        return true;
    }
    for (uint32_t i = 0; i < execution->step_count; i++) {
        const struct step *step = &execution->steps[i];
        if (step->kind == STEP_PREFER &&
            (step->phase == STEP_RELEASED || step->phase == STEP_REFUSED)) {
            return execution_is_open(execution);
        }
    }
    return false;
}

/* Whoever has changed the set by hand, or has adopted it with other priorities than the service
 * needs, is told that its primary isn't where the service is. A move sees to that by itself. */
static void lead_back(struct sim *sim, const struct service *service) {
    bool moved = execution_kind_moves(service->execution.kind) &&
                 service->execution.result == RESULT_DONE &&
                 set_touched_us(sim->set) < judge_opened_us(sim, 0);
    bool at_rest =
        service->adopted && !service->half_moved && !execution_is_open(&service->execution);
    bool waits = !sim->faults_on && wants_adoption(service); /* which goes by the records */
    bool asked = !sim->faults_on || chance_below(&sim->set_chance, 8) == 0;
    bool astray = set_primary_region(sim->set) != service->active;
    bool split = !sim->faults_on && set_is_split(sim->set);
    if (at_rest && asked && !waits && ((astray && !moved) || split)) {
        if (set_has_voter(sim->set, service->active)) {
            set_lead_to(sim->set, service->active);
        } else { /* a forced config has left that region out, and its move was given up */
            act_as(sim, WISH_FAILOVER, 0, true);
        }
    }
    if (asked && is_without_preference(sim, &service->execution) &&
        set_primary_region(sim->set) != service->execution.to) {
        set_lead_to(sim->set, service->execution.to);
    }
}

/* What befalls a set in the middle of a move takes many moves to be seen. */
static void perhaps_move(struct sim *sim, const struct service *service) {
    bool often = sim->options.of_set || chance_below(&sim->set_chance, 3) == 0;
    bool asked = sim->faults_on && !sim->falls_often && often;
    enum people_wish wish =
        chance_below(&sim->set_chance, 2) == 0 ? WISH_FAILOVER : WISH_SWITCHOVER;
    if (asked && service->adopted && !execution_is_open(&service->execution) &&
        is_wished(sim, wish)) {
        act_as(sim, wish, 0, false);
    }
}

/* A service that nobody has adopted can't be moved: its records follow the replica set. */
static bool record_where_the_set_leads(struct sim *sim, uint32_t service) {
    const struct state *state = leader_state(sim);
    uint32_t region = set_primary_region(sim->set);
    bool may = !sim->faults_on && state != NULL && !service_is_managed(&state->services[service]) &&
               (region == EAST || region == WEST);
    for (uint32_t z = 0; z < sim->zone_count && may; z++) {
        target_edit_record(sim->target, z, state->services[service].name,
                           region == WEST ? "192.0.2.2" : "192.0.2.1");
    }
    return may;
}

void people_adopt(struct sim *sim, uint32_t service) {
    make_records_agree(sim, service);
    bool agrees =
        lead_where_the_record_says(sim, service) || record_where_the_set_leads(sim, service);
    act_as(sim, agrees ? WISH_ADOPT : WISH_FAILOVER, service, true);
}

void people_look_after(struct sim *sim) {
    people_look_after_nodes(sim);
    const struct state *state = leader_state(sim);
    if (state == NULL) {
        return;
    }
    if (state->spec_index == 0) {
        people_first_spec(sim);
        return;
    }
    if (sim->set != NULL) {
        lead_back(sim, &state->services[0]);
        perhaps_move(sim, &state->services[0]);
    }
    for (uint32_t s = 0; s < state->spec.service_count; s++) {
        for (uint32_t z = 0; z < sim->zone_count; z++) {
            put_right(sim, s, &state->services[s], z);
        }
        if (wants_adoption(&state->services[s])) {
            people_adopt(sim, s);
        }
    }
}

void people_tidy(struct sim *sim) {
    const struct state *state = leader_state(sim);
    for (uint32_t s = 0; state != NULL && s < state->spec.service_count; s++) {
        for (uint32_t i = 0; i < 2 * state->override_count; i++) {
            act_as(sim, WISH_END, s, true);
        }
    }
    people_look_after(sim);
}
