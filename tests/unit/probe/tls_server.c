#include "tls_server.h"

#include <arpa/inet.h>
#include <assert.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

static X509 *make_certificate(EVP_PKEY *key, const char *name, long from_s, long to_s) {
    static long serial = 1;
    X509 *certificate = X509_new();
    X509_NAME *subject = X509_get_subject_name(certificate);
    int ok = X509_set_version(certificate, 2);
    ok &= ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial++);
    ok &= X509_gmtime_adj(X509_getm_notBefore(certificate), from_s) != NULL;
    ok &= X509_gmtime_adj(X509_getm_notAfter(certificate), to_s) != NULL;
    ok &= X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)name, -1,
                                     -1, 0);
    ok &= X509_set_pubkey(certificate, key);
    assert(ok == 1);
    (void)ok;
    return certificate;
}

static void add_extension(X509 *certificate, int nid, const char *value) {
    X509V3_CTX context;
    X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    assert(extension != NULL);
    (void)X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
}

void authority_make(struct authority *authority, const char *name) {
    authority->key = EVP_EC_gen("P-256");
    authority->certificate = make_certificate(authority->key, name, -3600, 3600);
    (void)X509_set_issuer_name(authority->certificate,
                               X509_get_subject_name(authority->certificate));
    add_extension(authority->certificate, NID_basic_constraints, "critical,CA:TRUE");
    add_extension(authority->certificate, NID_key_usage, "critical,keyCertSign,cRLSign");
    add_extension(authority->certificate, NID_subject_key_identifier, "hash");
    int size = X509_sign(authority->certificate, authority->key, EVP_sha256());
    assert(size > 0);
    (void)size;
}

void authority_finish(struct authority *authority) {
    X509_free(authority->certificate);
    EVP_PKEY_free(authority->key);
}

void authority_write(const struct authority *authority, const char *path) {
    FILE *file = fopen(path, "w");
    assert(file != NULL);
    (void)PEM_write_X509(file, authority->certificate);
    (void)fclose(file);
}

void authority_issue(const struct authority *authority, const char *name, int days,
                     const char *stem) {
    char path[256];
    char alternative[300];
    struct in6_addr address;
    bool is_address =
        inet_pton(AF_INET, name, &address) == 1 || inet_pton(AF_INET6, name, &address) == 1;
    (void)snprintf(alternative, sizeof alternative, "%s:%s", is_address ? "IP" : "DNS", name);
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate =
        make_certificate(key, name, days < 0 ? days * 86400L - 3600 : -3600, days * 86400L);
    (void)X509_set_issuer_name(certificate, X509_get_subject_name(authority->certificate));
    add_extension(certificate, NID_subject_alt_name, alternative);
    int size = X509_sign(certificate, authority->key, EVP_sha256());
    assert(size > 0);
    (void)size;
    (void)snprintf(path, sizeof path, "%s.pem", stem);
    FILE *file = fopen(path, "w");
    assert(file != NULL);
    (void)PEM_write_X509(file, certificate);
    (void)fclose(file);
    (void)snprintf(path, sizeof path, "%s.key", stem);
    file = fopen(path, "w");
    assert(file != NULL);
    (void)PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL);
    (void)fclose(file);
    X509_free(certificate);
    EVP_PKEY_free(key);
}

static SSL_CTX *make_context(const struct tls_server *server) {
    char path[256];
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    (void)snprintf(path, sizeof path, "%s.pem", server->stem);
    int ok = SSL_CTX_use_certificate_file(context, path, SSL_FILETYPE_PEM);
    (void)snprintf(path, sizeof path, "%s.key", server->stem);
    ok &= SSL_CTX_use_PrivateKey_file(context, path, SSL_FILETYPE_PEM);
    if (server->client_ca != NULL) {
        ok &= SSL_CTX_load_verify_locations(context, server->client_ca, NULL);
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
        (void)SSL_CTX_set_session_id_context(context, (const unsigned char *)"test", 4);
    }
    assert(ok == 1);
    (void)ok;
    return context;
}

