/* DNS over UDP and TCP on one port of 127.0.0.1. */
#ifndef WORLD_DNS_SERVER_H
#define WORLD_DNS_SERVER_H

#include <uv.h>

#include "base/clock.h"
#include "dns_answer.h"

#define DNS_TCP_CONNECTIONS_MAX 64
#define DNS_TCP_IDLE_TIMEOUT_MS (10 * 1000)

struct dns_server;

/* The view (copied) and the zones behind it stay the caller's. port 0: any. Errors: IO. */
enum error_code dns_server_create(uv_loop_t *loop, const struct dns_view *view,
                                  struct hosted_zones *zones, const struct clock *clock,
                                  uint16_t port, struct dns_server **ret_server,
                                  struct error *error);
/* The memory goes when the loop has run the close callbacks. Takes NULL. */
void dns_server_destroy(struct dns_server *server);

uint16_t dns_server_port(const struct dns_server *server);

#endif
