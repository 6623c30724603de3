/* The edges of a node that the simulator plays: the operators' API, the thread and the sockets of
 * the HTTP endpoints, pages, certificates, the log. api/server.h, most of api/http_endpoints.h,
 * driver/pager.h and parts of net/tls.h and main are defined here instead. */
#ifndef SIM_PARTS_H
#define SIM_PARTS_H

#include "api/server.h"
#include "http_routes.h"
#include "node.h"

struct sim_api {
    struct sim_node *node;
    struct api_calls calls;
    struct http_endpoints *endpoints; /* NULL: nobody listens */
};

/* One poll of a node's endpoints. */
struct sim_poll {
    enum http_route route;
    uint32_t service, region;
    bool is_public;
};

void parts_forget(struct sim_node *node);

/* A request to the node's endpoints, which answer at once (api/http_routes.h). False: nobody
 * listens. */
bool parts_ask(struct sim_node *node, bool is_public, const struct http_request *request,
               struct http_answer *ret);
/* What they answer from; NULL: nothing was published yet. */
const struct view *parts_view(const struct sim_node *node);

#endif
