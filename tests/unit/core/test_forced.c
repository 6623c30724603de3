/* The majority of a replica set is lost: what a person may say about its members, and what comes of
 * it; and how those that were left out get their vote back. */
#include <stdio.h>

#include "mongo_test.h"
#include "plan_rules.h"

static struct scene *kept_scene(void **state);
static enum core_error readmit(struct scene *scene, const char *host);

static struct scene *lost_scene(void **state) {
    static struct scene scene;
    scene = scene_of(state);
    mongo_lose_majority(&scene.facts);
    look(&scene);
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
    look(scene);
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
    look(scene);
    assert_int_equal(failover(scene, LOST, 0), CORE_GATE);
    assert_int_equal(failover(scene, LOST, GATE_BIT(GATE_REPLICATION_LAG)), CORE_OK);
}

static void test_a_declaration_that_nothing_needs(void **state) {
    struct scene *scene = lost_scene(state);
    scene->facts = mongo_example();
    gone(scene, E1, 25000);
    gone(scene, E2, 25000);
    look(scene);
    assert_int_equal(failover(scene, BIT(E1) | BIT(E2), 0), CORE_GATE);
    scene->group->dead = BIT(E1) | BIT(E2);
    assert_int_equal(group_move(scene->group, "us-east-1", EXECUTION_REPAIR, 0), CORE_GATE);
    scene->group->dead = 0;
    scene->group->readmit = "e1:27017";
    assert_int_equal(group_move(scene->group, "us-east-1", EXECUTION_REPAIR, 0), CORE_GATE);
    scene->group->readmit = NULL;
    assert_int_equal(failover(scene, 0, 0), CORE_OK);
}

