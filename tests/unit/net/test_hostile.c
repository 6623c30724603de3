/* Peers that don't keep to the protocol: one real node, n2, with a real friend, n3, and a fake n1
 * that dials it and says whatever the test wants. Whatever comes, n2 must end it with a reason,
 * hand nothing of it to its owner, and keep the link to its friend. */
#include "kit.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/ssl.h>

#include "base/text.h"
#include "hello.h"
#include "net/frame.h"
#include "raw_client.h"

enum { WAIT_MS = 15000, SEED = 20261123, MUTATION_RUNS = 150, NOISE_RUNS = 40 };

static struct kit_node nodes[3]; /* the first isn't started: fakes stand for it */
#define REAL (nodes[1])

static struct {
    struct tls_stream *stream;
    bool ready, closed;
    struct error error;
    struct buffer received;
    /* decoded */
    unsigned frames;
    enum frame_type last;
    struct refusal refusal;
    struct peer_hello hello;
    struct frame_parser parser;
} fake;

static bool on_fake_frame(enum frame_type type, const uint8_t *payload, size_t size_bytes,
                          void *context) {
    struct error error;
    (void)context;
    fake.frames++;
    fake.last = type;
    if (type == FRAME_REFUSED) {
        assert_int_equal(refusal_decode(payload, size_bytes, &fake.refusal, &error), ERROR_OK);
    } else if (type == FRAME_HELLO_OK) {
        assert_int_equal(hello_decode(payload, size_bytes, &fake.hello, &error), ERROR_OK);
    }
    return true;
}

static void on_ready(struct tls_stream *stream, const struct tls_peer *peer, void *context) {
    (void)stream;
    (void)context;
    assert_string_equal(peer->name, "n2");
    fake.ready = true;
}

static void on_data(struct tls_stream *stream, const void *bytes, size_t size_bytes,
                    void *context) {
    struct error error;
    (void)stream;
    (void)context;
    assert_int_equal(
        frame_parser_feed(&fake.parser, bytes, size_bytes, on_fake_frame, NULL, &error), ERROR_OK);
}

static void on_closed(struct tls_stream *stream, const struct error *error, void *context) {
    (void)stream;
    (void)context;
    fake.closed = true;
    fake.error = *error;
    fake.stream = NULL;
    frame_parser_finish(&fake.parser);
}

static bool is_ready(void *context) {
    (void)context;
    return fake.ready || fake.closed;
}

static bool is_closed(void *context) {
    (void)context;
    return fake.closed;
}

static void fake_connect(const char *identity) {
    static const struct tls_stream_callbacks callbacks = {on_ready, on_data, on_closed};
    struct sockaddr_in address;
    struct error error;
    memset(&fake, 0, sizeof fake);
    frame_parser_init(&fake.parser, FRAME_SET_PEER, 0);
    assert_int_equal(uv_ip4_addr("127.0.0.1", REAL.port, &address), 0);
    assert_int_equal(tls_stream_connect(kit_loop(), kit_identity(identity),
                                        (struct sockaddr *)&address, 1 << 20, &callbacks, NULL,
                                        &fake.stream, &error),
                     ERROR_OK);
    assert_true(kit_run_until(is_ready, NULL, WAIT_MS));
    assert_true(fake.ready);
}

static void fake_write(const void *bytes, size_t size_bytes) {
    uv_buf_t buffer = uv_buf_init((char *)bytes, (unsigned)size_bytes);
    if (!fake.closed) {
        (void)tls_stream_write(fake.stream, &buffer, 1, NULL, NULL);
    }
}

static void fake_send(enum frame_type type, const void *payload, size_t size_bytes) {
    uint8_t header[FRAME_HEADER_BYTES];
    struct buffer frame;
    frame_encode_header(type, size_bytes, header);
    buffer_init(&frame, 0);
    buffer_append(&frame, header, sizeof header);
    if (size_bytes > 0) {
        buffer_append(&frame, payload, size_bytes);
    }
    fake_write(frame.data, frame.size_bytes);
    buffer_finish(&frame);
}

static struct peer_hello good_hello(void) {
    struct peer_hello hello = {.numeric_id = 1, .boot = 5};
    TEXT_COPY(hello.cluster, "alpha");
    TEXT_COPY(hello.node, "n1");
    TEXT_COPY(hello.version, "0.3.0");
    return hello;
}

