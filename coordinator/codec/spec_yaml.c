#include "codec/spec_yaml.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "spec_reader.h"

#define SPEC_VERSION "1"
#define REGIONS_WANTED 3 /* a majority must remain when one is lost */

static const char *const role_words[] = {"serve", "witness", NULL};
static const char *const mode_words[] = {"observe", "advise", "auto", NULL};

static const struct value_row spec_rows[] = {
    {"version", VALUE_OTHER, .required = true, .doc = "1", .schema = "{\"const\": 1}"},
    {"regions", VALUE_OTHER, .required = true,
     .doc = "every region by name, also those with only a node", .table = &spec_region_keys,
     .by_name = true},
    {"services", VALUE_OTHER, .required = true, .doc = "what moves as one, by name",
     .table = &spec_service_keys, .by_name = true},
    {"notify", VALUE_LATER,
     .doc = "take it out; `noctuactl watch` and the endpoint /events tell "
            "what happens"},
    {"runbooks", VALUE_LATER, .doc = "take it out"},
};
const struct value_table spec_keys = {spec_rows, ARRAY_LENGTH(spec_rows), "a spec"};

void spec_print_reference(struct buffer *out) {
    static const struct {
        const char *heading;
        const struct value_table *table;
    } parts[] = {
        {"The spec", &spec_keys},
        {"`regions: NAME:`", &spec_region_keys},
        {"`services: NAME:`", &spec_service_keys},
        {"`checks: NAME:`", &spec_check_keys},
        {"`mongo:`", &spec_mongo_keys},
        {"`dns:`", &spec_zone_keys},
        {"`dns: records: NAME:`", &spec_record_keys},
        {"`policy:`", &spec_policy_keys},
        {"`objectives:`", &spec_objective_keys},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(parts); i++) {
        buffer_append_format(out, "%s%s %s\n\n", i == 0 ? "" : "\n", i == 0 ? "#" : "##",
                             parts[i].heading);
        value_table_print(parts[i].table, false, out);
    }
}

void spec_print_schema(struct buffer *out) {
    struct buffer keys;
    buffer_init(&keys, 0);
    value_table_print_schema(&spec_keys, &keys);
    buffer_append_text(out, "{\"$schema\": \"https://json-schema.org/draft/2020-12/schema\", "
                            "\"title\": \"A spec of Noctua\", \"allOf\": [");
    buffer_append_text(out, keys.data == NULL ? "{}" : keys.data);
    buffer_append_text(out, "]}\n");
    out->failed = out->failed || keys.failed;
    buffer_finish(&keys);
}

static const struct value_row region_rows[] = {
    {"role", VALUE_WORD, VALUE_AT(struct spec_region, role), .words = role_words,
     .standard = "serve", .doc = "a witness is only a node, never a target"},
    {"risk_group", VALUE_NAME, VALUE_AT(struct spec_region, risk_group),
     .doc = "regions of one group may die together"},
    {"max_active", VALUE_NUMBER, VALUE_AT(struct spec_region, max_active), .low = 1,
     .high = SERVICE_MAX, .doc = "services that it can carry at once"},
};
const struct value_table spec_region_keys = {region_rows, ARRAY_LENGTH(region_rows), "a region"};

static const struct value_row service_rows[] = {
    {"owner", VALUE_NAME, VALUE_AT(struct spec_service, owner),
     .doc = "whose operators may act on it"},
    {"mode", VALUE_WORD, VALUE_AT(struct spec_service, mode), .words = mode_words,
     .standard = "observe", .doc = "what it does by itself"},
    {"home", VALUE_OTHER, .required = true, .doc = "the region where it is active at first",
     .schema = SCHEMA_NAME},
    {"targets", VALUE_OTHER, .doc = "regions it may move to, in order; else all that serve",
     .schema = "{\"type\": \"array\", \"items\": " SCHEMA_NAME "}"},
    {"checks", VALUE_OTHER, .doc = "at least one that is critical, or `mongo`",
     .table = &spec_check_keys, .by_name = true},
    {"mongo", VALUE_OTHER, .doc = "the replica set that moves with it; a critical check as well",
     .table = &spec_mongo_keys},
    {"dns", VALUE_OTHER, .doc = "zone and records; a list of several zones; or none",
     .table = &spec_zone_keys, .or_list = true},
    {"policy", VALUE_OTHER, .doc = "when to move", .table = &spec_policy_keys},
    {"objectives", VALUE_OTHER, .doc = "how long an outage may take",
     .table = &spec_objective_keys},
    {"plan", VALUE_OTHER, .doc = "derived from the above; may be written as it is derived",
     .schema = "{\"type\": [\"object\", \"null\"]}"},
    {"capacity", VALUE_LATER, .doc = "take it out"},
};
const struct value_table spec_service_keys = {service_rows, ARRAY_LENGTH(service_rows),
                                              "a service"};

