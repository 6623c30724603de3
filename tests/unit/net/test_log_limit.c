#include "kit.h"

#include <stdio.h>

#include "log_limit.h"

static bool allows(struct log_limit *limit, uint64_t now_ms, const char *text) {
    uint64_t held_back = 0;
    return log_limit_allows(limit, now_ms, text, &held_back);
}

static void test_same_text(void **state) {
    struct log_limit limit = {.held_back = 0};
    uint64_t held_back = 99;
    (void)state;
    assert_true(log_limit_allows(&limit, 1000, "a", &held_back));
    assert_int_equal(held_back, 0);
    for (uint64_t at = 1001; at < 1000 + LOG_LIMIT_REPEAT_MS; at += 1000) {
        assert_false(allows(&limit, at, "a"));
    }
    assert_true(log_limit_allows(&limit, 1000 + LOG_LIMIT_REPEAT_MS, "a", &held_back));
    assert_int_equal(held_back, 60);
}

static void test_new_text_at_once(void **state) {
    struct log_limit limit = {.held_back = 0};
    (void)state;
    assert_true(allows(&limit, 1, "a"));
    assert_true(allows(&limit, 1, "b"));
    /* In turns they are still the same ones. */
    for (unsigned i = 0; i < 100; i++) {
        assert_false(allows(&limit, 2 + i, i % 2 == 0 ? "a" : "b"));
    }
}

/* A text that is new each time is held down, too: lines a minute have a bound. */
static void test_ever_new_texts(void **state) {
    struct log_limit limit = {.held_back = 0};
    unsigned lines = 0;
    (void)state;
    for (uint64_t at = 1; at < 60000; at++) {
        char text[32];
        (void)snprintf(text, sizeof text, "%u", (unsigned)at);
        lines += allows(&limit, at, text);
    }
    assert_int_equal(lines, 60000 / LOG_LIMIT_WINDOW_MS * LOG_LIMIT_WINDOW_LINES);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_text),
        cmocka_unit_test(test_new_text_at_once),
        cmocka_unit_test(test_ever_new_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
