#include "tables.h"

#include "core/spec.h"
#include "noctua.pb-c.h"

#define STATUS_MAX 999 /* three digits (RFC 9110, section 15) */

static const struct bind_row spec_region_rows[] = {
    ROW_NAME(struct spec_region, name),
    ROW_ENUM(struct spec_region, role, REGION_ROLE_COUNT),
    ROW_NAME_OR_NONE(struct spec_region, risk_group),
    ROW_NUMBER(struct spec_region, max_active, SERVICE_MAX),
};
const struct bind_table spec_region_table =
    BIND_TABLE(struct spec_region, noctua__spec_region__descriptor, spec_region_rows);

static const struct bind_row status_range_rows[] = {
    ROW_NUMBER(struct status_range, low, STATUS_MAX),
    ROW_NUMBER(struct status_range, high, STATUS_MAX),
};
const struct bind_table status_range_table =
    BIND_TABLE(struct status_range, noctua__status_range__descriptor, status_range_rows);

static const struct bind_row spec_check_rows[] = {
    ROW_NAME(struct spec_check, name),
    ROW_ENUM(struct spec_check, type, CHECK_TYPE_COUNT),
    ROW_PLACES_TEXTS(struct spec_check, url),
    ROW_COUNTED(struct spec_check, expect, expect_count, status_range_table),
    ROW_TEXT(struct spec_check, match),
    ROW_ANY(struct spec_check, interval_ms),
    ROW_ANY(struct spec_check, timeout_ms),
    ROW_NUMBER(struct spec_check, fall, CHECK_RUN_MAX),
    ROW_NUMBER(struct spec_check, rise, CHECK_RUN_MAX),
    ROW_BOOL(struct spec_check, critical),
    ROW_BOOL(struct spec_check, keep_alive),
    ROW_BOOL(struct spec_check, insecure),
    ROW_ENUM(struct spec_check, standby, CHECK_STANDBY_COUNT),
    ROW_TEXT(struct spec_check, ca_file),
    ROW_TEXT(struct spec_check, cert_file),
    ROW_TEXT(struct spec_check, key_file),
    ROW_TEXT(struct spec_check, server_name),
};
const struct bind_table spec_check_table =
    BIND_TABLE(struct spec_check, noctua__spec_check__descriptor, spec_check_rows);

static const struct bind_row spec_zone_rows[] = {
    ROW_TEXT(struct spec_zone, id),
    ROW_TEXT(struct spec_zone, role),
    ROW_TEXT(struct spec_zone, external_id),
    ROW_TEXT(struct spec_zone, fence_name),
};
const struct bind_table spec_zone_table =
    BIND_TABLE(struct spec_zone, noctua__spec_zone__descriptor, spec_zone_rows);

static const struct bind_row spec_record_value_rows[] = {
    ROW_TEXT(struct spec_record_value, text),
    ROW_TEXT(struct spec_record_value, zone_id),
    ROW_TEXT(struct spec_record_value, set_identifier),
};
const struct bind_table spec_record_value_table = BIND_TABLE(
    struct spec_record_value, noctua__spec_record_value__descriptor, spec_record_value_rows);

static const struct bind_row spec_record_rows[] = {
    ROW_NUMBER(struct spec_record, zone, ZONE_MAX - 1),
    ROW_TEXT(struct spec_record, name),
    ROW_TEXT(struct spec_record, type),
    ROW_ENUM(struct spec_record, kind, RECORD_KIND_COUNT),
    ROW_ENUM(struct spec_record, routing, RECORD_ROUTING_COUNT),
    ROW_ANY(struct spec_record, ttl_s),
    ROW_PLACES(struct spec_record, value, spec_record_value_table),
};
const struct bind_table spec_record_table =
    BIND_TABLE(struct spec_record, noctua__spec_record__descriptor, spec_record_rows);

static const struct bind_row spec_policy_rows[] = {
    ROW_TIME(struct spec_policy, confirm_ms),
    ROW_TIME(struct spec_policy, cooldown_ms),
    ROW_NUMBER(struct spec_policy, max_moves, RECENT_MOVE_MAX),
    ROW_TIME(struct spec_policy, max_moves_window_ms),
    ROW_ENUM(struct spec_policy, failback, FAILBACK_COUNT),
    ROW_ENUM(struct spec_policy, foreign_change, FOREIGN_CHANGE_COUNT),
    ROW_TIME(struct spec_policy, lease_ms),
};
const struct bind_table spec_policy_table =
    BIND_TABLE(struct spec_policy, noctua__spec_policy__descriptor, spec_policy_rows);

static const struct bind_row spec_mongo_rows[] = {
    ROW_BOOL(struct spec_mongo, used),
    ROW_TEXT(struct spec_mongo, uri),
    ROW_TEXT(struct spec_mongo, credentials),
    ROW_TEXT(struct spec_mongo, region_tag),
    ROW_TEXT(struct spec_mongo, write_check),
    ROW_TIME(struct spec_mongo, max_lag_ms),
    ROW_TIME(struct spec_mongo, max_lag_age_ms),
    ROW_ANY(struct spec_mongo, interval_ms),
    ROW_ANY(struct spec_mongo, timeout_ms),
    ROW_NUMBER(struct spec_mongo, fall, CHECK_RUN_MAX),
    ROW_NUMBER(struct spec_mongo, rise, CHECK_RUN_MAX),
    ROW_ENUM(struct spec_mongo, on_majority_lost, MONGO_LOST_COUNT),
    ROW_ENUM(struct spec_mongo, on_own_election, MONGO_ELECTION_COUNT),
};
const struct bind_table spec_mongo_table =
    BIND_TABLE(struct spec_mongo, noctua__spec_mongo__descriptor, spec_mongo_rows);

static const struct bind_row spec_service_rows[] = {
    ROW_NAME(struct spec_service, name),
    ROW_NAME_OR_NONE(struct spec_service, owner),
    ROW_ENUM(struct spec_service, mode, SERVICE_MODE_COUNT),
    ROW_NUMBER(struct spec_service, home, REGION_MAX - 1),
    ROW_COUNTED_NUMBERS(struct spec_service, targets, target_count, REGION_MAX - 1),
    ROW_COUNTED(struct spec_service, checks, check_count, spec_check_table),
    ROW_COUNTED(struct spec_service, zones, zone_count, spec_zone_table),
    ROW_COUNTED(struct spec_service, records, record_count, spec_record_table),
    ROW_MESSAGE(struct spec_service, policy, spec_policy_table),
    ROW_TIME(struct spec_service, rto_ms),
    ROW_MESSAGE(struct spec_service, mongo, spec_mongo_table),
    ROW_TIME(struct spec_service, database_rto_ms),
    ROW_TIME(struct spec_service, database_rpo_ms),
};
const struct bind_table spec_service_table =
    BIND_TABLE(struct spec_service, noctua__spec_service__descriptor, spec_service_rows);

static const struct bind_row spec_rows[] = {
    ROW_COUNTED(struct spec, regions, region_count, spec_region_table),
    ROW_COUNTED(struct spec, services, service_count, spec_service_table),
};
const struct bind_table spec_table = BIND_TABLE(struct spec, noctua__spec__descriptor, spec_rows);
