#include "mesh.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/text.h"

#define ENDPOINT_MAX 64
#define CONNECT_INTERVAL_MS 5

struct endpoint {
    struct replica_transport transport;
    struct mesh *mesh;
    uint64_t id;
    char name[TLS_NAME_SIZE], cluster[TLS_NAME_SIZE];
    const struct peers_callbacks *callbacks;
    void *context;
    bool running, refused;
    uint32_t queued_count;             /* messages from it */
    struct endpoint *up[ENDPOINT_MAX]; /* by place: the endpoint that it is linked to, or NULL */
    void (*closed)(void *context);
    void *closed_context;
    uint32_t place;
};

struct message {
    TAILQ_ENTRY(message) link;
    struct endpoint *from, *to; /* to NULL: no link */
    enum peers_message type;
    uint8_t *bytes;
    size_t size;
    peers_sent_callback sent;
    void *sent_context;
};

struct mesh {
    uv_loop_t *loop;
    uv_idle_t idle;
    uv_timer_t timer;
    uint32_t handles_open;
    struct endpoint *endpoints[ENDPOINT_MAX];
    uint32_t count;
    TAILQ_HEAD(message_list, message) queue;
    struct {
        uint64_t a, b;
    } cuts[ENDPOINT_MAX];
    uint32_t cut_count;
    bool (*filter)(void *, uint64_t, uint64_t, enum peers_message, const uint8_t *, size_t);
    void *filter_context;
};

static struct endpoint *of_transport(struct replica_transport *transport) {
    return (struct endpoint *)(void *)transport;
}

static bool is_cut(const struct mesh *mesh, uint64_t a, uint64_t b) {
    for (uint32_t i = 0; i < mesh->cut_count; i++) {
        if ((mesh->cuts[i].a == a && mesh->cuts[i].b == b) ||
            (mesh->cuts[i].a == b && mesh->cuts[i].b == a)) {
            return true;
        }
    }
    return false;
}

static void fill_hello(struct endpoint *endpoint, struct peer_hello *hello) {
    memset(hello, 0, sizeof *hello);
    (void)TEXT_COPY(hello->cluster, endpoint->cluster);
    (void)TEXT_COPY(hello->node, endpoint->name);
    hello->numeric_id = endpoint->id;
    endpoint->callbacks->fill_hello(hello, endpoint->context);
}

/* Whether `to` lets `from` in. */
static bool ask(struct endpoint *from, struct endpoint *to, struct peer_hello *hello) {
    struct error reason = {0};
    fill_hello(from, hello);
    enum peers_refusal refusal = to->callbacks->check_hello(hello, &reason, to->context);
    if (refusal != PEERS_REFUSAL_NONE) {
        from->refused = true;
        from->callbacks->on_refused(to->id, refusal, reason.message, from->context);
    }
    return refusal == PEERS_REFUSAL_NONE;
}

static void break_link(struct endpoint *a, struct endpoint *b) {
    if (a->up[b->place] != NULL) {
        a->up[b->place] = NULL;
        b->up[a->place] = NULL;
        if (a->running) {
            a->callbacks->on_link(b->id, false, NULL, a->context);
        }
        if (b->running) {
            b->callbacks->on_link(a->id, false, NULL, b->context);
        }
    }
}

static void try_link(struct endpoint *a, struct endpoint *b) {
    struct peer_hello hello_a;
    struct peer_hello hello_b;
    if (a->up[b->place] != NULL || !a->running || !b->running || a->id == b->id ||
        is_cut(a->mesh, a->id, b->id) || a->refused || b->refused) {
        return;
    }
    if (ask(a, b, &hello_a) && ask(b, a, &hello_b)) {
        a->up[b->place] = b;
        b->up[a->place] = a;
        a->callbacks->on_link(b->id, true, &hello_b, a->context);
        b->callbacks->on_link(a->id, true, &hello_a, b->context);
    }
}

