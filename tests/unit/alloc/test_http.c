/* A request by libcurl, when memory runs out in the middle: it ends once, with the reply or with an
 * error, and says that it may have arrived when it may. The server has a thread of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "failing.h"
#include "http_client.h"
#include "stub_server.h"

static struct {
    uv_thread_t thread;
    uv_loop_t loop;
    uv_async_t end;
    uv_sem_t ready;
    struct stub_server server;
} other; /* the server's thread */

static uv_loop_t loop;
static bool is_over, is_closed, is_right;
static unsigned over_count;

void *__wrap_driver_allocate(size_t size_bytes);
void *__wrap_driver_allocate(size_t size_bytes) {
    return spared_allocate(size_bytes);
}

static bool answer(void *context, const struct stub_request *request, struct buffer *reply) {
    (void)context;
    (void)request;
    stub_reply(reply, 200, "hello");
    return true;
}

static void on_end(uv_async_t *end) {
    stub_server_stop(&other.server);
    uv_close((uv_handle_t *)end, NULL);
}

static void serve(void *context) {
    (void)context;
    (void)uv_loop_init(&other.loop);
    (void)uv_async_init(&other.loop, &other.end, on_end);
    stub_server_start(&other.server, &other.loop, answer, NULL);
    uv_sem_post(&other.ready);
    (void)uv_run(&other.loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&other.loop);
}

static void on_response(void *context, const struct http_response *response) {
    (void)context;
    over_count++;
    is_over = true;
    is_right = response->error.code == ERROR_OK;
    if (is_right) {
        assert_true(response->sent);
        assert_int_equal(response->status, 200);
        assert_int_equal(response->body_size_bytes, 5);
        assert_memory_equal(response->body, "hello", 5);
    }
}

static void on_closed(void *context) {
    (void)context;
    is_closed = true;
}

static bool request(void) {
    struct http_client *http = NULL;
    struct error error;
    is_over = is_closed = is_right = false;
    over_count = 0;
    if (http_client_create(&loop, &clock_system, NULL, &http, &error) != ERROR_OK) {
        (void)uv_run(&loop, UV_RUN_NOWAIT); /* what had been made goes */
        return false;
    }
    struct http_request get = {
        .method = "GET",
        .url = other.server.url,
        .headers = {"X-Test: 1"},
        .timeout_ms = 200,
        .connect_timeout_ms = 200,
    };
    http_client_send(http, &get, on_response, NULL);
    assert_false(is_over);
    while (!is_over) {
        (void)uv_run(&loop, UV_RUN_ONCE);
    }
    http_client_close(http, on_closed, NULL);
    while (!is_closed) {
        (void)uv_run(&loop, UV_RUN_ONCE);
    }
    assert_int_equal(over_count, 1);
    return is_right;
}

static void test_request(void **state) {
    (void)state;
    assert_true(check_leaky_scenario("a request", request) > 10);
}

static int set_up(void **state) {
    (void)state;
    unsetenv("http_proxy");
    assert_int_equal(uv_sem_init(&other.ready, 0), 0);
    assert_int_equal(uv_thread_create(&other.thread, serve, NULL), 0);
    uv_sem_wait(&other.ready);
    return uv_loop_init(&loop);
}

static int tear_down(void **state) {
    (void)state;
    (void)uv_async_send(&other.end);
    (void)uv_thread_join(&other.thread);
    uv_sem_destroy(&other.ready);
    return uv_loop_close(&loop);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_request)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
