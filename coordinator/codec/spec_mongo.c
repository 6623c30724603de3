/* The replica set of a service. */
#include "spec_reader.h"

#include <stdio.h>
#include <string.h>

#include "codec/config.h"
#include "codec/mongo_uri.h"

#define INTERVAL_MIN_MS 500
#define INTERVAL_MAX_MS (60 * 1000)
#define TIMEOUT_MIN_MS 100
#define TIMEOUT_MAX_MS (30 * 1000)
#define LAG_MAX_MS (7 * 24 * 60 * 60 * UINT64_C(1000))

static const char *const lost_words[] = {"ask", "never", NULL};
static const char *const election_words[] = {"page", "follow", NULL};

#define AT(member) VALUE_AT(struct spec_mongo, member)

static const struct value_row mongo_rows[] = {
    {"uri", VALUE_OTHER, .required = true,
     .doc = "mongodb://HOST,HOST/?replicaSet=NAME or mongodb+srv://NAME/?replicaSet=NAME, without "
            "user and password",
     .schema = "{\"type\": \"string\", \"pattern\": \"^mongodb([+]srv)?://\"}"},
    {"credentials", VALUE_OTHER, .standard = "none",
     .doc = "`file:NAME` or `env:NAME` that holds user:password",
     .schema = "{\"type\": \"string\"}"},
    {"region_tag", VALUE_TEXT, AT(region_tag), .standard = "region",
     .doc = "the member tag that names a member's region"},
    {"max_lag", VALUE_DURATION, AT(max_lag_ms), .low = 0, .high = LAG_MAX_MS, .standard = "10s",
     .doc = "how far behind the primary a member may be that is to take over"},
    {"max_lag_age", VALUE_DURATION, AT(max_lag_age_ms), .low = 1000, .high = LAG_MAX_MS,
     .standard = "30s", .doc = "how old the knowledge of that may be"},
    {"write_check", VALUE_OTHER, .standard = "none",
     .doc = "`database.collection`: each node writes one document there, w:majority, to know that "
            "writes go through",
     .schema = "{\"type\": \"string\"}"},
    {"on_majority_lost", VALUE_WORD, AT(on_majority_lost), .words = lost_words, .standard = "ask",
     .doc = "when the set has lost the majority of its voters. `ask`: it stops and pages, and a "
            "reconfiguration is forced once a person declares those that don't answer dead "
            "(`noctuactl failover --declare-dead`). `never`: not even then"},
    {"on_own_election", VALUE_WORD, AT(on_own_election), .words = election_words,
     .standard = "page",
     .doc =
         "when the set's primary moves by itself while the active region is well; the service is "
         "never moved for that. `page`: people are told after `alarm.primary_elsewhere_after`. "
         "`follow`: where it went is taken as right, if the service may be served there, and "
         "nobody is told; clients and `/primary` follow it"},
    {"interval", VALUE_DURATION, AT(interval_ms), .low = INTERVAL_MIN_MS, .high = INTERVAL_MAX_MS,
     .standard = "2s", .doc = "from one round of questions to the next"},
    {"timeout", VALUE_DURATION, AT(timeout_ms), .low = TIMEOUT_MIN_MS, .high = TIMEOUT_MAX_MS,
     .standard = "1s", .doc = "of a member's answers in one round"},
    {"fall", VALUE_NUMBER, AT(fall), .low = 1, .high = CHECK_RUN_MAX, .standard = "3",
     .doc = "failures in a row that make it down"},
    {"rise", VALUE_NUMBER, AT(rise), .low = 1, .high = CHECK_RUN_MAX, .standard = "2",
     .doc = "successes in a row that make it up"},
};
const struct value_table spec_mongo_keys = {mongo_rows, ARRAY_LENGTH(mongo_rows), "a replica set"};

static void read_uri(const struct service_reader *s, const struct yaml_node *node) {
    struct spec_mongo *mongo = &s->service->mongo;
    const char *text = node == NULL ? NULL : reader_text(s->reader, node, "uri");
    struct mongo_uri uri;
    if (text == NULL || !reader_is_plain(s->reader, node, text, "uri")) {
        return;
    }
    const char *wrong = mongo_uri_parse(text, &uri);
    if (wrong != NULL) {
        find_error(s->reader->findings, node, "uri: it %s", wrong);
    } else if (!TEXT_COPY(mongo->uri, text)) {
        find_error(s->reader->findings, node, "uri: over %d characters", MONGO_URI_SIZE - 1);
    } else if (uri.ignored[0] != '\0') {
        find_warning(s->reader->findings, node,
                     "uri: %.60s is of no use to Noctua, which asks each member by itself",
                     uri.ignored);
    }
    s->places->mongo_x509 = wrong == NULL && uri.login == MONGO_LOGIN_X509;
}

