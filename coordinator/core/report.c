#include <stddef.h>
#include <string.h>

#include "core/policy.h"

void report_copy(struct report *to, const struct report *from) {
    uint32_t count =
        to->service_count > from->service_count ? to->service_count : from->service_count;
    count = count < SERVICE_MAX ? count : SERVICE_MAX;
    memcpy(to, from, offsetof(struct report, windows));
    memcpy(to->windows, from->windows, count * sizeof to->windows[0]);
    memcpy(to->opinions, from->opinions, count * sizeof to->opinions[0]);
    memcpy(to->mongo, from->mongo, count * sizeof to->mongo[0]);
}
