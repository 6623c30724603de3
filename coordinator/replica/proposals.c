/* What callers ask of the log: commands and linearizable reads. All of one turn of the loop share
 * an entry; each is answered exactly once, from the loop. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "codec/command_codec.h"
#include "entry.h"
#include "replica_private.h"

_Static_assert(REPLICA_COMMAND_BYTES_MAX + ENTRY_HEAD_BYTES + 64 <= WIRE_ENTRY_BYTES_MAX,
               "the largest command fits into an entry that a message may carry");

static void finish_proposal(struct replica *replica, struct proposal *proposal,
                            enum error_code code) {
    proposal->code = code;
    TAILQ_INSERT_TAIL(&replica->done, proposal, link);
    replica_wake(replica);
}

static void propose(struct replica *replica, const struct command *command, bool internal,
                    replica_proposed_cb callback, void *context) {
    struct proposal *proposal = replica_allocate(sizeof *proposal);
    struct error error;
    proposal->callback = callback;
    proposal->context = context;
    proposal->internal = internal;
    proposal->term = replica->leadership.term;
    proposal->proposed_ms = clock_boottime_ms(replica->clock);
    buffer_init(&proposal->bytes, REPLICA_COMMAND_BYTES_MAX);
    *(internal ? &replica->internal_count : &replica->pending_count) += 1;
    if (replica_is_mute(replica) || replica->stop != STOP_NO ||
        (!internal && replica->leadership.phase != LEADERSHIP_ANNOUNCED) ||
        replica->transfer_phase != TRANSFER_NONE) {
        finish_proposal(replica, proposal, ERROR_NOT_LEADER);
        return;
    }
    if (replica->pending_count > REPLICA_PENDING_MAX) {
        finish_proposal(replica, proposal, ERROR_LIMIT);
        return;
    }
    struct command copy = *command;
    const struct command *commands[] = {&copy};
    copy.term = proposal->term;
    enum error_code code = codec_encode_batch(commands, 1, &proposal->bytes, &error);
    if (code != ERROR_OK) {
        LOG_EVENT(PROPOSAL_INVALID, LOG_TEXT("kind", command_kind_text(command->kind)),
                  LOG_TEXT("why", error.message));
        finish_proposal(replica, proposal,
                        code == ERROR_LIMIT       ? ERROR_LIMIT
                        : code == ERROR_NO_MEMORY ? ERROR_UNAVAILABLE
                                                  : ERROR_INVALID);
        return;
    }
    TAILQ_INSERT_TAIL(&replica->queued, proposal, link);
    replica_wake(replica);
}

void replica_propose(struct replica *replica, const struct command *command,
                     replica_proposed_cb callback, void *context) {
    propose(replica, command, false, callback, context);
}

void replica_propose_internal(struct replica *replica, const struct command *command,
                              replica_proposed_cb callback, void *context) {
    propose(replica, command, true, callback, context);
}

struct batch *replica_find_batch(struct replica *replica, uint64_t proposer, uint64_t number) {
    struct batch *batch;
    if (proposer != replica->proposer) {
        return NULL;
    }
    TAILQ_FOREACH(batch, &replica->batches, link) {
        if (batch->number == number) {
            return batch;
        }
    }
    return NULL;
}

static void finish_batch(struct replica *replica, struct batch *batch) {
    struct proposal *proposal;
    while ((proposal = TAILQ_FIRST(&batch->proposals)) != NULL) {
        TAILQ_REMOVE(&batch->proposals, proposal, link);
        finish_proposal(replica, proposal, batch->applied ? ERROR_OK : ERROR_UNKNOWN);
    }
}

/* The library's answer: applied, or leadership was lost before it knew. Where we have seen the
 * entry applied after all, that is the better answer. */
static void on_batch_done(struct raft_apply *request, int status, void *result) {
    struct batch *batch = CONTAINER_OF(request, struct batch, request);
    struct replica *replica = batch->replica;
    (void)status;
    (void)result;
    TAILQ_REMOVE(&replica->batches, batch, link);
    finish_batch(replica, batch);
    free(batch);
}

