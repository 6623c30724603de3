/* The AWS endpoints (Route 53 and STS) of the world: takes a request, verifies who signed it, lets
 * the armed faults interfere, and executes it. */
#ifndef WORLD_AWS_API_H
#define WORLD_AWS_API_H

#include "aws_reply.h"
#include "faults.h"
#include "uri.h"
#include "world.h"

enum aws_action {
    AWS_UNKNOWN,
    AWS_CHANGE_RECORD_SETS,
    AWS_LIST_RECORD_SETS,
    AWS_GET_CHANGE,
    AWS_GET_ZONE,
    AWS_LIST_ZONES,
    AWS_LIST_ZONES_BY_NAME,
    AWS_STS,
};

/* One request, self-contained, so that a fault can deliver it long after it came. */
struct aws_request {
    struct http_exchange *exchange;
    enum aws_action action;
    enum fault_operation operation;
    char zone_id[RECORD_ZONE_ID_MAX + 1];
    char change_id[HOSTED_CHANGE_ID_SIZE]; /* that is asked for, or that was given */
    struct uri_parameters parameters;      /* query, or form of STS */
    bool parsed;                           /* else refusal says why not */
    struct aws_refusal refusal;
    struct change_batch batch; /* of AWS_CHANGE_RECORD_SETS */
    char caller_arn[CREDENTIAL_ARN_SIZE];
    unsigned fault_id; /* the fault that touched it; 0: none */
    const char *late;  /* "delayed", "duplicate"; NULL: executed as it came */
    bool drop_reply;
};

/* http_handler of both servers; the context is the world. */
void aws_api_handle(void *context, struct http_exchange *exchange);

/* Takes over the exchange. Parses what the request is; verifies nothing. */
struct aws_request *aws_request_create(struct http_exchange *exchange);
/* Drops the exchange if it is still there. */
void aws_request_destroy(struct aws_request *request);

/* Verifies the signature now. False: *ret_refusal is filled. */
bool aws_request_verify(struct world *world, struct aws_request *request,
                        struct aws_refusal *ret_refusal);

/* Executes it, replies, and destroys the request. Returns the change that was accepted, if any. */
struct hosted_change *aws_request_execute(struct world *world, struct aws_request *request);

/* The ways to end one; all of them destroy the request. A refusal goes to the ledger. */
void aws_request_reply(struct world *world, struct aws_request *request, int status,
                       struct buffer *document);
void aws_request_refuse(struct world *world, struct aws_request *request,
                        const struct aws_refusal *refusal);

/* Writes a line of this kind about the request, with its ids, comment and fault. `entry` (whose
 * reference it takes) has more, or is NULL. */
void aws_request_log(struct world *world, const struct aws_request *request, const char *kind,
                     json_t *entry);

/* Executors of the two services (route53_api.c, sts.c); same contract as aws_request_execute. */
struct hosted_change *route53_api_execute(struct world *world, struct aws_request *request);
void sts_execute(struct world *world, struct aws_request *request);

#endif
