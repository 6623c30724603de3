#include "mongo/client.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "lane.h"

#define STACK_BYTES (512 * 1024) /* OpenSSL and the resolver need less than half of it */

/* A question. The loop's part and the thread's part are told apart by `stage`, which changes under
 * the pool's lock only. */
enum stage {
    STAGE_QUEUED,    /* in its way's queue */
    STAGE_RUNNING,   /* a thread has it */
    STAGE_DONE,      /* in the pool's list, for the loop */
    STAGE_ABANDONED, /* answered already; the thread that has it frees it */
};

struct job {
    struct job *next;  /* in the queue, or in the list of those done */
    struct job *after; /* in the loop's list of all that are unanswered */
    struct way *way;
    enum stage stage;
    enum mongo_manner manner;
    char database[NAME_SIZE + 1];
    bson_t *command; /* NULL: a look-up */
    struct mongo_outcome outcome;
    /* The loop's. */
    uint64_t begin_ms, deadline_ms;
    mongo_reply_cb callback;
    void *context;
};

/* The threads' part of a link: outlives it while a thread hangs in it. */
struct way {
    struct mongo_lane *lane;
    struct job *first, *last; /* queued */
    struct way *next_ready;
    bool busy, ready, failed, orphan;
    /* How its last question ended, if that was after its deadline and by our own fault; else OK. A
     * login that is refused slowly must not look like a member that hangs. */
    enum mongo_result late;
};

struct ready_list {
    struct way *first, *last;
};

struct pool {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    uv_async_t *async; /* NULL: the loop is gone */
    uint32_t thread_max, thread_count, idle_count, busy_count, failed_busy_count;
    uint32_t starting_count; /* threads that haven't looked for work yet */
    bool closing;
    struct ready_list good, failed; /* links whose last question went well, or not */
    struct way *leaving;            /* links that are gone, whose connections must be closed */
    struct job *done;               /* newest first */
};

struct mongo_client {
    uv_loop_t *loop;
    struct pool *pool;
    uv_async_t async;
    uv_timer_t timer;
    struct job *unanswered;
    uint64_t question_count;
    uint32_t link_count, open_handles;
    void (*on_closed)(void *context);
    void *closed_context;
};

struct mongo_link {
    struct mongo_client *client;
    struct way *way;
};

/* --- the pool; all of it under its lock --- */

static void make_ready(struct pool *pool, struct way *way) {
    struct ready_list *list = way->failed ? &pool->failed : &pool->good;
    assert(!way->ready && !way->busy && way->first != NULL);
    way->ready = true;
    way->next_ready = NULL;
    if (list->last != NULL) {
        list->last->next_ready = way;
    } else {
        list->first = way;
    }
    list->last = way;
}

static void remove_ready(struct pool *pool, struct way *way) {
    struct ready_list *lists[] = {&pool->good, &pool->failed};
    for (size_t i = 0; i < ARRAY_LENGTH(lists) && way->ready; i++) {
        struct way *before = NULL;
        for (struct way *at = lists[i]->first; at != NULL; before = at, at = at->next_ready) {
            if (at != way) {
                continue;
            }
            *(before == NULL ? &lists[i]->first : &before->next_ready) = way->next_ready;
            lists[i]->last = lists[i]->last == way ? before : lists[i]->last;
            way->ready = false;
            break;
        }
    }
}

static struct way *take_first(struct ready_list *list) {
    struct way *way = list->first;
    list->first = way->next_ready;
    list->last = list->first == NULL ? NULL : list->last;
    way->ready = false;
    return way;
}

static uint32_t failed_busy_max(const struct pool *pool) {
    return (pool->thread_max + 1) / 2;
}

/* Those that went well come first, and members that are gone get half of the threads at most. */
static struct way *take_ready(struct pool *pool) {
    if (pool->good.first != NULL) {
        return take_first(&pool->good);
    }
    bool may = pool->failed_busy_count < failed_busy_max(pool);
    return pool->failed.first != NULL && may ? take_first(&pool->failed) : NULL;
}