/* Moves what fits into one entry from the queue to the batch; its commands' bytes. */
static size_t fill_batch(struct replica *replica, struct batch *batch, uint32_t *ret_count) {
    struct proposal *proposal;
    size_t size_bytes = 0;
    uint32_t count = 0;
    while ((proposal = TAILQ_FIRST(&replica->queued)) != NULL &&
           count < REPLICA_BATCH_COMMAND_MAX &&
           (count == 0 || size_bytes + proposal->bytes.size_bytes <= REPLICA_BATCH_BYTES_MAX)) {
        TAILQ_REMOVE(&replica->queued, proposal, link);
        TAILQ_INSERT_TAIL(&batch->proposals, proposal, link);
        size_bytes += proposal->bytes.size_bytes;
        count++;
    }
    *ret_count = count;
    return size_bytes;
}

/* The entry, in the library's memory; a base of NULL: there was none. */
static struct raft_buffer encode_entry(struct replica *replica, struct batch *batch) {
    struct entry_writer writer;
    struct proposal *proposal;
    uint32_t count = 0;
    size_t command_bytes = fill_batch(replica, batch, &count);
    struct raft_buffer entry = {NULL, entry_size_bytes(count, command_bytes)};
    const struct entry_head head = {count, replica->proposer, batch->number};
    entry.base = malloc(entry.len);
    if (entry.base == NULL) {
        return entry;
    }
    entry_write_head(&writer, entry.base, entry.len, &head);
    TAILQ_FOREACH(proposal, &batch->proposals, link) {
        entry_write_command(&writer, proposal->bytes.data, proposal->bytes.size_bytes);
        buffer_finish(&proposal->bytes);
    }
    return entry;
}

static void submit_batch(struct replica *replica) {
    struct batch *batch = replica_allocate(sizeof *batch);
    batch->replica = replica;
    batch->number = ++replica->batch_count;
    batch->term = replica->leadership.term;
    TAILQ_INIT(&batch->proposals);
    struct raft_buffer entry = encode_entry(replica, batch);
    TAILQ_INSERT_TAIL(&replica->batches, batch, link);
    int code = entry.base == NULL
                   ? RAFT_NOMEM
                   : raft_apply(&replica->raft, &batch->request, &entry, 1, on_batch_done);
    if (code == 0) {
        return;
    }
    /* The library has refused it: it is in nobody's log. */
    free(entry.base);
    struct proposal *proposal;
    TAILQ_REMOVE(&replica->batches, batch, link);
    while ((proposal = TAILQ_FIRST(&batch->proposals)) != NULL) {
        TAILQ_REMOVE(&batch->proposals, proposal, link);
        finish_proposal(replica, proposal,
                        code == RAFT_NOTLEADER ? ERROR_NOT_LEADER : ERROR_UNAVAILABLE);
    }
    free(batch);
    LOG_EVENT(PROPOSAL_REFUSED, LOG_TEXT("why", raft_strerror(code)));
}

void replica_barrier(struct replica *replica, replica_barrier_cb callback, void *context) {
    struct reader *reader = replica_allocate(sizeof *reader);
    reader->callback = callback;
    reader->context = context;
    if (replica_is_mute(replica) || replica->stop != STOP_NO ||
        replica->transfer_phase != TRANSFER_NONE ||
        replica->leadership.phase != LEADERSHIP_ANNOUNCED) {
        reader->code = ERROR_NOT_LEADER;
        TAILQ_INSERT_TAIL(&replica->read, reader, link);
    } else {
        TAILQ_INSERT_TAIL(&replica->waiting, reader, link);
    }
    replica_wake(replica);
}

static void finish_readers(struct replica *replica, struct reader_list *readers,
                           enum error_code code) {
    struct reader *reader;
    while ((reader = TAILQ_FIRST(readers)) != NULL) {
        TAILQ_REMOVE(readers, reader, link);
        reader->code = code;
        TAILQ_INSERT_TAIL(&replica->read, reader, link);
        replica_wake(replica);
    }
}

