/* From committed state to what the driver needs to know of a step's target. */
#ifndef EXECUTOR_TARGET_H
#define EXECUTOR_TARGET_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "core/state.h"
#include "driver/driver.h"

/* A zone of a service, with all its records. */
void target_of_zone(const struct state *state, uint32_t service, uint32_t zone,
                    struct driver_target *ret);

/* The replica set of a service; region `to` is to come first. */
void target_of_set(const struct state *state, uint32_t service, uint32_t to,
                   struct driver_target *ret);

/* The target of a step; false when it is gone (a debt settled meanwhile). */
bool target_of_step(const struct state *state, uint32_t service, uint32_t step,
                    struct driver_target *ret);

/* What the records (PLACE_OF_SET: the config) should be once `region` serves; diff: for people. */
enum error_code target_desired(const struct state *state, uint32_t service, uint32_t zone,
                               uint32_t region, const struct driver_target *target,
                               const struct driver_blob *as_read, struct driver_blob *ret,
                               char *diff, size_t diff_size, struct error *error);

#endif
