/* One connection between two nodes, from the TLS handshake on:
 *
 *     dialler                     acceptor
 *     HELLO            ->         checks it
 *     checks it        <-         HELLO_OK           (or REFUSED, and the end)
 *     READY, link up   ->         link up            (or REFUSED, and the end)
 *
 * In TLS 1.3 the dialler's handshake is done before the acceptor has looked at its certificate, so
 * only HELLO_OK tells it that it was let in. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "hello.h"
#include "peers_private.h"

enum { HELLO_MAX_BYTES = 512 };

enum connection_state {
    CONNECTION_TLS,        /* the dialler's TCP and TLS */
    CONNECTION_WAIT_OK,    /* dialler: HELLO sent */
    CONNECTION_WAIT_HELLO, /* acceptor */
    CONNECTION_WAIT_READY, /* acceptor: HELLO_OK sent */
    CONNECTION_UP,
    CONNECTION_ENDED
};

#define TYPES_UP                                                                                   \
    (FRAME_SET(FRAME_PING) | FRAME_SET(FRAME_PONG) | FRAME_SET(FRAME_RAFT) |                       \
     FRAME_SET(FRAME_SNAPSHOT) | FRAME_SET(FRAME_REPORT) | FRAME_SET(FRAME_NOTE) |                 \
     FRAME_SET(FRAME_LEASE))

struct waiting_report {
    bool present;
    struct buffer payload;
    peers_sent_callback sent;
    void *context;
};

struct connection {
    struct peers *peers;
    struct connection *previous, *next;
    struct link *link; /* NULL: accepted, HELLO not checked yet */
    enum connection_state state;
    struct tls_stream *stream;
    bool stream_closed, timer_closed;
    bool refused;     /* by either side */
    uv_timer_t timer; /* HELLO's deadline, then the heartbeat */
    uint64_t ticked_ms, received_ms;
    uint64_t ping_sent_ns;
    uint64_t ping_number;
    struct frame_parser parser;
    struct peer_hello hello;
    struct waiting_report report;
};

struct send {
    struct connection *connection;
    peers_sent_callback sent;
    void *context;
};

static void flush_report(struct connection *connection);

/* --- ending --- */

static void free_when_closed(struct connection *connection) {
    struct peers *peers = connection->peers;
    if (!connection->stream_closed || !connection->timer_closed) {
        return;
    }
    *(connection->previous != NULL ? &connection->previous->next : &peers->connections) =
        connection->next;
    if (connection->next != NULL) {
        connection->next->previous = connection->previous;
    }
    frame_parser_finish(&connection->parser);
    buffer_finish(&connection->report.payload);
    free(connection);
    peers->open_parts--;
}

static void on_timer_closed(uv_handle_t *handle) {
    struct connection *connection = handle->data;
    connection->timer_closed = true;
    free_when_closed(connection);
}

static void end(struct connection *connection, const struct error *error, bool politely) {
    struct peers *peers = connection->peers;
    struct link *link = connection->link;
    if (connection->state == CONNECTION_ENDED) {
        return;
    }
    connection->state = CONNECTION_ENDED;
    uv_close((uv_handle_t *)&connection->timer, on_timer_closed);
    if (!connection->stream_closed) {
        (politely ? tls_stream_finish : tls_stream_close)(connection->stream);
    }
    if (connection->report.present) {
        connection->report.present = false;
        peers_complete_later(peers, peers->closing ? ERROR_CANCELLED : ERROR_UNAVAILABLE,
                             connection->report.sent, connection->report.context);
    }
    if (link == NULL) {
        return;
    }
    if (link->up == connection) {
        link->up = NULL;
        link_on_down(link, error);
    } else if (link->dialing == connection) {
        link->dialing = NULL;
        link_on_attempt_failed(link, error, connection->refused);
    } else if (link->up == NULL) {
        TEXT_COPY(link->seen.last_error, error->message);
    }
}

bool connection_ended(const struct connection *connection) {
    return connection->state == CONNECTION_ENDED;
}

