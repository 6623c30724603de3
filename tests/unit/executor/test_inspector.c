/* The inspector between moves: what it asks, what it makes of the answer, and how it ends. */
#include "executor/inspector.h"

#include "executor_test.h"

#define EVERY_MS 60000

struct looking {
    struct scene *scene;
    struct inspector *inspector;
    bool state_is_gone, closed;
};

static const struct state *state_of(void *context) {
    const struct looking *looking = context;
    assert_false(looking->state_is_gone);
    return looking->scene->group.state;
}

static void begin(struct looking *looking, struct scene *scene) {
    *looking = (struct looking){.scene = scene};
    const struct inspector_options options = {
        .loop = &scene->loop,
        .clock = &scene->clock,
        .driver = &scene->driver,
        .state = state_of,
        .context = looking,
        .every_ms = EVERY_MS,
    };
    looking->inspector = inspector_create(&options);
    assert_non_null(looking->inspector);
    inspector_lead(looking->inspector, true);
    scene_turn(scene);
}

static void on_closed(void *context) {
    ((struct looking *)context)->closed = true;
}

static void end(struct looking *looking) {
    inspector_close(looking->inspector, on_closed, looking);
    while (!looking->closed) {
        (void)uv_run(&looking->scene->loop, UV_RUN_ONCE);
    }
}

static const struct inspection *found(const struct looking *looking) {
    return inspector_find(looking->inspector, "nocturnal", "Z1");
}

static void test_all_is_right(void **state) {
    struct scene *scene = *state;
    struct looking looking;
    begin(&looking, scene);
    scene_answer(scene, scene_read(scene));
    assert_int_equal(found(&looking)->result, INSPECTION_RIGHT);
    assert_int_equal(scene->sends, 0);
    end(&looking);
}

static void test_what_somebody_else_changed(void **state) {
    struct scene *scene = *state;
    struct looking looking;
    scene_set_address(the_target(scene), "198.51.100.7");
    begin(&looking, scene);
    scene_answer(scene, scene_read(scene));
    assert_int_equal(found(&looking)->result, INSPECTION_FOREIGN);
    assert_false(found(&looking)->of_fence);
    assert_non_null(strstr(found(&looking)->words, "198.51.100.7"));
    end(&looking);
}

static void test_a_fence_that_is_gone(void **state) {
    struct scene *scene = *state;
    struct looking looking;
    the_target(scene)->fence_present = false;
    begin(&looking, scene);
    scene_answer(scene, scene_read(scene));
    assert_int_equal(found(&looking)->result, INSPECTION_FOREIGN);
    assert_true(found(&looking)->of_fence);
    end(&looking);
}

static void test_a_zone_that_cannot_be_read(void **state) {
    struct scene *scene = *state;
    struct looking looking;
    begin(&looking, scene);
    scene_fail_read(scene, scene_read(scene), ERROR_DENIED, "AccessDenied");
    assert_int_equal(found(&looking)->result, INSPECTION_UNREADABLE);
    end(&looking);
}

/* Found by the simulator: a node ends, and the replica with its state goes before the driver has
 * cancelled the reading. */
static void test_it_ends_while_a_reading_is_under_way(void **state) {
    struct scene *scene = *state;
    struct looking looking;
    begin(&looking, scene);
    struct played_request *read = scene_read(scene);
    inspector_close(looking.inspector, on_closed, &looking);
    looking.state_is_gone = true;
    scene_fail_read(scene, read, ERROR_CANCELLED, "cancelled");
    while (!looking.closed) {
        (void)uv_run(&scene->loop, UV_RUN_ONCE);
    }
}

/* What was read while a move began says nothing of what it leaves behind. */
static void test_a_move_makes_a_reading_void(void **state) {
    struct scene *scene = *state;
    struct looking looking;
    begin(&looking, scene);
    struct played_request *read = scene_read(scene);
    scene_move(scene, 0);
    scene_answer(scene, read);
    assert_null(found(&looking));
    end(&looking);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        PLAYED(test_all_is_right),
        PLAYED(test_what_somebody_else_changed),
        PLAYED(test_a_fence_that_is_gone),
        PLAYED(test_a_zone_that_cannot_be_read),
        PLAYED(test_it_ends_while_a_reading_is_under_way),
        PLAYED(test_a_move_makes_a_reading_void),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
