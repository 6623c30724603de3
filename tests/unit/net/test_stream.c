/* One TLS connection at a time: who gets in, who doesn't, and what both sides are told. */
#include "kit.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/ssl.h>

#include "raw_client.h"

enum { BUFFERED_MAX_BYTES = 1024 * 1024, WAIT_MS = 10000 };

/* What one end of a stream heard. */
struct end {
    struct tls_stream *stream;
    bool ready, closed;
    struct tls_peer peer;
    struct error error;
    size_t received_bytes;
    uint64_t sum; /* of the bytes, position by position */
    unsigned written, write_errors;
    enum error_code write_error;
    bool echo;
    bool pause; /* after each piece */
    unsigned pieces;
};

static struct {
    struct tls_listener *listener;
    struct end accepted;
    unsigned accepted_count, rejected_count;
    struct error rejected;
    bool closed;
    size_t max_buffered_bytes;
} server;

static void on_ready(struct tls_stream *stream, const struct tls_peer *peer, void *context) {
    struct end *end = context;
    assert_false(end->ready || end->closed);
    assert_ptr_equal(tls_stream_peer(stream), peer);
    end->ready = true;
    end->peer = *peer;
}

static void on_written(enum error_code code, void *context) {
    struct end *end = context;
    assert_false(end->closed);
    end->written++;
    if (code != ERROR_OK) {
        end->write_errors++;
        end->write_error = code;
    }
}

static enum error_code write_bytes(struct end *end, const void *bytes, size_t size_bytes) {
    uv_buf_t buffer = uv_buf_init((char *)bytes, (unsigned)size_bytes);
    unsigned before = end->written;
    enum error_code code = tls_stream_write(end->stream, &buffer, 1, on_written, end);
    assert_int_equal(end->written, before); /* never from inside */
    return code;
}

static void on_data(struct tls_stream *stream, const void *bytes, size_t size_bytes,
                    void *context) {
    struct end *end = context;
    const uint8_t *at = bytes;
    assert_true(end->ready && !end->closed);
    for (size_t i = 0; i < size_bytes; i++) {
        end->sum += (uint64_t)at[i] * (++end->received_bytes);
    }
    end->pieces++;
    if (end->pause) {
        tls_stream_set_reading(stream, false);
    }
    if (end->echo) {
        assert_int_equal(write_bytes(end, bytes, size_bytes), ERROR_OK);
    }
}

static void on_closed(struct tls_stream *stream, const struct error *error, void *context) {
    struct end *end = context;
    assert_ptr_equal(stream, end->stream);
    assert_false(end->closed);
    end->closed = true;
    end->error = *error;
    end->stream = NULL;
}

static const struct tls_stream_callbacks callbacks = {on_ready, on_data, on_closed};

static void on_stream(struct tls_listener *listener, struct tls_stream *stream,
                      const struct tls_peer *peer, void *context) {
    (void)context;
    assert_ptr_equal(listener, server.listener);
    server.accepted_count++;
    if (server.accepted.stream != NULL) {
        tls_stream_close(stream);
        return;
    }
    server.accepted = (struct end){.stream = stream, .ready = true, .peer = *peer};
    tls_stream_attach(stream, &callbacks, &server.accepted);
}

static void on_rejected(struct tls_listener *listener, const char *address,
                        const struct error *error, void *context) {
    (void)listener;
    (void)context;
    assert_int_equal(strncmp(address, "127.0.0.1:", 10), 0);
    server.rejected_count++;
    server.rejected = *error;
}

static int open_server(void **state) {
    struct error error;
    const struct tls_listener_options options = {.host = "127.0.0.1",
                                                 .max_unauthenticated = 8,
                                                 .max_connections = 12,
                                                 .max_buffered_bytes = BUFFERED_MAX_BYTES,
                                                 .on_stream = on_stream,
                                                 .on_rejected = on_rejected};
    (void)state;
    memset(&server, 0, sizeof server);
    assert_int_equal(
        tls_listener_create(kit_loop(), kit_identity("n1"), &options, &server.listener, &error),
        ERROR_OK);
    return 0;
}

