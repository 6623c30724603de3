#include "resolver.h"

#include <assert.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

enum { THREAD_STACK_BYTES = 1024 * 1024, HOST_BUCKETS = 1024 };

/* Belongs to the pool from queueing to completion. The host behind it is touched by the loop only.
 */
struct probe_resolver_job {
    struct probe_resolver_job *next, *previous;
    struct probe_host *host;
    char name[PROBE_HOST_SIZE];
    bool running;
    uint64_t seen_running_ms; /* when a tick first saw it so; 0: not yet */
    int status;
    struct probe_address addresses[PROBE_ADDRESS_MAX];
    size_t address_count;
};

struct job_list {
    struct probe_resolver_job *first, *last;
};

/* What threads and loop share. A stuck thread may outlive the resolver: whoever leaves last frees
 * the pool. */
struct pool {
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    struct job_list queued, running, done;
    uint32_t queued_count, thread_count, idle_count, wanted_count;
    bool closing;
    uv_async_t *async; /* of the resolver: not touched once closing */
    int (*resolve)(void *context, const char *host, struct probe_address *addresses, size_t max,
                   size_t *ret_count);
    void *resolve_context;
};

struct probe_resolver {
    uv_async_t async;
    const struct clock *clock;
    struct pool *pool;
    struct probe_host *buckets[HOST_BUCKETS];
    void (*on_closed)(void *context);
    void *context;
};

static void list_push(struct job_list *list, struct probe_resolver_job *job) {
    job->next = NULL;
    job->previous = list->last;
    *(list->last == NULL ? &list->first : &list->last->next) = job;
    list->last = job;
}

static void list_remove(struct job_list *list, struct probe_resolver_job *job) {
    *(job->previous == NULL ? &list->first : &job->previous->next) = job->next;
    *(job->next == NULL ? &list->last : &job->next->previous) = job->previous;
    job->next = NULL;
    job->previous = NULL;
}

static void list_free(struct job_list *list) {
    struct probe_resolver_job *job = list->first;
    while (job != NULL) {
        struct probe_resolver_job *next = job->next;
        free(job);
        job = next;
    }
    *list = (struct job_list){0};
}

static int system_resolve(void *context, const char *host, struct probe_address *addresses,
                          size_t max, size_t *ret_count) {
    (void)context;
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    int rc = getaddrinfo(host, NULL, &hints, &list);
    if (rc != 0) {
        return rc;
    }
    size_t count = 0;
    for (const struct addrinfo *it = list; it != NULL && count < max; it = it->ai_next) {
        bool usable = it->ai_family == AF_INET || it->ai_family == AF_INET6;
        if (usable && it->ai_addrlen <= sizeof addresses[count].socket_address) {
            memset(&addresses[count], 0, sizeof addresses[count]);
            memcpy(&addresses[count].socket_address, it->ai_addr, it->ai_addrlen);
            count++;
        }
    }
    freeaddrinfo(list);
    *ret_count = count;
    return 0;
}

static void pool_free(struct pool *pool) {
    list_free(&pool->queued);
    list_free(&pool->done);
    assert(pool->running.first == NULL);
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->mutex);
    free(pool);
}

/* With the mutex held on entry and exit. */
static void run_job(struct pool *pool, struct probe_resolver_job *job) {
    list_remove(&pool->queued, job);
    pool->queued_count--;
    list_push(&pool->running, job);
    job->running = true;
    pthread_mutex_unlock(&pool->mutex);
    size_t count = 0;
    int status =
        pool->resolve(pool->resolve_context, job->name, job->addresses, PROBE_ADDRESS_MAX, &count);
    assert(count <= PROBE_ADDRESS_MAX);
    pthread_mutex_lock(&pool->mutex);
    list_remove(&pool->running, job);
    job->status = status == 0 && count == 0 ? EAI_NONAME : status;
    job->address_count = job->status == 0 ? count : 0;
    list_push(&pool->done, job);
    if (!pool->closing) {
        int rc = uv_async_send(pool->async);
        assert(rc == 0);
        (void)rc;
    }
}

static void *run_thread(void *argument) {
    struct pool *pool = argument;
    pthread_mutex_lock(&pool->mutex);
    while (!pool->closing && pool->thread_count <= pool->wanted_count) {
        if (pool->queued.first != NULL) {
            run_job(pool, pool->queued.first);
            continue;
        }
        pool->idle_count++;
        pthread_cond_wait(&pool->wake, &pool->mutex);
        pool->idle_count--;
    }
    pool->thread_count--;
    bool last = pool->closing && pool->thread_count == 0;
    pthread_mutex_unlock(&pool->mutex);
    if (last) {
        pool_free(pool);
    }
    return NULL;
}

