/* Raft's messages, when memory runs out in the middle. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "failing.h"
#include "wire.h"

static uint8_t data[4096];
static struct raft_entry entries[3];
static struct raft_message message;
static struct wire_part part;

static bool there_and_back(void) {
    uint8_t bytes[8192];
    size_t size_bytes = 0;
    struct raft_message back;
    struct error error;
    memset(&part, 0, sizeof part);
    if (!wire_encode(&message, 0, &part)) {
        buffer_finish(&part.head);
        return false;
    }
    for (uint32_t i = 0; i < part.buffer_count; i++) {
        assert_true(size_bytes + part.buffers[i].len <= sizeof bytes);
        memcpy(bytes + size_bytes, part.buffers[i].base, part.buffers[i].len);
        size_bytes += part.buffers[i].len;
    }
    buffer_finish(&part.head);
    enum error_code code = wire_decode(bytes, size_bytes, &back, &error);
    if (code != ERROR_OK) {
        assert_int_equal(code, ERROR_NO_MEMORY);
        return false;
    }
    assert_int_equal(back.type, message.type);
    wire_release(&back);
    return true;
}

static void test_entries(void **state) {
    (void)state;
    memset(&message, 0, sizeof message);
    entries[0] = (struct raft_entry){4, RAFT_COMMAND, {data, 64}, NULL};
    entries[1] = (struct raft_entry){5, RAFT_BARRIER, {data + 64, 8}, NULL};
    entries[2] = (struct raft_entry){5, RAFT_COMMAND, {data + 72, 1024}, NULL};
    message.type = RAFT_APPEND_ENTRIES;
    message.append_entries = (struct raft_append_entries){.version = 1,
                                                          .term = 5,
                                                          .prev_log_index = 100,
                                                          .prev_log_term = 4,
                                                          .leader_commit = 99,
                                                          .entries = entries,
                                                          .n_entries = 3};
    assert_true(check_scenario("entries", there_and_back) > 2);
}

static void test_snapshot(void **state) {
    struct raft_install_snapshot *args = &message.install_snapshot;
    (void)state;
    memset(&message, 0, sizeof message);
    message.type = RAFT_INSTALL_SNAPSHOT;
    args->version = 1;
    args->term = 9;
    args->last_index = 1000;
    args->last_term = 8;
    args->conf_index = 1;
    raft_configuration_init(&args->conf);
    assert_int_equal(raft_configuration_add(&args->conf, 11, "n1", RAFT_VOTER), 0);
    assert_int_equal(raft_configuration_add(&args->conf, 12, "node-two", RAFT_STANDBY), 0);
    args->data = (struct raft_buffer){data, 333};
    assert_true(check_scenario("snapshot", there_and_back) > 2);
    raft_configuration_close(&args->conf);
}

static void test_vote(void **state) {
    (void)state;
    memset(&message, 0, sizeof message);
    message.type = RAFT_REQUEST_VOTE;
    message.request_vote = (struct raft_request_vote){
        .version = 1, .term = 3, .candidate_id = 7, .last_log_index = 9, .last_log_term = 2};
    (void)check_scenario("vote", there_and_back);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_entries),
        cmocka_unit_test(test_snapshot),
        cmocka_unit_test(test_vote),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
