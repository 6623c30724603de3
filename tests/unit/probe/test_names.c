/* Names: resolved off the loop, with a bound, and without harm to others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "scene.h"

static struct scene scene;
static struct server server;

static void open_all(void) {
    scene_open(&scene);
    scene_open_engine(&scene);
    server_start(&server, &scene.loop, "127.0.0.1", 0, SERVER_ANSWER, SERVER_OK);
}

static void close_all(void) {
    server_stop(&server);
    scene_close(&scene);
}

static struct probe_engine_stats stats_now(void) {
    struct probe_engine_stats stats;
    probe_engine_stats(scene.engine, &stats);
    return stats;
}

static void test_answers(void **state) {
    (void)state;
    open_all();
    struct probe_target targets[] = {
        scene_target(PROBE_TYPE_HTTP, "good", "http://good.test:%u/", server.port),
        scene_target(PROBE_TYPE_HTTP, "both", "http://both.test:%u/", server.port),
        scene_target(PROBE_TYPE_HTTP, "dot", "http://good.test.:%u/", server.port),
        scene_target(PROBE_TYPE_HTTP, "missing", "http://missing.test:%u/", server.port),
        scene_target(PROBE_TYPE_TCP, "missing2", "tcp://missing.test:%u", server.port),
        scene_target(PROBE_TYPE_TCP, "broken", "tcp://broken.test:%u", server.port),
    };
    static const enum probe_result_code codes[] = {PROBE_OK,  PROBE_OK,  PROBE_OK,
                                                   PROBE_DNS, PROBE_DNS, PROBE_INTERNAL};
    scene_configure(&scene, targets, ARRAY_LENGTH(targets));
    for (size_t i = 0; i < ARRAY_LENGTH(targets); i++) {
        SCENE_WAIT(&scene, scene_result_count(&scene, targets[i].check) >= 3);
        if (scene_last(&scene, targets[i].check)->code != codes[i]) {
            fail_msg("%s: %s", targets[i].check,
                     probe_result_text(scene_last(&scene, targets[i].check)->code));
        }
    }
    assert_int_equal(scene_last(&scene, "missing")->state, PROBE_DOWN);
    assert_int_equal(scene_last(&scene, "broken")->state, PROBE_UNKNOWN);
    close_all();
}

static void test_lookups_are_shared_and_kept(void **state) {
    (void)state;
    open_all();
    struct probe_target targets[20];
    for (size_t i = 0; i < ARRAY_LENGTH(targets); i++) {
        char name[8];
        (void)snprintf(name, sizeof name, "c%zu", i);
        targets[i] = scene_target(PROBE_TYPE_TCP, name, "tcp://good.test:%u", server.port);
        targets[i].interval_ms = 500;
    }
    scene_configure(&scene, targets, ARRAY_LENGTH(targets));
    SCENE_WAIT(&scene, scene.record_count >= 40);
    /* 20 checks, two rounds, 1.1 s: one lookup each 0.5 s would do. */
    assert_in_range(names_lookup_count(), 1, 8);
    close_all();
}

/* Six names hang: more than there are threads. They time out; a literal is never touched; a good
 * name is back as soon as the stuck threads have their substitutes. */
