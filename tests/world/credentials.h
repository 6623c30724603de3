/* The access keys that the world knows: long-lived ones from the command line, and temporary ones
 * that STS has handed out. */
#ifndef WORLD_CREDENTIALS_H
#define WORLD_CREDENTIALS_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define CREDENTIALS_MAX 4096
#define CREDENTIAL_ID_SIZE 129
#define CREDENTIAL_SECRET_SIZE 129
#define CREDENTIAL_TOKEN_SIZE 513
#define CREDENTIAL_ARN_SIZE 2049

struct credential {
    char id[CREDENTIAL_ID_SIZE];
    char secret[CREDENTIAL_SECRET_SIZE];
    char token[CREDENTIAL_TOKEN_SIZE]; /* "": none is needed */
    char arn[CREDENTIAL_ARN_SIZE];     /* who this is, for GetCallerIdentity */
    uint64_t expires_wall_ms;          /* 0: never */
};

struct credentials {
    struct credential **items;
    size_t count;
};

void credentials_finish(struct credentials *credentials);

/* "AKID:SECRET[:TOKEN]". */
enum error_code credentials_add_text(struct credentials *credentials, const char *text,
                                     struct error *error);

/* A random temporary one for `arn`. The oldest temporary ones go when there are too many. */
const struct credential *credentials_issue(struct credentials *credentials, const char *arn,
                                           uint64_t expires_wall_ms);

const struct credential *credentials_find(const struct credentials *credentials, const char *id);

#endif
