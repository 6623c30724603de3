/* Invariant 20: what a node's endpoints say is what some committed command has said, whether or not
 * the node has a quorum; and in words that machines go by. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "judge_private.h"
#include "parts.h"

#define SERVING_REGIONS 2 /* of each service */

/* NONE_INDEX: none, or nothing is known of that time. */
static uint32_t active_at(const struct judged *judged, uint32_t service, uint64_t index) {
    const struct judged_service *kept = &judged->services[service];
    uint32_t at = kept->active_count;
    while (at > 0 && kept->actives[at - 1].index > index) {
        at--;
    }
    return at == 0 ? NONE_INDEX : kept->actives[at - 1].active;
}

void judge_view(struct sim_node *node) {
    const struct view *view = parts_view(node);
    const struct judged *judged = node->sim->judged;
    for (uint32_t i = 0; i < view->service_count && view->applied_index <= judged->last_index;
         i++) {
        if (view->services[i].active != active_at(judged, i, view->applied_index)) {
            sim_broken(node->sim, "endpoints say what is committed (20)", "%s of %s at %llu",
                       view->services[i].name, node->name, (unsigned long long)view->applied_index);
        }
    }
}

static bool is_of_service(const struct sim_poll *poll) {
    return poll->route == HTTP_ROUTE_PRIMARY || poll->region < SERVING_REGIONS;
}

/* Of a node that knows: `active` was, at the command that it goes by. */
static bool is_right(const struct sim *sim, const struct sim_poll *poll, uint32_t active,
                     const struct http_answer *answer) {
    char words[HTTP_SMALL_MAX];
    if (!is_of_service(poll)) {
        return answer->status == HTTP_STATUS_NOT_FOUND;
    }
    if (poll->route == HTTP_ROUTE_PRIMARY && poll->service == 0 && sim->set != NULL) {
        return true; /* what the node has seen of the set, which no command says */
    }
    if (active == NONE_INDEX) {
        return answer->status == HTTP_STATUS_SERVICE_UNAVAILABLE;
    }
    switch (poll->route) {
    case HTTP_ROUTE_ACTIVE:
        return answer->status ==
               (poll->region == active ? HTTP_STATUS_OK : HTTP_STATUS_SERVICE_UNAVAILABLE);
    case HTTP_ROUTE_SWITCH:
        (void)snprintf(words, sizeof words, "%s-%s", poll->region == active ? "KEEP" : "EVICT",
                       world_regions[poll->region]);
        break;
    default:
        (void)snprintf(words, sizeof words, "%s\n", world_regions[active]);
        break;
    }
    return answer->status == HTTP_STATUS_OK && text_equal(answer->body, words);
}

static void judge_words(struct sim_node *node, const struct sim_poll *poll,
                        const struct http_answer *answer) {
    struct sim *sim = node->sim;
    struct spoken *spoken = &sim->judged->spoken[node->place];
    const struct view *view = parts_view(node);
    uint64_t index = view == NULL ? 0 : view->applied_index;
    bool speaks = answer->status == HTTP_STATUS_OK;
    bool spoke = spoken->life == node->life;
    if (!speaks && !spoke) {
        return; /* it doesn't know yet how far it is behind */
    }
    if (!is_right(sim, poll, active_at(sim->judged, poll->service, index), answer)) {
        sim_broken(sim, "endpoints say what is committed (20)",
                   "%s at %llu: %s of svc%u in %s: %u %s", node->name, (unsigned long long)index,
                   http_route_text(poll->route), poll->service + 1, world_regions[poll->region],
                   answer->status, answer->body);
    }
    if (speaks && index < spoken->index) {
        sim_broken(sim, "endpoints say what is committed (20)", "%s goes back from %llu to %llu",
                   node->name, (unsigned long long)spoken->index, (unsigned long long)index);
    }
    if (speaks && poll->route == HTTP_ROUTE_SWITCH) {
        *spoken = (struct spoken){node->life, index};
    }
}

static void judge_lease_answer(struct sim_node *node, const struct sim_poll *poll,
                               const struct http_answer *answer) {
    static const char key[] = "\"expires_in_ms\": ";
    if (answer->status != HTTP_STATUS_OK) {
        return;
    }
    const char *at = strstr(answer->body, key);
    uint64_t left_ms = at == NULL ? 0 : strtoull(at + sizeof key - 1, NULL, 10);
    if (left_ms == 0 || !is_of_service(poll)) {
        sim_broken(node->sim, "one holder of a lease (2)", "%s tells %s: %s", node->name,
                   world_regions[poll->region], answer->body);
    }
    judge_lease(node->sim, poll->service, node->place, poll->region, left_ms);
}

void judge_told(struct sim_node *node, const struct sim_poll *poll,
                const struct http_answer *answer) {
    bool hidden =
        poll->is_public && (poll->route == HTTP_ROUTE_ACTIVE || poll->route == HTTP_ROUTE_PRIMARY);
    unsigned status = hidden ? HTTP_STATUS_NOT_FOUND : HTTP_STATUS_OK;
    if (poll->route == HTTP_ROUTE_LEASE) {
        judge_lease_answer(node, poll, answer);
    } else if (!hidden && poll->route != HTTP_ROUTE_LIVEZ) {
        judge_words(node, poll, answer);
    } else if (answer->status != status) {
        sim_broken(node->sim, "endpoints answer", "%s to %s%s: %u", node->name,
                   hidden ? "public " : "", http_route_text(poll->route), answer->status);
    }
}
