#include "probe/result.h"

#include <assert.h>

static const struct {
    const char *text;
    enum probe_result_kind kind;
    const char *doc;
} results[] = {
#define X(code, text, kind, doc) {text, PROBE_KIND_##kind, doc},
    PROBE_RESULT_TABLE(X)
#undef X
};

const char *probe_result_text(enum probe_result_code code) {
    assert((unsigned)code < PROBE_RESULT_COUNT);
    return results[code].text;
}

const char *probe_result_doc(enum probe_result_code code) {
    assert((unsigned)code < PROBE_RESULT_COUNT);
    return results[code].doc;
}

enum probe_result_kind probe_result_kind(enum probe_result_code code) {
    assert((unsigned)code < PROBE_RESULT_COUNT);
    return results[code].kind;
}
