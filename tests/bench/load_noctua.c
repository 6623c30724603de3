/* Durable writes through the operators' API, over mutual TLS: each client vetoes a service of its
 * own (SERVICE1, SERVICE2, ...) and takes that back, over and over, each time with a reason of
 * LOAD_PAYLOAD_BYTES. An answer comes when a majority has the write on disk and it is applied.
 *
 *     load-noctua -e HOST:PORT,... -t DIRECTORY -s SERVICE [-c CLIENTS] [-d SECONDS] [-f]
 *
 * As a load: CLIENTS connections to the first endpoint, which has to lead, one write under way on
 * each. With -f: a connection to every endpoint, and from the line on standard input on it asks
 * whoever answers, every millisecond, until a write is acknowledged. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/entropy.h"
#include "base/text.h"
#include "load.h"
#include "net/frame.h"
#include "net/stream.h"
#include "noctua.pb-c.h"

#define RETRY_MS 1
#define BUFFERED_MAX_BYTES (1024 * 1024)

struct load;

struct client {
    struct load *load;
    struct tls_stream *stream; /* NULL: none stands */
    struct sockaddr_in address;
    struct frame_parser parser;
    uint8_t id[16];
    char service[64];
    uint64_t sequence, sent_ns;
    bool vetoed; /* by the last write that was acknowledged */
    bool ready, waiting;
};

struct load {
    struct load_options options;
    uv_loop_t loop;
    uv_timer_t timer;
    struct tls_identity *identity;
    struct client clients[LOAD_CLIENT_MAX];
    uint32_t client_count, ready_count;
    uint64_t known_index; /* any index that exists */
    uint64_t begun_ns, end_ns;
    struct load_samples samples;
    bool over;
};

static _Noreturn void die(const char *what, const char *why) {
    (void)fprintf(stderr, "load-noctua: %s: %s\n", what, why);
    exit(1);
}

static void send_request(struct client *client, const Noctua__Request *request) {
    size_t size = noctua__request__get_packed_size(request);
    uint8_t bytes[1024];
    uint8_t header[FRAME_HEADER_BYTES];
    if (size > sizeof bytes) {
        die("send", "the request is too large");
    }
    (void)noctua__request__pack(request, bytes);
    frame_encode_header(FRAME_REQUEST, size, header);
    uv_buf_t buffers[] = {uv_buf_init((char *)header, sizeof header),
                          uv_buf_init((char *)bytes, (unsigned)size)};
    client->waiting = tls_stream_write(client->stream, buffers, 2, NULL, NULL) == ERROR_OK;
}

static void say_hello(struct client *client) {
    Noctua__HelloRequest hello = NOCTUA__HELLO_REQUEST__INIT;
    Noctua__Request request = NOCTUA__REQUEST__INIT;
    hello.software = (char *)"load";
    request.version = 1;
    request.body_case = NOCTUA__REQUEST__BODY_HELLO;
    request.hello = &hello;
    send_request(client, &request);
}

static void write_next(struct client *client) {
    char reason[LOAD_PAYLOAD_BYTES + 1];
    (void)snprintf(reason, sizeof reason, "%0*llu", LOAD_PAYLOAD_BYTES,
                   (unsigned long long)++client->sequence);
    Noctua__OverrideRequest override = NOCTUA__OVERRIDE_REQUEST__INIT;
    Noctua__Request request = NOCTUA__REQUEST__INIT;
    override.kind = NOCTUA__OVERRIDE_REQUEST__KIND__VETO;
    override.service = client->service;
    override.end = client->vetoed;
    override.reason = reason;
    override.for_ms = client->vetoed ? 0 : 3600000;
    request.version = 1;
    request.client_id.data = client->id;
    request.client_id.len = sizeof client->id;
    request.sequence = client->sequence;
    request.known_index = client->load->known_index;
    request.wall_ms = (uint64_t)time(NULL) * 1000;
    request.body_case = NOCTUA__REQUEST__BODY_OVERRIDE;
    request.override = &override;
    client->sent_ns = load_now_ns();
    send_request(client, &request);
}

static void begin(struct load *load) {
    load->begun_ns = load_now_ns();
    load->end_ns = load->begun_ns + load->options.seconds * 1000000000U;
    for (uint32_t i = 0; i < load->client_count; i++) {
        write_next(&load->clients[i]);
    }
}

static void on_hello(struct client *client, const Noctua__Reply *reply) {
    struct load *load = client->load;
    load->known_index = reply->index;
    client->ready = true;
    load->ready_count++;
    if (load->ready_count == load->client_count) {
        uv_stop(&load->loop);
    }
}

