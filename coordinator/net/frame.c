#include "net/frame.h"

#include <assert.h>
#include <string.h>

#include "base/text.h"

/* Memory that a parser keeps between frames; after a longer frame it is given back. */
enum { KEEP_BYTES = 64 * 1024 };

static const struct {
    const char *text;
    unsigned type;
    uint32_t max_bytes;
} frame_table[] = {
#define X(name, number, limit) {#name, number, limit},
    FRAME_TYPE_TABLE(X)
#undef X
};

uint32_t frame_max_bytes(enum frame_type type) {
    for (size_t i = 0; i < ARRAY_LENGTH(frame_table); i++) {
        if (frame_table[i].type == type) {
            return frame_table[i].max_bytes;
        }
    }
    return 0;
}

const char *frame_type_text(unsigned type) {
    for (size_t i = 0; i < ARRAY_LENGTH(frame_table); i++) {
        if (frame_table[i].type == type) {
            return frame_table[i].text;
        }
    }
    return "?";
}

void frame_encode_header(enum frame_type type, size_t payload_bytes,
                         uint8_t ret_header[FRAME_HEADER_BYTES]) {
    assert(payload_bytes <= frame_max_bytes(type));
    ret_header[0] = FRAME_VERSION;
    ret_header[1] = (uint8_t)type;
    ret_header[2] = 0;
    ret_header[3] = 0;
    ret_header[4] = (uint8_t)(payload_bytes >> 24);
    ret_header[5] = (uint8_t)(payload_bytes >> 16);
    ret_header[6] = (uint8_t)(payload_bytes >> 8);
    ret_header[7] = (uint8_t)payload_bytes;
}

void frame_parser_init(struct frame_parser *parser, uint64_t types, uint32_t snapshot_max_bytes) {
    *parser = (struct frame_parser){
        .types = types,
        .snapshot_max_bytes =
            snapshot_max_bytes != 0 ? snapshot_max_bytes : FRAME_SNAPSHOT_MAX_BYTES,
    };
    assert(parser->snapshot_max_bytes <= FRAME_SNAPSHOT_MAX_BYTES);
    buffer_init(&parser->payload, FRAME_SNAPSHOT_MAX_BYTES);
}

void frame_parser_finish(struct frame_parser *parser) {
    assert(!parser->feeding);
    buffer_finish(&parser->payload);
}

void frame_parser_set_types(struct frame_parser *parser, uint64_t types) {
    parser->types = types;
}

static uint32_t header_size(const uint8_t *header) {
    return (uint32_t)header[4] << 24 | (uint32_t)header[5] << 16 | (uint32_t)header[6] << 8 |
           header[7];
}

static enum error_code check_header(const struct frame_parser *parser, struct error *error) {
    const uint8_t *header = parser->header;
    uint8_t type = header[1];
    if (header[0] != FRAME_VERSION) {
        return error_set(error, ERROR_PROTOCOL, "frame of version 0x%02x, not 0x%02x", header[0],
                         FRAME_VERSION);
    }
    if (type >= 64 || (parser->types & FRAME_SET(type)) == 0) {
        return error_set(error, ERROR_PROTOCOL, "frame of type %u (%s) is not expected here", type,
                         frame_type_text(type));
    }
    if (header[2] != 0 || header[3] != 0) {
        return error_set(error, ERROR_PROTOCOL, "frame with unknown flags 0x%02x%02x", header[2],
                         header[3]);
    }
    uint32_t size = header_size(header);
    uint32_t limit = type == FRAME_SNAPSHOT ? parser->snapshot_max_bytes : frame_max_bytes(type);
    if (size > limit) {
        return error_set(error, ERROR_LIMIT, "frame %s of %u bytes, the limit is %u",
                         frame_type_text(type), size, limit);
    }
    return ERROR_OK;
}

/* Hands over one whole frame and makes room for the next. */
static bool complete(struct frame_parser *parser, const uint8_t *payload, size_t size_bytes,
                     frame_callback callback, void *context) {
    parser->header_bytes = 0;
    bool go_on = callback((enum frame_type)parser->header[1], payload, size_bytes, context);
    if (parser->payload.capacity_bytes > KEEP_BYTES) {
        buffer_finish(&parser->payload);
    }
    buffer_clear(&parser->payload);
    return go_on;
}

/* Takes as much of the input as the next step needs. ERROR_CANCELLED: the callback said stop. */
static enum error_code step(struct frame_parser *parser, const uint8_t **at, size_t *left,
                            frame_callback callback, void *context, struct error *error) {
    if (parser->header_bytes < FRAME_HEADER_BYTES) {
        size_t missing = (size_t)FRAME_HEADER_BYTES - parser->header_bytes;
        size_t taken = missing < *left ? missing : *left;
        memcpy(parser->header + parser->header_bytes, *at, taken);
        parser->header_bytes += (uint8_t)taken;
        *at += taken;
        *left -= taken;
        if (parser->header_bytes < FRAME_HEADER_BYTES) {
            return ERROR_OK;
        }
        enum error_code code = check_header(parser, error);
        if (code != ERROR_OK) {
            return code;
        }
    }
    size_t size = header_size(parser->header);
    assert(size >= parser->payload.size_bytes);
    if (parser->payload.size_bytes == 0 && *left >= size) {
        const uint8_t *payload = *at;
        *at += size;
        *left -= size;
        return complete(parser, payload, size, callback, context) ? ERROR_OK : ERROR_CANCELLED;
    }
    size_t missing = size - parser->payload.size_bytes;
    size_t taken = missing < *left ? missing : *left;
    if (!buffer_append(&parser->payload, *at, taken)) {
        return error_set(error, ERROR_NO_MEMORY, "no memory for a frame of %zu bytes", size);
    }
    *at += taken;
    *left -= taken;
    if (parser->payload.size_bytes < size) {
        return ERROR_OK;
    }
    const uint8_t *payload = (const uint8_t *)parser->payload.data;
    return complete(parser, payload, size, callback, context) ? ERROR_OK : ERROR_CANCELLED;
}

enum error_code frame_parser_feed(struct frame_parser *parser, const void *bytes, size_t size_bytes,
                                  frame_callback callback, void *context, struct error *error) {
    const uint8_t *at = bytes;
    size_t left = size_bytes;
    enum error_code code = ERROR_OK;
    if (parser->failed) {
        return error_set(error, ERROR_PROTOCOL, "input after a malformed frame");
    }
    assert(!parser->feeding);
    parser->feeding = true;
    while (left > 0 && code == ERROR_OK) {
        code = step(parser, &at, &left, callback, context, error);
    }
    parser->feeding = false;
    if (code == ERROR_CANCELLED) {
        parser->failed = true; /* what was dropped can't be found again */
        return ERROR_OK;
    }
    parser->failed = code != ERROR_OK;
    return code;
}
