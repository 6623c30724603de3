#include "http_client.h"

#include <arpa/inet.h>
#include <assert.h>
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buffer.h"
#include "base/text.h"
#include "allocate.h"

#define LOST_AFTER_MS 250 /* beyond a call's own time-out */

struct http_client {
    uv_loop_t *loop;
    const struct clock *clock;
    CURLM *multi;
    uv_timer_t curl_timer;  /* libcurl's own */
    uv_timer_t defer_timer; /* ends calls that never started, and the close */
    uv_timer_t lost_timer;  /* ends calls that libcurl has lost */
    unsigned open_timers;
    unsigned open_polls;
    struct call *calls;
    uint32_t call_count;
    char ca_file[1024];
    bool closing;
    void (*on_closed)(void *context);
    void *close_context;
};

struct call {
    struct http_client *http;
    struct call *next;
    CURL *easy;
    struct curl_slist *headers;
    char curl_text[CURL_ERROR_SIZE];
    struct buffer body;
    bool started;    /* in the multi handle */
    uint64_t end_ms; /* of the loop's clock: by then libcurl has ended it */
    bool sent, too_late, too_large;
    uint64_t deadline_boottime_ms;
    struct http_response response;
    http_response_cb on_response;
    void *context;
};

/* A socket that libcurl watches; freed in its close callback. */
struct watch {
    uv_poll_t poll;
    struct http_client *http;
    curl_socket_t socket;
};

/* --- one call ------------------------------------------------------------------------------- */

static void call_unlink(struct call *call) {
    struct call **at = &call->http->calls;
    while (*at != call) {
        at = &(*at)->next;
    }
    *at = call->next;
}

/* The call is out of the list already. */
static void call_finish(struct call *call) {
    struct http_client *http = call->http;
    if (call->started) {
        curl_multi_remove_handle(http->multi, call->easy);
    }
    http->call_count--;
    call->response.sent = call->sent;
    call->response.body = call->body.data == NULL ? "" : call->body.data;
    call->response.body_size_bytes = call->body.size_bytes;
    call->on_response(call->context, &call->response);
    curl_easy_cleanup(call->easy);
    for (struct curl_slist *header = call->headers; header != NULL; header = header->next) {
        explicit_bzero(header->data, strlen(header->data)); /* a session token */
    }
    curl_slist_free_all(call->headers);
    if (call->body.data != NULL) {
        explicit_bzero(call->body.data, call->body.capacity_bytes); /* fresh credentials */
    }
    buffer_finish(&call->body);
    free(call);
}

static size_t on_body(char *bytes, size_t unit_size, size_t unit_count, void *context) {
    struct call *call = context;
    size_t size_bytes = unit_size * unit_count;
    if (!buffer_append(&call->body, bytes, size_bytes)) {
        call->too_large = true;
        return size_bytes == 0 ? 1 : 0;
    }
    return size_bytes;
}

static size_t on_header(char *bytes, size_t unit_size, size_t unit_count, void *context) {
    static const char date_header[] = "date:";
    struct call *call = context;
    size_t size_bytes = unit_size * unit_count;
    char line[64];
    if (size_bytes > sizeof date_header && size_bytes < sizeof line &&
        strncasecmp(bytes, date_header, sizeof date_header - 1) == 0) {
        memcpy(line, bytes, size_bytes);
        line[size_bytes] = '\0';
        time_t seconds = curl_getdate(line + sizeof date_header - 1, NULL);
        if (seconds >= 0) {
            call->response.has_date = true;
            call->response.date_wall_ms = (uint64_t)seconds * 1000;
        }
    }
    return size_bytes;
}

/* The connection stands (TLS too); the request is about to leave. */
static int on_before_request(void *context, char *remote_ip, char *local_ip, int remote_port,
                             int local_port) {
    (void)remote_ip;
    (void)local_ip;
    (void)remote_port;
    (void)local_port;
    struct call *call = context;
    if (call->deadline_boottime_ms != 0 &&
        clock_boottime_ms(call->http->clock) >= call->deadline_boottime_ms) {
        call->too_late = true;
        return CURL_PREREQFUNC_ABORT;
    }
    call->sent = true;
    return CURL_PREREQFUNC_OK;
}