void connection_end(struct connection *connection, enum error_code code, const char *message) {
    struct error error;
    error_set(&error, code, "%s", message);
    end(connection, &error, false);
}

void connection_end_all(struct peers *peers) {
    for (struct connection *at = peers->connections; at != NULL; at = at->next) {
        connection_end(at, ERROR_CANCELLED, "closing");
        if (!at->stream_closed) {
            tls_stream_close(at->stream); /* also one that lingers over its last words */
        }
    }
}

/* --- sending --- */

static void on_sent(enum error_code code, void *context) {
    struct send *send = context;
    struct connection *connection = send->connection;
    if (code != ERROR_OK) {
        code = connection->peers->closing ? ERROR_CANCELLED : ERROR_UNAVAILABLE;
    }
    if (send->sent != NULL) {
        send->sent(code, send->context);
    }
    free(send);
    flush_report(connection);
}

/* ERROR_OK: `sent` will be called. Else nothing was sent. */
static enum error_code write_frame(struct connection *connection, enum frame_type type,
                                   const uv_buf_t *buffers, size_t buffer_count, size_t size_bytes,
                                   peers_sent_callback sent, void *context) {
    enum { FEW = 16 };
    uv_buf_t few[FEW];
    uint8_t header[FRAME_HEADER_BYTES];
    uv_buf_t *all = few;
    if (buffer_count >= FEW) {
        all = malloc((buffer_count + 1) * sizeof *all);
        if (all == NULL) {
            return ERROR_NO_MEMORY;
        }
    }
    frame_encode_header(type, size_bytes, header);
    all[0] = uv_buf_init((char *)header, sizeof header);
    for (size_t i = 0; i < buffer_count; i++) {
        all[i + 1] = buffers[i];
    }
    struct send *send = peers_allocate(sizeof *send);
    *send = (struct send){connection, sent, context};
    enum error_code code =
        tls_stream_write(connection->stream, all, buffer_count + 1, on_sent, send);
    if (code != ERROR_OK) {
        free(send);
    }
    if (all != few) {
        free(all);
    }
    return code;
}

static void write_control(struct connection *connection, enum frame_type type, const void *payload,
                          size_t size_bytes) {
    uv_buf_t buffer = uv_buf_init((char *)payload, (unsigned)size_bytes);
    /* Refused only while too much output waits, which the other side counts as life, too. */
    (void)write_frame(connection, type, &buffer, size_bytes > 0, size_bytes, NULL, NULL);
}

static void flush_report(struct connection *connection) {
    struct waiting_report *report = &connection->report;
    if (!report->present || connection->state != CONNECTION_UP ||
        tls_stream_buffered_bytes(connection->stream) > REPORT_ROOM_BYTES) {
        return;
    }
    report->present = false;
    uv_buf_t buffer = uv_buf_init(report->payload.data, (unsigned)report->payload.size_bytes);
    enum error_code code = write_frame(connection, FRAME_REPORT, &buffer, 1, buffer.len,
                                       report->sent, report->context);
    if (code != ERROR_OK) {
        peers_complete_later(connection->peers, code, report->sent, report->context);
    }
}

static void keep_report(struct connection *connection, const uv_buf_t *buffers, size_t buffer_count,
                        peers_sent_callback sent, void *context) {
    struct waiting_report *report = &connection->report;
    if (report->present) {
        peers_complete_later(connection->peers, ERROR_CANCELLED, report->sent, report->context);
    }
    report->present = false;
    buffer_clear(&report->payload);
    for (size_t i = 0; i < buffer_count; i++) {
        buffer_append(&report->payload, buffers[i].base, buffers[i].len);
    }
    if (report->payload.failed) {
        peers_complete_later(connection->peers, ERROR_NO_MEMORY, sent, context);
        return;
    }
    report->present = true;
    report->sent = sent;
    report->context = context;
}

