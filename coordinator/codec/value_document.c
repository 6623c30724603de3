/* What a table says of itself: a page for people, and a JSON Schema for their editors and CI. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "value_table.h"

/* --- the page --- */

static void append_form(const struct value_row *row, struct buffer *out) {
    char range[VALUE_MESSAGE_SIZE];
    value_format_range(row, range);
    if (row->type == VALUE_OTHER && row->table != NULL) {
        buffer_append_format(out, row->by_name ? "%s by name" : "%s", row->table->what);
    } else if (row->type == VALUE_NAME) {
        buffer_append_text(out, "a name");
    } else if (row->type == VALUE_PATH) {
        buffer_append_text(out, "a whole path");
    } else if (row->type == VALUE_TEXT) {
        buffer_append_text(out, "a text");
    } else if (row->type == VALUE_BOOL) {
        buffer_append_text(out, "true or false");
    } else {
        buffer_append_text(out, range);
    }
}

static void append_standard(const struct value_row *row, struct buffer *out) {
    if (row->standard != NULL) {
        buffer_append_format(out, "`%s`", row->standard);
    } else {
        buffer_append_text(out, row->required ? "required" : "");
    }
}

void value_table_print(const struct value_table *table, bool reload, struct buffer *out) {
    buffer_append_format(out, "| key | values | default |%s meaning |\n|---|---|---|%s---|\n",
                         reload ? " reload |" : "", reload ? "---|" : "");
    for (uint32_t i = 0; i < table->count; i++) {
        const struct value_row *row = &table->rows[i];
        if (row->type == VALUE_LATER) {
            continue;
        }
        buffer_append_format(out, "| `%s` | ", row->key);
        append_form(row, out);
        buffer_append_text(out, " | ");
        append_standard(row, out);
        if (reload) {
            buffer_append_text(out, row->reloadable ? " | yes" : " | restart");
        }
        buffer_append_format(out, " | %s |\n", row->doc);
    }
}

void value_table_print_manual(const struct value_table *table, struct buffer *out) {
    for (uint32_t i = 0; i < table->count; i++) {
        const struct value_row *row = &table->rows[i];
        struct buffer form;
        buffer_init(&form, 0);
        append_form(row, &form);
        const char *values = form.data == NULL ? "" : form.data;
        if (row->type == VALUE_LATER) {
            buffer_finish(&form);
            continue;
        }
        buffer_append_text(out, ".TP\n.B ");
        buffer_append_troff(out, row->key);
        buffer_append_text(out, "\n");
        buffer_append_troff(out, row->doc);
        buffer_append_text(out, values[0] == '\0' ? "" : " (");
        buffer_append_troff(out, values);
        buffer_append_text(out, values[0] == '\0' ? "" : ")");
        if (row->required) {
            buffer_append_text(out, ". Required");
        } else if (row->standard != NULL) {
            buffer_append_text(out, ". Default: ");
            buffer_append_troff(out, row->standard);
        }
        buffer_append_text(out, row->reloadable ? ". SIGHUP reads it again.\n" : ".\n");
        buffer_finish(&form);
    }
}

/* --- the schema --- */

/* The docs have no control characters. */
static void append_json_text(const char *text, struct buffer *out) {
    buffer_append_text(out, "\"");
    for (const char *p = text; *p != '\0'; p++) {
        if (*p == '"' || *p == '\\') {
            buffer_append_text(out, "\\");
        }
        (void)buffer_append(out, p, 1);
    }
    buffer_append_text(out, "\"");
}

static void append_words(const struct value_row *row, struct buffer *out) {
    buffer_append_text(out, "{\"enum\": [");
    for (uint32_t i = 0; row->words[i] != NULL; i++) {
        buffer_append_text(out, i == 0 ? "" : ", ");
        append_json_text(row->words[i], out);
    }
    buffer_append_text(out, "]}");
}

static void append_inner(const struct value_row *row, struct buffer *out) {
    if (row->table == NULL) {
        buffer_append_text(out, row->schema != NULL ? row->schema : "true");
    } else if (row->by_name) {
        buffer_append_text(out, "{\"type\": \"object\", \"additionalProperties\": ");
        value_table_print_schema(row->table, out);
        buffer_append_text(out, "}");
    } else if (!row->or_list) {
        value_table_print_schema(row->table, out);
    } else {
        buffer_append_text(out, "{\"anyOf\": [{\"enum\": [\"none\", null]}, ");
        value_table_print_schema(row->table, out);
        buffer_append_text(out, ", {\"type\": \"array\", \"items\": ");
        value_table_print_schema(row->table, out);
        buffer_append_text(out, "}]}");
    }
}

