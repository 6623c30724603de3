/* Control targets: places outside the serving regions that a node must reach, else the fault may be
 * its own network and it votes unknown. Each is tried by a TCP connect every 2 s, timeout 1 s.
 *
 * A target counts as reached until its last two tries have both failed (one lost packet takes no
 * vote away), and from its first good try on. The node reaches its control targets when at least
 * half of them, rounded up, are reached; with none configured, always. Void tries (debounce.h)
 * count as neither. */
#ifndef PROBE_CONTROL_H
#define PROBE_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

#include "probe/engine.h"

#define PROBE_CONTROL_MAX 16
#define PROBE_CONTROL_ADDRESS_SIZE 280 /* "host:port" or "[v6]:port" */
#define PROBE_CONTROL_INTERVAL_MS 2000
#define PROBE_CONTROL_TIMEOUT_MS 1000
#define PROBE_CONTROL_TRIES 2

/* The rule itself, for a simulator as well. */
bool probe_control_suffices(uint32_t reached_count, uint32_t total_count);

struct probe_control_options {
    /* What probe_control_reaches says has changed. May be NULL. */
    void (*on_change)(void *context, bool reaches);
    void *context;
    uint32_t interval_ms, timeout_ms; /* 0: as above */
    int (*resolve)(void *context, const char *host, struct probe_address *addresses, size_t max,
                   size_t *ret_count); /* as in probe_engine_options */
    void *resolve_context;
};

struct probe_control;

/* addresses: `count` texts, copied. ERROR_INVALID (names the address), ERROR_LIMIT,
 * ERROR_NO_MEMORY. */
enum error_code probe_control_create(uv_loop_t *loop, const struct clock *clock,
                                     const struct entropy *entropy, const char *const *addresses,
                                     size_t count, const struct probe_control_options *options,
                                     struct probe_control **ret_control, struct error *error);

bool probe_control_reaches(const struct probe_control *control);
uint32_t probe_control_reached_count(const struct probe_control *control);
uint32_t probe_control_total_count(const struct probe_control *control);

/* As probe_engine_destroy. */
void probe_control_destroy(struct probe_control *control, void (*on_closed)(void *context),
                           void *context);

#endif
