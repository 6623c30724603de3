/* XML out: elements with escaped text, appended to a buffer. */
#ifndef WORLD_XML_WRITE_H
#define WORLD_XML_WRITE_H

#include <stdint.h>

#include "base/buffer.h"

#define XML_DECLARATION "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"

void xml_write_text(struct buffer *out, const char *text);
void xml_write_element(struct buffer *out, const char *name, const char *text);
void xml_write_number(struct buffer *out, const char *name, uint64_t number);
void xml_write_bool(struct buffer *out, const char *name, bool value);

#endif
