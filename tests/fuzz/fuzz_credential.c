/* Credentials of the local services (JSON), and the shared files of the AWS tools. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/text.h"
#include "credential.h"
#include "fuzz.h"

static void run_json(const char *body, size_t size) {
    struct credential credential, again;
    struct error error;
    fuzz_taint(&credential, sizeof credential);
    if (credential_read_json(body, size, &credential, &error) != ERROR_OK) {
        assert(fuzz_is_tainted(&credential, sizeof credential));
        return;
    }
    const struct aws_keys *keys = &credential.keys;
    json_t *object =
        json_pack("{s:s, s:s, s:s}", "AccessKeyId", keys->access_key_id, "SecretAccessKey",
                  keys->secret_access_key, "Token", keys->session_token);
    char *text = json_dumps(object, JSON_COMPACT);
    assert(text != NULL);
    assert(credential_read_json(text, strlen(text), &again, &error) == ERROR_OK);
    assert(text_equal(again.keys.access_key_id, keys->access_key_id));
    assert(text_equal(again.keys.secret_access_key, keys->secret_access_key));
    assert(text_equal(again.keys.session_token, keys->session_token));
    json_decref(object);
    free(text);
}

static void run_profile(const char *text, size_t size, enum aws_profile_file file) {
    static struct aws_profile profile, again;
    struct error error;
    memset(&profile, 0, sizeof profile);
    enum error_code code =
        aws_profile_read(text, size, file, "credentials", "main", &profile, &error);
    if (code != ERROR_OK) {
        assert(error.code == code);
        return;
    }
    /* What is there stays: a second reading of the same file adds nothing. */
    again = profile;
    assert(aws_profile_read(text, size, file, "credentials", "main", &again, &error) == ERROR_OK);
    assert(memcmp(&again, &profile, sizeof profile) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t mode = fuzz_take(&data, &size);
    if (mode % 3 == 0) {
        run_json((const char *)data, size);
    } else {
        run_profile((const char *)data, size,
                    mode % 3 == 1 ? AWS_PROFILE_CREDENTIALS : AWS_PROFILE_CONFIG);
    }
    return 0;
}
