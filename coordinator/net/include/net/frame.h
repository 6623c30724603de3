/* Frames: how messages are cut out of a stream of bytes. Pure; no I/O.
 *
 *     0        1        2                 4                                   8
 *     +--------+--------+--------+--------+--------+--------+--------+--------+----------...
 *     |version | type   | flags (0)       | size of the payload, big-endian   | payload
 *     +--------+--------+--------+--------+--------+--------+--------+--------+----------...
 *
 * A parser accepts only the types that it was given and checks a header whole before it takes any
 * memory for the payload. After an error a parser is done for: close the connection. */
#ifndef NET_FRAME_H
#define NET_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

enum {
    FRAME_VERSION = 0xA1,
    FRAME_HEADER_BYTES = 8,
    FRAME_CONTROL_MAX_BYTES = 4 * 1024,
    FRAME_REPORT_MAX_BYTES = 512 * 1024,
    FRAME_RAFT_MAX_BYTES = 8 * 1024 * 1024 + 64 * 1024, /* 8 MiB of entries and their heads */
    FRAME_SNAPSHOT_MAX_BYTES = 64 * 1024 * 1024,        /* default; see frame_parser_init */
    FRAME_REQUEST_MAX_BYTES = 2 * 1024 * 1024,          /* a spec and what goes with it */
    FRAME_RESPONSE_MAX_BYTES = 8 * 1024 * 1024,
};

/* Numbers are part of the wire format: never reuse one.     limit of the payload */
#define FRAME_TYPE_TABLE(X)                                                                        \
    X(HELLO, 1, FRAME_CONTROL_MAX_BYTES)    /* first word of the side that dialled */              \
    X(HELLO_OK, 2, FRAME_CONTROL_MAX_BYTES) /* the other side's, when it accepts */                \
    X(READY, 3, 0)                          /* and the dialler accepts, too */                     \
    X(REFUSED, 4, FRAME_CONTROL_MAX_BYTES)  /* last word: why not */                               \
    X(PING, 5, 8)                           /* 8 bytes that PONG repeats */                        \
    X(PONG, 6, 8)                                                                                  \
    X(RAFT, 16, FRAME_RAFT_MAX_BYTES)         /* a Raft message */                                 \
    X(SNAPSHOT, 17, FRAME_SNAPSHOT_MAX_BYTES) /* a Raft message that carries a snapshot */         \
    X(REPORT, 18, FRAME_REPORT_MAX_BYTES)     /* a node's report to the leader */                  \
    X(NOTE, 19, FRAME_CONTROL_MAX_BYTES)      /* a short word between nodes, besides reports */    \
    X(LEASE, 20, FRAME_REPORT_MAX_BYTES)    /* the leader's answer to one that asks for leases */  \
    X(REQUEST, 32, FRAME_REQUEST_MAX_BYTES) /* client API: from the client */                      \
    X(RESPONSE, 33, FRAME_RESPONSE_MAX_BYTES) /* client API: an answer, or one of a series */

enum frame_type {
#define X(name, number, limit) FRAME_##name = (number),
    FRAME_TYPE_TABLE(X)
#undef X
};

#define FRAME_SET(type) (UINT64_C(1) << (type))
/* Types of the two ports, for frame_parser_init. */
#define FRAME_SET_PEER                                                                             \
    (FRAME_SET(FRAME_HELLO) | FRAME_SET(FRAME_HELLO_OK) | FRAME_SET(FRAME_READY) |                 \
     FRAME_SET(FRAME_REFUSED) | FRAME_SET(FRAME_PING) | FRAME_SET(FRAME_PONG) |                    \
     FRAME_SET(FRAME_RAFT) | FRAME_SET(FRAME_SNAPSHOT) | FRAME_SET(FRAME_REPORT) |                 \
     FRAME_SET(FRAME_NOTE) | FRAME_SET(FRAME_LEASE))
#define FRAME_SET_API (FRAME_SET(FRAME_REQUEST) | FRAME_SET(FRAME_RESPONSE))

struct frame_parser {
    uint64_t types;
    uint32_t snapshot_max_bytes;
    uint8_t header[FRAME_HEADER_BYTES];
    uint8_t header_bytes; /* of the header, so many are there */
    bool failed;
    bool feeding;
    struct buffer payload;
};

/* `types`: FRAME_SETs that this side accepts now. snapshot_max_bytes 0: FRAME_SNAPSHOT_MAX_BYTES.
 */
void frame_parser_init(struct frame_parser *parser, uint64_t types, uint32_t snapshot_max_bytes);
void frame_parser_finish(struct frame_parser *parser);
/* From the next frame on. May be called in a frame's callback. */
void frame_parser_set_types(struct frame_parser *parser, uint64_t types);

/* A whole frame; the payload is valid during the call only. False: stop, drop the rest of the
 * input (the connection is being closed). Must not finish the parser. */
typedef bool (*frame_callback)(enum frame_type type, const uint8_t *payload, size_t size_bytes,
                               void *context);

/* Takes any piece of the stream and calls back for each frame that is complete. ERROR_PROTOCOL:
 * wrong version, type not accepted, flags; ERROR_LIMIT: too long for its type; ERROR_NO_MEMORY. */
enum error_code frame_parser_feed(struct frame_parser *parser, const void *bytes, size_t size_bytes,
                                  frame_callback callback, void *context, struct error *error);

/* The payload's limit of a type; 0 also for types that there are not. */
uint32_t frame_max_bytes(enum frame_type type);
const char *frame_type_text(unsigned type); /* "?" when there is none */
/* Asserts that the size is within FRAME_SNAPSHOT_MAX_BYTES or the type's limit. */
void frame_encode_header(enum frame_type type, size_t payload_bytes,
                         uint8_t ret_header[FRAME_HEADER_BYTES]);

#endif
