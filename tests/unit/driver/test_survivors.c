/* The config that is forced upon the survivors, the members that it left out coming back without a
 * vote, and the vote that they get back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "driver/mongo.h"
#include "mongo_config.h"

/* Two in the east, of which one is hidden, two in the west, an arbiter in the eu. */
#define CONFIG                                                                                     \
    "{\"_id\":\"rs0\",\"version\":3,\"members\":["                                                 \
    "{\"_id\":0,\"host\":\"e1:1\",\"tags\":{\"region\":\"east\",\"rack\":\"r0\"},"                 \
    "\"priority\":2,\"votes\":1},"                                                                 \
    "{\"_id\":1,\"host\":\"e2:1\",\"tags\":{\"region\":\"east\",\"rack\":\"r1\"},"                 \
    "\"priority\":0,\"votes\":0,\"hidden\":true},"                                                 \
    "{\"_id\":2,\"host\":\"w1:1\",\"tags\":{\"region\":\"west\",\"rack\":\"r2\"}},"                \
    "{\"_id\":3,\"host\":\"w2:1\",\"tags\":{\"region\":\"west\",\"rack\":\"r3\"},"                 \
    "\"priority\":0.5},"                                                                           \
    "{\"_id\":4,\"host\":\"x1:1\",\"arbiterOnly\":true,\"priority\":0}]}"

static const struct mongo_hosts dead = {.count = 3, .hosts = {"e1:1", "e2:1", "x1:1"}};

static struct driver_blob state_of(const char *json) {
    struct driver_reading reading;
    struct error error;
    bson_error_t broken;
    bson_t *config = bson_new_from_json((const uint8_t *)json, -1, &broken);
    if (config == NULL) {
        fail_msg("%s", broken.message);
    }
    assert_int_equal(mongo_config_split(config, &reading, &error), ERROR_OK);
    bson_destroy(config);
    return reading.state;
}

static const char *text_of(const struct driver_blob *state) {
    static char text[4096];
    bson_t config;
    size_t length;
    assert_true(bson_init_static(&config, state->bytes, state->size_bytes));
    char *json = bson_as_relaxed_extended_json(&config, &length);
    assert_non_null(json);
    assert_true(length < sizeof text);
    memcpy(text, json, length + 1);
    bson_free(json);
    return text;
}

#define assert_has(state, part) assert_non_null(strstr(text_of(state), part))
#define assert_lacks(state, part) assert_null(strstr(text_of(state), part))

static void force(const struct driver_blob *from, struct driver_blob *ret, char diff[256]) {
    struct error error;
    assert_int_equal(mongo_config_force(from, &dead, "region", "west", ret, diff, 256, &error),
                     ERROR_OK);
}

static void test_survivors_only(void **state) {
    (void)state;
    const struct driver_blob before = state_of(CONFIG);
    struct driver_blob forced;
    char diff[256];
    force(&before, &forced, diff);
    assert_string_equal(diff, "e1:1 out, e2:1 out, x1:1 out, w1:1 1 -> 11, w2:1 0.5 -> 10");
    assert_lacks(&forced, "e1:1");
    assert_lacks(&forced, "x1:1");
    assert_has(&forced, "\"members\" : [ { \"_id\" : 2, \"host\" : \"w1:1\", \"tags\" : { "
                        "\"region\" : \"west\", \"rack\" : \"r2\" }, \"priority\" : 11.0 }");
    assert_int_equal(mongo_config_version(&forced), 3);
    /* Arrays count from 0 again: another reader may go by the keys. */
    bson_t config;
    bson_iter_t iter;
    bson_iter_t at;
    assert_true(bson_init_static(&config, forced.bytes, forced.size_bytes));
    assert_true(bson_iter_init(&iter, &config) &&
                bson_iter_find_descendant(&iter, "members.1.host", &at));
    assert_string_equal(bson_iter_utf8(&at, NULL), "w2:1");
}

/* A forced config that was sent may have become 110,000 more than was asked for, wherever it
 * landed: the next one is above that. */
static void test_the_next_one_is_above_it(void **state) {
    (void)state;
    const struct driver_blob before = state_of(CONFIG); /* version 3 */
    struct driver_target target = {.forced_version = 0};
    assert_int_equal(mongo_driver_forced_version(&target, &before), 4);
    target.forced_version = 4;
    assert_int_equal(mongo_driver_forced_version(&target, &before), 110005);
    target.forced_version = 110005;
    assert_int_equal(mongo_driver_forced_version(&target, &before), 220006);
}

