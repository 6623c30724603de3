/* What takes the majority of the replica set, and the people who go on without it: they see to it
 * that the lost members stay dead, declare them so, let them in again, and give them their votes
 * back. Some of them are mistaken, hasty, or never come back. */
#include <stdlib.h>
#include <string.h>

#include "api/preview.h"
#include "base/text.h"
#include "core/policy.h"
#include "parts.h"
#include "set.h"
#include "world.h"

#define RECOVERY_SALT UINT64_C(0x666f726365) /* "force": worlds without it draw as they did */
#define LOOK_US SIM_SECOND
#define WITNESS 2
#define TRIES_MAX 4
#define GIVES_UP_US (20 * SIM_SECOND)
#define STUCK_US (45 * SIM_SECOND)

static uint64_t draw(struct sim *sim, uint64_t below) {
    return chance_below(&sim->recovery.chance, below);
}

void recovery_draw(struct sim *sim) {
    struct chance *chance = &sim->recovery.chance;
    chance_seed(chance, sim->options.seed ^ RECOVERY_SALT);
    bool wanted = sim->has_set && !sim->falls_often && chance_below(chance, 2) == 0;
    wanted = wanted || sim->options.of_set;
    uint64_t every_us = chance_between(chance, 10, 50) * SIM_SECOND;
    sim->every_us[SIM_MAJORITY_LOST] = wanted ? every_us : 0;
}

/* --- the loss --- */

/* All but one region: mostly the one that the service can move to. */
static uint32_t lost_region(struct sim *sim) {
    const struct state *state = world_newest_state(sim);
    uint32_t active = state != NULL && state->services[0].adopted ? state->services[0].active : 0;
    bool other = sim->options.staging == STAGING_NONE && draw(sim, 6) == 0;
    return other ? 1 - active : active;
}

static bool is_staged(const struct sim *sim, enum sim_staging staging) {
    return sim->options.staging == staging;
}

/* The members alone: what the coordinator does by itself is of no interest. */
static void lose_members(struct sim *sim) {
    uint64_t until_us = sim->now_us + 20 * SIM_SECOND; /* by then they are seen to */
    if (sim->recovery.phase != RECOVERY_IDLE || set_majority_is_lost(sim->set)) {
        return;
    }
    if (is_staged(sim, STAGING_DEAD_ANSWERS)) { /* who was killed takes a while to answer */
        set_fence_region(sim->set, lost_region(sim));
        set_fence_region(sim->set, WITNESS);
    } else if (is_staged(sim, STAGING_TERM_SHARED)) {
        set_stage_old_side(sim->set, 1 - lost_region(sim));
    } else {
        set_region_falls(sim->set, lost_region(sim), REGION_KILLED, until_us);
        set_region_falls(sim->set, WITNESS, REGION_KILLED, until_us);
    }
}

static void on_loss(void *context) {
    struct sim *sim = context;
    uint64_t until_us = sim->now_us + (20 + draw(sim, 80)) * SIM_SECOND;
    if (!sim->faults_on) {
        return;
    }
    if (!set_majority_is_lost(sim->set)) {
        uint64_t apart_us = draw(sim, 2) == 0 ? 0 : draw(sim, 10 * SIM_SECOND);
        /* Without their nodes: what follows is up to a coordinator that has a quorum. */
        region_falls(sim, lost_region(sim), REGION_SERVICES, until_us);
        region_falls(sim, WITNESS, REGION_SERVICES, until_us - apart_us);
    }
}

static void on_unseen_election(void *context) {
    struct sim *sim = context;
    if (sim->faults_on) {
        set_step_up_other(sim->set);
    }
}

static void on_loss_begins(void *context);

static void stage_loss(struct sim *sim) {
    if (sim->faults_on) {
        lose_members(sim);
        sim_at(sim, sim->now_us + 10 * SIM_SECOND + draw(sim, sim->every_us[SIM_MAJORITY_LOST]),
               on_loss_begins, sim);
    }
}

