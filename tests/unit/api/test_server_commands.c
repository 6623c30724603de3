/* The client API over real TLS on loopback: moves, overrides, choices and specs; each done once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/text.h"
#include "played.h"

/* --- moves --- */

static void plan_of(const Noctua__Reply *reply, char hash[16]) {
    json_t *document = document_of(reply);
    (void)text_copy(hash, 16, json_string_value(json_object_get(document, "plan")));
    json_decref(document);
}

static void test_move_by_plan(void **state) {
    (void)state;
    static struct tester tester;
    Noctua__MoveRequest move;
    Noctua__Request request;
    char hash[16];
    char again[16];
    open_as(&tester, OPERATOR);
    make_move(&request, &move, "", true);
    const Noctua__Reply *reply = ask(&tester, &request);
    expect(reply, 0, "");
    plan_of(reply, hash);
    assert_int_equal(strlen(hash), 6);
    plan_of(ask(&tester, &request), again);
    assert_string_equal(hash, again);
    uint64_t before = node.group.index;
    make_move(&request, &move, "", false);
    move.plan_hash = (char *)"abcdef";
    reply = ask(&tester, &request);
    expect(reply, 8, "CHANGED");
    plan_of(reply, again);
    assert_string_equal(hash, again);
    assert_int_equal(node.group.index, before);
    move.plan_hash = hash;
    reply = ask(&tester, &request);
    expect(reply, 0, "");
    assert_int_equal(reply->index, before + 1);
    assert_non_null(strstr(reply->message, "epoch 2 to us-west-2 is under way"));
    const struct execution *execution = group_execution(&node.group);
    assert_true(execution_is_open(execution));
    assert_string_equal(execution->actor, "oscar");
    assert_string_equal(execution->reason, "INC-4711");
    assert_int_equal(execution->kind, EXECUTION_SWITCHOVER);
    assert_int_equal(execution->gates[GATE_TARGET_HEALTHY].value, 3);
    leave(&tester);
}

static void test_move_held_by_a_gate(void **state) {
    (void)state;
    static struct tester tester;
    Noctua__MoveRequest move;
    Noctua__Request request;
    open_as(&tester, ADMIN);
    assert_int_equal(group_override(&node.group, OVERRIDE_VETO, "", 0), CORE_OK);
    uint64_t before = node.group.index;
    make_move(&request, &move, "us-west-2", false);
    const Noctua__Reply *reply = ask(&tester, &request);
    expect(reply, 3, "GATE");
    json_t *document = document_of(reply);
    assert_string_equal(json_string_value(json_object_get(document, "headline")),
                        "REFUSED: vetoed fails (6 of 7 gates pass)");
    json_decref(document);
    char *bad[] = {(char *)"vetod"};
    move.skip = bad;
    move.n_skip = 1;
    expect(ask(&tester, &request), 2, "MALFORMED");
    char *automatic[] = {(char *)"confirmed"};
    move.skip = automatic;
    expect(ask(&tester, &request), 2, "MALFORMED");
    assert_int_equal(node.group.index, before);
    char *skip[] = {(char *)"vetoed"};
    move.skip = skip;
    expect(ask(&tester, &request), 0, "");
    assert_int_equal(group_execution(&node.group)->skipped_gates, GATE_BIT(GATE_VETOED));
    make_move(&request, &move, "us-east-1", true);
    expect(ask(&tester, &request), 2, "NO_REGION"); /* it is there */
    make_move(&request, &move, "mars", true);
    expect(ask(&tester, &request), 2, "NO_REGION");
    leave(&tester);
}

/* --- once --- */

