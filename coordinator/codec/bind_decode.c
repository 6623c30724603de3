#include "bind.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "base/text.h"

enum error_code bind_check_number(const struct bind_row *row, uint64_t value, struct error *error) {
    if ((value >= row->low && value <= row->high) || (row->or_none && value == NONE_INDEX)) {
        return ERROR_OK;
    }
    if (row->kind == BIND_ENUM) {
        return error_set(error, ERROR_UNSUPPORTED, "value %" PRIu64 " is unknown to this version",
                         value);
    }
    return error_set(error, ERROR_INVALID, "%" PRIu64 " is not between %" PRIu64 " and %" PRIu64,
                     value, row->low, row->high);
}

enum error_code bind_check_text(const struct bind_row *row, const char *text, size_t size_bytes,
                                struct error *error) {
    if (size_bytes >= row->size) {
        return error_set(error, ERROR_LIMIT, "%zu characters, at most %zu", size_bytes,
                         row->size - 1);
    }
    if (row->kind == BIND_NAME) {
        bool fine = (size_bytes == 0 && row->or_none) || text_is_name(text, row->size - 1);
        return fine ? ERROR_OK : error_set(error, ERROR_INVALID, "not a name");
    }
    return text_is_utf8(text, size_bytes)
               ? ERROR_OK
               : error_set(error, ERROR_INVALID, "not UTF-8, or with control characters");
}

static uint64_t read_number(const ProtobufCFieldDescriptor *field, const void *at) {
    uint64_t u64;
    uint32_t u32;
    switch (field->type) {
    case PROTOBUF_C_TYPE_UINT64:
        memcpy(&u64, at, sizeof u64);
        return u64;
    default:
        /* uint32; an enum's int and a boolean, of which a negative one is beyond every limit. */
        memcpy(&u32, at, sizeof u32);
        return u32;
    }
}

static void write_number(const struct bind_row *row, char *to, uint64_t value) {
    switch (row->size) {
    case sizeof(bool):
        memcpy(to, &(bool){value != 0}, sizeof(bool));
        break;
    case sizeof(uint16_t):
        memcpy(to, &(uint16_t){(uint16_t)value}, sizeof(uint16_t));
        break;
    case sizeof(uint32_t):
        memcpy(to, &(uint32_t){(uint32_t)value}, sizeof(uint32_t));
        break;
    default:
        assert(row->size == sizeof(uint64_t));
        memcpy(to, &value, sizeof value);
    }
}

static enum error_code read_bytes(const struct bind_row *row, const void *from, char *core,
                                  char *to, struct error *error) {
    ProtobufCBinaryData data;
    memcpy(&data, from, sizeof data);
    if (row->kind == BIND_OPAQUE && data.len != 0 && data.len != row->size) {
        return error_set(error, ERROR_INVALID, "%zu bytes, must be %zu", data.len, row->size);
    }
    if (data.len > row->size) {
        return error_set(error, ERROR_LIMIT, "%zu bytes, at most %zu", data.len, row->size);
    }
    if (row->utf8 && !text_is_utf8(data.data, data.len)) {
        return error_set(error, ERROR_INVALID, "not UTF-8, or with control characters");
    }
    if (data.len > 0) {
        memcpy(to, data.data, data.len);
    }
    if (row->kind == BIND_BYTES) {
        memcpy(core + row->count, &(uint32_t){(uint32_t)data.len}, sizeof(uint32_t));
    }
    return ERROR_OK;
}

static enum error_code read_element(const struct bind_row *row,
                                    const ProtobufCFieldDescriptor *field, const void *from,
                                    char *core, char *to, struct error *error) {
    enum error_code code;
    switch (row->kind) {
    case BIND_NUMBER:
    case BIND_BOOL:
    case BIND_ENUM:
        code = bind_check_number(row, read_number(field, from), error);
        if (code == ERROR_OK) {
            write_number(row, to, read_number(field, from));
        }
        return code;
    case BIND_NAME:
    case BIND_TEXT: {
        const char *text;
        memcpy(&text, from, sizeof(void *));
        size_t length = strlen(text);
        code = bind_check_text(row, text, length, error);
        if (code == ERROR_OK) {
            memcpy(to, text, length + 1);
        }
        return code;
    }
    case BIND_OPAQUE:
    case BIND_BYTES:
        return read_bytes(row, from, core, to, error);
    case BIND_MESSAGE: {
        const ProtobufCMessage *message;
        memcpy(&message, from, sizeof(void *));
        return message == NULL ? ERROR_OK : bind_from_wire(row->table, message, to, error);
    }
    }
    assert(!"a kind of row");
    return ERROR_INTERNAL;
}

