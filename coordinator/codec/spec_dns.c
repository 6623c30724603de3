/* The DNS records of a service, by hosted zone. */
#include "spec_reader.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "codec/alias_zone.h"

#define TTL_MAX_MS (24 * 60 * 60 * UINT64_C(1000))
#define TTL_WARNING_S 60
#define SET_IDENTIFIER_MAX 128 /* Route 53 API reference, ResourceRecordSet */
#define TXT_STRING_MAX 255     /* RFC 1035, section 3.3 */

static const char *const routing_words[] = {"simple", "weighted", "failover", NULL};

static const struct value_row zone_rows[] = {
    {"zone", VALUE_OTHER, .required = true, .doc = "the hosted zone's id, as in Z1234567890ABC",
     .schema = "{\"type\": \"string\"}"},
    {"role", VALUE_TEXT, VALUE_AT(struct spec_zone, role), .doc = "a role to assume for it"},
    {"external_id", VALUE_TEXT, VALUE_AT(struct spec_zone, external_id), .doc = "for that role"},
    {"fence", VALUE_OTHER, .doc = "name of the TXT record that tells whose change stands",
     .schema = "{\"type\": \"string\"}"},
    {"mode", VALUE_OTHER, .doc = "[records]",
     .schema = "{\"type\": \"array\", \"items\": {\"const\": \"records\"}}"},
    {"records", VALUE_OTHER, .required = true, .doc = "as NAME: {alias: {REGION: target}}",
     .table = &spec_record_keys, .by_name = true},
};
const struct value_table spec_zone_keys = {zone_rows, ARRAY_LENGTH(zone_rows), "dns"};

/* A record as it is written; one spec_record a type is made of it. */
struct record_text {
    uint64_t ttl_ms;
    enum record_routing routing;
};

static const struct value_row record_rows[] = {
    {"alias", VALUE_OTHER, .doc = "the target by region; or {name, zone_id}",
     .schema = SCHEMA_BY_REGION("{\"type\": [\"string\", \"object\"]}")},
    {"cname", VALUE_OTHER, .doc = "the target by region",
     .schema = SCHEMA_BY_REGION("{\"type\": \"string\"}")},
    {"values", VALUE_OTHER, .doc = "the values by region",
     .schema = SCHEMA_BY_REGION("{\"type\": [\"string\", \"number\", \"array\"]}")},
    {"type", VALUE_OTHER, .doc = "A, AAAA or TXT",
     .schema = "{\"enum\": [\"A\", \"AAAA\", \"TXT\"]}"},
    {"types", VALUE_OTHER, .doc = "a list of them",
     .schema = "{\"type\": \"array\", \"items\": {\"enum\": [\"A\", \"AAAA\", \"TXT\"]}}"},
    {"ttl", VALUE_DURATION, VALUE_AT(struct record_text, ttl_ms), .low = 1000, .high = TTL_MAX_MS,
     .standard = "60s", .doc = "how long a resolver may keep it"},
    {"routing", VALUE_WORD, VALUE_AT(struct record_text, routing), .words = routing_words,
     .standard = "simple", .doc = "how the record is kept"},
    {"sets", VALUE_OTHER, .doc = "region: set identifier", .schema = SCHEMA_BY_REGION(SCHEMA_TEXT)},
};
const struct value_table spec_record_keys = {record_rows, ARRAY_LENGTH(record_rows), "a record"};

#define TYPE_MAX 2
struct record_reader {
    const struct service_reader *s;
    const struct yaml_node *node;
    struct spec_record record; /* but for its type */
    const char *types[TYPE_MAX];
    uint32_t type_count;
};

static struct spec_findings *findings_of(const struct record_reader *r) {
    return r->s->reader->findings;
}

