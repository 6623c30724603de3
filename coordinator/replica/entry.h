/* One entry of the log: the commands that were proposed together. Pure.
 *
 *   format u8 (1), zeros (3), count u32, proposer u64, batch u64;
 *   count times: size u32, then so many bytes of codec/command_codec.h; zeros up to a multiple of 8
 *
 * All little-endian; libraft wants a multiple of 8. `proposer` names a process (random at its
 * start) and `batch` counts its batches: by them it knows its own entries again when they are
 * applied, whatever became of its leadership meanwhile. They are not part of the state. */
#ifndef REPLICA_ENTRY_H
#define REPLICA_ENTRY_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define ENTRY_FORMAT 1
#define ENTRY_HEAD_BYTES 24
#define ENTRY_COMMAND_HEAD_BYTES 4
#define ENTRY_ALIGN_BYTES 8

struct entry_head {
    uint32_t count;
    uint64_t proposer, batch;
};

/* Bytes that an entry of `count` commands with `command_bytes` in all takes. */
size_t entry_size_bytes(uint32_t count, size_t command_bytes);

struct entry_writer {
    uint8_t *bytes;
    size_t size_bytes, at_bytes;
};

/* `bytes` has entry_size_bytes(...) bytes; then exactly head->count calls of entry_write_command.
 */
void entry_write_head(struct entry_writer *writer, uint8_t *bytes, size_t size_bytes,
                      const struct entry_head *head);
void entry_write_command(struct entry_writer *writer, const void *command, size_t size_bytes);

struct entry_reader {
    const uint8_t *bytes;
    size_t size_bytes, at_bytes;
    struct entry_head head;
};

/* ERROR_UNSUPPORTED: a format of a newer version. ERROR_PROTOCOL: not an entry. */
enum error_code entry_read_head(struct entry_reader *reader, const void *bytes, size_t size_bytes,
                                struct error *error);
/* The next command; exactly head.count times. */
enum error_code entry_read_command(struct entry_reader *reader, const void **ret_command,
                                   size_t *ret_size_bytes, struct error *error);

#endif
