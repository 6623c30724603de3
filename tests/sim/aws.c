/* driver/aws_http.h, defined here instead: requests go to the simulated provider (target.h). */
#include "aws_http.h"

#include <stdlib.h>

#include "node.h"
#include "target.h"
#include "world.h"

struct call {
    struct call *next;
    struct aws_http *http;
    http_response_cb on_response;
    void *context;
};

struct aws_http {
    struct sim_node *node;
    struct call *calls; /* not answered yet */
    bool closing;
    void (*closed)(void *context);
    void *closed_context;
};

enum error_code aws_http_create(uv_loop_t *loop, const struct clock *clock,
                                struct aws_http **ret_http, struct error *error) {
    struct aws_http *http = calloc(1, sizeof *http);
    (void)loop;
    (void)clock;
    if (http == NULL) {
        return error_set(error, ERROR_NO_MEMORY, "out of memory");
    }
    http->node = sim_current();
    *ret_http = http;
    return ERROR_OK;
}

static void end_if_closed(struct aws_http *http) {
    if (http->closing && http->calls == NULL && http->closed != NULL) {
        void (*closed)(void *) = http->closed;
        http->closed = NULL;
        closed(http->closed_context);
    }
}

static void on_closing(void *context) {
    end_if_closed(context);
}

static void on_reply(void *context, const struct sim_reply *reply) {
    struct call *call = context;
    struct aws_http *http = call->http;
    struct http_response response = {.error = reply->error,
                                     .sent = reply->sent,
                                     .status = reply->status,
                                     .body = reply->body,
                                     .body_size_bytes = reply->body_bytes};
    struct call **at = &http->calls;
    while (*at != call) {
        at = &(*at)->next;
    }
    *at = call->next;
    if (http->closing) {
        (void)error_set(&response.error, ERROR_CANCELLED, "cancelled");
    }
    call->on_response(call->context, &response);
    free(call);
    end_if_closed(http);
}

void aws_http_send(struct aws_http *http, const struct aws_request *request,
                   http_response_cb on_response, void *context) {
    struct call *call = malloc(sizeof *call);
    if (call == NULL) {
        abort();
    }
    sim_crash_point();
    *call = (struct call){http->calls, http, on_response, context};
    http->calls = call;
    struct sim_request sent = {.method = request->http.method,
                               .url = request->http.url,
                               .body = request->http.body,
                               .body_bytes = request->http.body_size_bytes,
                               .effect = request->http.effect};
    target_send(world_target(http->node->sim), http->node, &sent, on_reply, call);
    sim_crash_point();
}

void aws_http_close(struct aws_http *http, void (*on_closed)(void *context), void *context) {
    http->closing = true;
    http->closed = on_closed;
    http->closed_context = context;
    sim_at_node(http->node, sim_now(http->node->sim), on_closing, http, false);
}
