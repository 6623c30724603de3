#include "pki_private.h"

#include <string.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

enum { SERIAL_BYTES = 16, DAY_S = 24 * 60 * 60, BACKDATE_S = 300 };

const char *pki_reason(void) {
    unsigned long failure = ERR_peek_last_error();
    const char *text = failure != 0 ? ERR_reason_error_string(failure) : NULL;
    ERR_clear_error();
    return text != NULL ? text : "OpenSSL failed";
}

EVP_PKEY *pki_make_key(void) {
    return EVP_EC_gen("P-256");
}

/* 127 random bits: nobody can guess the next one, and no counter has to be kept (RFC 5280, 4.1.2.2:
 * positive, at most 20 bytes). */
static bool set_serial(X509 *certificate) {
    unsigned char bytes[SERIAL_BYTES];
    if (RAND_bytes(bytes, sizeof bytes) != 1) {
        return false;
    }
    bytes[0] = (unsigned char)((bytes[0] & 0x7f) | 0x40);
    BIGNUM *number = BN_bin2bn(bytes, sizeof bytes, NULL);
    bool set =
        number != NULL && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != NULL;
    BN_free(number);
    return set;
}

static bool set_name(X509 *certificate, const struct pki_subject *subject) {
    X509_NAME *name = X509_get_subject_name(certificate);
    return X509_NAME_add_entry_by_txt(name, "O", MBSTRING_UTF8,
                                      (const unsigned char *)subject->organization, -1, -1,
                                      0) == 1 &&
           X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                      (const unsigned char *)subject->name, -1, -1, 0) == 1;
}

static bool add_extension(X509 *certificate, X509 *issuer, int nid, const char *value) {
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    bool added = extension != NULL && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return added;
}

static bool add_extensions(X509 *certificate, X509 *issuer, const struct pki_subject *subject) {
    if (!add_extension(certificate, issuer, NID_subject_key_identifier, "hash")) {
        return false;
    }
    if (issuer == certificate) {
        return add_extension(certificate, issuer, NID_basic_constraints,
                             "critical,CA:TRUE,pathlen:0") &&
               add_extension(certificate, issuer, NID_key_usage, "critical,keyCertSign,cRLSign");
    }
    return add_extension(certificate, issuer, NID_authority_key_identifier, "keyid") &&
           add_extension(certificate, issuer, NID_basic_constraints, "critical,CA:FALSE") &&
           add_extension(certificate, issuer, NID_key_usage, "critical,digitalSignature") &&
           add_extension(certificate, issuer, NID_ext_key_usage, subject->usage) &&
           add_extension(certificate, issuer, NID_subject_alt_name, subject->alternatives);
}

X509 *pki_make_certificate(const struct pki_subject *subject, EVP_PKEY *key,
                           const struct pki_authority *authority, int64_t from_s, unsigned days) {
    X509 *certificate = X509_new();
    if (certificate == NULL) {
        return NULL;
    }
    X509 *issuer = authority != NULL ? authority->certificate : certificate;
    EVP_PKEY *signer = authority != NULL ? authority->key : key;
    int64_t until_s = from_s + (int64_t)days * DAY_S;
    /* A little in the past: the clock of the machine that gets it may be behind ours. */
    bool made =
        X509_set_version(certificate, X509_VERSION_3) == 1 && set_serial(certificate) &&
        ASN1_TIME_set(X509_getm_notBefore(certificate), (time_t)(from_s - BACKDATE_S)) != NULL &&
        ASN1_TIME_set(X509_getm_notAfter(certificate), (time_t)until_s) != NULL &&
        set_name(certificate, subject) &&
        X509_set_issuer_name(certificate, X509_get_subject_name(issuer)) == 1 &&
        X509_set_pubkey(certificate, key) == 1 && add_extensions(certificate, issuer, subject) &&
        X509_sign(certificate, signer, EVP_sha256()) > 0;
    if (!made) {
        X509_free(certificate);
        return NULL;
    }
    return certificate;
}

bool pki_crl_has(X509_CRL *crl, const ASN1_INTEGER *serial) {
    X509_REVOKED *found = NULL;
    return X509_CRL_get0_by_serial(crl, &found, serial) == 1;
}