static void on_server_closed(void *context) {
    (void)context;
    server.closed = true;
}

static int close_server(void **state) {
    (void)state;
    tls_listener_close(server.listener, on_server_closed, NULL);
    if (server.accepted.stream != NULL) {
        tls_stream_close(server.accepted.stream);
    }
    kit_drain();
    assert_true(server.closed);
    return 0;
}

static void dial(struct end *end, const char *identity, uint16_t port) {
    struct sockaddr_in address;
    struct error error;
    memset(end, 0, sizeof *end);
    assert_int_equal(uv_ip4_addr("127.0.0.1", port, &address), 0);
    assert_int_equal(tls_stream_connect(kit_loop(), kit_identity(identity),
                                        (struct sockaddr *)&address, BUFFERED_MAX_BYTES, &callbacks,
                                        end, &end->stream, &error),
                     ERROR_OK);
}

static void dial_server(struct end *end, const char *identity) {
    dial(end, identity, tls_listener_port(server.listener));
}

static bool is_closed(void *context) {
    return ((struct end *)context)->closed;
}

static bool both_ready(void *context) {
    return ((struct end *)context)->ready && server.accepted.stream != NULL;
}

static bool was_rejected(void *context) {
    (void)context;
    return server.rejected_count > 0;
}

static void connect_both(struct end *client, const char *identity) {
    dial_server(client, identity);
    assert_true(kit_run_until(both_ready, client, WAIT_MS));
}

static void close_client(struct end *client) {
    tls_stream_close(client->stream);
    tls_stream_close(client->stream); /* harmless */
    assert_false(client->closed);     /* never from inside */
    assert_true(kit_run_until(is_closed, client, WAIT_MS));
    assert_int_equal(client->error.code, ERROR_OK);
}

static bool echoed(void *context) {
    return ((struct end *)context)->received_bytes == 5;
}

static void test_good(void **state) {
    struct end client;
    (void)state;
    connect_both(&client, "n2");
    assert_string_equal(client.peer.name, "n1");
    assert_string_equal(server.accepted.peer.name, "n2");
    assert_string_equal(server.accepted.peer.cluster, "alpha");
    assert_int_equal(server.accepted.peer.kind, TLS_KIND_NODE);
    assert_true(server.accepted.peer.not_after_ms > 0);
    server.accepted.echo = true;
    assert_int_equal(write_bytes(&client, "hello", 5), ERROR_OK);
    assert_true(kit_run_until(echoed, &client, WAIT_MS));
    assert_int_equal(client.sum, 'h' + 'e' * 2 + 'l' * 3 + 'l' * 4 + 'o' * 5);
    assert_int_equal(client.written, 1);
    assert_int_equal(client.write_errors, 0);
    close_client(&client);
    /* The other side hears of it, once. */
    assert_true(kit_run_until(is_closed, &server.accepted, WAIT_MS));
    assert_int_equal(server.accepted.error.code, ERROR_UNAVAILABLE);
    assert_int_equal(server.rejected_count, 0);
}

static void test_user(void **state) {
    struct end client;
    (void)state;
    connect_both(&client, "alice");
    assert_int_equal(server.accepted.peer.kind, TLS_KIND_USER);
    assert_int_equal(server.accepted.peer.role, TLS_ROLE_OPERATOR);
    assert_string_equal(server.accepted.peer.name, "alice");
    close_client(&client);
}

/* The server doesn't believe the client, and says why; the client hears an alert. */
static void expect_server_refuses(const char *identity, const char *words) {
    struct end client;
    dial_server(&client, identity);
    assert_true(kit_run_until(was_rejected, NULL, WAIT_MS));
    assert_true(kit_run_until(is_closed, &client, WAIT_MS));
    if (strstr(server.rejected.message, words) == NULL) {
        fail_msg("%s: %s", identity, server.rejected.message);
    }
    assert_int_equal(server.rejected.code, ERROR_DENIED);
    assert_int_equal(server.accepted_count, 0);
    assert_int_equal(client.error.code, ERROR_DENIED);
    assert_non_null(strstr(client.error.message, "refused us"));
}

