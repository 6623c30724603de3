/* Facts about the group and the world: NODES, LEADER, FEATURE, OPINION, EXPIRE, TICK, SUSPECT and
 * the derived UNSUSPECT (DESIGN, "Deciding"; model/deciding/decide.pml). */
#include <string.h>

#include "apply.h"
#include "base/text.h"
#include "plan_rules.h"

void unsuspect(struct apply *a, uint32_t service, const char *why) {
    struct service *s = &a->state->services[service];
    if (!s->suspect.open) {
        return;
    }
    struct event *event = event_add_service(a, EVENT_UNSUSPECT, service);
    (void)TEXT_COPY(event->region, region_name(a->state, s->suspect.region));
    (void)TEXT_COPY(event->detail, why);
    memset(&s->suspect, 0, sizeof s->suspect);
    lapse(a, service, why);
}

static bool bytes_are_zero(const uint8_t *bytes, size_t size) {
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] != 0) {
            return false;
        }
    }
    return true;
}

/* A node that is known keeps its region and storage: a vote doesn't change sides by itself, and a
 * wiped directory isn't the same node. */
static enum core_error check_node_kept(const struct node *old, const char *region,
                                       const uint8_t storage[16]) {
    if (old->region[0] != '\0' && !text_equal(old->region, region)) {
        return CORE_CHANGED;
    }
    if (!bytes_are_zero(old->storage, sizeof old->storage) &&
        memcmp(old->storage, storage, sizeof old->storage) != 0) {
        return CORE_CHANGED;
    }
    return CORE_OK;
}

static enum core_error check_nodes(const struct apply *a) {
    const struct command_nodes *c = &a->command->nodes;
    const struct state *state = a->state;
    if (c->count == 0 || c->count > NODE_MAX) {
        return CORE_LIMIT;
    }
    if (c->incarnation == 0 || !text_is_name(c->cluster, NAME_SIZE - 1)) {
        return CORE_MALFORMED;
    }
    if (state->incarnation != 0 &&
        (c->incarnation != state->incarnation || !text_equal(c->cluster, state->cluster))) {
        return CORE_CHANGED;
    }
    /* Two have a reason to write it, and one must not take back what the other has just written. */
    if (c->nodes_index != state->nodes_index) {
        return CORE_CHANGED;
    }
    for (uint32_t i = 0; i < c->count; i++) {
        if (c->nodes[i].id == 0 || !text_is_name(c->nodes[i].name, NAME_SIZE - 1)) {
            return CORE_MALFORMED;
        }
        for (uint32_t j = 0; j < i; j++) {
            if (c->nodes[i].id == c->nodes[j].id ||
                text_equal(c->nodes[i].name, c->nodes[j].name)) {
                return CORE_MALFORMED;
            }
        }
        uint32_t old = state_find_node(state, c->nodes[i].id);
        if (old != NONE_INDEX) {
            enum core_error error =
                check_node_kept(&state->nodes[old], c->nodes[i].region, c->nodes[i].storage);
            if (error != CORE_OK) {
                return error;
            }
        }
    }
    return CORE_OK;
}

/* Opinions are kept by a node's place: they move with it. */
static void move_opinions(struct state *state, const struct node *old, uint32_t old_count) {
    for (uint32_t s = 0; s < state->spec.service_count; s++) {
        for (uint32_t r = 0; r < REGION_MAX; r++) {
            struct opinion kept[NODE_MAX];
            memset(kept, 0, sizeof kept);
            for (uint32_t n = 0; n < state->node_count; n++) {
                for (uint32_t o = 0; o < old_count; o++) {
                    if (old[o].id == state->nodes[n].id) {
                        kept[n] = state->services[s].opinions[r][o];
                    }
                }
            }
            memcpy(state->services[s].opinions[r], kept, sizeof kept);
        }
    }
}

enum core_error apply_nodes(struct apply *a) {
    enum core_error error = check_nodes(a);
    if (error != CORE_OK) {
        return error;
    }
    struct state *state = a->state;
    const struct command_nodes *c = &a->command->nodes;
    struct node old[NODE_MAX];
    uint32_t old_count = state->node_count;
    memcpy(old, state->nodes, sizeof old);
    memset(state->nodes, 0, sizeof state->nodes);
    for (uint32_t i = 0; i < c->count; i++) {
        struct node *node = &state->nodes[i];
        for (uint32_t o = 0; o < old_count; o++) {
            if (old[o].id == c->nodes[i].id) {
                *node = old[o];
            }
        }
        node->id = c->nodes[i].id;
        memcpy(node->name, c->nodes[i].name, sizeof node->name);
        memcpy(node->region, c->nodes[i].region, sizeof node->region);
        memcpy(node->storage, c->nodes[i].storage, sizeof node->storage);
    }
    state->node_count = c->count;
    state->nodes_index = a->index;
    memcpy(state->cluster, c->cluster, sizeof state->cluster);
    state->incarnation = c->incarnation;
    move_opinions(state, old, old_count);
    event_add(a, EVENT_NODES)->value = c->count;
    for (uint32_t s = 0; s < state->spec.service_count; s++) {
        unsuspect(a, s, "the configured nodes changed");
        /* What a person asked for doesn't rest on who observes. */
        if (state->services[s].execution.automatic) {
            lapse(a, s, "the configured nodes changed");
        }
    }
    return CORE_OK;
}

