/* The lease: for writers that must fence themselves (DESIGN, "Lease"; model/deciding/lease.pml,
 * reading LASTGRANT with LMAX and NOREGRANT). Which region may be granted one is a function of
 * committed state; how long a grant may still be held is not, and stays with the leader that gave
 * it: executor/leases.h.
 *
 * A node asks at its own t0. The leader commits something of its own term after the ask came in, so
 * that a majority was in its term then, and grants by its applied state; the grant ends at t0 +
 * length, on the asker's CLOCK_BOOTTIME. From DECIDE on the old region gets none. The plan's step
 * `lease` ends when the last one has run out, and `switch`, from which on the new region gets it,
 * needs that step. Assumed: a virtual machine isn't paused together with its clock. */
#ifndef CORE_LEASE_H
#define CORE_LEASE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/state.h"

struct lease_grant {
    char service[NAME_SIZE], region[NAME_SIZE];
    uint64_t epoch;
    uint64_t length_ms; /* from the asker's t0 */
};

/* What a leader says to a node that asked. A service without a grant isn't among them. */
#define LEASE_ANSWER_VERSION 1
struct lease_answer {
    uint32_t version;
    uint64_t boot, number; /* whose ask, and which */
    struct lease_grant grants[SERVICE_MAX];
    uint32_t grant_count;
};

/* The region that may hold the lease of a service by this state; NONE_INDEX: none. */
uint32_t lease_region(const struct state *state, uint32_t service);

/* Whether a move to `to` takes the service away from a region that may hold a grant. */
bool lease_must_run_out(const struct state *state, uint32_t service, uint32_t to);

#endif
