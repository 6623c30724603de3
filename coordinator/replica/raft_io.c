/* libraft's raft_io: raft_uv for the disk, with guards around it, and our own messages.
 *
 * The library asserts that a disk request fails only while it is being closed, and raft_uv answers
 * a failed write by trying again for ever. So a failure never gets through: it makes the replica
 * mute (nothing is sent, acknowledged or applied any more, replica_fail) and the request is
 * withheld until the library is closed, which gives it back as cancelled. Being mute, the node may
 * pretend to the library that a term or vote was stored: nobody outside will ever hear of it. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "replica_private.h"

static struct replica *of_io(struct raft_io *io) {
    return CONTAINER_OF(io, struct replica, io);
}

static void fail_disk(struct replica *replica, const char *doing, int code) {
    const char *words = replica->io.errmsg[0] != '\0' ? replica->io.errmsg : raft_strerror(code);
    replica_fail(replica, ERROR_IO, "data directory %s: %s: %s", replica->storage.directory, doing,
                 words);
}

static int io_set_term(struct raft_io *io, raft_term term) {
    struct replica *replica = of_io(io);
    int code = replica_is_mute(replica) ? 0 : replica->disk.set_term(io, term);
    if (code != 0) {
        fail_disk(replica, "can't store the term", code);
    }
    return 0;
}

static int io_set_vote(struct raft_io *io, raft_id id) {
    struct replica *replica = of_io(io);
    int code = replica_is_mute(replica) ? 0 : replica->disk.set_vote(io, id);
    if (code != 0) {
        fail_disk(replica, "can't store the vote", code);
    }
    return 0;
}

static void finish_append(struct append *append, int status) {
    TAILQ_REMOVE(&append->replica->appends, append, link);
    struct raft_io_append *outer = append->outer;
    raft_io_append_cb callback = append->callback;
    if (append->refused) {
        /* raft_uv may have kept it: it stays until that is closed. */
        append->finished = true;
        TAILQ_INSERT_TAIL(&append->replica->refused, append, link);
    } else {
        free(append);
    }
    callback(outer, status);
}

static void on_appended(struct raft_io_append *request, int status) {
    struct append *append = CONTAINER_OF(request, struct append, request);
    struct replica *replica = append->replica;
    if (append->finished) {
        return;
    }
    if (replica->stop == STOP_CLOSING) {
        finish_append(append, RAFT_CANCELED);
        return;
    }
    if (status != 0) {
        fail_disk(replica, "can't write the log", status);
    } else if (append->generation == replica->truncations &&
               !mark_raise(&replica->mark, append->last_index)) {
        replica_fail(replica, ERROR_IO, "data directory %s: can't write high-water: %s",
                     replica->storage.directory, strerror(errno));
    }
    if (replica->failed) {
        append->withheld = true;
        return;
    }
    finish_append(append, 0);
}

static int io_append(struct raft_io *io, struct raft_io_append *request,
                     const struct raft_entry entries[], unsigned count,
                     raft_io_append_cb callback) {
    struct replica *replica = of_io(io);
    struct append *append = replica_allocate(sizeof *append);
    append->outer = request;
    append->callback = callback;
    append->replica = replica;
    append->generation = replica->truncations;
    append->begun_ms = clock_boottime_ms(replica->clock);
    replica->next_index += count;
    append->last_index = replica->next_index - 1;
    TAILQ_INSERT_TAIL(&replica->appends, append, link);
    int code = replica_is_mute(replica)
                   ? RAFT_CANCELED
                   : replica->disk.append(io, &append->request, entries, count, on_appended);
    if (code != 0) {
        append->withheld = true;
        if (!replica_is_mute(replica)) {
            append->refused = true;
            fail_disk(replica, "can't write the log", code);
        }
    }
    return 0;
}

/* Entries from `index` on go, because the leader's log has others there: the mark must not hold it
 * against us. */
static int io_truncate(struct raft_io *io, raft_index index) {
    struct replica *replica = of_io(io);
    if (index >= replica->next_index || replica_is_mute(replica)) {
        return 0;
    }
    replica->truncations++;
    replica->next_index = index;
    if (!mark_lower(&replica->mark, index - 1)) {
        replica_fail(replica, ERROR_IO, "data directory %s: can't write high-water: %s",
                     replica->storage.directory, strerror(errno));
        return 0;
    }
    int code = replica->disk.truncate(io, index);
    if (code != 0) {
        fail_disk(replica, "can't truncate the log", code);
    }
    return 0;
}

