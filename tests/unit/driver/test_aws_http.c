/* Signed requests: the signature by AWS's own example, and the clock that a refusal shows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "aws_http.h"
#include "base/text.h"
#include "stub_server.h"

enum { HOUR_MS = 3600 * 1000 };

static struct {
    uv_loop_t loop;
    struct stub_server server;
    struct aws_http *http;
    uint64_t boottime_ms, wall_ms;
    const char *error_code, *message; /* of the refusals */
    unsigned refusals;                /* so many requests are refused */
    bool without_date, closed;
    char dates[4][32]; /* X-Amz-Date of each request */
    char body[32], token[32];
} test;

struct outcome {
    unsigned count;
    bool done, sent;
    enum error_code code;
    long status;
};

static uint64_t test_boottime_ms(void *context) {
    (void)context;
    return test.boottime_ms;
}

static uint64_t test_wall_ms(void *context) {
    (void)context;
    return test.wall_ms;
}

static const struct clock test_clock = {test_boottime_ms, test_wall_ms, NULL};

static const struct aws_keys test_keys = {"AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
                                          "the/token"};

static void copy_header(const struct stub_request *request, const char *name, char *to,
                        size_t to_size) {
    const char *at = strcasestr(request->headers, name);
    assert_non_null(at);
    at += strlen(name) + 2;
    (void)snprintf(to, to_size, "%.*s", (int)strcspn(at, "\r\n"), at);
    assert_null(strcasestr(at, name)); /* once only */
}

static bool answer(void *context, const struct stub_request *request, struct buffer *reply) {
    (void)context;
    unsigned number = test.server.requests - 1;
    assert_true(number < ARRAY_LENGTH(test.dates));
    copy_header(request, "\nX-Amz-Date", test.dates[number], sizeof test.dates[number]);
    copy_header(request, "\nX-Amz-Security-Token", test.token, sizeof test.token);
    (void)snprintf(test.body, sizeof test.body, "%s", request->body);
    if (number >= test.refusals) {
        stub_reply(reply, 200, "good");
        return true;
    }
    char body[512];
    (void)snprintf(body, sizeof body,
                   "<ErrorResponse><Error><Code>%s</Code><Message>%s</Message></Error>"
                   "</ErrorResponse>",
                   test.error_code, test.message);
    if (test.without_date) {
        buffer_append_format(reply, "HTTP/1.1 403 x\r\nContent-Length: %zu\r\n\r\n%s", strlen(body),
                             body);
    } else {
        stub_reply(reply, 403, body);
    }
    return true;
}

static int set_up(void **state) {
    (void)state;
    memset(&test, 0, sizeof test);
    test.boottime_ms = 1000;
    test.wall_ms = STUB_DATE_MS;
    test.error_code = "SignatureDoesNotMatch";
    test.message = "The request signature we calculated does not match";
    test.refusals = 1;
    unsetenv("http_proxy");
    unsetenv("AWS_CA_BUNDLE");
    uv_loop_init(&test.loop);
    stub_server_start(&test.server, &test.loop, answer, NULL);
    assert_int_equal(aws_http_create(&test.loop, &test_clock, &test.http, NULL), ERROR_OK);
    return 0;
}

static void on_closed(void *context) {
    *(bool *)context = true;
}

static int tear_down(void **state) {
    (void)state;
    aws_http_close(test.http, on_closed, &test.closed);
    run_until(&test.loop, &test.closed);
    stub_server_stop(&test.server);
    uv_run(&test.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&test.loop), 0);
    return 0;
}

static bool inside_send;

static void on_response(void *context, const struct http_response *response) {
    struct outcome *outcome = context;
    assert_false(inside_send);
    outcome->done = true;
    outcome->count++;
    outcome->sent = response->sent;
    outcome->code = response->error.code;
    outcome->status = response->status;
}

static struct outcome call_with(const char *url, bool effect, const char *header) {
    struct outcome outcome = {.count = 0};
    /* Nothing of it is there any more when it is sent again. */
    char body[] = "the body", address[128], keys_copy[sizeof test_keys];
    memcpy(keys_copy, &test_keys, sizeof test_keys);
    (void)snprintf(address, sizeof address, "%s", url);
    struct aws_request request = {
        .http = {.method = "POST",
                 .url = address,
                 .body = body,
                 .body_size_bytes = strlen(body),
                 .headers = {header},
                 .timeout_ms = 5000,
                 .connect_timeout_ms = 2000,
                 .effect = effect},
        .keys = (const struct aws_keys *)(const void *)keys_copy,
        .sign_service = "route53",
        .sign_region = "us-east-1",
    };
    inside_send = true;
    aws_http_send(test.http, &request, on_response, &outcome);
    inside_send = false;
    memset(body, 'x', sizeof body - 1);
    memset(address, 'x', sizeof address - 1);
    memset(keys_copy, 'x', sizeof keys_copy - 1);
    run_until(&test.loop, &outcome.done);
    assert_int_equal(outcome.count, 1);
    return outcome;
}

static struct outcome call(bool effect) {
    char url[128];
    (void)snprintf(url, sizeof url, "%s/2013-04-01/x", test.server.url);
    return call_with(url, effect, "Content-Type: application/xml");
}

/* --- the signature -------------------------------------------------------------------------- */

