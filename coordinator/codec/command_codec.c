#include "codec/command_codec.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "noctua.pb-c.h"
#include "tables.h"

/* protobuf-c's structs are a few times the size of the bytes; an empty submessage, at two bytes,
 * the most. More than this is no batch of ours. */
#define BATCH_MEMORY_MAX (64 * 1024 * 1024)
#define BODY_FIELD(kind) (10u + (unsigned)(kind)) /* proto/noctua.proto, Command */

static const struct bind_row envelope_rows[] = {
    ROW_INDEX(struct command, term),
    ROW_TIME(struct command, wall_ms),
};

static enum error_code check_envelope(const Noctua__Command *wire, struct error *error) {
    enum error_code code = bind_check_number(&envelope_rows[0], wire->term, error);
    return code != ERROR_OK ? code : bind_check_number(&envelope_rows[1], wire->wall_ms, error);
}

static enum error_code encode_spec(const struct command_spec *c, struct arena *arena,
                                   ProtobufCMessage **ret, struct error *error) {
    Noctua__SpecCommand *wire = arena_alloc(arena, sizeof *wire);
    if (wire == NULL) {
        return error_set(error, ERROR_NO_MEMORY, "no memory to encode");
    }
    noctua__spec_command__init(wire);
    if (c->spec == NULL || c->text_size > SPEC_TEXT_MAX || c->expected_index > BIND_INDEX_MAX ||
        (c->text_size > 0 && (c->text == NULL || !text_is_utf8(c->text, c->text_size)))) {
        return error_set(error, ERROR_INVALID, "a spec without content, or its text is no text");
    }
    ProtobufCMessage *spec = NULL;
    enum error_code code = bind_to_wire(&spec_table, arena, c->spec, true, &spec, error);
    if (code != ERROR_OK) {
        return code;
    }
    wire->spec = (Noctua__Spec *)spec;
    wire->text.len = c->text_size;
    wire->text.data = (uint8_t *)(uintptr_t)c->text;
    wire->expected_index = c->expected_index;
    *ret = &wire->base;
    return ERROR_OK;
}

static enum error_code encode_command(const struct command *command, struct arena *arena,
                                      Noctua__Command **ret, struct error *error) {
    const struct bind_table *table = command_table((unsigned)command->kind);
    if (table == NULL && command->kind != COMMAND_SPEC) {
        return error_set(error, ERROR_INVALID, "no command of kind %u", (unsigned)command->kind);
    }
    Noctua__Command *wire = arena_alloc(arena, sizeof *wire);
    if (wire == NULL) {
        return error_set(error, ERROR_NO_MEMORY, "no memory to encode");
    }
    noctua__command__init(wire);
    wire->term = command->term;
    wire->wall_ms = command->wall_ms;
    enum error_code code = check_envelope(wire, error);
    if (code == ERROR_OK && !bind_is_default(&origin_table, &command->origin)) {
        ProtobufCMessage *origin = NULL;
        code = bind_to_wire(&origin_table, arena, &command->origin, true, &origin, error);
        wire->origin = code == ERROR_OK ? (Noctua__Origin *)origin : NULL;
    }
    if (code != ERROR_OK) {
        return code;
    }
    ProtobufCMessage *body = NULL;
    code = command->kind == COMMAND_SPEC
               ? encode_spec(&command->spec, arena, &body, error)
               : bind_to_wire(table, arena, &command->nodes, true, &body, error);
    if (code != ERROR_OK) {
        return code;
    }
    wire->body_case = (Noctua__Command__BodyCase)BODY_FIELD(command->kind);
    wire->nodes = (Noctua__NodesCommand *)body;
    *ret = wire;
    return ERROR_OK;
}

