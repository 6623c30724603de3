/* The engine around the protocols: sets of targets, schedule, evidence, stalls, closing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "scene.h"

static struct scene scene;

static struct probe_opinion opinion_of(uint32_t service, uint32_t region) {
    struct probe_opinion opinion;
    assert_true(probe_engine_opinion(scene.engine, service, region, &opinion));
    return opinion;
}

static struct probe_engine_stats stats_now(void) {
    struct probe_engine_stats stats;
    probe_engine_stats(scene.engine, &stats);
    return stats;
}

static void test_tcp(void **state) {
    (void)state;
    struct server server;
    struct hang hang;
    hang_open(&hang);
    scene_open(&scene);
    scene_open_engine(&scene);
    server_start(&server, &scene.loop, "127.0.0.1", 0, SERVER_SILENT, NULL);
    struct probe_target targets[] = {
        scene_target(PROBE_TYPE_TCP, "ok", "tcp://127.0.0.1:%u", server.port),
        scene_target(PROBE_TYPE_TCP, "name", "tcp://good.test:%u", server.port),
        /* ::1 refuses, 127.0.0.1 answers */
        scene_target(PROBE_TYPE_TCP, "both", "tcp://both.test:%u", server.port),
        scene_target(PROBE_TYPE_TCP, "refused", "tcp://both.test:%u", closed_port()),
        scene_target(PROBE_TYPE_TCP, "hang", "tcp://127.0.0.1:%u", hang.port),
        /* ::1 refuses, 127.0.0.1 says nothing: not known to be refused by all */
        scene_target(PROBE_TYPE_TCP, "half", "tcp://both.test:%u", hang.port),
        scene_target(PROBE_TYPE_TCP, "unreachable", "tcp://255.255.255.255:80"),
    };
    static const enum probe_result_code codes[] = {PROBE_OK,
                                                   PROBE_OK,
                                                   PROBE_OK,
                                                   PROBE_REFUSED,
                                                   PROBE_TIMEOUT_CONNECT,
                                                   PROBE_TIMEOUT_CONNECT,
                                                   PROBE_UNREACHABLE};
    for (size_t i = 0; i < ARRAY_LENGTH(targets); i++) {
        targets[i].timeout_ms = i < 3 ? 5000 : 150;
    }
    scene_configure(&scene, targets, ARRAY_LENGTH(targets));
    for (size_t i = 0; i < ARRAY_LENGTH(targets); i++) {
        SCENE_WAIT(&scene, scene_result_count(&scene, targets[i].check) >= 3);
        if (scene_last(&scene, targets[i].check)->code != codes[i]) {
            fail_msg("%s: %s", targets[i].check,
                     probe_result_text(scene_last(&scene, targets[i].check)->code));
        }
    }
    server_stop(&server);
    scene_close(&scene);
    hang_close(&hang);
}

/* The index is asked when a probe starts, and the evidence slides with the run. */
static void test_evidence(void **state) {
    (void)state;
    struct server server;
    scene_open(&scene);
    scene_open_engine(&scene);
    server_start(&server, &scene.loop, "127.0.0.1", 0, SERVER_SILENT, NULL);
    struct probe_target target =
        scene_target(PROBE_TYPE_HTTP, "web", "http://127.0.0.1:%u/", server.port);
    target.timeout_ms = 100;
    target.service = 3;
    target.region = 7;
    target.fall = 3;
    scene.index = 41;
    scene_configure(&scene, &target, 1);
    assert_int_equal(opinion_of(3, 7).value, OPINION_UNKNOWN);
    SCENE_WAIT(&scene, server.request_count == 1);
    scene.index = 42; /* in mid-flight: too late for the first probe */
    SCENE_WAIT(&scene, scene.record_count == 1);
    assert_int_equal(scene.records[0].start_index, 41);
    SCENE_WAIT(&scene, scene.record_count == 3);
    struct probe_opinion opinion = opinion_of(3, 7);
    assert_int_equal(opinion.value, OPINION_DOWN);
    assert_true(opinion.has_evidence);
    assert_int_equal(opinion.first_start_index, 41);
    assert_int_equal(opinion.last_start_index, 42);
    assert_int_equal(opinion.worst_code, PROBE_TIMEOUT);
    assert_string_equal(opinion.worst_check, "web");
    assert_int_equal(opinion.failing_since_ms, scene.records[0].start_ms);
    assert_int_equal(scene.change_count, 1);
    assert_int_equal(scene.changes[0].service, 3);
    assert_int_equal(scene.changes[0].region, 7);
    assert_int_equal(scene.changes[0].opinion.value, OPINION_DOWN);
    assert_int_equal(scene.changes[0].opinion.first_start_index, 41);
    assert_int_equal(opinion.changed_at_ms, scene.records[2].finish_ms);
    SCENE_WAIT(&scene, scene.record_count == 4);
    assert_int_equal(opinion_of(3, 7).first_start_index, 42);
    server_stop(&server);
    scene_close(&scene);
}

