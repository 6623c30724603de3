#include "tables.h"

#include "core/command.h"
#include "noctua.pb-c.h"

#define GATE_BITS ((UINT64_C(1) << GATE_COUNT) - 1)
#define PLAN_STEP __typeof__(((struct plan *)0)->steps[0])
#define CONFIGURED_NODE __typeof__(((struct command_nodes *)0)->nodes[0])
#define MEMBER(member) __typeof__(((struct command *)0)->member)

static const struct bind_row gate_reading_rows[] = {
    ROW_ENUM(struct gate_reading, result, GATE_RESULT_COUNT),
    ROW_ANY(struct gate_reading, value),
    ROW_ANY(struct gate_reading, limit),
    ROW_ANY(struct gate_reading, age_ms),
    ROW_ANY(struct gate_reading, age_limit_ms),
};
const struct bind_table gate_reading_table =
    BIND_TABLE(struct gate_reading, noctua__gate_reading__descriptor, gate_reading_rows);

static const struct bind_row cited_report_rows[] = {
    ROW_PLACE(struct cited_report, node, NODE_MAX), ROW_INDEX(struct cited_report, boot),
    ROW_INDEX(struct cited_report, sequence),       ROW_BOOL(struct cited_report, down),
    ROW_INDEX(struct cited_report, first_index),    ROW_INDEX(struct cited_report, last_index),
    ROW_BOOL(struct cited_report, knows_suspect),   ROW_TIME(struct cited_report, suspect_age_ms),
};
const struct bind_table cited_report_table =
    BIND_TABLE(struct cited_report, noctua__cited_report__descriptor, cited_report_rows);

static const struct bind_row plan_step_rows[] = {
    ROW_NAME(PLAN_STEP, name),
    ROW_ENUM(PLAN_STEP, kind, STEP_KIND_COUNT),
    ROW_ANY(PLAN_STEP, needs),
    ROW_PLACE(PLAN_STEP, zone, PLACE_OF_SET + 1),
    ROW_PLACE(PLAN_STEP, debt, DEBT_MAX),
    ROW_BOOL(PLAN_STEP, continue_on_failure),
};
const struct bind_table plan_step_table =
    BIND_TABLE(PLAN_STEP, noctua__plan_step__descriptor, plan_step_rows);

static const struct bind_row plan_rows[] = {
    ROW_COUNTED(struct plan, steps, count, plan_step_table),
};
const struct bind_table plan_table = BIND_TABLE(struct plan, noctua__plan__descriptor, plan_rows);

static const struct bind_row blob_rows[] = {
    ROW_BOOL(struct blob, used),
    {.name = "content",
     .kind = BIND_BYTES,
     .core = offsetof(struct blob, bytes),
     .size = BLOB_SIZE,
     .count = offsetof(struct blob, size_bytes)},
};
const struct bind_table blob_table = BIND_TABLE(struct blob, noctua__blob__descriptor, blob_rows);

static const struct bind_row left_out_rows[] = {
    ROW_TEXT(struct left_out, host),
    ROW_BYTES(struct left_out, document, size_bytes, false),
    ROW_INDEX(struct left_out, term),
    ROW_INDEX(struct left_out, known_term),
};
const struct bind_table left_out_table =
    BIND_TABLE(struct left_out, noctua__left_out__descriptor, left_out_rows);

static const struct bind_row origin_rows[] = {
    ROW_OPAQUE(struct command_origin, client_id),
    ROW_INDEX(struct command_origin, sequence),
    ROW_INDEX(struct command_origin, known_index),
    ROW_TEXT(struct command_origin, actor),
    ROW_ENUM(struct command_origin, role, ROLE_COUNT),
    ROW_NAME_OR_NONE(struct command_origin, owner),
    ROW_TEXT(struct command_origin, reason),
};
const struct bind_table origin_table =
    BIND_TABLE(struct command_origin, noctua__origin__descriptor, origin_rows);

static const struct bind_row configured_node_rows[] = {
    ROW_ID(CONFIGURED_NODE, id),
    ROW_NAME(CONFIGURED_NODE, name),
    ROW_NAME_OR_NONE(CONFIGURED_NODE, region),
    ROW_OPAQUE(CONFIGURED_NODE, storage),
};
const struct bind_table configured_node_table =
    BIND_TABLE(CONFIGURED_NODE, noctua__configured_node__descriptor, configured_node_rows);

