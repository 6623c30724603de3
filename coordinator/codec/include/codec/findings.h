/* What is wrong with a text that a person wrote, and where: a bounded list, in the order found. */
#ifndef CODEC_FINDINGS_H
#define CODEC_FINDINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

#define FINDING_MAX 64
#define FINDING_MESSAGE_SIZE 320
#define FINDING_FILE_SIZE 128

enum finding_severity { FINDING_ERROR, FINDING_WARNING };

struct finding {
    enum finding_severity severity;
    uint32_t line, column; /* from 1; 0: the file as a whole */
    char message[FINDING_MESSAGE_SIZE];
};

struct spec_findings {
    char file[FINDING_FILE_SIZE];
    struct finding items[FINDING_MAX];
    uint32_t count;
    uint32_t left_out; /* more were found than fit */
    uint32_t error_count, warning_count;
};

void findings_init(struct spec_findings *findings, const char *file_name);

/* The same message at the same place is kept once. */
void findings_add(struct spec_findings *findings, enum finding_severity severity, uint32_t line,
                  uint32_t column, const char *format, ...) __attribute__((format(printf, 5, 6)));

/* A finding of the file as a whole, and ERROR_NO_MEMORY. */
enum error_code findings_add_no_memory(struct spec_findings *findings);

/* By line and column; ties as they were found. */
void findings_sort(struct spec_findings *findings);

/* "file:line:column: error: message", one a line, then what was left out. */
void findings_format(const struct spec_findings *findings, struct buffer *out);

#endif
