/* Amazon Route 53 in `records` mode: one ChangeBatch deletes and creates the fence TXT and each
 * record exactly as read. DELETE must match and a batch is atomic, so the batch is a
 * compare-and-swap at the target. Never UPSERT.
 * Source: Route 53 API reference, ChangeResourceRecordSets, ListResourceRecordSets, GetChange. */
#ifndef DRIVER_ROUTE53_H
#define DRIVER_ROUTE53_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/entropy.h"
#include "base/error.h"
#include "driver/driver.h"

struct uv_loop_s;

#define ROUTE53_VALUE_MAX 512
#define ROUTE53_DIFF_MAX 2048

struct route53_options {
    struct uv_loop_s *loop;
    const struct clock *clock;
    const struct entropy *entropy;
    const char *node;            /* role sessions are called noctua-<node> */
    const char *region;          /* whose STS is asked when the environment names none; or NULL */
    uint32_t request_timeout_ms; /* one HTTP request, from its start; 0: 15 s */
    uint32_t read_timeout_ms;    /* a whole read, with its retries; 0: 60 s */
};

/* The endpoint is https://route53.amazonaws.com unless AWS_ENDPOINT_URL_ROUTE_53 or
 * AWS_ENDPOINT_URL says otherwise (http:// for loopback hosts only); likewise
 * AWS_ENDPOINT_URL_STS. CA certificates: the system's, or AWS_CA_BUNDLE. */
enum error_code route53_create(const struct route53_options *options, struct driver **ret_driver,
                               struct error *error);

/* Fetches the target's credentials now and keeps them fresh: a new leader must not need STS in the
 * middle of an outage. To be called on every node for every target, at the start and now and then
 * (those of a target that isn't named for a day are left to expire). */
void route53_prepare(struct driver *driver, const struct driver_target *target);

/* What a move does to one record. */
enum route53_action {
    ROUTE53_ALIAS,    /* simple alias: text is the new DNS name */
    ROUTE53_CNAME,    /* text is the new target */
    ROUTE53_VALUES,   /* text holds the new values, one a line, as Route 53 wants them; a TXT value
                         that doesn't begin with a quote is quoted, escaped and cut up */
    ROUTE53_WEIGHTED, /* one of several weighted sets: `chosen` gets the traffic, the rest 0 */
    ROUTE53_FAILOVER, /* one of a pair of failover sets: `chosen` becomes PRIMARY */
};

struct route53_value {
    enum route53_action action;
    char text[ROUTE53_VALUE_MAX];
    char zone_id[64]; /* hosted zone of an alias' target; "": derived from its DNS name */
    uint32_t ttl_s;   /* cname, values; 0: as read */
    bool chosen;      /* weighted, failover */
};

/* The state that a move wants: each record of `as_read` copied verbatim, with only what the move
 * changes replaced. values[i] belongs to target->records[i]; value_count == target->record_count.
 * diff (NUL-terminated, cut to its size) is for people, a line a change; "" when nothing changes.
 * Pure. Refused: an empty set, a record that isn't in as_read, an action that doesn't fit it, an
 * alias target whose hosted zone is unknown (asks for zone_id). */
enum error_code route53_desired(const struct driver_target *target,
                                const struct driver_blob *as_read,
                                const struct route53_value *values, uint32_t value_count,
                                struct driver_blob *ret_state, char diff[ROUTE53_DIFF_MAX],
                                struct error *error);

#endif
