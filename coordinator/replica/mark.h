/* The high-water mark: the highest log index that this node has said, or may have said, to hold
 * durably. libraft drops what comes after a damaged batch in an open segment without a word; with
 * the mark a start notices that the log is shorter than what the node had acknowledged.
 *
 * Honestly: raising writes into the page cache only, which survives a crash of the process, not of
 * the machine; a helper thread syncs it each second, and mark_close does. So after a loss of power
 * a log that lost less than its last second may go unnoticed. Lowering (the leader truncates
 * entries that were never committed) is synced before it returns, because a mark that is too high
 * would refuse a good log.
 *
 * The file has two slots, written in turn, so that a torn write leaves the other one. */
#ifndef REPLICA_MARK_H
#define REPLICA_MARK_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

#define MARK_SYNC_INTERVAL_MS 1000

struct mark {
    int fd; /* -1: closed */
    uint64_t index;
    uint64_t sequence; /* of the last write */
    atomic_bool dirty, failed;
    bool has_thread, stop; /* stop: under mutex */
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
};

/* Opens <directory>/high-water, at 0 when it isn't there, and starts the helper thread.
 * ERROR_CORRUPT: neither slot is whole. */
enum error_code mark_open(struct mark *mark, const char *directory, struct error *error);
/* Index of the log that is durable now; lower ones are ignored. False: can't be written. */
bool mark_raise(struct mark *mark, uint64_t index);
/* Entries behind `index` are about to go, rightly. False: can't be written. */
bool mark_lower(struct mark *mark, uint64_t index);
/* Whether a sync in the background failed. */
bool mark_failed(const struct mark *mark);
/* Syncs and ends the thread. Takes a closed one. */
void mark_close(struct mark *mark);

#endif
