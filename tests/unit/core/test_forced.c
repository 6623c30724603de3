/* The majority of a replica set is lost: what a person may say about its members, and what comes of
 * it; and how those that were left out get their vote back. */
#include "core_test.h"
#include "mongo_judge.h"
#include "plan_rules.h"

enum { E1, E2, W1, W2, X1 };

#define BIT(i) (UINT32_C(1) << (i))
#define LOST (BIT(E1) | BIT(E2) | BIT(X1))

struct scene {
    struct group *group;
    struct mongo_facts facts;
};

static void gone(struct scene *scene, uint32_t i, uint32_t age_ms) {
    struct mongo_member *m = &scene->facts.members[i];
    m->answers = false;
    m->writable = false;
    m->state = MONGO_UNKNOWN;
    m->age_ms = age_ms;
    m->optime_age_ms = age_ms;
    if (scene->facts.primary == m->id) {
        scene->facts.primary_age_ms = age_ms;
    }
}

static void tell(struct scene *scene) {
    scene->group->mongo = &scene->facts;
    group_report(scene->group, EVERYBODY, all_up);
    scene->group->input.now_ms = scene->group->now_ms;
}

/* East and the eu are gone since 25 s; the west has two of five. */
static struct scene *lost_scene(void **state) {
    static struct scene scene;
    scene = (struct scene){.group = *state, .facts = mongo_example()};
    group_add_set(scene.group);
    scene.facts.config_committed = false;
    gone(&scene, E1, 25000);
    gone(&scene, E2, 25000);
    gone(&scene, X1, 25000);
    tell(&scene);
    return &scene;
}

static enum core_error failover(struct scene *scene, uint32_t dead, uint32_t skip) {
    scene->group->dead = dead;
    return group_move(scene->group, "us-west-2", EXECUTION_FAILOVER, skip);
}

static struct mongo_verdict judge(struct scene *scene, uint32_t dead) {
    struct mongo_view view;
    struct mongo_verdict verdict;
    const struct state *s = scene->group->state;
    policy_view_set(s, &scene->group->input, 0, &view);
    view.dead = dead;
    mongo_judge(&s->spec.services[0].mongo, &view, WEST, &verdict);
    return verdict;
}

static void test_a_declaration(void **state) {
    struct scene *scene = lost_scene(state);
    struct mongo_verdict verdict = judge(scene, 0);
    assert_int_equal(verdict.kind, MONGO_CASE_FORCED);
    assert_false(verdict.declared);
    assert_int_equal(verdict.voters_alive, 2);
    assert_int_equal(verdict.need, 3);
    verdict = judge(scene, LOST);
    assert_int_equal(verdict.kind, MONGO_CASE_FORCED);
    assert_true(verdict.declared);
    assert_int_equal(verdict.member, W1);
    assert_int_equal(verdict.voters, 2);
    assert_int_equal(verdict.need, 2);
    assert_int_equal(verdict.voters_alive, 2);
    /* All that are silent, and none that answers. */
    assert_false(judge(scene, BIT(E1) | BIT(E2)).declared);
    assert_false(judge(scene, LOST | BIT(W2)).declared);
    assert_false(judge(scene, LOST | BIT(7)).declared);
    scene->facts.member_total = 6; /* one isn't told: it can't be named */
    tell(scene);
    assert_false(judge(scene, LOST).declared);
}

static void test_nothing_happens_by_itself(void **state) {
    struct scene *scene = lost_scene(state);
    assert_int_equal(failover(scene, 0, 0), CORE_GATE);
    assert_int_equal(failover(scene, BIT(E1) | BIT(E2), 0), CORE_GATE);
    scene->group->state->spec.services[0].mongo.on_majority_lost = MONGO_LOST_NEVER;
    assert_int_equal(failover(scene, LOST, 0), CORE_GATE);
    scene->group->state->spec.services[0].mongo.on_majority_lost = MONGO_LOST_ASK;
    /* Who was last seen too long ago holds it, unless skipped by name. */
    gone(scene, E1, 31000);
    tell(scene);
    assert_int_equal(failover(scene, LOST, 0), CORE_GATE);
    assert_int_equal(failover(scene, LOST, GATE_BIT(GATE_REPLICATION_LAG)), CORE_OK);
}

