/* The two state machines: every cell of (kind of step, phase, event) by a command, every row
 * reached, a way out of each unfinished phase; and what a release, a debt and a burn leave behind.
 */
#include "core_test.h"
#include "plan_rules.h"

#define OLD_FENCE "prod/nocturnal/5.1/0"

struct bench {
    struct group *group;
    struct service *service;  /* live */
    struct service *at_start; /* as each cell finds it */
};

/* The step under test in its execution: needs nothing, has begun. */
static uint32_t place_step(struct service *service, enum step_kind kind, enum step_phase phase) {
    struct execution *execution = &service->execution;
    uint32_t at = 0;
    while (execution->steps[at].kind != kind) {
        at++;
        assert_true(at < execution->step_count);
    }
    struct step *step = &execution->steps[at];
    step->phase = phase;
    step->needs = 0;
    step->attempts = phase >= STEP_ATTEMPTED && phase <= STEP_CLOSING && kind != STEP_SETTLE;
    bool none = kind == STEP_UNMARK && phase == STEP_INTENDED;
    (void)TEXT_COPY(step->fence_before, none ? "" : OLD_FENCE);
    return at;
}

static struct command *command_of(struct bench *bench, uint32_t at, enum step_event event) {
    static const enum command_kind kinds[] = {
        COMMAND_INTENT,  COMMAND_ATTEMPT, COMMAND_ACCEPTED, COMMAND_CLOSING, COMMAND_OUTCOME,
        COMMAND_OUTCOME, COMMAND_OUTCOME, COMMAND_RELEASE,  COMMAND_CANCEL,  COMMAND_SWITCH};
    struct command *command = group_new(kinds[event]);
    const struct step *step = &bench->service->execution.steps[at];
    if (command_is_by_person(command->kind)) {
        (void)TEXT_COPY(command->choice.service, "nocturnal");
        (void)TEXT_COPY(command->choice.step, step->name);
        return command;
    }
    struct command_step *fields = &command->step;
    fields->epoch = bench->service->execution.epoch;
    fields->step = at;
    fields->attempt = event == ON_ATTEMPT ? step->attempts + 1 : step->attempts;
    (void)TEXT_COPY(fields->change_id, event == ON_ACCEPTED ? "C1" : "");
    fields->before = (struct blob){.used = true, .size_bytes = 4, .bytes = "east"};
    fields->after = (struct blob){.used = true, .size_bytes = 4, .bytes = "west"};
    char eid[EID_SIZE];
    step_eid(bench->group->state, 0, at, eid);
    bool bare = step->kind == STEP_LEASE || step_is_unfenced(step->kind);
    if (bare && event == ON_INTENT) {
        fields->before.size_bytes = 0;
        fields->after.size_bytes = 0;
    } else if (event == ON_INTENT) {
        (void)TEXT_COPY(fields->fence, OLD_FENCE);
        const struct mongo_view *view = &bench->service->execution.mongo;
        fields->forced_version = step->kind == STEP_FORCE ? 4 : 0;
        for (uint32_t i = 0; i < view->facts.member_count && step->kind == STEP_FORCE; i++) {
            if ((view->dead >> i & 1) != 0) {
                struct left_out *left_out = &fields->left_out[fields->left_out_count++];
                (void)TEXT_COPY(left_out->host, view->facts.members[i].host);
                left_out->size_bytes = 5;
            }
        }
    } else if (event == ON_DONE) {
        fields->outcome = STEP_DONE;
        if (step->kind != STEP_UNMARK) {
            fence_format(fields->fence, "prod", eid);
        }
    } else if (event == ON_REFUSED) {
        fields->outcome = STEP_REFUSED;
        fence_format_void(fields->fence, "prod", eid);
    } else if (event == ON_UNKNOWN) {
        fields->outcome = STEP_UNKNOWN;
    }
    return command;
}

static void forget_blobs(struct state *state) {
    memset(state->blobs, 0, sizeof state->blobs);
}

/* Only an effect has attempts; a settle only closes; a switch is its entry; a lease only waits;
 * what has no fence can't be closed. */
