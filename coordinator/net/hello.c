#include "hello.h"

#include <string.h>

#include "base/text.h"

struct reader {
    const uint8_t *at;
    size_t left;
    bool failed;
};

static const uint8_t *read_bytes(struct reader *reader, size_t size_bytes) {
    static const uint8_t zeros[PEERS_REASON_SIZE];
    if (reader->failed || size_bytes > reader->left) {
        reader->failed = true;
        return zeros;
    }
    const uint8_t *bytes = reader->at;
    reader->at += size_bytes;
    reader->left -= size_bytes;
    return bytes;
}

static uint64_t read_number(struct reader *reader, unsigned size_bytes) {
    const uint8_t *bytes = read_bytes(reader, size_bytes);
    uint64_t value = 0;
    for (unsigned i = 0; i < size_bytes; i++) {
        value = value << 8 | bytes[i];
    }
    return value;
}

static void read_text(struct reader *reader, char *to, size_t to_size) {
    size_t length = read_number(reader, 1);
    if (length >= to_size) {
        reader->failed = true;
        length = 0;
    }
    const uint8_t *bytes = read_bytes(reader, length);
    /* A NUL would hide what follows it from every later check. */
    if (memchr(bytes, '\0', length) != NULL && !reader->failed) {
        reader->failed = true;
    }
    memcpy(to, bytes, length);
    to[length] = '\0';
}

static void write_number(struct buffer *to, uint64_t value, unsigned size_bytes) {
    for (unsigned i = size_bytes; i > 0; i--) {
        uint8_t byte = (uint8_t)(value >> (8 * (i - 1)));
        buffer_append(to, &byte, 1);
    }
}

static void write_text(struct buffer *to, const char *text) {
    size_t length = strlen(text);
    write_number(to, length, 1);
    buffer_append(to, text, length);
}

void hello_encode(const struct peer_hello *hello, struct buffer *to) {
    write_number(to, HELLO_FORMAT, 1);
    write_text(to, hello->cluster);
    write_text(to, hello->node);
    write_number(to, hello->numeric_id, 8);
    write_number(to, hello->incarnation, 8);
    buffer_append(to, hello->storage_uuid, sizeof hello->storage_uuid);
    write_number(to, hello->boot, 8);
    write_number(to, hello->last_log_index, 8);
    write_number(to, hello->feature_level, 4);
    write_text(to, hello->version);
}

enum error_code hello_decode(const uint8_t *bytes, size_t size_bytes, struct peer_hello *ret_hello,
                             struct error *error) {
    struct reader reader = {.at = bytes, .left = size_bytes};
    struct peer_hello hello;
    memset(&hello, 0, sizeof hello);
    uint64_t format = read_number(&reader, 1);
    if (!reader.failed && format != HELLO_FORMAT) {
        return error_set(error, ERROR_PROTOCOL, "HELLO of format %u, not %d", (unsigned)format,
                         HELLO_FORMAT);
    }
    read_text(&reader, hello.cluster, sizeof hello.cluster);
    read_text(&reader, hello.node, sizeof hello.node);
    hello.numeric_id = read_number(&reader, 8);
    hello.incarnation = read_number(&reader, 8);
    memcpy(hello.storage_uuid, read_bytes(&reader, sizeof hello.storage_uuid),
           sizeof hello.storage_uuid);
    hello.boot = read_number(&reader, 8);
    hello.last_log_index = read_number(&reader, 8);
    hello.feature_level = (uint32_t)read_number(&reader, 4);
    read_text(&reader, hello.version, sizeof hello.version);
    if (reader.failed || reader.left != 0) {
        return error_set(error, ERROR_PROTOCOL, "malformed HELLO of %zu bytes", size_bytes);
    }
    if (!text_is_name(hello.cluster, TLS_NAME_SIZE - 1) ||
        !text_is_name(hello.node, TLS_NAME_SIZE - 1) || hello.numeric_id == 0 ||
        !text_is_utf8(hello.version, strlen(hello.version))) {
        return error_set(error, ERROR_PROTOCOL, "HELLO with an invalid name");
    }
    *ret_hello = hello;
    return ERROR_OK;
}

void refusal_encode(const struct refusal *refusal, struct buffer *to) {
    struct refusal whole = *refusal;
    size_t length = strlen(whole.reason);
    /* A sentence that was cut to fit may end within a character. */
    while (length > 0 && !text_is_utf8(whole.reason, length)) {
        whole.reason[--length] = '\0';
    }
    write_number(to, whole.code, 2);
    write_text(to, whole.reason);
}

enum error_code refusal_decode(const uint8_t *bytes, size_t size_bytes, struct refusal *ret_refusal,
                               struct error *error) {
    struct reader reader = {.at = bytes, .left = size_bytes};
    struct refusal refusal;
    uint64_t code = read_number(&reader, 2);
    read_text(&reader, refusal.reason, sizeof refusal.reason);
    if (reader.failed || reader.left != 0 || code == PEERS_REFUSAL_NONE ||
        !text_is_utf8(refusal.reason, strlen(refusal.reason))) {
        return error_set(error, ERROR_PROTOCOL, "malformed REFUSED of %zu bytes", size_bytes);
    }
    refusal.code = code <= PEERS_REFUSAL_OTHER ? (enum peers_refusal)code : PEERS_REFUSAL_OTHER;
    *ret_refusal = refusal;
    return ERROR_OK;
}

const char *peers_refusal_text(enum peers_refusal refusal) {
    switch (refusal) {
#define X(name, number, text)                                                                      \
    case PEERS_REFUSAL_##name:                                                                     \
        return text;
        PEERS_REFUSAL_TABLE(X)
#undef X
    }
    return "refused";
}
