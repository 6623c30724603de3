/* Replies as real servers gave them (replies.jsonl: MongoDB 3.6.8 and 4.4.6, reduced) and, for
 * versions that no server was at hand of, as their documentation shows them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "mongo/reply.h"

static const char *recorded_path;

static bson_t *from_json(const char *json) {
    bson_error_t error;
    bson_t *document = bson_new_from_json((const uint8_t *)json, -1, &error);
    if (document == NULL) {
        fail_msg("%s: %s", json, error.message);
    }
    return document;
}

/* The reply of that name; to destroy. */
static bson_t *recorded(const char *name) {
    FILE *file = fopen(recorded_path, "re");
    char *line = NULL;
    size_t room = 0;
    bson_t *found = NULL;
    assert_non_null(file);
    while (found == NULL && getline(&line, &room, file) > 0) {
        bson_t *document = from_json(line);
        bson_iter_t iter;
        bool same = bson_iter_init_find(&iter, document, "name") &&
                    text_equal(bson_iter_utf8(&iter, NULL), name);
        if (same && bson_iter_init_find(&iter, document, "reply")) {
            const uint8_t *bytes;
            uint32_t size;
            bson_iter_document(&iter, &size, &bytes);
            found = bson_new_from_data(bytes, size);
        }
        bson_destroy(document);
    }
    free(line);
    (void)fclose(file);
    if (found == NULL) {
        fail_msg("%s is not recorded", name);
    }
    return found;
}

static struct mongo_hello hello;
static struct mongo_status status;
static struct mongo_config config;

static void read_hello(bson_t *reply) {
    mongo_read_hello(reply, &hello);
    bson_destroy(reply);
}

static void read_status(bson_t *reply) {
    mongo_read_status(reply, &status);
    bson_destroy(reply);
}

static bool read_config(bson_t *reply) {
    bool good = mongo_read_config(reply, "region", &config);
    bson_destroy(reply);
    return good;
}

static void who_a_member_is(void **state) {
    (void)state;
    read_hello(recorded("3.6-primary-isMaster"));
    assert_true(hello.writable);
    assert_false(hello.secondary);
    assert_string_equal(hello.set_name, "nocturnal");
    assert_string_equal(hello.me, "127.0.0.1:27117");
    assert_int_equal(hello.election_term, 1);
    assert_int_equal(hello.host_count, 3);
    assert_string_equal(hello.hosts[2], "127.0.0.1:27119");
    assert_int_equal(mongo_version_of_wire(hello.wire_version), 306);
    read_hello(recorded("3.6-secondary-hello")); /* not known there: an error, which says nothing */
    assert_false(hello.writable || hello.secondary);
    assert_string_equal(hello.set_name, "");
    read_hello(recorded("3.6-arbiter-isMaster"));
    assert_true(hello.arbiter);
    assert_int_equal(hello.host_count, 4);
    read_hello(recorded("3.6-hidden-delayed-isMaster"));
    assert_int_equal(hello.host_count, 3);
    read_hello(recorded("4.4-primary-hello"));
    assert_true(hello.writable);
    assert_int_equal(mongo_version_of_wire(hello.wire_version), 404);
    read_hello(recorded("4.4-secondary-hello"));
    assert_true(hello.secondary && !hello.writable);
    read_hello(recorded("4.4-stale-hello")); /* it lies; its term tells */
    assert_true(hello.writable);
    assert_int_equal(hello.election_term, 1);
    read_hello(recorded("4.4-removed-hello"));
    assert_string_equal(hello.set_name, "");
    assert_false(hello.writable || hello.secondary);
}

