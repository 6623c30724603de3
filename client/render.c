#include "render.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#include "base/text.h"

void table_init(struct table *table, uint32_t columns) {
    assert(columns > 0 && columns <= TABLE_COLUMN_MAX);
    *table = (struct table){.columns = columns};
}

/* A row stays a row, and nothing steers the terminal, whatever somebody wrote as his reason. */
static void clean_cell(char *cell) {
    for (char *at = cell; *at != '\0';) {
        size_t length = text_utf8_length(at, strnlen(at, 4));
        if (length == 0 || *at == '\n' || *at == '\t') {
            *at = ' ';
            length = 1;
        }
        at += length;
    }
}

void table_add(struct table *table, const char *const *cells) {
    size_t count = (size_t)table->columns * (table->rows + 1);
    char **grown = realloc(table->cells, count * sizeof *grown);
    if (grown == NULL) {
        table->failed = true;
        return;
    }
    table->cells = grown;
    char **row = grown + (size_t)table->columns * table->rows;
    for (uint32_t i = 0; i < table->columns; i++) {
        const char *cell = cells[i] == NULL || cells[i][0] == '\0' ? "-" : cells[i];
        row[i] = strdup(cell);
        if (row[i] == NULL) {
            table->failed = true;
        } else {
            clean_cell(row[i]);
        }
    }
    table->rows++;
}

static size_t cell_width(const char *cell) {
    size_t width = 0;
    for (const char *p = cell; *p != '\0'; p++) {
        width += ((unsigned char)*p & 0xc0) != 0x80; /* UTF-8: not a byte in mid-character */
    }
    return width;
}

static const char *cell_at(const struct table *table, uint32_t row, uint32_t column) {
    const char *cell = table->cells[(size_t)row * table->columns + column];
    return cell == NULL ? "" : cell;
}

#define COLUMN_MIN 6
#define GAP 2

/* Takes from the widest column until the table fits, or nothing can be taken any more. */
static void fit(const struct table *table, unsigned screen_width, size_t *widths) {
    size_t total = GAP * (size_t)(table->columns - 1);
    for (uint32_t i = 0; i < table->columns; i++) {
        total += widths[i];
    }
    while (screen_width > 0 && total > screen_width) {
        uint32_t widest = 0;
        for (uint32_t i = 1; i < table->columns; i++) {
            widest = widths[i] > widths[widest] ? i : widest;
        }
        if (widths[widest] <= COLUMN_MIN) {
            return;
        }
        widths[widest]--;
        total--;
    }
}

/* The cell, or as much of it as there is room for, with an ellipsis. Returns its width. */
static size_t print_cell(const char *cell, size_t width, FILE *out) {
    if (cell_width(cell) <= width) {
        (void)fputs(cell, out);
        return cell_width(cell);
    }
    const char *end = cell;
    for (size_t left = width - 1; left > 0; left--) {
        end += text_utf8_length(end, strnlen(end, 4));
    }
    (void)fprintf(out, "%.*s…", (int)(end - cell), cell);
    return width;
}

void table_print_on(const struct table *table, const struct screen *screen, FILE *out) {
    size_t widths[TABLE_COLUMN_MAX] = {0};
    for (uint32_t r = 0; r < table->rows; r++) {
        for (uint32_t i = 0; i < table->columns; i++) {
            size_t width = cell_width(cell_at(table, r, i));
            widths[i] = width > widths[i] ? width : widths[i];
        }
    }
    fit(table, screen->width, widths);
    for (uint32_t r = 0; r < table->rows; r++) {
        for (uint32_t i = 0; i < table->columns; i++) {
            const char *cell = cell_at(table, r, i);
            enum mood mood = screen->colour && r > 0 ? screen_mood(cell) : MOOD_NONE;
            (void)fputs(screen_colour(mood), out);
            size_t used = print_cell(cell, widths[i], out);
            (void)fputs(mood == MOOD_NONE ? "" : SCREEN_PLAIN, out);
            size_t padding = i + 1 == table->columns ? 0 : widths[i] - used + GAP;
            (void)fprintf(out, "%*s", (int)padding, "");
        }
        (void)fputc('\n', out);
    }
}

void table_print(const struct table *table, FILE *out) {
    struct screen screen = screen_of(out);
    table_print_on(table, &screen, out);
}

void table_finish(struct table *table) {
    for (size_t i = 0; i < (size_t)table->columns * table->rows; i++) {
        free(table->cells[i]);
    }
    free(table->cells);
    *table = (struct table){.columns = table->columns};
}

void render_json(const json_t *document, FILE *out) {
    (void)json_dumpf(document, out, JSON_INDENT(2) | JSON_ENCODE_ANY);
    (void)fputc('\n', out);
}

static bool emit(yaml_emitter_t *emitter, yaml_event_t *event, int initialized) {
    return initialized != 0 && yaml_emitter_emit(emitter, event) != 0;
}

static bool emit_scalar(yaml_emitter_t *emitter, const char *text, bool quoted) {
    yaml_event_t event;
    int rv = yaml_scalar_event_initialize(
        &event, NULL, NULL, (const yaml_char_t *)text, (int)strlen(text), 1, 1,
        quoted ? YAML_DOUBLE_QUOTED_SCALAR_STYLE : YAML_PLAIN_SCALAR_STYLE);
    return emit(emitter, &event, rv);
}

/* A text that a YAML reader would take for something else must be quoted. */
static bool needs_quotes(const char *text) {
    static const char *const words[] = {"",    "null", "true", "false", "yes", "no", "on",
                                        "off", "~",    "y",    "n",     "=",   "<<"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcasecmp(text, words[i]) == 0) {
            return true;
        }
    }
    return strchr("0123456789+-.", text[0]) != NULL;
}

