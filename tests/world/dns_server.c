#include "dns_server.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <unistd.h>

#include "alloc.h"
#include "base/buffer.h"

#define DNS_PORT_ATTEMPTS_MAX 32
#define DNS_BACKLOG 64
/* A client that asks and never reads is cut off. */
#define DNS_TCP_UNREAD_MAX_BYTES (1024 * 1024)

struct dns_server {
    uv_udp_t udp;
    uv_tcp_t tcp;
    unsigned open_handles;
    struct dns_view view;
    struct hosted_zones *zones;
    const struct clock *clock;
    uint16_t port;
    struct dns_connection *connections;
    size_t connection_count;
    bool destroyed;
    uint8_t input[DNS_MESSAGE_MAX_BYTES];
    uint8_t output[DNS_MESSAGE_MAX_BYTES];
};

struct dns_connection {
    uv_tcp_t tcp;
    uv_timer_t timer;
    unsigned open_handles;
    struct dns_server *server;
    struct dns_connection *previous, *next;
    struct buffer input;
    bool closing;
};

struct dns_write {
    uv_write_t request;
    struct dns_connection *connection;
    uint8_t bytes[];
};

struct dns_send {
    uv_udp_send_t request;
    uint8_t bytes[];
};

static void dns_server_free_if_done(struct dns_server *server) {
    if (server->destroyed && server->open_handles == 0 && server->connection_count == 0) {
        free(server);
    }
}

static size_t dns_server_answer(struct dns_server *server, const uint8_t *query, size_t query_bytes,
                                bool tcp) {
    for (size_t i = 0; i < server->zones->count; i++) {
        hosted_zone_settle(server->zones->zones[i], clock_boottime_ms(server->clock));
    }
    return dns_answer(&server->view, query, query_bytes, tcp, server->output);
}

static void dns_server_on_allocate(uv_handle_t *handle, size_t suggested_bytes, uv_buf_t *part) {
    struct dns_server *server = handle->data;
    (void)suggested_bytes;
    *part = uv_buf_init((char *)server->input, sizeof(server->input));
}

static void dns_server_on_sent(uv_udp_send_t *request, int status) {
    (void)status;
    free(request);
}

static void dns_server_on_datagram(uv_udp_t *udp, ssize_t size_bytes, const uv_buf_t *part,
                                   const struct sockaddr *from, unsigned flags) {
    struct dns_server *server = udp->data;
    if (size_bytes <= 0 || from == NULL || (flags & UV_UDP_PARTIAL) != 0) {
        return;
    }
    size_t answer_bytes =
        dns_server_answer(server, (const uint8_t *)part->base, (size_t)size_bytes, false);
    if (answer_bytes == 0) {
        return;
    }
    struct dns_send *send = alloc_zeroed(1, sizeof(*send) + answer_bytes);
    memcpy(send->bytes, server->output, answer_bytes);
    uv_buf_t out = uv_buf_init((char *)send->bytes, (unsigned)answer_bytes);
    if (uv_udp_send(&send->request, udp, &out, 1, from, dns_server_on_sent) != 0) {
        free(send);
    }
}

static void dns_connection_on_handle_closed(uv_handle_t *handle) {
    struct dns_connection *connection = handle->data;
    struct dns_server *server = connection->server;
    if (--connection->open_handles > 0) {
        return;
    }
    if (connection->previous != NULL) {
        connection->previous->next = connection->next;
    } else {
        server->connections = connection->next;
    }
    if (connection->next != NULL) {
        connection->next->previous = connection->previous;
    }
    server->connection_count--;
    buffer_finish(&connection->input);
    free(connection);
    dns_server_free_if_done(server);
}

static void dns_connection_close(struct dns_connection *connection) {
    if (!connection->closing) {
        connection->closing = true;
        uv_close((uv_handle_t *)&connection->timer, dns_connection_on_handle_closed);
        uv_close((uv_handle_t *)&connection->tcp, dns_connection_on_handle_closed);
    }
}

static void dns_connection_on_idle(uv_timer_t *timer) {
    dns_connection_close(timer->data);
}

static void dns_connection_on_written(uv_write_t *request, int status) {
    struct dns_write *write = (struct dns_write *)request;
    if (status < 0) {
        dns_connection_close(write->connection);
    }
    free(write);
}

static void dns_connection_reply(struct dns_connection *connection, size_t answer_bytes) {
    struct dns_write *write = alloc_zeroed(1, sizeof(*write) + 2 + answer_bytes);
    write->connection = connection;
    write->bytes[0] = (uint8_t)(answer_bytes >> 8);
    write->bytes[1] = (uint8_t)answer_bytes;
    memcpy(write->bytes + 2, connection->server->output, answer_bytes);
    uv_buf_t out = uv_buf_init((char *)write->bytes, (unsigned)(answer_bytes + 2));
    if (uv_write(&write->request, (uv_stream_t *)&connection->tcp, &out, 1,
                 dns_connection_on_written) != 0) {
        free(write);
        dns_connection_close(connection);
    }
}

