/* Connections of clients, their requests, and the mishaps that these meet with. */
#include <assert.h>

#include "alloc.h"
#include "base/text.h"
#include "private.h"

/* --- connections --- */

struct mongo_connection *mongo_connection_find(struct mongo_set *set, uint64_t id) {
    for (size_t i = 0; i < set->connection_count; i++) {
        if (set->connections[i].id == id) {
            return &set->connections[i];
        }
    }
    return NULL;
}

bool mongo_set_connect(struct mongo_set *set, size_t process, uint64_t connection) {
    assert(process < set->process_count);
    assert(mongo_connection_find(set, connection) == NULL);
    struct mongo_process *target = set->processes[process];
    if (target->life != LIFE_UP && target->life != LIFE_HUNG) {
        return false;
    }
    if (set->connection_count == set->connection_capacity) {
        set->connection_capacity =
            set->connection_capacity == 0 ? 16 : 2 * set->connection_capacity;
        set->connections = alloc_grown(set->connections, set->connection_capacity,
                                       sizeof(struct mongo_connection));
    }
    set->connections[set->connection_count++] = (struct mongo_connection){
        .id = connection,
        .process = process,
        .number = (int)++target->next_connection_number,
        .only_hello = true,
    };
    return true;
}

void mongo_set_disconnect(struct mongo_set *set, uint64_t connection) {
    for (size_t i = 0; i < set->connection_count; i++) {
        if (set->connections[i].id == connection) {
            set->connections[i] = set->connections[--set->connection_count];
            return;
        }
    }
}

void mongo_connection_close(struct mongo_set *set, uint64_t id) {
    if (mongo_connection_find(set, id) != NULL) {
        mongo_set_disconnect(set, id);
        set->options.hang_up(set->options.context, id);
    }
}

void mongo_connections_doom(struct mongo_process *process, uint64_t except) {
    struct mongo_set *set = process->set;
    for (size_t i = 0; i < set->connection_count; i++) {
        struct mongo_connection *connection = &set->connections[i];
        if (connection->process == process->index && connection->id != except &&
            !connection->only_hello && !mongo_is_44(process)) {
            connection->doomed = true;
        }
    }
}

void mongo_connections_close(struct mongo_process *process) {
    struct mongo_set *set = process->set;
    for (size_t i = set->connection_count; i-- > 0;) {
        if (set->connections[i].process == process->index) {
            mongo_connection_close(set, set->connections[i].id);
        }
    }
}

/* --- requests --- */

/* The next request to come meets with the mishap that was armed. */
static void client_strike(struct mongo_process *process, struct mongo_call *call,
                          uint64_t *ret_delay_ms, bool *ret_lost) {
    struct mongo_set *set = process->set;
    *ret_delay_ms = 0;
    *ret_lost = false;
    if (!process->mishap.armed ||
        (process->mishap.command[0] != '\0' && !text_equal(process->mishap.command, call->name))) {
        return;
    }
    process->mishap.armed = false;
    switch (process->mishap.kind) {
    case MONGO_LOSE_REPLY:
        call->lose_reply = true;
        break;
    case MONGO_LOSE_REQUEST:
        *ret_lost = true;
        break;
    case MONGO_DELAY:
        *ret_delay_ms = process->mishap.delay_ms;
        break;
    case MONGO_DUPLICATE: {
        struct mongo_message *again =
            mongo_message_create(MESSAGE_REQUEST, MONGO_NONE, (int)process->index);
        again->call = alloc_zeroed(1, sizeof(*again->call));
        *again->call = *call;
        again->call->command = bson_copy(call->command);
        again->call->database = alloc_text(call->database);
        again->call->name = NULL;
        again->call->silent = true;
        mongo_message_send(set, again, process->mishap.delay_ms);
        break;
    }
    }
}

static const char *client_command_name(const bson_t *command) {
    bson_iter_t iter;
    return bson_iter_init(&iter, command) && bson_iter_next(&iter) ? bson_iter_key(&iter) : "";
}

void mongo_set_request(struct mongo_set *set, const struct mongo_request *request) {
    struct mongo_connection *connection = mongo_connection_find(set, request->connection);
    uint64_t delay_ms = 0;
    bool lost = false;
    if (connection == NULL || set->processes[connection->process]->clients_cut) {
        return;
    }
    struct mongo_process *process = set->processes[connection->process];
    if (connection->doomed) {
        mongo_connection_close(set, connection->id);
        return;
    }
    struct mongo_call *call = alloc_zeroed(1, sizeof(*call));
    *call = (struct mongo_call){
        .set = set,
        .process = process,
        .incarnation = process->incarnation,
        .connection = request->connection,
        .request = request->id,
        .database = alloc_text(request->database),
        .command = bson_copy(request->command),
        .secondary_ok = request->secondary_ok,
        .exhaust = request->exhaust_allowed,
        .silent = request->no_reply,
        .received_ms = set->now_ms,
    };
    call->name = client_command_name(call->command);
    client_strike(process, call, &delay_ms, &lost);
    if (lost) {
        mongo_call_hang_up(call);
    } else if (delay_ms > 0 || process->life != LIFE_UP) {
        struct mongo_message *message =
            mongo_message_create(MESSAGE_REQUEST, MONGO_NONE, (int)process->index);
        message->call = call;
        mongo_message_send(set, message, delay_ms);
    } else {
        mongo_command_run(call);
    }
    mongo_waiters_settle(set);
}

void mongo_set_cut_clients(struct mongo_set *set, size_t process, bool cut) {
    set->processes[process]->clients_cut = cut;
}

void mongo_set_mishap(struct mongo_set *set, size_t process, enum mongo_mishap mishap,
                      const char *command, uint64_t delay_ms) {
    struct mongo_process *target = set->processes[process];
    target->mishap.armed = true;
    target->mishap.kind = mishap;
    target->mishap.delay_ms = delay_ms;
    if (command == NULL || !TEXT_COPY(target->mishap.command, command)) {
        target->mishap.command[0] = '\0';
    }
}