static void test_no_overlap_and_jitter(void **state) {
    (void)state;
    struct server silent;
    struct server quick;
    scene_open(&scene);
    scene_open_engine(&scene);
    server_start(&silent, &scene.loop, "127.0.0.1", 0, SERVER_SILENT, NULL);
    server_start(&quick, &scene.loop, "127.0.0.1", 0, SERVER_ANSWER, SERVER_OK);
    struct probe_target targets[] = {
        scene_target(PROBE_TYPE_HTTP, "silent", "http://127.0.0.1:%u/", silent.port),
        scene_target(PROBE_TYPE_HTTP, "quick", "http://127.0.0.1:%u/", quick.port),
    };
    targets[0].timeout_ms = 200; /* four intervals */
    targets[1].interval_ms = 100;
    scene_configure(&scene, targets, 2);
    SCENE_WAIT(&scene, scene_result_count(&scene, "silent") >= 5);
    SCENE_WAIT(&scene, scene_result_count(&scene, "quick") >= 12);
    /* The server may see the end of one only after the beginning of the next. */
    assert_true(silent.open_peak <= 2);
    uint64_t before_ms = 0;
    uint64_t least_ms = UINT64_MAX;
    uint64_t most_ms = 0;
    uint64_t last_finish_ms = 0;
    for (uint32_t i = 0; i < scene.record_count; i++) {
        const struct record *record = &scene.records[i];
        if (text_equal(record->check, "silent")) {
            assert_true(record->start_ms >= last_finish_ms);
            last_finish_ms = record->finish_ms;
            continue;
        }
        if (before_ms != 0) {
            uint64_t gap_ms = record->start_ms - before_ms;
            least_ms = gap_ms < least_ms ? gap_ms : least_ms;
            most_ms = gap_ms > most_ms ? gap_ms : most_ms;
        }
        before_ms = record->start_ms;
    }
    assert_true(least_ms >= 88); /* 90, and what the loop's clock rounds */
    assert_true(most_ms > least_ms);
    server_stop(&silent);
    server_stop(&quick);
    scene_close(&scene);
}

static void test_first_probes_are_spread(void **state) {
    (void)state;
    struct server server;
    scene_open(&scene);
    scene_open_engine(&scene);
    server_start(&server, &scene.loop, "127.0.0.1", 0, SERVER_SILENT, NULL);
    struct probe_target targets[200];
    for (size_t i = 0; i < ARRAY_LENGTH(targets); i++) {
        char name[8];
        (void)snprintf(name, sizeof name, "c%zu", i);
        targets[i] = scene_target(PROBE_TYPE_TCP, name, "tcp://127.0.0.1:%u", server.port);
        targets[i].interval_ms = 1000;
        targets[i].service = (uint32_t)i;
    }
    uint64_t start_ms = scene_now_ms();
    scene_configure(&scene, targets, ARRAY_LENGTH(targets));
    SCENE_WAIT(&scene, scene.record_count >= 200);
    uint32_t tenths[11] = {0};
    for (uint32_t i = 0; i < 200; i++) {
        uint64_t tenth = (scene.records[i].start_ms - start_ms) / 100;
        tenths[tenth < 10 ? tenth : 10]++;
    }
    for (size_t i = 0; i < 10; i++) {
        assert_in_range(tenths[i], 1, 60); /* 20 each, on average */
    }
    server_stop(&server);
    scene_close(&scene);
}

