/* Control targets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "probe/control.h"
#include "scene.h"

static struct scene scene;
static int change_count;
static bool last_change;
static int closed_count;

static void on_change(void *context, bool reaches) {
    (void)context;
    change_count++;
    last_change = reaches;
}

static void on_closed(void *context) {
    (void)context;
    closed_count++;
}

static const struct probe_control_options options = {
    .on_change = on_change, .interval_ms = 50, .timeout_ms = 200, .resolve = names_resolve};

static struct probe_control *open_control(const char *const *addresses, size_t count) {
    struct probe_control *control = NULL;
    struct error error = {0};
    change_count = 0;
    closed_count = 0;
    if (probe_control_create(&scene.loop, &scene.clock, &entropy_system, addresses, count, &options,
                             &control, &error) != ERROR_OK) {
        fail_msg("%s", error.message);
    }
    return control;
}

static void close_control(struct probe_control *control) {
    probe_control_destroy(control, on_closed, NULL);
    SCENE_WAIT(&scene, closed_count == 1);
}

static void test_half_is_enough(void **state) {
    (void)state;
    struct server servers[2];
    char texts[3][64];
    scene_open(&scene);
    scene_open_engine(&scene);
    for (size_t i = 0; i < 2; i++) {
        server_start(&servers[i], &scene.loop, "127.0.0.1", 0, SERVER_SILENT, NULL);
        (void)snprintf(texts[i], sizeof texts[i], "good%zu.test:%u", i, servers[i].port);
    }
    (void)snprintf(texts[2], sizeof texts[2], "[::1]:%u", closed_port());
    const char *addresses[] = {texts[0], texts[1], texts[2]};
    struct probe_control *control = open_control(addresses, 3);
    assert_false(probe_control_reaches(control)); /* before anything answered */
    assert_int_equal(probe_control_total_count(control), 3);
    SCENE_WAIT(&scene, probe_control_reached_count(control) == 2);
    assert_true(probe_control_reaches(control));
    assert_int_equal(change_count, 1);
    assert_true(last_change);
    server_stop(&servers[1]);
    SCENE_WAIT(&scene, !probe_control_reaches(control));
    assert_int_equal(probe_control_reached_count(control), 1);
    assert_int_equal(change_count, 2);
    assert_false(last_change);
    SCENE_WAIT(&scene, servers[1].closed);
    server_start(&servers[1], &scene.loop, "127.0.0.1", servers[1].port, SERVER_SILENT, NULL);
    SCENE_WAIT(&scene, probe_control_reaches(control));
    assert_int_equal(change_count, 3);
    close_control(control);
    server_stop(&servers[0]);
    server_stop(&servers[1]);
    scene_close(&scene);
}

static void test_none_is_always(void **state) {
    (void)state;
    scene_open(&scene);
    scene_open_engine(&scene);
    struct probe_control *control = open_control(NULL, 0);
    assert_true(probe_control_reaches(control));
    assert_int_equal(probe_control_total_count(control), 0);
    close_control(control);
    closed_count = 0;
    probe_control_destroy(NULL, on_closed, NULL);
    assert_int_equal(closed_count, 1);
    scene_close(&scene);
}

static void test_refusals(void **state) {
    (void)state;
    char too_long[PROBE_CONTROL_ADDRESS_SIZE + 1];
    memset(too_long, 'a', sizeof too_long - 1);
    too_long[sizeof too_long - 1] = '\0';
    const struct {
        const char *address;
        enum error_code code;
    } rows[] = {{"", ERROR_INVALID},
                {"host", ERROR_INVALID},
                {"host:0", ERROR_INVALID},
                {"host:65536", ERROR_INVALID},
                {"host:1/path", ERROR_INVALID},
                {":443", ERROR_INVALID},
                {"user@host:1", ERROR_INVALID},
                {too_long, ERROR_LIMIT}};
    scene_open(&scene);
    scene_open_engine(&scene);
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct probe_control *control = NULL;
        struct error error = {0};
        enum error_code code =
            probe_control_create(&scene.loop, &scene.clock, &entropy_system, &rows[i].address, 1,
                                 &options, &control, &error);
        if (code != rows[i].code) {
            fail_msg("'%s': %s", rows[i].address, error_text(code));
        }
        assert_null(control);
        assert_true(text_starts_with(error.message, "control target '"));
    }
    const char *many[PROBE_CONTROL_MAX + 1];
    for (size_t i = 0; i < ARRAY_LENGTH(many); i++) {
        many[i] = "127.0.0.1:1";
    }
    struct probe_control *control = NULL;
    struct error error = {0};
    assert_int_equal(probe_control_create(&scene.loop, &scene.clock, &entropy_system, many,
                                          PROBE_CONTROL_MAX + 1, &options, &control, &error),
                     ERROR_LIMIT);
    control = open_control(many, PROBE_CONTROL_MAX);
    close_control(control);
    scene_close(&scene);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_half_is_enough),
        cmocka_unit_test(test_none_is_always),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
