/* Policy, objectives and plan of a service. */
#include "spec_reader.h"

#include <stdio.h>
#include <string.h>

#define MINUTE_MS UINT64_C(60000)
#define DAY_MS (24 * 60 * MINUTE_MS)
#define CONFIRM_WARNING_MS 10000
#define LEASE_MIN_MS 1000

static const char *const failback_words[] = {"manual", "auto", NULL};
static const char *const foreign_words[] = {"page", "repair", NULL};

#define AT(member) VALUE_AT(struct spec_policy, member)

static const struct value_row policy_rows[] = {
    {"confirm", VALUE_DURATION, AT(confirm_ms), .low = 0, .high = 60 * MINUTE_MS, .standard = "30s",
     .doc = "how long down must hold before a move; a veto fits in"},
    {"cooldown", VALUE_DURATION, AT(cooldown_ms), .low = 0, .high = 7 * DAY_MS, .standard = "30m",
     .doc = "from the end of one move to the next automatic one"},
    {"max_moves", VALUE_OTHER, .doc = "automatic moves in a window, as in 2/24h",
     .schema = "{\"type\": \"string\", \"pattern\": \"^[0-9]+/[0-9]+(s|m|h|d)$\"}"},
    {"failback", VALUE_WORD, AT(failback), .words = failback_words, .standard = "manual",
     .doc = "whether it returns home by itself"},
    {"foreign_change", VALUE_WORD, AT(foreign_change), .words = foreign_words, .standard = "page",
     .doc = "what to do when somebody else changes a record"},
    {"lease", VALUE_OTHER, .standard = "none",
     .doc = "how long a region may write after its last answer from /lease: 1s to 10m, or none",
     .schema = "{\"type\": \"string\", \"pattern\": \"^(none|[0-9]+(ms|s|m|h|d))$\"}"},
};
const struct value_table spec_policy_keys = {policy_rows, ARRAY_LENGTH(policy_rows), "a policy"};

static void read_max_moves(const struct service_reader *s, const struct yaml_node *node) {
    struct spec_policy *policy = &s->service->policy;
    policy->max_moves = 2;
    policy->max_moves_window_ms = DAY_MS;
    if (node == NULL) {
        return;
    }
    uint64_t count;
    uint64_t window_ms;
    char number[8];
    const char *slash = node->kind == YAML_SCALAR ? strchr(node->text, '/') : NULL;
    size_t length = slash == NULL ? 0 : (size_t)(slash - node->text);
    if (length == 0 || length >= sizeof number) {
        find_error(s->reader->findings, node,
                   "max_moves: moves/window is wanted here, as in 2/24h");
        return;
    }
    memcpy(number, node->text, length);
    number[length] = '\0';
    if (!text_to_u64(number, 1, RECENT_MOVE_MAX, &count)) {
        find_error(s->reader->findings, node, "max_moves: 1 to %d moves in a window",
                   RECENT_MOVE_MAX);
        return;
    }
    if (!text_to_duration_ms(slash + 1, &window_ms) || window_ms < MINUTE_MS ||
        window_ms > 30 * DAY_MS) {
        find_error(s->reader->findings, node, "max_moves: a window of 1m to 30d, as in 2/24h");
        return;
    }
    policy->max_moves = (uint32_t)count;
    policy->max_moves_window_ms = window_ms;
}

static void read_lease(const struct service_reader *s, const struct yaml_node *node) {
    struct spec_policy *policy = &s->service->policy;
    if (node == NULL || yaml_is_null(node) ||
        (node->kind == YAML_SCALAR && text_equal(node->text, "none"))) {
        return;
    }
    if (node->kind != YAML_SCALAR || !text_to_duration_ms(node->text, &policy->lease_ms) ||
        policy->lease_ms < LEASE_MIN_MS || policy->lease_ms > LEASE_MAX_MS) {
        policy->lease_ms = 0;
        find_error(s->reader->findings, node, "lease: 1s to 10m, or none");
    } else if (policy->lease_ms > policy->confirm_ms) {
        find_warning(s->reader->findings, node,
                     "lease: it is longer than `confirm`: a region that was just cut off may "
                     "still hold it, and the move waits for that");
    }
}

/* The format knows these; nothing acts on them yet, and a promise that nobody keeps is worse than
 * none. */
static void refuse_later(const struct service_reader *s, const struct yaml_node *policy,
                         const char *key, const char *word, const char *instead) {
    const struct yaml_node *node = yaml_find(policy, key);
    if (node != NULL && node->kind == YAML_SCALAR && text_equal(node->text, word)) {
        find_error(s->reader->findings, node, "%s: %s is not in this version of Noctua; %s", key,
                   word, instead);
    }
}

