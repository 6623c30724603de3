/* Certificates of peers and users (DER): who they say that their holder is. OpenSSL decodes them;
 * what is read out of them is ours. */
#include <assert.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509.h>

#include "base/text.h"
#include "fuzz.h"
#include "tls_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const unsigned char *at = data;
    X509 *certificate = d2i_X509(NULL, &at, (long)size);
    struct tls_peer peer;
    struct error error;
    if (certificate == NULL) {
        ERR_clear_error();
        return 0;
    }
    fuzz_taint(&peer, sizeof peer);
    if (tls_certificate_read(certificate, &peer, &error) == ERROR_OK) {
        assert(text_is_name(peer.cluster, TLS_NAME_SIZE - 1));
        assert(text_is_name(peer.name, TLS_NAME_SIZE - 1));
        assert((peer.role == TLS_ROLE_NONE) == (peer.kind == TLS_KIND_NODE));
        assert(peer.owners[0] == '\0' || peer.role == TLS_ROLE_OPERATOR);
    } else {
        assert(fuzz_is_tainted(&peer, sizeof peer) && error.code == ERROR_DENIED);
    }
    (void)tls_certificate_describe(X509_V_ERR_CERT_HAS_EXPIRED, certificate, &error);
    X509_free(certificate);
    ERR_clear_error();
    return 0;
}
