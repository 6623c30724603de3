/* One value at a time: text of a person to a typed field, or a sentence that says what is wrong. */
#include "value_table.h"

#include <arpa/inet.h>
#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *say(char message[VALUE_MESSAGE_SIZE], const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static const char *say(char message[VALUE_MESSAGE_SIZE], const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(message, VALUE_MESSAGE_SIZE, format, arguments);
    va_end(arguments);
    return message;
}

const char *value_nearest_word(const char *wrong, const char *const *words, uint32_t count) {
    const char *best = NULL;
    /* A third of the letters may be wrong, one in a short word; two where they changed places. */
    size_t length = strlen(wrong);
    unsigned limit = length < 5 ? 1 : length / 3 < 2 ? 2 : (unsigned)(length / 3);
    for (uint32_t i = 0; i < count; i++) {
        unsigned distance = text_distance(wrong, words[i]);
        if (distance <= limit && distance < strlen(words[i])) {
            best = words[i];
            limit = distance - 1;
        }
        if (distance == 0 || limit == 0) {
            break;
        }
    }
    return best;
}

static uint32_t count_words(const char *const *words) {
    uint32_t count = 0;
    while (words[count] != NULL) {
        count++;
    }
    return count;
}

void value_format_range(const struct value_row *row, char text[VALUE_MESSAGE_SIZE]) {
    char low[TEXT_DURATION_SIZE];
    char high[TEXT_DURATION_SIZE];
    size_t used = 0;
    text[0] = '\0';
    switch (row->type) {
    case VALUE_DURATION:
        (void)say(text, "%s to %s", row->low == 0 ? "0s" : text_from_duration_ms(row->low, low),
                  text_from_duration_ms(row->high, high));
        break;
    case VALUE_NUMBER:
        (void)say(text, "%" PRIu64 " to %" PRIu64, row->low, row->high);
        break;
    case VALUE_BOOL:
        (void)say(text, "true or false");
        break;
    case VALUE_WORD:
        for (uint32_t i = 0, count = count_words(row->words); i < count; i++) {
            const char *between = i == 0 ? "" : i + 1 == count ? " or " : ", ";
            int length =
                snprintf(text + used, VALUE_MESSAGE_SIZE - used, "%s%s", between, row->words[i]);
            used += (size_t)length;
            assert(used < VALUE_MESSAGE_SIZE);
        }
        break;
    case VALUE_ADDRESS:
        (void)say(text, row->low == 0 ? "host:port or none" : "host:port");
        break;
    default:
        break;
    }
}

static const char *parse_duration(const struct value_row *row, const char *text, void *to,
                                  char message[VALUE_MESSAGE_SIZE]) {
    uint64_t ms;
    char range[VALUE_MESSAGE_SIZE];
    if (text_to_u64(text, 1, UINT64_MAX, &ms)) {
        return say(message, "%.40s has no unit; write %.40ss, or ms, m, h, d", text, text);
    }
    if (!text_to_duration_ms(text, &ms)) {
        return say(message, "'%.40s' is no duration; write a whole number and ms, s, m, h or d",
                   text);
    }
    if (ms < row->low || ms > row->high) {
        value_format_range(row, range);
        return say(message, "%.40s is out of range: %.100s", text, range);
    }
    if (row->size == sizeof(uint32_t)) {
        uint32_t ms32 = (uint32_t)ms;
        memcpy(to, &ms32, sizeof ms32);
    } else {
        assert(row->size == sizeof ms);
        memcpy(to, &ms, sizeof ms);
    }
    return NULL;
}

static const char *parse_number(const struct value_row *row, const char *text, void *to,
                                char message[VALUE_MESSAGE_SIZE]) {
    uint64_t number;
    char range[VALUE_MESSAGE_SIZE];
    if (!text_to_u64(text, row->low, row->high, &number)) {
        value_format_range(row, range);
        return say(message, "'%.40s' is not a whole number from %.100s", text, range);
    }
    assert(row->size == sizeof(uint32_t));
    memcpy(to, &(uint32_t){(uint32_t)number}, sizeof(uint32_t));
    return NULL;
}

static const char *parse_bool(const char *text, void *to, char message[VALUE_MESSAGE_SIZE]) {
    bool value = text_equal(text, "true");
    if (!value && !text_equal(text, "false")) {
        return say(message, "'%.40s' is not true or false", text);
    }
    memcpy(to, &value, sizeof value);
    return NULL;
}