static enum error_code translate(CURLcode code) {
    switch (code) {
    case CURLE_OPERATION_TIMEDOUT:
        return ERROR_TIMEOUT;
    case CURLE_OUT_OF_MEMORY:
        return ERROR_NO_MEMORY;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
        return ERROR_DENIED;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return ERROR_INVALID;
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_BAD_CONTENT_ENCODING:
        return ERROR_PROTOCOL;
    default:
        return ERROR_UNAVAILABLE;
    }
}

static void call_conclude(struct call *call, CURLcode result) {
    struct error *error = &call->response.error;
    if (call->too_late) {
        error_set(error, ERROR_TIMEOUT, "the deadline passed before the request could leave");
    } else if (call->body.out_of_memory) {
        error_set(error, ERROR_NO_MEMORY, "no memory for the reply");
    } else if (call->too_large) {
        error_set(error, ERROR_LIMIT, "the reply is larger than %zu bytes",
                  HTTP_CLIENT_RESPONSE_MAX);
    } else if (result != CURLE_OK) {
        error_set(error, translate(result), "%s",
                  call->curl_text[0] != '\0' ? call->curl_text : curl_easy_strerror(result));
    } else {
        curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &call->response.status);
    }
    call_unlink(call);
    call_finish(call);
}

/* --- libcurl on libuv ----------------------------------------------------------------------- */

static void take_results(struct http_client *http) {
    int left;
    CURLMsg *message;
    while ((message = curl_multi_info_read(http->multi, &left)) != NULL) {
        if (message->msg == CURLMSG_DONE) {
            struct call *call = NULL;
            curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&call);
            assert(call != NULL);
            call_conclude(call, message->data.result);
        }
    }
}

/* Where libcurl lacks memory it may forget a socket or a timer, and then a call would never end. */
static void on_lost_timer(uv_timer_t *timer) {
    struct http_client *http = timer->data;
    struct call *call = http->calls;
    while (call != NULL) {
        bool lost = call->started && uv_now(http->loop) >= call->end_ms;
        if (lost) {
            call_conclude(call, CURLE_OPERATION_TIMEDOUT);
        }
        call = lost ? http->calls : call->next; /* a callback may have sent, or closed */
    }
    if (http->calls == NULL) {
        uv_timer_stop(timer);
    }
}

