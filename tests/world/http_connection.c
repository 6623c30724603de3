#include "http_connection.h"

#include <assert.h>
#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <strings.h>

#include "alloc.h"
#include "base/text.h"

#define HTTP_READ_CHUNK_BYTES 65536
#define HTTP_LINGER_MS 1000

struct http_write {
    uv_write_t request;
    struct http_connection *connection;
    char *bytes;
};

static void http_connection_continue(struct http_connection *connection);

/* The request that is being parsed starts anew. */
static void http_connection_clear_request(struct http_connection *connection) {
    http_request_finish(&connection->request);
    http_request_init(&connection->request);
    buffer_clear(&connection->url);
    buffer_clear(&connection->header_name);
    buffer_clear(&connection->header_value);
    buffer_clear(&connection->body);
    connection->head_bytes = 0;
    connection->refusal_status = 0;
    connection->in_request = false;
    connection->in_value = false;
    connection->complete = false;
}

static void http_connection_on_handle_closed(uv_handle_t *handle) {
    struct http_connection *connection = handle->data;
    if (--connection->open_handles > 0) {
        return;
    }
    http_server_forget_connection(connection->server, connection);
    tls_channel_destroy(connection->tls);
    http_request_finish(&connection->request);
    buffer_finish(&connection->input);
    buffer_finish(&connection->url);
    buffer_finish(&connection->header_name);
    buffer_finish(&connection->header_value);
    buffer_finish(&connection->body);
    buffer_finish(&connection->reply);
    free(connection);
}

void http_connection_close(struct http_connection *connection, bool reset) {
    if (connection->closing) {
        return;
    }
    connection->closing = true;
    if (connection->exchange != NULL) {
        connection->exchange->connection = NULL;
        if (connection->parked) {
            http_exchange_destroy(connection->exchange);
        }
        connection->exchange = NULL;
    }
    uv_close((uv_handle_t *)&connection->timer, http_connection_on_handle_closed);
    if (!reset || uv_tcp_close_reset(&connection->tcp, http_connection_on_handle_closed) != 0) {
        uv_close((uv_handle_t *)&connection->tcp, http_connection_on_handle_closed);
    }
}

static void http_connection_on_idle(uv_timer_t *timer) {
    http_connection_close(timer->data, false);
}

static void http_connection_start_idle(struct http_connection *connection) {
    (void)uv_timer_start(&connection->timer, http_connection_on_idle, HTTP_IDLE_TIMEOUT_MS, 0);
}

static void http_connection_on_written(uv_write_t *request, int status) {
    struct http_write *write = (struct http_write *)request;
    struct http_connection *connection = write->connection;
    free(write->bytes);
    free(write);
    if (status < 0 ||
        (connection->ending && !connection->lingering && connection->tcp.write_queue_size == 0)) {
        http_connection_close(connection, false);
    }
}

/* Queues bytes of the wire; takes the buffer's memory. */
static void http_connection_write_wire(struct http_connection *connection, struct buffer *wire) {
    if (wire->size_bytes == 0 || connection->closing) {
        buffer_finish(wire);
        return;
    }
    struct http_write *write = alloc_zeroed(1, sizeof(*write));
    uv_buf_t part = uv_buf_init(NULL, (unsigned)wire->size_bytes);
    write->connection = connection;
    write->bytes = buffer_take(wire);
    part.base = write->bytes;
    if (uv_write(&write->request, (uv_stream_t *)&connection->tcp, &part, 1,
                 http_connection_on_written) != 0) {
        free(write->bytes);
        free(write);
        http_connection_close(connection, false);
    }
}

static void http_connection_write(struct http_connection *connection, const char *bytes,
                                  size_t size_bytes) {
    struct buffer wire;
    buffer_init(&wire, 0);
    bool sent = connection->tls != NULL
                    ? tls_channel_send(connection->tls, bytes, size_bytes, &wire)
                    : buffer_append(&wire, bytes, size_bytes);
    http_connection_write_wire(connection, &wire);
    if (!sent) {
        http_connection_close(connection, false);
    }
}

static int http_connection_refuse(struct http_connection *connection, int status) {
    connection->refusal_status = status;
    return -1;
}

static int http_on_message_begin(http_parser *parser) {
    struct http_connection *connection = parser->data;
    connection->in_request = true;
    return 0;
}

static int http_on_url(http_parser *parser, const char *at, size_t length) {
    struct http_connection *connection = parser->data;
    connection->head_bytes += length;
    if (connection->head_bytes > HTTP_HEAD_MAX_BYTES) {
        return http_connection_refuse(connection, 414);
    }
    buffer_append(&connection->url, at, length);
    return 0;
}

/* A name and its value are complete when the next name, or the end of the head, comes. */
static int http_connection_flush_header(struct http_connection *connection) {
    if (connection->header_name.size_bytes == 0) {
        return 0;
    }
    if (connection->request.header_count == HTTP_HEADERS_MAX) {
        return http_connection_refuse(connection, 431);
    }
    char *name = connection->header_name.data;
    for (char *c = name; *c != '\0'; c++) {
        *c = (char)tolower((unsigned char)*c);
    }
    const bool empty = connection->header_value.size_bytes == 0;
    http_request_add_header(&connection->request, name, empty ? "" : connection->header_value.data);
    buffer_clear(&connection->header_name);
    buffer_clear(&connection->header_value);
    return 0;
}

