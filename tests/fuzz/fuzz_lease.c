/* The leader's answers about leases. */
#include <assert.h>
#include <string.h>

#include "codec/lease_codec.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct lease_answer answer;
    struct error error;
    fuzz_taint(&answer, sizeof answer);
    if (codec_decode_lease(data, size, &answer, &error) != ERROR_OK) {
        assert(fuzz_is_tainted(&answer, sizeof answer));
        return 0;
    }
    struct buffer again;
    buffer_init(&again, 0);
    enum error_code code = codec_encode_lease(&answer, &again, &error);
    assert(code == ERROR_OK);
    assert(again.size_bytes == size && memcmp(again.data, data, size) == 0);
    buffer_finish(&again);
    return 0;
}
