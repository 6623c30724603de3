#include "executor/executor.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "codec/command_codec.h"
#include "task.h"

#define LOOK_AGAIN_MS 100

uint64_t executor_now(const struct executor *executor) {
    return clock_boottime_ms(executor->options.clock);
}

const struct state *executor_state(const struct executor *executor) {
    return executor->options.proposer.state(executor->options.proposer.context);
}

bool task_locate(const struct task *task, uint32_t *ret_service) {
    const struct executor *executor = task->executor;
    if (!executor->leads || executor->closing || executor->term != task->term) {
        return false;
    }
    const struct state *state = executor_state(executor);
    uint32_t service = state_find_service(state, task->service);
    if (service == NONE_INDEX) {
        return false;
    }
    const struct execution *execution = &state->services[service].execution;
    if (!execution_is_open(execution) || execution->epoch != task->epoch ||
        task->step >= execution->step_count) {
        return false;
    }
    *ret_service = service;
    return true;
}

void task_begin(struct task *task) {
    assert(!task->busy);
    task->busy = true;
    task->executor->busy_count++;
}

static void finish_if_idle(struct executor *executor);

void task_end(struct task *task, uint32_t delay_ms) {
    assert(task->busy && task->executor->busy_count > 0);
    task->busy = false;
    task->executor->busy_count--;
    task->next_ms = executor_now(task->executor) + delay_ms;
    executor_poke(task->executor);
    finish_if_idle(task->executor);
}

void task_end_in_trouble(struct task *task, const char *trouble) {
    uint32_t delay_ms = task->delay_ms == 0 ? TASK_FIRST_DELAY_MS : task->delay_ms;
    task->delay_ms = delay_ms * 2 < TASK_LONGEST_DELAY_MS ? delay_ms * 2 : TASK_LONGEST_DELAY_MS;
    size_t length = strnlen(trouble, sizeof task->trouble - 1);
    memcpy(task->trouble, trouble, length);
    task->trouble[length] = '\0';
    codec_clean_text(task->trouble); /* a target's words may hold anything, and be cut anywhere */
    /* Full jitter, so that several zones of one account don't come back together. */
    task_end(task,
             (uint32_t)entropy_between(task->executor->options.entropy, delay_ms / 2, delay_ms));
}

void task_propose(struct task *task, enum command_kind kind, const struct command_step *fields,
                  propose_cb on_done) {
    struct executor *executor = task->executor;
    struct command command;
    task->proposed = kind;
    memset(&command, 0, sizeof command);
    command.kind = kind;
    command.term = executor->term;
    command.wall_ms = clock_wall_ms(executor->options.clock);
    command.step = *fields;
    codec_clean_text(command.step.detail); /* a target's words may hold anything */
    executor->options.proposer.propose(executor->options.proposer.context, &command, on_done, task);
}

/* One that was never used, or whose execution, or term, is over. */
static struct task *find_spare(struct executor *executor) {
    for (uint32_t i = 0; i < TASK_MAX; i++) {
        if (!executor->tasks[i].used) {
            return &executor->tasks[i];
        }
    }
    for (uint32_t i = 0; i < TASK_MAX; i++) {
        uint32_t service;
        struct task *task = &executor->tasks[i];
        if (!task->busy && !task_locate(task, &service)) {
            return task;
        }
    }
    return NULL;
}

static struct task *task_of(struct executor *executor, const struct effect *effect) {
    const char *name = executor_state(executor)->services[effect->service].name;
    for (uint32_t i = 0; i < TASK_MAX; i++) {
        struct task *task = &executor->tasks[i];
        if (task->used && task->epoch == effect->epoch && task->step == effect->step &&
            task->term == executor->term && text_equal(task->service, name)) {
            return task;
        }
    }
    struct task *spare = find_spare(executor);
    if (spare == NULL) {
        return NULL; /* its turn comes when another has ended */
    }
    memset(spare, 0, sizeof *spare);
    spare->executor = executor;
    spare->used = true;
    (void)TEXT_COPY(spare->service, name);
    spare->epoch = effect->epoch;
    spare->step = effect->step;
    spare->term = executor->term;
    return spare;
}

