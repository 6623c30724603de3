/* The config of a replica set, read and written again: the fence, the version, who comes first, and
 * that all else stays byte for byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config_rewrite.h"

#define FENCE "prod/nocturnal/5.1/0"

/* As 4.4 tells it, with a field that isn't known here, an arbiter, and a fence where %s is. */
#define CONFIG                                                                                     \
    "{\"_id\":\"rs0\",\"version\":3,\"term\":{\"$numberLong\":\"7\"},\"futureField\":{\"a\":[1]}," \
    "\"members\":["                                                                                \
    "{\"_id\":0,\"host\":\"e1:1\",\"arbiterOnly\":false,\"priority\":2.5,"                         \
    "\"tags\":{\"region\":\"east\"%s},\"votes\":1},"                                               \
    "{\"_id\":1,\"host\":\"w1:1\",\"arbiterOnly\":false,\"priority\":1.0,"                         \
    "\"tags\":{\"region\":\"west\"%s},\"votes\":1},"                                               \
    "{\"_id\":2,\"host\":\"w2:1\",\"arbiterOnly\":false,\"priority\":{\"$numberInt\":\"0\"},"      \
    "\"tags\":{\"region\":\"west\"%s},\"votes\":1},"                                               \
    "{\"_id\":3,\"host\":\"x1:1\",\"arbiterOnly\":true,\"priority\":0.0,\"tags\":{},\"votes\":1}]" \
    ","                                                                                            \
    "\"settings\":{\"electionTimeoutMillis\":10000}}"

static bson_t *config_with(const char *first, const char *second, const char *third) {
    char text[4096];
    bson_error_t error;
    (void)snprintf(text, sizeof text, CONFIG, first, second, third);
    bson_t *config = bson_new_from_json((const uint8_t *)text, -1, &error);
    if (config == NULL) {
        fail_msg("%s", error.message);
    }
    return config;
}

static bson_t *fenced(void) {
    return config_with(",\"noctua\":\"" FENCE "\"", ",\"noctua\":\"" FENCE "\"",
                       ",\"noctua\":\"" FENCE "\"");
}

static void split(bson_t *config, struct driver_reading *ret) {
    struct error error;
    memset(ret, 0, sizeof *ret);
    assert_int_equal(mongo_config_split(config, ret, &error), ERROR_OK);
    bson_destroy(config);
}

static char *text_of(const bson_t *config) {
    size_t length;
    char *text = bson_as_relaxed_extended_json(config, &length);
    assert_non_null(text);
    return text;
}

static void test_the_fence_is_apart(void **state) {
    (void)state;
    struct driver_reading with;
    struct driver_reading without;
    split(fenced(), &with);
    split(config_with("", "", ""), &without);
    assert_true(with.fence_present);
    assert_string_equal(with.fence, FENCE);
    assert_false(without.fence_present);
    assert_int_equal(mongo_config_version(&with.state), 3);
    /* The same config but for the fence: the same state. */
    assert_int_equal(with.state.size_bytes, without.state.size_bytes);
    assert_memory_equal(with.state.bytes, without.state.bytes, with.state.size_bytes);
}

/* `term` is the servers' own: another one is no other config. */
static void test_the_term_is_no_part_of_it(void **state) {
    (void)state;
    struct driver_reading before;
    struct driver_reading after;
    split(fenced(), &before);
    bson_t *config = fenced();
    bson_iter_t iter;
    assert_true(bson_iter_init_find(&iter, config, "term"));
    bson_iter_overwrite_int64(&iter, 9);
    split(config, &after);
    assert_int_equal(before.state.size_bytes, after.state.size_bytes);
    assert_memory_equal(before.state.bytes, after.state.bytes, after.state.size_bytes);
    config = fenced();
    assert_true(bson_iter_init_find(&iter, config, "version"));
    bson_iter_overwrite_int32(&iter, 4);
    split(config, &after);
    assert_memory_not_equal(before.state.bytes, after.state.bytes, after.state.size_bytes);
}

static void test_written_again(void **state) {
    (void)state;
    struct driver_reading reading;
    struct error error;
    bson_t written;
    split(config_with("", "", ""), &reading);
    assert_int_equal(mongo_config_join(&reading.state, FENCE, 4, &written, &error), ERROR_OK);
    char *text = text_of(&written);
    assert_non_null(strstr(text, "\"version\" : 4"));
    assert_null(strstr(text, "\"term\""));
    assert_non_null(strstr(text, "\"futureField\" : { \"a\" : [ 1 ] }"));
    assert_non_null(strstr(text, "{ \"region\" : \"east\", \"noctua\" : \"" FENCE "\" }"));
    assert_non_null(strstr(text, "\"tags\" : {  }")); /* the arbiter's */
    bson_free(text);
    /* Read back it is the same state, one version on, with the fence. */
    struct driver_reading back;
    split(bson_copy(&written), &back);
    assert_string_equal(back.fence, FENCE);
    assert_int_equal(mongo_config_version(&back.state), 4);
    bson_destroy(&written);
    assert_int_equal(mongo_config_join(&back.state, NULL, 5, &written, &error), ERROR_OK);
    text = text_of(&written);
    assert_null(strstr(text, "noctua"));
    bson_free(text);
    bson_destroy(&written);
}

