#include "mongo_server.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <stdio.h>
#include <unistd.h>

#include "alloc.h"
#include "base/buffer.h"
#include "base/text.h"
#include "mongo_control.h"
#include "mongo_wire.h"

#define BACKLOG 128
#define HOST_SIZE 32
#define NAME_SIZE 64
#define READ_BYTES ((size_t)64 * 1024)
/* A client that asks and never reads is cut off. */
#define UNREAD_MAX_BYTES ((size_t)64 * 1024 * 1024)
#define PATIENCE_MS (120 * 1000)

struct mongo_port {
    struct mongo_server *server;
    size_t process;
    uv_tcp_t *listener; /* NULL: refuses */
    int holder_socket;  /* bound, never listens: the port stays ours */
    uint16_t port;
    char host[HOST_SIZE];
};

struct mongo_client {
    uv_tcp_t tcp;
    struct mongo_server *server;
    struct mongo_client *previous, *next;
    uint64_t connection;
    struct buffer input;
    int32_t last_reply; /* of an exhaust series; 0: none */
    bool closing;
};

struct mongo_server {
    uv_loop_t *loop;
    struct mongo_set *set;
    enum mongo_release release;
    char name[NAME_SIZE];
    size_t member_count, process_count;
    struct mongo_port ports[MONGO_PROCESSES_MAX];
    uv_timer_t timer;
    uint64_t speed, started_ns, offset_ms;
    uint64_t random_state;
    uint64_t last_connection, last_request;
    int32_t last_frame;
    struct mongo_client *clients;
    unsigned open_handles;
    bool destroyed;
    bool initiating, initiated; /* before it serves */
    char read_bytes[READ_BYTES];
};

struct mongo_write {
    uv_write_t request;
    uint8_t *frame;
};

static void mongo_server_advance(struct mongo_server *server);

/* --- closing --- */

static void mongo_server_free_if_done(struct mongo_server *server) {
    if (!server->destroyed || server->open_handles > 0) {
        return;
    }
    for (size_t i = 0; i < server->process_count; i++) {
        if (server->ports[i].holder_socket >= 0) {
            (void)close(server->ports[i].holder_socket);
        }
    }
    free(server);
}

static void mongo_server_on_closed(uv_handle_t *handle) {
    struct mongo_server *server = handle->data;
    server->open_handles--;
    mongo_server_free_if_done(server);
}

static void mongo_server_on_listener_closed(uv_handle_t *handle) {
    struct mongo_server *server = handle->data;
    free(handle);
    server->open_handles--;
    mongo_server_free_if_done(server);
}

static void mongo_client_on_closed(uv_handle_t *handle) {
    struct mongo_client *client = handle->data;
    struct mongo_server *server = client->server;
    if (client->previous != NULL) {
        client->previous->next = client->next;
    } else {
        server->clients = client->next;
    }
    if (client->next != NULL) {
        client->next->previous = client->previous;
    }
    buffer_finish(&client->input);
    free(client);
    server->open_handles--;
    mongo_server_free_if_done(server);
}

static void mongo_client_close(struct mongo_client *client) {
    if (!client->closing) {
        client->closing = true;
        uv_close((uv_handle_t *)&client->tcp, mongo_client_on_closed);
    }
}

static struct mongo_client *mongo_client_find(struct mongo_server *server, uint64_t connection) {
    for (struct mongo_client *client = server->clients; client != NULL; client = client->next) {
        if (client->connection == connection) {
            return client;
        }
    }
    return NULL;
}

/* --- what the set says --- */

static uint64_t mongo_server_random(void *context, size_t process, uint64_t below) {
    struct mongo_server *server = context;
    (void)process;
    /* splitmix64 */
    uint64_t x = server->random_state += 0x9e3779b97f4a7c15ULL;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
    return (x ^ (x >> 31)) % below;
}

static void mongo_client_on_written(uv_write_t *request, int status) {
    struct mongo_write *write = (struct mongo_write *)request;
    (void)status;
    free(write->frame);
    free(write);
}

/* The number of a request carries what its reply needs: the frame's own number and its kind. */
static uint64_t mongo_server_number(struct mongo_server *server,
                                    const struct mongo_wire_request *request) {
    return (++server->last_request << 33) | ((uint64_t)request->query << 32) |
           (uint32_t)request->request_id;
}

