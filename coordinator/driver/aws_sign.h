/* AWS Signature Version 4, in headers. Pure: the date is an argument, because it isn't always this
 * machine's (aws_http.h), which is also why libcurl's own signer doesn't serve: it takes no date.
 * Source: AWS General Reference, "Create a signed AWS API request". For services other than S3. */
#ifndef DRIVER_AWS_SIGN_H
#define DRIVER_AWS_SIGN_H

#include <stdint.h>

#include "base/error.h"
#include "http_client.h"

#define AWS_ACCESS_KEY_SIZE 129
#define AWS_SECRET_SIZE 257
#define AWS_TOKEN_SIZE 8193
#define AWS_SIGN_HEADER_MAX 4 /* what a signature adds to a request */

/* Secret: zeroed with explicit_bzero before its memory is given back; never logged. */
struct aws_keys {
    char access_key_id[AWS_ACCESS_KEY_SIZE];
    char secret_access_key[AWS_SECRET_SIZE];
    char session_token[AWS_TOKEN_SIZE]; /* "": long-lived keys */
};

/* Whole header lines, to be added to the request; token "": none. As secret as the keys. */
struct aws_signature {
    char host[512]; /* "": the request has its own Host, which is signed */
    char date[32];
    char token[AWS_TOKEN_SIZE + 32];
    char authorization[1024];
};

/* Signs method, path, query, body, Host and every header of the request (each at most once). Its
 * query must be canonical already (aws_text.h); its path has no `//`, `.` or `..`. Their encoding
 * may be anything. INVALID, LIMIT. */
enum error_code aws_sign(const struct http_request *request, const struct aws_keys *keys,
                         const char *service, const char *region, uint64_t wall_ms,
                         struct aws_signature *ret_signature, struct error *error);

#endif
