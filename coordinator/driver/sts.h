/* The two calls of AWS's Security Token Service that give credentials for a role.
 * Source: STS API reference (2011-06-15), AssumeRole, AssumeRoleWithWebIdentity. */
#ifndef DRIVER_STS_H
#define DRIVER_STS_H

#include "aws_http.h"
#include "credential.h"

#define STS_DURATION_S 3600

struct sts_role {
    const char *role_arn;
    const char *external_id;  /* "": none */
    const char *session_name; /* [A-Za-z0-9+=,.@_-], 2 to 64 */
};

/* error: NULL when it went well. clock_wall_ms: the server's clock at its reply, 0 when it gave
 * none. keys_refused: the keys of the caller, not the role, are the problem. */
struct credential_result {
    const struct error *error;
    const struct credential *credential;
    uint64_t clock_wall_ms;
    bool keys_refused;
};

/* Fires exactly once. Only what lies below says whether from inside the call. */
typedef void (*credential_cb)(void *context, const struct credential_result *result);

/* region: of the endpoint (regional STS: it lives on when another region is dead). Everything is
 * copied. on_result may fire from inside the call when the request can't be made. */
void sts_assume_role(struct aws_http *http, const char *region, const struct aws_keys *keys,
                     const struct sts_role *role, credential_cb on_result, void *context);
void sts_assume_role_with_web_identity(struct aws_http *http, const char *region, const char *token,
                                       const struct sts_role *role, credential_cb on_result,
                                       void *context);

#endif
