/* What every test of the executor includes: cmocka with what it wants before it, and the scene. */
#ifndef TEST_EXECUTOR_TEST_H
#define TEST_EXECUTOR_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "scene.h"

/* Steps of a derived plan of a service with one zone. */
#define SWITCH 0
#define DNS 1

#define ADOPTED_FENCE "prod/nocturnal/5.1/0"
#define MOVED_FENCE "prod/nocturnal/5.2/1"
#define BURNT_FENCE "void(prod/nocturnal/5.2/1)"

static inline int setup_scene(void **state) {
    static struct scene scene;
    scene_open(&scene);
    *state = &scene;
    return 0;
}

static inline int teardown_scene(void **state) {
    scene_close(*state);
    return 0;
}

/* An operator's move, as far as the proposal of the n-th entry of its dns step. */
static inline void begin_move(struct scene *scene) {
    scene_move(scene, 0);
    scene_turn(scene);
    scene_commit(scene, COMMAND_SWITCH);
}

static inline void bring_to_intended(struct scene *scene) {
    begin_move(scene);
    scene_answer(scene, scene_read(scene));
    scene_commit(scene, COMMAND_INTENT);
}

/* ... as far as the one request being under way. */
static inline struct played_request *bring_to_sent(struct scene *scene) {
    bring_to_intended(scene);
    scene_commit(scene, COMMAND_ATTEMPT);
    return scene_send(scene);
}

/* The back-off of a task in trouble is over. */
static inline void pass_back_off(struct scene *scene) {
    assert_true(scene_is_quiet(scene));
    scene_pass_ms(scene, 8000);
    scene_turn(scene);
}

static inline void pass_wait(struct scene *scene) {
    assert_true(scene_is_quiet(scene));
    scene_pass_ms(scene, 250);
    scene_turn(scene);
}

static inline struct played_target *the_target(struct scene *scene) {
    return &scene->targets[0];
}

#define PLAYED(test) cmocka_unit_test_setup_teardown(test, setup_scene, teardown_scene)

#endif
