#include "pki/pki.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

#include "base/buffer.h"
#include "base/text.h"
#include "pki_private.h"

enum {
    NAME_MAX_BYTES = 63,
    OWNERS_MAX_BYTES = 255,
    DNS_NAME_MAX_BYTES = 253,
    ALTERNATIVES_MAX_BYTES = 8192
};

/* What is to be issued, and where to. */
struct issue {
    const char *file; /* "node" or "user" */
    const char *usage;
    const char *out_directory;
    const char *name;
    char uri[PKI_URI_SIZE];
    struct buffer alternatives;
    unsigned days;
};

static int64_t now_s(const struct pki *pki) {
    return (int64_t)(clock_wall_ms(pki->clock) / 1000);
}

static void authority_close(struct pki_authority *authority) {
    X509_free(authority->certificate);
    EVP_PKEY_free(authority->key);
}

static enum error_code authority_open(const struct pki *pki, struct pki_authority *ret_authority,
                                      struct error *error) {
    char path[PATH_MAX];
    struct pki_authority authority = {NULL, NULL};
    enum error_code code = pki_path(pki->directory, "ca.pem", path, error);
    if (code == ERROR_OK) {
        code = pki_read_certificate(path, &authority.certificate, error);
    }
    if (code == ERROR_NOT_FOUND) {
        return error_set(error, code, "no CA in %s: make one with 'noctuactl pki init'",
                         pki->directory);
    }
    if (code == ERROR_OK) {
        code = pki_path(pki->directory, "ca.key", path, error);
    }
    if (code == ERROR_OK) {
        code = pki_read_key(path, &authority.key, error);
    }
    if (code == ERROR_OK && X509_check_private_key(authority.certificate, authority.key) != 1) {
        code = error_set(error, ERROR_INVALID, "%s doesn't belong to ca.pem", path);
    }
    if (code != ERROR_OK) {
        authority_close(&authority);
        return code;
    }
    *ret_authority = authority;
    return ERROR_OK;
}

static enum error_code check_days(unsigned days, struct error *error) {
    if (days == 0 || days > PKI_DAYS_MAX) {
        return error_set(error, ERROR_INVALID, "days must be 1 to %d", PKI_DAYS_MAX);
    }
    return ERROR_OK;
}

static enum error_code check_name(const char *what, const char *name, struct error *error) {
    if (name == NULL || !text_is_name(name, NAME_MAX_BYTES)) {
        return error_set(error, ERROR_INVALID,
                         "%s '%s' must be 1 to %d characters a-z, 0-9, '-', '_', '.', and begin "
                         "and end with a letter or digit",
                         what, name != NULL ? name : "", NAME_MAX_BYTES);
    }
    return ERROR_OK;
}

/* --- the CA --- */

static enum error_code write_new_crl(const struct pki *pki, const struct pki_authority *authority,
                                     const X509_CRL *old, const ASN1_INTEGER *revoked,
                                     int64_t until_s, struct error *error) {
    X509_CRL *crl = pki_make_crl(authority, old, revoked, now_s(pki), until_s);
    if (crl == NULL) {
        return error_set(error, ERROR_INTERNAL, "can't make crl.pem: %s", pki_reason());
    }
    enum error_code code = pki_write_crl(pki->directory, crl, error);
    X509_CRL_free(crl);
    return code;
}

