/* Processes, connections, and what happens in which order. */
#include <assert.h>
#include <stdio.h>

#include "alloc.h"
#include "base/text.h"
#include "private.h"

/* From exec to listening, and from there to the data: 0.49 to 0.72 s as recorded. */
#define START_MS 480
#define START_SPREAD_MS 180
#define LOAD_MS 20
#define LOAD_SPREAD_MS 20
#define SYNC_DEFAULT_MS 200
/* After SIGCONT clients' requests may be quicker than the other threads. */
#define AWAKE_SPREAD_MS 40

/* --- small things that all files use --- */

uint64_t mongo_random(struct mongo_process *process, uint64_t below) {
    const struct mongo_set_options *options = &process->set->options;
    return options->random(options->context, process->index, below);
}

uint64_t mongo_wall_ms(const struct mongo_set *set) {
    return set->options.wall_ms + set->now_ms;
}

bool mongo_is_44(const struct mongo_process *process) {
    return process->set->release == MONGO_RELEASE_4_4;
}

bool mongo_runs(const struct mongo_process *process) {
    return process->life == LIFE_UP && process->timers[TIMER_AWAKE] == 0;
}

struct mongo_process *mongo_process_of(struct mongo_set *set, int host) {
    return host >= 0 && (size_t)host < set->process_count ? set->processes[host] : NULL;
}

int mongo_host_of(struct mongo_set *set, const char *host) {
    for (size_t i = 0; i < set->host_count; i++) {
        if (text_equal(set->hosts[i], host)) {
            return (int)i;
        }
    }
    if (set->host_count == MONGO_HOSTS_MAX) {
        return MONGO_NONE;
    }
    set->hosts[set->host_count] = alloc_text(host);
    return (int)set->host_count++;
}

int mongo_member_host(const struct mongo_process *process, size_t member) {
    return mongo_host_of(process->set, process->config->members[member].host);
}

const struct mongo_config_member *mongo_self(const struct mongo_process *process) {
    return process->config == NULL || process->self == MONGO_NONE
               ? NULL
               : &process->config->members[process->self];
}

void mongo_topology_changed(struct mongo_process *process) {
    process->topology_counter++;
}

void mongo_process_set_state(struct mongo_process *process, enum mongo_state state) {
    if (process->state != state) {
        process->state = state;
        mongo_topology_changed(process);
    }
}

/* --- processes --- */

static void set_forget(struct mongo_process *process) {
    memset(process->beliefs, 0, sizeof(process->beliefs));
    memset(process->timers, 0, sizeof(process->timers));
    memset(process->progress, 0, sizeof(process->progress));
    mongo_replication_forget(process);
    for (size_t i = 0; i < MONGO_HOSTS_MAX; i++) {
        process->beliefs[i].sync_source = MONGO_NONE;
        process->progress[i] = MONGO_OPTIME_NONE;
    }
    process->state = STATE_STARTUP;
    process->writable = false;
    process->stepping_down = false;
    process->primary = MONGO_NONE;
    process->source = MONGO_NONE;
    process->fetching = false;
    process->initial_sync = false;
    process->frozen_until_ms = 0;
    process->stepped_down_until_ms = 0;
    process->maintenance = 0;
    process->snapshot = false;
    process->election = (struct mongo_election){0};
    process->step_up_outcome = OUTCOME_NONE;
    process->elected_term = 0;
    process->configuring = false;
    process->unsettled_until_ms = 0;
    process->block_config = false;
    process->omit_quorum = false;
    process->fsync_locked = false;
    process->apply_stopped = false;
    process->closing = false;
    process->min_valid = MONGO_OPTIME_NONE;
    process->committed = MONGO_OPTIME_NONE;
    process->topology_counter = 0;
    process->next_connection_number = 0;
}

void mongo_process_end(struct mongo_process *process) {
    struct mongo_set *set = process->set;
    if (process->life == LIFE_DOWN) {
        return;
    }
    bool listened = process->life != LIFE_STARTING;
    process->life = LIFE_DOWN;
    process->incarnation++;
    mongo_waiters_drop(process);
    mongo_messages_drop_requests(process);
    mongo_connections_close(process);
    mongo_message_connections_reset(process);
    set_forget(process);
    if (listened && set->options.listening != NULL) {
        set->options.listening(set->options.context, process->index, false);
    }
}

void mongo_process_abort(struct mongo_process *process) {
    mongo_process_end(process);
}

