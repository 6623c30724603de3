/* Replies of Route 53 as XML. Shapes: Route 53 API reference. */
#ifndef WORLD_ROUTE53_RENDER_H
#define WORLD_ROUTE53_RENDER_H

#include "base/buffer.h"
#include "hosted_zone.h"

/* <Root xmlns=..> and its end. */
void route53_render_begin(struct buffer *out, const char *root);
void route53_render_end(struct buffer *out, const char *root);

void route53_render_record_set(struct buffer *out, const struct record_set *set);
void route53_render_change_info(struct buffer *out, const struct hosted_change *change);
void route53_render_zone(struct buffer *out, const struct hosted_zone *zone);
void route53_render_delegation_set(struct buffer *out);

/* wrapped: an <ErrorResponse> with all messages in brackets in its <Message>, as Route 53 answers
 * since October 2024; else its older form, <InvalidChangeBatch><Messages>. */
void route53_render_invalid_batch(struct buffer *out, const struct change_messages *messages,
                                  const char *request_id, bool wrapped);

#endif
