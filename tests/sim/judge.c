/* What must hold (DESIGN, "Invariants"), after every applied command of every node and at every
 * effect at the target. Judged from what is seen here, not from what a node says of itself. */
#include "judge_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "codec/state_codec.h"
#include "parts.h"
#include "replica_private.h"
#include "set.h"

#define EID_KEPT_MAX 8192
#define DIGEST_EVERY 16 /* commands, on each node; the first that gets there takes all */

struct judged *judged_create(void) {
    struct judged *judged = calloc(1, sizeof *judged);
    if (judged == NULL) {
        abort();
    }
    return judged;
}

void judged_destroy(struct judged *judged) {
    free(judged->seen);
    free(judged->log);
    judged_forget_entry(&judged->entry);
    for (uint32_t i = 0; i < judged->change_count; i++) {
        free(judged->changes[i].bytes);
    }
    for (uint32_t s = 0; s < SERVICE_MAX; s++) {
        free(judged->services[s].actives);
    }
    free(judged->attempted.eids);
    free(judged->closed.eids);
    free(judged->refused.eids);
    free(judged->done.eids);
    free(judged);
}

bool judged_has_eid(const struct eids *set, const char *eid) {
    for (uint32_t i = set->count; i-- > 0;) {
        if (text_equal(set->eids[i], eid)) {
            return true;
        }
    }
    return false;
}

void judged_add_eid(struct eids *set, const char *eid) {
    if (judged_has_eid(set, eid)) {
        return;
    }
    if (set->eids == NULL) {
        set->eids = calloc(EID_KEPT_MAX, sizeof set->eids[0]);
    }
    if (set->eids == NULL || set->count == EID_KEPT_MAX) {
        abort();
    }
    (void)snprintf(set->eids[set->count++], EID_SIZE, "%s", eid);
}

/* --- one state --- */

uint64_t judged_mix(uint64_t hash, const void *bytes, size_t size_bytes) {
    const uint8_t *at = bytes;
    for (size_t i = 0; i < size_bytes; i++) {
        hash = (hash ^ at[i]) * UINT64_C(0x100000001b3);
    }
    return hash;
}

static void mix_u64(uint64_t *hash, uint64_t value) {
    *hash = judged_mix(*hash, &value, sizeof value);
}

/* What changes most; the whole is digested where it pays. */
static uint64_t hash_state(const struct state *state) {
    uint64_t hash = JUDGED_HASH_START;
    mix_u64(&hash, state->leader_term);
    mix_u64(&hash, state->leader_id);
    mix_u64(&hash, state->tick_index);
    mix_u64(&hash, state->time_ms);
    mix_u64(&hash, state->spec_index);
    mix_u64(&hash, state->override_count);
    mix_u64(&hash, state->event_count);
    mix_u64(&hash, state->move_count);
    mix_u64(&hash, state->client_floor);
    for (uint32_t s = 0; s < state->spec.service_count; s++) {
        const struct service *service = &state->services[s];
        const struct execution *execution = &service->execution;
        mix_u64(&hash, service->active);
        mix_u64(&hash, service->epoch);
        mix_u64(&hash, service->adopted + 2u * service->released + 4u * service->half_moved);
        mix_u64(&hash, service->suspect.index);
        mix_u64(&hash, service->debt_count);
        mix_u64(&hash, service->last_move_end_ms);
        mix_u64(&hash, execution->phase * 16u + execution->result);
        for (uint32_t i = 0; i < execution->step_count; i++) {
            mix_u64(&hash, execution->steps[i].phase * 1000u + execution->steps[i].attempts);
            hash = judged_mix(hash, execution->steps[i].change_id,
                              strlen(execution->steps[i].change_id));
        }
    }
    return hash;
}

static struct seen_state *seen_state(struct judged *judged, uint64_t index) {
    if (index >= judged->seen_room) {
        uint64_t room = judged->seen_room == 0 ? 1024 : 2 * judged->seen_room;
        room = room > index ? room : index + 1;
        judged->seen = realloc(judged->seen, room * sizeof judged->seen[0]);
        if (judged->seen == NULL) {
            abort();
        }
        memset(judged->seen + judged->seen_room, 0,
               (room - judged->seen_room) * sizeof judged->seen[0]);
        judged->seen_room = room;
    }
    return &judged->seen[index];
}

