#include "transport.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "replica/transport.h"
#include "replica_private.h"
#include "world.h"

#define CONNECT_EVERY_US (200 * SIM_MS)
#define CONNECT_WITHIN_US (3 * SIM_SECOND)
#define CLOSE_US (1 * SIM_MS) /* until the other end hears that it was closed */

/* Towards one other node. */
struct end {
    bool up;
    uint64_t session;       /* a new one with each connection; the same at both ends */
    uint64_t arrival_us;    /* of the last message sent: the next comes no earlier */
    uint64_t connecting_us; /* until then an attempt is under way */
};

struct sim_transport {
    struct replica_transport replica; /* first */
    struct sim_node *node;
    const struct peers_callbacks *callbacks;
    void *context;
    bool started, closing;
    struct end ends[SIM_NODE_MAX];
    uint32_t unsent; /* callbacks that are due */
    void (*closed)(void *context);
    void *closed_context;
};

struct message {
    struct sim_node *from, *to;
    uint64_t session, to_life;
    enum peers_message type;
    size_t size_bytes;
    uint8_t bytes[];
};

struct sending {
    struct sim_transport *transport;
    peers_sent_callback sent;
    void *context;
    enum error_code code;
};

static uint64_t session_count;

static struct sim_node *find(struct sim *sim, uint64_t id) {
    for (uint32_t i = 0; i < world_node_count(sim); i++) {
        if (world_node(sim, i)->id == id) {
            return world_node(sim, i);
        }
    }
    return NULL;
}

static bool is_listening(const struct sim_node *node) {
    return node->alive && node->transport != NULL && node->transport->started &&
           !node->transport->closing;
}

/* --- down --- */

struct ending {
    struct sim_transport *transport;
    uint32_t peer;
    uint64_t session;
};

static void end_one(struct sim_node *node, uint32_t peer, uint64_t after_us);

/* The end of a connection comes to the other node, too, unless the network loses it. */
static void tell_other(struct sim_node *node, struct sim_node *other, uint64_t session) {
    if (is_listening(other) && other->transport->ends[node->place].session == session &&
        !world_is_cut(node->sim, node, other)) {
        end_one(other, node->place, CLOSE_US);
    }
}

static void on_down(void *context) {
    struct ending *ending = context;
    struct sim_transport *transport = ending->transport;
    struct sim_node *node = transport->node;
    struct sim_node *other = world_node(node->sim, ending->peer);
    struct end *end = &transport->ends[ending->peer];
    if (end->up && end->session == ending->session && !transport->closing) {
        end->up = false;
        tell_other(node, other, ending->session);
        transport->callbacks->on_link(other->id, false, NULL, transport->context);
    }
    free(ending);
}

static void end_one(struct sim_node *node, uint32_t peer, uint64_t after_us) {
    struct sim_transport *transport = node->transport;
    if (!is_listening(node) || !transport->ends[peer].up) {
        return;
    }
    struct ending *ending = malloc(sizeof *ending);
    if (ending == NULL) {
        abort();
    }
    *ending = (struct ending){transport, peer, transport->ends[peer].session};
    sim_at_node(node, sim_now(node->sim) + after_us, on_down, ending, true);
}

void transport_on_death(struct sim_node *node) {
    for (uint32_t i = 0; i < world_node_count(node->sim); i++) {
        struct sim_node *other = world_node(node->sim, i);
        if (other != node) { /* the kernel closes the sockets */
            end_one(other, node->place, world_delay_us(node->sim, node, other));
        }
    }
}

void transport_forget(struct sim_node *node) {
    free(node->transport);
    node->transport = NULL;
}

void transport_break(struct sim_node *a, struct sim_node *b) {
    struct chance *chance = sim_chance(a->sim);
    end_one(a, b->place, chance_between(chance, 1, 5000) * SIM_MS);
    end_one(b, a->place, chance_between(chance, 1, 5000) * SIM_MS);
}

bool transport_is_up(const struct sim_node *a, const struct sim_node *b) {
    return is_listening(a) && a->transport->ends[b->place].up;
}

/* --- up: a hello each way, each looked at by the other node's own rules --- */

struct meeting {
    struct sim_node *from, *to;
    uint64_t from_life, to_life, session;
    struct peer_hello from_hello, to_hello;
    char reason[PEERS_REASON_SIZE];
    enum peers_refusal refusal;
};

static void fill_hello(struct sim_transport *transport, struct peer_hello *hello) {
    memset(hello, 0, sizeof *hello);
    (void)TEXT_COPY(hello->cluster, WORLD_CLUSTER);
    (void)TEXT_COPY(hello->node, transport->node->name);
    hello->numeric_id = transport->node->id;
    transport->callbacks->fill_hello(hello, transport->context);
}

static void end_meeting(struct meeting *meeting) {
    if (is_listening(meeting->from) && meeting->from->life == meeting->from_life) {
        meeting->from->transport->ends[meeting->to->place].connecting_us = 0;
    }
    free(meeting);
}

