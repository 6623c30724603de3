/* What a person can do about a replica set that keeps its service where it is. */
#include <inttypes.h>
#include <stdio.h>

#include "base/text.h"
#include "document_forced.h"
#include "document_mongo.h"

struct stuck {
    const struct api_facts *facts;
    const struct spec_service *spec;
    uint32_t service;
    struct mongo_view view;
    uint32_t silent; /* bits of places */
    uint32_t voters, need, voters_alive;
    json_t *choices;
};

static bool majority_is_lost(const struct stuck *stuck) {
    return stuck->view.facts.member_total > 0 && stuck->voters_alive < stuck->need;
}

static bool may_be_declared(const struct stuck *stuck) {
    return stuck->spec->mongo.on_majority_lost != MONGO_LOST_NEVER &&
           stuck->view.facts.member_total == stuck->view.facts.member_count;
}

static void begin_stuck(struct stuck *stuck, const struct api_facts *facts, uint32_t service,
                        json_t *choices) {
    struct mongo_verdict verdict;
    stuck->facts = facts;
    stuck->spec = &facts->state->spec.services[service];
    stuck->service = service;
    stuck->choices = choices;
    stuck->silent = 0;
    document_view_set(facts, service, &stuck->view);
    mongo_judge(&stuck->spec->mongo, &stuck->view, NONE_INDEX, &verdict);
    stuck->voters = verdict.voters;
    stuck->need = verdict.need;
    stuck->voters_alive = verdict.voters_alive;
    for (uint32_t i = 0; i < stuck->view.facts.member_count; i++) {
        stuck->silent |= stuck->view.facts.members[i].answers ? 0 : UINT32_C(1) << i;
    }
}

/* Appends a line, and empties the buffer for the next one. */
static void end_line(json_t *choices, struct buffer *line) {
    document_append(choices, document_line(line));
    buffer_clear(line);
}

static void append_skips(uint32_t gates, struct buffer *line) {
    for (unsigned gate = 0; gate < GATE_COUNT; gate++) {
        if ((gates & GATE_BIT(gate)) != 0 && gate_is_skippable((enum gate)gate)) {
            buffer_append_format(line, " --skip %s", gate_word((enum gate)gate));
        }
    }
}

/* To paste; members are declared dead by `dead`, in places of `set`. */
static void append_failover(const struct state *state, uint32_t service, uint32_t to,
                            const struct mongo_facts *set, uint32_t dead, uint32_t skip,
                            struct buffer *line) {
    buffer_append_format(line, "noctuactl failover %s --to %s", state->services[service].name,
                         document_region_name(state, to));
    if (dead != 0) {
        buffer_append_text(line, " --declare-dead ");
        (void)document_members_by_region(state, set, dead, ",", line);
    }
    append_skips(skip, line);
    buffer_append_text(line, " --reason \"...\"");
}

struct reading {
    struct mongo_verdict verdict;
    uint32_t failing;  /* gates, without the set's own time to elect, which passes */
    uint64_t early_ms; /* for how long that holds it yet */
};

/* A move there, with the silent declared dead where the majority is lost. */
static void read_region(const struct stuck *stuck, uint32_t region, struct reading *ret) {
    struct policy_input nothing;
    struct gate_reading gates[GATE_COUNT];
    struct mongo_view view = stuck->view;
    const struct gate_reading *election = &gates[GATE_MONGO_ELECTION];
    view.dead = majority_is_lost(stuck) && may_be_declared(stuck) ? stuck->silent : 0;
    mongo_judge(&stuck->spec->mongo, &view, region, &ret->verdict);
    ret->failing = policy_read_gates(stuck->facts->state, document_policy(stuck->facts, &nothing),
                                     stuck->service, region, false, 0, &view, gates);
    ret->early_ms = election->result == GATE_FAIL ? election->limit - election->value : 0;
    ret->failing &= ~GATE_BIT(GATE_MONGO_ELECTION);
}

static uint32_t unskippable(uint32_t gates) {
    for (unsigned gate = 0; gate < GATE_COUNT; gate++) {
        gates &= gate_is_skippable((enum gate)gate) ? ~GATE_BIT(gate) : UINT32_MAX;
    }
    return gates;
}

/* "  db-w1:27017 is 94s behind (51s old). May be lost: ..." */
static void say_member(const struct stuck *stuck, const struct mongo_verdict *verdict) {
    struct buffer line;
    char lag[DURATION_TEXT_SIZE] = "";
    char age[DURATION_TEXT_SIZE] = "";
    buffer_init(&line, 0);
    buffer_append_format(&line, "  %s ", stuck->view.facts.members[verdict->member].host);
    if (verdict->lag_ms == UINT64_MAX || verdict->age_ms == UINT64_MAX) {
        buffer_append_text(&line, "could be promoted; how far it is behind isn't known. ");
    } else {
        buffer_append_format(&line, "could be promoted, %s behind (%s old). ",
                             document_duration(verdict->lag_ms, lag),
                             document_duration(verdict->age_ms, age));
    }
    document_loss_line(&stuck->view, verdict, &line);
    end_line(stuck->choices, &line);
    buffer_finish(&line);
}