static void test_stall(void **state) {
    (void)state;
    struct server silent;
    struct server quick;
    scene_open(&scene);
    scene_open_engine(&scene);
    server_start(&silent, &scene.loop, "127.0.0.1", 0, SERVER_SILENT, NULL);
    server_start(&quick, &scene.loop, "127.0.0.1", 0, SERVER_ANSWER, SERVER_OK);
    struct probe_target targets[] = {
        scene_target(PROBE_TYPE_HTTP, "silent", "http://127.0.0.1:%u/", silent.port),
        scene_target(PROBE_TYPE_HTTP, "quick", "http://127.0.0.1:%u/", quick.port),
        scene_target(PROBE_TYPE_HTTP, "late", "http://127.0.0.1:%u/", quick.port),
    };
    targets[0].timeout_ms = 300;
    targets[0].fall = 2;
    targets[2].interval_ms = 60000; /* idle for all of the test, most likely */
    scene_configure(&scene, targets, 3);
    SCENE_WAIT(&scene, scene_result_count(&scene, "silent") == 1);
    SCENE_WAIT(&scene, silent.request_count == 2);
    scene.clock_push_ms = 5000; /* as after a stop of the process */
    SCENE_WAIT(&scene, scene_result_count(&scene, "silent") == 2);
    assert_int_equal(scene_last(&scene, "silent")->code, PROBE_STALLED);
    assert_int_equal(scene_last(&scene, "silent")->state, PROBE_UNKNOWN);
    assert_int_equal(stats_now().stall_count, 1);
    assert_true(stats_now().last_stall_ms >= 5000);
    /* The next ones count again, and complete the run. */
    SCENE_WAIT(&scene, scene_result_count(&scene, "silent") == 3);
    assert_int_equal(scene_last(&scene, "silent")->code, PROBE_TIMEOUT);
    assert_int_equal(scene_last(&scene, "silent")->state, PROBE_DOWN);
    uint32_t before = scene_result_count(&scene, "quick");
    SCENE_WAIT(&scene, scene_result_count(&scene, "quick") >= before + 3);
    assert_int_equal(scene_last(&scene, "quick")->code, PROBE_OK);
    assert_int_equal(stats_now().stall_count, 1);
    server_stop(&silent);
    server_stop(&quick);
    scene_close(&scene);
}

static void send_answer(struct server *server) {
    uv_os_fd_t fd = 0;
    assert_int_equal(uv_fileno(server_newest(server), &fd), 0);
    assert_true(send(fd, SERVER_OK, strlen(SERVER_OK), 0) > 0);
}

/* A stop within the timeout: the answer may be from before it, so a good one counts no more than a
 * bad one. */
static void test_stall_within_timeout(void **state) {
    (void)state;
    struct server server;
    scene_open(&scene);
    scene.options.stall_ms = 500;
    scene_open_engine(&scene);
    server_start(&server, &scene.loop, "127.0.0.1", 0, SERVER_SILENT, NULL);
    struct probe_target target =
        scene_target(PROBE_TYPE_HTTP, "web", "http://127.0.0.1:%u/", server.port);
    target.timeout_ms = 10000;
    scene_configure(&scene, &target, 1);
    SCENE_WAIT(&scene, server.request_count == 1);
    scene.clock_push_ms += 700;
    send_answer(&server);
    SCENE_WAIT(&scene, scene.record_count == 1);
    assert_int_equal(scene.records[0].code, PROBE_STALLED);
    assert_int_equal(opinion_of(0, 0).value, OPINION_UNKNOWN);
    SCENE_WAIT(&scene, server.request_count == 2);
    scene.clock_push_ms += 300; /* not long enough */
    send_answer(&server);
    SCENE_WAIT(&scene, scene.record_count == 2);
    assert_int_equal(scene.records[1].code, PROBE_OK);
    assert_int_equal(stats_now().stall_count, 1);
    server_stop(&server);
    scene_close(&scene);
}

