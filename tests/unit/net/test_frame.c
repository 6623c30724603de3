#include "kit.h"

#include <stdlib.h>
#include <string.h>

#include "net/frame.h"

enum { SEEN_MAX = 64, PIECE_RUNS = 200 };

struct seen {
    unsigned count, stop_after;
    enum frame_type types[SEEN_MAX];
    size_t sizes[SEEN_MAX];
    uint64_t sums[SEEN_MAX];
};

static bool on_frame(enum frame_type type, const uint8_t *payload, size_t size_bytes,
                     void *context) {
    struct seen *seen = context;
    assert_true(seen->count < SEEN_MAX);
    seen->types[seen->count] = type;
    seen->sizes[seen->count] = size_bytes;
    seen->sums[seen->count] = kit_sum(payload, size_bytes);
    seen->count++;
    return seen->count != seen->stop_after;
}

static void add_frame(struct buffer *to, enum frame_type type, size_t size_bytes) {
    uint8_t header[FRAME_HEADER_BYTES];
    frame_encode_header(type, size_bytes, header);
    buffer_append(to, header, sizeof header);
    for (size_t i = 0; i < size_bytes; i++) {
        uint8_t byte = (uint8_t)(i * 31 + type);
        buffer_append(to, &byte, 1);
    }
}

static const size_t sizes[] = {0, 1, 7, 8, 9, 4000, 100000};

static void fill(struct buffer *stream) {
    buffer_init(stream, 0);
    add_frame(stream, FRAME_HELLO, 40);
    add_frame(stream, FRAME_READY, 0);
    for (size_t i = 0; i < 7; i++) {
        add_frame(stream, FRAME_RAFT, sizes[i]);
    }
    add_frame(stream, FRAME_PING, 8);
}

static void check_seen(const struct seen *seen) {
    assert_int_equal(seen->count, 10);
    assert_int_equal(seen->types[0], FRAME_HELLO);
    assert_int_equal(seen->sizes[1], 0);
    for (size_t i = 0; i < 7; i++) {
        struct buffer one;
        buffer_init(&one, 0);
        add_frame(&one, FRAME_RAFT, sizes[i]);
        assert_int_equal(seen->types[2 + i], FRAME_RAFT);
        assert_int_equal(seen->sizes[2 + i], sizes[i]);
        assert_true(seen->sums[2 + i] == kit_sum(one.data + FRAME_HEADER_BYTES, sizes[i]));
        buffer_finish(&one);
    }
    assert_int_equal(seen->types[9], FRAME_PING);
}

static void test_any_pieces(void **state) {
    struct buffer stream;
    (void)state;
    fill(&stream);
    kit_seed(7600);
    for (unsigned run = 0; run < PIECE_RUNS; run++) {
        struct frame_parser parser;
        struct seen seen = {0};
        struct error error;
        frame_parser_init(&parser, FRAME_SET_PEER, 0);
        size_t longest = run == 0 ? 1 : run == 1 ? stream.size_bytes : 1 + kit_random(20000);
        for (size_t at = 0; at < stream.size_bytes;) {
            size_t piece = run < 2 ? longest : 1 + kit_random(longest);
            piece = piece < stream.size_bytes - at ? piece : stream.size_bytes - at;
            /* Its own memory, so that reading beyond the piece is found out. */
            uint8_t *copy = malloc(piece);
            memcpy(copy, stream.data + at, piece);
            assert_int_equal(frame_parser_feed(&parser, copy, piece, on_frame, &seen, &error), 0);
            free(copy);
            at += piece;
        }
        check_seen(&seen);
        frame_parser_finish(&parser);
    }
    buffer_finish(&stream);
}

/* A header of our choice, whole or a byte at a time: refused, and no memory taken. */
static void expect_refused(const uint8_t *header, uint64_t types, enum error_code code,
                           const char *words) {
    for (size_t piece = 1; piece <= FRAME_HEADER_BYTES; piece += FRAME_HEADER_BYTES - 1) {
        struct frame_parser parser;
        struct seen seen = {0};
        struct error error;
        enum error_code got = ERROR_OK;
        frame_parser_init(&parser, types, 1024 * 1024);
        for (size_t at = 0; at < FRAME_HEADER_BYTES; at += piece) {
            assert_int_equal(got, ERROR_OK);
            got = frame_parser_feed(&parser, header + at, piece, on_frame, &seen, &error);
        }
        assert_int_equal(got, code);
        assert_non_null(strstr(error.message, words));
        assert_int_equal(seen.count, 0);
        assert_int_equal(parser.payload.capacity_bytes, 0);
        assert_int_equal(frame_parser_feed(&parser, "x", 1, on_frame, &seen, &error),
                         ERROR_PROTOCOL);
        frame_parser_finish(&parser);
    }
}

