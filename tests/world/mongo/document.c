#include "document.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"

bool mongo_document_of(const bson_iter_t *iter, bson_t *ret_child) {
    const uint8_t *data = NULL;
    uint32_t size = 0;
    if (BSON_ITER_HOLDS_DOCUMENT(iter)) {
        bson_iter_document(iter, &size, &data);
    } else if (BSON_ITER_HOLDS_ARRAY(iter)) {
        bson_iter_array(iter, &size, &data);
    }
    return data != NULL && bson_init_static(ret_child, data, size);
}

bool mongo_document_child(const bson_t *document, const char *key, bson_t *ret_child) {
    bson_iter_t iter;
    return bson_iter_init_find(&iter, document, key) && mongo_document_of(&iter, ret_child);
}

bool mongo_document_flag(const bson_t *document, const char *key) {
    bson_iter_t iter;
    return bson_iter_init_find(&iter, document, key) && bson_iter_as_bool(&iter);
}

bool mongo_document_namespace(const struct mongo_call *call, char *to, size_t to_size) {
    bson_iter_t iter;
    if (!mongo_call_find(call, call->name, &iter) || !BSON_ITER_HOLDS_UTF8(&iter)) {
        return false;
    }
    int length = snprintf(to, to_size, "%s.%s", call->database, bson_iter_utf8(&iter, NULL));
    return length > 0 && (size_t)length < to_size;
}

static bool document_is_number(const bson_iter_t *iter) {
    return BSON_ITER_HOLDS_NUMBER(iter);
}

static double document_number(const bson_iter_t *iter) {
    return BSON_ITER_HOLDS_DOUBLE(iter) ? bson_iter_double(iter) : (double)bson_iter_as_int64(iter);
}

int mongo_document_compare(const bson_iter_t *a, const bson_iter_t *b) {
    if (document_is_number(a) && document_is_number(b)) {
        double one = document_number(a);
        double two = document_number(b);
        return one < two ? -1 : one > two ? 1 : 0;
    }
    if (BSON_ITER_HOLDS_UTF8(a) && BSON_ITER_HOLDS_UTF8(b)) {
        return strcmp(bson_iter_utf8(a, NULL), bson_iter_utf8(b, NULL));
    }
    bson_t one = BSON_INITIALIZER;
    bson_t two = BSON_INITIALIZER;
    bson_append_iter(&one, "", 0, a);
    bson_append_iter(&two, "", 0, b);
    int order = bson_compare(&one, &two);
    bson_destroy(&one);
    bson_destroy(&two);
    return order;
}

static bool document_field_in(const bson_iter_t *field, const bson_iter_t *list) {
    bson_iter_t element;
    if (!bson_iter_recurse(list, &element)) {
        return false;
    }
    while (bson_iter_next(&element)) {
        if (mongo_document_compare(field, &element) == 0) {
            return true;
        }
    }
    return false;
}

bool mongo_document_matches(const bson_t *document, const bson_t *query) {
    bson_iter_t wanted;
    bson_iter_t field;
    bson_iter_t operator;
    if (!bson_iter_init(&wanted, query)) {
        return false;
    }
    while (bson_iter_next(&wanted)) {
        const char *key = bson_iter_key(&wanted);
        if (text_starts_with(key, "$")) {
            continue;
        }
        bool there = bson_iter_init_find(&field, document, key);
        bool in = BSON_ITER_HOLDS_DOCUMENT(&wanted) && bson_iter_recurse(&wanted, &operator) &&
                  bson_iter_find(&operator, "$in");
        if (!there || !(in ? document_field_in(&field, &operator)
                           : mongo_document_compare(&field, &wanted) == 0)) {
            return false;
        }
    }
    return true;
}

const struct mongo_entry *mongo_document_search(const struct mongo_oplog *log,
                                                const char *namespace, const bson_t *query,
                                                size_t *position) {
    bson_iter_t id;
    bool by_id = bson_iter_init_find(&id, query, "_id") && !BSON_ITER_HOLDS_DOCUMENT(&id);
    if (by_id) {
        if (*position > 0) {
            return NULL;
        }
        *position = 1;
        const struct mongo_entry *entry = mongo_oplog_find(log, namespace, bson_iter_value(&id));
        return entry != NULL && mongo_document_matches(entry->document, query) ? entry : NULL;
    }
    for (;;) {
        const struct mongo_entry *entry = mongo_oplog_next(log, namespace, position);
        if (entry == NULL || mongo_document_matches(entry->document, query)) {
            return entry;
        }
    }
}

static void document_set(const bson_t *document, const bson_iter_t *value, bool add, bson_t *to) {
    const char *key = bson_iter_key(value);
    bson_iter_t field;
    bool there = false;
    if (!bson_iter_init(&field, document)) {
        return;
    }
    while (bson_iter_next(&field)) {
        if (!text_equal(bson_iter_key(&field), key)) {
            bson_append_iter(to, NULL, 0, &field);
            continue;
        }
        there = true;
        if (add && document_is_number(&field) && document_is_number(value)) {
            bson_append_int64(to, key, -1, bson_iter_as_int64(&field) + bson_iter_as_int64(value));
        } else {
            bson_append_iter(to, NULL, 0, value);
        }
    }
    if (!there) {
        bson_append_iter(to, NULL, 0, value);
    }
}

static void document_unset(const bson_t *document, const bson_iter_t *value, bson_t *to) {
    bson_copy_to_excluding_noinit(document, to, bson_iter_key(value), NULL);
}

static void document_change_by(bson_t *whole, const char *operator, bson_iter_t * value) {
    bson_t next = BSON_INITIALIZER;
    if (text_equal(operator, "$unset")) {
        document_unset(whole, value, &next);
    } else {
        document_set(whole, value, text_equal(operator, "$inc"), &next);
    }
    bson_destroy(whole);
    bson_copy_to(&next, whole);
    bson_destroy(&next);
}

void mongo_document_change(const bson_t *document, const bson_t *change, bson_t *to) {
    bson_iter_t operator;
    bson_iter_t value;
    bson_t whole;
    if (!bson_iter_init(&operator, change) || !bson_iter_next(&operator)) {
        bson_concat(to, document);
        return;
    }
    if (!text_starts_with(bson_iter_key(&operator), "$")) {
        bson_iter_t id;
        if (bson_iter_init_find(&id, document, "_id") && !bson_has_field(change, "_id")) {
            bson_append_iter(to, NULL, 0, &id);
        }
        bson_concat(to, change);
        return;
    }
    bson_copy_to(document, &whole);
    do {
        if (bson_iter_recurse(&operator, & value)) {
            while (bson_iter_next(&value)) {
                document_change_by(&whole, bson_iter_key(&operator), &value);
            }
        }
    } while (bson_iter_next(&operator));
    bson_concat(to, &whole);
    bson_destroy(&whole);
}

uint64_t mongo_document_hash(const bson_iter_t *value, uint64_t seed) {
    bson_t document = BSON_INITIALIZER;
    uint64_t hash = 0xcbf29ce484222325ULL ^ (seed * 0x9e3779b97f4a7c15ULL);
    bson_append_iter(&document, "", 0, value);
    const uint8_t *bytes = bson_get_data(&document);
    for (uint32_t i = 0; i < document.len; i++) {
        hash = (hash ^ bytes[i]) * 0x100000001b3ULL;
    }
    bson_destroy(&document);
    return hash == 0 ? 1 : hash;
}
