/* The request parser alone: any cut of the bytes gives the same request, and damage of any kind
 * ends in a refusal or in waiting for more, within the limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/http_endpoints.h"
#include "base/text.h"
#include "http_request.h"

static const char *const examples[] = {
    "GET /services/nocturnal/regions/us-east-1/active HTTP/1.1\r\nHost: a\r\n\r\n",
    "HEAD http://host/livez?verbose HTTP/1.1\r\nConnection: close\r\n\r\n",
    "OPTIONS * HTTP/1.0\r\n\r\n",
    "GET /events HTTP/1.1\r\nAccept: text/event-stream\r\nLast-Event-ID: 4711\r\nX: y\r\n\r\n",
    "POST /status HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "PUT /x HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
};

static uint32_t seed;

static uint32_t next_random(void) {
    seed = seed * 1664525u + 1013904223u;
    return seed >> 8;
}

/* Feeds in pieces of up to `piece` bytes; returns how many bytes were taken in all. */
static size_t feed(struct http_request *request, const char *bytes, size_t size, size_t piece) {
    size_t taken = 0;
    http_request_init(request);
    while (taken < size && !request->complete && request->refusal == 0) {
        size_t now = size - taken < piece ? size - taken : piece;
        size_t used = http_request_feed(request, bytes + taken, now);
        assert_true(used <= now);
        assert_true(used == now || request->complete || request->refusal != 0);
        taken += used;
    }
    return taken;
}

static void test_any_cut(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(examples); i++) {
        static struct http_request whole;
        static struct http_request cut;
        size_t size = strlen(examples[i]);
        assert_int_equal(feed(&whole, examples[i], size, size), size);
        assert_true(whole.complete);
        for (size_t piece = 1; piece < 9; piece++) {
            assert_int_equal(feed(&cut, examples[i], size, piece), size);
            assert_true(cut.complete);
            assert_int_equal(cut.verb, whole.verb);
            assert_string_equal(cut.path, whole.path);
            assert_string_equal(cut.query, whole.query);
            assert_int_equal(cut.keep_alive, whole.keep_alive);
            assert_int_equal(cut.last_event_id, whole.last_event_id);
        }
    }
}

static void test_what_is_read(void **state) {
    (void)state;
    static struct http_request request;
    (void)feed(&request, examples[1], strlen(examples[1]), 1000);
    assert_int_equal(request.verb, HTTP_VERB_HEAD);
    assert_string_equal(request.path, "/livez");
    assert_string_equal(request.query, "verbose");
    assert_false(request.keep_alive);
    (void)feed(&request, examples[3], strlen(examples[3]), 3);
    assert_int_equal(request.last_event_id, 4711);
    assert_true(request.keep_alive);
    (void)feed(&request, examples[5], strlen(examples[5]), 3);
    assert_int_equal(request.verb, HTTP_VERB_OTHER);
}

/* An id that is too long is none, also when its beginning came alone and would have been one. */
static void test_long_event_id(void **state) {
    (void)state;
    static struct http_request request;
    static const char text[] =
        "GET /events HTTP/1.1\r\nLast-Event-ID: 4711471147114711471147114711\r\n\r\n";
    for (size_t piece = 1; piece < sizeof text; piece++) {
        (void)feed(&request, text, sizeof text - 1, piece);
        assert_true(request.complete);
        assert_int_equal(request.last_event_id, 0);
    }
}

/* The next request of a pipeline is left where it begins. */
static void test_stops_behind_its_end(void **state) {
    (void)state;
    static struct http_request request;
    for (size_t i = 0; i < ARRAY_LENGTH(examples); i++) {
        char two[512];
        size_t size = strlen(examples[i]);
        (void)snprintf(two, sizeof two, "%s%s", examples[i], examples[0]);
        assert_int_equal(feed(&request, two, strlen(two), 4096), size);
    }
}

static void test_damage(void **state) {
    (void)state;
    static struct http_request request;
    seed = 20261123;
    print_message("seed %u\n", seed);
    uint32_t refused = 0;
    for (uint32_t round = 0; round < 20000; round++) {
        char bytes[512];
        const char *example = examples[next_random() % ARRAY_LENGTH(examples)];
        size_t size = strlen(example);
        memcpy(bytes, example, size + 1);
        for (uint32_t n = next_random() % 4 + 1; n > 0; n--) {
            size_t at = next_random() % size;
            switch (next_random() % 3) {
            case 0:
                bytes[at] = (char)next_random();
                break;
            case 1:
                memmove(bytes + at, bytes + at + 1, size - at - 1);
                size -= size > 2;
                break;
            default:
                memmove(bytes + at + 1, bytes + at, size - at);
                bytes[at] = (char)next_random();
                size++;
                break;
            }
        }
        (void)feed(&request, bytes, size, next_random() % 64 + 1);
        assert_true(strlen(request.path) < HTTP_TARGET_MAX);
        refused += request.refusal != 0;
        assert_true(request.refusal == 0 || (request.refusal >= 400 && request.refusal < 600));
    }
    assert_true(refused > 1000); /* else nothing was damaged */
}

/* However it comes, a request is over within its limits. */
static void test_endless(void **state) {
    (void)state;
    static const char *const beginnings[] = {
        "GET /",
        "GET / HTTP/1.1\r\nX: ",
        "GET / HTTP/1.1\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "\r\n",
        ""};
    static const char *const fillers[] = {"a", "a: b\r\n", "1\r\nx\r\n", "1;ext=1", "\r\n", "G"};
    for (size_t b = 0; b < ARRAY_LENGTH(beginnings); b++) {
        for (size_t f = 0; f < ARRAY_LENGTH(fillers); f++) {
            static struct http_request request;
            size_t fed = 0;
            http_request_init(&request);
            const char *bytes = beginnings[b];
            while (!request.complete && request.refusal == 0) {
                fed += http_request_feed(&request, bytes, strlen(bytes));
                bytes = fillers[f];
                assert_true(fed < (size_t)64 * 1024);
            }
        }
    }
}

static int configure(void **state) {
    (void)state;
    http_request_configure();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_cut),       cmocka_unit_test(test_what_is_read),
        cmocka_unit_test(test_long_event_id), cmocka_unit_test(test_stops_behind_its_end),
        cmocka_unit_test(test_damage),        cmocka_unit_test(test_endless),
    };
    return cmocka_run_group_tests(tests, configure, NULL);
}
