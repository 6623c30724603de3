#include "node.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"
#include "driver/route53.h"

#define PUBLISH_EVERY_MS 1000
#define PREPARE_EVERY_MS 60000
#define ALARM_EVERY_MS 500

/* --- the log, as the leader, the executor and the API use it --- */

static void propose(void *context, const struct command *command, propose_cb on_done,
                    void *done_context) {
    struct noctuad *node = context;
    replica_propose(node->replica, command, on_done, done_context);
}

static const struct state *current_state(void *context) {
    const struct noctuad *node = context;
    return replica_state(node->replica);
}

static uint64_t tick_proposed_ms(void *context) {
    const struct noctuad *node = context;
    return leader_tick_proposed_ms(node->leader);
}

static void api_facts_now(void *context, struct api_facts *ret) {
    node_facts(context, ret);
}

static void api_barrier(void *context, api_barrier_cb callback, void *callback_context) {
    struct noctuad *node = context;
    replica_barrier(node->replica, callback, callback_context);
}

static void on_transferred(void *context, enum error_code error) {
    struct noctuad *node = context;
    api_barrier_cb callback = node->transferred;
    node->transferred = NULL;
    callback(node->transferred_context, error);
}

bool node_transfer(struct noctuad *node, uint64_t to, api_barrier_cb callback, void *context) {
    if (node->transferred != NULL) {
        return false;
    }
    node->transferred = callback;
    node->transferred_context = context;
    replica_transfer(node->replica, to, on_transferred, node);
    return true;
}

static bool api_transfer(void *context, uint64_t node_id, api_barrier_cb callback,
                         void *callback_context) {
    return node_transfer(context, node_id, callback, callback_context);
}

static void on_changed(void *context, enum error_code error) {
    struct noctuad *node = context;
    node->changed(node->changed_context, error);
}

static bool api_change(void *context, const char *name, bool add, api_barrier_cb callback,
                       void *callback_context) {
    struct noctuad *node = context;
    uint64_t id = replica_node_id(node->config.cluster, name);
    bool begun = add ? replica_add(node->replica, id, on_changed, node)
                     : replica_remove(node->replica, id, on_changed, node);
    if (begun) {
        node->changed = callback;
        node->changed_context = callback_context;
    }
    return begun;
}

/* --- what the replica tells --- */

void node_publish_soon(struct noctuad *node) {
    if (!node->stopping && uv_timer_get_due_in(&node->publish_timer) > 0) {
        (void)uv_timer_start(&node->publish_timer, node->publish_timer.timer_cb, 0,
                             PUBLISH_EVERY_MS);
    }
}

static void on_prepare_timer(uv_timer_t *timer);

/* Whether the entry that is being applied was in this node's own log when the process started: then
 * an earlier process of the node will have said what it did. */
static bool is_replay(struct noctuad *node) {
    if (node->replay_end_log_index > 0) {
        struct replica_status status;
        replica_read_status(node->replica, &status);
        if (status.applied_log_index >= node->replay_end_log_index) {
            node->replay_end_log_index = 0;
        }
    }
    return node->replay_end_log_index > 0;
}

static void log_events(struct noctuad *node, const struct state *state) {
    uint64_t oldest = state->event_count > EVENT_MAX ? state->event_count - EVENT_MAX : 0;
    uint64_t first = node->logged_count > oldest ? node->logged_count : oldest;
    enum log_event name = is_replay(node) ? LOG_STATE_EVENT_REPLAYED : LOG_STATE_EVENT;
    for (uint64_t i = first; i < state->event_count; i++) {
        const struct event *event = &state->events[i % EVENT_MAX];
        const struct log_field fields[] = {
            LOG_TEXT("kind", event_kind_text(event->kind)),
            LOG_U64("index", event->index),
            LOG_TEXT("service", event->service),
            LOG_TEXT("region", event->region),
            LOG_TEXT("to", event->to),
            LOG_TEXT("subject", event->subject),
            LOG_U64("epoch", event->epoch),
            LOG_U64("value", event->value),
            LOG_TEXT("actor", event->actor),
            LOG_TEXT("why", event->detail),
        };
        log_write(name, fields, ARRAY_LENGTH(fields));
    }
    node->logged_count = state->event_count;
}

