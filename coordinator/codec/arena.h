/* Memory for the time of one encoding or decoding: given out piece by piece, freed as a whole, with
 * a limit, so that a few hostile bytes can't ask for gigabytes. */
#ifndef CODEC_ARENA_H
#define CODEC_ARENA_H

#include <stdbool.h>
#include <stddef.h>

#include <protobuf-c/protobuf-c.h>

struct arena_chunk;

struct arena {
    struct arena_chunk *chunks; /* newest first */
    size_t given_bytes;         /* to users, in all chunks */
    size_t limit_bytes;
    bool out_of_memory;           /* something was not given for want of memory, not of limit */
    ProtobufCAllocator allocator; /* for protobuf-c; points back to this arena: don't copy it */
};

void arena_init(struct arena *arena, size_t limit_bytes);
void arena_finish(struct arena *arena);

/* Zeroed, aligned for anything; NULL over the limit and without memory. */
void *arena_alloc(struct arena *arena, size_t size_bytes);

#endif
