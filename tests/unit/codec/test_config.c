#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/text.h"
#include "codec/config.h"
#include "codec/yaml_tree.h"
#include "fill.h"
#include "mutate.h"

static const char good[] = "cluster: nocturnal-prod\n"
                           "node: n1\n"
                           "region: us-east-1\n"
                           "peers:\n"
                           "  n2: n2.noctua.nocturnal.com:7600\n"
                           "  n1: n1.noctua.nocturnal.com:7600\n"
                           "  n3: \"[2001:db8::3]:7600\"\n"
                           "control: [sts.us-west-2.amazonaws.com:443]\n";

static struct spec_findings findings;

static enum error_code parse(const char *text, struct node_config *ret) {
    return config_parse(text, strlen(text), "noctuad.yaml", ret, &findings);
}

static void a_short_file_gets_the_defaults(void **state) {
    (void)state;
    struct node_config config;
    assert_int_equal(parse(good, &config), ERROR_OK);
    assert_int_equal(findings.count, 0);
    assert_string_equal(config.cluster, "nocturnal-prod");
    assert_string_equal(config.node, "n1");
    assert_string_equal(config.region, "us-east-1");
    assert_int_equal(config.peer_count, 3);
    assert_string_equal(config.peers[0].name, "n1"); /* by name, not by line */
    assert_string_equal(config.peers[2].address.host, "2001:db8::3");
    assert_int_equal(config.peers[2].address.port, 7600);
    assert_int_equal(config.self, 0);
    assert_string_equal(config.data, "/var/lib/noctua");
    assert_string_equal(config.tls, "/etc/noctua/tls");
    assert_string_equal(config.secrets, "/etc/noctua/secrets");
    assert_string_equal(config.listen.peer.host, "0.0.0.0");
    assert_int_equal(config.listen.peer.port, 7600);
    assert_int_equal(config.listen.api.port, 7601);
    assert_string_equal(config.listen.http.host, "127.0.0.1");
    assert_int_equal(config.listen.http.port, 7602);
    assert_int_equal(config.listen.public.port, 0);
    assert_int_equal(config.raft.heartbeat_ms, 100);
    assert_int_equal(config.raft.election_ms, 1000);
    assert_int_equal(config.snapshot_threshold, 1024);
    assert_int_equal(config.http_max_connections, 512);
    assert_int_equal(config.log.level, LOG_LEVEL_INFO);
    assert_int_equal(config.log.format, LOG_FORMAT_TEXT);
    assert_int_equal(config.control_count, 1);
    assert_string_equal(config.control[0].host, "sts.us-west-2.amazonaws.com");
    assert_int_equal(config.control[0].port, 443);
}

static void every_key_is_read(void **state) {
    (void)state;
    static const char text[] =
        "cluster: c\nnode: a\nregion: r\npeers: {a: 127.0.0.1:1}\n"
        "data: /d\ntls: /t\nsecrets: /s\n"
        "listen: {peer: 127.0.0.1:1, api: 127.0.0.2:1, http: none, public: "
        "127.0.0.3:4}\n"
        "raft: {heartbeat: 50ms, election: 2s, snapshot_threshold: 64}\n"
        "http: {max_connections: 16}\n"
        "control: [a:1, b:2]\nlog: {level: debug, format: json}\n"
        "alarm: {pagerduty: file:pd, pagerduty_url: https://eu, url: env:HOOK, "
        "no_quorum_after: 5s}\n"
        "heartbeat: {url: https://snitch/1, every: 30s}\n";
    struct node_config config;
    enum error_code code = parse(text, &config);
    for (uint32_t i = 0; i < findings.count; i++) {
        print_message("%s\n", findings.items[i].message);
    }
    assert_int_equal(code, ERROR_OK);
    assert_string_equal(config.data, "/d");
    assert_string_equal(config.tls, "/t");
    assert_string_equal(config.secrets, "/s");
    assert_int_equal(config.listen.peer.port, 1);
    assert_string_equal(config.listen.api.host, "127.0.0.2");
    assert_int_equal(config.listen.http.port, 0);
    assert_int_equal(config.listen.public.port, 4);
    assert_int_equal(config.raft.heartbeat_ms, 50);
    assert_int_equal(config.raft.election_ms, 2000);
    assert_int_equal(config.snapshot_threshold, 64);
    assert_int_equal(config.http_max_connections, 16);
    assert_int_equal(config.control_count, 2);
    assert_int_equal(config.log.level, LOG_LEVEL_DEBUG);
    assert_int_equal(config.log.format, LOG_FORMAT_JSON);
    assert_string_equal(config.alarm.pagerduty, "file:pd");
    assert_string_equal(config.alarm.pagerduty_url, "https://eu");
    assert_string_equal(config.alarm.url, "env:HOOK");
    assert_int_equal(config.alarm.no_quorum_ms, 5000);
    assert_string_equal(config.heartbeat.url, "https://snitch/1");
    assert_int_equal(config.heartbeat.every_ms, 30000);
    assert_true(config_has_alarm(&config));
}

