/* What the tests of the spec's YAML share: a good one, and how it is parsed. */
#ifndef TEST_SPEC_SCENE_H
#define TEST_SPEC_SCENE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "codec/spec_yaml.h"

extern const char good[];
extern struct spec_findings findings; /* of the last parse */
extern struct spec *spec;             /* likewise */

int make_spec(void **state);
int free_spec(void **state);
enum error_code parse_bytes(const char *text, size_t size);
enum error_code parse(const char *text);
void print_findings(void);

/* Each row changes `good`: the text `from` becomes `to` ("" at the end: is added there). Exactly
 * one finding, at that place, with these words. */
struct row {
    const char *from, *to;
    uint32_t line, column;
    const char *words;
};

/* Of the good spec. */
#define ALIAS_EAST "dualstack.web-1.us-east-1.elb.amazonaws.com"
#define ALIAS_WEST "dualstack.web-2.us-west-2.elb.amazonaws.com"
#define ALIAS                                                                                      \
    "          alias:\n            us-east-1: " ALIAS_EAST "\n            us-west-2: " ALIAS_WEST  \
    "\n"

char *change(const struct row *row); /* the caller's */
bool is_told(const struct row *row, enum finding_severity severity);

#endif
