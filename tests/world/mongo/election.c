/* Elections of protocol version 1: standing, voting, catching up, giving way. */
#include <string.h>

#include "private.h"

/* electionTimeoutOffsetLimitFraction */
#define OFFSET_PERCENT 15
/* A member stands for its higher priority only when it lags by no more. */
#define TAKEOVER_FRESHNESS_S 2
/* From the end of catching up to ismaster:true: 1.0 to 1.8 s on 3.6, about 60 ms on 4.4. */
#define DRAIN_36_MS 1000
#define DRAIN_36_SPREAD_MS 800
#define DRAIN_44_MS 40
#define DRAIN_44_SPREAD_MS 30
#define DRAIN_AGAIN_MS 50
#define NOTE_INTERVAL_MS 10000

static uint64_t election_timeout_ms(struct mongo_process *process) {
    uint64_t timeout_ms = (uint64_t)process->config->election_timeout_ms;
    return timeout_ms + mongo_random(process, timeout_ms * OFFSET_PERCENT / 100 + 1);
}

void mongo_election_postpone(struct mongo_process *process) {
    const struct mongo_config_member *self = mongo_self(process);
    if (self == NULL || process->state == STATE_PRIMARY || self->priority <= 0) {
        process->timers[TIMER_ELECTION] = 0;
        return;
    }
    if (!process->election.standing) {
        process->timers[TIMER_ELECTION] = process->set->now_ms + election_timeout_ms(process);
    }
}

static bool election_sees_majority(const struct mongo_process *process) {
    unsigned up = 0;
    for (size_t i = 0; i < process->config->member_count; i++) {
        int host = mongo_member_host(process, i);
        up += process->config->members[i].votes == 1 &&
                      (host == (int)process->index || process->beliefs[host].up)
                  ? 1
                  : 0;
    }
    return up > mongo_config_voters(process->config) / 2;
}

const char *mongo_election_obstacle(struct mongo_process *process) {
    const struct mongo_config_member *self = mongo_self(process);
    uint64_t now_ms = process->set->now_ms;
    if (self == NULL) {
        return "the member isn't in the configuration";
    }
    if (self->priority <= 0) {
        return "the member has zero priority";
    }
    if (process->state != STATE_SECONDARY || process->maintenance > 0) {
        return "the member is not currently a secondary";
    }
    if (process->frozen_until_ms > now_ms) {
        return "the member is frozen";
    }
    if (process->stepped_down_until_ms > now_ms) {
        return "the stepdown period has not elapsed";
    }
    if (!election_sees_majority(process)) {
        return "the member cannot see a majority";
    }
    return NULL;
}

/* --- standing --- */

static void election_lose(struct mongo_process *process) {
    process->election.standing = false;
    process->step_up_outcome = OUTCOME_LOST;
    mongo_election_postpone(process);
}

/* A new configuration ends a candidacy: the votes were asked for under the old one. */
void mongo_election_give_up(struct mongo_process *process) {
    if (process->election.standing) {
        election_lose(process);
    }
}

static void election_win(struct mongo_process *process) {
    struct mongo_set *set = process->set;
    process->election.standing = false;
    process->step_up_outcome = OUTCOME_WON;
    process->primary = (int)process->index;
    process->elected_term = process->term;
    process->elected_seconds = (uint32_t)(mongo_wall_ms(set) / 1000);
    process->elected_ms = set->now_ms;
    process->timers[TIMER_ELECTION] = 0;
    process->timers[TIMER_TAKEOVER] = 0;
    for (size_t host = 0; host < set->host_count; host++) {
        process->beliefs[host].contact_ms = set->now_ms;
    }
    mongo_process_set_state(process, STATE_PRIMARY);
    process->timers[TIMER_CATCH_UP] = set->now_ms + (uint64_t)process->config->election_timeout_ms;
    mongo_heartbeat_restart(process, true);
    mongo_election_catch_up(process);
}

static void election_count(struct mongo_process *process) {
    struct mongo_election *election = &process->election;
    unsigned needed = mongo_config_voters(process->config) / 2 + 1;
    /* Meanwhile another term has begun, or the member rolls back: the votes were for neither. */
    bool stale = election->term != process->term || process->state != STATE_SECONDARY;
    if (stale || (election->votes < needed && election->answers == election->asked)) {
        election_lose(process);
    } else if (election->votes >= needed && election->dry) {
        election->standing = false;
        mongo_election_stand(process, true);
    } else if (election->votes >= needed) {
        election_win(process);
    }
}

