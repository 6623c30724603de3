/* Many targets on one loop: nobody is forgotten, nobody is late. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "base/text.h"
#include "scene.h"

/* Sanitizers cost several times the time; the machine is shared. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { TARGETS = 400 };
#else
enum { TARGETS = 2000 };
#endif
enum { SERVERS = 4, ROUNDS = 3, INTERVAL_MS = 1000, SERVICES = 100 };

static struct scene scene;
static struct server servers[SERVERS];

struct tally {
    uint64_t ok, other;
    uint64_t least, most; /* results a check */
    uint64_t longest_ms;
    uint32_t fresh_count;
};

static void count_check(void *context, const struct probe_check_view *check) {
    struct tally *tally = context;
    const struct probe_debounce *debounce = check->debounce;
    uint64_t count = debounce->ok_count + debounce->fail_count + debounce->void_count;
    tally->ok += debounce->ok_count;
    tally->other += debounce->fail_count + debounce->void_count;
    tally->least = count < tally->least ? count : tally->least;
    tally->most = count > tally->most ? count : tally->most;
    uint64_t took_ms = debounce->last.finish_ms - debounce->last.start_ms;
    tally->longest_ms = took_ms > tally->longest_ms ? took_ms : tally->longest_ms;
}

static void raise_descriptors(void) {
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* Services that are down by what began at `index`. */
static uint32_t count_down(const struct probe_engine *engine, uint64_t index) {
    uint32_t down = 0;
    for (uint32_t i = 0; i < SERVICES; i++) {
        struct probe_opinion opinion;
        assert_true(probe_engine_opinion(engine, i, 0, &opinion));
        down += opinion.value == OPINION_DOWN && opinion.first_start_index == index;
    }
    return down;
}

static void test_many_targets(void **state) {
    (void)state;
    raise_descriptors();
    scene_open(&scene);
    scene_open_engine(&scene);
    for (size_t i = 0; i < SERVERS; i++) {
        server_start(&servers[i], &scene.loop, "127.0.0.1", 0, SERVER_ANSWER, SERVER_OK);
    }
    struct probe_target *targets = calloc(TARGETS, sizeof *targets);
    assert_non_null(targets);
    for (uint32_t i = 0; i < TARGETS; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "c%u", i / SERVICES);
        uint16_t port = servers[i % SERVERS].port;
        targets[i] = i % 10 == 0 ? scene_target(PROBE_TYPE_TCP, name, "tcp://127.0.0.1:%u", port)
                     : i % 2 == 0
                         ? scene_target(PROBE_TYPE_HTTP, name, "http://good.test:%u/", port)
                         : scene_target(PROBE_TYPE_HTTP, name, "http://127.0.0.1:%u/", port);
        targets[i].service = i % SERVICES;
        targets[i].interval_ms = INTERVAL_MS;
        targets[i].timeout_ms = 900;
        targets[i].keep_alive = i % 10 != 0;
    }
    uint64_t start_ms = scene_now_ms();
    scene_configure(&scene, targets, TARGETS);
    SCENE_WAIT(&scene, scene_now_ms() - start_ms > ROUNDS * INTERVAL_MS + INTERVAL_MS / 2);
    struct tally tally = {.least = UINT64_MAX};
    probe_engine_each(scene.engine, count_check, &tally);
    print_message(
        "%d targets: ok %llu, other %llu, results a check %llu to %llu, longest %llu ms\n", TARGETS,
        (unsigned long long)tally.ok, (unsigned long long)tally.other,
        (unsigned long long)tally.least, (unsigned long long)tally.most,
        (unsigned long long)tally.longest_ms);
    assert_int_equal(tally.other, 0);
    /* In 3.5 intervals: the first within one, then one each 1.1 at the latest. */
    assert_true(tally.least >= ROUNDS - 1);
    assert_true(tally.most <= ROUNDS + 2);
    for (uint32_t i = 0; i < SERVICES; i++) {
        struct probe_opinion opinion;
        assert_true(probe_engine_opinion(scene.engine, i, 0, &opinion));
        assert_int_equal(opinion.value, OPINION_UP);
    }

    /* All die at once: all are seen down, by their own evidence. */
    scene.index = 99;
    for (size_t i = 0; i < SERVERS; i++) {
        server_stop(&servers[i]);
    }
    SCENE_WAIT(&scene, count_down(scene.engine, 99) >= SERVICES - 1);
    free(targets);
    scene_close(&scene);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_many_targets)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
