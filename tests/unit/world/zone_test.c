/* Zones: compare-and-swap by DELETE and CREATE, all or none, the messages, PENDING and forgetting.
 */
#include <stdio.h>
#include <string.h>

#include "world_kit.h"

#define WWW "www.nocturnal.com"
#define WWW_SET "[name='www.nocturnal.com.', type='A']"
#define FENCE "_noctua-nocturnal.nocturnal.com"

static int setup(void **state) {
    struct hosted_zones *zones = test_calloc(1, sizeof(*zones));
    (void)kit_zone(zones, 100);
    *state = zones;
    return 0;
}

static int teardown(void **state) {
    hosted_zones_finish(*state);
    test_free(*state);
    return 0;
}

static struct hosted_zone *zone_of(void **state) {
    return hosted_zones_find(*state, KIT_ZONE_ID);
}

/* DELETE(from) + CREATE(to) of the fence and of www. */
static struct change_batch swap(const char *fence_from, const char *fence_to, const char *from,
                                const char *to) {
    struct change_batch batch;
    change_batch_init(&batch);
    change_batch_add(&batch, CHANGE_DELETE, kit_set(FENCE, RECORD_TXT, fence_from));
    change_batch_add(&batch, CHANGE_CREATE, kit_set(FENCE, RECORD_TXT, fence_to));
    change_batch_add(&batch, CHANGE_DELETE, kit_set(WWW, RECORD_A, from));
    change_batch_add(&batch, CHANGE_CREATE, kit_set(WWW, RECORD_A, to));
    return batch;
}

static void begin(struct hosted_zone *zone) {
    kit_change(zone, CHANGE_CREATE, kit_set(FENCE, RECORD_TXT, "\"1\""), NULL);
    kit_change(zone, CHANGE_CREATE, kit_set(WWW, RECORD_A, "192.0.2.1"), NULL);
}

static void test_new_zone_has_soa_and_ns(void **state) {
    struct hosted_zone *zone = zone_of(state);
    assert_int_equal(zone->newest->count, 2);
    assert_non_null(kit_value(zone->newest, KIT_ZONE, RECORD_SOA));
    assert_string_equal(kit_value(zone->newest, KIT_ZONE, RECORD_NS), hosted_zone_name_servers[0]);
}

static void test_create_twice(void **state) {
    struct hosted_zone *zone = zone_of(state);
    kit_change(zone, CHANGE_CREATE, kit_set(WWW, RECORD_A, "192.0.2.1"), NULL);
    kit_change(zone, CHANGE_CREATE, kit_set("WWW.Nocturnal.com.", RECORD_A, "192.0.2.2"),
               "Tried to create resource record set " WWW_SET " but it already exists");
    assert_string_equal(kit_value(zone->newest, WWW, RECORD_A), "192.0.2.1");
}

static void test_delete_must_match(void **state) {
    struct hosted_zone *zone = zone_of(state);
    static const char mismatch[] = "Tried to delete resource record set " WWW_SET
                                   " but the values provided do not match the current values";
    kit_change(zone, CHANGE_DELETE, kit_set(WWW, RECORD_A, "192.0.2.1"),
               "Tried to delete resource record set " WWW_SET " but it was not found");
    kit_change(zone, CHANGE_CREATE, kit_set(WWW, RECORD_A, "192.0.2.1"), NULL);
    kit_change(zone, CHANGE_DELETE, kit_set(WWW, RECORD_A, "192.0.2.2"), mismatch);
    struct record_set *other_ttl = kit_set(WWW, RECORD_A, "192.0.2.1");
    other_ttl->ttl_s = 61;
    kit_change(zone, CHANGE_DELETE, other_ttl, mismatch);
    struct record_set *other_check = kit_set(WWW, RECORD_A, "192.0.2.1");
    other_check->fields |= RECORD_FIELD_HEALTH_CHECK;
    assert_true(TEXT_COPY(other_check->health_check_id, "abc"));
    kit_change(zone, CHANGE_DELETE, other_check, mismatch);
    kit_change(zone, CHANGE_DELETE, kit_alias(WWW, "lb.us-east-1.test"), mismatch);
    kit_change(zone, CHANGE_DELETE, kit_set(WWW, RECORD_A, "192.0.2.1"), NULL);
    assert_null(kit_value(zone->newest, WWW, RECORD_A));
}

