/* One typed table for the keys of a mapping: it reads, checks, fills in defaults and documents. The
 * default is text, read by the same code as a person's value, so the page can't differ from what
 * happens. Used by the node's config and, a small table a mapping, by the spec. */
#ifndef CODEC_VALUE_TABLE_H
#define CODEC_VALUE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/text.h"
#include "codec/config.h"
#include "codec/findings.h"
#include "codec/yaml_tree.h"

enum value_type {
    VALUE_TEXT,     /* a char array */
    VALUE_NAME,     /* text_is_name */
    VALUE_PATH,     /* absolute */
    VALUE_DURATION, /* ms, in uint32_t or uint64_t */
    VALUE_NUMBER,   /* uint32_t */
    VALUE_BOOL,
    VALUE_WORD,    /* an enum, by its words */
    VALUE_ADDRESS, /* struct config_address; "none" where the row's low is 0 */
    VALUE_OTHER,   /* known, read by the caller */
    VALUE_LATER,   /* known, of a later version: refused in words */
};

struct value_row {
    const char *key; /* "listen.peer": inside the mapping `listen` */
    enum value_type type;
    bool required, reloadable;
    bool by_name, or_list; /* OTHER with a table: of names to such mappings; or a list, or none */
    size_t offset, size;
    uint64_t low, high;       /* DURATION, NUMBER: both included */
    const char *const *words; /* WORD: NULL-terminated, in the enum's order */
    const char *standard;     /* the default; NULL: none, and it stays zero */
    const char *doc; /* OTHER: may begin with its form in backquotes; LATER: what to do now */
    /* OTHER: what it holds, for the pages and the schema: */
    const struct value_table *table; /* a mapping with these keys (see by_name), */
    const char *schema;              /* or JSON Schema of anything else */
};

struct value_table {
    const struct value_row *rows;
    uint32_t count;
    const char *what; /* "a check": in messages */
};

/* Fragments of schemas. */
#define SCHEMA_NAME                                                                                \
    "{\"type\": \"string\", \"pattern\": \"^[a-z0-9]([a-z0-9._-]*[a-z0-9])?$\", \"maxLength\": "   \
    "63}"
#define SCHEMA_TEXT "{\"type\": [\"string\", \"number\", \"boolean\"]}"
#define SCHEMA_BY_REGION(values) "{\"type\": \"object\", \"additionalProperties\": " values "}"

#define VALUE_AT(type, member) .offset = offsetof(type, member), .size = sizeof(((type *)0)->member)

/* Fills in the defaults. */
void value_table_set_defaults(const struct value_table *table, void *into);

/* Reads a mapping's values over the defaults. Unknown keys, wrong values and missing ones become
 * findings; `into` keeps the default there. `mapping` NULL or empty is an empty mapping, whose
 * missing keys are told at `place`. False: it is no mapping. */
bool value_table_read(const struct value_table *table, const struct yaml_node *mapping,
                      const struct yaml_node *place, void *into, struct spec_findings *findings);

/* One value; NULL, or what is wrong with it, in `message`. */
#define VALUE_MESSAGE_SIZE 256
const char *value_parse(const struct value_row *row, const char *text, void *into,
                        char message[VALUE_MESSAGE_SIZE]);

/* A value as it would be written: for the reference and for comparing. */
bool value_equal(const struct value_row *row, const void *a, const void *b);

/* "1 to 20", "200ms to 10m", "observe, advise or auto"; "" where there is nothing to say. */
void value_format_range(const struct value_row *row, char text[VALUE_MESSAGE_SIZE]);

/* A Markdown table of the keys; `reload`: with a column that says which are read again. */
void value_table_print(const struct value_table *table, bool reload, struct buffer *out);
/* The keys as paragraphs of a manual page (troff, man macros). */
void value_table_print_manual(const struct value_table *table, struct buffer *out);
/* JSON Schema (draft 2020-12) of a mapping, with all that it holds. */
void value_table_print_schema(const struct value_table *table, struct buffer *out);

/* host:port, [v6]:port; false: not one. Port 1 to 65535. */
bool value_parse_address(const char *text, struct config_address *ret);

/* The word nearest to a wrong one, or NULL when none is near. */
const char *value_nearest_word(const char *wrong, const char *const *words, uint32_t count);

/* Findings at a node: at its key where it has one (what is missing or superfluous), or at its value
 * (what is wrong). node NULL: the file as a whole. */
void find_error_at_key(struct spec_findings *findings, const struct yaml_node *node,
                       const char *format, ...) __attribute__((format(printf, 3, 4)));
void find_error(struct spec_findings *findings, const struct yaml_node *node, const char *format,
                ...) __attribute__((format(printf, 3, 4)));
void find_warning(struct spec_findings *findings, const struct yaml_node *node, const char *format,
                  ...) __attribute__((format(printf, 3, 4)));

#endif