/* "dualstack.web-1.us-east-1.elb.amazonaws.com" lies in us-east-1; NULL: it can't be told. */
static const char *region_of_target(const char *target, char region[NAME_SIZE]) {
    static const char suffix[] = ".amazonaws.com";
    size_t length = strlen(target);
    if (length <= sizeof suffix - 1 || !text_equal(target + length - (sizeof suffix - 1), suffix)) {
        return NULL;
    }
    char head[DNS_NAME_SIZE];
    memcpy(head, target, length - (sizeof suffix - 1));
    head[length - (sizeof suffix - 1)] = '\0';
    char *last = strrchr(head, '.');
    if (last == NULL) {
        return NULL;
    }
    const char *found = last + 1; /* NAME.elb.REGION */
    if (text_equal(found, "elb")) {
        *last = '\0'; /* NAME.REGION.elb */
        found = strrchr(head, '.');
        found = found == NULL ? head : found + 1;
    }
    return text_copy(region, NAME_SIZE, found) ? region : NULL;
}

/* "us-east-1" and the like: two letters, words, a number. */
static bool is_aws_region(const char *name) {
    size_t length = strlen(name);
    bool ends =
        length > 5 && name[length - 2] == '-' && name[length - 1] >= '1' && name[length - 1] <= '9';
    return ends && name[2] == '-' && strspn(name, "abcdefghijklmnopqrstuvwxyz-") == length - 1;
}

static void check_target_region(const struct record_reader *r, const struct yaml_node *node,
                                uint32_t region, const char *target) {
    char found[NAME_SIZE];
    const char *wanted = r->s->reader->spec->regions[region].name;
    if (region_of_target(target, found) != NULL && is_aws_region(found) && is_aws_region(wanted) &&
        !text_equal(found, wanted)) {
        find_error(findings_of(r), node, "%s points to a load balancer in %s", wanted, found);
    }
}

static bool is_zone_id(const char *text) {
    size_t length = strlen(text);
    return length >= 1 && length <= 32 &&
           strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == length;
}

static void read_target(struct record_reader *r, uint32_t region, const struct yaml_node *node,
                        const char *what) {
    const char *text = reader_text(r->s->reader, node, what);
    char name[DNS_NAME_SIZE];
    if (text != NULL && reader_is_plain(r->s->reader, node, text, what) &&
        reader_dns_name(r->s->reader, node, text, name, what)) {
        (void)TEXT_COPY(r->record.value[region].text, name);
        check_target_region(r, node, region, name);
    }
}

/* Route 53 wants the hosted zone of an alias' target; a move is no time to find that out. */
static void check_alias_zone(const struct record_reader *r, uint32_t region,
                             const struct yaml_node *node) {
    const char *name = r->record.value[region].text;
    if (name[0] != '\0' && alias_zone_find(name) == NULL) {
        find_error(findings_of(r), node,
                   "the hosted zone of %.100s is not known here; write {name: %.100s, zone_id: "
                   "Z...}, with this zone's own id if it lies here",
                   name, name);
    }
}

/* An alias' target: its name, or {name, zone_id}. */
static void on_alias(void *context, uint32_t region, const struct yaml_node *node) {
    struct record_reader *r = context;
    if (node->kind != YAML_MAPPING) {
        read_target(r, region, node, "alias");
        check_alias_zone(r, region, node);
        return;
    }
    const struct yaml_node *name = yaml_find(node, "name");
    const struct yaml_node *zone = yaml_find(node, "zone_id");
    for (const struct yaml_node *key = node->first; key != NULL; key = key->next) {
        if (key != name && key != zone) {
            find_error_at_key(findings_of(r), key,
                              "unknown key '%.64s' in an alias; there are name and zone_id",
                              key->key->text);
        }
    }
    if (name == NULL) {
        find_error_at_key(findings_of(r), node, "an alias needs 'name': the target's DNS name");
    } else {
        read_target(r, region, name, "name");
    }
    if (zone != NULL && (zone->kind != YAML_SCALAR || !is_zone_id(zone->text))) {
        find_error(findings_of(r), zone, "zone_id: the id of a hosted zone, as in Z1234567890ABC");
    } else if (zone != NULL) {
        (void)TEXT_COPY(r->record.value[region].zone_id, zone->text);
    } else if (name != NULL) {
        check_alias_zone(r, region, name);
    }
}

