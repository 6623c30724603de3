#include "xml_document.h"

#include <assert.h>
#include <expat.h>
#include <stdlib.h>
#include <string.h>

enum { NODE_FIRST_CAPACITY = 64, NODE_NONE = 0 }; /* the root is nobody's child or sibling */

struct reader {
    XML_Parser parser;
    struct xml_document *document;
    uint32_t open[XML_DEPTH_MAX];       /* the elements around the current place */
    uint32_t last_child[XML_DEPTH_MAX]; /* of each of them; NODE_NONE: none yet */
    uint32_t depth;
    size_t mark; /* arena size behind the last tag: text since then is not yet anyone's */
    struct error *error;
    enum error_code code;
};

static void reader_fail(struct reader *reader, enum error_code code, const char *why) {
    if (reader->code == ERROR_OK) {
        reader->code = error_set(reader->error, code, "XML reply: %s", why);
        XML_StopParser(reader->parser, XML_FALSE);
    }
}

static uint32_t add_node(struct reader *reader) {
    struct xml_document *document = reader->document;
    if (document->node_count == XML_NODE_MAX) {
        reader_fail(reader, ERROR_LIMIT, "too many elements");
        return NODE_NONE;
    }
    if (document->node_count == document->node_capacity) {
        uint32_t capacity =
            document->node_capacity == 0 ? NODE_FIRST_CAPACITY : document->node_capacity * 2;
        struct xml_node *nodes = realloc(document->nodes, capacity * sizeof *nodes);
        if (nodes == NULL) {
            reader_fail(reader, ERROR_NO_MEMORY, "out of memory");
            return NODE_NONE;
        }
        document->nodes = nodes;
        document->node_capacity = capacity;
    }
    document->nodes[document->node_count] = (struct xml_node){.first_child = NODE_NONE};
    return document->node_count++;
}

static void XMLCALL on_start(void *context, const XML_Char *name, const XML_Char **attributes) {
    (void)attributes;
    struct reader *reader = context;
    if (reader->code != ERROR_OK) {
        return;
    }
    if (reader->depth == XML_DEPTH_MAX) {
        reader_fail(reader, ERROR_LIMIT, "nested too deep");
        return;
    }
    struct xml_document *document = reader->document;
    uint32_t node = add_node(reader);
    if (reader->code != ERROR_OK) {
        return;
    }
    if (reader->depth > 0) {
        uint32_t parent = reader->open[reader->depth - 1];
        uint32_t before = reader->last_child[reader->depth - 1];
        if (before == NODE_NONE) {
            document->nodes[parent].first_child = node;
        } else {
            document->nodes[before].next = node;
        }
        reader->last_child[reader->depth - 1] = node;
    }
    reader->open[reader->depth] = node;
    reader->last_child[reader->depth] = NODE_NONE;
    reader->depth++;
    document->arena.size_bytes = reader->mark; /* text between elements says nothing */
    document->nodes[node].name = (uint32_t)document->arena.size_bytes;
    buffer_append(&document->arena, name, strlen(name) + 1);
    reader->mark = document->arena.size_bytes;
    document->nodes[node].text = (uint32_t)reader->mark;
}

static void XMLCALL on_text(void *context, const XML_Char *text, int length) {
    struct reader *reader = context;
    if (reader->code == ERROR_OK) {
        buffer_append(&reader->document->arena, text, (size_t)length);
    }
}

static void XMLCALL on_end(void *context, const XML_Char *name) {
    (void)name;
    struct reader *reader = context;
    if (reader->code != ERROR_OK) {
        return;
    }
    assert(reader->depth > 0);
    struct xml_document *document = reader->document;
    reader->depth--;
    uint32_t node = reader->open[reader->depth];
    if (document->nodes[node].first_child != NODE_NONE) {
        document->arena.size_bytes = reader->mark;
        document->nodes[node].text = (uint32_t)reader->mark;
    }
    buffer_append(&document->arena, "", 1);
    reader->mark = document->arena.size_bytes;
}

static void XMLCALL on_doctype(void *context, const XML_Char *name, const XML_Char *system_id,
                               const XML_Char *public_id, int has_internal_subset) {
    (void)name;
    (void)system_id;
    (void)public_id;
    (void)has_internal_subset;
    reader_fail(context, ERROR_PROTOCOL, "it declares a document type");
}

