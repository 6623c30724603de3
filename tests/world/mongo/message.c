/* What processes say to each other: a heap by time, cut links, processes that are down or hung. */
#include <assert.h>

#include "alloc.h"
#include "private.h"

/* A heartbeat, a vote or a batch needs this much on loopback. */
#define LATENCY_MS 1

struct mongo_message *mongo_message_create(enum mongo_message_kind kind, int from, int to) {
    struct mongo_message *message = alloc_zeroed(1, sizeof(*message));
    message->kind = kind;
    message->from = from;
    message->to = to;
    message->primary = MONGO_NONE;
    message->sync_source = MONGO_NONE;
    return message;
}

void mongo_message_free(struct mongo_message *message) {
    if (message == NULL) {
        return;
    }
    for (size_t i = 0; i < message->entry_count; i++) {
        mongo_entry_unref(message->entries[i]);
    }
    free(message->entries);
    free(message->progress);
    mongo_config_unref(message->config);
    mongo_call_free(message->call);
    free(message);
}

static bool message_before(const struct mongo_message *a, const struct mongo_message *b) {
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->sequence < b->sequence;
}

static void message_push(struct mongo_set *set, struct mongo_message *message, uint64_t at_ms) {
    message->at_ms = at_ms;
    message->sequence = ++set->sequence;
    if (set->message_count == set->message_capacity) {
        set->message_capacity = set->message_capacity == 0 ? 64 : 2 * set->message_capacity;
        set->messages =
            alloc_grown(set->messages, set->message_capacity, sizeof(struct mongo_message *));
    }
    size_t at = set->message_count++;
    while (at > 0 && message_before(message, set->messages[(at - 1) / 2])) {
        set->messages[at] = set->messages[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    set->messages[at] = message;
}

struct mongo_message *mongo_message_pop(struct mongo_set *set) {
    assert(set->message_count > 0);
    struct mongo_message *first = set->messages[0];
    struct mongo_message *last = set->messages[--set->message_count];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child + 1 < set->message_count &&
            message_before(set->messages[child + 1], set->messages[child])) {
            child++;
        }
        if (child >= set->message_count || message_before(last, set->messages[child])) {
            break;
        }
        set->messages[at] = set->messages[child];
        at = child;
    }
    set->messages[at] = last;
    return first;
}

static bool message_is_request(enum mongo_message_kind kind) {
    return kind == MESSAGE_HEARTBEAT || kind == MESSAGE_VOTE || kind == MESSAGE_FETCH;
}

/* Nobody listens there: the sender's kernel tells at once. */
static void message_bounce(struct mongo_set *set, struct mongo_message *message) {
    struct mongo_process *sender = mongo_process_of(set, message->from);
    if (sender != NULL && message_is_request(message->kind)) {
        struct mongo_message *failed =
            mongo_message_create(MESSAGE_FAILED, message->to, message->from);
        failed->failed = message->kind;
        failed->number = message->number;
        failed->incarnation = sender->incarnation;
        message_push(set, failed, set->now_ms + LATENCY_MS);
    }
    mongo_message_free(message);
}

void mongo_message_send(struct mongo_set *set, struct mongo_message *message, uint64_t delay_ms) {
    const struct mongo_process *sender = mongo_process_of(set, message->from);
    const struct mongo_process *target = mongo_process_of(set, message->to);
    if (message->kind == MESSAGE_REQUEST) {
        message_push(set, message, set->now_ms + delay_ms);
        return;
    }
    if (target == NULL) {
        message_bounce(set, message);
        return;
    }
    if (sender != NULL && sender->cut_to[target->index]) {
        mongo_message_free(message);
        return;
    }
    message_push(set, message, set->now_ms + delay_ms + LATENCY_MS);
}

static void message_hold(struct mongo_process *process, struct mongo_message *message) {
    message->next = NULL;
    *process->held_last = message;
    process->held_last = &message->next;
}

static void message_handle_failure(struct mongo_process *process,
                                   const struct mongo_message *message) {
    if (message->failed == MESSAGE_HEARTBEAT) {
        struct mongo_belief *belief = &process->beliefs[message->from];
        if (belief->timeout_ms != 0 && belief->heartbeat == message->number) {
            mongo_heartbeat_fail(process, message->from, "Connection refused");
        }
    } else if (message->failed == MESSAGE_VOTE) {
        mongo_election_miss(process, message->number);
    } else {
        mongo_replication_fail(process, message->number);
    }
}