static void on_cname(void *context, uint32_t region, const struct yaml_node *node) {
    read_target(context, region, node, "cname");
}

/* A TXT value without quotes is quoted when it is sent; one that brings them must be right. */
static bool is_text_value(const char *text) {
    if (text[0] != '"') {
        return true;
    }
    while (*text != '\0') {
        size_t length = 0;
        if (*text++ != '"') {
            return false;
        }
        for (; *text != '"'; length++) {
            bool octal = text[0] == '\\' && text[1] >= '0' && text[1] <= '3';
            for (int i = octal ? 4 : text[0] == '\\' ? 2 : 1; i > 0; i--) {
                if (*text++ == '\0') {
                    return false;
                }
            }
        }
        text++;
        text += strspn(text, " ");
        if (length > TXT_STRING_MAX) {
            return false;
        }
    }
    return true;
}

static void add_value(struct record_reader *r, uint32_t region, const struct yaml_node *node) {
    const char *text = reader_text(r->s->reader, node, "values");
    const char *type = r->types[0];
    unsigned char binary[16];
    if (text == NULL || !reader_is_plain(r->s->reader, node, text, "values")) {
        return;
    }
    if (text_equal(type, "A") && inet_pton(AF_INET, text, binary) != 1) {
        find_error(findings_of(r), node, "values: '%.60s' is no IPv4 address, as type A wants",
                   text);
        return;
    }
    if (text_equal(type, "AAAA") && inet_pton(AF_INET6, text, binary) != 1) {
        find_error(findings_of(r), node, "values: '%.60s' is no IPv6 address, as type AAAA wants",
                   text);
        return;
    }
    if (strchr(text, '\n') != NULL) {
        find_error(findings_of(r), node, "values: one line each");
        return;
    }
    if (text_equal(type, "TXT") && !is_text_value(text)) {
        find_error(findings_of(r), node,
                   "values: in quotes of its own a TXT value is one or more \"strings\" of at most "
                   "%d characters; without them it is quoted and cut up as needed",
                   TXT_STRING_MAX);
        return;
    }
    char *to = r->record.value[region].text;
    size_t used = strlen(to);
    int length = snprintf(to + used, RECORD_VALUE_SIZE - used, "%s%s", used > 0 ? "\n" : "", text);
    if ((size_t)length >= RECORD_VALUE_SIZE - used) {
        to[used] = '\0';
        find_error(findings_of(r), node, "values: more than %d characters in all",
                   RECORD_VALUE_SIZE - 1);
    }
}

static void on_values(void *context, uint32_t region, const struct yaml_node *node) {
    struct record_reader *r = context;
    if (node->kind != YAML_SEQUENCE) {
        add_value(r, region, node);
        return;
    }
    if (node->first == NULL) {
        find_error(findings_of(r), node, "values: at least one");
    }
    for (const struct yaml_node *item = node->first; item != NULL; item = item->next) {
        add_value(r, region, item);
    }
}

static void on_set(void *context, uint32_t region, const struct yaml_node *node) {
    struct record_reader *r = context;
    const char *text = reader_text(r->s->reader, node, "sets");
    if (text != NULL && strlen(text) > SET_IDENTIFIER_MAX) {
        find_error(findings_of(r), node, "sets: at most %d characters", SET_IDENTIFIER_MAX);
    } else if (text != NULL) {
        memset(r->record.value[region].set_identifier, 0, REASON_SIZE);
        (void)TEXT_COPY(r->record.value[region].set_identifier, text);
    }
}

