/* The checks of a service. */
#include "spec_reader.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define INTERVAL_MIN_MS 200
#define INTERVAL_MAX_MS (10 * 60 * 1000)
#define TIMEOUT_MIN_MS 50
#define TIMEOUT_MAX_MS (30 * 1000)
#define NOTICE_WARNING_MS 60000
#define STATUS_LOW 100
#define STATUS_HIGH 599

static const char *const standby_words[] = {"up", "skip", NULL};

#define AT(member) VALUE_AT(struct spec_check, member)

static const struct value_row check_rows[] = {
    {"url", VALUE_OTHER, .required = true,
     .doc =
         "one with $region in it, or a mapping region: URL; the scheme (http, https, tcp) is the "
         "type",
     .schema = "{\"type\": [\"string\", \"object\"]}"},
    {"expect", VALUE_OTHER, .doc = "a status, a range 200-399, or a list of them",
     .schema = "{\"type\": [\"integer\", \"string\", \"array\"]}"},
    {"match", VALUE_TEXT, AT(match), .doc = "text that the body must contain"},
    {"interval", VALUE_DURATION, AT(interval_ms), .low = INTERVAL_MIN_MS, .high = INTERVAL_MAX_MS,
     .standard = "2s", .doc = "from one probe's start to the next's"},
    {"timeout", VALUE_DURATION, AT(timeout_ms), .low = TIMEOUT_MIN_MS, .high = TIMEOUT_MAX_MS,
     .standard = "1s", .doc = "of one probe"},
    {"fall", VALUE_NUMBER, AT(fall), .low = 1, .high = CHECK_RUN_MAX, .standard = "3",
     .doc = "failures in a row that make it down"},
    {"rise", VALUE_NUMBER, AT(rise), .low = 1, .high = CHECK_RUN_MAX, .standard = "2",
     .doc = "successes in a row that make it up"},
    {"critical", VALUE_BOOL, AT(critical), .standard = "true",
     .doc = "its failure makes the region down, not only degraded"},
    {"standby", VALUE_WORD, AT(standby), .words = standby_words, .standard = "up",
     .doc = "what a region that is not active must show: up, or nothing"},
    {"keep_alive", VALUE_BOOL, AT(keep_alive), .standard = "true",
     .doc = "one connection for many probes"},
    {"insecure", VALUE_BOOL, AT(insecure), .standard = "false",
     .doc = "don't check the peer's certificate"},
    {"ca", VALUE_PATH, AT(ca_file), .doc = "certificates to trust instead of the system's"},
    {"cert", VALUE_PATH, AT(cert_file), .doc = "client certificate"},
    {"key", VALUE_PATH, AT(key_file), .doc = "its key"},
    {"server_name", VALUE_TEXT, AT(server_name), .doc = "SNI, when it isn't the URL's host"},
};
const struct value_table spec_check_keys = {check_rows, ARRAY_LENGTH(check_rows), "a check"};

struct url_reader {
    const struct service_reader *s;
    struct spec_check *check;
    const struct yaml_node *node; /* of the check */
    bool has_type;
    bool has_wrong; /* told already */
};

static bool find_type(const char *scheme, enum check_type *ret) {
    static const char *const schemes[] = {"http", "https", "tcp"};
    for (uint32_t i = 0; i < ARRAY_LENGTH(schemes); i++) {
        if (text_equal(scheme, schemes[i])) {
            *ret = (enum check_type)i;
            return true;
        }
    }
    return false;
}

/* One URL, expanded, for one region. */
static void take_url(struct url_reader *u, uint32_t region, const struct yaml_node *node,
                     const char *text) {
    struct spec_findings *findings = u->s->reader->findings;
    struct url url;
    enum check_type type;
    const char *wrong = url_parse(text, &url);
    if (wrong != NULL) {
        find_error(findings, node, "url: %.120s %s", text, wrong);
    } else if (text_equal(url.scheme, "mongodb") || text_equal(url.scheme, "mongodb+srv")) {
        find_error(findings, node,
                   "url: a replica set is watched by the service's own `mongo:`, beside `checks`");
    } else if (!find_type(url.scheme, &type)) {
        find_error(findings, node, "url: '%s' can't be probed; there are http, https and tcp",
                   url.scheme);
    } else if (type == CHECK_TCP && url.port == 0) {
        find_error(findings, node, "url: tcp needs a port, as in tcp://%.80s:6379", url.host);
    } else if (type == CHECK_TCP && url.has_path) {
        find_error(findings, node, "url: tcp has no path");
    } else if (u->has_type && type != u->check->type) {
        find_error(findings, node, "url: one check has one scheme in all regions");
    } else {
        u->check->type = type;
        u->has_type = true;
        (void)TEXT_COPY(u->check->url[region], text);
        return;
    }
    u->has_wrong = true;
}