static void test_repeat_gets_first_answer(void **state) {
    (void)state;
    static struct tester tester;
    Noctua__MoveRequest move;
    Noctua__OverrideRequest override;
    Noctua__Request request;
    open_as(&tester, ADMIN);
    make_move(&request, &move, "us-west-2", false);
    const Noctua__Reply *reply = ask(&tester, &request);
    expect(reply, 0, "");
    uint64_t index = reply->index;
    uint64_t events = node.group.state->event_count;
    for (int i = 0; i < 2; i++) {
        reply = ask(&tester, &request);
        expect(reply, 0, "");
        assert_int_equal(reply->index, index);
        json_t *document = document_of(reply);
        assert_true(json_is_true(json_object_get(document, "repeated")));
        json_decref(document);
        group_carry_out(&node.group); /* also when it has ended */
        events = i == 0 ? node.group.state->event_count : events;
    }
    assert_int_equal(node.group.state->event_count, events);
    /* The dry run that goes before the repeated command shows the same move. */
    move.dry_run = true;
    request.sequence = 0;
    reply = ask(&tester, &request);
    expect(reply, 0, "");
    json_t *document = document_of(reply);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(document, "epoch"), "new")),
                     2);
    json_decref(document);
    /* A refusal is remembered as well; and an older number is too late. */
    make_override(&request, &override, NOCTUA__OVERRIDE_REQUEST__KIND__VETO, 0);
    override.end = true;
    expect(ask(&tester, &request), 3, "NO_OVERRIDE");
    assert_int_equal(group_override(&node.group, OVERRIDE_VETO, "", 0), CORE_OK);
    static const uint8_t groups_own[] = {'0', '1', '2', '3', '4', '5', '6', '7',
                                         '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'};
    memcpy(node.client_id, groups_own, sizeof groups_own); /* it has used higher numbers */
    make_override(&request, &override, NOCTUA__OVERRIDE_REQUEST__KIND__VETO, 0);
    request.sequence = 1;
    expect(ask(&tester, &request), 3, "SEQUENCE");
    leave(&tester);
}

/* The same command under way on two connections: done once, both are told the same. */
static void test_twice_at_once(void **state) {
    (void)state;
    static struct tester one;
    static struct tester two;
    Noctua__OverrideRequest override;
    Noctua__Request request;
    open_as(&one, ADMIN);
    open_as(&two, ADMIN);
    make_override(&request, &override, NOCTUA__OVERRIDE_REQUEST__KIND__VETO, 0);
    node.hold = true;
    tester_send(&one, &request);
    tester_send(&two, &request);
    UNTIL(node.call_count == 2);
    node.hold = false;
    UNTIL(one.count == 1 && two.count == 1);
    expect(one.replies[0], 0, "");
    expect(two.replies[0], 0, "");
    assert_int_equal(one.replies[0]->index, two.replies[0]->index);
    assert_int_equal(node.group.state->override_count, 1);
    tester_close(&one);
    tester_close(&two);
    UNTIL(one.closed && two.closed);
}

static void test_unknown_outcome(void **state) {
    (void)state;
    static const struct {
        enum error_code fate;
        const char *error_code;
    } rows[] = {
        {ERROR_NOT_LEADER, "NOT_LEADER"}, {ERROR_UNKNOWN, "NOT_LEADER"}, {ERROR_LIMIT, "BUSY"}};
    static struct tester tester;
    Noctua__OverrideRequest override;
    Noctua__Request request;
    open_as(&tester, ADMIN);
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        node.fate = rows[i].fate;
        make_override(&request, &override, NOCTUA__OVERRIDE_REQUEST__KIND__VETO, 0);
        expect(ask(&tester, &request), 4, rows[i].error_code);
    }
    leave(&tester);
}

/* The client goes, or waits too long, while its proposal is under way; the outcome finds nobody. */
static void test_nobody_waits(void **state) {
    (void)state;
    static struct tester tester;
    Noctua__OverrideRequest override;
    Noctua__Request request;
    node.hold = true;
    open_as(&tester, ADMIN);
    make_override(&request, &override, NOCTUA__OVERRIDE_REQUEST__KIND__VETO, 0);
    tester_send(&tester, &request);
    UNTIL(node.call_count == 1);
    node.boottime_ms += API_REQUEST_MS;
    UNTIL(tester.count == 1);
    expect(tester.replies[0], 4, "TIMEOUT");
    tester_clear(&tester);
    make_override(&request, &override, NOCTUA__OVERRIDE_REQUEST__KIND__VETO, 0);
    tester_send(&tester, &request);
    UNTIL(node.call_count == 2);
    leave(&tester);
    node.hold = false;
    turn();
    assert_int_equal(node.group.state->override_count, 2);
}