enum core_error apply_leader(struct apply *a) {
    struct state *state = a->state;
    uint32_t node = state_find_node(state, a->command->leader.id);
    if (node == NONE_INDEX) {
        return CORE_NO_NODE;
    }
    state->leader_term = a->command->term;
    state->leader_id = a->command->leader.id;
    state->leader_index = a->index;
    struct event *event = event_add(a, EVENT_LEADER);
    memcpy(event->subject, state->nodes[node].name, sizeof event->subject);
    event->value = a->command->term;
    for (uint32_t s = 0; s < state->spec.service_count; s++) {
        if (state->services[s].execution.automatic) {
            lapse(a, s, "a new leader before anything was sent");
        }
    }
    return CORE_OK;
}

enum core_error apply_feature(struct apply *a) {
    uint32_t level = a->command->feature.level;
    if (level <= a->state->feature_level || level > FEATURE_LEVEL_NEWEST) {
        return CORE_NOT_SUPPORTED;
    }
    a->state->feature_level = level;
    event_add(a, EVENT_FEATURE)->value = level;
    return CORE_OK;
}

static bool is_alive(enum opinion_value value) {
    return value == OPINION_UP || value == OPINION_DEGRADED;
}

/* An opinion that was alive until this entry hasn't been down ever since an earlier SUSPECT. */
static void set_opinion(struct apply *a, struct opinion *opinion, enum opinion_value value) {
    if (is_alive(opinion->value) || is_alive(value)) {
        opinion->last_alive_index = a->index;
    }
    opinion->value = value;
}

static void forget_opinions(struct apply *a, uint32_t node) {
    for (uint32_t s = 0; s < a->state->spec.service_count; s++) {
        for (uint32_t r = 0; r < a->state->spec.region_count; r++) {
            set_opinion(a, &a->state->services[s].opinions[r][node], OPINION_UNKNOWN);
        }
    }
}

/* Down votes of nodes that were not alive at SUSPECT nor since: the only ones that DECIDE takes. */
static uint32_t votes_since_suspect(const struct state *state, uint32_t service,
                                    const struct suspect *suspect) {
    uint32_t votes = 0;
    const struct opinion *opinions = state->services[service].opinions[suspect->region];
    for (uint32_t n = 0; n < state->node_count; n++) {
        const char *region = state->nodes[n].region;
        if (region[0] == '\0' || !votes_is_first_of_region(state, n) ||
            text_equal(region, region_name(state, suspect->region))) {
            continue;
        }
        uint32_t nodes = 0;
        uint32_t down = 0;
        for (uint32_t i = n; i < state->node_count; i++) {
            bool here = text_equal(state->nodes[i].region, region);
            nodes += here;
            down += here && opinions[i].value == OPINION_DOWN &&
                    opinions[i].last_alive_index < suspect->index;
        }
        votes += down * 2 > nodes;
    }
    return votes;
}

/* UNSUSPECT: the down votes are short and another region sees it alive. Missing votes only pause
 * the window (model: an entry of its own would let a DECIDE slip in between). A window that goes on
 * only by votes that came late could never end in a DECIDE: it ends, so that the next one has them
 * from its beginning. */
static void derive_unsuspect(struct apply *a) {
    struct state *state = a->state;
    for (uint32_t s = 0; s < state->spec.service_count; s++) {
        struct service *service = &state->services[s];
        if (!service->suspect.open) {
            continue;
        }
        struct votes votes;
        votes_count(state, s, service->suspect.region, &votes);
        if (votes.down < votes.need && votes.up + votes.degraded > 0) {
            /* 0 says "never" in the ring. */
            service->unsuspect_ms[service->unsuspect_next] =
                state->time_ms > 0 ? state->time_ms : 1;
            service->unsuspect_next = (service->unsuspect_next + 1) % RECENT_MOVE_MAX;
            unsuspect(a, s, "it was seen alive");
        } else if (votes.down >= votes.need &&
                   votes_since_suspect(state, s, &service->suspect) < votes.need) {
            unsuspect(a, s, "other regions say so now: the window starts anew");
        }
    }
}

static bool report_is_stale(const struct node *node, uint64_t boot, uint64_t sequence) {
    return boot < node->boot ||
           (boot == node->boot &&
            (sequence < node->sequence || (node->expired && sequence == node->sequence)));
}

