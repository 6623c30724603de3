/* Making, starting, failing and stopping a replica, and its turn of the loop. */
#include "replica/replica.h"

#include <assert.h>
#include <openssl/evp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "io_destroy.h"
#include "replica_private.h"

#define MAX_INFLIGHT_ENTRIES                                                                       \
    128                        /* a peer; measured: 32, the library's default, halves throughput */
#define LIBRARY_HEARTBEAT_MS 1 /* raft_io.c, io_start */
#define DISK_RETRY_NEVER_MS (24 * 3600 * 1000) /* watch.c ends the process instead */

bool replica_keeps_io_destroy;

uint64_t replica_node_id(const char *cluster, const char *name) {
    uint8_t digest[EVP_MAX_MD_SIZE];
    char text[2 * NAME_SIZE + 2];
    uint64_t id = 0;
    int length = snprintf(text, sizeof text, "%s/%s", cluster, name);
    assert(length > 0 && (size_t)length < sizeof text);
    int hashed = EVP_Digest(text, (size_t)length, digest, NULL, EVP_sha256(), NULL);
    assert(hashed == 1);
    for (size_t i = 0; i < sizeof id; i++) {
        id = id << 8 | digest[i];
    }
    id >>= 1;
    return id != 0 ? id : 1;
}

struct peer *replica_find_peer(struct replica *replica, uint64_t id) {
    for (uint32_t i = 0; i < replica->peer_count; i++) {
        if (replica->peers[i].config.id == id) {
            return &replica->peers[i];
        }
    }
    return NULL;
}

enum error_code replica_raft_error(struct error *error, int code, const char *words) {
    const char *text = words[0] != '\0' ? words : raft_strerror(code);
    switch (code) {
    case RAFT_NOMEM:
        return error_set(error, ERROR_NO_MEMORY, "Raft: %s", text);
    case RAFT_CORRUPT:
    case RAFT_MALFORMED:
        return error_set(error, ERROR_CORRUPT,
                         "the log is damaged (%s): let this node join again, wiped and under a new "
                         "name",
                         text);
    case RAFT_IOERR:
    case RAFT_NOSPACE:
        return error_set(error, ERROR_IO, "Raft's storage: %s", text);
    default:
        return error_set(error, ERROR_INTERNAL, "Raft: %s", text);
    }
}

static void on_idle(uv_idle_t *idle) {
    (void)idle; /* while it is active, the loop doesn't sleep */
}

void replica_wake(struct replica *replica) {
    if (replica->stop != STOP_CLOSING) {
        (void)uv_idle_start(&replica->idle, on_idle);
    }
}

void replica_fail(struct replica *replica, enum error_code code, const char *format, ...) {
    va_list arguments;
    if (replica->failed) {
        return;
    }
    replica->failed = true;
    replica->failure.code = code;
    va_start(arguments, format);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): the line above has set it */
    (void)vsnprintf(replica->failure.message, sizeof replica->failure.message, format, arguments);
    va_end(arguments);
    replica_wake(replica);
}

static void begin_closing(struct replica *replica);

/* What must not be done from inside the library or from a caller's call. */
static void take_turn(struct replica *replica) {
    (void)uv_idle_stop(&replica->idle);
    if (replica->started) {
        replica_lead(replica);
        replica_deliver_held(replica);
        replica_deliver_own_report(replica);
        replica_flush(replica);
        replica_pass_on(replica);
        replica_keep_members(replica);
        replica_io_complete_unsent(replica);
    } else {
        replica_cancel_queued(replica);
    }
    replica_complete(replica);
    if (replica->failed && !replica->failure_told) {
        replica->failure_told = true;
        replica_observe(replica);
        replica_abandon(replica);
        replica_complete(replica);
        if (replica->callbacks.on_failed != NULL) {
            replica->callbacks.on_failed(replica->callbacks.context, &replica->failure);
        }
    }
    if (replica->stop == STOP_WANTED) {
        begin_closing(replica);
    }
}

static void on_prepare(uv_prepare_t *prepare) {
    take_turn(prepare->data);
}

static void on_check(uv_check_t *check) {
    take_turn(check->data);
}