static void mongo_server_on_reply(void *context, uint64_t connection, uint64_t number,
                                  const bson_t *document, bool more) {
    struct mongo_server *server = context;
    struct mongo_client *client = mongo_client_find(server, connection);
    if (client == NULL) {
        bson_iter_t ok;
        server->initiated = bson_iter_init_find(&ok, document, "ok") && bson_iter_as_bool(&ok);
        return;
    }
    if (client->closing) {
        return;
    }
    struct mongo_write *write = alloc_zeroed(1, sizeof(*write));
    size_t size_bytes = 0;
    int32_t answered =
        client->last_reply != 0 ? client->last_reply : (int32_t)(number & UINT32_MAX);
    server->last_frame = server->last_frame == INT32_MAX ? 1 : server->last_frame + 1;
    write->frame = mongo_wire_write((number >> 32 & 1) != 0, server->last_frame, answered, more,
                                    document, &size_bytes);
    client->last_reply = more ? server->last_frame : 0;
    uv_buf_t part = uv_buf_init((char *)write->frame, (unsigned)size_bytes);
    if (uv_stream_get_write_queue_size((uv_stream_t *)&client->tcp) > UNREAD_MAX_BYTES ||
        uv_write(&write->request, (uv_stream_t *)&client->tcp, &part, 1, mongo_client_on_written) !=
            0) {
        free(write->frame);
        free(write);
        mongo_client_close(client);
    }
}

static void mongo_server_on_hang_up(void *context, uint64_t connection) {
    struct mongo_client *client = mongo_client_find(context, connection);
    if (client != NULL) {
        mongo_client_close(client);
    }
}

/* --- clients --- */

static void mongo_client_leave(struct mongo_client *client) {
    mongo_set_disconnect(client->server->set, client->connection);
    mongo_client_close(client);
}

static void mongo_client_ask(struct mongo_client *client, struct mongo_wire_request *wire) {
    struct mongo_server *server = client->server;
    const struct mongo_request request = {
        .connection = client->connection,
        .id = mongo_server_number(server, wire),
        .database = wire->database,
        .command = wire->command,
        .secondary_ok = wire->secondary_ok,
        .exhaust_allowed = wire->exhaust_allowed,
        .no_reply = wire->more_to_come,
    };
    mongo_set_request(server->set, &request);
    bson_destroy(wire->command);
}

static void mongo_client_consume(struct mongo_client *client) {
    while (!client->closing) {
        struct mongo_wire_request request;
        size_t used_bytes = 0;
        switch (mongo_wire_read((const uint8_t *)client->input.data, client->input.size_bytes,
                                &used_bytes, &request)) {
        case MONGO_WIRE_PARTIAL:
            return;
        case MONGO_WIRE_BROKEN:
            mongo_client_leave(client);
            return;
        case MONGO_WIRE_WHOLE:
            buffer_consume(&client->input, used_bytes);
            mongo_client_ask(client, &request);
            break;
        }
    }
}

static void mongo_client_on_allocate(uv_handle_t *handle, size_t suggested_bytes, uv_buf_t *part) {
    struct mongo_client *client = handle->data;
    (void)suggested_bytes;
    *part = uv_buf_init(client->server->read_bytes, READ_BYTES);
}

static void mongo_client_on_read(uv_stream_t *stream, ssize_t size_bytes, const uv_buf_t *part) {
    struct mongo_client *client = stream->data;
    struct mongo_server *server = client->server;
    if (client->closing || size_bytes == 0) {
        return;
    }
    mongo_server_advance(server);
    if (size_bytes < 0 || !buffer_append(&client->input, part->base, (size_t)size_bytes)) {
        mongo_client_leave(client);
    } else {
        mongo_client_consume(client);
    }
    mongo_server_advance(server);
}

