/* The high-water mark's file: damage is told, and a mark that is read can be raised. */
#include <assert.h>

#include "directory.h"
#include "fuzz.h"
#include "mark.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct mark mark;
    struct error error;
    directory_write("high-water", data, size);
    enum error_code code = mark_open(&mark, directory_path(), &error);
    if (code != ERROR_OK) {
        assert(code == ERROR_CORRUPT);
        return 0;
    }
    assert(size > 0 || mark.index == 0);
    uint64_t next = mark.index < UINT64_MAX ? mark.index + 1 : mark.index;
    assert(mark_raise(&mark, next));
    mark_close(&mark);
    assert(mark_open(&mark, directory_path(), &error) == ERROR_OK);
    assert(mark.index == next);
    mark_close(&mark);
    return 0;
}