static void test_an_automatic_move_declares_nobody(void **state) {
    struct scene *scene = lost_scene(state);
    struct group *group = scene->group;
    scene->facts = mongo_example();
    struct command *decide = group_await_decide(group, WITHOUT_EAST, east_down);
    for (int i = 0; i < 2; i++) {
        struct command *declares = group_new(COMMAND_DECIDE);
        *declares = *decide;
        declares->decide.mongo.dead = i == 0 ? LOST : 0;
        (void)TEXT_COPY(declares->decide.mongo.readmit, i == 1 ? "e1:27017" : "");
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
    static const enum step_kind kinds[] = {STEP_FORCE, STEP_PROMOTE, STEP_WRITE, STEP_SWITCH,
                                           STEP_DNS};
    assert_int_equal(execution->step_count, ARRAY_LENGTH(kinds));
    for (uint32_t i = 0; i < execution->step_count; i++) {
        assert_int_equal(execution->steps[i].kind, kinds[i]);
    }
    assert_int_equal(execution->mongo.dead, LOST);
    group_carry_out(group);
    assert_int_equal(group_execution(group)->result, RESULT_DONE);
    assert_int_equal(blobs_used(group->state), 0);
    assert_int_equal(group_service(group)->active, WEST);
    assert_int_equal(group_service(group)->debt_count, 0);
    assert_int_equal(group_service(group)->left_out_count, 3);
    assert_string_equal(group_service(group)->left_out[2].host, "x1:27017");
    /* What the survivors know, and one more; the dead may know of newer ones. */
    assert_int_equal(group_service(group)->left_out[2].term, 8);
    assert_int_equal(group_service(group)->left_out[2].known_term, 7);
}

/* Of three that are left two may elect one of them before they hear from the third, in a term that
 * only that one knows to be used. What doesn't vote elects nobody. */
static void test_the_voter_that_knows_least(void **state) {
    struct scene *scene = lost_scene(state);
    scene->facts.members[W1].term = 6;
    scene->facts.members[W2].term = 5;
    scene->facts.members[E1].term = 2; /* declared dead: others don't go by it */
    look(scene);
    assert_int_equal(failover(scene, LOST, 0), CORE_OK);
    do_next(scene);
    assert_int_equal(group_service(scene->group)->left_out[0].term, 6);
    assert_int_equal(group_service(scene->group)->left_out[0].known_term, 7);
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
    look(scene);
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
    /* One has it, and whoever else is needed for a majority may be dead by now. */
    reading = reading_of(fence, TARGET_PENDING, false);
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

/* What was sent can't be told to be gone: nobody can go on as if it were. */
static void test_it_is_not_released(void **state) {
    struct scene *scene = lost_scene(state);
    (void)sent(scene);
    assert_int_equal(group_choice(scene->group, COMMAND_RELEASE, "force"), CORE_PHASE);
    assert_int_equal(step_of(scene, STEP_FORCE)->phase, STEP_ATTEMPTED);
    assert_int_equal(group_service(scene->group)->debt_count, 0);
}

/* The intent names just the dead, each with what it takes to put it back. */
static void test_who_is_left_out(void **state) {
    struct scene *scene = lost_scene(state);
    struct group *group = scene->group;
    assert_int_equal(failover(scene, LOST, 0), CORE_OK);
    for (int i = 0; i < 9; i++) {
        struct command *command = group_next_step(group, 0);
        struct command_step *c = &command->step;
        assert_int_equal(c->left_out_count, 3);
        switch (i) {
        case 0:
            c->left_out_count = 2;
            break;
        case 1:
            (void)TEXT_COPY(c->left_out[2].host, "w1:27017");
            break;
        case 2:
            (void)TEXT_COPY(c->left_out[3].host, "z1:27017");
            c->left_out[3].size_bytes = 5;
            c->left_out_count = 4;
            break;
        case 3:
            c->left_out[1].size_bytes = 0;
            break;
        case 4:
            c->left_out[1].size_bytes = LEFT_OUT_SIZE + 1;
            break;
        case 5:
            c->left_out[1].term = 8;
            break;
        case 6:
            c->left_out[1].known_term = 8;
            break;
        case 7:
            c->forced_version = 0;
            break;
        default:
            break;
        }
        assert_int_equal(group_do(group, command), i < 8 ? CORE_MALFORMED : CORE_OK);
    }
    struct step *force = step_of(scene, STEP_FORCE);
    while (force->phase != STEP_DONE) {
        do_next(scene);
    }
    /* No other step leaves anybody out. */
    do_next(scene); /* INTENT of promote */
    while (step_of(scene, STEP_DNS)->phase == STEP_WAITING) {
        struct command *command = group_next_step(group, 0);
        if (command->kind == COMMAND_INTENT &&
            command->step.step == step_of(scene, STEP_DNS) - group_execution(group)->steps) {
            command->step.left_out_count = 1;
            assert_int_equal(group_do(group, command), CORE_MALFORMED);
            break;
        }
        assert_int_equal(group_do(group, command), CORE_OK);
    }
}

/* What is from before the forced config is the old side's: nothing follows on it. */
static void test_the_old_side_is_left_alone(void **state) {
    struct scene *scene = lost_scene(state);
    struct group *group = scene->group;
    assert_int_equal(failover(scene, LOST, 0), CORE_OK);
    group_carry_out(group);
    uint64_t forced_epoch = group_execution(group)->epoch;
    assert_int_equal(group_service(group)->forced_epoch, forced_epoch);
    scene->facts = mongo_example();
    scene->facts.members[W1].kept_out = true;
    look(scene);
    group->dead = 0;
    group->readmit = "w1:27017";
    assert_int_equal(group_move(group, "us-west-2", EXECUTION_READMIT, 0), CORE_OK);
    group->readmit = NULL;
    for (uint64_t epoch = forced_epoch - 1; epoch <= forced_epoch; epoch++) {
        struct command *intent = group_next_step(group, 0);
        char eid[EID_SIZE];
        eid_format(eid, "nocturnal", 5, epoch, 0);
        fence_format(intent->step.fence, "prod", eid);
        assert_int_equal(group_do(group, intent), epoch < forced_epoch ? CORE_CHANGED : CORE_OK);
    }
}

/* A group that was recovered goes on from what its earlier incarnation wrote, forced or not. */
static void test_fences_of_an_earlier_incarnation(void **state) {
    struct scene *scene = kept_scene(state);
    struct group *group = scene->group;
    for (uint64_t forced_epoch = 0; forced_epoch <= 1; forced_epoch++) {
        group_service(group)->forced_epoch = forced_epoch;
        assert_int_equal(readmit(scene, "w1:27017"), CORE_OK);
        struct command *intent = group_next_step(group, 0);
        char eid[EID_SIZE];
        eid_format(eid, "nocturnal", 4, 1, 0);
        fence_format(intent->step.fence, "prod", eid);
        assert_int_equal(group_do(group, intent), CORE_OK);
        assert_int_equal(group_choice(group, COMMAND_CANCEL, ""), CORE_OK);
    }
}

/* Left out once more: what is known of those that came back is told anew, of the others kept, and
 * the oldest make room. */
static void test_left_out_again(void **state) {
    struct scene *scene = lost_scene(state);
    struct service *service = group_service(scene->group);
    static const char *const before[] = {"z1:27017", "w1:27017", "e1:27017"};
    for (uint32_t i = 0; i < MONGO_MEMBER_MAX; i++) {
        char name[NAME_SIZE];
        (void)snprintf(name, sizeof name, "old%u:27017", i);
        (void)TEXT_COPY(service->left_out[i].host,
                        i < ARRAY_LENGTH(before) ? before[i] : (const char *)name);
        service->left_out[i].size_bytes = 7;
    }
    service->left_out_count = MONGO_MEMBER_MAX;
    assert_int_equal(failover(scene, LOST, 0), CORE_OK);
    do_next(scene);
    assert_int_equal(service->left_out_count, MONGO_MEMBER_MAX);
    assert_string_equal(service->left_out[0].host, "old3:27017"); /* z1 made room */
    assert_string_equal(service->left_out[13].host, "e1:27017");
    assert_int_equal(service->left_out[13].size_bytes, 5);
    for (uint32_t i = 0; i < service->left_out_count; i++) {
        assert_string_not_equal(service->left_out[i].host, "w1:27017"); /* it is in the config */
    }
}

/* --- readmission --- */

/* East leads; W1 was left out once, and is back. */
static struct scene *kept_scene(void **state) {
    static struct scene scene;
    scene = scene_of(state);
    struct mongo_member *m = member(&scene, W1);
    m->kept_out = true;
    m->votes = false;
    m->priority_milli = 0;
    look(&scene);
    return &scene;
}

static enum core_error readmit(struct scene *scene, const char *host) {
    look(scene);
    scene->group->readmit = host;
    enum core_error error = group_move(scene->group, "us-east-1", EXECUTION_READMIT, 0);
    scene->group->readmit = NULL;
    return error;
}

static const char *refusal(struct scene *scene, const char *host) {
    struct mongo_view view;
    const struct state *s = scene->group->state;
    look(scene);
    policy_view_set(s, &scene->group->input, 0, &view);
    (void)TEXT_COPY(view.readmit, host);
    const char *words = mongo_readmit_refusal(s, 0, &view);
    return words == NULL ? "none" : words;
}

static void test_readmission(void **state) {
    struct scene *scene = kept_scene(state);
    struct group *group = scene->group;
    assert_string_equal(refusal(scene, "w1:27017"), "none");
    group_service(group)->half_moved = true;
    assert_int_equal(readmit(scene, "w1:27017"), CORE_OK);
    assert_int_equal(group_execution(group)->step_count, 1);
    group_carry_out(group);
    assert_int_equal(group_execution(group)->result, RESULT_DONE);
    /* It says nothing of where the service is, and is no move. */
    assert_true(group_service(group)->half_moved);
    assert_int_equal(group_service(group)->active, EAST);
    assert_int_equal(group_service(group)->last_move_end_ms, 0);
}

/* What only a person can mend ends it, so that a failover can begin: proved undone, by a burn. */
static void test_a_readmission_that_gets_nowhere(void **state) {
    struct scene *scene = kept_scene(state);
    struct group *group = scene->group;
    const struct step *step = group_execution(group)->steps;
    static const char words[] = "w1:27017 has writes of term 3";
    const char *why = "";
    assert_int_equal(readmit(scene, "w1:27017"), CORE_OK);
    do_next(scene); /* INTENT */
    do_next(scene); /* ATTEMPT */
    assert_int_equal(step->phase, STEP_ATTEMPTED);
    struct target_reading reading = reading_of(step->fence_before, TARGET_INSYNC, false);
    reading.against = words;
    assert_int_equal(step_after_read(group->state, 0, 0, &reading, &why), ACTION_ATTEMPT);
    reading.late = true;
    assert_int_equal(step_after_read(group->state, 0, 0, &reading, &why), ACTION_CLOSE);
    assert_string_equal(why, words);
    reading.against = NULL; /* somebody has mended it */
    assert_int_equal(step_after_read(group->state, 0, 0, &reading, &why), ACTION_ATTEMPT);
    struct command_step closing = {.step = 0};
    (void)TEXT_COPY(closing.detail, words);
    assert_int_equal(group_step(group, COMMAND_CLOSING, &closing), CORE_OK);
    assert_int_equal(step_after_read(group->state, 0, 0, &reading, &why), ACTION_BURN);
    struct command_step refused = {.step = 0, .outcome = STEP_REFUSED};
    char eid[EID_SIZE];
    step_eid(group->state, 0, 0, eid);
    fence_format_void(refused.fence, "prod", eid);
    assert_int_equal(group_step(group, COMMAND_OUTCOME, &refused), CORE_OK);
    assert_false(execution_is_open(group_execution(group)));
    assert_int_equal(group_service(group)->debt_count, 0);
}

/* One that a forced config left out isn't in any report: whether it answers, the driver asks. */
static void test_one_that_was_left_out(void **state) {
    struct scene *scene = kept_scene(state);
    struct service *service = group_service(scene->group);
    (void)TEXT_COPY(service->left_out[0].host, "y1:27017");
    service->left_out[0].size_bytes = 5;
    (void)TEXT_COPY(service->left_out[1].host, "y2:27017");
    service->left_out[1].size_bytes = 5;
    service->left_out_count = 2;
    assert_string_equal(refusal(scene, "y1:27017"), "none");
    assert_int_equal(readmit(scene, "y1:27017"), CORE_OK);
    group_carry_out(scene->group);
    assert_int_equal(group_execution(scene->group)->result, RESULT_DONE);
    /* In, without a vote; until that is known everywhere, it may be asked for once more. */
    assert_int_equal(service->left_out_count, 2);
    assert_int_equal(readmit(scene, "y1:27017"), CORE_OK);
    group_carry_out(scene->group);
    (void)TEXT_COPY(service->left_out[1].host, "w1:27017");
    assert_int_equal(readmit(scene, "w1:27017"), CORE_OK);
    group_carry_out(scene->group);
    assert_int_equal(service->left_out_count, 1);
    assert_string_equal(service->left_out[0].host, "y1:27017");
}

static void test_a_readmission_has_one_step(void **state) {
    struct scene *scene = kept_scene(state);
    const struct state *s = scene->group->state;
    struct mongo_view view;
    struct plan plan;
    policy_view_set(s, &scene->group->input, 0, &view);
    (void)TEXT_COPY(view.readmit, "w1:27017");
    assert_int_equal(policy_plan(s, 0, EXECUTION_READMIT, EAST, 0, &view, &plan), CORE_OK);
    assert_int_equal(plan.count, 1);
    assert_true(plan_is_sound(s, 0, EXECUTION_READMIT, EAST, 0, &view, &plan));
    assert_false(plan_is_sound(s, 0, EXECUTION_READMIT, EAST, 0, NULL, &plan));
    assert_false(plan_is_sound(s, 0, EXECUTION_REPAIR, EAST, 0, &view, &plan));
    plan.steps[0].kind = STEP_PREFER;
    assert_false(plan_is_sound(s, 0, EXECUTION_READMIT, EAST, 0, &view, &plan));
    assert_int_equal(policy_plan(s, 0, EXECUTION_READMIT, EAST, 0, NULL, &plan), CORE_GATE);
    view.dead = BIT(E1);
    assert_int_equal(policy_plan(s, 0, EXECUTION_READMIT, EAST, 0, &view, &plan), CORE_GATE);
    view.dead = 0;
    (void)TEXT_COPY(view.readmit, "w2:27017");
    assert_int_equal(policy_plan(s, 0, EXECUTION_READMIT, EAST, 0, &view, &plan), CORE_GATE);
}

static void test_who_is_not_readmitted(void **state) {
    struct scene *scene = kept_scene(state);
    struct mongo_member *m = &scene->facts.members[W1];
    const struct mongo_member well = *m;
    static const char no_member[] =
        "it is no member of the set, and none that a forced reconfiguration left out";
    assert_string_equal(refusal(scene, ""), no_member);
    assert_string_equal(refusal(scene, "z1:27017"), no_member);
    assert_string_equal(refusal(scene, "w2:27017"),
                        "it is in the set with all that its config says");
    static const char no_secondary[] =
        "it is no secondary yet: it has to catch up, or to be looked at, first";
    m->state = MONGO_ROLLBACK;
    assert_string_equal(refusal(scene, "w1:27017"), no_secondary);
    assert_int_equal(readmit(scene, "w1:27017"), CORE_GATE);
    *m = well;
    gone(scene, W1, 9000);
    assert_string_equal(refusal(scene, "w1:27017"), no_secondary);
    *m = well;
    static const char behind[] = "it is behind by more than max_lag: it has to catch up first";
    m->optime.wall_ms -= 11000;
    m->optime.seconds -= 11;
    assert_string_equal(refusal(scene, "w1:27017"), behind);
    *m = well;
    m->optime_age_ms = 31000;
    assert_string_equal(refusal(scene, "w1:27017"), behind);
    *m = well;
    gone(scene, E1, 9000);
    static const char nothing_goes[] =
        "the set has no primary, or no majority: nothing can be changed now";
    assert_string_equal(refusal(scene, "w1:27017"), nothing_goes);
    scene->facts.members[E1] = mongo_example().members[E1];
    gone(scene, E2, 9000);
    gone(scene, W2, 9000);
    gone(scene, X1, 9000);
    assert_string_equal(refusal(scene, "w1:27017"), nothing_goes);
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
        ADOPTED(test_it_is_not_released),
        ADOPTED(test_the_voter_that_knows_least),
        ADOPTED(test_who_is_left_out),
        ADOPTED(test_the_old_side_is_left_alone),
        ADOPTED(test_fences_of_an_earlier_incarnation),
        ADOPTED(test_left_out_again),
        ADOPTED(test_readmission),
        ADOPTED(test_a_readmission_that_gets_nowhere),
        ADOPTED(test_one_that_was_left_out),
        ADOPTED(test_a_readmission_has_one_step),
        ADOPTED(test_who_is_not_readmitted),
    };
    return cmocka_run_group_tests_name("forced", tests, NULL, NULL);
}
