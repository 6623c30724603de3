#include "shard.h"

#include <assert.h>
#include <stdlib.h>

#include "base/text.h"

struct socket_watch {
    uv_poll_t poll;
    struct probe_shard *shard;
    struct probe_engine *engine; /* the shard may be gone when the handle is closed */
    curl_socket_t socket;
};

static void collect_done(struct probe_shard *shard) {
    int left = 0;
    CURLMsg *message = NULL;
    while ((message = curl_multi_info_read(shard->multi, &left)) != NULL) {
        if (message->msg != CURLMSG_DONE) {
            continue;
        }
        CURL *easy = message->easy_handle;
        CURLcode rc = message->data.result; /* the message goes with the handle's removal */
        char *private = NULL;
        (void)curl_easy_getinfo(easy, CURLINFO_PRIVATE, &private);
        (void)curl_multi_remove_handle(shard->multi, easy);
        probe_http_done((struct probe_check *)(void *)private, rc);
    }
}

static void act(struct probe_shard *shard, curl_socket_t socket, int events) {
    int running = 0;
    (void)curl_multi_socket_action(shard->multi, socket, events, &running);
    collect_done(shard);
}

static void on_poll(uv_poll_t *poll, int status, int events) {
    struct socket_watch *watch = poll->data;
    int bits = 0;
    if (status < 0) {
        bits = CURL_CSELECT_ERR;
    }
    if ((events & UV_READABLE) != 0) {
        bits |= CURL_CSELECT_IN;
    }
    if ((events & UV_WRITABLE) != 0) {
        bits |= CURL_CSELECT_OUT;
    }
    act(watch->shard, watch->socket, bits);
}

static void on_watch_closed(uv_handle_t *handle) {
    struct socket_watch *watch = handle->data;
    struct probe_engine *engine = watch->engine;
    free(watch);
    probe_engine_drop(engine);
}

static struct socket_watch *open_watch(struct probe_shard *shard, curl_socket_t socket) {
    struct socket_watch *watch = calloc(1, sizeof *watch);
    if (watch == NULL) {
        return NULL;
    }
    if (uv_poll_init(shard->engine->loop, &watch->poll, socket) != 0) {
        free(watch);
        return NULL;
    }
    watch->poll.data = watch;
    watch->shard = shard;
    watch->engine = shard->engine;
    watch->socket = socket;
    probe_engine_hold(shard->engine);
    return watch;
}

/* CURLMOPT_SOCKETFUNCTION. A socket that can't be watched just runs into its timeout. */
static int on_socket(CURL *easy, curl_socket_t socket, int what, void *context, void *socket_data) {
    (void)easy;
    struct probe_shard *shard = context;
    struct socket_watch *watch = socket_data;
    if (what == CURL_POLL_REMOVE) {
        if (watch != NULL) {
            /* libcurl may close the socket right after this; stop takes it out of epoll now. */
            (void)uv_poll_stop(&watch->poll);
            uv_close((uv_handle_t *)&watch->poll, on_watch_closed);
        }
        return 0;
    }
    if (watch == NULL) {
        watch = open_watch(shard, socket);
        if (watch == NULL) {
            return -1;
        }
        (void)curl_multi_assign(shard->multi, socket, watch);
    }
    int events = 0;
    events |= what == CURL_POLL_IN || what == CURL_POLL_INOUT ? UV_READABLE : 0;
    events |= what == CURL_POLL_OUT || what == CURL_POLL_INOUT ? UV_WRITABLE : 0;
    return uv_poll_start(&watch->poll, events, on_poll) == 0 ? 0 : -1;
}

static void on_timer(uv_timer_t *timer) {
    act(timer->data, CURL_SOCKET_TIMEOUT, 0);
}

/* CURLMOPT_TIMERFUNCTION. Zero means "soon": libcurl must not be entered from its own callback. */
static int on_timeout(CURLM *multi, long timeout_ms, void *context) {
    (void)multi;
    struct probe_shard *shard = context;
    if (timeout_ms < 0) {
        (void)uv_timer_stop(&shard->timer);
    } else {
        uv_update_time(shard->engine->loop);
        (void)uv_timer_start(&shard->timer, on_timer, timeout_ms < 1 ? 1 : (uint64_t)timeout_ms, 0);
    }
    return 0;
}

static struct probe_shard *create(struct probe_engine *engine, const char *ca_file) {
    struct probe_shard *shard = calloc(1, sizeof *shard);
    if (shard == NULL) {
        return NULL;
    }
    shard->multi = curl_multi_init();
    if (shard->multi == NULL || uv_timer_init(engine->loop, &shard->timer) != 0) {
        (void)curl_multi_cleanup(shard->multi);
        free(shard);
        return NULL;
    }
    shard->engine = engine;
    shard->timer.data = shard;
    (void)TEXT_COPY(shard->ca_file, ca_file);
    (void)curl_multi_setopt(shard->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    (void)curl_multi_setopt(shard->multi, CURLMOPT_SOCKETDATA, shard);
    (void)curl_multi_setopt(shard->multi, CURLMOPT_TIMERFUNCTION, on_timeout);
    (void)curl_multi_setopt(shard->multi, CURLMOPT_TIMERDATA, shard);
    (void)curl_multi_setopt(shard->multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
    (void)curl_multi_setopt(shard->multi, CURLMOPT_MAXCONNECTS,
                            2L * (long)engine->options.targets_per_shard);
    shard->next = engine->shards;
    engine->shards = shard;
    probe_engine_hold(engine);
    return shard;
}

struct probe_shard *probe_shard_acquire(struct probe_engine *engine, const char *ca_file) {
    struct probe_shard *shard = engine->shards;
    while (shard != NULL && (shard->check_count >= engine->options.targets_per_shard ||
                             !text_equal(shard->ca_file, ca_file))) {
        shard = shard->next;
    }
    if (shard == NULL) {
        shard = create(engine, ca_file);
    }
    if (shard != NULL) {
        shard->check_count++;
    }
    return shard;
}

static void on_shard_closed(uv_handle_t *handle) {
    struct probe_shard *shard = handle->data;
    struct probe_engine *engine = shard->engine;
    free(shard);
    probe_engine_drop(engine);
}

void probe_shard_release(struct probe_shard *shard) {
    assert(shard->check_count > 0);
    if (--shard->check_count > 0) {
        return;
    }
    struct probe_shard **at = &shard->engine->shards;
    while (*at != shard) {
        at = &(*at)->next;
    }
    *at = shard->next;
    (void)curl_multi_cleanup(shard->multi); /* closes the connections it kept; last callbacks */
    uv_close((uv_handle_t *)&shard->timer, on_shard_closed);
}