/* A stop that is too short to be a stall: what came meanwhile is looked at before the timeout. */
static void test_short_block_loses_no_answer(void **state) {
    (void)state;
    struct server server;
    scene_open(&scene);
    scene_open_engine(&scene);
    server_start(&server, &scene.loop, "127.0.0.1", 0, SERVER_SILENT, NULL);
    struct probe_target target =
        scene_target(PROBE_TYPE_HTTP, "web", "http://127.0.0.1:%u/", server.port);
    target.timeout_ms = 200;
    scene_configure(&scene, &target, 1);
    for (uint32_t round = 1; round <= 3; round++) {
        SCENE_WAIT(&scene, server.request_count == round);
        send_answer(&server);
        /* The answer lies there; the loop doesn't turn until the timeout is over. */
        for (uint64_t end_ms = scene_now_ms() + 300; scene_now_ms() < end_ms;) {
        }
        SCENE_WAIT(&scene, scene.record_count == round);
        assert_int_equal(scene_last(&scene, "web")->code, PROBE_OK);
    }
    server_stop(&server);
    scene_close(&scene);
}

static void test_configure_keeps_state(void **state) {
    (void)state;
    struct server server;
    scene_open(&scene);
    scene_open_engine(&scene);
    server_start(&server, &scene.loop, "127.0.0.1", 0, SERVER_ANSWER, SERVER_OK);
    struct probe_target targets[] = {
        scene_target(PROBE_TYPE_HTTP, "a", "http://127.0.0.1:%u/a", server.port),
        scene_target(PROBE_TYPE_HTTP, "b", "http://127.0.0.1:%u/b", server.port),
    };
    targets[1].service = 1;
    scene_configure(&scene, targets, 2);
    SCENE_WAIT(&scene,
               opinion_of(0, 0).value == OPINION_UP && opinion_of(1, 0).value == OPINION_UP);
    uint64_t since_ms = opinion_of(0, 0).changed_at_ms;
    uint32_t changes = scene.change_count;

    /* The same again, in another order, from other memory. */
    struct probe_target again[] = {targets[1], targets[0]};
    scene_configure(&scene, again, 2);
    assert_int_equal(opinion_of(0, 0).value, OPINION_UP);
    assert_int_equal(opinion_of(0, 0).changed_at_ms, since_ms);
    assert_int_equal(scene.change_count, changes);

    /* Numbered anew: the checks go with their content, and the new places are told. */
    struct probe_target moved[] = {targets[0], targets[1]};
    moved[0].service = 1;
    moved[1].service = 2;
    scene_configure(&scene, moved, 2);
    struct probe_opinion opinion;
    assert_false(probe_engine_opinion(scene.engine, 0, 0, &opinion));
    assert_int_equal(opinion_of(1, 0).value, OPINION_UP);
    assert_int_equal(opinion_of(2, 0).value, OPINION_UP);
    assert_int_equal(scene.changes[scene.change_count - 1].service, 2);

    /* Another URL is another check, and a new critical one makes the whole unknown. */
    (void)TEXT_COPY(moved[0].check, "c");
    struct probe_target more[] = {moved[0], moved[1], moved[1]};
    (void)TEXT_COPY(more[2].check, "d");
    scene_configure(&scene, more, 3);
    assert_int_equal(opinion_of(1, 0).value, OPINION_UNKNOWN);
    assert_int_equal(opinion_of(2, 0).value, OPINION_UNKNOWN);
    assert_string_equal(opinion_of(2, 0).worst_check, "d");
    SCENE_WAIT(&scene,
               opinion_of(1, 0).value == OPINION_UP && opinion_of(2, 0).value == OPINION_UP);

    scene_configure(&scene, NULL, 0);
    assert_false(probe_engine_opinion(scene.engine, 1, 0, &opinion));
    assert_int_equal(stats_now().check_count, 0);
    server_stop(&server);
    scene_close(&scene);
}