static void mongo_server_on_connection(uv_stream_t *listener, int status) {
    struct mongo_server *server = listener->data;
    struct mongo_client *client = NULL;
    size_t process = 0;
    if (status != 0) {
        return;
    }
    while (server->ports[process].listener != (uv_tcp_t *)listener) {
        process++;
        assert(process < server->process_count);
    }
    client = alloc_zeroed(1, sizeof(*client));
    (void)uv_tcp_init(server->loop, &client->tcp);
    server->open_handles++;
    client->tcp.data = client;
    client->server = server;
    client->connection = ++server->last_connection;
    client->next = server->clients;
    if (client->next != NULL) {
        client->next->previous = client;
    }
    server->clients = client;
    buffer_init(&client->input, MONGO_WIRE_MAX_BYTES + READ_BYTES);
    if (uv_accept(listener, (uv_stream_t *)&client->tcp) != 0 ||
        uv_read_start((uv_stream_t *)&client->tcp, mongo_client_on_allocate,
                      mongo_client_on_read) != 0 ||
        !mongo_set_connect(server->set, process, client->connection)) {
        mongo_client_close(client);
    }
}

/* --- ports --- */

static bool mongo_port_hold(struct mongo_port *port, uint16_t wanted) {
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(wanted),
        .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)},
    };
    socklen_t address_bytes = sizeof(address);
    int reuse = 1;
    port->holder_socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (port->holder_socket < 0 ||
        setsockopt(port->holder_socket, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof(reuse)) != 0 ||
        bind(port->holder_socket, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        getsockname(port->holder_socket, (struct sockaddr *)&address, &address_bytes) != 0) {
        return false;
    }
    port->port = ntohs(address.sin_port);
    (void)snprintf(port->host, sizeof(port->host), "127.0.0.1:%u", port->port);
    return true;
}

static void mongo_port_close(struct mongo_port *port) {
    if (port->listener != NULL) {
        uv_close((uv_handle_t *)port->listener, mongo_server_on_listener_closed);
        port->listener = NULL;
    }
}

static void mongo_port_open(struct mongo_port *port) {
    struct mongo_server *server = port->server;
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(port->port),
        .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)},
    };
    port->listener = alloc_zeroed(1, sizeof(*port->listener));
    (void)uv_tcp_init(server->loop, port->listener);
    server->open_handles++;
    port->listener->data = server;
    int status = uv_tcp_bind(port->listener, (struct sockaddr *)&address, 0);
    if (status == 0) {
        status = uv_listen((uv_stream_t *)port->listener, BACKLOG, mongo_server_on_connection);
    }
    assert(status == 0); /* the port is held */
}

static void mongo_server_on_listening(void *context, size_t process, bool listens) {
    struct mongo_server *server = context;
    if (listens) {
        mongo_port_open(&server->ports[process]);
    } else {
        mongo_port_close(&server->ports[process]);
    }
}

/* --- time --- */

static uint64_t mongo_server_now_ms(const struct mongo_server *server) {
    return server->offset_ms + (uv_hrtime() - server->started_ns) * server->speed / 1000000;
}

static void mongo_server_on_timer(uv_timer_t *timer) {
    mongo_server_advance(timer->data);
}

static void mongo_server_advance(struct mongo_server *server) {
    mongo_set_run(server->set, mongo_server_now_ms(server));
    uint64_t now_ms = mongo_set_now_ms(server->set);
    uint64_t next_ms = mongo_set_next_ms(server->set);
    if (next_ms == MONGO_NEVER_MS) {
        (void)uv_timer_stop(&server->timer);
        return;
    }
    uint64_t wait_ms = (next_ms - now_ms + server->speed - 1) / server->speed;
    uv_update_time(server->loop);
    (void)uv_timer_start(&server->timer, mongo_server_on_timer, wait_ms, 0);
}

/* --- beginning --- */

