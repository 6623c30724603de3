#include "check.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

/* The new set, complete before the old one is touched. */
struct build {
    struct probe_check **checks;
    size_t check_count;
    struct probe_group *groups;
    size_t group_count;
    struct probe_endpoint *endpoints;   /* by place in the targets */
    const struct probe_target **sorted; /* the targets */
    struct probe_check **by_hash;       /* the old checks */
};

static int compare_targets(const void *a, const void *b) {
    return probe_target_compare(*(const struct probe_target *const *)a,
                                *(const struct probe_target *const *)b);
}

static int compare_hashes(const void *a, const void *b) {
    const struct probe_check *x = *(const struct probe_check *const *)a;
    const struct probe_check *y = *(const struct probe_check *const *)b;
    return (x->hash > y->hash) - (x->hash < y->hash);
}

/* One bad URL must not blind us to all the rest, nor keep us at the set of an older spec. */
static enum error_code check_target(const struct probe_target *target,
                                    struct probe_endpoint *ret_endpoint, struct error *error) {
    enum error_code code = probe_target_check_texts(target, error);
    if (code != ERROR_OK) {
        return code;
    }
    struct error why = {0};
    code = probe_target_check(target, ret_endpoint, &why);
    if (code == ERROR_NO_MEMORY) {
        return error_set(error, code, "%s", why.message);
    }
    if (code != ERROR_OK) {
        *ret_endpoint = (struct probe_endpoint){.is_unusable = true};
        LOG_EVENT(PROBE_TARGET_UNUSABLE, LOG_TEXT("check", target->check),
                  LOG_TEXT("why", why.message));
    }
    return ERROR_OK;
}

static enum error_code check_targets(const struct probe_target *targets, size_t count,
                                     struct build *build, struct error *error) {
    for (size_t i = 0; i < count; i++) {
        enum error_code code = check_target(&targets[i], &build->endpoints[i], error);
        if (code != ERROR_OK) {
            return code;
        }
        build->sorted[i] = &targets[i];
    }
    if (count > 0) {
        qsort(build->sorted, count, sizeof build->sorted[0], compare_targets);
    }
    for (size_t i = 0, in_group = 1; i + 1 < count; i++) {
        const struct probe_target *a = build->sorted[i];
        const struct probe_target *b = build->sorted[i + 1];
        if (probe_target_compare(a, b) == 0) {
            return error_set(error, ERROR_INVALID, "check '%s' is there twice", a->check);
        }
        in_group = a->service == b->service && a->region == b->region ? in_group + 1 : 1;
        if (in_group > PROBE_GROUP_CHECK_MAX) {
            return error_set(error, ERROR_LIMIT, "over %u checks for one service in one region",
                             PROBE_GROUP_CHECK_MAX);
        }
    }
    return ERROR_OK;
}

/* The old check under the same keys, if it probes just this. */
static struct probe_check *find_same(const struct probe_engine *engine,
                                     const struct probe_target *target) {
    size_t low = 0;
    size_t high = engine->check_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = probe_target_compare(&engine->checks[middle]->target, target);
        if (order == 0) {
            struct probe_check *check = engine->checks[middle];
            return probe_target_same(&check->target, target) ? check : NULL;
        }
        *(order < 0 ? &low : &high) = order < 0 ? middle + 1 : middle;
    }
    return NULL;
}

/* Any old check that probes just this and that nobody has taken: a new revision of the spec may
 * number services and regions anew without a change for most of them. */
static struct probe_check *find_moved(const struct probe_engine *engine, const struct build *build,
                                      const struct probe_target *target) {
    uint64_t hash = probe_target_hash(target);
    size_t low = 0;
    size_t high = engine->check_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        assert(build->by_hash[middle] != NULL);
        bool before = build->by_hash[middle]->hash < hash;
        *(before ? &low : &high) = before ? middle + 1 : middle;
    }
    for (; low < engine->check_count; low++) {
        struct probe_check *check = build->by_hash[low];
        assert(check != NULL);
        if (check->hash != hash) {
            break;
        }
        if (!check->kept && probe_target_same(&check->target, target)) {
            return check;
        }
    }
    return NULL;
}

/* First those whose keys fit, so that nobody else takes their check; then the rest. */
static enum error_code fill_checks(struct probe_engine *engine, struct build *build,
                                   const struct probe_target *targets, struct error *error) {
    for (size_t i = 0; i < build->check_count; i++) {
        build->checks[i] = find_same(engine, build->sorted[i]);
        if (build->checks[i] != NULL) {
            build->checks[i]->kept = true;
        }
    }
    for (size_t i = 0; i < build->check_count; i++) {
        if (build->checks[i] != NULL) {
            continue;
        }
        const struct probe_target *target = build->sorted[i];
        struct probe_check *check = find_moved(engine, build, target);
        if (check == NULL) {
            check = probe_check_create(engine, target, &build->endpoints[target - targets], error);
        }
        if (check == NULL) {
            return ERROR_NO_MEMORY;
        }
        check->kept = true;
        build->checks[i] = check;
    }
    return ERROR_OK;
}

