#include "tls_channel.h"

#include <assert.h>
#include <limits.h>
#include <openssl/err.h>

#include "alloc.h"

#define TLS_CHANNEL_CHUNK_BYTES 16384

struct tls_channel {
    SSL *ssl;
    BIO *from_wire; /* both owned by ssl */
    BIO *to_wire;
};

enum error_code tls_channel_load(const char *certificate_path, const char *key_path,
                                 const char *ca_path, SSL_CTX **ret_context, struct error *error) {
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    assert(context != NULL);
    if (SSL_CTX_use_certificate_chain_file(context, certificate_path) != 1 ||
        SSL_CTX_use_PrivateKey_file(context, key_path, SSL_FILETYPE_PEM) != 1 ||
        (ca_path != NULL && SSL_CTX_load_verify_file(context, ca_path) != 1)) {
        char detail[160];
        ERR_error_string_n(ERR_get_error(), detail, sizeof(detail));
        ERR_clear_error();
        SSL_CTX_free(context);
        return error_set(error, ERROR_INVALID, "can't load the TLS files: %s", detail);
    }
    if (ca_path != NULL) {
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    }
    *ret_context = context;
    return ERROR_OK;
}

struct tls_channel *tls_channel_create(SSL_CTX *context) {
    struct tls_channel *channel = alloc_zeroed(1, sizeof(*channel));
    channel->ssl = SSL_new(context);
    channel->from_wire = BIO_new(BIO_s_mem());
    channel->to_wire = BIO_new(BIO_s_mem());
    assert(channel->ssl != NULL && channel->from_wire != NULL && channel->to_wire != NULL);
    SSL_set_bio(channel->ssl, channel->from_wire, channel->to_wire);
    SSL_set_accept_state(channel->ssl);
    return channel;
}

void tls_channel_destroy(struct tls_channel *channel) {
    if (channel != NULL) {
        SSL_free(channel->ssl);
        free(channel);
    }
}

static void tls_channel_drain(struct tls_channel *channel, struct buffer *wire) {
    char chunk[TLS_CHANNEL_CHUNK_BYTES];
    int length = 0;
    while ((length = BIO_read(channel->to_wire, chunk, sizeof(chunk))) > 0) {
        buffer_append(wire, chunk, (size_t)length);
    }
}

bool tls_channel_receive(struct tls_channel *channel, const char *bytes, size_t size_bytes,
                         struct buffer *plain, struct buffer *wire) {
    char chunk[TLS_CHANNEL_CHUNK_BYTES];
    assert(size_bytes <= INT_MAX);
    ERR_clear_error();
    bool alive = BIO_write(channel->from_wire, bytes, (int)size_bytes) == (int)size_bytes;
    while (alive) {
        int length = SSL_read(channel->ssl, chunk, sizeof(chunk)); /* shakes hands first */
        if (length <= 0) {
            alive = SSL_get_error(channel->ssl, length) == SSL_ERROR_WANT_READ;
            break;
        }
        buffer_append(plain, chunk, (size_t)length);
    }
    ERR_clear_error();
    tls_channel_drain(channel, wire);
    return alive && !plain->failed && !wire->failed;
}

bool tls_channel_send(struct tls_channel *channel, const char *bytes, size_t size_bytes,
                      struct buffer *wire) {
    assert(size_bytes <= INT_MAX);
    ERR_clear_error();
    bool sent =
        size_bytes == 0 || SSL_write(channel->ssl, bytes, (int)size_bytes) == (int)size_bytes;
    ERR_clear_error();
    tls_channel_drain(channel, wire);
    return sent && !wire->failed;
}
