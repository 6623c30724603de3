#include "codec/lease_codec.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "noctua.pb-c.h"
#include "tables.h"

#define LEASE_MEMORY_MAX (1024 * 1024)

static const struct bind_row grant_rows[] = {
    ROW_NAME(struct lease_grant, service),
    ROW_NAME(struct lease_grant, region),
    ROW_INDEX(struct lease_grant, epoch),
    ROW_NUMBER(struct lease_grant, length_ms, LEASE_MAX_MS),
};
const struct bind_table lease_grant_table =
    BIND_TABLE(struct lease_grant, noctua__lease_grant__descriptor, grant_rows);

static const struct bind_row answer_rows[] = {
    ROW_ANY(struct lease_answer, version),
    ROW_INDEX(struct lease_answer, boot),
    ROW_INDEX(struct lease_answer, number),
    ROW_COUNTED(struct lease_answer, grants, grant_count, lease_grant_table),
};
const struct bind_table lease_answer_table =
    BIND_TABLE(struct lease_answer, noctua__lease_answer__descriptor, answer_rows);

enum error_code codec_encode_lease(const struct lease_answer *answer, struct buffer *out,
                                   struct error *error) {
    struct arena arena;
    struct error detail;
    ProtobufCMessage *wire = NULL;
    error = error != NULL ? error : &detail;
    arena_init(&arena, LEASE_MEMORY_MAX);
    enum error_code code = bind_to_wire(&lease_answer_table, &arena, answer, true, &wire, error);
    code = code == ERROR_OK ? bind_pack(wire, CODEC_LEASE_SIZE_MAX, out, error) : code;
    arena_finish(&arena);
    return code;
}

static enum error_code read_answer(const void *bytes, size_t size_bytes, struct arena *arena,
                                   struct lease_answer *ret, struct error *error) {
    const ProtobufCMessage *message = NULL;
    enum error_code code =
        bind_unpack(&noctua__lease_answer__descriptor, arena, bytes, size_bytes, &message, error);
    if (code != ERROR_OK) {
        return code;
    }
    uint32_t version = ((const Noctua__LeaseAnswer *)message)->version;
    if (version != LEASE_ANSWER_VERSION) {
        return error_set(error, version == 0 ? ERROR_PROTOCOL : ERROR_UNSUPPORTED,
                         "an answer about leases in format %" PRIu32 ", this one knows %d", version,
                         LEASE_ANSWER_VERSION);
    }
    code = bind_from_wire(&lease_answer_table, message, ret, error);
    return code == ERROR_OK ? bind_check_canonical(message, bytes, size_bytes, error) : code;
}

enum error_code codec_decode_lease(const void *bytes, size_t size_bytes, struct lease_answer *ret,
                                   struct error *error) {
    struct arena arena;
    struct error detail;
    error = error != NULL ? error : &detail;
    struct lease_answer *answer = calloc(1, sizeof *answer);
    if (answer == NULL) {
        return error_set(error, ERROR_NO_MEMORY, "no memory for an answer about leases");
    }
    arena_init(&arena, LEASE_MEMORY_MAX);
    enum error_code code = read_answer(bytes, size_bytes, &arena, answer, error);
    if (code == ERROR_OK) {
        memcpy(ret, answer, sizeof *ret);
    }
    free(answer);
    arena_finish(&arena);
    return code;
}
