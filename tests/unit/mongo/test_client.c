/* Questions that hang, that are refused, and that are given up: what libmongoc does with a real
 * server is in tests/integration/test_mongo_watch.py. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/text.h"
#include "mongo/client.h"

#define TIMEOUT_MS 300

static uv_loop_t loop;
static struct mongo_client *client;
static bool client_closed;

struct answer {
    uint32_t count;
    enum mongo_result result;
    uint32_t took_ms;
};

static void on_closed(void *context) {
    *(bool *)context = true;
}

/* A socket that takes connections (the kernel does) and never says a word. */
static int open_silent(char host[MONGO_HOST_SIZE]) {
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(fd, 64), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    (void)snprintf(host, MONGO_HOST_SIZE, "127.0.0.1:%u", ntohs(address.sin_port));
    return fd;
}

static struct mongo_link *open_link(const char *host, uint32_t timeout_ms) {
    struct mongo_target target = {.timeout_ms = timeout_ms};
    (void)TEXT_COPY(target.uri, "mongodb://a,b:27018/?replicaSet=rs0");
    (void)TEXT_COPY(target.host, host);
    struct mongo_link *link = mongo_link_create(client, &target);
    assert_non_null(link);
    return link;
}

static void on_reply(void *context, const struct mongo_reply *reply) {
    struct answer *answer = context;
    answer->count++;
    answer->result = reply->result;
    answer->took_ms = reply->took_ms;
    assert_true(reply->document == NULL || reply->result == MONGO_RESULT_OK);
}

static void ask(struct mongo_link *link, uint32_t timeout_ms, struct answer *answer) {
    bson_t command = BSON_INITIALIZER;
    BSON_APPEND_INT32(&command, "hello", 1);
    mongo_link_ask(link, "admin", &command, MONGO_REPEATABLE, timeout_ms, on_reply, answer);
    bson_destroy(&command);
}

static void wait_for(const struct answer *answer) {
    while (answer->count == 0) {
        (void)uv_run(&loop, UV_RUN_ONCE);
    }
    assert_int_equal(answer->count, 1);
}

static int setup(void **state) {
    struct error error;
    (void)state;
    client_closed = false;
    return uv_loop_init(&loop) == 0 && mongo_client_create(&loop, 4, &client, &error) == ERROR_OK
               ? 0
               : -1;
}

static int teardown(void **state) {
    (void)state;
    mongo_client_destroy(client, on_closed, &client_closed);
    while (!client_closed) {
        (void)uv_run(&loop, UV_RUN_ONCE);
    }
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    return uv_loop_close(&loop);
}

static void a_refused_connection_is_told_at_once(void **state) {
    char host[MONGO_HOST_SIZE];
    struct answer answer = {0};
    (void)state;
    (void)close(open_silent(host)); /* a port that nobody listens on any more */
    struct mongo_link *link = open_link(host, 20000);
    ask(link, 20000, &answer);
    wait_for(&answer);
    assert_int_equal(answer.result, MONGO_RESULT_REFUSED);
    assert_true(answer.took_ms < 10000);
    mongo_link_destroy(link);
}

/* The link's own steps may take for ever: the deadline holds, and nobody else waits. */
static void who_hangs_delays_nobody(void **state) {
    char silent[MONGO_HOST_SIZE];
    char refused[MONGO_HOST_SIZE];
    struct answer hung = {0};
    struct answer other = {0};
    int fd = open_silent(silent);
    (void)state;
    (void)close(open_silent(refused));
    struct mongo_link *slow = open_link(silent, 2000);
    struct mongo_link *quick = open_link(refused, 2000);
    ask(slow, TIMEOUT_MS, &hung);
    ask(quick, 20000, &other);
    wait_for(&other);
    assert_int_equal(other.result, MONGO_RESULT_REFUSED);
    assert_int_equal(hung.count, 0);
    wait_for(&hung);
    assert_int_equal(hung.result, MONGO_RESULT_TIMEOUT);
    assert_true(hung.took_ms >= TIMEOUT_MS && hung.took_ms < 1500);
    struct mongo_client_stats stats;
    mongo_client_stats(client, &stats);
    assert_int_equal(stats.busy_count, 1); /* the thread still hangs, and only that one */
    /* What is asked after it waits behind it, and takes no other thread. */
    struct answer behind = {0};
    ask(slow, 10, &behind);
    wait_for(&behind);
    assert_int_equal(behind.result, MONGO_RESULT_TIMEOUT);
    mongo_client_stats(client, &stats);
    assert_int_equal(stats.busy_count, 1);
    mongo_link_destroy(slow);
    mongo_link_destroy(quick);
    (void)close(fd);
}

