/* The debounce and the opinion, without any I/O. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "probe/control.h"
#include "probe/debounce.h"

enum { TIMEOUT_MS = 1000, SLACK_MS = 500 };

static struct probe_debounce make(uint32_t rise, uint32_t fall) {
    struct probe_rule rule = {
        .rise = rise, .fall = fall, .timeout_ms = TIMEOUT_MS, .slack_ms = SLACK_MS};
    struct probe_debounce debounce;
    probe_debounce_init(&debounce, &rule);
    return debounce;
}

static bool feed(struct probe_debounce *debounce, enum probe_result_code code, uint64_t index) {
    struct probe_result result = {.code = code,
                                  .start_index = index,
                                  .start_ms = index * 2000,
                                  .finish_ms = index * 2000 + 10};
    return probe_debounce_feed(debounce, &result);
}

static enum probe_result_code code_of(char letter) {
    switch (letter) {
    case '+':
        return PROBE_OK;
    case '-':
        return PROBE_TIMEOUT;
    case 'i':
        return PROBE_INTERNAL;
    case 'p':
        return PROBE_NO_PRIMARY;
    case 'n':
        return PROBE_NO_MEMBER;
    default:
        return PROBE_STALLED;
    }
}

/* results: + good, - bad, 0 stalled, i internal; states: the state after each, ? u d. */
static const struct {
    const char *name;
    uint32_t rise, fall;
    const char *results, *states;
} runs[] = {
    {"one of each is enough at 1/1", 1, 1, "+-+-", "udud"},
    {"unknown until rise", 2, 3, "+-+", "???"},
    {"up by the run of rise", 2, 3, "++", "?u"},
    {"down by the run of fall, from unknown", 2, 3, "---", "??d"},
    {"fall - 1 leaves it up", 2, 3, "++--+--", "?uuuuuu"},
    {"fall makes it down", 2, 3, "++---", "?uuud"},
    {"rise - 1 leaves it down", 2, 3, "---+-+", "??dddd"},
    {"rise makes it up again", 2, 3, "---++", "??ddu"},
    {"a void result breaks no run of failures", 2, 3, "++-0-i-", "?uuuuud"},
    {"a void result breaks no run of successes", 3, 3, "+0+i+", "????u"},
    {"void results alone decide nothing", 1, 1, "00ii", "????"},
    {"nine void results leave the state", 1, 1, "+000000000", "uuuuuuuuuu"},
    {"ten make it unknown", 1, 1, "+0000000000", "uuuuuuuuuu?"},
    {"and it takes a whole run to know again", 2, 2, "++0000000000+-++", "?uuuuuuuuuu????u"},
    {"a run from before ten voids doesn't count", 2, 3, "--0000000000-", "?????????????"},
    {"the longest run allowed", 1, 20, "+--------------------", "uuuuuuuuuuuuuuuuuuuud"},
};

static void test_runs(void **state) {
    (void)state;
    for (size_t r = 0; r < ARRAY_LENGTH(runs); r++) {
        struct probe_debounce debounce = make(runs[r].rise, runs[r].fall);
        char states[64] = "";
        char before = '?';
        for (size_t i = 0; runs[r].results[i] != '\0'; i++) {
            bool changed = feed(&debounce, code_of(runs[r].results[i]), i + 1);
            states[i] = "?ud"[debounce.state];
            if (changed != (states[i] != before)) {
                fail_msg("%s: change not told at %zu", runs[r].name, i);
            }
            before = states[i];
        }
        if (strcmp(states, runs[r].states) != 0) {
            fail_msg("%s: %s gave %s, not %s", runs[r].name, runs[r].results, states,
                     runs[r].states);
        }
    }
}

/* As above, with p for no_primary and n for no_member; ! excuses no_primary. */
static const struct {
    const char *name;
    uint32_t rise, fall;
    const char *results, *states;
} excuses[] = {
    {"down is up again", 2, 3, "++ppp!", "?uuudu"},
    {"and falls by a whole run", 2, 3, "++ppp!pp-", "?uuuduuud"},
    {"a run that isn't whole begins anew", 2, 3, "++pp!pp-", "?uuuuuud"},
    {"what was unknown is unknown again", 2, 3, "+ppp!+", "???d??"},
    {"and its first good results count on", 2, 3, "ppp+!+", "??dd?u"},
    {"half risen is up again", 2, 3, "++ppp+!", "?uuuddu"},
    {"another failure in the run stays", 2, 3, "++pnp!", "?uuudd"},
    {"as does one at its beginning", 2, 3, "++npp!", "?uuudd"},
    {"and one after a good result", 2, 3, "++ppp+n!", "?uuudddd"},
    {"or before one", 2, 3, "++nnn+p!", "?uuudddd"},
    {"only the last fall counts", 2, 3, "++nnn++ppp!", "?uuudduuudu"},
    {"void results are no failures", 2, 3, "++p0pp!", "?uuuudu"},
    {"nothing to excuse", 2, 3, "!++!nnn!", "??uuuudd"},
    {"unknown by void results stays so", 1, 1, "+p0000000000!", "udddddddddd??"},
};

