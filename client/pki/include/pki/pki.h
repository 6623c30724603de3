/* The small certificate authority behind `noctuactl pki`: one directory, EC P-256 keys, and
 * certificates in the profile that net/tls.h checks.
 *
 *     <directory>/ca.pem  ca.key (0600)  crl.pem  issued (a line a certificate: serial, end, URI)
 *
 * Files are written beside their place and renamed into it; keys are 0600 from their first byte.
 * Nothing that exists is replaced unless `overwrite`, except crl.pem and `issued`. */
#ifndef PKI_PKI_H
#define PKI_PKI_H

#include <stdbool.h>
#include <stddef.h>

#include "base/clock.h"
#include "base/error.h"

enum {
    PKI_DAYS_MAX = 36500,
    PKI_NAMES_MAX = 16,
    PKI_SERIAL_SIZE = 33, /* 16 bytes as hexadecimal digits, and NUL */
};

struct pki {
    const char *directory;
    const char *cluster;       /* NULL: the one that the CA was made for (not in pki_init) */
    const struct clock *clock; /* wall: the beginning of validity */
    bool overwrite;
};

/* Makes the directory (0700) where it isn't, the CA and an empty revocation list. */
enum error_code pki_init(const struct pki *pki, unsigned days, struct error *error);

/* Writes ca.pem, crl.pem, node.pem and node.key into out_directory (made where it isn't). `names`:
 * DNS names and numeric addresses of the node, for tools; the node's identity is its id. A
 * certificate never outlives its CA: `days` over that is ERROR_INVALID. ret_serial may be NULL. */
enum error_code pki_issue_node(const struct pki *pki, const char *id, const char *const *names,
                               size_t name_count, unsigned days, const char *out_directory,
                               char ret_serial[PKI_SERIAL_SIZE], struct error *error);

/* The same with user.pem and user.key; role: viewer, operator, admin. `owners`: of an operator who
 * may act on the services of these only. */
enum error_code pki_issue_user(const struct pki *pki, const char *name, const char *role,
                               const char *const *owners, size_t owner_count, unsigned days,
                               const char *out_directory, char ret_serial[PKI_SERIAL_SIZE],
                               struct error *error);

/* `what`: a serial number in hexadecimal, or a certificate's file. Writes crl.pem anew; it works
 * when every node has it (and has reloaded). ERROR_EXISTS: it was revoked before. */
enum error_code pki_revoke(const struct pki *pki, const char *what, struct error *error);

/* Writes crl.pem anew, with the same entries, valid for `days` (0: as long as the CA: a list that
 * a person renews by hand must not take the group down by running out). */
enum error_code pki_crl(const struct pki *pki, unsigned days, struct error *error);

#endif
