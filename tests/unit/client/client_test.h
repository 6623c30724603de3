/* What every test of the client includes: cmocka with what it wants before it, and a stream whose
 * text can be looked at. */
#ifndef TEST_CLIENT_TEST_H
#define TEST_CLIENT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/text.h"

/* What `print` writes for a document; to be freed. */
static inline char *printed(const json_t *document,
                            void (*print)(const json_t *document, FILE *out)) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    print(document, out);
    assert_int_equal(fclose(out), 0);
    return text;
}

static inline json_t *json_of(const char *text) {
    json_error_t problem;
    json_t *document = json_loads(text, JSON_DECODE_ANY, &problem);
    if (document == NULL) {
        fail_msg("line %d: %s", problem.line, problem.text);
    }
    return document;
}

#endif
