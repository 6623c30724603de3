/* Faults on command: what shall go wrong with the next requests that match. This is only the table:
 * what is armed, what matches, how often it fired. aws_api carries the faults out. */
#ifndef WORLD_FAULTS_H
#define WORLD_FAULTS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "change_batch.h"
#include "record_set.h"

#define FAULTS_MAX 256
#define FAULT_COUNT_UNLIMITED 0
#define FAULT_DELAY_MAX_MS (24ULL * 3600 * 1000)
#define FAULT_CODE_SIZE 64

/*            kind, word in JSON */
#define FAULT_KIND_TABLE(X)                                                                        \
    X(DROP_REPLY, "drop_reply") /* apply, then close without a reply */                            \
    X(DELAY, "delay")           /* hold the request, deliver it later */                           \
    X(DUPLICATE, "duplicate")   /* apply and reply, then apply again later */                      \
    X(FORGET, "forget")         /* accept, then undo while PENDING */                              \
    X(ERROR, "error")           /* don't apply, answer with an error */                            \
    X(HANG, "hang")             /* don't apply, don't answer */                                    \
    X(SLOW, "slow")             /* apply at once, reply late */                                    \
    X(DEAD, "dead")             /* no listener until it is removed */

enum fault_kind {
#define X(kind, text) FAULT_##kind,
    FAULT_KIND_TABLE(X)
#undef X
        FAULT_KIND_COUNT
};

/*            operation, word in JSON */
#define FAULT_OPERATION_TABLE(X)                                                                   \
    X(CHANGE, "change")                                                                            \
    X(LIST, "list")                                                                                \
    X(GETCHANGE, "getchange")                                                                      \
    X(ZONES, "zones")                                                                              \
    X(STS, "sts")

enum fault_operation {
#define X(operation, text) FAULT_OPERATION_##operation,
    FAULT_OPERATION_TABLE(X)
#undef X
        FAULT_OPERATION_COUNT,
    FAULT_OPERATION_ANY = FAULT_OPERATION_COUNT
};

struct fault {
    unsigned id;
    enum fault_kind kind;
    enum fault_operation operation;                 /* the filter */
    char zone_id[RECORD_ZONE_ID_MAX + 1];           /* "": any */
    char comment[CHANGE_BATCH_COMMENT_MAX * 4 + 1]; /* part of the comment; "": any */
    uint64_t skip;                                  /* so many matching requests pass first */
    uint64_t count; /* fires so often; FAULT_COUNT_UNLIMITED: for ever */
    uint64_t delay_ms;
    bool until_release; /* held until it is released, whatever delay_ms */
    bool close_client;  /* DELAY: the client is cut off at once */
    bool expire;        /* DELAY, DUPLICATE: the signature is checked again at delivery */
    bool missing;       /* FORGET: GetChange says NoSuchChange, else PENDING for ever */
    int status;         /* ERROR */
    char code[FAULT_CODE_SIZE];
    uint64_t matched, fired;
    size_t held; /* requests that it holds now */
};

struct fault_table {
    struct fault faults[FAULTS_MAX];
    size_t count;
    unsigned last_id;
};

/* What a request is, for the filter. */
struct fault_subject {
    enum fault_operation operation;
    const char *zone_id; /* "": none */
    const char *comment; /* "": none */
};

/* Reads {"kind": .., "operation": .., "zone": .., "comment": .., "skip": n, "count": n, "ms": n,
 * "release": bool, "client": "hang"|"close", "expire": bool, "status": "pending"|"missing" or
 * 100-599, "code": ..}. Errors: INVALID, with a message for a person. */
enum error_code fault_parse(const json_t *json, struct fault *ret_fault, struct error *error);
json_t *fault_dump(const struct fault *fault);

/* Returns the armed copy. Errors: LIMIT. */
enum error_code faults_arm(struct fault_table *table, const struct fault *fault,
                           struct fault **ret_fault, struct error *error);
struct fault *faults_find(struct fault_table *table, unsigned id);
void faults_remove(struct fault_table *table, unsigned id);

/* The oldest fault that fires for this request (its counters move), or NULL. SLOW ones are asked
 * for apart, since they go together with any other. */
struct fault *faults_take(struct fault_table *table, const struct fault_subject *subject,
                          bool slow);

/* Is an armed DEAD there? */
bool faults_any_dead(const struct fault_table *table);

const char *fault_operation_text(enum fault_operation operation);

#endif
