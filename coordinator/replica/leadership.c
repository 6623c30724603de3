/* When this node leads, and when it no longer does.
 *
 * A new leader first applies a barrier of its own term, so that it knows all that was committed
 * before (Raft dissertation, 6.4, 8). Then it commits NODES where the group is new, and LEADER:
 * only commands behind it count. Once LEADER is applied, leadership is announced.
 *
 * When the link to the leader breaks, its death is likely, and waiting out an election timeout is a
 * loss: each follower soon lets its election timer run out. Followers go one after another, by
 * rank, because a follower that still believes in the leader refuses its vote, and so that votes
 * are not split. All under pre-vote: if the leader lives, nothing happens. */
#include <inttypes.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "replica_private.h"

#define LEAD_RETRY_MS 1000 /* after NODES or LEADER had no clear outcome */
#define HASTEN_FIRST_MS 1
#define HASTEN_RANK_MIN_MS 6 /* between one follower and the next */
#define HASTEN_RANK_MAX_MS 500
#define HASTEN_RANK_UNKNOWN_MS 50 /* no round trip was measured yet */
#define HASTEN_MAX 8              /* attempts a broken link */
#define SNAPSHOT_RETRY_MS 1000

static void end_leadership(struct replica *replica) {
    struct leadership *leadership = &replica->leadership;
    bool announced = leadership->phase == LEADERSHIP_ANNOUNCED;
    leadership->phase = LEADERSHIP_NONE;
    replica_cancel_queued(replica);
    if (announced && replica->callbacks.on_leadership != NULL) {
        replica->callbacks.on_leadership(replica->callbacks.context, false, leadership->term);
    }
}

static void log_role(struct replica *replica) {
    raft_term term = raft_current_term(&replica->raft);
    unsigned short state = replica->raft.state;
    if (!replica->role_known || state != replica->seen_state || term != replica->seen_term) {
        LOG_EVENT(RAFT_ROLE, LOG_TEXT("role", raft_state_name(state)), LOG_U64("term", term),
                  LOG_U64("last_log_index", raft_last_index(&replica->raft)));
        replica->role_known = true;
        replica->seen_state = state;
        replica->seen_term = term;
    }
}

/* Notices the end of our leadership; safe from inside the library's callbacks. */
void replica_observe(struct replica *replica) {
    struct leadership *leadership = &replica->leadership;
    if (leadership->phase != LEADERSHIP_NONE &&
        (replica_is_mute(replica) || raft_state(&replica->raft) != RAFT_LEADER ||
         raft_current_term(&replica->raft) != leadership->term)) {
        end_leadership(replica);
    }
}

static void retry_later(struct replica *replica) {
    replica->leadership.phase = LEADERSHIP_PROPOSE;
    replica->leadership.retry_ms = clock_boottime_ms(replica->clock) + LEAD_RETRY_MS;
}

static void fill_nodes(struct replica *replica, struct command *command) {
    struct command_nodes *nodes = &command->nodes;
    command->kind = COMMAND_NODES;
    memcpy(nodes->cluster, replica->cluster, sizeof nodes->cluster);
    /* Above 0, with a random part: two groups that were ever made don't get the same. */
    nodes->incarnation = entropy_between(replica->entropy, 1, UINT64_C(0x7fffffff));
    /* The members; who is only among the peers may join later. */
    const struct raft_configuration *members = &replica->raft.configuration;
    for (unsigned i = 0; i < members->n && nodes->count < NODE_MAX; i++) {
        struct configured_node *node = &nodes->nodes[nodes->count++];
        node->id = members->servers[i].id;
        (void)TEXT_COPY(node->name, members->servers[i].address);
        if (node->id == replica->id) {
            memcpy(node->region, replica->region, sizeof node->region);
            memcpy(node->storage, replica->storage.meta.uuid, sizeof node->storage);
        }
    }
}

/* A term begins only when nothing of an earlier one is under way (replica_lead), so this is about
 * the present one, or about nothing. */
static void on_leader_proposed(void *context, enum error_code code, enum core_error result,
                               uint64_t index) {
    struct replica *replica = context;
    (void)index;
    if (replica->leadership.phase == LEADERSHIP_PROPOSED) {
        LOG_EVENT(LEADER_NOT_ACCEPTED, LOG_U64("term", replica->leadership.term),
                  LOG_TEXT("error", error_text(code)), LOG_TEXT("code", core_error_name(result)));
        retry_later(replica);
    }
}

