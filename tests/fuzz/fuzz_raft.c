/* Raft's messages: what is accepted, written again, gives the bytes that came. */
#include <assert.h>
#include <string.h>

#include "fuzz.h"
#include "wire.h"

static void assert_same_bytes(const struct wire_part *part, const uint8_t *data, size_t size) {
    size_t at = 0;
    for (uint32_t i = 0; i < part->buffer_count; i++) {
        const uv_buf_t *piece = &part->buffers[i];
        assert(piece->len <= size - at && memcmp(piece->base, data + at, piece->len) == 0);
        at += piece->len;
    }
    assert(at == size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct wire_part part;
    struct raft_message message;
    struct error error;
    fuzz_taint(&message, sizeof message);
    if (wire_decode(data, size, &message, &error) != ERROR_OK) {
        assert(fuzz_is_tainted(&message, sizeof message));
        return 0;
    }
    bool written = wire_encode(&message, 0, &part);
    assert(written);
    if (message.type == RAFT_APPEND_ENTRIES) {
        assert(part.entry_count == message.append_entries.n_entries);
    }
    assert_same_bytes(&part, data, size);
    wire_release(&message);
    return 0;
}
