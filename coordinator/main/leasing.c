/* Leases, on both sides: this node asks for its pollers, and answers others while it leads
 * (core/lease.h). */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "node.h"

/* --- as the leader --- */

struct ask {
    struct noctuad *node;
    uint64_t from, boot, number;
    uint64_t services, spec_index; /* bits of places, and of which spec */
};

static void on_committed(void *context, enum error_code error) {
    struct ask *ask = context;
    struct noctuad *node = ask->node;
    struct lease_answer answer = {.boot = ask->boot, .number = ask->number};
    const struct state *state = replica_state(node->replica);
    uint64_t from = ask->from;
    uint64_t services = ask->spec_index == state->spec_index ? ask->services : 0;
    free(ask);
    if (error != ERROR_OK || !node->leases.leads || node->stopping || services == 0) {
        return; /* it asks again */
    }
    leases_grant(&node->leases, state, services, clock_boottime_ms(node->clock), &answer);
    if (from == node->report.node_id) {
        node_on_lease(node, &answer);
    } else {
        replica_send_lease(node->replica, from, &answer);
    }
}

void node_answer_lease(struct noctuad *node, const struct report *report) {
    if (report->lease_ask == 0 || !node->leases.leads ||
        state_find_node(replica_state(node->replica), report->node_id) == NONE_INDEX) {
        return;
    }
    struct ask *ask = malloc(sizeof *ask);
    if (ask != NULL) {
        *ask = (struct ask){.node = node,
                            .from = report->node_id,
                            .boot = report->boot,
                            .number = report->lease_ask,
                            .services = report->lease_services,
                            .spec_index = report->spec_index};
        replica_barrier(node->replica, on_committed, ask);
    }
}

uint64_t node_lease_wait_ms(void *context, uint32_t service) {
    struct noctuad *node = context;
    return leases_wait_ms(&node->leases, replica_state(node->replica), service,
                          clock_boottime_ms(node->clock));
}

/* --- as a node that asks --- */

/* Only what is polled is asked for: a region that is dead or cut off has no pollers here, so its
 * last grant runs out while the suspicion is being confirmed, and the move needn't wait for it. */
static bool is_wanted(const struct noctuad *node, uint32_t service, uint64_t now_ms,
                      bool switched) {
    const struct state *state = replica_state(node->replica);
    uint64_t lease_ms = state->spec.services[service].policy.lease_ms;
    uint64_t asked_ms = node->lease_wanted_ms[service];
    uint32_t region = lease_region(state, service);
    if (region == NONE_INDEX) {
        return false;
    }
    uint64_t polled_ms = http_endpoints_lease_polled_ms(node->endpoints, service, region);
    if (switched) {
        return polled_ms != 0 && now_ms - polled_ms <= lease_ms / 2;
    }
    /* The endpoint thread keeps to the rate; here only a burst of other services' polls is spared.
     */
    return polled_ms > asked_ms && now_ms - asked_ms >= lease_ms / VIEW_LEASE_ASKS / 2;
}

void node_ask_for_leases(struct noctuad *node, bool switched) {
    const struct state *state = replica_state(node->replica);
    uint64_t now_ms = clock_boottime_ms(node->clock);
    uint64_t wanted = 0;
    if (node->stopping || node->endpoints == NULL) {
        return;
    }
    for (uint32_t s = 0; s < state->spec.service_count; s++) {
        if (is_wanted(node, s, now_ms, switched)) {
            wanted |= UINT64_C(1) << s;
            node->lease_wanted_ms[s] = now_ms;
        }
    }
    if (wanted == 0) {
        return;
    }
    /* t0 comes before the ask leaves. One that wasn't answered yet goes with it, by its own t0. */
    bool open =
        node->lease_ask > node->lease_answered && node->lease_spec_index == state->spec_index;
    node->lease_services = wanted | (open ? node->lease_services : 0);
    node->lease_spec_index = state->spec_index;
    node->lease_asked_ms[++node->lease_ask % LEASE_ASKS_KEPT] = now_ms;
    node_send_report(node);
}

void node_on_lease_polled(uv_async_t *async) {
    node_ask_for_leases(async->data, false);
}

static struct lease_facts *place_for(struct noctuad *node, const char *service, uint64_t now_ms) {
    struct lease_facts *spare = &node->held[0];
    for (uint32_t i = 0; i < SERVICE_MAX; i++) {
        struct lease_facts *lease = &node->held[i];
        if (text_equal(lease->service, service)) {
            return lease;
        }
        spare = lease->until_ms <= now_ms ? lease : spare; /* as many places as services */
    }
    return spare;
}

void node_on_lease(struct noctuad *node, const struct lease_answer *answer) {
    bool known = answer->number <= node->lease_ask && answer->number > node->lease_answered &&
                 node->lease_ask - answer->number < LEASE_ASKS_KEPT;
    if (answer->boot != node->report.boot || !known || node->stopping) {
        return; /* of an earlier process, or overtaken */
    }
    node->lease_answered = answer->number;
    uint64_t now_ms = clock_boottime_ms(node->clock);
    uint64_t asked_ms = node->lease_asked_ms[answer->number % LEASE_ASKS_KEPT];
    for (uint32_t i = 0; i < answer->grant_count; i++) {
        const struct lease_grant *grant = &answer->grants[i];
        struct lease_facts *lease = place_for(node, grant->service, now_ms);
        memcpy(lease->service, grant->service, sizeof lease->service);
        memcpy(lease->region, grant->region, sizeof lease->region);
        lease->epoch = grant->epoch;
        lease->until_ms = asked_ms + grant->length_ms;
    }
    node_publish_soon(node);
}
