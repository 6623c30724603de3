#include "zone_state.h"

#include <assert.h>

#include "alloc.h"

struct zone_state *zone_state_create(void) {
    struct zone_state *state = alloc_zeroed(1, sizeof(*state));
    state->reference_count = 1;
    return state;
}

struct zone_state *zone_state_ref(struct zone_state *state) {
    assert(state->reference_count > 0);
    state->reference_count++;
    return state;
}

void zone_state_unref(struct zone_state *state) {
    if (state == NULL) {
        return;
    }
    assert(state->reference_count > 0);
    if (--state->reference_count > 0) {
        return;
    }
    for (size_t i = 0; i < state->count; i++) {
        record_set_unref(state->sets[i]);
    }
    free(state->sets);
    free(state);
}

struct zone_state *zone_state_copy(const struct zone_state *state) {
    struct zone_state *copy = zone_state_create();
    copy->count = state->count;
    copy->capacity = state->count + 16;
    copy->sets = alloc_zeroed(copy->capacity, sizeof(*copy->sets));
    for (size_t i = 0; i < state->count; i++) {
        copy->sets[i] = record_set_ref(state->sets[i]);
    }
    return copy;
}

size_t zone_state_lower_bound(const struct zone_state *state, const struct record_set *key) {
    size_t low = 0;
    size_t high = state->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (record_set_compare(state->sets[middle], key) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

size_t zone_state_first_of_name(const struct zone_state *state, const char *name) {
    size_t low = 0;
    size_t high = state->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (dns_name_compare(state->sets[middle]->name, name) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

struct record_set *zone_state_find(const struct zone_state *state, const struct record_set *key) {
    size_t at = zone_state_lower_bound(state, key);
    if (at < state->count && record_set_compare(state->sets[at], key) == 0) {
        return state->sets[at];
    }
    return NULL;
}

void zone_state_put(struct zone_state *state, struct record_set *set) {
    assert(state->reference_count == 1);
    size_t at = zone_state_lower_bound(state, set);
    record_set_ref(set);
    if (at < state->count && record_set_compare(state->sets[at], set) == 0) {
        record_set_unref(state->sets[at]);
        state->sets[at] = set;
        return;
    }
    if (state->count == state->capacity) {
        state->capacity = state->capacity * 2 + 16;
        state->sets = alloc_grown(state->sets, state->capacity, sizeof(struct record_set *));
    }
    memmove(state->sets + at + 1, state->sets + at,
            (state->count - at) * sizeof(struct record_set *));
    state->sets[at] = set;
    state->count++;
}

void zone_state_remove(struct zone_state *state, const struct record_set *key) {
    assert(state->reference_count == 1);
    size_t at = zone_state_lower_bound(state, key);
    assert(at < state->count && record_set_compare(state->sets[at], key) == 0);
    record_set_unref(state->sets[at]);
    state->count--;
    memmove(state->sets + at, state->sets + at + 1,
            (state->count - at) * sizeof(struct record_set *));
}

size_t zone_state_compare(const struct zone_state *before, const struct zone_state *after,
                          zone_state_difference difference, void *context) {
    size_t i = 0;
    size_t j = 0;
    size_t differences = 0;
    while (i < before->count || j < after->count) {
        int order = 0;
        if (i == before->count) {
            order = 1;
        } else if (j == after->count) {
            order = -1;
        } else {
            order = record_set_compare(before->sets[i], after->sets[j]);
        }
        const struct record_set *old = order <= 0 ? before->sets[i++] : NULL;
        const struct record_set *new = order >= 0 ? after->sets[j++] : NULL;
        if (old != NULL && new != NULL && record_set_equal(old, new)) {
            continue;
        }
        differences++;
        if (difference != NULL) {
            difference(context, old, new);
        }
    }
    return differences;
}