/* With the mutex held. The thread takes no signals: they belong to the main thread. */
static bool start_thread(struct pool *pool) {
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all;
    sigset_t before;
    if (pthread_attr_init(&attributes) != 0) {
        return false;
    }
    (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    (void)pthread_attr_setstacksize(&attributes, THREAD_STACK_BYTES);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&thread, &attributes, run_thread, pool);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    pool->thread_count += rc == 0;
    return rc == 0;
}

/* A job comes off the loop's hands: result kept, waiters told. They may release the host. */
static void complete(struct probe_resolver *resolver, struct probe_resolver_job *job) {
    struct probe_host *host = job->host;
    host->job = NULL;
    host->status = job->status;
    host->completed_ms = clock_boottime_ms(resolver->clock);
    if (job->status == 0) {
        memcpy(host->addresses, job->addresses, sizeof host->addresses);
        host->address_count = job->address_count;
    }
    free(job);
    host->reference_count++;
    struct probe_wait *waits = host->waits;
    host->waits = NULL;
    /* Those who begin to wait again from their callback go to a new list; a callback may cancel
     * others of this one, so its head must stay reachable. */
    struct probe_wait head = {.next = waits};
    if (waits != NULL) {
        waits->previous = &head;
    }
    while (head.next != NULL) {
        struct probe_wait *wait = head.next;
        head.next = wait->next;
        if (wait->next != NULL) {
            wait->next->previous = &head;
        }
        wait->next = NULL;
        wait->previous = NULL;
        wait->host = NULL;
        wait->on_done(wait);
    }
    probe_host_release(host);
}

static void on_async(uv_async_t *async) {
    struct probe_resolver *resolver = async->data;
    struct pool *pool = resolver->pool;
    pthread_mutex_lock(&pool->mutex);
    struct probe_resolver_job *job = pool->done.first;
    pool->done = (struct job_list){0};
    pthread_mutex_unlock(&pool->mutex);
    while (job != NULL) {
        struct probe_resolver_job *next = job->next;
        complete(resolver, job);
        job = next;
    }
}

struct probe_resolver *probe_resolver_create(uv_loop_t *loop, const struct clock *clock,
                                             const struct probe_engine_options *options) {
    struct probe_resolver *resolver = calloc(1, sizeof *resolver);
    struct pool *pool = calloc(1, sizeof *pool);
    if (resolver == NULL || pool == NULL || uv_async_init(loop, &resolver->async, on_async) != 0) {
        free(resolver);
        free(pool);
        return NULL;
    }
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->wake, NULL);
    pool->wanted_count = PROBE_RESOLVER_THREADS;
    pool->async = &resolver->async;
    pool->resolve = options->resolve == NULL ? system_resolve : options->resolve;
    pool->resolve_context = options->resolve_context;
    resolver->async.data = resolver;
    resolver->clock = clock;
    resolver->pool = pool;
    return resolver;
}

static void on_async_closed(uv_handle_t *handle) {
    struct probe_resolver *resolver = handle->data;
    void (*on_closed)(void *) = resolver->on_closed;
    void *context = resolver->context;
    free(resolver);
    on_closed(context);
}

/* Hosts that only a lookup under way kept alive. Its thread doesn't touch them. */
static void free_hosts(struct probe_resolver *resolver) {
    for (size_t i = 0; i < HOST_BUCKETS; i++) {
        while (resolver->buckets[i] != NULL) {
            struct probe_host *host = resolver->buckets[i];
            assert(host->reference_count == 0);
            resolver->buckets[i] = host->next;
            free(host);
        }
    }
}

void probe_resolver_destroy(struct probe_resolver *resolver, void (*on_closed)(void *context),
                            void *context) {
    struct pool *pool = resolver->pool;
    resolver->on_closed = on_closed;
    resolver->context = context;
    free_hosts(resolver);
    pthread_mutex_lock(&pool->mutex);
    pool->closing = true;
    pthread_cond_broadcast(&pool->wake);
    bool alone = pool->thread_count == 0;
    pthread_mutex_unlock(&pool->mutex);
    if (alone) {
        pool_free(pool);
    }
    uv_close((uv_handle_t *)&resolver->async, on_async_closed);
}

static struct probe_host **find_bucket(struct probe_resolver *resolver, const char *name) {
    uint32_t hash = 2166136261u; /* FNV-1a, 32 bits */
    for (const char *p = name; *p != '\0'; p++) {
        hash = (hash ^ (unsigned char)*p) * 16777619u;
    }
    return &resolver->buckets[hash % HOST_BUCKETS];
}

