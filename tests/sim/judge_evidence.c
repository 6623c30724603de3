/* A decision is made again from what it says it rests on, and nothing else (DESIGN, invariant 21):
 * the state at its leader, and reports that say no more than those that it cites. */
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/text.h"
#include "core/policy.h"
#include "judge_private.h"
#include "replica_private.h"

#define NOW_MS 1000000 /* any time: ages count, and those are cited */

/* What is committed of a node's opinions is what its last report said, else a leader would have
 * proposed that first. */
static void report_again(const struct state *state, const struct command_decide *decide,
                         const struct cited_report *cited, struct report *ret) {
    const struct node *node = &state->nodes[cited->node];
    memset(ret, 0, sizeof *ret);
    ret->node_id = node->id;
    ret->boot = cited->boot;
    ret->sequence = cited->sequence;
    ret->spec_index = decide->spec_index;
    ret->wall_ms = NOW_MS;
    ret->feature_level = state->feature_level;
    (void)TEXT_COPY(ret->region, node->region);
    memcpy(ret->storage, node->storage, sizeof ret->storage);
    for (uint32_t s = 0; s < state->spec.service_count; s++) {
        for (uint32_t r = 0; r < state->spec.region_count; r++) {
            ret->opinions[s][r].value = state->services[s].opinions[r][cited->node].value;
        }
    }
    struct report_opinion *opinion = &ret->opinions[decide->service][decide->from];
    opinion->first_index = cited->first_index;
    opinion->last_index = cited->last_index;
    if (cited->knows_suspect) {
        ret->windows[decide->service] =
            (struct report_window){decide->suspect_index, cited->suspect_age_ms};
    }
    ret->mongo[decide->service] = decide->mongo.facts;
}

static const struct command *find_decide(const struct policy_output *out, uint32_t service) {
    for (uint32_t i = 0; i < out->count; i++) {
        if (out->commands[i].kind == COMMAND_DECIDE && out->commands[i].decide.service == service) {
            return &out->commands[i];
        }
    }
    return NULL;
}

static const struct command *decide_again(const struct state *state,
                                          const struct command *command) {
    static struct report reports[NODE_MAX];
    static struct command commands[POLICY_COMMAND_MAX];
    struct policy_output out = {.commands = commands};
    struct policy_input input = {.term = command->term,
                                 .now_ms = NOW_MS,
                                 .wall_ms = NOW_MS,
                                 .term_start_ms = NOW_MS,
                                 .tick_proposed_ms = NOW_MS,
                                 .tick_index = command->decide.tick_index};
    for (uint32_t i = 0; i < command->decide.cited_count; i++) {
        const struct cited_report *cited = &command->decide.cited[i];
        report_again(state, &command->decide, cited, &reports[cited->node]);
        input.reports[cited->node] = &reports[cited->node];
        input.received_ms[cited->node] = NOW_MS;
    }
    policy_next(state, &input, &out);
    return find_decide(&out, command->decide.service);
}

static bool is_same(const struct command *again, const struct command *decided) {
    static struct command alike;
    struct buffer bytes[2];
    struct error error;
    const struct command *commands[] = {&alike, decided};
    alike = *again;
    alike.wall_ms = decided->wall_ms;
    /* How far clocks are apart is said by its number alone. */
    alike.decide.gates[GATE_CLOCK].value = decided->decide.gates[GATE_CLOCK].value;
    for (uint32_t i = 0; i < 2; i++) {
        buffer_init(&bytes[i], 0);
        if (codec_encode_batch(&commands[i], 1, &bytes[i], &error) != ERROR_OK) {
            abort();
        }
    }
    bool same = bytes[0].size_bytes == bytes[1].size_bytes &&
                memcmp(bytes[0].data, bytes[1].data, bytes[0].size_bytes) == 0;
    buffer_finish(&bytes[0]);
    buffer_finish(&bytes[1]);
    return same;
}

static void judge_decide(struct sim_node *node, const struct state *state,
                         const struct command *command) {
    const struct gate_reading *clock = &command->decide.gates[GATE_CLOCK];
    const struct command *again = decide_again(state, command);
    if (again == NULL || clock->value > clock->limit || !is_same(again, command)) {
        sim_broken(node->sim, "a decision is made again from its evidence (21)",
                   "%s decides on epoch %llu of %s: %s", node->name,
                   (unsigned long long)command->decide.epoch,
                   state->services[command->decide.service].name,
                   again == NULL ? "nothing is decided again" : "another decision");
    }
}

void judge_proposed(struct sim_node *node, const void *bytes, size_t size_bytes) {
    struct applied_entry entry = {0};
    struct replica *replica = node_replica(node);
    if (replica == NULL || raft_state(&replica->raft) != RAFT_LEADER) {
        return;
    }
    judged_read_entry(bytes, size_bytes, &entry);
    for (uint32_t b = 0; b < entry.command_count; b++) {
        const struct command_batch *batch = &entry.commands[b];
        for (uint32_t i = 0; i < batch->count; i++) {
            if (batch->commands[i]->kind == COMMAND_DECIDE) {
                judge_decide(node, replica_state(replica), batch->commands[i]);
            }
        }
    }
    judged_forget_entry(&entry);
}