static void on_region_url(void *context, uint32_t region, const struct yaml_node *node) {
    struct url_reader *u = context;
    const struct spec_reader *reader = u->s->reader;
    const char *text = reader_text(reader, node, "url");
    if (text == NULL || !reader_check_variables(reader, node, text, "url")) {
        u->has_wrong = true;
        return;
    }
    char url[URL_SIZE];
    if (!reader_expand(text, reader->spec->regions[region].name, u->s->service->name, url,
                       sizeof url)) {
        find_error(reader->findings, node, "url: over %d characters", URL_SIZE - 1);
        u->has_wrong = true;
        return;
    }
    take_url(u, region, node, url);
}

static void read_template(struct url_reader *u, const struct yaml_node *node) {
    const struct spec_reader *reader = u->s->reader;
    uint32_t used = 0;
    for (uint32_t region = 0; region < reader->spec->region_count && !u->has_wrong; region++) {
        if (reader_may_serve(u->s, region)) {
            on_region_url(u, region, node);
            used++;
        }
    }
    if (used > 1 && !u->has_wrong && strstr(node->text, "$region") == NULL) {
        find_warning(reader->findings, node,
                     "url: the same for every region, so it tells nothing about one of them; use "
                     "$region, or a mapping region: URL");
    }
}

static void read_url(struct url_reader *u, const struct yaml_node *node) {
    if (node->kind == YAML_MAPPING) {
        reader_by_region(u->s, node, "url", on_region_url, u);
    } else if (reader_text(u->s->reader, node, "url") != NULL) {
        read_template(u, node);
    } else {
        u->has_wrong = true;
    }
}

static bool parse_range(const char *text, struct status_range *ret) {
    char low[8];
    const char *dash = strchr(text, '-');
    size_t length = dash == NULL ? strlen(text) : (size_t)(dash - text);
    uint64_t from;
    uint64_t to;
    if (length == 0 || length >= sizeof low) {
        return false;
    }
    memcpy(low, text, length);
    low[length] = '\0';
    if (!text_to_u64(low, STATUS_LOW, STATUS_HIGH, &from)) {
        return false;
    }
    to = from;
    if (dash != NULL && !text_to_u64(dash + 1, from, STATUS_HIGH, &to)) {
        return false;
    }
    *ret = (struct status_range){(uint16_t)from, (uint16_t)to};
    return true;
}

static void add_range(const struct service_reader *s, struct spec_check *check,
                      const struct yaml_node *node) {
    struct status_range range;
    struct spec_findings *findings = s->reader->findings;
    if (node->kind != YAML_SCALAR || !parse_range(node->text, &range)) {
        find_error(findings, node, "expect: a status or a range from %d to %d, as in 200-399",
                   STATUS_LOW, STATUS_HIGH);
    } else if (check->expect_count == STATUS_RANGE_MAX) {
        find_error(findings, node, "expect: more than %d ranges", STATUS_RANGE_MAX);
    } else {
        check->expect[check->expect_count++] = range;
    }
}

static void read_expect(const struct service_reader *s, struct spec_check *check,
                        const struct yaml_node *node) {
    if (node == NULL) {
        if (check->type != CHECK_TCP) {
            check->expect[0] = (struct status_range){200, 399};
            check->expect_count = 1;
        }
        return;
    }
    if (node->kind == YAML_SEQUENCE && node->first != NULL) {
        uint32_t count = 0;
        for (const struct yaml_node *item = node->first; item != NULL && count <= STATUS_RANGE_MAX;
             item = item->next, count++) {
            add_range(s, check, item);
        }
    } else {
        add_range(s, check, node);
    }
}

/* Keys that mean something for other schemes only. */
static void check_scheme_keys(const struct service_reader *s, const struct spec_check *check,
                              const struct yaml_node *node) {
    static const char *const http_keys[] = {"expect", "match"};
    static const char *const https_keys[] = {"insecure", "ca", "cert", "key", "server_name"};
    for (size_t i = 0; i < ARRAY_LENGTH(http_keys); i++) {
        const struct yaml_node *key = yaml_find(node, http_keys[i]);
        if (key != NULL && check->type == CHECK_TCP) {
            find_error_at_key(s->reader->findings, key, "%s: a tcp check reads no answer",
                              http_keys[i]);
        }
    }
    for (size_t i = 0; i < ARRAY_LENGTH(https_keys); i++) {
        const struct yaml_node *key = yaml_find(node, https_keys[i]);
        if (key != NULL && check->type != CHECK_HTTPS) {
            find_error_at_key(s->reader->findings, key, "%s: only for https", https_keys[i]);
        }
    }
}

