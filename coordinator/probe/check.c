#include "check.h"

#include <assert.h>
#include <netdb.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "http.h"
#include "tcp.h"

enum {
    JITTER_DIVISOR = 10, /* of the interval, to either side */
    LAST_LOOK_MS = 1,
};

struct probe_check *probe_check_create(struct probe_engine *engine,
                                       const struct probe_target *target,
                                       const struct probe_endpoint *endpoint, struct error *error) {
    struct probe_check *check = calloc(1, sizeof *check);
    if (check == NULL) {
        goto failed;
    }
    check->engine = engine;
    check->target = *target;
    check->endpoint = *endpoint;
    check->hash = probe_target_hash(target);
    buffer_init(&check->http.body, PROBE_BODY_MAX);
    struct probe_rule rule = {.rise = endpoint->is_unusable ? 1 : target->rise,
                              .fall = endpoint->is_unusable ? 1 : target->fall,
                              .timeout_ms = target->timeout_ms,
                              .slack_ms = PROBE_SLACK_MS};
    probe_debounce_init(&check->debounce, &rule);
    if (endpoint->is_unusable) {
        check->debounce.last.code = PROBE_INTERNAL; /* what status shows of it, for ever */
        return check;
    }
    if (target->type == PROBE_TYPE_FED) {
        return check;
    }
    if (!endpoint->is_literal) {
        check->host = probe_resolver_acquire(engine->resolver, endpoint->host);
        if (check->host == NULL) {
            goto failed;
        }
    }
    if (target->type != PROBE_TYPE_TCP && !probe_http_open(check)) {
        goto failed;
    }
    return check;

failed:
    probe_check_discard(check);
    (void)error_set(error, ERROR_NO_MEMORY, "check '%s': out of memory", target->check);
    return NULL;
}

static void release(struct probe_check *check) {
    probe_http_close(check);
    if (check->host != NULL) {
        probe_host_release(check->host);
        check->host = NULL;
    }
}

void probe_check_discard(struct probe_check *check) {
    if (check != NULL) {
        release(check);
        free(check);
    }
}

/* Ends what is in flight, without a result. */
static void stop(struct probe_check *check) {
    if (check->phase == PROBE_RUNNING && check->target.type == PROBE_TYPE_TCP) {
        probe_tcp_stop(check);
    } else if (check->phase == PROBE_RUNNING) {
        probe_http_stop(check);
    }
    probe_wait_cancel(&check->wait);
}

static void leave_flight(struct probe_check *check) {
    assert(check->phase != PROBE_IDLE);
    check->phase = PROBE_IDLE;
    assert(check->engine->in_flight_count > 0);
    check->engine->in_flight_count--;
}

static void on_timer_closed(uv_handle_t *handle) {
    struct probe_check *check = handle->data;
    struct probe_engine *engine = check->engine;
    free(check);
    probe_engine_drop(engine);
}

void probe_check_close(struct probe_check *check) {
    stop(check);
    if (check->phase != PROBE_IDLE) {
        leave_flight(check);
    }
    release(check);
    uv_close((uv_handle_t *)&check->timer, on_timer_closed);
}

static void on_timer(uv_timer_t *timer);

/* The loop's idea of now may be as old as its last round: a timeout must not be cut by that. */
static void arm(struct probe_check *check, uint64_t delay_ms) {
    uv_update_time(check->engine->loop);
    int rc = uv_timer_start(&check->timer, on_timer, delay_ms, 0);
    assert(rc == 0);
    (void)rc;
}

/* Never at once: in a burst of short probes other work of the loop must have its turn. */
static void plan_next(struct probe_check *check) {
    uint64_t interval_ms = check->target.interval_ms;
    uint64_t jitter_ms = interval_ms / JITTER_DIVISOR;
    uint64_t next_ms =
        check->start_loop_ms +
        entropy_between(check->engine->entropy, interval_ms - jitter_ms, interval_ms + jitter_ms);
    uint64_t now_ms = uv_now(check->engine->loop);
    arm(check, next_ms > now_ms ? next_ms - now_ms : 1);
}

static enum probe_result_code connect_to_target(struct probe_check *check) {
    check->phase = PROBE_RUNNING;
    return check->target.type == PROBE_TYPE_TCP ? probe_tcp_start(check) : probe_http_start(check);
}

