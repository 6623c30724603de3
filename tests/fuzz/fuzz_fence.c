/* Fences as they stand at targets, and effect ids: what is read, written again, is the same text.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "core/execution.h"
#include "fuzz.h"

static void run_eid(const char *text) {
    struct fence fence;
    char again[EID_SIZE];
    fuzz_taint(&fence, sizeof fence);
    if (!eid_parse(text, &fence)) {
        assert(fuzz_is_tainted(&fence, sizeof fence));
        return;
    }
    assert(fence.step < STEP_MAX && !fence.burnt);
    eid_format(again, fence.service, fence.incarnation, fence.epoch, fence.step);
    assert(text_equal(again, text));
}

static void run_fence(const char *text, const char *cluster) {
    struct fence fence;
    char eid[EID_SIZE], again[FENCE_SIZE];
    fuzz_taint(&fence, sizeof fence);
    if (!fence_parse(text, cluster, &fence)) {
        assert(fuzz_is_tainted(&fence, sizeof fence));
        return;
    }
    eid_format(eid, fence.service, fence.incarnation, fence.epoch, fence.step);
    if (fence.burnt) {
        fence_format_void(again, cluster, eid);
    } else {
        fence_format(again, cluster, eid);
    }
    assert(text_equal(again, text));
    assert(!fence_is_before(&fence, fence.incarnation, fence.epoch));
    assert(!fence_is_after(&fence, fence.incarnation, fence.epoch));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t mode = fuzz_take(&data, &size);
    char *text = fuzz_text(data, size);
    if (mode % 2 == 0) {
        run_eid(text);
    } else {
        run_fence(text, "noctua");
    }
    free(text);
    return 0;
}
