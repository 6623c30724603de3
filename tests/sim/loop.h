/* libuv's loop on virtual time: the functions of uv.h that a node calls (timers, idle, prepare,
 * check, async, close), defined here instead. One loop a node; what comes from outside (a message,
 * a finished write) is a task, run where libuv polls. Order of one turn: timers, idle, prepare,
 * tasks, check, closing (libuv's documentation, "The I/O loop"). */
#ifndef SIM_LOOP_H
#define SIM_LOOP_H

#include <uv.h>

#include "sim.h"

#define LOOP_HANDLE_MAX 64

struct loop_task {
    sim_function function;
    void *context;
};

struct loop_handles {
    uv_handle_t *handles[LOOP_HANDLE_MAX];
    uint32_t count;
};

struct sim_loop {
    uv_loop_t uv; /* first: a node knows only this */
    struct sim_node *node;
    struct loop_handles timers, idles, prepares, checks, closing; /* the active ones */
    uint32_t open_count; /* handles that are initialised and not closed */
    uint64_t start_id;   /* of timers: the order among those that are due together */
    struct loop_task *tasks;
    uint32_t task_first, task_count, task_room; /* ring; room: a power of two */
    uint64_t wake_us;                           /* an event is queued for then; 0: none */
};

void loop_create(struct sim_loop *loop, struct sim_node *node);
void loop_destroy(struct sim_loop *loop);
void loop_add_task(struct sim_loop *loop, sim_function function, void *context);
struct sim_loop *loop_of(uv_loop_t *uv);

#endif
