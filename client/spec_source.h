/* The text of a spec, from where an operator keeps it: a file, standard input (-), or a directory
 * with several files. In a directory one file has `regions` (and whatever else); each other one
 * holds nothing but `services`, which are added to it, in the order of the files' names. What is
 * found wrong with the whole is told with the file and line where it was written. */
#ifndef CLIENT_SPEC_SOURCE_H
#define CLIENT_SPEC_SOURCE_H

#include <stdint.h>

#include "base/buffer.h"
#include "codec/findings.h"

#define SPEC_FILE_MAX 128 /* in a directory */

struct spec_source {
    struct buffer text;
    char *names[SPEC_FILE_MAX]; /* of the files; one for a file */
    uint32_t file_count;
    /* Of each line of a text that was put together: where it came from. NULL: of one file. */
    struct source_line {
        uint32_t file, line;
        int32_t shift; /* spaces that were put in front */
    } * lines;
    uint32_t line_count, line_room;
};

/* An exit code; says what is wrong. Finish it either way. */
int spec_source_read(const char *path, struct spec_source *ret);
void spec_source_finish(struct spec_source *source);
/* "file:line:column: error: message", one a line, on standard error. */
void spec_source_complain(const struct spec_source *source, const struct spec_findings *findings);

#endif