static void set_start(struct mongo_process *process) {
    if (process->life != LIFE_DOWN) {
        return;
    }
    set_forget(process);
    process->life = LIFE_STARTING;
    process->incarnation++;
    process->standalone = process->standalone_next;
    process->timers[TIMER_STARTED] =
        process->set->now_ms + START_MS + mongo_random(process, START_SPREAD_MS);
}

static void set_on_started(struct mongo_process *process) {
    struct mongo_set *set = process->set;
    char id[25];
    process->life = LIFE_UP;
    process->started_ms = set->now_ms;
    process->inserts = process->updates = process->deletes = 0;
    (void)snprintf(id, sizeof(id), "%08x%08x%08x", (unsigned)(mongo_wall_ms(set) / 1000),
                   (unsigned)process->index, (unsigned)process->incarnation);
    bson_oid_init_from_string(&process->process_id, id);
    if (set->options.listening != NULL) {
        set->options.listening(set->options.context, process->index, true);
    }
    if (process->config != NULL && !process->standalone) {
        process->self = mongo_config_find(process->config, process->host);
        process->timers[TIMER_LOADED] =
            set->now_ms + LOAD_MS + mongo_random(process, LOAD_SPREAD_MS);
    }
}

static void set_on_loaded(struct mongo_process *process) {
    struct mongo_config *config = process->config;
    process->config = NULL;
    mongo_config_install(process, config);
    mongo_config_unref(config);
}

static void set_on_awake(struct mongo_process *process) {
    struct mongo_message *message = process->held_first;
    process->held_first = NULL;
    process->held_last = &process->held_first;
    while (message != NULL) {
        struct mongo_message *next = message->next;
        mongo_message_deliver(process->set, message);
        message = next;
    }
}

/* What clients have asked meanwhile comes first: it is what a stale primary lies about. */
static void set_continue(struct mongo_process *process) {
    struct mongo_message *message = process->held_first;
    if (process->life != LIFE_HUNG) {
        return;
    }
    process->life = LIFE_UP;
    process->timers[TIMER_AWAKE] =
        process->set->now_ms + 1 + mongo_random(process, AWAKE_SPREAD_MS);
    process->held_first = NULL;
    process->held_last = &process->held_first;
    while (message != NULL) {
        struct mongo_message *next = message->next;
        mongo_message_deliver(process->set, message);
        message = next;
    }
}

static void set_wipe(struct mongo_process *process) {
    mongo_process_end(process);
    mongo_oplog_finish(&process->log);
    mongo_config_unref(process->config);
    process->config = NULL;
    process->self = MONGO_NONE;
    process->term = 0;
    process->voted_term = 0;
    process->voted_for = MONGO_NONE;
    process->rollback_id = 1;
    process->synced = false;
}

/* SIGTERM: 4.4 hands over and goes a second later; 3.6 leaves the others to find out. */
static void set_shut_down(struct mongo_process *process) {
    if (process->life != LIFE_UP) {
        mongo_process_end(process);
        return;
    }
    if (process->state == STATE_PRIMARY && mongo_is_44(process)) {
        mongo_hand_over(process);
        mongo_step_down(process, "shutdown");
        process->closing = true;
        process->timers[TIMER_GONE] = process->set->now_ms + 1000;
        return;
    }
    process->closing = true;
    process->timers[TIMER_GONE] = process->set->now_ms + 20;
}

void mongo_set_fate(struct mongo_set *set, size_t index, enum mongo_fate fate) {
    assert(index < set->process_count);
    struct mongo_process *process = set->processes[index];
    switch (fate) {
    case MONGO_START:
        set_start(process);
        break;
    case MONGO_KILL:
        mongo_process_end(process);
        break;
    case MONGO_SHUTDOWN:
        set_shut_down(process);
        break;
    case MONGO_STOP:
        if (process->life == LIFE_UP) {
            process->life = LIFE_HUNG;
        }
        break;
    case MONGO_CONTINUE:
        set_continue(process);
        break;
    case MONGO_WIPE:
        set_wipe(process);
        break;
    }
    mongo_waiters_settle(set);
}

void mongo_set_standalone(struct mongo_set *set, size_t process, bool standalone) {
    set->processes[process]->standalone_next = standalone;
}

void mongo_set_cut(struct mongo_set *set, size_t from, size_t to, bool cut) {
    set->processes[from]->cut_to[to] = cut;
}

void mongo_set_black_hole(struct mongo_set *set, size_t process, bool black_hole) {
    set->processes[process]->black_hole = black_hole;
}

void mongo_set_apply_delay(struct mongo_set *set, size_t process, uint64_t delay_ms) {
    set->processes[process]->apply_delay_ms = delay_ms;
    mongo_replication_resume_apply(set->processes[process]);
}

