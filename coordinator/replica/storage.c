#include "storage.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/entropy.h"
#include "base/text.h"

#define META_SIZE_MAX 1024
#define LOCK_TEXT_MAX 32

static const char *const origin_words[STORAGE_ORIGIN_COUNT] = {"bootstrap", "join"};

enum error_code storage_path(const char *directory, const char *name, char path[PATH_MAX],
                             struct error *error) {
    int length = snprintf(path, PATH_MAX, "%s/%s", directory, name);
    if (length < 0 || length >= STORAGE_PATH_SIZE) {
        return error_set(error, ERROR_LIMIT, "the path of the data directory is too long");
    }
    return ERROR_OK;
}

static enum error_code io_error(struct error *error, const char *path, const char *doing) {
    return error_set(error, ERROR_IO, "%s %s: %s", doing, path, strerror(errno));
}

static enum error_code sync_directory(const char *directory, struct error *error) {
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return io_error(error, directory, "can't open");
    }
    enum error_code code =
        fsync(fd) == 0 ? ERROR_OK : io_error(error, directory, "can't write (fsync)");
    (void)close(fd);
    return code;
}

/* The pid in the lock file is only for the message: the kernel's lock is what counts, so that one
 * left by a dead process is no obstacle. */
static enum error_code take_lock(struct storage *storage, struct error *error) {
    char path[PATH_MAX];
    char pid[LOCK_TEXT_MAX] = "";
    enum error_code code = storage_path(storage->directory, "lock", path, error);
    if (code != ERROR_OK) {
        return code;
    }
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        return io_error(error, path, "can't open");
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        int reason = errno;
        ssize_t length = read(fd, pid, sizeof pid - 1);
        (void)close(fd);
        if (reason != EWOULDBLOCK) {
            errno = reason;
            return io_error(error, path, "can't lock");
        }
        pid[length > 0 ? strcspn(pid, "\n") : 0] = '\0';
        return error_set(error, ERROR_CONFLICT,
                         "data directory %s is in use by process %s: stop that one first",
                         storage->directory, pid[0] != '\0' ? pid : "?");
    }
    int length = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, pid, (size_t)length, 0) != length) {
        code = io_error(error, path, "can't write");
        (void)close(fd);
        return code;
    }
    storage->lock_fd = fd;
    return ERROR_OK;
}

/* What a file system or an earlier, refused start may have put there doesn't count. */
static bool entry_counts(const char *name) {
    return !text_equal(name, ".") && !text_equal(name, "..") && !text_equal(name, "lock") &&
           !text_equal(name, "lost+found");
}

static enum error_code check_is_empty(const char *directory, bool *ret_is_empty,
                                      struct error *error) {
    DIR *stream = opendir(directory);
    if (stream == NULL) {
        return io_error(error, directory, "can't read");
    }
    bool is_empty = true;
    for (const struct dirent *entry = readdir(stream); entry != NULL; entry = readdir(stream)) {
        is_empty = is_empty && !entry_counts(entry->d_name);
    }
    (void)closedir(stream);
    *ret_is_empty = is_empty;
    return ERROR_OK;
}

static void format_meta(const struct storage_meta *meta, struct buffer *text) {
    char uuid[2 * STORAGE_UUID_BYTES + 1];
    text_to_hex(meta->uuid, sizeof meta->uuid, uuid);
    (void)buffer_append_format(text,
                               "noctua-data %d\ncluster %s\nnode %s\nnode-id %016" PRIx64
                               "\nstorage %s\norigin %s\nboot %" PRIu64 "\nend\n",
                               STORAGE_FORMAT, meta->cluster, meta->node, meta->node_id, uuid,
                               origin_words[meta->origin], meta->boot);
}

static bool write_all(int fd, const char *bytes, size_t size_bytes) {
    while (size_bytes > 0) {
        ssize_t written = write(fd, bytes, size_bytes);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            return false;
        }
        bytes += written;
        size_bytes -= (size_t)written;
    }
    return true;
}