static void dns_connection_on_read(uv_stream_t *stream, ssize_t size_bytes, const uv_buf_t *part) {
    struct dns_connection *connection = stream->data;
    struct buffer *input = &connection->input;
    if (size_bytes < 0) {
        dns_connection_close(connection);
        return;
    }
    buffer_append(input, part->base, (size_t)size_bytes);
    while (!connection->closing && input->size_bytes >= 2) {
        const uint8_t *bytes = (const uint8_t *)input->data;
        size_t query_bytes = ((size_t)bytes[0] << 8) | bytes[1];
        if (input->size_bytes - 2 < query_bytes) {
            return;
        }
        size_t answer_bytes = dns_server_answer(connection->server, bytes + 2, query_bytes, true);
        buffer_consume(input, query_bytes + 2);
        if (answer_bytes == 0 || connection->tcp.write_queue_size > DNS_TCP_UNREAD_MAX_BYTES) {
            dns_connection_close(connection);
            return;
        }
        dns_connection_reply(connection, answer_bytes);
        (void)uv_timer_start(&connection->timer, dns_connection_on_idle, DNS_TCP_IDLE_TIMEOUT_MS,
                             0);
    }
}

static void dns_connection_on_allocate(uv_handle_t *handle, size_t suggested_bytes,
                                       uv_buf_t *part) {
    struct dns_connection *connection = handle->data;
    dns_server_on_allocate((uv_handle_t *)&connection->server->udp, suggested_bytes, part);
}

static void dns_server_on_connection(uv_stream_t *listener, int status) {
    struct dns_server *server = listener->data;
    if (status != 0) {
        return;
    }
    struct dns_connection *connection = alloc_zeroed(1, sizeof(*connection));
    connection->server = server;
    connection->open_handles = 2;
    buffer_init(&connection->input, 0); /* never more than one message and one read */
    (void)uv_tcp_init(listener->loop, &connection->tcp);
    (void)uv_timer_init(listener->loop, &connection->timer);
    connection->tcp.data = connection;
    connection->timer.data = connection;
    connection->next = server->connections;
    if (server->connections != NULL) {
        server->connections->previous = connection;
    }
    server->connections = connection;
    server->connection_count++;
    if (uv_accept(listener, (uv_stream_t *)&connection->tcp) != 0 ||
        server->connection_count > DNS_TCP_CONNECTIONS_MAX ||
        uv_read_start((uv_stream_t *)&connection->tcp, dns_connection_on_allocate,
                      dns_connection_on_read) != 0) {
        dns_connection_close(connection);
        return;
    }
    (void)uv_timer_start(&connection->timer, dns_connection_on_idle, DNS_TCP_IDLE_TIMEOUT_MS, 0);
}

static void dns_server_on_handle_closed(uv_handle_t *handle) {
    struct dns_server *server = handle->data;
    server->open_handles--;
    dns_server_free_if_done(server);
}

/* A free port for UDP and TCP alike: two plain sockets that are bound, then handed to libuv. */
static int dns_server_bind_once(uint16_t *port, int *ret_tcp) {
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(*port),
        .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)},
    };
    socklen_t address_bytes = sizeof(address);
    int reuse = 1;
    int udp = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int tcp = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (udp >= 0 && tcp >= 0 &&
        setsockopt(tcp, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof(reuse)) == 0 &&
        bind(tcp, (struct sockaddr *)&address, sizeof(address)) == 0 &&
        getsockname(tcp, (struct sockaddr *)&address, &address_bytes) == 0 &&
        bind(udp, (struct sockaddr *)&address, sizeof(address)) == 0) {
        *port = ntohs(address.sin_port);
        *ret_tcp = tcp;
        return udp;
    }
    if (udp >= 0) {
        (void)close(udp);
    }
    if (tcp >= 0) {
        (void)close(tcp);
    }
    return -1;
}

static int dns_server_bind(uint16_t *port, int *ret_tcp) {
    for (int attempt = 0; attempt < DNS_PORT_ATTEMPTS_MAX; attempt++) {
        int udp = dns_server_bind_once(port, ret_tcp);
        if (udp >= 0 || *port != 0) {
            return udp;
        }
    }
    return -1;
}

enum error_code dns_server_create(uv_loop_t *loop, const struct dns_view *view,
                                  struct hosted_zones *zones, const struct clock *clock,
                                  uint16_t port, struct dns_server **ret_server,
                                  struct error *error) {
    int tcp = -1;
    int udp = dns_server_bind(&port, &tcp);
    if (udp < 0) {
        return error_set(error, ERROR_IO, "can't bind 127.0.0.1:%u for DNS", port);
    }
    struct dns_server *server = alloc_zeroed(1, sizeof(*server));
    server->view = *view;
    server->zones = zones;
    server->clock = clock;
    server->port = port;
    (void)uv_udp_init(loop, &server->udp);
    (void)uv_tcp_init(loop, &server->tcp);
    server->udp.data = server;
    server->tcp.data = server;
    server->open_handles = 2;
    if (uv_udp_open(&server->udp, udp) != 0 || uv_tcp_open(&server->tcp, tcp) != 0 ||
        uv_udp_recv_start(&server->udp, dns_server_on_allocate, dns_server_on_datagram) != 0 ||
        uv_listen((uv_stream_t *)&server->tcp, DNS_BACKLOG, dns_server_on_connection) != 0) {
        dns_server_destroy(server);
        return error_set(error, ERROR_IO, "can't listen on 127.0.0.1:%u for DNS", port);
    }
    *ret_server = server;
    return ERROR_OK;
}

void dns_server_destroy(struct dns_server *server) {
    if (server == NULL) {
        return;
    }
    server->destroyed = true;
    for (struct dns_connection *connection = server->connections; connection != NULL;
         connection = connection->next) {
        dns_connection_close(connection);
    }
    uv_close((uv_handle_t *)&server->udp, dns_server_on_handle_closed);
    uv_close((uv_handle_t *)&server->tcp, dns_server_on_handle_closed);
}

uint16_t dns_server_port(const struct dns_server *server) {
    return server->port;
}
