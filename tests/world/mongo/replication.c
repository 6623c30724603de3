/* Replication: sync sources, fetching and applying, the commit point, rollback. */
#include "alloc.h"
#include "private.h"

#define SOURCE_RETRY_MS 1000
#define BATCH_MAX 500
/* maxSyncSourceLagSecs */
#define SOURCE_LAG_MAX_S 30
#define FETCH_BUFFER_MS 5000
/* 4.4 holds on to a sync source that hangs: no w:majority write within 20 s, as recorded. */
#define FETCH_TIMEOUT_44_MS 35000
#define ROLLBACK_MS 1000
#define NOTE_INTERVAL_MS 10000
/* Of four sources taken, one isn't the primary (where both are good). */
#define CHAINING_ONE_IN 4

void mongo_replication_forget(struct mongo_process *process) {
    for (size_t i = 0; i < process->arrived_count; i++) {
        mongo_entry_unref(process->arrived[i]);
    }
    process->arrived_count = 0;
    process->timers[TIMER_APPLY] = 0;
}

static struct mongo_optime replication_fetched(const struct mongo_process *process) {
    return process->arrived_count > 0 ? process->arrived[process->arrived_count - 1]->optime
                                      : mongo_oplog_last(&process->log);
}

/* --- sync sources --- */

static bool replication_wants(const struct mongo_process *process) {
    switch (process->state) {
    case STATE_SECONDARY:
    case STATE_STARTUP2:
    case STATE_RECOVERING:
        return true;
    case STATE_PRIMARY:
        return !process->writable && process->timers[TIMER_DRAIN] == 0;
    default:
        return false;
    }
}

static bool replication_is_source(struct mongo_process *process, int host) {
    const struct mongo_belief *belief = &process->beliefs[host];
    if (host == (int)process->index || !belief->up ||
        (belief->state != STATE_PRIMARY && belief->state != STATE_SECONDARY) ||
        mongo_optime_order(belief->applied, replication_fetched(process)) <= 0) {
        return false;
    }
    if (host == process->primary) {
        return true;
    }
    if (!process->config->chaining_allowed && process->state != STATE_PRIMARY) {
        return false;
    }
    return process->primary == MONGO_NONE || belief->applied.seconds + SOURCE_LAG_MAX_S >=
                                                 process->beliefs[process->primary].applied.seconds;
}

static int replication_choose(struct mongo_process *process) {
    int others[MONGO_CONFIG_MEMBERS_MAX];
    uint64_t count = 0;
    bool primary = false;
    for (size_t i = 0; i < process->config->member_count; i++) {
        int host = mongo_member_host(process, i);
        if (!replication_is_source(process, host)) {
            continue;
        }
        if (host == process->primary) {
            primary = true;
        } else {
            others[count++] = host;
        }
    }
    if (primary && (count == 0 || mongo_random(process, CHAINING_ONE_IN) != CHAINING_ONE_IN - 1)) {
        return process->primary;
    }
    return count == 0 ? MONGO_NONE : others[mongo_random(process, count)];
}

static void replication_fetch(struct mongo_process *process) {
    struct mongo_set *set = process->set;
    struct mongo_message *message =
        mongo_message_create(MESSAGE_FETCH, (int)process->index, process->source);
    process->fetching = true;
    process->fetch = ++set->sequence;
    process->timers[TIMER_FETCH] =
        set->now_ms + (mongo_is_44(process)
                           ? FETCH_TIMEOUT_44_MS
                           : (uint64_t)process->config->election_timeout_ms / 2 + FETCH_BUFFER_MS);
    message->number = process->fetch;
    message->term = process->term;
    message->optime = replication_fetched(process);
    mongo_message_send(set, message, 0);
}

