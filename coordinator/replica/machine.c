/* libraft's state machine. Nothing here returns an error to the library, which would assert, or
 * (restore in mid-life) go on as if nothing had happened: a replica that can't apply falls mute. */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "codec/command_codec.h"
#include "codec/state_codec.h"
#include "entry.h"
#include "replica_private.h"

static struct replica *of_machine(struct raft_fsm *fsm) {
    return CONTAINER_OF(fsm, struct replica, fsm);
}

static void fail_entry(struct replica *replica, const struct error *error) {
    uint64_t log_index = raft_last_applied(&replica->raft) + 1;
    if (error->code == ERROR_UNSUPPORTED) {
        replica_fail(replica, ERROR_UNSUPPORTED,
                     "log entry %" PRIu64 " was written by a newer version (%s): upgrade this node",
                     log_index, error->message);
    } else if (error->code == ERROR_NO_MEMORY) {
        replica_fail(replica, ERROR_NO_MEMORY,
                     "log entry %" PRIu64 " can't be applied for want of memory: start this node "
                     "again, with more",
                     log_index);
    } else {
        replica_fail(replica, ERROR_CORRUPT,
                     "log entry %" PRIu64 " can't be applied (%s): let this node join again, wiped "
                     "and under a new name",
                     log_index, error->message);
    }
}

/* Beyond that level core can't follow: applied here it would only be refused, and from then on this
 * node's state would be another one than everybody's. */
static enum error_code check_level(const struct replica *replica, const struct command *command,
                                   struct error *error) {
    uint32_t level = command->kind == COMMAND_FEATURE ? command->feature.level : 0;
    return level <= replica->feature_level
               ? ERROR_OK
               : error_set(error, ERROR_UNSUPPORTED,
                           "feature level %" PRIu32 " is above this version's %" PRIu32, level,
                           replica->feature_level);
}

/* Gives one command to core, and its answer to whoever proposed it. */
static void apply_command(struct replica *replica, const struct command *command,
                          struct batch *batch, struct proposal **proposal) {
    uint64_t index = replica->state->applied_index + 1;
    replica->has_content = true;
    enum core_error result = state_apply(replica->state, index, command);
    assert(replica->state->applied_index == index);
    uint64_t proposed_ms = 0;
    if (*proposal != NULL) {
        (*proposal)->code = ERROR_OK;
        (*proposal)->result = result;
        (*proposal)->index = index;
        if (replica->leadership.phase != LEADERSHIP_NONE &&
            batch->term == replica->leadership.term) {
            proposed_ms = (*proposal)->proposed_ms;
        }
        *proposal = TAILQ_NEXT(*proposal, link);
    }
    if (command->kind == COMMAND_NODES) {
        replica_check_own_storage(replica);
    }
    if (command->kind == COMMAND_LEADER) {
        replica_on_leader_applied(replica, command, result);
    }
    if (replica->callbacks.on_applied != NULL) {
        replica->callbacks.on_applied(replica->callbacks.context, index, command, result,
                                      proposed_ms);
    }
}

static enum error_code apply_entry(struct replica *replica, const struct raft_buffer *entry,
                                   struct error *error) {
    struct entry_reader reader;
    enum error_code code = entry_read_head(&reader, entry->base, entry->len, error);
    if (code != ERROR_OK) {
        return code;
    }
    struct batch *batch = replica_find_batch(replica, reader.head.proposer, reader.head.batch);
    struct proposal *proposal = batch != NULL ? TAILQ_FIRST(&batch->proposals) : NULL;
    for (uint32_t i = 0; code == ERROR_OK && i < reader.head.count; i++) {
        const void *bytes = NULL;
        size_t size_bytes = 0;
        struct command_batch commands = {0};
        code = entry_read_command(&reader, &bytes, &size_bytes, error);
        if (code == ERROR_OK) {
            code = codec_decode_batch(bytes, size_bytes, &commands, error);
        }
        for (uint32_t j = 0; code == ERROR_OK && j < commands.count; j++) {
            code = check_level(replica, commands.commands[j], error);
            if (code == ERROR_OK) {
                apply_command(replica, commands.commands[j], batch, &proposal);
            }
        }
        codec_batch_finish(&commands);
    }
    if (batch != NULL && code == ERROR_OK) {
        batch->applied = true;
    }
    return code;
}

/* What can't be read is told when it is applied. */
void replica_note_entry(struct replica *replica, const struct raft_buffer *entry) {
    struct entry_reader reader;
    struct error error;
    enum error_code code = entry_read_head(&reader, entry->base, entry->len, &error);
    for (uint32_t i = 0; code == ERROR_OK && i < reader.head.count; i++) {
        const void *bytes = NULL;
        size_t size_bytes = 0;
        struct command_batch commands = {0};
        code = entry_read_command(&reader, &bytes, &size_bytes, &error);
        if (code == ERROR_OK) {
            code = codec_decode_batch(bytes, size_bytes, &commands, &error);
        }
        for (uint32_t j = 0; code == ERROR_OK && j < commands.count; j++) {
            replica_note_storage(replica, commands.commands[j]);
        }
        codec_batch_finish(&commands);
    }
}

