/* Record sets: names, canonical bytes, the fence. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "records.h"
#include "route53_record.h"

static void test_names(void **state) {
    (void)state;
    static const struct {
        const char *text, *canonical; /* NULL: refused */
    } table[] = {
        {"nocturnal.com", "nocturnal.com."},
        {"Nocturnal.COM.", "nocturnal.com."},
        {"*.nocturnal.com", "\\052.nocturnal.com."},
        {"\\052.nocturnal.com.", "\\052.nocturnal.com."},
        {"_x.a-b.com", "_x.a-b.com."},
        {"a\\b.com", "a\\134b.com."},
        {"a\\400.com", "a\\134400.com."},
        {"a b.com", "a\\040b.com."},
        {"\xc3\xbc.com", "\\303\\274.com."},
        {"", NULL},
        {".", NULL},
        {".com", NULL},
        {"a..com", NULL},
        {"a.com..", NULL},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(table); i++) {
        char name[ROUTE53_NAME_SIZE] = "untouched";
        struct error error;
        enum error_code code = route53_name_canonicalize(table[i].text, name, &error);
        assert_int_equal(code, table[i].canonical == NULL ? ERROR_INVALID : ERROR_OK);
        assert_string_equal(name, table[i].canonical == NULL ? "untouched" : table[i].canonical);
    }
    char longest[ROUTE53_NAME_SIZE + 1], name[ROUTE53_NAME_SIZE];
    memset(longest, 'a', sizeof longest);
    longest[ROUTE53_NAME_SIZE - 2] = '\0';
    assert_int_equal(route53_name_canonicalize(longest, name, NULL), ERROR_OK);
    longest[ROUTE53_NAME_SIZE - 2] = 'a';
    longest[ROUTE53_NAME_SIZE - 1] = '\0';
    assert_int_equal(route53_name_canonicalize(longest, name, NULL), ERROR_INVALID);
}

static void test_same_records_same_bytes(void **state) {
    (void)state;
    static struct driver_blob a, b;
    records_make_state(SET_A SET_TXT SET_WEIGHTED("us-east-1", "10", "192.0.2.1"), &a);
    records_make_state(
        SET_WEIGHTED("us-east-1", "10", "192.0.2.1")
            SET(VALUES(VALUE("&quot;b &amp; c&quot;") VALUE(
                "&quot;a&quot;")) "<TTL>60</TTL>" NAME_TYPE("txt.nocturnal.com.", "TXT")) SET_A,
        &b);
    assert_int_equal(a.size_bytes, b.size_bytes);
    assert_memory_equal(a.bytes, b.bytes, sizeof a.bytes);
    records_make_state(SET_A SET_TXT SET_WEIGHTED("us-east-1", "11", "192.0.2.1"), &b);
    assert_true(a.size_bytes != b.size_bytes || memcmp(a.bytes, b.bytes, a.size_bytes) != 0);
}

static void test_golden_bytes(void **state) {
    (void)state;
    static struct driver_blob blob;
    static const char all[] = SET(NAME_TYPE(
        "g.nocturnal.com.",
        "A") "<SetIdentifier>x</SetIdentifier><Weight>1</Weight>"
             "<Region>us-east-1</Region><GeoLocation><ContinentCode>EU</"
             "ContinentCode><CountryCode>DE"
             "</CountryCode><SubdivisionCode>BY</SubdivisionCode></GeoLocation><Failover>PRIMARY"
             "</Failover><MultiValueAnswer>true</MultiValueAnswer><TTL>60</TTL>" VALUES(
                 VALUE("1") VALUE("2")) "<HealthCheckId>11111111-2222-3333-4444-555555555555"
                                        "</HealthCheckId>");
    static const char expected[] = "<ResourceRecordSets>";
    records_make_state(all, &blob);
    char text[sizeof all + 64];
    (void)snprintf(text, sizeof text, "%s%s</ResourceRecordSets>", expected, all);
    assert_int_equal(blob.size_bytes, strlen(text));
    assert_memory_equal(blob.bytes, text, blob.size_bytes);
    records_make_state(SET_ALIAS, &blob);
    (void)snprintf(text, sizeof text, "<ResourceRecordSets>%s</ResourceRecordSets>", SET_ALIAS);
    assert_memory_equal(blob.bytes, text, blob.size_bytes);
}

