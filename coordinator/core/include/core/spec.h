/* The spec: what an operator declared, parsed and checked, as committed by SPEC. Regions and
 * services are named by their place in these arrays; a new revision may move them. No pointers. */
#ifndef CORE_SPEC_H
#define CORE_SPEC_H

#include <stdbool.h>
#include <stdint.h>

#include "core/limits.h"

enum region_role { REGION_SERVE, REGION_WITNESS, REGION_ROLE_COUNT };

struct spec_region {
    char name[NAME_SIZE];
    enum region_role role;
    char risk_group[NAME_SIZE]; /* "": none; regions of one group may die together */
    uint32_t max_active;        /* services it can carry at once (headroom); 0: no limit */
};

enum service_mode { MODE_OBSERVE, MODE_ADVISE, MODE_AUTO, SERVICE_MODE_COUNT };

enum check_type { CHECK_HTTP, CHECK_HTTPS, CHECK_TCP, CHECK_TYPE_COUNT };
enum check_standby { STANDBY_UP, STANDBY_SKIP, CHECK_STANDBY_COUNT };

struct status_range {
    uint16_t low, high; /* both included */
};

struct spec_check {
    char name[NAME_SIZE];
    enum check_type type;
    char url[REGION_MAX][URL_SIZE]; /* by region, variables expanded; "": not probed there */
    struct status_range expect[STATUS_RANGE_MAX];
    uint32_t expect_count;
    char match[URL_SIZE]; /* substring of the body; "": none */
    uint32_t interval_ms, timeout_ms, fall, rise;
    bool critical, keep_alive, insecure;
    enum check_standby standby; /* SKIP: says nothing about a region that is not active */
    char ca_file[URL_SIZE], cert_file[URL_SIZE], key_file[URL_SIZE]; /* "": default, none, none */
    char server_name[DNS_NAME_SIZE];                                 /* SNI; "": the URL's host */
};

struct spec_zone {
    char id[CHANGE_ID_SIZE];
    char role[ARN_SIZE];           /* "": the node's own identity */
    char external_id[REASON_SIZE]; /* "": none */
    char fence_name[DNS_NAME_SIZE];
};

enum record_kind { RECORD_ALIAS, RECORD_CNAME, RECORD_VALUES, RECORD_KIND_COUNT };
enum record_routing { ROUTING_SIMPLE, ROUTING_WEIGHTED, ROUTING_FAILOVER, RECORD_ROUTING_COUNT };

struct spec_record_value {
    char text[RECORD_VALUE_SIZE];     /* alias or cname target; values, one a line */
    char zone_id[CHANGE_ID_SIZE];     /* of an alias target; "": derived from its name */
    char set_identifier[REASON_SIZE]; /* weighted, failover: the region's record set */
};

struct spec_record {
    uint32_t zone; /* place in the service's zones */
    char name[DNS_NAME_SIZE];
    char type[8]; /* A AAAA CNAME TXT */
    enum record_kind kind;
    enum record_routing routing;
    uint32_t ttl_s;
    struct spec_record_value value[REGION_MAX]; /* text "": the region has none */
};

enum failback { FAILBACK_MANUAL, FAILBACK_AUTO, FAILBACK_COUNT };
enum foreign_change { FOREIGN_PAGE, FOREIGN_REPAIR, FOREIGN_CHANGE_COUNT };

struct spec_policy {
    uint64_t confirm_ms, cooldown_ms;
    uint32_t max_moves; /* automatic ones a window; at most RECENT_MOVE_MAX */
    uint64_t max_moves_window_ms;
    enum failback failback;
    enum foreign_change foreign_change;
    uint64_t lease_ms; /* 0: none */
};

enum mongo_lost { MONGO_LOST_ASK, MONGO_LOST_NEVER, MONGO_LOST_COUNT };
enum mongo_election { MONGO_ELECTION_PAGE, MONGO_ELECTION_FOLLOW, MONGO_ELECTION_COUNT };

#define MONGO_CHECK_NAME "mongo" /* of the replica set's own check */

/* The replica set of a service, which moves with it; a critical check as well. */
struct spec_mongo {
    bool used;
    char uri[MONGO_URI_SIZE];        /* without user and password */
    char credentials[URL_SIZE];      /* "file:NAME" or "env:NAME"; "": none */
    char region_tag[NAME_SIZE];      /* member tag that names the member's region */
    char write_check[DNS_NAME_SIZE]; /* "database.collection" of the canary; "": none */
    uint64_t max_lag_ms, max_lag_age_ms;
    uint32_t interval_ms, timeout_ms, fall, rise; /* as of a check */
    enum mongo_lost on_majority_lost;
    enum mongo_election on_own_election;
};

struct spec_service {
    char name[NAME_SIZE];
    char owner[NAME_SIZE]; /* "": none */
    enum service_mode mode;
    uint32_t home;
    uint32_t targets[REGION_MAX]; /* in order of preference; without home */
    uint32_t target_count;
    struct spec_check checks[CHECK_MAX];
    uint32_t check_count;
    struct spec_zone zones[ZONE_MAX];
    uint32_t zone_count;
    struct spec_record records[RECORD_MAX];
    uint32_t record_count;
    struct spec_mongo mongo;
    struct spec_policy policy;
    uint64_t rto_ms;                           /* 0: none */
    uint64_t database_rto_ms, database_rpo_ms; /* likewise; of its replica set */
};

struct spec {
    struct spec_region regions[REGION_MAX];
    uint32_t region_count;
    struct spec_service services[SERVICE_MAX];
    uint32_t service_count;
};

/* Place of a name, or NONE_INDEX. */
uint32_t spec_find_region(const struct spec *spec, const char *name);
uint32_t spec_find_service(const struct spec *spec, const char *name);

/* The region is the service's home or one of its targets, and serves. NONE_INDEX: no. */
bool spec_may_serve(const struct spec *spec, uint32_t service, uint32_t region);

/* Record sets of the service in one of its zones: one for a simple record, else one a region. */
uint32_t spec_record_set_count(const struct spec *spec, uint32_t service, uint32_t zone);

/* What holds for every committed spec, whoever parsed it: counts, enums, indexes, unique names, a
 * critical check a service, a home that serves. NULL when all hold, else the broken rule in words.
 */
const char *spec_broken_rule(const struct spec *spec);

#endif