void read_policy(const struct service_reader *s, const struct yaml_node *node) {
    struct spec_findings *findings = s->reader->findings;
    uint32_t errors_before = findings->error_count;
    if (!value_table_read(&spec_policy_keys, node, node, &s->service->policy, findings)) {
        return;
    }
    bool given = node != NULL && node->kind == YAML_MAPPING;
    read_max_moves(s, given ? yaml_find(node, "max_moves") : NULL);
    s->places->confirm = given ? yaml_find(node, "confirm") : NULL;
    read_lease(s, given ? yaml_find(node, "lease") : NULL);
    if (given) {
        refuse_later(s, node, "failback", "auto",
                     "write manual, and return with: noctuactl switchover SERVICE --to HOME");
        refuse_later(s, node, "foreign_change", "repair",
                     "write page; a move stops at a foreign change and says so");
    }
    char text[TEXT_DURATION_SIZE];
    if (findings->error_count == errors_before && s->places->confirm != NULL &&
        s->service->policy.confirm_ms < CONFIRM_WARNING_MS) {
        find_warning(findings, s->places->confirm,
                     "confirm: %s is under 10s; a 43 s partition would have moved you",
                     s->service->policy.confirm_ms == 0
                         ? "0s"
                         : text_from_duration_ms(s->service->policy.confirm_ms, text));
    }
}

static const struct value_row objective_rows[] = {
    {"api.rto", VALUE_DURATION, VALUE_AT(struct spec_service, rto_ms), .low = 1000,
     .high = 30 * DAY_MS, .doc = "how long an outage of a region may take"},
    {"database.rto", VALUE_DURATION, VALUE_AT(struct spec_service, database_rto_ms), .low = 1000,
     .high = 30 * DAY_MS, .doc = "the same, of its replica set"},
    {"database.rpo", VALUE_DURATION, VALUE_AT(struct spec_service, database_rpo_ms), .low = 1000,
     .high = 30 * DAY_MS,
     .doc = "how much of what was written may be lost; `max_lag` is held to it"},
};
const struct value_table spec_objective_keys = {objective_rows, ARRAY_LENGTH(objective_rows),
                                                "objectives"};

static const struct yaml_node *find_within(const struct yaml_node *node, const char *outer,
                                           const char *inner) {
    const struct yaml_node *mapping = yaml_find(node, outer);
    return mapping != NULL && mapping->kind == YAML_MAPPING ? yaml_find(mapping, inner) : NULL;
}

void read_objectives(const struct service_reader *s, const struct yaml_node *node) {
    if (node == NULL ||
        !value_table_read(&spec_objective_keys, node, node, s->service, s->reader->findings) ||
        node->kind != YAML_MAPPING) {
        return;
    }
    s->places->rto = find_within(node, "api", "rto");
    s->places->database_rto = find_within(node, "database", "rto");
    s->places->rpo = find_within(node, "database", "rpo");
    const struct yaml_node *database = yaml_find(node, "database");
    if (database != NULL && !yaml_is_null(database) && !s->service->mongo.used) {
        find_error_at_key(s->reader->findings, database,
                          "database: the service has no replica set (`mongo`) to be held to it");
    }
}

static bool has_value(const struct yaml_node *mapping, const char *key, const char *text) {
    const struct yaml_node *node = yaml_find(mapping, key);
    return node != NULL && node->kind == YAML_SCALAR && text_equal(node->text, text);
}

/* The plan may be written down as it is derived, and not otherwise. */
static bool is_derived_step(const struct yaml_node *step) {
    bool empty = yaml_is_null(step) || (step->kind == YAML_MAPPING && step->first == NULL);
    if (text_equal(step->key->text, "switch")) {
        return empty;
    }
    return text_equal(step->key->text, "dns") && step->kind == YAML_MAPPING && step->count == 2 &&
           has_value(step, "dns", "all") && has_value(step, "needs", "switch");
}

void read_plan(const struct service_reader *s, const struct yaml_node *node) {
    if (node == NULL || yaml_is_null(node) || !reader_is_mapping(s->reader, node, "plan")) {
        return;
    }
    for (const struct yaml_node *step = node->first; step != NULL; step = step->next) {
        if (!is_derived_step(step)) {
            find_error_at_key(s->reader->findings, step,
                              "plan: step '%.64s', as it stands here, is not in this version of "
                              "Noctua; leave `plan` out: it is `switch: {}`, then `dns: {dns: all, "
                              "needs: switch}`",
                              step->key->text);
        }
    }
}