static void test_delete_matches_values_as_a_set(void **state) {
    struct hosted_zone *zone = zone_of(state);
    struct record_set *set = kit_set(WWW, RECORD_A, "192.0.2.1");
    record_set_add_value(set, "192.0.2.2");
    kit_change(zone, CHANGE_CREATE, set, NULL);
    kit_change(zone, CHANGE_DELETE, kit_set(WWW, RECORD_A, "192.0.2.1"),
               "Tried to delete resource record set " WWW_SET
               " but the values provided do not match the current values");
    struct record_set *turned = kit_set(WWW, RECORD_A, "192.0.2.2");
    record_set_add_value(turned, "192.0.2.1");
    kit_change(zone, CHANGE_DELETE, turned, NULL);
}

static void test_compare_and_swap(void **state) {
    struct hosted_zone *zone = zone_of(state);
    begin(zone);
    struct change_batch move = swap("\"1\"", "\"2\"", "192.0.2.1", "192.0.2.2");
    kit_apply(zone, &move, 0, NULL);
    assert_string_equal(kit_value(zone->newest, FENCE, RECORD_TXT), "\"2\"");
    assert_string_equal(kit_value(zone->newest, WWW, RECORD_A), "192.0.2.2");

    /* The same request again, arriving late: refused whole. */
    struct change_batch late = swap("\"1\"", "\"2\"", "192.0.2.1", "192.0.2.2");
    kit_apply(zone, &late, 0,
              "Tried to delete resource record set [name='" FENCE ".', type='TXT'] but the values "
              "provided do not match the current values");
    assert_string_equal(kit_value(zone->newest, WWW, RECORD_A), "192.0.2.2");
}

static void test_batch_is_all_or_none(void **state) {
    struct hosted_zone *zone = zone_of(state);
    begin(zone);
    struct zone_state *before = zone_state_ref(zone->newest);
    /* The fence matches, the record doesn't: nothing may change. */
    struct change_batch batch = swap("\"1\"", "\"2\"", "192.0.2.9", "192.0.2.2");
    kit_apply(zone, &batch, 0,
              "Tried to delete resource record set " WWW_SET
              " but the values provided do not match the current values");
    assert_int_equal(zone_state_compare(before, zone->newest, NULL, NULL), 0);
    zone_state_unref(before);
}

static void test_every_failure_has_its_message(void **state) {
    struct hosted_zone *zone = zone_of(state);
    begin(zone);
    struct change_batch batch = swap("\"7\"", "\"2\"", "192.0.2.9", "192.0.2.2");
    struct change_messages messages = {0};
    struct zone_state *after = NULL;
    assert_int_equal(change_batch_apply(&batch, zone->name, zone->newest, &after, &messages),
                     CHANGE_BATCH_INVALID_BATCH);
    assert_int_equal(messages.count, 4);
    assert_string_equal(messages.texts[3],
                        "Tried to create resource record set " WWW_SET " but it already exists");
    change_messages_finish(&messages);
    change_batch_finish(&batch);
}

