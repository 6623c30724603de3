/* Carries plans out. On the leader only, and only what core/pending derives from committed state:
 * for each effect it reads the target, proposes the entry, and sends once when its ATTEMPT was
 * applied in its own term. What it remembers (a request under way, when to look again, the change
 * that would prove a touch) may be lost at any moment without harm. */
#ifndef EXECUTOR_EXECUTOR_H
#define EXECUTOR_EXECUTOR_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/clock.h"
#include "base/entropy.h"
#include "core/command.h"
#include "driver/driver.h"

/* How a proposal ended: OK with core's answer and index, or NOT_LEADER, or UNKNOWN (it may still be
 * applied later). */
typedef void (*propose_cb)(void *context, enum error_code error, enum core_error answer,
                           uint64_t index);

/* The way into the log. The command is copied in the call; the callback fires exactly once, never
 * from inside the call. */
struct proposer {
    void (*propose)(void *context, const struct command *command, propose_cb on_done,
                    void *done_context);
    const struct state *(*state)(void *context);
    void *context;
};

struct executor_options {
    uv_loop_t *loop;
    const struct clock *clock;
    const struct entropy *entropy;
    struct driver *driver;     /* of Route 53; the caller closes both, after the executor */
    struct driver *set_driver; /* of replica sets */
    struct proposer proposer;
    /* CLOCK_BOOTTIME when this process proposed the last TICK that was applied; 0: none this term
     */
    uint64_t (*tick_proposed_ms)(void *context);
    /* How long a lease of the service's active region may still be held (executor/leases.h) */
    uint64_t (*lease_wait_ms)(void *context, uint32_t service);
    void *context;
};

struct executor;

/* Never fails but for memory (NULL). */
struct executor *executor_create(const struct executor_options *options);
/* Leadership came (own-term barrier and LEADER applied) or went. */
void executor_lead(struct executor *executor, bool leads, uint64_t term);
/* Something was applied: looks for work soon. Cheap. */
void executor_poke(struct executor *executor);
/* The last trouble of a step ("" none), for status: why it doesn't get on. */
const char *executor_trouble(const struct executor *executor, const char *service, uint32_t step);
/* Starts nothing more. on_closed fires when all requests have come back; then it is freed. */
void executor_close(struct executor *executor, void (*on_closed)(void *context), void *context);

#endif