void connection_send(struct connection *connection, enum peers_message type,
                     const uv_buf_t *buffers, size_t buffer_count, size_t size_bytes,
                     peers_sent_callback sent, void *context) {
    assert(connection->state == CONNECTION_UP);
    if (type == PEERS_MESSAGE_REPORT &&
        tls_stream_buffered_bytes(connection->stream) > REPORT_ROOM_BYTES) {
        keep_report(connection, buffers, buffer_count, sent, context);
        return;
    }
    enum error_code code = write_frame(connection, (enum frame_type)type, buffers, buffer_count,
                                       size_bytes, sent, context);
    if (code != ERROR_OK) {
        peers_complete_later(connection->peers, code, sent, context);
    }
}

size_t connection_buffered_bytes(const struct connection *connection) {
    return tls_stream_buffered_bytes(connection->stream);
}

const struct peer_hello *connection_hello(const struct connection *connection) {
    return &connection->hello;
}

const struct tls_stream *connection_stream(const struct connection *connection) {
    return connection->stream;
}

/* --- HELLO --- */

static void send_hello(struct connection *connection, enum frame_type type) {
    struct peers *peers = connection->peers;
    struct peer_hello hello = {.numeric_id = peers->numeric_id};
    struct buffer bytes;
    TEXT_COPY(hello.cluster, peers->cluster);
    TEXT_COPY(hello.node, peers->id);
    if (peers->callbacks.fill_hello != NULL) {
        peers->callbacks.fill_hello(&hello, peers->context);
    }
    buffer_init(&bytes, HELLO_MAX_BYTES);
    hello_encode(&hello, &bytes);
    assert(!bytes.failed || bytes.out_of_memory);
    if (bytes.failed) {
        connection_end(connection, ERROR_NO_MEMORY, "no memory for a hello");
    } else {
        write_control(connection, type, bytes.data, bytes.size_bytes);
    }
    buffer_finish(&bytes);
}

static void refuse(struct connection *connection, enum peers_refusal code,
                   const struct error *why) {
    struct peers *peers = connection->peers;
    struct refusal refusal = {.code = code};
    struct buffer bytes;
    const struct tls_peer *peer = tls_stream_peer(connection->stream);
    struct link *link = connection->link;
    uint64_t held_back = 0;
    memcpy(refusal.reason, why->message, sizeof refusal.reason);
    struct log_limit *limit = link != NULL ? &link->refusal_log : &peers->rejected_log;
    if (log_limit_allows(limit, peers_now_ms(peers), why->message, &held_back)) {
        LOG_EVENT(PEER_REFUSED, LOG_TEXT("peer", peer->name),
                  LOG_TEXT("address", tls_stream_address(connection->stream)),
                  LOG_TEXT("refusal", peers_refusal_text(code)), LOG_TEXT("why", why->message),
                  LOG_U64("held_back", held_back));
    }
    buffer_init(&bytes, FRAME_CONTROL_MAX_BYTES);
    refusal_encode(&refusal, &bytes);
    if (!bytes.failed) {
        write_control(connection, FRAME_REFUSED, bytes.data, bytes.size_bytes);
    }
    buffer_finish(&bytes);
    connection->refused = true;
    end(connection, why, true);
}