static void test_nobody_left_in_the_region(void **state) {
    (void)state;
    const struct driver_blob before = state_of(CONFIG);
    struct driver_blob forced;
    struct error error;
    char diff[256];
    const struct mongo_hosts west = {.count = 2, .hosts = {"w1:1", "w2:1"}};
    assert_int_equal(
        mongo_config_force(&before, &west, "region", "west", &forced, diff, sizeof diff, &error),
        ERROR_NOT_FOUND);
}

static void leave_out(const struct driver_blob *from, struct left_out list[MONGO_MEMBER_MAX]) {
    struct error error;
    uint32_t count;
    assert_int_equal(mongo_config_left_out(from, &dead, list, &count, &error), ERROR_OK);
}

static enum error_code readmit(const struct driver_blob *from, const char *host,
                               const struct left_out *left_out, struct driver_blob *ret,
                               char diff[256]) {
    static const struct left_out none;
    struct error error;
    return mongo_config_readmit(from, host, left_out == NULL ? &none : left_out, "region", "west",
                                ret, diff, 256, &error);
}

static void test_back_in_two_steps(void **state) {
    (void)state;
    const struct driver_blob before = state_of(CONFIG);
    struct left_out list[MONGO_MEMBER_MAX];
    struct driver_blob forced;
    struct driver_blob in;
    struct driver_blob back;
    struct driver_blob again;
    char diff[256];
    force(&before, &forced, diff);
    leave_out(&before, list);
    assert_string_equal(list[0].host, "e1:1");
    assert_int_equal(readmit(&forced, "e1:1", &list[0], &in, diff), ERROR_OK);
    assert_string_equal(diff, "e1:1 in without a vote");
    /* Behind the survivors, with its other tags, and with what it had. */
    assert_has(&in, "\"priority\" : 10.0 }, { \"_id\" : 0, \"host\" : \"e1:1\", \"tags\" : { "
                    "\"region\" : \"east\", \"rack\" : \"r0\", \"noctua_was\" : \"1/2\" }, "
                    "\"priority\" : 0, \"votes\" : 0 }");
    assert_int_equal(readmit(&in, "e1:1", NULL, &back, diff), ERROR_OK);
    /* The region that serves still comes first. */
    assert_string_equal(diff, "e1:1 has its vote back, e1:1 2 -> 1");
    assert_has(&back, "\"host\" : \"e1:1\", \"tags\" : { \"region\" : \"east\", \"rack\" : "
                      "\"r0\" }, \"priority\" : 1, \"votes\" : 1 }");
    assert_int_equal(readmit(&back, "e1:1", NULL, &again, diff), ERROR_NOT_FOUND);
    /* Who decided didn't know that it is in: it gets no vote by mistake. */
    assert_int_equal(readmit(&in, "e1:1", &list[0], &again, diff), ERROR_CONFLICT);
    assert_int_equal(readmit(&forced, "e1:1", NULL, &again, diff), ERROR_NOT_FOUND);
    assert_int_equal(readmit(&forced, "e9:1", NULL, &again, diff), ERROR_NOT_FOUND);
}

/* One that had neither vote nor priority is as it was, and through with it; an arbiter can't be
 * without a vote. */
static void test_back_in_one_step(void **state) {
    (void)state;
    const struct driver_blob before = state_of(CONFIG);
    struct left_out list[MONGO_MEMBER_MAX];
    struct driver_blob forced;
    struct driver_blob in;
    char diff[256];
    force(&before, &forced, diff);
    leave_out(&before, list);
    assert_int_equal(readmit(&forced, "e2:1", &list[1], &in, diff), ERROR_OK);
    assert_has(&in, "\"host\" : \"e2:1\", \"tags\" : { \"region\" : \"east\", \"rack\" : \"r1\" "
                    "}, \"priority\" : 0, \"votes\" : 0, \"hidden\" : true }");
    assert_int_equal(readmit(&forced, "x1:1", &list[2], &in, diff), ERROR_OK);
    assert_string_equal(diff, "x1:1 in");
    assert_has(&in,
               "{ \"_id\" : 4, \"host\" : \"x1:1\", \"arbiterOnly\" : true, \"priority\" : 0 }");
}

