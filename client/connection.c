#include "connection.h"

#include <assert.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/clock.h"
#include "base/entropy.h"
#include "base/text.h"
#include "net/frame.h"
#include "net/stream.h"
#include "net/tls.h"

#define RETRY_MS 100
#define OUTPUT_MAX_BYTES (4 * 1024 * 1024)
#define REPLY_QUEUE_MAX 1024
#define REPLY_DEADLINE_MS 10000 /* one node's answer; then another is asked */
#define REPLY_LEAST_MS 1000     /* what was asked may be done: hear what became of it */

struct endpoint {
    char host[256];
    char port[8]; /* 1 to 65535 */
};

struct connection {
    uv_loop_t loop;
    uv_timer_t timer;
    struct tls_identity *identity;
    struct endpoint endpoints[CONNECTION_ENDPOINT_MAX];
    uint32_t endpoint_count, at;
    uint64_t timeout_ms;
    uint64_t end_ms; /* of the call under way, by CLOCK_BOOTTIME */
    uint8_t client_id[16];
    uint64_t known_index;
    bool knows_index;
    char id[CONNECTION_ID_SIZE];

    struct tls_stream *stream;
    struct frame_parser parser;
    bool ready, closed, timed_out;
    struct error closed_error;
    Noctua__Reply *queue[REPLY_QUEUE_MAX]; /* came in, not looked at yet */
    uint32_t queue_count;
    Noctua__Reply *reply; /* the one being looked at */
    char leader[64];      /* by name, as the last answer said */
};

static uint64_t now_ms(void) {
    return clock_boottime_ms(&clock_system);
}

/* How much of wait_ms the call under way has left. */
static uint64_t left_of_call_ms(const struct connection *c, uint64_t wait_ms) {
    uint64_t at_ms = now_ms();
    uint64_t left_ms = c->end_ms > at_ms ? c->end_ms - at_ms : 0;
    return left_ms < wait_ms ? left_ms : wait_ms;
}

/* --- one stream --- */

static void on_ready(struct tls_stream *stream, const struct tls_peer *peer, void *context) {
    struct connection *c = context;
    (void)stream;
    if (peer->kind != TLS_KIND_NODE) {
        tls_stream_close(stream);
        return;
    }
    c->ready = true;
    uv_stop(&c->loop);
}

static bool on_frame(enum frame_type type, const uint8_t *payload, size_t size_bytes,
                     void *context) {
    struct connection *c = context;
    if (type != FRAME_RESPONSE || c->queue_count == REPLY_QUEUE_MAX) {
        return false;
    }
    Noctua__Reply *reply = noctua__reply__unpack(NULL, size_bytes, payload);
    if (reply == NULL) {
        return false;
    }
    c->queue[c->queue_count++] = reply;
    uv_stop(&c->loop);
    return true;
}

static void drop_reply(struct connection *c) {
    if (c->reply != NULL) {
        noctua__reply__free_unpacked(c->reply, NULL);
        c->reply = NULL;
    }
}

static void drop_queue(struct connection *c) {
    for (uint32_t i = 0; i < c->queue_count; i++) {
        noctua__reply__free_unpacked(c->queue[i], NULL);
    }
    c->queue_count = 0;
}

static void on_data(struct tls_stream *stream, const void *bytes, size_t size_bytes,
                    void *context) {
    struct connection *c = context;
    struct error error;
    if (frame_parser_feed(&c->parser, bytes, size_bytes, on_frame, c, &error) != ERROR_OK ||
        c->queue_count == REPLY_QUEUE_MAX) {
        tls_stream_close(stream);
    }
}

static void on_closed(struct tls_stream *stream, const struct error *error, void *context) {
    struct connection *c = context;
    (void)stream;
    c->closed = true;
    c->closed_error = *error;
    c->stream = NULL;
    uv_stop(&c->loop);
}

static void on_timer(uv_timer_t *timer) {
    struct connection *c = timer->data;
    c->timed_out = true;
    uv_stop(&c->loop);
}

/* Runs the loop until a callback stops it or the time is over. */
static void run_for(struct connection *c, uint64_t wait_ms) {
    c->timed_out = false;
    (void)uv_timer_start(&c->timer, on_timer, wait_ms, 0);
    (void)uv_run(&c->loop, UV_RUN_DEFAULT);
    (void)uv_timer_stop(&c->timer);
}

static void disconnect(struct connection *c) {
    if (c->stream != NULL) {
        tls_stream_close(c->stream);
        while (c->stream != NULL) {
            run_for(c, REPLY_DEADLINE_MS);
        }
    }
    drop_queue(c);
    frame_parser_finish(&c->parser);
    frame_parser_init(&c->parser, FRAME_SET(FRAME_RESPONSE), 0);
    c->ready = false;
}