static void test_excused(void **state) {
    (void)state;
    for (size_t r = 0; r < ARRAY_LENGTH(excuses); r++) {
        struct probe_debounce debounce = make(excuses[r].rise, excuses[r].fall);
        char states[64] = "";
        char before = '?';
        for (size_t i = 0; excuses[r].results[i] != '\0'; i++) {
            char letter = excuses[r].results[i];
            bool changed = letter == '!' ? probe_debounce_excuse(&debounce, PROBE_NO_PRIMARY)
                                         : feed(&debounce, code_of(letter), i + 1);
            states[i] = "?ud"[debounce.state];
            if (changed != (states[i] != before)) {
                fail_msg("%s: change not told at %zu", excuses[r].name, i);
            }
            before = states[i];
        }
        if (strcmp(states, excuses[r].states) != 0) {
            fail_msg("%s: %s gave %s, not %s", excuses[r].name, excuses[r].results, states,
                     excuses[r].states);
        }
    }
}

static void test_excused_is_no_evidence(void **state) {
    (void)state;
    struct probe_debounce debounce = make(1, 2);
    uint64_t first = 0;
    uint64_t last = 0;
    (void)feed(&debounce, PROBE_OK, 1);
    (void)feed(&debounce, PROBE_NO_PRIMARY, 2);
    (void)feed(&debounce, PROBE_NO_PRIMARY, 3);
    assert_true(probe_debounce_evidence(&debounce, &first, &last));
    assert_true(probe_debounce_excuse(&debounce, PROBE_NO_PRIMARY));
    assert_false(probe_debounce_evidence(&debounce, &first, &last));
    assert_int_equal(debounce.failing_since_ms, 0);
    assert_int_equal(debounce.fail_count, 2);
    (void)feed(&debounce, PROBE_REFUSED, 4);
    (void)feed(&debounce, PROBE_REFUSED, 5);
    assert_true(probe_debounce_evidence(&debounce, &first, &last));
    assert_int_equal(first, 4);
}

static void test_evidence_slides(void **state) {
    (void)state;
    struct probe_debounce debounce = make(2, 3);
    uint64_t first = 77;
    uint64_t last = 77;
    (void)feed(&debounce, PROBE_TIMEOUT, 10);
    (void)feed(&debounce, PROBE_TIMEOUT, 11);
    assert_false(probe_debounce_evidence(&debounce, &first, &last));
    assert_int_equal(first, 77);
    (void)feed(&debounce, PROBE_REFUSED, 12);
    assert_true(probe_debounce_evidence(&debounce, &first, &last));
    assert_int_equal(first, 10);
    assert_int_equal(last, 12);
    for (uint64_t index = 13; index < 200; index++) {
        (void)feed(&debounce, index % 7 == 0 ? PROBE_STALLED : PROBE_RESET, index);
    }
    /* 196 was void: the last three that count are 197, 198, 199. */
    assert_true(probe_debounce_evidence(&debounce, &first, &last));
    assert_int_equal(first, 197);
    assert_int_equal(last, 199);
    (void)feed(&debounce, PROBE_RESET, 200);
    (void)feed(&debounce, PROBE_RESET, 201);
    (void)feed(&debounce, PROBE_RESET, 204);
    (void)feed(&debounce, PROBE_STALLED, 205);
    assert_true(probe_debounce_evidence(&debounce, &first, &last));
    assert_int_equal(first, 200);
    assert_int_equal(last, 204);
}

static void test_evidence_needs_a_whole_run(void **state) {
    (void)state;
    struct probe_debounce debounce = make(2, 3);
    uint64_t first = 0;
    uint64_t last = 0;
    for (uint64_t index = 1; index <= 5; index++) {
        (void)feed(&debounce, PROBE_TIMEOUT, index);
    }
    /* One good result of the two that it takes: still down, but by no evidence. */
    (void)feed(&debounce, PROBE_OK, 6);
    assert_int_equal(debounce.state, PROBE_DOWN);
    assert_false(probe_debounce_evidence(&debounce, &first, &last));
    (void)feed(&debounce, PROBE_TIMEOUT, 7);
    (void)feed(&debounce, PROBE_TIMEOUT, 8);
    assert_false(probe_debounce_evidence(&debounce, &first, &last));
    (void)feed(&debounce, PROBE_TIMEOUT, 9);
    assert_true(probe_debounce_evidence(&debounce, &first, &last));
    assert_int_equal(first, 7);
    assert_int_equal(last, 9);
}

