/* Programs that feed bytes to one decoder each, linked in two ways: with libFuzzer, which makes the
 * bytes up (deploy/bootstrap/configure fuzz, make fuzz), or with replay.c, which takes them from
 * the files of a directory (every other build: the corpus is a unit test). What is found is told by
 * assert, which is always on. */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The program's one function; the name is libFuzzer's. Always 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Takes the first byte off the input: which of a program's modes, the size of pieces. 0 when there
 * is none. */
uint8_t fuzz_take(const uint8_t **data, size_t *size_bytes);

/* The bytes up to the first NUL as text, on the heap and no longer than that, so that reading
 * beyond is seen. */
char *fuzz_text(const uint8_t *data, size_t size_bytes);

/* Fills a result with a pattern, and whether it is still there: a refusal leaves results alone. */
void fuzz_taint(void *memory, size_t size_bytes);
bool fuzz_is_tainted(const void *memory, size_t size_bytes);

/* Memory for a large result that is all zero at each call, whatever the last one left there, and
 * costs as much as was touched. `content` NULL: zeroes, else it begins as a copy of what that was
 * at the first call. One for each content, of at most four. Never freed. */
void *fuzz_fresh(const void *content, size_t size_bytes);

/* Well-formed UTF-8, also with control characters: what was cut was not cut within a character. */
bool fuzz_is_utf8(const char *text);

#endif