/* Often those that are left were away just before, while the others wrote and elected. */
static void on_loss_begins(void *context) {
    struct sim *sim = context;
    if (sim->options.staging != STAGING_NONE) {
        stage_loss(sim);
        return;
    }
    uint64_t every_us = sim->every_us[SIM_MAJORITY_LOST];
    uint64_t away_us = draw(sim, 3) == 0 ? (5 + draw(sim, 20)) * SIM_SECOND : 0;
    if (!sim->faults_on) {
        return;
    }
    if (away_us > 0 && !set_majority_is_lost(sim->set)) {
        set_region_falls(sim->set, 1 - lost_region(sim), REGION_SERVICES, sim->now_us + away_us);
        for (uint64_t n = draw(sim, 6); n > 0; n--) {
            sim_at(sim, sim->now_us + draw(sim, away_us), on_unseen_election, sim);
        }
    }
    sim_at(sim, sim->now_us + away_us, on_loss, sim);
    sim_at(sim, sim->now_us + away_us + every_us / 2 + draw(sim, every_us), on_loss_begins, sim);
}

/* --- people, in the node that leads --- */

struct look {
    struct sim_node *node;
    const struct api_facts *facts;
    struct sim_recovery *recovery;
    const struct service *service;
};

static void enter(const struct look *look, enum recovery_phase phase) {
    look->recovery->phase = phase;
    look->recovery->since_us = look->node->sim->now_us;
}

static bool waited(const struct look *look, uint64_t time_us) {
    return look->node->sim->now_us - look->recovery->since_us >= time_us;
}

static void decide_how(struct sim *sim) {
    struct sim_recovery *recovery = &sim->recovery;
    recovery->mistaken = draw(sim, 6) == 0;
    recovery->careless = draw(sim, 6) == 0;
    recovery->cancels = draw(sim, 6) == 0;
    recovery->hasty = draw(sim, 6) == 0;
    recovery->returns = (enum recovery_return)draw(sim, RECOVERY_RETURN_COUNT);
    recovery->patience_us = (3 + draw(sim, 12)) * SIM_SECOND;
    recovery->tries = 0;
    recovery->elected = false;
    if (sim->options.staging != STAGING_NONE) {
        recovery->mistaken = false;
        recovery->careless = false;
        recovery->hasty = false;
        recovery->cancels = is_staged(sim, STAGING_FORCED_DIES);
        recovery->returns = RECOVERY_AFTER_END;
        recovery->patience_us = SIM_SECOND;
    }
}

static uint32_t silent_of(const struct mongo_view *view) {
    uint32_t silent = 0;
    for (uint32_t i = 0; i < view->facts.member_count; i++) {
        silent |= view->facts.members[i].answers ? 0 : UINT32_C(1) << i;
    }
    return silent;
}

static uint32_t bits(uint32_t places) {
    return (uint32_t)__builtin_popcount(places);
}

/* Returns whether all of them are, for as far as people can know. */
static bool fence_all(const struct look *look, const struct mongo_view *view, uint32_t silent) {
    bool all = true;
    for (uint32_t i = 0; i < view->facts.member_count; i++) {
        const char *host = view->facts.members[i].host;
        if ((silent >> i & 1) != 0 && !set_is_fenced(look->node->sim->set, host)) {
            set_fence(look->node->sim->set, host);
            all = false;
        }
    }
    return all;
}

static uint32_t skipped_gates(void) {
    uint32_t skip = 0;
    for (unsigned gate = 0; gate < GATE_COUNT; gate++) {
        skip |= gate_is_manual((enum gate)gate) ? GATE_BIT(gate) : 0;
    }
    return skip;
}

static void propose_move(const struct look *look, enum execution_kind kind, uint32_t to,
                         const struct move_preview *preview, const struct plan *plan,
                         const struct mongo_view *view) {
    const struct state *state = look->facts->state;
    struct command *command = calloc(1, sizeof *command);
    if (command == NULL) {
        abort();
    }
    command->kind = COMMAND_MOVE;
    struct command_move *c = &command->move;
    memcpy(c->service, look->service->name, sizeof c->service);
    memcpy(c->to, state->spec.regions[to].name, sizeof c->to);
    c->kind = kind;
    c->spec_index = state->spec_index;
    c->epoch = preview->epoch;
    c->skipped_gates = preview->skipped_gates;
    memcpy(c->gates, preview->gates, sizeof c->gates);
    c->plan = *plan;
    c->mongo = *view;
    people_ask(look->node, WISH_OF_SET, true, command, NULL);
}

