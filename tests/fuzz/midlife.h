/* A group in the middle of its life: its one service is being moved out of a region that died. */
#ifndef TESTS_FUZZ_MIDLIFE_H
#define TESTS_FUZZ_MIDLIFE_H

#include "group.h"

/* The same one at each call; not to be closed. */
struct group *midlife_group(void);

#endif
