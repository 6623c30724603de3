/* A small HTTP server on the test's own loop: one function answers every request. */
#ifndef TESTS_DRIVER_STUB_SERVER_H
#define TESTS_DRIVER_STUB_SERVER_H

#include <stdbool.h>
#include <uv.h>

#include "base/buffer.h"

struct stub_request {
    const char *method, *path;
    const char *headers; /* all lines, in lower case names as sent */
    const char *body;
    unsigned connection; /* 1, 2, ... */
};

/* Appends the whole reply (stub_reply helps); nothing: the request is never answered. false: the
 * connection is cut. */
typedef bool (*stub_answer)(void *context, const struct stub_request *request,
                            struct buffer *reply);

struct stub_server {
    uv_tcp_t listener;
    char url[64]; /* "http://127.0.0.1:12345" */
    unsigned connections, requests;
    struct stub_connection *open;
    stub_answer answer;
    void *context;
};

void stub_server_start(struct stub_server *server, uv_loop_t *loop, stub_answer answer,
                       void *context);
void stub_server_stop(struct stub_server *server);

/* "HTTP/1.1 <status>", a fixed Date, Content-Length, body. */
void stub_reply(struct buffer *reply, int status, const char *body);

#define STUB_DATE "Mon, 23 Nov 2026 21:03:05 GMT"
#define STUB_DATE_MS UINT64_C(1795467785000)

/* Runs the loop until *flag is true; fails the test after 10 s. */
void run_until(uv_loop_t *loop, const bool *flag);

#endif