static void what_a_member_knows(void **state) {
    (void)state;
    read_status(recorded("3.6-status-killed"));
    assert_string_equal(status.set_name, "nocturnal");
    assert_int_equal(status.my_state, MONGO_PRIMARY);
    assert_int_equal(status.term, 2);
    assert_int_equal(status.heartbeat_ms, 2000);
    assert_int_equal(status.member_count, 3);
    const struct mongo_status_member *dead = &status.members[0];
    assert_int_equal(dead->state, MONGO_DOWN);
    assert_false(dead->healthy);
    assert_int_equal(dead->optime.seconds, 0); /* {ts: 0, t: -1} is no place */
    assert_int_equal(dead->config_version, 0); /* -1 */
    const struct mongo_status_member *self = &status.members[1];
    assert_true(self->self && self->healthy);
    assert_int_equal(self->heard_age_ms, 0);
    assert_int_equal(self->optime.term, 2);
    assert_int_equal(self->optime.seconds, 1795423088);
    assert_int_equal(self->optime.count, 2);
    assert_int_equal(self->optime.wall_ms, 0); /* 3.6 doesn't tell */
    const struct mongo_status_member *other = &status.members[2];
    assert_int_equal(other->heard_age_ms, 1795423092397 - 1795423090708);
    assert_string_equal(other->sync_source, "127.0.0.1:27118");
    assert_int_equal(other->config_version, 1);

    read_status(recorded("4.4-primary-status"));
    assert_int_equal(status.members[0].optime.wall_ms, 1795457073068);
    assert_int_equal(status.members[0].config_term, 1);
    assert_int_equal(status.members[1].optime.wall_ms, 0); /* told of itself only */
    read_status(recorded("3.6-status-never"));
    const struct mongo_status_member *never = &status.members[status.member_count - 1];
    assert_int_equal(never->optime.seconds, 0);
    /* Refusals are no status. */
    read_status(recorded("3.6-removed-status"));
    assert_int_equal(status.member_count, 0);
    assert_int_equal(status.my_state, MONGO_UNKNOWN);
    read_status(recorded("3.6-uninitiated-status"));
    assert_int_equal(status.term, 0);
}

static void how_a_set_is_configured(void **state) {
    (void)state;
    assert_true(read_config(recorded("3.6-secondary-config")));
    assert_string_equal(config.set_name, "nocturnal");
    assert_int_equal(config.version, 1);
    assert_int_equal(config.term, 0);
    assert_int_equal(config.election_timeout_ms, 10000);
    assert_int_equal(config.heartbeat_ms, 2000);
    assert_int_equal(config.member_count, 3);
    assert_int_equal(config.members[2].id, 2);
    assert_string_equal(config.members[2].host, "127.0.0.1:27119");
    assert_int_equal(config.members[2].priority_milli, 1000);
    assert_true(config.members[2].votes);
    assert_string_equal(config.members[2].tag, "");
    assert_true(read_config(recorded("3.6-forced-config")));
    assert_int_equal(config.version, 127250);
    assert_int_equal(config.member_count, 1);
    assert_true(read_config(recorded("4.4-primary-config")));
    assert_int_equal(config.term, 1);
    assert_true(read_config(recorded("4.4-removed-config")));
    assert_false(read_config(recorded("3.6-uninitiated-status")));
    assert_int_equal(config.member_count, 0);
}

/* 5.0 to 8.0: renamed fields, and the same number in each of its types. */
static void newer_servers(void **state) {
    (void)state;
    read_hello(from_json("{\"helloOk\": true, \"isWritablePrimary\": true, \"setName\": \"rs0\","
                         " \"topologyVersion\": {\"counter\": {\"$numberLong\": \"6\"}},"
                         " \"maxWireVersion\": 21, \"hosts\": [\"a:1\", 7, \"b:1\"],"
                         " \"electionId\": {\"$oid\": \"7fffffff00000000000000ff\"},"
                         " \"$clusterTime\": {}, \"ok\": 1}"));
    assert_true(hello.writable);
    assert_int_equal(mongo_version_of_wire(hello.wire_version), 700);
    assert_int_equal(hello.election_term, 255);
    assert_int_equal(hello.host_count, 2); /* what is no text is no host */
    read_status(from_json(
        "{\"set\": \"rs0\", \"date\": {\"$date\": {\"$numberLong\": \"1795457073078\"}},"
        " \"myState\": {\"$numberDouble\": \"2.0\"}, \"term\": {\"$numberInt\": \"9\"},"
        " \"members\": [{\"_id\": {\"$numberLong\": \"4\"}, \"name\": \"a:1\", \"health\": 1,"
        " \"state\": {\"$numberLong\": \"1\"}, \"optime\": {\"ts\": {\"$timestamp\": {\"t\": 5, "
        "\"i\": 1}}, \"t\": {\"$numberInt\": \"9\"}}, \"lastAppliedWallTime\": {\"$date\": "
        "{\"$numberLong\": \"1795457073000\"}}, \"lastHeartbeat\": {\"$date\": {\"$numberLong\": "
        "\"1795457073070\"}}, \"configVersion\": {\"$numberDouble\": \"3.0\"}, \"configTerm\": "
        "{\"$numberLong\": \"9\"}}]}"));
    assert_int_equal(status.my_state, MONGO_SECONDARY);
    assert_int_equal(status.term, 9);
    assert_int_equal(status.members[0].id, 4);
    assert_int_equal(status.members[0].state, MONGO_PRIMARY);
    assert_int_equal(status.members[0].optime.wall_ms, 1795457073000); /* since 5.0, of others */
    assert_int_equal(status.members[0].heard_age_ms, 8);
    assert_int_equal(status.members[0].config_version, 3);
    assert_int_equal(status.members[0].config_term, 9);
    assert_true(read_config(from_json(
        "{\"config\": {\"_id\": \"rs0\", \"version\": {\"$numberLong\": \"7\"}, \"term\": 2,"
        " \"members\": [{\"_id\": 0, \"host\": \"a:1\", \"priority\": 0.5, \"votes\": 1, "
        "\"secondaryDelaySecs\": {\"$numberLong\": \"3600\"}, \"hidden\": true, \"tags\": "
        "{\"region\": \"us-east-1\", \"noctua_was\": \"1/2\"}}, {\"_id\": 1, \"host\": \"b:1\", "
        "\"priority\": "
        "0, \"votes\": 0, \"arbiterOnly\": true}, {\"_id\": 2}, {\"host\": \"c:1\"}, 3]}}")));
    assert_int_equal(config.version, 7);
    assert_int_equal(config.member_count, 2); /* without id or host it is none */
    assert_int_equal(config.members[0].priority_milli, 500);
    assert_int_equal(config.members[0].delay_s, 3600);
    assert_true(config.members[0].hidden);
    assert_string_equal(config.members[0].tag, "us-east-1");
    assert_true(config.members[0].kept_out);
    assert_false(config.members[1].kept_out);
    assert_false(config.members[1].votes);
    assert_true(config.members[1].arbiter);
}