static void test_revoked(void **state) {
    (void)state;
    expect_server_refuses("revoked", "is revoked");
}

static void test_client_refuses(void **state) {
    struct end client;
    (void)state;
    /* Here it is the client that finds the server's certificate to be of another CA or cluster. */
    dial_server(&client, "foreign");
    assert_true(kit_run_until(is_closed, &client, WAIT_MS));
    assert_false(client.ready);
    assert_int_equal(client.error.code, ERROR_DENIED);
    assert_non_null(strstr(client.error.message, "not signed by our CA"));
    assert_true(kit_run_until(was_rejected, NULL, WAIT_MS));
    assert_non_null(strstr(server.rejected.message, "refused us"));

    dial_server(&client, "beta");
    assert_true(kit_run_until(is_closed, &client, WAIT_MS));
    assert_false(client.ready);
    assert_non_null(strstr(client.error.message, "cluster 'alpha', ours is 'beta'"));
    assert_int_equal(server.accepted_count, 0);
}

static void expect_raw_refused(struct raw_client client, const char *server_words) {
    client.port = tls_listener_port(server.listener);
    client.wait_for_end = true;
    assert_true(raw_client_run(&client, WAIT_MS));
    assert_true(client.connected);
    assert_true(kit_run_until(was_rejected, NULL, WAIT_MS));
    if (strstr(server.rejected.message, server_words) == NULL) {
        fail_msg("%s", server.rejected.message);
    }
    assert_int_equal(server.accepted_count, 0);
    assert_int_equal(client.received_bytes, 0);
}

static void test_expired(void **state) {
    (void)state;
    expect_raw_refused((struct raw_client){.tls_version = TLS1_3_VERSION, .certificate = "expired"},
                       "expired");
}

static void test_foreign_ca(void **state) {
    (void)state;
    expect_raw_refused((struct raw_client){.tls_version = TLS1_3_VERSION, .certificate = "foreign"},
                       "not signed by our CA");
}

static void test_other_cluster(void **state) {
    (void)state;
    expect_raw_refused((struct raw_client){.tls_version = TLS1_3_VERSION, .certificate = "beta"},
                       "cluster 'beta', ours is 'alpha'");
}

static void test_no_certificate(void **state) {
    (void)state;
    expect_raw_refused((struct raw_client){.tls_version = TLS1_3_VERSION},
                       "the other side has no certificate");
}

static void test_tls_1_2(void **state) {
    (void)state;
    expect_raw_refused((struct raw_client){.tls_version = TLS1_2_VERSION, .certificate = "n2"},
                       "unsupported protocol");
}

static void test_raw_good(void **state) {
    struct raw_client client = {.tls_version = TLS1_3_VERSION, .certificate = "n2"};
    (void)state;
    client.port = tls_listener_port(server.listener);
    /* So what the tests above refuse isn't refused for the client's sake. */
    assert_true(raw_client_run(&client, WAIT_MS));
    assert_true(client.handshake_done);
    assert_string_equal(client.failure, "");
    assert_true(kit_run_until(is_closed, &server.accepted, WAIT_MS));
    assert_int_equal(server.accepted_count, 1);
}

static void test_no_tls(void **state) {
    (void)state;
    expect_raw_refused((struct raw_client){.bytes = "GET / HTTP/1.1\r\n\r\n", .size_bytes = 18},
                       "http request");
}

static void test_silent_client(void **state) {
    (void)state;
    uint64_t before = uv_hrtime();
    expect_raw_refused((struct raw_client){.bytes = "\x16\x03\x01", .size_bytes = 3},
                       "no TLS handshake within 3 s");
    assert_true((uv_hrtime() - before) / 1000000 >= TLS_STREAM_HANDSHAKE_DEADLINE_MS - 50);
}

static void test_nobody_listens(void **state) {
    struct end client;
    (void)state;
    dial(&client, "n2", 1);
    assert_true(kit_run_until(is_closed, &client, WAIT_MS));
    assert_int_equal(client.error.code, ERROR_UNAVAILABLE);
    assert_non_null(strstr(client.error.message, "refused"));
}

