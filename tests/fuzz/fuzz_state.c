/* Snapshots: what is accepted is sound, and has one encoding only, the one that came. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "codec/state_codec.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    /* Not a fresh one: what the last snapshot left there may not stay. */
    static struct state *state;
    struct error error;
    if (state == NULL) {
        state = calloc(1, sizeof *state);
        assert(state != NULL);
    }
    if (codec_decode_state(data, size, state, false, &error) != ERROR_OK) {
        return 0;
    }
    assert(state_broken_invariant(state) == NULL);
    struct buffer again;
    buffer_init(&again, 0);
    enum error_code code = codec_encode_state(state, &again, &error);
    assert(code == ERROR_OK);
    assert(again.size_bytes == size && memcmp(again.data, data, size) == 0);
    buffer_finish(&again);
    return 0;
}
