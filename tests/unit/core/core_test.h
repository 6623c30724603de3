/* What every test of core includes: cmocka with what it wants before it, and the group. */
#ifndef TEST_CORE_TEST_H
#define TEST_CORE_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "group.h"

static inline int setup_adopted(void **state) {
    static struct group group;
    group_open_adopted(&group);
    *state = &group;
    return 0;
}

static inline int setup_open(void **state) {
    static struct group group;
    group_open(&group);
    *state = &group;
    return 0;
}

static inline int teardown_group(void **state) {
    group_close(*state);
    return 0;
}

static inline bool has_suspect(const struct group *group) {
    return group->state->services[0].suspect.open;
}

static inline bool has_decided(const struct group *group) {
    return group_execution(group)->automatic && group_execution(group)->phase == EXECUTION_DECIDED;
}

#define ADOPTED(test) cmocka_unit_test_setup_teardown(test, setup_adopted, teardown_group)
#define OPENED(test) cmocka_unit_test_setup_teardown(test, setup_open, teardown_group)

#endif
