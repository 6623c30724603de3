#include "codec/findings.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "codec/command_codec.h"

void findings_init(struct spec_findings *findings, const char *file_name) {
    memset(findings, 0, sizeof *findings);
    (void)snprintf(findings->file, sizeof findings->file, "%s", file_name);
    codec_clean_text(findings->file);
}

void findings_add(struct spec_findings *findings, enum finding_severity severity, uint32_t line,
                  uint32_t column, const char *format, ...) {
    struct finding finding = {.severity = severity, .line = line, .column = column};
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(finding.message, sizeof finding.message, format, arguments);
    va_end(arguments);
    /* What it quotes was cut anywhere, and JSON takes no half character. */
    codec_clean_text(finding.message);
    for (uint32_t i = 0; i < findings->count; i++) {
        const struct finding *old = &findings->items[i];
        if (old->line == line && old->column == column &&
            text_equal(old->message, finding.message)) {
            return;
        }
    }
    /* Counted also when they don't fit: a file with errors must not pass for a good one. */
    *(severity == FINDING_ERROR ? &findings->error_count : &findings->warning_count) += 1;
    if (findings->count < FINDING_MAX) {
        findings->items[findings->count++] = finding;
    } else {
        findings->left_out++;
    }
}

enum error_code findings_add_no_memory(struct spec_findings *findings) {
    findings_add(findings, FINDING_ERROR, 0, 0, "out of memory: nothing is said about the text");
    return ERROR_NO_MEMORY;
}

void findings_sort(struct spec_findings *findings) {
    /* Insertion keeps the order of ties; there are 64 at most. */
    for (uint32_t i = 1; i < findings->count; i++) {
        struct finding held = findings->items[i];
        uint32_t j = i;
        while (j > 0 && (findings->items[j - 1].line > held.line ||
                         (findings->items[j - 1].line == held.line &&
                          findings->items[j - 1].column > held.column))) {
            findings->items[j] = findings->items[j - 1];
            j--;
        }
        findings->items[j] = held;
    }
}

void findings_format(const struct spec_findings *findings, struct buffer *out) {
    for (uint32_t i = 0; i < findings->count; i++) {
        const struct finding *finding = &findings->items[i];
        buffer_append_text(out, findings->file);
        if (finding->line > 0) {
            buffer_append_format(out, ":%" PRIu32 ":%" PRIu32, finding->line, finding->column);
        }
        buffer_append_format(out, ": %s: %s\n",
                             finding->severity == FINDING_ERROR ? "error" : "warning",
                             finding->message);
    }
    if (findings->left_out > 0) {
        buffer_append_format(out, "%s: ... and %" PRIu32 " more\n", findings->file,
                             findings->left_out);
    }
}
