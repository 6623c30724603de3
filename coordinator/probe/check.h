/* One target being probed: its timer, the probe in flight, and its debounced state. The private
 * middle of the engine: engine.c keeps the opinions, set.c replaces the set of checks, check.c is
 * the life of one check, http.c and tcp.c the way to its target. */
#ifndef PROBE_CHECK_H
#define PROBE_CHECK_H

#include <curl/curl.h>

#include "base/buffer.h"
#include "probe/engine.h"
#include "resolver.h"
#include "target.h"

struct probe_shard;
struct probe_connect;

struct probe_group {
    uint32_t service, region;
    size_t first, count; /* its checks in engine->checks */
    enum opinion_value value;
    uint64_t changed_at_ms;
};

struct probe_engine {
    uv_loop_t *loop;
    const struct clock *clock;
    const struct entropy *entropy;
    struct probe_engine_options options;
    struct probe_check **checks; /* sorted by probe_target_compare */
    size_t check_count;
    struct probe_group *groups; /* sorted by service, region */
    size_t group_count;
    struct probe_shard *shards;
    struct probe_resolver *resolver;
    uv_timer_t watch;
    uint64_t last_seen_ms; /* CLOCK_BOOTTIME when we last knew the loop to run */
    uint32_t open_handles; /* what closing waits for */
    uint32_t in_flight_count;
    uint64_t probe_count, stall_count, last_stall_ms;
    uint64_t stalled_at_ms; /* CLOCK_BOOTTIME when the last stall was over; 0: none yet */
    bool in_callback, closing;
    void (*on_closed)(void *context);
    void *closed_context;
};

/* Each open handle holds the engine; the last one dropped after destroy frees it. */
void probe_engine_hold(struct probe_engine *engine);
void probe_engine_drop(struct probe_engine *engine);
/* The time now (CLOCK_BOOTTIME). Finds out whether the loop stood still since the last call, and if
 * so makes every probe in flight void. Call it before the clock is used for anything. */
uint64_t probe_engine_watch(struct probe_engine *engine);
/* A check has a new result: forms the opinion, tells the owner. */
void probe_engine_report(struct probe_engine *engine, struct probe_check *check);

/* Forms the opinion of a group anew, and tells the owner when its value has changed. */
void probe_engine_refresh(struct probe_engine *engine, struct probe_group *group);
/* NULL: none. */
struct probe_group *probe_engine_find_group(const struct probe_engine *engine, uint32_t service,
                                            uint32_t region);

enum probe_phase { PROBE_IDLE, PROBE_RESOLVING, PROBE_RUNNING };

struct probe_http {
    CURL *easy; /* NULL: not an HTTP check */
    struct probe_shard *shard;
    struct curl_slist *resolve, *connect_to, *headers;
    struct buffer body; /* only where there is a text to match */
    size_t body_bytes, header_bytes;
    bool body_full, header_full;
    bool connected; /* in this probe: the handshake or the request has begun */
    char message[CURL_ERROR_SIZE];
};

struct probe_check {
    struct probe_engine *engine;
    struct probe_target target;
    struct probe_endpoint endpoint;
    uint64_t hash;
    bool kept;    /* while configuring */
    bool started; /* has a timer: must be closed, not discarded */
    struct probe_debounce debounce;
    size_t group;
    uv_timer_t timer; /* idle: next start; else: the timeout */
    enum probe_phase phase;
    bool is_void; /* the probe in flight */
    bool last_look;
    uint64_t start_ms, start_index; /* of the probe in flight */
    uint64_t start_loop_ms;         /* the same by the loop's clock */
    struct probe_host *host;        /* NULL: an IP address */
    struct probe_wait wait;
    struct probe_address addresses[PROBE_ADDRESS_MAX]; /* of the probe in flight */
    size_t address_count;
    struct probe_http http;
    struct probe_connect *connects; /* tcp: attempts in flight */
    enum probe_result_code connect_code;
};

/* NULL, with error: ERROR_NO_MEMORY. The target has been checked. Has no handle yet. */
struct probe_check *probe_check_create(struct probe_engine *engine,
                                       const struct probe_target *target,
                                       const struct probe_endpoint *endpoint, struct error *error);
/* Opens its timer and plans the first probe. */
void probe_check_start(struct probe_check *check);
/* Plans the next probe at a random moment of one interval from now. */
void probe_check_spread(struct probe_check *check);
/* Frees one that has never been started. */
void probe_check_discard(struct probe_check *check);
/* Drops the probe in flight without a result, and frees the check when its handles are closed. */
void probe_check_close(struct probe_check *check);
/* The probe in flight has ended; whatever ran it is over already. */
void probe_check_finish(struct probe_check *check, enum probe_result_code code,
                        uint32_t http_status);

#endif
