#include "core/spec.h"

#include <string.h>

#include "base/text.h"

uint32_t spec_find_region(const struct spec *spec, const char *name) {
    for (uint32_t i = 0; i < spec->region_count; i++) {
        if (text_equal(spec->regions[i].name, name)) {
            return i;
        }
    }
    return NONE_INDEX;
}

uint32_t spec_find_service(const struct spec *spec, const char *name) {
    for (uint32_t i = 0; i < spec->service_count; i++) {
        if (text_equal(spec->services[i].name, name)) {
            return i;
        }
    }
    return NONE_INDEX;
}

bool spec_may_serve(const struct spec *spec, uint32_t service, uint32_t region) {
    const struct spec_service *s = &spec->services[service];
    if (region >= spec->region_count || spec->regions[region].role != REGION_SERVE) {
        return false;
    }
    bool found = region == s->home;
    for (uint32_t i = 0; i < s->target_count; i++) {
        found = found || s->targets[i] == region;
    }
    return found;
}

static const char *check_rule(const struct spec_check *check) {
    if (!text_is_name(check->name, NAME_SIZE - 1)) {
        return "a check's name is not a name";
    }
    if ((unsigned)check->type >= CHECK_TYPE_COUNT ||
        (unsigned)check->standby >= CHECK_STANDBY_COUNT) {
        return "a check's type or standby is unknown";
    }
    if (check->expect_count > STATUS_RANGE_MAX) {
        return "a check expects too many ranges of statuses";
    }
    for (uint32_t i = 0; i < check->expect_count; i++) {
        if (check->expect[i].low > check->expect[i].high) {
            return "a check's range of statuses is empty";
        }
    }
    if (check->fall == 0 || check->rise == 0 || check->fall > CHECK_RUN_MAX ||
        check->rise > CHECK_RUN_MAX) {
        return "a check's fall or rise is out of range";
    }
    if (check->interval_ms == 0 || check->timeout_ms == 0) {
        return "a check's interval or timeout is zero";
    }
    return NULL;
}

uint32_t spec_record_set_count(const struct spec *spec, uint32_t service, uint32_t zone) {
    const struct spec_service *s = &spec->services[service];
    uint32_t count = 0;
    for (uint32_t i = 0; i < s->record_count; i++) {
        const struct spec_record *record = &s->records[i];
        if (record->zone == zone && record->routing == ROUTING_SIMPLE) {
            count++;
        }
        for (uint32_t r = 0; r < spec->region_count; r++) {
            count += record->zone == zone && record->routing != ROUTING_SIMPLE &&
                     record->value[r].set_identifier[0] != '\0';
        }
    }
    return count;
}

static const char *dns_rule(const struct spec *spec, const struct spec_service *service) {
    if (service->zone_count > ZONE_MAX || service->record_count > RECORD_MAX) {
        return "a service has too many zones or records";
    }
    for (uint32_t i = 0; i < service->zone_count; i++) {
        if (service->zones[i].id[0] == '\0' || service->zones[i].fence_name[0] == '\0') {
            return "a zone has no id or no fence";
        }
        for (uint32_t j = 0; j < i; j++) {
            if (text_equal(service->zones[i].id, service->zones[j].id)) {
                return "a service names a zone twice"; /* two batches would not be atomic */
            }
        }
        if (spec_record_set_count(spec, (uint32_t)(service - spec->services), i) > ZONE_SET_MAX) {
            return "a zone has more record sets than one batch holds";
        }
    }
    for (uint32_t i = 0; i < service->record_count; i++) {
        const struct spec_record *record = &service->records[i];
        if (record->zone >= service->zone_count || record->name[0] == '\0') {
            return "a record is in no zone";
        }
        if ((unsigned)record->kind >= RECORD_KIND_COUNT ||
            (unsigned)record->routing >= RECORD_ROUTING_COUNT) {
            return "a record's kind or routing is unknown";
        }
        for (uint32_t r = 0; r < spec->region_count; r++) {
            uint32_t index = (uint32_t)(service - spec->services);
            if (spec_may_serve(spec, index, r) && record->value[r].text[0] == '\0') {
                return "a record has no value for a region that may serve";
            }
        }
    }
    return NULL;
}

static const char *targets_rule(const struct spec *spec, const struct spec_service *service) {
    if (service->home >= spec->region_count || spec->regions[service->home].role != REGION_SERVE) {
        return "a service's home is no region that serves";
    }
    if (service->target_count > REGION_MAX) {
        return "a service has too many targets";
    }
    for (uint32_t i = 0; i < service->target_count; i++) {
        uint32_t target = service->targets[i];
        if (target >= spec->region_count || target == service->home ||
            spec->regions[target].role != REGION_SERVE) {
            return "a target is the home, or no region that serves";
        }
        for (uint32_t j = 0; j < i; j++) {
            if (service->targets[j] == target) {
                return "a target is named twice";
            }
        }
    }
    return NULL;
}