static void on_ignored_connection(uv_stream_t *server_handle, int status) {
    (void)server_handle;
    (void)status;
}

/* A server that takes connections and says nothing: the kernel accepts, nobody answers. */
static void test_silent_server(void **state) {
    struct end client;
    uv_tcp_t silent;
    struct sockaddr_in address;
    int length = sizeof address;
    (void)state;
    assert_int_equal(uv_tcp_init(kit_loop(), &silent), 0);
    assert_int_equal(uv_ip4_addr("127.0.0.1", 0, &address), 0);
    assert_int_equal(uv_tcp_bind(&silent, (struct sockaddr *)&address, 0), 0);
    assert_int_equal(uv_listen((uv_stream_t *)&silent, 8, on_ignored_connection), 0);
    assert_int_equal(uv_tcp_getsockname(&silent, (struct sockaddr *)&address, &length), 0);
    dial(&client, "n2", ntohs(address.sin_port));
    assert_true(kit_run_until(is_closed, &client, WAIT_MS));
    assert_int_equal(client.error.code, ERROR_TIMEOUT);
    uv_close((uv_handle_t *)&silent, NULL);
    uv_run(kit_loop(), UV_RUN_NOWAIT);
}

/* Nobody answers the SYN: a listener whose queue is full. */
static void test_no_answer(void **state) {
    enum { FILLERS = 4 };
    struct end client;
    struct sockaddr_in address;
    socklen_t length = sizeof address;
    int fillers[FILLERS];
    (void)state;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(uv_ip4_addr("127.0.0.1", 0, &address), 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(listener, 0), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &length), 0);
    for (unsigned i = 0; i < FILLERS; i++) {
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)connect(fillers[i], (struct sockaddr *)&address, sizeof address);
    }
    uint64_t before = uv_hrtime();
    dial(&client, "n2", ntohs(address.sin_port));
    assert_true(kit_run_until(is_closed, &client, WAIT_MS));
    uint64_t took_ms = (uv_hrtime() - before) / 1000000;
    assert_int_equal(client.error.code, ERROR_TIMEOUT);
    assert_non_null(strstr(client.error.message, "no connection within 1 s"));
    assert_in_range(took_ms, TLS_STREAM_CONNECT_DEADLINE_MS - 50,
                    TLS_STREAM_CONNECT_DEADLINE_MS + 1500);
    for (unsigned i = 0; i < FILLERS; i++) {
        (void)close(fillers[i]);
    }
    (void)close(listener);
}

/* --- amounts --- */

static bool server_has_all(void *context) {
    return server.accepted.received_bytes == *(size_t *)context;
}

static void test_big_write(void **state) {
    struct end client;
    size_t size_bytes = 5 * BUFFERED_MAX_BYTES + 17; /* alone it may be over the limit */
    (void)state;
    connect_both(&client, "n2");
    uint8_t *bytes = malloc(size_bytes);
    uint64_t sum = 0;
    for (size_t i = 0; i < size_bytes; i++) {
        bytes[i] = (uint8_t)(i * 7 + i / 255);
        sum += (uint64_t)bytes[i] * (i + 1);
    }
    assert_int_equal(write_bytes(&client, bytes, size_bytes), ERROR_OK);
    memset(bytes, 0xFF, size_bytes); /* ours again */
    free(bytes);
    assert_true(tls_stream_buffered_bytes(client.stream) > 0);
    assert_true(kit_run_until(server_has_all, &size_bytes, WAIT_MS));
    assert_true(server.accepted.sum == sum);
    close_client(&client);
}

static bool all_written(void *context) {
    struct end *end = context;
    return tls_stream_buffered_bytes(end->stream) == 0;
}

