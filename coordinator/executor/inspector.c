#include "executor/inspector.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "codec/command_codec.h"
#include "target.h"

/* Route 53 allows an account five requests a second, and moves need them more. */
#define GAP_MS 500

struct inspector {
    struct inspector_options options;
    uv_timer_t timer;
    bool leads, closing, busy, has_read_all;
    uint64_t term_count; /* a read that began before the last change of leadership doesn't count */
    uint64_t asked_term;
    uint64_t spec_index; /* of what is kept, and asked: another one has other zones and records */
    uint32_t service, place; /* whose turn it is: a zone, or after them the replica set */
    struct inspection asked;
    struct driver_target target;
    struct inspection found[SERVICE_MAX * (ZONE_MAX + 1)];
    uint32_t found_count;
    void (*on_closed)(void *context);
    void *closed_context;
};

static const struct state *state_of(const struct inspector *inspector) {
    return inspector->options.state(inspector->options.context);
}

static void on_timer(uv_timer_t *timer);

static void continue_in(struct inspector *inspector, uint64_t delay_ms) {
    if (inspector->leads && !inspector->closing) {
        (void)uv_timer_start(&inspector->timer, on_timer, delay_ms, 0);
    }
}

static bool anything_moves(const struct state *state) {
    for (uint32_t s = 0; s < state->spec.service_count; s++) {
        if (execution_is_open(&state->services[s].execution)) {
            return true;
        }
    }
    return false;
}

/* Between moves only: during one, the executor reads. */
static bool is_at_rest(const struct service *service) {
    return service_is_managed(service) && !execution_is_open(&service->execution);
}

static uint32_t place_count(const struct spec_service *spec) {
    return spec->zone_count + spec->mongo.used;
}

static const char *place_name(const struct spec_service *spec, uint32_t place) {
    return place < spec->zone_count ? spec->zones[place].id : INSPECTION_SET;
}

/* There is always one: all kept are of one spec, which has no more places. */
static struct inspection *place_for(struct inspector *inspector, const struct inspection *asked) {
    for (uint32_t i = 0; i < inspector->found_count; i++) {
        struct inspection *found = &inspector->found[i];
        if (text_equal(found->service, asked->service) && text_equal(found->zone, asked->zone)) {
            return found;
        }
    }
    assert(inspector->found_count < ARRAY_LENGTH(inspector->found));
    return &inspector->found[inspector->found_count++];
}

static void log_change(const struct inspection *before, const struct inspection *now) {
    bool same = before->result == now->result && text_equal(before->words, now->words);
    if (same || (before->result == INSPECTION_NONE && now->result == INSPECTION_RIGHT)) {
        return;
    }
    enum log_event event = now->result == INSPECTION_RIGHT     ? LOG_TARGET_RIGHT
                           : now->result == INSPECTION_FOREIGN ? LOG_TARGET_FOREIGN
                                                               : LOG_TARGET_UNREADABLE;
    const struct log_field fields[] = {
        LOG_TEXT("service", now->service),
        LOG_TEXT("zone", now->zone),
        LOG_TEXT("why", now->words),
    };
    log_write(event, fields, ARRAY_LENGTH(fields));
}

/* Ours, of this service, of no later epoch: a move's, an adoption's or a burnt one. Of a replica
 * set none from before its last forced config: the next move would be refused. */
static bool fence_is_right(const struct state *state, const struct service *service, bool of_set,
                           const struct driver_reading *reading, struct inspection *now) {
    struct fence fence;
    bool ours = reading->fence_present && fence_parse(reading->fence, state->cluster, &fence) &&
                text_equal(fence.service, service->name) &&
                !fence_is_after(&fence, state->incarnation, service->epoch);
    if (!ours) {
        (void)snprintf(now->words, sizeof now->words, "the fence is %.150s, not this service's",
                       reading->fence_present ? reading->fence : "gone");
        return false;
    }
    if (of_set && fence_is_of_old_side(&fence, service->forced_epoch)) {
        (void)snprintf(now->words, sizeof now->words,
                       "the config is from before the forced one (%.150s): the old side is up",
                       reading->fence);
        return false;
    }
    return true;
}

