/* STS: temporary credentials for a role, which Route 53 then takes.
 * Source: STS API reference (AssumeRole, AssumeRoleWithWebIdentity, GetCallerIdentity). */
#include <stdio.h>

#include "aws_api.h"
#include "base/text.h"
#include "xml_write.h"

#define STS_VERSION "2011-06-15"
#define STS_DURATION_MIN_S 900
#define STS_DURATION_MAX_S 43200
#define STS_DURATION_DEFAULT_S 3600
#define STS_SESSION_NAME_MAX 64

static void sts_refuse(struct world *world, struct aws_request *request, int status,
                       const char *code, const char *format, const char *text) {
    struct aws_refusal refusal;
    (void)aws_refuse(&refusal, status, code, format, text);
    aws_request_refuse(world, request, &refusal);
}

static const char *sts_parameter(const struct aws_request *request, const char *name) {
    const char *value = uri_parameters_get(&request->parameters, name);
    return value != NULL ? value : "";
}

static void sts_reply(struct world *world, struct aws_request *request, const char *action,
                      const char *result) {
    struct buffer document;
    buffer_init(&document, 0);
    buffer_append_format(&document,
                         XML_DECLARATION "<%sResponse xmlns=\"" AWS_NAMESPACE_STS "\"><%sResult>%s"
                                         "</%sResult><ResponseMetadata>",
                         action, action, result, action);
    xml_write_element(&document, "RequestId", request->exchange->request_id);
    buffer_append_format(&document, "</ResponseMetadata></%sResponse>\n", action);
    aws_request_reply(world, request, 200, &document);
}

/* Does this option (ARN[:EXTERNAL-ID]) allow the role? The id begins behind the role's name, which
 * has no colon. */
static bool sts_role_matches(const char *option, const char *arn, const char *external_id) {
    size_t arn_length = strlen(arn);
    if (strncmp(option, arn, arn_length) != 0) {
        return false;
    }
    const char *rest = option + arn_length;
    return rest[0] == '\0' || (rest[0] == ':' && text_equal(rest + 1, external_id));
}

static bool sts_is_role_allowed(const struct world *world, const char *arn,
                                const char *external_id) {
    const struct options_list *roles = &world->options->roles;
    for (unsigned i = 0; i < roles->count; i++) {
        if (sts_role_matches(roles->items[i], arn, external_id)) {
            return true;
        }
    }
    return roles->count == 0;
}

/* "arn:aws:iam::111122223333:role/[path/]name" to
 * "arn:aws:sts::111122223333:assumed-role/name/session". */
static bool sts_session_arn(const char *role_arn, const char *session,
                            char to[CREDENTIAL_ARN_SIZE]) {
    static const char prefix[] = "arn:aws:iam::";
    const char *account = role_arn + sizeof(prefix) - 1;
    if (strlen(role_arn) >= CREDENTIAL_ARN_SIZE / 2 || !text_starts_with(role_arn, prefix)) {
        return false;
    }
    const char *role = strstr(account, ":role/");
    if (role == NULL || role == account) {
        return false;
    }
    const char *name = strrchr(role_arn, '/') + 1;
    (void)snprintf(to, CREDENTIAL_ARN_SIZE, "arn:aws:sts::%.*s:assumed-role/%s/%s",
                   (int)(role - account), account, name, session);
    return name[0] != '\0';
}

static void sts_write_credential(struct buffer *out, const struct credential *credential,
                                 const char *session) {
    char expiration[CLOCK_TEXT_SIZE];
    buffer_append_text(out, "<AssumedRoleUser>");
    xml_write_element(out, "Arn", credential->arn);
    buffer_append_text(out, "<AssumedRoleId>AROAWORLDWORLDWORLD12:");
    xml_write_text(out, session);
    buffer_append_text(out, "</AssumedRoleId></AssumedRoleUser><Credentials>");
    xml_write_element(out, "AccessKeyId", credential->id);
    xml_write_element(out, "SecretAccessKey", credential->secret);
    xml_write_element(out, "SessionToken", credential->token);
    xml_write_element(out, "Expiration", clock_format_utc(credential->expires_wall_ms, expiration));
    buffer_append_text(out, "</Credentials>");
}

