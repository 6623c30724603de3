/* Links between nodes, when memory runs out in the middle, over streams that the test plays: a link
 * comes up or doesn't, and what was to be sent is told once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "failing.h"
#include "hello.h"
#include "net/frame.h"
#include "net/peers.h"
#include "streams.h"

static uv_loop_t loop;
static struct buffer hellos[2]; /* as n1 and n3 say it */
static bool is_up, is_closed;
static uint32_t message_count, sent_count, sent_ok_count;

void *__wrap_peers_allocate(size_t size_bytes);
void *__wrap_peers_allocate(size_t size_bytes) {
    return spared_allocate(size_bytes);
}

static uint64_t no_time(void *context) {
    (void)context;
    return 1000;
}

static void fill_zeros(void *context, void *bytes, size_t size_bytes) {
    (void)context;
    memset(bytes, 0, size_bytes);
}

static void on_link(uint64_t peer, bool up, const struct peer_hello *hello, void *context) {
    (void)peer;
    (void)hello;
    (void)context;
    assert_int_not_equal(up, is_up);
    is_up = up;
}

static void on_message(uint64_t peer, enum peers_message type, const uint8_t *payload,
                       size_t size_bytes, void *context) {
    (void)peer;
    (void)context;
    assert_int_equal(type, PEERS_MESSAGE_RAFT);
    assert_int_equal(size_bytes, 5);
    assert_memory_equal(payload, "hello", 5);
    message_count++;
}

static void on_sent(enum error_code code, void *context) {
    (void)context;
    sent_count++;
    sent_ok_count += code == ERROR_OK;
}

static void on_closed(void *context) {
    (void)context;
    is_closed = true;
}

static struct peers *make_peers(void) {
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
        .callbacks = {.on_link = on_link, .on_message = on_message},
    };
    struct peers *peers = NULL;
    struct error error;
    if (peers_create(&loop, &clock, &entropy, &options, &peers, &error) != ERROR_OK) {
        assert_int_equal(error.code, ERROR_NO_MEMORY);
        return NULL;
    }
    return peers;
}

static void say(struct tls_stream *stream, enum frame_type type, const void *payload,
                size_t size_bytes) {
    uint8_t header[FRAME_HEADER_BYTES];
    frame_encode_header(type, size_bytes, header);
    streams_say(stream, header, sizeof header);
    streams_say(stream, payload, size_bytes);
}

/* In pieces, which the parser must keep; and back. */
static void exchange(struct peers *peers, struct tls_stream *stream, uint64_t peer) {
    uv_buf_t parts[20];
    uint8_t header[FRAME_HEADER_BYTES];
    if (!is_up) {
        return;
    }
    frame_encode_header(FRAME_RAFT, 5, header);
    streams_say(stream, header, sizeof header);
    streams_say(stream, "hel", 3);
    streams_say(stream, "lo", 2);
    for (size_t i = 0; i < ARRAY_LENGTH(parts); i++) {
        parts[i] = uv_buf_init((char *)"x", 1);
    }
    if (is_up) {
        peers_send(peers, peer, PEERS_MESSAGE_RAFT, parts, ARRAY_LENGTH(parts), on_sent, NULL);
        assert_int_equal(sent_count, 0);
    }
}

/* True: everything came through. */
static bool finish(struct peers *peers, struct tls_stream *stream) {
    bool was_up = is_up;
    if (stream != NULL) {
        streams_end(stream, true);
    }
    assert_false(is_up);
    peers_close(peers, on_closed, NULL);
    if (streams_dialled != NULL) {
        streams_end(streams_dialled, false);
        streams_dialled = NULL;
    }
    while (!is_closed) {
        (void)uv_run(&loop, UV_RUN_ONCE);
    }
    assert_true(sent_count <= 1);
    return was_up && message_count == 1 && sent_ok_count == 1;
}

static struct peers *begin(void) {
    is_up = is_closed = false;
    message_count = sent_count = sent_ok_count = 0;
    streams_dialled = NULL;
    struct peers *peers = make_peers();
    if (peers != NULL) {
        peers_start(peers);
    } else {
        (void)uv_run(&loop, UV_RUN_NOWAIT); /* what had been made goes */
    }
    return peers;
}

/* n1 dials us. */
static bool accepted(void) {
    struct peers *peers = begin();
    if (peers == NULL) {
        return false;
    }
    struct tls_peer peer = {.kind = TLS_KIND_NODE, .name = "n1", .cluster = "noctua"};
    failing_pause(true);
    struct tls_stream *stream = streams_create(&peer);
    assert_non_null(stream);
    failing_pause(false);
    streams_listener.on_stream(NULL, stream, &stream->peer, streams_listener.context);
    say(stream, FRAME_HELLO, hellos[0].data, hellos[0].size_bytes);
    say(stream, FRAME_READY, NULL, 0);
    exchange(peers, stream, 1);
    return finish(peers, stream);
}

/* We dial n3. */
static bool dialled(void) {
    struct peers *peers = begin();
    struct tls_stream *stream = streams_dialled;
    if (peers == NULL || stream == NULL) {
        return peers == NULL ? false : finish(peers, NULL);
    }
    streams_dialled = NULL;
    stream->peer = (struct tls_peer){.kind = TLS_KIND_NODE, .name = "n3", .cluster = "noctua"};
    stream->callbacks->on_ready(stream, &stream->peer, stream->context);
    say(stream, FRAME_HELLO_OK, hellos[1].data, hellos[1].size_bytes);
    exchange(peers, stream, 3);
    return finish(peers, stream);
}

static void test_accepted(void **state) {
    (void)state;
    assert_true(check_scenario("a link that is accepted", accepted) > 5);
}

static void test_dialled(void **state) {
    (void)state;
    assert_true(check_scenario("a link that is dialled", dialled) > 5);
}

static int set_up(void **state) {
    (void)state;
    for (uint32_t i = 0; i < ARRAY_LENGTH(hellos); i++) {
        struct peer_hello hello = {.numeric_id = i == 0 ? 1 : 3};
        (void)TEXT_COPY(hello.cluster, "noctua");
        (void)TEXT_COPY(hello.node, i == 0 ? "n1" : "n3");
        (void)TEXT_COPY(hello.version, "1.0");
        buffer_init(&hellos[i], 0);
        hello_encode(&hello, &hellos[i]);
        assert_false(hellos[i].failed);
    }
    return uv_loop_init(&loop);
}

static int tear_down(void **state) {
    (void)state;
    buffer_finish(&hellos[0]);
    buffer_finish(&hellos[1]);
    return uv_loop_close(&loop);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepted),
        cmocka_unit_test(test_dialled),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