void mongo_replication_look_for_source(struct mongo_process *process) {
    if (process->fetching || process->config == NULL || process->self == MONGO_NONE ||
        !replication_wants(process)) {
        return;
    }
    int source = replication_choose(process);
    if (source == MONGO_NONE) {
        process->timers[TIMER_SOURCE] = process->set->now_ms + SOURCE_RETRY_MS;
        return;
    }
    process->source = source;
    process->timers[TIMER_SOURCE] = 0;
    if (process->state == STATE_STARTUP2 && !process->initial_sync) {
        process->initial_sync = true;
        process->min_valid = process->beliefs[source].applied;
        process->synced_ms = process->set->now_ms + process->sync_duration_ms;
        process->timers[TIMER_SYNCED] = process->synced_ms;
    }
    replication_fetch(process);
}

void mongo_replication_look_ahead(struct mongo_process *process) {
    if (process->fetching && !replication_is_source(process, process->source)) {
        mongo_replication_stop(process);
    }
    mongo_replication_look_for_source(process);
}

void mongo_replication_start(struct mongo_process *process) {
    mongo_replication_look_for_source(process);
}

void mongo_replication_stop(struct mongo_process *process) {
    process->source = MONGO_NONE;
    process->fetching = false;
    process->timers[TIMER_FETCH] = 0;
    process->timers[TIMER_SOURCE] = 0;
}

static void replication_drop_source(struct mongo_process *process) {
    mongo_replication_stop(process);
    process->timers[TIMER_SOURCE] = process->set->now_ms + SOURCE_RETRY_MS;
}

void mongo_replication_fail(struct mongo_process *process, uint64_t fetch) {
    if (process->fetching && process->fetch == fetch) {
        mongo_replication_stop(process);
        process->timers[TIMER_SOURCE] = process->set->now_ms + 100;
    }
}

/* --- the source's side --- */

static void replication_answer(struct mongo_process *process, const struct mongo_message *fetch) {
    struct mongo_set *set = process->set;
    const struct mongo_process *fetcher = mongo_process_of(set, fetch->from);
    struct mongo_message *reply =
        mongo_message_create(MESSAGE_FETCH_REPLY, (int)process->index, fetch->from);
    const struct mongo_oplog *log = &process->log;
    bool whole = mongo_optime_order(fetch->optime, MONGO_OPTIME_NONE) == 0;
    size_t from = whole ? 0 : mongo_oplog_position(log, fetch->optime);
    size_t count = log->count - from < BATCH_MAX ? log->count - from : BATCH_MAX;
    reply->number = fetch->number;
    reply->incarnation = fetcher->incarnation;
    reply->term = process->term;
    reply->primary = process->primary;
    reply->optime = mongo_oplog_last(log);
    reply->committed = process->committed;
    if (process->state != STATE_PRIMARY && process->state != STATE_SECONDARY) {
        reply->gone = true;
        count = 0;
    } else if (!whole && !mongo_oplog_has(log, fetch->optime)) {
        /* All of it: the fetcher looks for where they parted. */
        reply->gone = true;
        from = 0;
        count = log->count;
    }
    reply->entries = alloc_zeroed(count, sizeof(struct mongo_entry *));
    for (size_t i = 0; i < count; i++) {
        reply->entries[reply->entry_count++] = mongo_entry_ref(log->entries[from + i]);
    }
    mongo_message_send(set, reply, 0);
}

static uint64_t replication_await_ms(const struct mongo_process *process) {
    return process->config == NULL ? FETCH_BUFFER_MS
                                   : (uint64_t)process->config->election_timeout_ms / 2;
}

void mongo_replication_receive_fetch(struct mongo_process *process, struct mongo_message *message) {
    size_t fetcher = (size_t)message->from;
    bool readable = process->state == STATE_PRIMARY || process->state == STATE_SECONDARY;
    mongo_term_learn(process, message->term);
    mongo_message_free(process->tails[fetcher]);
    process->tails[fetcher] = NULL;
    if (readable && process->log.count > 0 &&
        mongo_optime_order(message->optime, mongo_oplog_last(&process->log)) == 0) {
        process->tails[fetcher] = message;
        process->tail_ms[fetcher] = process->set->now_ms;
        if (process->timers[TIMER_TAILS] == 0) {
            process->timers[TIMER_TAILS] = process->set->now_ms + replication_await_ms(process);
        }
        return;
    }
    replication_answer(process, message);
    mongo_message_free(message);
}