static void test_fences_that_are_none(void **state) {
    (void)state;
    static const struct {
        const char *first, *second;
        enum error_code code;
    } rows[] = {
        {",\"noctua\":\"prod/a/5.1/0\"", ",\"noctua\":\"prod/a/5.2/0\"", ERROR_CONFLICT},
        {",\"noctua\":\"a b\"", "", ERROR_CONFLICT},
        {",\"noctua\":\"" FENCE "\"", "", ERROR_OK}, /* a member was added since */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct driver_reading reading;
        struct error error;
        bson_t *config = config_with(rows[i].first, rows[i].second, "");
        assert_int_equal(mongo_config_split(config, &reading, &error), rows[i].code);
        bson_destroy(config);
    }
}

static void test_what_is_no_config(void **state) {
    (void)state;
    static const char *const texts[] = {"{}", "{\"version\":3}", "{\"version\":3,\"members\":{}}",
                                        "{\"version\":0,\"members\":[]}", "{\"members\":[1]}",
                                        /* found by the fuzzer: an array that names a host */
                                        "{\"version\":3,\"members\":[[\"a\"]]}"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct driver_reading reading;
        struct error error;
        bson_t *config = bson_new_from_json((const uint8_t *)texts[i], -1, NULL);
        assert_int_equal(mongo_config_split(config, &reading, &error), ERROR_CORRUPT);
        bson_destroy(config);
    }
    struct driver_blob rubbish = {.size_bytes = 3, .bytes = {1, 2, 3}};
    struct driver_blob ret;
    struct error error;
    char diff[64];
    bson_t written;
    assert_int_equal(mongo_config_version(&rubbish), 0);
    assert_int_equal(mongo_config_join(&rubbish, FENCE, 4, &written, &error), ERROR_CORRUPT);
    bson_destroy(&written);
    assert_int_equal(
        mongo_config_prefer(&rubbish, "region", "west", &ret, diff, sizeof diff, &error),
        ERROR_CORRUPT);
}

/* The beginning of a config is another config. */
static void test_what_is_broken_inside(void **state) {
    (void)state;
    struct driver_reading reading;
    struct error error;
    bson_t *config = fenced();
    bson_iter_t iter;
    bson_iter_t found;
    assert_true(bson_iter_init(&iter, config));
    assert_true(bson_iter_find_descendant(&iter, "members.2.votes", &found));
    uint8_t *bytes = (uint8_t *)(uintptr_t)bson_get_data(config);
    bytes[found.raw + found.type - bytes] = 0x7e; /* no type at all */
    assert_int_equal(mongo_config_split(config, &reading, &error), ERROR_CORRUPT);
    bson_destroy(config);
}

static void test_too_large(void **state) {
    (void)state;
    struct driver_reading reading;
    struct error error;
    bson_t *config = fenced();
    char *text = malloc(DRIVER_STATE_MAX);
    memset(text, 'x', DRIVER_STATE_MAX - 1);
    text[DRIVER_STATE_MAX - 1] = '\0';
    BSON_APPEND_UTF8(config, "more", text);
    free(text);
    assert_int_equal(mongo_config_split(config, &reading, &error), ERROR_LIMIT);
    bson_destroy(config);
}

static void test_who_comes_first(void **state) {
    (void)state;
    struct driver_reading reading;
    struct driver_blob preferred;
    struct driver_blob again;
    struct error error;
    char diff[256];
    split(fenced(), &reading);
    assert_int_equal(mongo_config_prefer(&reading.state, "region", "west", &preferred, diff,
                                         sizeof diff, &error),
                     ERROR_OK);
    assert_string_equal(diff, "e1:1 2.5 -> 1, w1:1 1 -> 10");
    assert_int_equal(
        mongo_config_prefer(&preferred, "region", "west", &again, diff, sizeof diff, &error),
        ERROR_OK);
    assert_string_equal(diff, "");
    assert_int_equal(again.size_bytes, preferred.size_bytes);
    assert_memory_equal(again.bytes, preferred.bytes, again.size_bytes);
    /* Back again, each in the place that it had. */
    assert_int_equal(
        mongo_config_prefer(&preferred, "region", "east", &again, diff, sizeof diff, &error),
        ERROR_OK);
    assert_string_equal(diff, "e1:1 1 -> 10, w1:1 10 -> 1");
    assert_int_equal(
        mongo_config_prefer(&preferred, "region", "north", &again, diff, sizeof diff, &error),
        ERROR_NOT_FOUND);
    assert_int_equal(mongo_config_version(&preferred), 3);
}