static void test_a_declaration_that_nothing_needs(void **state) {
    struct scene *scene = lost_scene(state);
    scene->facts = mongo_example();
    gone(scene, E1, 25000);
    gone(scene, E2, 25000);
    tell(scene);
    assert_int_equal(failover(scene, BIT(E1) | BIT(E2), 0), CORE_GATE);
    scene->group->dead = BIT(E1) | BIT(E2);
    assert_int_equal(group_move(scene->group, "us-east-1", EXECUTION_REPAIR, 0), CORE_GATE);
    scene->group->dead = 0;
    scene->group->readmit = BIT(E1);
    assert_int_equal(group_move(scene->group, "us-east-1", EXECUTION_REPAIR, 0), CORE_GATE);
    scene->group->readmit = 0;
    assert_int_equal(failover(scene, 0, 0), CORE_OK);
}

static void test_an_automatic_move_declares_nobody(void **state) {
    struct scene *scene = lost_scene(state);
    struct group *group = scene->group;
    scene->facts = mongo_example();
    static const uint32_t words[][2] = {{LOST, 0}, {0, BIT(E1)}};
    struct command *decide = group_await_decide(group, WITHOUT_EAST, east_down);
    for (size_t i = 0; i < ARRAY_LENGTH(words); i++) {
        struct command *declares = group_new(COMMAND_DECIDE);
        *declares = *decide;
        declares->decide.mongo.dead = words[i][0];
        declares->decide.mongo.readmit = words[i][1];
        assert_int_equal(group_do(group, declares), CORE_GATE);
    }
    assert_int_equal(group_do(group, decide), CORE_OK);
}

static struct step *step_of(struct scene *scene, enum step_kind kind) {
    struct execution *execution = &scene->group->state->services[0].execution;
    for (uint32_t i = 0; i < execution->step_count; i++) {
        if (execution->steps[i].kind == kind) {
            return &execution->steps[i];
        }
    }
    fail_msg("no step %s", step_kind_text(kind));
    return NULL;
}

static uint32_t blobs_used(const struct state *s) {
    uint32_t used = 0;
    for (uint32_t i = 0; i < BLOB_MAX; i++) {
        used += s->blobs[i].used;
    }
    return used;
}

static void do_next(struct scene *scene) {
    struct command *command = group_next_step(scene->group, 0);
    assert_non_null(command);
    assert_int_equal(group_do(scene->group, command), CORE_OK);
}

static void test_a_forced_move(void **state) {
    struct scene *scene = lost_scene(state);
    struct group *group = scene->group;
    assert_int_equal(failover(scene, LOST, 0), CORE_OK);
    const struct execution *execution = group_execution(group);
    static const enum step_kind kinds[] = {STEP_FORCE, STEP_PROMOTE, STEP_WRITE,
                                           STEP_KEEP,  STEP_SWITCH,  STEP_DNS};
    assert_int_equal(execution->step_count, ARRAY_LENGTH(kinds));
    for (uint32_t i = 0; i < execution->step_count; i++) {
        assert_int_equal(execution->steps[i].kind, kinds[i]);
    }
    assert_int_equal(execution->mongo.dead, LOST);
    /* Traffic doesn't wait for those that were left out. */
    assert_int_equal(step_of(scene, STEP_SWITCH)->needs >> 3 & 1, 0);
    struct step *force = step_of(scene, STEP_FORCE);
    while (force->phase != STEP_DONE) {
        do_next(scene);
    }
    /* What it was made from is needed once more. */
    assert_true(force->state_before < BLOB_MAX);
    assert_int_equal(blobs_used(group->state), 1);
    group_carry_out(group);
    assert_int_equal(group_execution(group)->result, RESULT_DONE);
    assert_int_equal(blobs_used(group->state), 0);
    assert_int_equal(group_service(group)->active, WEST);
    assert_int_equal(group_service(group)->debt_count, 0);
}

