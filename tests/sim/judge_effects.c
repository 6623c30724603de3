#include "judge_private.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"

static struct chain *chain_of(struct judged *judged, uint32_t zone, const char *service) {
    uint32_t i = 0;
    struct chain *chains = judged->chains[zone];
    while (chains[i].service[0] != '\0' && !text_equal(chains[i].service, service)) {
        i++;
    }
    (void)TEXT_COPY(chains[i].service, service);
    return &chains[i];
}

void judge_chain_ends(struct sim *sim, uint32_t place, const char *service) {
    chain_of(sim->judged, place, service)->known = false;
}

static void judge_intent(struct sim *sim, const struct fence *fence) {
    const struct judged *judged = sim->judged;
    char eid[EID_SIZE];
    eid_format(eid, fence->service, fence->incarnation, fence->epoch, fence->step);
    if (fence->burnt) {
        if (!judged_has_eid(&judged->closed, eid)) {
            sim_broken(sim, "intent first (11)", "%s was burnt without a CLOSING", eid);
        }
        return;
    }
    if (!judged_has_eid(&judged->attempted, eid)) {
        sim_broken(sim, "intent first (11)", "%s landed without an ATTEMPT", eid);
    }
    if (judged_has_eid(&judged->refused, eid)) {
        sim_broken(sim, "refused never lands (14)", "%s landed after it was refused", eid);
    }
}