static void test_configure_in_flight(void **state) {
    (void)state;
    struct server server;
    struct hang hang;
    hang_open(&hang);
    scene_open(&scene);
    scene_open_engine(&scene);
    server_start(&server, &scene.loop, "127.0.0.1", 0, SERVER_SILENT, NULL);
    struct probe_target targets[] = {
        scene_target(PROBE_TYPE_HTTP, "http", "http://127.0.0.1:%u/", server.port),
        scene_target(PROBE_TYPE_HTTP, "hang", "http://127.0.0.1:%u/", hang.port),
        scene_target(PROBE_TYPE_TCP, "tcp", "tcp://127.0.0.1:%u/", hang.port),
        scene_target(PROBE_TYPE_TCP, "name", "tcp://hang.test:1"),
        scene_target(PROBE_TYPE_HTTP, "stays", "http://127.0.0.1:%u/", server.port),
    };
    for (size_t i = 0; i < ARRAY_LENGTH(targets); i++) {
        targets[i].timeout_ms = 5000;
    }
    targets[4].timeout_ms = 400;
    scene_configure(&scene, targets, 5);
    SCENE_WAIT(&scene, stats_now().in_flight_count == 5 && server.request_count == 2 &&
                           names_inside_count() == 1);
    scene_configure(&scene, &targets[4], 1);
    assert_int_equal(stats_now().in_flight_count, 1);
    SCENE_WAIT(&scene, server.open_count == 1);
    SCENE_WAIT(&scene, scene.record_count == 1); /* its probe went on */
    assert_int_equal(scene_last(&scene, "stays")->code, PROBE_TIMEOUT);
    assert_int_equal(server.request_count, 2);
    server_stop(&server);
    scene_close(&scene);
    hang_close(&hang);
}

static void expect_refused(const struct probe_target *targets, size_t count, enum error_code code) {
    struct error error = {0};
    assert_int_equal(probe_engine_configure(scene.engine, targets, count, &error), code);
    assert_int_equal(error.code, code);
    assert_true(error.message[0] != '\0');
}

static void test_limits(void **state) {
    (void)state;
    scene_open(&scene);
    scene_open_engine(&scene);
    struct probe_target *targets = calloc(PROBE_TARGET_MAX + 1, sizeof *targets);
    assert_non_null(targets);
    uint16_t port = closed_port();
    for (uint32_t i = 0; i <= PROBE_TARGET_MAX; i++) {
        targets[i] = scene_target(PROBE_TYPE_TCP, "c", "tcp://127.0.0.1:%u", port);
        targets[i].service = i;
        targets[i].interval_ms = 60000;
    }
    scene_configure(&scene, targets, 2);
    expect_refused(targets, PROBE_TARGET_MAX + 1, ERROR_LIMIT);
    assert_int_equal(stats_now().check_count, 2);
    scene_configure(&scene, targets, PROBE_TARGET_MAX);
    assert_int_equal(stats_now().check_count, PROBE_TARGET_MAX);

    for (uint32_t i = 0; i <= PROBE_GROUP_CHECK_MAX; i++) {
        (void)snprintf(targets[i].check, sizeof targets[i].check, "c%u", i);
        targets[i].service = 5;
    }
    expect_refused(targets, PROBE_GROUP_CHECK_MAX + 1, ERROR_LIMIT);
    assert_int_equal(stats_now().check_count, PROBE_TARGET_MAX);
    scene_configure(&scene, targets, PROBE_GROUP_CHECK_MAX);
    assert_int_equal(stats_now().check_count, PROBE_GROUP_CHECK_MAX);

    targets[1] = targets[0];
    expect_refused(targets, 2, ERROR_INVALID);
    memset(targets[1].url, 'x', sizeof targets[1].url);
    targets[1].service = 6;
    expect_refused(targets, 2, ERROR_LIMIT);
    assert_int_equal(stats_now().check_count, PROBE_GROUP_CHECK_MAX);
    free(targets);
    scene_close(&scene);
}

