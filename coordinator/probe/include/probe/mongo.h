/* Watches the replica sets of all services: asks each member by itself, every interval, and keeps
 * what was learnt with its age (CLOCK_BOOTTIME).
 *
 * A round asks every member at once, each on a link of its own (mongo/client.h): hello (isMaster
 * where that isn't known), replSetGetStatus, replSetGetConfig when the one that is known may be
 * old, and each minute the start of the primary's oplog. It ends with the last answer, at its
 * timeout at the latest, and gives one result for each region that has members (probe/debounce.h
 * counts them):
 *
 *   a region      passes when an electable, data-bearing member tagged with it answers as SECONDARY
 *                 or PRIMARY
 *   the active    ... and some member of the set, anywhere, is the writable primary. That one has
 *   one           moved by itself is no reason to suspect a region; that there is none is
 *
 * The writable primary is the one member that says so itself in the highest term that any member is
 * known to have: a stale primary's claim counts for nothing. What tells about this node instead of
 * the set (its credentials, its threads, a config that it never read) is void.
 *
 * The canary: with a write_check each node replaces its own document there, w:majority: the leader
 * every interval, the others every PROBE_MONGO_CANARY_MS, so that whoever leads next has something
 * to say at once and nine nodes cost the set about one write a second.
 *
 * The rate: every PROBE_MONGO_RATE_MS the writable primary is asked how many writes it took
 * (serverStatus), on a link of its own that no round waits for. A user who may not ask isn't told,
 * which is no trouble.
 *
 * Members come from the newest config that was read; seeds only begin it, and are asked again while
 * no member answers. One thread: the loop's. */
#ifndef PROBE_MONGO_H
#define PROBE_MONGO_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/clock.h"
#include "base/entropy.h"
#include "base/error.h"
#include "core/mongo.h"
#include "core/spec.h"
#include "probe/result.h"

#define PROBE_MONGO_CANARY_MS 10000
#define PROBE_MONGO_OPLOG_MS 60000
#define PROBE_MONGO_RATE_MS 10000
#define PROBE_MONGO_RATE_OLD_MS 60000 /* of a primary that is there, and doesn't say any more */
#define PROBE_MONGO_CONFIG_MS 30000   /* read again after so long, whatever members say */

struct mongo_client;

struct probe_mongo_options {
    uint64_t (*applied_index)(void *context); /* asked when a round starts */
    /* A round ended: the result of one region. May be NULL. */
    void (*on_result)(void *context, uint32_t service, uint32_t region,
                      const struct probe_result *result);
    /* Another member is the writable primary, or none is any more; or other regions have members.
     * Comes before the results of that round. May be NULL. */
    void (*on_change)(void *context, uint32_t service);
    void *context;
    struct mongo_client *client; /* must outlive it */
    const char *node;            /* its canary's document */
    const char *secrets;         /* the directory */
};

struct probe_mongo;

/* clock and entropy must outlive it. ERROR_NO_MEMORY. */
enum error_code probe_mongo_create(uv_loop_t *loop, const struct clock *clock,
                                   const struct entropy *entropy,
                                   const struct probe_mongo_options *options,
                                   struct probe_mongo **ret_watch, struct error *error);

/* Watches the sets of a spec's services, whose places are the keys from now on; `active[]` by
 * service: the region where it is active. A set that is asked for in the same way as before keeps
 * what it knows. Not to be called from a callback. ERROR_NO_MEMORY: some aren't watched. */
enum error_code probe_mongo_configure(struct probe_mongo *watch, const struct spec *spec,
                                      const uint32_t active[SERVICE_MAX], struct error *error);

/* This node leads: its canary speaks for the group. */
void probe_mongo_lead(struct probe_mongo *watch, bool leads);

/* Whether results of this region are to be expected: it has members, or no config was read yet.
 * False for a service without a set. */
bool probe_mongo_has_members(const struct probe_mongo *watch, uint32_t service, uint32_t region);

/* False, `ret` untouched: the service has no set. */
bool probe_mongo_facts(const struct probe_mongo *watch, uint32_t service, struct mongo_facts *ret);

/* The region of the writable primary, and until when (CLOCK_BOOTTIME) that may be taken for so,
 * which is as long as two rounds and handing it on take. NONE_INDEX: there is none, it was not seen
 * lately, or it is in no region of the spec. */
uint32_t probe_mongo_primary(const struct probe_mongo *watch, uint32_t service,
                             uint64_t *ret_until_ms);

/* Ends all rounds without results, closes every handle, frees it, and calls on_closed once, from
 * the loop. NULL: at once. Not to be called from a callback. */
void probe_mongo_destroy(struct probe_mongo *watch, void (*on_closed)(void *context),
                         void *context);

#endif
