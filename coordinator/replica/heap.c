#include <stdlib.h>

#include "replica_private.h"

static void *must_have(void *memory, size_t size_bytes) {
    if (memory == NULL && size_bytes > 0) {
        abort();
    }
    return memory;
}

void *replica_allocate(size_t size_bytes) {
    return must_have(calloc(1, size_bytes), size_bytes);
}

static void *heap_malloc(void *data, size_t size_bytes) {
    (void)data;
    return must_have(malloc(size_bytes), size_bytes);
}

static void heap_free(void *data, void *memory) {
    (void)data;
    free(memory);
}

static void *heap_calloc(void *data, size_t count, size_t size_bytes) {
    (void)data;
    return must_have(calloc(count, size_bytes), size_bytes);
}

static void *heap_realloc(void *data, void *memory, size_t size_bytes) {
    (void)data;
    return must_have(realloc(memory, size_bytes), size_bytes);
}

static void *heap_aligned_alloc(void *data, size_t alignment, size_t size_bytes) {
    (void)data;
    return must_have(aligned_alloc(alignment, size_bytes), size_bytes);
}

static void heap_aligned_free(void *data, size_t alignment, void *memory) {
    (void)data;
    (void)alignment;
    free(memory);
}

void replica_heap_set(void) {
    static struct raft_heap heap = {
        .malloc = heap_malloc,
        .free = heap_free,
        .calloc = heap_calloc,
        .realloc = heap_realloc,
        .aligned_alloc = heap_aligned_alloc,
        .aligned_free = heap_aligned_free,
    };
    raft_heap_set(&heap);
}
