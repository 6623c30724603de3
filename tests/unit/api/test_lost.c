/* What people read when a replica set has lost its majority, or has nobody near enough to promote:
 * the choices, the plan of a forced move, and what is left to do afterwards. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "document_forced.h"
#include "shown.h"

static void behind(uint32_t i, uint32_t seconds) {
    set.members[i].optime.seconds -= seconds;
    set.members[i].optime.wall_ms -= 1000 * (uint64_t)seconds;
}

/* Array of texts, a line each; "-" for null. */
static const char *lines(const json_t *array) {
    static char text[4096];
    size_t used = 0;
    (void)TEXT_COPY(text, json_is_null(array) ? "-" : "");
    for (size_t i = 0; i < json_array_size(array); i++) {
        const char *line = json_string_value(json_array_get(array, i));
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", i == 0 ? "" : "\n",
                                 line == NULL ? "(null)" : line);
    }
    return text;
}

static const char *choices(void) {
    explain();
    return lines(at("choices"));
}

static const char *status_choices(void) {
    show_service(document_service, LEADER_PLACE);
    return lines(at("choices"));
}

static void view(struct mongo_view *ret) {
    group.input.now_ms = group.now_ms;
    policy_view_set(group.state, &group.input, 0, ret);
}

/* A move to the west without those. */
static enum core_error preview_without(uint32_t dead, uint32_t skipped, struct api_facts *facts,
                                       struct move_preview *ret) {
    static struct mongo_view seen;
    scene_facts(&group, LEADER_PLACE, facts);
    view(&seen);
    seen.dead = dead;
    return preview_move_of_set(facts, 0, EXECUTION_FAILOVER, WEST, skipped, &seen, ret);
}

/* What is said of a move that is asked for. */
static const char *choices_of_move(uint32_t dead) {
    static struct move_preview preview;
    struct api_facts facts;
    (void)preview_without(dead, 0, &facts, &preview);
    keep(document_explain(&facts, 0, &preview));
    return lines(at("choices"));
}

#define WAIT                                                                                       \
    "wait for 1 more of the voters of rs0 (2 of 5 answer), then it elects by itself: e1:27017, "   \
    "e2:27017, x1:27017\n"
#define DECLARE "noctuactl failover nocturnal --to us-west-2 --declare-dead us-east-1,eu-west-1"
#define SINCE "; and what was written since a primary was last seen, 25s ago"

static const char by_hand_there[] = "by hand, since it is there already, and a failover goes "
                                    "elsewhere: on e1:27017 ";

/* --- choices --- */

static void test_the_command_to_paste(void **state) {
    (void)state;
    static const char wanted[] =
        WAIT DECLARE " --reason \"...\"\n"
                     "  w1:27017 could be promoted, 0s behind (25s old). May be lost: no write "
                     "that is known of" SINCE;
    assert_string_equal(choices(), "");
    assert_string_equal(status_choices(), "-");
    lose();
    assert_string_equal(choices_of_move(0), wanted);
    assert_string_equal(choices(), wanted); /* also before it is suspected */
    assert_string_equal(status_choices(), wanted);
    assert_string_equal(choices_of_move(LOST), ""); /* every gate passes */
}

static void test_skips_of_the_command(void **state) {
    (void)state;
    lose();
    behind(W1, 94);
    behind(W2, 95);
    tell();
    assert_string_equal(choices(), WAIT DECLARE
                        " --skip replication_lag --reason \"...\"\n"
                        "  w1:27017 could be promoted, 94s behind (25s old). May be lost: "
                        "the last 94s of writes that are known of (~12,300)" SINCE);
    set.members[W1].optime.seconds = set.members[W2].optime.seconds = 0;
    tell();
    assert_string_equal(choices(), WAIT DECLARE
                        " --skip replication_lag --skip mongo_oplog --reason \"...\"\n"
                        "  w1:27017 could be promoted; how far it is behind isn't known. "
                        "May be lost: nobody knows how much" SINCE);
}

/* The set's own time to elect is waited for, not skipped. */
static void test_a_command_that_is_early(void **state) {
    (void)state;
    lose();
    set.primary_age_ms = 13000;
    tell();
    const char *text = choices();
    assert_non_null(strstr(text,
                           DECLARE " --reason \"...\"\n  but not for another 7.0s: so long it "
                                   "may elect by itself\n  w1:27017 could be promoted"));
}

