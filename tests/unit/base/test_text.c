/* Checks and conversions of text from outside: what is taken, what isn't, and that a result stays
 * untouched when nothing is taken. */
#include "base_test.h"

#define UNTOUCHED UINT64_C(0x5ca1ab1e)

static void test_copy(void **state) {
    char to[4] = "zzz";
    (void)state;
    assert_true(TEXT_COPY(to, "abc"));
    assert_string_equal(to, "abc");
    assert_false(TEXT_COPY(to, "abcd"));
    assert_string_equal(to, "");
    assert_true(TEXT_COPY(to, ""));
}

static void test_equal_and_starts_with(void **state) {
    (void)state;
    assert_true(text_equal("", ""));
    assert_false(text_equal("a", "A"));
    assert_true(text_starts_with("spec apply", "spec"));
    assert_true(text_starts_with("spec", ""));
    assert_false(text_starts_with("spe", "spec"));
}

static void test_names(void **state) {
    static const struct {
        const char *text;
        size_t max;
        bool good;
    } rows[] = {
        {"a", 63, true},         {"n1", 63, true},
        {"us-east-1", 63, true}, {"us-east-1", 9, true},
        {"us-east-1", 8, false}, {"a.b_c-d", 63, true},
        {"0", 1, true},          {"00", 1, false},
        {"", 63, false},         {"-a", 63, false},
        {"a-", 63, false},       {".", 63, false},
        {"..", 63, false},       {"a.", 63, false},
        {"_a", 63, false},       {"A", 63, false},
        {"a b", 63, false},      {"a/b", 63, false},
        {"a\nb", 63, false},     {"caf\xc3\xa9s", 63, false},
        {"a$b", 63, false},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        if (text_is_name(rows[i].text, rows[i].max) != rows[i].good) {
            fail_msg("'%s'", rows[i].text);
        }
    }
}

static void test_utf8(void **state) {
    static const struct {
        const char *bytes;
        size_t size;
        bool good;
    } rows[] = {
#define ROW(text, good) {text, sizeof(text) - 1, good}
        ROW("", true),
        ROW("plain\ttext\n", true),
        ROW("\xc2\xa0", true),          /* U+00A0, the first that is no control character */
        ROW("\xdf\xbf", true),          /* U+07FF */
        ROW("\xe0\xa0\x80", true),      /* U+0800 */
        ROW("\xed\x9f\xbf", true),      /* U+D7FF */
        ROW("\xee\x80\x80", true),      /* U+E000 */
        ROW("\xef\xbf\xbf", true),      /* U+FFFF */
        ROW("\xf0\x90\x80\x80", true),  /* U+10000 */
        ROW("\xf4\x8f\xbf\xbf", true),  /* U+10FFFF */
        ROW("\xc0\x80", false),         /* overlong NUL */
        ROW("\xc1\xbf", false),         /* overlong U+007F */
        ROW("\xe0\x9f\xbf", false),     /* overlong U+07FF */
        ROW("\xf0\x8f\xbf\xbf", false), /* overlong U+FFFF */
        ROW("\xed\xa0\x80", false),     /* U+D800, a surrogate */
        ROW("\xed\xbf\xbf", false),     /* U+DFFF */
        ROW("\xf4\x90\x80\x80", false), /* U+110000 */
        ROW("\xf5\x80\x80\x80", false),
        ROW("\xff", false),
        ROW("\x80", false),         /* a byte of mid-character alone */
        ROW("\xc3", false),         /* cut */
        ROW("\xe2\x82", false),     /* cut */
        ROW("\xf0\x9f\x98", false), /* cut */
        ROW("\xc3(", false),
        ROW("\xe2(\x82", false),
        ROW("\xe2\x82(", false),
        ROW("\xf0\x9f\x98(", false),
        ROW("a\0b", false),
        ROW("\x1b[2J", false), /* a terminal would obey */
        ROW("a\rb", false),
        ROW("\x7f", false),
        ROW("\xc2\x80", false), /* U+0080 to U+009F are control characters, too: */
        ROW("\xc2\x9b"
            "2J",
            false), /* this one is "escape [" in one */
        ROW("\xc2\x9f", false),
#undef ROW
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        if (text_is_utf8(rows[i].bytes, rows[i].size) != rows[i].good) {
            fail_msg("row %zu: '%s'", i, rows[i].bytes);
        }
    }
}