static void test_order_within_a_batch(void **state) {
    struct hosted_zone *zone = zone_of(state);
    struct change_batch batch;
    begin(zone);
    change_batch_init(&batch);
    change_batch_add(&batch, CHANGE_CREATE, kit_set(WWW, RECORD_A, "192.0.2.2"));
    change_batch_add(&batch, CHANGE_DELETE, kit_set(WWW, RECORD_A, "192.0.2.1"));
    kit_apply(zone, &batch, 0,
              "Tried to create resource record set " WWW_SET " but it already exists");
    /* From simple to weighted in one batch. */
    change_batch_init(&batch);
    change_batch_add(&batch, CHANGE_DELETE, kit_set(WWW, RECORD_A, "192.0.2.1"));
    change_batch_add(&batch, CHANGE_CREATE, kit_weighted(WWW, "a", 1, "192.0.2.1"));
    kit_apply(zone, &batch, 0, NULL);
}

static void test_upsert_takes_anything(void **state) {
    struct hosted_zone *zone = zone_of(state);
    kit_change(zone, CHANGE_UPSERT, kit_set(WWW, RECORD_A, "192.0.2.1"), NULL);
    kit_change(zone, CHANGE_UPSERT, kit_alias(WWW, "lb.us-east-1.test"), NULL);
    assert_int_equal(zone->newest->count, 3);
}

static void test_policies_dont_mix(void **state) {
    struct hosted_zone *zone = zone_of(state);
    kit_change(zone, CHANGE_CREATE, kit_set(WWW, RECORD_A, "192.0.2.1"), NULL);
    kit_change(zone, CHANGE_CREATE, kit_weighted(WWW, "a", 1, "192.0.2.1"),
               "RRSet with DNS name www.nocturnal.com., type A, SetIdentifier a cannot be created "
               "as a non-weighted set exists with the same name and type.");
    kit_change(zone, CHANGE_CREATE, kit_weighted("w." KIT_ZONE, "a", 1, "192.0.2.1"), NULL);
    kit_change(zone, CHANGE_CREATE, kit_weighted("w." KIT_ZONE, "b", 0, "192.0.2.2"), NULL);
    kit_change(zone, CHANGE_CREATE, kit_set("w." KIT_ZONE, RECORD_A, "192.0.2.1"),
               "RRSet with DNS name w.nocturnal.com., type A, SetIdentifier null cannot be created "
               "as a weighted set exists with the same name and type.");
    struct record_set *other_ttl = kit_weighted("w." KIT_ZONE, "c", 1, "192.0.2.3");
    other_ttl->ttl_s = 300;
    kit_change(zone, CHANGE_CREATE, other_ttl,
               "RRSet with DNS name w.nocturnal.com., type A, SetIdentifier c cannot be created "
               "as weighted sets must contain the same TTL.");
}

static void test_cname_stands_alone(void **state) {
    struct hosted_zone *zone = zone_of(state);
    kit_change(zone, CHANGE_CREATE, kit_set(WWW, RECORD_A, "192.0.2.1"), NULL);
    kit_change(zone, CHANGE_CREATE, kit_set(WWW, RECORD_CNAME, "a.test"),
               "RRSet of type CNAME with DNS name www.nocturnal.com. is not permitted as it "
               "conflicts with other records with the same DNS name in zone nocturnal.com.");
    kit_change(zone, CHANGE_CREATE, kit_set(KIT_ZONE, RECORD_CNAME, "a.test"),
               "RRSet of type CNAME with DNS name nocturnal.com. is not permitted at apex in zone "
               "nocturnal.com.");
}

static void test_zone_keeps_soa_and_ns(void **state) {
    struct hosted_zone *zone = zone_of(state);
    struct record_set *key = kit_set(KIT_ZONE, RECORD_SOA, "1");
    kit_change(zone, CHANGE_DELETE, record_set_ref(zone_state_find(zone->newest, key)),
               "A HostedZone must contain exactly one SOA record.");
    record_set_unref(key);
    kit_change(zone, CHANGE_CREATE, kit_set("www.other.com", RECORD_A, "192.0.2.1"),
               "RRSet with DNS name www.other.com. is not permitted in zone nocturnal.com.");
}

