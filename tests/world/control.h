/* The control API of the world: HTTP with JSON, for tests and people (README.md lists it). */
#ifndef WORLD_CONTROL_H
#define WORLD_CONTROL_H

#include "world.h"

/* http_handler; the context is the world. */
void control_handle(void *context, struct http_exchange *exchange);

/* Applies the sets of a records file ({zone id or name: [record set, ...]}). Errors: INVALID,
 * NOT_FOUND, IO. The zones are in sync with it at once. */
enum error_code control_load_records(struct world *world, const char *path, struct error *error);

#endif
