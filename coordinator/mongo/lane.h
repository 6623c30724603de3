/* What a thread does with libmongoc for one link: connect, log in, ask. Blocks; one thread at a
 * time. */
#ifndef MONGO_LANE_H
#define MONGO_LANE_H

#include "mongo/client.h"

struct mongo_lane;

/* What came of a question; the thread's until it is handed over. */
struct mongo_outcome {
    bson_t *document; /* on the heap, where bson_t wants an alignment of its own; NULL: none */
    enum mongo_result result;
    int32_t server_code;
    char detail[MONGO_DETAIL_SIZE];
};

/* NULL: no memory. */
struct mongo_lane *mongo_lane_create(const struct mongo_target *target);
/* Closes its connection (may block for a moment in TLS). NULL is fine. */
void mongo_lane_destroy(struct mongo_lane *lane);

/* Each blocking step is bounded by the target's time. */
void mongo_lane_ask(struct mongo_lane *lane, const char *database, const bson_t *command,
                    enum mongo_manner manner, struct mongo_outcome *ret);
/* The resolver's own limits (resolv.conf) bound it. */
void mongo_lane_look_up(struct mongo_lane *lane, struct mongo_outcome *ret);

/* Whether the member can be said to hang or be gone. */
bool mongo_result_is_failure(enum mongo_result result);

#endif
