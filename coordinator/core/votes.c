/* From opinions to votes to a verdict (DESIGN, "Deciding"). */
#include <string.h>

#include "apply.h"
#include "base/text.h"
#include "core/policy.h"
#include "plan_rules.h"

/* What more than half of a region's configured nodes say; else unknown. */
enum opinion_value votes_of_region(const struct state *state, uint32_t service, uint32_t region,
                                   const char *node_region) {
    uint32_t nodes = 0;
    uint32_t said[OPINION_VALUE_COUNT] = {0};
    for (uint32_t n = 0; n < state->node_count; n++) {
        if (text_equal(state->nodes[n].region, node_region)) {
            nodes++;
            said[state->services[service].opinions[region][n].value]++;
        }
    }
    for (unsigned value = OPINION_UP; value < OPINION_VALUE_COUNT; value++) {
        if (said[value] * 2 > nodes) {
            return (enum opinion_value)value;
        }
    }
    /* One node says up, the other degraded: more than half say that it serves. */
    bool alive = (said[OPINION_UP] + said[OPINION_DEGRADED]) * 2 > nodes;
    return alive ? OPINION_DEGRADED : OPINION_UNKNOWN;
}

/* The first node of each region stands for it in a walk over regions. While nobody knows where a
 * node stands it counts as a region of its own: too many regions ask for too many votes, which is
 * safe. */
bool votes_is_first_of_region(const struct state *state, uint32_t node) {
    if (state->nodes[node].region[0] == '\0') {
        return true;
    }
    for (uint32_t i = 0; i < node; i++) {
        if (text_equal(state->nodes[i].region, state->nodes[node].region)) {
            return false;
        }
    }
    return true;
}

void votes_count(const struct state *state, uint32_t service, uint32_t region, struct votes *ret) {
    memset(ret, 0, sizeof *ret);
    for (uint32_t n = 0; n < state->node_count; n++) {
        if (!votes_is_first_of_region(state, n)) {
            continue;
        }
        ret->regions++;
        const char *node_region = state->nodes[n].region;
        if (node_region[0] == '\0') {
            ret->unknown++;
            continue;
        }
        enum opinion_value vote = votes_of_region(state, service, region, node_region);
        if (text_equal(node_region, region_name(state, region))) {
            ret->own = vote;
            continue;
        }
        ret->up += vote == OPINION_UP;
        ret->degraded += vote == OPINION_DEGRADED;
        ret->down += vote == OPINION_DOWN;
        ret->unknown += vote == OPINION_UNKNOWN;
    }
    ret->need = majority(ret->regions);
}

enum opinion_value votes_verdict(const struct votes *votes) {
    /* Two regions can't outvote each other: automation needs nodes in three. */
    if (votes->regions >= 3 && votes->down >= votes->need) {
        return OPINION_DOWN;
    }
    uint32_t up = votes->up + (votes->own == OPINION_UP);
    uint32_t alive = up + votes->degraded + (votes->own == OPINION_DEGRADED);
    if (up >= votes->need) {
        return OPINION_UP;
    }
    return alive >= votes->need ? OPINION_DEGRADED : OPINION_UNKNOWN;
}

int votes_spare_observers(const struct state *state, const struct policy_input *input,
                          uint32_t service) {
    (void)input;
    const struct service *s = &state->services[service];
    if (!service_is_managed(s)) {
        return -1;
    }
    struct votes votes;
    votes_count(state, service, s->active, &votes);
    int can_vote = (int)(votes.up + votes.degraded + votes.down);
    int spare = can_vote - (int)votes.need;
    return votes.regions < 3 || spare < 0 ? -1 : spare;
}
