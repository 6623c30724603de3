/* Messages to bytes and back: parsing, packing, comparing and digesting.
 *
 * Always into one piece of memory: protobuf_c_message_pack_to_buffer() would need none, but
 * measures what lies in a message anew at each level above it, which takes several times as long.
 */
#include "bind.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

enum error_code bind_unpack(const ProtobufCMessageDescriptor *descriptor, struct arena *arena,
                            const void *bytes, size_t size_bytes, const ProtobufCMessage **ret,
                            struct error *error) {
    const ProtobufCMessage *message =
        protobuf_c_message_unpack(descriptor, &arena->allocator, size_bytes, bytes);
    if (message == NULL && arena->out_of_memory) {
        /* The bytes may be in order: nobody must think that they are damaged. */
        return error_set(error, ERROR_NO_MEMORY, "no memory to decode a %s",
                         descriptor->short_name);
    }
    if (message == NULL) {
        return error_set(error, ERROR_PROTOCOL, "%zu bytes are no %s", size_bytes,
                         descriptor->short_name);
    }
    *ret = message;
    return ERROR_OK;
}

static void pack(const ProtobufCMessage *message, void *room, size_t size_bytes) {
    size_t packed_bytes = protobuf_c_message_pack(message, room);
    assert(packed_bytes == size_bytes);
    (void)packed_bytes;
}

enum error_code bind_pack(const ProtobufCMessage *message, size_t limit_bytes, struct buffer *out,
                          struct error *error) {
    size_t size = protobuf_c_message_get_packed_size(message);
    if (size > limit_bytes) {
        return error_set(error, ERROR_LIMIT, "%zu bytes when encoded, at most %zu", size,
                         limit_bytes);
    }
    if (out->failed) {
        return error_set(error, ERROR_NO_MEMORY, "the buffer has failed before");
    }
    char *room = buffer_append_room(out, size);
    if (room == NULL) {
        out->failed = false;
        return error_set(error, ERROR_NO_MEMORY, "no room for %zu bytes", size);
    }
    pack(message, room, size);
    return ERROR_OK;
}

enum error_code bind_check_canonical(const ProtobufCMessage *message, const void *bytes,
                                     size_t size_bytes, struct error *error) {
    bool same = protobuf_c_message_get_packed_size(message) == size_bytes;
    if (same && size_bytes > 0) {
        void *again = malloc(size_bytes);
        if (again == NULL) {
            return error_set(error, ERROR_NO_MEMORY, "no memory to check a %s",
                             message->descriptor->short_name);
        }
        pack(message, again, size_bytes);
        same = memcmp(again, bytes, size_bytes) == 0;
        free(again);
    }
    return same ? ERROR_OK
                : error_set(error, ERROR_PROTOCOL, "%s: not in its canonical form",
                            message->descriptor->short_name);
}

void bind_digest(const ProtobufCMessage *message, uint8_t digest[32]) {
    size_t size = protobuf_c_message_get_packed_size(message);
    void *bytes = malloc(size + 1); /* an empty message has a digest as well */
    unsigned digest_size = 0;
    /* Only a lack of memory can fail here, and a wrong digest would stop the whole group. */
    if (bytes == NULL) {
        abort();
    }
    pack(message, bytes, size);
    if (EVP_Digest(bytes, size, digest, &digest_size, EVP_sha256(), NULL) != 1) {
        abort();
    }
    assert(digest_size == 32);
    free(bytes);
}
