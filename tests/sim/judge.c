/* What must hold (DESIGN, "Invariants"), after every applied command of every node and at every
 * effect at the target. Judged from what is seen here, not from what a node says of itself. */
#include "judge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "parts.h"
#include "replica_private.h"
#include "world.h"

#define EID_KEPT_MAX 8192
#define CLIENT_KEPT_MAX 4096
#define EFFECT_MAX 4096

struct eids {
    char (*eids)[EID_SIZE];
    uint32_t count;
};

/* What stood in a fence. It may come again when its change was forgotten, or a person deleted it.
 */
struct effect {
    char fence[FENCE_SIZE], eid[EID_SIZE];
    bool deletes, may_repeat, forgotten;
};

struct chain {
    char service[NAME_SIZE];
    struct fence last;
    bool known;
};

struct leader_of_term {
    uint64_t term, id;
};

/* Who may think that it holds the lease, until when. */
struct holding {
    uint64_t until_us;
    uint32_t region;
};

struct judged {
    uint64_t *hashes; /* of the state after each command, by index; 0: not seen yet */
    uint64_t hash_room;
    uint64_t first_us_of_suspect[SERVICE_MAX], suspect_index[SERVICE_MAX];
    uint64_t decided_epoch[SERVICE_MAX];
    uint64_t last_epoch[SERVICE_MAX];
    uint64_t last_index, last_time_ms;
    struct eids attempted, closed, refused, done;
    struct leader_of_term terms[1024];
    uint32_t term_count;
    struct holding held[SERVICE_MAX][SIM_NODE_MAX][2];
    uint8_t clients[CLIENT_KEPT_MAX][16];
    uint32_t client_count;
    struct effect effects[EFFECT_MAX];
    uint32_t effect_count;
    struct chain chains[SERVICE_MAX];
    uint64_t decisions;
};

struct judged *judged_create(void) {
    struct judged *judged = calloc(1, sizeof *judged);
    if (judged == NULL) {
        abort();
    }
    return judged;
}

void judged_destroy(struct judged *judged) {
    free(judged->hashes);
    free(judged->attempted.eids);
    free(judged->closed.eids);
    free(judged->refused.eids);
    free(judged->done.eids);
    free(judged);
}

static bool has_eid(const struct eids *set, const char *eid) {
    for (uint32_t i = set->count; i-- > 0;) {
        if (text_equal(set->eids[i], eid)) {
            return true;
        }
    }
    return false;
}

static void add_eid(struct eids *set, const char *eid) {
    if (has_eid(set, eid)) {
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

static void mix(uint64_t *hash, const void *bytes, size_t size_bytes) {
    const uint8_t *at = bytes;
    for (size_t i = 0; i < size_bytes; i++) {
        *hash = (*hash ^ at[i]) * UINT64_C(0x100000001b3);
    }
}

static void mix_u64(uint64_t *hash, uint64_t value) {
    mix(hash, &value, sizeof value);
}

/* Everything that decides; the digest of the whole state is compared by the nodes themselves. */
static uint64_t hash_state(const struct state *state) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
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
            mix(&hash, execution->steps[i].change_id, strlen(execution->steps[i].change_id));
        }
    }
    return hash;
}

/* State machine safety (19): one state after one command, on every node. */
static bool judge_hash(struct sim_node *node, const struct state *state) {
    struct judged *judged = node->sim->judged;
    uint64_t index = state->applied_index;
    if (index >= judged->hash_room) {
        uint64_t room = judged->hash_room == 0 ? 1024 : 2 * judged->hash_room;
        room = room > index ? room : index + 1;
        judged->hashes = realloc(judged->hashes, room * sizeof judged->hashes[0]);
        if (judged->hashes == NULL) {
            abort();
        }
        memset(judged->hashes + judged->hash_room, 0,
               (room - judged->hash_room) * sizeof judged->hashes[0]);
        judged->hash_room = room;
    }
    uint64_t hash = hash_state(state);
    bool first = judged->hashes[index] == 0;
    if (!first && judged->hashes[index] != hash) {
        sim_broken(node->sim, "one state a command (19)", "entry %llu on %s",
                   (unsigned long long)index, node->name);
    }
    judged->hashes[index] = hash;
    return first;
}

