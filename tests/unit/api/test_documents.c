/* The documents, on states that core's test group brings about. Expected texts are what operators
 * read: a change here is a change of the interface. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "api/documents.h"
#include "api/metrics.h"
#include "api/preview.h"
#include "api/view.h"
#include "base/text.h"
#include "document_parts.h"
#include "scene.h"
#include "server_outcome.h"

enum { NODE_1 = 1, NODE_2 = 2, NODE_3 = 4, LEADER_PLACE = 1 };

static struct group group;
static json_t *document; /* the test's; freed in tear_down */

static int set_up(void **state) {
    (void)state;
    group_open_adopted(&group);
    document = NULL;
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    json_decref(document);
    group_close(&group);
    return 0;
}

/* "a.b.0" in the document. */
static const json_t *at(const char *path) {
    const json_t *value = document;
    char text[128];
    char *rest = text;
    (void)TEXT_COPY(text, path);
    for (char *key = strsep(&rest, "."); key != NULL; key = strsep(&rest, ".")) {
        value = json_is_array(value) ? json_array_get(value, strtoul(key, NULL, 10))
                                     : json_object_get(value, key);
        if (value == NULL) {
            fail_msg("no %s", path);
        }
    }
    return value;
}

static void expect_text(const char *path, const char *text) {
    const char *got = json_string_value(at(path));
    if (got == NULL || strcmp(got, text) != 0) {
        fail_msg("%s: '%s', not '%s'", path, got == NULL ? "(no text)" : got, text);
    }
}

static void expect_number(const char *path, long long number) {
    assert_true(json_is_integer(at(path)));
    if (json_integer_value(at(path)) != number) {
        fail_msg("%s: %lld, not %lld", path, (long long)json_integer_value(at(path)), number);
    }
}

static void expect_null(const char *path) {
    assert_true(json_is_null(at(path)));
}

static void show(json_t *(*build)(const struct api_facts *), uint32_t node) {
    struct api_facts facts;
    scene_facts(&group, node, &facts);
    json_decref(document);
    document = build(&facts);
    assert_non_null(document);
}

static void show_service(json_t *(*build)(const struct api_facts *, uint32_t), uint32_t node) {
    struct api_facts facts;
    scene_facts(&group, node, &facts);
    json_decref(document);
    document = build(&facts, 0);
    assert_non_null(document);
}

static json_t *explain_now(const struct api_facts *facts, uint32_t service) {
    return document_explain(facts, service, NULL);
}

static bool is_suspected(const struct group *g) {
    return g->state->services[0].suspect.open;
}

static bool is_moving(const struct group *g) {
    return execution_is_open(group_execution(g));
}

static void let_east_die(uint64_t then_ms) {
    assert_true(group_run(&group, NODE_2 | NODE_3, east_down, 20, 1000, is_suspected));
    (void)group_run(&group, NODE_2 | NODE_3, east_down, (uint32_t)(then_ms / 1000), 1000, NULL);
}

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
    (void)group_run(&group, NODE_2, east_down, 8, 1000, NULL);
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
    show_service(explain_now, LEADER_PLACE);
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

/* --- replica sets --- */

static struct mongo_facts replica_set;

/* Every node reports once more, what `replica_set` is now. */
static void say_again(void) {
    (void)group_run(&group, NODE_1 | NODE_2 | NODE_3, all_up, 1, 1000, NULL);
}

static void add_replica_set(void) {
    replica_set = mongo_example();
    group_add_set(&group);
    group.mongo = &replica_set;
    say_again();
}