/* --- overrides and choices --- */

/* "--for" ends at the latest of three clocks, plus it. */
static void test_end_of_an_override(void **state) {
    (void)state;
    static struct tester tester;
    Noctua__OverrideRequest override;
    Noctua__Request request;
    const struct state *s = node.group.state;
    open_as(&tester, ADMIN);
    make_override(&request, &override, NOCTUA__OVERRIDE_REQUEST__KIND__PAUSE, 60000);
    const Noctua__Reply *reply = ask(&tester, &request);
    expect(reply, 0, "");
    assert_int_equal(s->overrides[0].until_ms, node.group.wall_ms + 60000);
    assert_string_equal(reply->message, "paused until 22:14:23Z by alice. Nothing was sent.");
    make_override(&request, &override, NOCTUA__OVERRIDE_REQUEST__KIND__PAUSE, 60000);
    request.wall_ms = node.group.wall_ms + 5000;
    expect(ask(&tester, &request), 0, "");
    assert_int_equal(s->overrides[1].until_ms, node.group.wall_ms + 65000);
    node.group.wall_ms += 9000;
    assert_int_equal(group_tick(&node.group), CORE_OK);
    node.group.wall_ms -= 9000;
    make_override(&request, &override, NOCTUA__OVERRIDE_REQUEST__KIND__PAUSE, 60000);
    expect(ask(&tester, &request), 0, "");
    assert_int_equal(s->overrides[2].until_ms, node.group.wall_ms + 69000);
    make_override(&request, &override, NOCTUA__OVERRIDE_REQUEST__KIND__PAUSE,
                  API_OVERRIDE_FOR_MAX_MS + 1);
    expect(ask(&tester, &request), 2, "MALFORMED");
    make_override(&request, &override, NOCTUA__OVERRIDE_REQUEST__KIND__PAUSE, 1);
    request.wall_ms = UINT64_MAX;
    expect(ask(&tester, &request), 2, "MALFORMED");
    make_override(&request, &override, NOCTUA__OVERRIDE_REQUEST__KIND__PAUSE, 0);
    override.reason = (char *)"";
    expect(ask(&tester, &request), 2, "MALFORMED");
    override.reason = (char *)"\xff\xfe";
    expect(ask(&tester, &request), 2, "MALFORMED");
    override.reason = (char *)"why";
    override.service = (char *)"Not a name";
    expect(ask(&tester, &request), 2, "MALFORMED");
    request.sequence = 0;
    expect(ask(&tester, &request), 2, "MALFORMED");
    leave(&tester);
}

static void test_veto_too_late(void **state) {
    (void)state;
    static struct tester tester;
    Noctua__OverrideRequest override;
    Noctua__Request request;
    open_as(&tester, OPERATOR);
    assert_int_equal(group_move(&node.group, "us-west-2", EXECUTION_FAILOVER, 0), CORE_OK);
    carry_out_the_switch();
    make_override(&request, &override, NOCTUA__OVERRIDE_REQUEST__KIND__VETO, 0);
    const Noctua__Reply *reply = ask(&tester, &request);
    expect(reply, 3, "TOO_LATE");
    assert_string_equal(
        reply->message,
        "too late: epoch 2 began 22:13:23; dns running. Try: noctuactl cancel nocturnal");
    assert_int_equal(node.group.state->override_count, 0);
    leave(&tester);
}

