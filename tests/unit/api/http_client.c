#include "http_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static uint64_t now_ms(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

int client_connect(uint16_t port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

bool client_try_send(int fd, const char *bytes, size_t size) {
    while (size > 0) {
        ssize_t sent = send(fd, bytes, size, MSG_NOSIGNAL);
        if (sent < 0 && (errno == EPIPE || errno == ECONNRESET)) {
            return true;
        }
        assert_true(sent > 0);
        bytes += sent;
        size -= (size_t)sent;
    }
    return false;
}

void client_send(int fd, const char *bytes, size_t size) {
    assert_false(client_try_send(fd, bytes, size));
}

size_t client_read(int fd, char *text, size_t size, const char *ends) {
    uint64_t deadline = now_ms() + CLIENT_DEADLINE_MS;
    size_t used = 0;
    text[0] = '\0';
    while (ends == NULL || strstr(text, ends) == NULL) {
        struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
        uint64_t now = now_ms();
        assert_true(now < deadline);
        assert_true(poll(&poll_fd, 1, (int)(deadline - now)) == 1);
        assert_true(used + 1 < size);
        ssize_t got = recv(fd, text + used, size - used - 1, 0);
        if (got <= 0) {
            assert_true(got == 0 || errno == ECONNRESET);
            break;
        }
        used += (size_t)got;
        text[used] = '\0';
    }
    return used;
}

bool client_sees_end(int fd) {
    char byte[4096];
    uint64_t deadline = now_ms() + CLIENT_DEADLINE_MS;
    for (;;) {
        struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
        uint64_t now = now_ms();
        if (now >= deadline || poll(&poll_fd, 1, (int)(deadline - now)) != 1) {
            return false;
        }
        if (recv(fd, byte, sizeof byte, 0) <= 0) {
            return true;
        }
    }
}

void client_ask(uint16_t port, const char *request, char *text, size_t size) {
    int fd = client_connect(port);
    (void)client_try_send(fd, request, strlen(request));
    (void)client_read(fd, text, size, NULL);
    (void)close(fd);
}

unsigned client_status(const char *text) {
    unsigned status = 0;
    assert_int_equal(strncmp(text, "HTTP/1.1 ", 9), 0);
    status = (unsigned)strtoul(text + 9, NULL, 10);
    return status;
}

unsigned client_get(uint16_t port, const char *path, char *text, size_t size,
                    const char **ret_body) {
    char request[2048];
    (void)snprintf(request, sizeof request,
                   "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", path);
    client_ask(port, request, text, size);
    const char *end = strstr(text, "\r\n\r\n");
    assert_non_null(end);
    *ret_body = end + 4;
    return client_status(text);
}