void mongo_set_sync_duration(struct mongo_set *set, size_t process, uint64_t duration_ms) {
    set->processes[process]->sync_duration_ms = duration_ms;
}

/* --- the order of events --- */

static void set_on_timer(struct mongo_process *process, enum mongo_timer timer) {
    switch (timer) {
    case TIMER_STARTED:
        set_on_started(process);
        break;
    case TIMER_LOADED:
        set_on_loaded(process);
        break;
    case TIMER_AWAKE:
        set_on_awake(process);
        break;
    case TIMER_GONE:
        mongo_process_end(process);
        break;
    case TIMER_ELECTION:
    case TIMER_TAKEOVER:
    case TIMER_STEP_UP:
    case TIMER_CATCH_UP:
    case TIMER_DRAIN:
        mongo_election_on_timer(process, timer);
        break;
    case TIMER_APPLY:
    case TIMER_SOURCE:
    case TIMER_FETCH:
    case TIMER_NOTE:
    case TIMER_TAILS:
    case TIMER_ROLLED_BACK:
    case TIMER_SYNCED:
        mongo_replication_on_timer(process, timer);
        break;
    case TIMER_COUNT:
        break;
    }
}

struct set_due {
    uint64_t at_ms;
    struct mongo_process *process;
    enum mongo_timer timer; /* TIMER_COUNT: a heartbeat or the primary's liveness */
    int host;               /* MONGO_NONE: the liveness */
};

static void set_due_earlier(struct set_due *due, uint64_t at_ms, struct mongo_process *process,
                            enum mongo_timer timer, int host) {
    if (at_ms != 0 && at_ms < due->at_ms) {
        *due = (struct set_due){at_ms, process, timer, host};
    }
}

static void set_find_due_heartbeat(struct mongo_process *process, struct set_due *due) {
    for (size_t i = 0; process->config != NULL && i < process->set->host_count; i++) {
        const struct mongo_belief *belief = &process->beliefs[i];
        set_due_earlier(due, belief->timeout_ms, process, TIMER_COUNT, (int)i);
        set_due_earlier(due, belief->due_ms, process, TIMER_COUNT, (int)i);
    }
}

static struct set_due set_find_due(const struct mongo_set *set) {
    struct set_due due = {.at_ms = MONGO_NEVER_MS};
    for (size_t i = 0; i < set->process_count; i++) {
        struct mongo_process *process = set->processes[i];
        if (process->life == LIFE_DOWN || process->life == LIFE_HUNG) {
            continue;
        }
        if (process->life == LIFE_UP && !mongo_runs(process)) {
            set_due_earlier(&due, process->timers[TIMER_AWAKE], process, TIMER_AWAKE, MONGO_NONE);
            continue;
        }
        for (enum mongo_timer timer = 0; timer < TIMER_COUNT; timer++) {
            set_due_earlier(&due, process->timers[timer], process, timer, MONGO_NONE);
        }
        if (process->life == LIFE_UP) {
            set_find_due_heartbeat(process, &due);
            set_due_earlier(&due, mongo_liveness_deadline_ms(process), process, TIMER_COUNT,
                            MONGO_NONE);
        }
    }
    return due;
}

static void set_fire(const struct set_due *due) {
    struct mongo_process *process = due->process;
    if (due->timer != TIMER_COUNT) {
        process->timers[due->timer] = 0;
        set_on_timer(process, due->timer);
        return;
    }
    if (due->host == MONGO_NONE) {
        mongo_step_down(process, "can't see a majority of the set");
        return;
    }
    struct mongo_belief *belief = &process->beliefs[due->host];
    if (belief->timeout_ms != 0 && belief->timeout_ms <= process->set->now_ms) {
        mongo_heartbeat_fail(process, due->host, "Couldn't get a connection within the time limit");
    } else {
        mongo_heartbeat_send(process, due->host);
    }
}

uint64_t mongo_set_next_ms(const struct mongo_set *set) {
    uint64_t next_ms = set_find_due(set).at_ms;
    uint64_t waiters_ms = mongo_waiters_next_ms(set);
    if (set->message_count > 0 && set->messages[0]->at_ms < next_ms) {
        next_ms = set->messages[0]->at_ms;
    }
    next_ms = waiters_ms < next_ms ? waiters_ms : next_ms;
    return next_ms < set->now_ms ? set->now_ms : next_ms;
}

