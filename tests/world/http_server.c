#include "http_server.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "alloc.h"
#include "base/entropy.h"
#include "http_connection.h"

#define HTTP_BACKLOG 128

static const char *http_status_text(int status) {
    switch (status) {
#define X(number, name, text)                                                                      \
    case number:                                                                                   \
        return #text;
        HTTP_STATUS_MAP(X)
#undef X
    default:
        return "Unknown";
    }
}

static void http_server_free_if_done(struct http_server *server) {
    if (server->destroyed && server->connection_count == 0 && server->listener == NULL) {
        if (server->holder_socket >= 0) {
            (void)close(server->holder_socket);
        }
        free(server);
    }
}

void http_server_forget_connection(struct http_server *server, struct http_connection *connection) {
    if (connection->previous != NULL) {
        connection->previous->next = connection->next;
    } else {
        server->connections = connection->next;
    }
    if (connection->next != NULL) {
        connection->next->previous = connection->previous;
    }
    assert(server->connection_count > 0);
    server->connection_count--;
    http_server_free_if_done(server);
}

/* A socket that is bound and never listens: connecting to it is refused, and nobody else is given
 * its port by the kernel while the listener is closed. */
static int http_server_hold_port(uint16_t port, uint16_t *ret_port) {
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)},
    };
    socklen_t address_bytes = sizeof(address);
    int reuse = 1;
    int holder = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (holder < 0) {
        return -1;
    }
    if (setsockopt(holder, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof(reuse)) != 0 ||
        bind(holder, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        getsockname(holder, (struct sockaddr *)&address, &address_bytes) != 0) {
        (void)close(holder);
        return -1;
    }
    *ret_port = ntohs(address.sin_port);
    return holder;
}

static void http_server_on_connection(uv_stream_t *listener, int status) {
    if (status == 0) {
        http_connection_accept(listener->data);
    }
}

static void http_server_on_listener_freed(uv_handle_t *handle) {
    free(handle);
}

static void http_server_on_listener_closed(uv_handle_t *handle) {
    struct http_server *server = handle->data;
    free(handle);
    /* Only a destroyed server waits for its listener. */
    server->listener = NULL;
    http_server_free_if_done(server);
}

static enum error_code http_server_listen(struct http_server *server, struct error *error) {
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(server->port),
        .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)},
    };
    uv_tcp_t *listener = alloc_zeroed(1, sizeof(*listener));
    (void)uv_tcp_init(server->options.loop, listener);
    listener->data = server;
    int status = uv_tcp_bind(listener, (struct sockaddr *)&address, 0);
    if (status == 0) {
        status = uv_listen((uv_stream_t *)listener, HTTP_BACKLOG, http_server_on_connection);
    }
    if (status != 0) {
        uv_close((uv_handle_t *)listener, http_server_on_listener_freed);
        return error_set(error, ERROR_IO, "can't listen on 127.0.0.1:%u: %s", server->port,
                         uv_strerror(status));
    }
    server->listener = listener;
    return ERROR_OK;
}

enum error_code http_server_create(const struct http_server_options *options,
                                   struct http_server **ret_server, struct error *error) {
    struct http_server *server = alloc_zeroed(1, sizeof(*server));
    server->options = *options;
    server->holder_socket = http_server_hold_port(options->port, &server->port);
    if (server->holder_socket < 0) {
        free(server);
        return error_set(error, ERROR_IO, "can't bind 127.0.0.1:%u", options->port);
    }
    enum error_code code = http_server_listen(server, error);
    if (code != ERROR_OK) {
        (void)close(server->holder_socket);
        free(server);
        return code;
    }
    *ret_server = server;
    return ERROR_OK;
}

static void http_server_reset_connections(struct http_server *server) {
    for (struct http_connection *connection = server->connections; connection != NULL;
         connection = connection->next) {
        http_connection_close(connection, true); /* leaves the list later, from the loop */
    }
}

void http_server_destroy(struct http_server *server) {
    if (server == NULL) {
        return;
    }
    server->destroyed = true;
    http_server_reset_connections(server);
    if (server->listener != NULL) {
        uv_close((uv_handle_t *)server->listener, http_server_on_listener_closed);
    } else {
        http_server_free_if_done(server);
    }
}

