/* The tables that bind proto/noctua.proto to core's structs. */
#ifndef CODEC_TABLES_H
#define CODEC_TABLES_H

#include "bind.h"

/* spec_tables.c */
extern const struct bind_table spec_region_table;
extern const struct bind_table status_range_table;
extern const struct bind_table spec_check_table;
extern const struct bind_table spec_zone_table;
extern const struct bind_table spec_record_value_table;
extern const struct bind_table spec_record_table;
extern const struct bind_table spec_policy_table;
extern const struct bind_table spec_mongo_table;
extern const struct bind_table spec_service_table;
extern const struct bind_table spec_table;

/* command_tables.c */
extern const struct bind_table gate_reading_table;
extern const struct bind_table cited_report_table;
extern const struct bind_table plan_step_table;
extern const struct bind_table plan_table;
extern const struct bind_table blob_table;
extern const struct bind_table left_out_table;
extern const struct bind_table origin_table;
extern const struct bind_table configured_node_table;
/* The table of a kind of command, bound to the member of struct command's union; NULL: none (SPEC
 * has pointers: command_codec.c), or no such kind. */
const struct bind_table *command_table(unsigned kind);

/* state_tables.c */
extern const struct bind_table node_table;
extern const struct bind_table opinion_table;
extern const struct bind_table opinion_row_table;
extern const struct bind_table suspect_table;
extern const struct bind_table step_table;
extern const struct bind_table execution_table;
extern const struct bind_table debt_table;
extern const struct bind_table service_table;
extern const struct bind_table override_table;
extern const struct bind_table client_table;
extern const struct bind_table event_table;
extern const struct bind_table move_table;
extern const struct bind_table spec_revision_table;
extern const struct bind_table state_table;

/* report_codec.c */
extern const struct bind_table report_head_table;
extern const struct bind_table report_window_table;
extern const struct bind_table report_opinion_table;
extern const struct bind_table mongo_optime_table;
extern const struct bind_table mongo_member_table;
extern const struct bind_table mongo_facts_table;
extern const struct bind_table mongo_view_table;

/* lease_codec.c */
extern const struct bind_table lease_grant_table;
extern const struct bind_table lease_answer_table;

#endif
