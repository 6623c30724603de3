/* Documents, on states that core's test group brings about: which of its nodes shows which, and
 * what stands in it. One at a time. */
#ifndef TEST_API_SHOWN_H
#define TEST_API_SHOWN_H

#include <jansson.h>

#include "api/documents.h"
#include "api/preview.h"
#include "set_scene.h"

#define LEADER_PLACE 1

extern struct group group;
extern json_t *document; /* the test's; freed in tear_down */

/* cmocka's test fixtures: an adopted group; the same with a replica set. */
int set_up(void **state);
int set_up_with_set(void **state);
int tear_down(void **state);

#define SHOWN(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
#define SHOWN_WITH_SET(test) cmocka_unit_test_setup_teardown(test, set_up_with_set, tear_down)

/* `made` is the document from now on; the one before is freed. */
void keep(json_t *made);
/* What a node (place) shows; of service 0; and what the leader explains of that. */
void show(json_t *(*build)(const struct api_facts *), uint32_t node);
void show_service(json_t *(*build)(const struct api_facts *, uint32_t), uint32_t node);
void explain(void);

/* "a.b.0" in the document. */
const json_t *at(const char *path);
void expect_text(const char *path, const char *text);
void expect_number(const char *path, long long number);
void expect_null(const char *path);

void set_mode(enum service_mode mode);
bool is_suspected(const struct group *g);
bool is_moving(const struct group *g);
/* The east is down until it is suspected, and then for so long. */
void let_east_die(uint64_t then_ms);

/* A failover as the leader previews it. */
enum core_error preview_failover(uint32_t to, uint32_t skip, struct move_preview *ret);

#endif
