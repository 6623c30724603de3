/* Raft messages as bytes: each kind there and back, each field at its limit, and 60,000 seeded
 * damages that must neither crash nor let through what the library would assert on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/limits.h"
#include "wire.h"

static uint8_t data[4096];
static struct raft_entry entries[3];

static void fill_append(struct raft_message *message) {
    memset(message, 0, sizeof *message);
    for (size_t i = 0; i < sizeof data; i++) {
        data[i] = (uint8_t)(i * 7);
    }
    entries[0] = (struct raft_entry){4, RAFT_COMMAND, {data, 64}, NULL};
    entries[1] = (struct raft_entry){5, RAFT_BARRIER, {data + 64, 8}, NULL};
    entries[2] = (struct raft_entry){5, RAFT_COMMAND, {data + 72, 1024}, NULL};
    message->type = RAFT_APPEND_ENTRIES;
    message->append_entries = (struct raft_append_entries){
        .version = 1,
        .term = 5,
        .prev_log_index = 100,
        .prev_log_term = 4,
        .leader_commit = 99,
        .entries = entries,
        .n_entries = 3,
    };
}

static void fill_snapshot(struct raft_message *message) {
    memset(message, 0, sizeof *message);
    message->type = RAFT_INSTALL_SNAPSHOT;
    struct raft_install_snapshot *args = &message->install_snapshot;
    args->version = 1;
    args->term = 9;
    args->last_index = 1000;
    args->last_term = 8;
    args->conf_index = 1;
    raft_configuration_init(&args->conf);
    assert_int_equal(raft_configuration_add(&args->conf, 11, "n1", RAFT_VOTER), 0);
    assert_int_equal(raft_configuration_add(&args->conf, 12, "node-two", RAFT_STANDBY), 0);
    args->data = (struct raft_buffer){data, 333};
}

/* One run of bytes, as it comes in. */
static uint8_t *encode(const struct raft_message *message, uint32_t first, size_t *ret_size,
                       uint32_t *ret_entries) {
    static struct wire_part part;
    size_t size = 0;
    assert_true(wire_encode(message, first, &part));
    for (uint32_t i = 0; i < part.buffer_count; i++) {
        size += part.buffers[i].len;
    }
    uint8_t *bytes = calloc(1, size + 1);
    size_t at = 0;
    for (uint32_t i = 0; i < part.buffer_count; i++) {
        memcpy(bytes + at, part.buffers[i].base, part.buffers[i].len);
        at += part.buffers[i].len;
    }
    if (ret_entries != NULL) {
        *ret_entries = part.entry_count;
    }
    buffer_finish(&part.head);
    *ret_size = size;
    return bytes;
}

static void test_append_entries(void **state) {
    struct raft_message message;
    struct raft_message back;
    struct error error;
    size_t size = 0;
    (void)state;
    fill_append(&message);
    uint8_t *bytes = encode(&message, 0, &size, NULL);
    assert_int_equal(wire_decode(bytes, size, &back, &error), ERROR_OK);
    const struct raft_append_entries *args = &back.append_entries;
    assert_int_equal(back.type, RAFT_APPEND_ENTRIES);
    assert_int_equal(args->version, 1);
    assert_int_equal(args->term, 5);
    assert_int_equal(args->prev_log_index, 100);
    assert_int_equal(args->prev_log_term, 4);
    assert_int_equal(args->leader_commit, 99);
    assert_int_equal(args->n_entries, 3);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(args->entries[i].term, entries[i].term);
        assert_int_equal(args->entries[i].type, entries[i].type);
        assert_int_equal(args->entries[i].buf.len, entries[i].buf.len);
        assert_memory_equal(args->entries[i].buf.base, entries[i].buf.base, entries[i].buf.len);
        assert_ptr_equal(args->entries[i].batch, args->entries[0].buf.base);
    }
    wire_release(&back);
    free(bytes);
    /* The rest from entry 1 on is a message of its own. */
    bytes = encode(&message, 1, &size, NULL);
    assert_int_equal(wire_decode(bytes, size, &back, &error), ERROR_OK);
    assert_int_equal(args->prev_log_index, 101);
    assert_int_equal(args->prev_log_term, 4);
    assert_int_equal(args->n_entries, 2);
    wire_release(&back);
    free(bytes);
    message.append_entries.n_entries = 0;
    bytes = encode(&message, 0, &size, NULL);
    assert_int_equal(wire_decode(bytes, size, &back, &error), ERROR_OK);
    assert_int_equal(args->n_entries, 0);
    assert_null(args->entries);
    free(bytes);
}

