#include "spec_source.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/text.h"
#include "codec/yaml_tree.h"
#include "commands.h"
#include "core/limits.h"

#define INDENT_DEFAULT 2

/* One file of a directory. */
struct part {
    struct buffer text;
    struct yaml_tree tree;
    const struct yaml_node *services; /* NULL: none */
    bool is_main;
};

static int read_into(const char *path, struct buffer *ret) {
    FILE *file = text_equal(path, "-") ? stdin : fopen(path, "re");
    char chunk[8192];
    size_t got;
    if (file == NULL) {
        (void)fprintf(stderr, "noctuactl: %s: %s\n", path, strerror(errno));
        return EXIT_USAGE;
    }
    while ((got = fread(chunk, 1, sizeof chunk, file)) > 0 && !ret->failed) {
        (void)buffer_append(ret, chunk, got);
    }
    bool broken = ferror(file) != 0;
    int reason = errno;
    if (file != stdin) {
        (void)fclose(file);
    }
    if (broken || ret->failed) {
        char words[64];
        (void)snprintf(words, sizeof words, "larger than %d bytes, as a spec may be",
                       SPEC_TEXT_MAX);
        (void)fprintf(stderr, "noctuactl: %s: %s\n", path, broken ? strerror(reason) : words);
        return EXIT_USAGE;
    }
    return EXIT_DONE;
}

void spec_source_complain(const struct spec_source *source, const struct spec_findings *findings) {
    struct buffer words;
    buffer_init(&words, 0);
    if (source->lines == NULL) {
        findings_format(findings, &words);
    }
    for (uint32_t i = 0; source->lines != NULL && i < findings->count; i++) {
        const struct finding *finding = &findings->items[i];
        const char *severity = finding->severity == FINDING_ERROR ? "error" : "warning";
        bool placed = finding->line > 0 && finding->line <= source->line_count;
        if (!placed) {
            buffer_append_format(&words, "%s: %s: %s\n", findings->file, severity,
                                 finding->message);
            continue;
        }
        const struct source_line *line = &source->lines[finding->line - 1];
        int32_t column = (int32_t)finding->column - line->shift;
        buffer_append_format(&words, "%s:%" PRIu32 ":%" PRId32 ": %s: %s\n",
                             source->names[line->file], line->line, column > 0 ? column : 1,
                             severity, finding->message);
    }
    if (source->lines != NULL && findings->left_out > 0) {
        buffer_append_format(&words, "%s: ... and %" PRIu32 " more\n", findings->file,
                             findings->left_out);
    }
    (void)fputs(words.data == NULL ? "" : words.data, stderr);
    buffer_finish(&words);
}

/* --- putting parts together --- */

static void add_line(struct spec_source *source, const char *text, size_t length, uint32_t file,
                     uint32_t line, int32_t shift) {
    if (source->line_count == source->line_room) {
        uint32_t room = source->line_room == 0 ? 256 : 2 * source->line_room;
        struct source_line *grown = realloc(source->lines, room * sizeof *grown);
        if (grown == NULL) {
            source->text.failed = true;
            return;
        }
        source->lines = grown;
        source->line_room = room;
    }
    source->lines[source->line_count++] = (struct source_line){file, line, shift};
    size_t blank = strspn(text, " ");
    blank = blank < length ? blank : length;
    if (shift > 0 && blank < length) {
        buffer_append_format(&source->text, "%*s", shift, "");
    } else if (shift < 0) {
        size_t cut = (size_t)-shift < blank ? (size_t)-shift : blank; /* a comment may be further
                                                                         to the left */
        text += cut;
        length -= cut;
    }
    (void)buffer_append(&source->text, text, length);
    buffer_append_text(&source->text, "\n");
}

