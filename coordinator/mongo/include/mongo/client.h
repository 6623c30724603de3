/* Questions to members of replica sets, answered on the loop: libmongoc blocks, so it runs on
 * threads of its own, and only there.
 *
 * A link is the way to one member, named by its host, with one connection at a time that is kept
 * between questions. Its questions are asked one after the other. A question is answered at its
 * deadline at the latest, also when its thread still hangs in it; a member that hangs costs its own
 * link one thread, and no other link anything. There are at most `thread_max` threads; links whose
 * last question failed share half of them, so that a region that is gone can't starve the rest.
 *
 * All functions are for the loop's thread. Secrets are read on the thread that connects, are never
 * logged, and no error text carries one. A simulator replaces this file's functions by its own.
 *
 * Source: libmongoc 1.23 (mongoc_client_t, single-threaded; each link asks its member by
 * directConnection). */
#ifndef MONGO_CLIENT_H
#define MONGO_CLIENT_H

#include <bson/bson.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/error.h"
#include "core/limits.h"
#include "mongo/result.h"

#define MONGO_THREAD_MAX 256
#define MONGO_SECRETS_SIZE 256
#define MONGO_DETAIL_SIZE 160

struct mongo_client;
struct mongo_link;

/* How to reach one member. Copied. */
struct mongo_target {
    char uri[MONGO_URI_SIZE];         /* of the set: TLS and how to log in; codec/mongo_uri.h */
    char host[MONGO_HOST_SIZE];       /* "name:port" of the member; "": only to look up seeds */
    char credentials[URL_SIZE];       /* "file:NAME" or "env:NAME" of user:password; "": none */
    char secrets[MONGO_SECRETS_SIZE]; /* the directory of file:NAME, and of the URI's files */
    char auth_source[NAME_SIZE];      /* as a look-up found it; "": the URI's, or the default */
    uint32_t timeout_ms;              /* of each blocking step: connect, log in, ask */
};

struct mongo_reply {
    enum mongo_result result;
    int32_t server_code; /* SERVER, AUTH: the server's `code`; else 0 */
    uint32_t took_ms;
    const bson_t *document; /* OK, SERVER: what it said; ends with the callback. Else NULL */
    const char *detail;     /* why not, for people: printable, no secret. "" with OK */
};

/* Called exactly once for each question, from the loop; with CANCELLED from inside
 * mongo_link_destroy. */
typedef void (*mongo_reply_cb)(void *context, const struct mongo_reply *reply);

enum mongo_manner {
    MONGO_REPEATABLE, /* on the kept connection, and once more on a new one where that was closed */
    MONGO_ONCE,       /* on a connection of its own, sent at most once */
};

/* thread_max 0: MONGO_THREAD_MAX. ERROR_NO_MEMORY. */
enum error_code mongo_client_create(uv_loop_t *loop, uint32_t thread_max,
                                    struct mongo_client **ret_client, struct error *error);

/* All links must have been destroyed. Calls on_closed once, from the loop, without waiting for
 * threads that hang: they free what is theirs when they return. NULL: on_closed is called at once.
 */
void mongo_client_destroy(struct mongo_client *client, void (*on_closed)(void *context),
                          void *context);

/* NULL: no memory. The first question connects. */
struct mongo_link *mongo_link_create(struct mongo_client *client,
                                     const struct mongo_target *target);
/* NULL is fine. */
void mongo_link_destroy(struct mongo_link *link);

/* `command` is copied. `timeout_ms` counts from now, waiting for earlier questions included. */
void mongo_link_ask(struct mongo_link *link, const char *database, const bson_t *command,
                    enum mongo_manner manner, uint32_t timeout_ms, mongo_reply_cb callback,
                    void *context);

/* Where to begin: {hosts: ["name:port", ..], setName: text, authSource: text, if DNS names one}.
 * Asks DNS for a mongodb+srv URI, else answers what the URI says. */
void mongo_link_look_up(struct mongo_link *link, uint32_t timeout_ms, mongo_reply_cb callback,
                        void *context);

struct mongo_client_stats {
    uint32_t thread_count, busy_count; /* busy: in a question, also one that was given up */
    uint64_t question_count;           /* ever */
};

void mongo_client_stats(const struct mongo_client *client, struct mongo_client_stats *ret_stats);

#endif