static void test_long_append_goes_in_parts(void **state) {
    struct raft_message message;
    struct raft_message back;
    struct error error;
    static struct raft_entry many[2000];
    uint8_t *big = calloc(1, WIRE_ENTRY_BYTES_MAX);
    (void)state;
    fill_append(&message);
    /* By size: 2 MiB each; then by count. */
    const struct {
        uint32_t count, bytes, parts;
    } cases[] = {{10, WIRE_ENTRY_BYTES_MAX, 4}, {2000, 64, 4}, {512, 64, 1}, {513, 64, 2}};
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        for (uint32_t i = 0; i < cases[c].count; i++) {
            many[i] = (struct raft_entry){5, RAFT_COMMAND, {big, cases[c].bytes}, NULL};
        }
        message.append_entries.entries = many;
        message.append_entries.n_entries = cases[c].count;
        uint32_t first = 0;
        uint32_t parts = 0;
        while (first < cases[c].count) {
            size_t size = 0;
            uint32_t count = 0;
            uint8_t *bytes = encode(&message, first, &size, &count);
            assert_true(size <= WIRE_MESSAGE_BYTES_MAX);
            assert_int_equal(wire_decode(bytes, size, &back, &error), ERROR_OK);
            assert_int_equal(back.append_entries.prev_log_index, 100 + first);
            assert_int_equal(back.append_entries.prev_log_term, first == 0 ? 4 : 5);
            assert_int_equal(back.append_entries.n_entries, count);
            wire_release(&back);
            free(bytes);
            first += count;
            parts++;
        }
        assert_int_equal(parts, cases[c].parts);
    }
    many[0].buf.len = WIRE_ENTRY_BYTES_MAX + 8;
    message.append_entries.n_entries = 1;
    static struct wire_part part;
    assert_false(wire_encode(&message, 0, &part));
    buffer_finish(&part.head);
    free(big);
}

static void test_snapshot(void **state) {
    struct raft_message message;
    struct raft_message back;
    struct error error;
    size_t size = 0;
    (void)state;
    fill_snapshot(&message);
    uint8_t *bytes = encode(&message, 0, &size, NULL);
    assert_int_equal(wire_decode(bytes, size, &back, &error), ERROR_OK);
    const struct raft_install_snapshot *args = &back.install_snapshot;
    assert_int_equal(args->term, 9);
    assert_int_equal(args->last_index, 1000);
    assert_int_equal(args->last_term, 8);
    assert_int_equal(args->conf_index, 1);
    assert_int_equal(args->conf.n, 2);
    assert_int_equal(args->conf.servers[1].id, 12);
    assert_string_equal(args->conf.servers[1].address, "node-two");
    assert_int_equal(args->conf.servers[1].role, RAFT_STANDBY);
    assert_int_equal(args->data.len, 333);
    assert_memory_equal(args->data.base, data, 333);
    wire_release(&back);
    free(bytes);
    raft_configuration_close(&message.install_snapshot.conf);
}

static void fill_small(enum raft_message_type type, struct raft_message *message) {
    memset(message, 0, sizeof *message);
    message->type = type;
    switch (type) {
    case RAFT_REQUEST_VOTE:
        message->request_vote = (struct raft_request_vote){2, 7, 42, 90, 6, true, true};
        break;
    case RAFT_REQUEST_VOTE_RESULT:
        message->request_vote_result =
            (struct raft_request_vote_result){2, 7, true, true, 3, 0xffff};
        break;
    case RAFT_APPEND_ENTRIES_RESULT:
        message->append_entries_result =
            (struct raft_append_entries_result){1, 7, WIRE_INDEX_MAX, 90, 1, 24576};
        break;
    default:
        message->timeout_now = (struct raft_timeout_now){1, 7, 90, 6};
        break;
    }
}

