/* What is paged about services: facts of committed state, which every node holds alike. So every
 * node pages them under the group's one key: whichever of them can reach the receiver is enough,
 * and a node that was away says nothing that the others don't take back. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "api/documents.h"
#include "base/text.h"
#include "node.h"

#define TOLD_AT_LEAST_MS 5000 /* a move is over faster than anybody looks */
#define READY_EVERY_MS 1000

static const char *region_of(const struct state *state, uint32_t region) {
    return region < state->spec.region_count ? state->spec.regions[region].name : "?";
}

/* Not what mode observe would have done, nor what an operator has vetoed. */
static bool is_suspect(const struct state *state, uint32_t s) {
    const struct suspect *suspect = &state->services[s].suspect;
    return suspect->open && !suspect->rejected && service_is_managed(&state->services[s]) &&
           state->spec.services[s].mode != MODE_OBSERVE &&
           state_override(state, OVERRIDE_VETO, state->services[s].name, NULL) == NULL;
}

static bool is_moving(const struct execution *execution, uint64_t wall_ms) {
    bool just_ended = execution->phase == EXECUTION_ENDED && execution->begun_index != 0 &&
                      wall_ms < execution->end_wall_ms + TOLD_AT_LEAST_MS;
    return execution_kind_moves(execution->kind) && (execution_is_open(execution) || just_ended);
}

/* One that holds up its move until a person acts; a cancel takes back what it can. */
static const struct step *find_failed_step(const struct execution *execution) {
    for (uint32_t i = 0; execution_is_open(execution) && i < execution->step_count; i++) {
        const struct step *step = &execution->steps[i];
        bool refused = step->phase == STEP_REFUSED && !step->continue_on_failure &&
                       execution->phase != EXECUTION_CANCELLING;
        if (step->phase == STEP_UNKNOWN || refused) {
            return step;
        }
    }
    return NULL;
}

static bool is_stopped(const struct service *service) {
    const struct execution *execution = &service->execution;
    bool stopped = execution->phase == EXECUTION_ENDED && execution->result == RESULT_STOPPED;
    return service->half_moved || stopped || find_failed_step(execution) != NULL;
}

/* "nocturnal: epoch 8: step dns is refused; noctuactl status nocturnal" */
static void describe_stop(const struct service *service, char *text, size_t size) {
    const struct step *step = find_failed_step(&service->execution);
    if (step != NULL) {
        (void)snprintf(text, size, "%s: epoch %" PRIu64 ": step %s is %s; noctuactl status %s",
                       service->name, service->execution.epoch, step->name,
                       step_phase_text(step->phase), service->name);
    } else {
        (void)snprintf(text, size, "%s: epoch %" PRIu64 " %s; noctuactl status %s", service->name,
                       service->epoch, service->half_moved ? "is between two regions" : "stopped",
                       service->name);
    }
}

static bool holds(const struct api_facts *facts, enum pager_alarm alarm, uint32_t s) {
    const struct service *service = &facts->state->services[s];
    const struct suspect *suspect = &service->suspect;
    switch (alarm) {
    case PAGER_SUSPECT:
        return is_suspect(facts->state, s);
    case PAGER_APPROVAL_WANTED:
        return is_suspect(facts->state, s) && suspect->note == NOTE_ASKED && !suspect->approved;
    case PAGER_BLOCKED:
        return is_suspect(facts->state, s) && suspect->note == NOTE_BLOCKED;
    case PAGER_MOVING:
        return is_moving(&service->execution, facts->wall_ms);
    case PAGER_MOVE_STOPPED:
        return is_stopped(service);
    default:
        return false;
    }
}

