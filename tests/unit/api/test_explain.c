/* Why a service moved or didn't, what a move would do, what was done; and the words for all that.
 * Expected texts are what operators read: a change here is a change of the interface. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "document_parts.h"
#include "server_outcome.h"
#include "shown.h"

/* --- explain --- */

static void test_explain_headlines(void **state) {
    (void)state;
    explain();
    expect_text("headline", "ADOPTED: epoch 1, us-east-1, done in 0s");
    let_east_die(12000);
    explain();
    expect_text("headline", "NOT MOVED YET: confirming 12s of 30s");
    expect_text("failing.0", "confirmed");
    expect_text("sent", "Nothing was sent to any target.");
    expect_text("choices.1", "noctuactl veto nocturnal --for 30m --reason \"...\"");
    assert_true(group_run(&group, WITHOUT_EAST, east_down, 40, 1000, is_moving));
    explain();
    expect_text("headline", "MOVING: epoch 2 to us-west-2, switch is waiting");
    expect_text("gates.4.gate", "verdict");
    expect_text("gates.4.value", "down, votes 2");
    expect_text("gates.4.limit", "2");
    expect_text("gates.4.result", "pass");
    expect_text("cited.0.node", "n2");
    assert_true(json_array_size(at("evidence")) >= 3);
    group.wall_ms += 72000;
    group_carry_out(&group);
    explain();
    expect_text("headline", "MOVED: epoch 2, us-west-2, done in 72s");
    expect_text("sent", "1 request was sent to targets.");
}

static void test_explain_both_down(void **state) {
    (void)state;
    assert_true(group_run(&group, WITHOUT_EAST, both_down, 20, 1000, is_suspected));
    (void)group_run(&group, WITHOUT_EAST, both_down, 40, 1000, NULL);
    assert_false(is_moving(&group));
    explain();
    expect_text("headline", "NOT MOVED: target_healthy fails (12 of 13 gates pass)");
    expect_null("to");
    show(document_status, LEADER_PLACE);
    expect_text("services.0.state", "blocked");
    expect_text("services.0.if_active_died", "stays: no target is fit");
}

static void test_explain_false_alarm(void **state) {
    (void)state;
    let_east_die(5000);
    (void)group_run(&group, EVERYBODY, all_up, 3, 1000, NULL);
    explain();
    expect_text("headline", "NOT MOVED: the suspicion of us-east-1 ended: it was seen alive");
}

static void test_explain_lapsed(void **state) {
    (void)state;
    let_east_die(0);
    assert_true(group_run(&group, WITHOUT_EAST, east_down, 40, 1000, is_moving));
    assert_int_equal(group_override(&group, OVERRIDE_VETO, "", 0), CORE_OK);
    explain();
    expect_text("headline", "NOT MOVED: epoch 2 lapsed: veto");
    expect_text("sent", "Nothing was sent to any target.");
}

/* --- plan --- */

static void test_plan(void **state) {
    (void)state;
    struct api_facts facts;
    static struct move_preview move;
    assert_int_equal(preview_failover(WEST, 0, &move), CORE_OK);
    assert_int_equal(move.failing, 0);
    scene_facts(&group, LEADER_PLACE, &facts);
    group.state->spec.services[0].rto_ms = 900000;
    keep(document_plan(&facts, &move));
    expect_text("from", "us-east-1");
    expect_text("to", "us-west-2");
    expect_number("epoch.old", 1);
    expect_number("epoch.new", 2);
    expect_text("plan", move.hash);
    expect_number("rto_ms", 900000);
    expect_text("steps.0.name", "switch");
    expect_text("steps.0.target", "nocturnal");
    expect_text("steps.0.now", "us-east-1");
    expect_text("steps.0.then", "us-west-2");
    expect_text("steps.1.name", "dns");
    expect_text("steps.1.target", "nocturnal.com");
    expect_text("steps.1.needs.0", "switch");
    expect_number("passing", 7);
    expect_number("total", 7);
}

