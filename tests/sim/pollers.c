/* Who polls the nodes' endpoints, in each region: load balancers, health checkers, and writers that
 * go by their lease. All through, also while nothing else works; what they are told is judged in
 * judge_endpoints.c. */
#include <stdio.h>

#include "base/text.h"
#include "parts.h"
#include "world.h"

#define POLL_EVERY_US (60 * SIM_MS) /* some node, at most */
#define PATH_SIZE 128

static void fill_path(const struct sim_poll *poll, char path[PATH_SIZE]) {
    const char *region = world_regions[poll->region];
    switch (poll->route) {
    case HTTP_ROUTE_SWITCH:
        (void)snprintf(path, PATH_SIZE, "/switch/svc%u/%s", poll->service + 1, region);
        break;
    case HTTP_ROUTE_PRIMARY:
        (void)snprintf(path, PATH_SIZE, "/services/svc%u/primary", poll->service + 1);
        break;
    case HTTP_ROUTE_ACTIVE:
    case HTTP_ROUTE_LEASE:
        (void)snprintf(path, PATH_SIZE, "/services/svc%u/regions/%s/%s", poll->service + 1, region,
                       http_route_text(poll->route));
        break;
    default:
        (void)snprintf(path, PATH_SIZE, "/%s", http_route_text(poll->route));
        break;
    }
}

/* Written once: each is asked for thousands of times. */
static const char *path_of(const struct sim_poll *poll) {
    static char paths[HTTP_ROUTE_COUNT][WORLD_SERVICE_MAX][WORLD_REGION_MAX][PATH_SIZE];
    char *path = paths[poll->route][poll->service][poll->region];
    if (path[0] == '\0') {
        fill_path(poll, path);
    }
    return path;
}

static void ask(struct sim_node *node, const struct sim_poll *poll) {
    static const enum http_verb verbs[] = {HTTP_VERB_GET, HTTP_VERB_HEAD, HTTP_VERB_OPTIONS};
    struct chance *chance = &node->sim->poll_chance;
    static struct http_request request; /* large; only these two parts of it are ever set */
    struct http_answer answer;
    request.verb = verbs[chance_below(chance, ARRAY_LENGTH(verbs))];
    (void)TEXT_COPY(request.path, path_of(poll));
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
