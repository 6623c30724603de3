#include <stdio.h>
#include <string.h>
#include <time.h>

#include <openssl/x509v3.h>

#include "base/clock.h"
#include "base/text.h"
#include "tls_private.h"

static const char uri_scheme[] = "noctua://";

enum { URI_MAX_BYTES = 1024, SUBJECT_MAX_BYTES = 128 };

const char *tls_role_text(enum tls_role role) {
    switch (role) {
    case TLS_ROLE_VIEWER:
        return "viewer";
    case TLS_ROLE_OPERATOR:
        return "operator";
    case TLS_ROLE_ADMIN:
        return "admin";
    case TLS_ROLE_NONE:
        break;
    }
    return "none";
}

/* Moves the text before `end` out of *at and steps over it. */
static bool take_part(const char **at, const char *end, char to[TLS_NAME_SIZE]) {
    size_t length = (size_t)(end - *at);
    if (length >= TLS_NAME_SIZE) {
        return false;
    }
    memcpy(to, *at, length);
    to[length] = '\0';
    *at = end;
    return text_is_name(to, TLS_NAME_SIZE - 1);
}

bool tls_owners_include(const char *owners, const char *owner) {
    size_t wanted = strlen(owner);
    for (const char *at = owners; wanted > 0 && *at != '\0';) {
        size_t length = strcspn(at, ",");
        if (length == wanted && strncmp(at, owner, length) == 0) {
            return true;
        }
        at += length + (at[length] == ',' ? 1 : 0);
    }
    return false;
}

/* "&owner=platform&owner=web" as "platform,web". */
static bool parse_owners(const char *at, char owners[TLS_OWNERS_SIZE]) {
    size_t used = 0;
    while (*at != '\0') {
        char name[TLS_NAME_SIZE];
        if (!text_starts_with(at, "&owner=")) {
            return false;
        }
        at += strlen("&owner=");
        size_t length = strcspn(at, "&");
        if (length >= sizeof name || used + length + 2 > TLS_OWNERS_SIZE) {
            return false;
        }
        memcpy(name, at, length);
        name[length] = '\0';
        if (!text_is_name(name, sizeof name - 1)) {
            return false;
        }
        used += (size_t)snprintf(owners + used, TLS_OWNERS_SIZE - used, "%s%s", used > 0 ? "," : "",
                                 name);
        at += length;
    }
    return true;
}

/* "?role=operator&owner=platform"; only an operator has owners. */
static bool parse_role(const char *query, struct tls_peer *peer) {
    if (!text_starts_with(query, "?role=")) {
        return false;
    }
    query += strlen("?role=");
    size_t length = strcspn(query, "&");
    for (enum tls_role role = TLS_ROLE_VIEWER; role <= TLS_ROLE_ADMIN; role++) {
        const char *word = tls_role_text(role);
        if (strlen(word) == length && strncmp(query, word, length) == 0) {
            peer->role = role;
            return query[length] == '\0' ||
                   (role == TLS_ROLE_OPERATOR && parse_owners(query + length, peer->owners));
        }
    }
    return false;
}

enum error_code tls_peer_parse_uri(const char *uri, struct tls_peer *ret_peer,
                                   struct error *error) {
    struct tls_peer peer = {.role = TLS_ROLE_NONE};
    if (!text_starts_with(uri, uri_scheme) || strlen(uri) > URI_MAX_BYTES) {
        return error_set(error, ERROR_INVALID, "not a noctua:// name");
    }
    const char *at = uri + strlen(uri_scheme);
    const char *slash = strchr(at, '/');
    if (slash == NULL || !take_part(&at, slash, peer.cluster)) {
        return error_set(error, ERROR_INVALID, "'%s' has no valid cluster", uri);
    }
    if (text_starts_with(at, "/node/")) {
        peer.kind = TLS_KIND_NODE;
        at += strlen("/node/");
        if (!take_part(&at, at + strlen(at), peer.name)) {
            return error_set(error, ERROR_INVALID, "'%s' has no valid node id", uri);
        }
    } else if (text_starts_with(at, "/user/")) {
        peer.kind = TLS_KIND_USER;
        at += strlen("/user/");
        if (!take_part(&at, at + strcspn(at, "?"), peer.name)) {
            return error_set(error, ERROR_INVALID, "'%s' has no valid user name", uri);
        }
        if (!parse_role(at, &peer)) {
            return error_set(
                error, ERROR_INVALID,
                "'%s' must end in ?role=viewer, operator or admin; an operator may have "
                "&owner=NAME",
                uri);
        }
    } else {
        return error_set(error, ERROR_INVALID, "'%s' is neither a node nor a user", uri);
    }
    *ret_peer = peer;
    return ERROR_OK;
}

