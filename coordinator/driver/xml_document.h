/* A small XML document in memory, for replies of web services: elements and their text; attributes,
 * comments and namespaces are dropped. Whatever a peer sends is bounded (size, depth, count), and a
 * document type (and so any entity of its own) is refused. */
#ifndef DRIVER_XML_DOCUMENT_H
#define DRIVER_XML_DOCUMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

#define XML_SIZE_MAX ((size_t)4 * 1024 * 1024)
#define XML_DEPTH_MAX 16
#define XML_NODE_MAX 65536

struct xml_node {
    uint32_t name, text; /* places in the document's arena */
    uint32_t first_child, next;
};

struct xml_document {
    struct xml_node *nodes; /* [0] is the root element */
    uint32_t node_count, node_capacity;
    struct buffer arena;
};

/* ret_document is to be finished by the caller; nothing to finish when it fails. PROTOCOL: not
 * well-formed; LIMIT: over one of the limits above. */
enum error_code xml_parse(const char *bytes, size_t size_bytes, struct xml_document *ret_document,
                          struct error *error);
void xml_finish(struct xml_document *document);

const struct xml_node *xml_root(const struct xml_document *document);
bool xml_is(const struct xml_document *document, const struct xml_node *node, const char *name);
const char *xml_name(const struct xml_document *document, const struct xml_node *node);

/* The text of an element without children; "" for one that has some. */
const char *xml_text(const struct xml_document *document, const struct xml_node *node);

/* NULL when there is none (also for a NULL node). */
const struct xml_node *xml_first_child(const struct xml_document *document,
                                       const struct xml_node *node);
const struct xml_node *xml_next(const struct xml_document *document, const struct xml_node *node);
const struct xml_node *xml_child(const struct xml_document *document, const struct xml_node *node,
                                 const char *name);
/* xml_text of that child; NULL when there is none. */
const char *xml_child_text(const struct xml_document *document, const struct xml_node *node,
                           const char *name);

/* text with the five special characters, tab and newlines escaped. */
bool xml_append_escaped(struct buffer *buffer, const char *text);
/* <name>text</name> */
bool xml_append_element(struct buffer *buffer, const char *name, const char *text);

#endif
