/* Who belongs to the group: Raft's configuration says it, one change at a time (dissertation, 4.1).
 *
 * A node that joins is a *spare* first: it gets the log and has no vote, so a slow or dead one
 * endangers nothing. Then NODES, which core counts by, names it; and only then whoever leads gives
 * it its vote, once it is level (4.2.1; the library does the rounds of catching up). In this order,
 * since core takes LEADER only from a node that it knows: one with a vote may be elected at any
 * time. A node that leaves loses its vote first. The leader compares configuration and NODES in
 * each turn, so a change of leader in between loses nothing. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "replica_private.h"

#define RETRY_MS 1000

static const struct raft_server *find_server(const struct replica *replica, uint64_t id) {
    for (unsigned i = 0; i < replica->raft.configuration.n; i++) {
        if (replica->raft.configuration.servers[i].id == id) {
            return &replica->raft.configuration.servers[i];
        }
    }
    return NULL;
}

enum replica_member replica_member_of(const struct replica *replica, uint64_t id) {
    const struct raft_server *server = replica->started ? find_server(replica, id) : NULL;
    return server == NULL               ? REPLICA_STRANGER
           : server->role == RAFT_VOTER ? REPLICA_VOTER
                                        : REPLICA_JOINING;
}

static bool can_change(const struct replica *replica) {
    return !replica->change_raft && !replica->change_done &&
           replica->raft.configuration_uncommitted_index == 0 &&
           replica->raft.configuration_committed_index > 0 &&
           replica->transfer_phase == TRANSFER_NONE;
}

static bool leads(const struct replica *replica) {
    return !replica_is_mute(replica) && replica->stop == STOP_NO &&
           replica->leadership.phase == LEADERSHIP_ANNOUNCED &&
           raft_state((struct raft *)&replica->raft) == RAFT_LEADER;
}

static void finish(struct replica *replica, enum error_code code) {
    replica->change_raft = false;
    replica->change_code = code;
    replica->change_done = true;
    replica_wake(replica);
}

static void on_changed(struct raft_change *request, int status) {
    struct replica *replica = CONTAINER_OF(request, struct replica, change);
    if (status != 0) {
        LOG_EVENT(MEMBERS_NOT_CHANGED, LOG_TEXT("why", raft_strerror(status)));
    }
    finish(replica, status == 0 ? ERROR_OK : ERROR_UNKNOWN);
}

static enum error_code error_of(int code) {
    switch (code) {
    case RAFT_NOTLEADER:
        return ERROR_NOT_LEADER;
    case RAFT_DUPLICATEID:
    case RAFT_BADROLE:
        return ERROR_EXISTS;
    case RAFT_BADID:
    case RAFT_NOTFOUND:
        return ERROR_NOT_FOUND;
    default:
        return ERROR_UNAVAILABLE;
    }
}

static void begin_change(struct replica *replica, replica_change_cb callback, void *context) {
    replica->change_callback = callback;
    replica->change_context = context;
}

/* Answers a wish that isn't carried out, from the loop. */
static bool refuse(struct replica *replica, bool exists, bool wanted_exists) {
    enum error_code code = ERROR_OK;
    if (!leads(replica)) {
        code = ERROR_NOT_LEADER;
    } else if (exists != wanted_exists) {
        code = exists ? ERROR_EXISTS : ERROR_NOT_FOUND;
    }
    if (code != ERROR_OK) {
        finish(replica, code);
    }
    return code != ERROR_OK;
}

static void started(struct replica *replica, int code) {
    replica->change_raft = code == 0;
    if (code != 0) {
        finish(replica, error_of(code));
    }
}

bool replica_add(struct replica *replica, uint64_t id, replica_change_cb callback, void *context) {
    const struct peer *peer = replica_find_peer(replica, id);
    if (replica->change_callback != NULL || !can_change(replica)) {
        return false;
    }
    begin_change(replica, callback, context);
    if (peer == NULL) {
        finish(replica, ERROR_NOT_FOUND);
    } else if (!refuse(replica, find_server(replica, id) != NULL, false)) {
        LOG_EVENT(MEMBERS_CHANGE, LOG_TEXT("change", "add"), LOG_TEXT("peer", peer->config.name));
        started(replica,
                raft_add(&replica->raft, &replica->change, id, peer->config.name, on_changed));
    }
    return true;
}

bool replica_remove(struct replica *replica, uint64_t id, replica_change_cb callback,
                    void *context) {
    if (replica->change_callback != NULL || !can_change(replica)) {
        return false;
    }
    const struct raft_server *server = find_server(replica, id);
    begin_change(replica, callback, context);
    if (!refuse(replica, server != NULL, true)) {
        LOG_EVENT(MEMBERS_CHANGE, LOG_TEXT("change", "remove"), LOG_TEXT("peer", server->address));
        started(replica, raft_remove(&replica->raft, &replica->change, id, on_changed));
    }
    return true;
}

