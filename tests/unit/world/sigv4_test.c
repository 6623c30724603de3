/* Signatures: two requests that botocore signed, and every way to spoil them. */
#include <stdlib.h>
#include <string.h>

#include "world_kit.h"

#include "sigv4_verify.h"

/* 2026-11-23T03:07:41Z, when they were signed. */
#define SIGNED_AT_MS 1795403261000ULL
#define SCOPE "AKIDEXAMPLE/20261123/us-east-1/route53/aws4_request"

struct world_of_keys {
    struct credentials credentials;
    struct http_request plain;
    struct http_request with_token; /* signed by a key that has a token */
};

static const struct sigv4_scope route53 = {"route53", "us-east-1"};

static void make_request(struct http_request *request, const char *authorization,
                         const char *token) {
    http_request_init(request);
    free(request->method);
    free(request->path);
    free(request->query);
    request->method = strdup("GET");
    request->path = strdup("/2013-04-01/hostedzone/Z1/rrset");
    request->query = strdup("name=%5C052.a+b.com&type=A&maxitems=1");
    http_request_add_header(request, "host", "127.0.0.1:8080");
    http_request_add_header(request, "x-amz-date", "20261123T030741Z");
    if (token != NULL) {
        http_request_add_header(request, "x-amz-security-token", token);
    }
    http_request_add_header(request, "authorization", authorization);
}

static int setup(void **state) {
    struct world_of_keys *keys = test_calloc(1, sizeof(*keys));
    make_request(&keys->plain,
                 "AWS4-HMAC-SHA256 Credential=" SCOPE ", SignedHeaders=host;x-amz-date, Signature="
                 "52e4647efa49000d66db42911d127e9d5a6b5e2b2f0222ddafa70703967d4af5",
                 NULL);
    make_request(&keys->with_token,
                 "AWS4-HMAC-SHA256 Credential=" SCOPE
                 ", SignedHeaders=host;x-amz-date;x-amz-security-token, Signature="
                 "b30a62c95d813893ebacde31e9a4318dc1c65006f032b9abc7d17b82e1f6add3",
                 "tok/en+==");
    assert_int_equal(credentials_add_text(&keys->credentials,
                                          "AKIDEXAMPLE:wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
                                          NULL),
                     ERROR_OK);
    *state = keys;
    return 0;
}

static int teardown(void **state) {
    struct world_of_keys *keys = *state;
    credentials_finish(&keys->credentials);
    http_request_finish(&keys->plain);
    http_request_finish(&keys->with_token);
    test_free(keys);
    return 0;
}

/* "" when it is accepted, else the code of the refusal. */
static const char *verify(const struct world_of_keys *keys, const struct http_request *request,
                          uint64_t wall_ms) {
    static struct aws_refusal refusal;
    return sigv4_verify(request, &keys->credentials, &route53, wall_ms, &refusal) != NULL
               ? ""
               : refusal.code;
}

static void set_header(struct http_request *request, const char *name, const char *value) {
    for (size_t i = 0; i < request->header_count; i++) {
        if (strcmp(request->headers[i].name, name) == 0) {
            free(request->headers[i].value);
            request->headers[i].value = strdup(value);
            return;
        }
    }
    http_request_add_header(request, name, value);
}

static void test_good_signature(void **state) {
    const struct world_of_keys *keys = *state;
    assert_string_equal(verify(keys, &keys->plain, SIGNED_AT_MS), "");
}

static void test_token(void **state) {
    struct world_of_keys *keys = *state;
    /* The key on the list has no token. */
    assert_string_equal(verify(keys, &keys->with_token, SIGNED_AT_MS), "InvalidClientTokenId");
    assert_true(TEXT_COPY(keys->credentials.items[0]->token, "tok/en+=="));
    assert_string_equal(verify(keys, &keys->with_token, SIGNED_AT_MS), "");
    assert_string_equal(verify(keys, &keys->plain, SIGNED_AT_MS), "InvalidClientTokenId");
    keys->credentials.items[0]->expires_wall_ms = SIGNED_AT_MS;
    assert_string_equal(verify(keys, &keys->with_token, SIGNED_AT_MS), "ExpiredToken");
    assert_string_equal(verify(keys, &keys->with_token, SIGNED_AT_MS - 1), "");
}

static void test_unsigned_token_is_refused(void **state) {
    struct world_of_keys *keys = *state;
    assert_true(TEXT_COPY(keys->credentials.items[0]->token, "tok/en+=="));
    set_header(&keys->plain, "x-amz-security-token", "tok/en+==");
    assert_string_equal(verify(keys, &keys->plain, SIGNED_AT_MS), "SignatureDoesNotMatch");
}