static enum error_code encode_commands(const struct command *const *commands, uint32_t count,
                                       struct arena *arena, const ProtobufCMessage **ret,
                                       struct error *error) {
    if (count == 0 || count > CODEC_BATCH_COMMAND_MAX) {
        return error_set(error, ERROR_LIMIT, "%" PRIu32 " commands in an entry, 1 to %d", count,
                         CODEC_BATCH_COMMAND_MAX);
    }
    Noctua__Batch *batch = arena_alloc(arena, sizeof *batch);
    Noctua__Command **array = arena_alloc(arena, count * sizeof(void *));
    if (batch == NULL || array == NULL) {
        return error_set(error, ERROR_NO_MEMORY, "no memory to encode");
    }
    noctua__batch__init(batch);
    batch->version = CODEC_BATCH_VERSION;
    batch->n_commands = count;
    batch->commands = array;
    for (uint32_t i = 0; i < count; i++) {
        enum error_code code = encode_command(commands[i], arena, &array[i], error);
        if (code != ERROR_OK) {
            error_prefix(error, "command %" PRIu32 " (%s)", i,
                         command_kind_text(commands[i]->kind));
            return code;
        }
    }
    *ret = &batch->base;
    return ERROR_OK;
}

enum error_code codec_encode_batch(const struct command *const *commands, uint32_t count,
                                   struct buffer *out, struct error *error) {
    struct arena arena;
    struct error detail;
    error = error != NULL ? error : &detail;
    arena_init(&arena, BATCH_MEMORY_MAX);
    const ProtobufCMessage *batch = NULL;
    enum error_code code = encode_commands(commands, count, &arena, &batch, error);
    if (code == ERROR_OK) {
        code = bind_pack(batch, CODEC_BATCH_SIZE_MAX, out, error);
    }
    arena_finish(&arena);
    return code;
}

static enum error_code decode_spec(const Noctua__SpecCommand *wire, struct command_spec *ret,
                                   struct error *error) {
    enum error_code code = bind_check_known(&wire->base, error);
    if (code != ERROR_OK) {
        return code;
    }
    if (wire->spec == NULL || wire->text.len > SPEC_TEXT_MAX ||
        wire->expected_index > BIND_INDEX_MAX || !text_is_utf8(wire->text.data, wire->text.len)) {
        return error_set(error, ERROR_INVALID, "a spec without content, or its text is no text");
    }
    struct spec *spec = calloc(1, sizeof *spec);
    char *text = malloc(wire->text.len + 1);
    ret->spec = spec;
    ret->text = text;
    if (spec == NULL || text == NULL) {
        return error_set(error, ERROR_NO_MEMORY, "no memory for a spec");
    }
    if (wire->text.len > 0) {
        memcpy(text, wire->text.data, wire->text.len);
    }
    text[wire->text.len] = '\0';
    ret->text_size = (uint32_t)wire->text.len;
    ret->expected_index = wire->expected_index;
    return bind_from_wire(&spec_table, &wire->spec->base, spec, error);
}

static enum error_code decode_command(const Noctua__Command *wire, struct command *ret,
                                      struct error *error) {
    enum error_code code = bind_check_known(&wire->base, error);
    code = code == ERROR_OK ? check_envelope(wire, error) : code;
    if (code == ERROR_OK && wire->origin != NULL) {
        code = bind_from_wire(&origin_table, &wire->origin->base, &ret->origin, error);
    }
    if (code != ERROR_OK) {
        return code;
    }
    if (wire->body_case == NOCTUA__COMMAND__BODY__NOT_SET) {
        return error_set(error, ERROR_PROTOCOL, "a command without a kind");
    }
    ret->kind = (enum command_kind)((unsigned)wire->body_case - BODY_FIELD(0));
    ret->term = wire->term;
    ret->wall_ms = wire->wall_ms;
    if (ret->kind == COMMAND_SPEC) {
        return decode_spec(wire->spec, &ret->spec, error);
    }
    const struct bind_table *table = command_table((unsigned)ret->kind);
    assert(table != NULL); /* every kind of the .proto has one: tests/unit/codec/test_tables.c */
    const ProtobufCMessage *body = &wire->nodes->base;
    return bind_from_wire(table, body, &ret->nodes, error);
}

