/* What history says a move might lose of its replica set's writes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/documents.h"
#include "base/text.h"
#include "scene.h"

enum { LEADER_PLACE = 1 };

static struct group group;
static json_t *document;

static int set_up(void **state) {
    (void)state;
    group_open_adopted(&group);
    document = NULL;
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    json_decref(document);
    group_close(&group);
    return 0;
}

/* Of the newest row; NULL: the key is missing. */
static const json_t *field(const char *key) {
    struct api_facts facts;
    const struct history_query query = {.limit = 1};
    scene_facts(&group, LEADER_PLACE, &facts);
    json_decref(document);
    document = document_history(&facts, &query);
    return json_object_get(json_array_get(json_object_get(document, "moves"), 0), key);
}

static struct move *newest(void) {
    return &group.state->moves[(group.state->move_count - 1) % MOVE_MAX];
}

static const char *lost(enum mongo_case set_case, uint64_t lost_ms, uint64_t lost_writes) {
    newest()->set_case = set_case;
    newest()->lost_ms = lost_ms;
    newest()->lost_writes = lost_writes;
    const json_t *text = field("lost");
    assert_non_null(text);
    return json_is_null(text) ? "null" : json_string_value(text);
}

static void test_words(void **state) {
    (void)state;
    assert_string_equal(lost(MONGO_CASE_NONE, 0, 0), "null");
    assert_string_equal(lost(MONGO_CASE_NOBODY, 0, 0), "null");
    assert_string_equal(lost(MONGO_CASE_THERE, 0, 0), "0");
    assert_string_equal(lost(MONGO_CASE_HANDOVER, 0, 0), "0");
    assert_string_equal(lost(MONGO_CASE_ELECTION, 0, 0), "0");
    assert_string_equal(lost(MONGO_CASE_FORCED, 4200, 550), "~4.2s, ~550 writes");
    assert_string_equal(lost(MONGO_CASE_FORCED, 4201, 549), "~4.3s, ~549 writes"); /* never less */
    assert_string_equal(lost(MONGO_CASE_FORCED, 20, 1), "~20ms, ~1 write");
    assert_string_equal(lost(MONGO_CASE_FORCED, 94000, UINT64_MAX), "~94s");
    /* What came after what is known, nobody knows: no promise, as 0 is one. */
    assert_string_equal(lost(MONGO_CASE_FORCED, 0, 0), "none known");
    assert_string_equal(lost(MONGO_CASE_FORCED, 0, UINT64_MAX), "none known");
    assert_string_equal(lost(MONGO_CASE_FORCED, UINT64_MAX, UINT64_MAX), "?");
}

static void expect_number(const char *key, int64_t value) {
    const json_t *number = field(key);
    assert_non_null(number);
    if (value < 0) {
        assert_true(json_is_null(number));
    } else {
        assert_true(json_is_integer(number));
        assert_int_equal(json_integer_value(number), value);
    }
}

static void test_figures(void **state) {
    (void)state;
    static const struct {
        enum mongo_case set_case;
        uint64_t ms, writes;
        const char *word;             /* NULL: null */
        int64_t told_ms, told_writes; /* -1: null */
    } rows[] = {
        {MONGO_CASE_NONE, 0, 0, NULL, -1, -1},
        {MONGO_CASE_NOBODY, 0, 0, NULL, -1, -1},
        {MONGO_CASE_THERE, 0, 0, "there", 0, 0},
        {MONGO_CASE_HANDOVER, 0, 0, "handover", 0, 0},
        {MONGO_CASE_ELECTION, 0, 0, "election", 0, 0},
        {MONGO_CASE_FORCED, 4201, 550, "forced", 4201, 550},
        {MONGO_CASE_FORCED, 4201, UINT64_MAX, "forced", 4201, -1},
        {MONGO_CASE_FORCED, UINT64_MAX, UINT64_MAX, "forced", -1, -1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        (void)lost(rows[i].set_case, rows[i].ms, rows[i].writes);
        const json_t *word = field("case");
        assert_non_null(word);
        if (rows[i].word == NULL) {
            assert_true(json_is_null(word));
        } else {
            assert_string_equal(json_string_value(word), rows[i].word);
        }
        expect_number("lost_ms", rows[i].told_ms);
        expect_number("lost_writes", rows[i].told_writes);
    }
}

/* From the decision to the document. */
static void test_a_move(void **state) {
    (void)state;
    static struct mongo_facts set;
    assert_true(json_is_null(field("lost"))); /* an adoption */
    group_add_set(&group);
    set = mongo_example();
    group.mongo = &set;
    group_report(&group, EVERYBODY, all_up);
    group.input.now_ms = group.now_ms;
    assert_int_equal(group_move(&group, "us-west-2", EXECUTION_SWITCHOVER, 0), CORE_OK);
    group_carry_out(&group);
    assert_true(json_is_string(field("lost")));
    assert_string_equal(json_string_value(field("lost")), "0");
    assert_string_equal(json_string_value(field("case")), "handover");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(test_words),
        CASE(test_figures),
        CASE(test_a_move),
    };
    return cmocka_run_group_tests_name("history", tests, NULL, NULL);
}