int64_t tls_time_ms(const ASN1_TIME *time) {
    struct tm parts;
    if (time == NULL || ASN1_TIME_to_tm(time, &parts) != 1) {
        return INT64_MAX;
    }
    return (int64_t)timegm(&parts) * 1000;
}

/* Finds the one name that is ours. Two would let the holder choose who to be. */
static enum error_code find_uri(const GENERAL_NAMES *names, char ret_uri[URI_MAX_BYTES + 1],
                                struct error *error) {
    unsigned found = 0;
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type != GEN_URI) {
            continue;
        }
        const ASN1_IA5STRING *value = name->d.uniformResourceIdentifier;
        const unsigned char *bytes = ASN1_STRING_get0_data(value);
        size_t length = (size_t)ASN1_STRING_length(value);
        if (length < strlen(uri_scheme) || memcmp(bytes, uri_scheme, strlen(uri_scheme)) != 0) {
            continue;
        }
        if (length > URI_MAX_BYTES || memchr(bytes, '\0', length) != NULL) {
            return error_set(error, ERROR_DENIED, "its noctua:// name is malformed");
        }
        memcpy(ret_uri, bytes, length);
        ret_uri[length] = '\0';
        found++;
    }
    if (found != 1) {
        return error_set(error, ERROR_DENIED, "it has %s noctua:// name in its subjectAltName",
                         found == 0 ? "no" : "more than one");
    }
    return ERROR_OK;
}

enum error_code tls_certificate_read(X509 *certificate, struct tls_peer *ret_peer,
                                     struct error *error) {
    char uri[URI_MAX_BYTES + 1];
    struct tls_peer peer = {.role = TLS_ROLE_NONE};
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    enum error_code code;
    if (names == NULL) {
        code = error_set(error, ERROR_DENIED, "it has no noctua:// name in its subjectAltName");
    } else {
        code = find_uri(names, uri, error);
    }
    GENERAL_NAMES_free(names);
    if (code == ERROR_OK && tls_peer_parse_uri(uri, &peer, error) != ERROR_OK) {
        error->code = code = ERROR_DENIED;
    }
    if (code != ERROR_OK) {
        return code;
    }
    /* UINT32_MAX without the extension: then nothing says what the key may be used for. */
    uint32_t usage = X509_get_extended_key_usage(certificate);
    uint32_t needed = peer.kind == TLS_KIND_NODE ? XKU_SSL_SERVER | XKU_SSL_CLIENT : XKU_SSL_CLIENT;
    if (usage == UINT32_MAX || (usage & needed) != needed) {
        return error_set(error, ERROR_DENIED, "its extendedKeyUsage lacks %s",
                         peer.kind == TLS_KIND_NODE ? "serverAuth or clientAuth" : "clientAuth");
    }
    peer.not_after_ms = tls_time_ms(X509_get0_notAfter(certificate));
    *ret_peer = peer;
    return ERROR_OK;
}

enum error_code tls_certificate_describe(int verify_code, X509 *certificate, struct error *error) {
    char subject[SUBJECT_MAX_BYTES] = "?";
    char until[CLOCK_TEXT_SIZE] = "?";
    if (certificate != NULL) {
        X509_NAME_oneline(X509_get_subject_name(certificate), subject, sizeof subject);
        int64_t end_ms = tls_time_ms(X509_get0_notAfter(certificate));
        clock_format_utc(end_ms < 0 ? 0 : (uint64_t)end_ms, until);
    }
    switch (verify_code) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        return error_set(error, ERROR_DENIED, "certificate %s expired at %s", subject, until);
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return error_set(error, ERROR_DENIED, "certificate %s is not valid yet (check the clocks)",
                         subject);
    case X509_V_ERR_CERT_REVOKED:
        return error_set(error, ERROR_DENIED, "certificate %s is revoked", subject);
    case X509_V_ERR_CRL_HAS_EXPIRED:
        return error_set(error, ERROR_DENIED,
                         "our revocation list crl.pem has expired: renew it with "
                         "'noctuactl pki crl' and copy it here");
    case X509_V_ERR_UNABLE_TO_GET_CRL:
        return error_set(error, ERROR_DENIED,
                         "our crl.pem has no revocation list of the CA that signed %s", subject);
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
        return error_set(error, ERROR_DENIED, "certificate %s is not signed by our CA (ca.pem)",
                         subject);
    default:
        return error_set(error, ERROR_DENIED, "certificate %s: %s", subject,
                         X509_verify_cert_error_string(verify_code));
    }
}
