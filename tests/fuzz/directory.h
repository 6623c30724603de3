/* A data directory in memory (/dev/shm where there is one), removed at the end of the program. */
#ifndef TESTS_FUZZ_DIRECTORY_H
#define TESTS_FUZZ_DIRECTORY_H

#include <stddef.h>
#include <stdint.h>

const char *directory_path(void);
/* The file's whole content. */
void directory_write(const char *name, const uint8_t *data, size_t size_bytes);

#endif