static void read_region(struct spec_reader *reader, const struct yaml_node *node) {
    struct spec *spec = reader->spec;
    if (spec->region_count == REGION_MAX) {
        find_error_at_key(reader->findings, node, "more than %d regions", REGION_MAX);
        return;
    }
    struct spec_region *region = &spec->regions[spec->region_count];
    if (!text_is_name(node->key->text, NAME_SIZE - 1)) {
        find_error_at_key(reader->findings, node,
                          "'%.64s' is not a region's name: a-z, 0-9 and inside - _ .",
                          node->key->text);
    }
    /* Kept also when it is wrong, so that its mentions aren't told as unknown. */
    if (!TEXT_COPY(region->name, node->key->text)) {
        return;
    }
    spec->region_count++;
    (void)value_table_read(&spec_region_keys, node, node, region, reader->findings);
    if (text_equal(region->risk_group, "none")) {
        memset(region->risk_group, 0, sizeof region->risk_group);
    }
}

static void read_regions(struct spec_reader *reader, const struct yaml_node *node) {
    if (node == NULL) {
        return; /* told as a missing key */
    }
    if (node->kind != YAML_MAPPING || node->first == NULL) {
        find_error_at_key(reader->findings, node, "regions: at least one, as NAME: {}");
        return;
    }
    for (const struct yaml_node *region = node->first; region != NULL; region = region->next) {
        read_region(reader, region);
    }
    if (node->count < REGIONS_WANTED) {
        find_warning(reader->findings, node->key,
                     "regions: %" PRIu32 ", and nothing moves by itself: automation needs nodes in "
                     "three, so that two can agree about the third; a witness is enough",
                     node->count);
    }
}

static void read_home(const struct service_reader *s, const struct yaml_node *node) {
    const struct spec *spec = s->reader->spec;
    s->service->home = NONE_INDEX;
    const char *text = node == NULL ? NULL : reader_text(s->reader, node, "home");
    uint32_t region = text == NULL ? NONE_INDEX : reader_find_region(s->reader, node, text, "home");
    if (region == NONE_INDEX) {
        return;
    }
    if (spec->regions[region].role != REGION_SERVE) {
        find_error(s->reader->findings, node, "home: %s is a witness; nothing is served there",
                   text);
        return;
    }
    s->service->home = region;
    s->places->has_home = true;
}

static void add_target(const struct service_reader *s, const struct yaml_node *node) {
    struct spec_findings *findings = s->reader->findings;
    const char *text = reader_text(s->reader, node, "targets");
    uint32_t region =
        text == NULL ? NONE_INDEX : reader_find_region(s->reader, node, text, "targets");
    if (region == NONE_INDEX) {
        return;
    }
    if (s->places->has_home && region == s->service->home) {
        find_error(findings, node, "targets: %s is the home, to which it can return anyway", text);
    } else if (s->reader->spec->regions[region].role != REGION_SERVE) {
        find_error(findings, node, "targets: %s is a witness, never a target", text);
    } else if (reader_may_serve(s, region)) {
        find_error(findings, node, "targets: %s stands here twice", text);
    } else {
        s->service->targets[s->service->target_count++] = region;
    }
}

