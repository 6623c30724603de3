#include "log_limit.h"

#include <stddef.h>

#include "base/text.h"

bool log_limit_allows(struct log_limit *limit, uint64_t now_ms, const char *text,
                      uint64_t *ret_held_back) {
    size_t place = 0; /* of this text, or else of the oldest */
    for (size_t i = 0; i < LOG_LIMIT_TEXTS; i++) {
        if (limit->seen[i].logged_ms != 0 && text_equal(limit->seen[i].text, text)) {
            place = i;
            if (now_ms - limit->seen[i].logged_ms < LOG_LIMIT_REPEAT_MS) {
                limit->held_back++;
                return false;
            }
            break;
        }
        if (limit->seen[i].logged_ms < limit->seen[place].logged_ms) {
            place = i;
        }
    }
    if (now_ms - limit->window_ms >= LOG_LIMIT_WINDOW_MS) {
        limit->window_ms = now_ms;
        limit->window_lines = 0;
    }
    if (limit->window_lines >= LOG_LIMIT_WINDOW_LINES) {
        limit->held_back++;
        return false;
    }
    limit->window_lines++;
    limit->seen[place].logged_ms = now_ms;
    (void)TEXT_COPY(limit->seen[place].text, text);
    *ret_held_back = limit->held_back;
    limit->held_back = 0;
    return true;
}