static void test_choices(void **state) {
    (void)state;
    static struct tester tester;
    open_as(&tester, ADMIN);
    expect(ask_choice(&tester, NOCTUA__CHOICE_REQUEST__KIND__CANCEL, ""), 3, "NOT_OPEN");
    expect(ask_choice(&tester, NOCTUA__CHOICE_REQUEST__KIND__APPROVE, ""), 3, "NOT_SUSPECTED");
    assert_int_equal(group_move(&node.group, "us-west-2", EXECUTION_FAILOVER, 0), CORE_OK);
    carry_out_the_switch();
    expect(ask_choice(&tester, NOCTUA__CHOICE_REQUEST__KIND__RELEASE, "nope"), 2, "NO_STEP");
    expect(ask_choice(&tester, NOCTUA__CHOICE_REQUEST__KIND__RELEASE, "dns"), 0, "");
    assert_int_equal(group_execution(&node.group)->phase, EXECUTION_ENDED);
    assert_int_equal(group_move(&node.group, "us-east-1", EXECUTION_FAILOVER, 0), CORE_OK);
    const Noctua__Reply *reply = ask_choice(&tester, NOCTUA__CHOICE_REQUEST__KIND__CANCEL, "");
    expect(reply, 0, "");
    assert_string_equal(reply->message, "epoch 3 of nocturnal is cancelled. Nothing was sent.");
    leave(&tester);
}

/* --- specs --- */

static const char good_spec[] = "version: 1\n"
                                "regions:\n"
                                "  us-east-1: {}\n"
                                "  us-west-2: {}\n"
                                "  eu-west-1: {role: witness}\n"
                                "services:\n"
                                "  nocturnal:\n"
                                "    mode: auto\n"
                                "    home: us-east-1\n"
                                "    checks:\n"
                                "      api: {url: 'http://$region.example.com/health'}\n"
                                "  reports:\n"
                                "    home: us-west-2\n"
                                "    checks:\n"
                                "      api: {url: 'http://r.$region.example.com/health'}\n";

static const Noctua__Reply *ask_spec(struct tester *tester, const char *text, bool dry_run,
                                     uint64_t expected_index) {
    Noctua__SpecApplyRequest apply = NOCTUA__SPEC_APPLY_REQUEST__INIT;
    Noctua__Request request = NOCTUA__REQUEST__INIT;
    apply.text.data = (uint8_t *)text;
    apply.text.len = strlen(text);
    apply.file_name = (char *)"s.yaml";
    apply.dry_run = dry_run;
    apply.expected_index = expected_index;
    apply.any_index = expected_index == 0;
    fill(&request);
    request.sequence = ++node.sequence;
    request.body_case = NOCTUA__REQUEST__BODY_SPEC_APPLY;
    request.spec_apply = &apply;
    return ask(tester, &request);
}

static void test_spec(void **state) {
    (void)state;
    static struct tester tester;
    open_as(&tester, ADMIN);
    uint64_t revision = node.group.state->spec_index;
    const Noctua__Reply *reply = ask_spec(&tester, "version: 1\nregins: {}\n", false, 0);
    expect(reply, 2, "SPEC");
    json_t *document = document_of(reply);
    assert_true(json_array_size(json_object_get(document, "findings")) > 0);
    assert_string_equal(json_string_value(json_object_get(document, "file")), "s.yaml");
    json_decref(document);
    reply = ask_spec(&tester, good_spec, true, 0);
    expect(reply, 0, "");
    document = document_of(reply);
    json_t *services = json_object_get(document, "services");
    assert_string_equal(json_string_value(json_array_get(json_object_get(services, "added"), 0)),
                        "reports");
    json_decref(document);
    assert_int_equal(node.group.state->spec_index, revision);
    expect(ask_spec(&tester, good_spec, false, revision + 1), 8, "CHANGED");
    reply = ask_spec(&tester, good_spec, false, revision);
    expect(reply, 0, "");
    assert_non_null(strstr(reply->message, "2 services. Next: noctuactl adopt reports"));
    assert_int_equal(node.group.state->spec_index, reply->index);
    assert_memory_equal(state_find_revision(node.group.state, 0)->text, good_spec,
                        sizeof good_spec - 1);
    leave(&tester);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    (void)alarm(120);
    const struct CMUnitTest tests[] = {
        CASE(test_move_by_plan),
        CASE(test_move_held_by_a_gate),
        CASE(test_repeat_gets_first_answer),
        CASE(test_twice_at_once),
        CASE(test_unknown_outcome),
        CASE(test_nobody_waits),
        CASE(test_end_of_an_override),
        CASE(test_veto_too_late),
        CASE(test_choices),
        CASE(test_spec),
    };
    return cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}
