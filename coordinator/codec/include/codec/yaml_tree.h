/* A YAML document as a tree whose nodes know their place, under limits that hold for any input:
 * size, depth, node count. Only what a config needs: mappings, sequences, plain text. Anchors,
 * aliases, tags, several documents and duplicate keys are refused. */
#ifndef CODEC_YAML_TREE_H
#define CODEC_YAML_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "codec/findings.h"

#define YAML_DEPTH_MAX 16
#define YAML_NODE_MAX 32768
#define YAML_KEY_MAX 1024 /* in one mapping */

enum yaml_kind { YAML_SCALAR, YAML_SEQUENCE, YAML_MAPPING };

struct yaml_node {
    enum yaml_kind kind;
    uint32_t line, column; /* from 1 */
    const char *text;      /* scalar: UTF-8 without control characters but tab and newline */
    bool quoted;           /* scalar: 'x' or "x" or a block, so never null, true or a number */
    struct yaml_node *key; /* of a mapping's entry: a scalar; NULL elsewhere */
    struct yaml_node *first, *next; /* children in order; siblings */
    uint32_t count;                 /* children */
    bool used;                      /* free for the reader: a key that it knows */
};

struct yaml_tree {
    struct yaml_node *root; /* NULL: empty document */
    void *memory;           /* all nodes and texts */
};

/* Reads one document. Mistakes become findings; ERROR_INVALID then, and `ret` is empty, except for
 * duplicate keys, after which reading goes on (the first counts): check findings->error_count. */
enum error_code yaml_tree_read(const char *text, size_t size_bytes, size_t limit_bytes,
                               struct yaml_tree *ret, struct spec_findings *findings);
void yaml_tree_finish(struct yaml_tree *tree);

/* The value of a key, or NULL. */
struct yaml_node *yaml_find(const struct yaml_node *mapping, const char *key);

/* A scalar that says "nothing": empty, ~ or null, unquoted. */
bool yaml_is_null(const struct yaml_node *node);

#endif