/* Lines `first` to `last` (both included; UINT32_MAX: to the end). */
static void add_lines(struct spec_source *source, const struct part *part, uint32_t file,
                      uint32_t first, uint32_t last, int32_t shift) {
    const char *at = part->text.data == NULL ? "" : part->text.data;
    for (uint32_t line = 1; *at != '\0' && line <= last; line++) {
        size_t length = strcspn(at, "\n");
        if (line >= first) {
            add_line(source, at, length, file, line, shift);
        }
        at += length + (at[length] == '\n' ? 1 : 0);
    }
}

static int say(const char *name, const struct yaml_node *node, const char *words) {
    (void)fprintf(stderr, "%s:%" PRIu32 ":%" PRIu32 ": error: %s\n", name, node->line, node->column,
                  words);
    return EXIT_USAGE;
}

/* A block, below its key: only then can lines be added to it, or taken from it. */
static bool is_block(const struct yaml_node *services) {
    return services->kind == YAML_MAPPING && services->first != NULL &&
           services->first->key->line > services->key->line;
}

static int read_part(const char *name, struct part *part) {
    struct spec_findings *findings = calloc(1, sizeof *findings);
    buffer_init(&part->text, SPEC_TEXT_MAX);
    int status = findings == NULL ? EXIT_INTERNAL : read_into(name, &part->text);
    if (status == EXIT_DONE) {
        findings_init(findings, name);
        const char *text = part->text.data == NULL ? "" : part->text.data;
        bool good = yaml_tree_read(text, part->text.size_bytes, SPEC_TEXT_MAX, &part->tree,
                                   findings) == ERROR_OK;
        if (!good || findings->error_count > 0) {
            struct buffer words;
            buffer_init(&words, 0);
            findings_format(findings, &words);
            (void)fputs(words.data == NULL ? "" : words.data, stderr);
            buffer_finish(&words);
            status = EXIT_USAGE;
        } else if (part->tree.root != NULL && part->tree.root->kind == YAML_MAPPING) {
            part->services = yaml_find(part->tree.root, "services");
            part->is_main = yaml_find(part->tree.root, "regions") != NULL;
        }
    }
    free(findings);
    return status;
}

/* What a file that adds services may hold. */
static int check_part(const char *name, const struct part *part, const char *main_name) {
    char words[512];
    if (part->services == NULL || !is_block(part->services)) {
        (void)fprintf(stderr,
                      "%s: error: `services:` with one or more of them below is wanted here, since "
                      "%s has the regions\n",
                      name, main_name);
        return EXIT_USAGE;
    }
    for (const struct yaml_node *key = part->tree.root->first; key != NULL; key = key->next) {
        if (!text_equal(key->key->text, "services") && !text_equal(key->key->text, "version")) {
            (void)snprintf(words, sizeof words, "'%.64s' belongs into %.300s", key->key->text,
                           main_name);
            return say(name, key->key, words);
        }
    }
    return EXIT_DONE;
}

static int check_main(const char *name, const struct part *part) {
    if (part->services == NULL || yaml_is_null(part->services)) {
        return EXIT_DONE;
    }
    if (!is_block(part->services)) {
        return say(name, part->services,
                   "other files add services: write `services:`, and each on lines below it");
    }
    return EXIT_DONE;
}

static int join(struct spec_source *source, const struct part *parts, uint32_t main) {
    const struct part *first = &parts[main];
    int status = check_main(source->names[main], first);
    if (status == EXIT_DONE && first->services != NULL && first->services->next != NULL) {
        status = say(source->names[main], first->services->key,
                     "other files add services: `services` must be the last key here");
    }
    bool has_block = first->services != NULL && is_block(first->services);
    uint32_t indent = has_block ? first->services->first->key->column - 1 : INDENT_DEFAULT;
    if (status == EXIT_DONE) {
        add_lines(source, first, main, 1, UINT32_MAX, 0);
        if (first->services == NULL) {
            add_line(source, "services:", strlen("services:"), main, 1, 0);
        }
    }
    for (uint32_t i = 0; status == EXIT_DONE && i < source->file_count; i++) {
        if (i == main) {
            continue;
        }
        status = check_part(source->names[i], &parts[i], source->names[main]);
        if (status == EXIT_DONE) {
            const struct yaml_node *services = parts[i].services;
            uint32_t last = services->next == NULL ? UINT32_MAX : services->next->key->line - 1;
            add_lines(source, &parts[i], i, services->key->line + 1, last,
                      (int32_t)indent - (int32_t)(services->first->key->column - 1));
        }
    }
    return status;
}

