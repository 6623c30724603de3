/* A batch of changes, and the rules by which Route 53 takes it whole or not at all. Pure: a state
 * goes in, a new state or the list of messages comes out. Source: Route 53 API reference,
 * ChangeResourceRecordSets. */
#ifndef WORLD_CHANGE_BATCH_H
#define WORLD_CHANGE_BATCH_H

#include <stddef.h>

#include "record_set.h"
#include "zone_state.h"

#define CHANGE_BATCH_COMMENT_MAX 256
/* ResourceRecord elements and value characters of a request; those of an UPSERT count twice. */
#define CHANGE_BATCH_RECORDS_MAX 1000
#define CHANGE_BATCH_CHARACTERS_MAX 32000
#define CHANGE_BATCH_CHANGES_MAX 1000

enum change_action { CHANGE_CREATE, CHANGE_DELETE, CHANGE_UPSERT };

struct change {
    enum change_action action;
    struct record_set *set;
};

struct change_batch {
    char *comment; /* NULL: none */
    struct change *changes;
    size_t count;
};

enum change_batch_verdict {
    CHANGE_BATCH_ACCEPTED,
    CHANGE_BATCH_INVALID_INPUT, /* one message */
    CHANGE_BATCH_INVALID_BATCH, /* one or more */
};

struct change_messages {
    char **texts;
    size_t count;
};

void change_batch_init(struct change_batch *batch);
void change_batch_finish(struct change_batch *batch);
/* Takes over the caller's reference. */
void change_batch_add(struct change_batch *batch, enum change_action action,
                      struct record_set *set);

void change_messages_finish(struct change_messages *messages);

/* Applies the changes in order, each against the state that the earlier ones leave. When accepted,
 * *ret_after is a new state (one reference, the caller's), else it is untouched and `messages`
 * (initialised to zero) says why. */
enum change_batch_verdict change_batch_apply(const struct change_batch *batch,
                                             const char *zone_name, const struct zone_state *before,
                                             struct zone_state **ret_after,
                                             struct change_messages *messages);

const char *change_action_text(enum change_action action);

#endif