static void test_small_messages(void **state) {
    const enum raft_message_type types[] = {RAFT_REQUEST_VOTE, RAFT_REQUEST_VOTE_RESULT,
                                            RAFT_APPEND_ENTRIES_RESULT, RAFT_TIMEOUT_NOW};
    (void)state;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        struct raft_message message;
        struct raft_message back;
        struct error error;
        size_t size = 0;
        fill_small(types[i], &message);
        uint8_t *bytes = encode(&message, 0, &size, NULL);
        assert_int_equal(wire_decode(bytes, size, &back, &error), ERROR_OK);
        size_t again_size = 0;
        uint8_t *again = encode(&back, 0, &again_size, NULL);
        assert_int_equal(again_size, size);
        assert_memory_equal(again, bytes, size);
        /* Every shorter and longer one is refused. */
        for (size_t cut = 0; cut < size; cut++) {
            assert_int_not_equal(wire_decode(bytes, cut, &back, &error), ERROR_OK);
        }
        uint8_t *longer = calloc(1, size + 1);
        memcpy(longer, bytes, size);
        assert_int_equal(wire_decode(longer, size + 1, &back, &error), ERROR_PROTOCOL);
        free(longer);
        free(again);
        free(bytes);
    }
}

/* libraft refuses an older term's entries without setting last_log_index. */
static void test_refusal_with_an_unset_index_gets_through(void **state) {
    struct raft_message message;
    struct raft_message back;
    struct error error;
    size_t size = 0;
    (void)state;
    fill_small(RAFT_APPEND_ENTRIES_RESULT, &message);
    message.append_entries_result.last_log_index = UINT64_MAX - 7;
    uint8_t *bytes = encode(&message, 0, &size, NULL);
    assert_int_equal(wire_decode(bytes, size, &back, &error), ERROR_OK);
    assert_int_equal(back.append_entries_result.term, 7);
    assert_int_equal(back.append_entries_result.last_log_index, 0);
    free(bytes);
}

static enum error_code recode(const struct raft_message *message) {
    struct raft_message back;
    struct error error;
    size_t size = 0;
    uint8_t *bytes = encode(message, 0, &size, NULL);
    enum error_code code = wire_decode(bytes, size, &back, &error);
    if (code == ERROR_OK) {
        wire_release(&back);
    }
    free(bytes);
    return code;
}

/* What the library would assert on, each alone. */
static void test_impossible_fields_are_refused(void **state) {
    struct raft_message message;
    (void)state;
    fill_append(&message);
    struct raft_append_entries *args = &message.append_entries;
    args->term = WIRE_INDEX_MAX + 1;
    assert_int_equal(recode(&message), ERROR_PROTOCOL);
    fill_append(&message);
    args->prev_log_term = 0;
    assert_int_equal(recode(&message), ERROR_PROTOCOL);
    fill_append(&message);
    args->prev_log_index = 0;
    assert_int_equal(recode(&message), ERROR_PROTOCOL);
    fill_append(&message);
    args->prev_log_term = 6; /* beyond the leader's */
    assert_int_equal(recode(&message), ERROR_PROTOCOL);
    fill_append(&message);
    entries[1].term = 3; /* goes back */
    assert_int_equal(recode(&message), ERROR_PROTOCOL);
    fill_append(&message);
    entries[2].term = 6;
    assert_int_equal(recode(&message), ERROR_PROTOCOL);
    fill_append(&message);
    entries[0].term = 0;
    assert_int_equal(recode(&message), ERROR_PROTOCOL);
    fill_append(&message);
    entries[0].buf.len = 63;
    assert_int_equal(recode(&message), ERROR_PROTOCOL);
    fill_append(&message);
    entries[0].buf.len = 0;
    assert_int_equal(recode(&message), ERROR_PROTOCOL);
    fill_append(&message);
    entries[0].type = (enum raft_entry_type)4;
    assert_int_equal(recode(&message), ERROR_PROTOCOL);
    fill_append(&message);
    entries[0].type = RAFT_CHANGE; /* whose data is no configuration */
    assert_int_equal(recode(&message), ERROR_PROTOCOL);
    fill_append(&message);
    assert_int_equal(recode(&message), ERROR_OK);

    fill_snapshot(&message);
    message.install_snapshot.last_index = 0;
    assert_int_equal(recode(&message), ERROR_PROTOCOL);
    message.install_snapshot.last_index = 1000;
    message.install_snapshot.last_term = 0;
    assert_int_equal(recode(&message), ERROR_PROTOCOL);
    message.install_snapshot.last_term = 8;
    message.install_snapshot.data.len = 0;
    assert_int_equal(recode(&message), ERROR_PROTOCOL);
    message.install_snapshot.data.len = 333;
    assert_int_equal(recode(&message), ERROR_OK);
    raft_configuration_close(&message.install_snapshot.conf);

    fill_small(RAFT_REQUEST_VOTE, &message);
    message.request_vote.candidate_id = 0;
    assert_int_equal(recode(&message), ERROR_PROTOCOL);
    fill_small(RAFT_REQUEST_VOTE, &message);
    message.request_vote.term = 0;
    assert_int_equal(recode(&message), ERROR_PROTOCOL);
}

