/* Leadership, handed over by request. Nothing of it goes into the log by itself: the heir's LEADER
 * entry is what history shows. */
#include <inttypes.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "server_private.h"

/* An heir that is further behind would have to be waited for, without a leader. */
#define BEHIND_MAX 1000 /* log entries */

static uint64_t behind(const struct api_facts *facts, uint32_t n) {
    uint32_t self = state_find_node(facts->state, facts->leader_id);
    uint64_t own = self == NONE_INDEX ? 0 : facts->links[self].match_index;
    return own > facts->links[n].match_index ? own - facts->links[n].match_index : 0;
}

/* The closest node that is up; NONE_INDEX: there is none. */
static uint32_t choose_heir(const struct api_facts *facts) {
    uint32_t best = NONE_INDEX;
    for (uint32_t n = 0; n < facts->state->node_count; n++) {
        bool fit = facts->state->nodes[n].id != facts->leader_id && facts->links[n].up &&
                   behind(facts, n) <= BEHIND_MAX;
        if (fit && (best == NONE_INDEX || behind(facts, n) < behind(facts, best))) {
            best = n;
        }
    }
    return best;
}

static void answer(struct api_request *request, const char *leader, const char *was) {
    struct api_facts facts;
    request->server->calls.facts(request->server->calls.context, &facts);
    struct answer answer = {.document = json_object(), .index = facts.state->applied_index};
    if (answer.document != NULL) {
        (void)json_object_set_new(answer.document, "leader", json_string(leader));
    }
    (void)snprintf(answer.message, sizeof answer.message, "%s leads%s.", leader, was);
    api_request_answer(request, &answer);
}

static void on_transferred(void *context, enum error_code error) {
    struct api_request *request = context;
    if (!api_request_resume(request)) {
        return;
    }
    if (error == ERROR_OK) {
        answer(request, request->node_name, " now");
    } else if (error == ERROR_NOT_LEADER) {
        api_request_fail_not_leader(request);
    } else {
        api_request_fail(request, EXIT_CODE_REFUSED, "NOT_READY",
                         "%s didn't take over in time (%s), so nothing has changed. noctuactl "
                         "nodes shows how far it is",
                         request->node_name, error_text(error));
    }
    api_request_end(request);
}

/* NONE_INDEX: refused, answered. */
static uint32_t find_heir(struct api_request *request, const struct api_facts *facts) {
    const char *to = request->message->transfer_leader->to;
    if (to[0] == '\0') {
        uint32_t heir = choose_heir(facts);
        if (heir == NONE_INDEX) {
            api_request_fail(request, EXIT_CODE_REFUSED, "NOT_READY",
                             "no other node is up and close enough, so %s goes on. noctuactl nodes "
                             "shows them",
                             facts->node);
        }
        return heir;
    }
    uint32_t heir = NONE_INDEX;
    for (uint32_t n = 0; n < facts->state->node_count; n++) {
        if (text_equal(facts->state->nodes[n].name, to)) {
            heir = n;
        }
    }
    if (heir == NONE_INDEX) {
        api_request_fail(request, EXIT_CODE_USAGE, "NO_NODE",
                         "the group has no node '%.64s': noctuactl nodes lists them", to);
        return NONE_INDEX;
    }
    if (facts->state->nodes[heir].id == facts->leader_id) {
        answer(request, to, " already");
        return NONE_INDEX;
    }
    if (!facts->links[heir].up) {
        api_request_fail(request, EXIT_CODE_REFUSED, "NOT_READY",
                         "%s is silent, so it can't lead: choose another (noctuactl nodes)", to);
        return NONE_INDEX;
    }
    if (behind(facts, heir) > BEHIND_MAX) {
        api_request_fail(request, EXIT_CODE_REFUSED, "NOT_READY",
                         "%s is %" PRIu64 " entries behind: wait until it has caught up (noctuactl "
                         "nodes)",
                         to, behind(facts, heir));
        return NONE_INDEX;
    }
    return heir;
}

void api_transfer_begin(struct api_request *request, const struct api_facts *facts) {
    const struct api_client *client = request->client;
    const struct api_calls *calls = &request->server->calls;
    if (client->role < ROLE_OPERATOR) {
        api_request_fail(request, EXIT_CODE_NOT_AUTHORISED, "ROLE",
                         "transfer-leader needs the role %s; the certificate of %s says %s",
                         role_text(ROLE_OPERATOR), client->actor, role_text(client->role));
        return;
    }
    if (!api_request_may_act(request, facts, "")) {
        return;
    }
    uint32_t heir = find_heir(request, facts);
    if (heir == NONE_INDEX) {
        return;
    }
    memcpy(request->node_name, facts->state->nodes[heir].name, sizeof request->node_name);
    LOG_EVENT(LEADERSHIP_TRANSFER, LOG_TEXT("to", request->node_name),
              LOG_TEXT("actor", client->actor),
              LOG_TEXT("reason", request->message->transfer_leader->reason));
    request->waiting = true;
    if (!calls->transfer(calls->context, facts->state->nodes[heir].id, on_transferred, request)) {
        request->waiting = false;
        api_request_fail(request, EXIT_CODE_REFUSED, "BUSY",
                         "leadership is being handed over already: noctuactl nodes");
    }
}