/* State machine safety (19): one state after one command, on every node. */
static bool judge_hash(struct sim_node *node, const struct state *state) {
    struct seen_state *seen = seen_state(node->sim->judged, state->applied_index);
    uint64_t hash = hash_state(state);
    bool first = seen->hash == 0;
    if (!first && seen->hash != hash) {
        sim_broken(node->sim, "one state a command (19)", "entry %llu on %s",
                   (unsigned long long)state->applied_index, node->name);
    }
    seen->hash = hash;
    return first;
}

/* The same of the whole state, as a snapshot would have it. */
static void judge_digest(struct sim_node *node, const struct state *state) {
    struct seen_state *seen = seen_state(node->sim->judged, state->applied_index);
    uint8_t digest[32];
    codec_state_digest(state, digest);
    if (seen->has_digest && memcmp(seen->digest, digest, sizeof digest) != 0) {
        sim_broken(node->sim, "one state a command (19)", "entry %llu on %s, by its digest",
                   (unsigned long long)state->applied_index, node->name);
    }
    memcpy(seen->digest, digest, sizeof digest);
    seen->has_digest = true;
}

void judge_restored(struct sim_node *node) {
    const struct state *state = node_state(node);
    struct looked_at *looked = &node->sim->judged->looked_at[node->place];
    if (state != NULL && (looked->life != node->life || looked->index != state->applied_index)) {
        *looked = (struct looked_at){node->life, state->applied_index};
        judge_digest(node, state);
    }
}

/* --- decisions --- */

static bool saw_it_down(const struct sim *sim, const struct seen *seen, uint64_t suspect_us) {
    return seen->down_us >= suspect_us && seen->last_bad_us >= sim->judged->evidence_since_us;
}

/* Invariant 5, by the truth: nodes in enough other regions have had WORLD_FALL bad probes in a row
 * that all began after the suspicion, the last one after LEADER and the last TICK. */
static uint32_t regions_that_saw_it_down(struct sim *sim, const struct state *state,
                                         uint32_t service, uint32_t region, uint64_t suspect_us) {
    uint32_t regions = 0;
    for (uint32_t r = 0; r < WORLD_REGION_MAX; r++) {
        uint32_t nodes = 0;
        uint32_t down = 0;
        for (uint32_t n = 0; n < state->node_count; n++) {
            const struct sim_node *node = world_find_node(sim, state->nodes[n].id);
            if (text_equal(node->region, world_regions[r])) {
                nodes++;
                down += saw_it_down(sim, &sim->seen[node->place][service][region], suspect_us) ||
                        (service == 0 &&
                         saw_it_down(sim, &sim->seen_of_set[node->place][region], suspect_us));
            }
        }
        regions += r != region && down * 2 > nodes;
    }
    return regions;
}

/* Invariant 9, by the judge's own book of committed time. */
static void judge_pace(struct sim *sim, const struct state *state, uint32_t s) {
    const struct judged_service *kept = &sim->judged->services[s];
    const struct spec_policy *policy = &state->spec.services[s].policy;
    if (kept->end_untimed ||
        (kept->end_ms != 0 && state->time_ms < kept->end_ms + policy->cooldown_ms)) {
        sim_broken(sim, "cooldown (9)", "svc%u was decided %lld ms after the end of its last move",
                   s + 1, (long long)(state->time_ms - kept->end_ms));
    }
    uint32_t recent = 0;
    for (uint32_t i = 0; i < kept->automatic_ends && i < MOVE_END_KEPT_MAX; i++) {
        recent += kept->automatic_ends_ms[i] + policy->max_moves_window_ms > state->time_ms;
    }
    if (recent >= policy->max_moves) {
        sim_broken(sim, "moves a window (9)", "svc%u has made %u already", s + 1, recent);
    }
}