static void fake_hello(const struct peer_hello *hello) {
    struct buffer bytes;
    buffer_init(&bytes, 0);
    hello_encode(hello, &bytes);
    fake_send(FRAME_HELLO, bytes.data, bytes.size_bytes);
    buffer_finish(&bytes);
}

static bool got_hello_ok(void *context) {
    (void)context;
    return fake.last == FRAME_HELLO_OK || fake.closed;
}

static bool link_is_up(void *context) {
    (void)context;
    return REAL.up[1];
}

static bool link_is_down(void *context) {
    (void)context;
    return !REAL.up[1];
}

static void fake_come_up(void) {
    struct peer_hello hello = good_hello();
    fake_connect("n1");
    fake_hello(&hello);
    assert_true(kit_run_until(got_hello_ok, NULL, WAIT_MS));
    assert_string_equal(fake.hello.node, "n2");
    fake_send(FRAME_READY, NULL, 0);
    assert_true(kit_run_until(link_is_up, NULL, WAIT_MS));
}

static bool friend_is_up(void *context) {
    (void)context;
    return REAL.up[3] && nodes[2].up[2];
}

static int begin(void **state) {
    (void)state;
    kit_create_nodes(nodes, 3, NULL);
    peers_close(nodes[0].peers, NULL, NULL);
    nodes[0].peers = NULL;
    kit_start_nodes(nodes + 1, 2);
    assert_true(kit_run_until(friend_is_up, NULL, WAIT_MS));
    return 0;
}

static int finish(void **state) {
    (void)state;
    if (fake.stream != NULL) {
        tls_stream_close(fake.stream);
    }
    bool friendly = friend_is_up(NULL);
    kit_close_nodes(nodes, 3);
    assert_true(friendly);
    assert_int_equal(REAL.downs[3], 0);
    assert_int_equal(REAL.messages, 0);
    return 0;
}

/* --- HELLO --- */

static void expect_refused(enum peers_refusal refusal, const char *words) {
    assert_true(kit_run_until(is_closed, NULL, WAIT_MS));
    assert_int_equal(fake.last, FRAME_REFUSED);
    assert_int_equal(fake.refusal.code, refusal);
    if (strstr(fake.refusal.reason, words) == NULL) {
        fail_msg("%s", fake.refusal.reason);
    }
    assert_int_equal(REAL.ups[1], 0);
}

static void test_good(void **state) {
    (void)state;
    fake_come_up();
    assert_int_equal(REAL.ups[1], 1);
    tls_stream_close(fake.stream);
    assert_true(kit_run_until(link_is_down, NULL, WAIT_MS));
}

static void test_other_id(void **state) {
    struct peer_hello hello = good_hello();
    (void)state;
    fake_connect("n3"); /* right certificate, another id */
    fake_hello(&hello);
    expect_refused(PEERS_REFUSAL_CERTIFICATE, "certificate of node 'n3', but it says it is 'n1'");
}

static void test_other_cluster(void **state) {
    struct peer_hello hello = good_hello();
    (void)state;
    TEXT_COPY(hello.cluster, "beta");
    fake_connect("n1");
    fake_hello(&hello);
    expect_refused(PEERS_REFUSAL_CLUSTER, "cluster 'beta', this is 'alpha'");
}

static void test_not_configured(void **state) {
    struct peer_hello hello = good_hello();
    (void)state;
    hello.numeric_id = 4;
    TEXT_COPY(hello.node, "n4");
    fake_connect("n4");
    fake_hello(&hello);
    expect_refused(PEERS_REFUSAL_UNKNOWN_NODE, "not among the peers");
}

static void test_other_number(void **state) {
    struct peer_hello hello = good_hello();
    (void)state;
    hello.numeric_id = 3;
    fake_connect("n1");
    fake_hello(&hello);
    expect_refused(PEERS_REFUSAL_UNKNOWN_NODE, "configurations differ");
}

static void test_own_id(void **state) {
    struct peer_hello hello = good_hello();
    (void)state;
    hello.numeric_id = 2;
    TEXT_COPY(hello.node, "n2");
    fake_connect("n2");
    fake_hello(&hello);
    expect_refused(PEERS_REFUSAL_SELF, "id of this node");
}

