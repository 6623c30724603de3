/* What the executor remembers of a step while it leads. */
#ifndef EXECUTOR_TASK_H
#define EXECUTOR_TASK_H

#include "core/pending.h"
#include "driver/driver.h"
#include "executor/executor.h"

/* Every step of the longest plans of all services at once: a step that can't end, since its control
 * plane is dead, must not take the place of another service's switch. */
#define TASK_MAX (SERVICE_MAX * (DEBT_MAX + ZONE_MAX + 6))
#define TASK_FIRST_DELAY_MS 100
#define TASK_LONGEST_DELAY_MS 8000
#define TASK_ACT_AGAIN_MS 5000 /* an election takes its time: not asked for twice at once */
#define FORCE_SHOWS_MS 60000   /* a forced config is seen by then, or a person must look */
#define READMIT_TRIES_MS 30000 /* a readmission holds a failover up for no longer than that */
#define TASK_WAIT_MS 250       /* between two looks at a change that is not in sync */
#define SEND_DEADLINE_MS 5000  /* from the proposal of ATTEMPT to the first byte */
#define SET_LOOK_TIMEOUTS 6    /* seeds, members, those that only the config names; a connection */

struct task {
    struct executor *executor;
    bool used;
    char service[NAME_SIZE];
    uint64_t epoch;
    uint32_t step;
    uint64_t term;

    bool busy;                  /* a read, a send or a proposal is under way */
    uint64_t next_ms;           /* CLOCK_BOOTTIME: not before */
    uint32_t delay_ms;          /* of the next back-off */
    enum command_kind proposed; /* last */
    uint64_t proposed_ms;       /* when the ATTEMPT under way was proposed */
    uint64_t acted_ms;     /* when the last act on the replica set was sent; 0: none this term */
    uint64_t resolving_ms; /* force, readmit: when it was first looked for after it was sent; 0: not
                              yet */
    bool force_failed;     /* ... and nobody said yes */
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

const struct step *task_step(const struct task *task, uint32_t service);
struct command_step task_fields(const struct task *task, uint32_t service);
/* How long ago DECIDE's TICK was proposed, by our own stopwatch: "Begin" (steps.c). */
uint64_t task_begin_age_ms(const struct task *task);
/* The last moment for the first byte of what is begun at from_ms. A look at every member of a
 * replica set comes before it, and those that hang take their time-outs. */
uint64_t task_send_until_ms(uint64_t from_ms, const struct driver_target *target);
struct driver *task_driver(const struct task *task, uint32_t service);
/* The end of a proposal after which nothing is to be done but to look again. */
void task_on_proposed(void *context, enum error_code error, enum core_error answer, uint64_t index);
void task_propose_outcome(struct task *task, uint32_t service, enum step_phase outcome,
                          const char *detail);
/* Proposes an entry that begins a step without a read: there is nothing that it could show. */
void task_intend_blind(struct task *task, uint32_t service);

/* set_steps.c: the steps on a replica set that have no fence */
void task_look(struct task *task, uint32_t service);
/* ATTEMPT was applied: sends. */
void task_act(struct task *task, uint32_t service);
/* Switches when a majority still holds the write of this move, by a look of its own. */
void task_switch_verified(struct task *task, uint32_t service, uint32_t write);

/* steps.c: what to do for each effect */
void task_switch(struct task *task, uint32_t service);
void task_intend(struct task *task, uint32_t service);
void task_attempt(struct task *task, uint32_t service);
void task_outlast(struct task *task, uint32_t service);
void task_resolve(struct task *task, uint32_t service);

#endif