static void on_applied(void *context, uint64_t index, const struct command *command,
                       enum core_error result, uint64_t proposed_ms) {
    struct noctuad *node = context;
    const struct state *state = replica_state(node->replica);
    (void)proposed_ms;
    if (result != CORE_OK) {
        LOG_EVENT(COMMAND_REFUSED, LOG_TEXT("command", command_kind_text(command->kind)),
                  LOG_TEXT("code", core_error_name(result)), LOG_U64("index", index),
                  LOG_TEXT("why", core_error_text(result)));
    }
    log_events(node, state);
    if (node->stopping) {
        return; /* the parts are closing or gone */
    }
    node_note_windows(node);
    node_configure_probes(node);
    metrics_count_events(node->metrics, state);
    api_server_on_applied(node->server);
    leader_poke(node->leader);
    executor_poke(node->executor);
    inspector_poke(node->inspector);
    if (command->kind == COMMAND_LEADER) {
        node_report_soon(node); /* a new leader knows nothing of us yet */
    }
    if (command->kind == COMMAND_SWITCH) {
        node_ask_for_leases(node, true);
    }
    if (command->kind == COMMAND_SPEC && result == CORE_OK) {
        (void)uv_timer_start(&node->prepare_timer, on_prepare_timer, 0, PREPARE_EVERY_MS);
    }
    node_publish_soon(node);
}

static void on_leadership(void *context, bool leads, uint64_t term) {
    struct noctuad *node = context;
    LOG_EVENT(LEADERSHIP, LOG_BOOL("leads", leads), LOG_U64("term", term));
    if (node->stopping || node->ending) {
        return;
    }
    leader_lead(node->leader, leads, term);
    leases_lead(&node->leases, leads, clock_boottime_ms(node->clock));
    executor_lead(node->executor, leads, term);
    inspector_lead(node->inspector, leads);
    probe_mongo_lead(node->sets, leads);
    if (leads) {
        node_send_report(node);
    }
    node_publish_soon(node);
}

static void on_report(void *context, const struct report *report) {
    struct noctuad *node = context;
    if (!node->stopping) {
        leader_on_report(node->leader, report);
        node_answer_lease(node, report);
    }
}

static void on_lease(void *context, const struct lease_answer *answer) {
    node_on_lease(context, answer);
}

static void on_restored(void *context) {
    struct noctuad *node = context;
    node->probed_spec_index = UINT64_MAX;
    if (node->probes != NULL && !node->stopping) {
        node_note_windows(node);
        node_configure_probes(node);
        node_publish_soon(node); /* it may be a move further */
    }
}

static void on_failed(void *context, const struct error *error) {
    const struct noctuad *node = context;
    LOG_EVENT(NODE_FAILED, LOG_TEXT("code", error_text(error->code)),
              LOG_TEXT("why", error->message));
    node_spawn_last_word(node, error->message);
    /* Fail-stop: nothing of this process can be trusted to end in order. Not by exit(3): libuv's
     * destructor waits for its pool, where a write to a disk that hangs may be the very failure. */
    _exit(EXIT_FAILURE);
}

/* --- probes and timers --- */

static void on_soon(uv_timer_t *timer) {
    node_send_report(timer->data);
}

void node_report_soon(struct noctuad *node) {
    if (!node->stopping && !uv_is_active((uv_handle_t *)&node->soon_timer)) {
        (void)uv_timer_start(&node->soon_timer, on_soon, 0, 0);
    }
}

static uint64_t applied_index(void *context) {
    const struct noctuad *node = context;
    return replica_state(node->replica)->applied_index;
}

