/* The endpoints as pollers see them, over loopback. Run under TSan as well: views and events are
 * published from this thread while the endpoint thread answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/http_endpoints.h"
#include "api/metrics.h"
#include "base/buffer.h"
#include "base/text.h"
#include "http_client.h"
#include "scene.h"

#define TEXT_SIZE (256 * 1024)
#define CLOSE "Connection: close\r\n\r\n"

/* Endpoints with a clock of the test's own, and a group behind them. */
struct world {
    struct group group;
    struct metrics *metrics;
    struct http_endpoints *endpoints;
    uint16_t port, public_port;
    _Atomic uint64_t now_ms;
    char text[TEXT_SIZE];
};

static struct world world;

static uint64_t test_boottime(void *context) {
    return ((struct world *)context)->now_ms;
}

static uint64_t test_wall(void *context) {
    (void)context;
    return UINT64_C(1700000000000);
}

static const struct clock test_clock = {test_boottime, test_wall, &world};

static void publish_as(uint32_t node, void (*change)(struct api_facts *)) {
    struct api_facts facts;
    scene_facts(&world.group, node, &facts);
    if (change != NULL) {
        change(&facts);
    }
    struct view *view = view_build(&facts, world.metrics, NULL);
    assert_non_null(view);
    http_endpoints_publish(world.endpoints, view);
}

static void open_endpoints(const struct http_endpoints_options *extra) {
    struct error error;
    struct http_endpoints_options options =
        extra == NULL ? (struct http_endpoints_options){0} : *extra;
    options.clock = &test_clock;
    options.http_host = "127.0.0.1";
    options.public_host = "127.0.0.1";
    world.now_ms = world.group.now_ms;
    assert_int_equal(http_endpoints_create(&options, &world.endpoints, &error), ERROR_OK);
    world.port = http_endpoints_port(world.endpoints);
    world.public_port = http_endpoints_public_port(world.endpoints);
    assert_true(world.port != 0 && world.public_port != 0);
}

static int set_up(void **state) {
    (void)state;
    memset(&world.group, 0, sizeof world.group);
    group_open_adopted(&world.group);
    world.metrics = metrics_create();
    open_endpoints(NULL);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    http_endpoints_destroy(world.endpoints);
    metrics_destroy(world.metrics);
    group_close(&world.group);
    return 0;
}

static void reopen(const struct http_endpoints_options *options) {
    http_endpoints_destroy(world.endpoints);
    open_endpoints(options);
    publish_as(1, NULL);
}

static void expect(uint16_t port, const char *path, unsigned status, const char *body) {
    const char *got = NULL;
    unsigned got_status = client_get(port, path, world.text, TEXT_SIZE, &got);
    if (got_status != status || strcmp(got, body) != 0) {
        fail_msg("%s: %u '%s', not %u '%s'", path, got_status, got, status, body);
    }
}

static void test_nothing_published(void **state) {
    (void)state;
    expect(world.port, "/livez", 200, "ok\n");
    expect(world.port, "/readyz", 503, "not caught up\n");
    expect(world.port, "/leader", 503, "no leader is known\n");
    expect(world.port, "/switch/nocturnal/us-east-1", 503, "no state is known yet\n");
    expect(world.port, "/services/nocturnal/primary", 503, "no state is known yet\n");
    expect(world.port, "/services/nope/regions/x/active", 503, "no state is known yet\n");
    expect(world.port, "/status", 503, "not known yet\n");
    expect(world.port, "/metrics", 503, "not known yet\n");
    expect(world.port, "/nope", 404, "not found\n");
}

static struct lease_facts leases[SERVICE_MAX];

static void with_lease(struct api_facts *facts) {
    facts->leases = leases;
}