static void test_service_with_a_set(void **state) {
    (void)state;
    add_replica_set();
    struct mongo_member *west = &replica_set.members[2];
    west->optime = (struct mongo_optime){7, 998, 1, 998000};
    replica_set.members[3].answers = false;
    replica_set.members[3].state = MONGO_UNKNOWN;
    (void)TEXT_COPY(replica_set.members[3].trouble, "timeout");
    replica_set.members[3].rollback_age_ms = 500;
    replica_set.members[1].rollback_age_ms = 720000;
    replica_set.members[4].optime.seconds = 0; /* unknown is infinite: no number */
    say_again();
    show_service(document_service, LEADER_PLACE);
    expect_text("mongo.name", "rs0");
    expect_text("mongo.primary", "e1:27017");
    expect_text("mongo.primary_region", "us-east-1");
    assert_int_equal(json_array_size(at("mongo.members")), 5);
    expect_number("mongo.members.2.lag_ms", 2400);
    expect_text("mongo.members.2.region", "us-west-2");
    expect_text("mongo.members.3.state", "UNKNOWN");
    expect_text("mongo.members.3.trouble", "timeout");
    expect_null("mongo.members.4.lag_ms");
    assert_true(json_real_value(at("mongo.writes_per_s")) == 130.85);
    expect_number("mongo.members.1.rollback_age_ms", 720000);
    assert_true(json_is_false(at("mongo.members.1.silent_in_rollback")));
    expect_null("mongo.members.2.rollback_age_ms");
    expect_number("mongo.members.3.rollback_age_ms", 500);
    assert_true(json_is_true(at("mongo.members.3.silent_in_rollback")));
    assert_true(json_is_true(at("mongo.members.0.writable")));
    assert_true(json_is_false(at("mongo.members.1.writable")));
    show(document_status, LEADER_PLACE);
    expect_number("services.0.lag_ms", 2400); /* of the best of the target region */
    /* A follower knows what it saw itself. */
    show_service(document_service, 0);
    expect_text("mongo.primary", "e1:27017");
}

static void test_service_without_a_config(void **state) {
    (void)state;
    add_replica_set();
    memset(&replica_set, 0, sizeof replica_set);
    replica_set.member_count = 1; /* a seed */
    replica_set.primary = NONE_INDEX;
    replica_set.members[0].id = replica_set.members[0].region = NONE_INDEX;
    replica_set.members[0].sync_source = NONE_INDEX;
    replica_set.members[0].age_ms = replica_set.members[0].optime_age_ms = MONGO_AGE_NEVER;
    replica_set.members[0].rollback_age_ms = MONGO_AGE_NEVER;
    (void)TEXT_COPY(replica_set.members[0].host, "e1:27017");
    (void)TEXT_COPY(replica_set.members[0].trouble, "auth");
    say_again();
    show_service(document_service, LEADER_PLACE);
    assert_true(json_is_false(at("mongo.read")));
    expect_null("mongo.primary");
    expect_null("mongo.members.0.id");
    expect_text("mongo.members.0.trouble", "auth");
    expect_null("mongo.writes_per_s");
    show(document_status, LEADER_PLACE);
    expect_null("services.0.lag_ms");
}

/* The value of the row of that name; NULL: there is none. */
static const char *ready_row(const char *what, const char *result) {
    struct api_facts facts;
    struct move_preview *preview = calloc(1, sizeof *preview);
    bool ready;
    assert_non_null(preview);
    scene_facts(&group, LEADER_PLACE, &facts);
    assert_int_equal(document_ready_move(&facts, 0, WEST, preview), CORE_OK);
    json_decref(document);
    document = document_ready(&facts, preview, &ready);
    free(preview);
    const json_t *rows = at("rows");
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        if (text_equal(json_string_value(json_object_get(row, "what")), what)) {
            assert_string_equal(json_string_value(json_object_get(row, "result")), result);
            return json_string_value(json_object_get(row, "value"));
        }
    }
    return NULL;
}

static void test_ready_with_a_set(void **state) {
    (void)state;
    assert_null(ready_row("mongo config", "pass"));
    add_replica_set();
    assert_string_equal(ready_row("mongo config", "pass"), "rs0, 5 members");
    assert_string_equal(ready_row("mongo write_check", "warning"), "none");
    assert_null(ready_row("mongo login", "FAIL"));
    assert_null(ready_row("mongo members", "FAIL"));
    assert_null(ready_row("mongo majority", "warning")); /* 2+2+1 */
    replica_set.members[4].votes = false;                /* 2+2: losing either is losing it */
    say_again();
    assert_string_equal(ready_row("mongo majority", "warning"),
                        "losing us-east-1 loses the replica set's majority; every such move needs "
                        "an approval. Use 2+2+1");
    replica_set.members[2].priority_milli = replica_set.members[3].priority_milli = 0;
    say_again();
    assert_string_equal(ready_row("mongo members", "FAIL"), "none to elect in us-west-2");
    (void)TEXT_COPY(replica_set.members[1].trouble, "credentials");
    (void)TEXT_COPY(group.state->spec.services[0].mongo.write_check, "n.c");
    say_again();
    assert_string_equal(ready_row("mongo login", "FAIL"), "a node can't read the credentials");
    assert_non_null(strstr(ready_row("mongo write_check", "pass"), "ago"));
    replica_set.write_age_ms = MONGO_AGE_NEVER;
    (void)TEXT_COPY(replica_set.write_trouble, "wtimeout");
    say_again();
    assert_non_null(strstr(ready_row("mongo write_check", "warning"), "never"));
    replica_set.member_total = 0;
    say_again();
    assert_string_equal(ready_row("mongo config", "FAIL"), "never read");
}

