/* Credentials in memory: every source over HTTP, renewal before the end, last good ones kept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/text.h"
#include "credentials.h"
#include "stub_server.h"

#define ROLE "arn:aws:iam::111122223333:role/noctua-dns"

enum { HOUR_MS = 3600 * 1000 };

static struct {
    uv_loop_t loop;
    struct stub_server server;
    struct aws_http *http;
    struct credentials *credentials;
    uint64_t boottime_ms;
    bool closed;
    /* What the server does. */
    int status;           /* of the call that gives credentials; 0: never answered */
    const char *expires;  /* by the clock of STUB_DATE */
    unsigned given;       /* so many sets of keys */
    char last_body[1024]; /* of the last POST */
    char last_headers[2048];
    char token_file[64];
} test;

struct outcome {
    unsigned count;
    struct error error;
    struct aws_keys keys;
    bool done;
};

static uint64_t test_boottime_ms(void *context) {
    (void)context;
    return test.boottime_ms;
}

static uint64_t test_wall_ms(void *context) {
    (void)context;
    return 12345; /* far off: only the issuer's clock may count */
}

static const struct clock test_clock = {test_boottime_ms, test_wall_ms, NULL};

static void reply_json(struct buffer *reply) {
    char body[512];
    (void)snprintf(body, sizeof body,
                   "{\"Code\":\"Success\",\"AccessKeyId\":\"LOCAL%u\",\"SecretAccessKey\":\"s\","
                   "\"Token\":\"t\",\"Expiration\":\"%s\"}",
                   ++test.given, test.expires);
    stub_reply(reply, 200, body);
}

static void reply_sts(struct buffer *reply, const char *action) {
    char body[1024];
    (void)snprintf(body, sizeof body,
                   "<%sResponse><%sResult><Credentials><AccessKeyId>STS%u</AccessKeyId>"
                   "<SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>"
                   "<Expiration>%s</Expiration></Credentials></%sResult></%sResponse>",
                   action, action, ++test.given, test.expires, action, action);
    stub_reply(reply, 200, body);
}

static bool answer(void *context, const struct stub_request *request, struct buffer *reply) {
    (void)context;
    const char *path = request->path;
    (void)snprintf(test.last_headers, sizeof test.last_headers, "%s", request->headers);
    bool imds_token = strcasestr(request->headers, "x-aws-ec2-metadata-token: TOKEN\r\n") != NULL;
    if (text_equal(path, "/latest/api/token") && text_equal(request->method, "PUT") &&
        strcasestr(request->headers, "x-aws-ec2-metadata-token-ttl-seconds:") != NULL) {
        stub_reply(reply, 200, "TOKEN");
        return true;
    }
    if (text_starts_with(path, "/latest/") && !imds_token) {
        stub_reply(reply, 401, "");
        return true;
    }
    if (text_equal(path, "/latest/meta-data/iam/security-credentials/")) {
        stub_reply(reply, 200, "my-role\n");
        return true;
    }
    if (test.status == 0) {
        return true;
    }
    if (test.status != 200) {
        stub_reply(reply, test.status,
                   "<ErrorResponse><Error><Code>AccessDenied</Code><Message>no role for you"
                   "</Message></Error></ErrorResponse>");
    } else if (text_equal(request->method, "POST")) {
        (void)snprintf(test.last_body, sizeof test.last_body, "%s", request->body);
        bool web = strstr(request->body, "WebIdentity") != NULL;
        reply_sts(reply, web ? "AssumeRoleWithWebIdentity" : "AssumeRole");
    } else {
        reply_json(reply);
    }
    return true;
}

static void clear_environment(void) {
    static const char *const names[] = {
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_PROFILE",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
        "AWS_ROLE_ARN",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
        "AWS_EC2_METADATA_DISABLED",
        "AWS_CA_BUNDLE",
    };
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
        unsetenv(names[i]);
    }
    setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent/credentials", 1);
    setenv("AWS_CONFIG_FILE", "/nonexistent/config", 1);
}

static int set_up(void **state) {
    (void)state;
    memset(&test, 0, sizeof test);
    test.boottime_ms = 1000000;
    test.status = 200;
    test.expires = "2026-11-23T22:03:05Z"; /* an hour after STUB_DATE */
    clear_environment();
    uv_loop_init(&test.loop);
    stub_server_start(&test.server, &test.loop, answer, NULL);
    setenv("AWS_ENDPOINT_URL_STS", test.server.url, 1);
    setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", test.server.url, 1);
    assert_int_equal(aws_http_create(&test.loop, &test_clock, &test.http, NULL), ERROR_OK);
    struct credentials_options options = {
        .loop = &test.loop,
        .clock = &test_clock,
        .entropy = &entropy_system,
        .http = test.http,
        .node = "n1",
        .region = "us-west-2",
    };
    assert_int_equal(credentials_create(&options, &test.credentials, NULL), ERROR_OK);
    (void)TEXT_COPY(test.token_file, "/tmp/driver-token-XXXXXX");
    int file = mkstemp(test.token_file);
    assert_true(file >= 0);
    assert_int_equal(write(file, "file-token\n", 11), 11);
    close(file);
    return 0;
}