static int http_on_header_field(http_parser *parser, const char *at, size_t length) {
    struct http_connection *connection = parser->data;
    connection->head_bytes += length;
    if (connection->head_bytes > HTTP_HEAD_MAX_BYTES) {
        return http_connection_refuse(connection, 431);
    }
    if (connection->in_value && http_connection_flush_header(connection) != 0) {
        return -1;
    }
    connection->in_value = false;
    buffer_append(&connection->header_name, at, length);
    return 0;
}

static int http_on_header_value(http_parser *parser, const char *at, size_t length) {
    struct http_connection *connection = parser->data;
    connection->head_bytes += length;
    if (connection->head_bytes > HTTP_HEAD_MAX_BYTES) {
        return http_connection_refuse(connection, 431);
    }
    connection->in_value = true;
    buffer_append(&connection->header_value, at, length);
    return 0;
}

static int http_on_headers_complete(http_parser *parser) {
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    struct http_connection *connection = parser->data;
    if (http_connection_flush_header(connection) != 0) {
        return -1;
    }
    connection->in_value = false;
    if (parser->content_length != ULLONG_MAX && parser->content_length > HTTP_BODY_MAX_BYTES) {
        return http_connection_refuse(connection, 413);
    }
    const char *expect = http_request_header(&connection->request, "expect");
    if (expect != NULL && strcasecmp(expect, "100-continue") == 0) {
        http_connection_write(connection, go_on, sizeof(go_on) - 1);
    }
    return 0;
}

static int http_on_body(http_parser *parser, const char *at, size_t length) {
    struct http_connection *connection = parser->data;
    if (length > HTTP_BODY_MAX_BYTES - connection->body.size_bytes) {
        return http_connection_refuse(connection, 413);
    }
    buffer_append(&connection->body, at, length);
    return 0;
}

static int http_on_message_complete(http_parser *parser) {
    struct http_connection *connection = parser->data;
    connection->complete = true;
    connection->keep_alive = http_should_keep_alive(parser) != 0;
    /* One request at a time: what follows stays in the input. */
    http_parser_pause(parser, 1);
    return 0;
}

static const http_parser_settings http_settings = {
    .on_message_begin = http_on_message_begin,
    .on_url = http_on_url,
    .on_header_field = http_on_header_field,
    .on_header_value = http_on_header_value,
    .on_headers_complete = http_on_headers_complete,
    .on_body = http_on_body,
    .on_message_complete = http_on_message_complete,
};

static void http_connection_send_refusal(struct http_connection *connection, int status) {
    char head[128];
    int length =
        snprintf(head, sizeof(head),
                 "HTTP/1.1 %d Refused\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", status);
    /* Read on for a moment: closing with unread input would reset, and the client, which may still
     * be sending its body, would never see the answer. */
    connection->ending = true;
    connection->lingering = true;
    (void)uv_timer_start(&connection->timer, http_connection_on_idle, HTTP_LINGER_MS, 0);
    buffer_clear(&connection->input);
    http_connection_write(connection, head, (size_t)length);
}

/* Hands the parsed request to the handler. */
static void http_connection_dispatch(struct http_connection *connection) {
    struct http_exchange *exchange = http_exchange_create();
    struct http_request *request = &connection->request;
    const char *url = connection->url.size_bytes > 0 ? connection->url.data : "";
    /* An absolute URL (a proxy's form) has no use here; its path would be signed differently. */
    size_t path_bytes = strcspn(url, "?#");
    size_t query_bytes = url[path_bytes] == '?' ? strcspn(url + path_bytes + 1, "#") : 0;

    free(request->method);
    free(request->path);
    free(request->query);
    free(request->body);
    request->method = alloc_text(http_method_str((enum http_method)connection->parser.method));
    request->path = alloc_bytes(url, path_bytes);
    request->query = alloc_bytes(query_bytes > 0 ? url + path_bytes + 1 : "", query_bytes);
    request->body = alloc_bytes(connection->body.data, connection->body.size_bytes);
    request->body_bytes = connection->body.size_bytes;

    exchange->request = *request;
    http_request_init(request);
    http_connection_clear_request(connection);
    exchange->connection = connection;
    connection->exchange = exchange;
    (void)uv_timer_stop(&connection->timer);
    connection->dispatching = true;
    connection->server->options.handler(connection->server->options.context, exchange);
    connection->dispatching = false;
}

/* Parses what is there until a request is complete. */
static void http_connection_continue(struct http_connection *connection) {
    while (!connection->closing && !connection->ending && connection->exchange == NULL &&
           connection->input.size_bytes > 0) {
        http_parser *parser = &connection->parser;
        size_t parsed = http_parser_execute(parser, &http_settings, connection->input.data,
                                            connection->input.size_bytes);
        if (connection->complete) {
            http_parser_pause(parser, 0);
            buffer_consume(&connection->input, parsed);
            http_connection_dispatch(connection);
            continue;
        }
        if (HTTP_PARSER_ERRNO(parser) != HPE_OK || parser->upgrade) {
            http_connection_send_refusal(
                connection, connection->refusal_status != 0 ? connection->refusal_status : 400);
            return;
        }
        buffer_consume(&connection->input, parsed);
    }
}

