/* Prints docs/state-machines.md from the tables in the code (make diagrams), or, with the path of
 * the committed page, compares that with what the tables give. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/execution.h"

static void print_steps(FILE *out) {
    (void)fputs("## A step\n\n```mermaid\nstateDiagram-v2\n    [*] --> waiting\n", out);
    for (uint32_t i = 0; i < step_transition_count; i++) {
        const struct step_transition *row = &step_transitions[i];
        (void)fprintf(out, "    %s --> %s: %s%s%s%s\n", step_phase_text(row->from),
                      step_phase_text(row->to), step_event_text(row->on),
                      row->guard_text[0] != '\0' ? " (" : "", row->guard_text,
                      row->guard_text[0] != '\0' ? ")" : "");
    }
    for (unsigned phase = STEP_DONE; phase < STEP_PHASE_COUNT; phase++) {
        (void)fprintf(out, "    %s --> [*]\n", step_phase_text((enum step_phase)phase));
    }
    (void)fputs("```\n\n| from | on | to | only for | why |\n|---|---|---|---|---|\n", out);
    for (uint32_t i = 0; i < step_transition_count; i++) {
        const struct step_transition *row = &step_transitions[i];
        (void)fprintf(out, "| %s | %s | %s | %s | %s |\n", step_phase_text(row->from),
                      step_event_text(row->on), step_phase_text(row->to), row->guard_text,
                      row->why);
    }
}

static void print_executions(FILE *out) {
    (void)fputs("## An execution\n\n```mermaid\nstateDiagram-v2\n    [*] --> none\n", out);
    for (uint32_t i = 0; i < execution_transition_count; i++) {
        const struct execution_transition *row = &execution_transitions[i];
        (void)fprintf(out, "    %s --> %s: %s\n", execution_phase_text(row->from),
                      execution_phase_text(row->to), execution_event_text(row->on));
    }
    (void)fputs("```\n\n| from | on | to | why |\n|---|---|---|---|\n", out);
    for (uint32_t i = 0; i < execution_transition_count; i++) {
        const struct execution_transition *row = &execution_transitions[i];
        (void)fprintf(out, "| %s | %s | %s | %s |\n", execution_phase_text(row->from),
                      execution_event_text(row->on), execution_phase_text(row->to), row->why);
    }
    (void)fputs("\n", out);
}

static void print_page(FILE *out) {
    (void)fputs("# State machines\n\nWritten by `make diagrams` from the tables in "
                "`coordinator/core/execution.c`; a test compares. Edit those.\nThe first row that "
                "matches wins; what has no row is refused. Words in capitals are entries of the "
                "log\nor commands of people; the others are outcomes, and what follows from "
                "them.\n\n",
                out);
    print_executions(out);
    print_steps(out);
}

/* 0: the file holds exactly `wanted`. */
static int compare(const char *path, const char *wanted, size_t size_bytes) {
    FILE *file = fopen(path, "rb");
    char *found = calloc(1, size_bytes + 2);
    size_t read = file == NULL || found == NULL ? 0 : fread(found, 1, size_bytes + 1, file);
    int result = 0;
    if (read != size_bytes || found == NULL || memcmp(found, wanted, size_bytes) != 0) {
        (void)fprintf(stderr, "%s is not what the tables give: run make diagrams\n", path);
        result = 1;
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    free(found);
    return result;
}

int main(int count, char **arguments) {
    if (count < 3) {
        print_page(stdout);
        return fflush(stdout) == 0 ? 0 : 1;
    }
    bool check = strcmp(arguments[1], "--check") == 0;
    bool write = strcmp(arguments[1], "--write") == 0;
    char *page = NULL;
    size_t size_bytes = 0;
    FILE *memory = open_memstream(&page, &size_bytes);
    if (memory == NULL || (!check && !write)) {
        (void)fprintf(stderr, "usage: diagrams [--check FILE | --write FILE]\n");
        if (memory != NULL) {
            (void)fclose(memory);
        }
        free(page);
        return 2;
    }
    print_page(memory);
    (void)fclose(memory);
    int result = 0;
    if (check) {
        result = compare(arguments[2], page, size_bytes);
    } else {
        FILE *file = fopen(arguments[2], "wb");
        bool written = file != NULL && fwrite(page, 1, size_bytes, file) == size_bytes;
        written = file != NULL && fclose(file) == 0 && written;
        result = written ? 0 : 1;
    }
    free(page);
    return result;
}
