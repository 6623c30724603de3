#include "net/tls.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/text.h"
#include "tls_private.h"

enum {
    PEM_CERTIFICATES_MAX = 16,
    CHAIN_DEPTH_MAX = 3,
    PEER_CHAIN_MAX_BYTES = 32 * 1024,
    DAY_MS = 24 * 60 * 60 * 1000
};

struct tls_identity {
    atomic_uint references;
    SSL_CTX *context;
    X509_STORE *store; /* the context's */
    struct tls_peer self;
    int64_t crl_end_ms; /* INT64_MAX: no list */
};

/* One file of the directory while it is loaded. */
struct pem {
    char path[PATH_MAX];
    BIO *bio;
};

static void pem_close(struct pem *pem) {
    BIO_free(pem->bio);
    pem->bio = NULL;
}

static enum error_code pem_open(struct pem *pem, const char *directory, const char *name,
                                const char *ending, struct error *error) {
    int length = snprintf(pem->path, sizeof pem->path, "%s/%s.%s", directory, name, ending);
    pem->bio = NULL;
    if (length < 0 || (size_t)length >= sizeof pem->path) {
        return error_set(error, ERROR_LIMIT, "path of %s.%s is too long", name, ending);
    }
    FILE *file = fopen(pem->path, "re");
    if (file == NULL) {
        return error_set(error, errno == ENOENT ? ERROR_NOT_FOUND : ERROR_IO, "can't read %s: %s",
                         pem->path, strerror(errno));
    }
    pem->bio = BIO_new_fp(file, BIO_CLOSE);
    if (pem->bio == NULL) {
        (void)fclose(file);
        return error_set(error, ERROR_NO_MEMORY, "no memory to read %s", pem->path);
    }
    return ERROR_OK;
}

/* After the last PEM_read_bio: whether it found no further object, and not a damaged one, or no
 * memory for it, whose loss would go unseen (of a revocation list, say). */
static enum error_code pem_check_end(const struct pem *pem, struct error *error) {
    unsigned long last = ERR_peek_last_error();
    if (ERR_GET_LIB(last) == ERR_LIB_PEM && ERR_GET_REASON(last) == PEM_R_NO_START_LINE) {
        return ERROR_OK;
    }
    return error_set(error, ERROR_INVALID, "%s is damaged, or lacked memory to be read", pem->path);
}

/* Empties OpenSSL's queue of errors: want of memory makes many of them, and sentences about
 * certificates that are good. */
static enum error_code end_errors(enum error_code code, struct error *error) {
    bool lacks_memory = false;
    for (unsigned long at = ERR_get_error(); at != 0; at = ERR_get_error()) {
        lacks_memory = lacks_memory || ERR_GET_REASON(at) == ERR_R_MALLOC_FAILURE;
    }
    ERR_clear_error(); /* the words, too */
    return code != ERROR_OK && lacks_memory
               ? error_set(error, ERROR_NO_MEMORY, "no memory for TLS certificates")
               : code;
}

static void ignore_broken_pipes(void) {
    struct sigaction now;
    if (sigaction(SIGPIPE, NULL, &now) == 0 && now.sa_handler == SIG_DFL) {
        now.sa_handler = SIG_IGN;
        (void)sigaction(SIGPIPE, &now, NULL);
    }
}

static enum error_code load_ca(struct tls_identity *identity, const char *directory,
                               struct error *error) {
    struct pem pem;
    if (pem_open(&pem, directory, "ca", "pem", error) != ERROR_OK) {
        return error->code;
    }
    enum error_code code = ERROR_OK;
    unsigned count = 0;
    X509 *certificate;
    while (code == ERROR_OK && (certificate = PEM_read_bio_X509(pem.bio, NULL, NULL, NULL))) {
        if (++count > PEM_CERTIFICATES_MAX) {
            code = error_set(error, ERROR_LIMIT, "%s: more than %d certificates", pem.path,
                             PEM_CERTIFICATES_MAX);
        } else if (X509_check_ca(certificate) != 1) {
            code = error_set(error, ERROR_INVALID, "%s: certificate %u is not a CA's", pem.path,
                             count);
        } else if (X509_STORE_add_cert(identity->store, certificate) != 1) {
            code = error_set(error, ERROR_INVALID, "%s: certificate %u can't be used", pem.path,
                             count);
        }
        X509_free(certificate);
    }
    if (code == ERROR_OK) {
        code = pem_check_end(&pem, error);
    }
    if (code == ERROR_OK && count == 0) {
        code = error_set(error, ERROR_INVALID, "%s: no certificate in it", pem.path);
    }
    pem_close(&pem);
    return code;
}

