/* Seeded damage to valid encodings: what a decoder may be given must never crash it, and what it
 * accepts must be what it would write. */
#ifndef TEST_CODEC_MUTATE_H
#define TEST_CODEC_MUTATE_H

#include <stddef.h>
#include <stdint.h>

/* Damages a copy of the bytes in a few places: bits, bytes, lengths, pieces cut, doubled or moved.
 * Returns it (to free), exactly as long as *ret_size_bytes, so that reading beyond is seen. */
uint8_t *mutate_bytes(const void *bytes, size_t size_bytes, uint64_t *seed, size_t *ret_size_bytes);

#endif
