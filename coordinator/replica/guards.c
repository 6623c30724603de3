/* Messages of the library's own peers that it doesn't take as they are (libraft 0.22.1): each guard
 * says what would happen without it, and is removed by a mutant that the simulator finds. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "replica_private.h"

void replica_drop_held(struct replica *replica) {
    if (replica->has_held) {
        wire_release(&replica->held);
        replica->has_held = false;
    }
}

/* A snapshot that arrives while we write one of our own crashes the library (it follows a pointer
 * that it has just cleared), and one that arrives while another is installed leaks. The first waits
 * until our own is written, a newer one taking its place; the second is dropped, since the leader
 * sends it again. */
static bool hold_snapshot(struct replica *replica, struct raft_message *message) {
    if (message->type != RAFT_INSTALL_SNAPSHOT) {
        return false;
    }
    if (replica->raft.snapshot.installing) {
        wire_release(message);
        return true;
    }
    if (!replica->raft.legacy.snapshot_taking) {
        return false;
    }
    replica_drop_held(replica);
    replica->held = *message;
    replica->has_held = true;
    LOG_EVENT(SNAPSHOT_HELD, LOG_U64("log_index", message->install_snapshot.last_index));
    return true;
}

void replica_deliver_held(struct replica *replica) {
    if (!replica->has_held || replica->raft.legacy.snapshot_taking || replica_is_mute(replica)) {
        return;
    }
    struct raft_message message = replica->held;
    replica->has_held = false;
    /* Meanwhile we may have come to lead that term. */
    if (replica_find_impossible(replica, &message, message.server_id) != NULL) {
        wire_release(&message);
    } else if (!hold_snapshot(replica, &message)) {
        replica->receive(&replica->io, &message);
    }
}

/* The library sets its commit index to min(leader's, last entry of this message) whenever the
 * leader's is higher than its own, also when that is lower than its own: then it goes back, and an
 * assertion ends the process. It happens with heartbeats to a follower that the leader is sending a
 * snapshot, because they are anchored at the snapshot's end. Such a message says nothing new about
 * what is committed here. */
static void keep_commit_index(struct replica *replica, struct raft_message *message) {
    struct raft_append_entries *args = &message->append_entries;
    raft_index commit_index = raft_commit_index(&replica->raft);
    if (message->type == RAFT_APPEND_ENTRIES && args->leader_commit > commit_index &&
        args->prev_log_index + args->n_entries < commit_index) {
        args->leader_commit = commit_index;
    }
}

static void drop_entries(struct raft_message *message) {
    wire_release(message);
    message->append_entries.entries = NULL;
    message->append_entries.n_entries = 0;
}

/* The library takes an entry from before its log for a new one, and appends it at the end, when a
 * leader that still has the whole log sends it from the first entry on (libraft 0.22.1,
 * replication.c, checkConflictingEntries): as to a node that has joined, written a snapshot, and
 * lost its link. And it refuses what comes right behind the last entry from before its log, whose
 * term it doesn't know any more, also when it has acknowledged that one: the leader asserts that
 * nobody does (progress.c, progressMaybeDecrement), and ends. What is in our snapshot was
 * committed, so all of it is as the leader has it. */
static void skip_compacted(struct replica *replica, struct raft_message *message) {
    const struct raft_trail *trail = &replica->raft.trail;
    struct raft_append_entries *args = &message->append_entries;
    if (message->type != RAFT_APPEND_ENTRIES || args->prev_log_index > trail->offset ||
        args->prev_log_index >= trail->snapshot.index) {
        return;
    }
    raft_index old = trail->snapshot.index - args->prev_log_index;
    if (args->n_entries <= old) {
        drop_entries(message);
    } else {
        args->n_entries -= (unsigned)old;
        memmove(args->entries, args->entries + old, args->n_entries * sizeof args->entries[0]);
    }
    args->prev_log_index = trail->snapshot.index;
    args->prev_log_term = trail->snapshot.term;
}

/* A member change that comes with other entries before it is noted at the place of the first of
 * them (libraft 0.22.1, replication.c, replicationAppend). Then it never counts as committed: no
 * further change is accepted here, our snapshots hold the old members, and a change that is taken
 * back stays. So it must be the first entry of a message. The entries from the first change behind
 * the first place on go into `rest`, a message of its own with its own memory. 1: there is a rest,
 * 0: there is none, -1: no memory. */