static bson_t *mongo_server_configuration(const struct mongo_server *server,
                                          const struct mongo_server_options *options) {
    bson_t *command = bson_new();
    bson_t config;
    bson_t members;
    BSON_APPEND_DOCUMENT_BEGIN(command, "replSetInitiate", &config);
    BSON_APPEND_UTF8(&config, "_id", server->name);
    BSON_APPEND_INT32(&config, "version", 1);
    BSON_APPEND_ARRAY_BEGIN(&config, "members", &members);
    for (size_t i = 0; i < server->member_count; i++) {
        bson_t child;
        bson_t tags;
        char key[24];
        (void)snprintf(key, sizeof(key), "%zu", i);
        BSON_APPEND_DOCUMENT_BEGIN(&members, key, &child);
        BSON_APPEND_INT32(&child, "_id", (int32_t)i);
        BSON_APPEND_UTF8(&child, "host", server->ports[i].host);
        if (options->region_count > 0) {
            BSON_APPEND_DOCUMENT_BEGIN(&child, "tags", &tags);
            BSON_APPEND_UTF8(&tags, "region", options->regions[i % options->region_count]);
            bson_append_document_end(&child, &tags);
        }
        bson_append_document_end(&members, &child);
    }
    bson_append_array_end(&config, &members);
    bson_append_document_end(command, &config);
    return command;
}

static bool mongo_server_has_primary(const struct mongo_server *server) {
    bool primary = false;
    bool secondaries = true;
    for (size_t i = 0; i < server->member_count; i++) {
        struct mongo_view view;
        mongo_set_view(server->set, i, &view);
        primary = primary || view.writable;
        secondaries = secondaries && (view.writable || view.state == 2);
    }
    return primary && secondaries;
}

/* The first seconds of the set pass before anybody can see it. */
static bool mongo_server_initiate(struct mongo_server *server,
                                  const struct mongo_server_options *options) {
    uint64_t now_ms = 2000;
    bson_t *command = mongo_server_configuration(server, options);
    uint64_t connection = ++server->last_connection;
    mongo_set_run(server->set, now_ms);
    if (!options->fresh && mongo_set_connect(server->set, 0, connection)) {
        const struct mongo_request request = {
            .connection = connection, .database = "admin", .command = command};
        mongo_set_request(server->set, &request);
        while (now_ms < PATIENCE_MS && !mongo_server_has_primary(server)) {
            now_ms += 100;
            mongo_set_run(server->set, now_ms);
        }
        mongo_set_disconnect(server->set, connection);
    }
    bson_destroy(command);
    server->offset_ms = now_ms;
    server->started_ns = uv_hrtime();
    return options->fresh || (server->initiated && now_ms < PATIENCE_MS);
}

static enum error_code mongo_server_parse(struct mongo_server *server, const char *text,
                                          struct error *error) {
    char *copy = alloc_text(text);
    char *rest = copy;
    const char *name = strsep(&rest, ":");
    const char *release = strsep(&rest, ":");
    const char *members = strsep(&rest, ":");
    uint64_t member_count = 0;
    uint64_t spare_count = 0;
    bool good = text_is_name(name, sizeof(server->name) - 1) && TEXT_COPY(server->name, name) &&
                release != NULL && members != NULL &&
                (text_equal(release, "3.6") || text_equal(release, "4.4")) &&
                text_to_u64(members, 1, 7, &member_count) &&
                (rest == NULL || text_to_u64(rest, 0, MONGO_PROCESSES_MAX - 7, &spare_count));
    if (good) {
        server->release = text_equal(release, "4.4") ? MONGO_RELEASE_4_4 : MONGO_RELEASE_3_6;
        server->member_count = member_count;
        server->process_count = member_count + spare_count;
    }
    free(copy);
    return good ? ERROR_OK
                : error_set(error, ERROR_INVALID,
                            "a replica set is NAME:RELEASE:MEMBERS[:SPARES] with release 3.6 or "
                            "4.4 and 1 to 7 members, not '%.60s'",
                            text);
}

