#include "shown.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"

struct group group;
json_t *document;

int set_up(void **state) {
    (void)state;
    group_open_adopted(&group);
    document = NULL;
    return 0;
}

int set_up_with_set(void **state) {
    (void)set_up(state);
    add_set(&group);
    return 0;
}

int tear_down(void **state) {
    (void)state;
    json_decref(document);
    group_close(&group);
    return 0;
}

void keep(json_t *made) {
    assert_non_null(made);
    json_decref(document);
    document = made;
}

void show(json_t *(*build)(const struct api_facts *), uint32_t node) {
    struct api_facts facts;
    scene_facts(&group, node, &facts);
    keep(build(&facts));
}

void show_service(json_t *(*build)(const struct api_facts *, uint32_t), uint32_t node) {
    struct api_facts facts;
    scene_facts(&group, node, &facts);
    keep(build(&facts, 0));
}

void explain(void) {
    struct api_facts facts;
    scene_facts(&group, LEADER_PLACE, &facts);
    keep(document_explain(&facts, 0, NULL));
}

const json_t *at(const char *path) {
    const json_t *value = document;
    char text[128];
    char *rest = text;
    (void)TEXT_COPY(text, path);
    for (char *key = strsep(&rest, "."); key != NULL; key = strsep(&rest, ".")) {
        value = json_is_array(value) ? json_array_get(value, strtoul(key, NULL, 10))
                                     : json_object_get(value, key);
        if (value == NULL) {
            fail_msg("no %s", path);
        }
    }
    return value;
}

void expect_text(const char *path, const char *text) {
    const char *got = json_string_value(at(path));
    if (got == NULL || strcmp(got, text) != 0) {
        fail_msg("%s: '%s', not '%s'", path, got == NULL ? "(no text)" : got, text);
    }
}

void expect_number(const char *path, long long number) {
    assert_true(json_is_integer(at(path)));
    if (json_integer_value(at(path)) != number) {
        fail_msg("%s: %lld, not %lld", path, (long long)json_integer_value(at(path)), number);
    }
}

void expect_null(const char *path) {
    assert_true(json_is_null(at(path)));
}

void set_mode(enum service_mode mode) {
    group.state->spec.services[0].mode = mode;
}

bool is_suspected(const struct group *g) {
    return g->state->services[0].suspect.open;
}

bool is_moving(const struct group *g) {
    return execution_is_open(group_execution(g));
}

void let_east_die(uint64_t then_ms) {
    assert_true(group_run(&group, WITHOUT_EAST, east_down, 20, 1000, is_suspected));
    (void)group_run(&group, WITHOUT_EAST, east_down, (uint32_t)(then_ms / 1000), 1000, NULL);
}

enum core_error preview_failover(uint32_t to, uint32_t skip, struct move_preview *ret) {
    struct api_facts facts;
    scene_facts(&group, LEADER_PLACE, &facts);
    return preview_move(&facts, 0, EXECUTION_FAILOVER, to, skip, ret);
}
