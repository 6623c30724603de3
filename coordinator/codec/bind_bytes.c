/* Messages to bytes and back: parsing, packing, and comparing or digesting without a copy. */
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

struct append_sink {
    ProtobufCBuffer base;
    struct buffer *out;
};

static void append_to_buffer(ProtobufCBuffer *base, size_t size, const uint8_t *bytes) {
    struct append_sink *sink = (struct append_sink *)base;
    buffer_append(sink->out, bytes, size);
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
    size_t before = out->size_bytes;
    struct append_sink sink = {.base = {.append = append_to_buffer}, .out = out};
    protobuf_c_message_pack_to_buffer(message, &sink.base);
    if (out->failed) {
        out->failed = false;
        out->size_bytes = before;
        if (out->data != NULL && out->capacity_bytes > before) {
            out->data[before] = '\0';
        }
        return error_set(error, ERROR_NO_MEMORY, "no room for %zu bytes", size);
    }
    assert(out->size_bytes == before + size);
    return ERROR_OK;
}

struct compare_sink {
    ProtobufCBuffer base;
    const uint8_t *expected;
    size_t left;
    bool same;
};

static void compare_with_bytes(ProtobufCBuffer *base, size_t size, const uint8_t *bytes) {
    struct compare_sink *sink = (struct compare_sink *)base;
    sink->same =
        sink->same && size <= sink->left && (size == 0 || memcmp(sink->expected, bytes, size) == 0);
    if (sink->same && size > 0) {
        sink->expected += size;
        sink->left -= size;
    }
}

enum error_code bind_check_canonical(const ProtobufCMessage *message, const void *bytes,
                                     size_t size_bytes, struct error *error) {
    struct compare_sink sink = {
        .base = {.append = compare_with_bytes},
        .expected = bytes,
        .left = size_bytes,
        .same = true,
    };
    protobuf_c_message_pack_to_buffer(message, &sink.base);
    return sink.same && sink.left == 0
               ? ERROR_OK
               : error_set(error, ERROR_PROTOCOL, "%s: not in its canonical form",
                           message->descriptor->short_name);
}

struct digest_sink {
    ProtobufCBuffer base;
    EVP_MD_CTX *digest;
    uint8_t held[512]; /* protobuf-c appends a few bytes at a time; the digest has a cost a call */
    size_t held_bytes;
    bool failed;
};

static void flush_digest(struct digest_sink *sink) {
    sink->failed =
        sink->failed || EVP_DigestUpdate(sink->digest, sink->held, sink->held_bytes) != 1;
    sink->held_bytes = 0;
}

static void append_to_digest(ProtobufCBuffer *base, size_t size, const uint8_t *bytes) {
    struct digest_sink *sink = (struct digest_sink *)base;
    if (size > sizeof sink->held - sink->held_bytes) {
        flush_digest(sink);
    }
    if (size > sizeof sink->held) {
        sink->failed = sink->failed || EVP_DigestUpdate(sink->digest, bytes, size) != 1;
    } else if (size > 0) {
        memcpy(sink->held + sink->held_bytes, bytes, size);
        sink->held_bytes += size;
    }
}

void bind_digest(const ProtobufCMessage *message, uint8_t digest[32]) {
    struct digest_sink sink = {
        .base = {.append = append_to_digest},
        .digest = EVP_MD_CTX_new(),
    };
    /* Only a lack of memory can fail here, and a wrong digest would stop the whole group. */
    if (sink.digest == NULL || EVP_DigestInit_ex(sink.digest, EVP_sha256(), NULL) != 1) {
        abort();
    }
    protobuf_c_message_pack_to_buffer(message, &sink.base);
    flush_digest(&sink);
    unsigned size = 0;
    if (sink.failed || EVP_DigestFinal_ex(sink.digest, digest, &size) != 1) {
        abort();
    }
    assert(size == 32);
    EVP_MD_CTX_free(sink.digest);
}