static void test_single_members_by_name(void **state) {
    (void)state;
    lose();
    gone(W2);
    tell();
    assert_non_null(strstr(choices(), "--declare-dead us-east-1,w2:27017,eu-west-1 --reason"));
    set.members[X1].region = NONE_INDEX;
    tell();
    assert_non_null(strstr(choices(), "--declare-dead us-east-1,w2:27017,x1:27017 --reason"));
}

static void test_survivors_that_elect_nobody(void **state) {
    (void)state;
    lose();
    set.members[W2].state = MONGO_STARTUP;
    tell();
    assert_non_null(strstr(choices(), "us-west-2: wait for more members to answer"));
    assert_null(strstr(choices(), "declare-dead"));
}

static void test_nothing_may_be_forced(void **state) {
    (void)state;
    lose();
    spec_of_set()->on_majority_lost = MONGO_LOST_NEVER;
    const char *text = choices();
    assert_null(strstr(text, "declare-dead"));
    assert_non_null(strstr(text, "by hand, since the spec says on_majority_lost: never: on "
                                 "w1:27017 rs.reconfig() with force, without us-east-1, eu-west-1 "
                                 "(docs/mongodb.md, \"By hand\")\n  w1:27017 could be promoted"));
    spec_of_set()->on_majority_lost = MONGO_LOST_ASK;
    set.member_total = 18;
    tell();
    assert_non_null(strstr(choices(), "by hand, since not all of its members are told"));
}

/* Both other regions are gone, and the service is where the survivors are. */
static void test_the_active_region_is_left(void **state) {
    (void)state;
    set.members[E1].writable = false;
    set.members[E1].state = MONGO_SECONDARY;
    gone(W1);
    gone(W2);
    gone(X1);
    set.primary_age_ms = 25000;
    tell();
    const char *text = choices();
    assert_non_null(strstr(text, by_hand_there));
    assert_non_null(strstr(text, "us-west-2 has nobody to promote: wait for w1:27017 to answer or "
                                 "w2:27017 to answer"));
    assert_null(strstr(text, "declare-dead"));
}

/* Case d: a majority answers, and the target has nobody near enough. */
static void test_nobody_to_promote(void **state) {
    (void)state;
    gone(E1);
    gone(W1);
    set.members[W2].state = MONGO_RECOVERING;
    tell();
    static const char nobody[] = "us-west-2 has nobody to promote: wait for w1:27017 to answer or "
                                 "w2:27017 to be a secondary";
    assert_string_equal(choices(), ""); /* nobody wants to move */
    assert_string_equal(choices_of_move(0), nobody);
    set.members[W1].votes = set.members[W2].votes = false;
    tell();
    assert_string_equal(choices_of_move(0), "us-west-2 has nobody to promote: it has no member "
                                            "that could be elected");
}

static void test_every_region_is_listed(void **state) {
    (void)state;
    uint32_t south = spec_add_region(&group.state->spec, "us-south-1");
    set.members[X1].region = south;
    gone(E1);
    gone(W1);
    gone(W2);
    tell();
    set.members[E1].age_ms = 500; /* a majority: e1 answers, and is no primary */
    set.members[E1].answers = true;
    set.members[E1].state = MONGO_SECONDARY;
    behind(X1, 94);
    tell();
    assert_string_equal(
        choices_of_move(0),
        "us-west-2 has nobody to promote: wait for w1:27017 to answer or w2:27017 to answer\n"
        /* nobody has seen it well */
        "noctuactl failover nocturnal --to us-south-1 --skip target_healthy --skip "
        "replication_lag --reason \"...\"\n"
        "  x1:27017 could be promoted, 94s behind (25s old). May be lost: nothing that a majority "
        "acknowledged");
}

/* No target passes: policy names none, and the regions are listed all the same. */
static void test_in_a_window(void **state) {
    (void)state;
    gone(E1);
    behind(W1, 94);
    behind(W2, 95);
    tell();
    let_east_die(0);
    const char *text = choices();
    assert_non_null(strstr(text, "wait\nnoctuactl veto nocturnal"));
    assert_non_null(strstr(text, "noctuactl failover nocturnal --to us-west-2 --skip "
                                 "replication_lag --reason \"...\"\n  w1:27017 could be promoted, "
                                 "94s behind"));
}

static void test_never_read(void **state) {
    (void)state;
    memset(&set, 0, sizeof set);
    set.primary = NONE_INDEX;
    tell();
    assert_string_equal(choices(), "");
    assert_string_equal(choices_of_move(0), "nobody has read the config of its replica set: "
                                            "noctuactl ready nocturnal");
}

