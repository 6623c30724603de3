/* Commands that decode, applied to a group in the middle of its life (which one, the first one's
 * term says: in another none would count): whatever they say, the invariants hold after each of
 * them (core only stops moving when they don't), and what comes of it can be written as a snapshot
 * and read back. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "codec/command_codec.h"
#include "codec/state_codec.h"
#include "fuzz.h"
#include "midlife.h"

static void check(struct state *state) {
    static struct state *again;
    struct buffer bytes;
    struct error error;
    buffer_init(&bytes, 0);
    if (again == NULL) {
        again = calloc(1, sizeof *again);
        assert(again != NULL);
    }
    assert(codec_encode_state(state, &bytes, &error) == ERROR_OK);
    assert(codec_decode_state(bytes.data, bytes.size_bytes, again, false, &error) == ERROR_OK);
    buffer_finish(&bytes);
}

static const struct group *group_of(const struct command_batch *batch) {
    const struct group *set = midlife_group(MIDLIFE_SET);
    bool is_of_set = batch->count > 0 && batch->commands[0]->term >= set->term;
    return is_of_set ? set : midlife_group(MIDLIFE_MOVING);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct command_batch batch;
    if (codec_decode_batch(data, size, &batch, NULL) != ERROR_OK) {
        return 0;
    }
    struct state *state = fuzz_fresh(group_of(&batch)->state, sizeof *state);
    bool taken = false;
    for (uint32_t i = 0; i < batch.count; i++) {
        taken = state_apply(state, state->applied_index + 1, batch.commands[i]) == CORE_OK || taken;
        assert(state_broken_invariant(state) == NULL); /* also after a refusal */
    }
    if (taken) {
        check(state);
    }
    codec_batch_finish(&batch);
    return 0;
}
