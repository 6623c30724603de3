/* The world's own record of what happened to its zones: JSON lines in a file, each flushed before
 * the reply that it belongs to is sent. A test judges by this file, not by what the coordinator
 * says. */
#ifndef WORLD_LEDGER_H
#define WORLD_LEDGER_H

#include <jansson.h>

#include "base/clock.h"
#include "base/error.h"
#include "change_batch.h"
#include "hosted_zone.h"

#define LEDGER_KEPT_MAX 20000
#define LEDGER_FENCE_PREFIX "_noctua"

struct ledger;

enum error_code ledger_open(const char *path, const struct clock *clock, struct ledger **ret_ledger,
                            struct error *error);
void ledger_close(struct ledger *ledger); /* takes NULL */

/* Writes one line: `entry` (whose reference it takes) with seq, t_ms and mono_ms in front. */
void ledger_write(struct ledger *ledger, json_t *entry);

/* The newest LEDGER_KEPT_MAX entries with seq > since, as an array. */
json_t *ledger_dump(const struct ledger *ledger, uint64_t since);

/* An entry with what a change does to a zone: zone, effective, fence_*, records. `batch` (or NULL)
 * says which fences the change names. */
json_t *ledger_describe(const char *kind, const struct hosted_zone *zone,
                        const struct change_batch *batch, const struct zone_state *before,
                        const struct zone_state *after);

#endif