enum error_code xml_parse(const char *bytes, size_t size_bytes, struct xml_document *ret_document,
                          struct error *error) {
    if (size_bytes > XML_SIZE_MAX) {
        return error_set(error, ERROR_LIMIT, "XML reply: larger than %zu bytes", XML_SIZE_MAX);
    }
    struct xml_document document = {0};
    buffer_init(&document.arena, 2 * XML_SIZE_MAX); /* names take room that end tags took */
    struct reader reader = {.document = &document, .error = error, .code = ERROR_OK};
    /* The name given here wins over the document's own declaration. */
    reader.parser = XML_ParserCreate("UTF-8");
    if (reader.parser == NULL) {
        reader.code = error_set(error, ERROR_NO_MEMORY, "XML reply: out of memory");
        goto cleanup;
    }
    XML_SetUserData(reader.parser, &reader);
    XML_SetElementHandler(reader.parser, on_start, on_end);
    XML_SetCharacterDataHandler(reader.parser, on_text);
    XML_SetStartDoctypeDeclHandler(reader.parser, on_doctype);
    enum XML_Status status = XML_Parse(reader.parser, bytes, (int)size_bytes, XML_TRUE);
    enum XML_Error problem = XML_GetErrorCode(reader.parser);
    if (reader.code == ERROR_OK &&
        (document.arena.out_of_memory || problem == XML_ERROR_NO_MEMORY)) {
        reader.code = error_set(error, ERROR_NO_MEMORY, "XML reply: out of memory");
    }
    if (reader.code == ERROR_OK && document.arena.failed) {
        reader.code = error_set(error, ERROR_LIMIT, "XML reply: too much text");
    }
    if (reader.code == ERROR_OK && status != XML_STATUS_OK) {
        reader.code =
            error_set(error, ERROR_PROTOCOL, "XML reply: %s at line %lu", XML_ErrorString(problem),
                      (unsigned long)XML_GetCurrentLineNumber(reader.parser));
    }
    if (reader.code == ERROR_OK) {
        assert(document.node_count > 0 && reader.depth == 0);
        *ret_document = document;
        document = (struct xml_document){0};
    }

cleanup:
    XML_ParserFree(reader.parser);
    xml_finish(&document);
    return reader.code;
}

void xml_finish(struct xml_document *document) {
    free(document->nodes);
    buffer_finish(&document->arena);
    *document = (struct xml_document){0};
}

const struct xml_node *xml_root(const struct xml_document *document) {
    assert(document->node_count > 0);
    return &document->nodes[0];
}

const char *xml_name(const struct xml_document *document, const struct xml_node *node) {
    return document->arena.data + node->name;
}

bool xml_is(const struct xml_document *document, const struct xml_node *node, const char *name) {
    return node != NULL && strcmp(xml_name(document, node), name) == 0;
}

const char *xml_text(const struct xml_document *document, const struct xml_node *node) {
    return document->arena.data + node->text;
}

const struct xml_node *xml_first_child(const struct xml_document *document,
                                       const struct xml_node *node) {
    return node == NULL || node->first_child == NODE_NONE ? NULL
                                                          : &document->nodes[node->first_child];
}

const struct xml_node *xml_next(const struct xml_document *document, const struct xml_node *node) {
    return node == NULL || node->next == NODE_NONE ? NULL : &document->nodes[node->next];
}

const struct xml_node *xml_child(const struct xml_document *document, const struct xml_node *node,
                                 const char *name) {
    const struct xml_node *child = xml_first_child(document, node);
    while (child != NULL && !xml_is(document, child, name)) {
        child = xml_next(document, child);
    }
    return child;
}

const char *xml_child_text(const struct xml_document *document, const struct xml_node *node,
                           const char *name) {
    const struct xml_node *child = xml_child(document, node, name);
    return child == NULL ? NULL : xml_text(document, child);
}

bool xml_append_escaped(struct buffer *buffer, const char *text) {
    for (const char *p = text; *p != '\0'; p++) {
        switch (*p) {
        case '&':
            buffer_append_text(buffer, "&amp;");
            break;
        case '<':
            buffer_append_text(buffer, "&lt;");
            break;
        case '>':
            buffer_append_text(buffer, "&gt;");
            break;
        case '"':
            buffer_append_text(buffer, "&quot;");
            break;
        case '\'':
            buffer_append_text(buffer, "&apos;");
            break;
        case '\t':
        case '\n':
        case '\r': /* a reader would turn a bare one into something else */
            buffer_append_format(buffer, "&#%d;", *p);
            break;
        default:
            buffer_append(buffer, p, 1);
        }
    }
    return !buffer->failed;
}

bool xml_append_element(struct buffer *buffer, const char *name, const char *text) {
    buffer_append_format(buffer, "<%s>", name);
    xml_append_escaped(buffer, text);
    return buffer_append_format(buffer, "</%s>", name);
}
