#include "http_request.h"

#include <assert.h>
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "api/http_endpoints.h"
#include "base/text.h"

static const char last_event_id_field[] = "Last-Event-ID";

static int on_url(http_parser *parser, const char *at, size_t length) {
    struct http_request *request = parser->data;
    if (length >= sizeof request->target - request->target_size) {
        request->refusal = HTTP_STATUS_URI_TOO_LONG;
        return 1;
    }
    memcpy(request->target + request->target_size, at, length);
    request->target_size += length;
    request->target[request->target_size] = '\0';
    return 0;
}

static int on_header_field(http_parser *parser, const char *at, size_t length) {
    struct http_request *request = parser->data;
    if (request->value_size > 0 || request->in_last_event_id) {
        request->field_size = 0; /* a new one begins */
        request->in_last_event_id = false;
    }
    if (request->field_size + length < sizeof request->field) {
        memcpy(request->field + request->field_size, at, length);
        request->field_size += length;
    } else {
        request->field_size = sizeof request->field; /* none of ours is so long */
    }
    request->value_size = 0;
    return 0;
}

static int on_header_value(http_parser *parser, const char *at, size_t length) {
    struct http_request *request = parser->data;
    request->in_last_event_id =
        request->field_size == sizeof last_event_id_field - 1 &&
        strncasecmp(request->field, last_event_id_field, request->field_size) == 0;
    if (!request->in_last_event_id) {
        request->value_size = 1; /* only tells on_header_field that a value was seen */
        return 0;
    }
    if (request->value_size + length >= sizeof request->value) {
        /* No id is so long. What came of it before, in another piece, is no id either. */
        request->value_size = sizeof request->value;
        request->last_event_id = 0;
        return 0;
    }
    memcpy(request->value + request->value_size, at, length);
    request->value_size += length;
    request->value[request->value_size] = '\0';
    if (!text_to_u64(request->value, 0, UINT64_MAX, &request->last_event_id)) {
        request->last_event_id = 0;
    }
    return 0;
}

static int on_headers_complete(http_parser *parser) {
    struct http_request *request = parser->data;
    if (parser->http_major != 1 && !(parser->http_major == 0 && parser->http_minor == 9)) {
        request->refusal = HTTP_STATUS_HTTP_VERSION_NOT_SUPPORTED;
        return -1;
    }
    bool has_length = (parser->flags & F_CONTENTLENGTH) != 0;
    if (has_length && parser->content_length > HTTP_BODY_MAX_BYTES) {
        request->refusal = HTTP_STATUS_PAYLOAD_TOO_LARGE;
        return -1;
    }
    if (parser->method == HTTP_CONNECT) {
        request->refusal = HTTP_STATUS_METHOD_NOT_ALLOWED; /* no HTTP would follow */
        return -1;
    }
    /* An offer to upgrade is declined by answering in HTTP/1.1. */
    parser->upgrade = 0;
    return 0;
}

static int on_chunk_header(http_parser *parser) {
    struct http_request *request = parser->data;
    if (parser->content_length > HTTP_BODY_MAX_BYTES) {
        request->refusal = HTTP_STATUS_PAYLOAD_TOO_LARGE;
        return -1;
    }
    return 0;
}

static int on_body(http_parser *parser, const char *at, size_t length) {
    struct http_request *request = parser->data;
    (void)at;
    request->body_size += length;
    if (request->body_size > HTTP_BODY_MAX_BYTES) {
        request->refusal = HTTP_STATUS_PAYLOAD_TOO_LARGE;
        return 1;
    }
    return 0;
}

/* An absolute target ("GET http://host/livez") has its path taken out. */
static bool split_target(struct http_request *request) {
    const char *path = request->target;
    if (path[0] != '/' && !text_equal(path, "*")) {
        const char *authority = strstr(path, "://");
        path = authority == NULL ? NULL : strchr(authority + 3, '/');
        if (path == NULL) {
            return false;
        }
    }
    size_t path_size = strcspn(path, "?#");
    memcpy(request->path, path, path_size);
    request->path[path_size] = '\0';
    const char *query = path + path_size;
    if (query[0] == '?') {
        size_t query_size = strcspn(query + 1, "#");
        memcpy(request->query, query + 1, query_size);
        request->query[query_size] = '\0';
    }
    return true;
}

static int on_message_complete(http_parser *parser) {
    struct http_request *request = parser->data;
    switch (parser->method) {
    case HTTP_GET:
        request->verb = HTTP_VERB_GET;
        break;
    case HTTP_HEAD:
        request->verb = HTTP_VERB_HEAD;
        break;
    case HTTP_OPTIONS:
        request->verb = HTTP_VERB_OPTIONS;
        break;
    default:
        request->verb = HTTP_VERB_OTHER;
        break;
    }
    request->keep_alive = http_should_keep_alive(parser) != 0 && parser->http_major == 1;
    request->complete = split_target(request);
    if (!request->complete) {
        request->refusal = HTTP_STATUS_BAD_REQUEST;
    }
    http_parser_pause(parser, 1); /* the next request gets a parser of its own */
    return 0;
}

static const http_parser_settings settings = {
    .on_url = on_url,
    .on_header_field = on_header_field,
    .on_header_value = on_header_value,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
    .on_chunk_header = on_chunk_header,
};

void http_request_configure(void) {
    http_parser_set_max_header_size(HTTP_HEADER_MAX_BYTES);
}

void http_request_init(struct http_request *request) {
    memset(request, 0, sizeof *request);
    http_parser_init(&request->parser, HTTP_REQUEST);
    request->parser.data = request;
}

static unsigned refusal_of(const struct http_request *request) {
    switch (HTTP_PARSER_ERRNO(&request->parser)) {
    case HPE_HEADER_OVERFLOW:
        return HTTP_STATUS_REQUEST_HEADER_FIELDS_TOO_LARGE;
    case HPE_INVALID_METHOD:
        /* A word that is no method, or no HTTP at all (a TLS hello, say). */
        return isupper((unsigned char)request->first_byte) ? HTTP_STATUS_METHOD_NOT_ALLOWED
                                                           : HTTP_STATUS_BAD_REQUEST;
    case HPE_INVALID_VERSION:
        return HTTP_STATUS_HTTP_VERSION_NOT_SUPPORTED;
    default:
        return HTTP_STATUS_BAD_REQUEST;
    }
}

size_t http_request_feed(struct http_request *request, const char *bytes, size_t size_bytes) {
    assert(!request->complete && request->refusal == 0);
    if (size_bytes == 0) {
        return 0; /* the parser would take it for the end of the stream */
    }
    if (!request->started) {
        request->started = true;
        request->first_byte = bytes[0];
    }
    size_t taken = http_parser_execute(&request->parser, &settings, bytes, size_bytes);
    enum http_errno error = HTTP_PARSER_ERRNO(&request->parser);
    if (request->complete) {
        assert(taken <= size_bytes);
        return taken;
    }
    if (request->refusal == 0 && (error != HPE_OK || taken != size_bytes)) {
        request->refusal = refusal_of(request);
    }
    return taken <= size_bytes ? taken : size_bytes;
}