struct probe_host *probe_resolver_acquire(struct probe_resolver *resolver, const char *name) {
    struct probe_host **bucket = find_bucket(resolver, name);
    for (struct probe_host *host = *bucket; host != NULL; host = host->next) {
        if (text_equal(host->name, name)) {
            host->reference_count++;
            return host;
        }
    }
    struct probe_host *host = calloc(1, sizeof *host);
    if (host == NULL) {
        return NULL;
    }
    bool fits = TEXT_COPY(host->name, name);
    assert(fits);
    (void)fits;
    host->resolver = resolver;
    host->reference_count = 1;
    host->next = *bucket;
    *bucket = host;
    return host;
}

void probe_host_release(struct probe_host *host) {
    assert(host->reference_count > 0);
    host->reference_count--;
    if (host->reference_count > 0 || host->job != NULL) {
        return; /* a lookup under way comes back to it, and frees it then */
    }
    assert(host->waits == NULL);
    struct probe_host **at = find_bucket(host->resolver, host->name);
    while (*at != host) {
        at = &(*at)->next;
    }
    *at = host->next;
    free(host);
}

bool probe_host_is_fresh(const struct probe_host *host, uint64_t now_ms, uint64_t ttl_ms) {
    return host->completed_ms != 0 && host->status == 0 && now_ms >= host->completed_ms &&
           now_ms - host->completed_ms <= ttl_ms;
}

static bool start_lookup(struct probe_host *host) {
    struct pool *pool = host->resolver->pool;
    struct probe_resolver_job *job = calloc(1, sizeof *job);
    if (job == NULL) {
        return false;
    }
    memcpy(job->name, host->name, sizeof job->name);
    job->host = host;
    pthread_mutex_lock(&pool->mutex);
    if (pool->idle_count <= pool->queued_count && pool->thread_count < pool->wanted_count) {
        (void)start_thread(pool);
    }
    bool served = pool->thread_count > 0;
    if (served) {
        list_push(&pool->queued, job);
        pool->queued_count++;
        pthread_cond_signal(&pool->wake);
    }
    pthread_mutex_unlock(&pool->mutex);
    if (!served) {
        free(job);
        return false;
    }
    host->job = job;
    return true;
}

bool probe_host_wait(struct probe_host *host, struct probe_wait *wait) {
    assert(wait->host == NULL);
    if (host->job == NULL && !start_lookup(host)) {
        return false;
    }
    wait->host = host;
    wait->previous = NULL;
    wait->next = host->waits;
    if (wait->next != NULL) {
        wait->next->previous = wait;
    }
    host->waits = wait;
    return true;
}

/* Nobody waits for a lookup that no thread has begun: the queue is for those who do. */
static void drop_queued(struct probe_host *host) {
    struct pool *pool = host->resolver->pool;
    struct probe_resolver_job *job = host->job;
    pthread_mutex_lock(&pool->mutex);
    bool queued = !job->running;
    if (queued) {
        list_remove(&pool->queued, job);
        pool->queued_count--;
    }
    pthread_mutex_unlock(&pool->mutex);
    if (queued) {
        free(job);
        host->job = NULL;
    }
}

void probe_wait_cancel(struct probe_wait *wait) {
    struct probe_host *host = wait->host;
    if (host == NULL) {
        return;
    }
    if (wait->previous != NULL) {
        wait->previous->next = wait->next;
    } else {
        host->waits = wait->next;
    }
    if (wait->next != NULL) {
        wait->next->previous = wait->previous;
    }
    wait->next = NULL;
    wait->previous = NULL;
    wait->host = NULL;
    if (host->waits == NULL && host->job != NULL) {
        drop_queued(host);
    }
}

void probe_resolver_tick(struct probe_resolver *resolver, uint64_t now_ms) {
    struct pool *pool = resolver->pool;
    uint32_t stuck = 0;
    pthread_mutex_lock(&pool->mutex);
    for (struct probe_resolver_job *job = pool->running.first; job != NULL; job = job->next) {
        if (job->seen_running_ms == 0) {
            job->seen_running_ms = now_ms;
        }
        stuck += now_ms - job->seen_running_ms >= PROBE_RESOLVER_STUCK_MS;
    }
    uint32_t wanted = PROBE_RESOLVER_THREADS + stuck;
    pool->wanted_count = wanted < PROBE_RESOLVER_THREAD_MAX ? wanted : PROBE_RESOLVER_THREAD_MAX;
    uint32_t missing =
        pool->queued_count > pool->idle_count ? pool->queued_count - pool->idle_count : 0;
    while (missing > 0 && pool->thread_count < pool->wanted_count && start_thread(pool)) {
        missing--;
    }
    pthread_mutex_unlock(&pool->mutex);
}

void probe_resolver_stats(struct probe_resolver *resolver, uint32_t *ret_thread_count,
                          uint32_t *ret_queue_count) {
    struct pool *pool = resolver->pool;
    pthread_mutex_lock(&pool->mutex);
    *ret_thread_count = pool->thread_count;
    *ret_queue_count = pool->queued_count;
    pthread_mutex_unlock(&pool->mutex);
}
