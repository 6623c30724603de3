/* `nodes`, `version` and `spec`. */
#include <inttypes.h>
#include <string.h>

#include "base/text.h"
#include "document_parts.h"

static const char *node_role(const struct api_facts *facts, uint32_t node) {
    if (facts->state->nodes[node].id == facts->leader_id) {
        return "leader";
    }
    return !document_node_is_seen(facts, node) ? "silent"
           : facts->links[node].joining        ? "joining"
                                               : "follower";
}

/* How old what the leader knows of a node is, if that node has not applied what the leader has. */
static json_t *behind_ms(const struct api_facts *facts, uint32_t node,
                         const struct report *report) {
    const struct policy_input *policy = facts->policy;
    if (text_equal(facts->state->nodes[node].name, facts->node)) {
        return document_known(facts->leads ? 0 : facts_age_ms(facts));
    }
    if (policy == NULL || policy->reports[node] == NULL) {
        return json_null();
    }
    uint64_t silent_ms = policy->now_ms - policy->received_ms[node];
    bool current = report != NULL && silent_ms < 2 * (uint64_t)REPORT_INTERVAL_MS;
    return document_number(current ? 0 : silent_ms);
}

static json_t *node_row(const struct api_facts *facts, uint32_t node) {
    const struct state *state = facts->state;
    const struct report *report = document_report(facts, node);
    const struct policy_input *policy = facts->policy;
    /* What a silent node said last is still worth showing. */
    const struct report *last = report == NULL && policy != NULL ? policy->reports[node] : report;
    json_t *row = json_object();
    document_set(row, "name", document_text(state->nodes[node].name));
    document_set(row, "region", document_text(state->nodes[node].region));
    document_set(row, "role", document_text(node_role(facts, node)));
    document_set(row, "applied_index", last == NULL ? NULL : document_number(last->applied_index));
    document_set(row, "behind_ms", behind_ms(facts, node, report));
    json_t *control = json_null();
    if (report != NULL) {
        control = json_object();
        document_set(control, "reachable", document_number(report->control_reachable));
        document_set(control, "total", document_number(report->control_total));
    }
    document_set(row, "control", control);
    document_set(row, "certificate_days",
                 last == NULL ? NULL : document_number(last->certificate_days));
    document_set(row, "version", last == NULL ? NULL : document_text(last->version));
    document_set(
        row, "link",
        document_bool(facts->links[node].up || text_equal(state->nodes[node].name, facts->node)));
    document_set(row, "match_index",
                 facts->links[node].match_index == 0
                     ? NULL
                     : document_number(facts->links[node].match_index));
    if (facts->links[node].joining && facts->links[node].match_index > 0) {
        document_set(row, "last_index", document_number(facts->last_log_index));
    }
    return row;
}

/* One that isn't in the group: it joins, or waits to be added. */
static json_t *stranger_row(const struct api_facts *facts, const struct stranger_facts *stranger) {
    json_t *row = json_object();
    document_set(row, "name", document_text(stranger->name));
    document_set(row, "region", json_null());
    document_set(row, "role", document_text(stranger->joining ? "joining" : "not added"));
    document_set(row, "applied_index", json_null());
    document_set(row, "behind_ms", json_null());
    document_set(row, "control", json_null());
    document_set(row, "certificate_days", json_null());
    document_set(row, "version", json_null());
    document_set(row, "link", document_bool(stranger->up));
    document_set(row, "match_index",
                 stranger->joining ? document_number(stranger->match_index) : json_null());
    document_set(row, "last_index", document_number(facts->last_log_index));
    return row;
}

static json_t *quorum_sentence(uint32_t seen, uint32_t need, uint32_t total) {
    if (total == 0) {
        return document_text("The group has no nodes yet.");
    }
    if (seen < need) {
        return document_format("No quorum: %" PRIu32 " of %" PRIu32 " nodes seen, %" PRIu32
                               " needed. Endpoints hold their answers; nothing moves.",
                               seen, total, need);
    }
    if (seen == need) {
        return document_format(
            "Quorum %" PRIu32 " of %" PRIu32 ". Losing one more stops automation.", need, total);
    }
    return document_format("Quorum %" PRIu32 " of %" PRIu32 ". %" PRIu32 " can be lost.", need,
                           total, seen - need);
}

json_t *document_nodes(const struct api_facts *facts) {
    uint32_t total = facts->state->node_count;
    uint32_t need = total / 2 + 1;
    uint32_t seen = 0;
    json_t *rows = json_array();
    for (uint32_t i = 0; i < total; i++) {
        document_append(rows, node_row(facts, i));
        seen += document_node_is_seen(facts, i);
    }
    for (uint32_t i = 0; i < facts->stranger_count; i++) {
        document_append(rows, stranger_row(facts, &facts->strangers[i]));
    }
    json_t *quorum = json_object();
    document_set(quorum, "need", document_number(need));
    document_set(quorum, "seen", document_number(seen));
    document_set(quorum, "total", document_number(total));
    json_t *nodes = json_object();
    document_set(nodes, "nodes", rows);
    document_set(nodes, "quorum", quorum);
    document_set(nodes, "sentence", quorum_sentence(seen, need, total));
    return nodes;
}

json_t *document_version(const struct api_facts *facts) {
    json_t *version = json_object();
    document_set(version, "version", document_text(facts->version));
    document_set(version, "cluster", document_text(facts->state->cluster));
    document_set(version, "node", document_text(facts->node));
    document_set(version, "feature_level", document_number(facts->state->feature_level));
    document_set(version, "incarnation", document_number(facts->state->incarnation));
    return version;
}

static json_t *revision_row(const struct spec_revision *revision) {
    json_t *row = json_object();
    document_set(row, "index", document_number(revision->index));
    document_set(row, "at", document_time(revision->wall_ms));
    document_set(row, "by", document_text(revision->actor));
    document_set(row, "reason", document_text(revision->reason));
    return row;
}

json_t *document_spec(const struct spec_revision *revision) {
    json_t *spec = revision_row(revision);
    document_set(spec, "text", json_stringn(revision->text, revision->text_size));
    return spec;
}

json_t *document_revisions(const struct api_facts *facts) {
    const struct state *state = facts->state;
    json_t *rows = json_array();
    for (uint64_t i = 0; i < SPEC_REVISION_MAX && i < state->revision_count; i++) {
        uint64_t newest = state->revision_count - 1;
        document_append(rows, revision_row(&state->revisions[(newest - i) % SPEC_REVISION_MAX]));
    }
    json_t *document = json_object();
    document_set(document, "revisions", rows);
    return document;
}
