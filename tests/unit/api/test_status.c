/* What is so now: status, services, nodes. Expected texts are what operators read: a change here is
 * a change of the interface. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/text.h"
#include "shown.h"

/* --- status --- */

static void test_status_well(void **state) {
    (void)state;
    show(document_status, LEADER_PLACE);
    expect_text("cluster", "prod");
    expect_text("leader", "n2");
    expect_text("automation", "on");
    expect_number("nodes.seen", 3);
    expect_number("nodes.total", 3);
    expect_number("spare_observers", 0);
    assert_true(json_is_false(at("stale")));
    expect_text("services.0.name", "nocturnal");
    expect_text("services.0.active", "us-east-1");
    expect_text("services.0.state", "ok");
    expect_text("services.0.target", "us-west-2");
    expect_text("services.0.if_active_died", "moves in ~35s");
    expect_null("services.0.lag_ms");
    expect_null("services.0.confirming_ms");
    show(document_status, 0);
    assert_true(json_is_true(at("stale")));
    expect_number("age_ms", 20);
    expect_text("services.0.if_active_died", "moves in ~35s");
}

static void expect_state(const char *word) {
    show(document_status, LEADER_PLACE);
    expect_text("services.0.state", word);
}

static void test_status_words(void **state) {
    (void)state;
    assert_int_equal(group_override(&group, OVERRIDE_MAINTENANCE, "us-west-2", 0), CORE_OK);
    expect_state("ok"); /* the target's maintenance isn't the service's state */
    expect_text("services.0.if_active_died", "stays: no target is fit");
    assert_int_equal(group_override(&group, OVERRIDE_MAINTENANCE, "us-east-1", 0), CORE_OK);
    expect_state("maintenance");
    assert_int_equal(group_override(&group, OVERRIDE_PAUSE, "", 0), CORE_OK);
    expect_state("paused");
    assert_int_equal(group_override(&group, OVERRIDE_VETO, "", 0), CORE_OK);
    expect_state("vetoed");
    group.state->services[0].half_moved = true;
    expect_state("half-moved");
    group.state->services[0].half_moved = false;
    assert_int_equal(group_move(&group, "us-west-2", EXECUTION_FAILOVER,
                                GATE_BIT(GATE_VETOED) | GATE_BIT(GATE_PAUSED) |
                                    GATE_BIT(GATE_TARGET_MAINTENANCE)),
                     CORE_OK);
    expect_state("moving");
    expect_null("services.0.if_active_died");
    group.state->halted = true;
    show(document_status, LEADER_PLACE);
    expect_text("automation", "halted");
}

static void test_status_of_a_suspicion(void **state) {
    (void)state;
    let_east_die(12000);
    expect_state("confirming");
    expect_text("services.0.suspect_region", "us-east-1");
    expect_number("services.0.confirming_ms", 12000);
    expect_text("services.0.if_active_died", "moves in ~18s");
    /* Votes that are missing only pause the window. */
    (void)group_run(&group, BIT(WEST), east_down, 8, 1000, NULL);
    expect_state("suspect");
}

static void test_status_not_adopted(void **state) {
    (void)state;
    group_close(&group);
    group_open(&group);
    expect_state("not-adopted");
    expect_null("services.0.active");
    expect_null("spare_observers");
    show_service(document_service, LEADER_PLACE);
    expect_text("sentence",
                "Not adopted: nothing is known to be active. noctuactl adopt nocturnal");
    explain();
    expect_text("headline", "NOT MOVED: the service has not been adopted");
    expect_text("choices.0", "noctuactl adopt nocturnal --to us-east-1 --reason \"...\"");
}

/* --- service --- */

