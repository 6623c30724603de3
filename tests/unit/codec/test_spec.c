#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "codec/command_codec.h"
#include "codec/spec_yaml.h"
#include "fill.h"
#include "mutate.h"

static const char good[] =
    "version: 1\n"                                                     /* 1 */
    "regions:\n"                                                       /* 2 */
    "  us-east-1: {risk_group: america, max_active: 3}\n"              /* 3 */
    "  us-west-2: {}\n"                                                /* 4 */
    "  eu-west-1: {role: witness}\n"                                   /* 5 */
    "services:\n"                                                      /* 6 */
    "  nocturnal:\n"                                                   /* 7 */
    "    owner: platform\n"                                            /* 8 */
    "    mode: auto\n"                                                 /* 9 */
    "    home: us-east-1\n"                                            /* 10 */
    "    targets: [us-west-2]\n"                                       /* 11 */
    "    checks:\n"                                                    /* 12 */
    "      api:\n"                                                     /* 13 */
    "        url: https://$region.api.nocturnal.com/api/health\n"      /* 14 */
    "        expect: 200\n"                                            /* 15 */
    "        match: '\"ok\":true'\n"                                   /* 16 */
    "      redis: {url: tcp://redis.$region.nocturnal.internal:6379, " /* 17 */
    "critical: false}\n"
    "    dns:\n"                                              /* 18 */
    "      zone: Z1234567890ABC\n"                            /* 19 */
    "      role: arn:aws:iam::111122223333:role/noctua-dns\n" /* 20 */
    "      mode: [records]\n"                                 /* 21 */
    "      records:\n"                                        /* 22 */
    "        nocturnal.com:\n"                                /* 23 */
    "          alias:\n"                                      /* 24 */
    "            us-east-1: dualstack.web-1.us-east-1.elb.amazonaws.com\n"
    "            us-west-2: dualstack.web-2.us-west-2.elb.amazonaws.com\n"
    "    policy:\n"                           /* 27 */
    "      confirm: 30s\n"                    /* 28 */
    "      cooldown: 30m\n"                   /* 29 */
    "      max_moves: 2/24h\n"                /* 30 */
    "      failback: manual\n"                /* 31 */
    "      foreign_change: page\n"            /* 32 */
    "      lease: none\n"                     /* 33 */
    "    objectives:\n"                       /* 34 */
    "      api: {rto: 15m}\n"                 /* 35 */
    "    plan:\n"                             /* 36 */
    "      switch: {}\n"                      /* 37 */
    "      dns: {dns: all, needs: switch}\n"; /* 38 */

static struct spec_findings findings;
static struct spec *spec;

static int make_spec(void **state) {
    (void)state;
    spec = calloc(1, sizeof *spec);
    return spec == NULL ? -1 : 0;
}

static int free_spec(void **state) {
    (void)state;
    free(spec);
    return 0;
}

static enum error_code parse_bytes(const char *text, size_t size) {
    memset(spec, 0, offsetof(struct spec, services) + 4 * sizeof spec->services[0]);
    spec->service_count = 0;
    return spec_parse(text, size, "nocturnal.yaml", spec, &findings);
}

static enum error_code parse(const char *text) {
    return parse_bytes(text, strlen(text));
}

static void print_findings(void) {
    struct buffer told;
    buffer_init(&told, 0);
    findings_format(&findings, &told);
    print_message("%s", told.data == NULL ? "(nothing)\n" : told.data);
    buffer_finish(&told);
}

static void a_good_spec_is_read(void **state) {
    (void)state;
    enum error_code code = parse(good);
    print_findings();
    assert_int_equal(code, ERROR_OK);
    assert_int_equal(findings.count, 0);
    assert_int_equal(spec->region_count, 3);
    assert_string_equal(spec->regions[0].name, "us-east-1");
    assert_string_equal(spec->regions[0].risk_group, "america");
    assert_int_equal(spec->regions[0].max_active, 3);
    assert_int_equal(spec->regions[1].role, REGION_SERVE);
    assert_int_equal(spec->regions[2].role, REGION_WITNESS);
    assert_int_equal(spec->service_count, 1);
    const struct spec_service *s = &spec->services[0];
    assert_string_equal(s->name, "nocturnal");
    assert_string_equal(s->owner, "platform");
    assert_int_equal(s->mode, MODE_AUTO);
    assert_int_equal(s->home, 0);
    assert_int_equal(s->target_count, 1);
    assert_int_equal(s->targets[0], 1);
    assert_int_equal(s->rto_ms, 900000);
    assert_int_equal(s->check_count, 2);
    const struct spec_check *api = &s->checks[0];
    assert_int_equal(api->type, CHECK_HTTPS);
    assert_string_equal(api->url[0], "https://us-east-1.api.nocturnal.com/api/health");
    assert_string_equal(api->url[1], "https://us-west-2.api.nocturnal.com/api/health");
    assert_string_equal(api->url[2], ""); /* a witness serves nothing */
    assert_int_equal(api->expect_count, 1);
    assert_int_equal(api->expect[0].low, 200);
    assert_int_equal(api->expect[0].high, 200);
    assert_string_equal(api->match, "\"ok\":true");
    assert_int_equal(api->interval_ms, 2000);
    assert_int_equal(api->timeout_ms, 1000);
    assert_int_equal(api->fall, 3);
    assert_int_equal(api->rise, 2);
    assert_true(api->critical && api->keep_alive && !api->insecure);
    assert_int_equal(api->standby, STANDBY_UP);
    assert_int_equal(s->checks[1].type, CHECK_TCP);
    assert_false(s->checks[1].critical);
    assert_int_equal(s->checks[1].expect_count, 0);
    assert_int_equal(s->zone_count, 1);
    assert_string_equal(s->zones[0].id, "Z1234567890ABC");
    assert_string_equal(s->zones[0].role, "arn:aws:iam::111122223333:role/noctua-dns");
    assert_string_equal(s->zones[0].fence_name, "_noctua-nocturnal.nocturnal.com");
    assert_int_equal(s->record_count, 1);
    assert_int_equal(s->records[0].kind, RECORD_ALIAS);
    assert_string_equal(s->records[0].type, "A");
    assert_string_equal(s->records[0].value[1].text, "dualstack.web-2.us-west-2.elb.amazonaws.com");
    assert_int_equal(s->policy.confirm_ms, 30000);
    assert_int_equal(s->policy.cooldown_ms, 1800000);
    assert_int_equal(s->policy.max_moves, 2);
    assert_int_equal(s->policy.max_moves_window_ms, 86400000);
    assert_int_equal(s->policy.lease_ms, 0);
}

