#include "record_set.h"

#include <assert.h>
#include <string.h>

#include "alloc.h"
#include "base/text.h"

static const struct {
    const char *text;
    unsigned number;
} record_types[RECORD_TYPE_COUNT] = {
#define X(type, number) {#type, number},
    RECORD_TYPE_TABLE(X)
#undef X
};

struct record_set *record_set_create(void) {
    struct record_set *set = alloc_zeroed(1, sizeof(*set));
    set->reference_count = 1;
    return set;
}

struct record_set *record_set_ref(struct record_set *set) {
    assert(set->reference_count > 0);
    set->reference_count++;
    return set;
}

void record_set_unref(struct record_set *set) {
    if (set == NULL) {
        return;
    }
    assert(set->reference_count > 0);
    if (--set->reference_count > 0) {
        return;
    }
    for (size_t i = 0; i < set->value_count; i++) {
        free(set->values[i]);
    }
    free(set->values);
    free(set);
}

bool record_set_add_value(struct record_set *set, const char *value) {
    assert(set->reference_count == 1);
    if (set->value_count >= RECORD_VALUES_MAX || strlen(value) > RECORD_VALUE_CHARACTERS_MAX) {
        return false;
    }
    set->values = alloc_grown(set->values, set->value_count + 1, sizeof(*set->values));
    set->values[set->value_count++] = alloc_text(value);
    set->fields |= RECORD_FIELD_VALUES;
    return true;
}

static bool record_set_has_value(const struct record_set *set, const char *value) {
    for (size_t i = 0; i < set->value_count; i++) {
        if (text_equal(set->values[i], value)) {
            return true;
        }
    }
    return false;
}

/* Values of one set are distinct (a rule of the batch), so equal counts and inclusion suffice. */
static bool record_set_same_values(const struct record_set *a, const struct record_set *b) {
    if (a->value_count != b->value_count) {
        return false;
    }
    for (size_t i = 0; i < a->value_count; i++) {
        if (!record_set_has_value(b, a->values[i])) {
            return false;
        }
    }
    return true;
}

bool record_set_equal(const struct record_set *a, const struct record_set *b) {
    /* Fields that are absent are zero in both. */
    return a->fields == b->fields && a->type == b->type && text_equal(a->name, b->name) &&
           text_equal(a->set_identifier, b->set_identifier) && a->weight == b->weight &&
           text_equal(a->region, b->region) && text_equal(a->continent, b->continent) &&
           text_equal(a->country, b->country) && text_equal(a->subdivision, b->subdivision) &&
           a->failover == b->failover && a->multi_value == b->multi_value && a->ttl_s == b->ttl_s &&
           text_equal(a->alias.zone_id, b->alias.zone_id) &&
           text_equal(a->alias.dns_name, b->alias.dns_name) &&
           a->alias.evaluate_target_health == b->alias.evaluate_target_health &&
           text_equal(a->health_check_id, b->health_check_id) && record_set_same_values(a, b);
}

int record_set_compare(const struct record_set *a, const struct record_set *b) {
    int order = dns_name_compare(a->name, b->name);
    if (order == 0) {
        order = (a->type > b->type) - (a->type < b->type);
    }
    return order != 0 ? order : strcmp(a->set_identifier, b->set_identifier);
}

const char *record_type_text(enum record_type type) {
    assert(type < RECORD_TYPE_COUNT);
    return record_types[type].text;
}

unsigned record_type_number(enum record_type type) {
    assert(type < RECORD_TYPE_COUNT);
    return record_types[type].number;
}

bool record_type_from_text(const char *text, enum record_type *ret_type) {
    for (enum record_type type = 0; type < RECORD_TYPE_COUNT; type++) {
        if (text_equal(record_types[type].text, text)) {
            *ret_type = type;
            return true;
        }
    }
    return false;
}

bool record_type_from_number(unsigned number, enum record_type *ret_type) {
    for (enum record_type type = 0; type < RECORD_TYPE_COUNT; type++) {
        if (record_types[type].number == number) {
            *ret_type = type;
            return true;
        }
    }
    return false;
}
