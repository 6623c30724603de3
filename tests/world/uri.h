/* Percent encoding and lists of parameters (query strings, form bodies), as AWS reads them. */
#ifndef WORLD_URI_H
#define WORLD_URI_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"

#define URI_PARAMETERS_MAX 128

struct uri_parameter {
    char *name;
    char *value;
};

struct uri_parameters {
    struct uri_parameter *items;
    size_t count;
};

/* RFC 3986 unreserved characters stay, and '/' too if keep_slash. */
void uri_encode(const char *text, bool keep_slash, struct buffer *out);

/* Decoded copy (free()); plus_is_space as in forms. NULL: bad escape, or an escaped NUL. */
char *uri_decode(const char *text, size_t size_bytes, bool plus_is_space);

/* "a=1&b" to decoded pairs; false, with nothing to free, when malformed or too many. */
bool uri_parameters_parse(const char *text, struct uri_parameters *ret_parameters);
void uri_parameters_finish(struct uri_parameters *parameters);

/* First value of that name, or NULL. */
const char *uri_parameters_get(const struct uri_parameters *parameters, const char *name);

#endif
