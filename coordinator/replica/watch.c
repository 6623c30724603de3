/* The disk, as far as libraft doesn't tell: raft_uv answers a failed write by waiting and trying
 * again, with the failed request forgotten for most purposes. So each 100 ms: has a write been
 * outstanding for too long, did raft_uv note an error, have the prepared segments run out with no
 * room to make more? Any of it ends this process with a clear line (fail-stop): a node that hangs
 * on is worse than one that is gone, since its followers keep waiting for it. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/statvfs.h>

#include "replica_private.h"

#define WRITE_STALL_MS 30000
#define ERROR_PATIENCE_MS 500
#define SNAPSHOT_STALL_MS 60000
#define NO_ROOM_PATIENCE_MS 1000 /* a short lack may be a snapshot's temporary file */
#define SEGMENT_KIB (8 * 1024)   /* raft_uv's size of a segment; io.capacity counts KiB */

static uint64_t free_bytes(const struct replica *replica) {
    struct statvfs status;
    if (statvfs(replica->storage.directory, &status) != 0) {
        return UINT64_MAX;
    }
    return (uint64_t)status.f_bavail * status.f_frsize;
}

static void fail_full(struct replica *replica) {
    replica_fail(replica, ERROR_IO,
                 "data directory %s: %s (%" PRIu64 " KiB free): make room, then start this node "
                 "again",
                 replica->storage.directory, strerror(ENOSPC), free_bytes(replica) / 1024);
}

/* raft_uv keeps two segments ready, and makes a new one when one is taken into use. None ready for
 * a while means that it can't. */
static void check_segments(struct replica *replica, uint64_t now_ms) {
    if (replica->io.capacity >= SEGMENT_KIB) {
        replica->pool_empty_since_ms = 0;
        return;
    }
    if (replica->pool_empty_since_ms == 0) {
        replica->pool_empty_since_ms = now_ms;
        return;
    }
    uint64_t empty_ms = now_ms - replica->pool_empty_since_ms;
    if (empty_ms >= NO_ROOM_PATIENCE_MS && free_bytes(replica) / 1024 < SEGMENT_KIB) {
        fail_full(replica);
    } else if (empty_ms >= WRITE_STALL_MS) {
        replica_fail(replica, ERROR_IO,
                     "data directory %s: no log segment could be made for %d s: check the disk",
                     replica->storage.directory, WRITE_STALL_MS / 1000);
    }
}

static void check_appends(struct replica *replica, uint64_t now_ms) {
    const struct append *oldest = TAILQ_FIRST(&replica->appends);
    if (oldest == NULL || oldest->withheld) {
        return;
    }
    /* Not at once: the words may be of something else, and this write is about to end. */
    if (replica->io.errmsg[0] != '\0' && now_ms - oldest->begun_ms >= ERROR_PATIENCE_MS) {
        replica_fail(replica, ERROR_IO, "data directory %s: can't write the log: %s",
                     replica->storage.directory, replica->io.errmsg);
    } else if (now_ms - oldest->begun_ms >= WRITE_STALL_MS) {
        replica_fail(replica, ERROR_IO,
                     "data directory %s: a write has not ended for %d s: check the disk",
                     replica->storage.directory, WRITE_STALL_MS / 1000);
    }
}

static void check_snapshot(struct replica *replica, uint64_t now_ms) {
    if (!replica->put.active || replica->put.withheld) {
        return;
    }
    uint64_t age_ms = now_ms - replica->put.begun_ms;
    if (age_ms >= NO_ROOM_PATIENCE_MS && free_bytes(replica) < replica->put.size_bytes) {
        fail_full(replica);
    } else if (age_ms >= SNAPSHOT_STALL_MS) {
        replica_fail(replica, ERROR_IO,
                     "data directory %s: a snapshot could not be written for %d s: check the disk",
                     replica->storage.directory, SNAPSHOT_STALL_MS / 1000);
    }
}

void replica_on_watch(uv_timer_t *timer) {
    struct replica *replica = timer->data;
    if (replica_is_mute(replica) || !replica->started) {
        return;
    }
    uint64_t now_ms = clock_boottime_ms(replica->clock);
    if (raft_state(&replica->raft) == RAFT_UNAVAILABLE) {
        replica_fail(replica, ERROR_INTERNAL, "Raft stopped: %s", raft_errmsg(&replica->raft));
        return;
    }
    if (mark_failed(&replica->mark)) {
        replica_fail(replica, ERROR_IO, "data directory %s: can't sync high-water",
                     replica->storage.directory);
    }
    replica_resend_snapshots(replica);
    check_appends(replica, now_ms);
    check_segments(replica, now_ms);
    check_snapshot(replica, now_ms);
}
