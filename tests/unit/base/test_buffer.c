/* Growing runs of bytes: limits that hold, failures that are remembered, memory that is handed on.
 */
#include "base_test.h"

#include "base/buffer.h"

static void test_appends_add_up(void **state) {
    struct buffer buffer;
    (void)state;
    buffer_init(&buffer, 0);
    assert_true(buffer_append(&buffer, "a\0b", 3));
    assert_true(buffer_append_text(&buffer, "cd"));
    assert_true(buffer_append_format(&buffer, "%d-%s", 42, "x"));
    assert_int_equal(buffer.size_bytes, 9);
    assert_memory_equal(buffer.data, "a\0bcd42-x", 10); /* with its NUL */
    buffer_finish(&buffer);
    assert_null(buffer.data);
}

static void test_nothing_is_a_text_too(void **state) {
    struct buffer buffer;
    (void)state;
    buffer_init(&buffer, 0);
    assert_true(buffer_append(&buffer, NULL, 0));
    assert_string_equal(buffer.data, "");
    assert_true(buffer_append_format(&buffer, "%s", ""));
    assert_int_equal(buffer.size_bytes, 0);
    buffer_consume(&buffer, 0);
    buffer_finish(&buffer);
}

static void test_it_grows_as_far_as_its_limit(void **state) {
    enum { LIMIT = 10000 };
    struct buffer buffer;
    (void)state;
    buffer_init(&buffer, LIMIT);
    for (int i = 0; i < LIMIT; i++) {
        assert_true(buffer_append(&buffer, "x", 1));
    }
    assert_int_equal(buffer.size_bytes, LIMIT);
    assert_false(buffer_append(&buffer, "x", 1));
    assert_true(buffer.failed);
    assert_int_equal(buffer.size_bytes, LIMIT);
    assert_int_equal(strlen(buffer.data), LIMIT);
    buffer_finish(&buffer);
}

static void test_formats_fill_the_room_that_is_left(void **state) {
    char expected[600];
    (void)state;
    for (int length = 240; length < 270; length++) { /* a buffer's first room is 256 bytes */
        struct buffer buffer;
        buffer_init(&buffer, 0);
        assert_true(buffer_append_format(&buffer, "%d,", length));
        assert_true(buffer_append_format(&buffer, "%*d.", length, 7));
        (void)snprintf(expected, sizeof expected, "%d,%*d.", length, length, 7);
        assert_string_equal(buffer.data, expected);
        assert_int_equal(buffer.size_bytes, strlen(expected));
        buffer_finish(&buffer);
    }
}

static void test_room_is_written_by_the_caller(void **state) {
    struct buffer buffer;
    (void)state;
    buffer_init(&buffer, 6);
    assert_true(buffer_append_text(&buffer, "ab"));
    char *room = buffer_append_room(&buffer, 3);
    assert_non_null(room);
    memset(room, 'c', 3);
    assert_string_equal(buffer.data, "abccc");
    assert_int_equal(buffer.size_bytes, 5);
    assert_null(buffer_append_room(&buffer, 2));
    assert_true(buffer.failed);
    assert_string_equal(buffer.data, "abccc");
    buffer_finish(&buffer);
}

static void test_a_failure_is_remembered(void **state) {
    struct buffer buffer;
    (void)state;
    buffer_init(&buffer, 4);
    assert_true(buffer_append_text(&buffer, "abc"));
    assert_false(buffer_append_text(&buffer, "de"));
    /* What would fit is not taken any more: there is a hole before it. */
    assert_false(buffer_append_text(&buffer, "d"));
    assert_false(buffer_append_format(&buffer, "%c", 'd'));
    assert_string_equal(buffer.data, "abc");
    buffer_clear(&buffer);
    assert_false(buffer.failed);
    assert_true(buffer_append_text(&buffer, "wxyz"));
    assert_string_equal(buffer.data, "wxyz");
    assert_false(buffer_append_format(&buffer, "%d", 1));
    assert_string_equal(buffer.data, "wxyz");
    buffer_finish(&buffer);
}

static void test_sizes_that_would_overflow_are_refused(void **state) {
    struct buffer buffer;
    (void)state;
    buffer_init(&buffer, 0);
    assert_true(buffer_append_text(&buffer, "abc"));
    assert_false(buffer_append(&buffer, "x", SIZE_MAX));
    assert_true(buffer.failed);
    buffer_clear(&buffer);
    assert_false(buffer_append(&buffer, "x", SIZE_MAX - 2)); /* size + this + NUL is 0 */
    buffer_finish(&buffer);
}

static void test_consume_drops_the_start(void **state) {
    struct buffer buffer;
    (void)state;
    buffer_init(&buffer, 0);
    assert_true(buffer_append_text(&buffer, "hello world"));
    buffer_consume(&buffer, 6);
    assert_string_equal(buffer.data, "world");
    assert_int_equal(buffer.size_bytes, 5);
    buffer_consume(&buffer, 5);
    assert_string_equal(buffer.data, "");
    assert_true(buffer_append_text(&buffer, "again"));
    assert_string_equal(buffer.data, "again");
    buffer_finish(&buffer);
}

static void test_take_hands_the_memory_on(void **state) {
    struct buffer buffer;
    (void)state;
    buffer_init(&buffer, 8);
    assert_null(buffer_take(&buffer));
    assert_true(buffer_append_text(&buffer, "mine"));
    char *text = buffer_take(&buffer);
    assert_string_equal(text, "mine");
    assert_null(buffer.data);
    assert_int_equal(buffer.size_bytes, 0);
    assert_true(buffer_append_text(&buffer, "12345678"));
    assert_false(buffer_append_text(&buffer, "9")); /* the limit stays */
    assert_string_equal(text, "mine");
    free(text);
    buffer_finish(&buffer);
}

static void test_troff(void **state) {
    struct buffer buffer;
    (void)state;
    buffer_init(&buffer, 0);
    assert_true(buffer_append_troff(&buffer, "a-b \\ c\n.TH\n'x'."));
    assert_string_equal(buffer.data, "a\\-b \\e c\n\\&.TH\n\\&'x'.");
    buffer_finish(&buffer);
    buffer_init(&buffer, 3);
    assert_false(buffer_append_troff(&buffer, "too long"));
    buffer_finish(&buffer);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_appends_add_up),
        cmocka_unit_test(test_troff),
        cmocka_unit_test(test_nothing_is_a_text_too),
        cmocka_unit_test(test_it_grows_as_far_as_its_limit),
        cmocka_unit_test(test_formats_fill_the_room_that_is_left),
        cmocka_unit_test(test_room_is_written_by_the_caller),
        cmocka_unit_test(test_a_failure_is_remembered),
        cmocka_unit_test(test_sizes_that_would_overflow_are_refused),
        cmocka_unit_test(test_consume_drops_the_start),
        cmocka_unit_test(test_take_hands_the_memory_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