static void test_values_are_checked(void **state) {
    struct hosted_zone *zone = zone_of(state);
    kit_change(zone, CHANGE_CREATE, kit_set(WWW, RECORD_A, "192.0.2"),
               "Invalid Resource Record: 'FATAL problem: ARRDATAIllegalIPv4Address (Value is not a "
               "valid IPv4 address) encountered with '192.0.2''");
    kit_change(zone, CHANGE_CREATE, kit_set(WWW, RECORD_TXT, "bare"),
               "Invalid Resource Record: 'FATAL problem: InvalidCharacterString (Value should be "
               "enclosed in quotation marks) encountered with 'bare''");
    kit_change(zone, CHANGE_CREATE, kit_set(WWW, RECORD_TXT, "\"a\" \"b\\\"c\""), NULL);
}

static void test_shape_is_checked(void **state) {
    struct hosted_zone *zone = zone_of(state);
    struct record_set *both = kit_alias(WWW, "lb.test");
    both->fields |= RECORD_FIELD_TTL;
    kit_change(zone, CHANGE_CREATE, both,
               "Invalid request: Expected exactly one of [AliasTarget, all of [TTL, and "
               "ResourceRecords], or TrafficPolicyInstanceId], but found more than one in Change "
               "with [Action=CREATE, Name=www.nocturnal.com., Type=A, SetIdentifier=null]");
    struct record_set *nameless = kit_weighted(WWW, "", 1, "192.0.2.1");
    nameless->fields &= ~(unsigned)RECORD_FIELD_SET_IDENTIFIER;
    kit_change(zone, CHANGE_CREATE, nameless,
               "Invalid request: Missing field 'SetIdentifier' in Change with [Action=CREATE, "
               "Name=www.nocturnal.com., Type=A, SetIdentifier=null]");
}

/* `sets` sets of `values` values each, by CREATE or UPSERT. */
static void check_records(struct hosted_zone *zone, enum change_action action, unsigned values,
                          const char *expected) {
    struct change_batch batch;
    change_batch_init(&batch);
    for (unsigned i = 0; i < values; i++) {
        char name[64];
        (void)snprintf(name, sizeof(name), "r%u.%s", i, KIT_ZONE);
        change_batch_add(&batch, action, kit_set(name, RECORD_A, "192.0.2.1"));
    }
    kit_apply(zone, &batch, 0, expected);
}

static void test_limits_of_a_batch(void **state) {
    struct hosted_zone *zone = zone_of(state);
    check_records(zone, CHANGE_CREATE, CHANGE_BATCH_RECORDS_MAX + 1,
                  "Number of records limit of 1000 exceeded.");
    check_records(zone, CHANGE_CREATE, CHANGE_BATCH_RECORDS_MAX, NULL);
    check_records(zone, CHANGE_UPSERT, CHANGE_BATCH_RECORDS_MAX / 2 + 1,
                  "Number of records limit of 1000 exceeded.");
    check_records(zone, CHANGE_UPSERT, CHANGE_BATCH_RECORDS_MAX / 2, NULL);
}

static void check_characters(struct hosted_zone *zone, unsigned last_length, const char *expected) {
    struct change_batch batch;
    char value[RECORD_VALUE_CHARACTERS_MAX + 1];
    memset(value, 'x', sizeof(value));
    change_batch_init(&batch);
    for (unsigned i = 0; i < CHANGE_BATCH_CHARACTERS_MAX / RECORD_VALUE_CHARACTERS_MAX; i++) {
        char name[64];
        (void)snprintf(name, sizeof(name), "c%u.%s", i, KIT_ZONE);
        value[RECORD_VALUE_CHARACTERS_MAX] = '\0';
        change_batch_add(&batch, CHANGE_CREATE, kit_set(name, RECORD_CAA, value));
    }
    if (last_length > 0) {
        value[last_length] = '\0';
        change_batch_add(&batch, CHANGE_CREATE, kit_set("d." KIT_ZONE, RECORD_CAA, value));
    }
    kit_apply(zone, &batch, 0, expected);
}