static bool phase_is_possible(enum step_kind kind, enum step_phase phase) {
    switch (kind) {
    case STEP_SWITCH:
        return phase == STEP_WAITING || phase == STEP_DONE || phase == STEP_REFUSED;
    case STEP_LEASE:
        return phase == STEP_WAITING || phase == STEP_INTENDED || step_is_ended(phase);
    case STEP_SETTLE:
        return phase == STEP_WAITING || phase == STEP_CLOSING || step_is_ended(phase);
    case STEP_PROMOTE:
    case STEP_WRITE:
    case STEP_FORCE:
        return phase != STEP_ACCEPTED && phase != STEP_CLOSING;
    default:
        return true;
    }
}

/* One cell: accepted exactly when there is a row, and then in that row's phase. */
static void try_cell(struct bench *bench, enum step_kind kind, enum step_phase phase,
                     enum step_event event, bool *reached) {
    if (!phase_is_possible(kind, phase)) {
        return;
    }
    *bench->service = *bench->at_start;
    forget_blobs(bench->group->state);
    uint32_t at = place_step(bench->service, kind, phase);
    struct step *step = &bench->service->execution.steps[at];
    struct step before = *step;
    const struct step_transition *row = step_transition_find(&before, event);
    enum core_error error = group_do(bench->group, command_of(bench, at, event));
    bool by_name = event == ON_CANCEL; /* of the execution: accepted whatever the step does */
    if ((error == CORE_OK) != (row != NULL || by_name)) {
        fail_msg("%s %s %s: %s", step_kind_text(kind), step_phase_text(phase),
                 step_event_text(event), core_error_name(error));
    }
    /* The execution may have ended with it; its steps stay. */
    enum step_phase wanted = row != NULL ? row->to : phase;
    if (step->phase != wanted) {
        fail_msg("%s %s %s -> %s", step_kind_text(kind), step_phase_text(phase),
                 step_event_text(event), step_phase_text(step->phase));
    }
    if (row != NULL) {
        reached[row - step_transitions] = true;
    }
}

static void prepare(struct bench *bench, struct group *group, enum execution_kind kind,
                    bool forced) {
    bench->group = group;
    bench->service = group_service(group);
    bench->at_start = malloc(sizeof *bench->at_start);
    assert_non_null(bench->at_start);
    struct debt *debt = &bench->service->debts[bench->service->debt_count++];
    *debt = (struct debt){.epoch = 1, .step = 0, .zone = group->state->spec.services[0].zones[0]};
    (void)TEXT_COPY(debt->eid, "nocturnal/5.1/0");
    bench->service->longest_lease_ms = 1000;
    static struct mongo_facts facts;
    facts = mongo_example();
    if (forced) { /* and a person declares dead who is gone */
        mongo_lose_majority(&facts);
        group->dead = LOST;
    }
    group_add_set(group);
    group_tell(group, &facts);
    const char *to = execution_kind_moves(kind) ? "us-west-2" : "us-east-1";
    assert_int_equal(group_move(group, to, kind, 0), CORE_OK);
    bench->service->execution.phase = EXECUTION_RUNNING;
    bench->service->execution.begun_index = group->index;
    *bench->at_start = *bench->service;
}

static void test_every_cell(void **state) {
    bool reached[64] = {false};
    assert_true(step_transition_count <= ARRAY_LENGTH(reached));
    static const struct {
        enum execution_kind kind;
        enum step_kind effect;
        bool leaves, forced;
    } kinds[] = {{EXECUTION_FAILOVER, STEP_DNS, true, false},
                 {EXECUTION_FAILOVER, STEP_FORCE, false, true},
                 {EXECUTION_ADOPT, STEP_ADOPT, false, false},
                 {EXECUTION_RELEASE, STEP_UNMARK, false, false}};
    for (size_t k = 0; k < ARRAY_LENGTH(kinds); k++) {
        struct group group;
        struct bench bench;
        group_open_adopted(&group);
        prepare(&bench, &group, kinds[k].kind, kinds[k].forced);
        for (unsigned phase = 0; phase < STEP_PHASE_COUNT; phase++) {
            for (unsigned event = 0; event < STEP_EVENT_COUNT; event++) {
                try_cell(&bench, STEP_SETTLE, phase, event, reached);
                try_cell(&bench, STEP_SWITCH, phase, event, reached);
                try_cell(&bench, kinds[k].effect, phase, event, reached);
                if (kinds[k].leaves) {
                    try_cell(&bench, STEP_LEASE, phase, event, reached);
                    try_cell(&bench, STEP_PREFER, phase, event, reached);
                    try_cell(&bench, STEP_PROMOTE, phase, event, reached);
                    try_cell(&bench, STEP_WRITE, phase, event, reached);
                }
            }
        }
        free(bench.at_start);
        group_close(&group);
    }
    for (uint32_t row = 0; row < step_transition_count; row++) {
        if (!reached[row]) {
            fail_msg("row %u (%s, %s) is never reached", row,
                     step_phase_text(step_transitions[row].from),
                     step_event_text(step_transitions[row].on));
        }
    }
    (void)state;
}

