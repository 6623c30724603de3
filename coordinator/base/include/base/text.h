/* Small checks and conversions of text that comes from outside. None of them allocates. A result is
 * untouched when the text isn't taken. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARRAY_LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* Copies text with its NUL into a fixed array; false, with to[0] == 0, when it doesn't fit. */
bool text_copy(char *to, size_t to_size, const char *text);
#define TEXT_COPY(array, text) text_copy((array), sizeof(array), (text))

bool text_equal(const char *a, const char *b);
bool text_starts_with(const char *text, const char *prefix);

/* A name of a node, region, service, check or step: 1 to max characters of [a-z0-9-_.], first and
 * last alphanumeric (a DNS label or a file name can be made of it). */
bool text_is_name(const char *text, size_t max);

/* Well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms), without control characters but
 * tab and newline. */
bool text_is_utf8(const void *bytes, size_t size_bytes);
/* Bytes of the first character; 0 where text_is_utf8 would say no, and for an empty text. */
size_t text_utf8_length(const void *bytes, size_t size_bytes);

/* Whole decimal number in [low, high], nothing before or behind it. */
bool text_to_u64(const char *text, uint64_t low, uint64_t high, uint64_t *ret_value);

/* "250ms", "5s", "10m", "2h", "1d" (whole numbers, a unit is required; "0" alone is 0). */
bool text_to_duration_ms(const char *text, uint64_t *ret_ms);
/* "512B", "64KiB", "10MiB", "1GiB". */
bool text_to_size_bytes(const char *text, uint64_t *ret_bytes);

#define TEXT_DURATION_SIZE 24
/* Shortest exact form: "30s", "1500ms", "2h". Returns text. */
char *text_from_duration_ms(uint64_t ms, char text[TEXT_DURATION_SIZE]);

#define TEXT_ABOUT_SIZE 32
/* Three digits of it, in groups: "~53", "~12,300". Returns text. */
char *text_about(uint64_t number, char text[TEXT_ABOUT_SIZE]);

/* Edit distance (Levenshtein) of short words, for "did you mean"; words over 63 bytes: 255. */
unsigned text_distance(const char *a, const char *b);

/* Lower-case hexadecimal of bytes, NUL-terminated; to has 2 * size_bytes + 1 characters. */
void text_to_hex(const void *bytes, size_t size_bytes, char *to);
bool text_from_hex(const char *hex, void *bytes, size_t size_bytes);

#endif
