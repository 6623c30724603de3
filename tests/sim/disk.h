/* The disk of a node: libraft's log, snapshot, term and vote, and the small files of the data
 * directory. raft/uv.h, replica/storage.h and replica/mark.h are defined here instead.
 *
 * Requests are durable in their order, each at its own time. A death in between leaves any first
 * part of those that wait: whole requests, and of the next one some entries (torn) or none. Term,
 * vote and meta are durable in the call, as raft_uv and storage.c have it. */
#ifndef SIM_DISK_H
#define SIM_DISK_H

#include <raft.h>

#include "sim.h"
#include "storage.h"

struct disk_entry {
    raft_term term;
    enum raft_entry_type type;
    void *bytes;
    size_t size_bytes;
};

struct disk_snapshot {
    raft_index index, configuration_index;
    raft_term term;
    struct raft_configuration configuration;
    void *bytes;
    size_t size_bytes;
};

struct disk_request;

struct sim_disk {
    struct sim_node *node;
    /* durable */
    raft_term term;
    raft_id vote;
    raft_index first; /* index of entries[0] */
    struct disk_entry *entries;
    size_t count, room;
    struct disk_snapshot snapshot;
    bool has_snapshot;
    struct storage_meta meta;
    bool has_meta;
    uint64_t mark;
    /* of this life: in order */
    struct disk_request *requests;
    struct disk_request *stuck; /* a snapshot that there was no room for: it never ends */
    bool fails;                 /* from now on every request fails */
    bool files_fail;            /* and what is written to meta and high-water */
    uint64_t full_until_us;
    bool has_segments; /* while it is full: for the log some room was taken beforehand */
};

/* The disk of the node whose code runs. */
struct sim_disk *disk_own(void);
void disk_create(struct sim_disk *disk, struct sim_node *node);
void disk_destroy(struct sim_disk *disk);
/* The node has died: decides what of the waiting requests is durable. */
void disk_settle(struct sim_disk *disk);
/* The entry is durable there, by itself or in a snapshot. */
bool disk_has(const struct sim_disk *disk, uint64_t index, uint64_t term);
/* The entry, once all that was asked for is durable; NULL: there is none, or only in a snapshot. */
const struct disk_entry *disk_entry(const struct sim_disk *disk, uint64_t index);
/* The log of a new group: one configuration, as replica_bootstrap writes it. */
void disk_bootstrap(struct sim_disk *disk, const char *cluster, const char *node, uint64_t id,
                    const struct raft_configuration *configuration);

/* The node is dead: its directory is made anew, by `bootstrap` or `join`. */
bool disk_wipe(struct sim_disk *disk);
/* The node is dead: of what it has acknowledged the end is lost. False: nothing could be. */
bool disk_lose_tail(struct sim_disk *disk);
bool disk_is_full(const struct sim_disk *disk);
bool disk_is_stuck(const struct sim_disk *disk); /* its node will end by it */

/* The directory of a node that is to join. */
void disk_join(struct sim_disk *disk, const char *cluster, const char *node, uint64_t id);

#endif