static void read_sets(struct record_reader *r) {
    const struct spec *spec = r->s->reader->spec;
    const struct yaml_node *sets = yaml_find(r->node, "sets");
    if (r->record.routing == ROUTING_SIMPLE) {
        if (sets != NULL) {
            find_error_at_key(
                findings_of(r), sets,
                "sets: a simple record has none; write routing: weighted or failover");
        }
        return;
    }
    uint32_t count = 0;
    for (uint32_t region = 0; region < spec->region_count; region++) {
        if (reader_may_serve(r->s, region)) {
            (void)TEXT_COPY(r->record.value[region].set_identifier, spec->regions[region].name);
            count++;
        }
    }
    if (r->record.routing == ROUTING_FAILOVER && count != 2) {
        find_error(findings_of(r), yaml_find(r->node, "routing"),
                   "routing: failover is for two regions, one primary and one secondary; this "
                   "service has %u",
                   count);
    }
    if (sets != NULL && reader_is_mapping(r->s->reader, sets, "sets")) {
        reader_by_region(r->s, sets, "sets", on_set, r);
    }
    for (uint32_t a = 0; a < spec->region_count; a++) {
        for (uint32_t b = 0; b < a; b++) {
            const char *id = r->record.value[a].set_identifier;
            if (id[0] != '\0' && text_equal(id, r->record.value[b].set_identifier)) {
                find_error(findings_of(r), sets, "sets: %s and %s have one identifier",
                           spec->regions[b].name, spec->regions[a].name);
            }
        }
    }
}

static void add_type(struct record_reader *r, const struct yaml_node *node) {
    static const char *const known[] = {"A", "AAAA", "TXT"};
    uint32_t allowed = r->record.kind == RECORD_ALIAS ? 2 : 3;
    const char *text = reader_text(r->s->reader, node, "type");
    for (uint32_t i = 0; text != NULL && i < allowed; i++) {
        if (!text_equal(text, known[i])) {
            continue;
        }
        if (r->type_count == TYPE_MAX || (r->type_count > 0 && r->types[0] == known[i]) ||
            (r->type_count > 0 && r->record.kind == RECORD_VALUES)) {
            find_error(findings_of(r), node, "types: %s is one too many", text);
            return;
        }
        r->types[r->type_count++] = known[i];
        return;
    }
    if (text != NULL) {
        find_error(findings_of(r), node, "type: '%.20s' is not %s", text,
                   allowed == 2 ? "A or AAAA" : "A, AAAA or TXT");
    }
}

/* False: what the values are can't be told. */
static bool read_types(struct record_reader *r) {
    const struct yaml_node *type = yaml_find(r->node, "type");
    const struct yaml_node *types = yaml_find(r->node, "types");
    const struct yaml_node *given = type != NULL ? type : types;
    if (type != NULL && types != NULL) {
        find_error_at_key(findings_of(r), types, "types: `type` says it already");
        return false;
    }
    if (r->record.kind == RECORD_CNAME) {
        r->types[r->type_count++] = "CNAME";
        if (given != NULL) {
            find_error_at_key(findings_of(r), given, "type: a cname is of type CNAME");
        }
        return true;
    }
    if (given == NULL && r->record.kind == RECORD_ALIAS) {
        r->types[r->type_count++] = "A";
        return true;
    }
    if (given == NULL) {
        find_error_at_key(findings_of(r), r->node, "values need 'type': A, AAAA or TXT");
        return false;
    }
    if (given->kind == YAML_SEQUENCE && given->first != NULL) {
        for (const struct yaml_node *item = given->first; item != NULL; item = item->next) {
            add_type(r, item);
        }
    } else {
        add_type(r, given);
    }
    return r->type_count > 0;
}

/* Which of alias, cname, values it is; NULL, with a finding, unless exactly one. */
static const struct yaml_node *find_kind(struct record_reader *r) {
    static const char *const words[] = {"alias", "cname", "values"};
    const struct yaml_node *found = NULL;
    for (uint32_t i = 0; i < ARRAY_LENGTH(words); i++) {
        const struct yaml_node *node = yaml_find(r->node, words[i]);
        if (node == NULL) {
            continue;
        }
        if (found != NULL) {
            find_error_at_key(findings_of(r), node,
                              "%s: a record is one of alias, cname and values; here is %s, too",
                              words[i], found->key->text);
            return NULL;
        }
        found = node;
        r->record.kind = (enum record_kind)i;
    }
    if (found == NULL) {
        find_error_at_key(findings_of(r), r->node,
                          "record '%.80s' needs alias, cname or values, by region",
                          r->node->key->text);
    }
    return found;
}

