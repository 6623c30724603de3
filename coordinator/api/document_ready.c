/* `ready`: whether a move would go through now, for a runbook's first line and for cron. Gates are
 * what decides; the rest is what a decision needs to be carried out. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "document_mongo.h"
#include "document_parts.h"

#define CERTIFICATE_DAYS_MIN 7
#define TTL_MAX_S 60

struct ready {
    const struct api_facts *facts;
    uint32_t service;
    json_t *rows;
    bool ready;
};

static void add(struct ready *ready, const char *what, json_t *value, const char *limit,
                const char *result) {
    json_t *row = json_object();
    document_set(row, "what", document_text(what));
    document_set(row, "value", value);
    document_set(row, "limit", document_text(limit));
    document_set(row, "result", document_text(result));
    document_append(ready->rows, row);
    ready->ready = ready->ready && !text_equal(result, "FAIL");
}

static const char *pass_if(bool good) {
    return good ? "pass" : "FAIL";
}

static void add_gates(struct ready *ready, const struct move_preview *preview) {
    for (unsigned g = 0; g < GATE_COUNT; g++) {
        enum gate gate = (enum gate)g;
        const struct gate_reading *reading = &preview->gates[g];
        char value[GATE_TEXT_SIZE];
        char limit[GATE_TEXT_SIZE];
        if (!gate_is_manual(gate) || reading->result == GATE_NOT_APPLICABLE) {
            continue; /* of an event that isn't there: nothing has died */
        }
        document_gate_value(gate, reading, value);
        document_gate_limit(gate, reading, limit);
        add(ready, gate_word(gate), document_text(value), limit, gate_result_text(reading->result));
    }
}

/* zone NULL: the replica set. */
static void add_target(struct ready *ready, const char *zone, const char *limit) {
    const struct api_facts *facts = ready->facts;
    const char *service = facts->state->spec.services[ready->service].name;
    struct target_facts target = {.result = TARGET_NOT_READ, .words = "only the leader reads it"};
    char what[NAME_SIZE + 8] = "mongo fence";
    char age[DURATION_TEXT_SIZE];
    if (zone != NULL) {
        (void)snprintf(what, sizeof what, "zone %s", zone);
    }
    if (facts->target != NULL) {
        facts->target(facts->trouble_context, service, zone, &target);
    }
    bool right = target.result == TARGET_RIGHT;
    add(ready, what,
        right ? document_format("as it should be, read %s ago",
                                document_duration(facts->now_ms - target.read_ms, age))
              : document_text(target.words),
        limit, pass_if(right));
}

static void add_targets(struct ready *ready) {
    const struct spec_service *spec = &ready->facts->state->spec.services[ready->service];
    for (uint32_t z = 0; z < spec->zone_count; z++) {
        add_target(ready, spec->zones[z].id, "records, fence");
    }
    if (spec->mongo.used) {
        add_target(ready, NULL, "this service's");
    }
}

/* Those that a move is for: without the active region's. */
static void add_quorum(struct ready *ready) {
    const struct api_facts *facts = ready->facts;
    const struct state *state = facts->state;
    uint32_t active = state->services[ready->service].active;
    const char *lost = document_region_name(state, active);
    uint32_t left = 0;
    for (uint32_t n = 0; n < state->node_count; n++) {
        left += document_node_is_seen(facts, n) && !text_equal(state->nodes[n].region, lost);
    }
    uint32_t need = state->node_count / 2 + 1;
    char limit[32];
    (void)snprintf(limit, sizeof limit, "%" PRIu32 " nodes", need);
    add(ready, "quorum", document_format("%" PRIu32 " without %s", left, lost), limit,
        pass_if(left >= need));
    struct policy_input nothing;
    int spare = votes_spare_observers(state, document_policy(facts, &nothing), ready->service);
    add(ready, "observers",
        spare < 0 ? document_text("too few") : document_format("%d to spare", spare), "0",
        pass_if(spare >= 0));
}

static void add_certificates(struct ready *ready) {
    const struct api_facts *facts = ready->facts;
    const struct state *state = facts->state;
    uint32_t least = UINT32_MAX;
    const char *whose = "";
    for (uint32_t n = 0; n < state->node_count; n++) {
        const struct report *report = document_report(facts, n);
        if (report != NULL && report->certificate_days < least) {
            least = report->certificate_days;
            whose = state->nodes[n].name;
        }
    }
    if (least != UINT32_MAX) {
        add(ready, "certificates", document_format("%" PRIu32 " days left, %s", least, whose),
            "7 days", pass_if(least >= CERTIFICATE_DAYS_MIN));
    }
}

static void add_ttl(struct ready *ready) {
    const struct spec_service *spec = &ready->facts->state->spec.services[ready->service];
    uint32_t longest = 0;
    const char *whose = "";
    for (uint32_t i = 0; i < spec->record_count; i++) {
        bool has_ttl = spec->records[i].kind != RECORD_ALIAS; /* an alias has its target's */
        if (has_ttl && spec->records[i].ttl_s > longest) {
            longest = spec->records[i].ttl_s;
            whose = spec->records[i].name;
        }
    }
    if (longest > 0) {
        add(ready, "ttl", document_format("%" PRIu32 "s, %s", longest, whose), "60s",
            longest <= TTL_MAX_S ? "pass" : "warning");
    }
}

static bool has_electable(const struct mongo_facts *facts, uint32_t region) {
    for (uint32_t i = 0; i < facts->member_count; i++) {
        const struct mongo_member *member = &facts->members[i];
        if (member->region == region && member->votes && member->priority_milli > 0 &&
            !member->hidden && !member->arbiter && member->delay_s == 0) {
            return true;
        }
    }
    return false;
}