static void on_probe_result(void *context, const struct probe_check_view *check) {
    struct noctuad *node = context;
    const struct state *state = replica_state(node->replica);
    const struct probe_target *target = check->target;
    const struct probe_result *last = &check->debounce->last;
    if (target->service >= state->spec.service_count ||
        target->region >= state->spec.region_count) {
        return; /* of a spec that was just replaced */
    }
    metrics_count_probe(node->metrics, state->spec.services[target->service].name,
                        state->spec.regions[target->region].name, probe_result_text(last->code),
                        (uint32_t)(last->finish_ms - last->start_ms));
    if (state->services[target->service].suspect.open) {
        node_report_soon(node);
    }
}

static void on_opinion(void *context, uint32_t service, uint32_t region,
                       const struct probe_opinion *opinion) {
    (void)service;
    (void)region;
    (void)opinion;
    node_report_soon(context);
}

static void on_control(void *context, bool reaches) {
    (void)reaches;
    node_report_soon(context);
}

static void on_report_timer(uv_timer_t *timer) {
    node_send_report(timer->data);
}

static void on_publish_timer(uv_timer_t *timer) {
    node_publish(timer->data);
    node_tell_status(timer->data);
}

/* Every node keeps the credentials of every zone fresh: whoever leads next must not need STS in the
 * middle of an outage. */
static void prepare_credentials(struct noctuad *node) {
    const struct state *state = replica_state(node->replica);
    for (uint32_t s = 0; s < state->spec.service_count; s++) {
        const struct spec_service *service = &state->spec.services[s];
        for (uint32_t z = 0; z < service->zone_count; z++) {
            struct driver_target target;
            memset(&target, 0, sizeof target);
            (void)TEXT_COPY(target.service, service->name);
            (void)TEXT_COPY(target.zone, service->zones[z].id);
            (void)TEXT_COPY(target.role_arn, service->zones[z].role);
            (void)TEXT_COPY(target.external_id, service->zones[z].external_id);
            (void)TEXT_COPY(target.fence_name, service->zones[z].fence_name);
            route53_prepare(node->driver, &target);
        }
    }
}

static void on_prepare_timer(uv_timer_t *timer) {
    prepare_credentials(timer->data);
}

/* --- the start --- */

static enum error_code start_replica(struct noctuad *node, struct error *error) {
    const struct node_config *config = &node->config;
    struct replica_options options = {
        .loop = node->loop,
        .clock = node->clock,
        .entropy = node->entropy,
        .directory = config->data,
        .cluster = config->cluster,
        .node = config->node,
        .region = config->region,
        .peer_count = config->peer_count,
        .identity = node->identity,
        .listen_host = config->listen.peer.host,
        .listen_port = config->listen.peer.port,
        .heartbeat_ms = config->raft.heartbeat_ms,
        .election_ms = config->raft.election_ms,
        .snapshot_threshold = config->snapshot_threshold,
        .version = NOCTUA_VERSION,
        .feature_level = node->feature_level,
        .callbacks = {node, on_applied, on_leadership, on_report, on_lease, on_restored, on_failed},
    };
    for (uint32_t i = 0; i < config->peer_count; i++) {
        struct replica_peer *peer = &options.peers[i];
        peer->id = replica_node_id(config->cluster, config->peers[i].name);
        (void)TEXT_COPY(peer->name, config->peers[i].name);
        (void)TEXT_COPY(peer->host, config->peers[i].address.host);
        peer->port = config->peers[i].address.port;
    }
    return replica_create(&options, &node->replica, error);
}

