/* Memory for a call that must be answered once: a lost callback would be worse than an end. */
#ifndef DRIVER_ALLOCATE_H
#define DRIVER_ALLOCATE_H

#include <stddef.h>

/* Zeroed, of a small size, the caller's to free; its lack ends the process, as in libuv. */
void *driver_allocate(size_t size_bytes);

#endif