enum error_code pki_init(const struct pki *pki, unsigned days, struct error *error) {
    struct pki_authority authority = {NULL, NULL};
    enum error_code code = check_name("cluster", pki->cluster, error);
    code = code != ERROR_OK ? code : check_days(days, error);
    code = code != ERROR_OK ? code : pki_make_directory(pki->directory, error);
    static const char *const files[] = {"ca.pem", "ca.key", "crl.pem"};
    for (size_t i = 0; i < ARRAY_LENGTH(files) && !pki->overwrite && code == ERROR_OK; i++) {
        code = pki_check_absent(pki->directory, files[i], error);
    }
    if (code != ERROR_OK) {
        return code;
    }
    const struct pki_subject subject = {.organization = pki->cluster, .name = "Noctua CA"};
    authority.key = pki_make_key();
    if (authority.key != NULL) {
        authority.certificate =
            pki_make_certificate(&subject, authority.key, NULL, now_s(pki), days);
    }
    if (authority.certificate == NULL) {
        code = error_set(error, ERROR_INTERNAL, "can't make a CA: %s", pki_reason());
    }
    code = code != ERROR_OK ? code : pki_write_key(pki->directory, "ca.key", authority.key, error);
    code = code != ERROR_OK ? code
                            : write_new_crl(pki, &authority, NULL, NULL,
                                            pki_end_s(authority.certificate), error);
    /* Last: where ca.pem is, the rest is, too. */
    code = code != ERROR_OK
               ? code
               : pki_write_certificate(pki->directory, "ca.pem", authority.certificate, error);
    authority_close(&authority);
    return code;
}

/* --- certificates --- */

static enum error_code read_cluster(const struct pki *pki, const struct pki_authority *authority,
                                    char ret_cluster[NAME_MAX_BYTES + 1], struct error *error) {
    if (pki->cluster != NULL) {
        enum error_code code = check_name("cluster", pki->cluster, error);
        if (code == ERROR_OK) {
            text_copy(ret_cluster, NAME_MAX_BYTES + 1, pki->cluster);
        }
        return code;
    }
    if (!pki_read_organization(authority->certificate, ret_cluster, NAME_MAX_BYTES + 1) ||
        !text_is_name(ret_cluster, NAME_MAX_BYTES)) {
        return error_set(error, ERROR_INVALID,
                         "the CA in %s doesn't name a cluster: give one by --cluster",
                         pki->directory);
    }
    return ERROR_OK;
}

static enum error_code check_out_files(const struct pki *pki, const struct issue *issue,
                                       struct error *error) {
    char name[16];
    static const char *const endings[] = {"pem", "key"};
    for (size_t i = 0; i < ARRAY_LENGTH(endings); i++) {
        (void)snprintf(name, sizeof name, "%s.%s", issue->file, endings[i]);
        enum error_code code =
            pki->overwrite ? ERROR_OK : pki_check_absent(issue->out_directory, name, error);
        if (code != ERROR_OK) {
            return code;
        }
    }
    return ERROR_OK;
}

/* ca.pem and crl.pem of the CA beside the new certificate. */
static enum error_code write_trust(const struct pki *pki, const struct pki_authority *authority,
                                   const char *out_directory, struct error *error) {
    char path[PATH_MAX];
    X509_CRL *crl = NULL;
    X509 *there = NULL;
    enum error_code code = pki_path(out_directory, "ca.pem", path, error);
    code = code != ERROR_OK ? code : pki_read_certificate(path, &there, error);
    if (code == ERROR_OK && !pki->overwrite && X509_cmp(there, authority->certificate) != 0) {
        code = error_set(error, ERROR_EXISTS,
                         "%s is another CA's; it is not replaced without --force", path);
    } else if (code == ERROR_OK || code == ERROR_NOT_FOUND) {
        code = pki_write_certificate(out_directory, "ca.pem", authority->certificate, error);
    }
    X509_free(there);
    code = code != ERROR_OK ? code : pki_path(pki->directory, "crl.pem", path, error);
    code = code != ERROR_OK ? code : pki_read_crl(path, &crl, error);
    if (code == ERROR_OK && crl != NULL) {
        code = pki_write_crl(out_directory, crl, error);
    }
    X509_CRL_free(crl);
    return code;
}

static bool format_serial(const ASN1_INTEGER *serial, char to[PKI_SERIAL_SIZE]) {
    BIGNUM *number = ASN1_INTEGER_to_BN(serial, NULL);
    char *text = number != NULL ? BN_bn2hex(number) : NULL;
    bool fits = text != NULL && text_copy(to, PKI_SERIAL_SIZE, text);
    for (char *at = to; fits && *at != '\0'; at++) {
        *at = (char)(*at >= 'A' && *at <= 'F' ? *at - 'A' + 'a' : *at);
    }
    OPENSSL_free(text);
    BN_free(number);
    return fits;
}