/* Of a replica set the fence alone: where its primary is, is told elsewhere. */
static void judge(const struct inspector *inspector, uint32_t s, uint32_t place,
                  const struct driver_reading *reading, struct inspection *now) {
    const struct state *state = state_of(inspector);
    const struct service *service = &state->services[s];
    struct driver_blob desired;
    struct error error = {ERROR_OK, ""};
    char diff[REASON_SIZE - 32] = "";
    now->result = INSPECTION_FOREIGN;
    bool of_set = place == state->spec.services[s].zone_count;
    if (!fence_is_right(state, service, of_set, reading, now)) {
        now->remedy = "adopt";
        return;
    }
    if (!of_set &&
        target_desired(state, s, place, service->active, &inspector->target, &reading->state,
                       &desired, diff, sizeof diff, &error) != ERROR_OK) {
        now->remedy = "repair";
        (void)snprintf(now->words, sizeof now->words, "%.250s", error.message);
        return;
    }
    /* After a released step, or half a move, the records may be anywhere: their page is another. */
    bool owed = service->half_moved || service->debt_count > 0 ||
                service->execution.result == RESULT_RELEASED;
    if (diff[0] != '\0' && !owed) {
        now->remedy = "repair";
        (void)snprintf(now->words, sizeof now->words, "is and should be: %s", diff);
        return;
    }
    now->result = INSPECTION_RIGHT;
    now->words[0] = '\0';
}

static void finish_if_idle(struct inspector *inspector);

static void on_read(void *context, const struct error *error,
                    const struct driver_reading *reading) {
    struct inspector *inspector = context;
    struct inspection *now = &inspector->asked;
    inspector->busy = false;
    if (inspector->closing) { /* and with it perhaps the state */
        finish_if_idle(inspector);
        return;
    }
    const struct state *state = state_of(inspector);
    uint32_t s = state_find_service(state, now->service);
    bool counts = inspector->leads && inspector->asked_term == inspector->term_count &&
                  inspector->spec_index == state->spec_index && s != NONE_INDEX &&
                  s == inspector->service &&
                  inspector->place < place_count(&state->spec.services[s]) &&
                  text_equal(place_name(&state->spec.services[s], inspector->place), now->zone) &&
                  is_at_rest(&state->services[s]) && state->services[s].epoch == now->epoch;
    if (counts) {
        if (error != NULL) {
            /* A record that is missing is somebody's doing; everything else is the way there. */
            now->result = error->code == ERROR_NOT_FOUND || error->code == ERROR_CONFLICT
                              ? INSPECTION_FOREIGN
                              : INSPECTION_UNREADABLE;
            now->remedy = text_equal(now->zone, INSPECTION_SET) ? "ready" : "repair";
            (void)snprintf(now->words, sizeof now->words, "%.250s", error->message);
        } else {
            judge(inspector, s, inspector->place, reading, now);
        }
        codec_clean_text(now->words);
        now->read_ms = clock_boottime_ms(inspector->options.clock);
        struct inspection *place = place_for(inspector, now);
        log_change(place, now);
        *place = *now;
    }
    inspector->place++;
    continue_in(inspector, GAP_MS);
    finish_if_idle(inspector);
}

static void ask(struct inspector *inspector, const struct state *state) {
    const struct service *service = &state->services[inspector->service];
    const struct spec_service *spec = &state->spec.services[inspector->service];
    bool of_set = inspector->place >= spec->zone_count;
    struct inspection *asked = &inspector->asked;
    memset(asked, 0, sizeof *asked);
    memcpy(asked->service, service->name, sizeof asked->service);
    (void)TEXT_COPY(asked->zone, place_name(spec, inspector->place));
    asked->epoch = service->epoch;
    if (of_set) {
        target_of_set(state, inspector->service, service->active, &inspector->target);
    } else {
        target_of_zone(state, inspector->service, inspector->place, &inspector->target);
    }
    inspector->asked_term = inspector->term_count;
    inspector->busy = true;
    driver_read(of_set ? inspector->options.set_driver : inspector->options.driver,
                &inspector->target, "", on_read, inspector);
}