static bool is_none(const struct yaml_node *node) {
    return node == NULL || yaml_is_null(node) ||
           (node->kind == YAML_SCALAR && text_equal(node->text, "none"));
}

static void read_credentials(const struct service_reader *s, const struct yaml_node *node) {
    struct secret_reference reference;
    struct error error = {ERROR_OK, ""};
    if (is_none(node)) {
        return;
    }
    const char *text = reader_text(s->reader, node, "credentials");
    if (text == NULL) {
        return;
    }
    if (secret_reference_parse(text, &reference, &error) != ERROR_OK) {
        find_error(s->reader->findings, node, "credentials: %s", error.message);
    } else if (s->places->mongo_x509) {
        find_error(s->reader->findings, node,
                   "credentials: MONGODB-X509 logs in by its certificate; take them out");
    } else {
        (void)TEXT_COPY(s->service->mongo.credentials, text);
    }
}

/* MongoDB, "Naming Restrictions". */
static bool is_namespace(const char *text) {
    const char *dot = strchr(text, '.');
    size_t database = dot == NULL ? 0 : (size_t)(dot - text);
    bool system = dot != NULL && text_starts_with(dot + 1, "system.");
    return database > 0 && database < 64 && dot[1] != '\0' && !system &&
           strcspn(text, "/\\ \"$*<>:|?") == strlen(text) && strlen(text) < 120;
}

static void read_write_check(const struct service_reader *s, const struct yaml_node *node,
                             const struct yaml_node *mongo) {
    struct spec_findings *findings = s->reader->findings;
    if (is_none(node)) {
        find_warning(findings, node != NULL ? node : mongo->key,
                     "write_check: none, so nobody knows that a majority takes writes until a move "
                     "is under way");
        return;
    }
    const char *text = reader_text(s->reader, node, "write_check");
    if (text == NULL) {
        return;
    }
    if (!is_namespace(text) || !TEXT_COPY(s->service->mongo.write_check, text)) {
        find_error(findings, node,
                   "write_check: a collection of its own is wanted here, as in nocturnal.noctua");
    } else if (text_starts_with(text, "admin.") || text_starts_with(text, "local.") ||
               text_starts_with(text, "config.")) {
        find_error(findings, node, "write_check: not in admin, config or local");
    }
}

static void check_times(const struct service_reader *s, const struct yaml_node *node) {
    const struct spec_mongo *mongo = &s->service->mongo;
    char a[TEXT_DURATION_SIZE];
    char b[TEXT_DURATION_SIZE];
    const struct yaml_node *interval = yaml_find(node, "interval");
    const struct yaml_node *timeout = yaml_find(node, "timeout");
    if (mongo->timeout_ms >= mongo->interval_ms) {
        find_error(s->reader->findings, timeout != NULL ? timeout : interval,
                   "timeout %s must be shorter than interval %s",
                   text_from_duration_ms(mongo->timeout_ms, a),
                   text_from_duration_ms(mongo->interval_ms, b));
    } else if (s->service->mode != MODE_OBSERVE && mongo->interval_ms > CRITICAL_INTERVAL_MAX_MS) {
        find_error(s->reader->findings, interval,
                   "interval: a replica set must be freshly known to decide on: at most %s, or "
                   "`mode: observe`",
                   text_from_duration_ms(CRITICAL_INTERVAL_MAX_MS, a));
    }
}

void read_mongo(const struct service_reader *s, const struct yaml_node *node) {
    struct spec_findings *findings = s->reader->findings;
    if (node == NULL || yaml_is_null(node)) {
        return;
    }
    uint32_t errors_before = findings->error_count;
    s->service->mongo.used = true; /* for all we know, also when it is wrong */
    if (!value_table_read(&spec_mongo_keys, node, node, &s->service->mongo, findings) ||
        node->kind != YAML_MAPPING) {
        return;
    }
    read_uri(s, yaml_find(node, "uri"));
    read_credentials(s, yaml_find(node, "credentials"));
    read_write_check(s, yaml_find(node, "write_check"), node);
    if (findings->error_count == errors_before) {
        check_times(s, node);
    }
}
