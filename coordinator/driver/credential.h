/* One set of AWS credentials, and where they are read from text. Pure.
 * Source: STS API reference (AssumeRole, AssumeRoleWithWebIdentity); "Container credential
 * provider"; "Retrieve security credentials from instance metadata"; "Configuration and credential
 * file settings" of the AWS SDKs reference. */
#ifndef DRIVER_CREDENTIAL_H
#define DRIVER_CREDENTIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aws_sign.h"
#include "base/error.h"

struct credential {
    struct aws_keys keys;
    bool expires;
    uint64_t expires_wall_ms; /* by the issuer's clock */
};

/* Container and instance metadata: {"AccessKeyId", "SecretAccessKey", "Token", "Expiration"}. */
enum error_code credential_read_json(const char *body, size_t size_bytes,
                                     struct credential *ret_credential, struct error *error);

/* Both AssumeRole replies: ...Response > ...Result > Credentials. */
enum error_code credential_read_sts(const char *body, size_t size_bytes,
                                    struct credential *ret_credential, struct error *error);

#define PROFILE_FILE_SIZE_MAX ((size_t)1024 * 1024)
#define PROFILE_NAME_SIZE 128

/* One profile, from both files. Each text "": not given. */
struct aws_profile {
    bool found;
    struct aws_keys keys;
    char role_arn[256];
    char source_profile[PROFILE_NAME_SIZE];
    char external_id[128];
    char web_identity_token_file[1024];
    char credential_source[64];
    char credential_process[64]; /* only whether it is there; cut */
    char sso_session[64];        /* likewise: sso_session or sso_start_url */
    char region[33];
};

enum aws_profile_file { AWS_PROFILE_CREDENTIALS, AWS_PROFILE_CONFIG };

/* Adds what a file's text says about the profile. The credentials file wins over the config file:
 * read it first; what is there already stays. INVALID: with name:line. */
enum error_code aws_profile_read(const char *text, size_t size_bytes, enum aws_profile_file file,
                                 const char *file_name, const char *profile_name,
                                 struct aws_profile *profile, struct error *error);

/* Both files, where the environment says they are. A file that doesn't exist is empty. */
enum error_code aws_profile_load(const char *profile_name, struct aws_profile *ret_profile,
                                 struct error *error);

/* A whole small file; free(3) it after explicit_bzero. NOT_FOUND, LIMIT, IO. */
enum error_code aws_file_read(const char *path, size_t limit_bytes, char **ret_text,
                              size_t *ret_size_bytes, struct error *error);

#endif