/* The hash is of everything that a "yes" is about. */
static void test_plan_hash(void **state) {
    (void)state;
    static struct move_preview first;
    static struct move_preview second;
    assert_int_equal(preview_failover(WEST, 0, &first), CORE_OK);
    assert_int_equal(preview_failover(WEST, 0, &second), CORE_OK);
    assert_string_equal(first.hash, second.hash);
    assert_int_equal(preview_failover(WEST, GATE_BIT(GATE_VETOED), &second), CORE_OK);
    assert_string_not_equal(first.hash, second.hash);
    group.state->spec_index++;
    assert_int_equal(preview_failover(WEST, 0, &second), CORE_OK);
    assert_string_not_equal(first.hash, second.hash);
    group.state->spec_index--;
    group.state->services[0].epoch++;
    assert_int_equal(preview_failover(WEST, 0, &second), CORE_OK);
    assert_string_not_equal(first.hash, second.hash);
    assert_int_equal(preview_failover(EAST, 0, &second), CORE_NO_REGION); /* it is there */
    assert_int_equal(preview_failover(EU, 0, &second), CORE_NO_REGION);   /* a witness */
    assert_int_equal(preview_failover(NONE_INDEX, 0, &second), CORE_NO_REGION);
    group.state->services[0].adopted = false;
    assert_int_equal(preview_failover(WEST, 0, &second), CORE_NOT_ADOPTED);
}

/* --- history --- */

static void test_history(void **state) {
    (void)state;
    struct api_facts facts;
    assert_int_equal(group_move(&group, "us-west-2", EXECUTION_FAILOVER, 0), CORE_OK);
    group.wall_ms += 72000;
    group_carry_out(&group);
    scene_facts(&group, LEADER_PLACE, &facts);
    struct history_query query = {.service = "nocturnal", .epoch = 2, .with_events = true};
    keep(document_history(&facts, &query));
    assert_int_equal(json_array_size(at("moves")), 1);
    expect_number("moves.0.epoch", 2);
    expect_number("moves.0.took_ms", 72000);
    expect_text("moves.0.by", "alice");
    expect_text("moves.0.kind", "failover");
    expect_text("moves.0.result", "done");
    expect_text("events.0.kind", "moving");
    expect_text("events.0.text", "epoch 2, us-west-2");
    expect_text("events.1.text", "us-east-1 -> us-west-2");
    query = (struct history_query){.limit = 1};
    keep(document_history(&facts, &query));
    assert_int_equal(json_array_size(at("moves")), 1);
    assert_int_equal(json_array_size(at("events")), 0);
    query = (struct history_query){.service = "other", .with_events = true};
    keep(document_history(&facts, &query));
    assert_int_equal(json_array_size(at("moves")), 0);
}

static void test_every_event_has_words(void **state) {
    (void)state;
    for (unsigned kind = 0; kind < EVENT_KIND_COUNT; kind++) {
        struct event event = {.kind = (enum event_kind)kind, .index = 7, .epoch = 3};
        (void)TEXT_COPY(event.region, "us-east-1");
        (void)TEXT_COPY(event.subject, "dns");
        (void)TEXT_COPY(event.actor, "alice");
        (void)TEXT_COPY(event.detail, "why \xc3"); /* cut in a letter */
        keep(document_event(&event, 9));
        assert_non_null(json_string_value(at("text")));
        expect_text("kind", event_kind_text((enum event_kind)kind));
        expect_text("detail", "why ?");
    }
}

/* --- small texts --- */

static void test_durations(void **state) {
    (void)state;
    static const struct {
        uint64_t ms;
        const char *text;
    } rows[] = {{0, "0s"},         {420, "420ms"},   {1000, "1.0s"},    {1890, "1.8s"},
                {9999, "9.9s"},    {44000, "44s"},   {94999, "94s"},    {120000, "2m"},
                {200000, "3m20s"}, {1800000, "30m"}, {7500000, "2h5m"}, {7200000, "2h"},
                {86400000, "24h"}, {259200000, "3d"}};
    char text[DURATION_TEXT_SIZE];
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        assert_string_equal(document_duration(rows[i].ms, text), rows[i].text);
    }
}

