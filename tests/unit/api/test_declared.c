/* What people say of a replica set's members, over the client API: who is declared dead, who shall
 * vote again; and what is refused, in words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/text.h"
#include "played.h"
#include "set_scene.h"

static struct tester tester;
static Noctua__MoveRequest move;
static Noctua__Request request;

static int set_up_whole(void **state) {
    (void)set_up(state);
    add_set(&node.group);
    return 0;
}

static int set_up_lost(void **state) {
    (void)set_up_whole(state);
    lose();
    return 0;
}

/* A failover to the west that declares those dead (NULL ends them), with lag skipped or not. */
static void make_failover(const char *const *dead, bool dry_run) {
    static char *words[8];
    make_move(&request, &move, "us-west-2", dry_run);
    move.kind = NOCTUA__MOVE_REQUEST__KIND__FAILOVER;
    move.dead = words;
    for (move.n_dead = 0; dead != NULL && dead[move.n_dead] != NULL; move.n_dead++) {
        words[move.n_dead] = (char *)dead[move.n_dead];
    }
}

static const Noctua__Reply *declare(const char *first, const char *second, const char *third) {
    const char *dead[] = {first, second, third, NULL};
    make_failover(dead, true);
    return ask(&tester, &request);
}

static void make_readmit(const char *member, bool dry_run) {
    make_move(&request, &move, "", dry_run);
    move.kind = NOCTUA__MOVE_REQUEST__KIND__READMIT;
    move.member = (char *)member;
}

static void expect_words(const Noctua__Reply *reply, uint32_t exit_code, const char *error_code,
                         const char *words) {
    expect(reply, exit_code, error_code);
    if (strstr(reply->message, words) == NULL) {
        fail_msg("'%s' is not in '%s'", words, reply->message);
    }
}

static void hash_of(const Noctua__Reply *reply, char hash[16]) {
    expect(reply, 0, "");
    json_t *document = document_of(reply);
    (void)text_copy(hash, 16, json_string_value(json_object_get(document, "plan")));
    json_decref(document);
}

static void steps_of(const json_t *document, char *text, size_t size) {
    const json_t *steps = json_object_get(document, "steps");
    size_t used = 0;
    for (size_t i = 0; i < json_array_size(steps); i++) {
        used +=
            (size_t)snprintf(text + used, size - used, "%s%s", i == 0 ? "" : " ",
                             json_string_value(json_object_get(json_array_get(steps, i), "name")));
    }
}

static void test_forced_by_regions(void **state) {
    (void)state;
    char steps[256];
    open_as(&tester, OPERATOR);
    json_t *document = document_of(declare("us-east-1", "eu-west-1", NULL));
    steps_of(document, steps, sizeof steps);
    assert_string_equal(steps, "force promote write switch dns");
    const json_t *forced = json_object_get(document, "forced");
    assert_string_equal(json_string_value(json_object_get(forced, "asked")), "w1:27017");
    assert_int_equal(json_array_size(json_object_get(forced, "left_out")), 3);
    assert_int_equal(json_integer_value(json_object_get(forced, "lag_ms")), 0);
    assert_int_equal(json_integer_value(json_object_get(forced, "primary_age_ms")), 25000);
    json_decref(document);
    const char *dead[] = {"us-east-1", "eu-west-1", NULL};
    make_failover(dead, false);
    expect(ask(&tester, &request), 0, "");
    const struct execution *execution = group_execution(&node.group);
    assert_int_equal(execution->mongo.dead, LOST);
    assert_int_equal(execution->kind, EXECUTION_FAILOVER);
    leave(&tester);
}

/* It was sent, perhaps: what to do instead is said, and nothing is in the log. */
static void test_it_is_not_released(void **state) {
    const char *dead[] = {"us-east-1", "eu-west-1", NULL};
    struct group *group = &node.group;
    (void)state;
    open_as(&tester, ADMIN);
    make_failover(dead, false);
    expect(ask(&tester, &request), 0, "");
    while (group_execution(group)->steps[0].phase != STEP_ATTEMPTED) {
        assert_int_equal(group_do(group, group_next_step(group, 0)), CORE_OK);
    }
    uint64_t before = group->index;
    expect_words(ask_choice(&tester, NOCTUA__CHOICE_REQUEST__KIND__RELEASE, "force"), 3, "FORCED",
                 "noctuactl cancel nocturnal");
    assert_int_equal(group->index, before);
    leave(&tester);
}

