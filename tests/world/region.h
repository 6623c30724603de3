/* The regions' services: what Noctua probes. Each answers on its own port, until it is told to die,
 * hang, slow down or talk nonsense. */
#ifndef WORLD_REGION_H
#define WORLD_REGION_H

#include <jansson.h>
#include <openssl/ssl.h>
#include <uv.h>

#include "base/clock.h"
#include "base/error.h"

#define REGIONS_MAX 64
#define REGION_SERVICES_MAX 16
#define REGION_NAME_MAX 63
#define REGION_SLOW_MAX_MS (10 * 60 * 1000)
#define REGION_BODY_MAX_BYTES (64 * 1024)

struct region_table;

struct region_table *region_table_create(uv_loop_t *loop, const struct clock *clock);
/* Closes the listeners; the memory of the table goes at once. Takes NULL. */
void region_table_destroy(struct region_table *table);

/* "NAME[:SERVICE[=PORT]...]"; the service "http" is always there, and "https" when tls (borrowed)
 * isn't NULL. Errors: INVALID, EXISTS, LIMIT, IO. */
enum error_code region_table_add(struct region_table *table, const char *text, SSL_CTX *tls,
                                 struct error *error);

/* Sets the mode of one service, or of all (service NULL). `mode` is up, refuse, hang, reset,
 * slow:MS, status:CODE or body:TEXT. Errors: NOT_FOUND, INVALID, IO. */
enum error_code region_table_set_mode(struct region_table *table, const char *region,
                                      const char *service, const char *mode, struct error *error);

size_t region_table_count(const struct region_table *table);
const char *region_table_name(const struct region_table *table, size_t index);

/* {"us-east-1": {"http": "127.0.0.1:p"}} */
json_t *region_table_addresses(const struct region_table *table);
/* {"us-east-1": {"http": {"mode", "requests", "writes"}}} */
json_t *region_table_stats(const struct region_table *table);

#endif