static struct probe_group make_group(const struct probe_engine *engine,
                                     const struct probe_target *target, size_t first) {
    const struct probe_group *old =
        probe_engine_find_group(engine, target->service, target->region);
    return (struct probe_group){.service = target->service,
                                .region = target->region,
                                .first = first,
                                .value = old == NULL ? OPINION_UNKNOWN : old->value,
                                .changed_at_ms =
                                    old == NULL ? engine->last_seen_ms : old->changed_at_ms};
}

static void fill_groups(const struct probe_engine *engine, struct build *build) {
    for (size_t i = 0; i < build->check_count; i++) {
        const struct probe_target *it = build->sorted[i];
        const struct probe_target *before = i > 0 ? build->sorted[i - 1] : NULL;
        if (before == NULL || before->service != it->service || before->region != it->region) {
            build->groups[build->group_count++] = make_group(engine, it, i);
        }
        build->groups[build->group_count - 1].count++;
    }
}

/* Nothing can fail any more. */
static void take_over(struct probe_engine *engine, struct build *build) {
    for (size_t i = 0; i < engine->check_count; i++) {
        if (!engine->checks[i]->kept) {
            probe_check_close(engine->checks[i]);
        }
    }
    free(engine->checks);
    free(engine->groups);
    engine->checks = build->checks;
    engine->check_count = build->check_count;
    engine->groups = build->groups;
    engine->group_count = build->group_count;
    build->checks = NULL;
    build->groups = NULL;
    for (size_t g = 0; g < engine->group_count; g++) {
        struct probe_group *group = &engine->groups[g];
        for (size_t i = group->first; i < group->first + group->count; i++) {
            struct probe_check *check = engine->checks[i];
            check->kept = false;
            check->group = g;
            check->target.service = group->service;
            check->target.region = group->region;
            check->target.excused = build->sorted[i]->excused;
            if (check->target.excused != PROBE_OK) {
                (void)probe_debounce_excuse(&check->debounce, check->target.excused);
            }
            if (!check->started) {
                probe_check_start(check);
            }
        }
    }
}

static void undo(struct probe_engine *engine, struct build *build) {
    for (size_t i = 0; build->checks != NULL && i < build->check_count; i++) {
        if (build->checks[i] != NULL && !build->checks[i]->started) {
            probe_check_discard(build->checks[i]);
        }
    }
    for (size_t i = 0; i < engine->check_count; i++) {
        engine->checks[i]->kept = false;
    }
}

static bool build_init(struct build *build, const struct probe_engine *engine, size_t count) {
    size_t room = count + 1; /* never zero */
    *build = (struct build){.check_count = count};
    build->checks = calloc(room, sizeof build->checks[0]);
    build->groups = calloc(room, sizeof build->groups[0]);
    build->endpoints = calloc(room, sizeof build->endpoints[0]);
    build->sorted = calloc(room, sizeof build->sorted[0]);
    build->by_hash = calloc(engine->check_count + 1, sizeof build->by_hash[0]);
    if (build->checks == NULL || build->groups == NULL || build->endpoints == NULL ||
        build->sorted == NULL || build->by_hash == NULL) {
        return false;
    }
    if (engine->check_count > 0) {
        memcpy(build->by_hash, engine->checks, engine->check_count * sizeof build->by_hash[0]);
        qsort(build->by_hash, engine->check_count, sizeof build->by_hash[0], compare_hashes);
    }
    return true;
}

enum error_code probe_engine_configure(struct probe_engine *engine,
                                       const struct probe_target *targets, size_t count,
                                       struct error *error) {
    assert(!engine->in_callback && !engine->closing);
    if (count > PROBE_TARGET_MAX) {
        return error_set(error, ERROR_LIMIT, "%zu targets to probe; at most %u", count,
                         PROBE_TARGET_MAX);
    }
    (void)probe_engine_watch(engine);
    struct build build;
    enum error_code code = ERROR_OK;
    if (!build_init(&build, engine, count)) {
        code = error_set(error, ERROR_NO_MEMORY, "probe: out of memory");
        goto cleanup;
    }
    code = check_targets(targets, count, &build, error);
    if (code != ERROR_OK) {
        goto cleanup;
    }
    code = fill_checks(engine, &build, targets, error);
    if (code != ERROR_OK) {
        undo(engine, &build);
        goto cleanup;
    }
    fill_groups(engine, &build);
    take_over(engine, &build);
    engine->in_callback = true;
    for (size_t i = 0; i < engine->group_count; i++) {
        probe_engine_refresh(engine, &engine->groups[i]);
    }
    engine->in_callback = false;

cleanup:
    free(build.checks);
    free(build.groups);
    free(build.endpoints);
    free((void *)build.sorted);
    free(build.by_hash);
    return code;
}
