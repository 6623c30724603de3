/* Record sets in XML for tests, and short ways to make states of them. */
#ifndef TESTS_DRIVER_RECORDS_H
#define TESTS_DRIVER_RECORDS_H

#include "driver/driver.h"
#include "driver/route53.h"

/* Pieces of literals: parentheses would break them. NOLINTBEGIN(bugprone-macro-parentheses) */
#define SET(inner) "<ResourceRecordSet>" inner "</ResourceRecordSet>"
#define VALUES(inner) "<ResourceRecords>" inner "</ResourceRecords>"
#define VALUE(text) "<ResourceRecord><Value>" text "</Value></ResourceRecord>"
#define NAME_TYPE(name, type) "<Name>" name "</Name><Type>" type "</Type>"

#define SET_A SET(NAME_TYPE("nocturnal.com.", "A") "<TTL>60</TTL>" VALUES(VALUE("192.0.2.1")))
#define SET_ALIAS                                                                                  \
    SET(NAME_TYPE("api.nocturnal.com.", "A") "<AliasTarget><HostedZoneId>Z35SXDOTRQ7X7K"           \
                                             "</HostedZoneId><DNSName>web-1.us-east-1.elb."        \
                                             "amazonaws.com.</DNSName><EvaluateTargetHealth>true"  \
                                             "</EvaluateTargetHealth></AliasTarget>")
#define SET_CNAME                                                                                  \
    SET(NAME_TYPE("www.nocturnal.com.", "CNAME") "<TTL>300</TTL>" VALUES(VALUE("east.example."     \
                                                                               "com")))
#define SET_TXT                                                                                    \
    SET(NAME_TYPE("txt.nocturnal.com.", "TXT") "<TTL>60</TTL>" VALUES(                             \
        VALUE("&quot;a&quot;") VALUE("&quot;b &amp; c&quot;")))
#define SET_WEIGHTED(region, weight, address)                                                      \
    SET(NAME_TYPE("w.nocturnal.com.", "A") "<SetIdentifier>" region                                \
                                           "</SetIdentifier><Weight>" weight                       \
                                           "</Weight><TTL>60</TTL>" VALUES(VALUE(address)))
#define SET_FAILOVER(region, role, rest)                                                           \
    SET(NAME_TYPE("f.nocturnal.com.",                                                              \
                  "A") "<SetIdentifier>" region "</SetIdentifier><Failover>" role                  \
                       "</Failover><TTL>60</TTL>" VALUES(VALUE("192.0.2.1")) rest)
#define SET_FENCE(ttl, values)                                                                     \
    SET(NAME_TYPE("_noctua-nocturnal.nocturnal.com.", "TXT") "<TTL>" ttl "</TTL>" VALUES(values))

/* NOLINTEND(bugprone-macro-parentheses) */

#define FENCE_NAME "_noctua-nocturnal.nocturnal.com"

/* The canonical state of these sets (asserts that they are well-formed). */
void records_make_state(const char *sets, struct driver_blob *ret_state);
void records_make_target(struct driver_target *target);
void records_add_key(struct driver_target *target, const char *name, const char *type,
                     const char *set_identifier);

#endif
