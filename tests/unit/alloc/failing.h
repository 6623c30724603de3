/* Memory that runs out: the Nth allocation of a scenario fails, for every N, until none is left to
 * fail (SQLite's "OOM testing", sqlite.org/testing.html, 3.1). malloc and its kin are replaced for
 * the whole program, the shared libraries with it. */
#ifndef TEST_ALLOC_FAILING_H
#define TEST_ALLOC_FAILING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Runs once, from start to end, and frees all it has made. True: it has done what it should, and
 * has checked that; false: it was given a clean error. Anything else is a failed assertion. */
typedef bool (*scenario)(void);

/* Fails the test unless: without a failure the scenario is true; with any one it is true or false,
 * and never leaves memory behind; after all of them it is true again. Returns how many allocations
 * it makes. */
uint64_t check_scenario(const char *name, scenario run);
/* The same, but for the memory that is left: of a library that loses some by itself. */
uint64_t check_leaky_scenario(const char *name, scenario run);

/* What the test itself allocates in between is always there. */
void failing_pause(bool pause);
/* Zeroed memory that is always there, to free: in the place of a function whose lack of memory ends
 * the process on purpose (--wrap). */
void *spared_allocate(size_t size_bytes);

#endif
