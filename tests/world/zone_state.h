/* All record sets of a zone at one moment, sorted as a listing is. Once published a state is never
 * changed, only replaced: that makes a batch all-or-none, and lets a change be forgotten later. */
#ifndef WORLD_ZONE_STATE_H
#define WORLD_ZONE_STATE_H

#include <stdbool.h>
#include <stddef.h>

#include "record_set.h"

/* Route 53's default quota. */
#define ZONE_RECORD_SETS_MAX 10000

struct zone_state {
    unsigned reference_count;
    size_t count;
    size_t capacity;
    struct record_set **sets;
};

struct zone_state *zone_state_create(void);
struct zone_state *zone_state_ref(struct zone_state *state);
void zone_state_unref(struct zone_state *state); /* takes NULL */
/* A copy that may be changed as long as nobody else has a reference. */
struct zone_state *zone_state_copy(const struct zone_state *state);

/* The set with the same key (name, type, set identifier), or NULL. */
struct record_set *zone_state_find(const struct zone_state *state, const struct record_set *key);
/* Index of the first set that is not before the key (count if there is none). */
size_t zone_state_lower_bound(const struct zone_state *state, const struct record_set *key);
/* Index of the first set whose name is not before `name`. */
size_t zone_state_first_of_name(const struct zone_state *state, const char *name);

/* Adds the set, or replaces the one of the same key; takes a reference. */
void zone_state_put(struct zone_state *state, struct record_set *set);
/* The key must be there. */
void zone_state_remove(struct zone_state *state, const struct record_set *key);

/* Calls back for each key whose set differs; before or after is NULL when it isn't there. Returns
 * how many there are. */
typedef void (*zone_state_difference)(void *context, const struct record_set *before,
                                      const struct record_set *after);
size_t zone_state_compare(const struct zone_state *before, const struct zone_state *after,
                          zone_state_difference difference, void *context);

#endif