/* The shortest form that is read as the same number. */
static void format_real(double value, char number[CELL_SIZE]) {
    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(number, CELL_SIZE, "%.*g", digits, value);
        if (strtod(number, NULL) == value) {
            return;
        }
    }
}

static bool emit_value(yaml_emitter_t *emitter, const json_t *value);

static bool emit_object(yaml_emitter_t *emitter, const json_t *value) {
    yaml_event_t event;
    const char *key;
    json_t *member;
    bool ok =
        emit(emitter, &event,
             yaml_mapping_start_event_initialize(&event, NULL, NULL, 1, YAML_BLOCK_MAPPING_STYLE));
    json_object_foreach((json_t *)value, key, member) {
        ok = ok && emit_scalar(emitter, key, needs_quotes(key)) && emit_value(emitter, member);
    }
    return ok && emit(emitter, &event, yaml_mapping_end_event_initialize(&event));
}

static bool emit_array(yaml_emitter_t *emitter, const json_t *value) {
    yaml_event_t event;
    bool ok = emit(
        emitter, &event,
        yaml_sequence_start_event_initialize(&event, NULL, NULL, 1, YAML_BLOCK_SEQUENCE_STYLE));
    for (size_t i = 0; i < json_array_size(value); i++) {
        ok = ok && emit_value(emitter, json_array_get(value, i));
    }
    return ok && emit(emitter, &event, yaml_sequence_end_event_initialize(&event));
}

static bool emit_value(yaml_emitter_t *emitter, const json_t *value) {
    char number[CELL_SIZE];
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return emit_object(emitter, value);
    case JSON_ARRAY:
        return emit_array(emitter, value);
    case JSON_STRING:
        return emit_scalar(emitter, json_string_value(value),
                           needs_quotes(json_string_value(value)));
    case JSON_INTEGER:
        (void)snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        return emit_scalar(emitter, number, false);
    case JSON_REAL:
        format_real(json_real_value(value), number);
        return emit_scalar(emitter, number, false);
    case JSON_TRUE:
        return emit_scalar(emitter, "true", false);
    case JSON_FALSE:
        return emit_scalar(emitter, "false", false);
    default:
        return emit_scalar(emitter, "null", false);
    }
}

void render_yaml(const json_t *document, FILE *out) {
    yaml_emitter_t emitter;
    yaml_event_t event;
    if (yaml_emitter_initialize(&emitter) == 0) {
        return;
    }
    yaml_emitter_set_output_file(&emitter, out);
    yaml_emitter_set_unicode(&emitter, 1);
    yaml_emitter_set_width(&emitter, -1);
    bool ok =
        emit(&emitter, &event, yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING)) &&
        emit(&emitter, &event, yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1)) &&
        emit_value(&emitter, document) &&
        emit(&emitter, &event, yaml_document_end_event_initialize(&event, 1)) &&
        emit(&emitter, &event, yaml_stream_end_event_initialize(&event));
    if (!ok) {
        (void)fprintf(stderr, "noctuactl: can't write YAML: %s\n",
                      emitter.problem == NULL ? "out of memory" : emitter.problem);
    }
    yaml_emitter_delete(&emitter);
}

const char *field_text(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    return text == NULL ? "" : text;
}

uint64_t field_u64(const json_t *object, const char *key) {
    json_int_t value = json_integer_value(json_object_get(object, key));
    return value < 0 ? 0 : (uint64_t)value;
}

bool field_true(const json_t *object, const char *key) {
    return json_is_true(json_object_get(object, key));
}

bool field_is_null(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    return value == NULL || json_is_null(value);
}

char *cell_u64(uint64_t value, char cell[CELL_SIZE]) {
    (void)snprintf(cell, CELL_SIZE, "%" PRIu64, value);
    return cell;
}

char *cell_duration(const json_t *value, char cell[CELL_SIZE]) {
    if (!json_is_integer(value) || json_integer_value(value) < 0) {
        (void)snprintf(cell, CELL_SIZE, "-");
        return cell;
    }
    uint64_t ms = (uint64_t)json_integer_value(value);
    uint64_t s = ms / 1000;
    if (ms < 100) {
        (void)snprintf(cell, CELL_SIZE, "%" PRIu64 "ms", ms);
    } else if (ms < 10000) {
        (void)snprintf(cell, CELL_SIZE, "%" PRIu64 ".%" PRIu64 "s", s, ms % 1000 / 100);
    } else if (s < 120) {
        (void)snprintf(cell, CELL_SIZE, "%" PRIu64 "s", s);
    } else if (s < 7200) {
        (void)snprintf(cell, CELL_SIZE, "%" PRIu64 "m%02" PRIu64 "s", s / 60, s % 60);
    } else if (s < 48 * 3600) {
        (void)snprintf(cell, CELL_SIZE, "%" PRIu64 "h%02" PRIu64 "m", s / 3600, s / 60 % 60);
    } else {
        (void)snprintf(cell, CELL_SIZE, "%" PRIu64 "d", s / 86400);
    }
    return cell;
}

char *cell_about(const json_t *value, char cell[CELL_SIZE]) {
    double number = json_number_value(value);
    if (!json_is_number(value) || !(number >= 0 && number < 1e15)) {
        (void)snprintf(cell, CELL_SIZE, "-");
    } else if (number < 9.95) {
        (void)snprintf(cell, CELL_SIZE, "~%.1f", number);
    } else {
        (void)text_about((uint64_t)(number + 0.5), cell);
    }
    return cell;
}
