/* The driver's line of calls, on a server that says what the test wants: every callback fires once,
 * later, whatever happens, and at most one request a zone is under way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/text.h"
#include "records.h"
#include "stub_server.h"

enum { MANY = 300 };

static struct {
    uv_loop_t loop;
    struct stub_server server;
    struct driver *driver;
    struct driver_target target;
    bool closed;
    bool inside_call;
    /* The server. */
    int list_status, change_status; /* 0: no answer */
    const char *error_code;
    unsigned lists, changes, get_changes;
    bool list_before_get_change;
} test;

struct outcome {
    unsigned count;
    bool done;
    bool close_then;
    struct error error;
    struct driver_reading reading;
    struct driver_sent sent;
};

static void reply_with(struct buffer *reply, int status, const char *body) {
    char error[512];
    if (status == 200) {
        stub_reply(reply, 200, body);
    } else if (status != 0) {
        (void)snprintf(error, sizeof error,
                       "<ErrorResponse><Error><Code>%s</Code><Message>words</Message></Error>"
                       "</ErrorResponse>",
                       test.error_code);
        stub_reply(reply, status, error);
    }
}

static bool answer(void *context, const struct stub_request *request, struct buffer *reply) {
    static const char list[] = "<ListResourceRecordSetsResponse><ResourceRecordSets>" SET_FENCE(
        "60", VALUE("&quot;t/s/1.1/1&quot;")) SET_A
        "</ResourceRecordSets><IsTruncated>false</IsTruncated></ListResourceRecordSetsResponse>";
    static const char info[] = "<R><ChangeInfo><Id>/change/C1</Id><Status>INSYNC</Status>"
                               "</ChangeInfo></R>";
    (void)context;
    if (text_equal(request->method, "POST")) {
        test.changes++;
        reply_with(reply, test.change_status, info);
    } else if (strstr(request->path, "/change/") != NULL) {
        test.get_changes++;
        test.list_before_get_change = test.list_before_get_change || test.lists > 0;
        stub_reply(reply, 200, info);
    } else {
        test.lists++;
        reply_with(reply, test.list_status, list);
    }
    return true;
}

static int set_up(void **state) {
    (void)state;
    memset(&test, 0, sizeof test);
    test.list_status = test.change_status = 200;
    test.error_code = "Throttling";
    setenv("AWS_ACCESS_KEY_ID", "AKID", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
    unsetenv("AWS_SESSION_TOKEN");
    uv_loop_init(&test.loop);
    stub_server_start(&test.server, &test.loop, answer, NULL);
    setenv("AWS_ENDPOINT_URL_ROUTE_53", test.server.url, 1);
    struct route53_options options = {
        .loop = &test.loop,
        .clock = &clock_system,
        .entropy = &entropy_system,
        .node = "n1",
        .request_timeout_ms = 2000,
        .read_timeout_ms = 3000,
    };
    assert_int_equal(route53_create(&options, &test.driver, NULL), ERROR_OK);
    records_make_target(&test.target);
    records_add_key(&test.target, "nocturnal.com", "A", "");
    return 0;
}

static void on_closed(void *context) {
    (void)context;
    test.closed = true;
    test.driver = NULL;
}

static int tear_down(void **state) {
    (void)state;
    if (test.driver != NULL && !test.closed) {
        driver_close(test.driver, on_closed, NULL);
        run_until(&test.loop, &test.closed);
    }
    stub_server_stop(&test.server);
    uv_run(&test.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&test.loop), 0);
    return 0;
}

static void note(struct outcome *outcome) {
    assert_false(test.inside_call);
    outcome->count++;
    outcome->done = true;
    if (outcome->close_then) {
        driver_close(test.driver, on_closed, NULL);
        test.driver = NULL;
    }
}

static void on_read(void *context, const struct error *error,
                    const struct driver_reading *reading) {
    struct outcome *outcome = context;
    assert_true((error == NULL) != (reading == NULL));
    if (error != NULL) {
        outcome->error = *error;
    }
    if (reading != NULL) {
        outcome->reading = *reading;
    }
    note(outcome);
}

static void on_sent(void *context, const struct driver_sent *sent) {
    struct outcome *outcome = context;
    outcome->sent = *sent;
    note(outcome);
}

static void begin_read(struct outcome *outcome, const char *change_id) {
    memset(outcome, 0, sizeof *outcome);
    test.inside_call = true;
    driver_read(test.driver, &test.target, change_id, on_read, outcome);
    test.inside_call = false;
}