static void on_curl_timer(uv_timer_t *timer) {
    struct http_client *http = timer->data;
    int running;
    curl_multi_socket_action(http->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    take_results(http);
}

static int on_timer_wanted(CURLM *multi, long timeout_ms, void *context) {
    (void)multi;
    struct http_client *http = context;
    if (http->closing) {
        return 0;
    }
    if (timeout_ms < 0) {
        uv_timer_stop(&http->curl_timer);
    } else {
        uv_update_time(http->loop);
        uv_timer_start(&http->curl_timer, on_curl_timer, (uint64_t)timeout_ms, 0);
    }
    return 0;
}

static void on_socket_ready(uv_poll_t *poll, int status, int events) {
    struct watch *watch = poll->data;
    struct http_client *http = watch->http;
    int flags = 0;
    flags |= (events & UV_READABLE) != 0 ? CURL_CSELECT_IN : 0;
    flags |= (events & UV_WRITABLE) != 0 ? CURL_CSELECT_OUT : 0;
    flags |= status < 0 ? CURL_CSELECT_ERR : 0;
    int running;
    curl_multi_socket_action(http->multi, watch->socket, flags, &running);
    take_results(http);
}

static void finish_close(struct http_client *http) {
    if (!http->closing || http->open_timers > 0 || http->open_polls > 0) {
        return;
    }
    void (*on_closed)(void *) = http->on_closed;
    void *context = http->close_context;
    free(http);
    on_closed(context);
}

static void on_watch_closed(uv_handle_t *handle) {
    struct watch *watch = handle->data;
    struct http_client *http = watch->http;
    free(watch);
    http->open_polls--;
    finish_close(http);
}

static struct watch *watch_create(struct http_client *http, curl_socket_t socket) {
    struct watch *watch = calloc(1, sizeof *watch);
    if (watch == NULL) {
        return NULL;
    }
    if (uv_poll_init_socket(http->loop, &watch->poll, socket) != 0) {
        free(watch);
        return NULL;
    }
    watch->poll.data = watch;
    watch->http = http;
    watch->socket = socket;
    http->open_polls++;
    return watch;
}

static int on_socket_wanted(CURL *easy, curl_socket_t socket, int what, void *context,
                            void *socket_context) {
    (void)easy;
    struct http_client *http = context;
    struct watch *watch = socket_context;
    if (what == CURL_POLL_REMOVE) {
        if (watch != NULL) {
            curl_multi_assign(http->multi, socket, NULL);
            uv_poll_stop(&watch->poll);
            uv_close((uv_handle_t *)&watch->poll, on_watch_closed);
        }
        return 0;
    }
    if (watch == NULL) {
        watch = watch_create(http, socket);
        if (watch == NULL) {
            return -1;
        }
        curl_multi_assign(http->multi, socket, watch);
    }
    int events = 0;
    events |= what != CURL_POLL_OUT ? UV_READABLE : 0;
    events |= what != CURL_POLL_IN ? UV_WRITABLE : 0;
    return uv_poll_start(&watch->poll, events, on_socket_ready) == 0 ? 0 : -1;
}

/* --- sending -------------------------------------------------------------------------------- */

static bool add_header(struct call *call, const char *line) {
    struct curl_slist *list = curl_slist_append(call->headers, line);
    if (list != NULL) {
        call->headers = list;
    }
    return list != NULL;
}

static bool set_headers(struct call *call, const struct http_request *request) {
    bool ok = true;
    for (unsigned i = 0; i < HTTP_CLIENT_HEADER_MAX && request->headers[i] != NULL; i++) {
        ok = ok && add_header(call, request->headers[i]);
    }
    return ok && (call->headers == NULL ||
                  curl_easy_setopt(call->easy, CURLOPT_HTTPHEADER, call->headers) == CURLE_OK);
}

static bool set_body(struct call *call, const struct http_request *request) {
    CURL *easy = call->easy;
    bool ok = true;
    if (request->body != NULL) {
        ok = curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
                              (curl_off_t)request->body_size_bytes) == CURLE_OK &&
             curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, request->body) == CURLE_OK;
    }
    if (strcmp(request->method, request->body != NULL ? "POST" : "GET") != 0) {
        ok = ok && curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method) == CURLE_OK;
    }
    return ok;
}

static bool set_options(struct call *call, const struct http_request *request) {
    CURL *easy = call->easy;
    bool ok = curl_easy_setopt(easy, CURLOPT_URL, request->url) == CURLE_OK &&
              curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK;
    curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, call->curl_text);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    /* Without it, a call that ends while its name is being resolved joins the resolver's thread:
     * with dead name servers that stops the loop for their whole time-out. */
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L); /* a proxy's Date is not asked */
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, request->effect ? 1L : 0L);
    curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, request->effect ? 1L : 0L);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)request->timeout_ms);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)request->connect_timeout_ms);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, call);
    curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_before_request);
    curl_easy_setopt(easy, CURLOPT_PREREQDATA, call);
    ok = ok && curl_easy_setopt(easy, CURLOPT_USERAGENT, "noctua/" NOCTUA_VERSION) == CURLE_OK;
    if (call->http->ca_file[0] != '\0') {
        ok = ok && curl_easy_setopt(easy, CURLOPT_CAINFO, call->http->ca_file) == CURLE_OK;
    }
    if (request->direct) {
        ok = ok && curl_easy_setopt(easy, CURLOPT_PROXY, "") == CURLE_OK;
    }
    return ok && set_body(call, request) && set_headers(call, request);
}

static void on_defer(uv_timer_t *timer);

