/* The edges of a node that the simulator plays: the operators' API, the HTTP endpoints, pages,
 * certificates, the log. api/server.h, api/http_endpoints.h, driver/pager.h and parts of net/tls.h
 * and main are defined here instead. */
#ifndef SIM_PARTS_H
#define SIM_PARTS_H

#include "api/server.h"
#include "node.h"

struct sim_api {
    struct sim_node *node;
    struct api_calls calls;
    uint64_t lease_polled_ms[SERVICE_MAX][REGION_MAX];
    uv_async_t *lease_polled;
};

void parts_forget(struct sim_node *node);

/* What a poller of /services/S/regions/R/lease gets from that node now: 0, or for how long it holds
 * (ms). It may make the node ask for it. */
uint64_t parts_poll_lease(struct sim_node *node, const char *service, uint32_t region);
/* Place of the region that the node's endpoints show as active; NONE_INDEX: none. */
uint32_t parts_active(const struct sim_node *node, const char *service);

#endif
