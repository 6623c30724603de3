#include "loop.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "node.h"

/* In handle->flags, which are libuv's own there. */
#define FLAG_ACTIVE 1u
#define FLAG_CLOSING 2u

struct sim_loop *loop_of(uv_loop_t *uv) {
    return (struct sim_loop *)uv; /* its first member */
}

void loop_create(struct sim_loop *loop, struct sim_node *node) {
    memset(loop, 0, sizeof *loop);
    loop->node = node;
}

void loop_destroy(struct sim_loop *loop) {
    free(loop->tasks);
    loop->tasks = NULL;
}

void loop_add_task(struct sim_loop *loop, sim_function function, void *context) {
    if (loop->task_count == loop->task_room) {
        uint32_t room = loop->task_room == 0 ? 16 : 2 * loop->task_room;
        struct loop_task *grown = malloc(room * sizeof *grown);
        if (grown == NULL) {
            abort();
        }
        for (uint32_t i = 0; i < loop->task_count; i++) {
            grown[i] = loop->tasks[(loop->task_first + i) & (loop->task_room - 1)];
        }
        free(loop->tasks);
        loop->tasks = grown;
        loop->task_room = room;
        loop->task_first = 0;
    }
    loop->tasks[(loop->task_first + loop->task_count++) & (loop->task_room - 1)] =
        (struct loop_task){function, context};
}

static uint64_t now_ms(const struct sim_loop *loop) {
    return sim_now(sim_of(loop->node)) / SIM_MS;
}

static bool is_before(const uv_timer_t *a, const uv_timer_t *b) {
    return a->timeout != b->timeout ? a->timeout < b->timeout : a->start_id < b->start_id;
}

/* Timers by when they are due, others as they come. */
static void add(struct loop_handles *list, uv_handle_t *handle) {
    assert(list->count < LOOP_HANDLE_MAX);
    uint32_t at = list->count++;
    while (handle->type == UV_TIMER && (handle->flags & FLAG_CLOSING) == 0 && at > 0 &&
           is_before((uv_timer_t *)handle, (uv_timer_t *)list->handles[at - 1])) {
        list->handles[at] = list->handles[at - 1];
        at--;
    }
    list->handles[at] = handle;
}

static void take_out(struct loop_handles *list, const uv_handle_t *handle) {
    for (uint32_t i = 0; i < list->count; i++) {
        if (list->handles[i] == handle) {
            list->count--;
            memmove(&list->handles[i], &list->handles[i + 1],
                    (list->count - i) * sizeof list->handles[0]);
            return;
        }
    }
}

static void init(uv_loop_t *uv, uv_handle_t *handle, uv_handle_type type) {
    void *data = handle->data;
    memset(handle, 0, sizeof *handle);
    handle->data = data;
    handle->loop = uv;
    handle->type = type;
    loop_of(uv)->open_count++;
}

static struct loop_handles *list_of(const uv_handle_t *handle) {
    struct sim_loop *loop = loop_of(handle->loop);
    switch (handle->type) {
    case UV_TIMER:
        return &loop->timers;
    case UV_IDLE:
        return &loop->idles;
    case UV_PREPARE:
        return &loop->prepares;
    case UV_CHECK:
        return &loop->checks;
    default:
        return NULL;
    }
}

static void set_active(uv_handle_t *handle, bool active) {
    struct loop_handles *list = list_of(handle);
    bool was = (handle->flags & FLAG_ACTIVE) != 0;
    if (list == NULL || was == active) {
        return;
    }
    if (active) {
        add(list, handle);
        handle->flags |= FLAG_ACTIVE;
    } else {
        take_out(list, handle);
        handle->flags &= ~FLAG_ACTIVE;
    }
}

/* --- what a node calls --- */

int uv_timer_init(uv_loop_t *uv, uv_timer_t *timer) {
    init(uv, (uv_handle_t *)timer, UV_TIMER);
    timer->timer_cb = NULL;
    timer->timeout = 0;
    timer->repeat = 0;
    return 0;
}

int uv_timer_start(uv_timer_t *timer, uv_timer_cb callback, uint64_t timeout, uint64_t repeat) {
    struct sim_loop *loop = loop_of(timer->loop);
    if ((timer->flags & FLAG_CLOSING) != 0 || callback == NULL) {
        return UV_EINVAL;
    }
    set_active((uv_handle_t *)timer, false);
    timer->timer_cb = callback;
    timer->timeout = now_ms(loop) + timeout;
    timer->repeat = repeat;
    timer->start_id = loop->start_id++;
    set_active((uv_handle_t *)timer, true);
    return 0;
}

int uv_timer_stop(uv_timer_t *timer) {
    set_active((uv_handle_t *)timer, false);
    return 0;
}

uint64_t uv_timer_get_due_in(const uv_timer_t *timer) {
    uint64_t now = now_ms(loop_of(timer->loop));
    return timer->timeout > now ? timer->timeout - now : 0;
}

int uv_idle_init(uv_loop_t *uv, uv_idle_t *idle) {
    init(uv, (uv_handle_t *)idle, UV_IDLE);
    return 0;
}

int uv_idle_start(uv_idle_t *idle, uv_idle_cb callback) {
    idle->idle_cb = callback;
    set_active((uv_handle_t *)idle, true);
    return 0;
}

int uv_idle_stop(uv_idle_t *idle) {
    set_active((uv_handle_t *)idle, false);
    return 0;
}

int uv_prepare_init(uv_loop_t *uv, uv_prepare_t *prepare) {
    init(uv, (uv_handle_t *)prepare, UV_PREPARE);
    return 0;
}

int uv_prepare_start(uv_prepare_t *prepare, uv_prepare_cb callback) {
    prepare->prepare_cb = callback;
    set_active((uv_handle_t *)prepare, true);
    return 0;
}

