/* The replica set of the world on sockets: every process a port on 127.0.0.1. Its virtual time is
 * the machine's, some times as fast. */
#ifndef WORLD_MONGO_SERVER_H
#define WORLD_MONGO_SERVER_H

#include <jansson.h>
#include <uv.h>

#include "base/error.h"
#include "mongo/set.h"

#define MONGO_SPEED_MAX 1000

struct mongo_server;

struct mongo_server_options {
    uv_loop_t *loop;
    const char *text;           /* "NAME:RELEASE:MEMBERS[:SPARES]", release 3.6 or 4.4 */
    uint64_t speed;             /* virtual milliseconds in one of the machine's; 0: 1 */
    uint64_t seed;              /* of the set's chances */
    uint16_t first_port;        /* 0: chosen by the kernel; else one after the other */
    bool fresh;                 /* not initiated; else there is a primary when it returns */
    const char *const *regions; /* the members' tags {region: R}, in turn; borrowed for the call */
    size_t region_count;
};

/* Errors: INVALID, IO. */
enum error_code mongo_server_create(const struct mongo_server_options *options,
                                    struct mongo_server **ret_server, struct error *error);
/* The memory goes when the loop has run the close callbacks. Takes NULL. */
void mongo_server_destroy(struct mongo_server *server);

/* {"name": N, "release": "4.4", "members": ["127.0.0.1:p"], "spares": [...]} */
json_t *mongo_server_addresses(const struct mongo_server *server);
/* As addresses, with what each process is and believes. */
json_t *mongo_server_state(struct mongo_server *server);
/* Does to a process what the body says (tests/world/README.md). Errors: NOT_FOUND, INVALID. */
enum error_code mongo_server_change(struct mongo_server *server, const char *process,
                                    const json_t *body, struct error *error);
/* {"from": i, "to": j, "cut": bool, "both": bool} */
enum error_code mongo_server_link(struct mongo_server *server, const json_t *body,
                                  struct error *error);

#endif
