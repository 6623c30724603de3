#include "state_scene.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fill.h"
#include "tables.h"

static void set_name(char *name, size_t size, const char *word, uint32_t number) {
    memset(name, 0, size);
    (void)snprintf(name, size, "%s-%u", word, number);
}

/* Values in every array, and still places and invariants that hold. */
static void repair_spec(struct spec *spec) {
    spec->region_count = 3;
    spec->service_count = 2;
    for (uint32_t r = 0; r < 3; r++) {
        struct spec_region *region = &spec->regions[r];
        memset(region, 0, sizeof *region);
        set_name(region->name, sizeof region->name, "region", r);
    }
    spec->regions[2].role = REGION_WITNESS;
    for (uint32_t s = 0; s < 2; s++) {
        struct spec_service *service = &spec->services[s];
        set_name(service->name, sizeof service->name, "service", s);
        service->home = 0;
        memset(service->targets, 0, sizeof service->targets);
        service->targets[0] = 1;
        service->target_count = 1;
        for (uint32_t i = 0; i < service->check_count; i++) {
            struct spec_check *check = &service->checks[i];
            set_name(check->name, sizeof check->name, "check", i);
            check->critical = true;
            check->fall = 3;
            check->rise = 2;
            for (uint32_t e = 0; e < check->expect_count; e++) {
                check->expect[e] = (struct status_range){200, 399};
            }
        }
        service->record_count = service->zone_count == 0 ? 0 : service->record_count;
        for (uint32_t i = service->record_count; i < RECORD_MAX; i++) {
            memset(&service->records[i], 0, sizeof service->records[i]);
        }
        for (uint32_t i = 0; i < service->record_count; i++) {
            service->records[i].zone = 0;
            for (uint32_t r = 0; r < 2; r++) {
                set_name(service->records[i].value[r].text, RECORD_VALUE_SIZE, "value", r);
            }
        }
    }
}

static void repair_services(struct state *state) {
    for (uint32_t s = 0; s < 2; s++) {
        struct service *service = &state->services[s];
        memset(service->name, 0, sizeof service->name);
        memcpy(service->name, state->spec.services[s].name, sizeof service->name);
        service->adopted = true;
        service->active = s;
        service->suspect.region = s;
        service->epoch = 1000 + s;
        service->execution.epoch = service->epoch;
        service->execution.begun_index = 5;
        service->half_moved = service->half_moved || service->promoted_away;
        if (execution_is_open(&service->execution) && service->execution.step_count == 0) {
            service->execution.phase = EXECUTION_ENDED;
        }
        for (uint32_t i = 0; i < service->execution.step_count; i++) {
            struct step *step = &service->execution.steps[i];
            step->attempts = step->phase == STEP_WAITING ? 0 : step->attempts;
        }
    }
}

struct state *state_scene_create(uint64_t seed, uint32_t most) {
    struct state *state = calloc(1, sizeof *state);
    assert_non_null(state);
    /* One service at least has everything, before the rest is filled by their count. */
    for (;;) {
        uint64_t random = seed;
        memset(&state->spec, 0, sizeof state->spec);
        state->spec.service_count = 2;
        state->spec.region_count = 3;
        fill_struct(&spec_service_table, &state->spec.services[0], most, &random);
        fill_struct(&spec_service_table, &state->spec.services[1], most, &random);
        if (state->spec.services[0].check_count > 0 && state->spec.services[0].zone_count > 0 &&
            state->spec.services[0].record_count > 0) {
            break;
        }
        seed += 1000003;
    }
    struct spec *spec = malloc(sizeof *spec);
    assert_non_null(spec);
    memcpy(spec, &state->spec, sizeof *spec);
    fill_struct(&state_table, state, most, &seed);
    /* The filling chose another spec: services beyond ours are not in use. */
    memcpy(&state->spec, spec, sizeof *spec);
    free(spec);
    memset(state->services, 0, sizeof state->services);
    fill_struct(&service_table, &state->services[0], most, &seed);
    fill_struct(&service_table, &state->services[1], most, &seed);
    repair_spec(&state->spec);
    repair_services(state);
    state->feature_level = FEATURE_LEVEL_NEWEST;
    assert_null(state_broken_invariant(state));
    return state;
}
