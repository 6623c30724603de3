/* Counters that live as long as the process, and the text of /metrics (Prometheus exposition format
 * 0.0.4). Used on the main loop only; the endpoint thread adds its own few lines when asked. */
#ifndef API_METRICS_H
#define API_METRICS_H

#include <stdint.h>

#include "api/facts.h"
#include "base/buffer.h"

#define METRICS_CODE_MAX 32 /* different result codes a (service, region) */
#define METRICS_TEXT_MAX_BYTES (8 * 1024 * 1024)

struct metrics;

/* NULL: no memory. */
struct metrics *metrics_create(void);
void metrics_destroy(struct metrics *metrics); /* NULL: nothing */

/* One finished probe. `service` and `region` are names; a code beyond METRICS_CODE_MAX counts as
 * "other". */
void metrics_count_probe(struct metrics *metrics, const char *service, const char *region,
                         const char *code, uint32_t duration_ms);

/* Counts the events that were added to state->events since the last call; the first call only
 * remembers where they end. Call it after each apply. */
void metrics_count_events(struct metrics *metrics, const struct state *state);

/* Appends everything but the endpoint thread's own counters. HELP and TYPE stand once a name. */
void metrics_render(const struct metrics *metrics, const struct api_facts *facts,
                    struct buffer *out);

#endif
