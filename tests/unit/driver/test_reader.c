/* One consistent read over pages: a small zone answers the queries, and changes in between. */
#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "records.h"
#include "route53_reader.h"

enum { LISTED_MAX = 64 };

/* In the order of a listing. */
static struct {
    struct {
        const char *name, *type, *identifier, *value;
    } sets[LISTED_MAX];
    unsigned count;
    unsigned page_size;
    unsigned missing_start; /* where a listing from a name that isn't there begins */
    unsigned queries;
    void (*on_query)(unsigned number);
} zone;

static struct driver_target target;
static struct driver_reading reading;
static struct error error;

static void zone_add(const char *name, const char *type, const char *identifier,
                     const char *value) {
    zone.sets[zone.count].name = name;
    zone.sets[zone.count].type = type;
    zone.sets[zone.count].identifier = identifier;
    zone.sets[zone.count].value = value;
    zone.count++;
}

static int set_up(void **state) {
    (void)state;
    memset(&zone, 0, sizeof zone);
    zone.page_size = 300;
    zone.missing_start = LISTED_MAX;
    records_make_target(&target);
    return 0;
}

static void write_set(struct buffer *body, unsigned i) {
    buffer_append_format(body, "<ResourceRecordSet><Name>%s</Name><Type>%s</Type>",
                         zone.sets[i].name, zone.sets[i].type);
    if (zone.sets[i].identifier[0] != '\0') {
        buffer_append_format(body, "<SetIdentifier>%s</SetIdentifier><Weight>1</Weight>",
                             zone.sets[i].identifier);
    }
    buffer_append_format(body, "<TTL>60</TTL>" VALUES(VALUE("%s")) "</ResourceRecordSet>",
                         zone.sets[i].value);
}

/* The place where a query begins. */
static unsigned find_start(const struct route53_query *query) {
    for (unsigned i = 0; i < zone.count; i++) {
        if (strcmp(zone.sets[i].name, query->name) == 0 &&
            (query->type[0] == '\0' || (strcmp(zone.sets[i].type, query->type) == 0 &&
                                        strcmp(zone.sets[i].identifier, query->identifier) == 0))) {
            return i;
        }
    }
    return zone.missing_start;
}

static void answer(const struct route53_query *query, struct route53_page *page) {
    struct buffer body;
    buffer_init(&body, 0);
    buffer_append_text(&body, "<ListResourceRecordSetsResponse><ResourceRecordSets>");
    unsigned from = find_start(query), to = from;
    while (to < zone.count && to < from + zone.page_size) {
        write_set(&body, to++);
    }
    buffer_append_format(&body, "</ResourceRecordSets><IsTruncated>%s</IsTruncated>",
                         to < zone.count ? "true" : "false");
    if (to < zone.count) {
        buffer_append_format(&body,
                             "<NextRecordName>%s</NextRecordName><NextRecordType>%s"
                             "</NextRecordType><NextRecordIdentifier>%s</NextRecordIdentifier>",
                             zone.sets[to].name, zone.sets[to].type, zone.sets[to].identifier);
    }
    buffer_append_text(&body, "</ListResourceRecordSetsResponse>");
    assert_int_equal(route53_read_page(body.data, body.size_bytes, page, &error), ERROR_OK);
    buffer_finish(&body);
}

static enum error_code read_all(void) {
    struct route53_reader *reader = NULL;
    enum error_code code = route53_reader_create(&target, &reader, &error);
    bool done = false;
    zone.queries = 0;
    while (code == ERROR_OK && !done) {
        struct route53_query query;
        struct route53_page page;
        assert_true(zone.queries < 1000);
        route53_reader_next(reader, &query);
        answer(&query, &page);
        zone.queries++;
        code = route53_reader_take(reader, &page, &done, &error);
        route53_page_finish(&page);
        if (zone.on_query != NULL) {
            zone.on_query(zone.queries);
        }
    }
    if (code == ERROR_OK) {
        route53_reader_result(reader, &reading);
    }
    route53_reader_destroy(reader);
    return code;
}

static void fill_zone(void) {
    zone_add("nocturnal.com.", "A", "", "192.0.2.1");
    zone_add("nocturnal.com.", "NS", "", "ns.");
    zone_add("_noctua-nocturnal.nocturnal.com.", "TXT", "", "&quot;t/s/1.1/1&quot;");
    zone_add("api.nocturnal.com.", "A", "", "192.0.2.3");
    zone_add("w.nocturnal.com.", "A", "a", "192.0.2.4");
    zone_add("w.nocturnal.com.", "A", "b", "192.0.2.5");
    zone_add("w.nocturnal.com.", "A", "c", "192.0.2.6");
    zone_add("z.nocturnal.com.", "A", "", "192.0.2.7");
}

