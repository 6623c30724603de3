/* The tables against both sides: each row is the field it claims to be, each byte of a struct is
 * bound by some row, and whatever is written is read back the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "core/command.h"
#include "core/lease.h"
#include "core/policy.h"
#include "fill.h"
#include "noctua.pb-c.h"
#include "tables.h"

#define ARENA_LIMIT (64 * 1024 * 1024)

static const struct bind_table *const all_tables[] = {
    &spec_region_table,
    &status_range_table,
    &spec_check_table,
    &spec_zone_table,
    &spec_record_table,
    &spec_policy_table,
    &spec_mongo_table,
    &spec_service_table,
    &spec_record_value_table,
    &gate_reading_table,
    &cited_report_table,
    &plan_step_table,
    &plan_table,
    &blob_table,
    &origin_table,
    &configured_node_table,
    &node_table,
    &opinion_table,
    &opinion_row_table,
    &suspect_table,
    &step_table,
    &execution_table,
    &debt_table,
    &service_table,
    &override_table,
    &client_table,
    &event_table,
    &move_table,
    &spec_revision_table,
    &lease_grant_table,
    &lease_answer_table,
    &report_head_table,
    &report_opinion_table,
    &report_window_table,
    &mongo_optime_table,
    &mongo_member_table,
    &mongo_facts_table,
    &mongo_view_table,
    &spec_table,
    &state_table,
};

static bool type_fits(const struct bind_row *row, const ProtobufCFieldDescriptor *field) {
    switch (row->kind) {
    case BIND_NUMBER:
        return (field->type == PROTOBUF_C_TYPE_UINT32 && row->size <= 4 &&
                row->high <= UINT32_MAX) ||
               (field->type == PROTOBUF_C_TYPE_UINT64 && row->size == 8);
    case BIND_BOOL:
        return field->type == PROTOBUF_C_TYPE_BOOL && row->size == sizeof(bool);
    case BIND_ENUM: {
        const ProtobufCEnumDescriptor *words = field->descriptor;
        return field->type == PROTOBUF_C_TYPE_ENUM && row->size == sizeof(int) &&
               words->n_values == row->high + 1 && words->values[row->high].value == (int)row->high;
    }
    case BIND_NAME:
        return field->type == PROTOBUF_C_TYPE_STRING && row->size == NAME_SIZE;
    case BIND_TEXT:
        return field->type == PROTOBUF_C_TYPE_STRING && row->size > 1;
    case BIND_OPAQUE:
    case BIND_BYTES:
        return field->type == PROTOBUF_C_TYPE_BYTES && row->shape == BIND_ONE;
    case BIND_MESSAGE:
        return field->type == PROTOBUF_C_TYPE_MESSAGE &&
               field->descriptor == row->table->descriptor && row->size == row->table->core_size;
    }
    return false;
}

static void assert_table_fits(const struct bind_table *table) {
    assert_int_equal(table->row_count, table->descriptor->n_fields);
    for (uint32_t i = 0; i < table->row_count; i++) {
        const struct bind_row *row = &table->rows[i];
        const ProtobufCFieldDescriptor *field = &table->descriptor->fields[i];
        bool repeated = field->label == PROTOBUF_C_LABEL_REPEATED;
        if (strcmp(row->name, field->name) != 0 || !type_fits(row, field) ||
            repeated != (row->shape != BIND_ONE) || (repeated && row->max == 0)) {
            fail_msg("%s: row %u is %s, field is %s", table->descriptor->name, i, row->name,
                     field->name);
        }
        /* Counts and sizes are stored as uint32_t. */
        assert_true(row->core + row->size <= table->core_size);
    }
}

static void each_row_is_its_field(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(all_tables); i++) {
        assert_table_fits(all_tables[i]);
    }
    for (unsigned kind = 1; kind < COMMAND_KIND_END; kind++) {
        if (kind != COMMAND_SPEC) {
            assert_non_null(command_table(kind));
            assert_table_fits(command_table(kind));
        }
    }
    assert_null(command_table(0));
    assert_null(command_table(COMMAND_KIND_END));
}

