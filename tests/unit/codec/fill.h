/* Random but valid content for any bound struct, and a walk over all its values, by the tables of
 * the codec. The same seed gives the same content. */
#ifndef TEST_CODEC_FILL_H
#define TEST_CODEC_FILL_H

#include <stdbool.h>
#include <stdint.h>

#include "bind.h"

uint64_t random_next(uint64_t *seed); /* splitmix64 */
uint64_t random_below(uint64_t *seed, uint64_t limit);

/* Fills a zeroed struct. Arrays get at most `most` elements (their first and only ones). Values of
 * rows whose default is not allowed are never the default. */
void fill_struct(const struct bind_table *table, void *core, uint32_t most, uint64_t *seed);

/* Calls back for each value that is in use: `at` is its place. */
typedef void (*fill_visitor)(void *context, const char *path, const struct bind_row *row,
                             void *core, void *at);
void fill_visit(const struct bind_table *table, void *core, const char *path, fill_visitor visitor,
                void *context);

/* Puts another valid value there; false where there is none. */
bool fill_change(const struct bind_row *row, void *core, void *at);

#endif