static void set_mode(enum service_mode mode) {
    group.state->spec.services[0].mode = mode;
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
    show_service(explain_now, LEADER_PLACE);
    expect_text("headline", "NOT MOVED: mode fails (14 of 15 gates pass)");
    expect_text("choices.2", "noctuactl approve nocturnal --to us-west-2");
    set_mode(MODE_OBSERVE);
    (void)group_run(&group, NODE_2 | NODE_3, east_down, 1, 1000, NULL);
    struct api_facts facts;
    scene_facts(&group, LEADER_PLACE, &facts);
    struct history_query query = {.service = "nocturnal"};
    json_decref(document);
    document = document_history(&facts, &query);
    expect_text("moves.0.kind", "would-have");
    expect_text("moves.0.result", "observe");
    expect_null("moves.0.epoch");
    expect_text("moves.0.to", "us-west-2");
}

/* --- explain --- */

static void test_explain_headlines(void **state) {
    (void)state;
    show_service(explain_now, LEADER_PLACE);
    expect_text("headline", "ADOPTED: epoch 1, us-east-1, done in 0s");
    let_east_die(12000);
    show_service(explain_now, LEADER_PLACE);
    expect_text("headline", "NOT MOVED YET: confirming 12s of 30s");
    expect_text("failing.0", "confirmed");
    expect_text("sent", "Nothing was sent to any target.");
    expect_text("choices.1", "noctuactl veto nocturnal --for 30m --reason \"...\"");
    assert_true(group_run(&group, NODE_2 | NODE_3, east_down, 40, 1000, is_moving));
    show_service(explain_now, LEADER_PLACE);
    expect_text("headline", "MOVING: epoch 2 to us-west-2, switch is waiting");
    expect_text("gates.4.gate", "verdict");
    expect_text("gates.4.value", "down, votes 2");
    expect_text("gates.4.limit", "2");
    expect_text("gates.4.result", "pass");
    expect_text("cited.0.node", "n2");
    assert_true(json_array_size(at("evidence")) >= 3);
    group.wall_ms += 72000;
    group_carry_out(&group);
    show_service(explain_now, LEADER_PLACE);
    expect_text("headline", "MOVED: epoch 2, us-west-2, done in 72s");
    expect_text("sent", "1 request was sent to targets.");
}

static void test_explain_both_down(void **state) {
    (void)state;
    assert_true(group_run(&group, NODE_2 | NODE_3, both_down, 20, 1000, is_suspected));
    (void)group_run(&group, NODE_2 | NODE_3, both_down, 40, 1000, NULL);
    assert_false(is_moving(&group));
    show_service(explain_now, LEADER_PLACE);
    expect_text("headline", "NOT MOVED: target_healthy fails (12 of 13 gates pass)");
    expect_null("to");
    show(document_status, LEADER_PLACE);
    expect_text("services.0.state", "blocked");
    expect_text("services.0.if_active_died", "stays: no target is fit");
}

static void test_explain_false_alarm(void **state) {
    (void)state;
    let_east_die(5000);
    (void)group_run(&group, NODE_1 | NODE_2 | NODE_3, all_up, 3, 1000, NULL);
    show_service(explain_now, LEADER_PLACE);
    expect_text("headline", "NOT MOVED: the suspicion of us-east-1 ended: it was seen alive");
}

static void test_explain_lapsed(void **state) {
    (void)state;
    let_east_die(0);
    assert_true(group_run(&group, NODE_2 | NODE_3, east_down, 40, 1000, is_moving));
    assert_int_equal(group_override(&group, OVERRIDE_VETO, "", 0), CORE_OK);
    show_service(explain_now, LEADER_PLACE);
    expect_text("headline", "NOT MOVED: epoch 2 lapsed: veto");
    expect_text("sent", "Nothing was sent to any target.");
}