/* What is left out is what the page says that it is. */
static void a_short_spec_gets_the_defaults(void **state) {
    (void)state;
    enum error_code code = parse("version: 1\n"
                                 "regions:\n"
                                 "  a:\n"
                                 "  b:\n"
                                 "  c: {role: serve, risk_group: none}\n"
                                 "services:\n"
                                 "  s-1:\n"
                                 "    home: b\n"
                                 "    checks: {x: {url: 'http://$region.$service.test:81'}}\n");
    print_findings();
    assert_int_equal(code, ERROR_OK);
    assert_int_equal(findings.count, 0);
    const struct spec_service *s = &spec->services[0];
    assert_int_equal(s->mode, MODE_OBSERVE);
    assert_string_equal(s->owner, "");
    assert_string_equal(spec->regions[2].risk_group, "");
    assert_int_equal(s->target_count, 2);
    assert_int_equal(s->targets[0], 0);
    assert_int_equal(s->targets[1], 2);
    assert_string_equal(s->checks[0].url[2], "http://c.s-1.test:81");
    assert_int_equal(s->checks[0].expect[0].low, 200);
    assert_int_equal(s->checks[0].expect[0].high, 399);
    assert_int_equal(s->policy.confirm_ms, 30000);
    assert_int_equal(s->policy.cooldown_ms, 1800000);
    assert_int_equal(s->policy.max_moves, 2);
    assert_int_equal(s->policy.failback, FAILBACK_MANUAL);
    assert_int_equal(s->policy.foreign_change, FOREIGN_PAGE);
    assert_int_equal(s->zone_count, 0);
    assert_int_equal(s->rto_ms, 0);
}

static void every_form_is_read(void **state) {
    (void)state;
    enum error_code code =
        parse("version: 1\n"
              "regions: {a: {}, b: {}, c: {role: witness}}\n"
              "services:\n"
              "  s:\n"
              "    owner: none\n"
              "    mode: advise\n"
              "    home: a\n"
              "    checks:\n"
              "      web:\n"
              "        url: {a: 'https://127.0.0.1:8443/x', b: 'https://[::1]:8443/y?z=1'}\n"
              "        expect: [200, 204, 300-399]\n"
              "        interval: 200ms\n"
              "        timeout: 50ms\n"
              "        fall: 20\n"
              "        rise: 1\n"
              "        standby: skip\n"
              "        keep_alive: false\n"
              "        ca: /etc/ca.pem\n"
              "        cert: /etc/c.pem\n"
              "        key: /etc/c.key\n"
              "        server_name: web.test\n"
              "    dns:\n"
              "      - zone: Z1\n"
              "        role: arn:aws:iam::1:role/x\n"
              "        external_id: abc\n"
              "        fence: _f-$service.Example.COM.\n"
              "        records:\n"
              "          WWW.example.com.:\n"
              "            alias: {a: {name: x.example.net, zone_id: Z9}, b: d1.cloudfront.net}\n"
              "            types: [A, AAAA]\n"
              "          txt.example.com:\n"
              "            values: {a: [one, two], b: three}\n"
              "            type: TXT\n"
              "            ttl: 30s\n"
              "      - zone: Z2\n"
              "        mode: records\n"
              "        records:\n"
              "          api.example.org:\n"
              "            cname: {a: x.example.net, b: y.example.net}\n"
              "            routing: weighted\n"
              "            sets: {a: first, b: second}\n"
              "          old.example.org:\n"
              "            values: {a: 192.0.2.1, b: 192.0.2.2}\n"
              "            type: A\n"
              "            routing: failover\n"
              "    policy: {confirm: 10s, cooldown: 0, max_moves: 16/30d, failback: manual, "
              "foreign_change: page}\n");
    print_findings();
    assert_int_equal(code, ERROR_OK);
    assert_int_equal(findings.count, 0);
    const struct spec_service *s = &spec->services[0];
    const struct spec_check *web = &s->checks[0];
    assert_string_equal(web->url[1], "https://[::1]:8443/y?z=1");
    assert_int_equal(web->expect_count, 3);
    assert_int_equal(web->expect[2].low, 300);
    assert_int_equal(web->expect[2].high, 399);
    assert_int_equal(web->interval_ms, 200);
    assert_int_equal(web->standby, STANDBY_SKIP);
    assert_false(web->keep_alive);
    assert_string_equal(web->server_name, "web.test");
    assert_int_equal(s->zone_count, 2);
    assert_string_equal(s->zones[0].external_id, "abc");
    assert_string_equal(s->zones[0].fence_name, "_f-s.example.com");
    assert_string_equal(s->zones[1].fence_name, "_noctua-s.api.example.org");
    assert_int_equal(s->record_count, 5);
    assert_string_equal(s->records[0].name, "www.example.com");
    assert_string_equal(s->records[0].type, "A");
    assert_string_equal(s->records[1].type, "AAAA");
    assert_string_equal(s->records[1].value[0].text, "x.example.net");
    assert_string_equal(s->records[1].value[0].zone_id, "Z9");
    assert_string_equal(s->records[1].value[1].zone_id, "");
    assert_string_equal(s->records[2].value[0].text, "one\ntwo");
    assert_string_equal(s->records[2].value[1].text, "three");
    assert_int_equal(s->records[2].ttl_s, 30);
    assert_int_equal(s->records[3].zone, 1);
    assert_int_equal(s->records[3].kind, RECORD_CNAME);
    assert_string_equal(s->records[3].type, "CNAME");
    assert_int_equal(s->records[3].routing, ROUTING_WEIGHTED);
    assert_string_equal(s->records[3].value[1].set_identifier, "second");
    assert_int_equal(s->records[3].ttl_s, 60);
    assert_string_equal(s->records[4].value[1].set_identifier, "b");
    assert_int_equal(s->policy.max_moves, 16);
    assert_int_equal(s->policy.failback, FAILBACK_MANUAL);
    assert_int_equal(s->policy.foreign_change, FOREIGN_PAGE);
    /* It goes into the log as it is. */
    struct command command = {.kind = COMMAND_SPEC, .term = 1, .spec = {.spec = spec}};
    const struct command *commands[] = {&command};
    struct buffer bytes;
    buffer_init(&bytes, 0);
    assert_int_equal(codec_encode_batch(commands, 1, &bytes, NULL), ERROR_OK);
    struct command_batch batch;
    assert_int_equal(codec_decode_batch(bytes.data, bytes.size_bytes, &batch, NULL), ERROR_OK);
    assert_memory_equal(batch.commands[0]->spec.spec, spec, sizeof *spec);
    codec_batch_finish(&batch);
    buffer_finish(&bytes);
}