static void test_every_part_is_signed(void **state) {
    struct world_of_keys *keys = *state;
    char **parts[] = {&keys->plain.method, &keys->plain.path, &keys->plain.query};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        char *kept = *parts[i];
        for (size_t at = 0; kept[at] != '\0'; at++) {
            char *spoiled = strdup(kept);
            spoiled[at] = 'Z';
            *parts[i] = spoiled;
            if (strcmp(spoiled, kept) != 0) {
                assert_string_equal(verify(keys, &keys->plain, SIGNED_AT_MS),
                                    "SignatureDoesNotMatch");
            }
            free(spoiled);
        }
        *parts[i] = kept;
    }
    free(keys->plain.body);
    keys->plain.body = strdup("x");
    keys->plain.body_bytes = 1;
    assert_string_equal(verify(keys, &keys->plain, SIGNED_AT_MS), "SignatureDoesNotMatch");
}

static void test_host_is_signed(void **state) {
    struct world_of_keys *keys = *state;
    set_header(&keys->plain, "host", "127.0.0.1:8081");
    assert_string_equal(verify(keys, &keys->plain, SIGNED_AT_MS), "SignatureDoesNotMatch");
}

static void test_time_bounds_a_signature(void **state) {
    const struct world_of_keys *keys = *state;
    struct aws_refusal refusal;
    const uint64_t skew_ms = SIGV4_SKEW_MAX_MS;
    assert_string_equal(verify(keys, &keys->plain, SIGNED_AT_MS + skew_ms), "");
    assert_string_equal(verify(keys, &keys->plain, SIGNED_AT_MS - skew_ms), "");
    assert_null(sigv4_verify(&keys->plain, &keys->credentials, &route53,
                             SIGNED_AT_MS + skew_ms + 1000, &refusal));
    assert_int_equal(refusal.status, 403);
    assert_string_equal(refusal.code, "SignatureDoesNotMatch");
    assert_string_equal(refusal.message, "Signature expired: 20261123T030741Z is now earlier than "
                                         "20261123T030742Z (20261123T031242Z - 5 min.)");
    assert_null(sigv4_verify(&keys->plain, &keys->credentials, &route53,
                             SIGNED_AT_MS - skew_ms - 1000, &refusal));
    assert_string_equal(refusal.message,
                        "Signature not yet current: 20261123T030741Z is still later than "
                        "20261123T030740Z (20261123T030240Z + 5 min.)");
}

static void test_scope(void **state) {
    const struct world_of_keys *keys = *state;
    const struct sigv4_scope sts = {"sts", NULL};
    const struct sigv4_scope elsewhere = {"route53", "us-west-2"};
    struct aws_refusal refusal;
    assert_null(sigv4_verify(&keys->plain, &keys->credentials, &sts, SIGNED_AT_MS, &refusal));
    assert_string_equal(refusal.message, "Credential should be scoped to correct service: 'sts'. ");
    assert_null(sigv4_verify(&keys->plain, &keys->credentials, &elsewhere, SIGNED_AT_MS, &refusal));
    assert_string_equal(refusal.message,
                        "Credential should be scoped to a valid region, not 'us-east-1'. ");
}

static void test_malformed_headers(void **state) {
    static const struct {
        const char *authorization;
        const char *code;
    } rows[] = {
        {"", "IncompleteSignature"},
        {"Basic abc", "IncompleteSignature"},
        {"AWS4-HMAC-SHA256 ", "IncompleteSignature"},
        {"AWS4-HMAC-SHA256 Credential=a", "IncompleteSignature"},
        {"AWS4-HMAC-SHA256 Credential=a, SignedHeaders=host, Signature=b", "IncompleteSignature"},
        {"AWS4-HMAC-SHA256 Credential=a/b/c/d/e, SignedHeaders=host, Signature=b",
         "IncompleteSignature"},
        {"AWS4-HMAC-SHA256 Credential=NOBODY/20261123/us-east-1/route53/aws4_request, "
         "SignedHeaders=host, Signature=b",
         "InvalidClientTokenId"},
        {"AWS4-HMAC-SHA256 Credential=" SCOPE ", SignedHeaders=, Signature=b",
         "SignatureDoesNotMatch"},
        {"AWS4-HMAC-SHA256 Credential=" SCOPE ", SignedHeaders=host, Signature=b",
         "SignatureDoesNotMatch"},
        {"AWS4-HMAC-SHA256 Credential=" SCOPE ", SignedHeaders=x-amz-date;host, Signature=b",
         "SignatureDoesNotMatch"},
        {"AWS4-HMAC-SHA256 Credential=" SCOPE ", SignedHeaders=host;x-amz-date, Signature=",
         "SignatureDoesNotMatch"},
    };
    struct world_of_keys *keys = *state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        set_header(&keys->plain, "authorization", rows[i].authorization);
        assert_string_equal(verify(keys, &keys->plain, SIGNED_AT_MS), rows[i].code);
    }
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_good_signature),
        TEST(test_token),
        TEST(test_unsigned_token_is_refused),
        TEST(test_every_part_is_signed),
        TEST(test_host_is_signed),
        TEST(test_time_bounds_a_signature),
        TEST(test_scope),
        TEST(test_malformed_headers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
