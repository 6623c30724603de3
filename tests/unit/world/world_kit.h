/* Short ways to build records and batches in tests of the world. */
#ifndef WORLD_KIT_H
#define WORLD_KIT_H

/* cmocka.h wants these first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/text.h"
#include "change_batch.h"
#include "hosted_zone.h"

#define KIT_ZONE_ID "Z1234567890ABC"
#define KIT_ZONE "nocturnal.com."

/* A set with TTL 60 and one value. */
static inline struct record_set *kit_set(const char *name, enum record_type type,
                                         const char *value) {
    struct record_set *set = record_set_create();
    assert_int_equal(dns_name_canonicalize(name, set->name, NULL), ERROR_OK);
    set->type = type;
    set->ttl_s = 60;
    set->fields |= RECORD_FIELD_TTL;
    assert_true(record_set_add_value(set, value));
    return set;
}

static inline struct record_set *kit_weighted(const char *name, const char *identifier,
                                              uint32_t weight, const char *value) {
    struct record_set *set = kit_set(name, RECORD_A, value);
    set->fields |= RECORD_FIELD_WEIGHT | RECORD_FIELD_SET_IDENTIFIER;
    set->weight = weight;
    assert_true(TEXT_COPY(set->set_identifier, identifier));
    return set;
}

static inline struct record_set *kit_alias(const char *name, const char *target) {
    struct record_set *set = record_set_create();
    assert_int_equal(dns_name_canonicalize(name, set->name, NULL), ERROR_OK);
    assert_int_equal(dns_name_canonicalize(target, set->alias.dns_name, NULL), ERROR_OK);
    assert_true(TEXT_COPY(set->alias.zone_id, "Z35SXDOTRQ7X7K"));
    set->type = RECORD_A;
    set->fields = RECORD_FIELD_ALIAS;
    return set;
}

/* Applies the batch (which is finished) to the zone. `expected`: the first message, NULL when it
 * must be accepted. */
static inline struct hosted_change *kit_apply(struct hosted_zone *zone, struct change_batch *batch,
                                              uint64_t now_ms, const char *expected) {
    static unsigned changes;
    struct change_messages messages = {0};
    struct zone_state *after = NULL;
    struct hosted_change *change = NULL;
    char id[HOSTED_CHANGE_ID_SIZE];
    enum change_batch_verdict verdict =
        change_batch_apply(batch, zone->name, zone->newest, &after, &messages);
    if (expected != NULL) {
        assert_int_not_equal(verdict, CHANGE_BATCH_ACCEPTED);
        assert_string_equal(messages.texts[0], expected);
        assert_null(after);
    } else {
        if (messages.count > 0) {
            print_error("%s\n", messages.texts[0]);
        }
        assert_int_equal(verdict, CHANGE_BATCH_ACCEPTED);
        (void)snprintf(id, sizeof(id), "C%u", ++changes);
        change = hosted_zone_accept(zone, id, batch->comment, after, now_ms, 0);
    }
    change_messages_finish(&messages);
    change_batch_finish(batch);
    return change;
}

/* One change of one set (whose reference it takes). */
static inline struct hosted_change *kit_change(struct hosted_zone *zone, enum change_action action,
                                               struct record_set *set, const char *expected) {
    struct change_batch batch;
    change_batch_init(&batch);
    change_batch_add(&batch, action, set);
    return kit_apply(zone, &batch, 0, expected);
}

/* The first value of that name and type, or NULL. */
static inline const char *kit_value(const struct zone_state *state, const char *name,
                                    enum record_type type) {
    struct record_set *key = kit_set(name, type, "1");
    const struct record_set *set = zone_state_find(state, key);
    record_set_unref(key);
    return set != NULL && set->value_count > 0 ? set->values[0] : NULL;
}

static inline struct hosted_zone *kit_zone(struct hosted_zones *zones, uint64_t insync_delay_ms) {
    assert_int_equal(hosted_zones_add(zones, KIT_ZONE_ID, KIT_ZONE, insync_delay_ms, NULL),
                     ERROR_OK);
    return hosted_zones_find(zones, KIT_ZONE_ID);
}

#endif
