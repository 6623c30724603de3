/* HTTP checks against small servers on the same loop: every way to answer, and not to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "scene.h"

static struct scene scene;

struct ending {
    enum server_mode mode;
    const char *answer;
    const char *match;
    struct probe_status_range expect; /* low 0: the default */
    enum probe_result_code code;
    uint32_t http_status;
};

static void run_ending(const struct ending *ending, size_t answer_bytes, const char *what) {
    struct server server;
    scene_open(&scene);
    scene_open_engine(&scene);
    server_start(&server, &scene.loop, "127.0.0.1", 0, ending->mode, ending->answer);
    server.answer_bytes = answer_bytes;
    struct probe_target target =
        scene_target(PROBE_TYPE_HTTP, "web", "http://127.0.0.1:%u/health?a=b", server.port);
    target.timeout_ms = ending->code == PROBE_TIMEOUT ? 150 : 5000;
    target.expect[0] = ending->expect;
    target.expect_count = ending->expect.low != 0;
    if (ending->match != NULL) {
        (void)TEXT_COPY(target.match, ending->match);
    }
    scene_configure(&scene, &target, 1);
    SCENE_WAIT(&scene, scene_result_count(&scene, "web") >= 3);
    for (uint32_t i = 0; i < scene.record_count; i++) {
        if (scene.records[i].code != ending->code) {
            fail_msg("%s: %s, not %s", what, probe_result_text(scene.records[i].code),
                     probe_result_text(ending->code));
        }
        assert_int_equal(scene.records[i].http_status, ending->http_status);
    }
    assert_true(text_starts_with(server.request, "GET /health?a=b HTTP/1.1\r\n"));
    assert_non_null(strstr(server.request, "User-Agent: noctua/" NOCTUA_VERSION "\r\n"));
    server_stop(&server);
    scene_close(&scene);
    assert_true(server.closed);
}

static void test_endings(void **state) {
    (void)state;
    static const struct {
        const char *what;
        struct ending ending;
    } rows[] = {
        {"200", {SERVER_ANSWER, SERVER_OK, NULL, {0, 0}, PROBE_OK, 200}},
        {"204 without a body",
         {SERVER_ANSWER, "HTTP/1.1 204 No Content\r\n\r\n", NULL, {0, 0}, PROBE_OK, 204}},
        {"a redirect is an answer, not followed",
         {SERVER_ANSWER,
          "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0"
          "\r\n\r\n",
          NULL,
          {0, 0},
          PROBE_OK,
          302}},
        {"HTTP/1.0 until close",
         {SERVER_ANSWER_AND_CLOSE, "HTTP/1.0 200 OK\r\n\r\nhello", "hello", {0, 0}, PROBE_OK, 200}},
        {"404",
         {SERVER_ANSWER,
          "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n",
          NULL,
          {0, 0},
          PROBE_STATUS,
          404}},
        {"500",
         {SERVER_ANSWER,
          "HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nok",
          "ok",
          {0, 0},
          PROBE_STATUS,
          500}},
        {"exactly 503",
         {SERVER_ANSWER,
          "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n",
          NULL,
          {503, 503},
          PROBE_OK,
          503}},
        {"200 when 201-204 is wanted",
         {SERVER_ANSWER, SERVER_OK, NULL, {201, 204}, PROBE_STATUS, 200}},
        {"match", {SERVER_ANSWER, SERVER_OK, "\"ok\": true", {0, 0}, PROBE_OK, 200}},
        {"no match", {SERVER_ANSWER, SERVER_OK, "\"ok\":true", {0, 0}, PROBE_BODY, 200}},
        {"match in no body",
         {SERVER_ANSWER,
          "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
          "x",
          {0, 0},
          PROBE_BODY,
          200}},
        {"chunks",
         {SERVER_ANSWER,
          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
          "3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n",
          "cd",
          {0, 0},
          PROBE_OK,
          200}},
        {"silence", {SERVER_SILENT, NULL, NULL, {0, 0}, PROBE_TIMEOUT, 0}},
        {"an endless header", {SERVER_DRIP, NULL, NULL, {0, 0}, PROBE_TIMEOUT, 200}},
        {"a body that never ends",
         {SERVER_ANSWER,
          "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n1",
          NULL,
          {0, 0},
          PROBE_TIMEOUT,
          200}},
        {"hang up", {SERVER_HANG_UP, NULL, NULL, {0, 0}, PROBE_RESET, 0}},
        {"reset", {SERVER_RESET, NULL, NULL, {0, 0}, PROBE_RESET, 0}},
        {"hang up in the body",
         {SERVER_ANSWER_AND_CLOSE,
          "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n1",
          NULL,
          {0, 0},
          PROBE_RESET,
          200}},
        {"another protocol",
         {SERVER_ANSWER_AND_CLOSE, "220 mail.test ESMTP\r\n", NULL, {0, 0}, PROBE_PROTOCOL, 0}},
        {"a bad length",
         {SERVER_ANSWER,
          "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
          NULL,
          {0, 0},
          PROBE_PROTOCOL,
          200}},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        /* What a timeout has seen of a status doesn't matter: it is shown as none. */
        struct ending ending = rows[i].ending;
        if (ending.code == PROBE_TIMEOUT) {
            ending.http_status = 0;
        }
        run_ending(&ending, 0, rows[i].what);
    }
}

