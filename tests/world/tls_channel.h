/* The server side of one TLS connection over memory BIOs: bytes of the wire go in, plain bytes come
 * out, and the other way round. No sockets here. */
#ifndef WORLD_TLS_CHANNEL_H
#define WORLD_TLS_CHANNEL_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"
#include "base/error.h"

struct tls_channel;

/* A context from PEM files. ca_path NULL: clients need no certificate; else they must have one of
 * that CA. Free with SSL_CTX_free(). */
enum error_code tls_channel_load(const char *certificate_path, const char *key_path,
                                 const char *ca_path, SSL_CTX **ret_context, struct error *error);

struct tls_channel *tls_channel_create(SSL_CTX *context);
void tls_channel_destroy(struct tls_channel *channel); /* takes NULL */

/* Feeds bytes from the wire; appends what was decrypted to plain, and what must be sent to wire.
 * False: the connection is over (what is in wire, an alert, is still to be sent). */
bool tls_channel_receive(struct tls_channel *channel, const char *bytes, size_t size_bytes,
                         struct buffer *plain, struct buffer *wire);

/* Only after plain bytes have been received: the handshake is then done. */
bool tls_channel_send(struct tls_channel *channel, const char *bytes, size_t size_bytes,
                      struct buffer *wire);

#endif