static void the_end_of_an_oplog(void **state) {
    (void)state;
    static const struct {
        const char *reply;
        bool told;
        uint64_t term;
    } rows[] = {
        {"{\"cursor\": {\"firstBatch\": [{\"t\": {\"$numberLong\": \"9\"}}]}}", true, 9},
        {"{\"cursor\": {\"firstBatch\": [{\"t\": -1}]}}", true, 0},
        {"{\"cursor\": {\"firstBatch\": [{\"ts\": 1}]}}", true, 0},     /* before any election */
        {"{\"cursor\": {\"firstBatch\": []}}", true, 0},                /* empty */
        {"{\"cursor\": {\"firstBatch\": [{\"t\": \"9\"}]}}", false, 0}, /* no term, but no none */
        {"{\"cursor\": {\"firstBatch\": [{\"t\": {\"$numberDouble\": \"NaN\"}}]}}", false, 0},
        {"{\"cursor\": {\"firstBatch\": [{\"t\": 1e300}]}}", false, 0},
        {"{\"cursor\": {\"firstBatch\": [9]}}", false, 0},
        {"{\"cursor\": {}}", false, 0},
        {"{\"cursor\": 3}", false, 0},
        {"{}", false, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t term = 77;
        bson_t *reply = bson_new_from_json((const uint8_t *)rows[i].reply, -1, NULL);
        assert_non_null(reply);
        assert_int_equal(mongo_read_oplog_term(reply, &term), rows[i].told);
        assert_int_equal(term, rows[i].term);
        bson_destroy(reply);
    }
}

static void what_makes_no_sense_is_unknown(void **state) {
    (void)state;
    read_hello(from_json("{\"ismaster\": \"yes\", \"setName\": 5, \"hosts\": \"a\", "
                         "\"maxWireVersion\": -1, \"electionId\": 3}"));
    assert_false(hello.writable);
    assert_string_equal(hello.set_name, "");
    assert_int_equal(hello.host_count, 0);
    read_status(from_json("{\"myState\": 77, \"term\": -1, \"members\": [{\"state\": 4, \"optime\":"
                          " {\"ts\": 1, \"t\": 1}, \"name\": \"a\\nb\"}, {\"state\": 1e300}]}"));
    assert_int_equal(status.my_state, MONGO_UNKNOWN);
    assert_int_equal(status.term, 0);
    assert_int_equal(status.members[0].state, MONGO_UNKNOWN);
    assert_int_equal(status.members[0].id, NONE_INDEX);
    assert_int_equal(status.members[0].optime.seconds, 0);
    assert_int_equal(status.members[0].heard_age_ms, MONGO_AGE_NEVER);
    assert_string_equal(status.members[0].host, "a?b");
    assert_false(read_config(from_json("{\"config\": {\"version\": 0, \"members\": []}}")));
    assert_false(read_config(from_json("{\"config\": {\"version\": 1, \"members\": []}}")));
    assert_false(read_config(from_json("{}")));
}

/* Over what MongoDB allows, a peer could send anything. */
static void the_limit_of_members_holds(void **state) {
    bson_t reply = BSON_INITIALIZER;
    bson_t inner;
    bson_t members;
    (void)state;
    BSON_APPEND_DOCUMENT_BEGIN(&reply, "config", &inner);
    BSON_APPEND_INT32(&inner, "version", 1);
    BSON_APPEND_ARRAY_BEGIN(&inner, "members", &members);
    for (int i = 0; i < MONGO_SET_MEMBER_MAX + 5; i++) {
        char key[16];
        bson_t member;
        (void)snprintf(key, sizeof key, "%d", i);
        BSON_APPEND_DOCUMENT_BEGIN(&members, key, &member);
        BSON_APPEND_INT32(&member, "_id", i);
        BSON_APPEND_UTF8(&member, "host", key);
        bson_append_document_end(&members, &member);
    }
    bson_append_array_end(&inner, &members);
    bson_append_document_end(&reply, &inner);
    assert_true(mongo_read_config(&reply, "region", &config));
    assert_int_equal(config.member_count, MONGO_SET_MEMBER_MAX);
    bson_destroy(&reply);
}

static void assert_write(bson_t *reply, const char *trouble) {
    const char *told = NULL;
    assert_int_equal(mongo_read_write(reply, &told), trouble[0] == '\0');
    assert_string_equal(told, trouble);
    bson_destroy(reply);
}

static void only_a_majority_counts_as_written(void **state) {
    (void)state;
    assert_write(recorded("4.4-write"), "");
    assert_write(recorded("4.4-secondary-insert"), "not_primary");
    assert_write(recorded("3.6-write-wtimeout"), "wtimeout");
    assert_write(recorded("3.6-write-interrupted"), "not_primary");
    /* A stale primary: ok: 1, n: 0 and writeErrors. */
    assert_write(from_json("{\"ok\": 1, \"n\": 0, \"writeErrors\": [{\"code\": 189}]}"),
                 "not_primary");
    assert_write(from_json("{\"ok\": 1, \"n\": 0}"), "write_error");
    assert_write(from_json("{\"ok\": 0, \"code\": 13}"), "auth");
    assert_write(from_json("{}"), "write_error");
}

static void writes_are_counted(void **state) {
    static const struct {
        const char *json;
        bool known;
        uint64_t count;
    } rows[] = {
        {"{\"opcounters\": {\"insert\": 5, \"query\": 9, \"update\": 2.0, \"delete\":"
         " {\"$numberLong\": \"4294967296\"}, \"command\": 70}}",
         true, UINT64_C(4294967303)},
        {"{\"opcounters\": {\"insert\": 0, \"update\": 0, \"delete\": 0}}", true, 0},
        {"{\"opcounters\": {\"insert\": 5, \"update\": 2}}", false, 0},
        {"{\"opcounters\": {\"insert\": 5, \"delete\": 2}}", false, 0},
        {"{\"opcounters\": {\"update\": 5, \"delete\": 2}}", false, 0},
        {"{\"opcounters\": {\"insert\": -5, \"update\": 2, \"delete\": 1}}", false, 0},
        {"{\"ok\": 1}", false, 0},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        uint64_t count = 77;
        bson_t *reply = from_json(rows[i].json);
        assert_int_equal(mongo_read_writes(reply, &count), rows[i].known);
        assert_true(count == (rows[i].known ? rows[i].count : 77));
        bson_destroy(reply);
    }
}

int main(int count, char **arguments) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_a_member_is),
        cmocka_unit_test(what_a_member_knows),
        cmocka_unit_test(how_a_set_is_configured),
        cmocka_unit_test(newer_servers),
        cmocka_unit_test(the_end_of_an_oplog),
        cmocka_unit_test(what_makes_no_sense_is_unknown),
        cmocka_unit_test(the_limit_of_members_holds),
        cmocka_unit_test(only_a_majority_counts_as_written),
        cmocka_unit_test(writes_are_counted),
    };
    if (count != 2) {
        return EXIT_FAILURE;
    }
    recorded_path = arguments[1];
    return cmocka_run_group_tests_name("mongo reply", tests, NULL, NULL);
}