static bool add_revoked(X509_CRL *crl, const ASN1_INTEGER *serial, const ASN1_TIME *at) {
    X509_REVOKED *entry = X509_REVOKED_new();
    if (entry == NULL || X509_REVOKED_set_serialNumber(entry, (ASN1_INTEGER *)serial) != 1 ||
        X509_REVOKED_set_revocationDate(entry, (ASN1_TIME *)at) != 1 ||
        X509_CRL_add0_revoked(crl, entry) != 1) {
        X509_REVOKED_free(entry);
        return false;
    }
    return true;
}

static bool copy_entries(X509_CRL *crl, const X509_CRL *old) {
    STACK_OF(X509_REVOKED) *entries = X509_CRL_get_REVOKED((X509_CRL *)old);
    for (int i = 0; i < sk_X509_REVOKED_num(entries); i++) {
        const X509_REVOKED *entry = sk_X509_REVOKED_value(entries, i);
        if (!add_revoked(crl, X509_REVOKED_get0_serialNumber(entry),
                         X509_REVOKED_get0_revocationDate(entry))) {
            return false;
        }
    }
    return true;
}

/* One higher than the old list's: a reader can tell which is newer. */
static bool set_number(X509_CRL *crl, const X509_CRL *old) {
    ASN1_INTEGER *before =
        old != NULL ? X509_CRL_get_ext_d2i(old, NID_crl_number, NULL, NULL) : NULL;
    int64_t number = 0;
    if (before != NULL && (ASN1_INTEGER_get_int64(&number, before) != 1 || number < 0)) {
        ASN1_INTEGER_free(before);
        return false;
    }
    ASN1_INTEGER_free(before);
    ASN1_INTEGER *next = ASN1_INTEGER_new();
    bool set = next != NULL && ASN1_INTEGER_set_int64(next, number + 1) == 1 &&
               X509_CRL_add1_ext_i2d(crl, NID_crl_number, next, 0, X509V3_ADD_DEFAULT) == 1;
    ASN1_INTEGER_free(next);
    return set;
}

X509_CRL *pki_make_crl(const struct pki_authority *authority, const X509_CRL *old,
                       const ASN1_INTEGER *revoked, int64_t from_s, int64_t until_s) {
    X509_CRL *crl = X509_CRL_new();
    ASN1_TIME *from = ASN1_TIME_set(NULL, (time_t)(from_s - BACKDATE_S));
    ASN1_TIME *until = ASN1_TIME_set(NULL, (time_t)until_s);
    bool made = crl != NULL && from != NULL && until != NULL &&
                X509_CRL_set_version(crl, X509_CRL_VERSION_2) == 1 &&
                X509_CRL_set_issuer_name(crl, X509_get_subject_name(authority->certificate)) == 1 &&
                X509_CRL_set1_lastUpdate(crl, from) == 1 &&
                X509_CRL_set1_nextUpdate(crl, until) == 1 &&
                (old == NULL || copy_entries(crl, old)) &&
                (revoked == NULL || add_revoked(crl, revoked, from)) && set_number(crl, old) &&
                X509_CRL_sort(crl) == 1 && X509_CRL_sign(crl, authority->key, EVP_sha256()) > 0;
    ASN1_TIME_free(from);
    ASN1_TIME_free(until);
    if (!made) {
        X509_CRL_free(crl);
        return NULL;
    }
    return crl;
}

int64_t pki_end_s(const X509 *certificate) {
    struct tm parts;
    return ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &parts) == 1 ? (int64_t)timegm(&parts)
                                                                         : 0;
}

bool pki_read_organization(const X509 *certificate, char *to, size_t to_size) {
    X509_NAME *name = X509_get_subject_name(certificate);
    int at = X509_NAME_get_index_by_NID(name, NID_organizationName, -1);
    const X509_NAME_ENTRY *entry = at >= 0 ? X509_NAME_get_entry(name, at) : NULL;
    const ASN1_STRING *value = entry != NULL ? X509_NAME_ENTRY_get_data(entry) : NULL;
    size_t length = value != NULL ? (size_t)ASN1_STRING_length(value) : 0;
    if (length == 0 || length >= to_size) {
        return false;
    }
    memcpy(to, ASN1_STRING_get0_data(value), length);
    to[length] = '\0';
    return strlen(to) == length;
}
