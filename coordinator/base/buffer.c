#include "base/buffer.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUFFER_FIRST_BYTES = 256 };

void buffer_init(struct buffer *buffer, size_t limit_bytes) {
    *buffer = (struct buffer){.limit_bytes = limit_bytes};
}

void buffer_finish(struct buffer *buffer) {
    free(buffer->data);
    *buffer = (struct buffer){.limit_bytes = buffer->limit_bytes};
}

void buffer_clear(struct buffer *buffer) {
    buffer->size_bytes = 0;
    buffer->failed = false;
    buffer->out_of_memory = false;
}

static bool reserve(struct buffer *buffer, size_t more_bytes) {
    if (buffer->failed || more_bytes > SIZE_MAX / 4 || buffer->size_bytes > SIZE_MAX / 4 ||
        (buffer->limit_bytes != 0 && buffer->size_bytes + more_bytes > buffer->limit_bytes)) {
        buffer->failed = true;
        return false;
    }
    size_t need = buffer->size_bytes + more_bytes + 1;
    if (need <= buffer->capacity_bytes) {
        return true;
    }
    size_t capacity = buffer->capacity_bytes == 0 ? BUFFER_FIRST_BYTES : buffer->capacity_bytes;
    while (capacity < need) {
        capacity *= 2;
    }
    char *data = realloc(buffer->data, capacity);
    if (data == NULL) {
        buffer->failed = true;
        buffer->out_of_memory = true;
        return false;
    }
    buffer->data = data;
    buffer->capacity_bytes = capacity;
    return true;
}

char *buffer_append_room(struct buffer *buffer, size_t size_bytes) {
    if (!reserve(buffer, size_bytes)) {
        return NULL;
    }
    char *room = buffer->data + buffer->size_bytes;
    buffer->size_bytes += size_bytes;
    buffer->data[buffer->size_bytes] = '\0';
    return room;
}

bool buffer_append(struct buffer *buffer, const void *bytes, size_t size_bytes) {
    char *room = buffer_append_room(buffer, size_bytes);
    if (room != NULL && size_bytes > 0) {
        memcpy(room, bytes, size_bytes);
    }
    return room != NULL;
}

bool buffer_append_text(struct buffer *buffer, const char *text) {
    return buffer_append(buffer, text, strlen(text));
}

bool buffer_append_format(struct buffer *buffer, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    va_list again;
    va_copy(again, arguments);
    /* Mostly there is room already: then it is formatted once. */
    size_t left = buffer->failed ? 0 : buffer->capacity_bytes - buffer->size_bytes;
    char *end = left == 0 ? NULL : buffer->data + buffer->size_bytes;
    int length = vsnprintf(end, left, format, arguments);
    va_end(arguments);
    bool ok = length >= 0 && reserve(buffer, (size_t)length);
    if (ok) {
        if ((size_t)length >= left) {
            (void)vsnprintf(buffer->data + buffer->size_bytes, (size_t)length + 1, format, again);
        }
        buffer->size_bytes += (size_t)length;
    } else {
        buffer->failed = true;
        if (end != NULL) {
            *end = '\0';
        }
    }
    va_end(again);
    return ok;
}

bool buffer_append_troff(struct buffer *buffer, const char *text) {
    for (const char *p = text; *p != '\0'; p++) {
        bool leads = p > text && p[-1] == '\n'; /* a dot or quote there would be a request */
        if (*p == '-') {
            (void)buffer_append_text(buffer, "\\-"); /* no place to break */
        } else if (*p == '\\') {
            (void)buffer_append_text(buffer, "\\e");
        } else {
            (void)buffer_append_text(buffer, leads && (*p == '.' || *p == '\'') ? "\\&" : "");
            (void)buffer_append(buffer, p, 1);
        }
    }
    return !buffer->failed;
}

void buffer_consume(struct buffer *buffer, size_t size_bytes) {
    assert(size_bytes <= buffer->size_bytes);
    if (size_bytes == 0) {
        return;
    }
    memmove(buffer->data, buffer->data + size_bytes, buffer->size_bytes - size_bytes + 1);
    buffer->size_bytes -= size_bytes;
}

char *buffer_take(struct buffer *buffer) {
    char *data = buffer->data;
    *buffer = (struct buffer){.limit_bytes = buffer->limit_bytes};
    return data;
}