static void test_wrong_way(void **state) {
    struct peer_hello hello = good_hello();
    (void)state;
    hello.numeric_id = 3;
    TEXT_COPY(hello.node, "n3");
    fake_connect("n3");
    fake_hello(&hello);
    expect_refused(PEERS_REFUSAL_OTHER, "who dials");
}

static void test_user(void **state) {
    (void)state;
    fake_connect("alice");
    expect_refused(PEERS_REFUSAL_CERTIFICATE, "user 'alice' at the port for nodes");
}

static void test_owner_refuses(void **state) {
    struct peer_hello hello = good_hello();
    (void)state;
    REAL.refusal = PEERS_REFUSAL_INCARNATION;
    fake_connect("n1");
    fake_hello(&hello);
    expect_refused(PEERS_REFUSAL_INCARNATION, "'n1' has boot 5");
    REAL.refusal = PEERS_REFUSAL_NONE;
}

static bool heard_refusal(void *context) {
    (void)context;
    return REAL.refusals > 0;
}

static void test_refuses_us(void **state) {
    struct refusal refusal = {.code = PEERS_REFUSAL_STORAGE, .reason = "wiped"};
    struct peer_hello hello = good_hello();
    struct buffer bytes;
    (void)state;
    fake_connect("n1");
    fake_hello(&hello);
    assert_true(kit_run_until(got_hello_ok, NULL, WAIT_MS));
    buffer_init(&bytes, 0);
    refusal_encode(&refusal, &bytes);
    fake_send(FRAME_REFUSED, bytes.data, bytes.size_bytes);
    buffer_finish(&bytes);
    assert_true(kit_run_until(heard_refusal, NULL, WAIT_MS));
    assert_int_equal(REAL.refused, PEERS_REFUSAL_STORAGE);
    assert_string_equal(REAL.refused_reason, "wiped");
    assert_int_equal(REAL.ups[1], 0);
}

/* --- time --- */

static void test_no_hello(void **state) {
    (void)state;
    uint64_t before = uv_hrtime();
    fake_connect("n1");
    assert_true(kit_run_until(is_closed, NULL, WAIT_MS));
    assert_in_range((uv_hrtime() - before) / 1000000, PEERS_HELLO_DEADLINE_MS - 100,
                    PEERS_HELLO_DEADLINE_MS + 3000);
}

/* A byte of HELLO now and then doesn't keep it open. */
static bool dribble(void *context) {
    const struct buffer *bytes = context;
    static size_t at;
    static uint64_t last_ms;
    uint64_t now_ms = uv_hrtime() / 1000000;
    if (now_ms - last_ms >= 200 && at < bytes->size_bytes && !fake.closed) {
        fake_write(bytes->data + at++, 1);
        last_ms = now_ms;
    }
    return fake.closed;
}

static void on_tick(uv_timer_t *timer) {
    (void)timer; /* only wakes the loop, so that dribble is asked */
}

static void test_slow_hello(void **state) {
    struct buffer bytes;
    uv_timer_t tick;
    (void)state;
    buffer_init(&bytes, 0);
    uint8_t header[FRAME_HEADER_BYTES];
    frame_encode_header(FRAME_HELLO, 4000, header);
    buffer_append(&bytes, header, sizeof header);
    for (unsigned i = 0; i < 4000; i++) {
        buffer_append(&bytes, "h", 1);
    }
    assert_int_equal(uv_timer_init(kit_loop(), &tick), 0);
    assert_int_equal(uv_timer_start(&tick, on_tick, 50, 50), 0);
    uint64_t before = uv_hrtime();
    fake_connect("n1");
    assert_true(kit_run_until(dribble, &bytes, WAIT_MS));
    assert_true((uv_hrtime() - before) / 1000000 < PEERS_HELLO_DEADLINE_MS + 3000);
    uv_close((uv_handle_t *)&tick, NULL);
    uv_run(kit_loop(), UV_RUN_NOWAIT);
    buffer_finish(&bytes);
}

static void test_no_ready(void **state) {
    struct peer_hello hello = good_hello();
    (void)state;
    fake_connect("n1");
    fake_hello(&hello);
    assert_true(kit_run_until(is_closed, NULL, WAIT_MS));
    assert_int_equal(fake.last, FRAME_HELLO_OK);
    assert_int_equal(REAL.ups[1], 0);
}

