/* Replies of an AWS service over XML: refusals with code and message, and whole documents. */
#ifndef WORLD_AWS_REPLY_H
#define WORLD_AWS_REPLY_H

#include <stdbool.h>

#include "base/buffer.h"

struct http_exchange;

#define AWS_NAMESPACE_ROUTE53 "https://route53.amazonaws.com/doc/2013-04-01/"
#define AWS_NAMESPACE_STS "https://sts.amazonaws.com/doc/2011-06-15/"
#define AWS_REFUSAL_MESSAGE_SIZE 2048

/* HTTP status, code and message as AWS words them. */
struct aws_refusal {
    int status;
    const char *code;
    char message[AWS_REFUSAL_MESSAGE_SIZE];
};

/* Fills the refusal; returns false, so that a check can end with it. */
bool aws_refuse(struct aws_refusal *refusal, int status, const char *code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Completes the exchange with the document (which is freed). */
void aws_reply_document(struct http_exchange *exchange, int status, struct buffer *document);

/* Completes it with <ErrorResponse>. */
void aws_reply_refusal(struct http_exchange *exchange, const struct aws_refusal *refusal,
                       const char *xml_namespace);

#endif
