/* Memory for the world. A test tool without memory can only stop, so these never return NULL. */
#ifndef WORLD_ALLOC_H
#define WORLD_ALLOC_H

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static inline void *alloc_zeroed(size_t count, size_t size_bytes) {
    void *memory = calloc(count > 0 ? count : 1, size_bytes);
    assert(memory != NULL);
    return memory;
}

static inline void *alloc_grown(void *memory, size_t count, size_t size_bytes) {
    void *grown = reallocarray(memory, count > 0 ? count : 1, size_bytes);
    assert(grown != NULL);
    return grown;
}

static inline char *alloc_text(const char *text) {
    char *copy = strdup(text);
    assert(copy != NULL);
    return copy;
}

static inline char *alloc_bytes(const char *bytes, size_t size_bytes) {
    char *copy = alloc_zeroed(size_bytes + 1, 1);
    if (size_bytes > 0) {
        memcpy(copy, bytes, size_bytes);
    }
    return copy;
}

#endif