/* --- plan --- */

static enum core_error preview(uint32_t to, uint32_t skip, struct move_preview *ret) {
    struct api_facts facts;
    scene_facts(&group, LEADER_PLACE, &facts);
    return preview_move(&facts, 0, EXECUTION_FAILOVER, to, skip, ret);
}

static void test_plan(void **state) {
    (void)state;
    struct api_facts facts;
    static struct move_preview move;
    assert_int_equal(preview(WEST, 0, &move), CORE_OK);
    assert_int_equal(move.failing, 0);
    scene_facts(&group, LEADER_PLACE, &facts);
    group.state->spec.services[0].rto_ms = 900000;
    document = document_plan(&facts, &move);
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

/* Both members of the west are behind by so much, and were asked so long ago. */
static void lag_west(uint64_t lag_ms, uint32_t age_ms) {
    replica_set.members[0].optime.wall_ms = 100000000;
    for (uint32_t i = 2; i <= 3; i++) {
        replica_set.members[i].optime.count = 4;
        replica_set.members[i].optime.wall_ms = replica_set.members[0].optime.wall_ms - lag_ms;
        replica_set.members[i].optime_age_ms = age_ms;
    }
}

static void lose_member(uint32_t place, uint32_t age_ms) {
    struct mongo_member *member = &replica_set.members[place];
    member->answers = member->writable = false;
    member->state = MONGO_UNKNOWN;
    member->age_ms = member->optime_age_ms = age_ms;
    replica_set.primary_age_ms = place == replica_set.primary ? age_ms : replica_set.primary_age_ms;
}

/* What the plan of a move to the west says of losses; NULL: nothing. */
static const char *loss_text(void) {
    struct api_facts facts;
    static struct move_preview move;
    say_again();
    (void)preview(WEST, 0, &move);
    scene_facts(&group, LEADER_PLACE, &facts);
    json_decref(document);
    document = document_plan(&facts, &move);
    const json_t *loss = at("loss");
    return json_is_null(loss) ? NULL : json_string_value(json_object_get(loss, "text"));
}

static void test_losses(void **state) {
    (void)state;
    assert_null(loss_text()); /* there is no set */
    add_replica_set();
    assert_string_equal(loss_text(), "none acked w:majority; w:1 none known");
    lag_west(399, 500);
    assert_string_equal(loss_text(), "none acked w:majority; w:1 <=399ms, ~53 writes");
    expect_text("loss.case", "handover");
    expect_number("loss.lag_ms", 399);
    expect_number("loss.age_ms", 500);
    expect_number("loss.writes", 53);
    assert_true(json_is_false(at("loss.acked")));
    lag_west(1801, 10000); /* a bound is rounded up */
    assert_string_equal(loss_text(), "none acked w:majority; w:1 <=1.9s (10s old), ~236 writes");
    lag_west(94001, 9999);
    assert_string_equal(loss_text(), "none acked w:majority; w:1 <=95s, ~12,300 writes");
    lag_west(7200001, 500);
    assert_string_equal(loss_text(), "none acked w:majority; w:1 <=2h1m, ~942,000 writes");
    replica_set.write_rate_milli = 2;
    lag_west(500, 500);
    assert_string_equal(loss_text(), "none acked w:majority; w:1 <=500ms, ~1 write");
    replica_set.write_rate_milli = MONGO_RATE_UNKNOWN;
    assert_string_equal(loss_text(), "none acked w:majority; w:1 <=500ms");
    expect_null("loss.writes");
    replica_set.write_rate_milli = 130850;
    /* The primary is gone, and the others elect. */
    lag_west(94000, 500);
    lose_member(0, 51000);
    assert_string_equal(loss_text(), "none acked w:majority; w:1 ~94s (51s old), ~12,300 writes");
    expect_text("loss.case", "election");
    lag_west(0, 500);
    assert_string_equal(loss_text(), "none acked w:majority; w:1 none known (51s old)");
    replica_set.primary_age_ms = MONGO_AGE_NEVER;
    assert_string_equal(loss_text(), "none acked w:majority; w:1 unknown");
    replica_set.primary_age_ms = 51000;
    /* No majority. */
    lag_west(94000, 500);
    lose_member(1, 51000);
    lose_member(4, 51000);
    assert_string_equal(loss_text(), "~94s (51s old), ~12,300 writes, acked w:majority or not");
    expect_text("loss.case", "forced");
    assert_true(json_is_true(at("loss.acked")));
    /* Nobody to promote. */
    lose_member(2, 51000);
    lose_member(3, 51000);
    assert_null(loss_text());
}

static void test_no_loss(void **state) {
    (void)state;
    add_replica_set();
    replica_set.members[0].writable = false;
    replica_set.members[0].state = MONGO_SECONDARY;
    replica_set.members[2].writable = true;
    replica_set.members[2].state = MONGO_PRIMARY;
    assert_string_equal(loss_text(), "none, the primary is there already");
    /* Nothing is promoted by taking note of where it is. */
    struct api_facts facts;
    static struct move_preview move;
    scene_facts(&group, LEADER_PLACE, &facts);
    assert_int_equal(preview_move(&facts, 0, EXECUTION_ADOPT, EAST, 0, &move), CORE_OK);
    json_decref(document);
    document = document_plan(&facts, &move);
    expect_null("loss");
}

static void test_explain_tells_losses(void **state) {
    struct api_facts facts;
    static struct move_preview move;
    (void)state;
    show_service(explain_now, LEADER_PLACE);
    expect_null("loss");
    add_replica_set();
    lag_west(94000, 500);
    let_east_die(12000);
    show_service(explain_now, LEADER_PLACE);
    expect_text("loss.text", "none acked w:majority; w:1 <=94s, ~12,300 writes");
    expect_text("to", "us-west-2");
    expect_text("headline", "NOT MOVED: confirmed and replication_lag fail (22 of 24 gates pass)");
    expect_text("choices.2", "noctuactl failover nocturnal --to us-west-2 --skip replication_lag "
                             "--reason \"...\"");
    set_mode(MODE_ADVISE);
    show_service(explain_now, LEADER_PLACE); /* its approval would move nothing */
    expect_text("choices.2", "noctuactl failover nocturnal --to us-west-2 --skip replication_lag "
                             "--reason \"...\"");
    set_mode(MODE_AUTO);
    group.state->spec.services[0].home = WEST; /* wherever it stands in the spec */
    show_service(explain_now, LEADER_PLACE);
    expect_text("to", "us-west-2");
    group.state->spec.services[0].home = EAST;
    assert_int_equal(preview(WEST, 0, &move), CORE_OK);
    assert_true(move.failing == GATE_BIT(GATE_REPLICATION_LAG));
    scene_facts(&group, LEADER_PLACE, &facts);
    json_decref(document);
    document = document_explain(&facts, 0, &move);
    expect_text("loss.text", "none acked w:majority; w:1 <=94s, ~12,300 writes");
    lag_west(0, 500);
    assert_true(group_run(&group, NODE_2 | NODE_3, east_down, 40, 1000, is_moving));
    show_service(explain_now, LEADER_PLACE);
    expect_null("loss"); /* decided */
}

/* The hash is of everything that a "yes" is about. */
static void test_plan_hash(void **state) {
    (void)state;
    static struct move_preview first;
    static struct move_preview second;
    assert_int_equal(preview(WEST, 0, &first), CORE_OK);
    assert_int_equal(preview(WEST, 0, &second), CORE_OK);
    assert_string_equal(first.hash, second.hash);
    assert_int_equal(preview(WEST, GATE_BIT(GATE_VETOED), &second), CORE_OK);
    assert_string_not_equal(first.hash, second.hash);
    group.state->spec_index++;
    assert_int_equal(preview(WEST, 0, &second), CORE_OK);
    assert_string_not_equal(first.hash, second.hash);
    group.state->spec_index--;
    group.state->services[0].epoch++;
    assert_int_equal(preview(WEST, 0, &second), CORE_OK);
    assert_string_not_equal(first.hash, second.hash);
    assert_int_equal(preview(EAST, 0, &second), CORE_NO_REGION); /* it is there */
    assert_int_equal(preview(EU, 0, &second), CORE_NO_REGION);   /* a witness */
    assert_int_equal(preview(NONE_INDEX, 0, &second), CORE_NO_REGION);
    group.state->services[0].adopted = false;
    assert_int_equal(preview(WEST, 0, &second), CORE_NOT_ADOPTED);
}

/* --- history, nodes --- */

static void test_history(void **state) {
    (void)state;
    struct api_facts facts;
    assert_int_equal(group_move(&group, "us-west-2", EXECUTION_FAILOVER, 0), CORE_OK);
    group.wall_ms += 72000;
    group_carry_out(&group);
    scene_facts(&group, LEADER_PLACE, &facts);
    struct history_query query = {.service = "nocturnal", .epoch = 2, .with_events = true};
    document = document_history(&facts, &query);
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
    json_decref(document);
    document = document_history(&facts, &query);
    assert_int_equal(json_array_size(at("moves")), 1);
    assert_int_equal(json_array_size(at("events")), 0);
    query = (struct history_query){.service = "other", .with_events = true};
    json_decref(document);
    document = document_history(&facts, &query);
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
        json_decref(document);
        document = document_event(&event, 9);
        assert_non_null(json_string_value(at("text")));
        expect_text("kind", event_kind_text((enum event_kind)kind));
        expect_text("detail", "why ?");
    }
}