/* --- after a forced config of which nobody knows --- */

static struct step *force_until(enum step_phase phase) {
    struct step *force = &group.state->services[0].execution.steps[0];
    group.dead = LOST;
    assert_int_equal(group_move(&group, "us-west-2", EXECUTION_FAILOVER, 0), CORE_OK);
    group.dead = 0;
    assert_int_equal(force->kind, STEP_FORCE);
    while (force->phase != phase) {
        assert_int_equal(group_do(&group, group_next_step(&group, 0)), CORE_OK);
    }
    return force;
}

static const char *sentence(void) {
    struct api_facts facts;
    scene_facts(&group, LEADER_PLACE, &facts);
    keep(document_service(&facts, 0));
    return json_string_value(json_object_get(document, "sentence"));
}

static void test_after_an_unknown_force(void **state) {
    (void)state;
    lose();
    struct step *force = force_until(STEP_ATTEMPTED);
    assert_null(strstr(choices(), "rs.conf()"));
    assert_string_equal(
        lines(json_object_get(json_object_get(document, "execution"), "declared_dead")),
        "e1:27017\ne2:27017\nx1:27017");
    assert_string_equal(status_choices(), "-"); /* it is open */
    struct command_step fields = {.step = 0, .outcome = STEP_UNKNOWN};
    assert_int_equal(group_step(&group, COMMAND_OUTCOME, &fields), CORE_OK);
    assert_int_equal(force->phase, STEP_UNKNOWN);
    static const char wanted[] =
        "first a person must look: restart w1:27017, so that what was sent to it can't come any "
        "more, then rs.conf() there. The forced config landed if its members "
        "have the tag noctua: \"prod/nocturnal/5.2/0\"\n"
        "it landed, go on: noctuactl failover nocturnal --to us-west-2 --reason \"...\"\n"
        "it didn't, declare anew and send another one: " DECLARE " --reason \"...\"";
    assert_string_equal(choices(), wanted);
    assert_string_equal(status_choices(), wanted);
}

/* One that was known not to be sent is no riddle. */
static void test_after_another_half_move(void **state) {
    (void)state;
    lose();
    (void)force_until(STEP_DONE);
    assert_int_equal(group_choice(&group, COMMAND_CANCEL, ""), CORE_OK);
    assert_true(group_service(&group)->half_moved);
    assert_null(strstr(choices(), "rs.conf()"));
    assert_non_null(strstr(choices(), DECLARE)); /* the members still don't answer */
    set = mongo_example();
    tell();
    assert_string_equal(choices(),
                        "continue: noctuactl failover nocturnal --to us-west-2 --reason \"...\"\n"
                        "reverse: noctuactl failover nocturnal --to us-east-1 --reason \"...\"");
    assert_string_equal(sentence(), "Half-moved by epoch 2: continue with --to us-west-2, or "
                                    "reverse with --to us-east-1.");
    group.state->spec.services[0].policy.lease_ms = 15000;
    assert_string_equal(sentence(), "Half-moved by epoch 2: continue with --to us-west-2, or "
                                    "reverse with --to us-east-1. No region has the lease until "
                                    "then.");
}

/* Which move left it so, that repair's two regions can't tell. */
static void test_after_a_repair_of_a_half_move(void **state) {
    (void)state;
    lose();
    (void)force_until(STEP_DONE);
    assert_int_equal(group_choice(&group, COMMAND_CANCEL, ""), CORE_OK);
    set = mongo_example();
    tell();
    assert_int_equal(group_move(&group, "us-east-1", EXECUTION_REPAIR, 0), CORE_OK);
    group_carry_out(&group);
    assert_true(group_service(&group)->half_moved);
    assert_string_equal(choices(), "noctuactl failover nocturnal --to us-east-1 --reason \"...\"");
    assert_string_equal(sentence(), "Half-moved by an earlier epoch: put it right with --to "
                                    "us-east-1, or move it elsewhere.");
}

/* --- the plan --- */

static const char *forced_plan(uint32_t dead) {
    static struct move_preview preview;
    struct api_facts facts;
    assert_int_equal(preview_without(dead, GATE_BIT(GATE_REPLICATION_LAG), &facts, &preview),
                     CORE_OK);
    keep(document_plan(&facts, &preview));
    return lines(json_object_get(json_object_get(document, "forced"), "sentences"));
}