static bool has_landed(const struct judged *judged, const char *eid);

/* --- decisions --- */

static bool overridden(const struct state *state, const struct service *service,
                       const struct execution *execution) {
    const char *to = state->spec.regions[execution->to].name;
    return state_override(state, OVERRIDE_VETO, service->name, NULL) != NULL ||
           state_override(state, OVERRIDE_PAUSE, service->name, NULL) != NULL ||
           state_override(state, OVERRIDE_MAINTENANCE, service->name, to) != NULL;
}

/* Invariant 5, by the truth: nodes in enough other regions have had WORLD_FALL bad probes in a row
 * that all began after the suspicion. */
static uint32_t regions_that_saw_it_down(const struct sim *sim, uint32_t service, uint32_t region,
                                         uint64_t suspect_us) {
    uint32_t regions = 0;
    for (uint32_t r = 0; r < 3; r++) {
        uint32_t nodes = 0;
        uint32_t down = 0;
        for (uint32_t n = 0; n < sim->node_count; n++) {
            if (n % 3 == r) {
                nodes++;
                down += sim->seen[n][service][region].down_us >= suspect_us;
            }
        }
        regions += r != region && down * 2 > nodes;
    }
    return regions;
}

static void judge_decision(struct sim *sim, const struct state *state, uint32_t s) {
    struct judged *judged = sim->judged;
    const struct service *service = &state->services[s];
    const struct execution *execution = &service->execution;
    bool fresh = execution->automatic && execution->epoch != judged->decided_epoch[s] &&
                 execution->decide_index == state->applied_index;
    if (!fresh) {
        return;
    }
    judged->decided_epoch[s] = execution->epoch;
    judged->decisions++;
    uint64_t suspect_us = judged->first_us_of_suspect[s];
    if (judged->suspect_index[s] != execution->suspect_index) {
        sim_broken(sim, "evidence (5)", "%s decided for a suspicion that was never seen",
                   service->name);
    }
    if (overridden(state, service, execution)) {
        sim_broken(sim, "no DECIDE under an override (8)", "%s epoch %llu", service->name,
                   (unsigned long long)execution->epoch);
    }
    if (sim->now_us - suspect_us < sim->confirm_ms * SIM_MS) {
        sim_broken(sim, "confirmed (5)", "%s was decided %.3f s after the suspicion", service->name,
                   (double)(sim->now_us - suspect_us) / 1e6);
    }
    uint32_t saw = regions_that_saw_it_down(sim, s, execution->from, suspect_us);
    if (saw < 2) {
        sim_broken(sim, "verdict (5)", "%s left %s, which only %u other regions saw down",
                   service->name, world_regions[execution->from], saw);
    }
}

static void judge_steps(struct sim *sim, const struct state *state, uint32_t s) {
    struct judged *judged = sim->judged;
    const struct execution *execution = &state->services[s].execution;
    for (uint32_t i = 0; i < execution->step_count; i++) {
        const struct step *step = &execution->steps[i];
        char eid[EID_SIZE];
        if (step->kind == STEP_SETTLE) {
            if (step->phase == STEP_CLOSING) {
                add_eid(&judged->closed, step->debt_eid);
            }
            continue;
        }
        if (step->kind != STEP_DNS && step->kind != STEP_ADOPT && step->kind != STEP_UNMARK) {
            continue;
        }
        eid_format(eid, state->services[s].name, state->incarnation, execution->epoch, i);
        if (step->attempts > 0) {
            add_eid(&judged->attempted, eid);
        }
        if (step->phase == STEP_CLOSING) {
            add_eid(&judged->closed, eid);
        }
        if (step->phase == STEP_REFUSED) {
            add_eid(&judged->refused, eid);
        }
        if (step->phase == STEP_DONE && !has_eid(&judged->done, eid)) {
            add_eid(&judged->done, eid);
            /* 14: done means that it was there; an unmark's, that nothing is, whoever did it. */
            if (step->kind != STEP_UNMARK && !has_landed(judged, eid)) {
                sim_broken(sim, "done is done (14)", "%s is done and was never seen", eid);
            }
        }
    }
}