static void begin_send(struct outcome *outcome, const char *fence_after, uint64_t in_ms) {
    memset(outcome, 0, sizeof *outcome);
    struct driver_change change = {
        .fence_before = "t/s/1.1/1",
        .fence_after = fence_after,
        .comment = "c",
        .deadline_boottime_ms = clock_boottime_ms(&clock_system) + in_ms,
    };
    test.inside_call = true;
    driver_send(test.driver, &test.target, &change, on_sent, outcome);
    test.inside_call = false;
}

static void wait_for(struct outcome *outcome) {
    run_until(&test.loop, &outcome->done);
    assert_int_equal(outcome->count, 1);
}

static void test_read_and_send(void **state) {
    (void)state;
    static struct outcome o;
    begin_read(&o, "/change/C1");
    wait_for(&o);
    assert_int_equal(o.error.code, ERROR_OK);
    assert_int_equal(o.reading.sync, DRIVER_SYNC_INSYNC);
    assert_string_equal(o.reading.fence, "t/s/1.1/1");
    assert_string_equal(o.reading.summary, "nocturnal.com A 192.0.2.1");
    assert_false(test.list_before_get_change);
    assert_int_equal(test.get_changes, 1);
    begin_send(&o, "t/s/1.2/1", 5000);
    wait_for(&o);
    assert_int_equal(o.sent.reply, DRIVER_REPLY_ACCEPTED);
    assert_string_equal(o.sent.change_id, "C1");
    assert_int_equal(test.changes, 1);
}

static void test_bad_arguments_come_back_as_replies(void **state) {
    (void)state;
    static struct outcome o;
    begin_read(&o, "C1/../../x");
    wait_for(&o);
    assert_int_equal(o.error.code, ERROR_INVALID);
    begin_send(&o, "not a fence", 5000);
    wait_for(&o);
    assert_int_equal(o.sent.reply, DRIVER_REPLY_NOT_SENT);
    (void)TEXT_COPY(test.target.zone, "Z1/../x");
    begin_read(&o, "");
    wait_for(&o);
    assert_int_equal(o.error.code, ERROR_INVALID);
    begin_send(&o, "t/s/1.2/1", 5000);
    wait_for(&o);
    assert_int_equal(o.sent.reply, DRIVER_REPLY_NOT_SENT);
    (void)TEXT_COPY(test.target.zone, "/hostedzone/Z1234567890ABC");
    begin_read(&o, "");
    wait_for(&o);
    assert_int_equal(o.error.code, ERROR_OK);
    assert_int_equal(test.server.requests, 1);
}

static void assert_reply(int status, const char *code, enum driver_reply reply, bool later) {
    static struct outcome o;
    unsigned before = test.changes;
    test.change_status = status;
    test.error_code = code;
    begin_send(&o, "t/s/1.2/1", 5000);
    wait_for(&o);
    assert_int_equal(o.sent.reply, reply);
    assert_int_equal(o.sent.retry_later, later);
    assert_int_equal(test.changes, before + 1);
}

static void test_what_a_reply_means(void **state) {
    (void)state;
    assert_reply(400, "InvalidChangeBatch", DRIVER_REPLY_REFUSED, false);
    assert_reply(400, "Throttling", DRIVER_REPLY_REFUSED, true);
    assert_reply(400, "PriorRequestNotComplete", DRIVER_REPLY_REFUSED, true);
    assert_reply(403, "AccessDenied", DRIVER_REPLY_REFUSED, false);
    assert_reply(404, "NoSuchHostedZone", DRIVER_REPLY_REFUSED, false);
    assert_reply(403, "RequestExpired", DRIVER_REPLY_REFUSED, false);
    assert_reply(403, "ExpiredToken", DRIVER_REPLY_REFUSED, false);
    assert_reply(500, "InternalFailure", DRIVER_REPLY_UNKNOWN, false);
    assert_reply(503, "Throttling", DRIVER_REPLY_UNKNOWN, true);
    assert_reply(400, "", DRIVER_REPLY_UNKNOWN, false); /* not the API's words */
    assert_reply(301, "Moved", DRIVER_REPLY_UNKNOWN, false);
    assert_reply(0, "", DRIVER_REPLY_UNKNOWN, false); /* silence, until the time-out */
}

static void test_a_throttled_read_ends_at_its_time(void **state) {
    (void)state;
    static struct outcome o;
    test.list_status = 400;
    begin_read(&o, "");
    wait_for(&o);
    assert_int_equal(o.error.code, ERROR_UNAVAILABLE);
    assert_in_range(test.lists, 2, 20);
}