static void test_what_makes_a_person_stop(void **state) {
    (void)state;
    assert_string_equal(forced_plan(0), "");
    assert_true(json_is_null(json_object_get(document, "forced")));
    lose();
    behind(W1, 2);
    behind(W2, 3);
    tell();
    assert_string_equal(
        forced_plan(LOST),
        "rs0 goes on without e1:27017, e2:27017, x1:27017: 2 voters are left.\n"
        "w1:27017 is asked, once and never again: if nobody sees what came of it, a person must "
        "look.\n"
        "us-east-1, eu-west-1 are declared dead by you: if any of them still takes writes, there "
        "will be two primaries of rs0, and what it took since is lost.\n"
        "They are out of the set then. Each comes back by name, when it runs: noctuactl mongo "
        "readmit nocturnal HOST:PORT.");
    set.members[X1].region = EAST;
    tell();
    assert_non_null(strstr(forced_plan(LOST), "\nus-east-1 is declared dead by you: if it still "
                                              "takes writes, there will be two primaries of rs0"));
}

static void test_the_loss_line(void **state) {
    (void)state;
    struct mongo_verdict verdict;
    struct mongo_view seen;
    struct buffer line;
    buffer_init(&line, 0);
    lose();
    view(&seen);
    mongo_judge(spec_of_set(), &seen, WEST, &verdict);
    seen.facts.primary_age_ms = MONGO_AGE_NEVER;
    document_loss_line(&seen, &verdict, &line);
    assert_string_equal(line.data,
                        "May be lost: no write that is known of; no primary was ever seen");
    buffer_clear(&line);
    seen.primary = E1;
    document_loss_line(&seen, &verdict, &line);
    assert_string_equal(line.data, "May be lost: no write that is known of; and what e1:27017 "
                                   "takes until then");
    buffer_finish(&line);
}

/* --- pages --- */

static const char *page(size_t size) {
    static char text[256];
    struct api_facts facts;
    scene_facts(&group, LEADER_PLACE, &facts);
    text[0] = '\0';
    return document_majority_line(&facts, 0, text, size) ? text : "none";
}

static void test_one_line_for_a_page(void **state) {
    (void)state;
    assert_string_equal(page(256), "none");
    lose();
    assert_string_equal(page(256),
                        "rs0 of nocturnal has no majority (2 of 5); are they dead? " DECLARE
                        " --reason \"...\"");
    /* Half a command would be another one. */
    assert_string_equal(page(128), "rs0 of nocturnal has no majority (2 of 5); noctuactl explain "
                                   "nocturnal");
    assert_int_equal(strlen(page(30)), 29);
    spec_of_set()->on_majority_lost = MONGO_LOST_NEVER;
    assert_string_equal(page(256), "rs0 of nocturnal has no majority (2 of 5); the spec lets "
                                   "nothing be forced; noctuactl explain nocturnal");
    spec_of_set()->on_majority_lost = MONGO_LOST_ASK;
    gone(W1);
    gone(W2);
    tell();
    assert_string_equal(page(256), "rs0 of nocturnal has no majority (0 of 5); noctuactl explain "
                                   "nocturnal");
    spec_of_set()->used = false;
    assert_string_equal(page(256), "none");
}

/* --- afterwards --- */

static void test_members_without_their_vote(void **state) {
    (void)state;
    struct api_facts facts;
    struct move_preview preview;
    bool ready = false;
    set.members[E2].kept_out = true;
    set.members[E2].votes = false;
    struct service *service = &group.state->services[0];
    (void)TEXT_COPY(service->left_out[0].host, "y1:27017");
    (void)TEXT_COPY(service->left_out[1].host, "e1:27017"); /* by another way it is back */
    service->left_out_count = 2;
    tell();
    scene_facts(&group, LEADER_PLACE, &facts);
    keep(document_service(&facts, 0));
    const json_t *members = json_object_get(json_object_get(document, "mongo"), "members");
    assert_true(json_is_false(json_object_get(json_array_get(members, E1), "kept_out")));
    const json_t *left_out = json_object_get(json_object_get(document, "mongo"), "left_out");
    assert_int_equal(json_array_size(left_out), 1);
    assert_string_equal(json_string_value(json_array_get(left_out, 0)), "y1:27017");
    bool found = false;
    for (size_t i = 0; i < json_array_size(members); i++) {
        const json_t *member = json_array_get(members, i);
        found =
            found || (json_is_true(json_object_get(member, "kept_out")) &&
                      text_equal(json_string_value(json_object_get(member, "host")), "e2:27017"));
    }
    assert_true(found);
    assert_int_equal(document_ready_move(&facts, 0, WEST, &preview), CORE_OK);
    keep(document_ready(&facts, &preview, &ready));
    const json_t *rows = json_object_get(document, "rows");
    uint32_t warnings = 0;
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        if (text_equal(json_string_value(json_object_get(row, "what")), "mongo votes")) {
            warnings++;
            assert_string_equal(json_string_value(json_object_get(row, "result")), "warning");
            assert_string_equal(json_string_value(json_object_get(row, "value")),
                                "e2:27017 has none since a forced reconfiguration: noctuactl "
                                "mongo readmit nocturnal e2:27017");
        }
    }
    assert_int_equal(warnings, 1);
}

