/* The endpoint thread: its loop and its listeners. */
#include "api/http_endpoints.h"

#include <assert.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "document_memory.h"
#include "http_private.h"

#define BACKLOG 511
#define SWEEP_MAX_MS 500

/* Statuses that are counted apart; the last place takes the rest. */
static const unsigned counted_codes[HTTP_CODE_MAX] = {200, 400, 404, 405, 408, 413,
                                                      414, 431, 503, 505, 500, 0};

void http_endpoints_count(struct http_endpoints *endpoints, enum http_route route,
                          unsigned status) {
    uint32_t i = 0;
    while (i < HTTP_CODE_MAX - 1 && counted_codes[i] != status) {
        i++;
    }
    endpoints->counts[route][i]++;
}

void http_endpoints_render(const struct http_endpoints *endpoints, struct buffer *out) {
    buffer_append_text(out, "# HELP noctua_http_requests_total Answers of the HTTP endpoints.\n"
                            "# TYPE noctua_http_requests_total counter\n");
    for (unsigned route = 0; route < HTTP_ROUTE_COUNT; route++) {
        for (uint32_t i = 0; i < HTTP_CODE_MAX; i++) {
            if (endpoints->counts[route][i] == 0) {
                continue;
            }
            char code[16] = "other";
            if (i < HTTP_CODE_MAX - 1) {
                (void)snprintf(code, sizeof code, "%u", counted_codes[i]);
            }
            buffer_append_format(
                out, "noctua_http_requests_total{path=\"%s\",code=\"%s\"} %" PRIu64 "\n",
                http_route_text((enum http_route)route), code, endpoints->counts[route][i]);
        }
    }
    buffer_append_format(
        out,
        "# HELP noctua_http_connections Open connections of the HTTP endpoints.\n"
        "# TYPE noctua_http_connections gauge\n"
        "noctua_http_connections{listener=\"http\"} %u\n"
        "noctua_http_connections{listener=\"public\"} %u\n"
        "# HELP noctua_http_refused_connections_total Connections over the limit.\n"
        "# TYPE noctua_http_refused_connections_total counter\n"
        "noctua_http_refused_connections_total %" PRIu64 "\n",
        endpoints->listeners[0].connection_count, endpoints->listeners[1].connection_count,
        endpoints->refused_connections);
}

static void on_connection(uv_stream_t *stream, int status) {
    if (status == 0) {
        http_connection_accept(stream->data);
    }
}

static void on_sweep(uv_timer_t *timer) {
    struct http_endpoints *endpoints = timer->data;
    struct http_connection *next = NULL;
    for (struct http_connection *c = endpoints->connections; c != NULL; c = next) {
        next = c->next;
        http_connection_sweep(c);
    }
    for (unsigned i = 0; i < 2; i++) {
        if (endpoints->listeners[i].accept_waits) {
            http_connection_accept(&endpoints->listeners[i]);
        }
    }
}

static void close_all(struct http_endpoints *endpoints) {
    for (unsigned i = 0; i < 2; i++) {
        if (endpoints->listeners[i].is_open) {
            uv_close((uv_handle_t *)&endpoints->listeners[i].tcp, NULL);
            endpoints->listeners[i].is_open = false;
        }
    }
    while (endpoints->connections != NULL) {
        http_connection_close(endpoints->connections);
    }
    uv_close((uv_handle_t *)&endpoints->sweep, NULL);
    uv_close((uv_handle_t *)&endpoints->wakeup, NULL);
}

static void on_wakeup(uv_async_t *async) {
    struct http_endpoints *endpoints = async->data;
    if (atomic_load(&endpoints->stopping)) {
        if (!uv_is_closing((uv_handle_t *)async)) {
            close_all(endpoints);
        }
        return;
    }
    http_events_take(endpoints);
}

static enum error_code open_listener(struct http_endpoints *endpoints,
                                     struct http_listener *listener, const char *host,
                                     uint16_t port, struct error *error) {
    struct sockaddr_storage address;
    int length = sizeof address;
    memset(&address, 0, sizeof address);
    if (uv_ip4_addr(host, port, (struct sockaddr_in *)&address) != 0 &&
        uv_ip6_addr(host, port, (struct sockaddr_in6 *)&address) != 0) {
        return error_set(error, ERROR_INVALID, "'%s' is no IP address to listen on", host);
    }
    int rv = uv_tcp_init(&endpoints->loop, &listener->tcp);
    if (rv == 0) {
        listener->is_open = true;
        listener->tcp.data = listener;
        rv = uv_tcp_bind(&listener->tcp, (const struct sockaddr *)&address, 0);
    }
    if (rv == 0) {
        rv = uv_listen((uv_stream_t *)&listener->tcp, BACKLOG, on_connection);
    }
    if (rv == 0) {
        rv = uv_tcp_getsockname(&listener->tcp, (struct sockaddr *)&address, &length);
    }
    if (rv != 0) {
        return error_set(error, ERROR_IO, "listening for HTTP on %s port %u: %s", host, port,
                         uv_strerror(rv));
    }
    listener->port =
        ntohs(address.ss_family == AF_INET ? ((struct sockaddr_in *)&address)->sin_port
                                           : ((struct sockaddr_in6 *)&address)->sin6_port);
    LOG_EVENT(HTTP_LISTENING, LOG_TEXT("host", host), LOG_U64("port", listener->port),
              LOG_BOOL("public", listener->is_public));
    return ERROR_OK;
}

