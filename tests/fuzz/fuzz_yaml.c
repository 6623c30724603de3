/* YAML documents as trees: bounded, with places inside the text, and only of texts. */
#include <assert.h>
#include <string.h>

#include "base/text.h"
#include "codec/yaml_tree.h"
#include "fuzz.h"

#define LIMIT_BYTES 65536

static uint32_t check_node(const struct yaml_node *node, size_t size, uint32_t depth) {
    uint32_t nodes = 1, children = 0;
    assert(depth <= YAML_DEPTH_MAX);
    assert(node->line >= 1 && node->line <= size + 1);
    assert(node->column >= 1 && node->column <= size + 1);
    assert((node->kind == YAML_SCALAR) == (node->text != NULL));
    if (node->kind == YAML_SCALAR) {
        assert(node->first == NULL && text_is_utf8(node->text, strlen(node->text)));
    }
    for (const struct yaml_node *child = node->first; child != NULL; child = child->next) {
        assert((node->kind == YAML_MAPPING) == (child->key != NULL));
        if (child->key != NULL) {
            assert(child->key->kind == YAML_SCALAR);
            assert(yaml_find(node, child->key->text) != NULL);
        }
        nodes += check_node(child, size, depth + 1);
        children++;
    }
    assert(children == node->count);
    return nodes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    data = size == 0 ? NULL : data; /* as an empty protobuf field is */
    static struct spec_findings findings;
    struct yaml_tree tree;
    struct buffer text;
    fuzz_taint(&tree, sizeof tree);
    findings_init(&findings, "f");
    enum error_code code = yaml_tree_read((const char *)data, size, LIMIT_BYTES, &tree, &findings);
    assert(code == ERROR_OK || findings.error_count > 0);
    if (code == ERROR_OK && tree.root != NULL) {
        assert(check_node(tree.root, size, 1) <= YAML_NODE_MAX);
    }
    buffer_init(&text, 0);
    findings_sort(&findings);
    findings_format(&findings, &text);
    assert(text.size_bytes == 0 || text_is_utf8(text.data, text.size_bytes));
    buffer_finish(&text);
    yaml_tree_finish(&tree);
    return 0;
}
