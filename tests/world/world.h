/* The whole world of one process, shared by the parts that talk to somebody. The models (zones,
 * faults, signatures, DNS answers) don't know it. Everything runs on one loop: there are no locks.
 */
#ifndef WORLD_WORLD_H
#define WORLD_WORLD_H

#include <uv.h>

#include "base/clock.h"
#include "base/entropy.h"
#include "credentials.h"
#include "faults.h"
#include "hosted_zone.h"
#include "http_server.h"
#include "ledger.h"
#include "options.h"

struct held;
struct mongo_server;
struct dns_server;
struct region_table;

/* What GET /stats shows. */
struct world_counters {
    uint64_t requests[FAULT_OPERATION_COUNT];
    uint64_t refused;
    uint64_t throttled;
    uint64_t changes;
    uint64_t effective_changes;
};

struct world {
    uv_loop_t loop;
    const struct options *options;
    struct clock clock;
    struct entropy entropy;
    int64_t wall_offset_ms; /* the world's wall clock is so much ahead of the machine's */
    struct hosted_zones zones;
    struct credentials credentials;
    struct fault_table faults;
    struct held *held;
    size_t held_count;
    struct ledger *ledger;
    struct region_table *regions;
    struct http_server *control;
    struct http_server *route53;
    struct http_server *sts;
    struct dns_server *dns;
    struct mongo_server *mongo; /* NULL: none */
    struct world_counters counters;
    /* Token bucket of --throttle, in thousandths of a request. */
    uint64_t throttle_tokens;
    uint64_t throttle_filled_ms;
};

/* Ends the loop in an orderly way (main.c). */
void world_stop(struct world *world);

#endif
