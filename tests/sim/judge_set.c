/* What the replica set has done, against what the log says (DESIGN, invariants 2, 6, 11 to 15 and
 * 22). Judged from the members themselves: set_watch.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "core/policy.h"
#include "judge_private.h"
#include "set.h"

#define SET_PLACE WORLD_ZONE_MAX /* among the chains: behind the zones' */
/* Between the look that a decision rests on and its place in the log. */
#define DECIDING_US (10 * SIM_SECOND)
/* Servers of 3.6 tell whole seconds, and the set is looked at twice a second. */
#define LAG_SLACK_US (2 * SIM_SECOND)

_Noreturn void judge_set_broken(struct sim *sim, const char *invariant, const char *words) {
    sim_broken(sim, invariant, "%s", words);
}

/* 11, of every config that a member takes, also of one that is lost again. */
void judge_set_accepted(struct sim *sim, const char *text) {
    struct fence fence;
    char eid[EID_SIZE];
    if (text[0] == '\0') {
        return;
    }
    if (!fence_parse(text, WORLD_CLUSTER, &fence)) {
        sim_broken(sim, "fences are well-formed", "a member has the fence '%s'", text);
    }
    eid_format(eid, fence.service, fence.incarnation, fence.epoch, fence.step);
    const struct eids *needed = fence.burnt ? &sim->judged->closed : &sim->judged->attempted;
    if (!judged_has_eid(needed, eid)) {
        sim_broken(sim, "intent first (11)", "a member took %s without %s", text,
                   fence.burnt ? "a CLOSING" : "an ATTEMPT");
    }
}

void judge_set_fence(struct sim *sim, const char *before, const char *after, bool edited,
                     bool let_come) {
    struct fence fence;
    struct fence last;
    char eid[EID_SIZE];
    if (after[0] == '\0' || !fence_parse(after, WORLD_CLUSTER, &fence) ||
        (let_come && fence_parse(before, WORLD_CLUSTER, &last) && last.epoch > fence.epoch)) {
        judge_chain_ends(sim, SET_PLACE, "svc1");
        return;
    }
    eid_format(eid, fence.service, fence.incarnation, fence.epoch, fence.step);
    if (edited) {
        /* Whoever changed the config that a primary alone had took its fence along. */
        judge_chain_ends(sim, SET_PLACE, "svc1");
        judge_carried(sim, SET_PLACE, after, eid);
        return;
    }
    /* Unlike a zone's, a late adoption can't land again where there is no fence: its version is
     * used up. */
    judge_fence(sim, SET_PLACE, before[0] == '\0' ? "nothing" : before, after, eid);
}

/* 6: whom a decision wants to promote wasn't further behind than the spec allows. */
void judge_set_decision(struct sim *sim, const struct state *state, uint32_t s) {
    const struct spec_mongo *spec = &state->spec.services[s].mongo;
    const struct execution *execution = &state->services[s].execution;
    struct mongo_verdict verdict;
    if (!spec->used) {
        return;
    }
    mongo_judge(spec, &execution->mongo, execution->to, &verdict);
    const char *host = verdict.member == NONE_INDEX
                           ? "nobody"
                           : execution->mongo.facts.members[verdict.member].host;
    uint64_t back_us = spec->max_lag_age_ms * SIM_MS + DECIDING_US;
    uint64_t since_us = sim->now_us > back_us ? sim->now_us - back_us : 0;
    uint64_t lag_us = set_least_lag_us(sim->set, host, since_us);
    if (lag_us > spec->max_lag_ms * SIM_MS + LAG_SLACK_US) {
        sim_broken(sim, "no promotion beyond the lag limit (6)", "%s lagged by %.1f s", host,
                   (double)lag_us / 1e6);
    }
}

static bool is_named(const struct set_step *step, const char *host) {
    for (uint32_t i = 0; i < step->host_count; i++) {
        if (text_equal(step->hosts[i], host)) {
            return true;
        }
    }
    return false;
}

static struct set_step *find_set_step(struct sim *sim, const char *text, enum step_kind kind) {
    struct judged *judged = sim->judged;
    struct fence fence;
    char eid[EID_SIZE];
    if (!fence_parse(text, WORLD_CLUSTER, &fence)) {
        return NULL;
    }
    eid_format(eid, fence.service, fence.incarnation, fence.epoch, fence.step);
    for (uint32_t i = judged->set_step_count; i-- > 0;) {
        if (text_equal(judged->set_steps[i].eid, eid)) {
            return judged->set_steps[i].kind == kind ? &judged->set_steps[i] : NULL;
        }
    }
    return NULL;
}

void judge_set_step(struct sim *sim, const struct state *state, uint32_t s, uint32_t i) {
    struct judged *judged = sim->judged;
    const struct execution *execution = &state->services[s].execution;
    const struct mongo_view *view = &execution->mongo;
    const struct step *step = &execution->steps[i];
    char eid[EID_SIZE];
    bool counts = step->kind == STEP_FORCE || step->kind == STEP_READMIT;
    if (!counts || step->attempts == 0) {
        return;
    }
    eid_format(eid, state->services[s].name, state->incarnation, execution->epoch, i);
    for (uint32_t k = judged->set_step_count; k-- > 0;) {
        if (text_equal(judged->set_steps[k].eid, eid)) {
            judged->set_steps[k].given_up = step->phase == STEP_UNKNOWN;
            return;
        }
    }
    if (judged->set_step_count == SET_STEP_MAX) {
        abort();
    }
    struct set_step *kept = &judged->set_steps[judged->set_step_count++];
    (void)TEXT_COPY(kept->eid, eid);
    kept->kind = step->kind;
    kept->automatic = execution->automatic;
    if (step->kind == STEP_READMIT) {
        (void)TEXT_COPY(kept->hosts[0], view->readmit);
        kept->host_count = 1;
    }
    for (uint32_t k = 0; k < view->facts.member_count && step->kind == STEP_FORCE; k++) {
        if ((view->dead >> k & 1) != 0) {
            (void)TEXT_COPY(kept->hosts[kept->host_count], view->facts.members[k].host);
            kept->host_count++;
        }
    }
}