static enum error_code write_meta(const struct storage *storage, struct error *error) {
    char path[PATH_MAX];
    char temporary[PATH_MAX];
    struct buffer text;
    enum error_code code = storage_path(storage->directory, "meta", path, error);
    if (code == ERROR_OK) {
        code = storage_path(storage->directory, "meta.new", temporary, error);
    }
    if (code != ERROR_OK) {
        return code;
    }
    buffer_init(&text, META_SIZE_MAX);
    format_meta(&storage->meta, &text);
    assert(!text.failed);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) {
        code = io_error(error, temporary, "can't open");
        goto cleanup;
    }
    if (!write_all(fd, text.data, text.size_bytes) || fsync(fd) != 0) {
        code = io_error(error, temporary, "can't write");
        goto cleanup;
    }
    if (rename(temporary, path) != 0) {
        code = io_error(error, path, "can't replace");
        goto cleanup;
    }
    code = sync_directory(storage->directory, error);
cleanup:
    if (fd >= 0) {
        (void)close(fd);
    }
    buffer_finish(&text);
    return code;
}

/* Takes the line "<key> <value>\n" off *at; its value, or NULL. */
static char *take_line(char **at, const char *key) {
    char *line = *at;
    char *end = strchr(line, '\n');
    size_t length = strlen(key);
    if (end == NULL || strncmp(line, key, length) != 0 || line[length] != ' ') {
        return NULL;
    }
    *end = '\0';
    *at = end + 1;
    return line + length + 1;
}

static bool parse_node_id(const char *text, uint64_t *ret_id) {
    uint8_t bytes[8];
    if (text == NULL || strlen(text) != 2 * sizeof bytes ||
        !text_from_hex(text, bytes, sizeof bytes)) {
        return false;
    }
    uint64_t id = 0;
    for (size_t i = 0; i < sizeof bytes; i++) {
        id = id << 8 | bytes[i];
    }
    *ret_id = id;
    return true;
}

static bool parse_meta(char *at, struct storage_meta *meta) {
    const char *cluster = take_line(&at, "cluster");
    const char *node = take_line(&at, "node");
    const char *node_id = take_line(&at, "node-id");
    const char *uuid = take_line(&at, "storage");
    const char *origin = take_line(&at, "origin");
    const char *boot = take_line(&at, "boot");
    if (cluster == NULL || !text_is_name(cluster, NAME_SIZE - 1) || node == NULL ||
        !text_is_name(node, NAME_SIZE - 1) || uuid == NULL ||
        strlen(uuid) != 2 * (size_t)STORAGE_UUID_BYTES ||
        !text_from_hex(uuid, meta->uuid, STORAGE_UUID_BYTES) || origin == NULL || boot == NULL ||
        !text_equal(at, "end\n")) {
        return false;
    }
    (void)TEXT_COPY(meta->cluster, cluster);
    (void)TEXT_COPY(meta->node, node);
    bool known = false;
    for (int i = 0; i < STORAGE_ORIGIN_COUNT; i++) {
        if (text_equal(origin, origin_words[i])) {
            meta->origin = (enum storage_origin)i;
            known = true;
        }
    }
    return known && parse_node_id(node_id, &meta->node_id) &&
           text_to_u64(boot, 0, TIME_MAX_MS, &meta->boot);
}

static enum error_code read_meta(struct storage *storage, struct error *error) {
    char path[PATH_MAX];
    char text[META_SIZE_MAX + 1];
    uint64_t format = 0;
    enum error_code code = storage_path(storage->directory, "meta", path, error);
    if (code != ERROR_OK) {
        return code;
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return io_error(error, path, "can't open");
    }
    ssize_t length = read(fd, text, sizeof text - 1);
    if (length < 0) {
        code = io_error(error, path, "can't read");
        (void)close(fd);
        return code;
    }
    (void)close(fd);
    text[length] = '\0';
    char *at = text;
    const char *version = take_line(&at, "noctua-data");
    if (version == NULL || !text_to_u64(version, 1, UINT32_MAX, &format)) {
        return error_set(error, ERROR_CORRUPT, "%s is not the meta file of a data directory", path);
    }
    if (format > STORAGE_FORMAT) {
        return error_set(error, ERROR_UNSUPPORTED,
                         "%s has format %" PRIu64 ", this version knows up to %d: upgrade this "
                         "node, or give it the newer version back",
                         path, format, STORAGE_FORMAT);
    }
    if (!parse_meta(at, &storage->meta)) {
        return error_set(error, ERROR_CORRUPT,
                         "%s is damaged: restore the directory, or let the node join again, wiped "
                         "and under a new name",
                         path);
    }
    return ERROR_OK;
}

