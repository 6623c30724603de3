#include "scene.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <netdb.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"

enum { PULSE_MS = 5 };

uint64_t scene_now_ms(void) {
    return clock_boottime_ms(&clock_system);
}

void scene_fail_late(const char *condition, const char *file, int line) {
    print_error("never came true: %s\n", condition);
    _fail(file, line);
}

static uint64_t pushed_boottime(void *context) {
    const struct scene *scene = context;
    return scene_now_ms() + scene->clock_push_ms;
}

static uint64_t pushed_wall(void *context) {
    (void)context;
    return clock_wall_ms(&clock_system);
}

static uint64_t applied_index(void *context) {
    struct scene *scene = context;
    return scene->index_steps ? scene->index++ : scene->index;
}

static void on_result(void *context, const struct probe_check_view *check) {
    struct scene *scene = context;
    const struct probe_result *last = &check->debounce->last;
    struct record *record = &scene->records[scene->record_count++ % SCENE_RECORD_MAX];
    *record = (struct record){.code = last->code,
                              .state = check->debounce->state,
                              .http_status = last->http_status,
                              .start_index = last->start_index,
                              .start_ms = last->start_ms,
                              .finish_ms = last->finish_ms};
    (void)TEXT_COPY(record->check, check->target->check);
}

static void on_change(void *context, uint32_t service, uint32_t region,
                      const struct probe_opinion *opinion) {
    struct scene *scene = context;
    scene->changes[scene->change_count++ % ARRAY_LENGTH(scene->changes)] =
        (struct change){.service = service, .region = region, .opinion = *opinion};
}

static void on_pulse(uv_timer_t *timer) {
    (void)timer;
}

void scene_open(struct scene *scene) {
    memset(scene, 0, sizeof *scene);
    (void)uv_loop_init(&scene->loop);
    (void)uv_timer_init(&scene->loop, &scene->pulse);
    (void)uv_timer_start(&scene->pulse, on_pulse, PULSE_MS, PULSE_MS);
    scene->clock = (struct clock){pushed_boottime, pushed_wall, scene};
    scene->index = 1;
    scene->options = (struct probe_engine_options){.applied_index = applied_index,
                                                   .on_change = on_change,
                                                   .on_result = on_result,
                                                   .context = scene,
                                                   .resolve = names_resolve};
    names_reset();
}

void scene_open_engine(struct scene *scene) {
    struct error error;
    assert_int_equal(probe_engine_create(&scene->loop, &scene->clock, &entropy_system,
                                         &scene->options, &scene->engine, &error),
                     ERROR_OK);
}

static void on_closed(void *context) {
    struct scene *scene = context;
    scene->closed_count++;
}

void scene_close(struct scene *scene) {
    probe_engine_destroy(scene->engine, on_closed, scene);
    SCENE_WAIT(scene, scene->closed_count > 0);
    assert_int_equal(scene->closed_count, 1);
    uv_close((uv_handle_t *)&scene->pulse, NULL);
    (void)uv_run(&scene->loop, UV_RUN_DEFAULT);
    assert_int_equal(scene->closed_count, 1);
    assert_int_equal(uv_loop_close(&scene->loop), 0);
    names_release();
    for (uint64_t end_ms = scene_now_ms() + SCENE_LIMIT_MS; names_inside_count() > 0;) {
        assert_true(scene_now_ms() < end_ms);
        (void)sched_yield();
    }
}

struct probe_target scene_target(enum probe_type type, const char *check, const char *format, ...) {
    struct probe_target target = {.type = type,
                                  .timeout_ms = 1000,
                                  .interval_ms = 50,
                                  .fall = 1,
                                  .rise = 1,
                                  .critical = true};
    va_list arguments;
    va_start(arguments, format);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): the analyzer's own mistake */
    (void)vsnprintf(target.url, sizeof target.url, format, arguments);
    va_end(arguments);
    (void)TEXT_COPY(target.check, check);
    return target;
}