static void judge_chain(struct sim *sim, uint32_t zone, const struct fence *fence,
                        const char *text) {
    struct chain *chain = chain_of(sim->judged, zone, fence->service);
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

/* Invariants 13 and 16: a newer epoch has made sure of every older one, also of what was released,
 * before anything of its own could be seen. But a target that has forgotten the newer fence can't
 * refuse an old adoption, which expects that there is none; it changes no record. */
static void judge_age(struct sim *sim, const struct fence *fence, const char *text,
                      bool on_nothing) {
    uint32_t s = (uint32_t)(fence->service[3] - '1'); /* svc1, svc2 */
    const struct judged_service *kept = &sim->judged->services[s];
    if (!fence->burnt && !on_nothing && fence->epoch < kept->switched_epoch) {
        sim_broken(sim, "nothing of an older epoch (13, 16)", "%s after epoch %llu had switched",
                   text, (unsigned long long)kept->switched_epoch);
    }
}

static const struct dns_step *find_dns_step(const struct judged *judged, const char *fence) {
    for (uint32_t i = judged->dns_step_count; i-- > 0;) {
        if (text_equal(judged->dns_steps[i].fence, fence)) {
            return &judged->dns_steps[i];
        }
    }
    return NULL;
}

/* A move's records come over its own service's fence. Over another's, or over none, only a person's
 * adoption does, and a burn. */
static void judge_before(struct sim *sim, const char *before, const char *text) {
    const struct dns_step *step = find_dns_step(sim->judged, text);
    struct fence was;
    bool own = step != NULL && fence_parse(before, WORLD_CLUSTER, &was) &&
               text_equal(was.service, step->service);
    if (step != NULL && !own) {
        sim_broken(sim, "chain of fences (13)", "%s over '%s'", text, before);
    }
}

void judge_fence(struct sim *sim, uint32_t zone, const char *before, const char *after,
                 const char *comment) {
    struct judged *judged = sim->judged;
    struct fence fence;
    char text[FENCE_SIZE];
    if (after[0] == '\0') {
        fence_format(text, WORLD_CLUSTER, comment);
    } else {
        (void)snprintf(text, sizeof text, "%s", after);
    }
    if (!fence_parse(text, WORLD_CLUSTER, &fence)) {
        sim_broken(sim, "fences are well-formed", "'%s' was written", text);
    }
    for (uint32_t i = 0; i < judged->effect_count; i++) {
        struct effect *effect = &judged->effects[i];
        if (effect->place != zone || !text_equal(effect->fence, text)) {
            continue;
        }
        if (effect->from_nothing && before[0] == '\0' && !effect->forgotten) {
            chain_of(judged, zone, fence.service)->known = false;
            return;
        }
        if (!effect->may_repeat) {
            sim_broken(sim, "exactly once (12)", "%s landed twice", text);
        }
    }
    if (judged->effect_count < EFFECT_MAX) {
        struct effect *effect = &judged->effects[judged->effect_count++];
        effect->place = zone;
        (void)TEXT_COPY(effect->fence, text);
        (void)snprintf(effect->eid, sizeof effect->eid, "%s", comment);
        effect->deletes = after[0] == '\0';
        effect->from_nothing = before[0] == '\0';
    }
    bool lost = !chain_of(judged, zone, fence.service)->known;
    judge_chain(sim, zone, &fence, text);
    judge_before(sim, before, text);
    judge_age(sim, &fence, text, before[0] == '\0' && lost);
    judge_intent(sim, &fence);
}

void judge_dns_step(struct sim *sim, const struct state *state, uint32_t s, uint32_t i) {
    struct judged *judged = sim->judged;
    const struct spec_service *spec = &state->spec.services[s];
    const struct execution *execution = &state->services[s].execution;
    const struct step *step = &execution->steps[i];
    char eid[EID_SIZE];
    char fence[FENCE_SIZE];
    if (step->kind != STEP_DNS || step->attempts == 0) {
        return;
    }
    eid_format(eid, spec->name, state->incarnation, execution->epoch, i);
    fence_format(fence, WORLD_CLUSTER, eid);
    if (find_dns_step(judged, fence) != NULL) {
        return;
    }
    if (judged->dns_step_count == EFFECT_MAX) {
        abort();
    }
    struct dns_step *kept = &judged->dns_steps[judged->dns_step_count++];
    (void)TEXT_COPY(kept->fence, fence);
    (void)TEXT_COPY(kept->service, spec->name);
    kept->zone = step->zone;
    for (uint32_t r = 0; r < spec->record_count; r++) {
        const struct spec_record *record = &spec->records[r];
        if (record->zone == step->zone) {
            (void)snprintf(kept->record, sizeof kept->record, "%s.", record->name);
            (void)TEXT_COPY(kept->address, record->value[execution->to].text);
        }
    }
}

static bool is_as_wanted(struct sim *sim, uint32_t zone, const struct dns_step *step,
                         const char *record) {
    char address[64];
    target_address(sim->target, zone, step->service, address);
    return zone == step->zone && text_equal(address, step->address) &&
           (record[0] == '\0' || text_equal(record, step->record));
}

void judge_records(struct sim *sim, uint32_t zone, const char *fence, const char *record) {
    const struct dns_step *step = find_dns_step(sim->judged, fence);
    bool right = step == NULL ? record[0] == '\0' : is_as_wanted(sim, zone, step, record);
    if (!right) {
        sim_broken(sim, "records follow their fence (12)", "'%s' came to %s and changed '%s'",
                   fence, target_domains[zone], record);
    }
}

void judge_carried(struct sim *sim, uint32_t place, const char *fence, const char *eid) {
    struct judged *judged = sim->judged;
    if (!judged_has_landed(judged, eid) && judged->effect_count < EFFECT_MAX) {
        struct effect *effect = &judged->effects[judged->effect_count++];
        effect->place = place;
        (void)TEXT_COPY(effect->fence, fence);
        (void)TEXT_COPY(effect->eid, eid);
        effect->may_repeat = true;
    }
}

void judge_forgotten(struct sim *sim, uint32_t zone, const char *was, const char *is) {
    struct judged *judged = sim->judged;
    struct fence fence;
    char eid[EID_SIZE] = "";
    if (fence_parse(was, WORLD_CLUSTER, &fence) && !fence.burnt) {
        eid_format(eid, fence.service, fence.incarnation, fence.epoch, fence.step);
    }
    for (uint32_t i = 0; i < judged->effect_count && was[0] != '\0'; i++) {
        struct effect *effect = &judged->effects[i];
        if (effect->place == zone && text_equal(effect->fence, was)) {
            if (!effect->may_repeat && judged_has_eid(&judged->done, eid)) {
                sim_broken(sim, "done is done (14)", "%s was done and could still be forgotten",
                           eid);
            }
            effect->may_repeat = true;
            effect->forgotten = true;
        }
    }
    if (fence_parse(is, WORLD_CLUSTER, &fence)) {
        struct chain *chain = chain_of(judged, zone, fence.service);
        chain->last = fence;
        chain->known = true;
    } else if (fence_parse(was, WORLD_CLUSTER, &fence)) {
        judge_chain_ends(sim, zone, fence.service);
    }
}

void judge_deletion_forgotten(struct sim *sim, uint32_t zone, const char *comment) {
    struct judged *judged = sim->judged;
    for (uint32_t i = 0; i < judged->effect_count; i++) {
        struct effect *effect = &judged->effects[i];
        if (effect->place == zone && effect->deletes && text_equal(effect->eid, comment)) {
            effect->may_repeat = true;
            effect->forgotten = true;
        }
    }
}

void judge_edited(struct sim *sim, uint32_t zone, const char *service) {
    struct judged *judged = sim->judged;
    judge_chain_ends(sim, zone, service);
    for (uint32_t i = 0; i < judged->effect_count; i++) {
        struct fence fence;
        if (judged->effects[i].place == zone && eid_parse(judged->effects[i].eid, &fence) &&
            text_equal(fence.service, service)) {
            judged->effects[i].may_repeat = true;
        }
    }
}

bool judged_has_landed(const struct judged *judged, const char *eid) {
    char fence[FENCE_SIZE];
    fence_format(fence, WORLD_CLUSTER, eid);
    for (uint32_t i = judged->effect_count; i-- > 0;) {
        if (text_equal(judged->effects[i].fence, fence)) {
            return !judged->effects[i].forgotten;
        }
    }
    return false;
}
