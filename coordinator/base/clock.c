#include "base/clock.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

static uint64_t read_ms(clockid_t id) {
    struct timespec now;
    int rv = clock_gettime(id, &now);
    assert(rv == 0);
    (void)rv;
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static uint64_t system_boottime_ms(void *context) {
    (void)context;
    return read_ms(CLOCK_BOOTTIME);
}

static uint64_t system_wall_ms(void *context) {
    (void)context;
    return read_ms(CLOCK_REALTIME);
}

const struct clock clock_system = {system_boottime_ms, system_wall_ms, NULL};

char *clock_format_utc(uint64_t wall_ms, char text[CLOCK_TEXT_SIZE]) {
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm parts;
    if (gmtime_r(&seconds, &parts) == NULL || parts.tm_year > 8099) {
        (void)snprintf(text, CLOCK_TEXT_SIZE, "%" PRIu64 "ms", wall_ms);
        return text;
    }
    size_t used = strftime(text, CLOCK_TEXT_SIZE, "%Y-%m-%dT%H:%M:%S", &parts);
    (void)snprintf(text + used, CLOCK_TEXT_SIZE - used, ".%03uZ", (unsigned)(wall_ms % 1000));
    return text;
}