static int split_at_change(struct raft_message *message, struct raft_message *rest) {
    struct raft_append_entries *args = &message->append_entries;
    unsigned at = 1;
    if (message->type != RAFT_APPEND_ENTRIES || args->n_entries == 0) {
        return 0;
    }
    while (at < args->n_entries && args->entries[at].type != RAFT_CHANGE) {
        at++;
    }
    if (at == args->n_entries) {
        return 0;
    }
    struct raft_append_entries *others = &rest->append_entries;
    *rest = *message;
    others->n_entries = args->n_entries - at;
    others->prev_log_index = args->prev_log_index + at;
    others->prev_log_term = args->entries[at - 1].term;
    size_t size_bytes = 0;
    for (unsigned i = at; i < args->n_entries; i++) {
        size_bytes += args->entries[i].buf.len;
    }
    others->entries = calloc(others->n_entries, sizeof others->entries[0]);
    char *bytes = malloc(size_bytes == 0 ? 1 : size_bytes);
    if (others->entries == NULL || bytes == NULL) {
        free(others->entries);
        free(bytes);
        return -1;
    }
    void *batch = bytes;
    for (unsigned i = 0; i < others->n_entries; i++) {
        const struct raft_entry *entry = &args->entries[at + i];
        others->entries[i] = *entry;
        others->entries[i].buf.base = bytes;
        others->entries[i].batch = batch;
        memcpy(bytes, entry->buf.base, entry->buf.len);
        bytes += entry->buf.len;
    }
    args->n_entries = at;
    return 1;
}

/* 0: the entry is not in our log. */
static raft_term term_of(const struct raft_trail *trail, raft_index index) {
    unsigned count = trail->front <= trail->back ? trail->back - trail->front
                                                 : trail->size - trail->front + trail->back;
    for (unsigned i = 0; i < count && index > trail->offset; i++) {
        unsigned at = (trail->front + i) % trail->size;
        if (index <= trail->records[at].index) {
            return trail->records[at].term;
        }
    }
    return index == trail->snapshot.index ? trail->snapshot.term : 0;
}

static bool copy_members(const struct raft_configuration *from, struct raft_configuration *to) {
    raft_configuration_init(to);
    for (unsigned i = 0; i < from->n; i++) {
        const struct raft_server *server = &from->servers[i];
        if (raft_configuration_add(to, server->id, server->address, server->role) != 0) {
            raft_configuration_close(to);
            return false;
        }
    }
    return true;
}

/* The library keeps one change that it doesn't know to be committed. A second one makes it forget
 * the first: what it goes back to if the second is taken back, and what its snapshots hold, are
 * then the members from before both. But a leader makes a second change only after it has committed
 * the first (dissertation, 4.1); so where our log is the leader's up to the second, the first
 * counts as committed, as it does when a log is loaded. It must not wait for the leader's word: a
 * new leader may need this very node to commit anything. False: no memory. */
static bool count_first_change(struct replica *replica, const struct raft_message *message) {
    const struct raft_append_entries *args = &message->append_entries;
    struct raft *raft = &replica->raft;
    struct raft_configuration copy;
    raft_index first = raft->configuration_uncommitted_index;
    bool second = message->type == RAFT_APPEND_ENTRIES && args->n_entries > 0 &&
                  args->entries[0].type == RAFT_CHANGE && first != 0 &&
                  first <= args->prev_log_index;
    if (!second || term_of(&raft->trail, args->prev_log_index) != args->prev_log_term) {
        return true;
    }
    if (!copy_members(&raft->configuration, &copy)) {
        return false;
    }
    raft_configuration_close(&raft->configuration_committed);
    raft->configuration_committed = copy;
    raft->configuration_committed_index = first;
    raft->configuration_uncommitted_index = 0;
    return true;
}

static struct raft_server *find_own(struct raft *raft) {
    for (unsigned i = 0; i < raft->configuration.n; i++) {
        if (raft->configuration.servers[i].id == raft->id) {
            return &raft->configuration.servers[i];
        }
    }
    return NULL;
}

/* The library casts no vote where its own configuration gives it none (libraft 0.22.1, election.c,
 * electionVote), nor does it forget there a leader of whom it hears nothing any more (tick.c). But
 * who asks counts it as a voter by an entry that may not have come here yet, and never will without
 * a leader: of four, one of which is dead, nobody could be elected any more. A server votes for
 * whoever's log is as new as its own, whatever its own configuration says (dissertation, 4.2.2);
 * one whose configuration is older is refused for its log. */
static void receive(struct replica *replica, struct raft_message *message) {
    struct raft *raft = &replica->raft;
    struct raft_server *own = find_own(raft);
    bool lends = message->type == RAFT_REQUEST_VOTE && own != NULL && own->role != RAFT_VOTER;
    int role = lends ? own->role : RAFT_VOTER;
    if (lends) {
        raft_time silent_ms = replica->io.time(&replica->io) - raft->election_timer_start;
        own->role = RAFT_VOTER;
        message->request_vote.disrupt_leader |= silent_ms >= raft->election_timeout;
    }
    replica->receive(&replica->io, message);
    if (lends) {
        find_own(raft)->role = role; /* a vote changes no members */
    }
}

void replica_deliver(struct replica *replica, struct raft_message *message) {
    int more;
    skip_compacted(replica, message);
    do {
        struct raft_message rest;
        more = split_at_change(message, &rest);
        if (more < 0 || replica_is_mute(replica) || !count_first_change(replica, message)) {
            wire_release(message); /* the leader sends it again; or we have failed */
            if (more > 0) {
                wire_release(&rest);
            }
            return;
        }
        keep_commit_index(replica, message);
        if (!hold_snapshot(replica, message)) {
            receive(replica, message);
        }
        if (more > 0) {
            *message = rest;
        }
    } while (more > 0);
}
