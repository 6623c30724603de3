#include "directory.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char path[64];

static void remove_directory(void) {
    static const char *const names[] = {"meta", "meta.new", "lock", "high-water"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char file[sizeof path + 16];
        (void)snprintf(file, sizeof file, "%s/%s", path, names[i]);
        (void)unlink(file);
    }
    (void)rmdir(path);
}

const char *directory_path(void) {
    if (path[0] == '\0') {
        const char *below = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
        (void)snprintf(path, sizeof path, "%s/noctua-fuzz.XXXXXX", below);
        const char *made = mkdtemp(path);
        assert(made != NULL);
        (void)made;
        (void)atexit(remove_directory);
    }
    return path;
}

void directory_write(const char *name, const uint8_t *data, size_t size_bytes) {
    char file[sizeof path + 16];
    int length = snprintf(file, sizeof file, "%s/%s", directory_path(), name);
    assert(length > 0 && (size_t)length < sizeof file);
    int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert(fd >= 0);
    ssize_t written = write(fd, data, size_bytes);
    assert(written >= 0 && (size_t)written == size_bytes);
    (void)close(fd);
}
