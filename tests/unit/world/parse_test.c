/* Names, the XML of a batch, record sets as JSON, and the table of faults. */
#include <stdio.h>
#include <string.h>

#include "world_kit.h"

#include "faults.h"
#include "record_json.h"
#include "route53_parse.h"
#include "uri.h"

#define NAMESPACE "xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\""

static void test_names_are_canonical(void **state) {
    static const struct {
        const char *text;
        const char *canonical;
    } rows[] = {
        {"WWW.Example.COM", "www.example.com."},
        {"*.example.com.", "\\052.example.com."},
        {"\\052.example.com", "\\052.example.com."},
        {"_a-b.c", "_a-b.c."},
        {"a b.c", "a\\040b.c."},
        {"\\101.c", "a.c."},
        {"a\\056b.c", "a\\056b.c."},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char name[DNS_NAME_SIZE];
        uint8_t wire[DNS_WIRE_MAX];
        char back[DNS_NAME_SIZE];
        size_t length = 0;
        assert_int_equal(dns_name_canonicalize(rows[i].text, name, NULL), ERROR_OK);
        assert_string_equal(name, rows[i].canonical);
        size_t wire_bytes = dns_name_to_wire(name, wire);
        assert_true(dns_name_from_wire(wire, wire_bytes, back, &length));
        assert_int_equal(length, wire_bytes);
        assert_string_equal(back, name);
        assert_false(dns_name_from_wire(wire, wire_bytes - 1, back, &length));
    }
}

static void test_bad_names_are_refused(void **state) {
    static const char *const rows[] = {"", ".", "a..b", ".a", "\\05.a", "\\999.a"};
    struct error error;
    char name[DNS_NAME_SIZE];
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(dns_name_canonicalize(rows[i], name, &error), ERROR_INVALID);
    }
    assert_int_equal(dns_name_canonicalize("a..b", name, &error), ERROR_INVALID);
    assert_string_equal(error.message, "FATAL problem: DomainLabelEmpty (Domain label is empty) "
                                       "encountered with 'a..b'");
}

/* A name of four labels, `last` bytes in the last one; the others have 63. */
static void make_long_name(char *to, size_t last) {
    for (int i = 0; i < 3; i++, to += 64) {
        memset(to, 'a', 63);
        to[63] = '.';
    }
    memset(to, 'a', last);
    to[last] = '\0';
}

static void test_limits_of_names(void **state) {
    char text[400];
    char name[DNS_NAME_SIZE];
    (void)state;
    make_long_name(text, 61); /* 3 * 64 + 62 + 1 = 255 on the wire */
    assert_int_equal(dns_name_canonicalize(text, name, NULL), ERROR_OK);
    make_long_name(text, 62);
    assert_int_equal(dns_name_canonicalize(text, name, NULL), ERROR_INVALID);
    memset(text, 'a', 64);
    text[64] = '\0';
    assert_int_equal(dns_name_canonicalize(text, name, NULL), ERROR_INVALID);
    assert_int_equal(dns_name_canonicalize(text + 1, name, NULL), ERROR_OK);
}

static void test_names_are_sorted_by_reversed_labels(void **state) {
    /* A dash sorts before the dot that ends a label. */
    static const char *const sorted[] = {"com.",     "b-x.com.", "b.com.",
                                         "a.b.com.", "z.b.com.", "c.com."};
    (void)state;
    for (size_t i = 0; i < 6; i++) {
        for (size_t j = 0; j < 6; j++) {
            int order = dns_name_compare(sorted[i], sorted[j]);
            assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
        }
    }
    assert_true(dns_name_is_within("a.b.com.", "b.com."));
    assert_false(dns_name_is_within("ab.com.", "b.com."));
}

static const char *refusal_of(const char *body, struct aws_refusal *refusal) {
    struct change_batch batch;
    if (route53_parse_batch(body, strlen(body), &batch, refusal)) {
        change_batch_finish(&batch);
        return "OK";
    }
    return refusal->code;
}

#define REQUEST(changes)                                                                           \
    "<?xml version='1.0'?><ChangeResourceRecordSetsRequest " NAMESPACE                             \
    "><ChangeBatch><Comment>eid</Comment><Changes>" changes                                        \
    "</Changes></ChangeBatch></ChangeResourceRecordSetsRequest>"
