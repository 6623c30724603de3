/* One libcurl multi handle on the loop: libcurl says which sockets and which timer to watch. */
#ifndef PROBE_SHARD_H
#define PROBE_SHARD_H

#include "check.h"

struct probe_shard {
    struct probe_engine *engine;
    struct probe_shard *next;
    CURLM *multi;
    uv_timer_t timer;
    uint32_t check_count;
    char ca_file[PROBE_FILE_SIZE];
};

/* A shard with room, of that CA file; made when there is none. NULL: no memory. */
struct probe_shard *probe_shard_acquire(struct probe_engine *engine, const char *ca_file);
/* The last check's release closes it. */
void probe_shard_release(struct probe_shard *shard);

/* Of http.c: the transfer of this handle is over and out of its shard. */
void probe_http_done(struct probe_check *check, CURLcode rc);

#endif
