#include "aws_http.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "allocate.h"
#include "aws_error.h"
#include "base/log.h"
#include "base/text.h"

struct aws_http {
    const struct clock *clock;
    struct http_client *client;
    /* AWS's wall clock at a moment of ours, once ours has proved to be off. */
    bool has_aws_clock;
    uint64_t aws_wall_ms, aws_boottime_ms;
    void (*on_closed)(void *context);
    void *close_context;
};

enum { COPY_MAX = HTTP_CLIENT_HEADER_MAX + 5 };

/* A signed request under way, kept whole so that it can be signed again. */
struct call {
    struct aws_http *http;
    struct aws_request request; /* of the copies */
    struct aws_keys keys;
    struct copy {
        char *bytes;
        size_t size_bytes;
    } copies[COPY_MAX];
    unsigned copy_count;
    uint64_t started_boottime_ms, dated_wall_ms;
    bool again; /* it is the second sending */
    http_response_cb on_response;
    void *context;
};

static uint64_t difference(uint64_t a, uint64_t b) {
    return a > b ? a - b : b - a;
}

static uint64_t signing_wall_ms(const struct aws_http *http) {
    return !http->has_aws_clock
               ? clock_wall_ms(http->clock)
               : http->aws_wall_ms + (clock_boottime_ms(http->clock) - http->aws_boottime_ms);
}

/* --- the clock ------------------------------------------------------------------------------ */

/* Was the signature refused, and does the Date show that its own date is why? */
static bool clock_is_refused(const struct call *call, const struct http_response *response) {
    struct aws_error refused;
    if (response->error.code != ERROR_OK || response->status < 400 || response->status > 499 ||
        !response->has_date) {
        return false;
    }
    aws_error_read(response->status, response->body, response->body_size_bytes, &refused);
    return (refused.class == AWS_ERROR_SKEWED || refused.class == AWS_ERROR_SIGNATURE) &&
           difference(response->date_wall_ms, call->dated_wall_ms) >= AWS_CLOCK_SKEW_MIN_MS;
}

/* False: too far off to be believed. */
static bool learn_clock(struct aws_http *http, uint64_t aws_wall_ms) {
    uint64_t ours_ms = clock_wall_ms(http->clock);
    uint64_t off_ms = difference(aws_wall_ms, ours_ms);
    if (off_ms > AWS_CLOCK_SKEW_MAX_MS) {
        return false;
    }
    /* A request that lay here for long is refused, too, also when our clock is right. */
    http->has_aws_clock = off_ms >= AWS_CLOCK_SKEW_MIN_MS;
    http->aws_wall_ms = aws_wall_ms;
    http->aws_boottime_ms = clock_boottime_ms(http->clock);
    if (http->has_aws_clock) {
        LOG_EVENT(AWS_CLOCK_DIFFERS, LOG_U64("off_ms", off_ms),
                  LOG_TEXT("ours", ours_ms > aws_wall_ms ? "ahead" : "behind"));
    }
    return true;
}

/* --- one request ---------------------------------------------------------------------------- */

static void call_free(struct call *call) {
    explicit_bzero(&call->keys, sizeof call->keys);
    for (unsigned i = 0; i < call->copy_count; i++) {
        explicit_bzero(call->copies[i].bytes, call->copies[i].size_bytes); /* a web token */
        free(call->copies[i].bytes);
    }
    free(call);
}

static void call_end(struct call *call, const struct http_response *response) {
    call->on_response(call->context, response);
    call_free(call);
}

static void call_send(struct call *call);

static void on_reply(void *context, const struct http_response *response) {
    struct call *call = context;
    struct aws_http *http = call->http;
    bool again = clock_is_refused(call, response) && learn_clock(http, response->date_wall_ms) &&
                 !call->request.http.effect && !call->again;
    uint64_t spent_ms = clock_boottime_ms(http->clock) - call->started_boottime_ms;
    if (!again || spent_ms >= call->request.http.timeout_ms) {
        call_end(call, response);
        return;
    }
    call->again = true;
    call->request.http.timeout_ms -= (uint32_t)spent_ms;
    call_send(call);
}

