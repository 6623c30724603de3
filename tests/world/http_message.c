#include "http_message.h"

#include <assert.h>

#include "alloc.h"
#include "base/text.h"

void http_request_init(struct http_request *request) {
    *request = (struct http_request){
        .method = alloc_text(""),
        .path = alloc_text(""),
        .query = alloc_text(""),
        .headers = alloc_zeroed(HTTP_HEADERS_MAX, sizeof(struct http_header)),
        .body = alloc_text(""),
    };
}

void http_request_finish(struct http_request *request) {
    free(request->method);
    free(request->path);
    free(request->query);
    for (size_t i = 0; i < request->header_count; i++) {
        free(request->headers[i].name);
        free(request->headers[i].value);
    }
    free(request->headers);
    free(request->body);
    *request = (struct http_request){0};
}

void http_request_copy(struct http_request *to, const struct http_request *from) {
    *to = (struct http_request){
        .method = alloc_text(from->method),
        .path = alloc_text(from->path),
        .query = alloc_text(from->query),
        .headers = alloc_zeroed(HTTP_HEADERS_MAX, sizeof(struct http_header)),
        .body = alloc_bytes(from->body, from->body_bytes),
        .body_bytes = from->body_bytes,
    };
    for (size_t i = 0; i < from->header_count; i++) {
        http_request_add_header(to, from->headers[i].name, from->headers[i].value);
    }
}

void http_request_add_header(struct http_request *request, const char *name, const char *value) {
    assert(request->header_count < HTTP_HEADERS_MAX);
    request->headers[request->header_count].name = alloc_text(name);
    request->headers[request->header_count].value = alloc_text(value);
    request->header_count++;
}

const char *http_request_header(const struct http_request *request, const char *name) {
    for (size_t i = 0; i < request->header_count; i++) {
        if (text_equal(request->headers[i].name, name)) {
            return request->headers[i].value;
        }
    }
    return NULL;
}