static void read_targets(const struct service_reader *s, const struct yaml_node *node) {
    const struct spec *spec = s->reader->spec;
    struct spec_service *service = s->service;
    if (node != NULL && node->kind != YAML_SEQUENCE) {
        find_error(s->reader->findings, node, "targets: a list of regions, as in [us-west-2]");
    } else if (node != NULL) {
        for (const struct yaml_node *item = node->first; item != NULL; item = item->next) {
            add_target(s, item);
        }
    } else {
        for (uint32_t i = 0; i < spec->region_count && s->places->has_home; i++) {
            if (i != service->home && spec->regions[i].role == REGION_SERVE) {
                service->targets[service->target_count++] = i;
            }
        }
    }
    bool empty = node == NULL || (node->kind == YAML_SEQUENCE && node->first == NULL);
    if (s->places->has_home && service->target_count == 0 && empty) {
        find_warning(s->reader->findings, node != NULL ? node : s->places->node->key,
                     "no region to move to: only the state of this service will be shown");
    }
}

static void read_service(struct spec_reader *reader, const struct yaml_node *node) {
    struct spec *spec = reader->spec;
    uint32_t place = spec->service_count;
    if (place == SERVICE_MAX) {
        find_error_at_key(reader->findings, node, "more than %d services", SERVICE_MAX);
        return;
    }
    spec->service_count++;
    struct service_reader s = {reader, &spec->services[place], &reader->services[place]};
    s.places->node = node;
    if (!text_is_name(node->key->text, NAME_SIZE - 1) ||
        !TEXT_COPY(s.service->name, node->key->text)) {
        find_error_at_key(reader->findings, node,
                          "'%.64s' is not a service's name: a-z, 0-9 and inside - _ .",
                          node->key->text);
    }
    if (!value_table_read(&spec_service_keys, node, node, s.service, reader->findings)) {
        return;
    }
    if (text_equal(s.service->owner, "none")) {
        memset(s.service->owner, 0, sizeof s.service->owner);
    }
    read_home(&s, yaml_find(node, "home"));
    read_targets(&s, yaml_find(node, "targets"));
    read_mongo(&s, yaml_find(node, "mongo"));
    read_checks(&s, yaml_find(node, "checks"));
    read_dns(&s, yaml_find(node, "dns"));
    read_policy(&s, yaml_find(node, "policy"));
    read_objectives(&s, yaml_find(node, "objectives"));
    read_plan(&s, yaml_find(node, "plan"));
}

static void read_services(struct spec_reader *reader, const struct yaml_node *node) {
    if (node == NULL || yaml_is_null(node) || !reader_is_mapping(reader, node, "services")) {
        return;
    }
    for (const struct yaml_node *service = node->first; service != NULL; service = service->next) {
        read_service(reader, service);
    }
}

static void read_spec(struct spec_reader *reader, const struct yaml_node *root) {
    if (root == NULL || root->kind != YAML_MAPPING) {
        find_error(reader->findings, root,
                   "a spec is wanted here: version: 1, then regions and services");
        return;
    }
    const struct yaml_node *version = yaml_find(root, "version");
    if (version != NULL &&
        (version->kind != YAML_SCALAR || !text_equal(version->text, SPEC_VERSION))) {
        find_error(reader->findings, version, "version: this Noctua reads version %s",
                   SPEC_VERSION);
        return; /* whatever else is there may mean something else */
    }
    (void)value_table_read(&spec_keys, root, NULL, NULL, reader->findings);
    read_regions(reader, yaml_find(root, "regions"));
    read_services(reader, yaml_find(root, "services"));
    check_spec(reader);
}

enum error_code spec_parse(const char *text, size_t size_bytes, const char *file_name,
                           struct spec *ret, struct spec_findings *findings) {
    findings_init(findings, file_name);
    struct yaml_tree tree;
    enum error_code code = yaml_tree_read(text, size_bytes, SPEC_TEXT_MAX, &tree, findings);
    if (code != ERROR_OK) {
        return code;
    }
    struct spec_reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL) {
        yaml_tree_finish(&tree);
        return findings_add_no_memory(findings);
    }
    reader->spec = ret;
    reader->findings = findings;
    read_spec(reader, tree.root);
    free(reader);
    yaml_tree_finish(&tree);
    code = findings->error_count == 0 ? ERROR_OK : ERROR_INVALID;
    const char *broken = code == ERROR_OK ? spec_broken_rule(ret) : NULL;
    if (broken != NULL) {
        findings_add(findings, FINDING_ERROR, 0, 0,
                     "no mistake was found, and still %s: this is a "
                     "defect of Noctua",
                     broken);
        code = ERROR_INTERNAL;
    }
    findings_sort(findings);
    return code;
}
