/* All numbers big-endian.
 *
 *   head          format u8 (1), type u8 (raft_message_type), version u8, flags u8
 *   vote          term, candidate, last_index, last_term: u64 each; flags 1 disrupt, 2 pre-vote
 *   vote result   term u64, features u16, capacity u16; flags 1 granted, 2 pre-vote
 *   append        term, prev_index, prev_term, commit: u64 each; count u32;
 *                 count times: term u64, size u32, type u8; then the entries' data
 *   append result term, rejected, last_index: u64 each; features u16, capacity u16
 *   snapshot      term, last_index, last_term, conf_index: u64 each; conf size u32, data size u32;
 *                 the configuration as the library encodes it; the data
 *   timeout now   term, last_index, last_term: u64 each
 *
 * The whole size must be exact. `version` is the library's own of that message. */
#include "wire.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/limits.h"

#define FLAG_DISRUPT 1
#define FLAG_GRANTED 1
#define FLAG_PRE_VOTE 2
#define HEAD_BYTES 4
#define ENTRY_HEAD_BYTES 13
#define APPEND_HEAD_BYTES (HEAD_BYTES + 4 * 8 + 4)
#define VERSION_MAX 8 /* the library counts single steps; it knows 1 and 2 today */

static void put_u16(struct buffer *to, uint16_t value) {
    uint8_t bytes[2] = {(uint8_t)(value >> 8), (uint8_t)value};
    (void)buffer_append(to, bytes, sizeof bytes);
}

static void put_u32(struct buffer *to, uint32_t value) {
    put_u16(to, (uint16_t)(value >> 16));
    put_u16(to, (uint16_t)value);
}

static void put_u64(struct buffer *to, uint64_t value) {
    put_u32(to, (uint32_t)(value >> 32));
    put_u32(to, (uint32_t)value);
}

static void put_head(struct buffer *to, const struct raft_message *message, uint8_t version,
                     uint8_t flags) {
    uint8_t bytes[HEAD_BYTES] = {WIRE_FORMAT, (uint8_t)message->type, version, flags};
    (void)buffer_append(to, bytes, sizeof bytes);
}

static void put_data(struct wire_part *part, const struct raft_buffer *data) {
    if (data->len > 0) {
        part->buffers[part->buffer_count++] = uv_buf_init(data->base, (unsigned)data->len);
    }
}

static bool encode_append(const struct raft_message *message, uint32_t first,
                          struct wire_part *part) {
    const struct raft_append_entries *args = &message->append_entries;
    assert(first <= args->n_entries);
    size_t size_bytes = APPEND_HEAD_BYTES;
    uint32_t count = 0;
    while (first + count < args->n_entries && count < WIRE_ENTRY_MAX) {
        size_t entry_bytes = args->entries[first + count].buf.len;
        if (entry_bytes > WIRE_ENTRY_BYTES_MAX) {
            return false;
        }
        if (size_bytes + ENTRY_HEAD_BYTES + entry_bytes > WIRE_MESSAGE_BYTES_MAX) {
            break;
        }
        size_bytes += ENTRY_HEAD_BYTES + entry_bytes;
        count++;
    }
    struct buffer *head = &part->head;
    put_head(head, message, args->version, 0);
    put_u64(head, args->term);
    put_u64(head, args->prev_log_index + first);
    put_u64(head, first == 0 ? args->prev_log_term : args->entries[first - 1].term);
    put_u64(head, args->leader_commit);
    put_u32(head, count);
    for (uint32_t i = 0; i < count; i++) {
        const struct raft_entry *entry = &args->entries[first + i];
        uint8_t type = (uint8_t)entry->type;
        put_u64(head, entry->term);
        put_u32(head, (uint32_t)entry->buf.len);
        (void)buffer_append(head, &type, 1);
        put_data(part, &entry->buf);
    }
    part->entry_count = count;
    return true;
}

