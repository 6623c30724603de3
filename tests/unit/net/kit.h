/* What the tests of net share: a directory with CAs and certificates of every kind, a loop that
 * runs until a condition holds, and nodes (peers with what they heard). */
#ifndef TEST_NET_KIT_H
#define TEST_NET_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <uv.h>

#include "net/peers.h"
#include "net/stream.h"
#include "net/tls.h"

enum { KIT_NODES_MAX = 4, KIT_DAY_MS = 24 * 60 * 60 * 1000 };

/* Directory of an identity: one of
 *   n1 n2 n3 n4          good nodes of cluster `alpha`
 *   n1-old               n1 with the revocation list from before `revoked`
 *   expired revoked      nodes n2 that were good once
 *   beta                 node n2 of cluster `beta`, of the same CA
 *   foreign              node n2 of another CA
 *   alice                user, operator
 * Valid until the next call. */
const char *kit_directory(const char *name);
/* cmocka group fixtures. */
int kit_setup(void **state);
int kit_teardown(void **state);

/* An identity that must load. The kit keeps it until teardown. */
struct tls_identity *kit_identity(const char *name);
struct tls_identity *kit_load(const char *name, enum tls_kind kind);

uv_loop_t *kit_loop(void);
/* Runs the loop until the condition holds; false after the time. */
bool kit_run_until(bool (*condition)(void *context), void *context, unsigned timeout_ms);
/* Runs the loop until every handle is closed, and checks that. */
void kit_drain(void);

struct kit_node {
    struct peers *peers;
    const char *id;
    uint64_t numeric_id;
    struct peer_hello hello; /* told to others: boot and so on */
    uint16_t port;
    bool closed;
    /* heard, by numeric id of the other */
    bool up[KIT_NODES_MAX + 1];
    unsigned ups[KIT_NODES_MAX + 1], downs[KIT_NODES_MAX + 1];
    /* its answer in check_hello; PEERS_REFUSAL_NONE: all are welcome */
    enum peers_refusal refusal;
    unsigned refusals;
    enum peers_refusal refused;
    unsigned messages;
    enum peers_message message_type;
    size_t message_bytes;
    uint64_t message_sum;
    char refused_reason[PEERS_REASON_SIZE];
};

/* Numbers of a test's own world: the seed is printed, and TEST_SEED=N runs that world again. */
void kit_seed(uint64_t seed);
uint64_t kit_random(uint64_t below);

uint64_t kit_sum(const void *bytes, size_t size_bytes);

/* Nodes 1..count (ids n1..), each knowing all; not started. names[i], of their identities; NULL:
 * "n<i>". */
void kit_create_nodes(struct kit_node *nodes, unsigned count, const char *const *names);
void kit_start_nodes(struct kit_node *nodes, unsigned count);
void kit_close_nodes(struct kit_node *nodes, unsigned count);
/* Makes one again, at the same port (a restart). */
void kit_restart_node(struct kit_node *nodes, unsigned count, unsigned index);

#endif