static void finish_put(struct replica *replica, int status) {
    struct raft_io_snapshot_put *outer = replica->put.outer;
    raft_io_snapshot_put_cb callback = replica->put.callback;
    memset(&replica->put, 0, sizeof replica->put);
    callback(outer, status);
}

static void on_snapshot_put(struct raft_io_snapshot_put *request, int status) {
    struct replica *replica = CONTAINER_OF(request, struct replica, put.request);
    if (replica->stop == STOP_CLOSING) {
        finish_put(replica, RAFT_CANCELED);
        return;
    }
    if (status != 0) {
        fail_disk(replica, "can't write a snapshot", status);
    } else if (replica->put.installs && !mark_raise(&replica->mark, replica->put.index)) {
        fail_disk(replica, "can't write high-water", RAFT_IOERR);
    }
    if (replica->failed) {
        replica->put.withheld = true;
        return;
    }
    LOG_EVENT(SNAPSHOT_STORED, LOG_U64("log_index", replica->put.index),
              LOG_U64("size_bytes", replica->put.size_bytes),
              LOG_BOOL("from_leader", replica->put.installs),
              LOG_U64("took_ms", clock_boottime_ms(replica->clock) - replica->put.begun_ms));
    finish_put(replica, 0);
}

static int io_snapshot_put(struct raft_io *io, unsigned trailing,
                           struct raft_io_snapshot_put *request,
                           const struct raft_snapshot *snapshot, raft_io_snapshot_put_cb callback) {
    struct replica *replica = of_io(io);
    assert(!replica->put.active);
    replica->put.outer = request;
    replica->put.callback = callback;
    replica->put.index = snapshot->index;
    replica->put.begun_ms = clock_boottime_ms(replica->clock);
    replica->put.installs = trailing == 0;
    replica->put.active = true;
    for (unsigned i = 0; i < snapshot->n_bufs; i++) {
        replica->put.size_bytes += snapshot->bufs[i].len;
    }
    if (replica_is_mute(replica)) {
        replica->put.withheld = true;
        return 0;
    }
    if (replica->put.installs) {
        replica->truncations++;
        replica->next_index = snapshot->index + 1;
        if (!mark_lower(&replica->mark, snapshot->index)) {
            fail_disk(replica, "can't write high-water", RAFT_IOERR);
            replica->put.withheld = true;
            return 0;
        }
    }
    int code =
        replica->disk.snapshot_put(io, trailing, &replica->put.request, snapshot, on_snapshot_put);
    if (code != 0) {
        fail_disk(replica, "can't write a snapshot", code);
        replica->put.withheld = true;
    }
    return 0;
}

/* When this fails the library frees what it never filled in; so it never hears of it. The request
 * is lost with the process, which ends.
 *
 * The library composed its message when it decided to send a snapshot, and what is read now may be
 * a newer one. Then it corrects the index in the message, and leaves the term as it was: a follower
 * that believed it would have a last entry of a term that it never had, against which votes and
 * logs are compared. From inside its callback it sends the message; io_send puts the term right. */
static void on_snapshot_got(struct raft_io_snapshot_get *request, struct raft_snapshot *snapshot,
                            int status) {
    struct snapshot_get *get = CONTAINER_OF(request, struct snapshot_get, request);
    struct replica *replica = get->replica;
    if (status != 0) {
        if (replica->stop != STOP_CLOSING) {
            fail_disk(replica, "can't read the own snapshot", status);
        }
    } else {
        replica->read_snapshot_index = snapshot->index;
        replica->read_snapshot_term = snapshot->term;
        get->callback(get->outer, snapshot, 0);
        replica->read_snapshot_index = 0;
    }
    free(get);
}

static int io_snapshot_get(struct raft_io *io, struct raft_io_snapshot_get *request,
                           raft_io_snapshot_get_cb callback) {
    struct snapshot_get *get = replica_allocate(sizeof *get);
    get->outer = request;
    get->callback = callback;
    get->replica = of_io(io);
    int code = get->replica->disk.snapshot_get(io, &get->request, on_snapshot_got);
    if (code != 0) {
        free(get);
    }
    return code;
}

