/* What a node says on its link to another, out of TLS: HELLO and its answers, heartbeats, messages.
 * The first byte says which side dials, as whom the other side is proved, and how the bytes are
 * cut. The owner hears of a message only while the link is up, and each link that came up goes
 * down. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "fuzz.h"
#include "net/frame.h"
#include "net/peers.h"
#include "streams.h"

static bool is_up, is_closed;

static uint64_t no_time(void *context) {
    (void)context;
    return 1000;
}

static void fill_zeros(void *context, void *bytes, size_t size_bytes) {
    (void)context;
    memset(bytes, 0, size_bytes);
}

static enum peers_refusal check_hello(const struct peer_hello *hello, struct error *reason,
                                      void *context) {
    (void)context;
    assert(text_is_name(hello->node, TLS_NAME_SIZE - 1));
    if (hello->boot == 13) {
        (void)error_set(reason, ERROR_REFUSED, "boot %s", hello->version);
        return PEERS_REFUSAL_OTHER;
    }
    return PEERS_REFUSAL_NONE;
}

static void on_refused(uint64_t peer, enum peers_refusal refusal, const char *reason,
                       void *context) {
    (void)peer;
    (void)context;
    assert(refusal != PEERS_REFUSAL_NONE && text_is_utf8(reason, strlen(reason)));
}

static void on_link(uint64_t peer, bool up, const struct peer_hello *hello, void *context) {
    (void)context;
    assert(peer == 1 || peer == 3);
    assert(up != is_up && up == (hello != NULL));
    is_up = up;
}

static void on_message(uint64_t peer, enum peers_message type, const uint8_t *payload,
                       size_t size_bytes, void *context) {
    (void)peer;
    (void)payload;
    (void)context;
    assert(is_up && size_bytes <= frame_max_bytes((enum frame_type)type));
}

static void on_closed(void *context) {
    (void)context;
    is_closed = true;
}

static struct peers *make_peers(uv_loop_t *loop) {
    static const struct clock clock = {no_time, no_time, NULL};
    static const struct entropy entropy = {fill_zeros, NULL};
    static const struct peers_peer others[] = {{"n1", 1, "127.0.0.1", 1},
                                               {"n3", 3, "127.0.0.1", 1}};
    const struct peers_options options = {
        .id = "n2",
        .numeric_id = 2,
        .cluster = "noctua",
        .listen_host = "127.0.0.1",
        .peers = others,
        .peer_count = ARRAY_LENGTH(others),
        .snapshot_max_bytes = 65536,
        .callbacks = {.check_hello = check_hello,
                      .on_refused = on_refused,
                      .on_link = on_link,
                      .on_message = on_message},
    };
    struct peers *peers = NULL;
    struct error error;
    enum error_code code = peers_create(loop, &clock, &entropy, &options, &peers, &error);
    assert(code == ERROR_OK);
    (void)code;
    return peers;
}

/* The other side is n1, which dials us, or n3, which we dial. */
static struct tls_stream *open_stream(uint8_t mode) {
    bool we_dial = (mode & 1) != 0;
    struct tls_peer peer = {.kind = (mode & 6) == 6 ? TLS_KIND_USER : TLS_KIND_NODE,
                            .cluster = "noctua"};
    (void)TEXT_COPY(peer.name, we_dial != ((mode & 6) == 2) ? "n3" : "n1");
    if (we_dial) {
        struct tls_stream *stream = streams_dialled;
        stream->peer = peer;
        stream->callbacks->on_ready(stream, &stream->peer, stream->context);
        streams_dialled = NULL;
        return stream;
    }
    struct tls_stream *stream = streams_create(&peer);
    streams_listener.on_stream(NULL, stream, &stream->peer, streams_listener.context);
    return stream;
}

static bool count_frame(enum frame_type type, const uint8_t *payload, size_t size_bytes,
                        void *context) {
    (void)type;
    (void)payload;
    (void)size_bytes;
    *(uint32_t *)context += 1;
    return true;
}

/* What we said is whole frames. */
static void check_output(const struct buffer *output) {
    struct frame_parser parser;
    struct error error;
    uint32_t count = 0;
    frame_parser_init(&parser, FRAME_SET_PEER, 0);
    if (output->size_bytes > 0) {
        assert(frame_parser_feed(&parser, output->data, output->size_bytes, count_frame, &count,
                                 &error) == ERROR_OK);
        assert(count > 0 && parser.header_bytes == 0);
    }
    frame_parser_finish(&parser);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static uv_loop_t loop;
    static bool has_loop;
    uint8_t mode = fuzz_take(&data, &size);
    size_t piece = (mode & 0xf8) == 0 ? size : mode >> 3;
    if (!has_loop) {
        has_loop = uv_loop_init(&loop) == 0;
    }
    is_up = is_closed = false;
    struct peers *peers = make_peers(&loop);
    peers_start(peers);
    struct tls_stream *stream = open_stream(mode);
    for (size_t at = 0; at < size; at += piece) {
        streams_say(stream, data + at, size - at < piece ? size - at : piece);
    }
    check_output(&stream->output);
    streams_end(stream, (mode & 2) == 0);
    assert(!is_up);
    peers_close(peers, on_closed, NULL);
    if (streams_dialled != NULL) {
        streams_end(streams_dialled, false);
        streams_dialled = NULL;
    }
    while (!is_closed) {
        (void)uv_run(&loop, UV_RUN_ONCE);
    }
    return 0;
}
