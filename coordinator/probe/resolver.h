/* Names to addresses, off the loop, on threads of our own.
 *
 * One lookup a host at a time, shared by all who wait for it. Waiting is bounded by the waiter (it
 * cancels at its own deadline); a lookup itself can't be cancelled, so a thread may be stuck in it.
 * Threads that are stuck get substitutes up to PROBE_RESOLVER_THREAD_MAX; beyond that the queue
 * stands, and its waiters run into their deadlines. A late answer is still kept for the next probe.
 */
#ifndef PROBE_RESOLVER_H
#define PROBE_RESOLVER_H

#include "probe/engine.h"
#include "target.h"

#define PROBE_RESOLVER_THREADS 4
#define PROBE_RESOLVER_THREAD_MAX 16
#define PROBE_RESOLVER_STUCK_MS 2000

struct probe_resolver;
struct probe_resolver_job;

struct probe_wait {
    void (*on_done)(struct probe_wait *wait); /* read host->status; may wait again */
    struct probe_host *host;                  /* NULL: not waiting */
    struct probe_wait *next, *previous;
};

struct probe_host {
    struct probe_resolver *resolver;
    struct probe_host *next;
    uint32_t reference_count;
    char name[PROBE_HOST_SIZE];
    int status;            /* of the last lookup: 0 or EAI_ code */
    uint64_t completed_ms; /* CLOCK_BOOTTIME; 0: never */
    struct probe_address addresses[PROBE_ADDRESS_MAX];
    size_t address_count;
    struct probe_wait *waits;
    struct probe_resolver_job *job; /* NULL: no lookup under way */
};

/* on_closed fires once after probe_resolver_destroy, from the loop; the resolver is freed then. All
 * hosts must have been released before that call. NULL: out of memory. */
struct probe_resolver *probe_resolver_create(uv_loop_t *loop, const struct clock *clock,
                                             const struct probe_engine_options *options);
void probe_resolver_destroy(struct probe_resolver *resolver, void (*on_closed)(void *context),
                            void *context);

/* A reference to the host of that name. NULL: out of memory. */
struct probe_host *probe_resolver_acquire(struct probe_resolver *resolver, const char *name);
void probe_host_release(struct probe_host *host);

/* The last lookup went well, no longer than ttl_ms ago. */
bool probe_host_is_fresh(const struct probe_host *host, uint64_t now_ms, uint64_t ttl_ms);
/* on_done fires once, from the loop, never from within the call, unless cancelled before. False:
 * out of memory or threads, and nobody waits. */
bool probe_host_wait(struct probe_host *host, struct probe_wait *wait);
void probe_wait_cancel(struct probe_wait *wait); /* fine when it doesn't wait */

/* To be called every now and then: finds stuck threads and starts their substitutes. */
void probe_resolver_tick(struct probe_resolver *resolver, uint64_t now_ms);
void probe_resolver_stats(struct probe_resolver *resolver, uint32_t *ret_thread_count,
                          uint32_t *ret_queue_count);

#endif