static void on_barrier_done(struct raft_barrier *request, int status) {
    struct barrier *barrier = CONTAINER_OF(request, struct barrier, request);
    struct replica *replica = barrier->replica;
    TAILQ_REMOVE(&replica->barriers, barrier, link);
    finish_readers(replica, &barrier->readers,
                   status == 0 && !replica->failed ? ERROR_OK : ERROR_UNKNOWN);
    free(barrier);
}

/* All readers of this turn share one barrier entry. */
static void submit_barrier(struct replica *replica) {
    struct barrier *barrier = replica_allocate(sizeof *barrier);
    barrier->replica = replica;
    TAILQ_INIT(&barrier->readers);
    TAILQ_CONCAT(&barrier->readers, &replica->waiting, link);
    TAILQ_INSERT_TAIL(&replica->barriers, barrier, link);
    int code = raft_barrier(&replica->raft, &barrier->request, on_barrier_done);
    if (code != 0) {
        TAILQ_REMOVE(&replica->barriers, barrier, link);
        finish_readers(replica, &barrier->readers,
                       code == RAFT_NOTLEADER ? ERROR_NOT_LEADER : ERROR_UNAVAILABLE);
        free(barrier);
    }
}

/* Not proposed, and never will be. */
void replica_cancel_queued(struct replica *replica) {
    struct proposal *proposal;
    while ((proposal = TAILQ_FIRST(&replica->queued)) != NULL) {
        TAILQ_REMOVE(&replica->queued, proposal, link);
        finish_proposal(replica, proposal, ERROR_NOT_LEADER);
    }
    finish_readers(replica, &replica->waiting, ERROR_NOT_LEADER);
}

/* The library keeps the requests until it is closed; their callers needn't wait for that. */
void replica_abandon(struct replica *replica) {
    struct batch *batch;
    struct barrier *barrier;
    replica_cancel_queued(replica);
    TAILQ_FOREACH(batch, &replica->batches, link) {
        finish_batch(replica, batch);
    }
    TAILQ_FOREACH(barrier, &replica->barriers, link) {
        finish_readers(replica, &barrier->readers, ERROR_UNKNOWN);
    }
    replica_abandon_transfer(replica);
    replica_abandon_change(replica);
}

void replica_flush(struct replica *replica) {
    if (TAILQ_EMPTY(&replica->queued) && TAILQ_EMPTY(&replica->waiting)) {
        return;
    }
    if (replica_is_mute(replica) || raft_state(&replica->raft) != RAFT_LEADER ||
        raft_current_term(&replica->raft) != replica->leadership.term ||
        raft_transferee(&replica->raft) != 0) {
        replica_cancel_queued(replica);
        return;
    }
    while (!TAILQ_EMPTY(&replica->queued)) {
        submit_batch(replica);
    }
    if (!TAILQ_EMPTY(&replica->waiting)) {
        submit_barrier(replica);
    }
}

/* Calls back whatever is done. Callbacks may ask for more: that waits for the next turn. */
void replica_complete(struct replica *replica) {
    struct proposal_list done = TAILQ_HEAD_INITIALIZER(done);
    struct reader_list read = TAILQ_HEAD_INITIALIZER(read);
    struct proposal *proposal;
    struct reader *reader;
    TAILQ_CONCAT(&done, &replica->done, link);
    TAILQ_CONCAT(&read, &replica->read, link);
    while ((proposal = TAILQ_FIRST(&done)) != NULL) {
        TAILQ_REMOVE(&done, proposal, link);
        *(proposal->internal ? &replica->internal_count : &replica->pending_count) -= 1;
        if (proposal->callback != NULL) {
            proposal->callback(proposal->context, proposal->code, proposal->result,
                               proposal->index);
        }
        buffer_finish(&proposal->bytes);
        free(proposal);
    }
    while ((reader = TAILQ_FIRST(&read)) != NULL) {
        TAILQ_REMOVE(&read, reader, link);
        reader->callback(reader->context, reader->code);
        free(reader);
    }
    replica_complete_transfer(replica);
    replica_complete_change(replica);
}