/* The same spec with a replica set in place of its owner's line. */
static enum error_code parse_with_mongo(const char *mongo) {
    static const char owner[] = "    owner: platform\n";
    const char *at = strstr(good, owner);
    struct buffer text;
    assert_non_null(at);
    buffer_init(&text, 0);
    buffer_append(&text, good, (size_t)(at - good));
    buffer_append_format(&text, "    mongo: %s\n", mongo);
    buffer_append_text(&text, at + strlen(owner));
    enum error_code code = parse(text.data);
    buffer_finish(&text);
    return code;
}

static void a_replica_set_is_read(void **state) {
    (void)state;
    assert_int_equal(parse_with_mongo("{uri: 'mongodb://db-1,db-2:27018,[::1]/?replicaSet=rs0&"
                                      "tls=true', write_check: n.c}"),
                     ERROR_OK);
    print_findings();
    assert_int_equal(findings.count, 0);
    const struct spec_mongo *mongo = &spec->services[0].mongo;
    assert_true(mongo->used);
    assert_string_equal(mongo->credentials, "");
    assert_string_equal(mongo->region_tag, "region");
    assert_string_equal(mongo->write_check, "n.c");
    assert_int_equal(mongo->max_lag_ms, 10000);
    assert_int_equal(mongo->max_lag_age_ms, 30000);
    assert_int_equal(mongo->interval_ms, 2000);
    assert_int_equal(mongo->timeout_ms, 1000);
    assert_int_equal(mongo->fall, 3);
    assert_int_equal(mongo->rise, 2);
    assert_int_equal(mongo->on_majority_lost, MONGO_LOST_ASK);
    assert_int_equal(mongo->on_own_election, MONGO_ELECTION_PAGE);
    assert_int_equal(parse_with_mongo("{uri: 'mongodb+srv://db.example.com/?replicaSet=rs0', "
                                      "credentials: file:mongo, region_tag: site, max_lag: 5s, "
                                      "max_lag_age: 1m, on_majority_lost: never, on_own_election: "
                                      "page, interval: 1s, timeout: 500ms, fall: 2, rise: 1, "
                                      "write_check: none}"),
                     ERROR_OK);
    assert_int_equal(findings.count, 1); /* no write_check: a warning */
    assert_string_equal(mongo->credentials, "file:mongo");
    assert_string_equal(mongo->region_tag, "site");
    assert_int_equal(mongo->on_majority_lost, MONGO_LOST_NEVER);
}

/* Each gives exactly one finding, with these words. */
static void replica_sets_are_refused(void **state) {
    static const struct {
        const char *mongo, *words;
        bool is_warning;
    } rows[] = {
#define URI(text) "{uri: 'mongodb://" text "', write_check: n.c}"
#define KEYS(text) "{uri: 'mongodb://a/?replicaSet=rs0', write_check: n.c, " text "}"
        {"{write_check: n.c}", "a replica set needs 'uri'", false},
        {"{uri: x, write_check: n.c}", "uri: it must begin with mongodb://", false},
        {URI("u:hunter2@a/?replicaSet=rs0"), "must not hold a user and a password", false},
        {URI("u@a/?replicaSet=rs0"), "must not hold a user and a password", false},
        {URI("a"), "must name the set, as in ?replicaSet=rs0", false},
        {URI("/?replicaSet=rs0"), "needs hosts", false},
        {URI("a,,b/?replicaSet=rs0"), "needs hosts", false},
        {URI("a:0/?replicaSet=rs0"), "has a port that is no number", false},
        {URI("a:70000/?replicaSet=rs0"), "has a port that is no number", false},
        {URI("[x]/?replicaSet=rs0"), "no IPv6 address", false},
        {URI("a/?replicaSet=rs0&tls=yes"), "neither true nor false", false},
        {URI("a/?replicaSet=rs0&authMechanism=PLAIN"), "authMechanism other than", false},
        {URI("a/?replicaSet=rs0&authMechanism=MONGODB-X509"), "needs tls=true and", false},
        {URI("a/?replicaSet=rs0&tlsCertificateKeyFilePassword=x"), "must not hold a password",
         false},
        {URI("a/?replicaSet=rs0&tls"), "no name=value", false},
        {URI("a/?replicaSet=rs%0"), "no name=value", false},
        {URI("a/?replicaSet=rs0&w=majority"), "uri: w is of no use to Noctua", true},
        {"{uri: 'mongodb+srv://a:1/?replicaSet=rs0', write_check: n.c}", "takes from DNS", false},
        {"{uri: 'mongodb+srv://a,b/?replicaSet=rs0', write_check: n.c}", "has one", false},
        {KEYS("user: x"), "unknown key 'user'", false},
        {KEYS("credentials: hunter2"), "credentials:", false},
        {KEYS("interval: 1s"), "timeout 1s must be shorter than interval 1s", false},
        {KEYS("interval: 10s"), "a replica set must be freshly known to decide on", false},
        {KEYS("fall: 0"), "fall", false},
        {KEYS("on_own_election: follow"), "follow comes later", false},
        {KEYS("on_majority_lost: force"), "'force' is not ask or never", false},
        {"{uri: 'mongodb://a/?replicaSet=rs0', write_check: nocturnal}", "a collection of its own",
         false},
        {"{uri: 'mongodb://a/?replicaSet=rs0', write_check: local.x}", "not in admin", false},
        {"{uri: 'mongodb://a/?replicaSet=rs0'}", "write_check: none, so nobody knows", true},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        enum error_code code = parse_with_mongo(rows[i].mongo);
        if (findings.count != 1 || strstr(findings.items[0].message, rows[i].words) == NULL ||
            (code == ERROR_OK) != rows[i].is_warning) {
            print_findings();
            fail_msg("%s", rows[i].mongo);
        }
        assert_null(strstr(findings.items[0].message, "hunter2"));
    }
}

/* The set is a critical check by itself, and its name is taken. */
static void a_replica_set_is_a_critical_check(void **state) {
    static const char head[] = "version: 1\nregions: {a: {}, b: {}, c: {role: witness}}\n"
                               "services:\n  s:\n    home: a\n";
    static const char set[] = "    mongo: {uri: 'mongodb://a/?replicaSet=r', write_check: n.c}\n";
    char text[1024];
    (void)state;
    (void)snprintf(text, sizeof text, "%s%s", head, set);
    assert_int_equal(parse(text), ERROR_OK);
    print_findings();
    assert_int_equal(findings.count, 0);
    assert_int_equal(parse(head), ERROR_INVALID);
    assert_non_null(strstr(findings.items[0].message, "a service needs `checks`"));
    (void)snprintf(text, sizeof text, "%s%s%s", head, set,
                   "    checks: {mongo: {url: 'tcp://$region:1'}}\n");
    assert_int_equal(parse(text), ERROR_INVALID);
    assert_int_equal(findings.count, 1);
    assert_non_null(strstr(findings.items[0].message, "the replica set's own check"));
}

