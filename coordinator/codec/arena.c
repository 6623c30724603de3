#include "arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_ALIGNMENT 16
#define ARENA_CHUNK_MIN (16 * 1024)
#define ARENA_CHUNK_MAX (1024 * 1024)

struct arena_chunk {
    struct arena_chunk *next;
    size_t size_bytes, used_bytes;
    _Alignas(ARENA_ALIGNMENT) unsigned char bytes[];
};

static void *allocator_alloc(void *context, size_t size_bytes) {
    return arena_alloc(context, size_bytes);
}

static void allocator_free(void *context, void *memory) {
    /* All is freed at once by arena_finish. */
    (void)context;
    (void)memory;
}

void arena_init(struct arena *arena, size_t limit_bytes) {
    *arena = (struct arena){
        .limit_bytes = limit_bytes,
        .allocator = {.alloc = allocator_alloc, .free = allocator_free, .allocator_data = arena},
    };
}

void arena_finish(struct arena *arena) {
    while (arena->chunks != NULL) {
        struct arena_chunk *next = arena->chunks->next;
        free(arena->chunks);
        arena->chunks = next;
    }
    arena->given_bytes = 0;
}

static struct arena_chunk *add_chunk(struct arena *arena, size_t at_least_bytes) {
    size_t size = arena->chunks == NULL ? ARENA_CHUNK_MIN : arena->chunks->size_bytes * 2;
    size = size > ARENA_CHUNK_MAX ? ARENA_CHUNK_MAX : size;
    size = size < at_least_bytes ? at_least_bytes : size;
    struct arena_chunk *chunk = malloc(sizeof *chunk + size);
    if (chunk == NULL) {
        arena->out_of_memory = true;
        return NULL;
    }
    chunk->size_bytes = size;
    chunk->used_bytes = 0;
    chunk->next = arena->chunks;
    arena->chunks = chunk;
    return chunk;
}

void *arena_alloc(struct arena *arena, size_t size_bytes) {
    if (size_bytes > arena->limit_bytes || arena->given_bytes > arena->limit_bytes - size_bytes) {
        return NULL;
    }
    size_t padded = (size_bytes + ARENA_ALIGNMENT - 1) & ~(size_t)(ARENA_ALIGNMENT - 1);
    struct arena_chunk *chunk = arena->chunks;
    if (chunk == NULL || chunk->size_bytes - chunk->used_bytes < padded) {
        chunk = add_chunk(arena, padded);
        if (chunk == NULL) {
            return NULL;
        }
    }
    void *memory = chunk->bytes + chunk->used_bytes;
    chunk->used_bytes += padded;
    arena->given_bytes += padded;
    return memset(memory, 0, size_bytes); /* of a chunk mostly a small part is used */
}
