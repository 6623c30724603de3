/* What documents say of a replica set that has lost its majority. */
#ifndef API_DOCUMENT_FORCED_H
#define API_DOCUMENT_FORCED_H

#include "base/buffer.h"
#include "document_parts.h"

/* What would be lost if the member of the verdict became primary without a majority. */
void document_loss_line(const struct mongo_view *view, const struct mongo_verdict *verdict,
                        struct buffer *line);

/* Of a move that goes on without members that a person declared dead: what makes a person stop;
 * null of any other. */
json_t *document_forced(const struct api_facts *facts, const struct move_preview *preview);

/* Members, given as bits of their places, as an operator names them: "us-east-1, db-x1:27017", a
 * region where all of its members are meant. Returns how many names that are. */
uint32_t document_members_by_region(const struct state *state, const struct mongo_facts *facts,
                                    uint32_t bits, const char *separator, struct buffer *text);

#endif