int uv_prepare_stop(uv_prepare_t *prepare) {
    set_active((uv_handle_t *)prepare, false);
    return 0;
}

int uv_check_init(uv_loop_t *uv, uv_check_t *check) {
    init(uv, (uv_handle_t *)check, UV_CHECK);
    return 0;
}

int uv_check_start(uv_check_t *check, uv_check_cb callback) {
    check->check_cb = callback;
    set_active((uv_handle_t *)check, true);
    return 0;
}

int uv_check_stop(uv_check_t *check) {
    set_active((uv_handle_t *)check, false);
    return 0;
}

int uv_async_init(uv_loop_t *uv, uv_async_t *async, uv_async_cb callback) {
    init(uv, (uv_handle_t *)async, UV_ASYNC);
    async->async_cb = callback;
    return 0;
}

static void on_async(void *context) {
    uv_async_t *async = context;
    if ((async->flags & FLAG_CLOSING) == 0) {
        async->async_cb(async);
    }
}

int uv_async_send(uv_async_t *async) {
    loop_add_task(loop_of(async->loop), on_async, async);
    return 0;
}

int uv_signal_init(uv_loop_t *uv, uv_signal_t *signal) {
    init(uv, (uv_handle_t *)signal, UV_SIGNAL);
    return 0;
}

int uv_signal_start(uv_signal_t *signal, uv_signal_cb callback, int number) {
    signal->signal_cb = callback;
    signal->signum = number;
    return 0;
}

int uv_signal_stop(uv_signal_t *signal) {
    (void)signal;
    return 0;
}

void uv_close(uv_handle_t *handle, uv_close_cb callback) {
    assert((handle->flags & FLAG_CLOSING) == 0);
    set_active(handle, false);
    handle->flags |= FLAG_CLOSING;
    handle->close_cb = callback;
    add(&loop_of(handle->loop)->closing, handle);
}

int uv_is_closing(const uv_handle_t *handle) {
    return (handle->flags & FLAG_CLOSING) != 0;
}

int uv_is_active(const uv_handle_t *handle) {
    return (handle->flags & FLAG_ACTIVE) != 0;
}

void uv_update_time(uv_loop_t *uv) {
    (void)uv; /* it is never behind */
}

uint64_t uv_now(const uv_loop_t *uv) {
    return now_ms((const struct sim_loop *)uv);
}

uint64_t uv_hrtime(void) {
    const struct sim_node *node = sim_current();
    return node == NULL ? 0 : sim_now(sim_of(node)) * 1000;
}

/* --- one turn --- */

static uv_timer_t *first_timer(const struct sim_loop *loop) {
    return loop->timers.count == 0 ? NULL : (uv_timer_t *)loop->timers.handles[0];
}

static void run_timers(struct sim_loop *loop) {
    uv_timer_t *timer;
    while ((timer = first_timer(loop)) != NULL && timer->timeout <= now_ms(loop)) {
        set_active((uv_handle_t *)timer, false);
        if (timer->repeat > 0) {
            (void)uv_timer_start(timer, timer->timer_cb, timer->repeat, timer->repeat);
        }
        timer->timer_cb(timer);
    }
}

/* A copy: a callback may start and stop others. libuv runs the one that was started last first. */
static void run_list(const struct loop_handles *list) {
    uv_handle_t *copy[LOOP_HANDLE_MAX];
    memcpy(copy, list->handles, list->count * sizeof copy[0]);
    for (uint32_t i = list->count; i-- > 0;) {
        uv_handle_t *handle = copy[i];
        if ((handle->flags & FLAG_ACTIVE) == 0) {
            continue;
        }
        if (handle->type == UV_IDLE) {
            ((uv_idle_t *)handle)->idle_cb((uv_idle_t *)handle);
        } else if (handle->type == UV_PREPARE) {
            ((uv_prepare_t *)handle)->prepare_cb((uv_prepare_t *)handle);
        } else {
            ((uv_check_t *)handle)->check_cb((uv_check_t *)handle);
        }
    }
}

static void run_tasks(struct sim_loop *loop) {
    for (uint32_t left = loop->task_count; left > 0; left--) {
        struct loop_task task = loop->tasks[loop->task_first];
        loop->task_first = (loop->task_first + 1) & (loop->task_room - 1);
        loop->task_count--;
        task.function(task.context);
    }
}

static void run_closing(struct sim_loop *loop) {
    uv_handle_t *closing[LOOP_HANDLE_MAX];
    uint32_t count = loop->closing.count;
    memcpy(closing, loop->closing.handles, count * sizeof closing[0]);
    loop->closing.count = 0;
    for (uint32_t i = 0; i < count; i++) {
        loop->open_count--;
        if (closing[i]->close_cb != NULL) {
            closing[i]->close_cb(closing[i]);
        }
    }
}

static bool must_not_wait(const struct sim_loop *loop) {
    const uv_timer_t *timer = first_timer(loop);
    return loop->idles.count > 0 || loop->closing.count > 0 || loop->task_count > 0 ||
           (timer != NULL && timer->timeout <= now_ms(loop));
}

int uv_run(uv_loop_t *uv, uv_run_mode mode) {
    struct sim_loop *loop = loop_of(uv);
    (void)mode;
    while (loop->open_count > 0) {
        run_timers(loop);
        run_list(&loop->idles);
        run_list(&loop->prepares);
        if (!must_not_wait(loop)) {
            const uv_timer_t *timer = first_timer(loop);
            node_wait(loop->node, timer == NULL ? 0 : timer->timeout * SIM_MS);
        }
        run_tasks(loop);
        run_list(&loop->checks);
        run_closing(loop);
    }
    return 0;
}
