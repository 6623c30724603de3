/* Every limit of committed state, by name. State is fixed-size arrays: going over one of these is a
 * refusal, never a crash. Raising one is a change of the feature level (proto/noctua.proto). */
#ifndef CORE_LIMITS_H
#define CORE_LIMITS_H

#ifndef NOCTUA_SMALL_LIMITS
#define SERVICE_MAX 64
#define EVENT_MAX 4096
#define MOVE_MAX 256     /* kept rows of history */
#define OVERRIDE_MAX 128 /* in force at once */
#define CLIENT_MAX 256   /* remembered for deduplication */
#else                    /* in worlds and fuzzing (-Dsmall_limits=true): tables that are full */
#define SERVICE_MAX 4
#define EVENT_MAX 64
#define MOVE_MAX 8
#define OVERRIDE_MAX 8
#define CLIENT_MAX 8
#endif

#define NODE_MAX 9
#define REGION_MAX 16
#define CHECK_MAX 32          /* a service */
#define ZONE_MAX 4            /* a service */
#define PLACE_OF_SET ZONE_MAX /* among a service's targets: its replica set, behind the zones */
#define RECORD_MAX 16         /* a service, over all its zones */
#define ZONE_SET_MAX 32       /* record sets of a service in one zone: one batch */
#define STATUS_RANGE_MAX 4
#define STEP_MAX 64        /* a plan */
#define DEBT_MAX 8         /* a service */
#define RECENT_MOVE_MAX 16 /* ends of moves a service, for max_moves */
#define BLOB_MAX 64        /* records as read and wanted, of all open steps */
#define BLOB_SIZE 16384
#define CHECK_RUN_MAX 20    /* fall, rise */
#define MONGO_MEMBER_MAX 16 /* of a replica set, in reports and evidence: voters (7) first */

#define NAME_SIZE 64 /* with its NUL: node, region, service, check, step */
#define ACTOR_SIZE 128
#define REASON_SIZE 256
#define URL_SIZE 256
#define DNS_NAME_SIZE 256
#define RECORD_VALUE_SIZE 512
#define ARN_SIZE 256
#define FENCE_SIZE 256
#define EID_SIZE 128
#define CHANGE_ID_SIZE 64
#define MONGO_URI_SIZE 1024
#define MONGO_HOST_SIZE 128 /* "name:port" */
#define MONGO_TROUBLE_SIZE 32
#define LEFT_OUT_SIZE 1020 /* a member's document in the config of its set; fills its struct */
#define SPEC_TEXT_MAX (256 * 1024)
#define SPEC_REVISION_MAX 8 /* kept, with the current one */

#define LEASE_MAX_MS 600000
#define TIME_MAX_MS (UINT64_C(1) << 53) /* exact in JSON; the year 287396 */
#define BEGIN_WITHIN_MS 10000           /* first intent after DECIDE's TICK (DESIGN, "Begin") */
/* Votes rest on probes that started after a TICK which is younger than that at the beginning. */
#define CRITICAL_INTERVAL_MAX_MS 5000
#define TICK_IN_WINDOW_MS 7000       /* then another TICK, and other probes; leaves room to begin */
#define INTERVAL_AND_TIMEOUT_MS 6000 /* a probe that ends so late after a TICK is still in time */

#define NONE_INDEX 0xffffffffu /* no region, service, node, blob */

#endif
