/* What the files of the client API's server share. All on the main loop.
 *
 * A client has one request at a time. The request outlives its client while a proposal or barrier
 * is under way: its callback finds `client` NULL then, and only frees it. */
#ifndef API_SERVER_PRIVATE_H
#define API_SERVER_PRIVATE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "api/documents.h"
#include "api/preview.h"
#include "api/server.h"
#include "net/frame.h"
#include "net/stream.h"
#include "net/tls.h"
#include "noctua.pb-c.h"
#include "server_outcome.h"

#define ANSWER_MESSAGE_SIZE 768

struct api_server {
    uv_loop_t *loop;
    struct clock clock;
    char cluster[NAME_SIZE];
    struct api_calls calls;
    struct tls_listener *listener;
    uv_timer_t sweep;
    struct api_client *clients;
    uint32_t client_count;
    uint32_t request_count; /* waiting for a callback */
    uint64_t refused_logged_ms;
    bool closing, listener_closed, sweep_closed;
    void (*closed)(void *context);
    void *closed_context;
};

struct api_watch {
    bool open;
    uint64_t next_number;     /* event to look at next */
    char service[NAME_SIZE];  /* "": all */
    uint64_t epoch, sequence; /* sequence: of its Request */
    uint64_t said_ms;         /* when it was last given something */
};

struct api_client {
    struct api_client *previous, *next;
    struct api_server *server;
    struct tls_stream *stream;
    struct frame_parser parser;
    char actor[ACTOR_SIZE];
    char owners[TLS_OWNERS_SIZE]; /* of an operator; "": every service's */
    enum role role;               /* ROLE_NODE: a node's certificate, which may not act */
    uint64_t active_ms;
    struct api_request *request; /* being answered */
    struct api_watch watch;
    bool closing;
};

struct api_request {
    struct api_server *server;
    struct api_client *client; /* NULL: gone, or told that it waited too long */
    Noctua__Request *message;
    struct command *command; /* proposed; NULL: only asks */
    struct spec *spec;       /* the command's, not parsed for a dry run */
    struct move_preview *preview;
    char node_name[NAME_SIZE]; /* transfer_leader: who is to lead; member: who is meant */
    uint64_t begun_ms;
    bool waiting; /* for a callback of propose or barrier; else it ends where it began */
};

/* One Reply. */
struct answer {
    uint32_t exit_code;
    const char *error_code; /* "": none */
    char message[ANSWER_MESSAGE_SIZE];
    json_t *document; /* taken over */
    uint64_t index;
    bool more, stale;
};

/* server.c */
/* Closes the connection; its memory goes when the stream has ended. */
void api_client_close(struct api_client *client);
/* The server may now be free of everything: ends a close that waits. */
void api_server_settle(struct api_server *server);

/* server_session.c */
void api_session_take(struct api_client *client, const void *bytes, size_t size_bytes);
/* Sends a Reply with this sequence, and drops the answer's document. */
void api_session_send(struct api_client *client, uint64_t sequence, struct answer *answer);
/* Ends a request with its one answer. */
void api_request_answer(struct api_request *request, struct answer *answer);
void api_request_fail(struct api_request *request, enum exit_code exit_code, const char *error_code,
                      const char *format, ...) __attribute__((format(printf, 4, 5)));
void api_request_fail_not_leader(struct api_request *request);
/* First in a callback that a request waits for. False: nobody waits any more, and it is freed. */
bool api_request_resume(struct api_request *request);
/* Frees a request that was answered or abandoned, unless it waits for a callback. */
void api_request_end(struct api_request *request);
/* Detaches the request from a client that waits no longer. */
void api_request_abandon(struct api_request *request);

/* server_query.c: questions, and dry runs. */
bool api_request_only_asks(const Noctua__Request *message);
void api_query_begin(struct api_request *request);
/* The place of a service by name ("": the only one), or NONE_INDEX after a failure was answered. */
uint32_t api_request_find_service(struct api_request *request, const struct api_facts *facts,
                                  const char *name);

/* server_command.c */
/* Whether an operator's certificate covers the service ("": all of them); else refused, answered.
 */
bool api_request_may_act(struct api_request *request, const struct api_facts *facts,
                         const char *service);
void api_command_begin(struct api_request *request);
/* The dry run of a move. */
void api_command_preview_move(struct api_request *request, const struct api_facts *facts,
                              bool stale);
/* server_declared.c: what a person says of the members of a replica set. */
/* The service's set as it is seen now, with the request's word on it; false: refused, answered. */
bool api_declared_take(struct api_request *request, const struct api_facts *facts, uint32_t service,
                       enum execution_kind kind, uint32_t to, struct mongo_view *ret);
/* server_spec.c */
/* The dry run of a spec. */
void api_command_check_spec(struct api_request *request, const struct api_facts *facts, bool stale);
/* Parses the request's spec and makes its command; false: answered. */
bool api_spec_build(struct api_request *request, const struct api_facts *facts);
/* server_transfer.c */
void api_transfer_begin(struct api_request *request, const struct api_facts *facts);
/* server_member.c */
void api_member_begin(struct api_request *request, const struct api_facts *facts);
/* server_result.c: answers to commands that were applied. */
void api_result_answer(struct api_request *request, enum core_error result, uint64_t index,
                       bool repeated);
/* What `plan` has, and how the move stands. */
json_t *api_result_moved(const struct api_facts *facts, uint32_t service, uint64_t index,
                         bool repeated);

/* server_watch.c */
void api_watch_begin(struct api_request *request, const struct api_facts *facts, bool stale);
/* Gives a watch what is new. */
void api_watch_feed(struct api_client *client, const struct api_facts *facts);

#endif
