/* A small HTTP (or just TCP) server on the test's own loop, on 127.0.0.1 or another loopback
 * address.
 */
#ifndef TEST_PROBE_SERVER_H
#define TEST_PROBE_SERVER_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

enum server_mode {
    SERVER_ANSWER, /* to each request, and keeps the connection */
    SERVER_ANSWER_AND_CLOSE,
    SERVER_SILENT, /* reads, says nothing */
    SERVER_DRIP,   /* a byte of a header every 10 ms, for ever */
    SERVER_RESET,  /* at the request, by RST */
    SERVER_HANG_UP /* at the request, by FIN */
};

#define SERVER_OK "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{\"ok\": true}"

struct server {
    uv_tcp_t listener;
    enum server_mode mode;
    uint16_t port;
    bool closed;
    const char *answer;
    size_t answer_bytes; /* 0: strlen(answer) */
    struct connection *connections;
    uint32_t accept_count, request_count, open_count, open_peak;
    char request[2048]; /* the last one */
};

/* port 0: any. */
void server_start(struct server *server, uv_loop_t *loop, const char *address, uint16_t port,
                  enum server_mode mode, const char *answer);
/* Closes the connections that stand, goes on listening. */
void server_drop(struct server *server);
/* The connection that was accepted last. */
uv_handle_t *server_newest(struct server *server);
/* Closes all; `closed` when done. */
void server_stop(struct server *server);

/* A port that takes no connection and refuses none: connects hang. -1 is never returned; free with
 * hang_close. */
struct hang {
    int listener, fillers[4];
    uint16_t port;
};
void hang_open(struct hang *hang);
void hang_close(struct hang *hang);

/* A port where nobody listens. */
uint16_t closed_port(void);

#endif