static void call_start(struct call *call, const struct http_request *request) {
    struct http_client *http = call->http;
    struct error *error = &call->response.error;
    if (http->closing) {
        error_set(error, ERROR_CANCELLED, "cancelled");
        return;
    }
    if (http->call_count > HTTP_CLIENT_CALL_MAX) {
        error_set(error, ERROR_UNAVAILABLE, "more than %d requests at once", HTTP_CLIENT_CALL_MAX);
        return;
    }
    call->easy = curl_easy_init();
    if (call->easy == NULL || !set_options(call, request)) {
        error_set(error, ERROR_INTERNAL, "the request can't be set up");
        return;
    }
    if (curl_multi_add_handle(http->multi, call->easy) != CURLM_OK) {
        error_set(error, ERROR_INTERNAL, "the request can't be started");
        return;
    }
    call->started = true;
    call->end_ms = uv_now(http->loop) + request->timeout_ms + LOST_AFTER_MS;
    if (!uv_is_active((uv_handle_t *)&http->lost_timer)) {
        uv_timer_start(&http->lost_timer, on_lost_timer, LOST_AFTER_MS, LOST_AFTER_MS);
    }
}

static struct call *add_call(struct http_client *http, http_response_cb on_response,
                             void *context) {
    struct call *call = driver_allocate(sizeof *call);
    call->http = http;
    call->on_response = on_response;
    call->context = context;
    buffer_init(&call->body, HTTP_CLIENT_RESPONSE_MAX);
    call->next = http->calls;
    http->calls = call;
    http->call_count++;
    return call;
}

/* One that never started ends at the loop's next turn; in a close, with the others. */
static void end_if_stillborn(struct call *call) {
    if (!call->started && !call->http->closing) {
        uv_timer_start(&call->http->defer_timer, on_defer, 0, 0);
    }
}

void http_client_send(struct http_client *http, const struct http_request *request,
                      http_response_cb on_response, void *context) {
    struct call *call = add_call(http, on_response, context);
    call->deadline_boottime_ms = request->deadline_boottime_ms;
    call_start(call, request);
    end_if_stillborn(call);
}

void http_client_fail(struct http_client *http, const struct error *error,
                      http_response_cb on_response, void *context) {
    struct call *call = add_call(http, on_response, context);
    call->response.error = *error;
    end_if_stillborn(call);
}

/* --- life ----------------------------------------------------------------------------------- */

static void on_timer_closed(uv_handle_t *handle) {
    struct http_client *http = handle->data;
    http->open_timers--;
    finish_close(http);
}

static void end_all(struct http_client *http) {
    while (http->calls != NULL) { /* their callbacks may send again: those end here, too */
        struct call *call = http->calls;
        http->calls = call->next;
        error_set(&call->response.error, ERROR_CANCELLED, "cancelled");
        call_finish(call);
    }
    curl_multi_cleanup(http->multi);
    http->multi = NULL;
    uv_close((uv_handle_t *)&http->curl_timer, on_timer_closed);
    uv_close((uv_handle_t *)&http->defer_timer, on_timer_closed);
    uv_close((uv_handle_t *)&http->lost_timer, on_timer_closed);
}

/* A call that could not be started, out of the list; NULL: none. */
static struct call *take_stillborn(struct http_client *http) {
    struct call **at = &http->calls;
    while (*at != NULL && (*at)->started) {
        at = &(*at)->next;
    }
    struct call *call = *at;
    if (call != NULL) {
        *at = call->next;
    }
    return call;
}

static void on_defer(uv_timer_t *timer) {
    struct http_client *http = timer->data;
    struct call *call;
    while (!http->closing && (call = take_stillborn(http)) != NULL) {
        call_finish(call);
    }
    if (http->closing) {
        end_all(http);
    }
}

