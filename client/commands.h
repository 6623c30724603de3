/* The table of noctuactl's commands: parsing and help come from it. */
#ifndef CLIENT_COMMANDS_H
#define CLIENT_COMMANDS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "connection.h"
#include "render.h"

#define ARGUMENT_MAX 4
#define SKIP_MAX 16
#define DEAD_MAX 32

enum exit_code {
    EXIT_DONE = 0,
    EXIT_INTERNAL = 1,
    EXIT_USAGE = 2,
    EXIT_REFUSED = 3,
    EXIT_UNREACHABLE = 4,
    EXIT_STILL_RUNNING = 5,
    EXIT_STOPPED = 6,
    EXIT_CANCELLED = 7,
    EXIT_PLAN_CHANGED = 8,
    EXIT_NOT_AUTHORISED = 9,
    EXIT_DIFFERENCES = 10,
};

struct options {
    const char *endpoints, *tls, *id;
    enum output output;
    uint64_t timeout_ms;

    const char *against;
    const char *to, *reason, *plan_hash, *step, *service, *directory, *cluster, *role, *out, *kind;
    char *skip[SKIP_MAX];
    char *dead[DEAD_MAX]; /* --declare-dead: regions, and members as host:port */
    uint32_t dead_count;
    uint32_t skip_count;
    const char *names[SKIP_MAX]; /* --name, of pki issue */
    uint32_t name_count;
    const char *owners[SKIP_MAX]; /* --owner */
    uint32_t owner_count;
    uint64_t for_ms;
    uint64_t epoch;
    uint64_t expected_index;
    uint64_t revision; /* 0: the current one */
    bool has_expected;
    uint32_t days, limit;
    bool yes, wait, watch, force, dry_run, events, all;
    uint64_t wait_ms; /* 0: until the end */

    const char *arguments[ARGUMENT_MAX];
    uint32_t argument_count;
};

#define OPTION_TO (1u << 0)
#define OPTION_REASON (1u << 1)
#define OPTION_SKIP (1u << 2)
#define OPTION_FOR (1u << 3)
#define OPTION_YES (1u << 4)
#define OPTION_WAIT (1u << 5)
#define OPTION_PLAN_HASH (1u << 6)
#define OPTION_EPOCH (1u << 7)
#define OPTION_STEP (1u << 8)
#define OPTION_PKI (1u << 9)
#define OPTION_EVENTS (1u << 10)
#define OPTION_EXPECTED (1u << 11)
#define OPTION_DRY_RUN (1u << 12)
#define OPTION_ALL (1u << 13)
#define OPTION_AGAINST (1u << 14)
#define OPTION_REVISION (1u << 15)
#define OPTION_WATCH (1u << 16)
#define OPTION_SERVICE (1u << 17)
#define OPTION_DEAD (1u << 18)

struct client_command {
    const char *words;     /* "spec apply" */
    const char *arguments; /* "SERVICE" for help; one word an argument, [X] may be left out */
    uint32_t least, most;  /* arguments */
    uint32_t options;      /* OPTION_ bits that it takes */
    const char *summary;
    int (*run)(const struct options *options);
};

extern const struct client_command client_commands[];
extern const uint32_t client_command_count;

/* ask.c: a command is one request and its answer; returns the exit code. */
int ask_query(const struct options *options, const char *what, const char *service, bool stale,
              void (*view)(const json_t *document, FILE *out));
/* A question on a connection of its own; the exit code. *ret_reply is the caller's, NULL without an
 * answer, of which people were told. */
int ask_for(const struct options *options, Noctua__Request *request, bool stale,
            Noctua__Reply **ret_reply);
/* Sends a command; prints the answer's sentence, and its document by `refused` (may be NULL) when a
 * gate refused it. ret_index (may be NULL): the entry that it became. */
int ask_command(const struct options *options, struct connection *connection,
                Noctua__Request *request, void (*refused)(const json_t *document, FILE *out),
                uint64_t *ret_index);
/* The same on a connection of its own. */
int ask_once(const struct options *options, Noctua__Request *request);
/* A question whose answer isn't printed; *ret_document is the caller's, NULL without one. */
int ask_document(const struct options *options, const char *what, json_t **ret_document);
/* The service, and of a readmission the member, are the first arguments (release: --service). */
int ask_move(const struct options *options, Noctua__MoveRequest__Kind kind, const char *service);
int ask_watch(const struct options *options);
/* Opens the connection, or says why not; NULL then, with *ret_exit. */
struct connection *ask_connect(const struct options *options, int *ret_exit);
int complain(const struct error *error);

/* spec_commands.c, pki_commands.c */
int run_spec_validate(const struct options *options);
int run_spec_apply(const struct options *options);
int run_spec_get(const struct options *options);
int run_spec_history(const struct options *options);
int run_spec_rollback(const struct options *options);
int run_spec_schema(const struct options *options);
/* The group's spec (or --revision of it) as it was applied, into `ret`; an exit code. */
int spec_fetch(const struct options *options, struct buffer *ret);
/* A file, a directory, or - for standard input; complains. */
int spec_read(const char *path, struct buffer *ret);

/* nodes_commands.c */
int run_nodes_add(const struct options *options);
int run_nodes_remove(const struct options *options);
int run_nodes_replace(const struct options *options);
int run_transfer_leader(const struct options *options);

/* spec_diff.c */
int run_spec_diff(const struct options *options);
/* Shows it; DONE (none), DIFFERENCES, or what was wrong with a text. */
int spec_show_difference(const struct options *options, const char *old_name,
                         const struct buffer *from, const char *new_name, const struct buffer *to);

/* reference.c */
int run_completion(const struct options *options);
int run_reference(const struct options *options);
int run_pki_init(const struct options *options);
int run_pki_issue(const struct options *options);
int run_pki_revoke(const struct options *options);

#endif
