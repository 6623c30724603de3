#include "fuzz.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/text.h"

#define TAINT 0x5a
#define FRESH_MAX 4

uint8_t fuzz_take(const uint8_t **data, size_t *size_bytes) {
    if (*size_bytes == 0) {
        return 0;
    }
    (*size_bytes)--;
    return *(*data)++;
}

char *fuzz_text(const uint8_t *data, size_t size_bytes) {
    size_t length = size_bytes == 0 ? 0 : strnlen((const char *)data, size_bytes);
    char *text = malloc(length + 1);
    assert(text != NULL);
    if (length > 0) {
        memcpy(text, data, length);
    }
    text[length] = '\0';
    return text;
}

void fuzz_taint(void *memory, size_t size_bytes) {
    memset(memory, TAINT, size_bytes);
}

bool fuzz_is_tainted(const void *memory, size_t size_bytes) {
    const uint8_t *bytes = memory;
    return size_bytes == 0 || (bytes[0] == TAINT && memcmp(bytes, bytes + 1, size_bytes - 1) == 0);
}

/* A private mapping of a file: dropping its pages brings the file's content back. */
static int make_file(const void *content, size_t size_bytes) {
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    assert(fd >= 0);
    int rv = ftruncate(fd, (off_t)size_bytes);
    assert(rv == 0);
    for (size_t at = 0; at < size_bytes;) {
        ssize_t written = pwrite(fd, (const char *)content + at, size_bytes - at, (off_t)at);
        assert(written > 0);
        at += (size_t)written;
    }
    return fd;
}

static void *map_fresh(const void *content, size_t size_bytes) {
    int fd = content == NULL ? -1 : make_file(content, size_bytes);
    void *memory = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_NORESERVE | (fd < 0 ? MAP_ANONYMOUS : 0), fd, 0);
    assert(memory != MAP_FAILED);
    return memory;
}

void *fuzz_fresh(const void *content, size_t size_bytes) {
    static struct {
        const void *content;
        void *memory;
        size_t size_bytes;
    } places[FRESH_MAX];
    uint32_t i = 0;
    while (i < FRESH_MAX && places[i].memory != NULL && places[i].content != content) {
        i++;
    }
    assert(i < FRESH_MAX);
    if (places[i].memory == NULL) {
        places[i].content = content;
        places[i].memory = map_fresh(content, size_bytes);
        places[i].size_bytes = size_bytes;
    }
    assert(size_bytes == places[i].size_bytes);
    int rv = madvise(places[i].memory, size_bytes, MADV_DONTNEED);
    assert(rv == 0);
    (void)rv;
    return places[i].memory;
}

/* Bytes of the control character (C0, DEL, C1) at the beginning; 0: there is none. */
static size_t control_length(const char *text) {
    unsigned char first = (unsigned char)text[0], second = (unsigned char)text[1];
    bool one = first < 0x20 || first == 0x7f;
    return one ? 1 : first == 0xc2 && second >= 0x80 && second < 0xa0 ? 2 : 0;
}

bool fuzz_is_utf8(const char *text) {
    while (*text != '\0') {
        size_t length = control_length(text);
        length = length != 0 ? length : text_utf8_length(text, strlen(text));
        if (length == 0) {
            return false;
        }
        text += length;
    }
    return true;
}
