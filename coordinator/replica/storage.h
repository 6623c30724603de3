/* The data directory of one node:
 *
 *   lock        held (flock) while a process uses the directory; its pid, for people
 *   meta        what the directory is: text lines, written whole and renamed into place
 *   high-water  the highest log index that this node vouched for (replica/mark.h)
 *   raft/       libraft's log segments, snapshots, term and vote
 *
 * The storage UUID is made with the directory and never changes: a wiped directory under an old
 * name shows by it. The boot counter goes up durably before each start, so that (node, boot) names
 * one process for ever. */
#ifndef REPLICA_STORAGE_H
#define REPLICA_STORAGE_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "core/limits.h"

#define STORAGE_FORMAT 1
#define STORAGE_UUID_BYTES 16
#define STORAGE_PATH_SIZE 768 /* libraft's own limit for raft/ is a little higher */

enum storage_origin {
    STORAGE_BOOTSTRAPPED, /* its log begins with the group's: an empty one is a loss */
    STORAGE_JOINED,       /* began empty: the leader sends everything */
    STORAGE_ORIGIN_COUNT
};

struct storage_meta {
    char cluster[NAME_SIZE], node[NAME_SIZE];
    uint64_t node_id;
    uint8_t uuid[STORAGE_UUID_BYTES];
    enum storage_origin origin;
    uint64_t boot; /* starts so far */
};

struct storage {
    char directory[STORAGE_PATH_SIZE];
    int lock_fd; /* -1: not locked */
    struct storage_meta meta;
};

/* Makes the directory (mode 0700) if it isn't there, and locks it. ERROR_EXISTS: it holds something
 * already. ERROR_CONFLICT: another process is at it. */
enum error_code storage_create(struct storage *storage, const char *directory, struct error *error);
/* Last step of making one: from here on it is a data directory. A new UUID is drawn. */
enum error_code storage_write_first_meta(struct storage *storage, const char *cluster,
                                         const char *node, uint64_t node_id,
                                         enum storage_origin origin, struct error *error);

/* Locks an existing directory, checks that it is of that cluster and node, and raises the boot
 * counter. ERROR_NOT_FOUND: not made yet; ERROR_CONFLICT: locked; ERROR_REFUSED: of another cluster
 * or node; ERROR_UNSUPPORTED: newer format; ERROR_CORRUPT; ERROR_IO. */
enum error_code storage_open(struct storage *storage, const char *directory, const char *cluster,
                             const char *node, uint64_t node_id, struct error *error);

void storage_close(struct storage *storage);

/* "<directory>/<name>" into path. */
enum error_code storage_path(const char *directory, const char *name, char path[PATH_MAX],
                             struct error *error);

#endif