static void propose_leader(struct replica *replica) {
    struct command command;
    if (replica->state->incarnation == 0) {
        memset(&command, 0, sizeof command);
        command.wall_ms = clock_wall_ms(replica->clock);
        fill_nodes(replica, &command);
        replica_propose_internal(replica, &command, NULL, NULL);
    }
    memset(&command, 0, sizeof command);
    command.kind = COMMAND_LEADER;
    command.wall_ms = clock_wall_ms(replica->clock);
    command.leader.id = replica->id;
    replica->leadership.phase = LEADERSHIP_PROPOSED;
    replica_propose_internal(replica, &command, on_leader_proposed, replica);
}

void replica_on_leader_applied(struct replica *replica, const struct command *command,
                               enum core_error result) {
    struct leadership *leadership = &replica->leadership;
    if (result == CORE_OK && command->leader.id == replica->id &&
        command->term == leadership->term && leadership->phase == LEADERSHIP_PROPOSED) {
        leadership->phase = LEADERSHIP_APPLIED;
        replica_wake(replica);
    }
}

static void on_own_barrier(struct raft_barrier *request, int status) {
    struct replica *replica = CONTAINER_OF(request, struct replica, own_barrier);
    replica->own_barrier_active = false;
    replica_observe(replica);
    if (replica->leadership.phase == LEADERSHIP_BARRIER) {
        if (status == 0) {
            replica->leadership.phase = LEADERSHIP_PROPOSE;
            replica->leadership.retry_ms = 0;
        } else {
            replica->leadership.phase = LEADERSHIP_NONE; /* and again, if we still lead */
        }
    }
    replica_wake(replica);
}

static void begin_leadership(struct replica *replica) {
    if (replica->own_barrier_active || replica->internal_count > 0) {
        return; /* of an earlier term: ends in this turn or the next */
    }
    int code = raft_barrier(&replica->raft, &replica->own_barrier, on_own_barrier);
    if (code != 0) {
        return; /* no room on a majority of disks, or no memory: in the next turn again */
    }
    replica->own_barrier_active = true;
    replica->leadership = (struct leadership){
        .phase = LEADERSHIP_BARRIER,
        .term = raft_current_term(&replica->raft),
    };
    for (uint32_t i = 0; i < replica->peer_count; i++) {
        replica->peers[i].contact_ms = 0;
        replica->peers[i].snapshot_sent_ms = 0;
        replica->peers[i].snapshot_lost = false;
    }
    /* A majority has just voted for us. */
    replica->heard_ms = clock_boottime_ms(replica->clock);
    replica->lost_leader = 0;
}

/* One step towards leadership; only from the turn, never from inside the library. */
void replica_lead(struct replica *replica) {
    struct leadership *leadership = &replica->leadership;
    replica_observe(replica);
    if (replica_is_mute(replica) || replica->stop != STOP_NO) {
        return;
    }
    log_role(replica);
    if (leadership->phase == LEADERSHIP_NONE && raft_state(&replica->raft) == RAFT_LEADER) {
        begin_leadership(replica);
    }
    if (leadership->phase == LEADERSHIP_PROPOSE &&
        clock_boottime_ms(replica->clock) >= leadership->retry_ms) {
        propose_leader(replica);
    }
    if (leadership->phase == LEADERSHIP_APPLIED) {
        leadership->phase = LEADERSHIP_ANNOUNCED;
        if (replica->callbacks.on_leadership != NULL) {
            replica->callbacks.on_leadership(replica->callbacks.context, true, leadership->term);
        }
    }
}

static uint64_t known_leader(struct replica *replica) {
    raft_id id = 0;
    const char *address = NULL;
    raft_leader(&replica->raft, &id, &address);
    return id;
}

/* Place among those who are left. */
static uint32_t own_rank(const struct replica *replica) {
    uint32_t rank = 0;
    for (uint32_t i = 0; i < replica->peer_count; i++) {
        uint64_t id = replica->peers[i].config.id;
        if (id == replica->id) {
            break;
        }
        rank += id != replica->lost_leader ? 1 : 0;
    }
    return rank;
}

/* Between one rank and the next. One that asks must have its refusal, or at least have asked,
 * before the next one stands itself: two that stand, and hear of each other only then, grant each
 * other's pre-vote and split the votes. The longest round trip is twice the time that takes. */
