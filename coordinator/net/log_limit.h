/* How often lines about the same thing are logged. Who sends us rubbish must not be able to fill
 * the disk with it, and yet each new reason has to be seen. Pure. */
#ifndef NET_LOG_LIMIT_H
#define NET_LOG_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

enum {
    LOG_LIMIT_TEXTS = 4,         /* so many reasons are told apart */
    LOG_LIMIT_REPEAT_MS = 60000, /* the same one again */
    LOG_LIMIT_WINDOW_MS = 10000,
    LOG_LIMIT_WINDOW_LINES = 8 /* of different ones: a text from outside may differ each time */
};

struct log_limit {
    struct {
        uint64_t logged_ms; /* 0: not in use */
        char text[ERROR_MESSAGE_MAX];
    } seen[LOG_LIMIT_TEXTS];
    uint64_t window_ms;
    uint64_t held_back; /* lines since the last one that was written */
    unsigned window_lines;
};

/* Should a line with this text be written now? Then *ret_held_back: how many were not, before. A
 * zeroed limit has seen nothing. now_ms must not be 0. */
bool log_limit_allows(struct log_limit *limit, uint64_t now_ms, const char *text,
                      uint64_t *ret_held_back);

#endif
