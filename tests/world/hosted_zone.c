#include "hosted_zone.h"

#include <assert.h>
#include <ctype.h>

#include "alloc.h"
#include "base/text.h"

#define HOSTED_ZONE_NS_TTL_S 172800
#define HOSTED_ZONE_SOA_TTL_S 900

const char *const hosted_zone_name_servers[4] = {
    "ns-1.awsdns-world.test.",
    "ns-2.awsdns-world.test.",
    "ns-3.awsdns-world.test.",
    "ns-4.awsdns-world.test.",
};

static bool hosted_zone_is_id(const char *id) {
    size_t length = strlen(id);
    if (length == 0 || length > RECORD_ZONE_ID_MAX) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        if (!isalnum((unsigned char)id[i])) {
            return false;
        }
    }
    return true;
}

static struct zone_state *hosted_zone_first_state(const char *name) {
    struct zone_state *state = zone_state_create();
    struct record_set *soa = record_set_create();
    TEXT_COPY(soa->name, name);
    soa->type = RECORD_SOA;
    soa->ttl_s = HOSTED_ZONE_SOA_TTL_S;
    soa->fields = RECORD_FIELD_TTL;
    record_set_add_value(soa, "ns-1.awsdns-world.test. awsdns-hostmaster.amazon.com. 1 7200 900 "
                              "1209600 86400");
    zone_state_put(state, soa);
    record_set_unref(soa);

    struct record_set *ns = record_set_create();
    TEXT_COPY(ns->name, name);
    ns->type = RECORD_NS;
    ns->ttl_s = HOSTED_ZONE_NS_TTL_S;
    ns->fields = RECORD_FIELD_TTL;
    for (size_t i = 0; i < ARRAY_LENGTH(hosted_zone_name_servers); i++) {
        record_set_add_value(ns, hosted_zone_name_servers[i]);
    }
    zone_state_put(state, ns);
    record_set_unref(ns);
    return state;
}

enum error_code hosted_zones_add(struct hosted_zones *zones, const char *id, const char *name,
                                 uint64_t insync_delay_ms, struct error *error) {
    char canonical[DNS_NAME_SIZE];
    if (!hosted_zone_is_id(id)) {
        return error_set(error, ERROR_INVALID, "zone id '%s' is not 1 to %d letters and digits", id,
                         RECORD_ZONE_ID_MAX);
    }
    if (dns_name_canonicalize(name, canonical, error) != ERROR_OK) {
        return error->code;
    }
    if (zones->count == HOSTED_ZONES_MAX) {
        return error_set(error, ERROR_LIMIT, "more than %d zones", HOSTED_ZONES_MAX);
    }
    if (hosted_zones_find(zones, id) != NULL) {
        return error_set(error, ERROR_EXISTS, "zone id '%s' twice", id);
    }
    struct hosted_zone *zone = alloc_zeroed(1, sizeof(*zone));
    TEXT_COPY(zone->id, id);
    TEXT_COPY(zone->name, canonical);
    zone->insync_delay_ms = insync_delay_ms;
    zone->newest = hosted_zone_first_state(canonical);
    zone->insync = zone_state_ref(zone->newest);
    zones->zones[zones->count++] = zone;
    return ERROR_OK;
}

static void hosted_change_drop_states(struct hosted_change *change) {
    zone_state_unref(change->before);
    zone_state_unref(change->after);
    change->before = NULL;
    change->after = NULL;
}

static void hosted_change_destroy(struct hosted_change *change) {
    hosted_change_drop_states(change);
    free(change->comment);
    free(change);
}

void hosted_zones_finish(struct hosted_zones *zones) {
    for (size_t i = 0; i < zones->count; i++) {
        struct hosted_zone *zone = zones->zones[i];
        for (size_t j = 0; j < zone->change_count; j++) {
            hosted_change_destroy(zone->changes[j]);
        }
        free(zone->changes);
        zone_state_unref(zone->newest);
        zone_state_unref(zone->insync);
        free(zone);
    }
    zones->count = 0;
}

