/* Nodes that join and leave the group. What would put the quorum at risk is refused here, with the
 * numbers; one change at a time is the replica's rule. */
#include <inttypes.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "document_parts.h"
#include "server_private.h"

static const struct stranger_facts *find_stranger(const struct api_facts *facts, const char *name) {
    for (uint32_t i = 0; i < facts->stranger_count; i++) {
        if (text_equal(facts->strangers[i].name, name)) {
            return &facts->strangers[i];
        }
    }
    return NULL;
}

static uint32_t find_node(const struct api_facts *facts, const char *name) {
    for (uint32_t n = 0; n < facts->state->node_count; n++) {
        if (text_equal(facts->state->nodes[n].name, name)) {
            return n;
        }
    }
    return NONE_INDEX;
}

/* Nodes that would be seen and nodes that would be needed once `without` (NONE_INDEX: none) is gone
 * and `more` have come. */
static bool keeps_quorum(const struct api_facts *facts, uint32_t without, uint32_t more,
                         uint32_t *ret_seen, uint32_t *ret_need) {
    uint32_t seen = more;
    uint32_t total = more;
    for (uint32_t n = 0; n < facts->state->node_count; n++) {
        if (n != without) {
            total++;
            seen += document_node_is_seen(facts, n);
        }
    }
    *ret_seen = seen;
    *ret_need = total / 2 + 1;
    return seen >= *ret_need;
}

static bool may_add(struct api_request *request, const struct api_facts *facts, const char *name) {
    const struct stranger_facts *stranger = find_stranger(facts, name);
    uint32_t seen, need;
    if (find_node(facts, name) != NONE_INDEX) {
        api_request_fail(request, EXIT_CODE_REFUSED, "EXISTS",
                         "%s belongs to the group already: noctuactl nodes", name);
    } else if (stranger == NULL) {
        api_request_fail(request, EXIT_CODE_REFUSED, "NO_NODE",
                         "%s isn't among the peers of %s. Write it into `peers` of every node's "
                         "noctuad.yaml and restart them one by one first",
                         name, facts->node);
    } else if (stranger->joining) {
        api_request_fail(request, EXIT_CODE_REFUSED, "EXISTS",
                         "%s is joining already: noctuactl nodes shows how far it is", name);
    } else if (facts->state->node_count + 1 > NODE_MAX) {
        api_request_fail(request, EXIT_CODE_REFUSED, "LIMIT", "a group has %d nodes at most",
                         NODE_MAX);
    } else if (!stranger->up) {
        api_request_fail(request, EXIT_CODE_REFUSED, "NOT_READY",
                         "%s is silent. On it: `noctuad join`, then start noctuad", name);
    } else if (!keeps_quorum(facts, NONE_INDEX, 1, &seen, &need)) {
        api_request_fail(request, EXIT_CODE_REFUSED, "QUORUM",
                         "with %s %" PRIu32 " nodes would be needed and %" PRIu32
                         " are seen: start the silent ones first (noctuactl nodes)",
                         name, need, seen);
    } else {
        return true;
    }
    return false;
}

static bool may_remove(struct api_request *request, const struct api_facts *facts,
                       const char *name) {
    const struct stranger_facts *stranger = find_stranger(facts, name);
    uint32_t n = find_node(facts, name);
    bool has_vote = n != NONE_INDEX;
    uint32_t seen, need;
    if (!has_vote && (stranger == NULL || !stranger->joining)) {
        api_request_fail(request, EXIT_CODE_USAGE, "NO_NODE",
                         "the group has no node '%.64s': noctuactl nodes lists them", name);
    } else if (has_vote && facts->state->nodes[n].id == facts->leader_id) {
        api_request_fail(request, EXIT_CODE_REFUSED, "LEADS",
                         "%s leads. First: noctuactl transfer-leader", name);
    } else if (has_vote && !keeps_quorum(facts, n, 0, &seen, &need)) {
        api_request_fail(request, EXIT_CODE_REFUSED, "QUORUM",
                         "without %s %" PRIu32 " nodes would be needed and %" PRIu32
                         " are seen: add a node or start the silent ones first (noctuactl nodes)",
                         name, need, seen);
    } else {
        return true;
    }
    return false;
}

static void answer(struct api_request *request) {
    struct api_facts facts;
    request->server->calls.facts(request->server->calls.context, &facts);
    bool add = request->message->member->kind == NOCTUA__MEMBER_REQUEST__KIND__ADD;
    struct answer answer = {.document = document_nodes(&facts),
                            .index = facts.state->applied_index};
    (void)snprintf(answer.message, sizeof answer.message,
                   add ? "%s joins: it gets its vote once it has the whole log. noctuactl nodes "
                         "shows how far it is"
                       : "%s is out of the group. Stop it, and never start it again under this "
                         "name; then take it out of `peers`",
                   request->node_name);
    api_request_answer(request, &answer);
}

static void on_changed(void *context, enum error_code error) {
    struct api_request *request = context;
    if (!api_request_resume(request)) {
        return;
    }
    if (error == ERROR_OK) {
        answer(request);
    } else if (error == ERROR_NOT_LEADER) {
        api_request_fail_not_leader(request);
    } else {
        api_request_fail(request, EXIT_CODE_UNREACHABLE, "UNKNOWN",
                         "not known to be done (%s): noctuactl nodes shows it", error_text(error));
    }
    api_request_end(request);
}

void api_member_begin(struct api_request *request, const struct api_facts *facts) {
    const Noctua__MemberRequest *member = request->message->member;
    const struct api_client *client = request->client;
    const struct api_calls *calls = &request->server->calls;
    bool add = member->kind == NOCTUA__MEMBER_REQUEST__KIND__ADD;
    if ((unsigned)member->kind > NOCTUA__MEMBER_REQUEST__KIND__REMOVE) {
        api_request_fail(request, EXIT_CODE_USAGE, "NOT_SUPPORTED", "unknown change");
        return;
    }
    if (client->role < ROLE_ADMIN) {
        api_request_fail(request, EXIT_CODE_NOT_AUTHORISED, "ROLE",
                         "who belongs to the group is for the role %s; the certificate of %s says "
                         "%s",
                         role_text(ROLE_ADMIN), client->actor, role_text(client->role));
        return;
    }
    if (!text_is_name(member->node, NAME_SIZE - 1)) {
        api_request_fail(request, EXIT_CODE_USAGE, "MALFORMED", "'%.64s' is no name of a node",
                         member->node);
        return;
    }
    if (add ? !may_add(request, facts, member->node) : !may_remove(request, facts, member->node)) {
        return;
    }
    (void)TEXT_COPY(request->node_name, member->node);
    LOG_EVENT(MEMBERS_WANTED, LOG_TEXT("change", add ? "add" : "remove"),
              LOG_TEXT("node", member->node), LOG_TEXT("actor", client->actor),
              LOG_TEXT("reason", member->reason));
    request->waiting = true;
    if (!calls->change(calls->context, member->node, add, on_changed, request)) {
        request->waiting = false;
        api_request_fail(request, EXIT_CODE_REFUSED, "BUSY",
                         "another change is under way, one at a time: noctuactl nodes");
    }
}
