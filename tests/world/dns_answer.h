/* What the zones say to a DNS query: simple, weighted, failover and alias record sets, as Route 53
 * answers them (health checks apart: here everything is healthy). Pure. */
#ifndef WORLD_DNS_ANSWER_H
#define WORLD_DNS_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "dns_message.h"
#include "hosted_zone.h"

#define DNS_ALIASES_MAX 64
#define DNS_REGIONS_MAX 64
#define DNS_ADDRESS_SIZE 46
/* A chain of CNAMEs and aliases longer than this is a loop. */
#define DNS_CHAIN_MAX 8
#define DNS_ALIAS_TTL_S 60

struct dns_alias {
    char name[DNS_NAME_SIZE];
    char address[DNS_ADDRESS_SIZE]; /* IPv4 or IPv6 */
};

struct dns_view {
    const struct hosted_zones *zones;
    bool insync_only; /* else the newest state, also PENDING */
    /* Where the targets of alias records are: by name, or by the region that the name contains (the
     * nth of them is 127.0.n.1). */
    struct dns_alias aliases[DNS_ALIASES_MAX];
    size_t alias_count;
    const char *regions[DNS_REGIONS_MAX];
    size_t region_count;
};

/* "DNSNAME=IP". A leading "dualstack." doesn't count, here and in records. */
enum error_code dns_view_add_alias(struct dns_view *view, const char *text, struct error *error);

/* Answers the query in `bytes`. Returns the size of the answer in `out` (at least
 * DNS_MESSAGE_MAX_BYTES), 0: there is none. */
size_t dns_answer(const struct dns_view *view, const uint8_t *bytes, size_t size_bytes, bool tcp,
                  uint8_t *out);

#endif