static void make_bad(struct probe_target *target, int kind) {
    switch (kind) {
    case 0:
        target->timeout_ms = PROBE_TIMEOUT_MIN_MS - 1;
        break;
    case 1:
        target->timeout_ms = PROBE_TIMEOUT_MAX_MS + 1;
        break;
    case 2:
        target->interval_ms = PROBE_INTERVAL_MIN_MS - 1;
        break;
    case 3:
        target->interval_ms = PROBE_INTERVAL_MAX_MS + 1;
        break;
    case 4:
        target->fall = PROBE_RUN_MAX + 1;
        break;
    case 5:
        target->rise = 0;
        break;
    case 6:
        target->expect_count = PROBE_STATUS_RANGE_MAX + 1;
        break;
    case 7:
        target->expect_count = 1;
        target->expect[0] = (struct probe_status_range){300, 200};
        break;
    case 8:
        (void)TEXT_COPY(target->cert_file, "only.pem");
        break;
    case 9:
        target->type = PROBE_TYPE_COUNT;
        break;
    case 10:
        (void)TEXT_COPY(target->server_name, "bad name");
        break;
    default:
        target->check[0] = '\0';
        break;
    }
}

/* One that can't be probed is unknown for ever; its neighbours don't feel it. */
static void test_unusable(void **state) {
    (void)state;
    static const char *const urls[] = {
        "",
        "nonsense",
        "ftp://127.0.0.1/",
        "http://127.0.0.1/", /* https is said */
        "https://",
        "https://user:secret@127.0.0.1/",
        "https://127.0.0.1:0/",
        "https://127.0.0.1:65536/",
        "https://[fe80::1%25eth0]/",
        "https://[::1/",
        "https://\xc3\xbc.test/",
        "https://a b/",
    };
    enum { BAD_KINDS = 12 };
    struct server server;
    scene_open(&scene);
    scene_open_engine(&scene);
    server_start(&server, &scene.loop, "127.0.0.1", 0, SERVER_ANSWER, SERVER_OK);
    struct probe_target targets[ARRAY_LENGTH(urls) + BAD_KINDS + 2];
    uint32_t count = 0;
    for (; count < ARRAY_LENGTH(urls); count++) {
        targets[count] = scene_target(PROBE_TYPE_HTTPS, "bad", "%s", urls[count]);
        targets[count].service = count;
    }
    for (int kind = 0; kind < BAD_KINDS; kind++, count++) {
        targets[count] = scene_target(PROBE_TYPE_HTTPS, "bad", "https://127.0.0.1:%u/", 1);
        targets[count].service = count;
        make_bad(&targets[count], kind);
    }
    targets[count] = scene_target(PROBE_TYPE_TCP, "path", "tcp://127.0.0.1:1/path");
    targets[count].service = count;
    count++;
    targets[count] = scene_target(PROBE_TYPE_HTTP, "good", "http://127.0.0.1:%u/", server.port);
    targets[count].service = count;
    scene_configure(&scene, targets, count + 1);
    assert_int_equal(stats_now().unusable_count, count);
    SCENE_WAIT(&scene, scene_result_count(&scene, "good") >= 3);
    assert_int_equal(opinion_of(count, 0).value, OPINION_UP);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(opinion_of(i, 0).value, OPINION_UNKNOWN);
        assert_int_equal(opinion_of(i, 0).worst_code, PROBE_INTERNAL);
    }
    scene_configure(&scene, targets, count); /* kept and dropped as any other */
    assert_int_equal(stats_now().unusable_count, count);
    server_stop(&server);
    scene_close(&scene);
}

