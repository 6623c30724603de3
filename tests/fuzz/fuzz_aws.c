/* Other XML of AWS: what became of a change, errors of all services, credentials of STS. */
#include <assert.h>
#include <string.h>

#include "aws_error.h"
#include "aws_text.h"
#include "credential.h"
#include "fuzz.h"
#include "route53_wire.h"

static void run_change(const char *body, size_t size) {
    struct route53_change_info info;
    struct error error;
    fuzz_taint(&info, sizeof info);
    if (route53_read_change_info(body, size, &info, &error) != ERROR_OK) {
        assert(fuzz_is_tainted(&info, sizeof info));
        return;
    }
    assert(aws_is_id(info.id, sizeof info.id - 1) && fuzz_is_utf8(info.comment));
}

static void run_error(long status, const char *body, size_t size) {
    struct aws_error error;
    aws_error_read(status, body, size, &error);
    assert((unsigned)error.class < AWS_ERROR_CLASS_COUNT && error.message[0] != '\0');
    assert(fuzz_is_utf8(error.code));
    assert(aws_error_code(error.class) != ERROR_OK);
    assert(status < 500 || error.class != AWS_ERROR_STRANGE);
}

static void run_sts(const char *body, size_t size) {
    struct credential credential;
    struct error error;
    fuzz_taint(&credential, sizeof credential);
    if (credential_read_sts(body, size, &credential, &error) != ERROR_OK) {
        assert(fuzz_is_tainted(&credential, sizeof credential));
        return;
    }
    assert(credential.keys.access_key_id[0] != '\0' &&
           credential.keys.secret_access_key[0] != '\0');
    assert(strpbrk(credential.keys.session_token, "\r\n") == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const long statuses[] = {400, 403, 404, 429, 500, 503, 302, 413};
    uint8_t mode = fuzz_take(&data, &size);
    const char *body = (const char *)data;
    switch (mode % 4) {
    case 0:
        run_change(body, size);
        break;
    case 1:
        run_sts(body, size);
        break;
    default:
        run_error(statuses[mode / 4 % 8], body, size);
        break;
    }
    return 0;
}
