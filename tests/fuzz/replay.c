/* The main of a fuzzing program without libFuzzer: each file of the directories named goes through
 * it once, in the order of their names. */
#include <assert.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

#define FILE_SIZE_MAX ((size_t)4 * 1024 * 1024)

static int take_file(const struct dirent *entry) {
    return entry->d_name[0] != '.';
}

static void run_file(const char *directory, const char *name) {
    char path[4096];
    uint8_t *bytes = malloc(FILE_SIZE_MAX);
    int length = snprintf(path, sizeof path, "%s/%s", directory, name);
    assert(bytes != NULL && length > 0 && (size_t)length < sizeof path);
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        exit(2);
    }
    size_t size_bytes = fread(bytes, 1, FILE_SIZE_MAX, file);
    (void)fclose(file);
    /* Of its exact size, so that reading beyond is seen. */
    uint8_t *exact = malloc(size_bytes > 0 ? size_bytes : 1);
    assert(exact != NULL);
    memcpy(exact, bytes, size_bytes);
    free(bytes);
    /* Said before, so that the last line names the input that ended the program. */
    (void)printf("%s\n", path);
    (void)fflush(stdout);
    (void)LLVMFuzzerTestOneInput(exact, size_bytes);
    free(exact);
}

int main(int argc, char **argv) {
    unsigned count = 0;
    for (int i = 1; i < argc; i++) {
        struct dirent **entries = NULL;
        int found = scandir(argv[i], &entries, take_file, alphasort);
        if (found < 0) {
            perror(argv[i]);
            return 2;
        }
        for (int j = 0; j < found; j++) {
            run_file(argv[i], entries[j]->d_name);
            free(entries[j]);
            count++;
        }
        free((void *)entries);
    }
    (void)printf("%u inputs\n", count);
    return count > 0 ? 0 : 1; /* nothing to run is no success */
}