/* Order within each group stays; equal ones stay equal. */
static void test_ranks(void **state) {
    (void)state;
    struct driver_reading reading;
    struct driver_blob preferred;
    struct error error;
    char diff[256];
    bson_t *config = bson_new_from_json(
        (const uint8_t *)"{\"version\":1,\"members\":["
                         "{\"host\":\"a\",\"priority\":5,\"tags\":{\"region\":\"east\"}},"
                         "{\"host\":\"b\",\"priority\":3,\"tags\":{\"region\":\"east\"}},"
                         "{\"host\":\"c\",\"tags\":{\"region\":\"west\"}},"
                         "{\"host\":\"d\",\"priority\":7,\"tags\":{\"region\":\"west\"}},"
                         "{\"host\":\"e\",\"priority\":3}]}",
        -1, NULL);
    split(config, &reading);
    assert_int_equal(mongo_config_prefer(&reading.state, "region", "west", &preferred, diff,
                                         sizeof diff, &error),
                     ERROR_OK);
    assert_string_equal(diff, "a 5 -> 2, b 3 -> 1, c 1 -> 10, d 7 -> 11, e 3 -> 1");
}

/* What no server lets in: as if it weren't there, for this reader as for the watcher's. */
static void test_fields_that_make_no_sense(void **state) {
    (void)state;
    struct driver_reading reading;
    struct driver_blob preferred;
    struct error error;
    char diff[256];
    bson_t written;
    bson_t *config = bson_new_from_json(
        (const uint8_t *)"{\"version\":1,\"members\":["
                         "{\"host\":\"a\",\"priority\":\"none\",\"tags\":{\"region\":\"west\"}},"
                         "{\"host\":\"b\",\"priority\":{\"$numberDouble\":\"NaN\"},\"tags\":{}},"
                         "{\"host\":\"c\",\"arbiterOnly\":\"no\",\"tags\":{}},"
                         "{\"host\":\"d\",\"tags\":{\"region\":\"west\\u0000st\"}},"
                         "{\"host\":\"e\",\"arbiterOnly\":true,\"priority\":0,"
                         "\"tags\":{\"noctua\":\"prod/other/1.1/0\"}}]}",
        -1, NULL);
    split(config, &reading);
    assert_false(reading.fence_present); /* an arbiter's is none */
    assert_int_equal(mongo_config_prefer(&reading.state, "region", "west", &preferred, diff,
                                         sizeof diff, &error),
                     ERROR_OK);
    assert_string_equal(diff, "a 1 -> 10");
    assert_int_equal(mongo_config_join(&preferred, FENCE, 2, &written, &error), ERROR_OK);
    split(bson_copy(&written), &reading);
    assert_string_equal(reading.fence, FENCE);
    char *text = text_of(&written);
    assert_non_null(strstr(text, "\"arbiterOnly\" : \"no\", \"tags\" : { \"noctua\""));
    bson_free(text);
    bson_destroy(&written);
}

static void test_votes(void **state) {
    (void)state;
    static const struct {
        const char *member;
        int32_t votes;
    } rows[] = {{"{\"votes\":0}", 0},          {"{\"votes\":0.0}", 0},
                {"{\"votes\":1}", 1},          {"{}", 1},
                {"{\"votes\":4294967296}", 1}, {"{\"votes\":1e30}", 1},
                {"{\"votes\":-1}", 1},         {"{\"votes\":\"0\"}", 1}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bson_t *member = bson_new_from_json((const uint8_t *)rows[i].member, -1, NULL);
        assert_int_equal(config_votes(member), rows[i].votes);
        bson_destroy(member);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_fence_is_apart),
        cmocka_unit_test(test_the_term_is_no_part_of_it),
        cmocka_unit_test(test_written_again),
        cmocka_unit_test(test_fences_that_are_none),
        cmocka_unit_test(test_what_is_no_config),
        cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_who_comes_first),
        cmocka_unit_test(test_ranks),
        cmocka_unit_test(test_what_is_broken_inside),
        cmocka_unit_test(test_fields_that_make_no_sense),
        cmocka_unit_test(test_votes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
