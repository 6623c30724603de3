/* Heartbeats: what a process believes of the others, and how configurations and terms spread. */
#include <stdio.h>

#include "alloc.h"
#include "base/text.h"
#include "private.h"

/* What a heartbeat of the same moment as a new configuration tells of it isn't counted: it takes
 * the next one, as it always did in the recordings. */
#define CONFIG_SETTLE_MS 20
/* One that is this near to its time limit isn't begun anew. */
#define HEARTBEAT_OLD_MS 5000

void mongo_term_learn(struct mongo_process *process, int64_t term) {
    if (term <= process->term) {
        return;
    }
    process->term = term;
    if (process->state == STATE_PRIMARY) {
        mongo_step_down(process, "a higher term was seen");
    }
    if (process->primary != MONGO_NONE) {
        process->primary = MONGO_NONE;
        mongo_topology_changed(process);
    }
}

static void heartbeat_set_primary(struct mongo_process *process, int host) {
    if (process->primary != host) {
        process->primary = host;
        mongo_topology_changed(process);
        if (host != MONGO_NONE) {
            mongo_replication_look_for_source(process);
        }
    }
}

bool mongo_heartbeat_is_down(const struct mongo_process *process, int host) {
    return host != (int)process->index && !process->beliefs[host].up;
}

/* --- sending --- */

void mongo_heartbeat_send(struct mongo_process *process, int host) {
    struct mongo_set *set = process->set;
    struct mongo_belief *belief = &process->beliefs[host];
    struct mongo_message *message =
        mongo_message_create(MESSAGE_HEARTBEAT, (int)process->index, host);
    belief->due_ms = 0;
    belief->timeout_ms = set->now_ms + (uint64_t)process->config->heartbeat_timeout_s * 1000;
    belief->heartbeat = ++set->sequence;
    message->number = belief->heartbeat;
    message->term = process->term;
    message->has_config = true;
    message->config_version = process->config->version;
    message->config_term = process->config->term;
    message->primary = process->primary;
    message->state = process->state;
    mongo_message_send(set, message, 0);
}

/* 3.6 gives up on what is under way and asks anew; 4.4 waits for it. */
void mongo_heartbeat_restart(struct mongo_process *process, bool forget_answers) {
    for (size_t i = 0; i < process->config->member_count; i++) {
        int host = mongo_member_host(process, i);
        if (host == MONGO_NONE || host == (int)process->index) {
            continue;
        }
        struct mongo_belief *belief = &process->beliefs[host];
        if (forget_answers) {
            belief->answered = false;
        }
        bool old = belief->timeout_ms < process->set->now_ms + HEARTBEAT_OLD_MS;
        if (belief->timeout_ms == 0 || (!mongo_is_44(process) && !old)) {
            belief->timeout_ms = 0;
            belief->due_ms = process->set->now_ms > 0 ? process->set->now_ms : 1;
        }
    }
}

/* --- answering --- */

static void heartbeat_fill(const struct mongo_process *process, struct mongo_message *reply) {
    reply->term = process->term;
    reply->state = process->state;
    reply->optime = mongo_oplog_last(&process->log);
    reply->committed = process->committed;
    reply->primary = process->primary;
    reply->sync_source = process->source;
    reply->elected_term = process->elected_term;
    reply->elected_seconds = process->elected_seconds;
    reply->has_config = process->config != NULL;
    if (process->config != NULL) {
        reply->config_version = process->config->version;
        reply->config_term = process->config->term;
    }
}

static bool heartbeat_is_newer(const struct mongo_process *process,
                               const struct mongo_message *message) {
    return message->has_config &&
           (process->config == NULL ||
            mongo_config_compare(process->set->release, message->config_term,
                                 message->config_version, process->config->term,
                                 process->config->version) > 0);
}