static void test_gate_texts(void **state) {
    (void)state;
    static const struct {
        enum gate gate;
        struct gate_reading reading;
        const char *value, *limit;
    } rows[] = {
        {GATE_MODE, {GATE_FAIL, MODE_OBSERVE, MODE_AUTO, 0, 0}, "observe", "auto, or approved"},
        {GATE_MODE,
         {GATE_PASS, MODE_ADVISE, MODE_AUTO, 0, 0},
         "advise, approved",
         "auto, or approved"},
        {GATE_AUTOMATION, {GATE_FAIL, 1, 0, 0, 0}, "halted", "on"},
        {GATE_PAUSED, {GATE_PASS, 0, 0, 0, 0}, "no", "no"},
        {GATE_VETOED, {GATE_FAIL, 1, 0, 0, 0}, "yes", "no"},
        {GATE_VERDICT, {GATE_PASS, 2, 2, 0, 0}, "down, votes 2", "2"},
        {GATE_VERDICT, {GATE_FAIL, 1, 2, 0, 0}, "votes 1", "2"},
        {GATE_CONFIRMED, {GATE_PASS, 44000, 30000, 0, 0}, "44s", "30s"},
        {GATE_OBSERVERS, {GATE_FAIL, 1, 2, 0, 0}, "1", "2"},
        {GATE_IN_PROGRESS, {GATE_FAIL, 1, 0, 0, 0}, "one is open", "none"},
        {GATE_IN_PROGRESS, {GATE_FAIL, 0, 0, 0, 0}, "half-moved", "none"},
        {GATE_COOLDOWN, {GATE_PASS, UINT64_MAX, 1800000, 0, 0}, "never moved", "30m"},
        {GATE_COOLDOWN, {GATE_FAIL, 600000, 1800000, 0, 0}, "10m", "30m"},
        {GATE_FLAPPING, {GATE_FAIL, 2, 2, 0, 0}, "2", "2"},
        {GATE_TARGET_HEALTHY, {GATE_PASS, 2, 2, 0, 0}, "up, votes 2", "2"},
        {GATE_TARGET_MAINTENANCE, {GATE_FAIL, 0, 0, 0, 0}, "yes", "no"},
        {GATE_TARGET_READY, {GATE_FAIL, 1, 1, 0, 0}, "no room, or no value in the spec", "ready"},
        {GATE_DEBTS, {GATE_PASS, 0, 7, 0, 0}, "0", "7"},
        {GATE_CLOCK, {GATE_FAIL, UINT64_MAX, 5000, 0, 0}, "not known", "5.0s"},
        {GATE_REPLICATION_LAG,
         {GATE_FAIL, 94000, 10000, 51000, 30000},
         "94s (51s old)",
         "10s (30s)"},
        {GATE_REPLICATION_LAG,
         {GATE_FAIL, UINT64_MAX, 10000, UINT64_MAX, 30000},
         "not known",
         "10s (30s)"},
        {GATE_MONGO_MEMBER, {GATE_FAIL, 0, 1, 0, 0}, "none", "one"},
        {GATE_MONGO_MAJORITY, {GATE_FAIL, 2, 3, 0, 0}, "2", "3"},
        {GATE_MONGO_DATA, {GATE_PASS, 3, 3, 0, 0}, "3", "3"},
        {GATE_MONGO_ELECTION, {GATE_PASS, 0, 20000, 0, 0}, "has a primary", "20s"},
        {GATE_MONGO_ELECTION, {GATE_FAIL, 12000, 20000, 0, 0}, "12s", "20s"},
        {GATE_MONGO_ROLLBACK, {GATE_FAIL, 1, 0, 0, 0}, "1", "0"},
        {GATE_MONGO_CONFIG, {GATE_FAIL, 0, 1, 0, 0}, "not committed", "committed"},
        {GATE_MONGO_OPLOG, {GATE_FAIL, 90000, 60000, 0, 0}, "90s", "60s"},
        {GATE_MONGO_VERSIONS, {GATE_PASS, 404, 404, 0, 0}, "of one kind", "of one kind"},
    };
    char text[GATE_TEXT_SIZE];
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        document_gate_value(rows[i].gate, &rows[i].reading, text);
        assert_string_equal(text, rows[i].value);
        document_gate_limit(rows[i].gate, &rows[i].reading, text);
        assert_string_equal(text, rows[i].limit);
    }
}

static void test_every_outcome_has_a_next_step(void **state) {
    (void)state;
    char text[512];
    for (unsigned error = 0; error < CORE_ERROR_COUNT; error++) {
        outcome_sentence((enum core_error)error, text, sizeof text);
        assert_non_null(strstr(text, ". "));
        bool refused = outcome_exit_code((enum core_error)error) != EXIT_CODE_DONE;
        assert_true(refused == (error != CORE_OK && error != CORE_DUPLICATE));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        SHOWN(test_explain_headlines),
        SHOWN(test_explain_both_down),
        SHOWN(test_explain_false_alarm),
        SHOWN(test_explain_lapsed),
        SHOWN(test_plan),
        SHOWN(test_plan_hash),
        SHOWN(test_history),
        SHOWN(test_every_event_has_words),
        cmocka_unit_test(test_durations),
        cmocka_unit_test(test_gate_texts),
        cmocka_unit_test(test_every_outcome_has_a_next_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