/* Brings it to ATTEMPTED. */
static struct step *sent(struct scene *scene) {
    assert_int_equal(failover(scene, LOST, 0), CORE_OK);
    struct step *force = step_of(scene, STEP_FORCE);
    while (force->phase != STEP_ATTEMPTED) {
        do_next(scene);
    }
    return force;
}

static void test_it_is_sent_once(void **state) {
    struct scene *scene = lost_scene(state);
    struct step *force = sent(scene);
    struct command_step fields = {.step = 0, .attempt = 2};
    assert_int_equal(group_step(scene->group, COMMAND_ATTEMPT, &fields), CORE_PHASE);
    fields.attempt = 1;
    (void)TEXT_COPY(fields.change_id, "version 4");
    assert_int_equal(group_step(scene->group, COMMAND_ACCEPTED, &fields), CORE_PHASE);
    assert_int_equal(group_step(scene->group, COMMAND_CLOSING, &fields), CORE_PHASE);
    fields = (struct command_step){.step = 0, .outcome = STEP_DONE};
    assert_int_equal(group_step(scene->group, COMMAND_OUTCOME, &fields), CORE_EVIDENCE);
    fields.outcome = STEP_REFUSED;
    assert_int_equal(group_step(scene->group, COMMAND_OUTCOME, &fields), CORE_PHASE);
    fields.outcome = STEP_UNKNOWN;
    assert_int_equal(group_step(scene->group, COMMAND_OUTCOME, &fields), CORE_OK);
    assert_int_equal(force->phase, STEP_UNKNOWN);
    /* It may land yet, so the move stands half done; and a person may begin another. */
    assert_int_equal(group_execution(scene->group)->result, RESULT_HALF_MOVED);
    assert_int_equal(blobs_used(scene->group->state), 0);
    tell(scene);
    assert_int_equal(failover(scene, LOST, 0), CORE_OK);
}

static struct target_reading reading_of(const char *fence, enum target_sync sync, bool late) {
    return (struct target_reading){
        .sync = sync, .fence_present = true, .fence = fence, .state_as_before = true, .late = late};
}

static void test_what_a_read_says(void **state) {
    struct scene *scene = lost_scene(state);
    (void)sent(scene);
    const struct state *s = scene->group->state;
    char eid[EID_SIZE];
    char fence[FENCE_SIZE];
    const char *why;
    step_eid(s, 0, 0, eid);
    fence_format(fence, "prod", eid);
    struct target_reading reading = reading_of(fence, TARGET_PENDING, true);
    assert_int_equal(step_after_read(s, 0, 0, &reading, &why), ACTION_WAIT);
    reading = reading_of(fence, TARGET_INSYNC, true);
    assert_int_equal(step_after_read(s, 0, 0, &reading, &why), ACTION_DONE);
    reading = reading_of("prod/nocturnal/5.1/0", TARGET_PENDING, false);
    assert_int_equal(step_after_read(s, 0, 0, &reading, &why), ACTION_WAIT);
    reading.late = true;
    assert_int_equal(step_after_read(s, 0, 0, &reading, &why), ACTION_UNKNOWN);
    reading.late = false;
    assert_int_equal(group_choice(scene->group, COMMAND_CANCEL, ""), CORE_OK);
    assert_int_equal(step_after_read(s, 0, 0, &reading, &why), ACTION_UNKNOWN);
    reading = reading_of(fence, TARGET_INSYNC, false);
    assert_int_equal(step_after_read(s, 0, 0, &reading, &why), ACTION_DONE);
}

static void test_cancelled_before_it_is_sent(void **state) {
    struct scene *scene = lost_scene(state);
    assert_int_equal(failover(scene, LOST, 0), CORE_OK);
    do_next(scene);
    assert_int_equal(step_of(scene, STEP_FORCE)->phase, STEP_INTENDED);
    assert_int_equal(group_choice(scene->group, COMMAND_CANCEL, ""), CORE_OK);
    assert_int_equal(group_execution(scene->group)->result, RESULT_CANCELLED);
    assert_int_equal(blobs_used(scene->group->state), 0);
}

