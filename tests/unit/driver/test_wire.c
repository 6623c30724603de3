/* Bodies of requests, word for word, and replies of all kinds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "records.h"
#include "route53_wire.h"

static struct driver_target target;
static struct driver_blob before, after;
static struct driver_change change;
static struct error error;

#define A_AFTER SET(NAME_TYPE("nocturnal.com.", "A") "<TTL>60</TTL>" VALUES(VALUE("192.0.2.2")))
#define FENCE(text) SET_FENCE("60", VALUE("&quot;" text "&quot;"))
#define CHANGE(action, set) "<Change><Action>" action "</Action>" set "</Change>"
#define REQUEST(comment, changes)                                                                  \
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"                                                 \
    "<ChangeResourceRecordSetsRequest xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\">"    \
    "<ChangeBatch><Comment>" comment "</Comment><Changes>" changes                                 \
    "</Changes></ChangeBatch></ChangeResourceRecordSetsRequest>"

static int set_up(void **state) {
    (void)state;
    records_make_target(&target);
    records_add_key(&target, "nocturnal.com", "A", "");
    records_make_state(SET_A, &before);
    records_make_state(A_AFTER, &after);
    change = (struct driver_change){
        .fence_before = "t/s/1.1/1",
        .fence_after = "t/s/1.2/1",
        .state_before = &before,
        .state_after = &after,
        .comment = "s/1.2/1",
    };
    return 0;
}

static void assert_body(const char *expected) {
    struct buffer body;
    assert_int_equal(route53_write_change(&target, &change, &body, &error), ERROR_OK);
    assert_string_equal(body.data, expected);
    buffer_finish(&body);
}

static void assert_refused(enum error_code code, const char *words) {
    struct buffer body = {.data = NULL};
    assert_int_equal(route53_write_change(&target, &change, &body, &error), code);
    assert_non_null(strstr(error.message, words));
    assert_null(body.data);
}

static void test_move(void **state) {
    (void)state;
    assert_body(REQUEST("s/1.2/1",
                        CHANGE("DELETE", FENCE("t/s/1.1/1")) CHANGE("DELETE", SET_A)
                            CHANGE("CREATE", FENCE("t/s/1.2/1")) CHANGE("CREATE", A_AFTER)));
}

static void test_fence_alone(void **state) {
    (void)state;
    change.state_before = change.state_after = NULL;
    change.fence_after = "void(t/s/1.1/1)";
    change.comment = "burn <1> & \"2\"";
    assert_body(REQUEST("burn &lt;1&gt; &amp; &quot;2&quot;",
                        CHANGE("DELETE", FENCE("t/s/1.1/1"))
                            CHANGE("CREATE", FENCE("void(t/s/1.1/1)"))));
    change.fence_after = change.fence_before; /* touch */
    change.comment = "c";
    assert_body(
        REQUEST("c", CHANGE("DELETE", FENCE("t/s/1.1/1")) CHANGE("CREATE", FENCE("t/s/1.1/1"))));
    change.fence_before = NULL; /* adopt */
    change.fence_after = "t/s/1.1/0";
    assert_body(REQUEST("c", CHANGE("CREATE", FENCE("t/s/1.1/0"))));
    change.fence_before = "t/s/1.1/0"; /* unmark */
    change.fence_after = NULL;
    assert_body(REQUEST("c", CHANGE("DELETE", FENCE("t/s/1.1/0"))));
}

static void test_contradictions(void **state) {
    (void)state;
    change.fence_before = NULL;
    assert_refused(ERROR_INVALID, "no fence");
    change.fence_after = NULL;
    change.state_before = change.state_after = NULL;
    assert_refused(ERROR_INVALID, "deletes that fence alone");
    set_up(NULL);
    change.fence_after = NULL;
    assert_refused(ERROR_INVALID, "deletes that fence alone");
    set_up(NULL);
    change.state_after = NULL;
    assert_refused(ERROR_INVALID, "both states");
    set_up(NULL);
    change.state_before = NULL;
    assert_refused(ERROR_INVALID, "both states");
    set_up(NULL);
    change.fence_after = "not a fence";
    assert_refused(ERROR_INVALID, "fence");
    set_up(NULL);
    change.fence_before = "\"><x";
    assert_refused(ERROR_INVALID, "fence");
    set_up(NULL);
    records_make_state("", &after);
    assert_refused(ERROR_INVALID, "empty");
    records_make_state("", &before);
    assert_refused(ERROR_INVALID, "empty");
    set_up(NULL);
    records_make_state(SET_CNAME, &after);
    assert_refused(ERROR_INVALID, "only in one");
    set_up(NULL);
    records_make_state(FENCE("t/s/1.1/1"), &before);
    records_make_state(FENCE("t/s/1.2/1"), &after);
    assert_refused(ERROR_INVALID, "fence");
    set_up(NULL);
    after.size_bytes--;
    assert_refused(ERROR_CORRUPT, "state");
    set_up(NULL);
    char comment[ROUTE53_COMMENT_MAX + 2];
    memset(comment, 'c', sizeof comment);
    comment[ROUTE53_COMMENT_MAX + 1] = '\0';
    change.comment = comment;
    assert_refused(ERROR_INVALID, "comment");
    comment[ROUTE53_COMMENT_MAX] = '\0';
    struct buffer body;
    assert_int_equal(route53_write_change(&target, &change, &body, &error), ERROR_OK);
    buffer_finish(&body);
    change.comment = "\xff";
    assert_refused(ERROR_INVALID, "comment");
    set_up(NULL);
    assert_true(TEXT_COPY(target.fence_name, "a..b"));
    assert_refused(ERROR_INVALID, "DNS name");
}