#define CHANGE(set)                                                                                \
    "<Change><Action>CREATE</Action><ResourceRecordSet>" set "</ResourceRecordSet></Change>"
#define RECORDS                                                                                    \
    "<ResourceRecords><ResourceRecord><Value>192.0.2.1</Value></ResourceRecord></ResourceRecords>"

static void test_batch_is_parsed(void **state) {
    static const char body[] = REQUEST("\n  " CHANGE(
        "<Name>*.A.com</Name><Type>TXT</Type><SetIdentifier>x &amp; y</SetIdentifier>"
        "<Weight>3</Weight><TTL>60</TTL><ResourceRecords><ResourceRecord><Value>"
        "\"a\"</Value></ResourceRecord></ResourceRecords>") "\n"
                                                            "<Change><Action>DELETE</"
                                                            "Action><ResourceRecordSet><Name>b.com<"
                                                            "/Name><Type>A</Type>"
                                                            "<AliasTarget><HostedZoneId>Z1</"
                                                            "HostedZoneId><DNSName>LB.test</"
                                                            "DNSName>"
                                                            "<EvaluateTargetHealth>true</"
                                                            "EvaluateTargetHealth></AliasTarget></"
                                                            "ResourceRecordSet>"
                                                            "</Change>");
    struct change_batch batch;
    struct aws_refusal refusal;
    (void)state;
    assert_true(route53_parse_batch(body, sizeof(body) - 1, &batch, &refusal));
    assert_string_equal(batch.comment, "eid");
    assert_int_equal(batch.count, 2);
    const struct record_set *set = batch.changes[0].set;
    assert_string_equal(set->name, "\\052.a.com.");
    assert_string_equal(set->set_identifier, "x & y");
    assert_int_equal(set->weight, 3);
    assert_string_equal(set->values[0], "\"a\"");
    assert_int_equal(batch.changes[1].action, CHANGE_DELETE);
    assert_string_equal(batch.changes[1].set->alias.dns_name, "lb.test.");
    assert_true(batch.changes[1].set->alias.evaluate_target_health);
    change_batch_finish(&batch);
}

static void test_order_of_elements_matters(void **state) {
    static const char body[] =
        REQUEST(CHANGE("<Name>a.com</Name><Type>A</Type>" RECORDS "<TTL>60</TTL>"));
    struct aws_refusal refusal;
    (void)state;
    assert_string_equal(refusal_of(body, &refusal), "InvalidInput");
    assert_int_equal(refusal.status, 400);
    assert_non_null(strstr(refusal.message, "Invalid XML ; cvc-complex-type.2.4.a: Invalid content "
                                            "was found starting with element 'TTL'. One of "
                                            "'{\"https://route53.amazonaws.com/doc/2013-04-01/"
                                            "\":AliasTarget"));
}

static void test_bad_batches_are_refused(void **state) {
    static const struct {
        const char *body;
        const char *code;
    } rows[] = {
        {"", "MalformedInput"},
        {"nonsense", "MalformedInput"},
        {"<ChangeResourceRecordSetsRequest/>", "MalformedInput"},
        {"<Other " NAMESPACE "/>", "MalformedInput"},
        {"<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>", "MalformedInput"},
        {"<ChangeResourceRecordSetsRequest " NAMESPACE "/>", "InvalidInput"},
        {REQUEST(""), "InvalidInput"},
        {REQUEST("<Change><Action>CREATE</Action></Change>"), "InvalidInput"},
        {REQUEST("text"), "InvalidInput"},
        {REQUEST(CHANGE("<Type>A</Type>")), "InvalidInput"},
        {REQUEST(CHANGE("<Name>a.com</Name><Name>a.com</Name><Type>A</Type>")), "InvalidInput"},
        {REQUEST(CHANGE("<Name>a.com</Name><Type>Q</Type>")), "InvalidInput"},
        {REQUEST(CHANGE("<Name>a.com</Name><Type>A</Type><TTL>-1</TTL>")), "InvalidInput"},
        {REQUEST(CHANGE("<Name>a.com</Name><Type>A</Type><Weight>256</Weight>")), "InvalidInput"},
        {REQUEST(CHANGE("<Name>a.com</Name><Type>A</Type><ResourceRecords/>")), "InvalidInput"},
        {REQUEST(CHANGE("<Name>a..com</Name><Type>A</Type>" RECORDS)), "InvalidChangeBatch"},
        {REQUEST(CHANGE("<Name xmlns=\"other\">a.com</Name><Type>A</Type>")), "InvalidInput"},
        {REQUEST(CHANGE("<Name>a.com</Name><Type>A</Type><TTL>60</TTL>" RECORDS)), "OK"},
    };
    struct aws_refusal refusal;
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_string_equal(refusal_of(rows[i].body, &refusal), rows[i].code);
    }
}

