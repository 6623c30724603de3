/* The driver itself: calls wait in line (one request a zone at a time, effects first), get keys,
 * send one HTTP request, and what comes back either ends them or puts them in line again. */
#include "driver/route53.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "aws_endpoint.h"
#include "aws_error.h"
#include "aws_http.h"
#include "aws_text.h"
#include "base/text.h"
#include "credentials.h"
#include "route53_reader.h"
#include "route53_wire.h"

enum {
    CALL_MAX = 256, /* waiting and under way */
    REQUEST_TIMEOUT_MS = 15000,
    READ_TIMEOUT_MS = 60000,
    CONNECT_TIMEOUT_MS = 5000,
    BACKOFF_FIRST_MS = 250,
    BACKOFF_LAST_MS = 8000,
    ZONE_ID_MAX = 32,
};

enum call_kind { CALL_READ, CALL_SEND };
enum call_state { CALL_WAITING, CALL_BUSY };

struct call {
    struct route53 *owner;
    struct call *next; /* in the order of their coming */
    enum call_kind kind;
    enum call_state state;
    struct driver_target target;
    uint64_t not_before_ms, deadline_ms; /* CLOCK_BOOTTIME */
    struct error early;                  /* known when it came: ends at its turn */
    void *context;

    driver_read_cb on_read;
    char change_id[DRIVER_CHANGE_ID_MAX]; /* "": nothing (more) to ask about a change */
    enum driver_sync sync;
    struct route53_reader *reader;
    struct route53_query query;
    uint32_t backoffs;
    bool keys_renewed;

    driver_send_cb on_sent;
    struct buffer body;
};

struct route53 {
    struct driver driver;
    struct route53_options options;
    struct aws_http *http;
    struct credentials *credentials;
    uv_timer_t timer;
    struct call *first;
    uint32_t call_count;
    char endpoint[AWS_URL_SIZE];
    bool closing, ending;
    driver_closed_cb on_closed;
    void *close_context;
};

static void schedule_soon(struct route53 *route53);
static void schedule(struct route53 *route53);

static uint64_t now_ms(const struct route53 *route53) {
    return clock_boottime_ms(route53->options.clock);
}

/* --- the end of a call ---------------------------------------------------------------------- */

static void call_unlink(struct call *call) {
    struct call **at = &call->owner->first;
    while (*at != call) {
        at = &(*at)->next;
    }
    *at = call->next;
}

static void call_free(struct call *call) {
    call->owner->call_count--;
    route53_reader_destroy(call->reader);
    buffer_finish(&call->body);
    free(call);
}

/* These three: the call is out of the line already. */
static void end_read(struct call *call, const struct error *error) {
    if (error != NULL) {
        call->on_read(call->context, error, NULL);
    } else {
        struct driver_reading reading = {.sync = call->sync};
        route53_reader_result(call->reader, &reading);
        call->on_read(call->context, NULL, &reading);
    }
    call_free(call);
}

static void end_send(struct call *call, const struct driver_sent *sent) {
    call->on_sent(call->context, sent);
    call_free(call);
}

/* Before any byte of a change left. */
static void end_failed(struct call *call, const struct error *error) {
    if (call->kind == CALL_READ) {
        end_read(call, error);
        return;
    }
    struct driver_sent sent = {.reply = DRIVER_REPLY_NOT_SENT};
    (void)snprintf(sent.message, sizeof sent.message, "%s", error->message);
    end_send(call, &sent);
}

/* --- replies -------------------------------------------------------------------------------- */

static void describe_refusal(const struct call *call, const struct http_response *response,
                             const struct aws_error *refused, struct error *error) {
    /* A clock gets set: that is worth another try, unlike a lack of permission. */
    bool skewed = refused->class == AWS_ERROR_SKEWED;
    enum error_code code = skewed ? ERROR_UNAVAILABLE : aws_error_code(refused->class);
    if (skewed && response->has_date) {
        uint64_t ours = clock_wall_ms(call->owner->options.clock), theirs = response->date_wall_ms;
        error_set(error, code, "this machine's clock is %llu s %s Route 53's: set it (%s: %s)",
                  (unsigned long long)(ours > theirs ? ours - theirs : theirs - ours) / 1000,
                  ours > theirs ? "ahead of" : "behind", refused->code, refused->message);
    } else {
        error_set(error, code, "%s%s%s", refused->code, refused->code[0] == '\0' ? "" : ": ",
                  refused->message);
    }
    aws_cut_utf8(error->message);
}