static void release_loaded(struct raft_snapshot *snapshot, struct raft_entry *entries,
                           size_t count) {
    const void *last = NULL;
    for (size_t i = 0; i < count; i++) {
        if (entries[i].batch != last) {
            last = entries[i].batch;
            raft_free(entries[i].batch);
        }
    }
    raft_free(entries);
    if (snapshot != NULL) {
        raft_configuration_close(&snapshot->configuration);
        for (unsigned i = 0; i < snapshot->n_bufs; i++) {
            raft_free(snapshot->bufs[i].base);
        }
        raft_free(snapshot->bufs);
        raft_free(snapshot);
    }
}

/* What was loaded, held against what this node has vouched for. */
static enum error_code check_loaded(struct replica *replica, const struct raft_snapshot *snapshot,
                                    raft_index start_index, const struct raft_entry *entries,
                                    size_t count, struct error *error) {
    const char *directory = replica->storage.directory;
    if (snapshot == NULL && count == 0) {
        if (replica->storage.meta.origin == STORAGE_BOOTSTRAPPED || replica->mark.index > 0) {
            return error_set(error, ERROR_CORRUPT,
                             "the log in %s is gone: this node acknowledged entries up to %llu. "
                             "Let it join again, wiped and under a new name",
                             directory, (unsigned long long)replica->mark.index);
        }
        return ERROR_OK;
    }
    if (snapshot == NULL && (start_index != 1 || entries[0].type != RAFT_CHANGE)) {
        return error_set(error, ERROR_CORRUPT,
                         "the log in %s begins at %llu and its snapshot is gone: let this node "
                         "join again, wiped and under a new name",
                         directory, (unsigned long long)start_index);
    }
    raft_index last_index = start_index + count - 1;
    if (last_index < replica->mark.index) {
        return error_set(error, ERROR_CORRUPT,
                         "the log in %s ends at %llu but this node acknowledged entries up to "
                         "%llu: let it join again, wiped and under a new name",
                         directory, (unsigned long long)last_index,
                         (unsigned long long)replica->mark.index);
    }
    return ERROR_OK;
}

/* The library elects a sole voter without a new term; but a term must have one LEADER, also after a
 * restart. With nobody else to vote, taking the next one is safe. */
static int begin_term_of_sole_voter(struct replica *replica, raft_term *term, raft_id *voted_for) {
    if (replica->peer_count != 1 || *term == 0) {
        return 0;
    }
    *term += 1;
    *voted_for = 0;
    return replica->disk.set_term(&replica->io, *term);
}

static int io_load(struct raft_io *io, raft_term *term, raft_id *voted_for,
                   struct raft_snapshot **snapshot, raft_index *start_index,
                   struct raft_entry **entries, size_t *count) {
    struct replica *replica = of_io(io);
    int code = replica->disk.load(io, term, voted_for, snapshot, start_index, entries, count);
    if (code != 0) {
        return code;
    }
    if (check_loaded(replica, *snapshot, *start_index, *entries, *count, &replica->start_error) !=
        ERROR_OK) {
        release_loaded(*snapshot, *entries, *count);
        return RAFT_CORRUPT;
    }
    for (size_t i = 0; i < *count; i++) {
        if ((*entries)[i].type == RAFT_COMMAND) {
            replica_note_entry(replica, &(*entries)[i].buf);
        }
    }
    code = begin_term_of_sole_voter(replica, term, voted_for);
    if (code != 0) {
        release_loaded(*snapshot, *entries, *count);
        return code;
    }
    replica->next_index = *start_index + *count;
    return 0;
}

static void on_tick(struct raft_io *io) {
    struct replica *replica = of_io(io);
    if (!replica_is_mute(replica)) {
        replica->tick(io);
    }
}

static void on_raft_uv_message(struct raft_io *io, struct raft_message *message) {
    (void)io;
    (void)message;
    assert(false && "raft_uv has no connections");
}

/* The library is told of a heartbeat of 1 ms (replica.c), so that a leader whose followers are idle
 * sends a lone write at once instead of at the next tick. The real tick is given to raft_uv here.
 */
