/* A client of the API in the test's own process, on the test's loop. */
#ifndef TEST_API_API_CLIENT_H
#define TEST_API_API_CLIENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "net/frame.h"
#include "net/stream.h"
#include "noctua.pb-c.h"

#define TESTER_REPLY_MAX 64

struct tester {
    struct tls_stream *stream;
    Noctua__Reply *replies[TESTER_REPLY_MAX];
    struct frame_parser parser;
    uint32_t count;
    bool ready, closed;
};

/* Begins to connect; events come on the loop. */
void tester_connect(struct tester *tester, uv_loop_t *loop, struct tls_identity *identity,
                    uint16_t port);
void tester_send(struct tester *tester, const Noctua__Request *request);
void tester_send_bytes(struct tester *tester, const void *bytes, size_t size);
/* Forgets the replies. */
void tester_clear(struct tester *tester);
void tester_close(struct tester *tester);

#endif
