/* The leader's memory of one term: reports, ages, its own TICKs; and its rounds of policy. */
#include "executor_test.h"

#include "executor/leader.h"

struct led {
    struct scene scene;
    struct leader *leader;
    bool closed;
};

static int setup_led(void **state) {
    static struct led led;
    memset(&led, 0, sizeof led);
    scene_open(&led.scene);
    executor_lead(led.scene.executor, false, led.scene.group.term);
    led.leader = leader_create(&(struct leader_options){.loop = &led.scene.loop,
                                                        .clock = &led.scene.clock,
                                                        .proposer = led.scene.proposer,
                                                        .self_id = 2});
    assert_non_null(led.leader);
    leader_lead(led.leader, true, led.scene.group.term);
    *state = &led;
    return 0;
}

static void on_closed(void *context) {
    ((struct led *)context)->closed = true;
}

static int teardown_led(void **state) {
    struct led *led = *state;
    if (!led->closed) {
        leader_close(led->leader, on_closed, led);
    }
    scene_close(&led->scene);
    assert_true(led->closed);
    return 0;
}

static void turn(struct led *led) {
    if (!led->closed) {
        leader_poke(led->leader);
    }
    (void)uv_run(&led->scene.loop, UV_RUN_NOWAIT);
}

/* Each living node reports what `seen` says of the regions. */
static void report(struct led *led, uint32_t living, const enum opinion_value seen[REGION_MAX]) {
    struct group *group = &led->scene.group;
    group_report(group, living, seen);
    for (uint32_t n = 0; n < 3; n++) {
        if ((living >> n & 1) != 0) {
            leader_on_report(led->leader, group->reports[n]);
        }
    }
}

static const enum opinion_value up[REGION_MAX] = {OPINION_UP, OPINION_UP};
static const enum opinion_value east_is_down[REGION_MAX] = {OPINION_DOWN, OPINION_UP};

/* Applies what is proposed and tells, round after round, until a command of this kind is proposed.
 * NULL: within `seconds` none was. */
static struct played_proposal *await(struct led *led, enum command_kind kind, uint32_t living,
                                     const enum opinion_value seen[REGION_MAX], uint32_t seconds) {
    struct scene *scene = &led->scene;
    for (uint32_t i = 0; i < seconds; i++) {
        scene_pass_ms(scene, 1000);
        report(led, living, seen);
        turn(led);
        while (scene->proposal_count > 0) {
            struct played_proposal *proposal = scene->proposals[0];
            if (proposal->command.kind == kind) {
                return proposal;
            }
            scene_apply(scene, proposal);
            scene_tell(scene, proposal, ERROR_OK);
            turn(led);
        }
    }
    return NULL;
}

static struct report report_of(uint64_t node_id, uint64_t boot, uint64_t sequence) {
    return (struct report){.node_id = node_id, .boot = boot, .sequence = sequence};
}

static void test_only_the_newest_report_is_kept(void **state) {
    struct led *led = *state;
    static const struct {
        uint64_t boot, sequence;
        bool newer;
    } rows[] = {{3, 10, true},  {3, 10, false}, {3, 9, false},  {3, 11, true},
                {2, 99, false}, {4, 1, true},   {3, 12, false}, {4, 2, true}};
    uint64_t boot = 0;
    uint64_t sequence = 0;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct report report = report_of(1, rows[i].boot, rows[i].sequence);
        scene_pass_ms(&led->scene, 10);
        leader_on_report(led->leader, &report);
        boot = rows[i].newer ? rows[i].boot : boot;
        sequence = rows[i].newer ? rows[i].sequence : sequence;
        const struct report *kept = leader_report(led->leader, 1);
        assert_true(kept->boot == boot && kept->sequence == sequence);
        struct policy_input input;
        assert_true(leader_input(led->leader, &input));
        assert_ptr_equal(input.reports[0], kept);
        /* An old report, said again, makes nobody alive. */
        assert_int_equal(input.received_ms[0] == led->scene.group.now_ms, rows[i].newer);
    }
}

static void test_reports_stand_in_their_nodes_place(void **state) {
    struct led *led = *state;
    struct report third = report_of(3, 1, 1);
    struct report stranger = report_of(77, 1, 1);
    leader_on_report(led->leader, &third);
    leader_on_report(led->leader, &stranger);
    struct policy_input input;
    assert_true(leader_input(led->leader, &input));
    assert_null(input.reports[0]);
    assert_null(input.reports[1]);
    assert_true(input.reports[2]->node_id == 3);
    assert_null(leader_report(led->leader, 77));
    assert_null(leader_report(led->leader, 1));
    assert_true(input.self_id == 2 && input.term == led->scene.group.term);
}

