#include "mutate.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "fill.h"

static void damage_in_place(uint8_t *bytes, size_t size, uint64_t *seed) {
    static const uint8_t nasty[] = {0x00, 0x01, 0x7f, 0x80, 0xff, 0x0a, 0x12};
    size_t at = random_below(seed, size);
    switch (random_below(seed, 4)) {
    case 0:
        bytes[at] ^= (uint8_t)(1u << random_below(seed, 8));
        break;
    case 1:
        bytes[at] = (uint8_t)random_next(seed);
        break;
    case 2:
        bytes[at] = nasty[random_below(seed, sizeof nasty)];
        break;
    default:
        bytes[at] = (uint8_t)(bytes[at] + (random_below(seed, 2) == 0 ? 1 : -1));
        break;
    }
}

/* Cuts, doubles or inserts a piece; bytes has room for twice its size and 16 more. */
static size_t damage_length(uint8_t *bytes, size_t size, uint64_t *seed) {
    size_t from = random_below(seed, size);
    size_t length = 1 + random_below(seed, size - from);
    switch (random_below(seed, 4)) {
    case 0: /* the end is missing */
        return from;
    case 1: /* a piece is missing */
        memmove(bytes + from, bytes + from + length, size - from - length);
        return size - length;
    case 2: /* a piece comes twice */
        memmove(bytes + from + length, bytes + from, size - from);
        return size + length;
    default: /* something follows */
        length = 1 + random_below(seed, 16);
        for (size_t i = 0; i < length; i++) {
            bytes[size + i] = (uint8_t)random_next(seed);
        }
        return size + length;
    }
}

uint8_t *mutate_bytes(const void *bytes, size_t size_bytes, uint64_t *seed,
                      size_t *ret_size_bytes) {
    uint8_t *work = malloc(size_bytes * 2 + 16);
    assert(work != NULL);
    memcpy(work, bytes, size_bytes);
    size_t size = size_bytes;
    for (uint64_t n = 1 + random_below(seed, 3); n > 0 && size > 0; n--) {
        damage_in_place(work, size, seed);
    }
    if (random_below(seed, 3) == 0 && size > 0) {
        size = damage_length(work, size, seed);
    }
    uint8_t *exact = malloc(size > 0 ? size : 1);
    assert(exact != NULL);
    memcpy(exact, work, size);
    free(work);
    *ret_size_bytes = size;
    return exact;
}
