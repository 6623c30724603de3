/* The page of metrics; and it and the documents with everything at its limit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "api/metrics.h"
#include "api/view.h"
#include "base/text.h"
#include "shown.h"

struct families {
    char names[128][96];
    uint32_t count;
};

static uint32_t find_family(const struct families *families, const char *name, size_t length) {
    for (uint32_t i = 0; i < families->count; i++) {
        if (strlen(families->names[i]) == length &&
            strncmp(families->names[i], name, length) == 0) {
            return i;
        }
    }
    return UINT32_MAX;
}

/* One line: HELP begins a family, which must be new; a sample must belong to the current one. */
static void check_line(struct families *families, const char *line) {
    if (strncmp(line, "# HELP ", 7) == 0) {
        size_t length = strcspn(line + 7, " ");
        assert_true(length < 96 && families->count < 128);
        assert_int_equal(find_family(families, line + 7, length), UINT32_MAX);
        memcpy(families->names[families->count++], line + 7, length);
    } else if (strncmp(line, "# TYPE ", 7) == 0) {
        size_t length = strcspn(line + 7, " ");
        assert_int_equal(find_family(families, line + 7, length), families->count - 1);
    } else {
        const char *family = families->names[families->count - 1];
        size_t length = strcspn(line, "{ ");
        assert_true(length >= strlen(family));
        assert_int_equal(strncmp(line, family, strlen(family)), 0);
        assert_non_null(strrchr(line, ' '));
    }
}

static void check_metrics(char *text) {
    static struct families families;
    memset(&families, 0, sizeof families);
    for (char *line = strsep(&text, "\n"); line != NULL && line[0] != '\0';
         line = strsep(&text, "\n")) {
        check_line(&families, line);
    }
    assert_true(families.count > 20);
}

static void test_metrics(void **state) {
    (void)state;
    struct api_facts facts;
    struct buffer out;
    struct metrics *metrics = metrics_create();
    assert_non_null(metrics);
    metrics_count_events(metrics, group.state);
    for (int i = 0; i < 40; i++) { /* more codes than are counted apart */
        char code[24];
        (void)snprintf(code, sizeof code, "code%d", i);
        metrics_count_probe(metrics, "nocturnal", "us-east-1", code, 10);
    }
    let_east_die(0);
    assert_true(group_run(&group, WITHOUT_EAST, east_down, 40, 1000, is_moving));
    group_carry_out(&group);
    metrics_count_events(metrics, group.state);
    add_set(&group);
    scene_facts(&group, LEADER_PLACE, &facts);
    facts.primaries[0] = (struct primary_facts){true, NONE_INDEX, 0};
    facts.version = "0.3 \"x\\y\"\n";
    buffer_init(&out, 0);
    metrics_render(metrics, &facts, &out);
    assert_non_null(strstr(out.data, "version=\"0.3 \\\"x\\\\y\\\"\\n\""));
    assert_non_null(strstr(out.data, "noctua_executions_total{result=\"done\"} 1\n"));
    assert_non_null(strstr(out.data, "noctua_events_total{kind=\"switch\"} 1\n"));
    assert_non_null(strstr(out.data, "code=\"code31\"} 1\n"));
    assert_non_null(strstr(out.data, "code=\"other\"} 8\n"));
    assert_non_null(
        strstr(out.data, "noctua_service_active{service=\"nocturnal\",region=\"us-west-2\"} 1\n"));
    assert_non_null(strstr(out.data, "noctua_mongo_members_answering{service=\"nocturnal\"} 5\n"));
    assert_non_null(strstr(out.data, "noctua_mongo_primary_known{service=\"nocturnal\"} 0\n"));
    assert_non_null(
        strstr(out.data, "noctua_mongo_writes_per_second{service=\"nocturnal\"} 130.850\n"));
    assert_non_null(strstr(out.data, "noctua_mongo_lag_seconds{service=\"nocturnal\",member=\"2\","
                                     "region=\"us-west-2\"} 0.000\n"));
    check_metrics(out.data);
    buffer_finish(&out);
    metrics_destroy(metrics);
}

/* 64 services, 16 regions, 9 nodes: both documents within their limits, and soon enough. */
static void test_at_the_limits(void **state) {
    (void)state;
    struct state *s = group.state;
    struct spec *spec = &s->spec;
    spec->region_count = REGION_MAX;
    spec->service_count = SERVICE_MAX;
    s->node_count = NODE_MAX;
    for (uint32_t r = 0; r < REGION_MAX; r++) {
        (void)snprintf(spec->regions[r].name, NAME_SIZE, "region-%02u%048d", r, 0);
        spec->regions[r].role = REGION_SERVE;
    }
    for (uint32_t n = 0; n < NODE_MAX; n++) {
        s->nodes[n].id = n + 1;
        (void)snprintf(s->nodes[n].name, NAME_SIZE, "node-%02u%048d", n, 0);
        memcpy(s->nodes[n].region, spec->regions[n].name, NAME_SIZE);
    }
    for (uint32_t i = 0; i < SERVICE_MAX; i++) {
        spec->services[i] = spec->services[0];
        s->services[i] = s->services[0];
        (void)snprintf(spec->services[i].name, NAME_SIZE, "service-%02u%048d", i, 0);
        memcpy(s->services[i].name, spec->services[i].name, NAME_SIZE);
        spec->services[i].target_count = 0;
        for (uint32_t r = 1; r < REGION_MAX; r++) {
            spec->services[i].targets[spec->services[i].target_count++] = r;
        }
    }
    struct api_facts facts;
    struct metrics *metrics = metrics_create();
    scene_facts(&group, LEADER_PLACE, &facts);
    clock_t before = clock();
    struct view *view = view_build(&facts, metrics, NULL);
    clock_t took = clock() - before;
    assert_non_null(view);
    assert_non_null(view->status);
    assert_non_null(view->metrics);
    size_t size = 0;
    const char *text = view_text_bytes(view->metrics, &size);
    assert_true(size > 1000000 && text[size - 1] == '\n');
    assert_true(took < CLOCKS_PER_SEC * 2);
    /* What machines poll is renewed without the documents. */
    struct view *next = view_build(&facts, metrics, view);
    assert_ptr_equal(next->metrics, view->metrics);
    view_release(view);
    assert_int_equal(view_text_bytes(next->metrics, &size)[0], '#');
    const struct view_service *service = view_find_service(next, spec->services[63].name);
    assert_non_null(service);
    assert_int_equal(view_find_region(next, service, spec->regions[15].name), 15);
    view_release(next);
    metrics_destroy(metrics);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        SHOWN(test_metrics),
        SHOWN(test_at_the_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
