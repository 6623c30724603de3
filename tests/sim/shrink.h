/* --shrink. */
#ifndef SIM_SHRINK_H
#define SIM_SHRINK_H

#include "world.h"

/* Prints how it gets on and the smallest mix of faults that still breaks the same invariant, and
 * leaves that in `options`. False: the world isn't broken. */
bool shrink(struct sim_options *options);

#endif