static bool encode_snapshot(const struct raft_message *message, struct wire_part *part) {
    const struct raft_install_snapshot *args = &message->install_snapshot;
    struct raft_buffer configuration;
    if (args->data.len > UINT32_MAX || args->conf.n == 0 ||
        raft_configuration_encode(&args->conf, &configuration) != 0) {
        return false;
    }
    struct buffer *head = &part->head;
    put_head(head, message, args->version, 0);
    put_u64(head, args->term);
    put_u64(head, args->last_index);
    put_u64(head, args->last_term);
    put_u64(head, args->conf_index);
    put_u32(head, (uint32_t)configuration.len);
    put_u32(head, (uint32_t)args->data.len);
    (void)buffer_append(head, configuration.base, configuration.len);
    raft_free(configuration.base);
    put_data(part, &args->data);
    return true;
}

static void encode_vote(const struct raft_message *message, struct buffer *head) {
    const struct raft_request_vote *args = &message->request_vote;
    put_head(head, message, args->version,
             (args->disrupt_leader ? FLAG_DISRUPT : 0) | (args->pre_vote ? FLAG_PRE_VOTE : 0));
    put_u64(head, args->term);
    put_u64(head, args->candidate_id);
    put_u64(head, args->last_log_index);
    put_u64(head, args->last_log_term);
}

static void encode_vote_result(const struct raft_message *message, struct buffer *head) {
    const struct raft_request_vote_result *args = &message->request_vote_result;
    put_head(head, message, args->version,
             (args->vote_granted ? FLAG_GRANTED : 0) | (args->pre_vote ? FLAG_PRE_VOTE : 0));
    put_u64(head, args->term);
    put_u16(head, args->features);
    put_u16(head, args->capacity);
}

/* To a sender of an older term libraft answers without setting last_log_index (0.22.1). That one
 * steps down by the answer's term and never looks at it; it has to get the answer, though. */
static void encode_append_result(const struct raft_message *message, struct buffer *head) {
    const struct raft_append_entries_result *args = &message->append_entries_result;
    raft_index last = args->last_log_index <= WIRE_INDEX_MAX ? args->last_log_index : 0;
    put_head(head, message, args->version, 0);
    put_u64(head, args->term);
    put_u64(head, args->rejected);
    put_u64(head, last);
    put_u16(head, args->features);
    put_u16(head, args->capacity);
}

bool wire_encode(const struct raft_message *message, uint32_t first, struct wire_part *ret_part) {
    struct buffer *head = &ret_part->head;
    buffer_clear(head);
    ret_part->buffer_count = 1;
    ret_part->entry_count = 0;
    bool known = true;
    switch (message->type) {
    case RAFT_REQUEST_VOTE:
        encode_vote(message, head);
        break;
    case RAFT_REQUEST_VOTE_RESULT:
        encode_vote_result(message, head);
        break;
    case RAFT_APPEND_ENTRIES:
        known = encode_append(message, first, ret_part);
        break;
    case RAFT_APPEND_ENTRIES_RESULT:
        encode_append_result(message, head);
        break;
    case RAFT_INSTALL_SNAPSHOT:
        known = encode_snapshot(message, ret_part);
        break;
    case RAFT_TIMEOUT_NOW:
        put_head(head, message, message->timeout_now.version, 0);
        put_u64(head, message->timeout_now.term);
        put_u64(head, message->timeout_now.last_log_index);
        put_u64(head, message->timeout_now.last_log_term);
        break;
    default:
        known = false;
        break;
    }
    if (!known || head->failed) {
        return false;
    }
    ret_part->buffers[0] = uv_buf_init(head->data, (unsigned)head->size_bytes);
    return true;
}

/* What is left to read. A read beyond the end gives 0 and is remembered. */
struct reader {
    const uint8_t *at;
    size_t left_bytes;
    bool failed;
};

static const uint8_t *take(struct reader *reader, size_t size_bytes) {
    if (reader->failed || reader->left_bytes < size_bytes) {
        reader->failed = true;
        return NULL;
    }
    const uint8_t *at = reader->at;
    reader->at += size_bytes;
    reader->left_bytes -= size_bytes;
    return at;
}

static uint64_t take_number(struct reader *reader, size_t size_bytes) {
    const uint8_t *at = take(reader, size_bytes);
    uint64_t value = 0;
    for (size_t i = 0; at != NULL && i < size_bytes; i++) {
        value = value << 8 | at[i];
    }
    return value;
}

