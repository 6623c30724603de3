/* The wanted state: everything verbatim but what the move changes, and every refusal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "records.h"
#include "codec/alias_zone.h"

static struct driver_target target;
static struct driver_blob before, after, expected;
static struct route53_value values[DRIVER_RECORD_MAX];
static char diff[ROUTE53_DIFF_MAX];
static struct error error;

static int set_up(void **state) {
    (void)state;
    records_make_target(&target);
    memset(values, 0, sizeof values);
    memset(&after, 0, sizeof after);
    memset(&error, 0, sizeof error);
    return 0;
}

static struct route53_value *add(const char *name, const char *type, const char *set_identifier,
                                 enum route53_action action, const char *text) {
    struct route53_value *value = &values[target.record_count];
    records_add_key(&target, name, type, set_identifier);
    value->action = action;
    assert_true(TEXT_COPY(value->text, text));
    return value;
}

static enum error_code run(const char *sets) {
    records_make_state(sets, &before);
    return route53_desired(&target, &before, values, target.record_count, &after, diff, &error);
}

static void assert_becomes(const char *sets, const char *wanted) {
    assert_int_equal(run(sets), ERROR_OK);
    records_make_state(wanted, &expected);
    assert_string_equal((const char *)after.bytes, (const char *)expected.bytes);
    assert_int_equal(after.size_bytes, expected.size_bytes);
}

static void assert_refused(const char *sets, enum error_code code, const char *words) {
    assert_int_equal(run(sets), code);
    assert_non_null(strstr(error.message, words));
    assert_int_equal(after.size_bytes, 0);
}

static void test_plain_values(void **state) {
    (void)state;
    add("nocturnal.com", "A", "", ROUTE53_VALUES, "192.0.2.9\n192.0.2.2\n");
    assert_becomes(SET_A, SET(NAME_TYPE("nocturnal.com.", "A") "<TTL>60</TTL>" VALUES(
                              VALUE("192.0.2.2") VALUE("192.0.2.9"))));
    assert_string_equal(diff, "nocturnal.com A 192.0.2.1 -> nocturnal.com A 192.0.2.2 192.0.2.9\n");
}

static void test_nothing_to_change(void **state) {
    (void)state;
    add("NOCTURNAL.com.", "A", "", ROUTE53_VALUES, "192.0.2.1");
    assert_becomes(SET_A, SET_A);
    assert_string_equal(diff, "");
}

static void test_keeps_what_it_does_not_know_about(void **state) {
    (void)state;
    static const char health[] = "<HealthCheckId>abc</HealthCheckId>";
    char sets[1024], wanted[1024];
    (void)snprintf(sets, sizeof sets, SET(NAME_TYPE("x.", "AAAA") "<TTL>5</TTL>%s%s"),
                   VALUES(VALUE("2001:db8::1")), health);
    (void)snprintf(wanted, sizeof wanted, SET(NAME_TYPE("x.", "AAAA") "<TTL>5</TTL>%s%s"),
                   VALUES(VALUE("2001:db8::2")), health);
    add("x", "AAAA", "", ROUTE53_VALUES, "2001:db8::2");
    assert_becomes(sets, wanted);
}

static void test_time_to_live(void **state) {
    (void)state;
    add("www.nocturnal.com", "CNAME", "", ROUTE53_CNAME, "west.example.com")->ttl_s = 60;
    assert_becomes(SET_CNAME, SET(NAME_TYPE("www.nocturnal.com.", "CNAME") "<TTL>60</TTL>" VALUES(
                                  VALUE("west.example.com"))));
    values[0].ttl_s = 2147483648U;
    memset(&after, 0, sizeof after);
    assert_refused(SET_CNAME, ERROR_INVALID, "TTL");
}

static void test_text_values_get_quotes(void **state) {
    (void)state;
    add("txt.nocturnal.com", "TXT", "", ROUTE53_VALUES, "a b\n\"c\" \"d\"");
    assert_becomes(SET_TXT, SET(NAME_TYPE("txt.nocturnal.com.", "TXT") "<TTL>60</TTL>" VALUES(
                                VALUE("&quot;a b&quot;") VALUE("&quot;c&quot; &quot;d&quot;"))));
    assert_true(TEXT_COPY(values[0].text, "a\"b\\c\xc3\xbc"));
    assert_becomes(SET_TXT, SET(NAME_TYPE("txt.nocturnal.com.", "TXT") "<TTL>60</TTL>" VALUES(
                                VALUE("&quot;a\\042b\\134c\\303\\274&quot;"))));
}

static void test_long_text_is_several_strings(void **state) {
    (void)state;
    char x[256], set[1024];
    struct route53_value *value = add("txt.nocturnal.com", "TXT", "", ROUTE53_VALUES, "");
    memset(x, 'x', 255);
    x[255] = '\0';
    memset(value->text, 'x', 511);
    value->text[511] = '\0';
    (void)snprintf(set, sizeof set,
                   SET(NAME_TYPE("txt.nocturnal.com.", "TXT") "<TTL>60</TTL>" VALUES(
                       VALUE("&quot;%s&quot; &quot;%s&quot; &quot;x&quot;"))),
                   x, x);
    assert_becomes(SET_TXT, set);
    value->text[255] = '\0';
    (void)snprintf(
        set, sizeof set,
        SET(NAME_TYPE("txt.nocturnal.com.", "TXT") "<TTL>60</TTL>" VALUES(VALUE("&quot;%s&quot;"))),
        x);
    assert_becomes(SET_TXT, set);
}

#define ALIAS_AFTER(zone, name)                                                                    \
    SET(NAME_TYPE("api.nocturnal.com.", "A") "<AliasTarget><HostedZoneId>" zone                    \
                                             "</HostedZoneId><DNSName>" name                       \
                                             "</DNSName><EvaluateTargetHealth>true"                \
                                             "</EvaluateTargetHealth></AliasTarget>")

static void test_alias_with_a_known_zone(void **state) {
    (void)state;
    add("api.nocturnal.com", "A", "", ROUTE53_ALIAS, "Web-2.us-west-2.elb.amazonaws.com");
    assert_becomes(SET_ALIAS, ALIAS_AFTER("Z1H1FL5HABSF5", "web-2.us-west-2.elb.amazonaws.com."));
}

static void test_alias_with_a_given_zone(void **state) {
    (void)state;
    struct route53_value *value =
        add("api.nocturnal.com", "A", "", ROUTE53_ALIAS, "gateway.example.com");
    assert_refused(SET_ALIAS, ERROR_INVALID, "zone_id");
    assert_true(TEXT_COPY(value->zone_id, "ZGIVEN"));
    assert_becomes(SET_ALIAS, ALIAS_AFTER("ZGIVEN", "gateway.example.com."));
    memset(&after, 0, sizeof after);
    assert_true(TEXT_COPY(value->zone_id, "Z/../bad"));
    assert_refused(SET_ALIAS, ERROR_INVALID, "zone_id");
}

static void test_alias_zones(void **state) {
    (void)state;
    assert_string_equal(alias_zone_find("a.us-east-1.elb.amazonaws.com."), "Z35SXDOTRQ7X7K");
    assert_string_equal(alias_zone_find("a.elb.us-east-1.amazonaws.com."), "Z26RNL4JYFTOTI");
    assert_string_equal(alias_zone_find("d1.cloudfront.net."), "Z2FDTNDATAQYW2");
    assert_null(alias_zone_find("a.xx-east-1.elb.amazonaws.com."));
    assert_null(alias_zone_find("us-east-1.elb.amazonaws.com."));
    assert_null(alias_zone_find("a.us-east-1.elb.amazonaws.com.evil.com."));
    assert_string_equal(alias_zone_find("d1.cloudfront.net"), "Z2FDTNDATAQYW2");
    assert_null(alias_zone_find("."));
    assert_null(alias_zone_find(""));
}

#define WEIGHTED(a, b, c)                                                                          \
    SET_WEIGHTED("us-east-1", a, "192.0.2.1")                                                      \
    SET_WEIGHTED("us-west-2", b, "192.0.2.2") SET_WEIGHTED("eu-west-1", c, "192.0.2.3")

static void add_weighted(int chosen) {
    static const char *const regions[] = {"us-east-1", "us-west-2", "eu-west-1"};
    for (int i = 0; i < 3; i++) {
        add("w.nocturnal.com", "A", regions[i], ROUTE53_WEIGHTED, "")->chosen = i == chosen;
    }
}

static void test_weighted(void **state) {
    (void)state;
    add_weighted(1);
    assert_becomes(WEIGHTED("120", "0", "30"), WEIGHTED("0", "120", "0"));
    assert_becomes(WEIGHTED("0", "255", "0"), WEIGHTED("0", "255", "0"));
    assert_string_equal(diff, "");
    assert_becomes(WEIGHTED("0", "0", "0"), WEIGHTED("0", "100", "0"));
}

static void test_weighted_refusals(void **state) {
    (void)state;
    add_weighted(3);
    assert_refused(WEIGHTED("1", "0", "0"), ERROR_INVALID, "exactly one");
    values[0].chosen = values[1].chosen = true;
    assert_refused(WEIGHTED("1", "0", "0"), ERROR_INVALID, "exactly one");
    values[1].chosen = false;
    values[2].action = ROUTE53_VALUES;
    assert_refused(WEIGHTED("1", "0", "0"), ERROR_INVALID, "not weighted");
    values[2].action = ROUTE53_WEIGHTED;
    assert_refused(WEIGHTED("1", "0", "256"), ERROR_INVALID, "not weighted");
    set_up(NULL);
    add("nocturnal.com", "A", "", ROUTE53_WEIGHTED, "")->chosen = true;
    assert_refused(SET_A, ERROR_INVALID, "not weighted");
}

#define PAIR(a, b)                                                                                 \
    SET_FAILOVER("us-east-1", a, "<HealthCheckId>h</HealthCheckId>")                               \
    SET_FAILOVER("us-west-2", b, "")

static void test_failover(void **state) {
    (void)state;
    add("f.nocturnal.com", "A", "us-east-1", ROUTE53_FAILOVER, "");
    add("f.nocturnal.com", "A", "us-west-2", ROUTE53_FAILOVER, "")->chosen = true;
    assert_becomes(PAIR("PRIMARY", "SECONDARY"), PAIR("SECONDARY", "PRIMARY"));
    assert_becomes(PAIR("SECONDARY", "PRIMARY"), PAIR("SECONDARY", "PRIMARY"));
    memset(&after, 0, sizeof after);
    assert_refused(PAIR("PRIMARY", "PRIMARY"), ERROR_INVALID, "one PRIMARY");
    values[1].chosen = false;
    assert_refused(PAIR("PRIMARY", "SECONDARY"), ERROR_INVALID, "one is chosen");
    values[1].action = ROUTE53_VALUES;
    assert_refused(PAIR("PRIMARY", "SECONDARY"), ERROR_INVALID, "not a failover set");
}

static void test_actions_that_do_not_fit(void **state) {
    (void)state;
    struct route53_value *value =
        add("nocturnal.com", "A", "", ROUTE53_ALIAS, "a.us-east-1.elb.amazonaws.com");
    assert_refused(SET_A, ERROR_INVALID, "no alias");
    value->action = ROUTE53_CNAME;
    assert_refused(SET_A, ERROR_INVALID, "no CNAME");
    value->action = ROUTE53_FAILOVER;
    assert_refused(SET_A, ERROR_INVALID, "PRIMARY");
    value->action = (enum route53_action)99;
    assert_refused(SET_A, ERROR_INVALID, "action");
    set_up(NULL);
    add("api.nocturnal.com", "A", "", ROUTE53_VALUES, "192.0.2.1");
    assert_refused(SET_ALIAS, ERROR_INVALID, "is an alias");
    set_up(NULL);
    add("www.nocturnal.com", "CNAME", "", ROUTE53_CNAME, "a.com\nb.com");
    assert_refused(SET_CNAME, ERROR_INVALID, "one target");
}

static void test_nothing_is_ever_emptied(void **state) {
    (void)state;
    add("nocturnal.com", "A", "", ROUTE53_VALUES, "");
    assert_refused(SET_A, ERROR_INVALID, "empty");
    assert_true(TEXT_COPY(values[0].text, "\n\n"));
    assert_refused(SET_A, ERROR_INVALID, "empty");
    set_up(NULL);
    assert_refused("", ERROR_INVALID, "empty");
}

static void test_records_that_do_not_match_the_state(void **state) {
    (void)state;
    add("nocturnal.com", "A", "", ROUTE53_VALUES, "192.0.2.2");
    add("www.nocturnal.com", "CNAME", "", ROUTE53_CNAME, "x.com");
    assert_refused(SET_A, ERROR_NOT_FOUND, "www.nocturnal.com. CNAME");
    target.record_count = 1;
    assert_refused(SET_A SET_CNAME, ERROR_INVALID, "2 records");
    add("nocturnal.com.", "A", "", ROUTE53_VALUES, "192.0.2.2");
    assert_refused(SET_A SET_CNAME, ERROR_INVALID, "twice");
    target.record_count = DRIVER_RECORD_MAX + 1;
    assert_refused(SET_A, ERROR_INVALID, "empty");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_plain_values, set_up),
        cmocka_unit_test_setup(test_nothing_to_change, set_up),
        cmocka_unit_test_setup(test_keeps_what_it_does_not_know_about, set_up),
        cmocka_unit_test_setup(test_time_to_live, set_up),
        cmocka_unit_test_setup(test_text_values_get_quotes, set_up),
        cmocka_unit_test_setup(test_long_text_is_several_strings, set_up),
        cmocka_unit_test_setup(test_alias_with_a_known_zone, set_up),
        cmocka_unit_test_setup(test_alias_with_a_given_zone, set_up),
        cmocka_unit_test_setup(test_alias_zones, set_up),
        cmocka_unit_test_setup(test_weighted, set_up),
        cmocka_unit_test_setup(test_weighted_refusals, set_up),
        cmocka_unit_test_setup(test_failover, set_up),
        cmocka_unit_test_setup(test_actions_that_do_not_fit, set_up),
        cmocka_unit_test_setup(test_nothing_is_ever_emptied, set_up),
        cmocka_unit_test_setup(test_records_that_do_not_match_the_state, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