/* Each row changes `good`: the text `from` becomes `to` ("" at the end: is added there). Exactly
 * one finding, at that place, with these words. */
struct row {
    const char *from, *to;
    uint32_t line, column;
    const char *words;
};

static char *change(const struct row *row) {
    struct buffer text;
    buffer_init(&text, 0);
    const char *at = row->from[0] == '\0' ? good + strlen(good) : strstr(good, row->from);
    if (at == NULL) {
        fail_msg("no '%s' in the good spec", row->from);
    }
    buffer_append(&text, good, (size_t)(at - good));
    buffer_append_text(&text, row->to);
    buffer_append_text(&text, at + strlen(row->from));
    return buffer_take(&text);
}

static bool is_told(const struct row *row, enum finding_severity severity) {
    char *text = change(row);
    enum error_code code = parse(text);
    const struct finding *finding = &findings.items[0];
    bool fine = findings.count == 1 && finding->line == row->line &&
                finding->column == row->column && finding->severity == severity &&
                strstr(finding->message, row->words) != NULL &&
                code == (severity == FINDING_ERROR ? ERROR_INVALID : ERROR_OK);
    if (!fine) {
        print_findings();
        print_message("'%s' -> '%s': wanted %u:%u %s\n\n", row->from, row->to, row->line,
                      row->column, row->words);
    }
    free(text);
    return fine;
}

#define ALIAS_EAST "dualstack.web-1.us-east-1.elb.amazonaws.com"
#define ALIAS_WEST "dualstack.web-2.us-west-2.elb.amazonaws.com"
#define ALIAS                                                                                      \
    "          alias:\n            us-east-1: " ALIAS_EAST "\n            us-west-2: " ALIAS_WEST  \
    "\n"
#define SECOND_SERVICE(rest)                                                                       \
    "  other:\n    home: us-east-1\n    checks: {x: {url: 'http://$region:1'}}\n" rest

