#include "xml_write.h"

#include <inttypes.h>

void xml_write_text(struct buffer *out, const char *text) {
    for (const char *at = text; *at != '\0'; at++) {
        switch (*at) {
        case '&':
            buffer_append_text(out, "&amp;");
            break;
        case '<':
            buffer_append_text(out, "&lt;");
            break;
        case '>':
            buffer_append_text(out, "&gt;");
            break;
        case '"':
            buffer_append_text(out, "&quot;");
            break;
        case '\r':
            buffer_append_text(out, "&#13;"); /* a parser would make it a newline */
            break;
        default:
            buffer_append(out, at, 1);
        }
    }
}

void xml_write_element(struct buffer *out, const char *name, const char *text) {
    buffer_append_format(out, "<%s>", name);
    xml_write_text(out, text);
    buffer_append_format(out, "</%s>", name);
}

void xml_write_number(struct buffer *out, const char *name, uint64_t number) {
    buffer_append_format(out, "<%s>%" PRIu64 "</%s>", name, number, name);
}

void xml_write_bool(struct buffer *out, const char *name, bool value) {
    xml_write_element(out, name, value ? "true" : "false");
}
