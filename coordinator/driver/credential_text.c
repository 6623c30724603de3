/* Credentials in replies: JSON of the local services, XML of STS. */
#include <jansson.h>
#include <string.h>

#include "aws_text.h"
#include "base/text.h"
#include "credential.h"
#include "xml_document.h"

static enum error_code fill(const char *access_key_id, const char *secret, const char *token,
                            const char *expiration, struct credential *ret_credential,
                            struct error *error) {
    struct credential credential = {.expires = expiration != NULL};
    enum error_code code = ERROR_OK;
    if (access_key_id == NULL || access_key_id[0] == '\0' || secret == NULL || secret[0] == '\0') {
        code = error_set(error, ERROR_PROTOCOL, "a reply without credentials");
    } else if (!TEXT_COPY(credential.keys.access_key_id, access_key_id) ||
               !TEXT_COPY(credential.keys.secret_access_key, secret) ||
               !TEXT_COPY(credential.keys.session_token, token == NULL ? "" : token)) {
        code = error_set(error, ERROR_LIMIT, "credentials that are too long");
    } else if (expiration != NULL && !aws_parse_time(expiration, &credential.expires_wall_ms)) {
        code = error_set(error, ERROR_PROTOCOL, "credentials with an expiry that is no time");
    }
    /* A newline in one of them would be a header of its own. */
    if (code == ERROR_OK && (strpbrk(credential.keys.access_key_id, "\r\n\t ") != NULL ||
                             strpbrk(credential.keys.secret_access_key, "\r\n\t ") != NULL ||
                             strpbrk(credential.keys.session_token, "\r\n\t ") != NULL)) {
        code = error_set(error, ERROR_PROTOCOL, "credentials with white space in them");
    }
    if (code == ERROR_OK) {
        *ret_credential = credential;
    }
    explicit_bzero(&credential, sizeof credential);
    return code;
}

enum error_code credential_read_json(const char *body, size_t size_bytes,
                                     struct credential *ret_credential, struct error *error) {
    json_error_t where;
    json_t *root = json_loadb(body, size_bytes, JSON_REJECT_DUPLICATES, &where);
    if (!json_is_object(root)) {
        json_decref(root);
        return error_set(error, ERROR_PROTOCOL, "a reply that is no JSON object");
    }
    const char *status = json_string_value(json_object_get(root, "Code"));
    enum error_code code;
    if (status != NULL && strcmp(status, "Success") != 0) {
        code = error_set(error, ERROR_UNAVAILABLE, "the service says '%.64s'", status);
    } else {
        code = fill(json_string_value(json_object_get(root, "AccessKeyId")),
                    json_string_value(json_object_get(root, "SecretAccessKey")),
                    json_string_value(json_object_get(root, "Token")),
                    json_string_value(json_object_get(root, "Expiration")), ret_credential, error);
    }
    json_decref(root);
    return code;
}

enum error_code credential_read_sts(const char *body, size_t size_bytes,
                                    struct credential *ret_credential, struct error *error) {
    struct xml_document document;
    enum error_code code = xml_parse(body, size_bytes, &document, error);
    if (code != ERROR_OK) {
        return code;
    }
    const struct xml_node *root = xml_root(&document);
    const struct xml_node *result = xml_child(&document, root, "AssumeRoleResult");
    if (result == NULL) {
        result = xml_child(&document, root, "AssumeRoleWithWebIdentityResult");
    }
    const struct xml_node *found = xml_child(&document, result, "Credentials");
    code = fill(xml_child_text(&document, found, "AccessKeyId"),
                xml_child_text(&document, found, "SecretAccessKey"),
                xml_child_text(&document, found, "SessionToken"),
                xml_child_text(&document, found, "Expiration"), ret_credential, error);
    explicit_bzero(document.arena.data, document.arena.size_bytes);
    xml_finish(&document);
    return code;
}
