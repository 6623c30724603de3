#include "group.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/text.h"
#include "net/tls.h"
#include "pki/pki.h"
#include "replica_private.h"

#define TICKER_MS 2

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *ftw) {
    (void)status;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void remove_tree(const char *path) {
    (void)nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static void on_ticker(uv_timer_t *timer) {
    (void)timer; /* so that a wait looks at its condition */
}

/* A port that was free a moment ago. */
static uint16_t free_port(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    close(fd);
    return ntohs(address.sin_port);
}

static void make_certificates(struct group *group) {
    char directory[256];
    struct error error;
    (void)snprintf(directory, sizeof directory, "%s/pki", group->directory);
    const struct pki pki = {directory, GROUP_CLUSTER, &clock_system, false};
    assert_int_equal(pki_init(&pki, 10, &error), ERROR_OK);
    for (uint32_t i = 0; i < group->options.count; i++) {
        struct group_node *node = &group->nodes[i];
        static const char *const names[] = {"127.0.0.1"};
        (void)snprintf(node->tls, sizeof node->tls, "%s/tls-%u", group->directory, i);
        assert_int_equal(pki_issue_node(&pki, node->name, names, 1, 5, node->tls, NULL, &error),
                         ERROR_OK);
        assert_int_equal(
            tls_identity_load(node->tls, TLS_KIND_NODE, GROUP_CLUSTER, &node->identity, &error),
            ERROR_OK);
        node->port = free_port();
    }
}

void group_init(struct group *group, const struct group_options *options) {
    memset(group, 0, sizeof *group);
    group->options = *options;
    if (group->options.heartbeat_ms == 0) {
        group->options.heartbeat_ms = 50;
        group->options.election_ms = 500;
    }
    const char *base = getenv("TMPDIR");
    (void)snprintf(group->directory, sizeof group->directory, "%s/noctua-replica.XXXXXX",
                   base != NULL ? base : "/tmp");
    assert_non_null(mkdtemp(group->directory));
    assert_int_equal(uv_loop_init(&group->loop), 0);
    uv_timer_init(&group->loop, &group->ticker);
    uv_timer_start(&group->ticker, on_ticker, TICKER_MS, TICKER_MS);
    for (uint32_t i = 0; i < options->count; i++) {
        struct group_node *node = &group->nodes[i];
        node->group = group;
        (void)snprintf(node->name, sizeof node->name, "n%u", i + 1);
        (void)snprintf(node->directory, sizeof node->directory, "%s/n%u", group->directory, i + 1);
        node->id = replica_node_id(GROUP_CLUSTER, node->name);
    }
    if (options->tls) {
        make_certificates(group);
    } else {
        group->mesh = mesh_create(&group->loop);
    }
}

static void fill_peers(const struct group *group, struct replica_peer peers[NODE_MAX]) {
    memset(peers, 0, NODE_MAX * sizeof peers[0]);
    for (uint32_t i = 0; i < group->options.count; i++) {
        peers[i].id = group->nodes[i].id;
        peers[i].port = group->nodes[i].port;
        (void)TEXT_COPY(peers[i].name, group->nodes[i].name);
        (void)TEXT_COPY(peers[i].host, "127.0.0.1");
    }
}

void group_bootstrap(struct group *group) {
    struct replica_peer peers[NODE_MAX];
    struct error error = {0};
    fill_peers(group, peers);
    for (uint32_t i = 0; i < group->options.count; i++) {
        enum error_code code =
            replica_bootstrap(group->nodes[i].directory, GROUP_CLUSTER, group->nodes[i].name, peers,
                              group->options.count, &error);
        if (code != ERROR_OK) {
            print_error("%s\n", error.message);
        }
        assert_int_equal(code, ERROR_OK);
    }
}

static void on_applied(void *context, uint64_t index, const struct command *command,
                       enum core_error result, uint64_t proposed_ms) {
    struct group_node *node = context;
    assert_true(node->last_index == 0 || index == node->last_index + 1);
    node->last_index = index;
    node->applied_count++;
    node->own_count += proposed_ms != 0 ? 1 : 0;
    if (node->extra.on_applied != NULL) {
        node->extra.on_applied(node->extra.context, index, command, result, proposed_ms);
    }
}

static void on_leadership(void *context, bool leads, uint64_t term) {
    struct group_node *node = context;
    assert_true(leads != node->leads);
    node->leads = leads;
    node->term = term;
    *(leads ? &node->lead_count : &node->lost_count) += 1;
    if (leads) {
        const struct state *state = replica_state(node->replica);
        assert_int_equal(state->leader_id, node->id);
        assert_int_equal(state->leader_term, term);
    }
    if (node->extra.on_leadership != NULL) {
        node->extra.on_leadership(node->extra.context, leads, term);
    }
}

static void on_report(void *context, const struct report *report) {
    struct group_node *node = context;
    node->report_count++;
    assert_true(node->leads);
    if (node->extra.on_report != NULL) {
        node->extra.on_report(node->extra.context, report);
    }
}

static void on_restored(void *context) {
    struct group_node *node = context;
    node->restored_count++;
    node->last_index = 0;
}

static void on_failed(void *context, const struct error *error) {
    struct group_node *node = context;
    assert_false(node->failed);
    node->failed = true;
    node->failure = *error;
}

static void on_stopped(void *context) {
    struct group_node *node = context;
    node->replica = NULL;
    node->stopping = false;
}

static bool is_stopped(struct group *group, void *context) {
    (void)group;
    return ((struct group_node *)context)->replica == NULL;
}

void group_stop_node(struct group *group, uint32_t place) {
    struct group_node *node = &group->nodes[place];
    if (node->replica != NULL && !node->stopping) {
        node->stopping = true;
        replica_stop(node->replica, on_stopped, node);
    }
    group_wait(group, is_stopped, node);
    node->leads = false;
}

enum error_code group_start_node(struct group *group, uint32_t place, struct error *error) {
    struct group_node *node = &group->nodes[place];
    struct replica_callbacks extra = node->extra;
    struct replica_options options = {
        .loop = &group->loop,
        .clock = &clock_system,
        .entropy = &entropy_system,
        .directory = node->directory,
        .cluster = GROUP_CLUSTER,
        .node = node->name,
        .region = node->name,
        .peer_count = group->options.count,
        .identity = node->identity,
        .listen_host = "127.0.0.1",
        .listen_port = node->port,
        .heartbeat_ms = group->options.heartbeat_ms,
        .election_ms = group->options.election_ms,
        .snapshot_threshold = group->options.snapshot_threshold,
        .version = "test",
        .feature_level = FEATURE_LEVEL_NEWEST,
        .callbacks = {node, on_applied, on_leadership, on_report, NULL, on_restored, on_failed},
    };
    fill_peers(group, options.peers);
    node->leads = node->failed = false;
    node->last_index = 0;
    node->extra = extra;
    if (group->mesh != NULL) {
        options.transport = mesh_endpoint(group->mesh, node->id, node->name, GROUP_CLUSTER);
    }
    enum error_code code = replica_create(&options, &node->replica, error);
    if (code != ERROR_OK) {
        node->replica = NULL;
        return code;
    }
    code = replica_start(node->replica, error);
    if (code != ERROR_OK) {
        group_stop_node(group, place);
    }
    return code;
}

void group_start(struct group *group) {
    for (uint32_t i = 0; i < group->options.count; i++) {
        struct error error = {0};
        enum error_code code = group_start_node(group, i, &error);
        if (code != ERROR_OK) {
            print_error("%s\n", error.message);
        }
        assert_int_equal(code, ERROR_OK);
    }
}

void group_wipe_node(struct group *group, uint32_t place) {
    struct error error;
    struct group_node *node = &group->nodes[place];
    remove_tree(node->directory);
    assert_int_equal(replica_prepare_join(node->directory, GROUP_CLUSTER, node->name, &error),
                     ERROR_OK);
}

static bool never(struct group *group, void *context) {
    (void)group;
    (void)context;
    return false;
}

static bool run_until(struct group *group, bool (*condition)(struct group *, void *), void *context,
                      uint64_t limit_ms) {
    uint64_t end_ms = clock_boottime_ms(&clock_system) + limit_ms;
    while (!condition(group, context)) {
        if (clock_boottime_ms(&clock_system) >= end_ms) {
            return false;
        }
        uv_run(&group->loop, UV_RUN_ONCE);
    }
    return true;
}

void group_wait(struct group *group, bool (*condition)(struct group *group, void *context),
                void *context) {
    if (!run_until(group, condition, context, GROUP_WAIT_MS)) {
        for (uint32_t i = 0; i < group->options.count; i++) {
            struct group_node *node = &group->nodes[i];
            struct replica_status status = {0};
            if (node->replica != NULL) {
                replica_read_status(node->replica, &status);
            }
            print_error("%s: %s, %s, term %lu, log %lu/%lu/%lu, index %lu, %s\n", node->name,
                        node->replica == NULL ? "stopped" : "runs", replica_role_text(status.role),
                        status.term, status.applied_log_index, status.commit_log_index,
                        status.last_log_index, status.applied_index,
                        node->failed ? node->failure.message : "healthy");
            if (node->replica != NULL) {
                const struct replica *replica = node->replica;
                print_error(
                    "    installing %d, taking %d, put %d/%d, held %d, appends %s, capacity "
                    "%u, errmsg '%s'\n",
                    replica->raft.snapshot.installing, replica->raft.legacy.snapshot_taking,
                    replica->put.active, replica->put.withheld, replica->has_held,
                    TAILQ_EMPTY(&replica->appends) ? "none" : "some", replica->io.capacity,
                    replica->io.errmsg);
            }
        }
        fail_msg("what was waited for didn't happen");
    }
}

void group_run_ms(struct group *group, uint64_t ms) {
    (void)run_until(group, never, NULL, ms);
}

static bool has_leader(struct group *group, void *context) {
    uint32_t *place = context;
    for (uint32_t i = 0; i < group->options.count; i++) {
        if (group->nodes[i].replica != NULL && group->nodes[i].leads) {
            *place = i;
            return true;
        }
    }
    return false;
}

uint32_t group_wait_leader(struct group *group) {
    uint32_t place = 0;
    group_wait(group, has_leader, &place);
    return place;
}

static bool are_equal(struct group *group, void *context) {
    uint64_t index = 0;
    bool first = true;
    (void)context;
    for (uint32_t i = 0; i < group->options.count; i++) {
        if (group->nodes[i].replica != NULL) {
            uint64_t applied = replica_state(group->nodes[i].replica)->applied_index;
            if (!first && applied != index) {
                return false;
            }
            index = applied;
            first = false;
        }
    }
    return true;
}

void group_wait_equal(struct group *group) {
    uint8_t first[32];
    bool has_first = false;
    group_wait(group, are_equal, NULL);
    for (uint32_t i = 0; i < group->options.count; i++) {
        if (group->nodes[i].replica != NULL) {
            uint8_t digest[32];
            uint64_t index = 0;
            replica_digest(group->nodes[i].replica, &index, digest);
            if (has_first) {
                assert_memory_equal(digest, first, sizeof digest);
            }
            memcpy(first, digest, sizeof first);
            has_first = true;
        }
    }
}

void group_on_proposed(void *context, enum error_code code, enum core_error result,
                       uint64_t index) {
    struct group_outcome *outcome = context;
    outcome->count++;
    outcome->code = code;
    outcome->result = result;
    outcome->index = index;
}

void group_fill_tick(struct group *group, struct command *command) {
    memset(command, 0, sizeof *command);
    command->kind = COMMAND_TICK;
    command->wall_ms = 1;
    command->tick.count = group->options.count;
    group->clock_ms++;
    for (uint32_t i = 0; i < group->options.count; i++) {
        command->tick.clock_ms[i] = group->clock_ms;
    }
}

struct writer {
    struct group *group;
    struct replica *replica;
    uint32_t left, under_way;
};

static void write_next(struct writer *writer);

static void on_written(void *context, enum error_code code, enum core_error result,
                       uint64_t index) {
    struct writer *writer = context;
    assert_int_equal(code, ERROR_OK);
    assert_int_equal(result, CORE_OK);
    assert_true(index > 0);
    writer->under_way--;
    write_next(writer);
}

static void write_next(struct writer *writer) {
    if (writer->left > 0) {
        struct command command;
        writer->left--;
        writer->under_way++;
        group_fill_tick(writer->group, &command);
        replica_propose(writer->replica, &command, on_written, writer);
    }
}

static bool is_written(struct group *group, void *context) {
    const struct writer *writer = context;
    (void)group;
    return writer->left == 0 && writer->under_way == 0;
}

void group_write(struct group *group, uint32_t count, uint32_t outstanding) {
    uint32_t leader = group_wait_leader(group);
    struct writer writer = {group, group->nodes[leader].replica, count, 0};
    for (uint32_t i = 0; i < outstanding; i++) {
        write_next(&writer);
    }
    group_wait(group, is_written, &writer);
}

static void on_closed(uv_handle_t *handle) {
    (void)handle;
}

void group_finish(struct group *group) {
    for (uint32_t i = 0; i < group->options.count; i++) {
        group_stop_node(group, i);
        tls_identity_unref(group->nodes[i].identity);
    }
    if (group->mesh != NULL) {
        mesh_destroy(group->mesh);
    }
    uv_close((uv_handle_t *)&group->ticker, on_closed);
    uv_run(&group->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&group->loop), 0);
    remove_tree(group->directory);
}
