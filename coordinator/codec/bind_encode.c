#include "bind.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "base/text.h"

/* The row's count (or size in bytes) in the struct. */
static uint64_t read_count(const struct bind_row *row, const char *core) {
    if (row->shape == BIND_RING) {
        uint64_t total;
        memcpy(&total, core + row->count, sizeof total);
        return total;
    }
    uint32_t count;
    memcpy(&count, core + row->count, sizeof count);
    return count;
}

static uint64_t read_number(const struct bind_row *row, const char *at) {
    uint16_t u16;
    uint32_t u32;
    uint64_t u64;
    bool boolean;
    switch (row->size) {
    case sizeof(boolean):
        memcpy(&boolean, at, sizeof boolean);
        return boolean;
    case sizeof(u16):
        memcpy(&u16, at, sizeof u16);
        return u16;
    case sizeof(u32):
        memcpy(&u32, at, sizeof u32);
        return u32;
    default:
        assert(row->size == sizeof u64);
        memcpy(&u64, at, sizeof u64);
        return u64;
    }
}

static bool all_zero(const char *bytes, size_t size) {
    return size == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0);
}

static bool element_is_default(const struct bind_row *row, const char *core, const char *at) {
    switch (row->kind) {
    case BIND_NUMBER:
    case BIND_BOOL:
    case BIND_ENUM:
        return read_number(row, at) == 0;
    case BIND_NAME:
    case BIND_TEXT:
        return at[0] == '\0';
    case BIND_OPAQUE:
        return all_zero(at, row->size);
    case BIND_BYTES:
        return read_count(row, core) == 0;
    case BIND_MESSAGE:
        return bind_is_default(row->table, at);
    }
    assert(!"a kind of row");
    return true;
}

/* How many elements the row writes. */
static uint64_t element_count(const struct bind_row *row, const char *core) {
    if (row->shape == BIND_PLACES) {
        uint32_t count = row->max;
        while (count > 0 &&
               element_is_default(row, core, core + row->core + (count - 1) * row->size)) {
            count--;
        }
        return count;
    }
    uint64_t count = read_count(row, core);
    return row->shape == BIND_RING && count > row->max ? row->max : count;
}

/* Place in the array of the i-th element on the wire. */
static const char *element_at(const struct bind_row *row, const char *core, uint64_t count,
                              uint64_t i) {
    uint64_t place = i;
    if (row->shape == BIND_RING) {
        place = (read_count(row, core) - count + i) % row->max;
    }
    return core + row->core + place * row->size;
}

bool bind_is_default(const struct bind_table *table, const void *core) {
    for (uint32_t i = 0; i < table->row_count; i++) {
        const struct bind_row *row = &table->rows[i];
        bool is_default = row->shape == BIND_ONE
                              ? element_is_default(row, core, (const char *)core + row->core)
                              : element_count(row, core) == 0;
        if (!is_default) {
            return false;
        }
    }
    return true;
}

static void write_number(const ProtobufCFieldDescriptor *field, void *to, uint64_t value) {
    switch (field->type) {
    case PROTOBUF_C_TYPE_UINT64:
        memcpy(to, &value, sizeof value);
        break;
    case PROTOBUF_C_TYPE_UINT32:
        memcpy(to, &(uint32_t){(uint32_t)value}, sizeof(uint32_t));
        break;
    case PROTOBUF_C_TYPE_ENUM:
        memcpy(to, &(int){(int)value}, sizeof(int));
        break;
    default:
        assert(field->type == PROTOBUF_C_TYPE_BOOL);
        memcpy(to, &(protobuf_c_boolean){value != 0}, sizeof(protobuf_c_boolean));
    }
}

/* A text in a fixed array of the struct, to which the message points. */
static enum error_code write_text(const struct bind_row *row, const char *at, bool check, void *to,
                                  struct error *error) {
    size_t length = strnlen(at, row->size);
    if (length == row->size) {
        assert(check);
        return error_set(error, ERROR_INVALID, "a text without an end");
    }
    enum error_code code = check ? bind_check_text(row, at, length, error) : ERROR_OK;
    if (code == ERROR_OK) {
        memcpy(to, &at, sizeof at);
    }
    return code;
}