static void judge_service(struct sim *sim, const struct state *state, uint32_t s) {
    struct judged *judged = sim->judged;
    const struct service *service = &state->services[s];
    if (service->suspect.open && judged->suspect_index[s] != service->suspect.index) {
        judged->suspect_index[s] = service->suspect.index;
        judged->first_us_of_suspect[s] = sim->now_us;
    }
    if (service->epoch < judged->last_epoch[s]) {
        sim_broken(sim, "epochs only rise (3)", "%s %llu after %llu", service->name,
                   (unsigned long long)service->epoch, (unsigned long long)judged->last_epoch[s]);
    }
    judged->last_epoch[s] = service->epoch;
    judge_decision(sim, state, s);
    judge_steps(sim, state, s);
}

/* The highest time that the clocks of a majority have ever shown. */
static uint64_t majority_clock_ms(const struct sim *sim) {
    uint64_t best_ms = 0;
    for (uint32_t i = 0; i < sim->node_count; i++) {
        uint32_t reached = 0;
        for (uint32_t j = 0; j < sim->node_count; j++) {
            reached += sim->nodes[j].highest_wall_ms >= sim->nodes[i].highest_wall_ms;
        }
        bool enough = reached * 2 > sim->node_count;
        if (enough && sim->nodes[i].highest_wall_ms > best_ms) {
            best_ms = sim->nodes[i].highest_wall_ms;
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
    /* The first node that gets there tells the group's history. */
    if (!judge_hash(node, state) || state->applied_index <= judged->last_index) {
        return;
    }
    judged->last_index = state->applied_index;
    if (state->time_ms < judged->last_time_ms) {
        sim_broken(sim, "committed time (18)", "it went back");
    }
    if (state->time_ms > majority_clock_ms(sim)) {
        sim_broken(sim, "committed time (18)", "a minority of clocks moved it");
    }
    judged->last_time_ms = state->time_ms;
    for (uint32_t s = 0; s < state->spec.service_count; s++) {
        judge_service(sim, state, s);
    }
}

/* --- effects --- */

static struct chain *chain_of(struct judged *judged, const char *service) {
    uint32_t i = 0;
    while (judged->chains[i].service[0] != '\0' &&
           !text_equal(judged->chains[i].service, service)) {
        i++;
    }
    (void)TEXT_COPY(judged->chains[i].service, service);
    return &judged->chains[i];
}

static void judge_intent(struct sim *sim, const struct fence *fence) {
    const struct judged *judged = sim->judged;
    char eid[EID_SIZE];
    eid_format(eid, fence->service, fence->incarnation, fence->epoch, fence->step);
    if (fence->burnt) {
        if (!has_eid(&judged->closed, eid)) {
            sim_broken(sim, "intent first (11)", "%s was burnt without a CLOSING", eid);
        }
        return;
    }
    if (!has_eid(&judged->attempted, eid)) {
        sim_broken(sim, "intent first (11)", "%s landed without an ATTEMPT", eid);
    }
    if (has_eid(&judged->refused, eid)) {
        sim_broken(sim, "refused never lands (14)", "%s landed after it was refused", eid);
    }
}

static void judge_chain(struct sim *sim, const struct fence *fence, const char *text) {
    struct chain *chain = chain_of(sim->judged, fence->service);
    bool same = fence->epoch == chain->last.epoch && fence->step == chain->last.step;
    bool rises = fence->epoch > chain->last.epoch ||
                 (fence->epoch == chain->last.epoch && fence->step > chain->last.step) ||
                 (same && fence->burnt);
    if (chain->known && !rises) {
        sim_broken(sim, "chain of fences (13)", "%s after epoch %llu step %u", text,
                   (unsigned long long)chain->last.epoch, chain->last.step);
    }
    chain->last = *fence;
    chain->known = true;
}

void judge_fence(struct sim *sim, const char *before, const char *after, const char *comment) {
    struct judged *judged = sim->judged;
    struct fence fence;
    char text[FENCE_SIZE];
    (void)before;
    if (after[0] == '\0') {
        fence_format(text, WORLD_CLUSTER, comment);
    } else {
        (void)snprintf(text, sizeof text, "%s", after);
    }
    if (!fence_parse(text, WORLD_CLUSTER, &fence)) {
        sim_broken(sim, "fences are well-formed", "'%s' was written", text);
    }
    for (uint32_t i = 0; i < judged->effect_count; i++) {
        const struct effect *effect = &judged->effects[i];
        if (!effect->may_repeat && text_equal(effect->fence, text)) {
            sim_broken(sim, "exactly once (12)", "%s landed twice", text);
        }
    }
    if (judged->effect_count < EFFECT_MAX) {
        struct effect *effect = &judged->effects[judged->effect_count++];
        (void)TEXT_COPY(effect->fence, text);
        (void)snprintf(effect->eid, sizeof effect->eid, "%s", comment);
        effect->deletes = after[0] == '\0';
    }
    judge_chain(sim, &fence, text);
    judge_intent(sim, &fence);
}

void judge_forgotten(struct sim *sim, const char *fence) {
    struct judged *judged = sim->judged;
    for (uint32_t i = 0; i < judged->effect_count; i++) {
        struct effect *effect = &judged->effects[i];
        if (text_equal(effect->fence, fence)) {
            effect->may_repeat = true;
            effect->forgotten = true;
        }
    }
    for (uint32_t i = 0; i < SERVICE_MAX; i++) {
        judged->chains[i].known = false;
    }
}

void judge_deletion_forgotten(struct sim *sim, const char *comment) {
    struct judged *judged = sim->judged;
    for (uint32_t i = 0; i < judged->effect_count; i++) {
        struct effect *effect = &judged->effects[i];
        effect->may_repeat =
            effect->may_repeat || (effect->deletes && text_equal(effect->eid, comment));
    }
    for (uint32_t i = 0; i < SERVICE_MAX; i++) {
        judged->chains[i].known = false;
    }
}

void judge_edited(struct sim *sim, const char *service) {
    struct judged *judged = sim->judged;
    chain_of(judged, service)->known = false;
    for (uint32_t i = 0; i < judged->effect_count; i++) {
        struct fence fence;
        if (eid_parse(judged->effects[i].eid, &fence) && text_equal(fence.service, service)) {
            judged->effects[i].may_repeat = true;
        }
    }
}

static bool has_landed(const struct judged *judged, const char *eid) {
    char fence[FENCE_SIZE];
    fence_format(fence, WORLD_CLUSTER, eid);
    for (uint32_t i = judged->effect_count; i-- > 0;) {
        if (text_equal(judged->effects[i].fence, fence)) {
            return !judged->effects[i].forgotten;
        }
    }
    return false;
}

void judge_command_result(struct sim *sim, const uint8_t client_id[16], uint32_t result) {
    struct judged *judged = sim->judged;
    if (result != CORE_OK) {
        return;
    }
    for (uint32_t i = 0; i < judged->client_count; i++) {
        if (memcmp(judged->clients[i], client_id, 16) == 0) {
            sim_broken(sim, "commands are idempotent (17)", "one was applied twice");
        }
    }
    if (judged->client_count < CLIENT_KEPT_MAX) {
        memcpy(judged->clients[judged->client_count++], client_id, 16);
    }
}

/* --- leaders and leases --- */

void judge_leaders(struct sim *sim) {
    struct judged *judged = sim->judged;
    for (uint32_t i = 0; i < sim->node_count; i++) {
        const struct sim_node *node = &sim->nodes[i];
        struct replica_status status;
        struct replica *replica = node_replica(node);
        if (replica == NULL) {
            continue;
        }
        replica_read_status(replica, &status);
        if (status.role != REPLICA_LEADER) {
            continue;
        }
        uint32_t t = 0;
        while (t < judged->term_count && judged->terms[t].term != status.term) {
            t++;
        }
        if (t == judged->term_count) {
            if (t < ARRAY_LENGTH(judged->terms)) {
                judged->terms[judged->term_count++] =
                    (struct leader_of_term){status.term, status.id};
            }
        } else if (judged->terms[t].id != status.id) {
            sim_broken(sim, "election safety", "two leaders in term %llu",
                       (unsigned long long)status.term);
        }
    }
}

/* Invariant 2. A poller in each region asks each node, and counts from before it asked. */
void judge_leases(struct sim *sim) {
    struct judged *judged = sim->judged;
    for (uint32_t s = 0; s < sim->service_count && sim->lease_ms > 0; s++) {
        char name[NAME_SIZE];
        bool holds[2] = {false, false};
        (void)snprintf(name, sizeof name, "svc%u", s + 1);
        for (uint32_t n = 0; n < sim->node_count; n++) {
            struct sim_node *node = &sim->nodes[n];
            for (uint32_t r = 0; r < 2; r++) {
                struct holding *held = &judged->held[s][n][r];
                uint64_t left_ms = node->alive && !node->stalled && node->api != NULL
                                       ? parts_poll_lease(node, name, r)
                                       : 0;
                if (left_ms > 0) {
                    held->until_us = sim->now_us + left_ms * SIM_MS;
                }
                holds[r] = holds[r] || held->until_us > sim->now_us;
            }
        }
        if (holds[0] && holds[1]) {
            sim_broken(sim, "one holder of a lease (2)", "%s", name);
        }
    }
}

/* --- the end --- */

static bool waits_for_a_person(const struct execution *execution) {
    for (uint32_t i = 0; i < execution->step_count; i++) {
        if (execution->steps[i].phase == STEP_UNKNOWN) {
            return true;
        }
    }
    return false;
}

/* False, and why: it isn't over yet, or (at the end) never will be. */
static bool is_settled(struct sim *sim, const struct state *state, uint32_t s, struct error *why) {
    const struct service *service = &state->services[s];
    const struct execution *execution = &service->execution;
    if (execution_is_open(execution) && !waits_for_a_person(execution)) {
        (void)error_set(why, ERROR_UNAVAILABLE, "liveness (16, 22): %s: epoch %llu is still open",
                        service->name, (unsigned long long)service->epoch);
        return false;
    }
    char address[64];
    target_address(sim->target, service->name, address);
    bool well = service->adopted && !service->released && !service->half_moved &&
                service->debt_count == 0 && !execution_is_open(execution);
    const char *wanted = service->active == 0 ? "192.0.2.1" : "192.0.2.2";
    if (well && execution->result == RESULT_DONE && !text_equal(address, wanted)) {
        (void)error_set(why, ERROR_UNAVAILABLE,
                        "the record follows: %s is active in %s, and its record says %s",
                        service->name, world_regions[service->active], address);
        return false;
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
    return true;
}

void judge_end(struct sim *sim) {
    struct error why;
    if (!judge_is_over(sim, &why)) {
        sim_broken(sim, "the end", "%s", why.message);
    }
    sim_say(sim, "world", "%llu decisions, %llu effects, %llu commands",
            (unsigned long long)sim->judged->decisions,
            (unsigned long long)sim->judged->effect_count,
            (unsigned long long)node_state(people_leader(sim))->applied_index);
}