uint16_t http_server_port(const struct http_server *server) {
    return server->port;
}

enum error_code http_server_set_mode(struct http_server *server, enum http_server_mode mode,
                                     struct error *error) {
    if (mode == HTTP_SERVER_REFUSE && server->listener != NULL) {
        uv_close((uv_handle_t *)server->listener, http_server_on_listener_freed);
        server->listener = NULL;
    }
    if (mode != HTTP_SERVER_REFUSE && server->listener == NULL) {
        enum error_code code = http_server_listen(server, error);
        if (code != ERROR_OK) {
            return code;
        }
    }
    if (mode != HTTP_SERVER_SERVE) {
        http_server_reset_connections(server);
    }
    server->mode = mode;
    return ERROR_OK;
}

/* A random UUID (RFC 4122, version 4). */
static void http_exchange_name(char id[HTTP_REQUEST_ID_SIZE]) {
    uint64_t high = entropy_u64(&entropy_system);
    uint64_t low = entropy_u64(&entropy_system);
    (void)snprintf(id, HTTP_REQUEST_ID_SIZE, "%08x-%04x-4%03x-%04x-%012llx", (unsigned)(high >> 32),
                   (unsigned)((high >> 16) & 0xffff), (unsigned)(high & 0xfff),
                   (unsigned)(0x8000 | (low >> 50)), (unsigned long long)(low & 0xffffffffffffULL));
}

struct http_exchange *http_exchange_create(void) {
    struct http_exchange *exchange = alloc_zeroed(1, sizeof(*exchange));
    http_exchange_name(exchange->request_id);
    return exchange;
}

void http_exchange_destroy(struct http_exchange *exchange) {
    http_request_finish(&exchange->request);
    free(exchange);
}

static void http_exchange_append_date(const struct http_exchange *exchange, struct buffer *out) {
    char text[64];
    struct tm parts;
    time_t seconds = (time_t)(clock_wall_ms(exchange->connection->server->options.clock) / 1000);
    gmtime_r(&seconds, &parts);
    (void)strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &parts);
    buffer_append_format(out, "Date: %s\r\n", text);
}

void http_exchange_reply(struct http_exchange *exchange, int status, const char *content_type,
                         const char *extra_headers, const char *body, size_t body_bytes) {
    struct http_connection *connection = exchange->connection;
    struct buffer reply;
    if (connection == NULL) {
        http_exchange_destroy(exchange);
        return;
    }
    buffer_init(&reply, 0);
    buffer_append_format(&reply, "HTTP/1.1 %d %s\r\n", status, http_status_text(status));
    http_exchange_append_date(exchange, &reply);
    buffer_append_format(&reply, "x-amzn-RequestId: %s\r\n", exchange->request_id);
    buffer_append_format(&reply, "Content-Type: %s\r\nContent-Length: %zu\r\n", content_type,
                         body_bytes);
    if (!connection->keep_alive) {
        buffer_append_text(&reply, "Connection: close\r\n");
    }
    buffer_append_text(&reply, extra_headers != NULL ? extra_headers : "");
    buffer_append_text(&reply, "\r\n");
    if (strcmp(exchange->request.method, "HEAD") != 0) {
        buffer_append(&reply, body, body_bytes);
    }
    assert(!reply.failed);
    http_connection_reply(connection, exchange->reply_delay_ms, &reply);
    buffer_finish(&reply);
}

void http_exchange_drop(struct http_exchange *exchange) {
    http_exchange_detach(exchange);
    http_exchange_destroy(exchange);
}

void http_exchange_park(struct http_exchange *exchange) {
    if (exchange->connection == NULL) {
        http_exchange_destroy(exchange);
        return;
    }
    exchange->connection->parked = true;
}

void http_exchange_detach(struct http_exchange *exchange) {
    if (exchange->connection != NULL) {
        http_connection_close(exchange->connection, false); /* clears exchange->connection */
        assert(exchange->connection == NULL);
    }
}

struct http_exchange *http_exchange_copy(const struct http_exchange *exchange) {
    struct http_exchange *copy = http_exchange_create();
    http_request_copy(&copy->request, &exchange->request);
    return copy;
}
