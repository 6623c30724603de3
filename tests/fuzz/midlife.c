#include "midlife.h"

#include <assert.h>
#include <stddef.h>

static bool has_moved(const struct group *group) {
    return group_execution(group)->epoch > 1;
}

struct group *midlife_group(void) {
    static const enum opinion_value seen[REGION_MAX] = {OPINION_DOWN, OPINION_UP, OPINION_UP};
    static struct group group;
    if (group.state == NULL) {
        group_open_adopted(&group);
        bool moved = group_run(&group, WITHOUT_EAST, seen, 200, 1000, has_moved);
        assert(moved);
        (void)moved;
    }
    return &group;
}