void mongo_heartbeat_receive(struct mongo_process *process, const struct mongo_message *message) {
    struct mongo_set *set = process->set;
    struct mongo_belief *belief = &process->beliefs[message->from];
    const struct mongo_process *sender = mongo_process_of(set, message->from);
    if (process->standalone) {
        return;
    }
    mongo_term_learn(process, message->term);
    belief->received_ms = set->now_ms;
    belief->contact_ms = set->now_ms;
    if (message->term == process->term && message->state == STATE_PRIMARY &&
        process->config != NULL && process->state != STATE_PRIMARY) {
        heartbeat_set_primary(process, message->from);
        mongo_election_postpone(process);
    }
    struct mongo_message *reply =
        mongo_message_create(MESSAGE_HEARTBEAT_REPLY, (int)process->index, message->from);
    reply->number = message->number;
    reply->incarnation = sender->incarnation;
    heartbeat_fill(process, reply);
    bool sender_older = process->config != NULL && !heartbeat_is_newer(process, message) &&
                        (message->config_version != process->config->version ||
                         message->config_term != process->config->term);
    if (sender_older) {
        reply->config = mongo_config_ref(process->config);
    }
    mongo_message_send(set, reply, 0);
    /* The sender has a newer configuration: asking it is how one gets it. */
    if (heartbeat_is_newer(process, message) && process->life == LIFE_UP) {
        struct mongo_message *ask =
            mongo_message_create(MESSAGE_HEARTBEAT, (int)process->index, message->from);
        ask->number = belief->heartbeat = ++set->sequence;
        belief->timeout_ms = set->now_ms + 10000;
        belief->due_ms = 0;
        ask->term = process->term;
        ask->state = process->state;
        ask->config_version = process->config == NULL ? 0 : process->config->version;
        ask->config_term = process->config == NULL ? MONGO_NO_TERM : process->config->term;
        ask->has_config = process->config != NULL;
        mongo_message_send(set, ask, 0);
    }
}

/* --- believing --- */

static void heartbeat_believe(struct mongo_process *process, const struct mongo_message *message) {
    struct mongo_set *set = process->set;
    struct mongo_belief *belief = &process->beliefs[message->from];
    if (!belief->up) {
        belief->up_since_ms = set->now_ms;
    }
    belief->known = true;
    belief->up = true;
    belief->answered = true;
    belief->state = message->state;
    belief->applied = message->optime;
    belief->config_version = message->has_config ? message->config_version : -2;
    belief->config_term = message->config_term;
    belief->elected_term = message->elected_term;
    belief->elected_seconds = message->elected_seconds;
    belief->sync_source = message->sync_source;
    belief->replied_ms = set->now_ms;
    belief->contact_ms = set->now_ms;
    belief->trouble[0] = '\0';
    if (message->state == STATE_PRIMARY && message->term == process->term) {
        heartbeat_set_primary(process, message->from);
        mongo_election_postpone(process);
    } else if (process->primary == message->from && message->state != STATE_PRIMARY) {
        heartbeat_set_primary(process, MONGO_NONE);
    }
}

void mongo_heartbeat_receive_reply(struct mongo_process *process,
                                   const struct mongo_message *message) {
    struct mongo_set *set = process->set;
    struct mongo_belief *belief = &process->beliefs[message->from];
    if (belief->timeout_ms == 0 || belief->heartbeat != message->number) {
        return;
    }
    belief->timeout_ms = 0;
    belief->due_ms = process->config == NULL
                         ? 0
                         : set->now_ms + (uint64_t)process->config->heartbeat_interval_ms;
    mongo_term_learn(process, message->term);
    heartbeat_believe(process, message);
    if (message->config != NULL && heartbeat_is_newer(process, message) && !process->block_config &&
        !process->fsync_locked && !process->configuring &&
        text_equal(message->config->name, set->name)) {
        mongo_config_install(process, message->config);
    }
    if (process->config == NULL || process->self == MONGO_NONE) {
        return;
    }
    mongo_replication_note_progress(process, message->from, message->optime);
    mongo_replication_learn_commit(process, message->committed);
    if (process->source == MONGO_NONE) {
        mongo_replication_look_for_source(process);
    }
    if (process->state == STATE_PRIMARY) {
        mongo_election_catch_up(process);
    } else {
        mongo_election_schedule_takeover(process);
    }
}

