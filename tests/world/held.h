/* What faults hold back: requests that are delivered later, clients without an answer, and changes
 * that are going to be forgotten. Each waits for its time, or until its fault is released. */
#ifndef WORLD_HELD_H
#define WORLD_HELD_H

#include "aws_api.h"

#define HELD_MAX 1024

enum held_purpose {
    HELD_DELIVER, /* execute the request then */
    HELD_HANG,    /* drop it then */
    HELD_FORGET,  /* forget the change then */
};

/* Takes over the request (NULL for HELD_FORGET). Over HELD_MAX it is dropped. */
void held_add(struct world *world, struct fault *fault, enum held_purpose purpose,
              struct aws_request *request, const char *change_id);

/* Lets go what this fault holds, in order of arrival. Returns how many there were. */
size_t held_release(struct world *world, unsigned fault_id);

/* The fault is gone (0: all of them): requests are dropped, changes go their usual way. */
void held_discard(struct world *world, unsigned fault_id);

#endif