/* The message is the caller's again when it returns true. */
static bool message_handle(struct mongo_process *process, struct mongo_message *message) {
    switch (message->kind) {
    case MESSAGE_HEARTBEAT:
        mongo_heartbeat_receive(process, message);
        return true;
    case MESSAGE_HEARTBEAT_REPLY:
        mongo_heartbeat_receive_reply(process, message);
        return true;
    case MESSAGE_VOTE:
        mongo_election_receive_vote(process, message);
        return true;
    case MESSAGE_VOTE_REPLY:
        mongo_election_receive_answer(process, message);
        return true;
    case MESSAGE_FETCH:
        mongo_replication_receive_fetch(process, message);
        return false;
    case MESSAGE_FETCH_REPLY:
        mongo_replication_receive_batch(process, message);
        return true;
    case MESSAGE_PROGRESS:
        mongo_replication_receive_progress(process, message);
        return true;
    case MESSAGE_HAND_OVER:
        if (mongo_election_obstacle(process) == NULL) {
            mongo_election_stand(process, true);
        }
        return true;
    case MESSAGE_FAILED:
        message_handle_failure(process, message);
        return true;
    case MESSAGE_REQUEST:
        break;
    }
    return true;
}

static void message_deliver_request(struct mongo_process *process, struct mongo_message *message) {
    struct mongo_call *call = message->call;
    if (process->life == LIFE_HUNG) {
        message_hold(process, message);
        return;
    }
    if (process->life == LIFE_UP && call->incarnation == process->incarnation) {
        message->call = NULL;
        mongo_command_run(call);
    }
    mongo_message_free(message);
}

void mongo_message_deliver(struct mongo_set *set, struct mongo_message *message) {
    struct mongo_process *process = mongo_process_of(set, message->to);
    const struct mongo_process *sender = mongo_process_of(set, message->from);
    assert(process != NULL);
    if (message->kind == MESSAGE_REQUEST) {
        message_deliver_request(process, message);
        return;
    }
    /* Cut while it was on its way. */
    if (sender != NULL && sender->cut_to[process->index] && message->kind != MESSAGE_FAILED) {
        mongo_message_free(message);
        return;
    }
    if (process->life == LIFE_DOWN || process->life == LIFE_STARTING) {
        if (process->black_hole) {
            mongo_message_free(message);
        } else {
            message_bounce(set, message);
        }
        return;
    }
    if (!mongo_runs(process)) {
        message_hold(process, message);
        return;
    }
    bool stale = message->incarnation != 0 && message->incarnation != process->incarnation;
    if (stale || message_handle(process, message)) {
        mongo_message_free(message);
    }
}

void mongo_messages_drop_requests(struct mongo_process *process) {
    struct mongo_message *message = process->held_first;
    process->held_first = NULL;
    process->held_last = &process->held_first;
    while (message != NULL) {
        struct mongo_message *next = message->next;
        message_bounce(process->set, message);
        message = next;
    }
    for (size_t i = 0; i < process->set->process_count; i++) {
        mongo_message_free(process->tails[i]);
        process->tails[i] = NULL;
    }
}

static void message_fail_to(struct mongo_process *process, int from, enum mongo_message_kind kind,
                            uint64_t number) {
    struct mongo_message *failed = mongo_message_create(MESSAGE_FAILED, from, (int)process->index);
    failed->failed = kind;
    failed->number = number;
    failed->incarnation = process->incarnation;
    message_push(process->set, failed, process->set->now_ms + LATENCY_MS);
}

void mongo_message_connections_reset(struct mongo_process *process) {
    const struct mongo_set *set = process->set;
    int host = (int)process->index;
    for (size_t i = 0; i < set->process_count; i++) {
        struct mongo_process *peer = set->processes[i];
        if (peer == process || peer->life == LIFE_DOWN || process->black_hole ||
            process->cut_to[i]) {
            continue;
        }
        if (peer->beliefs[host].timeout_ms != 0) {
            message_fail_to(peer, host, MESSAGE_HEARTBEAT, peer->beliefs[host].heartbeat);
        }
        if (peer->fetching && peer->source == host) {
            message_fail_to(peer, host, MESSAGE_FETCH, peer->fetch);
        }
    }
}
