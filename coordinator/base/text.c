#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

bool text_copy(char *to, size_t to_size, const char *text) {
    size_t length = strlen(text);
    if (length >= to_size) {
        to[0] = '\0';
        return false;
    }
    memcpy(to, text, length + 1);
    return true;
}

bool text_equal(const char *a, const char *b) {
    return strcmp(a, b) == 0;
}

bool text_starts_with(const char *text, const char *prefix) {
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool is_alphanumeric(char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool text_is_name(const char *text, size_t max) {
    size_t length = strnlen(text, max + 1);
    if (length == 0 || length > max || !is_alphanumeric(text[0]) ||
        !is_alphanumeric(text[length - 1])) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        if (!is_alphanumeric(text[i]) && strchr("-_.", text[i]) == NULL) {
            return false;
        }
    }
    return true;
}

/* Length of the well-formed sequence at p (RFC 3629, section 4), 0 when there is none. */
static size_t utf8_sequence(const uint8_t *p, size_t left) {
    uint8_t c = p[0];
    if (c < 0x80) {
        return 1;
    }
    size_t length = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
    if (c < 0xc2 || c > 0xf4 || left < length) {
        return 0;
    }
    for (size_t i = 1; i < length; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    bool overlong = (c == 0xe0 && p[1] < 0xa0) || (c == 0xf0 && p[1] < 0x90);
    bool surrogate = c == 0xed && p[1] >= 0xa0;
    bool too_high = c == 0xf4 && p[1] >= 0x90;
    return overlong || surrogate || too_high ? 0 : length;
}

size_t text_utf8_length(const void *bytes, size_t size_bytes) {
    const uint8_t *p = bytes;
    if (size_bytes > 0 && p[0] >= 0x20 && p[0] < 0x7f) {
        return 1; /* by far the most */
    }
    size_t length = size_bytes == 0 ? 0 : utf8_sequence(p, size_bytes);
    bool low = length == 1 && (p[0] < 0x20 || p[0] == 0x7f) && p[0] != '\t' && p[0] != '\n';
    bool high = length == 2 && p[0] == 0xc2 && p[1] < 0xa0; /* U+0080 to U+009F */
    return low || high ? 0 : length;
}

bool text_is_utf8(const void *bytes, size_t size_bytes) {
    const uint8_t *p = bytes;
    while (size_bytes > 0) {
        size_t length = text_utf8_length(p, size_bytes);
        if (length == 0) {
            return false;
        }
        p += length;
        size_bytes -= length;
    }
    return true;
}

/* Digits at the start of text; NULL where there are none or the number is too large. */
static const char *read_digits(const char *text, uint64_t *ret_value) {
    uint64_t value = 0;
    const char *at = text;
    for (; *at >= '0' && *at <= '9'; at++) {
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*at - '0'), &value)) {
            return NULL;
        }
    }
    *ret_value = value;
    return at == text ? NULL : at;
}

bool text_to_u64(const char *text, uint64_t low, uint64_t high, uint64_t *ret_value) {
    uint64_t value;
    const char *end = read_digits(text, &value);
    if (end == NULL || *end != '\0' || value < low || value > high) {
        return false;
    }
    *ret_value = value;
    return true;
}

struct unit {
    const char *suffix;
    uint64_t factor;
};

static bool read_with_unit(const char *text, const struct unit *units, size_t unit_count,
                           uint64_t *ret_value) {
    uint64_t value;
    const char *end = read_digits(text, &value);
    if (end == NULL) {
        return false;
    }
    if (value == 0 && *end == '\0') {
        *ret_value = 0;
        return true;
    }
    for (size_t i = 0; i < unit_count; i++) {
        if (text_equal(end, units[i].suffix)) {
            if (value > UINT64_MAX / units[i].factor) {
                return false;
            }
            *ret_value = value * units[i].factor;
            return true;
        }
    }
    return false;
}

static const struct unit duration_units[] = {
    {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000},
};

static const struct unit size_units[] = {
    {"B", 1},
    {"KiB", 1024},
    {"MiB", 1024 * 1024},
    {"GiB", 1024 * 1024 * 1024},
};

bool text_to_duration_ms(const char *text, uint64_t *ret_ms) {
    return read_with_unit(text, duration_units, ARRAY_LENGTH(duration_units), ret_ms);
}

bool text_to_size_bytes(const char *text, uint64_t *ret_bytes) {
    return read_with_unit(text, size_units, ARRAY_LENGTH(size_units), ret_bytes);
}

char *text_from_duration_ms(uint64_t ms, char text[TEXT_DURATION_SIZE]) {
    size_t best = 0;
    for (size_t i = 0; i < ARRAY_LENGTH(duration_units); i++) {
        if (ms != 0 && ms % duration_units[i].factor == 0) {
            best = i;
        }
    }
    (void)snprintf(text, TEXT_DURATION_SIZE, "%" PRIu64 "%s", ms / duration_units[best].factor,
                   duration_units[best].suffix);
    return text;
}

char *text_about(uint64_t number, char text[TEXT_ABOUT_SIZE]) {
    uint64_t unit = 1;
    while (number / unit >= 1000) {
        unit *= 10;
    }
    number = (number / unit + (number % unit * 2 >= unit && unit > 1)) * unit; /* half up */
    char *at = text + TEXT_ABOUT_SIZE;
    *--at = '\0';
    unsigned digits = 0;
    do {
        if (digits > 0 && digits % 3 == 0) {
            *--at = ',';
        }
        *--at = (char)('0' + number % 10);
        number /= 10;
        digits++;
    } while (number > 0);
    *--at = '~';
    memmove(text, at, (size_t)(text + TEXT_ABOUT_SIZE - at));
    return text;
}

unsigned text_distance(const char *a, const char *b) {
    enum { WORD_MAX = 63 };
    size_t a_length = strlen(a);
    size_t b_length = strlen(b);
    if (a_length > WORD_MAX || b_length > WORD_MAX) {
        return 255;
    }
    unsigned row[WORD_MAX + 1];
    for (size_t j = 0; j <= b_length; j++) {
        row[j] = (unsigned)j;
    }
    for (size_t i = 1; i <= a_length; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b_length; j++) {
            unsigned replace = diagonal + (a[i - 1] != b[j - 1]);
            unsigned insert = row[j - 1] + 1;
            unsigned remove = row[j] + 1;
            diagonal = row[j];
            unsigned least = insert < remove ? insert : remove;
            row[j] = replace < least ? replace : least;
        }
    }
    return row[b_length];
}

void text_to_hex(const void *bytes, size_t size_bytes, char *to) {
    static const char digits[] = "0123456789abcdef";
    const uint8_t *p = bytes;
    for (size_t i = 0; i < size_bytes; i++) {
        to[2 * i] = digits[p[i] >> 4];
        to[2 * i + 1] = digits[p[i] & 15];
    }
    to[2 * size_bytes] = '\0';
}

static int hex_value(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool text_from_hex(const char *hex, void *bytes, size_t size_bytes) {
    if (strlen(hex) != 2 * size_bytes) {
        return false;
    }
    for (const char *at = hex; *at != '\0'; at++) {
        if (hex_value(*at) < 0) {
            return false;
        }
    }
    uint8_t *p = bytes;
    for (size_t i = 0; i < size_bytes; i++) {
        unsigned high = (unsigned)hex_value(hex[2 * i]);
        unsigned low = (unsigned)hex_value(hex[2 * i + 1]);
        p[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}