/* From every unfinished phase that a kind can be in, some row leads nearer to an end. */
static void test_each_phase_has_a_way_out(void **state) {
    for (unsigned kind = 0; kind < STEP_KIND_COUNT; kind++) {
        for (unsigned phase = 0; phase < STEP_DONE; phase++) {
            struct step step = {.kind = kind, .phase = phase};
            step.attempts = phase >= STEP_ATTEMPTED && phase <= STEP_CLOSING;
            bool out = !phase_is_possible(kind, phase);
            for (unsigned event = 0; event < STEP_EVENT_COUNT; event++) {
                const struct step_transition *row = step_transition_find(&step, event);
                out = out || (row != NULL && step_is_ended(row->to));
            }
            assert_true(out);
        }
        for (unsigned phase = STEP_DONE; phase < STEP_PHASE_COUNT; phase++) {
            struct step step = {.kind = kind, .phase = phase};
            for (unsigned event = 0; event < STEP_EVENT_COUNT; event++) {
                assert_null(step_transition_find(&step, event)); /* an end is an end */
            }
        }
    }
    (void)state;
}

static bool is_running(const struct group *group) {
    return group_execution(group)->phase == EXECUTION_RUNNING;
}

/* Each row of the execution's table, by commands; told apart by (from, on). */
static void test_every_row_of_executions(void **state) {
    struct group *group = *state;
    bool reached[EXECUTION_PHASE_COUNT][EXECUTION_EVENT_COUNT] = {{false}};
#define REACH(from_phase, event, action, to_phase)                                                 \
    do {                                                                                           \
        assert_int_equal(group_execution(group)->phase, from_phase);                               \
        action;                                                                                    \
        assert_int_equal(group_execution(group)->phase, to_phase);                                 \
        reached[from_phase][event] = true;                                                         \
    } while (0)
    struct command_step one = {.step = 0};
    REACH(EXECUTION_NONE, ON_DECIDE, group_move(group, "us-east-1", EXECUTION_ADOPT, 0),
          EXECUTION_DECIDED);
    REACH(EXECUTION_DECIDED, ON_OPERATOR_CANCEL, group_choice(group, COMMAND_CANCEL, ""),
          EXECUTION_ENDED);
    reached[EXECUTION_CANCELLING][ON_ALL_ENDED] = true; /* on the way */
    assert_int_equal(group_execution(group)->result, RESULT_CANCELLED);
    group_adopt_all(group);
    REACH(EXECUTION_ENDED, ON_DECIDE, group_move(group, "us-west-2", EXECUTION_SWITCHOVER, 0),
          EXECUTION_DECIDED);
    REACH(EXECUTION_DECIDED, ON_LAPSE, group_override(group, OVERRIDE_VETO, "", 1000),
          EXECUTION_ENDED);
    assert_int_equal(group_execution(group)->result, RESULT_LAPSED);
    group->wall_ms += 2000;
    assert_int_equal(group_tick(group), CORE_OK);
    assert_int_equal(group_move(group, "us-west-2", EXECUTION_SWITCHOVER, 0), CORE_OK);
    REACH(EXECUTION_DECIDED, ON_BEGIN, group_step(group, COMMAND_SWITCH, &one), EXECUTION_RUNNING);
    REACH(EXECUTION_RUNNING, ON_ALL_ENDED, group_carry_out(group), EXECUTION_ENDED);
    assert_int_equal(group_move(group, "us-east-1", EXECUTION_SWITCHOVER, 0), CORE_OK);
    assert_int_equal(group_step(group, COMMAND_SWITCH, &one), CORE_OK);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(group_do(group, group_next_step(group, 0)), CORE_OK);
    }
    REACH(EXECUTION_RUNNING, ON_OPERATOR_CANCEL, group_choice(group, COMMAND_CANCEL, ""),
          EXECUTION_CANCELLING);
    assert_int_equal(group_choice(group, COMMAND_CANCEL, ""), CORE_PHASE);
    for (uint32_t row = 0; row < execution_transition_count; row++) {
        assert_true(reached[execution_transitions[row].from][execution_transitions[row].on]);
    }
}