static bool answer_one(struct tls_server *server, SSL *ssl) {
    char request[1024];
    int size = SSL_read(ssl, request, sizeof request - 1);
    if (size <= 0) {
        return false;
    }
    request[size] = '\0';
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    pthread_mutex_lock(&server->mutex);
    (void)snprintf(server->server_name, sizeof server->server_name, "%s", name == NULL ? "" : name);
    memcpy(server->request, request, (size_t)size + 1);
    pthread_mutex_unlock(&server->mutex);
    atomic_fetch_add(&server->request_count, 1);
    return SSL_write(ssl, answer, sizeof answer - 1) > 0;
}

static void serve_tls(struct tls_server *server, SSL *ssl) {
    if (SSL_accept(ssl) != 1) {
        return;
    }
    atomic_fetch_add(&server->accept_count, 1);
    if (SSL_session_reused(ssl) == 1) {
        atomic_fetch_add(&server->resumed_count, 1);
    }
    while (answer_one(server, ssl) && server->keeps) {
    }
    (void)SSL_shutdown(ssl);
}

/* What lies unread at close makes it an RST, which may overtake our last words. */
static void drain(int fd) {
    char rest[1024];
    (void)shutdown(fd, SHUT_WR);
    while (recv(fd, rest, sizeof rest, 0) > 0) {
    }
}

static void serve(struct tls_server *server, SSL_CTX *context, int fd) {
    struct timeval limit = {.tv_sec = 2};
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (server->plain) {
        (void)send(fd, answer, sizeof answer - 1, MSG_NOSIGNAL);
        return;
    }
    if (server->silent) {
        struct pollfd gone = {.fd = fd, .events = POLLRDHUP};
        (void)poll(&gone, 1, 2000);
        return;
    }
    SSL *ssl = SSL_new(context);
    (void)SSL_set_fd(ssl, fd);
    serve_tls(server, ssl);
    SSL_free(ssl);
    ERR_clear_error();
    drain(fd);
}

static void *run(void *argument) {
    struct tls_server *server = argument;
    SSL_CTX *context = make_context(server);
    for (;;) {
        struct pollfd waits[] = {{.fd = server->listener, .events = POLLIN},
                                 {.fd = server->wake[0], .events = POLLIN}};
        (void)poll(waits, 2, -1);
        if (waits[1].revents != 0) {
            break;
        }
        int fd = accept(server->listener, NULL, NULL);
        if (fd >= 0) {
            serve(server, context, fd);
            (void)close(fd);
        }
    }
    SSL_CTX_free(context);
    return NULL;
}

void tls_server_start(struct tls_server *server, const char *address, uint16_t port) {
    struct sockaddr_in bound = {.sin_family = AF_INET, .sin_port = htons(port)};
    socklen_t length = sizeof bound;
    int on = 1;
    (void)inet_pton(AF_INET, address, &bound.sin_addr);
    (void)pthread_mutex_init(&server->mutex, NULL);
    server->listener = socket(AF_INET, SOCK_STREAM, 0);
    (void)setsockopt(server->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    int rc = bind(server->listener, (const struct sockaddr *)&bound, sizeof bound);
    rc |= listen(server->listener, 64);
    rc |= getsockname(server->listener, (struct sockaddr *)&bound, &length);
    rc |= pipe(server->wake);
    server->port = ntohs(bound.sin_port);
    rc |= pthread_create(&server->thread, NULL, run, server);
    assert(rc == 0);
    (void)rc;
}

void tls_server_stop(struct tls_server *server) {
    ssize_t size = write(server->wake[1], "x", 1);
    assert(size == 1);
    (void)size;
    (void)pthread_join(server->thread, NULL);
    (void)close(server->wake[0]);
    (void)close(server->wake[1]);
    (void)close(server->listener);
    (void)pthread_mutex_destroy(&server->mutex);
}

void tls_server_last(struct tls_server *server, char server_name[256], char request[1024]) {
    pthread_mutex_lock(&server->mutex);
    memcpy(server_name, server->server_name, sizeof server->server_name);
    memcpy(request, server->request, sizeof server->request);
    pthread_mutex_unlock(&server->mutex);
}