static void thread_main(void *argument) {
    struct http_endpoints *endpoints = argument;
    (void)uv_run(&endpoints->loop, UV_RUN_DEFAULT);
}

/* Signals are the main loop's; a peer that has gone must not raise SIGPIPE here. */
static int start_thread(struct http_endpoints *endpoints) {
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int rv = uv_thread_create(&endpoints->thread, thread_main, endpoints);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rv;
}

static uint32_t or_default(uint32_t value, uint32_t fallback) {
    return value == 0 ? fallback : value;
}

static void take_options(struct http_endpoints *endpoints,
                         const struct http_endpoints_options *options) {
    endpoints->clock = *options->clock;
    endpoints->lease_polled = options->lease_polled;
    endpoints->max_connections = or_default(options->max_connections, HTTP_CONNECTION_DEFAULT);
    if (endpoints->max_connections > HTTP_CONNECTION_MAX) {
        endpoints->max_connections = HTTP_CONNECTION_MAX;
    }
    endpoints->idle_ms = or_default(options->idle_ms, HTTP_IDLE_MS);
    endpoints->header_ms = or_default(options->header_ms, HTTP_HEADER_MS);
    endpoints->write_ms = or_default(options->write_ms, HTTP_WRITE_MS);
    for (unsigned i = 0; i < 2; i++) {
        endpoints->listeners[i].endpoints = endpoints;
        endpoints->listeners[i].is_public = i == 1;
    }
}

static uint64_t sweep_interval_ms(const struct http_endpoints *endpoints) {
    uint64_t shortest = endpoints->idle_ms;
    shortest = endpoints->header_ms < shortest ? endpoints->header_ms : shortest;
    shortest = endpoints->write_ms < shortest ? endpoints->write_ms : shortest;
    uint64_t interval_ms = shortest / 8 + 1;
    return interval_ms < SWEEP_MAX_MS ? interval_ms : SWEEP_MAX_MS;
}

static void free_endpoints(struct http_endpoints *endpoints) {
    int rv = uv_loop_close(&endpoints->loop);
    assert(rv == 0);
    (void)rv;
    http_events_finish(endpoints);
    view_release(atomic_exchange(&endpoints->next_view, NULL));
    view_release(endpoints->view);
    free(endpoints);
}

enum error_code http_endpoints_create(const struct http_endpoints_options *options,
                                      struct http_endpoints **ret_endpoints, struct error *error) {
    struct http_endpoints *endpoints = calloc(1, sizeof *endpoints);
    if (endpoints == NULL || uv_loop_init(&endpoints->loop) != 0) {
        free(endpoints);
        return error_set(error, ERROR_NO_MEMORY, "no memory for the HTTP endpoints");
    }
    http_request_configure();
    document_memory_watch();
    take_options(endpoints, options);
    int rv = uv_async_init(&endpoints->loop, &endpoints->wakeup, on_wakeup);
    assert(rv == 0);
    endpoints->wakeup.data = endpoints;
    (void)uv_timer_init(&endpoints->loop, &endpoints->sweep);
    endpoints->sweep.data = endpoints;
    uint64_t interval_ms = sweep_interval_ms(endpoints);
    (void)uv_timer_start(&endpoints->sweep, on_sweep, interval_ms, interval_ms);
    enum error_code code = open_listener(endpoints, &endpoints->listeners[0], options->http_host,
                                         options->http_port, error);
    if (code == ERROR_OK && options->public_host != NULL) {
        code = open_listener(endpoints, &endpoints->listeners[1], options->public_host,
                             options->public_port, error);
    }
    rv = code == ERROR_OK ? start_thread(endpoints) : 0;
    if (rv != 0) {
        code = error_set(error, ERROR_IO, "starting the HTTP thread: %s", uv_strerror(rv));
    }
    if (code != ERROR_OK) {
        close_all(endpoints);
        (void)uv_run(&endpoints->loop, UV_RUN_DEFAULT);
        free_endpoints(endpoints);
        return code;
    }
    *ret_endpoints = endpoints;
    return ERROR_OK;
}

uint16_t http_endpoints_port(const struct http_endpoints *endpoints) {
    return endpoints->listeners[0].port;
}

uint16_t http_endpoints_public_port(const struct http_endpoints *endpoints) {
    return endpoints->listeners[1].port;
}

void http_endpoints_destroy(struct http_endpoints *endpoints) {
    if (endpoints == NULL) {
        return;
    }
    atomic_store(&endpoints->stopping, true);
    (void)uv_async_send(&endpoints->wakeup);
    int rv = uv_thread_join(&endpoints->thread);
    assert(rv == 0);
    (void)rv;
    free_endpoints(endpoints);
}
