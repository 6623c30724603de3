#include "tcp.h"

#include <assert.h>
#include <netinet/in.h>
#include <stdlib.h>

/* One attempt. It outlives the probe until its handle is closed. */
struct probe_connect {
    uv_tcp_t tcp;
    uv_connect_t request;
    struct probe_engine *engine;
    struct probe_check *check; /* NULL: given up */
    struct probe_connect *next, *previous;
};

static enum probe_result_code code_of(int status) {
    switch (status) {
    case UV_ECONNREFUSED:
        return PROBE_REFUSED;
    case UV_ECONNRESET:
    case UV_ECONNABORTED:
    case UV_EPIPE:
        return PROBE_RESET;
    case UV_ETIMEDOUT:
        return PROBE_TIMEOUT_CONNECT;
    case UV_ENETUNREACH:
    case UV_EHOSTUNREACH:
    case UV_ENETDOWN:
    case UV_EHOSTDOWN:
    case UV_EACCES:
    case UV_EPERM:
        return PROBE_UNREACHABLE;
    default:
        return PROBE_INTERNAL; /* descriptors, ports, memory: ours */
    }
}

/* Of several addresses the one that told most speaks for all: an IPv6 address is "unreachable" or
 * even "not available" on any machine without IPv6. */
static enum probe_result_code more_telling(enum probe_result_code a, enum probe_result_code b) {
    static const enum probe_result_code order[] = {
        PROBE_REFUSED, PROBE_RESET, PROBE_TIMEOUT_CONNECT, PROBE_UNREACHABLE, PROBE_INTERNAL,
    };
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        if (order[i] == a || order[i] == b) {
            return order[i];
        }
    }
    return PROBE_INTERNAL;
}

static void on_closed(uv_handle_t *handle) {
    struct probe_connect *connect = handle->data;
    struct probe_engine *engine = connect->engine;
    free(connect);
    probe_engine_drop(engine);
}

static void give_up(struct probe_connect *connect) {
    struct probe_check *check = connect->check;
    *(connect->previous == NULL ? &check->connects : &connect->previous->next) = connect->next;
    if (connect->next != NULL) {
        connect->next->previous = connect->previous;
    }
    connect->check = NULL;
    uv_close((uv_handle_t *)&connect->tcp, on_closed);
}

static void on_connected(uv_connect_t *request, int status) {
    struct probe_connect *connect = request->data;
    struct probe_check *check = connect->check;
    if (check == NULL) {
        return;
    }
    give_up(connect);
    if (status == 0) {
        probe_tcp_stop(check);
        probe_check_finish(check, PROBE_OK, 0);
        return;
    }
    check->connect_code = more_telling(check->connect_code, code_of(status));
    if (check->connects == NULL) {
        probe_check_finish(check, check->connect_code, 0);
    }
}

static void attempt(struct probe_check *check, const struct probe_address *address) {
    struct probe_connect *connect = calloc(1, sizeof *connect);
    if (connect == NULL) {
        return;
    }
    if (uv_tcp_init(check->engine->loop, &connect->tcp) != 0) {
        free(connect);
        return;
    }
    connect->engine = check->engine;
    connect->check = check;
    connect->tcp.data = connect;
    connect->request.data = connect;
    connect->next = check->connects;
    if (connect->next != NULL) {
        connect->next->previous = connect;
    }
    check->connects = connect;
    probe_engine_hold(check->engine);
    struct sockaddr_storage to = address->socket_address;
    if (to.ss_family == AF_INET6) {
        ((struct sockaddr_in6 *)&to)->sin6_port = htons(check->endpoint.port);
    } else {
        ((struct sockaddr_in *)&to)->sin_port = htons(check->endpoint.port);
    }
    int rc = uv_tcp_connect(&connect->request, &connect->tcp, (const struct sockaddr *)&to,
                            on_connected);
    if (rc != 0) {
        check->connect_code = more_telling(check->connect_code, code_of(rc));
        give_up(connect);
    }
}

enum probe_result_code probe_tcp_start(struct probe_check *check) {
    assert(check->connects == NULL);
    check->connect_code = PROBE_INTERNAL;
    for (size_t i = 0; i < check->address_count; i++) {
        attempt(check, &check->addresses[i]);
    }
    return check->connects == NULL ? check->connect_code : PROBE_OK;
}

void probe_tcp_stop(struct probe_check *check) {
    while (check->connects != NULL) {
        give_up(check->connects);
    }
}