static enum error_code start_work(struct noctuad *node, struct error *error) {
    struct proposer proposer = {propose, current_state, node};
    struct leader_options leader = {
        .loop = node->loop,
        .clock = node->clock,
        .proposer = proposer,
        .self_id = replica_node_id(node->config.cluster, node->config.node),
    };
    struct executor_options executor = {
        .loop = node->loop,
        .clock = node->clock,
        .entropy = node->entropy,
        .driver = node->driver,
        .set_driver = node->set_driver,
        .proposer = proposer,
        .tick_proposed_ms = tick_proposed_ms,
        .lease_wait_ms = node_lease_wait_ms,
        .context = node,
    };
    struct inspector_options inspector = {
        .loop = node->loop,
        .clock = node->clock,
        .driver = node->driver,
        .set_driver = node->set_driver,
        .state = current_state,
        .context = node,
        .every_ms = node->config.inspect.every_ms,
    };
    node->leader = leader_create(&leader);
    node->inspector = inspector_create(&inspector);
    node->executor = executor_create(&executor);
    node->metrics = metrics_create();
    if (node->leader == NULL || node->executor == NULL || node->inspector == NULL ||
        node->metrics == NULL) {
        return error_set(error, ERROR_NO_MEMORY, "out of memory");
    }
    return ERROR_OK;
}

static enum error_code start_probes(struct noctuad *node, struct error *error) {
    struct probe_engine_options options = {
        .applied_index = applied_index,
        .on_result = on_probe_result,
        .on_change = on_opinion,
        .context = node,
    };
    enum error_code code =
        probe_engine_create(node->loop, node->clock, node->entropy, &options, &node->probes, error);
    if (code != ERROR_OK) {
        return code;
    }
    char texts[CONFIG_CONTROL_MAX][PROBE_CONTROL_ADDRESS_SIZE];
    const char *addresses[CONFIG_CONTROL_MAX];
    for (uint32_t i = 0; i < node->config.control_count; i++) {
        const struct config_address *address = &node->config.control[i];
        bool v6 = strchr(address->host, ':') != NULL;
        (void)snprintf(texts[i], sizeof texts[i], "%s%s%s:%u", v6 ? "[" : "", address->host,
                       v6 ? "]" : "", address->port);
        addresses[i] = texts[i];
    }
    struct probe_control_options control = {.on_change = on_control, .context = node};
    return probe_control_create(node->loop, node->clock, node->entropy, addresses,
                                node->config.control_count, &control, &node->control, error);
}

static enum error_code start_api(struct noctuad *node, struct error *error) {
    const struct node_config *config = &node->config;
    bool public = config->listen.public.port != 0;
    struct http_endpoints_options http = {
        .clock = node->clock,
        .http_host = config->listen.http.host,
        .http_port = config->listen.http.port,
        .public_host = public ? config->listen.public.host : NULL,
        .public_port = config->listen.public.port,
        .max_connections = config->http_max_connections,
        .lease_polled = &node->lease_polled,
    };
    if (uv_async_init(node->loop, &node->lease_polled, node_on_lease_polled) != 0) {
        return error_set(error, ERROR_NO_MEMORY, "no memory for the endpoints");
    }
    node->lease_polled.data = node;
    enum error_code code = http_endpoints_create(&http, &node->endpoints, error);
    if (code != ERROR_OK) {
        return code;
    }
    struct api_server_options options = {
        .loop = node->loop,
        .clock = node->clock,
        .identity = node->identity,
        .cluster = config->cluster,
        .host = config->listen.api.host,
        .port = config->listen.api.port,
        .calls = {.context = node,
                  .facts = api_facts_now,
                  .propose = propose,
                  .barrier = api_barrier,
                  .transfer = api_transfer,
                  .change = api_change},
    };
    return api_server_create(&options, &node->server, error);
}

static void start_timers(struct noctuad *node) {
    uv_timer_t *timers[] = {&node->report_timer,  &node->soon_timer, &node->publish_timer,
                            &node->prepare_timer, &node->end_timer,  &node->watchdog_timer,
                            &node->alarm_timer};
    for (size_t i = 0; i < ARRAY_LENGTH(timers); i++) {
        (void)uv_timer_init(node->loop, timers[i]);
        timers[i]->data = node;
    }
    uv_signal_t *signals[] = {&node->terminate, &node->interrupt, &node->hangup};
    for (size_t i = 0; i < ARRAY_LENGTH(signals); i++) {
        (void)uv_signal_init(node->loop, signals[i]);
        signals[i]->data = node;
    }
}

