#include "tables.h"

#include "core/command.h"
#include "core/state.h"
#include "noctua.pb-c.h"

#define GATE_BITS ((UINT64_C(1) << GATE_COUNT) - 1)

/* Every node's opinion about one region. */
#define OPINION_ROW __typeof__(((struct service *)0)->opinions[0])

static const struct bind_row node_rows[] = {
    ROW_ID(struct node, id),
    ROW_NAME(struct node, name),
    ROW_NAME_OR_NONE(struct node, region),
    ROW_OPAQUE(struct node, storage),
    ROW_INDEX(struct node, boot),
    ROW_INDEX(struct node, sequence),
    ROW_BOOL(struct node, expired),
};
const struct bind_table node_table = BIND_TABLE(struct node, noctua__node__descriptor, node_rows);

static const struct bind_row opinion_rows[] = {
    ROW_ENUM(struct opinion, value, OPINION_VALUE_COUNT),
    ROW_INDEX(struct opinion, last_alive_index),
};
const struct bind_table opinion_table =
    BIND_TABLE(struct opinion, noctua__opinion__descriptor, opinion_rows);

static const struct bind_row opinion_row_rows[] = {
    {.name = "nodes",
     .shape = BIND_PLACES,
     .kind = BIND_MESSAGE,
     .core = 0,
     .size = sizeof(struct opinion),
     .max = NODE_MAX,
     .table = &opinion_table},
};
const struct bind_table opinion_row_table =
    BIND_TABLE(OPINION_ROW, noctua__opinion_row__descriptor, opinion_row_rows);

static const struct bind_row suspect_rows[] = {
    ROW_BOOL(struct suspect, open),
    ROW_PLACE(struct suspect, region, REGION_MAX),
    ROW_INDEX(struct suspect, index),
    ROW_TIME(struct suspect, since_ms),
    ROW_TIME(struct suspect, since_wall_ms),
    ROW_BOOL(struct suspect, rejected),
    ROW_BOOL(struct suspect, approved),
    ROW_PLACE(struct suspect, approved_to, REGION_MAX),
    ROW_TEXT(struct suspect, approved_by),
    ROW_NUMBER(struct suspect, note, SUSPECT_NOTE_COUNT - 1),
    ROW_NUMBER(struct suspect, noted_gates, GATE_BITS),
};
const struct bind_table suspect_table =
    BIND_TABLE(struct suspect, noctua__suspect__descriptor, suspect_rows);

static const struct bind_row step_rows[] = {
    ROW_NAME(struct step, name),
    ROW_ENUM(struct step, kind, STEP_KIND_COUNT),
    ROW_ANY(struct step, needs),
    ROW_PLACE(struct step, zone, PLACE_OF_SET + 1),
    ROW_PLACE(struct step, debt, DEBT_MAX),
    ROW_TEXT(struct step, debt_eid),
    ROW_BOOL(struct step, continue_on_failure),
    ROW_ENUM(struct step, phase, STEP_PHASE_COUNT),
    ROW_ANY(struct step, attempts),
    ROW_INDEX(struct step, attempt_term),
    ROW_TEXT(struct step, fence_before),
    ROW_PLACE(struct step, state_before, BLOB_MAX),
    ROW_PLACE(struct step, state_after, BLOB_MAX),
    ROW_TEXT(struct step, change_id),
    ROW_TEXT(struct step, detail),
    ROW_TIME(struct step, started_wall_ms),
    ROW_TIME(struct step, ended_wall_ms),
};
const struct bind_table step_table = BIND_TABLE(struct step, noctua__step__descriptor, step_rows);

