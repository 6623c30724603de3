#include "scene.h"

#include <string.h>

void scene_facts(struct group *group, uint32_t node, struct api_facts *ret) {
    const struct state *state = group->state;
    memset(ret, 0, sizeof *ret);
    group->input.now_ms = group->now_ms;
    group->input.wall_ms = group->wall_ms;
    ret->state = state;
    ret->node = state->nodes[node].name;
    ret->version = "0.3.0";
    ret->now_ms = group->now_ms;
    ret->wall_ms = group->wall_ms;
    ret->leads = state->nodes[node].id == state->leader_id;
    ret->policy = ret->leads ? &group->input : NULL;
    ret->own_report = group->reports[node];
    ret->leader_id = state->leader_id;
    ret->term = state->leader_term;
    ret->caught_up = true;
    ret->was_caught_up = true;
    ret->quorum_contact_ms = group->now_ms - 20;
    for (uint32_t n = 0; n < state->node_count; n++) {
        ret->links[n].up = true;
        ret->links[n].match_index = ret->leads ? state->applied_index : 0;
    }
}
