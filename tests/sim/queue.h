/* What is to happen, by time and then by the order in which it was put in: a binary heap. */
#ifndef SIM_QUEUE_H
#define SIM_QUEUE_H

#include "sim.h"

struct sim_event {
    uint64_t time_us, order;
    sim_function function;
    void *context;
    /* For a node: run inside that life of it. NULL: the world's own. */
    struct sim_node *node;
    uint64_t life;
    bool owned;
};

struct sim_queue {
    struct sim_event *events;
    size_t count, room;
    uint64_t order;
};

void queue_put(struct sim_queue *queue, const struct sim_event *event);
/* False: empty. */
bool queue_take(struct sim_queue *queue, struct sim_event *ret);
void queue_finish(struct sim_queue *queue);

#endif
