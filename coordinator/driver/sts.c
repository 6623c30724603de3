#include "sts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "allocate.h"
#include "aws_endpoint.h"
#include "aws_error.h"
#include "aws_text.h"

enum { STS_TIMEOUT_MS = 10000, STS_CONNECT_TIMEOUT_MS = 3000 };

struct sts_call {
    credential_cb on_result;
    void *context;
};

static void finish(struct sts_call *call, const struct credential_result *result) {
    call->on_result(call->context, result);
    free(call);
}

static void on_response(void *context, const struct http_response *response) {
    struct sts_call *call = context;
    struct error error = response->error;
    struct credential credential = {.expires = false};
    struct credential_result result = {.clock_wall_ms =
                                           response->has_date ? response->date_wall_ms : 0};
    if (error.code == ERROR_OK && response->status != 200) {
        struct aws_error refused;
        aws_error_read(response->status, response->body, response->body_size_bytes, &refused);
        result.keys_refused = refused.class == AWS_ERROR_CREDENTIALS;
        error_set(&error, aws_error_code(refused.class), "%s: %.200s", refused.code,
                  refused.message);
    }
    if (error.code == ERROR_OK) {
        error.code =
            credential_read_sts(response->body, response->body_size_bytes, &credential, &error);
    }
    if (error.code != ERROR_OK) {
        error_prefix(&error, "STS");
    }
    result.error = error.code == ERROR_OK ? NULL : &error;
    result.credential = error.code == ERROR_OK ? &credential : NULL;
    finish(call, &result);
    explicit_bzero(&credential, sizeof credential);
}

static enum error_code find_url(const char *region, char url[AWS_URL_SIZE], struct error *error) {
    if (!aws_is_region(region)) {
        return error_set(error, ERROR_INVALID, "'%.40s' is not an AWS region", region);
    }
    char otherwise[AWS_URL_SIZE];
    (void)snprintf(otherwise, sizeof otherwise, "https://sts.%s.amazonaws.com%s", region,
                   strncmp(region, "cn-", 3) == 0 ? ".cn" : "");
    char base[AWS_URL_SIZE];
    enum error_code code = aws_endpoint_find("STS", otherwise, base, error);
    if (code == ERROR_OK && snprintf(url, AWS_URL_SIZE, "%s/", base) >= AWS_URL_SIZE) {
        code = error_set(error, ERROR_LIMIT, "the endpoint of STS is too long");
    }
    return code;
}

static void post(struct aws_http *http, const char *region, const struct aws_keys *keys,
                 const struct aws_parameter *parameters, uint32_t parameter_count,
                 credential_cb on_result, void *context) {
    struct sts_call *call = driver_allocate(sizeof *call);
    *call = (struct sts_call){on_result, context};
    struct error error;
    char url[AWS_URL_SIZE];
    struct buffer body;
    buffer_init(&body, (size_t)64 * 1024);
    enum error_code code = find_url(region, url, &error);
    if (code == ERROR_OK && !aws_append_query(&body, parameters, parameter_count)) {
        code = error_set(&error, ERROR_LIMIT, "STS: too large a request");
    }
    if (code == ERROR_OK) {
        struct aws_request request = {
            .http =
                {
                    .method = "POST",
                    .url = url,
                    .body = body.data,
                    .body_size_bytes = body.size_bytes,
                    .headers = {"Content-Type: application/x-www-form-urlencoded; charset=utf-8"},
                    .timeout_ms = STS_TIMEOUT_MS,
                    .connect_timeout_ms = STS_CONNECT_TIMEOUT_MS,
                },
            .keys = keys,
            .sign_service = "sts",
            .sign_region = region,
        };
        aws_http_send(http, &request, on_response, call);
    } else {
        finish(call, &(struct credential_result){.error = &error});
    }
    if (body.data != NULL) {
        explicit_bzero(body.data, body.capacity_bytes);
    }
    buffer_finish(&body);
}

void sts_assume_role(struct aws_http *http, const char *region, const struct aws_keys *keys,
                     const struct sts_role *role, credential_cb on_result, void *context) {
    char duration[16];
    (void)snprintf(duration, sizeof duration, "%d", STS_DURATION_S);
    const struct aws_parameter parameters[] = {
        {"Action", "AssumeRole"},      {"Version", "2011-06-15"},
        {"RoleArn", role->role_arn},   {"RoleSessionName", role->session_name},
        {"DurationSeconds", duration}, {"ExternalId", role->external_id},
    };
    /* ExternalId stands last, so that it can be left out: an empty one is refused. */
    post(http, region, keys, parameters, role->external_id[0] == '\0' ? 5 : 6, on_result, context);
}

void sts_assume_role_with_web_identity(struct aws_http *http, const char *region, const char *token,
                                       const struct sts_role *role, credential_cb on_result,
                                       void *context) {
    const struct aws_parameter parameters[] = {
        {"Action", "AssumeRoleWithWebIdentity"},
        {"Version", "2011-06-15"},
        {"RoleArn", role->role_arn},
        {"RoleSessionName", role->session_name},
        {"WebIdentityToken", token},
    };
    post(http, region, NULL, parameters, 5, on_result, context);
}