/* A config is forced by the word of a person alone, about all those that are silent; a vote is
 * given back to one who was there, and close. */
void judge_set_opened(struct sim *sim, const struct state *state, uint32_t s) {
    const struct execution *execution = &state->services[s].execution;
    const struct spec_mongo *spec = &state->spec.services[s].mongo;
    const struct mongo_view *view = &execution->mongo;
    uint64_t back_us = spec->max_lag_age_ms * SIM_MS + DECIDING_US;
    uint64_t since_us = sim->now_us > back_us ? sim->now_us - back_us : 0;
    for (uint32_t i = 0; i < execution->step_count; i++) {
        bool forces = execution->steps[i].kind == STEP_FORCE;
        bool readmits = execution->steps[i].kind == STEP_READMIT;
        for (uint32_t k = 0; k < view->facts.member_count && (forces || readmits); k++) {
            const struct mongo_member *member = &view->facts.members[k];
            bool dead = (view->dead >> k & 1) != 0;
            if (forces && (execution->automatic || dead == member->answers)) {
                sim_broken(sim, "nothing is forced but by a person's word", "%s %s", member->host,
                           dead ? "answered" : "was silent, and not declared dead");
            }
            if (!readmits || !text_equal(member->host, view->readmit)) {
                continue;
            }
            uint64_t lag_us = set_least_lag_us(sim->set, member->host, since_us);
            if (lag_us > spec->max_lag_ms * SIM_MS + LAG_SLACK_US ||
                !set_was_secondary(sim->set, member->host, since_us)) {
                sim_broken(sim, "no vote before it has caught up", "%s lagged by %.1f s",
                           member->host, (double)lag_us / 1e6);
            }
        }
    }
}

bool judge_set_forced(struct sim *sim, const char *fence, const char *const *out,
                      uint32_t out_count) {
    struct set_step *step = find_set_step(sim, fence, STEP_FORCE);
    if (step == NULL || step->automatic) {
        sim_broken(sim, "nothing is forced but by a person's word", "'%s'", fence);
    }
    if (step->carried_out) {
        sim_broken(sim, "forced at most once", "%s", fence);
    }
    step->carried_out = true;
    for (uint32_t i = 0; i < out_count; i++) {
        if (!is_named(step, out[i])) {
            sim_broken(sim, "nothing is forced but by a person's word",
                       "%s leaves %s out, which wasn't declared dead", fence, out[i]);
        }
    }
    sim->judged->set_went_back = sim->judged->set_went_back || step->given_up;
    return step->given_up;
}

void judge_set_undone(struct sim *sim) {
    sim->judged->set_went_back = true;
}

void judge_set_voter(struct sim *sim, const char *fence, const char *host) {
    const struct set_step *step = find_set_step(sim, fence, STEP_READMIT);
    if (step == NULL || !is_named(step, host)) {
        sim_broken(sim, "a vote is given by name", "%s votes again by %s", host, fence);
    }
}

void judge_set_kept(struct sim *sim, const char *fence, const char *host) {
    const struct set_step *step = find_set_step(sim, fence, STEP_READMIT);
    if (step == NULL || !is_named(step, host)) {
        sim_broken(sim, "a member comes back by name", "%s came by %s", host, fence);
    }
}

/* 15: users come only after a majority has taken a write there, in this epoch. */
void judge_set_switch(struct sim *sim, const struct state *state, uint32_t s) {
    const struct judged_service *kept = &sim->judged->services[s];
    const struct execution *execution = &state->services[s].execution;
    bool checks = state->spec.services[s].mongo.write_check[0] != '\0';
    for (uint32_t i = 0; i < execution->step_count && sim->set != NULL; i++) {
        char eid[EID_SIZE];
        if (execution->steps[i].kind != STEP_WRITE || execution->steps[i].phase == STEP_RELEASED) {
            continue;
        }
        eid_format(eid, state->services[s].name, state->incarnation, execution->epoch, i);
        bool written = set_has_written_since(sim->set, execution->to, kept->opened_us);
        if (!written ||
            (checks && !set_has_acknowledged(sim->set, execution->to, eid, kept->opened_us))) {
            sim_broken(sim, "switched after a majority write (15)", "%s: no %s in %s in epoch %llu",
                       state->services[s].name, written ? eid : "entry",
                       world_regions[execution->to], (unsigned long long)execution->epoch);
        }
    }
}

/* 2 and 22, at the end. */
bool judge_set_is_well(struct sim *sim, const struct service *service, struct error *why) {
    const char *missing = set_missing(sim->set);
    if (missing != NULL) {
        (void)error_set(why, ERROR_UNAVAILABLE, "nothing is lost that was acknowledged (2): %s",
                        missing);
        return false;
    }
    bool at_rest = service->adopted && !service->released && !service->half_moved &&
                   service->debt_count == 0 && !execution_is_open(&service->execution) &&
                   service->execution.result == RESULT_DONE;
    uint32_t region = set_primary_region(sim->set);
    if (at_rest && region != service->active) {
        (void)error_set(why, ERROR_UNAVAILABLE,
                        "the primary follows (22): %s is active in %s, and the primary is in %s",
                        service->name, world_regions[service->active],
                        region < WORLD_REGION_MAX ? world_regions[region] : "no region");
        return false;
    }
    return true;
}