static void free_job(struct job *job) {
    bson_destroy(job->command);
    bson_destroy(job->outcome.document);
    free(job);
}

static void run(struct way *way, struct job *job) {
    if (job->command == NULL) {
        mongo_lane_look_up(way->lane, &job->outcome);
    } else {
        mongo_lane_ask(way->lane, job->database, job->command, job->manner, &job->outcome);
    }
}

/* Hands a finished job over; true: nobody waits for it. */
static bool hand_over(struct pool *pool, struct job *job) {
    if (job->stage == STAGE_ABANDONED) {
        return true;
    }
    job->stage = STAGE_DONE;
    job->next = pool->done;
    pool->done = job;
    if (pool->async != NULL) {
        (void)uv_async_send(pool->async);
    }
    return false;
}

/* One turn with the next question of `way`; unlocks meanwhile. */
static void work(struct pool *pool, struct way *way) {
    struct job *job = way->first;
    bool counted_failed = way->failed;
    way->first = job->next;
    way->last = way->first == NULL ? NULL : way->last;
    way->busy = true;
    job->stage = STAGE_RUNNING;
    pool->busy_count++;
    pool->failed_busy_count += counted_failed;
    (void)pthread_mutex_unlock(&pool->lock);
    run(way, job);
    (void)pthread_mutex_lock(&pool->lock);
    pool->busy_count--;
    pool->failed_busy_count -= counted_failed;
    way->busy = false;
    way->failed = mongo_result_is_failure(job->outcome.result);
    bool unwanted = hand_over(pool, job);
    bool is_ours =
        job->outcome.result == MONGO_RESULT_AUTH || job->outcome.result == MONGO_RESULT_CREDENTIALS;
    way->late = unwanted && is_ours ? job->outcome.result : MONGO_RESULT_OK;
    bool orphan = way->orphan;
    if (!orphan && way->first != NULL) {
        make_ready(pool, way);
    }
    if (!unwanted && !orphan) {
        return;
    }
    (void)pthread_mutex_unlock(&pool->lock);
    if (unwanted) {
        free_job(job);
    }
    if (orphan) {
        mongo_lane_destroy(way->lane);
        free(way);
    }
    (void)pthread_mutex_lock(&pool->lock);
}

static void free_pool(struct pool *pool) {
    (void)pthread_cond_destroy(&pool->wake);
    (void)pthread_mutex_destroy(&pool->lock);
    free(pool);
}

/* Closing a connection says goodbye to the server, which may hang: never on the loop. */
static void say_goodbye(struct pool *pool) {
    struct way *way = pool->leaving;
    pool->leaving = way->next_ready;
    (void)pthread_mutex_unlock(&pool->lock);
    mongo_lane_destroy(way->lane);
    free(way);
    (void)pthread_mutex_lock(&pool->lock);
}

static void *thread_main(void *context) {
    struct pool *pool = context;
    (void)pthread_mutex_lock(&pool->lock);
    pool->starting_count--;
    while (true) {
        struct way *way = take_ready(pool);
        if (way != NULL) {
            work(pool, way);
        } else if (pool->leaving != NULL) {
            say_goodbye(pool);
        } else if (pool->closing) {
            break;
        } else {
            pool->idle_count++;
            (void)pthread_cond_wait(&pool->wake, &pool->lock);
            pool->idle_count--;
        }
    }
    bool last = --pool->thread_count == 0 && pool->async == NULL;
    (void)pthread_mutex_unlock(&pool->lock);
    if (last) {
        free_pool(pool);
    }
    return NULL;
}

/* A thread more, where none is idle for what has just become ready. Without one the question waits
 * for another thread, or ends at its deadline. */