/* Answers those who have waited for so long. */
static void replication_wake_tails(struct mongo_process *process, uint64_t waited_ms) {
    uint64_t now_ms = process->set->now_ms;
    uint64_t next_ms = 0;
    for (size_t i = 0; i < process->set->process_count; i++) {
        struct mongo_message *fetch = process->tails[i];
        if (fetch == NULL) {
            continue;
        }
        if (process->tail_ms[i] + waited_ms <= now_ms) {
            process->tails[i] = NULL;
            replication_answer(process, fetch);
            mongo_message_free(fetch);
        } else if (next_ms == 0 || process->tail_ms[i] + waited_ms < next_ms) {
            next_ms = process->tail_ms[i] + waited_ms;
        }
    }
    process->timers[TIMER_TAILS] = next_ms;
}

/* --- progress and the commit point --- */

static void replication_send_progress(struct mongo_process *process) {
    if (process->source == MONGO_NONE || process->state == STATE_PRIMARY) {
        return;
    }
    struct mongo_message *message =
        mongo_message_create(MESSAGE_PROGRESS, (int)process->index, process->source);
    message->progress = alloc_zeroed(MONGO_HOSTS_MAX, sizeof(struct mongo_optime));
    memcpy(message->progress, process->progress, sizeof(process->progress));
    message->progress[process->index] = mongo_oplog_last(&process->log);
    message->term = process->term;
    mongo_message_send(process->set, message, 0);
}

void mongo_replication_receive_progress(struct mongo_process *process,
                                        const struct mongo_message *message) {
    mongo_term_learn(process, message->term);
    process->beliefs[message->from].contact_ms = process->set->now_ms;
    for (size_t i = 0; i < process->set->host_count; i++) {
        bool newer = mongo_optime_order(message->progress[i], process->progress[i]) > 0;
        if (newer || (int)i == message->from) {
            process->progress[i] = message->progress[i];
        }
    }
    if (process->state == STATE_PRIMARY) {
        mongo_replication_commit(process);
    } else {
        replication_send_progress(process);
    }
}

void mongo_replication_note_progress(struct mongo_process *process, int host,
                                     struct mongo_optime applied) {
    process->progress[host] = applied;
    mongo_replication_commit(process);
}

void mongo_replication_commit(struct mongo_process *process) {
    struct mongo_optime times[MONGO_CONFIG_MEMBERS_MAX];
    size_t count = 0;
    if (process->state != STATE_PRIMARY || process->config == NULL) {
        return;
    }
    process->progress[process->index] = mongo_oplog_last(&process->log);
    for (size_t i = 0; i < process->config->member_count; i++) {
        const struct mongo_config_member *member = &process->config->members[i];
        if (member->votes == 0 || member->arbiter) {
            continue;
        }
        struct mongo_optime time = process->progress[mongo_member_host(process, i)];
        size_t at = count++;
        while (at > 0 && mongo_optime_order(times[at - 1], time) < 0) {
            times[at] = times[at - 1];
            at--;
        }
        times[at] = time;
    }
    size_t needed = mongo_config_write_majority(process->config);
    if (needed == 0 || count < needed) {
        return;
    }
    struct mongo_optime committed = times[needed - 1];
    /* Entries of earlier terms count only together with one of this term (the Raft paper's 5.4.2).
     */
    if (committed.term == process->term && mongo_optime_order(committed, process->committed) > 0) {
        process->committed = committed;
        process->snapshot = true;
        replication_wake_tails(process, 0);
    }
}

void mongo_replication_learn_commit(struct mongo_process *process, struct mongo_optime committed) {
    struct mongo_optime last = mongo_oplog_last(&process->log);
    if (process->state == STATE_PRIMARY || process->log.count == 0) {
        return;
    }
    if (mongo_optime_order(committed, last) > 0) {
        if (committed.term != last.term) {
            return; /* perhaps of another branch than what is here */
        }
        committed = last;
    } else if (!mongo_oplog_has(&process->log, committed)) {
        return;
    }
    if (mongo_optime_order(committed, process->committed) > 0) {
        process->committed = committed;
        process->snapshot = true;
        replication_wake_tails(process, 0);
    }
}

