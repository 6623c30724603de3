/* Binds a protobuf message to a struct of core, as a table: one row a field, in the order of the
 * field numbers. The same rows encode, decode, check limits, and tell a test which bytes of the
 * struct they cover, so that no field of the state can be forgotten.
 *
 * Wire offsets and types come from protobuf-c's own descriptor: row i is its field i. */
#ifndef CODEC_BIND_H
#define CODEC_BIND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#include "arena.h"
#include "base/buffer.h"
#include "base/error.h"
#include "core/limits.h"

#define BIND_INDEX_MAX (UINT64_C(1) << 53) /* indexes, terms, epochs, counters: exact in JSON */
#define BIND_ID_MAX (UINT64_MAX >> 1)      /* node ids have 63 bits */

enum bind_shape {
    BIND_ONE,
    BIND_COUNTED, /* an array with its count beside it */
    BIND_FOLLOWS, /* as COUNTED, but the count belongs to a field read before: it must agree */
    BIND_PLACES,  /* an array whose places mean something; default ones at its end are left out */
    BIND_RING,    /* the last `max` of a count that only grows; oldest first on the wire */
};

enum bind_kind {
    BIND_NUMBER,
    BIND_BOOL,
    BIND_ENUM,
    BIND_NAME,   /* text_is_name */
    BIND_TEXT,   /* UTF-8 */
    BIND_OPAQUE, /* bytes of fixed length; all zero is absent */
    BIND_BYTES,  /* bytes with their size beside them */
    BIND_MESSAGE,
};

struct bind_table;

struct bind_row {
    const char *name;   /* of the protobuf field */
    size_t core;        /* offset in the struct */
    size_t size;        /* of one element there */
    size_t count;       /* offset of the count (RING: uint64_t, else uint32_t) or size */
    uint64_t low, high; /* NUMBER, ENUM: both included */
    const struct bind_table *table; /* MESSAGE */
    uint32_t max;                   /* elements */
    enum bind_shape shape;
    enum bind_kind kind;
    bool or_none; /* NUMBER: NONE_INDEX as well. NAME: "" as well */
    bool utf8;    /* BYTES */
};

struct bind_table {
    const ProtobufCMessageDescriptor *descriptor;
    size_t core_size;
    const struct bind_row *rows;
    uint32_t row_count;
};

#define BIND_MEMBER(type, member) (((type *)0)->member)
#define BIND_AT(type, field, member_kind)                                                          \
    .name = #field, .kind = (member_kind), .core = offsetof(type, field),                          \
    .size = sizeof BIND_MEMBER(type, field)
#define BIND_EACH(type, field, member_kind)                                                        \
    .name = #field, .kind = (member_kind), .core = offsetof(type, field),                          \
    .size = sizeof BIND_MEMBER(type, field)[0],                                                    \
    .max = sizeof BIND_MEMBER(type, field) / sizeof BIND_MEMBER(type, field)[0]

#define ROW_NUMBER(type, field, highest)                                                           \
    { BIND_AT(type, field, BIND_NUMBER), .high = (highest) }
#define ROW_INDEX(type, field) ROW_NUMBER(type, field, BIND_INDEX_MAX)
#define ROW_TIME(type, field) ROW_NUMBER(type, field, TIME_MAX_MS)
#define ROW_ID(type, field) ROW_NUMBER(type, field, BIND_ID_MAX)
#define ROW_ANY(type, field)                                                                       \
    ROW_NUMBER(type, field, sizeof BIND_MEMBER(type, field) == 8 ? UINT64_MAX : UINT32_MAX)
#define ROW_PLACE(type, field, limit)                                                              \
    { BIND_AT(type, field, BIND_NUMBER), .high = (limit)-1, .or_none = true }
#define ROW_BOOL(type, field)                                                                      \
    { BIND_AT(type, field, BIND_BOOL), .high = 1 }
#define ROW_ENUM(type, field, enum_count)                                                          \
    { BIND_AT(type, field, BIND_ENUM), .high = (enum_count)-1 }
#define ROW_NAME(type, field)                                                                      \
    { BIND_AT(type, field, BIND_NAME) }
#define ROW_NAME_OR_NONE(type, field)                                                              \
    { BIND_AT(type, field, BIND_NAME), .or_none = true }
#define ROW_TEXT(type, field)                                                                      \
    { BIND_AT(type, field, BIND_TEXT) }