static void a_group_may_be_none(void **state) {
    (void)state;
    struct node_config config;
    assert_int_equal(parse("cluster: c\nnode: a\nregion: r\npeers: {a: 127.0.0.1:1}\n"
                           "alarm: none\nheartbeat: none\n",
                           &config),
                     ERROR_OK);
    assert_false(config_has_alarm(&config));
    assert_string_equal(config.heartbeat.url, "none");
}

/* Good but for the last lines. Exactly one finding, there, in these words. */
static void each_mistake_is_told_once(void **state) {
    (void)state;
    static const struct {
        const char *before, *after; /* a line of `good` is replaced, or one is added */
        uint32_t line, column;
        enum finding_severity severity;
        const char *words;
    } rows[] = {
        {NULL, "alarm: {pagerduty: 0123456789abcdef}", 9, 20, FINDING_ERROR,
         "pagerduty: a secret is named, not written here"},
        {NULL, "alarm: {url: ftp://x}", 9, 14, FINDING_ERROR,
         "url: an https:// URL is wanted here"},
        {NULL, "heartbeat: {url: snitch}", 9, 18, FINDING_ERROR,
         "url: an https:// URL is wanted here"},
        {NULL, "inteval: 5s", 9, 1, FINDING_ERROR, "unknown key 'inteval' in the node's file"},
        {NULL, "secret: /x", 9, 1, FINDING_ERROR, "unknown key 'secret'; did you mean 'secrets'?"},
        {NULL, "raft: {hearbeat: 5ms}", 9, 8, FINDING_ERROR,
         "unknown key 'hearbeat'; did you mean 'heartbeat'?"},
        {NULL, "raft: {heartbeat: 5}", 9, 19, FINDING_ERROR,
         "heartbeat: 5 has no unit; write 5s, or ms, m, h, d"},
        {NULL, "raft: {heartbeat: 5x}", 9, 19, FINDING_ERROR, "'5x' is no duration"},
        {NULL, "raft: {heartbeat: 1ms}", 9, 19, FINDING_ERROR,
         "heartbeat: 1ms is out of range: 10ms to 10s"},
        {NULL, "raft: {election: 400ms}", 9, 18, FINDING_ERROR,
         "election is under five heartbeats; write 1s or more"},
        {NULL, "raft: {election: 900ms}", 9, 18, FINDING_WARNING,
         "election is under ten heartbeats"},
        {NULL, "raft: {heartbeat: 500ms}", 9, 7, FINDING_ERROR, "write 5s or more"},
        {NULL, "raft: fast", 9, 7, FINDING_ERROR, "raft: keys and values are wanted here"},
        {NULL, "raft: {heartbeat: [5s]}", 9, 19, FINDING_ERROR, "a single value is wanted here"},
        {NULL, "raft: {snapshot_threshold: 1}", 9, 28, FINDING_ERROR,
         "'1' is not a whole number from 64 to 1000000"},
        {NULL, "data: var", 9, 7, FINDING_ERROR, "data: 'var' must be a whole path, from /"},
        {NULL, "data:", 9, 1, FINDING_ERROR, "data has no value"},
        {NULL, "data: ''", 9, 7, FINDING_ERROR, "data: must not be empty"},
        {NULL, "log: {level: warn}", 9, 14, FINDING_ERROR,
         "level: 'warn' is not debug, info, warning or error"},
        {NULL, "log: {format: jsn}", 9, 15, FINDING_ERROR, "did you mean 'json'?"},
        {NULL, "listen: {http: localhost}", 9, 16, FINDING_ERROR,
         "http: 'localhost' is not host:port or none"},
        {NULL, "listen: {http: localhost:0}", 9, 16, FINDING_ERROR, "a port is 1 to 65535"},
        {NULL, "listen: {http: '::1:80'}", 9, 16, FINDING_ERROR, "IPv6 is [::1]:80"},
        {NULL, "listen: {peer: none}", 9, 16, FINDING_ERROR, "'none' is not host:port;"},
        {NULL, "listen: {http: 1.2.3.4:7601}", 9, 16, FINDING_ERROR,
         "listen: api and http share port 7601"},
        {NULL, "node: n2", 9, 1, FINDING_ERROR, "key 'node' stands here twice: first in line 2"},
        {NULL, "data: &a /x", 9, 7, FINDING_ERROR, "anchors (&name) are not allowed"},
        {NULL, "data: *a", 9, 7, FINDING_ERROR, "aliases (*name) are not allowed"},
        {NULL, "data: !!str /x", 9, 7, FINDING_ERROR, "tags (!name) are not allowed"},
        {NULL, "? [a]\n: b", 9, 3, FINDING_ERROR, "a key must be plain text"},
        {NULL, "---\na: b", 9, 1, FINDING_ERROR, "a second document"},
        {NULL, "log:\n\tlevel: info", 10, 1, FINDING_ERROR, "a tab: indent with spaces"},
        {NULL, "log: {level: info", 10, 1, FINDING_ERROR, "did not find expected"},
        {NULL, "data: /x\r", 9, 1, FINDING_ERROR, "carriage return"},
        {NULL, "data: /x\x01y", 9, 9, FINDING_ERROR, "not UTF-8, or a control character"},
        {NULL, "data: /\xff", 9, 8, FINDING_ERROR, "not UTF-8, or a control character"},
        {NULL, "data: \"/x\\x01y\"", 9, 7, FINDING_ERROR, "a control character in a value"},
        {"cluster: nocturnal-prod\n", "", 0, 0, FINDING_ERROR, "the node's file needs 'cluster'"},
        {"cluster: nocturnal-prod\n", "cluster: Prod\n", 1, 10, FINDING_ERROR,
         "'Prod' is not a name"},
        {"node: n1\n", "node: n9\n", 2, 7, FINDING_ERROR, "node 'n9' is not among the peers"},
        {"node: n1\n",
         "node: n1-is-a-name-that-is-much-too-long-to-be-anything-that-fits-in-here\n", 2, 7,
         FINDING_ERROR, "is too long: at most 63 bytes"},
        {"  n2: n2.noctua.nocturnal.com:7600\n", "  n2: n2.noctua.nocturnal.com\n", 5, 7,
         FINDING_ERROR, "peer 'n2' needs host:port"},
        {"  n2: n2.noctua.nocturnal.com:7600\n", "  N2: n2.noctua.nocturnal.com:1\n", 5, 3,
         FINDING_ERROR, "'N2' is not a node's name"},
        {"  n2: n2.noctua.nocturnal.com:7600\n", "  n2: n1.noctua.nocturnal.com:7600\n", 6, 7,
         FINDING_ERROR, "peer 'n1' has the address of peer 'n2'"},
        {"  n2: n2.noctua.nocturnal.com:7600\n", "", 4, 1, FINDING_WARNING,
         "2 nodes survive no more losses than 1 would"},
        {"control: [sts.us-west-2.amazonaws.com:443]\n", "", 0, 0, FINDING_WARNING,
         "without `control` targets"},
        {"control: [sts.us-west-2.amazonaws.com:443]\n", "control: none\n", 8, 10, FINDING_WARNING,
         "without `control` targets"},
        {"control: [sts.us-west-2.amazonaws.com:443]\n", "control: a:1\n", 8, 10, FINDING_ERROR,
         "a list is wanted here"},
        {"control: [sts.us-west-2.amazonaws.com:443]\n", "control: [a:1, b]\n", 8, 16,
         FINDING_ERROR, "'b' is not host:port"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        char text[2048];
        if (rows[i].before == NULL) {
            (void)snprintf(text, sizeof text, "%s%s\n", good, rows[i].after);
        } else {
            const char *at = strstr(good, rows[i].before);
            assert_non_null(at);
            (void)snprintf(text, sizeof text, "%.*s%s%s", (int)(at - good), good, rows[i].after,
                           at + strlen(rows[i].before));
        }
        struct node_config config;
        memset(&config, 0x5a, sizeof config);
        struct node_config untouched = config;
        enum error_code code = parse(text, &config);
        struct buffer told;
        buffer_init(&told, 0);
        findings_format(&findings, &told);
        const struct finding *finding = &findings.items[0];
        bool fine = findings.count == 1 && finding->line == rows[i].line &&
                    finding->column == rows[i].column && finding->severity == rows[i].severity &&
                    strstr(finding->message, rows[i].words) != NULL;
        if (!fine) {
            fail_msg("row %zu, '%s', told:\n%s", i, rows[i].after, told.data ? told.data : "");
        }
        assert_int_equal(code, rows[i].severity == FINDING_ERROR ? ERROR_INVALID : ERROR_OK);
        if (code != ERROR_OK) {
            assert_memory_equal(&config, &untouched, sizeof config);
        }
        buffer_finish(&told);
    }
}

static void many_mistakes_are_told_in_order(void **state) {
    (void)state;
    struct node_config config;
    assert_int_equal(parse("node: X\ncluster: Y\npeers: 5\nraft: {election: 5}\nbla: 1\n", &config),
                     ERROR_INVALID);
    struct buffer told;
    buffer_init(&told, 0);
    findings_format(&findings, &told);
    assert_string_equal(
        told.data,
        "noctuad.yaml: error: the node's file needs 'region': the region that this node stands "
        "in; a region's vote is what most of its nodes say\n"
        "noctuad.yaml: warning: without `control` targets a node that is itself cut off votes down "
        "on all that it can't see\n"
        "noctuad.yaml:1:7: error: node: 'X' is not a name: a-z, 0-9 and inside - _ . (at most 63 "
        "characters)\n"
        "noctuad.yaml:2:10: error: cluster: 'Y' is not a name: a-z, 0-9 and inside - _ . (at most "
        "63 characters)\n"
        "noctuad.yaml:3:8: error: peers: every node of the group, as NAME: host:port\n"
        "noctuad.yaml:4:18: error: election: 5 has no unit; write 5s, or ms, m, h, d\n"
        "noctuad.yaml:5:1: error: unknown key 'bla' in the node's file; there are cluster, node, "
        "region, peers, data, tls, secrets, listen, raft, http, inspect, control, log, alarm, "
        "heartbeat\n");
    buffer_finish(&told);
}

static void findings_are_kept_once(void **state) {
    (void)state;
    findings_init(&findings, "f");
    findings_add(&findings, FINDING_ERROR, 2, 1, "%s", "b");
    findings_add(&findings, FINDING_ERROR, 2, 1, "%s", "b");
    findings_add(&findings, FINDING_WARNING, 1, 7, "a");
    findings_add(&findings, FINDING_ERROR, 2, 1, "c");
    findings_add(&findings, FINDING_ERROR, 2, 2, "b");
    assert_int_equal(findings.count, 4);
    assert_int_equal(findings.error_count, 3);
    assert_int_equal(findings.warning_count, 1);
    findings_sort(&findings);
    static const char order[] = "abcb";
    for (uint32_t i = 0; i < findings.count; i++) {
        assert_int_equal(findings.items[i].message[0], order[i]);
    }
}

static void findings_are_bounded(void **state) {
    (void)state;
    struct buffer text;
    buffer_init(&text, 0);
    for (int i = 0; i < 100; i++) {
        buffer_append_format(&text, "unknown-number-%d: 1\n", i);
    }
    struct node_config config;
    assert_int_equal(config_parse(text.data, text.size_bytes, "f", &config, &findings),
                     ERROR_INVALID);
    assert_int_equal(findings.count, FINDING_MAX);
    assert_true(findings.error_count >= 100);
    assert_int_equal(findings.left_out,
                     findings.error_count + findings.warning_count - FINDING_MAX);
    struct buffer told;
    buffer_init(&told, 0);
    findings_format(&findings, &told);
    assert_non_null(strstr(told.data, " more\n"));
    buffer_finish(&told);
    buffer_finish(&text);
}

static void files_are_read(void **state) {
    (void)state;
    char path[] = "/tmp/noctua-config-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, good, strlen(good)), (ssize_t)strlen(good));
    struct node_config config;
    assert_int_equal(config_read_file(path, &config, &findings), ERROR_OK);
    assert_string_equal(config.node, "n1");
    assert_int_equal(ftruncate(fd, CONFIG_TEXT_MAX + 1), 0);
    assert_int_equal(config_read_file(path, &config, &findings), ERROR_INVALID);
    assert_non_null(strstr(findings.items[0].message, "at most 65536 are read"));
    close(fd);
    unlink(path);
    assert_int_equal(config_read_file(path, &config, &findings), ERROR_NOT_FOUND);
    assert_int_equal(findings.count, 1);
    assert_int_equal(config_read_file("/", &config, &findings), ERROR_IO);
}

static void only_some_keys_can_be_reloaded(void **state) {
    (void)state;
    struct node_config now;
    struct node_config next;
    assert_int_equal(parse(good, &now), ERROR_OK);
    next = now;
    const char *key = NULL;
    assert_true(config_can_reload(&now, &next, &key));
    next.log.level = LOG_LEVEL_DEBUG;
    assert_true(config_can_reload(&now, &next, &key));
    next.raft.election_ms = 5000;
    assert_false(config_can_reload(&now, &next, &key));
    assert_string_equal(key, "raft.election");
    next = now;
    next.peers[1].address.port = 1;
    assert_false(config_can_reload(&now, &next, &key));
    assert_string_equal(key, "peers");
    next = now;
    next.control_count = 0;
    assert_false(config_can_reload(&now, &next, NULL));
}

static void the_reference_names_every_key(void **state) {
    (void)state;
    struct buffer page;
    buffer_init(&page, 0);
    config_print_reference(&page);
    static const char *const rows[] = {
        "| `cluster` | a name | required | restart |",
        "| `raft.election` | 100ms to 1m | `1s` | restart |",
        "| `log.level` | debug, info, warning or error | `info` | yes |",
        "| `listen.public` | host:port or none | `none` | restart |",
        "| `http.max_connections` | 16 to 4096 | `512` | restart |",
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        if (strstr(page.data, rows[i]) == NULL) {
            fail_msg("missing: %s", rows[i]);
        }
    }
    assert_null(strstr(page.data, "alarm:"));
    buffer_finish(&page);
}

static void secrets_are_named(void **state) {
    (void)state;
    struct secret_reference secret;
    struct error error;
    assert_int_equal(secret_reference_parse("file:pagerduty.key", &secret, &error), ERROR_OK);
    assert_int_equal(secret.kind, SECRET_FILE);
    assert_string_equal(secret.name, "pagerduty.key");
    assert_int_equal(secret_reference_parse("env:PAGER_KEY", &secret, &error), ERROR_OK);
    assert_int_equal(secret.kind, SECRET_ENVIRONMENT);
    assert_string_equal(secret.name, "PAGER_KEY");
    static const char *const wrong[] = {
        "hunter2", "",       "file:",  "env:",     "file:../etc/passwd", "file:.hidden", "file:a/b",
        "env:A-B", "env:1A", "FILE:x", "file:a b", "file:a\x01",         "file:a\xff",
    };
    for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++) {
        assert_int_equal(secret_reference_parse(wrong[i], &secret, &error), ERROR_INVALID);
        assert_null(strstr(error.message, "hunter2"));
    }
    assert_string_equal(secret.name, "PAGER_KEY");
}

