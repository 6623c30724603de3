/* The probes, in place of probe/engine.h and probe/control.h: when one is made and what it finds is
 * the world's, what follows from it is probe/debounce.c's. */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "node.h"
#include "probe/control.h"
#include "probe/engine.h"
#include "world.h"

struct check {
    struct probe_target target;
    struct probe_debounce debounce;
    uint64_t id; /* kept, with its rhythm and what is under way, while it probes just this */
};

struct probe_engine {
    struct sim_node *node;
    const struct clock *clock;
    struct probe_engine_options options;
    struct check *checks;
    uint32_t count;
    uint64_t last_id;
    struct probe_opinion opinions[SERVICE_MAX][REGION_MAX];
    bool closing;
};

/* One probe under way. */
struct probe {
    struct probe_engine *engine;
    uint64_t check_id, start_index, start_ms;
    enum probe_result_code code;
};

enum error_code probe_engine_create(uv_loop_t *loop, const struct clock *clock,
                                    const struct entropy *entropy,
                                    const struct probe_engine_options *options,
                                    struct probe_engine **ret_engine, struct error *error) {
    struct probe_engine *engine = calloc(1, sizeof *engine);
    (void)loop;
    (void)entropy;
    if (engine == NULL) {
        return error_set(error, ERROR_NO_MEMORY, "out of memory");
    }
    engine->node = sim_current();
    engine->clock = clock;
    engine->options = *options;
    *ret_engine = engine;
    return ERROR_OK;
}

static void form_opinion(struct probe_engine *engine, uint32_t service, uint32_t region) {
    struct probe_opinion_check checks[PROBE_GROUP_CHECK_MAX];
    struct probe_opinion *kept = &engine->opinions[service][region];
    struct probe_opinion formed;
    size_t count = 0;
    for (uint32_t i = 0; i < engine->count; i++) {
        const struct check *check = &engine->checks[i];
        if (check->target.service == service && check->target.region == region) {
            checks[count++] = (struct probe_opinion_check){
                check->target.check, check->target.critical, &check->debounce};
        }
    }
    probe_opinion_form(checks, count, &formed);
    bool changed = formed.value != kept->value;
    formed.changed_at_ms = changed ? clock_boottime_ms(engine->clock) : kept->changed_at_ms;
    if (changed && formed.value == OPINION_DEGRADED) {
        sim_count(engine->node->sim, SIM_REGION_DEGRADED);
    }
    *kept = formed;
    if (changed && engine->options.on_change != NULL) {
        engine->options.on_change(engine->options.context, service, region, kept);
    }
}

/* NULL: it isn't probed any more. */
static struct check *find_check(const struct probe *probe) {
    const struct probe_engine *engine = probe->engine;
    for (uint32_t i = 0; i < engine->count && !engine->closing; i++) {
        if (engine->checks[i].id == probe->check_id) {
            return &engine->checks[i];
        }
    }
    return NULL;
}

static void start_probe(struct probe_engine *engine, const struct check *check);

static void on_next(void *context) {
    struct probe *next = context;
    struct probe_engine *engine = next->engine;
    const struct check *check = find_check(next);
    free(next);
    if (check != NULL) {
        start_probe(engine, check);
    }
}

static void on_result(void *context) {
    struct probe *probe = context;
    struct probe_engine *engine = probe->engine;
    struct check *check = find_check(probe);
    if (check != NULL) {
        struct probe_result result = {.code = probe->code,
                                      .start_index = probe->start_index,
                                      .start_ms = probe->start_ms,
                                      .finish_ms = clock_boottime_ms(engine->clock)};
        (void)probe_debounce_feed(&check->debounce, &result);
        form_opinion(engine, check->target.service, check->target.region);
        struct probe_check_view view = {&check->target, &check->debounce, false};
        engine->options.on_result(engine->options.context, &view);
    }
    free(probe);
}

void probe_engine_feed(struct probe_engine *engine, uint32_t service, uint32_t region,
                       const char *check, const struct probe_result *result) {
    for (uint32_t i = 0; i < engine->count && !engine->closing; i++) {
        struct check *at = &engine->checks[i];
        if (at->target.type == PROBE_TYPE_FED && at->target.service == service &&
            at->target.region == region && text_equal(at->target.check, check)) {
            world_fed(engine->node, &at->target, result);
            (void)probe_debounce_feed(&at->debounce, result);
            form_opinion(engine, service, region);
            struct probe_check_view view = {&at->target, &at->debounce, false};
            engine->options.on_result(engine->options.context, &view);
            return;
        }
    }
}

static void *new_probe(struct probe_engine *engine, const struct check *check) {
    struct probe *probe = calloc(1, sizeof *probe);
    if (probe == NULL) {
        abort();
    }
    probe->engine = engine;
    probe->check_id = check->id;
    return probe;
}

static void start_probe(struct probe_engine *engine, const struct check *check) {
    const struct probe_target *target = &check->target;
    struct sim_node *node = engine->node;
    struct probe *probe = new_probe(engine, check);
    uint64_t took_us;
    probe->start_index = engine->options.applied_index(engine->options.context);
    probe->start_ms = clock_boottime_ms(engine->clock);
    probe->code = world_probe(node, target, &took_us);
    uint64_t now_us = sim_now(node->sim);
    sim_at_node(node, now_us + took_us, on_result, probe, true);
    uint64_t interval_us = target->interval_ms * SIM_MS;
    uint64_t next_us = chance_between(&node->chance, interval_us * 9 / 10, interval_us * 11 / 10);
    next_us = next_us > took_us ? next_us : took_us + 1;
    sim_at_node(node, now_us + next_us, on_next, new_probe(engine, check), true);
}