/* One that joins and is there gets its vote as soon as it has the log. */
static void promote(struct replica *replica) {
    uint64_t now_ms = clock_boottime_ms(replica->clock);
    if (!can_change(replica) || now_ms < replica->promote_ms) {
        return;
    }
    for (unsigned i = 0; i < replica->raft.configuration.n; i++) {
        const struct raft_server *server = &replica->raft.configuration.servers[i];
        const struct peer *peer = replica_find_peer(replica, server->id);
        if (server->role == RAFT_VOTER || peer == NULL || !peer->up ||
            state_find_node(replica->state, server->id) == NONE_INDEX) {
            continue;
        }
        replica->promote_ms = now_ms + RETRY_MS;
        LOG_EVENT(MEMBERS_CHANGE, LOG_TEXT("change", "promote"),
                  LOG_TEXT("peer", peer->config.name));
        int code =
            raft_assign(&replica->raft, &replica->change, server->id, RAFT_VOTER, on_changed);
        replica->change_raft = code == 0;
        return;
    }
}

static int compare_names(const void *a, const void *b) {
    return strcmp(((const struct configured_node *)a)->name,
                  ((const struct configured_node *)b)->name);
}

/* The committed members aren't those that NODES says. */
static bool nodes_differ(const struct replica *replica) {
    const struct state *state = replica->state;
    const struct raft_configuration *configuration = &replica->raft.configuration;
    uint32_t count = 0;
    for (; count < configuration->n && count < NODE_MAX; count++) {
        if (state_find_node(state, configuration->servers[count].id) == NONE_INDEX) {
            return true;
        }
    }
    return count != state->node_count;
}

/* The committed members, with what is known of their regions and disks. */
static void fill_nodes(const struct replica *replica, struct command_nodes *nodes) {
    const struct state *state = replica->state;
    const struct raft_configuration *configuration = &replica->raft.configuration;
    memcpy(nodes->cluster, state->cluster, sizeof nodes->cluster);
    nodes->incarnation = state->incarnation;
    nodes->nodes_index = state->nodes_index;
    for (unsigned i = 0; i < configuration->n && nodes->count < NODE_MAX; i++) {
        const struct raft_server *server = &configuration->servers[i];
        struct configured_node *node = &nodes->nodes[nodes->count++];
        uint32_t old = state_find_node(state, server->id);
        node->id = server->id;
        (void)TEXT_COPY(node->name, server->address);
        if (old != NONE_INDEX) {
            memcpy(node->region, state->nodes[old].region, sizeof node->region);
            memcpy(node->storage, state->nodes[old].storage, sizeof node->storage);
        }
    }
    qsort(nodes->nodes, nodes->count, sizeof nodes->nodes[0], compare_names);
}

static void on_nodes(void *context, enum error_code error, enum core_error result, uint64_t index) {
    struct replica *replica = context;
    (void)index;
    replica->nodes_proposed = false;
    if (error != ERROR_OK || result != CORE_OK) {
        replica->nodes_ms = clock_boottime_ms(replica->clock) + RETRY_MS;
    }
}

static void keep_nodes(struct replica *replica) {
    struct command command;
    if (replica->nodes_proposed || clock_boottime_ms(replica->clock) < replica->nodes_ms ||
        replica->raft.configuration_uncommitted_index != 0 || replica->state->incarnation == 0 ||
        !nodes_differ(replica)) {
        return;
    }
    memset(&command.nodes, 0, sizeof command.nodes);
    fill_nodes(replica, &command.nodes);
    memset(&command.origin, 0, sizeof command.origin);
    command.kind = COMMAND_NODES;
    command.wall_ms = clock_wall_ms(replica->clock);
    replica->nodes_proposed = true;
    replica_propose_internal(replica, &command, on_nodes, replica);
}

void replica_keep_members(struct replica *replica) {
    if (leads(replica) && replica->transfer_phase == TRANSFER_NONE) {
        keep_nodes(replica);
        promote(replica);
    }
}

/* The library keeps the request until it is closed; the caller needn't wait for that. */
void replica_abandon_change(struct replica *replica) {
    if (replica->change_callback != NULL && !replica->change_done) {
        replica->change_code = ERROR_UNKNOWN;
        replica->change_done = true;
    }
}

void replica_complete_change(struct replica *replica) {
    if (replica->change_done) {
        replica_change_cb callback = replica->change_callback;
        replica->change_callback = NULL;
        replica->change_done = false;
        if (callback != NULL) {
            callback(replica->change_context, replica->change_code);
        }
    }
}