static void test_service(void **state) {
    (void)state;
    let_east_die(12000);
    for (uint32_t n = 1; n < 3; n++) {
        struct report_opinion *opinion = &group.reports[n]->opinions[0][EAST];
        opinion->failing_ms = 16000 + 1000 * n;
        (void)TEXT_COPY(opinion->worst_check, "api");
        (void)TEXT_COPY(opinion->worst_code, "timeout");
    }
    show_service(document_service, LEADER_PLACE);
    expect_text("nodes.0.name", "n1");
    expect_text("nodes.0.region", "us-east-1");
    expect_text("regions.0.name", "us-east-1");
    expect_text("regions.0.verdict", "down");
    expect_text("regions.0.opinions.0", "silent");
    expect_text("regions.0.opinions.1", "down");
    expect_number("regions.0.votes.down", 2);
    expect_number("regions.0.votes.need", 2);
    expect_text("regions.0.worst.check", "api");
    expect_text("regions.0.worst.code", "timeout");
    expect_number("regions.0.worst.failing_ms", 18000);
    expect_text("regions.1.name", "us-west-2");
    expect_text("regions.1.verdict", "up");
    expect_null("regions.1.worst");
    assert_int_equal(json_array_size(at("regions")), 2); /* the witness can't serve */
    expect_number("suspect.confirming_ms", 12000);
    expect_text("suspect.moves_to", "us-west-2");
    expect_text("sentence",
                "Confirming 12s of 30s. Moves to us-west-2 at 22:13:54Z unless vetoed.");
    /* A follower knows its own stopwatch, and no clocks. */
    show_service(document_service, 2);
    expect_number("suspect.confirming_ms", 12000);
    expect_text("sentence",
                "Confirming 12s of 30s. Moves to us-west-2 at 22:13:54Z unless vetoed.");
    assert_int_equal(group_override(&group, OVERRIDE_VETO, "", 60000), CORE_OK);
    show_service(document_service, LEADER_PLACE);
    expect_text("sentence", "Confirming 12s of 30s. Would not move: vetoed fails.");
    expect_text("overrides.0.kind", "veto");
    expect_text("overrides.0.until_at", "2023-11-14T22:14:36.000Z");
}

static void test_modes(void **state) {
    (void)state;
    set_mode(MODE_OBSERVE);
    show(document_status, LEADER_PLACE);
    expect_text("services.0.if_active_died", "would page only");
    set_mode(MODE_ADVISE);
    show(document_status, LEADER_PLACE);
    expect_text("services.0.if_active_died", "asks for approval in ~35s");
    let_east_die(35000);
    show_service(document_service, LEADER_PLACE);
    expect_text("suspect.note", "approval-wanted");
    expect_text("sentence", "Confirmed. Waits for: noctuactl approve nocturnal --to us-west-2");
    explain();
    expect_text("headline", "NOT MOVED: mode fails (14 of 15 gates pass)");
    expect_text("choices.2", "noctuactl approve nocturnal --to us-west-2");
    set_mode(MODE_OBSERVE);
    (void)group_run(&group, WITHOUT_EAST, east_down, 1, 1000, NULL);
    struct api_facts facts;
    scene_facts(&group, LEADER_PLACE, &facts);
    struct history_query query = {.service = "nocturnal"};
    keep(document_history(&facts, &query));
    expect_text("moves.0.kind", "would-have");
    expect_text("moves.0.result", "observe");
    expect_null("moves.0.epoch");
    expect_text("moves.0.to", "us-west-2");
}

/* --- nodes --- */

static void test_nodes(void **state) {
    (void)state;
    (void)group_run(&group, WITHOUT_EAST, all_up, 8, 1000, NULL);
    (void)TEXT_COPY(group.reports[2]->version, "0.3.0");
    group.reports[2]->control_total = 2;
    group.reports[2]->control_reachable = 1;
    show(document_nodes, LEADER_PLACE);
    expect_text("nodes.0.role", "silent");
    expect_number("nodes.0.behind_ms", 8000);
    expect_null("nodes.0.control");
    expect_text("nodes.1.role", "leader");
    expect_number("nodes.1.behind_ms", 0);
    expect_text("nodes.2.role", "follower");
    expect_text("nodes.2.version", "0.3.0");
    expect_number("nodes.2.control.reachable", 1);
    expect_text("sentence", "Quorum 2 of 3. Losing one more stops automation.");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        SHOWN(test_status_well),
        SHOWN(test_status_words),
        SHOWN(test_status_of_a_suspicion),
        SHOWN(test_status_not_adopted),
        SHOWN(test_service),
        SHOWN(test_modes),
        SHOWN(test_nodes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
