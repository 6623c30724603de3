/* What the parts of TLS share inside this module: reading a certificate, and a session whose other
 * side is checked against our profile while the handshake still runs, so that it gets an alert. */
#ifndef NET_TLS_PRIVATE_H
#define NET_TLS_PRIVATE_H

#include <openssl/ssl.h>

#include "base/error.h"
#include "net/tls.h"

/* Outcome of the check of one other side. Must outlive the handshake. */
struct tls_check {
    const char *cluster;
    struct tls_peer peer; /* valid when the handshake succeeded */
    struct error error;   /* code ERROR_OK: the certificate is not what failed */
};

/* A session for one connection; takes its own reference of what it needs of the identity. */
SSL *tls_session_create(struct tls_identity *identity, bool server, struct tls_check *check);

/* Why the last call on `ssl` failed, in words for a person; empties OpenSSL's queue of errors. */
enum error_code tls_session_describe_failure(SSL *ssl, const struct tls_check *check,
                                             struct error *error);

/* Is it a certificate that the identity believes now, of its cluster? */
enum error_code tls_identity_verify(struct tls_identity *identity, X509 *certificate,
                                    struct error *error);

const char *tls_identity_cluster(const struct tls_identity *identity);

/* Reads the profile (see net/tls.h) of a certificate whose signature was or will be checked by
 * others. */
enum error_code tls_certificate_read(X509 *certificate, struct tls_peer *ret_peer,
                                     struct error *error);

/* Sentence for a failed verification (X509_V_ERR_...) of `certificate` (may be NULL). */
enum error_code tls_certificate_describe(int verify_code, X509 *certificate, struct error *error);

/* Wall clock in ms; INT64_MAX for a time that can't be read. */
int64_t tls_time_ms(const ASN1_TIME *time);

#endif