static void want_all(void) {
    records_add_key(&target, "z.nocturnal.com", "A", "");
    records_add_key(&target, "nocturnal.com", "A", "");
    records_add_key(&target, "w.nocturnal.com", "A", "a");
    records_add_key(&target, "w.nocturnal.com", "A", "c");
}

static void assert_read(const char *fence) {
    assert_int_equal(read_all(), ERROR_OK);
    assert_true(reading.fence_present);
    assert_string_equal(reading.fence, fence);
    assert_non_null(strstr((const char *)reading.state.bytes, "192.0.2.4"));
    assert_non_null(strstr((const char *)reading.state.bytes, "192.0.2.6"));
    assert_non_null(strstr((const char *)reading.state.bytes, "192.0.2.7"));
    assert_null(strstr((const char *)reading.state.bytes, "192.0.2.5"));
    assert_null(strstr((const char *)reading.state.bytes, "192.0.2.3"));
}

static void test_one_page_is_enough(void **state) {
    (void)state;
    fill_zone();
    want_all();
    assert_read("t/s/1.1/1");
    assert_int_equal(zone.queries, 1);
}

/* Whatever the size of a page, the same is read, and by two passes that agree. */
static void test_every_page_size(void **state) {
    (void)state;
    static struct driver_blob whole;
    fill_zone();
    want_all();
    assert_read("t/s/1.1/1");
    whole = reading.state;
    for (zone.page_size = 1; zone.page_size < zone.count; zone.page_size++) {
        assert_read("t/s/1.1/1");
        assert_memory_equal(whole.bytes, reading.state.bytes, sizeof whole.bytes);
        assert_true(zone.queries >= 4 && zone.queries % 2 == 0);
    }
}

static void test_no_fence_is_asked_for_by_its_name(void **state) {
    (void)state;
    zone_add("nocturnal.com.", "A", "", "192.0.2.1");
    records_add_key(&target, "nocturnal.com", "A", "");
    assert_int_equal(read_all(), ERROR_OK);
    assert_false(reading.fence_present);
    assert_string_equal(reading.fence, "");
    assert_int_equal(zone.queries, 4); /* two names, two passes */
}

static void test_missing_records_are_named(void **state) {
    (void)state;
    fill_zone();
    records_add_key(&target, "gone.nocturnal.com", "A", "");
    assert_int_equal(read_all(), ERROR_NOT_FOUND);
    assert_non_null(strstr(error.message, "gone.nocturnal.com. A"));
    set_up(NULL);
    fill_zone();
    records_add_key(&target, "w.nocturnal.com", "A", ""); /* there are only sets of it */
    assert_int_equal(read_all(), ERROR_NOT_FOUND);
    set_up(NULL);
    fill_zone();
    records_add_key(&target, "w.nocturnal.com", "A", "d");
    assert_int_equal(read_all(), ERROR_NOT_FOUND);
    assert_non_null(strstr(error.message, "d"));
}

static void change_once(unsigned number) {
    if (number == 2) {
        zone.sets[2].value = "&quot;t/s/1.2/1&quot;";
        zone.sets[7].value = "192.0.2.99";
    }
}

/* The fence of before and the records of after are never shown together. */
static void test_a_change_between_pages(void **state) {
    (void)state;
    for (unsigned size = 1; size < 8; size++) {
        set_up(NULL);
        fill_zone();
        want_all();
        zone.page_size = size;
        zone.on_query = change_once;
        assert_int_equal(read_all(), ERROR_OK);
        bool old_fence = strcmp(reading.fence, "t/s/1.1/1") == 0;
        bool old_record = strstr((const char *)reading.state.bytes, "192.0.2.7") != NULL;
        assert_int_equal(old_fence, old_record);
        assert_false(old_fence && zone.queries > 2);
    }
}

static void change_always(unsigned number) {
    static char values[1000][24];
    assert_true(number < ARRAY_LENGTH(values));
    (void)snprintf(values[number], sizeof values[number], "192.0.2.%u", number);
    zone.sets[0].value = values[number];
}