static void test_example_of_aws(void **state) {
    (void)state;
    const struct http_request request = {
        .method = "GET",
        .url = "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08",
        .headers = {"Content-Type: application/x-www-form-urlencoded; charset=utf-8"},
    };
    struct aws_keys keys = test_keys;
    keys.session_token[0] = '\0';
    struct aws_signature signature;
    assert_int_equal(
        aws_sign(&request, &keys, "iam", "us-east-1", UINT64_C(1440938160000), &signature, NULL),
        ERROR_OK);
    assert_string_equal(signature.host, "Host: iam.amazonaws.com");
    assert_string_equal(signature.date, "X-Amz-Date: 20150830T123600Z");
    assert_string_equal(signature.token, "");
    assert_string_equal(
        signature.authorization,
        "Authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/"
        "aws4_request, SignedHeaders=content-type;host;x-amz-date, "
        "Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7");
}

static void test_what_cannot_be_signed(void **state) {
    (void)state;
    struct outcome o = call_with("no url at all", true, NULL);
    assert_int_equal(o.code, ERROR_INVALID);
    assert_false(o.sent);
    o = call_with(test.server.url, true, "X-Amz-Date: 20150830T123600Z");
    assert_int_equal(o.code, ERROR_INVALID);
    o = call_with(test.server.url, true, "no colon");
    assert_int_equal(o.code, ERROR_LIMIT);
    assert_int_equal(test.server.requests, 0);
}

/* --- the clock ------------------------------------------------------------------------------ */

static void test_sent_again_by_the_clock_of_the_service(void **state) {
    (void)state;
    static const struct {
        const char *code, *message;
        int64_t off_ms;
    } table[] = {
        {"SignatureDoesNotMatch", "Signature expired: 1 is now earlier than 2", -HOUR_MS},
        {"SignatureDoesNotMatch", "Signature not yet current: 1", HOUR_MS},
        {"RequestTimeTooSkewed", "", 24 * HOUR_MS},
        {"InvalidSignatureException", "", -24 * HOUR_MS},
        {"RequestExpired", "", -60 * 1000},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(table); i++) {
        tear_down(NULL);
        set_up(NULL);
        test.error_code = table[i].code;
        test.message = table[i].message;
        test.wall_ms = (uint64_t)((int64_t)STUB_DATE_MS + table[i].off_ms);
        assert_int_equal(call(false).status, 200);
        assert_int_equal(test.server.requests, 2);
        assert_string_not_equal(test.dates[0], "20261123T210305Z");
        assert_string_equal(test.dates[1], "20261123T210305Z");
        assert_string_equal(test.body, "the body");
        assert_string_equal(test.token, "the/token");
        /* Remembered, and carried forward on the stopwatch, whatever the clock does. */
        test.boottime_ms += 90 * 1000;
        test.wall_ms = 12345;
        assert_int_equal(call(true).status, 200);
        assert_int_equal(test.server.requests, 3);
        assert_string_equal(test.dates[2], "20261123T210435Z");
    }
}

static void test_once_only(void **state) {
    (void)state;
    test.refusals = 4;
    test.wall_ms -= HOUR_MS;
    assert_int_equal(call(false).status, 403);
    assert_int_equal(test.server.requests, 2);
}

/* What the refusal of an effect means is for its caller to read. The clock is learnt all the same.
 */
static void test_an_effect_is_never_sent_again(void **state) {
    (void)state;
    test.wall_ms -= HOUR_MS;
    assert_int_equal(call(true).status, 403);
    assert_int_equal(test.server.requests, 1);
    assert_int_equal(call(true).status, 200);
    assert_string_equal(test.dates[1], "20261123T210305Z");
}

static void assert_not_learnt(void) {
    char own[32];
    assert_int_equal(call(false).status, 403);
    assert_int_equal(test.server.requests, 1);
    memcpy(own, test.dates[0], sizeof own);
    assert_int_equal(call(false).status, 200);
    assert_string_equal(test.dates[1], own);
}

static void test_a_wrong_secret_is_no_clock(void **state) {
    (void)state;
    test.wall_ms += AWS_CLOCK_SKEW_MIN_MS - 1;
    assert_not_learnt();
}

static void test_too_far_off_to_be_believed(void **state) {
    (void)state;
    test.wall_ms += AWS_CLOCK_SKEW_MAX_MS + 1;
    assert_not_learnt();
}

static void test_no_date_no_clock(void **state) {
    (void)state;
    test.wall_ms += HOUR_MS;
    test.without_date = true;
    assert_not_learnt();
}

static void test_another_refusal_says_nothing_of_the_clock(void **state) {
    (void)state;
    test.wall_ms += HOUR_MS;
    test.error_code = "AccessDenied";
    assert_not_learnt();
}

/* A request that was signed, and then lay here until its date was old. */
static void test_a_right_clock_is_kept(void **state) {
    (void)state;
    test.wall_ms -= HOUR_MS;
    test.refusals = 1;
    assert_int_equal(call(false).status, 200); /* off by an hour */
    test.refusals = 3;
    test.boottime_ms += 2 * HOUR_MS; /* and the service's clock isn't: it went wrong itself */
    test.wall_ms = STUB_DATE_MS + 5000;
    assert_int_equal(call(false).status, 200);
    assert_int_equal(test.server.requests, 4);
    assert_string_equal(test.dates[2], "20261123T230305Z");
    assert_string_equal(test.dates[3], "20261123T210310Z"); /* by the own clock again */
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_example_of_aws),
        TEST(test_what_cannot_be_signed),
        TEST(test_sent_again_by_the_clock_of_the_service),
        TEST(test_once_only),
        TEST(test_an_effect_is_never_sent_again),
        TEST(test_a_wrong_secret_is_no_clock),
        TEST(test_too_far_off_to_be_believed),
        TEST(test_no_date_no_clock),
        TEST(test_another_refusal_says_nothing_of_the_clock),
        TEST(test_a_right_clock_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
