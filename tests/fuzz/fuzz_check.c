/* URLs of checks: what a spec takes can be probed. Two parsers see them, ours, which tells people
 * what is wrong before a spec is committed, and libcurl's on each node; a check that only the
 * latter refuses would leave its region unknown for ever. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "codec/spec_yaml.h"
#include "fuzz.h"
#include "probe/target.h"

/* A spec whose one check has the URL, in double quotes. False: it can't be written so. */
static bool write_spec(const char *url, struct buffer *out) {
    if (strpbrk(url, "\"\\\n") != NULL) {
        return false;
    }
    return buffer_append_format(
        out,
        "version: 1\nregions: {a: {}, b: {role: witness}}\nservices:\n  s:\n"
        "    home: a\n    checks:\n      c:\n"
        "        url: {a: \"%s\"}\n",
        url);
}

static void check_target(const struct spec_check *check) {
    static const enum probe_type types[] = {PROBE_TYPE_HTTP, PROBE_TYPE_HTTPS, PROBE_TYPE_TCP};
    static struct probe_target target;
    static struct probe_endpoint endpoint;
    struct error error;
    memset(&target, 0, sizeof target);
    target.type = types[check->type];
    target.timeout_ms = check->timeout_ms;
    target.interval_ms = check->interval_ms;
    target.fall = check->fall;
    target.rise = check->rise;
    (void)TEXT_COPY(target.check, check->name);
    bool fits = TEXT_COPY(target.url, check->url[0]);
    assert(fits);
    if (probe_target_check(&target, &endpoint, &error) != ERROR_OK) {
        (void)fprintf(stderr, "%s: %s\n", target.url, error.message);
        assert(!"a check that a spec takes can be probed");
    }
    assert(endpoint.port != 0 && endpoint.host[0] != '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct spec_findings findings;
    char *url = fuzz_text(data, size);
    struct buffer text;
    buffer_init(&text, 0);
    if (write_spec(url, &text)) {
        struct spec *spec = fuzz_fresh(NULL, sizeof *spec);
        if (spec_parse(text.data, text.size_bytes, "f.yaml", spec, &findings) == ERROR_OK) {
            check_target(&spec->services[0].checks[0]);
        }
    }
    buffer_finish(&text);
    free(url);
    return 0;
}