static enum error_code write_bytes(const struct bind_row *row, const char *core, const char *at,
                                   bool check, void *to, struct error *error) {
    uint64_t size = row->size;
    if (row->kind == BIND_BYTES) {
        size = read_count(row, core);
        if (size > row->size) {
            assert(check);
            return error_set(error, ERROR_LIMIT, "%" PRIu64 " bytes, at most %zu", size, row->size);
        }
        if (check && row->utf8 && !text_is_utf8(at, (size_t)size)) {
            return error_set(error, ERROR_INVALID, "not UTF-8, or with control characters");
        }
    } else if (all_zero(at, row->size)) {
        size = 0;
    }
    ProtobufCBinaryData data = {.len = (size_t)size, .data = (uint8_t *)(uintptr_t)at};
    memcpy(to, &data, sizeof data);
    return ERROR_OK;
}

/* One element at `at` of the struct into the place `to` of the message. */
static enum error_code write_element(const struct bind_row *row,
                                     const ProtobufCFieldDescriptor *field, struct arena *arena,
                                     const char *core, const char *at, bool check, void *to,
                                     struct error *error) {
    ProtobufCMessage *message = NULL;
    enum error_code code;
    switch (row->kind) {
    case BIND_NUMBER:
    case BIND_BOOL:
    case BIND_ENUM:
        code = check ? bind_check_number(row, read_number(row, at), error) : ERROR_OK;
        if (code == ERROR_OK) {
            write_number(field, to, read_number(row, at));
        }
        return code;
    case BIND_NAME:
    case BIND_TEXT:
        return write_text(row, at, check, to, error);
    case BIND_OPAQUE:
    case BIND_BYTES:
        return write_bytes(row, core, at, check, to, error);
    case BIND_MESSAGE:
        /* A lone message without content is left out; in an array it holds its place. */
        if (row->shape == BIND_ONE && bind_is_default(row->table, at)) {
            return ERROR_OK;
        }
        code = bind_to_wire(row->table, arena, at, check, &message, error);
        if (code == ERROR_OK) {
            memcpy(to, &message, sizeof(void *));
        }
        return code;
    }
    assert(!"a kind of row");
    return ERROR_INTERNAL;
}

static size_t wire_size(const ProtobufCFieldDescriptor *field) {
    switch (field->type) {
    case PROTOBUF_C_TYPE_UINT64:
        return sizeof(uint64_t);
    case PROTOBUF_C_TYPE_UINT32:
        return sizeof(uint32_t);
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    default:
        assert(!"a type that is repeated nowhere");
        return 0;
    }
}

static enum error_code write_array(const struct bind_row *row,
                                   const ProtobufCFieldDescriptor *field, struct arena *arena,
                                   const char *core, bool check, ProtobufCMessage *message,
                                   struct error *error) {
    uint64_t count = element_count(row, core);
    if (count > row->max) {
        assert(check);
        return error_set(error, ERROR_LIMIT, "%" PRIu64 " of them, at most %" PRIu32, count,
                         row->max);
    }
    size_t size = wire_size(field);
    char *array = arena_alloc(arena, (size_t)count * size);
    if (array == NULL) {
        return error_set(error, ERROR_NO_MEMORY, "no memory to encode");
    }
    for (uint64_t i = 0; i < count; i++) {
        const char *at = element_at(row, core, count, i);
        enum error_code code =
            write_element(row, field, arena, core, at, check, array + i * size, error);
        if (code != ERROR_OK) {
            error_prefix(error, "[%" PRIu64 "]", i);
            return code;
        }
    }
    memcpy((char *)message + field->quantifier_offset, &(size_t){(size_t)count}, sizeof(size_t));
    memcpy((char *)message + field->offset, &array, sizeof(void *));
    return ERROR_OK;
}

enum error_code bind_to_wire(const struct bind_table *table, struct arena *arena, const void *core,
                             bool check, ProtobufCMessage **ret, struct error *error) {
    assert(table->row_count == table->descriptor->n_fields);
    ProtobufCMessage *message = arena_alloc(arena, table->descriptor->sizeof_message);
    if (message == NULL) {
        return error_set(error, ERROR_NO_MEMORY, "no memory to encode");
    }
    table->descriptor->message_init(message);
    for (uint32_t i = 0; i < table->row_count; i++) {
        const struct bind_row *row = &table->rows[i];
        const ProtobufCFieldDescriptor *field = &table->descriptor->fields[i];
        enum error_code code =
            row->shape == BIND_ONE
                ? write_element(row, field, arena, core, (const char *)core + row->core, check,
                                (char *)message + field->offset, error)
                : write_array(row, field, arena, core, check, message, error);
        if (code != ERROR_OK) {
            error_prefix(error, "%s", row->name);
            return code;
        }
    }
    *ret = message;
    return ERROR_OK;
}
