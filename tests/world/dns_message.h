/* DNS messages (RFC 1035, 6891): a query is read, an answer is written, within fixed memory. Pure.
 */
#ifndef WORLD_DNS_MESSAGE_H
#define WORLD_DNS_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dns_name.h"
#include "record_set.h"

#define DNS_MESSAGE_MAX_BYTES 65535
#define DNS_UDP_DEFAULT_BYTES 512
#define DNS_UDP_MAX_BYTES 1232
#define DNS_CLASS_IN 1
#define DNS_TYPE_OPT 41
#define DNS_TYPE_ANY 255

enum dns_code {
    DNS_NOERROR = 0,
    DNS_FORMERR = 1,
    DNS_SERVFAIL = 2,
    DNS_NXDOMAIN = 3,
    DNS_NOTIMP = 4,
    DNS_REFUSED = 5,
};

struct dns_query {
    uint16_t id;
    unsigned opcode;
    bool recursion_desired;
    char name[DNS_NAME_SIZE];
    unsigned type, class;
    const uint8_t *question; /* of the query's bytes */
    size_t question_bytes;
    bool edns;
    size_t udp_bytes; /* the largest answer that the client takes by UDP */
};

enum dns_query_verdict {
    DNS_QUERY_OK,
    DNS_QUERY_IGNORE,  /* no query at all: no answer */
    DNS_QUERY_FORMERR, /* id and opcode are filled */
};

enum dns_query_verdict dns_query_parse(const uint8_t *bytes, size_t size_bytes,
                                       struct dns_query *ret_query);

enum dns_section { DNS_ANSWER, DNS_AUTHORITY };

struct dns_writer {
    uint8_t *bytes;
    size_t size_bytes;
    size_t capacity_bytes;
    size_t question_end;
    uint16_t counts[2]; /* of enum dns_section */
    bool truncated;
};

/* Begins an answer in `bytes`: header and question. capacity_bytes is at least
 * DNS_UDP_DEFAULT_BYTES. */
void dns_writer_begin(struct dns_writer *writer, uint8_t *bytes, size_t capacity_bytes,
                      const struct dns_query *query);
/* One record from a value as Route 53 writes it. False: the type has no wire form here (nothing is
 * written). A record that doesn't fit sets `truncated`. */
bool dns_writer_add(struct dns_writer *writer, enum dns_section section, const char *name,
                    enum record_type type, uint32_t ttl_s, const char *value);
/* Fills the header. Returns the size of the answer. */
size_t dns_writer_end(struct dns_writer *writer, const struct dns_query *query, enum dns_code code,
                      bool authoritative);

#endif
