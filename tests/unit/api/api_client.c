#include "api_client.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void on_ready(struct tls_stream *stream, const struct tls_peer *peer, void *context) {
    (void)stream;
    (void)peer;
    ((struct tester *)context)->ready = true;
}

static bool on_frame(enum frame_type type, const uint8_t *payload, size_t size, void *context) {
    struct tester *tester = context;
    assert_int_equal(type, FRAME_RESPONSE);
    assert_true(tester->count < TESTER_REPLY_MAX);
    tester->replies[tester->count] = noctua__reply__unpack(NULL, size, payload);
    assert_non_null(tester->replies[tester->count]);
    tester->count++;
    return true;
}

static void on_data(struct tls_stream *stream, const void *bytes, size_t size, void *context) {
    struct tester *tester = context;
    struct error error;
    (void)stream;
    assert_int_equal(frame_parser_feed(&tester->parser, bytes, size, on_frame, tester, &error),
                     ERROR_OK);
}

static void on_closed(struct tls_stream *stream, const struct error *error, void *context) {
    struct tester *tester = context;
    (void)stream;
    (void)error;
    tester->closed = true;
    tester->stream = NULL;
    frame_parser_finish(&tester->parser);
    tester_clear(tester);
}

void tester_connect(struct tester *tester, uv_loop_t *loop, struct tls_identity *identity,
                    uint16_t port) {
    static const struct tls_stream_callbacks callbacks = {on_ready, on_data, on_closed};
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct error error;
    memset(tester, 0, sizeof *tester);
    frame_parser_init(&tester->parser, FRAME_SET(FRAME_RESPONSE), 0);
    assert_int_equal(tls_stream_connect(loop, identity, (struct sockaddr *)&address,
                                        8 * 1024 * 1024, &callbacks, tester, &tester->stream,
                                        &error),
                     ERROR_OK);
}

void tester_send_bytes(struct tester *tester, const void *bytes, size_t size) {
    uv_buf_t buffer = uv_buf_init((char *)bytes, (unsigned)size);
    assert_int_equal(tls_stream_write(tester->stream, &buffer, 1, NULL, NULL), ERROR_OK);
}

void tester_send(struct tester *tester, const Noctua__Request *request) {
    size_t size = noctua__request__get_packed_size(request);
    uint8_t *bytes = malloc(FRAME_HEADER_BYTES + size);
    assert_non_null(bytes);
    frame_encode_header(FRAME_REQUEST, size, bytes);
    (void)noctua__request__pack(request, bytes + FRAME_HEADER_BYTES);
    tester_send_bytes(tester, bytes, FRAME_HEADER_BYTES + size);
    free(bytes);
}

void tester_clear(struct tester *tester) {
    for (uint32_t i = 0; i < tester->count; i++) {
        noctua__reply__free_unpacked(tester->replies[i], NULL);
    }
    tester->count = 0;
}

void tester_close(struct tester *tester) {
    if (tester->stream != NULL) {
        tls_stream_close(tester->stream);
    }
}
