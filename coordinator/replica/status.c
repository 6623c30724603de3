/* What others ask: roles, places in the log, and when a quorum was last heard. */
#include <stdlib.h>
#include <string.h>

#include "replica_private.h"

const char *replica_role_text(enum replica_role role) {
    switch (role) {
    case REPLICA_UNAVAILABLE:
        return "unavailable";
    case REPLICA_FOLLOWER:
        return "follower";
    case REPLICA_CANDIDATE:
        return "candidate";
    case REPLICA_LEADER:
        return "leader";
    }
    return "?";
}

static enum replica_role role_of(struct replica *replica) {
    if (replica_is_mute(replica) || !replica->started) {
        return REPLICA_UNAVAILABLE;
    }
    switch (raft_state(&replica->raft)) {
    case RAFT_FOLLOWER:
        return REPLICA_FOLLOWER;
    case RAFT_CANDIDATE:
        return REPLICA_CANDIDATE;
    case RAFT_LEADER:
        return REPLICA_LEADER;
    default:
        return REPLICA_UNAVAILABLE;
    }
}

static int compare_descending(const void *a, const void *b) {
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return left < right ? 1 : left > right ? -1 : 0;
}

/* A leader: the moment since which a majority, itself included, has answered. */
static uint64_t majority_contact_ms(struct replica *replica) {
    uint64_t contacts_ms[NODE_MAX] = {0};
    uint32_t voters = 0;
    for (uint32_t i = 0; i < replica->peer_count; i++) {
        uint64_t id = replica->peers[i].config.id;
        if (replica_member_of(replica, id) == REPLICA_VOTER) {
            contacts_ms[voters++] = id == replica->id ? clock_boottime_ms(replica->clock)
                                                      : replica->peers[i].contact_ms;
        }
    }
    qsort(contacts_ms, voters, sizeof contacts_ms[0], compare_descending);
    uint64_t contact_ms = contacts_ms[voters / 2];
    return contact_ms > replica->heard_ms ? contact_ms : replica->heard_ms;
}

static void read_peers(struct replica *replica, struct replica_status *status) {
    status->peer_count = replica->peer_count;
    for (uint32_t i = 0; i < replica->peer_count; i++) {
        struct replica_peer_status *peer = &status->peers[i];
        raft_index match_index = 0;
        peer->id = replica->peers[i].config.id;
        peer->up = peer->id == replica->id || replica->peers[i].up;
        peer->member = replica_member_of(replica, peer->id);
        if (status->role == REPLICA_LEADER &&
            raft_match_index(&replica->raft, peer->id, &match_index) == 0) {
            peer->match_log_index = match_index;
        }
    }
}

/* A new leader doesn't know how much was committed before its term until an entry of its own is:
 * what it says of commits counts from its LEADER on. */
static bool follower_is_caught_up(const struct replica *replica,
                                  const struct replica_status *status) {
    return status->role == REPLICA_FOLLOWER && status->leader_id != 0 &&
           replica->heard_leader == status->leader_id &&
           replica->state->leader_term == status->term && replica->heard_commit > 0 &&
           status->applied_log_index >= replica->heard_commit;
}

void replica_read_status(struct replica *replica, struct replica_status *ret_status) {
    struct replica_status *status = ret_status;
    memset(status, 0, sizeof *status);
    status->role = role_of(replica);
    status->id = replica->id;
    status->boot = replica->storage.meta.boot;
    memcpy(status->storage, replica->storage.meta.uuid, sizeof status->storage);
    status->applied_index = replica->state->applied_index;
    status->pending_count = replica->pending_count;
    if (replica->started && replica->stop != STOP_CLOSING) {
        raft_id leader = 0;
        const char *address = NULL;
        raft_leader(&replica->raft, &leader, &address);
        status->leader_id = leader;
        status->term = raft_current_term(&replica->raft);
        status->last_log_index = raft_last_index(&replica->raft);
        status->commit_log_index = raft_commit_index(&replica->raft);
        status->applied_log_index = raft_last_applied(&replica->raft);
        status->leads =
            replica->leadership.phase == LEADERSHIP_ANNOUNCED && status->role == REPLICA_LEADER;
        status->quorum_contact_ms =
            status->role == REPLICA_LEADER ? majority_contact_ms(replica) : replica->heard_ms;
        status->caught_up =
            status->role == REPLICA_LEADER ? status->leads : follower_is_caught_up(replica, status);
    }
    read_peers(replica, status);
}