static enum error_code mongo_server_open(struct mongo_server *server,
                                         const struct mongo_server_options *options,
                                         struct error *error) {
    const char *hosts[MONGO_PROCESSES_MAX];
    for (size_t i = 0; i < server->process_count; i++) {
        server->ports[i].server = server;
        server->ports[i].process = i;
        uint16_t wanted =
            options->first_port == 0 ? 0 : (uint16_t)(options->first_port + (uint16_t)i);
        if (!mongo_port_hold(&server->ports[i], wanted)) {
            return error_set(error, ERROR_IO, "can't bind 127.0.0.1:%u", wanted);
        }
        hosts[i] = server->ports[i].host;
    }
    uv_timeval64_t wall;
    (void)uv_gettimeofday(&wall);
    const struct mongo_set_options set_options = {
        .release = server->release,
        .name = server->name,
        .hosts = hosts,
        .host_count = server->process_count,
        .wall_ms = (uint64_t)wall.tv_sec * 1000 + (uint64_t)wall.tv_usec / 1000,
        .context = server,
        .random = mongo_server_random,
        .reply = mongo_server_on_reply,
        .hang_up = mongo_server_on_hang_up,
        .listening = mongo_server_on_listening,
    };
    server->set = mongo_set_create(&set_options);
    for (size_t i = 0; i < server->process_count; i++) {
        mongo_set_fate(server->set, i, MONGO_START);
    }
    if (!mongo_server_initiate(server, options)) {
        return error_set(error, ERROR_INVALID, "the replica set elects no primary");
    }
    mongo_server_advance(server);
    return ERROR_OK;
}

enum error_code mongo_server_create(const struct mongo_server_options *options,
                                    struct mongo_server **ret_server, struct error *error) {
    struct mongo_server *server = alloc_zeroed(1, sizeof(*server));
    server->loop = options->loop;
    server->speed = options->speed == 0 ? 1 : options->speed;
    server->random_state = options->seed;
    for (size_t i = 0; i < MONGO_PROCESSES_MAX; i++) {
        server->ports[i].holder_socket = -1;
    }
    if (mongo_server_parse(server, options->text, error) != ERROR_OK) {
        free(server);
        return error->code;
    }
    (void)uv_timer_init(server->loop, &server->timer);
    server->timer.data = server;
    server->open_handles++;
    if (mongo_server_open(server, options, error) != ERROR_OK) {
        mongo_server_destroy(server);
        return error->code;
    }
    *ret_server = server;
    return ERROR_OK;
}

void mongo_server_destroy(struct mongo_server *server) {
    if (server == NULL) {
        return;
    }
    server->destroyed = true;
    mongo_set_destroy(server->set);
    server->set = NULL;
    for (struct mongo_client *client = server->clients; client != NULL; client = client->next) {
        mongo_client_close(client);
    }
    for (size_t i = 0; i < server->process_count; i++) {
        mongo_port_close(&server->ports[i]);
    }
    uv_close((uv_handle_t *)&server->timer, mongo_server_on_closed);
}

/* --- the control API --- */

static json_t *mongo_server_hosts(const struct mongo_server *server, size_t from, size_t to) {
    json_t *hosts = json_array();
    for (size_t i = from; i < to; i++) {
        json_array_append_new(hosts, json_string(server->ports[i].host));
    }
    return hosts;
}

json_t *mongo_server_addresses(const struct mongo_server *server) {
    return json_pack("{s:s,s:s,s:o,s:o}", "name", server->name, "release",
                     server->release == MONGO_RELEASE_4_4 ? "4.4" : "3.6", "members",
                     mongo_server_hosts(server, 0, server->member_count), "spares",
                     mongo_server_hosts(server, server->member_count, server->process_count));
}

json_t *mongo_server_state(struct mongo_server *server) {
    mongo_server_advance(server);
    json_t *json = mongo_server_addresses(server);
    json_t *processes = json_array();
    for (size_t i = 0; i < server->process_count; i++) {
        json_array_append_new(processes, mongo_control_view(server->set, i, server->ports[i].host));
    }
    json_object_set_new(json, "processes", processes);
    json_object_set_new(json, "now_ms", json_integer((json_int_t)mongo_set_now_ms(server->set)));
    return json;
}

enum error_code mongo_server_change(struct mongo_server *server, const char *process,
                                    const json_t *body, struct error *error) {
    uint64_t index = 0;
    if (!text_to_u64(process, 0, server->process_count - 1, &index)) {
        return error_set(error, ERROR_NOT_FOUND, "there is no process %.20s", process);
    }
    mongo_server_advance(server);
    enum error_code code = mongo_control_change(server->set, index, body, error);
    mongo_server_advance(server);
    return code;
}

enum error_code mongo_server_link(struct mongo_server *server, const json_t *body,
                                  struct error *error) {
    mongo_server_advance(server);
    return mongo_control_link(server->set, server->process_count, body, error);
}
