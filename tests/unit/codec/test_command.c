#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "codec/command_codec.h"
#include "fill.h"
#include "mutate.h"
#include "noctua.pb-c.h"
#include "tables.h"

static struct command *make_command(unsigned kind, uint64_t seed) {
    struct command *command = calloc(1, sizeof *command);
    assert_non_null(command);
    command->kind = (enum command_kind)kind;
    command->term = 7;
    command->wall_ms = 1790000000000;
    if (command_is_by_person(command->kind)) {
        fill_struct(&origin_table, &command->origin, 3, &seed);
    }
    if (kind == COMMAND_SPEC) {
        struct spec *spec = calloc(1, sizeof *spec);
        assert_non_null(spec);
        fill_struct(&spec_table, spec, 3, &seed);
        command->spec.spec = spec;
        command->spec.text = strdup("version: 1\n");
        command->spec.text_size = (uint32_t)strlen(command->spec.text);
        command->spec.expected_index = random_below(&seed, 1000);
    } else {
        fill_struct(command_table(kind), &command->nodes, 3, &seed);
    }
    return command;
}

static void free_command(struct command *command) {
    if (command->kind == COMMAND_SPEC) {
        free((void *)(uintptr_t)command->spec.spec);
        free((void *)(uintptr_t)command->spec.text);
    }
    free(command);
}

static void encode_one(unsigned kind, uint64_t seed, struct buffer *ret) {
    struct command *command = make_command(kind, seed);
    struct error error;
    buffer_init(ret, 0);
    if (codec_encode_batch((const struct command *const *)&command, 1, ret, &error) != ERROR_OK) {
        fail_msg("%s", error.message);
    }
    free_command(command);
}

static void assert_same_command(const struct command *a, const struct command *b) {
    if (a->kind == COMMAND_SPEC) {
        assert_int_equal(b->kind, COMMAND_SPEC);
        assert_memory_equal(a->spec.spec, b->spec.spec, sizeof *a->spec.spec);
        assert_int_equal(a->spec.text_size, b->spec.text_size);
        assert_memory_equal(a->spec.text, b->spec.text, a->spec.text_size);
        assert_int_equal(a->spec.expected_index, b->spec.expected_index);
        assert_memory_equal(&a->origin, &b->origin, sizeof a->origin);
        assert_int_equal(a->term, b->term);
        assert_int_equal(a->wall_ms, b->wall_ms);
    } else {
        assert_memory_equal(a, b, sizeof *a);
    }
}

static void every_kind_comes_back(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct command *commands[COMMAND_KIND_END - 1];
        for (unsigned kind = 1; kind < COMMAND_KIND_END; kind++) {
            commands[kind - 1] = make_command(kind, seed * 100 + kind);
        }
        struct buffer bytes;
        struct error error = {0};
        buffer_init(&bytes, 0);
        assert_int_equal(codec_encode_batch((const struct command *const *)commands,
                                            COMMAND_KIND_END - 1, &bytes, &error),
                         ERROR_OK);
        struct command_batch batch;
        if (codec_decode_batch(bytes.data, bytes.size_bytes, &batch, &error) != ERROR_OK) {
            fail_msg("%s", error.message);
        }
        assert_int_equal(batch.count, COMMAND_KIND_END - 1);
        for (uint32_t i = 0; i < batch.count; i++) {
            assert_same_command(commands[i], batch.commands[i]);
            free_command(commands[i]);
        }
        codec_batch_finish(&batch);
        codec_batch_finish(&batch); /* twice is fine */
        buffer_finish(&bytes);
    }
}

/* protobuf-c's own view of the bytes: kinds, numbers and names are those of the .proto. */
static void bytes_are_those_of_the_proto(void **state) {
    (void)state;
    struct command tick = {.kind = COMMAND_TICK, .term = 3, .wall_ms = 5};
    tick.tick.count = 2;
    tick.tick.clock_ms[0] = 300;
    const struct command *commands[] = {&tick};
    struct buffer bytes;
    buffer_init(&bytes, 0);
    assert_int_equal(codec_encode_batch(commands, 1, &bytes, NULL), ERROR_OK);
    static const uint8_t expected[] = {
        0x08, 0x01,                   /* version 1 */
        0x12, 0x0c,                   /* commands: 12 bytes */
        0x08, 0x03, 0x10, 0x05,       /* term 3, wall_ms 5 */
        0x82, 0x01, 0x05,             /* tick (16): 5 bytes */
        0x0a, 0x03, 0xac, 0x02, 0x00, /* clock_ms, packed: 300, 0 */
    };
    assert_int_equal(bytes.size_bytes, sizeof expected);
    assert_memory_equal(bytes.data, expected, sizeof expected);
    buffer_finish(&bytes);
}