static enum error_code write_issued(const struct pki *pki, const struct pki_authority *authority,
                                    const struct issue *issue, X509 *certificate, EVP_PKEY *key,
                                    char serial[PKI_SERIAL_SIZE], struct error *error) {
    char pem_name[16];
    char key_name[16];
    char until[CLOCK_TEXT_SIZE];
    char line[PKI_SERIAL_SIZE + CLOCK_TEXT_SIZE + PKI_URI_SIZE + 4];
    if (!format_serial(X509_get0_serialNumber(certificate), serial)) {
        return error_set(error, ERROR_INTERNAL, "can't write a serial number");
    }
    clock_format_utc((uint64_t)pki_end_s(certificate) * 1000, until);
    (void)snprintf(line, sizeof line, "%s %s %s\n", serial, until, issue->uri);
    (void)snprintf(pem_name, sizeof pem_name, "%s.pem", issue->file);
    (void)snprintf(key_name, sizeof key_name, "%s.key", issue->file);
    /* On the list before it exists: no certificate that can't be found to be revoked. */
    enum error_code code = pki_append_line(pki->directory, "issued", line, error);
    code = code != ERROR_OK ? code : write_trust(pki, authority, issue->out_directory, error);
    code = code != ERROR_OK ? code : pki_write_key(issue->out_directory, key_name, key, error);
    return code != ERROR_OK
               ? code
               : pki_write_certificate(issue->out_directory, pem_name, certificate, error);
}

/* Everything but the kind of name is the same for nodes and users. Finishes issue->alternatives. */
static enum error_code issue_certificate(const struct pki *pki,
                                         const struct pki_authority *authority, const char *cluster,
                                         struct issue *issue, char *ret_serial,
                                         struct error *error) {
    char serial[PKI_SERIAL_SIZE];
    EVP_PKEY *key = NULL;
    X509 *certificate = NULL;
    enum error_code code = check_days(issue->days, error);
    if (code == ERROR_OK &&
        now_s(pki) + (int64_t)issue->days * 24 * 60 * 60 > pki_end_s(authority->certificate)) {
        code = error_set(error, ERROR_INVALID,
                         "the CA ends sooner than in %u days; a certificate can't outlive it",
                         issue->days);
    }
    code = code != ERROR_OK ? code : pki_make_directory(issue->out_directory, error);
    code = code != ERROR_OK ? code : check_out_files(pki, issue, error);
    if (code != ERROR_OK) {
        goto cleanup;
    }
    assert(!issue->alternatives.failed);
    const struct pki_subject subject = {.organization = cluster,
                                        .name = issue->name,
                                        .alternatives = issue->alternatives.data,
                                        .usage = issue->usage};
    key = pki_make_key();
    if (key != NULL) {
        certificate = pki_make_certificate(&subject, key, authority, now_s(pki), issue->days);
    }
    if (certificate == NULL) {
        code = error_set(error, ERROR_INTERNAL, "can't make a certificate: %s", pki_reason());
        goto cleanup;
    }
    code = write_issued(pki, authority, issue, certificate, key, serial, error);
    if (code == ERROR_OK && ret_serial != NULL) {
        memcpy(ret_serial, serial, sizeof serial);
    }
cleanup:
    X509_free(certificate);
    EVP_PKEY_free(key);
    buffer_finish(&issue->alternatives);
    return code;
}

/* The text goes into OpenSSL's little language, so it may hold nothing but what names are made of.
 */
static bool is_dns_name(const char *name) {
    size_t length = strlen(name);
    size_t plain =
        strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.*");
    return length > 0 && length <= DNS_NAME_MAX_BYTES && plain == length && name[0] != '.';
}

static enum error_code add_alternative(struct buffer *to, const char *name, struct error *error) {
    unsigned char address[sizeof(struct in6_addr)];
    if (inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1) {
        buffer_append_format(to, ",IP:%s", name);
    } else if (is_dns_name(name)) {
        buffer_append_format(to, ",DNS:%s", name);
    } else {
        return error_set(error, ERROR_INVALID, "'%s' is neither a DNS name nor an address", name);
    }
    return ERROR_OK;
}