/* The checks that need no knowledge of the log or the disk. */
static enum peers_refusal check_names(struct connection *connection, const struct peer_hello *hello,
                                      struct link **ret_link, struct error *why) {
    struct peers *peers = connection->peers;
    const struct tls_peer *peer = tls_stream_peer(connection->stream);
    if (!text_equal(peer->name, hello->node)) {
        error_set(why, ERROR_DENIED, "certificate of node '%s', but it says it is '%s'", peer->name,
                  hello->node);
        return PEERS_REFUSAL_CERTIFICATE;
    }
    if (!text_equal(hello->cluster, peers->cluster)) {
        error_set(why, ERROR_DENIED, "node of cluster '%s', this is '%s'", hello->cluster,
                  peers->cluster);
        return PEERS_REFUSAL_CLUSTER;
    }
    if (text_equal(hello->node, peers->id) || hello->numeric_id == peers->numeric_id) {
        error_set(why, ERROR_DENIED, "node '%s' has the id of this node, '%s'", hello->node,
                  peers->id);
        return PEERS_REFUSAL_SELF;
    }
    struct link *link = peers_find_name(peers, hello->node);
    if (link != NULL && link->numeric_id != hello->numeric_id) {
        error_set(why, ERROR_DENIED,
                  "node '%s' has another numeric id at '%s': configurations differ", hello->node,
                  peers->id);
        return PEERS_REFUSAL_UNKNOWN_NODE;
    }
    if (link == NULL) {
        error_set(why, ERROR_DENIED, "node '%s' is not among the peers configured at '%s'",
                  hello->node, peers->id);
        return PEERS_REFUSAL_UNKNOWN_NODE;
    }
    *ret_link = link;
    return PEERS_REFUSAL_NONE;
}

/* False: refused, and ending. */
static bool check_hello(struct connection *connection, const uint8_t *payload, size_t size_bytes) {
    struct peers *peers = connection->peers;
    struct error why = {.code = ERROR_OK};
    struct link *link = NULL;
    if (hello_decode(payload, size_bytes, &connection->hello, &why) != ERROR_OK) {
        end(connection, &why, false);
        return false;
    }
    enum peers_refusal refusal = check_names(connection, &connection->hello, &link, &why);
    bool dialled = connection->link != NULL;
    if (refusal == PEERS_REFUSAL_NONE && link->dials != dialled) {
        error_set(&why, ERROR_PROTOCOL, "'%s' and '%s' disagree about who dials", peers->id,
                  link->id);
        refusal = PEERS_REFUSAL_OTHER;
    }
    if (refusal == PEERS_REFUSAL_NONE) {
        assert(!dialled || connection->link == link);
        connection->link = link;
        if (peers->callbacks.check_hello != NULL) {
            error_set(&why, ERROR_REFUSED, "refused by '%s'", peers->id);
            refusal = peers->callbacks.check_hello(&connection->hello, &why, peers->context);
        }
    }
    if (connection->state == CONNECTION_ENDED) {
        return false; /* the owner closed us in its callback */
    }
    if (refusal != PEERS_REFUSAL_NONE) {
        refuse(connection, refusal, &why);
        return false;
    }
    return true;
}

static void send_ping(struct connection *connection) {
    connection->ping_number++;
    connection->ping_sent_ns = uv_hrtime();
    write_control(connection, FRAME_PING, &connection->ping_number, sizeof connection->ping_number);
}

static void on_heartbeat(uv_timer_t *timer) {
    struct connection *connection = timer->data;
    uint64_t now_ms = peers_now_ms(connection->peers);
    if (now_ms - connection->ticked_ms > 2 * (uint64_t)PEERS_PING_INTERVAL_MS) {
        /* It is this process that stood still; what came meanwhile isn't read yet. */
        connection->received_ms = now_ms;
    }
    connection->ticked_ms = now_ms;
    if (now_ms - connection->received_ms > PEERS_SILENCE_MAX_MS) {
        connection_end(connection, ERROR_TIMEOUT, "silent for 5 s");
        return;
    }
    flush_report(connection);
    send_ping(connection);
}

static void become_up(struct connection *connection) {
    connection->state = CONNECTION_UP;
    frame_parser_set_types(&connection->parser, TYPES_UP);
    connection->ticked_ms = peers_now_ms(connection->peers);
    uv_timer_start(&connection->timer, on_heartbeat, PEERS_PING_INTERVAL_MS,
                   PEERS_PING_INTERVAL_MS);
    link_on_up(connection->link, connection);
    if (connection->state == CONNECTION_UP) {
        send_ping(connection); /* how far the peer is, is known from the start */
    }
}