void mongo_set_run(struct mongo_set *set, uint64_t now_ms) {
    assert(now_ms >= set->now_ms);
    for (;;) {
        struct set_due due = set_find_due(set);
        uint64_t message_ms = set->message_count > 0 ? set->messages[0]->at_ms : MONGO_NEVER_MS;
        uint64_t waiters_ms = mongo_waiters_next_ms(set);
        uint64_t next_ms = due.at_ms < message_ms ? due.at_ms : message_ms;
        next_ms = waiters_ms < next_ms ? waiters_ms : next_ms;
        if (next_ms > now_ms) {
            break;
        }
        if (next_ms > set->now_ms) {
            set->now_ms = next_ms;
        }
        if (message_ms <= next_ms) {
            mongo_message_deliver(set, mongo_message_pop(set));
        } else if (due.at_ms <= next_ms) {
            set_fire(&due);
        }
        mongo_waiters_settle(set);
    }
    set->now_ms = now_ms;
}

uint64_t mongo_set_now_ms(const struct mongo_set *set) {
    return set->now_ms;
}

/* --- the set --- */

struct mongo_set *mongo_set_create(const struct mongo_set_options *options) {
    assert(options->host_count > 0 && options->host_count <= MONGO_PROCESSES_MAX);
    struct mongo_set *set = alloc_zeroed(1, sizeof(*set));
    set->options = *options;
    set->release = options->release;
    set->name = alloc_text(options->name);
    for (size_t i = 0; i < options->host_count; i++) {
        struct mongo_process *process = alloc_zeroed(1, sizeof(*process));
        set->hosts[i] = alloc_text(options->hosts[i]);
        process->set = set;
        process->index = i;
        process->host = set->hosts[i];
        process->self = MONGO_NONE;
        process->voted_for = MONGO_NONE;
        process->rollback_id = 1;
        process->sync_duration_ms = SYNC_DEFAULT_MS;
        process->held_last = &process->held_first;
        set->processes[i] = process;
        set_forget(process);
    }
    set->process_count = options->host_count;
    set->host_count = options->host_count;
    return set;
}

void mongo_set_destroy(struct mongo_set *set) {
    if (set == NULL) {
        return;
    }
    for (size_t i = 0; i < set->process_count; i++) {
        struct mongo_process *process = set->processes[i];
        mongo_waiters_drop(process);
        mongo_messages_drop_requests(process);
        mongo_oplog_finish(&process->log);
        mongo_replication_forget(process);
        free(process->arrived);
        mongo_config_unref(process->config);
    }
    for (size_t i = 0; i < set->message_count; i++) {
        mongo_message_free(set->messages[i]);
    }
    for (size_t i = 0; i < set->process_count; i++) {
        free(set->processes[i]);
    }
    for (size_t i = 0; i < set->host_count; i++) {
        free(set->hosts[i]);
    }
    free(set->messages);
    free(set->connections);
    free(set->name);
    free(set);
}

/* --- what a judge may see --- */

void mongo_set_view(const struct mongo_set *set, size_t index, struct mongo_view *ret_view) {
    const struct mongo_process *process = set->processes[index];
    bool up = process->life == LIFE_UP || process->life == LIFE_HUNG;
    *ret_view = (struct mongo_view){
        .up = up,
        .stopped = process->life == LIFE_HUNG,
        .state = up ? (int)process->state : STATE_DOWN,
        .writable = process->writable && !process->stepping_down,
        .term = process->term,
        .config_version = process->config == NULL ? 0 : process->config->version,
        .config_term = process->config == NULL ? MONGO_NO_TERM : process->config->term,
        .config_forced = process->config != NULL && process->config->forced,
        .applied = process->log.count,
        .committed_term = process->committed.term,
        .rollback_id = process->rollback_id,
        .sync_source = process->source,
        .primary = process->primary,
    };
}

bson_t *mongo_set_config(const struct mongo_set *set, size_t index) {
    bson_t *document = bson_new();
    const struct mongo_config *config = set->processes[index]->config;
    if (config != NULL) {
        mongo_config_append(config, set->release, document);
    }
    return document;
}

bool mongo_set_holds(const struct mongo_set *set, size_t process, const char *database,
                     const char *collection, const char *id) {
    char namespace[MONGO_NAME_SIZE];
    bson_value_t value = {.value_type = BSON_TYPE_UTF8};
    (void)snprintf(namespace, sizeof(namespace), "%s.%s", database, collection);
    value.value.v_utf8.str = (char *)id;
    value.value.v_utf8.len = (uint32_t)strlen(id);
    return mongo_oplog_find(&set->processes[process]->log, namespace, &value) != NULL;
}