/* Only while it is held, only for the region that it was granted for, to the millisecond. */
static void test_lease(void **state) {
    (void)state;
    static const char east[] = "/services/nocturnal/regions/us-east-1/lease";
    publish_as(1, NULL);
    expect(world.port, east, 503, "no lease\n");
    leases[5] = (struct lease_facts){"nocturnal", "us-east-1", 7, world.now_ms + 15000};
    publish_as(1, with_lease);
    expect(world.port, east, 200, "{\"epoch\": 7, \"expires_in_ms\": 15000}\n");
    expect(world.public_port, east, 200, "{\"epoch\": 7, \"expires_in_ms\": 15000}\n");
    expect(world.port, "/services/nocturnal/regions/us-west-2/lease", 503, "no lease\n");
    expect(world.port, "/services/nocturnal/regions/eu-west-1/lease", 404,
           "the service has no such region\n");
    expect(world.port, "/services/nope/regions/us-east-1/lease", 404, "no such service\n");
    world.now_ms += 14999; /* without a new view: it runs out by itself */
    expect(world.port, east, 200, "{\"epoch\": 7, \"expires_in_ms\": 1}\n");
    world.now_ms += 1;
    expect(world.port, east, 503, "no lease\n");
    (void)TEXT_COPY(leases[5].region, "us-west-2");
    leases[5].until_ms = world.now_ms + 10;
    publish_as(1, with_lease);
    expect(world.port, east, 503, "no lease\n");
    memset(leases, 0, sizeof leases);
}

static void with_primary(struct api_facts *facts) {
    facts->primaries[0] = (struct primary_facts){true, 1, world.now_ms + 100};
}

static void without_primary(struct api_facts *facts) {
    facts->primaries[0] = (struct primary_facts){true, NONE_INDEX, 0};
}

/* With a replica set it is what this node saw, as long as that is fresh. */
static void test_observed_primary(void **state) {
    (void)state;
    static const char path[] = "/services/nocturnal/primary";
    publish_as(1, with_primary);
    expect(world.port, path, 200, "us-west-2\n"); /* active is us-east-1 */
    world.now_ms += 101;                          /* without a new view: it runs out by itself */
    expect(world.port, path, 503, "no primary takes writes\n");
    publish_as(1, with_primary);
    expect(world.port, path, 200, "us-west-2\n");
    publish_as(1, without_primary);
    expect(world.port, path, 503, "no primary takes writes\n");
    expect(world.port, "/services/nope/primary", 404, "no such service\n");
}

static void test_answers(void **state) {
    (void)state;
    publish_as(1, NULL);
    expect(world.port, "/livez", 200, "ok\n");
    expect(world.port, "/readyz", 200, "ok\n");
    expect(world.port, "/readyz?verbose", 200,
           "[+] caught up ok\n[+] quorum seen recently ok\nok\n");
    expect(world.port, "/leader", 200, "n2 leads\n");
    expect(world.port, "/services/nocturnal/regions/us-east-1/active", 200, "active epoch=1\n");
    expect(world.port, "/services/nocturnal/regions/us-west-2/active", 503,
           "not active: us-east-1 is, epoch=1\n");
    expect(world.port, "/services/nocturnal/primary", 200, "us-east-1\n");
    expect(world.port, "/switch/nocturnal/us-east-1", 200, "KEEP-us-east-1");
    expect(world.port, "/switch/nocturnal/us-west-2", 200, "EVICT-us-west-2");
    expect(world.port, "/switch/nocturnal/eu-west-1", 404, "the service has no such region\n");
    expect(world.port, "/switch/nocturnal/", 404, "the service has no such region\n");
    expect(world.port, "/switch/nope/us-east-1", 404, "no such service\n");
    expect(world.port, "/switch/nocturnal", 404, "not found\n");
    expect(world.port, "/switch/nocturnal/us-east-1/more", 404, "not found\n");
    expect(world.port, "/services/nocturnal/regions/us-east-1/active/a/b/c", 404, "not found\n");
    expect(world.port, "//livez", 404, "not found\n");
    expect(world.port, "http://somewhere/livez", 200, "ok\n");
    publish_as(0, NULL);
    expect(world.port, "/leader", 503, "n2 leads\n");
}