/* Where members stand, whatever happens to be alive now. */
static void add_places(struct ready *ready, const struct mongo_facts *set) {
    const struct state *state = ready->facts->state;
    const struct spec_service *spec = &state->spec.services[ready->service];
    for (uint32_t i = 0; i < spec->target_count; i++) {
        if (!has_electable(set, spec->targets[i])) {
            add(ready, "mongo members",
                document_format("none to elect in %s",
                                document_region_name(state, spec->targets[i])),
                "1 a target", "FAIL");
        }
    }
    for (uint32_t r = 0; r < state->spec.region_count; r++) {
        if (document_set_depends_on(set, r)) {
            add(ready, "mongo majority",
                document_format("losing %s loses the replica set's majority; every such move needs "
                                "an approval. Use 2+2+1",
                                document_region_name(state, r)),
                "any region may go", "warning");
        }
    }
}

/* They count for nothing: the set is weaker than it looks. */
static void add_kept_out(struct ready *ready, const struct mongo_view *view) {
    const struct service *s = &ready->facts->state->services[ready->service];
    const struct mongo_facts *set = &view->facts;
    const char *service = s->name;
    for (uint32_t i = 0; i < s->left_out_count; i++) {
        bool is_out = document_is_left_out(set, s->left_out[i].host);
        if (is_out) {
            add(ready, "mongo members",
                document_format("%s is out since a forced reconfiguration: noctuactl mongo "
                                "readmit %s %s",
                                s->left_out[i].host, service, s->left_out[i].host),
                "every member", "warning");
        }
        if (is_out && document_would_impose(&s->left_out[i], view)) {
            add(ready, "mongo old side",
                document_format("%s knew of term %" PRIu64 ", newer than the set's: its config "
                                "would win. Start it only with an empty data directory",
                                s->left_out[i].host, s->left_out[i].known_term),
                "no newer term", "warning");
        }
    }
    for (uint32_t i = 0; i < set->member_count; i++) {
        if (set->members[i].kept_out) {
            add(ready, "mongo votes",
                document_format("%s has none since a forced reconfiguration: noctuactl mongo "
                                "readmit %s %s",
                                set->members[i].host, service, set->members[i].host),
                "every member", "warning");
        }
    }
}

static void add_set(struct ready *ready) {
    const struct api_facts *facts = ready->facts;
    const struct spec_mongo *mongo = &facts->state->spec.services[ready->service].mongo;
    struct mongo_view view;
    if (!mongo->used) {
        return;
    }
    document_view_set(facts, ready->service, &view);
    const char *login = document_set_login_trouble(facts, ready->service);
    add(ready, "mongo config",
        view.facts.member_total > 0 ? document_format("%s, %" PRIu32 " members",
                                                      view.facts.set_name, view.facts.member_total)
                                    : document_text("never read"),
        "read", pass_if(view.facts.member_total > 0));
    if (login[0] != '\0') {
        add(ready, "mongo login",
            document_text(text_equal(login, "auth") ? "the server refuses the credentials, or what "
                                                      "they may do"
                                                    : "a node can't read the credentials"),
            "every node", "FAIL");
    }
    if (view.facts.member_total > 0) {
        add_places(ready, &view.facts);
        add_kept_out(ready, &view);
    }
    if (mongo->write_check[0] == '\0') {
        add(ready, "mongo write_check", document_text("none"), "a collection", "warning");
    } else {
        char age[DURATION_TEXT_SIZE];
        bool ever = view.facts.write_age_ms != MONGO_AGE_NEVER;
        bool good = ever && view.facts.write_age_ms <= mongo->max_lag_age_ms;
        add(ready, "mongo write_check",
            ever ? document_format("%s ago%s%s", document_duration(view.facts.write_age_ms, age),
                                   view.facts.write_trouble[0] == '\0' ? "" : ", ",
                                   view.facts.write_trouble)
                 : document_format("never%s%s", view.facts.write_trouble[0] == '\0' ? "" : ", ",
                                   view.facts.write_trouble),
            "w:majority", good ? "pass" : "warning");
    }
}

enum core_error document_ready_move(const struct api_facts *facts, uint32_t service, uint32_t to,
                                    struct move_preview *ret) {
    const struct spec_service *spec = &facts->state->spec.services[service];
    uint32_t active = facts->state->services[service].active;
    to = to != NONE_INDEX ? to : preview_choose_target(facts, service);
    if (to == NONE_INDEX) { /* none is fit: of the first it says why */
        to = active != spec->home || spec->target_count == 0 ? spec->home : spec->targets[0];
    }
    return preview_move(facts, service, EXECUTION_FAILOVER, to, 0, ret);
}

json_t *document_ready(const struct api_facts *facts, const struct move_preview *preview,
                       bool *ret_ready) {
    const struct state *state = facts->state;
    const struct spec_service *spec = &state->spec.services[preview->service];
    struct ready ready = {facts, preview->service, json_array(), true};
    add_gates(&ready, preview);
    add_targets(&ready);
    add_set(&ready);
    add_quorum(&ready);
    add_certificates(&ready);
    add_ttl(&ready);
    add(&ready, "mode", document_text(mode_text(spec->mode)), "auto",
        spec->mode == MODE_AUTO ? "pass" : "warning");
    json_t *object = json_object();
    document_set(object, "service", document_text(spec->name));
    document_set(object, "from", document_region(state, preview->from));
    document_set(object, "to", document_region(state, preview->to));
    document_set(object, "ready", document_bool(ready.ready));
    document_set(object, "rows", ready.rows);
    *ret_ready = ready.ready;
    return object;
}
