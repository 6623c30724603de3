#include "dns_name.h"

#include <assert.h>
#include <string.h>

static bool dns_name_is_plain(unsigned char byte) {
    return (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') || byte == '-' ||
           byte == '_';
}

/* Appends one byte of a label in canonical form. The caller has checked the wire length, which
 * bounds the text. */
static char *dns_name_put(char *out, unsigned char byte) {
    if (byte >= 'A' && byte <= 'Z') {
        byte = (unsigned char)(byte - 'A' + 'a');
    }
    if (dns_name_is_plain(byte)) {
        *out++ = (char)byte;
        return out;
    }
    *out++ = '\\';
    *out++ = (char)('0' + (byte >> 6));
    *out++ = (char)('0' + ((byte >> 3) & 7));
    *out++ = (char)('0' + (byte & 7));
    return out;
}

static bool dns_name_is_octal(char c) {
    return c >= '0' && c <= '7';
}

/* One byte of the text, resolving an escape; -1 for a bad escape. */
static int dns_name_take(const char **cursor) {
    const char *at = *cursor;
    if (at[0] != '\\') {
        *cursor = at + 1;
        return (unsigned char)at[0];
    }
    if (!dns_name_is_octal(at[1]) || !dns_name_is_octal(at[2]) || !dns_name_is_octal(at[3]) ||
        at[1] > '3') {
        return -1;
    }
    *cursor = at + 4;
    return ((at[1] - '0') << 6) | ((at[2] - '0') << 3) | (at[3] - '0');
}

static enum error_code dns_name_fail(struct error *error, const char *what, const char *why,
                                     const char *text) {
    return error_set(error, ERROR_INVALID, "FATAL problem: %s (%s) encountered with '%.100s'", what,
                     why, text);
}

enum error_code dns_name_canonicalize(const char *text, char to[DNS_NAME_SIZE],
                                      struct error *error) {
    char name[DNS_NAME_SIZE];
    char *out = name;
    size_t label_bytes = 0;
    size_t wire_bytes = 1; /* the root */

    for (const char *cursor = text; *cursor != '\0';) {
        if (*cursor == '.') {
            if (label_bytes == 0) {
                return dns_name_fail(error, "DomainLabelEmpty", "Domain label is empty", text);
            }
            *out++ = '.';
            label_bytes = 0;
            cursor++;
            continue;
        }
        int byte = dns_name_take(&cursor);
        if (byte < 0) {
            return dns_name_fail(error, "InvalidEscape", "Value contains a bad escape code", text);
        }
        /* The first byte of a label brings the length byte with it. */
        wire_bytes += label_bytes == 0 ? 2 : 1;
        if (++label_bytes > DNS_LABEL_MAX) {
            return dns_name_fail(error, "DomainLabelTooLong", "Domain label is too long", text);
        }
        if (wire_bytes > DNS_WIRE_MAX) {
            return dns_name_fail(error, "DomainNameTooLong", "Domain name is too long", text);
        }
        out = dns_name_put(out, (unsigned char)byte);
    }
    if (out == name) {
        return dns_name_fail(error, "DomainLabelEmpty", "Domain label is empty", text);
    }
    if (label_bytes > 0) {
        *out++ = '.';
    }
    *out = '\0';
    memcpy(to, name, (size_t)(out - name) + 1);
    return ERROR_OK;
}

bool dns_name_is_within(const char *name, const char *zone) {
    size_t name_length = strlen(name);
    size_t zone_length = strlen(zone);
    if (name_length < zone_length || strcmp(name + name_length - zone_length, zone) != 0) {
        return false;
    }
    return name_length == zone_length || name[name_length - zone_length - 1] == '.';
}

/* Start of the label that ends (exclusively) at `end`. */
static const char *dns_name_label_start(const char *name, const char *end) {
    while (end > name && end[-1] != '.') {
        end--;
    }
    return end;
}

static int dns_name_compare_labels(const char *a, const char *a_end, const char *b,
                                   const char *b_end) {
    for (;; a++, b++) {
        /* The dot behind a label takes part in the order: "a-b" comes before "a". */
        unsigned char left = a < a_end ? (unsigned char)*a : '.';
        unsigned char right = b < b_end ? (unsigned char)*b : '.';
        if (left != right) {
            return left < right ? -1 : 1;
        }
        if (a == a_end || b == b_end) {
            return 0;
        }
    }
}

int dns_name_compare(const char *a, const char *b) {
    const char *a_end = a + strlen(a);
    const char *b_end = b + strlen(b);
    while (a_end > a && b_end > b) {
        a_end--; /* the dot */
        b_end--;
        const char *a_start = dns_name_label_start(a, a_end);
        const char *b_start = dns_name_label_start(b, b_end);
        int order = dns_name_compare_labels(a_start, a_end, b_start, b_end);
        if (order != 0) {
            return order;
        }
        a_end = a_start;
        b_end = b_start;
    }
    return (a_end > a) - (b_end > b);
}

size_t dns_name_to_wire(const char *name, uint8_t wire[DNS_WIRE_MAX]) {
    size_t length = 0;
    const char *cursor = strcmp(name, ".") == 0 ? "" : name;
    while (*cursor != '\0') {
        size_t label_at = length++;
        while (*cursor != '.') {
            int byte = dns_name_take(&cursor);
            assert(byte >= 0 && length < DNS_WIRE_MAX);
            wire[length++] = (uint8_t)byte;
        }
        cursor++;
        wire[label_at] = (uint8_t)(length - label_at - 1);
    }
    assert(length < DNS_WIRE_MAX);
    wire[length++] = 0;
    return length;
}

bool dns_name_from_wire(const uint8_t *wire, size_t size_bytes, char to[DNS_NAME_SIZE],
                        size_t *ret_length_bytes) {
    char *out = to;
    size_t at = 0;
    for (;;) {
        if (at >= size_bytes || at >= DNS_WIRE_MAX) {
            return false;
        }
        size_t label_bytes = wire[at++];
        if (label_bytes == 0) {
            break;
        }
        /* A compression pointer has no place in the single name of a question. */
        if (label_bytes > DNS_LABEL_MAX || label_bytes >= size_bytes - at ||
            at + label_bytes >= DNS_WIRE_MAX) {
            return false;
        }
        for (size_t i = 0; i < label_bytes; i++) {
            out = dns_name_put(out, wire[at++]);
        }
        *out++ = '.';
    }
    if (out == to) {
        *out++ = '.';
    }
    *out = '\0';
    *ret_length_bytes = at;
    return true;
}
