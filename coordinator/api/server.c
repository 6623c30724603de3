/* The client API's listener, its connections, and their limits. */
#include "api/server.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "document_memory.h"
#include "server_private.h"

#define SWEEP_MS 500
#define REFUSED_LOG_MS 1000 /* one line so often, whatever a scanner does */

static uint64_t server_now_ms(const struct api_server *server) {
    return clock_boottime_ms(&server->clock);
}

void api_server_settle(struct api_server *server) {
    if (!server->closing || server->client_count > 0 || server->request_count > 0 ||
        !server->listener_closed || !server->sweep_closed) {
        return;
    }
    void (*closed)(void *) = server->closed;
    void *context = server->closed_context;
    free(server);
    if (closed != NULL) {
        closed(context);
    }
}

void api_client_close(struct api_client *client) {
    if (!client->closing) {
        client->closing = true;
        client->watch.open = false;
        tls_stream_close(client->stream);
    }
}

static void on_closed(struct tls_stream *stream, const struct error *error, void *context) {
    struct api_client *client = context;
    struct api_server *server = client->server;
    (void)stream;
    (void)error;
    if (client->request != NULL) {
        api_request_abandon(client->request);
    }
    if (client->previous == NULL) {
        server->clients = client->next;
    } else {
        client->previous->next = client->next;
    }
    if (client->next != NULL) {
        client->next->previous = client->previous;
    }
    server->client_count--;
    frame_parser_finish(&client->parser);
    free(client);
    api_server_settle(server);
}

static void on_data(struct tls_stream *stream, const void *bytes, size_t size_bytes,
                    void *context) {
    struct api_client *client = context;
    (void)stream;
    if (!client->closing) {
        api_session_take(client, bytes, size_bytes);
    }
}

static enum role role_of(const struct tls_peer *peer) {
    static const enum role roles[] = {ROLE_NONE, ROLE_VIEWER, ROLE_OPERATOR, ROLE_ADMIN};
    if (peer->kind != TLS_KIND_USER) {
        return ROLE_NODE;
    }
    return (unsigned)peer->role < ARRAY_LENGTH(roles) ? roles[peer->role] : ROLE_NONE;
}

/* Room for one more: the connection that has been idle longest goes. */
static bool make_room(struct api_server *server) {
    struct api_client *idlest = NULL;
    for (struct api_client *c = server->clients; c != NULL; c = c->next) {
        bool idle = !c->closing && c->request == NULL && !c->watch.open;
        if (idle && (idlest == NULL || c->active_ms < idlest->active_ms)) {
            idlest = c;
        }
    }
    if (idlest != NULL) {
        api_client_close(idlest);
    }
    return idlest != NULL;
}

static void log_refused(struct api_server *server, const char *address, const char *why) {
    uint64_t now_ms = server_now_ms(server);
    if (server->refused_logged_ms == 0 || now_ms - server->refused_logged_ms >= REFUSED_LOG_MS) {
        server->refused_logged_ms = now_ms;
        LOG_EVENT(API_CLIENT_REFUSED, LOG_TEXT("address", address), LOG_TEXT("why", why));
    }
}

static void on_stream(struct tls_listener *listener, struct tls_stream *stream,
                      const struct tls_peer *peer, void *context) {
    static const struct tls_stream_callbacks callbacks = {.on_data = on_data,
                                                          .on_closed = on_closed};
    struct api_server *server = context;
    (void)listener;
    bool full = server->client_count >= API_CLIENT_MAX && !make_room(server);
    struct api_client *client = full || server->closing ? NULL : calloc(1, sizeof *client);
    if (client == NULL) {
        log_refused(server, tls_stream_address(stream), "too many connections");
        tls_stream_close(stream);
        return;
    }
    client->server = server;
    client->stream = stream;
    client->role = role_of(peer);
    client->active_ms = server_now_ms(server);
    (void)TEXT_COPY(client->actor, peer->name);
    memcpy(client->owners, peer->owners, sizeof client->owners);
    frame_parser_init(&client->parser, FRAME_SET(FRAME_REQUEST), 0);
    client->next = server->clients;
    if (client->next != NULL) {
        client->next->previous = client;
    }
    server->clients = client;
    server->client_count++;
    tls_stream_attach(stream, &callbacks, client);
}

static void on_rejected(struct tls_listener *listener, const char *address,
                        const struct error *error, void *context) {
    (void)listener;
    log_refused(context, address, error->message);
}

