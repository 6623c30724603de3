/* What a node says to the leader each second, as canonical protobuf. Only open windows and known
 * opinions are sent. Pure functions of their input, from any thread. */
#ifndef CODEC_REPORT_CODEC_H
#define CODEC_REPORT_CODEC_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "core/policy.h"

#define CODEC_REPORT_VERSION 1
#define CODEC_REPORT_SIZE_MAX (512 * 1024) /* bytes */

/* Appends a report to `out`. Of `opinions` and `windows` only the first service_count (and
 * region_count) places are read. Refuses what no node could read; then `out` is as it was. */
enum error_code codec_encode_report(const struct report *report, struct buffer *out,
                                    struct error *error);

/* Reads a report into `ret`, which holds one already, or zeroes: what was not sent is zero.
 * Untouched on failure. Codes as codec_decode_batch. `struct report` is large (about 400 KB): not
 * for a small stack. */
enum error_code codec_decode_report(const void *bytes, size_t size_bytes, struct report *ret,
                                    struct error *error);

#endif
