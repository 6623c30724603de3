/* Lists of record sets and their canonical bytes, and the fence's record set. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "route53_record.h"

static const char STATE_ROOT[] = "ResourceRecordSets";

struct route53_records *route53_records_create(void) {
    return calloc(1, sizeof(struct route53_records));
}

void route53_records_destroy(struct route53_records *records) {
    if (records == NULL) {
        return;
    }
    for (uint32_t i = 0; i < records->count; i++) {
        route53_record_finish(&records->items[i]);
    }
    free(records);
}

static int compare_records(const void *a, const void *b) {
    const struct route53_record *const left = a, *const right = b;
    int order = strcmp(left->name, right->name);
    order = order != 0 ? order : strcmp(left->type, right->type);
    return order != 0 ? order : strcmp(left->set_identifier, right->set_identifier);
}

enum error_code route53_records_to_blob(struct route53_records *records,
                                        struct driver_blob *ret_blob, struct error *error) {
    if (records->count > 1) {
        qsort(records->items, records->count, sizeof records->items[0], compare_records);
    }
    struct buffer bytes;
    buffer_init(&bytes, DRIVER_STATE_MAX);
    buffer_append_format(&bytes, "<%s>", STATE_ROOT);
    for (uint32_t i = 0; i < records->count; i++) {
        route53_record_write(&records->items[i], &bytes);
    }
    buffer_append_format(&bytes, "</%s>", STATE_ROOT);
    enum error_code code = ERROR_OK;
    if (bytes.out_of_memory) {
        code = error_set(error, ERROR_NO_MEMORY, "out of memory");
    } else if (bytes.failed) {
        code = error_set(error, ERROR_LIMIT,
                         "the records take more than %d bytes; use fewer records a zone",
                         DRIVER_STATE_MAX);
    } else {
        ret_blob->size_bytes = (uint32_t)bytes.size_bytes;
        memset(ret_blob->bytes, 0, sizeof ret_blob->bytes);
        memcpy(ret_blob->bytes, bytes.data, bytes.size_bytes);
    }
    buffer_finish(&bytes);
    return code;
}

static enum error_code read_items(const struct xml_document *document,
                                  struct route53_records *records, struct error *error) {
    const struct xml_node *node = xml_first_child(document, xml_root(document));
    for (; node != NULL; node = xml_next(document, node)) {
        if (records->count == DRIVER_RECORD_MAX) {
            return error_set(error, ERROR_LIMIT, "more than %d records", DRIVER_RECORD_MAX);
        }
        enum error_code code =
            route53_record_read(document, node, &records->items[records->count], error);
        if (code != ERROR_OK) {
            return code;
        }
        records->count++;
    }
    return ERROR_OK;
}

enum error_code route53_records_from_blob(const struct driver_blob *blob,
                                          struct route53_records **ret_records,
                                          struct error *error) {
    if (blob->size_bytes > DRIVER_STATE_MAX) {
        return error_set(error, ERROR_CORRUPT, "a state of %u bytes", blob->size_bytes);
    }
    struct route53_records *records = NULL;
    struct xml_document document = {0};
    enum error_code code = xml_parse((const char *)blob->bytes, blob->size_bytes, &document, error);
    if (code == ERROR_NO_MEMORY) {
        goto cleanup;
    }
    if (code != ERROR_OK || !xml_is(&document, xml_root(&document), STATE_ROOT)) {
        code = error_set(error, ERROR_CORRUPT, "a state that is no list of records");
        goto cleanup;
    }
    records = route53_records_create();
    code = records == NULL ? error_set(error, ERROR_NO_MEMORY, "out of memory")
                           : read_items(&document, records, error);

cleanup:
    xml_finish(&document);
    if (code == ERROR_OK) {
        *ret_records = records;
    } else {
        route53_records_destroy(records);
    }
    return code;
}

enum error_code route53_fence_make(const char *fence_name, const char *fence,
                                   struct route53_record *ret_record, struct error *error) {
    if (!driver_fence_is_valid(fence)) {
        return error_set(error, ERROR_INVALID, "'%.100s' can't be a fence", fence);
    }
    struct route53_record record = {.type = "TXT", .ttl = ROUTE53_FENCE_TTL};
    enum error_code code = route53_name_canonicalize(fence_name, record.name, error);
    if (code != ERROR_OK) {
        return code;
    }
    char value[DRIVER_FENCE_MAX + 2];
    value[0] = '"';
    size_t length = strlen(fence);
    memcpy(value + 1, fence, length);
    value[length + 1] = '"';
    value[length + 2] = '\0';
    code = route53_record_set_values(&record, value, error);
    if (code != ERROR_OK) {
        route53_record_finish(&record);
        return code;
    }
    *ret_record = record;
    return ERROR_OK;
}

enum error_code route53_fence_read(const struct route53_record *record,
                                   char ret_fence[DRIVER_FENCE_MAX], struct error *error) {
    assert(strcmp(record->type, "TXT") == 0);
    const char *value = route53_record_value(record, NULL);
    char fence[DRIVER_FENCE_MAX] = "";
    size_t length = value == NULL ? 0 : strlen(value);
    bool ok = record->value_count == 1 && record->set_identifier[0] == '\0' &&
              record->health_check_id[0] == '\0' && strcmp(record->ttl, ROUTE53_FENCE_TTL) == 0 &&
              length > 2 && length - 2 < sizeof fence && value[0] == '"' &&
              value[length - 1] == '"';
    if (ok) {
        memcpy(fence, value + 1, length - 2);
        fence[length - 2] = '\0';
        ok = driver_fence_is_valid(fence);
    }
    if (!ok) {
        return error_set(error, ERROR_CONFLICT,
                         "the fence %.100s TXT is not as this program writes it (TTL %s, one "
                         "quoted value): somebody changed it; restore it, or delete it and adopt",
                         record->name, ROUTE53_FENCE_TTL);
    }
    memcpy(ret_fence, fence, sizeof fence);
    return ERROR_OK;
}
