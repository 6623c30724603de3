/* One client's connection: read a request, answer it, read the next. One answer is under way at a
 * time and nothing is read meanwhile, so that a client costs at most one answer and one buffer. */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "http_private.h"

static void process(struct http_connection *connection);

static void on_closed(uv_handle_t *handle) {
    struct http_connection *connection = handle->data;
    buffer_finish(&connection->input);
    buffer_finish(&connection->output);
    buffer_finish(&connection->waiting);
    view_text_release(connection->document);
    free(connection);
}

void http_connection_close(struct http_connection *connection) {
    struct http_endpoints *endpoints = connection->listener->endpoints;
    if (connection->phase == HTTP_CLOSING) {
        return;
    }
    if (connection->phase == HTTP_STREAMING) {
        endpoints->stream_count--;
    }
    connection->phase = HTTP_CLOSING;
    connection->listener->connection_count--;
    if (connection->previous == NULL) {
        endpoints->connections = connection->next;
    } else {
        connection->previous->next = connection->next;
    }
    if (connection->next != NULL) {
        connection->next->previous = connection->previous;
    }
    uv_close((uv_handle_t *)&connection->tcp, on_closed);
}

static void enter(struct http_connection *connection, enum http_phase phase) {
    connection->phase = phase;
    connection->since_ms = uv_now(connection->tcp.loop);
    connection->progress_ms = connection->since_ms;
    connection->unsent_bytes = SIZE_MAX;
}

static void on_allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *ret) {
    struct http_connection *connection = handle->data;
    struct http_endpoints *endpoints = connection->listener->endpoints;
    (void)suggested;
    *ret = uv_buf_init(endpoints->read_bytes, sizeof endpoints->read_bytes);
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buf) {
    struct http_connection *connection = stream->data;
    if (size < 0) {
        http_connection_close(connection);
        return;
    }
    if (connection->phase != HTTP_READING) {
        return; /* thrown away: a stream's or a last answer's client has nothing more to say */
    }
    if (!buffer_append(&connection->input, buf->base, (size_t)size)) {
        http_connection_close(connection);
        return;
    }
    process(connection);
}

static void set_reading(struct http_connection *connection, bool on) {
    if (connection->reading == on || connection->phase == HTTP_CLOSING) {
        return;
    }
    connection->reading = on;
    if (!on) {
        (void)uv_read_stop((uv_stream_t *)&connection->tcp);
    } else if (uv_read_start((uv_stream_t *)&connection->tcp, on_allocate, on_read) != 0) {
        http_connection_close(connection);
    }
}

static void on_shutdown(uv_shutdown_t *request, int status) {
    struct http_connection *connection = request->data;
    if (status != 0) {
        http_connection_close(connection);
    }
}

static void begin_linger(struct http_connection *connection) {
    enter(connection, HTTP_LINGERING);
    connection->shutdown.data = connection;
    if (uv_shutdown(&connection->shutdown, (uv_stream_t *)&connection->tcp, on_shutdown) != 0) {
        http_connection_close(connection);
        return;
    }
    set_reading(connection, true);
}

static void forget_answer(struct http_connection *connection) {
    buffer_clear(&connection->output);
    buffer_clear(&connection->waiting);
    view_text_release(connection->document);
    connection->document = NULL;
}

static void on_answer_sent(struct http_connection *connection) {
    forget_answer(connection);
    if (connection->close_after) {
        begin_linger(connection);
        return;
    }
    enter(connection, HTTP_READING);
}

static void on_written(uv_write_t *write, int status) {
    struct http_connection *connection = write->data;
    connection->write_under_way = false;
    if (connection->phase == HTTP_CLOSING) {
        return;
    }
    if (status != 0) {
        http_connection_close(connection);
    } else if (connection->phase == HTTP_STREAMING) {
        struct buffer sent = connection->output;
        connection->output = connection->waiting;
        connection->waiting = sent;
        buffer_clear(&connection->waiting);
        if (connection->output.size_bytes > 0) {
            http_connection_push(connection, "", 0);
        }
    } else {
        on_answer_sent(connection);
        process(connection);
    }
}