static void test_output_limit(void **state) {
    struct end client;
    unsigned taken = 0;
    (void)state;
    connect_both(&client, "n2");
    tls_stream_set_reading(server.accepted.stream, false);
    uint8_t *bytes = calloc(1, 64 * 1024);
    enum error_code code;
    while ((code = write_bytes(&client, bytes, 64 * 1024)) == ERROR_OK) {
        taken++;
        assert_true(taken < 1000);
        assert_true(tls_stream_buffered_bytes(client.stream) <= BUFFERED_MAX_BYTES + 4096);
        uv_run(kit_loop(), UV_RUN_NOWAIT);
    }
    assert_int_equal(code, ERROR_LIMIT);
    assert_true(taken >= 15);
    size_t received_before = server.accepted.received_bytes;
    tls_stream_set_reading(server.accepted.stream, true);
    assert_int_equal(server.accepted.received_bytes, received_before); /* never from inside */
    assert_true(kit_run_until(all_written, &client, WAIT_MS));
    assert_int_equal(write_bytes(&client, bytes, 64 * 1024), ERROR_OK);
    size_t expected = (size_t)(taken + 1) * 64 * 1024;
    assert_true(kit_run_until(server_has_all, &expected, WAIT_MS));
    assert_int_equal(client.write_errors, 0);
    free(bytes);
    close_client(&client);
}

static void on_idle(uv_idle_t *idle) {
    (void)idle;
    if (server.accepted.stream != NULL) {
        tls_stream_set_reading(server.accepted.stream, true);
    }
}

/* Pausing after every record, in the middle of what was read, loses nothing and reorders nothing.
 */
static void test_pauses(void **state) {
    struct end client;
    uint8_t bytes[1000];
    uint64_t sum = 0;
    size_t total = 0;
    uv_idle_t idle;
    (void)state;
    connect_both(&client, "n2");
    server.accepted.pause = true;
    assert_int_equal(uv_idle_init(kit_loop(), &idle), 0);
    assert_int_equal(uv_idle_start(&idle, on_idle), 0);
    for (unsigned i = 0; i < 500; i++) {
        for (size_t j = 0; j < sizeof bytes; j++) {
            bytes[j] = (uint8_t)(i + j);
            sum += (uint64_t)bytes[j] * ++total;
        }
        assert_int_equal(write_bytes(&client, bytes, sizeof bytes), ERROR_OK);
    }
    assert_true(kit_run_until(server_has_all, &total, WAIT_MS));
    assert_true(server.accepted.sum == sum);
    assert_int_equal(server.accepted.pieces, 500);
    server.accepted.pause = false;
    uv_run(kit_loop(), UV_RUN_NOWAIT);
    uv_close((uv_handle_t *)&idle, NULL);
    close_client(&client);
}

/* What was written before finish arrives whole, however much waits, and then a clean end, though
 * the other side has sent something that nobody reads. */
static void test_finish(void **state) {
    struct end client;
    size_t size_bytes = 12 * BUFFERED_MAX_BYTES; /* beyond what the kernel's buffers take */
    (void)state;
    connect_both(&client, "n2");
    tls_stream_set_reading(client.stream, false);
    uint8_t *bytes = calloc(1, size_bytes);
    assert_int_equal(write_bytes(&server.accepted, bytes, BUFFERED_MAX_BYTES), ERROR_OK);
    assert_int_equal(write_bytes(&client, bytes, size_bytes), ERROR_OK);
    tls_stream_finish(client.stream);
    assert_true(tls_stream_buffered_bytes(client.stream) > 0);
    assert_int_equal(write_bytes(&client, "x", 1), ERROR_UNAVAILABLE);
    assert_true(kit_run_until(is_closed, &server.accepted, WAIT_MS));
    assert_true(server_has_all(&size_bytes));
    assert_string_equal(server.accepted.error.message, "closed by the other side");
    assert_true(kit_run_until(is_closed, &client, WAIT_MS));
    assert_int_equal(client.error.code, ERROR_OK);
    assert_int_equal(client.received_bytes, 0);
    assert_int_equal(client.written, 1);
    assert_int_equal(client.write_errors, 0);
    free(bytes);
}

