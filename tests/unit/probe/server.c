#include "server.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { READ_BYTES = 4096, DRIP_INTERVAL_MS = 10 };

struct connection {
    uv_tcp_t tcp;
    uv_timer_t drip;
    struct server *server;
    struct connection *next, *previous;
    int open_handles;
    size_t used;
    char input[2048];
    char read_buffer[READ_BYTES];
};

static void on_handle_closed(uv_handle_t *handle) {
    struct connection *connection = handle->data;
    if (--connection->open_handles == 0) {
        free(connection);
    }
}

static void unlink_connection(struct connection *connection) {
    struct server *server = connection->server;
    *(connection->previous == NULL ? &server->connections : &connection->previous->next) =
        connection->next;
    if (connection->next != NULL) {
        connection->next->previous = connection->previous;
    }
    server->open_count--;
    uv_close((uv_handle_t *)&connection->drip, on_handle_closed);
}

static void close_connection(struct connection *connection) {
    unlink_connection(connection);
    uv_close((uv_handle_t *)&connection->tcp, on_handle_closed);
}

static void reset_connection(struct connection *connection) {
    unlink_connection(connection);
    int rc = uv_tcp_close_reset(&connection->tcp, on_handle_closed);
    assert(rc == 0);
    (void)rc;
}

struct writing {
    uv_write_t request;
    struct connection *connection; /* NULL: stays open */
};

static void on_written(uv_write_t *request, int status) {
    struct writing *writing = (struct writing *)request;
    if (writing->connection != NULL && status != UV_ECANCELED) {
        close_connection(writing->connection);
    }
    free(writing);
}

static void write_out(struct connection *connection, const char *bytes, size_t size_bytes,
                      bool then_close) {
    struct writing *writing = calloc(1, sizeof *writing);
    assert(writing != NULL);
    writing->connection = then_close ? connection : NULL;
    uv_buf_t buffer = uv_buf_init((char *)(uintptr_t)bytes, (unsigned)size_bytes);
    if (uv_write(&writing->request, (uv_stream_t *)&connection->tcp, &buffer, 1, on_written) != 0) {
        free(writing);
    }
}

static void on_drip(uv_timer_t *timer) {
    write_out(timer->data, "x", 1, false);
}

static void serve(struct connection *connection) {
    struct server *server = connection->server;
    server->request_count++;
    memcpy(server->request, connection->input, sizeof server->request);
    connection->used = 0;
    memset(connection->input, 0, sizeof connection->input);
    size_t size_bytes = server->answer_bytes;
    if (size_bytes == 0 && server->answer != NULL) {
        size_bytes = strlen(server->answer);
    }
    switch (server->mode) {
    case SERVER_ANSWER:
    case SERVER_ANSWER_AND_CLOSE:
        write_out(connection, server->answer, size_bytes, server->mode == SERVER_ANSWER_AND_CLOSE);
        break;
    case SERVER_SILENT:
        break;
    case SERVER_DRIP:
        write_out(connection, "HTTP/1.1 200 OK\r\nX-Slow: ", 25, false);
        (void)uv_timer_start(&connection->drip, on_drip, 0, DRIP_INTERVAL_MS);
        break;
    case SERVER_RESET:
        reset_connection(connection);
        break;
    case SERVER_HANG_UP:
        close_connection(connection);
        break;
    }
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer) {
    (void)suggested;
    struct connection *connection = handle->data;
    *buffer = uv_buf_init(connection->read_buffer, sizeof connection->read_buffer);
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer) {
    struct connection *connection = stream->data;
    if (size < 0) {
        close_connection(connection);
        return;
    }
    size_t room = sizeof connection->input - 1 - connection->used;
    size_t taken = (size_t)size < room ? (size_t)size : room;
    memcpy(connection->input + connection->used, buffer->base, taken);
    connection->used += taken;
    if (strstr(connection->input, "\r\n\r\n") != NULL) {
        serve(connection);
    }
}

