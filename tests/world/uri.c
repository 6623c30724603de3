#include "uri.h"

#include <ctype.h>

#include "alloc.h"
#include "base/text.h"

void uri_encode(const char *text, bool keep_slash, struct buffer *out) {
    for (const char *at = text; *at != '\0'; at++) {
        unsigned char byte = (unsigned char)*at;
        bool unreserved = (byte < 0x80 && isalnum(byte) != 0) || byte == '-' || byte == '_' ||
                          byte == '.' || byte == '~';
        if (unreserved || (keep_slash && byte == '/')) {
            buffer_append(out, at, 1);
        } else {
            buffer_append_format(out, "%%%02X", byte);
        }
    }
}

static int uri_hex_digit(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

char *uri_decode(const char *text, size_t size_bytes, bool plus_is_space) {
    char *decoded = alloc_zeroed(size_bytes + 1, 1);
    size_t length = 0;
    for (size_t i = 0; i < size_bytes; i++) {
        char c = text[i];
        if (c == '+' && plus_is_space) {
            c = ' ';
        } else if (c == '%') {
            int high = i + 2 < size_bytes ? uri_hex_digit(text[i + 1]) : -1;
            int low = i + 2 < size_bytes ? uri_hex_digit(text[i + 2]) : -1;
            if (high < 0 || low < 0 || high + low == 0) {
                free(decoded);
                return NULL;
            }
            c = (char)(high * 16 + low);
            i += 2;
        }
        decoded[length++] = c;
    }
    return decoded;
}

static bool uri_parameters_add(struct uri_parameters *parameters, const char *text,
                               size_t size_bytes) {
    const char *equals = memchr(text, '=', size_bytes);
    size_t name_bytes = equals != NULL ? (size_t)(equals - text) : size_bytes;
    const char *value = equals != NULL ? equals + 1 : text + size_bytes;
    if (parameters->count == URI_PARAMETERS_MAX) {
        return false;
    }
    struct uri_parameter *item = &parameters->items[parameters->count];
    item->name = uri_decode(text, name_bytes, true);
    item->value = uri_decode(value, (size_t)(text + size_bytes - value), true);
    if (item->name == NULL || item->value == NULL) {
        free(item->name);
        free(item->value);
        return false;
    }
    parameters->count++;
    return true;
}

bool uri_parameters_parse(const char *text, struct uri_parameters *ret_parameters) {
    struct uri_parameters parameters = {
        .items = alloc_zeroed(URI_PARAMETERS_MAX, sizeof(struct uri_parameter)),
    };
    while (*text != '\0') {
        size_t size_bytes = strcspn(text, "&");
        if (size_bytes > 0 && !uri_parameters_add(&parameters, text, size_bytes)) {
            uri_parameters_finish(&parameters);
            return false;
        }
        text += size_bytes + (text[size_bytes] == '&' ? 1 : 0);
    }
    *ret_parameters = parameters;
    return true;
}

void uri_parameters_finish(struct uri_parameters *parameters) {
    for (size_t i = 0; i < parameters->count; i++) {
        free(parameters->items[i].name);
        free(parameters->items[i].value);
    }
    free(parameters->items);
    *parameters = (struct uri_parameters){0};
}

const char *uri_parameters_get(const struct uri_parameters *parameters, const char *name) {
    for (size_t i = 0; i < parameters->count; i++) {
        if (text_equal(parameters->items[i].name, name)) {
            return parameters->items[i].value;
        }
    }
    return NULL;
}
