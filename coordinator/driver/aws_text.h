/* The text forms that AWS's HTTP APIs need: strictly encoded and sorted queries, forms, and time
 * stamps. Pure.
 * Source: AWS General Reference, "Signature Version 4", canonical request. libcurl signs a query as
 * it stands, so it has to be canonical already: every byte but [A-Za-z0-9-._~] as %XX, sorted, and
 * `name=` where a value is empty. */
#ifndef DRIVER_AWS_TEXT_H
#define DRIVER_AWS_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"

#define AWS_PARAMETER_MAX 16

struct aws_parameter {
    const char *name, *value; /* UTF-8, not encoded */
};

bool aws_append_encoded(struct buffer *buffer, const char *text);

/* "a=1&b=2": sorted by encoded name, then value; without a question mark. At most
 * AWS_PARAMETER_MAX (asserted). Also a form body. */
bool aws_append_query(struct buffer *buffer, const struct aws_parameter *parameters,
                      uint32_t parameter_count);

/* "2026-11-23T21:03:00Z", also with a fraction of seconds. */
bool aws_parse_time(const char *text, uint64_t *ret_wall_ms);

/* Drops half a character at the end of a text that was cut to its array: it would make every line
 * that shows it invalid. */
void aws_cut_utf8(char *text);

/* An id that becomes a part of a path: 1 to max characters of [A-Za-z0-9]. */
bool aws_is_id(const char *text, uint32_t max);

/* "us-east-1", "us-gov-west-1": what can be a part of an endpoint's host name. */
bool aws_is_region(const char *text);

#endif