static void want_thread(struct pool *pool) {
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all;
    sigset_t old;
    if (pool->idle_count > 0) {
        (void)pthread_cond_signal(&pool->wake);
    }
    uint32_t waiting = 0;
    uint32_t failed_busy = pool->failed_busy_count;
    for (const struct way *at = pool->good.first; at != NULL; at = at->next_ready) {
        waiting++;
    }
    for (const struct way *at = pool->failed.first; at != NULL; at = at->next_ready) {
        waiting += failed_busy++ < failed_busy_max(pool);
    }
    if (waiting <= pool->idle_count + pool->starting_count ||
        pool->thread_count == pool->thread_max || pthread_attr_init(&attributes) != 0) {
        return;
    }
    (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    (void)pthread_attr_setstacksize(&attributes, STACK_BYTES);
    (void)sigfillset(&all); /* signals are the loop's */
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    if (pthread_create(&thread, &attributes, thread_main, pool) == 0) {
        pool->thread_count++;
        pool->starting_count++;
    }
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    (void)pthread_attr_destroy(&attributes);
}

/* --- the loop's side --- */

static uint64_t now_ms(void) {
    return uv_hrtime() / 1000000;
}

static void unlist(struct job *job, struct mongo_client *client) {
    struct job **at = &client->unanswered;
    while (*at != job) {
        at = &(*at)->after;
    }
    *at = job->after;
}

/* Takes it off whatever it stands in, so that only the caller knows it; false: a thread has it and
 * will free it. */
static bool take_back(struct pool *pool, struct job *job) {
    struct way *way = job->way;
    bool ours = true;
    (void)pthread_mutex_lock(&pool->lock);
    if (job->stage == STAGE_QUEUED) {
        struct job *before = NULL;
        for (struct job *at = way->first; at != job; at = at->next) {
            before = at;
        }
        *(before == NULL ? &way->first : &before->next) = job->next;
        way->last = way->last == job ? before : way->last;
        if (way->first == NULL) {
            remove_ready(pool, way);
        }
    } else if (job->stage == STAGE_RUNNING) {
        job->stage = STAGE_ABANDONED;
        ours = false;
    } else {
        struct job **at = &pool->done;
        while (*at != job) {
            at = &(*at)->next;
        }
        *at = job->next;
    }
    (void)pthread_mutex_unlock(&pool->lock);
    return ours;
}

static void answer(struct job *job, const struct mongo_reply *reply) {
    job->callback(job->context, reply);
}

static void give_up(struct mongo_client *client, struct job *job, enum mongo_result result,
                    const char *detail) {
    struct mongo_reply reply = {.result = result, .detail = detail};
    mongo_reply_cb callback = job->callback;
    void *context = job->context;
    reply.took_ms = (uint32_t)(now_ms() - job->begin_ms);
    unlist(job, client);
    if (take_back(client->pool, job)) {
        free_job(job);
    }
    callback(context, &reply);
}

static void deliver_done(struct mongo_client *client) {
    while (true) {
        struct pool *pool = client->pool;
        (void)pthread_mutex_lock(&pool->lock);
        struct job **at = &pool->done;
        while (*at != NULL && (*at)->next != NULL) {
            at = &(*at)->next; /* the oldest */
        }
        struct job *job = *at;
        *at = NULL;
        (void)pthread_mutex_unlock(&pool->lock);
        if (job == NULL) {
            return;
        }
        unlist(job, client);
        struct mongo_reply reply = {
            .result = job->outcome.result,
            .server_code = job->outcome.server_code,
            .took_ms = (uint32_t)(now_ms() - job->begin_ms),
            .document = job->outcome.document,
            .detail = job->outcome.detail,
        };
        answer(job, &reply);
        free_job(job);
    }
}

static void arm(struct mongo_client *client);

static void on_async(uv_async_t *async) {
    deliver_done(async->data);
}

/* Why there is no answer, as far as is known: of a question that never got a thread nothing is. */
static enum mongo_result silence_of(struct mongo_client *client, const struct job *job) {
    (void)pthread_mutex_lock(&client->pool->lock);
    bool starved = job->stage == STAGE_QUEUED && !job->way->busy;
    enum mongo_result late = job->way->late;
    (void)pthread_mutex_unlock(&client->pool->lock);
    return starved ? MONGO_RESULT_BUSY : late != MONGO_RESULT_OK ? late : MONGO_RESULT_TIMEOUT;
}

static void expire(struct mongo_client *client, struct job *job) {
    enum mongo_result result = silence_of(client, job);
    give_up(client, job, result,
            result == MONGO_RESULT_BUSY      ? "no thread was free"
            : result == MONGO_RESULT_TIMEOUT ? "no answer in time"
                                             : "the last login was refused, too late");
}

static void on_timer(uv_timer_t *timer) {
    struct mongo_client *client = timer->data;
    deliver_done(client); /* a loop that was late must first see what came in time */
    uint64_t now = now_ms();
    struct job **at = &client->unanswered;
    while (*at != NULL) {
        if ((*at)->deadline_ms <= now) {
            expire(client, *at);
            at = &client->unanswered; /* the callback may have changed the list */
        } else {
            at = &(*at)->after;
        }
    }
    arm(client);
}

static void arm(struct mongo_client *client) {
    uint64_t first_ms = UINT64_MAX;
    for (const struct job *job = client->unanswered; job != NULL; job = job->after) {
        first_ms = job->deadline_ms < first_ms ? job->deadline_ms : first_ms;
    }
    if (first_ms == UINT64_MAX || uv_is_closing((uv_handle_t *)&client->timer)) {
        (void)uv_timer_stop(&client->timer);
        return;
    }
    uint64_t now = now_ms();
    uv_update_time(client->loop);
    (void)uv_timer_start(&client->timer, on_timer, first_ms > now ? first_ms - now : 0, 0);
}

static struct job *new_job(struct mongo_link *link, uint32_t timeout_ms, mongo_reply_cb callback,
                           void *context) {
    struct job *job = calloc(1, sizeof *job);
    if (job == NULL) {
        struct mongo_reply reply = {.result = MONGO_RESULT_INTERNAL, .detail = "out of memory"};
        callback(context, &reply);
        return NULL;
    }
    job->way = link->way;
    job->begin_ms = now_ms();
    job->deadline_ms = job->begin_ms + timeout_ms;
    job->callback = callback;
    job->context = context;
    return job;
}

static void start_job(struct mongo_link *link, struct job *job) {
    struct mongo_client *client = link->client;
    struct pool *pool = client->pool;
    struct way *way = link->way;
    client->question_count++;
    job->after = client->unanswered;
    client->unanswered = job;
    (void)pthread_mutex_lock(&pool->lock);
    if (way->last != NULL) {
        way->last->next = job;
    } else {
        way->first = job;
    }
    way->last = job;
    if (!way->busy && !way->ready) {
        make_ready(pool, way);
    }
    want_thread(pool);
    (void)pthread_mutex_unlock(&pool->lock);
    arm(client);
}

void mongo_link_ask(struct mongo_link *link, const char *database, const bson_t *command,
                    enum mongo_manner manner, uint32_t timeout_ms, mongo_reply_cb callback,
                    void *context) {
    struct job *job = new_job(link, timeout_ms, callback, context);
    if (job == NULL) {
        return;
    }
    job->manner = manner;
    bool fits = TEXT_COPY(job->database, database);
    assert(fits);
    (void)fits;
    job->command = bson_copy(command);
    start_job(link, job);
}

void mongo_link_look_up(struct mongo_link *link, uint32_t timeout_ms, mongo_reply_cb callback,
                        void *context) {
    struct job *job = new_job(link, timeout_ms, callback, context);
    if (job != NULL) {
        start_job(link, job);
    }
}

struct mongo_link *mongo_link_create(struct mongo_client *client,
                                     const struct mongo_target *target) {
    struct mongo_link *link = calloc(1, sizeof *link);
    struct way *way = calloc(1, sizeof *way);
    struct mongo_lane *lane = mongo_lane_create(target);
    if (link == NULL || way == NULL || lane == NULL) {
        free(link);
        free(way);
        mongo_lane_destroy(lane);
        return NULL;
    }
    way->lane = lane;
    link->client = client;
    link->way = way;
    client->link_count++;
    return link;
}

void mongo_link_destroy(struct mongo_link *link) {
    if (link == NULL) {
        return;
    }
    struct mongo_client *client = link->client;
    struct pool *pool = client->pool;
    struct way *way = link->way;
    struct job **at = &client->unanswered;
    while (*at != NULL) {
        if ((*at)->way == way) {
            give_up(client, *at, MONGO_RESULT_CANCELLED, "the asker gave up");
            at = &client->unanswered; /* the callback may have changed the list */
        } else {
            at = &(*at)->after;
        }
    }
    (void)pthread_mutex_lock(&pool->lock);
    assert(way->first == NULL && !way->ready);
    way->orphan = true; /* a thread that has it frees it */
    bool is_unused = !way->busy && pool->thread_count == 0;
    if (!way->busy && !is_unused) {
        way->next_ready = pool->leaving;
        pool->leaving = way;
        (void)pthread_cond_signal(&pool->wake);
    }
    (void)pthread_mutex_unlock(&pool->lock);
    if (is_unused) {
        mongo_lane_destroy(way->lane);
        free(way);
    }
    assert(client->link_count > 0);
    client->link_count--;
    free(link);
}

enum error_code mongo_client_create(uv_loop_t *loop, uint32_t thread_max,
                                    struct mongo_client **ret_client, struct error *error) {
    struct mongo_client *client = calloc(1, sizeof *client);
    struct pool *pool = calloc(1, sizeof *pool);
    if (client == NULL || pool == NULL || uv_async_init(loop, &client->async, on_async) != 0) {
        free(client);
        free(pool);
        return error_set(error, ERROR_NO_MEMORY, "mongo: out of memory");
    }
    (void)pthread_mutex_init(&pool->lock, NULL);
    (void)pthread_cond_init(&pool->wake, NULL);
    pool->thread_max = thread_max == 0 ? MONGO_THREAD_MAX : thread_max;
    pool->async = &client->async;
    client->loop = loop;
    client->pool = pool;
    client->async.data = client;
    (void)uv_timer_init(loop, &client->timer);
    client->timer.data = client;
    client->open_handles = 2;
    *ret_client = client;
    return ERROR_OK;
}

static void on_handle_closed(uv_handle_t *handle) {
    struct mongo_client *client = handle->data;
    if (--client->open_handles == 0) {
        void (*on_closed)(void *) = client->on_closed;
        void *context = client->closed_context;
        free(client);
        on_closed(context);
    }
}

void mongo_client_destroy(struct mongo_client *client, void (*on_closed)(void *context),
                          void *context) {
    if (client == NULL) {
        on_closed(context);
        return;
    }
    assert(client->link_count == 0 && client->unanswered == NULL);
    struct pool *pool = client->pool;
    client->on_closed = on_closed;
    client->closed_context = context;
    (void)pthread_mutex_lock(&pool->lock);
    assert(pool->done == NULL);
    pool->async = NULL;
    pool->closing = true;
    bool last = pool->thread_count == 0;
    (void)pthread_cond_broadcast(&pool->wake);
    (void)pthread_mutex_unlock(&pool->lock);
    if (last) {
        free_pool(pool);
    }
    uv_close((uv_handle_t *)&client->async, on_handle_closed);
    uv_close((uv_handle_t *)&client->timer, on_handle_closed);
}

void mongo_client_stats(const struct mongo_client *client, struct mongo_client_stats *ret_stats) {
    (void)pthread_mutex_lock(&client->pool->lock);
    *ret_stats = (struct mongo_client_stats){.thread_count = client->pool->thread_count,
                                             .busy_count = client->pool->busy_count,
                                             .question_count = client->question_count};
    (void)pthread_mutex_unlock(&client->pool->lock);
}
