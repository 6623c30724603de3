/* Requests on the loop: fresh and reused connections, deadlines, limits, cancelling, and a resolver
 * that hangs. */
#include <dlfcn.h>
#include <netdb.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "http_client.h"
#include "base/text.h"
#include "stub_server.h"

/* libcurl resolves names through this one. A name that begins with "hang" hangs until released. */
static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool released;
    unsigned hanging;
} resolver = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

/* The parameters are called as in netdb.h. */
int getaddrinfo(const char *__name, const char *__service, const struct addrinfo *__req,
                struct addrinfo **__pai) {
    static int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    if (__name != NULL && text_starts_with(__name, "hang")) {
        pthread_mutex_lock(&resolver.mutex);
        resolver.hanging++;
        while (!resolver.released) {
            pthread_cond_wait(&resolver.changed, &resolver.mutex);
        }
        resolver.hanging--;
        pthread_cond_broadcast(&resolver.changed);
        pthread_mutex_unlock(&resolver.mutex);
        return EAI_AGAIN;
    }
    if (real == NULL) {
        *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    }
    return real(__name, __service, __req, __pai);
}

static void release_resolver(void) {
    pthread_mutex_lock(&resolver.mutex);
    resolver.released = true;
    pthread_cond_broadcast(&resolver.changed);
    while (resolver.hanging > 0) {
        pthread_cond_wait(&resolver.changed, &resolver.mutex);
    }
    pthread_mutex_unlock(&resolver.mutex);
}

static struct {
    uv_loop_t loop;
    struct stub_server server;
    struct http_client *http;
    bool closed;
    uint64_t boottime_ms; /* of the tested code's clock; 0: the machine's */
} test;

struct outcome {
    bool done;
    unsigned count;
    enum error_code code;
    char message[256];
    bool sent, has_date;
    long status;
    uint64_t date_wall_ms;
    size_t size_bytes;
    char body[64];
};

static uint64_t test_boottime_ms(void *context) {
    (void)context;
    return test.boottime_ms != 0 ? test.boottime_ms : clock_boottime_ms(&clock_system);
}

static uint64_t test_wall_ms(void *context) {
    (void)context;
    return clock_wall_ms(&clock_system);
}

static const struct clock test_clock = {test_boottime_ms, test_wall_ms, NULL};

static bool inside_send;

static void on_response(void *context, const struct http_response *response) {
    struct outcome *outcome = context;
    assert_false(inside_send);
    outcome->done = true;
    outcome->count++;
    outcome->code = response->error.code;
    (void)TEXT_COPY(outcome->message, response->error.message);
    outcome->sent = response->sent;
    outcome->status = response->status;
    outcome->has_date = response->has_date;
    outcome->date_wall_ms = response->date_wall_ms;
    outcome->size_bytes = response->body_size_bytes;
    (void)snprintf(outcome->body, sizeof outcome->body, "%.*s", (int)response->body_size_bytes,
                   response->body);
}

static void on_closed(void *context) {
    *(bool *)context = true;
}