/* How many members are said to bring their old config back; the value of the last such row. */
static uint32_t imposing(char *words, size_t size) {
    struct api_facts facts;
    struct move_preview preview;
    bool ready = false;
    uint32_t count = 0;
    tell();
    scene_facts(&group, LEADER_PLACE, &facts);
    keep(document_service(&facts, 0));
    size_t told = json_array_size(json_object_get(json_object_get(document, "mongo"), "imposing"));
    assert_int_equal(document_ready_move(&facts, 0, WEST, &preview), CORE_OK);
    keep(document_ready(&facts, &preview, &ready));
    const json_t *rows = json_object_get(document, "rows");
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        if (text_equal(json_string_value(json_object_get(row, "what")), "mongo old side")) {
            count++;
            (void)text_copy(words, size, json_string_value(json_object_get(row, "value")));
        }
    }
    assert_int_equal(told, count);
    return count;
}

/* Its config would be ordered before the set's: from 4.4 on, by the term. */
static void test_an_old_side_of_a_newer_term(void **state) {
    char words[160] = "";
    (void)state;
    struct service *service = &group.state->services[0];
    (void)TEXT_COPY(service->left_out[0].host, "y1:27017");
    service->left_out_count = 1;
    service->left_out[0].known_term = 7; /* as the set's */
    assert_int_equal(imposing(words, sizeof words), 0);
    service->left_out[0].known_term = 8;
    assert_int_equal(imposing(words, sizeof words), 1);
    assert_string_equal(words,
                        "y1:27017 knew of term 8, newer than the set's: its config would win. "
                        "Start it only with an empty data directory");
    set.members[E1].version = 306;
    assert_int_equal(imposing(words, sizeof words), 0);
    set.members[E1].version = 404;
    (void)TEXT_COPY(service->left_out[0].host, "e1:27017"); /* it is back, as it should be */
    assert_int_equal(imposing(words, sizeof words), 0);
}

static void test_status_of_a_minority(void **state) {
    (void)state;
    lose();
    (void)status_choices();
    const json_t *mongo = json_object_get(document, "mongo");
    assert_true(json_is_false(json_object_get(mongo, "majority")));
    assert_int_equal(json_integer_value(json_object_get(mongo, "voters")), 5);
    assert_int_equal(json_integer_value(json_object_get(mongo, "voters_answering")), 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        SHOWN_WITH_SET(test_the_command_to_paste),
        SHOWN_WITH_SET(test_skips_of_the_command),
        SHOWN_WITH_SET(test_a_command_that_is_early),
        SHOWN_WITH_SET(test_single_members_by_name),
        SHOWN_WITH_SET(test_survivors_that_elect_nobody),
        SHOWN_WITH_SET(test_nothing_may_be_forced),
        SHOWN_WITH_SET(test_the_active_region_is_left),
        SHOWN_WITH_SET(test_nobody_to_promote),
        SHOWN_WITH_SET(test_every_region_is_listed),
        SHOWN_WITH_SET(test_in_a_window),
        SHOWN_WITH_SET(test_never_read),
        SHOWN_WITH_SET(test_after_an_unknown_force),
        SHOWN_WITH_SET(test_after_another_half_move),
        SHOWN_WITH_SET(test_after_a_repair_of_a_half_move),
        SHOWN_WITH_SET(test_what_makes_a_person_stop),
        SHOWN_WITH_SET(test_the_loss_line),
        SHOWN_WITH_SET(test_one_line_for_a_page),
        SHOWN_WITH_SET(test_members_without_their_vote),
        SHOWN_WITH_SET(test_an_old_side_of_a_newer_term),
        SHOWN_WITH_SET(test_status_of_a_minority),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