enum error_code pki_issue_node(const struct pki *pki, const char *id, const char *const *names,
                               size_t name_count, unsigned days, const char *out_directory,
                               char ret_serial[PKI_SERIAL_SIZE], struct error *error) {
    struct pki_authority authority = {NULL, NULL};
    char cluster[NAME_MAX_BYTES + 1];
    enum error_code code = check_name("node", id, error);
    if (code == ERROR_OK && name_count > PKI_NAMES_MAX) {
        code = error_set(error, ERROR_LIMIT, "more than %d names", PKI_NAMES_MAX);
    }
    code = code != ERROR_OK ? code : authority_open(pki, &authority, error);
    if (code != ERROR_OK) {
        return code;
    }
    struct issue issue = {.file = "node",
                          .usage = "serverAuth,clientAuth",
                          .out_directory = out_directory,
                          .name = id,
                          .days = days};
    buffer_init(&issue.alternatives, ALTERNATIVES_MAX_BYTES);
    code = read_cluster(pki, &authority, cluster, error);
    if (code == ERROR_OK) {
        (void)snprintf(issue.uri, sizeof issue.uri, "noctua://%s/node/%s", cluster, id);
        buffer_append_format(&issue.alternatives, "URI:%s", issue.uri);
    }
    for (size_t i = 0; i < name_count && code == ERROR_OK; i++) {
        code = add_alternative(&issue.alternatives, names[i], error);
    }
    if (code == ERROR_OK) {
        code = issue_certificate(pki, &authority, cluster, &issue, ret_serial, error);
    }
    buffer_finish(&issue.alternatives);
    authority_close(&authority);
    return code;
}

static enum error_code check_owners(const char *role, const char *const *owners, size_t count,
                                    struct error *error) {
    size_t size = 0;
    if (count > 0 && !text_equal(role, "operator")) {
        return error_set(error, ERROR_INVALID,
                         "owners are for the role operator: a viewer changes nothing, an admin may "
                         "act on every service");
    }
    for (size_t i = 0; i < count; i++) {
        if (!text_is_name(owners[i], NAME_MAX_BYTES)) {
            return error_set(error, ERROR_INVALID,
                             "'%.64s' is no owner's name: a-z, 0-9 and inside - _ .", owners[i]);
        }
        size += strlen(owners[i]) + 1;
    }
    return size > OWNERS_MAX_BYTES
               ? error_set(error, ERROR_LIMIT, "the owners are longer than %d bytes together",
                           OWNERS_MAX_BYTES)
               : ERROR_OK;
}

static void format_user_uri(char *uri, size_t size, const char *cluster, const char *name,
                            const char *role, const char *const *owners, size_t count) {
    int used = snprintf(uri, size, "noctua://%s/user/%s?role=%s", cluster, name, role);
    for (size_t i = 0; i < count && used > 0 && (size_t)used < size; i++) {
        used += snprintf(uri + used, size - (size_t)used, "&owner=%s", owners[i]);
    }
}

enum error_code pki_issue_user(const struct pki *pki, const char *name, const char *role,
                               const char *const *owners, size_t owner_count, unsigned days,
                               const char *out_directory, char ret_serial[PKI_SERIAL_SIZE],
                               struct error *error) {
    struct pki_authority authority = {NULL, NULL};
    char cluster[NAME_MAX_BYTES + 1];
    enum error_code code = check_name("user", name, error);
    if (code == ERROR_OK && !text_equal(role, "viewer") && !text_equal(role, "operator") &&
        !text_equal(role, "admin")) {
        code = error_set(error, ERROR_INVALID, "role '%s' must be viewer, operator or admin", role);
    }
    code = code != ERROR_OK ? code : check_owners(role, owners, owner_count, error);
    code = code != ERROR_OK ? code : authority_open(pki, &authority, error);
    if (code != ERROR_OK) {
        return code;
    }
    /* clientAuth alone: a person's certificate can't serve as a node's. */
    struct issue issue = {.file = "user",
                          .usage = "clientAuth",
                          .out_directory = out_directory,
                          .name = name,
                          .days = days};
    buffer_init(&issue.alternatives, ALTERNATIVES_MAX_BYTES);
    code = read_cluster(pki, &authority, cluster, error);
    if (code == ERROR_OK) {
        format_user_uri(issue.uri, sizeof issue.uri, cluster, name, role, owners, owner_count);
        buffer_append_format(&issue.alternatives, "URI:%s", issue.uri);
        code = issue_certificate(pki, &authority, cluster, &issue, ret_serial, error);
    }
    buffer_finish(&issue.alternatives);
    authority_close(&authority);
    return code;
}