/* A move begun, its DNS step attempted once. */
static uint32_t attempt_dns(struct group *group) {
    assert_int_equal(group_move(group, "us-west-2", EXECUTION_FAILOVER, 0), CORE_OK);
    for (int i = 0; i < 3; i++) { /* switch, intent, attempt */
        assert_int_equal(group_do(group, group_next_step(group, 0)), CORE_OK);
    }
    assert_int_equal(group_execution(group)->steps[1].phase, STEP_ATTEMPTED);
    return 1;
}

static uint32_t blobs_used(const struct group *group) {
    uint32_t used = 0;
    for (uint32_t i = 0; i < BLOB_MAX; i++) {
        used += group->state->blobs[i].used;
    }
    return used;
}

static enum core_error outcome(struct group *group, uint32_t step, enum step_phase phase,
                               const char *fence) {
    struct command_step fields = {.step = step, .outcome = phase};
    (void)TEXT_COPY(fields.fence, fence);
    return group_step(group, COMMAND_OUTCOME, &fields);
}

static void test_outcomes_need_their_proof(void **state) {
    struct group *group = *state;
    uint32_t dns = attempt_dns(group);
    static const char *const fences[] = {"", OLD_FENCE, "void(prod/nocturnal/5.1/0)", "x",
                                         "prod/nocturnal/5.2/0"};
    for (size_t i = 0; i < ARRAY_LENGTH(fences); i++) {
        assert_int_equal(outcome(group, dns, STEP_DONE, fences[i]), CORE_EVIDENCE);
    }
    assert_int_equal(outcome(group, dns, STEP_DONE, "void(prod/nocturnal/5.2/1)"), CORE_EVIDENCE);
    assert_int_equal(outcome(group, dns, STEP_UNKNOWN, OLD_FENCE), CORE_EVIDENCE);
    assert_int_equal(outcome(group, dns, STEP_WAITING, ""), CORE_PHASE);
    assert_int_equal(outcome(group, dns, STEP_RELEASED, ""), CORE_PHASE);
    struct command_step fields = {.step = dns};
    assert_int_equal(group_step(group, COMMAND_CLOSING, &fields), CORE_OK);
    assert_int_equal(outcome(group, dns, STEP_REFUSED, ""), CORE_EVIDENCE);
    assert_int_equal(outcome(group, dns, STEP_REFUSED, OLD_FENCE), CORE_EVIDENCE);
    assert_int_equal(outcome(group, dns, STEP_REFUSED, "void(prod/nocturnal/5.2/1)"), CORE_OK);
    assert_int_equal(group_execution(group)->result, RESULT_HALF_MOVED);
    assert_true(group_service(group)->half_moved);
    assert_int_equal(blobs_used(group), 0);
}

static void test_intents_need_an_older_fence_of_the_service(void **state) {
    struct group *group = *state;
    assert_int_equal(group_move(group, "us-west-2", EXECUTION_FAILOVER, 0), CORE_OK);
    assert_int_equal(group_do(group, group_next_step(group, 0)), CORE_OK);
    static const struct {
        const char *fence;
        enum core_error error;
    } rows[] = {
        {"", CORE_NO_FENCE},
        {"prod", CORE_NO_FENCE},
        {"production/nocturnal/5.1/0", CORE_NO_FENCE},
        {"prod/reports/5.1/0", CORE_NO_FENCE},
        {"prod/nocturnal/5.1", CORE_NO_FENCE},
        {"prod/nocturnal/05.1/0", CORE_NO_FENCE},
        {"prod/nocturnal/5.18446744073709551616/0", CORE_NO_FENCE},
        {"void(prod/nocturnal/5.1/0", CORE_NO_FENCE},
        {"prod/nocturnal/5.2/1", CORE_CHANGED}, /* this very move's */
        {"prod/nocturnal/5.3/1", CORE_CHANGED},
        {"void(prod/nocturnal/6.1/1)", CORE_CHANGED}, /* a later incarnation's */
        {"void(prod/nocturnal/5.1/0)", CORE_OK},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct command *command = group_next_step(group, 0);
        (void)TEXT_COPY(command->step.fence, rows[i].fence);
        enum core_error error = group_do(group, command);
        if (error != rows[i].error) {
            fail_msg("%s: %s", rows[i].fence, core_error_name(error));
        }
    }
}

