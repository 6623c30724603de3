#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codec/lease_codec.h"
#include "fill.h"
#include "mutate.h"
#include "tables.h"

static struct lease_answer made, into;

static void make(uint64_t seed, struct buffer *bytes) {
    struct error error;
    memset(&made, 0, sizeof made);
    fill_struct(&lease_answer_table, &made, 3, &seed);
    made.version = LEASE_ANSWER_VERSION;
    buffer_init(bytes, 0);
    if (codec_encode_lease(&made, bytes, &error) != ERROR_OK) {
        fail_msg("%s", error.message);
    }
}

static void answers_come_back(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct buffer bytes;
        struct error error;
        make(seed, &bytes);
        memset(&into, 0x5a, sizeof into);
        if (codec_decode_lease(bytes.data, bytes.size_bytes, &into, &error) != ERROR_OK) {
            fail_msg("seed %u: %s", (unsigned)seed, error.message);
        }
        assert_memory_equal(&made, &into, sizeof made);
        buffer_finish(&bytes);
    }
}

static void a_newer_format_is_refused(void **state) {
    (void)state;
    struct buffer bytes;
    struct error error;
    memset(&made, 0, sizeof made);
    for (uint32_t version = 0; version < 3; version++) {
        made.version = version;
        buffer_init(&bytes, 0);
        assert_int_equal(codec_encode_lease(&made, &bytes, &error), ERROR_OK);
        static const enum error_code codes[] = {ERROR_PROTOCOL, ERROR_OK, ERROR_UNSUPPORTED};
        memset(&into, 0x5a, sizeof into);
        assert_int_equal(codec_decode_lease(bytes.data, bytes.size_bytes, &into, &error),
                         codes[version]);
        assert_true(version == 1 || into.boot == UINT64_C(0x5a5a5a5a5a5a5a5a));
        buffer_finish(&bytes);
    }
}

static void broken_bytes_are_refused_or_mean_themselves(void **state) {
    (void)state;
    uint64_t seed = 4711;
    for (unsigned run = 0; run < 2000; run++) {
        struct buffer bytes;
        struct error error;
        make(run % 50 + 1, &bytes);
        size_t size_bytes = 0;
        uint8_t *broken = mutate_bytes(bytes.data, bytes.size_bytes, &seed, &size_bytes);
        if (codec_decode_lease(broken, size_bytes, &into, &error) == ERROR_OK) {
            struct buffer again;
            buffer_init(&again, 0);
            assert_int_equal(codec_encode_lease(&into, &again, &error), ERROR_OK);
            assert_int_equal(again.size_bytes, size_bytes);
            assert_memory_equal(again.data, broken, size_bytes);
            buffer_finish(&again);
        }
        free(broken);
        buffer_finish(&bytes);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_come_back),
        cmocka_unit_test(a_newer_format_is_refused),
        cmocka_unit_test(broken_bytes_are_refused_or_mean_themselves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