static void test_every_cut_batch_is_refused(void **state) {
    static const char body[] =
        REQUEST(CHANGE("<Name>a.com</Name><Type>A</Type><TTL>60</TTL>" RECORDS));
    struct aws_refusal refusal;
    struct change_batch batch;
    (void)state;
    for (size_t size = 0; size < sizeof(body) - 1; size++) {
        assert_false(route53_parse_batch(body, size, &batch, &refusal));
    }
}

static void test_document_type_is_refused(void **state) {
    static const char valid[] =
        "<ChangeResourceRecordSetsRequest " NAMESPACE "><ChangeBatch><Comment>%s</Comment>"
        "<Changes>" CHANGE(
            "<Name>a.com</Name><Type>A</Type><TTL>60</TTL>" RECORDS) "</Changes>"
                                                                     "</ChangeBatch></"
                                                                     "ChangeResourceRecordSetsReque"
                                                                     "st>";
    char plain[1024];
    char with_entity[2048];
    struct aws_refusal refusal;
    (void)state;
    (void)snprintf(plain, sizeof(plain), valid, "c");
    (void)snprintf(with_entity, sizeof(with_entity), "<!DOCTYPE r [<!ENTITY c \"c\">]>%s", plain);
    assert_string_equal(refusal_of(plain, &refusal), "OK");
    assert_string_equal(refusal_of(with_entity, &refusal), "MalformedInput");
}

static void test_comment_limit(void **state) {
    char body[1024];
    char comment[CHANGE_BATCH_COMMENT_MAX + 2];
    struct aws_refusal refusal;
    (void)state;
    for (size_t length = CHANGE_BATCH_COMMENT_MAX; length <= CHANGE_BATCH_COMMENT_MAX + 1;
         length++) {
        memset(comment, 'c', length);
        comment[length] = '\0';
        (void)snprintf(body, sizeof(body),
                       "<ChangeResourceRecordSetsRequest " NAMESPACE
                       "><ChangeBatch><Comment>%s</Comment><Changes>%s</Changes></ChangeBatch>"
                       "</ChangeResourceRecordSetsRequest>",
                       comment, CHANGE("<Name>a.com</Name><Type>A</Type><TTL>60</TTL>" RECORDS));
        assert_string_equal(refusal_of(body, &refusal),
                            length > CHANGE_BATCH_COMMENT_MAX ? "InvalidInput" : "OK");
    }
}

static void test_record_json_goes_both_ways(void **state) {
    static const char text[] =
        "{\"Name\":\"a.com.\",\"Type\":\"A\",\"SetIdentifier\":\"x\",\"Failover\":\"PRIMARY\","
        "\"TTL\":60,\"Values\":[\"192.0.2.1\",\"192.0.2.2\"],\"HealthCheckId\":\"h\"}";
    struct record_set *set = NULL;
    (void)state;
    json_t *json = json_loads(text, 0, NULL);
    assert_int_equal(record_json_parse(json, &set, NULL), ERROR_OK);
    json_t *dumped = record_json_dump(set);
    assert_true(json_equal(json, dumped));
    json_decref(dumped);
    record_set_unref(set);

    json_object_set_new(json, "Tll", json_integer(1));
    assert_int_equal(record_json_parse(json, &set, NULL), ERROR_INVALID);
    json_decref(json);
}

static struct fault *arm(struct fault_table *table, const char *text) {
    struct fault fault;
    struct fault *armed = NULL;
    struct error error = {.message = ""};
    json_t *json = json_loads(text, 0, NULL);
    assert_non_null(json);
    if (fault_parse(json, &fault, &error) != ERROR_OK) {
        fail_msg("%s", error.message);
    }
    assert_int_equal(faults_arm(table, &fault, &armed, NULL), ERROR_OK);
    json_decref(json);
    return armed;
}

