/* Who polls the nodes' endpoints, in each region: load balancers, health checkers, and writers that
 * go by their lease. All through, also while nothing else works; what they are told is judged in
 * judge_endpoints.c. */
#include <stdio.h>

#include "base/text.h"
#include "parts.h"
#include "world.h"

#define POLL_EVERY_US (60 * SIM_MS) /* some node, at most */

static void fill_path(const struct sim_poll *poll, char path[HTTP_TARGET_MAX]) {
    const char *region = world_regions[poll->region];
    switch (poll->route) {
    case HTTP_ROUTE_SWITCH:
        (void)snprintf(path, HTTP_TARGET_MAX, "/switch/svc%u/%s", poll->service + 1, region);
        break;
    case HTTP_ROUTE_PRIMARY:
        (void)snprintf(path, HTTP_TARGET_MAX, "/services/svc%u/primary", poll->service + 1);
        break;
    case HTTP_ROUTE_ACTIVE:
    case HTTP_ROUTE_LEASE:
        (void)snprintf(path, HTTP_TARGET_MAX, "/services/svc%u/regions/%s/%s", poll->service + 1,
                       region, http_route_text(poll->route));
        break;
    default:
        (void)snprintf(path, HTTP_TARGET_MAX, "/%s", http_route_text(poll->route));
        break;
    }
}

static void ask(struct sim_node *node, const struct sim_poll *poll) {
    static const enum http_verb verbs[] = {HTTP_VERB_GET, HTTP_VERB_HEAD, HTTP_VERB_OPTIONS};
    struct chance *chance = &node->sim->poll_chance;
    struct http_request request = {.verb = verbs[chance_below(chance, ARRAY_LENGTH(verbs))]};
    struct http_answer answer;
    fill_path(poll, request.path);
    if (parts_ask(node, poll->is_public, &request, &answer)) {
        judge_told(node, poll, &answer);
    }
}

static void on_poll(void *context) {
    static const enum http_route routes[] = {HTTP_ROUTE_SWITCH, HTTP_ROUTE_ACTIVE,
                                             HTTP_ROUTE_PRIMARY, HTTP_ROUTE_LIVEZ};
    struct sim *sim = context;
    struct chance *chance = &sim->poll_chance;
    struct sim_node *node = &sim->nodes[chance_below(chance, sim->node_count)];
    struct sim_poll poll = {.region = (uint32_t)chance_below(chance, 3),
                            .is_public = chance_below(chance, 4) == 0};
    for (poll.service = 0; poll.service < sim->service_count; poll.service++) {
        poll.route = HTTP_ROUTE_LEASE;
        ask(node, &poll);
        poll.route = routes[chance_below(chance, ARRAY_LENGTH(routes))];
        ask(node, &poll);
    }
    sim_at(sim, sim->now_us + chance_between(chance, 1, POLL_EVERY_US), on_poll, sim);
}

void pollers_begin(struct sim *sim) {
    on_poll(sim);
}
