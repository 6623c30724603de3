/* Fields of a BSON document, taken for what they can be taken for. */
#ifndef MONGO_FIELD_H
#define MONGO_FIELD_H

#include <bson/bson.h>
#include <stdbool.h>
#include <stdint.h>

/* False, and `ret` untouched: not there, not of that kind, or out of 0 .. max. A number with a part
 * behind the point is cut. */
bool field_number(const bson_t *document, const char *path, uint64_t max, uint64_t *ret);
bool field_real(const bson_t *document, const char *path, double *ret);
/* true, false, 0 or not 0. False where it isn't known. */
bool field_true(const bson_t *document, const char *path);
/* "" where it isn't there; cut at its size, what isn't printable ASCII is '?'. */
void field_text(const bson_t *document, const char *path, char *to, size_t to_size);
/* Milliseconds since 1970; 0: not there. */
uint64_t field_date(const bson_t *document, const char *path);
/* A document or array inside, which lives as long as the outer one. */
bool field_inner(const bson_t *document, const char *path, bson_t *ret);

/* Texts of an iterator that holds one, likewise. */
void field_copy_text(const bson_iter_t *iter, char *to, size_t to_size);

#endif