struct hosted_zone *hosted_zones_find(const struct hosted_zones *zones, const char *id) {
    for (size_t i = 0; i < zones->count; i++) {
        if (text_equal(zones->zones[i]->id, id)) {
            return zones->zones[i];
        }
    }
    return NULL;
}

struct hosted_change *hosted_zones_find_change(const struct hosted_zones *zones, const char *id,
                                               struct hosted_zone **ret_zone) {
    for (size_t i = 0; i < zones->count; i++) {
        struct hosted_zone *zone = zones->zones[i];
        /* The newest first: that is what is asked for. */
        for (size_t j = zone->change_count; j-- > 0;) {
            if (text_equal(zone->changes[j]->id, id)) {
                if (zone->changes[j]->missing) {
                    return NULL;
                }
                if (ret_zone != NULL) {
                    *ret_zone = zone;
                }
                return zone->changes[j];
            }
        }
    }
    return NULL;
}

/* Old settled changes make room, so that a world that runs for days stays bounded. */
static void hosted_zone_trim(struct hosted_zone *zone) {
    const size_t drop = HOSTED_ZONE_CHANGES_MAX / 2;
    if (zone->change_count < HOSTED_ZONE_CHANGES_MAX || zone->first_open < drop) {
        return;
    }
    for (size_t i = 0; i < drop; i++) {
        hosted_change_destroy(zone->changes[i]);
    }
    zone->change_count -= drop;
    zone->first_open -= drop;
    memmove(zone->changes, zone->changes + drop,
            zone->change_count * sizeof(struct hosted_change *));
}

struct hosted_change *hosted_zone_accept(struct hosted_zone *zone, const char *change_id,
                                         const char *comment, struct zone_state *after,
                                         uint64_t now_ms, uint64_t wall_ms) {
    hosted_zone_settle(zone, now_ms);
    hosted_zone_trim(zone);
    struct hosted_change *change = alloc_zeroed(1, sizeof(*change));
    bool fits = TEXT_COPY(change->id, change_id);
    assert(fits);
    change->comment = comment != NULL ? alloc_text(comment) : NULL;
    change->submitted_wall_ms = wall_ms;
    change->insync_at_ms = now_ms + zone->insync_delay_ms;
    change->status = HOSTED_PENDING;
    change->before = zone->newest; /* its reference moves here */
    change->after = after;
    zone->newest = zone_state_ref(after);
    zone->changes =
        alloc_grown(zone->changes, zone->change_count + 1, sizeof(struct hosted_change *));
    zone->changes[zone->change_count++] = change;
    return change;
}

void hosted_zone_settle(struct hosted_zone *zone, uint64_t now_ms) {
    for (size_t i = zone->first_open; i < zone->change_count; i++) {
        struct hosted_change *change = zone->changes[i];
        if (change->status == HOSTED_PENDING && !change->stuck && change->insync_at_ms <= now_ms) {
            change->status = HOSTED_INSYNC;
            zone_state_unref(zone->insync);
            zone->insync = zone_state_ref(change->after);
        }
        /* States are kept behind an open change, which may take the zone back. */
        if (change->status != HOSTED_PENDING && i == zone->first_open) {
            hosted_change_drop_states(change);
            zone->first_open++;
        }
    }
}

size_t hosted_zone_forget(struct hosted_zone *zone, struct hosted_change *change, bool missing) {
    assert(change->status == HOSTED_PENDING);
    size_t forgotten = 0;
    bool in_sync = false;
    bool found = false;
    struct zone_state *before = zone_state_ref(change->before);
    for (size_t i = zone->first_open; i < zone->change_count; i++) {
        struct hosted_change *later = zone->changes[i];
        found = found || later == change;
        if (!found || later->status == HOSTED_FORGOTTEN) {
            continue;
        }
        in_sync = in_sync || later->status == HOSTED_INSYNC;
        later->status = HOSTED_FORGOTTEN;
        later->missing = missing;
        forgotten++;
    }
    assert(found);
    zone_state_unref(zone->newest);
    zone->newest = zone_state_ref(before);
    if (in_sync) {
        zone_state_unref(zone->insync);
        zone->insync = zone_state_ref(before);
    }
    zone_state_unref(before);
    return forgotten;
}
