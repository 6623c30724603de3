#include "codec/yaml_tree.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#include "arena.h"
#include "base/text.h"

/* Each node and its text come from at least one byte of input; quoted forms and our structs make
 * more of it. */
#define TREE_MEMORY_MAX (16 * 1024 * 1024)

struct builder {
    yaml_parser_t parser;
    struct arena *arena;
    struct spec_findings *findings;
    struct yaml_node *stack[YAML_DEPTH_MAX]; /* open mappings and sequences */
    struct yaml_node *last[YAML_DEPTH_MAX];  /* last child of each */
    struct yaml_node *key[YAML_DEPTH_MAX];   /* of a mapping: waits for its value */
    bool duplicate[YAML_DEPTH_MAX];          /* the key stands twice: its value is dropped */
    uint32_t depth;
    uint32_t node_count;
    struct yaml_node *root;
    bool failed;
    bool out_of_memory; /* then no finding says why */
};

static void fail_at(struct builder *b, const yaml_mark_t *mark, const char *message) {
    findings_add(b->findings, FINDING_ERROR, (uint32_t)mark->line + 1, (uint32_t)mark->column + 1,
                 "%s", message);
    b->failed = true;
}

static struct yaml_node *new_node(struct builder *b, const yaml_event_t *event,
                                  enum yaml_kind kind) {
    struct yaml_node *node =
        b->node_count < YAML_NODE_MAX ? arena_alloc(b->arena, sizeof *node) : NULL;
    if (node == NULL && b->arena->out_of_memory) {
        b->failed = true;
        return NULL;
    }
    if (node == NULL) {
        fail_at(b, &event->start_mark, "too many values");
        return NULL;
    }
    b->node_count++;
    node->kind = kind;
    node->line = (uint32_t)event->start_mark.line + 1;
    node->column = (uint32_t)event->start_mark.column + 1;
    return node;
}

/* The place of a node: the root, the next of a sequence, or a mapping's key and then its value. */
static void place_node(struct builder *b, struct yaml_node *node) {
    if (b->depth == 0) {
        b->root = node;
        return;
    }
    uint32_t top = b->depth - 1;
    struct yaml_node *parent = b->stack[top];
    if (parent->kind == YAML_MAPPING) {
        bool drop = b->duplicate[top];
        node->key = b->key[top];
        b->key[top] = NULL;
        b->duplicate[top] = false;
        if (drop) {
            return;
        }
    }
    if (b->last[top] == NULL) {
        parent->first = node;
    } else {
        b->last[top]->next = node;
    }
    b->last[top] = node;
    parent->count++;
}

static bool waits_for_key(const struct builder *b) {
    return b->depth > 0 && b->stack[b->depth - 1]->kind == YAML_MAPPING &&
           b->key[b->depth - 1] == NULL;
}

static void take_key(struct builder *b, struct yaml_node *key) {
    uint32_t top = b->depth - 1;
    if (b->stack[top]->count >= YAML_KEY_MAX) {
        findings_add(b->findings, FINDING_ERROR, key->line, key->column, "too many keys");
        b->failed = true;
        return;
    }
    const struct yaml_node *first = yaml_find(b->stack[top], key->text);
    b->key[top] = key;
    b->duplicate[top] = first != NULL;
    if (first != NULL) {
        findings_add(b->findings, FINDING_ERROR, key->line, key->column,
                     "key '%.64s' stands here twice: first in line %" PRIu32, key->text,
                     first->key->line);
    }
}

static void on_scalar(struct builder *b, const yaml_event_t *event) {
    const char *text = (const char *)event->data.scalar.value;
    size_t length = event->data.scalar.length;
    if (!text_is_utf8(text, length)) {
        fail_at(b, &event->start_mark, "a control character in a value");
        return;
    }
    struct yaml_node *node = new_node(b, event, YAML_SCALAR);
    char *copy = node == NULL ? NULL : arena_alloc(b->arena, length + 1);
    if (copy == NULL) {
        b->failed = true;
        return;
    }
    memcpy(copy, text, length);
    node->text = copy;
    node->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    if (waits_for_key(b)) {
        take_key(b, node);
    } else {
        place_node(b, node);
    }
}

static void on_begin(struct builder *b, const yaml_event_t *event, enum yaml_kind kind) {
    if (waits_for_key(b)) {
        fail_at(b, &event->start_mark, "a key must be plain text");
        return;
    }
    if (b->depth == YAML_DEPTH_MAX) {
        fail_at(b, &event->start_mark, "nested too deeply");
        return;
    }
    struct yaml_node *node = new_node(b, event, kind);
    if (node == NULL) {
        return;
    }
    place_node(b, node);
    b->stack[b->depth] = node;
    b->last[b->depth] = NULL;
    b->key[b->depth] = NULL;
    b->duplicate[b->depth] = false;
    b->depth++;
}

static void refuse_decoration(struct builder *b, const yaml_event_t *event, const void *anchor,
                              const void *tag) {
    if (anchor != NULL) {
        fail_at(b, &event->start_mark, "anchors (&name) are not allowed: write it out");
    } else if (tag != NULL) {
        fail_at(b, &event->start_mark, "tags (!name) are not allowed: write the plain value");
    }
}