static void judge_decision(struct sim *sim, const struct state *state, uint32_t s) {
    struct judged_service *kept = &sim->judged->services[s];
    const struct service *service = &state->services[s];
    const struct execution *execution = &service->execution;
    if (!execution->automatic || execution->decide_index != state->applied_index) {
        return;
    }
    kept->decide_leader_term = state->leader_term;
    sim->judged->decisions++;
    faults_at_moment(sim, 3);
    people_hear_of_decision(sim, s);
    uint64_t suspect_us = kept->suspect_us;
    if (kept->suspect_index != execution->suspect_index) {
        sim_broken(sim, "evidence (5)", "%s decided for a suspicion that was never seen",
                   service->name);
    }
    if (judged_is_forbidden(sim->judged, state, service)) {
        sim_broken(sim, "no DECIDE under an override (8)", "%s epoch %llu", service->name,
                   (unsigned long long)execution->epoch);
    }
    if (sim->now_us - suspect_us < sim->confirm_ms * 995) { /* clocks drift by 0.45 % */
        sim_broken(sim, "confirmed (5)", "%s was decided %.3f s after the suspicion", service->name,
                   (double)(sim->now_us - suspect_us) / 1e6);
    }
    uint32_t saw = regions_that_saw_it_down(sim, state, s, execution->from, suspect_us);
    if (saw < 2) {
        sim_broken(sim, "verdict (5)", "%s left %s, which only %u other regions saw down",
                   service->name, world_regions[execution->from], saw);
    }
    enum service_mode mode = state->spec.services[s].mode;
    bool asked = mode == MODE_ADVISE && kept->approved_index == execution->suspect_index;
    if (mode != MODE_AUTO && !asked) {
        sim_broken(sim, "one approval a window (7)", "%s moved by itself in mode %s", service->name,
                   mode_text(mode));
    }
    judge_pace(sim, state, s);
    judge_set_decision(sim, state, s);
}

/* Between DECIDE and the first intent: the same term, and nobody has said no. */
static void judge_begin(struct sim *sim, const struct state *state, uint32_t s) {
    struct judged_service *kept = &sim->judged->services[s];
    const struct service *service = &state->services[s];
    const struct execution *execution = &service->execution;
    if (!execution->automatic || execution->begun_index != state->applied_index) {
        return;
    }
    if (judged_is_forbidden(sim->judged, state, service)) {
        sim_broken(sim, "no first intent under an override (8)", "%s epoch %llu", service->name,
                   (unsigned long long)execution->epoch);
    }
    if (state->leader_term != kept->decide_leader_term) {
        sim_broken(sim, "begun where it was decided (5)", "%s: decided in term %llu, begun in %llu",
                   service->name, (unsigned long long)kept->decide_leader_term,
                   (unsigned long long)state->leader_term);
    }
}

/* Invariants 4 and 16: what is open stays until it has ended. */
static void judge_open(struct sim *sim, const struct state *state, uint32_t s) {
    struct judged_service *kept = &sim->judged->services[s];
    const struct execution *execution = &state->services[s].execution;
    bool open = execution_is_open(execution);
    if (kept->open_index != 0 && execution->decide_index != kept->open_index) {
        sim_broken(sim, "an execution is never lost (16)",
                   "svc%u: that of %llu was open when epoch %llu came", s + 1,
                   (unsigned long long)kept->open_index, (unsigned long long)execution->epoch);
    }
    bool ended = kept->open_index != 0 && !open;
    kept->open_index = open ? execution->decide_index : 0;
    if (ended && execution_kind_moves(execution->kind) && execution->begun_index != 0) {
        /* By the clocks at DECIDE or since; a person's move may end long after the last TICK. */
        bool timed = execution->automatic || state->tick_index > execution->decide_index;
        kept->end_untimed = !timed;
        kept->end_ms = state->time_ms;
        if (execution->automatic) {
            kept->automatic_ends_ms[kept->automatic_ends++ % MOVE_END_KEPT_MAX] = state->time_ms;
        }
    } else if (kept->end_untimed && state->tick_index == state->applied_index) {
        kept->end_untimed = false;
        kept->end_ms = state->time_ms;
    }
}

/* All debts were settled before the switch, and none was waived. */
static bool switched_clean(const struct execution *execution) {
    bool switched = false;
    bool settled = (execution->skipped_gates & GATE_BIT(GATE_DEBTS)) == 0;
    for (uint32_t i = 0; i < execution->step_count; i++) {
        const struct step *step = &execution->steps[i];
        switched = switched || (step->kind == STEP_SWITCH && step->phase == STEP_DONE);
        settled = settled && (step->kind != STEP_SETTLE || step->phase == STEP_DONE);
    }
    return switched && settled;
}

