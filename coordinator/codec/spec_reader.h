/* What the parts of the spec's reader share: the spec in the making, and where each part of it
 * stands in the text, for rules that compare one part with another. */
#ifndef CODEC_SPEC_READER_H
#define CODEC_SPEC_READER_H

#include <stdbool.h>
#include <stdint.h>

#include "codec/findings.h"
#include "codec/yaml_tree.h"
#include "core/spec.h"
#include "value_table.h"

/* What each mapping of a spec may hold. */
extern const struct value_table spec_keys, spec_region_keys, spec_service_keys, spec_check_keys,
    spec_mongo_keys, spec_zone_keys, spec_record_keys, spec_policy_keys, spec_objective_keys;

struct service_places {
    const struct yaml_node *node;
    const struct yaml_node *checks[CHECK_MAX];
    const struct yaml_node *zones[ZONE_MAX];
    const struct yaml_node *fences[ZONE_MAX]; /* where it is given; else the zone */
    const struct yaml_node *records[RECORD_MAX];
    const struct yaml_node *confirm, *rto, *database_rto, *rpo; /* NULL: not given */
    bool has_home;
    bool mongo_x509;
};

struct spec_reader {
    struct spec *spec;
    struct spec_findings *findings;
    struct service_places services[SERVICE_MAX];
};

/* A service in the reading. */
struct service_reader {
    struct spec_reader *reader;
    struct spec_service *service;
    struct service_places *places;
};

/* The service's home or one of its targets. */
bool reader_may_serve(const struct service_reader *s, uint32_t region);

/* Place of the region that a text names; NONE_INDEX, and a finding at `node`, where there is none.
 * `what` begins the message. */
uint32_t reader_find_region(const struct spec_reader *reader, const struct yaml_node *node,
                            const char *text, const char *what);

/* Walks over a mapping from regions to values: calls back for each region that may serve. Tells
 * about unknown and foreign regions and, `what` first, about those without a value. */
void reader_by_region(const struct service_reader *s, const struct yaml_node *mapping,
                      const char *what,
                      void (*on_region)(void *context, uint32_t region,
                                        const struct yaml_node *value),
                      void *context);

/* The scalar text of a node; NULL, with a finding, where it is something else or empty. */
const char *reader_text(const struct spec_reader *reader, const struct yaml_node *node,
                        const char *what);

/* Whether it is a mapping; else a finding. */
bool reader_is_mapping(const struct spec_reader *reader, const struct yaml_node *node,
                       const char *what);

/* Finds variables where none may stand. */
bool reader_is_plain(const struct spec_reader *reader, const struct yaml_node *node,
                     const char *text, const char *what);

/* Expands $region and $service; false when it doesn't fit. Unknown variables: check first. */
bool reader_expand(const char *text, const char *region, const char *service, char *to,
                   size_t to_size);
bool reader_check_variables(const struct spec_reader *reader, const struct yaml_node *node,
                            const char *text, const char *what);

/* A DNS name in lower case and without a dot at its end; false, with a finding. */
bool reader_dns_name(const struct spec_reader *reader, const struct yaml_node *node,
                     const char *text, char to[DNS_NAME_SIZE], const char *what);

/* The same, or a wildcard: "*.nocturnal.com", also as Route 53 lists it, "\052.nocturnal.com". */
bool reader_record_name(const struct spec_reader *reader, const struct yaml_node *node,
                        const char *text, char to[DNS_NAME_SIZE], const char *what);
/* "nocturnal.com" of "*.nocturnal.com"; NULL: no wildcard. */
const char *reader_wildcard_parent(const char *name);

/* scheme://host:port/path, as far as a probe cares. */
struct url {
    char scheme[16];
    char host[DNS_NAME_SIZE]; /* lower case, without brackets */
    uint16_t port;            /* 0: the scheme's own */
    bool has_path;
};

/* NULL, or what is wrong with the URL. */
const char *url_parse(const char *text, struct url *ret);

/* spec_check.c, spec_mongo.c, spec_dns.c, spec_policy.c: the value of the service's key; NULL: not
 * given. */
void read_checks(const struct service_reader *s, const struct yaml_node *node);
void read_mongo(const struct service_reader *s, const struct yaml_node *node);
void read_dns(const struct service_reader *s, const struct yaml_node *node);
void read_policy(const struct service_reader *s, const struct yaml_node *node);
void read_objectives(const struct service_reader *s, const struct yaml_node *node);
void read_plan(const struct service_reader *s, const struct yaml_node *node);

/* spec_cross.c: rules between the parts, once all is read. */
void check_spec(const struct spec_reader *reader);

#endif