static void sweep_client(struct api_client *client, uint64_t now_ms) {
    struct api_request *request = client->request;
    if (request != NULL && now_ms - request->begun_ms >= API_REQUEST_MS) {
        api_request_fail(request, EXIT_CODE_UNREACHABLE, "TIMEOUT",
                         "no answer from the group in %d s; a command may yet be done: ask again "
                         "with the same id",
                         API_REQUEST_MS / 1000);
    } else if (request == NULL && !client->watch.open &&
               now_ms - client->active_ms >= API_IDLE_MS) {
        api_client_close(client);
    }
}

static void on_sweep(uv_timer_t *timer) {
    struct api_server *server = timer->data;
    uint64_t now_ms = server_now_ms(server);
    for (struct api_client *c = server->clients; c != NULL; c = c->next) {
        if (!c->closing) {
            sweep_client(c, now_ms); /* a connection's memory goes later, in on_closed */
        }
    }
    api_server_on_applied(server); /* signs of life, and what was held back */
}

void api_server_on_applied(struct api_server *server) {
    struct api_facts facts;
    bool gathered = false;
    for (struct api_client *c = server->clients; c != NULL; c = c->next) {
        if (!c->watch.open || c->closing) {
            continue;
        }
        if (!gathered) {
            gathered = true;
            server->calls.facts(server->calls.context, &facts);
        }
        api_watch_feed(c, &facts);
    }
}

static void on_sweep_closed(uv_handle_t *handle) {
    struct api_server *server = handle->data;
    server->sweep_closed = true;
    api_server_settle(server);
}

static void on_listener_closed(void *context) {
    struct api_server *server = context;
    server->listener_closed = true;
    api_server_settle(server);
}

enum error_code api_server_create(const struct api_server_options *options,
                                  struct api_server **ret_server, struct error *error) {
    struct api_server *server = calloc(1, sizeof *server);
    if (server == NULL) {
        return error_set(error, ERROR_NO_MEMORY, "no memory for the client API");
    }
    document_memory_watch();
    server->loop = options->loop;
    server->clock = *options->clock;
    server->calls = options->calls;
    (void)TEXT_COPY(server->cluster, options->cluster);
    struct tls_listener_options listen = {
        .host = options->host,
        .port = options->port,
        .max_connections = 2 * API_CLIENT_MAX,
        .max_buffered_bytes = API_OUTPUT_MAX_BYTES,
        .on_stream = on_stream,
        .on_rejected = on_rejected,
        .context = server,
    };
    enum error_code code =
        tls_listener_create(options->loop, options->identity, &listen, &server->listener, error);
    if (code != ERROR_OK) {
        free(server);
        return error_prefix(error, "client API");
    }
    (void)uv_timer_init(options->loop, &server->sweep);
    server->sweep.data = server;
    (void)uv_timer_start(&server->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
    LOG_EVENT(API_LISTENING, LOG_TEXT("host", options->host),
              LOG_U64("port", tls_listener_port(server->listener)));
    *ret_server = server;
    return ERROR_OK;
}

uint16_t api_server_port(const struct api_server *server) {
    return tls_listener_port(server->listener);
}

void api_server_set_identity(struct api_server *server, struct tls_identity *identity) {
    struct error why;
    tls_listener_set_identity(server->listener, identity);
    for (struct api_client *c = server->clients; c != NULL; c = c->next) {
        if (!c->closing && tls_stream_verify_again(c->stream, identity, &why) != ERROR_OK) {
            LOG_EVENT(API_CLIENT_CLOSED, LOG_TEXT("actor", c->actor),
                      LOG_TEXT("address", tls_stream_address(c->stream)),
                      LOG_TEXT("why", why.message));
            api_client_close(c); /* its memory goes later, in on_closed */
        }
    }
}

uint32_t api_server_request_count(const struct api_server *server) {
    return server->request_count;
}

void api_server_close(struct api_server *server, void (*closed)(void *context), void *context) {
    assert(!server->closing);
    server->closing = true;
    server->closed = closed;
    server->closed_context = context;
    for (struct api_client *c = server->clients; c != NULL; c = c->next) {
        api_client_close(c);
    }
    uv_close((uv_handle_t *)&server->sweep, on_sweep_closed);
    tls_listener_close(server->listener, on_listener_closed, server);
}