static void test_released_it_is_no_debt(void **state) {
    struct scene *scene = lost_scene(state);
    (void)sent(scene);
    assert_int_equal(group_choice(scene->group, COMMAND_RELEASE, "force"), CORE_OK);
    assert_int_equal(group_service(scene->group)->debt_count, 0);
}

/* KEEP follows on the forced config, and on no other of its epoch. */
static void test_whose_fence_is_followed(void **state) {
    struct scene *scene = lost_scene(state);
    assert_int_equal(failover(scene, LOST, 0), CORE_OK);
    const struct execution *execution = group_execution(scene->group);
    struct step *force = step_of(scene, STEP_FORCE);
    struct fence fence = {.incarnation = 5, .epoch = execution->epoch, .step = 0};
    const uint32_t keep = (uint32_t)(step_of(scene, STEP_KEEP) - execution->steps);
    assert_false(fence_is_of_forced(&fence, execution, 5, keep));
    while (force->phase != STEP_DONE) {
        do_next(scene);
    }
    execution = group_execution(scene->group);
    assert_true(fence_is_of_forced(&fence, execution, 5, keep));
    assert_false(fence_is_of_forced(&fence, execution, 5, keep + 1));
    assert_false(fence_is_of_forced(&fence, execution, 4, keep));
    fence.burnt = true;
    assert_false(fence_is_of_forced(&fence, execution, 5, keep));
    fence = (struct fence){.incarnation = 5, .epoch = execution->epoch + 1};
    assert_false(fence_is_of_forced(&fence, execution, 5, keep));
    fence = (struct fence){.incarnation = 5, .epoch = execution->epoch, .step = 1};
    assert_false(fence_is_of_forced(&fence, execution, 5, keep));
    fence.step = keep;
    assert_false(fence_is_of_forced(&fence, execution, 5, keep));
}

/* --- readmission --- */

/* East leads; W1 was left out once, and is back. */
static struct scene *kept_scene(void **state) {
    static struct scene scene;
    scene = (struct scene){.group = *state, .facts = mongo_example()};
    group_add_set(scene.group);
    struct mongo_member *m = &scene.facts.members[W1];
    m->kept_out = true;
    m->votes = false;
    m->priority_milli = 0;
    tell(&scene);
    return &scene;
}

static enum core_error readmit(struct scene *scene, uint32_t bits) {
    tell(scene);
    scene->group->readmit = bits;
    enum core_error error = group_move(scene->group, "us-east-1", EXECUTION_READMIT, 0);
    scene->group->readmit = 0;
    return error;
}

static const char *refusal(struct scene *scene, uint32_t bits) {
    struct mongo_view view;
    const struct state *s = scene->group->state;
    tell(scene);
    policy_view_set(s, &scene->group->input, 0, &view);
    view.readmit = bits;
    const char *words = mongo_readmit_refusal(&s->spec.services[0].mongo, &view);
    return words == NULL ? "none" : words;
}

static void test_readmission(void **state) {
    struct scene *scene = kept_scene(state);
    struct group *group = scene->group;
    assert_string_equal(refusal(scene, BIT(W1)), "none");
    group_service(group)->half_moved = true;
    assert_int_equal(readmit(scene, BIT(W1)), CORE_OK);
    assert_int_equal(group_execution(group)->step_count, 1);
    group_carry_out(group);
    assert_int_equal(group_execution(group)->result, RESULT_DONE);
    /* It says nothing of where the service is, and is no move. */
    assert_true(group_service(group)->half_moved);
    assert_int_equal(group_service(group)->active, EAST);
    assert_int_equal(group_service(group)->last_move_end_ms, 0);
}

