/* The client API: length-framed protobuf Request and Reply (proto/noctua.proto) over mutual TLS on
 * a port of its own. Who asks, and what they may, comes from their certificate alone: viewer
 * queries, operator acts on services of its owner, admin also changes the spec, releases and
 * adopts. The role goes into the command and apply checks it again.
 *
 * Only the leader takes commands; another node answers NOT_LEADER with the leader's name. Queries
 * on the leader are linearizable (a barrier each); a node that doesn't lead answers them from its
 * own state only when `allow_stale` is set, marked with `stale` and its age. A repeated command
 * (client id and sequence) gets the answer that it got first. Runs on the main loop. */
#ifndef API_SERVER_H
#define API_SERVER_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "api/facts.h"
#include "base/clock.h"
#include "base/error.h"
#include "core/command.h"

#define API_REQUEST_MAX_BYTES (512 * 1024)
#define API_REPLY_MAX_BYTES (4 * 1024 * 1024)
#define API_CLIENT_MAX 64 /* connections; over it the one that has been idle longest goes */
#define API_OUTPUT_MAX_BYTES (8 * 1024 * 1024) /* unread by a client; over it: closed */
#define API_IDLE_MS 300000                     /* without request or watch: closed */
#define API_REQUEST_MS 30000 /* a command or barrier without outcome: exit 4, may yet happen */
#define API_WATCH_HEARTBEAT_MS 5000                   /* a watch without events says [] so often */
#define API_OVERRIDE_FOR_MAX_MS UINT64_C(31622400000) /* 366 days */
#define API_WATCH_BATCH_MAX 256                       /* events a reply */

struct api_server;
struct tls_identity;

typedef void (*api_proposed_cb)(void *context, enum error_code error, enum core_error result,
                                uint64_t index);
typedef void (*api_barrier_cb)(void *context, enum error_code error);

/* The rest of the node. Every callback of propose and barrier comes exactly once, and not before
 * the call has returned. */
struct api_calls {
    void *context;
    void (*facts)(void *context, struct api_facts *ret);
    /* `command` stays valid until `callback`. ERROR_NOT_LEADER: not proposed. ERROR_UNKNOWN: it may
     * yet be applied. ERROR_OK: applied with `result` at `index`. */
    void (*propose)(void *context, const struct command *command, api_proposed_cb callback,
                    void *callback_context);
    /* ERROR_OK: everything committed before the call is applied, and this node led throughout. */
    void (*barrier)(void *context, api_barrier_cb callback, void *callback_context);
    /* Hands leadership to the node. ERROR_OK: it leads; else this node may go on. False, and no
     * callback: one is under way. */
    bool (*transfer)(void *context, uint64_t node_id, api_barrier_cb callback,
                     void *callback_context);
    /* Adds the node to the group, or removes it. ERROR_OK: committed; ERROR_EXISTS,
     * ERROR_NOT_FOUND, ERROR_NOT_LEADER, ERROR_UNKNOWN. False as above. */
    bool (*change)(void *context, const char *node, bool add, api_barrier_cb callback,
                   void *callback_context);
    /* "host:port" of a node's client API, or NULL: not known. May be NULL. */
    const char *(*api_address)(void *context, const char *node);
};

struct api_server_options {
    uv_loop_t *loop;
    const struct clock *clock;
    struct tls_identity *identity; /* takes a reference */
    const char *cluster;
    const char *host; /* IP literal */
    uint16_t port;    /* 0: any free one */
    struct api_calls calls;
};

enum error_code api_server_create(const struct api_server_options *options,
                                  struct api_server **ret_server, struct error *error);
uint16_t api_server_port(const struct api_server *server);
/* New connections are proved against this one; those that stand, and whose certificate it doesn't
 * believe any more (revoked, another CA), are closed. Takes a reference. */
void api_server_set_identity(struct api_server *server, struct tls_identity *identity);
/* Requests that have no answer yet. */
uint32_t api_server_request_count(const struct api_server *server);

/* After each apply: watches are given the new events. Not after api_server_close. */
void api_server_on_applied(struct api_server *server);

/* Closes all connections; `closed` (may be NULL) comes once, when everything is freed. Proposals
 * under way must complete (with any error) before it does. */
void api_server_close(struct api_server *server, void (*closed)(void *context), void *context);

#endif
