/* What nodes answer who are asked for their vote (Raft dissertation, 3.4, 4.2.2, 9.6): judged from
 * the messages, since what a wrong answer leads to, a group without a leader for ever, takes many
 * more things to happen. */
#include "judge_private.h"
#include "replica_private.h"
#include "wire.h"

static bool read_message(const uint8_t *bytes, size_t size_bytes, enum raft_message_type type,
                         struct raft_message *ret_message) {
    return size_bytes > 1 && bytes[1] == type &&
           wire_decode(bytes, size_bytes, ret_message, NULL) == ERROR_OK;
}

/* Whose log ends there has all that this node's has. */
static bool is_as_new(const struct sim_node *node, struct raft *raft,
                      const struct raft_request_vote *asked) {
    const struct disk_entry *last = disk_entry(&node->disk, raft_last_index(raft));
    return last != NULL &&
           (asked->last_log_term > last->term ||
            (asked->last_log_term == last->term && asked->last_log_index >= raft_last_index(raft)));
}

/* It follows, knows of no leader, and hasn't voted for another. A node that has no vote by its own
 * configuration forgets no leader, though its timer runs (libraft 0.22.1): there, that counts. */
static bool must_grant(const struct sim_node *node, struct replica *replica,
                       const struct raft_request_vote *asked) {
    struct raft *raft = &replica->raft;
    bool votes = replica_member_of(replica, node->id) == REPLICA_VOTER;
    bool silent =
        replica->io.time(&replica->io) - raft->election_timer_start >= raft->election_timeout;
    if (raft_state(raft) != RAFT_FOLLOWER || asked->term < raft_current_term(raft)) {
        return false;
    }
    bool free = asked->term > raft_current_term(raft) || raft_voted_for(raft) == 0 ||
                raft_voted_for(raft) == asked->candidate_id;
    bool leaderless = raft->follower_state.current_leader.id == 0 || (!votes && silent);
    return free && leaderless && is_as_new(node, raft, asked);
}

void judge_heard(struct sim_node *node, const struct sim_node *from, const uint8_t *bytes,
                 size_t size_bytes) {
    struct replica *replica = node_replica(node);
    struct raft_message message;
    if (replica != NULL && read_message(bytes, size_bytes, RAFT_REQUEST_VOTE, &message)) {
        node->sim->judged->must_grant[node->place][from->place] =
            must_grant(node, replica, &message.request_vote);
    }
}

void judge_said(struct sim_node *node, const struct sim_node *to, const uint8_t *bytes,
                size_t size_bytes) {
    struct replica *replica = node_replica(node);
    struct raft_message message;
    if (replica == NULL || !read_message(bytes, size_bytes, RAFT_REQUEST_VOTE_RESULT, &message)) {
        return;
    }
    const struct raft_request_vote_result *answer = &message.request_vote_result;
    raft_term term = raft_current_term(&replica->raft);
    bool *must_grant = &node->sim->judged->must_grant[node->place][to->place];
    if (!answer->vote_granted && answer->term < term) {
        sim_broken(node->sim, "who is refused hears of the newer term",
                   "%s refuses %s in %llu of %llu", node->name, to->name,
                   (unsigned long long)answer->term, (unsigned long long)term);
    }
    if (!answer->vote_granted && *must_grant) {
        sim_broken(node->sim, "who has the newest log gets the vote", "%s refuses %s in term %llu",
                   node->name, to->name, (unsigned long long)term);
    }
    *must_grant = false;
}
