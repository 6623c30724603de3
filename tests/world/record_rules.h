/* What Route 53 asks of one record set by itself: values of the right form for the type, and
 * exactly one routing policy. The texts are Route 53's where they are known. */
#ifndef WORLD_RECORD_RULES_H
#define WORLD_RECORD_RULES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "record_set.h"

#define RECORD_TXT_STRING_MAX 255
#define RECORD_TXT_STRINGS_MAX 32

/* Shape: alias or values, routing fields, set identifier. `action` is for the message. Breaking it
 * is InvalidInput (ERROR_INVALID). */
enum error_code record_rules_check_shape(const struct record_set *set, const char *action,
                                         struct error *error);

/* Content of the values. Breaking it is InvalidChangeBatch (ERROR_REFUSED). */
enum error_code record_rules_check_values(const struct record_set *set, struct error *error);

/* Reads the next character string of a TXT value ("a" "b\"c" "\101") into `to`, and moves the
 * cursor. Returns its length, -1 at the end of the value, -2 for a malformed one. */
int record_rules_next_txt_string(const char **cursor, unsigned char to[RECORD_TXT_STRING_MAX]);

#endif