static void each_mistake_is_told_once(void **state) {
    (void)state;
    static const struct row rows[] = {
        /* the whole */
        {"version: 1\n", "version: 2\n", 1, 10, "version: this Noctua reads version 1"},
        {"version: 1\n", "", 0, 0, "a spec needs 'version': 1"},
        {"", "service: {}\n", 39, 1, "unknown key 'service'; did you mean 'services'?"},
        {"", "notify: {slack: {url: file:slack}}\n", 39, 1,
         "'notify' is not in this version of Noctua; take it out"},
        {"", "runbooks: {a: {}}\n", 39, 1, "'runbooks' is not in this version of Noctua"},
        {"", "regions: {}\n", 39, 1, "key 'regions' stands here twice: first in line 2"},
        /* regions */
        {"  us-west-2: {}\n", "  us-west-2: {}\n  US: {}\n", 5, 3, "'US' is not a region's name"},
        {"{role: witness}", "{role: witnes}", 5, 21, "did you mean 'witness'?"},
        {"{role: witness}", "{rol: witness}", 5, 15, "unknown key 'rol'; did you mean 'role'?"},
        {"max_active: 3", "max_active: 0", 3, 48, "'0' is not a whole number from 1 to 64"},
        {"risk_group: america", "risk_group: A B", 3, 27, "'A B' is not a name"},
        /* a service */
        {"    home: us-east-1\n", "", 7, 3, "a service needs 'home'"},
        {"home: us-east-1", "home: us-east-2", 10, 11,
         "home: there is no region 'us-east-2'; did you mean 'us-east-1'?"},
        {"home: us-east-1", "home: eu-west-1", 10, 11,
         "home: eu-west-1 is a witness; nothing is served there"},
        {"home: us-east-1", "home: [us-east-1]", 10, 11, "home: a single value is wanted here"},
        {"targets: [us-west-2]", "targets: [us-west-2, us-west-2]", 11, 26,
         "targets: us-west-2 stands here twice"},
        {"targets: [us-west-2]", "targets: [us-west-2, us-east-1]", 11, 26,
         "targets: us-east-1 is the home"},
        {"targets: [us-west-2]", "targets: [us-west-2, eu-west-1]", 11, 26,
         "targets: eu-west-1 is a witness, never a target"},
        {"targets: [us-west-2]", "targets: [us-west-2, mars]", 11, 26,
         "targets: there is no region 'mars'; the regions stand at the top"},
        {"mode: auto", "mode: automatic", 9, 11, "'automatic' is not observe, advise or auto"},
        {"mode: auto", "mode: autp", 9, 11, "did you mean 'auto'?"},
        {"owner: platform", "owner: The Platform", 8, 12, "'The Platform' is not a name"},
        {"  nocturnal:\n", "  Nocturnal:\n", 7, 3, "'Nocturnal' is not a service's name"},
        {"    owner: platform\n", "    capacity: {app: {}}\n", 8, 5, "'capacity' is not in this"},
        {"    owner: platform\n", "    check: {}\n", 8, 5, "did you mean 'checks'?"},
        {"      api: {rto: 15m}\n", "      database: {rto: 30m}\n", 35, 7,
         "'database' is not in this version"},
        {"rto: 15m", "rto: 15", 35, 18, "rto: 15 has no unit; write 15s, or ms, m, h, d"},
        {"      switch: {}\n", "      promote: {mongo: promote}\n", 37, 7,
         "plan: step 'promote', as it stands here, is not in this version"},
        {"needs: switch}", "needs: verify}", 38, 7, "plan: step 'dns', as it stands here"},
        /* checks */
        {"        url: https://$region.api.nocturnal.com/api/health\n", "", 13, 7,
         "a check needs 'url'"},
        {"https://$region.api", "ftp://$region.api", 14, 14,
         "url: 'ftp' can't be probed; there are http, https and tcp"},
        {"https://$region.api", "mongodb://$region.api", 14, 14,
         "watched by the service's own `mongo:`"},
        {"https://$region.api", "$region.api", 14, 14, "needs a scheme"},
        {"https://$region.api", "https://me:pw@$region.api", 14, 14,
         "must not carry a user or password"},
        {"https://$region.api", "https://$regio.api", 14, 14,
         "url: $regio is no variable; there are $region and $service"},
        {"https://$region.api", "https://$to.api", 14, 14,
         "url: $to means nothing here; there are $region and $service"},
        {"nocturnal.com/api/health", "nocturnal.com:99999/api/health", 14, 14,
         "has no valid host and port"},
        {"https://$region.api.nocturnal.com/api/health", "https:///x", 14, 14, "has no host"},
        {"https://$region.api.nocturnal.com/api/health", "https://nocturnal.com/$region", 14, 14,
         "check 'api' probes nocturnal.com, which this service moves; it would test whichever "
         "region is active"},
        {"https://$region.api.nocturnal.com/api/health",
         "{us-east-1: 'http://a/', us-west-2: 'http://Nocturnal.com/'}", 14, 14,
         "check 'api' probes nocturnal.com"},
        {"https://$region.api.nocturnal.com/api/health", "{us-east-1: 'https://a/'}", 14, 9,
         "url: nothing for us-west-2, to which this service may move"},
        {"https://$region.api.nocturnal.com/api/health", "{us-west-2: 'https://a/'}", 14, 9,
         "url: nothing for us-east-1, the home of this service"},
        {"https://$region.api.nocturnal.com/api/health",
         "{us-east-1: 'https://a/', us-west-2: 'https://b/', eu-west-1: 'https://c/'}", 14, 65,
         "url: eu-west-1 is neither home nor a target of this service"},
        {"https://$region.api.nocturnal.com/api/health",
         "{us-east-1: 'https://a/', us-west-3: 'https://b/'}", 14, 40,
         "url: there is no region 'us-west-3'; did you mean 'us-west-2'?"},
        {"https://$region.api.nocturnal.com/api/health",
         "{us-east-1: 'https://a/', us-west-2: 'http://b/'}", 14, 51,
         "url: one check has one scheme in all regions"},
        {"tcp://redis.$region.nocturnal.internal:6379", "tcp://redis.$region.nocturnal.internal",
         17, 20, "url: tcp needs a port"},
        {"tcp://redis.$region.nocturnal.internal:6379", "tcp://redis.$region:6379/0", 17, 20,
         "url: tcp has no path"},
        {"critical: false}", "critical: false, match: x}", 17, 82,
         "match: a tcp check reads no answer"},
        {"critical: false}", "critical: false, ca: /x}", 17, 82, "ca: only for https"},
        {"critical: false}", "critical: no}", 17, 75, "critical: 'no' is not true or false"},
        {"expect: 200", "expect: 2000", 15, 17, "expect: a status or a range from 100 to 599"},
        {"expect: 200", "expect: 300-200", 15, 17, "expect: a status or a range"},
        {"expect: 200", "expect: [200, x]", 15, 23, "expect: a status or a range"},
        {"expect: 200", "expect: [200, 201, 202, 203, 204]", 15, 38, "expect: more than 4 ranges"},
        {"expect: 200", "inteval: 2s", 15, 9, "unknown key 'inteval'; did you mean 'interval'?"},
        {"expect: 200", "interval: 100ms", 15, 19, "interval: 100ms is out of range: 200ms to 10m"},
        {"expect: 200", "interval: 11m", 15, 19, "out of range"},
        {"expect: 200", "interval: 6s", 15, 19,
         "interval: a critical check must be fresh to decide on: at most 5s"},
        {"expect: 200", "timeout: 49ms", 15, 18, "timeout: 49ms is out of range: 50ms to 30s"},
        {"expect: 200", "timeout: 2s", 15, 18, "timeout 2s must be shorter than interval 2s"},
        {"expect: 200", "interval: 500ms", 15, 19,
         "timeout 1s must be shorter than interval 500ms"},
        {"expect: 200", "fall: 0", 15, 15, "fall: '0' is not a whole number from 1 to 20"},
        {"expect: 200", "rise: 21", 15, 15, "rise: '21' is not a whole number from 1 to 20"},
        {"expect: 200", "standby: down", 15, 18, "standby: 'down' is not up or skip"},
        {"expect: 200", "cert: /x", 15, 9, "cert needs key beside it"},
        {"expect: 200", "key: /x", 15, 9, "key needs cert beside it"},
        {"expect: 200", "ca: x.pem", 15, 13, "ca: 'x.pem' must be a whole path"},
        {"expect: 200", "critical: false", 12, 5, "checks: none of them is critical"},
        {"      redis:", "      Redis:", 17, 7, "'Redis' is not a check's name"},
        /* dns */
        {"zone: Z1234567890ABC", "zone: /hostedzone/Z1", 19, 13,
         "zone: the hosted zone's id alone"},
        {"      zone: Z1234567890ABC\n", "", 18, 5, "dns needs 'zone'"},
        {"role: arn:aws:iam::111122223333:role/noctua-dns", "role: noctua-dns", 20, 13,
         "role: its ARN"},
        {"role: arn:aws:iam::111122223333:role/noctua-dns", "external_id: x", 20, 7,
         "external_id: only with `role`"},
        {"mode: [records]", "mode: [records, health]", 21, 23,
         "mode: health is not in this version of Noctua"},
        {"mode: [records]", "mode: all", 21, 13, "mode: 'all' is no mode"},
        {"mode: [records]", "fence: nocturnal.org", 21, 14,
         "fence: nocturnal.org can't lie in the zone of nocturnal.com"},
        {"mode: [records]", "fence: f.$region.nocturnal.com", 21, 14,
         "fence: one for all regions, so without $region"},
        {"mode: [records]", "fence: f.$epoch.nocturnal.com", 21, 14, "fence: $epoch means nothing"},
        {"        nocturnal.com:\n", "        nocturnal..com:\n", 23, 9,
         "records: 'nocturnal..com' is no DNS name"},
        {"        nocturnal.com:\n", "        '*.com':\n", 23, 9, "records: 'com' is no DNS name"},
        {"        nocturnal.com:\n", "        'a.*.nocturnal.com':\n", 23, 9,
         "records: 'a.*.nocturnal.com' is no DNS name"},
        {"mode: [records]", "fence: '*.nocturnal.com'", 21, 14,
         "fence: '*.nocturnal.com' is no DNS name"},
        {"us-west-2: " ALIAS_WEST, "us-west-2: '*.x.y'", 26, 24, "alias: '*.x.y' is no DNS name"},
        {"us-west-2: " ALIAS_WEST, "us-west-2: api.nocturnal.com", 26, 24,
         "the hosted zone of api.nocturnal.com is not known here; write {name: api.nocturnal.com, "
         "zone_id: Z...}"},
        {"us-west-2: " ALIAS_WEST, "us-west-2: {name: x.y}", 26, 31,
         "the hosted zone of x.y is not known here"},
        {ALIAS, "          type: TXT\n          values: {us-east-1: a, us-west-2: '\"b'}\n", 25, 45,
         "values: in quotes of its own a TXT value is one or more \"strings\""},
        {ALIAS, "          ttl: 60s\n", 23, 9,
         "record 'nocturnal.com' needs alias, cname or values"},
        {ALIAS, ALIAS "          cname: {us-east-1: a.b, us-west-2: b.b}\n", 27, 11,
         "cname: a record is one of alias, cname and values; here is alias, too"},
        {ALIAS, ALIAS "          ttl: 60s\n", 27, 11, "ttl: an alias has none of its own"},
        {ALIAS, ALIAS "          type: TXT\n", 27, 17, "type: 'TXT' is not A or AAAA"},
        {ALIAS, ALIAS "          types: [A, A]\n", 27, 22, "types: A is one too many"},
        {ALIAS, ALIAS "          routng: simple\n", 27, 11, "did you mean 'routing'?"},
        {ALIAS, ALIAS "          routing: latency\n", 27, 20,
         "routing: 'latency' is not simple, weighted or failover"},
        {ALIAS, ALIAS "          sets: {us-east-1: a, us-west-2: b}\n", 27, 11,
         "sets: a simple record has none"},
        {ALIAS, ALIAS "          routing: weighted\n          sets: {us-east-1: a, us-west-2: a}\n",
         28, 17, "sets: us-east-1 and us-west-2 have one identifier"},
        {ALIAS, "          cname: {us-east-1: a.b, us-west-2: b.b}\n          type: A\n", 25, 11,
         "type: a cname is of type CNAME"},
        {ALIAS, "          values: {us-east-1: 1.2.3.4, us-west-2: 1.2.3.5}\n", 23, 9,
         "values need 'type': A, AAAA or TXT"},
        {ALIAS, "          values: {us-east-1: 1.2.3.4, us-west-2: b}\n          type: A\n", 24, 51,
         "values: 'b' is no IPv4 address, as type A wants"},
        {ALIAS, "          values: {us-east-1: '::1', us-west-2: 1.2.3.4}\n          type: AAAA\n",
         24, 49, "values: '1.2.3.4' is no IPv6 address"},
        {ALIAS,
         "          values: {us-east-1: 1.2.3.4, us-west-2: 1.2.3.5}\n          type: A\n"
         "          ttl: 1500ms\n",
         26, 16, "ttl: whole seconds only"},
        {"us-west-2: " ALIAS_WEST, "us-west-2: " ALIAS_EAST, 26, 24,
         "us-west-2 points to a load balancer in us-east-1"},
        {"us-west-2: " ALIAS_WEST, "us-west-2: net-1.elb.eu-west-1.amazonaws.com", 26, 24,
         "us-west-2 points to a load balancer in eu-west-1"},
        {"            us-west-2: " ALIAS_WEST "\n", "", 24, 11,
         "alias: nothing for us-west-2, to which this service may move"},
        {"us-west-2: " ALIAS_WEST, "us-west-2: {name: x.cloudfront.net, zone: Z1}", 26, 49,
         "unknown key 'zone' in an alias; there are name and zone_id"},
        {"us-west-2: " ALIAS_WEST, "us-west-2: {zone_id: Z1}", 26, 13, "an alias needs 'name'"},
        {"us-west-2: " ALIAS_WEST, "us-west-2: {name: x.y, zone_id: z}", 26, 45,
         "zone_id: the id of a hosted zone"},
        {"us-west-2: " ALIAS_WEST, "us-west-2: $service.x.y", 26, 24,
         "alias: no variables are known here ($service)"},
        {"us-west-2: " ALIAS_WEST, "us-west-2:", 26, 13, "alias has no value"},
        {ALIAS, ALIAS "        other.org:\n" ALIAS, 27, 9,
         "other.org can't lie in the zone of nocturnal.com"},
        {ALIAS, ALIAS "        NOCTURNAL.com.:\n" ALIAS, 27, 9,
         "record nocturnal.com belongs to service 'nocturnal' already (line 23)"},
        {"    dns:\n      zone: Z1234567890ABC\n      role: "
         "arn:aws:iam::111122223333:role/noctua-dns\n"
         "      mode: [records]\n      records:\n        nocturnal.com:\n" ALIAS,
         "    dns:\n      - {zone: Z1, records: {a.b: {cname: {us-east-1: a.c, us-west-2: b.c}}}}\n"
         "      - {zone: Z1, records: {c.b: {cname: {us-east-1: a.c, us-west-2: b.c}}}}\n",
         20, 16, "zone Z1 stands twice in this service; put its records together"},
        {"",
         SECOND_SERVICE("    dns:\n      zone: Z1234567890ABC\n      fence: f.nocturnal.com\n      "
                        "records: {nocturnal.com: {cname: {us-east-1: a.b, us-west-2: b.b}}}\n"),
         45, 17, "record nocturnal.com belongs to service 'nocturnal' already (line 23)"},
        {"",
         SECOND_SERVICE("    dns:\n      zone: Z1234567890ABC\n      fence: "
                        "_noctua-nocturnal.nocturnal.com\n      records: {x.nocturnal.com: {cname: "
                        "{us-east-1: a.b, us-west-2: b.b}}}\n"),
         44, 14, "fence _noctua-nocturnal.nocturnal.com is that of service 'nocturnal'"},
        /* policy */
        {"confirm: 30s", "confirm: 61m", 28, 16, "confirm: 61m is out of range: 0s to 1h"},
        {"confirm: 30s", "confirm: 30", 28, 16, "confirm: 30 has no unit; write 30s"},
        {"confirm: 30s", "confirms: 30s", 28, 7, "did you mean 'confirm'?"},
        {"cooldown: 30m", "cooldown: 8d", 29, 17, "cooldown: 8d is out of range: 0s to 7d"},
        {"max_moves: 2/24h", "max_moves: 2", 30, 18, "max_moves: moves/window is wanted here"},
        {"max_moves: 2/24h", "max_moves: 17/24h", 30, 18, "max_moves: 1 to 16 moves"},
        {"max_moves: 2/24h", "max_moves: 2/24", 30, 18, "max_moves: a window of 1m to 30d"},
        {"failback: manual", "failback: never", 31, 17, "failback: 'never' is not manual or auto"},
        {"failback: manual", "failback: auto", 31, 17,
         "failback: auto is not in this version of Noctua; write manual, and return with: "
         "noctuactl switchover"},
        {"foreign_change: page", "foreign_change: x", 32, 23, "'x' is not page or repair"},
        {"foreign_change: page", "foreign_change: repair", 32, 23,
         "foreign_change: repair is not in this version of Noctua; write page"},
        {"lease: none", "lease: 900ms", 33, 14, "lease: 1s to 10m, or none"},
        {"lease: none", "lease: 11m", 33, 14, "lease: 1s to 10m, or none"},
        {"lease: none", "lease: [15s]", 33, 14, "lease: 1s to 10m, or none"},
    };
    uint32_t wrong = 0;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        wrong += !is_told(&rows[i], FINDING_ERROR);
    }
    assert_int_equal(wrong, 0);
    print_message("%zu mistakes\n", ARRAY_LENGTH(rows));
}

