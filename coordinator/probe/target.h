/* A target as given, checked and taken apart once, so that probing it has nothing left to parse. */
#ifndef PROBE_TARGET_H
#define PROBE_TARGET_H

#include "probe/engine.h"

#define PROBE_HOST_SIZE 256

struct probe_endpoint {
    bool is_unusable;           /* nothing else is set: the target is kept, never probed, unknown */
    char host[PROBE_HOST_SIZE]; /* to be resolved; a trailing dot is kept */
    uint16_t port;
    bool is_literal; /* host is an IP address: `literal` */
    struct probe_address literal;
    char url[PROBE_URL_SIZE + PROBE_HOST_SIZE]; /* HTTP: for libcurl; its host is the server name */
    char host_header[PROBE_HOST_SIZE + 16];     /* HTTP: "Host: ..." where it differs; or "" */
};

/* A text without its end, which nothing else may be done with: ERROR_LIMIT. */
enum error_code probe_target_check_texts(const struct probe_target *target, struct error *error);

/* The rest. ERROR_INVALID, ERROR_LIMIT, ERROR_NO_MEMORY; the message names the check and what is
 * wrong. */
enum error_code probe_target_check(const struct probe_target *target,
                                   struct probe_endpoint *ret_endpoint, struct error *error);

/* The same in all but service and region. */
bool probe_target_same(const struct probe_target *a, const struct probe_target *b);
/* Equal for targets that are the same. */
uint64_t probe_target_hash(const struct probe_target *target);
/* Order by service, region, check: <0, 0, >0. */
int probe_target_compare(const struct probe_target *a, const struct probe_target *b);

#endif