static void trees_have_limits(void **state) {
    (void)state;
    struct yaml_tree tree;
    char deep[64];
    for (unsigned depth = YAML_DEPTH_MAX; depth <= YAML_DEPTH_MAX + 1; depth++) {
        memset(deep, '[', depth);
        memset(deep + depth, ']', depth);
        findings_init(&findings, "f");
        enum error_code code = yaml_tree_read(deep, (size_t)depth * 2, 1000, &tree, &findings);
        assert_int_equal(code, depth == YAML_DEPTH_MAX ? ERROR_OK : ERROR_INVALID);
        yaml_tree_finish(&tree);
    }
    struct buffer text;
    buffer_init(&text, 0);
    for (int i = 0; i < YAML_NODE_MAX; i++) {
        buffer_append_text(&text, "- 1\n");
    }
    findings_init(&findings, "f");
    assert_int_equal(yaml_tree_read(text.data, text.size_bytes - 4, 1 << 20, &tree, &findings),
                     ERROR_OK);
    assert_int_equal(tree.root->count, YAML_NODE_MAX - 1);
    yaml_tree_finish(&tree);
    assert_int_equal(yaml_tree_read(text.data, text.size_bytes, 1 << 20, &tree, &findings),
                     ERROR_INVALID);
    buffer_clear(&text);
    for (int i = 0; i <= YAML_KEY_MAX; i++) {
        buffer_append_format(&text, "k%d: 1\n", i);
    }
    assert_int_equal(yaml_tree_read(text.data, text.size_bytes, 1 << 20, &tree, &findings),
                     ERROR_INVALID);
    buffer_finish(&text);
    findings_init(&findings, "f");
    assert_int_equal(yaml_tree_read("", 0, 1000, &tree, &findings), ERROR_OK);
    assert_null(tree.root);
    yaml_tree_finish(&tree);
}