static void judge_refused(struct sim *sim, const struct step *step, const char *eid) {
    if (!judged_has_eid(&sim->judged->refused, eid)) {
        judged_add_eid(&sim->judged->refused, eid);
        /* What a set has lost again is not there. */
        bool lost = step->zone == PLACE_OF_SET && sim->judged->set_went_back;
        if (judged_has_landed(sim->judged, eid) && !lost) {
            sim_broken(sim, "refused is not there (14)", "%s had landed", eid);
        }
    }
}

static void judge_step(struct sim *sim, const struct step *step, const char *eid) {
    struct judged *judged = sim->judged;
    if (step->attempts > 0) {
        judged_add_eid(&judged->attempted, eid);
    }
    if (step->phase == STEP_CLOSING) {
        judged_add_eid(&judged->closed, eid);
    }
    if (step->phase == STEP_REFUSED) {
        judge_refused(sim, step, eid);
    }
    if (step->phase == STEP_DONE && !judged_has_eid(&judged->done, eid)) {
        judged_add_eid(&judged->done, eid);
        /* 14: done means that it was there; an unmark's, that nothing is, whoever did it. */
        if (step->kind != STEP_UNMARK && !judged_has_landed(judged, eid)) {
            sim_broken(sim, "done is done (14)", "%s is done and was never seen", eid);
        }
    }
}

static void judge_steps(struct sim *sim, const struct state *state, uint32_t s) {
    struct judged *judged = sim->judged;
    const struct execution *execution = &state->services[s].execution;
    if (switched_clean(execution)) {
        judged->services[s].switched_epoch = execution->epoch;
    }
    judge_order(sim, execution, s);
    for (uint32_t i = 0; i < execution->step_count; i++) {
        const struct step *step = &execution->steps[i];
        char eid[EID_SIZE];
        if (judged->services[s].phases[i] != step->phase) {
            judged->services[s].phases[i] = step->phase;
            if (step->kind == STEP_SWITCH && step->phase == STEP_DONE) {
                judge_set_switch(sim, state, s);
            }
            if (s == 0 && sim->set != NULL) {
                set_at_moment(sim->set);
            }
            faults_at_moment(sim, 12);
        }
        if (step->kind == STEP_SETTLE && step->phase == STEP_CLOSING) {
            judged_add_eid(&judged->closed, step->debt_eid);
        }
        judge_set_step(sim, state, s, i);
        judge_dns_step(sim, state, s, i);
        if (step->kind == STEP_DNS || step->kind == STEP_ADOPT || step->kind == STEP_UNMARK ||
            step->kind == STEP_PREFER || step->kind == STEP_FORCE || step->kind == STEP_READMIT) {
            eid_format(eid, state->services[s].name, state->incarnation, execution->epoch, i);
            judge_step(sim, step, eid);
        }
    }
}

static void keep_active(struct sim *sim, uint32_t s, uint64_t index, uint32_t active) {
    struct judged_service *kept = &sim->judged->services[s];
    if (kept->active_count > 0 && kept->actives[kept->active_count - 1].active == active) {
        return;
    }
    judge_switch(sim, s, active);
    if (kept->active_count == kept->active_room) {
        kept->active_room = kept->active_room == 0 ? 64 : 2 * kept->active_room;
        kept->actives = realloc(kept->actives, kept->active_room * sizeof kept->actives[0]);
        if (kept->actives == NULL) {
            abort();
        }
    }
    kept->actives[kept->active_count++] = (struct active_since){index, active};
}

static void judge_window(struct sim *sim, const struct service *service,
                         struct judged_service *kept) {
    const struct suspect *suspect = &service->suspect;
    if (!suspect->open) {
        return;
    }
    if (kept->suspect_index != suspect->index) {
        kept->suspect_index = suspect->index;
        kept->suspect_us = sim->now_us;
        if (suspect->approved) {
            sim_broken(sim, "one approval a window (7)", "%s is suspect and approved at once",
                       service->name);
        }
        people_hear_of(sim, (uint32_t)(kept - sim->judged->services));
        faults_at_suspicion(sim);
    }
    if (suspect->approved) {
        kept->approved_index = suspect->index;
    }
}