/* To the other one, in the life that it was met in, if the network lets it through. */
static bool pass(struct meeting *meeting, struct sim_node *from, struct sim_node *to,
                 uint64_t to_life, sim_function function) {
    struct end *end = &from->transport->ends[to->place];
    bool open = is_listening(to) && to->life == to_life && !world_is_cut(from->sim, from, to);
    if (!open) {
        end_meeting(meeting);
        return false;
    }
    uint64_t at_us = sim_now(from->sim) + world_delay_us(from->sim, from, to);
    end->arrival_us = at_us > end->arrival_us ? at_us : end->arrival_us;
    sim_at_node(to, end->arrival_us, function, meeting, true);
    return true;
}

static void on_refused(void *context) {
    struct meeting *meeting = context;
    struct sim_node *node = sim_current();
    struct sim_node *other = node == meeting->from ? meeting->to : meeting->from;
    enum peers_refusal refusal = meeting->refusal;
    char reason[PEERS_REASON_SIZE];
    (void)TEXT_COPY(reason, meeting->reason);
    end_meeting(meeting);
    if (is_listening(node)) {
        node->transport->callbacks->on_refused(other->id, refusal, reason,
                                               node->transport->context);
    }
}

static bool look_at(struct meeting *meeting, struct sim_node *self, struct sim_node *other,
                    uint64_t other_life, const struct peer_hello *hello) {
    struct error reason = {0};
    meeting->refusal =
        self->transport->callbacks->check_hello(hello, &reason, self->transport->context);
    if (meeting->refusal == PEERS_REFUSAL_NONE) {
        return true;
    }
    (void)snprintf(meeting->reason, sizeof meeting->reason, "%.200s", reason.message);
    sim_say(self->sim, self->name, "refuses %s: %s", other->name, meeting->reason);
    (void)pass(meeting, self, other, other_life, on_refused);
    return false;
}

static void come_up(struct sim_node *self, const struct sim_node *other, uint64_t session,
                    const struct peer_hello *hello) {
    struct end *end = &self->transport->ends[other->place];
    if (end->up) { /* they alternate */
        end->up = false;
        self->transport->callbacks->on_link(other->id, false, NULL, self->transport->context);
    }
    end->up = true;
    end->session = session;
    sim_say(self->sim, self->name, "is linked to %s", other->name);
    self->transport->callbacks->on_link(other->id, true, hello, self->transport->context);
}

static void on_confirmed(void *context) {
    struct meeting *meeting = context;
    if (is_listening(meeting->to)) {
        come_up(meeting->to, meeting->from, meeting->session, &meeting->from_hello);
    }
    end_meeting(meeting);
}

static void on_answered(void *context) {
    struct meeting *meeting = context;
    struct sim_node *self = meeting->from;
    if (!is_listening(self)) {
        end_meeting(meeting);
        return;
    }
    if (!look_at(meeting, self, meeting->to, meeting->to_life, &meeting->to_hello)) {
        return;
    }
    uint64_t session = meeting->session;
    struct sim_node *to = meeting->to;
    struct peer_hello hello = meeting->to_hello;
    if (pass(meeting, self, to, meeting->to_life, on_confirmed)) {
        come_up(self, to, session, &hello);
    }
}

static void on_met(void *context) {
    struct meeting *meeting = context;
    struct sim_node *self = meeting->to;
    if (!is_listening(self)) {
        end_meeting(meeting);
        return;
    }
    if (!look_at(meeting, self, meeting->from, meeting->from_life, &meeting->from_hello)) {
        return;
    }
    fill_hello(self->transport, &meeting->to_hello);
    (void)pass(meeting, self, meeting->from, meeting->from_life, on_answered);
}

static void on_connect(void *context);

static void connect_again(struct sim_transport *transport) {
    struct sim_node *node = transport->node;
    sim_at_node(node, sim_now(node->sim) + CONNECT_EVERY_US, on_connect, transport, false);
}

/* The one with the lower place dials. */
static void on_connect(void *context) {
    struct sim_transport *transport = context;
    struct sim_node *node = transport->node;
    if (transport->closing) {
        return;
    }
    for (uint32_t i = node->place + 1; i < world_node_count(node->sim); i++) {
        struct sim_node *other = world_node(node->sim, i);
        struct end *end = &transport->ends[i];
        if (end->up || end->connecting_us > sim_now(node->sim) || !is_listening(other) ||
            world_is_cut(node->sim, node, other) || world_is_cut(node->sim, other, node)) {
            continue;
        }
        struct meeting *meeting = calloc(1, sizeof *meeting);
        if (meeting == NULL) {
            abort();
        }
        *meeting = (struct meeting){.from = node,
                                    .to = other,
                                    .from_life = node->life,
                                    .to_life = other->life,
                                    .session = ++session_count};
        fill_hello(transport, &meeting->from_hello);
        end->connecting_us = sim_now(node->sim) + CONNECT_WITHIN_US;
        (void)pass(meeting, node, other, other->life, on_met);
    }
    connect_again(transport);
}

