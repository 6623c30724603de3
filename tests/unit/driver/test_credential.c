/* Credentials in text: replies of the local services and of STS, the shared files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "base/text.h"
#include "credential.h"

#define JSON(id, secret, token, end)                                                               \
    "{\"Code\":\"Success\",\"AccessKeyId\":\"" id "\",\"SecretAccessKey\":\"" secret               \
    "\",\"Token\":\"" token "\",\"Expiration\":\"" end "\"}"
#define STS(action, inner)                                                                         \
    "<" action "Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><" action "Result>"   \
    "<Credentials>" inner "</Credentials></" action "Result></" action "Response>"
#define STS_KEYS                                                                                   \
    "<AccessKeyId>ASIA1</AccessKeyId><SecretAccessKey>s/+</SecretAccessKey>"                       \
    "<SessionToken>t==</SessionToken><Expiration>2026-11-23T21:03:05Z</Expiration>"
#define END "2026-11-23T21:03:05Z"
#define END_MS UINT64_C(1795467785000)

static enum error_code read_json(const char *text, struct credential *credential) {
    return credential_read_json(text, strlen(text), credential, NULL);
}

static enum error_code read_sts(const char *text, struct credential *credential) {
    return credential_read_sts(text, strlen(text), credential, NULL);
}

static void test_json(void **state) {
    (void)state;
    struct credential c;
    assert_int_equal(read_json(JSON("ASIA1", "s/+", "t==", END), &c), ERROR_OK);
    assert_string_equal(c.keys.access_key_id, "ASIA1");
    assert_string_equal(c.keys.secret_access_key, "s/+");
    assert_string_equal(c.keys.session_token, "t==");
    assert_true(c.expires);
    assert_int_equal(c.expires_wall_ms, END_MS);
    assert_int_equal(read_json("{\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"b\"}", &c), ERROR_OK);
    assert_false(c.expires);
    static const struct {
        const char *text;
        enum error_code code;
    } wrong[] = {
        {"", ERROR_PROTOCOL},
        {"[]", ERROR_PROTOCOL},
        {"{", ERROR_PROTOCOL},
        {"{}", ERROR_PROTOCOL},
        {"{\"Code\":\"Failed\"}", ERROR_UNAVAILABLE},
        {"{\"AccessKeyId\":1,\"SecretAccessKey\":\"b\"}", ERROR_PROTOCOL},
        {"{\"AccessKeyId\":\"\",\"SecretAccessKey\":\"b\"}", ERROR_PROTOCOL},
        {"{\"AccessKeyId\":\"a\",\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"b\"}", ERROR_PROTOCOL},
        {JSON("a", "b", "c", "soon"), ERROR_PROTOCOL},
        {JSON("a", "b", "c\\r\\nX-Evil: 1", END), ERROR_PROTOCOL},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++) {
        struct credential untouched = {.expires_wall_ms = 7};
        assert_int_equal(read_json(wrong[i].text, &untouched), wrong[i].code);
        assert_int_equal(untouched.expires_wall_ms, 7);
    }
}

static void test_token_at_the_limit_and_beyond(void **state) {
    (void)state;
    for (int extra = 0; extra <= 1; extra++) {
        struct buffer text;
        struct credential c;
        buffer_init(&text, 0);
        buffer_append_text(&text, "{\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"b\",\"Token\":\"");
        for (int i = 0; i < AWS_TOKEN_SIZE - 1 + extra; i++) {
            buffer_append_text(&text, "t");
        }
        buffer_append_text(&text, "\"}");
        assert_int_equal(read_json(text.data, &c), extra == 0 ? ERROR_OK : ERROR_LIMIT);
        buffer_finish(&text);
    }
}

static void test_sts(void **state) {
    (void)state;
    struct credential c;
    assert_int_equal(read_sts(STS("AssumeRole", STS_KEYS), &c), ERROR_OK);
    assert_string_equal(c.keys.session_token, "t==");
    assert_int_equal(c.expires_wall_ms, END_MS);
    assert_int_equal(read_sts(STS("AssumeRoleWithWebIdentity", STS_KEYS), &c), ERROR_OK);
    static const char *const wrong[] = {
        "",
        "<a/>",
        STS("AssumeRole", ""),
        STS("Other", STS_KEYS),
        STS("AssumeRole", "<AccessKeyId>a</AccessKeyId>"),
        "<AssumeRoleResponse><AssumeRoleResult/></AssumeRoleResponse>",
    };
    for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++) {
        assert_int_equal(read_sts(wrong[i], &c), ERROR_PROTOCOL);
    }
}

static struct aws_profile profile;
static struct error error;

static enum error_code read_file(enum aws_profile_file file, const char *name, const char *text) {
    return aws_profile_read(text, strlen(text), file, "file", name, &profile, &error);
}

static int set_up(void **state) {
    (void)state;
    memset(&profile, 0, sizeof profile);
    memset(&error, 0, sizeof error);
    return 0;
}

static void test_credentials_file(void **state) {
    (void)state;
    static const char text[] = "# comment\n; comment\n\n[default]\n"
                               "aws_access_key_id = AKIA0\naws_secret_access_key=zero\r\n"
                               "[other]\naws_access_key_id\t=\tAKIA1 \n"
                               "aws_secret_access_key = a=b/c+d==\naws_session_token = t\n"
                               "unknown_key = x\naws_access_key_id = again\n"
                               "[ spaced ]\naws_access_key_id = AKIA2";
    assert_int_equal(read_file(AWS_PROFILE_CREDENTIALS, "other", text), ERROR_OK);
    assert_true(profile.found);
    assert_string_equal(profile.keys.access_key_id, "AKIA1");
    assert_string_equal(profile.keys.secret_access_key, "a=b/c+d==");
    assert_string_equal(profile.keys.session_token, "t");
    set_up(NULL);
    assert_int_equal(read_file(AWS_PROFILE_CREDENTIALS, "default", text), ERROR_OK);
    assert_string_equal(profile.keys.secret_access_key, "zero");
    set_up(NULL);
    assert_int_equal(read_file(AWS_PROFILE_CREDENTIALS, "spaced", text), ERROR_OK);
    assert_string_equal(profile.keys.access_key_id, "AKIA2");
    set_up(NULL);
    assert_int_equal(read_file(AWS_PROFILE_CREDENTIALS, "none", text), ERROR_OK);
    assert_false(profile.found);
}

static void test_config_file(void **state) {
    (void)state;
    static const char text[] =
        "[default]\nregion = eu-west-1\n[profile dns]\nrole_arn = arn:aws:iam::1:role/x\n"
        "source_profile = base\nexternal_id = e\ns3 =\n  region = nested\n\tsource_profile = no\n"
        "region = us-west-2\n[dns]\nrole_arn = wrong\n[sso-session dns]\nregion = wrong\n"
        "[profile p]\ncredential_process = /bin/x --long\n[profile s]\nsso_start_url = https://x\n";
    assert_int_equal(read_file(AWS_PROFILE_CONFIG, "dns", text), ERROR_OK);
    assert_string_equal(profile.role_arn, "arn:aws:iam::1:role/x");
    assert_string_equal(profile.source_profile, "base");
    assert_string_equal(profile.external_id, "e");
    assert_string_equal(profile.region, "us-west-2");
    set_up(NULL);
    assert_int_equal(read_file(AWS_PROFILE_CONFIG, "default", text), ERROR_OK);
    assert_string_equal(profile.region, "eu-west-1");
    set_up(NULL);
    assert_int_equal(read_file(AWS_PROFILE_CONFIG, "p", text), ERROR_OK);
    assert_true(profile.credential_process[0] != '\0');
    set_up(NULL);
    assert_int_equal(read_file(AWS_PROFILE_CONFIG, "s", text), ERROR_OK);
    assert_true(profile.sso_session[0] != '\0');
}

static void test_the_credentials_file_wins(void **state) {
    (void)state;
    assert_int_equal(
        read_file(AWS_PROFILE_CREDENTIALS, "default", "[default]\naws_access_key_id = first\n"),
        ERROR_OK);
    assert_int_equal(read_file(AWS_PROFILE_CONFIG, "default",
                               "[default]\naws_access_key_id = second\nregion = us-east-1\n"),
                     ERROR_OK);
    assert_string_equal(profile.keys.access_key_id, "first");
    assert_string_equal(profile.region, "us-east-1");
}

static void test_file_errors_have_a_line(void **state) {
    (void)state;
    assert_int_equal(read_file(AWS_PROFILE_CREDENTIALS, "a", "[a]\n\nnonsense\n"), ERROR_INVALID);
    assert_non_null(strstr(error.message, "file:3"));
    assert_int_equal(read_file(AWS_PROFILE_CREDENTIALS, "a", "[a\n"), ERROR_INVALID);
    assert_non_null(strstr(error.message, "file:1"));
    char text[1024] = "[a]\nrole_arn = ";
    memset(text + strlen(text), 'x', 300);
    assert_int_equal(read_file(AWS_PROFILE_CREDENTIALS, "a", text), ERROR_LIMIT);
    assert_non_null(strstr(error.message, "role_arn"));
    assert_null(strstr(error.message, "xxx"));
    assert_int_equal(
        aws_profile_read("[a]\nx\0=y", 8, AWS_PROFILE_CONFIG, "file", "a", &profile, &error),
        ERROR_INVALID);
    static char endless[AWS_TOKEN_SIZE + 200];
    memset(endless, 'k', sizeof endless - 1);
    assert_int_equal(read_file(AWS_PROFILE_CREDENTIALS, "a", endless), ERROR_INVALID);
}

static void write_file(const char *path, const char *text) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void test_files_on_disk(void **state) {
    (void)state;
    char directory[] = "/tmp/driver-test-XXXXXX", path[128], fifo[128];
    assert_non_null(mkdtemp(directory));
    (void)snprintf(path, sizeof path, "%s/credentials", directory);
    (void)snprintf(fifo, sizeof fifo, "%s/fifo", directory);
    setenv("HOME", directory, 1);
    setenv("AWS_SHARED_CREDENTIALS_FILE", path, 1);
    unsetenv("AWS_CONFIG_FILE");
    assert_int_equal(aws_profile_load("default", &profile, &error), ERROR_OK);
    assert_false(profile.found);
    write_file(path, "[default]\naws_access_key_id = A\naws_secret_access_key = B\n");
    assert_int_equal(aws_profile_load("default", &profile, &error), ERROR_OK);
    assert_string_equal(profile.keys.access_key_id, "A");
    char *text = NULL;
    size_t size_bytes = 0;
    assert_int_equal(aws_file_read(path, 10, &text, &size_bytes, &error), ERROR_LIMIT);
    assert_int_equal(aws_file_read(directory, 10, &text, &size_bytes, &error), ERROR_IO);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    (void)aws_file_read(fifo, 10, &text, &size_bytes, &error); /* comes back */
    free(text);
    unsetenv("AWS_SHARED_CREDENTIALS_FILE");
    assert_int_equal(unlink(path) | unlink(fifo) | rmdir(directory), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_token_at_the_limit_and_beyond),
        cmocka_unit_test(test_sts),
        cmocka_unit_test_setup(test_credentials_file, set_up),
        cmocka_unit_test_setup(test_config_file, set_up),
        cmocka_unit_test_setup(test_the_credentials_file_wins, set_up),
        cmocka_unit_test_setup(test_file_errors_have_a_line, set_up),
        cmocka_unit_test_setup(test_files_on_disk, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
