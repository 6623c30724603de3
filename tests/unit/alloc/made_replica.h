/* A replica of one's own making, without a disk, a network or a library behind it: a state, queues,
 * a loop that may be woken. What the library would ask and be asked is the test's to play. */
#ifndef TEST_ALLOC_MADE_REPLICA_H
#define TEST_ALLOC_MADE_REPLICA_H

#include "replica_private.h"

/* One a program. Its state is fresh and of this incarnation's first moment. */
struct replica *made_replica_create(void);
void made_replica_destroy(struct replica *replica);
/* As it was made, but for the state: not failed, nothing queued. */
void made_replica_reset(struct replica *replica);

#endif