static void encoding_appends_and_never_half(void **state) {
    (void)state;
    struct command leader = {.kind = COMMAND_LEADER, .term = 1, .leader = {.id = 5}};
    struct command wrong = {.kind = COMMAND_OPINION, .term = 1};
    wrong.opinion.region = REGION_MAX;
    const struct command *commands[] = {&leader, &wrong};
    struct buffer bytes;
    struct error error;
    buffer_init(&bytes, 0);
    buffer_append_text(&bytes, "before");
    assert_int_equal(codec_encode_batch(commands, 2, &bytes, &error), ERROR_INVALID);
    assert_string_equal(error.message, "command 1 (opinion): region: 16 is not between 0 and 15");
    assert_string_equal(bytes.data, "before");
    assert_int_equal(codec_encode_batch(commands, 1, &bytes, &error), ERROR_OK);
    assert_memory_equal(bytes.data, "before", 6);
    buffer_finish(&bytes);
    /* No room: as it was, and usable. */
    buffer_init(&bytes, 8);
    buffer_append_text(&bytes, "before");
    assert_int_equal(codec_encode_batch(commands, 1, &bytes, &error), ERROR_NO_MEMORY);
    assert_string_equal(bytes.data, "before");
    assert_false(bytes.failed);
    buffer_finish(&bytes);
}

static void nobody_writes_what_nobody_reads(void **state) {
    (void)state;
    struct buffer bytes;
    buffer_init(&bytes, 0);
    static struct command c;
    const struct command *commands[CODEC_BATCH_COMMAND_MAX + 1];
    for (size_t i = 0; i < ARRAY_LENGTH(commands); i++) {
        commands[i] = &c;
    }
#define REFUSED(expected, ...)                                                                     \
    do {                                                                                           \
        memset(&c, 0, sizeof c);                                                                   \
        c.kind = COMMAND_LEADER;                                                                   \
        __VA_ARGS__;                                                                               \
        assert_int_equal(codec_encode_batch(commands, 1, &bytes, NULL), (expected));               \
        assert_int_equal(bytes.size_bytes, 0);                                                     \
    } while (0)
    REFUSED(ERROR_INVALID, c.kind = (enum command_kind)0);
    REFUSED(ERROR_INVALID, c.kind = COMMAND_KIND_END);
    REFUSED(ERROR_INVALID, c.term = UINT64_MAX);
    REFUSED(ERROR_INVALID, c.wall_ms = TIME_MAX_MS + 1);
    REFUSED(ERROR_INVALID, c.leader.id = UINT64_MAX);
    REFUSED(ERROR_INVALID, TEXT_COPY(c.origin.reason, "a\x01"));
    REFUSED(ERROR_INVALID, TEXT_COPY(c.origin.reason, "\xff"));
    REFUSED(ERROR_INVALID, memset(c.origin.reason, 'a', sizeof c.origin.reason));
    REFUSED(ERROR_UNSUPPORTED, c.origin.role = ROLE_COUNT);
    REFUSED(ERROR_INVALID, c.kind = COMMAND_CANCEL; TEXT_COPY(c.choice.service, "No Name"));
    REFUSED(ERROR_INVALID, c.kind = COMMAND_CANCEL);
    REFUSED(ERROR_INVALID, c.kind = COMMAND_SPEC);
    REFUSED(ERROR_LIMIT, c.kind = COMMAND_TICK; c.tick.count = NODE_MAX + 1);
    REFUSED(ERROR_LIMIT, c.kind = COMMAND_INTENT; c.step.before.size_bytes = BLOB_SIZE + 1);
    REFUSED(ERROR_INVALID, c.kind = COMMAND_MOVE; TEXT_COPY(c.move.service, "a");
            c.move.skipped_gates = 1u << GATE_COUNT);
    assert_int_equal(codec_encode_batch(commands, 0, &bytes, NULL), ERROR_LIMIT);
    memset(&c, 0, sizeof c);
    c.kind = COMMAND_LEADER;
    assert_int_equal(codec_encode_batch(commands, CODEC_BATCH_COMMAND_MAX, &bytes, NULL), ERROR_OK);
    assert_int_equal(codec_encode_batch(commands, CODEC_BATCH_COMMAND_MAX + 1, &bytes, NULL),
                     ERROR_LIMIT);
    buffer_finish(&bytes);
}