/* Another execution, by its entry: an epoch that came again would not show it. */
static void judge_opened(struct sim *sim, const struct state *state, uint32_t s) {
    struct judged_service *kept = &sim->judged->services[s];
    const struct execution *execution = &state->services[s].execution;
    if (execution->decide_index == kept->opened_index) {
        return;
    }
    if (execution->epoch <= kept->opened_epoch) {
        sim_broken(sim, "epochs are not used again (3)", "svc%u: %llu at %llu, after %llu", s + 1,
                   (unsigned long long)execution->epoch,
                   (unsigned long long)execution->decide_index,
                   (unsigned long long)kept->opened_epoch);
    }
    kept->opened_index = execution->decide_index;
    kept->opened_epoch = execution->epoch;
    kept->opened_us = sim->now_us;
    memset(kept->phases, 0, sizeof kept->phases);
    judge_plan(kept, execution);
    judge_set_opened(sim, state, s);
}

/* What is cancelled, lapses or readmits leaves records as they were left before. */
static void keep_left(struct judged_service *kept, const struct execution *execution) {
    enum execution_result result = execution->result;
    bool given_up =
        result == RESULT_STOPPED || result == RESULT_HALF_MOVED || result == RESULT_RELEASED;
    if (execution->phase == EXECUTION_ENDED && execution->kind != EXECUTION_READMIT) {
        kept->left_open = given_up || (kept->left_open && result != RESULT_DONE);
    }
}

static void judge_service(struct sim *sim, const struct state *state, uint32_t s) {
    struct judged_service *kept = &sim->judged->services[s];
    const struct service *service = &state->services[s];
    if (service->epoch < kept->last_epoch) {
        sim_broken(sim, "epochs only rise (3)", "%s %llu after %llu", service->name,
                   (unsigned long long)service->epoch, (unsigned long long)kept->last_epoch);
    }
    judge_opened(sim, state, s);
    kept->last_epoch = service->epoch;
    judge_window(sim, service, kept);
    judge_decision(sim, state, s);
    judge_begin(sim, state, s);
    judge_open(sim, state, s);
    judge_steps(sim, state, s);
    judge_promotion(sim, state, s);
    keep_left(kept, &service->execution);
    keep_active(sim, s, state->applied_index, service->adopted ? service->active : NONE_INDEX);
}

/* The highest time that the clocks of a majority have ever shown. */
static uint64_t majority_clock_ms(struct sim *sim, const struct state *state) {
    uint64_t best_ms = 0;
    for (uint32_t i = 0; i < state->node_count; i++) {
        uint64_t shown_ms = world_find_node(sim, state->nodes[i].id)->highest_wall_ms;
        uint32_t reached = 0;
        for (uint32_t j = 0; j < state->node_count; j++) {
            reached += world_find_node(sim, state->nodes[j].id)->highest_wall_ms >= shown_ms;
        }
        bool enough = reached * 2 > state->node_count;
        if (enough && shown_ms > best_ms) {
            best_ms = shown_ms;
        }
    }
    return best_ms;
}

void judge_applied(struct sim_node *node) {
    const struct state *state = node_state(node);
    struct sim *sim = node->sim;
    struct judged *judged = sim->judged;
    if (state == NULL) {
        return; /* it reads its log, or ends */
    }
    const char *broken = state_broken_invariant(state);
    if (broken != NULL) {
        sim_broken(sim, "a state's own (1, 4)", "%s on %s", broken, node->name);
    }
    if (state->halted) {
        sim_broken(sim, "digests (19)", "automation was halted");
    }
    judge_entry(node);
    bool first = judge_hash(node, state);
    if (first || state->applied_index % DIGEST_EVERY == 0) {
        judge_digest(node, state);
    }
    judged->looked_at[node->place] = (struct looked_at){node->life, state->applied_index};
    /* The first node that gets there tells the group's history. */
    if (!first || state->applied_index <= judged->last_index) {
        return;
    }
    judge_overrides(node, state);
    judged->last_index = state->applied_index;
    if (state->time_ms < judged->last_time_ms) {
        sim_broken(sim, "committed time (18)", "it went back");
    }
    if (state->time_ms > judged->last_time_ms && state->time_ms > majority_clock_ms(sim, state)) {
        sim_broken(sim, "committed time (18)", "a minority of clocks moved it");
    }
    judged->last_time_ms = state->time_ms;
    if (state->tick_index == state->applied_index || state->leader_index == state->applied_index) {
        judged->evidence_since_us = sim->now_us;
    }
    for (uint32_t s = 0; s < state->spec.service_count; s++) {
        judge_service(sim, state, s);
    }
}

