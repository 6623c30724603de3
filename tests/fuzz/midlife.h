/* Groups in the middle of their lives, each with one service. */
#ifndef TESTS_FUZZ_MIDLIFE_H
#define TESTS_FUZZ_MIDLIFE_H

#include "group.h"

enum midlife {
    MIDLIFE_MOVING, /* out of a region that died */
    /* Whose replica set was forced once, and has a primary in the west: e1 got its vote back, e2 is
     * in without one, x1 is still left out. w2 is silent. */
    MIDLIFE_SET,
    MIDLIFE_SET_LOST, /* ... and w1 as well: the majority is lost again */
    MIDLIFE_COUNT,
};

/* The same one at each call; not to be closed. Terms of MIDLIFE_SET and above begin where those of
 * MIDLIFE_MOVING never get. */
struct group *midlife_group(enum midlife which);

#endif
