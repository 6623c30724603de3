/* The text of /metrics. Every family has its HELP and TYPE once, then its samples; what has no
 * sample at all is left out. */
#include "api/metrics.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "api/documents.h"
#include "base/text.h"
#include "metrics_private.h"

#define BUCKET_MAX 10
#define SLOT_COUNT 4096 /* a power of two, well over SERVICE_MAX * REGION_MAX */
#define SLOT_USED_MAX (2 * SERVICE_MAX * REGION_MAX) /* names come and go with the spec */
#define CODE_SIZE 24

struct histogram {
    uint64_t buckets[BUCKET_MAX];
    uint64_t count, sum_ms;
};

static const uint64_t probe_buckets_ms[BUCKET_MAX] = {5,   10,  25,   50,   100,
                                                      250, 500, 1000, 2500, 10000};
static const uint64_t move_buckets_ms[BUCKET_MAX] = {500,   1000,  2500,   5000,   10000,
                                                     30000, 60000, 120000, 600000, 3600000};

struct code_count {
    char code[CODE_SIZE];
    uint64_t count;
};

/* Probes of one region of one service. */
struct probe_slot {
    char service[NAME_SIZE], region[NAME_SIZE];
    struct histogram durations;
    struct code_count codes[METRICS_CODE_MAX];
    uint64_t other_codes;
};

struct metrics {
    struct probe_slot *slots[SLOT_COUNT];
    uint32_t slot_count;
    uint64_t events[EVENT_KIND_COUNT];
    uint64_t results[8]; /* ended executions by enum execution_result */
    struct histogram moves;
    bool counting;
    uint64_t event_count, move_count; /* counted up to here */
};

struct metrics *metrics_create(void) {
    return calloc(1, sizeof(struct metrics));
}

void metrics_destroy(struct metrics *metrics) {
    if (metrics == NULL) {
        return;
    }
    for (uint32_t i = 0; i < SLOT_COUNT; i++) {
        free(metrics->slots[i]);
    }
    free(metrics);
}

static void histogram_add(struct histogram *histogram, const uint64_t limits_ms[BUCKET_MAX],
                          uint64_t ms) {
    for (uint32_t i = 0; i < BUCKET_MAX; i++) {
        histogram->buckets[i] += ms <= limits_ms[i];
    }
    histogram->count++;
    histogram->sum_ms += ms;
}

/* FNV-1a. */
static uint32_t hash_text(uint32_t hash, const char *text) {
    for (; *text != '\0'; text++) {
        hash = (hash ^ (unsigned char)*text) * 16777619u;
    }
    return hash * 16777619u;
}

static struct probe_slot *find_slot(struct metrics *metrics, const char *service,
                                    const char *region) {
    uint32_t at = hash_text(hash_text(2166136261u, service), region) % SLOT_COUNT;
    while (metrics->slots[at] != NULL) {
        struct probe_slot *slot = metrics->slots[at];
        if (text_equal(slot->service, service) && text_equal(slot->region, region)) {
            return slot;
        }
        at = (at + 1) % SLOT_COUNT;
    }
    struct probe_slot *slot = metrics->slot_count < SLOT_USED_MAX ? calloc(1, sizeof *slot) : NULL;
    if (slot != NULL && TEXT_COPY(slot->service, service) && TEXT_COPY(slot->region, region)) {
        metrics->slots[at] = slot;
        metrics->slot_count++;
        return slot;
    }
    free(slot);
    return NULL;
}

void metrics_count_probe(struct metrics *metrics, const char *service, const char *region,
                         const char *code, uint32_t duration_ms) {
    struct probe_slot *slot = find_slot(metrics, service, region);
    if (slot == NULL) {
        return;
    }
    histogram_add(&slot->durations, probe_buckets_ms, duration_ms);
    for (uint32_t i = 0; i < METRICS_CODE_MAX; i++) {
        struct code_count *counted = &slot->codes[i];
        if (counted->count == 0 && !TEXT_COPY(counted->code, code)) {
            break;
        }
        if (text_equal(counted->code, code)) {
            counted->count++;
            return;
        }
    }
    slot->other_codes++;
}