static void test_configurations(void **state) {
    struct raft_configuration configuration;
    struct raft_buffer encoded;
    (void)state;
    raft_configuration_init(&configuration);
    for (raft_id id = 1; id <= NODE_MAX + 1; id++) {
        char name[8] = {'n', (char)('a' + id), '\0'};
        assert_int_equal(raft_configuration_add(&configuration, id, name, RAFT_VOTER), 0);
        assert_int_equal(raft_configuration_encode(&configuration, &encoded), 0);
        assert_int_equal(wire_configuration_is_valid(encoded.base, encoded.len), id <= NODE_MAX);
        /* Cut anywhere, it is never read beyond its end (the sanitizer watches). */
        for (size_t size = 0; size < encoded.len; size++) {
            uint8_t *cut = malloc(size + 1);
            memcpy(cut, encoded.base, size);
            uint8_t *exact = realloc(cut, size == 0 ? 1 : size);
            assert_false(wire_configuration_is_valid(exact, size));
            free(exact);
        }
        raft_free(encoded.base);
    }
    raft_configuration_close(&configuration);
}

static uint64_t next_random(uint64_t *seed) {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static void damage(uint8_t *bytes, size_t *size, uint64_t *seed) {
    for (uint64_t changes = 1 + next_random(seed) % 4; changes > 0; changes--) {
        size_t at = *size == 0 ? 0 : next_random(seed) % *size;
        switch (next_random(seed) % 4) {
        case 0:
            bytes[at] ^= (uint8_t)(1u << next_random(seed) % 8);
            break;
        case 1:
            bytes[at] = (uint8_t)next_random(seed);
            break;
        case 2:
            *size = at; /* cut */
            break;
        default:
            bytes[at] = next_random(seed) % 2 == 0 ? 0 : 0xff;
            break;
        }
    }
}

static void test_damaged_messages(void **state) {
    struct raft_message messages[6];
    uint64_t seed = UINT64_C(0x9e3779b97f4a7c15);
    uint32_t accepted = 0;
    (void)state;
    fill_append(&messages[0]);
    fill_snapshot(&messages[1]);
    fill_small(RAFT_REQUEST_VOTE, &messages[2]);
    fill_small(RAFT_REQUEST_VOTE_RESULT, &messages[3]);
    fill_small(RAFT_APPEND_ENTRIES_RESULT, &messages[4]);
    fill_small(RAFT_TIMEOUT_NOW, &messages[5]);
    for (uint32_t round = 0; round < 60000; round++) {
        struct raft_message back;
        struct error error;
        size_t size = 0;
        uint8_t *bytes = encode(&messages[round % 6], 0, &size, NULL);
        damage(bytes, &size, &seed);
        uint8_t *exact = malloc(size == 0 ? 1 : size);
        memcpy(exact, bytes, size);
        if (wire_decode(exact, size, &back, &error) == ERROR_OK) {
            size_t again_size = 0;
            uint8_t *again = encode(&back, 0, &again_size, NULL);
            assert_int_equal(again_size, size);
            assert_memory_equal(again, exact, size);
            free(again);
            wire_release(&back);
            accepted++;
        }
        free(exact);
        free(bytes);
    }
    assert_true(accepted > 0 && accepted < 60000);
    raft_configuration_close(&messages[1].install_snapshot.conf);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_append_entries),
        cmocka_unit_test(test_long_append_goes_in_parts),
        cmocka_unit_test(test_snapshot),
        cmocka_unit_test(test_small_messages),
        cmocka_unit_test(test_refusal_with_an_unset_index_gets_through),
        cmocka_unit_test(test_impossible_fields_are_refused),
        cmocka_unit_test(test_configurations),
        cmocka_unit_test(test_damaged_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
