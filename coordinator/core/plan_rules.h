/* Plans, as made by policy and as checked by apply. */
#ifndef CORE_PLAN_RULES_H
#define CORE_PLAN_RULES_H

#include "core/command.h"

/* Whether a plan is one that may run: settles every debt first (unless waived by name), outlasts a
 * lease where the active region may hold one, switches exactly once, writes DNS after the switch,
 * each zone exactly once; where the service has a replica set, a move writes to the promoted
 * primary before it switches, and forces a config first only where a person declared those dead
 * that are silent; an adoption fences each zone exactly once, then switches; a release takes each
 * fence out, then "switches" to being left alone; a repair writes DNS only; a readmission changes
 * the replica set's config only. */
bool plan_is_sound(const struct state *state, uint32_t service, enum execution_kind kind,
                   uint32_t to, uint32_t skipped_gates, const struct mongo_view *view,
                   const struct plan *plan);

/* Services that serve from a region, or are moving there; and whether it can carry this one too
 * (max_active). */
uint32_t services_at_region(const struct state *state, uint32_t service, uint32_t region);
bool target_has_room(const struct state *state, uint32_t service, uint32_t region);

/* Automatic moves of a service that ended within its max_moves window, and suspicions that ended
 * without a move within FLAP_WINDOW_MS. */
#define FLAP_WINDOW_MS UINT64_C(1800000)
#define FLAP_MAX 5
uint32_t service_recent_moves(const struct state *state, uint32_t service);
uint32_t service_recent_unsuspects(const struct state *state, uint32_t service);

/* Whether this node is the first one of its region, for a walk over the regions of nodes. */
bool votes_is_first_of_region(const struct state *state, uint32_t node);

#endif
