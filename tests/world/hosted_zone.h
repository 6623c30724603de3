/* Hosted zones and their changes over time: PENDING, then INSYNC, or forgotten. A change is applied
 * to the newest state at once (that is what a listing shows); the state that is in sync follows.
 * Pure: the caller brings the time (milliseconds of a clock that never jumps) and the ids. */
#ifndef WORLD_HOSTED_ZONE_H
#define WORLD_HOSTED_ZONE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "change_batch.h"
#include "zone_state.h"

#define HOSTED_ZONES_MAX 64
#define HOSTED_ZONE_CHANGES_MAX 100000
#define HOSTED_CHANGE_ID_SIZE 24

enum hosted_change_status { HOSTED_PENDING, HOSTED_INSYNC, HOSTED_FORGOTTEN };

struct hosted_change {
    char id[HOSTED_CHANGE_ID_SIZE]; /* without "/change/" */
    char *comment;                  /* NULL: none */
    uint64_t submitted_wall_ms;
    uint64_t insync_at_ms;
    enum hosted_change_status status;
    /* Never settles by itself: waits to be forgotten. */
    bool stuck;
    /* Forgotten, and GetChange doesn't know it any more (else it says PENDING for ever). */
    bool missing;
    struct zone_state *before; /* both only while PENDING */
    struct zone_state *after;
};

struct hosted_zone {
    char id[RECORD_ZONE_ID_MAX + 1]; /* without "/hostedzone/" */
    char name[DNS_NAME_SIZE];
    uint64_t insync_delay_ms;
    struct zone_state *newest;
    struct zone_state *insync;
    struct hosted_change **changes; /* in order of acceptance */
    size_t change_count;
    size_t first_open; /* every change before this one is settled */
};

struct hosted_zones {
    struct hosted_zone *zones[HOSTED_ZONES_MAX];
    size_t count;
};

/* A zone begins with its SOA and NS sets. Errors: INVALID (id, name), LIMIT, EXISTS. */
enum error_code hosted_zones_add(struct hosted_zones *zones, const char *id, const char *name,
                                 uint64_t insync_delay_ms, struct error *error);
void hosted_zones_finish(struct hosted_zones *zones);
struct hosted_zone *hosted_zones_find(const struct hosted_zones *zones, const char *id);
/* NULL: nobody knows it, or it was forgotten and is missing. */
struct hosted_change *hosted_zones_find_change(const struct hosted_zones *zones, const char *id,
                                               struct hosted_zone **ret_zone);

/* The four name servers of every zone, with trailing dot. */
extern const char *const hosted_zone_name_servers[4];

/* Makes `after` (whose reference it takes) the newest state. The change belongs to the zone. */
struct hosted_change *hosted_zone_accept(struct hosted_zone *zone, const char *change_id,
                                         const char *comment, struct zone_state *after,
                                         uint64_t now_ms, uint64_t wall_ms);

/* Turns what is due to INSYNC. Call before looking at a status or at `insync`. */
void hosted_zone_settle(struct hosted_zone *zone, uint64_t now_ms);

/* Takes the zone back to the state before this change: it, and all later ones, are forgotten. Only
 * for a change that is PENDING. Returns how many were forgotten. */
size_t hosted_zone_forget(struct hosted_zone *zone, struct hosted_change *change, bool missing);

#endif