static void free_replica(struct replica *replica) {
    mark_close(&replica->mark);
    storage_close(&replica->storage);
    links_destroy(replica->own_transport);
    buffer_finish(&replica->part.head);
    free(replica->own_reports);
    free(replica->received_report);
    free(replica->state);
    free(replica);
}

static void on_handle_closed(uv_handle_t *handle) {
    struct replica *replica = handle->data;
    if (--replica->handles_open > 0) {
        return;
    }
    void (*closed)(void *) = replica->closed;
    void *context = replica->closed_context;
    free_replica(replica);
    if (closed != NULL) {
        closed(context);
    }
}

static void close_handles(struct replica *replica) {
    uv_handle_t *handles[] = {
        (uv_handle_t *)&replica->prepare,      (uv_handle_t *)&replica->check,
        (uv_handle_t *)&replica->idle,         (uv_handle_t *)&replica->watch_timer,
        (uv_handle_t *)&replica->hasten_timer,
    };
    /* The library's last callbacks have put these there. */
    replica_cancel_queued(replica);
    replica_complete(replica);
    assert(TAILQ_EMPTY(&replica->batches) && TAILQ_EMPTY(&replica->barriers));
    assert(TAILQ_EMPTY(&replica->done) && TAILQ_EMPTY(&replica->read));
    replica->handles_open = ARRAY_LENGTH(handles);
    for (size_t i = 0; i < ARRAY_LENGTH(handles); i++) {
        uv_close(handles[i], on_handle_closed);
    }
}

static void on_raft_closed(struct raft *raft) {
    struct replica *replica = raft->data;
    raft_uv_close(&replica->io);
    replica_io_free_refused(replica);
    close_handles(replica);
}

static void on_unused_transport_closed(void *context) {
    close_handles(context);
}

static void begin_closing(struct replica *replica) {
    replica_observe(replica);
    replica->stop = STOP_CLOSING;
    (void)uv_timer_stop(&replica->watch_timer);
    (void)uv_timer_stop(&replica->hasten_timer);
    (void)uv_prepare_stop(&replica->prepare);
    (void)uv_check_stop(&replica->check);
    (void)uv_idle_stop(&replica->idle);
    if (replica->raft_made) {
        raft_close(&replica->raft, on_raft_closed);
        return;
    }
    if (replica->io_made) {
        raft_uv_close(&replica->io);
    }
    replica->transport->close(replica->transport, on_unused_transport_closed, replica);
}

void replica_stop(struct replica *replica, void (*closed)(void *context), void *context) {
    assert(replica->stop == STOP_NO);
    replica->closed = closed;
    replica->closed_context = context;
    replica->stop = STOP_WANTED;
    replica_wake(replica);
}

static enum error_code check_options(const struct replica_options *options, struct error *error) {
    bool found = false;
    if (!text_is_name(options->cluster, NAME_SIZE - 1) ||
        !text_is_name(options->node, NAME_SIZE - 1)) {
        return error_set(error, ERROR_INVALID, "the name of the cluster or the node is not a name");
    }
    if (options->peer_count == 0 || options->peer_count > NODE_MAX) {
        return error_set(error, ERROR_LIMIT, "a group has 1 to %d nodes", NODE_MAX);
    }
    for (uint32_t i = 0; i < options->peer_count; i++) {
        const struct replica_peer *peer = &options->peers[i];
        if (!text_is_name(peer->name, NAME_SIZE - 1) ||
            peer->id != replica_node_id(options->cluster, peer->name)) {
            return error_set(error, ERROR_INVALID, "peer %u: wrong name or id", i);
        }
        for (uint32_t j = 0; j < i; j++) {
            if (options->peers[j].id == peer->id) {
                return error_set(error, ERROR_INVALID, "two peers are named %s", peer->name);
            }
        }
        found = found || text_equal(peer->name, options->node);
    }
    if (!found) {
        return error_set(error, ERROR_INVALID, "node %s is not among the peers", options->node);
    }
    if (options->heartbeat_ms < REPLICA_HEARTBEAT_MIN_MS ||
        options->election_ms > REPLICA_ELECTION_MAX_MS ||
        options->election_ms / options->heartbeat_ms < REPLICA_ELECTION_RATIO_MIN) {
        return error_set(error, ERROR_INVALID,
                         "heartbeat %u ms and election %u ms: the first must be %d ms or more, the "
                         "second at least %d times as long and %d ms or less",
                         options->heartbeat_ms, options->election_ms, REPLICA_HEARTBEAT_MIN_MS,
                         REPLICA_ELECTION_RATIO_MIN, REPLICA_ELECTION_MAX_MS);
    }
    return ERROR_OK;
}