static void forget(struct inspector *inspector) {
    memset(inspector->found, 0, sizeof inspector->found);
    inspector->found_count = 0;
    inspector->service = 0;
    inspector->place = 0;
}

static void on_timer(uv_timer_t *timer) {
    struct inspector *inspector = timer->data;
    const struct state *state = state_of(inspector);
    if (inspector->busy) {
        return; /* of the term before; its end goes on */
    }
    if (anything_moves(state)) {
        continue_in(inspector, GAP_MS);
        return;
    }
    if (inspector->spec_index != state->spec_index) {
        forget(inspector);
        inspector->spec_index = state->spec_index;
    }
    for (; inspector->service < state->spec.service_count; inspector->service++) {
        if (is_at_rest(&state->services[inspector->service]) &&
            inspector->place < place_count(&state->spec.services[inspector->service])) {
            ask(inspector, state);
            return;
        }
        inspector->place = 0;
    }
    inspector->service = 0;
    inspector->place = 0;
    inspector->has_read_all = true;
    continue_in(inspector, inspector->options.every_ms);
}

struct inspector *inspector_create(const struct inspector_options *options) {
    struct inspector *inspector = calloc(1, sizeof *inspector);
    if (inspector != NULL) {
        inspector->options = *options;
        (void)uv_timer_init(options->loop, &inspector->timer);
        inspector->timer.data = inspector;
    }
    return inspector;
}

void inspector_lead(struct inspector *inspector, bool leads) {
    inspector->leads = leads;
    inspector->has_read_all = false;
    inspector->term_count++;
    forget(inspector);
    if (!leads && !inspector->closing) {
        (void)uv_timer_stop(&inspector->timer);
    }
    continue_in(inspector, 0);
}

void inspector_poke(struct inspector *inspector) {
    const struct state *state = state_of(inspector);
    if (!inspector->leads || inspector->busy || inspector->closing || anything_moves(state)) {
        return; /* the round under way comes to it, or the next one */
    }
    for (uint32_t s = 0; s < state->spec.service_count; s++) {
        const struct service *service = &state->services[s];
        const struct spec_service *spec = &state->spec.services[s];
        for (uint32_t p = 0; is_at_rest(service) && p < place_count(spec); p++) {
            const struct inspection *found =
                inspector_find(inspector, service->name, place_name(spec, p));
            if (found == NULL || found->epoch != service->epoch) {
                if (uv_timer_get_due_in(&inspector->timer) > GAP_MS) {
                    continue_in(inspector, GAP_MS);
                }
                return;
            }
        }
    }
}

const struct inspection *inspector_find(const struct inspector *inspector, const char *service,
                                        const char *zone) {
    for (uint32_t i = 0; i < inspector->found_count; i++) {
        const struct inspection *found = &inspector->found[i];
        if (text_equal(found->service, service) && text_equal(found->zone, zone)) {
            return found;
        }
    }
    return NULL;
}

const struct inspection *inspector_first(const struct inspector *inspector,
                                         enum inspection_result result) {
    for (uint32_t i = 0; i < inspector->found_count; i++) {
        if (inspector->found[i].result == result) {
            return &inspector->found[i];
        }
    }
    return NULL;
}

bool inspector_has_read_all(const struct inspector *inspector) {
    return inspector->has_read_all;
}

static void on_timer_closed(uv_handle_t *handle) {
    struct inspector *inspector = handle->data;
    void (*on_closed)(void *) = inspector->on_closed;
    void *context = inspector->closed_context;
    free(inspector);
    if (on_closed != NULL) {
        on_closed(context);
    }
}

static void finish_if_idle(struct inspector *inspector) {
    if (inspector->closing && !inspector->busy &&
        !uv_is_closing((uv_handle_t *)&inspector->timer)) {
        uv_close((uv_handle_t *)&inspector->timer, on_timer_closed);
    }
}

void inspector_close(struct inspector *inspector, void (*on_closed)(void *context), void *context) {
    inspector->closing = true;
    inspector->leads = false;
    inspector->on_closed = on_closed;
    inspector->closed_context = context;
    finish_if_idle(inspector);
}