static void test_public_listener(void **state) {
    (void)state;
    publish_as(1, NULL);
    expect(world.public_port, "/livez", 200, "ok\n");
    expect(world.public_port, "/switch/nocturnal/us-east-1", 200, "KEEP-us-east-1");
    static const char *const others[] = {"/readyz",
                                         "/leader",
                                         "/status",
                                         "/metrics",
                                         "/events",
                                         "/services/nocturnal/primary",
                                         "/services/nocturnal/regions/us-east-1/active"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        expect(world.public_port, others[i], 404, "not found\n");
    }
}

static void not_caught_up(struct api_facts *facts) {
    facts->caught_up = false;
    facts->was_caught_up = false;
}

/* A replayed log tells the past: nobody is told to keep or evict by it. */
static void test_replay_shows_nothing(void **state) {
    (void)state;
    publish_as(1, not_caught_up);
    expect(world.port, "/readyz", 503, "not caught up\n");
    expect(world.port, "/switch/nocturnal/us-east-1", 503, "no state is known yet\n");
    expect(world.port, "/services/nocturnal/regions/us-west-2/active", 503,
           "no state is known yet\n");
}

/* Losing quorum changes no answer but readiness; the age says since when. */
static void test_no_quorum_holds_answers(void **state) {
    (void)state;
    publish_as(1, NULL);
    expect(world.port, "/switch/nocturnal/us-east-1", 200, "KEEP-us-east-1");
    assert_non_null(strstr(world.text, "\r\nNoctua-Age-Ms: 20\r\n"));
    world.now_ms += 40000;
    expect(world.port, "/switch/nocturnal/us-east-1", 200, "KEEP-us-east-1");
    assert_non_null(strstr(world.text, "\r\nNoctua-Age-Ms: 40020\r\n"));
    expect(world.port, "/services/nocturnal/regions/us-east-1/active", 200, "active epoch=1\n");
    expect(world.port, "/readyz", 503, "no quorum seen recently\n");
    expect(world.port, "/livez", 200, "ok\n");
    world.now_ms += HTTP_LIVE_MS;
    expect(world.port, "/livez", 503, "the main loop hangs\n");
}

static void test_headers(void **state) {
    (void)state;
    publish_as(1, NULL);
    client_ask(world.port, "GET /livez HTTP/1.1\r\nHost: x\r\n" CLOSE, world.text, TEXT_SIZE);
    char index[64];
    (void)snprintf(index, sizeof index, "\r\nNoctua-Applied-Index: %llu\r\n",
                   (unsigned long long)world.group.state->applied_index);
    assert_non_null(strstr(world.text, index));
    assert_non_null(strstr(world.text, "\r\nCache-Control: no-store\r\n"));
    assert_non_null(strstr(world.text, "\r\nContent-Length: 3\r\n"));
    assert_non_null(strstr(world.text, "\r\nConnection: close\r\n"));
    assert_non_null(strstr(world.text, "\r\nDate: Tue, 14 Nov 2023 22:13:20 GMT\r\n"));
    assert_null(strstr(world.text, "Location"));
}