static enum error_code start(struct noctuad *node, struct error *error) {
    struct route53_options route53 = {
        .loop = node->loop,
        .clock = node->clock,
        .entropy = node->entropy,
        .node = node->config.node,
        .region = node->config.region,
    };
    start_timers(node);
    enum error_code code = node_load_identity(&node->config, &node->identity, error);
    if (code == ERROR_OK) {
        code = start_replica(node, error);
    }
    if (code == ERROR_OK) {
        code = route53_create(&route53, &node->driver, error);
    }
    if (code == ERROR_OK) {
        code = pager_create(node->loop, node->clock, node->config.cluster, node->config.node,
                            &node->pager, error);
    }
    if (code == ERROR_OK) {
        code = node_start_watching(node, error);
    }
    if (code == ERROR_OK) {
        code = start_work(node, error);
    }
    if (code == ERROR_OK) {
        code = start_probes(node, error);
    }
    if (code == ERROR_OK) {
        code = start_api(node, error);
    }
    if (code == ERROR_OK) {
        node->replay_end_log_index = UINT64_MAX; /* a group of one applies its log in the call */
        code = replica_start(node->replica, error);
    }
    return code;
}

static void begin(struct noctuad *node) {
    struct replica_status status;
    replica_read_status(node->replica, &status);
    node->replay_end_log_index = status.last_log_index;
    node->logged_count = replica_state(node->replica)->event_count; /* the snapshot's */
    node->began_ms = clock_boottime_ms(node->clock);
    node_configure_alarms(node);
    (void)uv_timer_start(&node->alarm_timer, node_on_alarm_timer, ALARM_EVERY_MS, ALARM_EVERY_MS);
    node_note_windows(node);
    node_configure_probes(node);
    (void)uv_timer_start(&node->report_timer, on_report_timer, 0, REPORT_INTERVAL_MS);
    (void)uv_timer_start(&node->publish_timer, on_publish_timer, 0, PUBLISH_EVERY_MS);
    (void)uv_timer_start(&node->prepare_timer, on_prepare_timer, 0, PREPARE_EVERY_MS);
    (void)uv_signal_start(&node->terminate, node_on_end_signal, SIGTERM);
    (void)uv_signal_start(&node->interrupt, node_on_end_signal, SIGINT);
    (void)uv_signal_start(&node->hangup, node_on_reload_signal, SIGHUP);
    LOG_EVENT(NODE_STARTED, LOG_TEXT("version", NOCTUA_VERSION),
              LOG_TEXT("cluster", node->config.cluster), LOG_TEXT("region", node->config.region),
              LOG_TEXT("data", node->config.data), LOG_U64("api", api_server_port(node->server)),
              LOG_U64("http", http_endpoints_port(node->endpoints)));
    node_tell_ready(node);
}

static void finish(struct noctuad *node) {
    view_release(node->view);
    metrics_destroy(node->metrics);
    free(node->probe_facts);
    tls_identity_unref(node->identity);
}

int node_run(struct noctuad *node) {
    struct error error = {ERROR_OK, ""};
    node->probed_spec_index = UINT64_MAX;
    if (start(node, &error) != ERROR_OK) {
        /* What did start holds locks and files only, and ends with the process. */
        LOG_EVENT(NODE_FAILED, LOG_TEXT("code", error_text(error.code)),
                  LOG_TEXT("why", error.message));
        node_spawn_last_word(node, error.message);
        return EXIT_FAILURE;
    }
    begin(node);
    (void)uv_run(node->loop, UV_RUN_DEFAULT);
    finish(node);
    return EXIT_SUCCESS;
}