static void on_effect(void *context, const struct effect *effect) {
    struct executor *executor = context;
    struct task *task = task_of(executor, effect);
    if (task == NULL || task->busy || executor_now(executor) < task->next_ms) {
        return;
    }
    switch (effect->kind) {
    case EFFECT_SWITCH:
        task_switch(task, effect->service);
        break;
    case EFFECT_INTEND:
        task_intend(task, effect->service);
        break;
    case EFFECT_ATTEMPT:
        task_attempt(task, effect->service);
        break;
    case EFFECT_OUTLAST:
        task_outlast(task, effect->service);
        break;
    case EFFECT_RESOLVE:
        task_resolve(task, effect->service);
        break;
    case EFFECT_KIND_COUNT:
        break;
    }
}

/* When the earliest waiting task is due. */
static uint64_t next_look_ms(const struct executor *executor) {
    uint64_t now_ms = executor_now(executor);
    uint64_t wait_ms = LOOK_AGAIN_MS;
    for (uint32_t i = 0; i < TASK_MAX; i++) {
        const struct task *task = &executor->tasks[i];
        if (task->used && !task->busy && task->next_ms > now_ms &&
            task->next_ms - now_ms < wait_ms) {
            wait_ms = task->next_ms - now_ms;
        }
    }
    return wait_ms;
}

static bool has_work(const struct executor *executor) {
    const struct state *state = executor_state(executor);
    for (uint32_t s = 0; s < state->spec.service_count; s++) {
        if (execution_is_open(&state->services[s].execution)) {
            return true;
        }
    }
    return false;
}

static void on_timer(uv_timer_t *timer) {
    struct executor *executor = timer->data;
    if (!executor->leads || executor->closing) {
        return;
    }
    state_pending(executor_state(executor), on_effect, executor);
    if (has_work(executor) && !uv_is_active((const uv_handle_t *)timer)) {
        uv_timer_start(timer, on_timer, next_look_ms(executor), 0);
    }
}

void executor_poke(struct executor *executor) {
    if (executor->leads && !executor->closing) {
        uv_timer_start(&executor->timer, on_timer, 0, 0);
    }
}

struct executor *executor_create(const struct executor_options *options) {
    struct executor *executor = calloc(1, sizeof *executor);
    if (executor == NULL) {
        return NULL;
    }
    executor->options = *options;
    uv_timer_init(options->loop, &executor->timer);
    executor->timer.data = executor;
    return executor;
}

void executor_lead(struct executor *executor, bool leads, uint64_t term) {
    executor->leads = leads;
    executor->term = term;
    if (leads) {
        executor_poke(executor);
    } else if (!executor->closing) {
        uv_timer_stop(&executor->timer);
    }
}

const char *executor_trouble(const struct executor *executor, const char *service, uint32_t step) {
    for (uint32_t i = 0; i < TASK_MAX; i++) {
        const struct task *task = &executor->tasks[i];
        uint32_t place;
        if (task->used && task->step == step && text_equal(task->service, service) &&
            task_locate(task, &place)) { /* not an earlier move's */
            return task->trouble;
        }
    }
    return "";
}

static void on_timer_closed(uv_handle_t *handle) {
    struct executor *executor = handle->data;
    void (*on_closed)(void *) = executor->on_closed;
    void *context = executor->closed_context;
    free(executor);
    if (on_closed != NULL) {
        on_closed(context);
    }
}

static void finish_if_idle(struct executor *executor) {
    if (executor->closing && executor->busy_count == 0 &&
        !uv_is_closing((uv_handle_t *)&executor->timer)) {
        uv_close((uv_handle_t *)&executor->timer, on_timer_closed);
    }
}

void executor_close(struct executor *executor, void (*on_closed)(void *context), void *context) {
    executor->closing = true;
    executor->leads = false;
    executor->on_closed = on_closed;
    executor->closed_context = context;
    finish_if_idle(executor);
}