static void call_send(struct call *call) {
    struct http_request request = call->request.http;
    struct aws_signature signature;
    struct error error;
    call->dated_wall_ms = signing_wall_ms(call->http);
    if (aws_sign(&request, &call->keys, call->request.sign_service, call->request.sign_region,
                 call->dated_wall_ms, &signature, &error) != ERROR_OK) {
        http_client_fail(call->http->client, &error, on_reply, call);
        return;
    }
    const char *lines[] = {signature.host, signature.date, signature.token,
                           signature.authorization};
    unsigned count = 0;
    while (count < HTTP_CLIENT_HEADER_MAX && request.headers[count] != NULL) {
        count++;
    }
    assert(count + AWS_SIGN_HEADER_MAX <= HTTP_CLIENT_HEADER_MAX);
    for (unsigned i = 0; i < ARRAY_LENGTH(lines); i++) {
        if (lines[i][0] != '\0') {
            request.headers[count++] = lines[i];
        }
    }
    http_client_send(call->http->client, &request, on_reply, call);
    explicit_bzero(&signature, sizeof signature);
}

static const char *keep(struct call *call, const char *bytes, size_t size_bytes) {
    if (bytes == NULL) {
        return NULL;
    }
    char *copy = malloc(size_bytes + 1);
    assert(copy != NULL && call->copy_count < COPY_MAX); /* as in http_client_send */
    memcpy(copy, bytes, size_bytes);
    copy[size_bytes] = '\0';
    call->copies[call->copy_count++] = (struct copy){copy, size_bytes};
    return copy;
}

static const char *keep_text(struct call *call, const char *text) {
    return keep(call, text, text == NULL ? 0 : strlen(text));
}

void aws_http_send(struct aws_http *http, const struct aws_request *request,
                   http_response_cb on_response, void *context) {
    if (request->keys == NULL) {
        http_client_send(http->client, &request->http, on_response, context);
        return;
    }
    struct call *call = driver_allocate(sizeof *call);
    call->http = http;
    call->request = *request;
    call->keys = *request->keys;
    call->on_response = on_response;
    call->context = context;
    call->started_boottime_ms = clock_boottime_ms(http->clock);
    struct http_request *copy = &call->request.http;
    copy->method = keep_text(call, copy->method);
    copy->url = keep_text(call, copy->url);
    copy->body = keep(call, copy->body, copy->body_size_bytes);
    for (unsigned i = 0; i < HTTP_CLIENT_HEADER_MAX && copy->headers[i] != NULL; i++) {
        copy->headers[i] = keep_text(call, copy->headers[i]);
    }
    call->request.sign_service = keep_text(call, request->sign_service);
    call->request.sign_region = keep_text(call, request->sign_region);
    call_send(call);
}

/* --- life ----------------------------------------------------------------------------------- */

enum error_code aws_http_create(uv_loop_t *loop, const struct clock *clock,
                                struct aws_http **ret_http, struct error *error) {
    struct aws_http *http = calloc(1, sizeof *http);
    if (http == NULL) {
        return error_set(error, ERROR_NO_MEMORY, "out of memory");
    }
    http->clock = clock;
    enum error_code code =
        http_client_create(loop, clock, getenv("AWS_CA_BUNDLE"), &http->client, error);
    if (code != ERROR_OK) {
        free(http);
        return code;
    }
    *ret_http = http;
    return ERROR_OK;
}

static void on_client_closed(void *context) {
    struct aws_http *http = context;
    void (*on_closed)(void *) = http->on_closed;
    void *close_context = http->close_context;
    free(http);
    on_closed(close_context);
}

void aws_http_close(struct aws_http *http, void (*on_closed)(void *context), void *context) {
    http->on_closed = on_closed;
    http->close_context = context;
    http_client_close(http->client, on_client_closed, http);
}