static void test_one_request_a_zone(void **state) {
    (void)state;
    static struct outcome first, second, effect, other;
    test.list_status = 0;
    begin_read(&first, "");
    bool asked = false;
    for (int i = 0; i < 1000 && !asked; i++) {
        uv_run(&test.loop, UV_RUN_NOWAIT);
        asked = test.lists == 1;
    }
    assert_true(asked);
    begin_read(&second, "");
    begin_send(&effect, "t/s/1.2/1", 20);
    (void)TEXT_COPY(test.target.zone, "ZOTHER");
    test.list_status = 200;
    begin_read(&other, "");
    wait_for(&other); /* another zone isn't held up */
    assert_int_equal(other.error.code, ERROR_OK);
    wait_for(&effect);
    assert_int_equal(effect.sent.reply, DRIVER_REPLY_NOT_SENT);
    assert_non_null(strstr(effect.sent.message, "deadline"));
    assert_false(first.done || second.done);
    assert_int_equal(test.changes, 0);
    wait_for(&first);
    assert_int_equal(first.error.code, ERROR_TIMEOUT);
    wait_for(&second);
    assert_int_equal(second.error.code, ERROR_OK);
}

static void test_more_calls_than_the_limit(void **state) {
    (void)state;
    static struct outcome outcomes[MANY];
    unsigned refused = 0;
    for (int i = 0; i < MANY; i++) {
        begin_read(&outcomes[i], "");
    }
    for (int i = 0; i < MANY; i++) {
        wait_for(&outcomes[i]);
        refused += outcomes[i].error.code == ERROR_UNAVAILABLE;
        assert_true(outcomes[i].error.code == ERROR_OK ||
                    outcomes[i].error.code == ERROR_UNAVAILABLE);
    }
    assert_int_equal(refused, MANY - 256);
    static struct outcome after;
    begin_read(&after, "");
    wait_for(&after);
    assert_int_equal(after.error.code, ERROR_OK);
}

static void test_close_from_inside_a_callback(void **state) {
    (void)state;
    static struct outcome first, waiting;
    begin_read(&first, "");
    begin_read(&waiting, "C1");
    first.close_then = true;
    run_until(&test.loop, &first.done);
    run_until(&test.loop, &test.closed);
    assert_int_equal(waiting.count, 1);
    assert_int_equal(waiting.error.code, ERROR_CANCELLED);
}

static void test_close_at_every_moment(void **state) {
    static struct outcome read, throttled, effect;
    for (int turns = 0; turns < 40; turns++) {
        begin_read(&read, "C1");
        begin_send(&effect, "t/s/1.2/1", 5000);
        (void)TEXT_COPY(test.target.zone, "ZOTHER");
        test.list_status = turns % 2 == 0 ? 200 : 400;
        begin_read(&throttled, "");
        for (int i = 0; i < turns; i++) {
            uv_run(&test.loop, UV_RUN_NOWAIT);
        }
        driver_close(test.driver, on_closed, NULL);
        assert_false(test.closed);
        run_until(&test.loop, &test.closed);
        assert_int_equal(read.count, 1);
        assert_int_equal(throttled.count, 1);
        assert_int_equal(effect.count, 1);
        assert_true(effect.sent.reply != DRIVER_REPLY_NOT_SENT || test.changes == 0);
        tear_down(state);
        set_up(state);
    }
}

static void test_prepare_warms_the_keys(void **state) {
    (void)state;
    static struct outcome o;
    route53_prepare(test.driver, &test.target);
    begin_read(&o, "");
    wait_for(&o);
    assert_int_equal(o.error.code, ERROR_OK);
}

static void test_an_endpoint_that_is_refused(void **state) {
    (void)state;
    struct driver *driver = NULL;
    struct error error;
    struct route53_options options = {
        .loop = &test.loop, .clock = &clock_system, .entropy = &entropy_system, .node = "n1"};
    setenv("AWS_ENDPOINT_URL_ROUTE_53", "http://example.com", 1);
    assert_int_equal(route53_create(&options, &driver, &error), ERROR_INVALID);
    assert_null(driver);
    assert_non_null(strstr(error.message, "AWS_ENDPOINT_URL_ROUTE_53"));
}

int main(void) {
    log_configure(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, "n1");
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_read_and_send),
        TEST(test_bad_arguments_come_back_as_replies),
        TEST(test_what_a_reply_means),
        TEST(test_a_throttled_read_ends_at_its_time),
        TEST(test_one_request_a_zone),
        TEST(test_more_calls_than_the_limit),
        TEST(test_close_from_inside_a_callback),
        TEST(test_close_at_every_moment),
        TEST(test_prepare_warms_the_keys),
        TEST(test_an_endpoint_that_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