static void check_ttl(const struct record_reader *r, const struct record_text *text) {
    const struct yaml_node *ttl = yaml_find(r->node, "ttl");
    if (ttl == NULL) {
        return;
    }
    if (r->record.kind == RECORD_ALIAS) {
        find_error_at_key(findings_of(r), ttl, "ttl: an alias has none of its own; take it out");
    } else if (text->ttl_ms % 1000 != 0) {
        find_error(findings_of(r), ttl, "ttl: whole seconds only");
    } else if (text->ttl_ms / 1000 > TTL_WARNING_S) {
        find_warning(findings_of(r), ttl,
                     "ttl: resolvers keep the old answer for %u s after a move; 60s or less",
                     (unsigned)(text->ttl_ms / 1000));
    }
}

static void store_record(const struct record_reader *r) {
    struct spec_service *service = r->s->service;
    for (uint32_t i = 0; i < r->type_count; i++) {
        if (service->record_count == RECORD_MAX) {
            find_error_at_key(findings_of(r), r->node, "more than %d records in a service",
                              RECORD_MAX);
            return;
        }
        r->s->places->records[service->record_count] = r->node;
        struct spec_record *record = &service->records[service->record_count++];
        memcpy(record, &r->record, sizeof *record);
        (void)TEXT_COPY(record->type, r->types[i]);
    }
}

static void read_record(const struct service_reader *s, uint32_t zone,
                        const struct yaml_node *node) {
    struct record_reader r;
    memset(&r, 0, sizeof r); /* padding as well: records are compared as bytes */
    r.s = s;
    r.node = node;
    r.record.zone = zone;
    struct record_text text = {0};
    if (!reader_record_name(s->reader, node->key, node->key->text, r.record.name, "records") ||
        !reader_is_mapping(s->reader, node, node->key->text) ||
        !value_table_read(&spec_record_keys, node, node, &text, s->reader->findings)) {
        return;
    }
    const struct yaml_node *values = find_kind(&r);
    if (values == NULL || !read_types(&r)) {
        return;
    }
    r.record.routing = text.routing;
    r.record.ttl_s = r.record.kind == RECORD_ALIAS ? 0 : (uint32_t)(text.ttl_ms / 1000);
    check_ttl(&r, &text);
    if (reader_is_mapping(s->reader, values, values->key->text)) {
        reader_by_region(s, values, values->key->text,
                         r.record.kind == RECORD_ALIAS   ? on_alias
                         : r.record.kind == RECORD_CNAME ? on_cname
                                                         : on_values,
                         &r);
    }
    read_sets(&r);
    store_record(&r);
}

static void read_mode(const struct service_reader *s, const struct yaml_node *node) {
    bool list = node->kind == YAML_SEQUENCE;
    const struct yaml_node *item = list ? node->first : node;
    if (item == NULL) {
        find_error(s->reader->findings, node, "mode: [records]");
    }
    for (; item != NULL; item = list ? item->next : NULL) {
        const char *text = reader_text(s->reader, item, "mode");
        if (text == NULL || text_equal(text, "records")) {
            continue;
        }
        find_error(s->reader->findings, item,
                   text_equal(text, "health")
                       ? "mode: %.20s is not in this version of Noctua; leave `mode` out"
                       : "mode: '%.20s' is no mode; leave `mode` out",
                   text);
    }
}

static void read_zone_texts(const struct service_reader *s, struct spec_zone *zone,
                            const struct yaml_node *node) {
    struct spec_findings *findings = s->reader->findings;
    const struct yaml_node *id = yaml_find(node, "zone");
    if (id != NULL && (id->kind != YAML_SCALAR || !is_zone_id(id->text))) {
        find_error(findings, id,
                   "zone: the hosted zone's id alone, capital letters and digits, as in "
                   "Z1234567890ABC");
    } else if (id != NULL) {
        (void)TEXT_COPY(zone->id, id->text);
    }
    const struct yaml_node *role = yaml_find(node, "role");
    const struct yaml_node *external = yaml_find(node, "external_id");
    if (zone->role[0] != '\0' && !text_starts_with(zone->role, "arn:")) {
        find_error(findings, role,
                   "role: its ARN, as in arn:aws:iam::111122223333:role/noctua-dns");
    }
    if (external != NULL && role == NULL) {
        find_error_at_key(findings, external, "external_id: only with `role`");
    }
    const struct yaml_node *mode = yaml_find(node, "mode");
    if (mode != NULL) {
        read_mode(s, mode);
    }
}

