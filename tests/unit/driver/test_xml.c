/* XML from a peer: what is read, and that nothing hostile gets in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/entropy.h"
#include "base/text.h"
#include "xml_document.h"

static enum error_code parse(const char *text, struct xml_document *document) {
    struct error error = {.message = ""};
    enum error_code code = xml_parse(text, strlen(text), document, &error);
    assert_true(code == ERROR_OK || error.message[0] != '\0');
    return code;
}

static void test_reads_elements_and_text(void **state) {
    (void)state;
    struct xml_document d;
    assert_int_equal(parse("<?xml version=\"1.0\"?>\n<r xmlns=\"https://x/\" a=\"1\"> <!-- c -->\n"
                           "  <a>one</a>\n <b><c>&lt;two&gt; &amp;&#10;</c><c>three</c></b>"
                           "<e/> <f><![CDATA[<x>]]></f></r>",
                           &d),
                     ERROR_OK);
    const struct xml_node *root = xml_root(&d);
    assert_true(xml_is(&d, root, "r"));
    assert_string_equal(xml_text(&d, root), "");
    assert_string_equal(xml_child_text(&d, root, "a"), "one");
    const struct xml_node *b = xml_child(&d, root, "b");
    const struct xml_node *c = xml_child(&d, b, "c");
    assert_string_equal(xml_text(&d, c), "<two> &\n");
    assert_string_equal(xml_text(&d, xml_next(&d, c)), "three");
    assert_null(xml_next(&d, xml_next(&d, c)));
    assert_string_equal(xml_child_text(&d, root, "e"), "");
    assert_string_equal(xml_child_text(&d, root, "f"), "<x>");
    assert_null(xml_child_text(&d, root, "c"));
    assert_null(xml_child(&d, NULL, "a"));
    assert_null(xml_first_child(&d, xml_child(&d, root, "e")));
    xml_finish(&d);
}

static void test_refuses_what_is_not_xml(void **state) {
    (void)state;
    static const char *const wrong[] = {
        "",         " ",          "text",         "<a>",         "<a></b>",
        "<a/><b/>", "<a>&x;</a>", "<a>\x01</a>",  "<a>\xff</a>", "<a>\xed\xa0\x80</a>",
        "<a b=c/>", "<a",         "<a></a>trail", "{}",
    };
    struct xml_document d;
    for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++) {
        assert_int_equal(parse(wrong[i], &d), ERROR_PROTOCOL);
    }
    assert_int_equal(xml_parse("<a>\0</a>", 8, &d, NULL), ERROR_PROTOCOL);
}

static void test_refuses_document_types(void **state) {
    (void)state;
    static const char *const wrong[] = {
        "<!DOCTYPE a><a/>",
        "<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><a/>",
        "<!DOCTYPE a [<!ENTITY b \"bb\"><!ENTITY c \"&b;&b;\">]><a>&c;</a>",
    };
    struct xml_document d;
    for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++) {
        assert_int_equal(parse(wrong[i], &d), ERROR_PROTOCOL);
    }
}

static void nest(struct buffer *text, unsigned depth) {
    for (unsigned i = 0; i < depth; i++) {
        buffer_append_text(text, "<a>");
    }
    for (unsigned i = 0; i < depth; i++) {
        buffer_append_text(text, "</a>");
    }
}

static void test_depth_at_limit_and_beyond(void **state) {
    (void)state;
    struct buffer text;
    struct xml_document d;
    buffer_init(&text, 0);
    nest(&text, XML_DEPTH_MAX);
    assert_int_equal(parse(text.data, &d), ERROR_OK);
    xml_finish(&d);
    buffer_clear(&text);
    nest(&text, XML_DEPTH_MAX + 1);
    assert_int_equal(parse(text.data, &d), ERROR_LIMIT);
    buffer_clear(&text);
    nest(&text, 100000);
    assert_int_equal(parse(text.data, &d), ERROR_LIMIT);
    buffer_finish(&text);
}

static void test_count_at_limit_and_beyond(void **state) {
    (void)state;
    for (unsigned extra = 0; extra <= 1; extra++) {
        struct buffer text;
        struct xml_document d;
        buffer_init(&text, 0);
        buffer_append_text(&text, "<r>");
        for (unsigned i = 0; i < XML_NODE_MAX - 1 + extra; i++) {
            buffer_append_text(&text, "<a/>");
        }
        buffer_append_text(&text, "</r>");
        assert_int_equal(parse(text.data, &d), extra == 0 ? ERROR_OK : ERROR_LIMIT);
        if (extra == 0) {
            assert_int_equal(d.node_count, XML_NODE_MAX);
            xml_finish(&d);
        }
        buffer_finish(&text);
    }
}

static void test_size_at_limit_and_beyond(void **state) {
    (void)state;
    for (size_t extra = 0; extra <= 1; extra++) {
        struct buffer text;
        struct xml_document d;
        buffer_init(&text, 0);
        buffer_append_text(&text, "<r>");
        while (text.size_bytes < XML_SIZE_MAX + extra - 4) {
            buffer_append(&text, "x", 1);
        }
        buffer_append_text(&text, "</r>");
        enum error_code code = xml_parse(text.data, text.size_bytes, &d, NULL);
        assert_int_equal(code, extra == 0 ? ERROR_OK : ERROR_LIMIT);
        if (code == ERROR_OK) {
            assert_int_equal(strlen(xml_text(&d, xml_root(&d))), XML_SIZE_MAX - 7);
            xml_finish(&d);
        }
        buffer_finish(&text);
    }
}

static void test_truncated_anywhere(void **state) {
    (void)state;
    static const char text[] = "<?xml version=\"1.0\"?><r><a>x&amp;y</a><b><c>\xc3\xbc</c></b></r>";
    struct xml_document d;
    for (size_t length = 0; length < sizeof text - 1; length++) {
        assert_int_equal(xml_parse(text, length, &d, NULL), ERROR_PROTOCOL);
    }
    assert_int_equal(xml_parse(text, sizeof text - 1, &d, NULL), ERROR_OK);
    xml_finish(&d);
}

/* A fixed seed: any byte changed at random never does harm. */
static void test_mutations(void **state) {
    (void)state;
    static const char text[] = "<r xmlns=\"x\"><a>x&amp;y</a><b><c>z</c><c/></b><!-- c --></r>";
    uint32_t seed = 20261123;
    for (int round = 0; round < 20000; round++) {
        char copy[sizeof text];
        memcpy(copy, text, sizeof text);
        for (int i = 0; i < 3; i++) {
            seed = seed * 1664525 + 1013904223;
            copy[(seed >> 8) % (sizeof text - 1)] = (char)(seed >> 24);
        }
        struct xml_document d;
        if (xml_parse(copy, sizeof text - 1, &d, NULL) == ERROR_OK) {
            for (uint32_t i = 0; i < d.node_count; i++) {
                const char *t = xml_text(&d, &d.nodes[i]), *n = xml_name(&d, &d.nodes[i]);
                assert_true(text_is_utf8(n, strlen(n)));
                assert_true(strlen(t) < sizeof text);
            }
            xml_finish(&d);
        }
    }
}

static void test_escaping_survives_a_round_trip(void **state) {
    (void)state;
    static const char hard[] = " <&>\"' \t\r\n]]> \xe2\x98\x83 \\052 ";
    struct buffer text;
    struct xml_document d;
    buffer_init(&text, 0);
    assert_true(xml_append_element(&text, "v", hard));
    assert_int_equal(parse(text.data, &d), ERROR_OK);
    assert_string_equal(xml_text(&d, xml_root(&d)), hard);
    xml_finish(&d);
    buffer_finish(&text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_elements_and_text),
        cmocka_unit_test(test_refuses_what_is_not_xml),
        cmocka_unit_test(test_refuses_document_types),
        cmocka_unit_test(test_depth_at_limit_and_beyond),
        cmocka_unit_test(test_count_at_limit_and_beyond),
        cmocka_unit_test(test_size_at_limit_and_beyond),
        cmocka_unit_test(test_truncated_anywhere),
        cmocka_unit_test(test_mutations),
        cmocka_unit_test(test_escaping_survives_a_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
