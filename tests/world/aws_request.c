#include "aws_api.h"

#include <assert.h>

#include "alloc.h"
#include "base/text.h"
#include "route53_parse.h"
#include "sigv4_verify.h"

#define AWS_PATH_SEGMENTS_MAX 8
#define AWS_API_VERSION "2013-04-01"

/* "/2013-04-01/hostedzone/Z1/rrset/" to its parts; empty ones, and the prefixes that an id may
 * carry
 * ("/hostedzone/Z1", "/change/C1"), fall out. */
static size_t aws_request_split_path(char *path, char *segments[AWS_PATH_SEGMENTS_MAX]) {
    size_t count = 0;
    for (char *rest = path; rest != NULL;) {
        char *segment = strsep(&rest, "/");
        if (segment[0] == '\0' || (count == 2 && text_equal(segment, segments[1]))) {
            continue;
        }
        if (count == AWS_PATH_SEGMENTS_MAX) {
            return 0;
        }
        segments[count++] = segment;
    }
    return count;
}

static void aws_request_set(struct aws_request *request, enum aws_action action,
                            enum fault_operation operation) {
    request->action = action;
    request->operation = operation;
}

/* A zone id that is too long for any zone stays empty, and is found nowhere. */
static void aws_request_route_zone(struct aws_request *request, char **segments, size_t count) {
    const bool post = text_equal(request->exchange->request.method, "POST");
    const bool get = text_equal(request->exchange->request.method, "GET");
    if (count == 2 && get) {
        aws_request_set(request, AWS_LIST_ZONES, FAULT_OPERATION_ZONES);
        return;
    }
    (void)TEXT_COPY(request->zone_id, segments[2]);
    if (count == 3 && get) {
        aws_request_set(request, AWS_GET_ZONE, FAULT_OPERATION_ZONES);
    } else if (count == 4 && text_equal(segments[3], "rrset") && get) {
        aws_request_set(request, AWS_LIST_RECORD_SETS, FAULT_OPERATION_LIST);
    } else if (count == 4 && text_equal(segments[3], "rrset") && post) {
        aws_request_set(request, AWS_CHANGE_RECORD_SETS, FAULT_OPERATION_CHANGE);
    }
}

static void aws_request_route(struct aws_request *request) {
    const struct http_request *http = &request->exchange->request;
    char *segments[AWS_PATH_SEGMENTS_MAX] = {0};
    char *path = uri_decode(http->path, strlen(http->path), false);
    size_t count = path != NULL ? aws_request_split_path(path, segments) : 0;

    aws_request_set(request, AWS_UNKNOWN, FAULT_OPERATION_ZONES);
    if (text_equal(http->path, "/")) {
        aws_request_set(request, AWS_STS, FAULT_OPERATION_STS);
    } else if (count < 2 || !text_equal(segments[0], AWS_API_VERSION)) {
        request->action = AWS_UNKNOWN;
    } else if (text_equal(segments[1], "hostedzone")) {
        aws_request_route_zone(request, segments, count);
    } else if (text_equal(segments[1], "hostedzonesbyname") && count == 2) {
        aws_request_set(request, AWS_LIST_ZONES_BY_NAME, FAULT_OPERATION_ZONES);
    } else if (text_equal(segments[1], "change") && count == 3 && text_equal(http->method, "GET")) {
        aws_request_set(request, AWS_GET_CHANGE, FAULT_OPERATION_GETCHANGE);
        (void)TEXT_COPY(request->change_id, segments[2]);
    }
    free(path);
}

struct aws_request *aws_request_create(struct http_exchange *exchange) {
    struct aws_request *request = alloc_zeroed(1, sizeof(*request));
    const struct http_request *http = &exchange->request;
    request->exchange = exchange;
    change_batch_init(&request->batch);
    aws_request_route(request);
    const bool form = request->action == AWS_STS && text_equal(http->method, "POST");
    if (!uri_parameters_parse(form ? http->body : http->query, &request->parameters)) {
        (void)aws_refuse(&request->refusal, 400, "MalformedInput", "The query is malformed.");
        return request;
    }
    request->parsed =
        request->action != AWS_CHANGE_RECORD_SETS ||
        route53_parse_batch(http->body, http->body_bytes, &request->batch, &request->refusal);
    return request;
}

void aws_request_destroy(struct aws_request *request) {
    if (request->exchange != NULL) {
        http_exchange_drop(request->exchange);
    }
    change_batch_finish(&request->batch);
    uri_parameters_finish(&request->parameters);
    free(request);
}

bool aws_request_verify(struct world *world, struct aws_request *request,
                        struct aws_refusal *ret_refusal) {
    static const struct sigv4_scope route53 = {.service = "route53", .region = "us-east-1"};
    static const struct sigv4_scope sts = {.service = "sts", .region = NULL};
    const char *action = uri_parameters_get(&request->parameters, "Action");
    if (request->action == AWS_STS && action != NULL &&
        text_equal(action, "AssumeRoleWithWebIdentity")) {
        return true; /* its token is the proof */
    }
    const struct credential *credential = sigv4_verify(
        &request->exchange->request, &world->credentials,
        request->action == AWS_STS ? &sts : &route53, clock_wall_ms(&world->clock), ret_refusal);
    if (credential == NULL) {
        return false;
    }
    TEXT_COPY(request->caller_arn, credential->arn);
    return true;
}

void aws_request_log(struct world *world, const struct aws_request *request, const char *kind,
                     json_t *entry) {
    json_t *line = json_pack("{s:s,s:s,s:s,s:s}", "kind", kind, "operation",
                             fault_operation_text(request->operation), "zone", request->zone_id,
                             "request_id", request->exchange->request_id);
    assert(line != NULL);
    if (request->batch.comment != NULL) {
        json_object_set_new(line, "comment", json_string(request->batch.comment));
    }
    if (request->action == AWS_CHANGE_RECORD_SETS && request->change_id[0] != '\0') {
        json_object_set_new(line, "change_id", json_string(request->change_id));
    }
    if (request->fault_id != 0) {
        json_object_set_new(line, "fault", json_integer(request->fault_id));
    }
    if (request->late != NULL) {
        json_object_set_new(line, "late", json_string(request->late));
    }
    json_object_set_new(line, "effective", json_false());
    if (entry != NULL) {
        json_object_update(line, entry);
        json_decref(entry);
    }
    ledger_write(world->ledger, line);
}

/* The reply is lost on the way back: what the request did stays done. */
static void aws_request_drop(struct world *world, struct aws_request *request, int status) {
    aws_request_log(world, request, "dropped_reply", json_pack("{s:i}", "status", status));
    aws_request_destroy(request);
}

void aws_request_reply(struct world *world, struct aws_request *request, int status,
                       struct buffer *document) {
    if (request->drop_reply) {
        buffer_finish(document);
        aws_request_drop(world, request, status);
        return;
    }
    aws_reply_document(request->exchange, status, document);
    request->exchange = NULL;
    aws_request_destroy(request);
}

void aws_request_refuse(struct world *world, struct aws_request *request,
                        const struct aws_refusal *refusal) {
    world->counters.refused++;
    aws_request_log(world, request, "refused",
                    json_pack("{s:s,s:s,s:i}", "code", refusal->code, "message", refusal->message,
                              "status", refusal->status));
    if (request->drop_reply) {
        aws_request_drop(world, request, refusal->status);
        return;
    }
    aws_reply_refusal(request->exchange, refusal,
                      request->action == AWS_STS ? AWS_NAMESPACE_STS : AWS_NAMESPACE_ROUTE53);
    request->exchange = NULL;
    aws_request_destroy(request);
}