static void test_fault_fires_for_what_matches(void **state) {
    struct fault_table *table = test_calloc(1, sizeof(*table));
    const struct fault_subject change = {FAULT_OPERATION_CHANGE, "Z1", "eid 1.2/0"};
    const struct fault_subject other = {FAULT_OPERATION_CHANGE, "Z2", "eid 1.2/0"};
    const struct fault_subject list = {FAULT_OPERATION_LIST, "Z1", ""};
    (void)state;
    struct fault *fault = arm(table, "{\"kind\":\"drop_reply\",\"operation\":\"change\","
                                     "\"zone\":\"Z1\",\"comment\":\"1.2/0\",\"skip\":1,"
                                     "\"count\":2}");
    assert_null(faults_take(table, &other, false));
    assert_null(faults_take(table, &list, false));
    assert_null(faults_take(table, &change, true));
    assert_null(faults_take(table, &change, false)); /* skipped */
    assert_ptr_equal(faults_take(table, &change, false), fault);
    assert_ptr_equal(faults_take(table, &change, false), fault);
    assert_null(faults_take(table, &change, false));
    assert_int_equal(fault->fired, 2);
    test_free(table);
}

static void test_bad_faults_are_refused(void **state) {
    static const char *const rows[] = {
        "[]",
        "{}",
        "{\"kind\":\"explode\"}",
        "{\"kind\":\"delay\",\"ms\":-1}",
        "{\"kind\":\"delay\",\"mss\":1}",
        "{\"kind\":\"error\"}",
        "{\"kind\":\"error\",\"status\":200}",
        "{\"kind\":\"slow\"}",
        "{\"kind\":\"delay\",\"operation\":\"write\"}",
    };
    struct fault fault;
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        json_t *json = json_loads(rows[i], 0, NULL);
        assert_int_equal(fault_parse(json, &fault, NULL), ERROR_INVALID);
        json_decref(json);
    }
}

static void test_spent_faults_make_room(void **state) {
    struct fault_table *table = test_calloc(1, sizeof(*table));
    const struct fault_subject subject = {FAULT_OPERATION_CHANGE, "", ""};
    struct fault fault = {.operation = FAULT_OPERATION_ANY, .count = 1};
    struct fault *armed = NULL;
    (void)state;
    for (int i = 0; i < FAULTS_MAX; i++) {
        assert_int_equal(faults_arm(table, &fault, &armed, NULL), ERROR_OK);
    }
    assert_int_equal(faults_arm(table, &fault, &armed, NULL), ERROR_LIMIT);
    assert_non_null(faults_take(table, &subject, false));
    assert_int_equal(faults_arm(table, &fault, &armed, NULL), ERROR_OK);
    assert_null(faults_find(table, 1));
    test_free(table);
}

static void test_uri_parameters(void **state) {
    struct uri_parameters parameters;
    (void)state;
    assert_true(uri_parameters_parse("a=1&b&c=%2Fx+y&&a=2", &parameters));
    assert_int_equal(parameters.count, 4);
    assert_string_equal(uri_parameters_get(&parameters, "a"), "1");
    assert_string_equal(uri_parameters_get(&parameters, "b"), "");
    assert_string_equal(uri_parameters_get(&parameters, "c"), "/x y");
    assert_null(uri_parameters_get(&parameters, "d"));
    uri_parameters_finish(&parameters);
    assert_false(uri_parameters_parse("a=%2", &parameters));
    assert_false(uri_parameters_parse("a=%00", &parameters));
    assert_false(uri_parameters_parse("a=%zz", &parameters));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_are_canonical),
        cmocka_unit_test(test_bad_names_are_refused),
        cmocka_unit_test(test_limits_of_names),
        cmocka_unit_test(test_names_are_sorted_by_reversed_labels),
        cmocka_unit_test(test_batch_is_parsed),
        cmocka_unit_test(test_order_of_elements_matters),
        cmocka_unit_test(test_bad_batches_are_refused),
        cmocka_unit_test(test_every_cut_batch_is_refused),
        cmocka_unit_test(test_document_type_is_refused),
        cmocka_unit_test(test_comment_limit),
        cmocka_unit_test(test_record_json_goes_both_ways),
        cmocka_unit_test(test_fault_fires_for_what_matches),
        cmocka_unit_test(test_bad_faults_are_refused),
        cmocka_unit_test(test_spent_faults_make_room),
        cmocka_unit_test(test_uri_parameters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
