/* What a leader remembers of the leases that it granted: until when each may be held. Lost with its
 * leadership, and then its successor waits as if one of the longest length had been granted at its
 * own election (core/lease.h). All times are the leader's CLOCK_BOOTTIME; 1 % is added to each
 * length, since the asker's clock may be so much slower. */
#ifndef EXECUTOR_LEASES_H
#define EXECUTOR_LEASES_H

#include <stdbool.h>
#include <stdint.h>

#include "core/lease.h"

struct leases {
    bool leads;
    uint64_t term_start_ms;
    struct {
        char service[NAME_SIZE]; /* "": free */
        uint64_t until_ms;
    } given[SERVICE_MAX];
};

/* Leadership came or went: what an earlier term granted is not known any more. */
void leases_lead(struct leases *leases, bool leads, uint64_t now_ms);

/* Grants, of the services asked for (bits of places), what a node may have whose ask came in before
 * something of this term was committed; notes it. *answer's boot and number are the caller's. */
void leases_grant(struct leases *leases, const struct state *state, uint64_t services,
                  uint64_t now_ms, struct lease_answer *answer);

/* How long a grant of the service's active region may still be held; 0: none is; UINT64_MAX: we
 * don't lead. Final once the service's DECIDE is applied. */
uint64_t leases_wait_ms(const struct leases *leases, const struct state *state, uint32_t service,
                        uint64_t now_ms);

#endif