/* --- revocation --- */

static ASN1_INTEGER *parse_serial(const char *hex) {
    size_t length = strlen(hex);
    BIGNUM *number = NULL;
    ASN1_INTEGER *serial = NULL;
    if (length > 0 && length < PKI_SERIAL_SIZE && strspn(hex, "0123456789abcdefABCDEF") == length &&
        BN_hex2bn(&number, hex) > 0) {
        serial = BN_to_ASN1_INTEGER(number, NULL);
    }
    BN_free(number);
    return serial;
}

/* `what`: a file where there is one of that name, else a serial number. */
static enum error_code read_serial(const struct pki_authority *authority, const char *what,
                                   ASN1_INTEGER **ret_serial, struct error *error) {
    X509 *certificate = NULL;
    enum error_code code = pki_read_certificate(what, &certificate, error);
    if (code == ERROR_OK && X509_verify(certificate, authority->key) != 1) {
        code = error_set(error, ERROR_INVALID, "%s was not signed by this CA", what);
        ERR_clear_error();
    } else if (code == ERROR_OK) {
        *ret_serial = ASN1_INTEGER_dup(X509_get0_serialNumber(certificate));
    } else if (code == ERROR_NOT_FOUND) {
        *ret_serial = parse_serial(what);
        code = *ret_serial != NULL ? ERROR_OK
                                   : error_set(error, ERROR_INVALID,
                                               "'%s' is neither a file nor a serial number", what);
    }
    X509_free(certificate);
    return code;
}

/* `what` NULL: only a new list. `days` 0: as long as the CA. */
static enum error_code renew_crl(const struct pki *pki, const char *what, unsigned days,
                                 struct error *error) {
    struct pki_authority authority = {NULL, NULL};
    char path[PATH_MAX];
    X509_CRL *old = NULL;
    ASN1_INTEGER *serial = NULL;
    enum error_code code = authority_open(pki, &authority, error);
    if (code != ERROR_OK) {
        return code;
    }
    code = pki_path(pki->directory, "crl.pem", path, error);
    code = code != ERROR_OK ? code : pki_read_crl(path, &old, error);
    if (code == ERROR_OK && old != NULL && X509_CRL_verify(old, authority.key) != 1) {
        code = error_set(error, ERROR_INVALID, "%s was not signed by this CA", path);
    }
    if (code == ERROR_OK && what != NULL) {
        code = read_serial(&authority, what, &serial, error);
    }
    if (code == ERROR_OK && serial != NULL && old != NULL && pki_crl_has(old, serial)) {
        code = error_set(error, ERROR_EXISTS, "%s is revoked already", what);
    }
    if (code == ERROR_OK) {
        int64_t until_s = days != 0 ? now_s(pki) + (int64_t)days * 24 * 60 * 60
                                    : pki_end_s(authority.certificate);
        code = write_new_crl(pki, &authority, old, serial, until_s, error);
    }
    ASN1_INTEGER_free(serial);
    X509_CRL_free(old);
    authority_close(&authority);
    return code;
}

enum error_code pki_revoke(const struct pki *pki, const char *what, struct error *error) {
    return renew_crl(pki, what, 0, error);
}

enum error_code pki_crl(const struct pki *pki, unsigned days, struct error *error) {
    if (days > PKI_DAYS_MAX) {
        return error_set(error, ERROR_INVALID, "days must be 0 to %d", PKI_DAYS_MAX);
    }
    return renew_crl(pki, NULL, days, error);
}