static int io_start(struct raft_io *io, unsigned interval_ms, raft_io_tick_cb tick,
                    raft_io_recv_cb receive) {
    static const struct peers_callbacks callbacks = {
        .fill_hello = replica_fill_hello,
        .check_hello = replica_check_hello,
        .on_refused = replica_on_refused,
        .on_link = replica_on_link,
        .on_message = replica_on_message,
    };
    struct replica *replica = of_io(io);
    (void)interval_ms;
    replica->tick = tick;
    replica->receive = receive;
    int code = replica->disk.start(io, replica->heartbeat_ms, on_tick, on_raft_uv_message);
    if (code != 0) {
        return code;
    }
    struct replica_transport *transport = replica->transport;
    return transport->start(transport, &callbacks, replica, &replica->start_error) == ERROR_OK
               ? 0
               : RAFT_IOERR;
}

static void finish_outgoing(struct outgoing *outgoing) {
    struct raft_io_send *request = outgoing->request;
    raft_io_send_cb callback = outgoing->callback;
    int status = outgoing->status;
    free(outgoing);
    callback(request, status);
}

static void on_sent(enum error_code code, void *context) {
    struct outgoing *outgoing = context;
    if (code != ERROR_OK) {
        outgoing->status = RAFT_NOCONNECTION;
        if (outgoing->snapshot_to != 0) {
            replica_find_peer(outgoing->replica, outgoing->snapshot_to)->snapshot_lost = true;
        }
    }
    if (--outgoing->parts_left == 0) {
        outgoing->replica->outgoing_count--;
        finish_outgoing(outgoing);
    }
}

/* In parts, since the entries of one message may be more than a frame holds; the link keeps them in
 * order, and each part stands for itself. */
static bool send_parts(struct replica *replica, const struct raft_message *message,
                       struct outgoing *outgoing) {
    struct replica_transport *transport = replica->transport;
    struct wire_part *part = &replica->part;
    enum peers_message type =
        message->type == RAFT_INSTALL_SNAPSHOT ? PEERS_MESSAGE_SNAPSHOT : PEERS_MESSAGE_RAFT;
    uint32_t entry_count =
        message->type == RAFT_APPEND_ENTRIES ? message->append_entries.n_entries : 0;
    uint32_t first = 0;
    do {
        if (!wire_encode(message, first, part)) {
            return false;
        }
        first += part->entry_count;
        outgoing->parts_left++;
        transport->send(transport, message->server_id, type, part->buffers, part->buffer_count,
                        on_sent, outgoing);
    } while (first < entry_count);
    return true;
}

/* The library answers a pre-vote in the term that it asks about (libraft 0.22.1,
 * recv_request_vote.c), also when its own is newer. So a candidate of an older term never hears of
 * the newer one; and when its log is the longest, nobody of the newer term can be elected either:
 * such a group has no leader for ever. Told, it goes on in the newer term. */
static void tell_term(const struct replica *replica, struct raft_message *message) {
    struct raft_request_vote_result *result = &message->request_vote_result;
    raft_term term = raft_current_term((struct raft *)&replica->raft);
    if (message->type == RAFT_REQUEST_VOTE_RESULT && result->pre_vote && !result->vote_granted &&
        result->term < term) {
        result->term = term;
    }
}

/* Never fails at once but for a snapshot while closing: the library would free the entries twice.
 */