static void on_sent_reply(void *context, const struct http_response *response) {
    struct call *call = context;
    struct driver_sent sent = {.reply = DRIVER_REPLY_UNKNOWN};
    struct route53_change_info info;
    struct aws_error refused;
    struct error error;
    if (response->error.code != ERROR_OK) {
        sent.reply = response->sent ? DRIVER_REPLY_UNKNOWN : DRIVER_REPLY_NOT_SENT;
        (void)snprintf(sent.message, sizeof sent.message, "%s", response->error.message);
    } else if (response->status == 200) {
        if (route53_read_change_info(response->body, response->body_size_bytes, &info, &error) ==
            ERROR_OK) {
            sent.reply = DRIVER_REPLY_ACCEPTED;
            (void)TEXT_COPY(sent.change_id, info.id);
        } else {
            (void)snprintf(sent.message, sizeof sent.message, "%s", error.message);
        }
    } else {
        aws_error_read(response->status, response->body, response->body_size_bytes, &refused);
        bool known = refused.class != AWS_ERROR_SERVER && refused.class != AWS_ERROR_STRANGE &&
                     response->status >= 400 && response->status < 500;
        sent.reply = known ? DRIVER_REPLY_REFUSED : DRIVER_REPLY_UNKNOWN;
        sent.retry_later = refused.class == AWS_ERROR_THROTTLED || refused.class == AWS_ERROR_BUSY;
        describe_refusal(call, response, &refused, &error);
        (void)TEXT_COPY(sent.message, error.message);
        if (refused.class == AWS_ERROR_CREDENTIALS) {
            credentials_distrust(call->owner->credentials, call->target.role_arn,
                                 call->target.external_id);
        }
    }
    struct route53 *owner = call->owner;
    call_unlink(call);
    end_send(call, &sent);
    schedule_soon(owner);
}

/* Back into the line, for the next request of the same read. */
static void read_again(struct call *call, uint64_t delay_ms) {
    call->state = CALL_WAITING;
    call->not_before_ms = now_ms(call->owner) + delay_ms;
    schedule_soon(call->owner);
}

static uint64_t next_backoff_ms(struct call *call) {
    uint64_t most_ms = BACKOFF_FIRST_MS;
    for (uint32_t i = 0; i < call->backoffs && most_ms < BACKOFF_LAST_MS; i++) {
        most_ms *= 2;
    }
    call->backoffs++;
    return entropy_between(call->owner->options.entropy, most_ms / 4, most_ms);
}

static void read_refused(struct call *call, const struct http_response *response) {
    struct route53 *owner = call->owner;
    struct aws_error refused;
    aws_error_read(response->status, response->body, response->body_size_bytes, &refused);
    if (refused.class == AWS_ERROR_CREDENTIALS && !call->keys_renewed) {
        call->keys_renewed = true;
        credentials_distrust(owner->credentials, call->target.role_arn, call->target.external_id);
        read_again(call, 0);
        return;
    }
    bool later = refused.class == AWS_ERROR_THROTTLED || refused.class == AWS_ERROR_BUSY;
    uint64_t delay_ms = later ? next_backoff_ms(call) : 0;
    if (later && now_ms(owner) + delay_ms < call->deadline_ms) {
        read_again(call, delay_ms);
        return;
    }
    struct error error;
    describe_refusal(call, response, &refused, &error);
    error_prefix(&error, "Route 53");
    call_unlink(call);
    end_read(call, &error);
    schedule_soon(owner);
}

static void read_failed(struct call *call, struct error *error) {
    struct route53 *owner = call->owner;
    error_prefix(error, "Route 53");
    call_unlink(call);
    end_read(call, error);
    schedule_soon(owner);
}

static bool is_no_such_change(const struct http_response *response) {
    struct aws_error refused;
    aws_error_read(response->status, response->body, response->body_size_bytes, &refused);
    return response->status == 404 && strcmp(refused.code, "NoSuchChange") == 0;
}

static void on_change_reply(void *context, const struct http_response *response) {
    struct call *call = context;
    struct error error = response->error;
    struct route53_change_info info = {.insync = false};
    if (error.code != ERROR_OK) {
        read_failed(call, &error);
        return;
    }
    if (response->status == 200) {
        if (route53_read_change_info(response->body, response->body_size_bytes, &info, &error) !=
            ERROR_OK) {
            read_failed(call, &error);
            return;
        }
        call->sync = info.insync ? DRIVER_SYNC_INSYNC : DRIVER_SYNC_PENDING;
    } else if (is_no_such_change(response)) {
        call->sync = DRIVER_SYNC_NO_SUCH_CHANGE;
    } else {
        read_refused(call, response);
        return;
    }
    call->change_id[0] = '\0';
    read_again(call, 0);
}