static void on_credentials_closed(void *context) {
    (void)context;
    test.closed = true;
}

static void on_http_closed(void *context) {
    credentials_close(test.credentials, on_credentials_closed, context);
}

static void close_all(void) {
    if (!test.closed) {
        credentials_stop(test.credentials);
        aws_http_close(test.http, on_http_closed, NULL);
        run_until(&test.loop, &test.closed);
    }
}

static int tear_down(void **state) {
    (void)state;
    close_all();
    stub_server_stop(&test.server);
    uv_run(&test.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&test.loop), 0);
    unlink(test.token_file);
    return 0;
}

static bool inside_get;

static void on_keys(void *context, const struct error *error, const struct aws_keys *keys) {
    struct outcome *outcome = context;
    assert_false(inside_get);
    assert_true((error == NULL) != (keys == NULL));
    outcome->done = true;
    outcome->count++;
    if (error != NULL) {
        outcome->error = *error;
    }
    if (keys != NULL) {
        outcome->keys = *keys;
    }
}

static void begin(struct outcome *outcome, const char *role, const char *external_id) {
    memset(outcome, 0, sizeof *outcome);
    inside_get = true;
    credentials_get(test.credentials, role, external_id, on_keys, outcome);
    inside_get = false;
}

static void get(struct outcome *outcome, const char *role, const char *external_id) {
    begin(outcome, role, external_id);
    run_until(&test.loop, &outcome->done);
    assert_int_equal(outcome->count, 1);
}

static void assert_keys(const char *role, const char *access_key_id) {
    struct outcome o;
    get(&o, role, "");
    assert_string_equal(o.error.message, "");
    assert_string_equal(o.keys.access_key_id, access_key_id);
}

static void assert_fails(enum error_code code, const char *words) {
    struct outcome o;
    get(&o, "", "");
    assert_int_equal(o.error.code, code);
    assert_non_null(strstr(o.error.message, words));
}

static void set_static_keys(void) {
    setenv("AWS_ACCESS_KEY_ID", "AKIAENV", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
}

static void test_environment(void **state) {
    (void)state;
    setenv("AWS_ACCESS_KEY_ID", "AKIAENV", 1);
    assert_fails(ERROR_INVALID, "only one of");
    setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
    setenv("AWS_SESSION_TOKEN", "token", 1);
    struct outcome o;
    test.boottime_ms += HOUR_MS;
    get(&o, "", "ignored for the node's own");
    assert_string_equal(o.keys.secret_access_key, "secret");
    assert_string_equal(o.keys.session_token, "token");
    assert_int_equal(test.server.requests, 0);
}

static void test_a_profile_that_is_not_there(void **state) {
    (void)state;
    setenv("AWS_PROFILE", "nobody", 1);
    assert_fails(ERROR_NOT_FOUND, "nobody");
    assert_int_equal(test.server.requests, 0); /* and nobody else's identity is taken */
}

static void test_web_identity(void **state) {
    (void)state;
    setenv("AWS_ROLE_ARN", ROLE, 1);
    setenv("AWS_WEB_IDENTITY_TOKEN_FILE", test.token_file, 1);
    assert_keys("", "STS1");
    assert_non_null(strstr(test.last_body, "Action=AssumeRoleWithWebIdentity&"));
    assert_non_null(strstr(test.last_body, "RoleSessionName=noctua-n1"));
    assert_non_null(strstr(test.last_body, "WebIdentityToken=file-token"));
    assert_null(strcasestr(test.last_headers, "authorization:"));
}

static void test_web_identity_without_its_file(void **state) {
    (void)state;
    setenv("AWS_ROLE_ARN", ROLE, 1);
    setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/nonexistent/token", 1);
    assert_fails(ERROR_NOT_FOUND, "/nonexistent/token");
}

static void test_container(void **state) {
    (void)state;
    char url[128];
    (void)snprintf(url, sizeof url, "%s/creds?id=1", test.server.url);
    setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url, 1);
    setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "plain", 1);
    assert_keys("", "LOCAL1");
    assert_non_null(strcasestr(test.last_headers, "authorization: plain\r\n"));
    setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", test.token_file, 1);
    credentials_distrust(test.credentials, "", "");
    assert_keys("", "LOCAL2");
    assert_non_null(strcasestr(test.last_headers, "authorization: file-token\r\n"));
}