/* Command: field 10 + kind is of the kind's message, and there are no others. */
static void each_kind_has_its_field(void **state) {
    (void)state;
    const ProtobufCMessageDescriptor *command = &noctua__command__descriptor;
    assert_int_equal(command->n_fields, 3 + COMMAND_KIND_END - 1);
    for (unsigned kind = 1; kind < COMMAND_KIND_END; kind++) {
        const ProtobufCFieldDescriptor *field =
            protobuf_c_message_descriptor_get_field(command, 10 + kind);
        assert_non_null(field);
        assert_true(field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF);
        char word[NAME_SIZE];
        assert_true(TEXT_COPY(word, command_kind_text((enum command_kind)kind)));
        for (char *at = word; *at != '\0'; at++) {
            if (*at == '-') {
                *at = '_';
            }
        }
        assert_string_equal(field->name, word);
        if (kind != COMMAND_SPEC) {
            assert_ptr_equal(field->descriptor, command_table(kind)->descriptor);
        }
    }
}

#if defined(__has_builtin)
#if __has_builtin(__builtin_clear_padding)
#define CAN_SEE_PADDING 1
#endif
#endif

#ifdef CAN_SEE_PADDING
/* Bytes of the struct that are bound by the table, set in `covered`. */
static void cover(const struct bind_table *table, unsigned char *covered) {
    for (uint32_t i = 0; i < table->row_count; i++) {
        const struct bind_row *row = &table->rows[i];
        size_t size = row->size * (row->shape == BIND_ONE ? 1 : row->max);
        memset(covered + row->core, 1, size);
        if (row->shape == BIND_COUNTED || row->kind == BIND_BYTES) {
            memset(covered + row->count, 1, sizeof(uint32_t));
        }
    }
}

/* GCC 12 stops clearing padding behind a large array of structs that have padding themselves. In
 * such a struct a gap that only aligns what follows is let pass. */
static bool is_alignment(const unsigned char *covered, size_t size, size_t at) {
    size_t begin = at;
    size_t end = at;
    while (begin > 0 && covered[begin - 1] == 0) {
        begin--;
    }
    while (end < size && covered[end] == 0) {
        end++;
    }
    return end - begin < 8 && end % 8 == 0;
}

static void assert_covers(const struct bind_table *table, const unsigned char *used, size_t size,
                          bool large, const char *name) {
    unsigned char *covered = calloc(1, size);
    assert_non_null(covered);
    assert_int_equal(table->core_size, size);
    cover(table, covered);
    for (size_t i = 0; i < size; i++) {
        if (used[i] != 0 && covered[i] == 0 && !(large && is_alignment(covered, size, i))) {
            fail_msg("%s: the byte at offset %zu is in no row", name, i);
        }
    }
    free(covered);
}