static void check_times(const struct spec_check *check, const struct yaml_node *node,
                        struct spec_findings *findings) {
    char a[TEXT_DURATION_SIZE];
    char b[TEXT_DURATION_SIZE];
    const struct yaml_node *interval = yaml_find(node, "interval");
    const struct yaml_node *timeout = yaml_find(node, "timeout");
    const struct yaml_node *fall = yaml_find(node, "fall");
    timeout = timeout != NULL ? timeout : interval;
    if (check->timeout_ms >= check->interval_ms) {
        find_error(findings, timeout, "timeout %s must be shorter than interval %s",
                   text_from_duration_ms(check->timeout_ms, a),
                   text_from_duration_ms(check->interval_ms, b));
    }
    if (!check->critical) {
        return;
    }
    uint64_t notice_ms = (uint64_t)check->fall * check->interval_ms;
    if (notice_ms > NOTICE_WARNING_MS) {
        find_warning(findings, fall != NULL ? fall : interval,
                     "fall x interval is %s: so long nobody notices that it is down",
                     text_from_duration_ms(notice_ms, a));
    }
    uint64_t probe_ms = (uint64_t)check->interval_ms + check->timeout_ms;
    if (check->interval_ms <= CRITICAL_INTERVAL_MAX_MS && probe_ms > INTERVAL_AND_TIMEOUT_MS) {
        find_warning(findings, timeout,
                     "interval and timeout are %s together: over %s it may take some seconds more "
                     "to leave a region that never answers",
                     text_from_duration_ms(probe_ms, a),
                     text_from_duration_ms(INTERVAL_AND_TIMEOUT_MS, b));
    }
}

static void check_values(const struct service_reader *s, const struct spec_check *check,
                         const struct yaml_node *node) {
    struct spec_findings *findings = s->reader->findings;
    check_times(check, node, findings);
    if (check->insecure) {
        find_warning(findings, yaml_find(node, "insecure"),
                     "insecure: the peer's certificate isn't checked, so anyone between can answer "
                     "for it");
    }
    if ((check->cert_file[0] == '\0') != (check->key_file[0] == '\0')) {
        bool has_key = check->key_file[0] != '\0';
        find_error_at_key(findings, yaml_find(node, has_key ? "key" : "cert"),
                          "%s needs %s beside it", has_key ? "key" : "cert",
                          has_key ? "cert" : "key");
    }
}

static void read_check(const struct service_reader *s, const struct yaml_node *node) {
    struct spec_findings *findings = s->reader->findings;
    uint32_t place = s->service->check_count;
    if (place == CHECK_MAX) {
        find_error_at_key(findings, node, "more than %d checks", CHECK_MAX);
        return;
    }
    s->service->check_count++;
    struct spec_check *check = &s->service->checks[place];
    s->places->checks[place] = node;
    if (!text_is_name(node->key->text, NAME_SIZE - 1) || !TEXT_COPY(check->name, node->key->text)) {
        find_error_at_key(findings, node, "'%.64s' is not a check's name: a-z, 0-9, inside - _ .",
                          node->key->text);
    }
    if (s->service->mongo.used && text_equal(check->name, MONGO_CHECK_NAME)) {
        find_error_at_key(findings, node, "'%s' is the name of the replica set's own check",
                          check->name);
    }
    uint32_t errors_before = findings->error_count;
    if (!value_table_read(&spec_check_keys, node, node, check, findings)) {
        check->critical = true; /* for all we know */
        return;
    }
    struct url_reader u = {.s = s, .check = check, .node = node};
    const struct yaml_node *url = node->kind == YAML_MAPPING ? yaml_find(node, "url") : NULL;
    if (url == NULL) {
        return;
    }
    read_url(&u, url);
    if (!u.has_type) {
        return; /* what the other keys mean depends on it */
    }
    read_expect(s, check, yaml_find(node, "expect"));
    check_scheme_keys(s, check, node);
    if (findings->error_count == errors_before) {
        check_values(s, check, node);
    }
}

void read_checks(const struct service_reader *s, const struct yaml_node *node) {
    struct spec_findings *findings = s->reader->findings;
    bool has_set = s->service->mongo.used;
    if (node == NULL && !has_set) {
        find_error_at_key(findings, s->places->node,
                          "a service needs `checks`: at least one that is critical, or `mongo`");
        return;
    }
    if (node == NULL) {
        return;
    }
    if (node->kind != YAML_MAPPING || node->first == NULL) {
        find_error_at_key(findings, node, "checks: at least one is needed, as NAME: {url: ...}");
        return;
    }
    bool critical = has_set;
    for (const struct yaml_node *check = node->first; check != NULL; check = check->next) {
        read_check(s, check);
    }
    for (uint32_t i = 0; i < s->service->check_count; i++) {
        critical = critical || s->service->checks[i].critical;
    }
    if (!critical) {
        find_error_at_key(findings, node,
                          "checks: none of them is critical, so nothing could call a region down");
    }
}