static void on_timer(uv_timer_t *timer) {
    struct mesh *mesh = timer->data;
    for (uint32_t i = 0; i < mesh->count; i++) {
        for (uint32_t j = 0; j < i; j++) {
            if (is_cut(mesh, mesh->endpoints[i]->id, mesh->endpoints[j]->id)) {
                break_link(mesh->endpoints[i], mesh->endpoints[j]);
            } else {
                try_link(mesh->endpoints[i], mesh->endpoints[j]);
            }
        }
    }
}

static void finish_message(struct message *message, enum error_code code) {
    message->from->queued_count--;
    if (message->sent != NULL) {
        message->sent(code, message->sent_context);
    }
    free(message->bytes);
    free(message);
}

static void deliver(struct mesh *mesh, struct message *message) {
    struct endpoint *to = message->to;
    bool linked = to != NULL && message->from->running && to->running &&
                  message->from->up[to->place] == to && !is_cut(mesh, message->from->id, to->id);
    if (linked &&
        (mesh->filter == NULL || mesh->filter(mesh->filter_context, message->from->id, to->id,
                                              message->type, message->bytes, message->size))) {
        to->callbacks->on_message(message->from->id, message->type, message->bytes, message->size,
                                  to->context);
    }
    finish_message(message, linked ? ERROR_OK : ERROR_UNAVAILABLE);
}

/* False when it was the last of those that were there when the turn began. */
static bool deliver_next(struct mesh *mesh, const struct message *last) {
    struct message *message = TAILQ_FIRST(&mesh->queue);
    if (message == NULL) {
        return false;
    }
    bool more = message != last; /* what is sent meanwhile waits for the next turn */
    /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): a message is freed after it left the queue */
    TAILQ_REMOVE(&mesh->queue, message, link);
    deliver(mesh, message);
    return more;
}

static void on_idle(uv_idle_t *idle) {
    struct mesh *mesh = idle->data;
    struct message *last = TAILQ_LAST(&mesh->queue, message_list);
    while (deliver_next(mesh, last)) {
    }
    for (uint32_t i = 0; i < mesh->count; i++) {
        struct endpoint *endpoint = mesh->endpoints[i];
        if (endpoint->closed != NULL && endpoint->queued_count == 0) {
            void (*closed)(void *) = endpoint->closed;
            endpoint->closed = NULL;
            closed(endpoint->closed_context);
        }
    }
    bool closing = false;
    for (uint32_t i = 0; i < mesh->count; i++) {
        closing = closing || mesh->endpoints[i]->closed != NULL;
    }
    if (TAILQ_EMPTY(&mesh->queue) && !closing) {
        uv_idle_stop(idle);
    }
}

static enum error_code endpoint_start(struct replica_transport *transport,
                                      const struct peers_callbacks *callbacks, void *context,
                                      struct error *error) {
    struct endpoint *endpoint = of_transport(transport);
    (void)error;
    endpoint->callbacks = callbacks;
    endpoint->context = context;
    endpoint->running = true;
    return ERROR_OK;
}

static void endpoint_send(struct replica_transport *transport, uint64_t peer,
                          enum peers_message type, const uv_buf_t *buffers, size_t buffer_count,
                          peers_sent_callback sent, void *context) {
    struct endpoint *endpoint = of_transport(transport);
    struct mesh *mesh = endpoint->mesh;
    struct message *message = calloc(1, sizeof *message);
    message->from = endpoint;
    endpoint->queued_count++;
    message->type = type;
    message->sent = sent;
    message->sent_context = context;
    for (uint32_t i = 0; i < mesh->count; i++) {
        if (mesh->endpoints[i]->id == peer && endpoint->up[i] != NULL) {
            message->to = mesh->endpoints[i];
        }
    }
    for (size_t i = 0; i < buffer_count; i++) {
        message->size += buffers[i].len;
    }
    message->bytes = malloc(message->size + 1);
    size_t at = 0;
    for (size_t i = 0; i < buffer_count; i++) {
        memcpy(message->bytes + at, buffers[i].base, buffers[i].len);
        at += buffers[i].len;
    }
    TAILQ_INSERT_TAIL(&mesh->queue, message, link);
    uv_idle_start(&mesh->idle, on_idle);
}