static void test_every_character_is_well_formed(void **state) {
    (void)state;
    for (uint32_t c = 0xa0; c <= 0x10ffff; c++) {
        char bytes[4];
        size_t size = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
        static const uint8_t heads[] = {0, 0, 0xc0, 0xe0, 0xf0};
        uint32_t rest = c;
        for (size_t i = size - 1; i > 0; i--) {
            bytes[i] = (char)(0x80 | (rest & 0x3f));
            rest >>= 6;
        }
        bytes[0] = (char)(heads[size] | rest);
        bool surrogate = c >= 0xd800 && c <= 0xdfff;
        if (text_is_utf8(bytes, size) == surrogate) {
            fail_msg("U+%04X", c);
        }
    }
}

static void test_numbers(void **state) {
    static const struct {
        const char *text;
        uint64_t low, high, value;
        bool good;
    } rows[] = {
        {"0", 0, 9, 0, true},
        {"9", 0, 9, 9, true},
        {"10", 0, 9, 0, false},
        {"4", 5, 9, 0, false},
        {"007", 0, 9, 7, true},
        {"18446744073709551615", 0, UINT64_MAX, UINT64_MAX, true},
        {"18446744073709551616", 0, UINT64_MAX, 0, false},
        {"18446744073709551620", 0, UINT64_MAX, 0, false},
        {"184467440737095516150", 0, UINT64_MAX, 0, false},
        {"", 0, 9, 0, false},
        {"-1", 0, UINT64_MAX, 0, false},
        {"+1", 0, 9, 0, false},
        {" 1", 0, 9, 0, false},
        {"1 ", 0, 9, 0, false},
        {"1x", 0, 9, 0, false},
        {"0x1", 0, 9, 0, false},
        {"1e3", 0, 9999, 0, false},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        uint64_t value = UNTOUCHED;
        bool good = text_to_u64(rows[i].text, rows[i].low, rows[i].high, &value);
        if (good != rows[i].good || value != (good ? rows[i].value : UNTOUCHED)) {
            fail_msg("'%s'", rows[i].text);
        }
    }
}

struct unit_row {
    const char *text;
    uint64_t value;
    bool good;
};

static void check_units(const struct unit_row *rows, size_t count,
                        bool (*read)(const char *text, uint64_t *ret_value)) {
    for (size_t i = 0; i < count; i++) {
        uint64_t value = UNTOUCHED;
        bool good = read(rows[i].text, &value);
        if (good != rows[i].good || value != (good ? rows[i].value : UNTOUCHED)) {
            fail_msg("'%s': %s, %llu", rows[i].text, good ? "taken" : "not taken",
                     (unsigned long long)value);
        }
    }
}

static void test_durations(void **state) {
    static const struct unit_row rows[] = {
        {"0", 0, true},
        {"0s", 0, true},
        {"250ms", 250, true},
        {"5s", 5000, true},
        {"10m", 600000, true},
        {"2h", 7200000, true},
        {"1d", 86400000, true},
        {"213503982334d", 18446744073657600000U, true},
        {"213503982335d", 0, false}, /* over 2^64 ms */
        {"18446744073709551616ms", 0, false},
        {"5", 0, false},
        {"00", 0, true},
        {"", 0, false},
        {"s", 0, false},
        {"5 s", 0, false},
        {"5S", 0, false},
        {"5sec", 0, false},
        {"1.5s", 0, false},
        {"-5s", 0, false},
        {"5s ", 0, false},
        {"1h30m", 0, false},
    };
    (void)state;
    check_units(rows, ARRAY_LENGTH(rows), text_to_duration_ms);
}