static const char *parse_word(const struct value_row *row, const char *text, void *to,
                              char message[VALUE_MESSAGE_SIZE]) {
    uint32_t count = count_words(row->words);
    for (uint32_t i = 0; i < count; i++) {
        if (text_equal(row->words[i], text)) {
            memcpy(to, &i, sizeof i);
            return NULL;
        }
    }
    char range[VALUE_MESSAGE_SIZE];
    value_format_range(row, range);
    const char *near = value_nearest_word(text, row->words, count);
    return near != NULL
               ? say(message, "'%.40s' is not %.100s; did you mean '%s'?", text, range, near)
               : say(message, "'%.40s' is not %.150s", text, range);
}

static const char *parse_text(const struct value_row *row, const char *text, void *to,
                              char message[VALUE_MESSAGE_SIZE]) {
    char held[CONFIG_PATH_SIZE * 4];
    assert(row->size <= sizeof held);
    if (text[0] == '\0') {
        return say(message, "must not be empty");
    }
    if (!text_copy(held, row->size, text)) {
        return say(message, "is too long: at most %zu bytes", row->size - 1);
    }
    if (row->type == VALUE_NAME && !text_is_name(text, row->size - 1)) {
        return say(message,
                   "'%.64s' is not a name: a-z, 0-9 and inside - _ . (at most %zu characters)",
                   text, row->size - 1);
    }
    if (row->type == VALUE_PATH && text[0] != '/') {
        return say(message, "'%.100s' must be a whole path, from /", text);
    }
    memset(to, 0, row->size);
    memcpy(to, held, strlen(held));
    return NULL;
}

static bool is_host(const char *host, bool v6) {
    unsigned char binary[16];
    if (v6) {
        return inet_pton(AF_INET6, host, binary) == 1;
    }
    size_t length = strlen(host);
    if (length == 0 || length > 253 || host[0] == '-' || host[0] == '.') {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        char c = host[i];
        bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '-' || c == '.' || c == '_';
        if (!fine || (c == '.' && host[i + 1] == '.')) {
            return false;
        }
    }
    return true;
}

bool value_parse_address(const char *text, struct config_address *ret) {
    struct config_address address = {.host = ""};
    const char *colon = strrchr(text, ':');
    if (colon == NULL) {
        return false;
    }
    bool v6 = text[0] == '[';
    const char *host = v6 ? text + 1 : text;
    size_t length = (size_t)(colon - host);
    if (v6 && (colon == host || colon[-1] != ']')) {
        return false;
    }
    length -= v6 ? 1 : 0;
    if (length >= sizeof address.host) {
        return false;
    }
    memcpy(address.host, host, length);
    uint64_t port;
    if (!is_host(address.host, v6) || !text_to_u64(colon + 1, 1, UINT16_MAX, &port)) {
        return false;
    }
    address.port = (uint16_t)port;
    *ret = address;
    return true;
}

const char *value_parse(const struct value_row *row, const char *text, void *into,
                        char message[VALUE_MESSAGE_SIZE]) {
    void *to = (char *)into + row->offset;
    struct config_address address = {.host = ""};
    switch (row->type) {
    case VALUE_TEXT:
    case VALUE_NAME:
    case VALUE_PATH:
        return parse_text(row, text, to, message);
    case VALUE_DURATION:
        return parse_duration(row, text, to, message);
    case VALUE_NUMBER:
        return parse_number(row, text, to, message);
    case VALUE_BOOL:
        return parse_bool(text, to, message);
    case VALUE_WORD:
        return parse_word(row, text, to, message);
    case VALUE_ADDRESS:
        if (!(row->low == 0 && text_equal(text, "none")) && !value_parse_address(text, &address)) {
            return say(message,
                       "'%.80s' is not host:port%s; a port is 1 to 65535, IPv6 is [::1]:80", text,
                       row->low == 0 ? " or none" : "");
        }
        memcpy(to, &address, sizeof address);
        return NULL;
    case VALUE_OTHER:
    case VALUE_LATER:
        break;
    }
    assert(!"a value that the table reads");
    return "";
}

bool value_equal(const struct value_row *row, const void *a, const void *b) {
    return memcmp((const char *)a + row->offset, (const char *)b + row->offset, row->size) == 0;
}
