/* What the parts of the metrics' text share. */
#ifndef API_METRICS_PRIVATE_H
#define API_METRICS_PRIVATE_H

#include "api/facts.h"
#include "base/buffer.h"

void metrics_family(struct buffer *out, const char *name, const char *type, const char *help);
void metrics_append_seconds(struct buffer *out, uint64_t ms);

/* metrics_mongo.c */
void metrics_render_sets(const struct api_facts *facts, struct buffer *out);

#endif
