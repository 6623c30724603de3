/* What the API shows, gathered from the parts. */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "node.h"

static void fill_probe(void *context, const struct probe_check_view *check) {
    static const enum opinion_value values[] = {OPINION_UNKNOWN, OPINION_UP, OPINION_DOWN};
    struct noctuad *node = context;
    const struct probe_debounce *debounce = check->debounce;
    const struct probe_result *last = &debounce->last;
    uint64_t now_ms = node->probes_ms;
    uint64_t since_ms = debounce->failing_since_ms;
    if (node->probe_count == node->probe_max) {
        return;
    }
    node->probe_facts[node->probe_count++] = (struct probe_facts){
        .service = check->target->service,
        .region = check->target->region,
        .check = check->target->check,
        .state = values[debounce->state],
        .code = debounce->has_result ? probe_result_text(last->code) : "",
        .http_status = debounce->has_result ? last->http_status : 0,
        .duration_ms = debounce->has_result ? (uint32_t)(last->finish_ms - last->start_ms) : 0,
        .failing_ms = since_ms != 0 && since_ms < now_ms ? now_ms - since_ms : 0,
    };
}

static void gather_probes(struct noctuad *node, struct api_facts *ret) {
    struct probe_engine_stats stats;
    probe_engine_stats(node->probes, &stats);
    if (stats.check_count > node->probe_max) {
        struct probe_facts *grown = realloc(node->probe_facts, stats.check_count * sizeof *grown);
        if (grown != NULL) {
            node->probe_facts = grown;
            node->probe_max = stats.check_count;
        }
    }
    node->probe_count = 0;
    node->probes_ms = ret->now_ms;
    probe_engine_each(node->probes, fill_probe, node);
    ret->probes = node->probe_facts;
    ret->probe_count = node->probe_count;
}

static const char *trouble(const void *context, const char *service, uint32_t step) {
    const struct noctuad *node = context;
    return executor_trouble(node->executor, service, step);
}

static void target(const void *context, const char *service, const char *zone,
                   struct target_facts *ret) {
    const struct noctuad *node = context;
    const struct inspection *found =
        inspector_find(node->inspector, service, zone == NULL ? INSPECTION_SET : zone);
    const struct state *state = replica_state(node->replica);
    uint32_t place = state_find_service(state, service);
    *ret = (struct target_facts){.result = TARGET_NOT_READ, .words = "not read yet"};
    if (found != NULL && place != NONE_INDEX && found->epoch == state->services[place].epoch) {
        ret->result = found->result == INSPECTION_RIGHT     ? TARGET_RIGHT
                      : found->result == INSPECTION_FOREIGN ? TARGET_FOREIGN
                                                            : TARGET_UNREADABLE;
        ret->read_ms = found->read_ms;
        ret->words = found->words;
    }
}

static void fill_strangers(const struct noctuad *node, const struct replica_status *status,
                           struct api_facts *ret) {
    for (uint32_t p = 0; p < status->peer_count; p++) {
        const struct replica_peer_status *peer = &status->peers[p];
        if (state_find_node(ret->state, peer->id) != NONE_INDEX) {
            continue;
        }
        struct stranger_facts *stranger = &ret->strangers[ret->stranger_count++];
        *stranger = (struct stranger_facts){.up = peer->up,
                                            .joining = peer->member != REPLICA_STRANGER,
                                            .match_index = peer->match_log_index};
        (void)TEXT_COPY(stranger->name, node->config.peers[p].name);
    }
}

void node_facts(struct noctuad *node, struct api_facts *ret) {
    const struct state *state = replica_state(node->replica);
    struct replica_status status;
    replica_read_status(node->replica, &status);
    memset(ret, 0, sizeof *ret);
    ret->state = state;
    bool leads = leader_input(node->leader, &node->policy);
    ret->policy = leads ? &node->policy : NULL;
    ret->own_report = node->report.sequence == 0 ? NULL : &node->report;
    ret->node = node->config.node;
    ret->version = NOCTUA_VERSION;
    ret->now_ms = clock_boottime_ms(node->clock);
    ret->wall_ms = clock_wall_ms(node->clock);
    ret->leads = status.leads;
    ret->leader_id = status.leader_id;
    ret->term = status.term;
    ret->caught_up = status.caught_up;
    node->was_caught_up = node->was_caught_up || status.caught_up;
    ret->was_caught_up = node->was_caught_up;
    ret->quorum_contact_ms = status.quorum_contact_ms;
    for (uint32_t n = 0; n < state->node_count; n++) {
        for (uint32_t p = 0; p < status.peer_count; p++) {
            if (status.peers[p].id == state->nodes[n].id) {
                ret->links[n] = (struct link_facts){status.peers[p].up,
                                                    status.peers[p].member == REPLICA_JOINING,
                                                    status.peers[p].match_log_index};
            }
        }
    }
    ret->leases = node->held;
    node_primaries(node, ret->primaries);
    ret->last_log_index = status.last_log_index;
    fill_strangers(node, &status, ret);
    if (leads) {
        ret->trouble = trouble;
        ret->target = target;
        ret->trouble_context = node;
    }
}

static void gather_alarms(const struct noctuad *node, struct api_facts *ret) {
    _Static_assert((int)PAGER_ALARM_COUNT <= ALARM_FACTS_MAX, "room for every alarm");
    for (unsigned a = 0; a < PAGER_ALARM_COUNT; a++) {
        ret->alarms[a] = (struct alarm_facts){pager_alarm_word((enum pager_alarm)a),
                                              pager_holds(node->pager, (enum pager_alarm)a)};
    }
    ret->alarm_count = PAGER_ALARM_COUNT;
    ret->alarms_told = pager_is_told(node->pager);
}

void node_publish(struct noctuad *node) {
    struct api_facts facts;
    node_facts(node, &facts);
    gather_probes(node, &facts);
    gather_alarms(node, &facts);
    bool render =
        node->view == NULL || facts.now_ms - node->documents_ms >= node->documents_every_ms;
    if (render) {
        node->documents_ms = facts.now_ms;
    }
    struct view *view = view_build(&facts, node->metrics, render ? NULL : node->view);
    if (view == NULL) {
        return; /* the last answer goes on, and ages */
    }
    view_release(node->view);
    node->view = view_acquire(view);
    http_endpoints_publish(node->endpoints, view);
    http_endpoints_publish_events(node->endpoints, facts.state);
}