void mongo_election_stand(struct mongo_process *process, bool skip_dry) {
    struct mongo_set *set = process->set;
    struct mongo_election *election = &process->election;
    const struct mongo_config *config = process->config;
    if (election->standing) {
        return;
    }
    *election = (struct mongo_election){
        .standing = true,
        .dry = !skip_dry,
        .round = ++set->sequence,
        .votes = mongo_self(process)->votes == 1 ? 1 : 0,
    };
    if (skip_dry) {
        process->term++;
        process->voted_term = process->term;
        process->voted_for = (int)process->index;
        process->primary = MONGO_NONE;
        mongo_topology_changed(process);
    }
    election->term = process->term;
    for (size_t i = 0; i < config->member_count; i++) {
        int host = mongo_member_host(process, i);
        if (config->members[i].votes == 0 || host == (int)process->index) {
            continue;
        }
        struct mongo_message *message =
            mongo_message_create(MESSAGE_VOTE, (int)process->index, host);
        message->number = election->round;
        message->term = process->term;
        message->dry = election->dry;
        message->optime = mongo_oplog_last(&process->log);
        message->config_version = config->version;
        message->config_term = config->term;
        election->asked++;
        mongo_message_send(set, message, 0);
    }
    /* Some may never answer. */
    process->timers[TIMER_ELECTION] = set->now_ms + election_timeout_ms(process);
    election_count(process);
}

void mongo_election_miss(struct mongo_process *process, uint64_t round) {
    if (process->election.standing && process->election.round == round) {
        process->election.answers++;
        election_count(process);
    }
}

void mongo_election_receive_answer(struct mongo_process *process,
                                   const struct mongo_message *message) {
    struct mongo_election *election = &process->election;
    if (!election->standing || election->round != message->number) {
        return;
    }
    if (message->term > process->term) {
        mongo_term_learn(process, message->term);
        election_lose(process);
        return;
    }
    election->answers++;
    election->votes += message->granted ? 1 : 0;
    election_count(process);
}

/* --- voting --- */

static bool election_config_agrees(const struct mongo_process *process,
                                   const struct mongo_message *message) {
    int order =
        mongo_config_compare(process->set->release, message->config_term, message->config_version,
                             process->config->term, process->config->version);
    return mongo_is_44(process) ? order >= 0 : order == 0;
}

/* An arbiter has no data to compare: it votes against whoever would replace a primary that it sees
 * and that is as good. */
static bool election_arbiter_refuses(const struct mongo_process *process, int candidate) {
    const struct mongo_config *config = process->config;
    if (process->state != STATE_ARBITER || process->primary == MONGO_NONE) {
        return false;
    }
    const char *const *hosts = (const char *const *)process->set->hosts;
    int standing = mongo_config_find(config, hosts[candidate]);
    int primary = mongo_config_find(config, hosts[process->primary]);
    return standing >= 0 && primary >= 0 &&
           config->members[primary].priority >= config->members[standing].priority;
}

static bool election_grants(struct mongo_process *process, const struct mongo_message *message) {
    if (process->config == NULL || process->self == MONGO_NONE || message->term < process->term ||
        !election_config_agrees(process, message) ||
        mongo_optime_order(message->optime, mongo_oplog_last(&process->log)) < 0 ||
        election_arbiter_refuses(process, message->from)) {
        return false;
    }
    if (message->dry) {
        return true;
    }
    if (process->voted_term == message->term && process->voted_for != message->from) {
        return false;
    }
    process->voted_term = message->term;
    process->voted_for = message->from;
    mongo_election_postpone(process);
    return true;
}

void mongo_election_receive_vote(struct mongo_process *process,
                                 const struct mongo_message *message) {
    const struct mongo_process *candidate = mongo_process_of(process->set, message->from);
    if (!message->dry) {
        mongo_term_learn(process, message->term);
    }
    struct mongo_message *reply =
        mongo_message_create(MESSAGE_VOTE_REPLY, (int)process->index, message->from);
    reply->granted = election_grants(process, message);
    reply->number = message->number;
    reply->incarnation = candidate->incarnation;
    reply->term = process->term;
    mongo_message_send(process->set, reply, 0);
}

/* --- becoming writable --- */

/* A new primary first takes over what others have beyond it. It waits for a sign of every member
 * that it doesn't hold for down; who is silent for electionTimeoutMillis is held for down then. */
void mongo_election_catch_up(struct mongo_process *process) {
    struct mongo_set *set = process->set;
    bool done = true;
    if (process->state != STATE_PRIMARY || process->writable || process->timers[TIMER_DRAIN] != 0) {
        return;
    }
    for (size_t i = 0; i < process->config->member_count; i++) {
        int host = mongo_member_host(process, i);
        const struct mongo_belief *belief = &process->beliefs[host];
        if (host == (int)process->index || (belief->known && !belief->up)) {
            continue;
        }
        bool silent = !belief->answered && set->now_ms < process->timers[TIMER_CATCH_UP];
        bool waits = !mongo_is_44(process) && silent;
        bool ahead =
            belief->up && mongo_optime_order(belief->applied, mongo_oplog_last(&process->log)) > 0;
        done = done && !waits && !ahead;
    }
    if (!done) {
        mongo_replication_look_ahead(process);
        return;
    }
    mongo_election_end_catch_up(process);
}

void mongo_election_end_catch_up(struct mongo_process *process) {
    mongo_replication_stop(process);
    process->timers[TIMER_CATCH_UP] = 0;
    process->timers[TIMER_DRAIN] =
        process->set->now_ms + (mongo_is_44(process)
                                    ? DRAIN_44_MS + mongo_random(process, DRAIN_44_SPREAD_MS)
                                    : DRAIN_36_MS + mongo_random(process, DRAIN_36_SPREAD_MS));
}