static void append_value(const struct value_row *row, struct buffer *out) {
    switch (row->type) {
    case VALUE_NAME:
        buffer_append_text(out, SCHEMA_NAME);
        break;
    case VALUE_DURATION:
        buffer_append_text(out, "{\"type\": \"string\", \"pattern\": \"^[0-9]+(ms|s|m|h|d)$\"}");
        break;
    case VALUE_NUMBER:
        buffer_append_format(
            out, "{\"type\": \"integer\", \"minimum\": %" PRIu64 ", \"maximum\": %" PRIu64 "}",
            row->low, row->high);
        break;
    case VALUE_BOOL:
        buffer_append_text(out, "{\"type\": \"boolean\"}");
        break;
    case VALUE_WORD:
        append_words(row, out);
        break;
    case VALUE_OTHER:
        append_inner(row, out);
        break;
    case VALUE_LATER:
        buffer_append_text(out, "{\"enum\": [\"none\", null]}");
        break;
    case VALUE_TEXT:
        buffer_append_text(out, SCHEMA_TEXT);
        break;
    case VALUE_PATH:
    case VALUE_ADDRESS:
        buffer_append_text(out, "{\"type\": \"string\"}");
        break;
    }
}

/* A description beside what may be a reference, a boolean or an object: they are all joined. */
static void append_property(const struct value_row *row, const char *key, struct buffer *out) {
    append_json_text(key, out);
    buffer_append_text(out, ": {\"description\": ");
    append_json_text(row->doc, out);
    if (row->standard != NULL) {
        buffer_append_text(out, ", \"$comment\": ");
        char standard[VALUE_MESSAGE_SIZE];
        (void)snprintf(standard, sizeof standard, "default: %s", row->standard);
        append_json_text(standard, out);
    }
    buffer_append_text(out, ", \"allOf\": [");
    append_value(row, out);
    buffer_append_text(out, "]}");
}

static size_t prefix_length(const char *key) {
    const char *dot = strchr(key, '.');
    return dot == NULL ? 0 : (size_t)(dot - key);
}

/* Keys "a.b" and "a.c" are the mapping `a`, told at the first of them. */
static void append_group(const struct value_table *table, uint32_t first, struct buffer *out) {
    size_t length = prefix_length(table->rows[first].key);
    buffer_append_format(out,
                         "\"%.*s\": {\"type\": [\"object\", \"null\"], "
                         "\"additionalProperties\": false, \"properties\": {",
                         (int)length, table->rows[first].key);
    bool any = false;
    for (uint32_t i = first; i < table->count; i++) {
        const char *key = table->rows[i].key;
        if (prefix_length(key) == length && strncmp(key, table->rows[first].key, length) == 0) {
            buffer_append_text(out, any ? ", " : "");
            append_property(&table->rows[i], key + length + 1, out);
            any = true;
        }
    }
    buffer_append_text(out, "}}");
}

static bool is_told(const struct value_table *table, uint32_t row) {
    size_t length = prefix_length(table->rows[row].key);
    for (uint32_t i = 0; i < row && length > 0; i++) {
        if (prefix_length(table->rows[i].key) == length &&
            strncmp(table->rows[i].key, table->rows[row].key, length) == 0) {
            return true;
        }
    }
    return false;
}

void value_table_print_schema(const struct value_table *table, struct buffer *out) {
    bool any = false;
    bool required = false;
    for (uint32_t i = 0; i < table->count; i++) {
        required = required || table->rows[i].required;
    }
    buffer_append_format(out, "{\"type\": %s, \"additionalProperties\": false, \"properties\": {",
                         required ? "\"object\"" : "[\"object\", \"null\"]");
    for (uint32_t i = 0; i < table->count; i++) {
        if (is_told(table, i)) {
            continue;
        }
        buffer_append_text(out, any ? ", " : "");
        any = true;
        if (prefix_length(table->rows[i].key) > 0) {
            append_group(table, i, out);
        } else {
            append_property(&table->rows[i], table->rows[i].key, out);
        }
    }
    buffer_append_text(out, "}, \"required\": [");
    any = false;
    for (uint32_t i = 0; i < table->count; i++) {
        if (table->rows[i].required) {
            buffer_append_text(out, any ? ", " : "");
            append_json_text(table->rows[i].key, out);
            any = true;
        }
    }
    buffer_append_text(out, "]}");
}
