/* Log entries' commands: what is accepted has one encoding only, the one that came. */
#include <assert.h>
#include <string.h>

#include "codec/command_codec.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct command_batch batch;
    struct error error;
    fuzz_taint(&batch, sizeof batch);
    if (codec_decode_batch(data, size, &batch, &error) != ERROR_OK) {
        assert(fuzz_is_tainted(&batch, sizeof batch));
        return 0;
    }
    struct buffer again;
    buffer_init(&again, 0);
    enum error_code code = codec_encode_batch((const struct command *const *)batch.commands,
                                              batch.count, &again, &error);
    assert(code == ERROR_OK);
    assert(again.size_bytes == size && memcmp(again.data, data, size) == 0);
    buffer_finish(&again);
    codec_batch_finish(&batch);
    return 0;
}