static void test_adoption_takes_over_what_is_not_later(void **state) {
    struct group *group = *state;
    static const struct {
        const char *fence;
        enum core_error error;
    } rows[] = {{"prod/nocturnal/5.9/0", CORE_CHANGED},
                {"prod/other/6.1/0", CORE_CHANGED},
                {"prod/nocturnal/5.1/0", CORE_OK},
                {"staging/nocturnal/9.9/0", CORE_OK},
                {"anything", CORE_OK},
                {"prod/other/5.7/0", CORE_OK}};
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        assert_int_equal(group_move(group, "us-east-1", EXECUTION_ADOPT, 0), CORE_OK);
        struct command *command = group_next_step(group, 0);
        (void)TEXT_COPY(command->step.fence, rows[i].fence);
        assert_int_equal(group_do(group, command), rows[i].error);
        assert_int_equal(group_choice(group, COMMAND_CANCEL, ""), CORE_OK);
        assert_int_equal(group_execution(group)->result, RESULT_CANCELLED);
    }
}

static void test_release_keeps_no_blobs(void **state) {
    struct group *group = *state;
    (void)attempt_dns(group);
    assert_int_equal(blobs_used(group), 2);
    assert_int_equal(group_choice(group, COMMAND_RELEASE, "switch"), CORE_PHASE);
    assert_int_equal(group_choice(group, COMMAND_RELEASE, "other"), CORE_NO_STEP);
    assert_int_equal(group_choice(group, COMMAND_RELEASE, "dns"), CORE_OK);
    assert_int_equal(group_execution(group)->result, RESULT_RELEASED);
    assert_int_equal(group_service(group)->debt_count, 1);
    assert_int_equal(blobs_used(group), 0);
}

static void test_release_before_the_beginning(void **state) {
    struct group *group = *state;
    assert_int_equal(group_move(group, "us-west-2", EXECUTION_FAILOVER, 0), CORE_OK);
    assert_int_equal(group_choice(group, COMMAND_RELEASE, "dns"), CORE_PHASE);
}

static void test_release_of_what_was_not_sent_is_no_debt(void **state) {
    struct group *group = *state;
    assert_int_equal(group_move(group, "us-west-2", EXECUTION_FAILOVER, 0), CORE_OK);
    assert_int_equal(group_do(group, group_next_step(group, 0)), CORE_OK);
    assert_int_equal(group_choice(group, COMMAND_RELEASE, "dns"), CORE_OK);
    assert_int_equal(group_execution(group)->result, RESULT_RELEASED);
    assert_int_equal(group_service(group)->debt_count, 0);
}

/* A debt that was waived and then overtaken: its fence must not be put over the newer one. */
static void test_overtaken_debt_is_settled_by_reading(void **state) {
    struct group *group = *state;
    (void)attempt_dns(group);
    assert_int_equal(group_choice(group, COMMAND_RELEASE, "dns"), CORE_OK);
    struct command *move = group_new(COMMAND_MOVE);
    (void)TEXT_COPY(move->move.service, "nocturnal");
    (void)TEXT_COPY(move->move.to, "us-east-1");
    move->move.kind = EXECUTION_SWITCHOVER;
    move->move.spec_index = group->state->spec_index;
    move->move.epoch = 3;
    move->move.plan.count = 2;
    (void)TEXT_COPY(move->move.plan.steps[0].name, "switch");
    move->move.plan.steps[0].kind = STEP_SWITCH;
    (void)TEXT_COPY(move->move.plan.steps[1].name, "dns");
    move->move.plan.steps[1].kind = STEP_DNS;
    move->move.plan.steps[1].needs = 1;
    struct command *waived = group_new(COMMAND_MOVE);
    *waived = *move;
    assert_int_equal(group_do(group, move), CORE_PLAN); /* a debt is waived by name only */
    waived->move.skipped_gates = GATE_BIT(GATE_DEBTS);
    assert_int_equal(group_do(group, waived), CORE_OK);
    group_carry_out(group);
    assert_int_equal(group_service(group)->debt_count, 1); /* never forgotten */
    assert_int_equal(group_move(group, "us-west-2", EXECUTION_SWITCHOVER, 0), CORE_OK);
    assert_int_equal(group_do(group, group_next_step(group, 0)), CORE_OK); /* CLOSING */
    struct target_reading reading = {.sync = TARGET_INSYNC,
                                     .fence_present = true,
                                     .fence = "prod/nocturnal/5.3/1",
                                     .state_as_before = true};
    const char *why = "";
    assert_int_equal(step_after_read(group->state, 0, 0, &reading, &why), ACTION_DONE);
    assert_int_equal(outcome(group, 0, STEP_DONE, "prod/nocturnal/5.3/1"), CORE_OK);
    assert_int_equal(group_service(group)->debt_count, 0);
}