static void test_nodes(void **state) {
    (void)state;
    (void)group_run(&group, NODE_2 | NODE_3, all_up, 8, 1000, NULL);
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

/* --- metrics, and everything at its limit --- */

struct families {
    char names[128][96];
    uint32_t count;
};

static uint32_t find_family(const struct families *families, const char *name, size_t length) {
    for (uint32_t i = 0; i < families->count; i++) {
        if (strlen(families->names[i]) == length &&
            strncmp(families->names[i], name, length) == 0) {
            return i;
        }
    }
    return UINT32_MAX;
}

/* One line: HELP begins a family, which must be new; a sample must belong to the current one. */
static void check_line(struct families *families, const char *line) {
    if (strncmp(line, "# HELP ", 7) == 0) {
        size_t length = strcspn(line + 7, " ");
        assert_true(length < 96 && families->count < 128);
        assert_int_equal(find_family(families, line + 7, length), UINT32_MAX);
        memcpy(families->names[families->count++], line + 7, length);
    } else if (strncmp(line, "# TYPE ", 7) == 0) {
        size_t length = strcspn(line + 7, " ");
        assert_int_equal(find_family(families, line + 7, length), families->count - 1);
    } else {
        const char *family = families->names[families->count - 1];
        size_t length = strcspn(line, "{ ");
        assert_true(length >= strlen(family));
        assert_int_equal(strncmp(line, family, strlen(family)), 0);
        assert_non_null(strrchr(line, ' '));
    }
}

static void check_metrics(char *text) {
    static struct families families;
    memset(&families, 0, sizeof families);
    for (char *line = strsep(&text, "\n"); line != NULL && line[0] != '\0';
         line = strsep(&text, "\n")) {
        check_line(&families, line);
    }
    assert_true(families.count > 20);
}

static void test_metrics(void **state) {
    (void)state;
    struct api_facts facts;
    struct buffer out;
    struct metrics *metrics = metrics_create();
    assert_non_null(metrics);
    metrics_count_events(metrics, group.state);
    for (int i = 0; i < 40; i++) { /* more codes than are counted apart */
        char code[24];
        (void)snprintf(code, sizeof code, "code%d", i);
        metrics_count_probe(metrics, "nocturnal", "us-east-1", code, 10);
    }
    let_east_die(0);
    assert_true(group_run(&group, NODE_2 | NODE_3, east_down, 40, 1000, is_moving));
    group_carry_out(&group);
    metrics_count_events(metrics, group.state);
    add_replica_set();
    scene_facts(&group, LEADER_PLACE, &facts);
    facts.primaries[0] = (struct primary_facts){true, NONE_INDEX, 0};
    facts.version = "0.3 \"x\\y\"\n";
    buffer_init(&out, 0);
    metrics_render(metrics, &facts, &out);
    assert_non_null(strstr(out.data, "version=\"0.3 \\\"x\\\\y\\\"\\n\""));
    assert_non_null(strstr(out.data, "noctua_executions_total{result=\"done\"} 1\n"));
    assert_non_null(strstr(out.data, "noctua_events_total{kind=\"switch\"} 1\n"));
    assert_non_null(strstr(out.data, "code=\"code31\"} 1\n"));
    assert_non_null(strstr(out.data, "code=\"other\"} 8\n"));
    assert_non_null(
        strstr(out.data, "noctua_service_active{service=\"nocturnal\",region=\"us-west-2\"} 1\n"));
    assert_non_null(strstr(out.data, "noctua_mongo_members_answering{service=\"nocturnal\"} 5\n"));
    assert_non_null(strstr(out.data, "noctua_mongo_primary_known{service=\"nocturnal\"} 0\n"));
    assert_non_null(
        strstr(out.data, "noctua_mongo_writes_per_second{service=\"nocturnal\"} 130.850\n"));
    assert_non_null(strstr(out.data, "noctua_mongo_lag_seconds{service=\"nocturnal\",member=\"2\","
                                     "region=\"us-west-2\"} 0.000\n"));
    check_metrics(out.data);
    buffer_finish(&out);
    metrics_destroy(metrics);
}

/* 64 services, 16 regions, 9 nodes: both documents within their limits, and soon enough. */
static void test_at_the_limits(void **state) {
    (void)state;
    struct state *s = group.state;
    struct spec *spec = &s->spec;
    spec->region_count = REGION_MAX;
    spec->service_count = SERVICE_MAX;
    s->node_count = NODE_MAX;
    for (uint32_t r = 0; r < REGION_MAX; r++) {
        (void)snprintf(spec->regions[r].name, NAME_SIZE, "region-%02u%048d", r, 0);
        spec->regions[r].role = REGION_SERVE;
    }
    for (uint32_t n = 0; n < NODE_MAX; n++) {
        s->nodes[n].id = n + 1;
        (void)snprintf(s->nodes[n].name, NAME_SIZE, "node-%02u%048d", n, 0);
        memcpy(s->nodes[n].region, spec->regions[n].name, NAME_SIZE);
    }
    for (uint32_t i = 0; i < SERVICE_MAX; i++) {
        spec->services[i] = spec->services[0];
        s->services[i] = s->services[0];
        (void)snprintf(spec->services[i].name, NAME_SIZE, "service-%02u%048d", i, 0);
        memcpy(s->services[i].name, spec->services[i].name, NAME_SIZE);
        spec->services[i].target_count = 0;
        for (uint32_t r = 1; r < REGION_MAX; r++) {
            spec->services[i].targets[spec->services[i].target_count++] = r;
        }
    }
    struct api_facts facts;
    struct metrics *metrics = metrics_create();
    scene_facts(&group, LEADER_PLACE, &facts);
    clock_t before = clock();
    struct view *view = view_build(&facts, metrics, NULL);
    clock_t took = clock() - before;
    assert_non_null(view);
    assert_non_null(view->status);
    assert_non_null(view->metrics);
    size_t size = 0;
    const char *text = view_text_bytes(view->metrics, &size);
    assert_true(size > 1000000 && text[size - 1] == '\n');
    assert_true(took < CLOCKS_PER_SEC * 2);
    /* What machines poll is renewed without the documents. */
    struct view *next = view_build(&facts, metrics, view);
    assert_ptr_equal(next->metrics, view->metrics);
    view_release(view);
    assert_int_equal(view_text_bytes(next->metrics, &size)[0], '#');
    const struct view_service *service = view_find_service(next, spec->services[63].name);
    assert_non_null(service);
    assert_int_equal(view_find_region(next, service, spec->regions[15].name), 15);
    view_release(next);
    metrics_destroy(metrics);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(test_status_well),
        CASE(test_status_words),
        CASE(test_status_of_a_suspicion),
        CASE(test_status_not_adopted),
        CASE(test_service),
        CASE(test_service_with_a_set),
        CASE(test_service_without_a_config),
        CASE(test_ready_with_a_set),
        CASE(test_modes),
        CASE(test_explain_headlines),
        CASE(test_explain_both_down),
        CASE(test_explain_false_alarm),
        CASE(test_explain_lapsed),
        CASE(test_plan),
        CASE(test_losses),
        CASE(test_no_loss),
        CASE(test_explain_tells_losses),
        CASE(test_plan_hash),
        CASE(test_history),
        CASE(test_every_event_has_words),
        CASE(test_nodes),
        CASE(test_durations),
        CASE(test_gate_texts),
        CASE(test_every_outcome_has_a_next_step),
        CASE(test_metrics),
        CASE(test_at_the_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
