/* One resource record set, as the Route 53 API has it: name, type, routing policy, and either
 * values with a TTL or an alias target. Built by a parser, then never changed: states of a zone
 * share it by reference count. Source: Route 53 API reference, ResourceRecordSet. */
#ifndef WORLD_RECORD_SET_H
#define WORLD_RECORD_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dns_name.h"

#define RECORD_VALUES_MAX 400
#define RECORD_VALUE_CHARACTERS_MAX 4000
#define RECORD_SET_IDENTIFIER_MAX 128
#define RECORD_REGION_MAX 64
#define RECORD_HEALTH_CHECK_ID_MAX 64
#define RECORD_ZONE_ID_MAX 32
#define RECORD_TTL_MAX_S 2147483647
#define RECORD_WEIGHT_MAX 255

/*            type   DNS number */
#define RECORD_TYPE_TABLE(X)                                                                       \
    X(A, 1)                                                                                        \
    X(AAAA, 28)                                                                                    \
    X(CAA, 257)                                                                                    \
    X(CNAME, 5)                                                                                    \
    X(DS, 43)                                                                                      \
    X(HTTPS, 65)                                                                                   \
    X(MX, 15)                                                                                      \
    X(NAPTR, 35)                                                                                   \
    X(NS, 2)                                                                                       \
    X(PTR, 12)                                                                                     \
    X(SOA, 6)                                                                                      \
    X(SPF, 99)                                                                                     \
    X(SRV, 33)                                                                                     \
    X(SSHFP, 44)                                                                                   \
    X(SVCB, 64)                                                                                    \
    X(TLSA, 52)                                                                                    \
    X(TXT, 16)

/* In alphabetical order, which is the order of a listing. */
enum record_type {
#define X(type, number) RECORD_##type,
    RECORD_TYPE_TABLE(X)
#undef X
        RECORD_TYPE_COUNT
};

enum record_failover { RECORD_PRIMARY, RECORD_SECONDARY };

/* Which optional elements are there. */
enum record_field {
    RECORD_FIELD_SET_IDENTIFIER = 1 << 0,
    RECORD_FIELD_WEIGHT = 1 << 1,
    RECORD_FIELD_REGION = 1 << 2,
    RECORD_FIELD_GEO_LOCATION = 1 << 3,
    RECORD_FIELD_FAILOVER = 1 << 4,
    RECORD_FIELD_MULTI_VALUE = 1 << 5,
    RECORD_FIELD_TTL = 1 << 6,
    RECORD_FIELD_VALUES = 1 << 7,
    RECORD_FIELD_ALIAS = 1 << 8,
    RECORD_FIELD_HEALTH_CHECK = 1 << 9,
};

#define RECORD_FIELDS_ROUTING                                                                      \
    (RECORD_FIELD_WEIGHT | RECORD_FIELD_REGION | RECORD_FIELD_GEO_LOCATION |                       \
     RECORD_FIELD_FAILOVER | RECORD_FIELD_MULTI_VALUE)

struct record_set {
    unsigned reference_count;
    unsigned fields; /* of enum record_field */
    char name[DNS_NAME_SIZE];
    enum record_type type;
    char set_identifier[RECORD_SET_IDENTIFIER_MAX * 4 + 1]; /* UTF-8 */
    uint32_t weight;
    char region[RECORD_REGION_MAX + 1];
    char continent[3], country[3], subdivision[4];
    enum record_failover failover;
    bool multi_value;
    uint32_t ttl_s;
    char **values;
    size_t value_count;
    struct {
        char zone_id[RECORD_ZONE_ID_MAX + 1];
        char dns_name[DNS_NAME_SIZE];
        bool evaluate_target_health;
    } alias;
    char health_check_id[RECORD_HEALTH_CHECK_ID_MAX + 1];
};

/* A fresh one has a reference count of 1. */
struct record_set *record_set_create(void);
struct record_set *record_set_ref(struct record_set *set);
void record_set_unref(struct record_set *set); /* takes NULL */

/* Only while being built. False: over RECORD_VALUES_MAX or RECORD_VALUE_CHARACTERS_MAX. */
bool record_set_add_value(struct record_set *set, const char *value);

/* Same in everything that a DELETE has to match; the order of values doesn't count. */
bool record_set_equal(const struct record_set *a, const struct record_set *b);

/* Order of a listing: name, type, set identifier. Equal: the same key. */
int record_set_compare(const struct record_set *a, const struct record_set *b);

const char *record_type_text(enum record_type type);
unsigned record_type_number(enum record_type type);
bool record_type_from_text(const char *text, enum record_type *ret_type);
bool record_type_from_number(unsigned number, enum record_type *ret_type);

#endif
