/* XML replies as trees: written without what is dropped (attributes, comments), they are read as
 * the same tree. */
#include <assert.h>
#include <string.h>

#include "fuzz.h"
#include "xml_document.h"

static void write_node(const struct xml_document *document, const struct xml_node *node,
                       struct buffer *out) {
    const struct xml_node *child = xml_first_child(document, node);
    if (child == NULL) {
        xml_append_element(out, xml_name(document, node), xml_text(document, node));
        return;
    }
    assert(xml_text(document, node)[0] == '\0');
    buffer_append_format(out, "<%s>", xml_name(document, node));
    for (; child != NULL; child = xml_next(document, child)) {
        write_node(document, child, out);
    }
    buffer_append_format(out, "</%s>", xml_name(document, node));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct xml_document document, again;
    struct error error;
    struct buffer once, twice;
    fuzz_taint(&document, sizeof document);
    if (xml_parse((const char *)data, size, &document, &error) != ERROR_OK) {
        assert(fuzz_is_tainted(&document, sizeof document));
        assert(error.code != ERROR_OK);
        return 0;
    }
    buffer_init(&once, 0);
    buffer_init(&twice, 0);
    write_node(&document, xml_root(&document), &once);
    assert(xml_parse(once.data, once.size_bytes, &again, &error) == ERROR_OK);
    assert(again.node_count == document.node_count);
    write_node(&again, xml_root(&again), &twice);
    assert(once.size_bytes == twice.size_bytes);
    assert(memcmp(once.data, twice.data, once.size_bytes) == 0);
    buffer_finish(&once);
    buffer_finish(&twice);
    xml_finish(&document);
    xml_finish(&again);
    return 0;
}
