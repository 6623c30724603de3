#include "mark.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "storage.h"

#define SLOT_COUNT 2
#define SLOT_BYTES 512 /* a sector: written whole or not at all by most disks */
#define MARK_MAGIC UINT64_C(0x6e6f637475614857)

/* In this machine's byte order: a data directory doesn't move between machines while running. */
struct slot {
    uint64_t magic, sequence, index, check;
};

static uint64_t slot_check(const struct slot *slot) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a over the words */
    const uint64_t words[] = {slot->magic, slot->sequence, slot->index};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        for (unsigned shift = 0; shift < 64; shift += 8) {
            hash = (hash ^ (words[i] >> shift & 0xff)) * UINT64_C(0x100000001b3);
        }
    }
    return hash;
}

static bool write_slot(struct mark *mark, uint64_t index) {
    struct slot slot = {MARK_MAGIC, mark->sequence + 1, index, 0};
    slot.check = slot_check(&slot);
    off_t offset = (off_t)(slot.sequence % SLOT_COUNT) * SLOT_BYTES;
    if (pwrite(mark->fd, &slot, sizeof slot, offset) != (ssize_t)sizeof slot) {
        return false;
    }
    mark->sequence = slot.sequence;
    mark->index = index;
    atomic_store(&mark->dirty, true);
    return true;
}

static enum error_code read_slots(struct mark *mark, const char *path, struct error *error) {
    uint8_t bytes[SLOT_COUNT * SLOT_BYTES] = {0};
    ssize_t length = pread(mark->fd, bytes, sizeof bytes, 0);
    if (length < 0) {
        return error_set(error, ERROR_IO, "can't read %s: %s", path, strerror(errno));
    }
    if (length == 0) {
        return ERROR_OK;
    }
    bool found = false;
    for (size_t i = 0; i < SLOT_COUNT; i++) {
        struct slot slot;
        memcpy(&slot, bytes + i * SLOT_BYTES, sizeof slot);
        if (slot.magic == MARK_MAGIC && slot.check == slot_check(&slot) &&
            slot.sequence >= mark->sequence) {
            mark->sequence = slot.sequence;
            mark->index = slot.index;
            found = true;
        }
    }
    if (!found) {
        return error_set(error, ERROR_CORRUPT,
                         "%s is damaged, so nobody knows whether the log is whole: let this node "
                         "join again, wiped and under a new name",
                         path);
    }
    return ERROR_OK;
}

static void *sync_thread(void *argument) {
    struct mark *mark = argument;
    pthread_mutex_lock(&mark->mutex);
    while (!mark->stop) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += MARK_SYNC_INTERVAL_MS / 1000;
        (void)pthread_cond_timedwait(&mark->wake, &mark->mutex, &until);
        pthread_mutex_unlock(&mark->mutex);
        if (atomic_exchange(&mark->dirty, false) && fdatasync(mark->fd) != 0) {
            atomic_store(&mark->failed, true);
        }
        pthread_mutex_lock(&mark->mutex);
    }
    pthread_mutex_unlock(&mark->mutex);
    return NULL;
}

static void start_thread(struct mark *mark) {
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&mark->mutex, NULL);
    pthread_cond_init(&mark->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    mark->has_thread = pthread_create(&mark->thread, NULL, sync_thread, mark) == 0;
}

enum error_code mark_open(struct mark *mark, const char *directory, struct error *error) {
    char path[PATH_MAX];
    memset(mark, 0, sizeof *mark);
    mark->fd = -1;
    enum error_code code = storage_path(directory, "high-water", path, error);
    if (code != ERROR_OK) {
        return code;
    }
    mark->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (mark->fd < 0) {
        return error_set(error, ERROR_IO, "can't open %s: %s", path, strerror(errno));
    }
    code = read_slots(mark, path, error);
    if (code != ERROR_OK) {
        (void)close(mark->fd);
        mark->fd = -1;
        return code;
    }
    start_thread(mark);
    if (!mark->has_thread) {
        mark_close(mark);
        return error_set(error, ERROR_NO_MEMORY, "can't start a thread");
    }
    return ERROR_OK;
}

bool mark_raise(struct mark *mark, uint64_t index) {
    return index <= mark->index || write_slot(mark, index);
}

bool mark_lower(struct mark *mark, uint64_t index) {
    if (index >= mark->index) {
        return true;
    }
    return write_slot(mark, index) && fdatasync(mark->fd) == 0;
}

bool mark_failed(const struct mark *mark) {
    return atomic_load(&mark->failed);
}

void mark_close(struct mark *mark) {
    if (mark->fd < 0) {
        return;
    }
    if (mark->has_thread) {
        pthread_mutex_lock(&mark->mutex);
        mark->stop = true;
        pthread_cond_signal(&mark->wake);
        pthread_mutex_unlock(&mark->mutex);
        (void)pthread_join(mark->thread, NULL);
    }
    pthread_cond_destroy(&mark->wake);
    pthread_mutex_destroy(&mark->mutex);
    (void)fdatasync(mark->fd);
    (void)close(mark->fd);
    mark->fd = -1;
}
