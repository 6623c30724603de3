/* Requests, replies, records and credentials, when memory runs out in the middle. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "aws_error.h"
#include "base/text.h"
#include "credential.h"
#include "failing.h"
#include "records.h"
#include "route53_reader.h"
#include "route53_wire.h"

#define A_AFTER SET(NAME_TYPE("nocturnal.com.", "A") "<TTL>60</TTL>" VALUES(VALUE("192.0.2.2")))
#define FENCE(text) SET_FENCE("60", VALUE("&quot;" text "&quot;"))
#define PAGE(sets)                                                                                 \
    "<ListResourceRecordSetsResponse><ResourceRecordSets>" sets                                    \
    "</ResourceRecordSets><IsTruncated>false</IsTruncated><MaxItems>300</MaxItems>"                \
    "</ListResourceRecordSetsResponse>"

static struct driver_target target;
static struct driver_blob before, after;
static struct driver_reading reading;
static char diff[ROUTE53_DIFF_MAX];

static bool is_memory(enum error_code code, const struct error *error) {
    if (code != ERROR_OK && code != ERROR_NO_MEMORY) {
        fail_msg("%s", error->message);
    }
    return code == ERROR_OK;
}

static bool changes(void) {
    struct driver_change change = {
        .fence_before = "t/s/1.1/1",
        .fence_after = "t/s/1.2/1",
        .state_before = &before,
        .state_after = &after,
        .comment = "s/1.2/1",
    };
    struct buffer body = {.data = NULL};
    struct error error;
    bool done = is_memory(route53_write_change(&target, &change, &body, &error), &error);
    assert_true(done || body.data == NULL);
    buffer_finish(&body);
    return done;
}

static bool desired(void) {
    struct route53_value value = {.action = ROUTE53_VALUES, .text = "192.0.2.9\n192.0.2.8"};
    struct error error;
    return is_memory(route53_desired(&target, &before, &value, 1, &after, diff, &error), &error);
}

static bool listings(void) {
    static const char body[] = PAGE(FENCE("t/s/1.1/1") SET_A);
    struct route53_reader *reader = NULL;
    struct route53_page page;
    struct error error;
    bool done = is_memory(route53_reader_create(&target, &reader, &error), &error);
    for (bool end = false; done && !end;) {
        struct route53_query query;
        route53_reader_next(reader, &query);
        done = is_memory(route53_read_page(body, sizeof body - 1, &page, &error), &error);
        if (done) {
            done = is_memory(route53_reader_take(reader, &page, &end, &error), &error);
            route53_page_finish(&page);
        }
    }
    if (done) {
        route53_reader_result(reader, &reading);
        assert_string_equal(reading.fence, "t/s/1.1/1");
    }
    route53_reader_destroy(reader);
    return done;
}

static bool change_infos(void) {
    static const char body[] =
        "<ChangeResourceRecordSetsResponse><ChangeInfo><Id>/change/C1</Id><Status>PENDING</Status>"
        "<SubmittedAt>2026-01-01T00:00:00Z</SubmittedAt><Comment>s/1.2/1</Comment></ChangeInfo>"
        "</ChangeResourceRecordSetsResponse>";
    struct route53_change_info info;
    struct error error;
    bool done = is_memory(route53_read_change_info(body, sizeof body - 1, &info, &error), &error);
    if (done) {
        assert_string_equal(info.id, "C1");
    }
    return done;
}

/* What can't be read is taken as something strange, which decides nothing. */
static bool refusals(void) {
    static const char body[] = "<ErrorResponse><Error><Code>Throttling</Code><Message>Rate exceeded"
                               "</Message></Error></ErrorResponse>";
    struct aws_error refused;
    aws_error_read(400, body, sizeof body - 1, &refused);
    assert_true(refused.class == AWS_ERROR_THROTTLED || refused.class == AWS_ERROR_STRANGE);
    return refused.class == AWS_ERROR_THROTTLED;
}

static bool container_keys(void) {
    static const char body[] = "{\"AccessKeyId\":\"AKIDEXAMPLE\",\"SecretAccessKey\":\"secret\","
                               "\"Token\":\"token\",\"Expiration\":\"2026-11-29T12:00:00Z\"}";
    struct credential credential;
    struct error error;
    enum error_code code = credential_read_json(body, sizeof body - 1, &credential, &error);
    /* jansson takes its own want of memory for a mistake in the text. */
    return code != ERROR_PROTOCOL && is_memory(code, &error);
}

static bool role_keys(void) {
    static const char body[] =
        "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>AKIDEXAMPLE</AccessKeyId>"
        "<SecretAccessKey>secret</SecretAccessKey><SessionToken>token</SessionToken>"
        "<Expiration>2026-11-29T12:00:00Z</Expiration></Credentials></AssumeRoleResult>"
        "</AssumeRoleResponse>";
    struct credential credential;
    struct error error;
    return is_memory(credential_read_sts(body, sizeof body - 1, &credential, &error), &error);
}

static bool profiles(void) {
    static const char text[] = "[default]\naws_access_key_id = AKIDEXAMPLE\n"
                               "aws_secret_access_key = secret\nregion = us-east-1\n";
    struct aws_profile profile;
    struct error error;
    memset(&profile, 0, sizeof profile);
    return is_memory(aws_profile_read(text, sizeof text - 1, AWS_PROFILE_CREDENTIALS, "credentials",
                                      "default", &profile, &error),
                     &error);
}

#define SCENARIO(function)                                                                         \
    static void test_##function(void **state) {                                                    \
        (void)state;                                                                               \
        (void)check_scenario(#function, function);                                                 \
    }

SCENARIO(changes)
SCENARIO(desired)
SCENARIO(listings)
SCENARIO(change_infos)
SCENARIO(refusals)
SCENARIO(container_keys)
SCENARIO(role_keys)
SCENARIO(profiles)

static int set_up(void **state) {
    (void)state;
    records_make_target(&target);
    records_add_key(&target, "nocturnal.com", "A", "");
    records_make_state(SET_A, &before);
    records_make_state(A_AFTER, &after);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_changes),   cmocka_unit_test(test_desired),
        cmocka_unit_test(test_listings),  cmocka_unit_test(test_change_infos),
        cmocka_unit_test(test_refusals),  cmocka_unit_test(test_container_keys),
        cmocka_unit_test(test_role_keys), cmocka_unit_test(test_profiles),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