static enum error_code connect_to_address(struct connection *c, const struct endpoint *endpoint,
                                          const struct sockaddr *address, struct error *error) {
    static const struct tls_stream_callbacks callbacks = {on_ready, on_data, on_closed};
    c->closed = false;
    enum error_code code = tls_stream_connect(&c->loop, c->identity, address, OUTPUT_MAX_BYTES,
                                              &callbacks, c, &c->stream, error);
    if (code != ERROR_OK) {
        return error_prefix(error, "%s:%s", endpoint->host, endpoint->port);
    }
    while (!c->ready && !c->closed && left_of_call_ms(c, REPLY_DEADLINE_MS) > 0) {
        run_for(c, left_of_call_ms(c, REPLY_DEADLINE_MS));
    }
    if (c->ready && !c->closed) {
        return ERROR_OK;
    }
    const char *why = c->closed ? c->closed_error.message : "no answer";
    bool denied = c->closed && c->closed_error.code == ERROR_DENIED;
    code = error_set(error, denied ? ERROR_DENIED : ERROR_UNAVAILABLE, "%s:%s: %.200s",
                     endpoint->host, endpoint->port, why);
    disconnect(c);
    return code;
}

/* A name may have several addresses, of which only one is listened on. */
static enum error_code connect_to(struct connection *c, const struct endpoint *endpoint,
                                  struct error *error) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    int rv = getaddrinfo(endpoint->host, endpoint->port, &hints, &found);
    if (rv != 0) {
        return error_set(error, ERROR_UNAVAILABLE, "%s: %s", endpoint->host, gai_strerror(rv));
    }
    enum error_code code = ERROR_UNAVAILABLE;
    for (const struct addrinfo *at = found; at != NULL && code != ERROR_OK; at = at->ai_next) {
        code = connect_to_address(c, endpoint, at->ai_addr, error);
    }
    freeaddrinfo(found);
    return code;
}

static enum error_code send_request(struct connection *c, const Noctua__Request *request,
                                    struct error *error) {
    size_t size = noctua__request__get_packed_size(request);
    uint8_t *bytes = malloc(size == 0 ? 1 : size);
    uint8_t header[FRAME_HEADER_BYTES];
    if (bytes == NULL) {
        return error_set(error, ERROR_NO_MEMORY, "out of memory");
    }
    (void)noctua__request__pack(request, bytes);
    enum error_code code = ERROR_OK;
    if (size > frame_max_bytes(FRAME_REQUEST)) {
        code = error_set(error, ERROR_LIMIT, "the request is too large");
    } else {
        frame_encode_header(FRAME_REQUEST, size, header);
        uv_buf_t buffers[] = {uv_buf_init((char *)header, sizeof header),
                              uv_buf_init((char *)bytes, (unsigned)size)};
        code = tls_stream_write(c->stream, buffers, 2, NULL, NULL);
        if (code != ERROR_OK) {
            (void)error_set(error, code, "can't send: %s", error_text(code));
        }
    }
    free(bytes);
    return code;
}

/* The next reply on the standing stream. */
static enum error_code receive(struct connection *c, uint64_t wait_ms, struct error *error) {
    drop_reply(c);
    uint64_t end_ms = now_ms() + wait_ms;
    while (c->queue_count == 0 && !c->closed) {
        uint64_t at_ms = now_ms();
        if (at_ms >= end_ms) {
            return error_set(error, ERROR_TIMEOUT, "no answer");
        }
        run_for(c, end_ms - at_ms);
    }
    if (c->queue_count == 0) {
        bool denied = c->closed_error.code == ERROR_DENIED;
        return error_set(error, denied ? ERROR_DENIED : ERROR_UNAVAILABLE, "%.200s",
                         c->closed_error.message);
    }
    c->reply = c->queue[0];
    c->queue_count--;
    memmove(c->queue, c->queue + 1, c->queue_count * sizeof c->queue[0]);
    return ERROR_OK;
}

/* --- finding somebody who answers --- */

static enum error_code ask_once(struct connection *c, Noctua__Request *request,
                                struct error *error) {
    if (c->stream == NULL) {
        enum error_code code = connect_to(c, &c->endpoints[c->at], error);
        if (code != ERROR_OK) {
            return code;
        }
    }
    enum error_code code = send_request(c, request, error);
    if (code == ERROR_OK) {
        uint64_t wait_ms = left_of_call_ms(c, REPLY_DEADLINE_MS);
        code = receive(c, wait_ms > REPLY_LEAST_MS ? wait_ms : REPLY_LEAST_MS, error);
    }
    if (code != ERROR_OK) {
        disconnect(c);
    }
    return code;
}