/* Noctua may not, or can't say who stays: a person at the servers can. */
static void say_by_hand(const struct stuck *stuck, uint32_t region, const char *why) {
    const struct mongo_facts *set = &stuck->view.facts;
    struct mongo_verdict verdict;
    struct buffer line;
    mongo_judge(&stuck->spec->mongo, &stuck->view, region, &verdict);
    if (verdict.member == NONE_INDEX) {
        return;
    }
    buffer_init(&line, 0);
    buffer_append_format(&line, "by hand, since %s: on %s rs.reconfig() with force, without ", why,
                         set->members[verdict.member].host);
    (void)document_members_by_region(stuck->facts->state, set, stuck->silent, ", ", &line);
    buffer_append_text(&line, " (docs/mongodb.md, \"By hand\")");
    end_line(stuck->choices, &line);
    buffer_finish(&line);
    say_member(stuck, &verdict);
}

/* Which members of the region could be promoted, were they well. */
static void say_nobody(const struct stuck *stuck, uint32_t region) {
    const struct mongo_facts *set = &stuck->view.facts;
    struct buffer line;
    bool any = false;
    buffer_init(&line, 0);
    buffer_append_format(
        &line, "%s has nobody to promote: ", document_region_name(stuck->facts->state, region));
    for (uint32_t i = 0; i < set->member_count; i++) {
        const struct mongo_member *member = &set->members[i];
        if (member->region == region && member->votes && member->priority_milli > 0 &&
            !member->hidden && !member->arbiter && member->delay_s == 0) {
            buffer_append_format(&line, "%s%s to %s", any ? " or " : "wait for ", member->host,
                                 member->answers ? "be a secondary" : "answer");
            any = true;
        }
    }
    buffer_append_text(&line, any ? "" : "it has no member that could be elected");
    end_line(stuck->choices, &line);
    buffer_finish(&line);
}

static void say_region(const struct stuck *stuck, uint32_t region) {
    const struct state *state = stuck->facts->state;
    bool lost = majority_is_lost(stuck);
    struct reading reading;
    struct buffer line;
    char early[DURATION_TEXT_SIZE];
    read_region(stuck, region, &reading);
    if (reading.verdict.member == NONE_INDEX) {
        say_nobody(stuck, region);
        return;
    }
    if (lost && !may_be_declared(stuck)) {
        say_by_hand(stuck, region,
                    stuck->spec->mongo.on_majority_lost == MONGO_LOST_NEVER
                        ? "the spec says on_majority_lost: never"
                        : "not all of its members are told");
        return;
    }
    buffer_init(&line, 0);
    if (unskippable(reading.failing) != 0) {
        buffer_append_format(&line,
                             "%s: wait for more members to answer: those that do could not elect "
                             "one of them",
                             document_region_name(state, region));
    } else {
        append_failover(state, stuck->service, region, &stuck->view.facts, lost ? stuck->silent : 0,
                        reading.failing, &line);
    }
    end_line(stuck->choices, &line);
    if (reading.early_ms > 0) {
        buffer_append_format(&line, "  but not for another %s: so long it may elect by itself",
                             document_duration(reading.early_ms, early));
        end_line(stuck->choices, &line);
    }
    buffer_finish(&line);
    say_member(stuck, &reading.verdict);
}

/* Home, then the targets: all where it may be. */
static void say_regions(const struct stuck *stuck) {
    const struct service *s = &stuck->facts->state->services[stuck->service];
    for (uint32_t i = 0; i <= stuck->spec->target_count; i++) {
        uint32_t region = i == 0 ? stuck->spec->home : stuck->spec->targets[i - 1];
        if (i > 0 && region == stuck->spec->home) {
            continue;
        }
        if (region != s->active || s->half_moved) {
            say_region(stuck, region);
        } else if (majority_is_lost(stuck)) {
            say_by_hand(stuck, region, "it is there already, and a failover goes elsewhere");
        }
    }
}

static void say_who_is_waited_for(const struct stuck *stuck) {
    const struct mongo_facts *set = &stuck->view.facts;
    uint32_t more = stuck->need - stuck->voters_alive;
    struct buffer line;
    buffer_init(&line, 0);
    buffer_append_format(&line,
                         "wait for %" PRIu32 " more of the voters of %s (%" PRIu32 " of %" PRIu32
                         " answer), then it elects by itself: ",
                         more, set->set_name, stuck->voters_alive, stuck->voters);
    bool any = false;
    for (uint32_t i = 0; i < set->member_count; i++) {
        if (set->members[i].votes && (stuck->silent >> i & 1) != 0) {
            buffer_append_format(&line, "%s%s", any ? ", " : "", set->members[i].host);
            any = true;
        }
    }
    end_line(stuck->choices, &line);
    buffer_finish(&line);
}

