/* What the executor remembers of a step while it leads. */
#ifndef EXECUTOR_TASK_H
#define EXECUTOR_TASK_H

#include "core/pending.h"
#include "driver/driver.h"
#include "executor/executor.h"

/* Every step of the longest plans of all services at once: a step that can't end, since its control
 * plane is dead, must not take the place of another service's switch. */
#define TASK_MAX (SERVICE_MAX * (DEBT_MAX + ZONE_MAX + 2))
#define TASK_FIRST_DELAY_MS 100
#define TASK_LONGEST_DELAY_MS 8000
#define TASK_WAIT_MS 250      /* between two looks at a change that is not in sync */
#define SEND_DEADLINE_MS 5000 /* from the proposal of ATTEMPT to the first byte */

struct task {
    struct executor *executor;
    bool used;
    char service[NAME_SIZE];
    uint64_t epoch;
    uint32_t step;
    uint64_t term;

    bool busy;                           /* a read, a send or a proposal is under way */
    uint64_t next_ms;                    /* CLOCK_BOOTTIME: not before */
    uint32_t delay_ms;                   /* of the next back-off */
    enum command_kind proposed;          /* last */
    uint64_t proposed_ms;                /* when the ATTEMPT under way was proposed */
    char sync_change_id[CHANGE_ID_SIZE]; /* of a touch or a burn: what its INSYNC proves ... */
    char sync_fence[FENCE_SIZE];         /* ... is this fence, and no other */
    char fence_sent[FENCE_SIZE];         /* by the touch or burn under way */
    enum step_action sending;            /* BURN, TOUCH or ATTEMPT */
    char fence_read[FENCE_SIZE];
    bool fence_present;
    char trouble[REASON_SIZE];
};

struct executor {
    struct executor_options options;
    uv_timer_t timer;
    bool leads, closing;
    uint64_t term;
    uint32_t busy_count;
    struct task tasks[TASK_MAX];
    void (*on_closed)(void *context);
    void *closed_context;
};

uint64_t executor_now(const struct executor *executor);
const struct state *executor_state(const struct executor *executor);

/* The task's place in today's state; false: its execution is over or we lead no more. */
bool task_locate(const struct task *task, uint32_t *ret_service);
void task_begin(struct task *task);
/* The work under way is over: look again after delay_ms. */
void task_end(struct task *task, uint32_t delay_ms);
/* ... after the task's growing, jittered back-off, because of `trouble`. */
void task_end_in_trouble(struct task *task, const char *trouble);
void task_propose(struct task *task, enum command_kind kind, const struct command_step *fields,
                  propose_cb on_done);

/* steps.c: what to do for each effect */
void task_switch(struct task *task, uint32_t service);
void task_intend(struct task *task, uint32_t service);
void task_attempt(struct task *task, uint32_t service);
void task_outlast(struct task *task, uint32_t service);
void task_resolve(struct task *task, uint32_t service);

#endif