static void test_methods(void **state) {
    (void)state;
    publish_as(1, NULL);
    client_ask(world.port, "HEAD /switch/nocturnal/us-east-1 HTTP/1.1\r\n" CLOSE, world.text,
               TEXT_SIZE);
    assert_int_equal(client_status(world.text), 200);
    assert_non_null(strstr(world.text, "\r\nContent-Length: 14\r\n"));
    assert_string_equal(strstr(world.text, "\r\n\r\n"), "\r\n\r\n");
    client_ask(world.port, "OPTIONS /services/nocturnal/regions/us-west-2/active HTTP/1.0\r\n\r\n",
               world.text, TEXT_SIZE);
    assert_int_equal(client_status(world.text), 503);
    assert_non_null(strstr(world.text, "\r\nAllow: GET, HEAD, OPTIONS\r\n"));
    assert_non_null(strstr(world.text, "\r\nContent-Length: 0\r\n"));
    client_ask(world.port, "OPTIONS * HTTP/1.1\r\n" CLOSE, world.text, TEXT_SIZE);
    assert_int_equal(client_status(world.text), 200);
    static const char *const bad[] = {"POST /livez HTTP/1.1\r\nContent-Length: 2\r\n" CLOSE "xx",
                                      "DELETE /status HTTP/1.1\r\n" CLOSE,
                                      "CONNECT a:1 HTTP/1.1\r\n" CLOSE,
                                      "FETCH /livez HTTP/1.1\r\n" CLOSE};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        client_ask(world.port, bad[i], world.text, TEXT_SIZE);
        assert_int_equal(client_status(world.text), 405);
        assert_non_null(strstr(world.text, "\r\nAllow: GET, HEAD, OPTIONS\r\n"));
    }
}

static void expect_refusal(const char *request, unsigned status) {
    client_ask(world.port, request, world.text, TEXT_SIZE);
    assert_int_equal(client_status(world.text), status);
    assert_non_null(strstr(world.text, "\r\nConnection: close\r\n"));
}

static void test_malformed(void **state) {
    (void)state;
    publish_as(1, NULL);
    expect_refusal("\x16\x03\x01\x02 hello", 400);
    expect_refusal("GET /livez HTTP/9.9\r\n\r\n", 505);
    expect_refusal("GET /livez HTTP/1.1\r\nbad header\r\n\r\n", 400);
    expect_refusal("GET /livez HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
                   400);
    expect_refusal("POST /livez HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", 413);
    expect_refusal("POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfffffffff\r\n", 413);
    char *huge = malloc(64 * 1024);
    (void)snprintf(huge, 64 * 1024, "GET /%04000d HTTP/1.1\r\n\r\n", 7);
    expect_refusal(huge, 414);
    (void)snprintf(huge, 64 * 1024, "GET /livez HTTP/1.1\r\nX: %09000d\r\n\r\n", 7);
    expect_refusal(huge, 431);
    (void)snprintf(huge, 64 * 1024, "GET /livez HTTP/1.1\r\nX: %07000d\r\n" CLOSE, 7);
    client_ask(world.port, huge, world.text, TEXT_SIZE);
    assert_int_equal(client_status(world.text), 200);
    (void)snprintf(huge, 64 * 1024,
                   "POST /livez HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n800\r\n%02048d\r\n",
                   7);
    expect_refusal(huge, 413);
    free(huge);
}

/* A small body is read and forgotten: the next request is found behind it. */
static void test_bodies_are_ignored(void **state) {
    (void)state;
    publish_as(1, NULL);
    client_ask(world.port,
               "GET /livez HTTP/1.1\r\nContent-Length: 5\r\n\r\nGET /"
               "GET /leader HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
               "GET /readyz HTTP/1.1\r\n" CLOSE,
               world.text, TEXT_SIZE);
    const char *leader = strstr(world.text, "n2 leads\n");
    assert_non_null(leader);
    assert_non_null(strstr(leader, "\r\nConnection: close\r\n\r\nok\n"));
}