static void election_become_writable(struct mongo_process *process) {
    if (process->arrived_count > 0) {
        process->timers[TIMER_DRAIN] = process->set->now_ms + DRAIN_AGAIN_MS;
        return;
    }
    process->writable = true;
    mongo_topology_changed(process);
    if (mongo_is_44(process) && process->config->term != MONGO_NO_TERM) {
        struct mongo_config *config = mongo_config_copy(process->config);
        config->term = process->term;
        mongo_config_install(process, config);
        mongo_config_unref(config);
    }
    (void)mongo_replication_write(process, NULL, NULL, false);
    process->timers[TIMER_NOTE] = process->set->now_ms + NOTE_INTERVAL_MS;
}

/* --- giving way --- */

void mongo_step_down(struct mongo_process *process, const char *why) {
    (void)why; /* for whoever reads the call */
    if (process->state != STATE_PRIMARY) {
        return;
    }
    process->writable = false;
    process->stepping_down = false;
    process->timers[TIMER_DRAIN] = 0;
    process->timers[TIMER_CATCH_UP] = 0;
    process->timers[TIMER_NOTE] = 0;
    process->primary = MONGO_NONE;
    process->elected_term = 0;
    mongo_process_set_state(process, STATE_SECONDARY);
    mongo_connections_doom(process, 0);
    mongo_election_postpone(process);
    mongo_replication_start(process);
}

uint64_t mongo_liveness_deadline_ms(const struct mongo_process *process) {
    uint64_t contacts[MONGO_CONFIG_MEMBERS_MAX];
    size_t count = 0;
    if (process->state != STATE_PRIMARY || mongo_self(process) == NULL) {
        return 0;
    }
    const struct mongo_config *config = process->config;
    size_t needed = mongo_config_voters(config) / 2 + 1;
    needed -= mongo_self(process)->votes == 1 ? 1 : 0;
    for (size_t i = 0; i < config->member_count; i++) {
        int host = mongo_member_host(process, i);
        if (config->members[i].votes == 0 || host == (int)process->index) {
            continue;
        }
        size_t at = count++;
        while (at > 0 && contacts[at - 1] < process->beliefs[host].contact_ms) {
            contacts[at] = contacts[at - 1];
            at--;
        }
        contacts[at] = process->beliefs[host].contact_ms;
    }
    if (needed == 0 || count < needed) {
        return 0;
    }
    return contacts[needed - 1] + (uint64_t)config->election_timeout_ms;
}

/* --- priorities --- */

static double election_priority_of(const struct mongo_process *process, int host) {
    int member = mongo_config_find(process->config, process->set->hosts[host]);
    return member < 0 ? 0 : process->config->members[member].priority;
}

static bool election_is_better(const struct mongo_process *process) {
    return process->primary != MONGO_NONE && process->primary != (int)process->index &&
           mongo_self(process) != NULL &&
           mongo_self(process)->priority > election_priority_of(process, process->primary);
}

void mongo_election_schedule_takeover(struct mongo_process *process) {
    unsigned rank = 1;
    if (!election_is_better(process) || process->state != STATE_SECONDARY) {
        process->timers[TIMER_TAKEOVER] = 0;
        return;
    }
    if (process->timers[TIMER_TAKEOVER] != 0) {
        return;
    }
    for (size_t i = 0; i < process->config->member_count; i++) {
        rank += process->config->members[i].priority > mongo_self(process)->priority ? 1 : 0;
    }
    uint64_t timeout_ms = (uint64_t)process->config->election_timeout_ms;
    process->timers[TIMER_TAKEOVER] =
        process->set->now_ms + (rank - 1) * timeout_ms + election_timeout_ms(process);
}

static void election_take_over(struct mongo_process *process) {
    if (!election_is_better(process)) {
        return;
    }
    struct mongo_optime mine = mongo_oplog_last(&process->log);
    struct mongo_optime theirs = process->beliefs[process->primary].applied;
    bool fresh = mine.term == theirs.term && mine.seconds + TAKEOVER_FRESHNESS_S >= theirs.seconds;
    if (fresh && mongo_election_obstacle(process) == NULL) {
        mongo_election_stand(process, false);
    } else {
        mongo_election_schedule_takeover(process);
    }
}

void mongo_election_on_timer(struct mongo_process *process, enum mongo_timer timer) {
    if (process->config == NULL || process->self == MONGO_NONE) {
        return;
    }
    switch (timer) {
    case TIMER_ELECTION:
        if (process->election.standing) {
            election_lose(process);
        }
        if (mongo_election_obstacle(process) == NULL) {
            mongo_election_stand(process, false);
        } else {
            mongo_election_postpone(process);
        }
        break;
    case TIMER_TAKEOVER:
        election_take_over(process);
        break;
    case TIMER_STEP_UP:
        if (mongo_election_obstacle(process) == NULL) {
            mongo_election_stand(process, false);
        }
        break;
    case TIMER_CATCH_UP:
        mongo_election_catch_up(process);
        break;
    case TIMER_DRAIN:
        election_become_writable(process);
        break;
    default:
        break;
    }
}
