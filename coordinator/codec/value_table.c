#include "value_table.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define KEY_PATH_SIZE 128
#define SIBLING_MAX 64

static void add(struct spec_findings *findings, enum finding_severity severity,
                const struct yaml_node *at, const char *format, va_list arguments) {
    char message[FINDING_MESSAGE_SIZE];
    (void)vsnprintf(message, sizeof message, format, arguments);
    findings_add(findings, severity, at == NULL ? 0 : at->line, at == NULL ? 0 : at->column, "%s",
                 message);
}

void find_error(struct spec_findings *findings, const struct yaml_node *node, const char *format,
                ...) {
    va_list arguments;
    va_start(arguments, format);
    add(findings, FINDING_ERROR, node, format, arguments);
    va_end(arguments);
}

void find_error_at_key(struct spec_findings *findings, const struct yaml_node *node,
                       const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    add(findings, FINDING_ERROR, node != NULL && node->key != NULL ? node->key : node, format,
        arguments);
    va_end(arguments);
}

void find_warning(struct spec_findings *findings, const struct yaml_node *node, const char *format,
                  ...) {
    va_list arguments;
    va_start(arguments, format);
    add(findings, FINDING_WARNING, node, format, arguments);
    va_end(arguments);
}

void value_table_set_defaults(const struct value_table *table, void *into) {
    for (uint32_t i = 0; i < table->count; i++) {
        const struct value_row *row = &table->rows[i];
        if (row->standard != NULL && row->type != VALUE_OTHER && row->type != VALUE_LATER) {
            char message[VALUE_MESSAGE_SIZE];
            const char *wrong = value_parse(row, row->standard, into, message);
            assert(wrong == NULL);
            (void)wrong;
        }
    }
}

static const struct value_row *find_row(const struct value_table *table, const char *path) {
    for (uint32_t i = 0; i < table->count; i++) {
        if (text_equal(table->rows[i].key, path)) {
            return &table->rows[i];
        }
    }
    return NULL;
}

static bool is_group(const struct value_table *table, const char *path) {
    size_t length = strlen(path);
    for (uint32_t i = 0; i < table->count; i++) {
        if (text_starts_with(table->rows[i].key, path) && table->rows[i].key[length] == '.') {
            return true;
        }
    }
    return false;
}

/* The keys that may stand directly below `prefix` ("" or "listen."), each once. */
static uint32_t list_siblings(const struct value_table *table, const char *prefix,
                              char names[SIBLING_MAX][KEY_PATH_SIZE],
                              const char *ret_names[SIBLING_MAX]) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < table->count && count < SIBLING_MAX; i++) {
        if (!text_starts_with(table->rows[i].key, prefix)) {
            continue;
        }
        const char *name = table->rows[i].key + strlen(prefix);
        size_t length = strcspn(name, ".");
        assert(length < KEY_PATH_SIZE);
        memcpy(names[count], name, length);
        names[count][length] = '\0';
        bool known = count > 0 && text_equal(names[count - 1], names[count]);
        ret_names[count] = names[count];
        count += known ? 0 : 1;
    }
    return count;
}

static void tell_unknown_key(const struct value_table *table, const char *prefix,
                             const struct yaml_node *node, struct spec_findings *findings) {
    char names[SIBLING_MAX][KEY_PATH_SIZE];
    const char *siblings[SIBLING_MAX] = {NULL};
    uint32_t count = list_siblings(table, prefix, names, siblings);
    const char *near = value_nearest_word(node->key->text, siblings, count);
    if (near != NULL) {
        find_error_at_key(findings, node, "unknown key '%.64s'; did you mean '%s'?",
                          node->key->text, near);
        return;
    }
    char list[FINDING_MESSAGE_SIZE / 2] = "";
    for (uint32_t i = 0; i < count; i++) {
        size_t used = strlen(list);
        (void)snprintf(list + used, sizeof list - used, "%s%s", i == 0 ? "" : ", ", siblings[i]);
    }
    find_error_at_key(findings, node, "unknown key '%.64s' in %s; there are %s", node->key->text,
                      table->what, list);
}

static void read_value(const struct value_row *row, const struct yaml_node *node, void *into,
                       struct spec_findings *findings) {
    char message[VALUE_MESSAGE_SIZE];
    const char *key = node->key->text;
    if (row->type == VALUE_OTHER) {
        return;
    }
    if (row->type == VALUE_LATER) {
        bool said_none = node->kind == YAML_SCALAR && text_equal(node->text, "none");
        if (!said_none && !yaml_is_null(node)) {
            find_error_at_key(findings, node, "'%s' is not in this version of Noctua; %s", key,
                              row->doc);
        }
        return;
    }
    if (node->kind != YAML_SCALAR) {
        find_error(findings, node, "%s: a single value is wanted here, not a %s", key,
                   node->kind == YAML_MAPPING ? "mapping" : "list");
        return;
    }
    if (yaml_is_null(node)) {
        find_error_at_key(findings, node, "%s has no value", key);
        return;
    }
    const char *wrong = value_parse(row, node->text, into, message);
    if (wrong != NULL) {
        find_error(findings, node, "%s: %s", key, wrong);
    }
}

static bool read_group(const struct value_table *table, const char *prefix,
                       const struct yaml_node *mapping, void *into,
                       struct spec_findings *findings) {
    bool said_none = prefix[0] != '\0' && mapping != NULL && mapping->kind == YAML_SCALAR &&
                     text_equal(mapping->text, "none");
    if (mapping == NULL || yaml_is_null(mapping) || said_none) {
        return true;
    }
    if (mapping->kind != YAML_MAPPING) {
        find_error(findings, mapping, "%s%s: keys and values are wanted here",
                   mapping->key != NULL ? mapping->key->text : table->what,
                   mapping->key != NULL ? "" : " is a mapping");
        return false;
    }
    bool fine = true;
    for (const struct yaml_node *node = mapping->first; node != NULL; node = node->next) {
        char path[KEY_PATH_SIZE];
        int length = snprintf(path, sizeof path, "%s%s", prefix, node->key->text);
        const struct value_row *row = (size_t)length < sizeof path ? find_row(table, path) : NULL;
        if (row != NULL) {
            read_value(row, node, into, findings);
        } else if ((size_t)length + 1 < sizeof path && is_group(table, path)) {
            path[length] = '.';
            path[length + 1] = '\0';
            fine = read_group(table, path, node, into, findings) && fine;
        } else {
            tell_unknown_key(table, prefix, node, findings);
        }
    }
    return fine;
}

bool value_table_read(const struct value_table *table, const struct yaml_node *mapping,
                      const struct yaml_node *place, void *into, struct spec_findings *findings) {
    value_table_set_defaults(table, into);
    if (!read_group(table, "", mapping, into, findings)) {
        return false;
    }
    bool empty = mapping == NULL || mapping->kind != YAML_MAPPING;
    for (uint32_t i = 0; i < table->count; i++) {
        const struct value_row *row = &table->rows[i];
        /* Only keys of the mapping itself are required, not those of groups in it. */
        if (row->required && (empty || yaml_find(mapping, row->key) == NULL)) {
            find_error_at_key(findings, place, "%s needs '%s': %s", table->what, row->key,
                              row->doc);
        }
    }
    return true;
}