/* A term or log index. */
static uint64_t take_count(struct reader *reader) {
    uint64_t value = take_number(reader, 8);
    if (value > WIRE_INDEX_MAX) {
        reader->failed = true;
    }
    return value;
}

static uint64_t take_little_endian(struct reader *reader, size_t size_bytes) {
    const uint8_t *at = take(reader, size_bytes);
    uint64_t value = 0;
    for (size_t i = size_bytes; at != NULL && i > 0; i--) {
        value = value << 8 | at[i - 1];
    }
    return value;
}

/* The library's format: 1 u8; count u64; count times: id u64, address with its NUL, role u8; zeros
 * up to a multiple of 8. Its numbers are little-endian. */
bool wire_configuration_is_valid(const uint8_t *bytes, size_t size_bytes) {
    struct reader reader = {bytes, size_bytes, false};
    uint64_t ids[NODE_MAX];
    if (size_bytes % 8 != 0 || take_number(&reader, 1) != 1) {
        return false;
    }
    uint64_t count = take_little_endian(&reader, 8);
    if (count == 0 || count > NODE_MAX) {
        return false;
    }
    for (uint64_t i = 0; i < count && !reader.failed; i++) {
        ids[i] = take_little_endian(&reader, 8);
        const uint8_t *end = memchr(reader.at, '\0', reader.left_bytes);
        if (ids[i] == 0 || end == NULL || end == reader.at ||
            (size_t)(end - reader.at) > WIRE_ADDRESS_MAX) {
            return false;
        }
        (void)take(&reader, (size_t)(end - reader.at) + 1);
        if (take_number(&reader, 1) > RAFT_SPARE) {
            return false;
        }
        for (uint64_t j = 0; j < i; j++) {
            if (ids[j] == ids[i]) {
                return false;
            }
        }
    }
    if (reader.failed || reader.left_bytes >= 8) {
        return false;
    }
    while (reader.left_bytes > 0) {
        if (take_number(&reader, 1) != 0) {
            return false;
        }
    }
    return true;
}

static enum error_code broken(struct error *error, const char *what) {
    return error_set(error, ERROR_PROTOCOL, "Raft message: %s", what);
}

/* Fills entries' heads and returns the size of their data, or reader->failed. */
static size_t decode_entry_heads(struct reader *reader, struct raft_append_entries *args) {
    size_t data_bytes = 0;
    uint64_t least_term = args->prev_log_term;
    for (unsigned i = 0; i < args->n_entries; i++) {
        struct raft_entry *entry = &args->entries[i];
        entry->term = take_count(reader);
        entry->buf.len = (size_t)take_number(reader, 4);
        entry->type = (enum raft_entry_type)take_number(reader, 1);
        /* Terms never go back in a log, nor beyond the sender's. */
        if (reader->failed || entry->term == 0 || entry->term < least_term ||
            entry->term > args->term || entry->type < RAFT_COMMAND || entry->type > RAFT_CHANGE ||
            entry->buf.len == 0 || entry->buf.len % 8 != 0 ||
            entry->buf.len > WIRE_ENTRY_BYTES_MAX) {
            reader->failed = true;
            return 0;
        }
        least_term = entry->term;
        data_bytes += entry->buf.len;
    }
    return data_bytes;
}

static enum error_code decode_entries(struct reader *reader, struct raft_append_entries *args,
                                      struct error *error) {
    enum error_code code = ERROR_OK;
    uint8_t *batch = NULL;
    args->entries = calloc(args->n_entries, sizeof *args->entries);
    if (args->entries == NULL) {
        return error_set(error, ERROR_NO_MEMORY, "Raft message: %u entries", args->n_entries);
    }
    size_t data_bytes = decode_entry_heads(reader, args);
    if (reader->failed || data_bytes != reader->left_bytes) {
        code = broken(error, "an entry's head is wrong");
        goto cleanup;
    }
    batch = malloc(data_bytes);
    if (batch == NULL) {
        code = error_set(error, ERROR_NO_MEMORY, "Raft message: %zu bytes", data_bytes);
        goto cleanup;
    }
    memcpy(batch, take(reader, data_bytes), data_bytes);
    uint8_t *at = batch;
    for (unsigned i = 0; i < args->n_entries; i++) {
        struct raft_entry *entry = &args->entries[i];
        entry->buf.base = at;
        entry->batch = batch;
        at += entry->buf.len;
        if (entry->type == RAFT_CHANGE &&
            !wire_configuration_is_valid(entry->buf.base, entry->buf.len)) {
            code = broken(error, "a configuration is wrong");
            goto cleanup;
        }
    }
cleanup:
    if (code != ERROR_OK) {
        free(batch);
        free(args->entries);
    }
    return code; /* NOLINT(clang-analyzer-unix.Malloc): there is an entry, which owns the batch */
}