static uint32_t seen;

static void see(void *context, const struct probe_check_view *check) {
    static const char *const order[] = {"a", "b", "a", "a"};
    (void)context;
    assert_string_equal(check->target->check, order[seen]);
    assert_false(check->debounce->has_result);
    assert_false(check->in_flight);
    seen++;
}

static void test_each(void **state) {
    (void)state;
    scene_open(&scene);
    scene_open_engine(&scene);
    struct probe_target targets[4];
    for (uint32_t i = 0; i < 4; i++) {
        targets[i] = scene_target(PROBE_TYPE_TCP, i == 2 ? "b" : "a", "tcp://127.0.0.1:1");
        targets[i].service = i == 0;
        targets[i].region = i == 1;
    }
    scene_configure(&scene, targets, 4);
    seen = 0;
    probe_engine_each(scene.engine, see, NULL);
    assert_int_equal(seen, 4);
    scene_close(&scene);
}

static void test_destroy_in_flight(void **state) {
    (void)state;
    struct server server;
    struct hang hang;
    hang_open(&hang);
    scene_open(&scene);
    scene_open_engine(&scene);
    server_start(&server, &scene.loop, "127.0.0.1", 0, SERVER_SILENT, NULL);
    struct probe_target targets[] = {
        scene_target(PROBE_TYPE_HTTP, "http", "http://127.0.0.1:%u/", server.port),
        scene_target(PROBE_TYPE_HTTP, "named", "http://good.test:%u/", server.port),
        scene_target(PROBE_TYPE_HTTP, "hang", "http://127.0.0.1:%u/", hang.port),
        scene_target(PROBE_TYPE_TCP, "tcp", "tcp://127.0.0.1:%u/", hang.port),
        scene_target(PROBE_TYPE_HTTP, "name", "http://hang1.test:1"),
        scene_target(PROBE_TYPE_TCP, "name2", "tcp://hang2.test:1"),
        scene_target(PROBE_TYPE_TCP, "name3", "tcp://hang3.test:1"),
        scene_target(PROBE_TYPE_TCP, "name4", "tcp://hang4.test:1"),
        scene_target(PROBE_TYPE_TCP, "name5", "tcp://hang5.test:1"), /* queued */
    };
    for (size_t i = 0; i < ARRAY_LENGTH(targets); i++) {
        targets[i].timeout_ms = 10000;
    }
    scene_configure(&scene, targets, 2); /* before the names below take all threads */
    SCENE_WAIT(&scene, server.request_count == 2);
    scene_configure(&scene, targets, ARRAY_LENGTH(targets));
    SCENE_WAIT(&scene,
               stats_now().in_flight_count == ARRAY_LENGTH(targets) && names_inside_count() == 4);
    uint64_t start_ms = scene_now_ms();
    server_stop(&server);
    scene_close(&scene); /* closes while the lookups still hang, and asserts once */
    assert_true(scene_now_ms() - start_ms < 2000);
    assert_int_equal(scene.record_count, 0);
    hang_close(&hang);
}

static void feed(const char *check, enum probe_result_code code, uint64_t index,
                 uint64_t start_ms) {
    struct probe_result result = {.code = code,
                                  .start_index = index,
                                  .start_ms = start_ms,
                                  .finish_ms = clock_boottime_ms(&scene.clock)};
    probe_engine_feed(scene.engine, 0, 0, check, &result);
}