/* "nocturnal: us-east-1 is down", and what to type. */
static void describe(const struct api_facts *facts, enum pager_alarm alarm, uint32_t s, char *text,
                     size_t size) {
    const struct state *state = facts->state;
    const struct service *service = &state->services[s];
    const struct execution *execution = &service->execution;
    const char *suspect = region_of(state, service->suspect.region);
    if (alarm == PAGER_BLOCKED && document_majority_line(facts, s, text, size)) {
        return; /* the same command as in explain: only a person may say who is dead */
    }
    switch (alarm) {
    case PAGER_APPROVAL_WANTED:
        (void)snprintf(text, size, "%s: %s is down; noctuactl approve %s, or reject", service->name,
                       suspect, service->name);
        break;
    case PAGER_MOVING:
        (void)snprintf(text, size, "%s: %s -> %s, epoch %" PRIu64 ", by %.64s", service->name,
                       region_of(state, execution->from), region_of(state, execution->to),
                       execution->epoch, execution->actor);
        break;
    case PAGER_MOVE_STOPPED:
        describe_stop(service, text, size);
        break;
    default:
        (void)snprintf(text, size, "%s: %s is down; noctuactl explain %s", service->name, suspect,
                       service->name);
        break;
    }
}

static void look_at_pauses(struct noctuad *node, const struct api_facts *facts) {
    const struct override *forgotten = NULL;
    char detail[256] = "";
    for (uint32_t i = 0; i < facts->state->override_count; i++) {
        const struct override *held = &facts->state->overrides[i];
        if (held->kind == OVERRIDE_PAUSE &&
            facts->wall_ms > held->wall_ms + node->config.alarm.pause_forgotten_ms) {
            forgotten = held;
        }
    }
    if (forgotten != NULL) {
        (void)snprintf(detail, sizeof detail, "%s by %.64s: %.100s; noctuactl resume",
                       forgotten->service[0] == '\0' ? "all services" : forgotten->service,
                       forgotten->actor, forgotten->reason);
    }
    pager_set(node->pager, PAGER_PAUSE_FORGOTTEN, forgotten != NULL, detail);
}

void node_look_at_services(struct noctuad *node, const struct api_facts *facts) {
    static const enum pager_alarm alarms[] = {PAGER_SUSPECT, PAGER_APPROVAL_WANTED, PAGER_BLOCKED,
                                              PAGER_MOVING, PAGER_MOVE_STOPPED};
    if (!facts->was_caught_up) {
        return; /* the log that is being read tells the past */
    }
    for (size_t a = 0; a < ARRAY_LENGTH(alarms); a++) {
        char detail[256] = "";
        bool any = false;
        for (uint32_t s = 0; s < facts->state->spec.service_count && !any; s++) {
            any = holds(facts, alarms[a], s);
            if (any) {
                describe(facts, alarms[a], s, detail, sizeof detail);
            }
        }
        pager_set(node->pager, alarms[a], any, detail);
    }
    look_at_pauses(node, facts);
}

/* Of what may move by itself, while nothing happens to it, and nobody has said that it mustn't. */
static bool must_be_ready(const struct state *state, uint32_t s) {
    const struct service *service = &state->services[s];
    bool held = state_override(state, OVERRIDE_VETO, service->name, NULL) != NULL ||
                state_override(state, OVERRIDE_PAUSE, service->name, NULL) != NULL;
    return !held && service_is_managed(service) && state->spec.services[s].mode != MODE_OBSERVE &&
           !service->suspect.open && !execution_is_open(&service->execution);
}

static bool is_ready(const struct api_facts *facts, uint32_t s) {
    struct move_preview preview;
    bool ready = false;
    if (document_ready_move(facts, s, NONE_INDEX, &preview) == CORE_OK) {
        json_decref(document_ready(facts, &preview, &ready));
    }
    return ready;
}

static void look_at_readiness(struct noctuad *node, const struct api_facts *facts) {
    const struct state *state = facts->state;
    char detail[256] = "";
    bool any = false;
    if (facts->now_ms < node->ready_ms + READY_EVERY_MS) {
        return;
    }
    node->ready_ms = facts->now_ms;
    if (node->ready_spec_index != state->spec_index || !node->tells_of_targets) {
        /* other places, or times */
        memset(node->unready_since_ms, 0, sizeof node->unready_since_ms);
        memset(node->elsewhere_since_ms, 0, sizeof node->elsewhere_since_ms);
        node->ready_spec_index = state->spec_index;
    }
    for (uint32_t s = 0; s < state->spec.service_count; s++) {
        uint64_t *since_ms = &node->unready_since_ms[s];
        if (must_be_ready(state, s) && !is_ready(facts, s)) {
            *since_ms = *since_ms == 0 ? facts->now_ms : *since_ms;
        } else {
            *since_ms = 0;
        }
        if (*since_ms != 0 && facts->now_ms - *since_ms >= node->config.alarm.not_ready_ms) {
            any = true;
            (void)snprintf(detail, sizeof detail, "%s; noctuactl ready %s says why",
                           state->services[s].name, state->services[s].name);
        }
    }
    pager_set(node->pager, PAGER_NOT_READY, any, detail);
}

