/* What a read of a target means for a step, against a table written from the protocol, for every
 * combination of phase, cancel, fence, sync and records; and the text of fences. */
#include "core_test.h"

enum seen { WANTED, BURNT, BEFORE, FOREIGN, LATER, GONE, SEEN_COUNT };

/* The first row that fits; -1 fits all. */
static const struct row {
    int kind, closing, cancelled, seen, sync, as_before;
    enum step_action action;
} rows[] = {
    /* an unmark's proof is that nothing is there; its own eid is as strange as any other */
    {STEP_UNMARK, -1, -1, WANTED, -1, -1, ACTION_UNKNOWN},
    /* the eid is there: done, once it is durable */
    {-1, -1, -1, WANTED, TARGET_INSYNC, -1, ACTION_DONE},
    {-1, -1, -1, WANTED, TARGET_PENDING, -1, ACTION_WAIT},
    {-1, -1, -1, WANTED, -1, -1, ACTION_TOUCH},
    /* a later epoch's: a debt can't land any more; an open step has lost its target */
    {STEP_SETTLE, -1, -1, LATER, TARGET_INSYNC, -1, ACTION_DONE},
    {STEP_SETTLE, -1, -1, LATER, TARGET_PENDING, -1, ACTION_WAIT},
    {STEP_SETTLE, -1, -1, LATER, -1, -1, ACTION_TOUCH},
    {-1, -1, -1, LATER, -1, -1, ACTION_UNKNOWN},
    /* void(eid) under CLOSING: nothing can land any more */
    {STEP_SETTLE, 1, -1, BURNT, TARGET_INSYNC, -1, ACTION_DONE},
    {-1, 1, -1, BURNT, TARGET_INSYNC, -1, ACTION_REFUSED},
    {-1, 1, -1, BURNT, TARGET_PENDING, -1, ACTION_WAIT},
    {-1, 1, -1, BURNT, -1, -1, ACTION_TOUCH},
    /* somebody's fence may have come after ours, whose records would still be there; a burn over it
     * may put an old fence behind a newer epoch's */
    {-1, -1, -1, FOREIGN, -1, -1, ACTION_UNKNOWN},
    /* under CLOSING all else is burnt */
    {-1, 1, -1, -1, -1, -1, ACTION_BURN},
    /* as before, and still wanted: send again. What changes the fence alone looks at it alone. */
    {STEP_DNS, 0, 0, BEFORE, -1, 1, ACTION_ATTEMPT},
    {STEP_ADOPT, 0, 0, BEFORE, -1, -1, ACTION_ATTEMPT},
    {STEP_UNMARK, 0, 0, BEFORE, -1, -1, ACTION_ATTEMPT},
    /* anything else: no further attempt */
    {-1, 0, -1, -1, -1, -1, ACTION_CLOSE},
};

static bool fits(int wanted, int found) {
    return wanted == -1 || wanted == found;
}

static enum step_action expected(enum step_kind kind, bool closing, bool cancelled, enum seen seen,
                                 enum target_sync sync, bool as_before, bool had_fence) {
    if (seen == GONE && kind == STEP_UNMARK) {
        return ACTION_DONE;
    }
    if (seen == GONE && (had_fence || closing || cancelled)) {
        return ACTION_UNKNOWN; /* the fence is gone: a person must look */
    }
    if (seen == GONE) {
        return ACTION_ATTEMPT; /* an adoption found none, and there is none */
    }
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        const struct row *row = &rows[i];
        if (fits(row->kind, kind) && fits(row->closing, closing) &&
            fits(row->cancelled, cancelled) && fits(row->seen, seen) && fits(row->sync, sync) &&
            fits(row->as_before, as_before)) {
            return row->action;
        }
    }
    fail();
    return STEP_ACTION_COUNT;
}

static struct step *set_step(struct group *group, enum step_kind kind, enum step_phase phase,
                             bool had_fence) {
    struct execution *execution = &group_service(group)->execution;
    struct step *step = &execution->steps[1];
    step->kind = kind;
    step->phase = phase;
    step->attempts = kind != STEP_SETTLE;
    (void)TEXT_COPY(step->fence_before, had_fence ? "prod/nocturnal/5.1/0" : "");
    (void)TEXT_COPY(step->debt_eid, "nocturnal/5.2/1");
    return step;
}

