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
        .set_driver = &scene->driver,
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
    assert_string_equal(found(&looking)->remedy, "repair");
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
    assert_string_equal(found(&looking)->remedy, "adopt");
    end(&looking);
}

/* A replica set comes after the zones: as far as the reading of it, which is open then. */
static struct played_request *begin_with_a_set(struct looking *looking, struct scene *scene,
                                               const char *fence) {
    struct played_target *set = &scene->targets[scene->target_count++];
    group_add_set(&scene->group);
    memcpy(set->service, "nocturnal", sizeof "nocturnal");
    set->fence_present = fence != NULL;
    (void)TEXT_COPY(set->fence, fence == NULL ? "" : fence);
    begin(looking, scene);
    scene_answer(scene, scene_read(scene));
    assert_false(inspector_has_read_all(looking->inspector));
    while (scene->request_count == 0) {
        (void)uv_run(&scene->loop, UV_RUN_ONCE);
    }
    assert_ptr_equal(scene_read(scene)->target, set);
    return scene_read(scene);
}

static const struct inspection *found_of_set(const struct looking *looking) {
    return inspector_find(looking->inspector, "nocturnal", INSPECTION_SET);
}

static void test_the_fence_of_a_replica_set(void **state) {
    struct scene *scene = *state;
    struct looking looking;
    scene_answer(scene, begin_with_a_set(&looking, scene, ADOPTED_FENCE));
    assert_int_equal(found_of_set(&looking)->result, INSPECTION_RIGHT);
    assert_int_equal(found(&looking)->result, INSPECTION_RIGHT);
    while (!inspector_has_read_all(looking.inspector)) {
        (void)uv_run(&scene->loop, UV_RUN_ONCE);
    }
    end(&looking);
}

/* The service was adopted before its spec got the set: every move's `prefer` would be refused. */
static void test_a_replica_set_without_a_fence(void **state) {
    struct scene *scene = *state;
    struct looking looking;
    scene_answer(scene, begin_with_a_set(&looking, scene, NULL));
    assert_int_equal(found_of_set(&looking)->result, INSPECTION_FOREIGN);
    assert_string_equal(found_of_set(&looking)->remedy, "adopt");
    assert_ptr_equal(inspector_first(looking.inspector, INSPECTION_FOREIGN),
                     found_of_set(&looking));
    end(&looking);
}

/* Nothing that Noctua does takes such tags back: a person must look first. */
static void test_a_replica_set_with_two_fences(void **state) {
    struct scene *scene = *state;
    struct looking looking;
    scene_fail_read(scene, begin_with_a_set(&looking, scene, ADOPTED_FENCE), ERROR_CONFLICT,
                    "members carry different fences");
    assert_int_equal(found_of_set(&looking)->result, INSPECTION_FOREIGN);
    assert_string_equal(found_of_set(&looking)->remedy, "ready");
    end(&looking);
}

/* Whom a forced config had left out are back with the config from before it: no step follows on
 * that one, so people hear of it before a move needs it. */
static void test_the_old_side_of_a_forced_config(void **state) {
    struct scene *scene = *state;
    struct looking looking;
    scene->group.state->services[0].forced_epoch = 2;
    scene->group.state->services[0].epoch = 2;
    scene_answer(scene, begin_with_a_set(&looking, scene, ADOPTED_FENCE));
    assert_int_equal(found_of_set(&looking)->result, INSPECTION_FOREIGN);
    assert_string_equal(found_of_set(&looking)->remedy, "adopt");
    assert_non_null(strstr(found_of_set(&looking)->words, "before the forced one"));
    assert_int_equal(found(&looking)->result, INSPECTION_RIGHT);
    end(&looking);
}

static void test_a_replica_set_that_hangs(void **state) {
    struct scene *scene = *state;
    struct looking looking;
    scene_fail_read(scene, begin_with_a_set(&looking, scene, ADOPTED_FENCE), ERROR_UNAVAILABLE,
                    "no member tells the set's config");
    assert_int_equal(found_of_set(&looking)->result, INSPECTION_UNREADABLE);
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
        PLAYED(test_the_fence_of_a_replica_set),
        PLAYED(test_a_replica_set_without_a_fence),
        PLAYED(test_a_replica_set_with_two_fences),
        PLAYED(test_the_old_side_of_a_forced_config),
        PLAYED(test_a_replica_set_that_hangs),
        PLAYED(test_a_zone_that_cannot_be_read),
        PLAYED(test_it_ends_while_a_reading_is_under_way),
        PLAYED(test_a_move_makes_a_reading_void),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
