/* TLS identities: who we are, whom we believe, and who the other side proved to be.
 *
 * TLS 1.3 only and always mutual. A certificate says who its holder is by exactly one URI in its
 * subjectAltName:
 *     noctua://<cluster>/node/<id>
 *     noctua://<cluster>/user/<name>?role=viewer|operator|admin
 *     noctua://<cluster>/user/<name>?role=operator&owner=<owner>&owner=<owner>
 * and must allow clientAuth; a node's, which also accepts links, serverAuth, too. A directory holds
 * one identity: ca.pem                 whom we believe (several certificates: during a change of
 * the CA) node.pem node.key      (kind node) or user.pem user.key (kind user) crl.pem optional;
 * then a revoked certificate is refused, and an expired list refuses everybody (fail closed) and
 * says so An identity is immutable and counted: to renew, load the directory again and hand the new
 * one around; links that stand keep what they have (peers_set_identity checks them again). */
#ifndef NET_TLS_H
#define NET_TLS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

#define TLS_OWNERS_SIZE 256
#define TLS_NAME_SIZE 64 /* cluster, node id or user name, with its NUL */

struct tls_identity;

enum tls_kind { TLS_KIND_NODE, TLS_KIND_USER };

/* In the order of what they may: a greater one includes the smaller. */
enum tls_role { TLS_ROLE_NONE, TLS_ROLE_VIEWER, TLS_ROLE_OPERATOR, TLS_ROLE_ADMIN };

/* What a verified certificate says. */
struct tls_peer {
    enum tls_kind kind;
    enum tls_role role; /* TLS_ROLE_NONE for a node */
    char cluster[TLS_NAME_SIZE];
    char name[TLS_NAME_SIZE];     /* id of the node, or name of the user */
    char owners[TLS_OWNERS_SIZE]; /* "platform,web": whose services an operator may act on; "": all
                                   */
    int64_t not_after_ms;         /* wall clock */
};

/* Loads and checks the identity in `directory`: every file readable, the key private to its owner
 * and group and matching the certificate, the certificate valid now, of this kind and cluster, and
 * signed by ca.pem; crl.pem, where present, signed by it, current, and not naming us. `cluster` may
 * be NULL: then the certificate's own is taken (noctuactl). The message names the file.
 * Ignores SIGPIPE in the process, since every user of this module writes to sockets.
 * *ret_identity is the caller's: tls_identity_unref. */
enum error_code tls_identity_load(const char *directory, enum tls_kind kind, const char *cluster,
                                  struct tls_identity **ret_identity, struct error *error);
struct tls_identity *tls_identity_ref(struct tls_identity *identity);
void tls_identity_unref(struct tls_identity *identity); /* takes NULL; safe from any thread */

/* Our own certificate. Valid as long as the identity. */
const struct tls_peer *tls_identity_self(const struct tls_identity *identity);
/* Whole days until our certificate, or (if sooner) the revocation list, expires; negative: since.
 */
int64_t tls_identity_days_left(const struct tls_identity *identity, uint64_t wall_ms);

const char *tls_role_text(enum tls_role role);
/* Whether "platform,web" has it. */
bool tls_owners_include(const char *owners, const char *owner);
/* Parses the URI of a certificate (see above); every part is checked. */
enum error_code tls_peer_parse_uri(const char *uri, struct tls_peer *ret_peer, struct error *error);

#endif