static const struct bind_row nodes_rows[] = {
    ROW_NAME(struct command_nodes, cluster),
    ROW_INDEX(struct command_nodes, incarnation),
    ROW_COUNTED(struct command_nodes, nodes, count, configured_node_table),
    ROW_INDEX(struct command_nodes, nodes_index),
};
static const struct bind_table nodes_table =
    BIND_TABLE(struct command_nodes, noctua__nodes_command__descriptor, nodes_rows);

static const struct bind_row leader_rows[] = {
    ROW_ID(MEMBER(leader), id),
};
static const struct bind_table leader_table =
    BIND_TABLE(MEMBER(leader), noctua__leader_command__descriptor, leader_rows);

static const struct bind_row feature_rows[] = {
    ROW_ANY(MEMBER(feature), level),
};
static const struct bind_table feature_table =
    BIND_TABLE(MEMBER(feature), noctua__feature_command__descriptor, feature_rows);

static const struct bind_row opinion_command_rows[] = {
    ROW_ID(struct command_opinion, node_id),
    ROW_INDEX(struct command_opinion, boot),
    ROW_INDEX(struct command_opinion, sequence),
    ROW_NUMBER(struct command_opinion, service, SERVICE_MAX - 1),
    ROW_NUMBER(struct command_opinion, region, REGION_MAX - 1),
    ROW_ENUM(struct command_opinion, value, OPINION_VALUE_COUNT),
    ROW_INDEX(struct command_opinion, spec_index),
};
static const struct bind_table opinion_command_table =
    BIND_TABLE(struct command_opinion, noctua__opinion_command__descriptor, opinion_command_rows);

static const struct bind_row expire_rows[] = {
    ROW_ID(struct command_expire, node_id),
    ROW_INDEX(struct command_expire, boot),
    ROW_INDEX(struct command_expire, sequence),
};
static const struct bind_table expire_table =
    BIND_TABLE(struct command_expire, noctua__expire_command__descriptor, expire_rows);

static const struct bind_row tick_rows[] = {
    ROW_COUNTED_NUMBERS(struct command_tick, clock_ms, count, TIME_MAX_MS),
};
static const struct bind_table tick_table =
    BIND_TABLE(struct command_tick, noctua__tick_command__descriptor, tick_rows);

static const struct bind_row suspect_command_rows[] = {
    ROW_NUMBER(MEMBER(suspect), service, SERVICE_MAX - 1),
    ROW_NUMBER(MEMBER(suspect), region, REGION_MAX - 1),
};
static const struct bind_table suspect_command_table =
    BIND_TABLE(MEMBER(suspect), noctua__suspect_command__descriptor, suspect_command_rows);

static const struct bind_row note_rows[] = {
    ROW_NUMBER(struct command_note, service, SERVICE_MAX - 1),
    ROW_INDEX(struct command_note, suspect_index),
    ROW_ENUM(struct command_note, note, SUSPECT_NOTE_COUNT),
    ROW_PLACE(struct command_note, to, REGION_MAX),
    ROW_NUMBER(struct command_note, failing_gates, GATE_BITS),
    ROW_PLACES(struct command_note, gates, gate_reading_table),
    ROW_MESSAGE(struct command_note, mongo, mongo_view_table),
};
static const struct bind_table note_table =
    BIND_TABLE(struct command_note, noctua__note_command__descriptor, note_rows);

static const struct bind_row decide_rows[] = {
    ROW_NUMBER(struct command_decide, service, SERVICE_MAX - 1),
    ROW_NUMBER(struct command_decide, from, REGION_MAX - 1),
    ROW_NUMBER(struct command_decide, to, REGION_MAX - 1),
    ROW_INDEX(struct command_decide, suspect_index),
    ROW_INDEX(struct command_decide, spec_index),
    ROW_INDEX(struct command_decide, epoch),
    ROW_INDEX(struct command_decide, tick_index),
    ROW_COUNTED(struct command_decide, cited, cited_count, cited_report_table),
    ROW_PLACES(struct command_decide, gates, gate_reading_table),
    ROW_MESSAGE(struct command_decide, plan, plan_table),
    ROW_MESSAGE(struct command_decide, mongo, mongo_view_table),
};
static const struct bind_table decide_table =
    BIND_TABLE(struct command_decide, noctua__decide_command__descriptor, decide_rows);

