/* What the files of the policy share. */
#ifndef CORE_POLICY_PRIVATE_H
#define CORE_POLICY_PRIVATE_H

#include "core/policy.h"

struct citations {
    struct cited_report cited[NODE_MAX];
    uint32_t count;
    uint32_t votes;          /* for down, from reports that apply would take */
    uint32_t votes_but_tick; /* the same, were there no younger TICK */
    uint64_t
        majority_age_ms; /* what a majority of all nodes has reached since it applied SUSPECT */
};

/* The newest reports, as evidence for the open window of a service. */
void policy_cite(const struct state *state, const struct policy_input *input, uint32_t service,
                 struct citations *ret);

#endif
