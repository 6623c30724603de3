/* Probes targets over HTTP, HTTPS and TCP on one libuv loop, and keeps each check's debounced state
 * and one opinion per (service, region).
 *
 * Each target is probed every interval (+-10 %), the first time at a random moment of its first
 * interval, and never twice at once. HTTP goes through libcurl's multi-socket interface, sharded
 * (one multi handle for everything gets slow at some hundreds of targets); no redirects, no proxy,
 * HTTP/1.1 only. Names are resolved by threads of our own: a name server that hangs costs its own
 * targets their timeout and nobody else anything; libuv's pool, which Raft's disk uses, is not
 * touched. The timeout covers all of a probe, the resolving too.
 *
 * A result is void (debounce.h) when the loop didn't run for `stall_ms` while it was in flight, by
 * CLOCK_BOOTTIME: a stopped process or a suspended machine can't pass old results off as new.
 *
 * One thread: the loop's. Creating an engine ignores SIGPIPE in the process. */
#ifndef PROBE_ENGINE_H
#define PROBE_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <uv.h>

#include "base/clock.h"
#include "base/entropy.h"
#include "base/error.h"
#include "core/limits.h"
#include "probe/debounce.h"
#include "probe/result.h"

#define PROBE_TARGET_MAX 10000                /* descriptors: one a probe in flight or kept alive */
#define PROBE_GROUP_CHECK_MAX (CHECK_MAX + 1) /* and the replica set's */
#define PROBE_STATUS_RANGE_MAX 8
#define PROBE_URL_SIZE 512
#define PROBE_MATCH_SIZE 256
#define PROBE_FILE_SIZE 256
#define PROBE_INTERVAL_MIN_MS 50
#define PROBE_INTERVAL_MAX_MS 3600000
#define PROBE_TIMEOUT_MIN_MS 10
#define PROBE_TIMEOUT_MAX_MS 60000
#define PROBE_BODY_MAX (64 * 1024)   /* read and searched of an answer's body */
#define PROBE_HEADER_MAX (64 * 1024) /* of an answer's headers, together */
#define PROBE_ADDRESS_MAX 8          /* used of a name */
#define PROBE_SHARD_TARGETS 50       /* default of targets_per_shard */
#define PROBE_STALL_MS 1000          /* default of stall_ms */

enum probe_type {
    PROBE_TYPE_HTTP,
    PROBE_TYPE_HTTPS,
    PROBE_TYPE_TCP,
    PROBE_TYPE_FED, /* never probed here: its results come by probe_engine_feed */
    PROBE_TYPE_COUNT
};

struct probe_status_range {
    uint16_t low, high; /* both included, 100 .. 599 */
};

struct probe_target {
    uint32_t service, region; /* the caller's keys */
    char check[NAME_SIZE];    /* unique within (service, region) */
    enum probe_type type;
    char url[PROBE_URL_SIZE]; /* http://, https:// or tcp://host:port as the type says; FED: any */
    struct probe_status_range expect[PROBE_STATUS_RANGE_MAX];
    uint32_t expect_count;        /* 0: 200-399 */
    char match[PROBE_MATCH_SIZE]; /* "": any body */
    uint32_t timeout_ms, interval_ms;
    uint32_t fall, rise;
    bool critical;
    bool keep_alive;               /* else each probe takes a fresh connection */
    bool insecure;                 /* https: the server's certificate isn't checked */
    char ca_file[PROBE_FILE_SIZE]; /* https; "": the machine's own authorities */
    char cert_file[PROBE_FILE_SIZE], key_file[PROBE_FILE_SIZE]; /* https; both or none */
    char server_name[DNS_NAME_SIZE]; /* https: SNI and the name to verify; "": the URL's host */
    enum probe_result_code excused;  /* failures that count no more (debounce.h); OK: none */
};

struct probe_check_view {
    const struct probe_target *target;
    const struct probe_debounce *debounce; /* state, runs, counts, last result with its times */
    bool in_flight;
};

struct probe_address {
    struct sockaddr_storage socket_address; /* port 0 */
};

struct probe_engine_options {
    /* The log index that is applied now; asked when each probe starts. */
    uint64_t (*applied_index)(void *context);
    /* The opinion of (service, region) has another value than before. May be NULL. */
    void (*on_change)(void *context, uint32_t service, uint32_t region,
                      const struct probe_opinion *opinion);
    /* A probe ended; the opinion may have newer evidence. Comes before on_change. May be NULL. */
    void (*on_result)(void *context, const struct probe_check_view *check);
    void *context;
    uint32_t targets_per_shard; /* 0: PROBE_SHARD_TARGETS */
    uint32_t stall_ms;          /* 0: PROBE_STALL_MS */
    /* Runs on a thread of the resolver, may block: fills at most `max` addresses, returns 0 or an
     * EAI_ code. It must stay callable until it has returned, also past the engine's end. NULL:
     * getaddrinfo(3). */
    int (*resolve)(void *context, const char *host, struct probe_address *addresses, size_t max,
                   size_t *ret_count);
    void *resolve_context;
};

struct probe_engine;

/* clock and entropy must outlive the engine. ERROR_NO_MEMORY, ERROR_INTERNAL. */
enum error_code probe_engine_create(uv_loop_t *loop, const struct clock *clock,
                                    const struct entropy *entropy,
                                    const struct probe_engine_options *options,
                                    struct probe_engine **ret_engine, struct error *error);

/* Replaces the set of targets (copied). One that is the same as before, but for its keys and what
 * is excused, keeps state and schedule. May call on_change. A target that can't be probed (its URL,
 * a number out of range) is logged and kept, unknown for ever; the others are none the worse.
 * ERROR_INVALID (a check is there twice), ERROR_LIMIT, ERROR_NO_MEMORY: nothing has changed, the
 * old set goes on under its old keys; an owner whose keys have changed empties it. Not to be called
 * from a callback. */
enum error_code probe_engine_configure(struct probe_engine *engine,
                                       const struct probe_target *targets, size_t count,
                                       struct error *error);

/* A result of the FED check of that name, found elsewhere; its start_index is the log index that
 * was applied when the asking began. One that began before this loop last stood still is void. No
 * such check: dropped. Calls on_result, on_change. Not to be called from a callback. */
void probe_engine_feed(struct probe_engine *engine, uint32_t service, uint32_t region,
                       const char *check, const struct probe_result *result);

/* False, ret_opinion untouched: there is no target of this (service, region). */
bool probe_engine_opinion(const struct probe_engine *engine, uint32_t service, uint32_t region,
                          struct probe_opinion *ret_opinion);

/* Every check, sorted by service, region, name. The view ends with the call. */
void probe_engine_each(const struct probe_engine *engine,
                       void (*visit)(void *context, const struct probe_check_view *check),
                       void *context);

struct probe_engine_stats {
    uint64_t probe_count, stall_count; /* ever; stalls: times that the loop was late */
    uint64_t last_stall_ms;            /* how long the last one was; 0: none yet */
    uint32_t check_count, unusable_count, in_flight_count, shard_count;
    uint32_t resolver_thread_count, resolver_queue_count;
};

void probe_engine_stats(const struct probe_engine *engine, struct probe_engine_stats *ret_stats);

/* Ends all probes without results, closes every handle, frees the engine and then calls on_closed
 * once, from the loop. NULL: on_closed is called at once. Not to be called from a callback of the
 * engine. A resolver thread that is stuck inside `resolve` ends by itself, later. */
void probe_engine_destroy(struct probe_engine *engine, void (*on_closed)(void *context),
                          void *context);

#endif