/* One too few, or one too many: nothing may come of it. */
static uint32_t misdeclared(struct sim *sim, const struct mongo_view *view, uint32_t silent) {
    uint32_t place = (uint32_t)draw(sim, view->facts.member_count);
    return silent ^ UINT32_C(1) << place;
}

static void declare(const struct look *look, uint32_t to) {
    static struct move_preview preview;
    static struct plan plan;
    struct sim *sim = look->node->sim;
    struct sim_recovery *recovery = look->recovery;
    const struct spec_mongo *mongo = &look->facts->state->spec.services[0].mongo;
    struct mongo_verdict verdict;
    if (preview_move(look->facts, 0, EXECUTION_FAILOVER, to, skipped_gates(), &preview) !=
        CORE_OK) {
        return;
    }
    uint32_t silent = silent_of(&preview.mongo);
    if (is_staged(sim, STAGING_DEAD_ANSWERS) && bits(silent) != set_fenced_count(sim->set)) {
        return; /* the one that answers will be silent again, and the others need it then */
    }
    mongo_judge(mongo, &preview.mongo, to, &verdict);
    if (verdict.kind != MONGO_CASE_FORCED || silent == 0 ||
        (!recovery->mistaken && !fence_all(look, &preview.mongo, silent))) {
        return; /* it isn't lost, nobody is left there, or it is looked at again */
    }
    preview.mongo.dead = silent;
    if (policy_plan(look->facts->state, 0, EXECUTION_FAILOVER, to, preview.skipped_gates,
                    &preview.mongo, &plan) != CORE_OK) {
        return;
    }
    bool wrong = sim->options.staging == STAGING_NONE && draw(sim, 5) == 0;
    if (wrong) {
        preview.mongo.dead = misdeclared(sim, &preview.mongo, silent);
    }
    sim_say(sim, "somebody", "declares %x of %x dead", preview.mongo.dead, silent);
    propose_move(look, EXECUTION_FAILOVER, to, &preview, &plan, &preview.mongo);
    if (!wrong) {
        recovery->epoch = preview.epoch;
        recovery->acts_us = sim->now_us + draw(sim, 8 * SIM_SECOND);
        recovery->tries++;
        enter(look, RECOVERY_ASKED);
    }
    if (is_staged(sim, STAGING_DEAD_ANSWERS) && sim->faults_on && recovery->tries % 2 == 1) {
        set_stage_dead_answers(sim->set);
    }
}

/* One of those that lost their vote, or are out of the set; "": nobody did. */
static const char *draw_returning(const struct look *look, const struct mongo_facts *facts) {
    const char *hosts[2 * MONGO_MEMBER_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < facts->member_count; i++) {
        if (facts->members[i].kept_out) {
            hosts[count++] = facts->members[i].host;
        }
    }
    for (uint32_t i = 0; i < look->service->left_out_count; i++) {
        hosts[count++] = look->service->left_out[i].host;
    }
    return count == 0 ? "" : hosts[draw(look->node->sim, count)];
}

static void readmit(const struct look *look, bool early) {
    static struct move_preview preview;
    static struct plan plan;
    const struct state *state = look->facts->state;
    uint32_t to = look->service->active;
    enum core_error error =
        preview_move(look->facts, 0, EXECUTION_REPAIR, to, skipped_gates(), &preview);
    const char *host = draw_returning(look, &preview.mongo.facts);
    if (error != CORE_OK || host[0] == '\0') {
        return;
    }
    (void)TEXT_COPY(preview.mongo.readmit, host);
    if (!early && mongo_readmit_refusal(state, 0, &preview.mongo) != NULL) {
        return;
    }
    if (policy_plan(state, 0, EXECUTION_READMIT, to, preview.skipped_gates, &preview.mongo,
                    &plan) != CORE_OK) {
        /* As one who had looked earlier: the plan is always the same. */
        memset(&plan, 0, sizeof plan);
        plan.count = 1;
        (void)TEXT_COPY(plan.steps[0].name, "readmit");
        plan.steps[0].kind = STEP_READMIT;
        plan.steps[0].zone = PLACE_OF_SET;
        plan.steps[0].debt = NONE_INDEX;
    }
    sim_say(look->node->sim, "somebody", "readmits %s%s", host, early ? ", perhaps too early" : "");
    propose_move(look, EXECUTION_READMIT, to, &preview, &plan, &preview.mongo);
}

