/* noctuactl's line to the group: finds a node that answers, finds the leader, asks, and keeps
 * asking until there is an answer or the time is over. A command keeps its id and number through
 * all tries, so that it is done once. Blocking; runs a loop of its own. */
#ifndef CLIENT_CONNECTION_H
#define CLIENT_CONNECTION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "noctua.pb-c.h"

#define CONNECTION_ENDPOINT_MAX 16
#define CONNECTION_ID_SIZE 56 /* "<known index>-<32 hexadecimal digits>" */

struct connection;

/* endpoints: "host:port,host:port". tls: directory with ca.pem, user.pem, user.key. id: NULL, or
 * what an earlier, interrupted command printed. timeout_ms: for each call. */
enum error_code connection_create(const char *endpoints, const char *tls, const char *id,
                                  uint64_t timeout_ms, struct connection **ret_connection,
                                  struct error *error);
void connection_destroy(struct connection *connection); /* NULL: nothing */

/* Fills in the envelope and asks. command: it changes something: goes to the leader only, under
 * this run's id. allow_stale: where no leader can be found, any node's own state will do.
 * *ret_reply is the caller's (noctua__reply__free_unpacked). */
enum error_code connection_call(struct connection *connection, Noctua__Request *request,
                                bool command, bool allow_stale, Noctua__Reply **ret_reply,
                                struct error *error);

/* A request with a series of replies: on_reply returns false to end it. ERROR_TIMEOUT when
 * timeout_ms (0: none) pass before the series ends by itself. Once it has begun it goes on from
 * where it was when the node goes away: `resume` may change the request (from_index) before it is
 * sent again. */
enum error_code connection_watch(struct connection *connection, Noctua__Request *request,
                                 uint64_t timeout_ms,
                                 bool (*on_reply)(void *context, const Noctua__Reply *reply),
                                 void (*resume)(void *context, Noctua__Request *request),
                                 void *context, struct error *error);

/* The id of this run's command, to repeat it with. "" before anything was asked. */
const char *connection_id(const struct connection *connection);

#endif