static void damaged_files_never_crash(void **state) {
    (void)state;
    uint64_t seed = 5;
    struct node_config config;
    uint32_t accepted = 0;
    for (uint32_t round = 0; round < 20000; round++) {
        size_t size;
        uint8_t *damaged = mutate_bytes(good, strlen(good), &seed, &size);
        enum error_code code =
            config_parse((const char *)damaged, size, "noctuad.yaml", &config, &findings);
        accepted += code == ERROR_OK;
        assert_int_equal(code == ERROR_OK, findings.error_count == 0);
        free(damaged);
    }
    assert_in_range(accepted, 1, 19999);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_short_file_gets_the_defaults),
        cmocka_unit_test(every_key_is_read),
        cmocka_unit_test(a_group_may_be_none),
        cmocka_unit_test(each_mistake_is_told_once),
        cmocka_unit_test(many_mistakes_are_told_in_order),
        cmocka_unit_test(findings_are_kept_once),
        cmocka_unit_test(findings_are_bounded),
        cmocka_unit_test(files_are_read),
        cmocka_unit_test(only_some_keys_can_be_reloaded),
        cmocka_unit_test(the_reference_names_every_key),
        cmocka_unit_test(secrets_are_named),
        cmocka_unit_test(trees_have_limits),
        cmocka_unit_test(damaged_files_never_crash),
    };
    return cmocka_run_group_tests_name("node config", tests, NULL, NULL);
}