static void test_members_by_name(void **state) {
    (void)state;
    char a[16];
    char b[16];
    open_as(&tester, OPERATOR);
    hash_of(declare("us-east-1", "X1:27017", NULL), a); /* host names know no case */
    hash_of(declare("x1:27017", "e2:27017", "e1:27017"), b);
    assert_string_equal(a, b);
    hash_of(declare("us-east-1", "us-east-1", "eu-west-1"), b);
    assert_string_equal(a, b);
    leave(&tester);
}

/* A yes is about who is left out, and who is asked. */
static void test_the_hash_covers_members(void **state) {
    (void)state;
    char a[16];
    char b[16];
    open_as(&tester, OPERATOR);
    hash_of(declare("us-east-1", "eu-west-1", NULL), a);
    set.members[W1].optime.seconds--;
    tell();
    hash_of(declare("us-east-1", "eu-west-1", NULL), b);
    assert_string_not_equal(a, b); /* w2 is asked */
    set.members[W1].optime.seconds++;
    set.members[X1].region = EAST;
    tell();
    hash_of(declare("us-east-1", NULL, NULL), b);
    assert_string_equal(a, b);
    (void)TEXT_COPY(set.members[X1].host, "x9:27017");
    tell();
    hash_of(declare("us-east-1", NULL, NULL), b);
    assert_string_not_equal(a, b);
    leave(&tester);
}

static void test_a_member_that_is_none(void **state) {
    (void)state;
    open_as(&tester, OPERATOR);
    expect_words(declare("us-east-1", "db-e1:27017", NULL), 2, "NO_MEMBER",
                 "rs0 has no member 'db-e1:27017', and none in a region of that name. It has: "
                 "e1:27017 in us-east-1, e2:27017 in us-east-1, w1:27017 in us-west-2");
    expect(declare("", NULL, NULL), 2, "NO_MEMBER");
    set.members[X1].region = NONE_INDEX;
    tell();
    expect_words(declare("us-east-1", "eu-west-1", NULL), 2, "NO_MEMBER", "x1:27017 in no region");
    expect(declare("us-east-1", "x1:27017", NULL), 0, "");
    spec_of_set()->used = false;
    expect_words(declare("us-east-1", NULL, NULL), 2, "NO_MEMBER",
                 "nocturnal has no replica set in its spec");
    leave(&tester);
}

static void test_too_many_words(void **state) {
    (void)state;
    static char *many[REGION_MAX + MONGO_MEMBER_MAX + 1];
    open_as(&tester, OPERATOR);
    for (size_t i = 0; i < ARRAY_LENGTH(many); i++) {
        many[i] = (char *)(i % 2 == 0 ? "us-east-1" : "eu-west-1");
    }
    make_failover(NULL, true);
    move.dead = many;
    move.n_dead = ARRAY_LENGTH(many);
    expect_words(ask(&tester, &request), 2, "MALFORMED", "at most 32");
    move.n_dead--;
    expect(ask(&tester, &request), 0, "");
    leave(&tester);
}

static void test_only_a_failover(void **state) {
    (void)state;
    static const Noctua__MoveRequest__Kind kinds[] = {
        NOCTUA__MOVE_REQUEST__KIND__SWITCHOVER, NOCTUA__MOVE_REQUEST__KIND__ADOPT,
        NOCTUA__MOVE_REQUEST__KIND__RELEASE, NOCTUA__MOVE_REQUEST__KIND__REPAIR};
    const char *dead[] = {"us-east-1", NULL};
    open_as(&tester, ADMIN);
    for (size_t i = 0; i < ARRAY_LENGTH(kinds); i++) {
        make_failover(dead, true);
        move.kind = kinds[i];
        expect_words(ask(&tester, &request), 2, "MALFORMED", "only a failover");
        make_failover(NULL, true);
        move.kind = kinds[i];
        move.member = (char *)"e1:27017";
        expect_words(ask(&tester, &request), 2, "MALFORMED", "to be readmitted");
    }
    make_failover(NULL, true);
    move.member = (char *)"e1:27017";
    expect(ask(&tester, &request), 2, "MALFORMED");
    make_readmit("e1:27017", true);
    move.dead = (char **)dead;
    move.n_dead = 1;
    expect_words(ask(&tester, &request), 2, "MALFORMED", "only a failover");
    make_readmit("", true);
    expect_words(ask(&tester, &request), 2, "MALFORMED", "which member");
    leave(&tester);
}