static void each_doubt_is_told_once(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"  eu-west-1: {role: witness}\n", "", 2, 1, "regions: 2, and nothing moves by itself"},
        {"https://$region.api.nocturnal.com/api/health", "https://api.test/", 14, 14,
         "url: the same for every region"},
        {"expect: 200", "insecure: true", 15, 19, "the peer's certificate isn't checked"},
        {"expect: 200", "interval: 5s\n        fall: 13", 16, 15, "fall x interval is 65s"},
        {"confirm: 30s", "confirm: 5s", 28, 16,
         "confirm: 5s is under 10s; a 43 s partition would have moved you"},
        {"rto: 15m", "rto: 60s", 35, 18,
         "rto: a move takes 97s at least: 7s until the checks notice, 30s confirm, 1m TTL"},
        {ALIAS, "          cname: {us-east-1: a.b, us-west-2: b.b}\n          ttl: 5m\n", 25, 16,
         "ttl: resolvers keep the old answer for 300 s"},
        {ALIAS, "          cname: {us-east-1: a.b, us-west-2: a.b}\n", 23, 9,
         "nocturnal.com is the same for us-east-1 and us-west-2"},
        {"", SECOND_SERVICE("    targets: []\n"), 42, 14, "no region to move to"},
        {"        nocturnal.com:\n", "        '*.nocturnal.com':\n", 14, 14,
         "check 'api' probes us-east-1.api.nocturnal.com; unless that has a record of its own, "
         "*.nocturnal.com answers for it, which this service moves"},
    };
    uint32_t wrong = 0;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        wrong += !is_told(&rows[i], FINDING_WARNING);
    }
    assert_int_equal(wrong, 0);
}

