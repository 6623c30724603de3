/* A replica set as a target.
 *
 * Its config is changed as a compare-and-swap: one that a majority of the voters was read to have
 * names the version that a change takes (its own, plus one; or above whatever a forced one may have
 * become), and replSetReconfig refuses a version
 * that isn't greater than the member's. What `ok` means differs (3.6: on one member; 4.4: on a
 * majority), so only a read on a majority decides; it is `in sync` by that alone.
 *
 * A forced one has no such condition: it goes to one pinned member, when each member that is to
 * stay answers and none that is left out does, and it is read back on a majority of those that
 * stay.
 *
 * A change goes to the primary, on a connection of its own, once. StepUp and the write of
 * `write_check` have no condition at the target; sent twice or late they do no harm.
 *
 * Source: MongoDB's replSetGetConfig, replSetReconfig, replSetStepUp, replSetFreeze; what 3.6 and
 * 4.4 do was recorded from real servers (docs/mongodb.md). */
#ifndef DRIVER_MONGO_H
#define DRIVER_MONGO_H

#include <uv.h>

#include "base/clock.h"
#include "driver/driver.h"
#include "mongo/client.h"

struct mongo_driver_options {
    uv_loop_t *loop;
    const struct clock *clock;
    struct mongo_client *client; /* must outlive it */
    const char *cluster;         /* whose fences and writes these are */
    const char *secrets;         /* the directory */
};

/* ERROR_NO_MEMORY. */
enum error_code mongo_driver_create(const struct mongo_driver_options *options,
                                    struct driver **ret_driver, struct error *error);

/* The state that a step wants, by target->change. diff: for people, "" when nothing changes. Pure.
 */
enum error_code mongo_driver_desired(const struct driver_target *target,
                                     const struct driver_blob *as_read, struct driver_blob *ret,
                                     char *diff, size_t diff_size, struct error *error);

/* The version that DRIVER_SET_FORCE will ask for; target->forced_version: of the one before.
 * Servers add up to MONGO_FORCE_JUMP to it. Pure. */
uint64_t mongo_driver_forced_version(const struct driver_target *target,
                                     const struct driver_blob *as_read);

/* What DRIVER_SET_FORCE leaves out of the config that was read. ERROR_LIMIT: a document too large
 * to be kept. Pure. */
enum error_code mongo_driver_left_out(const struct driver_target *target,
                                      const struct driver_blob *as_read,
                                      struct left_out list[MONGO_MEMBER_MAX], uint32_t *ret_count,
                                      struct error *error);

#endif
