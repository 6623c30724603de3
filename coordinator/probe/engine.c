#include "check.h"

#include <assert.h>
#include <signal.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/text.h"
#include "http.h"

enum { WATCH_INTERVAL_MS = 100 };

void probe_engine_hold(struct probe_engine *engine) {
    engine->open_handles++;
}

void probe_engine_drop(struct probe_engine *engine) {
    assert(engine->open_handles > 0);
    if (--engine->open_handles > 0 || !engine->closing) {
        return;
    }
    void (*on_closed)(void *) = engine->on_closed;
    void *context = engine->closed_context;
    free(engine);
    curl_global_cleanup();
    on_closed(context);
}

/* The loop stood still: what was in flight is void, and what is due at once is spread again. */
static void note_stall(struct probe_engine *engine, uint64_t gap_ms) {
    engine->stall_count++;
    engine->last_stall_ms = gap_ms;
    engine->stalled_at_ms = engine->last_seen_ms;
    for (size_t i = 0; i < engine->check_count; i++) {
        struct probe_check *check = engine->checks[i];
        if (check->phase == PROBE_IDLE) {
            probe_check_spread(check);
        } else {
            check->is_void = true;
        }
    }
    LOG_EVENT(PROBE_STALLED, LOG_U64("blocked_ms", gap_ms),
              LOG_U64("void", engine->in_flight_count));
}

uint64_t probe_engine_watch(struct probe_engine *engine) {
    uint64_t now_ms = clock_boottime_ms(engine->clock);
    if (now_ms < engine->last_seen_ms) {
        now_ms = engine->last_seen_ms;
    }
    uint64_t gap_ms = now_ms - engine->last_seen_ms;
    engine->last_seen_ms = now_ms;
    if (gap_ms > (uint64_t)engine->options.stall_ms + WATCH_INTERVAL_MS) {
        note_stall(engine, gap_ms);
    }
    return now_ms;
}

static void on_watch(uv_timer_t *timer) {
    struct probe_engine *engine = timer->data;
    probe_resolver_tick(engine->resolver, probe_engine_watch(engine));
}

enum error_code probe_engine_create(uv_loop_t *loop, const struct clock *clock,
                                    const struct entropy *entropy,
                                    const struct probe_engine_options *options,
                                    struct probe_engine **ret_engine, struct error *error) {
    assert(options->applied_index != NULL);
    struct probe_engine *engine = calloc(1, sizeof *engine);
    if (engine == NULL) {
        return error_set(error, ERROR_NO_MEMORY, "probe: out of memory");
    }
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        free(engine);
        return error_set(error, ERROR_INTERNAL, "probe: libcurl can't start");
    }
    engine->loop = loop;
    engine->clock = clock;
    engine->entropy = entropy;
    engine->options = *options;
    if (engine->options.targets_per_shard == 0) {
        engine->options.targets_per_shard = PROBE_SHARD_TARGETS;
    }
    if (engine->options.stall_ms == 0) {
        engine->options.stall_ms = PROBE_STALL_MS;
    }
    engine->resolver = probe_resolver_create(loop, clock, &engine->options);
    if (engine->resolver == NULL) {
        free(engine);
        curl_global_cleanup();
        return error_set(error, ERROR_NO_MEMORY, "probe: no resolver");
    }
    probe_engine_hold(engine);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)uv_timer_init(loop, &engine->watch);
    engine->watch.data = engine;
    probe_engine_hold(engine);
    engine->last_seen_ms = clock_boottime_ms(clock);
    int rc = uv_timer_start(&engine->watch, on_watch, WATCH_INTERVAL_MS, WATCH_INTERVAL_MS);
    assert(rc == 0);
    (void)rc;
    *ret_engine = engine;
    return ERROR_OK;
}

static void form_opinion(const struct probe_engine *engine, const struct probe_group *group,
                         struct probe_opinion *ret_opinion) {
    struct probe_opinion_check checks[PROBE_GROUP_CHECK_MAX];
    assert(group->count <= PROBE_GROUP_CHECK_MAX);
    for (size_t i = 0; i < group->count; i++) {
        const struct probe_check *check = engine->checks[group->first + i];
        checks[i] = (struct probe_opinion_check){.name = check->target.check,
                                                 .critical = check->target.critical,
                                                 .debounce = &check->debounce};
    }
    probe_opinion_form(checks, group->count, ret_opinion);
    ret_opinion->changed_at_ms = group->changed_at_ms;
}