static void test_too_many_characters(void **state) {
    (void)state;
    char value[4001], set[4400];
    struct buffer sets;
    buffer_init(&sets, 0);
    memset(value, '1', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    for (int i = 0; i < 4; i++) {
        value[i == 3 ? 3800 : 3950] = '\0';
        (void)snprintf(set, sizeof set, SET(NAME_TYPE("r%d.", "TXT") VALUES(VALUE("%s"))), i,
                       value);
        buffer_append_text(&sets, set);
    }
    records_make_state(sets.data, &before);
    after = before;
    buffer_finish(&sets);
    /* Just below the limit of a batch: what fits into the state twice, fits. */
    struct buffer body;
    assert_int_equal(route53_write_change(&target, &change, &body, &error), ERROR_OK);
    buffer_finish(&body);
}

#define INFO(id, status)                                                                           \
    "<ChangeResourceRecordSetsResponse xmlns=\"https://x/\"><ChangeInfo><Id>" id                   \
    "</Id><Status>" status                                                                         \
    "</Status><SubmittedAt>2026-11-23T21:00:00Z</SubmittedAt><Comment>c &amp; d</Comment>"         \
    "</ChangeInfo></ChangeResourceRecordSetsResponse>"

static enum error_code read_info(const char *body, struct route53_change_info *info) {
    return route53_read_change_info(body, strlen(body), info, &error);
}

static void test_change_info(void **state) {
    (void)state;
    struct route53_change_info info;
    assert_int_equal(read_info(INFO("/change/C2682N5HXP0BZ4", "PENDING"), &info), ERROR_OK);
    assert_string_equal(info.id, "C2682N5HXP0BZ4");
    assert_false(info.insync);
    assert_string_equal(info.comment, "c & d");
    assert_int_equal(read_info(INFO("C1", "INSYNC"), &info), ERROR_OK);
    assert_true(info.insync);
    static const char *const wrong[] = {
        INFO("", "INSYNC"),
        INFO("/change/", "INSYNC"),
        INFO("/change/../x", "INSYNC"),
        INFO("C1 x", "INSYNC"),
        INFO("C1", "insync"),
        INFO("C1", ""),
        INFO("C123456789012345678901234567890123456789012345678901234567890123", "INSYNC"),
        "<ChangeInfo><Id>C1</Id><Status>INSYNC</Status></ChangeInfo>",
        "<a><ChangeInfo/></a>",
        "<a><ChangeInfo><Id>C1</Id></ChangeInfo></a>",
        "<html>ok</html>",
        "",
    };
    for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++) {
        struct route53_change_info untouched = {.id = "before"};
        assert_int_equal(read_info(wrong[i], &untouched), ERROR_PROTOCOL);
        assert_string_equal(untouched.id, "before");
    }
}

#define PAGE(sets, rest)                                                                           \
    "<ListResourceRecordSetsResponse><ResourceRecordSets>" sets "</ResourceRecordSets>" rest       \
    "<MaxItems>300</MaxItems></ListResourceRecordSetsResponse>"

static void test_pages(void **state) {
    (void)state;
    static const char last[] = PAGE(SET_A, "<IsTruncated>false</IsTruncated>");
    static const char first[] =
        PAGE(SET_A, "<IsTruncated>true</IsTruncated><NextRecordName>*.X.com</NextRecordName>"
                    "<NextRecordType>A</NextRecordType>"
                    "<NextRecordIdentifier>i</NextRecordIdentifier>");
    struct route53_page page;
    assert_int_equal(route53_read_page(last, sizeof last - 1, &page, &error), ERROR_OK);
    assert_false(page.truncated);
    route53_page_finish(&page);
    assert_int_equal(route53_read_page(first, sizeof first - 1, &page, &error), ERROR_OK);
    assert_true(page.truncated);
    assert_string_equal(page.next_name, "\\052.x.com.");
    assert_string_equal(page.next_type, "A");
    assert_string_equal(page.next_identifier, "i");
    route53_page_finish(&page);
    static const char *const wrong[] = {
        PAGE(SET_A, ""),
        PAGE(SET_A, "<IsTruncated>yes</IsTruncated>"),
        PAGE(SET_A, "<IsTruncated>true</IsTruncated>"),
        PAGE(SET_A, "<IsTruncated>true</IsTruncated><NextRecordName>a.</NextRecordName>"),
        PAGE(SET_A, "<IsTruncated>true</IsTruncated><NextRecordName>a.</NextRecordName>"
                    "<NextRecordType>TOOLONGATYPE</NextRecordType>"),
        ("<ListResourceRecordSetsResponse><IsTruncated>false</IsTruncated>"
         "</ListResourceRecordSetsResponse>"),
        "<Other><ResourceRecordSets/><IsTruncated>false</IsTruncated></Other>",
        "",
    };
    for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++) {
        assert_int_equal(route53_read_page(wrong[i], strlen(wrong[i]), &page, &error),
                         ERROR_PROTOCOL);
    }
    for (size_t length = 0; length < sizeof first - 1; length++) {
        assert_int_equal(route53_read_page(first, length, &page, &error), ERROR_PROTOCOL);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_move, set_up),
        cmocka_unit_test_setup(test_fence_alone, set_up),
        cmocka_unit_test_setup(test_contradictions, set_up),
        cmocka_unit_test_setup(test_too_many_characters, set_up),
        cmocka_unit_test(test_change_info),
        cmocka_unit_test(test_pages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
