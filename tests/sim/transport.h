/* The links between nodes, in place of replica/links.c: ordered, whole messages; down at once when
 * a process dies, after a while when the network is cut. */
#ifndef SIM_TRANSPORT_H
#define SIM_TRANSPORT_H

#include "node.h"

void transport_on_death(struct sim_node *node);
void transport_forget(struct sim_node *node);
/* Breaks what the network between two nodes carries, if anything. */
void transport_break(struct sim_node *a, struct sim_node *b);
bool transport_is_up(const struct sim_node *a, const struct sim_node *b);

#endif