static void test_a_new_term_knows_nothing(void **state) {
    struct led *led = *state;
    struct policy_input input;
    assert_non_null(await(led, COMMAND_TICK, WITHOUT_EAST, east_is_down, 20));
    scene_apply(&led->scene, led->scene.proposals[0]);
    scene_tell(&led->scene, led->scene.proposals[0], ERROR_OK);
    assert_true(leader_tick_proposed_ms(led->leader) != 0);
    assert_non_null(leader_report(led->leader, 3));
    leader_lead(led->leader, false, led->scene.group.term);
    assert_null(leader_report(led->leader, 3));
    assert_false(leader_input(led->leader, &input));
    assert_null(input.reports[2]);
    struct report again = report_of(3, 9, 9);
    leader_on_report(led->leader, &again); /* we don't lead */
    assert_null(leader_report(led->leader, 3));
    turn(led);
    assert_true(scene_is_quiet(&led->scene));
    assert_int_equal(group_leader(&led->scene.group, 2), CORE_OK);
    scene_pass_ms(&led->scene, 5);
    leader_lead(led->leader, true, led->scene.group.term);
    assert_true(leader_input(led->leader, &input));
    assert_null(input.reports[2]);
    assert_true(input.term_start_ms == led->scene.group.now_ms);
    assert_true(input.tick_proposed_ms == 0 && leader_tick_proposed_ms(led->leader) == 0);
}

static void test_silence_expires(void **state) {
    struct led *led = *state;
    report(led, EVERYBODY, up);
    turn(led);
    assert_true(scene_is_quiet(&led->scene)); /* a steady group writes nothing */
    struct played_proposal *expire = await(led, COMMAND_EXPIRE, 3, up, 20);
    assert_non_null(expire);
    assert_true(expire->command.expire.node_id == 3);
    const struct report *last = leader_report(led->leader, 3);
    assert_true(expire->command.expire.boot == last->boot);
    assert_true(expire->command.expire.sequence == last->sequence);
    struct policy_input input;
    assert_true(leader_input(led->leader, &input));
    assert_in_range(led->scene.group.now_ms - input.received_ms[2], REPORT_EXPIRE_MS,
                    REPORT_EXPIRE_MS + 1000);
}

/* The next judgement rests on what the last one's entries did. */
static void test_no_round_while_proposals_are_open(void **state) {
    struct led *led = *state;
    report(led, EVERYBODY, east_is_down);
    turn(led);
    uint32_t opinions = led->scene.proposal_count;
    assert_int_equal(opinions, 3);
    for (int i = 0; i < 5; i++) {
        scene_pass_ms(&led->scene, 1000);
        report(led, EVERYBODY, east_is_down);
        turn(led);
    }
    assert_int_equal(led->scene.proposal_count, opinions);
    while (opinions-- > 1) {
        scene_apply(&led->scene, led->scene.proposals[0]);
        scene_tell(&led->scene, led->scene.proposals[0], ERROR_OK);
        turn(led);
        assert_int_equal(led->scene.proposal_count, opinions);
    }
    scene_apply(&led->scene, led->scene.proposals[0]);
    scene_tell(&led->scene, led->scene.proposals[0], ERROR_OK);
    turn(led);
    assert_int_equal(led->scene.proposal_count, 1);
    assert_int_equal(led->scene.proposals[0]->command.kind, COMMAND_TICK);
}

static void test_what_was_lost_is_said_again(void **state) {
    struct led *led = *state;
    report(led, EVERYBODY, east_is_down);
    turn(led);
    assert_int_equal(led->scene.proposal_count, 3);
    while (led->scene.proposal_count > 0) {
        scene_tell(&led->scene, led->scene.proposals[0], ERROR_UNKNOWN);
    }
    /* ... but not at once, and again and again. */
    scene_pass_ms(&led->scene, 249);
    turn(led);
    assert_int_equal(led->scene.proposal_count, 0);
    scene_pass_ms(&led->scene, 1);
    turn(led);
    assert_int_equal(led->scene.proposal_count, 3);
}

static void test_ticks_count_from_their_proposal(void **state) {
    struct led *led = *state;
    struct played_proposal *tick = await(led, COMMAND_TICK, WITHOUT_EAST, east_is_down, 20);
    assert_non_null(tick);
    uint64_t proposed_ms = led->scene.group.now_ms;
    scene_pass_ms(&led->scene, 321);
    scene_apply(&led->scene, tick);
    assert_int_equal(tick->answer, CORE_OK);
    assert_true(leader_tick_proposed_ms(led->leader) == 0);
    scene_tell(&led->scene, tick, ERROR_OK);
    assert_true(leader_tick_proposed_ms(led->leader) == proposed_ms);
    struct policy_input input;
    assert_true(leader_input(led->leader, &input));
    assert_true(input.tick_proposed_ms == proposed_ms);
}

static void test_ticks_of_unknown_fate_dont_count(void **state) {
    struct led *led = *state;
    struct played_proposal *tick = await(led, COMMAND_TICK, WITHOUT_EAST, east_is_down, 20);
    assert_non_null(tick);
    scene_apply(&led->scene, tick);
    scene_tell(&led->scene, tick, ERROR_UNKNOWN);
    assert_true(leader_tick_proposed_ms(led->leader) == 0);
}

