/* One line an event, from one catalogue (log_events.def): `event=move_started service=nocturnal
 * epoch=7 index=812 why="..."`, or a JSON object a line. Written to standard error by one write(2),
 * so that lines of threads don't mix. A long text is cut, and fields that don't fit into a line are
 * left out and counted (left_out). Never pass a secret. Safe from any thread. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARNING, LOG_LEVEL_ERROR };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

enum log_event {
#define X(name, level, doc) LOG_##name,
#include "base/log_events.def"
#undef X
    LOG_EVENT_COUNT
};

struct log_field {
    const char *key;
    enum { LOG_FIELD_TEXT, LOG_FIELD_U64, LOG_FIELD_I64, LOG_FIELD_BOOL } type;
    union {
        const char *text; /* NULL is written as "" */
        uint64_t u64;
        int64_t i64;
        bool boolean;
    };
};

#define LOG_TEXT(k, v) ((struct log_field){.key = (k), .type = LOG_FIELD_TEXT, .text = (v)})
#define LOG_U64(k, v) ((struct log_field){.key = (k), .type = LOG_FIELD_U64, .u64 = (v)})
#define LOG_I64(k, v) ((struct log_field){.key = (k), .type = LOG_FIELD_I64, .i64 = (v)})
#define LOG_BOOL(k, v) ((struct log_field){.key = (k), .type = LOG_FIELD_BOOL, .boolean = (v)})

/* LOG_EVENT(MOVE_STARTED, LOG_TEXT("service", name), LOG_U64("epoch", epoch)); at least one field
 */
#define LOG_EVENT(name, ...)                                                                       \
    log_write(LOG_##name, (const struct log_field[]){__VA_ARGS__},                                 \
              sizeof((const struct log_field[]){__VA_ARGS__}) / sizeof(struct log_field))

/* Process-wide settings, once at the start: lowest level written, form, and this node's id (shown
 * in every line; may be NULL). */
void log_configure(enum log_level level, enum log_format format, const char *node);
void log_write(enum log_event event, const struct log_field *fields, size_t field_count);
const char *log_event_name(enum log_event event);

#endif
