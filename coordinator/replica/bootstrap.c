/* Making the data directory of a node: of a new group, or of one that joins. Meta is written last:
 * what was cut short is no data directory, and is told apart from an empty one. */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "replica_private.h"

static enum error_code fill_configuration(struct raft_configuration *configuration,
                                          const struct replica_peer *peers, uint32_t peer_count,
                                          struct error *error) {
    for (uint32_t i = 0; i < peer_count; i++) {
        int code = raft_configuration_add(configuration, peers[i].id, peers[i].name, RAFT_VOTER);
        if (code != 0) {
            return replica_raft_error(error, code, "");
        }
    }
    return ERROR_OK;
}

/* The library wants a loop and a state machine even to write the first entry. */
struct writer {
    uv_loop_t loop;
    struct raft_uv_transport transport;
    struct raft_io io;
    struct raft_fsm fsm;
    struct raft raft;
};

static void on_closed(struct raft *raft) {
    struct writer *writer = raft->data;
    raft_uv_close(&writer->io);
}

static enum error_code write_log(struct writer *writer, const char *path, uint64_t node_id,
                                 const char *node, const struct raft_configuration *configuration,
                                 struct error *error) {
    replica_no_transport_init(&writer->transport);
    writer->fsm.version = 1;
    int code = raft_uv_init(&writer->io, &writer->loop, path, &writer->transport);
    if (code != 0) {
        return replica_raft_error(error, code, writer->io.errmsg);
    }
    raft_uv_set_tracer(&writer->io, NULL);
    code = raft_init(&writer->raft, &writer->io, &writer->fsm, node_id, node);
    if (code != 0) {
        (void)replica_raft_error(error, code, writer->io.errmsg);
        raft_uv_close(&writer->io);
        return error_prefix(error, "%s can't be used: needs ext4, xfs or the like", path);
    }
    writer->raft.data = writer;
    writer->raft.tracer = NULL;
    code = configuration != NULL ? raft_bootstrap(&writer->raft, configuration) : 0;
    enum error_code result =
        code == 0 ? ERROR_OK : replica_raft_error(error, code, writer->io.errmsg);
    raft_close(&writer->raft, on_closed);
    (void)uv_run(&writer->loop, UV_RUN_DEFAULT);
    return result;
}

/* `configuration` NULL: only tries whether the file system will do. */
static enum error_code make_directory(const char *directory, const char *cluster, const char *node,
                                      const struct raft_configuration *configuration,
                                      struct error *error) {
    struct storage storage;
    char path[PATH_MAX];
    enum error_code code = storage_create(&storage, directory, error);
    if (code != ERROR_OK) {
        return code;
    }
    uint64_t id = replica_node_id(cluster, node);
    struct writer *writer = calloc(1, sizeof *writer);
    if (writer == NULL || uv_loop_init(&writer->loop) != 0) {
        code = error_set(error, ERROR_NO_MEMORY, "no memory for the loop");
        goto cleanup;
    }
    code = storage_path(directory, "raft", path, error);
    if (code == ERROR_OK) {
        code = write_log(writer, path, id, node, configuration, error);
    }
    (void)uv_loop_close(&writer->loop);
    if (code == ERROR_OK) {
        code = storage_write_first_meta(
            &storage, cluster, node, id,
            configuration != NULL ? STORAGE_BOOTSTRAPPED : STORAGE_JOINED, error);
    }
cleanup:
    free(writer);
    storage_close(&storage);
    return code;
}

static enum error_code check_names(const char *cluster, const char *node, struct error *error) {
    if (!text_is_name(cluster, NAME_SIZE - 1) || !text_is_name(node, NAME_SIZE - 1)) {
        return error_set(error, ERROR_INVALID, "the name of the cluster or the node is not a name");
    }
    return ERROR_OK;
}

enum error_code replica_bootstrap(const char *directory, const char *cluster, const char *node,
                                  const struct replica_peer *peers, uint32_t peer_count,
                                  struct error *error) {
    struct raft_configuration configuration;
    bool found = false;
    enum error_code code = check_names(cluster, node, error);
    if (code != ERROR_OK) {
        return code;
    }
    if (peer_count == 0 || peer_count > NODE_MAX) {
        return error_set(error, ERROR_LIMIT, "a group has 1 to %d nodes", NODE_MAX);
    }
    for (uint32_t i = 0; i < peer_count; i++) {
        if (!text_is_name(peers[i].name, NAME_SIZE - 1) ||
            peers[i].id != replica_node_id(cluster, peers[i].name)) {
            return error_set(error, ERROR_INVALID, "peer %u: wrong name or id", i);
        }
        found = found || text_equal(peers[i].name, node);
    }
    if (!found) {
        return error_set(error, ERROR_INVALID, "node %s is not among the peers", node);
    }
    raft_configuration_init(&configuration);
    code = fill_configuration(&configuration, peers, peer_count, error);
    if (code == ERROR_OK) {
        code = make_directory(directory, cluster, node, &configuration, error);
    }
    raft_configuration_close(&configuration);
    return code;
}

enum error_code replica_prepare_join(const char *directory, const char *cluster, const char *node,
                                     struct error *error) {
    enum error_code code = check_names(cluster, node, error);
    return code == ERROR_OK ? make_directory(directory, cluster, node, NULL, error) : code;
}