static void on_list_reply(void *context, const struct http_response *response) {
    struct call *call = context;
    struct error error = response->error;
    struct route53_page page;
    bool done = false;
    if (error.code == ERROR_OK && response->status != 200) {
        read_refused(call, response);
        return;
    }
    if (error.code == ERROR_OK &&
        route53_read_page(response->body, response->body_size_bytes, &page, &error) == ERROR_OK) {
        error.code = route53_reader_take(call->reader, &page, &done, &error);
        route53_page_finish(&page);
    }
    if (error.code != ERROR_OK) {
        read_failed(call, &error);
    } else if (done) {
        struct route53 *owner = call->owner;
        call_unlink(call);
        end_read(call, NULL);
        schedule_soon(owner);
    } else {
        read_again(call, 0);
    }
}

/* --- requests ------------------------------------------------------------------------------- */

static const char *zone_id(const struct driver_target *target) {
    static const char prefix[] = "/hostedzone/";
    return text_starts_with(target->zone, prefix) ? target->zone + sizeof prefix - 1 : target->zone;
}

static bool append_list_query(struct call *call, struct buffer *url) {
    route53_reader_next(call->reader, &call->query);
    const struct aws_parameter parameters[] = {
        {"maxitems", ROUTE53_PAGE_ITEMS},
        {"name", call->query.name},
        {"type", call->query.type},
        {"identifier", call->query.identifier},
    };
    uint32_t count = call->query.type[0] == '\0' ? 2 : call->query.identifier[0] == '\0' ? 3 : 4;
    return aws_append_query(url, parameters, count);
}

static void send_request(struct call *call, const struct aws_keys *keys) {
    struct route53 *owner = call->owner;
    uint64_t now = now_ms(owner);
    uint64_t left_ms = call->deadline_ms > now ? call->deadline_ms - now : 1;
    struct http_request request = {
        .method = "GET",
        .timeout_ms = owner->options.request_timeout_ms,
        .connect_timeout_ms = left_ms < CONNECT_TIMEOUT_MS ? (uint32_t)left_ms : CONNECT_TIMEOUT_MS,
    };
    http_response_cb on_reply = on_list_reply;
    struct buffer url;
    buffer_init(&url, (size_t)16 * 1024);
    buffer_append_format(&url, "%s/%s/", owner->endpoint, ROUTE53_API_VERSION);
    if (call->kind == CALL_SEND) {
        on_reply = on_sent_reply;
        buffer_append_format(&url, "hostedzone/%s/rrset/", zone_id(&call->target));
        request.method = "POST";
        request.body = call->body.data;
        request.body_size_bytes = call->body.size_bytes;
        request.headers[0] = "Content-Type: application/xml";
        request.effect = true;
        request.deadline_boottime_ms = call->deadline_ms;
    } else {
        if (left_ms < request.timeout_ms) {
            request.timeout_ms = (uint32_t)left_ms;
        }
        if (call->change_id[0] != '\0') {
            on_reply = on_change_reply;
            buffer_append_format(&url, "change/%s", call->change_id);
        } else {
            buffer_append_format(&url, "hostedzone/%s/rrset?", zone_id(&call->target));
            append_list_query(call, &url);
        }
    }
    if (url.failed) {
        struct error error;
        error_set(&error, ERROR_LIMIT, "too long a request");
        call_unlink(call);
        end_failed(call, &error);
        schedule_soon(owner);
    } else {
        request.url = url.data;
        struct aws_request signed_request = {request, keys, "route53", "us-east-1"};
        aws_http_send(owner->http, &signed_request, on_reply, call);
    }
    buffer_finish(&url);
}

static void on_keys(void *context, const struct error *error, const struct aws_keys *keys) {
    struct call *call = context;
    struct route53 *owner = call->owner;
    struct error problem = {.code = ERROR_OK};
    if (error != NULL) {
        problem = *error;
    } else if (owner->closing) {
        error_set(&problem, ERROR_CANCELLED, "cancelled");
    } else if (now_ms(owner) >= call->deadline_ms) {
        error_set(&problem, ERROR_TIMEOUT, "the deadline passed while waiting for credentials");
    }
    if (problem.code != ERROR_OK) {
        call_unlink(call);
        end_failed(call, &problem);
        schedule_soon(owner);
        return;
    }
    send_request(call, keys);
}

