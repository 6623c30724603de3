/* Drawing numbers: within bounds, none likelier than another, and the same again for a seed. */
#include "base_test.h"

#include "base/entropy.h"

/* Hands out these values, one after the other. */
struct script {
    const uint64_t *values;
    size_t count, used;
};

static void script_fill(void *context, void *bytes, size_t size_bytes) {
    struct script *script = context;
    assert_int_equal(size_bytes, sizeof(uint64_t));
    assert_true(script->used < script->count);
    memcpy(bytes, &script->values[script->used++], size_bytes);
}

static void test_bounds_are_included(void **state) {
    static const uint64_t values[] = {0, 1, 2, 3, 4, 5};
    struct script script = {values, ARRAY_LENGTH(values), 0};
    struct entropy entropy = {script_fill, &script};
    (void)state;
    assert_int_equal(entropy_between(&entropy, 10, 12), 10);
    assert_int_equal(entropy_between(&entropy, 10, 12), 11);
    assert_int_equal(entropy_between(&entropy, 10, 12), 12);
    assert_int_equal(entropy_between(&entropy, 10, 12), 10);
    assert_int_equal(entropy_between(&entropy, 7, 7), 7);
    assert_int_equal(entropy_between(&entropy, 0, UINT64_MAX), 5);
}

static void test_the_uneven_tail_is_drawn_again(void **state) {
    /* 2^64 isn't a multiple of 3: the last value would make 0 likelier than 1 and 2. */
    static const uint64_t values[] = {UINT64_MAX, 5};
    struct script script = {values, ARRAY_LENGTH(values), 0};
    struct entropy entropy = {script_fill, &script};
    (void)state;
    assert_int_equal(entropy_between(&entropy, 0, 2), 2);
    assert_int_equal(script.used, 2);
}

static void test_extremes(void **state) {
    (void)state;
    for (int i = 0; i < 1000; i++) {
        uint64_t value = entropy_between(&entropy_system, UINT64_MAX - 1, UINT64_MAX);
        assert_true(value >= UINT64_MAX - 1);
        assert_true(entropy_between(&entropy_system, 1, UINT64_MAX) >= 1);
        assert_true(entropy_between(&entropy_system, 0, UINT64_MAX - 1) < UINT64_MAX);
    }
}

static void test_no_value_is_likelier(void **state) {
    enum { DRAWS = 60000, SIDES = 6 };
    unsigned seen[SIDES] = {0};
    (void)state;
    for (int i = 0; i < DRAWS; i++) {
        uint64_t value = entropy_between(&entropy_system, 1, SIDES);
        assert_in_range(value, 1, SIDES);
        seen[value - 1]++;
    }
    /* 10,000 expected, standard deviation 91: eight of them away is no accident. */
    for (int i = 0; i < SIDES; i++) {
        assert_in_range(seen[i], 10000 - 8 * 91, 10000 + 8 * 91);
    }
}

static void test_the_system_fills_everything(void **state) {
    uint8_t seen[4096] = {0};
    uint8_t bytes[4096];
    (void)state;
    for (int round = 0; round < 16; round++) {
        entropy_system.fill(entropy_system.context, bytes, sizeof bytes);
        for (size_t i = 0; i < sizeof bytes; i++) {
            seen[i] |= bytes[i];
        }
    }
    for (size_t i = 0; i < sizeof seen; i++) {
        assert_int_not_equal(seen[i], 0);
    }
    assert_true(entropy_u64(&entropy_system) != entropy_u64(&entropy_system));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bounds_are_included),
        cmocka_unit_test(test_the_uneven_tail_is_drawn_again),
        cmocka_unit_test(test_extremes),
        cmocka_unit_test(test_no_value_is_likelier),
        cmocka_unit_test(test_the_system_fills_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
