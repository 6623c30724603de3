/* A growing run of bytes with a named upper limit. A failed append (limit, memory) is remembered in
 * `failed`, so that a long series of appends needs one check at its end. */
#ifndef BASE_BUFFER_H
#define BASE_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buffer {
    char *data; /* NUL-terminated behind size_bytes once anything was appended */
    size_t size_bytes;
    size_t capacity_bytes;
    size_t limit_bytes; /* 0: none */
    bool failed;
    bool out_of_memory; /* that was why, and not the limit */
};

void buffer_init(struct buffer *buffer, size_t limit_bytes);
void buffer_finish(struct buffer *buffer);
/* Forgets the content and the failure, keeps the memory. */
void buffer_clear(struct buffer *buffer);
bool buffer_append(struct buffer *buffer, const void *bytes, size_t size_bytes);
/* Counts so many bytes as appended, which the caller then writes there; NULL: failed. */
char *buffer_append_room(struct buffer *buffer, size_t size_bytes);
bool buffer_append_text(struct buffer *buffer, const char *text);
bool buffer_append_format(struct buffer *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Text as troff (manual pages) shows it unchanged. */
bool buffer_append_troff(struct buffer *buffer, const char *text);
/* Drops the first bytes (consumed input). */
void buffer_consume(struct buffer *buffer, size_t size_bytes);
/* Hands the memory (free with free()) to the caller, and leaves the buffer empty. */
char *buffer_take(struct buffer *buffer);

#endif
