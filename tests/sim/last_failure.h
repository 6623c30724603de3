/* The clean failure at the end of a world: what it demanded, and why not where it didn't. */
#ifndef SIM_LAST_FAILURE_H
#define SIM_LAST_FAILURE_H

#include "core/gate.h"
#include "sim.h"

/* By the closed gate; beyond them what isn't asked by gates. */
#define LAST_FAILURE_SKIP_COUNT (GATE_COUNT + 4)

struct sim_last_failure {
    bool is_near; /* nobody does anything to the services from here on, but to make them ready */
    uint64_t demanded; /* moves; below, services that needn't move */
    uint64_t skipped[LAST_FAILURE_SKIP_COUNT];
};

/* One region falls. sim_broken() where what must follow doesn't. */
void last_failure(struct sim *sim);
/* The lines of a run's summary. */
void last_failure_print(uint64_t demanded, const uint64_t skipped[LAST_FAILURE_SKIP_COUNT]);

#endif