/* One byte string a row, all of them refused in their own way. */
static void strange_bytes_are_refused(void **state) {
    (void)state;
#define BYTES(text) (const uint8_t *)(text), sizeof(text) - 1
    static const struct {
        const char *what;
        const uint8_t *bytes;
        size_t size;
        enum error_code code;
    } rows[] = {
        {"nothing", BYTES(""), ERROR_PROTOCOL},
        {"no commands", BYTES("\x08\x01"), ERROR_PROTOCOL},
        {"no version", BYTES("\x12\x06\x08\x03\x62\x02\x08\x05"), ERROR_PROTOCOL},
        {"newer version", BYTES("\x08\x02\x12\x06\x08\x03\x62\x02\x08\x05"), ERROR_UNSUPPORTED},
        {"fine", BYTES("\x08\x01\x12\x06\x08\x03\x62\x02\x08\x05"), ERROR_OK},
        {"no kind", BYTES("\x08\x01\x12\x02\x08\x03"), ERROR_PROTOCOL},
        {"unknown kind", BYTES("\x08\x01\x12\x07\x08\x03\xb2\x02\x02\x08\x05"), ERROR_UNSUPPORTED},
        {"unknown field of a command", BYTES("\x08\x01\x12\x08\x08\x03\x20\x01\x62\x02\x08\x05"),
         ERROR_UNSUPPORTED},
        {"unknown field of a body", BYTES("\x08\x01\x12\x08\x08\x03\x62\x04\x08\x05\x10\x01"),
         ERROR_UNSUPPORTED},
        {"unknown field of the batch", BYTES("\x08\x01\x12\x06\x08\x03\x62\x02\x08\x05\x18\x01"),
         ERROR_UNSUPPORTED},
        {"unknown enum value", BYTES("\x08\x01\x12\x06\x08\x03\x72\x02\x30\x04"),
         ERROR_UNSUPPORTED},
        {"negative enum value",
         BYTES("\x08\x01\x12\x0f\x08\x03\x72\x0b\x30\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
         ERROR_UNSUPPORTED},
        {"two bodies", BYTES("\x08\x01\x12\x0a\x08\x03\x62\x02\x08\x05\x6a\x02\x08\x01"),
         ERROR_PROTOCOL},
        {"a field twice", BYTES("\x08\x01\x12\x08\x08\x02\x08\x03\x62\x02\x08\x05"),
         ERROR_PROTOCOL},
        {"out of order", BYTES("\x08\x01\x12\x06\x62\x02\x08\x05\x08\x03"), ERROR_PROTOCOL},
        {"an explicit default", BYTES("\x08\x01\x12\x08\x08\x03\x10\x00\x62\x02\x08\x05"),
         ERROR_PROTOCOL},
        {"a long varint", BYTES("\x08\x01\x12\x07\x08\x83\x00\x62\x02\x08\x05"), ERROR_PROTOCOL},
        {"cut", BYTES("\x08\x01\x12\x06\x08\x03\x62\x02\x08"), ERROR_PROTOCOL},
        {"a zero behind", BYTES("\x08\x01\x12\x06\x08\x03\x62\x02\x08\x05\x00"), ERROR_PROTOCOL},
        {"text behind a NUL",
         BYTES("\x08\x01\x12\x0d\x08\x03\x9a\x02\x08\x0a\x01\x61\x22\x03"
               "b\0c"),
         ERROR_PROTOCOL},
        {"a trailing default place",
         BYTES("\x08\x01\x12\x0c\x08\x03\xea\x01\x07\x0a\x01"
               "a\x3a\x00\x3a\x00"),
         ERROR_PROTOCOL},
        {"a large id", BYTES("\x08\x01\x12\x0c\x08\x03\x62\x08\x08\xff\xff\xff\xff\xff\xff\x7f"),
         ERROR_OK},
        {"an id of 64 bits",
         BYTES("\x08\x01\x12\x0f\x08\x03\x62\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
         ERROR_INVALID},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct command_batch batch;
        memset(&batch, 0x5a, sizeof batch);
        struct error error = {0};
        enum error_code code = codec_decode_batch(rows[i].bytes, rows[i].size, &batch, &error);
        if (code != rows[i].code) {
            fail_msg("%s: %s, %s", rows[i].what, error_text(code), error.message);
        }
        if (code == ERROR_OK) {
            codec_batch_finish(&batch);
        }
    }
}

static void more_than_fits_is_refused(void **state) {
    (void)state;
    /* Ten clocks, in a message that protobuf-c itself writes. */
    uint64_t clocks[NODE_MAX + 1];
    for (size_t i = 0; i < ARRAY_LENGTH(clocks); i++) {
        clocks[i] = 1;
    }
    Noctua__TickCommand tick = NOCTUA__TICK_COMMAND__INIT;
    Noctua__Command command = NOCTUA__COMMAND__INIT;
    Noctua__Command *commands[] = {&command};
    Noctua__Batch batch = NOCTUA__BATCH__INIT;
    batch.version = 1;
    batch.n_commands = 1;
    batch.commands = commands;
    command.body_case = NOCTUA__COMMAND__BODY_TICK;
    command.tick = &tick;
    tick.clock_ms = clocks;
    uint8_t bytes[256];
    struct command_batch decoded;
    struct error error;
    tick.n_clock_ms = NODE_MAX;
    size_t size = noctua__batch__pack(&batch, bytes);
    assert_int_equal(codec_decode_batch(bytes, size, &decoded, &error), ERROR_OK);
    codec_batch_finish(&decoded);
    tick.n_clock_ms = NODE_MAX + 1;
    size = noctua__batch__pack(&batch, bytes);
    assert_int_equal(codec_decode_batch(bytes, size, &decoded, &error), ERROR_LIMIT);
    assert_string_equal(error.message, "command 0: clock_ms: 10 of them, at most 9");
    uint8_t *large = calloc(1, CODEC_BATCH_SIZE_MAX + 1);
    assert_int_equal(codec_decode_batch(large, CODEC_BATCH_SIZE_MAX + 1, &decoded, &error),
                     ERROR_LIMIT);
    free(large);
}

static void a_spec_text_ends_at_its_limit(void **state) {
    (void)state;
    char *text = malloc(SPEC_TEXT_MAX + 1);
    assert_non_null(text);
    memset(text, 'a', SPEC_TEXT_MAX + 1);
    Noctua__Spec spec = NOCTUA__SPEC__INIT;
    Noctua__SpecCommand body = NOCTUA__SPEC_COMMAND__INIT;
    Noctua__Command command = NOCTUA__COMMAND__INIT;
    Noctua__Command *commands[] = {&command};
    Noctua__Batch batch = NOCTUA__BATCH__INIT;
    batch.version = 1;
    batch.n_commands = 1;
    batch.commands = commands;
    command.body_case = NOCTUA__COMMAND__BODY_SPEC;
    command.spec = &body;
    body.spec = &spec;
    body.text.data = (uint8_t *)text;
    uint8_t *bytes = malloc(SPEC_TEXT_MAX + 100);
    assert_non_null(bytes);
    struct command_batch decoded;
    body.text.len = SPEC_TEXT_MAX;
    assert_int_equal(codec_decode_batch(bytes, noctua__batch__pack(&batch, bytes), &decoded, NULL),
                     ERROR_OK);
    assert_int_equal(decoded.commands[0]->spec.text_size, SPEC_TEXT_MAX);
    codec_batch_finish(&decoded);
    body.text.len = SPEC_TEXT_MAX + 1;
    assert_int_equal(codec_decode_batch(bytes, noctua__batch__pack(&batch, bytes), &decoded, NULL),
                     ERROR_INVALID);
    text[7] = '\r';
    body.text.len = SPEC_TEXT_MAX;
    assert_int_equal(codec_decode_batch(bytes, noctua__batch__pack(&batch, bytes), &decoded, NULL),
                     ERROR_INVALID);
    body.spec = NULL;
    body.text.len = 1;
    assert_int_equal(codec_decode_batch(bytes, noctua__batch__pack(&batch, bytes), &decoded, NULL),
                     ERROR_INVALID);
    free(bytes);
    free(text);
}

/* Two bytes a command, a thousand times as much in memory: refused, not allocated. */
static void empty_messages_are_bounded(void **state) {
    (void)state;
    size_t size = CODEC_BATCH_SIZE_MAX;
    uint8_t *bytes = malloc(size);
    for (size_t i = 0; i + 1 < size; i += 2) {
        bytes[i] = 0x12;
        bytes[i + 1] = 0x00;
    }
    struct command_batch batch;
    struct error error;
    bytes[0] = 0x08;
    bytes[1] = 0x01;
    /* The parser itself gave up at the arena's limit: a batch that parsed would have too many
     * commands (ERROR_LIMIT), as the shorter one here has. */
    assert_int_equal(codec_decode_batch(bytes, size, &batch, &error), ERROR_PROTOCOL);
    uint8_t some[2 + 2 * (CODEC_BATCH_COMMAND_MAX + 1)] = {0x08, 0x01};
    for (size_t i = 2; i < sizeof some; i += 2) {
        some[i] = 0x12;
    }
    assert_int_equal(codec_decode_batch(some, sizeof some, &batch, &error), ERROR_LIMIT);
    assert_int_equal(codec_decode_batch(some, sizeof some - 2, &batch, &error), ERROR_PROTOCOL);
    assert_string_equal(error.message, "command 0: a command without a kind");
    free(bytes);
}

static void damaged_batches_never_crash(void **state) {
    (void)state;
    struct buffer bytes[COMMAND_KIND_END];
    for (unsigned kind = 1; kind < COMMAND_KIND_END; kind++) {
        encode_one(kind, kind, &bytes[kind]);
    }
    uint64_t seed = 20261123;
    uint32_t accepted = 0;
    for (uint32_t round = 0; round < 20000; round++) {
        unsigned kind = 1 + (unsigned)random_below(&seed, COMMAND_KIND_END - 1);
        size_t size;
        uint8_t *damaged = mutate_bytes(bytes[kind].data, bytes[kind].size_bytes, &seed, &size);
        struct command_batch batch;
        struct error error;
        if (codec_decode_batch(damaged, size, &batch, &error) == ERROR_OK) {
            struct buffer again;
            buffer_init(&again, 0);
            assert_int_equal(codec_encode_batch((const struct command *const *)batch.commands,
                                                batch.count, &again, &error),
                             ERROR_OK);
            assert_int_equal(again.size_bytes, size);
            assert_memory_equal(again.data, damaged, size);
            buffer_finish(&again);
            codec_batch_finish(&batch);
            accepted++;
        }
        free(damaged);
    }
    print_message("accepted %u of 20000\n", accepted);
    assert_in_range(accepted, 1, 19999);
    for (unsigned kind = 1; kind < COMMAND_KIND_END; kind++) {
        buffer_finish(&bytes[kind]);
    }
}

static void plans_have_a_digest(void **state) {
    (void)state;
    struct plan a = {0};
    struct plan b = {0};
    uint64_t seed = 4;
    fill_struct(&plan_table, &a, 5, &seed);
    a.count = a.count == 0 ? 1 : a.count;
    b = a;
    uint8_t one[32], other[32];
    codec_plan_digest(&a, one);
    codec_plan_digest(&b, other);
    assert_memory_equal(one, other, 32);
    b.steps[0].needs ^= 1;
    codec_plan_digest(&b, other);
    assert_memory_not_equal(one, other, 32);
}

static void foreign_text_is_cleaned(void **state) {
    (void)state;
    static const char *const rows[][2] = {
        {"", ""},
        {"plain\ttext\n", "plain\ttext\n"},
        {"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\xa6\x89", "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\xa6\x89"},
        {"cut \xe2\x82", "cut ??"},
        {"\xff\xc0\x80x\x01\x7f", "???x??"},
        {"\xed\xa0\x80", "???"},
        {"line\r\n", "line?\n"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        char text[64];
        assert_true(TEXT_COPY(text, rows[i][0]));
        codec_clean_text(text);
        assert_string_equal(text, rows[i][1]);
        assert_true(text_is_utf8(text, strlen(text)));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_comes_back),
        cmocka_unit_test(bytes_are_those_of_the_proto),
        cmocka_unit_test(encoding_appends_and_never_half),
        cmocka_unit_test(nobody_writes_what_nobody_reads),
        cmocka_unit_test(strange_bytes_are_refused),
        cmocka_unit_test(more_than_fits_is_refused),
        cmocka_unit_test(a_spec_text_ends_at_its_limit),
        cmocka_unit_test(empty_messages_are_bounded),
        cmocka_unit_test(damaged_batches_never_crash),
        cmocka_unit_test(plans_have_a_digest),
        cmocka_unit_test(foreign_text_is_cleaned),
    };
    return cmocka_run_group_tests_name("command codec", tests, NULL, NULL);
}