static void test_a_readmission_has_one_step(void **state) {
    struct scene *scene = kept_scene(state);
    const struct state *s = scene->group->state;
    struct mongo_view view;
    struct plan plan;
    policy_view_set(s, &scene->group->input, 0, &view);
    view.readmit = BIT(W1);
    assert_int_equal(policy_plan(s, 0, EXECUTION_READMIT, EAST, 0, &view, &plan), CORE_OK);
    assert_int_equal(plan.count, 1);
    assert_true(plan_is_sound(s, 0, EXECUTION_READMIT, EAST, 0, &view, &plan));
    assert_false(plan_is_sound(s, 0, EXECUTION_READMIT, EAST, 0, NULL, &plan));
    assert_false(plan_is_sound(s, 0, EXECUTION_REPAIR, EAST, 0, &view, &plan));
    plan.steps[0].kind = STEP_KEEP;
    assert_false(plan_is_sound(s, 0, EXECUTION_READMIT, EAST, 0, &view, &plan));
    assert_int_equal(policy_plan(s, 0, EXECUTION_READMIT, EAST, 0, NULL, &plan), CORE_GATE);
    view.dead = BIT(E1);
    assert_int_equal(policy_plan(s, 0, EXECUTION_READMIT, EAST, 0, &view, &plan), CORE_GATE);
    view.dead = 0;
    view.readmit = BIT(W2);
    assert_int_equal(policy_plan(s, 0, EXECUTION_READMIT, EAST, 0, &view, &plan), CORE_GATE);
}

static void test_who_is_not_readmitted(void **state) {
    struct scene *scene = kept_scene(state);
    struct mongo_member *m = &scene->facts.members[W1];
    const struct mongo_member well = *m;
    static const char no_member[] = "the set has no such member";
    assert_string_equal(refusal(scene, 0), no_member);
    assert_string_equal(refusal(scene, BIT(W1) | BIT(X1)), no_member);
    assert_string_equal(refusal(scene, BIT(9)), no_member);
    assert_string_equal(refusal(scene, BIT(W2)),
                        "it wasn't put out by a forced reconfiguration: it has what its config "
                        "says");
    static const char no_secondary[] =
        "it is no secondary yet: it has to catch up, or to be looked at, first";
    m->state = MONGO_ROLLBACK;
    assert_string_equal(refusal(scene, BIT(W1)), no_secondary);
    assert_int_equal(readmit(scene, BIT(W1)), CORE_GATE);
    *m = well;
    gone(scene, W1, 9000);
    assert_string_equal(refusal(scene, BIT(W1)), no_secondary);
    *m = well;
    static const char behind[] = "it is behind by more than max_lag: it has to catch up first";
    m->optime.wall_ms -= 11000;
    m->optime.seconds -= 11;
    assert_string_equal(refusal(scene, BIT(W1)), behind);
    *m = well;
    m->optime_age_ms = 31000;
    assert_string_equal(refusal(scene, BIT(W1)), behind);
    *m = well;
    m->arbiter = true;
    m->state = MONGO_ARBITER;
    assert_string_equal(refusal(scene, BIT(W1)), "none");
    m->answers = false;
    assert_string_equal(refusal(scene, BIT(W1)), "it doesn't answer");
    m->answers = true;
    m->state = MONGO_STARTUP2;
    assert_string_equal(refusal(scene, BIT(W1)), "it doesn't answer");
    *m = well;
    gone(scene, E1, 9000);
    static const char nothing_goes[] =
        "the set has no primary, or no majority: nothing can be changed now";
    assert_string_equal(refusal(scene, BIT(W1)), nothing_goes);
    scene->facts.members[E1] = mongo_example().members[E1];
    gone(scene, E2, 9000);
    gone(scene, W2, 9000);
    gone(scene, X1, 9000);
    assert_string_equal(refusal(scene, BIT(W1)), nothing_goes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        ADOPTED(test_a_declaration),
        ADOPTED(test_nothing_happens_by_itself),
        ADOPTED(test_a_declaration_that_nothing_needs),
        ADOPTED(test_an_automatic_move_declares_nobody),
        ADOPTED(test_a_forced_move),
        ADOPTED(test_it_is_sent_once),
        ADOPTED(test_what_a_read_says),
        ADOPTED(test_cancelled_before_it_is_sent),
        ADOPTED(test_released_it_is_no_debt),
        ADOPTED(test_whose_fence_is_followed),
        ADOPTED(test_readmission),
        ADOPTED(test_a_readmission_has_one_step),
        ADOPTED(test_who_is_not_readmitted),
    };
    return cmocka_run_group_tests_name("forced", tests, NULL, NULL);
}
