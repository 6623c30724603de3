/* What documents say of replica sets. */
#ifndef API_DOCUMENT_MONGO_H
#define API_DOCUMENT_MONGO_H

#include "document_parts.h"

/* The knowledge of all nodes where this one leads, else its own. */
void document_view_set(const struct api_facts *facts, uint32_t service, struct mongo_view *ret);

/* How far the best member of region `to` is behind the newest known place of a primary; UINT64_MAX:
 * not known, or no set. */
uint64_t document_set_lag_ms(const struct api_facts *facts, uint32_t service, uint32_t to);

/* The set and its members; null where the service has none. */
json_t *document_set_of(const struct api_facts *facts, uint32_t service);

/* Its old config may be of a newer term than any that the set will write now: then it wins, and who
 * comes back with it brings back all that the set was. Never before 4.4. */
bool document_would_impose(const struct left_out *left_out, const struct mongo_view *view);
/* Whether the set's config, which somebody has read, doesn't name a host. */
bool document_is_left_out(const struct mongo_facts *facts, const char *host);

/* {case, acked, lag_ms, age_ms, writes, text}: what the move may lose; NULL where it promotes
 * nobody. */
json_t *document_loss(const struct api_facts *facts, const struct move_preview *preview);

/* Sets `case`, `lost`, `lost_ms` and `lost_writes` of a row of history. */
void document_fill_lost(const struct move *move, json_t *row);

/* Whether its voters outside of `lost` are no majority. */
bool document_set_depends_on(const struct mongo_facts *facts, uint32_t lost);

/* The trouble that some node has with its credentials for the set; "" when none has any. */
const char *document_set_login_trouble(const struct api_facts *facts, uint32_t service);

#endif