static void test_pipeline(void **state) {
    (void)state;
    publish_as(1, NULL);
    enum { COUNT = 300 };
    static const char one[] = "GET /switch/nocturnal/us-east-1 HTTP/1.1\r\nHost: a\r\n\r\n";
    static const char two[] = "GET /nope HTTP/1.1\r\n\r\n";
    static const char last[] = "GET /leader HTTP/1.1\r\n" CLOSE;
    struct buffer requests;
    buffer_init(&requests, 0);
    for (int i = 0; i < COUNT; i++) {
        (void)buffer_append_text(&requests, i % 2 == 0 ? one : two);
    }
    assert_true(buffer_append_text(&requests, last));
    client_ask(world.port, requests.data, world.text, TEXT_SIZE);
    buffer_finish(&requests);
    int keeps = 0;
    int misses = 0;
    const char *at = world.text;
    while ((at = strstr(at, "HTTP/1.1 ")) != NULL) {
        keeps += strncmp(at, "HTTP/1.1 200", 12) == 0;
        misses += strncmp(at, "HTTP/1.1 404", 12) == 0;
        at++;
    }
    assert_int_equal(keeps, COUNT / 2 + 1);
    assert_int_equal(misses, COUNT / 2);
    assert_non_null(strstr(world.text, "n2 leads\n"));
}

static void test_byte_by_byte(void **state) {
    (void)state;
    publish_as(1, NULL);
    static const char request[] =
        "GET /switch/nocturnal/us-west-2 HTTP/1.1\r\nHost: abc\r\nConnection: keep-alive\r\n\r\n"
        "GET /leader HTTP/1.1\r\n" CLOSE;
    int fd = client_connect(world.port);
    for (size_t i = 0; i < sizeof request - 1; i++) {
        client_send(fd, &request[i], 1);
    }
    (void)client_read(fd, world.text, TEXT_SIZE, NULL);
    assert_non_null(strstr(world.text, "EVICT-us-west-2HTTP/1.1 200 OK\r\n"));
    assert_non_null(strstr(world.text, "n2 leads\n"));
    (void)close(fd);
}

static void test_http_1_0(void **state) {
    (void)state;
    publish_as(1, NULL);
    client_ask(world.port, "GET /livez HTTP/1.0\r\n\r\n", world.text, TEXT_SIZE);
    assert_int_equal(client_status(world.text), 200);
    int fd = client_connect(world.port);
    static const char keep[] = "GET /livez HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    for (int i = 0; i < 3; i++) {
        client_send(fd, keep, sizeof keep - 1);
        (void)client_read(fd, world.text, TEXT_SIZE, "\r\n\r\nok\n");
        assert_non_null(strstr(world.text, "\r\nConnection: keep-alive\r\n"));
    }
    (void)close(fd);
}

static void test_slow_loris(void **state) {
    (void)state;
    reopen(&(struct http_endpoints_options){.header_ms = 100});
    int fd = client_connect(world.port);
    client_send(fd, "GET /livez HT", 13);
    (void)client_read(fd, world.text, TEXT_SIZE, NULL);
    assert_int_equal(client_status(world.text), 408);
    (void)close(fd);
    /* A byte now and then doesn't help. */
    fd = client_connect(world.port);
    client_send(fd, "GET /livez HTTP/1.1\r\nX:", 23);
    bool closed = false;
    for (int i = 0; i < 2000 && !closed; i++) {
        closed = client_try_send(fd, "x", 1);
        (void)usleep(5000);
    }
    assert_true(closed);
    (void)close(fd);
}

static void test_idle_is_closed(void **state) {
    (void)state;
    reopen(&(struct http_endpoints_options){.idle_ms = 100});
    int silent = client_connect(world.port);
    int asked = client_connect(world.port);
    client_send(asked, "GET /livez HTTP/1.1\r\n\r\n", 23);
    assert_true(client_sees_end(silent));
    assert_true(client_sees_end(asked));
    (void)close(silent);
    (void)close(asked);
}