static enum error_code decode_append(struct reader *reader, struct raft_append_entries *args,
                                     struct error *error) {
    args->term = take_count(reader);
    args->prev_log_index = take_count(reader);
    args->prev_log_term = take_count(reader);
    args->leader_commit = take_count(reader);
    uint64_t count = take_number(reader, 4);
    if (reader->failed || args->term == 0 || args->prev_log_term > args->term ||
        (args->prev_log_index == 0) != (args->prev_log_term == 0)) {
        return broken(error, "what goes before the entries is wrong");
    }
    if (count > WIRE_ENTRY_MAX || reader->left_bytes > WIRE_MESSAGE_BYTES_MAX) {
        return error_set(error, ERROR_LIMIT, "Raft message: too many entries");
    }
    args->n_entries = (unsigned)count;
    args->entries = NULL;
    return count == 0 ? ERROR_OK : decode_entries(reader, args, error);
}

static enum error_code decode_snapshot(struct reader *reader, struct raft_install_snapshot *args,
                                       struct error *error) {
    args->term = take_count(reader);
    args->last_index = take_count(reader);
    args->last_term = take_count(reader);
    args->conf_index = take_count(reader);
    size_t conf_bytes = (size_t)take_number(reader, 4);
    args->data.len = (size_t)take_number(reader, 4);
    if (reader->failed || args->last_index == 0 || args->last_term == 0 ||
        args->last_term > args->term || args->conf_index == 0 ||
        args->conf_index > args->last_index) {
        return broken(error, "the snapshot's place is wrong");
    }
    if (args->data.len == 0 || conf_bytes > reader->left_bytes ||
        args->data.len != reader->left_bytes - conf_bytes) {
        return broken(error, "the snapshot's size is wrong");
    }
    uint8_t *conf = (uint8_t *)take(reader, conf_bytes);
    if (!wire_configuration_is_valid(conf, conf_bytes)) {
        return broken(error, "the snapshot's configuration is wrong");
    }
    const struct raft_buffer encoded = {conf, conf_bytes};
    args->data.base = malloc(args->data.len);
    if (args->data.base == NULL || raft_configuration_decode(&encoded, &args->conf) != 0) {
        free(args->data.base);
        return error_set(error, ERROR_NO_MEMORY, "Raft message: a snapshot of %zu bytes",
                         args->data.len);
    }
    memcpy(args->data.base, take(reader, args->data.len), args->data.len);
    return ERROR_OK;
}

static bool decode_vote(struct reader *reader, uint8_t flags, struct raft_request_vote *args) {
    args->term = take_count(reader);
    args->candidate_id = take_number(reader, 8);
    args->last_log_index = take_count(reader);
    args->last_log_term = take_count(reader);
    args->disrupt_leader = (flags & FLAG_DISRUPT) != 0;
    args->pre_vote = (flags & FLAG_PRE_VOTE) != 0;
    return flags <= (FLAG_DISRUPT | FLAG_PRE_VOTE) && args->term != 0 && args->candidate_id != 0 &&
           (args->last_log_index == 0) == (args->last_log_term == 0);
}

static bool decode_vote_result(struct reader *reader, uint8_t flags,
                               struct raft_request_vote_result *args) {
    args->term = take_count(reader);
    args->features = (unsigned short)take_number(reader, 2);
    args->capacity = (unsigned short)take_number(reader, 2);
    args->vote_granted = (flags & FLAG_GRANTED) != 0;
    args->pre_vote = (flags & FLAG_PRE_VOTE) != 0;
    return flags <= (FLAG_GRANTED | FLAG_PRE_VOTE);
}