static bool same_target(const struct probe_target *a, const struct probe_target *b) {
    return a->service == b->service && a->region == b->region && text_equal(a->url, b->url) &&
           text_equal(a->check, b->check) && a->interval_ms == b->interval_ms &&
           a->timeout_ms == b->timeout_ms && a->fall == b->fall && a->rise == b->rise &&
           a->critical == b->critical;
}

enum error_code probe_engine_configure(struct probe_engine *engine,
                                       const struct probe_target *targets, size_t count,
                                       struct error *error) {
    struct check *checks = calloc(count == 0 ? 1 : count, sizeof *checks);
    if (checks == NULL) {
        return error_set(error, ERROR_NO_MEMORY, "out of memory");
    }
    for (size_t i = 0; i < count; i++) {
        checks[i].target = targets[i];
        struct probe_rule rule = {targets[i].rise, targets[i].fall, targets[i].timeout_ms,
                                  PROBE_SLACK_MS};
        probe_debounce_init(&checks[i].debounce, &rule);
        for (uint32_t old = 0; old < engine->count; old++) {
            if (same_target(&engine->checks[old].target, &targets[i])) {
                checks[i].debounce = engine->checks[old].debounce;
                checks[i].id = engine->checks[old].id;
            }
        }
    }
    free(engine->checks);
    engine->checks = checks;
    engine->count = (uint32_t)count;
    for (uint32_t i = 0; i < engine->count; i++) {
        enum probe_result_code excused = targets[i].excused;
        if (excused != PROBE_OK && probe_debounce_excuse(&checks[i].debounce, excused)) {
            form_opinion(engine, targets[i].service, targets[i].region);
        }
        if (engine->checks[i].id != 0) {
            continue; /* as probe/set.c has it: what goes on isn't put off by what changes beside */
        }
        engine->checks[i].id = ++engine->last_id;
        if (targets[i].type == PROBE_TYPE_FED) {
            continue;
        }
        uint64_t first_us = chance_below(&engine->node->chance, targets[i].interval_ms * SIM_MS);
        sim_at_node(engine->node, sim_now(engine->node->sim) + first_us, on_next,
                    new_probe(engine, &engine->checks[i]), true);
    }
    return ERROR_OK;
}

bool probe_engine_opinion(const struct probe_engine *engine, uint32_t service, uint32_t region,
                          struct probe_opinion *ret_opinion) {
    for (uint32_t i = 0; i < engine->count; i++) {
        if (engine->checks[i].target.service == service &&
            engine->checks[i].target.region == region) {
            *ret_opinion = engine->opinions[service][region];
            return true;
        }
    }
    return false;
}

void probe_engine_each(const struct probe_engine *engine,
                       void (*visit)(void *context, const struct probe_check_view *check),
                       void *context) {
    for (uint32_t i = 0; i < engine->count; i++) {
        struct probe_check_view view = {&engine->checks[i].target, &engine->checks[i].debounce,
                                        false};
        visit(context, &view);
    }
}

void probe_engine_stats(const struct probe_engine *engine, struct probe_engine_stats *ret_stats) {
    memset(ret_stats, 0, sizeof *ret_stats);
    ret_stats->check_count = engine->count;
}

struct closing {
    void (*closed)(void *context);
    void *context;
};

static void on_closed(void *context) {
    struct closing closing = *(struct closing *)context;
    free(context);
    closing.closed(closing.context);
}

static void close_later(struct sim_node *node, void (*closed)(void *context), void *context) {
    struct closing *closing = malloc(sizeof *closing);
    if (closing == NULL) {
        abort();
    }
    *closing = (struct closing){closed, context};
    sim_at_node(node, sim_now(node->sim), on_closed, closing, true);
}

void probe_engine_destroy(struct probe_engine *engine, void (*closed)(void *context),
                          void *context) {
    engine->closing = true; /* its memory goes with the life */
    close_later(engine->node, closed, context);
}

/* --- control targets: reached unless the node's network is cut off --- */

struct probe_control {
    struct sim_node *node;
};

enum error_code probe_control_create(uv_loop_t *loop, const struct clock *clock,
                                     const struct entropy *entropy, const char *const *addresses,
                                     size_t count, const struct probe_control_options *options,
                                     struct probe_control **ret_control, struct error *error) {
    struct probe_control *control = calloc(1, sizeof *control);
    (void)loop;
    (void)clock;
    (void)entropy;
    (void)addresses;
    (void)count;
    (void)options;
    if (control == NULL) {
        return error_set(error, ERROR_NO_MEMORY, "out of memory");
    }
    control->node = sim_current();
    *ret_control = control;
    return ERROR_OK;
}

bool probe_control_reaches(const struct probe_control *control) {
    return world_reaches_control(control->node);
}

uint32_t probe_control_reached_count(const struct probe_control *control) {
    return world_reaches_control(control->node) ? 1 : 0;
}

uint32_t probe_control_total_count(const struct probe_control *control) {
    (void)control;
    return 1;
}

void probe_control_destroy(struct probe_control *control, void (*closed)(void *context),
                           void *context) {
    close_later(control->node, closed, context);
}
