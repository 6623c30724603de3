/* Taking a new spec over: services and regions are known by their places, so everything that is
 * kept by place moves to where the new spec has its name. */
#include <stddef.h>
#include <string.h>

#include "apply.h"
#include "base/text.h"

/* Only what is used is copied: the arrays are large and mostly never touched. Behind their counts
 * they are zero. */
static void copy_array(void *to, uint32_t *to_count, const void *from, uint32_t count,
                       size_t size) {
    memcpy(to, from, count * size);
    if (*to_count > count) {
        memset((char *)to + count * size, 0, (*to_count - count) * size);
    }
    *to_count = count;
}

/* The arrays and their counts stand next to each other; all else is before or behind them. */
static void copy_service(struct spec_service *to, const struct spec_service *from) {
    const size_t behind = offsetof(struct spec_service, mongo);
    memcpy(to, from, offsetof(struct spec_service, checks));
    copy_array(to->checks, &to->check_count, from->checks, from->check_count, sizeof *to->checks);
    copy_array(to->zones, &to->zone_count, from->zones, from->zone_count, sizeof *to->zones);
    copy_array(to->records, &to->record_count, from->records, from->record_count,
               sizeof *to->records);
    memcpy((char *)to + behind, (const char *)from + behind, sizeof *to - behind);
}

static void copy_spec(struct spec *to, const struct spec *from) {
    for (uint32_t i = from->service_count; i < to->service_count; i++) {
        memset(&to->services[i], 0, sizeof to->services[i]);
    }
    memcpy(to->regions, from->regions, sizeof to->regions);
    to->region_count = from->region_count;
    for (uint32_t i = 0; i < from->service_count; i++) {
        copy_service(&to->services[i], &from->services[i]);
    }
    to->service_count = from->service_count;
}

static uint32_t moved_region(const struct spec *from, const struct spec *to, uint32_t region) {
    return region < from->region_count ? spec_find_region(to, from->regions[region].name)
                                       : NONE_INDEX;
}

static void move_regions(struct service *service, const struct spec *from, const struct spec *to) {
    struct opinion kept[REGION_MAX][NODE_MAX];
    memset(kept, 0, sizeof kept);
    for (uint32_t r = 0; r < from->region_count; r++) {
        uint32_t place = moved_region(from, to, r);
        if (place != NONE_INDEX) {
            memcpy(kept[place], service->opinions[r], sizeof kept[place]);
        }
    }
    memcpy(service->opinions, kept, sizeof kept);
    service->active = moved_region(from, to, service->active);
    if (service->suspect.open) {
        service->suspect.region = moved_region(from, to, service->suspect.region);
        service->suspect.approved_to =
            service->suspect.approved ? moved_region(from, to, service->suspect.approved_to) : 0;
    }
    if (service->execution.phase != EXECUTION_NONE) {
        service->execution.from = moved_region(from, to, service->execution.from);
        service->execution.to = moved_region(from, to, service->execution.to);
    }
}

static void swap_services(struct service *a, struct service *b) {
    if (a != b) {
        struct service kept = *a;
        *a = *b;
        *b = kept;
    }
}

/* Drops services that the new spec doesn't have; returns how many are left, at the front. */
static uint32_t drop_removed(struct state *state, const struct spec *spec) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < state->spec.service_count; i++) {
        if (spec_find_service(spec, state->services[i].name) != NONE_INDEX) {
            swap_services(&state->services[kept++], &state->services[i]);
        }
    }
    for (uint32_t i = kept; i < state->spec.service_count; i++) {
        if (state->services[i].epoch > state->epoch_floor) {
            state->epoch_floor = state->services[i].epoch; /* no eid is ever used again */
        }
        memset(&state->services[i], 0, sizeof state->services[i]);
    }
    return kept;
}

void state_take_spec(struct state *state, const struct spec *spec) {
    uint32_t count = drop_removed(state, spec);
    for (uint32_t i = 0; i < count; i++) {
        move_regions(&state->services[i], &state->spec, spec);
    }
    for (uint32_t i = 0; i < spec->service_count; i++) {
        const char *name = spec->services[i].name;
        uint32_t at = i;
        while (at < count && !text_equal(state->services[at].name, name)) {
            at++;
        }
        if (at == count) {
            /* New: `count` is below SERVICE_MAX here, since all kept ones are in the new spec. */
            memset(&state->services[count], 0, sizeof state->services[count]);
            memcpy(state->services[count].name, name, sizeof state->services[count].name);
            state->services[count].active = NONE_INDEX;
            state->services[count].epoch = state->epoch_floor;
            count++;
        }
        swap_services(&state->services[i], &state->services[at]);
    }
    copy_spec(&state->spec, spec);
}
