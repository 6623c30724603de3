/* One peer: when to dial it, and whether its link is up. */
#include <assert.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "peers_private.h"

static void begin_attempt(struct link *link);

void link_init(struct link *link, struct peers *peers, const struct peers_peer *peer) {
    link->peers = peers;
    link->numeric_id = peer->numeric_id;
    link->port = peer->port;
    link->dials = peers->numeric_id < peer->numeric_id;
    link->backoff_ms = PEERS_BACKOFF_MIN_MS;
    bool fits = TEXT_COPY(link->id, peer->id) && TEXT_COPY(link->host, peer->host);
    assert(fits); /* peers_create has checked it */
    (void)fits;
    TEXT_COPY(link->seen.last_error, "not connected yet");
    int rv = uv_timer_init(peers->loop, &link->timer);
    assert(rv == 0);
    (void)rv;
    link->timer.data = link;
    peers->open_parts++;
}

static void on_timer(uv_timer_t *timer) {
    struct link *link = timer->data;
    struct error error;
    if (link->phase == DIAL_RESOLVING && link->address_count == 0) {
        error_set(&error, ERROR_TIMEOUT, "name %s: no answer of the resolver yet", link->host);
        link_on_attempt_failed(link, &error, false);
        return;
    }
    begin_attempt(link);
}

static void wait_before_dialling(struct link *link, bool long_wait) {
    struct peers *peers = link->peers;
    if (!link->dials || peers->closing || link->up != NULL || link->dialing != NULL) {
        return;
    }
    if (long_wait) {
        link->backoff_ms = PEERS_BACKOFF_MAX_MS;
    }
    uint64_t wait_ms = entropy_between(peers->entropy, link->backoff_ms / 2, link->backoff_ms);
    link->backoff_ms *= 2;
    if (link->backoff_ms > PEERS_BACKOFF_MAX_MS) {
        link->backoff_ms = PEERS_BACKOFF_MAX_MS;
    }
    link->phase = DIAL_BACKOFF;
    uv_timer_start(&link->timer, on_timer, wait_ms, 0);
}

void link_on_attempt_failed(struct link *link, const struct error *error, bool refused) {
    uint64_t held_back = 0;
    if (link->peers->closing) {
        return;
    }
    TEXT_COPY(link->seen.last_error, error->message);
    /* Refusals have lines of their own. */
    if (!refused &&
        log_limit_allows(&link->dial_log, peers_now_ms(link->peers), error->message, &held_back)) {
        LOG_EVENT(PEER_DIAL_FAILED, LOG_TEXT("peer", link->id), LOG_TEXT("host", link->host),
                  LOG_U64("port", link->port), LOG_TEXT("why", error->message),
                  LOG_U64("held_back", held_back));
    }
    wait_before_dialling(link, refused);
}

static void dial(struct link *link) {
    struct error error;
    assert(link->address_count > 0);
    const struct sockaddr_storage *address =
        &link->addresses[link->next_address++ % link->address_count];
    link->phase = DIAL_IDLE;
    uv_timer_stop(&link->timer);
    if (connection_dial(link, (const struct sockaddr *)address, &error) != ERROR_OK) {
        link_on_attempt_failed(link, &error, false);
    }
}

static void on_resolved(const struct resolver_answer *answer, void *context) {
    struct link *link = context;
    link->lookup_running = false;
    if (link->lookup_version == link->address_version && answer->error.code == ERROR_OK) {
        /* The list may come in any order: an attempt on each, in turn. */
        memcpy(link->addresses, answer->addresses, answer->count * sizeof link->addresses[0]);
        link->address_count = answer->count;
    }
    if (link->phase != DIAL_RESOLVING) {
        return;
    }
    if (link->address_count > 0) {
        /* Also after a failed lookup: the addresses that worked before are better than none. */
        dial(link);
    } else {
        uv_timer_stop(&link->timer);
        link_on_attempt_failed(link, &answer->error, false);
    }
}

static void begin_attempt(struct link *link) {
    struct error error;
    assert(link->up == NULL && link->dialing == NULL);
    if (link->phase == DIAL_RESOLVING) {
        dial(link); /* the resolver is silent; the last addresses known */
        return;
    }
    if (resolver_parse_numeric(link->host, link->port, &link->addresses[0])) {
        link->address_count = 1;
        dial(link);
        return;
    }
    if (!link->lookup_running) {
        link->lookup_version = link->address_version;
        if (resolver_lookup(link->peers->resolver, link->host, link->port, on_resolved, link,
                            &error) != ERROR_OK) {
            link_on_attempt_failed(link, &error, false);
            return;
        }
        link->lookup_running = true;
    }
    link->phase = DIAL_RESOLVING;
    uv_timer_start(&link->timer, on_timer, PEERS_RESOLVE_WAIT_MS, 0);
}

void link_start(struct link *link) {
    if (link->dials) {
        begin_attempt(link);
    }
}

void link_on_up(struct link *link, struct connection *connection) {
    struct peers *peers = link->peers;
    if (link->dialing == connection) {
        link->dialing = NULL;
    }
    if (link->up != NULL) {
        /* The peer has dialled anew, so for it the old connection is over. */
        connection_end(link->up, ERROR_UNAVAILABLE, "replaced by a new connection of the peer");
        if (peers->closing || connection_ended(connection)) {
            return; /* by the owner, when it heard that the old one is down */
        }
    }
    const struct tls_stream *stream = connection_stream(connection);
    assert(link->up == NULL && link->dialing == NULL);
    link->up = connection;
    link->phase = DIAL_IDLE;
    uv_timer_stop(&link->timer);
    link->seen.up = true;
    link->seen.changed_ms = peers_now_ms(peers);
    link->seen.round_trip_us = 0;
    link->seen.connect_count++;
    link->seen.hello = *connection_hello(connection);
    link->seen.not_after_ms = tls_stream_peer(stream)->not_after_ms;
    link->seen.last_error[0] = '\0';
    TEXT_COPY(link->seen.address, tls_stream_address(stream));
    memset(&link->dial_log, 0, sizeof link->dial_log);
    LOG_EVENT(PEER_LINK_UP, LOG_TEXT("peer", link->id), LOG_TEXT("address", link->seen.address),
              LOG_TEXT("version", link->seen.hello.version));
    if (peers->callbacks.on_link != NULL) {
        peers->callbacks.on_link(link->numeric_id, true, &link->seen.hello, peers->context);
    }
}

void link_on_down(struct link *link, const struct error *error) {
    struct peers *peers = link->peers;
    uint64_t now_ms = peers_now_ms(peers);
    if (now_ms - link->seen.changed_ms >= LINK_PROVEN_MS) {
        link->backoff_ms = PEERS_BACKOFF_MIN_MS;
    }
    link->seen.up = false;
    link->seen.changed_ms = now_ms;
    TEXT_COPY(link->seen.last_error, error->message);
    if (peers->closing) {
        return;
    }
    LOG_EVENT(PEER_LINK_DOWN, LOG_TEXT("peer", link->id), LOG_TEXT("why", error->message));
    wait_before_dialling(link, false);
    if (peers->callbacks.on_link != NULL) {
        peers->callbacks.on_link(link->numeric_id, false, NULL, peers->context);
    }
}