static int machine_apply(struct raft_fsm *fsm, const struct raft_buffer *entry, void **result) {
    struct replica *replica = of_machine(fsm);
    struct error error;
    *result = NULL;
    if (replica_is_mute(replica)) {
        return 0;
    }
    /* Leadership may be over without anybody having looked yet. */
    replica_observe(replica);
    if (apply_entry(replica, entry, &error) != ERROR_OK) {
        fail_entry(replica, &error);
    }
    return 0;
}

static int machine_snapshot(struct raft_fsm *fsm, struct raft_buffer **bufs, unsigned *count) {
    struct replica *replica = of_machine(fsm);
    struct error error;
    struct buffer bytes;
    uint64_t log_index = raft_commit_index(&replica->raft);
    /* The library asks again after each step: not for nothing. */
    if (replica_is_mute(replica) || log_index < replica->snapshot_retry_index) {
        return RAFT_BUSY;
    }
    /* A change of the members that was just applied counts as committed only a step later (libraft
     * 0.22.1, legacy.c): a snapshot taken in between would hold the members from before it. */
    raft_index change_index = replica->raft.configuration_uncommitted_index;
    if (change_index != 0 && change_index <= log_index) {
        return RAFT_BUSY;
    }
    /* And one that counts as committed ahead of the commit index (guards.c): it would hold the
     * members from after it. */
    if (replica->raft.configuration_committed_index > log_index) {
        return RAFT_BUSY;
    }
    int code = 0;
    buffer_init(&bytes, REPLICA_SNAPSHOT_BYTES_MAX);
    if (codec_encode_state(replica->state, &bytes, &error) != ERROR_OK) {
        LOG_EVENT(SNAPSHOT_FAILED, LOG_U64("log_index", log_index), LOG_TEXT("why", error.message));
        replica->snapshot_retry_index = log_index + replica->snapshot_threshold;
        code = RAFT_INVALID;
        goto cleanup;
    }
    struct raft_buffer *array = malloc(sizeof *array);
    void *copy = malloc(bytes.size_bytes);
    if (array == NULL || copy == NULL) {
        free(array);
        free(copy);
        code = RAFT_NOMEM;
        goto cleanup;
    }
    memcpy(copy, bytes.data, bytes.size_bytes);
    *array = (struct raft_buffer){copy, bytes.size_bytes};
    *bufs = array;
    *count = 1;
cleanup:
    buffer_finish(&bytes);
    return code;
}

/* At the start, and in mid-life when the leader sends what our log lacks. */
static int machine_restore(struct raft_fsm *fsm, struct raft_buffer *snapshot) {
    struct replica *replica = of_machine(fsm);
    struct error error;
    if (replica_is_mute(replica)) {
        raft_free(snapshot->base);
        return 0;
    }
    replica_observe(replica);
    bool is_new = !replica->has_content;
    replica->has_content = true;
    if (codec_decode_state(snapshot->base, snapshot->len, replica->state, is_new, &error) !=
        ERROR_OK) {
        if (error.code == ERROR_UNSUPPORTED) {
            replica_fail(replica, ERROR_UNSUPPORTED,
                         "the snapshot was written by a newer version (%s): upgrade this node",
                         error.message);
        } else if (error.code == ERROR_NO_MEMORY) {
            replica_fail(replica, ERROR_NO_MEMORY,
                         "the snapshot can't be read for want of memory: start this node again, "
                         "with more");
        } else {
            replica_fail(replica, ERROR_CORRUPT,
                         "the snapshot can't be read (%s): let this node join again, wiped and "
                         "under a new name",
                         error.message);
        }
    } else {
        replica->has_digest = false;
        LOG_EVENT(SNAPSHOT_RESTORED, LOG_U64("index", replica->state->applied_index),
                  LOG_U64("size_bytes", snapshot->len));
        replica_check_own_storage(replica);
        if (replica->callbacks.on_restored != NULL) {
            replica->callbacks.on_restored(replica->callbacks.context);
        }
    }
    raft_free(snapshot->base);
    return 0;
}

void replica_machine_init(struct replica *replica) {
    replica->fsm = (struct raft_fsm){
        .version = 1,
        .data = replica,
        .apply = machine_apply,
        .snapshot = machine_snapshot,
        .restore = machine_restore,
    };
}

void replica_digest(struct replica *replica, uint64_t *ret_index, uint8_t digest[32]) {
    if (!replica->has_digest || replica->digest_index != replica->state->applied_index) {
        codec_state_digest(replica->state, replica->digest);
        replica->digest_index = replica->state->applied_index;
        replica->has_digest = true;
    }
    *ret_index = replica->digest_index;
    memcpy(digest, replica->digest, sizeof replica->digest);
}

const struct state *replica_state(const struct replica *replica) {
    return replica->state;
}
