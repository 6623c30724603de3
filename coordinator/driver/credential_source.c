#include "credential_source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "allocate.h"
#include "aws_endpoint.h"
#include "aws_text.h"
#include "base/text.h"

enum {
    LOCAL_TIMEOUT_MS = 3000, /* container and instance metadata: on this machine */
    LOCAL_CONNECT_TIMEOUT_MS = 1000,
    TOKEN_FILE_SIZE_MAX = 32 * 1024,
    LOCAL_TOKEN_MAX = 2048,
};

static const char IMDS_ROLE_PATH[] = "/latest/meta-data/iam/security-credentials/";

struct fetch {
    struct credential_source *source;
    credential_cb on_result;
    void *context;
    char imds_url[AWS_URL_SIZE];
    char imds_token_header[LOCAL_TOKEN_MAX + 64];
};

static const char *environment(const char *name) {
    const char *value = getenv(name);
    return value == NULL ? "" : value;
}

static void fetch_end(struct fetch *fetch, const struct credential_result *result) {
    fetch->on_result(fetch->context, result);
    explicit_bzero(fetch, sizeof *fetch);
    free(fetch);
}

static void fetch_fail(struct fetch *fetch, const struct error *error) {
    fetch_end(fetch, &(struct credential_result){.error = error});
}

static void fetch_succeed(struct fetch *fetch, const struct aws_keys *keys) {
    struct credential credential = {.keys = *keys};
    fetch_end(fetch, &(struct credential_result){.credential = &credential});
    explicit_bzero(&credential, sizeof credential);
}

static void on_sts_result(void *context, const struct credential_result *result) {
    fetch_end(context, result);
}

/* --- container and instance metadata -------------------------------------------------------- */

static void end_with_json(struct fetch *fetch, const char *who,
                          const struct http_response *response) {
    struct error error = response->error;
    struct credential credential = {.expires = false};
    if (error.code == ERROR_OK && response->status != 200) {
        error_set(&error, ERROR_UNAVAILABLE, "HTTP status %ld", response->status);
    }
    if (error.code == ERROR_OK) {
        credential_read_json(response->body, response->body_size_bytes, &credential, &error);
    }
    if (error.code != ERROR_OK) {
        error_prefix(&error, "%s", who);
        fetch_fail(fetch, &error);
        return;
    }
    fetch_end(fetch, &(struct credential_result){
                         .credential = &credential,
                         .clock_wall_ms = response->has_date ? response->date_wall_ms : 0});
    explicit_bzero(&credential, sizeof credential);
}

static void on_container_reply(void *context, const struct http_response *response) {
    end_with_json(context, "container credentials", response);
}