/* Is the list signed by one of our CAs? Else anybody who can write the file could hide entries. */
static bool crl_is_ours(struct tls_identity *identity, X509_CRL *crl) {
    bool ours = false;
    STACK_OF(X509) *all = X509_STORE_get1_all_certs(identity->store);
    for (int i = 0; i < sk_X509_num(all); i++) {
        X509 *ca = sk_X509_value(all, i);
        ours = ours || (X509_NAME_cmp(X509_get_subject_name(ca), X509_CRL_get_issuer(crl)) == 0 &&
                        X509_CRL_verify(crl, X509_get0_pubkey(ca)) == 1);
    }
    sk_X509_pop_free(all, X509_free);
    return ours;
}

static enum error_code load_crl(struct tls_identity *identity, const char *directory,
                                struct error *error) {
    struct pem pem;
    if (pem_open(&pem, directory, "crl", "pem", error) != ERROR_OK) {
        return error->code == ERROR_NOT_FOUND ? ERROR_OK : error->code;
    }
    enum error_code code = ERROR_OK;
    unsigned count = 0;
    X509_CRL *crl;
    while (code == ERROR_OK && (crl = PEM_read_bio_X509_CRL(pem.bio, NULL, NULL, NULL))) {
        int64_t end_ms = tls_time_ms(X509_CRL_get0_nextUpdate(crl));
        if (++count > PEM_CERTIFICATES_MAX || !crl_is_ours(identity, crl)) {
            code = error_set(error, ERROR_INVALID, "%s: not signed by a CA in ca.pem", pem.path);
        } else if (X509_cmp_current_time(X509_CRL_get0_nextUpdate(crl)) < 0) {
            code = error_set(error, ERROR_INVALID,
                             "%s has expired: renew it with 'noctuactl pki crl' and copy it here",
                             pem.path);
        } else if (X509_STORE_add_crl(identity->store, crl) != 1) {
            code = error_set(error, ERROR_INVALID, "%s can't be used", pem.path);
        }
        if (end_ms < identity->crl_end_ms) {
            identity->crl_end_ms = end_ms;
        }
        X509_CRL_free(crl);
    }
    if (code == ERROR_OK) {
        code = pem_check_end(&pem, error);
    }
    if (code == ERROR_OK && count == 0) {
        code = error_set(error, ERROR_INVALID, "%s: no revocation list in it", pem.path);
    }
    if (code == ERROR_OK) {
        X509_STORE_set_flags(identity->store, X509_V_FLAG_CRL_CHECK);
    }
    pem_close(&pem);
    return code;
}

static int refuse_passphrase(char *to, int size, int writing, void *context) {
    (void)to;
    (void)size;
    (void)writing;
    (void)context;
    return -1;
}

static enum error_code load_key(struct tls_identity *identity, const char *directory,
                                const char *name, struct error *error) {
    struct pem pem;
    if (pem_open(&pem, directory, name, "key", error) != ERROR_OK) {
        return error->code;
    }
    enum error_code code = ERROR_OK;
    EVP_PKEY *key = NULL;
    struct stat status;
    if (stat(pem.path, &status) != 0 || (status.st_mode & S_IRWXO) != 0) {
        code = error_set(error, ERROR_INVALID, "%s is open to every user: chmod 600 it", pem.path);
        goto cleanup;
    }
    key = PEM_read_bio_PrivateKey(pem.bio, NULL, refuse_passphrase, NULL);
    if (key == NULL) {
        code = error_set(error, ERROR_INVALID, "%s: no private key without passphrase in it",
                         pem.path);
    } else if (X509_check_private_key(SSL_CTX_get0_certificate(identity->context), key) != 1) {
        code = error_set(error, ERROR_INVALID, "%s doesn't belong to %s.pem", pem.path, name);
    } else if (SSL_CTX_use_PrivateKey(identity->context, key) != 1) {
        code = error_set(error, ERROR_INVALID, "%s can't be used", pem.path);
    }
cleanup:
    EVP_PKEY_free(key);
    pem_close(&pem);
    return code;
}