static int io_send(struct raft_io *io, struct raft_io_send *request,
                   const struct raft_message *message, raft_io_send_cb callback) {
    struct replica *replica = of_io(io);
    if (replica->stop == STOP_CLOSING) {
        assert(message->type == RAFT_INSTALL_SNAPSHOT);
        return RAFT_CANCELED;
    }
    struct outgoing *outgoing = replica_allocate(sizeof *outgoing);
    outgoing->request = request;
    outgoing->callback = callback;
    outgoing->replica = replica;
    struct peer *peer = replica_find_peer(replica, message->server_id);
    struct raft_message corrected = *message;
    if (message->type == RAFT_INSTALL_SNAPSHOT && replica->read_snapshot_index != 0) {
        assert(message->install_snapshot.last_index == replica->read_snapshot_index);
        corrected.install_snapshot.last_term = replica->read_snapshot_term;
    }
    tell_term(replica, &corrected);
    if (message->type == RAFT_INSTALL_SNAPSHOT && peer != NULL) {
        outgoing->snapshot_to = message->server_id;
        peer->snapshot_sent_ms = clock_boottime_ms(replica->clock);
    }
    if (replica->failed) {
        outgoing->status = RAFT_CANCELED;
    } else if (!send_parts(replica, &corrected, outgoing)) {
        LOG_EVENT(RAFT_MESSAGE_TOO_BIG, LOG_U64("type", (uint64_t)message->type),
                  LOG_U64("to", message->server_id));
        outgoing->status = RAFT_TOOBIG;
    }
    if (outgoing->parts_left == 0) {
        TAILQ_INSERT_TAIL(&replica->unsent, outgoing, link);
        replica_wake(replica);
    } else {
        replica->outgoing_count++;
    }
    return 0;
}

void replica_io_complete_unsent(struct replica *replica) {
    struct outgoing *outgoing;
    while ((outgoing = TAILQ_FIRST(&replica->unsent)) != NULL) {
        TAILQ_REMOVE(&replica->unsent, outgoing, link);
        finish_outgoing(outgoing);
    }
}

void replica_io_free_refused(struct replica *replica) {
    struct append *append;
    while ((append = TAILQ_FIRST(&replica->refused)) != NULL) {
        TAILQ_REMOVE(&replica->refused, append, link);
        free(append);
    }
}

/* All that still waits comes back as cancelled; then raft_uv may close. */
static void on_transport_closed(void *context) {
    struct replica *replica = context;
    struct append *append;
    struct append *next;
    assert(replica->outgoing_count == 0);
    replica_io_complete_unsent(replica);
    for (append = TAILQ_FIRST(&replica->appends); append != NULL; append = next) {
        next = TAILQ_NEXT(append, link);
        if (append->withheld) {
            finish_append(append, RAFT_CANCELED);
        }
    }
    if (replica->put.withheld) {
        finish_put(replica, RAFT_CANCELED);
    }
    replica->disk.close(&replica->io, replica->io_closed);
}

static void io_close(struct raft_io *io, raft_io_close_cb callback) {
    struct replica *replica = of_io(io);
    assert(replica->stop == STOP_CLOSING);
    replica->io_closed = callback;
    replica_drop_held(replica);
    replica->transport->close(replica->transport, on_transport_closed, replica);
}

void replica_io_override(struct replica *replica) {
    struct raft_io *io = &replica->io;
    replica->disk = (struct disk_calls){
        .close = io->close,
        .load = io->load,
        .start = io->start,
        .set_term = io->set_term,
        .set_vote = io->set_vote,
        .append = io->append,
        .truncate = io->truncate,
        .snapshot_put = io->snapshot_put,
        .snapshot_get = io->snapshot_get,
    };
    io->close = io_close;
    io->load = io_load;
    io->start = io_start;
    io->set_term = io_set_term;
    io->set_vote = io_set_vote;
    io->append = io_append;
    io->truncate = io_truncate;
    io->send = io_send;
    io->snapshot_put = io_snapshot_put;
    io->snapshot_get = io_snapshot_get;
}

static int no_init(struct raft_uv_transport *transport, raft_id id, const char *address) {
    (void)transport;
    (void)id;
    (void)address;
    return 0;
}

static int no_listen(struct raft_uv_transport *transport, raft_uv_accept_cb callback) {
    (void)transport;
    (void)callback;
    return 0;
}

static int no_connect(struct raft_uv_transport *transport, struct raft_uv_connect *request,
                      raft_id id, const char *address, raft_uv_connect_cb callback) {
    (void)transport;
    (void)request;
    (void)id;
    (void)address;
    (void)callback;
    return RAFT_NOCONNECTION;
}

static void no_close(struct raft_uv_transport *transport, raft_uv_transport_close_cb callback) {
    callback(transport);
}

void replica_no_transport_init(struct raft_uv_transport *transport) {
    *transport = (struct raft_uv_transport){
        .version = 1,
        .init = no_init,
        .listen = no_listen,
        .connect = no_connect,
        .close = no_close,
    };
}