static enum error_code container_header(char *header, size_t header_size, struct error *error) {
    const char *path = environment("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    const char *token = environment("AWS_CONTAINER_AUTHORIZATION_TOKEN");
    char *text = NULL;
    size_t size_bytes = 0;
    enum error_code code = ERROR_OK;
    header[0] = '\0';
    if (path[0] != '\0') {
        code = aws_file_read(path, LOCAL_TOKEN_MAX, &text, &size_bytes, error);
        if (code != ERROR_OK) {
            return error_prefix(error, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
        }
        text[strcspn(text, "\r\n")] = '\0';
        token = text;
    }
    if (strlen(token) > LOCAL_TOKEN_MAX || strpbrk(token, "\r\n") != NULL) {
        code = error_set(error, ERROR_INVALID, "AWS_CONTAINER_AUTHORIZATION_TOKEN is no header");
    } else if (token[0] != '\0') {
        (void)snprintf(header, header_size, "Authorization: %s", token);
    }
    if (text != NULL) {
        explicit_bzero(text, size_bytes);
        free(text);
    }
    return code;
}

static void fetch_container(struct fetch *fetch) {
    const char *relative = environment("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    char url[AWS_URL_SIZE];
    char header[LOCAL_TOKEN_MAX + 64];
    struct error error;
    int length = relative[0] != '\0' ? snprintf(url, sizeof url, "http://169.254.170.2%s%s",
                                                relative[0] == '/' ? "" : "/", relative)
                                     : snprintf(url, sizeof url, "%s",
                                                environment("AWS_CONTAINER_CREDENTIALS_FULL_URI"));
    /* A query is fine here, and the check doesn't want one. */
    char base[AWS_URL_SIZE];
    (void)snprintf(base, sizeof base, "%.*s", (int)strcspn(url, "?"), url);
    enum error_code code = ERROR_OK;
    if (length < 0 || (size_t)length >= sizeof url) {
        code = error_set(&error, ERROR_LIMIT, "AWS_CONTAINER_CREDENTIALS_..._URI is too long");
    } else {
        code = http_check_url(base, true, &error);
    }
    if (code == ERROR_OK) {
        code = container_header(header, sizeof header, &error);
    }
    if (code != ERROR_OK) {
        error_prefix(&error, "container credentials");
        fetch_fail(fetch, &error);
        return;
    }
    struct aws_request request = {.http = {.method = "GET",
                                           .url = url,
                                           .headers = {header[0] == '\0' ? NULL : header},
                                           .timeout_ms = LOCAL_TIMEOUT_MS,
                                           .connect_timeout_ms = LOCAL_CONNECT_TIMEOUT_MS,
                                           .direct = true}};
    aws_http_send(fetch->source->http, &request, on_container_reply, fetch);
    explicit_bzero(header, sizeof header);
}

static void on_imds_keys(void *context, const struct http_response *response) {
    end_with_json(context, "instance metadata", response);
}

static void imds_get(struct fetch *fetch, const char *path, http_response_cb on_reply) {
    char url[AWS_URL_SIZE + 512];
    (void)snprintf(url, sizeof url, "%s%s", fetch->imds_url, path);
    struct aws_request request = {.http = {.method = "GET",
                                           .url = url,
                                           .headers = {fetch->imds_token_header},
                                           .timeout_ms = LOCAL_TIMEOUT_MS,
                                           .connect_timeout_ms = LOCAL_CONNECT_TIMEOUT_MS,
                                           .direct = true}};
    aws_http_send(fetch->source->http, &request, on_reply, fetch);
}

/* Copies the first line of a reply; false when it is empty, too long or not printable. */
static bool first_line(const struct http_response *response, char *to, size_t to_size) {
    size_t length = 0;
    while (length < response->body_size_bytes && response->body[length] > ' ' &&
           response->body[length] < 0x7f) {
        length++;
    }
    if (length == 0 || length >= to_size ||
        (length < response->body_size_bytes && strchr("\r\n", response->body[length]) == NULL)) {
        return false;
    }
    memcpy(to, response->body, length);
    to[length] = '\0';
    return true;
}

static void on_imds_role(void *context, const struct http_response *response) {
    struct fetch *fetch = context;
    struct error error = response->error;
    char role[129];
    struct buffer path;
    buffer_init(&path, 512);
    if (error.code != ERROR_OK) {
        error_prefix(&error, "instance metadata");
    } else if (response->status == 404) {
        error_set(&error, ERROR_NOT_FOUND, "the instance has no role attached");
    } else if (response->status != 200 || !first_line(response, role, sizeof role)) {
        error_set(&error, ERROR_PROTOCOL, "instance metadata: no role, HTTP status %ld",
                  response->status);
    } else {
        buffer_append_text(&path, IMDS_ROLE_PATH);
        if (!aws_append_encoded(&path, role)) {
            error_set(&error, ERROR_LIMIT, "instance metadata: too long a role");
        }
    }
    if (error.code == ERROR_OK) {
        imds_get(fetch, path.data, on_imds_keys);
    } else {
        fetch_fail(fetch, &error);
    }
    buffer_finish(&path);
}

static void on_imds_token(void *context, const struct http_response *response) {
    struct fetch *fetch = context;
    char token[LOCAL_TOKEN_MAX + 1];
    struct error error = response->error;
    if (error.code != ERROR_OK) {
        error_set(&error, ERROR_UNAVAILABLE,
                  "no AWS credentials: none in the environment, the shared files or a container, "
                  "and no instance metadata (%.100s)",
                  response->error.message);
    } else if (response->status != 200 || !first_line(response, token, sizeof token)) {
        error_set(&error, ERROR_UNAVAILABLE, "instance metadata: no session token, HTTP status %ld",
                  response->status);
    }
    if (error.code != ERROR_OK) {
        fetch_fail(fetch, &error);
        return;
    }
    (void)snprintf(fetch->imds_token_header, sizeof fetch->imds_token_header,
                   "X-aws-ec2-metadata-token: %s", token);
    explicit_bzero(token, sizeof token);
    imds_get(fetch, IMDS_ROLE_PATH, on_imds_role);
}

static void fetch_imds(struct fetch *fetch) {
    struct error error;
    if (strcasecmp(environment("AWS_EC2_METADATA_DISABLED"), "true") == 0) {
        error_set(&error, ERROR_NOT_FOUND,
                  "no AWS credentials: none in the environment, the shared files or a container, "
                  "and instance metadata is switched off");
        fetch_fail(fetch, &error);
        return;
    }
    const char *given = environment("AWS_EC2_METADATA_SERVICE_ENDPOINT");
    const char *base = given[0] == '\0' ? "http://169.254.169.254" : given;
    if (!TEXT_COPY(fetch->imds_url, base) || http_check_url(base, true, &error) != ERROR_OK) {
        error_set(&error, ERROR_INVALID, "AWS_EC2_METADATA_SERVICE_ENDPOINT is not usable");
        fetch_fail(fetch, &error);
        return;
    }
    size_t length = strlen(fetch->imds_url);
    while (length > 0 && fetch->imds_url[length - 1] == '/') {
        fetch->imds_url[--length] = '\0';
    }
    char url[AWS_URL_SIZE + 32];
    (void)snprintf(url, sizeof url, "%s/latest/api/token", fetch->imds_url);
    struct aws_request request = {.http = {.method = "PUT",
                                           .url = url,
                                           .headers = {"X-aws-ec2-metadata-token-ttl-seconds: 300"},
                                           .timeout_ms = LOCAL_TIMEOUT_MS,
                                           .connect_timeout_ms = LOCAL_CONNECT_TIMEOUT_MS,
                                           .direct = true}};
    aws_http_send(fetch->source->http, &request, on_imds_token, fetch);
}

/* --- environment, files, web identity ------------------------------------------------------- */

static void fetch_web_identity(struct fetch *fetch, const char *token_file, const char *role_arn) {
    char *token = NULL;
    size_t size_bytes = 0;
    struct error error;
    if (aws_file_read(token_file, TOKEN_FILE_SIZE_MAX, &token, &size_bytes, &error) != ERROR_OK) {
        error_prefix(&error, "web identity token");
        fetch_fail(fetch, &error);
        return;
    }
    token[strcspn(token, "\r\n")] = '\0';
    char region[33];
    credential_source_find_region(fetch->source, region);
    struct sts_role role = {role_arn, "", fetch->source->session_name};
    sts_assume_role_with_web_identity(fetch->source->http, region, token, &role, on_sts_result,
                                      fetch);
    explicit_bzero(token, size_bytes);
    free(token);
}

static void fetch_profile_role(struct fetch *fetch, const struct aws_profile *profile) {
    struct error error;
    if (profile->web_identity_token_file[0] != '\0') {
        fetch_web_identity(fetch, profile->web_identity_token_file, profile->role_arn);
        return;
    }
    if (profile->source_profile[0] == '\0') {
        error_set(&error, ERROR_UNSUPPORTED,
                  "the AWS profile has role_arn but no source_profile; credential_source is not "
                  "supported: give the role in the spec instead");
        fetch_fail(fetch, &error);
        return;
    }
    struct aws_profile base;
    enum error_code code = aws_profile_load(profile->source_profile, &base, &error);
    if (code == ERROR_OK &&
        (base.keys.access_key_id[0] == '\0' || base.keys.secret_access_key[0] == '\0')) {
        code = error_set(&error, ERROR_NOT_FOUND, "the AWS profile '%.100s' has no access key",
                         profile->source_profile);
    }
    if (code != ERROR_OK) {
        fetch_fail(fetch, &error);
        return;
    }
    char region[33];
    credential_source_find_region(fetch->source, region);
    struct sts_role role = {profile->role_arn, profile->external_id, fetch->source->session_name};
    sts_assume_role(fetch->source->http, region, &base.keys, &role, on_sts_result, fetch);
    explicit_bzero(&base, sizeof base);
}

/* True when the shared files have something for us: the fetch goes on, or ended. */
static bool try_profile(struct fetch *fetch) {
    const char *given = environment("AWS_PROFILE");
    struct aws_profile profile;
    struct error error;
    bool taken = true;
    if (aws_profile_load(given[0] == '\0' ? "default" : given, &profile, &error) != ERROR_OK) {
        fetch_fail(fetch, &error);
        return true;
    }
    if (!profile.found && given[0] != '\0') {
        error_set(&error, ERROR_NOT_FOUND, "there is no AWS profile '%.100s'", given);
        fetch_fail(fetch, &error);
    } else if (profile.role_arn[0] != '\0') {
        fetch_profile_role(fetch, &profile);
    } else if (profile.keys.access_key_id[0] != '\0' && profile.keys.secret_access_key[0] != '\0') {
        fetch_succeed(fetch, &profile.keys);
    } else if (profile.credential_process[0] != '\0' || profile.sso_session[0] != '\0') {
        error_set(&error, ERROR_UNSUPPORTED, "the AWS profile uses %s, which a daemon can't run",
                  profile.sso_session[0] != '\0' ? "single sign-on" : "credential_process");
        fetch_fail(fetch, &error);
    } else {
        taken = false;
    }
    explicit_bzero(&profile, sizeof profile);
    return taken;
}

static bool try_environment(struct fetch *fetch) {
    const char *id = environment("AWS_ACCESS_KEY_ID");
    const char *secret = environment("AWS_SECRET_ACCESS_KEY");
    struct error error;
    if (id[0] == '\0' && secret[0] == '\0') {
        return false;
    }
    struct aws_keys keys;
    if (id[0] == '\0' || secret[0] == '\0') {
        error_set(&error, ERROR_INVALID,
                  "only one of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY is set");
        fetch_fail(fetch, &error);
    } else if (!TEXT_COPY(keys.access_key_id, id) || !TEXT_COPY(keys.secret_access_key, secret) ||
               !TEXT_COPY(keys.session_token, environment("AWS_SESSION_TOKEN"))) {
        error_set(&error, ERROR_LIMIT, "the credentials in the environment are too long");
        fetch_fail(fetch, &error);
    } else {
        fetch_succeed(fetch, &keys);
    }
    explicit_bzero(&keys, sizeof keys);
    return true;
}

void credential_source_init(struct credential_source *source, struct aws_http *http,
                            const char *node, const char *region) {
    *source = (struct credential_source){.http = http};
    (void)snprintf(source->session_name, sizeof source->session_name, "noctua-%s", node);
    if (region != NULL && aws_is_region(region)) {
        (void)TEXT_COPY(source->region, region);
    }
}

void credential_source_find_region(const struct credential_source *source, char ret_region[33]) {
    const char *profile_name = environment("AWS_PROFILE");
    struct aws_profile profile = {.found = false};
    const char *found = environment("AWS_REGION");
    if (found[0] == '\0') {
        found = environment("AWS_DEFAULT_REGION");
    }
    if (found[0] == '\0' && aws_profile_load(profile_name[0] == '\0' ? "default" : profile_name,
                                             &profile, NULL) == ERROR_OK) {
        found = profile.region;
    }
    if (found[0] == '\0') {
        found = source->region;
    }
    (void)snprintf(ret_region, 33, "%s", found[0] == '\0' ? "us-east-1" : found);
    explicit_bzero(&profile, sizeof profile);
}

void credential_source_fetch(struct credential_source *source, credential_cb on_result,
                             void *context) {
    struct fetch *fetch = driver_allocate(sizeof *fetch);
    fetch->source = source;
    fetch->on_result = on_result;
    fetch->context = context;
    if (try_environment(fetch) || try_profile(fetch)) {
        return;
    }
    const char *token_file = environment("AWS_WEB_IDENTITY_TOKEN_FILE");
    const char *role_arn = environment("AWS_ROLE_ARN");
    if (token_file[0] != '\0' && role_arn[0] != '\0') {
        fetch_web_identity(fetch, token_file, role_arn);
    } else if (environment("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")[0] != '\0' ||
               environment("AWS_CONTAINER_CREDENTIALS_FULL_URI")[0] != '\0') {
        fetch_container(fetch);
    } else {
        fetch_imds(fetch);
    }
}
