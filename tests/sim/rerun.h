/* How to run a world again. */
#ifndef SIM_RERUN_H
#define SIM_RERUN_H

#include "world.h"

#define RERUN_SIZE 1200

/* The `make` line that runs the world of these options, by this simulator. */
void rerun_line(const struct sim_options *options, char ret_line[RERUN_SIZE]);

/* From here on a signal says which world this process was at: an assertion, a crash, or a world
 * that hangs (more processor time than any takes). */
void rerun_watch(const struct sim_options *options);

#endif