static void wildcards_are_names(void **state) {
    (void)state;
    static const char *const spellings[] = {"'*.Nocturnal.com.'", "'\\052.nocturnal.com'"};
    for (size_t i = 0; i < ARRAY_LENGTH(spellings); i++) {
        char key[64];
        (void)snprintf(key, sizeof key, "        %s:\n", spellings[i]);
        struct row row = {"        nocturnal.com:\n", key, 0, 0, ""};
        char *text = change(&row);
        assert_int_equal(parse(text), ERROR_OK);
        free(text);
        assert_string_equal(spec->services[0].records[0].name, "*.nocturnal.com");
        assert_string_equal(spec->services[0].zones[0].fence_name,
                            "_noctua-nocturnal.nocturnal.com");
    }
}

static void text_values_in_quotes_are_checked(void **state) {
    (void)state;
    char longest[256];
    memset(longest, 'x', 255);
    longest[255] = '\0';
    static const struct {
        const char *format;
        bool fine;
    } table[] = {
        {"v=DKIM1; p=%s%.200s", true}, {"'\"%s\"'", true},     {"'\"%s\"  \"\\\"\\301\"'", true},
        {"'\"%sx\"'", false},          {"'\"%s\" x'", false},  {"'\"a\\\"'", false},
        {"'\"a\\30\"'", false},        {"'\"a\\303\"'", true},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(table); i++) {
        char value[600];
        char record[1200];
        (void)snprintf(value, sizeof value, table[i].format, longest, longest);
        (void)snprintf(record, sizeof record,
                       "          type: TXT\n          values: {us-east-1: a, us-west-2: %s}\n",
                       value);
        struct row row = {ALIAS, record, 0, 0, ""};
        char *text = change(&row);
        if ((parse(text) == ERROR_OK) != table[i].fine) {
            print_findings();
            print_message("%s\n", record);
            fail();
        }
        free(text);
    }
}

static void one_zone_is_one_batch(void **state) {
    (void)state;
    struct buffer text;
    buffer_init(&text, 0);
    for (int extra = 0; extra < 2; extra++) {
        buffer_clear(&text);
        buffer_append_text(&text, "version: 1\nregions: {a: {}, b: {}, c: {}}\nservices:\n  s:\n"
                                  "    home: a\n    checks: {x: {url: 'http://$region:1'}}\n"
                                  "    dns:\n      zone: Z1\n      records:\n");
        /* 10 x 3 + 2, and one more */
        for (int i = 0; i < 12 + extra; i++) {
            buffer_append_format(&text, "        r%d.x.org: {cname: {a: a.b, b: b.b, c: c.c}%s}\n",
                                 i, i < 10 ? ", routing: weighted" : "");
        }
        assert_int_equal(parse(text.data), extra == 0 ? ERROR_OK : ERROR_INVALID);
    }
    assert_int_equal(findings.count, 1);
    assert_non_null(
        strstr(findings.items[0].message, "33 record sets in zone Z1; one batch holds 32"));
    buffer_finish(&text);
}

static void many_mistakes_are_told_in_one_pass(void **state) {
    (void)state;
    assert_int_equal(parse("version: 1\n"
                           "regions: {a: {}, b: {rol: x}, c: {role: witness}}\n"
                           "services:\n"
                           "  one: {home: d, checks: {x: {url: 'http://$region/'}}}\n"
                           "  two: {home: a, checks: {y: {url: 'ftp://$region/', fall: 0}}}\n"
                           "  three: 5\n"),
                     ERROR_INVALID);
    struct buffer told;
    buffer_init(&told, 0);
    findings_format(&findings, &told);
    assert_string_equal(
        told.data,
        "nocturnal.yaml:2:22: error: unknown key 'rol'; did you mean 'role'?\n"
        "nocturnal.yaml:4:15: error: home: there is no region 'd'; the regions stand at the top, "
        "in "
        "`regions`\n"
        "nocturnal.yaml:5:36: error: url: 'ftp' can't be probed; there are http, https and tcp\n"
        "nocturnal.yaml:5:60: error: fall: '0' is not a whole number from 1 to 20\n"
        "nocturnal.yaml:6:10: error: three: keys and values are wanted here\n");
    buffer_finish(&told);
}