static void test_nothing_needs_to_be_forced(void **state) {
    (void)state;
    open_as(&tester, OPERATOR);
    expect_words(declare("us-east-1", NULL, NULL), 3, "DECLARED",
                 "5 of 5 voters of rs0 answer: nothing needs to be forced; leave --declare-dead "
                 "out");
    gone(E1);
    gone(E2);
    tell();
    expect_words(declare("us-east-1", NULL, NULL), 3, "DECLARED", "3 of 5 voters of rs0 answer");
    leave(&tester);
}

static void test_who_answers_is_not_dead(void **state) {
    (void)state;
    uint64_t before = node.group.index;
    const char *dead[] = {"us-east-1", "eu-west-1", NULL};
    open_as(&tester, OPERATOR);
    set.members[E2].answers = true;
    set.members[E2].age_ms = 500;
    set.members[E2].state = MONGO_STARTUP; /* it has no vote yet */
    tell();
    make_failover(dead, false); /* neither dry nor wet */
    expect_words(ask(&tester, &request), 3, "DECLARED",
                 "e2:27017 answers: it isn't dead. Stop it, or cut it off from the others, first");
    expect_words(declare("us-east-1", "eu-west-1", NULL), 3, "DECLARED", "e2:27017 answers");
    assert_int_equal(node.group.index, before);
    leave(&tester);
}

static void test_all_the_silent(void **state) {
    (void)state;
    open_as(&tester, OPERATOR);
    expect_words(declare("us-east-1", NULL, NULL), 3, "DECLARED",
                 "x1:27017 in eu-west-1 doesn't answer either: declare it too, or wait for it");
    expect(declare("us-east-1", "eu-west-1", NULL), 0, "");
    leave(&tester);
}

static void test_never(void **state) {
    (void)state;
    open_as(&tester, OPERATOR);
    spec_of_set()->on_majority_lost = MONGO_LOST_NEVER;
    expect_words(declare("us-east-1", "eu-west-1", NULL), 3, "DECLARED",
                 "the spec says on_majority_lost: never");
    leave(&tester);
}

static void test_not_all_are_told(void **state) {
    (void)state;
    open_as(&tester, OPERATOR);
    set.member_total = 18;
    tell();
    expect_words(declare("us-east-1", "eu-west-1", NULL), 3, "DECLARED", "rs0 has 18 members");
    set.member_total = set.member_count = 0;
    tell();
    expect_words(declare("us-east-1", "eu-west-1", NULL), 3, "DECLARED",
                 "nobody has read the config of the replica set of nocturnal");
    make_readmit("e1:27017", true);
    expect_words(ask(&tester, &request), 3, "DECLARED", "nobody has read the config");
    leave(&tester);
}

/* Cut off, and it hasn't noticed yet. */
static void test_a_primary_of_a_minority(void **state) {
    (void)state;
    open_as(&tester, OPERATOR);
    set.members[W1].writable = true;
    set.members[W1].state = MONGO_PRIMARY;
    tell();
    expect_words(declare("us-east-1", "eu-west-1", NULL), 3, "DECLARED",
                 "w1:27017 still says that it takes writes");
    leave(&tester);
}

/* The other gates hold it as they hold any move. */
static void test_gates_of_a_forced_move(void **state) {
    (void)state;
    char *skip[] = {(char *)"replication_lag"};
    open_as(&tester, OPERATOR);
    set.members[W1].optime.seconds -= 100;
    set.members[W1].optime.wall_ms = 0;
    set.members[W2].optime = set.members[W1].optime;
    tell();
    expect_words(declare("us-east-1", "eu-west-1", NULL), 3, "GATE", "replication_lag");
    const char *dead[] = {"us-east-1", "eu-west-1", NULL};
    make_failover(dead, true);
    move.skip = skip;
    move.n_skip = 1;
    expect(ask(&tester, &request), 0, "");
    make_failover(NULL, true);
    move.skip = skip;
    move.n_skip = 1;
    expect_words(ask(&tester, &request), 3, "GATE", "mongo_majority"); /* as before */
    leave(&tester);
}