unsigned mongo_replication_copies(const struct mongo_process *process, struct mongo_optime optime) {
    unsigned copies = 0;
    for (size_t i = 0; i < process->config->member_count; i++) {
        int host = mongo_member_host(process, i);
        copies += !process->config->members[i].arbiter &&
                          mongo_optime_order(process->progress[host], optime) >= 0
                      ? 1
                      : 0;
    }
    return copies;
}

/* --- writing --- */

struct mongo_optime mongo_replication_write(struct mongo_process *process, const char *namespace,
                                            const bson_t *document, bool deleted) {
    struct mongo_set *set = process->set;
    struct mongo_optime last = mongo_oplog_last(&process->log);
    struct mongo_optime optime = {
        .term = process->config == NULL ? -1 : process->term,
        .seconds = (uint32_t)(mongo_wall_ms(set) / 1000),
        .increment = 1,
    };
    if (optime.seconds <= last.seconds) {
        optime.seconds = last.seconds;
        optime.increment = last.increment + 1;
    }
    mongo_oplog_append(&process->log, mongo_entry_create(optime, mongo_wall_ms(set), namespace,
                                                         document, deleted));
    process->written_ms = set->now_ms;
    process->progress[process->index] = optime;
    replication_wake_tails(process, 0);
    mongo_replication_commit(process);
    return optime;
}

/* --- applying --- */

static void replication_settle(struct mongo_process *process) {
    struct mongo_optime last = mongo_oplog_last(&process->log);
    if (mongo_optime_order(last, process->min_valid) < 0 || process->log.count == 0) {
        return;
    }
    if (process->state == STATE_STARTUP2 && process->initial_sync &&
        process->set->now_ms >= process->synced_ms) {
        process->synced = true;
        process->initial_sync = false;
        mongo_process_set_state(process, STATE_SECONDARY);
        mongo_election_postpone(process);
    } else if (process->state == STATE_RECOVERING && process->maintenance == 0) {
        mongo_process_set_state(process, STATE_SECONDARY);
    }
}

static uint64_t replication_due_ms(struct mongo_process *process, const struct mongo_entry *entry) {
    const struct mongo_config_member *self = mongo_self(process);
    uint64_t delay_ms = self == NULL ? 0 : (uint64_t)self->delay_seconds * 1000;
    uint64_t wall_ms = mongo_wall_ms(process->set);
    bool early = process->state != STATE_STARTUP2 && entry->wall_ms + delay_ms > wall_ms;
    return process->set->now_ms + (early && delay_ms > 0 ? entry->wall_ms + delay_ms - wall_ms : 0);
}

void mongo_replication_resume_apply(struct mongo_process *process) {
    if (process->life != LIFE_UP && process->life != LIFE_HUNG) {
        return;
    }
    process->timers[TIMER_APPLY] = 0;
    if (process->arrived_count > 0 && !process->apply_stopped && !process->fsync_locked &&
        process->apply_delay_ms != MONGO_NEVER_MS) {
        process->timers[TIMER_APPLY] =
            replication_due_ms(process, process->arrived[0]) + process->apply_delay_ms;
    }
}

static void replication_apply(struct mongo_process *process) {
    size_t applied = 0;
    while (applied < process->arrived_count &&
           replication_due_ms(process, process->arrived[applied]) <= process->set->now_ms) {
        mongo_oplog_append(&process->log, process->arrived[applied++]);
    }
    process->arrived_count -= applied;
    if (process->arrived_count > 0) {
        memmove(process->arrived, process->arrived + applied,
                process->arrived_count * sizeof(struct mongo_entry *));
    }
    mongo_replication_resume_apply(process);
    process->progress[process->index] = mongo_oplog_last(&process->log);
    replication_settle(process);
    replication_wake_tails(process, 0);
    replication_send_progress(process);
    if (process->state == STATE_PRIMARY) {
        mongo_election_catch_up(process);
    }
}

