/* What this node says each second, and at each probe's result while a window stands. */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "node.h"

void node_note_windows(struct noctuad *node) {
    const struct state *state = replica_state(node->replica);
    uint64_t now_ms = clock_boottime_ms(node->clock);
    struct seen_window kept[SERVICE_MAX];
    memset(kept, 0, sizeof kept);
    for (uint32_t s = 0; s < state->spec.service_count; s++) {
        const struct suspect *suspect = &state->services[s].suspect;
        if (!suspect->open) {
            continue;
        }
        kept[s] = (struct seen_window){suspect->index, now_ms};
        for (uint32_t i = 0; i < SERVICE_MAX; i++) {
            if (node->windows[i].suspect_index == suspect->index) {
                kept[s] = node->windows[i];
            }
        }
    }
    memcpy(node->windows, kept, sizeof kept);
}

static void fill_opinion(struct noctuad *node, uint32_t service, uint32_t region,
                         struct report_opinion *ret) {
    struct probe_opinion opinion;
    memset(ret, 0, sizeof *ret);
    if (!probe_engine_opinion(node->probes, service, region, &opinion)) {
        return;
    }
    ret->value = opinion.value;
    ret->first_index = opinion.first_start_index;
    ret->last_index = opinion.last_start_index;
    uint64_t now_ms = clock_boottime_ms(node->clock);
    bool failing = opinion.failing_since_ms != 0 && opinion.failing_since_ms < now_ms;
    uint64_t failing_ms = failing ? now_ms - opinion.failing_since_ms : 0;
    ret->failing_ms = (uint32_t)(failing_ms < UINT32_MAX ? failing_ms : UINT32_MAX);
    (void)TEXT_COPY(ret->worst_check, opinion.worst_check);
    (void)snprintf(ret->worst_code, sizeof ret->worst_code, "%s",
                   opinion.worst_check[0] == '\0' ? "" : probe_result_text(opinion.worst_code));
}

void node_build_report(struct noctuad *node) {
    const struct state *state = replica_state(node->replica);
    struct replica_status status;
    struct report *report = &node->report;
    replica_read_status(node->replica, &status);
    uint64_t now_ms = clock_boottime_ms(node->clock);
    report->node_id = status.id;
    report->boot = status.boot;
    report->sequence++;
    report->applied_index = state->applied_index;
    if (report->spec_index != state->spec_index) {
        /* Fewer services, perhaps: what is beyond them stays empty. */
        memset(report->windows, 0, sizeof report->windows);
        memset(report->opinions, 0, sizeof report->opinions);
        memset(report->mongo, 0, sizeof report->mongo);
    }
    report->spec_index = state->spec_index;
    report->wall_ms = clock_wall_ms(node->clock);
    report->feature_level = node->feature_level;
    (void)TEXT_COPY(report->region, node->config.region);
    memcpy(report->storage, status.storage, sizeof report->storage);
    (void)snprintf(report->version, sizeof report->version, "%s", NOCTUA_VERSION);
    replica_digest(node->replica, &report->digest_index, report->digest);
    bool reachable = probe_control_reaches(node->control);
    report->control_reachable = probe_control_reached_count(node->control);
    report->control_total = probe_control_total_count(node->control);
    int64_t days = tls_identity_days_left(node->identity, report->wall_ms);
    report->certificate_days = days < 0 ? 0 : (uint32_t)days;
    bool asks =
        node->lease_ask > node->lease_answered && node->lease_spec_index == state->spec_index;
    report->lease_ask = asks ? node->lease_ask : 0;
    report->lease_services = asks ? node->lease_services : 0;
    report->service_count = state->spec.service_count;
    report->region_count = state->spec.region_count;
    node_report_sets(node, report);
    for (uint32_t s = 0; s < report->service_count; s++) {
        const struct seen_window *seen = &node->windows[s];
        report->windows[s] = (struct report_window){
            seen->suspect_index, seen->suspect_index == 0 ? 0 : now_ms - seen->seen_ms};
        for (uint32_t r = 0; r < report->region_count; r++) {
            fill_opinion(node, s, r, &report->opinions[s][r]);
            if (!reachable || node->probed_spec_index != state->spec_index) {
                /* Cut off from everything outside, or about other checks: it can't tell. */
                report->opinions[s][r].value = OPINION_UNKNOWN;
            }
        }
    }
}

void node_send_report(struct noctuad *node) {
    if (node->stopping) {
        return;
    }
    node_build_report(node);
    replica_send_report(node->replica, &node->report);
}