/* --- messages --- */

static void on_message(void *context) {
    struct message *message = context;
    struct sim_node *node = message->to;
    struct end *end = &node->transport->ends[message->from->place];
    if (is_listening(node) && end->up && end->session == message->session) {
        if (message->type == PEERS_MESSAGE_RAFT) {
            judge_heard(node, message->from, message->bytes, message->size_bytes);
        }
        node->transport->callbacks->on_message(message->from->id, message->type, message->bytes,
                                               message->size_bytes, node->transport->context);
    }
    free(message);
}

static void on_sent(void *context) {
    struct sending *sending = context;
    struct sim_transport *transport = sending->transport;
    transport->unsent--;
    if (sending->sent != NULL) {
        sending->sent(sending->code, sending->context);
    }
    free(sending);
    if (transport->closing && transport->unsent == 0 && transport->closed != NULL) {
        void (*closed)(void *) = transport->closed;
        transport->closed = NULL;
        closed(transport->closed_context);
    }
}

static void transport_send(struct replica_transport *replica, uint64_t peer,
                           enum peers_message type, const uv_buf_t *buffers, size_t count,
                           peers_sent_callback sent, void *context) {
    struct sim_transport *transport = (struct sim_transport *)replica;
    struct sim_node *node = transport->node;
    struct sim_node *other = find(node->sim, peer);
    sim_crash_point();
    struct end *end = other == NULL ? NULL : &transport->ends[other->place];
    bool up = end != NULL && end->up && !transport->closing;
    struct sending *sending = malloc(sizeof *sending);
    if (sending == NULL) {
        abort();
    }
    *sending = (struct sending){transport, sent, context, up ? ERROR_OK : ERROR_UNAVAILABLE};
    transport->unsent++;
    sim_at_node(node, sim_now(node->sim) + 20, on_sent, sending, true);
    if (!up || world_loses_message(node->sim, node, other)) {
        return;
    }
    size_t size_bytes = 0;
    for (size_t i = 0; i < count; i++) {
        size_bytes += buffers[i].len;
    }
    struct message *message = malloc(sizeof *message + size_bytes);
    if (message == NULL) {
        abort();
    }
    *message = (struct message){node, other, end->session, other->life, type, size_bytes};
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        memcpy(message->bytes + at, buffers[i].base, buffers[i].len);
        at += buffers[i].len;
    }
    if (type == PEERS_MESSAGE_RAFT) {
        judge_said(node, other, message->bytes, size_bytes);
    }
    uint64_t at_us = sim_now(node->sim) + world_delay_us(node->sim, node, other);
    end->arrival_us = at_us > end->arrival_us ? at_us : end->arrival_us;
    sim_at_node(other, end->arrival_us, on_message, message, true);
    sim_crash_point();
}

static enum error_code transport_start(struct replica_transport *replica,
                                       const struct peers_callbacks *callbacks, void *context,
                                       struct error *error) {
    struct sim_transport *transport = (struct sim_transport *)replica;
    (void)error;
    transport->callbacks = callbacks;
    transport->context = context;
    transport->started = true;
    connect_again(transport);
    return ERROR_OK;
}

static bool transport_link_is_up(struct replica_transport *replica, uint64_t peer) {
    struct sim_transport *transport = (struct sim_transport *)replica;
    const struct sim_node *other = find(transport->node->sim, peer);
    return other != NULL && transport->ends[other->place].up;
}

static uint64_t transport_round_trip_us(struct replica_transport *replica, uint64_t peer) {
    (void)replica;
    (void)peer;
    return 2000;
}

static void on_closed_without_messages(void *context) {
    struct sim_transport *transport = context;
    if (transport->unsent == 0 && transport->closed != NULL) {
        void (*closed)(void *) = transport->closed;
        transport->closed = NULL;
        closed(transport->closed_context);
    }
}

static void transport_close(struct replica_transport *replica, void (*closed)(void *context),
                            void *context) {
    struct sim_transport *transport = (struct sim_transport *)replica;
    transport->closing = true;
    transport->closed = closed;
    transport->closed_context = context;
    transport_on_death(transport->node);
    sim_at_node(transport->node, sim_now(transport->node->sim), on_closed_without_messages,
                transport, false);
}

enum error_code links_create(const struct replica_options *options, uint64_t id,
                             struct replica_transport **ret_transport, struct error *error) {
    struct sim_node *node = sim_current();
    struct sim_transport *transport = calloc(1, sizeof *transport);
    (void)options;
    (void)id;
    (void)error;
    assert(node != NULL && transport != NULL);
    transport->replica = (struct replica_transport){
        .start = transport_start,
        .send = transport_send,
        .link_is_up = transport_link_is_up,
        .round_trip_us = transport_round_trip_us,
        .close = transport_close,
    };
    transport->node = node;
    node->transport = transport;
    *ret_transport = &transport->replica;
    return ERROR_OK;
}

void links_destroy(struct replica_transport *transport) {
    (void)transport; /* transport_forget */
}