static const char *policy_rule(const struct spec_policy *policy) {
    if ((unsigned)policy->failback >= FAILBACK_COUNT ||
        (unsigned)policy->foreign_change >= FOREIGN_CHANGE_COUNT) {
        return "a policy's failback or foreign_change is unknown";
    }
    if (policy->max_moves > RECENT_MOVE_MAX) {
        return "max_moves is over its limit";
    }
    if (policy->confirm_ms > TIME_MAX_MS || policy->cooldown_ms > TIME_MAX_MS ||
        policy->max_moves_window_ms > TIME_MAX_MS) {
        return "a time in a policy is over its limit";
    }
    if (policy->lease_ms > LEASE_MAX_MS) {
        return "a lease is over its limit";
    }
    return NULL;
}

static const char *mongo_rule(const struct spec_service *service) {
    const struct spec_mongo *mongo = &service->mongo;
    if ((unsigned)mongo->on_majority_lost >= MONGO_LOST_COUNT ||
        (unsigned)mongo->on_own_election >= MONGO_ELECTION_COUNT) {
        return "a replica set's on_majority_lost or on_own_election is unknown";
    }
    if (!mongo->used) {
        return NULL;
    }
    if (mongo->uri[0] == '\0' || mongo->region_tag[0] == '\0') {
        return "a replica set has no uri or no region_tag";
    }
    if (mongo->max_lag_ms > TIME_MAX_MS || mongo->max_lag_age_ms > TIME_MAX_MS) {
        return "a replica set's max_lag or max_lag_age is over its limit";
    }
    if (mongo->fall == 0 || mongo->rise == 0 || mongo->fall > CHECK_RUN_MAX ||
        mongo->rise > CHECK_RUN_MAX) {
        return "a replica set's fall or rise is out of range";
    }
    if (mongo->timeout_ms == 0 || mongo->interval_ms <= mongo->timeout_ms) {
        return "a replica set's timeout is zero, or not below its interval";
    }
    if (service->mode != MODE_OBSERVE && mongo->interval_ms > CRITICAL_INTERVAL_MAX_MS) {
        return "a replica set is asked too rarely to decide on: its interval is over 5s";
    }
    for (uint32_t i = 0; i < service->check_count; i++) {
        if (text_equal(service->checks[i].name, MONGO_CHECK_NAME)) {
            return "a check has the name of the replica set's own";
        }
    }
    return NULL;
}

/* One fence for each service and zone: two services would take each other's for a foreign one. */
static bool fences_are_shared(const struct spec_service *a, const struct spec_service *b) {
    for (uint32_t i = 0; i < a->zone_count; i++) {
        for (uint32_t j = 0; j < b->zone_count; j++) {
            if (text_equal(a->zones[i].id, b->zones[j].id) &&
                text_equal(a->zones[i].fence_name, b->zones[j].fence_name)) {
                return true;
            }
        }
    }
    return false;
}

static const char *service_rule(const struct spec *spec, const struct spec_service *service) {
    if (!text_is_name(service->name, NAME_SIZE - 1)) {
        return "a service's name is not a name";
    }
    if ((unsigned)service->mode >= SERVICE_MODE_COUNT) {
        return "a service's mode is unknown";
    }
    if (service->check_count > CHECK_MAX) {
        return "a service has too many checks";
    }
    bool critical = service->mongo.used;
    for (uint32_t i = 0; i < service->check_count; i++) {
        const char *broken = check_rule(&service->checks[i]);
        if (broken != NULL) {
            return broken;
        }
        critical = critical || service->checks[i].critical;
        if (service->mode != MODE_OBSERVE && service->checks[i].critical &&
            service->checks[i].interval_ms > CRITICAL_INTERVAL_MAX_MS) {
            return "a critical check is too slow to decide on: its interval is over 5s";
        }
        for (uint32_t j = 0; j < i; j++) {
            if (text_equal(service->checks[i].name, service->checks[j].name)) {
                return "two checks of a service have one name";
            }
        }
    }
    if (!critical) {
        return "a service has no critical check";
    }
    const char *broken = targets_rule(spec, service);
    broken = broken != NULL ? broken : dns_rule(spec, service);
    broken = broken != NULL ? broken : mongo_rule(service);
    return broken != NULL ? broken : policy_rule(&service->policy);
}

const char *spec_broken_rule(const struct spec *spec) {
    if (spec->region_count == 0 || spec->region_count > REGION_MAX ||
        spec->service_count > SERVICE_MAX) {
        return "there are too few or too many regions or services";
    }
    for (uint32_t i = 0; i < spec->region_count; i++) {
        if (!text_is_name(spec->regions[i].name, NAME_SIZE - 1) ||
            (unsigned)spec->regions[i].role >= REGION_ROLE_COUNT) {
            return "a region's name or role is wrong";
        }
        for (uint32_t j = 0; j < i; j++) {
            if (text_equal(spec->regions[i].name, spec->regions[j].name)) {
                return "two regions have one name";
            }
        }
    }
    for (uint32_t i = 0; i < spec->service_count; i++) {
        const char *broken = service_rule(spec, &spec->services[i]);
        if (broken != NULL) {
            return broken;
        }
        for (uint32_t j = 0; j < i; j++) {
            if (text_equal(spec->services[i].name, spec->services[j].name)) {
                return "two services have one name";
            }
            if (fences_are_shared(&spec->services[i], &spec->services[j])) {
                return "two services share a fence";
            }
        }
    }
    return NULL;
}