#define ROW_OPAQUE(type, field)                                                                    \
    { BIND_AT(type, field, BIND_OPAQUE) }
#define ROW_BYTES(type, field, size_field, is_utf8)                                                \
    { BIND_AT(type, field, BIND_BYTES), .count = offsetof(type, size_field), .utf8 = (is_utf8) }
#define ROW_MESSAGE(type, field, of)                                                               \
    { BIND_AT(type, field, BIND_MESSAGE), .table = &(of) }
#define ROW_COUNTED(type, field, count_field, of)                                                  \
    {                                                                                              \
        BIND_EACH(type, field, BIND_MESSAGE), .shape = BIND_COUNTED,                               \
                                              .count = offsetof(type, count_field), .table = &(of) \
    }
#define ROW_FOLLOWS(type, field, count_field, of)                                                  \
    {                                                                                              \
        BIND_EACH(type, field, BIND_MESSAGE), .shape = BIND_FOLLOWS,                               \
                                              .count = offsetof(type, count_field), .table = &(of) \
    }
#define ROW_RING(type, field, count_field, of)                                                     \
    {                                                                                              \
        BIND_EACH(type, field, BIND_MESSAGE), .shape = BIND_RING,                                  \
                                              .count = offsetof(type, count_field), .table = &(of) \
    }
#define ROW_PLACES(type, field, of)                                                                \
    { BIND_EACH(type, field, BIND_MESSAGE), .shape = BIND_PLACES, .table = &(of) }
#define ROW_COUNTED_NUMBERS(type, field, count_field, highest)                                     \
    {                                                                                              \
        BIND_EACH(type, field, BIND_NUMBER),                                                       \
            .shape = BIND_COUNTED, .count = offsetof(type, count_field), .high = (highest)         \
    }
#define ROW_PLACES_NUMBERS(type, field, highest)                                                   \
    { BIND_EACH(type, field, BIND_NUMBER), .shape = BIND_PLACES, .high = (highest) }
#define ROW_PLACES_TEXTS(type, field)                                                              \
    { BIND_EACH(type, field, BIND_TEXT), .shape = BIND_PLACES }

#define BIND_TABLE(type, message_descriptor, table_rows)                                           \
    {                                                                                              \
        .descriptor = &(message_descriptor), .core_size = sizeof(type), .rows = (table_rows),      \
        .row_count = sizeof(table_rows) / sizeof(table_rows)[0]                                    \
    }

/* Whether every field has its default, so that the message would be empty. */
bool bind_is_default(const struct bind_table *table, const void *core);

/* The struct as a message whose texts and bytes point into the struct. `check`: refuse what
 * bind_from_wire would refuse (ERROR_INVALID, ERROR_LIMIT); else broken values are our own mistake,
 * still written within bounds. ERROR_NO_MEMORY. */
enum error_code bind_to_wire(const struct bind_table *table, struct arena *arena, const void *core,
                             bool check, ProtobufCMessage **ret, struct error *error);

/* A message into a zeroed struct, each value checked. Errors are prefixed by the field's path. */
enum error_code bind_from_wire(const struct bind_table *table, const ProtobufCMessage *message,
                               void *core, struct error *error);

/* One value against its row's limits; `which` places it in an error. Used by both directions. */
enum error_code bind_check_number(const struct bind_row *row, uint64_t value, struct error *error);
enum error_code bind_check_text(const struct bind_row *row, const char *text, size_t size_bytes,
                                struct error *error);

/* Parses bytes as a message in the arena; ERROR_PROTOCOL when they aren't one. */
enum error_code bind_unpack(const ProtobufCMessageDescriptor *descriptor, struct arena *arena,
                            const void *bytes, size_t size_bytes, const ProtobufCMessage **ret,
                            struct error *error);

/* ERROR_UNSUPPORTED when the message carries fields that this version doesn't know. */
enum error_code bind_check_known(const ProtobufCMessage *message, struct error *error);

/* Appends the message's bytes. On failure (over limit_bytes; memory) `out` is as it was. */
enum error_code bind_pack(const ProtobufCMessage *message, size_t limit_bytes, struct buffer *out,
                          struct error *error);

/* ERROR_PROTOCOL unless the message's bytes are exactly these. */
enum error_code bind_check_canonical(const ProtobufCMessage *message, const void *bytes,
                                     size_t size_bytes, struct error *error);

/* SHA-256 of the message's bytes. */
void bind_digest(const ProtobufCMessage *message, uint8_t digest[32]);

#endif