/* /ok, /status/N, /hang, /cut, /huge, /slow-body; "/echo" gives the headers back. */
static bool answer(void *context, const struct stub_request *request, struct buffer *reply) {
    (void)context;
    if (text_equal(request->path, "/hang")) {
        return true;
    }
    if (text_equal(request->path, "/cut")) {
        return false;
    }
    if (text_starts_with(request->path, "/huge")) {
        size_t size_bytes =
            HTTP_CLIENT_RESPONSE_MAX + (text_equal(request->path, "/huge-by-one") ? 1 : 0);
        buffer_append_format(reply, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", size_bytes);
        for (size_t i = 0; i < size_bytes; i++) {
            buffer_append(reply, "x", 1);
        }
    } else if (text_equal(request->path, "/half")) {
        buffer_append_text(reply, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
    } else if (text_equal(request->path, "/no-http")) {
        buffer_append_text(reply, "SSH-2.0-x\r\n\r\n");
    } else if (text_equal(request->path, "/redirect")) {
        buffer_append_text(reply, "HTTP/1.1 307 x\r\nLocation: /ok\r\nContent-Length: 0\r\n\r\n");
    } else if (text_starts_with(request->path, "/status/")) {
        stub_reply(reply, (int)strtol(request->path + 8, NULL, 10), "status");
    } else {
        stub_reply(reply, 200, request->method);
    }
    return true;
}

static int set_up(void **state) {
    (void)state;
    memset(&test, 0, sizeof test);
    unsetenv("http_proxy");
    uv_loop_init(&test.loop);
    stub_server_start(&test.server, &test.loop, answer, NULL);
    assert_int_equal(http_client_create(&test.loop, &test_clock, NULL, &test.http, NULL), ERROR_OK);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    if (!test.closed) {
        http_client_close(test.http, on_closed, &test.closed);
        run_until(&test.loop, &test.closed);
    }
    stub_server_stop(&test.server);
    uv_run(&test.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&test.loop), 0);
    return 0;
}

static void send_request(struct outcome *outcome, const char *path, struct http_request request) {
    char url[256];
    (void)snprintf(url, sizeof url, "%s%s", path[0] == '/' ? test.server.url : "", path);
    request.url = url;
    request.method = request.method == NULL ? "GET" : request.method;
    request.timeout_ms = request.timeout_ms == 0 ? 5000 : request.timeout_ms;
    request.connect_timeout_ms = 2000;
    *outcome = (struct outcome){.done = false};
    inside_send = true;
    http_client_send(test.http, &request, on_response, outcome);
    inside_send = false;
}

static void call(struct outcome *outcome, const char *path, struct http_request request) {
    send_request(outcome, path, request);
    run_until(&test.loop, &outcome->done);
    assert_int_equal(outcome->count, 1);
}

static void test_reply(void **state) {
    (void)state;
    struct outcome o;
    call(&o, "/ok", (struct http_request){.method = "GET"});
    assert_int_equal(o.code, ERROR_OK);
    assert_int_equal(o.status, 200);
    assert_string_equal(o.body, "GET");
    assert_true(o.sent && o.has_date);
    assert_int_equal(o.date_wall_ms, STUB_DATE_MS);
    call(&o, "/ok", (struct http_request){.method = "PUT"});
    assert_string_equal(o.body, "PUT");
    call(&o, "/ok", (struct http_request){.method = "POST", .body = "", .body_size_bytes = 0});
    assert_string_equal(o.body, "POST");
    call(&o, "/status/404", (struct http_request){.method = "GET"});
    assert_int_equal(o.code, ERROR_OK);
    assert_int_equal(o.status, 404);
    call(&o, "/redirect", (struct http_request){.method = "GET"});
    assert_int_equal(o.status, 307);
    assert_int_equal(test.server.requests, 5);
}

static void test_reads_reuse_and_effects_do_not(void **state) {
    (void)state;
    struct outcome o;
    for (int i = 0; i < 3; i++) {
        call(&o, "/ok", (struct http_request){.method = "GET"});
    }
    assert_int_equal(test.server.connections, 1);
    for (unsigned i = 0; i < 3; i++) {
        call(&o, "/ok",
             (struct http_request){
                 .method = "POST", .body = "x", .body_size_bytes = 1, .effect = true});
        assert_int_equal(o.status, 200);
        assert_int_equal(test.server.connections, 2 + i);
    }
    call(&o, "/ok", (struct http_request){.method = "GET"});
    assert_int_equal(test.server.connections, 4); /* not one of an effect */
}

/* A connection that is cut after the request: an effect arrives once, whatever libcurl does. */
static void test_an_effect_is_sent_once(void **state) {
    (void)state;
    struct outcome o;
    call(&o, "/ok", (struct http_request){.method = "GET"});
    call(
        &o, "/cut",
        (struct http_request){.method = "POST", .body = "x", .body_size_bytes = 1, .effect = true});
    assert_int_equal(o.code, ERROR_UNAVAILABLE);
    assert_true(o.sent);
    assert_int_equal(test.server.requests, 2);
}

static void test_refused_connection(void **state) {
    (void)state;
    struct outcome o;
    call(&o, "http://127.0.0.1:1/", (struct http_request){.effect = true});
    assert_int_equal(o.code, ERROR_UNAVAILABLE);
    assert_false(o.sent);
    assert_true(o.message[0] != '\0');
}

static void test_timeout(void **state) {
    (void)state;
    struct outcome o;
    call(&o, "/hang", (struct http_request){.timeout_ms = 50});
    assert_int_equal(o.code, ERROR_TIMEOUT);
    assert_true(o.sent);
}

static void test_broken_replies(void **state) {
    (void)state;
    struct outcome o;
    call(&o, "/half", (struct http_request){.timeout_ms = 100});
    assert_int_not_equal(o.code, ERROR_OK);
    assert_true(o.sent);
    call(&o, "/no-http", (struct http_request){.timeout_ms = 1000});
    assert_int_not_equal(o.code, ERROR_OK);
    assert_true(o.sent);
}

static void test_reply_at_the_limit_and_beyond(void **state) {
    (void)state;
    struct outcome o;
    call(&o, "/huge", (struct http_request){.method = "GET"});
    assert_int_equal(o.code, ERROR_OK);
    assert_int_equal(o.size_bytes, HTTP_CLIENT_RESPONSE_MAX);
    call(&o, "/huge-by-one", (struct http_request){.method = "GET"});
    assert_int_equal(o.code, ERROR_LIMIT);
}

static void test_deadline(void **state) {
    (void)state;
    struct outcome o;
    test.boottime_ms = 1000;
    call(&o, "/ok", (struct http_request){.effect = true, .deadline_boottime_ms = 1001});
    assert_int_equal(o.code, ERROR_OK);
    test.boottime_ms = 1001;
    call(&o, "/ok", (struct http_request){.effect = true, .deadline_boottime_ms = 1001});
    assert_int_equal(o.code, ERROR_TIMEOUT);
    assert_false(o.sent);
    assert_int_equal(test.server.requests, 1);
    assert_true(test.server.connections >= 1);
}

static void test_other_schemes_and_nonsense(void **state) {
    (void)state;
    struct outcome o;
    call(&o, "file:///etc/passwd", (struct http_request){.method = "GET"});
    assert_int_equal(o.code, ERROR_INVALID);
    assert_false(o.sent);
    call(&o, "", (struct http_request){.method = "GET"});
    assert_int_not_equal(o.code, ERROR_OK);
    assert_false(o.sent);
}

static void test_proxy_is_for_the_public_only(void **state) {
    (void)state;
    struct outcome o;
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    call(&o, "/ok", (struct http_request){.direct = true});
    assert_int_equal(o.code, ERROR_OK);
    call(&o, "/ok", (struct http_request){.effect = true});
    assert_int_equal(o.code, ERROR_UNAVAILABLE);
    assert_false(o.sent);
}

static void test_too_many_at_once(void **state) {
    (void)state;
    static struct outcome outcomes[HTTP_CLIENT_CALL_MAX + 1];
    for (int i = 0; i < HTTP_CLIENT_CALL_MAX + 1; i++) {
        send_request(&outcomes[i], "/hang", (struct http_request){.method = "GET"});
    }
    run_until(&test.loop, &outcomes[HTTP_CLIENT_CALL_MAX].done);
    assert_int_equal(outcomes[HTTP_CLIENT_CALL_MAX].code, ERROR_UNAVAILABLE);
    assert_false(outcomes[HTTP_CLIENT_CALL_MAX].sent);
    assert_false(outcomes[0].done);
    http_client_close(test.http, on_closed, &test.closed);
    run_until(&test.loop, &test.closed);
    for (int i = 0; i < HTTP_CLIENT_CALL_MAX; i++) {
        assert_int_equal(outcomes[i].count, 1);
        assert_int_equal(outcomes[i].code, ERROR_CANCELLED);
    }
}

static struct outcome after_close;

static void on_cancelled(void *context, const struct http_response *response) {
    assert_int_equal(response->error.code, ERROR_CANCELLED);
    send_request(&after_close, "/ok", (struct http_request){.method = "GET"});
    *(bool *)context = true;
}

static void test_close_cancels_also_what_comes_then(void **state) {
    (void)state;
    bool cancelled = false;
    struct http_request request = {
        .method = "GET", .url = "http://127.0.0.1:1/", .timeout_ms = 1000, .connect_timeout_ms = 1};
    http_client_send(test.http, &request, on_cancelled, &cancelled);
    http_client_close(test.http, on_closed, &test.closed);
    assert_false(test.closed);
    run_until(&test.loop, &test.closed);
    assert_true(cancelled);
    assert_int_equal(after_close.count, 1);
    assert_int_equal(after_close.code, ERROR_CANCELLED);
}

/* Dead name servers stop neither the loop nor the end of the process. */
static void test_a_resolver_that_hangs(void **state) {
    (void)state;
    struct outcome hung, forever, other;
    send_request(&forever, "http://hang.test:1/", (struct http_request){.timeout_ms = 60000});
    send_request(&hung, "http://hang2.test:1/", (struct http_request){.timeout_ms = 50});
    uint64_t start_ms = clock_boottime_ms(&clock_system);
    call(&other, "/ok", (struct http_request){.method = "GET"});
    assert_int_equal(other.code, ERROR_OK);
    run_until(&test.loop, &hung.done);
    assert_int_equal(hung.code, ERROR_TIMEOUT);
    assert_false(hung.sent || forever.done);
    http_client_close(test.http, on_closed, &test.closed);
    run_until(&test.loop, &test.closed);
    assert_int_equal(forever.code, ERROR_CANCELLED);
    assert_true(clock_boottime_ms(&clock_system) - start_ms < 5000);
    release_resolver();
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_reply),
        TEST(test_reads_reuse_and_effects_do_not),
        TEST(test_an_effect_is_sent_once),
        TEST(test_refused_connection),
        TEST(test_timeout),
        TEST(test_broken_replies),
        TEST(test_reply_at_the_limit_and_beyond),
        TEST(test_deadline),
        TEST(test_other_schemes_and_nonsense),
        TEST(test_proxy_is_for_the_public_only),
        TEST(test_too_many_at_once),
        TEST(test_close_cancels_also_what_comes_then),
        TEST(test_a_resolver_that_hangs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
