/* The small files of a data directory, and how much room there is: replica/storage.h,
 * replica/mark.h and replica/io_destroy.h, as the node's disk has them (disk.h). */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/text.h"
#include "io_destroy.h"
#include "mark.h"
#include "node.h"

/* --- replica/storage.h --- */

enum error_code storage_open(struct storage *storage, const char *directory, const char *cluster,
                             const char *node, uint64_t node_id, struct error *error) {
    struct sim_disk *disk = disk_own();
    (void)cluster;
    (void)node;
    memset(storage, 0, sizeof *storage);
    storage->lock_fd = -1;
    (void)TEXT_COPY(storage->directory, directory);
    if (!disk->has_meta || disk->meta.node_id != node_id) {
        return error_set(error, ERROR_NOT_FOUND, "no data directory");
    }
    if (disk->files_fail || (disk_is_full(disk) && chance_below(&disk->node->chance, 2) == 0)) {
        return error_set(error, ERROR_IO, "can't write %s/meta.new: %s", directory,
                         strerror(disk->files_fail ? EIO : ENOSPC));
    }
    disk->meta.boot++;
    storage->meta = disk->meta;
    sim_crash_point();
    return ERROR_OK;
}

void storage_close(struct storage *storage) {
    (void)storage;
}

enum error_code storage_path(const char *directory, const char *name, char path[PATH_MAX],
                             struct error *error) {
    (void)error;
    (void)snprintf(path, PATH_MAX, "%s/%s", directory, name);
    return ERROR_OK;
}

/* --- replica/mark.h, replica/io_destroy.h --- */

enum error_code mark_open(struct mark *mark, const char *directory, struct error *error) {
    (void)directory;
    (void)error;
    memset(mark, 0, sizeof *mark);
    mark->fd = -1;
    mark->index = disk_own()->mark;
    return ERROR_OK;
}

/* In place: a full disk is no obstacle. */
static bool write_mark(struct mark *mark, uint64_t index) {
    struct sim_disk *disk = disk_own();
    if (disk->files_fail) {
        errno = EIO;
        return false;
    }
    mark->index = index;
    disk->mark = index;
    return true;
}

bool mark_raise(struct mark *mark, uint64_t index) {
    return index <= mark->index || write_mark(mark, index);
}

bool mark_lower(struct mark *mark, uint64_t index) {
    return index >= mark->index || write_mark(mark, index);
}

bool mark_failed(const struct mark *mark) {
    (void)mark;
    return disk_own()->files_fail;
}

void mark_close(struct mark *mark) {
    (void)mark;
}

void io_destroy_offload(bool on) {
    (void)on;
}

/* What replica/watch.c asks for. */
int statvfs(const char *file, struct statvfs *buf) {
    (void)file;
    memset(buf, 0, sizeof *buf);
    buf->f_frsize = 4096;
    buf->f_bavail = disk_is_full(disk_own()) ? 0 : 1 << 20;
    return 0;
}