static void test_container_elsewhere_is_refused(void **state) {
    (void)state;
    setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://example.com/creds", 1);
    setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "plain", 1);
    assert_fails(ERROR_INVALID, "https");
}

static void test_instance_metadata(void **state) {
    (void)state;
    assert_keys("", "LOCAL1");
    assert_int_equal(test.server.requests, 3);
}

static void test_instance_metadata_switched_off(void **state) {
    (void)state;
    setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
    assert_fails(ERROR_NOT_FOUND, "no AWS credentials");
    assert_int_equal(test.server.requests, 0);
}

static void test_no_instance_metadata(void **state) {
    (void)state;
    setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1", 1);
    assert_fails(ERROR_UNAVAILABLE, "no AWS credentials");
}

static void test_role(void **state) {
    (void)state;
    struct outcome o;
    set_static_keys();
    get(&o, ROLE, "ext id");
    assert_string_equal(o.keys.access_key_id, "STS1");
    assert_non_null(strstr(test.last_body, "Action=AssumeRole&"));
    assert_non_null(strstr(test.last_body, "ExternalId=ext%20id"));
    assert_non_null(strstr(test.last_body, "RoleSessionName=noctua-n1"));
    assert_non_null(strcasestr(test.last_headers, "/us-west-2/sts/aws4_request"));
    get(&o, ROLE, "another");
    assert_string_equal(o.keys.access_key_id, "STS2");
    get(&o, ROLE, "ext id");
    assert_string_equal(o.keys.access_key_id, "STS1");
    get(&o, "arn:aws:iam::1:role/y", "");
    assert_null(strstr(test.last_body, "ExternalId"));
    setenv("AWS_REGION", "eu-west-1", 1);
    get(&o, "arn:aws:iam::1:role/z", "");
    assert_non_null(strcasestr(test.last_headers, "/eu-west-1/sts/aws4_request"));
}

static void test_many_ask_one_fetch(void **state) {
    (void)state;
    struct outcome outcomes[20];
    set_static_keys();
    for (size_t i = 0; i < ARRAY_LENGTH(outcomes); i++) {
        begin(&outcomes[i], ROLE, "");
    }
    for (size_t i = 0; i < ARRAY_LENGTH(outcomes); i++) {
        run_until(&test.loop, &outcomes[i].done);
        assert_string_equal(outcomes[i].keys.access_key_id, "STS1");
    }
    assert_int_equal(test.server.requests, 1);
}

static bool second_is_given;

static bool answer_and_note(void *context, const struct stub_request *request,
                            struct buffer *reply) {
    bool keep = answer(context, request, reply);
    second_is_given = test.given >= 2;
    return keep;
}

static void test_renewed_before_the_end(void **state) {
    (void)state;
    set_static_keys();
    test.server.answer = answer_and_note;
    second_is_given = false;
    assert_keys(ROLE, "STS1");
    test.boottime_ms += HOUR_MS / 2;
    assert_keys(ROLE, "STS1");
    assert_int_equal(test.given, 1);
    test.boottime_ms += HOUR_MS * 3 / 10; /* beyond three quarters */
    assert_keys(ROLE, "STS1");            /* at once, while new ones are on their way */
    run_until(&test.loop, &second_is_given);
    while (true) {
        struct outcome o;
        get(&o, ROLE, "");
        if (text_equal(o.keys.access_key_id, "STS2")) {
            break;
        }
    }
    assert_int_equal(test.given, 2);
}

static void test_last_good_ones_are_kept(void **state) {
    (void)state;
    set_static_keys();
    assert_keys(ROLE, "STS1");
    test.status = 503;
    test.boottime_ms += 2 * HOUR_MS; /* long past their end */
    assert_keys(ROLE, "STS1");
    assert_keys(ROLE, "STS1");
    test.status = 200;
    test.boottime_ms += HOUR_MS; /* past the pause between tries */
    assert_keys(ROLE, "STS2");
}

static void test_distrusted_ones_are_fetched_anew(void **state) {
    (void)state;
    set_static_keys();
    assert_keys(ROLE, "STS1");
    credentials_distrust(test.credentials, ROLE, "");
    assert_keys(ROLE, "STS2");
    test.status = 403;
    credentials_distrust(test.credentials, ROLE, "");
    assert_keys(ROLE, "STS2");
}