static const struct bind_row execution_rows[] = {
    ROW_ENUM(struct execution, phase, EXECUTION_PHASE_COUNT),
    ROW_ENUM(struct execution, kind, EXECUTION_KIND_COUNT),
    ROW_ENUM(struct execution, result, EXECUTION_RESULT_COUNT),
    ROW_INDEX(struct execution, epoch),
    ROW_PLACE(struct execution, from, REGION_MAX),
    ROW_PLACE(struct execution, to, REGION_MAX),
    ROW_INDEX(struct execution, decide_index),
    ROW_INDEX(struct execution, decide_term),
    ROW_INDEX(struct execution, suspect_index),
    ROW_INDEX(struct execution, tick_index),
    ROW_INDEX(struct execution, begun_index),
    ROW_TIME(struct execution, start_ms),
    ROW_TIME(struct execution, start_wall_ms),
    ROW_TIME(struct execution, end_wall_ms),
    ROW_BOOL(struct execution, automatic),
    ROW_BOOL(struct execution, cancelled),
    ROW_NUMBER(struct execution, skipped_gates, GATE_BITS),
    ROW_TEXT(struct execution, actor),
    ROW_TEXT(struct execution, reason),
    ROW_PLACES(struct execution, gates, gate_reading_table),
    ROW_COUNTED(struct execution, cited, cited_count, cited_report_table),
    ROW_COUNTED(struct execution, steps, step_count, step_table),
    ROW_MESSAGE(struct execution, mongo, mongo_view_table),
};
const struct bind_table execution_table =
    BIND_TABLE(struct execution, noctua__execution__descriptor, execution_rows);

static const struct bind_row debt_rows[] = {
    ROW_INDEX(struct debt, epoch), ROW_NUMBER(struct debt, step, STEP_MAX - 1),
    ROW_TEXT(struct debt, eid),    ROW_MESSAGE(struct debt, zone, spec_zone_table),
    ROW_BOOL(struct debt, of_set),
};
const struct bind_table debt_table = BIND_TABLE(struct debt, noctua__debt__descriptor, debt_rows);

static const struct bind_row service_rows[] = {
    ROW_NAME(struct service, name),
    ROW_BOOL(struct service, adopted),
    ROW_PLACE(struct service, active, REGION_MAX),
    ROW_INDEX(struct service, epoch),
    ROW_BOOL(struct service, half_moved),
    ROW_PLACES(struct service, opinions, opinion_row_table),
    ROW_MESSAGE(struct service, suspect, suspect_table),
    ROW_MESSAGE(struct service, execution, execution_table),
    ROW_COUNTED(struct service, debts, debt_count, debt_table),
    ROW_TIME(struct service, last_move_end_ms),
    ROW_PLACES_NUMBERS(struct service, recent_move_ms, TIME_MAX_MS),
    ROW_ANY(struct service, recent_move_next),
    ROW_PLACES_NUMBERS(struct service, unsuspect_ms, TIME_MAX_MS),
    ROW_ANY(struct service, unsuspect_next),
    ROW_TIME(struct service, longest_lease_ms),
    ROW_BOOL(struct service, released),
    ROW_COUNTED(struct service, left_out, left_out_count, left_out_table),
    ROW_INDEX(struct service, forced_epoch),
    ROW_INDEX(struct service, forced_version),
    ROW_BOOL(struct service, promoted_away),
};
const struct bind_table service_table =
    BIND_TABLE(struct service, noctua__service__descriptor, service_rows);

static const struct bind_row override_rows[] = {
    ROW_ENUM(struct override, kind, OVERRIDE_KIND_COUNT),
    ROW_NAME_OR_NONE(struct override, service),
    ROW_NAME_OR_NONE(struct override, region),
    ROW_TIME(struct override, until_ms),
    ROW_INDEX(struct override, index),
    ROW_TIME(struct override, wall_ms),
    ROW_TEXT(struct override, actor),
    ROW_TEXT(struct override, reason),
};
const struct bind_table override_table =
    BIND_TABLE(struct override, noctua__override__descriptor, override_rows);

static const struct bind_row client_rows[] = {
    ROW_OPAQUE(struct client, id),
    ROW_INDEX(struct client, sequence),
    ROW_NUMBER(struct client, result, CORE_ERROR_COUNT - 1),
    ROW_INDEX(struct client, index),
};
const struct bind_table client_table =
    BIND_TABLE(struct client, noctua__client__descriptor, client_rows);