void probe_engine_refresh(struct probe_engine *engine, struct probe_group *group) {
    struct probe_opinion opinion;
    form_opinion(engine, group, &opinion);
    if (opinion.value == group->value) {
        return;
    }
    group->value = opinion.value;
    group->changed_at_ms = engine->last_seen_ms;
    opinion.changed_at_ms = group->changed_at_ms;
    if (engine->options.on_change != NULL) {
        engine->options.on_change(engine->options.context, group->service, group->region, &opinion);
    }
}

static struct probe_check_view view_of(const struct probe_check *check) {
    return (struct probe_check_view){.target = &check->target,
                                     .debounce = &check->debounce,
                                     .in_flight = check->phase != PROBE_IDLE};
}

void probe_engine_report(struct probe_engine *engine, struct probe_check *check) {
    assert(!engine->in_callback);
    engine->in_callback = true;
    if (engine->options.on_result != NULL) {
        struct probe_check_view view = view_of(check);
        engine->options.on_result(engine->options.context, &view);
    }
    probe_engine_refresh(engine, &engine->groups[check->group]);
    engine->in_callback = false;
}

struct probe_group *probe_engine_find_group(const struct probe_engine *engine, uint32_t service,
                                            uint32_t region) {
    size_t low = 0;
    size_t high = engine->group_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        struct probe_group *group = &engine->groups[middle];
        if (group->service == service && group->region == region) {
            return group;
        }
        bool before = group->service != service ? group->service < service : group->region < region;
        *(before ? &low : &high) = before ? middle + 1 : middle;
    }
    return NULL;
}

bool probe_engine_opinion(const struct probe_engine *engine, uint32_t service, uint32_t region,
                          struct probe_opinion *ret_opinion) {
    const struct probe_group *group = probe_engine_find_group(engine, service, region);
    if (group == NULL) {
        return false;
    }
    form_opinion(engine, group, ret_opinion);
    return true;
}

void probe_engine_feed(struct probe_engine *engine, uint32_t service, uint32_t region,
                       const char *check, const struct probe_result *result) {
    uint64_t now_ms = probe_engine_watch(engine);
    const struct probe_group *group = probe_engine_find_group(engine, service, region);
    struct probe_result counted = *result;
    if (counted.start_ms < engine->stalled_at_ms) {
        counted.code = PROBE_STALLED;
    }
    counted.finish_ms = counted.finish_ms > now_ms ? now_ms : counted.finish_ms;
    for (size_t i = 0; group != NULL && i < group->count; i++) {
        struct probe_check *fed = engine->checks[group->first + i];
        if (fed->target.type == PROBE_TYPE_FED && text_equal(fed->target.check, check)) {
            engine->probe_count++;
            (void)probe_debounce_feed(&fed->debounce, &counted);
            probe_engine_report(engine, fed);
            return;
        }
    }
}

void probe_engine_each(const struct probe_engine *engine,
                       void (*visit)(void *context, const struct probe_check_view *check),
                       void *context) {
    for (size_t i = 0; i < engine->check_count; i++) {
        struct probe_check_view view = view_of(engine->checks[i]);
        visit(context, &view);
    }
}

void probe_engine_stats(const struct probe_engine *engine, struct probe_engine_stats *ret_stats) {
    *ret_stats = (struct probe_engine_stats){
        .probe_count = engine->probe_count,
        .stall_count = engine->stall_count,
        .last_stall_ms = engine->last_stall_ms,
        .check_count = (uint32_t)engine->check_count,
        .in_flight_count = engine->in_flight_count,
        .shard_count = probe_http_shard_count(engine),
    };
    for (size_t i = 0; i < engine->check_count; i++) {
        ret_stats->unusable_count += engine->checks[i]->endpoint.is_unusable;
    }
    probe_resolver_stats(engine->resolver, &ret_stats->resolver_thread_count,
                         &ret_stats->resolver_queue_count);
}

static void on_watch_closed(uv_handle_t *handle) {
    probe_engine_drop(handle->data);
}

static void on_resolver_closed(void *context) {
    probe_engine_drop(context);
}

void probe_engine_destroy(struct probe_engine *engine, void (*on_closed)(void *context),
                          void *context) {
    if (engine == NULL) {
        on_closed(context);
        return;
    }
    assert(!engine->in_callback && !engine->closing);
    engine->closing = true;
    engine->on_closed = on_closed;
    engine->closed_context = context;
    for (size_t i = 0; i < engine->check_count; i++) {
        probe_check_close(engine->checks[i]);
    }
    free(engine->checks);
    free(engine->groups);
    engine->checks = NULL;
    engine->groups = NULL;
    engine->check_count = 0;
    engine->group_count = 0;
    uv_close((uv_handle_t *)&engine->watch, on_watch_closed);
    probe_resolver_destroy(engine->resolver, on_resolver_closed, engine);
}