/* A text without its NUL, into the midst of others. */
static void put(char *to, const char *text) {
    for (; *text != '\0'; text++) {
        *to++ = *text;
    }
}

/* An answer with a body of that size, 'a's, and `text` at its place. Free it. */
static char *large_answer(size_t body_bytes, size_t at, const char *text, size_t *ret_bytes) {
    char *answer = malloc(body_bytes + 128);
    assert_non_null(answer);
    int head = snprintf(answer, 128, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", body_bytes);
    memset(answer + head, 'a', body_bytes);
    put(answer + head + at, text);
    *ret_bytes = (size_t)head + body_bytes;
    return answer;
}

static void test_large_bodies(void **state) {
    (void)state;
    static const struct {
        const char *what;
        size_t body_bytes, at;
        const char *match;
        enum probe_result_code code;
    } rows[] = {
        {"the whole of the limit", PROBE_BODY_MAX, PROBE_BODY_MAX - 4, "HERE", PROBE_OK},
        {"one more, found before", PROBE_BODY_MAX + 1, PROBE_BODY_MAX - 4, "HERE", PROBE_OK},
        {"over the edge", PROBE_BODY_MAX + 1, PROBE_BODY_MAX - 3, "HERE", PROBE_TOO_LARGE},
        {"not there, within the limit", PROBE_BODY_MAX, 0, "GONE", PROBE_BODY},
        {"not there, large", 1024 * 1024, 0, "GONE", PROBE_TOO_LARGE},
        {"large, nothing asked", 1024 * 1024, 0, NULL, PROBE_OK},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        size_t answer_bytes = 0;
        char *answer = large_answer(rows[i].body_bytes, rows[i].at, "HERE", &answer_bytes);
        struct ending ending = {SERVER_ANSWER, answer, rows[i].match, {0, 0}, rows[i].code, 200};
        run_ending(&ending, answer_bytes, rows[i].what);
        free(answer);
    }
}

static void test_large_headers(void **state) {
    (void)state;
    enum { SIZE = 300000 };
    char *answer = malloc(SIZE + 64);
    assert_non_null(answer);
    /* One line of 300 kB, then many of 100 bytes. */
    for (int many = 0; many <= 1; many++) {
        memset(answer, 'x', SIZE);
        put(answer, "HTTP/1.1 200 OK\r\nX: ");
        for (size_t i = 120; many && i + 10 < SIZE; i += 100) {
            put(answer + i, "\r\nX: ");
        }
        put(answer + SIZE, "\r\nContent-Length: 0\r\n\r\n");
        struct ending ending = {SERVER_ANSWER, answer, NULL, {0, 0}, PROBE_PROTOCOL, 200};
        run_ending(&ending, SIZE + 23, many ? "many headers" : "a long header");
    }
    free(answer);
}

static void test_no_connection(void **state) {
    (void)state;
    struct hang hang;
    hang_open(&hang);
    scene_open(&scene);
    scene_open_engine(&scene);
    struct probe_target targets[] = {
        scene_target(PROBE_TYPE_HTTP, "refused", "http://127.0.0.1:%u/", closed_port()),
        scene_target(PROBE_TYPE_HTTP, "hang", "http://127.0.0.1:%u/", hang.port),
        scene_target(PROBE_TYPE_HTTP, "unreachable", "http://255.255.255.255:80/"),
        scene_target(PROBE_TYPE_HTTP, "refused6", "http://[::1]:%u/", closed_port()),
    };
    for (size_t i = 0; i < ARRAY_LENGTH(targets); i++) {
        targets[i].timeout_ms = 150;
    }
    scene_configure(&scene, targets, ARRAY_LENGTH(targets));
    for (size_t i = 0; i < ARRAY_LENGTH(targets); i++) {
        SCENE_WAIT(&scene, scene_result_count(&scene, targets[i].check) >= 2);
    }
    assert_int_equal(scene_last(&scene, "refused")->code, PROBE_REFUSED);
    assert_int_equal(scene_last(&scene, "refused6")->code, PROBE_REFUSED);
    assert_int_equal(scene_last(&scene, "hang")->code, PROBE_TIMEOUT_CONNECT);
    assert_int_equal(scene_last(&scene, "unreachable")->code, PROBE_UNREACHABLE);
    const struct record *hung = scene_last(&scene, "hang");
    assert_in_range(hung->finish_ms - hung->start_ms, 150, 1000);
    scene_close(&scene);
    hang_close(&hang);
}

static void test_keep_alive(void **state) {
    (void)state;
    struct server kept;
    struct server fresh;
    scene_open(&scene);
    scene_open_engine(&scene);
    server_start(&kept, &scene.loop, "127.0.0.1", 0, SERVER_ANSWER, SERVER_OK);
    server_start(&fresh, &scene.loop, "127.0.0.1", 0, SERVER_ANSWER, SERVER_OK);
    struct probe_target targets[] = {
        scene_target(PROBE_TYPE_HTTP, "kept", "http://good.test:%u/", kept.port),
        scene_target(PROBE_TYPE_HTTP, "fresh", "http://good.test:%u/", fresh.port),
    };
    targets[0].keep_alive = true;
    scene_configure(&scene, targets, 2);
    SCENE_WAIT(&scene, scene_result_count(&scene, "kept") >= 5);
    SCENE_WAIT(&scene, scene_result_count(&scene, "fresh") >= 5);
    assert_int_equal(kept.accept_count, 1);
    assert_true(kept.request_count >= 5);
    assert_int_equal(fresh.accept_count, fresh.request_count);

    /* The server drops the idle connection: nobody notices. */
    uint32_t before = scene_result_count(&scene, "kept");
    server_drop(&kept);
    SCENE_WAIT(&scene, scene_result_count(&scene, "kept") >= before + 3);
    assert_false(scene_has_code(&scene, "kept", PROBE_RESET));
    assert_int_equal(kept.accept_count, 2);
    server_stop(&kept);
    server_stop(&fresh);
    scene_close(&scene);
}

/* A kept connection must not outlive the address that it went to, even when another check still
 * keeps one there. */
static void test_moved_host(void **state) {
    (void)state;
    struct server here;
    struct server there;
    scene_open(&scene);
    scene_open_engine(&scene);
    server_start(&here, &scene.loop, "127.0.0.1", 0, SERVER_ANSWER, SERVER_OK);
    server_start(&there, &scene.loop, "127.0.0.2", here.port, SERVER_ANSWER, SERVER_OK);
    names_move("127.0.0.1");
    struct probe_target targets[] = {
        scene_target(PROBE_TYPE_HTTP, "move", "http://move.test:%u/", here.port),
        scene_target(PROBE_TYPE_HTTP, "stay", "http://good.test:%u/", here.port),
    };
    targets[0].keep_alive = true;
    targets[1].keep_alive = true;
    scene_configure(&scene, targets, 2);
    SCENE_WAIT(&scene, scene_result_count(&scene, "move") >= 3);
    assert_int_equal(there.request_count, 0);
    names_move("127.0.0.2");
    SCENE_WAIT(&scene, there.request_count >= 3);
    server_stop(&here);
    SCENE_WAIT(&scene, scene_has_code(&scene, "stay", PROBE_REFUSED));
    uint32_t before = there.request_count;
    SCENE_WAIT(&scene, there.request_count >= before + 3);
    assert_int_equal(scene_last(&scene, "move")->code, PROBE_OK);
    assert_int_equal(there.accept_count, 1);
    assert_non_null(strstr(there.request, "Host: move.test:"));
    server_stop(&there);
    scene_close(&scene);
}

static void test_no_proxy(void **state) {
    (void)state;
    char proxy[64];
    (void)snprintf(proxy, sizeof proxy, "http://127.0.0.1:%u", closed_port());
    (void)setenv("http_proxy", proxy, 1);
    (void)setenv("all_proxy", proxy, 1);
    struct ending ending = {SERVER_ANSWER, SERVER_OK, NULL, {0, 0}, PROBE_OK, 200};
    run_ending(&ending, 0, "a proxy in the environment");
    (void)unsetenv("http_proxy");
    (void)unsetenv("all_proxy");
}

static void test_shards(void **state) {
    (void)state;
    struct server server;
    scene_open(&scene);
    scene.options.targets_per_shard = 3;
    scene_open_engine(&scene);
    server_start(&server, &scene.loop, "127.0.0.1", 0, SERVER_ANSWER, SERVER_OK);
    struct probe_target targets[7];
    for (size_t i = 0; i < ARRAY_LENGTH(targets); i++) {
        char name[8];
        (void)snprintf(name, sizeof name, "c%zu", i);
        targets[i] = scene_target(PROBE_TYPE_HTTP, name, "http://127.0.0.1:%u/", server.port);
        targets[i].keep_alive = i % 2 == 0;
    }
    struct probe_engine_stats stats;
    scene_configure(&scene, targets, 7);
    probe_engine_stats(scene.engine, &stats);
    assert_int_equal(stats.shard_count, 3);
    for (size_t i = 0; i < ARRAY_LENGTH(targets); i++) {
        SCENE_WAIT(&scene, scene_result_count(&scene, targets[i].check) >= 2);
        assert_int_equal(scene_last(&scene, targets[i].check)->code, PROBE_OK);
    }
    scene_configure(&scene, targets, 0);
    probe_engine_stats(scene.engine, &stats);
    assert_int_equal(stats.shard_count, 0);
    SCENE_WAIT(&scene, server.open_count == 0); /* kept connections went with their shards */
    server_stop(&server);
    scene_close(&scene);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_endings),       cmocka_unit_test(test_large_bodies),
        cmocka_unit_test(test_large_headers), cmocka_unit_test(test_no_connection),
        cmocka_unit_test(test_keep_alive),    cmocka_unit_test(test_moved_host),
        cmocka_unit_test(test_no_proxy),      cmocka_unit_test(test_shards),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