/* What had landed below it nobody can tell any more; that isn't said of what stood there before. */
static void test_somebodys_fence_makes_it_unknown(void **state) {
    struct group *group = *state;
    uint32_t dns = attempt_dns(group);
    assert_int_equal(outcome(group, dns, STEP_UNKNOWN, OLD_FENCE), CORE_EVIDENCE);
    assert_int_equal(outcome(group, dns, STEP_UNKNOWN, "prod/nocturnal/5.2/1"), CORE_EVIDENCE);
    assert_int_equal(outcome(group, dns, STEP_UNKNOWN, "void(prod/nocturnal/5.2/1)"),
                     CORE_EVIDENCE);
    assert_int_equal(outcome(group, dns, STEP_UNKNOWN, "other/nocturnal/1.1/0"), CORE_OK);
    assert_false(group->state->halted);
}

static void test_later_incarnation_stops_automation(void **state) {
    struct group *group = *state;
    uint32_t dns = attempt_dns(group);
    assert_int_equal(outcome(group, dns, STEP_UNKNOWN, "prod/nocturnal/6.1/0"), CORE_OK);
    assert_true(group->state->halted);
    assert_true(group_saw(group, EVENT_HALT));
}

static void test_refused_settle_is_no_end(void **state) {
    struct group *group = *state;
    (void)attempt_dns(group);
    assert_int_equal(group_choice(group, COMMAND_RELEASE, "dns"), CORE_OK);
    assert_int_equal(group_move(group, "us-east-1", EXECUTION_SWITCHOVER, 0), CORE_OK);
    assert_int_equal(group_do(group, group_next_step(group, 0)), CORE_OK); /* CLOSING */
    assert_int_equal(outcome(group, 0, STEP_REFUSED, ""), CORE_PHASE);
    assert_int_equal(outcome(group, 0, STEP_REFUSED, "void(prod/nocturnal/5.2/1)"), CORE_PHASE);
    assert_int_equal(outcome(group, 0, STEP_DONE, "void(prod/nocturnal/5.2/1)"), CORE_OK);
}

static void test_unknown_settle_keeps_the_debt(void **state) {
    struct group *group = *state;
    (void)attempt_dns(group);
    assert_int_equal(group_choice(group, COMMAND_RELEASE, "dns"), CORE_OK);
    assert_int_equal(group_move(group, "us-east-1", EXECUTION_SWITCHOVER, 0), CORE_OK);
    assert_int_equal(group_do(group, group_next_step(group, 0)), CORE_OK);
    assert_int_equal(outcome(group, 0, STEP_UNKNOWN, ""), CORE_OK);
    assert_int_equal(group_execution(group)->result, RESULT_STOPPED);
    assert_int_equal(group_service(group)->debt_count, 1);
    assert_int_equal(group_service(group)->active, WEST);
}

/* Its fence was deleted by somebody: adoption is the cure, so it must get past the debt. */
static void test_adoption_pays_a_debt_without_a_fence(void **state) {
    struct group *group = *state;
    (void)attempt_dns(group);
    assert_int_equal(group_choice(group, COMMAND_RELEASE, "dns"), CORE_OK);
    assert_int_equal(group_move(group, "us-east-1", EXECUTION_SWITCHOVER, 0), CORE_OK);
    assert_int_equal(group_do(group, group_next_step(group, 0)), CORE_OK); /* CLOSING */
    struct target_reading reading = {.sync = TARGET_INSYNC, .state_as_before = true};
    const char *why = "";
    assert_int_equal(step_after_read(group->state, 0, 0, &reading, &why), ACTION_UNKNOWN);
    assert_int_equal(outcome(group, 0, STEP_DONE, ""), CORE_EVIDENCE);
    assert_int_equal(outcome(group, 0, STEP_UNKNOWN, ""), CORE_OK);
    assert_int_equal(group_move(group, "us-west-2", EXECUTION_ADOPT, 0), CORE_OK);
    assert_int_equal(group_do(group, group_next_step(group, 0)), CORE_OK); /* CLOSING */
    assert_int_equal(step_after_read(group->state, 0, 0, &reading, &why), ACTION_DONE);
    assert_int_equal(outcome(group, 0, STEP_DONE, ""), CORE_OK);
    assert_int_equal(group_service(group)->debt_count, 0);
}