/* --- the end --- */

/* What people have to see to: in the healing they do. */
static const char *unfinished(const struct service *service) {
    const struct execution *execution = &service->execution;
    if (execution_is_open(execution)) {
        return "is still moving";
    }
    if (!service_is_managed(service)) {
        return "is not adopted";
    }
    return service->half_moved ? "is half-moved" : NULL;
}

/* What has ended so leaves the records where the active region says. A released step may have
 * landed, or may not: then there is a debt, or there was one that is settled by now. */
static bool leaves_records(const struct service *service) {
    enum execution_result result = service->execution.result;
    return service->debt_count == 0 &&
           (result == RESULT_DONE || result == RESULT_CANCELLED || result == RESULT_LAPSED);
}

/* False, and why: it isn't over yet, or (at the end) never will be. */
static bool is_settled(struct sim *sim, const struct state *state, uint32_t s, struct error *why) {
    const struct service *service = &state->services[s];
    const char *left = unfinished(service);
    if (left != NULL) {
        (void)error_set(why, ERROR_UNAVAILABLE, "liveness (16, 22): %s %s, epoch %llu",
                        service->name, left, (unsigned long long)service->epoch);
        return false;
    }
    const char *wanted = service->active == 0 ? "192.0.2.1" : "192.0.2.2";
    for (uint32_t z = 0; z < sim->zone_count && leaves_records(service); z++) {
        char address[64];
        target_address(sim->target, z, service->name, address);
        if (!text_equal(address, wanted)) {
            (void)error_set(why, ERROR_UNAVAILABLE,
                            "the record follows: %s is active in %s, and its record in %s says %s",
                            service->name, world_regions[service->active], target_domains[z],
                            address);
            return false;
        }
    }
    return true;
}

bool judge_is_over(struct sim *sim, struct error *why) {
    const struct sim_node *leader = people_leader(sim);
    if (leader == NULL) {
        (void)error_set(why, ERROR_UNAVAILABLE, "liveness (22): nobody leads");
        return false;
    }
    const struct state *state = node_state(leader);
    for (uint32_t i = 0; i < sim->node_count; i++) {
        const struct state *other = node_state(&sim->nodes[i]);
        bool member = state_find_node(state, sim->nodes[i].id) != NONE_INDEX;
        if (!member) {
            continue;
        }
        if (other == NULL || other->applied_index + 50 < state->applied_index) {
            (void)error_set(why, ERROR_UNAVAILABLE, "liveness (22): n%u is not caught up", i + 1);
            return false;
        }
    }
    for (uint32_t s = 0; s < state->spec.service_count; s++) {
        if (!is_settled(sim, state, s, why)) {
            return false;
        }
    }
    return sim->set == NULL || judge_set_is_well(sim, &state->services[0], why);
}

uint64_t judge_opened_us(const struct sim *sim, uint32_t service) {
    return sim->judged->services[service].opened_us;
}

bool judge_left_open(const struct sim *sim, uint32_t service) {
    return sim->judged->services[service].left_open;
}

void judge_end(struct sim *sim) {
    struct error why;
    if (!judge_is_over(sim, &why)) {
        int name_length = (int)strcspn(why.message, ":");
        char name[sizeof why.message];
        (void)snprintf(name, sizeof name, "%.*s", name_length, why.message);
        sim_broken(sim, name, "at the end: %s", why.message + name_length);
    }
    sim_say(sim, "world", "%llu decisions, %llu effects, %llu commands",
            (unsigned long long)sim->judged->decisions,
            (unsigned long long)sim->judged->effect_count,
            (unsigned long long)node_state(people_leader(sim))->applied_index);
}