void mongo_heartbeat_fail(struct mongo_process *process, int host, const char *why) {
    struct mongo_belief *belief = &process->beliefs[host];
    bool timed_out = belief->timeout_ms <= process->set->now_ms;
    belief->timeout_ms = 0;
    belief->due_ms = 0;
    if (process->config == NULL || process->self == MONGO_NONE) {
        return;
    }
    belief->due_ms =
        process->set->now_ms + (timed_out ? 1 : (uint64_t)process->config->heartbeat_interval_ms);
    belief->known = true;
    belief->up = false;
    belief->state = STATE_DOWN;
    belief->config_version = -1;
    belief->config_term = MONGO_NO_TERM;
    belief->sync_source = MONGO_NONE;
    belief->elected_term = 0;
    (void)text_copy(belief->trouble, sizeof(belief->trouble), why);
    if (process->primary == host) {
        heartbeat_set_primary(process, MONGO_NONE);
    }
    if (process->state == STATE_PRIMARY) {
        mongo_election_catch_up(process);
    }
}

/* --- configurations --- */

static void config_keep_beliefs(struct mongo_process *process, const struct mongo_config *config) {
    for (size_t host = 0; host < process->set->host_count; host++) {
        if (mongo_config_find(config, process->set->hosts[host]) < 0) {
            process->beliefs[host] = (struct mongo_belief){.sync_source = MONGO_NONE};
            process->progress[host] = MONGO_OPTIME_NONE;
        }
    }
    for (size_t i = 0; i < config->member_count; i++) {
        int host = mongo_host_of(process->set, config->members[i].host);
        struct mongo_belief *belief = &process->beliefs[host];
        if (!belief->known && belief->contact_ms == 0) {
            belief->sync_source = MONGO_NONE;
            belief->state = STATE_STARTUP;
            belief->applied = MONGO_OPTIME_NONE;
            belief->contact_ms = process->set->now_ms;
            belief->config_version = -2;
        }
    }
}

static void config_begin(struct mongo_process *process) {
    const struct mongo_config_member *self = mongo_self(process);
    if (process->state != STATE_STARTUP && process->state != STATE_REMOVED) {
        return;
    }
    if (self->arbiter) {
        mongo_process_set_state(process, STATE_ARBITER);
    } else if (process->synced) {
        mongo_process_set_state(process, STATE_SECONDARY);
        mongo_replication_start(process);
    } else {
        mongo_process_set_state(process, STATE_STARTUP2);
        mongo_replication_start(process);
    }
}

void mongo_config_install(struct mongo_process *process, struct mongo_config *config) {
    struct mongo_config *before = process->config;
    process->config = mongo_config_ref(config);
    mongo_config_unref(before);
    process->self = mongo_config_find(config, process->host);
    process->configured_ms = process->set->now_ms;
    process->timers[TIMER_TAKEOVER] = 0;
    mongo_election_give_up(process);
    /* 3.6 drops its majority snapshots with every configuration. */
    process->snapshot = process->snapshot && mongo_is_44(process);
    if (process->state != STATE_PRIMARY) {
        process->primary = MONGO_NONE;
    }
    mongo_topology_changed(process);
    config_keep_beliefs(process, config);
    if (process->self == MONGO_NONE) {
        if (process->state == STATE_PRIMARY) {
            mongo_step_down(process, "removed");
        }
        mongo_replication_stop(process);
        process->timers[TIMER_ELECTION] = 0;
        mongo_process_set_state(process, STATE_REMOVED);
        for (size_t host = 0; host < process->set->host_count; host++) {
            process->beliefs[host].due_ms = 0;
            process->beliefs[host].timeout_ms = 0;
        }
        return;
    }
    config_begin(process);
    mongo_heartbeat_restart(process, false);
    if (process->state != STATE_PRIMARY) {
        mongo_election_postpone(process);
        if (config->member_count == 1 && process->state == STATE_SECONDARY &&
            mongo_self(process)->priority > 0) {
            process->timers[TIMER_ELECTION] = process->set->now_ms + 1;
        }
    }
}

bool mongo_config_committed(const struct mongo_process *process) {
    unsigned have = 0;
    for (size_t i = 0; i < process->config->member_count; i++) {
        int host = mongo_member_host(process, i);
        const struct mongo_belief *belief = &process->beliefs[host];
        bool self = host == (int)process->index;
        have += process->config->members[i].votes == 1 &&
                        (self || (belief->up &&
                                  belief->replied_ms > process->configured_ms + CONFIG_SETTLE_MS &&
                                  belief->config_version == process->config->version &&
                                  belief->config_term == process->config->term))
                    ? 1
                    : 0;
    }
    return have > mongo_config_voters(process->config) / 2 &&
           process->set->now_ms >= process->unsettled_until_ms;
}
