/* Snapshots: the whole committed state as canonical protobuf, and its digest. Every field of
 * `struct state` is in it: same state, same bytes; another state, other bytes. Places beyond an
 * array's count are not part of the state and are never touched (they are mostly not resident).
 * Pure functions of their input, from any thread. */
#ifndef CODEC_STATE_CODEC_H
#define CODEC_STATE_CODEC_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "core/state.h"

#define CODEC_SNAPSHOT_VERSION 1
#define CODEC_SNAPSHOT_SIZE_MAX (64 * 1024 * 1024) /* bytes */

/* Appends a snapshot to `out`. A state that no node could read back is refused with ERROR_INTERNAL
 * (our own mistake: name it in the log, and don't write the snapshot); then `out` is as it was. */
enum error_code codec_encode_state(const struct state *state, struct buffer *out,
                                   struct error *error);

/* Reads a snapshot into `into`, which is made all zero first (without making untouched pages
 * resident: memory fresh from calloc stays as small as it is), unless it `is_new`: as calloc and
 * state_init() have left it. On failure its content is undefined and the caller discards it.
 * ERROR_UNSUPPORTED: of a newer format or feature level. ERROR_PROTOCOL, ERROR_LIMIT,
 * ERROR_INVALID: as codec_decode_batch. */
enum error_code codec_decode_state(const void *bytes, size_t size_bytes, struct state *into,
                                   bool is_new, struct error *error);

/* SHA-256 of the bytes that codec_encode_state would write. */
void codec_state_digest(const struct state *state, uint8_t digest[32]);

#endif
