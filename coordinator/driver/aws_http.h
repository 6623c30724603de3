/* Requests to AWS's APIs: signed, and dated by AWS's clock once this machine's has proved to be
 * off.
 *
 * When a signature is refused and the reply's Date is far from the date that was signed, the
 * service has shown its clock. From then on every request is dated by it, carried forward on
 * CLOCK_BOOTTIME, so that a later jump of the machine's clock doesn't matter. The refused request
 * is sent once more at once, unless it is an effect: what its refusal means is for the caller to
 * read at the target. Source: botocore's and the Go SDK's handling of clock skew. */
#ifndef DRIVER_AWS_HTTP_H
#define DRIVER_AWS_HTTP_H

#include <uv.h>

#include "aws_sign.h"
#include "base/clock.h"
#include "base/error.h"
#include "http_client.h"

/* Nearer than this the clock isn't why (services allow 5 minutes and more). */
#define AWS_CLOCK_SKEW_MIN_MS (UINT64_C(60) * 1000)
/* Further off than this the machine must be put right: a request that is dated by a wrong Date
 * could still land so long afterwards. */
#define AWS_CLOCK_SKEW_MAX_MS (UINT64_C(24) * 3600 * 1000)

struct aws_request {
    struct http_request http;
    const struct aws_keys *keys; /* NULL: not signed */
    const char *sign_service, *sign_region;
};

struct aws_http;

/* CA certificates: the system's, or AWS_CA_BUNDLE. */
enum error_code aws_http_create(uv_loop_t *loop, const struct clock *clock,
                                struct aws_http **ret_http, struct error *error);

/* Copies what it needs of the request. As http_client_send. */
void aws_http_send(struct aws_http *http, const struct aws_request *request,
                   http_response_cb on_response, void *context);

/* As http_client_close. */
void aws_http_close(struct aws_http *http, void (*on_closed)(void *context), void *context);

#endif