static void try_all_reads(struct group *group, enum step_kind kind, enum step_phase phase,
                          bool cancelled, bool had_fence) {
    static const char *const fences[] = {"prod/nocturnal/5.2/1", "void(prod/nocturnal/5.2/1)",
                                         "prod/nocturnal/5.1/0", "somebody's",
                                         "prod/nocturnal/6.1/0", NULL};
    (void)set_step(group, kind, phase, had_fence);
    group_service(group)->execution.phase = cancelled ? EXECUTION_CANCELLING : EXECUTION_RUNNING;
    for (unsigned seen = 0; seen < SEEN_COUNT; seen++) {
        if (seen == BEFORE && !had_fence) {
            continue; /* then "before" is GONE */
        }
        for (unsigned sync = 0; sync <= TARGET_NOT_ASKED; sync++) {
            for (int as_before = 0; as_before < 2; as_before++) {
                struct target_reading reading = {.sync = (enum target_sync)sync,
                                                 .fence_present = fences[seen] != NULL,
                                                 .fence = fences[seen],
                                                 .state_as_before = as_before == 1};
                const char *why = NULL;
                enum step_action found = step_after_read(group->state, 0, 1, &reading, &why);
                enum step_action wanted =
                    expected(kind, phase == STEP_CLOSING, cancelled, (enum seen)seen,
                             (enum target_sync)sync, as_before, had_fence);
                if (found != wanted) {
                    fail_msg("%s %s cancelled %d fence %u sync %u as before %d: %d, not %d",
                             step_kind_text(kind), step_phase_text(phase), cancelled, seen, sync,
                             as_before, found, wanted);
                }
                assert_non_null(why);
            }
        }
    }
}

static void test_every_read(void **state) {
    struct group *group = *state;
    assert_int_equal(group_move(group, "us-west-2", EXECUTION_FAILOVER, 0), CORE_OK);
    for (int cancelled = 0; cancelled < 2; cancelled++) {
        for (unsigned phase = STEP_ATTEMPTED; phase <= STEP_CLOSING; phase++) {
            try_all_reads(group, STEP_DNS, (enum step_phase)phase, cancelled, true);
            try_all_reads(group, STEP_ADOPT, (enum step_phase)phase, cancelled, true);
            try_all_reads(group, STEP_ADOPT, (enum step_phase)phase, cancelled, false);
            try_all_reads(group, STEP_UNMARK, (enum step_phase)phase, cancelled, true);
        }
        try_all_reads(group, STEP_SETTLE, STEP_CLOSING, cancelled, false);
    }
}

static void test_fences_are_read_as_written(void **state) {
    char eid[EID_SIZE];
    char text[FENCE_SIZE];
    struct fence fence;
    char longest[NAME_SIZE];
    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    eid_format(eid, longest, UINT64_MAX, UINT64_MAX, STEP_MAX - 1);
    fence_format_void(text, longest, eid);
    assert_true(fence_parse(text, longest, &fence));
    assert_true(fence.burnt);
    assert_string_equal(fence.service, longest);
    assert_true(fence.incarnation == UINT64_MAX && fence.epoch == UINT64_MAX);
    assert_int_equal(fence.step, STEP_MAX - 1);
    eid_format(eid, "s", 0, 10, 0);
    assert_string_equal(eid, "s/0.10/0");
    fence_format(text, "g", eid);
    assert_string_equal(text, "g/s/0.10/0");
    assert_true(fence_parse(text, "g", &fence));
    assert_false(fence.burnt);
    assert_true(fence_is_before(&fence, 0, 11) && fence_is_before(&fence, 1, 1));
    assert_false(fence_is_before(&fence, 0, 10) || fence_is_after(&fence, 0, 10));
    assert_true(fence_is_after(&fence, 0, 9));
    static const char *const bad[] = {"",
                                      "g",
                                      "g/",
                                      "g/s",
                                      "g/s/",
                                      "g/s/1",
                                      "g/s/1.",
                                      "g/s/1.1",
                                      "g/s/1.1/",
                                      "g/s/1.1/64",
                                      "g/s/1.1/0x",
                                      "g/s/1.1/00",
                                      "g/s/+1.1/0",
                                      "g/s/ 1.1/0",
                                      "h/s/1.1/0",
                                      "g//1.1/0",
                                      "void(g/s/1.1/0",
                                      "g/s/1.1/0)",
                                      "void()",
                                      "void(g/)",
                                      "g/s/99999999999999999999.1/0"};
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
        if (fence_parse(bad[i], "g", &fence)) {
            fail_msg("read: %s", bad[i]);
        }
    }
    char endless[2 * FENCE_SIZE];
    memset(endless, 'g', sizeof endless - 1);
    endless[sizeof endless - 1] = '\0';
    endless[1] = '/';
    assert_false(fence_parse(endless, "g", &fence));
    endless[100] = '/';
    assert_false(fence_parse(endless, "g", &fence)); /* a service's name of 98 */
    (void)state;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        ADOPTED(test_every_read),
        cmocka_unit_test(test_fences_are_read_as_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
