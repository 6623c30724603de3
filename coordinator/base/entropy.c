#include "base/entropy.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

static void system_fill(void *context, void *bytes, size_t size_bytes) {
    (void)context;
    uint8_t *at = bytes;
    while (size_bytes > 0) {
        ssize_t got = getrandom(at, size_bytes, 0);
        if (got < 0) {
            assert(errno == EINTR);
            continue;
        }
        at += got;
        size_bytes -= (size_t)got;
    }
}

const struct entropy entropy_system = {system_fill, NULL};

uint64_t entropy_u64(const struct entropy *entropy) {
    uint64_t value;
    entropy->fill(entropy->context, &value, sizeof value);
    return value;
}

uint64_t entropy_between(const struct entropy *entropy, uint64_t low, uint64_t high) {
    assert(low <= high);
    uint64_t span = high - low + 1;
    if (span == 0) {
        return entropy_u64(entropy);
    }
    /* Draw again in the uneven tail: no value is likelier than another. */
    uint64_t limit = UINT64_MAX - UINT64_MAX % span;
    uint64_t value;
    do {
        value = entropy_u64(entropy);
    } while (value >= limit);
    return low + value % span;
}
