#include "core/lease.h"

uint32_t lease_region(const struct state *state, uint32_t service) {
    const struct service *s = &state->services[service];
    const struct execution *execution = &s->execution;
    bool leaves = execution_is_open(execution) && execution->to != s->active;
    bool granted = state->spec.services[service].policy.lease_ms > 0 && s->adopted && !leaves &&
                   !s->promoted_away;
    return granted && s->active < state->spec.region_count ? s->active : NONE_INDEX;
}

bool lease_must_run_out(const struct state *state, uint32_t service, uint32_t to) {
    const struct service *s = &state->services[service];
    return s->adopted && s->longest_lease_ms > 0 && s->active != to;
}