static void on_connection(uv_stream_t *stream, int status) {
    struct server *server = stream->data;
    assert(status == 0);
    (void)status;
    struct connection *connection = calloc(1, sizeof *connection);
    assert(connection != NULL);
    (void)uv_tcp_init(stream->loop, &connection->tcp);
    (void)uv_timer_init(stream->loop, &connection->drip);
    connection->open_handles = 2;
    connection->tcp.data = connection;
    connection->drip.data = connection;
    connection->server = server;
    connection->next = server->connections;
    if (connection->next != NULL) {
        connection->next->previous = connection;
    }
    server->connections = connection;
    server->accept_count++;
    server->open_count++;
    if (server->open_count > server->open_peak) {
        server->open_peak = server->open_count;
    }
    int rc = uv_accept(stream, (uv_stream_t *)&connection->tcp);
    assert(rc == 0);
    (void)rc;
    (void)uv_read_start((uv_stream_t *)&connection->tcp, on_alloc, on_read);
}

void server_start(struct server *server, uv_loop_t *loop, const char *address, uint16_t port,
                  enum server_mode mode, const char *answer) {
    memset(server, 0, sizeof *server);
    server->mode = mode;
    server->answer = answer;
    struct sockaddr_storage bound = {0};
    int length = sizeof bound;
    int rc = strchr(address, ':') == NULL
                 ? uv_ip4_addr(address, port, (struct sockaddr_in *)&bound)
                 : uv_ip6_addr(address, port, (struct sockaddr_in6 *)&bound);
    rc |= uv_tcp_init(loop, &server->listener);
    rc |= uv_tcp_bind(&server->listener, (const struct sockaddr *)&bound, 0);
    rc |= uv_listen((uv_stream_t *)&server->listener, 4096, on_connection);
    rc |= uv_tcp_getsockname(&server->listener, (struct sockaddr *)&bound, &length);
    assert(rc == 0);
    (void)rc;
    server->listener.data = server;
    server->port = ntohs(bound.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&bound)->sin6_port
                                                     : ((struct sockaddr_in *)&bound)->sin_port);
}

uv_handle_t *server_newest(struct server *server) {
    assert(server->connections != NULL);
    return (uv_handle_t *)&server->connections->tcp;
}

void server_drop(struct server *server) {
    while (server->connections != NULL) {
        close_connection(server->connections);
    }
}

static void on_listener_closed(uv_handle_t *handle) {
    struct server *server = handle->data;
    server->closed = true;
}

void server_stop(struct server *server) {
    server_drop(server);
    uv_close((uv_handle_t *)&server->listener, on_listener_closed);
}

static uint16_t bind_any(int fd) {
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof address;
    int rc = bind(fd, (const struct sockaddr *)&address, sizeof address);
    rc |= getsockname(fd, (struct sockaddr *)&address, &length);
    assert(rc == 0);
    (void)rc;
    return ntohs(address.sin_port);
}

/* Nobody accepts and the backlog is full: the kernel drops further SYNs. */
void hang_open(struct hang *hang) {
    hang->listener = socket(AF_INET, SOCK_STREAM, 0);
    hang->port = bind_any(hang->listener);
    int rc = listen(hang->listener, 0);
    assert(rc == 0);
    (void)rc;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(hang->port),
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    for (size_t i = 0; i < sizeof hang->fillers / sizeof hang->fillers[0]; i++) {
        hang->fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)connect(hang->fillers[i], (const struct sockaddr *)&address, sizeof address);
    }
}

void hang_close(struct hang *hang) {
    for (size_t i = 0; i < sizeof hang->fillers / sizeof hang->fillers[0]; i++) {
        (void)close(hang->fillers[i]);
    }
    (void)close(hang->listener);
}

/* Bound, never listening: refused, and nobody else's as long as this process lives. */
uint16_t closed_port(void) {
    static int fd = -1;
    static uint16_t port;
    if (fd < 0) {
        fd = socket(AF_INET, SOCK_STREAM, 0);
        port = bind_any(fd);
    }
    return port;
}
