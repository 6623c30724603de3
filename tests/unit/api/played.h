/* A client API server with a node behind it that the test plays: core's test group is the committed
 * state, and the test decides when and how proposals end. One at a time; certificates are made once
 * a run. */
#ifndef TEST_API_PLAYED_H
#define TEST_API_PLAYED_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "api/server.h"
#include "api_client.h"
#include "scene.h"

#define DEADLINE_MS 10000
#define CALL_MAX 128

enum person { ADMIN, OPERATOR, VIEWER, NODE, STRANGER, PERSON_COUNT };

struct call {
    const struct command *command; /* NULL: a barrier */
    api_proposed_cb proposed;
    api_barrier_cb barrier;
    void *context;
};

struct played {
    uv_loop_t loop;
    uv_timer_t tick; /* so that a turn of the loop never blocks for long */
    struct group group;
    uint32_t place; /* which node of the group the server is */
    struct api_server *server;
    uint16_t port;
    struct call calls[CALL_MAX];
    uint32_t call_count;
    bool hold;            /* proposals and barriers wait */
    enum error_code fate; /* of proposals; ERROR_OK: applied */
    enum error_code barrier_fate;
    bool server_closed;
    uint64_t boottime_ms, wall_ms;
    uint8_t client_id[16];
    uint64_t sequence; /* of the last command */
};

extern struct played node;

/* cmocka's group and test fixtures. */
int make_certificates(void **state);
int remove_certificates(void **state);
int set_up(void **state);
int tear_down(void **state);

/* One turn of the loop, and everything that waits unless `hold`. */
void turn(void);

/* Turns the loop until the condition holds. */
#define UNTIL(condition)                                                                           \
    do {                                                                                           \
        uint64_t until_ms = uv_hrtime() / 1000000 + DEADLINE_MS;                                   \
        while (!(condition)) {                                                                     \
            if (uv_hrtime() / 1000000 > until_ms) {                                                \
                fail_msg("never: %s", #condition);                                                 \
            }                                                                                      \
            turn();                                                                                \
        }                                                                                          \
    } while (0)

/* api_server_close, noting its end in node.server_closed. */
void close_server(void);

/* Connects, until it is ready or refused. */
void open_as(struct tester *tester, enum person person);
void leave(struct tester *tester);

/* The envelope. */
void fill(Noctua__Request *request);
/* Sends and waits for the one reply (valid until the next). */
const Noctua__Reply *ask(struct tester *tester, const Noctua__Request *request);
const Noctua__Reply *ask_query(struct tester *tester, const char *what, const char *service,
                               bool allow_stale);
/* Requests about service nocturnal; a command gets the next number. */
void make_override(Noctua__Request *request, Noctua__OverrideRequest *override,
                   Noctua__OverrideRequest__Kind kind, uint64_t for_ms);
void make_move(Noctua__Request *request, Noctua__MoveRequest *move, const char *to, bool dry_run);

json_t *document_of(const Noctua__Reply *reply);
void expect(const Noctua__Reply *reply, uint32_t exit_code, const char *error_code);
/* The open move's first step, which is the switch. */
void carry_out_the_switch(void);
/* Approves, rejects, cancels or releases for "nocturnal"; step "" but for a release. */
const Noctua__Reply *ask_choice(struct tester *tester, Noctua__ChoiceRequest__Kind kind,
                                const char *step);

#endif