static const struct bind_row event_rows[] = {
    ROW_INDEX(struct event, index),          ROW_TIME(struct event, time_ms),
    ROW_TIME(struct event, wall_ms),         ROW_ENUM(struct event, kind, EVENT_KIND_COUNT),
    ROW_NAME_OR_NONE(struct event, service), ROW_NAME_OR_NONE(struct event, region),
    ROW_NAME_OR_NONE(struct event, to),      ROW_NAME_OR_NONE(struct event, subject),
    ROW_INDEX(struct event, epoch),          ROW_ANY(struct event, value),
    ROW_TEXT(struct event, actor),           ROW_TEXT(struct event, detail),
};
const struct bind_table event_table =
    BIND_TABLE(struct event, noctua__event__descriptor, event_rows);

static const struct bind_row move_rows[] = {
    ROW_INDEX(struct move, index),
    ROW_TIME(struct move, wall_ms),
    ROW_ANY(struct move, took_ms),
    ROW_NAME_OR_NONE(struct move, service),
    ROW_NAME_OR_NONE(struct move, from),
    ROW_NAME_OR_NONE(struct move, to),
    ROW_INDEX(struct move, epoch),
    ROW_ENUM(struct move, kind, EXECUTION_KIND_COUNT),
    ROW_ENUM(struct move, result, EXECUTION_RESULT_COUNT),
    ROW_BOOL(struct move, would_have),
    ROW_TEXT(struct move, actor),
    ROW_TEXT(struct move, reason),
    ROW_PLACES(struct move, gates, gate_reading_table),
    ROW_TEXT(struct move, plan),
    ROW_ENUM(struct move, set_case, MONGO_CASE_COUNT),
    ROW_ANY(struct move, lost_ms),
    ROW_ANY(struct move, lost_writes),
};
const struct bind_table move_table =
    BIND_TABLE(struct move, noctua__move_row__descriptor, move_rows);

static const struct bind_row revision_rows[] = {
    ROW_INDEX(struct spec_revision, index),
    ROW_TIME(struct spec_revision, wall_ms),
    ROW_TEXT(struct spec_revision, actor),
    ROW_TEXT(struct spec_revision, reason),
    ROW_BYTES(struct spec_revision, text, text_size, true),
};
const struct bind_table spec_revision_table =
    BIND_TABLE(struct spec_revision, noctua__spec_revision__descriptor, revision_rows);

static const struct bind_row state_rows[] = {
    ROW_NAME_OR_NONE(struct state, cluster),
    ROW_INDEX(struct state, incarnation),
    ROW_NUMBER(struct state, feature_level, FEATURE_LEVEL_NEWEST),
    ROW_INDEX(struct state, applied_index),
    ROW_INDEX(struct state, leader_term),
    ROW_ID(struct state, leader_id),
    ROW_INDEX(struct state, leader_index),
    ROW_INDEX(struct state, tick_index),
    ROW_TIME(struct state, time_ms),
    ROW_COUNTED(struct state, nodes, node_count, node_table),
    ROW_INDEX(struct state, nodes_index),
    ROW_MESSAGE(struct state, spec, spec_table),
    ROW_INDEX(struct state, spec_index),
    ROW_INDEX(struct state, revision_count),
    ROW_FOLLOWS(struct state, services, spec.service_count, service_table),
    ROW_COUNTED(struct state, overrides, override_count, override_table),
    ROW_BOOL(struct state, halted),
    ROW_PLACES(struct state, clients, client_table),
    ROW_INDEX(struct state, client_floor),
    ROW_INDEX(struct state, event_count),
    ROW_RING(struct state, events, event_count, event_table),
    ROW_INDEX(struct state, move_count),
    ROW_RING(struct state, moves, move_count, move_table),
    ROW_PLACES(struct state, blobs, blob_table),
    ROW_RING(struct state, revisions, revision_count, spec_revision_table),
    ROW_INDEX(struct state, epoch_floor),
};
const struct bind_table state_table =
    BIND_TABLE(struct state, noctua__state__descriptor, state_rows);