static void on_refused_frame(struct connection *connection, const uint8_t *payload,
                             size_t size_bytes) {
    struct peers *peers = connection->peers;
    struct refusal refusal;
    struct error error;
    uint64_t held_back = 0;
    if (refusal_decode(payload, size_bytes, &refusal, &error) != ERROR_OK) {
        end(connection, &error, false);
        return;
    }
    struct link *link = connection->link;
    const char *id = tls_stream_peer(connection->stream)->name;
    struct log_limit *limit = link != NULL ? &link->refused_log : &peers->rejected_log;
    if (log_limit_allows(limit, peers_now_ms(peers), refusal.reason, &held_back)) {
        LOG_EVENT(PEER_REFUSES_US, LOG_TEXT("peer", id),
                  LOG_TEXT("address", tls_stream_address(connection->stream)),
                  LOG_TEXT("refusal", peers_refusal_text(refusal.code)),
                  LOG_TEXT("why", refusal.reason), LOG_U64("held_back", held_back));
    }
    connection->refused = true;
    error_set(&error, ERROR_REFUSED, "it refuses us: %s", refusal.reason);
    end(connection, &error, false);
    if (link != NULL && !peers->closing && peers->callbacks.on_refused != NULL) {
        peers->callbacks.on_refused(link->numeric_id, refusal.code, refusal.reason, peers->context);
    }
}

/* --- what comes --- */

static bool on_frame(enum frame_type type, const uint8_t *payload, size_t size_bytes,
                     void *context) {
    struct connection *connection = context;
    struct peers *peers = connection->peers;
    switch (type) {
    case FRAME_HELLO:
        if (check_hello(connection, payload, size_bytes)) {
            connection->state = CONNECTION_WAIT_READY;
            frame_parser_set_types(&connection->parser,
                                   FRAME_SET(FRAME_READY) | FRAME_SET(FRAME_REFUSED));
            send_hello(connection, FRAME_HELLO_OK);
        }
        break;
    case FRAME_HELLO_OK:
        if (check_hello(connection, payload, size_bytes)) {
            write_control(connection, FRAME_READY, NULL, 0);
            become_up(connection);
        }
        break;
    case FRAME_READY:
        become_up(connection);
        break;
    case FRAME_REFUSED:
        on_refused_frame(connection, payload, size_bytes);
        break;
    case FRAME_PING:
        write_control(connection, FRAME_PONG, payload, size_bytes);
        break;
    case FRAME_PONG:
        if (size_bytes == sizeof connection->ping_number &&
            memcmp(payload, &connection->ping_number, size_bytes) == 0) {
            connection->link->seen.round_trip_us = (uv_hrtime() - connection->ping_sent_ns) / 1000;
        }
        break;
    case FRAME_RAFT:
    case FRAME_SNAPSHOT:
    case FRAME_REPORT:
    case FRAME_NOTE:
    case FRAME_LEASE:
        peers->callbacks.on_message(connection->link->numeric_id, (enum peers_message)type, payload,
                                    size_bytes, peers->context);
        break;
    case FRAME_REQUEST:
    case FRAME_RESPONSE:
        assert(!"the parser lets no such frame through");
    }
    return connection->state != CONNECTION_ENDED;
}

static void on_data(struct tls_stream *stream, const void *bytes, size_t size_bytes,
                    void *context) {
    struct connection *connection = context;
    struct error error;
    (void)stream;
    if (connection->state == CONNECTION_ENDED) {
        return;
    }
    connection->received_ms = peers_now_ms(connection->peers);
    if (frame_parser_feed(&connection->parser, bytes, size_bytes, on_frame, connection, &error) !=
        ERROR_OK) {
        end(connection, &error, false);
    }
}

static void on_closed(struct tls_stream *stream, const struct error *error, void *context) {
    struct connection *connection = context;
    (void)stream;
    connection->stream_closed = true;
    end(connection, error, false);
    free_when_closed(connection);
}

static void on_hello_deadline(uv_timer_t *timer) {
    connection_end(timer->data, ERROR_TIMEOUT, "no HELLO within 3 s");
}