static void copy_options(struct replica *replica, const struct replica_options *options) {
    replica->loop = options->loop;
    replica->clock = options->clock;
    replica->entropy = options->entropy;
    (void)TEXT_COPY(replica->cluster, options->cluster);
    (void)TEXT_COPY(replica->node, options->node);
    (void)TEXT_COPY(replica->region, options->region);
    (void)TEXT_COPY(replica->version, options->version);
    replica->heartbeat_ms = options->heartbeat_ms;
    replica->election_ms = options->election_ms;
    replica->snapshot_threshold =
        options->snapshot_threshold != 0 ? options->snapshot_threshold : REPLICA_SNAPSHOT_THRESHOLD;
    replica->feature_level = options->feature_level;
    replica->callbacks = options->callbacks;
    replica->peer_count = options->peer_count;
    for (uint32_t i = 0; i < options->peer_count; i++) {
        replica->peers[i].config = options->peers[i];
    }
    replica->id = replica_node_id(options->cluster, options->node);
    replica->transport = options->transport;
    replica->proposer = entropy_u64(options->entropy);
}

static struct replica *allocate_replica(void) {
    struct replica *replica = calloc(1, sizeof *replica);
    if (replica == NULL) {
        return NULL;
    }
    replica->storage.lock_fd = -1;
    replica->mark.fd = -1;
    TAILQ_INIT(&replica->appends);
    TAILQ_INIT(&replica->refused);
    TAILQ_INIT(&replica->unsent);
    TAILQ_INIT(&replica->queued);
    TAILQ_INIT(&replica->done);
    TAILQ_INIT(&replica->batches);
    TAILQ_INIT(&replica->waiting);
    TAILQ_INIT(&replica->read);
    TAILQ_INIT(&replica->barriers);
    /* Zeroed, and mostly never touched: calloc takes it fresh from the system. */
    replica->state = calloc(1, sizeof *replica->state);
    if (replica->state == NULL) {
        free(replica);
        return NULL;
    }
    return replica;
}

static void init_handles(struct replica *replica) {
    uv_loop_t *loop = replica->loop;
    (void)uv_prepare_init(loop, &replica->prepare);
    (void)uv_check_init(loop, &replica->check);
    (void)uv_idle_init(loop, &replica->idle);
    (void)uv_timer_init(loop, &replica->watch_timer);
    (void)uv_timer_init(loop, &replica->hasten_timer);
    replica->prepare.data = replica;
    replica->check.data = replica;
    replica->idle.data = replica;
    replica->watch_timer.data = replica;
    replica->hasten_timer.data = replica;
    (void)uv_prepare_start(&replica->prepare, on_prepare);
    (void)uv_check_start(&replica->check, on_check);
}

enum error_code replica_create(const struct replica_options *options, struct replica **ret_replica,
                               struct error *error) {
    enum error_code code = check_options(options, error);
    if (code != ERROR_OK) {
        return code;
    }
    struct replica *replica = allocate_replica();
    if (replica == NULL) {
        return error_set(error, ERROR_NO_MEMORY, "no memory for the state");
    }
    if (!replica_keeps_io_destroy) {
        io_destroy_offload(true);
    }
    replica_heap_set();
    state_init(replica->state);
    copy_options(replica, options);
    code = storage_open(&replica->storage, options->directory, options->cluster, options->node,
                        replica->id, error);
    if (code == ERROR_OK) {
        code = mark_open(&replica->mark, options->directory, error);
    }
    if (code == ERROR_OK && replica->transport == NULL) {
        code = links_create(options, replica->id, &replica->own_transport, error);
        replica->transport = replica->own_transport;
    }
    if (code != ERROR_OK) {
        free_replica(replica);
        return code;
    }
    init_handles(replica);
    *ret_replica = replica;
    return ERROR_OK;
}

