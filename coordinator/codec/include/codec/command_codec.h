/* Log entries: a batch of commands that were proposed together, as canonical protobuf (the rules
 * stand at the top of proto/noctua.proto). Pure functions of their input, from any thread.
 *
 * A decoded command is safe for core: each length, count, enum, place, text and number is within
 * its limit. Whether it makes sense is state_apply's business. */
#ifndef CODEC_COMMAND_CODEC_H
#define CODEC_COMMAND_CODEC_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "core/command.h"

#define CODEC_BATCH_VERSION 1
#define CODEC_BATCH_COMMAND_MAX 256
#define CODEC_BATCH_SIZE_MAX                                                                       \
    (2 * 1024 * 1024) /* bytes; a spec with its text is the largest part                           \
                       */

struct command_batch {
    struct command **commands;
    uint32_t count;
};

/* Appends one entry to `out`. Refuses what no node could read (ERROR_INVALID, ERROR_LIMIT), because
 * an entry that can't be decoded would stop the whole group; then `out` is as it was.
 * command.spec.text may be NULL when text_size is 0. */
enum error_code codec_encode_batch(const struct command *const *commands, uint32_t count,
                                   struct buffer *out, struct error *error);

/* The commands of one entry, on the heap; end with codec_batch_finish. Bytes behind the texts and
 * in unused places are zero.
 * ERROR_UNSUPPORTED: an unknown version, kind, field or enum value: a newer node wrote it.
 * ERROR_PROTOCOL: not an entry, or not canonical. ERROR_LIMIT, ERROR_INVALID: over a limit, out of
 * range. ERROR_NO_MEMORY. */
enum error_code codec_decode_batch(const void *bytes, size_t size_bytes, struct command_batch *ret,
                                   struct error *error);

/* Frees all commands, with their specs and texts. A zeroed batch is fine. */
void codec_batch_finish(struct command_batch *batch);

/* SHA-256 of a plan's canonical bytes: the same for the same steps, on every node and version. */
void codec_plan_digest(const struct plan *plan, uint8_t digest[32]);

/* Makes a text from outside (a target's words, cut anywhere) fit for a command: what is not UTF-8,
 * and control characters, become '?'. In place, NUL-terminated, never longer. */
void codec_clean_text(char *text);

#endif