/* It answers no PING: after 5 s the link is down. */
static void test_silence(void **state) {
    (void)state;
    uint64_t before = uv_hrtime();
    fake_come_up();
    assert_true(kit_run_until(link_is_down, NULL, WAIT_MS));
    uint64_t took_ms = (uv_hrtime() - before) / 1000000;
    assert_in_range(took_ms, PEERS_SILENCE_MAX_MS, PEERS_SILENCE_MAX_MS + 4000);
    assert_true(kit_run_until(is_closed, NULL, WAIT_MS));
    assert_true(fake.frames >= 4); /* it was asked */
    assert_int_equal(fake.last, FRAME_PING);
}

/* --- frames out of place --- */

static void test_before_hello(void **state) {
    static const enum frame_type types[] = {
        FRAME_HELLO_OK, FRAME_READY,  FRAME_REFUSED, FRAME_PING,  FRAME_PONG,    FRAME_RAFT,
        FRAME_SNAPSHOT, FRAME_REPORT, FRAME_NOTE,    FRAME_LEASE, FRAME_REQUEST, FRAME_RESPONSE};
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(types); i++) {
        fake_connect("n1");
        fake_send(types[i], NULL, 0);
        assert_true(kit_run_until(is_closed, NULL, WAIT_MS));
        assert_int_equal(fake.frames, 0);
    }
    assert_int_equal(REAL.ups[1], 0);
}

static void test_before_ready(void **state) {
    static const enum frame_type types[] = {FRAME_HELLO, FRAME_HELLO_OK, FRAME_PING, FRAME_RAFT,
                                            FRAME_REPORT};
    struct peer_hello hello = good_hello();
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(types); i++) {
        fake_connect("n1");
        fake_hello(&hello);
        fake_send(types[i], NULL, 0);
        assert_true(kit_run_until(is_closed, NULL, WAIT_MS));
    }
    assert_int_equal(REAL.ups[1], 0);
}

/* What is said again, or of the handshake's words, ends a link that is up. */
static void test_replays_when_up(void **state) {
    static const enum frame_type types[] = {FRAME_HELLO, FRAME_HELLO_OK, FRAME_READY, FRAME_REFUSED,
                                            FRAME_REQUEST};
    struct peer_hello hello = good_hello();
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(types); i++) {
        fake_come_up();
        if (types[i] == FRAME_HELLO) {
            fake_hello(&hello);
        } else {
            fake_send(types[i], NULL, 0);
        }
        assert_true(kit_run_until(link_is_down, NULL, WAIT_MS));
        assert_true(kit_run_until(is_closed, NULL, WAIT_MS));
    }
    assert_int_equal(REAL.ups[1], ARRAY_LENGTH(types));
}