static enum error_code set_directory(struct storage *storage, const char *directory,
                                     struct error *error) {
    memset(storage, 0, sizeof *storage);
    storage->lock_fd = -1;
    /* "high-water" is the longest name below it. */
    if (strlen(directory) + sizeof "/high-water" > STORAGE_PATH_SIZE) {
        return error_set(error, ERROR_LIMIT, "the path of the data directory is too long");
    }
    (void)TEXT_COPY(storage->directory, directory);
    return ERROR_OK;
}

enum error_code storage_create(struct storage *storage, const char *directory,
                               struct error *error) {
    char path[PATH_MAX];
    bool is_empty = false;
    enum error_code code = set_directory(storage, directory, error);
    if (code != ERROR_OK) {
        return code;
    }
    if (mkdir(directory, 0700) != 0 && errno != EEXIST) {
        return io_error(error, directory, "can't make");
    }
    code = check_is_empty(directory, &is_empty, error);
    if (code != ERROR_OK) {
        return code;
    }
    if (!is_empty) {
        return error_set(error, ERROR_EXISTS,
                         "%s is not empty: a node's data is made once; to start this node, run "
                         "noctuad without bootstrap",
                         directory);
    }
    code = take_lock(storage, error);
    if (code != ERROR_OK) {
        return code;
    }
    code = storage_path(directory, "raft", path, error);
    if (code == ERROR_OK && mkdir(path, 0700) != 0) {
        code = io_error(error, path, "can't make");
    }
    if (code != ERROR_OK) {
        storage_close(storage);
    }
    return code;
}

enum error_code storage_write_first_meta(struct storage *storage, const char *cluster,
                                         const char *node, uint64_t node_id,
                                         enum storage_origin origin, struct error *error) {
    struct storage_meta *meta = &storage->meta;
    (void)TEXT_COPY(meta->cluster, cluster);
    (void)TEXT_COPY(meta->node, node);
    meta->node_id = node_id;
    meta->origin = origin;
    meta->boot = 0;
    entropy_system.fill(entropy_system.context, meta->uuid, sizeof meta->uuid);
    return write_meta(storage, error);
}

/* A directory without meta: say which of the three cases it is. */
static enum error_code explain_missing_meta(const char *directory, struct error *error) {
    bool is_empty = false;
    struct stat status;
    if (stat(directory, &status) != 0) {
        if (errno != ENOENT) {
            return io_error(error, directory, "can't open");
        }
        is_empty = true;
    } else {
        enum error_code code = check_is_empty(directory, &is_empty, error);
        if (code != ERROR_OK) {
            return code;
        }
    }
    if (is_empty) {
        return error_set(error, ERROR_NOT_FOUND,
                         "no data in %s: run 'noctuad bootstrap' once on each node when the group "
                         "is first made; a node that lost its disk joins again under a new name",
                         directory);
    }
    return error_set(error, ERROR_CORRUPT,
                     "%s holds files but is not a data directory (no meta): a bootstrap that was "
                     "cut short, or a wrong path. Empty it and run 'noctuad bootstrap' again, or "
                     "correct the path",
                     directory);
}

enum error_code storage_open(struct storage *storage, const char *directory, const char *cluster,
                             const char *node, uint64_t node_id, struct error *error) {
    char path[PATH_MAX];
    enum error_code code = set_directory(storage, directory, error);
    if (code != ERROR_OK) {
        return code;
    }
    code = storage_path(directory, "meta", path, error);
    if (code != ERROR_OK) {
        return code;
    }
    if (access(path, F_OK) != 0) {
        return errno == ENOENT ? explain_missing_meta(directory, error)
                               : io_error(error, path, "can't open");
    }
    code = take_lock(storage, error);
    if (code != ERROR_OK) {
        return code;
    }
    code = read_meta(storage, error);
    const struct storage_meta *meta = &storage->meta;
    if (code == ERROR_OK && (!text_equal(meta->cluster, cluster) || !text_equal(meta->node, node) ||
                             meta->node_id != node_id)) {
        code = error_set(error, ERROR_REFUSED,
                         "%s belongs to node %s of cluster %s, not to node %s of %s: check the "
                         "path and the config",
                         directory, meta->node, meta->cluster, node, cluster);
    }
    if (code == ERROR_OK) {
        storage->meta.boot++;
        code = write_meta(storage, error);
    }
    if (code != ERROR_OK) {
        storage_close(storage);
    }
    return code;
}

void storage_close(struct storage *storage) {
    if (storage->lock_fd >= 0) {
        (void)close(storage->lock_fd);
        storage->lock_fd = -1;
    }
}
