/* The DNS provider: tests/world's Route 53 without its sockets, asked by aws.c. What became of
 * every request is judged here. */
#ifndef SIM_TARGET_H
#define SIM_TARGET_H

#include "base/error.h"
#include "sim.h"

struct sim_target;

/* A request of a node as it goes over the wire, and what comes back (aws.c). Both are copied. */
struct sim_request {
    const char *method, *url, *body;
    size_t body_bytes;
    bool effect;
};

struct sim_reply {
    struct error error; /* OK: there is a status */
    bool sent;
    int status;
    const char *body;
    size_t body_bytes;
};

typedef void (*sim_reply_function)(void *context, const struct sim_reply *reply);

/* `function` runs once, inside the node, unless that life of it is over. */
void target_send(struct sim_target *target, struct sim_node *node,
                 const struct sim_request *request, sim_reply_function function, void *context);

struct sim_target *target_create(struct sim *sim);
void target_destroy(struct sim_target *target);
/* Somebody edits a record of the service; or puts its fence away. */
void target_edit_record(struct sim_target *target, uint32_t zone, const char *service,
                        const char *address);
void target_delete_fence(struct sim_target *target, uint32_t zone, const char *service);
/* Another group's, over whatever is there. */
void target_put_fence(struct sim_target *target, uint32_t zone, const char *service);
/* What the record of the service says there; "" if there is none. */
void target_address(struct sim_target *target, uint32_t zone, const char *service, char text[64]);
/* The zones' domains: example.com, example.net. */
extern const char *const target_domains[];
/* How many effective changes there were, of nodes. */
uint64_t target_effects(const struct sim_target *target);
/* No request is on its way any more. */
bool target_is_quiet(const struct sim_target *target);

#endif