static void test_full_listener_drops_the_idlest(void **state) {
    (void)state;
    reopen(&(struct http_endpoints_options){.max_connections = 3});
    int fds[3];
    for (int i = 0; i < 3; i++) {
        fds[i] = client_connect(world.port);
        client_send(fds[i], "GET /livez HTTP/1.1\r\n\r\n", 23);
        (void)client_read(fds[i], world.text, TEXT_SIZE, "\r\n\r\nok\n");
        (void)usleep(3000); /* apart in the loop's milliseconds */
    }
    expect(world.port, "/leader", 200, "n2 leads\n");
    assert_true(client_sees_end(fds[0]));
    /* The public listener has a limit of its own. */
    expect(world.public_port, "/livez", 200, "ok\n");
    /* When all are in the middle of a request, the newest is turned away. */
    client_send(fds[1], "GET", 3);
    client_send(fds[2], "GET", 3);
    fds[0] = client_connect(world.port);
    client_send(fds[0], "GET", 3);
    for (int i = 0; i < 3; i++) {
        (void)usleep(20000); /* let the three bytes arrive */
    }
    int late = client_connect(world.port);
    (void)client_read(late, world.text, TEXT_SIZE, NULL);
    assert_int_equal(client_status(world.text), 503);
    for (int i = 0; i < 3; i++) {
        (void)close(fds[i]);
    }
    (void)close(late);
}

/* Many pipelined requests for a large answer, and nothing is ever read. */
static void test_write_stall_is_closed(void **state) {
    (void)state;
    reopen(&(struct http_endpoints_options){.write_ms = 100});
    int fd = client_connect(world.port);
    static const char one[] = "GET /metrics HTTP/1.1\r\n\r\n";
    bool closed = false;
    for (int i = 0; i < 200000 && !closed; i++) {
        closed = client_try_send(fd, one, sizeof one - 1);
    }
    assert_true(closed);
    (void)close(fd);
    expect(world.port, "/livez", 200, "ok\n");
}

static void test_status_and_metrics(void **state) {
    (void)state;
    metrics_count_events(world.metrics, world.group.state);
    metrics_count_probe(world.metrics, "nocturnal", "us-east-1", "ok", 12);
    metrics_count_probe(world.metrics, "nocturnal", "us-east-1", "tls", 500);
    publish_as(1, NULL);
    const char *body = NULL;
    assert_int_equal(client_get(world.port, "/status", world.text, TEXT_SIZE, &body), 200);
    assert_non_null(strstr(world.text, "\r\nContent-Type: application/json\r\n"));
    assert_non_null(strstr(body, "\"active\": \"us-east-1\""));
    assert_int_equal(client_get(world.port, "/metrics", world.text, TEXT_SIZE, &body), 200);
    static const char *const lines[] = {
        "noctua_leader 1\n",
        "noctua_service_active{service=\"nocturnal\",region=\"us-east-1\"} 1\n",
        "noctua_service_active{service=\"nocturnal\",region=\"us-west-2\"} 0\n",
        "noctua_http_requests_total{path=\"status\",code=\"200\"} 1\n",
        "noctua_probe_results_total{service=\"nocturnal\",region=\"us-east-1\",code=\"tls\"} 1\n",
        "noctua_probe_duration_seconds_count{service=\"nocturnal\",region=\"us-east-1\"} 2\n",
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        if (strstr(body, lines[i]) == NULL) {
            fail_msg("no line %s in %s", lines[i], body);
        }
    }
}

static void test_events(void **state) {
    (void)state;
    publish_as(1, NULL);
    http_endpoints_publish_events(world.endpoints, world.group.state);
    uint64_t count = world.group.state->event_count;
    int fd = client_connect(world.port);
    static const char request[] = "GET /events HTTP/1.1\r\n\r\n";
    client_send(fd, request, sizeof request - 1);
    (void)client_read(fd, world.text, TEXT_SIZE, "\r\n\r\n");
    assert_non_null(strstr(world.text, "\r\nContent-Type: text/event-stream\r\n"));
    assert_int_equal(group_override(&world.group, OVERRIDE_VETO, "", 60000), CORE_OK);
    http_endpoints_publish_events(world.endpoints, world.group.state);
    char id[64];
    (void)snprintf(id, sizeof id, "id: %llu\nevent: override\ndata: {",
                   (unsigned long long)count + 1);
    (void)client_read(fd, world.text, TEXT_SIZE, "}\n\n");
    assert_non_null(strstr(world.text, id));
    (void)close(fd);
    /* One that comes back is given what it missed. */
    char again[128];
    (void)snprintf(again, sizeof again, "GET /events HTTP/1.1\r\nLast-Event-ID: %llu\r\n\r\n",
                   (unsigned long long)count - 1);
    fd = client_connect(world.port);
    client_send(fd, again, strlen(again));
    (void)client_read(fd, world.text, TEXT_SIZE, id);
    (void)snprintf(id, sizeof id, "id: %llu\n", (unsigned long long)count);
    assert_non_null(strstr(world.text, id));
    (void)close(fd);
}