/* The addresses are known: on to the target. */
static void go_on(struct probe_check *check) {
    enum probe_result_code code = connect_to_target(check);
    if (code != PROBE_OK) {
        probe_check_finish(check, code, 0);
    }
}

static void take_addresses(struct probe_check *check) {
    memcpy(check->addresses, check->host->addresses, sizeof check->addresses);
    check->address_count = check->host->address_count;
}

static void on_resolved(struct probe_wait *wait) {
    struct probe_check *check =
        (struct probe_check *)((char *)wait - offsetof(struct probe_check, wait));
    assert(check->phase == PROBE_RESOLVING);
    if (check->host->status == 0) {
        take_addresses(check);
        go_on(check);
        return;
    }
    /* Out of memory or descriptors here says nothing about the name. */
    bool ours = check->host->status == EAI_MEMORY || check->host->status == EAI_SYSTEM;
    probe_check_finish(check, ours ? PROBE_INTERNAL : PROBE_DNS, 0);
}

static void begin(struct probe_check *check, uint64_t now_ms) {
    struct probe_engine *engine = check->engine;
    /* Asked before anything leaves: all that the probe sees is younger than this index. */
    check->start_index = engine->options.applied_index(engine->options.context);
    check->start_ms = now_ms;
    check->is_void = false;
    check->last_look = false;
    check->phase = PROBE_RESOLVING;
    engine->in_flight_count++;
    engine->probe_count++;
    arm(check, check->target.timeout_ms);
    check->start_loop_ms = uv_now(engine->loop);
    if (check->host == NULL) {
        check->addresses[0] = check->endpoint.literal;
        check->address_count = 1;
        go_on(check);
    } else if (probe_host_is_fresh(check->host, now_ms, check->target.interval_ms)) {
        take_addresses(check);
        go_on(check);
    } else {
        check->wait.on_done = on_resolved;
        if (!probe_host_wait(check->host, &check->wait)) {
            probe_check_finish(check, PROBE_INTERNAL, 0);
        }
    }
}

static enum probe_result_code timeout_code(const struct probe_check *check) {
    if (check->phase == PROBE_RESOLVING) {
        return PROBE_DNS_TIMEOUT;
    }
    return check->target.type == PROBE_TYPE_TCP ? PROBE_TIMEOUT_CONNECT
                                                : probe_http_timeout_code(check);
}

static void on_timer(uv_timer_t *timer) {
    struct probe_check *check = timer->data;
    uint64_t now_ms = probe_engine_watch(check->engine);
    if (check->phase == PROBE_IDLE) {
        begin(check, now_ms);
    } else if (!check->last_look) {
        /* A busy loop runs its timers before it looks at its sockets: what came in time must be
         * seen first, so one more round. */
        check->last_look = true;
        arm(check, LAST_LOOK_MS);
    } else {
        enum probe_result_code code = timeout_code(check);
        stop(check);
        probe_check_finish(check, code, 0);
    }
}

void probe_check_start(struct probe_check *check) {
    int rc = uv_timer_init(check->engine->loop, &check->timer);
    assert(rc == 0);
    (void)rc;
    check->timer.data = check;
    check->started = true;
    probe_engine_hold(check->engine);
    probe_check_spread(check);
}

void probe_check_spread(struct probe_check *check) {
    assert(check->phase == PROBE_IDLE);
    if (check->endpoint.is_unusable || check->target.type == PROBE_TYPE_FED) {
        return;
    }
    arm(check, entropy_between(check->engine->entropy, 0, check->target.interval_ms - 1));
}

void probe_check_finish(struct probe_check *check, enum probe_result_code code,
                        uint32_t http_status) {
    uint64_t now_ms = probe_engine_watch(check->engine);
    leave_flight(check);
    struct probe_result result = {.code = check->is_void ? PROBE_STALLED : code,
                                  .http_status = http_status,
                                  .start_index = check->start_index,
                                  .start_ms = check->start_ms,
                                  .finish_ms = now_ms};
    (void)probe_debounce_feed(&check->debounce, &result);
    plan_next(check);
    probe_engine_report(check->engine, check);
}
