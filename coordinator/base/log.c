#include "base/log.h"

#include <assert.h>
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"

enum { LOG_LINE_MAX_BYTES = 8192 };

static const struct {
    const char *name;
    enum log_level level;
} catalogue[] = {
#define X(name, level, doc) {#name, LOG_LEVEL_##level},
#include "base/log_events.def"
#undef X
};

static const char *const level_names[] = {"debug", "info", "warning", "error"};

static struct {
    enum log_level level;
    enum log_format format;
    char node[64];
} settings = {.level = LOG_LEVEL_INFO};

void log_configure(enum log_level level, enum log_format format, const char *node) {
    settings.level = level;
    settings.format = format;
    (void)snprintf(settings.node, sizeof settings.node, "%s", node == NULL ? "" : node);
}

const char *log_event_name(enum log_event event) {
    assert((unsigned)event < LOG_EVENT_COUNT);
    return catalogue[event].name;
}

/* Both forms quote alike; a text that needs no quotes stays bare in the text form. */
static void append_quoted(struct buffer *line, const char *text) {
    buffer_append_text(line, "\"");
    for (const char *p = text; *p != '\0'; p++) {
        unsigned char c = (unsigned char)*p;
        if (c == '"' || c == '\\') {
            buffer_append_format(line, "\\%c", c);
        } else if (c < 0x20 || c == 0x7f) {
            buffer_append_format(line, "\\u%04x", c);
        } else {
            buffer_append(line, p, 1);
        }
    }
    buffer_append_text(line, "\"");
}

static bool is_bare(const char *text) {
    for (const char *p = text; *p != '\0'; p++) {
        if (!isalnum((unsigned char)*p) && strchr("-_.:/+@,%", *p) == NULL) {
            return false;
        }
    }
    return text[0] != '\0';
}

static void append_text(struct buffer *line, const char *text) {
    if (settings.format == LOG_FORMAT_TEXT && is_bare(text)) {
        buffer_append_text(line, text);
    } else {
        append_quoted(line, text);
    }
}

static void append_key(struct buffer *line, const char *key) {
    if (settings.format == LOG_FORMAT_JSON) {
        buffer_append_format(line, "%s\"%s\":", line->size_bytes <= 1 ? "" : ",", key);
    } else {
        buffer_append_format(line, "%s%s=", line->size_bytes == 0 ? "" : " ", key);
    }
}

static void append_field(struct buffer *line, const struct log_field *field) {
    append_key(line, field->key);
    switch (field->type) {
    case LOG_FIELD_TEXT:
        append_text(line, field->text == NULL ? "" : field->text);
        break;
    case LOG_FIELD_U64:
        buffer_append_format(line, "%" PRIu64, field->u64);
        break;
    case LOG_FIELD_I64:
        buffer_append_format(line, "%" PRId64, field->i64);
        break;
    case LOG_FIELD_BOOL:
        buffer_append_text(line, field->boolean ? "true" : "false");
        break;
    }
}

static void append_head(struct buffer *line, enum log_event event) {
    char when[CLOCK_TEXT_SIZE];
    char name[64];
    size_t i = 0;
    for (; catalogue[event].name[i] != '\0' && i + 1 < sizeof name; i++) {
        name[i] = (char)tolower((unsigned char)catalogue[event].name[i]);
    }
    name[i] = '\0';
    append_field(line, &LOG_TEXT("time", clock_format_utc(clock_wall_ms(&clock_system), when)));
    append_field(line, &LOG_TEXT("level", level_names[catalogue[event].level]));
    if (settings.node[0] != '\0') {
        append_field(line, &LOG_TEXT("node", settings.node));
    }
    append_field(line, &LOG_TEXT("event", name));
}

void log_write(enum log_event event, const struct log_field *fields, size_t field_count) {
    assert((unsigned)event < LOG_EVENT_COUNT);
    if (catalogue[event].level < settings.level) {
        return;
    }
    struct buffer line;
    buffer_init(&line, LOG_LINE_MAX_BYTES);
    if (settings.format == LOG_FORMAT_JSON) {
        buffer_append_text(&line, "{");
    }
    append_head(&line, event);
    for (size_t i = 0; i < field_count; i++) {
        append_field(&line, &fields[i]);
    }
    if (settings.format == LOG_FORMAT_JSON) {
        buffer_append_text(&line, "}");
    }
    line.limit_bytes = 0;
    line.failed = false;
    buffer_append_text(&line, "\n");
    if (line.data != NULL) {
        ssize_t written = write(STDERR_FILENO, line.data, line.size_bytes);
        (void)written; /* there is nowhere to complain to */
    }
    buffer_finish(&line);
}