static void test_a_zone_that_never_rests(void **state) {
    (void)state;
    fill_zone();
    want_all();
    zone.page_size = 2;
    zone.on_query = change_always;
    assert_int_equal(read_all(), ERROR_UNAVAILABLE);
    assert_true(error_retryable(ERROR_UNAVAILABLE));
}

static void remove_half_seen(unsigned number) {
    if (number == 1) { /* the page ended in the middle of w: its sets a, b were seen */
        zone.sets[4].name = zone.sets[5].name = zone.sets[6].name = "v.nocturnal.com.";
    }
}

static void test_half_of_a_name_is_not_believed(void **state) {
    (void)state;
    fill_zone();
    records_add_key(&target, "nocturnal.com", "A", "");
    records_add_key(&target, "w.nocturnal.com", "A", "a");
    zone.page_size = 6;
    zone.on_query = remove_half_seen;
    assert_int_equal(read_all(), ERROR_NOT_FOUND);
    assert_non_null(strstr(error.message, "w.nocturnal.com"));
}

/* The half is listed again, in the page of another name, before the name itself is asked for. */
static void test_half_of_a_name_is_replaced(void **state) {
    (void)state;
    zone_add("nocturnal.com.", "A", "", "192.0.2.1");
    zone_add("api.nocturnal.com.", "A", "", "192.0.2.3");
    zone_add("w.nocturnal.com.", "A", "a", "192.0.2.4");
    zone_add("w.nocturnal.com.", "A", "b", "192.0.2.5");
    zone_add("w.nocturnal.com.", "A", "c", "192.0.2.6");
    zone_add("z.nocturnal.com.", "A", "", "192.0.2.7");
    want_all();
    zone.page_size = 3;
    zone.missing_start = 1; /* the fence is not there */
    assert_int_equal(read_all(), ERROR_OK);
    assert_false(reading.fence_present);
    assert_non_null(strstr((const char *)reading.state.bytes, "192.0.2.6"));
}

static void test_listed_twice(void **state) {
    (void)state;
    fill_zone();
    zone_add("z.nocturnal.com.", "A", "", "192.0.2.8");
    want_all();
    assert_int_equal(read_all(), ERROR_PROTOCOL);
}

static void test_targets_that_cant_be_read(void **state) {
    (void)state;
    records_add_key(&target, "a..b", "A", "");
    assert_int_equal(read_all(), ERROR_INVALID);
    set_up(NULL);
    records_add_key(&target, "a.com", "A", "");
    records_add_key(&target, "A.com.", "A", "");
    assert_int_equal(read_all(), ERROR_INVALID);
    set_up(NULL);
    records_add_key(&target, FENCE_NAME, "TXT", ""); /* the fence itself */
    assert_int_equal(read_all(), ERROR_INVALID);
    set_up(NULL);
    target.record_count = DRIVER_RECORD_MAX + 1;
    assert_int_equal(read_all(), ERROR_LIMIT);
}

static void test_as_many_records_as_fit(void **state) {
    (void)state;
    static char names[DRIVER_RECORD_MAX][32];
    for (unsigned i = 0; i < DRIVER_RECORD_MAX; i++) {
        (void)snprintf(names[i], sizeof names[i], "r%02u.com.", i);
        zone_add(names[i], "A", "", "192.0.2.1");
        records_add_key(&target, names[i], "A", "");
    }
    zone.page_size = 5;
    assert_int_equal(read_all(), ERROR_OK);
    assert_false(reading.fence_present);
}

static void test_other_sets_may_be_strange(void **state) {
    (void)state;
    fill_zone();
    want_all();
    zone.sets[3].type = "STRANGETYPE";
    assert_read("t/s/1.1/1");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_one_page_is_enough, set_up),
        cmocka_unit_test_setup(test_every_page_size, set_up),
        cmocka_unit_test_setup(test_no_fence_is_asked_for_by_its_name, set_up),
        cmocka_unit_test_setup(test_missing_records_are_named, set_up),
        cmocka_unit_test_setup(test_a_change_between_pages, set_up),
        cmocka_unit_test_setup(test_a_zone_that_never_rests, set_up),
        cmocka_unit_test_setup(test_half_of_a_name_is_not_believed, set_up),
        cmocka_unit_test_setup(test_half_of_a_name_is_replaced, set_up),
        cmocka_unit_test_setup(test_listed_twice, set_up),
        cmocka_unit_test_setup(test_targets_that_cant_be_read, set_up),
        cmocka_unit_test_setup(test_as_many_records_as_fit, set_up),
        cmocka_unit_test_setup(test_other_sets_may_be_strange, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