static void begin_hello(struct connection *connection, enum connection_state state,
                        uint64_t types) {
    connection->state = state;
    frame_parser_set_types(&connection->parser, types);
    uv_timer_start(&connection->timer, on_hello_deadline, PEERS_HELLO_DEADLINE_MS, 0);
}

static void on_ready(struct tls_stream *stream, const struct tls_peer *peer, void *context) {
    struct connection *connection = context;
    struct link *link = connection->link;
    struct error why;
    (void)stream;
    if (connection->state == CONNECTION_ENDED) {
        return;
    }
    if (peer->kind != TLS_KIND_NODE || !text_equal(peer->name, link->id)) {
        error_set(&why, ERROR_DENIED, "%s:%u answers with the certificate of %s '%s', not '%s'",
                  link->host, link->port, peer->kind == TLS_KIND_NODE ? "node" : "user", peer->name,
                  link->id);
        refuse(connection, PEERS_REFUSAL_CERTIFICATE, &why);
        return;
    }
    begin_hello(connection, CONNECTION_WAIT_OK,
                FRAME_SET(FRAME_HELLO_OK) | FRAME_SET(FRAME_REFUSED));
    send_hello(connection, FRAME_HELLO);
}

static const struct tls_stream_callbacks stream_callbacks = {on_ready, on_data, on_closed};

/* --- beginning --- */

/* NULL: no memory. */
static struct connection *connection_create(struct peers *peers, struct link *link) {
    struct connection *connection = calloc(1, sizeof *connection);
    if (connection == NULL) {
        return NULL;
    }
    *connection = (struct connection){.peers = peers, .link = link, .state = CONNECTION_TLS};
    frame_parser_init(&connection->parser, 0, peers->snapshot_max_bytes);
    buffer_init(&connection->report.payload, FRAME_REPORT_MAX_BYTES);
    int rv = uv_timer_init(peers->loop, &connection->timer);
    assert(rv == 0);
    (void)rv;
    connection->timer.data = connection;
    connection->next = peers->connections;
    if (connection->next != NULL) {
        connection->next->previous = connection;
    }
    peers->connections = connection;
    peers->open_parts++;
    return connection;
}

enum error_code connection_dial(struct link *link, const struct sockaddr *address,
                                struct error *error) {
    struct connection *connection = connection_create(link->peers, link);
    if (connection == NULL) {
        return error_set(error, ERROR_NO_MEMORY, "no memory for a connection");
    }
    enum error_code code = tls_stream_connect(link->peers->loop, link->peers->identity, address,
                                              PEERS_BUFFERED_MAX_BYTES, &stream_callbacks,
                                              connection, &connection->stream, error);
    if (code != ERROR_OK) {
        connection->stream_closed = true;
        connection->link = NULL; /* the caller tells the link */
        connection_end(connection, code, error->message);
        return code;
    }
    link->dialing = connection;
    return ERROR_OK;
}

void connection_accept(struct peers *peers, struct tls_stream *stream) {
    struct connection *connection = connection_create(peers, NULL);
    const struct tls_peer *peer = tls_stream_peer(stream);
    struct error why;
    if (connection == NULL) {
        tls_stream_close(stream); /* its node dials again */
        return;
    }
    connection->stream = stream;
    tls_stream_attach(stream, &stream_callbacks, connection);
    begin_hello(connection, CONNECTION_WAIT_HELLO, FRAME_SET(FRAME_HELLO));
    if (peer->kind != TLS_KIND_NODE) {
        error_set(&why, ERROR_DENIED, "user '%s' at the port for nodes", peer->name);
        refuse(connection, PEERS_REFUSAL_CERTIFICATE, &why);
    }
}

void connection_verify_all(struct peers *peers, struct tls_identity *identity) {
    struct error error;
    for (struct connection *at = peers->connections; at != NULL; at = at->next) {
        if (at->state != CONNECTION_ENDED && at->state != CONNECTION_TLS &&
            tls_stream_verify_again(at->stream, identity, &error) != ERROR_OK) {
            end(at, &error, false);
        }
    }
}