static void on_event(struct builder *b, const yaml_event_t *event) {
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (b->root != NULL) {
            fail_at(b, &event->start_mark, "a second document: one file is one document");
        }
        break;
    case YAML_SCALAR_EVENT:
        refuse_decoration(b, event, event->data.scalar.anchor, event->data.scalar.tag);
        if (!b->failed) {
            on_scalar(b, event);
        }
        break;
    case YAML_SEQUENCE_START_EVENT:
        refuse_decoration(b, event, event->data.sequence_start.anchor,
                          event->data.sequence_start.tag);
        if (!b->failed) {
            on_begin(b, event, YAML_SEQUENCE);
        }
        break;
    case YAML_MAPPING_START_EVENT:
        refuse_decoration(b, event, event->data.mapping_start.anchor,
                          event->data.mapping_start.tag);
        if (!b->failed) {
            on_begin(b, event, YAML_MAPPING);
        }
        break;
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        b->depth--;
        break;
    case YAML_ALIAS_EVENT:
        fail_at(b, &event->start_mark, "aliases (*name) are not allowed: write it out");
        break;
    default:
        break;
    }
}

static void tell_syntax_error(struct builder *b, const char *text, size_t size_bytes) {
    const yaml_parser_t *parser = &b->parser;
    if (parser->error == YAML_MEMORY_ERROR) {
        b->out_of_memory = true;
        b->failed = true;
        return;
    }
    const yaml_mark_t *mark = &parser->problem_mark;
    const char *problem = parser->problem != NULL ? parser->problem : "not YAML";
    if (mark->index < size_bytes && text[mark->index] == '\t') {
        problem = "a tab: indent with spaces";
    } else if (parser->context != NULL && parser->problem != NULL) {
        findings_add(b->findings, FINDING_ERROR, (uint32_t)mark->line + 1,
                     (uint32_t)mark->column + 1, "%s, %s", parser->problem, parser->context);
        b->failed = true;
        return;
    }
    fail_at(b, mark, problem);
}

/* What libyaml would take or tell unclearly. False: a finding says what. */
static bool check_bytes(const char *text, size_t size_bytes, size_t limit_bytes,
                        struct spec_findings *findings) {
    if (size_bytes > limit_bytes) {
        findings_add(findings, FINDING_ERROR, 0, 0, "%zu bytes: at most %zu are read", size_bytes,
                     limit_bytes);
        return false;
    }
    if (text_is_utf8(text, size_bytes)) {
        return true;
    }
    uint32_t line = 1;
    size_t begin = 0;
    for (size_t i = 0; i < size_bytes; i++) {
        if (text[i] != '\n') {
            continue;
        }
        if (!text_is_utf8(text + begin, i - begin)) {
            break;
        }
        begin = i + 1;
        line++;
    }
    const char *end = memchr(text + begin, '\n', size_bytes - begin);
    size_t length = end == NULL ? size_bytes - begin : (size_t)(end - (text + begin));
    uint32_t column = 1;
    while (column <= length && text_is_utf8(text + begin, column)) {
        column++;
    }
    bool carriage_return = memchr(text + begin, '\r', length) != NULL;
    findings_add(findings, FINDING_ERROR, line, carriage_return ? 1 : column,
                 carriage_return ? "the line ends in a carriage return: save the file with Unix "
                                   "line ends"
                                 : "not UTF-8, or a control character");
    return false;
}

static void build(struct builder *b, const char *text, size_t size_bytes) {
    yaml_parser_set_encoding(&b->parser, YAML_UTF8_ENCODING);
    /* libyaml asserts on NULL, which is what an empty protobuf field has for its text. */
    const char *input = size_bytes == 0 ? "" : text;
    yaml_parser_set_input_string(&b->parser, (const unsigned char *)input, size_bytes);
    for (bool end = false; !end && !b->failed;) {
        yaml_event_t event;
        if (yaml_parser_parse(&b->parser, &event) == 0) {
            tell_syntax_error(b, text, size_bytes);
            return;
        }
        end = event.type == YAML_STREAM_END_EVENT;
        on_event(b, &event);
        yaml_event_delete(&event);
    }
}

enum error_code yaml_tree_read(const char *text, size_t size_bytes, size_t limit_bytes,
                               struct yaml_tree *ret, struct spec_findings *findings) {
    *ret = (struct yaml_tree){0};
    if (!check_bytes(text, size_bytes, limit_bytes, findings)) {
        return ERROR_INVALID;
    }
    struct arena *arena = malloc(sizeof *arena);
    if (arena == NULL) {
        return findings_add_no_memory(findings);
    }
    arena_init(arena, TREE_MEMORY_MAX);
    struct builder b = {.arena = arena, .findings = findings};
    if (yaml_parser_initialize(&b.parser) == 0) {
        free(arena);
        return findings_add_no_memory(findings);
    }
    build(&b, text, size_bytes);
    yaml_parser_delete(&b.parser);
    ret->memory = arena;
    if (b.failed) {
        bool out_of_memory = b.out_of_memory || arena->out_of_memory;
        yaml_tree_finish(ret);
        return out_of_memory ? findings_add_no_memory(findings) : ERROR_INVALID;
    }
    ret->root = b.root;
    return ERROR_OK;
}

void yaml_tree_finish(struct yaml_tree *tree) {
    if (tree->memory != NULL) {
        arena_finish(tree->memory);
        free(tree->memory);
    }
    *tree = (struct yaml_tree){0};
}

struct yaml_node *yaml_find(const struct yaml_node *mapping, const char *key) {
    for (struct yaml_node *node = mapping->first; node != NULL; node = node->next) {
        if (node->key != NULL && text_equal(node->key->text, key)) {
            return node;
        }
    }
    return NULL;
}

bool yaml_is_null(const struct yaml_node *node) {
    return node->kind == YAML_SCALAR && !node->quoted &&
           (node->text[0] == '\0' || text_equal(node->text, "~") || text_equal(node->text, "null"));
}
