#include "mongo_wire.h"

#include <stdio.h>
#include <string.h>

#include "alloc.h"
#include "base/text.h"

#define HEADER_BYTES 16
#define OP_REPLY 1
#define OP_QUERY 2004
#define OP_MSG 2013
#define MSG_CHECKSUM (1U << 0)
#define MSG_MORE_TO_COME (1U << 1)
#define MSG_EXHAUST_ALLOWED (1U << 16)
/* Of the bits below 16 an unknown one must be refused. */
#define MSG_MUST_KNOW 0xfffcU
#define QUERY_SECONDARY_OK (1U << 2)
#define REPLY_AWAIT_CAPABLE 8U
#define CHECKSUM_BYTES 4
#define DOCUMENT_MIN_BYTES 5

/* What is left of a frame. */
struct wire_cursor {
    const uint8_t *bytes;
    size_t left;
};

static bool wire_take_u32(struct wire_cursor *cursor, uint32_t *ret_number) {
    if (cursor->left < sizeof(*ret_number)) {
        return false;
    }
    memcpy(ret_number, cursor->bytes, sizeof(*ret_number));
    *ret_number = BSON_UINT32_FROM_LE(*ret_number);
    cursor->bytes += sizeof(*ret_number);
    cursor->left -= sizeof(*ret_number);
    return true;
}

static bool wire_take_text(struct wire_cursor *cursor, const char **ret_text) {
    const uint8_t *end = memchr(cursor->bytes, 0, cursor->left);
    if (end == NULL) {
        return false;
    }
    *ret_text = (const char *)cursor->bytes;
    cursor->left -= (size_t)(end - cursor->bytes) + 1;
    cursor->bytes = end + 1;
    return true;
}

/* In place. */
static bool wire_take_document(struct wire_cursor *cursor, bson_t *ret_document) {
    struct wire_cursor at = *cursor;
    uint32_t size = 0;
    if (!wire_take_u32(&at, &size) || size < DOCUMENT_MIN_BYTES || size > cursor->left ||
        !bson_init_static(ret_document, cursor->bytes, size) ||
        !bson_validate(ret_document, BSON_VALIDATE_NONE, NULL)) {
        return false;
    }
    cursor->bytes += size;
    cursor->left -= size;
    return true;
}

/* A sequence of documents becomes an array of the command, by the name that it has. */
static bool wire_read_sequence(struct wire_cursor *cursor, bson_t *command) {
    struct wire_cursor section = *cursor;
    const char *name = NULL;
    uint32_t size = 0;
    uint32_t index = 0;
    bson_t array = BSON_INITIALIZER;
    bson_t document;
    bool good = wire_take_u32(cursor, &size) && size >= sizeof(size) && size <= section.left;
    if (good) {
        section.bytes += sizeof(size);
        section.left = size - sizeof(size);
        cursor->bytes = section.bytes + section.left;
        cursor->left -= size - sizeof(size);
        good = wire_take_text(&section, &name);
    }
    while (good && section.left > 0) {
        char key[16];
        (void)snprintf(key, sizeof(key), "%u", index++);
        good =
            wire_take_document(&section, &document) && BSON_APPEND_DOCUMENT(&array, key, &document);
    }
    good = good && bson_append_array(command, name, -1, &array);
    bson_destroy(&array);
    return good;
}

static bool wire_read_message(struct wire_cursor cursor, struct mongo_wire_request *request) {
    uint32_t flags = 0;
    bson_t body;
    bool has_body = false;
    if (!wire_take_u32(&cursor, &flags) || (flags & MSG_MUST_KNOW) != 0) {
        return false;
    }
    if ((flags & MSG_CHECKSUM) != 0) {
        if (cursor.left < CHECKSUM_BYTES) {
            return false;
        }
        cursor.left -= CHECKSUM_BYTES;
    }
    request->more_to_come = (flags & MSG_MORE_TO_COME) != 0;
    request->exhaust_allowed = (flags & MSG_EXHAUST_ALLOWED) != 0;
    bson_t sequences = BSON_INITIALIZER;
    bool good = true;
    while (good && cursor.left > 0) {
        uint8_t kind = *cursor.bytes;
        cursor.bytes++;
        cursor.left--;
        if (kind == 0 && !has_body) {
            good = has_body = wire_take_document(&cursor, &body);
        } else {
            good = kind == 1 && wire_read_sequence(&cursor, &sequences);
        }
    }
    if (good && has_body) {
        request->command = bson_copy(&body);
        good = bson_concat(request->command, &sequences);
    }
    bson_destroy(&sequences);
    bson_iter_t database;
    return good && has_body && bson_iter_init_find(&database, request->command, "$db") &&
           BSON_ITER_HOLDS_UTF8(&database) &&
           TEXT_COPY(request->database, bson_iter_utf8(&database, NULL));
}