/* A person's doing, or an election's. Priorities may bring it back: not told at once. */
static bool primary_is_elsewhere(const struct api_facts *facts, uint32_t s,
                                 struct mongo_view *ret_view) {
    const struct state *state = facts->state;
    const struct service *service = &state->services[s];
    const struct spec_mongo *mongo = &state->spec.services[s].mongo;
    if (!mongo->used || !service_is_managed(service) || service->half_moved ||
        execution_is_open(&service->execution) || facts->policy == NULL) {
        return false;
    }
    policy_view_set(state, facts->policy, s, ret_view);
    if (ret_view->primary == NONE_INDEX) {
        return false;
    }
    uint32_t region = ret_view->facts.members[ret_view->primary].region;
    bool is_followed =
        mongo->on_own_election == MONGO_ELECTION_FOLLOW && spec_may_serve(&state->spec, s, region);
    return region != service->active && !is_followed;
}

static void look_at_primaries(struct noctuad *node, const struct api_facts *facts) {
    const struct state *state = facts->state;
    char detail[256] = "";
    bool any = false;
    for (uint32_t s = 0; s < state->spec.service_count; s++) {
        struct mongo_view view;
        uint64_t *since_ms = &node->elsewhere_since_ms[s];
        if (!primary_is_elsewhere(facts, s, &view)) {
            *since_ms = 0;
            continue;
        }
        *since_ms = *since_ms == 0 ? facts->now_ms : *since_ms;
        if (facts->now_ms - *since_ms >= node->config.alarm.primary_elsewhere_ms) {
            any = true;
            (void)snprintf(detail, sizeof detail,
                           "%s: %.120s takes writes, %s serves; noctuactl switchover %s",
                           state->services[s].name, view.facts.members[view.primary].host,
                           region_of(state, state->services[s].active), state->services[s].name);
        }
    }
    pager_set(node->pager, PAGER_PRIMARY_ELSEWHERE, any, detail);
}

static void look_at_records(struct noctuad *node) {
    const struct inspection *foreign = inspector_first(node->inspector, INSPECTION_FOREIGN);
    char detail[2 * sizeof foreign->service + sizeof foreign->zone + sizeof foreign->words + 64] =
        "";
    if (foreign != NULL) {
        (void)snprintf(detail, sizeof detail, "%s %s: %s; noctuactl %s %s", foreign->service,
                       foreign->zone, foreign->words, foreign->remedy, foreign->service);
    }
    pager_set(node->pager, PAGER_FOREIGN_CHANGE, foreign != NULL, detail);
}

/* What only the leader sees. Nobody knows what an earlier one has told: a new leader tells how it
 * is once it has read everything, and one that is deposed takes nothing back. */
void node_look_at_targets(struct noctuad *node, const struct api_facts *facts) {
    static const enum pager_alarm alarms[] = {PAGER_FOREIGN_CHANGE, PAGER_NOT_READY,
                                              PAGER_PRIMARY_ELSEWHERE};
    bool tells = inspector_has_read_all(node->inspector);
    if (tells) {
        look_at_records(node);
        look_at_readiness(node, facts);
        look_at_primaries(node, facts);
    }
    for (size_t a = 0; a < ARRAY_LENGTH(alarms) && tells != node->tells_of_targets; a++) {
        if (tells) {
            pager_take_over(node->pager, alarms[a]);
        } else {
            pager_hand_over(node->pager, alarms[a]);
        }
    }
    node->tells_of_targets = tells;
}