static void replication_take(struct mongo_process *process, const struct mongo_message *message) {
    size_t count = process->arrived_count + message->entry_count;
    if (count > process->arrived_capacity) {
        process->arrived_capacity = 2 * count;
        process->arrived =
            alloc_grown(process->arrived, process->arrived_capacity, sizeof(struct mongo_entry *));
    }
    for (size_t i = 0; i < message->entry_count; i++) {
        process->arrived[process->arrived_count++] = mongo_entry_ref(message->entries[i]);
    }
    if (process->timers[TIMER_APPLY] == 0) {
        mongo_replication_resume_apply(process);
    }
}

/* --- rollback --- */

static void replication_roll_back(struct mongo_process *process,
                                  const struct mongo_message *message) {
    size_t mine = process->log.count;
    size_t theirs = message->entry_count;
    while (mine > 0 && theirs > 0) {
        int order = mongo_optime_order(process->log.entries[mine - 1]->optime,
                                       message->entries[theirs - 1]->optime);
        if (order == 0) {
            break;
        }
        if (order > 0) {
            mine--;
        } else {
            theirs--;
        }
    }
    struct mongo_optime common =
        mine == 0 || theirs == 0 ? MONGO_OPTIME_NONE : process->log.entries[mine - 1]->optime;
    mongo_replication_stop(process);
    mongo_replication_forget(process);
    /* What a majority had can't be undone: the server ends itself. */
    if (mongo_optime_order(common, process->committed) < 0) {
        mongo_process_abort(process);
        return;
    }
    process->rollback_to = mine;
    process->rollback_target = message->optime;
    mongo_process_set_state(process, STATE_ROLLBACK);
    process->timers[TIMER_ROLLED_BACK] = process->set->now_ms + ROLLBACK_MS;
}

static void replication_finish_rollback(struct mongo_process *process) {
    mongo_oplog_truncate(&process->log, process->rollback_to);
    process->progress[process->index] = mongo_oplog_last(&process->log);
    process->rollback_id++;
    process->min_valid = process->rollback_target;
    mongo_process_set_state(process, STATE_RECOVERING);
    mongo_replication_look_for_source(process);
}

void mongo_replication_receive_batch(struct mongo_process *process,
                                     const struct mongo_message *message) {
    if (!process->fetching || process->fetch != message->number ||
        message->from != process->source) {
        return;
    }
    process->fetching = false;
    process->timers[TIMER_FETCH] = 0;
    mongo_term_learn(process, message->term);
    if (message->term == process->term && message->primary != MONGO_NONE &&
        message->primary != (int)process->index) {
        mongo_election_postpone(process);
    }
    bool ahead = mongo_optime_order(message->optime, replication_fetched(process)) > 0;
    if (message->gone) {
        if (message->entry_count > 0 && ahead && process->state == STATE_PRIMARY) {
            mongo_election_end_catch_up(process);
        } else if (message->entry_count > 0 && ahead) {
            replication_roll_back(process, message);
        } else {
            replication_drop_source(process);
        }
        return;
    }
    replication_take(process, message);
    mongo_replication_learn_commit(process, message->committed);
    if (replication_wants(process)) {
        replication_fetch(process);
    } else {
        mongo_replication_stop(process);
    }
}

void mongo_replication_on_timer(struct mongo_process *process, enum mongo_timer timer) {
    switch (timer) {
    case TIMER_APPLY:
        replication_apply(process);
        break;
    case TIMER_SOURCE:
        mongo_replication_look_for_source(process);
        break;
    case TIMER_FETCH:
        mongo_replication_fail(process, process->fetch);
        break;
    case TIMER_TAILS:
        replication_wake_tails(process, replication_await_ms(process));
        break;
    case TIMER_NOTE:
        if (process->set->now_ms - process->written_ms >= NOTE_INTERVAL_MS) {
            (void)mongo_replication_write(process, NULL, NULL, false);
        }
        process->timers[TIMER_NOTE] = process->written_ms + NOTE_INTERVAL_MS;
        break;
    case TIMER_ROLLED_BACK:
        replication_finish_rollback(process);
        break;
    case TIMER_SYNCED:
        replication_settle(process);
        break;
    default:
        break;
    }
}
