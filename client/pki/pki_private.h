/* The inside of pki: files that are replaced whole or not at all, and X.509 building. */
#ifndef PKI_PRIVATE_H
#define PKI_PRIVATE_H

#include <limits.h>
#include <stdint.h>
#include <sys/types.h>

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "pki/pki.h"

enum { PKI_URI_SIZE = 640 };

/* --- pki_files.c --- */

enum error_code pki_path(const char *directory, const char *name, char ret_path[PATH_MAX],
                         struct error *error);
enum error_code pki_make_directory(const char *directory, struct error *error);
/* ERROR_EXISTS when the file is there. */
enum error_code pki_check_absent(const char *directory, const char *name, struct error *error);
/* Durable before it is visible; never a half file under its name. */
enum error_code pki_write_file(const char *directory, const char *name, mode_t mode,
                               const void *bytes, size_t size_bytes, struct error *error);
enum error_code pki_append_line(const char *directory, const char *name, const char *line,
                                struct error *error);
enum error_code pki_write_certificate(const char *directory, const char *name, X509 *certificate,
                                      struct error *error);
enum error_code pki_write_key(const char *directory, const char *name, EVP_PKEY *key,
                              struct error *error);
enum error_code pki_write_crl(const char *directory, X509_CRL *crl, struct error *error);
enum error_code pki_read_certificate(const char *path, X509 **ret_certificate, struct error *error);
enum error_code pki_read_key(const char *path, EVP_PKEY **ret_key, struct error *error);
/* *ret_crl is NULL, without an error, where there is no file. */
enum error_code pki_read_crl(const char *path, X509_CRL **ret_crl, struct error *error);

/* --- pki_x509.c --- */

struct pki_authority {
    X509 *certificate;
    EVP_PKEY *key;
};

/* What a new certificate says. */
struct pki_subject {
    const char *organization; /* the cluster */
    const char *name;         /* commonName */
    const char *alternatives; /* subjectAltName in OpenSSL's words; NULL for the CA */
    const char *usage;        /* extendedKeyUsage; NULL for the CA */
};

EVP_PKEY *pki_make_key(void);
/* A new certificate for `key`. `authority` NULL: signed by itself, a CA. NULL: OpenSSL failed. */
X509 *pki_make_certificate(const struct pki_subject *subject, EVP_PKEY *key,
                           const struct pki_authority *authority, int64_t from_s, unsigned days);
/* A new list with the entries of `old` (may be NULL) and `revoked` (may be NULL). */
X509_CRL *pki_make_crl(const struct pki_authority *authority, const X509_CRL *old,
                       const ASN1_INTEGER *revoked, int64_t from_s, int64_t until_s);
bool pki_crl_has(X509_CRL *crl, const ASN1_INTEGER *serial);
int64_t pki_end_s(const X509 *certificate);
/* The cluster in the CA's subject. */
bool pki_read_organization(const X509 *certificate, char *to, size_t to_size);
/* The last error of OpenSSL in words; empties its queue. */
const char *pki_reason(void);

#endif
