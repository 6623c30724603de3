#include "base/error.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *text;
    bool retryable;
} error_table[] = {
#define X(code, text, retryable) {text, retryable},
    ERROR_TABLE(X)
#undef X
};

enum error_code error_set(struct error *error, enum error_code code, const char *format, ...) {
    if (error != NULL) {
        va_list arguments;
        va_start(arguments, format);
        error->code = code;
        (void)vsnprintf(error->message, sizeof error->message, format, arguments);
        va_end(arguments);
    }
    return code;
}

enum error_code error_prefix(struct error *error, const char *format, ...) {
    if (error == NULL) {
        return ERROR_INTERNAL;
    }
    char tail[ERROR_MESSAGE_MAX];
    memcpy(tail, error->message, sizeof tail);
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    size_t used = strlen(error->message);
    size_t room = sizeof error->message - used;
    (void)snprintf(error->message + used, room, ": %.*s", (int)room, tail);
    return error->code;
}

const char *error_text(enum error_code code) {
    return (unsigned)code < ERROR_CODE_COUNT ? error_table[code].text : "unknown error";
}

bool error_retryable(enum error_code code) {
    return (unsigned)code < ERROR_CODE_COUNT && error_table[code].retryable;
}