static enum error_code verify_for(struct tls_identity *identity, X509 *certificate, int purpose,
                                  struct error *error) {
    X509_STORE_CTX *check = X509_STORE_CTX_new();
    if (check == NULL) {
        return error_set(error, ERROR_NO_MEMORY, "no memory to verify a certificate");
    }
    STACK_OF(X509) *chain = NULL;
    SSL_CTX_get0_chain_certs(identity->context, &chain);
    enum error_code code = ERROR_OK;
    if (X509_STORE_CTX_init(check, identity->store, certificate, chain) != 1 ||
        X509_STORE_CTX_set_purpose(check, purpose) != 1) {
        code = error_set(error, ERROR_INTERNAL, "OpenSSL can't verify");
    } else if (X509_verify_cert(check) != 1) {
        code = tls_certificate_describe(X509_STORE_CTX_get_error(check),
                                        X509_STORE_CTX_get_current_cert(check), error);
    }
    X509_STORE_CTX_free(check);
    return code;
}

enum error_code tls_identity_verify(struct tls_identity *identity, X509 *certificate,
                                    struct error *error) {
    struct tls_peer peer;
    enum error_code code = verify_for(identity, certificate, X509_PURPOSE_SSL_CLIENT, error);
    if (code == ERROR_OK) {
        code = tls_certificate_read(certificate, &peer, error);
    }
    if (code == ERROR_OK && peer.kind == TLS_KIND_NODE) {
        code = verify_for(identity, certificate, X509_PURPOSE_SSL_SERVER, error);
    }
    return end_errors(code, error);
}

static enum error_code load_certificate(struct tls_identity *identity, const char *directory,
                                        const char *name, struct error *error) {
    struct pem pem;
    if (pem_open(&pem, directory, name, "pem", error) != ERROR_OK) {
        return error->code;
    }
    enum error_code code = ERROR_OK;
    unsigned count = 0;
    X509 *certificate;
    while (code == ERROR_OK && (certificate = PEM_read_bio_X509(pem.bio, NULL, NULL, NULL))) {
        bool used = count == 0 ? SSL_CTX_use_certificate(identity->context, certificate) == 1
                               : SSL_CTX_add1_chain_cert(identity->context, certificate) == 1;
        if (!used || ++count > CHAIN_DEPTH_MAX) {
            code = error_set(error, ERROR_INVALID, "%s: certificate %u can't be used", pem.path,
                             count + !used);
        }
        X509_free(certificate);
    }
    if (code == ERROR_OK) {
        code = pem_check_end(&pem, error);
    }
    if (code == ERROR_OK && count == 0) {
        code = error_set(error, ERROR_INVALID, "%s: no certificate in it", pem.path);
    }
    X509 *leaf = SSL_CTX_get0_certificate(identity->context);
    if (code == ERROR_OK && (code = tls_certificate_read(leaf, &identity->self, error)) != 0) {
        error->code = code = ERROR_INVALID;
        error_prefix(error, "%s", pem.path);
    }
    if (code == ERROR_OK && (code = tls_identity_verify(identity, leaf, error)) != ERROR_OK) {
        error_prefix(error, "%s", pem.path);
    }
    pem_close(&pem);
    return code;
}

static int on_verify(int preverified, X509_STORE_CTX *store_context) {
    SSL *ssl = X509_STORE_CTX_get_ex_data(store_context, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls_check *check = ssl != NULL ? SSL_get_app_data(ssl) : NULL;
    if (check == NULL) {
        return preverified;
    }
    X509 *certificate = X509_STORE_CTX_get_current_cert(store_context);
    if (preverified != 1) {
        tls_certificate_describe(X509_STORE_CTX_get_error(store_context), certificate,
                                 &check->error);
        return 0;
    }
    /* Depth 0 comes last, when all else has been found good. */
    if (X509_STORE_CTX_get_error_depth(store_context) > 0) {
        return 1;
    }
    if (tls_certificate_read(certificate, &check->peer, &check->error) != ERROR_OK) {
        error_prefix(&check->error, "certificate");
    } else if (!text_equal(check->peer.cluster, check->cluster)) {
        error_set(&check->error, ERROR_DENIED, "certificate of cluster '%s', ours is '%s'",
                  check->peer.cluster, check->cluster);
    } else {
        return 1;
    }
    X509_STORE_CTX_set_error(store_context, X509_V_ERR_APPLICATION_VERIFICATION);
    return 0;
}

static enum error_code make_context(struct tls_identity *identity, struct error *error) {
    SSL_CTX *context = SSL_CTX_new(TLS_method());
    if (context == NULL) {
        return error_set(error, ERROR_NO_MEMORY, "no memory for TLS");
    }
    if (SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) != 1 ||
        SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) != 1) {
        SSL_CTX_free(context);
        return error_set(error, ERROR_UNSUPPORTED, "this OpenSSL has no TLS 1.3");
    }
    identity->context = context;
    identity->store = SSL_CTX_get_cert_store(context);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, on_verify);
    SSL_CTX_set_verify_depth(context, CHAIN_DEPTH_MAX);
    SSL_CTX_set_max_cert_list(context, PEER_CHAIN_MAX_BYTES);
    /* Each connection proves itself anew: a ticket would outlive a revocation. */
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(context, 0);
    SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    return ERROR_OK;
}