/* Results that come from elsewhere are counted as its own are; nothing is probed for them. */
static void test_fed(void **state) {
    (void)state;
    scene_open(&scene);
    scene_open_engine(&scene);
    struct probe_target target = scene_target(PROBE_TYPE_FED, "mongo", "anything at all");
    target.fall = 2;
    scene_configure(&scene, &target, 1);
    assert_int_equal(opinion_of(0, 0).value, OPINION_UNKNOWN);
    uint64_t now_ms = clock_boottime_ms(&scene.clock);
    feed("mongo", PROBE_OK, 3, now_ms);
    assert_int_equal(opinion_of(0, 0).value, OPINION_UP);
    feed("other", PROBE_NO_PRIMARY, 4, now_ms); /* no such check */
    feed("mongo", PROBE_NO_PRIMARY, 5, now_ms);
    assert_int_equal(opinion_of(0, 0).value, OPINION_UP);
    feed("mongo", PROBE_NO_PRIMARY, 9, now_ms);
    struct probe_opinion opinion = opinion_of(0, 0);
    assert_int_equal(opinion.value, OPINION_DOWN);
    assert_true(opinion.has_evidence);
    assert_int_equal(opinion.first_start_index, 5);
    assert_int_equal(opinion.last_start_index, 9);
    assert_string_equal(opinion.worst_check, "mongo");
    assert_int_equal(scene.record_count, 3);
    /* What began before this process stood still is no evidence. */
    uint64_t before_ms = clock_boottime_ms(&scene.clock);
    scene.clock_push_ms += 5000;
    feed("mongo", PROBE_OK, 10, before_ms);
    assert_int_equal(scene_last(&scene, "mongo")->code, PROBE_STALLED);
    assert_int_equal(opinion_of(0, 0).value, OPINION_DOWN);
    feed("mongo", PROBE_OK, 11, clock_boottime_ms(&scene.clock));
    assert_int_equal(opinion_of(0, 0).value, OPINION_UP);
    scene_close(&scene);
}

/* The region that is left needs no primary any more: what it failed by is taken back at once. */
static void test_excused(void **state) {
    (void)state;
    scene_open(&scene);
    scene_open_engine(&scene);
    struct probe_target target = scene_target(PROBE_TYPE_FED, "mongo", "anything at all");
    target.fall = 2;
    scene_configure(&scene, &target, 1);
    uint64_t now_ms = clock_boottime_ms(&scene.clock);
    feed("mongo", PROBE_OK, 3, now_ms);
    feed("mongo", PROBE_NO_PRIMARY, 4, now_ms);
    feed("mongo", PROBE_NO_PRIMARY, 5, now_ms);
    scene_configure(&scene, &target, 1);
    assert_int_equal(opinion_of(0, 0).value, OPINION_DOWN);
    unsigned told = scene.change_count;
    target.excused = PROBE_NO_PRIMARY;
    scene_configure(&scene, &target, 1);
    assert_int_equal(opinion_of(0, 0).value, OPINION_UP);
    assert_int_equal(scene.change_count, told + 1);
    feed("mongo", PROBE_NO_MEMBER, 6, now_ms);
    feed("mongo", PROBE_NO_MEMBER, 7, now_ms);
    assert_int_equal(opinion_of(0, 0).value, OPINION_DOWN);
    scene_configure(&scene, &target, 1);
    assert_int_equal(opinion_of(0, 0).value, OPINION_DOWN);
    scene_close(&scene);
}

static void on_none_closed(void *context) {
    (*(int *)context)++;
}

static void test_destroy_nothing(void **state) {
    (void)state;
    int closed = 0;
    probe_engine_destroy(NULL, on_none_closed, &closed);
    assert_int_equal(closed, 1);
    scene_open(&scene);
    scene_open_engine(&scene);
    scene_close(&scene);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tcp),
        cmocka_unit_test(test_evidence),
        cmocka_unit_test(test_no_overlap_and_jitter),
        cmocka_unit_test(test_first_probes_are_spread),
        cmocka_unit_test(test_stall),
        cmocka_unit_test(test_stall_within_timeout),
        cmocka_unit_test(test_short_block_loses_no_answer),
        cmocka_unit_test(test_configure_keeps_state),
        cmocka_unit_test(test_configure_in_flight),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_unusable),
        cmocka_unit_test(test_fed),
        cmocka_unit_test(test_excused),
        cmocka_unit_test(test_each),
        cmocka_unit_test(test_destroy_in_flight),
        cmocka_unit_test(test_destroy_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
