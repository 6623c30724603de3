/* What people read of a service's replica set: its members, whether it is ready, and what a move
 * would lose. Expected texts are what operators read: a change here is a change of the interface.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "shown.h"

/* --- service --- */

static void test_service_with_a_set(void **state) {
    (void)state;
    struct mongo_member *west = &set.members[W1];
    west->optime = (struct mongo_optime){7, 998, 1, 998000};
    set.members[W2].answers = false;
    set.members[W2].state = MONGO_UNKNOWN;
    (void)TEXT_COPY(set.members[W2].trouble, "timeout");
    set.members[W2].rollback_age_ms = 500;
    set.members[E2].rollback_age_ms = 720000;
    set.members[X1].optime.seconds = 0; /* unknown is infinite: no number */
    tell();
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
    memset(&set, 0, sizeof set);
    set.member_count = 1; /* a seed */
    set.primary = NONE_INDEX;
    set.members[E1].id = set.members[E1].region = NONE_INDEX;
    set.members[E1].sync_source = NONE_INDEX;
    set.members[E1].age_ms = set.members[E1].optime_age_ms = MONGO_AGE_NEVER;
    set.members[E1].rollback_age_ms = MONGO_AGE_NEVER;
    (void)TEXT_COPY(set.members[E1].host, "e1:27017");
    (void)TEXT_COPY(set.members[E1].trouble, "auth");
    tell();
    show_service(document_service, LEADER_PLACE);
    assert_true(json_is_false(at("mongo.read")));
    expect_null("mongo.primary");
    expect_null("mongo.members.0.id");
    expect_text("mongo.members.0.trouble", "auth");
    expect_null("mongo.writes_per_s");
    show(document_status, LEADER_PLACE);
    expect_null("services.0.lag_ms");
}

/* --- ready --- */

/* The value of the row of that name; NULL: there is none. */
static const char *ready_row(const char *what, const char *result) {
    struct api_facts facts;
    struct move_preview *preview = calloc(1, sizeof *preview);
    bool ready;
    assert_non_null(preview);
    scene_facts(&group, LEADER_PLACE, &facts);
    assert_int_equal(document_ready_move(&facts, 0, WEST, preview), CORE_OK);
    keep(document_ready(&facts, preview, &ready));
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
    add_set(&group);
    assert_string_equal(ready_row("mongo config", "pass"), "rs0, 5 members");
    assert_string_equal(ready_row("mongo write_check", "warning"), "none");
    assert_null(ready_row("mongo login", "FAIL"));
    assert_null(ready_row("mongo members", "FAIL"));
    assert_null(ready_row("mongo majority", "warning")); /* 2+2+1 */
    set.members[X1].votes = false;                       /* 2+2: losing either is losing it */
    tell();
    assert_string_equal(ready_row("mongo majority", "warning"),
                        "losing us-east-1 loses the replica set's majority; every such move needs "
                        "an approval. Use 2+2+1");
    set.members[W1].priority_milli = set.members[W2].priority_milli = 0;
    tell();
    assert_string_equal(ready_row("mongo members", "FAIL"), "none to elect in us-west-2");
    (void)TEXT_COPY(set.members[E2].trouble, "credentials");
    (void)TEXT_COPY(group.state->spec.services[0].mongo.write_check, "n.c");
    tell();
    assert_string_equal(ready_row("mongo login", "FAIL"), "a node can't read the credentials");
    assert_non_null(strstr(ready_row("mongo write_check", "pass"), "ago"));
    set.write_age_ms = MONGO_AGE_NEVER;
    (void)TEXT_COPY(set.write_trouble, "wtimeout");
    tell();
    assert_non_null(strstr(ready_row("mongo write_check", "warning"), "never"));
    set.member_total = 0;
    tell();
    assert_string_equal(ready_row("mongo config", "FAIL"), "never read");
}

/* --- losses --- */

/* Both members of the west are behind by so much, and were asked so long ago. */
static void lag_west(uint64_t lag_ms, uint32_t age_ms) {
    set.members[E1].optime.wall_ms = 100000000;
    for (uint32_t i = W1; i <= W2; i++) {
        set.members[i].optime.count = 4;
        set.members[i].optime.wall_ms = set.members[E1].optime.wall_ms - lag_ms;
        set.members[i].optime_age_ms = age_ms;
    }
}

/* What the plan of a move to the west says of losses; NULL: nothing. */
static const char *planned_loss(void) {
    struct api_facts facts;
    static struct move_preview move;
    (void)preview_failover(WEST, 0, &move);
    scene_facts(&group, LEADER_PLACE, &facts);
    keep(document_plan(&facts, &move));
    const json_t *loss = at("loss");
    return json_is_null(loss) ? NULL : json_string_value(json_object_get(loss, "text"));
}

