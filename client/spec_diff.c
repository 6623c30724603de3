/* noctuactl spec diff: what one text of a spec says otherwise than another, key by key, so that
 * order, comments and layout don't matter. Offline, but for the group's own text. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "codec/yaml_tree.h"
#include "commands.h"
#include "core/limits.h"

#define PATH_SIZE 512

struct line {
    char *path, *value;
};

/* A spec as "services.nocturnal.policy.confirm" -> "30s", sorted by path. */
struct lines {
    struct line *items;
    size_t count, room;
    bool failed;
};

static void add_line(struct lines *lines, const char *path, const char *value) {
    if (lines->count == lines->room) {
        size_t room = lines->room == 0 ? 64 : 2 * lines->room;
        struct line *grown = realloc(lines->items, room * sizeof *grown);
        if (grown == NULL) {
            lines->failed = true;
            return;
        }
        lines->items = grown;
        lines->room = room;
    }
    struct line *line = &lines->items[lines->count];
    *line = (struct line){strdup(path), strdup(value)};
    lines->count++;
    lines->failed = lines->failed || line->path == NULL || line->value == NULL;
}

static void walk(struct lines *lines, const struct yaml_node *node, const char *path) {
    if (node->kind == YAML_SCALAR || node->first == NULL) {
        add_line(lines, path,
                 node->kind == YAML_MAPPING    ? "{}"
                 : node->kind == YAML_SEQUENCE ? "[]"
                 : yaml_is_null(node)          ? "{}" /* an empty mapping, as far as keys go */
                                               : node->text);
        return;
    }
    unsigned place = 0;
    for (const struct yaml_node *child = node->first; child != NULL; child = child->next) {
        char below[PATH_SIZE];
        int length = child->key != NULL ? snprintf(below, sizeof below, "%s%s%s", path,
                                                   path[0] == '\0' ? "" : ".", child->key->text)
                                        : snprintf(below, sizeof below, "%s[%u]", path, place++);
        lines->failed = lines->failed || length >= (int)sizeof below;
        walk(lines, child, below);
    }
}

static int compare_paths(const void *a, const void *b) {
    return strcmp(((const struct line *)a)->path, ((const struct line *)b)->path);
}

static void lines_finish(struct lines *lines) {
    for (size_t i = 0; i < lines->count; i++) {
        free(lines->items[i].path);
        free(lines->items[i].value);
    }
    free(lines->items);
}

/* An exit code. */
static int lines_read(const char *name, const struct buffer *text, struct lines *ret) {
    struct spec_findings *findings = calloc(1, sizeof *findings);
    struct yaml_tree tree;
    if (findings == NULL) {
        return EXIT_INTERNAL;
    }
    findings_init(findings, name);
    int status = EXIT_DONE;
    if (yaml_tree_read(text->data == NULL ? "" : text->data, text->size_bytes, SPEC_TEXT_MAX, &tree,
                       findings) != ERROR_OK) {
        struct buffer words;
        buffer_init(&words, 0);
        findings_format(findings, &words);
        (void)fputs(words.data == NULL ? "" : words.data, stderr);
        buffer_finish(&words);
        status = EXIT_USAGE;
    } else {
        if (tree.root != NULL) {
            walk(ret, tree.root, "");
        }
        yaml_tree_finish(&tree);
        if (ret->failed) {
            (void)fprintf(stderr, "noctuactl: %s: too large, or a key is too long\n", name);
            status = EXIT_INTERNAL;
        } else if (ret->count > 0) {
            qsort(ret->items, ret->count, sizeof ret->items[0], compare_paths);
        }
    }
    free(findings);
    return status;
}

static void add_difference(json_t *differences, const char *path, const char *from,
                           const char *to) {
    json_t *row = json_object();
    (void)json_object_set_new(row, "path", json_string(path));
    (void)json_object_set_new(row, "from", from == NULL ? json_null() : json_string(from));
    (void)json_object_set_new(row, "to", to == NULL ? json_null() : json_string(to));
    (void)json_array_append_new(differences, row);
}

static json_t *compare(const struct lines *from, const struct lines *to) {
    json_t *differences = json_array();
    size_t i = 0;
    size_t j = 0;
    while (i < from->count || j < to->count) {
        int order = i == from->count ? 1
                    : j == to->count ? -1
                                     : strcmp(from->items[i].path, to->items[j].path);
        if (order < 0) {
            add_difference(differences, from->items[i].path, from->items[i].value, NULL);
            i++;
        } else if (order > 0) {
            add_difference(differences, to->items[j].path, NULL, to->items[j].value);
            j++;
        } else {
            if (!text_equal(from->items[i].value, to->items[j].value)) {
                add_difference(differences, from->items[i].path, from->items[i].value,
                               to->items[j].value);
            }
            i++;
            j++;
        }
    }
    return differences;
}

static void show(const json_t *differences) {
    for (size_t i = 0; i < json_array_size(differences); i++) {
        const json_t *row = json_array_get(differences, i);
        const char *path = field_text(row, "path");
        if (field_is_null(row, "from")) {
            (void)printf("+ %s: %s\n", path, field_text(row, "to"));
        } else if (field_is_null(row, "to")) {
            (void)printf("- %s: %s\n", path, field_text(row, "from"));
        } else {
            (void)printf("~ %s: %s -> %s\n", path, field_text(row, "from"), field_text(row, "to"));
        }
    }
}

int spec_show_difference(const struct options *options, const char *old_name,
                         const struct buffer *from, const char *new_name, const struct buffer *to) {
    struct lines old = {NULL, 0, 0, false};
    struct lines new = {NULL, 0, 0, false};
    int status = lines_read(old_name, from, &old);
    status = status == EXIT_DONE ? lines_read(new_name, to, &new) : status;
    if (status == EXIT_DONE) {
        json_t *differences = compare(&old, &new);
        status = json_array_size(differences) > 0 ? EXIT_DIFFERENCES : EXIT_DONE;
        json_t *document = json_object();
        (void)json_object_set(document, "differences", differences);
        if (options->output == OUTPUT_JSON) {
            render_json(document, stdout);
        } else if (options->output == OUTPUT_YAML) {
            render_yaml(document, stdout);
        } else {
            show(differences);
        }
        json_decref(document);
        json_decref(differences);
    }
    lines_finish(&old);
    lines_finish(&new);
    return status;
}

int run_spec_diff(const struct options *options) {
    struct buffer from;
    struct buffer to;
    buffer_init(&from, SPEC_TEXT_MAX);
    buffer_init(&to, SPEC_TEXT_MAX);
    int status = spec_read(options->arguments[0], &to);
    if (status == EXIT_DONE) {
        status = options->against != NULL ? spec_read(options->against, &from)
                                          : spec_fetch(options, &from);
    }
    if (status == EXIT_DONE) {
        status = spec_show_difference(
            options, options->against != NULL ? options->against : "the group's spec", &from,
            options->arguments[0], &to);
    }
    buffer_finish(&from);
    buffer_finish(&to);
    return status;
}
