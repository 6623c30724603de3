/* Record sets as JSON, with Route 53's words: {"Name", "Type", "SetIdentifier", "Weight", "Region",
 * "GeoLocation", "Failover", "MultiValueAnswer", "TTL", "Values": [..] or "ResourceRecords":
 * [{"Value"}], "AliasTarget": {"HostedZoneId", "DNSName", "EvaluateTargetHealth"},
 * "HealthCheckId"}. For files of records, the control API and the ledger. */
#ifndef WORLD_RECORD_JSON_H
#define WORLD_RECORD_JSON_H

#include <jansson.h>

#include "base/error.h"
#include "record_set.h"
#include "zone_state.h"

/* A new reference, or null for NULL. */
json_t *record_json_dump(const struct record_set *set);
json_t *record_json_dump_state(const struct zone_state *state);

/* Errors: INVALID. Unknown keys are errors. */
enum error_code record_json_parse(const json_t *json, struct record_set **ret_set,
                                  struct error *error);

#endif
