/* Encodings, time stamps, and what AWS's errors mean. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "aws_endpoint.h"
#include "aws_error.h"
#include "http_client.h"
#include "aws_text.h"
#include "base/text.h"
#include "driver/driver.h"

static void test_query_is_sorted_and_encoded(void **state) {
    (void)state;
    const struct aws_parameter parameters[] = {
        {"name", "*.a b.com"}, {"a-b", "1"}, {"a", "~/="}, {"a", "+"}, {"A", ""}, {"\xc3\xbc", "x"},
    };
    struct buffer query;
    buffer_init(&query, 0);
    assert_true(aws_append_query(&query, parameters, ARRAY_LENGTH(parameters)));
    assert_string_equal(query.data, "%C3%BC=x&A=&a=%2B&a=~%2F%3D&a-b=1&name=%2A.a%20b.com");
    buffer_finish(&query);
    buffer_init(&query, 8);
    assert_false(aws_append_query(&query, parameters, ARRAY_LENGTH(parameters)));
    buffer_finish(&query);
}

static void test_time(void **state) {
    (void)state;
    uint64_t ms = 0;
    assert_true(aws_parse_time("2026-11-23T21:03:05Z", &ms));
    assert_int_equal(ms, UINT64_C(1795467785000));
    assert_true(aws_parse_time("2026-11-23T21:03:05.123Z", &ms));
    assert_true(aws_parse_time("2026-11-23T21:03:05+00:00", &ms));
    static const char *const wrong[] = {
        "",
        "2026-11-23",
        "2026-11-23T21:03:05",
        "2026-11-23T21:03:05.Z",
        "never",
        "2026-11-23T21:03:05Zx",
        "1926-11-23T21:03:05Z",
        "2026-11-23T21:03:05+02:00",
    };
    for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++) {
        assert_false(aws_parse_time(wrong[i], &ms));
    }
}

static void test_ids_and_regions(void **state) {
    (void)state;
    assert_true(aws_is_id("Z1234567890ABC", 32));
    assert_false(aws_is_id("", 32));
    assert_false(aws_is_id("Z/../x", 32));
    assert_false(aws_is_id("Z1?a=b", 32));
    assert_true(aws_is_id("1234", 4));
    assert_false(aws_is_id("12345", 4));
    assert_true(aws_is_region("us-east-1"));
    assert_true(aws_is_region("us-gov-west-1"));
    static const char *const wrong[] = {
        "",          "east",        "us-east",    "us-east-1.evil",
        "US-EAST-1", "us-east-1/x", "-us-east-1", "us-east-1-us-east-1-us-east-1-us-1"};
    for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++) {
        assert_false(aws_is_region(wrong[i]));
    }
}

static void test_cut_characters(void **state) {
    (void)state;
    static const struct {
        const char *before, *after;
    } table[] = {
        {"", ""},
        {"abc", "abc"},
        {"a\xc3\xbc", "a\xc3\xbc"},
        {"a\xc3", "a"},
        {"a\xe2\x98", "a"},
        {"a\xe2\x98\x83", "a\xe2\x98\x83"},
        {"a\xf0\x9f\x9a", "a"},
        {"a\xf0\x9f\x9a\x80", "a\xf0\x9f\x9a\x80"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(table); i++) {
        char text[16];
        assert_true(TEXT_COPY(text, table[i].before));
        aws_cut_utf8(text);
        assert_string_equal(text, table[i].after);
    }
}

static void test_fence_text(void **state) {
    (void)state;
    assert_true(driver_fence_is_valid("prod/nocturnal/17.8/3"));
    assert_true(driver_fence_is_valid("void(prod/nocturnal/17.8/3)"));
    assert_false(driver_fence_is_valid(""));
    assert_false(driver_fence_is_valid("a b"));
    assert_false(driver_fence_is_valid("a\"b"));
    assert_false(driver_fence_is_valid("a\\b"));
    assert_false(driver_fence_is_valid("\xc3\xbc"));
    char fence[DRIVER_FENCE_MAX + 1];
    memset(fence, 'x', sizeof fence);
    fence[DRIVER_FENCE_MAX - 1] = '\0';
    assert_true(driver_fence_is_valid(fence));
    fence[DRIVER_FENCE_MAX - 1] = 'x';
    fence[DRIVER_FENCE_MAX] = '\0';
    assert_false(driver_fence_is_valid(fence));
}

#define ERROR_BODY(code, message)                                                                  \
    "<?xml version=\"1.0\"?><ErrorResponse "                                                       \
    "xmlns=\"https://x/\"><Error><Type>Sender</Type><Code>" code "</Code><Message>" message        \
    "</Message></Error><RequestId>1</RequestId></ErrorResponse>"

static void test_error_classes(void **state) {
    (void)state;
    static const struct {
        long status;
        const char *body;
        enum aws_error_class class;
        enum error_code code;
    } table[] = {
        {400, ERROR_BODY("Throttling", "Rate exceeded"), AWS_ERROR_THROTTLED, ERROR_UNAVAILABLE},
        {503, ERROR_BODY("SlowDown", ""), AWS_ERROR_THROTTLED, ERROR_UNAVAILABLE},
        {429, "", AWS_ERROR_THROTTLED, ERROR_UNAVAILABLE},
        {400, ERROR_BODY("PriorRequestNotComplete", ""), AWS_ERROR_BUSY, ERROR_UNAVAILABLE},
        {403, ERROR_BODY("RequestExpired", ""), AWS_ERROR_SKEWED, ERROR_DENIED},
        {403, ERROR_BODY("SignatureDoesNotMatch", "Signature expired: 1 is now earlier than 2"),
         AWS_ERROR_SKEWED, ERROR_DENIED},
        {403, ERROR_BODY("SignatureDoesNotMatch", "Signature not yet current: 1"), AWS_ERROR_SKEWED,
         ERROR_DENIED},
        {403, ERROR_BODY("SignatureDoesNotMatch", "check your secret"), AWS_ERROR_SIGNATURE,
         ERROR_DENIED},
        {400, ERROR_BODY("InvalidSignatureException", ""), AWS_ERROR_SIGNATURE, ERROR_DENIED},
        {403, ERROR_BODY("RequestTimeTooSkewed", ""), AWS_ERROR_SKEWED, ERROR_DENIED},
        {403, ERROR_BODY("ExpiredToken", ""), AWS_ERROR_CREDENTIALS, ERROR_DENIED},
        {403, ERROR_BODY("InvalidClientTokenId", ""), AWS_ERROR_CREDENTIALS, ERROR_DENIED},
        {403, ERROR_BODY("AccessDenied", ""), AWS_ERROR_DENIED, ERROR_DENIED},
        {403, ERROR_BODY("SomethingNew", ""), AWS_ERROR_DENIED, ERROR_DENIED},
        {404, ERROR_BODY("NoSuchHostedZone", ""), AWS_ERROR_NOT_FOUND, ERROR_NOT_FOUND},
        {404, ERROR_BODY("NoSuchChange", ""), AWS_ERROR_NOT_FOUND, ERROR_NOT_FOUND},
        {400, ERROR_BODY("InvalidInput", ""), AWS_ERROR_INVALID, ERROR_INVALID},
        {400, ERROR_BODY("SomethingNew", ""), AWS_ERROR_INVALID, ERROR_INVALID},
        {500, ERROR_BODY("InternalFailure", ""), AWS_ERROR_SERVER, ERROR_UNAVAILABLE},
        {502, "<html>bad gateway</html>", AWS_ERROR_SERVER, ERROR_UNAVAILABLE},
        {503, "", AWS_ERROR_SERVER, ERROR_UNAVAILABLE},
        {400, "no XML", AWS_ERROR_STRANGE, ERROR_PROTOCOL},
        {403, "<html><body>proxy says no</body></html>", AWS_ERROR_STRANGE, ERROR_PROTOCOL},
        {301, "", AWS_ERROR_STRANGE, ERROR_PROTOCOL},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(table); i++) {
        struct aws_error error;
        aws_error_read(table[i].status, table[i].body, strlen(table[i].body), &error);
        assert_int_equal(error.class, table[i].class);
        assert_int_equal(aws_error_code(error.class), table[i].code);
        assert_true(error.message[0] != '\0');
    }
    for (int class = 0; class < AWS_ERROR_CLASS_COUNT; class ++) {
        assert_int_not_equal(aws_error_code((enum aws_error_class) class), ERROR_OK);
    }
}

static void test_invalid_change_batch_in_both_shapes(void **state) {
    (void)state;
    static const char *const bodies[] = {
        "<InvalidChangeBatch xmlns=\"https://x/\"><Messages><Message>first</Message>"
        "<Message>second</Message><Message>third</Message></Messages></InvalidChangeBatch>",
        "<ErrorResponse><Error><Code>InvalidChangeBatch</Code><Messages><Message>first</Message>"
        "<Message>second</Message></Messages><Message>other</Message></Error></ErrorResponse>",
        "<ErrorResponse><Error><Code>InvalidChangeBatch</Code>"
        "<Message>first; second</Message></Error></ErrorResponse>",
    };
    for (size_t i = 0; i < ARRAY_LENGTH(bodies); i++) {
        struct aws_error error;
        aws_error_read(400, bodies[i], strlen(bodies[i]), &error);
        assert_int_equal(error.class, AWS_ERROR_CONFLICT);
        assert_string_equal(error.code, "InvalidChangeBatch");
        assert_string_equal(error.message, "first; second");
    }
}

static void test_long_messages_are_cut_between_characters(void **state) {
    (void)state;
    struct buffer body;
    buffer_init(&body, 0);
    buffer_append_text(&body, "<ErrorResponse><Error><Code>InvalidInput</Code><Message>x");
    for (int i = 0; i < 300; i++) {
        buffer_append_text(&body, "\xc3\xbc");
    }
    buffer_append_text(&body, "</Message></Error></ErrorResponse>");
    struct aws_error error;
    aws_error_read(400, body.data, body.size_bytes, &error);
    buffer_finish(&body);
    assert_true(strlen(error.message) >= 250);
    assert_true(text_is_utf8(error.message, strlen(error.message)));
}

static void test_endpoints(void **state) {
    (void)state;
    static const struct {
        const char *url;
        bool link_local, ok;
    } table[] = {
        {"https://route53.amazonaws.com", false, true},
        {"https://proxy.internal:8443/aws", false, true},
        {"http://127.0.0.1:1234", false, true},
        {"http://127.9.9.9", false, true},
        {"http://localhost:1", false, true},
        {"http://[::1]:80", false, true},
        {"http://route53.amazonaws.com", false, false},
        {"http://10.0.0.1", false, false},
        {"http://127.0.0.1.evil.com", false, false},
        {"http://localhost.evil.com", false, false},
        {"http://127.0.0.1@evil.com/", false, false},
        {"http://169.254.169.254", false, false},
        {"http://169.254.169.254", true, true},
        {"http://[fd00:ec2::254]", true, true},
        {"http://[fd00:ec2::254]", false, false},
        {"http://[fd00:ec3::254]", true, false},
        {"http://10.0.0.1", true, false},
        {"ftp://127.0.0.1", false, false},
        {"https://user:secret@host", false, false},
        {"https://host/?a=b", false, false},
        {"https://host/#x", false, false},
        {"not a url", false, false},
        {"", false, false},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(table); i++) {
        struct error error;
        assert_int_equal(http_check_url(table[i].url, table[i].link_local, &error) == ERROR_OK,
                         table[i].ok);
    }
}

static void test_endpoint_from_the_environment(void **state) {
    (void)state;
    char url[AWS_URL_SIZE];
    struct error error;
    unsetenv("AWS_ENDPOINT_URL");
    unsetenv("AWS_ENDPOINT_URL_STS");
    assert_int_equal(aws_endpoint_find("STS", "https://sts.x.com", url, &error), ERROR_OK);
    assert_string_equal(url, "https://sts.x.com");
    setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1/", 1);
    assert_int_equal(aws_endpoint_find("STS", "https://sts.x.com", url, &error), ERROR_OK);
    assert_string_equal(url, "http://127.0.0.1:1");
    setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:2/a//", 1);
    assert_int_equal(aws_endpoint_find("STS", "https://sts.x.com", url, &error), ERROR_OK);
    assert_string_equal(url, "http://127.0.0.1:2/a");
    setenv("AWS_ENDPOINT_URL_STS", "http://example.com", 1);
    assert_int_equal(aws_endpoint_find("STS", "https://sts.x.com", url, &error), ERROR_INVALID);
    assert_non_null(strstr(error.message, "AWS_ENDPOINT_URL_STS"));
    assert_string_equal(url, "http://127.0.0.1:2/a");
    unsetenv("AWS_ENDPOINT_URL");
    unsetenv("AWS_ENDPOINT_URL_STS");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_query_is_sorted_and_encoded),
        cmocka_unit_test(test_time),
        cmocka_unit_test(test_ids_and_regions),
        cmocka_unit_test(test_cut_characters),
        cmocka_unit_test(test_fence_text),
        cmocka_unit_test(test_error_classes),
        cmocka_unit_test(test_invalid_change_batch_in_both_shapes),
        cmocka_unit_test(test_long_messages_are_cut_between_characters),
        cmocka_unit_test(test_endpoints),
        cmocka_unit_test(test_endpoint_from_the_environment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