static bool is_not_leader(const Noctua__Reply *reply) {
    return text_equal(reply->error_code, "NOT_LEADER");
}

static void next_endpoint(struct connection *c) {
    disconnect(c);
    c->at = (c->at + 1) % c->endpoint_count;
}

static void pause_a_moment(struct connection *c) {
    run_for(c, RETRY_MS);
}

/* Asks one node after the other until one gives an answer that isn't "not the leader", or all have
 * refused our certificate. */
static enum error_code ask(struct connection *c, Noctua__Request *request, bool allow_stale,
                           struct error *error) {
    uint32_t misses = 0, denials = 0;
    c->end_ms = now_ms() + c->timeout_ms;
    for (;;) {
        request->allow_stale = allow_stale && misses >= 2 * c->endpoint_count;
        request->wall_ms = clock_wall_ms(&clock_system);
        enum error_code code = ask_once(c, request, error);
        assert(code != ERROR_OK || c->reply != NULL);
        if (code == ERROR_OK && !is_not_leader(c->reply)) {
            return ERROR_OK;
        }
        if (code == ERROR_OK) {
            (void)TEXT_COPY(c->leader, c->reply->leader_name);
            (void)error_set(error, ERROR_NOT_LEADER, "no leader answers; last word: %.180s",
                            c->reply->message);
        }
        misses++;
        denials = code == ERROR_DENIED ? denials + 1 : 0;
        next_endpoint(c);
        if (now_ms() >= c->end_ms || denials == c->endpoint_count) {
            return error->code;
        }
        if (misses % c->endpoint_count == 0) {
            pause_a_moment(c);
        }
    }
}

static enum error_code say_hello(struct connection *c, struct error *error) {
    Noctua__HelloRequest hello = NOCTUA__HELLO_REQUEST__INIT;
    Noctua__Request request = NOCTUA__REQUEST__INIT;
    hello.software = (char *)NOCTUA_VERSION;
    request.version = 1;
    request.body_case = NOCTUA__REQUEST__BODY_HELLO;
    request.hello = &hello;
    enum error_code code = ask(c, &request, true, error);
    if (code == ERROR_OK && c->reply->exit_code != 0) {
        code = error_set(error, ERROR_DENIED, "%.250s", c->reply->message);
    }
    if (code == ERROR_OK && !c->knows_index) {
        char hex[33];
        c->knows_index = true;
        c->known_index = c->reply->index;
        text_to_hex(c->client_id, sizeof c->client_id, hex);
        (void)snprintf(c->id, sizeof c->id, "%llu-%s", (unsigned long long)c->known_index, hex);
    }
    return code;
}

static void fill_envelope(struct connection *c, Noctua__Request *request, bool command) {
    request->version = 1;
    request->client_id.data = c->client_id;
    request->client_id.len = sizeof c->client_id;
    request->sequence = command ? 1 : 0;
    request->known_index = c->known_index;
}

enum error_code connection_call(struct connection *c, Noctua__Request *request, bool command,
                                bool allow_stale, Noctua__Reply **ret_reply, struct error *error) {
    if (!c->knows_index) {
        enum error_code code = say_hello(c, error);
        if (code != ERROR_OK) {
            return code;
        }
    }
    fill_envelope(c, request, command);
    enum error_code code = ask(c, request, allow_stale, error);
    if (code == ERROR_OK) {
        *ret_reply = c->reply;
        c->reply = NULL;
    }
    return code;
}

enum error_code connection_watch(struct connection *c, Noctua__Request *request,
                                 uint64_t timeout_ms,
                                 bool (*on_reply)(void *context, const Noctua__Reply *reply),
                                 void (*resume)(void *context, Noctua__Request *request),
                                 void *context, struct error *error) {
    uint64_t end_ms = timeout_ms == 0 ? UINT64_MAX : now_ms() + timeout_ms;
    bool began = false;
    for (;;) {
        fill_envelope(c, request, false);
        enum error_code code = ask(c, request, true, error);
        if (code != ERROR_OK && !began) {
            disconnect(c);
            return code; /* there is nothing to go on with */
        }
        while (code == ERROR_OK) {
            assert(c->reply != NULL);
            began = true;
            if (!on_reply(context, c->reply) || !c->reply->more) {
                disconnect(c);
                return ERROR_OK;
            }
            uint64_t at_ms = now_ms();
            if (at_ms >= end_ms) {
                disconnect(c);
                return error_set(error, ERROR_TIMEOUT, "the wait is over, it goes on");
            }
            uint64_t left_ms = end_ms - at_ms;
            code = receive(c, left_ms < RETRY_MS * 10 ? left_ms : RETRY_MS * 10, error);
            while (code == ERROR_TIMEOUT && now_ms() < end_ms && !c->closed) {
                code = receive(c, RETRY_MS * 10, error);
            }
        }
        disconnect(c);
        if (now_ms() >= end_ms) {
            return error_set(error, ERROR_TIMEOUT, "the wait is over, it goes on");
        }
        if (code != ERROR_UNAVAILABLE && code != ERROR_TIMEOUT) {
            return code;
        }
        resume(context, request);
        pause_a_moment(c);
    }
}