static uint64_t rank_ms(const struct replica *replica) {
    uint64_t longest_ms = HASTEN_RANK_MIN_MS;
    for (uint32_t i = 0; i < replica->peer_count; i++) {
        uint64_t id = replica->peers[i].config.id;
        if (id == replica->id || id == replica->lost_leader || !replica->peers[i].up) {
            continue;
        }
        uint64_t us = replica->transport->round_trip_us(replica->transport, id);
        uint64_t ms = us != 0 ? us / 1000 : HASTEN_RANK_UNKNOWN_MS;
        longest_ms = ms > longest_ms ? ms : longest_ms;
    }
    return longest_ms < HASTEN_RANK_MAX_MS ? longest_ms : HASTEN_RANK_MAX_MS;
}

static void start_hasten_timer(struct replica *replica, uint64_t base_ms) {
    uint64_t step_ms = rank_ms(replica);
    uint64_t delay_ms =
        base_ms + own_rank(replica) * step_ms + entropy_between(replica->entropy, 0, step_ms / 3);
    (void)uv_timer_start(&replica->hasten_timer, replica_on_hasten, delay_ms, 0);
}

void replica_on_link(uint64_t id, bool up, const struct peer_hello *hello, void *context) {
    struct replica *replica = context;
    struct peer *peer = replica_find_peer(replica, id);
    (void)hello;
    if (peer == NULL) {
        return;
    }
    peer->up = up;
    if (!up && peer->snapshot_sent_ms != 0) {
        peer->snapshot_lost = true;
    }
    if (up && id == replica->lost_leader) {
        replica->lost_leader = 0;
    }
    if (!up && !replica_is_mute(replica) && raft_state(&replica->raft) == RAFT_FOLLOWER &&
        known_leader(replica) == id) {
        replica->lost_leader = id;
        replica->hasten_count = 0;
        start_hasten_timer(replica, HASTEN_FIRST_MS);
    }
}

/* Lets the election timer run out now. A follower that is writing stays one, while another still
 * believes in the leader pre-vote fails, and votes may be split after all: so it is tried a few
 * times, a heartbeat apart, which is about a round trip and so leaves time for the answers. */
void replica_on_hasten(uv_timer_t *timer) {
    struct replica *replica = timer->data;
    struct raft *raft = &replica->raft;
    if (replica->lost_leader == 0 || replica_is_mute(replica) || replica->stop != STOP_NO) {
        return;
    }
    uint64_t leader = known_leader(replica);
    if (raft_state(raft) == RAFT_LEADER || (leader != 0 && leader != replica->lost_leader)) {
        replica->lost_leader = 0;
        return;
    }
    /* A follower without a leader has just voted for another. */
    bool has_voted = raft_state(raft) == RAFT_FOLLOWER && leader == 0;
    if (!has_voted) {
        LOG_EVENT(ELECTION_HASTENED, LOG_U64("term", raft_current_term(raft)),
                  LOG_U64("attempt", replica->hasten_count + 1));
        raft_set_election_timeout(raft, 1);
        replica->tick(&replica->io);
        raft_set_election_timeout(raft, replica->election_ms);
    }
    if (++replica->hasten_count < HASTEN_MAX) {
        start_hasten_timer(replica, replica->heartbeat_ms);
    }
}

/* A snapshot that was lost with its link, the library would send again only after half a minute.
 * Letting that time run out for a moment concerns all followers; one that got its snapshot after
 * all answers as if nothing had been. */
void replica_resend_snapshots(struct replica *replica) {
    uint64_t now_ms = clock_boottime_ms(replica->clock);
    bool due = false;
    if (raft_state(&replica->raft) != RAFT_LEADER) {
        return;
    }
    for (uint32_t i = 0; i < replica->peer_count; i++) {
        struct peer *peer = &replica->peers[i];
        if (peer->snapshot_lost && peer->up &&
            now_ms - peer->snapshot_sent_ms >= SNAPSHOT_RETRY_MS) {
            LOG_EVENT(SNAPSHOT_SENT_AGAIN, LOG_TEXT("peer", peer->config.name));
            peer->snapshot_lost = false;
            peer->snapshot_sent_ms = 0;
            due = true;
        }
    }
    if (due) {
        unsigned timeout_ms = replica->raft.install_snapshot_timeout;
        raft_set_install_snapshot_timeout(&replica->raft, 1);
        replica->tick(&replica->io);
        raft_set_install_snapshot_timeout(&replica->raft, timeout_ms);
    }
}