static bool endpoint_link_is_up(struct replica_transport *transport, uint64_t peer) {
    struct endpoint *endpoint = of_transport(transport);
    for (uint32_t i = 0; i < ENDPOINT_MAX; i++) {
        if (endpoint->up[i] != NULL && endpoint->up[i]->id == peer) {
            return true;
        }
    }
    return false;
}

static uint64_t endpoint_round_trip_us(struct replica_transport *transport, uint64_t peer) {
    (void)transport;
    (void)peer;
    return 1; /* the loop's next turn */
}

static void endpoint_close(struct replica_transport *transport, void (*closed)(void *context),
                           void *context) {
    struct endpoint *endpoint = of_transport(transport);
    endpoint->running = false;
    endpoint->closed = closed;
    endpoint->closed_context = context;
    for (uint32_t i = 0; i < endpoint->mesh->count; i++) {
        if (endpoint->up[i] != NULL) {
            break_link(endpoint, endpoint->up[i]);
        }
    }
    uv_idle_start(&endpoint->mesh->idle, on_idle);
}

struct replica_transport *mesh_endpoint(struct mesh *mesh, uint64_t id, const char *name,
                                        const char *cluster) {
    assert(mesh->count < ENDPOINT_MAX);
    struct endpoint *endpoint = calloc(1, sizeof *endpoint);
    endpoint->transport = (struct replica_transport){
        .start = endpoint_start,
        .send = endpoint_send,
        .link_is_up = endpoint_link_is_up,
        .round_trip_us = endpoint_round_trip_us,
        .close = endpoint_close,
    };
    endpoint->mesh = mesh;
    endpoint->id = id;
    (void)TEXT_COPY(endpoint->name, name);
    (void)TEXT_COPY(endpoint->cluster, cluster);
    endpoint->place = mesh->count;
    mesh->endpoints[mesh->count++] = endpoint;
    return &endpoint->transport;
}

void mesh_cut(struct mesh *mesh, uint64_t a, uint64_t b, bool cut) {
    for (uint32_t i = 0; i < mesh->cut_count; i++) {
        if ((mesh->cuts[i].a == a && mesh->cuts[i].b == b) ||
            (mesh->cuts[i].a == b && mesh->cuts[i].b == a)) {
            mesh->cuts[i] = mesh->cuts[--mesh->cut_count];
            break;
        }
    }
    if (cut) {
        assert(mesh->cut_count < ENDPOINT_MAX);
        mesh->cuts[mesh->cut_count].a = a;
        mesh->cuts[mesh->cut_count++].b = b;
    }
}

void mesh_set_filter(struct mesh *mesh,
                     bool (*filter)(void *context, uint64_t from, uint64_t to,
                                    enum peers_message type, const uint8_t *bytes, size_t size),
                     void *context) {
    mesh->filter = filter;
    mesh->filter_context = context;
}

struct mesh *mesh_create(uv_loop_t *loop) {
    struct mesh *mesh = calloc(1, sizeof *mesh);
    mesh->loop = loop;
    TAILQ_INIT(&mesh->queue);
    uv_idle_init(loop, &mesh->idle);
    uv_timer_init(loop, &mesh->timer);
    mesh->idle.data = mesh;
    mesh->timer.data = mesh;
    mesh->handles_open = 2;
    uv_timer_start(&mesh->timer, on_timer, 0, CONNECT_INTERVAL_MS);
    return mesh;
}

static void on_handle_closed(uv_handle_t *handle) {
    struct mesh *mesh = handle->data;
    if (--mesh->handles_open == 0) {
        struct message *message;
        while ((message = TAILQ_FIRST(&mesh->queue)) != NULL) {
            TAILQ_REMOVE(&mesh->queue, message, link);
            free(message->bytes);
            free(message);
        }
        for (uint32_t i = 0; i < mesh->count; i++) {
            free(mesh->endpoints[i]);
        }
        free(mesh);
    }
}

void mesh_destroy(struct mesh *mesh) {
    uv_close((uv_handle_t *)&mesh->idle, on_handle_closed);
    uv_close((uv_handle_t *)&mesh->timer, on_handle_closed);
}