static size_t wire_size(const ProtobufCFieldDescriptor *field) {
    return field->type == PROTOBUF_C_TYPE_UINT32 ? sizeof(uint32_t) : sizeof(uint64_t);
}
_Static_assert(sizeof(void *) == sizeof(uint64_t), "repeated elements are 4 or 8 bytes wide");

/* The number of elements in the message against the row, and into the struct's count. */
static enum error_code read_count(const struct bind_row *row, size_t count, char *core,
                                  struct error *error) {
    uint32_t u32;
    uint64_t u64;
    if (count > row->max) {
        return error_set(error, ERROR_LIMIT, "%zu of them, at most %" PRIu32, count, row->max);
    }
    switch (row->shape) {
    case BIND_COUNTED:
        u32 = (uint32_t)count;
        memcpy(core + row->count, &u32, sizeof u32);
        return ERROR_OK;
    case BIND_FOLLOWS:
        memcpy(&u32, core + row->count, sizeof u32);
        return count == u32
                   ? ERROR_OK
                   : error_set(error, ERROR_INVALID, "%zu of them, must be %" PRIu32, count, u32);
    case BIND_RING:
        memcpy(&u64, core + row->count, sizeof u64);
        return count == (u64 < row->max ? u64 : row->max)
                   ? ERROR_OK
                   : error_set(error, ERROR_INVALID, "%zu of them for a count of %" PRIu64, count,
                               u64);
    default:
        return ERROR_OK;
    }
}

static enum error_code read_array(const struct bind_row *row, const ProtobufCFieldDescriptor *field,
                                  const ProtobufCMessage *message, char *core,
                                  struct error *error) {
    size_t count;
    const char *array;
    memcpy(&count, (const char *)message + field->quantifier_offset, sizeof count);
    memcpy(&array, (const char *)message + field->offset, sizeof(void *));
    enum error_code code = read_count(row, count, core, error);
    uint64_t first = 0;
    if (row->shape == BIND_RING && code == ERROR_OK) {
        memcpy(&first, core + row->count, sizeof first);
        first -= count;
    }
    for (size_t i = 0; i < count && code == ERROR_OK; i++) {
        char *to = core + row->core + (first + i) % row->max * row->size;
        code = read_element(row, field, array + i * wire_size(field), core, to, error);
        if (code != ERROR_OK) {
            error_prefix(error, "[%zu]", i);
        }
    }
    return code;
}

enum error_code bind_check_known(const ProtobufCMessage *message, struct error *error) {
    if (message->n_unknown_fields == 0) {
        return ERROR_OK;
    }
    return error_set(error, ERROR_UNSUPPORTED, "%s: field %" PRIu32 " is unknown to this version",
                     message->descriptor->short_name, message->unknown_fields[0].tag);
}

enum error_code bind_from_wire(const struct bind_table *table, const ProtobufCMessage *message,
                               void *core, struct error *error) {
    assert(table->row_count == table->descriptor->n_fields);
    assert(message->descriptor == table->descriptor);
    enum error_code code = bind_check_known(message, error);
    for (uint32_t i = 0; i < table->row_count && code == ERROR_OK; i++) {
        const struct bind_row *row = &table->rows[i];
        const ProtobufCFieldDescriptor *field = &table->descriptor->fields[i];
        code = row->shape == BIND_ONE
                   ? read_element(row, field, (const char *)message + field->offset, core,
                                  (char *)core + row->core, error)
                   : read_array(row, field, message, core, error);
        if (code != ERROR_OK) {
            error_prefix(error, "%s", row->name);
        }
    }
    return code;
}
