#include "target.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "core/pending.h"
#include "core/policy.h"
#include "driver/mongo.h"
#include "driver/route53.h"

/* The record sets of one spec record: a simple one has one, a weighted or failover one has a set
 * for each region. Calls back for each; stops at false. */
struct record_set {
    const struct spec_record *record;
    uint32_t region; /* NONE_INDEX: simple */
};

_Static_assert(ZONE_SET_MAX <= DRIVER_RECORD_MAX, "one batch holds a zone of a service");

static uint32_t sets_of_zone(const struct state *state, uint32_t service, uint32_t zone,
                             struct record_set sets[DRIVER_RECORD_MAX]) {
    const struct spec_service *spec = &state->spec.services[service];
    uint32_t count = 0;
    /* A committed spec holds no more. */
    assert(spec_record_set_count(&state->spec, service, zone) <= DRIVER_RECORD_MAX);
    for (uint32_t i = 0; i < spec->record_count; i++) {
        const struct spec_record *record = &spec->records[i];
        if (record->zone != zone) {
            continue;
        }
        if (record->routing == ROUTING_SIMPLE) {
            sets[count++] = (struct record_set){record, NONE_INDEX};
            continue;
        }
        for (uint32_t r = 0; r < state->spec.region_count; r++) {
            if (record->value[r].set_identifier[0] != '\0') {
                sets[count++] = (struct record_set){record, r};
            }
        }
    }
    return count;
}

static void fill_zone(const struct spec_zone *zone, struct driver_target *ret) {
    (void)TEXT_COPY(ret->zone, zone->id);
    (void)TEXT_COPY(ret->role_arn, zone->role);
    (void)TEXT_COPY(ret->external_id, zone->external_id);
    (void)TEXT_COPY(ret->fence_name, zone->fence_name);
}

static void fill_records(const struct state *state, uint32_t service, uint32_t zone,
                         struct driver_target *ret) {
    struct record_set sets[DRIVER_RECORD_MAX];
    ret->record_count = sets_of_zone(state, service, zone, sets);
    for (uint32_t i = 0; i < ret->record_count; i++) {
        struct driver_record_key *key = &ret->records[i];
        (void)TEXT_COPY(key->name, sets[i].record->name);
        (void)TEXT_COPY(key->type, sets[i].record->type);
        if (sets[i].region != NONE_INDEX) {
            (void)TEXT_COPY(key->set_identifier,
                            sets[i].record->value[sets[i].region].set_identifier);
        }
    }
}

void target_of_zone(const struct state *state, uint32_t service, uint32_t zone,
                    struct driver_target *ret) {
    memset(ret, 0, sizeof *ret);
    (void)TEXT_COPY(ret->service, state->services[service].name);
    fill_zone(&state->spec.services[service].zones[zone], ret);
    fill_records(state, service, zone, ret);
}

void target_of_set(const struct state *state, uint32_t service, uint32_t to,
                   struct driver_target *ret) {
    memset(ret, 0, sizeof *ret);
    (void)TEXT_COPY(ret->service, state->services[service].name);
    (void)TEXT_COPY(ret->fence_name, "in the replica set's tags");
    ret->set = state->spec.services[service].mongo;
    ret->region_count = state->spec.region_count;
    ret->to = to;
    ret->forced_version = state->services[service].forced_version;
    for (uint32_t r = 0; r < ret->region_count; r++) {
        (void)TEXT_COPY(ret->regions[r], state->spec.regions[r].name);
    }
}

/* Members by bits of their places in what the decision rests on. */
static void fill_hosts(const struct mongo_view *view, uint32_t bits, struct driver_target *ret) {
    for (uint32_t i = 0; i < view->facts.member_count; i++) {
        if ((bits >> i & 1) != 0) {
            (void)TEXT_COPY(ret->hosts[ret->host_count], view->facts.members[i].host);
            ret->host_count++;
        }
    }
}

/* Of one that the set's config doesn't name, as far as the decision knew. */
static void fill_left_out(const struct service *service, struct driver_target *ret) {
    const struct mongo_facts *facts = &service->execution.mongo.facts;
    for (uint32_t i = 0; i < facts->member_count; i++) {
        if (text_equal(facts->members[i].host, ret->hosts[0])) {
            return;
        }
    }
    for (uint32_t i = 0; i < service->left_out_count; i++) {
        if (text_equal(service->left_out[i].host, ret->hosts[0])) {
            ret->left_out = service->left_out[i];
        }
    }
}