/* And a person may pass over it by name. */
static void test_a_waived_debt_is_not_in_the_plan(void **state) {
    struct group *group = *state;
    struct plan plan;
    uint32_t waives = GATE_BIT(GATE_DEBTS);
    (void)attempt_dns(group);
    assert_int_equal(group_choice(group, COMMAND_RELEASE, "dns"), CORE_OK);
    assert_int_equal(policy_plan(group->state, 0, EXECUTION_SWITCHOVER, EAST, 0, NULL, &plan),
                     CORE_OK);
    assert_int_equal(plan.steps[0].kind, STEP_SETTLE);
    assert_int_equal(policy_plan(group->state, 0, EXECUTION_SWITCHOVER, EAST, waives, NULL, &plan),
                     CORE_OK);
    assert_int_equal(plan.steps[0].kind, STEP_SWITCH);
    assert_true(plan_is_sound(group->state, 0, EXECUTION_SWITCHOVER, EAST, waives, NULL, &plan));
    assert_false(plan_is_sound(group->state, 0, EXECUTION_SWITCHOVER, EAST, 0, NULL, &plan));
}

static void test_attempts_count_up(void **state) {
    struct group *group = *state;
    uint32_t dns = attempt_dns(group);
    struct command_step fields = {.step = dns, .attempt = 1};
    assert_int_equal(group_step(group, COMMAND_ATTEMPT, &fields), CORE_PHASE);
    fields.attempt = 3;
    assert_int_equal(group_step(group, COMMAND_ATTEMPT, &fields), CORE_PHASE);
    fields.attempt = 2;
    assert_int_equal(group_step(group, COMMAND_ATTEMPT, &fields), CORE_OK);
    (void)TEXT_COPY(fields.change_id, "C1");
    fields.attempt = 1; /* the first attempt's late yes */
    assert_int_equal(group_step(group, COMMAND_ACCEPTED, &fields), CORE_PHASE);
    fields.attempt = 2;
    fields.change_id[0] = '\0';
    assert_int_equal(group_step(group, COMMAND_ACCEPTED, &fields), CORE_PHASE);
}

static void test_cancel_with_an_attempt_in_flight(void **state) {
    struct group *group = *state;
    uint32_t dns = attempt_dns(group);
    assert_int_equal(group_choice(group, COMMAND_CANCEL, ""), CORE_OK);
    assert_int_equal(group_execution(group)->phase, EXECUTION_CANCELLING);
    struct command_step fields = {.step = dns, .attempt = 2};
    assert_int_equal(group_step(group, COMMAND_ATTEMPT, &fields), CORE_PHASE);
    assert_int_equal(outcome(group, dns, STEP_REFUSED, ""), CORE_PHASE);
    assert_int_equal(group_step(group, COMMAND_CLOSING, &fields), CORE_OK);
    assert_int_equal(outcome(group, dns, STEP_DONE, "prod/nocturnal/5.2/1"), CORE_OK);
    assert_int_equal(group_execution(group)->result, RESULT_DONE); /* it had landed */
    assert_true(group_execution(group)->cancelled);
}

/* Nobody tried those records: that they may fail doesn't make it done. */
static void test_cancel_before_a_step_that_may_fail(void **state) {
    struct group *group = *state;
    assert_int_equal(group_move(group, "us-west-2", EXECUTION_FAILOVER, 0), CORE_OK);
    struct execution *execution = &group->state->services[0].execution;
    assert_int_equal(execution->steps[1].kind, STEP_DNS);
    execution->steps[1].continue_on_failure = true;
    assert_int_equal(group_do(group, group_next_step(group, 0)), CORE_OK); /* SWITCH */
    assert_int_equal(group_choice(group, COMMAND_CANCEL, ""), CORE_OK);
    assert_int_equal(execution->steps[1].phase, STEP_REFUSED);
    assert_int_equal(execution->result, RESULT_HALF_MOVED);
}

