/* What went wrong, as a value. Libraries return one of these codes and fill the caller's
 * `struct error` with a sentence for a person; the shell logs it once. Results of a function are
 * untouched when it fails. */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include <stdarg.h>
#include <stdbool.h>

/*            code         text                       worth trying again as it is */
#define ERROR_TABLE(X)                                                                             \
    X(OK, "ok", false)                                                                             \
    X(INVALID, "invalid input", false)                                                             \
    X(LIMIT, "over a limit", false)                                                                \
    X(NOT_FOUND, "not found", false)                                                               \
    X(EXISTS, "exists already", false)                                                             \
    X(CONFLICT, "changed meanwhile", false)                                                        \
    X(DENIED, "not authorised", false)                                                             \
    X(REFUSED, "refused", false)                                                                   \
    X(PROTOCOL, "protocol violation", false)                                                       \
    X(CORRUPT, "stored data is corrupt", false)                                                    \
    X(UNSUPPORTED, "not supported", false)                                                         \
    X(UNAVAILABLE, "unavailable", true)                                                            \
    X(NOT_LEADER, "not the leader", true)                                                          \
    X(UNKNOWN, "outcome unknown", true)                                                            \
    X(TIMEOUT, "timed out", true)                                                                  \
    X(CANCELLED, "cancelled", false)                                                               \
    X(IO, "input/output error", false)                                                             \
    X(NO_MEMORY, "out of memory", false)                                                           \
    X(INTERNAL, "internal error", false)

enum error_code {
#define X(code, text, retryable) ERROR_##code,
    ERROR_TABLE(X)
#undef X
        ERROR_CODE_COUNT
};

#define ERROR_MESSAGE_MAX 256

struct error {
    enum error_code code;
    char message[ERROR_MESSAGE_MAX];
};

/* Fills `error` (which may be NULL) and returns `code`, so that a failing function can end with
 * `return error_set(error, ERROR_LIMIT, "...")`. A longer message is cut. */
enum error_code error_set(struct error *error, enum error_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "<words>: " in front of the message, for context on the way up. Returns error->code. */
enum error_code error_prefix(struct error *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

const char *error_text(enum error_code code);
bool error_retryable(enum error_code code);

#endif
