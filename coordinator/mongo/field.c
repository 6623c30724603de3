#include "field.h"

#include <math.h>
#include <string.h>

static bool find(const bson_t *document, const char *path, bson_iter_t *ret) {
    bson_iter_t iter;
    return bson_iter_init(&iter, document) && bson_iter_find_descendant(&iter, path, ret);
}

bool field_real(const bson_t *document, const char *path, double *ret) {
    bson_iter_t iter;
    if (!find(document, path, &iter) || !BSON_ITER_HOLDS_NUMBER(&iter)) {
        return false;
    }
    double value = bson_iter_as_double(&iter);
    if (!isfinite(value)) {
        return false;
    }
    *ret = value;
    return true;
}

bool field_number(const bson_t *document, const char *path, uint64_t max, uint64_t *ret) {
    bson_iter_t iter;
    if (!find(document, path, &iter) || !BSON_ITER_HOLDS_NUMBER(&iter)) {
        return false;
    }
    if (BSON_ITER_HOLDS_DOUBLE(&iter)) {
        double value = bson_iter_double(&iter);
        if (!(value >= 0 && value <= 9007199254740992.0) || (uint64_t)value > max) {
            return false;
        }
        *ret = (uint64_t)value;
        return true;
    }
    int64_t value = bson_iter_as_int64(&iter);
    if (value < 0 || (uint64_t)value > max) {
        return false;
    }
    *ret = (uint64_t)value;
    return true;
}

bool field_true(const bson_t *document, const char *path) {
    bson_iter_t iter;
    if (!find(document, path, &iter)) {
        return false;
    }
    return BSON_ITER_HOLDS_BOOL(&iter)     ? bson_iter_bool(&iter)
           : BSON_ITER_HOLDS_NUMBER(&iter) ? bson_iter_as_double(&iter) != 0
                                           : false;
}

void field_copy_text(const bson_iter_t *iter, char *to, size_t to_size) {
    uint32_t length = 0;
    const char *text = bson_iter_utf8(iter, &length);
    size_t used = 0;
    for (uint32_t i = 0; text != NULL && i < length && used + 1 < to_size; i++) {
        unsigned char c = (unsigned char)text[i];
        to[used] = '?';
        if (c > ' ' && c < 0x7f) {
            to[used] = (char)c;
        }
        used++;
    }
    memset(to + used, 0, to_size - used);
}

void field_text(const bson_t *document, const char *path, char *to, size_t to_size) {
    bson_iter_t iter;
    memset(to, 0, to_size);
    if (find(document, path, &iter) && BSON_ITER_HOLDS_UTF8(&iter)) {
        field_copy_text(&iter, to, to_size);
    }
}

uint64_t field_date(const bson_t *document, const char *path) {
    bson_iter_t iter;
    if (!find(document, path, &iter) || !BSON_ITER_HOLDS_DATE_TIME(&iter)) {
        return 0;
    }
    int64_t ms = bson_iter_date_time(&iter);
    return ms > 0 && ms < (INT64_C(1) << 53) ? (uint64_t)ms : 0;
}

bool field_inner(const bson_t *document, const char *path, bson_t *ret) {
    bson_iter_t iter;
    const uint8_t *bytes = NULL;
    uint32_t size = 0;
    if (!find(document, path, &iter)) {
        return false;
    }
    if (BSON_ITER_HOLDS_DOCUMENT(&iter)) {
        bson_iter_document(&iter, &size, &bytes);
    } else if (BSON_ITER_HOLDS_ARRAY(&iter)) {
        bson_iter_array(&iter, &size, &bytes);
    }
    return bytes != NULL && bson_init_static(ret, bytes, size);
}