/* Left out again before it had its vote back: what it had first is what counts. */
static void test_left_out_twice(void **state) {
    (void)state;
    const struct driver_blob before = state_of(CONFIG);
    struct left_out list[MONGO_MEMBER_MAX];
    struct driver_blob forced;
    struct driver_blob in;
    struct driver_blob forced_again;
    char diff[256];
    force(&before, &forced, diff);
    leave_out(&before, list);
    assert_int_equal(readmit(&forced, "e1:1", &list[0], &in, diff), ERROR_OK);
    force(&in, &forced_again, diff);
    assert_lacks(&forced_again, "e1:1");
    leave_out(&in, list);
    assert_int_equal(readmit(&forced_again, "e1:1", &list[0], &in, diff), ERROR_OK);
    assert_has(&in, "\"noctua_was\" : \"1/2\"");
    assert_lacks(&in, "0/0");
}

static void test_what_is_kept_of_it(void **state) {
    (void)state;
    struct left_out list[MONGO_MEMBER_MAX];
    struct driver_blob in;
    struct error error;
    uint32_t count;
    char json[4096];
    char diff[256];
    (void)snprintf(json, sizeof json,
                   "{\"version\":1,\"members\":[{\"host\":\"e1:1\",\"x\":\"%01024d\"}]}", 0);
    const struct driver_blob large = state_of(json);
    assert_int_equal(mongo_config_left_out(&large, &dead, list, &count, &error), ERROR_LIMIT);
    const struct driver_blob from = state_of(CONFIG);
    const struct left_out rubbish = {.host = "z:1", .size_bytes = 3, .document = {1, 2, 3}};
    assert_int_equal(readmit(&from, "z:1", &rubbish, &in, diff), ERROR_NOT_FOUND);
}

static void test_what_the_tag_may_say(void **state) {
    (void)state;
    static const struct {
        const char *was;
        enum error_code error;
    } rows[] = {{"1/2", ERROR_OK},         {"1/0.5", ERROR_OK},         {"0/0", ERROR_OK},
                {"", ERROR_NOT_FOUND},     {"1", ERROR_NOT_FOUND},      {"1/", ERROR_NOT_FOUND},
                {"2/1", ERROR_NOT_FOUND},  {"1/-1", ERROR_NOT_FOUND},   {"1/x", ERROR_NOT_FOUND},
                {"1/2x", ERROR_NOT_FOUND}, {"1/1001", ERROR_NOT_FOUND}, {"-1/1", ERROR_NOT_FOUND},
                {"1/nan", ERROR_NOT_FOUND}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char json[512];
        char diff[256];
        struct driver_blob ret;
        (void)snprintf(json, sizeof json,
                       "{\"version\":1,\"members\":[{\"host\":\"w:1\",\"tags\":{\"region\":"
                       "\"west\"}},{\"host\":\"e:1\",\"priority\":0,\"votes\":0,\"tags\":{"
                       "\"noctua_was\":\"%s\"}}]}",
                       rows[i].was);
        const struct driver_blob from = state_of(json);
        assert_int_equal(readmit(&from, "e:1", NULL, &ret, diff), rows[i].error);
    }
}

static void test_what_is_no_config(void **state) {
    (void)state;
    const struct driver_blob rubbish = {.size_bytes = 3, .bytes = {1, 2, 3}};
    struct driver_blob ret;
    struct error error;
    char diff[256];
    assert_int_equal(
        mongo_config_force(&rubbish, &dead, "region", "west", &ret, diff, sizeof diff, &error),
        ERROR_CORRUPT);
    struct left_out list[MONGO_MEMBER_MAX];
    uint32_t count;
    assert_int_equal(mongo_config_left_out(&rubbish, &dead, list, &count, &error), ERROR_CORRUPT);
    assert_int_equal(readmit(&rubbish, "e1:1", NULL, &ret, diff), ERROR_CORRUPT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_survivors_only),
        cmocka_unit_test(test_the_next_one_is_above_it),
        cmocka_unit_test(test_nobody_left_in_the_region),
        cmocka_unit_test(test_back_in_two_steps),
        cmocka_unit_test(test_back_in_one_step),
        cmocka_unit_test(test_left_out_twice),
        cmocka_unit_test(test_what_is_kept_of_it),
        cmocka_unit_test(test_what_the_tag_may_say),
        cmocka_unit_test(test_what_is_no_config),
    };
    return cmocka_run_group_tests_name("survivors", tests, NULL, NULL);
}
