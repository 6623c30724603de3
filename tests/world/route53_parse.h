/* The body of ChangeResourceRecordSets into a change_batch, by the sequence of elements that Route
 * 53's schema fixes. Source: Route 53 API reference; the texts of refusals are those of its XML
 * validator. */
#ifndef WORLD_ROUTE53_PARSE_H
#define WORLD_ROUTE53_PARSE_H

#include "aws_reply.h"
#include "change_batch.h"

/* False: *ret_refusal is filled (MalformedInput, InvalidInput or InvalidChangeBatch), and there is
 * nothing to finish. */
bool route53_parse_batch(const char *body, size_t body_bytes, struct change_batch *ret_batch,
                         struct aws_refusal *ret_refusal);

#endif
