#include "base/log.h"

#include <assert.h>
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/text.h"

enum {
    LOG_LINE_MAX_BYTES = 8192,
    LOG_LINE_END_BYTES = 64,    /* kept free for how a line ends */
    LOG_FIELD_MAX_BYTES = 1024, /* of one text, as written; then it is cut */
};

#define CUT_MARK "..."
#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

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

/* Writes one character of a quoted text; returns how many bytes of `text` it was. What isn't UTF-8,
 * or would steer a terminal, doesn't get through: a line must stay readable, and JSON. */
static size_t append_character(struct buffer *line, const char *text) {
    unsigned char c = (unsigned char)text[0];
    if (c == '"' || c == '\\') {
        buffer_append_format(line, "\\%c", c);
        return 1;
    }
    if (c < 0x20 || c == 0x7f) {
        buffer_append_format(line, "\\u%04x", c);
        return 1;
    }
    size_t length = text_utf8_length(text, strnlen(text, 4));
    if (length == 0) {
        buffer_append_text(line, REPLACEMENT);
        return 1;
    }
    buffer_append(line, text, length);
    return length;
}

/* How many of the first bytes need nothing done to them. */
static size_t plain_length(const char *text, size_t max) {
    size_t length = 0;
    while (length < max && text[length] >= 0x20 && text[length] < 0x7f && text[length] != '"' &&
           text[length] != '\\') {
        length++;
    }
    return length;
}

/* Both forms quote alike; a text that needs no quotes stays bare in the text form. */
static void append_quoted(struct buffer *line, const char *text) {
    size_t end = line->size_bytes + LOG_FIELD_MAX_BYTES;
    buffer_append_text(line, "\"");
    for (const char *at = text; *at != '\0';) {
        if (line->size_bytes >= end || line->failed) {
            buffer_append_text(line, CUT_MARK);
            break;
        }
        size_t plain = plain_length(at, end - line->size_bytes);
        if (plain > 0) {
            buffer_append(line, at, plain);
            at += plain;
        } else {
            at += append_character(line, at);
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
    if (settings.format == LOG_FORMAT_TEXT && is_bare(text) &&
        strlen(text) <= LOG_FIELD_MAX_BYTES) {
        buffer_append_text(line, text);
    } else {
        append_quoted(line, text);
    }
}

static void append_key(struct buffer *line, const char *key) {
    if (settings.format == LOG_FORMAT_JSON) {
        buffer_append_text(line, line->size_bytes <= 1 ? "\"" : ",\"");
        buffer_append_text(line, key);
        buffer_append_text(line, "\":");
    } else {
        buffer_append_text(line, line->size_bytes == 0 ? "" : " ");
        buffer_append_text(line, key);
        buffer_append_text(line, "=");
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

/* A field that doesn't fit is left out as a whole, so that the line keeps its form. */
static bool append_field_if_it_fits(struct buffer *line, const struct log_field *field) {
    size_t size_bytes = line->size_bytes;
    append_field(line, field);
    if (!line->failed) {
        return true;
    }
    line->size_bytes = size_bytes;
    line->failed = line->data == NULL;
    return false;
}

void log_write(enum log_event event, const struct log_field *fields, size_t field_count) {
    assert((unsigned)event < LOG_EVENT_COUNT);
    if (catalogue[event].level < settings.level) {
        return;
    }
    struct buffer line;
    uint64_t left_out = 0;
    buffer_init(&line, LOG_LINE_MAX_BYTES - LOG_LINE_END_BYTES);
    if (settings.format == LOG_FORMAT_JSON) {
        buffer_append_text(&line, "{");
    }
    append_head(&line, event);
    for (size_t i = 0; i < field_count; i++) {
        left_out += !append_field_if_it_fits(&line, &fields[i]);
    }
    line.limit_bytes = LOG_LINE_MAX_BYTES;
    if (left_out > 0) {
        append_field(&line, &LOG_U64("left_out", left_out));
    }
    buffer_append_text(&line, settings.format == LOG_FORMAT_JSON ? "}\n" : "\n");
    if (line.data != NULL) {
        ssize_t written = write(STDERR_FILENO, line.data, line.size_bytes);
        (void)written; /* there is nowhere to complain to */
    }
    buffer_finish(&line);
}