static const struct step *forced_step(const struct execution *execution) {
    for (uint32_t i = 0; i < execution->step_count; i++) {
        if (execution->steps[i].kind == STEP_FORCE) {
            return &execution->steps[i];
        }
    }
    return NULL;
}

/* What was sent and isn't seen may come at any time: its member is restarted before anything else
 * is done. */
static void stop_what_is_late(const struct look *look) {
    const struct execution *execution = &look->service->execution;
    const struct spec_mongo *mongo = &look->facts->state->spec.services[0].mongo;
    struct mongo_verdict verdict;
    mongo_judge(mongo, &execution->mongo, execution->to, &verdict);
    if (!look->recovery->careless && verdict.member != NONE_INDEX) {
        set_restart(look->node->sim->set, execution->mongo.facts.members[verdict.member].host);
    }
}

/* Whoever can't let go of it gives it up. */
static void release_late(const struct look *look) {
    if (waited(look, 6 * SIM_SECOND)) {
        people_cancel(look->node->sim);
    } else {
        people_release_step(look->node->sim);
    }
}

static void after_asking(const struct look *look) {
    struct sim *sim = look->node->sim;
    struct sim_recovery *recovery = look->recovery;
    const struct execution *execution = &look->service->execution;
    const struct step *forced = forced_step(execution);
    if (recovery->hasty && sim->now_us >= recovery->acts_us) {
        recovery->hasty = false;
        (void)set_let_in(sim->set, true);
    }
    if (look->service->epoch < recovery->epoch) {
        if (waited(look, GIVES_UP_US)) {
            enter(look, recovery->tries < TRIES_MAX ? RECOVERY_FENCING : RECOVERY_RETURNING);
        }
        return;
    }
    if (execution->epoch != recovery->epoch || forced == NULL) {
        enter(look, RECOVERY_RETURNING);
        return;
    }
    bool open = execution_is_open(execution);
    if (open && recovery->cancels && sim->now_us >= recovery->acts_us) {
        recovery->cancels = false;
        people_cancel(sim);
    }
    bool first = is_staged(sim, STAGING_LATE_RELEASED) && recovery->tries % 2 == 1;
    if (first && forced->phase == STEP_ATTEMPTED) {
        release_late(look);
    }
    if (forced->phase == STEP_DONE) {
        if (is_staged(sim, STAGING_LATE_RELEASED)) {
            set_stage_late_comes(sim->set);
        }
        bool never = recovery->returns == RECOVERY_NEVER && sim->faults_on;
        if (!never && (!open || recovery->returns == RECOVERY_BEFORE_END)) {
            enter(look, RECOVERY_RETURNING);
        }
    } else if (!open || step_is_ended(forced->phase)) {
        if (forced->attempts > 0 && forced->phase != STEP_RELEASED) {
            stop_what_is_late(look);
        }
        bool staged = sim->options.staging != STAGING_NONE;
        bool again = (!open || staged) && sim->faults_on && recovery->tries < TRIES_MAX &&
                     (staged || draw(sim, 2) == 0);
        enter(look, again ? RECOVERY_FENCING : RECOVERY_RETURNING);
    }
}

/* Nothing can be forced any more when the members are back, and nothing else ends it. */
static void end_what_is_stuck(const struct look *look) {
    struct sim *sim = look->node->sim;
    const struct execution *execution = &look->service->execution;
    const struct step *forced = forced_step(execution);
    bool idle = forced != NULL && execution->phase != EXECUTION_CANCELLING &&
                execution_is_open(execution) &&
                (forced->attempts == 0 || step_is_ended(forced->phase)) &&
                forced->phase != STEP_DONE;
    if (idle && sim->now_us - judge_opened_us(sim, 0) >= STUCK_US && draw(sim, 8) == 0) {
        people_cancel(sim);
    }
}

