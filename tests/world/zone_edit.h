/* Changes of a zone that don't come through the API: what another person does, and what a zone has
 * to begin with. They keep to the zone's rules, but not to any limit of a request. */
#ifndef WORLD_ZONE_EDIT_H
#define WORLD_ZONE_EDIT_H

#include <jansson.h>

#include "base/error.h"
#include "change_batch.h"
#include "hosted_zone.h"

/* {"set": RECORD-SET} | {"delete": {"Name", "Type"[, "SetIdentifier"]}} | {"changes": [of these]},
 * with an optional "comment". What is to be deleted is looked up in `current`. Errors: INVALID,
 * NOT_FOUND. */
enum error_code zone_edit_parse(const json_t *json, const struct zone_state *current,
                                struct change_batch *ret_batch, struct error *error);

/* An array of record sets, each to be put. Errors: INVALID. */
enum error_code zone_edit_parse_sets(const json_t *json, struct change_batch *ret_batch,
                                     struct error *error);

/* *ret_after is a new state. Errors: REFUSED, with the first message. */
enum error_code zone_edit_apply(const struct hosted_zone *zone, const struct change_batch *batch,
                                struct zone_state **ret_after, struct error *error);

#endif
