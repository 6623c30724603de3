/* HTTP and HTTPS checks through libcurl's multi-socket interface on the engine's loop. A shard is
 * one multi handle with its connection cache and its (cached) set of certificate authorities, for
 * up to targets_per_shard checks that share a CA file. */
#ifndef PROBE_HTTP_H
#define PROBE_HTTP_H

#include "check.h"

/* Makes the check's handle, with all that is the same in every probe, and finds it a shard. False:
 * no memory. */
bool probe_http_open(struct probe_check *check);
/* After probe_http_stop, if a probe was in flight. */
void probe_http_close(struct probe_check *check);

/* PROBE_OK: under way, probe_check_finish follows. Else it ended at once with that code. */
enum probe_result_code probe_http_start(struct probe_check *check);
void probe_http_stop(struct probe_check *check);
/* What a timeout now would be called. */
enum probe_result_code probe_http_timeout_code(const struct probe_check *check);
uint32_t probe_http_shard_count(const struct probe_engine *engine);

#endif