/* --- the line ------------------------------------------------------------------------------- */

static bool zone_is_busy(const struct route53 *route53, const struct call *other) {
    for (const struct call *call = route53->first; call != NULL; call = call->next) {
        if (call->state == CALL_BUSY &&
            strcmp(zone_id(&call->target), zone_id(&other->target)) == 0) {
            return true;
        }
    }
    return false;
}

/* A call that ends without its turn: what came wrong, or too late. */
static bool is_over(const struct call *call, struct error *error) {
    if (call->owner->closing) {
        error_set(error, ERROR_CANCELLED, "cancelled");
    } else if (call->early.code != ERROR_OK) {
        *error = call->early;
    } else if (now_ms(call->owner) >= call->deadline_ms) {
        error_set(error, ERROR_TIMEOUT, "the deadline passed before its turn");
    } else {
        return false;
    }
    return true;
}

/* Takes such a call out of the line; NULL: there is none. */
static struct call *take_over(struct route53 *route53, struct error *error) {
    struct call **at = &route53->first;
    while (*at != NULL && ((*at)->state != CALL_WAITING || !is_over(*at, error))) {
        at = &(*at)->next;
    }
    struct call *call = *at;
    if (call != NULL) {
        *at = call->next;
    }
    return call;
}

static struct call *find_startable(struct route53 *route53, enum call_kind kind) {
    uint64_t now = now_ms(route53);
    for (struct call *call = route53->first; call != NULL; call = call->next) {
        if (call->state == CALL_WAITING && call->kind == kind && now >= call->not_before_ms &&
            !zone_is_busy(route53, call)) {
            return call;
        }
    }
    return NULL;
}

static void on_timer(uv_timer_t *timer) {
    schedule(timer->data);
}

static void schedule_soon(struct route53 *route53) {
    uv_timer_start(&route53->timer, on_timer, 0, 0);
}

static void set_alarm(struct route53 *route53) {
    uint64_t now = now_ms(route53), soonest = UINT64_MAX;
    for (const struct call *call = route53->first; call != NULL; call = call->next) {
        if (call->state == CALL_WAITING) {
            uint64_t due = call->not_before_ms > now ? call->not_before_ms : call->deadline_ms;
            soonest = due < soonest ? due : soonest;
        }
    }
    if (soonest != UINT64_MAX) {
        uv_update_time(route53->options.loop);
        uv_timer_start(&route53->timer, on_timer, soonest > now ? soonest - now : 0, 0);
    }
}

static void begin_close(struct route53 *route53);

static void schedule(struct route53 *route53) {
    struct error error;
    struct call *call;
    while ((call = take_over(route53, &error)) != NULL) {
        end_failed(call, &error); /* its callback may add calls, or close */
    }
    if (route53->closing) {
        begin_close(route53);
        return;
    }
    while ((call = find_startable(route53, CALL_SEND)) != NULL ||
           (call = find_startable(route53, CALL_READ)) != NULL) {
        call->state = CALL_BUSY;
        credentials_get(route53->credentials, call->target.role_arn, call->target.external_id,
                        on_keys, call);
    }
    set_alarm(route53);
}

static struct call *add_call(struct route53 *route53, enum call_kind kind,
                             const struct driver_target *target, void *context) {
    struct call *call = calloc(1, sizeof *call);
    assert(call != NULL && !route53->closing);
    call->owner = route53;
    call->kind = kind;
    call->target = *target;
    call->context = context;
    struct call **at = &route53->first;
    while (*at != NULL) {
        at = &(*at)->next;
    }
    *at = call;
    route53->call_count++;
    if (route53->call_count > CALL_MAX) {
        error_set(&call->early, ERROR_UNAVAILABLE, "more than %d calls at once", CALL_MAX);
    } else if (!aws_is_id(zone_id(target), ZONE_ID_MAX)) {
        error_set(&call->early, ERROR_INVALID, "'%s' is not the id of a hosted zone", target->zone);
    }
    schedule_soon(route53);
    return call;
}