static void test_failure_says_why_and_pauses(void **state) {
    (void)state;
    struct outcome o;
    set_static_keys();
    test.status = 403;
    get(&o, ROLE, "");
    assert_int_equal(o.error.code, ERROR_DENIED);
    assert_non_null(strstr(o.error.message, "no role for you"));
    unsigned requests = test.server.requests;
    get(&o, ROLE, "");
    assert_int_equal(o.error.code, ERROR_DENIED);
    assert_int_equal(test.server.requests, requests); /* not again within the same moment */
    test.status = 200;
    test.boottime_ms += HOUR_MS;
    assert_keys(ROLE, "STS1");
}

static void test_exchanged_files_are_seen(void **state) {
    (void)state;
    set_static_keys();
    assert_keys("", "AKIAENV");
    setenv("AWS_ACCESS_KEY_ID", "AKIANEW", 1);
    assert_keys("", "AKIAENV");
    test.boottime_ms += HOUR_MS;
    struct outcome o;
    get(&o, "", "");
    get(&o, "", "");
    assert_string_equal(o.keys.access_key_id, "AKIANEW");
}

static void test_close_with_a_fetch_under_way(void **state) {
    (void)state;
    struct outcome role, own;
    set_static_keys();
    test.status = 0;
    begin(&role, ROLE, "");
    bool asked = false;
    for (int i = 0; i < 100 && !asked; i++) {
        uv_run(&test.loop, UV_RUN_NOWAIT);
        asked = test.server.requests > 0;
    }
    begin(&own, "arn:aws:iam::1:role/later", "");
    close_all();
    assert_int_equal(role.count, 1);
    assert_int_equal(role.error.code, ERROR_CANCELLED);
    assert_int_equal(own.count, 1);
    assert_int_equal(own.error.code, ERROR_CANCELLED);
}

static void test_more_roles_than_are_kept(void **state) {
    (void)state;
    struct outcome o;
    set_static_keys();
    for (int i = 0; i < CREDENTIALS_ROLE_MAX + 10; i++) {
        char role[64];
        (void)snprintf(role, sizeof role, "arn:aws:iam::1:role/r%d", i);
        test.boottime_ms++;
        get(&o, role, "");
        assert_int_equal(o.error.code, ERROR_OK);
        assert_int_equal(test.given, i + 1);
    }
    get(&o, "arn:aws:iam::1:role/r20", "");
    assert_int_equal(test.given, CREDENTIALS_ROLE_MAX + 10);
    get(&o, "arn:aws:iam::1:role/r0", ""); /* was idle longest */
    assert_int_equal(test.given, CREDENTIALS_ROLE_MAX + 11);
}

static void highest(void *context, void *bytes, size_t size_bytes) {
    (void)context;
    memset(bytes, 0, size_bytes);
}

static void test_when_to_renew(void **state) {
    (void)state;
    const struct entropy none = {highest, NULL}; /* draws 0: no jitter */
    assert_int_equal(credentials_renew_after_ms(0, &none), 0);
    assert_int_equal(credentials_renew_after_ms(HOUR_MS, &none), HOUR_MS / 4 * 3);
    assert_int_equal(credentials_renew_after_ms(12 * HOUR_MS, &none), 9 * HOUR_MS);
    assert_int_equal(credentials_renew_after_ms(600000, &none), 300000);
    assert_int_equal(credentials_renew_after_ms(300000, &none), 225000);
    for (int i = 0; i < 1000; i++) {
        uint64_t after_ms = credentials_renew_after_ms(HOUR_MS, &entropy_system);
        assert_in_range(after_ms, HOUR_MS / 4 * 3 * 9 / 10, HOUR_MS / 4 * 3);
    }
}

int main(void) {
    log_configure(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, "n1");
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_environment),
        TEST(test_a_profile_that_is_not_there),
        TEST(test_web_identity),
        TEST(test_web_identity_without_its_file),
        TEST(test_container),
        TEST(test_container_elsewhere_is_refused),
        TEST(test_instance_metadata),
        TEST(test_instance_metadata_switched_off),
        TEST(test_no_instance_metadata),
        TEST(test_role),
        TEST(test_many_ask_one_fetch),
        TEST(test_renewed_before_the_end),
        TEST(test_last_good_ones_are_kept),
        TEST(test_distrusted_ones_are_fetched_anew),
        TEST(test_failure_says_why_and_pauses),
        TEST(test_exchanged_files_are_seen),
        TEST(test_close_with_a_fetch_under_way),
        TEST(test_more_roles_than_are_kept),
        cmocka_unit_test(test_when_to_renew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
