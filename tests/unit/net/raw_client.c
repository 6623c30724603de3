#include "raw_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

static void keep_failure(struct raw_client *client) {
    unsigned long failure = ERR_get_error();
    const char *text = failure != 0 ? ERR_reason_error_string(failure) : NULL;
    if (text != NULL && client->failure[0] == '\0') {
        (void)snprintf(client->failure, sizeof client->failure, "%s", text);
    }
    ERR_clear_error();
}

static int connect_socket(uint16_t port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval limit = {.tv_sec = 20};
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

static void run_plain(struct raw_client *client, int fd) {
    char buffer[4096];
    ssize_t got;
    if (client->size_bytes > 0) {
        (void)send(fd, client->bytes, client->size_bytes, MSG_NOSIGNAL);
    }
    while (client->wait_for_end && (got = recv(fd, buffer, sizeof buffer, 0)) > 0) {
        client->received_bytes += (size_t)got;
    }
}

static void run_tls(struct raw_client *client, int fd) {
    char path[512];
    char buffer[4096];
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_min_proto_version(context, client->tls_version);
    SSL_CTX_set_max_proto_version(context, client->tls_version);
    SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
    if (client->certificate[0] != '\0') {
        (void)snprintf(path, sizeof path, "%s/node.pem", client->directory);
        (void)SSL_CTX_use_certificate_file(context, path, SSL_FILETYPE_PEM);
        (void)snprintf(path, sizeof path, "%s/node.key", client->directory);
        (void)SSL_CTX_use_PrivateKey_file(context, path, SSL_FILETYPE_PEM);
    }
    SSL *ssl = SSL_new(context);
    SSL_set_fd(ssl, fd);
    client->handshake_done = SSL_connect(ssl) == 1;
    if (!client->handshake_done) {
        keep_failure(client);
    } else {
        size_t written;
        if (client->size_bytes > 0 &&
            SSL_write_ex(ssl, client->bytes, client->size_bytes, &written) != 1) {
            keep_failure(client);
        }
        size_t got;
        while (client->wait_for_end && SSL_read_ex(ssl, buffer, sizeof buffer, &got) == 1) {
            client->received_bytes += got;
        }
        keep_failure(client);
    }
    SSL_free(ssl);
    SSL_CTX_free(context);
}

static void run(void *argument) {
    struct raw_client *client = argument;
    int fd = connect_socket(client->port);
    client->connected = fd >= 0;
    if (fd >= 0) {
        (client->tls_version != 0 ? run_tls : run_plain)(client, fd);
        (void)close(fd);
    }
    uv_async_send(&client->done_event);
}

static void on_done(uv_async_t *event) {
    struct raw_client *client = event->data;
    client->done = true;
}

static bool is_done(void *context) {
    return ((struct raw_client *)context)->done;
}

bool raw_client_run(struct raw_client *client, unsigned timeout_ms) {
    client->done = false;
    client->handshake_done = false;
    client->received_bytes = 0;
    client->failure[0] = '\0';
    (void)snprintf(client->directory, sizeof client->directory, "%s",
                   kit_directory(client->certificate != NULL ? client->certificate : ""));
    client->certificate = client->certificate != NULL ? client->certificate : "";
    assert_int_equal(uv_async_init(kit_loop(), &client->done_event, on_done), 0);
    client->done_event.data = client;
    assert_int_equal(uv_thread_create(&client->thread, run, client), 0);
    bool done = kit_run_until(is_done, client, timeout_ms);
    uv_thread_join(&client->thread);
    uv_close((uv_handle_t *)&client->done_event, NULL);
    uv_run(kit_loop(), UV_RUN_NOWAIT);
    return done;
}
