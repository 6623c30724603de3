/* A service with a replica set. */
#include "spec_scene.h"

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
                                      "follow, interval: 1s, timeout: 500ms, fall: 2, rise: 1, "
                                      "write_check: none}"),
                     ERROR_OK);
    assert_int_equal(findings.count, 1); /* no write_check: a warning */
    assert_string_equal(mongo->credentials, "file:mongo");
    assert_string_equal(mongo->region_tag, "site");
    assert_int_equal(mongo->on_majority_lost, MONGO_LOST_NEVER);
    assert_int_equal(mongo->on_own_election, MONGO_ELECTION_FOLLOW);
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
        {KEYS("on_own_election: move"), "'move' is not page or follow", false},
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
    (void)snprintf(text, sizeof text, "%s%s%s", head, set,
                   "    objectives: {database: {rto: 30m, rpo: 1h}}\n");
    assert_int_equal(parse(text), ERROR_OK);
    assert_int_equal(spec->services[0].database_rto_ms, 1800000);
    assert_int_equal(spec->services[0].database_rpo_ms, 3600000);
    assert_int_equal(parse(head), ERROR_INVALID);
    assert_non_null(strstr(findings.items[0].message, "a service needs `checks`"));
    (void)snprintf(text, sizeof text, "%s%s%s", head, set,
                   "    checks: {mongo: {url: 'tcp://$region:1'}}\n");
    assert_int_equal(parse(text), ERROR_INVALID);
    assert_int_equal(findings.count, 1);
    assert_non_null(strstr(findings.items[0].message, "the replica set's own check"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_replica_set_is_read),
        cmocka_unit_test(replica_sets_are_refused),
        cmocka_unit_test(a_replica_set_is_a_critical_check),
    };
    return cmocka_run_group_tests_name("spec_mongo", tests, make_spec, free_spec);
}
