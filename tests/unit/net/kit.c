#include "kit.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"
#include "pki/pki.h"

enum { IDENTITIES_MAX = 16, PATH_BYTES = 256, CA_AGE_DAYS = 30 };

static char root[64];
static uv_loop_t loop;
static uv_timer_t timer; /* of kit_run_until */
static struct {
    char name[16];
    struct tls_identity *identity;
} identities[IDENTITIES_MAX];

static uint64_t shifted_wall_ms(void *context) {
    const int64_t *days = context;
    return (uint64_t)((int64_t)clock_wall_ms(&clock_system) + *days * KIT_DAY_MS);
}

const char *kit_directory(const char *name) {
    static char path[PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/%s", root, name);
    return path;
}

static void check(enum error_code code, const struct error *error) {
    if (code != ERROR_OK) {
        print_error("%s\n", error->message);
        fail();
    }
}

static void issue(const char *ca, const char *cluster, const char *id, const char *directory,
                  int64_t shift_days, unsigned days) {
    char ca_path[PATH_BYTES];
    struct error error;
    const struct clock clock = {.wall_ms = shifted_wall_ms, .context = &shift_days};
    (void)snprintf(ca_path, sizeof ca_path, "%s/%s", root, ca);
    const struct pki pki = {.directory = ca_path, .cluster = cluster, .clock = &clock};
    static const char *const names[] = {"localhost", "127.0.0.1", "::1"};
    check(pki_issue_node(&pki, id, names, 3, days, kit_directory(directory), NULL, &error), &error);
}

static void make_ca(const char *name) {
    char path[PATH_BYTES];
    struct error error;
    int64_t shift_days = -CA_AGE_DAYS;
    const struct clock clock = {.wall_ms = shifted_wall_ms, .context = &shift_days};
    (void)snprintf(path, sizeof path, "%s/%s", root, name);
    const struct pki pki = {.directory = path, .cluster = "alpha", .clock = &clock};
    check(pki_init(&pki, 365, &error), &error);
}

static void revoke_node(const char *name) {
    char ca_path[PATH_BYTES];
    char certificate[PATH_BYTES + 16];
    struct error error;
    (void)snprintf(ca_path, sizeof ca_path, "%s/ca", root);
    (void)snprintf(certificate, sizeof certificate, "%s/%s/node.pem", root, name);
    const struct pki pki = {.directory = ca_path, .clock = &clock_system};
    check(pki_revoke(&pki, certificate, &error), &error);
}

int kit_setup(void **state) {
    char ca_path[PATH_BYTES];
    struct error error;
    (void)state;
    (void)snprintf(root, sizeof root, "/tmp/noctua-net-XXXXXX");
    assert_non_null(mkdtemp(root));
    log_configure(getenv("TEST_LOG") != NULL ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR, LOG_FORMAT_TEXT,
                  NULL);
    make_ca("ca");
    make_ca("other-ca");
    issue("ca", NULL, "n2", "revoked", 0, 10);
    issue("ca", NULL, "n1", "n1-old", 0, 10);
    revoke_node("revoked");
    issue("ca", NULL, "n1", "n1", 0, 10);
    issue("ca", NULL, "n2", "n2", 0, 10);
    issue("ca", NULL, "n3", "n3", 0, 10);
    issue("ca", NULL, "n4", "n4", 0, 10);
    issue("ca", NULL, "n2", "expired", -10, 5);
    issue("ca", "beta", "n2", "beta", 0, 10);
    issue("other-ca", "alpha", "n2", "foreign", 0, 10);
    (void)snprintf(ca_path, sizeof ca_path, "%s/ca", root);
    const struct pki pki = {.directory = ca_path, .clock = &clock_system};
    check(pki_issue_user(&pki, "alice", "operator", NULL, 0, 10, kit_directory("alice"), NULL,
                         &error),
          &error);
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(uv_timer_init(&loop, &timer), 0);
    uv_unref((uv_handle_t *)&timer);
    return 0;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *place) {
    (void)status;
    (void)type;
    (void)place;
    return remove(path);
}

int kit_teardown(void **state) {
    (void)state;
    for (size_t i = 0; i < IDENTITIES_MAX; i++) {
        tls_identity_unref(identities[i].identity);
    }
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    (void)nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return uv_loop_close(&loop);
}

struct tls_identity *kit_load(const char *name, enum tls_kind kind) {
    struct tls_identity *identity = NULL;
    struct error error;
    check(tls_identity_load(kit_directory(name), kind, NULL, &identity, &error), &error);
    return identity;
}

/* The revoked one loads: its own directory still has the list from before. The expired one can't be
 * loaded by anything of ours; the raw client uses it. */
struct tls_identity *kit_identity(const char *name) {
    for (size_t i = 0; i < IDENTITIES_MAX; i++) {
        if (identities[i].identity == NULL) {
            TEXT_COPY(identities[i].name, name);
            identities[i].identity =
                kit_load(name, text_equal(name, "alice") ? TLS_KIND_USER : TLS_KIND_NODE);
        }
        if (text_equal(identities[i].name, name)) {
            return identities[i].identity;
        }
    }
    fail();
    return NULL;
}

uv_loop_t *kit_loop(void) {
    return &loop;
}

static void on_time(uv_timer_t *handle) {
    *(bool *)handle->data = true;
}

bool kit_run_until(bool (*condition)(void *context), void *context, unsigned timeout_ms) {
    bool over = false;
    bool holds;
    uv_update_time(&loop);
    timer.data = &over;
    assert_int_equal(uv_timer_start(&timer, on_time, timeout_ms, 0), 0);
    uv_ref((uv_handle_t *)&timer);
    while (!(holds = condition(context)) && !over) {
        uv_run(&loop, UV_RUN_ONCE);
    }
    uv_unref((uv_handle_t *)&timer);
    uv_timer_stop(&timer);
    return holds;
}

static bool loop_is_empty(void *context) {
    (void)context;
    return uv_loop_alive(&loop) == 0;
}

void kit_drain(void) {
    /* Without kit_run_until, whose timer would keep the loop alive. */
    for (unsigned i = 0; i < 100000 && !loop_is_empty(NULL); i++) {
        uv_run(&loop, UV_RUN_ONCE);
    }
    assert_true(loop_is_empty(NULL));
}

static uint64_t random_state;

void kit_seed(uint64_t seed) {
    const char *wanted = getenv("TEST_SEED");
    random_state = wanted != NULL ? strtoull(wanted, NULL, 10) : seed;
    print_message("seed %llu\n", (unsigned long long)random_state);
}

/* splitmix64 (Steele, Lea, Flood 2014) */
uint64_t kit_random(uint64_t below) {
    random_state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t value = random_state;
    value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (value ^ (value >> 31)) % below;
}

/* --- nodes --- */

uint64_t kit_sum(const void *bytes, size_t size_bytes) {
    const uint8_t *at = bytes;
    uint64_t sum = UINT64_C(1469598103934665603);
    for (size_t i = 0; i < size_bytes; i++) {
        sum = (sum ^ at[i]) * UINT64_C(1099511628211);
    }
    return sum;
}

static void fill_hello(struct peer_hello *hello, void *context) {
    struct kit_node *node = context;
    assert_string_equal(hello->node, node->id);
    assert_string_equal(hello->cluster, "alpha");
    hello->incarnation = node->hello.incarnation;
    memcpy(hello->storage_uuid, node->hello.storage_uuid, sizeof hello->storage_uuid);
    hello->boot = node->hello.boot;
    hello->last_log_index = node->hello.last_log_index;
    hello->feature_level = node->hello.feature_level;
    TEXT_COPY(hello->version, "0.3.0");
}

static enum peers_refusal check_hello(const struct peer_hello *hello, struct error *reason,
                                      void *context) {
    struct kit_node *node = context;
    if (node->refusal != PEERS_REFUSAL_NONE) {
        error_set(reason, ERROR_REFUSED, "'%s' has boot %u", hello->node, (unsigned)hello->boot);
    }
    return node->refusal;
}

static void on_refused(uint64_t peer, enum peers_refusal refusal, const char *reason,
                       void *context) {
    struct kit_node *node = context;
    assert_in_range(peer, 1, KIT_NODES_MAX);
    node->refusals++;
    node->refused = refusal;
    TEXT_COPY(node->refused_reason, reason);
}

static void on_link(uint64_t peer, bool up, const struct peer_hello *hello, void *context) {
    struct kit_node *node = context;
    assert_in_range(peer, 1, KIT_NODES_MAX);
    assert_true(node->up[peer] != up);
    assert_true((hello != NULL) == up);
    node->up[peer] = up;
    (up ? node->ups : node->downs)[peer]++;
    if (hello != NULL) {
        assert_int_equal(hello->numeric_id, peer);
    }
}

static void on_message(uint64_t peer, enum peers_message type, const uint8_t *payload,
                       size_t size_bytes, void *context) {
    struct kit_node *node = context;
    assert_true(node->up[peer]);
    node->messages++;
    node->message_type = type;
    node->message_bytes = size_bytes;
    node->message_sum = kit_sum(payload, size_bytes);
}

static const char *const node_ids[] = {"n1", "n2", "n3", "n4"};

static void create_node(struct kit_node *node, const struct peers_peer *peers, unsigned count,
                        const char *identity, uint16_t port) {
    struct error error;
    const struct peers_options options = {
        .id = node->id,
        .numeric_id = node->numeric_id,
        .cluster = "alpha",
        .identity = kit_identity(identity),
        .listen_host = "127.0.0.1",
        .listen_port = port,
        .peers = peers,
        .peer_count = count,
        .callbacks = {fill_hello, check_hello, on_refused, on_link, on_message},
        .context = node,
    };
    check(peers_create(&loop, &clock_system, &entropy_system, &options, &node->peers, &error),
          &error);
    node->port = peers_port(node->peers);
    node->closed = false;
}

void kit_create_nodes(struct kit_node *nodes, unsigned count, const char *const *names) {
    struct peers_peer peers[KIT_NODES_MAX];
    struct error error;
    assert_in_range(count, 1, KIT_NODES_MAX);
    memset(nodes, 0, count * sizeof nodes[0]);
    for (unsigned i = 0; i < count; i++) {
        nodes[i].id = node_ids[i];
        nodes[i].numeric_id = i + 1;
        nodes[i].hello.boot = i + 100;
        peers[i] = (struct peers_peer){node_ids[i], i + 1, "127.0.0.1", 1};
    }
    for (unsigned i = 0; i < count; i++) {
        const char *name = names != NULL && names[i] != NULL ? names[i] : node_ids[i];
        create_node(&nodes[i], peers, count, name, 0);
    }
    for (unsigned i = 0; i < count; i++) {
        for (unsigned j = 0; j < count; j++) {
            if (i != j) {
                check(peers_set_address(nodes[i].peers, j + 1, "127.0.0.1", nodes[j].port, &error),
                      &error);
            }
        }
    }
}

void kit_start_nodes(struct kit_node *nodes, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        peers_start(nodes[i].peers);
    }
}

static void on_node_closed(void *context) {
    struct kit_node *node = context;
    assert_false(node->closed);
    node->closed = true;
    node->peers = NULL;
}

void kit_close_nodes(struct kit_node *nodes, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        if (nodes[i].peers != NULL) {
            peers_close(nodes[i].peers, on_node_closed, &nodes[i]);
        }
    }
    kit_drain();
    for (unsigned i = 0; i < count; i++) {
        assert_null(nodes[i].peers);
    }
}

void kit_restart_node(struct kit_node *nodes, unsigned count, unsigned index) {
    struct peers_peer peers[KIT_NODES_MAX];
    struct kit_node *node = &nodes[index];
    for (unsigned i = 0; i < count; i++) {
        peers[i] = (struct peers_peer){nodes[i].id, i + 1, "127.0.0.1", nodes[i].port};
    }
    memset(node->up, 0, sizeof node->up);
    create_node(node, peers, count, node->id, node->port);
    peers_start(node->peers);
}
