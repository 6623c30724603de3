/* What the api is shown in tests: core's test group as one node of it sees it. */
#ifndef TEST_API_SCENE_H
#define TEST_API_SCENE_H

#include "api/facts.h"
#include "group.h"

/* Facts as node `node` (place) has them; it leads when it is the group's leader. A quorum was seen
 * 20 ms ago. Valid as long as the group isn't changed. */
void scene_facts(struct group *group, uint32_t node, struct api_facts *ret);

#endif
