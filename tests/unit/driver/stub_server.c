#include "stub_server.h"

#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct stub_connection {
    uv_tcp_t tcp;
    struct stub_server *server;
    struct stub_connection *next;
    unsigned number;
    struct buffer input;
};

struct stub_write {
    uv_write_t write;
    char *bytes;
};

static void on_connection_closed(uv_handle_t *handle) {
    struct stub_connection *connection = handle->data;
    buffer_finish(&connection->input);
    free(connection);
}

static void connection_close(struct stub_connection *connection) {
    struct stub_connection **at = &connection->server->open;
    while (*at != connection) {
        at = &(*at)->next;
    }
    *at = connection->next;
    uv_close((uv_handle_t *)&connection->tcp, on_connection_closed);
}

static void on_written(uv_write_t *write, int status) {
    (void)status;
    struct stub_write *done = write->data;
    free(done->bytes);
    free(done);
}

static void send_reply(struct stub_connection *connection, struct buffer *reply) {
    struct stub_write *out = calloc(1, sizeof *out);
    uv_buf_t bytes = uv_buf_init(reply->data, (unsigned)reply->size_bytes);
    out->bytes = buffer_take(reply);
    out->write.data = out;
    uv_write(&out->write, (uv_stream_t *)&connection->tcp, &bytes, 1, on_written);
}

/* Takes one whole request off the input; false when there is none, or the connection is gone. */
static bool take_request(struct stub_connection *connection) {
    struct stub_server *server = connection->server;
    char *input = connection->input.data;
    char *end = input == NULL ? NULL : strstr(input, "\r\n\r\n");
    if (end == NULL) {
        return false;
    }
    size_t head = (size_t)(end - input) + 4, length = 0;
    char *field = strcasestr(input, "\r\ncontent-length:");
    if (field != NULL && field < end) {
        length = strtoul(field + 17, NULL, 10);
    }
    if (connection->input.size_bytes < head + length) {
        return false;
    }
    char *copy = strndup(input, head + length);
    copy[head - 2] = '\0';
    char *headers = strstr(copy, "\r\n");
    headers = headers == NULL ? copy + strlen(copy) : headers + 2;
    headers[-1] = headers[-2] = '\0';
    char *path = strchr(copy, ' ');
    *path++ = '\0';
    *strchr(path, ' ') = '\0';
    struct stub_request request = {copy, path, headers, copy + head, connection->number};
    struct buffer reply;
    buffer_init(&reply, 0);
    server->requests++;
    bool keep = server->answer(server->context, &request, &reply);
    free(copy);
    buffer_consume(&connection->input, head + length);
    if (!keep) {
        connection_close(connection);
    } else if (reply.size_bytes > 0) {
        send_reply(connection, &reply);
    }
    buffer_finish(&reply);
    return keep;
}

static void on_room(uv_handle_t *handle, size_t wanted_bytes, uv_buf_t *ret_room) {
    static char room[65536];
    (void)handle;
    (void)wanted_bytes;
    *ret_room = uv_buf_init(room, sizeof room);
}

static void on_data(uv_stream_t *stream, ssize_t size_bytes, const uv_buf_t *bytes) {
    struct stub_connection *connection = stream->data;
    if (size_bytes < 0) {
        connection_close(connection);
        return;
    }
    buffer_append(&connection->input, bytes->base, (size_t)size_bytes);
    while (take_request(connection)) {
    }
}

static void on_connection(uv_stream_t *listener, int status) {
    struct stub_server *server = listener->data;
    assert_int_equal(status, 0);
    struct stub_connection *connection = calloc(1, sizeof *connection);
    connection->server = server;
    connection->number = ++server->connections;
    connection->next = server->open;
    server->open = connection;
    buffer_init(&connection->input, 0);
    uv_tcp_init(listener->loop, &connection->tcp);
    connection->tcp.data = connection;
    assert_int_equal(uv_accept(listener, (uv_stream_t *)&connection->tcp), 0);
    uv_read_start((uv_stream_t *)&connection->tcp, on_room, on_data);
}

void stub_server_start(struct stub_server *server, uv_loop_t *loop, stub_answer answer,
                       void *context) {
    *server = (struct stub_server){.answer = answer, .context = context};
    struct sockaddr_in address;
    int length = sizeof address;
    uv_ip4_addr("127.0.0.1", 0, &address);
    uv_tcp_init(loop, &server->listener);
    server->listener.data = server;
    assert_int_equal(uv_tcp_bind(&server->listener, (const struct sockaddr *)&address, 0), 0);
    assert_int_equal(uv_listen((uv_stream_t *)&server->listener, 16, on_connection), 0);
    uv_tcp_getsockname(&server->listener, (struct sockaddr *)&address, &length);
    (void)snprintf(server->url, sizeof server->url, "http://127.0.0.1:%u", ntohs(address.sin_port));
}

void stub_server_stop(struct stub_server *server) {
    while (server->open != NULL) {
        connection_close(server->open);
    }
    uv_close((uv_handle_t *)&server->listener, NULL);
}

void stub_reply(struct buffer *reply, int status, const char *body) {
    buffer_append_format(reply,
                         "HTTP/1.1 %d Stub\r\nDate: " STUB_DATE "\r\nContent-Length: %zu\r\n\r\n%s",
                         status, strlen(body), body);
}

struct guard {
    uv_timer_t timer;
    uint64_t end_ms;
    bool too_late, closed;
};

/* Ticks, because a flag that is set by a timer must not wait for the next input. */
static void on_tick(uv_timer_t *timer) {
    struct guard *guard = timer->data;
    guard->too_late = uv_now(timer->loop) >= guard->end_ms;
}

static void on_guard_closed(uv_handle_t *handle) {
    struct guard *guard = handle->data;
    guard->closed = true;
}

void run_until(uv_loop_t *loop, const bool *flag) {
    struct guard guard = {.too_late = false};
    uv_update_time(loop);
    uv_timer_init(loop, &guard.timer);
    guard.timer.data = &guard;
    guard.end_ms = uv_now(loop) + 10000;
    uv_timer_start(&guard.timer, on_tick, 2, 2);
    while (!*flag && !guard.too_late) {
        uv_run(loop, UV_RUN_ONCE);
    }
    uv_close((uv_handle_t *)&guard.timer, on_guard_closed);
    while (!guard.closed) {
        uv_run(loop, UV_RUN_NOWAIT);
    }
    assert_true(*flag);
}