const char *connection_id(const struct connection *c) {
    return c->id;
}

/* --- making one --- */

/* "host:port" or "[address]:port". */
static bool parse_endpoint(const char *text, size_t length, struct endpoint *ret) {
    const char *colon = memrchr(text, ':', length);
    size_t host = colon == NULL ? 0 : (size_t)(colon - text);
    size_t port = colon == NULL ? 0 : length - host - 1;
    uint64_t number;
    bool bracketed = host > 2 && text[0] == '[' && text[host - 1] == ']';
    if (bracketed) {
        text++;
        host -= 2;
    }
    if (host == 0 || host >= sizeof ret->host || port == 0 || port >= sizeof ret->port ||
        (!bracketed && memchr(text, ':', host) != NULL)) {
        return false;
    }
    memcpy(ret->host, text, host);
    ret->host[host] = '\0';
    memcpy(ret->port, colon + 1, port);
    ret->port[port] = '\0';
    return text_to_u64(ret->port, 1, 65535, &number);
}

static enum error_code parse_endpoints(struct connection *c, const char *text,
                                       struct error *error) {
    while (*text != '\0') {
        size_t length = strcspn(text, ",");
        if (c->endpoint_count == CONNECTION_ENDPOINT_MAX ||
            !parse_endpoint(text, length, &c->endpoints[c->endpoint_count])) {
            return error_set(error, ERROR_INVALID,
                             "endpoints are host:port,host:port (at most %d), not '%.*s'",
                             CONNECTION_ENDPOINT_MAX, (int)length, text);
        }
        c->endpoint_count++;
        text += length + (text[length] == ',');
    }
    return c->endpoint_count > 0
               ? ERROR_OK
               : error_set(error, ERROR_INVALID, "no endpoints: --endpoints or NOCTUA_ENDPOINTS");
}

/* "<known index>-<hex>", as an interrupted command printed it. */
static enum error_code parse_id(struct connection *c, const char *id, struct error *error) {
    char number[24];
    const char *dash = strchr(id, '-');
    size_t length = dash == NULL ? 0 : (size_t)(dash - id);
    bool good = length > 0 && length < sizeof number;
    if (good) {
        memcpy(number, id, length);
        number[length] = '\0';
        good = text_to_u64(number, 0, UINT64_MAX, &c->known_index) &&
               text_from_hex(dash + 1, c->client_id, sizeof c->client_id);
    }
    if (!good || strlen(id) >= sizeof c->id) {
        return error_set(error, ERROR_INVALID, "--id is what an interrupted command printed");
    }
    c->knows_index = true;
    (void)TEXT_COPY(c->id, id);
    return ERROR_OK;
}

enum error_code connection_create(const char *endpoints, const char *tls, const char *id,
                                  uint64_t timeout_ms, struct connection **ret_connection,
                                  struct error *error) {
    struct connection *c = calloc(1, sizeof *c);
    if (c == NULL) {
        return error_set(error, ERROR_NO_MEMORY, "out of memory");
    }
    enum error_code code = parse_endpoints(c, endpoints, error);
    entropy_system.fill(entropy_system.context, c->client_id, sizeof c->client_id);
    if (code == ERROR_OK && id != NULL) {
        code = parse_id(c, id, error);
    }
    if (code == ERROR_OK) {
        code = tls_identity_load(tls, TLS_KIND_USER, NULL, &c->identity, error);
    }
    if (code != ERROR_OK) {
        free(c);
        return code;
    }
    int rv = uv_loop_init(&c->loop);
    assert(rv == 0);
    (void)rv;
    (void)uv_timer_init(&c->loop, &c->timer);
    c->timer.data = c;
    c->timeout_ms = timeout_ms;
    frame_parser_init(&c->parser, FRAME_SET(FRAME_RESPONSE), 0);
    *ret_connection = c;
    return ERROR_OK;
}

void connection_destroy(struct connection *c) {
    if (c == NULL) {
        return;
    }
    disconnect(c);
    frame_parser_finish(&c->parser);
    uv_close((uv_handle_t *)&c->timer, NULL);
    (void)uv_run(&c->loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&c->loop);
    drop_reply(c);
    tls_identity_unref(c->identity);
    free(c);
}
