#include "mongo/result.h"

#include <assert.h>

const char *mongo_result_text(enum mongo_result result) {
    static const char *const texts[] = {
#define X(code, text, doc) text,
        MONGO_RESULT_TABLE(X)
#undef X
    };
    assert((unsigned)result < MONGO_RESULT_COUNT);
    return texts[result];
}
