#include "aws_error.h"

#include <stdio.h>
#include <string.h>

#include "aws_text.h"
#include "base/text.h"
#include "xml_document.h"

static const struct {
    const char *code;
    enum aws_error_class class;
} code_table[] = {
    {"Throttling", AWS_ERROR_THROTTLED},
    {"ThrottlingException", AWS_ERROR_THROTTLED},
    {"ThrottledException", AWS_ERROR_THROTTLED},
    {"RequestThrottled", AWS_ERROR_THROTTLED},
    {"RequestThrottledException", AWS_ERROR_THROTTLED},
    {"RequestLimitExceeded", AWS_ERROR_THROTTLED},
    {"TooManyRequestsException", AWS_ERROR_THROTTLED},
    {"BandwidthLimitExceeded", AWS_ERROR_THROTTLED},
    {"SlowDown", AWS_ERROR_THROTTLED},
    {"PriorRequestNotComplete", AWS_ERROR_BUSY},
    {"RequestExpired", AWS_ERROR_SKEWED},
    {"RequestTimeTooSkewed", AWS_ERROR_SKEWED},
    {"RequestInTheFuture", AWS_ERROR_SKEWED},
    {"ExpiredToken", AWS_ERROR_CREDENTIALS},
    {"ExpiredTokenException", AWS_ERROR_CREDENTIALS},
    {"InvalidClientTokenId", AWS_ERROR_CREDENTIALS},
    {"UnrecognizedClientException", AWS_ERROR_CREDENTIALS},
    {"InvalidToken", AWS_ERROR_CREDENTIALS},
    {"SignatureDoesNotMatch", AWS_ERROR_SIGNATURE},
    {"InvalidSignatureException", AWS_ERROR_SIGNATURE},
    {"AuthFailure", AWS_ERROR_SIGNATURE},
    {"IncompleteSignature", AWS_ERROR_DENIED},
    {"MissingAuthenticationToken", AWS_ERROR_DENIED},
    {"AccessDenied", AWS_ERROR_DENIED},
    {"AccessDeniedException", AWS_ERROR_DENIED},
    {"OptInRequired", AWS_ERROR_DENIED},
    {"NotAuthorized", AWS_ERROR_DENIED},
    {"NoSuchHostedZone", AWS_ERROR_NOT_FOUND},
    {"NoSuchChange", AWS_ERROR_NOT_FOUND},
    {"InvalidChangeBatch", AWS_ERROR_CONFLICT},
    {"InvalidInput", AWS_ERROR_INVALID},
    {"MalformedInput", AWS_ERROR_INVALID},
    {"MalformedXML", AWS_ERROR_INVALID},
    {"ValidationError", AWS_ERROR_INVALID},
    {"NoSuchHealthCheck", AWS_ERROR_INVALID},
    {"ServiceUnavailable", AWS_ERROR_SERVER},
    {"InternalFailure", AWS_ERROR_SERVER},
    {"InternalError", AWS_ERROR_SERVER},
};

/* A SignatureDoesNotMatch that is about time says so only in its words. */
static bool tells_of_time(const char *message) {
    return strstr(message, "Signature expired") != NULL ||
           strstr(message, "Signature not yet current") != NULL;
}

static enum aws_error_class classify(long status, const char *code, const char *message) {
    for (size_t i = 0; i < ARRAY_LENGTH(code_table); i++) {
        if (strcmp(code, code_table[i].code) == 0) {
            enum aws_error_class class = code_table[i].class;
            return class == AWS_ERROR_SIGNATURE && tells_of_time(message) ? AWS_ERROR_SKEWED
                                                                          : class;
        }
    }
    if (status >= 500) {
        return AWS_ERROR_SERVER;
    }
    if (status == 429) {
        return AWS_ERROR_THROTTLED;
    }
    if (code[0] == '\0' || status < 400) {
        return AWS_ERROR_STRANGE;
    }
    if (status == 401 || status == 403) {
        return AWS_ERROR_DENIED;
    }
    return status == 404 ? AWS_ERROR_NOT_FOUND : AWS_ERROR_INVALID;
}

/* Messages > Message, as InvalidChangeBatch has them. */
static void read_messages(const struct xml_document *document, const struct xml_node *parent,
                          struct aws_error *error) {
    const struct xml_node *child =
        xml_first_child(document, xml_child(document, parent, "Messages"));
    unsigned kept = 0;
    for (; child != NULL && kept < 2; child = xml_next(document, child)) {
        if (xml_is(document, child, "Message")) {
            size_t used = strlen(error->message);
            (void)snprintf(error->message + used, sizeof error->message - used, "%s%s",
                           used == 0 ? "" : "; ", xml_text(document, child));
            kept++;
        }
    }
}

static void read_document(const struct xml_document *document, struct aws_error *error) {
    const struct xml_node *root = xml_root(document);
    const struct xml_node *inner = xml_child(document, root, "Error");
    const char *code = xml_child_text(document, inner, "Code");
    const char *message = xml_child_text(document, inner, "Message");
    if (xml_is(document, root, "InvalidChangeBatch")) {
        code = "InvalidChangeBatch";
        inner = root;
        message = xml_child_text(document, root, "Message");
    }
    (void)snprintf(error->code, sizeof error->code, "%s", code == NULL ? "" : code);
    read_messages(document, inner, error);
    if (error->message[0] == '\0' && message != NULL) {
        (void)snprintf(error->message, sizeof error->message, "%s", message);
    }
}

void aws_error_read(long status, const char *body, size_t size_bytes, struct aws_error *ret_error) {
    *ret_error = (struct aws_error){.code = ""};
    struct xml_document document;
    if (size_bytes > 0 && xml_parse(body, size_bytes, &document, NULL) == ERROR_OK) {
        read_document(&document, ret_error);
        xml_finish(&document);
    }
    if (!text_is_utf8(ret_error->code, strlen(ret_error->code))) {
        ret_error->code[0] = '\0';
    }
    aws_cut_utf8(ret_error->message);
    ret_error->class = classify(status, ret_error->code, ret_error->message);
    if (ret_error->message[0] == '\0') {
        (void)snprintf(ret_error->message, sizeof ret_error->message, "HTTP status %ld", status);
    }
}

enum error_code aws_error_code(enum aws_error_class class) {
    switch (class) {
    case AWS_ERROR_THROTTLED:
    case AWS_ERROR_BUSY:
    case AWS_ERROR_SERVER:
        return ERROR_UNAVAILABLE;
    case AWS_ERROR_SKEWED:
    case AWS_ERROR_SIGNATURE:
    case AWS_ERROR_CREDENTIALS:
    case AWS_ERROR_DENIED:
        return ERROR_DENIED;
    case AWS_ERROR_NOT_FOUND:
        return ERROR_NOT_FOUND;
    case AWS_ERROR_CONFLICT:
        return ERROR_CONFLICT;
    case AWS_ERROR_INVALID:
        return ERROR_INVALID;
    case AWS_ERROR_STRANGE:
    case AWS_ERROR_CLASS_COUNT:
        break;
    }
    return ERROR_PROTOCOL;
}
