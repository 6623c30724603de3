/* Reports of nodes to the leader. */
#include <assert.h>
#include <string.h>

#include "codec/report_codec.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct report report;
    struct error error;
    fuzz_taint(&report, sizeof report);
    if (codec_decode_report(data, size, &report, &error) != ERROR_OK) {
        assert(fuzz_is_tainted(&report, sizeof report));
        return 0;
    }
    struct buffer again;
    buffer_init(&again, 0);
    enum error_code code = codec_encode_report(&report, &again, &error);
    assert(code == ERROR_OK);
    assert(again.size_bytes == size && memcmp(again.data, data, size) == 0);
    buffer_finish(&again);
    return 0;
}