static void configure_raft(struct replica *replica) {
    struct raft *raft = &replica->raft;
    raft->data = replica;
    raft->tracer = NULL; /* the default one formats every message */
    raft_seed(raft, (unsigned)entropy_u64(replica->entropy));
    raft_set_pre_vote(raft, true);
    raft_set_heartbeat_timeout(raft, LIBRARY_HEARTBEAT_MS);
    raft_set_election_timeout(raft, replica->election_ms);
    assert(raft->election_timeout == replica->election_ms);
    raft_set_max_inflight_entries(raft, MAX_INFLIGHT_ENTRIES);
    /* No look at anybody's room for the log, ours is watch.c's: a leader that was elected by those
     * who have none can't append its first entry, which the library asserts that it can (0.22.1).
     */
    raft_set_capacity_threshold(raft, 0);
    raft_set_snapshot_threshold(raft, replica->snapshot_threshold);
    /* At least the threshold, so that a follower that is a little behind doesn't need a snapshot.
     */
    raft_set_snapshot_trailing(raft, replica->snapshot_threshold);
}

static enum error_code make_raft(struct replica *replica, struct error *error) {
    char path[PATH_MAX];
    enum error_code code = storage_path(replica->storage.directory, "raft", path, error);
    if (code != ERROR_OK) {
        return code;
    }
    replica_no_transport_init(&replica->no_transport);
    int result = raft_uv_init(&replica->io, replica->loop, path, &replica->no_transport);
    if (result != 0) {
        return replica_raft_error(error, result, replica->io.errmsg);
    }
    replica->io_made = true;
    raft_uv_set_tracer(&replica->io, NULL);
    raft_uv_set_auto_recovery(&replica->io, false);
    raft_uv_set_disk_retry(&replica->io, DISK_RETRY_NEVER_MS);
    replica_io_override(replica);
    replica_machine_init(replica);
    result = raft_init(&replica->raft, &replica->io, &replica->fsm, replica->id, replica->node);
    if (result != 0) {
        (void)replica_raft_error(error, result, replica->io.errmsg);
        return error_prefix(error, "data directory %s can't be used: needs ext4, xfs or the like",
                            replica->storage.directory);
    }
    replica->raft_made = true;
    replica->io.errmsg[0] = '\0'; /* watch.c takes what appears there later for an error */
    configure_raft(replica);
    return ERROR_OK;
}

enum error_code replica_start(struct replica *replica, struct error *error) {
    assert(!replica->started && replica->stop == STOP_NO);
    enum error_code code = make_raft(replica, error);
    if (code != ERROR_OK) {
        return code;
    }
    int result = raft_start(&replica->raft);
    if (replica->failed) {
        replica->failure_told = true;
        *error = replica->failure;
        return error->code;
    }
    if (result != 0) {
        replica->failed = true;
        replica->failure_told = true;
        if (replica->start_error.code != ERROR_OK) {
            *error = replica->start_error;
            return error->code;
        }
        return replica_raft_error(error, result, replica->io.errmsg);
    }
    replica->io.errmsg[0] = '\0';
    replica->started = true;
    (void)uv_timer_start(&replica->watch_timer, replica_on_watch, WATCH_INTERVAL_MS,
                         WATCH_INTERVAL_MS);
    replica_wake(replica);
    LOG_EVENT(REPLICA_STARTED, LOG_U64("boot", replica->storage.meta.boot),
              LOG_U64("last_log_index", raft_last_index(&replica->raft)),
              LOG_U64("term", raft_current_term(&replica->raft)),
              LOG_U64("index", replica->state->applied_index));
    return ERROR_OK;
}

void replica_set_identity(struct replica *replica, struct tls_identity *identity) {
    if (replica->transport->set_identity != NULL) {
        replica->transport->set_identity(replica->transport, identity);
    }
}
