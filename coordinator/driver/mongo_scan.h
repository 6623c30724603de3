/* One look at a whole replica set: every member is asked what it is, which config it has and how it
 * stands, all at the same time; members that only the newest config names are asked next.
 *
 * On the loop; the callback comes once, never from inside scan_begin, and not after scan_end. */
#ifndef DRIVER_MONGO_SCAN_H
#define DRIVER_MONGO_SCAN_H

#include "base/clock.h"
#include "driver/driver.h"
#include "mongo/client.h"
#include "mongo/replica_set.h"

struct scan_member {
    struct scan_member *next;
    struct mongo_scan *scan;
    struct mongo_link *link;
    char host[MONGO_HOST_SIZE];
    struct set_answer answer;
    bson_t *config; /* as it came; NULL: none */
    /* Of scan.other: the term of its last write (0: it has none); false: it couldn't be asked. */
    bool tells_oplog;
    uint64_t oplog_term;
};

struct mongo_scan {
    uv_loop_t *loop;
    const struct clock *clock;
    struct mongo_client *client;
    struct mongo_target target;
    char region_tag[NAME_SIZE];
    char other[MONGO_HOST_SIZE]; /* is asked, too, though no config may name it; "": nobody */
    struct scan_member *members;
    struct mongo_link *seeds;
    uint32_t pending;
    uint64_t start_ms;
    struct replica_set set;                          /* all that was said */
    char trouble[MONGO_DETAIL_SIZE + NAME_SIZE + 8]; /* why nobody could be asked; "" */
    void (*on_done)(void *context);
    void *context;
};

/* `scan` is the caller's, zeroed; it stays in place until scan_end. */
void scan_begin(struct mongo_scan *scan, uv_loop_t *loop, const struct clock *clock,
                struct mongo_client *client, const struct driver_target *target,
                const char *secrets, void (*on_done)(void *context), void *context);
/* Frees what it holds; questions under way come to nothing. */
void scan_end(struct mongo_scan *scan);

/* The config that a majority of its voters has, none being newer anywhere, and (from 4.4 on)
 * without having heard of a newer term than its own; NULL, with why not. */
const bson_t *scan_config(const struct mongo_scan *scan, struct error *error);
/* The newest config that any member has; NULL: none, with why not. committed: a majority of its
 * voters has it. */
const bson_t *scan_newest_config(const struct mongo_scan *scan, bool *ret_committed,
                                 struct error *error);
/* What the primary knows to be acknowledged is on the disks of as many voters of the newest config
 * as acknowledge a write now: of a config with one voter more or less, too, no majority can elect
 * without it. (From 4.4 on servers see to that themselves before they take a config: "Oplog
 * Commitment" in the paper above scan_config's definition.) */
bool scan_commits_hold(const struct mongo_scan *scan, const struct scan_member *primary);
/* The writable primary of the newest term; NULL: none. */
const struct scan_member *scan_primary(const struct mongo_scan *scan, uint32_t *ret_region);
const struct scan_member *scan_find(const struct mongo_scan *scan, const char *host);

#endif
