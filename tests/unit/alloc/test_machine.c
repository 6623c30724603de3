/* An entry that is applied, a snapshot that is taken, and one that is restored, when memory runs
 * out in the middle. A replica that lacks memory for what is committed says so and is done; until
 * then its state is that of whole commands. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "codec/command_codec.h"
#include "entry.h"
#include "failing.h"
#include "group.h"
#include "made_replica.h"

#define COMMAND_COUNT 2

static struct group group; /* whose entries come */
static struct replica *replica;
static struct state *states[COMMAND_COUNT + 1]; /* after so many of the entry's commands */
static struct raft_buffer entry;
static uint32_t applied_count;

static void on_applied(void *context, uint64_t index, const struct command *command,
                       enum core_error result, uint64_t proposed_ms) {
    (void)context;
    (void)index;
    (void)command;
    (void)proposed_ms;
    assert_int_equal(result, CORE_OK);
    applied_count++;
}

static struct state *copy_of(const struct state *state) {
    struct state *copy = malloc(sizeof *copy);
    assert_non_null(copy);
    memcpy(copy, state, sizeof *copy);
    return copy;
}

/* True: all is well; false: it has ended for want of memory, and says what to do. */
static bool is_well(void) {
    if (replica->failed) {
        assert_int_equal(replica->failure.code, ERROR_NO_MEMORY);
        assert_non_null(strstr(replica->failure.message, "start this node again"));
    }
    return !replica->failed;
}

static bool applied(void) {
    void *result = NULL;
    made_replica_reset(replica);
    memcpy(replica->state, states[0], sizeof *replica->state);
    applied_count = 0;
    assert_int_equal(replica->fsm.apply(&replica->fsm, &entry, &result), 0);
    assert_memory_equal(replica->state, states[applied_count], sizeof *replica->state);
    assert_int_equal(!replica->failed, applied_count == COMMAND_COUNT);
    return is_well();
}

/* A node that has fallen behind takes another's state: nothing is left of its own. */
static bool restored(const struct raft_buffer *snapshot) {
    struct raft_buffer copy = {raft_malloc(snapshot->len), snapshot->len};
    if (copy.base == NULL) {
        return false; /* the library's own */
    }
    memcpy(copy.base, snapshot->base, snapshot->len);
    replica->state->clients[CLIENT_MAX - 1].index = 1;
    assert_int_equal(replica->fsm.restore(&replica->fsm, &copy), 0);
    if (!replica->failed) {
        assert_int_equal(replica->state->applied_index, states[COMMAND_COUNT]->applied_index);
        assert_int_equal(replica->state->services[0].epoch, states[0]->services[0].epoch);
        assert_int_equal(replica->state->clients[CLIENT_MAX - 1].index, 0);
    }
    return is_well();
}

static bool snapshots(void) {
    struct raft_buffer *buffers = NULL;
    unsigned count = 0;
    made_replica_reset(replica);
    memcpy(replica->state, states[COMMAND_COUNT], sizeof *replica->state);
    replica->has_content = true;
    int code = replica->fsm.snapshot(&replica->fsm, &buffers, &count);
    assert_false(replica->failed); /* the log has it all */
    assert_memory_equal(replica->state, states[COMMAND_COUNT], sizeof *replica->state);
    if (code != 0) {
        assert_null(buffers);
        return false;
    }
    assert_int_equal(count, 1);
    bool done = restored(&buffers[0]);
    raft_free(buffers[0].base);
    raft_free(buffers);
    return done;
}

/* --- the entry: a veto, and the spec once more --- */

static void fill_command(unsigned place, struct command *command) {
    memset(command, 0, sizeof *command);
    if (place == 0) {
        command->kind = COMMAND_OVERRIDE;
        command->override.kind = OVERRIDE_VETO;
        (void)TEXT_COPY(command->origin.reason, "bad deploy");
    } else {
        command->kind = COMMAND_SPEC;
        command->spec.spec = &group.state->spec;
        command->spec.text = "version: 1\n";
        command->spec.text_size = 11;
        command->spec.expected_index = group.state->spec_index;
    }
}

static void make_entry(void) {
    static struct command command;
    struct buffer bytes[COMMAND_COUNT];
    const struct command *const list[] = {&command};
    struct entry_writer writer;
    size_t command_bytes = 0;
    struct error error;
    states[0] = copy_of(group.state);
    for (unsigned i = 0; i < COMMAND_COUNT; i++) {
        fill_command(i, &command);
        assert_int_equal(group_ask(&group, &command), CORE_OK);
        states[i + 1] = copy_of(group.state);
        buffer_init(&bytes[i], 0);
        assert_int_equal(codec_encode_batch(list, 1, &bytes[i], &error), ERROR_OK);
        command_bytes += bytes[i].size_bytes;
    }
    entry.len = entry_size_bytes(COMMAND_COUNT, command_bytes);
    entry.base = malloc(entry.len);
    assert_non_null(entry.base);
    entry_write_head(&writer, entry.base, entry.len, &(struct entry_head){COMMAND_COUNT, 1, 1});
    for (unsigned i = 0; i < COMMAND_COUNT; i++) {
        entry_write_command(&writer, bytes[i].data, bytes[i].size_bytes);
        buffer_finish(&bytes[i]);
    }
}

static void test_applied(void **state) {
    (void)state;
    assert_true(check_scenario("an entry applied", applied) > COMMAND_COUNT);
}

static void test_snapshots(void **state) {
    (void)state;
    assert_true(check_scenario("a snapshot taken and restored", snapshots) > 6);
}

static int set_up(void **state) {
    (void)state;
    group_open_adopted(&group);
    replica = made_replica_create();
    replica->callbacks.on_applied = on_applied;
    make_entry();
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    for (unsigned i = 0; i <= COMMAND_COUNT; i++) {
        free(states[i]);
    }
    free(entry.base);
    made_replica_destroy(replica);
    group_close(&group);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_applied),
        cmocka_unit_test(test_snapshots),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
