/* A report that decodes, in the hands of the leader's policy: whatever a node says, what comes of
 * it can be written into the log, and the invariants hold (group_apply asserts them). The first
 * byte says whose report it is, what the group sees of the region that is active, and whether the
 * service has a replica set. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "codec/command_codec.h"
#include "codec/report_codec.h"
#include "fuzz.h"
#include "group.h"

#define ROUNDS_MAX 6 /* of asking the policy what to propose */

/* In peace: its service is active in the east, and everything is up. */
static const struct group *group_in_peace(void) {
    static struct group group;
    if (group.state == NULL) {
        group_open_adopted(&group);
    }
    return &group;
}

static bool suspects(const struct group *group) {
    return group->state->services[0].suspect.open;
}

/* The east is gone, with two members of the set, and the window is about to end. */
static const struct group *group_with_set(void) {
    static struct group group;
    static struct mongo_facts facts;
    if (group.state == NULL) {
        group_open_adopted(&group);
        group_add_set(&group);
        facts = mongo_example();
        mongo_lose(&facts, E1, 25000);
        mongo_lose(&facts, E2, 25000);
        group.mongo = &facts;
        bool suspected = group_run(&group, WITHOUT_EAST, east_down, 200, 1000, suspects);
        assert(suspected);
        (void)suspected;
        (void)group_run(&group, WITHOUT_EAST, east_down, 28, 1000, NULL);
        assert(suspects(&group));
    }
    return &group;
}

static void apply(struct group *group, const struct command *command) {
    struct buffer bytes;
    struct command_batch batch;
    struct error error;
    struct command copy = *command;
    copy.term = group->term;
    copy.wall_ms = group->wall_ms;
    const struct command *commands[] = {&copy};
    buffer_init(&bytes, 0);
    assert(codec_encode_batch(commands, 1, &bytes, &error) == ERROR_OK);
    assert(codec_decode_batch(bytes.data, bytes.size_bytes, &batch, &error) == ERROR_OK);
    (void)group_apply(group, batch.commands[0]);
    if (copy.kind == COMMAND_TICK) {
        group->input.tick_proposed_ms = group->now_ms;
        group->input.tick_index = group->index;
    }
    codec_batch_finish(&batch);
    buffer_finish(&bytes);
}

static uint32_t run_policy(struct group *group) {
    static struct command commands[POLICY_COMMAND_MAX];
    struct policy_output out = {.commands = commands};
    memset(commands, 0, sizeof commands);
    group->input.now_ms = group->now_ms;
    group->input.wall_ms = group->wall_ms;
    policy_next(group->state, &group->input, &out);
    assert(out.count <= POLICY_COMMAND_MAX);
    for (uint32_t i = 0; i < out.count; i++) {
        apply(group, &commands[i]);
    }
    return out.count;
}

/* After everything that is applied by now. */
static void probe_again(const struct group *group, struct report *report) {
    report->sequence++;
    report->applied_index = group->index;
    report->wall_ms = group->wall_ms;
    for (uint32_t r = 0; r < group->state->spec.region_count; r++) {
        report->opinions[0][r].last_index = group->index;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct report report, others[NODE_MAX];
    uint8_t mode = fuzz_take(&data, &size);
    if (codec_decode_report(data, size, &report, NULL) != ERROR_OK) {
        return 0;
    }
    const struct group *begins = (mode & 4) != 0 ? group_with_set() : group_in_peace();
    struct group group = *begins;
    group.state = fuzz_fresh(begins->state, sizeof *group.state);
    uint32_t place = mode % 3;
    report.node_id = group.state->nodes[place].id; /* a peer may only speak for its own id */
    group.now_ms += 1000 * (uint64_t)(mode >> 5);
    group.wall_ms += 1000 * (uint64_t)(mode >> 5);
    for (uint32_t n = 0; n < group.state->node_count; n++) {
        others[n] = *group.reports[n];
        others[n].windows[0].age_ms += 1000 * (uint64_t)(mode >> 5);
        others[n].opinions[0][EAST].value = (mode & 8) != 0 ? OPINION_DOWN : OPINION_UP;
        probe_again(&group, &others[n]);
        group.input.reports[n] = n == place ? &report : &others[n];
        group.input.received_ms[n] = group.now_ms;
    }
    for (uint32_t i = 0; i < ROUNDS_MAX && run_policy(&group) > 0; i++) {
        group.now_ms += 100;
        group.wall_ms += 100;
        for (uint32_t n = 0; n < group.state->node_count; n++) {
            probe_again(&group, &others[n]);
        }
    }
    assert(state_broken_invariant(group.state) == NULL);
    return 0;
}
