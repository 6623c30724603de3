/* Operators who change who belongs to the group, and who leads: `nodes add`, `nodes remove`,
 * `transfer-leader`. A node that is out is stopped for good, and never comes back under its name.
 */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "document_parts.h"
#include "parts.h"
#include "world.h"

#define LEAST_MEMBERS 3 /* fewer can't lose one */

enum member_wish { MEMBER_ADD, MEMBER_REMOVE, MEMBER_LEAD };

struct member_act {
    struct sim_node *leader, *node;
    enum member_wish wish;
};

static void on_answer(void *context, enum error_code error) {
    struct member_act *act = context;
    static const char *const words[] = {"nodes add", "nodes remove", "transfer-leader"};
    struct sim *sim = act->leader->sim;
    sim_say(sim, "operator", "%s %s: %s", words[act->wish], act->node->name, error_text(error));
    if (error == ERROR_OK) {
        static const enum sim_fault done[] = {SIM_NODE_ADDED, SIM_NODE_REMOVED, SIM_TRANSFER};
        sim_count(sim, done[act->wish]);
    }
    free(act);
}

/* A majority of those that are left is seen. */
static bool keeps_quorum(const struct api_facts *facts, uint64_t without) {
    const struct state *state = facts->state;
    uint32_t seen = 0;
    for (uint32_t n = 0; n < state->node_count; n++) {
        seen += state->nodes[n].id != without && document_node_is_seen(facts, n);
    }
    return seen * 2 > state->node_count - 1;
}

/* In the leader. What `noctuactl` refuses for the quorum's sake isn't asked for. */
static void on_act(void *context) {
    struct member_act *act = context;
    struct api_calls *calls = &act->leader->api->calls;
    struct api_facts facts;
    calls->facts(calls->context, &facts);
    const struct state *state = facts.state;
    bool member = state_find_node(state, act->node->id) != NONE_INDEX;
    bool begun = false;
    if (facts.leads && act->wish == MEMBER_LEAD) {
        begun = calls->transfer(calls->context, act->node->id, on_answer, act);
    } else if (facts.leads && act->wish == MEMBER_ADD && !member) {
        faults_at_change(act->leader->sim, act->leader);
        begun = calls->change(calls->context, act->node->name, true, on_answer, act);
    } else if (facts.leads && act->wish == MEMBER_REMOVE && member &&
               state->node_count > LEAST_MEMBERS && facts.leader_id != act->node->id &&
               keeps_quorum(&facts, act->node->id)) {
        begun = calls->change(calls->context, act->node->name, false, on_answer, act);
    }
    if (!begun) {
        free(act);
    }
}

static void act_on(struct sim_node *node, enum member_wish wish) {
    struct sim_node *leader = people_leader(node->sim);
    struct member_act *act = malloc(sizeof *act);
    if (act == NULL) {
        abort();
    }
    *act = (struct member_act){leader, node, wish};
    if (leader == NULL) {
        free(act);
        return;
    }
    sim_at_node(leader, node->sim->now_us, on_act, act, true);
}

/* A spare starts first (`noctuad join`), and is added as soon as somebody leads. */
bool people_add_node(struct sim *sim) {
    for (uint32_t i = sim->member_count; i < sim->node_count; i++) {
        struct sim_node *node = &sim->nodes[i];
        if (!node->wanted && !node->was_member) {
            sim_say(sim, node->name, "is to join");
            disk_join(&node->disk, WORLD_CLUSTER, node->name, node->id);
            node->wanted = true;
            node_start(node);
            break;
        }
    }
    return false;
}

/* Storage is lost only where another can take the place (storage_faults.c). The last who can isn't
 * sent away: there are no more machines, and the loss may not have shown yet. */
static bool is_needed(struct sim *sim, const struct sim_node *node) {
    const struct state *state = world_newest_state(sim);
    bool needed = false;
    for (uint32_t i = 0; i < sim->node_count && state != NULL; i++) {
        const struct sim_node *lost = &sim->nodes[i];
        needed = needed || (lost != node && lost->has_lost_storage &&
                            state_find_node(state, lost->id) != NONE_INDEX);
    }
    return needed && !storage_has_spare(sim);
}

bool people_remove_node(struct sim *sim) {
    uint32_t place = (uint32_t)chance_below(&sim->chance, sim->node_count);
    if (sim->nodes[place].was_member && !is_needed(sim, &sim->nodes[place])) {
        act_on(&sim->nodes[place], MEMBER_REMOVE);
    }
    return false;
}

bool people_transfer(struct sim *sim) {
    uint32_t place = (uint32_t)chance_below(&sim->chance, sim->node_count);
    if (sim->nodes[place].wanted) {
        act_on(&sim->nodes[place], MEMBER_LEAD);
    }
    return false;
}

/* Another one first, so that there are enough. */
static void replace(struct sim_node *lost) {
    struct sim *sim = lost->sim;
    bool joins = false;
    for (uint32_t i = 0; i < sim->node_count; i++) {
        joins = joins || (sim->nodes[i].wanted && !sim->nodes[i].was_member);
    }
    if (!joins && world_newest_state(sim)->node_count <= LEAST_MEMBERS) {
        (void)people_add_node(sim);
    }
    act_on(lost, MEMBER_REMOVE);
}

void people_look_after_nodes(struct sim *sim) {
    const struct state *state = world_newest_state(sim);
    if (state == NULL || state->applied_index < judge_last_index(sim)) {
        return; /* what those say who run now may be old */
    }
    for (uint32_t i = 0; i < sim->node_count && state != NULL && state->node_count > 0; i++) {
        struct sim_node *node = &sim->nodes[i];
        bool member = state_find_node(state, node->id) != NONE_INDEX;
        if (member && node->has_lost_storage && !node->wanted) {
            replace(node);
        } else if (member) {
            node->was_member = true;
        } else if (node->wanted && node->was_member) {
            sim_say(sim, node->name, "is out of the group: stopped for good");
            node->wanted = false;
            node_kill(node, "SIGKILL after `nodes remove`");
            state = world_newest_state(sim);
        } else if (node->wanted) {
            act_on(node, MEMBER_ADD);
        }
    }
}
