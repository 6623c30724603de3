/* A received HTTP request as plain data: parsed by http_server, verified by sigv4_verify, kept by a
 * fault that delivers it later. */
#ifndef WORLD_HTTP_MESSAGE_H
#define WORLD_HTTP_MESSAGE_H

#include <stddef.h>

#define HTTP_HEADERS_MAX 100

struct http_header {
    char *name; /* lower case */
    char *value;
};

struct http_request {
    char *method;
    char *path;  /* as sent, without the query */
    char *query; /* as sent, without '?'; "" if none */
    struct http_header *headers;
    size_t header_count;
    char *body; /* NUL behind body_bytes */
    size_t body_bytes;
};

void http_request_init(struct http_request *request);
void http_request_finish(struct http_request *request);
void http_request_copy(struct http_request *to, const struct http_request *from);
void http_request_add_header(struct http_request *request, const char *name, const char *value);
/* First value of that (lower case) name, or NULL. */
const char *http_request_header(const struct http_request *request, const char *name);

#endif
