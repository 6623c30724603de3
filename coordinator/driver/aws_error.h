/* What an AWS service's negative reply means. One table: code -> class. Pure.
 * Source: Route 53 and STS API references, "Errors" and "Common errors". */
#ifndef DRIVER_AWS_ERROR_H
#define DRIVER_AWS_ERROR_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

enum aws_error_class {
    AWS_ERROR_THROTTLED,   /* too many requests: later */
    AWS_ERROR_BUSY,        /* an earlier request on the zone is not complete: later */
    AWS_ERROR_SKEWED,      /* this machine's clock is off */
    AWS_ERROR_SIGNATURE,   /* another secret, or the clock */
    AWS_ERROR_CREDENTIALS, /* expired or unknown keys: fresh ones may help */
    AWS_ERROR_DENIED,      /* good keys, but not allowed */
    AWS_ERROR_NOT_FOUND,
    AWS_ERROR_CONFLICT, /* the condition of a change doesn't hold */
    AWS_ERROR_INVALID,  /* the request can't ever work */
    AWS_ERROR_SERVER,   /* 5xx: may have happened or not */
    AWS_ERROR_STRANGE,  /* no reply of AWS: a redirect, a proxy's page */
    AWS_ERROR_CLASS_COUNT
};

struct aws_error {
    enum aws_error_class class;
    char code[64];     /* "InvalidChangeBatch"; "" when the reply names none */
    char message[256]; /* the service's words; of InvalidChangeBatch the first two */
};

/* status: of HTTP, not 2xx. body: whatever came with it. */
void aws_error_read(long status, const char *body, size_t size_bytes, struct aws_error *ret_error);

/* For callers above: UNAVAILABLE (worth a retry), DENIED, NOT_FOUND, CONFLICT, INVALID, PROTOCOL.
 */
enum error_code aws_error_code(enum aws_error_class class);

#endif