/* Every write is answered for, before on_closed. */
static void test_close_with_output(void **state) {
    struct end client;
    unsigned writes = 0;
    (void)state;
    connect_both(&client, "n2");
    tls_stream_set_reading(server.accepted.stream, false);
    uint8_t *bytes = calloc(1, 64 * 1024);
    while (write_bytes(&client, bytes, 64 * 1024) == ERROR_OK) {
        writes++;
        uv_run(kit_loop(), UV_RUN_NOWAIT);
    }
    close_client(&client); /* on_written checks the order */
    assert_int_equal(client.written, writes);
    assert_true(client.write_errors > 0);
    assert_int_equal(client.write_error, ERROR_CANCELLED);
    free(bytes);
}

static void test_close_while_connecting(void **state) {
    struct end client;
    (void)state;
    dial_server(&client, "n2");
    assert_int_equal(write_bytes(&client, "x", 1), ERROR_UNAVAILABLE);
    close_client(&client);
    assert_false(client.ready);
}

/* --- many --- */

enum { CROWD = 20 };

static bool crowd_is_cut(void *context) {
    (void)context;
    return server.rejected_count >= CROWD + 1 - 8;
}

static void on_crowd_connected(uv_connect_t *request, int status) {
    assert_int_equal(status, 0);
    ++*(unsigned *)request->data;
}

static bool crowd_is_connected(void *context) {
    return *(unsigned *)context == CROWD;
}

/* Connections that prove nothing are bounded; the oldest go, and a good one gets in. */
static void test_crowd(void **state) {
    uv_tcp_t crowd[CROWD];
    uv_connect_t requests[CROWD];
    struct sockaddr_in address;
    struct end client;
    unsigned connected = 0;
    (void)state;
    assert_int_equal(uv_ip4_addr("127.0.0.1", tls_listener_port(server.listener), &address), 0);
    for (unsigned i = 0; i < CROWD; i++) {
        assert_int_equal(uv_tcp_init(kit_loop(), &crowd[i]), 0);
        requests[i].data = &connected;
        assert_int_equal(uv_tcp_connect(&requests[i], &crowd[i], (struct sockaddr *)&address,
                                        on_crowd_connected),
                         0);
    }
    assert_true(kit_run_until(crowd_is_connected, &connected, WAIT_MS));
    connect_both(&client, "n2");
    assert_true(kit_run_until(crowd_is_cut, NULL, WAIT_MS));
    assert_int_equal(server.rejected.code, ERROR_LIMIT);
    assert_non_null(strstr(server.rejected.message, "prove nothing"));
    for (unsigned i = 0; i < CROWD; i++) {
        uv_close((uv_handle_t *)&crowd[i], NULL);
    }
    close_client(&client);
}

/* A renewed identity is checked against, and used by new connections. */
static void test_new_identity(void **state) {
    struct end client;
    struct error error;
    (void)state;
    connect_both(&client, "n2");
    assert_int_equal(tls_stream_verify_again(server.accepted.stream, kit_identity("n1"), &error),
                     ERROR_OK);
    assert_int_equal(
        tls_stream_verify_again(server.accepted.stream, kit_identity("foreign"), &error),
        ERROR_DENIED);
    tls_listener_set_identity(server.listener, kit_identity("n3"));
    struct end second;
    dial_server(&second, "n2");
    assert_true(kit_run_until(both_ready, &second, WAIT_MS));
    assert_string_equal(second.peer.name, "n3");
    close_client(&second);
    close_client(&client);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_server, close_server)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_good),
        TEST(test_user),
        TEST(test_revoked),
        TEST(test_client_refuses),
        TEST(test_expired),
        TEST(test_foreign_ca),
        TEST(test_other_cluster),
        TEST(test_no_certificate),
        TEST(test_tls_1_2),
        TEST(test_raw_good),
        TEST(test_no_tls),
        TEST(test_silent_client),
        TEST(test_nobody_listens),
        TEST(test_silent_server),
        TEST(test_no_answer),
        TEST(test_big_write),
        TEST(test_output_limit),
        TEST(test_pauses),
        TEST(test_finish),
        TEST(test_close_with_output),
        TEST(test_close_while_connecting),
        TEST(test_crowd),
        TEST(test_new_identity),
    };
    return cmocka_run_group_tests(tests, kit_setup, kit_teardown);
}
