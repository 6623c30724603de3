#include "route53_record.h"

#include <assert.h>
#include <ctype.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

/* The elements with plain text, in the order in which a request must have them. `parent`: the
 * element around it. ResourceRecords stands between TTL and AliasTarget. */
struct field {
    const char *parent, *element;
    size_t offset, size;
};

#define FIELD(parent_name, element_name, member)                                                   \
    {                                                                                              \
        parent_name, element_name, offsetof(struct route53_record, member),                        \
            sizeof(((struct route53_record *)0)->member)                                           \
    }

static const struct field field_table[] = {
    FIELD(NULL, "Name", name),
    FIELD(NULL, "Type", type),
    FIELD(NULL, "SetIdentifier", set_identifier),
    FIELD(NULL, "Weight", weight),
    FIELD(NULL, "Region", region),
    FIELD("GeoLocation", "ContinentCode", continent),
    FIELD("GeoLocation", "CountryCode", country),
    FIELD("GeoLocation", "SubdivisionCode", subdivision),
    FIELD(NULL, "Failover", failover),
    FIELD(NULL, "MultiValueAnswer", multi_value),
    FIELD(NULL, "TTL", ttl),
    FIELD("AliasTarget", "HostedZoneId", alias_zone),
    FIELD("AliasTarget", "DNSName", alias_name),
    FIELD("AliasTarget", "EvaluateTargetHealth", alias_health),
    FIELD(NULL, "HealthCheckId", health_check_id),
};

static char *field_text(struct route53_record *record, const struct field *field) {
    return (char *)record + field->offset;
}

static const char *field_text_const(const struct route53_record *record,
                                    const struct field *field) {
    return (const char *)record + field->offset;
}

static bool is_octal_escape(const char *text) {
    return text[0] == '\\' && text[1] >= '0' && text[1] <= '3' && text[2] >= '0' &&
           text[2] <= '7' && text[3] >= '0' && text[3] <= '7';
}

/* A name while it is written: no memory of its own, so that it can't fail for want of it. */
struct name_writer {
    char text[ROUTE53_NAME_SIZE];
    size_t length;
    bool full;
};

static void write_name(struct name_writer *name, const char *text, size_t length) {
    size_t room = sizeof name->text - 2 - name->length; /* behind it the last dot and the NUL */
    name->full = name->full || length > room;
    if (!name->full) {
        memcpy(name->text + name->length, text, length);
        name->length += length;
    }
}

enum error_code route53_name_canonicalize(const char *text, char to[ROUTE53_NAME_SIZE],
                                          struct error *error) {
    struct name_writer name = {.length = 0};
    bool label_empty = true, ok = text[0] != '\0';
    for (const char *p = text; *p != '\0' && ok; p++) {
        unsigned char c = (unsigned char)*p;
        char escape[8];
        if (c == '.') {
            ok = !label_empty;
            label_empty = true;
            if (p[1] != '\0') {
                write_name(&name, ".", 1);
            }
            continue;
        }
        label_empty = false;
        if (is_octal_escape(p)) {
            write_name(&name, p, 4);
            p += 3;
        } else if (isalnum(c) || c == '-' || c == '_') {
            escape[0] = (char)tolower(c);
            write_name(&name, escape, 1);
        } else {
            (void)snprintf(escape, sizeof escape, "\\%03o", c);
            write_name(&name, escape, 4);
        }
    }
    if (!ok || name.full) {
        return error_set(error, ERROR_INVALID, "'%.100s' is not a DNS name", text);
    }
    (void)snprintf(to, ROUTE53_NAME_SIZE, "%.*s.", (int)name.length, name.text);
    return ERROR_OK;
}

void route53_record_finish(struct route53_record *record) {
    buffer_finish(&record->values);
    record->value_count = 0;
}

enum error_code route53_record_copy(const struct route53_record *from, struct route53_record *to,
                                    struct error *error) {
    *to = *from;
    buffer_init(&to->values, from->values.limit_bytes);
    if (from->values.size_bytes > 0 &&
        !buffer_append(&to->values, from->values.data, from->values.size_bytes)) {
        buffer_finish(&to->values);
        return error_set(error, ERROR_NO_MEMORY, "out of memory");
    }
    return ERROR_OK;
}

const char *route53_record_value(const struct route53_record *record, const char *value) {
    const char *next = value == NULL ? record->values.data : value + strlen(value) + 1;
    return record->value_count == 0 || next >= record->values.data + record->values.size_bytes
               ? NULL
               : next;
}