static void test_hanging_names(void **state) {
    (void)state;
    open_all();
    struct probe_target targets[8];
    for (size_t i = 0; i < 6; i++) {
        char name[8];
        (void)snprintf(name, sizeof name, "h%zu", i);
        targets[i] = scene_target(PROBE_TYPE_HTTP, name, "http://hang%zu.test:%u/", i, server.port);
        targets[i].timeout_ms = 200;
    }
    targets[6] = scene_target(PROBE_TYPE_HTTP, "literal", "http://127.0.0.1:%u/", server.port);
    targets[7] = scene_target(PROBE_TYPE_HTTP, "good", "http://good.test:%u/", server.port);
    targets[7].timeout_ms = 200;
    scene_configure(&scene, targets, 6);
    SCENE_WAIT(&scene, names_inside_count() == 4);
    scene_configure(&scene, targets, 8);
    for (size_t i = 0; i < 6; i++) {
        SCENE_WAIT(&scene, scene_result_count(&scene, targets[i].check) >= 2);
        const struct record *record = scene_last(&scene, targets[i].check);
        assert_int_equal(record->code, PROBE_DNS_TIMEOUT);
        assert_in_range(record->finish_ms - record->start_ms, 200, 1000);
    }
    SCENE_WAIT(&scene, scene_has_code(&scene, "good", PROBE_OK));
    assert_true(scene_has_code(&scene, "good", PROBE_DNS_TIMEOUT));
    assert_int_equal(scene_last(&scene, "literal")->code, PROBE_OK);
    assert_false(scene_has_code(&scene, "literal", PROBE_DNS_TIMEOUT));
    /* The servers are back: so are all names, some perhaps with the late answer. */
    names_release();
    for (size_t i = 0; i < 6; i++) {
        SCENE_WAIT(&scene, scene_last(&scene, targets[i].check)->code == PROBE_OK);
    }
    SCENE_WAIT(&scene, stats_now().resolver_queue_count == 0);
    close_all();
}

/* However many hang: the number of threads has an end, and closing doesn't wait for them. */
static void test_threads_are_bounded(void **state) {
    (void)state;
    enum { HOSTS = 40, THREAD_MAX = 16 };
    open_all();
    struct probe_target targets[HOSTS];
    for (size_t i = 0; i < HOSTS; i++) {
        targets[i] = scene_target(PROBE_TYPE_TCP, "c", "tcp://hang%zu.test:1", i);
        targets[i].service = (uint32_t)i;
        targets[i].timeout_ms = 100;
    }
    scene_configure(&scene, targets, HOSTS);
    SCENE_WAIT(&scene, names_inside_count() == THREAD_MAX);
    uint32_t before = scene.record_count;
    SCENE_WAIT(&scene, scene.record_count >= before + 3 * HOSTS);
    assert_int_equal(names_inside_count(), THREAD_MAX);
    assert_int_equal(stats_now().resolver_thread_count, THREAD_MAX);
    for (uint32_t i = 0; i < scene.record_count; i++) {
        assert_int_equal(scene.records[i % SCENE_RECORD_MAX].code, PROBE_DNS_TIMEOUT);
    }
    close_all();
}

/* The answer that came too late for its probe serves the next one. */
static void test_late_answer_is_kept(void **state) {
    (void)state;
    open_all();
    struct probe_target target =
        scene_target(PROBE_TYPE_TCP, "late", "tcp://hang.test:%u", server.port);
    target.timeout_ms = 100;
    target.interval_ms = 3000;
    scene_configure(&scene, &target, 1);
    SCENE_WAIT(&scene, scene.record_count == 1);
    assert_int_equal(scene.records[0].code, PROBE_DNS_TIMEOUT);
    assert_int_equal(names_inside_count(), 1);
    scene.clock_push_ms = 0;
    names_release();
    SCENE_WAIT(&scene, scene.record_count == 2);
    assert_int_equal(scene.records[1].code, PROBE_OK);
    assert_in_range(names_lookup_count(), 1, 2);
    close_all();
}

/* The real resolver, for the one name that every machine has. */
static void test_localhost(void **state) {
    (void)state;
    scene_open(&scene);
    scene.options.resolve = NULL;
    scene_open_engine(&scene);
    server_start(&server, &scene.loop, "127.0.0.1", 0, SERVER_ANSWER, SERVER_OK);
    struct probe_target targets[] = {
        scene_target(PROBE_TYPE_HTTP, "http", "http://localhost:%u/", server.port),
        scene_target(PROBE_TYPE_TCP, "tcp", "tcp://localhost:%u", server.port),
    };
    scene_configure(&scene, targets, 2);
    SCENE_WAIT(&scene, scene_has_code(&scene, "http", PROBE_OK));
    SCENE_WAIT(&scene, scene_has_code(&scene, "tcp", PROBE_OK));
    close_all();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_lookups_are_shared_and_kept),
        cmocka_unit_test(test_hanging_names),
        cmocka_unit_test(test_threads_are_bounded),
        cmocka_unit_test(test_late_answer_is_kept),
        cmocka_unit_test(test_localhost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
