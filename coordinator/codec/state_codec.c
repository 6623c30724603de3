#include "codec/state_codec.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "noctua.pb-c.h"
#include "tables.h"

#define STATE_MEMORY_MAX (256 * 1024 * 1024) /* a few times CODEC_SNAPSHOT_SIZE_MAX */
#define PAGE_BYTES 4096

/* The snapshot as a message in the arena; it points into the state. */
static enum error_code make_snapshot(const struct state *state, bool check, struct arena *arena,
                                     const ProtobufCMessage **ret, struct error *error) {
    Noctua__Snapshot *snapshot = arena_alloc(arena, sizeof *snapshot);
    if (snapshot == NULL) {
        return error_set(error, ERROR_NO_MEMORY, "no memory to encode");
    }
    noctua__snapshot__init(snapshot);
    snapshot->version = CODEC_SNAPSHOT_VERSION;
    snapshot->feature_level = state->feature_level;
    ProtobufCMessage *content = NULL;
    enum error_code code = bind_to_wire(&state_table, arena, state, check, &content, error);
    if (code == ERROR_OK) {
        snapshot->state = (Noctua__State *)content;
        *ret = &snapshot->base;
    }
    return code;
}

enum error_code codec_encode_state(const struct state *state, struct buffer *out,
                                   struct error *error) {
    struct arena arena;
    struct error detail;
    error = error != NULL ? error : &detail;
    arena_init(&arena, STATE_MEMORY_MAX);
    const ProtobufCMessage *snapshot = NULL;
    enum error_code code = make_snapshot(state, true, &arena, &snapshot, error);
    if (code == ERROR_OK) {
        code = bind_pack(snapshot, CODEC_SNAPSHOT_SIZE_MAX, out, error);
    }
    if (code != ERROR_OK && code != ERROR_NO_MEMORY) {
        error_prefix(error, "the state can't be written as it couldn't be read back");
        code = error->code = ERROR_INTERNAL;
    }
    arena_finish(&arena);
    return code;
}

void codec_state_digest(const struct state *state, uint8_t digest[32]) {
    struct arena arena;
    arena_init(&arena, STATE_MEMORY_MAX);
    const ProtobufCMessage *snapshot = NULL;
    if (make_snapshot(state, false, &arena, &snapshot, NULL) != ERROR_OK) {
        abort(); /* only memory can be short here, and a wrong digest would stop the group */
    }
    bind_digest(snapshot, digest);
    arena_finish(&arena);
}

/* Zeroes what isn't: writing a page that was never touched would make it resident. */
static void zero_state(struct state *state) {
    static const char zeroes[PAGE_BYTES];
    char *at = (char *)state;
    size_t left = sizeof *state;
    while (left > 0) {
        size_t part = left < PAGE_BYTES ? left : PAGE_BYTES;
        if (memcmp(at, zeroes, part) != 0) {
            memset(at, 0, part);
        }
        at += part;
        left -= part;
    }
}

static enum error_code check_envelope(const Noctua__Snapshot *wire, struct error *error) {
    if (wire->version > CODEC_SNAPSHOT_VERSION) {
        return error_set(error, ERROR_UNSUPPORTED,
                         "snapshot format %" PRIu32 " is newer than this version's %d: upgrade "
                         "this node",
                         wire->version, CODEC_SNAPSHOT_VERSION);
    }
    if (wire->feature_level > FEATURE_LEVEL_NEWEST) {
        return error_set(error, ERROR_UNSUPPORTED,
                         "feature level %" PRIu32 " is above this version's %d: upgrade this node",
                         wire->feature_level, FEATURE_LEVEL_NEWEST);
    }
    enum error_code code = bind_check_known(&wire->base, error);
    if (code == ERROR_OK && (wire->version == 0 || wire->state == NULL ||
                             wire->state->feature_level != wire->feature_level)) {
        code = error_set(error, ERROR_PROTOCOL, "no snapshot: version, level or state is missing");
    }
    return code;
}

/* What the tables can't say: places that lie within the limit of an array must lie within its
 * count. Not spec_broken_rule: a rule that came later must not make an old group's snapshot
 * unreadable. */
static const char *find_wrong_place(const struct spec *spec) {
    for (uint32_t s = 0; s < spec->service_count; s++) {
        const struct spec_service *service = &spec->services[s];
        if (service->home >= spec->region_count) {
            return "a service's home is no region";
        }
        for (uint32_t i = 0; i < service->target_count; i++) {
            if (service->targets[i] >= spec->region_count) {
                return "a service's target is no region";
            }
        }
        for (uint32_t i = 0; i < service->record_count; i++) {
            if (service->records[i].zone >= service->zone_count) {
                return "a record is in no zone";
            }
        }
    }
    return NULL;
}

static enum error_code check_whole(const struct state *state, struct error *error) {
    const char *broken = find_wrong_place(&state->spec);
    broken = broken != NULL ? broken : state_broken_invariant(state);
    return broken == NULL ? ERROR_OK : error_set(error, ERROR_CORRUPT, "snapshot: %s", broken);
}

static enum error_code decode_into(const void *bytes, size_t size_bytes, struct arena *arena,
                                   struct state *into, bool is_new, struct error *error) {
    const ProtobufCMessage *wire = NULL;
    enum error_code code =
        bind_unpack(&noctua__snapshot__descriptor, arena, bytes, size_bytes, &wire, error);
    if (code == ERROR_OK) {
        code = check_envelope((const Noctua__Snapshot *)wire, error);
    }
    /* Only now: what is no snapshot is refused without a look at all of the state's memory. */
    if (code == ERROR_OK) {
        if (!is_new) {
            zero_state(into);
        }
        code = bind_from_wire(&state_table, &((const Noctua__Snapshot *)wire)->state->base, into,
                              error);
    }
    if (code == ERROR_OK) {
        code = check_whole(into, error);
    }
    return code;
}

enum error_code codec_decode_state(const void *bytes, size_t size_bytes, struct state *into,
                                   bool is_new, struct error *error) {
    if (size_bytes > CODEC_SNAPSHOT_SIZE_MAX) {
        return error_set(error, ERROR_LIMIT, "a snapshot of %zu bytes, at most %d", size_bytes,
                         CODEC_SNAPSHOT_SIZE_MAX);
    }
    struct arena arena;
    struct error detail;
    error = error != NULL ? error : &detail;
    arena_init(&arena, STATE_MEMORY_MAX);
    enum error_code code = decode_into(bytes, size_bytes, &arena, into, is_new, error);
    if (code == ERROR_OK) {
        arena_finish(&arena);
        arena_init(&arena, STATE_MEMORY_MAX);
        const ProtobufCMessage *again = NULL;
        code = make_snapshot(into, true, &arena, &again, error);
        if (code == ERROR_OK) {
            code = bind_check_canonical(again, bytes, size_bytes, error);
        }
    }
    arena_finish(&arena);
    return code;
}