static void test_sizes(void **state) {
    static const struct unit_row rows[] = {
        {"0", 0, true},
        {"512B", 512, true},
        {"64KiB", 65536, true},
        {"10MiB", 10485760, true},
        {"1GiB", 1073741824, true},
        {"17179869183GiB", 18446744072635809792U, true},
        {"17179869184GiB", 0, false}, /* 2^64 */
        {"64", 0, false},
        {"64KB", 0, false},
        {"64kib", 0, false},
        {"MiB", 0, false},
    };
    (void)state;
    check_units(rows, ARRAY_LENGTH(rows), text_to_size_bytes);
}

static void test_durations_are_written_as_they_are_read(void **state) {
    static const struct {
        uint64_t ms;
        const char *text;
    } rows[] = {
        {0, "0ms"},
        {1, "1ms"},
        {999, "999ms"},
        {1000, "1s"},
        {1500, "1500ms"},
        {30000, "30s"},
        {60000, "1m"},
        {90000, "90s"},
        {3600000, "1h"},
        {5400000, "90m"},
        {86400000, "1d"},
        {90000000, "25h"},
        {UINT64_MAX, "18446744073709551615ms"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        char text[TEXT_DURATION_SIZE];
        uint64_t again = UNTOUCHED;
        assert_string_equal(text_from_duration_ms(rows[i].ms, text), rows[i].text);
        assert_true(text_to_duration_ms(text, &again));
        assert_true(again == rows[i].ms);
    }
}

static void test_about(void **state) {
    static const struct {
        uint64_t number;
        const char *text;
    } rows[] = {
        {0, "~0"},
        {7, "~7"},
        {999, "~999"},
        {1000, "~1,000"},
        {1004, "~1,000"},
        {1005, "~1,010"},
        {9995, "~10,000"},
        {12299, "~12,300"},
        {999499, "~999,000"},
        {999500, "~1,000,000"},
        {UINT64_C(1) << 53, "~9,010,000,000,000,000"},
        {UINT64_MAX, "~18,400,000,000,000,000,000"},
    };
    char text[TEXT_ABOUT_SIZE];
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        assert_string_equal(text_about(rows[i].number, text), rows[i].text);
    }
}

static void test_distance(void **state) {
    char longest[65];
    (void)state;
    assert_int_equal(text_distance("", ""), 0);
    assert_int_equal(text_distance("", "abc"), 3);
    assert_int_equal(text_distance("abc", ""), 3);
    assert_int_equal(text_distance("status", "status"), 0);
    assert_int_equal(text_distance("status", "statsu"), 2);
    assert_int_equal(text_distance("kitten", "sitting"), 3);
    assert_int_equal(text_distance("sitting", "kitten"), 3);
    memset(longest, 'x', 64);
    longest[64] = '\0';
    assert_int_equal(text_distance(longest, "x"), 255);
    assert_int_equal(text_distance("x", longest), 255);
    longest[63] = '\0';
    assert_int_equal(text_distance(longest, ""), 63);
    assert_int_equal(text_distance(longest, longest), 0);
}

static void test_hex(void **state) {
    static const uint8_t bytes[] = {0x00, 0x7f, 0x80, 0xff, 0x1a};
    char hex[2 * sizeof bytes + 1];
    uint8_t back[sizeof bytes];
    (void)state;
    text_to_hex(bytes, sizeof bytes, hex);
    assert_string_equal(hex, "007f80ff1a");
    assert_true(text_from_hex(hex, back, sizeof back));
    assert_memory_equal(back, bytes, sizeof bytes);
    text_to_hex(bytes, 0, hex);
    assert_string_equal(hex, "");
    static const char *const bad[] = {"",           "00",         "007f80ff1",  "007f80ff1a0",
                                      "007F80FF1A", "007f80ff1g", "007f80ff/a", " 07f80ff1a"};
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
        memset(back, 0x55, sizeof back);
        assert_false(text_from_hex(bad[i], back, sizeof back));
        for (size_t j = 0; j < sizeof back; j++) {
            assert_int_equal(back[j], 0x55);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_copy),
        cmocka_unit_test(test_equal_and_starts_with),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_every_character_is_well_formed),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_durations),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_durations_are_written_as_they_are_read),
        cmocka_unit_test(test_about),
        cmocka_unit_test(test_distance),
        cmocka_unit_test(test_hex),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
