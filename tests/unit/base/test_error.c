/* Errors as values: codes, sentences, and what happens to sentences that are too long. */
#include "base_test.h"

#include "base/error.h"

static void test_set_fills_and_returns(void **state) {
    struct error error = {ERROR_OK, ""};
    (void)state;
    assert_int_equal(error_set(&error, ERROR_LIMIT, "%d is over %s", 9, "8"), ERROR_LIMIT);
    assert_int_equal(error.code, ERROR_LIMIT);
    assert_string_equal(error.message, "9 is over 8");
    assert_int_equal(error_set(NULL, ERROR_TIMEOUT, "nobody wants it"), ERROR_TIMEOUT);
}

static void test_a_long_message_is_cut(void **state) {
    struct error error;
    char words[2 * ERROR_MESSAGE_MAX];
    (void)state;
    memset(words, 'x', sizeof words - 1);
    words[sizeof words - 1] = '\0';
    (void)error_set(&error, ERROR_IO, "%s", words);
    assert_int_equal(strlen(error.message), ERROR_MESSAGE_MAX - 1);
    assert_memory_equal(error.message, words, ERROR_MESSAGE_MAX - 1);
}

static void test_prefix_goes_in_front(void **state) {
    struct error error;
    (void)state;
    (void)error_set(&error, ERROR_NOT_FOUND, "no such file");
    assert_int_equal(error_prefix(&error, "line %d", 7), ERROR_NOT_FOUND);
    assert_string_equal(error.message, "line 7: no such file");
    assert_int_equal(error_prefix(&error, "spec"), ERROR_NOT_FOUND);
    assert_string_equal(error.message, "spec: line 7: no such file");
    assert_int_equal(error_prefix(NULL, "spec"), ERROR_INTERNAL);
}

static void test_prefix_and_message_share_the_room(void **state) {
    (void)state;
    /* Around the end of the array: the words in front stay, what is behind them is cut. */
    for (size_t length = ERROR_MESSAGE_MAX - 5; length < ERROR_MESSAGE_MAX + 5; length++) {
        struct error error;
        char words[2 * ERROR_MESSAGE_MAX];
        char expected[4 * ERROR_MESSAGE_MAX];
        memset(words, 'p', length);
        words[length] = '\0';
        (void)error_set(&error, ERROR_IO, "tail");
        (void)error_prefix(&error, "%s", words);
        (void)snprintf(expected, sizeof expected, "%s: tail", words);
        expected[ERROR_MESSAGE_MAX - 1] = '\0';
        assert_string_equal(error.message, expected);
    }
}

static void test_every_code_has_its_words(void **state) {
    (void)state;
    for (unsigned code = 0; code < ERROR_CODE_COUNT; code++) {
        assert_string_not_equal(error_text(code), "");
        for (unsigned other = 0; other < code; other++) {
            assert_string_not_equal(error_text(code), error_text(other));
        }
    }
    assert_string_equal(error_text(ERROR_CODE_COUNT), "unknown error");
    assert_true(error_retryable(ERROR_TIMEOUT));
    assert_true(error_retryable(ERROR_NOT_LEADER));
    assert_true(error_retryable(ERROR_UNKNOWN));
    assert_false(error_retryable(ERROR_DENIED));
    assert_false(error_retryable(ERROR_CODE_COUNT));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set_fills_and_returns),
        cmocka_unit_test(test_a_long_message_is_cut),
        cmocka_unit_test(test_prefix_goes_in_front),
        cmocka_unit_test(test_prefix_and_message_share_the_room),
        cmocka_unit_test(test_every_code_has_its_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