static void test_round_trip(void **state) {
    (void)state;
    static struct driver_blob before, after;
    records_make_state(SET_A SET_ALIAS SET_CNAME SET_TXT SET_FAILOVER("a", "PRIMARY", ""), &before);
    struct route53_records *records;
    struct error error;
    assert_int_equal(route53_records_from_blob(&before, &records, &error), ERROR_OK);
    assert_int_equal(records->count, 5);
    assert_int_equal(route53_records_to_blob(records, &after, &error), ERROR_OK);
    assert_int_equal(before.size_bytes, after.size_bytes);
    assert_memory_equal(before.bytes, after.bytes, sizeof before.bytes);
    route53_records_destroy(records);
}

static void expect_set_refused(const char *set, enum error_code expected) {
    struct xml_document document;
    struct route53_record record;
    struct error error;
    assert_int_equal(xml_parse(set, strlen(set), &document, &error), ERROR_OK);
    assert_int_equal(route53_record_read(&document, xml_root(&document), &record, &error),
                     expected);
    xml_finish(&document);
}

static void test_sets_that_cant_be_kept(void **state) {
    (void)state;
    expect_set_refused(SET(NAME_TYPE("a.", "A") "<TTL>1</TTL>" VALUES(VALUE("1")) "<New>x</New>"),
                       ERROR_UNSUPPORTED);
    expect_set_refused(SET(NAME_TYPE("a.", "A") "<TTL>1</TTL>" VALUES(
                           VALUE("1")) "<TrafficPolicyInstanceId>x</TrafficPolicyInstanceId>"),
                       ERROR_UNSUPPORTED);
    expect_set_refused(
        SET(NAME_TYPE("a.", "A") "<CidrRoutingConfig><CollectionId>x</CollectionId>"
                                 "</CidrRoutingConfig><TTL>1</TTL>" VALUES(VALUE("1"))),
        ERROR_UNSUPPORTED);
    expect_set_refused(SET(NAME_TYPE("a.", "A")), ERROR_UNSUPPORTED);
    expect_set_refused(SET(NAME_TYPE("a.", "A") VALUES("")), ERROR_UNSUPPORTED);
    expect_set_refused(SET(NAME_TYPE("a.", "A") VALUES(VALUE(""))), ERROR_PROTOCOL);
    expect_set_refused(SET(NAME_TYPE("a.", "A") VALUES("<Value>1</Value>")), ERROR_PROTOCOL);
    expect_set_refused(SET("<Type>A</Type>" VALUES(VALUE("1"))), ERROR_PROTOCOL);
    expect_set_refused(SET("<Name>a.</Name>" VALUES(VALUE("1"))), ERROR_PROTOCOL);
    expect_set_refused(SET(NAME_TYPE("a.", "TOOLONGATYPE") VALUES(VALUE("1"))), ERROR_LIMIT);
    expect_set_refused("<Other/>", ERROR_PROTOCOL);
}

static void test_value_count_at_limit_and_beyond(void **state) {
    (void)state;
    for (unsigned extra = 0; extra <= 1; extra++) {
        struct buffer text;
        struct xml_document document;
        struct route53_record record;
        buffer_init(&text, 0);
        buffer_append_text(&text, "<ResourceRecordSet>" NAME_TYPE("a.", "A") "<ResourceRecords>");
        for (unsigned i = 0; i < ROUTE53_VALUE_COUNT_MAX + extra; i++) {
            buffer_append_format(&text, VALUE("%u"), i);
        }
        buffer_append_text(&text, "</ResourceRecords></ResourceRecordSet>");
        assert_int_equal(xml_parse(text.data, text.size_bytes, &document, NULL), ERROR_OK);
        enum error_code code = route53_record_read(&document, xml_root(&document), &record, NULL);
        assert_int_equal(code, extra == 0 ? ERROR_OK : ERROR_LIMIT);
        if (code == ERROR_OK) {
            route53_record_finish(&record);
        }
        xml_finish(&document);
        buffer_finish(&text);
    }
}

static void test_state_that_is_too_large(void **state) {
    (void)state;
    static struct driver_blob blob = {.size_bytes = 7};
    struct route53_records *records = route53_records_create();
    char value[4001];
    memset(value, 'x', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    struct error error;
    for (uint32_t i = 0; i < 5; i++) {
        struct route53_record *record = &records->items[i];
        (void)snprintf(record->name, sizeof record->name, "r%u.", i);
        (void)TEXT_COPY(record->type, "TXT");
        assert_int_equal(route53_record_set_values(record, value, &error), ERROR_OK);
        records->count++;
    }
    assert_int_equal(route53_records_to_blob(records, &blob, &error), ERROR_LIMIT);
    assert_int_equal(blob.size_bytes, 7);
    route53_records_destroy(records);
}

static void test_corrupt_states(void **state) {
    (void)state;
    static const char *const wrong[] = {
        "", "x", "<a/>", "<ResourceRecordSets>", "<ResourceRecordSets><x/></ResourceRecordSets>",
    };
    static struct driver_blob blob;
    struct route53_records *records = NULL;
    for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++) {
        blob.size_bytes = (uint32_t)strlen(wrong[i]);
        memcpy(blob.bytes, wrong[i], blob.size_bytes);
        assert_int_not_equal(route53_records_from_blob(&blob, &records, NULL), ERROR_OK);
        assert_null(records);
    }
    blob.size_bytes = DRIVER_STATE_MAX + 1;
    assert_int_equal(route53_records_from_blob(&blob, &records, NULL), ERROR_CORRUPT);
}

