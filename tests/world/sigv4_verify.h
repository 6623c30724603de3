/* Checks the AWS Signature Version 4 of a request, as the services do: pure, the time comes in.
 * Source: AWS general reference, "Create a signed AWS API request". */
#ifndef WORLD_SIGV4_VERIFY_H
#define WORLD_SIGV4_VERIFY_H

#include <stdint.h>

#include "aws_reply.h"
#include "credentials.h"
#include "http_message.h"

/* How far x-amz-date may be from the world's clock. */
#define SIGV4_SKEW_MAX_MS (5 * 60 * 1000)
#define SIGV4_SIGNED_HEADERS_MAX 64

struct sigv4_scope {
    const char *service;
    const char *region; /* NULL: any */
};

/* Returns the credential that signed, or NULL with *ret_refusal filled. */
const struct credential *sigv4_verify(const struct http_request *request,
                                      const struct credentials *credentials,
                                      const struct sigv4_scope *scope, uint64_t wall_ms,
                                      struct aws_refusal *ret_refusal);

#endif
