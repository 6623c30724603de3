/* The inside of the driver of replica sets: mongo.c keeps the operations, and reads and changes the
 * config; mongo_force.c looks before one is forced; mongo_promote.c looks at who is primary,
 * promotes, and writes.
 */
#ifndef DRIVER_MONGO_OP_H
#define DRIVER_MONGO_OP_H

#include <sys/queue.h>

#include "core/policy.h"
#include "driver/mongo.h"
#include "mongo_config.h"
#include "mongo_scan.h"

enum op_kind { OP_READ, OP_SEND, OP_LOOK, OP_ACT };

struct mongo_op {
    TAILQ_ENTRY(mongo_op) link;
    struct mongo_driver *driver;
    enum op_kind kind;
    struct driver_target target;
    struct mongo_scan scan;
    struct mongo_link *sender;
    uv_timer_t timer; /* it begins from the loop */
    union {
        driver_read_cb on_read;
        driver_send_cb on_sent;
        driver_look_cb on_look;
    };
    void *context;
    /* SEND */
    bool expects_fence, writes_fence, has_states;
    char fence_before[DRIVER_FENCE_MAX], fence_after[DRIVER_FENCE_MAX];
    struct driver_blob *before, *after;
    uint64_t deadline_ms;
    uint64_t version; /* sent */
    /* LOOK, ACT */
    enum driver_aim aim;
    char eid[EID_SIZE];
    char host[MONGO_HOST_SIZE]; /* that is asked, in the end */
    /* PROMOTE: whom the set would prefer, and who shall be it */
    char rivals[MONGO_MEMBER_MAX][MONGO_HOST_SIZE], candidate[MONGO_HOST_SIZE];
    uint32_t rival_count, frozen_count;
    bool is_promoted; /* it is there: what follows is the write */
};

struct mongo_driver {
    struct driver base; /* first */
    struct mongo_driver_options options;
    char cluster[NAME_SIZE];
    char secrets[MONGO_SECRETS_SIZE];
    TAILQ_HEAD(, mongo_op) ops;
    uint32_t open_count; /* ops whose timer isn't closed yet */
    bool closing;
    driver_closed_cb on_closed;
    void *closed_context;
};

/* Ends the operation, and answers. */
void mongo_op_answer_sent(struct mongo_op *op, enum driver_reply reply, bool retry_later,
                          const char *message);
void mongo_op_answer_error(struct mongo_op *op, const struct error *error);
void mongo_op_answer_look(struct mongo_op *op, bool holds, const char *words);

/* A link of its own to `host`, for what is sent next; false: no memory. */
bool mongo_op_open_sender(struct mongo_op *op, const char *host);
/* Sends at most once, unless it is too late; then the operation is over. */
void mongo_op_send_once(struct mongo_op *op, const char *database, const bson_t *command,
                        uint32_t timeout_ms, mongo_reply_cb callback);
/* Answers what the reply to something that was sent once says. */
void mongo_op_on_command_reply(void *context, const struct mongo_reply *reply);

/* mongo_force.c: the newest config that any member has, and what stands against forcing another. */
enum error_code mongo_op_read_survivors(const struct mongo_op *op, struct driver_reading *ret,
                                        struct error *error);
/* ... what stands against one coming back; "": nothing. primary: the set's; NULL: none. */
void mongo_op_find_against_return(const struct mongo_op *op, const struct scan_member *primary,
                                  char *words, size_t size);

/* mongo_promote.c: after the scan */
void mongo_op_look(struct mongo_op *op);
void mongo_op_act(struct mongo_op *op);
/* The set has no primary that could take a config. Whoever would lead in the region may be frozen
 * yet, by the move before; it isn't any more. Answers ERROR_UNAVAILABLE. */
void mongo_op_thaw(struct mongo_op *op);

#endif
