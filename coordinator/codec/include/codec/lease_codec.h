/* The leader's answer to a report that asks for leases, as canonical protobuf. Pure. */
#ifndef CODEC_LEASE_CODEC_H
#define CODEC_LEASE_CODEC_H

#include <stddef.h>

#include "base/buffer.h"
#include "base/error.h"
#include "core/lease.h"

#define CODEC_LEASE_SIZE_MAX (64 * 1024) /* bytes */

/* Appends the answer. Refuses what no node could read; then `out` is as it was. */
enum error_code codec_encode_lease(const struct lease_answer *answer, struct buffer *out,
                                   struct error *error);

/* Reads one into `ret`, all of it; untouched on failure. Codes as codec_decode_batch. */
enum error_code codec_decode_lease(const void *bytes, size_t size_bytes, struct lease_answer *ret,
                                   struct error *error);

#endif
