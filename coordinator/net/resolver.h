/* Names to addresses without stopping the loop, and without libuv's pool, which Raft's disk needs:
 * each lookup has a thread of its own for as long as getaddrinfo(3) takes (up to half a minute when
 * name servers are dead). A thread can't be cancelled; closing leaves it alone, and what it finds
 * is dropped. So the owner must keep to few lookups at once. */
#ifndef NET_RESOLVER_H
#define NET_RESOLVER_H

#include <netinet/in.h>
#include <stddef.h>
#include <uv.h>

#include "base/error.h"

enum { RESOLVER_ADDRESSES_MAX = 8 };

struct resolver;

struct resolver_answer {
    struct error error; /* code ERROR_OK: at least one address */
    size_t count;
    struct sockaddr_storage addresses[RESOLVER_ADDRESSES_MAX];
};

typedef void (*resolver_callback)(const struct resolver_answer *answer, void *context);

enum error_code resolver_create(uv_loop_t *loop, struct resolver **ret_resolver,
                                struct error *error);
/* A numeric address with port. False: it is a name. */
bool resolver_parse_numeric(const char *host, uint16_t port, struct sockaddr_storage *ret_address);
/* Calls back once, from the loop, unless the resolver is closed before. */
enum error_code resolver_lookup(struct resolver *resolver, const char *host, uint16_t port,
                                resolver_callback callback, void *context, struct error *error);
/* No callback of a lookup comes any more. Then calls `closed` and is freed. */
void resolver_close(struct resolver *resolver, void (*closed)(void *context), void *context);

#endif
