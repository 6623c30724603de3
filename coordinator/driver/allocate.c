#include "allocate.h"

#include <stdlib.h>

void *driver_allocate(size_t size_bytes) {
    void *memory = calloc(1, size_bytes);
    if (memory == NULL) {
        abort();
    }
    return memory;
}