static void route53_read(struct driver *driver, const struct driver_target *target,
                         const char *change_id, driver_read_cb on_read, void *context) {
    struct route53 *route53 = (struct route53 *)driver;
    struct call *call = add_call(route53, CALL_READ, target, context);
    call->on_read = on_read;
    call->deadline_ms = now_ms(route53) + route53->options.read_timeout_ms;
    call->sync = DRIVER_SYNC_NOT_ASKED;
    if (text_starts_with(change_id, "/change/")) {
        change_id += strlen("/change/");
    }
    if (call->early.code == ERROR_OK && change_id[0] != '\0' &&
        (!aws_is_id(change_id, DRIVER_CHANGE_ID_MAX - 1) ||
         !TEXT_COPY(call->change_id, change_id))) {
        error_set(&call->early, ERROR_INVALID, "'%.64s' is not the id of a change", change_id);
    }
    if (call->early.code == ERROR_OK) {
        route53_reader_create(&call->target, &call->reader, &call->early);
    }
}

static void route53_send(struct driver *driver, const struct driver_target *target,
                         const struct driver_change *change, driver_send_cb on_sent,
                         void *context) {
    struct route53 *route53 = (struct route53 *)driver;
    struct call *call = add_call(route53, CALL_SEND, target, context);
    call->on_sent = on_sent;
    call->deadline_ms = change->deadline_boottime_ms;
    if (call->early.code == ERROR_OK) {
        route53_write_change(target, change, &call->body, &call->early);
    }
}

static void ignore_keys(void *context, const struct error *error, const struct aws_keys *keys) {
    (void)context;
    (void)error; /* the credentials have logged it */
    (void)keys;
}

void route53_prepare(struct driver *driver, const struct driver_target *target) {
    struct route53 *route53 = (struct route53 *)driver;
    assert(!route53->closing);
    credentials_get(route53->credentials, target->role_arn, target->external_id, ignore_keys, NULL);
}

/* --- life ----------------------------------------------------------------------------------- */

static void on_timer_closed(uv_handle_t *handle) {
    struct route53 *route53 = handle->data;
    driver_closed_cb on_closed = route53->on_closed;
    void *context = route53->close_context;
    assert(route53->first == NULL);
    free(route53);
    if (on_closed != NULL) {
        on_closed(context);
    }
}

static void on_credentials_closed(void *context) {
    struct route53 *route53 = context;
    uv_close((uv_handle_t *)&route53->timer, on_timer_closed);
}

static void on_http_closed(void *context) {
    struct route53 *route53 = context;
    route53->http = NULL;
    credentials_close(route53->credentials, on_credentials_closed, route53);
}

/* The end of http ends what is under way there; that of the credentials what waits for keys. */
static void begin_close(struct route53 *route53) {
    if (route53->ending) {
        return;
    }
    route53->ending = true;
    credentials_stop(route53->credentials);
    aws_http_close(route53->http, on_http_closed, route53);
}

static void route53_close(struct driver *driver, driver_closed_cb on_closed, void *context) {
    struct route53 *route53 = (struct route53 *)driver;
    assert(!route53->closing);
    route53->closing = true;
    route53->on_closed = on_closed;
    route53->close_context = context;
    schedule_soon(route53);
}

static const struct driver_ops route53_ops = {
    .read = route53_read, .send = route53_send, .close = route53_close};

enum error_code route53_create(const struct route53_options *options, struct driver **ret_driver,
                               struct error *error) {
    struct route53 *route53 = calloc(1, sizeof *route53);
    if (route53 == NULL) {
        return error_set(error, ERROR_NO_MEMORY, "out of memory");
    }
    route53->driver.ops = &route53_ops;
    route53->options = *options;
    if (options->request_timeout_ms == 0) {
        route53->options.request_timeout_ms = REQUEST_TIMEOUT_MS;
    }
    if (options->read_timeout_ms == 0) {
        route53->options.read_timeout_ms = READ_TIMEOUT_MS;
    }
    enum error_code code =
        aws_endpoint_find("ROUTE_53", "https://route53.amazonaws.com", route53->endpoint, error);
    if (code == ERROR_OK) {
        code = aws_http_create(options->loop, options->clock, &route53->http, error);
    }
    if (code != ERROR_OK) {
        free(route53);
        return code;
    }
    struct credentials_options credentials_options = {
        .loop = options->loop,
        .clock = options->clock,
        .entropy = options->entropy,
        .http = route53->http,
        .node = options->node,
        .region = options->region,
    };
    credentials_create(&credentials_options, &route53->credentials, error);
    assert(route53->credentials != NULL);
    uv_timer_init(options->loop, &route53->timer);
    route53->timer.data = route53;
    *ret_driver = &route53->driver;
    return ERROR_OK;
}