static void who_gives_up_is_told_so_once(void **state) {
    char host[MONGO_HOST_SIZE];
    struct answer answers[3] = {{0}};
    int fd = open_silent(host);
    (void)state;
    struct mongo_link *link = open_link(host, 500);
    for (int i = 0; i < 3; i++) {
        ask(link, 20000, &answers[i]);
    }
    mongo_link_destroy(link);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(answers[i].count, 1);
        assert_int_equal(answers[i].result, MONGO_RESULT_CANCELLED);
    }
    (void)close(fd);
}

/* Two of the four threads are for those that failed last: two more don't wait for them. */
static void members_that_are_gone_get_half_of_the_threads(void **state) {
    char silent[MONGO_HOST_SIZE];
    char refused[MONGO_HOST_SIZE];
    struct mongo_link *gone[6];
    struct answer other = {0};
    int fd = open_silent(silent);
    (void)state;
    (void)close(open_silent(refused));
    struct answer again[6] = {{0}};
    for (int i = 0; i < 6; i++) {
        gone[i] = open_link(silent, 300);
        ask(gone[i], 20000, &again[i]);
    }
    wait_for(&again[0]);
    for (int i = 1; i < 6; i++) {
        wait_for(&again[i]);
    }
    memset(again, 0, sizeof again);
    for (int i = 0; i < 6; i++) { /* now they are known to hang */
        ask(gone[i], 20000, &again[i]);
    }
    struct mongo_link *well = open_link(refused, 1000);
    ask(well, 20000, &other);
    wait_for(&other);
    assert_int_equal(other.result, MONGO_RESULT_REFUSED);
    for (int i = 0; i < 6; i++) {
        assert_int_equal(again[i].count, 0); /* none of them was answered before */
    }
    for (int i = 0; i < 6; i++) {
        mongo_link_destroy(gone[i]);
    }
    mongo_link_destroy(well);
    (void)close(fd);
}

static void on_seeds(void *context, const struct mongo_reply *reply) {
    struct answer *answer = context;
    bson_iter_t iter;
    bson_iter_t found;
    on_reply(context, reply);
    assert_int_equal(answer->result, MONGO_RESULT_OK);
    assert_true(bson_iter_init(&iter, reply->document) &&
                bson_iter_find_descendant(&iter, "hosts.1", &found));
    assert_string_equal(bson_iter_utf8(&found, NULL), "b:27018");
    assert_true(bson_iter_init_find(&iter, reply->document, "setName"));
    assert_string_equal(bson_iter_utf8(&iter, NULL), "rs0");
}

static void seeds_come_from_the_uri(void **state) {
    struct answer answer = {0};
    (void)state;
    struct mongo_link *link = open_link("", 1000);
    mongo_link_look_up(link, 20000, on_seeds, &answer);
    wait_for(&answer);
    mongo_link_destroy(link);
}

/* A name that can't be a file: nothing is sent, and the reason is ours. */
static void credentials_must_be_readable(void **state) {
    char host[MONGO_HOST_SIZE];
    struct answer answer = {0};
    int fd = open_silent(host);
    (void)state;
    struct mongo_target target = {.timeout_ms = 1000};
    (void)TEXT_COPY(target.uri, "mongodb://a/?replicaSet=rs0");
    (void)TEXT_COPY(target.host, host);
    (void)TEXT_COPY(target.credentials, "env:NOCTUA_TEST_IS_NOT_SET");
    struct mongo_link *link = mongo_link_create(client, &target);
    assert_non_null(link);
    ask(link, 20000, &answer);
    wait_for(&answer);
    assert_int_equal(answer.result, MONGO_RESULT_CREDENTIALS);
    mongo_link_destroy(link);
    (void)close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_refused_connection_is_told_at_once),
        TEST(who_hangs_delays_nobody),
        TEST(who_gives_up_is_told_so_once),
        TEST(members_that_are_gone_get_half_of_the_threads),
        TEST(seeds_come_from_the_uri),
        TEST(credentials_must_be_readable),
    };
    return cmocka_run_group_tests_name("mongo client", tests, NULL, NULL);
}