static void test_evidence_of_the_longest_run(void **state) {
    (void)state;
    struct probe_debounce debounce = make(1, PROBE_RUN_MAX);
    uint64_t first = 0;
    uint64_t last = 0;
    for (uint64_t index = 1; index < PROBE_RUN_MAX; index++) {
        (void)feed(&debounce, PROBE_TIMEOUT, index);
    }
    assert_false(probe_debounce_evidence(&debounce, &first, &last));
    for (uint64_t index = PROBE_RUN_MAX; index < 100; index++) {
        (void)feed(&debounce, PROBE_TIMEOUT, index);
        assert_true(probe_debounce_evidence(&debounce, &first, &last));
        assert_int_equal(first, index - PROBE_RUN_MAX + 1);
        assert_int_equal(last, index);
    }
}

static void test_late_results_are_stalled(void **state) {
    (void)state;
    for (int late = 0; late <= 1; late++) {
        for (int good = 0; good <= 1; good++) {
            struct probe_debounce debounce = make(1, 1);
            struct probe_result result = {.code = good ? PROBE_OK : PROBE_TIMEOUT,
                                          .start_ms = 100,
                                          .finish_ms =
                                              100 + TIMEOUT_MS + SLACK_MS + (late ? 1 : 0)};
            assert_int_equal(probe_debounce_feed(&debounce, &result), !late);
            assert_int_equal(debounce.last.code, late ? PROBE_STALLED : result.code);
            assert_int_equal(debounce.state, late ? PROBE_UNKNOWN : good ? PROBE_UP : PROBE_DOWN);
            assert_int_equal(debounce.void_count, late);
        }
    }
}

static void test_failing_since(void **state) {
    (void)state;
    struct probe_debounce debounce = make(1, 2);
    (void)feed(&debounce, PROBE_OK, 1);
    assert_int_equal(debounce.failing_since_ms, 0);
    (void)feed(&debounce, PROBE_TIMEOUT, 5);
    (void)feed(&debounce, PROBE_STATUS, 6);
    assert_int_equal(debounce.failing_since_ms, 5 * 2000);
    assert_int_equal(debounce.changed_at_ms, 6 * 2000 + 10);
    assert_int_equal(debounce.last_fail_code, PROBE_STATUS);
    (void)feed(&debounce, PROBE_OK, 7);
    assert_int_equal(debounce.failing_since_ms, 0);
    assert_int_equal(debounce.ok_count, 2);
    assert_int_equal(debounce.fail_count, 2);
}

/* checks: critical in upper case, others in lower; u up, d down, ? unknown critical, x unknown. */
static const struct {
    const char *checks;
    enum opinion_value value;
    const char *worst;
} opinions[] = {
    {"", OPINION_UNKNOWN, ""},      {"u", OPINION_UNKNOWN, ""},     {"d", OPINION_UNKNOWN, ""},
    {"U", OPINION_UP, ""},          {"D", OPINION_DOWN, "0"},       {"?", OPINION_UNKNOWN, "0"},
    {"UU", OPINION_UP, ""},         {"UD", OPINION_DOWN, "1"},      {"U?", OPINION_UNKNOWN, "1"},
    {"?D", OPINION_DOWN, "1"},      {"Uu", OPINION_UP, ""},         {"Ud", OPINION_DEGRADED, "1"},
    {"Ux", OPINION_UP, ""},         {"Uxd", OPINION_DEGRADED, "2"}, {"dd", OPINION_UNKNOWN, ""},
    {"Udd", OPINION_DEGRADED, "1"}, {"?d", OPINION_UNKNOWN, "0"},   {"Dd", OPINION_DOWN, "0"},
    {"uU?d", OPINION_UNKNOWN, "2"}, {"dUD?", OPINION_DOWN, "2"},
};

static struct probe_debounce in_state(char letter) {
    struct probe_debounce debounce = make(1, 1);
    if (letter == 'u' || letter == 'U') {
        (void)feed(&debounce, PROBE_OK, 1);
    } else if (letter == 'd' || letter == 'D') {
        (void)feed(&debounce, PROBE_REFUSED, 1);
    }
    return debounce;
}