static void on_written(struct client *client, const Noctua__Reply *reply) {
    struct load *load = client->load;
    uint64_t now_ns = load_now_ns();
    bool good = reply->exit_code == 0;
    if (load->options.first) {
        if (good && !load->over) {
            load->over = true;
            load_first_print(now_ns);
            uv_stop(&load->loop);
        }
        return; /* the timer asks again */
    }
    client->vetoed = client->vetoed != good;
    if (good) {
        load_samples_add(&load->samples, now_ns - client->sent_ns);
    } else if (load->samples.errors++ == 0) {
        (void)fprintf(stderr, "load-noctua: refused: %s\n", reply->message);
    }
    if (now_ns < load->end_ns) {
        write_next(client);
    } else if (--load->ready_count == 0) {
        uv_stop(&load->loop);
    }
}

static bool on_frame(enum frame_type type, const uint8_t *payload, size_t size_bytes,
                     void *context) {
    struct client *client = context;
    (void)type;
    Noctua__Reply *reply = noctua__reply__unpack(NULL, size_bytes, payload);
    if (reply == NULL) {
        die("reply", "can't be read");
    }
    client->waiting = false;
    if (client->ready) {
        on_written(client, reply);
    } else {
        on_hello(client, reply);
    }
    noctua__reply__free_unpacked(reply, NULL);
    return true;
}

static void on_data(struct tls_stream *stream, const void *bytes, size_t size_bytes,
                    void *context) {
    struct client *client = context;
    struct error error;
    (void)stream;
    if (frame_parser_feed(&client->parser, bytes, size_bytes, on_frame, client, &error) !=
        ERROR_OK) {
        die("reply", error.message);
    }
}

static void on_ready(struct tls_stream *stream, const struct tls_peer *peer, void *context) {
    (void)stream;
    (void)peer;
    say_hello(context);
}

static void on_closed(struct tls_stream *stream, const struct error *error, void *context) {
    struct client *client = context;
    (void)stream;
    client->stream = NULL;
    client->waiting = false;
    if (!client->load->options.first && !client->load->over) {
        die("connection", error->message);
    }
}

static void connect_client(struct load *load, const char *endpoint) {
    static const struct tls_stream_callbacks callbacks = {on_ready, on_data, on_closed};
    struct client *client = &load->clients[load->client_count++];
    char host[64];
    const char *colon = strrchr(endpoint, ':');
    size_t length = colon == NULL ? 0 : (size_t)(colon - endpoint);
    struct error error;
    uint64_t port;
    if (length == 0 || length >= sizeof host || !text_to_u64(colon + 1, 1, 65535, &port)) {
        die(endpoint, "is no HOST:PORT");
    }
    memcpy(host, endpoint, length);
    host[length] = '\0';
    if (uv_ip4_addr(host, (int)port, &client->address) != 0) {
        die(endpoint, "is no numeric address");
    }
    client->load = load;
    (void)snprintf(client->service, sizeof client->service, "%.48s%u", load->options.service,
                   (unsigned)load->client_count);
    entropy_system.fill(entropy_system.context, client->id, sizeof client->id);
    frame_parser_init(&client->parser, FRAME_SET(FRAME_RESPONSE), 0);
    if (tls_stream_connect(&load->loop, load->identity, (const struct sockaddr *)&client->address,
                           BUFFERED_MAX_BYTES, &callbacks, client, &client->stream,
                           &error) != ERROR_OK) {
        die(endpoint, error.message);
    }
}

static void on_timer(uv_timer_t *timer) {
    struct load *load = timer->data;
    for (uint32_t i = 0; i < load->client_count; i++) {
        struct client *client = &load->clients[i];
        if (client->stream != NULL && client->ready && !client->waiting) {
            write_next(client);
        }
    }
}

static void on_deadline(uv_timer_t *timer) {
    (void)timer;
    die("connecting", "no answer within 10 s");
}

int main(int argc, char **argv) {
    static struct load load;
    struct error error;
    load_options_parse(argc, argv, &load.options);
    load_samples_init(&load.samples);
    if (tls_identity_load(load.options.tls, TLS_KIND_USER, NULL, &load.identity, &error) !=
        ERROR_OK) {
        die("identity", error.message);
    }
    (void)uv_loop_init(&load.loop);
    (void)uv_timer_init(&load.loop, &load.timer);
    load.timer.data = &load;
    uint32_t count = load.options.first ? load.options.endpoint_count : load.options.clients;
    for (uint32_t i = 0; i < count; i++) {
        connect_client(&load, load.options.endpoints[load.options.first ? i : 0]);
    }
    (void)uv_timer_start(&load.timer, on_deadline, 10000, 0);
    (void)uv_run(&load.loop, UV_RUN_DEFAULT);
    (void)uv_timer_stop(&load.timer);
    if (load.options.first) {
        load_first_wait();
        (void)uv_timer_start(&load.timer, on_timer, 0, RETRY_MS);
        (void)uv_run(&load.loop, UV_RUN_DEFAULT);
    } else {
        begin(&load);
        (void)uv_run(&load.loop, UV_RUN_DEFAULT);
        load_samples_print(&load.samples, load_now_ns() - load.begun_ns);
    }
    load.over = true;
    return 0; /* the process's end closes the rest */
}
