/* The leader's duties besides the steps: it keeps what the nodes report in this term, asks core's
 * policy what to propose, and proposes it. It has no opinion of its own. */
#ifndef EXECUTOR_LEADER_H
#define EXECUTOR_LEADER_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/clock.h"
#include "core/policy.h"
#include "executor/executor.h"

struct leader_options {
    uv_loop_t *loop;
    const struct clock *clock;
    struct proposer proposer;
    uint64_t self_id;
};

struct leader;

/* NULL: no memory. */
struct leader *leader_create(const struct leader_options *options);
/* Leadership came or went; a new term starts with no reports. */
void leader_lead(struct leader *leader, bool leads, uint64_t term);
/* A node's report (our own too). Copied. Ignored unless we lead. */
void leader_on_report(struct leader *leader, const struct report *report);
/* Something was applied. */
void leader_poke(struct leader *leader);
/* What the policy sees now; the reports stay the leader's. False: we don't lead (the input is then
 * empty, and fits for reading gates on committed facts alone). */
bool leader_input(const struct leader *leader, struct policy_input *ret);
uint64_t leader_tick_proposed_ms(const struct leader *leader);
/* The last report of the node at this place in NODES; NULL: none this term. */
const struct report *leader_report(const struct leader *leader, uint64_t node_id);
void leader_close(struct leader *leader, void (*on_closed)(void *context), void *context);

#endif