static void test_bad_headers(void **state) {
    (void)state;
    uint8_t header[FRAME_HEADER_BYTES] = {FRAME_VERSION, FRAME_PING, 0, 0, 0, 0, 0, 8};
    header[0] = 0x16; /* a TLS handshake */
    expect_refused(header, FRAME_SET_PEER, ERROR_PROTOCOL, "version 0x16");
    header[0] = FRAME_VERSION;
    static const uint8_t unknown[] = {0, 7, 15, 21, 31, 34, 63, 64, 65, 128, 255};
    for (size_t i = 0; i < sizeof unknown; i++) {
        header[1] = unknown[i];
        expect_refused(header, FRAME_SET_PEER | FRAME_SET_API, ERROR_PROTOCOL, "not expected");
    }
    header[1] = FRAME_REQUEST;
    expect_refused(header, FRAME_SET_PEER, ERROR_PROTOCOL, "REQUEST");
    header[1] = FRAME_RAFT;
    expect_refused(header, FRAME_SET(FRAME_HELLO), ERROR_PROTOCOL, "RAFT");
    header[1] = FRAME_PING;
    header[2] = 1;
    expect_refused(header, FRAME_SET_PEER, ERROR_PROTOCOL, "flags");
    header[2] = 0;
    header[3] = 0x80;
    expect_refused(header, FRAME_SET_PEER, ERROR_PROTOCOL, "flags");
}

static void test_limits(void **state) {
    static const enum frame_type types[] = {
#define X(name, number, limit) FRAME_##name,
        FRAME_TYPE_TABLE(X)
#undef X
    };
    (void)state;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        uint32_t limit = types[i] == FRAME_SNAPSHOT ? 1024 * 1024 : frame_max_bytes(types[i]);
        uint64_t all = FRAME_SET_PEER | FRAME_SET_API;
        uint8_t header[FRAME_HEADER_BYTES] = {FRAME_VERSION, (uint8_t)types[i]};
        for (unsigned step = 1; step <= 2; step++) {
            uint32_t size = step == 1 ? limit + 1 : UINT32_MAX;
            for (unsigned b = 0; b < 4; b++) {
                header[4 + b] = (uint8_t)(size >> (24 - 8 * b));
            }
            expect_refused(header, all, ERROR_LIMIT, frame_type_text(types[i]));
        }
        struct frame_parser parser;
        struct seen seen = {0};
        struct error error;
        frame_parser_init(&parser, all, 1024 * 1024);
        frame_encode_header(types[i], limit, header);
        assert_int_equal(frame_parser_feed(&parser, header, sizeof header, on_frame, &seen, &error),
                         ERROR_OK);
        uint8_t *payload = calloc(1, limit + 1);
        assert_int_equal(frame_parser_feed(&parser, payload, limit, on_frame, &seen, &error),
                         ERROR_OK);
        assert_int_equal(seen.count, 1);
        assert_int_equal(seen.sizes[0], limit);
        free(payload);
        frame_parser_finish(&parser);
    }
}

static void test_stop(void **state) {
    struct buffer stream;
    struct frame_parser parser;
    struct seen seen = {.stop_after = 3};
    struct error error;
    (void)state;
    fill(&stream);
    frame_parser_init(&parser, FRAME_SET_PEER, 0);
    assert_int_equal(
        frame_parser_feed(&parser, stream.data, stream.size_bytes, on_frame, &seen, &error),
        ERROR_OK);
    assert_int_equal(seen.count, 3);
    assert_int_equal(
        frame_parser_feed(&parser, stream.data, stream.size_bytes, on_frame, &seen, &error),
        ERROR_PROTOCOL);
    assert_int_equal(seen.count, 3);
    frame_parser_finish(&parser);
    buffer_finish(&stream);
}

static void test_noise(void **state) {
    (void)state;
    kit_seed(4711);
    for (unsigned run = 0; run < 20000; run++) {
        struct frame_parser parser;
        struct seen seen = {.stop_after = 8};
        struct error error;
        uint8_t noise[256];
        for (size_t i = 0; i < sizeof noise; i++) {
            noise[i] = (uint8_t)kit_random(256);
        }
        if (run % 2 == 0) { /* past the first checks */
            noise[0] = FRAME_VERSION;
            noise[1] = (uint8_t)(noise[1] % 21);
            memset(noise + 2, 0, 5);
        }
        frame_parser_init(&parser, FRAME_SET_PEER, 0);
        (void)frame_parser_feed(&parser, noise, sizeof noise, on_frame, &seen, &error);
        frame_parser_finish(&parser);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_pieces), cmocka_unit_test(test_bad_headers),
        cmocka_unit_test(test_limits),     cmocka_unit_test(test_stop),
        cmocka_unit_test(test_noise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