/* As the refusal of a readmission says. */
static void perhaps_empty(const struct look *look) {
    const struct execution *execution = &look->service->execution;
    const struct step *step = &execution->steps[0];
    if (execution->kind == EXECUTION_READMIT && step->phase == STEP_REFUSED &&
        strstr(step->detail, "Empty its data directory") != NULL &&
        look->recovery->emptied_epoch != execution->epoch) {
        look->recovery->emptied_epoch = execution->epoch;
        set_empty(look->node->sim->set, execution->mongo.readmit);
    }
}

static void perhaps_readmit(const struct look *look) {
    struct sim *sim = look->node->sim;
    perhaps_empty(look);
    if (!sim->last_failure.is_near && service_is_managed(look->service) &&
        !execution_is_open(&look->service->execution) && draw(sim, 3) == 0) {
        readmit(look, draw(sim, 3) == 0);
    }
}

/* It elects once more, in a term that the survivors have used as well. */
static void end_old_side(const struct look *look) {
    struct sim *sim = look->node->sim;
    if (!look->recovery->elected) {
        look->recovery->elected = true;
        set_stage_old_side_elects(sim->set);
    } else if (waited(look, 12 * SIM_SECOND)) {
        set_stage_old_side_ends(sim->set);
    }
}

/* What they have asked for themselves, in a staging. */
static bool is_own_and_staged(const struct look *look) {
    const struct sim *sim = look->node->sim;
    return sim->options.staging != STAGING_NONE &&
           look->service->execution.epoch == sim->recovery.epoch;
}

static void act(const struct look *look) {
    struct sim *sim = look->node->sim;
    struct sim_recovery *recovery = look->recovery;
    uint32_t to = 1 - look->service->active;
    switch (recovery->phase) {
    case RECOVERY_IDLE:
        if (!sim->faults_on || !set_majority_is_lost(sim->set) ||
            !service_is_managed(look->service)) {
            recovery->since_us = sim->now_us;
            decide_how(sim);
        } else if (waited(look, recovery->patience_us)) {
            enter(look, RECOVERY_FENCING);
        }
        break;
    case RECOVERY_FENCING:
        if (look->service->half_moved && draw(sim, 2) == 0) {
            to = look->service->active;
        }
        if (waited(look, 2 * GIVES_UP_US) || !sim->faults_on) {
            enter(look, RECOVERY_RETURNING);
        } else if (!execution_is_open(&look->service->execution)) {
            declare(look, to);
        } else if (is_own_and_staged(look) || draw(sim, 8) == 0) {
            people_cancel(sim); /* of what can't go on without a majority */
        }
        break;
    case RECOVERY_ASKED:
        after_asking(look);
        break;
    case RECOVERY_RETURNING:
        if (set_old_side_runs(sim->set)) {
            end_old_side(look);
        } else if (set_fenced_count(sim->set) == 0) {
            enter(look, RECOVERY_IDLE);
            decide_how(sim);
        } else if (draw(sim, 3) == 0) {
            (void)set_let_in(sim->set, recovery->careless);
        }
        break;
    }
    end_what_is_stuck(look);
    perhaps_readmit(look);
}

static void on_look_inside(void *context) {
    struct api_facts facts;
    struct sim_node *node = sim_current();
    struct sim *sim = context;
    node->api->calls.facts(node->api->calls.context, &facts);
    if (facts.leads && facts.state->spec.service_count > 0 &&
        facts.state->spec.services[0].mongo.used) {
        const struct look look = {node, &facts, &sim->recovery, &facts.state->services[0]};
        act(&look);
    }
}

static void on_look(void *context) {
    struct sim *sim = context;
    struct sim_node *leader = people_leader(sim);
    if (leader != NULL) {
        sim_at_node(leader, sim->now_us, on_look_inside, sim, false);
    }
    sim_at(sim, sim->now_us + LOOK_US, on_look, sim);
}

void recovery_begin(struct sim *sim) {
    uint64_t every_us = sim->every_us[SIM_MAJORITY_LOST];
    if (sim->set != NULL && every_us > 0) {
        decide_how(sim);
        sim_at(sim, sim->now_us + draw(sim, every_us), on_loss_begins, sim);
        sim_at(sim, sim->now_us, on_look, sim);
    }
}
