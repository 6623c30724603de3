/* Whether two specs say the same of a service. Field by field, and only the used part of each
 * array: padding and what lies behind a NUL or a count may differ between nodes that hold the same
 * spec, and a difference there must never decide anything. */
#include "base/text.h"
#include "spec_rules.h"

static bool regions_are_equal(const struct spec *a, const struct spec *b) {
    if (a->region_count != b->region_count) {
        return false;
    }
    for (uint32_t r = 0; r < a->region_count; r++) {
        const struct spec_region *x = &a->regions[r];
        const struct spec_region *y = &b->regions[r];
        if (!text_equal(x->name, y->name) || x->role != y->role ||
            !text_equal(x->risk_group, y->risk_group) || x->max_active != y->max_active) {
            return false;
        }
    }
    return true;
}

static bool check_is_equal(const struct spec_check *a, const struct spec_check *b,
                           uint32_t region_count) {
    bool equal = text_equal(a->name, b->name) && a->type == b->type &&
                 a->expect_count == b->expect_count && text_equal(a->match, b->match) &&
                 a->interval_ms == b->interval_ms && a->timeout_ms == b->timeout_ms &&
                 a->fall == b->fall && a->rise == b->rise && a->critical == b->critical &&
                 a->keep_alive == b->keep_alive && a->insecure == b->insecure &&
                 a->standby == b->standby && text_equal(a->ca_file, b->ca_file) &&
                 text_equal(a->cert_file, b->cert_file) && text_equal(a->key_file, b->key_file) &&
                 text_equal(a->server_name, b->server_name);
    for (uint32_t i = 0; equal && i < a->expect_count; i++) {
        equal = a->expect[i].low == b->expect[i].low && a->expect[i].high == b->expect[i].high;
    }
    for (uint32_t r = 0; equal && r < region_count; r++) {
        equal = text_equal(a->url[r], b->url[r]);
    }
    return equal;
}

static bool zone_is_equal(const struct spec_zone *a, const struct spec_zone *b) {
    return text_equal(a->id, b->id) && text_equal(a->role, b->role) &&
           text_equal(a->external_id, b->external_id) && text_equal(a->fence_name, b->fence_name);
}

static bool record_is_equal(const struct spec_record *a, const struct spec_record *b,
                            uint32_t region_count) {
    bool equal = a->zone == b->zone && text_equal(a->name, b->name) &&
                 text_equal(a->type, b->type) && a->kind == b->kind && a->routing == b->routing &&
                 a->ttl_s == b->ttl_s;
    for (uint32_t r = 0; equal && r < region_count; r++) {
        const struct spec_record_value *x = &a->value[r];
        const struct spec_record_value *y = &b->value[r];
        equal = text_equal(x->text, y->text) && text_equal(x->zone_id, y->zone_id) &&
                text_equal(x->set_identifier, y->set_identifier);
    }
    return equal;
}

static bool policy_is_equal(const struct spec_policy *a, const struct spec_policy *b) {
    return a->confirm_ms == b->confirm_ms && a->cooldown_ms == b->cooldown_ms &&
           a->max_moves == b->max_moves && a->max_moves_window_ms == b->max_moves_window_ms &&
           a->failback == b->failback && a->foreign_change == b->foreign_change &&
           a->lease_ms == b->lease_ms;
}

static bool mongo_is_equal(const struct spec_mongo *a, const struct spec_mongo *b) {
    return a->used == b->used && text_equal(a->uri, b->uri) &&
           text_equal(a->credentials, b->credentials) && text_equal(a->region_tag, b->region_tag) &&
           text_equal(a->write_check, b->write_check) && a->max_lag_ms == b->max_lag_ms &&
           a->max_lag_age_ms == b->max_lag_age_ms && a->interval_ms == b->interval_ms &&
           a->timeout_ms == b->timeout_ms && a->fall == b->fall && a->rise == b->rise &&
           a->on_majority_lost == b->on_majority_lost && a->on_own_election == b->on_own_election;
}

bool spec_service_is_unchanged(const struct spec *a, uint32_t ai, const struct spec *b,
                               uint32_t bi) {
    const struct spec_service *x = &a->services[ai];
    const struct spec_service *y = &b->services[bi];
    bool equal = regions_are_equal(a, b) && text_equal(x->name, y->name) &&
                 text_equal(x->owner, y->owner) && x->mode == y->mode && x->home == y->home &&
                 x->target_count == y->target_count && x->check_count == y->check_count &&
                 x->zone_count == y->zone_count && x->record_count == y->record_count &&
                 policy_is_equal(&x->policy, &y->policy) && x->rto_ms == y->rto_ms &&
                 x->database_rto_ms == y->database_rto_ms &&
                 x->database_rpo_ms == y->database_rpo_ms && mongo_is_equal(&x->mongo, &y->mongo);
    for (uint32_t i = 0; equal && i < x->target_count; i++) {
        equal = x->targets[i] == y->targets[i];
    }
    for (uint32_t i = 0; equal && i < x->check_count; i++) {
        equal = check_is_equal(&x->checks[i], &y->checks[i], a->region_count);
    }
    for (uint32_t i = 0; equal && i < x->zone_count; i++) {
        equal = zone_is_equal(&x->zones[i], &y->zones[i]);
    }
    for (uint32_t i = 0; equal && i < x->record_count; i++) {
        equal = record_is_equal(&x->records[i], &y->records[i], a->region_count);
    }
    return equal;
}
