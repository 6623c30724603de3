#include "core/state.h"

#include <string.h>

#include "base/text.h"
#include "core/command.h"

void state_init(struct state *state) {
    /* The caller allocated it zeroed; touching all of it here would make it resident. */
    state->feature_level = FEATURE_LEVEL_FIRST;
}

uint32_t state_find_node(const struct state *state, uint64_t id) {
    for (uint32_t i = 0; i < state->node_count; i++) {
        if (state->nodes[i].id == id) {
            return i;
        }
    }
    return NONE_INDEX;
}

uint32_t state_find_node_name(const struct state *state, const char *name) {
    for (uint32_t i = 0; i < state->node_count; i++) {
        if (text_equal(state->nodes[i].name, name)) {
            return i;
        }
    }
    return NONE_INDEX;
}

const struct spec_revision *state_find_revision(const struct state *state, uint64_t index) {
    uint64_t wanted = index == 0 ? state->spec_index : index;
    for (uint64_t i = 0; i < SPEC_REVISION_MAX && i < state->revision_count; i++) {
        if (wanted != 0 && state->revisions[i].index == wanted) {
            return &state->revisions[i];
        }
    }
    return NULL;
}

uint32_t state_find_service(const struct state *state, const char *name) {
    return spec_find_service(&state->spec, name);
}

const struct client *state_find_client(const struct state *state, const uint8_t id[16]) {
    for (uint32_t i = 0; i < CLIENT_MAX; i++) {
        if (state->clients[i].index != 0 && memcmp(state->clients[i].id, id, 16) == 0) {
            return &state->clients[i];
        }
    }
    return NULL;
}

const struct override *state_override(const struct state *state, enum override_kind kind,
                                      const char *service, const char *region) {
    for (uint32_t i = 0; i < state->override_count; i++) {
        const struct override *held = &state->overrides[i];
        bool over = held->until_ms != 0 && state->time_ms >= held->until_ms;
        bool covers_service =
            held->service[0] == '\0' || (service != NULL && text_equal(held->service, service));
        bool covers_region =
            held->region[0] == '\0' || (region != NULL && text_equal(held->region, region));
        if (held->kind == kind && !over && covers_service && covers_region) {
            return held;
        }
    }
    return NULL;
}

static const char *execution_broken_invariant(const struct state *state,
                                              const struct service *service) {
    const struct execution *execution = &service->execution;
    if (execution->epoch > service->epoch) {
        return "an execution's epoch is above its service's";
    }
    if (!execution_is_open(execution)) {
        return NULL;
    }
    if (execution->epoch != service->epoch) {
        return "the open execution's epoch is not its service's";
    }
    if (execution->step_count == 0 || execution->step_count > STEP_MAX) {
        return "an open execution has no steps";
    }
    for (uint32_t i = 0; i < execution->step_count; i++) {
        const struct step *step = &execution->steps[i];
        bool started = step->phase != STEP_WAITING && step->phase != STEP_REFUSED &&
                       step->phase != STEP_RELEASED;
        if (started && execution->begun_index == 0) {
            return "a step has started before the execution's beginning";
        }
        if (step->attempts > 0 && step->phase == STEP_WAITING) {
            return "a step was attempted without an intent";
        }
    }
    bool waits = execution->automatic && execution->phase == EXECUTION_DECIDED;
    if (waits && (state_override(state, OVERRIDE_VETO, service->name, NULL) != NULL ||
                  state_override(state, OVERRIDE_PAUSE, service->name, NULL) != NULL)) {
        return "an automatic move waits under a veto or a pause";
    }
    return NULL;
}

const char *state_broken_invariant(const struct state *state) {
    for (uint32_t i = 0; i < state->spec.service_count; i++) {
        const struct service *service = &state->services[i];
        if (!text_equal(service->name, state->spec.services[i].name)) {
            return "services and spec are out of step";
        }
        if (service->adopted != (service->active < state->spec.region_count)) {
            return "an adopted service has not exactly one active region";
        }
        if (service->suspect.open && service->suspect.region != service->active) {
            return "a region is suspected that isn't active";
        }
        if (service->promoted_away && !service->half_moved) {
            return "a primary may be elsewhere, and the service isn't half-moved";
        }
        if (service->debt_count > DEBT_MAX) {
            return "too many debts";
        }
        const char *broken = execution_broken_invariant(state, service);
        if (broken != NULL) {
            return broken;
        }
    }
    return NULL;
}
