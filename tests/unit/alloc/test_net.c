/* Frames and hellos, when memory runs out in the middle. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "failing.h"
#include "hello.h"
#include "net/frame.h"

#define PAYLOAD_BYTES 100000

static uint8_t stream[FRAME_HEADER_BYTES + PAYLOAD_BYTES];
static uint32_t seen;

static bool on_frame(enum frame_type type, const uint8_t *payload, size_t size_bytes,
                     void *context) {
    (void)payload;
    (void)context;
    assert_int_equal(type, FRAME_RAFT);
    assert_int_equal(size_bytes, PAYLOAD_BYTES);
    seen++;
    return true;
}

static bool frames(void) {
    struct frame_parser parser;
    struct error error;
    enum error_code code = ERROR_OK;
    seen = 0;
    frame_parser_init(&parser, FRAME_SET(FRAME_RAFT), 1024 * 1024);
    for (size_t at = 0; at < sizeof stream && code == ERROR_OK; at += 4096) {
        size_t left = sizeof stream - at;
        code = frame_parser_feed(&parser, stream + at, left < 4096 ? left : 4096, on_frame, NULL,
                                 &error);
    }
    frame_parser_finish(&parser);
    assert_true(code == ERROR_OK || code == ERROR_NO_MEMORY);
    return code == ERROR_OK && seen == 1;
}

static bool hellos(void) {
    struct peer_hello hello = {.numeric_id = 7};
    struct peer_hello back;
    struct buffer bytes;
    struct error error;
    (void)TEXT_COPY(hello.cluster, "prod");
    (void)TEXT_COPY(hello.node, "n1");
    (void)TEXT_COPY(hello.version, "1.0");
    buffer_init(&bytes, 0);
    hello_encode(&hello, &bytes);
    bool done = !bytes.failed;
    if (done) {
        enum error_code code =
            hello_decode((const uint8_t *)bytes.data, bytes.size_bytes, &back, &error);
        if (code != ERROR_OK) {
            fail_msg("%s", error.message);
        }
        assert_string_equal(back.node, "n1");
    }
    buffer_finish(&bytes);
    return done;
}

static void test_frames(void **state) {
    (void)state;
    frame_encode_header(FRAME_RAFT, PAYLOAD_BYTES, stream);
    assert_true(check_scenario("frames", frames) > 0);
}

static void test_hellos(void **state) {
    (void)state;
    assert_true(check_scenario("hellos", hellos) > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_frames),
                                       cmocka_unit_test(test_hellos)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