static void test_opinion_table(void **state) {
    (void)state;
    for (size_t t = 0; t < ARRAY_LENGTH(opinions); t++) {
        static const char *const names[] = {"0", "1", "2", "3"};
        struct probe_debounce debounces[4];
        struct probe_opinion_check checks[4];
        size_t count = strlen(opinions[t].checks);
        for (size_t i = 0; i < count; i++) {
            char letter = opinions[t].checks[i];
            debounces[i] = in_state(letter);
            checks[i] = (struct probe_opinion_check){.name = names[i],
                                                     .critical = strchr("UD?", letter) != NULL,
                                                     .debounce = &debounces[i]};
        }
        struct probe_opinion opinion;
        probe_opinion_form(checks, count, &opinion);
        if (opinion.value != opinions[t].value ||
            strcmp(opinion.worst_check, opinions[t].worst) != 0) {
            fail_msg("'%s': opinion %d by '%s'", opinions[t].checks, (int)opinion.value,
                     opinion.worst_check);
        }
        assert_int_equal(opinion.has_evidence, opinion.value == OPINION_DOWN);
        bool failing = opinion.value == OPINION_DOWN || opinion.value == OPINION_DEGRADED;
        assert_int_equal(opinion.worst_code, failing ? PROBE_REFUSED : PROBE_OK);
        assert_int_equal(opinion.failing_since_ms, failing ? 2000 : 0);
    }
}

static void feed_run(struct probe_debounce *debounce, uint64_t from, uint64_t to) {
    for (uint64_t index = from; index <= to; index++) {
        (void)feed(debounce, PROBE_TIMEOUT, index);
    }
}

static void test_opinion_cites_one_check(void **state) {
    (void)state;
    /* a's last probe is the newest, b's window begins last, c has no evidence any more. */
    struct probe_debounce a = make(2, 20);
    struct probe_debounce b = make(2, 2);
    struct probe_debounce c = make(2, 2);
    feed_run(&a, 100, 150);
    feed_run(&b, 140, 145);
    feed_run(&c, 200, 201);
    (void)feed(&c, PROBE_OK, 202);
    const struct probe_opinion_check checks[] = {{"c", true, &c}, {"a", true, &a}, {"b", true, &b}};
    struct probe_opinion opinion;
    probe_opinion_form(checks, 3, &opinion);
    assert_int_equal(opinion.value, OPINION_DOWN);
    assert_string_equal(opinion.worst_check, "b");
    assert_true(opinion.has_evidence);
    assert_int_equal(opinion.first_start_index, 144);
    assert_int_equal(opinion.last_start_index, 145);

    /* The same beginning: the one that ends later; equal there too: the first. */
    struct probe_debounce d = make(2, 3);
    feed_run(&d, 144, 146);
    const struct probe_opinion_check tie[] = {{"b", true, &b}, {"d", true, &d}, {"e", true, &d}};
    probe_opinion_form(tie, 3, &opinion);
    assert_string_equal(opinion.worst_check, "d");

    probe_opinion_form(checks, 1, &opinion);
    assert_int_equal(opinion.value, OPINION_DOWN);
    assert_string_equal(opinion.worst_check, "c");
    assert_false(opinion.has_evidence);
    assert_int_equal(opinion.first_start_index, 0);
    assert_int_equal(opinion.last_start_index, 0);
}

static void test_result_table(void **state) {
    (void)state;
    for (int a = 0; a < PROBE_RESULT_COUNT; a++) {
        enum probe_result_code code = (enum probe_result_code)a;
        assert_true(text_is_name(probe_result_text(code), 23));
        assert_true(probe_result_doc(code)[0] != '\0');
        for (int b = 0; b < a; b++) {
            assert_string_not_equal(probe_result_text(code),
                                    probe_result_text((enum probe_result_code)b));
        }
        bool is_void = code == PROBE_STALLED || code == PROBE_INTERNAL || code == PROBE_AUTH ||
                       code == PROBE_CREDENTIALS || code == PROBE_NOT_READ;
        assert_int_equal(probe_result_kind(code), code == PROBE_OK ? PROBE_KIND_OK
                                                  : is_void        ? PROBE_KIND_VOID
                                                                   : PROBE_KIND_FAIL);
    }
    assert_string_equal(probe_state_text(PROBE_DOWN), "down");
}

static void test_control_rule(void **state) {
    (void)state;
    static const struct {
        uint32_t reached, total;
        bool suffices;
    } rows[] = {{0, 0, true}, {0, 1, false}, {1, 1, true}, {0, 2, false},
                {1, 2, true}, {1, 3, false}, {2, 3, true}, {1, 4, false},
                {2, 4, true}, {2, 5, false}, {3, 5, true}};
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        assert_int_equal(probe_control_suffices(rows[i].reached, rows[i].total), rows[i].suffices);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_runs),
        cmocka_unit_test(test_excused),
        cmocka_unit_test(test_excused_is_no_evidence),
        cmocka_unit_test(test_evidence_slides),
        cmocka_unit_test(test_evidence_needs_a_whole_run),
        cmocka_unit_test(test_evidence_of_the_longest_run),
        cmocka_unit_test(test_late_results_are_stalled),
        cmocka_unit_test(test_failing_since),
        cmocka_unit_test(test_opinion_table),
        cmocka_unit_test(test_opinion_cites_one_check),
        cmocka_unit_test(test_result_table),
        cmocka_unit_test(test_control_rule),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
