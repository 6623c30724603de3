/* Whom we let in, and what it means not to be let in.
 *
 * A node's committed storage UUID is for ever: an empty disk under an old name would let it vote
 * for what it has forgotten. And a node whose log is shorter than what it acknowledged to this very
 * leader has lost something, whatever its disk says. Between two incarnations of a group the higher
 * one is right; only it says so, so that a node that is refused for its incarnation knows it is the
 * older. */
#include <inttypes.h>
#include <string.h>

#include "base/text.h"
#include "replica_private.h"

void replica_fill_hello(struct peer_hello *hello, void *context) {
    struct replica *replica = context;
    hello->incarnation = replica->state->incarnation;
    memcpy(hello->storage_uuid, replica->storage.meta.uuid, sizeof hello->storage_uuid);
    hello->boot = replica->storage.meta.boot;
    hello->last_log_index = raft_last_index(&replica->raft);
    hello->feature_level = replica->feature_level;
    (void)TEXT_COPY(hello->version, replica->version);
}

static bool is_zero(const uint8_t bytes[STORAGE_UUID_BYTES]) {
    static const uint8_t zero[STORAGE_UUID_BYTES];
    return memcmp(bytes, zero, sizeof zero) == 0;
}

static enum peers_refusal check_incarnation(struct replica *replica, const struct peer_hello *hello,
                                            struct error *reason) {
    uint64_t own = replica->state->incarnation;
    if (own == 0 || hello->incarnation == 0 || hello->incarnation == own) {
        return PEERS_REFUSAL_NONE;
    }
    if (hello->incarnation < own) {
        (void)error_set(reason, ERROR_REFUSED,
                        "the group was made anew (incarnation %" PRIu64 ") and node %s still has "
                        "the old one (%" PRIu64 "): stop it, and let it join wiped and under a "
                        "new name",
                        own, hello->node, hello->incarnation);
        return PEERS_REFUSAL_INCARNATION;
    }
    replica_fail(replica, ERROR_REFUSED,
                 "node %s is of a newer incarnation of the group (%" PRIu64 ", here %" PRIu64
                 "): let this node join again, wiped and under a new name",
                 hello->node, hello->incarnation, own);
    (void)error_set(reason, ERROR_REFUSED, "this node is of an older incarnation and stops");
    return PEERS_REFUSAL_OTHER;
}

void replica_note_storage(struct replica *replica, const struct command *command) {
    for (uint32_t i = 0; command->kind == COMMAND_NODES && i < command->nodes.count; i++) {
        const struct configured_node *node = &command->nodes.nodes[i];
        struct peer *peer = replica_find_peer(replica, node->id);
        if (peer != NULL && !is_zero(node->storage)) {
            memcpy(peer->storage, node->storage, sizeof peer->storage);
        }
    }
}

/* All zero: nobody has told it. */
static const uint8_t *known_storage(struct replica *replica, uint64_t id) {
    static const uint8_t unknown[STORAGE_UUID_BYTES];
    uint32_t place = state_find_node(replica->state, id);
    const struct peer *peer = replica_find_peer(replica, id);
    if (place != NONE_INDEX && !is_zero(replica->state->nodes[place].storage)) {
        return replica->state->nodes[place].storage;
    }
    return peer != NULL ? peer->storage : unknown;
}

static bool is_another(const uint8_t known[STORAGE_UUID_BYTES],
                       const uint8_t storage[STORAGE_UUID_BYTES]) {
    return !is_zero(known) && memcmp(known, storage, STORAGE_UUID_BYTES) != 0;
}

void replica_check_own_storage(struct replica *replica) {
    uint32_t place = state_find_node(replica->state, replica->id);
    if (place != NONE_INDEX &&
        is_another(replica->state->nodes[place].storage, replica->storage.meta.uuid)) {
        replica_fail(
            replica, ERROR_REFUSED,
            "the group knows this node with another disk, so what it acknowledged is gone: "
            "let it join again, wiped and under a new name");
    }
}

enum peers_refusal replica_check_hello(const struct peer_hello *hello, struct error *reason,
                                       void *context) {
    struct replica *replica = context;
    raft_index match_index = 0;
    enum peers_refusal refusal = check_incarnation(replica, hello, reason);
    if (refusal != PEERS_REFUSAL_NONE) {
        return refusal;
    }
    if (hello->feature_level < replica->state->feature_level) {
        (void)error_set(reason, ERROR_REFUSED,
                        "the group is at feature level %" PRIu32 ", and the version of node %s "
                        "(%.32s) supports %" PRIu32 ": install a newer one there",
                        replica->state->feature_level, hello->node, hello->version,
                        hello->feature_level);
        return PEERS_REFUSAL_VERSION;
    }
    if (is_another(known_storage(replica, hello->numeric_id), hello->storage_uuid)) {
        (void)error_set(reason, ERROR_REFUSED,
                        "node %s is known with another disk, so what it acknowledged is gone: it "
                        "must join under a new name",
                        hello->node);
        return PEERS_REFUSAL_STORAGE;
    }
    if (raft_state(&replica->raft) == RAFT_LEADER &&
        raft_match_index(&replica->raft, hello->numeric_id, &match_index) == 0 &&
        hello->last_log_index < match_index) {
        (void)error_set(reason, ERROR_REFUSED,
                        "the log of node %s ends at %" PRIu64 ", but it had acknowledged %llu: it "
                        "must join wiped and under a new name",
                        hello->node, hello->last_log_index, match_index);
        return PEERS_REFUSAL_LOG_BEHIND;
    }
    return PEERS_REFUSAL_NONE;
}

/* One that leads an older term than ours and doesn't know: what we had acknowledged to it and was
 * not committed, its successor had us truncate. */
static bool is_deposed(struct replica *replica, uint64_t id) {
    raft_id leader = 0;
    const char *address = NULL;
    raft_leader(&replica->raft, &leader, &address);
    return leader != 0 && leader != id;
}

void replica_on_refused(uint64_t id, enum peers_refusal refusal, const char *reason,
                        void *context) {
    struct replica *replica = context;
    const struct peer *peer = replica_find_peer(replica, id);
    const char *name = peer != NULL ? peer->config.name : "?";
    bool log_behind = refusal == PEERS_REFUSAL_LOG_BEHIND && !is_deposed(replica, id);
    /* That the group is beyond this version is a committed fact, whoever says it. */
    bool for_good = refusal == PEERS_REFUSAL_STORAGE || refusal == PEERS_REFUSAL_INCARNATION ||
                    refusal == PEERS_REFUSAL_VERSION;
    if (for_good || log_behind) {
        replica_fail(replica, ERROR_REFUSED, "node %s refuses this one: %s", name, reason);
    }
}