/* A struct of ones whose padding is then cleared shows which bytes are members'. */
#define ASSERT_COVERS(type, table) ASSERT_COVERS_AS(type, table, false)
#define ASSERT_COVERS_LARGE(type, table) ASSERT_COVERS_AS(type, table, true)
#define ASSERT_COVERS_AS(type, table, large)                                                       \
    do {                                                                                           \
        __typeof__(type) *ones = malloc(sizeof *ones);                                             \
        assert_non_null(ones);                                                                     \
        memset(ones, 0xff, sizeof *ones);                                                          \
        __builtin_clear_padding(ones);                                                             \
        assert_covers((table), (const unsigned char *)ones, sizeof *ones, (large), #type);         \
        free(ones);                                                                                \
    } while (0)
#define COMMAND_BODY(member) __typeof__(((struct command *)0)->member)

static void every_byte_of_core_is_bound(void **state) {
    (void)state;
    ASSERT_COVERS(struct spec_region, &spec_region_table);
    ASSERT_COVERS(struct status_range, &status_range_table);
    ASSERT_COVERS(struct spec_check, &spec_check_table);
    ASSERT_COVERS(struct spec_zone, &spec_zone_table);
    ASSERT_COVERS(struct spec_record_value, &spec_record_value_table);
    ASSERT_COVERS(struct spec_record, &spec_record_table);
    ASSERT_COVERS(struct spec_policy, &spec_policy_table);
    ASSERT_COVERS(struct spec_mongo, &spec_mongo_table);
    ASSERT_COVERS(struct spec_service, &spec_service_table);
    ASSERT_COVERS_LARGE(struct spec, &spec_table);
    ASSERT_COVERS(struct gate_reading, &gate_reading_table);
    ASSERT_COVERS(struct cited_report, &cited_report_table);
    ASSERT_COVERS_LARGE(struct plan, &plan_table);
    ASSERT_COVERS(__typeof__(((struct plan *)0)->steps[0]), &plan_step_table);
    ASSERT_COVERS(struct blob, &blob_table);
    ASSERT_COVERS(struct command_origin, &origin_table);
    ASSERT_COVERS(__typeof__(((struct command_nodes *)0)->nodes[0]), &configured_node_table);
    ASSERT_COVERS(struct node, &node_table);
    ASSERT_COVERS(struct opinion, &opinion_table);
    ASSERT_COVERS(__typeof__(((struct service *)0)->opinions[0]), &opinion_row_table);
    ASSERT_COVERS(struct suspect, &suspect_table);
    ASSERT_COVERS(struct step, &step_table);
    ASSERT_COVERS_LARGE(struct execution, &execution_table);
    ASSERT_COVERS(struct debt, &debt_table);
    ASSERT_COVERS_LARGE(struct service, &service_table);
    ASSERT_COVERS(struct override, &override_table);
    ASSERT_COVERS(struct client, &client_table);
    ASSERT_COVERS(struct event, &event_table);
    ASSERT_COVERS(struct move, &move_table);
    ASSERT_COVERS_LARGE(struct state, &state_table);
    ASSERT_COVERS(struct report_opinion, &report_opinion_table);
    ASSERT_COVERS(struct report_window, &report_window_table);
    ASSERT_COVERS(struct mongo_optime, &mongo_optime_table);
    ASSERT_COVERS(struct mongo_member, &mongo_member_table);
    ASSERT_COVERS_LARGE(struct mongo_facts, &mongo_facts_table);
    ASSERT_COVERS_LARGE(struct mongo_view, &mongo_view_table);
    ASSERT_COVERS_LARGE(struct command_nodes, command_table(COMMAND_NODES));
    ASSERT_COVERS(COMMAND_BODY(leader), command_table(COMMAND_LEADER));
    ASSERT_COVERS(COMMAND_BODY(feature), command_table(COMMAND_FEATURE));
    ASSERT_COVERS(struct command_opinion, command_table(COMMAND_OPINION));
    ASSERT_COVERS(struct command_expire, command_table(COMMAND_EXPIRE));
    ASSERT_COVERS(struct command_tick, command_table(COMMAND_TICK));
    ASSERT_COVERS(COMMAND_BODY(suspect), command_table(COMMAND_SUSPECT));
    ASSERT_COVERS_LARGE(struct command_note, command_table(COMMAND_NOTE));
    ASSERT_COVERS_LARGE(struct command_decide, command_table(COMMAND_DECIDE));
    ASSERT_COVERS(struct command_step, command_table(COMMAND_INTENT));
    ASSERT_COVERS(COMMAND_BODY(halt), command_table(COMMAND_HALT));
    ASSERT_COVERS_LARGE(struct command_move, command_table(COMMAND_MOVE));
    ASSERT_COVERS(struct command_override, command_table(COMMAND_OVERRIDE));
    ASSERT_COVERS(struct command_choice, command_table(COMMAND_RELEASE));
}
#else
static void every_byte_of_core_is_bound(void **state) {
    (void)state;
    skip(); /* this compiler can't tell padding; another one runs it */
}
#endif

static void assert_round_trip(const struct bind_table *table, uint64_t seed) {
    void *before = calloc(1, table->core_size);
    void *after = calloc(1, table->core_size);
    assert_true(before != NULL && after != NULL);
    uint64_t random = seed;
    fill_struct(table, before, 3, &random);
    struct arena arena;
    struct error error = {0};
    arena_init(&arena, ARENA_LIMIT);
    struct buffer bytes;
    buffer_init(&bytes, 0);
    ProtobufCMessage *message;
    const ProtobufCMessage *read;
    if (bind_to_wire(table, &arena, before, true, &message, &error) != ERROR_OK ||
        bind_pack(message, ARENA_LIMIT, &bytes, &error) != ERROR_OK ||
        bind_unpack(table->descriptor, &arena, bytes.data, bytes.size_bytes, &read, &error) !=
            ERROR_OK ||
        bind_from_wire(table, read, after, &error) != ERROR_OK) {
        fail_msg("%s, seed %llu: %s", table->descriptor->name, (unsigned long long)seed,
                 error.message);
    }
    assert_memory_equal(before, after, table->core_size);
    assert_int_equal(bind_is_default(table, before), bytes.size_bytes == 0);
    assert_int_equal(bind_check_canonical(message, bytes.data, bytes.size_bytes, &error), ERROR_OK);
    buffer_finish(&bytes);
    arena_finish(&arena);
    free(before);
    free(after);
}

static void what_is_written_is_read_back(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(all_tables); i++) {
        uint64_t rounds = all_tables[i] == &state_table ? 5 : 50;
        for (uint64_t seed = 1; seed <= rounds; seed++) {
            assert_round_trip(all_tables[i], seed);
        }
    }
    for (unsigned kind = 1; kind < COMMAND_KIND_END; kind++) {
        for (uint64_t seed = 1; kind != COMMAND_SPEC && seed <= 50; seed++) {
            if (command_table(kind)->row_count > 0) {
                assert_round_trip(command_table(kind), seed);
            }
        }
    }
}

