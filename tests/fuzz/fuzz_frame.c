/* Frames of both ports: however the stream is cut, the same frames come out of it, and written
 * again they are the bytes that went in. */
#include <assert.h>
#include <string.h>

#include "base/buffer.h"
#include "fuzz.h"
#include "net/frame.h"

#define SNAPSHOT_MAX_BYTES (256 * 1024)

static bool on_frame(enum frame_type type, const uint8_t *payload, size_t size_bytes,
                     void *context) {
    struct buffer *seen = context;
    uint8_t header[FRAME_HEADER_BYTES];
    assert(size_bytes <= frame_max_bytes(type));
    frame_encode_header(type, size_bytes, header);
    buffer_append(seen, header, sizeof header);
    buffer_append(seen, payload, size_bytes);
    return true;
}

static enum error_code feed(const uint8_t *data, size_t size, uint64_t types, size_t piece,
                            struct buffer *seen) {
    struct frame_parser parser;
    struct error error;
    enum error_code code = ERROR_OK;
    frame_parser_init(&parser, types, SNAPSHOT_MAX_BYTES);
    for (size_t at = 0; at < size && code == ERROR_OK; at += piece) {
        size_t now = size - at < piece ? size - at : piece;
        code = frame_parser_feed(&parser, data + at, now, on_frame, seen, &error);
    }
    if (code != ERROR_OK) {
        assert(frame_parser_feed(&parser, data, size, on_frame, seen, &error) == ERROR_PROTOCOL);
    }
    frame_parser_finish(&parser);
    return code;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct buffer whole, pieces;
    uint8_t mode = fuzz_take(&data, &size);
    uint64_t types = (mode & 1) != 0 ? FRAME_SET_PEER : FRAME_SET_API;
    if (size == 0) {
        return 0;
    }
    buffer_init(&whole, 0);
    buffer_init(&pieces, 0);
    enum error_code code = feed(data, size, types, size, &whole);
    assert(feed(data, size, types, 1 + (mode >> 1), &pieces) == code);
    assert(whole.size_bytes == pieces.size_bytes && whole.size_bytes <= size);
    if (whole.size_bytes > 0) {
        assert(memcmp(whole.data, pieces.data, whole.size_bytes) == 0);
        assert(memcmp(whole.data, data, whole.size_bytes) == 0);
    }
    buffer_finish(&whole);
    buffer_finish(&pieces);
    return 0;
}
