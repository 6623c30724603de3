#include "aws_reply.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "http_server.h"
#include "xml_write.h"

bool aws_refuse(struct aws_refusal *refusal, int status, const char *code, const char *format,
                ...) {
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(refusal->message, sizeof(refusal->message), format, arguments);
    va_end(arguments);
    refusal->status = status;
    refusal->code = code;
    return false;
}

void aws_reply_document(struct http_exchange *exchange, int status, struct buffer *document) {
    assert(!document->failed);
    http_exchange_reply(exchange, status, "text/xml", NULL, document->data, document->size_bytes);
    buffer_finish(document);
}

void aws_reply_refusal(struct http_exchange *exchange, const struct aws_refusal *refusal,
                       const char *xml_namespace) {
    struct buffer document;
    buffer_init(&document, 0);
    buffer_append_format(&document, XML_DECLARATION "<ErrorResponse xmlns=\"%s\"><Error>",
                         xml_namespace);
    xml_write_element(&document, "Type", refusal->status < 500 ? "Sender" : "Receiver");
    xml_write_element(&document, "Code", refusal->code);
    xml_write_element(&document, "Message", refusal->message);
    buffer_append_text(&document, "</Error>");
    xml_write_element(&document, "RequestId", exchange->request_id);
    buffer_append_text(&document, "</ErrorResponse>\n");
    aws_reply_document(exchange, refusal->status, &document);
}
