/* Raft's messages as bytes: our own format, so that every field of a peer is checked before the
 * library, which asserts on what it doesn't expect, sees it. Pure; big-endian; described in wire.c.
 *
 * Memory handed to the library comes from malloc (heap.c), in the shape that raft.h asks for: the
 * entries in one array, their data in one block that every entry names as its `batch`. */
#ifndef REPLICA_WIRE_H
#define REPLICA_WIRE_H

#include <raft.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/buffer.h"
#include "base/error.h"

#define WIRE_FORMAT 1
#define WIRE_INDEX_MAX (UINT64_C(1) << 56) /* of a term and of a log index: no overflow, ever */
#define WIRE_ENTRY_MAX 512                 /* entries a message */
#define WIRE_ENTRY_BYTES_MAX (2 * 1024 * 1024)
#define WIRE_MESSAGE_BYTES_MAX (8 * 1024 * 1024) /* of one without snapshot, all in all */
#define WIRE_ADDRESS_MAX 255                     /* of a server, in a configuration */

/* A message to be sent, or a part of one. Entries' and snapshot's data is not copied: it must
 * outlive the buffers' use. Begin with a zeroed one, end with buffer_finish(&part.head). */
struct wire_part {
    struct buffer head;
    uv_buf_t buffers[1 + WIRE_ENTRY_MAX]; /* the head, then the data */
    uint32_t buffer_count;
    uint32_t entry_count; /* entries that went in */
};

/* Encodes a message, but of an APPEND_ENTRIES only as many entries from place `first` on as fit
 * (one at least, when there is one): call again for the rest, which is a message of its own. False:
 * a type that is not known, data over a limit, or no memory. */
bool wire_encode(const struct raft_message *message, uint32_t first, struct wire_part *ret_part);

/* Checks and decodes. Fills all but server_id and server_address. On success the library's memory
 * in it is the caller's: hand it to the library or to wire_release. Untouched on failure:
 * ERROR_PROTOCOL, ERROR_LIMIT, ERROR_UNSUPPORTED, ERROR_NO_MEMORY. */
enum error_code wire_decode(const uint8_t *bytes, size_t size_bytes,
                            struct raft_message *ret_message, struct error *error);
void wire_release(struct raft_message *message);

/* Whether a configuration, as the library encodes it, is whole and within our limits. The library's
 * own decoder reads beyond the end of a bad one. */
bool wire_configuration_is_valid(const uint8_t *bytes, size_t size_bytes);

#endif