static void test_event_streams_are_limited(void **state) {
    (void)state;
    publish_as(1, NULL);
    int fds[HTTP_EVENT_CLIENT_MAX];
    static const char request[] = "GET /events HTTP/1.1\r\n\r\n";
    for (int i = 0; i < HTTP_EVENT_CLIENT_MAX; i++) {
        fds[i] = client_connect(world.port);
        client_send(fds[i], request, sizeof request - 1);
        (void)client_read(fds[i], world.text, TEXT_SIZE, "\r\n\r\n");
        assert_int_equal(client_status(world.text), 200);
    }
    client_ask(world.port, request, world.text, TEXT_SIZE);
    assert_int_equal(client_status(world.text), 503);
    for (int i = 0; i < HTTP_EVENT_CLIENT_MAX; i++) {
        (void)close(fds[i]);
    }
}

/* Views and events are exchanged as fast as they can be while a client polls: each answer is one of
 * the two, whole. */
static void test_publish_while_polled(void **state) {
    (void)state;
    publish_as(1, NULL);
    int fd = client_connect(world.port);
    static const char request[] = "GET /leader HTTP/1.1\r\n\r\nGET /status HTTP/1.1\r\n\r\n";
    for (int i = 0; i < 300; i++) {
        client_send(fd, request, sizeof request - 1);
        publish_as((uint32_t)i % 3, NULL);
        publish_as((uint32_t)i % 2, NULL);
        assert_int_equal(group_tick(&world.group), CORE_OK);
        (void)group_override(&world.group, OVERRIDE_VETO, "", 1);
        http_endpoints_publish_events(world.endpoints, world.group.state);
        (void)client_read(fd, world.text, TEXT_SIZE, "\n}\n");
        assert_non_null(strstr(world.text, "n2 leads\n"));
    }
    (void)close(fd);
}

static void test_bad_addresses(void **state) {
    (void)state;
    struct http_endpoints *other = NULL;
    struct error error;
    struct http_endpoints_options options = {.clock = &test_clock, .http_host = "localhost"};
    assert_int_equal(http_endpoints_create(&options, &other, &error), ERROR_INVALID);
    options.http_host = "127.0.0.1";
    options.http_port = world.port;
    assert_int_equal(http_endpoints_create(&options, &other, &error), ERROR_IO);
    assert_non_null(strstr(error.message, "address already in use"));
    assert_null(other);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    (void)alarm(120);
    const struct CMUnitTest tests[] = {
        CASE(test_nothing_published),
        CASE(test_answers),
        CASE(test_lease),
        CASE(test_observed_primary),
        CASE(test_public_listener),
        CASE(test_replay_shows_nothing),
        CASE(test_no_quorum_holds_answers),
        CASE(test_headers),
        CASE(test_methods),
        CASE(test_malformed),
        CASE(test_bodies_are_ignored),
        CASE(test_pipeline),
        CASE(test_byte_by_byte),
        CASE(test_http_1_0),
        CASE(test_slow_loris),
        CASE(test_idle_is_closed),
        CASE(test_full_listener_drops_the_idlest),
        CASE(test_write_stall_is_closed),
        CASE(test_status_and_metrics),
        CASE(test_events),
        CASE(test_event_streams_are_limited),
        CASE(test_publish_while_polled),
        CASE(test_bad_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
