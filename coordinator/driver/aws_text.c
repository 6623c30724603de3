#include "aws_text.h"

#include <assert.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static bool is_unreserved(unsigned char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

bool aws_append_encoded(struct buffer *buffer, const char *text) {
    for (const char *p = text; *p != '\0'; p++) {
        if (is_unreserved((unsigned char)*p)) {
            buffer_append(buffer, p, 1);
        } else {
            buffer_append_format(buffer, "%%%02X", (unsigned char)*p);
        }
    }
    return !buffer->failed;
}

static int compare_encoded(const void *a, const void *b) {
    const struct buffer *const left = a, *const right = b;
    /* Name and value apart: '=' sorts behind '-', '.' and digits, which a longer name may go on
     * with. */
    size_t left_name = strcspn(left->data, "="), right_name = strcspn(right->data, "=");
    size_t shorter = left_name < right_name ? left_name : right_name;
    int order = memcmp(left->data, right->data, shorter);
    if (order == 0 && left_name != right_name) {
        order = left_name < right_name ? -1 : 1;
    }
    return order != 0 ? order : strcmp(left->data + left_name, right->data + right_name);
}

bool aws_append_query(struct buffer *buffer, const struct aws_parameter *parameters,
                      uint32_t parameter_count) {
    assert(parameter_count <= AWS_PARAMETER_MAX);
    struct buffer encoded[AWS_PARAMETER_MAX];
    bool failed = false;
    for (uint32_t i = 0; i < parameter_count; i++) {
        buffer_init(&encoded[i], 0);
        aws_append_encoded(&encoded[i], parameters[i].name);
        buffer_append_text(&encoded[i], "=");
        aws_append_encoded(&encoded[i], parameters[i].value);
        failed = failed || encoded[i].failed;
    }
    if (!failed) {
        qsort(encoded, parameter_count, sizeof encoded[0], compare_encoded);
    }
    for (uint32_t i = 0; i < parameter_count; i++) {
        if (!failed) {
            buffer_append_text(buffer, i == 0 ? "" : "&");
            buffer_append(buffer, encoded[i].data, encoded[i].size_bytes);
        }
        buffer_finish(&encoded[i]);
    }
    buffer->failed = buffer->failed || failed;
    return !buffer->failed;
}

bool aws_parse_time(const char *text, uint64_t *ret_wall_ms) {
    struct tm parts = {0};
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &parts);
    if (rest == NULL) {
        return false;
    }
    if (*rest == '.') {
        rest++;
        if (!isdigit((unsigned char)*rest)) {
            return false;
        }
        while (isdigit((unsigned char)*rest)) {
            rest++;
        }
    }
    if (strcmp(rest, "Z") != 0 && strcmp(rest, "+00:00") != 0) {
        return false;
    }
    time_t seconds = timegm(&parts);
    if (seconds < 0) {
        return false;
    }
    *ret_wall_ms = (uint64_t)seconds * 1000;
    return true;
}

void aws_cut_utf8(char *text) {
    size_t length = strlen(text), cut = 0;
    while (cut < 3 && cut < length && ((unsigned char)text[length - 1 - cut] & 0xc0) == 0x80) {
        cut++;
    }
    if (cut == length || ((unsigned char)text[length - 1 - cut] & 0xc0) != 0xc0) {
        return;
    }
    unsigned char lead = (unsigned char)text[length - 1 - cut];
    size_t wanted = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;
    if (cut < wanted) {
        text[length - 1 - cut] = '\0';
    }
}

bool aws_is_id(const char *text, uint32_t max) {
    size_t length = strnlen(text, (size_t)max + 1);
    if (length == 0 || length > max) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        if (!isalnum((unsigned char)text[i])) {
            return false;
        }
    }
    return true;
}

bool aws_is_region(const char *text) {
    size_t length = strnlen(text, 33);
    unsigned dashes = 0;
    for (size_t i = 0; i < length; i++) {
        dashes += text[i] == '-';
        if (text[i] != '-' && !islower((unsigned char)text[i]) &&
            !isdigit((unsigned char)text[i])) {
            return false;
        }
    }
    return length >= 5 && length <= 32 && dashes >= 2 && islower((unsigned char)text[0]) &&
           isdigit((unsigned char)text[length - 1]);
}