/* The name of the fence: as given, or "_noctua-<service>.<shortest record name>". */
static void read_fence(const struct service_reader *s, uint32_t place,
                       const struct yaml_node *node) {
    struct spec_zone *zone = &s->service->zones[place];
    const struct yaml_node *fence = yaml_find(node, "fence");
    s->places->fences[place] = fence != NULL ? fence : node;
    if (fence != NULL) {
        const char *text = reader_text(s->reader, fence, "fence");
        char name[DNS_NAME_SIZE];
        if (text == NULL || !reader_check_variables(s->reader, fence, text, "fence")) {
            return;
        }
        if (strstr(text, "$region") != NULL) {
            find_error(s->reader->findings, fence,
                       "fence: one for all regions, so without $region");
        } else if (!reader_expand(text, "", s->service->name, name, sizeof name)) {
            find_error(s->reader->findings, fence, "fence: too long");
        } else {
            (void)reader_dns_name(s->reader, fence, name, zone->fence_name, "fence");
        }
        return;
    }
    const char *shortest = NULL;
    for (uint32_t i = 0; i < s->service->record_count; i++) {
        const struct spec_record *record = &s->service->records[i];
        const char *parent = reader_wildcard_parent(record->name); /* lies in the zone, too */
        const char *at = parent != NULL ? parent : record->name;
        if (record->zone == place && (shortest == NULL || strlen(at) < strlen(shortest))) {
            shortest = at;
        }
    }
    char name[NAME_SIZE + DNS_NAME_SIZE + 16];
    (void)snprintf(name, sizeof name, "_noctua-%s.%s", s->service->name,
                   shortest == NULL ? "" : shortest);
    /* A record that was wrong has been told already. */
    if (shortest != NULL &&
        (strlen(s->service->name) + strlen("_noctua-") > 63 || strlen(name) > 253)) {
        find_error_at_key(s->reader->findings, node,
                          "the fence's name would be too long: give `fence`, the name of a TXT "
                          "record in this zone");
    } else if (shortest != NULL) {
        (void)TEXT_COPY(zone->fence_name, name);
    }
}

static void read_zone(const struct service_reader *s, const struct yaml_node *node) {
    struct spec_findings *findings = s->reader->findings;
    uint32_t place = s->service->zone_count;
    if (place == ZONE_MAX) {
        find_error(findings, node, "dns: more than %d zones in a service", ZONE_MAX);
        return;
    }
    struct spec_zone *zone = &s->service->zones[place];
    if (!value_table_read(&spec_zone_keys, node, node, zone, findings)) {
        return;
    }
    s->service->zone_count++;
    s->places->zones[place] = node;
    read_zone_texts(s, zone, node);
    const struct yaml_node *records = yaml_find(node, "records");
    if (records != NULL && (records->kind != YAML_MAPPING || records->first == NULL)) {
        find_error(findings, records, "records: at least one, as NAME: {alias: {REGION: target}}");
    } else if (records != NULL) {
        for (const struct yaml_node *record = records->first; record != NULL;
             record = record->next) {
            read_record(s, place, record);
        }
    }
    read_fence(s, place, node);
}

void read_dns(const struct service_reader *s, const struct yaml_node *node) {
    if (node == NULL || yaml_is_null(node) ||
        (node->kind == YAML_SCALAR && text_equal(node->text, "none"))) {
        return;
    }
    if (node->kind != YAML_SEQUENCE) {
        read_zone(s, node);
        return;
    }
    for (const struct yaml_node *zone = node->first; zone != NULL; zone = zone->next) {
        read_zone(s, zone);
    }
}
