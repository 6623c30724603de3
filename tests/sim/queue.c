#include "queue.h"

#include <stdlib.h>

static bool is_before(const struct sim_event *a, const struct sim_event *b) {
    return a->time_us != b->time_us ? a->time_us < b->time_us : a->order < b->order;
}

void queue_put(struct sim_queue *queue, const struct sim_event *event) {
    if (queue->count == queue->room) {
        queue->room = queue->room == 0 ? 256 : 2 * queue->room;
        struct sim_event *grown = realloc(queue->events, queue->room * sizeof *grown);
        if (grown == NULL) {
            abort();
        }
        queue->events = grown;
    }
    size_t at = queue->count++;
    struct sim_event added = *event;
    added.order = queue->order++;
    while (at > 0 && is_before(&added, &queue->events[(at - 1) / 2])) {
        queue->events[at] = queue->events[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    queue->events[at] = added;
}

bool queue_take(struct sim_queue *queue, struct sim_event *ret) {
    if (queue->count == 0) {
        return false;
    }
    *ret = queue->events[0];
    struct sim_event last = queue->events[--queue->count];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= queue->count) {
            break;
        }
        if (child + 1 < queue->count &&
            is_before(&queue->events[child + 1], &queue->events[child])) {
            child++;
        }
        if (!is_before(&queue->events[child], &last)) {
            break;
        }
        queue->events[at] = queue->events[child];
        at = child;
    }
    queue->events[at] = last;
    return true;
}

void queue_finish(struct sim_queue *queue) {
    free(queue->events);
    *queue = (struct sim_queue){.events = NULL};
}