static void odd_texts_are_refused(void **state) {
    (void)state;
    static const char *const texts[] = {
        "",
        "5",
        "[]",
        "version",
        "{",
        "a: b: c",
        "- version: 1",
        "version: 1\nregions:\nservices:\n",
        "version: 1\nregions: []\nservices: []\n",
    };
    for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
        assert_int_equal(parse(texts[i]), ERROR_INVALID);
        assert_true(findings.error_count >= 1);
    }
    /* An empty bytes field of protobuf: nothing, at no place. */
    assert_int_equal(parse_bytes(NULL, 0), ERROR_INVALID);
    char *large = malloc(SPEC_TEXT_MAX + 1);
    assert_non_null(large);
    memset(large, ' ', SPEC_TEXT_MAX + 1);
    assert_int_equal(parse_bytes(large, SPEC_TEXT_MAX + 1), ERROR_INVALID);
    assert_non_null(strstr(findings.items[0].message, "at most 262144 are read"));
    free(large);
}

/* A finding quotes what was written, cut to a length: never within a character, which would make
 * the message no text for JSON. */
static void what_is_quoted_stays_text(void **state) {
    (void)state;
    for (unsigned shift = 0; shift < 4; shift++) {
        struct buffer text, told;
        buffer_init(&text, 0);
        buffer_init(&told, 0);
        buffer_append_text(&text, "version: 1\n");
        buffer_append(&text, "abcd", shift);
        for (unsigned i = 0; i < 40; i++) {
            buffer_append_text(&text, "\xf0\x9f\x98\x80");
        }
        buffer_append_text(&text, ": 1\n");
        assert_int_equal(parse_bytes(text.data, text.size_bytes), ERROR_INVALID);
        findings_format(&findings, &told);
        assert_non_null(strstr(told.data, "unknown key"));
        assert_true(text_is_utf8(told.data, told.size_bytes));
        buffer_finish(&text);
        buffer_finish(&told);
    }
}

static void limits_hold(void **state) {
    (void)state;
    struct buffer text;
    buffer_init(&text, 0);
    for (uint32_t count = SERVICE_MAX; count <= SERVICE_MAX + 1; count++) {
        buffer_clear(&text);
        buffer_append_text(&text, "version: 1\nregions: {a: {}, b: {}, c: {}}\nservices:\n");
        for (uint32_t i = 0; i < count; i++) {
            buffer_append_format(&text, "  s%u: {home: a, checks: {x: {url: 'http://$region/'}}}\n",
                                 i);
        }
        free(spec);
        spec = calloc(1, sizeof *spec);
        assert_int_equal(spec_parse(text.data, text.size_bytes, "f", spec, &findings),
                         count == SERVICE_MAX ? ERROR_OK : ERROR_INVALID);
    }
    assert_string_equal(findings.items[0].message, "more than 64 services");
    for (uint32_t count = CHECK_MAX; count <= CHECK_MAX + 1; count++) {
        buffer_clear(&text);
        buffer_append_text(&text, "version: 1\nregions: {a: {}, b: {}, c: {}}\n"
                                  "services: {s: {home: a, checks: {\n");
        for (uint32_t i = 0; i < count; i++) {
            buffer_append_format(&text, "  c%u: {url: 'http://$region/'},\n", i);
        }
        buffer_append_text(&text, "}}}\n");
        free(spec);
        spec = calloc(1, sizeof *spec);
        assert_int_equal(spec_parse(text.data, text.size_bytes, "f", spec, &findings),
                         count == CHECK_MAX ? ERROR_OK : ERROR_INVALID);
    }
    assert_string_equal(findings.items[0].message, "more than 32 checks");
    for (uint32_t count = REGION_MAX; count <= REGION_MAX + 1; count++) {
        buffer_clear(&text);
        buffer_append_text(&text, "version: 1\nservices: {}\nregions:\n");
        for (uint32_t i = 0; i < count; i++) {
            buffer_append_format(&text, "  r%u: {}\n", i);
        }
        assert_int_equal(parse(text.data), count == REGION_MAX ? ERROR_OK : ERROR_INVALID);
    }
    assert_string_equal(findings.items[0].message, "more than 16 regions");
    buffer_finish(&text);
}

static void damaged_specs_never_crash(void **state) {
    (void)state;
    uint64_t seed = 12;
    uint32_t accepted = 0;
    struct buffer bytes;
    buffer_init(&bytes, 0);
    for (uint32_t round = 0; round < 20000; round++) {
        size_t size;
        uint8_t *damaged = mutate_bytes(good, strlen(good), &seed, &size);
        enum error_code code = parse_bytes((const char *)damaged, size);
        assert_true(code == ERROR_OK || code == ERROR_INVALID);
        assert_int_equal(code == ERROR_OK, findings.error_count == 0);
        if (code == ERROR_OK) {
            /* Whatever is accepted can be committed. */
            struct command command = {
                .kind = COMMAND_SPEC,
                .term = 1,
                .spec = {.spec = spec, .text = (const char *)damaged, .text_size = (uint32_t)size}};
            const struct command *commands[] = {&command};
            struct error error;
            buffer_clear(&bytes);
            if (codec_encode_batch(commands, 1, &bytes, &error) != ERROR_OK) {
                fail_msg("%s", error.message);
            }
            accepted++;
        }
        free(damaged);
    }
    print_message("accepted %u of 20000\n", accepted);
    assert_in_range(accepted, 1, 19999);
    buffer_finish(&bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_replica_set_is_read),
        cmocka_unit_test(replica_sets_are_refused),
        cmocka_unit_test(a_replica_set_is_a_critical_check),
        cmocka_unit_test(a_good_spec_is_read),
        cmocka_unit_test(a_short_spec_gets_the_defaults),
        cmocka_unit_test(every_form_is_read),
        cmocka_unit_test(each_mistake_is_told_once),
        cmocka_unit_test(each_doubt_is_told_once),
        cmocka_unit_test(wildcards_are_names),
        cmocka_unit_test(text_values_in_quotes_are_checked),
        cmocka_unit_test(one_zone_is_one_batch),
        cmocka_unit_test(many_mistakes_are_told_in_one_pass),
        cmocka_unit_test(odd_texts_are_refused),
        cmocka_unit_test(what_is_quoted_stays_text),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(damaged_specs_never_crash),
    };
    return cmocka_run_group_tests_name("spec", tests, make_spec, free_spec);
}