/* --- readmission --- */

static void put_out(uint32_t i) {
    set.members[i].votes = false;
    set.members[i].priority_milli = 0;
    set.members[i].kept_out = true;
}

static void test_readmission(void **state) {
    (void)state;
    char a[16];
    char b[16];
    char steps[64];
    open_as(&tester, OPERATOR);
    put_out(W1);
    put_out(W2);
    tell();
    make_readmit("w1:27017", true);
    hash_of(ask(&tester, &request), a);
    make_readmit("W2:27017", true);
    hash_of(ask(&tester, &request), b);
    assert_string_not_equal(a, b);
    make_readmit("w1:27017", false);
    move.plan_hash = b;
    expect(ask(&tester, &request), 8, "CHANGED");
    make_readmit("w1:27017", false);
    move.plan_hash = a;
    const Noctua__Reply *reply = ask(&tester, &request);
    expect(reply, 0, "");
    json_t *document = document_of(reply);
    steps_of(json_object_get(document, "execution"), steps, sizeof steps);
    assert_string_equal(steps, "readmit");
    json_decref(document);
    assert_int_equal(group_execution(&node.group)->kind, EXECUTION_READMIT);
    assert_string_equal(group_execution(&node.group)->mongo.readmit, "w1:27017");
    leave(&tester);
}

static void test_no_readmission(void **state) {
    (void)state;
    uint64_t before = node.group.index;
    open_as(&tester, OPERATOR);
    put_out(W1);
    tell();
    struct service *service = &node.group.state->services[0];
    (void)TEXT_COPY(service->left_out[0].host, "y1:27017");
    service->left_out[0].size_bytes = 5;
    service->left_out_count = 1;
    make_readmit("Y1:27017", true); /* no report tells of it */
    expect(ask(&tester, &request), 0, "");
    make_readmit("w9:27017", true);
    expect_words(ask(&tester, &request), 2, "NO_MEMBER", "rs0 has no member 'w9:27017'");
    make_readmit("us-west-2", true); /* one by one */
    expect(ask(&tester, &request), 2, "NO_MEMBER");
    make_readmit("w2:27017", false);
    expect_words(ask(&tester, &request), 3, "DECLARED",
                 "w2:27017 can't come back now: it is in the set with all that its config says");
    set.members[W1].state = MONGO_RECOVERING;
    tell();
    make_readmit("w1:27017", false);
    expect_words(ask(&tester, &request), 3, "DECLARED", "it is no secondary yet");
    leave(&tester);
    assert_int_equal(node.group.index, before);
    open_as(&tester, VIEWER);
    set.members[W1].state = MONGO_SECONDARY;
    tell();
    make_readmit("w1:27017", false);
    expect(ask(&tester, &request), 9, "ROLE");
    leave(&tester);
}

#define WHOLE(name) cmocka_unit_test_setup_teardown(name, set_up_whole, tear_down)
#define MAJORITY_LOST(name) cmocka_unit_test_setup_teardown(name, set_up_lost, tear_down)

int main(void) {
    (void)alarm(120);
    const struct CMUnitTest tests[] = {
        MAJORITY_LOST(test_forced_by_regions),
        MAJORITY_LOST(test_it_is_not_released),
        MAJORITY_LOST(test_members_by_name),
        MAJORITY_LOST(test_the_hash_covers_members),
        MAJORITY_LOST(test_a_member_that_is_none),
        MAJORITY_LOST(test_too_many_words),
        MAJORITY_LOST(test_only_a_failover),
        WHOLE(test_nothing_needs_to_be_forced),
        MAJORITY_LOST(test_who_answers_is_not_dead),
        MAJORITY_LOST(test_all_the_silent),
        MAJORITY_LOST(test_never),
        MAJORITY_LOST(test_not_all_are_told),
        MAJORITY_LOST(test_a_primary_of_a_minority),
        MAJORITY_LOST(test_gates_of_a_forced_move),
        WHOLE(test_readmission),
        WHOLE(test_no_readmission),
    };
    return cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}