enum core_error apply_opinion(struct apply *a) {
    const struct command_opinion *c = &a->command->opinion;
    struct state *state = a->state;
    uint32_t n = state_find_node(state, c->node_id);
    if (n == NONE_INDEX) {
        return CORE_NO_NODE;
    }
    if (c->spec_index != state->spec_index) {
        return CORE_CHANGED; /* its places may be other services' now */
    }
    if (c->service >= state->spec.service_count) {
        return CORE_NO_SERVICE;
    }
    if (c->region >= state->spec.region_count) {
        return CORE_NO_REGION;
    }
    if ((unsigned)c->value >= OPINION_VALUE_COUNT || c->boot == 0) {
        return CORE_MALFORMED;
    }
    struct node *node = &state->nodes[n];
    if (report_is_stale(node, c->boot, c->sequence)) {
        return CORE_STALE_REPORT;
    }
    if (c->boot != node->boot) {
        forget_opinions(a, n);
    }
    node->boot = c->boot;
    node->sequence = c->sequence;
    node->expired = false;
    struct opinion *opinion = &state->services[c->service].opinions[c->region][n];
    bool changed = opinion->value != c->value;
    set_opinion(a, opinion, c->value);
    if (changed) {
        struct event *event = event_add_service(a, EVENT_OPINION, c->service);
        (void)TEXT_COPY(event->region, region_name(state, c->region));
        memcpy(event->subject, node->name, sizeof event->subject);
        event->value = c->value;
    }
    derive_unsuspect(a);
    return CORE_OK;
}

enum core_error apply_expire(struct apply *a) {
    const struct command_expire *c = &a->command->expire;
    uint32_t n = state_find_node(a->state, c->node_id);
    if (n == NONE_INDEX) {
        return CORE_NO_NODE;
    }
    struct node *node = &a->state->nodes[n];
    if (c->boot < node->boot || (c->boot == node->boot && c->sequence < node->sequence)) {
        return CORE_STALE_REPORT;
    }
    node->boot = c->boot;
    node->sequence = c->sequence;
    node->expired = true;
    forget_opinions(a, n);
    struct event *event = event_add(a, EVENT_EXPIRE);
    memcpy(event->subject, node->name, sizeof event->subject);
    derive_unsuspect(a);
    return CORE_OK;
}

static void end_overrides(struct apply *a) {
    struct state *state = a->state;
    for (uint32_t i = 0; i < state->override_count;) {
        struct override *held = &state->overrides[i];
        if (held->until_ms == 0 || held->until_ms > state->time_ms) {
            i++;
            continue;
        }
        struct event *event = event_add(a, EVENT_OVERRIDE_END);
        event->value = held->kind;
        memcpy(event->service, held->service, sizeof event->service);
        memcpy(event->region, held->region, sizeof event->region);
        (void)TEXT_COPY(event->detail, "its time is over");
        state->override_count--;
        memmove(held, held + 1, (state->override_count - i) * sizeof *held);
        memset(&state->overrides[state->override_count], 0, sizeof *held);
    }
}

/* Committed time := max(itself, the highest time that the clocks of a majority of all configured
 * nodes have reached): no minority moves it, in either direction. */
enum core_error apply_tick(struct apply *a) {
    const struct command_tick *c = &a->command->tick;
    struct state *state = a->state;
    if (c->count != state->node_count) {
        return CORE_CHANGED;
    }
    uint64_t sorted[NODE_MAX] = {0};
    for (uint32_t i = 0; i < c->count; i++) {
        if (c->clock_ms[i] > TIME_MAX_MS) {
            return CORE_MALFORMED;
        }
        uint32_t at = i;
        for (; at > 0 && sorted[at - 1] < c->clock_ms[i]; at--) {
            sorted[at] = sorted[at - 1];
        }
        sorted[at] = c->clock_ms[i];
    }
    uint64_t reached = sorted[majority(c->count) - 1];
    if (reached > state->time_ms) {
        state->time_ms = reached;
    }
    state->tick_index = a->index;
    for (uint32_t s = 0; s < state->spec.service_count; s++) {
        if (state->services[s].last_move_end_ms == MOVE_END_UNTIMED_MS) {
            state->services[s].last_move_end_ms = state->time_ms > 0 ? state->time_ms : 1;
        }
    }
    end_overrides(a);
    return CORE_OK;
}

