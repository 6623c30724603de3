/* The config of a replica set as the driver reads and writes it. Pure: BSON in, BSON out.
 *
 * The fence is the value of the tag `noctua`, the same at every member that may carry tags (an
 * arbiter may not). The state is everything else but `term`, which the servers put in themselves:
 * a change is made for one version, and refused when another config has taken it
 * (replSetReconfig: the version must be greater than the member's own).
 *
 * Fields that aren't known here are carried over as they are. */
#ifndef DRIVER_MONGO_CONFIG_H
#define DRIVER_MONGO_CONFIG_H

#include <bson/bson.h>

#include "driver/driver.h"
#include "mongo/reply.h"

#define MONGO_FENCE_TAG "noctua"
/* Names of members. */
struct mongo_hosts {
    uint32_t count;
    char hosts[MONGO_MEMBER_MAX][MONGO_HOST_SIZE];
};

/* Splits `config` (of replSetGetConfig's reply) into fence and state. ERROR_CONFLICT: members carry
 * different fences, or one that is none; ERROR_LIMIT: too large; ERROR_CORRUPT: no config. */
enum error_code mongo_config_split(const bson_t *config, struct driver_reading *ret,
                                   struct error *error);

/* The config that a change asks for: `state` with the fence (NULL: without any) and a version.
 * *ret is initialised, also on failure. */
enum error_code mongo_config_join(const struct driver_blob *state, const char *fence,
                                  uint64_t version, bson_t *ret, struct error *error);

/* The version in a state; 0: there is none. */
uint64_t mongo_config_version(const struct driver_blob *state);

/* The same state with the members of one region before all others: electable members elsewhere get
 * priorities from 1 up, those of the region from 10 up, in each group in the order that they had.
 * Done again it changes nothing. diff: what changes, for people ("w1:27017 1 -> 10"). */
enum error_code mongo_config_prefer(const struct driver_blob *state, const char *region_tag,
                                    const char *region, struct driver_blob *ret, char *diff,
                                    size_t diff_size, struct error *error);

/* The same state without the dead, the members of one region first. */
enum error_code mongo_config_force(const struct driver_blob *state, const struct mongo_hosts *dead,
                                   const char *region_tag, const char *region,
                                   struct driver_blob *ret, char *diff, size_t diff_size,
                                   struct error *error);

/* The documents of the dead in it. */
enum error_code mongo_config_left_out(const struct driver_blob *state,
                                      const struct mongo_hosts *dead,
                                      struct left_out list[MONGO_MEMBER_MAX], uint32_t *ret_count,
                                      struct error *error);

/* The same state with one that was left out again: behind the others, without vote and priority,
 * what it had in the tag MONGO_WAS_TAG (an arbiter with its vote: servers take none without). When
 * it is there already (left_out has no bytes), with what that tag says, and without the tag. The
 * members of one region stay first. ERROR_NOT_FOUND: neither a document nor a tag tells what it
 * had; ERROR_CONFLICT: it has come in by another way. */
enum error_code mongo_config_readmit(const struct driver_blob *state, const char *host,
                                     const struct left_out *left_out, const char *region_tag,
                                     const char *region, struct driver_blob *ret, char *diff,
                                     size_t diff_size, struct error *error);

#endif