static void http_connection_on_allocate(uv_handle_t *handle, size_t suggested_bytes,
                                        uv_buf_t *part) {
    /* One loop, and a read is used up before the next: one chunk serves all. */
    static char chunk[HTTP_READ_CHUNK_BYTES];
    (void)handle;
    (void)suggested_bytes;
    *part = uv_buf_init(chunk, sizeof(chunk));
}

static void http_connection_receive(struct http_connection *connection, const char *bytes,
                                    size_t size_bytes) {
    if (connection->ending) {
        return;
    }
    if (connection->exchange == NULL && !connection->in_request) {
        http_connection_start_idle(connection);
    }
    if (connection->tls == NULL) {
        buffer_append(&connection->input, bytes, size_bytes);
    } else {
        struct buffer wire;
        buffer_init(&wire, 0);
        bool alive =
            tls_channel_receive(connection->tls, bytes, size_bytes, &connection->input, &wire);
        http_connection_write_wire(connection, &wire);
        if (!alive) {
            connection->ending = true;
            if (connection->tcp.write_queue_size == 0) {
                http_connection_close(connection, false);
            }
            return;
        }
    }
    if (connection->exchange != NULL && connection->input.size_bytes > HTTP_PIPELINE_MAX_BYTES) {
        http_connection_close(connection, true);
        return;
    }
    http_connection_continue(connection);
}

static void http_connection_on_read(uv_stream_t *stream, ssize_t size_bytes, const uv_buf_t *part) {
    struct http_connection *connection = stream->data;
    if (size_bytes < 0) {
        http_connection_close(connection, false);
    } else if (size_bytes > 0) {
        http_connection_receive(connection, part->base, (size_t)size_bytes);
    }
}

static void http_connection_send_reply(struct http_connection *connection) {
    http_connection_write(connection, connection->reply.data, connection->reply.size_bytes);
    buffer_clear(&connection->reply);
    if (connection->closing) {
        return;
    }
    if (!connection->keep_alive) {
        connection->ending = true;
        return;
    }
    http_connection_start_idle(connection);
}

static void http_connection_on_reply_due(uv_timer_t *timer) {
    struct http_connection *connection = timer->data;
    http_exchange_destroy(connection->exchange);
    connection->exchange = NULL;
    connection->parked = false;
    http_connection_send_reply(connection);
    http_connection_continue(connection);
}

void http_connection_reply(struct http_connection *connection, uint64_t delay_ms,
                           const struct buffer *reply) {
    buffer_append(&connection->reply, reply->data, reply->size_bytes);
    if (delay_ms == 0) {
        http_exchange_destroy(connection->exchange);
        connection->exchange = NULL;
        http_connection_send_reply(connection);
        if (!connection->dispatching) {
            http_connection_continue(connection);
        }
        return;
    }
    /* The exchange is complete for its handler; the connection keeps it until the reply is out. */
    connection->parked = true;
    (void)uv_timer_start(&connection->timer, http_connection_on_reply_due, delay_ms, 0);
}

void http_connection_accept(struct http_server *server) {
    struct http_connection *connection = alloc_zeroed(1, sizeof(*connection));
    connection->server = server;
    http_parser_init(&connection->parser, HTTP_REQUEST);
    connection->parser.data = connection;
    http_request_init(&connection->request);
    /* Limits are checked where the bytes come in. */
    buffer_init(&connection->input, 0);
    buffer_init(&connection->url, 0);
    buffer_init(&connection->header_name, 0);
    buffer_init(&connection->header_value, 0);
    buffer_init(&connection->body, 0);
    buffer_init(&connection->reply, 0);
    (void)uv_tcp_init(server->options.loop, &connection->tcp);
    (void)uv_timer_init(server->options.loop, &connection->timer);
    connection->tcp.data = connection;
    connection->timer.data = connection;
    connection->open_handles = 2;
    connection->next = server->connections;
    if (server->connections != NULL) {
        server->connections->previous = connection;
    }
    server->connections = connection;
    server->connection_count++;

    bool accepted =
        uv_accept((uv_stream_t *)server->listener, (uv_stream_t *)&connection->tcp) == 0;
    if (!accepted || server->mode != HTTP_SERVER_SERVE ||
        server->connection_count > HTTP_CONNECTIONS_MAX) {
        http_connection_close(connection, accepted);
        return;
    }
    if (server->options.tls != NULL) {
        connection->tls = tls_channel_create(server->options.tls);
    }
    (void)uv_tcp_nodelay(&connection->tcp, 1);
    http_connection_start_idle(connection);
    if (uv_read_start((uv_stream_t *)&connection->tcp, http_connection_on_allocate,
                      http_connection_on_read) != 0) {
        http_connection_close(connection, false);
    }
}