enum core_error apply_suspect(struct apply *a) {
    struct state *state = a->state;
    uint32_t s = a->command->suspect.service;
    uint32_t region = a->command->suspect.region;
    if (s >= state->spec.service_count) {
        return CORE_NO_SERVICE;
    }
    struct service *service = &state->services[s];
    if (!service_is_managed(service)) {
        return CORE_NOT_ADOPTED;
    }
    if (region != service->active) {
        return CORE_NO_REGION;
    }
    if (service->suspect.open || execution_is_open(&service->execution)) {
        return CORE_IN_PROGRESS;
    }
    if (state->tick_index < state->leader_index) {
        return CORE_NO_TICK;
    }
    if (state_override(state, OVERRIDE_MAINTENANCE, service->name, region_name(state, region)) !=
        NULL) {
        return CORE_MAINTENANCE;
    }
    struct votes votes;
    votes_count(state, s, region, &votes);
    if (votes_verdict(&votes) != OPINION_DOWN) {
        return CORE_VOTES;
    }
    memset(&service->suspect, 0, sizeof service->suspect);
    service->suspect.open = true;
    service->suspect.region = region;
    service->suspect.index = a->index;
    service->suspect.since_ms = state->time_ms;
    service->suspect.since_wall_ms = a->command->wall_ms;
    struct event *event = event_add_service(a, EVENT_SUSPECT, s);
    (void)TEXT_COPY(event->region, region_name(state, region));
    event->value = votes.down;
    return CORE_OK;
}

/* History tells once a window what would have happened. */
static bool would_have_is_kept(const struct state *state, const char *service,
                               uint64_t suspect_index) {
    uint64_t kept = state->move_count < MOVE_MAX ? state->move_count : MOVE_MAX;
    for (uint64_t i = state->move_count - kept; i < state->move_count; i++) {
        const struct move *move = &state->moves[i % MOVE_MAX];
        if (move->would_have && move->index > suspect_index && text_equal(move->service, service)) {
            return true;
        }
    }
    return false;
}

static void keep_would_have(struct apply *a, const struct event *event) {
    const struct command_note *c = &a->command->note;
    struct state *state = a->state;
    struct move *move = &state->moves[state->move_count % MOVE_MAX];
    state->move_count++;
    memset(move, 0, sizeof *move);
    move->index = a->index;
    move->wall_ms = a->command->wall_ms;
    move->would_have = true;
    memcpy(move->service, event->service, sizeof move->service);
    memcpy(move->from, event->region, sizeof move->from);
    memcpy(move->to, event->to, sizeof move->to);
    (void)TEXT_COPY(move->actor, "auto");
    memcpy(move->gates, c->gates, sizeof move->gates);
    struct plan plan;
    if (policy_plan(state, c->service, EXECUTION_FAILOVER, c->to, 0, &c->mongo, &plan) == CORE_OK) {
        for (uint32_t i = 0; i < plan.count; i++) {
            move_name_step(move, plan.steps[i].name);
        }
    }
}

enum core_error apply_note(struct apply *a) {
    static const enum event_kind kinds[] = {EVENT_KIND_COUNT, EVENT_WOULD_HAVE, EVENT_ASKED,
                                            EVENT_BLOCKED};
    const struct command_note *c = &a->command->note;
    struct state *state = a->state;
    if (c->service >= state->spec.service_count) {
        return CORE_NO_SERVICE;
    }
    struct suspect *suspect = &state->services[c->service].suspect;
    if (!suspect->open || suspect->index != c->suspect_index) {
        return CORE_NOT_SUSPECTED;
    }
    if (c->note == NOTE_NONE || (unsigned)c->note >= SUSPECT_NOTE_COUNT ||
        (c->to != NONE_INDEX && c->to >= state->spec.region_count)) {
        return CORE_MALFORMED;
    }
    suspect->note = c->note;
    suspect->noted_gates |= c->failing_gates;
    struct event *event = event_add_service(a, kinds[c->note], c->service);
    (void)TEXT_COPY(event->region, region_name(state, suspect->region));
    (void)TEXT_COPY(event->to, region_name(state, c->to));
    event->value = c->failing_gates;
    if (c->note == NOTE_WOULD_HAVE && !would_have_is_kept(state, event->service, suspect->index)) {
        keep_would_have(a, event);
    }
    return CORE_OK;
}

void automation_halt(struct apply *a) {
    struct state *state = a->state;
    if (state->halted) {
        return;
    }
    state->halted = true;
    struct event *event = event_add(a, EVENT_HALT);
    if (a->command->kind == COMMAND_HALT) {
        event->value = a->command->halt.index;
        uint32_t node = state_find_node(state, a->command->halt.node_id);
        if (node != NONE_INDEX) {
            memcpy(event->subject, state->nodes[node].name, sizeof event->subject);
        }
    } else {
        event->value = a->index;
        (void)TEXT_COPY(event->detail, "a fence of a later incarnation was read");
    }
    for (uint32_t s = 0; s < state->spec.service_count; s++) {
        if (state->services[s].execution.automatic) {
            lapse(a, s, "automation was stopped");
        }
    }
}

enum core_error apply_halt(struct apply *a) {
    automation_halt(a);
    return CORE_OK;
}
