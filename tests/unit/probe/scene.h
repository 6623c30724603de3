/* An engine on a loop of its own, with a clock that can be pushed, an applied index that can be
 * set, a resolver that does as it is told, and a record of all that the engine said. */
#ifndef TEST_PROBE_SCENE_H
#define TEST_PROBE_SCENE_H

#include <stdbool.h>
#include <stdint.h>

#include "probe/engine.h"
#include "server.h"

enum { SCENE_RECORD_MAX = 4096, SCENE_LIMIT_MS = 20000 };

struct record {
    char check[NAME_SIZE];
    enum probe_result_code code;
    enum probe_state state;
    uint32_t http_status;
    uint64_t start_index, start_ms, finish_ms;
};

struct change {
    uint32_t service, region;
    struct probe_opinion opinion;
};

struct scene {
    uv_loop_t loop;
    uv_timer_t pulse; /* so that a wait always comes to its limit */
    struct clock clock;
    uint64_t clock_push_ms;
    uint64_t index;
    bool index_steps; /* +1 at each start */
    struct probe_engine *engine;
    struct probe_engine_options options;
    struct record records[SCENE_RECORD_MAX]; /* ring */
    uint32_t record_count, change_count;
    struct change changes[256]; /* ring */
    int closed_count;
};

void scene_open(struct scene *scene);
/* Before scene_open_engine: options may be changed. */
void scene_open_engine(struct scene *scene);
/* Engine (if it is there), loop; asserts that nothing is left open. */
void scene_close(struct scene *scene);

/* A target that fits most tests: critical, 1 of fall and rise, interval 50 ms, timeout 1 s. */
struct probe_target scene_target(enum probe_type type, const char *check, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void scene_configure(struct scene *scene, const struct probe_target *targets, size_t count);

/* Of this check: how many results so far, and the last one (NULL: none). */
uint32_t scene_result_count(const struct scene *scene, const char *check);
const struct record *scene_last(const struct scene *scene, const char *check);
bool scene_has_code(const struct scene *scene, const char *check, enum probe_result_code code);

uint64_t scene_now_ms(void);
void scene_fail_late(const char *condition, const char *file, int line);

/* Runs the loop until the condition holds; fails the test after SCENE_LIMIT_MS. */
#define SCENE_WAIT(scene, condition)                                                               \
    for (uint64_t scene_end_ms = scene_now_ms() + SCENE_LIMIT_MS; !(condition);) {                 \
        if (scene_now_ms() > scene_end_ms) {                                                       \
            scene_fail_late(#condition, __FILE__, __LINE__);                                       \
        }                                                                                          \
        (void)uv_run(&(scene)->loop, UV_RUN_ONCE);                                                 \
    }

/* The resolver: "good*.test" is 127.0.0.1; "both*.test" is ::1, then 127.0.0.1; "move*.test" is
 * what names_move says; "missing*" has no address; "broken*" is a failure of our own; "hang*"
 * returns only after names_release. Counts lookups. */
int names_resolve(void *context, const char *host, struct probe_address *addresses, size_t max,
                  size_t *ret_count);
void names_reset(void);
void names_move(const char *address);
void names_release(void);
uint32_t names_lookup_count(void);
uint32_t names_inside_count(void); /* lookups that hang now */

#endif