void scene_configure(struct scene *scene, const struct probe_target *targets, size_t count) {
    struct error error = {0};
    if (probe_engine_configure(scene->engine, targets, count, &error) != ERROR_OK) {
        fail_msg("%s", error.message);
    }
}

static uint32_t kept_records(const struct scene *scene) {
    return scene->record_count < SCENE_RECORD_MAX ? scene->record_count : SCENE_RECORD_MAX;
}

uint32_t scene_result_count(const struct scene *scene, const char *check) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < kept_records(scene); i++) {
        count += text_equal(scene->records[i].check, check);
    }
    return count;
}

const struct record *scene_last(const struct scene *scene, const char *check) {
    for (uint32_t back = 1; back <= kept_records(scene); back++) {
        const struct record *record =
            &scene->records[(scene->record_count - back) % SCENE_RECORD_MAX];
        if (text_equal(record->check, check)) {
            return record;
        }
    }
    return NULL;
}

bool scene_has_code(const struct scene *scene, const char *check, enum probe_result_code code) {
    for (uint32_t i = 0; i < kept_records(scene); i++) {
        if (text_equal(scene->records[i].check, check) && scene->records[i].code == code) {
            return true;
        }
    }
    return false;
}

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t released;
    bool is_released;
    char moving[64];
    uint32_t lookup_count, inside_count;
} names = {.mutex = PTHREAD_MUTEX_INITIALIZER, .released = PTHREAD_COND_INITIALIZER};

static void wait_for_release(void) {
    names.inside_count++;
    while (!names.is_released) {
        pthread_cond_wait(&names.released, &names.mutex);
    }
    names.inside_count--;
}

static void put_address(const char *text, struct probe_address *addresses, size_t *count) {
    struct sockaddr_storage *to = &addresses[(*count)++].socket_address;
    memset(to, 0, sizeof *to);
    if (strchr(text, ':') != NULL) {
        (void)uv_ip6_addr(text, 0, (struct sockaddr_in6 *)to);
    } else {
        (void)uv_ip4_addr(text, 0, (struct sockaddr_in *)to);
    }
}

int names_resolve(void *context, const char *host, struct probe_address *addresses, size_t max,
                  size_t *ret_count) {
    (void)context;
    (void)max;
    int status = 0;
    size_t count = 0;
    pthread_mutex_lock(&names.mutex);
    names.lookup_count++;
    if (text_starts_with(host, "hang")) {
        wait_for_release();
    }
    if (text_starts_with(host, "missing")) {
        status = EAI_NONAME;
    } else if (text_starts_with(host, "broken")) {
        status = EAI_SYSTEM;
    } else if (text_starts_with(host, "move")) {
        put_address(names.moving, addresses, &count);
    } else {
        if (text_starts_with(host, "both")) {
            put_address("::1", addresses, &count);
        }
        put_address("127.0.0.1", addresses, &count);
    }
    pthread_mutex_unlock(&names.mutex);
    *ret_count = count;
    return status;
}

void names_reset(void) {
    pthread_mutex_lock(&names.mutex);
    names.is_released = false;
    names.lookup_count = 0;
    pthread_mutex_unlock(&names.mutex);
}

void names_move(const char *address) {
    pthread_mutex_lock(&names.mutex);
    (void)TEXT_COPY(names.moving, address);
    pthread_mutex_unlock(&names.mutex);
}

void names_release(void) {
    pthread_mutex_lock(&names.mutex);
    names.is_released = true;
    pthread_cond_broadcast(&names.released);
    pthread_mutex_unlock(&names.mutex);
}

uint32_t names_lookup_count(void) {
    pthread_mutex_lock(&names.mutex);
    uint32_t count = names.lookup_count;
    pthread_mutex_unlock(&names.mutex);
    return count;
}

uint32_t names_inside_count(void) {
    pthread_mutex_lock(&names.mutex);
    uint32_t count = names.inside_count;
    pthread_mutex_unlock(&names.mutex);
    return count;
}
