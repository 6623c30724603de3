#include "probe/control.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "target.h"

/* An engine of its own: the targets are TCP checks whose `fall` is the number of tries. */
struct probe_control {
    struct probe_engine *engine;
    struct probe_control_options options;
    uint32_t total_count, reached_count;
    bool reaches;
    void (*on_closed)(void *context);
    void *closed_context;
};

bool probe_control_suffices(uint32_t reached_count, uint32_t total_count) {
    return reached_count >= (total_count + 1) / 2;
}

static uint64_t no_index(void *context) {
    (void)context;
    return 0;
}

static void count_reached(void *context, const struct probe_check_view *check) {
    struct probe_control *control = context;
    control->reached_count += check->debounce->state == PROBE_UP;
}

static void on_result(void *context, const struct probe_check_view *check) {
    (void)check;
    struct probe_control *control = context;
    control->reached_count = 0;
    probe_engine_each(control->engine, count_reached, control);
    bool reaches = probe_control_suffices(control->reached_count, control->total_count);
    if (reaches == control->reaches) {
        return;
    }
    control->reaches = reaches;
    if (control->options.on_change != NULL) {
        control->options.on_change(control->options.context, reaches);
    }
}

static enum error_code configure(struct probe_control *control, const char *const *addresses,
                                 size_t count, struct error *error) {
    struct probe_target *targets = calloc(count + 1, sizeof *targets);
    if (targets == NULL) {
        return error_set(error, ERROR_NO_MEMORY, "control targets: out of memory");
    }
    enum error_code code = ERROR_OK;
    for (size_t i = 0; i < count; i++) {
        if (strlen(addresses[i]) >= PROBE_CONTROL_ADDRESS_SIZE) {
            code = error_set(error, ERROR_LIMIT, "control target '%.60s...' is too long",
                             addresses[i]);
            goto cleanup;
        }
        struct probe_target *target = &targets[i];
        target->type = PROBE_TYPE_TCP;
        target->timeout_ms = control->options.timeout_ms;
        target->interval_ms = control->options.interval_ms;
        target->fall = PROBE_CONTROL_TRIES;
        target->rise = 1;
        target->critical = true;
        (void)snprintf(target->check, sizeof target->check, "control-%zu", i);
        (void)snprintf(target->url, sizeof target->url, "tcp://%s", addresses[i]);
        struct probe_endpoint endpoint;
        struct error why = {0};
        code = probe_target_check(target, &endpoint, &why);
        if (code != ERROR_OK) {
            (void)error_set(error, code, "control target '%s': %s", addresses[i], why.message);
            goto cleanup;
        }
    }
    code = probe_engine_configure(control->engine, targets, count, error);

cleanup:
    free(targets);
    return code;
}

static void on_engine_closed(void *context) {
    struct probe_control *control = context;
    void (*on_closed)(void *) = control->on_closed;
    void *closed_context = control->closed_context;
    free(control);
    if (on_closed != NULL) {
        on_closed(closed_context);
    }
}

enum error_code probe_control_create(uv_loop_t *loop, const struct clock *clock,
                                     const struct entropy *entropy, const char *const *addresses,
                                     size_t count, const struct probe_control_options *options,
                                     struct probe_control **ret_control, struct error *error) {
    if (count > PROBE_CONTROL_MAX) {
        return error_set(error, ERROR_LIMIT, "%zu control targets; at most %u", count,
                         PROBE_CONTROL_MAX);
    }
    struct probe_control *control = calloc(1, sizeof *control);
    if (control == NULL) {
        return error_set(error, ERROR_NO_MEMORY, "control targets: out of memory");
    }
    control->options = *options;
    if (control->options.interval_ms == 0) {
        control->options.interval_ms = PROBE_CONTROL_INTERVAL_MS;
    }
    if (control->options.timeout_ms == 0) {
        control->options.timeout_ms = PROBE_CONTROL_TIMEOUT_MS;
    }
    control->total_count = (uint32_t)count;
    control->reaches = probe_control_suffices(0, control->total_count);
    struct probe_engine_options engine_options = {.applied_index = no_index,
                                                  .on_result = on_result,
                                                  .context = control,
                                                  .resolve = options->resolve,
                                                  .resolve_context = options->resolve_context};
    enum error_code code =
        probe_engine_create(loop, clock, entropy, &engine_options, &control->engine, error);
    if (code != ERROR_OK) {
        free(control);
        return code;
    }
    code = configure(control, addresses, count, error);
    if (code != ERROR_OK) {
        probe_engine_destroy(control->engine, on_engine_closed, control);
        return code;
    }
    *ret_control = control;
    return ERROR_OK;
}

bool probe_control_reaches(const struct probe_control *control) {
    return control->reaches;
}

uint32_t probe_control_reached_count(const struct probe_control *control) {
    return control->reached_count;
}

uint32_t probe_control_total_count(const struct probe_control *control) {
    return control->total_count;
}

void probe_control_destroy(struct probe_control *control, void (*on_closed)(void *context),
                           void *context) {
    if (control == NULL) {
        on_closed(context);
        return;
    }
    control->on_closed = on_closed;
    control->closed_context = context;
    probe_engine_destroy(control->engine, on_engine_closed, control);
}