static int compare_texts(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static enum error_code sort_values(struct route53_record *record, struct error *error) {
    const char *places[ROUTE53_VALUE_COUNT_MAX];
    uint32_t count = 0;
    for (const char *v = route53_record_value(record, NULL); v != NULL;
         v = route53_record_value(record, v)) {
        assert(count < ROUTE53_VALUE_COUNT_MAX);
        places[count++] = v;
    }
    assert(count == record->value_count);
    qsort(places, count, sizeof places[0], compare_texts);
    struct buffer sorted;
    buffer_init(&sorted, record->values.limit_bytes);
    for (uint32_t i = 0; i < count; i++) {
        buffer_append(&sorted, places[i], strlen(places[i]) + 1);
    }
    if (sorted.failed) {
        buffer_finish(&sorted);
        return error_set(error, ERROR_NO_MEMORY, "out of memory");
    }
    buffer_finish(&record->values);
    record->values = sorted;
    return ERROR_OK;
}

static enum error_code add_value(struct route53_record *record, const char *value, size_t length,
                                 struct error *error) {
    if (record->value_count == ROUTE53_VALUE_COUNT_MAX) {
        return error_set(error, ERROR_LIMIT, "%s %s: more than %d values", record->name,
                         record->type, ROUTE53_VALUE_COUNT_MAX);
    }
    if (!buffer_append(&record->values, value, length) || !buffer_append(&record->values, "", 1)) {
        if (record->values.out_of_memory) {
            return error_set(error, ERROR_NO_MEMORY, "out of memory");
        }
        return error_set(error, ERROR_LIMIT, "%s %s: more than %d bytes of values", record->name,
                         record->type, DRIVER_STATE_MAX);
    }
    record->value_count++;
    return ERROR_OK;
}

enum error_code route53_record_set_values(struct route53_record *record, const char *text,
                                          struct error *error) {
    buffer_finish(&record->values);
    buffer_init(&record->values, DRIVER_STATE_MAX);
    record->value_count = 0;
    while (*text != '\0') {
        size_t length = strcspn(text, "\n");
        if (length > 0) {
            enum error_code code = add_value(record, text, length, error);
            if (code != ERROR_OK) {
                return code;
            }
        }
        text += length + (text[length] == '\n');
    }
    if (record->value_count == 0) {
        return error_set(error, ERROR_INVALID, "%s %s: an empty set of values is never written",
                         record->name, record->type);
    }
    return sort_values(record, error);
}

static enum error_code read_values(const struct xml_document *document, const struct xml_node *node,
                                   struct route53_record *record, struct error *error) {
    const struct xml_node *item = xml_first_child(document, node);
    for (; item != NULL; item = xml_next(document, item)) {
        const char *value = xml_child_text(document, item, "Value");
        if (!xml_is(document, item, "ResourceRecord") || value == NULL || value[0] == '\0') {
            return error_set(error, ERROR_PROTOCOL, "a record without a value");
        }
        enum error_code code = add_value(record, value, strlen(value), error);
        if (code != ERROR_OK) {
            return code;
        }
    }
    return record->value_count == 0 ? ERROR_OK : sort_values(record, error);
}

static const struct field *find_field(const char *parent, const char *element) {
    for (size_t i = 0; i < ARRAY_LENGTH(field_table); i++) {
        const char *other = field_table[i].parent;
        bool same_parent =
            other == NULL || parent == NULL ? other == parent : strcmp(other, parent) == 0;
        if (same_parent && strcmp(field_table[i].element, element) == 0) {
            return &field_table[i];
        }
    }
    return NULL;
}

static bool is_group(const char *element) {
    return strcmp(element, "GeoLocation") == 0 || strcmp(element, "AliasTarget") == 0;
}

/* The children of a ResourceRecordSet, or of one of its groups. */
static enum error_code read_fields(const struct xml_document *document,
                                   const struct xml_node *parent, const char *group,
                                   struct route53_record *record, struct error *error) {
    const struct xml_node *child = xml_first_child(document, parent);
    for (; child != NULL; child = xml_next(document, child)) {
        const char *element = xml_name(document, child);
        const char *text = xml_text(document, child);
        enum error_code code = ERROR_OK;
        const struct field *field = find_field(group, element);
        if (field != NULL) {
            if (!text_copy(field_text(record, field), field->size, text)) {
                code = error_set(error, ERROR_LIMIT, "%s is too long", element);
            }
        } else if (group == NULL && strcmp(element, "ResourceRecords") == 0) {
            code = read_values(document, child, record, error);
        } else if (group == NULL && is_group(element)) {
            code = read_fields(document, child, element, record, error);
        } else {
            code = error_set(error, ERROR_UNSUPPORTED, "it has a %s, which can't be kept by a move",
                             element);
        }
        if (code != ERROR_OK) {
            return code;
        }
    }
    return ERROR_OK;
}

enum error_code route53_record_read(const struct xml_document *document,
                                    const struct xml_node *node, struct route53_record *ret_record,
                                    struct error *error) {
    struct route53_record record = {.name = ""};
    buffer_init(&record.values, DRIVER_STATE_MAX);
    enum error_code code = ERROR_OK;
    if (!xml_is(document, node, "ResourceRecordSet")) {
        code = error_set(error, ERROR_PROTOCOL, "not a ResourceRecordSet");
        goto cleanup;
    }
    code = read_fields(document, node, NULL, &record, error);
    if (code == ERROR_OK && (record.name[0] == '\0' || record.type[0] == '\0')) {
        code = error_set(error, ERROR_PROTOCOL, "a record set without name or type");
    }
    if (code == ERROR_OK && (record.value_count > 0) == (record.alias_zone[0] != '\0')) {
        code = error_set(error, ERROR_UNSUPPORTED, "neither values nor an alias, or both");
    }

cleanup:
    if (code == ERROR_OK) {
        *ret_record = record;
    } else {
        if (record.name[0] != '\0') {
            error_prefix(error, "record %.100s %s %.50s", record.name, record.type,
                         record.set_identifier);
        }
        route53_record_finish(&record);
    }
    return code;
}

static void write_values(const struct route53_record *record, struct buffer *buffer) {
    if (record->value_count == 0) {
        return;
    }
    buffer_append_text(buffer, "<ResourceRecords>");
    for (const char *v = route53_record_value(record, NULL); v != NULL;
         v = route53_record_value(record, v)) {
        buffer_append_text(buffer, "<ResourceRecord>");
        xml_append_element(buffer, "Value", v);
        buffer_append_text(buffer, "</ResourceRecord>");
    }
    buffer_append_text(buffer, "</ResourceRecords>");
}

bool route53_record_write(const struct route53_record *record, struct buffer *buffer) {
    buffer_append_text(buffer, "<ResourceRecordSet>");
    const char *group = NULL; /* open now */
    for (size_t i = 0; i < ARRAY_LENGTH(field_table); i++) {
        const struct field *field = &field_table[i];
        if (group != NULL && (field->parent == NULL || strcmp(field->parent, group) != 0)) {
            buffer_append_format(buffer, "</%s>", group);
            group = NULL;
        }
        if (field_text_const(record, field)[0] != '\0') {
            if (field->parent != NULL && group == NULL) {
                group = field->parent;
                buffer_append_format(buffer, "<%s>", group);
            }
            xml_append_element(buffer, field->element, field_text_const(record, field));
        }
        if (strcmp(field->element, "TTL") == 0) {
            write_values(record, buffer);
        }
    }
    assert(group == NULL);
    return buffer_append_text(buffer, "</ResourceRecordSet>");
}

bool route53_record_is(const struct route53_record *record, const char *key_name, const char *type,
                       const char *set_identifier) {
    char name[ROUTE53_NAME_SIZE];
    return strcmp(record->type, type) == 0 && strcmp(record->set_identifier, set_identifier) == 0 &&
           route53_name_canonicalize(record->name, name, NULL) == ERROR_OK &&
           strcmp(name, key_name) == 0;
}

void route53_record_describe(const struct route53_record *record, struct buffer *buffer) {
    size_t length = strlen(record->name);
    bool dot = length > 1 && record->name[length - 1] == '.';
    buffer_append_format(buffer, "%.*s %s", (int)(length - dot), record->name, record->type);
    if (record->set_identifier[0] != '\0') {
        buffer_append_format(buffer, " [%s%s%s%s%s]", record->set_identifier,
                             record->weight[0] != '\0' ? " weight " : "", record->weight,
                             record->failover[0] != '\0' ? " " : "", record->failover);
    }
    if (record->alias_name[0] != '\0') {
        length = strlen(record->alias_name);
        dot = length > 1 && record->alias_name[length - 1] == '.';
        buffer_append_format(buffer, " alias %.*s", (int)(length - dot), record->alias_name);
    }
    for (const char *v = route53_record_value(record, NULL); v != NULL;
         v = route53_record_value(record, v)) {
        buffer_append_format(buffer, " %s", v);
    }
}
