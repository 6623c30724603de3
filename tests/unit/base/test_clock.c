/* Times as people read them, and the machine's own clocks. */
#include "base_test.h"

#include <time.h>

#include "base/clock.h"

static void test_times_are_written_in_utc(void **state) {
    static const struct {
        uint64_t wall_ms;
        const char *text;
    } rows[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {999, "1970-01-01T00:00:00.999Z"},
        {951782399001, "2000-02-28T23:59:59.001Z"},
        {951782400000, "2000-02-29T00:00:00.000Z"},
        {1795403261204, "2026-11-23T03:07:41.204Z"},
        {4102444800000, "2100-01-01T00:00:00.000Z"},
        {253402300799999, "9999-12-31T23:59:59.999Z"},
    };
    char text[CLOCK_TEXT_SIZE];
    (void)state;
    /* Whatever the machine's own time zone is. */
    (void)setenv("TZ", "Pacific/Chatham", 1);
    tzset();
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        assert_ptr_equal(clock_format_utc(rows[i].wall_ms, text), text);
        assert_string_equal(text, rows[i].text);
    }
}

static void test_times_beyond_the_calendar_stay_numbers(void **state) {
    char text[CLOCK_TEXT_SIZE];
    (void)state;
    assert_string_equal(clock_format_utc(253402300800000, text), "253402300800000ms");
    assert_string_equal(clock_format_utc(UINT64_MAX, text), "18446744073709551615ms");
}

static void test_the_machines_clocks(void **state) {
    (void)state;
    uint64_t wall_ms = clock_wall_ms(&clock_system);
    assert_in_range(wall_ms, (uint64_t)time(NULL) * 1000 - 5000,
                    (uint64_t)time(NULL) * 1000 + 5000);
    uint64_t before_ms = clock_boottime_ms(&clock_system);
    struct timespec boottime;
    assert_int_equal(clock_gettime(CLOCK_BOOTTIME, &boottime), 0);
    uint64_t after_ms = clock_boottime_ms(&clock_system);
    uint64_t between_ms = (uint64_t)boottime.tv_sec * 1000 + (uint64_t)boottime.tv_nsec / 1000000;
    assert_in_range(between_ms, before_ms, after_ms);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_times_are_written_in_utc),
        cmocka_unit_test(test_times_beyond_the_calendar_stay_numbers),
        cmocka_unit_test(test_the_machines_clocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