static int find_main(const struct spec_source *source, const struct part *parts, const char *path,
                     uint32_t *ret) {
    uint32_t found = 0;
    for (uint32_t i = 0; i < source->file_count; i++) {
        if (parts[i].is_main) {
            *ret = i;
            found++;
        }
    }
    if (source->file_count == 0) {
        (void)fprintf(stderr, "noctuactl: %s is a directory without .yaml files\n", path);
    } else if (found != 1) {
        (void)fprintf(stderr,
                      "noctuactl: %s: one of its %" PRIu32 " .yaml files must have `regions`, and "
                      "only one; %" PRIu32 " do\n",
                      path, source->file_count, found);
    }
    return found == 1 ? EXIT_DONE : EXIT_USAGE;
}

static int is_spec_file(const struct dirent *entry) {
    const char *dot = strrchr(entry->d_name, '.');
    return entry->d_name[0] != '.' && dot != NULL &&
           (text_equal(dot, ".yaml") || text_equal(dot, ".yml"));
}

static int list(const char *path, struct spec_source *source) {
    struct dirent **entries = NULL;
    int count = scandir(path, &entries, is_spec_file, alphasort);
    int status = EXIT_DONE;
    if (count < 0) {
        (void)fprintf(stderr, "noctuactl: %s: %s\n", path, strerror(errno));
        return EXIT_USAGE;
    }
    if (count > SPEC_FILE_MAX) {
        (void)fprintf(stderr, "noctuactl: %s has more than %d .yaml files\n", path, SPEC_FILE_MAX);
        status = EXIT_USAGE;
    }
    for (int i = 0; i < count; i++) {
        char *name = NULL;
        if (status == EXIT_DONE && asprintf(&name, "%s/%s", path, entries[i]->d_name) > 0) {
            source->names[source->file_count++] = name;
        }
        free(entries[i]);
    }
    free((void *)entries);
    return status;
}

static int read_directory(const char *path, struct spec_source *source) {
    struct part *parts = calloc(SPEC_FILE_MAX, sizeof *parts);
    uint32_t main = 0;
    int status = parts == NULL ? EXIT_INTERNAL : list(path, source);
    for (uint32_t i = 0; status == EXIT_DONE && i < source->file_count; i++) {
        status = read_part(source->names[i], &parts[i]);
    }
    status = status == EXIT_DONE ? find_main(source, parts, path, &main) : status;
    status = status == EXIT_DONE ? join(source, parts, main) : status;
    if (status == EXIT_DONE && source->text.failed) {
        (void)fprintf(stderr, "noctuactl: %s: the files are larger than %d bytes\n", path,
                      SPEC_TEXT_MAX);
        status = EXIT_USAGE;
    }
    for (uint32_t i = 0; parts != NULL && i < source->file_count; i++) {
        yaml_tree_finish(&parts[i].tree);
        buffer_finish(&parts[i].text);
    }
    free(parts);
    return status;
}

int spec_source_read(const char *path, struct spec_source *ret) {
    struct stat about;
    memset(ret, 0, sizeof *ret);
    buffer_init(&ret->text, SPEC_TEXT_MAX);
    if (!text_equal(path, "-") && stat(path, &about) == 0 && S_ISDIR(about.st_mode)) {
        return read_directory(path, ret);
    }
    return read_into(path, &ret->text);
}

void spec_source_finish(struct spec_source *source) {
    buffer_finish(&source->text);
    for (uint32_t i = 0; i < source->file_count; i++) {
        free(source->names[i]);
    }
    free(source->lines);
}