static void test_characters_of_a_batch(void **state) {
    check_characters(zone_of(state), 1, "Number of characters limit of 32000 exceeded.");
    check_characters(zone_of(state), 0, NULL);
}

static void test_pending_then_insync(void **state) {
    struct hosted_zone *zone = zone_of(state);
    struct hosted_change *change =
        kit_change(zone, CHANGE_CREATE, kit_set(WWW, RECORD_A, "192.0.2.1"), NULL);
    hosted_zone_settle(zone, 99);
    assert_int_equal(change->status, HOSTED_PENDING);
    assert_non_null(kit_value(zone->newest, WWW, RECORD_A));
    assert_null(kit_value(zone->insync, WWW, RECORD_A));
    hosted_zone_settle(zone, 100);
    assert_int_equal(change->status, HOSTED_INSYNC);
    assert_non_null(kit_value(zone->insync, WWW, RECORD_A));
    assert_ptr_equal(hosted_zones_find_change(*state, change->id, NULL), change);
    assert_null(hosted_zones_find_change(*state, "C0", NULL));
}

static void test_forget_takes_later_changes_along(void **state) {
    struct hosted_zone *zone = zone_of(state);
    begin(zone);
    hosted_zone_settle(zone, 1000);
    struct change_batch first = swap("\"1\"", "\"2\"", "192.0.2.1", "192.0.2.2");
    struct hosted_change *forgotten = kit_apply(zone, &first, 1000, NULL);
    forgotten->stuck = true;
    struct change_batch second = swap("\"2\"", "\"3\"", "192.0.2.2", "192.0.2.3");
    struct hosted_change *later = kit_apply(zone, &second, 1000, NULL);
    hosted_zone_settle(zone, 5000);
    assert_int_equal(forgotten->status, HOSTED_PENDING);
    assert_int_equal(later->status, HOSTED_INSYNC);

    assert_int_equal(hosted_zone_forget(zone, forgotten, true), 2);
    assert_string_equal(kit_value(zone->newest, FENCE, RECORD_TXT), "\"1\"");
    assert_string_equal(kit_value(zone->insync, WWW, RECORD_A), "192.0.2.1");
    assert_null(hosted_zones_find_change(*state, forgotten->id, NULL));
    hosted_zone_settle(zone, 9000);
    assert_int_equal(forgotten->status, HOSTED_FORGOTTEN);
    assert_int_equal(zone->first_open, zone->change_count);
}

static void test_forgotten_change_may_stay_pending(void **state) {
    struct hosted_zone *zone = zone_of(state);
    struct hosted_change *change =
        kit_change(zone, CHANGE_CREATE, kit_set(WWW, RECORD_A, "192.0.2.1"), NULL);
    assert_int_equal(hosted_zone_forget(zone, change, false), 1);
    assert_ptr_equal(hosted_zones_find_change(*state, change->id, NULL), change);
    assert_null(kit_value(zone->newest, WWW, RECORD_A));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_new_zone_has_soa_and_ns),
        TEST(test_create_twice),
        TEST(test_delete_must_match),
        TEST(test_delete_matches_values_as_a_set),
        TEST(test_compare_and_swap),
        TEST(test_batch_is_all_or_none),
        TEST(test_every_failure_has_its_message),
        TEST(test_order_within_a_batch),
        TEST(test_upsert_takes_anything),
        TEST(test_policies_dont_mix),
        TEST(test_cname_stands_alone),
        TEST(test_zone_keeps_soa_and_ns),
        TEST(test_values_are_checked),
        TEST(test_shape_is_checked),
        TEST(test_limits_of_a_batch),
        TEST(test_characters_of_a_batch),
        TEST(test_pending_then_insync),
        TEST(test_forget_takes_later_changes_along),
        TEST(test_forgotten_change_may_stay_pending),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