static void test_more_records_than_the_limit(void **state) {
    (void)state;
    static struct driver_blob blob;
    struct buffer text;
    struct route53_records *records = NULL;
    buffer_init(&text, 0);
    buffer_append_text(&text, "<ResourceRecordSets>");
    for (int i = 0; i < DRIVER_RECORD_MAX + 1; i++) {
        buffer_append_format(&text, SET(NAME_TYPE("r%d.", "A") VALUES(VALUE("1"))), i);
    }
    buffer_append_text(&text, "</ResourceRecordSets>");
    assert_true(text.size_bytes < sizeof blob.bytes);
    blob.size_bytes = (uint32_t)text.size_bytes;
    memcpy(blob.bytes, text.data, text.size_bytes);
    assert_int_equal(route53_records_from_blob(&blob, &records, NULL), ERROR_LIMIT);
    buffer_finish(&text);
}

static enum error_code read_fence(const char *set, char fence[DRIVER_FENCE_MAX]) {
    struct xml_document document;
    struct route53_record record;
    struct error error;
    assert_int_equal(xml_parse(set, strlen(set), &document, &error), ERROR_OK);
    assert_int_equal(route53_record_read(&document, xml_root(&document), &record, &error),
                     ERROR_OK);
    enum error_code code = route53_fence_read(&record, fence, &error);
    route53_record_finish(&record);
    xml_finish(&document);
    return code;
}

static void test_fence_record(void **state) {
    (void)state;
    struct route53_record record;
    struct error error;
    char fence[DRIVER_FENCE_MAX] = "untouched";
    assert_int_equal(route53_fence_make(FENCE_NAME, "test/nocturnal/1.2/3", &record, &error),
                     ERROR_OK);
    assert_string_equal(record.name, FENCE_NAME ".");
    assert_string_equal(record.ttl, "60");
    assert_string_equal(route53_record_value(&record, NULL), "\"test/nocturnal/1.2/3\"");
    assert_int_equal(route53_fence_read(&record, fence, &error), ERROR_OK);
    assert_string_equal(fence, "test/nocturnal/1.2/3");
    route53_record_finish(&record);
    assert_int_equal(route53_fence_make(FENCE_NAME, "a b", &record, &error), ERROR_INVALID);
    assert_int_equal(route53_fence_make("", "a", &record, &error), ERROR_INVALID);

    assert_int_equal(read_fence(SET_FENCE("60", VALUE("&quot;void(t/s/1.1/0)&quot;")), fence),
                     ERROR_OK);
    assert_string_equal(fence, "void(t/s/1.1/0)");
    static const char *const wrong[] = {
        SET_FENCE("61", VALUE("&quot;a&quot;")),
        SET_FENCE("60", VALUE("&quot;a&quot;") VALUE("&quot;b&quot;")),
        SET_FENCE("60", VALUE("a")),
        SET_FENCE("60", VALUE("&quot;&quot;")),
        SET_FENCE("60", VALUE("&quot;")),
        SET_FENCE("60", VALUE("&quot;a b&quot;")),
        SET_FENCE("60", VALUE("&quot;a&quot; &quot;b&quot;")),
        SET_FENCE("60", VALUE("&quot;a\\&quot;b&quot;")),
        SET(NAME_TYPE("_x.", "TXT") "<SetIdentifier>i</SetIdentifier><Weight>1</Weight>"
                                    "<TTL>60</TTL>" VALUES(VALUE("&quot;a&quot;"))),
    };
    for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++) {
        assert_int_equal(read_fence(wrong[i], fence), ERROR_CONFLICT);
        assert_string_equal(fence, "void(t/s/1.1/0)");
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_same_records_same_bytes),
        cmocka_unit_test(test_golden_bytes),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_sets_that_cant_be_kept),
        cmocka_unit_test(test_value_count_at_limit_and_beyond),
        cmocka_unit_test(test_state_that_is_too_large),
        cmocka_unit_test(test_corrupt_states),
        cmocka_unit_test(test_more_records_than_the_limit),
        cmocka_unit_test(test_fence_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