/* {$query: command, $readPreference: ...}, or the command itself. */
static bson_t *wire_unwrap(const bson_t *query) {
    bson_iter_t iter;
    bson_iter_t rest;
    const uint8_t *data = NULL;
    uint32_t size = 0;
    bson_t inner;
    if (!bson_iter_init_find(&iter, query, "$query") || !BSON_ITER_HOLDS_DOCUMENT(&iter)) {
        return bson_copy(query);
    }
    bson_iter_document(&iter, &size, &data);
    if (!bson_init_static(&inner, data, size)) {
        return bson_copy(query);
    }
    bson_t *command = bson_copy(&inner);
    if (bson_iter_init_find(&rest, query, "$readPreference")) {
        bson_append_iter(command, NULL, 0, &rest);
    }
    return command;
}

static bool wire_read_query(struct wire_cursor cursor, struct mongo_wire_request *request) {
    uint32_t flags = 0;
    uint32_t ignored = 0;
    const char *collection = NULL;
    bson_t query;
    if (!wire_take_u32(&cursor, &flags) || !wire_take_text(&cursor, &collection) ||
        !wire_take_u32(&cursor, &ignored) || !wire_take_u32(&cursor, &ignored) ||
        !wire_take_document(&cursor, &query)) {
        return false;
    }
    const char *suffix = strstr(collection, ".$cmd");
    size_t length = suffix == NULL ? 0 : (size_t)(suffix - collection);
    if (suffix == NULL || suffix[strlen(".$cmd")] != '\0' || length >= sizeof(request->database)) {
        return false;
    }
    memcpy(request->database, collection, length);
    request->query = true;
    request->secondary_ok = (flags & QUERY_SECONDARY_OK) != 0;
    request->command = wire_unwrap(&query);
    return true;
}

enum mongo_wire_result mongo_wire_read(const uint8_t *bytes, size_t size_bytes,
                                       size_t *ret_used_bytes,
                                       struct mongo_wire_request *ret_request) {
    struct wire_cursor cursor = {bytes, size_bytes};
    uint32_t length = 0;
    uint32_t request_id = 0;
    uint32_t response_to = 0;
    uint32_t operation = 0;
    if (size_bytes < HEADER_BYTES) {
        return MONGO_WIRE_PARTIAL;
    }
    (void)wire_take_u32(&cursor, &length);
    (void)wire_take_u32(&cursor, &request_id);
    (void)wire_take_u32(&cursor, &response_to);
    (void)wire_take_u32(&cursor, &operation);
    if (length < HEADER_BYTES || length > MONGO_WIRE_MAX_BYTES ||
        (operation != OP_MSG && operation != OP_QUERY)) {
        return MONGO_WIRE_BROKEN;
    }
    if (size_bytes < length) {
        return MONGO_WIRE_PARTIAL;
    }
    struct mongo_wire_request request = {.request_id = (int32_t)request_id};
    cursor.left = length - HEADER_BYTES;
    bool good = operation == OP_MSG ? wire_read_message(cursor, &request)
                                    : wire_read_query(cursor, &request);
    if (!good) {
        bson_destroy(request.command);
        return MONGO_WIRE_BROKEN;
    }
    *ret_request = request;
    *ret_used_bytes = length;
    return MONGO_WIRE_WHOLE;
}

static uint8_t *wire_put_u32(uint8_t *at, uint32_t number) {
    number = BSON_UINT32_TO_LE(number);
    memcpy(at, &number, sizeof(number));
    return at + sizeof(number);
}

uint8_t *mongo_wire_write(bool query, int32_t request_id, int32_t response_to, bool more,
                          const bson_t *reply, size_t *ret_size_bytes) {
    size_t head_bytes = HEADER_BYTES + (query ? 20 : 5);
    size_t size_bytes = head_bytes + reply->len;
    uint8_t *frame = alloc_zeroed(1, size_bytes);
    uint8_t *at = wire_put_u32(frame, (uint32_t)size_bytes);
    at = wire_put_u32(at, (uint32_t)request_id);
    at = wire_put_u32(at, (uint32_t)response_to);
    at = wire_put_u32(at, query ? OP_REPLY : OP_MSG);
    at = wire_put_u32(at, query ? REPLY_AWAIT_CAPABLE : more ? MSG_MORE_TO_COME : 0);
    if (query) {
        at += sizeof(uint64_t) + sizeof(uint32_t); /* no cursor, from the start */
        at = wire_put_u32(at, 1);
    } else {
        at++; /* kind 0 */
    }
    memcpy(at, bson_get_data(reply), reply->len);
    *ret_size_bytes = size_bytes;
    return frame;
}
