#include "entry.h"

#include <assert.h>
#include <string.h>

static size_t aligned(size_t size_bytes) {
    return (size_bytes + ENTRY_ALIGN_BYTES - 1) / ENTRY_ALIGN_BYTES * ENTRY_ALIGN_BYTES;
}

static void put(uint8_t *at, uint64_t value, size_t size_bytes) {
    for (size_t i = 0; i < size_bytes; i++) {
        at[i] = (uint8_t)(value >> (8 * i));
    }
}

static uint64_t get(const uint8_t *at, size_t size_bytes) {
    uint64_t value = 0;
    for (size_t i = 0; i < size_bytes; i++) {
        value |= (uint64_t)at[i] << (8 * i);
    }
    return value;
}

size_t entry_size_bytes(uint32_t count, size_t command_bytes) {
    return aligned(ENTRY_HEAD_BYTES + (size_t)count * ENTRY_COMMAND_HEAD_BYTES + command_bytes);
}

void entry_write_head(struct entry_writer *writer, uint8_t *bytes, size_t size_bytes,
                      const struct entry_head *head) {
    assert(size_bytes >= ENTRY_HEAD_BYTES && size_bytes % ENTRY_ALIGN_BYTES == 0);
    memset(bytes, 0, size_bytes);
    bytes[0] = ENTRY_FORMAT;
    put(bytes + 4, head->count, 4);
    put(bytes + 8, head->proposer, 8);
    put(bytes + 16, head->batch, 8);
    *writer = (struct entry_writer){bytes, size_bytes, ENTRY_HEAD_BYTES};
}

void entry_write_command(struct entry_writer *writer, const void *command, size_t size_bytes) {
    assert(size_bytes > 0 && size_bytes <= UINT32_MAX);
    assert(size_bytes + ENTRY_COMMAND_HEAD_BYTES <= writer->size_bytes - writer->at_bytes);
    put(writer->bytes + writer->at_bytes, size_bytes, ENTRY_COMMAND_HEAD_BYTES);
    memcpy(writer->bytes + writer->at_bytes + ENTRY_COMMAND_HEAD_BYTES, command, size_bytes);
    writer->at_bytes += ENTRY_COMMAND_HEAD_BYTES + size_bytes;
}

enum error_code entry_read_head(struct entry_reader *reader, const void *bytes, size_t size_bytes,
                                struct error *error) {
    const uint8_t *head = bytes;
    if (size_bytes < ENTRY_HEAD_BYTES || size_bytes % ENTRY_ALIGN_BYTES != 0) {
        return error_set(error, ERROR_PROTOCOL, "log entry: wrong size");
    }
    if (head[0] != ENTRY_FORMAT) {
        return error_set(error, ERROR_UNSUPPORTED, "log entry: unknown format %u", head[0]);
    }
    if (head[1] != 0 || head[2] != 0 || head[3] != 0) {
        return error_set(error, ERROR_PROTOCOL, "log entry: wrong head");
    }
    *reader = (struct entry_reader){
        .bytes = head,
        .size_bytes = size_bytes,
        .at_bytes = ENTRY_HEAD_BYTES,
        .head = {(uint32_t)get(head + 4, 4), get(head + 8, 8), get(head + 16, 8)},
    };
    return ERROR_OK;
}

enum error_code entry_read_command(struct entry_reader *reader, const void **ret_command,
                                   size_t *ret_size_bytes, struct error *error) {
    size_t left_bytes = reader->size_bytes - reader->at_bytes;
    if (left_bytes < ENTRY_COMMAND_HEAD_BYTES) {
        return error_set(error, ERROR_PROTOCOL, "log entry: cut short");
    }
    const uint8_t *at = reader->bytes + reader->at_bytes;
    size_t size_bytes = (size_t)get(at, ENTRY_COMMAND_HEAD_BYTES);
    if (size_bytes == 0 || size_bytes > left_bytes - ENTRY_COMMAND_HEAD_BYTES) {
        return error_set(error, ERROR_PROTOCOL, "log entry: a command is cut short");
    }
    reader->at_bytes += ENTRY_COMMAND_HEAD_BYTES + size_bytes;
    *ret_command = at + ENTRY_COMMAND_HEAD_BYTES;
    *ret_size_bytes = size_bytes;
    return ERROR_OK;
}
