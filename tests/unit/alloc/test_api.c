/* Documents, metrics, views and requests, when memory runs out in the middle: a document is given
 * whole, or not at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/err.h>

#include "api/documents.h"
#include "api/metrics.h"
#include "api/preview.h"
#include "api/view.h"
#include "base/text.h"
#include "document_memory.h"
#include "failing.h"
#include "http_request.h"
#include "set_scene.h"

static struct group group;
static struct api_facts facts;
static struct move_preview preview;
static struct metrics *metrics;
static struct group lost_group; /* whose replica set has lost its majority */
static struct api_facts lost_facts;
static struct move_preview forced;

static char whole[256 * 1024]; /* what the scenario gives when nothing fails; "": not known yet */

static void compare(const char *text) {
    if (whole[0] == '\0') {
        assert_true(TEXT_COPY(whole, text));
    }
    assert_string_equal(text, whole);
}

/* As it is sent: a text. */
static bool give(json_t *document) {
    char *text = document_render(document, 0);
    bool done = text != NULL;
    if (done) {
        compare(text);
    }
    free(text);
    ERR_clear_error(); /* the library keeps what went wrong until somebody asks */
    return done;
}

static bool status(void) {
    return give(document_status(&facts));
}

static bool service(void) {
    return give(document_service(&facts, 0));
}

static bool execution(void) {
    return give(document_execution(&facts, 0));
}

static bool explain(void) {
    return give(document_explain(&facts, 0, NULL));
}

static bool explain_move(void) {
    return give(document_explain(&facts, 0, &preview));
}

static bool plan(void) {
    return give(document_plan(&facts, &preview));
}

static bool ready(void) {
    bool is_ready = false;
    return give(document_ready(&facts, &preview, &is_ready));
}

static bool history(void) {
    struct history_query query = {.with_events = true};
    return give(document_history(&facts, &query));
}

static bool nodes(void) {
    return give(document_nodes(&facts));
}

static bool version(void) {
    return give(document_version(&facts));
}

static bool revisions(void) {
    return give(document_revisions(&facts));
}

/* Lines that are to be pasted, and what a forced config may lose. */
static bool explain_lost(void) {
    return give(document_explain(&lost_facts, 0, NULL));
}

static bool plan_forced(void) {
    return give(document_plan(&lost_facts, &forced));
}

static bool views(void) {
    struct view *view = view_build(&facts, metrics, NULL);
    bool done = view != NULL && view->status != NULL && view->metrics != NULL;
    if (view != NULL && view->status != NULL) {
        size_t size_bytes = 0;
        const char *text = view_text_bytes(view->status, &size_bytes);
        assert_true(size_bytes < sizeof whole);
        if (whole[0] == '\0') {
            memcpy(whole, text, size_bytes);
        }
        assert_memory_equal(text, whole, size_bytes);
    }
    view_release(view);
    return done;
}

static bool counters(void) {
    struct metrics *made = metrics_create();
    bool done = made != NULL;
    if (done) {
        metrics_count_events(made, facts.state);
    }
    metrics_destroy(made);
    return done;
}

static bool requests(void) {
    static const char text[] = "GET /services/web/regions/us-east-1/active HTTP/1.1\r\n"
                               "Host: localhost\r\nConnection: keep-alive\r\n\r\n";
    struct http_request request;
    http_request_init(&request);
    (void)http_request_feed(&request, text, sizeof text - 1);
    return request.complete && request.refusal == 0;
}

#define SCENARIO(function)                                                                         \
    static void test_##function(void **state) {                                                    \
        (void)state;                                                                               \
        whole[0] = '\0';                                                                           \
        (void)check_scenario(#function, function);                                                 \
    }

SCENARIO(status)
SCENARIO(service)
SCENARIO(execution)
SCENARIO(explain)
SCENARIO(explain_move)
SCENARIO(plan)
SCENARIO(ready)
SCENARIO(history)
SCENARIO(nodes)
SCENARIO(version)
SCENARIO(revisions)
SCENARIO(explain_lost)
SCENARIO(plan_forced)
SCENARIO(views)
SCENARIO(counters)
SCENARIO(requests)

static enum core_error lose_majority(void) {
    static struct mongo_view seen;
    group_open_adopted(&lost_group);
    add_set(&lost_group);
    lose();
    scene_facts(&lost_group, 1, &lost_facts);
    lost_group.input.now_ms = lost_group.now_ms;
    policy_view_set(lost_group.state, &lost_group.input, 0, &seen);
    seen.dead = LOST;
    return preview_move_of_set(&lost_facts, 0, EXECUTION_FAILOVER, WEST, 0, &seen, &forced);
}

static int set_up(void **state) {
    (void)state;
    group_open_adopted(&group);
    scene_facts(&group, 1, &facts);
    metrics = metrics_create();
    http_request_configure();
    document_memory_watch();
    ERR_raise(ERR_LIB_USER, 1); /* makes the place where it keeps that */
    ERR_clear_error();
    return metrics == NULL || lose_majority() != CORE_OK ||
           preview_move(&facts, 0, EXECUTION_FAILOVER, 1, 0, &preview) != CORE_OK;
}

static int tear_down(void **state) {
    (void)state;
    metrics_destroy(metrics);
    group_close(&group);
    group_close(&lost_group);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_status),       cmocka_unit_test(test_service),
        cmocka_unit_test(test_execution),    cmocka_unit_test(test_explain),
        cmocka_unit_test(test_explain_move), cmocka_unit_test(test_plan),
        cmocka_unit_test(test_ready),        cmocka_unit_test(test_history),
        cmocka_unit_test(test_nodes),        cmocka_unit_test(test_explain_lost),
        cmocka_unit_test(test_plan_forced),  cmocka_unit_test(test_version),
        cmocka_unit_test(test_revisions),    cmocka_unit_test(test_views),
        cmocka_unit_test(test_counters),     cmocka_unit_test(test_requests),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
