/* One HTTP/1.x request, parsed as its bytes come in. Everything that the endpoints need from
 * http-parser is behind this file; it sees only bytes, so that it can be fuzzed alone. */
#ifndef API_HTTP_REQUEST_H
#define API_HTTP_REQUEST_H

#include <http_parser.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_TARGET_MAX 1024

enum http_verb { HTTP_VERB_GET, HTTP_VERB_HEAD, HTTP_VERB_OPTIONS, HTTP_VERB_OTHER };

struct http_request {
    /* What was asked; valid when `complete`. */
    bool complete;
    enum http_verb verb;
    char target[HTTP_TARGET_MAX]; /* as received: path and query */
    char path[HTTP_TARGET_MAX];
    char query[HTTP_TARGET_MAX];
    bool keep_alive;
    uint64_t last_event_id; /* 0: none */
    /* 0, or the status of the refusal; the connection ends with it. */
    unsigned refusal;

    bool started; /* a first byte came */
    char first_byte;
    http_parser parser;
    size_t target_size, body_size;
    bool in_last_event_id;
    char field[32]; /* the header's name so far, as long as it may be one that matters */
    size_t field_size;
    char value[24];
    size_t value_size;
};

/* Once in the process, before any thread parses: the parser's own header limit. */
void http_request_configure(void);
void http_request_init(struct http_request *request);

/* Feeds bytes; returns how many were taken. It stops behind the request's last byte (the next one
 * of a pipeline begins there) or where it is refused. */
size_t http_request_feed(struct http_request *request, const char *bytes, size_t size_bytes);

#endif