void metrics_count_events(struct metrics *metrics, const struct state *state) {
    if (!metrics->counting || metrics->event_count > state->event_count) {
        metrics->counting = true;
        metrics->event_count = state->event_count;
        metrics->move_count = state->move_count;
        return;
    }
    for (uint64_t number = metrics->event_count + 1; number <= state->event_count; number++) {
        const struct event *event = document_find_event(state, number);
        if (event == NULL) {
            continue; /* more came in one snapshot than are kept */
        }
        metrics->events[event->kind]++;
        bool ended = event->kind == EVENT_MOVE_ENDED;
        if (ended && event->value < ARRAY_LENGTH(metrics->results)) {
            metrics->results[event->value]++;
        }
        metrics->results[RESULT_LAPSED] += event->kind == EVENT_LAPSED;
    }
    for (uint64_t i = metrics->move_count; i < state->move_count; i++) {
        const struct move *move = &state->moves[i % MOVE_MAX];
        if (state->move_count - i <= MOVE_MAX && !move->would_have &&
            move->result != RESULT_LAPSED) {
            histogram_add(&metrics->moves, move_buckets_ms, move->took_ms);
        }
    }
    metrics->event_count = state->event_count;
    metrics->move_count = state->move_count;
}

void metrics_family(struct buffer *out, const char *name, const char *type, const char *help) {
    buffer_append_format(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void gauge(struct buffer *out, const char *name, const char *help, uint64_t value) {
    metrics_family(out, name, "gauge", help);
    buffer_append_format(out, "%s %" PRIu64 "\n", name, value);
}

void metrics_append_seconds(struct buffer *out, uint64_t ms) {
    buffer_append_format(out, "%" PRIu64 ".%03" PRIu64, ms / 1000, ms % 1000);
}

static void append_histogram(struct buffer *out, const char *name, const char *labels,
                             const uint64_t limits_ms[BUCKET_MAX],
                             const struct histogram *histogram) {
    const char *comma = labels[0] == '\0' ? "" : ",";
    for (uint32_t i = 0; i < BUCKET_MAX; i++) {
        buffer_append_format(out, "%s_bucket{%s%sle=\"", name, labels, comma);
        metrics_append_seconds(out, limits_ms[i]);
        buffer_append_format(out, "\"} %" PRIu64 "\n", histogram->buckets[i]);
    }
    buffer_append_format(out, "%s_bucket{%s%sle=\"+Inf\"} %" PRIu64 "\n", name, labels, comma,
                         histogram->count);
    buffer_append_format(out, labels[0] == '\0' ? "%s_sum%s " : "%s_sum{%s} ", name, labels);
    metrics_append_seconds(out, histogram->sum_ms);
    buffer_append_format(out, labels[0] == '\0' ? "\n%s_count%s" : "\n%s_count{%s}", name, labels);
    buffer_append_format(out, " %" PRIu64 "\n", histogram->count);
}

/* A label's value; names need no escapes, a version may. */
static void append_label(struct buffer *out, const char *key, const char *value) {
    buffer_append_format(out, "%s=\"", key);
    for (; *value != '\0'; value++) {
        if (*value == '\n') {
            buffer_append_text(out, "\\n");
        } else {
            buffer_append_format(out, *value == '"' || *value == '\\' ? "\\%c" : "%c", *value);
        }
    }
    buffer_append_text(out, "\"");
}

static void render_node(const struct api_facts *facts, struct buffer *out) {
    const struct state *state = facts->state;
    uint64_t age_ms = facts_age_ms(facts);
    metrics_family(out, "noctua_build_info", "gauge",
                   "Version, node and cluster as labels; always 1.");
    buffer_append_text(out, "noctua_build_info{");
    append_label(out, "version", facts->version);
    buffer_append_text(out, ",");
    append_label(out, "node", facts->node);
    buffer_append_text(out, ",");
    append_label(out, "cluster", state->cluster);
    buffer_append_text(out, "} 1\n");
    gauge(out, "noctua_leader", "Whether this node leads, its barrier and LEADER applied.",
          facts->leads);
    gauge(out, "noctua_leader_known", "Whether this node knows a leader.", facts->leader_id != 0);
    gauge(out, "noctua_term", "Raft's term.", facts->term);
    gauge(out, "noctua_applied_index", "Commands applied to committed state.",
          state->applied_index);
    gauge(out, "noctua_up_to_date",
          "Whether everything known to be committed is applied and a quorum was seen recently.",
          facts->caught_up && age_ms <= QUORUM_RECENT_MS);
    if (age_ms != UINT64_MAX) {
        metrics_family(out, "noctua_quorum_age_seconds", "gauge",
                       "Since the last contact with a quorum, when this text was made.");
        buffer_append_text(out, "noctua_quorum_age_seconds ");
        metrics_append_seconds(out, age_ms);
        buffer_append_text(out, "\n");
    }
    gauge(out, "noctua_feature_level", "Committed feature level.", state->feature_level);
    gauge(out, "noctua_spec_index", "Revision of the spec: the entry that brought it.",
          state->spec_index);
    gauge(out, "noctua_automation_halted", "Whether automation stopped because replicas differ.",
          state->halted);
    if (facts->own_report != NULL) {
        gauge(out, "noctua_certificate_remaining_seconds",
              "Until this node's certificate ends, in whole days.",
              UINT64_C(86400) * facts->own_report->certificate_days);
        gauge(out, "noctua_control_reachable", "Control targets that this node reaches.",
              facts->own_report->control_reachable);
        gauge(out, "noctua_control_targets", "Control targets configured.",
              facts->own_report->control_total);
    }
}

static void render_alarms(const struct api_facts *facts, struct buffer *out) {
    metrics_family(out, "noctua_alarm", "gauge", "Whether this node pages about this by itself.");
    for (uint32_t i = 0; i < facts->alarm_count; i++) {
        buffer_append_format(out, "noctua_alarm{alarm=\"%s\"} %d\n", facts->alarms[i].word,
                             facts->alarms[i].holds);
    }
    metrics_family(out, "noctua_alarms_told", "gauge",
                   "Whether every receiver has taken all of it; 0 for long: nobody knows.");
    buffer_append_format(out, "noctua_alarms_told %d\n", facts->alarms_told);
}

static void render_links(const struct api_facts *facts, struct buffer *out) {
    const struct state *state = facts->state;
    if (state->node_count == 0) {
        return;
    }
    metrics_family(out, "noctua_link_up", "gauge", "Whether the link to a node is up.");
    for (uint32_t n = 0; n < state->node_count; n++) {
        buffer_append_format(out, "noctua_link_up{peer=\"%s\",region=\"%s\"} %d\n",
                             state->nodes[n].name, state->nodes[n].region, facts->links[n].up);
    }
    metrics_family(out, "noctua_node_silent", "gauge",
                   "Whether a node's reports stopped, as committed.");
    for (uint32_t n = 0; n < state->node_count; n++) {
        buffer_append_format(out, "noctua_node_silent{peer=\"%s\"} %d\n", state->nodes[n].name,
                             state->nodes[n].expired);
    }
    if (facts->leads) {
        metrics_family(out, "noctua_match_index", "gauge",
                       "Raft's log index up to which a node has the leader's log.");
        for (uint32_t n = 0; n < state->node_count; n++) {
            buffer_append_format(out, "noctua_match_index{peer=\"%s\"} %" PRIu64 "\n",
                                 state->nodes[n].name, facts->links[n].match_index);
        }
    }
}

/* The regions that a service may be active in, as bits. */
static uint32_t regions_of(const struct spec_service *spec) {
    uint32_t bits = UINT32_C(1) << spec->home;
    for (uint32_t i = 0; i < spec->target_count; i++) {
        bits |= UINT32_C(1) << spec->targets[i];
    }
    return bits;
}

/* One family with a sample for each (service, region). */
static void render_by_region(const struct api_facts *facts, struct buffer *out,
                             void (*sample)(const struct state *, uint32_t, uint32_t,
                                            struct buffer *)) {
    const struct state *state = facts->state;
    for (uint32_t s = 0; s < state->spec.service_count; s++) {
        uint32_t bits = regions_of(&state->spec.services[s]);
        for (uint32_t r = 0; r < state->spec.region_count; r++) {
            if ((bits >> r & 1) != 0) {
                sample(state, s, r, out);
            }
        }
    }
}

static void sample_active(const struct state *state, uint32_t s, uint32_t r, struct buffer *out) {
    const struct service *service = &state->services[s];
    buffer_append_format(out, "noctua_service_active{service=\"%s\",region=\"%s\"} %d\n",
                         service->name, state->spec.regions[r].name,
                         service->adopted && service->active == r);
}

static void sample_votes(const struct state *state, uint32_t s, uint32_t r, struct buffer *out) {
    struct votes votes;
    votes_count(state, s, r, &votes);
    const struct {
        const char *vote;
        uint32_t count;
    } rows[] = {{"up", votes.up},
                {"degraded", votes.degraded},
                {"down", votes.down},
                {"unknown", votes.unknown}};
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        buffer_append_format(
            out, "noctua_verdict_votes{service=\"%s\",region=\"%s\",vote=\"%s\"} %" PRIu32 "\n",
            state->services[s].name, state->spec.regions[r].name, rows[i].vote, rows[i].count);
    }
}

static void sample_verdict(const struct state *state, uint32_t s, uint32_t r, struct buffer *out) {
    struct votes votes;
    votes_count(state, s, r, &votes);
    buffer_append_format(out, "noctua_verdict{service=\"%s\",region=\"%s\"} %d\n",
                         state->services[s].name, state->spec.regions[r].name,
                         (int)votes_verdict(&votes));
}

static void sample_opinions(const struct state *state, uint32_t s, uint32_t r, struct buffer *out) {
    for (uint32_t n = 0; n < state->node_count; n++) {
        buffer_append_format(out,
                             "noctua_opinion{service=\"%s\",region=\"%s\",observer=\"%s\"} %d\n",
                             state->services[s].name, state->spec.regions[r].name,
                             state->nodes[n].name, (int)state->services[s].opinions[r][n].value);
    }
}

static void render_regions(const struct api_facts *facts, struct buffer *out) {
    metrics_family(out, "noctua_service_active", "gauge",
                   "1 for the region that serves, by committed state.");
    render_by_region(facts, out, sample_active);
    metrics_family(out, "noctua_verdict_votes", "gauge",
                   "Regions that vote so on a region; its own vote isn't among them.");
    render_by_region(facts, out, sample_votes);
    metrics_family(out, "noctua_verdict", "gauge", "0 unknown, 1 up, 2 degraded, 3 down.");
    render_by_region(facts, out, sample_verdict);
    metrics_family(out, "noctua_opinion", "gauge",
                   "A node's committed opinion: 0 unknown, 1 up, 2 degraded, 3 down.");
    render_by_region(facts, out, sample_opinions);
}

static void per_service(const struct api_facts *facts, struct buffer *out, const char *name,
                        const char *help, uint64_t (*value)(const struct service *)) {
    const struct state *state = facts->state;
    metrics_family(out, name, "gauge", help);
    for (uint32_t s = 0; s < state->spec.service_count; s++) {
        buffer_append_format(out, "%s{service=\"%s\"} %" PRIu64 "\n", name, state->services[s].name,
                             value(&state->services[s]));
    }
}

static uint64_t value_epoch(const struct service *service) {
    return service->epoch;
}

static uint64_t value_adopted(const struct service *service) {
    return service->adopted;
}

static uint64_t value_suspect(const struct service *service) {
    return service->suspect.open;
}

static uint64_t value_open(const struct service *service) {
    return execution_is_open(&service->execution);
}

static uint64_t value_half_moved(const struct service *service) {
    return service->half_moved;
}

static uint64_t value_debts(const struct service *service) {
    return service->debt_count;
}

static void render_services(const struct api_facts *facts, struct buffer *out) {
    const struct state *state = facts->state;
    if (state->spec.service_count == 0) {
        return;
    }
    render_regions(facts, out);
    per_service(facts, out, "noctua_service_epoch", "Epoch of the last accepted move.",
                value_epoch);
    per_service(facts, out, "noctua_service_adopted", "Whether the service has been adopted.",
                value_adopted);
    per_service(facts, out, "noctua_suspect", "Whether the active region is suspected.",
                value_suspect);
    per_service(facts, out, "noctua_execution_open", "Whether a move is under way.", value_open);
    per_service(facts, out, "noctua_half_moved", "Whether the last move ended between two regions.",
                value_half_moved);
    per_service(facts, out, "noctua_debts", "Released steps that were not settled yet.",
                value_debts);
    metrics_family(out, "noctua_service_state", "gauge", "1, with the state's word as a label.");
    for (uint32_t s = 0; s < state->spec.service_count; s++) {
        buffer_append_format(out,
                             "noctua_service_state{service=\"%s\",mode=\"%s\",state=\"%s\"} 1\n",
                             state->services[s].name, mode_text(state->spec.services[s].mode),
                             document_service_state(facts, s));
    }
}

static bool any_service(const struct state *state, uint64_t (*value)(const struct service *)) {
    bool any = false;
    for (uint32_t s = 0; s < state->spec.service_count; s++) {
        any = any || value(&state->services[s]) != 0;
    }
    return any;
}

static void render_suspicions(const struct api_facts *facts, struct buffer *out) {
    const struct state *state = facts->state;
    if (facts->policy == NULL || !any_service(state, value_suspect)) {
        return; /* only a leader reads gates */
    }
    metrics_family(
        out, "noctua_gate", "gauge",
        "Gates of a service that is suspected: 1 passes, 0 fails; n/a ones are left out.");
    for (uint32_t s = 0; s < state->spec.service_count; s++) {
        struct move_preview preview;
        if (!state->services[s].suspect.open) {
            continue;
        }
        preview_automatic(facts, s, &preview);
        for (unsigned gate = 0; gate < GATE_COUNT; gate++) {
            if (preview.gates[gate].result != GATE_NOT_APPLICABLE) {
                buffer_append_format(out, "noctua_gate{service=\"%s\",gate=\"%s\"} %d\n",
                                     state->services[s].name, gate_word((enum gate)gate),
                                     preview.gates[gate].result != GATE_FAIL);
            }
        }
    }
}

static void render_steps(const struct api_facts *facts, struct buffer *out) {
    const struct state *state = facts->state;
    if (!any_service(state, value_open)) {
        return;
    }
    metrics_family(out, "noctua_step", "gauge",
                   "Steps of open executions: 1, with the phase as a label.");
    for (uint32_t s = 0; s < state->spec.service_count; s++) {
        const struct execution *execution = &state->services[s].execution;
        for (uint32_t i = 0; execution_is_open(execution) && i < execution->step_count; i++) {
            buffer_append_format(out, "noctua_step{service=\"%s\",step=\"%s\",phase=\"%s\"} 1\n",
                                 state->services[s].name, execution->steps[i].name,
                                 step_phase_text(execution->steps[i].phase));
        }
    }
    metrics_family(out, "noctua_step_attempts", "gauge",
                   "Requests sent so far by steps of open executions.");
    for (uint32_t s = 0; s < state->spec.service_count; s++) {
        const struct execution *execution = &state->services[s].execution;
        for (uint32_t i = 0; execution_is_open(execution) && i < execution->step_count; i++) {
            buffer_append_format(
                out, "noctua_step_attempts{service=\"%s\",step=\"%s\"} %" PRIu32 "\n",
                state->services[s].name, execution->steps[i].name, execution->steps[i].attempts);
        }
    }
}

static void render_counters(const struct metrics *metrics, struct buffer *out) {
    metrics_family(out, "noctua_events_total", "counter",
                   "Events of committed state seen by this process, by kind.");
    for (unsigned kind = 0; kind < EVENT_KIND_COUNT; kind++) {
        buffer_append_format(out, "noctua_events_total{kind=\"%s\"} %" PRIu64 "\n",
                             event_kind_text((enum event_kind)kind), metrics->events[kind]);
    }
    metrics_family(out, "noctua_executions_total", "counter",
                   "Executions that ended while this process ran, by result.");
    for (unsigned result = RESULT_DONE; result <= RESULT_RELEASED; result++) {
        buffer_append_format(out, "noctua_executions_total{result=\"%s\"} %" PRIu64 "\n",
                             execution_result_text((enum execution_result)result),
                             metrics->results[result]);
    }
    metrics_family(out, "noctua_execution_duration_seconds", "histogram", "From decision to end.");
    append_histogram(out, "noctua_execution_duration_seconds", "", move_buckets_ms,
                     &metrics->moves);
}

static void render_probe_counters(const struct metrics *metrics, struct buffer *out) {
    if (metrics->slot_count == 0) {
        return;
    }
    metrics_family(out, "noctua_probe_results_total", "counter", "Finished probes by result code.");
    for (uint32_t i = 0; i < SLOT_COUNT; i++) {
        const struct probe_slot *slot = metrics->slots[i];
        for (uint32_t c = 0; slot != NULL && c < METRICS_CODE_MAX; c++) {
            if (slot->codes[c].count > 0) {
                buffer_append_format(out,
                                     "noctua_probe_results_total{service=\"%s\",region=\"%s\","
                                     "code=\"%s\"} %" PRIu64 "\n",
                                     slot->service, slot->region, slot->codes[c].code,
                                     slot->codes[c].count);
            }
        }
        if (slot != NULL && slot->other_codes > 0) {
            buffer_append_format(out,
                                 "noctua_probe_results_total{service=\"%s\",region=\"%s\","
                                 "code=\"other\"} %" PRIu64 "\n",
                                 slot->service, slot->region, slot->other_codes);
        }
    }
    metrics_family(out, "noctua_probe_duration_seconds", "histogram", "How long probes took.");
    for (uint32_t i = 0; i < SLOT_COUNT; i++) {
        const struct probe_slot *slot = metrics->slots[i];
        char labels[2 * NAME_SIZE + 32];
        if (slot != NULL) {
            (void)snprintf(labels, sizeof labels, "service=\"%s\",region=\"%s\"", slot->service,
                           slot->region);
            append_histogram(out, "noctua_probe_duration_seconds", labels, probe_buckets_ms,
                             &slot->durations);
        }
    }
}

static void render_checks(const struct api_facts *facts, struct buffer *out) {
    const struct state *state = facts->state;
    bool headed = false;
    for (uint32_t i = 0; i < facts->probe_count; i++) {
        const struct probe_facts *probe = &facts->probes[i];
        if (probe->service >= state->spec.service_count ||
            probe->region >= state->spec.region_count) {
            continue; /* of an older spec */
        }
        if (!headed) {
            metrics_family(
                out, "noctua_check", "gauge",
                "A check as this node sees it: 0 unknown, 1 up, 3 down; its last code as a label.");
            headed = true;
        }
        buffer_append_format(
            out, "noctua_check{service=\"%s\",region=\"%s\",check=\"%s\",code=\"%s\"} %d\n",
            state->spec.services[probe->service].name, state->spec.regions[probe->region].name,
            probe->check, probe->code, (int)probe->state);
    }
}

static void render_overrides(const struct api_facts *facts, struct buffer *out) {
    uint32_t counts[OVERRIDE_KIND_COUNT] = {0};
    for (uint32_t i = 0; i < facts->state->override_count; i++) {
        counts[facts->state->overrides[i].kind]++;
    }
    metrics_family(out, "noctua_overrides", "gauge", "Vetoes, pauses and maintenances in force.");
    for (unsigned kind = 0; kind < OVERRIDE_KIND_COUNT; kind++) {
        buffer_append_format(out, "noctua_overrides{kind=\"%s\"} %" PRIu32 "\n",
                             override_kind_text((enum override_kind)kind), counts[kind]);
    }
}

void metrics_render(const struct metrics *metrics, const struct api_facts *facts,
                    struct buffer *out) {
    render_node(facts, out);
    render_links(facts, out);
    metrics_render_sets(facts, out);
    render_alarms(facts, out);
    render_services(facts, out);
    render_suspicions(facts, out);
    render_steps(facts, out);
    render_overrides(facts, out);
    render_checks(facts, out);
    render_counters(metrics, out);
    render_probe_counters(metrics, out);
}