/* Whether it is the set that holds the move, or that leaves it without a target. */
static bool set_holds(const struct api_facts *facts, const struct move_preview *move) {
    const uint32_t of_member = GATE_BIT(GATE_MONGO_MEMBER) | GATE_BIT(GATE_REPLICATION_LAG);
    struct policy_input nothing;
    enum gate why_not[REGION_MAX];
    if (move->to != NONE_INDEX) {
        return (move->failing & of_member) != 0;
    }
    (void)policy_choose_target(facts->state, document_policy(facts, &nothing), move->service,
                               why_not);
    bool holds = false;
    for (uint32_t r = 0; r < facts->state->spec.region_count; r++) {
        holds = holds || why_not[r] == GATE_MONGO_MEMBER || why_not[r] == GATE_REPLICATION_LAG;
    }
    return holds;
}

bool document_choose_of_set(const struct api_facts *facts, const struct move_preview *move,
                            bool calm, json_t *choices) {
    struct stuck stuck;
    if (!facts->state->spec.services[move->service].mongo.used) {
        return false;
    }
    begin_stuck(&stuck, facts, move->service, choices);
    bool lost = majority_is_lost(&stuck);
    if (!lost && (calm || !set_holds(facts, move))) {
        return false;
    }
    if (stuck.view.facts.member_total == 0) {
        document_append(choices,
                        document_format("nobody has read the config of its replica set: noctuactl "
                                        "ready %s",
                                        stuck.spec->name));
        return true;
    }
    if (lost) {
        say_who_is_waited_for(&stuck);
    }
    say_regions(&stuck);
    return true;
}

bool document_choose_after_force(const struct api_facts *facts, uint32_t service, json_t *choices) {
    const struct state *state = facts->state;
    const struct execution *execution = &state->services[service].execution;
    struct mongo_verdict verdict;
    char eid[EID_SIZE];
    char fence[FENCE_SIZE];
    struct buffer line;
    uint32_t step = 0;
    while (step < execution->step_count && (execution->steps[step].kind != STEP_FORCE ||
                                            execution->steps[step].phase != STEP_UNKNOWN)) {
        step++;
    }
    if (execution_is_open(execution) || step == execution->step_count) {
        return false;
    }
    mongo_judge(&state->spec.services[service].mongo, &execution->mongo, execution->to, &verdict);
    const struct mongo_facts *set = &execution->mongo.facts;
    eid_format(eid, state->services[service].name, state->incarnation, execution->epoch, step);
    fence_format(fence, state->cluster, eid);
    buffer_init(&line, 0);
    buffer_append_format(
        &line,
        "first a person must look: restart %s, so that what was sent to it can't come any more, "
        "then rs.conf() there. The forced config landed if its members have the tag noctua: \"%s\"",
        verdict.member == NONE_INDEX ? "each survivor" : set->members[verdict.member].host, fence);
    end_line(choices, &line);
    buffer_append_text(&line, "it landed, go on: ");
    append_failover(state, service, execution->to, set, 0, 0, &line);
    end_line(choices, &line);
    buffer_append_text(&line, "it didn't, declare anew and send another one: ");
    append_failover(state, service, execution->to, set, execution->mongo.dead,
                    execution->skipped_gates, &line);
    end_line(choices, &line);
    buffer_finish(&line);
    return true;
}

/* The first region where a member could be promoted, with the silent declared dead. */
static uint32_t find_way_out(const struct stuck *stuck, struct reading *ret) {
    const struct service *s = &stuck->facts->state->services[stuck->service];
    for (uint32_t i = 0; i <= stuck->spec->target_count; i++) {
        uint32_t region = i == 0 ? stuck->spec->home : stuck->spec->targets[i - 1];
        read_region(stuck, region, ret);
        if ((region != s->active || s->half_moved) && ret->verdict.declared &&
            unskippable(ret->failing) == 0) {
            return region;
        }
    }
    return NONE_INDEX;
}

bool document_majority_line(const struct api_facts *facts, uint32_t service, char *text,
                            size_t size) {
    const struct state *state = facts->state;
    const char *name = state->services[service].name;
    struct stuck stuck;
    struct buffer line;
    struct reading way_out;
    if (!state->spec.services[service].mongo.used) {
        return false;
    }
    begin_stuck(&stuck, facts, service, NULL);
    if (!majority_is_lost(&stuck)) {
        return false;
    }
    int used = snprintf(text, size, "%s of %s has no majority (%" PRIu32 " of %" PRIu32 "); ",
                        stuck.view.facts.set_name, name, stuck.voters_alive, stuck.voters);
    size_t left = used > 0 && (size_t)used < size ? size - (size_t)used : 0;
    buffer_init(&line, 0);
    uint32_t to = find_way_out(&stuck, &way_out);
    if (to != NONE_INDEX) {
        buffer_append_text(&line, "are they dead? ");
        append_failover(state, service, to, &stuck.view.facts, stuck.silent, way_out.failing,
                        &line);
    }
    /* Half a command is none. */
    bool fits = to != NONE_INDEX && !line.failed && line.size_bytes < left;
    if (left > 0 && fits) {
        (void)text_copy(text + used, left, line.data);
    } else if (left > 0) {
        (void)snprintf(text + used, left, "%snoctuactl explain %s",
                       stuck.spec->mongo.on_majority_lost == MONGO_LOST_NEVER
                           ? "the spec lets nothing be forced; "
                           : "",
                       name);
    }
    buffer_finish(&line);
    return true;
}
