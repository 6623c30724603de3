/* How a node ends by request. Leadership goes first, so that the group needn't wait for an
 * election; then whoever has asked something gets the answer; then every part ends what it has
 * under way. The HTTP endpoints answer until the last of it. A second signal, or DRAIN_MS, cuts the
 * first two short. */
#include <assert.h>

#include "base/log.h"
#include "node.h"

#define DRAIN_MS 3000
#define LOOK_EVERY_MS 10

static void on_part_closed(void *context) {
    struct noctuad *node = context;
    if (--node->open_parts == 0) {
        http_endpoints_destroy(node->endpoints);
        node->endpoints = NULL;
        uv_close((uv_handle_t *)&node->lease_polled, NULL); /* its thread is gone */
    }
}

/* Nothing new begins; each part frees itself. The loop runs out by itself when all have. */
static void stop(struct noctuad *node) {
    uv_handle_t *handles[] = {
        (uv_handle_t *)&node->report_timer,  (uv_handle_t *)&node->soon_timer,
        (uv_handle_t *)&node->publish_timer, (uv_handle_t *)&node->prepare_timer,
        (uv_handle_t *)&node->end_timer,     (uv_handle_t *)&node->watchdog_timer,
        (uv_handle_t *)&node->terminate,     (uv_handle_t *)&node->interrupt,
        (uv_handle_t *)&node->hangup,        (uv_handle_t *)&node->alarm_timer,
    };
    if (node->stopping) {
        return;
    }
    node->stopping = true;
    for (size_t i = 0; i < sizeof handles / sizeof handles[0]; i++) {
        uv_close(handles[i], NULL);
    }
    node->open_parts = 12;
    pager_close(node->pager, on_part_closed, node);
    executor_close(node->executor, on_part_closed, node);
    inspector_close(node->inspector, on_part_closed, node);
    leader_close(node->leader, on_part_closed, node);
    api_server_close(node->server, on_part_closed, node);
    driver_close(node->driver, on_part_closed, node);
    node_stop_watching(node, on_part_closed, node); /* three of them */
    probe_engine_destroy(node->probes, on_part_closed, node);
    probe_control_destroy(node->control, on_part_closed, node);
    replica_stop(node->replica, on_part_closed, node);
}

static void on_look(uv_timer_t *timer) {
    struct noctuad *node = timer->data;
    bool waits = node->transferred != NULL || api_server_request_count(node->server) > 0;
    if (!waits || clock_boottime_ms(node->clock) >= node->end_ms) {
        stop(node);
    }
}

static void on_handed_over(void *context, enum error_code error) {
    (void)context;
    if (error != ERROR_OK) {
        LOG_EVENT(LEADERSHIP_KEPT, LOG_TEXT("why", error_text(error)));
    }
}

void node_on_end_signal(uv_signal_t *signal, int number) {
    struct noctuad *node = signal->data;
    struct replica_status status;
    if (node->ending) {
        stop(node);
        return;
    }
    LOG_EVENT(NODE_STOPPING, LOG_U64("signal", (uint64_t)number));
    node_tell("STOPPING=1");
    node->ending = true;
    node->end_ms = clock_boottime_ms(node->clock) + DRAIN_MS;
    replica_read_status(node->replica, &status);
    /* What is on its way to a target ends there; its answer is for the next leader to read. */
    leader_lead(node->leader, false, status.term);
    executor_lead(node->executor, false, status.term);
    inspector_lead(node->inspector, false);
    leases_lead(&node->leases, false, 0);
    if (status.leads && status.peer_count > 1 && node->transferred == NULL) {
        LOG_EVENT(LEADERSHIP_TRANSFER, LOG_TEXT("to", ""), LOG_TEXT("actor", ""),
                  LOG_TEXT("reason", "this node ends"));
        (void)node_transfer(node, 0, on_handed_over, node);
    }
    (void)uv_timer_start(&node->end_timer, on_look, 0, LOOK_EVERY_MS);
}
