#include "probe/debounce.h"

#include <assert.h>
#include <stdio.h>

void probe_debounce_init(struct probe_debounce *debounce, const struct probe_rule *rule) {
    assert(rule->rise >= 1 && rule->rise <= PROBE_RUN_MAX);
    assert(rule->fall >= 1 && rule->fall <= PROBE_RUN_MAX);
    *debounce = (struct probe_debounce){.rule = *rule};
}

static void count_ok(struct probe_debounce *debounce) {
    debounce->ok_count++;
    debounce->ok_run++;
    debounce->fail_run = 0;
    debounce->void_run = 0;
    debounce->failing_since_ms = 0;
}

static void count_fail(struct probe_debounce *debounce, const struct probe_result *result) {
    if (debounce->fail_run == 0) {
        debounce->failing_since_ms = result->start_ms;
    }
    if (debounce->fail_run == 0 && debounce->state != PROBE_DOWN) {
        debounce->state_before = debounce->state;
        debounce->shared_code = result->code;
    } else if (debounce->shared_code != result->code) {
        debounce->shared_code = PROBE_OK;
    }
    debounce->start_indexes[debounce->fail_run % PROBE_RUN_MAX] = result->start_index;
    debounce->last_fail_code = result->code;
    debounce->fail_count++;
    debounce->fail_run++;
    debounce->ok_run = 0;
    debounce->void_run = 0;
}

static void count_void(struct probe_debounce *debounce) {
    debounce->void_count++;
    debounce->void_run++;
    if (debounce->void_run == PROBE_VOID_MAX) {
        debounce->ok_run = 0;
        debounce->fail_run = 0;
        debounce->failing_since_ms = 0;
    }
}

static enum probe_state next_state(const struct probe_debounce *debounce) {
    if (debounce->void_run >= PROBE_VOID_MAX) {
        return PROBE_UNKNOWN;
    }
    if (debounce->ok_run >= debounce->rule.rise) {
        return PROBE_UP;
    }
    return debounce->fail_run >= debounce->rule.fall ? PROBE_DOWN : debounce->state;
}

bool probe_debounce_feed(struct probe_debounce *debounce, const struct probe_result *result) {
    assert(result->finish_ms >= result->start_ms);
    debounce->last = *result;
    debounce->has_result = true;
    if (result->finish_ms - result->start_ms >
        (uint64_t)debounce->rule.timeout_ms + debounce->rule.slack_ms) {
        debounce->last.code = PROBE_STALLED;
    }
    switch (probe_result_kind(debounce->last.code)) {
    case PROBE_KIND_OK:
        count_ok(debounce);
        break;
    case PROBE_KIND_FAIL:
        count_fail(debounce, result);
        break;
    case PROBE_KIND_VOID:
        count_void(debounce);
        break;
    }
    enum probe_state state = next_state(debounce);
    if (state == debounce->state) {
        return false;
    }
    debounce->state = state;
    debounce->changed_at_ms = result->finish_ms;
    return true;
}

bool probe_debounce_excuse(struct probe_debounce *debounce, enum probe_result_code code) {
    assert(probe_result_kind(code) == PROBE_KIND_FAIL);
    bool is_down = debounce->state == PROBE_DOWN;
    if (debounce->shared_code != code || (!is_down && debounce->fail_run == 0)) {
        return false;
    }
    debounce->fail_run = 0;
    debounce->failing_since_ms = 0;
    debounce->shared_code = PROBE_OK;
    if (!is_down) {
        return false;
    }
    debounce->state = debounce->state_before;
    debounce->changed_at_ms = debounce->last.finish_ms;
    return true;
}

bool probe_debounce_evidence(const struct probe_debounce *debounce, uint64_t *ret_first_index,
                             uint64_t *ret_last_index) {
    uint32_t fall = debounce->rule.fall;
    if (debounce->state != PROBE_DOWN || debounce->fail_run < fall) {
        return false;
    }
    *ret_first_index = debounce->start_indexes[(debounce->fail_run - fall) % PROBE_RUN_MAX];
    *ret_last_index = debounce->start_indexes[(debounce->fail_run - 1) % PROBE_RUN_MAX];
    return true;
}

const char *probe_state_text(enum probe_state state) {
    static const char *const texts[] = {"unknown", "up", "down"};
    assert((unsigned)state < sizeof texts / sizeof texts[0]);
    return texts[state];
}

struct evidence {
    const struct probe_opinion_check *check;
    bool proven;
    uint64_t first_index, last_index;
};

static bool is_fresher(const struct evidence *a, const struct evidence *b) {
    if (a->proven != b->proven) {
        return a->proven;
    }
    return a->first_index != b->first_index ? a->first_index > b->first_index
                                            : a->last_index > b->last_index;
}

/* The down critical check to cite; check is NULL where there is none. */
static struct evidence find_evidence(const struct probe_opinion_check *checks, size_t count) {
    struct evidence best = {0};
    for (size_t i = 0; i < count; i++) {
        if (!checks[i].critical || checks[i].debounce->state != PROBE_DOWN) {
            continue;
        }
        struct evidence it = {.check = &checks[i]};
        it.proven = probe_debounce_evidence(checks[i].debounce, &it.first_index, &it.last_index);
        if (best.check == NULL || is_fresher(&it, &best)) {
            best = it;
        }
    }
    return best;
}

static const struct probe_opinion_check *find_state(const struct probe_opinion_check *checks,
                                                    size_t count, bool critical,
                                                    enum probe_state state) {
    for (size_t i = 0; i < count; i++) {
        if (checks[i].critical == critical && checks[i].debounce->state == state) {
            return &checks[i];
        }
    }
    return NULL;
}

static void name_worst(struct probe_opinion *opinion, const struct probe_opinion_check *check) {
    (void)snprintf(opinion->worst_check, sizeof opinion->worst_check, "%s", check->name);
    opinion->worst_code = check->debounce->state == PROBE_DOWN ? check->debounce->last_fail_code
                                                               : check->debounce->last.code;
    opinion->failing_since_ms = check->debounce->failing_since_ms;
}

void probe_opinion_form(const struct probe_opinion_check *checks, size_t count,
                        struct probe_opinion *ret_opinion) {
    struct probe_opinion opinion = {.value = OPINION_UP};
    struct evidence evidence = find_evidence(checks, count);
    const struct probe_opinion_check *unknown = find_state(checks, count, true, PROBE_UNKNOWN);
    const struct probe_opinion_check *other = find_state(checks, count, false, PROBE_DOWN);
    if (evidence.check != NULL) {
        opinion.value = OPINION_DOWN;
        opinion.has_evidence = evidence.proven;
        opinion.first_start_index = evidence.first_index;
        opinion.last_start_index = evidence.last_index;
        name_worst(&opinion, evidence.check);
    } else if (unknown != NULL) {
        opinion.value = OPINION_UNKNOWN;
        name_worst(&opinion, unknown);
    } else if (find_state(checks, count, true, PROBE_UP) == NULL) {
        opinion.value = OPINION_UNKNOWN;
    } else if (other != NULL) {
        opinion.value = OPINION_DEGRADED;
        name_worst(&opinion, other);
    }
    *ret_opinion = opinion;
}
