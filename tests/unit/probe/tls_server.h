/* An HTTPS server on a thread of its own, with certificates made for the occasion. */
#ifndef TEST_PROBE_TLS_SERVER_H
#define TEST_PROBE_TLS_SERVER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

struct authority {
    EVP_PKEY *key;
    X509 *certificate;
};

void authority_make(struct authority *authority, const char *name);
void authority_finish(struct authority *authority);
/* A certificate for a DNS name (or IP address), into <stem>.pem and <stem>.key. days < 0: it has
 * expired so long ago. */
void authority_issue(const struct authority *authority, const char *name, int days,
                     const char *stem);
void authority_write(const struct authority *authority, const char *path);

struct tls_server {
    pthread_t thread;
    int listener, wake[2];
    uint16_t port;
    const char *stem;      /* of its certificate */
    const char *client_ca; /* NULL: asks for no certificate of the client */
    bool silent;           /* accepts, never shakes hands */
    bool keeps;            /* the connection, as long as the client does */
    bool plain;            /* talks no TLS at all */
    atomic_uint accept_count, request_count, resumed_count;
    pthread_mutex_t mutex; /* for the texts */
    char server_name[256]; /* SNI of the last handshake */
    char request[1024];    /* the last one */
};

void tls_server_start(struct tls_server *server, const char *address, uint16_t port);
void tls_server_stop(struct tls_server *server);
/* Copies of the texts. */
void tls_server_last(struct tls_server *server, char server_name[256], char request[1024]);

#endif
