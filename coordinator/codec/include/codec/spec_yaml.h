/* The spec as operators write it (YAML), read, checked and turned into core's `struct spec`. As
 * many mistakes as possible are found in one pass, each once, with its place and the next step. */
#ifndef CODEC_SPEC_YAML_H
#define CODEC_SPEC_YAML_H

#include <stddef.h>

#include "base/buffer.h"
#include "base/error.h"
#include "codec/findings.h"
#include "core/spec.h"

/* `ret` is large: from calloc, and all zero. It is filled only when there are no errors (warnings
 * don't count), else its content is undefined. `file_name` stands in the findings. Findings are
 * sorted by place. ERROR_OK; ERROR_INVALID: see the findings; ERROR_NO_MEMORY; ERROR_INTERNAL: our
 * own mistake, told as a finding as well. */
enum error_code spec_parse(const char *text, size_t size_bytes, const char *file_name,
                           struct spec *ret, struct spec_findings *findings);

/* The reference page (Markdown) and a JSON Schema (draft 2020-12), from the tables of the parser.
 */
void spec_print_reference(struct buffer *out);
void spec_print_schema(struct buffer *out);

#endif
