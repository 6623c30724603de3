/* Leadership, handed over (Raft dissertation, 3.10).
 *
 * libraft tells the heir to stand as soon as everything was *sent* to it, once; an heir that is
 * still writing ignores that, and nobody leads on until an election timeout has passed. So nothing
 * new is proposed from the wish on, and the library is asked only when the heir has confirmed all.
 */
#include <assert.h>

#include "replica_private.h"

#define LEVEL_MAX_MS 1000

static raft_index match_of(struct replica *replica, uint64_t id) {
    raft_index match = 0;
    return raft_match_index(&replica->raft, id, &match) == 0 ? match : 0;
}

/* Who has the most of the log, and is there; 0: nobody. */
static uint64_t choose_heir(struct replica *replica) {
    uint64_t best = 0;
    for (uint32_t i = 0; i < replica->peer_count; i++) {
        uint64_t id = replica->peers[i].config.id;
        bool fit = id != replica->id && replica->peers[i].up;
        if (fit && (best == 0 || match_of(replica, id) > match_of(replica, best))) {
            best = id;
        }
    }
    return best;
}

static void finish(struct replica *replica, enum error_code code) {
    replica->transfer_phase = TRANSFER_NONE;
    replica->transfer_code = code;
    replica->transfer_done = replica->transfer_callback != NULL; /* else it was abandoned */
    replica_wake(replica);
}

static void on_transfer_done(struct raft_transfer *request) {
    struct replica *replica = CONTAINER_OF(request, struct replica, transfer);
    raft_id leader = 0;
    const char *address = NULL;
    raft_leader(&replica->raft, &leader, &address);
    finish(replica, leader == replica->heir ? ERROR_OK : ERROR_TIMEOUT);
}

/* Each turn: is the heir level now? */
void replica_pass_on(struct replica *replica) {
    if (replica->transfer_phase != TRANSFER_LEVEL) {
        return;
    }
    if (replica_is_mute(replica) || replica->stop != STOP_NO ||
        raft_state(&replica->raft) != RAFT_LEADER) {
        finish(replica, ERROR_NOT_LEADER);
    } else if (match_of(replica, replica->heir) >= raft_last_index(&replica->raft)) {
        replica->transfer_phase = TRANSFER_RAFT;
        if (raft_transfer(&replica->raft, &replica->transfer, replica->heir, on_transfer_done) !=
            0) {
            finish(replica, ERROR_NOT_FOUND);
        }
    } else if (clock_boottime_ms(replica->clock) >= replica->transfer_end_ms) {
        finish(replica, ERROR_TIMEOUT);
    }
}

void replica_transfer(struct replica *replica, uint64_t id, replica_transfer_cb callback,
                      void *context) {
    assert(callback != NULL && replica->transfer_callback == NULL);
    replica->transfer_callback = callback;
    replica->transfer_context = context;
    if (replica_is_mute(replica) || replica->stop != STOP_NO ||
        replica->leadership.phase != LEADERSHIP_ANNOUNCED) {
        finish(replica, ERROR_NOT_LEADER);
        return;
    }
    replica->heir = id != 0 ? id : choose_heir(replica);
    if (replica->heir == 0 || replica->heir == replica->id ||
        replica_find_peer(replica, replica->heir) == NULL) {
        finish(replica, ERROR_NOT_FOUND);
        return;
    }
    replica_flush(replica); /* what came before it still goes out */
    replica->transfer_phase = TRANSFER_LEVEL;
    replica->transfer_end_ms = clock_boottime_ms(replica->clock) + LEVEL_MAX_MS;
    replica_wake(replica);
}

/* The library keeps the request until it is closed; the caller needn't wait for that. */
void replica_abandon_transfer(struct replica *replica) {
    if (replica->transfer_phase != TRANSFER_NONE) {
        replica->transfer_code = ERROR_UNKNOWN;
        replica->transfer_done = true;
    }
}

void replica_complete_transfer(struct replica *replica) {
    if (replica->transfer_done && replica->transfer_callback != NULL) {
        replica_transfer_cb callback = replica->transfer_callback;
        replica->transfer_callback = NULL;
        replica->transfer_done = false;
        callback(replica->transfer_context, replica->transfer_code);
    }
}