static const char *loss_text(void) {
    tell();
    return planned_loss();
}

static void test_losses(void **state) {
    (void)state;
    assert_null(planned_loss()); /* there is no set */
    add_set(&group);
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
    set.write_rate_milli = 2;
    lag_west(500, 500);
    assert_string_equal(loss_text(), "none acked w:majority; w:1 <=500ms, ~1 write");
    set.write_rate_milli = MONGO_RATE_UNKNOWN;
    assert_string_equal(loss_text(), "none acked w:majority; w:1 <=500ms");
    expect_null("loss.writes");
    set.write_rate_milli = 130850;
    /* The primary is gone, and the others elect. */
    lag_west(94000, 500);
    mongo_lose(&set, E1, 51000);
    assert_string_equal(loss_text(), "none acked w:majority; w:1 ~94s (51s old), ~12,300 writes");
    expect_text("loss.case", "election");
    lag_west(0, 500);
    assert_string_equal(loss_text(), "none acked w:majority; w:1 none known (51s old)");
    set.primary_age_ms = MONGO_AGE_NEVER;
    assert_string_equal(loss_text(), "none acked w:majority; w:1 unknown");
    set.primary_age_ms = 51000;
    /* No majority. */
    lag_west(94000, 500);
    mongo_lose(&set, E2, 51000);
    mongo_lose(&set, X1, 51000);
    assert_string_equal(loss_text(), "~94s (51s old), ~12,300 writes, acked w:majority or not");
    expect_text("loss.case", "forced");
    assert_true(json_is_true(at("loss.acked")));
    /* Nobody to promote. */
    mongo_lose(&set, W1, 51000);
    mongo_lose(&set, W2, 51000);
    assert_null(loss_text());
}

static void test_no_loss(void **state) {
    (void)state;
    set.members[E1].writable = false;
    set.members[E1].state = MONGO_SECONDARY;
    set.members[W1].writable = true;
    set.members[W1].state = MONGO_PRIMARY;
    assert_string_equal(loss_text(), "none, the primary is there already");
    /* Nothing is promoted by taking note of where it is. */
    struct api_facts facts;
    static struct move_preview move;
    scene_facts(&group, LEADER_PLACE, &facts);
    assert_int_equal(preview_move(&facts, 0, EXECUTION_ADOPT, EAST, 0, &move), CORE_OK);
    keep(document_plan(&facts, &move));
    expect_null("loss");
}

static void test_explain_tells_losses(void **state) {
    struct api_facts facts;
    static struct move_preview move;
    (void)state;
    explain();
    expect_null("loss");
    add_set(&group);
    lag_west(94000, 500);
    let_east_die(12000);
    explain();
    expect_text("loss.text", "none acked w:majority; w:1 <=94s, ~12,300 writes");
    expect_text("to", "us-west-2");
    expect_text("headline", "NOT MOVED: confirmed and replication_lag fail (22 of 24 gates pass)");
    expect_text("choices.2", "noctuactl failover nocturnal --to us-west-2 --skip replication_lag "
                             "--reason \"...\"");
    set_mode(MODE_ADVISE);
    explain(); /* its approval would move nothing */
    expect_text("choices.2", "noctuactl failover nocturnal --to us-west-2 --skip replication_lag "
                             "--reason \"...\"");
    set_mode(MODE_AUTO);
    group.state->spec.services[0].home = WEST; /* wherever it stands in the spec */
    explain();
    expect_text("to", "us-west-2");
    group.state->spec.services[0].home = EAST;
    assert_int_equal(preview_failover(WEST, 0, &move), CORE_OK);
    assert_true(move.failing == GATE_BIT(GATE_REPLICATION_LAG));
    scene_facts(&group, LEADER_PLACE, &facts);
    keep(document_explain(&facts, 0, &move));
    expect_text("loss.text", "none acked w:majority; w:1 <=94s, ~12,300 writes");
    lag_west(0, 500);
    assert_true(group_run(&group, WITHOUT_EAST, east_down, 40, 1000, is_moving));
    explain();
    expect_null("loss"); /* decided */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        SHOWN_WITH_SET(test_service_with_a_set),
        SHOWN_WITH_SET(test_service_without_a_config),
        SHOWN(test_ready_with_a_set),
        SHOWN(test_losses),
        SHOWN_WITH_SET(test_no_loss),
        SHOWN(test_explain_tells_losses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