static enum error_code decode_commands(const Noctua__Batch *wire, struct command_batch *ret,
                                       struct error *error) {
    if (wire->version > CODEC_BATCH_VERSION) {
        return error_set(error, ERROR_UNSUPPORTED,
                         "written by a newer version (format %" PRIu32 ", this one knows %d)",
                         wire->version, CODEC_BATCH_VERSION);
    }
    enum error_code code = bind_check_known(&wire->base, error);
    if (code != ERROR_OK) {
        return code;
    }
    if (wire->version == 0 || wire->n_commands == 0) {
        return error_set(error, ERROR_PROTOCOL, "an entry without a version or without commands");
    }
    if (wire->n_commands > CODEC_BATCH_COMMAND_MAX) {
        return error_set(error, ERROR_LIMIT, "%zu commands, at most %d", wire->n_commands,
                         CODEC_BATCH_COMMAND_MAX);
    }
    ret->commands = calloc(wire->n_commands, sizeof(void *));
    if (ret->commands == NULL) {
        return error_set(error, ERROR_NO_MEMORY, "no memory for an entry");
    }
    for (uint32_t i = 0; i < wire->n_commands; i++) {
        ret->commands[i] = calloc(1, sizeof *ret->commands[i]);
        ret->count = i + 1;
        code = ret->commands[i] == NULL
                   ? error_set(error, ERROR_NO_MEMORY, "no memory for a command")
                   : decode_command(wire->commands[i], ret->commands[i], error);
        if (code != ERROR_OK) {
            error_prefix(error, "command %" PRIu32, i);
            return code;
        }
    }
    return ERROR_OK;
}

/* The decoded commands, written again, must give the same bytes: that finds whatever protobuf
 * tolerates (fields twice or out of order, long varints, text behind a NUL, explicit defaults). */
static enum error_code check_canonical(const struct command_batch *batch, const void *bytes,
                                       size_t size_bytes, struct arena *arena,
                                       struct error *error) {
    const ProtobufCMessage *again = NULL;
    enum error_code code = encode_commands((const struct command *const *)batch->commands,
                                           batch->count, arena, &again, error);
    return code != ERROR_OK ? code : bind_check_canonical(again, bytes, size_bytes, error);
}

enum error_code codec_decode_batch(const void *bytes, size_t size_bytes, struct command_batch *ret,
                                   struct error *error) {
    if (size_bytes > CODEC_BATCH_SIZE_MAX) {
        return error_set(error, ERROR_LIMIT, "an entry of %zu bytes, at most %d", size_bytes,
                         CODEC_BATCH_SIZE_MAX);
    }
    struct arena arena;
    struct error detail;
    error = error != NULL ? error : &detail;
    arena_init(&arena, BATCH_MEMORY_MAX);
    struct command_batch batch = {0};
    const ProtobufCMessage *wire = NULL;
    enum error_code code =
        bind_unpack(&noctua__batch__descriptor, &arena, bytes, size_bytes, &wire, error);
    if (code == ERROR_OK) {
        code = decode_commands((const Noctua__Batch *)wire, &batch, error);
    }
    if (code == ERROR_OK) {
        code = check_canonical(&batch, bytes, size_bytes, &arena, error);
    }
    if (code == ERROR_OK) {
        *ret = batch;
    } else {
        codec_batch_finish(&batch);
    }
    arena_finish(&arena);
    return code;
}

void codec_batch_finish(struct command_batch *batch) {
    for (uint32_t i = 0; i < batch->count; i++) {
        struct command *command = batch->commands[i];
        if (command != NULL && command->kind == COMMAND_SPEC) {
            free((void *)(uintptr_t)command->spec.spec);
            free((void *)(uintptr_t)command->spec.text);
        }
        free(command);
    }
    free(batch->commands);
    *batch = (struct command_batch){0};
}

void codec_plan_digest(const struct plan *plan, uint8_t digest[32]) {
    struct arena arena;
    arena_init(&arena, BATCH_MEMORY_MAX);
    ProtobufCMessage *message = NULL;
    if (bind_to_wire(&plan_table, &arena, plan, false, &message, NULL) != ERROR_OK) {
        abort(); /* only memory can be short here */
    }
    bind_digest(message, digest);
    arena_finish(&arena);
}

void codec_clean_text(char *text) {
    for (char *at = text; *at != '\0';) {
        /* The longest start that is well-formed: a character has at most four bytes. */
        size_t length = 1;
        size_t left = strnlen(at, 4);
        while (length <= left && !text_is_utf8(at, length)) {
            length++;
        }
        if (length > left) {
            *at = '?';
            length = 1;
        }
        at += length;
    }
}