static void test_half_moved_continues_or_reverses(void **state) {
    struct group *group = *state;
    uint32_t dns = attempt_dns(group);
    assert_int_equal(outcome(group, dns, STEP_UNKNOWN, ""), CORE_OK);
    assert_int_equal(group_execution(group)->result, RESULT_HALF_MOVED);
    /* A reversal that ends before its beginning leaves it half-moved. */
    assert_int_equal(group_move(group, "us-east-1", EXECUTION_SWITCHOVER, 0), CORE_OK);
    assert_int_equal(group_choice(group, COMMAND_CANCEL, ""), CORE_OK);
    assert_true(group_service(group)->half_moved);
    assert_int_equal(group_move(group, "us-west-2", EXECUTION_SWITCHOVER, 0), CORE_OK);
    assert_int_equal(group_execution(group)->from, EAST);
    assert_int_equal(group_execution(group)->to, WEST);
    group_carry_out(group);
    assert_false(group_service(group)->half_moved);
    assert_int_equal(group_move(group, "us-west-2", EXECUTION_SWITCHOVER, 0), CORE_NO_REGION);
}

static void test_adoption_ends_half_moved(void **state) {
    struct group *group = *state;
    uint32_t dns = attempt_dns(group);
    assert_int_equal(outcome(group, dns, STEP_UNKNOWN, ""), CORE_OK);
    assert_int_equal(group_move(group, "us-west-2", EXECUTION_ADOPT, 0), CORE_OK);
    group_carry_out(group);
    assert_int_equal(group_execution(group)->result, RESULT_DONE);
    assert_false(group_service(group)->half_moved);
}

static void test_steps_of_nothing(void **state) {
    struct group *group = *state;
    struct command *command = group_new(COMMAND_INTENT);
    static const enum command_kind kinds[] = {COMMAND_LAPSE,    COMMAND_INTENT,  COMMAND_ATTEMPT,
                                              COMMAND_ACCEPTED, COMMAND_CLOSING, COMMAND_OUTCOME,
                                              COMMAND_SWITCH};
    for (size_t i = 0; i < ARRAY_LENGTH(kinds); i++) {
        command->kind = kinds[i];
        command->step.service = 1;
        assert_int_equal(group_apply(group, command), CORE_NO_SERVICE);
        command->step.service = 0;
        command->step.epoch = 1;
        assert_int_equal(group_apply(group, command), CORE_NOT_OPEN);
    }
    assert_int_equal(group_move(group, "us-west-2", EXECUTION_FAILOVER, 0), CORE_OK);
    for (size_t i = 1; i < ARRAY_LENGTH(kinds); i++) {
        command->kind = kinds[i];
        command->step.epoch = 2;
        command->step.step = 2;
        assert_int_equal(group_apply(group, command), CORE_NO_STEP);
        command->step.step = UINT32_MAX;
        assert_int_equal(group_apply(group, command), CORE_NO_STEP);
        command->step.epoch = 1;
        assert_int_equal(group_apply(group, command), CORE_NOT_OPEN);
    }
    free(command);
    assert_false(is_running(group));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_cell),
        cmocka_unit_test(test_each_phase_has_a_way_out),
        OPENED(test_every_row_of_executions),
        ADOPTED(test_outcomes_need_their_proof),
        ADOPTED(test_intents_need_an_older_fence_of_the_service),
        ADOPTED(test_adoption_takes_over_what_is_not_later),
        ADOPTED(test_release_keeps_no_blobs),
        ADOPTED(test_release_before_the_beginning),
        ADOPTED(test_release_of_what_was_not_sent_is_no_debt),
        ADOPTED(test_overtaken_debt_is_settled_by_reading),
        ADOPTED(test_somebodys_fence_makes_it_unknown),
        ADOPTED(test_later_incarnation_stops_automation),
        ADOPTED(test_refused_settle_is_no_end),
        ADOPTED(test_unknown_settle_keeps_the_debt),
        ADOPTED(test_adoption_pays_a_debt_without_a_fence),
        ADOPTED(test_a_waived_debt_is_not_in_the_plan),
        ADOPTED(test_attempts_count_up),
        ADOPTED(test_cancel_with_an_attempt_in_flight),
        ADOPTED(test_cancel_before_a_step_that_may_fail),
        ADOPTED(test_half_moved_continues_or_reverses),
        ADOPTED(test_adoption_ends_half_moved),
        ADOPTED(test_steps_of_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