static void test_too_long_when_up(void **state) {
    static const uint8_t headers[][FRAME_HEADER_BYTES] = {
        {FRAME_VERSION, FRAME_RAFT, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF},
        {FRAME_VERSION, FRAME_RAFT, 0, 0, 0x00, 0x81, 0x00, 0x01},
        {FRAME_VERSION, FRAME_SNAPSHOT, 0, 0, 0x04, 0x00, 0x00, 0x01},
        {FRAME_VERSION, FRAME_PING, 0, 0, 0, 0, 0, 9},
        {FRAME_VERSION, FRAME_NOTE, 0, 1, 0, 0, 0, 0},
        {0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(headers); i++) {
        fake_come_up();
        fake_write(headers[i], sizeof headers[i]);
        assert_true(kit_run_until(link_is_down, NULL, WAIT_MS));
        assert_true(kit_run_until(is_closed, NULL, WAIT_MS));
    }
}

/* Cut off in the middle of a message: the part is dropped. */
static void test_truncated(void **state) {
    uint8_t bytes[FRAME_HEADER_BYTES + 100] = {0};
    (void)state;
    frame_encode_header(FRAME_RAFT, 1000, bytes);
    fake_come_up();
    fake_write(bytes, sizeof bytes);
    tls_stream_finish(fake.stream);
    assert_true(kit_run_until(link_is_down, NULL, WAIT_MS));
    assert_int_equal(REAL.messages, 0);
}

/* The peer dialled anew while its old connection still stands. */
static void test_replaced(void **state) {
    struct tls_stream *old;
    (void)state;
    fake_come_up();
    old = fake.stream;
    frame_parser_finish(&fake.parser);
    /* The old one's end is heard, too; only the newer counts here. */
    struct peer_hello hello = good_hello();
    fake_connect("n1");
    struct tls_stream *new_stream = fake.stream;
    assert_true(new_stream != old);
    fake_hello(&hello);
    assert_true(kit_run_until(got_hello_ok, NULL, WAIT_MS));
    fake_send(FRAME_READY, NULL, 0);
    assert_true(kit_run_until(is_closed, NULL, WAIT_MS)); /* the old one */
    assert_int_equal(REAL.ups[1], 2);
    assert_int_equal(REAL.downs[1], 1);
    assert_true(REAL.up[1]);
    frame_parser_init(&fake.parser, FRAME_SET_PEER, 0);
    fake.stream = new_stream;
}

/* --- noise --- */

static void test_noise_on_the_port(void **state) {
    (void)state;
    kit_seed(SEED);
    for (unsigned run = 0; run < NOISE_RUNS; run++) {
        uint8_t noise[2048];
        size_t size_bytes = 1 + kit_random(sizeof noise);
        for (size_t i = 0; i < size_bytes; i++) {
            noise[i] = (uint8_t)kit_random(256);
        }
        if (run % 2 == 0) { /* looks like a TLS record */
            memcpy(noise, "\x16\x03\x01", 3);
            noise[3] = 0;
        }
        struct raw_client client = {.port = REAL.port, .bytes = noise, .size_bytes = size_bytes};
        assert_true(raw_client_run(&client, WAIT_MS));
        assert_true(client.connected);
    }
    assert_int_equal(REAL.ups[1], 0);
}

static bool closed_or_up(void *context) {
    (void)context;
    return fake.closed || REAL.up[1];
}

/* A good beginning with a few bytes changed. Either it comes up as n1, or it is ended. */
static void test_mutations(void **state) {
    struct peer_hello hello = good_hello();
    struct buffer good;
    uint8_t header[FRAME_HEADER_BYTES];
    unsigned up = 0;
    (void)state;
    kit_seed(SEED);
    buffer_init(&good, 0);
    hello_encode(&hello, &good);
    struct buffer bytes;
    buffer_init(&bytes, 0);
    frame_encode_header(FRAME_HELLO, good.size_bytes, header);
    buffer_append(&bytes, header, sizeof header);
    buffer_append(&bytes, good.data, good.size_bytes);
    frame_encode_header(FRAME_READY, 0, header);
    buffer_append(&bytes, header, sizeof header);
    for (unsigned run = 0; run < MUTATION_RUNS; run++) {
        uint8_t copy[512];
        assert_true(bytes.size_bytes <= sizeof copy);
        memcpy(copy, bytes.data, bytes.size_bytes);
        for (unsigned i = 0; i < 1 + run % 3; i++) {
            copy[kit_random(bytes.size_bytes)] = (uint8_t)kit_random(256);
        }
        fake_connect("n1");
        fake_write(copy, bytes.size_bytes);
        fake_write("01234567",
                   8); /* no frame begins like this: the end, also after a good beginning */
        assert_true(kit_run_until(is_closed, NULL, WAIT_MS));
        assert_true(kit_run_until(link_is_down, NULL, WAIT_MS));
        up += fake.last == FRAME_HELLO_OK;
    }
    assert_true(up > 0 && up < MUTATION_RUNS);
    assert_true(closed_or_up(NULL));
    buffer_finish(&bytes);
    buffer_finish(&good);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, finish)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_good),
        TEST(test_other_id),
        TEST(test_other_cluster),
        TEST(test_not_configured),
        TEST(test_other_number),
        TEST(test_own_id),
        TEST(test_wrong_way),
        TEST(test_user),
        TEST(test_owner_refuses),
        TEST(test_refuses_us),
        TEST(test_no_hello),
        TEST(test_slow_hello),
        TEST(test_no_ready),
        TEST(test_silence),
        TEST(test_before_hello),
        TEST(test_before_ready),
        TEST(test_replays_when_up),
        TEST(test_too_long_when_up),
        TEST(test_truncated),
        TEST(test_replaced),
        TEST(test_noise_on_the_port),
        TEST(test_mutations),
    };
    return cmocka_run_group_tests(tests, kit_setup, kit_teardown);
}
