/* The two clocks, behind an interface so that a whole node can run in virtual time.
 * boottime: CLOCK_BOOTTIME, never set by anybody, goes on in suspend: for every duration.
 * wall: CLOCK_REALTIME, may jump: only reported, shown and voted on (core/TICK). */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

struct clock {
    uint64_t (*boottime_ms)(void *context);
    uint64_t (*wall_ms)(void *context);
    void *context;
};

/* The machine's own clocks. */
extern const struct clock clock_system;

static inline uint64_t clock_boottime_ms(const struct clock *clock) {
    return clock->boottime_ms(clock->context);
}

static inline uint64_t clock_wall_ms(const struct clock *clock) {
    return clock->wall_ms(clock->context);
}

#define CLOCK_TEXT_SIZE 32

/* "2026-11-23T03:07:41.204Z" (ISO 8601, UTC) into text. Returns text. */
char *clock_format_utc(uint64_t wall_ms, char text[CLOCK_TEXT_SIZE]);

#endif