static const struct bind_row step_command_rows[] = {
    ROW_NUMBER(struct command_step, service, SERVICE_MAX - 1),
    ROW_INDEX(struct command_step, epoch),
    ROW_NUMBER(struct command_step, step, STEP_MAX - 1),
    ROW_ANY(struct command_step, attempt),
    ROW_TIME(struct command_step, begin_age_ms),
    ROW_ENUM(struct command_step, outcome, STEP_PHASE_COUNT),
    ROW_TEXT(struct command_step, fence),
    ROW_TEXT(struct command_step, change_id),
    ROW_TEXT(struct command_step, detail),
    ROW_MESSAGE(struct command_step, before, blob_table),
    ROW_MESSAGE(struct command_step, after, blob_table),
    ROW_COUNTED(struct command_step, left_out, left_out_count, left_out_table),
    ROW_INDEX(struct command_step, forced_version),
};
static const struct bind_table step_command_table =
    BIND_TABLE(struct command_step, noctua__step_command__descriptor, step_command_rows);

static const struct bind_row halt_rows[] = {
    ROW_INDEX(MEMBER(halt), index),
    ROW_ID(MEMBER(halt), node_id),
};
static const struct bind_table halt_table =
    BIND_TABLE(MEMBER(halt), noctua__halt_command__descriptor, halt_rows);

static const struct bind_row move_rows[] = {
    ROW_NAME(struct command_move, service),
    ROW_NAME_OR_NONE(struct command_move, to),
    ROW_ENUM(struct command_move, kind, EXECUTION_KIND_COUNT),
    ROW_INDEX(struct command_move, spec_index),
    ROW_INDEX(struct command_move, epoch),
    ROW_NUMBER(struct command_move, skipped_gates, GATE_BITS),
    ROW_PLACES(struct command_move, gates, gate_reading_table),
    ROW_MESSAGE(struct command_move, plan, plan_table),
    ROW_MESSAGE(struct command_move, mongo, mongo_view_table),
};
static const struct bind_table move_command_table =
    BIND_TABLE(struct command_move, noctua__move_command__descriptor, move_rows);

static const struct bind_row override_rows[] = {
    ROW_ENUM(struct command_override, kind, OVERRIDE_KIND_COUNT),
    ROW_NAME_OR_NONE(struct command_override, service),
    ROW_NAME_OR_NONE(struct command_override, region),
    ROW_TIME(struct command_override, until_ms),
};
static const struct bind_table override_command_table =
    BIND_TABLE(struct command_override, noctua__override_command__descriptor, override_rows);

static const struct bind_row choice_rows[] = {
    ROW_NAME(struct command_choice, service),
    ROW_INDEX(struct command_choice, epoch),
    ROW_NAME_OR_NONE(struct command_choice, to),
    ROW_NAME_OR_NONE(struct command_choice, step),
};
static const struct bind_table choice_table =
    BIND_TABLE(struct command_choice, noctua__choice_command__descriptor, choice_rows);

static const struct bind_table empty_table = {
    .descriptor = &noctua__empty_command__descriptor,
};

const struct bind_table *command_table(unsigned kind) {
    static const struct bind_table *const tables[COMMAND_KIND_END] = {
        [COMMAND_NODES] = &nodes_table,
        [COMMAND_LEADER] = &leader_table,
        [COMMAND_FEATURE] = &feature_table,
        [COMMAND_OPINION] = &opinion_command_table,
        [COMMAND_EXPIRE] = &expire_table,
        [COMMAND_TICK] = &tick_table,
        [COMMAND_SUSPECT] = &suspect_command_table,
        [COMMAND_NOTE] = &note_table,
        [COMMAND_DECIDE] = &decide_table,
        [COMMAND_LAPSE] = &step_command_table,
        [COMMAND_INTENT] = &step_command_table,
        [COMMAND_ATTEMPT] = &step_command_table,
        [COMMAND_ACCEPTED] = &step_command_table,
        [COMMAND_CLOSING] = &step_command_table,
        [COMMAND_OUTCOME] = &step_command_table,
        [COMMAND_SWITCH] = &step_command_table,
        [COMMAND_HALT] = &halt_table,
        [COMMAND_MOVE] = &move_command_table,
        [COMMAND_OVERRIDE] = &override_command_table,
        [COMMAND_OVERRIDE_END] = &override_command_table,
        [COMMAND_APPROVE] = &choice_table,
        [COMMAND_REJECT] = &choice_table,
        [COMMAND_CANCEL] = &choice_table,
        [COMMAND_RELEASE] = &choice_table,
        [COMMAND_ADOPT] = &move_command_table,
        [COMMAND_RESUME_AUTOMATION] = &empty_table,
    };
    return kind < COMMAND_KIND_END ? tables[kind] : NULL;
}