/* Sends all buffers; true when it is done at once. What is left goes on in the background, from
 * memory that stays until on_written. */
static bool send_buffers(struct http_connection *connection, uv_buf_t *buffers, unsigned count) {
    uv_stream_t *stream = (uv_stream_t *)&connection->tcp;
    int sent = uv_try_write(stream, buffers, count);
    size_t left = sent > 0 ? (size_t)sent : 0;
    while (count > 0 && left >= buffers->len) {
        left -= buffers->len;
        buffers++;
        count--;
    }
    if (count == 0) {
        return true;
    }
    buffers->base += left;
    buffers->len -= left;
    connection->write.data = connection;
    if (uv_write(&connection->write, stream, buffers, count, on_written) != 0) {
        http_connection_close(connection);
        return false;
    }
    connection->write_under_way = true;
    connection->progress_ms = uv_now(connection->tcp.loop);
    connection->unsent_bytes = uv_stream_get_write_queue_size(stream);
    return false;
}

static void append_date(struct http_connection *connection, struct buffer *head) {
    time_t now = (time_t)(clock_wall_ms(&connection->listener->endpoints->clock) / 1000);
    struct tm parts;
    char text[64];
    if (gmtime_r(&now, &parts) != NULL &&
        strftime(text, sizeof text, "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &parts) > 0) {
        buffer_append_text(head, text);
    }
}

static void append_head(struct http_connection *connection, const struct http_scene *scene,
                        const struct http_answer *answer, size_t body_bytes) {
    struct buffer *head = &connection->output;
    buffer_append_format(head, "HTTP/1.1 %u %s\r\n", answer->status,
                         http_status_text(answer->status));
    append_date(connection, head);
    if (answer->allow) {
        buffer_append_text(head, "Allow: GET, HEAD, OPTIONS\r\n");
    }
    buffer_append_format(head, "Content-Type: %s\r\nCache-Control: no-store\r\n",
                         answer->content_type);
    if (!answer->stream) {
        buffer_append_format(head, "Content-Length: %zu\r\n", body_bytes);
    }
    const struct view *view = scene->view;
    if (view != NULL) {
        buffer_append_format(head, "Noctua-Applied-Index: %" PRIu64 "\r\n", view->applied_index);
        if (view->quorum_contact_ms != 0) {
            uint64_t age_ms = scene->now_ms > view->quorum_contact_ms
                                  ? scene->now_ms - view->quorum_contact_ms
                                  : 0;
            buffer_append_format(head, "Noctua-Age-Ms: %" PRIu64 "\r\n", age_ms);
        }
    }
    buffer_append_format(head, "Connection: %s\r\n\r\n",
                         connection->close_after ? "close" : "keep-alive");
}

/* Sends an answer to a request whose verb decides about the body. */
static void answer_request(struct http_connection *connection, const struct http_scene *scene,
                           const struct http_answer *answer, enum http_verb verb) {
    struct http_endpoints *endpoints = connection->listener->endpoints;
    size_t document_bytes = 0;
    const char *document = NULL;
    const struct buffer *tail = &connection->waiting;
    http_endpoints_count(endpoints, answer->route, answer->status);
    buffer_append_text(&connection->waiting, answer->body);
    if (answer->document != NULL) {
        document = view_text_bytes(answer->document, &document_bytes);
        connection->document = view_text_acquire(answer->document);
        if (answer->route == HTTP_ROUTE_METRICS) {
            http_endpoints_render(endpoints, &connection->waiting);
        }
    }
    /* The Content-Length of OPTIONS is that of its own, empty body; HEAD's is GET's. */
    size_t body_bytes = verb == HTTP_VERB_OPTIONS ? 0 : document_bytes + tail->size_bytes;
    append_head(connection, scene, answer, body_bytes);
    if (connection->output.failed || tail->failed) {
        http_connection_close(connection);
        return;
    }
    bool with_body = verb != HTTP_VERB_HEAD && verb != HTTP_VERB_OPTIONS;
    uv_buf_t buffers[3];
    unsigned count = 0;
    buffers[count++] =
        uv_buf_init(connection->output.data, (unsigned)connection->output.size_bytes);
    if (with_body && document_bytes > 0) {
        buffers[count++] = uv_buf_init((char *)document, (unsigned)document_bytes);
    }
    if (with_body && tail->size_bytes > 0) {
        buffers[count++] = uv_buf_init(tail->data, (unsigned)tail->size_bytes);
    }
    enter(connection, HTTP_WRITING);
    if (send_buffers(connection, buffers, count)) {
        on_answer_sent(connection);
    }
}

static void refuse(struct http_connection *connection, unsigned status) {
    struct http_scene scene =
        http_endpoints_scene(connection->listener->endpoints, connection->listener->is_public);
    struct http_answer answer;
    http_route_refusal(status, &answer);
    connection->close_after = true;
    answer_request(connection, &scene, &answer, HTTP_VERB_GET);
}

static void begin_stream(struct http_connection *connection, const struct http_scene *scene,
                         const struct http_answer *answer, uint64_t last_event_id) {
    struct http_endpoints *endpoints = connection->listener->endpoints;
    if (endpoints->stream_count >= HTTP_EVENT_CLIENT_MAX) {
        refuse(connection, HTTP_STATUS_SERVICE_UNAVAILABLE);
        return;
    }
    http_endpoints_count(endpoints, answer->route, answer->status);
    connection->close_after = true; /* its end is the end of the connection */
    append_head(connection, scene, answer, 0);
    struct buffer head = connection->output;
    buffer_init(&connection->output, HTTP_OUTPUT_MAX_BYTES);
    enter(connection, HTTP_STREAMING);
    endpoints->stream_count++;
    http_connection_push(connection, head.data, head.size_bytes);
    buffer_finish(&head);
    if (connection->phase == HTTP_STREAMING) {
        http_events_begin(connection, last_event_id);
    }
}

void http_connection_push(struct http_connection *connection, const char *bytes,
                          size_t size_bytes) {
    if (connection->phase != HTTP_STREAMING) {
        return;
    }
    struct buffer *to = connection->write_under_way ? &connection->waiting : &connection->output;
    if (size_bytes > 0 && !buffer_append(to, bytes, size_bytes)) {
        http_connection_close(connection); /* it reads too slowly */
        return;
    }
    if (connection->write_under_way || connection->output.size_bytes == 0) {
        return;
    }
    connection->since_ms = uv_now(connection->tcp.loop);
    uv_buf_t buffer = uv_buf_init(connection->output.data, (unsigned)connection->output.size_bytes);
    if (send_buffers(connection, &buffer, 1)) {
        buffer_clear(&connection->output);
    }
}

static void answer_complete(struct http_connection *connection) {
    struct http_endpoints *endpoints = connection->listener->endpoints;
    struct http_scene scene = http_endpoints_scene(endpoints, connection->listener->is_public);
    struct http_request *request = &connection->request;
    struct http_answer answer;
    http_endpoints_answer(endpoints, &scene, request, &answer);
    enum http_verb verb = request->verb;
    uint64_t last_event_id = request->last_event_id;
    connection->close_after = !request->keep_alive;
    http_request_init(request);
    if (answer.stream) {
        begin_stream(connection, &scene, &answer, last_event_id);
    } else {
        answer_request(connection, &scene, &answer, verb);
    }
}

/* Answers what has come in, until it is all used up or an answer can't be sent at once. */
static void process(struct http_connection *connection) {
    struct buffer *input = &connection->input;
    while (connection->phase == HTTP_READING && input->size_bytes > 0) {
        struct http_request *request = &connection->request;
        if (!request->started) {
            connection->since_ms = uv_now(connection->tcp.loop);
        }
        size_t taken = http_request_feed(request, input->data, input->size_bytes);
        buffer_consume(input, taken);
        if (request->complete) {
            answer_complete(connection);
        } else if (request->refusal != 0) {
            unsigned status = request->refusal;
            http_request_init(request);
            refuse(connection, status);
        }
    }
    if (connection->phase == HTTP_LINGERING || connection->phase == HTTP_STREAMING) {
        buffer_clear(input);
    }
    set_reading(connection, connection->phase != HTTP_WRITING);
}

void http_connection_sweep(struct http_connection *connection) {
    const struct http_endpoints *endpoints = connection->listener->endpoints;
    uint64_t now_ms = uv_now(connection->tcp.loop);
    uint64_t phase_ms = now_ms - connection->since_ms;
    if (connection->write_under_way) {
        size_t unsent = uv_stream_get_write_queue_size((uv_stream_t *)&connection->tcp);
        if (unsent != connection->unsent_bytes) {
            connection->unsent_bytes = unsent;
            connection->progress_ms = now_ms;
        } else if (now_ms - connection->progress_ms >= endpoints->write_ms) {
            http_connection_close(connection);
        }
        return;
    }
    switch (connection->phase) {
    case HTTP_READING:
        if (connection->request.started && phase_ms >= endpoints->header_ms) {
            http_request_init(&connection->request);
            buffer_clear(&connection->input);
            refuse(connection, HTTP_STATUS_REQUEST_TIMEOUT);
        } else if (!connection->request.started && phase_ms >= endpoints->idle_ms) {
            http_connection_close(connection);
        }
        break;
    case HTTP_STREAMING:
        if (phase_ms >= HTTP_STREAM_PING_MS) {
            http_connection_push(connection, ":\n\n", 3);
        }
        break;
    case HTTP_LINGERING:
        if (phase_ms >= HTTP_LINGER_MS) {
            http_connection_close(connection);
        }
        break;
    case HTTP_WRITING:
    case HTTP_CLOSING:
        break;
    }
}

/* A full listener makes room by dropping the connection that has been idle longest. */
static bool make_room(struct http_listener *listener) {
    struct http_connection *idlest = NULL;
    for (struct http_connection *c = listener->endpoints->connections; c != NULL; c = c->next) {
        if (c->listener == listener && c->phase == HTTP_READING && !c->request.started &&
            (idlest == NULL || c->since_ms < idlest->since_ms)) {
            idlest = c;
        }
    }
    if (idlest != NULL) {
        http_connection_close(idlest);
    }
    return idlest != NULL;
}

void http_connection_accept(struct http_listener *listener) {
    struct http_endpoints *endpoints = listener->endpoints;
    struct http_connection *connection = calloc(1, sizeof *connection);
    listener->accept_waits = connection == NULL;
    if (connection == NULL) {
        return; /* libuv holds it, and accepts no other, until the sweep tries again */
    }
    bool room = listener->connection_count < endpoints->max_connections || make_room(listener);
    connection->listener = listener;
    connection->tcp.data = connection;
    buffer_init(&connection->input, HTTP_READ_BYTES + HTTP_HEADER_MAX_BYTES);
    buffer_init(&connection->output, HTTP_OUTPUT_MAX_BYTES);
    buffer_init(&connection->waiting, HTTP_OUTPUT_MAX_BYTES);
    http_request_init(&connection->request);
    (void)uv_tcp_init(&endpoints->loop, &connection->tcp);
    listener->connection_count++;
    connection->next = endpoints->connections;
    if (connection->next != NULL) {
        connection->next->previous = connection;
    }
    endpoints->connections = connection;
    if (uv_accept((uv_stream_t *)&listener->tcp, (uv_stream_t *)&connection->tcp) != 0) {
        http_connection_close(connection);
        return;
    }
    (void)uv_tcp_nodelay(&connection->tcp, 1);
    enter(connection, HTTP_READING);
    if (room) {
        set_reading(connection, true);
        return;
    }
    endpoints->refused_connections++;
    refuse(connection, HTTP_STATUS_SERVICE_UNAVAILABLE);
    /* No lingering here: it would let a storm hold more than the limit. */
    http_connection_close(connection);
}