static void test_refused_ticks_dont_count(void **state) {
    struct led *led = *state;
    struct played_proposal *tick = await(led, COMMAND_TICK, WITHOUT_EAST, east_is_down, 20);
    assert_non_null(tick);
    assert_int_equal(group_leader(&led->scene.group, 2), CORE_OK);
    scene_apply(&led->scene, tick);
    assert_int_equal(tick->answer, CORE_STALE_TERM);
    scene_tell(&led->scene, tick, ERROR_OK);
    assert_true(leader_tick_proposed_ms(led->leader) == 0);
}

static void test_ticks_of_an_earlier_term_dont_count(void **state) {
    struct led *led = *state;
    struct played_proposal *tick = await(led, COMMAND_TICK, WITHOUT_EAST, east_is_down, 20);
    assert_non_null(tick);
    scene_apply(&led->scene, tick);
    assert_int_equal(tick->answer, CORE_OK);
    leader_lead(led->leader, false, led->scene.group.term);
    assert_int_equal(group_leader(&led->scene.group, 2), CORE_OK);
    leader_lead(led->leader, true, led->scene.group.term);
    scene_tell(&led->scene, tick, ERROR_OK);
    assert_true(leader_tick_proposed_ms(led->leader) == 0);
}

/* From suspicion to the move, by rounds of policy alone, and within what the spec says. */
static void test_a_dead_region_is_left(void **state) {
    struct led *led = *state;
    struct played_proposal *decide = await(led, COMMAND_DECIDE, WITHOUT_EAST, east_is_down, 60);
    assert_non_null(decide);
    assert_int_equal(decide->command.decide.to, WEST);
    scene_apply(&led->scene, decide);
    assert_int_equal(decide->answer, CORE_OK);
    scene_tell(&led->scene, decide, ERROR_OK);
    /* And the executor's first entry is young enough to begin on. */
    led->scene.tick_proposed_ms = leader_tick_proposed_ms(led->leader);
    executor_lead(led->scene.executor, true, led->scene.group.term);
    while (led->scene.proposal_count > 0) {
        scene_tell(&led->scene, led->scene.proposals[0], ERROR_UNKNOWN);
    }
    executor_poke(led->scene.executor);
    (void)uv_run(&led->scene.loop, UV_RUN_NOWAIT);
    struct played_proposal *begin = NULL;
    for (uint32_t i = 0; i < led->scene.proposal_count; i++) {
        if (led->scene.proposals[i]->command.kind == COMMAND_SWITCH) {
            begin = led->scene.proposals[i];
        }
    }
    if (begin == NULL) {
        fail_msg("the executor doesn't begin");
        return;
    }
    assert_true(begin->command.step.begin_age_ms <= BEGIN_WITHIN_MS);
    scene_apply(&led->scene, begin);
    assert_int_equal(begin->answer, CORE_OK);
}

/* The timer brings the next round also when nobody pokes. */
static void test_rounds_come_by_themselves(void **state) {
    struct led *led = *state;
    report(led, EVERYBODY, up);
    turn(led);
    assert_true(scene_is_quiet(&led->scene));
    scene_pass_ms(&led->scene, REPORT_EXPIRE_MS + 1);
    while (led->scene.proposal_count == 0) {
        assert_int_not_equal(uv_run(&led->scene.loop, UV_RUN_ONCE), 0);
    }
    (void)scene_proposal(&led->scene, COMMAND_EXPIRE);
}

static void test_close_waits_for_proposals(void **state) {
    struct led *led = *state;
    report(led, EVERYBODY, east_is_down);
    turn(led);
    assert_int_equal(led->scene.proposal_count, 3);
    leader_close(led->leader, on_closed, led);
    struct report late = report_of(3, 99, 1);
    leader_on_report(led->leader, &late);
    leader_poke(led->leader);
    for (int i = 0; i < 5; i++) {
        (void)uv_run(&led->scene.loop, UV_RUN_NOWAIT);
    }
    assert_false(led->closed);
    while (led->scene.proposal_count > 0) {
        scene_tell(&led->scene, led->scene.proposals[0], ERROR_NOT_LEADER);
    }
    for (int i = 0; i < 5; i++) {
        (void)uv_run(&led->scene.loop, UV_RUN_NOWAIT);
    }
    assert_true(led->closed);
    assert_int_equal(led->scene.proposal_count, 0);
}

#define LED(test) cmocka_unit_test_setup_teardown(test, setup_led, teardown_led)

int main(void) {
    const struct CMUnitTest tests[] = {
        LED(test_only_the_newest_report_is_kept),
        LED(test_reports_stand_in_their_nodes_place),
        LED(test_a_new_term_knows_nothing),
        LED(test_silence_expires),
        LED(test_no_round_while_proposals_are_open),
        LED(test_what_was_lost_is_said_again),
        LED(test_ticks_count_from_their_proposal),
        LED(test_ticks_of_unknown_fate_dont_count),
        LED(test_refused_ticks_dont_count),
        LED(test_ticks_of_an_earlier_term_dont_count),
        LED(test_a_dead_region_is_left),
        LED(test_rounds_come_by_themselves),
        LED(test_close_waits_for_proposals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
