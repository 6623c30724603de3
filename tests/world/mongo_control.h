/* What the control API does to a replica set, in its words. */
#ifndef WORLD_MONGO_CONTROL_H
#define WORLD_MONGO_CONTROL_H

#include <jansson.h>

#include "base/error.h"
#include "mongo/set.h"

/* {"host", "up", "stopped", "state", "writable", "term", "config_version", "config_term",
 * "applied", "rollback_id", "sync_source", "primary"} */
json_t *mongo_control_view(const struct mongo_set *set, size_t process, const char *host);
/* Every key of the body is done, in a fixed order. Errors: INVALID, with nothing done. */
enum error_code mongo_control_change(struct mongo_set *set, size_t process, const json_t *body,
                                     struct error *error);
enum error_code mongo_control_link(struct mongo_set *set, size_t process_count, const json_t *body,
                                   struct error *error);

#endif
