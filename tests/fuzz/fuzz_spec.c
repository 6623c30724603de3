/* The spec that operators write: what is accepted keeps core's rules, and goes through the log. */
#include <assert.h>
#include <string.h>

#include "base/text.h"
#include "codec/command_codec.h"
#include "codec/spec_yaml.h"
#include "fuzz.h"

static void check_spec(const struct spec *spec, const uint8_t *data, size_t size) {
    struct buffer bytes;
    struct error error;
    struct command_batch batch;
    struct command command = {.kind = COMMAND_SPEC, .term = 1, .wall_ms = 1};
    const struct command *commands[] = {&command};
    assert(spec_broken_rule(spec) == NULL);
    command.spec.spec = spec;
    command.spec.text = (const char *)data;
    command.spec.text_size = (uint32_t)size;
    buffer_init(&bytes, 0);
    assert(codec_encode_batch(commands, 1, &bytes, &error) == ERROR_OK);
    assert(codec_decode_batch(bytes.data, bytes.size_bytes, &batch, &error) == ERROR_OK);
    const struct command_spec *again = &batch.commands[0]->spec;
    assert(again->text_size == size && (size == 0 || memcmp(again->text, data, size) == 0));
    codec_batch_finish(&batch);
    buffer_finish(&bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    data = size == 0 ? NULL : data; /* as an empty protobuf field is */
    static struct spec_findings findings;
    struct spec *spec = fuzz_fresh(NULL, sizeof *spec);
    struct buffer text;
    enum error_code code = spec_parse((const char *)data, size, "f.yaml", spec, &findings);
    assert(code == ERROR_OK || code == ERROR_INVALID);
    assert((code == ERROR_OK) == (findings.error_count == 0));
    if (code == ERROR_OK) {
        check_spec(spec, data, size);
    }
    buffer_init(&text, 0);
    findings_format(&findings, &text);
    assert(text.size_bytes == 0 || text_is_utf8(text.data, text.size_bytes));
    buffer_finish(&text);
    return 0;
}