enum error_code tls_identity_load(const char *directory, enum tls_kind kind, const char *cluster,
                                  struct tls_identity **ret_identity, struct error *error) {
    const char *name = kind == TLS_KIND_NODE ? "node" : "user";
    struct error unused;
    error = error != NULL ? error : &unused;
    ignore_broken_pipes();
    struct tls_identity *identity = calloc(1, sizeof *identity);
    if (identity == NULL) {
        return error_set(error, ERROR_NO_MEMORY, "no memory for a TLS identity");
    }
    atomic_init(&identity->references, 1);
    identity->crl_end_ms = INT64_MAX;
    enum error_code code = make_context(identity, error);
    if (code == ERROR_OK) {
        code = load_ca(identity, directory, error);
    }
    if (code == ERROR_OK) {
        code = load_crl(identity, directory, error);
    }
    if (code == ERROR_OK) {
        code = load_certificate(identity, directory, name, error);
    }
    if (code == ERROR_OK) {
        code = load_key(identity, directory, name, error);
    }
    if (code == ERROR_OK && identity->self.kind != kind) {
        code = error_set(error, ERROR_INVALID, "%s/%s.pem is a %s's certificate", directory, name,
                         kind == TLS_KIND_NODE ? "user" : "node");
    }
    if (code == ERROR_OK && cluster != NULL && !text_equal(cluster, identity->self.cluster)) {
        code = error_set(error, ERROR_INVALID, "%s/%s.pem is of cluster '%s', not '%s'", directory,
                         name, identity->self.cluster, cluster);
    }
    code = end_errors(code, error); /* the end of each PEM file is one to OpenSSL */
    if (code != ERROR_OK) {
        tls_identity_unref(identity);
        return code;
    }
    *ret_identity = identity;
    return ERROR_OK;
}

struct tls_identity *tls_identity_ref(struct tls_identity *identity) {
    atomic_fetch_add(&identity->references, 1);
    return identity;
}

void tls_identity_unref(struct tls_identity *identity) {
    if (identity != NULL && atomic_fetch_sub(&identity->references, 1) == 1) {
        SSL_CTX_free(identity->context);
        free(identity);
    }
}

const struct tls_peer *tls_identity_self(const struct tls_identity *identity) {
    return &identity->self;
}

const char *tls_identity_cluster(const struct tls_identity *identity) {
    return identity->self.cluster;
}

int64_t tls_identity_days_left(const struct tls_identity *identity, uint64_t wall_ms) {
    int64_t end_ms = identity->self.not_after_ms < identity->crl_end_ms
                         ? identity->self.not_after_ms
                         : identity->crl_end_ms;
    int64_t left_ms = end_ms - (int64_t)wall_ms;
    return left_ms / DAY_MS - (left_ms < 0 && left_ms % DAY_MS != 0);
}

SSL *tls_session_create(struct tls_identity *identity, bool server, struct tls_check *check) {
    SSL *ssl = SSL_new(identity->context);
    if (ssl == NULL) {
        return NULL;
    }
    SSL_set_app_data(ssl, check);
    if (server) {
        SSL_set_accept_state(ssl);
    } else {
        SSL_set_connect_state(ssl);
    }
    return ssl;
}

enum error_code tls_session_describe_failure(SSL *ssl, const struct tls_check *check,
                                             struct error *error) {
    unsigned long failure = ERR_peek_error();
    ERR_clear_error();
    if (check->error.code != ERROR_OK) {
        *error = check->error;
        return error->code;
    }
    int reason = ERR_GET_REASON(failure);
    if (ERR_GET_LIB(failure) == ERR_LIB_SSL && reason > SSL_AD_REASON_OFFSET) {
        return error_set(error, ERROR_DENIED, "the other side refused us: TLS alert '%s'",
                         SSL_alert_desc_string_long(reason - SSL_AD_REASON_OFFSET));
    }
    if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE) {
        return error_set(error, ERROR_DENIED, "the other side has no certificate");
    }
    const char *text = failure != 0 ? ERR_reason_error_string(failure) : NULL;
    return error_set(error, ERROR_PROTOCOL, "TLS: %s",
                     text != NULL                ? text
                     : SSL_is_init_finished(ssl) ? "malformed record"
                                                 : "handshake failed");
}