/* AssumeRole and AssumeRoleWithWebIdentity, after the caller has been proved. */
static void sts_assume(struct world *world, struct aws_request *request, const char *action) {
    const char *role_arn = sts_parameter(request, "RoleArn");
    const char *session = sts_parameter(request, "RoleSessionName");
    const char *duration = uri_parameters_get(&request->parameters, "DurationSeconds");
    char session_arn[CREDENTIAL_ARN_SIZE];
    uint64_t duration_s = STS_DURATION_DEFAULT_S;
    struct buffer result;

    if (strlen(session) < 2 || strlen(session) > STS_SESSION_NAME_MAX ||
        !sts_session_arn(role_arn, session, session_arn)) {
        sts_refuse(world, request, 400, "ValidationError", "%s",
                   "RoleArn or RoleSessionName failed to satisfy its constraint");
        return;
    }
    if (duration != NULL &&
        !text_to_u64(duration, STS_DURATION_MIN_S, STS_DURATION_MAX_S, &duration_s)) {
        sts_refuse(world, request, 400, "ValidationError", "%s",
                   "DurationSeconds must be between 900 and 43200");
        return;
    }
    if (!sts_is_role_allowed(world, role_arn, sts_parameter(request, "ExternalId"))) {
        char message[AWS_REFUSAL_MESSAGE_SIZE];
        (void)snprintf(message, sizeof(message),
                       "User: %.600s is not authorized to perform: sts:%s on resource: %.600s",
                       request->caller_arn, action, role_arn);
        sts_refuse(world, request, 403, "AccessDenied", "%s", message);
        return;
    }
    if (world->options->session_seconds != 0) {
        duration_s = world->options->session_seconds;
    }
    const struct credential *credential = credentials_issue(
        &world->credentials, session_arn, clock_wall_ms(&world->clock) + duration_s * 1000);
    buffer_init(&result, 0);
    sts_write_credential(&result, credential, session);
    sts_reply(world, request, action, result.data);
    buffer_finish(&result);
}

static void sts_assume_with_web_identity(struct world *world, struct aws_request *request) {
    const char *token = sts_parameter(request, "WebIdentityToken");
    const char *expected = world->options->web_identity_token;
    if (token[0] == '\0' || (expected != NULL && !text_equal(token, expected))) {
        sts_refuse(world, request, 400, "InvalidIdentityToken", "%s",
                   "The web identity token that was passed could not be validated");
        return;
    }
    sts_assume(world, request, "AssumeRoleWithWebIdentity");
}

static void sts_get_caller(struct world *world, struct aws_request *request) {
    struct buffer result;
    const char *account = strstr(request->caller_arn, "::");
    buffer_init(&result, 0);
    xml_write_element(&result, "Arn", request->caller_arn);
    buffer_append_text(&result, "<UserId>AIDAWORLDWORLDWORLD12</UserId><Account>");
    buffer_append_format(&result, "%.12s</Account>", account != NULL ? account + 2 : "");
    sts_reply(world, request, "GetCallerIdentity", result.data);
    buffer_finish(&result);
}

void sts_execute(struct world *world, struct aws_request *request) {
    const char *action = sts_parameter(request, "Action");
    if (!text_equal(sts_parameter(request, "Version"), STS_VERSION)) {
        sts_refuse(world, request, 400, "InvalidAction", "%s",
                   "Could not find the operation for this version");
    } else if (text_equal(action, "AssumeRole")) {
        sts_assume(world, request, "AssumeRole");
    } else if (text_equal(action, "AssumeRoleWithWebIdentity")) {
        sts_assume_with_web_identity(world, request);
    } else if (text_equal(action, "GetCallerIdentity")) {
        sts_get_caller(world, request);
    } else {
        char name[64];
        (void)snprintf(name, sizeof(name), "%s", action);
        sts_refuse(world, request, 400, "InvalidAction",
                   "Could not find operation %s for version " STS_VERSION, name);
    }
}