/* At the limit an array is read and written, one beyond it is neither. */
static void assert_limit(const struct bind_table *table, const struct bind_row *row, void *core) {
    struct arena arena;
    struct error error;
    arena_init(&arena, ARENA_LIMIT);
    ProtobufCMessage *message;
    uint64_t seed = 1;
    memset(core, 0, table->core_size);
    *(uint32_t *)((char *)core + row->count) = row->max;
    for (uint32_t e = 0; e < row->max && row->kind == BIND_MESSAGE; e++) {
        fill_struct(row->table, (char *)core + row->core + e * row->size, 0, &seed);
    }
    enum error_code code = bind_to_wire(table, &arena, core, true, &message, &error);
    /* Other rows may refuse their default (a name that must be there), never this one. */
    assert_true(code == ERROR_OK || strncmp(error.message, row->name, strlen(row->name)) != 0);
    *(uint32_t *)((char *)core + row->count) = row->max + 1;
    code = bind_to_wire(table, &arena, core, true, &message, &error);
    assert_true(code != ERROR_OK);
    arena_finish(&arena);
}

static void counts_end_at_their_limits(void **state) {
    (void)state;
    uint32_t seen = 0;
    for (size_t i = 0; i < ARRAY_LENGTH(all_tables); i++) {
        const struct bind_table *table = all_tables[i];
        void *core = malloc(table->core_size);
        assert_non_null(core);
        for (uint32_t r = 0; r < table->row_count; r++) {
            if (table->rows[r].shape == BIND_COUNTED) {
                assert_limit(table, &table->rows[r], core);
                seen++;
            }
        }
        free(core);
    }
    assert_true(seen >= 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_row_is_its_field),
        cmocka_unit_test(each_kind_has_its_field),
        cmocka_unit_test(every_byte_of_core_is_bound),
        cmocka_unit_test(what_is_written_is_read_back),
        cmocka_unit_test(counts_end_at_their_limits),
    };
    return cmocka_run_group_tests_name("codec tables", tests, NULL, NULL);
}