static void fill_change(const struct state *state, uint32_t service, const struct step *step,
                        struct driver_target *ret) {
    const struct execution *execution = &state->services[service].execution;
    const struct mongo_view *view = &execution->mongo;
    struct mongo_verdict verdict;
    switch (step->kind) {
    case STEP_FORCE:
        ret->change = DRIVER_SET_FORCE;
        fill_hosts(view, view->dead, ret);
        mongo_judge(&state->spec.services[service].mongo, view, execution->to, &verdict);
        if (verdict.member != NONE_INDEX) {
            (void)TEXT_COPY(ret->pinned, view->facts.members[verdict.member].host);
        }
        break;
    case STEP_READMIT:
        ret->change = DRIVER_SET_READMIT;
        ret->host_count = 1;
        (void)TEXT_COPY(ret->hosts[0], view->readmit);
        fill_left_out(&state->services[service], ret);
        break;
    default:
        break;
    }
}

bool target_of_step(const struct state *state, uint32_t service, uint32_t step,
                    struct driver_target *ret) {
    const struct execution *execution = &state->services[service].execution;
    if (step_is_of_set(state, service, step)) {
        target_of_set(state, service, execution->to, ret);
        fill_change(state, service, &execution->steps[step], ret);
        return state->spec.services[service].mongo.used;
    }
    const struct spec_zone *zone = step_zone(state, service, step);
    if (zone == NULL) {
        return false;
    }
    const struct step *at = &execution->steps[step];
    if (at->kind != STEP_SETTLE && at->kind != STEP_UNMARK) {
        target_of_zone(state, service, at->zone, ret);
        return true;
    }
    memset(ret, 0, sizeof *ret); /* the fence alone; of a debt, as it was named then */
    (void)TEXT_COPY(ret->service, state->services[service].name);
    fill_zone(zone, ret);
    return true;
}

static enum route53_action action_of(const struct spec_record *record) {
    switch (record->routing) {
    case ROUTING_WEIGHTED:
        return ROUTE53_WEIGHTED;
    case ROUTING_FAILOVER:
        return ROUTE53_FAILOVER;
    default:
        break;
    }
    switch (record->kind) {
    case RECORD_ALIAS:
        return ROUTE53_ALIAS;
    case RECORD_CNAME:
        return ROUTE53_CNAME;
    default:
        return ROUTE53_VALUES;
    }
}

enum error_code target_desired(const struct state *state, uint32_t service, uint32_t zone,
                               uint32_t region, const struct driver_target *target,
                               const struct driver_blob *as_read, struct driver_blob *ret,
                               char *diff, size_t diff_size, struct error *error) {
    struct record_set sets[DRIVER_RECORD_MAX];
    struct route53_value values[DRIVER_RECORD_MAX];
    if (zone == PLACE_OF_SET) {
        return mongo_driver_desired(target, as_read, ret, diff, diff_size, error);
    }
    uint32_t count = sets_of_zone(state, service, zone, sets);
    assert(count == target->record_count);
    memset(values, 0, sizeof values);
    for (uint32_t i = 0; i < count; i++) {
        const struct spec_record_value *wanted = &sets[i].record->value[region];
        values[i].action = action_of(sets[i].record);
        (void)TEXT_COPY(values[i].text, wanted->text);
        (void)TEXT_COPY(values[i].zone_id, wanted->zone_id);
        values[i].ttl_s = 0; /* as read: a move changes where users go, nothing else */
        values[i].chosen = sets[i].region == region;
    }
    char whole_diff[ROUTE53_DIFF_MAX];
    enum error_code code = route53_desired(target, as_read, values, count, ret, whole_diff, error);
    if (code == ERROR_OK && diff_size > 0) {
        (void)snprintf(diff, diff_size, "%s", whole_diff);
        for (char *at = diff; *at != '\0'; at++) {
            if (*at == '\n') {
                *at = at[1] == '\0' ? (char)'\0' : (char)';'; /* one line, for history */
            }
            if (*at == '\0') {
                break;
            }
        }
    }
    return code;
}