enum error_code http_client_create(uv_loop_t *loop, const struct clock *clock, const char *ca_file,
                                   struct http_client **ret_http, struct error *error) {
    struct http_client *http = calloc(1, sizeof *http);
    if (http == NULL || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        free(http);
        return error_set(error, ERROR_NO_MEMORY, "out of memory");
    }
    http->loop = loop;
    http->clock = clock;
    http->multi = curl_multi_init();
    if (http->multi == NULL) {
        free(http);
        return error_set(error, ERROR_NO_MEMORY, "out of memory");
    }
    if (ca_file != NULL && !TEXT_COPY(http->ca_file, ca_file)) {
        curl_multi_cleanup(http->multi);
        free(http);
        return error_set(error, ERROR_INVALID, "'%.100s' is too long a path of CA certificates",
                         ca_file);
    }
    curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, on_socket_wanted);
    curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http);
    curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, on_timer_wanted);
    curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http);
    uv_timer_init(loop, &http->curl_timer);
    uv_timer_init(loop, &http->defer_timer);
    uv_timer_init(loop, &http->lost_timer);
    http->curl_timer.data = http;
    http->defer_timer.data = http;
    http->lost_timer.data = http;
    http->open_timers = 3;
    *ret_http = http;
    return ERROR_OK;
}

void http_client_close(struct http_client *http, void (*on_closed)(void *context), void *context) {
    assert(!http->closing);
    http->closing = true;
    http->on_closed = on_closed;
    http->close_context = context;
    uv_timer_stop(&http->curl_timer);
    uv_timer_stop(&http->lost_timer);
    uv_timer_start(&http->defer_timer, on_defer, 0, 0);
}

/* --- addresses ------------------------------------------------------------------------------ */

static bool is_local_host(const char *host, bool allow_link_local) {
    struct in_addr v4;
    struct in6_addr v6;
    char plain[64];
    size_t length = strlen(host);
    if (strcasecmp(host, "localhost") == 0) {
        return true;
    }
    if (length > 2 && length < sizeof plain && host[0] == '[') {
        memcpy(plain, host + 1, length - 2);
        plain[length - 2] = '\0';
        static const uint8_t ec2[4] = {0xfd, 0x00, 0x0e, 0xc2};
        return inet_pton(AF_INET6, plain, &v6) == 1 &&
               (IN6_IS_ADDR_LOOPBACK(&v6) ||
                (allow_link_local && memcmp(v6.s6_addr, ec2, sizeof ec2) == 0));
    }
    if (inet_pton(AF_INET, host, &v4) != 1) {
        return false;
    }
    uint32_t address = ntohl(v4.s_addr);
    return address >> 24 == 127 || (allow_link_local && address >> 16 == 0xa9fe);
}

enum error_code http_check_url(const char *url, bool allow_link_local, struct error *error) {
    char *scheme = NULL, *host = NULL, *user = NULL, *query = NULL, *fragment = NULL;
    enum error_code code = ERROR_OK;
    CURLU *parts = curl_url();
    if (parts == NULL || curl_url_set(parts, CURLUPART_URL, url, 0) != CURLUE_OK ||
        curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
        curl_url_get(parts, CURLUPART_HOST, &host, 0) != CURLUE_OK) {
        code = error_set(error, ERROR_INVALID, "'%.150s' is not a URL", url);
        goto cleanup;
    }
    if (curl_url_get(parts, CURLUPART_USER, &user, 0) == CURLUE_OK ||
        curl_url_get(parts, CURLUPART_QUERY, &query, 0) == CURLUE_OK ||
        curl_url_get(parts, CURLUPART_FRAGMENT, &fragment, 0) == CURLUE_OK) {
        code = error_set(error, ERROR_INVALID, "an endpoint has no user, query or fragment");
        goto cleanup;
    }
    bool plain = strcmp(scheme, "http") == 0;
    if (!plain && strcmp(scheme, "https") != 0) {
        code = error_set(error, ERROR_INVALID, "'%.150s': only http and https", url);
    } else if (plain && !is_local_host(host, allow_link_local)) {
        code = error_set(error, ERROR_INVALID, "'%.150s': http is for this machine only, use https",
                         url);
    }

cleanup:
    curl_free(scheme);
    curl_free(host);
    curl_free(user);
    curl_free(query);
    curl_free(fragment);
    curl_url_cleanup(parts);
    return code;
}
