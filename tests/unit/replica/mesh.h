/* A network between replicas of one process, in memory: it keeps a pair's messages in order, and
 * can cut pairs, lose kinds of messages and listen in. A link comes up as soon as both sides run
 * and neither refuses the other's hello, as net/peers.h does. */
#ifndef TESTS_REPLICA_MESH_H
#define TESTS_REPLICA_MESH_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "core/limits.h"
#include "replica/transport.h"

struct mesh;

struct mesh *mesh_create(uv_loop_t *loop);
/* All endpoints must have been closed. From the loop's next turn on. */
void mesh_destroy(struct mesh *mesh);

/* A new endpoint for the node of that id and name (the old one, if any, must have been closed). It
 * lives until the mesh is destroyed. */
struct replica_transport *mesh_endpoint(struct mesh *mesh, uint64_t id, const char *name,
                                        const char *cluster);

void mesh_cut(struct mesh *mesh, uint64_t a, uint64_t b, bool cut);
/* Called for each message before it is delivered; false: it is lost. NULL: none. */
void mesh_set_filter(struct mesh *mesh,
                     bool (*filter)(void *context, uint64_t from, uint64_t to,
                                    enum peers_message type, const uint8_t *bytes, size_t size),
                     void *context);

#endif