static void decode_append_result(struct reader *reader, struct raft_append_entries_result *args) {
    args->term = take_count(reader);
    args->rejected = take_count(reader);
    args->last_log_index = take_count(reader);
    args->features = (unsigned short)take_number(reader, 2);
    args->capacity = (unsigned short)take_number(reader, 2);
}

static enum error_code decode_body(struct reader *reader, uint8_t flags,
                                   struct raft_message *message, struct error *error) {
    bool valid = flags == 0;
    switch (message->type) {
    case RAFT_REQUEST_VOTE:
        valid = decode_vote(reader, flags, &message->request_vote);
        break;
    case RAFT_REQUEST_VOTE_RESULT:
        valid = decode_vote_result(reader, flags, &message->request_vote_result);
        break;
    case RAFT_APPEND_ENTRIES_RESULT:
        decode_append_result(reader, &message->append_entries_result);
        break;
    case RAFT_TIMEOUT_NOW:
        message->timeout_now.term = take_count(reader);
        message->timeout_now.last_log_index = take_count(reader);
        message->timeout_now.last_log_term = take_count(reader);
        break;
    case RAFT_APPEND_ENTRIES:
        return valid ? decode_append(reader, &message->append_entries, error)
                     : broken(error, "unknown flags");
    case RAFT_INSTALL_SNAPSHOT:
        return valid ? decode_snapshot(reader, &message->install_snapshot, error)
                     : broken(error, "unknown flags");
    default:
        return error_set(error, ERROR_UNSUPPORTED, "Raft message: unknown type %u",
                         (unsigned)message->type);
    }
    return valid && !reader->failed ? ERROR_OK : broken(error, "a field is out of range");
}

static void set_version(struct raft_message *message, uint8_t version) {
    switch (message->type) {
    case RAFT_REQUEST_VOTE:
        message->request_vote.version = version;
        break;
    case RAFT_REQUEST_VOTE_RESULT:
        message->request_vote_result.version = version;
        break;
    case RAFT_APPEND_ENTRIES:
        message->append_entries.version = version;
        break;
    case RAFT_APPEND_ENTRIES_RESULT:
        message->append_entries_result.version = version;
        break;
    case RAFT_INSTALL_SNAPSHOT:
        message->install_snapshot.version = version;
        break;
    case RAFT_TIMEOUT_NOW:
        message->timeout_now.version = version;
        break;
    }
}

enum error_code wire_decode(const uint8_t *bytes, size_t size_bytes,
                            struct raft_message *ret_message, struct error *error) {
    struct reader reader = {bytes, size_bytes, false};
    struct raft_message message;
    memset(&message, 0, sizeof message);
    uint8_t format = (uint8_t)take_number(&reader, 1);
    message.type = (enum raft_message_type)take_number(&reader, 1);
    uint8_t version = (uint8_t)take_number(&reader, 1);
    uint8_t flags = (uint8_t)take_number(&reader, 1);
    if (reader.failed) {
        return broken(error, "too short");
    }
    if (format != WIRE_FORMAT || version > VERSION_MAX) {
        return error_set(error, ERROR_UNSUPPORTED, "Raft message: unknown format %u", format);
    }
    enum error_code code = decode_body(&reader, flags, &message, error);
    if (code != ERROR_OK) {
        return code;
    }
    if (reader.failed || reader.left_bytes != 0) {
        wire_release(&message);
        return broken(error, "its size is wrong");
    }
    set_version(&message, version);
    *ret_message = message;
    return ERROR_OK;
}

void wire_release(struct raft_message *message) {
    if (message->type == RAFT_APPEND_ENTRIES && message->append_entries.n_entries > 0) {
        raft_free(message->append_entries.entries[0].batch);
        raft_free(message->append_entries.entries);
    } else if (message->type == RAFT_INSTALL_SNAPSHOT) {
        raft_configuration_close(&message->install_snapshot.conf);
        raft_free(message->install_snapshot.data.base);
    }
}
