/* What documents say of a replica set that has lost its majority. */
#ifndef API_DOCUMENT_FORCED_H
#define API_DOCUMENT_FORCED_H

#include "base/buffer.h"
#include "document_parts.h"

/* "May be lost: ...", if the verdict's member became primary. */
void document_loss_line(const struct mongo_view *view, const struct mongo_verdict *verdict,
                        struct buffer *line);

/* Of a move that goes on without members that a person declared dead: what makes a person stop;
 * null of any other. */
json_t *document_forced(const struct api_facts *facts, const struct move_preview *preview);

/* Members, given as bits of their places, as an operator names them: "us-east-1, db-x1:27017", a
 * region where all of its members are meant. Returns how many names that are. */
uint32_t document_members_by_region(const struct state *state, const struct mongo_facts *facts,
                                    uint32_t bits, const char *separator, struct buffer *text);

/* What a person can do about a service whose replica set has lost its majority, or (unless `calm`)
 * has nobody near enough to be promoted in the target of `move`, region by region, as commands to
 * paste and what they may lose. False, with nothing appended: the set is no obstacle. */
bool document_choose_of_set(const struct api_facts *facts, const struct move_preview *move,
                            bool calm, json_t *choices);

/* After a forced reconfiguration of which nobody knows whether it landed: who looks where, and the
 * two ways on. False: the service's last move had none. */
bool document_choose_after_force(const struct api_facts *facts, uint32_t service, json_t *choices);

#endif
