/* Two versions in one group: a node applies by the core of the version that it runs, as its own
 * binary would. The older one's doesn't know the newer one's rule (apply_people.c). */
#include "node.h"

enum core_error core_first_apply(struct state *state, uint64_t index,
                                 const struct command *command);
enum core_error core_next_apply(struct state *state, uint64_t index, const struct command *command);

enum core_error state_apply(struct state *state, uint64_t index, const struct command *command) {
    const struct sim_node *node = sim_current();
    bool older = node != NULL && node->daemon->feature_level < FEATURE_LEVEL_NEWEST;
    return older ? core_first_apply(state, index, command) : core_next_apply(state, index, command);
}
